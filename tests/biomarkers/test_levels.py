"""Levels and their rank statistics against R, scipy and by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import contracts, plan
from analysis.biomarkers.levels import estimate_levels, select_levels
from analysis.biomarkers.ranks import (
    correlate_ranks,
    correlation_limits,
    estimate_areas,
    mann_whitney_counts,
    rank_rows,
)

# Twelve subjects made up: a level, non-response, percent change, follow-up.
LEVEL = np.array([2.1, 0.3, -1.4, 0.8, 1.9, -0.2, 0.5, -0.9, 1.1, 0.1, -0.6, 1.6])
NONRESPONSE = np.array([1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1])
SUBJECTS = pd.Index([f"S{i:02d}" for i in range(12)], name="USUBJID")
OUTCOMES = pd.DataFrame(
    {
        "NONRESPONSE": NONRESPONSE * 1.0,
        "PCTCHANGE": [12, -30, -45, 5, 40, -8, -22, -60, 3, -15, -51, 28.0],
        "PFS_TIME": [30.0, 61, 90, 45, 30, 120, 80, 200, 61, 15, 150, 28],
        "PFS_EVENT": [1.0, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1],
    },
    index=SUBJECTS,
)


@pytest.fixture
def rules():
    few = {"biomarkers.permutations": 199, "biomarkers.spearman_bootstrap": 99}
    return plan.defaults().override(few).biomarkers


def estimate(levels, outcomes, rules):
    """Return the rows, indexed by marker, outcome and method."""
    found = estimate_levels(
        levels,
        outcomes,
        analysis="level",
        partype="LEVEL",
        samptype=None,
        rng=np.random.default_rng(1),
        rules=rules,
    )
    contracts.check("estimates_biomarkers", found.estimates)
    return found.estimates.set_index(["MARKER", "OUTCOME", "METHOD"])


def test_area_delong_limits_and_mann_whitney_p_are_those_of_r():
    # R: psi <- outer(x[y == 1], x[y == 0], function(a, b) (a > b) + .5 * (a == b)); A <- mean(psi)
    #    v <- var(rowMeans(psi)) / 6 + var(colMeans(psi)) / 6
    #    plogis(qlogis(A) + c(-1, 1) * qnorm(.975) * sqrt(v) / (A * (1 - A))); wilcox.test(...)$p.value
    # second row: round(x), with ties, wilcox.test(exact = FALSE)
    found = estimate_areas(np.vstack([LEVEL, np.round(LEVEL)]), NONRESPONSE)
    np.testing.assert_allclose(found.area, [0.8888888889, 0.875], rtol=1e-9)
    np.testing.assert_allclose(found.lower, [0.5267907735, 0.56052166358], rtol=1e-9)
    np.testing.assert_allclose(found.upper, [0.9829031652, 0.97463124351], rtol=1e-9)
    np.testing.assert_allclose(found.p, [0.02597402597, 0.03120411587], rtol=1e-9)


def test_an_area_is_never_turned_and_a_missing_value_leaves_a_subject_out():
    short = np.where(np.arange(12) < 3, np.nan, LEVEL)
    found = estimate_areas(np.vstack([LEVEL, -LEVEL, short]), NONRESPONSE)
    assert found.area[0] + found.area[1] == pytest.approx(1) and found.area[1] < 0.5
    assert found.lower[0] + found.upper[1] == pytest.approx(1)
    alone = estimate_areas(LEVEL[None, 3:], NONRESPONSE[3:])
    assert [side[2] for side in found] == pytest.approx([side[0] for side in alone])


def test_separated_groups_have_a_limit_all_the_same():
    # Newcombe's method 5 at an area of 1: 1 - a = z sqrt(V(a)), put in again
    found = estimate_areas(np.arange(8.0)[None, :], np.repeat([0, 1], 4))
    a = found.lower[0]
    variance = a * (1 - a) / 16 * (1 + 3 * ((1 - a) / (2 - a) + a / (1 + a)))
    assert found.area[0] == found.upper[0] == 1 and found.separated[0]
    assert (1 - a) / np.sqrt(variance) == pytest.approx(stats.norm.isf(0.025), rel=1e-6)
    assert found.p[0] == pytest.approx(2 / 70)
    low = estimate_areas(-np.arange(8.0)[None, :], np.repeat([0, 1], 4))
    assert low.lower[0] == 0 and low.upper[0] == pytest.approx(1 - a)


def test_delong_intervals_cover_a_known_area():
    # normal values one standard deviation apart: area = pnorm(1 / sqrt(2)) = .760
    rng = np.random.default_rng(6)
    response = np.repeat([0, 1], 25)
    values = rng.normal(size=(2000, 50)) + response
    found = estimate_areas(values, response)
    truth = stats.norm.cdf(1 / np.sqrt(2))
    assert 0.93 <= np.mean((found.lower <= truth) & (truth <= found.upper)) <= 0.975


@pytest.mark.parametrize(("m", "n"), [(3, 4), (1, 6), (12, 30)])
def test_the_exact_null_distribution_counts_every_order_once(m, n):
    counts = mann_whitney_counts(m, n)
    assert counts.sum() == pytest.approx(stats.binom(m + n, 0.5).pmf(m) * 2.0 ** (m + n), rel=1e-9)
    np.testing.assert_allclose(counts, counts[::-1])  # symmetric about mn / 2
    assert counts[0] == counts[-1] == 1


def test_ranks_leave_what_is_missing_out():
    np.testing.assert_array_equal(rank_rows([[3.0, np.nan, 1.0, 1.0]]), [[3, np.nan, 1.5, 1.5]])


def test_many_correlations_at_once_are_scipys_one_by_one():
    rng = np.random.default_rng(2)
    values, change = np.round(rng.normal(size=(20, 25)), 1), rng.normal(size=25)
    values[3, :4] = np.nan
    rho, p = correlate_ranks(values, change)
    for row, r, q in zip(values, rho, p, strict=True):
        known = np.isfinite(row)
        assert (r, q) == pytest.approx(tuple(stats.spearmanr(row[known], change[known])))


def test_the_limits_of_a_correlation_are_bonett_and_wrights():
    # by hand: z = atanh(.5) = .549306, error sqrt((1 + .125) / 25) = .212132; tanh(.549306 -+ .415771)
    lower, upper = correlation_limits(np.array([0.5]), np.array([28]))
    assert (lower[0], upper[0]) == pytest.approx((np.tanh(0.133535), np.tanh(0.965077)), abs=1e-5)
    assert np.isnan(correlation_limits(np.array([0.5]), np.array([3]))).all()


def test_every_outcome_has_its_methods_and_ratios_are_per_standard_deviation(rules):
    levels = pd.DataFrame({"TMB": LEVEL, "SCALED": 100 * LEVEL}, index=SUBJECTS)
    table = estimate(levels, OUTCOMES, rules)
    assert list(table.loc["TMB"].index) == [
        ("NONRESPONSE", "mann_whitney"),
        ("NONRESPONSE", "firth_logistic"),
        ("PCTCHANGE", "spearman"),
        ("PFS", "cox_firth"),
    ]
    sides = ["ESTIMATE", "LOWER", "UPPER", "P", "P_MAXT"]
    fixed = ["NONRESPONSE", "PFS"]  # the bootstrap of PCTCHANGE draws anew
    np.testing.assert_allclose(
        table.loc["TMB"].loc[fixed, sides].astype(float),
        table.loc["SCALED"].loc[fixed, sides].astype(float),
        rtol=1e-6,
    )
    # R: penalised likelihood by hand gives log 1.440598434 per unit (test_effects); here per sd(x) = 1.103
    odds = table.loc[("TMB", "NONRESPONSE", "firth_logistic"), "ESTIMATE"]
    assert np.log(odds) == pytest.approx(1.440598434 * np.std(LEVEL, ddof=1), abs=1e-6)
    adjusted = table["P_MAXT"].notna()
    assert (
        adjusted.sum() == 6 and not adjusted[table.index.get_level_values("METHOD") == "firth_logistic"].any()
    )


def test_max_t_of_one_level_is_the_exact_rank_test():
    # 7 subjects: all 5,040 orders are taken, which is the exact Mann-Whitney test
    seven = OUTCOMES[["NONRESPONSE"]].iloc[:8].drop("S00")
    levels = pd.DataFrame({"TMB": LEVEL}, index=SUBJECTS)
    small = {"biomarkers.permutations": 5040, "biomarkers.min_prevalence_n": 3}
    every = plan.defaults().override(small).biomarkers
    row = estimate(levels, seven, every).loc[("TMB", "NONRESPONSE", "mann_whitney")]
    assert row["P_MAXT"] == pytest.approx(row["P"])


def test_what_cannot_be_estimated_is_listed_with_its_reason(rules):
    levels = pd.DataFrame(
        {"FLAT": 1.0, "FEW": [1.0, 2, 3, *[np.nan] * 9], "NONE": np.nan, "ENDLESS": [np.inf, *LEVEL[1:]]},
        index=SUBJECTS,
    )
    table = estimate(levels, OUTCOMES, rules).reset_index("MARKER")
    for name, words in {"FLAT": "does not vary", "FEW": "fewer than 4", "NONE": "fewer than 4"}.items():
        rows = table[table["MARKER"] == name]
        assert set(rows["TESTED"]) == {"N"} and rows["NOTE"].str.contains(words).all()
        assert rows[["ESTIMATE", "P", "Q_BH", "P_MAXT"]].isna().all().all()
    endless = table[table["MARKER"] == "ENDLESS"]
    assert set(endless["N"]) == {11.0} and set(endless["TESTED"]) == {"Y"}
    nobody = estimate(levels.set_axis([f"T{i}" for i in range(12)]), OUTCOMES, rules)
    assert set(nobody["N"]) == {0.0} and set(nobody["TESTED"]) == {"N"}


def test_levels_come_from_one_baseline_sample_the_metastasis_first(rules):
    rows = [
        ("A", "A1", "PRIMARY", "D0", 1.0),
        ("A", "A2", "METASTASIS", "D0", 2.0),
        ("A", "A3", "METASTASIS", "PROG", 9.0),
        ("B", "B1", "PRIMARY", "D0", 3.0),
    ]
    adbm = pd.DataFrame(rows, columns=["USUBJID", "SAMPLEID", "SAMPTYPE", "AVISIT", "AVAL"])
    adbm = adbm.assign(PARTYPE="SIGN", PARAMCD="GLYCOLYSIS")
    assert select_levels(adbm, "SIGN", rules=rules)["GLYCOLYSIS"].to_dict() == {"A": 2.0, "B": 3.0}
