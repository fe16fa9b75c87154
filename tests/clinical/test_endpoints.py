"""PFS and OS: properties of every derivation, the variants, the table of rules in words and what is refused.

Rows written out by hand stand in ``test_adtte_cases.py``, the oracle in ``test_oracle_admiralonco.py``.
"""

import copy

import pandas as pd
import pytest

from analysis import clinical, contracts, plan
from analysis.clinical.rule_table import check_rules, rule_table
from analysis.clinical.rule_words import DATES, SITUATIONS
from analysis.clinical.sensitivity import derive_adtte_sensitivity


def with_target(study, sizes, **subject):
    return study.subject(**subject).lesion("T1", {-5: 20, **sizes})


def test_a_row_names_its_source_record(study):
    with_target(study, {56: 20, 112: 60}, death=300)
    tables = study.derive()
    row = tables.adtte.query("PARAMCD == 'PFS'").iloc[0]
    assert (row.SRCDOM, row.SRCVAR, row.AVAL) == ("ADRS", "ADT", 113.0)
    source = tables.adrs[tables.adrs.USUBJID.eq("S-1")].iloc[int(row.SRCSEQ) - 1]
    assert (source.PARAMCD, source.AVALC, source.ADT) == ("OVRLRESP", "PD", row.ADT)
    assert pytest.approx(113 / 30.4375) == row.AVALM


def test_tables_keep_their_contracts(study):
    with_target(study, {56: 20, 112: 60}, death=300).response(56, "CHECK").subject("S-2", start=None)
    tables = study.derive()
    for name in ("adsl", "adtr", "adrs", "adtte", "adtte_sensitivity"):
        contracts.check(name, getattr(tables, name))
    contracts.check("exclusions_01", tables.exclusions)
    contracts.check("queries_01", tables.queries)


def many(study):
    for number, (sizes, death) in enumerate(
        [
            ({56: 20, 112: 60}, 200),
            ({56: 14}, None),
            ({}, 40),
            ({56: 0, 112: 0, 168: 4}, None),
            ({56: 20}, 183),
        ]
    ):
        name = f"S-{number}"
        study.subject(name, death=death).lesion("T1", {-5: 20, **sizes}, subject=name).alive(
            30 * number, name
        )
        study.response(56, "SD", name)
    return study


def endpoints(sdtm_rows):
    sdtm, settings = clinical.complete(sdtm_rows), plan.defaults()
    adsl = clinical.derive_adsl(sdtm, settings)
    adtr = clinical.derive_adtr(sdtm, adsl, settings)
    tables = (adsl, adtr, clinical.derive_adrs(sdtm, adtr, adsl, settings))
    variants = derive_adtte_sensitivity(sdtm, *tables, settings)
    return pd.concat([clinical.derive_adtte(*tables, settings), variants], ignore_index=True)


def frames(study):
    return {name: pd.DataFrame(rows) for name, rows in study.rows.items() if rows}


def test_row_order_changes_nothing(study):
    given = frames(many(study))
    turned = {name: frame.iloc[::-1].reset_index(drop=True) for name, frame in given.items()}
    pd.testing.assert_frame_equal(endpoints(given), endpoints(turned))


def test_subject_names_change_nothing(study):
    given = frames(many(study))
    renamed = {
        name: frame.assign(USUBJID=frame.USUBJID.str.replace("S-", "Z-")) for name, frame in given.items()
    }
    after = endpoints(renamed)
    pd.testing.assert_frame_equal(
        endpoints(given), after.assign(USUBJID=after.USUBJID.str.replace("Z-", "S-"))
    )


def test_extra_columns_change_nothing(study):
    given = frames(many(study))
    wider = {name: frame.assign(XTRA="x") for name, frame in given.items()}
    pd.testing.assert_frame_equal(endpoints(given), endpoints(wider))


def test_pfs_never_ends_after_os(study):
    wide = endpoints(frames(many(study))).pivot_table(index="USUBJID", columns="PARAMCD", values="AVAL")
    assert (wide.PFS <= wide.OS).all()


def test_a_later_visit_never_moves_an_earlier_progression(study):
    before = with_target(study, {56: 20, 112: 60}).adtte()
    study.add("TR", TRLNKID="T1", TRTESTCD="LDIAM", TRSTRESC="5", TRSTRESU="mm", TRDTC="2020-06-17")
    assert study.adtte() == before


def test_inputs_are_not_changed(study):
    sdtm = many(study).sdtm()
    copies = {name: frame.copy() for name, frame in sdtm.items()}
    clinical.derive_all(sdtm)
    for name, frame in sdtm.items():
        pd.testing.assert_frame_equal(frame, copies[name])


# --- PFS later than OS --------------------------------------------------------------------------------------

WITHOUT_SCANS = {"pearl": ["AESTDTC", "EXSTDTC"], "admiralonco": ["AESTDTC", "EXSTDTC"]}


def late_scan(study):
    return with_target(study, {56: 20}, death=None).alive(30).subject("S-2").alive(40, "S-2")


def test_pfs_after_os_cannot_happen_while_scans_prove_life(study):
    tables = late_scan(study).derive()
    assert set(tables.adtte.USUBJID) == {"S-1", "S-2"}
    assert not tables.exclusions.CODE.eq("PFS_AFTER_OS").any()


def test_pfs_after_os_sets_the_subject_aside(study):
    tables = late_scan(study).derive(last_alive_sources=WITHOUT_SCANS)
    assert set(tables.adtte.USUBJID) == {"S-2"} and set(tables.adtte_sensitivity.USUBJID) == {"S-2"}
    assert tables.exclusions[tables.exclusions.CODE.eq("PFS_AFTER_OS")].USUBJID.tolist() == ["S-1"]


def test_pfs_after_os_stops_a_strict_run(study):
    with pytest.raises(ValueError, match="PFS_AFTER_OS: 1 subject"):
        late_scan(study).derive(last_alive_sources=WITHOUT_SCANS, strict=True)


@pytest.mark.parametrize("strict", [False, True])
def test_pfs_after_os_is_a_query_under_the_reference_rules(study, strict):
    study.subject().response(300, "SD")
    tables = study.derive(endpoint_rules="admiralonco", strict=strict)
    assert tables.queries.CODE.eq("PFS_AFTER_OS").sum() == 1
    assert tables.adtte.PARAMCD.tolist() == ["OS", "PFS"]


# --- variants -----------------------------------------------------------------------------------------------


def every_kind(study):
    """Subjects whom each flip can touch: a PET-only lesion, targets that come back, an independent reader."""
    many(study).subject("P-1").lesion("T1", {-5: 20, 56: 20}, "P-1")
    study.lesion("N1", {14: "PRESENT", 70: "PRESENT"}, "P-1", kind="NEW", organ="BONE", method="PET/CT SCAN")
    for name, second in (("B-1", {}), ("B-2", {-5: 20, 56: 20, 112: 20})):
        study.subject(name).lesion("T1", {-5: 20, 56: 0, 112: 4}, name)
        if second:
            study.lesion("T2", second, name, organ="LUNG")
    study.subject("I-1").lesion("T1", {-5: 20, 56: 20, 112: 20}, "I-1").response(56, "SD", "I-1")
    reader = {"TUEVAL": "INDEPENDENT ASSESSOR", "TUACPTFL": "Y", "TUMETHOD": "CT SCAN", "TULOC": "LIVER"}
    study.add("TU", "I-1", TULNKID="R1", TUORRES="TARGET", TUDTC="2019-12-27", **reader)
    for day, size in (("2019-12-27", "20"), ("2020-02-26", "60")):
        read = {"TRLNKID": "R1", "TRTESTCD": "LDIAM", "TRSTRESU": "mm", "TREVAL": "INDEPENDENT ASSESSOR"}
        study.add("TR", "I-1", TRSTRESC=size, TRDTC=day, TRACPTFL="Y", **read)
    return study


OWN = {  # variants a study may add: a number of RECIST, a date rule, all that ADSL rests on
    "PFSABS": {"endpoint": "PFS", "param": "PFS, 45 mm", "changes": {"clinical.pd_abs_mm": 45.0}},
    "PFSDTHL": {"endpoint": "PFS", "param": "PFS, months", "changes": {"design.cutoff_months": 3.0}},
}


ANEW = ("PFSPET", "PFSREAP", "PFSREJN", "PFSIRC", "PFSREP", "PFSALL", "PFSNTX")


def test_a_variant_is_what_its_plan_derives_from_the_start(study):
    every_kind(study)
    given = study.plan().clinical.tte_sensitivity["pearl"]
    listed = {"pearl": {**{name: given[name] for name in ANEW}, **OWN}}
    settings = study.plan(tte_sensitivity=listed)
    adsl, adtr, adrs = study.derive_adrs(settings)
    found = derive_adtte_sensitivity(study.sdtm(), adsl, adtr, adrs, settings)
    assert set(found.PARAMCD) == set(listed["pearl"])
    for name, spec in listed["pearl"].items():
        changed = settings.override(spec["changes"])
        wanted = clinical.derive_adtte(*study.derive_adrs(changed), changed, endpoints=[spec["endpoint"]])
        rows = found[found.PARAMCD.eq(name)].reset_index(drop=True)
        left_out = ["PARAMCD", "PARAM", "SRCSEQ"]
        pd.testing.assert_frame_equal(rows.drop(columns=left_out), wanted.drop(columns=left_out))


def test_a_variant_without_its_reads_has_no_rows(study):
    with_target(study, {56: 20})
    found = study.derive().adtte_sensitivity
    assert not found.PARAMCD.isin(["PFSREP", "PFSIRC"]).any()
    assert found.PARAMCD.isin(["PFSMISS", "OSALL"]).sum() == 2


# --- the table of rules in words ----------------------------------------------------------------------------


def test_the_rules_in_words():
    table = rule_table(plan.defaults(), "PFS").set_index("DESCRIPTION")
    missed = table.loc["Two or More Missed Assessments"]
    assert "more than 126 days (2 x 8 weeks + 2 x 7 days)" in missed.SITUATION
    assert (missed.OUTCOME, missed.DATE) == ("censored", "last adequate assessment before the event")
    assert (missed.SWITCH, missed.STATE) == ("missed_visits: censor", "in force")
    assert missed.PARAMCD == "PFSMISS, PFSNE, PFSW6, PFSW12, PFSWIN14"
    baseline = table.loc["No Adequate Baseline"]
    assert baseline.DATE == "time zero (first dose): day 1" and baseline.PARAMCD == "PFSNOBL"
    between = table[table.SITUATION.str.contains("outside every visit window")].iloc[0]
    assert between.PARAMCD == "PFSSCHED"  # where the row is out of force, its numbers change nothing
    assert table.loc["Clinical Progression"].STATE == "switched off by clinical_progression: ignore"
    assert table.ROW.tolist() == list(range(1, len(table) + 1))


def test_the_rules_in_words_follow_the_plan():
    changed = plan.defaults().override({"clinical.no_baseline": "ignore", "clinical.interval_weeks": 6.0})
    table = rule_table(changed, "PFS").set_index("DESCRIPTION")
    assert table.loc["No Adequate Baseline"].STATE == "switched off by no_baseline: ignore"
    assert "98 days (2 x 6 weeks" in table.loc["Two or More Missed Assessments"].SITUATION


@pytest.mark.parametrize("rules", ["pearl", "admiralonco"])
def test_every_endpoint_and_variant_has_its_table(rules):
    chosen = plan.defaults().override({"clinical.endpoint_rules": rules})
    names = [*chosen.clinical.tte_rules[rules]["endpoints"], *chosen.clinical.tte_sensitivity[rules]]
    for name in names:
        table = rule_table(chosen, name)
        assert not table.isna().any().any() and not table.SITUATION.str.contains("[{}]").any()
        assert table.STATE.iloc[-1] == "in force" and table.SITUATION.iloc[-1] == "anyone else"


def test_the_table_of_a_variant_shows_its_switch():
    table = rule_table(plan.defaults(), "PFSNACT").set_index("ROW")
    assert table[table.STATE.eq("switched off by new_therapy: event")].DESCRIPTION.tolist() == [
        "New Anti-Cancer Therapy",
        "New Anti-Cancer Therapy",
    ]


def test_an_unknown_endpoint_is_refused():
    with pytest.raises(plan.PlanError, match="no endpoint 'PFS9'"):
        rule_table(plan.defaults(), "PFS9")


def test_every_word_is_used_by_a_table():
    rows = [
        row
        for rule_set in plan.defaults().clinical.tte_rules.values()
        for spec in rule_set["endpoints"].values()
        for row in spec["rows"]
    ]
    assert {row["situation"] for row in rows} == set(SITUATIONS)
    assert {row["date"] for row in rows} == {"start", *DATES}


# --- what is refused ----------------------------------------------------------------------------------------


def with_rules(change, name="tte_rules"):
    """Return the default plan after `change` was made to a copy of its tables."""
    tables = copy.deepcopy(getattr(plan.defaults().clinical, name))
    change(tables["pearl"])
    return plan.defaults().override({f"clinical.{name}": tables})


def in_row(number, **values):
    return lambda rules: rules["endpoints"]["PFS"]["rows"][number - 1].update(values)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (in_row(3, situation="missed"), "pearl.PFS row 3: unknown situation 'missed'"),
        (in_row(3, date="yesterday"), "pearl.PFS row 3: unknown date 'yesterday'"),
        (
            in_row(3, unless={"mised_visits": "event"}),
            "pearl.PFS row 3: unless mised_visits: .* did you mean",
        ),
        (in_row(3, unless={"missed_visits": "never"}), "pearl.PFS row 3: .* must be one of"),
        (in_row(3, unless="missed_visits"), "pearl.PFS row 3: unless must hold"),
        (in_row(3, cnsr="1"), "pearl.PFS row 3: cnsr must be a whole number"),
        (in_row(1, cnsr=True), "pearl.PFS row 1: cnsr must be a whole number"),
        (in_row(3, cnsr=-1), "pearl.PFS row 3: cnsr must be a whole number"),
        (in_row(3, cnsr=0), "pearl.PFS row 3: an event cannot be dated at 'last_adequate_before_event'"),
        (in_row(3, description=None), "pearl.PFS row 3: no description"),
        (in_row(3, when="always"), r"pearl.PFS row 3: \['when'\] mean nothing"),
        (lambda r: r["endpoints"]["PFS"]["rows"].insert(0, "dead"), "pearl.PFS row 1: must hold"),
        (lambda r: r["endpoints"]["PFS"]["rows"].pop(), "the last row must be 'otherwise'"),
        (lambda r: r["endpoints"]["OS"].update(rows=[]), "pearl.OS: no rows"),
        (lambda r: r["endpoints"]["OS"].pop("rows"), "pearl.OS: no rows"),
        (lambda r: r["endpoints"]["OS"].pop("param"), "pearl.OS.param"),
        (lambda r: r.update(endpoints={}), "pearl.endpoints: at least one"),
        (lambda r: r["endpoints"].update(SURVIVALS=r["endpoints"]["OS"]), "pearl.SURVIVALS: a PARAMCD"),
        (lambda r: r.update(start="RANDDT"), "pearl.start: 'RANDDT' is no start"),
        (lambda r: r.update(start_description=""), "pearl.start_description"),
        (lambda r: r.update(cutoff="yes"), "pearl.cutoff: true or false"),
        (
            lambda r: r.update(responses={"derived": "OVR", "reported": "RSREP"}),
            r"\['OVR'\] feed no endpoint",
        ),
        (lambda r: r.pop("responses"), "pearl.responses: needs"),
    ],
)
def test_a_table_that_cannot_be_applied_names_its_row(change, says):
    with pytest.raises(plan.PlanError, match=f"(?s)BAD_RULES.*{says}"):
        check_rules(with_rules(change).clinical)


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ({"endpoint": "EFS", "param": "x", "changes": {}}, "no endpoint 'EFS'"),
        (
            {"endpoint": "PFS", "param": "x", "changes": {"clinical.no_switch": 1}},
            "no value 'clinical.no_switch'",
        ),
        ({"endpoint": "PFS", "param": "x", "changes": {"clinical.followup": "some"}}, "must be one of"),
        ({"endpoint": "PFS", "param": "x", "changes": "followup"}, "changes must hold"),
        ({"endpoint": "PFS", "param": "", "changes": {}}, "in words is missing"),
        ({"endpoint": "PFS", "changes": {}}, "needs endpoint, param and changes"),
    ],
)
def test_a_variant_that_cannot_be_derived_is_named(variant, says):
    bad = with_rules(lambda variants: variants.update(PFSX=variant), "tte_sensitivity")
    with pytest.raises(plan.PlanError, match=f"(?s)BAD_RULES.*pearl.PFSX: .*{says}"):
        check_rules(bad.clinical)


def test_a_variant_may_not_take_the_name_of_the_endpoint():
    bad = with_rules(lambda variants: variants.update(PFS=variants["PFSNE"]), "tte_sensitivity")
    with pytest.raises(plan.PlanError, match="PFS is the main endpoint"):
        check_rules(bad.clinical)


def test_all_problems_come_together():
    def twice(rules):
        in_row(2, situation="a")(rules)
        in_row(4, date="b")(rules)

    with pytest.raises(plan.PlanError, match=r"(?s)2 problem\(s\).*row 2.*row 4"):
        check_rules(with_rules(twice).clinical)


def test_a_rule_set_that_is_not_there_is_refused():
    bad = plan.defaults().override({"clinical.tte_rules": {"other": {}}})
    with pytest.raises(plan.PlanError, match="pearl: no such rule set"):
        check_rules(bad.clinical)


def test_the_derivation_refuses_a_bad_table(study):
    tables = with_target(study, {56: 20}).derive_adrs(study.plan())
    bad = with_rules(in_row(3, date="yesterday"))
    with pytest.raises(plan.PlanError, match="PFS row 3"):
        clinical.derive_adtte(*tables, bad)
    with pytest.raises(plan.PlanError, match="PFS row 3"):
        derive_adtte_sensitivity(study.sdtm(), *tables, bad)


def test_an_event_without_a_date_is_refused(study):
    tables = with_target(study, {56: 60}).derive_adrs(study.plan())
    bad = with_rules(lambda r: r["endpoints"]["PFS"]["rows"].insert(0, {
        "situation": "progression_first", "date": "death", "cnsr": 0, "description": "Death"}))  # fmt: skip
    with pytest.raises(plan.PlanError, match=r"NO_EVENT_DATE.*'progression_first' gives 1 subject"):
        clinical.derive_adtte(*tables, bad)
