"""Response rates and duration of response: hand cases, intervals against closed forms and published numbers.

Days count from first dose; a target of 20 mm at baseline is CR at 0 mm, PR at 14, SD at 20, PD at 25.
"""

import pandas as pd
import pytest

from analysis import contracts, plan
from analysis.clinical import best_response, derive_adtte
from analysis.clinical.lesions import start_dates
from analysis.clinical.rates import duration_of_response, has_clinical_benefit, response_rates
from analysis.clinical.responses import observed_responses

from .conftest import FIRST_DOSE

CR, PR, SD, PD, NE = 0, 14, 20, 25, "NOT EVALUABLE"


def rates(study, **changes):
    settings = study.plan(**changes)
    adsl, adtr, adrs = study.derive_adrs(settings)
    return response_rates(adrs, adtr, adsl, settings)


def count(table, rate, population="TREATED", source="derived"):
    """Return responders and subjects of one row."""
    row = table.set_index(["PARAMCD", "POPULATION", "SOURCE"]).loc[(rate, population, source)]
    return int(row.N_RESPONSE), int(row.N)


def durations(study, paramcd="DOR", **changes):
    """Return (start, end, AVAL, CNSR, EVNTDESC, CNSDTDSC) of the responders by subject, days from first dose."""
    settings = study.plan(**changes)
    adsl, adtr, adrs = study.derive_adrs(settings)
    table = duration_of_response(derive_adtte(adsl, adtr, adrs, settings), adrs, adsl, settings)
    contracts.check("adtte", table)
    day = lambda date: (date - FIRST_DOSE).days
    return {
        row.USUBJID: (day(row.STARTDT), day(row.ADT), row.AVAL, row.CNSR, row.EVNTDESC, row.CNSDTDSC)
        for row in table[table.PARAMCD.eq(paramcd)].itertuples()
    }


def with_course(study, name, sizes, **subject):
    return study.subject(name, **subject).lesion("T1", {-5: 20, **sizes}, name)


def six_patients(study):
    with_course(study, "S-1", {56: PR, 112: PR, 168: PD})  # confirmed PR
    with_course(study, "S-2", {56: PR, 112: PD})  # PR not confirmed
    with_course(study, "S-3", {56: SD, 112: SD, 168: SD})  # SD of 24 weeks
    with_course(study, "S-4", {56: SD, 112: PD})  # SD that did not last
    with_course(study, "S-5", {56: NE})
    with_course(study, "S-6", {})  # never assessed
    return study


def test_every_rate_of_a_small_study_by_hand(study):
    table = rates(six_patients(study))
    assert {rate: count(table, rate) for rate in ("ORR", "CORR", "DCR", "CBR")} == {
        "ORR": (2, 6),  # 1, 2
        "CORR": (1, 6),  # 1
        "DCR": (4, 6),  # 1 to 4
        "CBR": (3, 6),  # 1, 2, 3
    }
    row = table.query("PARAMCD == 'ORR' and POPULATION == 'TREATED'").iloc[0]
    # SciPy: beta.ppf(0.025, 2, 5), beta.ppf(0.975, 3, 4); the same in any table of exact 95 % limits for 2/6
    assert (row.ESTIMATE, row.LEVEL, row.METHOD) == (2 / 6, 0.95, "clopper_pearson")
    assert (round(row.LOWER, 4), round(row.UPPER, 4)) == (0.0433, 0.7772)


def test_populations_lose_who_was_not_treated_not_measurable_not_assessed(study):
    six_patients(study)
    with_course(study, "S-7", {56: PR}, start=None)  # never treated
    study.subject("S-8").lesion("NT1", {-5: "PRESENT", 56: "ABSENT"}, "S-8", kind="NON-TARGET", organ="BONE")
    study.subject("S-9").lesion("T1", {56: 10}, "S-9")  # a target without a baseline
    table = rates(study)
    assert count(table, "ORR", "TREATED") == (3, 8)  # 1, 2 and the CR of 8
    assert count(table, "ORR", "MEASURABLE") == (2, 6)
    assert count(table, "ORR", "EVALUABLE") == (2, 4)  # without 5 (NE) and 6
    assert table.POPULATION.unique().tolist() == ["TREATED", "MEASURABLE", "EVALUABLE"]


def test_not_evaluable_and_missing_are_no_response(study):
    with_course(study, "S-1", {56: NE})
    with_course(study, "S-2", {})
    with_course(study, "S-3", {41: SD})  # too early to be stable
    table = rates(study)
    for rate in ("ORR", "CORR", "DCR", "CBR"):
        assert count(table, rate) == (0, 3)


def test_treatment_after_the_data_cut_off_is_not_counted(study):
    with_course(study, "S-1", {56: PR})
    with_course(study, "S-2", {}, start=1000, enrolled=None)
    assert count(rates(study), "ORR") == (1, 1)
    assert count(rates(study, followup="all"), "ORR") == (1, 2)


def test_a_response_after_the_cut_off_or_a_new_therapy_does_not_count(study):
    with_course(study, "S-1", {56: SD, 950: PR})  # the cut-off is day 908
    with_course(study, "S-2", {56: SD, 112: PR})
    study.add("CM", "S-2", CMCAT="SUBSEQUENT ANTI-CANCER THERAPY", CMSTDTC="2020-03-11")  # day 70
    assert count(rates(study), "ORR") == (0, 2)
    assert count(rates(study, followup="all", new_therapy="event"), "ORR") == (2, 2)


def test_non_target_disease_without_change_is_controlled_and_may_be_benefit(study):
    sizes = {-5: "PRESENT", 56: "PRESENT", 168: "PRESENT"}
    study.subject("S-1").lesion("NT1", sizes, "S-1", kind="NON-TARGET", organ="BONE")
    table = rates(study)
    assert [count(table, rate) for rate in ("ORR", "DCR", "CBR")] == [(0, 1), (1, 1), (1, 1)]


# --- clinical benefit: 24 weeks less a window of 7 days is day 161 -------------------------------------------

BENEFIT = [
    ({56: SD, 160: SD}, False),
    ({56: SD, 161: SD}, True),
    ({161: SD, 217: PD}, True),  # it had lasted
    ({56: SD, 161: PD, 217: SD}, False),  # nothing after progression
    ({56: SD, 168: NE}, False),
    ({56: SD, 250: PD}, False),  # nobody saw that it lasted
    ({56: PR, 112: PD}, True),  # a response at any time
    ({56: PD, 112: PR}, False),
    ({168: NE, 200: SD}, True),
    ({}, False),
]


def test_clinical_benefit_at_its_boundary(study):
    for number, (sizes, _) in enumerate(BENEFIT):
        with_course(study, f"S-{number:02}", sizes)
    settings = study.plan()
    adsl, _, adrs = study.derive_adrs(settings)
    used = observed_responses(adrs, adsl, settings.clinical)
    found = has_clinical_benefit(used, start_dates(adsl, settings.clinical), settings.clinical)
    assert found.tolist() == [expected for _, expected in BENEFIT]


@pytest.mark.parametrize(("death", "day", "expected"), [(150, 112, 0), (170, 168, 1)])
def test_a_death_ends_benefit_only_if_it_comes_before_the_deciding_assessment(study, death, day, expected):
    with_course(study, "S-1", {56: SD, day: SD}, death=death)
    assert count(rates(study), "CBR") == (expected, 1)


def test_benefit_never_counts_a_stable_disease_too_short_for_the_best_response(study):
    with_course(study, "S-1", {30: SD})
    table = rates(study, clinical_benefit_weeks=4.0)
    assert (count(table, "CBR"), count(table, "DCR")) == ((0, 1), (0, 1))


def test_the_published_cases_of_clinical_benefit():
    # admiralonco, test-derive_param_clinbenefit.R: SD counts from 28 days after treatment start
    start = pd.to_datetime(
        pd.Series({"01": "2020-12-06", "02": "2021-01-16", "03": "2021-01-09", "04": "2021-04-21"})
    )
    rows = [
        ("01", "2021-03-07", "SD"), ("01", "2021-04-08", "PR"),
        ("02", "2021-03-07", "SD"), ("02", "2021-05-07", "PD"),
        ("03", "2021-01-30", "SD"),
        ("04", "2021-05-21", "NE"), ("04", "2021-07-24", "NE"),
    ]  # fmt: skip
    responses = pd.DataFrame(rows, columns=["USUBJID", "ADT", "AVALC"]).assign(
        ADT=lambda f: pd.to_datetime(f.ADT)
    )
    rules = plan.defaults().override(
        {"clinical.clinical_benefit_weeks": 4.0, "clinical.window_days": 0.0, "clinical.sd_min_days": 28}
    )
    assert has_clinical_benefit(responses, start, rules.clinical).tolist() == [True, True, False, False]


# --- the exact interval --------------------------------------------------------------------------------------


def responders(study, k, n):
    for number in range(n):
        with_course(study, f"S-{number:02}", {56: PR if number < k else SD})
    return rates(study).query("PARAMCD == 'ORR' and POPULATION == 'TREATED'").iloc[0]


def test_the_interval_of_none_and_of_all_has_the_closed_form(study):
    row = responders(study, 0, 10)
    assert (row.LOWER, row.ESTIMATE) == (0.0, 0.0)
    assert pytest.approx(1 - 0.025 ** (1 / 10), abs=1e-12) == row.UPPER  # 0.3085
    row = responders(type(study)(), 10, 10)
    assert (row.UPPER, row.ESTIMATE) == (1.0, 1.0)
    assert pytest.approx(0.025 ** (1 / 10), abs=1e-12) == row.LOWER


def test_the_interval_of_seven_in_twenty_is_the_tabulated_one(study):
    row = responders(study, 7, 20)
    # R: binom.test(7, 20)$conf.int is 0.1539092 0.5921885
    assert (round(row.LOWER, 7), round(row.UPPER, 7)) == (0.1539092, 0.5921885)


def test_the_level_is_that_of_the_plan(study):
    table = rates(six_patients(study), interval_alpha=0.10)
    row = table.query("PARAMCD == 'CORR' and POPULATION == 'TREATED'").iloc[0]
    assert row.LEVEL == 0.90
    assert pytest.approx(1 - 0.95 ** (1 / 6), abs=1e-12) == row.LOWER  # one in n: 1 - (1 - alpha/2)^(1/n)


def test_a_population_without_subjects_has_no_estimate(study):
    study.subject("S-1").response(56, "PR", "S-1")
    table = rates(study, endpoint_rules="admiralonco")
    empty = table.query("POPULATION == 'MEASURABLE' and PARAMCD == 'ORR'").iloc[0]
    assert (empty.N, pd.isna(empty.ESTIMATE), empty.LOWER, empty.UPPER) == (0, True, 0.0, 1.0)


# --- derived and reported ------------------------------------------------------------------------------------


def test_both_sources_are_shown_where_the_study_has_them_the_plans_first(study):
    with_course(study, "S-1", {56: PR, 112: PR}).response(56, "SD", "S-1").response(112, "SD", "S-1")
    table = rates(study)
    assert table.SOURCE.unique().tolist() == ["derived", "reported"]
    assert (count(table, "ORR"), count(table, "ORR", source="reported")) == ((1, 1), (0, 1))
    turned = rates(study, response_source="reported")
    assert turned.SOURCE.unique().tolist() == ["reported", "derived"]
    keys = ["PARAMCD", "SOURCE", "POPULATION"]
    pd.testing.assert_frame_equal(
        table.sort_values(keys, ignore_index=True), turned.sort_values(keys, ignore_index=True)
    )


def test_a_study_without_reports_has_the_derived_rates_alone(study):
    assert rates(six_patients(study)).SOURCE.unique().tolist() == ["derived"]


def test_the_reference_rules_use_reported_responses_from_randomisation(study):
    # randomised on day -5: an SD on day 37 is 42 days after it
    study.subject("S-1").response(37, "SD", "S-1").subject("S-2").response(36, "SD", "S-2")
    study.subject("S-3").response(56, "PR", "S-3").response(84, "PR", "S-3")
    table = rates(study, endpoint_rules="admiralonco")
    found = {rate: count(table, rate, source="reported") for rate in ("ORR", "CORR", "DCR")}
    assert found == {"ORR": (1, 3), "CORR": (1, 3), "DCR": (2, 3)}
    assert table.SOURCE.unique().tolist() == ["reported"]


def test_rates_agree_with_the_best_responses_of_adrs(study):
    settings = six_patients(study).plan()
    adsl, adtr, adrs = study.derive_adrs(settings)
    table = response_rates(adrs, adtr, adsl, settings)
    for rate, best in (("ORR", "BOR"), ("CORR", "CBOR")):
        assert count(table, rate)[0] == adrs[adrs.PARAMCD.eq(best)].AVALC.isin(["CR", "PR"]).sum()
    used = observed_responses(adrs, adsl, settings.clinical)
    assert (
        len(best_response(used, start_dates(adsl, settings.clinical), settings.clinical, confirmed=False))
        == 6
    )


def test_rates_hold_together_and_keep_their_contract(study):
    table = contracts.check("response_rates", rates(six_patients(study)))
    wide = table.pivot_table(index=["SOURCE", "POPULATION"], columns="PARAMCD", values="N_RESPONSE")
    assert (wide.CORR <= wide.ORR).all()
    assert (wide.ORR <= wide.CBR).all() and (wide.CBR <= wide.DCR).all()
    assert table.ESTIMATE.between(table.LOWER, table.UPPER).all()


def test_an_unknown_population_or_best_response_is_refused(study):
    six_patients(study)
    with pytest.raises(ValueError, match=r"RESPONSE_POPULATION_UNKNOWN.*'RANDOMISED'"):
        rates(study, response_populations=["TREATED", "RANDOMISED"])
    with pytest.raises(ValueError, match=r"RESPONSE_DURATION_UNKNOWN.*'IBOR'"):
        durations(study, response_durations={"DOR": "IBOR"})


# --- duration of response ------------------------------------------------------------------------------------


def test_duration_runs_from_the_first_response_to_progression(study):
    with_course(study, "S-1", {56: PR, 112: CR, 168: CR, 224: PD})
    expected = {"S-1": (56, 224, 169.0, 0, "Disease Progression", None)}  # from the PR, though the best is CR
    assert durations(study) == expected
    assert durations(study, "CDOR") == expected


def test_only_responders_have_a_duration(study):
    six_patients(study)
    assert set(durations(study)) == {"S-1", "S-2"}
    assert set(durations(study, "CDOR")) == {"S-1"}


def test_the_duration_of_a_confirmed_response_starts_at_the_response_that_is_confirmed(study):
    study.subject("S-1").lesion("T1", {-5: 40, 56: 28, 84: 32, 112: 28, 140: 28}, "S-1")  # PR SD PR PR
    assert durations(study)["S-1"][0] == 56
    assert durations(study, "CDOR")["S-1"][0] == 112


def test_duration_is_censored_as_pfs_is(study):
    with_course(study, "S-1", {56: PR, 112: PR})
    with_course(study, "S-2", {56: PR, 112: PR, 168: PD})
    study.add("CM", "S-2", CMCAT="SUBSEQUENT ANTI-CANCER THERAPY", CMSTDTC="2020-05-10")  # day 130
    with_course(study, "S-3", {56: PR}, death=183)  # 127 days later: two missed visits
    with_course(study, "S-4", {56: PR}, death=182)
    last = "Last Tumor Assessment"
    assert durations(study) == {
        "S-1": (56, 112, 57.0, 1, "No Progression", last),
        "S-2": (56, 112, 57.0, 1, "New Anti-Cancer Therapy", last),
        "S-3": (56, 56, 1.0, 1, "Two or More Missed Assessments", last),
        "S-4": (56, 182, 127.0, 0, "Death", None),
    }


def test_a_duration_never_ends_before_the_response(study):
    # reported responses without an adequate baseline: PFS is censored on day 1, before the response
    study.subject("S-1").lesion("T1", {56: 14}, "S-1").response(56, "PR", "S-1")
    found = durations(study, response_source="reported")
    assert found == {"S-1": (56, 56, 1.0, 1, "No Adequate Baseline", "Treatment Start")}


def test_duration_under_the_reference_rules(study):
    study.subject("S-1").response(56, "PR", "S-1").response(84, "NE", "S-1").response(112, "PR", "S-1")
    study.response(168, "PD", "S-1")
    study.subject("S-2").response(56, "PR", "S-2").response(112, "NE", "S-2")
    study.subject("S-3", death=400).response(56, "CR", "S-3").response(84, "CR", "S-3")
    last = "Last Tumor Assessment"
    reference = {"endpoint_rules": "admiralonco"}
    assert durations(study, **reference) == {
        "S-1": (56, 168, 113.0, 0, "Disease Progression", None),
        "S-2": (56, 112, 57.0, 1, last, last),  # NE is a valid last assessment there
        "S-3": (56, 400, 345.0, 0, "Death", None),  # no rule of missed visits
    }
    assert set(durations(study, "CDOR", **reference)) == {"S-1", "S-3"}


def test_duration_keeps_source_and_months_of_its_row(study):
    with_course(study, "S-1", {56: PR, 112: PR, 168: PD})
    settings = study.plan()
    adsl, adtr, adrs = study.derive_adrs(settings)
    adtte = derive_adtte(adsl, adtr, adrs, settings)
    table = duration_of_response(adtte, adrs, adsl, settings)
    pfs = adtte.query("PARAMCD == 'PFS'").iloc[0]
    assert table[["PARAMCD", "PARAM"]].to_numpy().tolist() == [
        ["CDOR", "Duration of Confirmed Response"],
        ["DOR", "Duration of Response"],
    ]
    for row in table.itertuples():
        assert (row.SRCDOM, row.SRCVAR, row.SRCSEQ) == (pfs.SRCDOM, pfs.SRCVAR, pfs.SRCSEQ)
        assert pytest.approx(113 / 30.4375) == row.AVALM


def test_a_subject_set_aside_from_pfs_has_no_duration_and_nobody_is_an_empty_typed_table(study):
    with_course(study, "S-1", {56: PR, 112: PR})
    settings = study.plan()
    adsl, adtr, adrs = study.derive_adrs(settings)
    adtte = derive_adtte(adsl, adtr, adrs, settings)
    table = duration_of_response(adtte[adtte.PARAMCD.ne("PFS")], adrs, adsl, settings)
    full = duration_of_response(adtte, adrs, adsl, settings)
    assert table.empty and len(full) == 2
    assert table.dtypes.equals(full.dtypes) and list(table) == list(full)


def test_inputs_are_not_changed(study):
    settings = six_patients(study).plan()
    adsl, adtr, adrs = study.derive_adrs(settings)
    given = {"adsl": adsl, "adtr": adtr, "adrs": adrs, "adtte": derive_adtte(adsl, adtr, adrs, settings)}
    copies = {name: frame.copy() for name, frame in given.items()}
    response_rates(adrs, adtr, adsl, settings)
    duration_of_response(given["adtte"], adrs, adsl, settings)
    for name, frame in given.items():
        pd.testing.assert_frame_equal(frame, copies[name])
