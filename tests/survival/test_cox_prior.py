import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from analysis import plan
from analysis.survival.cox import cox
from analysis.survival.cox_prior import cox_prior
from analysis.survival.outcome import NotEstimable

RNG = np.random.default_rng(4)
N = 200
GROUP = pd.Series(RNG.integers(0, 2, N).astype(float), name="group")
TIME = RNG.exponential(np.exp(-0.7 * GROUP))
EVENT = RNG.random(N) < 0.8
SEPARATED = ([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0])


def test_two_patients_by_hand():
    # One event among two: the likelihood is expit(b), so the posterior is symmetric up to that tilt.
    row = cox_prior([1, 2], [1, 0], [1, 0], prior_sd=0.75).iloc[0]

    def density(b):
        return norm.pdf(b, 0, 0.75) / (1 + np.exp(-b))

    # expit(b) + expit(-b) = 1: the area is one half, whatever the prior.
    above = quad(density, 0, 10, epsabs=1e-12)[0] / 0.5
    assert row["probability"] == pytest.approx(above, abs=1e-8)
    assert row["mean"] == pytest.approx(quad(lambda b: b * density(b), -10, 10)[0] / 0.5, abs=1e-8)
    assert quad(density, -10, row["coef"], epsabs=1e-12)[0] / 0.5 == pytest.approx(0.5, abs=1e-8)
    assert quad(density, -10, np.log(row["lower"]), epsabs=1e-12)[0] / 0.5 == pytest.approx(0.025, abs=1e-8)


def test_with_many_events_and_a_wide_prior_it_is_maximum_likelihood():
    row, ml = cox_prior(TIME, EVENT, GROUP, prior_sd=100).iloc[0], cox(TIME, EVENT, GROUP).iloc[0]
    assert row["coef"] == pytest.approx(ml["coef"], abs=2e-3)
    assert row["sd"] == pytest.approx(ml["se"], rel=0.01)
    assert np.log([row["lower"], row["upper"]]) == pytest.approx(np.log([ml["lower"], ml["upper"]]), abs=5e-3)
    assert row["probability"] == pytest.approx(norm.sf(0, ml["coef"], ml["se"]), abs=1e-3)


def test_a_narrow_prior_is_the_posterior():
    row = cox_prior(TIME[:20], EVENT[:20], GROUP[:20], prior_sd=1e-3).iloc[0]
    assert row["sd"] == pytest.approx(1e-3, rel=1e-3)
    assert np.log(row["upper"]) == pytest.approx(1.96e-3, rel=0.02)


def test_it_is_finite_under_separation_and_shrinks():
    widths = [cox_prior(*SEPARATED, prior_sd=sd).iloc[0] for sd in (0.3, 0.75, 2.0, 20.0)]
    estimates = [row["estimate"] for row in widths]
    assert np.isfinite([[row["lower"], row["estimate"], row["upper"]] for row in widths]).all()
    assert estimates == sorted(estimates)
    assert all(row["lower"] < row["estimate"] < row["upper"] for row in widths)


def test_the_plan_gives_the_prior_and_the_row_says_so():
    table = cox_prior(*SEPARATED)
    assert table["prior_sd"].iloc[0] == plan.defaults().survival.prior_sd
    assert table[["term", "n", "events", "ties", "estimator"]].iloc[0].tolist() == [
        "x",
        6,
        3,
        "efron",
        "PRIOR",
    ]


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.booleans(), st.booleans()), min_size=5, max_size=12),
    st.floats(0.2, 3),
)
def test_the_ratio_inverts_when_the_coding_flips_and_the_unit_goes_with_the_prior(rows, sd):
    time, event, x = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    try:
        first = cox_prior(time, event, x, prior_sd=sd).iloc[0]
    except NotEstimable:
        assume(False)
    flipped = cox_prior(time, event, 1 - x, prior_sd=sd).iloc[0]
    assert first["estimate"] * flipped["estimate"] == pytest.approx(1, rel=1e-6)
    assert first["lower"] * flipped["upper"] == pytest.approx(1, rel=1e-6)
    assert first["probability"] + flipped["probability"] == pytest.approx(1, abs=1e-7)
    per_ten = cox_prior(time * 7, event, x / 10, prior_sd=10 * sd).iloc[0]
    assert per_ten["coef"] == pytest.approx(10 * first["coef"], rel=1e-6, abs=1e-7)


def test_all_events_tied_give_the_prior_its_way():
    row = cox_prior([5, 5, 5, 5], [1, 1, 1, 1], [1, 1, 0, 0]).iloc[0]
    assert (row["estimate"], row["probability"]) == (pytest.approx(1), pytest.approx(0.5))


def test_what_cannot_be_estimated_is_refused():
    with pytest.raises(NotEstimable, match="has an event"):
        cox_prior([1, 2], [0, 0], [0, 1])
    with pytest.raises(NotEstimable, match="one group is empty"):
        cox_prior([1, 2], [1, 1], [1, 1])
    with pytest.raises(NotEstimable, match="no patients are left"):
        cox_prior([], [], np.empty((0, 1)))
    with pytest.raises(ValueError, match="one covariate"):
        cox_prior([1, 2], [1, 1], [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="lack a covariate"):
        cox_prior([1, 2], [1, 1], [np.nan, 1])
    for sd in (0, -1, np.inf):
        with pytest.raises(ValueError, match="prior_sd must be"):
            cox_prior([1, 2], [1, 1], [0, 1], prior_sd=sd)
    with pytest.raises(ValueError, match="alpha must lie"):
        cox_prior([1, 2], [1, 1], [0, 1], alpha=1)


@pytest.mark.parametrize("alpha", [1.5, 95, 0])
def test_a_level_that_is_none_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha must lie"):
        cox_prior([1, 2, 3, 4], [1, 1, 1, 0], [3, 1, 2, 0], alpha=alpha)
