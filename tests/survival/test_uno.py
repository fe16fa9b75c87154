import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.survival import NotEstimable, concordance
from analysis.survival.censoring import censoring_survival
from analysis.survival.uno import resampled_uno, uno_concordance, uno_difference

RNG = np.random.default_rng(11)
TIME, EVENT = np.ceil(RNG.exponential(6, 40)), RNG.random(40) < 0.6
SCORE, OTHER = RNG.normal(size=40).round(1), RNG.normal(size=40)


def test_g_by_hand_counts_an_event_before_a_censoring_at_the_same_time():
    # At 2 an event and a censoring: of the two at risk of being censored (not the event), one is.
    time, event = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, True, False, True])
    found = censoring_survival(time, event, [1, 2, 3], before=True)[0]
    assert found == pytest.approx([1, 3 / 4, 3 / 4 * 1 / 2])
    assert censoring_survival(time, event, [1, 2], before=False)[0] == pytest.approx([3 / 4, 3 / 8])


def test_pairs_are_weighted_by_hand():
    # Event at 1 (G 1, three pairs), censored at 2, event at 3 (G 2/3, weight 9/4, one pair).
    found = uno_concordance([1, 2, 3, 4], [1, 0, 1, 0], [1, 2, 4, 0]).iloc[0]
    assert found["estimate"] == pytest.approx((1 + 9 / 4) / (3 + 9 / 4))


def test_without_censoring_it_is_harrells():
    everyone = np.ones(40, dtype=bool)
    found, expected = uno_concordance(TIME, everyone, SCORE), concordance(TIME, everyone, SCORE)
    columns = ["estimate", "se", "lower", "upper"]
    assert found[columns].to_numpy() == pytest.approx(expected[columns].to_numpy())


def test_it_finds_what_harrells_would_without_censoring():
    rng = np.random.default_rng(2)
    score = rng.normal(size=1500)
    true_time, followed = rng.exponential(np.exp(-score)), rng.exponential(0.7, 1500)
    # Events beyond tau weigh 1 / G^2 of almost nothing; the truth is cut at the same time.
    tau = 1.5
    known = np.minimum(true_time, tau + 1e-9)
    truth = concordance(known, true_time <= tau, score)["estimate"].iloc[0]
    found = uno_concordance(np.minimum(true_time, followed), true_time <= followed, score, tau=tau).iloc[0]
    assert found["estimate"] == pytest.approx(truth, abs=0.02)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.integers(0, 4)), min_size=3, max_size=15))
def test_a_turned_score_gives_one_minus_c_and_the_same_error(rows):
    time, event, score = (np.array(part) for part in zip(*rows, strict=True))
    try:
        first = uno_concordance(time, event, score).iloc[0]
    except NotEstimable:
        return
    turned = uno_concordance(time, event, -score).iloc[0]
    assert first["estimate"] + turned["estimate"] == pytest.approx(1)
    assert first["se"] == pytest.approx(turned["se"])


@pytest.mark.parametrize("tau", [None, 5])
def test_a_resample_is_the_estimate_of_the_repeated_rows(tau):
    counts = np.random.default_rng(4).multinomial(40, np.full(40, 1 / 40), size=5)
    drawn = [np.repeat(np.arange(40), count) for count in counts]
    tables = [uno_concordance(TIME[rows], EVENT[rows], SCORE[rows], tau=tau) for rows in drawn]
    expected = [table["estimate"].iloc[0] for table in tables]
    assert resampled_uno(TIME, EVENT, SCORE, counts, tau=tau) == pytest.approx(expected)


def test_a_resample_of_one_patient_is_missing():
    assert np.isnan(resampled_uno(TIME, EVENT, SCORE, 40 * np.eye(40)[:1])).all()


def test_the_paired_difference_changes_sign_when_swapped_and_is_that_of_the_two():
    forth, back = uno_difference(TIME, EVENT, SCORE, OTHER), uno_difference(TIME, EVENT, OTHER, SCORE)
    singles = [uno_concordance(TIME, EVENT, score)["estimate"].iloc[0] for score in (SCORE, OTHER)]
    assert forth["estimate"].iloc[0] == pytest.approx(singles[1] - singles[0])
    assert forth["lower"].iloc[0] == pytest.approx(-back["upper"].iloc[0])
    same = uno_difference(TIME, EVENT, SCORE, SCORE).iloc[0]
    assert (same["estimate"], same["se"], same["p"]) == (0, 0, 1)


def test_what_cannot_be_ordered_is_refused():
    with pytest.raises(NotEstimable, match="no two patients"):
        uno_concordance([1, 2, 3], [0, 0, 0], [1, 2, 3])
    with pytest.raises(NotEstimable, match="no two patients"):
        uno_concordance([5, 6, 7], [1, 1, 0], [1, 2, 3], tau=4)
    with pytest.raises(NotEstimable, match="no two patients"):
        uno_concordance([5, 5], [1, 1], [1, 2])
    with pytest.raises(ValueError, match="tau must be positive"):
        uno_concordance([1, 2], [1, 0], [1, 2], tau=0)
    with pytest.raises(ValueError, match="one finite score"):
        uno_concordance([1, 2], [1, 0], [1, np.nan])


def test_two_patients_and_a_constant_score_give_a_value_without_interval():
    two = uno_concordance([1, 2], [1, 0], [2, 1]).iloc[0]
    constant = uno_concordance(TIME, EVENT, np.ones(40)).iloc[0]
    assert (two["estimate"], constant["estimate"]) == (1, 0.5)
    assert np.isnan([two["lower"], constant["lower"]]).all()


@pytest.mark.parametrize("alpha", [1.5, 95, 0])
def test_a_level_that_is_none_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha must lie"):
        uno_concordance([1, 2, 3], [1, 1, 1], [3, 1, 2], alpha=alpha)
    with pytest.raises(ValueError, match="alpha must lie"):
        uno_difference([1, 2, 3], [1, 1, 1], [3, 1, 2], [1, 2, 3], alpha=alpha)
