import lifelines.utils
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.survival import NotEstimable, concordance, concordance_difference
from analysis.survival.concordance import resampled_concordance
from analysis.survival.optimism import Resampled

RNG = np.random.default_rng(3)
TIME, EVENT = np.ceil(RNG.exponential(6, 40)), RNG.random(40) < 0.6
SCORE, OTHER = RNG.normal(size=40).round(1), RNG.normal(size=40)


def test_pairs_are_counted_by_hand():
    # Events at 1 and 3, censored at 2 and 3: pairs (1,2) (1,3) (1,3') (3,3').
    found = concordance([1, 2, 3, 3], [1, 0, 1, 0], [2, 3, 2, 1]).iloc[0]
    assert (found["concordant"], found["discordant"], found["tied"]) == (2, 1, 1)
    assert found["estimate"] == pytest.approx(2.5 / 4)


def test_scores_that_differ_by_rounding_only_are_tied():
    assert concordance([1, 2], [1, 1], [0.1 + 0.2, 0.3])["tied"].iloc[0] == 1


def test_two_events_at_one_time_are_not_compared():
    with pytest.raises(NotEstimable, match="no two patients can be ordered"):
        concordance([5, 5], [1, 1], [1, 2])


def test_c_equals_lifelines():
    expected = lifelines.utils.concordance_index(TIME, -SCORE, EVENT)
    assert concordance(TIME, EVENT, SCORE)["estimate"].iloc[0] == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.integers(0, 4)), min_size=3, max_size=15))
def test_a_turned_score_gives_one_minus_c_and_the_same_error(rows):
    time, event, score = (np.array(part) for part in zip(*rows, strict=True))
    try:
        first = concordance(time, event, score).iloc[0]
    except NotEstimable:
        return
    turned = concordance(time, event, -score).iloc[0]
    assert first["estimate"] + turned["estimate"] == pytest.approx(1)
    assert first["se"] == pytest.approx(turned["se"])


def test_the_error_comes_near_that_of_the_bootstrap():
    counts = np.random.default_rng(1).multinomial(40, np.full(40, 1 / 40), size=4000)
    draws = resampled_concordance(TIME, EVENT, SCORE, counts)
    assert concordance(TIME, EVENT, SCORE)["se"].iloc[0] == pytest.approx(draws.std(), rel=0.15)


def test_a_resample_that_draws_everybody_once_is_the_estimate():
    found = resampled_concordance(TIME, EVENT, SCORE, np.ones((1, 40)))
    assert found[0] == pytest.approx(concordance(TIME, EVENT, SCORE)["estimate"].iloc[0])
    assert np.isnan(resampled_concordance(TIME, EVENT, SCORE, 40 * np.eye(40)[:1])).all()


def test_the_paired_difference_is_zero_for_a_score_and_itself_and_changes_sign_when_swapped():
    same = concordance_difference(TIME, EVENT, SCORE, SCORE).iloc[0]
    assert (same["estimate"], same["se"], same["p"]) == (0, 0, 1)
    forth = concordance_difference(TIME, EVENT, SCORE, OTHER).iloc[0]
    back = concordance_difference(TIME, EVENT, OTHER, SCORE).iloc[0]
    assert forth["estimate"] == pytest.approx(-back["estimate"])
    assert forth["lower"] == pytest.approx(-back["upper"])
    singles = [concordance(TIME, EVENT, score)["estimate"].iloc[0] for score in (SCORE, OTHER)]
    assert forth["estimate"] == pytest.approx(singles[1] - singles[0])


def test_scores_with_gaps_are_refused():
    with pytest.raises(ValueError, match="one finite score"):
        concordance([1, 2], [1, 0], [1, np.nan])


def test_copies_of_a_patient_are_no_pairs_and_weigh_as_often_as_they_are_drawn():
    counts = np.random.default_rng(4).multinomial(40, np.full(40, 1 / 40), size=5)
    drawn = [np.repeat(np.arange(40), count) for count in counts]
    expected = [concordance(TIME[rows], EVENT[rows], SCORE[rows])["estimate"].iloc[0] for rows in drawn]
    assert resampled_concordance(TIME, EVENT, SCORE, counts) == pytest.approx(expected)


def test_a_value_below_one_half_is_shown_and_not_flipped():
    assert concordance([1, 2, 3], [1, 1, 1], [1, 2, 3])["estimate"].iloc[0] == 0


def test_perfect_order_and_a_constant_score_have_no_interval():
    perfect = concordance([1, 2, 3], [1, 1, 1], [3, 2, 1]).iloc[0]
    constant = concordance([1, 2, 3], [1, 1, 1], [7, 7, 7]).iloc[0]
    assert (perfect["estimate"], constant["estimate"]) == (1, 0.5)
    for found in (perfect, constant):
        assert found["se"] == 0
        assert np.isnan([found["lower"], found["upper"]]).all()
    opposite = concordance_difference([1, 2, 3], [1, 1, 1], [3, 2, 1], [1, 2, 3]).iloc[0]
    assert opposite["estimate"] == -1
    assert np.isnan([opposite["lower"], opposite["p"]]).all()


def test_two_patients_can_be_ordered_and_nobody_with_an_event_cannot():
    assert concordance([1, 2], [1, 0], [2, 1])["estimate"].iloc[0] == 1
    with pytest.raises(NotEstimable, match="no two patients can be ordered"):
        concordance([1, 2, 3], [0, 0, 0], [1, 2, 3])


def test_a_monotone_transformation_changes_nothing():
    # concordance(Surv(c(3, 4, 1, 5, 2), rep(1, 5)) ~ exp(c(0, 1, 2, 3, 30)), reverse = TRUE), R survival 3.5-3.
    time, score = [3, 4, 1, 5, 2], np.array([0, 1, 2, 3, 30.0])
    found = concordance(time, [1] * 5, np.exp(score))
    assert found["estimate"].iloc[0] == 0.5
    assert found["tied"].iloc[0] == 0
    assert found.equals(concordance(time, [1] * 5, score))
    assert resampled_concordance(time, [1] * 5, np.exp(score), np.ones((1, 5)))[0] == 0.5


def test_scores_with_another_index_are_refused():
    time, score = pd.Series([1.0, 2.0]), pd.Series([1.0, 2.0], index=[1, 0])
    with pytest.raises(ValueError, match="time and score have different indexes"):
        concordance(time, [1, 0], score)


def test_optimism_leaves_out_resamples_whose_direction_is_not_known():
    # Everybody once; the first in order (an infinite coefficient has a direction); two of one score: no fit.
    counts = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 2, 2, 0]])
    resampled = Resampled.of([1, 2, 3, 4], [1, 1, 1, 0], [3, 1, 1, 2], counts)
    alone, directions = resampled.coefficients
    assert np.isfinite(alone)
    assert np.isnan(directions).tolist() == [False, False, True]
    assert resampled.harrell().resamples == 2
