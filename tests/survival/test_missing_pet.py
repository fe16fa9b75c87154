"""Patients without an evaluable early scan: who they are, and weights for them, against R (r_models.csv)."""

from pathlib import Path

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from analysis import contracts
from analysis.survival import NotEstimable, association, cox
from analysis.survival.association.covariates import COVARIATES
from analysis.survival.association.estimates import Analysis
from analysis.survival.association.missing_pet import (
    compare_missing,
    estimate_weighted,
    everyone_at_landmark,
    standardised_difference,
)
from analysis.survival.inverse_probability import evaluable_probability

R = pd.read_csv(Path(__file__).parents[1] / "reference" / "r_models.csv", dtype={"term": str})
MAIN = Analysis("PFS", "all_scans", "scan", "D14", "SUVMAX", "any_resistant", 25.0)


@pytest.fixture(scope="module")
def rules(plan):
    return plan.override({"survival.ipw_covariates": ["AGE", "ECOG"]})


@pytest.fixture(scope="module")
def lung():
    raw = lifelines.datasets.load_lung()
    data = raw.rename(columns={"age": "AGE", "ph.ecog": "ECOG"})
    data = data.assign(
        event=raw["status"].eq(1), exposed=raw["sex"].eq(1), VISCFL=raw["sex"].eq(2).astype(float)
    )
    return data.assign(evaluable=raw["meal.cal"].notna(), STUDYID="X")


@pytest.fixture(scope="module")
def made():
    """Return the data made by hand in the R script: the old are seldom evaluable."""
    k = np.arange(80)
    data = pd.DataFrame({"AGE": 40.0 + (7 * k) % 23, "ECOG": k % 3.0, "time": 1.0 + (11 * k) % 37})
    data = data.assign(event=k % 5 != 0, exposed=k % 7 < 3, STUDYID="X")
    return data.assign(evaluable=~((data["AGE"] > 52) & (k % 4 > 0)))


def reference(dataset, analysis, term="exposed"):
    wanted = R["dataset"].eq(dataset) & R["analysis"].eq(analysis) & R["term"].eq(term)
    return R[wanted].set_index("quantity")["value"]


@pytest.mark.parametrize(
    ("dataset", "analysis", "missing", "cap"),
    [
        ("lung", "ipw", "meal.cal", 10.0),
        ("lung", "ipw_cut", "meal.cal", 1.05),
        ("lung", "ipw_firth", "wt.loss", 10.0),
        ("made", "ipw", None, 10.0),
        ("made", "ipw_cut", None, 2.0),
    ],
)
def test_the_weighted_model_is_the_one_of_r(request, rules, dataset, analysis, missing, cap):
    data = request.getfixturevalue(dataset)
    if missing:
        data = data.assign(evaluable=data[missing].notna())
    row = estimate_weighted(data, MAIN, rules.override({"survival.ipw_max_weight": cap})).iloc[0]
    expected = reference(dataset, analysis)
    found = row[["ESTIMATE", "LOWER", "UPPER", "P"]].to_numpy(dtype=float)
    assert found == pytest.approx(expected[["estimate", "lower", "upper", "p"]].to_numpy(), abs=1e-6)
    assert f"largest weight {expected['max_weight']:.2f}" in row["LABEL"]
    assert ("by Firth" in row["LABEL"]) == (analysis == "ipw_firth")
    assert (row["METHOD"], row["ROLE"], row["LANDMARK"]) == ("cox_ipw", "SENSITIVITY", "fixed")
    contracts.check("estimates", pd.DataFrame([row]))


def test_the_label_counts_who_is_without_and_shows_the_unweighted_ratio(lung, rules):
    label = estimate_weighted(lung, MAIN, rules)["LABEL"].iloc[0]
    seen = lung[lung["evaluable"] & lung["ECOG"].notna()]
    found = cox(seen["time"], seen["event"], seen["exposed"]).iloc[0]
    assert "47 of 227 without one; 1 without a covariate left out" in label
    assert "unweighted {estimate:.2f} ({lower:.2f}-{upper:.2f})".format(**found) in label


def test_patients_without_a_lesion_to_respond_are_not_weighted_for(made, rules):
    reasons = np.where(~made["evaluable"] & (made.index % 2 == 0), "NOT_FDG_EVALUABLE", None)
    label = estimate_weighted(made.assign(NEREAS=reasons), MAIN, rules)["LABEL"].iloc[0]
    gone = int(pd.notna(reasons).sum())
    assert gone > 0 and f"{gone} without a lesion to respond left out" in label


def test_where_nothing_is_missing_there_is_nothing_to_weight(lung, rules):
    row = estimate_weighted(lung.assign(evaluable=True), MAIN, rules).iloc[0]
    assert np.isnan(row["ESTIMATE"])
    assert "not estimable: each of the 227 patients followed at day 35 has" in row["LABEL"]
    few = lung.assign(evaluable=lung.index > 3)
    assert "4 patients are too few to model" in estimate_weighted(few, MAIN, rules)["LABEL"].iloc[0]
    assert np.isfinite(
        estimate_weighted(few, MAIN, rules.override({"survival.ipw_min_missing": 4}))["ESTIMATE"].iloc[0]
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.assign(ECOG=np.nan), "ECOG is not known in this study"),
        (lambda data: data.assign(ECOG=2 * data["AGE"]), "are collinear in these 80"),
        (lambda data: data.assign(evaluable=False), "0 of 80 patients are evaluable"),
        (lambda data: data.assign(event=False), "has an event"),
        (lambda data: data.assign(exposed=True), "one group is empty"),
        (lambda data: data.iloc[:2], "each of the 2 patients"),
        (lambda data: data.iloc[:0], "not estimable"),
    ],
)
def test_degenerate_data_give_a_row_with_the_reason(made, rules, change, reason):
    row = estimate_weighted(change(made), MAIN, rules).iloc[0]
    assert np.isnan(row["ESTIMATE"]) and reason in row["LABEL"]


def test_probabilities_add_up_and_stay_inside_0_and_1_under_separation():
    x = pd.DataFrame({"AGE": np.arange(30.0), "ECOG": 1.0})
    found, penalised = evaluable_probability(x["AGE"] < 24, x)
    assert penalised  # maximum likelihood has no finite estimate
    assert found.sum() == pytest.approx(24)
    assert ((found > 0) & (found < 1)).all() and (np.diff(found) < 0).all()


def test_a_planted_mechanism_is_recovered_and_a_constant_covariate_is_passed_over():
    rng = np.random.default_rng(5)
    x = pd.DataFrame({"AGE": rng.normal(size=4000), "VISCFL": 1.0})
    true = expit(0.5 + 1.0 * x["AGE"])
    found, penalised = evaluable_probability(rng.random(4000) < true, x)
    assert not penalised and np.abs(found - true).max() < 0.03
    constant, _ = evaluable_probability([True, False, True, True], pd.DataFrame({"AGE": [1.0] * 4}))
    assert constant.tolist() == [0.75] * 4
    with pytest.raises(NotEstimable, match="nothing to model"):
        evaluable_probability([True, True], pd.DataFrame({"AGE": [1.0, 2.0]}))


def test_differences_and_the_median_of_those_without_are_those_of_r(lung, rules):
    absent = {name: np.nan for name in COVARIATES if name not in lung}
    rows = compare_missing(lung.assign(**absent), MAIN, rules).set_index("CONTRAST")
    for name in ("AGE", "ECOG", "VISCFL"):
        row = rows.loc[COVARIATES[name]]
        assert row["ESTIMATE"] == pytest.approx(reference("lung", "missing", name)["smd"], abs=1e-6)
    age = rows.loc["age"]
    assert (age["N"], age["N_EXPOSED"], age["N_REFERENCE"]) == (228, 181, 47)
    expected = reference("lung", "missing", "without")
    found = rows.loc["NOT EVALUABLE", ["ESTIMATE", "LOWER", "UPPER"]].to_numpy(dtype=float)
    assert found == pytest.approx(expected[["median", "lower", "upper"]].to_numpy())
    assert rows.loc[COVARIATES["BONEONLY"], "LABEL"].endswith("BONEONLY is not known in this study")
    assert set(rows["METHOD"]) == {"missing_pet"} and set(rows["ROLE"]) == {"DESCRIPTIVE"}
    contracts.check("estimates", rows.reset_index())


def test_one_row_says_that_nobody_is_without(lung, rules):
    rows = compare_missing(lung.assign(evaluable=True), MAIN, rules)
    assert len(rows) == 1 and "each of the 228 patients" in rows["LABEL"].iloc[0]


def test_standardised_differences_by_hand():
    # Means 2 and 1, both variances 2; then 3/4 against 1/4, both variances 3/16.
    assert standardised_difference([1, 3], [0, 2]) == pytest.approx(1 / np.sqrt(2))
    assert standardised_difference([1, 1, 1, 0], [1, 0, 0, 0], proportion=True) == pytest.approx(
        0.5 / np.sqrt(3 / 16)
    )
    assert standardised_difference([2, 2], [2, 2]) == 0
    with pytest.raises(NotEstimable, match="two patients a group"):
        standardised_difference([1, 2], [3])
    with pytest.raises(NotEstimable, match="nothing varies"):
        standardised_difference([2, 2], [3, 3])


def test_time_zero_is_the_fixed_landmark_and_those_with_a_pet_are_its_analysis_set(simulate, plan):
    lost = {(f"PEARL-1-{k:03d}", "D14") for k in (1, 5, 9)}
    adsl, adtte, admr = simulate(missing=lost)
    fixed = Analysis("PFS", "all_scans", "fixed", "D14", "SUVMAX", "any_resistant", 25.0)
    data, _ = association.analysis_set(fixed, admr, adtte, adsl, plan)
    everyone = everyone_at_landmark(fixed, admr, adtte, adsl, None, plan)
    seen = everyone[everyone["evaluable"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        seen[["USUBJID", "time", "event", "exposed", "SCORE"]],
        data[["USUBJID", "time", "event", "exposed", "SCORE"]],
    )
    without = everyone[~everyone["evaluable"]]
    followed = adtte[adtte["PARAMCD"].eq("PFS") & (adtte["AVAL"] > plan.survival.fixed_landmark_day)]
    assert set(without["USUBJID"]) == {subject for subject, _ in lost} & set(followed["USUBJID"])
    assert without["group"].isna().all() and not without["exposed"].any()
    assert set(COVARIATES) <= set(everyone)


def test_a_scan_after_the_landmark_is_no_scan_at_the_landmark(simulate, plan):
    adsl, adtte, admr = simulate()
    late = admr["USUBJID"].eq("PEARL-1-004")
    admr = admr.assign(PETDT=admr["PETDT"].mask(late, admr["PETDT"] + pd.Timedelta(days=40)))
    everyone = everyone_at_landmark(MAIN, admr, adtte, adsl, None, plan).set_index("USUBJID")
    assert not everyone.loc["PEARL-1-004", "evaluable"]
    assert everyone.loc["PEARL-1-004", "NEREAS"] == "SCAN_AFTER_LANDMARK"
    assert np.isnan(everyone.loc["PEARL-1-004", "SCORE"])


def test_a_table_of_days_without_dates_has_a_landmark_in_days(simulate, plan):
    adsl, adtte, admr = simulate()
    days = adtte.assign(ADT=pd.NaT)
    everyone = everyone_at_landmark(MAIN, admr.assign(PETDT=pd.NaT), days, adsl, None, plan)
    pfs = adtte[adtte["PARAMCD"].eq("PFS")].set_index("USUBJID")["AVAL"]
    expected = (pfs[pfs > 35] - 35) / plan.design.days_per_month
    assert everyone["time"].to_numpy() == pytest.approx(expected.sort_index().to_numpy())
    assert everyone["LANDMARKDT"].isna().all() and everyone["evaluable"].all()
