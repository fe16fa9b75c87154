"""Many virtual trials at once: the model's moments are those of theory, and of one trial at a time."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from analysis import plan
from analysis.virtual_trial.many_trials import simulate_trials
from analysis.virtual_trial.outcomes import simulate_course
from analysis.virtual_trial.schedule import data_cutoff, registration_days

PLAN = plan.defaults()
NULL = {"hr_score": 1.0, "hr_ctdna": 1.0, "hr_gene": 1.0}
MONTH = 30.4375


def simulate(trials=100, n=200, seed=1, cutoff=30.0, **changes):
    given = {"virtual.n_patients": n, "design.cutoff_months": cutoff}
    world = PLAN.override({**given, **{f"virtual.{name}": value for name, value in changes.items()}})
    return simulate_trials(world.virtual, world.design, trials, np.random.default_rng(seed)), world


@pytest.fixture(scope="module")
def null():
    return simulate(**NULL, first_event_day=0, death_first_share=0.3, pfs_shape=1.5)


def correlate(trials, first, second):
    return np.corrcoef(trials.patients[first].ravel(), trials.patients[second].ravel())[0, 1]


def test_each_day_has_its_loading_on_latent_sensitivity_and_the_two_days_the_correlation_of_the_model():
    trials, _ = simulate(loading_d14=0.8, loading_d28=0.5, error_correlation=0.6)
    error = 3 / np.sqrt(trials.patients["PILOT"].size)
    assert -correlate(trials, "CHANGE_D14", "SENSITIVITY") == pytest.approx(0.8, abs=error)
    assert -correlate(trials, "CHANGE_D28", "SENSITIVITY") == pytest.approx(0.5, abs=error)
    expected = 0.8 * 0.5 + 0.6 * np.sqrt((1 - 0.8**2) * (1 - 0.5**2))
    assert correlate(trials, "CHANGE_D14", "CHANGE_D28") == pytest.approx(expected, abs=error)
    assert trials.patients["SENSITIVITY"].std() == pytest.approx(1, abs=error)
    assert trials.patients["CHANGE_D14"].mean() == pytest.approx(-0.135, abs=0.4 * error)


def test_lesions_scatter_around_their_patient_alike_on_both_days():
    trials, _ = simulate(lesion_sd=0.2, lesion_correlation=0.7)
    lesions = trials.lesions
    off = [
        lesions[f"LNRATIO_{day}"] - trials.patients[f"CHANGE_{day}"].ravel()[lesions["ROW"]]
        for day in ("D14", "D28")
    ]
    assert [part.std() for part in off] == pytest.approx([0.2, 0.2], rel=0.02)
    assert np.corrcoef(*off)[0, 1] == pytest.approx(0.7, abs=0.02)


def test_without_effects_the_latent_time_is_the_weibull_of_the_plan(null):
    latent = null[0].patients["LATENT_DAY"]
    median = 3.3 * MONTH
    for share in (0.25, 0.5, 0.75):
        # Survival 2^-(t / median)^shape; times are rounded up to a day.
        at = median * (np.log(1 / (1 - share)) / np.log(2)) ** (1 / 1.5)
        assert np.quantile(latent, share) == pytest.approx(at + 0.5, abs=1.6)


def test_a_hazard_ratio_divides_the_exponential_median():
    trials, _ = simulate(**{**NULL, "hr_gene": 3.0}, pfs_shape=1.0, first_event_day=0, gene_shift=0.0)
    latent, mutated = trials.patients["LATENT_DAY"], trials.patients["MUTATED"]
    assert np.median(latent[~mutated]) / np.median(latent[mutated]) == pytest.approx(3.0, rel=0.06)


def test_who_dies_first_and_how_long_patients_live_after_progression(null):
    patients = null[0].patients
    assert patients["DEATH_FIRST"].mean() == pytest.approx(0.3, abs=0.012)
    after = (patients["DEATH_DAY"] - patients["PD_DAY"])[~np.isnan(patients["PD_DAY"])]
    assert np.median(after) == pytest.approx(20 * MONTH, rel=0.05)


def test_accrual_follows_its_power_and_ends_with_the_plan():
    trials, _ = simulate(trials=60, n=400, accrual_months=10.0, accrual_power=0.5)
    registered = trials.patients["REGISTERED_DAY"]
    assert (registered[:, 0] == 0).all() and (np.diff(registered, axis=1) >= 0).all()
    assert registered.max() < 10 * MONTH
    # u^0.5 is below one half for a quarter of the draws.
    assert (registered < 5 * MONTH).mean() == pytest.approx(0.25, abs=0.01)
    waited = trials.patients["TREATED_DAY"] - registered
    assert (waited.min(), waited.max()) == (7, 21) and waited.mean() == pytest.approx(14, abs=0.1)


def test_registration_days_by_hand():
    rules = PLAN.override({"virtual.accrual_power": 1.0, "virtual.accrual_months": 2.0}).virtual
    # 0.1 of 60.875 days becomes day 0: the first registration starts the calendar.
    assert registration_days(rules, np.array([0.5, 0.1, 0.9])).tolist() == [0, 30, 54]


def test_the_data_cut_off_is_the_same_day_for_everybody():
    trials, world = simulate(trials=5, cutoff=18.0)
    total = (trials.patients["CUT_DAY"] + trials.patients["TREATED_DAY"]).ravel()
    assert set(total) == {(pd.Timestamp("2016-09-02") - pd.Timestamp("2015-03-02")).days}
    assert data_cutoff(world.virtual, world.design) == pd.Timestamp("2016-09-02")


def test_loss_to_follow_up_is_exponential_and_independent():
    trials, _ = simulate(lost_mean_months=5.0)
    lost = trials.patients["LOST_DAY"]
    assert (lost > 5 * MONTH).mean() == pytest.approx(np.exp(-1), abs=0.012)
    assert abs(correlate(trials, "LOST_DAY", "LATENT_DAY")) < 3 / np.sqrt(lost.size)


def follow_one(trials, trial, patient):
    """Return PFS and OS of one patient from her visits, death and end of follow-up, step by step."""
    get = {name: values[trial, patient] for name, values in trials.patients.items()}
    end = min(get["CUT_DAY"], get["LOST_DAY"])
    last, documented, died = 0, None, get["LATENT_DAY"] if get["DEATH_FIRST"] else np.inf
    for day in trials.visits[trial, patient]:
        if day > end or day >= died or documented is not None:
            break
        last = day
        if not get["DEATH_FIRST"] and day >= get["LATENT_DAY"]:
            documented = day
    death = get["DEATH_DAY"]
    if documented is not None:
        pfs = (documented, True)
    else:
        pfs = (died, True) if died <= end else (last, False)
    survived = (death, True) if death <= end else (end, False)
    return (pfs[0] + 1, pfs[1], survived[0] + 1, survived[1])


def test_endpoints_are_those_a_patient_by_patient_account_gives():
    trials, _ = simulate(trials=2, n=120, lost_mean_months=12.0, death_first_share=0.2)
    for trial, patient in np.ndindex(*trials.shape):
        names = ("PFSDAYS", "PFSEVENT", "OSDAYS", "OSEVENT")
        found = tuple(trials.patients[name][trial, patient] for name in names)
        assert found == follow_one(trials, trial, patient)


def test_the_trials_have_the_distributions_of_one_trial_at_a_time():
    trials, world = simulate(trials=20, n=200)
    one = [
        simulate_course(world.virtual, 200, np.random.default_rng(seed), design=world.design).patients
        for seed in range(20)
    ]
    course = pd.concat(one)
    # Fourteen of 200 are untidy there, which few of these quantities know.
    for name in ("LATENT_DAY", "CHANGE_D14", "PFSDAYS", "OSDAYS", "CUT_DAY"):
        assert ks_2samp(course[name], trials.patients[name].ravel()).pvalue > 1e-3, name
    for name in ("PFSEVENT", "OSEVENT", "MUTATED", "CTDNA_D14"):
        assert course[name].mean() == pytest.approx(trials.patients[name].mean(), abs=0.04), name


def test_the_same_generator_gives_the_same_trials_and_the_pilot_comes_first():
    first, world = simulate(trials=3, n=48)
    again = simulate_trials(world.virtual, world.design, 3, np.random.default_rng(1))
    assert all(
        np.array_equal(first.patients[name], again.patients[name], equal_nan=True)
        for name in first.patients
        if first.patients[name].dtype != object
    )
    assert first.shape == (3, 48) and first.visits.shape == (3, 48, 18)
    assert first.patients["PILOT"].sum(axis=1).tolist() == [30, 30, 30]
    assert first.patients["PILOT"][:, :30].all()
