"""Agreement of readers: kappa and AC1 of classes, ICC of lesions, for every pair; names never leave."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis import plan as plans
from analysis.survival.association.readers import describe_readers, estimate_reader_agreement

PLAN = plans.defaults().override({"design.followup_visits": ["D14"], "primary.metric": "SUVMAX"})
ONE, TWO, THREE = "Dr Zoe", "Dr Ada", "Dr Mia"  # reader C, A, B: the letters follow the names, not the rows
LESIONS = [("S1", "L1"), ("S1", "L2"), ("S2", "L1"), ("S3", "L1"), ("S4", "L1")]
VALUES = {
    ("D0", ONE): (10, 8, 6, 12, 5),
    ("D0", TWO): (11, 8.5, 6, 10, 7),
    ("D14", ONE): (5, 6, 3, 12, 2),
    ("D14", TWO): (5, 6, 4, 9, 3.5),
}
# R 4.2.2, psych 2.2.9: ICC(cbind(one, two), lmer = FALSE), ICC2 (ICC(2,1)) and its bounds, of ln values at
# baseline and of ln ratios, from the numbers above.
ICC_OF_R = {
    "D0": (0.830360491338, 0.129321414947, 0.980662372153),
    "D14": (0.848446412588, 0.149757122846, 0.983008021727),
}
KAPPA_OF_R, KAPPA_SE_OF_R = 0.6153846, 0.3175481  # cohen.kappa(matrix(c(2, 0, 1, 2), 2)), same package


def row(reader, subject, lesion, visit, value, **extra):
    own = {"READER": reader, "USUBJID": subject, "LESIONID": lesion, "AVISIT": visit, "AVAL": value}
    own |= {"STUDYID": "T", "METRIC": "SUVMAX", "ROLE": "LESION", "ORGAN": None, "ADT": pd.NaT}
    return own | {"UNIT": "g/ml", "EVALFL": "Y", "TARGETFL": "Y", "FLAGS": None, "DECISION": None} | extra


def measured():
    return [
        row(reader, *lesion, visit, value)
        for (visit, reader), values in VALUES.items()
        for lesion, value in zip(LESIONS, values)
    ]


def table(rows):
    return contracts.check("reads", pd.DataFrame(rows))


def classified(given):
    rows = [
        {"READER": reader, "USUBJID": f"S{n}", "AVISIT": "D14", "MRESP": word, "METRIC": "SUVMAX"}
        for reader, words in given.items()
        for n, word in enumerate(words, start=1)
    ]
    return pd.DataFrame(rows, columns=["READER", "USUBJID", "AVISIT", "MRESP", "METRIC"])


NON, RESP = "NON-RESPONDER", "RESPONDER"
CLASSES = classified({ONE: [NON, NON, RESP, RESP, RESP], TWO: [NON, NON, NON, RESP, RESP]})


def estimate(rows=None, classes=CLASSES, plan=PLAN):
    found = estimate_reader_agreement(table(measured() if rows is None else rows), classes, plan)
    contracts.check("estimates", found)
    assert found["ENDPOINT"].eq("READERS").all() and found["ROLE"].eq("DESCRIPTIVE").all()
    assert found["P"].isna().all()
    assert not found.astype(str).apply(lambda column: column.str.contains("Dr |Zoe|Ada|Mia")).any(axis=None)
    return found


def one(found, method, visit="D14"):
    rows = found[found["METHOD"].eq(method) & found["TIMEPOINT"].eq(visit)]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("visit", ["D0", "D14"])
def test_icc_of_lesions_is_that_of_r(visit):
    found = one(estimate(), "reader_icc", visit)
    assert found[["ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx(ICC_OF_R[visit], abs=1e-9)
    assert found["N"] == 5 and found["ESTIMATOR"] == "ICC(2,1)"
    assert (
        found["LABEL"].startswith("reader B against reader A; ln ")
        and "5 lesions of 4 patients" in found["LABEL"]
    )
    assert "interval is too narrow" in found["LABEL"]


def test_kappa_of_classes_is_that_of_r():
    found = one(estimate(), "reader_kappa")
    limits = [KAPPA_OF_R - 1.959964 * KAPPA_SE_OF_R, 1.0]
    assert found[["ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx([KAPPA_OF_R, *limits], abs=1e-6)
    assert found["N"] == 5 and (found["CONTRAST"], found["REFERENCE"]) == ("reader B", "reader A")
    assert "4 of 5 patients in the same class" in found["LABEL"]
    assert found["RULE"] == PLAN.primary.response_rule and found["CUT"] == PLAN.primary.cut_percent


def test_ac1_of_classes_by_hand():
    # 2 1 / 0 2: agreement .8, mean share of a class .5, chance .5: AC1 = .3 / .5.
    assert one(estimate(), "reader_ac1")["ESTIMATE"] == pytest.approx(0.6)


def test_who_is_classified_by_one_reader_only_is_counted_not_compared():
    classes = classified({ONE: [NON, RESP, "NE", NON], TWO: [NON, RESP, RESP, "NE", "NE"]})
    found = one(estimate(classes=classes), "reader_kappa")
    assert found["N"] == 2 and found["ESTIMATE"] == 1
    assert (
        "patients classified by reader A only: 1; patients classified by reader B only: 1" in found["LABEL"]
    )


def test_lesions_of_one_reader_only_are_counted_not_compared():
    rows = [*measured(), row(ONE, "S4", "L2", "D0", 4.0), row(ONE, "S4", "L3", "D0", 4.0)]
    rows += [row(TWO, "S4", "L9", "D0", 4.0)]
    found = one(estimate(rows), "reader_icc", "D0")
    assert found["N"] == 5 and found["ESTIMATE"] == pytest.approx(ICC_OF_R["D0"][0], abs=1e-9)
    assert "lesions measured by reader A only: 1; lesions measured by reader B only: 2" in found["LABEL"]


def test_a_name_that_stands_for_two_organs_is_no_common_lesion():
    rows = [*measured(), row(ONE, "S4", "L2", "D0", 4.0, ORGAN="bone")]
    rows += [row(TWO, "S4", "L2", "D0", 9.0, ORGAN="lung")]
    rows += [row(ONE, "S4", "L3", "D0", 5.0, ORGAN="bone"), row(TWO, "S4", "L3", "D0", 5.0)]
    found = one(estimate(rows), "reader_icc", "D0")
    assert found["N"] == 6 and "1 of one name in different organs left out" in found["LABEL"]


def test_a_third_reader_of_one_lesion_makes_pairs_that_cannot_be_estimated():
    found = estimate([*measured(), row(THREE, "S1", "L1", "D0", 9.5)])
    pairs = found[["REFERENCE", "CONTRAST"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["reader A", "reader B"], ["reader A", "reader C"], ["reader B", "reader C"]]
    of_third = found["REFERENCE"].eq("reader B") | found["CONTRAST"].eq("reader B")
    assert found.loc[of_third, "ESTIMATE"].isna().all() and found.loc[~of_third, "ESTIMATE"].notna().all()
    assert found.loc[of_third, "LABEL"].str.contains("not estimable").all()
    icc = found[of_third & found["METHOD"].eq("reader_icc") & found["TIMEPOINT"].eq("D0")]
    assert icc["N"].tolist() == [1, 1]


def test_only_lesions_of_the_plans_metric_with_a_value_above_nought_count():
    rows = [*measured(), *(row(name, "S9", "L1", "D0", 0.0) for name in (ONE, TWO))]
    rows += [row(name, "S9", "LIVER", "D0", 2.0, ROLE="LIVER", METRIC="SUVMEAN") for name in (ONE, TWO)]
    rows += [row(name, "S9", "L2", "D0", 3.0, METRIC="SUVMEAN") for name in (ONE, TWO)]
    rows += [row(name, "S9", "L3", "D0", np.nan) for name in (ONE, TWO)]
    rows += [row(name, "S9", "L1", "D14", 3.0) for name in (ONE, TWO)]  # no baseline: no ratio
    rows += [row(ONE, "S4", "L1", "D14", np.nan, METRIC="DECISION", DECISION="resolved")]
    found = estimate(rows)
    for visit in ("D0", "D14"):
        assert one(found, "reader_icc", visit)["N"] == 5


def test_readers_who_all_say_the_same_have_no_kappa():
    found = estimate(classes=classified({ONE: [RESP] * 5, TWO: [RESP] * 5}))
    assert np.isnan(one(found, "reader_kappa")["ESTIMATE"])
    assert "not estimable: both readers put everybody into one" in one(found, "reader_kappa")["LABEL"]
    assert one(found, "reader_ac1")["ESTIMATE"] == 1


def test_without_a_common_patient_or_lesion_rows_say_so():
    rows = [{**r, "USUBJID": "X" + r["USUBJID"]} if r["READER"] == TWO else r for r in measured()]
    found = estimate(rows, classified({}))
    assert len(found) == 4 and found["ESTIMATE"].isna().all() and found["N"].eq(0).all()
    assert found["LABEL"].str.contains("not estimable").all()


def test_equal_values_are_not_estimable():
    rows = [{**r, "AVAL": 5.0} for r in measured()]
    assert "not estimable: all values are equal" in one(estimate(rows), "reader_icc", "D0")["LABEL"]


@pytest.mark.parametrize(
    "reads", [contracts.empty("reads"), table([r for r in measured() if r["READER"] == ONE])]
)
def test_one_reader_has_no_rows_and_is_told(reads):
    assert estimate_reader_agreement(reads, CLASSES, PLAN).empty
    assert describe_readers(reads) == "One reader: agreement between readers cannot be shown."
    assert describe_readers(None) == describe_readers(reads)


def test_readers_are_counted_without_their_names():
    reads = table([*measured(), row(THREE, "S1", "L1", "D0", 9.5)])
    assert describe_readers(reads) == "3 readers; patients read: reader A 4, reader B 1, reader C 4."


def test_a_study_without_a_second_scan_compares_baseline_values_alone():
    plan = PLAN.override({"design.followup_visits": []})
    found = estimate(plan=plan)
    assert found["METHOD"].tolist() == ["reader_icc"] and found["TIMEPOINT"].tolist() == ["D0"]


def test_limits_enclose_the_estimate():
    found = estimate().dropna(subset=["ESTIMATE", "LOWER", "UPPER"])
    assert len(found) == 4 and found["ESTIMATE"].between(found["LOWER"], found["UPPER"]).all()
