"""The sarcoma cohort through the package, held against R on the same table (benchmarks/survival/r_sarcoma.R)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import plan as plans
from analysis.clinical import read_mapped_table
from analysis.pet.study import measure_study
from analysis.survival.association.baseline import baseline_set, estimate_baseline_effect
from analysis.survival.concordance import concordance
from analysis.survival.cox import cox

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore::RuntimeWarning")]
ROOT = Path(__file__).resolve().parents[2]
KEY = ["analysis", "term", "quantity"]


def quiet(*progress):
    """Say nothing."""


@pytest.fixture(scope="module")
def found(shared_data):
    """Return the numbers of the estimates table, as notebook 04 writes it, by analysis, term and quantity."""
    plan = plans.load("sarcoma", ROOT / "config" / "sarcoma.yaml")
    raw = shared_data / "sarcoma"
    ready = read_mapped_table(raw, plan)
    adpet = measure_study(raw, ready.adsl, plan, with_mips=False, report=quiet).adpet
    rng = np.random.default_rng(plan.survival.seed)
    estimates, _ = estimate_baseline_effect(adpet, ready.adtte, plan, rng)
    numbers = {}
    for row in estimates.itertuples():
        numbers |= {(f"{row.ENDPOINT} {row.METRIC}", *key): value for key, value in of_row(row).items()}
        if row.RULE == "per_doubling":
            numbers |= {(row.ENDPOINT, "all", "n"): row.N, (row.ENDPOINT, "all", "events"): row.EVENTS}
    for end in plan.primary.endpoints:
        for metric in plan.primary.baseline_metrics:
            data, _ = baseline_set(adpet, ready.adtte, plan, metric=metric, endpoint=end)
            # With few events the table has Firth alone for the split; R's coxph is maximum likelihood.
            fit = cox(data["time"], data["event"], data["exposed"].astype(float)).iloc[0]
            split = dict(hr=fit["estimate"], profile_lower=fit["lower"], profile_upper=fit["upper"])
            for name, value in {**split, "p_likelihood_ratio": fit["p"]}.items():
                numbers.setdefault((f"{end} {metric}", "median_split", name), value)
            c = concordance(data["time"], data["event"], data["value"]).iloc[0]
            place = f"{end} {metric}"
            numbers |= {
                (place, "value", "concordance"): c["estimate"],
                (place, "HIGH", "n"): data["exposed"].sum(),
            }
            numbers[place, "value", "concordance_se"] = c["se"]
    return numbers


def of_row(row):
    """Return what a row of the estimates table says; only Efron maximum likelihood is R's coxph."""
    if row.METHOD == "cox" and (row.ESTIMATOR, row.TIES) == ("ML", "efron"):
        return {(row.RULE, "hr"): row.ESTIMATE, (row.RULE, "profile_lower"): row.LOWER,
                (row.RULE, "profile_upper"): row.UPPER, (row.RULE, "p_likelihood_ratio"): row.P}  # fmt: skip
    if row.METHOD == "km_median":
        return {(row.CONTRAST, "median"): row.ESTIMATE, (row.CONTRAST, "median_lower"): row.LOWER,
                (row.CONTRAST, "median_upper"): row.UPPER}  # fmt: skip
    if row.METHOD.startswith("km_survival_"):
        return {(row.CONTRAST, row.METHOD.removeprefix("km_")): row.ESTIMATE}
    names = {"logrank": "logrank_chi2", "rmst_difference": "rmst_difference"}
    return {(row.RULE, names[row.METHOD]): row.ESTIMATE} if row.METHOD in names else {}


def test_every_number_is_that_of_r(found):
    reference = pd.read_csv(ROOT / "tests" / "reference" / "r_sarcoma.csv")
    compared, wrong = 0, []
    for row in reference[~reference["quantity"].str.startswith("wald")].itertuples():
        key = tuple(getattr(row, name) for name in KEY)
        mine = float(found[key])
        same = (pd.isna(mine) and pd.isna(row.value)) or mine == pytest.approx(
            row.value, rel=row.tolerance, abs=row.tolerance
        )
        wrong += [] if same else [(*key, mine, row.value)]
        compared += 1
    assert not wrong, wrong
    assert compared > 150
