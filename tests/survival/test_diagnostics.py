"""Proportional hazards, residuals and influence against R (tests/reference/r_models.csv)."""

from dataclasses import replace
from pathlib import Path

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.survival.association.diagnostics import estimate_diagnostics, tabulate_diagnostics
from analysis.survival.association.estimates import Analysis

R = pd.read_csv(Path(__file__).parents[1] / "reference" / "r_models.csv", dtype={"term": str})
MAIN = Analysis("PFS", "all_scans", "scan", "D14", "SUVMAX", "any_resistant", 25.0)


@pytest.fixture(scope="module")
def rules(plan):
    return plan.override({"survival.adjust": ["AGE", "ECOG"]})


@pytest.fixture(scope="module")
def lung():
    raw = lifelines.datasets.load_lung()
    exposed = raw["sex"].eq(1)
    data = raw.rename(columns={"age": "AGE", "ph.ecog": "ECOG"})
    return data.assign(
        STUDYID="X",
        USUBJID=[f"S{k:03d}" for k in range(len(raw))],
        event=raw["status"].eq(1),
        exposed=exposed,
        group=np.where(exposed, "NON-RESPONDER", "RESPONDER"),
    )


@pytest.fixture(scope="module")
def rows(lung, rules):
    return estimate_diagnostics(lung, MAIN, rules)


@pytest.fixture(scope="module")
def table(lung, rules):
    return tabulate_diagnostics(lung, MAIN, rules)


def reference(analysis, term):
    return R[R["analysis"].eq(analysis) & R["term"].eq(term)].set_index("quantity")["value"]


@pytest.mark.parametrize(
    ("analysis", "place", "term"),
    [
        ("ph_single", 0, "exposed"),
        ("ph_adjusted", 1, "exposed"),
        ("ph_adjusted", 2, "AGE"),
        ("ph_adjusted", 3, "ECOG"),
        ("ph_adjusted", 4, "GLOBAL"),
    ],
)
def test_the_test_of_proportional_hazards_is_the_one_of_r(rows, analysis, place, term):
    row, expected = rows.iloc[place], reference(analysis, term)
    assert row["METHOD"] == "ph_test"
    assert (row["ESTIMATE"], row["P"]) == pytest.approx((expected["chi2"], expected["p"]), abs=1e-6)


def test_terms_and_models_are_named(rows):
    assert rows["CONTRAST"].tolist() == [
        *("NON-RESPONDER", "NON-RESPONDER", "age, per year", "ECOG performance status, per grade", "GLOBAL"),
        "NON-RESPONDER",
    ]
    assert "exposure alone; 1 df" in rows["LABEL"].iloc[0]
    assert "adjusted model; 1 without a covariate left out; 3 df" in rows["LABEL"].iloc[4]
    assert set(rows["ROLE"]) == {"DESCRIPTIVE"}
    contracts.check("estimates", rows)


def test_influence_is_the_range_of_r_without_one_patient(rows):
    row, expected = rows.iloc[-1], reference("influence", "exposed")
    assert row["METHOD"] == "cox_influence"
    found = row[["ESTIMATE", "LOWER", "UPPER"]].to_numpy(dtype=float)
    assert found == pytest.approx(expected[["estimate", "lower", "upper"]].to_numpy(), abs=1e-6)


def test_residuals_of_each_patient_are_those_of_r(table, lung):
    contracts.check("diagnostics", table)
    for position in (1, 50, 228):
        expected = reference("residuals", str(position))
        found = table.loc[position - 1, expected.index].to_numpy(dtype=float)
        assert found == pytest.approx(expected.to_numpy(), abs=1e-6)
    sums, known = reference("residuals", "all"), table["SCHOENFELD"].dropna()
    assert known.sum() == pytest.approx(sums["sum_SCHOENFELD"], abs=1e-6)
    assert (known**2).sum() == pytest.approx(sums["sum2_SCHOENFELD"], abs=1e-5)
    assert table["SCHOENFELD"].notna().equals(lung["event"])
    assert table["MARTINGALE"].sum() == pytest.approx(0, abs=1e-9)


def test_the_rows_of_the_table_stand_in_the_order_of_the_patients(lung, rules, table):
    part = lung.iloc[:40]
    turned = tabulate_diagnostics(part.iloc[::-1], MAIN, rules).sort_values("USUBJID", ignore_index=True)
    pd.testing.assert_frame_equal(turned, tabulate_diagnostics(part, MAIN, rules))
    assert table["USUBJID"].equals(lung["USUBJID"])


def test_few_events_leave_patients_out_by_firth(lung, rules):
    few = lung.assign(event=lung["event"] & (np.arange(len(lung)) % 15 == 0))
    row = estimate_diagnostics(few.iloc[:80], MAIN, rules).iloc[-1]
    assert (row["ESTIMATOR"], row["TIES"]) == ("FIRTH", "breslow")
    assert row["LOWER"] < row["ESTIMATE"] < row["UPPER"]


def test_os_is_left_out_by_firth_whatever_its_events(lung, rules):
    part, os = lung.iloc[:40], replace(MAIN, endpoint="OS")
    row = estimate_diagnostics(part, os, rules).iloc[-1]
    assert (row["ESTIMATOR"], row["TIES"]) == ("FIRTH", "breslow")
    assert estimate_diagnostics(part, MAIN, rules)["ESTIMATOR"].iloc[-1] == "ML"
    without = [tabulate_diagnostics(part, analysis, rules)["HR_WITHOUT"] for analysis in (os, MAIN)]
    assert (row["LOWER"], row["UPPER"]) == pytest.approx((without[0].min(), without[0].max()))
    assert not np.allclose(*without)


def test_a_patient_without_whom_there_is_no_estimate_is_counted(lung, rules):
    # One patient unexposed: without her one group is empty.
    data = lung.iloc[:12].assign(exposed=np.arange(12) != 3)
    row = estimate_diagnostics(data, MAIN, rules).iloc[-1]
    assert "without any one of 1 patients it is not estimable" in row["LABEL"]
    assert np.isnan(tabulate_diagnostics(data, MAIN, rules).loc[3, "HR_WITHOUT"])


def test_covariates_the_study_does_not_know_leave_the_test_of_the_exposure(lung, rules):
    rows = estimate_diagnostics(lung.iloc[:60].assign(ECOG=np.nan), MAIN, rules)
    assert np.isfinite(rows["ESTIMATE"].iloc[0])
    assert rows["CONTRAST"].iloc[1] == "GLOBAL"
    assert rows["LABEL"].iloc[1].endswith("not estimable: ECOG is not known in this study")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.iloc[:0],
        lambda data: data.iloc[:2],
        lambda data: data.assign(event=False),
        lambda data: data.assign(exposed=True),
        lambda data: data.assign(time=5.0),
        lambda data: data.assign(time=np.where(data["exposed"], 1.0, 2.0), event=True),
    ],
    ids=["nobody", "two", "no event", "one group", "all tied", "separation"],
)
def test_degenerate_data_give_a_reason_or_a_number_and_keep_the_contract(lung, rules, change):
    data = change(lung.iloc[:30])
    rows, table = estimate_diagnostics(data, MAIN, rules), tabulate_diagnostics(data, MAIN, rules)
    contracts.check("estimates", rows)
    assert (rows["ESTIMATE"].notna() | rows["LABEL"].str.contains("not estimable")).all()
    assert len(table) == len(data)
    if len(table):
        contracts.check("diagnostics", table)
