import itertools

import lifelines.statistics
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.survival import NotEstimable, log_rank
from analysis.survival.log_rank import log_rank_scores

TIME = np.array([1, 2, 3, 4, 5, 6, 7, 8.0])
EVENT = np.array([1, 1, 0, 1, 1, 0, 1, 1], dtype=bool)
GROUP = np.array(list("abababab"))


def generator():
    return np.random.default_rng(7)


def test_four_patients_by_hand():
    # a 1 2, b 3 4: E(a) = 1/2 + 1/3, V = 1/4 + 2/9.
    found = log_rank([1, 2, 3, 4], [1, 1, 1, 1], list("aabb")).iloc[0]
    expected = (2 - 5 / 6) ** 2 / (1 / 4 + 2 / 9)
    assert found["chi2"] == pytest.approx(expected)
    assert (found["n"], found["events"], found["df"]) == (4, 4, 1)


def test_exact_p_counts_the_allocations():
    # Of the six ways to choose two of four, 1 2 and 3 4 are the most extreme: 2 / 6.
    found = log_rank([1, 2, 3, 4], [1, 1, 1, 1], list("aabb"), method="exact").iloc[0]
    assert found["p"] == pytest.approx(2 / 6)
    assert found["permutations"] == 6


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.booleans()), min_size=3, max_size=10))
def test_exact_p_equals_a_plain_enumeration(rows):
    time, event, group = (np.array(part) for part in zip(*rows, strict=True))
    if not event.any() or group.all() or not group.any():
        return
    scores = log_rank_scores(time, event)
    observed = abs(scores[group].sum())
    sums = [
        abs(scores[list(chosen)].sum()) for chosen in itertools.combinations(range(len(time)), group.sum())
    ]
    expected = np.mean(np.array(sums) >= observed - 1e-9)
    assert log_rank(time, event, group, method="exact")["p"].iloc[0] == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 2)), min_size=8, max_size=30))
def test_chi_square_equals_lifelines(rows):
    time, event, group = (np.array(part) for part in zip(*rows, strict=True))
    if not event.any() or len(np.unique(group)) < 2:
        return
    try:
        found = log_rank(time, event, group)["chi2"].iloc[0]
    except NotEstimable:
        return
    expected = lifelines.statistics.multivariate_logrank_test(time, group, event).test_statistic
    if np.isfinite(expected):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_permutation_p_comes_near_the_exact_one_and_repeats_with_its_seed():
    exact = log_rank(TIME, EVENT, GROUP, method="exact")["p"].iloc[0]
    first, second = (
        log_rank(TIME, EVENT, GROUP, method="permutation", permutations=20000, rng=generator())["p"].iloc[0]
        for _ in range(2)
    )
    assert first == second
    assert first == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20000))


def test_permutation_stays_within_strata():
    # Each stratum holds one group only: no allocation differs from the observed one.
    options = {"strata": GROUP, "method": "permutation", "permutations": 50, "rng": generator()}
    assert log_rank(TIME, EVENT, GROUP, **options)["p"].iloc[0] == 1.0


def test_scores_sum_to_zero_and_to_observed_minus_expected():
    scores = log_rank_scores([1, 2, 3, 4], [1, 1, 1, 1])
    assert scores.sum() == pytest.approx(0)
    assert scores[:2].sum() == pytest.approx(2 - 5 / 6)


def test_swapping_labels_and_reordering_rows_change_nothing():
    order = generator().permutation(len(TIME))
    swapped = np.where(GROUP == "a", "b", "a")
    found = [
        log_rank(TIME, EVENT, GROUP),
        log_rank(TIME, EVENT, swapped),
        log_rank(TIME[order], EVENT[order], GROUP[order]),
    ]
    assert [table["chi2"].iloc[0] for table in found] == pytest.approx([found[0]["chi2"].iloc[0]] * 3)


def test_all_events_at_one_time_carry_no_information():
    found = log_rank([5, 5, 5, 5], [1, 1, 1, 1], list("aabb")).iloc[0]
    assert (found["chi2"], found["p"]) == (0, 1)


def test_two_patients_are_tested():
    found = log_rank([1, 2], [1, 1], ["a", "b"], method="exact").iloc[0]
    assert (found["chi2"], found["p"]) == (pytest.approx(1), 1.0)


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(NotEstimable, match="none of the 2 patients has an event"):
        log_rank([1, 2], [0, 0], ["a", "b"])
    with pytest.raises(NotEstimable, match="one group is empty"):
        log_rank([1, 2], [1, 1], ["a", "a"])
    with pytest.raises(ValueError, match="needs rng"):
        log_rank(TIME, EVENT, GROUP, method="permutation")
    with pytest.raises(ValueError, match="at most 30"):
        log_rank(np.arange(40), np.ones(40), np.arange(40) % 2, method="exact")
    with pytest.raises(ValueError, match="method must be"):
        log_rank(TIME, EVENT, GROUP, method="bayes")
