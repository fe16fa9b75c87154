"""SIMEX against the steps of R's simex done by `lm`, against hand calculation, and where the answer is known."""

import numpy as np
import pytest

from analysis.survival import NotEstimable
from analysis.survival.simex import extrapolation_weights, simex
from analysis.survival.two_group import fit_two_groups

LEVELS = [0.5, 1.0, 1.5, 2.0]
DRAWN = [
    [0.62, 0.71, 0.55, 0.66],
    [0.58, 0.49, 0.61, 0.44],
    [0.50, 0.41, 0.57, 0.39],
    [0.36, 0.52, 0.33, 0.45],
]
MODELS = [[0.110, 0.121, 0.108, 0.115], [0.112, 0.104, 0.118, 0.101], [0.109, 0.102, 0.117, 0.100]]
MODELS += [[0.104, 0.113, 0.103, 0.109]]


def fits():
    """Return level, estimate and variance: the naive fit, then four draws at each level."""
    return np.r_[0, np.repeat(LEVELS, 4)], np.r_[0.80, np.ravel(DRAWN)], np.r_[0.118, np.ravel(MODELS)]


def test_estimate_and_error_are_those_of_r():
    """R: est <- c(.80, rowMeans(theta)); v <- c(.118, rowMeans(v) - apply(theta, 1, var)); lambda <- c(0, lev);
    predict(lm(est ~ lambda + I(lambda^2)), data.frame(lambda = -1)), and of v: the steps of simex::simex.
    """
    found = simex(*fits())
    assert (found.estimate, found.se) == pytest.approx((1.2120000000, 0.3813615957), abs=1e-9)
    assert found.upper - found.estimate == pytest.approx(1.959963985 * 0.3813615957, abs=1e-8)
    line = simex(*fits(), extrapolation="linear")
    assert (line.estimate, line.se) == pytest.approx((0.9445000000, 0.3521529024), abs=1e-9)
    without = simex(*fits(), anchored=False)
    assert (without.estimate, without.se**2) == pytest.approx((1.0863750000, 0.1452804167), abs=1e-9)
    line = simex(*fits(), anchored=False, extrapolation="linear")
    assert (line.estimate, line.se**2) == pytest.approx((0.8370000000, 0.1163450000), abs=1e-9)


def test_a_quadratic_trend_is_carried_to_minus_one_exactly_and_the_curve_goes_through_it():
    level = np.repeat([0.5, 1.0, 2.0], 2)
    trend = 0.9 - 0.3 * level + 0.05 * level**2
    found = simex(np.r_[0, level], np.r_[0.9, trend], np.full(7, 0.1))
    assert found.estimate == pytest.approx(0.9 + 0.3 + 0.05)
    assert found.at([0, 2]) == pytest.approx([0.9, 0.9 - 0.6 + 0.2])
    assert found.se == pytest.approx(np.sqrt(0.1))  # draws alike: the variance is the models'
    moved = simex(np.r_[0, level], np.r_[0.9, trend] + 5, np.full(7, 0.1))
    assert moved.estimate == pytest.approx(found.estimate + 5)


def test_the_weights_are_those_of_the_extrapolation():
    """By hand: through (1, a), (2, b) and (3, c) the parabola at -1 is 6a - 8b + 3c; the line through two, 3a - 2b."""
    assert extrapolation_weights([1, 2, 3]) == pytest.approx([6, -8, 3])
    assert extrapolation_weights([1, 2], "linear") == pytest.approx([3, -2])


def test_fits_without_a_finite_estimate_are_left_out_and_counted():
    level, estimate, variance = fits()
    found = simex(np.r_[level, 1, 2], np.r_[estimate, np.inf, 0.4], np.r_[variance, 0.1, np.nan])
    assert found.estimate == pytest.approx(simex(*fits()).estimate)
    assert found.levels.set_index("level")["left_out"].to_dict() == {0: 0, 0.5: 0, 1: 1, 1.5: 0, 2: 1}
    assert found.levels["fits"].tolist() == [1, 4, 4, 4, 4]


def test_a_variance_that_is_not_positive_gives_no_interval():
    """By hand: the line through 0.1 (level 0) and 0.3 (level 1) is -0.1 at level -1."""
    found = simex([0, 1, 1], [0.8, 0.6, 0.6], [0.1, 0.3, 0.3], extrapolation="linear")
    assert found.estimate == pytest.approx(1.0)
    assert np.isnan([found.se, found.lower, found.upper]).all()


@pytest.mark.parametrize(
    "change, error, match",
    [
        ({"estimate": [np.inf, 0.5, 0.6]}, NotEstimable, "nothing to extrapolate"),
        ({"estimate": [0.8, 0.5, np.nan]}, NotEstimable, "fewer than two"),
        ({"extrapolation": "quadratic"}, NotEstimable, "2 levels of error cannot carry a quadratic"),
        ({"extrapolation": "cubic"}, ValueError, "found 'cubic'"),
        ({"level": [0, 0, 1]}, ValueError, "found 2 fits"),
        ({"level": [1, 1, 1]}, ValueError, "found 0 fits"),
        ({"level": [0, -1, 1]}, ValueError, "at least 0"),
        ({"variance": [0.1]}, ValueError, "one entry a fit"),
    ],
)
def test_what_cannot_be_extrapolated_is_refused(change, error, match):
    given = {
        "level": [0, 1, 1],
        "estimate": [0.8, 0.5, 0.6],
        "variance": [0.1] * 3,
        "extrapolation": "linear",
    }
    with pytest.raises(error, match=match):
        simex(**{**given, **change})


def test_an_attenuation_known_in_closed_form_is_undone_for_the_most_part():
    """A slope 1 on a score of variance 1 with an error of variance .25 is 1 / (1 + .25 (1 + level)): .8 as measured."""
    level = np.r_[0, np.repeat(LEVELS, 2)]
    slope = 1 / (1 + 0.25 * (1 + level))
    quadratic, line = (
        simex(level, slope, np.ones(9), extrapolation=e).estimate for e in ("quadratic", "linear")
    )
    assert 0.8 < line < quadratic < 1
    assert quadratic > 0.95


def test_a_class_cut_from_an_error_prone_score_is_brought_nearer_to_the_true_hazard_ratio():
    rng, n, cut = np.random.default_rng(11), 4000, np.log(0.75)
    error = np.sqrt(2 * np.log1p(0.12**2))
    true = rng.normal(-0.3, 0.3, n)
    score = true + rng.normal(0, error, n)
    time, end = rng.exponential(np.exp(-0.8 * (true > cut))), rng.uniform(0.5, 3, n)
    follow, event = np.minimum(time, end), time <= end
    noise = rng.standard_normal((10, n))
    drawn = [score > cut] + [row > cut for level in LEVELS for row in score + np.sqrt(level) * error * noise]
    coef = fit_two_groups(follow, event, np.array(drawn, dtype=float))["coef"]
    level = np.r_[0, np.repeat(LEVELS, 10)]
    found = simex(level, coef, np.full(41, 0.01), anchored=False).estimate
    of_true = fit_two_groups(follow, event, (true > cut)[None].astype(float))["coef"].iloc[0]
    assert coef[0] < 0.75 * of_true  # attenuated
    assert coef[0] + 0.05 < found < of_true
