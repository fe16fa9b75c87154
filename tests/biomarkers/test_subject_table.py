"""Markers, further outcomes and a course over time from mapped tables. Expected values by hand."""

import copy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan
from analysis.biomarkers.files.course_table import check_course_mapping, read_course_table
from analysis.biomarkers.files.subject_table import check_subject_mapping, marker_matrix, read_subject_table
from analysis.biomarkers.files.textfile import FileRefused

BASE = {"samptype": "PLASMA", "visit": "D0"}
MAPPING = {
    "file": "patients.csv",
    "subject": "id",
    "markers": [
        {"paramcd": "LVL", "column": "dna", "partype": "LEVEL", **BASE, "transform": "log2p1"},
        {"paramcd": "CTDNA", "column": "dna", "partype": "CTDNA", **BASE, "detected_above": 0.0},
        {"paramcd": "TP53", "column": "p53", "partype": "MUT", **BASE, "levels": {"y": "MUTATED", "n": "WT"}},
        {"paramcd": "RISE", "column": "p53", "partype": "LEVEL", **BASE, "levels": {"y": 1, "n": 0}},
    ],
    "outcomes": {"NO_RESPONSE": {"column": "orr", "positive": ["SD/PD"], "negative": ["CR/PR"]}},
}
COURSE = {
    "file": "sizes.csv",
    "subject": "id",
    "time": "week",
    "time_unit": "weeks",
    "value": "change",
    "value_is": "percent_change",
    "floor": 0.02,
    "group": "status",
    "groups": {"up": "Increase", "down": "Decrease"},
}


def subjects(*names):
    return pd.DataFrame({"STUDYID": "S", "USUBJID": list(names)})


def read(folder, *rows, mapping=None, adsl=None):
    (folder / "patients.csv").write_text("\n".join(["id,dna,p53,orr", *rows]) + "\n")
    adsl = subjects(*(row.split(",")[0] for row in rows)) if adsl is None else adsl
    found = read_subject_table(folder, adsl, rules=SimpleNamespace(subject_table=mapping or MAPPING))
    contracts.check("adbm", found.adbm)
    contracts.check("exclusions_05", found.exclusions)
    contracts.check("queries_05", found.queries)
    return found


def course(folder, *rows, adsl=None, **changes):
    (folder / "sizes.csv").write_text("\n".join(["id,week,change,status", *rows]) + "\n")
    adsl = subjects("A", "B") if adsl is None else adsl
    return read_course_table(folder, adsl, rules=SimpleNamespace(course_table={**COURSE, **changes}))


def test_numbers_detection_and_words_become_rows(tmp_path):
    found = read(tmp_path, "A,0,y,SD/PD", "B,3,n,CR/PR")
    values = found.adbm.set_index(["USUBJID", "PARAMCD"])
    assert values["AVAL"].dropna().to_dict() == {
        ("A", "LVL"): 0.0,
        ("B", "LVL"): 2.0,
        ("A", "RISE"): 1.0,
        ("B", "RISE"): 0.0,
    }
    assert values["AVALC"].dropna().to_dict() == {
        ("A", "CTDNA"): "NOT DETECTED",
        ("B", "CTDNA"): "DETECTED",
        ("A", "TP53"): "MUTATED",
        ("B", "TP53"): "WT",
        ("A", "RISE"): "y",
        ("B", "RISE"): "n",
    }
    assert found.adbm[["ADT", "ADY", "LOD", "DEPTH"]].isna().all(axis=None)
    assert set(found.adbm["SAMPLEID"]) == {"A-PLASMA-D0", "B-PLASMA-D0"}
    assert found.outcomes["NO_RESPONSE"].to_dict() == {"A": 1.0, "B": 0.0}
    assert found.exclusions.empty and found.queries.empty


def test_a_number_is_read_to_its_last_place(tmp_path):
    # The reader of pandas is off by a unit in the last place of this one.
    text = "0.13436424411240122"
    mapping = copy.deepcopy(MAPPING)
    mapping["markers"][3]["levels"]["y"] = text
    mapping["markers"][0]["transform"] = "none"
    value = read(tmp_path, f"A,{text},y,SD/PD", mapping=mapping).adbm.set_index("PARAMCD")["AVAL"]
    assert value["RISE"] == value["LVL"] == float(text)


def test_a_matrix_holds_numbers_or_presence(tmp_path):
    adbm = read(tmp_path, "A,0,y,SD/PD", "B,3,,CR/PR").adbm
    assert marker_matrix(adbm, "CTDNA", "D0")["CTDNA"].to_dict() == {"A": 0.0, "B": 1.0}
    assert marker_matrix(adbm, "MUT", "D0")["TP53"].to_dict() == {"A": 1.0}
    level = marker_matrix(adbm, "LEVEL", "D0")
    assert level.loc["A"].to_dict() == {"LVL": 0.0, "RISE": 1.0}
    assert level.loc["B", "LVL"] == 2.0 and np.isnan(level.loc["B", "RISE"])
    assert marker_matrix(adbm, "LEVEL", "D14").empty


def test_every_subject_and_marker_is_a_row_or_stands_in_the_ledger(tmp_path):
    found = read(tmp_path, "A,,y,", "B,3,NA,CR/PR", "X,1,y,SD/PD", adsl=subjects("A", "B", "C"))
    codes = found.exclusions.groupby("CODE").size().to_dict()
    # A lacks dna (two markers) and her response, B lacks p53 (two markers); C has no line; X is nobody
    assert codes == {
        "MARKER_MISSING": 4,
        "OUTCOME_MISSING": 1,
        "SUBJECT_NOT_IN_TABLE": 1,
        "SUBJECT_UNKNOWN": 1,
    }
    assert len(found.adbm) + codes["MARKER_MISSING"] == 2 * len(MAPPING["markers"])
    assert set(found.adbm["USUBJID"]) == {"A", "B"}
    assert np.isnan(found.outcomes.loc["A", "NO_RESPONSE"])
    assert found.queries["RECORD"].tolist() == ["patients.csv, line 4"]


@pytest.mark.parametrize(
    ("rows", "code", "line", "column"),
    [
        (["A,1,y,SD/PD", "B,1,maybe,SD/PD"], "WORD_UNKNOWN", 3, "p53"),
        (["A,1,y,SD/PD", "B,1,y,PD"], "WORD_UNKNOWN", 3, "orr"),
        (["A,low,y,SD/PD"], "NUMBER_MALFORMED", 2, "dna"),
        (["A,-0.5,y,SD/PD"], "NUMBER_RANGE", 2, "dna"),
        (["A,1,y,SD/PD", "", "A,1,y,SD/PD"], "SUBJECT_TWICE", 4, "id"),
        (["A,1,y,SD/PD", ",1,y,SD/PD"], "SUBJECT_MISSING", 3, "id"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path, rows, code, line, column):
    with pytest.raises(FileRefused) as refusal:
        read(tmp_path, *rows, adsl=subjects("A", "B"))
    assert (refusal.value.code, refusal.value.line, refusal.value.column) == (code, line, column)


def test_every_problem_of_a_mapping_is_named():
    mapping = copy.deepcopy(MAPPING)
    mapping["markers"][0] |= {"partype": "LEVELS", "levels": {"a": 1}, "unit": "x"}
    mapping["markers"][1]["detected_above"] = "high"
    mapping["markers"].append(mapping["markers"][2])
    mapping["outcomes"] = {"none": {"column": "orr", "positive": ["PD"], "negative": ["PD"]}}
    problems = "\n".join(check_subject_mapping(mapping))
    for part in ("partype must be", "give one of", "unknown name 'unit'", "detected_above must be", "stands twice",
                 "none of them both", "in capitals"):  # fmt: skip
        assert part in problems
    assert check_subject_mapping(MAPPING) == []


def test_without_a_mapping_there_is_nothing(tmp_path):
    rules = plan.defaults().biomarkers
    found = read_subject_table(tmp_path, subjects("A"), rules=rules)
    contracts.check("adbm", found.adbm)
    assert found.adbm.empty and found.outcomes.empty and found.exclusions.empty
    assert read_course_table(tmp_path, subjects("A"), rules=rules).course.empty


def test_a_course_holds_levels_and_what_was_too_small_to_see(tmp_path):
    found = course(tmp_path, "A,2,-50,down", "A,1,100,down", "B,0.5,-100,up", "B,3,,up", "B,1,-98,up")
    rows = found.course[["USUBJID", "DAY", "LEVEL", "CENSORED", "GROUP"]].to_numpy().tolist()
    assert rows[0] == ["A", 7.0, 2.0, False, "Decrease"] and rows[1] == ["A", 14.0, 0.5, False, "Decrease"]
    assert rows[2][:2] == ["B", 3.5] and np.isnan(rows[2][2]) and rows[2][3] is True
    assert rows[3] == ["B", 7.0, 0.02, False, "Increase"]  # on the floor is seen
    assert found.course["LIMIT"].eq(0.02).all()
    assert found.exclusions["CODE"].tolist() == ["VALUE_MISSING"]
    assert len(found.course) + len(found.exclusions) == 5
    monthly = read_course_table(
        tmp_path, subjects("A", "B"), rules=SimpleNamespace(course_table={**COURSE, "time_unit": "months"}),
        days_per_month=30.0,
    )  # fmt: skip
    assert monthly.course["DAY"].tolist() == [30.0, 60.0, 15.0, 30.0]


@pytest.mark.parametrize(
    ("rows", "code", "line"),
    [
        (["A,1,5,up", "A,2,5,down"], "GROUP_OF_TWO", 3),
        (["A,1,5,up", "A,1,6,up"], "TIME_TWICE", 3),
        (["A,1,-101,up"], "NUMBER_RANGE", 2),
        (["A,,5,up"], "TIME_MISSING", 2),
        (["A,1,5,"], "GROUP_MISSING", 2),
        (["A,1,5,sideways"], "WORD_UNKNOWN", 2),
    ],
)
def test_a_course_that_cannot_be_read_is_refused_with_its_line(tmp_path, rows, code, line):
    with pytest.raises(FileRefused) as refusal:
        course(tmp_path, *rows)
    assert (refusal.value.code, refusal.value.line) == (code, line)


def test_a_floor_of_zero_is_none():
    assert "floor must be" in check_course_mapping({**COURSE, "floor": 0.0})[0]
    assert "value_is" in check_course_mapping({**COURSE, "value_is": "ratio"})[0]
    assert check_course_mapping(COURSE) == []
