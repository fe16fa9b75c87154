"""Courses of single subjects: places in time by hand, responses and endings as PFS sees them."""

import numpy as np
import pandas as pd
import pytest

from analysis.clinical import courses

MONTH = 30.4375
CUTOFF = 908  # registered on 2019-12-27, 30 months later is 2022-06-27: 366 + 365 + 177 days after first dose
KEEP_ALL = {"followup": "all"}


def changes_of(study, **settings):
    tables = study.endpoints(**settings)
    return courses.target_changes(tables.adtr, tables.adrs, tables.adsl, study.plan(**settings))


def courses_of(study, **settings):
    tables = study.endpoints(**settings)
    return courses.subject_courses(tables.adsl, tables.adrs, tables.adtte, study.plan(**settings))


def episodes_of(study, **settings):
    settings = {"response_source": "reported", **settings}
    tables = study.endpoints(**settings)
    found = courses.response_episodes(tables.adsl, tables.adrs, study.plan(**settings))
    days = [(round(start * MONTH), round(end * MONTH)) for start, end in zip(found.MONTHS, found.ENDM)]
    return list(zip(found.EVENT, days, found.ENDED))


def events_of(study, **settings):
    tables = study.endpoints(**settings)
    rules = study.plan(**settings)
    found = courses.subject_courses(tables.adsl, tables.adrs, tables.adtte, rules)
    events = courses.course_events(tables.adsl, tables.adrs, found, rules)
    return [(event, round(months * MONTH)) for event, months in zip(events.EVENT, events.MONTHS)]


def dosed(study, last, subject="S-1"):
    return study.add("EX", subject, EXSTDTC="2020-01-01", EXENDTC=day(last), EXDOSE="10", EXTRT="DRUG")


def day(number):
    return (pd.Timestamp("2020-01-01") + pd.Timedelta(days=number)).strftime("%Y-%m-%d")


def new_therapy(study, on, subject="S-1"):
    return study.add("CM", subject, CMCAT="SUBSEQUENT ANTI-CANCER THERAPY", CMTRT="X", CMSTDTC=day(on))


# ---- change of the sum of diameters


def test_changes_are_percent_of_the_baseline_sum_at_months_from_first_dose(study):
    # 40 mm at baseline: 26 is -35 % (PR); 36 is -10 % but 10 mm and 38 % above 26 (PD); 44 is +10 %
    study.subject().lesion("T1", {-3: 40, 56: 26, 112: 36, 168: 44})
    found = changes_of(study)
    assert found.MONTHS.tolist() == pytest.approx([0, 56 / MONTH, 112 / MONTH, 168 / MONTH])
    assert found.SUMDIAM.tolist() == [40, 26, 36, 44] and set(found.BASESUM) == {40}
    assert found.CHANGE.tolist() == pytest.approx([0, -35, -10, 10])
    assert found.AVALC.tolist() == [None, "PR", "PD", "PD"]
    assert found.AFTERPD.tolist() == ["N", "N", "N", "Y"]
    assert set(found.BESTRESP) == {"PR"}


def test_only_assessments_with_every_target_measured_have_a_change(study):
    study.subject().lesion("T1", {-3: 30, 56: 20, 112: 20}).lesion("T2", {-3: 20, 112: 15})
    found = changes_of(study)
    assert found.CHANGE.tolist() == pytest.approx([0, -30])  # day 56 misses T2
    assert found.MONTHS.tolist() == pytest.approx([0, 112 / MONTH])


def test_the_baseline_sum_is_the_one_the_derived_response_started_from(study):
    # a target measured twice before the first dose counts by the later scan
    study.subject().lesion("T1", {-10: 33, -3: 30, 56: 29}).lesion("T2", {-10: 20, 56: 20})
    tables = study.endpoints()
    found = changes_of(study)
    first = tables.adrs[tables.adrs.PARAMCD.eq("OVRLRESP")].iloc[0]
    assert set(found.BASESUM) == {50.0} == {first.NADIR}


def test_subjects_without_targets_have_no_rows_and_those_never_assessed_a_baseline(study):
    study.subject("S-1").lesion("N1", {-3: "PRESENT", 56: "PRESENT"}, "S-1", kind="NON-TARGET")
    study.subject("S-2").lesion("T1", {-3: 30}, "S-2")
    found = changes_of(study)
    assert found[["USUBJID", "CHANGE", "BESTRESP"]].values.tolist() == [["S-2", 0.0, "MISSING"]]
    best = courses.best_changes(found)
    assert best.USUBJID.tolist() == ["S-2"] and best.CHANGE.isna().all()


def test_a_new_lesion_is_marked_where_the_sum_is_complete(study):
    study.subject().lesion("T1", {-3: 30, 56: 30, 112: 30}).lesion("X1", {112: "PRESENT"}, kind="NEW")
    found = changes_of(study)
    assert found[["AVALC", "NEWLES"]].values.tolist() == [[None, None], ["SD", "N"], ["PD", "Y"]]


@pytest.mark.parametrize(
    "last, settings, kept", [(CUTOFF, {}, 3), (CUTOFF + 1, {}, 2), (CUTOFF + 1, KEEP_ALL, 3)]
)
def test_changes_end_at_the_data_cutoff(study, last, settings, kept):
    study.subject().lesion("T1", {-3: 30, 56: 28, last: 27})
    assert len(changes_of(study, **settings)) == kept


@pytest.mark.parametrize("settings, kept", [({}, 2), ({"new_therapy": "event"}, 3)])
def test_changes_end_at_a_new_therapy_as_best_response_does(study, settings, kept):
    study.subject().lesion("T1", {-3: 30, 56: 28, 112: 12})
    new_therapy(study, 57)
    found = changes_of(study, **settings)
    assert len(found) == kept
    assert set(found.BESTRESP) == {"SD" if kept == 2 else "PR"}


def test_the_best_change_is_the_lowest_up_to_the_first_progression(study):
    study.subject().lesion("T1", {-3: 40, 56: 36, 112: 50, 168: 20})
    best = courses.best_changes(changes_of(study))
    assert best.values.tolist() == [["S-1", pytest.approx(-10.0), "SD"]]


def test_neither_order_of_rows_nor_names_change_a_change(study):
    study.subject("B").lesion("T1", {-3: 40, 56: 26, 112: 36}, "B")
    study.subject("A").lesion("T1", {-3: 20, 56: 21}, "A")
    tables, rules = study.endpoints(), study.plan()
    plain = courses.target_changes(tables.adtr, tables.adrs, tables.adsl, rules)
    mixed = [frame.sample(frac=1, random_state=3) for frame in (tables.adtr, tables.adrs, tables.adsl)]
    pd.testing.assert_frame_equal(courses.target_changes(*mixed, rules), plain)


def test_a_study_without_lesions_has_no_changes(study):
    study.subject().response(56, "SD")
    assert changes_of(study, response_source="reported").empty


# ---- treatment and follow-up


def test_treatment_goes_on_where_the_last_dose_reaches_the_cutoff(study):
    dosed(study.subject(), 1000)
    row = courses_of(study).iloc[0]
    assert (row.TRTONGO, row.FUPONGO, row.DTHFL) == ("Y", "Y", "N")
    assert row.TRTSTM == 0 and row.TRTENM == pytest.approx(CUTOFF / MONTH) == row.FUPM


def test_a_later_contact_without_a_dose_ends_treatment_not_follow_up(study):
    dosed(study.subject(), 100).alive(950)
    row = courses_of(study).iloc[0]
    assert (row.TRTONGO, row.FUPONGO) == ("N", "Y")
    assert pytest.approx(100 / MONTH) == row.TRTENM


@pytest.mark.parametrize("last, goes_on", [(CUTOFF - 63, "Y"), (CUTOFF - 64, "N")])
def test_who_was_not_seen_for_an_interval_and_a_window_is_lost(study, last, goes_on):
    # eight weeks and seven days before the cut-off
    dosed(study.subject(), last)
    row = courses_of(study).iloc[0]
    assert (goes_on, goes_on) == (row.TRTONGO, row.FUPONGO)


def test_a_death_ends_the_course_and_one_after_the_cutoff_does_not_enter(study):
    dosed(study.subject("S-1", death=50), 40, "S-1")
    dosed(study.subject("S-2", death=CUTOFF + 12), CUTOFF + 2, "S-2")
    first, second = courses_of(study).itertuples()
    assert (first.DTHFL, first.FUPONGO, first.TRTONGO) == ("Y", "N", "N")
    assert first.FUPM == pytest.approx(50 / MONTH) == first.PFSM and first.PFSEVNT == "Death"
    assert (second.DTHFL, second.FUPONGO, second.TRTONGO) == ("N", "Y", "Y")


def test_who_died_shortly_before_the_cutoff_is_followed_no_longer(study):
    dosed(study.subject(death=CUTOFF - 10), CUTOFF - 12)
    row = courses_of(study).iloc[0]
    assert (row.DTHFL, row.FUPONGO, row.TRTONGO) == ("Y", "N", "N")


def test_a_contact_after_the_cutoff_tells_nothing_of_treatment_before_it(study):
    dosed(study.subject(), CUTOFF + 12).alive(CUTOFF + 40)
    assert courses_of(study).TRTONGO.tolist() == ["Y"]


def test_a_course_ends_at_death_even_where_pfs_ends_later(study):
    tables = study.subject(death=50).derive()
    late = tables.adtte.PARAMCD.eq("PFS")
    adtte = tables.adtte.assign(ADT=tables.adtte.ADT.mask(late, pd.Timestamp("2020-04-10")))
    row = courses.subject_courses(tables.adsl, tables.adrs, adtte, study.plan()).iloc[0]
    assert pytest.approx(50 / MONTH) == row.FUPM and pytest.approx(100 / MONTH) == row.PFSM


def test_new_therapy_ends_treatment_whatever_the_doses(study):
    new_therapy(dosed(study.subject(), 1000), 900)
    row = courses_of(study).iloc[0]
    assert pytest.approx(900 / MONTH) == row.NACTM and row.TRTONGO == "N" and row.FUPONGO == "Y"


def test_a_new_therapy_after_the_cutoff_does_not_enter(study):
    new_therapy(dosed(study.subject(), 1000), CUTOFF + 1)
    row = courses_of(study).iloc[0]
    assert np.isnan(row.NACTM) and row.TRTONGO == "Y"


def test_without_a_cutoff_the_latest_contact_of_the_study_closes_it(study):
    dosed(study.subject("S-1"), 400, "S-1").alive(400, "S-1")
    dosed(study.subject("S-2"), 1200, "S-2")
    first, second = courses_of(study, **KEEP_ALL).itertuples()
    assert (first.TRTONGO, second.TRTONGO) == ("N", "Y")
    assert pytest.approx(1200 / MONTH) == second.TRTENM


def test_randomised_and_never_treated_is_a_course_without_treatment(study):
    study.subject("S-1", start=None).response(30, "SD", "S-1").alive(60, "S-1")
    study.subject("S-2").response(30, "SD", "S-2")
    row = courses_of(study, endpoint_rules="admiralonco").iloc[0]
    assert np.isnan(row.TRTSTM) and np.isnan(row.TRTENM) and row.TRTONGO == "N"
    assert pytest.approx(65 / MONTH) == row.FUPM  # randomised on day -5


def test_a_study_of_days_without_dates_has_no_courses(study):
    tables = study.subject().derive()
    undated = tables.adtte.assign(STARTDT=pd.NaT, ADT=pd.NaT)
    found = courses.subject_courses(tables.adsl, tables.adrs, undated, study.plan())
    assert found.empty and list(found) == courses.COURSE_COLUMNS
    assert courses.course_events(tables.adsl, tables.adrs, found, study.plan()).empty


# ---- responses and events


@pytest.mark.parametrize(
    "reported, expected",
    [
        ({56: "PR", 112: "PR", 168: "PD"}, [("PR", (56, 168), "PD")]),
        ({56: "PR", 112: "CR", 168: "PD"}, [("PR", (56, 112), "CR"), ("CR", (112, 168), "PD")]),
        ({56: "PR", 112: "SD", 168: "SD", 224: "NE"}, [("PR", (56, 168), "LAST")]),
        ({56: "CR", 112: "PR"}, [("CR", (56, 112), "LAST")]),
        ({56: "PD", 112: "PR"}, []),
        ({56: "SD", 112: "NE"}, []),
    ],
)
def test_a_response_lasts_until_progression_or_the_last_adequate_assessment(study, reported, expected):
    study.subject()
    for when, value in reported.items():
        study.response(when, value)
    assert episodes_of(study) == expected


def test_events_stand_in_order_of_time_and_only_the_first_progression_counts(study):
    dosed(study.subject(death=400), 170)
    study.lesion("T1", {-3: 40, 56: 26, 112: 36, 168: 44})
    new_therapy(study, 200)
    assert events_of(study) == [("PR", 56), ("PD", 112), ("NACT", 200), ("DEATH", 400)]


@pytest.mark.parametrize("switch, expected", [("ignore", []), ("event", [("CLINPD", 70)])])
def test_clinical_progression_is_an_event_where_the_plan_counts_it(study, switch, expected):
    study.subject().lesion("T1", {-3: 40, 56: 38})
    study.add("DS", DSDECOD="PROGRESSIVE DISEASE", DSSTDTC=day(70))
    assert events_of(study, clinical_progression=switch) == expected


def test_every_event_lies_within_its_course(study):
    dosed(study.subject("S-1"), 300, "S-1").lesion("T1", {-3: 40, 56: 26, 950: 60}, "S-1")
    tables, rules = study.endpoints(), study.plan()
    found = courses.subject_courses(tables.adsl, tables.adrs, tables.adtte, rules)
    events = courses.course_events(tables.adsl, tables.adrs, found, rules)
    assert (events.USUBJID.map(found.set_index("USUBJID").FUPM) >= events.MONTHS).all()
    assert events.EVENT.tolist() == ["PR"]  # the progression on day 950 lies after the cut-off
