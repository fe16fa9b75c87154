"""Effects of one marker against R, published numbers and hand calculation."""

import numpy as np
import pytest

from analysis.biomarkers.effects import (
    estimate_firth_odds_ratio,
    estimate_fisher,
    estimate_hazard_ratio,
    estimate_rank_correlation,
    estimate_shift,
)
from analysis.survival.outcome import NotEstimable

# Twelve subjects made up: a level, non-response, percent change.
LEVEL = np.array([2.1, 0.3, -1.4, 0.8, 1.9, -0.2, 0.5, -0.9, 1.1, 0.1, -0.6, 1.6])
NONRESPONSE = np.array([1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1])
CHANGE = np.array([12, -30, -45, 5, 40, -8, -22, -60, 3, -15, -51, 28.0])
MARKER = (LEVEL > 0.4).astype(float)


def test_fisher_on_fishers_twins_is_what_r_prints():
    # R fisher.test(Convictions): OR 0.04693661, 95 % 0.003325764-0.363182271, p 0.0005367
    marker = np.repeat([1, 0], [12, 18])
    convicted = np.r_[np.ones(2), np.zeros(10), np.ones(15), np.zeros(3)]
    found = estimate_fisher(marker, convicted)
    assert found.estimate == pytest.approx(0.04693661, rel=1e-5)
    assert (found.lower, found.upper) == pytest.approx((0.003325764, 0.363182271), rel=5e-3)
    assert found.p == pytest.approx(0.0005367, abs=5e-8)


def test_fisher_with_an_empty_cell_is_unbounded_on_one_side():
    found = estimate_fisher(np.repeat([1, 0], 5), np.r_[np.ones(5), [1, 1, 0, 0, 0]])
    assert np.isinf(found.estimate) and np.isinf(found.upper) and found.lower > 0


def test_fisher_without_non_responders_has_no_odds_ratio_and_p_one():
    found = estimate_fisher(np.repeat([1, 0], 5), np.zeros(10))
    assert np.isnan(found.estimate) and found.p == 1.0


def test_swapping_the_coding_inverts_the_odds_ratio():
    rng_ = np.random.default_rng(2)
    marker, response = rng_.integers(0, 2, 40), rng_.integers(0, 2, 40)
    one, other = estimate_fisher(marker, response), estimate_fisher(1 - marker, response)
    assert other.estimate == pytest.approx(1 / one.estimate, rel=1e-6)
    assert other.lower == pytest.approx(1 / one.upper, rel=1e-4)


def test_hodges_lehmann_on_the_placenta_data_is_what_r_prints():
    # R wilcox.test example, Hollander & Wolfe 1973 p. 69: shift .305, 95 % -.15 to .76, p .2544
    x = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    y = [1.15, 0.88, 0.90, 0.74, 1.21]
    found = estimate_shift(np.repeat([1, 0], [10, 5]), np.r_[x, y])
    assert found == pytest.approx((0.305, -0.15, 0.76, 0.2544), abs=5e-5)


def test_a_tied_change_gives_a_finite_interval_around_the_shift():
    found = estimate_shift(np.repeat([1, 0], 6), np.array([0, 0, 5, 5, 5, 9, -9, -5, -5, 0, 0, 0.0]))
    assert found.lower <= found.estimate <= found.upper and found.p < 0.05


def test_firth_hazard_ratio_stays_finite_when_one_group_has_no_event():
    time, event = np.arange(1.0, 11.0), np.r_[np.ones(5, bool), np.zeros(5, bool)]
    found = estimate_hazard_ratio(np.repeat([1, 0], 5), time, event)
    assert np.isfinite(found.estimate) and found.estimate > 1 and found.p < 0.05


def test_fisher_on_made_up_data_is_that_of_r_with_its_tolerance_tightened():
    # R's fisher.test finds estimate and limits by uniroot to 1e-4 only (it prints 1389 for the upper limit); its own
    # equations for the table 5, 1, 1, 5 with tol = 1e-14: s <- 0:6; l <- dhyper(s, 6, 6, 6, log = TRUE);
    #   d <- function(w) { v <- l + log(w) * s; v <- exp(v - max(v)); v / sum(v) }
    #   uniroot(function(t) sum(d(exp(t))[s <= 5]) - .025, c(-20, 30), tol = 1e-14) and so on. p: fisher.test
    found = estimate_fisher(MARKER, NONRESPONSE)
    assert found == pytest.approx((16.603127860, 0.800356356, 1410.230235472, 0.08008658009), rel=1e-6)


def test_shift_on_made_up_data_is_that_of_r():
    # R: wilcox.test(ch[m == 1], ch[m == 0], conf.int = TRUE)
    assert estimate_shift(MARKER, CHANGE) == pytest.approx((48, 18, 73, 0.008658008658), abs=1e-9)


def test_wilcoxon_p_with_ties_is_that_of_r():
    # R: wilcox.test(c(0,0,5,5,5,9), c(-9,-5,-5,0,0,0), exact = FALSE)
    change = np.array([0, 0, 5, 5, 5, 9, -9, -5, -5, 0, 0, 0.0])
    assert estimate_shift(np.repeat([1, 0], 6), change).p == pytest.approx(0.01507734563, abs=1e-10)


# Penalised log-likelihood (Jeffreys prior) maximised by hand in R: optim for the coefficients, optimize over the
# intercept and uniroot for the profile limits, pchisq of twice the difference of the penalised likelihoods:
#   pl <- function(b) { p <- plogis(b[1] + b[2] * x); w <- p * (1 - p)
#     sum(y * log(p) + (1 - y) * log(1 - p)) + .5 * log(det(crossprod(cbind(1, x) * sqrt(w)))) }
@pytest.mark.parametrize(
    ("value", "nonresponse", "log_limits", "p"),
    [
        (
            [1] * 5 + [0] * 7,
            [1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0],
            (3.186352638, 0.511418300, 8.213777788),
            0.016563797,
        ),
        # completely separated
        (
            [-1.2, -0.7, -0.4, -0.1, 0.3, 0.6, 0.9, 1.4],
            [0, 0, 0, 0, 1, 1, 1, 1],
            (3.159530276, 0.384592166, 15.285208772),
            0.016650861,
        ),
        (LEVEL, NONRESPONSE, (1.440598434, 0.168945379, 3.864769864), 0.022709007),
    ],
)
def test_firth_logistic_is_the_penalised_likelihood_maximised_by_hand_in_r(value, nonresponse, log_limits, p):
    found = estimate_firth_odds_ratio(np.array(value), np.array(nonresponse))
    assert np.log(found[:3]) == pytest.approx(log_limits, abs=1e-6)
    assert found.p == pytest.approx(p, abs=1e-7)


def test_firth_logistic_of_a_two_by_two_table_adds_one_half_to_each_cell():
    marker, response = np.repeat([1, 0], [9, 11]), np.r_[np.ones(9), np.ones(4), np.zeros(7)]
    assert estimate_firth_odds_ratio(marker, response).estimate == pytest.approx(
        (9.5 / 0.5) / (4.5 / 7.5), rel=1e-6
    )


def test_firth_logistic_needs_two_values_and_two_responses():
    with pytest.raises(NotEstimable, match="same response"):
        estimate_firth_odds_ratio(MARKER, np.ones(12))
    with pytest.raises(NotEstimable, match="does not vary"):
        estimate_firth_odds_ratio(np.ones(12), NONRESPONSE)


@pytest.mark.parametrize(
    ("value", "change", "rho", "p"),
    [
        # R: cor.test(x, ch, method = "spearman", exact = FALSE); of a 0/1 marker, with its ties; exact for n = 8
        (LEVEL, CHANGE, 0.8881118881, 0.0001141335981),
        (NONRESPONSE, CHANGE, 0.6759263694, 0.01582417038),
        (LEVEL[:8], CHANGE[:8], 0.880952381, 0.007242063492),
    ],
)
def test_spearman_is_that_of_r(value, change, rho, p):
    found, _ = estimate_rank_correlation(value, change, resamples=50, rng=np.random.default_rng(1))
    assert (found.estimate, found.p) == pytest.approx((rho, p), abs=1e-9)
    assert found.lower <= found.estimate <= found.upper


def test_the_bootstrap_of_spearman_is_seeded_and_counts_samples_without_spread():
    marker, change = np.r_[1.0, np.zeros(5)], np.arange(6.0)
    draw = [
        estimate_rank_correlation(marker, change, resamples=2000, rng=np.random.default_rng(8)) for _ in "ab"
    ]
    assert draw[0] == draw[1]
    # the one with the marker is not drawn, or alone: (5/6)^6 + (1/6)^6 = .335; 4 binomial standard errors
    assert draw[0][1] / 2000 == pytest.approx(0.335, abs=0.042)


def test_the_bootstrap_interval_covers_a_known_correlation():
    # bivariate normal, r = .6: Spearman's rho is 6 / pi asin(r / 2) = .582; nominal 95 %, low by small samples
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(150):
        x = rng.normal(size=40)
        found, _ = estimate_rank_correlation(x, 0.6 * x + 0.8 * rng.normal(size=40), resamples=199, rng=rng)
        covered += found.lower <= 0.582 <= found.upper
    assert 0.88 <= covered / 150 <= 0.99


def test_a_correlation_without_spread_is_not_estimable():
    with pytest.raises(NotEstimable, match="does not vary"):
        estimate_rank_correlation(np.ones(12), CHANGE, resamples=9, rng=np.random.default_rng(1))


def test_profile_limits_of_a_skewed_level_lie_on_both_sides():
    # firthmodels ends at one limit twice here; R: the profile by optimize over the intercept, its limits by uniroot
    level = np.array([0, 1, 2, 27, 5, 0, 0, 1, 197, 0.0])
    found = estimate_firth_odds_ratio(
        (level - level.mean()) / level.std(ddof=1), np.array([1, 1, 1, 0, 0, 1, 1, 1, 0, 0])
    )
    assert np.log(found[:3]) == pytest.approx((-0.65522144, -39.52632595, 0.37936906), abs=1e-6)
    assert found.p == pytest.approx(0.22351886, abs=1e-7)
