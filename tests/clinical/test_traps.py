"""The traps of the specification (section 6), each as a hand-made study: what is derived, and what is asked.

Days are counted from first dose (day 0), so that AVAL is the day plus one.
"""

import pandas as pd
import pytest

from analysis import clinical


def iso(day):
    return (pd.Timestamp("2020-01-01") + pd.Timedelta(days=day)).strftime("%Y-%m-%d")


def codes(study, **changes):
    return set(study.queries(**changes).CODE) - {"COLUMN_LEFT_OUT"}


def test_pfs_does_not_outlive_os_because_a_scan_proves_life(study):
    study.subject().lesion("T1", {-5: 20, 56: 20}).response(56, "SD").alive(10)
    assert study.adtte("PFS")[:2] == study.adtte("OS")[:2] == (56, 1)
    assert "PFS_AFTER_OS" not in codes(study)


def test_the_reference_rules_ignore_scans_as_proof_of_life_and_ask(study):
    study.subject(enrolled=0).lesion("T1", {-5: 20, 56: 20}).response(56, "SD").alive(10)
    found = study.queries(endpoint_rules="admiralonco").set_index("CODE")
    assert found.MESSAGE["PFS_AFTER_OS"] == "PFS 57 days, OS 11 days"


def test_a_subject_last_alive_before_the_start_is_censored_at_the_start_and_asked_about(study):
    study.subject(start=None, enrolled=-5).alive(-20)
    found = study.queries(endpoint_rules="admiralonco").set_index("CODE")
    assert found.MESSAGE["LAST_ALIVE_BEFORE_START"] == "last known alive on 2019-12-12, time zero 2019-12-27"
    assert study.adtte("OS", endpoint_rules="admiralonco")[:2] == (-5, 1)


def test_a_month_only_scan_has_one_date_in_every_table_and_is_asked_about(study):
    study.subject().lesion("T1", {-5: 20, "2020-02": 60}).response("2020-02", "PD")
    assert study.responses() == study.responses("RSREP") == [(59, "PD")]  # 29 February 2020
    found = study.queries().query("CODE == 'SCAN_DATE_PARTIAL'")
    assert sorted(found.DOMAIN) == ["RS", "TR"]
    text = "DTC 2020-02 has no day; taken as 2020-02-29 (flag D)"
    assert found.MESSAGE.eq(found.DOMAIN + text).all()


def test_two_dates_under_one_visit_number_are_two_assessments(study):
    study.subject().lesion("T1", {-5: 20, 56: 20, 112: 30})
    for row, number in zip(study.rows["TR"], ("1", "2", "2")):
        row["VISITNUM"] = number
    assert study.responses() == [(56, "SD"), (112, "PD")]
    assert codes(study) == {"VISIT_TWO_DATES"}


def test_an_overall_response_of_check_counts_for_nothing(study):
    study.subject().lesion("T1", {-5: 20, 56: 20}).response(56, "CHECK")
    assert study.responses("RSREP") == []
    assert codes(study) == {"RESPONSE_UNKNOWN"}


def test_a_stable_disease_after_progression_moves_nothing(study):
    study.subject().lesion("T1", {-5: 20, 56: 30, 112: 30})
    study.response(56, "PD").response(112, "SD")
    assert study.adtte("PFS", response_source="reported") == (56, 0, "Disease Progression", None)
    assert "RESPONSE_AFTER_PD" in codes(study)


def test_a_screen_failure_has_no_endpoint_and_no_query_but_is_asked_about_when_treated(study):
    study.subject().lesion("T1", {-5: 20, 56: 20}).subject("S-2", start=None)
    study.rows["DM"][1]["ARMCD"] = "SCRNFAIL"
    tables = study.derive()
    assert set(tables.adtte.USUBJID) == {"S-1"}
    assert tables.exclusions.CODE.tolist() == ["SCREEN_FAILURE"]
    assert set(tables.queries.CODE) == {"COLUMN_LEFT_OUT"}
    study.add("EX", "S-2", EXSTDTC="2020-01-05", EXENDTC="2020-01-05", EXDOSE="10", EXTRT="DRUG")
    assert "SCREEN_FAILURE_TREATED" in codes(study)


@pytest.mark.parametrize(
    ("evaluator", "expected"), [("INVESTIGATOR", (56, 1)), ("INDEPENDENT ASSESSOR", (56, 0))]
)
def test_reads_of_two_evaluators_in_one_file_are_kept_apart(study, evaluator, expected):
    study.subject()
    for name, size, accepted in (("INVESTIGATOR", 20, None), ("INDEPENDENT ASSESSOR", 40, "Y")):
        study.lesion("T1", {-5: 20, 56: size}, TREVAL=name, TRACPTFL=accepted)
        study.rows["TU"][-1] |= {"TUEVAL": name, "TUACPTFL": accepted}
        study.response(56, "SD" if size == 20 else "PD", RSEVAL=name, RSACPTFL=accepted)
    assert study.adtte("PFS", evaluator=evaluator)[:2] == expected
    asked = study.queries(evaluator=evaluator)
    assert set(asked.CODE) - {"COLUMN_LEFT_OUT"} == {"EVALUATORS_MIXED"}
    assert sorted(asked[asked.CODE.eq("EVALUATORS_MIXED")].DOMAIN) == ["RS", "TR", "TU"]


def test_progression_is_measured_from_the_nadir_not_from_baseline(study):
    # 100 -> 50 (nadir) -> 60: 20 % and 10 mm above the nadir, 40 % below baseline
    study.subject().lesion("T1", {-5: 100, 56: 50, 112: 60})
    assert study.responses() == [(56, "PR"), (112, "PD")]


def test_twenty_percent_without_five_millimetres_is_no_progression(study):
    # nadir 20: 24.9 is 24.5 % but 4.9 mm above it; 25 is 5 mm above it
    study.subject().lesion("T1", {-5: 20, 56: 24.9, 112: 25})
    assert study.responses() == [(56, "SD"), (112, "PD")]


def test_there_are_never_more_confirmed_than_unconfirmed_responses(study):
    courses = [{56: 5, 112: 5}, {56: 5, 112: 20}, {56: 0, 112: 0}, {56: 20}, {56: 0, 112: 30}]
    for number, course in enumerate(courses):
        study.subject(f"S-{number}").lesion("T1", {-5: 20, **course}, subject=f"S-{number}")
    adrs = study.derive_adrs(study.plan())[2]
    good = adrs[adrs.AVALC.isin(["CR", "PR"])]
    confirmed, every = (set(good[good.PARAMCD.eq(name)].USUBJID) for name in ("CBOR", "BOR"))
    assert (confirmed, every) == ({"S-0", "S-2"}, {"S-0", "S-1", "S-2", "S-4"})


def test_a_query_changes_no_table(study):
    study.subject(death=40).lesion("T1", {-5: 20, 56: 20}).response(56, "CHECK")
    sdtm = study.sdtm()
    before = {name: frame.copy() for name, frame in sdtm.items()}
    clinical.derive_all(sdtm)
    for name, frame in before.items():
        assert frame.equals(sdtm[name])


def test_a_screen_failure_that_only_the_disposition_tells_is_one(study):
    study.subject().lesion("T1", {-5: 20, 56: 20})
    study.add("DM", "S-2", DTHDTC=None, SEX="F", AGE="60")
    study.add("DS", "S-2", DSDECOD="SCREEN FAILURE", DSSTDTC="2019-12-20")
    assert study.derive().exclusions.set_index("CODE").USUBJID.to_dict() == {"SCREEN_FAILURE": "S-2"}


def test_a_date_years_after_the_cut_off_is_asked_about(study):
    study.subject().lesion("T1", {-5: 20, 56: 20}).alive("2035-08-17")
    found = study.queries()
    assert found[found.CODE.eq("DATE_FAR_AFTER_CUTOFF")].SEVERITY.tolist() == ["warning"]


def test_a_scan_that_was_not_done_is_no_assessment_and_proves_no_life(study):
    study.subject().lesion("T1", {-5: 20, 56: 20}).alive(60)
    study.add("TR", TRLNKID="T1", TRTESTCD="LDIAM", TRSTAT="NOT DONE", TRDTC=iso(112), TRMETHOD="CT SCAN")
    study.response(112, None, RSSTAT="NOT DONE").response(113, "SD", RSSTAT="NOT DONE")
    study.add("LB", LBTESTCD="HGB", LBSTAT="NOT DONE", LBDTC=iso(120))
    assert study.responses() == [(56, "SD")]
    assert study.responses("RSREP") == []
    assert study.adtte("OS")[:2] == (60, 1)


def test_the_reference_rules_take_a_test_not_done_for_a_proof_of_life(study):
    study.subject(enrolled=0).alive(60).response(56, "SD")
    study.add("LB", LBTESTCD="HGB", LBSTAT="NOT DONE", LBDTC=iso(120))
    assert study.adtte("OS", endpoint_rules="admiralonco")[:2] == (120, 1)


@pytest.mark.parametrize(
    ("partial", "known"),
    [("2020-01", False), ("2019-12", False), ("2020", False), ("2020-02", True), (None, True)],
)
def test_a_partial_date_that_may_be_the_first_dose_leaves_time_zero_unknown(study, partial, known):
    study.subject().lesion("T1", {-5: 20, 56: 20})
    study.add("EX", EXSTDTC=partial, EXDOSE="10", EXTRT="DRUG")
    tables = study.derive()
    assert tables.adsl.TRTSDT.notna().tolist() == [known]
    assert tables.exclusions.CODE.tolist() == ([] if known else ["NO_START_DATE"])
    assert ("FIRST_DOSE_PARTIAL" in set(tables.queries.CODE)) == (not known)


@pytest.mark.parametrize(("dose", "known"), [("0", True), ("10", False)])
def test_only_a_dose_that_was_given_can_be_the_first(study, dose, known):
    study.subject().add("EX", EXSTDTC="2020-01", EXDOSE=dose, EXTRT="DRUG")
    assert study.derive_adrs(study.plan())[0].TRTSDT.notna().tolist() == [known]


@pytest.mark.parametrize(
    ("organ", "expected"), [("PERIBRONCHIAL TISSUE", "N"), ("RIB", "Y"), ("LEFT RIBS", "Y"), ("JAWBONE", "Y")]
)
def test_a_rib_is_bone_and_a_bronchus_is_none(study, organ, expected):
    study.subject().lesion("NT1", {-5: "PRESENT", 56: "PRESENT"}, kind="NON-TARGET", organ=organ)
    assert study.derive_adrs(study.plan())[0].BONEONLY.tolist() == [expected]
