"""PFS and OS: one hand-made case for every row of both rule sets, the expected row written beside it.

Days count from first dose; the expected row is (day of ADT, CNSR, EVNTDESC, CNSDTDSC).
"""

import pandas as pd
import pytest

from analysis import contracts

LAST, START = "Last Tumor Assessment", "Treatment Start"


def with_target(study, sizes, **subject):
    return study.subject(**subject).lesion("T1", {-5: 20, **sizes})


# --- rule set pearl -----------------------------------------------------------------------------------------


def test_row_1_no_adequate_baseline_is_censored_at_day_one(study):
    study.subject(death=100).lesion("T1", {56: 20})
    assert study.adtte() == (0, 1, "No Adequate Baseline", START)
    assert study.adtte("PFSNOBL") == (100, 0, "Death", None)
    assert study.derive().adtte.query("PARAMCD == 'PFS'").AVAL.tolist() == [1.0]


@pytest.mark.parametrize(
    ("death", "expected"),
    [(182, (182, 0, "Death", None)), (183, (56, 1, "Two or More Missed Assessments", LAST))],
)
def test_row_2_a_death_more_than_126_days_after_the_last_assessment_is_censored_there(study, death, expected):
    with_target(study, {56: 20}, death=death)  # 2 x 56 + 2 x 7 = 126
    assert study.adtte() == expected
    assert study.adtte("PFSMISS") == (death, 0, "Death", None)


def test_row_2_a_progression_after_missed_visits_is_censored_at_the_assessment_before(study):
    with_target(study, {56: 20, 236: 60})
    assert study.adtte() == (56, 1, "Two or More Missed Assessments", LAST)
    assert study.adtte("PFSMISS") == (236, 0, "Disease Progression", None)
    assert study.adtte("PFSW12") == (236, 0, "Disease Progression", None)  # 180 days, 2 x 84 + 14 = 182


def test_row_2_counts_from_time_zero_where_nothing_came_before(study):
    with_target(study, {127: 60})
    assert study.adtte() == (0, 1, "Two or More Missed Assessments", START)


def test_row_2_not_evaluable_is_no_adequate_assessment(study):
    with_target(study, {56: 20, 140: "NOT EVALUABLE", 190: 60})
    assert study.adtte() == (56, 1, "Two or More Missed Assessments", LAST)


def test_row_3_new_therapy_before_progression_is_censored_before_it(study):
    with_target(study, {56: 20, 112: 60})
    study.add("CM", CMCAT="SUBSEQUENT ANTI-CANCER THERAPY", CMSTDTC="2020-03-11")  # day 70
    assert study.adtte() == (56, 1, "New Anti-Cancer Therapy", LAST)
    assert study.adtte("PFSNACT") == (112, 0, "Disease Progression", None)


def test_row_3_new_therapy_on_the_day_of_progression_does_not_come_before_it(study):
    with_target(study, {56: 20, 112: 60})
    study.add("CM", CMCAT="SUBSEQUENT ANTI-CANCER THERAPY", CMSTDTC="2020-04-22")
    assert study.adtte() == (112, 0, "Disease Progression", None)


def test_row_4_progression_between_visits_counts_at_its_date(study):
    with_target(study, {56: 20}).lesion("N1", {83: "PRESENT"}, kind="NEW", organ="BRAIN", VISITNUM="99.1")
    assert study.adtte() == (83, 0, "Disease Progression", None)


def test_row_5_a_death_is_an_event(study):
    with_target(study, {56: 20}, death=80)
    assert study.adtte() == (80, 0, "Death", None)
    assert study.adtte("OS") == (80, 0, "Death", None)


@pytest.mark.parametrize("death", [40, 200])
def test_row_5_a_death_before_any_assessment_is_an_event_however_late(study, death):
    with_target(study, {}, death=death)
    assert study.adtte() == (death, 0, "Death", None)


def test_row_5_read_strictly_in_order_a_late_death_without_assessment_is_censored(study):
    with_target(study, {}, death=200)
    assert study.adtte("PFSDTH") == (0, 1, "Two or More Missed Assessments", START)


def test_row_6_alive_without_assessment_is_censored_at_day_one_and_stays_in_os(study):
    with_target(study, {}).alive(90)
    assert study.adtte() == (0, 1, "No Post-Baseline Assessment", START)
    assert study.adtte("OS") == (90, 1, "Alive", "Alive During Study")


def test_row_7_a_stop_without_documented_progression_is_followed_on(study):
    with_target(study, {56: 20, 112: 20})
    study.add("DS", DSDECOD="PROGRESSIVE DISEASE", DSSTDTC="2020-03-01")  # day 60
    assert study.adtte() == (112, 1, "No Progression", LAST)
    assert study.adtte("PFSCLIN") == (60, 0, "Clinical Progression", None)


def test_row_8_alive_is_censored_at_the_last_adequate_assessment(study):
    with_target(study, {56: 20, 112: "NOT EVALUABLE"}).alive(300)
    assert study.adtte() == (56, 1, "No Progression", LAST)


def test_the_data_cut_off_is_thirty_months_after_the_first_patient_in(study):
    with_target(study, {56: 20, 880: 20, 950: 60}, death=1000)
    assert study.derive().adsl.DCUTDT.tolist() == [
        pd.Timestamp("2022-06-27")
    ]  # 2019-12-27 + 30 months: day 908
    assert study.adtte() == (880, 1, "No Progression", LAST)
    assert study.adtte("PFSALL", missed_visits="event") == (950, 0, "Disease Progression", None)
    assert study.adtte("OS") == (908, 1, "Alive", "Data Cut-Off")
    assert study.adtte("OSALL") == (1000, 0, "Death", None)
    assert study.queries().CODE.eq("AFTER_CUTOFF").any()


def test_the_reported_response_feeds_pfs_where_the_plan_says_so(study):
    with_target(study, {56: 20}).response(56, "PD")
    assert study.adtte() == (56, 1, "No Progression", LAST)
    assert study.adtte("PFSREP") == (56, 0, "Disease Progression", None)
    assert study.adtte(response_source="reported") == (56, 0, "Disease Progression", None)


def test_progression_on_a_study_pet_has_its_own_parameter(study):
    with_target(study, {56: 20}).lesion("N1", {14: "PRESENT"}, kind="NEW", organ="BONE", method="PET/CT SCAN")
    assert study.adtte() == (56, 1, "No Progression", LAST)
    assert study.adtte("PFSPET") == (14, 0, "Disease Progression", None)


def test_progression_and_death_on_one_day_is_progression(study):
    with_target(study, {56: 60}, death=56)
    assert study.adtte() == (56, 0, "Disease Progression", None)


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


# --- rule set admiralonco (time zero: randomisation on day -5) ----------------------------------------------


def reference(study, paramcd="PFS", **changes):
    return study.adtte(paramcd, endpoint_rules="admiralonco", **changes)


def test_reference_progression_is_the_first_reported_pd(study):
    study.subject(death=300).response(56, "SD").response(112, "PD").response(168, "PD")
    assert reference(study) == (112, 0, "Disease Progression", None)
    row = study.derive(endpoint_rules="admiralonco").adtte.query("PARAMCD == 'PFS'").iloc[0]
    assert row.AVAL == 112 + 5 + 1


def test_reference_death_without_progression(study):
    study.subject(death=300).response(56, "SD")
    assert reference(study) == (300, 0, "Death", None)  # no missed-visit rule


def test_reference_tie_of_progression_and_death_is_progression(study):
    assert reference(study.subject(death=56).response(56, "PD")) == (56, 0, "Disease Progression", None)


def test_reference_not_evaluable_is_a_valid_last_assessment(study):
    assert reference(study.subject().response(56, "SD").response(112, "NE")) == (112, 1, LAST, LAST)


@pytest.mark.parametrize("days", [[], [-5]])
def test_reference_without_later_assessment_is_censored_at_randomisation(study, days):
    study.subject()
    for day in days:
        study.response(day, "SD")
    assert reference(study) == (-5, 1, "Randomization", "Randomization")


def test_reference_survival_is_censored_at_the_last_contact(study):
    study.subject().alive(90)
    assert reference(study, "OS") == (90, 1, "Alive", "Alive During Study")


def test_reference_survival_ignores_scans(study):
    study.subject().response(300, "SD")
    assert reference(study, "OS") == (1, 1, "Alive", "Alive During Study")  # the last dose
    tables = study.derive(endpoint_rules="admiralonco")
    assert tables.queries.CODE.eq("PFS_AFTER_OS").sum() == 1
    assert set(tables.adtte.PARAMCD) == {"PFS", "OS"}


def test_reference_contact_before_randomisation_is_floored(study):
    study.subject(start=None).alive(-20)
    assert reference(study, "OS") == (-5, 1, "Randomization", "Randomization")


def test_reference_needs_a_randomisation(study):
    study.subject(enrolled=None).response(56, "PD")
    tables = study.derive(endpoint_rules="admiralonco")
    assert tables.adtte.empty
    assert tables.exclusions.CODE.tolist() == ["NO_START_DATE"]


def test_reference_partial_response_date_goes_to_the_end_of_the_month(study):
    study.subject().response("2020-02", "PD")
    assert reference(study) == (59, 0, "Disease Progression", None)  # 29 February


@pytest.mark.parametrize(("death", "day"), [("2020-03", 60), ("2021", 366)])
def test_reference_partial_death_date_goes_to_the_first_of_month_or_year(study, death, day):
    assert reference(study.subject(death=death)) == (day, 0, "Death", None)


def test_reference_death_filled_to_before_randomisation_is_floored(study):
    assert reference(study.subject(death="2019-12")) == (-5, 0, "Death", None)


def test_reference_variant_ends_at_new_therapy(study):
    study.subject().response(56, "SD").response(112, "PD")
    study.add("CM", CMCAT="SUBSEQUENT ANTI-CANCER THERAPY", CMSTDTC="2020-03-11")
    assert reference(study) == (112, 0, "Disease Progression", None)
    assert reference(study, "PFSNACT") == (56, 2, "New Anti-Cancer Therapy", LAST)


# --- properties ---------------------------------------------------------------------------------------------


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
    from analysis import clinical

    tables = clinical.derive_all(clinical.complete(sdtm_rows))
    return pd.concat([tables.adtte, tables.adtte_sensitivity], ignore_index=True)


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
    from analysis import clinical

    sdtm = many(study).sdtm()
    copies = {name: frame.copy() for name, frame in sdtm.items()}
    clinical.derive_all(sdtm)
    for name, frame in sdtm.items():
        pd.testing.assert_frame_equal(frame, copies[name])
