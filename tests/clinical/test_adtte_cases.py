"""PFS and OS against cases written by hand (``tests/reference/adtte_cases.yaml``), every row of both rule sets.

All cases of one plan are derived in one run, each a subject: what holds for one must hold among others.
"""

import copy
import json
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from analysis import clinical, plan
from analysis.clinical.sensitivity import derive_adtte_sensitivity

FILE = yaml.safe_load((Path(__file__).parents[1] / "reference" / "adtte_cases.yaml").read_text())
COLUMNS, CASES = FILE["columns"], FILE["cases"]
MISSING = "no row"


def settings(case):
    changes = {f"clinical.{name}": value for name, value in case.get("plan", {}).items()}
    return plan.defaults().override({**changes, "clinical.endpoint_rules": case.get("rules", "pearl")})


def text(value):
    return None if value is None else str(value)


def add_subject(study, name, case):
    """Write the records of one case into the study."""
    first = text(case.get("first_dose", "2020-01-01"))
    study.add("DM", name, DTHDTC=text(case.get("death")), SEX="F", AGE="60")
    if randomised := text(case.get("randomised", "2019-12-27")):
        study.add("DS", name, DSDECOD="RANDOMIZED", DSSTDTC=randomised)
    if first:
        study.add("EX", name, EXSTDTC=first, EXENDTC=next_day(first), EXDOSE="10", EXTRT="DRUG")
    lesions = {**({"T": {"scans": case["target"]}} if "target" in case else {}), **case.get("lesions", {})}
    for lesion, facts in lesions.items():
        facts = dict(facts)
        sizes = {text(day): "NOT EVALUABLE" if mm == "NE" else mm for day, mm in facts.pop("scans").items()}
        visit = {"VISITNUM": facts.pop("visit")} if "visit" in facts else {}
        study.lesion(lesion, sizes, name, **facts, **visit)
    for day, value, *more in case.get("reads", []):
        study.response(text(day), value, name, **(more[0] if more else {}))
    if "alive" in case:
        study.add("AE", name, AESTDTC=text(case["alive"]))
    if "therapy" in case:
        study.add("CM", name, CMCAT="SUBSEQUENT ANTI-CANCER THERAPY", CMSTDTC=text(case["therapy"]))
    if "stop" in case:
        study.add("DS", name, DSDECOD="PROGRESSIVE DISEASE", DSSTDTC=text(case["stop"]))
    for domain, records in case.get("records", {}).items():
        for record in records:
            study.add(domain, name, **record)


def next_day(first):
    day = pd.to_datetime(first, format="%Y-%m-%d", errors="coerce")
    return None if pd.isna(day) else (day + pd.Timedelta(days=1)).strftime("%Y-%m-%d")


def run(study_type, cases, chosen):
    study = study_type()
    for name, case in cases.items():
        add_subject(study, name, case)
    sdtm = study.sdtm()
    adsl, adtr, adrs = study.derive_adrs(chosen)
    tables = SimpleNamespace(sdtm=sdtm, adsl=adsl, adtr=adtr, adrs=adrs, plan=chosen)
    tables.adtte = clinical.derive_adtte(adsl, adtr, adrs, chosen)
    tables.variants = derive_adtte_sensitivity(sdtm, adsl, adtr, adrs, chosen)
    return tables


@pytest.fixture(scope="module")
def derived(study_type):
    """Derive the cases, those of one plan together, and give the tables of each case."""
    groups = {}
    for name, case in CASES.items():
        groups.setdefault(json.dumps([case.get("rules"), case.get("plan")]), {})[name] = case
    found = {}
    for cases in groups.values():
        tables = run(study_type, cases, settings(next(iter(cases.values()))))
        found.update(dict.fromkeys(cases, tables))
    return found


def row_of(tables, name, paramcd):
    table = tables.adtte if paramcd in ("PFS", "OS") else tables.variants
    rows = table[table.USUBJID.eq(name) & table.PARAMCD.eq(paramcd)]
    if rows.empty:
        return MISSING
    assert len(rows) == 1
    row = rows.iloc[0]
    cells = [row[column] for column in COLUMNS]
    return [
        cell.strftime("%Y-%m-%d") if isinstance(cell, pd.Timestamp) else None if cell is None else cell
        for cell in cells
    ]


def expected_rows():
    return [(name, paramcd) for name, case in CASES.items() for paramcd in case["expect"]]


@pytest.mark.parametrize(("name", "paramcd"), expected_rows(), ids=[f"{n}-{p}" for n, p in expected_rows()])
def test_a_row_is_as_written_by_hand(derived, name, paramcd):
    wanted = CASES[name]["expect"][paramcd]
    found = row_of(derived[name], name, paramcd)
    if wanted is None:
        assert found == MISSING
        return
    wanted = [text(cell) if column.endswith("DT") else cell for column, cell in zip(COLUMNS, wanted)]
    months = COLUMNS.index("AVALM")
    assert found[months] == pytest.approx(wanted[months], abs=5.1e-5)  # written to four digits
    assert found[:months] + found[months + 1 :] == wanted[:months] + wanted[months + 1 :]


def test_every_case_says_why():
    assert all(len(case["why"]) > 20 and case["expect"] for case in CASES.values())
    assert len(CASES) >= 80


def test_a_date_can_be_found_in_the_record_it_names(derived):
    for tables in {id(t): t for t in derived.values()}.values():
        subjects = tables.adsl.set_index("USUBJID")
        records = tables.adrs.assign(SEQ=tables.adrs.groupby("USUBJID").cumcount() + 1.0)
        records = records.set_index(["USUBJID", "SEQ"])
        rows = pd.concat([tables.adtte, tables.variants])
        for row in rows.itertuples():
            if row.SRCDOM == "ADSL":
                source = subjects.loc[row.USUBJID, row.SRCVAR]
                assert max(source, row.STARTDT) == row.ADT and pd.isna(row.SRCSEQ)
            elif pd.notna(row.SRCSEQ):
                source = records.loc[(row.USUBJID, row.SRCSEQ)]
                moved = row.PARAMCD == "PFSSCHED"
                assert source.ADT == row.ADT or (moved and source.ADT < row.ADT)
                assert (source.AVALC == "PD") == (row.EVNTDESC == "Disease Progression")
            else:  # a response made by a flip, which stands in no table of the study
                assert row.PARAMCD in ("PFSPET", "PFSIRC", "PFSREAP", "PFSREJN")


# --- nothing in the tables of rules is dead -----------------------------------------------------------------


def changed_rows(before, after):
    both = before.merge(after, on=["USUBJID", "PARAMCD"], how="outer", suffixes=("", "_NEW"), indicator=True)
    same = both._merge.eq("both")
    for column in ("ADT", "CNSR", "EVNTDESC"):
        same &= both[column].eq(both[f"{column}_NEW"])
    return both[~same]


def all_rows(tables, chosen):
    args = (tables.adsl, tables.adtr, tables.adrs, chosen)
    names = chosen.clinical.tte_rules[chosen.clinical.endpoint_rules]["endpoints"]
    return clinical.derive_adtte(*args, endpoints=list(names))


def rows_and_plans():
    rule_sets = plan.defaults().clinical.tte_rules
    for rules, rule_set in rule_sets.items():
        for endpoint, spec in rule_set["endpoints"].items():
            for number in range(len(spec["rows"]) - 1):  # the last row takes who is left
                yield rules, endpoint, number


@pytest.mark.parametrize(("rules", "endpoint", "number"), list(rows_and_plans()))
def test_every_row_of_a_table_decides_a_case(derived, rules, endpoint, number):
    # without the row some case must read otherwise, under the plan or under the switch that puts it in force
    tables = derived["reference-death" if rules == "admiralonco" else "no-baseline"]
    given = tables.plan.clinical.tte_rules
    shorter = copy.deepcopy(given)
    row = shorter[rules]["endpoints"][endpoint]["rows"].pop(number)
    variants = tables.plan.clinical.tte_sensitivity[rules].values()
    switch = {
        key: value
        for spec in variants
        for key, value in spec["changes"].items()
        if key.split(".")[1] in row.get("unless", {})
    }
    tried = [tables.plan, *(tables.plan.override({key: value}) for key, value in switch.items())]
    tried += [
        tables.plan.override(spec["changes"])
        for spec in variants
        if "clinical.new_therapy" in spec["changes"]
    ]
    found = [
        len(
            changed_rows(
                all_rows(tables, one), all_rows(tables, one.override({"clinical.tte_rules": shorter}))
            )
        )
        for one in tried
    ]
    assert any(found)


# Which data, which rule set, whether deviations are listed: no line of the table.
NO_SWITCH = {"source", "endpoint_rules", "deviations"}


@lru_cache
def switches():
    """List the values of the plan that have choices or stand in a table, with the values that are no default."""
    leaves = yaml.safe_load(Path(plan.__file__).with_name("plan_defaults.yaml").read_text())["clinical"]
    found = {name: leaf["choices"] for name, leaf in leaves.items() if "choices" in leaf}
    found = {name: [v for v in values if v != leaves[name]["value"]] for name, values in found.items()}
    return {name: values for name, values in found.items() if name not in NO_SWITCH}


def flips():
    variants = plan.defaults().clinical.tte_sensitivity["pearl"]
    return [change for spec in variants.values() for change in spec["changes"].items()]


@pytest.mark.parametrize("switch", switches())
def test_every_value_of_a_switch_has_its_parameter(switch):
    flipped = [value for key, value in flips() if key == f"clinical.{switch}"]
    assert list(dict.fromkeys(flipped)) == switches()[switch]


@pytest.mark.parametrize("number", ["interval_weeks", "window_days"])
def test_the_numbers_of_the_table_are_varied(number):
    assert any(key == f"clinical.{number}" for key, _ in flips())


def test_every_switch_of_a_row_is_flipped():
    rule_sets = plan.defaults().clinical.tte_rules
    named = {
        switch
        for spec in rule_sets["pearl"]["endpoints"].values()
        for row in spec["rows"]
        for switch in row.get("unless", {})
    }
    assert named and named <= {key.split(".")[1] for key, _ in flips()}


@pytest.mark.parametrize("paramcd", plan.defaults().clinical.tte_sensitivity["pearl"])
def test_every_flip_changes_a_case(derived, paramcd):
    tables = derived["no-baseline"]
    spec = tables.plan.clinical.tte_sensitivity["pearl"][paramcd]
    rows = tables.variants[tables.variants.PARAMCD.eq(paramcd)].assign(PARAMCD=spec["endpoint"])
    before = tables.adtte[tables.adtte.PARAMCD.eq(spec["endpoint"])]
    assert len(changed_rows(before, rows)) > 0
    assert len(paramcd) <= 8
