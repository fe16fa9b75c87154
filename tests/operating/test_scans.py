"""Which scans of the virtual trials exist, and what the plan's own rule makes of their lesions."""

import numpy as np
import pytest

from analysis.operating.scans import simulate_scans
from analysis.virtual_trial.many_trials import simulate_trials

CUT = np.log(0.75)


def worst_change(world, day):
    """Return the largest ln ratio of each patient's lesions, by hand: uptake never falls below its surroundings."""
    rules, lesions = world.plan.virtual, world.trials.lesions
    step = {"D14": 1, "D28": 2}[day]
    liver = rules.liver_floor * rules.physiology["liver_suv"]["mean"] * rules.liver_drift[step]
    floor = np.where(lesions["ORGAN"] == "liver", liver, rules.suv_floor)
    later = np.maximum(lesions["SUVMAX_D0"] * np.exp(lesions[f"LNRATIO_{day}"]), floor)
    return np.log(later / lesions["SUVMAX_D0"]).groupby(lesions["ROW"]).max().to_numpy()


def test_without_noise_the_classes_are_those_of_the_most_resistant_lesion(simulate):
    world = simulate(trials=4, **{"virtual.ratio_noise_cv": 0.0})
    for k, day in enumerate(("D14", "D28")):
        made = world.scans.made[k].ravel()
        worst = worst_change(world, day)
        assert world.scans.score[k].ravel()[made] == pytest.approx(worst[made], abs=1e-12)
        # A fall of exactly the cut responds.
        assert np.array_equal(world.scans.exposed[k].ravel()[made] == 1, worst[made] > CUT + 1e-12)
        assert np.isnan(world.scans.exposed[k].ravel()[~made]).all()


def test_noise_has_the_coefficient_of_variation_of_the_ratio(simulate):
    world = simulate(trials=8, **{"virtual.ratio_noise_cv": 0.08, "virtual.lesion_count_share": [1.0]})
    made = world.scans.made[0].ravel()
    error = (world.scans.score[0].ravel() - worst_change(world, "D14"))[made]
    assert error.std() == pytest.approx(0.08, rel=4 / np.sqrt(2 * made.sum()))


def test_scans_lie_in_their_windows_and_end_with_life_follow_up_and_the_study(simulate):
    world = simulate(trials=6, **{"virtual.first_event_day": 5, "virtual.lost_mean_months": 2.0})
    patients, scans = world.trials.patients, world.scans
    assert (scans.day[0].min(), scans.day[0].max()) == (11, 16)
    assert (scans.day[1].min(), scans.day[1].max()) == (25, 30)
    for made, day in zip(scans.made, scans.day, strict=True):
        assert not (made & (patients["DEATH_DAY"] <= day)).any()
        assert not (made & (patients["LOST_DAY"] <= day)).any()
        assert not (made & (patients["CUT_DAY"] < day)).any()


def test_scans_are_missing_by_chance_and_more_often_once_the_disease_has_progressed(world):
    changes = {
        "operating.missed_share": 0.1,
        "operating.missed_progressed_share": 0.6,
        "virtual.first_event_day": 5,
    }
    changes |= {"virtual.pfs_median_months": 1.5, "virtual.death_first_share": 0.0}
    changes |= {"virtual.lost_mean_months": 1e6, "virtual.lesion_count_share": [1.0]}
    plan = world.plan.override(changes)
    rng = np.random.default_rng(2)
    trials = simulate_trials(plan.virtual, plan.design, 60, rng)
    scans = simulate_scans(trials, plan, rng)
    progressed = trials.patients["LATENT_DAY"] < scans.day
    assert progressed[1].sum() > 700
    for share, rows in ((0.1, ~progressed), (0.6, progressed)):
        error = 4 * np.sqrt(share * (1 - share) / rows.sum())
        assert (~scans.made[rows]).mean() == pytest.approx(share, abs=error)


def test_the_rule_is_the_plans(simulate):
    mean = simulate(trials=2, **{"primary.response_rule": "suvmax_mean", "virtual.ratio_noise_cv": 0.0})
    lesions = mean.trials.lesions.assign(
        # Without a liver lesion and far above the floor: the geometric mean of the ratios is exact.
        LOW=lambda rows: rows["SUVMAX_D0"] * np.exp(rows["LNRATIO_D14"]) < 2.7
    )
    groups = lesions.groupby("ROW")
    plain = ~groups["LOW"].any().to_numpy() & mean.scans.made[0].ravel()
    expected = groups["LNRATIO_D14"].mean().to_numpy()
    assert plain.sum() > 30
    assert mean.scans.score[0].ravel()[plain] == pytest.approx(expected[plain], abs=1e-12)


def test_a_design_of_one_day_has_nothing_to_choose(world):
    one = world.plan.override({"design.followup_visits": ["D14"]})
    with pytest.raises(ValueError, match="leave step 07 out"):
        simulate_scans(world.trials, one, np.random.default_rng(0))
