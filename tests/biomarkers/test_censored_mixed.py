"""The censored mixed model against nlme, survreg and likelihoods written out in R."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.biomarkers.censored_mixed import fit_censored_mixed, likelihood_ratio_tests
from analysis.biomarkers.censored_mixed_kernel import evaluate, pad
from analysis.survival.outcome import NotEstimable

REFERENCE = Path(__file__).parents[1] / "reference"
TERMS = ("intercept", "time", "group", "time:group")
# case: data set, limit (None: as the file says), random effects, ceiling over which no level is known
CASES = {
    "orthodont_intercept": ("orthodont", None, "intercept"),
    "orthodont_slope": ("orthodont", None, "intercept_slope"),
    "orthodont_none": ("orthodont", 22.5, "none"),
    "orthodont_censored": ("orthodont", 22.5, "intercept"),
    "course_intercept": ("course", None, "intercept"),
    "course_slope": ("course", None, "intercept_slope"),
    "course_sides_none": ("course", None, "none", -2.5),
    "course_sides_intercept": ("course", None, "intercept", -2.5),
}


@pytest.fixture(scope="module")
def data():
    return pd.read_csv(REFERENCE / "censored_mixed_data.csv")


@pytest.fixture(scope="module")
def expected():
    return pd.read_csv(REFERENCE / "r_censored_mixed.csv")


def model(data, name, limit=None, ceiling=np.inf):
    rows = data[data["dataset"] == name]
    time, group = rows["time"].to_numpy(float), rows["group"].to_numpy(float)
    design = np.column_stack([np.ones(len(rows)), time, group, time * group])
    y, censored = rows["y"].to_numpy(float), rows["censored"].to_numpy(bool)
    if limit is not None:
        censored, y = y <= limit, np.maximum(y, limit)
    if np.isfinite(ceiling):
        censored, y = np.where(~censored & (y > ceiling), -1, censored), np.minimum(y, ceiling)
    return y, censored, design, rows["subject"].to_numpy(), time


@pytest.mark.parametrize("case", CASES)
def test_estimates_equal_those_of_r(case, data, expected):
    name, limit, random, *ceiling = CASES[case]
    *rows, time = model(data, name, limit, *ceiling)
    fit = fit_censored_mixed(*rows, random=random, time=time)
    found = {f"coef {term}": value for term, value in zip(TERMS, fit.coef, strict=True)}
    found |= {f"se {term}": value for term, value in zip(TERMS, fit.se, strict=True)}
    found |= dict(zip(("sigma_between", "sigma_slope"), fit.sigma_between, strict=False))
    found |= {"sigma_within": fit.sigma_within, "log_likelihood": fit.log_likelihood}
    wanted = expected[expected["case"] == case].set_index("quantity")
    if "lr_p time:group" in wanted.index:
        tests = likelihood_ratio_tests(*rows, fit, random=random, time=time)
        found["lr_p time:group"] = tests[TERMS.index("time:group")]
    assert fit.converged
    assert set(wanted.index) == set(found)
    for quantity, row in wanted.iterrows():
        assert found[quantity] == pytest.approx(row["value"], rel=row["tolerance"]), quantity


def test_units_and_order_of_rows_change_nothing_but_the_units(data):
    y, censored, design, subject, _ = model(data, "course")
    plain = fit_censored_mixed(y, censored, design, subject)
    order = np.random.default_rng(7).permutation(len(y))
    moved = fit_censored_mixed(
        10 * y[order] + 3, censored[order], design[order], np.array([f"S{name}" for name in subject[order]])
    )
    assert moved.coef == pytest.approx(10 * plain.coef + [3, 0, 0, 0], rel=1e-6)
    assert moved.sigma_between == pytest.approx(10 * plain.sigma_between, rel=1e-6)
    seen = (~censored).sum()
    assert moved.log_likelihood == pytest.approx(plain.log_likelihood - seen * np.log(10), abs=1e-6)


def test_turned_upside_down_what_was_under_its_limit_is_above_it(data):
    y, censored, design, subject, _ = model(data, "course", ceiling=-2.5)
    plain = fit_censored_mixed(y, censored, design, subject)
    turned = fit_censored_mixed(-y, -censored, design, subject)
    assert (censored == 1).any() and (censored == -1).any()
    assert turned.coef == pytest.approx(-plain.coef, rel=1e-6)
    assert turned.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-8)


def test_the_score_is_the_slope_of_the_likelihood_with_values_censored_on_both_sides(data):
    y, censored, design, subject, time = model(data, "course", ceiling=-2.5)
    z = np.column_stack([np.ones(len(y)), time])
    rows = pad(y, design, z, censored, np.unique(subject, return_inverse=True)[1], nodes_per_effect=31)

    def likelihood(theta):
        return evaluate(rows, theta[:4], theta[4], np.array([[theta[5], 0], [theta[6], theta[7]]]))

    theta = np.array([-3.3, -0.3, 1.5, 0.2, 0.0, 1.1, -0.1, 0.3])
    steps = 1e-5 * np.eye(len(theta))
    slope = [(likelihood(theta + step)[0] - likelihood(theta - step)[0]) / 2e-5 for step in steps]
    assert likelihood(theta)[1] == pytest.approx(slope, rel=1e-5, abs=1e-4)


def test_no_variance_between_subjects_gives_zero_and_the_model_without(data):
    # Within every subject the same values: between subjects there is less variance than chance would give.
    subject = np.repeat(np.arange(8), 4)
    y = np.tile([-2.0, -1.0, 1.0, 2.0], 8)
    y[::4] -= 0.1 * np.array([0, 1, 0, 1, 0, 1, 0, 1])
    censored = np.zeros(32, bool)
    censored[[0, 8]] = True
    design = np.column_stack([np.ones(32), np.repeat([0.0, 1.0], 16)])
    mixed = fit_censored_mixed(y, censored, design, subject)
    alone = fit_censored_mixed(y, censored, design, subject, random="none")
    assert mixed.sigma_between == pytest.approx([0.0], abs=1e-12)
    assert mixed.converged
    assert mixed.log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-8)
    assert mixed.se == pytest.approx(alone.se, rel=1e-6)


def test_a_group_always_under_the_limit_has_no_finite_estimate():
    rng = np.random.default_rng(3)
    subject = np.repeat(np.arange(12), 3)
    group = (subject % 2).astype(float)
    y = np.where(group > 0, -5.0, rng.normal(size=36) + np.repeat(rng.normal(size=12), 3))
    fit = fit_censored_mixed(y, group > 0, np.column_stack([np.ones(36), group]), subject)
    assert not fit.converged


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"censored": np.ones(6, bool)}, NotEstimable, "0 values over the limit of 6"),
        ({"design": np.ones((6, 2))}, NotEstimable, "not independent"),
        ({"y": np.full(6, 2.0)}, NotEstimable, "do not vary"),
        ({"y": np.array([np.nan, 1, 2, 3, 4, 5])}, ValueError, "finite"),
        ({"subject": np.arange(5)}, ValueError, "one row each"),
        ({"random": "slope"}, ValueError, "found 'slope'"),
        ({"random": "intercept_slope"}, ValueError, "needs the time"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, error, match):
    given = {
        "y": np.arange(6.0),
        "censored": np.zeros(6, bool),
        "design": np.column_stack([np.ones(6), [0.0, 1, 0, 1, 0, 1]]),
        "subject": np.repeat([0, 1, 2], 2),
    }
    with pytest.raises(error, match=match):
        fit_censored_mixed(**{**given, **change})
