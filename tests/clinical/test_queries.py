"""Each trap of the specification raises its query, once, and the ledger adds up."""

import pandas as pd
import pytest

from analysis import clinical
from analysis.clinical.queries import CHECKS


def base(study, **subject):
    return study.subject(**subject).lesion("T1", {-5: 20, 56: 20})


def impossible(study):
    base(study).add("AE", AESTDTC="2020-02-30")


def not_iso(study):
    base(study).add("AE", AESTDTC="11FEB2020")


def partial(study):
    base(study).add("AE", AESTDTC="2020-02")


def stranger(study):
    base(study).add("AE", "S-9", AESTDTC="2020-02-01")


def partial_first_dose(study):
    study.subject(start=None).add("EX", EXSTDTC="2020-01", EXENDTC="2020-03-01", EXDOSE="10")


def contact_after_death(study):
    base(study, death=90).alive(91)


def scan_after_death(study):
    base(study, death=40)


def dead_without_date(study):
    base(study)
    study.rows["DM"][0]["DTHFL"] = "Y"


def early_progression(study):
    base(study).response(-3, "PD")


def two_dates(study):
    study.subject().lesion("T1", {-5: 20, 56: 20}, VISITNUM="3").lesion("T2", {-5: 20, 90: 20}, VISITNUM="3")


def check_response(study):
    base(study).response(56, "CHECK")


def stable_after_progression(study):
    base(study).response(56, "PD").response(112, "SD")


def reported_differs(study):
    base(study).response(56, "PR")


def mixed_evaluators(study):
    base(study).response(56, "SD", RSEVAL="INDEPENDENT ASSESSOR", RSACPTFL="Y")


def treated_screen_failure(study):
    base(study)
    study.rows["DM"][0]["ARMCD"] = "SCRNFAIL"


def inches(study):
    base(study)
    study.rows["TR"][1]["TRSTRESU"] = "in"


def negative(study):
    study.subject().lesion("T1", {-5: 20, 56: -4})


def twice(study):
    base(study).add("TR", TRLNKID="T1", TRTESTCD="LDIAM", TRSTRESC="21", TRSTRESU="mm", TRDTC="2020-02-26")


def unidentified(study):
    base(study).add("TR", TRLNKID="T7", TRTESTCD="LDIAM", TRSTRESC="21", TRDTC="2020-02-26")


def odd_type(study):
    base(study).add("TU", TULNKID="B1", TUORRES="BENIGN", TUDTC="2019-12-27")


def no_baseline(study):
    study.subject().lesion("T1", {56: 20})


def old_baseline(study):
    study.subject().lesion("T1", {-29: 20, 56: 20})


def target_unmeasured(study):
    base(study).lesion("T2", {-5: None, 56: 20})


def small_target(study):
    study.subject().lesion("T1", {-5: 9.9, 56: 9})


def small_node(study):
    study.subject().lesion("T1", {-5: 14.9, 56: 9}, organ="LYMPH NODE")


def six_targets(study):
    study.subject()
    for number, organ in enumerate(["LIVER", "LUNG", "BONE", "NODE", "SKIN", "BRAIN"]):
        study.lesion(f"T{number}", {-5: 20}, organ=organ)


def three_in_liver(study):
    study.subject()
    for number in range(3):
        study.lesion(f"T{number}", {-5: 20})


def late_scan(study):
    base(study).lesion("T2", {-5: 20, 1500: 20})


TRAPS = {
    impossible: "DATE_IMPOSSIBLE",
    not_iso: "DATE_NOT_ISO",
    partial: "DATE_PARTIAL",
    stranger: "SUBJECT_NOT_IN_DM",
    partial_first_dose: "FIRST_DOSE_PARTIAL",
    contact_after_death: "DEATH_BEFORE_CONTACT",
    scan_after_death: "ASSESSMENT_AFTER_DEATH",
    dead_without_date: "DEATH_WITHOUT_DATE",
    early_progression: "PROGRESSION_BEFORE_TREATMENT",
    two_dates: "VISIT_TWO_DATES",
    check_response: "RESPONSE_UNKNOWN",
    stable_after_progression: "RESPONSE_AFTER_PD",
    reported_differs: "RESPONSE_DIFFERS",
    mixed_evaluators: "EVALUATORS_MIXED",
    treated_screen_failure: "SCREEN_FAILURE_TREATED",
    inches: "UNIT_UNKNOWN",
    negative: "DIAMETER_NEGATIVE",
    twice: "MEASURED_TWICE",
    unidentified: "LESION_NOT_IN_TU",
    odd_type: "LESION_TYPE_UNKNOWN",
    no_baseline: "BASELINE_MISSING",
    old_baseline: "BASELINE_OLD",
    target_unmeasured: "TARGET_NO_BASELINE",
    small_target: "TARGET_NOT_MEASURABLE",
    small_node: "TARGET_NOT_MEASURABLE",
    six_targets: "TARGETS_TOO_MANY",
    three_in_liver: "TARGETS_ORGAN_TOO_MANY",
    late_scan: "AFTER_CUTOFF",
}


@pytest.mark.parametrize(("trap", "code"), TRAPS.items(), ids=[trap.__name__ for trap in TRAPS])
def test_a_trap_raises_its_query_for_its_subject(study, trap, code):
    trap(study)
    queries = study.queries()
    found = queries[queries.CODE.eq(code)]
    assert len(found) >= 1
    assert (CHECKS[code].severity == found.SEVERITY).all()
    assert found.ACTION.str.len().gt(0).all()


def test_clean_records_raise_no_query(study):
    base(study).alive(60)
    queries = study.queries()
    assert queries[queries.CODE.ne("COLUMN_LEFT_OUT")].empty


def test_last_alive_before_randomisation_is_queried_under_the_reference_rules(study):
    study.subject(start=None).alive(-20)
    assert study.queries(endpoint_rules="admiralonco").CODE.eq("LAST_ALIVE_BEFORE_START").any()


def test_a_month_only_scan_is_dated_alike_in_every_domain(study):
    study.subject().lesion("T1", {-5: 20, "2020-02": 60}).response("2020-02", "PD")
    assert study.responses() == study.responses("RSREP") == [(59, "PD")]


def test_a_query_changes_no_value(study):
    check_response(study)
    sdtm = study.sdtm()
    before = sdtm["RS"].copy()
    clinical.derive_all(sdtm)
    pd.testing.assert_frame_equal(sdtm["RS"], before)


def test_the_ledger_names_every_subject_without_endpoints_and_the_numbers_add_up(study):
    base(study)
    study.subject("S-2", start=None, enrolled=None)
    study.rows["DM"][1]["ARMCD"] = "SCRNFAIL"
    study.subject("S-3", start=None)
    study.subject("S-4", start=2000)
    study.add("AE", "S-9", AESTDTC="2020-02-01")
    study.response(56, "CHECK")
    tables = study.derive()
    ledger = tables.exclusions.set_index("CODE").USUBJID.to_dict()
    assert ledger == {
        "SCREEN_FAILURE": "S-2",
        "NO_START_DATE": "S-3",
        "START_AFTER_CUTOFF": "S-4",
        "SUBJECT_NOT_IN_DM": "S-9",
        "RESPONSE_UNKNOWN": "S-1",
    }
    flow = clinical.count_flow(tables.adsl, tables.adtte, tables.exclusions).subjects.tolist()
    assert flow == [4, 1, 1, 1, 1]


def test_strict_mode_stops_at_a_subject_who_is_not_in_dm(study):
    stranger(study)
    with pytest.raises(ValueError, match="SUBJECT_NOT_IN_DM"):
        study.derive(strict=True)


def late_pfs():
    return pd.DataFrame(
        {"USUBJID": ["A", "A", "B", "B"], "PARAMCD": ["PFS", "OS"] * 2, "AVAL": [9.0, 8.0, 8.0, 8.0]}
    )


def test_pfs_after_os_sets_the_subject_aside_and_stops_in_strict_mode(study):
    kept, late = clinical.check_pfs_os(late_pfs(), study.plan().clinical)
    assert (kept.USUBJID.unique().tolist(), late) == (["B"], ["A"])
    with pytest.raises(ValueError, match="PFS_AFTER_OS"):
        clinical.check_pfs_os(late_pfs(), study.plan(strict=True).clinical)


def test_the_reference_rules_keep_a_subject_whose_pfs_ends_after_os(study):
    kept, late = clinical.check_pfs_os(late_pfs(), study.plan(endpoint_rules="admiralonco").clinical)
    assert (len(kept), late) == (4, ["A"])
