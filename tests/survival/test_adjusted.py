"""Adjusted and stratified models against R (tests/reference/r_models.csv), and on data that give nothing."""

from dataclasses import replace
from pathlib import Path

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.survival.association.adjusted import (
    caution,
    estimate_adjusted,
    estimate_adjusted_model,
    estimate_with_prior,
    fit_adjusted,
)
from analysis.survival.association.centres import estimate_stratified, estimate_without_centres
from analysis.survival.association.covariates import COVARIATES
from analysis.survival.association.estimates import Analysis

FOLDER = Path(__file__).parents[1] / "reference"
R = pd.read_csv(FOLDER / "r_models.csv", dtype={"term": str})
MAIN = Analysis("PFS", "all_scans", "scan", "D14", "SUVMAX", "any_resistant", 25.0)
NUMBERS = {"estimate": "ESTIMATE", "lower": "LOWER", "upper": "UPPER", "p": "P", "n": "N", "events": "EVENTS"}


@pytest.fixture(scope="module")
def rules(plan):
    """Adjust for what R's lung and ovarian data have."""
    return plan.override({"survival.adjust": ["AGE", "ECOG"], "survival.adjust_singly": ["AGE", "ECOG"]})


@pytest.fixture(scope="module")
def lung():
    raw = lifelines.datasets.load_lung()
    # R has an institution for 227 of 228; there the codes stand as numbers.
    centre = raw["inst"].map(lambda code: None if pd.isna(code) else f"{int(code):02d}")
    data = raw.rename(columns={"age": "AGE", "ph.ecog": "ECOG"}).assign(SITEID=centre)
    return prepared(data, event=raw["status"].eq(1), exposed=raw["sex"].eq(1))


@pytest.fixture(scope="module")
def ovarian():
    raw = pd.read_csv(FOLDER / "ovarian.csv").rename(
        columns={"age": "AGE", "ecog.ps": "ECOG", "futime": "time"}
    )
    return prepared(raw, event=raw["fustat"].eq(1), exposed=raw["rx"].eq(2))


def prepared(data, *, event, exposed):
    names = [name for name in [*COVARIATES, "SITEID"] if name not in data]
    group = np.where(exposed, "NON-RESPONDER", "RESPONDER")
    subjects = [f"S{k:03d}" for k in range(len(data))]
    place = {"STUDYID": "X", "USUBJID": subjects, "event": event, "exposed": exposed, "group": group}
    return data.assign(**place, **dict.fromkeys(names, np.nan))


def generator():
    return np.random.default_rng(4)


def assert_as_r(row, analysis, term, dataset="lung"):
    wanted = R[R["dataset"].eq(dataset) & R["analysis"].eq(analysis) & R["term"].eq(term)]
    assert len(wanted) >= 2
    for expected in wanted.itertuples():
        found = float(row[NUMBERS[expected.quantity]])
        assert found == pytest.approx(expected.value, abs=expected.tolerance), expected.quantity


@pytest.fixture(scope="module")
def table(lung, rules):
    few = lung[lung["SITEID"].isin(["01", "12", "22"]) | lung["SITEID"].isna()]
    return estimate_adjusted(few, MAIN, rules, generator())


def test_the_adjusted_model_is_the_one_of_r_with_the_exposure_first(lung, rules):
    rows = estimate_adjusted_model(lung, MAIN, rules, ["AGE", "ECOG"], covariate_rows=True)
    for (_, row), term in zip(rows.iterrows(), ["exposed", "AGE", "ECOG"], strict=True):
        assert_as_r(row, "adjusted", term)
    assert rows["CONTRAST"].tolist() == [
        "NON-RESPONDER",
        "age, per year",
        "ECOG performance status, per grade",
    ]
    assert rows["REFERENCE"].tolist() == ["RESPONDER", None, None]


def test_the_label_has_who_was_left_out_and_the_unadjusted_ratio_of_the_others(lung, rules):
    label = estimate_adjusted_model(lung, MAIN, rules, ["AGE", "ECOG"])["LABEL"].iloc[0]
    expected = R[R["analysis"].eq("unadjusted")].set_index("quantity")["value"]
    ratio = "{estimate:.2f} ({lower:.2f}-{upper:.2f})".format(**expected)
    assert "1 without a covariate left out" in label
    assert label.endswith(f"unadjusted in the same 227 patients {ratio}")


@pytest.mark.parametrize("name", ["AGE", "ECOG"])
def test_one_covariate_at_a_time_is_as_in_r(lung, rules, name):
    assert_as_r(estimate_adjusted_model(lung, MAIN, rules, [name]).iloc[0], f"singly_{name}", "exposed")


def test_few_events_switch_to_firth_as_in_r_and_the_label_says_so(ovarian, rules):
    rows = estimate_adjusted_model(ovarian, MAIN, rules, ["AGE", "ECOG"], covariate_rows=True)
    for (_, row), term in zip(rows.iterrows(), ["exposed", "AGE", "ECOG"], strict=True):
        assert_as_r(row, "adjusted_firth", term, "ovarian")
    assert set(rows["ESTIMATOR"]) == {"FIRTH"} and set(rows["TIES"]) == {"breslow"}
    assert "Firth, as 12 events carry 3 coefficients" in rows["LABEL"].iloc[0]


def test_strata_by_centre_are_as_in_r(lung, rules):
    rows = estimate_stratified(lung, MAIN, rules, generator()).set_index("METHOD")
    assert_as_r(rows.loc["cox_stratified"], "stratified", "exposed")
    test = R[R["analysis"].eq("logrank_stratified")].set_index("quantity")["value"]
    assert rows.loc["logrank_stratified", "ESTIMATE"] == pytest.approx(test["chi2"], abs=1e-6)
    assert rows.loc["logrank_stratified", "P"] == pytest.approx(test["p"], abs=1e-6)
    assert rows.loc["logrank_stratified_permutation", "P"] == pytest.approx(test["p"], abs=0.01)
    assert "1 of unknown centre left out" in rows["LABEL"].iloc[0]


def firth_by_hand(data):
    """Maximise the Breslow likelihood with Jeffreys' penalty over a grid of one coefficient."""
    beta = np.linspace(-0.5, 1.5, 20001)
    time, x = data["time"].to_numpy(), data["exposed"].to_numpy(dtype=bool)
    likelihood, information = np.zeros_like(beta), np.zeros_like(beta)
    for k in np.flatnonzero(data["event"]):
        at_risk = time >= time[k]
        sum_ = (at_risk & x).sum() * np.exp(beta) + (at_risk & ~x).sum()
        share = (at_risk & x).sum() * np.exp(beta) / sum_
        likelihood += beta * x[k] - np.log(sum_)
        information += share * (1 - share)
    penalised = likelihood + np.log(information) / 2
    inside = beta[penalised >= penalised.max() - 3.841459 / 2]
    return np.exp([beta[penalised.argmax()], inside[0], inside[-1]])


def test_each_centre_left_out_is_a_subgroup_by_firth_with_the_patients_of_r(lung, rules):
    # The one of unknown centre is in no centre; R left her out before.
    known = lung[lung["SITEID"].notna()]
    rows = estimate_without_centres(known, MAIN, rules).set_index("LABEL")
    assert set(rows["ESTIMATOR"]) == {"FIRTH"} and set(rows["TIES"]) == {"breslow"}
    for centre in (1, 12, 22):
        row, wanted = rows.loc[f"without centre {centre:02d}"], R[R["analysis"].eq(f"without_{centre}")]
        wanted = wanted.set_index("quantity")["value"]
        assert (row["N"], row["EVENTS"]) == (wanted["n"], wanted["events"])
        # With this many events Firth is near R's maximum likelihood.
        assert row["ESTIMATE"] == pytest.approx(wanted["estimate"], rel=0.01)
    row = rows.loc["without centre 01"]
    expected = firth_by_hand(known[known["SITEID"].ne("01")])
    assert row[["ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx(expected, rel=2e-4)


def test_os_is_adjusted_by_firth_and_the_stratified_row_says_that_it_is_not(lung, rules):
    os = replace(MAIN, endpoint="OS")
    row = estimate_adjusted_model(lung, os, rules, ["AGE"]).iloc[0]
    assert row["ESTIMATOR"] == "FIRTH" and "; Firth, as the plan has OS; unadjusted" in row["LABEL"]
    assert "as Firth has no strata" in estimate_stratified(lung, os, rules, generator())["LABEL"].iloc[0]
    assert caution(lung, os, rules).endswith("By the plan Firth is the main estimator.")


@pytest.mark.parametrize("name", ["lung", "ovarian"])
def test_the_posterior_under_the_prior_is_as_by_integration_in_r(request, rules, name):
    row = estimate_with_prior(request.getfixturevalue(name), MAIN, rules).iloc[0]
    expected = R[R["dataset"].eq(name) & R["analysis"].eq("prior")].set_index("quantity")["value"]
    found = row[["ESTIMATE", "LOWER", "UPPER"]].to_numpy(dtype=float)
    assert found == pytest.approx(expected[["median", "lower", "upper"]].to_numpy(), abs=1e-6)
    assert f"above 1: {expected['above_one']:.3f}" in row["LABEL"]
    assert np.isnan(row["P"])


def test_all_rows_are_sensitivity_and_keep_the_contract(table):
    contracts.check("estimates", table)
    assert set(table["ROLE"]) == {"SENSITIVITY"}
    counts = table["METHOD"].value_counts().to_dict()
    assert (
        counts["cox_adjusted"] == 3
        and counts["cox_adjusted_one"] == 2
        and counts["cox_leave_centre_out"] == 3
    )
    assert "significant" not in table["LABEL"].str.cat()


def test_two_runs_give_the_same_rows(lung, rules):
    few = lung.iloc[:60]
    first, second = (estimate_stratified(few, MAIN, rules, generator()) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_a_plan_with_more_than_three_covariates_or_an_unknown_one_is_refused(lung, plan):
    with pytest.raises(ValueError, match="names 4 covariates, at most 3"):
        four = plan.override({"survival.adjust": ["AGE", "ECOG", "VISCFL", "LNBASE"]})
        estimate_adjusted(lung, MAIN, four, generator())
    with pytest.raises(ValueError, match="not known; known are"):
        estimate_adjusted(lung, MAIN, plan.override({"survival.adjust": ["STAGE"]}), generator())
    with pytest.raises(ValueError, match="join baseline_covariates"):
        estimate_adjusted(lung.drop(columns="VISCFL"), MAIN, plan, generator())


def test_covariates_the_study_does_not_know_give_a_row_that_says_so(lung, plan):
    row = estimate_adjusted_model(lung, MAIN, plan, ["AGE", "VISCFL"]).iloc[0]
    assert np.isnan(row["ESTIMATE"]) and row["N"] == 228
    assert row["LABEL"].endswith("not estimable: VISCFL is not known in this study")


def test_the_baseline_value_is_not_adjusted_for_itself(lung, plan):
    own = replace(MAIN, scale="value")
    row = estimate_adjusted_model(lung.assign(LNBASE=lung["AGE"]), own, plan, ["LNBASE"]).iloc[0]
    assert "LNBASE would adjust it for itself" in row["LABEL"]


def test_a_constant_covariate_is_refused_by_name(lung, plan):
    row = estimate_adjusted_model(lung.assign(VISCFL=1.0), MAIN, plan, ["VISCFL"]).iloc[0]
    assert np.isnan(row["ESTIMATE"]) and "['VISCFL'] does not vary" in row["LABEL"]


def test_one_centre_or_none_is_nothing_to_stratify_by(lung, rules):
    for data in (lung.assign(SITEID="01"), lung.assign(SITEID=None)):
        rows = pd.concat(
            [estimate_stratified(data, MAIN, rules, generator()), estimate_without_centres(data, MAIN, rules)]
        )
        assert len(rows) == 4 and rows["ESTIMATE"].isna().all()
        assert rows["LABEL"].str.contains("one centre|SITEID is not known").all()


def separated(n=24):
    """Return data in which all of the exposed have their event before any of the others."""
    exposed = np.arange(n) < n // 2
    data = pd.DataFrame({"time": np.arange(1.0, n + 1), "AGE": 50.0 + np.arange(n) % 7})
    return prepared(
        data.assign(SITEID=np.where(np.arange(n) % 2, "01", "02")), event=np.full(n, True), exposed=exposed
    )


def test_separation_falls_back_on_firth_with_the_reason(rules):
    data = separated()
    fit = fit_adjusted(data, MAIN, ["AGE"], rules)
    assert fit.estimator == "FIRTH" and np.isfinite(fit.terms["estimate"]).all()
    label = estimate_adjusted_model(data, MAIN, rules, ["AGE"])["LABEL"].iloc[0]
    assert "maximum likelihood has no finite estimate" in label
    stratified = estimate_stratified(data, MAIN, rules, generator()).iloc[0]
    assert np.isnan(stratified["ESTIMATE"]) and "separation" in stratified["LABEL"]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.iloc[:0],
        lambda data: data.iloc[:1],
        lambda data: data.iloc[[0, -1]],
        lambda data: data.assign(event=False),
        lambda data: data.assign(exposed=True),
        lambda data: data.assign(time=3.0),
        lambda data: data.assign(time=np.ceil(data["time"] / 6)),
    ],
    ids=["nobody", "one", "two", "no event", "one group", "all tied", "duplicated times"],
)
def test_degenerate_data_give_rows_with_a_reason_or_a_number(rules, change):
    rows = estimate_adjusted(change(separated()), MAIN, rules, generator())
    contracts.check("estimates", rows)
    assert rows["METHOD"].nunique() == 7
    assert (rows["ESTIMATE"].notna() | rows["LABEL"].str.contains("not estimable")).all()


def test_the_caution_is_computed_from_the_events(lung, rules):
    data = lung.iloc[:44].assign(event=np.arange(44) < 8)
    text = caution(data, MAIN, rules)
    share = data["exposed"].mean()
    drift = np.sqrt(8 * share * (1 - share))
    assert text.startswith("PFS: 8 events in 44 patients (")
    assert f"80 % power is reached at a hazard ratio of {np.exp((1.959964 + 0.841621) / drift):.1f}" in text
    assert "Firth is the main estimator" in text
    assert "Firth" not in caution(lung, MAIN, rules)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"event": False}, "no event"), ({"exposed": True}, "one group is empty")],
)
def test_the_caution_says_where_nothing_can_be_estimated(lung, rules, change, reason):
    assert f"No hazard ratio can be estimated: {reason}" in caution(lung.assign(**change), MAIN, rules)
    assert "No hazard ratio" in caution(lung.iloc[:0], MAIN, rules)
