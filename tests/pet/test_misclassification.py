"""Classes drawn again under measurement error: shares against closed forms, and what stays as it was read."""

import numpy as np
import pandas as pd
import pytest
from response_factory import PLAN, adpet_of, decisions_of, lesions_of, regions, row_of, scans_of
from scipy.integrate import quad
from scipy.stats import norm

from analysis.pet import misclassification
from analysis.pet.lesion_count import nonresponse_by_lesions
from analysis.pet.misclassification import redraw, redraw_classes
from analysis.pet.response import classify
from analysis.survival import NotEstimable

CUT = np.log(0.75)
FEW = {"cv_percent": [12.0], "correlation": [0.5], "levels": [1.0], "draws": 3}


def rng():
    return np.random.default_rng(4)


def error_sd(cv, level=1.0):
    """Return the standard deviation of a change of ln uptake: two scans, each with its error."""
    return np.sqrt(2 * level * np.log(1 + (cv / 100) ** 2))


def resistant(lesions, fall, cv, correlation, level=1.0):
    """Integrate over the error lesions share: chance that not all of them fall by the cut of 25 %."""
    sd, change = error_sd(cv, level), np.log(1 - fall / 100)

    def all_fall(shared):
        rest = sd * np.sqrt(1 - correlation)
        return norm.cdf((CUT - change - sd * np.sqrt(correlation) * shared) / rest) ** lesions

    return 1 - quad(lambda shared: all_fall(shared) * norm.pdf(shared), -8, 8)[0]


def cohort(lesions, fall, subjects=100):
    """Return a table in which every lesion of every subject falls by `fall` percent."""
    values = {f"L{k}": (10.0, 10.0 * (1 - fall / 100)) for k in range(lesions)}
    return pd.concat([adpet_of(values, subject=f"S{k:03d}") for k in range(subjects)], ignore_index=True)


@pytest.mark.parametrize(("lesions", "correlation", "level"), [(1, 0.0, 2.0), (3, 0.0, 1.0), (3, 0.5, 1.0)])
def test_the_error_has_the_planned_variance_and_correlation(lesions, correlation, level):
    asked = {"cv_percent": [12.0], "correlation": [correlation], "levels": [level], "draws": 20}
    found = redraw_classes(cohort(lesions, 35), PLAN, rng(), **asked)
    drawn = found[found["LEVEL"].gt(0)]
    assert len(drawn) == 100 * 20 and drawn["NLESION"].eq(lesions).all()
    share = drawn["MRESP"].eq("NON-RESPONDER").mean()
    expected = resistant(lesions, 35, 12, correlation, level)
    assert share == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 2000))


def test_the_first_rows_are_the_classes_as_read_and_no_error_changes_none():
    adpet = pd.concat([cohort(2, 35, 3), adpet_of({"L1": (10, 9.0)}, subject="T1")], ignore_index=True)
    found = redraw_classes(adpet, PLAN, rng(), **{**FEW, "cv_percent": [0.0]})
    columns = ["USUBJID", "AVISIT", "MRESP", "NLESION"]
    assert found[columns].iloc[:4].equals(classify(adpet, PLAN)[columns])
    assert found.loc[found["LEVEL"].eq(0), ["CV", "CORRELATION", "DRAW"]].eq(0).all(axis=None)
    assert found.groupby("USUBJID")["MRESP"].nunique().eq(1).all() and found["DRAW"].max() == 3


def test_lesions_whose_errors_are_one_change_alike():
    adpet = pd.concat([cohort(1, 30, 40), cohort(4, 30, 40).assign(USUBJID=lambda t: "M" + t["USUBJID"])])
    options = {"cv_percent": [12.0], "correlation": [1.0], "levels": [1.0], "draws": 25}
    found = redraw_classes(adpet.reset_index(drop=True), PLAN, rng(), **options)
    drawn = found[found["LEVEL"].gt(0)]
    share = drawn["MRESP"].eq("NON-RESPONDER").groupby(drawn["NLESION"]).mean()
    assert share[1] == pytest.approx(resistant(1, 30, 12, 0), abs=0.06)
    assert share[4] == pytest.approx(resistant(1, 30, 12, 0), abs=0.06)  # independent errors: 0.80
    assert resistant(4, 30, 12, 0) > 0.78


def test_uptake_nobody_judged_makes_a_redrawn_responder_not_evaluable():
    new = row_of("S1", "D14", "N1", "SUVMAX", 6.0)
    adpet = pd.concat([adpet_of({"L1": (10, 7.6)}), pd.DataFrame([new])], ignore_index=True)
    found = redraw_classes(adpet, PLAN, rng(), **{**FEW, "draws": 40})
    drawn = found[found["LEVEL"].gt(0)]
    assert set(drawn["MRESP"]) == {"NON-RESPONDER", "NE"}


def messy():
    """Return two patients with everything that decides beside a value, and their scans and decisions."""
    values = {"L1": (10, 6.0), "L2": (8, None), "L3": (9, 5.0)}
    parts = [adpet_of(values), lesions_of(values, "SULPEAK"), lesions_of(values, "MTV41"), regions()]
    parts += [lesions_of(values, "TLG41"), lesions_of({"L1": (20, 30), "L3": (10, 9)}, "LONGDIAM")]
    lost = row_of("S1", "D0", "L4", "VOLUME", np.nan, FLAGS="NOT_MEASURED")
    background = [row_of("S1", "D14", "AORTA", m, 1.2, ROLE="AORTA") for m in ("SUVMEAN", "SULMEAN")]
    other = [adpet_of({"L1": (10, 4.0), "L2": (7, np.nan)}, subject="S2")]
    other += [pd.DataFrame([row_of("S2", "D0", "L3", "VOLUME", 2.0), lost, *background])]
    adpet = pd.concat([*parts, *other], ignore_index=True)
    scans = pd.concat([scans_of(), scans_of("S2"), scans_of("S3", status=("OK", "REFUSED"))])
    scans = pd.concat([scans, pd.DataFrame([{"USUBJID": None, "AVISIT": None, "STATUS": "REFUSED"}])])
    return adpet, scans.reset_index(drop=True), decisions_of(("L2", "resolved"))


@pytest.mark.parametrize("rule", ["any_resistant", "suvmax_sum", "dominance_volume", "eortc", "percist5"])
def test_what_is_left_out_of_the_copies_decides_no_class(rule):
    adpet, scans, decisions = messy()
    plan = PLAN.override({"primary.response_rule": rule, "response.lesion_cap": 3})
    known = {"scans": scans, "decisions": decisions}
    metric = "SULPEAK" if rule.startswith("percist") else "SUVMAX"
    before = [table.copy() for table in (adpet, scans, decisions)]
    found = redraw_classes(adpet, plan, rng(), **{**FEW, "cv_percent": [0.0]}, **known)
    expected = classify(adpet, plan, metric=metric, **known)
    for _, drawn in found.groupby("DRAW"):
        assert (
            drawn[["USUBJID", "MRESP"]].to_numpy().tolist()
            == expected[["USUBJID", "MRESP"]].to_numpy().tolist()
        )
    for table, copy in zip((adpet, scans, decisions), before, strict=True):
        pd.testing.assert_frame_equal(table, copy)


def test_one_generator_gives_the_same_classes_twice():
    twice = [redraw_classes(cohort(2, 25, 10), PLAN, rng(), **FEW) for _ in range(2)]
    pd.testing.assert_frame_equal(*twice)


@pytest.mark.parametrize(
    ("changes", "adpet", "match"),
    [
        (
            {
                "design.followup_visits": [],
                "design.words": {"scan": "MRI", "response": "response", "change": "size"},
            },
            cohort(1, 30, 2),
            "NO_SECOND_SCAN",
        ),
        ({"primary.exposure": "baseline_metric"}, cohort(1, 30, 2), "NO_SECOND_SCAN"),
        ({"response.repeatability_metrics": []}, cohort(1, 30, 2), "REPEATABILITY_UNKNOWN: .* of SUVMAX"),
        (
            {"primary.metric": "TLG41"},
            lesions_of({"L1": (5, 4)}, "TLG41"),
            "REPEATABILITY_UNKNOWN: .* of TLG41",
        ),
        ({}, regions(), "NO_LESION"),
    ],
)
def test_where_it_does_not_apply_the_tables_are_empty_and_say_why(changes, adpet, match):
    plan = PLAN.override(changes)
    with pytest.raises(NotEstimable, match=match):
        redraw_classes(adpet, plan, rng())
    found = redraw(adpet, plan, rng())
    assert found.classes.empty and found.by_lesions.empty
    assert list(found.classes) == misclassification.CLASSES
    said = {
        "NO_SECOND_SCAN": "Without a second {scan} there",
        "REPEATABILITY_UNKNOWN": "The repeatability of the uptake the rule reads is not known:",
        "NO_LESION": "No PET has a lesion",
    }[match.split(":")[0]]
    (reason,) = found.reasons
    assert reason.startswith(said.format(scan=plan.design.words["scan"])) and reason.endswith(".")
    assert "_" not in reason  # a sentence, without its code


def test_by_number_of_lesions_the_chance_is_that_of_the_closed_form():
    shown = {"misclassification.falls_shown": [15.0, 35.0], "misclassification.lesions_shown": [1, 5]}
    plan = PLAN.override(shown)
    found = nonresponse_by_lesions(plan, rng(), patients=4000)
    assert len(found) == 2 * 2 * 2 * 2 and found["N"].eq(4000).all()
    for row in found.itertuples():
        expected = resistant(row.LESIONS, row.FALL, row.CV, row.CORRELATION)
        within = 4 * np.sqrt(expected * (1 - expected) / 4000)
        assert abs(row.ESTIMATE - expected) < within, (row.CV, row.CORRELATION, row.FALL)
    own = found.query("CV == 12 and CORRELATION == 0 and FALL == 35")["ESTIMATE"]
    assert own.tolist() == pytest.approx([0.20, 0.67], abs=0.03)  # trial.md section 4


def test_a_rule_that_reads_the_targets_gets_no_worse_beyond_them():
    shown = {"misclassification.lesions_shown": [5, 8], "primary.response_rule": "all_respond"}
    found = nonresponse_by_lesions(PLAN.override(shown), rng(), patients=200)
    wide = found.pivot_table(index=["CV", "CORRELATION", "FALL"], columns="LESIONS", values="ESTIMATE")
    assert wide[5].equals(wide[8].rename(5))  # at most five targets
    capped = PLAN.override({"misclassification.lesions_shown": [1, 8], "response.lesion_cap": 1})
    found = nonresponse_by_lesions(capped, rng(), patients=200)
    wide = found.pivot_table(index=["CV", "CORRELATION", "FALL"], columns="LESIONS", values="ESTIMATE")
    assert wide[1].equals(wide[8].rename(1))


@pytest.mark.parametrize("rule", ["suvmax_hottest", "suvmax_sum", "suvmax_mean", "dominance_count", "eortc"])
def test_every_rule_by_change_has_its_chance_and_a_clear_change_its_class(rule):
    shown = {"misclassification.falls_shown": [0.0, 90.0], "primary.response_rule": rule}
    found = nonresponse_by_lesions(PLAN.override(shown), rng(), patients=50)
    share = found.groupby("FALL")["ESTIMATE"].mean()
    assert share[0] > 0.8 and share[90] == 0


def test_percist_reads_more_than_the_change_so_its_chance_is_not_given():
    plan = PLAN.override({"primary.response_rule": "percist"})
    with pytest.raises(NotEstimable, match="RULE_READS_MORE: percist"):
        nonresponse_by_lesions(plan, rng())
    plan = plan.override({"misclassification.draws": 2, "misclassification.levels": [1.0]})
    adpet, scans, decisions = messy()
    found = redraw(adpet, plan, rng(), scans=scans, decisions=decisions)
    assert len(found.classes) and found.by_lesions.empty
    assert found.reasons[0].startswith("The rule reads more than a change:")
