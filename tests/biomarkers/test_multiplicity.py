"""Benjamini-Hochberg and Westfall-Young against hand, enumeration and theory."""

from itertools import permutations as all_orders

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.biomarkers.multiplicity import bh, rank_scores, standardised_statistics, westfall_young


def brute_force(markers, scores):
    """Step-down maxT by enumeration, written plainly: correlation as the statistic, loops for the rest."""

    def statistics(y):
        return [abs(np.corrcoef(g, y)[0, 1]) for g in markers]

    observed = np.array(statistics(scores))
    order = np.argsort(-observed)
    every = [statistics(np.array(y)) for y in all_orders(scores)]
    adjusted, before = np.empty(len(order)), 0.0
    for place, marker in enumerate(order):
        below = order[place:]
        reached = [max(t[j] for j in below) >= observed[marker] - 1e-9 for t in every]
        before = max(before, float(np.mean(reached)))
        adjusted[marker] = before
    return adjusted


def test_bh_by_hand():
    # sorted .005 .01 .03 .04 x 4/rank = .02 .02 .04 .04
    np.testing.assert_allclose(
        bh(np.array([0.03, 0.005, np.nan, 0.04, 0.01])), [0.04, 0.02, np.nan, 0.04, 0.02]
    )


def test_bh_of_nothing_is_nothing():
    assert bh(np.array([])).size == 0 and np.isnan(bh(np.array([np.nan]))).all()


def test_max_t_equals_full_enumeration():
    markers = np.array([[1, 1, 0, 0, 0, 1], [0, 1, 0, 1, 0, 0], [1, 0, 1, 0, 0, 0]], float)
    scores = np.array([3.1, 2.7, 0.4, 1.0, 0.2, 5.0])
    found = westfall_young(markers, scores, n_permutations=720, rng=np.random.default_rng(1))
    np.testing.assert_allclose(found, brute_force(markers, scores), atol=1e-12)


def test_max_t_equals_full_enumeration_of_seven_with_ties():
    rng = np.random.default_rng(11)
    markers = np.vstack([rng.normal(size=(1, 7)), [[1, 0, 0, 1, 0, 0, 0]], np.zeros((1, 7))])
    markers[2] = -markers[0]  # the same statistic twice
    scores = np.array([1.0, 2.5, 2.5, 4, 5, 6, 7])
    found = westfall_young(markers, scores, n_permutations=5040, rng=np.random.default_rng(1))
    np.testing.assert_allclose(found, brute_force(markers, scores), atol=1e-12)
    assert found[0] == found[2]


@pytest.mark.parametrize(
    ("markers", "subjects", "permutations"), [(1, 5, 600), (37, 13, 300), (300, 61, 513)]
)
def test_the_compiled_count_is_the_plain_one(markers, subjects, permutations):
    # blocks, and numbers of subjects that four does not divide, must leave no seam
    rng = np.random.default_rng(markers)
    values, scores = rng.normal(size=(markers, subjects)), rng.normal(size=subjects)
    values[rng.random(values.shape) < 0.05] = np.nan
    found = westfall_young(values, scores, n_permutations=permutations, rng=np.random.default_rng(5))
    if subjects == 5:
        drawn = np.array(list(all_orders(scores)))
        added = 0
    else:
        drawn = np.random.default_rng(5).permuted(np.tile(scores, (permutations, 1)), axis=1)
        added = 1
    observed = np.abs(standardised_statistics(values, scores))
    order = np.argsort(-observed)
    sampled = np.abs(standardised_statistics(values, drawn))[order]
    maxima = np.maximum.accumulate(sampled[::-1], axis=0)[::-1]
    reached = (maxima >= observed[order][:, None] - 1e-9).sum(axis=1)
    plain = np.maximum.accumulate((reached + added) / (len(drawn) + added))
    np.testing.assert_allclose(found[order], plain, atol=1e-12)


def test_sampled_max_t_is_near_the_enumerated_one():
    markers = np.array([[1, 1, 0, 0, 0, 1], [0, 1, 0, 1, 0, 0]], float)
    scores = np.array([3.1, 2.7, 0.4, 1.0, 0.2, 5.0])
    exact = westfall_young(markers, scores, n_permutations=720, rng=np.random.default_rng(1))
    sampled = westfall_young(markers, scores, n_permutations=719, rng=np.random.default_rng(1))
    np.testing.assert_allclose(sampled, exact, atol=0.06)


def test_one_marker_alone_needs_no_adjustment_and_equals_fisher_both_tails():
    # 3 of 4 against 1 of 4: |z| is reached by tables 0,1,3,4 of 0..4: 1 - 36/70 = 34/70 = .4857, Fisher's p
    marker, response = np.repeat([1.0, 0.0], 4), np.array([1, 1, 1, 0, 1, 0, 0, 0.0])
    found = westfall_young(marker, response, n_permutations=40320, rng=np.random.default_rng(1))
    assert found[0] == pytest.approx(34 / 70)


def test_the_statistic_has_mean_zero_and_variance_one_over_all_permutations():
    markers = np.array([[1, 0, 0, 1, 0, 0], [np.nan, 1, 0, 0, 0, 1]], float)
    every = np.array(list(all_orders([1.0, 4.0, 2.0, 8.0, 5.0, 7.0])))
    found = standardised_statistics(markers, every)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(found.std(axis=1), 1, atol=1e-12)


def test_with_ranks_the_statistic_is_the_wilcoxon_z():
    marker = np.array([1, 1, 1, 0, 0, 0, 0], float)
    change = np.array([1.2, 0.4, 2.2, -0.3, 0.1, 0.5, -1.0])
    result = stats.mannwhitneyu(change[:3], change[3:], method="asymptotic", use_continuity=False)
    found = standardised_statistics(marker, rank_scores(change))[0]
    assert 2 * stats.norm.sf(abs(found)) == pytest.approx(result.pvalue, rel=1e-9)


def test_the_same_seed_gives_the_same_p_values_and_another_number_of_markers_does_not_shift_the_stream():
    rng = np.random.default_rng(3)
    markers, scores = rng.integers(0, 2, (30, 20)).astype(float), rng.normal(size=20)
    first = westfall_young(markers, scores, n_permutations=500, rng=np.random.default_rng(9))
    again = westfall_young(markers, scores, n_permutations=500, rng=np.random.default_rng(9))
    np.testing.assert_array_equal(first, again)


def test_the_p_value_of_a_single_null_marker_is_uniform():
    rng = np.random.default_rng(5)
    p_values = [
        westfall_young(rng.normal(size=(1, 24)), rng.normal(size=24), n_permutations=199, rng=rng)[0]
        for _ in range(300)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_the_family_wise_error_is_held_and_a_strong_marker_is_found():
    rng = np.random.default_rng(7)
    false, found, trials = 0, 0, 150
    for _ in range(trials):
        markers = (rng.random((25, 40)) < 0.3).astype(float)
        scores = rng.normal(size=40) + 2.5 * markers[0]
        p_values = westfall_young(markers, scores, n_permutations=199, rng=rng)
        false += (p_values[1:] <= 0.05).any()
        found += p_values[0] <= 0.05
    # 3 binomial standard errors above nominal
    assert false / trials <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)
    assert found / trials > 0.9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_adjusted_p_values_follow_the_order_of_the_statistics(seed):
    rng = np.random.default_rng(seed)
    markers, scores = rng.normal(size=(6, 12)), rng.normal(size=12)
    p_values = westfall_young(markers, scores, n_permutations=99, rng=rng)
    order = np.argsort(-np.abs(standardised_statistics(markers, scores)))
    assert (np.diff(p_values[order]) >= 0).all()
    assert ((p_values > 0) & (p_values <= 1)).all()


def test_scores_with_gaps_and_other_lengths_are_refused():
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match="SCORE_MISSING: 1 scores"):
        westfall_young(np.ones((2, 3)), np.array([1, np.nan, 2]), n_permutations=99, rng=rng)
    with pytest.raises(ValueError, match="SHAPE: markers have 3 subjects, scores 2"):
        westfall_young(np.ones((2, 3)), np.array([1.0, 2.0]), n_permutations=99, rng=rng)


def test_a_marker_with_gaps_has_the_statistic_of_its_known_subjects():
    # Hand: r of (1, 0, 1, 0) with (9, 1, 3, 3) is 4 / sqrt(36) = 2/3, times sqrt(4 - 1).
    marker = np.array([1, 0, 1, 0, np.nan, np.nan])
    found = standardised_statistics(marker, np.array([9.0, 1, 3, 3, 100, -50]))
    assert found[0] == pytest.approx(2 / 3 * np.sqrt(3))
    assert standardised_statistics(marker, np.array([1.0, 1, 1, 1, 0, 0]))[0] == 0


def test_complete_markers_have_the_same_statistic_beside_gaps_and_p_is_that_of_enumeration():
    rng = np.random.default_rng(21)
    markers, scores = rng.normal(size=(3, 6)), rng.normal(size=6)
    complete = standardised_statistics(markers, scores)
    markers[1, [2, 5]] = np.nan
    np.testing.assert_array_equal(standardised_statistics(markers, scores)[[0, 2]], complete[[0, 2]])

    def statistics(y):
        return [
            abs(np.corrcoef(g[k], y[k])[0, 1]) * np.sqrt(k.sum() - 1)
            for g, k in ((g, np.isfinite(g)) for g in markers)
        ]

    every = np.array([statistics(np.array(y)) for y in all_orders(scores)])
    observed = np.array(statistics(scores))
    order = np.argsort(-observed)
    reached = [np.mean(every[:, order[i:]].max(axis=1) >= observed[j] - 1e-9) for i, j in enumerate(order)]
    found = westfall_young(markers, scores, n_permutations=720, rng=np.random.default_rng(1))
    np.testing.assert_allclose(found[order], np.maximum.accumulate(reached), atol=1e-12)


def test_a_null_marker_missing_by_outcome_is_rejected_as_often_as_it_says():
    # Missing in half of those with a high outcome and in nobody else: scaled over everybody, the known outcomes
    # vary less than the permuted ones, and the statistic is never large enough.
    rng, trials = np.random.default_rng(6), 400
    rejected = 0
    for _ in range(trials):
        marker, scores = rng.normal(size=50), np.exp(rng.normal(size=50))
        marker[(scores > np.quantile(scores, 0.6)) & (rng.random(50) < 0.7)] = np.nan
        p = westfall_young(marker, scores, n_permutations=199, rng=rng)[0]
        rejected += p <= 0.05
    # Within three binomial standard errors.
    assert abs(rejected / trials - 0.05) < 3 * np.sqrt(0.05 * 0.95 / trials)


def test_no_markers_give_no_p_values():
    assert (
        westfall_young(np.empty((0, 4)), np.arange(4.0), n_permutations=99, rng=np.random.default_rng(1)).size
        == 0
    )
