"""The pilots of virtual trials decide as notebook 03 does, trial by trial, number by number."""

import numpy as np
import pandas as pd
import pytest

from analysis.operating.pilot import choose_days, decision_day, known_on
from analysis.survival.concordance import resampled_concordance
from analysis.survival.pilot import compare_days
from analysis.survival.pilot.batches import Pilots, batch_concordance, batch_gain
from analysis.survival.pilot.paired import resampled_gain

RULES = ("margin", "max_concordance", "max_partial_likelihood", "agreement_first")
READS = {"gain": "concordance", "gain_score": "gain_score", "gain_class": "gain_class", "agreement": "kappa"}


@pytest.fixture(scope="module")
def decisions(world, tables):
    found = []
    for trial in range(world.trials.shape[0]):
        study = tables(world, trial)
        given = (study.admr, study.adtte, study.adsl, world.plan)
        found.append(compare_days(*given, np.random.default_rng(0), adrs=study.adrs).decision)
    return found


def test_what_every_rule_reads_is_what_notebook_03_computes(world, decisions):
    days = world.plan.design.followup_visits
    contrast = f"{days[1]} - {days[0]}"
    for name, item in READS.items():
        slow = [decision["evidence"][contrast][item] for decision in decisions]
        assert world.choices.reads[name] == pytest.approx(np.array(slow, dtype=float), abs=1e-9), name
    slow = [decision["evidence"][days[0]]["concordance"] for decision in decisions]
    assert world.choices.reads["earlier"] == pytest.approx(slow, abs=1e-9)


def test_every_rule_takes_the_day_notebook_03_takes(world, decisions):
    later = world.plan.design.followup_visits[1]
    for rule in RULES:
        slow = [decision["support"]["choices"][rule] == later for decision in decisions]
        assert world.choices.later[rule].tolist() == slow, rule
    slow = [decision["timepoint"] == later for decision in decisions]
    assert world.choices.later["PLAN"].tolist() == slow
    assert 0 < sum(slow) < len(slow)  # both days are taken: the comparison can fail


def test_the_decision_its_date_and_its_fallback_are_those_of_notebook_03(world, decisions):
    assert world.choices.fallback.tolist() == [decision["fallback"] for decision in decisions]
    assert 0 < world.choices.fallback.sum() < len(decisions)
    assert world.choices.events.tolist() == [decision["events_known"] for decision in decisions]
    dates = pd.Timestamp("2015-03-02") + pd.to_timedelta(
        decision_day(world.trials, world.scans, world.plan), "D"
    )
    assert [date.date().isoformat() for date in dates] == [
        decision["decision_date"] for decision in decisions
    ]


def test_on_mature_data_the_rules_read_all_follow_up(world, tables):
    # With the decision set after the data cut-off notebook 03 knows everything as well.
    late = world.plan.override({"pilot.decision_offset_days": 2000})
    contrast = " - ".join(reversed(world.plan.design.followup_visits))
    for trial in range(2):
        study = tables(world, trial)
        given = (study.admr, study.adtte, study.adsl, late)
        slow = compare_days(*given, np.random.default_rng(0), adrs=study.adrs).decision
        for name, item in READS.items():
            expected = slow["evidence"][contrast][item]
            assert world.mature.reads[name][trial] == pytest.approx(expected, abs=1e-9), name
    assert (world.mature.events >= world.choices.events).all()


def test_the_fallback_takes_the_later_day_only_where_the_earlier_scan_is_missing_clearly_more_often(simulate):
    world = simulate(trials=40, **{"pilot.min_pilot_events": 1000, "operating.missed_share": 0.2})
    made = world.scans.made[:, :, :30]
    points = 100 * ((~made[0]).sum(axis=1) - (~made[1]).sum(axis=1)) / 30
    assert world.choices.fallback.all()
    assert world.choices.later["PLAN"].tolist() == (points > 10).tolist()
    assert not world.choices.by_outcome.any()


def test_support_is_the_share_of_resamples_in_which_the_later_day_is_better(world):
    # Many resamples, from other random numbers: the same share within its error.
    many = world.plan.override({"pilot.behaviour_bootstrap": 3000})
    fast = choose_days(world.trials, world.scans, many, np.random.default_rng(1)).reads["support"]
    time, event = known_on(world.trials, decision_day(world.trials, world.scans, many), many, 30)
    rng = np.random.default_rng(2)
    for trial in range(3):
        score = world.scans.score[:, trial, :30]
        kept = np.isfinite(score).all(axis=0) & (time[trial] > many.pilot.landmark_day)
        counts = rng.multinomial(kept.sum(), np.full(kept.sum(), 1 / kept.sum()), size=3000)
        arrays = (time[trial][kept], event[trial][kept])
        first, second = (resampled_concordance(*arrays, part[kept], counts) for part in score)
        assert fast[trial] == pytest.approx(np.mean(second > first), abs=0.04)


def test_a_day_the_plan_fixes_is_analysed_whatever_the_pilot_finds(world):
    fixed = world.plan.override({"primary.timepoint": "D28"})
    found = choose_days(world.trials, world.scans, fixed, np.random.default_rng(0))
    assert found.day.all() and not found.by_outcome.any()
    assert found.later["PLAN"].tolist() == world.choices.later["PLAN"].tolist()


def test_ties_of_times_and_scores_count_as_in_the_slow_measures():
    rng = np.random.default_rng(4)
    time, event = rng.integers(1, 6, (30, 20)).astype(float), rng.random((30, 20)) < 0.7
    kept, score = rng.random((30, 20)) < 0.9, rng.integers(0, 4, (30, 20)).astype(float)
    pilots = Pilots(time, event, kept)
    concordance, gain = batch_concordance(pilots.ordered_pairs(), score), batch_gain(pilots, score)
    for row in range(30):
        part = [values[row][kept[row]] for values in (time, event, score)]
        once = np.ones((1, kept[row].sum()), dtype=int)
        assert concordance[row] == pytest.approx(resampled_concordance(*part, once)[0], abs=1e-12)
        assert gain[row] == pytest.approx(resampled_gain(*part, once)[0], abs=1e-9)
