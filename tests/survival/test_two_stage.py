"""The two-stage test against full enumeration, under the null with the worst choice of day, and degenerate."""

import math
from itertools import permutations, product
from statistics import NormalDist

import numpy as np
import pytest

from analysis.survival import two_stage
from analysis.survival.log_rank import log_rank, log_rank_scores
from analysis.survival.outcome import NotEstimable
from analysis.survival.two_stage import Stage, two_stage_test

NAN = float("nan")
# Six pilot patients: four with both days, two without the second; the fifth is gone by its landmark.
PILOT_SCORES = [(0.9, 0.8), (0.6, 0.5), (0.1, -0.2), (-0.5, -1.1), (0.4, 0.0), (-1.5, 0.0)]
PILOT_EXPOSED = [(1, 1), (1, 0), (0, 0), (0, 1), (1, NAN), (0, NAN)]
LATER_SCORES = [(0.75, 0.0), (0.4, 0.0), (-0.1, 0.0), (-1.05, 0.0)]
LATER_EXPOSED = [(1, NAN), (0, NAN), (1, NAN), (0, NAN)]
WEIGHTS = (25.0, 13.0)
NORMAL = NormalDist()


def stage(scores, exposed):
    return Stage(np.array(scores, dtype=float).reshape(-1, 2), np.array(exposed, dtype=float).reshape(-1, 2))


PILOT, LATER = stage(PILOT_SCORES, PILOT_EXPOSED), stage(LATER_SCORES, LATER_EXPOSED)


def generator(seed=7):
    return np.random.default_rng(seed)


def run(pilot=PILOT, later=LATER, chosen=0, weights=WEIGHTS, permutations=200, seed=7):
    return two_stage_test(pilot, later, chosen, weights, permutations, generator(seed))


def orders_of(blocks):
    """List every order of positions in which only those of one block change places."""
    moved = []
    for parts in product(*(permutations(block) for block in blocks)):
        order = [0] * sum(len(block) for block in blocks)
        for block, part in zip(blocks, parts, strict=True):
            for place, taken in zip(block, part, strict=True):
                order[place] = taken
        moved.append(order)
    return moved


def sums_over(orders, scores, exposed, day):
    """Sum the scores of the exposed of one day under every order."""
    return [sum(s[day] for i, s in enumerate(scores) if exposed[order[i]][day] == 1) for order in orders]


def tail(observed, values):
    """Return the share of values as large or larger, as a Monte Carlo p counts it, kept below 1."""
    reached = sum(value >= observed - 1e-9 for value in values)
    return min((1 + reached) / (1 + len(values)), len(values) / (1 + len(values)))


def brute_force(sign):
    """Test in one direction by enumeration, in plain Python, standardised by the enumerated moments."""
    both, alone = orders_of([(0, 1, 2, 3), (4, 5)]), orders_of([(0, 1, 2, 3)])
    standard = []
    for day in (0, 1):
        sums = [sign * value for value in sums_over(both, PILOT_SCORES, PILOT_EXPOSED, day)]
        mean = sum(sums) / len(sums)
        sd = math.sqrt(sum((value - mean) ** 2 for value in sums) / len(sums))
        standard.append([(value - mean) / sd for value in sums])
    # The first order is the observed one.
    days = [tail(z[0], z) for z in standard]
    largest = [max(pair) for pair in zip(*standard, strict=True)]
    any_day = tail(largest[0], largest)
    later = [sign * value for value in sums_over(alone, LATER_SCORES, LATER_EXPOSED, 0)]
    extension = tail(later[0], later)
    w1, w2 = math.sqrt(25 / 38), math.sqrt(13 / 38)

    def combine(first):
        return 1 - NORMAL.cdf(w1 * NORMAL.inv_cdf(1 - first) + w2 * NORMAL.inv_cdf(1 - extension))

    return {
        "days": days,
        "any": any_day,
        "extension": extension,
        "chosen": combine(days[0]),
        "intersection": combine(any_day),
        "z": [z[0] for z in standard],
    }


@pytest.fixture
def enumerated(monkeypatch):
    """Let the test draw every permutation once instead of some at random."""

    def every(strata, permutations, rng):
        blocks = [tuple(np.flatnonzero(strata == level)) for level in np.unique(strata)[::-1]]
        return np.array(orders_of(sorted(blocks)))

    monkeypatch.setattr(two_stage, "permute_within", every)


def test_it_equals_brute_force_over_all_permutations(enumerated):
    found, up, down = run(), brute_force(1), brute_force(-1)
    assert found.p_pilot == pytest.approx(up["days"], abs=1e-12)
    assert found.p_pilot_any == pytest.approx(up["any"], abs=1e-12)
    assert found.p_extension == pytest.approx(up["extension"], abs=1e-12)
    assert found.z_pilot == pytest.approx(up["z"], abs=1e-12)
    for name, value in (("chosen", found.p_chosen), ("intersection", found.p_intersection)):
        assert value == pytest.approx(min(1, 2 * min(up[name], down[name])), abs=1e-12)
    adjusted = [max(side["chosen"], side["intersection"]) for side in (up, down)]
    assert found.p == pytest.approx(2 * min(adjusted), abs=1e-12) and found.p < 1
    assert found.z == pytest.approx(NORMAL.inv_cdf(1 - adjusted[0]), abs=1e-9)


def test_random_permutations_come_near_all_of_them():
    found, up = run(permutations=20_000), brute_force(1)
    assert found.p_pilot == pytest.approx(up["days"], abs=0.03)  # 48 orders against (1 + b) / (1 + 48)
    assert found.p_pilot_any == pytest.approx(up["any"], abs=0.03)


def test_the_extension_of_one_stage_is_the_permutation_log_rank():
    rng = generator(3)
    time, event, exposed = rng.exponential(size=20), rng.random(20) < 0.8, rng.random(20) < 0.6
    scores = log_rank_scores(time, event)
    later = Stage(np.c_[scores, scores], np.c_[exposed, exposed].astype(float))
    found = run(later=later, permutations=20_000)
    expected = log_rank(time, event, exposed, method="exact").iloc[0]["p"]
    assert 2 * min(found.p_extension, 1 - found.p_extension) == pytest.approx(expected, abs=0.03)


def null_trial(rng, n, pilot):
    """Simulate classes of two days and outcomes that have nothing to do with each other."""
    time, event = rng.exponential(size=n), rng.random(n) < 0.9
    exposed = (rng.random((n, 2)) < 0.6).astype(float)
    parts = []
    for own in (slice(0, pilot), slice(pilot, n)):
        scores = log_rank_scores(time[own], event[own])
        parts.append(Stage(np.c_[scores, scores], exposed[own]))
    return time, event, exposed, *parts


def test_it_keeps_its_level_where_the_larger_effect_chooses_the_day_and_the_pooled_test_does_not():
    trials, rng = 600, generator(11)
    naive, corrected = np.empty(trials), np.empty(trials)
    for k in range(trials):
        time, event, exposed, pilot, later = null_trial(rng, 36, 28)
        effects = pilot.scores.T @ pilot.exposed
        spread = pilot.exposed.std(axis=0)
        chosen = int(np.argmax(np.abs(np.diag(effects)) / np.maximum(spread, 1e-9)))
        scores = log_rank_scores(time, event)
        shuffled = rng.permuted(np.tile(scores, (200, 1)), axis=1) @ exposed[:, chosen]
        reached = np.sum(np.abs(shuffled) >= abs(scores @ exposed[:, chosen]) - 1e-9)
        naive[k] = (1 + reached) / 201
        corrected[k] = two_stage_test(pilot, later, chosen, (28, 8), 200, rng).p
    error = math.sqrt(0.05 * 0.95 / trials)
    assert np.mean(naive <= 0.05) > 0.05 + 2.5 * error
    assert np.mean(corrected <= 0.05) < 0.05 + 2 * error
    # It is a test, not a refusal: a fifth of the trials is below 0.2 or nearly so.
    assert np.mean(corrected <= 0.2) > 0.1


def test_a_planted_effect_is_found():
    rng, found = generator(5), []
    for _ in range(20):
        exposed = (rng.random((48, 2)) < 0.6).astype(float)
        time = rng.exponential(size=48) / np.exp(2 * exposed[:, 0])
        scores = [log_rank_scores(time[own], np.ones(48)[own]) for own in (slice(0, 30), slice(30, 48))]
        stages = [
            Stage(np.c_[one, one], exposed[own])
            for one, own in zip(scores, (slice(0, 30), slice(30, 48)), strict=True)
        ]
        found.append(two_stage_test(*stages, 0, WEIGHTS, 200, rng))
    assert sum(one.p <= 0.05 for one in found) >= 18
    assert all(one.z > 0 for one in found)


def test_the_adjusted_p_is_never_below_its_two_hypotheses():
    rng = generator(2)
    for chosen in (0, 1) * 10:
        *_, pilot, later = null_trial(rng, 24, 15)
        found = two_stage_test(pilot, later, chosen, WEIGHTS, 99, rng)
        assert found.p >= max(found.p_chosen, found.p_intersection) - 1e-12
        assert 0 < found.p <= 1 and abs(found.z) == pytest.approx(-NORMAL.inv_cdf(found.p / 2), abs=1e-9)


def test_coding_the_classes_the_other_way_round_turns_the_sign_and_nothing_else():
    turned = [Stage(one.scores, 1 - one.exposed) for one in (PILOT, LATER)]
    found, other = run(), run(*turned)
    assert other.p == pytest.approx(found.p) and other.z == pytest.approx(-found.z)
    assert other.z_pilot == pytest.approx(-found.z_pilot)


def test_the_same_seed_gives_the_same_p_and_inputs_stay_as_they_are():
    before = PILOT.exposed.copy()
    assert run().p == run().p
    np.testing.assert_array_equal(PILOT.exposed, before)


UNINFORMED = {
    "nobody": stage([], []),
    "no event": stage(np.zeros((4, 2)), LATER_EXPOSED),
    "one class": stage(LATER_SCORES, [(1, NAN)] * 4),
    "no class": stage(LATER_SCORES, [(NAN, 1)] * 4),
    "one patient": stage(LATER_SCORES[:1], LATER_EXPOSED[:1]),
}


@pytest.mark.parametrize("name", UNINFORMED)
def test_an_extension_without_information_costs_its_weight(name, enumerated):
    found, up = run(later=UNINFORMED[name]), brute_force(1)
    assert math.isnan(found.p_extension) and math.isnan(found.z_extension)
    worst = max(up["days"][0], up["any"])
    expected = 2 * (1 - NORMAL.cdf(math.sqrt(25 / 38) * NORMAL.inv_cdf(1 - worst)))
    assert found.p == pytest.approx(min(1, expected), abs=1e-12)
    assert found.p > 2 * worst  # less than the pilot alone would say


def test_a_pilot_without_information_leaves_the_extension_at_its_weight(enumerated):
    found, up = run(pilot=stage(np.zeros((6, 2)), PILOT_EXPOSED)), brute_force(1)
    expected = 2 * (1 - NORMAL.cdf(math.sqrt(13 / 38) * NORMAL.inv_cdf(1 - up["extension"])))
    assert found.p == pytest.approx(expected, abs=1e-12)
    assert np.isnan(found.p_pilot).all() and math.isnan(found.p_pilot_any)


def test_a_day_without_information_in_the_pilot_is_not_looked_at(enumerated):
    exposed = [(first, NAN) for first, _ in PILOT_EXPOSED]
    found = run(pilot=stage(PILOT_SCORES, exposed))
    assert found.p_intersection == found.p_chosen == found.p
    assert math.isnan(found.p_pilot[1])


def test_no_information_at_all_is_not_estimable():
    with pytest.raises(NotEstimable, match=r"neither pilot \(n 6\) nor extension \(n 0\)"):
        run(pilot=stage(np.zeros((6, 2)), PILOT_EXPOSED), later=UNINFORMED["nobody"])
    with pytest.raises(NotEstimable, match="chosen day"):
        run(
            pilot=stage(PILOT_SCORES, [(1, second) for _, second in PILOT_EXPOSED]),
            later=UNINFORMED["nobody"],
        )


def test_two_patients_are_enough_for_a_p_of_no_use():
    found = run(pilot=stage([(0.5, 0.5), (-0.5, -0.5)], [(1, 1), (0, 0)]), later=UNINFORMED["nobody"])
    assert 0.3 < found.p <= 1


def test_all_weight_on_the_pilot_is_the_pilot_alone(enumerated):
    found, up = run(weights=(1, 0)), brute_force(1)
    assert found.p == pytest.approx(min(1, 2 * max(up["days"][0], up["any"])), abs=1e-12)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"chosen": 2}, "chosen day is column 2"),
        ({"weights": (-1, 2)}, "events planned"),
        ({"weights": (0, 0)}, "events planned"),
        ({"pilot": stage(PILOT_SCORES, np.full((6, 2), 2.0))}, "1, 0 or nan"),
        ({"pilot": stage(np.full((6, 2), NAN), PILOT_EXPOSED)}, "scores are missing"),
        ({"later": Stage(np.zeros((3, 1)), np.zeros((3, 1)))}, "2 and 1 days"),
        ({"later": Stage(np.zeros(3), np.zeros(3))}, "a row a patient"),
    ],
)
def test_what_cannot_be_tested_is_refused(given, match):
    with pytest.raises(ValueError, match=match):
        run(**given)


def test_who_is_not_at_risk_is_not_exchanged_with_who_is():
    # Three who had the event before the landmark, all exposed; one of the four at risk is, with the least score.
    scores = np.array([0.0, 0, 0, 0.75, 0.25, -0.25, -0.75])[:, None]
    exposed = np.array([1.0, 1, 1, 0, 0, 0, 1])[:, None]
    nobody = Stage(np.zeros((0, 1)), np.zeros((0, 1)))
    apart = two_stage_test(Stage(scores, exposed, scores != 0), nobody, 0, (1, 0), 4000, generator())
    assert apart.p_pilot[0] > 0.99  # every one of the four allocations reaches the observed
    together = two_stage_test(Stage(scores, exposed), nobody, 0, (1, 0), 4000, generator())
    assert together.p_pilot[0] == pytest.approx(32 / 35, abs=0.02)  # -.25, -.75 and two of three zeros do not
    with pytest.raises(ValueError, match="not at risk from a landmark has the score 0"):
        two_stage_test(Stage(scores, exposed, np.zeros((7, 1), bool)), nobody, 0, (1, 0), 10, generator())
