import numpy as np
import pytest
import surpyval.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from analysis.survival import NotEstimable
from analysis.survival.time_dependent import (
    brier,
    resampled_auc,
    resampled_brier,
    time_dependent_auc,
    time_dependent_auc_difference,
)

RNG = np.random.default_rng(5)
TIME, EVENT = np.ceil(RNG.exponential(6, 50)), RNG.random(50) < 0.6
SCORE, OTHER = RNG.normal(size=50).round(1), RNG.normal(size=50)
RISK = 1 / (1 + np.exp(-SCORE))


def test_without_censoring_it_is_the_mann_whitney_statistic():
    everyone, case = np.ones(50, dtype=bool), TIME <= 5
    found = time_dependent_auc(TIME, everyone, SCORE, 5).iloc[0]
    expected = mannwhitneyu(SCORE[case], SCORE[~case]).statistic / (case.sum() * (~case).sum())
    assert found["estimate"] == pytest.approx(expected)
    assert (found["n_case"], found["n_control"]) == (case.sum(), (~case).sum())


def test_without_censoring_the_brier_score_is_a_mean_square_and_a_perfect_risk_has_none():
    everyone, by_then = np.ones(50, dtype=bool), TIME <= 5
    found = brier(TIME, everyone, RISK, 5).iloc[0]
    assert found["estimate"] == pytest.approx(np.mean((by_then - RISK) ** 2))
    assert found["null"] == pytest.approx(by_then.mean() * (1 - by_then.mean()))
    assert found["scaled"] == pytest.approx(1 - found["estimate"] / found["null"])
    perfect = brier(TIME, everyone, by_then.astype(float), 5).iloc[0]
    assert (perfect["estimate"], perfect["scaled"]) == (0, 1)
    assert np.isnan(perfect["lower"])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 4)), min_size=4, max_size=25))
def test_another_library_finds_the_same(rows):
    time, event, score = (np.array(part) for part in zip(*rows, strict=True))
    try:
        found = time_dependent_auc(time, event, score, [3.5, 6])
        error = brier(time, event, score / 4, [3.5, 6])
    except NotEstimable:
        return
    # surpyval takes survival probabilities, and 1 for a censored time.
    _, expected = surpyval.metrics.auc_td(time, ~event, score, [3.5, 6])
    _, squares = surpyval.metrics.brier_score(time, ~event, np.tile(1 - score[:, None] / 4, 2), [3.5, 6])
    assert found["estimate"].to_numpy() == pytest.approx(expected)
    assert error["estimate"].to_numpy() == pytest.approx(squares)


def test_a_turned_score_gives_one_minus_auc():
    first, turned = (time_dependent_auc(TIME, EVENT, sign * SCORE, [3, 6]) for sign in (1, -1))
    assert (first["estimate"] + turned["estimate"]).tolist() == pytest.approx([1, 1])
    assert first["se"].tolist() == pytest.approx(turned["se"].tolist())


def test_resamples_are_the_estimates_of_the_repeated_rows():
    counts = np.random.default_rng(4).multinomial(50, np.full(50, 1 / 50), size=5)
    drawn = [np.repeat(np.arange(50), count) for count in counts]
    areas = [
        time_dependent_auc(TIME[rows], EVENT[rows], SCORE[rows], 6)["estimate"].iloc[0] for rows in drawn
    ]
    squares = [brier(TIME[rows], EVENT[rows], RISK[rows], 6)["estimate"].iloc[0] for rows in drawn]
    assert resampled_auc(TIME, EVENT, SCORE, 6, counts) == pytest.approx(areas)
    risks = np.tile(RISK, (5, 1))
    assert resampled_brier(TIME, EVENT, risks, 6, counts) == pytest.approx(squares)


def test_a_resample_without_case_or_control_is_missing():
    alone = 50 * np.eye(50)[:1]
    assert np.isnan(resampled_auc(TIME, EVENT, SCORE, 6, alone)).all()
    early = 50 * np.eye(50)[[np.argmin(TIME)]]
    assert np.isnan(resampled_brier(TIME, EVENT, RISK[None], 6, early)).all()


def test_the_error_comes_near_that_of_the_bootstrap():
    counts = np.random.default_rng(1).multinomial(50, np.full(50, 1 / 50), size=4000)
    draws = resampled_auc(TIME, EVENT, SCORE, 6, counts)
    assert time_dependent_auc(TIME, EVENT, SCORE, 6)["se"].iloc[0] == pytest.approx(
        np.nanstd(draws), rel=0.15
    )
    squares = resampled_brier(TIME, EVENT, np.tile(RISK, (4000, 1)), 6, counts)
    assert brier(TIME, EVENT, RISK, 6)["se"].iloc[0] == pytest.approx(np.nanstd(squares), rel=0.15)


def test_the_paired_difference_changes_sign_when_swapped():
    forth = time_dependent_auc_difference(TIME, EVENT, SCORE, OTHER, [3, 6])
    back = time_dependent_auc_difference(TIME, EVENT, OTHER, SCORE, [3, 6])
    assert forth["estimate"].tolist() == pytest.approx((-back["estimate"]).tolist())
    assert forth["p"].tolist() == pytest.approx(back["p"].tolist())
    same = time_dependent_auc_difference(TIME, EVENT, SCORE, SCORE, 6).iloc[0]
    assert (same["estimate"], same["p"]) == (0, 1)


def test_one_column_of_risk_serves_every_time_and_columns_go_with_times():
    one = brier(TIME, EVENT, RISK, [3, 6])
    two = brier(TIME, EVENT, np.column_stack([RISK, RISK / 2]), [3, 6])
    assert one["estimate"].iloc[0] == two["estimate"].iloc[0]
    assert two["estimate"].iloc[1] == brier(TIME, EVENT, RISK / 2, 6)["estimate"].iloc[0]


def test_a_time_without_case_or_control_is_refused():
    with pytest.raises(NotEstimable, match="nobody is followed beyond 99"):
        time_dependent_auc(TIME, EVENT, SCORE, [6, 99])
    with pytest.raises(NotEstimable, match="nobody has the event by 1"):
        brier(TIME + 1, EVENT, RISK, 1)
    with pytest.raises(NotEstimable, match="nobody has the event by 2"):
        time_dependent_auc([1, 2, 3], [0, 0, 0], [1, 2, 3], 2)
    with pytest.raises(NotEstimable, match="nobody is followed beyond 5"):
        time_dependent_auc([5, 5], [1, 1], [1, 2], 5)
    with pytest.raises(ValueError, match="times must be positive"):
        time_dependent_auc(TIME, EVENT, SCORE, [0])
    with pytest.raises(ValueError, match="one finite score"):
        time_dependent_auc([1, 2], [1, 0], [1, np.nan], 1)


def test_risks_that_are_none_are_refused():
    with pytest.raises(ValueError, match="probability between 0 and 1"):
        brier(TIME, EVENT, SCORE, 6)
    with pytest.raises(ValueError, match="risk must have shape"):
        brier(TIME, EVENT, RISK[:10], 6)


def test_two_patients_and_a_constant_score():
    two = time_dependent_auc([1, 2], [1, 0], [2, 1], 1).iloc[0]
    assert two["estimate"] == 1
    assert np.isnan(two["lower"])
    constant = time_dependent_auc(TIME, EVENT, np.ones(50), 6).iloc[0]
    assert constant["estimate"] == 0.5
    assert np.isnan(constant["lower"])


@pytest.mark.parametrize("alpha", [1.5, 95, 0])
def test_a_level_that_is_none_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha must lie"):
        time_dependent_auc([1, 2, 3, 4], [1, 1, 1, 0], [3, 1, 2, 0], 2.5, alpha=alpha)
    with pytest.raises(ValueError, match="alpha must lie"):
        time_dependent_auc_difference(
            [1, 2, 3, 4], [1, 1, 1, 0], [3, 1, 2, 0], [1, 2, 3, 4], 2.5, alpha=alpha
        )
    with pytest.raises(ValueError, match="alpha must lie"):
        brier([1, 2, 3, 4], [1, 1, 1, 0], [0.9, 0.6, 0.4, 0.1], 2.5, alpha=alpha)
