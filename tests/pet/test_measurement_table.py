"""A ready table of measurements, one lesion a subject. Expected values by hand."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis import plan as plans
from analysis.contracts.codes import describe
from analysis.pet import comparability, response
from analysis.pet.measurement_table import check_table_mapping, read_measurement_table
from analysis.pet.measurements_in import choose_source

MAPPING = {
    "file": "sizes.csv",
    "subject": "id",
    "metric": "LDIAM",
    "unit": "mm",
    "lesion": "L1",
    "visits": {"D0": "before", "MRI1": "early", "MRI2": "later"},
    "limit": 5.0,
    "below_limit": "half",
}
RESPONSE = {
    "response.grid_rules": ["any_resistant"],
    "response.grid_metrics": ["LDIAM"],
    "response.cuts_percent": [30.0],
    "response.target_metric": "LDIAM",
    "response.comparability_checks": {},
    "primary.metric": "LDIAM",
    "primary.cut_percent": 30.0,
}


def plan_of(**changes):
    mapping = {name: value for name, value in {**MAPPING, **changes}.items() if value is not None}
    whole = plans.defaults().override({"design.followup_visits": ["MRI1", "MRI2"]})
    return whole.override(
        {"pet.measurements_table": mapping, "pet.all_visits_planned_for": "all", **RESPONSE}
    )


def table_of(*rows, names=("id", "before", "early", "later")):
    return pd.DataFrame(
        [[None if cell == "" else cell for cell in row.split(",")] for row in rows], columns=names
    )


def subjects(*names):
    return pd.DataFrame({"STUDYID": "S", "USUBJID": list(names), "SITEID": None, "PILOTFL": "N"})


def read(*rows, adsl=None, plan=None, **known):
    table = table_of(*rows)
    adsl = subjects(*table["id"]) if adsl is None else adsl
    found = read_measurement_table(table, adsl, plan or plan_of(), **known)
    for name in ("adpet", "scan_qc", "lesion_map"):
        contracts.check(name, getattr(found, name))
    contracts.check("exclusions_02", found.exclusions)
    contracts.check("queries_02", found.queries)
    for code in [*found.exclusions["CODE"], *found.scan_qc["CODE"].dropna()]:
        assert describe(code).kind != "unknown", code
    return found


def values(found):
    return found.adpet.set_index(["USUBJID", "AVISIT"])["AVAL"].to_dict()


def codes(found):
    return found.exclusions[["USUBJID", "AVISIT", "ITEM", "CODE"]].to_numpy(object).tolist()


def test_every_cell_becomes_a_row_with_a_lesion_that_counts():
    found = read("1,80.0,64,40")
    assert values(found) == {("1", "D0"): 80, ("1", "MRI1"): 64, ("1", "MRI2"): 40}
    assert found.adpet[
        ["METRIC", "UNIT", "ROLE", "EVALFL", "TARGETFL"]
    ].drop_duplicates().to_numpy().tolist() == [["LDIAM", "mm", "LESION", "Y", "Y"]]
    assert found.adpet["ADT"].isna().all() and found.adpet["FLAGS"].isna().all()
    assert found.scan_qc["STATUS"].eq("OK").all() and found.scan_qc["PATH"].is_unique
    assert found.lesion_map["STATUS"].tolist() == ["BASELINE", "SAME", "SAME"]
    assert found.exclusions.empty and found.queries.empty
    assert found.files == {"used as measurement": 3}


def test_nothing_seen_counts_with_half_the_limit_and_says_so():
    found = read("1,80,64,0")
    assert values(found)["1", "MRI2"] == 2.5
    flagged = found.adpet.set_index("AVISIT")["FLAGS"]
    assert flagged["MRI2"] == "BELOW_LIMIT" and flagged.drop("MRI2").isna().all()
    assert found.scan_qc.set_index("AVISIT")["FLAGS"]["MRI2"] == "BELOW_LIMIT"
    (asked,) = found.queries.to_dict("records")
    assert (asked["CODE"], asked["SEVERITY"], asked["RECORD"]) == ("BELOW_LIMIT", "note", "MRI2 L1")
    assert "2.5 mm stands for it" in asked["MESSAGE"]
    assert found.exclusions.empty


@pytest.mark.parametrize(
    ("policy", "sent", "expected"),
    [
        ("half", 1.0, 2.5),
        ("half", 2.5, 2.5),
        ("half", 4.0, 4.0),
        ("half", 5.0, 5.0),
        ("limit", 0.0, 5.0),
        ("limit", 4.0, 5.0),
        ("limit", 6.0, 6.0),
        ("refuse", 4.0, None),
        ("refuse", 5.0, 5.0),
    ],
)
def test_a_larger_lesion_never_counts_as_the_smaller_one(policy, sent, expected):
    found = read(f"1,80,64,{sent}", plan=plan_of(below_limit=policy))
    assert values(found).get(("1", "MRI2")) == expected
    if expected is None:
        assert codes(found) == [["1", "MRI2", "record", "MEASUREMENT_BELOW_LIMIT"]]
    assert len(found.queries) == int(sent < 5)


def test_a_positive_value_below_the_limit_is_flagged_though_it_stays():
    found = read("1,80,64,4")
    assert found.adpet.set_index("AVISIT").loc["MRI2", "FLAGS"] == "BELOW_LIMIT"
    assert "used as sent" in found.queries["MESSAGE"].iloc[0]


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("-3", "MEASUREMENT_NEGATIVE"),
        ("large", "MEASUREMENT_NOT_NUMERIC"),
        ("12,5".replace(",", ";"), "MEASUREMENT_NOT_NUMERIC"),
        ("inf", "MEASUREMENT_NOT_NUMERIC"),
        ("1e999", "MEASUREMENT_NOT_NUMERIC"),
    ],
)
def test_what_cannot_be_read_is_refused_and_asked_about(cell, code):
    found = read(f"1,80,{cell},40")
    assert codes(found) == [["1", "MRI1", "record", code]]
    assert ("1", "MRI1") not in values(found)
    refused = found.scan_qc.set_index("AVISIT")
    assert refused["STATUS"].to_dict() == {"D0": "OK", "MRI1": "REFUSED", "MRI2": "OK"}
    assert refused.loc["MRI1", "CODE"] == code
    assert found.queries[["CODE", "SEVERITY"]].to_numpy().tolist() == [[code, "error"]]
    assert found.files == {"used as measurement": 2, "set aside": 1}


@pytest.mark.parametrize("cell", ["0", "4.9", "-1"])
def test_a_baseline_below_the_limit_is_no_ground_for_a_ratio(cell):
    found = read(f"1,{cell},64,40")
    wanted = "MEASUREMENT_NEGATIVE" if cell == "-1" else "BASELINE_BELOW_LIMIT"
    assert codes(found) == [["1", "D0", "record", wanted]]
    assert found.adpet["EVALFL"].isna().all()  # without a baseline nothing is known of the lesion
    assert found.lesion_map["STATUS"].eq("SAME").all()  # and it is no new one


def test_zero_without_a_limit_is_no_measurement():
    found = read("1,80,64,0", plan=plan_of(limit=None, below_limit=None))
    assert codes(found) == [["1", "MRI2", "record", "MEASUREMENT_ZERO"]]


def test_missing_stays_missing():
    found = read("1,80,,40", "2, ,64,40")
    assert codes(found) == [
        ["1", "MRI1", "scan", "MEASUREMENT_MISSING"],
        ["2", "D0", "scan", "MEASUREMENT_MISSING"],
    ]
    assert len(found.scan_qc) == 4 and found.queries.empty
    assert found.files == {"used as measurement": 4, "empty": 2}


def test_a_subject_without_any_value_is_one_row_of_the_ledger():
    found = read("1,80,64,40", "2,,,", adsl=subjects("1", "2", "3"))
    assert codes(found) == [["2", None, "subject", "NO_PET_SCAN"], ["3", None, "subject", "NO_PET_SCAN"]]


def test_a_subject_nobody_knows_is_set_aside_cell_by_cell():
    found = read("1,80,64,40", "9,80,0,", adsl=subjects("1"))
    assert codes(found) == [
        ["9", "D0", "record", "SUBJECT_NOT_IN_ADSL"],
        ["9", "MRI1", "record", "SUBJECT_NOT_IN_ADSL"],
        ["9", "MRI2", "scan", "MEASUREMENT_MISSING"],
    ]
    assert set(found.adpet["USUBJID"]) == set(found.scan_qc["USUBJID"]) == {"1"}


def test_blanks_about_a_number_or_a_subject_are_no_error():
    found = read(" 1 , 80 ,64,40", adsl=subjects("1"))
    assert values(found)["1", "D0"] == 80


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        (["1,80,64,40", "1,80,64,40"], None, r"1 subject\(s\) have two rows, first: 1"),
        (["1,80,64,40", " 1,80,64,40"], None, r"1 subject\(s\) have two rows"),
        ([",80,64,40"], None, r"1 row\(s\) without 'id'"),
        (["1,80,64"], ("id", "before", "early"), "no column 'later'"),
        (["80,64,40"], ("before", "early", "later"), "no column 'id'"),
        (["1,80,64,40,3"], ("id", "before", "early", "later", "later"), "the column 'later' twice"),
        ([], None, "has no rows"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(rows, names, message):
    table = table_of(*rows, names=names or ("id", "before", "early", "later"))
    with pytest.raises(ValueError, match=message):
        read_measurement_table(table, subjects("1"), plan_of())


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r"NO_MEASUREMENT_TABLE: no file 'sizes.csv'"):
        read_measurement_table(None, subjects("1"), plan_of())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": None}, "'metric' is missing"),
        ({"colour": "red"}, "unknown name 'colour'"),
        ({"visits": {"D0": "before", "MRI1": "early"}}, "a column for each of D0, MRI1, MRI2"),
        ({"visits": {"D0": "a", "MRI1": "b", "MRI2": "c", "MRI3": "d"}}, "and no other"),
        ({"visits": ["before"]}, "a column for each"),
        ({"unit": "furlong"}, "unit 'furlong' is none"),
        ({"limit": -1.0}, "limit must be a number, at least 0"),
        ({"limit": "5"}, "limit must be a number"),
        ({"below_limit": "zero"}, "below_limit must be one of half, limit, refuse"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused(change, message):
    settings = plan_of(**change)
    (problem,) = check_table_mapping(settings.pet.measurements_table, settings)
    assert message in problem
    with pytest.raises(ValueError, match="MEASUREMENT_TABLE: 1 problem"):
        read_measurement_table(table_of("1,80,64,40"), subjects("1"), settings)


def test_the_order_of_the_rows_changes_nothing():
    rows = ["2,80,64,0", "1,70,,-1", "3,60,50,40"]
    one, other = read(*rows), read(*rows[::-1])
    for name in ("adpet", "scan_qc", "exclusions", "queries", "lesion_map"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


# ---- the response that follows


def test_scans_without_dates_are_classified_by_the_plans_rule():
    adsl = subjects("1", "2", "3", "4", "5")
    found = read("1,100,70,71", "2,100,0,", "3,,50,50", "4,100,x,50", adsl=adsl)
    admr = response.classify_grid(found.adpet, plan_of(), subjects=adsl, scans=found.scan_qc)
    contracts.check("admr", admr)
    rows = admr.set_index(["USUBJID", "AVISIT"])
    # everyone was to have both: ten rows, whatever was measured
    assert len(rows) == 10 and rows["PETDT"].isna().all()
    assert rows["MRESP"].to_dict() == {
        ("1", "MRI1"): "RESPONDER",  # exactly 30 %
        ("1", "MRI2"): "NON-RESPONDER",
        ("2", "MRI1"): "RESPONDER",
        ("2", "MRI2"): "NE",
        ("3", "MRI1"): "NE",
        ("3", "MRI2"): "NE",
        ("4", "MRI1"): "NE",
        ("4", "MRI2"): "RESPONDER",
        ("5", "MRI1"): "NE",
        ("5", "MRI2"): "NE",
    }
    assert rows.loc[("2", "MRI1"), "SCORE"] == pytest.approx(np.log(0.025))
    assert rows["NEREAS"].dropna().to_dict() == {
        ("2", "MRI2"): "NO_FOLLOWUP_SCAN",
        ("3", "MRI1"): "NO_BASELINE_SCAN",
        ("3", "MRI2"): "NO_BASELINE_SCAN",
        ("4", "MRI1"): "SCAN_REFUSED",
        ("5", "MRI1"): "NO_BASELINE_SCAN",
        ("5", "MRI2"): "NO_BASELINE_SCAN",
    }
    assert rows["COMPARE"].isna().all()  # nothing was compared, so nobody knows


def test_without_checks_there_is_no_verdict_on_a_pair():
    found = read("1,100,70,71")
    assert comparability.judge_pairs(found.scan_qc, found.adpet, plan_of()).isna().all()
    assert comparability.compare_pairs(found.scan_qc, found.adpet, plan_of()).empty


def test_by_default_only_pilot_patients_are_expected_at_every_visit():
    adsl = subjects("1", "2").assign(PILOTFL=["Y", "N"])
    found = read("1,100,70,", "2,100,70,", adsl=adsl)
    default = plan_of().override({"pet.all_visits_planned_for": "pilot"})
    admr = response.classify_grid(found.adpet, default, subjects=adsl, scans=found.scan_qc)
    assert admr.groupby("USUBJID")["AVISIT"].agg(list).to_dict() == {"1": ["MRI1", "MRI2"], "2": ["MRI1"]}


# ---- where measurements come from


@pytest.mark.parametrize(("source", "expected"), [("auto", "table"), ("table", "table")])
def test_a_mapped_table_is_the_source(tmp_path, source, expected):
    assert choose_source(tmp_path, None, plan_of().override({"pet.source": source})) == expected


def test_images_asked_for_are_images_though_a_table_is_mapped(tmp_path):
    assert choose_source(tmp_path, None, plan_of().override({"pet.source": "images"})) == "images"


def test_a_table_asked_for_and_not_mapped_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="NO_PET_DATA"):
        choose_source(tmp_path, None, plans.defaults().override({"pet.source": "table"}))
