"""The outcome model of the virtual trial: its calibration, its null, and its bookkeeping."""

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from scipy.stats import rankdata

from analysis import plan
from analysis.virtual_trial import add_image_noise, scan_specs, simulate_outcomes
from analysis.virtual_trial.outcomes import simulate_course, simulate_latent
from analysis.virtual_trial.schedule import site_counts

PLAN = plan.defaults()
MONTH = 30.4375
SEEDS = range(1000, 1060)


def simulate(seed, **changes):
    settings = PLAN.override({f"virtual.{name}": value for name, value in changes.items()}).virtual
    return simulate_outcomes(settings, 48, np.random.default_rng(seed), design=PLAN.design)


def worst_change(trial, seed, day="D14"):
    """Return the ln ratio of each evaluable patient's worst lesion, as an image would show it."""
    noisy = add_image_noise(trial.uptake, PLAN.virtual.ratio_noise_cv, np.random.default_rng([seed, 1]))
    wide = noisy.pivot_table(index=["ROW", "LESIONID"], columns="AVISIT", values="SUVMAX")
    wide = wide[(wide["D0"] > 3.6) & wide[day].notna()]
    refused = trial.scans.query("AVISIT == @day and FAULT == 'no_weight'")["ROW"]
    worst = np.log(wide[day] / wide["D0"]).groupby("ROW").max()
    return worst[~worst.index.isin(refused)]


def log_hazard_ratio(time, event, exposed):
    frame = pd.DataFrame({"t": time, "e": event, "x": exposed.astype(float)})
    return CoxPHFitter().fit(frame[frame["t"] > 0], "t", "e").params_["x"]


@pytest.fixture(scope="module")
def calibration():
    rows = []
    for seed in SEEDS:
        trial = simulate(seed)
        patients = trial.patients
        median = KaplanMeierFitter().fit(patients["PFSDAYS"], patients["PFSEVENT"]).median_survival_time_
        after_draw = patients["PFSDAYS"] - 1 - 13
        worst = worst_change(trial, seed)
        rows.append(
            {
                "non_responders": (worst > np.log(0.75)).mean(),
                "evaluable": len(worst),
                "median": median / MONTH,
                "events": patients["PFSEVENT"].sum(),
                "ctdna": log_hazard_ratio(after_draw, patients["PFSEVENT"], patients["CTDNA_D14"]),
                "max_t": max_t_pvalue(trial, worst, np.random.default_rng([seed, 2])),
            }
        )
    return pd.DataFrame(rows)


def max_t_pvalue(trial, worst, rng, permutations=200):
    """Return the single-step maxT p-value of the planted gene against the worst lesion's rank."""
    n = len(worst)
    null = [rng.random(n) < share for share in PLAN.virtual.null_genes.values()]
    genes = np.array([trial.patients["MUTATED"].to_numpy()[worst.index], *null], dtype=float)
    genes = genes[genes.sum(axis=1) >= 3]
    genes = (genes - genes.mean(axis=1, keepdims=True)) / genes.std(axis=1, keepdims=True)
    score = rankdata(worst) - (n + 1) / 2
    largest = np.abs(genes @ np.array([rng.permutation(score) for _ in range(permutations)]).T).max(axis=0)
    return (1 + (largest >= abs(genes[0] @ score)).sum()) / (permutations + 1)


def test_two_thirds_do_not_respond_at_day_14(calibration):
    assert calibration["non_responders"].mean() == pytest.approx(0.67, abs=0.03)


def test_45_of_48_patients_can_be_evaluated(calibration):
    assert calibration["evaluable"].mean() == pytest.approx(45, abs=0.5)


def test_the_observed_median_pfs_is_3_5_to_4_5_months(calibration):
    assert 3.5 < calibration["median"].mean() < 4.5


def test_the_trial_sees_36_to_40_pfs_events(calibration):
    assert 36 < calibration["events"].mean() < 40


def test_ctdna_detected_at_day_14_has_a_hazard_ratio_of_about_2_5(calibration):
    assert np.exp(calibration["ctdna"].mean()) == pytest.approx(2.5, abs=0.2)


def test_the_planted_gene_is_found_in_nine_trials_of_ten(calibration):
    assert (calibration["max_t"] <= 0.05).mean() >= 0.9


def test_without_planted_effects_there_is_no_association():
    effects = []
    for seed in range(40):
        patients = simulate(seed, hr_score=1.0, hr_ctdna=1.0, hr_gene=1.0).patients
        time = patients["PFSDAYS"] - 1
        effects.append(log_hazard_ratio(time, patients["PFSEVENT"], patients["SENSITIVITY"] < 0))
    assert abs(np.mean(effects)) < 3 * np.std(effects) / np.sqrt(len(effects))


def test_sensitivity_has_unit_variance_and_the_days_correlate_as_planted():
    latent = simulate_latent(PLAN.virtual, 40_000, np.random.default_rng(3))
    assert latent["SENSITIVITY"].mean() == pytest.approx(0, abs=0.02)
    assert latent["SENSITIVITY"].std() == pytest.approx(1, abs=0.02)
    assert latent["MUTATED"].mean() == pytest.approx(PLAN.virtual.planted_prevalence, abs=0.01)
    a, b = PLAN.virtual.loading_d14, PLAN.virtual.loading_d28
    assert latent["CHANGE_D14"].corr(-latent["SENSITIVITY"]) == pytest.approx(a, abs=0.01)
    # two standardised days share a * b through sensitivity and .5 of what is left of each
    expected = a * b + 0.5 * np.sqrt((1 - a**2) * (1 - b**2))
    assert latent["CHANGE_D14"].corr(latent["CHANGE_D28"]) == pytest.approx(expected, abs=0.01)


def test_the_same_seed_gives_the_same_trial_and_another_seed_another():
    first, again, other = simulate(5), simulate(5), simulate(6)
    for name in ("patients", "lesions", "assessments", "scans", "uptake", "roles", "screen_failures"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name))
    assert not first.uptake["SUVMAX"].equals(other.uptake["SUVMAX"])


def test_a_course_without_scans_has_the_patients_of_the_whole_trial():
    course = simulate_course(PLAN.virtual, 48, np.random.default_rng(5), design=PLAN.design)
    pd.testing.assert_frame_equal(course.patients, simulate(5).patients)


@pytest.mark.parametrize("seed", range(5))
def test_progression_is_documented_at_the_first_visit_after_it_happened(seed):
    trial = simulate(seed)
    patients = trial.patients.dropna(subset="PD_DAY")
    delay = patients["PD_DAY"] - patients["LATENT_DAY"]
    assert delay.min() >= 0 and delay.max() <= 56 + 2 * PLAN.virtual.visit_jitter_days
    documented = trial.assessments.query("RESULT == 'PD'").set_index("ROW")["DAY"]
    assert (documented == patients.set_index("ROW")["PD_DAY"].reindex(documented.index)).all()


@pytest.mark.parametrize("seed", range(5))
def test_progression_free_survival_never_exceeds_survival(seed):
    patients = simulate(seed).patients
    assert (patients["PFSDAYS"] <= patients["OSDAYS"]).all()
    assert (patients["OSDAYS"] - 1 <= patients["CUT_DAY"]).all()


def test_sites_share_48_patients_as_in_the_trial():
    assert site_counts(48, [32, 5, 5, 5, 1]).tolist() == [32, 5, 5, 5, 1]


@pytest.mark.parametrize("n", [5, 12, 30, 100])
def test_every_site_has_a_patient_and_none_is_lost(n):
    counts = site_counts(n, [32, 5, 5, 5, 1])
    assert counts.sum() == n and counts.min() >= 1


def test_the_first_thirty_are_the_pilot_and_have_three_scans_unless_one_is_missing():
    trial = simulate(2)
    patients = trial.patients
    assert (patients["PILOTFL"] == "Y").sum() == 30
    assert patients["ICDT"].is_monotonic_increasing
    days = trial.scans.groupby("ROW")["AVISIT"].agg(set)
    missing = set(trial.roles.query("ROLE == 'missing_d14'")["ROW"])
    for row in range(30):
        assert {"D0", "D28"} <= days[row] and ("D14" in days[row]) == (row not in missing)
    for row in range(30, 48):
        assert "D14" in days[row] and "D28" not in days[row]


def test_a_patient_carries_at_most_one_role():
    roles = simulate(2).roles
    assert roles["ROW"].is_unique
    assert set(roles["ROLE"]) >= {
        "missing_d14",
        "withdrawn",
        "not_evaluable",
        "pneumonitis",
        "new_lesion",
        "pause",
    }


def test_scan_dates_lie_in_the_visit_windows_of_the_plan():
    scans = simulate(2).scans
    study_day = scans["DAY"] + (scans["DAY"] >= 0)
    for visit, window in (("D14", PLAN.visits.d14_window), ("D28", PLAN.visits.d28_window)):
        assert study_day[scans["AVISIT"] == visit].between(*window).all()
    assert study_day[scans["AVISIT"] == "D0"].between(-28, -1).all()


def test_each_scan_is_handed_to_imaging_with_its_lesions():
    trial = simulate(2)
    specs = scan_specs(trial)
    assert len(specs) == len(trial.scans)
    assert sum(len(spec["lesions"]) for spec in specs) == len(trial.uptake)
    assert {"LESIONID", "ORGAN", "DIAMETER_MM", "SUVMAX", "IS_NEW"} == set(specs[0]["lesions"][0])


def test_image_noise_has_the_stated_cv_of_the_ratio_and_leaves_its_input():
    uptake = pd.DataFrame({"SUVMAX": np.full(40_000, 8.0)})
    noisy = add_image_noise(uptake, 0.05, np.random.default_rng(1))["SUVMAX"].to_numpy()
    ratio = noisy[:20_000] / noisy[20_000:]
    assert np.std(np.log(ratio)) == pytest.approx(0.05, rel=0.03)
    assert (uptake["SUVMAX"] == 8.0).all()
