"""Each trap of the specification raises its query, once, and the ledger adds up."""

import pandas as pd
import pytest

from analysis import clinical, contracts, plan
from analysis.clinical.queries import CHECKS, query_codes

FIRST_DOSE = pd.Timestamp("2020-01-01")


def iso(day):
    """Write the date `day` days after first dose."""
    return (FIRST_DOSE + pd.Timedelta(days=day)).strftime("%Y-%m-%d")


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


# Raised by what all subjects together show: a case that has it is a study of its own.
STUDY_WIDE = "EVALUATORS_MIXED"


def ask_together(study_type, cases):
    """Return case -> its queries, asked once about a study in which every case is a subject (or a pair)."""
    whole, names = study_type(), [f"C{place:02}" for place in range(len(cases))]
    for name, case in zip(names, cases.values()):
        one = study_type()
        case(one)
        whole.take(one, name)
    queries = whole.queries()
    assert set(queries[queries.USUBJID.isna()].CODE) <= {"COLUMN_LEFT_OUT"}
    subjects = queries.USUBJID.str.split("-").str[0]
    assert set(subjects.dropna()) <= set(names)
    return {case: queries[subjects.eq(name)] for case, name in zip(cases, names)}


def ask_alone(study, case):
    case(study)
    return study.queries()


@pytest.fixture(scope="module")
def trapped(study_type):
    return ask_together(study_type, {trap: trap for trap, code in TRAPS.items() if code != STUDY_WIDE})


@pytest.mark.parametrize(("trap", "code"), TRAPS.items(), ids=[trap.__name__ for trap in TRAPS])
def test_a_trap_raises_its_query_for_its_subject(study, trapped, trap, code):
    queries = trapped[trap] if trap in trapped else ask_alone(study, trap)
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
    assert len(tables.adsl) == 4 and set(tables.adtte.USUBJID) == {"S-1"}  # and three set aside


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


# --- one spoiled record, exactly these queries --------------------------------------------------------------


def clean(study):
    """Add a subject about whom there is nothing to ask."""
    study.subject().lesion("T1", {-5: 20, 56: 20}, VISITNUM="1").response(56, "SD").alive(60)
    study.rows["TR"][1]["VISITNUM"] = "2"
    study.rows["DM"][0] |= {"SITEID": "01", "RFSTDTC": "2020-01-01", "RFICDTC": "2019-12-20", "ARMCD": "A"}
    for day, number in ((-5, "1"), (56, "2")):
        study.rows["SV"].append({"USUBJID": "S-1", "VISITNUM": number, "SVSTDTC": iso(day)})
    return study


def spoil(domain, place=0, **values):
    """Return a function that changes one record."""
    return lambda study: study.rows[domain][place].update(values)


def extra(domain, **values):
    """Return a function that adds one record."""
    return lambda study: study.add(domain, **values)


def dies(study):
    """Let the subject die on day 100, said by DM and DS alike."""
    spoil("DM", DTHDTC=iso(100), DTHFL="Y")(study)
    study.add("DS", DSDECOD="DEATH", DSSTDTC=iso(100))


def both(*steps):
    def run(study):
        for step in steps:
            step(study)

    return run


def second(**changes):
    """Return a function that adds a second target, then changes the lesion's records."""

    def run(study):
        values = {"sizes": {-5: 20, 56: 20}, "organ": "LUNG"} | changes
        study.lesion("T2", values.pop("sizes"), **values)

    return run


def by_reader(reader, **values):
    return extra(
        "TU", TULNKID="T8", TUORRES="NON-TARGET", TULOC="LUNG", TUDTC=iso(-5), TUEVAL=reader, **values
    )


def non_target(study, first=-5, state="PRESENT"):
    study.lesion("N1", {first: state, 56: "PRESENT"}, kind="NON-TARGET", organ="LUNG")


T9 = {"TRLNKID": "T1", "TRTESTCD": "LDIAM", "TRSTRESU": "mm", "VISITNUM": "2"}
UNSCHEDULED = {"VISIT": "UNSCHEDULED", "VISITNUM": "99"}
SPOILED = {
    # subjects
    "not treated": (lambda s: s.subject("S-2", start=None), {"NOT_TREATED"}),
    "registered late": (spoil("DS", DSSTDTC=iso(3)), {"REGISTERED_AFTER_FIRST_DOSE"}),
    "late consent": (spoil("DM", RFICDTC=iso(1)), {"CONSENT_AFTER_FIRST_DOSE"}),
    "reference start": (spoil("DM", RFSTDTC=iso(1)), {"REFERENCE_START_DIFFERS"}),
    "old age": (spoil("DM", AGE="620"), {"AGE_IMPLAUSIBLE"}),
    "age in words": (spoil("DM", AGE="sixty"), {"AGE_IMPLAUSIBLE"}),
    "sex": (spoil("DM", SEX="FEMALE"), {"SEX_NOT_KNOWN"}),
    "flag": (extra("SUPPDM", QNAM="PRIORCHM", QVAL="MAYBE"), {"FLAG_UNREADABLE"}),
    "ecog": (extra("QS", QSTESTCD="ECOG101", QSORRES="7"), {"ECOG_IMPLAUSIBLE"}),
    "copy": (extra("AE", AESTDTC=iso(60)), {"RECORD_TWICE"}),
    "number": (spoil("SV", VISITNUM="one"), {"NUMBER_UNREADABLE", "VISIT_NOT_IN_SV"}),
    # treatment
    "dose in words": (extra("EX", EXDOSE="10 mg", EXSTDTC=iso(5), EXTRT="DRUG"), {"DOSE_NOT_A_NUMBER"}),
    "dose below 0": (extra("EX", EXDOSE="-10", EXSTDTC=iso(5), EXTRT="DRUG"), {"DOSE_NEGATIVE"}),
    "no dose": (extra("EX", EXSTDTC=iso(5), EXTRT="DRUG"), {"DOSE_MISSING"}),
    "dose without date": (extra("EX", EXDOSE="10", EXTRT="DRUG"), {"DOSE_WITHOUT_DATE"}),
    "exposure ends before it starts": (
        extra("EX", EXDOSE="10", EXTRT="DRUG", EXSTDTC=iso(20), EXENDTC=iso(10)), {"END_BEFORE_START"}),
    "event ends before it starts": (extra("AE", AESTDTC=iso(20), AEENDTC=iso(10)), {"END_BEFORE_START"}),
    "undated new therapy": (
        extra("CM", CMTRT="X", CMCAT="SUBSEQUENT THERAPY"), {"NEW_THERAPY_WITHOUT_DATE"}),
    "early new therapy": (
        extra("CM", CMTRT="X", CMCAT="SUBSEQUENT THERAPY", CMSTDTC=iso(-50)), {"NEW_THERAPY_BEFORE_TREATMENT"}),
    # death
    "death": (dies, set()),
    "death without flag": (
        both(dies, lambda s: s.subject("S-2", death=50), extra("DS", subject="S-2", DSDECOD="DEATH", DSSTDTC=iso(50))),
        {"DEATH_FLAG_DIFFERS", "BASELINE_MISSING"}),
    "death in DS only": (extra("DS", DSDECOD="DEATH", DSSTDTC=iso(100)), {"DEATH_NOT_IN_DM"}),
    "death in SS only": (extra("SS", SSSTRESC="DEAD", SSDTC=iso(100)), {"DEATH_NOT_IN_DM"}),
    "death in DM only": (
        both(dies, lambda s: s.subject("S-2", death=50), lambda s: s.rows["DM"][1].update(DTHFL="Y")),
        {"DEATH_ONLY_IN_DM", "BASELINE_MISSING"}),
    "treatment ended by death": (
        both(dies, extra("DS", DSDECOD="DEATH", DSSCAT="TREATMENT", DSSTDTC=iso(99))),
        set(),
    ),
    "two dates of death": (both(dies, lambda s: s.rows["DS"][1].update(DSSTDTC=iso(99))), {"DEATH_DATES_DIFFER"}),
    "dose after death": (both(dies, extra("EX", EXDOSE="10", EXTRT="DRUG", EXSTDTC=iso(101))), {"DOSE_AFTER_DEATH"}),
    # dates
    "scan without a day": (spoil("TR", 1, TRDTC="2020-02"), {"SCAN_DATE_PARTIAL"}),
    "death without a day": (
        both(dies, spoil("DM", DTHDTC="2020-04")), {"DEATH_DATE_PARTIAL"}),
    "contact in the month of treatment": (
        both(spoil("DS", DSSTDTC=iso(-5)), spoil("EX", EXSTDTC="2020-01-20", EXENDTC="2020-01-21"),
             spoil("DM", RFSTDTC="2020-01-20"), extra("AE", AESTDTC="2020-01")),
        set()),  # a later contact is known: the day changes nothing
    "a year mistyped": (spoil("AE", 0, AESTDTC="2035-08-17"), {"DATE_FAR_AFTER_CUTOFF", "AFTER_CUTOFF"}),
    "visits in the wrong order": (spoil("SV", 1, SVSTDTC=iso(-10)), {"VISIT_ORDER"}),
    "shared number": (
        both(*(extra("TR", **{**T9, **UNSCHEDULED, "TRSTRESC": "20", "TRDTC": iso(d)}) for d in (60, 70)),
             lambda s: s.response(70, "SD")), {"VISIT_NUMBER_SHARED"}),
    "visit not in SV": (spoil("TR", 1, VISITNUM="7"), {"VISIT_NOT_IN_SV"}),
    # responses
    "empty response": (extra("RS", RSTESTCD="OVRLRESP", RSDTC=iso(57)), {"RESPONSE_EMPTY"}),
    "undated response": (extra("RS", RSTESTCD="OVRLRESP", RSSTRESC="SD"), {"RESPONSE_WITHOUT_DATE"}),
    "two responses a day": (lambda s: s.response(56, "NE"), {"RESPONSE_TWICE"}),
    "response without scan": (lambda s: s.response(112, "SD"), {"RESPONSE_WITHOUT_SCAN"}),
    "scan without response": (
        lambda s: s.add("TR", **{**T9, "TRSTRESC": "20", "TRDTC": iso(112), "VISITNUM": None}),
        {"SCAN_WITHOUT_RESPONSE"}),
    "new lesion, stable": (
        lambda s: s.lesion("X1", {56: "PRESENT"}, kind="NEW"), {"NEW_LESION_WITHOUT_PD", "RESPONSE_DIFFERS"}),
    "stop for progression": (extra("DS", DSDECOD="PROGRESSIVE DISEASE", DSSTDTC=iso(60)), {"PROGRESSION_NOT_DOCUMENTED"}),
    "gap": (
        both(lambda s: s.response(250, "SD"), extra("TR", **{**T9, "TRSTRESC": "20", "TRDTC": iso(250), "VISITNUM": None})),
        {"ASSESSMENT_GAP"}),
    # lesions
    "another evaluator": (
        both(by_reader("INDEPENDENT ASSESSOR"),
             extra("TR", TRLNKID="T8", TRTESTCD="TUMSTATE", TRSTRESC="PRESENT", TRDTC=iso(-5))),
        {"EVALUATOR_DIFFERS", "EVALUATORS_MIXED"}),
    "lesion without a name": (spoil("TR", 1, TRLNKID=None), {"LESION_UNNAMED"}),
    "two types": (extra("TU", TULNKID="T1", TUORRES="NEW", TULOC="LIVER", TUDTC=iso(-4)), {"LESION_TYPE_CHANGED", "NEW_LESION_AT_BASELINE"}),
    "two organs": (extra("TU", TULNKID="T1", TUORRES="TARGET", TULOC="LUNG", TUDTC=iso(56)), {"LESION_ORGAN_CHANGED"}),
    "no location": (spoil("TU", TULOC=None), {"LOCATION_MISSING"}),
    "undated measurement": (extra("TR", **T9, TRSTRESC="20"), {"SCAN_DATE_MISSING"}),
    "late non-target": (lambda s: non_target(s, first=55), {"NON_TARGET_NO_BASELINE"}),
    "new at baseline": (lambda s: s.lesion("X1", {-5: "ABSENT"}, kind="NEW"), {"NEW_LESION_AT_BASELINE"}),
    "bone target": (second(organ="BONE"), {"TARGET_BONE"}),
    # measurements
    "no unit": (spoil("TR", 1, TRSTRESU=None), {"UNIT_MISSING"}),
    "decimal comma": (spoil("TR", 1, TRSTRESC="20,5"), {"DIAMETER_NOT_A_NUMBER", "RESPONSE_DIFFERS"}),
    "unit within": (spoil("TR", 1, TRSTRESC="20 mm"), {"DIAMETER_NOT_A_NUMBER", "RESPONSE_DIFFERS"}),
    "half a millimetre": (
        spoil("TR", 1, TRSTRESC="0.5"), {"DIAMETER_IMPLAUSIBLE", "DIAMETER_JUMP", "RESPONSE_DIFFERS"}),
    "half a metre": (
        spoil("TR", 1, TRSTRESC="500"), {"DIAMETER_IMPLAUSIBLE", "DIAMETER_JUMP", "RESPONSE_DIFFERS"}),
    "mm for cm": (spoil("TR", 1, TRSTRESC="2"), {"DIAMETER_JUMP", "RESPONSE_DIFFERS"}),
    "cm as cm": (spoil("TR", 1, TRSTRESC="2", TRSTRESU="cm"), set()),
    "too small": (both(spoil("TR", 0, TRSTRESC="45"), spoil("TR", 1, TRSTRESC="TOO SMALL TO MEASURE"),
                       spoil("RS", RSSTRESC="PR")), set()),
    "no result": (spoil("TR", 1, TRSTRESC=None), {"RESULT_MISSING", "RESPONSE_DIFFERS"}),
    "not done": (both(spoil("TR", 1, TRSTRESC=None, TRSTAT="NOT DONE"), spoil("RS", RSSTRESC="NE")), set()),
    "odd state": (lambda s: non_target(s, state="SHINY"), {"STATE_UNKNOWN"}),
    "ultrasound after CT": (spoil("TR", 1, TRMETHOD="ULTRASOUND"), {"METHOD_CHANGED"}),
    "CT by another name": (spoil("TR", 1, TRMETHOD="SPIRAL CT"), set()),
    "target on a PET": (second(method="PET/CT SCAN"), {"TARGET_METHOD"}),
    "long axis of a node": (
        both(second(organ="LYMPH NODE"), *(spoil("TR", place, TRTESTCD="LDIAM") for place in (2, 3))), {"AXIS_WRONG"}),
    "measured non-target": (
        both(non_target, extra("TR", **{**T9, "TRLNKID": "N1", "TRSTRESC": "8", "TRDTC": iso(56)})),
        {"NON_TARGET_MEASURED"}),
    "one target left out": (second(sizes={-5: 20}), {"TARGET_NOT_ASSESSED", "RESPONSE_DIFFERS"}),
}  # fmt: skip


def spoiled_study(change):
    return lambda study: change(clean(study))


@pytest.fixture(scope="module")
def spoiled(study_type):
    cases = {name: change for name, (change, codes) in SPOILED.items() if STUDY_WIDE not in codes}
    return ask_together(study_type, {name: spoiled_study(change) for name, change in cases.items()})


@pytest.mark.parametrize("name", SPOILED)
def test_one_spoiled_record_raises_exactly_its_queries(study, spoiled, name):
    change, expected = SPOILED[name]
    queries = spoiled[name] if name in spoiled else ask_alone(study, spoiled_study(change))
    queries = queries[queries.CODE.ne("COLUMN_LEFT_OUT")]
    assert set(queries.CODE) == expected
    about = queries[queries.USUBJID.notna()]
    assert about.RECORD.str.len().gt(0).all() and about.MESSAGE.str.len().gt(0).all()


def test_a_spoiled_record_is_asked_about_alike_in_a_study_of_its_own(study, spoiled):
    change, expected = SPOILED["half a metre"]
    alone = ask_alone(study, spoiled_study(change)).query("CODE != 'COLUMN_LEFT_OUT'")
    together = spoiled["half a metre"]
    columns = [name for name in alone if name != "USUBJID"]
    assert set(alone.CODE) == expected
    assert alone[columns].to_dict("records") == together[columns].to_dict("records")


def test_a_clean_study_raises_no_query(study):
    clean(study)
    assert set(study.queries().CODE) <= {"COLUMN_LEFT_OUT"}


def ask(study, edit):
    """Run the checks on domains changed after they were read."""
    settings = study.plan()
    adsl, adtr, adrs = study.derive_adrs(settings)
    sdtm = study.sdtm()
    edit(sdtm)
    return clinical.check_queries(
        sdtm, adsl, adtr, adrs, clinical.derive_adtte(adsl, adtr, adrs, settings), settings
    )


@pytest.mark.parametrize(
    ("outcome", "asked"), [("FATAL", True), ("NOT RECOVERED", False), ("NOT FATAL", False)]
)
def test_a_fatal_event_without_a_death_is_queried(study, outcome, asked):
    queries = ask(clean(study), lambda sdtm: sdtm["AE"].__setitem__("AEOUT", outcome))
    assert queries.CODE.eq("DEATH_NOT_IN_DM").any() == asked


def test_how_the_reader_adapted_a_file_is_a_note_with_the_code_of_the_reader(study):
    queries = ask(
        clean(study), lambda sdtm: sdtm["AE"].attrs.update(adaptations=[["CSV_DELIMITER", "semicolons"]])
    )
    row = queries[queries.CODE.eq("CSV_DELIMITER")].iloc[0]
    assert (row.SEVERITY, row.DOMAIN, row.MESSAGE) == ("note", "AE", "semicolons")
    contracts.check("queries_01", queries)


def test_a_reappearing_lesion_and_a_pet_only_lesion_are_listed(study):
    study.subject().lesion("T1", {-5: 20, 56: 0, 112: 2}).lesion(
        "T2", {-5: 20, 56: 20, 112: 20}, organ="LUNG"
    )
    study.lesion("X1", {27: "PRESENT"}, kind="NEW", method="PET/CT SCAN")
    queries = study.queries().set_index("CODE")
    assert queries.RECORD["REAPPEARANCE"] == "assessment 2"
    assert queries.MESSAGE["PET_ONLY_LESION"] == "seen on the study PET of 2020-01-28"


def about(queries, code):
    return sorted(queries[queries.CODE.eq(code)].MESSAGE)


def test_a_partial_date_is_listed_only_where_it_could_change_a_result(study):
    clean(study).add("AE", AESTDTC="2020-02").add("AE", AESTDTC="2020-05")  # alive on 1 March
    study.add("LB", LBDTC="2020", LBTESTCD="GLUC")
    study.add("CM", CMTRT="X", CMCAT="PRIOR CHEMOTHERAPY", CMSTDTC="2013-05")
    assert about(study.queries(), "DATE_PARTIAL") == [
        "AESTDTC 2020-05 has no day; taken as 2020-05-01 (flag D)",
        "LBDTC 2020 has no month; taken as 2020-01-01 (flag M)",
    ]


@pytest.mark.parametrize(("category", "asked"), [("SUBSEQUENT THERAPY", 1), ("CONCOMITANT", 0)])
def test_the_start_of_a_new_therapy_without_a_day_is_listed_and_that_of_another_drug_is_not(
    study, category, asked
):
    clean(study).add("CM", CMTRT="X", CMCAT=category, CMSTDTC="2020-01")
    expected = ["CMSTDTC 2020-01 has no day; taken as 2020-01-01 (flag D)"] * asked
    assert about(study.queries(), "DATE_PARTIAL") == expected


def test_a_missing_day_of_death_is_one_query_that_says_what_bounded_it(study):
    dies(clean(study))
    study.alive(70).add("AE", AESTDTC=iso(65), AEENDTC="2020-03", AEOUT="FATAL")
    study.rows["DM"][0]["DTHDTC"] = study.rows["DS"][-1]["DSSTDTC"] = "2020-03"
    queries = study.queries()
    assert queries.CODE.tolist().count("DEATH_DATE_PARTIAL") == 1
    assert set(queries.CODE) - {"COLUMN_LEFT_OUT"} == {"DEATH_DATE_PARTIAL"}
    assert about(queries, "DEATH_DATE_PARTIAL") == [
        "DTHDTC 2020-03 has no day; moved to 2020-03-11, the last contact (flag D)"
    ]


@pytest.mark.parametrize(("contact", "asked"), [(70, []), (91, ["AESTDTC 2020-04-01, death on 2020-03"])])
def test_a_contact_within_the_period_of_a_partial_death_is_no_error(study, contact, asked):
    base(study).alive(contact)
    study.rows["DM"][0]["DTHDTC"] = "2020-03"
    assert about(study.queries(endpoint_rules="admiralonco"), "DEATH_BEFORE_CONTACT") == asked


def test_a_scan_after_death_is_asked_about_once_a_domain_and_only_for_reads_in_use(study):
    base(study, death=40).lesion("T2", {-5: 20, 56: 20}, organ="LUNG").response(56, "SD")
    for name in ("INDEPENDENT ASSESSOR", "OTHER"):
        study.lesion("T1", {-5: 20, 57: 20}, TREVAL=name)
        study.rows["TU"][-1]["TUEVAL"] = name
    assert about(study.queries(), "ASSESSMENT_AFTER_DEATH") == [
        "RSDTC 2020-02-26, death on 2020-02-10",
        "TRDTC 2020-02-26, death on 2020-02-10 (2 records)",
    ]


def test_a_visit_of_a_read_that_is_not_used_is_not_asked_about(study):
    clean(study).add("TR", **{**T9, "VISITNUM": "7"}, TRDTC=iso(90), TREVAL="INDEPENDENT ASSESSOR")
    assert not study.queries().CODE.isin(["VISIT_NOT_IN_SV", "VISIT_TWO_DATES", "VISIT_ORDER"]).any()


def test_what_lies_after_the_cut_off_is_one_note_a_subject(study):
    base(study, death=1600).lesion("T2", {-5: 20, 1500: 20}).alive(1550)
    found = study.queries().query("CODE == 'AFTER_CUTOFF'")
    assert len(found) == 1
    for part in ("death 2024-05-19", "last contact 2024-03-30", "response 2024-02-09"):
        assert part in found.MESSAGE.item()


@pytest.mark.parametrize(
    ("left_out", "ratio", "asked"),
    [
        ("TUMETHD", 0.8, ["TUMETHOD not found or empty; TUMETHD looks like it"]),
        ("TUMETHD", 0.95, []),  # ratio of the two names: 2 * 7 / 15
        ("XFOO", 0.8, []),
    ],
)
def test_a_column_left_out_that_looks_like_an_absent_one_is_a_warning(study, left_out, ratio, asked):
    clean(study)
    for row in study.rows["TU"]:
        row[left_out] = row.pop("TUMETHOD")
    queries = study.queries(column_likeness=ratio)
    assert about(queries, "COLUMN_MISSPELT") == asked
    listed = queries[queries.CODE.eq("COLUMN_LEFT_OUT")].MESSAGE.str.contains(left_out).any()
    assert listed == (not asked)  # one query, not two


def test_a_column_of_the_standard_near_an_absent_one_is_no_slip(study):
    clean(study)
    for row in study.rows["EX"]:
        row["EXDOSFRM"] = "TABLET"  # EXDOSFRQ is absent, 14 of 16 letters match
    assert not study.queries().CODE.eq("COLUMN_MISSPELT").any()


def test_a_record_without_a_number_is_named_by_what_it_is(study):
    clean(study).add("EX", EXSEQ=None, EXTRT="DRUG", EXDOSE="-1", EXSTDTC="2020-01-03")
    found = study.queries().query("CODE == 'DOSE_NEGATIVE'")
    assert found.RECORD.tolist() == ["EXTRT DRUG EXSTDTC 2020-01-03"]


def test_the_order_of_records_changes_no_query(study):
    two_dates(study)
    study.add("AE", AESTDTC="2020-02-30").subject("S-2", death=30).alive(40, "S-2")
    before = study.queries()
    for rows in study.rows.values():
        rows.reverse()
    pd.testing.assert_frame_equal(before, study.queries())


def test_the_plan_may_see_a_severity_otherwise(study):
    impossible(study)
    queries = study.queries(query_severity={"DATE_IMPOSSIBLE": "note"})
    assert queries[queries.CODE.eq("DATE_IMPOSSIBLE")].SEVERITY.tolist() == ["note"]


@pytest.mark.parametrize("change", [{"DATE_IMPOSIBLE": "note"}, {"DATE_IMPOSSIBLE": "grave"}])
def test_an_unknown_code_or_severity_of_the_plan_is_refused(study, change):
    impossible(study)
    with pytest.raises(plan.PlanError, match="QUERY_SEVERITY_UNKNOWN"):
        study.queries(query_severity=change)


def test_every_code_has_a_severity_a_meaning_and_an_action():
    codes = query_codes()
    assert codes.CODE.is_unique and set(codes.CODE) == set(CHECKS)
    assert codes.SEVERITY.isin(["error", "warning", "note"]).all()
    assert codes[["MEANING", "ACTION"]].apply(lambda text: text.str.len().gt(5)).all(axis=None)


def test_every_code_is_raised_by_a_test_of_this_file():
    raised = set(TRAPS.values()).union(*(expected for _, expected in SPOILED.values()))
    elsewhere = {
        "COLUMN_LEFT_OUT",
        "COLUMN_MISSPELT",
        "REAPPEARANCE",
        "PET_ONLY_LESION",
        "LAST_ALIVE_BEFORE_START",
        "PFS_AFTER_OS",
    }
    assert set(CHECKS) == raised | elsewhere
