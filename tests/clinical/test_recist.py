"""RECIST 1.1: boundaries, every cell of the overall response, assessments. Expected values by hand."""

from functools import cache

import pandas as pd
import pytest

from analysis import plan
from analysis.clinical import recist, responses

from .conftest import Study


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


def test_centimetres_are_converted(study):
    study.subject().lesion("T1", {-5: 2.0, 56: 1.4})
    for row in study.rows["TR"]:
        row["TRSTRESU"] = "cm"
    adrs = study.derive_adrs(study.plan())[2]
    assert adrs.query("PARAMCD == 'TRGRESP'").SUMDIAM.tolist() == [14.0]
    assert overall(study) == ["PR"]


@pytest.mark.parametrize(
    ("rule", "back", "expected"),
    [
        ("pd_if_patient_cr", 4.9, ["CR", "PD"]),
        ("pd_if_patient_cr", 5.0, ["CR", "PD"]),
        ("always_pd", 4.9, ["CR", "PD"]),
        ("always_pd", 5.0, ["CR", "PD"]),
        ("rejoin_sum", 4.9, ["CR", "PR"]),
        ("rejoin_sum", 5.0, ["CR", "PD"]),
    ],
)
def test_a_target_that_comes_back_after_complete_response(study, rule, back, expected):
    study.subject().lesion("T1", {-5: 20, 56: 0, 112: back})
    assert overall(study, reappearance=rule) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("pd_if_patient_cr", ["PR", "PR"]), ("always_pd", ["PR", "PD"]), ("rejoin_sum", ["PR", "PR"])],
)
def test_a_target_that_comes_back_in_a_patient_never_in_complete_response(study, rule, expected):
    study.subject().lesion("T1", {-5: 40, 56: 0, 112: 3}).lesion("T2", {-5: 40, 56: 20, 112: 20})
    assert overall(study, reappearance=rule) == expected
    queries = study.queries(reappearance=rule)
    assert queries.CODE.eq("REAPPEARANCE").sum() == 1


def test_a_missing_target_still_lets_progression_be_declared(study):
    study.subject().lesion("T1", {-5: 20, 56: 60}).lesion("T2", {-5: 20, 56: None})
    assert overall(study) == ["PD"]


def test_a_missing_target_otherwise_leaves_the_response_open(study):
    study.subject().lesion("T1", {-5: 20, 56: 10}).lesion("T2", {-5: 20, 56: None})
    assert overall(study) == ["NE"]


# Eisenhauer 2009, Table 1 (rows of the specification); None = no such lesion
@pytest.mark.parametrize(
    ("target", "non_target", "new", "expected"),
    [
        ("CR", "CR", "N", "CR"),
        ("CR", None, "N", "CR"),
        ("CR", "NON-CR/NON-PD", "N", "PR"),
        ("CR", "NE", "N", "PR"),
        ("PR", "CR", "N", "PR"),
        ("PR", None, "N", "PR"),
        ("PR", "NON-CR/NON-PD", "N", "PR"),
        ("PR", "NE", "N", "PR"),
        ("SD", "CR", "N", "SD"),
        ("SD", None, "N", "SD"),
        ("SD", "NON-CR/NON-PD", "N", "SD"),
        ("SD", "NE", "N", "SD"),
        ("NE", "CR", "N", "NE"),
        ("NE", None, "N", "NE"),
        ("NE", "NON-CR/NON-PD", "N", "NE"),
        ("NE", "NE", "N", "NE"),
        (None, "CR", "N", "CR"),
        (None, "NON-CR/NON-PD", "N", "NON-CR/NON-PD"),
        (None, "NE", "N", "NE"),
        (None, None, "N", "NE"),
        *[("PD", other, "N", "PD") for other in ("CR", "NON-CR/NON-PD", "NE", "PD", None)],
        *[(other, "PD", "N", "PD") for other in ("CR", "PR", "SD", "NE", None)],
        *[(other, "CR", "Y", "PD") for other in ("CR", "PR", "SD", "NE", "PD", None)],
    ],
)
def test_every_cell_of_the_overall_response_table(target, non_target, new, expected):
    column = lambda value: pd.Series([value], dtype=object)
    assert recist.overall_response(column(target), column(non_target), column(new)).tolist() == [expected]


def test_an_assessment_spread_over_days_is_one_and_ends_on_its_last_scan(study):
    study.subject().lesion("T1", {-5: 20, 56: 14}).lesion("T2", {-3: 20, 59: 14})
    assert study.responses() == [(59, "PR")]


def test_scans_beyond_the_window_are_two_assessments(study):
    study.subject().lesion("T1", {-5: 20, 56: 14}).lesion("T2", {-3: 20, 71: 14})
    assert study.responses() == [(56, "NE"), (71, "NE")]
    assert study.responses(assessment_window_days=15) == [(71, "PR")]


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


def test_progression_only_on_a_study_pet_waits_for_the_scan_that_confirms_it(study):
    study.subject().lesion("T1", {-5: 20, 56: 20})
    study.lesion("N1", {14: "PRESENT"}, kind="NEW", organ="BONE", method="FDG-PET/CT")
    assert study.responses() == [(56, "SD")]
    assert study.responses(pet_only_progression="count")[0] == (14, "PD")
    assert study.queries().CODE.eq("PET_ONLY_LESION").sum() == 1
    study.add(
        "TR", TRLNKID="N1", TRTESTCD="TUMSTATE", TRSTRESC="PRESENT", TRDTC="2020-02-26", TRMETHOD="CT SCAN"
    )
    assert study.responses() == [(56, "PD")]


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
    tables = study.derive()
    assert overall(study) == expected
    assert tables.adsl.BONEONLY.tolist() == ["Y"]


def test_an_unscheduled_scan_is_an_assessment_of_its_own(study):
    study.subject().lesion("T1", {-5: 20, 56: 14}, VISITNUM="1")
    study.lesion("T2", {-5: 20, 50: 14}, VISITNUM="99.1")
    assert study.responses() == [(50, "NE"), (56, "NE")]


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


# --- best overall response: (days and responses) -> unconfirmed, confirmed
@pytest.mark.parametrize(
    ("course", "best", "confirmed"),
    [
        ([(56, "PR"), (84, "PR")], "PR", "PR"),
        ([(56, "PR"), (83, "PR")], "PR", "SD"),  # 27 days
        ([(56, "PR"), (84, "NE"), (112, "PR")], "PR", "PR"),
        ([(56, "PR"), (70, "NE"), (84, "NE"), (112, "PR")], "PR", "SD"),
        ([(56, "PR"), (84, "SD"), (112, "PR")], "PR", "SD"),
        ([(56, "CR"), (84, "PR")], "CR", "SD"),
        ([(56, "PR"), (84, "CR")], "CR", "PR"),
        ([(56, "CR"), (84, "CR")], "CR", "CR"),
        ([(41, "SD")], "NE", "NE"),
        ([(42, "SD")], "SD", "SD"),
        ([(41, "SD"), (56, "PD")], "PD", "PD"),
        ([(41, "PR"), (56, "PD")], "PR", "PD"),  # too early to be stable, not confirmed
        ([(56, "PD"), (84, "CR"), (112, "CR")], "PD", "PD"),  # after progression nothing counts
        ([(56, "NON-CR/NON-PD")], "NON-CR/NON-PD", "NON-CR/NON-PD"),
        ([], "MISSING", "MISSING"),
    ],
)
def test_best_overall_response(course, best, confirmed):
    start = pd.Series({"S-1": pd.Timestamp("2020-01-01")})
    rows = pd.DataFrame(
        [("S-1", start["S-1"] + pd.Timedelta(days=day), value) for day, value in course],
        columns=["USUBJID", "ADT", "AVALC"],
    ).astype({"ADT": "datetime64[ns]"})
    rules = plan.defaults().clinical
    found = [
        responses.best_response(rows, start, rules, confirmed=flag).AVALC.item() for flag in (False, True)
    ]
    assert found == [best, confirmed]
