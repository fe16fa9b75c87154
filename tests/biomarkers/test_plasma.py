"""Serial plasma: reading, visits, calls by sample, change over time."""

import pandas as pd
import pytest

from analysis import plan
from analysis.biomarkers import FileRefused, classify_clearance, derive_adbm, read_plasma, tabulate_clearance
from analysis.biomarkers.plasma import assign_visits, call_samples, select_visit


@pytest.fixture
def adbm(plasma_file, adsl):
    return derive_adbm(None, read_plasma(plasma_file), adsl).adbm


def test_results_are_read_whatever_their_spelling(plasma_file):
    frame = read_plasma(plasma_file)
    expected = (
        ["DETECTED"]
        + ["NOT DETECTED"] * 2
        + ["NOT ASSESSABLE", "DETECTED", "NOT DETECTED"]
        + ["DETECTED"] * 3
    )
    assert frame["RESULT"].tolist() == expected
    assert frame["TUMFRAC"].notna().sum() == 1


def test_the_day_before_first_dose_and_the_day_itself_are_baseline(plasma_file, adsl):
    draws = assign_visits(read_plasma(plasma_file), adsl.set_index("USUBJID")["TRTSDT"])
    day = draws.drop_duplicates("SAMPLEID").set_index("SAMPLEID")["DAY"]
    # no day 0: the day before first dose is -1, the day of first dose is 1
    assert day["P1-a"] == -1 and day["P3-a"] == 1 and day["P1-b"] == 14
    visit = draws.drop_duplicates("SAMPLEID").set_index("SAMPLEID")["AVISIT"]
    assert visit[["P1-a", "P1-b", "P3-a", "P3-c"]].tolist() == ["D0", "D14", "D0", "PROG"]


def test_a_draw_outside_all_windows_is_unscheduled_whatever_the_table_says(plasma_file, adsl):
    frame = read_plasma(plasma_file)
    frame.loc[frame["SAMPLEID"] == "P1-b", "ADT"] = pd.Timestamp("2020-01-22")
    draws = assign_visits(frame, adsl.set_index("USUBJID")["TRTSDT"])
    assert draws.set_index("SAMPLEID").loc["P1-b", "AVISIT"] == "UNSCHED"


def test_a_sample_is_detected_if_one_variant_is(plasma_file, adsl):
    draws = assign_visits(read_plasma(plasma_file), adsl.set_index("USUBJID")["TRTSDT"])
    called = call_samples(draws).set_index("SAMPLEID")
    assert called.loc["P1-a", "RESULT"] == "DETECTED" and called.loc["P1-a", "VAF"] == 0.05
    assert called.loc["P2-a", "RESULT"] == "NOT ASSESSABLE"


def test_a_failed_assay_is_never_negative(adbm):
    assert select_visit(adbm, "D0").loc["S-01-P2", "AVALC"] == "NOT ASSESSABLE"
    assert classify_clearance(adbm, "D0", "D14")["S-01-P2"] is None


def test_an_assessable_repeat_is_taken_before_a_failed_sample(adbm):
    repeat = adbm[adbm["SAMPLEID"] == "P2-a"].assign(
        SAMPLEID="P2-r", AVALC="NOT DETECTED", ADT=pd.Timestamp("2020-02-01")
    )
    assert select_visit(pd.concat([adbm, repeat]), "D0").loc["S-01-P2", "SAMPLEID"] == "P2-r"


def test_clearance_classes_by_hand(adbm):
    clearance = classify_clearance(adbm, "D0", "D14")
    assert clearance["S-01-P1"] == "+-" and clearance["S-01-P3"] == "-+"
    outcomes = pd.DataFrame({"NONRESPONSE": [0.0, 1.0, 1.0]}, index=["S-01-P1", "S-01-P2", "S-01-P3"])
    table = tabulate_clearance(adbm, outcomes, first="D0", second="D14").set_index("CLEARANCE")
    assert table["N"].to_dict() == {"--": 0, "-+": 1, "+-": 1, "++": 0, "not assessable": 1}
    assert table.loc["+-", ["N_NONRESPONDER", "N_RESPONDER"]].tolist() == [0, 1]


def test_samples_without_identifier_get_one_from_subject_and_date(tmp_path):
    path = tmp_path / "plasma.tsv"
    path.write_text("usubjid\tdate\tstatus\n".replace("date", "adt") + "A\t2020-01-01\tdetected\n")
    assert read_plasma(path)["SAMPLEID"].tolist() == ["A-P20200101"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("RESULT", "CALL", "COLUMN_MISSING: plasma.csv, line 1, column RESULT"),
        ("ASSAY", "AVISIT", "COLUMN_TWICE: plasma.csv, line 1"),
        ("2020-01-15", "2020-01", "DATE_MALFORMED: plasma.csv, line 4, column ADT"),
        ("2020-01-15", "15.01.2020", "DATE_MALFORMED: plasma.csv, line 4, column ADT"),
        ("Positive", "perhaps", "RESULT_UNKNOWN: plasma.csv, line 6, column RESULT.*'perhaps'"),
        ("0.05", "5", "NUMBER_RANGE: plasma.csv, line 2, column VAF: outside 0 to 1"),
        ("S-01-P1,P1-b", "S-01-P1,P1-a", "SAMPLE_OF_TWO: plasma.csv, line 2, column ADT"),
        ("S-01-P1,P1-b", ",P1-b", "VALUE_MISSING: plasma.csv, line 4, column USUBJID"),
    ],
)
def test_a_broken_plasma_table_is_refused_by_line_and_column(plasma_file, old, new, expected):
    text = plasma_file.read_text()
    plasma_file.write_text(text.replace(old, new, 1))
    with pytest.raises(FileRefused, match=expected):
        read_plasma(plasma_file)


def test_windows_are_the_plans(plasma_file, adsl):
    rules = plan.defaults().override({"biomarkers.plasma_visit_windows": {"EARLY": [-28, 20]}}).biomarkers
    draws = assign_visits(read_plasma(plasma_file), adsl.set_index("USUBJID")["TRTSDT"], rules=rules)
    assert set(draws["AVISIT"]) == {"EARLY", "PROG", "UNSCHED"}
