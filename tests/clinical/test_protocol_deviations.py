"""Protocol deviations: each rule by a hand-made subject, none twice, each beside the exclusion it led to."""

import pandas as pd
import pytest

from analysis import clinical, plan
from analysis.clinical.deviation_frame import outside

# Day 0 is the day of first dose: study day 1. Assessments are due every 56 days, 7 days either way.
FIRST_DOSE = pd.Timestamp("2020-01-01")
CALM = {"deviation_contact_days": 1000}  # the data cut-off lies 30 months after registration
LEDGER = pd.DataFrame(columns=["STEP", "USUBJID", "AVISIT", "ITEM", "CODE", "REASON"])


def iso(day):
    return (FIRST_DOSE + pd.Timedelta(days=day)).strftime("%Y-%m-%d")


@pytest.fixture
def treat(study_type):
    """Return a subject whose lesion had these sizes (mm) on these days, known alive on day `last`."""

    def make(last=200, assessed=(56, 112, 168), sizes=None, subject="S-1"):
        study = study_type().subject(subject, start=0).alive(last, subject)
        study.lesion("L1", sizes or {-7: 30} | {day: 30 for day in assessed}, subject)
        return study.add("CM", subject, CMCAT="PRIOR ENDOCRINE THERAPY", CMSTDTC="2015")

    return make


def found(study, **changes):
    """Return the deviations of the clinical records and the rules, by code."""
    settings = study.plan(**CALM | changes)
    adsl, adtr, adrs = study.derive_adrs(settings)
    rows, rules = clinical.derive_protocol_deviations(study.sdtm(), adsl, adtr, adrs, settings)
    return rows, rules.set_index("CODE")


def codes(study, **changes):
    return found(study, **changes)[0]["CODE"].tolist()


def test_a_subject_who_kept_to_the_protocol_has_no_deviation_and_every_rule_was_looked_at(treat):
    rows, rules = found(treat())
    assert rows.empty
    assert rules.drop(index="RECORDED")["STATUS"].eq("LOOKED").all()
    assert rules.loc["RECORDED", ["STATUS", "REASON"]].tolist() == ["UNKNOWN", "no domain DV"]


def test_a_planned_assessment_nobody_made_is_missed_and_named_by_its_week(treat):
    rows, rules = found(treat(assessed=(56, 168)))
    assert rows[["CODE", "AVISIT", "LIMIT"]].values.tolist() == [
        ["ASSESSMENT_MISSED", "W16", "week 16 ± 7 days"]
    ]
    assert rules.loc["ASSESSMENT_MISSED", "N"] == 1


def test_an_assessment_ten_days_late_is_three_days_outside_a_window_of_seven(treat):
    rows, _ = found(treat(assessed=(66, 112, 168)))
    assert rows[["CODE", "AVISIT", "AVAL", "UNIT"]].values.tolist() == [
        ["ASSESSMENT_OUT_OF_WINDOW", "W8", 3.0, "days late"]
    ]
    assert codes(treat(assessed=(49, 119, 168))) == []  # on the first and the last day of a window


@pytest.mark.parametrize("last, expected", [(118, []), (119, ["W16"])])
def test_an_assessment_is_missed_only_if_the_subject_was_there_when_its_window_closed(treat, last, expected):
    study = treat(last=last, assessed=(56,))
    assert found(study)[0]["AVISIT"].tolist() == expected


def test_nobody_owes_assessments_after_progression(treat):
    study = treat(last=300, sizes={-7: 30, 56: 60})
    assert codes(study) == []


def test_the_baseline_assessment_may_be_old_or_missing(treat):
    rows, _ = found(treat(last=20, sizes={-40: 30, 5: 30}))
    assert rows[["CODE", "AVAL", "UNIT"]].values.tolist() == [["BASELINE_ASSESSMENT_OLD", 12.0, "days early"]]
    other = treat(last=20, sizes={-7: 30, 5: 30}).take(treat(last=20, sizes={5: 30}), "S-2")
    rows, _ = found(other)
    assert rows[["USUBJID", "CODE"]].values.tolist() == [["S-2", "BASELINE_ASSESSMENT_MISSING"]]


@pytest.mark.parametrize("resumed, gap", [(18, []), (19, [8.0])])
def test_a_pause_counts_the_days_between_two_periods_of_one_drug(treat, resumed, gap):
    # Last dose on day 10: resumed on day 18 leaves days 11 to 17 without, seven.
    study = treat()
    study.rows["EX"].clear()
    for first, last in ((0, 10), (resumed, 100)):
        study.add("EX", EXSTDTC=iso(first), EXENDTC=iso(last), EXDOSE="10", EXTRT="DRUG")
    study.add("EX", EXSTDTC=iso(0), EXENDTC=iso(100), EXDOSE="25", EXTRT="OTHER")
    rows, _ = found(study)
    assert rows["AVAL"].tolist() == gap and set(rows["CODE"]) <= {"DOSE_GAP"}


def test_a_dose_reduction_and_a_period_within_another_are_no_pause(treat):
    study = treat()
    study.rows["EX"].clear()
    for first, last, dose in ((0, 60, "10"), (5, 9, "10"), (61, 100, "5")):
        study.add("EX", EXSTDTC=iso(first), EXENDTC=iso(last), EXDOSE=dose, EXTRT="DRUG")
    assert codes(study) == []


def test_new_therapy_is_a_deviation_before_progression_and_none_after_it(treat):
    before = treat(last=60, assessed=(56,))
    before.add("CM", CMCAT="SUBSEQUENT THERAPY", CMSTDTC=iso(58))
    assert codes(before) == ["NEW_THERAPY_BEFORE_PROGRESSION"]
    after = treat(last=60, sizes={-7: 30, 56: 60})
    after.add("CM", CMCAT="SUBSEQUENT THERAPY", CMSTDTC=iso(58))
    assert codes(after) == []


def test_each_criterion_of_eligibility_that_is_not_met_is_a_row_and_an_unknown_one_is_none(treat):
    study = treat()
    study.rows["CM"][0]["CMCAT"] = "OTHER"
    study.rows["DM"][0]["AGE"] = "17"
    rows, _ = found(study)  # ECOG is not known: no row
    assert rows[["CODE", "LIMIT"]].values.tolist() == [
        ["NOT_ELIGIBLE", "AGE at least 18"],
        ["NOT_ELIGIBLE", "prior endocrine therapy"],
    ]
    assert rows["AVAL"].isna().all()  # no age in the table


def test_a_criterion_without_a_limit_is_refused(treat):
    with pytest.raises(plan.PlanError, match="one_of, at_least, at_most or therapy"):
        found(treat(), deviation_eligibility=[{"column": "AGE"}])


def test_survival_follow_up_is_missing_where_the_last_contact_lies_far_before_the_cutoff(treat):
    # First registration on day -5, cut-off 30 months later: 2019-12-27 + 30 months is 2022-06-27.
    last = (pd.Timestamp("2022-06-27") - FIRST_DOSE).days
    calm = {"interval_weeks": 1000.0, "deviation_contact_days": 91}
    assert codes(treat(last=last - 91), **calm) == []
    rows, _ = found(treat(last=last - 92), **calm)
    assert rows[["CODE", "AVAL", "UNIT"]].values.tolist() == [["CONTACT_LOST", 92.0, "days"]]


def test_records_of_dv_are_listed_by_code_alone_and_free_text_never(treat):
    study = treat().add("DV", DVDECOD="wrong dose", DVTERM="Mrs Smith took two", DVCAT="MAJOR")
    study.add("DV", DVDECOD="Mrs Smith's tablets, which she lost on a train", DVTERM="x", DVCAT="MINOR")
    rows, rules = found(study)
    recorded = rows.set_index("DVDECOD")
    assert recorded["GRADE"].to_dict() == {"WRONG DOSE": "important", "NOT CODED": "minor"}
    assert not rows.astype(str).apply(lambda column: column.str.contains("Smith", case=False)).any().any()
    assert rules.loc["RECORDED", "STATUS"] == "LOOKED"


def test_a_rule_that_is_off_is_not_asked_and_a_study_without_records_cannot_know(treat):
    off = plan.defaults().clinical.deviation_rules
    off = {**off, "ASSESSMENT_MISSED": {**off["ASSESSMENT_MISSED"], "grade": "off"}}
    assert codes(treat(assessed=(56, 168)), deviation_rules=off) == []
    rows, rules = found(treat(assessed=(56,)), source="table")
    assert rows.empty and rules["STATUS"].eq("UNKNOWN").all()
    assert rules["REASON"].str.contains("one ready table").all()
    assert found(treat(), deviations="never")[1]["REASON"].eq("the plan does not ask for it").all()


def test_the_order_of_records_and_the_names_of_subjects_change_nothing(treat, study_type):
    study = treat(assessed=(66, 168))
    turned = study_type()
    turned.rows = {domain: rows[::-1] for domain, rows in study.rows.items()}
    pd.testing.assert_frame_equal(found(study)[0], found(turned)[0])


# Scans: study days are counted from 1.


def scans(*made, subjects=("S-1",), last=200, refused=(), pairs=(), off=None, expected=("D14", "D28"), **qc):
    """Return deviations and rules of scans made as (subject, visit, day from first dose)."""
    adsl = pd.DataFrame(
        {
            "STUDYID": "S", "USUBJID": list(subjects), "SAFFL": "Y", "TRTSDT": FIRST_DOSE, "ENRLDT": FIRST_DOSE,
            "DTHDT": pd.NaT, "NACTDT": pd.NaT, "LSTALVDT": FIRST_DOSE + pd.Timedelta(days=last),
            "DCUTDT": pd.Timestamp("2022-06-27"),
        }
    )  # fmt: skip
    rows = pd.DataFrame(made, columns=["USUBJID", "AVISIT", "DAY"])
    qc_rows = rows.assign(
        ADT=FIRST_DOSE + pd.to_timedelta(rows["DAY"], unit="D"),
        STATUS=["REFUSED" if visit in refused else "OK" for visit in rows["AVISIT"]],
        CODE=["WEIGHT_MISSING" if visit in refused else None for visit in rows["AVISIT"]],
        OFFDRUG7=off, **{"UPTAKEMIN": 60.0, "GLUCOSE": 5.0, "FASTING": "Y"} | qc,
    ).drop(columns="DAY")  # fmt: skip
    compared = pd.DataFrame(
        pairs, columns=["USUBJID", "AVISIT", "CHECK", "DIFF", "LIMIT", "RESULT"]
    )  # fmt: skip
    due = [(subject, visit) for subject in subjects for visit in expected]
    admr = pd.DataFrame(due, columns=["USUBJID", "AVISIT"])
    found, rules = clinical.derive_scan_deviations(adsl, qc_rows, compared, admr, plan.defaults())
    return found, rules.set_index("CODE"), adsl


KEPT = (("S-1", "D0", -3), ("S-1", "D14", 13), ("S-1", "D28", 27))


def test_three_scans_in_their_windows_are_no_deviation():
    rows, rules, _ = scans(*KEPT)
    assert rows.empty
    assert rules.loc[["SCAN_MISSING", "UPTAKE_TIME", "NOT_FASTING"], "STATUS"].eq("LOOKED").all()
    assert rules.loc["SCANNER_CHANGED", "STATUS"] == "UNKNOWN"  # no pair was compared
    assert rules.loc["OFF_DRUG_AT_SCAN", "STATUS"] == "UNKNOWN"


def test_a_due_scan_nobody_made_is_missing_and_one_after_the_subject_had_left_is_not():
    rows, _, _ = scans(KEPT[0], KEPT[1])
    assert rows[["CODE", "AVISIT", "LIMIT"]].values.tolist() == [
        ["SCAN_MISSING", "D28", "study day 24 to 35"]
    ]
    # Window D28 closes on study day 35, which is 34 days after the first dose.
    assert scans(KEPT[0], KEPT[1], last=33)[0].empty
    assert scans(KEPT[0], KEPT[1], last=34)[0]["CODE"].tolist() == ["SCAN_MISSING"]


def test_a_scan_near_its_window_is_out_of_it_and_not_missing_as_well():
    # Study day 21 (20 days after the first dose) is three days after the window of day 14 closed.
    rows, _, _ = scans(KEPT[0], ("S-1", "UNSCHED", 20), expected=("D14",))
    assert rows[["CODE", "AVISIT", "AVAL", "UNIT"]].values.tolist() == [
        ["SCAN_OUT_OF_WINDOW", "D14", 3.0, "days late"]
    ]
    # Named D14 by the reading centre, on study day 8: two days early.
    rows, _, _ = scans(KEPT[0], ("S-1", "D14", 7), KEPT[2])
    assert rows[["CODE", "AVAL", "UNIT"]].values.tolist() == [["SCAN_OUT_OF_WINDOW", 2.0, "days early"]]


def test_one_scan_between_two_windows_stands_for_one_visit_only():
    rows, _, _ = scans(KEPT[0], ("S-1", "UNSCHED", 20))  # study day 21: 3 days from D14 and from D28
    assert sorted(rows["CODE"]) == ["SCAN_MISSING", "SCAN_OUT_OF_WINDOW"]
    assert rows["AVISIT"].nunique() == 2


def test_a_baseline_scan_after_the_first_dose_is_told_from_one_too_early():
    rows, _, _ = scans(("S-1", "UNSCHED", 3), *KEPT[1:])  # study day 4
    assert rows[["CODE", "AVISIT", "AVAL"]].values.tolist() == [["BASELINE_SCAN_AFTER_DOSE", "D0", 3.0]]
    rows, _, _ = scans(("S-1", "D0", -30), *KEPT[1:])
    assert rows[["CODE", "AVAL", "UNIT"]].values.tolist() == [["SCAN_OUT_OF_WINDOW", 2.0, "days early"]]


def test_a_scan_has_one_uptake_deviation_however_many_pairs_it_is_part_of():
    rows, _, _ = scans(*KEPT, UPTAKEMIN=[75.0, 60.0, 60.0])
    assert rows[["CODE", "AVISIT", "AVAL", "LIMIT"]].values.tolist() == [
        ["UPTAKE_TIME", "D0", 75.0, "50 to 70 min"]
    ]


def test_glucose_fasting_and_days_off_the_drug_are_judged_scan_by_scan():
    rows, _, _ = scans(*KEPT, GLUCOSE=[11.1, 11.2, 5.0], FASTING=["Y", "Y", "N"], off=[None, 3.0, 4.0])
    assert rows[["CODE", "AVISIT"]].values.tolist() == [
        ["NOT_FASTING", "D28"],
        ["GLUCOSE_HIGH", "D14"],
        ["OFF_DRUG_AT_SCAN", "D28"],
    ]


def test_a_pair_with_two_failed_checks_of_one_rule_is_listed_once():
    pairs = [
        ("S-1", "D14", "model", None, "the same", "FAIL"),
        ("S-1", "D14", "vendor", None, "the same", "FAIL"),
        ("S-1", "D28", "vendor", None, "the same", "PASS"),
        ("S-1", "D28", "uptake_difference", 16.0, "at most 15 min apart", "FAIL"),
        ("S-1", "D28", "kernel", None, "the same", "UNKNOWN"),
    ]
    rows, rules, _ = scans(*KEPT, pairs=pairs)
    assert rows[["CODE", "AVISIT"]].values.tolist() == [
        ["SCANNER_CHANGED", "D14"],
        ["UPTAKE_DIFFERENCE", "D28"],
    ]
    assert rules.loc["RECONSTRUCTION_CHANGED", "STATUS"] == "UNKNOWN"


def test_days_outside_a_window_skip_the_day_zero_that_does_not_exist():
    days = pd.Series([-30.0, -28.0, -1.0, 1.0, 2.0])
    assert outside(days, -28, 1).tolist() == [-2.0, 0.0, 0.0, 0.0, 1.0]


# Joined with the ledger.


def exclusion(subject, visit, reason, code="NOT_EVALUABLE"):
    return dict(STEP="04", USUBJID=subject, AVISIT=visit, ITEM="subject", CODE=code, REASON=reason)


def test_a_deviation_names_the_exclusion_it_led_to_at_its_own_visit_only():
    rows, _, adsl = scans(KEPT[0], ("S-2", "D14", 13), subjects=("S-1", "S-2"))
    ledger = pd.DataFrame([
        exclusion("S-1", "D14", "PFS: NO_FOLLOWUP_SCAN"), exclusion("S-1", "D14", "OS: NO_FOLLOWUP_SCAN"),
        exclusion("S-2", "D14", "PFS: NO_BASELINE_SCAN"), exclusion("S-3", "D14", "PFS: NO_FOLLOWUP_SCAN"),
    ])  # fmt: skip
    joined = clinical.join_deviations([rows], ledger, adsl, plan.defaults())
    told = {(row.USUBJID, row.AVISIT): row.IMPACT for row in joined.itertuples()}
    assert told == {
        ("S-1", "D14"): "NO_FOLLOWUP_SCAN", ("S-1", "D28"): None,
        ("S-2", "D0"): "NO_BASELINE_SCAN", ("S-2", "D28"): None,
    }  # fmt: skip
    counts = clinical.reconcile_deviations(joined, ledger, plan.defaults()).set_index("CODE")
    # S-3 was left out without a deviation: it had left before the scan was due.
    assert counts.loc["NO_FOLLOWUP_SCAN"].tolist() == [2, 1, 1]
    assert counts.loc["NO_BASELINE_SCAN"].tolist() == [1, 1, 0]


def test_a_ledger_of_another_run_is_refused():
    rows, _, adsl = scans(KEPT[0])
    ledger = pd.DataFrame([exclusion("S-1", "D14", "PFS: NO_FOLLOWUP_SCAN")])
    joined = clinical.join_deviations([rows], ledger, adsl, plan.defaults())
    other = ledger.assign(USUBJID="S-9")
    with pytest.raises(ValueError, match="ledger of one run"):
        clinical.reconcile_deviations(joined, other, plan.defaults())


def test_what_a_rule_found_and_the_study_recorded_is_listed_once(treat):
    study = treat(assessed=(56, 168))
    for _ in range(2):
        study.add("DV", DVDECOD="VISIT MISSED", DVCAT="MINOR")
    settings = study.plan(**CALM, deviation_dv_codes={"VISIT MISSED": "ASSESSMENT_MISSED"})
    adsl, adtr, adrs = study.derive_adrs(settings)
    rows, rules = clinical.derive_protocol_deviations(study.sdtm(), adsl, adtr, adrs, settings)
    joined = clinical.join_deviations([rows], LEDGER, adsl, settings)
    # Derived once (week 16), recorded twice: the first record is the same, the second another one.
    assert joined[["CODE", "SOURCE"]].values.tolist() == [
        ["ASSESSMENT_MISSED", "ADRS"],
        ["ASSESSMENT_MISSED", "DV"],
    ]
    assert (
        clinical.join_rules([rules], joined, settings).set_index("CODE").loc["ASSESSMENT_MISSED", "FOUND"]
        == 2
    )


def test_no_deviation_anywhere_is_an_empty_table_and_rules_that_were_looked_at():
    rows, rules, adsl = scans(*KEPT)
    joined = clinical.join_deviations([rows], LEDGER, adsl, plan.defaults())
    assert joined.empty
    assert clinical.join_rules([rules.reset_index()], joined, plan.defaults())["FOUND"].eq(0).all()
