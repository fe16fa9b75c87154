"""The markers of INSPIRE through the functions of notebook 05, held against R on the same table.

R 4.2:

    a <- read.csv("patients.csv", na.strings = c("", "NA"))
    x <- a[!is.na(a$change_ctdna_group), ]
    fisher.test(table(x$change_ctdna_group == "Increase from baseline", x$orr == "SD/PD"))
    l <- log2(a$baseline_ctdna + 1); wilcox.test(l ~ a$orr, exact = FALSE)$p.value
    r <- rank(l); i <- a$orr == "SD/PD"; (sum(r[i]) - sum(i) * (sum(i) + 1) / 2) / (sum(i) * sum(!i))
"""

from pathlib import Path

import numpy as np
import pytest

from analysis import biomarkers
from analysis import plan as plans
from analysis.clinical import read_mapped_table

pytestmark = pytest.mark.real
ROOT = Path(__file__).resolve().parents[2]
OUTCOME = "NO_OBJECTIVE_RESPONSE"


@pytest.fixture(scope="module")
def read(shared_data):
    """Return the rules, adbm and the outcomes without a response of their own."""
    plan = plans.load("inspire", ROOT / "config" / "inspire.yaml")
    ready = read_mapped_table(shared_data / "inspire", plan)
    table = biomarkers.read_subject_table(shared_data / "inspire", ready.adsl, rules=plan.biomarkers)
    adbm = biomarkers.derive_adbm(None, None, ready.adsl, ready=table.adbm, rules=plan.biomarkers).adbm
    outcomes = table.outcomes.assign(NONRESPONSE=np.nan)
    outcomes.attrs["binary"] = [OUTCOME]
    return plan.biomarkers, adbm, outcomes


def test_a_rise_of_ctdna_and_no_objective_response(read):
    rules, adbm, outcomes = read
    given = dict(landmark_days=60.0, rng=np.random.default_rng(1), rules=rules)
    rows = biomarkers.estimate_ready_changes(adbm, outcomes, **given).estimates
    row = rows[rows["OUTCOME"].eq(OUTCOME) & rows["METHOD"].eq("fisher")].iloc[0]
    assert row[["N", "N_POS", "EVENTS"]].tolist() == [73, 40, 58]
    assert row["ESTIMATE"] == pytest.approx(27.51523724, rel=1e-4)  # R's root search is no closer
    assert row["P"] == pytest.approx(2.323456581e-05, rel=1e-8)


def test_the_level_before_treatment_and_no_objective_response(read):
    rules, adbm, outcomes = read
    rows = biomarkers.estimate_ready_levels(
        adbm, outcomes, rng=np.random.default_rng(1), rules=rules
    ).estimates
    mine = rows["MARKER"].eq("CTDNALVL") & rows["OUTCOME"].eq(OUTCOME) & rows["METHOD"].eq("mann_whitney")
    row = rows[mine].iloc[0]
    assert row["N"] == 94 and row["ESTIMATE"] == pytest.approx(0.6434294872, rel=1e-9)
    assert row["P"] == pytest.approx(0.07252309503, rel=1e-6)
