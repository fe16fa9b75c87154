"""RECIST 1.1 from lesions: boundaries, reappearance, missing targets, assessments. Expected values by hand.

The table of overall responses is in ``test_recist_table.py``, best responses in ``test_best_response.py``.
"""

from functools import cache

import pandas as pd
import pytest

from analysis.clinical.recist import state_of

from .conftest import Study, iso


def overall(study, **changes):
    return [value for _, value in study.responses(**changes)]


BOUNDARIES = [
    ({-5: 14.0, 56: 9.8}, ["PR"]),
    ({-5: 14.0, 56: 9.9}, ["SD"]),
    ({-5: 27.0, 56: 32.4}, ["PD"]),
    ({-5: 27.0, 56: 32.3}, ["SD"]),
    ({-5: 40, 56: 20, 112: 24.9}, ["PR", "PR"]),  # + 24.5 % but only 4.9 mm
    ({-5: 40, 56: 20, 112: 25.0}, ["PR", "PD"]),
    ({-5: 100, 56: 90, 112: 107.9}, ["SD", "SD"]),  # + 17.9 mm but 19.9 %
    ({-5: 100, 56: 90, 112: 108.0}, ["SD", "PD"]),
    ({-5: 10, 56: 13}, ["SD"]),  # 30 % without 5 mm
    ({-5: 100, 56: 40, 112: 60}, ["PR", "PD"]),  # against the nadir, not baseline
    ({-5: 20, 56: "TOO SMALL TO MEASURE"}, ["PR"]),
    ({-5: 20, 56: 0}, ["CR"]),
    ({-5: 20, 56: "NOT EVALUABLE"}, ["NE"]),
    ({-5: 50, 56: "NOT EVALUABLE", 112: 40, 168: 48}, ["NE", "SD", "PD"]),  # an NE visit sets no nadir
    ({-5: 100, 56: 119.9}, ["SD"]),  # the baseline is the first nadir
    ({-5: 100, 56: 120}, ["PD"]),
    ({-5: 100, 56: 110}, ["SD"]),  # 10 mm without 20 %
    ({-5: 10, 56: 14.9}, ["SD"]),  # 49 % without 5 mm
    ({-5: 10, 56: 15}, ["PD"]),
    ({-5: 100, 56: 50, 112: 70, 168: 100}, ["PR", "PD", "PD"]),  # back at the baseline sum is still PD
    ({-5: 165, 56: 63, 112: 65}, ["PR", "PR"]),  # the example of the RECIST group (recist.eortc.org, SD)
    ({-5: 20, 56: "TOO SMALL TO MEASURE", 112: 9.9}, ["PR", "PR"]),  # 5 mm are given to it: nadir 5
    ({-5: 20, 56: "TOO SMALL TO MEASURE", 112: 10}, ["PR", "PD"]),
    ({-5: 20, 56: 4.4, 112: 4.4}, ["PR", "PR"]),  # measured below 5 mm: the measurement stands
]


@cache
def boundary_responses():
    """Derive all boundary cases at once, one subject a case."""
    study = Study()
    for number, (sizes, _) in enumerate(BOUNDARIES):
        study.subject(f"S-{number}").lesion("T1", sizes, subject=f"S-{number}")
    adrs = study.derive_adrs(study.plan())[2]
    return adrs[adrs.PARAMCD.eq("OVRLRESP")].groupby("USUBJID").AVALC.agg(list)


@pytest.mark.parametrize("number", range(len(BOUNDARIES)), ids=[str(sizes) for sizes, _ in BOUNDARIES])
def test_a_single_target_lesion_is_classified_at_the_boundaries(number):
    assert boundary_responses()[f"S-{number}"] == BOUNDARIES[number][1]


@pytest.mark.parametrize(("short_axis", "expected"), [(9.9, ["CR"]), (10.0, ["PR"])])
def test_a_node_is_normal_below_ten_millimetres(study, short_axis, expected):
    study.subject().lesion("T1", {-5: 20, 56: short_axis}, organ="AXILLARY LYMPH NODE")
    assert overall(study) == expected


def test_a_normal_node_stays_in_the_sum_and_sets_the_nadir(study):
    study.subject().lesion("T1", {-5: 20, 56: 0, 112: 0})
    study.lesion("T2", {-5: 20, 56: 9.9, 112: 9.5}, organ="AXILLARY LYMPH NODE")
    adrs = study.derive_adrs(study.plan())[2].query("PARAMCD == 'OVRLRESP'")
    assert adrs.AVALC.tolist() == ["CR", "CR"]
    assert (adrs.SUMDIAM.tolist(), adrs.NADIR.tolist()) == ([9.9, 9.5], [40.0, 9.9])


@pytest.mark.parametrize(("short_axis", "expected"), [(14.8, "PR"), (14.9, "PD")])
def test_a_node_grows_from_its_nadir_of_nearly_ten_millimetres(study, short_axis, expected):
    study.subject().lesion("T1", {-5: 30, 56: 9.9, 112: short_axis}, organ="AXILLARY LYMPH NODE")
    study.lesion("NT1", {-5: "PRESENT", 56: "PRESENT", 112: "PRESENT"}, kind="NON-TARGET", organ="BONE")
    assert overall(study) == ["PR", expected]  # 9.9 + 5 = 14.9 mm


def test_a_node_counts_by_its_short_axis_though_the_longest_diameter_is_there_too(study):
    study.subject().lesion("T1", {-5: 20, 56: 9.9}, organ="AXILLARY LYMPH NODE")
    for day, size in (("2019-12-27", "30"), ("2020-02-26", "25")):
        study.add("TR", TRLNKID="T1", TRTESTCD="LDIAM", TRSTRESC=size, TRSTRESU="mm", TRDTC=day)
    assert study.derive_adrs(study.plan())[2].query("PARAMCD == 'TRGRESP'").SUMDIAM.tolist() == [9.9]
    assert overall(study) == ["CR"]


def test_centimetres_are_converted(study):
    study.subject().lesion("T1", {-5: 2.0, 56: 1.4})
    for row in study.rows["TR"]:
        row["TRSTRESU"] = "cm"
    adrs = study.derive_adrs(study.plan())[2]
    assert adrs.query("PARAMCD == 'TRGRESP'").SUMDIAM.tolist() == [14.0]
    assert overall(study) == ["PR"]


# --- a target that disappeared comes back: 4.9 and 5.0 mm over a nadir of 0 ----------------------------------

RULES = ("pd_if_patient_cr", "always_pd", "rejoin_sum")
BONE = {"kind": "NON-TARGET", "organ": "BONE"}
# what the patient must be at day 112 under each of RULES
BACK_AFTER_CR = {4.9: ("PD", "PD", "PR"), 5.0: ("PD", "PD", "PD")}
BACK_OTHERWISE = {4.9: ("PR", "PD", "PR"), 5.0: ("PD", "PD", "PD")}
# her response on day 56, her non-target lesion on days 56 and 112, what follows
REAPPEARANCE = {
    "no non-target": ("CR", None, BACK_AFTER_CR),
    "non-target gone": ("CR", ("ABSENT", "ABSENT"), BACK_AFTER_CR),
    "non-target there": ("PR", ("PRESENT", "PRESENT"), BACK_OTHERWISE),
    "non-target not evaluated": ("PR", ("NOT EVALUABLE", "PRESENT"), BACK_OTHERWISE),
}


@cache
def responses_after_reappearance(rule):
    """Derive every patient of REAPPEARANCE at once under one rule, one subject a patient and size."""
    study = Study()
    for patient, (_, states, expected) in REAPPEARANCE.items():
        for size in expected:
            name = f"{patient} {size}"
            study.subject(name).lesion("T1", {-5: 20, 56: 0, 112: size}, name)
            if states:
                study.lesion("NT1", {-5: "PRESENT", 56: states[0], 112: states[1]}, name, **BONE)
    adrs = study.derive_adrs(study.plan(reappearance=rule))[2]
    return adrs[adrs.PARAMCD.eq("OVRLRESP")].groupby("USUBJID").AVALC.agg(list)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [4.9, 5.0])
@pytest.mark.parametrize("patient", REAPPEARANCE)
def test_a_target_that_comes_back(patient, size, rule):
    before, _, expected = REAPPEARANCE[patient]
    assert responses_after_reappearance(rule)[f"{patient} {size}"] == [
        before,
        expected[size][RULES.index(rule)],
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("pd_if_patient_cr", ["PR", "PR"]), ("always_pd", ["PR", "PD"]), ("rejoin_sum", ["PR", "PR"])],
)
def test_one_target_of_two_that_comes_back_rejoins_the_sum_and_is_listed(study, rule, expected):
    study.subject().lesion("T1", {-5: 40, 56: 0, 112: 3}).lesion("T2", {-5: 40, 56: 20, 112: 20})
    assert overall(study, reappearance=rule) == expected
    queries = study.queries(reappearance=rule)
    assert queries.CODE.eq("REAPPEARANCE").sum() == 1


def test_a_patient_was_in_complete_response_though_a_scan_between_could_not_be_read(study):
    study.subject().lesion("T1", {-5: 20, 56: 0, 112: "NOT EVALUABLE", 168: 3})
    assert overall(study) == ["CR", "NE", "PD"]


def test_a_reappearance_is_dated_by_the_scan_that_shows_it(study):
    study.subject().lesion("T1", {-5: 20, 56: 0, 112: 3}).lesion("T2", {-5: 20, 59: 0, 115: 0})
    assert study.responses() == [(59, "CR"), (112, "PD")]


# --- a missing target ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "expected"), [(47.9, "NE"), (48.0, "PD"), (10, "NE"), (0, "NE")])
def test_with_a_missing_target_only_progression_can_be_said(study, size, expected):
    study.subject().lesion("T1", {-5: 20, 56: size}).lesion("T2", {-5: 20, 56: None})
    assert overall(study) == [expected]  # the sum at baseline is 40 mm: PD from 48 mm


def test_an_incomplete_sum_sets_no_nadir(study):
    study.subject().lesion("T1", {-5: 30, 56: 10, 112: 10, 168: 12})
    study.lesion("T2", {-5: 30, 56: None, 112: 30, 168: 30})
    adrs = study.derive_adrs(study.plan())[2].query("PARAMCD == 'OVRLRESP'")
    assert adrs.AVALC.tolist() == ["NE", "PR", "PR"]
    assert adrs.NADIR.tolist() == [60.0, 60.0, 40.0]
    assert adrs.SUMDIAM.isna().tolist() == [True, False, False]


# --- what belongs to one assessment --------------------------------------------------------------------------


def test_an_assessment_spread_over_days_is_one_and_ends_on_its_last_scan(study):
    study.subject().lesion("T1", {-5: 20, 56: 14}).lesion("T2", {-3: 20, 59: 14})
    assert study.responses() == [(59, "PR")]


def test_scans_beyond_the_window_are_two_assessments(study):
    study.subject().lesion("T1", {-5: 20, 56: 14}).lesion("T2", {-3: 20, 71: 14})
    assert study.responses() == [(56, "NE"), (71, "NE")]
    assert study.responses(assessment_window_days=15) == [(71, "PR")]


@pytest.mark.parametrize(("second", "expected"), [(70, [(70, "PR")]), (71, [(56, "NE"), (71, "NE")])])
def test_scans_fourteen_days_apart_are_one_assessment_and_fifteen_days_two(study, second, expected):
    study.subject().lesion("T1", {-5: 20, 56: 14}).lesion("T2", {-3: 20, second: 14})
    assert study.responses() == expected


def test_the_window_counts_from_the_first_scan_and_does_not_creep(study):
    study.subject()
    for name, day in (("T1", 56), ("T2", 66), ("T3", 76)):
        study.lesion(name, {-5: 20, day: 14})
    assert study.responses() == [(66, "NE"), (76, "NE")]


def test_progression_is_dated_by_the_scan_at_which_the_sum_reaches_it(study):
    study.subject()
    for name, day, size in (("T1", 56, 24), ("T2", 59, 36), ("T3", 63, 20)):
        study.lesion(name, {-5: 20, day: size})
    assert study.responses() == [(59, "PD")]  # 24 + 20 + 20 = 64, then 24 + 36 + 20 = 80 of 60 mm at baseline


def test_growth_seen_on_the_first_day_of_an_assessment_is_dated_there(study):
    study.subject()
    for name, day, size in (("T1", 56, 40), ("T2", 59, 20)):
        study.lesion(name, {-5: 20, day: size})
    assert study.responses() == [(56, "PD")]  # 40 + 20 (its last diameter) = 60 of 40 mm; on day 59 the same


def test_a_non_target_that_comes_back_after_a_complete_response_is_progression(study):
    study.subject().lesion("T1", {-5: 20, 56: 0, 112: 0})
    study.lesion("NT1", {-5: "PRESENT", 56: "ABSENT", 112: "PRESENT"}, kind="NON-TARGET", organ="LUNG")
    assert study.responses() == [(56, "CR"), (112, "PD")]
    assert study.responses(reappearance="rejoin_sum") == [(56, "CR"), (112, "PR")]


def test_a_non_target_that_comes_back_without_a_complete_response_is_none(study):
    study.subject().lesion("T1", {-5: 20, 56: 10, 112: 10})
    study.lesion("NT1", {-5: "PRESENT", 56: "ABSENT", 112: "PRESENT"}, kind="NON-TARGET", organ="LUNG")
    assert study.responses() == [(56, "PR"), (112, "PR")]


# Study days 10 to 35, those of the study PETs, are days 9 to 34 after the first dose.
COUNTS_ON_DAY = {8: True, 9: False, 17: False, 18: False, 20: False, 34: False, 35: True, 120: True}


@cache
def progressions_on_a_pet():
    """Derive a subject a day of COUNTS_ON_DAY, with a new lesion on the PET of that day."""
    study = Study()
    for day in COUNTS_ON_DAY:
        study.subject(f"S-{day}").lesion("T1", {-5: 20, 56: 20, 130: 20}, f"S-{day}")
        study.lesion("N1", {day: "PRESENT"}, f"S-{day}", kind="NEW", organ="BRAIN", method="PET/CT SCAN")
    return {day: study.responses(subject=f"S-{day}") for day in COUNTS_ON_DAY}


@pytest.mark.parametrize(("day", "expected"), COUNTS_ON_DAY.items())
def test_a_new_lesion_on_a_pet_counts_outside_the_days_of_the_study_pets(day, expected):
    assert ((day, "PD") in progressions_on_a_pet()[day]) == expected


def test_a_non_target_progression_dates_its_assessment(study):
    study.subject().lesion("T1", {-5: 20, 56: 20})
    study.lesion("NT1", {-5: "PRESENT", 59: "UNEQUIVOCAL PROGRESSION"}, **BONE)
    study.lesion("NT2", {-5: "PRESENT", 61: "PRESENT"}, kind="NON-TARGET", organ="PLEURA")
    assert study.responses() == [(59, "PD")]


def test_progression_is_dated_by_the_earliest_scan_that_shows_it(study):
    study.subject().lesion("T1", {-5: 20, 56: 60}).lesion("T2", {-5: 20, 59: 20})
    assert study.responses() == [(56, "PD")]


def test_a_new_lesion_dates_progression_within_its_assessment(study):
    study.subject().lesion("T1", {-5: 20, 56: 20}).lesion("N1", {59: "PRESENT"}, kind="NEW", organ="BRAIN")
    assert study.responses() == [(59, "PD")]


def test_an_equivocal_new_lesion_confirmed_later_counts_from_its_first_sighting(study):
    study.subject().lesion("T1", {-5: 20, 56: 20, 112: 20})
    study.lesion("N1", {56: "EQUIVOCAL", 112: "UNEQUIVOCAL"}, kind="NEW", organ="BRAIN")
    assert study.responses() == [(56, "PD"), (112, "PD")]


def test_an_equivocal_new_lesion_never_confirmed_counts_for_nothing(study):
    study.subject().lesion("T1", {-5: 20, 56: 20, 112: 20})
    study.lesion("N1", {56: "EQUIVOCAL", 112: "EQUIVOCAL"}, kind="NEW", organ="BRAIN")
    assert overall(study) == ["SD", "SD"]


# --- progression on a PET ------------------------------------------------------------------------------------


def pet_lesion(study, method="FDG-PET/CT"):
    """A patient with stable disease by CT on day 56 and a new bone lesion on the PET of day 14."""
    study.subject().lesion("T1", {-5: 20, 56: 20})
    return study.lesion("N1", {14: "PRESENT"}, kind="NEW", organ="BONE", method=method)


def test_progression_only_on_a_study_pet_waits_for_the_scan_that_confirms_it(study):
    pet_lesion(study)
    assert study.responses() == [(56, "SD")]
    assert study.responses(pet_only_progression="count")[0] == (14, "PD")
    assert study.queries().CODE.eq("PET_ONLY_LESION").sum() == 1
    study.add(
        "TR", TRLNKID="N1", TRTESTCD="TUMSTATE", TRSTRESC="PRESENT", TRDTC="2020-02-26", TRMETHOD="CT SCAN"
    )
    assert study.responses() == [(56, "PD")]


@pytest.mark.parametrize("method", ["CT SCAN", "MRI", "BONE SCAN"])
def test_the_date_is_that_of_the_first_ct_mri_or_bone_scan_that_confirms_it(study, method):
    pet_lesion(study)
    for day, how in (("2020-01-29", "PET SCAN"), ("2020-02-05", method), ("2020-02-26", "CT SCAN")):
        study.add("TR", TRLNKID="N1", TRTESTCD="TUMSTATE", TRSTRESC="PRESENT", TRDTC=day, TRMETHOD=how)
    assert study.responses()[0] == (35, "PD")  # 5 February


@pytest.mark.parametrize("method", ["PET", "PET SCAN", "PET/CT SCAN", "FDG-PET"])
def test_a_lesion_marked_on_a_pet_ct_is_seen_on_a_pet(study, method):
    # the CT of a study PET/CT is a low-dose one; SDTM has no field that says otherwise
    assert pet_lesion(study, method).responses() == [(56, "SD")]


def test_a_lesion_seen_on_ct_the_day_of_the_pet_does_not_rest_on_the_pet(study):
    pet_lesion(study)
    study.add(
        "TR", TRLNKID="N1", TRTESTCD="TUMSTATE", TRSTRESC="PRESENT", TRDTC="2020-01-15", TRMETHOD="CT SCAN"
    )
    assert study.responses()[0] == (14, "PD")


def test_a_non_target_that_progresses_only_on_a_pet_waits_too(study):
    study.subject().lesion("T1", {-5: 20, 56: 20}).lesion("NT1", {-5: "PRESENT", 56: "PRESENT"}, **BONE)
    study.add(
        "TR", TRLNKID="NT1", TRTESTCD="TUMSTATE", TRSTRESC="PROGRESSION", TRDTC="2020-01-15", TRMETHOD="PET"
    )
    assert study.responses() == [(56, "SD")]
    assert study.responses(pet_only_progression="count") == [(14, "PD"), (56, "SD")]


def test_a_target_diameter_counts_on_a_pet_ct_since_it_was_measured_on_the_ct(study):
    study.subject().lesion("T1", {-5: 20, 56: 14}, method="PET/CT SCAN")
    assert study.responses() == [(56, "PR")]


# --- disease without targets, unscheduled scans, two readers -------------------------------------------------


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("PRESENT", "PRESENT"),
        ("Unequivocal progression", "PROGRESSION"),
        ("PD", "PROGRESSION"),
        ("EQUIVOCAL PROGRESSION", "EQUIVOCAL"),  # only unequivocal progression of a non-target is PD
        ("NO PROGRESSION", "PRESENT"),
        ("PRESENT, NO UNEQUIVOCAL PROGRESSION", "PRESENT"),
        ("WITHOUT PROGRESSION", "PRESENT"),
        ("NON-CR/NON-PD", "PRESENT"),
        ("ABSENT", "ABSENT"),
        ("RESOLVED", "ABSENT"),
        ("UNRESOLVED", "PRESENT"),
        ("NOT RESOLVED", "PRESENT"),
        ("ABSENT, NO PROGRESSION", "ABSENT"),
        ("EQUIVOCAL", "EQUIVOCAL"),
        ("UNEQUIVOCAL", "PRESENT"),
        ("NOT PRESENT", "ABSENT"),
        ("NO LONGER PRESENT", "ABSENT"),
        ("Not seen", "ABSENT"),
        ("NEW, NOT SEEN ON PRIOR SCAN", "PRESENT"),
        ("COMPLETE RESPONSE", "ABSENT"),
        ("INCOMPLETE RESPONSE", "PRESENT"),
        ("NO COMPLETE RESPONSE", "PRESENT"),
        ("NO EVIDENCE OF DISEASE", "ABSENT"),
        ("NO EVIDENCE OF PROGRESSION", "PRESENT"),
        ("NON-EVALUABLE", None),
        ("INEVALUABLE", None),
        ("UNABLE TO ASSESS", None),
        ("CANNOT BE EVALUATED", None),
        ("NOT IMAGED", None),
        ("UNKNOWN", None),
        ("ND", None),
        ("POSSIBLE", "EQUIVOCAL"),
        ("PROBABLE METASTASIS", "EQUIVOCAL"),
        ("SUSPECTED PROGRESSION", "EQUIVOCAL"),
        ("SUSPICIOUS", "EQUIVOCAL"),
        ("NOT EVALUABLE", None),
        (None, None),
    ],
)
def test_the_words_for_the_state_of_a_lesion(text, state):
    assert state_of(pd.Series([text], dtype=object)).tolist() == [state]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({-5: "PRESENT", 56: "ABSENT"}, ["CR"]),
        ({-5: "PRESENT", 56: "PRESENT"}, ["NON-CR/NON-PD"]),
        ({-5: "PRESENT", 56: "UNEQUIVOCAL PROGRESSION"}, ["PD"]),
        ({-5: "PRESENT", 56: "NOT EVALUABLE"}, ["NE"]),
    ],
)
def test_bone_only_disease_without_targets(study, states, expected):
    study.subject().lesion("NT1", states, kind="NON-TARGET", organ="BONE")
    adsl, _, adrs = study.derive_adrs(study.plan())
    assert adrs[adrs.PARAMCD.eq("OVRLRESP")].AVALC.tolist() == expected
    assert adsl.BONEONLY.tolist() == ["Y"]


def test_an_unscheduled_scan_is_an_assessment_of_its_own(study):
    study.subject().lesion("T1", {-5: 20, 56: 14}, VISITNUM="1")
    study.lesion("T2", {-5: 20, 50: 14}, VISITNUM="99.1")
    assert study.responses() == [(50, "NE"), (56, "NE")]


def test_unscheduled_visits_that_share_a_number_are_assessments_of_their_own(study):
    study.subject().lesion("T1", {-5: 20, 56: 20}, VISITNUM="1")
    for day, size in (("2020-03-01", "20"), ("2020-03-07", "30")):
        study.add("TR", TRLNKID="T1", TRTESTCD="LDIAM", TRSTRESC=size, TRSTRESU="mm", TRDTC=day,
                  VISITNUM="99", VISIT="UNSCHEDULED")  # fmt: skip
    assert study.responses() == [(56, "SD"), (60, "SD"), (66, "PD")]


def test_two_dates_under_one_visit_number_are_two_assessments(study):
    study.subject().lesion("T1", {-5: 20, 56: 14, 112: 20}, VISITNUM="3")
    assert study.responses() == [(56, "PR"), (112, "PD")]


def test_the_lesions_of_two_readers_in_one_file_are_not_mixed(study):
    accepted = {"EVAL": "INDEPENDENT ASSESSOR", "ACPTFL": "Y", "EVALID": "R1"}
    study.subject().lesion("T1", {-5: 20, 56: 14})
    study.add("TU", TULNKID="T1", TUORRES="TARGET", TULOC="LIVER", TUDTC="2019-12-27",
              **{f"TU{name}": value for name, value in accepted.items()})  # fmt: skip
    for day, size in (("2019-12-27", "20"), ("2020-02-26", "25")):
        study.add("TR", TRLNKID="T1", TRTESTCD="LDIAM", TRSTRESC=size, TRSTRESU="mm", TRDTC=day,
                  **{f"TR{name}": value for name, value in accepted.items()})  # fmt: skip
    assert study.responses() == [(56, "PR")]
    assert study.responses(evaluator="INDEPENDENT ASSESSOR") == [(56, "PD")]
    assert study.responses(evaluator="INDEPENDENT ASSESSOR", reader="R1") == [(56, "PD")]
    assert study.responses(evaluator="INDEPENDENT ASSESSOR", reader="R2") == []


def test_only_accepted_independent_reads_count_when_the_plan_says_so(study):
    study.subject().response(56, "SD").response(
        56, "PD", RSEVAL="INDEPENDENT ASSESSOR", RSACPTFL="Y", RSEVALID="R1"
    )
    study.response(112, "PD", RSEVAL="INDEPENDENT ASSESSOR", RSEVALID="R2")
    assert study.responses("RSREP") == [(56, "SD")]
    assert study.responses("RSREP", evaluator="INDEPENDENT ASSESSOR") == [(56, "PD")]
    assert study.responses("RSREP", evaluator="INDEPENDENT ASSESSOR", reader="R2") == []


def test_two_reports_of_one_day_leave_the_worst(study):
    study.subject().response(56, "PD").response(56, "NE").response(56, "SD")
    assert study.responses("RSREP") == [(56, "PD")]


# --- what a record that shows nothing proves -----------------------------------------------------------------


def new_lesion(study, *, kind="NEW", **result):
    """Give a patient with stable disease a new lesion, named in TU on day 56, with `result` in TR on day 112."""
    study.subject().lesion("T1", {-5: 20, 56: 20, 112: 20})
    study.add("TU", TULNKID="N1", TUORRES=kind, TULOC="BRAIN", TUDTC=iso(56), TUMETHOD="CT SCAN")
    return study.add("TR", TRLNKID="N1", TRTESTCD="LDIAM", TRDTC=iso(112), TRSTRESU="mm", **result)


NOTHING = {
    "blank": {},
    "not done": {"TRSTAT": "NOT DONE"},
    "not evaluable": {"TRSTRESC": "NOT EVALUABLE"},
    "0 mm": {"TRSTRESC": "0"},
}


@pytest.mark.parametrize("result", NOTHING.values(), ids=NOTHING)
def test_a_record_that_shows_nothing_makes_no_new_lesion(study, result):
    new_lesion(study, **result)
    study.rows["TU"][-1]["TUDTC"] = "2020"  # so that TU names it on no day
    assert overall(study) == ["SD", "SD"]


@pytest.mark.parametrize("result", NOTHING.values(), ids=NOTHING)
def test_a_record_that_shows_nothing_confirms_no_new_lesion(study, result):
    assert new_lesion(study, kind="NEW - EQUIVOCAL", **result).responses() == [(56, "SD"), (112, "SD")]


@pytest.mark.parametrize("size", ["7", "TOO SMALL TO MEASURE"])
def test_a_measured_new_lesion_confirms_the_equivocal_one(study, size):
    new_lesion(study, kind="NEW - EQUIVOCAL", TRSTRESC=size)
    assert study.responses() == [(56, "PD"), (112, "PD")]


@pytest.mark.parametrize(("kind", "expected"), [("NEW", "PD"), ("NEW - EQUIVOCAL", "SD")])
def test_a_new_lesion_that_tu_names_counts_though_its_reading_is_blank(study, kind, expected):
    study.subject().lesion("T1", {-5: 20, 56: 20})
    study.lesion("N1", {56: None}, kind=kind, organ="BRAIN")
    assert overall(study) == [expected]


def test_a_scan_after_the_cut_off_confirms_no_equivocal_new_lesion(study):
    # registered on day -5, so that the data end 30 months later, on day 908
    study.subject().lesion("T1", {-5: 20, 850: 20, 906: 20, 962: 20})
    study.lesion("N1", {906: "EQUIVOCAL", 962: "UNEQUIVOCAL"}, kind="NEW", organ="BRAIN")
    assert study.responses() == [(850, "SD"), (906, "SD"), (962, "PD")]
    assert study.responses(followup="all") == [(850, "SD"), (906, "PD"), (962, "PD")]


UNREAD = [{"TRSTRESC": "NOT EVALUABLE"}, {"TRSTAT": "NOT DONE"}, None]
WITHOUT_BASELINE = {0: "NE", 14: "NE", 20: "NE", 24: "NE", 25: "PD"}


@cache
def responses_without_baseline():
    """Derive every pair of UNREAD and WITHOUT_BASELINE at once, one subject a pair."""
    study = Study()
    for place, result in enumerate(UNREAD):
        for size in WITHOUT_BASELINE:
            name = f"{place} {size}"
            study.subject(name).lesion("T1", {-5: 20, 56: size}, name)
            study.add("TU", name, TULNKID="T2", TUORRES="TARGET", TULOC="LUNG", TUDTC=iso(-5))
            found = {"TRLNKID": "T2", "TRTESTCD": "LDIAM"}
            if result is not None:
                study.add("TR", name, TRDTC=iso(-5), **found, **result)
            study.add("TR", name, TRDTC=iso(56), TRSTRESC="50", TRSTRESU="mm", **found)
    return study.derive_adrs(study.plan())[2].query("PARAMCD == 'OVRLRESP'")


@pytest.mark.parametrize("place", range(len(UNREAD)))
@pytest.mark.parametrize(("size", "expected"), WITHOUT_BASELINE.items())
def test_a_target_without_a_baseline_leaves_only_progression_to_be_said(place, size, expected):
    adrs = responses_without_baseline()
    adrs = adrs[adrs.USUBJID.eq(f"{place} {size}")]
    assert (adrs.AVALC.tolist(), adrs.SUMDIAM.tolist(), adrs.NADIR.tolist()) == ([expected], [size], [20.0])


def test_no_target_with_a_baseline_is_no_complete_response_of_the_others(study):
    study.subject().lesion("T1", {-5: None, 56: 50})
    study.lesion("NT1", {-5: "PRESENT", 56: "ABSENT"}, **BONE)
    adrs = study.derive_adrs(study.plan())[2].query("PARAMCD == 'OVRLRESP'")
    assert adrs.AVALC.tolist() == ["NE"]
    assert adrs.SUMDIAM.isna().all() and adrs.NADIR.isna().all()


@pytest.mark.parametrize("text", ["TRORRES", "TRSTRESC"])
@pytest.mark.parametrize("number", ["0", None])
def test_too_small_to_measure_is_five_millimetres_whatever_stands_beside_it(study, text, number):
    study.subject().lesion("T1", {-5: 20})
    study.add("TR", TRLNKID="T1", TRTESTCD="LDIAM", TRDTC=iso(56), TRSTRESU="mm",
              **{text: "TOO SMALL TO MEASURE", "TRSTRESN": number})  # fmt: skip
    adrs = study.derive_adrs(study.plan())[2].query("PARAMCD == 'OVRLRESP'")
    assert (adrs.AVALC.tolist(), adrs.SUMDIAM.tolist()) == (["PR"], [5.0])


@pytest.mark.parametrize(
    ("visit", "expected"),
    [("DAY 14", "SD"), ("D14 PET", "SD"), ("D140", "PD"), ("CYCLE 3 DAY 14", "PD"), (None, "PD")],
)
def test_a_late_pet_of_a_planned_visit_is_a_study_pet(study, visit, expected):
    study.subject().lesion("T1", {-5: 20, 40: 20})
    study.lesion("N1", {40: "PRESENT"}, kind="NEW", organ="BRAIN", method="PET", VISIT=visit)
    for row in study.rows["TU"]:
        row["VISIT"] = visit
    assert overall(study) == [expected]


def test_an_unscheduled_scan_between_the_days_of_an_assessment_belongs_to_it(study):
    study.subject().lesion("T1", {-5: 20, 56: 20}).lesion("T2", {-5: 20, 60: 20})
    for day, size in ((58, "25"), (63, "20")):
        study.add("TR", TRLNKID="T1", TRTESTCD="LDIAM", TRSTRESC=size, TRSTRESU="mm", TRDTC=iso(day),
                  VISIT="UNSCHEDULED")  # fmt: skip
    assert study.responses() == [(60, "SD"), (63, "NE")]
