"""Restricted cubic spline: numbers of R (Hmisc, survival), properties, degenerate data, rows of the table."""

from dataclasses import replace
from pathlib import Path

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest

from analysis.survival.association.sets import analysis_set, main_analysis
from analysis.survival.association.splines import estimate_spline
from analysis.survival.cox import cox
from analysis.survival.outcome import NotEstimable
from analysis.survival.spline import fit_spline, restricted_cubic_spline

FOLDER = Path(__file__).parents[1] / "reference"
REFERENCE = pd.read_csv(FOLDER / "r_spline.csv", dtype={"term": str})
QUANTILES = {"3": [0.1, 0.5, 0.9], "4": [0.05, 0.35, 0.65, 0.95]}


def rows_of(analysis):
    return list(REFERENCE[REFERENCE["analysis"] == analysis].itertuples())


def name_of(row):
    return f"{row.dataset}-{row.term}-{row.quantity}"


@pytest.fixture(scope="module")
def fits():
    lung = lifelines.datasets.load_lung()
    veteran = pd.read_csv(FOLDER / "veteran.csv")
    ovarian = pd.read_csv(FOLDER / "ovarian.csv")
    arrays = {
        "lung": (lung["time"], lung["status"], lung["age"]),
        "veteran": (veteran["time"], veteran["status"], veteran["karno"]),
        "ovarian": (ovarian["futime"], ovarian["fustat"], ovarian["age"]),
    }
    terms = REFERENCE.loc[REFERENCE["analysis"] == "fit", ["dataset", "term"]].drop_duplicates()
    return {
        (dataset, term): fit_spline(*arrays[dataset], quantiles=QUANTILES[term.split(" ")[1]], ties="efron")
        for dataset, term in terms.itertuples(index=False)
    }


@pytest.mark.parametrize("row", rows_of("basis"), ids=name_of)
def test_the_basis_is_that_of_hmisc(row):
    basis = restricted_cubic_spline([float(row.term.removeprefix("x "))], [0, 1, 2.5, 4])
    assert basis[0, int(row.quantity.removeprefix("column ")) - 1] == pytest.approx(
        row.value, abs=row.tolerance
    )


@pytest.mark.parametrize("row", rows_of("fit"), ids=name_of)
def test_coefficients_errors_likelihoods_and_tests_are_those_of_coxph(fits, row):
    fit = fits[row.dataset, row.term]
    tests = fit.tests().set_index("test")
    name, last = row.quantity.rsplit(" ", 1) if " " in row.quantity else (row.quantity, "")
    if name in tests.index:
        found = tests.loc[name, last]
    elif name in {"knot", "coef", "se"}:
        found = {"knot": fit.knots, "coef": fit.coef, "se": np.sqrt(np.diag(fit.covariance))}[name][
            int(last) - 1
        ]
    else:
        found = getattr(fit, name)
    assert found == pytest.approx(row.value, abs=row.tolerance)


@pytest.mark.parametrize("row", rows_of("curve"), ids=name_of)
def test_the_curve_and_its_limits_are_those_of_coxph(fits, row):
    _, at, _, reference, column = row.quantity.split(" ")
    point = fits[row.dataset, row.term].curve([float(at)], float(reference), alpha=0.05)
    # R rounds the bread of a hazard ratio of 40 at its 9th digit.
    assert point[column][0] == pytest.approx(row.value, rel=1e-7, abs=row.tolerance)


def test_the_spline_is_linear_outside_the_outer_knots_and_smooth_inside():
    knots = np.array([-1.0, 0.0, 0.5, 2.0])
    outside = restricted_cubic_spline([2.0, 3.0, 4.0, 5.0], knots)
    assert np.diff(outside, n=2, axis=0) == pytest.approx(np.zeros((2, 3)), abs=1e-12)
    assert restricted_cubic_spline([-5.0, -1.0], knots)[:, 1:].tolist() == [[0, 0], [0, 0]]
    around = restricted_cubic_spline([0.5 - 1e-4, 0.5, 0.5 + 1e-4], knots)
    assert np.diff(around, n=2, axis=0) == pytest.approx(np.zeros((1, 3)), abs=1e-6)


def test_the_curve_is_1_at_the_reference_and_turns_with_it(fits):
    fit = fits["lung", "age 3"]
    at_reference = fit.curve([60.0], 60.0).iloc[0]
    assert at_reference[["estimate", "lower", "upper"]].tolist() == pytest.approx([1, 1, 1])
    there, back = fit.curve([75.0], 60.0).iloc[0], fit.curve([60.0], 75.0).iloc[0]
    assert there["estimate"] == pytest.approx(1 / back["estimate"])
    assert there["lower"] == pytest.approx(1 / back["upper"])


def test_moving_and_stretching_the_score_changes_no_test():
    lung = lifelines.datasets.load_lung()
    plain = fit_spline(lung["time"], lung["status"], lung["age"])
    moved = fit_spline(lung["time"] / 30, lung["status"], -0.01 * lung["age"] + 5)
    assert moved.tests()["chi2"].tolist() == pytest.approx(plain.tests()["chi2"].tolist(), abs=1e-8)
    assert moved.curve([4.2], 4.4)["estimate"][0] == pytest.approx(
        plain.curve([80], 60)["estimate"][0], rel=1e-7
    )


def test_a_planted_bend_is_found_and_a_planted_line_is_none():
    rng = np.random.default_rng(4)
    x = rng.uniform(-2, 2, 200)
    bent = fit_spline(rng.exponential(np.exp(-(x**2))), np.ones(200), x).tests()
    straight = fit_spline(rng.exponential(np.exp(-x)), np.ones(200), x).tests()
    assert bent["p"][0] < 1e-6 and straight["p"][0] > 0.01
    assert straight["p"][1] < 1e-6


def test_the_line_beside_the_spline_is_that_of_cox(fits):
    lung = lifelines.datasets.load_lung()
    line = cox(lung["time"], lung["status"], lung["age"]).iloc[0]
    assert fits["lung", "age 3"].loglik_linear == pytest.approx(line["loglik"], abs=1e-9)


TIME = np.arange(1.0, 13.0)


@pytest.mark.parametrize(
    ("time", "event", "score", "reason"),
    [
        (TIME, np.zeros(12), TIME % 5, "none of the 12 patients has an event"),
        (TIME, np.ones(12), np.ones(12), "does not vary"),
        (TIME, np.ones(12), TIME % 3, "3 distinct values of the score in 12 patients do not carry 3 knots"),
        (TIME, np.ones(12), np.r_[np.zeros(7), 1:6], "do not carry 3 knots"),
        (TIME, np.ones(12), -TIME, "12 events do not carry a curve, read the linear effect: separation"),
        ([1.0, 2.0], [1, 1], [1.0, 2.0], "2 distinct values"),
        ([], [], [], "no patients are left"),
    ],
)
def test_data_that_carry_no_spline_are_refused(time, event, score, reason):
    with pytest.raises(NotEstimable, match=reason):
        fit_spline(time, event, score)


def test_events_all_at_one_time_tell_nothing_about_the_score():
    tests = fit_spline(np.full(12, 4.0), np.ones(12), TIME).tests()
    assert tests["chi2"].tolist() == pytest.approx([0, 0], abs=1e-9)
    assert tests["p"].tolist() == pytest.approx([1, 1], abs=1e-4)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: fit_spline(TIME, np.ones(12), np.where(TIME == 3, np.nan, TIME)), "1 patients lack"),
        (lambda: fit_spline(TIME, np.ones(12), TIME, quantiles=[0.1, 0.9]), "three or more quantiles"),
        (lambda: fit_spline(TIME, np.ones(12), TIME, quantiles=[0.1, 0.5, 1.9]), "between 0 and 1"),
        (lambda: fit_spline(TIME, np.ones(12), np.column_stack([TIME, TIME])), "one score"),
        (lambda: restricted_cubic_spline([1.0, np.nan], [0, 1, 2]), "1 missing"),
        (lambda: restricted_cubic_spline([1.0], [0, 1]), "three or more rising knots"),
        (lambda: restricted_cubic_spline([1.0], [0, 2, 1]), "three or more rising knots"),
    ],
)
def test_malformed_input_is_refused(call, reason):
    with pytest.raises(ValueError, match=reason):
        call()


@pytest.fixture(scope="module")
def main(trial, plan):
    adsl, adtte, admr = trial
    analysis = main_analysis(admr, plan, timepoint="D14")
    return analysis, analysis_set(analysis, admr, adtte, adsl, plan)[0]


def test_rows_are_two_tests_and_a_curve_that_is_1_at_the_cut(main, plan):
    analysis, data = main
    table = estimate_spline(data, analysis, plan)
    assert table["METHOD"].tolist()[:2] == ["cox_spline", "cox_spline"]
    assert table["LABEL"].tolist()[:2] == [
        "non-linearity, likelihood ratio, 1 df",
        "any association, likelihood ratio, 2 df",
    ]
    assert table["ROLE"].eq("EXPLORATORY").all() and table["TIES"].eq("efron").all()
    curve = table[table["METHOD"].eq("spline_curve")]
    assert curve.loc[curve["CUT"].eq(25.0), ["ESTIMATE", "LOWER", "UPPER"]].to_numpy()[0] == pytest.approx(
        1.0
    )
    assert curve["P"].isna().all() and curve["CUT"].is_monotonic_increasing
    fall = -100 * np.expm1(data["SCORE"])
    assert fall.min() <= curve["CUT"].min() and curve["CUT"].max() <= fall.max()
    # The planted hazard rises with the ratio: a larger fall is better.
    assert curve["ESTIMATE"].iloc[0] > 1 > curve["ESTIMATE"].iloc[-1]
    expected = fit_spline(data["time"], data["event"], data["SCORE"], quantiles=plan.survival.spline_knots)
    assert table["P"].tolist()[:2] == pytest.approx(expected.tests()["p"].tolist())
    point = expected.curve([np.log(0.6)], np.log(0.75), alpha=plan.primary.alpha).iloc[0]
    assert curve.loc[curve["CUT"].eq(40.0), "LOWER"].iloc[0] == pytest.approx(point["lower"])


def test_a_large_rise_does_not_make_a_long_table(main, plan):
    analysis, data = main
    score = data["SCORE"].where(data.index > 0, np.log(20.0))
    curve = estimate_spline(data.assign(SCORE=score), analysis, plan).query("METHOD == 'spline_curve'")
    assert len(curve) <= 62 and curve["CUT"].min() >= -1900


def test_a_baseline_value_has_its_curve_on_its_own_scale(main, plan):
    analysis, data = main
    data = data.assign(SCORE=np.log2(8 * np.exp(data["SCORE"])))
    value = replace(analysis, scale="value", cut=6.0, rule="median_split", contrast="HIGH", reference="LOW")
    table = estimate_spline(data, value, plan)
    curve = table[table["METHOD"].eq("spline_curve")]
    assert curve["CUT"].min() == pytest.approx(2 ** data["SCORE"].min())
    assert set(curve["REFERENCE"]) == {"6"}
    change = estimate_spline(data.assign(SCORE=np.log(2) * data["SCORE"] - np.log(8)), analysis, plan)
    assert table["P"].tolist()[:2] == pytest.approx(change["P"].tolist()[:2])
    none = estimate_spline(data, replace(value, cut=np.nan), plan).query("METHOD == 'spline_curve'")
    assert float(none["REFERENCE"].iloc[0]) == pytest.approx(2 ** data["SCORE"].median(), rel=1e-3)


def test_what_cannot_be_estimated_is_two_rows_with_the_reason(main, plan):
    analysis, data = main
    for lacking in (data.assign(event=False), data.assign(SCORE=np.nan), data.iloc[:0], data.iloc[:2]):
        table = estimate_spline(lacking, analysis, plan)
        assert len(table) == 2 and table["ESTIMATE"].isna().all()
        assert table["LABEL"].str.contains("not estimable").all()
    partly = estimate_spline(data.assign(SCORE=data["SCORE"].where(data.index > 2)), analysis, plan)
    assert "3 patients without a score are left out" in partly["LABEL"][0]
