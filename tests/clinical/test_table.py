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


# ---- a table with its own day 0, whose one endpoint may not outlast another

OWN_ZERO = {
    "file": "outcomes.csv",
    "subject": "id",
    "time_zero": [],
    "endpoints": [
        {
            "paramcd": "RFS",
            "param": "Recurrence-free survival",
            "events": [
                {"when": {"column": "relapsed", "op": "==", "value": 1}, "day": "rfs", "description": "Event"}
            ],
            "censor_day": "rfs",
            "not_after": "OS",
        },
        {
            "paramcd": "OS",
            "param": "Overall survival",
            "events": [
                {"when": {"column": "status", "op": "==", "value": 8}, "day": "os", "description": "Death"}
            ],
            "censor_day": "os",
        },
    ],
}
OWN_HEADER = "id,relapsed,rfs,status,os"


def read_own(folder, *rows, mapping=OWN_ZERO, pilot_n=2):
    (folder / "outcomes.csv").write_text("\n".join([OWN_HEADER, *rows]) + "\n")
    settings = plan.defaults().override({"clinical.table": mapping, "design.pilot_n": pilot_n})
    return read_mapped_table(folder, settings)


def test_no_time_zero_columns_means_the_tables_own_day_0(tmp_path):
    found = read_own(tmp_path, "1,1,300,8,500", "2,0,700,7,700").adtte.set_index(["USUBJID", "PARAMCD"])
    assert found.loc[("1", "RFS"), ["AVAL", "CNSR"]].tolist() == [300, 0]
    assert found.loc[("1", "OS"), ["AVAL", "CNSR"]].tolist() == [500, 0]
    assert found.loc[("2", "RFS"), ["AVAL", "CNSR"]].tolist() == [700, 1]
    assert found["STARTDT"].isna().all() and found["ADT"].isna().all()


def test_an_endpoint_that_outlasts_another_is_queried_and_counts_as_it_is(tmp_path):
    found = read_own(tmp_path, "1,0,600,7,500", "2,0,500,7,500", "3,1,400,8,500", "4,0,,7,500")
    asked = found.queries.query("CODE == 'RFS_AFTER_OS'")
    assert asked[["USUBJID", "SEVERITY"]].to_numpy().tolist() == [["1", "warning"]]
    kept = found.adtte.query("USUBJID == '1'").set_index("PARAMCD")["AVAL"]
    assert kept.to_dict() == {"OS": 500, "RFS": 600}
    assert found.exclusions[["USUBJID", "CODE"]].to_numpy().tolist() == [["4", "DAY_MISSING"]]
    contracts.check("queries_01", found.queries)


@pytest.mark.parametrize("other", ["RFS", "PFS", ["OS"], None])
def test_not_after_names_another_endpoint_of_the_table(tmp_path, other):
    wrong = copy.deepcopy(OWN_ZERO)
    wrong["endpoints"][0]["not_after"] = other
    with pytest.raises(TableError, match="not_after must name another endpoint"):
        read_own(tmp_path, "1,0,600,7,500", mapping=wrong)


def test_a_visit_without_a_window_of_days_is_no_trouble_to_the_lesion_tables(tmp_path):
    adsl = read_own(tmp_path, "1,1,300,8,500").adsl
    settings = plan.defaults().override({"design.followup_visits": ["MRI1", "MRI2"]})
    contracts.check("adtr", clinical.derive_adtr(clinical.complete({}), adsl, settings))


def test_an_endpoint_that_stands_twice_is_refused(tmp_path):
    wrong = copy.deepcopy(OWN_ZERO)
    wrong["endpoints"][1]["paramcd"] = "RFS"
    with pytest.raises(TableError, match="endpoint 'RFS' stands twice"):
        read_own(tmp_path, "1,0,600,7,500", mapping=wrong)


@pytest.mark.parametrize("zero", [None, "rfs", {}])
def test_time_zero_must_be_a_list(tmp_path, zero):
    with pytest.raises(TableError, match="time_zero must be a list"):
        read_own(tmp_path, "1,0,600,7,500", mapping={**OWN_ZERO, "time_zero": zero})


@pytest.mark.parametrize(
    ("names", "pilot_n", "expected"),
    [
        (["10", "9", "101"], 2, {"9", "10"}),
        (["B-2", "A-10", "A-9"], 2, {"A-9", "A-10"}),
        (["3", "2", "1"], 0, set()),
        (["2", "1"], 30, {"1", "2"}),
    ],
)
def test_without_dates_the_pilot_is_the_first_subject_numbers(tmp_path, names, pilot_n, expected):
    adsl = read_own(tmp_path, *[f"{name},0,600,7,600" for name in names], pilot_n=pilot_n).adsl
    assert set(adsl.loc[adsl["PILOTFL"].eq("Y"), "USUBJID"]) == expected
    assert set(adsl["PILOTFL"]) <= {"Y", "N"}
    contracts.check("adsl", adsl)


@pytest.mark.real
def test_ispy1_reads_whole(shared_data):
    from analysis.storage import project_root

    settings = plan.load("ispy1", project_root() / "config" / "ispy1.yaml")
    found = read_mapped_table(shared_data / "ispy1", settings)
    events = found.adtte[found.adtte.CNSR.eq(0)].groupby("PARAMCD").size()
    # counted in the table: rfs_ind 1 in 63 rows, sstat 8 in 40; RFS above survDtD2_tx in 17
    assert len(found.adsl) == 221 and events.to_dict() == {"OS": 40, "RFS": 63}
    assert found.exclusions.empty and found.queries.CODE.tolist() == ["RFS_AFTER_OS"] * 17
    assert found.adsl.PILOTFL.eq("Y").sum() == 30


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


IN_MONTHS = {
    "file": "outcomes.csv",
    "subject": "id",
    "time_unit": "months",
    "time_zero": [],
    "endpoints": [
        {
            "paramcd": "OS",
            "param": "Overall survival",
            "events": [{"when": DEAD, "day": "last", "description": "Death"}],
            "censor_day": "last",
        }
    ],
}


@pytest.mark.parametrize(
    ("unit", "time", "days"),
    [
        (None, "90", 90.0),
        ("days", "90", 90.0),
        ("weeks", "2.5", 17.5),
        ("months", "2", 60.875),  # not rounded
        ("months", "1.97125256673511", 60.0),  # 15 digits of 60 days: their product with 30.4375 is not 60
    ],
)
def test_times_may_come_in_weeks_or_months(tmp_path, unit, time, days):
    mapping = {**IN_MONTHS, "time_unit": unit}
    if unit is None:
        del mapping["time_unit"]
    (row,) = read(tmp_path, f"A,{time},D", mapping=mapping, header="id,last,status").adtte.itertuples()
    time, censored, months = row.AVAL, row.CNSR, row.AVALM
    assert (time, censored) == (days, 0)
    assert months == pytest.approx(days / 30.4375, rel=1e-12)


def test_time_zero_has_the_unit_of_the_times(tmp_path):
    mapping = {**IN_MONTHS, "time_unit": "weeks", "time_zero": ["start"]}
    found = read(tmp_path, "A,2,10,D", "B,10,2,D", mapping=mapping, header="id,start,last,status")
    assert found.adtte["AVAL"].tolist() == [56.0]
    assert found.exclusions["CODE"].tolist() == ["EVENT_NOT_AFTER_START"]


@pytest.mark.parametrize("unit", ["years", 7, ["days"]])
def test_an_unknown_unit_of_time_is_refused(tmp_path, unit):
    with pytest.raises(TableError, match="time_unit must be one of days, weeks, months"):
        read(tmp_path, "A,1,D", mapping={**IN_MONTHS, "time_unit": unit}, header="id,last,status")
