"""Response classes that a study sends ready made. Expected values by hand."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis import plan as plans
from analysis.contracts.codes import describe
from analysis.pet import comparability, response
from analysis.pet.class_table import check_class_mapping, read_class_table
from analysis.pet.measurements_in import choose_source
from analysis.pet.misclassification import redraw

MAPPING = {
    "file": "patients.csv",
    "subject": "id",
    "column": "change",
    "visit": "EARLY",
    "classes": {"up": "NON-RESPONDER", "down": "RESPONDER", "unclear": "NE"},
    "metric": "CTDNA",
    "rule": "reported",
    "cut_percent": 0.0,
}
PRIMARY = {"primary.response_rule": "reported", "primary.timepoint": "EARLY"}


def plan_of(**changes):
    mapping = {name: value for name, value in {**MAPPING, **changes}.items() if value is not None}
    whole = plans.defaults().override({"design.followup_visits": ["EARLY"]})
    return whole.override({"pet.classes_table": mapping, **PRIMARY})


def table_of(*rows):
    cells = [[None if cell == "" else cell for cell in row.split(",")] for row in rows]
    return pd.DataFrame(cells, columns=["id", "change"])


def subjects(*names, **columns):
    return pd.DataFrame({"STUDYID": "S", "USUBJID": list(names), "SITEID": None, "PILOTFL": "N", **columns})


def read(*rows, adsl=None, plan=None):
    table = table_of(*rows)
    found = read_class_table(table, subjects(*table["id"]) if adsl is None else adsl, plan or plan_of())
    for name in ("adpet", "scan_qc", "lesion_map", "admr", "mips", "reference_proposals"):
        contracts.check(name, getattr(found, name))
    contracts.check("exclusions_02", found.exclusions)
    contracts.check("queries_02", found.queries)
    for code in [*found.exclusions["CODE"], *found.queries["CODE"], *found.admr["NEREAS"].dropna()]:
        assert describe(code).kind != "unknown", code
    return found


def test_a_class_is_taken_as_it_was_sent():
    found = read("2,down", "1,up")
    rows = found.admr.set_index("USUBJID")
    assert rows["MRESP"].to_dict() == {"1": "NON-RESPONDER", "2": "RESPONDER"}
    assert rows["AVALC"].to_dict() == {"1": "up", "2": "down"}
    place = found.admr[["AVISIT", "METRIC", "RULE", "CUT"]].drop_duplicates().to_numpy().tolist()
    assert place == [["EARLY", "CTDNA", "reported", 0.0]]
    unknown = ["SCORE", "NLESION", "PETDT", "NEREAS", "ONBOUND", "COMPARE", "PPFL", "FLAGS"]
    assert found.admr[unknown].isna().all(axis=None)
    assert found.adpet.empty and found.scan_qc.empty and found.exclusions.empty and found.queries.empty
    assert found.files == {"used as class": 2}


def test_every_subject_has_a_row_and_who_has_no_class_has_a_reason():
    adsl = subjects("1", "2", "3", "4", "5", SAFFL=["Y", "Y", "Y", "Y", "N"])
    found = read("1,up", "2, ", "3,unclear", "9,down", "5,up", adsl=adsl)
    rows = found.admr.set_index("USUBJID")
    assert rows["MRESP"].to_dict() == {"1": "NON-RESPONDER", "2": "NE", "3": "NE", "4": "NE"}
    assert rows["NEREAS"].dropna().to_dict() == {
        "2": "CLASS_MISSING",
        "3": "CLASS_NOT_EVALUABLE",
        "4": "SUBJECT_NOT_IN_TABLE",
    }
    assert rows["AVALC"].to_dict() == {"1": "up", "2": "NE", "3": "unclear", "4": "NE"}
    assert found.exclusions[["USUBJID", "ITEM", "CODE"]].to_numpy().tolist() == [
        ["2", "record", "CLASS_MISSING"],
        ["3", "record", "CLASS_NOT_EVALUABLE"],
        ["4", "subject", "SUBJECT_NOT_IN_TABLE"],
        ["9", "record", "SUBJECT_NOT_IN_ADSL"],
    ]
    assert found.queries[["USUBJID", "SEVERITY"]].to_numpy().tolist() == [["9", "error"]]
    assert sum(found.files.values()) == 5


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["1,up", "2,sideways", "3,flat"], r"line 3, 4 \(2 in all, first 'sideways'\)"),
        (["1,up", "1,down"], r"line 3 \(1 in all, first '1'\), column 'id': a second row"),
        (["1,up", ",down"], r"line 3 .* no subject"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(rows, said):
    with pytest.raises(ValueError, match=f"(?s)CLASS_TABLE: 1 problem.*patients.csv, {said}"):
        read(*rows, adsl=subjects("1", "2", "3"))


def test_a_table_without_its_column_or_its_file_is_refused():
    with pytest.raises(ValueError, match=r"no column 'change', which pet.classes_table names"):
        read_class_table(table_of("1,up").drop(columns="change"), subjects("1"), plan_of())
    with pytest.raises(FileNotFoundError, match=r"NO_CLASS_TABLE: no file 'patients.csv'"):
        read_class_table(None, subjects("1"), plan_of())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"visit": "D14"}, "visit must be one of design.followup_visits (EARLY)"),
        ({"rule": "percist"}, "rule 'percist' is derived here from lesions"),
        ({"classes": {"up": "NON-RESPONDER"}}, "name both NON-RESPONDER and RESPONDER"),
        ({"classes": {"up": "BAD", "down": "RESPONDER", "x": "NON-RESPONDER"}}, "give each word one of"),
        ({"cut_percent": True}, "cut_percent must be a number"),
        ({"cut_percent": 101}, "cut_percent must be a number"),
        ({"metric": None}, "'metric' is missing"),
        ({"unit": "mm"}, "unknown name 'unit'"),
    ],
)
def test_a_wrong_mapping_is_told(changes, said):
    plan = plan_of(**changes)
    (problem,) = check_class_mapping(plan.pet.classes_table, plan)
    assert said in problem


def test_numbers_and_classes_at_once_are_refused():
    plan = plan_of().override({"pet.measurements_table": {"file": "x.csv"}})
    assert check_class_mapping(plan.pet.classes_table, plan) == [
        "pet.classes_table: pet.measurements_table maps numbers too; keep one of them"
    ]
    assert choose_source("nowhere", None, plan) == "classes"
    assert choose_source("nowhere", None, plan.override({"pet.source": "table"})) == "table"
    with pytest.raises(FileNotFoundError, match=r"pet.source is classes, and pet.classes_table maps none"):
        choose_source("nowhere", None, plans.defaults().override({"pet.source": "classes"}))


def test_no_lesion_is_read_for_a_class_that_was_sent():
    plan = plan_of()
    found = read("1,up", "2,down", plan=plan)
    force = response.in_force(plan)
    assert (force.primary.metric, force.primary.cut_percent) == ("CTDNA", 0.0)
    assert response.with_asked(found.admr, found.adpet, force).equals(found.admr)
    assert response.tabulate_caps(found.adpet, force, subjects=subjects("1", "2")).empty
    assert response.tabulate_by_lesion_count(found.admr, force).empty
    assert comparability.compare_pairs(found.scan_qc, found.adpet, force).empty
    with pytest.raises(ValueError, match="READY_RULE: the classes of 'reported' were sent"):
        response.classify(found.adpet, force)
    drawn = redraw(found.adpet, force, np.random.default_rng(1))
    assert drawn.classes.empty and "repeatability" in drawn.reasons[0]


def test_another_cut_of_a_class_that_was_sent_is_refused():
    with pytest.raises(plans.PlanError, match="'reported' has a metric or cut of its own"):
        response.in_force(plan_of().override({"primary.cut_percent": 30.0}))
