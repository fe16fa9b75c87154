"""ctDNA at a visit: shares, landmarks and curves of few patients whose answers can be counted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.biomarkers.ctdna import estimate_ctdna, start_at_draw, tabulate_ctdna_curves
from analysis.biomarkers.plasma import select_visit
from analysis.contracts import check

sys.path.insert(0, str(Path(__file__).parent))  # the tables beside this file
from biomarker_frames import make_outcomes, make_plasma

DET, ND, NA = "DETECTED", "NOT DETECTED", "NOT ASSESSABLE"
DOSE = pd.Timestamp("2020-01-01")
NAMES = [f"P{place}" for place in range(1, 11)]
# Detected at D14: 5 of 9; of the 5 non-responders 4, of the 4 responders 1. P10 failed.
RESULTS = [DET, DET, DET, DET, ND, DET, ND, ND, ND, NA]
NONRESPONSE = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
PFS_DAYS = [10, 60, 80, 100, 120, 140, 160, 180, 200, 220]


@pytest.fixture
def adbm():
    rows = [(name, "D14", result, 0.01, None) for name, result in zip(NAMES, RESULTS, strict=True)]
    return make_plasma(rows).assign(ADT=DOSE + pd.Timedelta(days=13), ADY=14)


@pytest.fixture
def outcomes():
    table = make_outcomes(dict(zip(NAMES, NONRESPONSE, strict=True)))
    days = np.array(PFS_DAYS, float)
    ends = DOSE + pd.to_timedelta(days - 1, unit="D")
    return table.assign(PFS_TIME=days, PFS_EVENT=1.0, PFS_STARTDT=DOSE, PFS_ADT=ends)


def rows_of(result, **where):
    table = result.estimates
    for column, value in where.items():
        table = table[table[column] == value]
    return table.iloc[0]


def test_shares_by_response_count_only_who_was_assessable(adbm, outcomes):
    result = estimate_ctdna(adbm, outcomes, rng=np.random.default_rng(1))
    check("estimates_biomarkers", result.estimates)
    shares = result.estimates[result.estimates["METHOD"] == "clopper_pearson"].set_index("OUTCOME")
    assert shares[["N_POS", "N"]].to_numpy().tolist() == [[5, 9], [4, 5], [1, 4]]
    # R: binom.test(5, 9): 0.2120085 0.8630043
    limits = shares.loc["ALL", ["LOWER", "UPPER"]].to_numpy(float)
    assert limits == pytest.approx([0.2120085, 0.8630043], abs=1e-6)
    assert set(result.estimates["AVISIT"]) == {"D14"}
    assert "no assessable draw at D0" in result.reason


def test_the_clock_starts_at_the_draw_and_who_progressed_before_is_in_the_ledger(adbm, outcomes):
    result = estimate_ctdna(adbm, outcomes, rng=np.random.default_rng(1))
    check("exclusions_05", result.table)
    assert result.table[["USUBJID", "CODE"]].to_numpy().tolist() == [["P1", "BEFORE_LANDMARK"]]
    row = rows_of(result, OUTCOME="PFS")
    assert (row["N"], row["N_POS"]) == (8, 4)
    assert "date of the D14 draw" in row["NOTE"]
    # Draw on day 14: 60 - 14 = 46 days from the draw.
    clock = start_at_draw(outcomes, select_visit(adbm, "D14"), "D14")
    assert clock.outcomes.loc["P2", "PFS_TIME"] == 46
    # Response is not a matter of time: all nine are in.
    assert rows_of(result, OUTCOME="NONRESPONSE", METHOD="fisher")["N"] == 9
    # 4 of 5 against 1 of 4. Two-sided p 26 / 126; the conditional likelihood of 1 to 5 such patients, weights
    # 5 40 60 20 1, is highest where ratio^4 = 60 ratio^2 + 80 ratio + 15 (R's fisher.test: 8.355, 0.2063492).
    ratio = max(np.roots([1, 0, -60, -80, -15]).real)
    fisher = rows_of(result, OUTCOME="NONRESPONSE", METHOD="fisher")
    assert fisher[["ESTIMATE", "P"]].to_numpy(float) == pytest.approx([ratio, 26 / 126], rel=1e-6)


def test_a_study_without_dates_has_a_fixed_landmark_or_no_endpoint(adbm, outcomes):
    undated, lost = adbm.assign(ADT=pd.NaT), outcomes.assign(PFS_ADT=pd.NaT, PFS_STARTDT=pd.NaT)
    fixed = estimate_ctdna(undated, lost, rng=np.random.default_rng(1), landmark_days=60)
    row = rows_of(fixed, OUTCOME="PFS")
    assert (row["N"], row["EVENTS"]) == (7, 7)
    assert "60 days after" in row["NOTE"]
    assert sorted(fixed.table["USUBJID"]) == ["P1", "P2"]
    without = estimate_ctdna(undated, lost, rng=np.random.default_rng(1))
    assert rows_of(without, OUTCOME="PFS")["TESTED"] == "N"
    assert "could be counted from the draw" in without.reason


def test_a_draw_without_a_date_is_left_out_of_the_landmark_alone(adbm, outcomes):
    adbm.loc[adbm["USUBJID"] == "P2", "ADT"] = pd.NaT
    result = estimate_ctdna(adbm, outcomes, rng=np.random.default_rng(1))
    codes = result.table.set_index("USUBJID")["CODE"].to_dict()
    assert codes == {"P1": "BEFORE_LANDMARK", "P2": "NO_LANDMARK"}
    assert rows_of(result, OUTCOME="PFS")["N"] == 7
    assert rows_of(result, OUTCOME="NONRESPONSE")["N"] == 9


def test_curves_start_at_the_draw(adbm, outcomes):
    survival = plan.defaults().survival
    curves = tabulate_ctdna_curves(adbm, outcomes, visit="D14", plan_survival=survival, days_per_month=30.0)
    check("curves_biomarkers", curves)
    detected = curves[curves["GROUP"] == DET]
    # P2, P3, P4, P6: 46, 66, 86 and 126 days from the draw, all events.
    assert detected["TIME"].to_numpy() * 30 == pytest.approx([46, 66, 86, 126])
    assert detected["SURVIVAL"].to_numpy() == pytest.approx([0.75, 0.5, 0.25, 0.0])
    assert set(curves["CURVE"]) == {"CTDNA_D14"}


def test_no_plasma_at_all_is_a_reason_and_no_error(adbm, outcomes):
    result = estimate_ctdna(adbm.iloc[:0], outcomes, rng=np.random.default_rng(1))
    assert result.estimates.empty
    assert "no assessable draw" in result.reason
