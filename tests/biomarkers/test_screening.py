"""The expression screen against R, the one-by-one functions, and known truth."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan
from analysis.biomarkers.levels import estimate_levels
from analysis.biomarkers.screening import fit_cox_rows, screen_expression, select_expressed

SUBJECTS = pd.Index([f"S{i:02d}" for i in range(30)], name="USUBJID")


@pytest.fixture
def rules():
    few = {"biomarkers.permutations": 499, "biomarkers.spearman_bootstrap": 9}
    return plan.defaults().override(few).biomarkers


def make(genes=40, seed=1):
    """Return expression, and outcomes that gene G0 drives."""
    rng = np.random.default_rng(seed)
    matrix = pd.DataFrame(
        rng.normal(size=(genes, 30)), ["ESR1", *[f"G{i}" for i in range(genes - 1)]], SUBJECTS
    )
    signal = 3 * matrix.loc["G0"] + rng.normal(size=30)
    outcomes = pd.DataFrame(
        {
            "NONRESPONSE": (signal > 0).astype(float),
            "PCTCHANGE": 20 * signal,
            "PFS_TIME": np.ceil(200 * rng.exponential(np.exp(-signal))) + 1,
            "PFS_EVENT": (rng.random(30) < 0.8).astype(float),
        },
        index=SUBJECTS,
    )
    return matrix, outcomes


def screen(matrix, outcomes, rules, seed=2):
    return screen_expression(matrix, outcomes, rng=np.random.default_rng(seed), rules=rules)


def test_cox_per_standard_deviation_is_coxph():
    # R: summary(coxph(Surv(tm, ev) ~ scale(x), control = coxph.control(eps = 1e-12)))
    level = [2.1, 0.3, -1.4, 0.8, 1.9, -0.2, 0.5, -0.9, 1.1, 0.1, -0.6, 1.6]
    change = [12, -30, -45, 5, 40, -8, -22, -60, 3, -15, -51, 28]
    time = [30, 61, 90, 45, 30, 120, 80, 200, 61, 15, 150, 28]
    event = np.array([1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1], bool)
    coef, error = fit_cox_rows(np.array([level, change], float), time, event)
    np.testing.assert_allclose(np.exp(coef), [5.19227161418, 4.508372193197], rtol=1e-8)
    low = np.exp(coef - 1.959963984540054 * error)
    np.testing.assert_allclose(low, [1.42360668640, 1.492066148855], rtol=1e-7)


def test_a_monotone_likelihood_and_a_constant_gene_have_no_hazard_ratio():
    time, event = np.arange(1.0, 9.0), np.ones(8, bool)
    coef, error = fit_cox_rows(np.vstack([-time, np.ones(8), np.full(8, np.nan)]), time, event)
    assert np.isnan(coef).all() and np.isnan(error).all()


def test_a_missing_value_leaves_the_subject_out_of_that_fit_alone():
    matrix, outcomes = make(3)
    values, time = matrix.to_numpy(), outcomes["PFS_TIME"].to_numpy()
    event = outcomes["PFS_EVENT"].to_numpy() > 0
    holes = values.copy()
    holes[1, :5] = np.nan
    coef, _ = fit_cox_rows(holes, time, event)
    assert coef[1] == pytest.approx(fit_cox_rows(values[1:2, 5:], time[5:], event[5:])[0][0], rel=1e-9)
    assert coef[0] == fit_cox_rows(values, time, event)[0][0]


def test_the_screen_gives_what_the_levels_give_one_by_one(rules):
    matrix, outcomes = make(6)
    matrix.iloc[2, :3] = np.nan
    fast = screen(matrix, outcomes, rules).estimates.set_index(["MARKER", "OUTCOME"])
    slow = estimate_levels(
        matrix.T,
        outcomes,
        analysis="level",
        partype="EXPR",
        samptype=None,
        rng=np.random.default_rng(1),
        rules=rules,
    ).estimates
    slow = slow[slow["METHOD"] != "firth_logistic"].set_index(["MARKER", "OUTCOME"]).loc[fast.index]
    for outcome, sides in {
        "NONRESPONSE": ["ESTIMATE", "LOWER", "UPPER", "P", "N", "EVENTS"],
        "PCTCHANGE": ["ESTIMATE", "P", "N"],
    }.items():
        one, other = (table.xs(outcome, level="OUTCOME")[sides].to_numpy(float) for table in (fast, slow))
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_the_planted_gene_is_found_in_the_direction_of_resistance_and_rows_keep_the_contract(rules):
    matrix, outcomes = make()
    found = screen(matrix, outcomes, rules)
    contracts.check("estimates_biomarkers", found.estimates)
    assert found.reason is None and len(found.estimates) == 3 * 40
    planted = found.estimates[found.estimates["MARKER"] == "G0"].set_index("OUTCOME")
    assert (planted["P_MAXT"] <= 0.05).all() and (planted["LOWER"] > [0.5, 0, 1]).all()
    assert found.estimates.groupby("TIER").size().to_dict() == {"CANDIDATE": 3, "SCREEN": 117}
    candidate = found.estimates[found.estimates["TIER"] == "CANDIDATE"]
    assert (candidate["Q_BH"] == candidate["P"]).all()  # one candidate: nothing to adjust


def test_subject_order_changes_nothing_and_input_is_left_alone(rules):
    matrix, outcomes = make(5)
    before = matrix.copy(), outcomes.copy()
    one = screen(matrix, outcomes, rules).estimates
    other = screen(matrix.iloc[:, ::-1], outcomes.sample(frac=1, random_state=3), rules).estimates
    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(matrix, before[0])
    pd.testing.assert_frame_equal(outcomes, before[1])


def test_genes_that_are_not_expressed_are_counted_and_not_rows(rules):
    matrix, outcomes = make(10)
    matrix.loc["G1"] = 0.0
    matrix.loc["G2"] = np.r_[
        np.ones(6), np.zeros(24)
    ]  # 20 % differ from the lowest: not more than the plan's 20 %
    matrix.loc["G3"] = np.r_[np.ones(7), np.zeros(23)]
    matrix.loc["G4"] = np.nan
    kept, why = select_expressed(matrix, rules=rules)
    assert set(matrix.index) - set(kept.index) == {"G1", "G2", "G4"}
    assert why.startswith("3 of 10 genes not screened")
    found = screen(matrix, outcomes, rules)
    assert found.reason == why and found.estimates["MARKER"].nunique() == 7


def test_broken_and_empty_screens_say_why(rules):
    matrix, outcomes = make(4)
    with pytest.raises(ValueError, match="SAMPLE_NOT_ONE"):
        screen(pd.concat([matrix, matrix], axis=1), outcomes, rules)
    few = screen(matrix, outcomes.assign(NONRESPONSE=1.0, PFS_EVENT=0.0), rules)
    assert set(few.estimates["OUTCOME"]) == {"PCTCHANGE"}
    assert "NONRESPONSE: fewer than 4 subjects in one group" in few.reason
    assert "PFS: fewer than 4 events" in few.reason
    elsewhere = screen(matrix.set_axis([f"T{i}" for i in range(30)], axis=1), outcomes, rules)
    assert elsewhere.estimates.empty and elsewhere.reason
    assert screen(matrix.iloc[:0], outcomes, rules).estimates.empty
    twice = screen(pd.concat([matrix, matrix.iloc[:1]]), outcomes, rules)
    assert "1 rows repeat a gene" in twice.reason and twice.estimates["MARKER"].value_counts().max() == 3
