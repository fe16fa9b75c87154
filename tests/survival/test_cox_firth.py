"""Firth's Cox fits whose penalised likelihood misleads the library, against R by hand and by brute force."""

# The numbers of R: b and the data as here, X the matrix of covariates, and
#   pen <- function(b, t, e, X) { l <- 0; I <- matrix(0, ncol(X), ncol(X)); eta <- drop(X %*% b)
#     for (i in which(e == 1)) { r <- t >= t[i]; m <- max(eta[r]); w <- exp(eta[r] - m); p <- w / sum(w)
#       l <- l + eta[i] - m - log(sum(w)); c <- sweep(X[r, , drop = FALSE], 2, colSums(p * X[r, , drop = FALSE]))
#       I <- I + t(c) %*% (p * c) }
#     l + 0.5 * as.numeric(determinant(I)$modulus) }
# one covariate: optimize(pen, maximum = TRUE, tol = 1e-12) on intervals around each maximum; limits by
#   uniroot(function(b) pen(b) - max + qchisq(.95, 1) / 2, tol = 1e-12); p = pchisq(2 * (max - pen(0)), 1, lower = F)
# several: optim(start, method = "BFGS", control = list(reltol = 1e-15, maxit = 2000)), twice; the profile by the
#   same optim over the others; uniroot with tol = 1e-10.

import numpy as np
import pytest
from scipy.stats import chi2

from analysis.survival import cox, leave_one_out
from analysis.survival.cox_firth import _search_limits, _walk
from analysis.survival.firth_likelihood import GRID, FirthLikelihood

SKEWED_TIME, SKEWED_EVENT = np.array([10, 6, 7, 5, 2, 8, 4, 1, 9, 3.0]), [0, 1, 1, 1, 1, 0, 1, 1, 1, 0]
SKEWED = np.array([1, 0, 0, 1, 0, 1, 0, 0, 1, 10.0])
TWELVE = np.array([*SKEWED_TIME, 12, 11]), [*SKEWED_EVENT, 1, 0]
TWO = np.column_stack([np.array([*SKEWED, 2, 0]) / 4, [0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1]])
DAYS = np.arange(1.0, 21)
FIVE = np.sin(DAYS[:, None] * [1.3, 2.1, 0.7, 3.3, 4.9])
FIVE[:, 0] = np.exp(2 * FIVE[:, 0]) / 3


def logs(table):
    """Return coef, both limits of it, and p: one row a covariate."""
    return np.column_stack([table["coef"], np.log(table["lower"]), np.log(table["upper"]), table["p"]])


def fit(*data, **options):
    return cox(*data, penalty="firth", **options)


def test_of_two_maxima_the_higher_is_the_estimate_and_its_limits_lie_on_both_sides():
    # R: maxima at -5.34309282319 (-10.50818056186) and -0.180471733718 (-11.558167792294), the library's.
    found = fit(SKEWED_TIME, SKEWED_EVENT, SKEWED / SKEWED.std(ddof=1))
    expected = (-5.34309282319, -12.391952507364, 0.556600225916, 0.141780408010)
    assert logs(found)[0] == pytest.approx(expected, abs=2e-7)
    assert found["loglik"][0] == pytest.approx(-10.50818056186, abs=1e-9)
    left = leave_one_out(SKEWED_TIME, SKEWED_EVENT, SKEWED, penalty="firth").set_index("left_out")
    alone = fit(SKEWED_TIME[1:], SKEWED_EVENT[1:], SKEWED[1:])["coef"][0]
    assert left["coef"].iloc[0] == pytest.approx(alone, abs=1e-9)


def test_two_covariates_of_which_one_is_skewed():
    # R: from (-8, -1) the maximum -13.307178082; from no effect it stops at -13.3369427029.
    found = fit(*TWELVE, TWO)
    expected = [
        (-8.01281716221, -17.4829155451, 1.0316657321, 0.796602461541),
        (-1.14209713808, -3.23737254958, 2.31419902106, 0.326793412646),
    ]
    assert logs(found) == pytest.approx(np.array(expected), abs=3e-6)
    assert found["loglik"][0] == pytest.approx(-13.307178082, abs=1e-8)


def test_five_covariates():
    expected = [
        (0.106928114997, -0.604143289326, 0.759476191284, 0.754960818455),
        (0.0736529190871, -0.635051904149, 0.80558717194, 0.838172941177),
        (-0.0169763368774, -0.83478587848, 0.757244986221, 0.96588056378),
        (0.505965241583, -0.309419501507, 1.41435214896, 0.227444132146),
        (0.295038655296, -0.538818856801, 1.18469330419, 0.490039524088),
    ]
    found = fit(DAYS, np.tile([1, 1, 0, 1], 5), FIVE)
    assert logs(found) == pytest.approx(np.array(expected), abs=2e-7)


def test_separation_and_a_single_event():
    apart = fit([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0])
    expected = (2.56524092379, 0.156765126626, 7.4860609905, 0.0352650664486)
    assert logs(apart)[0] == pytest.approx(expected, abs=3e-7)
    single = fit([1, 2, 3, 4, 5], [0, 1, 0, 0, 0], [0, 3, 1, 2, 0.5])
    expected = (1.0509084299, -0.613424857339, 5.25057722236, 0.22902764462)
    assert logs(single)[0] == pytest.approx(expected, abs=3e-7)


@pytest.mark.parametrize("covariates", [1, 2])
@pytest.mark.parametrize("wrong", ["one side", "missing", "shrunken"])
def test_limits_of_the_library_that_are_wrong_are_found_again(monkeypatch, covariates, wrong):
    time, event = DAYS, np.tile([1, 1, 0, 1], 5)
    right = fit(time, event, FIVE[:, 1 : 1 + covariates])

    def spoil(*arguments):
        limits, p = _search_limits(*arguments)
        if wrong == "one side":
            return limits[:, [1, 1]], p
        return (limits + np.nan, p + np.nan) if wrong == "missing" else (limits / 2, p)

    monkeypatch.setattr("analysis.survival.cox_firth._search_limits", spoil)
    assert logs(fit(time, event, FIVE[:, 1 : 1 + covariates])) == pytest.approx(logs(right), abs=1e-6)


def test_what_the_library_cannot_fit_is_fitted_all_the_same(monkeypatch):
    right = logs(fit(*TWELVE, TWO[:, 0]))

    class Lost:
        def __init__(self, **_):
            self.converged_ = False

        def fit(self, *_):
            return self

    monkeypatch.setattr("firthmodels.FirthCoxPH", Lost)
    assert logs(fit(*TWELVE, TWO[:, 0])) == pytest.approx(right, abs=1e-6)


def brute_force(time, event, x, at):
    """Return the penalised log-likelihood of one covariate, patient by patient."""
    total, information = 0.0, 0.0
    for i in np.flatnonzero(event):
        there = x[time >= time[i]]
        weight = np.exp(at * there - np.max(at * there))
        share = weight / weight.sum()
        total += at * x[i] - np.max(at * there) - np.log(weight.sum())
        information += share @ (there - share @ there) ** 2
    return total + 0.5 * np.log(information)


@pytest.mark.parametrize("seed", range(12))
def test_no_coefficient_outside_the_limits_is_likely_and_none_beats_the_estimate(seed):
    rng = np.random.default_rng(seed)
    x = np.exp(3 * rng.normal(size=14))
    x, time, event = x / np.ptp(x), rng.integers(1, 12, 14).astype(float), np.arange(14) % 3 > 0
    row = fit(time, event, x).iloc[0]
    grid = 2 * np.sinh(np.linspace(-5, 5, 401))
    values = np.array([brute_force(time, event, x, at) for at in grid])
    level = row["loglik"] - chi2.ppf(0.95, 1) / 2
    with np.errstate(divide="ignore"):
        lower, upper = np.log([row["lower"], row["upper"]])
    assert lower < row["coef"] < upper
    assert values.max() <= row["loglik"] + 1e-7
    assert values[(grid < lower) | (grid > upper)].max(initial=-np.inf) <= level
    for limit in (lower, upper):
        assert not np.isfinite(limit) or brute_force(time, event, x, limit) == pytest.approx(level, abs=1e-6)


def test_a_limit_too_far_out_is_infinite():
    # Two patients, one event: the ratio of both is 3 (see test_cox), so per unit 3 to the power of 1 / 0.005;
    # its limit, near 6.6 / 0.005 as a logarithm, is too large for a number.
    row = fit([1, 2], [1, 0], [0.005, 0.0]).iloc[0]
    assert row["coef"] == pytest.approx(np.log(3) / 0.005, rel=1e-6)
    assert row["upper"] == np.inf and row["lower"] < row["estimate"]
    assert (_walk(lambda at: 1.0, 0.0, 0.5), _walk(lambda at: 1.0, 0.0, -0.5)) == (np.inf, -np.inf)


@pytest.mark.parametrize("at", [0.0, 0.4, -3.0, 40.0, 900.0])
def test_both_ways_of_summing_agree_and_the_score_is_the_slope(at):
    event = np.array(SKEWED_EVENT, bool)
    model = FirthLikelihood.build(SKEWED_TIME, event, SKEWED[:, None] / 10)
    value, score, information = model.derivatives(np.array([at]))
    exact = model._sum_about_means(np.array([at]), model.x[:, 0] * at, 0.5)
    assert value == pytest.approx(brute_force(SKEWED_TIME, event, SKEWED / 10, at), rel=1e-9)
    assert (value, score[0]) == pytest.approx((exact[0], exact[1][0]), rel=1e-8, abs=1e-8)
    step = 1e-4
    slope = (model.value(np.array([at + step])) - model.value(np.array([at - step]))) / (2 * step)
    assert score[0] == pytest.approx(slope, rel=1e-5, abs=1e-5)
    assert information[0, 0] > 0


def test_the_scan_is_the_likelihood_where_that_is_near_its_maximum():
    event = np.array(SKEWED_EVENT, bool)
    model = FirthLikelihood.build(SKEWED_TIME, event, SKEWED[:, None] / 10)
    near = model.scan > model.scan.max() - 20
    exact = [brute_force(SKEWED_TIME, event, SKEWED / 10, at) for at in GRID[near]]
    assert near.sum() > 20
    assert model.scan[near] == pytest.approx(exact, abs=1e-8)
