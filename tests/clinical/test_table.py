"""A ready time-to-event table, mapped by the plan. Expected days by hand."""

import copy

import pandas as pd
import pytest

from analysis import clinical, contracts, plan
from analysis.clinical import TableError, read_mapped_table
from analysis.clinical.table import CONDITIONS

DEAD = {"column": "status", "op": "==", "value": "D"}
MAPPING = {
    "file": "outcomes.csv",
    "subject": "id",
    "age": "age",
    "sex": {"column": "sex", "map": {"Male": "M", "Female": "F"}},
    "time_zero": ["to_mri", "mri_to_pet"],
    "endpoints": [
        {
            "paramcd": "EFS",
            "param": "Event-free survival",
            "events": [
                {
                    "when": {"column": "outcome", "op": "not_empty"},
                    "day": "to_outcome",
                    "description": "Recurrence",
                },
                {"when": DEAD, "day": "to_last", "description": "Death"},
            ],
            "censor_day": "to_last",
        },
        {
            "paramcd": "OS",
            "param": "Overall survival",
            "events": [{"when": DEAD, "day": "to_last", "description": "Death"}],
            "censor_day": "to_last",
        },
    ],
}
HEADER = "id,age,sex,to_mri,mri_to_pet,outcome,to_outcome,status,to_last"


def read(folder, *rows, mapping=None, header=HEADER):
    (folder / "outcomes.csv").write_text("\n".join([header, *rows]) + "\n")
    settings = plan.defaults().override({"clinical.table": mapping or MAPPING})
    return read_mapped_table(folder, settings)


@pytest.mark.parametrize(
    ("row", "efs", "os"),
    [
        ("A,60,Male,-7,4,Mets,266,D,845", (269, 0, "Recurrence"), (848, 0, "Death")),
        ("A,60,Male,-10,25,,,NED,501", (486, 1, "Event free"), (486, 1, "Event free")),
        ("A,60,Male,10,5,,,D,500", (485, 0, "Death"), (485, 0, "Death")),
        ("A,60,Male,10,5,Mets,100,NED,500", (85, 0, "Recurrence"), (485, 1, "Event free")),
    ],
)
def test_days_count_from_time_zero_to_the_first_event_or_the_last_follow_up(tmp_path, row, efs, os):
    found = read(tmp_path, row).adtte.set_index("PARAMCD")
    for name, expected in (("EFS", efs), ("OS", os)):
        assert tuple(found.loc[name, ["AVAL", "CNSR", "EVNTDESC"]]) == expected
        assert found.loc[name, "AVALM"] == pytest.approx(expected[0] / 30.4375)


@pytest.mark.parametrize(
    ("row", "codes"),
    [
        ("A,60,Male,10,5,Mets,15,NED,500", ["EVENT_NOT_AFTER_START"]),
        ("A,60,Male,10,5,Mets,,NED,500", ["DAY_MISSING"]),
        ("A,60,Male,,5,,,NED,500", ["TIME_ZERO_MISSING"] * 2),
        ("A,60,Male,10,5,,,NED,", ["DAY_MISSING"] * 2),
        ("A,60,Male,10,5,,,NED,12", ["FOLLOWUP_NOT_AFTER_START"] * 2),
    ],
)
def test_what_cannot_be_analysed_is_set_aside_with_a_code(tmp_path, row, codes):
    found = read(tmp_path, row, "B,50,Female,1,1,,,NED,100")
    assert found.exclusions.CODE.tolist() == codes
    assert set(found.exclusions.USUBJID) == {"A"}
    assert len(found.adtte) + len(found.exclusions) == 4
    assert found.exclusions.ITEM.eq("subject").sum() == (0 if len(codes) == 1 else 1)
    assert found.adsl.USUBJID.tolist() == ["A", "B"]
    for name in ("adsl", "adtte"):
        contracts.check(name, getattr(found, name))
    contracts.check("exclusions_01", found.exclusions)
    contracts.check("queries_01", found.queries)


def test_an_event_after_the_last_follow_up_and_an_unknown_sex_are_queried(tmp_path):
    found = read(tmp_path, "A,,X,0,5,Mets,300,NED,200")
    assert sorted(found.queries.CODE) == ["AGE_UNKNOWN", "EVENT_AFTER_FOLLOWUP", "SEX_UNKNOWN"]


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(TableError, match="no column 'mri_to_pet'"):
        read(tmp_path, "A,60,Male,1,,,D,9", header="id,age,sex,to_mri,outcome,to_outcome,status,to_last")


def test_two_rows_of_one_subject_are_refused(tmp_path):
    row = "A,60,Male,-7,4,Mets,266,D,845"
    with pytest.raises(TableError, match=r"1 subject\(s\) have two rows"):
        read(tmp_path, row, row)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TableError, match=r"no file 'outcomes.csv'"):
        read_mapped_table(tmp_path, plan.defaults().override({"clinical.table": MAPPING}))


def test_a_mapping_with_unknown_names_or_conditions_is_refused(tmp_path):
    wrong = copy.deepcopy(MAPPING)
    wrong["endpoint"] = []
    wrong["endpoints"][1]["events"][0]["when"] = {**DEAD, "op": "eval"}
    del wrong["endpoints"][0]["censor_day"]
    with pytest.raises(TableError) as error:
        read(tmp_path, mapping=wrong)
    assert len(error.value.problems) == 3


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("empty", None, [False, False, True]),
        ("not_empty", None, [True, True, False]),
        ("==", 8, [True, False, False]),
        ("!=", "8", [False, True, False]),
        ("in", [8, 9], [True, False, False]),
        (">", 8, [False, True, False]),
        (">=", 8, [True, True, False]),
        ("<", 12, [True, False, False]),
        ("<=", 12, [True, True, False]),
    ],
)
def test_every_condition_of_the_mapping(operator, value, expected):
    column = pd.Series(["8", "12", None], dtype=object)
    assert CONDITIONS[operator](column, value).tolist() == expected


def test_a_ready_table_leaves_the_lesion_and_response_tables_empty_but_whole(tmp_path):
    adsl = read(tmp_path, "A,60,Male,-7,4,Mets,266,D,845").adsl
    nothing = clinical.complete({})
    adtr = clinical.derive_adtr(nothing, adsl)
    contracts.check("adtr", adtr)
    contracts.check("adrs", clinical.derive_adrs(nothing, adtr, adsl))


@pytest.mark.real
def test_the_sarcoma_cohort_reads_whole(shared_data):
    from analysis.storage import project_root

    settings = plan.load("sarcoma", project_root() / "config" / "sarcoma.yaml")
    found = read_mapped_table(shared_data / "sarcoma", settings)
    events = found.adtte[found.adtte.CNSR.eq(0)].groupby("PARAMCD").size()
    # counted in the collection's sheet: 27 with a recurrence or metastasis, all 15 deaths among them
    assert len(found.adsl) == 51
    assert events.to_dict() == {"EFS": 27, "OS": 15}
    assert found.exclusions.empty
    first = found.adtte[found.adtte.USUBJID.eq("STS_001")].set_index("PARAMCD").AVAL
    assert first.to_dict() == {"EFS": 269.0, "OS": 848.0}  # PET on day -7 + 4 = -3
