"""Clearance: classes, paired change and what came after, of patients that can be counted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.biomarkers.clearance import estimate_clearance, exact_p, tabulate_clearance_curves
from analysis.contracts import check

sys.path.insert(0, str(Path(__file__).parent))  # the tables beside this file
from biomarker_frames import make_outcomes, make_plasma

WORDS = {"+": "DETECTED", "-": "NOT DETECTED", "?": "NOT ASSESSABLE"}
# Results at D0 and D14, response. ++ 5 (4 non-responders), +- 5 (1), -+ 1 (1), -- 2 (0), not assessable 2.
PATIENTS = [("++", 1)] * 4 + [("++", 0), ("+-", 1)] + [("+-", 0)] * 4
PATIENTS += [("-+", 1), ("--", 0), ("--", 0), ("?-", 0), ("+?", 1)]
NAMES = [f"P{place:02d}" for place in range(len(PATIENTS))]


@pytest.fixture
def adbm():
    rows = [
        (name, visit, WORDS[sign], 0.01, None)
        for name, (signs, _) in zip(NAMES, PATIENTS, strict=True)
        for visit, sign in zip(("D0", "D14"), signs, strict=True)
    ]
    table = make_plasma(rows)
    days = table["AVISIT"].map({"D0": 1, "D14": 14})
    return table.assign(ADY=days, ADT=pd.Timestamp("2020-01-01") + pd.to_timedelta(days - 1, unit="D"))


@pytest.fixture
def outcomes():
    table = make_outcomes(dict(zip(NAMES, [response for _, response in PATIENTS], strict=True)))
    days = np.arange(len(NAMES)) * 10.0 + 24
    dates = pd.Timestamp("2020-01-01") + pd.to_timedelta(days - 1, unit="D")
    return table.assign(PFS_TIME=days, PFS_EVENT=1.0, PFS_ADT=dates)


@pytest.fixture
def result(adbm, outcomes):
    return estimate_clearance(adbm, outcomes, rng=np.random.default_rng(1))


def test_not_assessable_is_not_negative(result):
    table = result.table.set_index("CLEARANCE")["N"].to_dict()
    assert table == {"--": 2, "-+": 1, "+-": 5, "++": 5, "not assessable": 2}
    assert "nobody with assessable draws at D0 and D28" in result.reason


def test_the_paired_change_is_mcnemars(result):
    check("estimates_biomarkers", result.estimates)
    rows = result.estimates[result.estimates["MARKER"] == "CHANGE_D0_D14"].set_index("OUTCOME")
    overall = rows.loc["ALL"]
    # One turned positive, five negative: p = 2 (1 + 6) / 2^6; limits b / (1 - b) of R's binom.test(1, 6).
    assert overall[["N", "N_POS", "ESTIMATE", "P"]].tolist() == [13, 6, 0.2, 14 / 64]
    limits = overall[["LOWER", "UPPER"]].to_numpy(float)
    assert limits == pytest.approx([0.00422854985761, 1.78733663129011], rel=1e-9)
    responders = rows.loc["RESPONDER"]
    assert responders[["N", "ESTIMATE", "P"]].tolist() == [7, 0.0, 0.125]
    assert rows.loc["NON-RESPONDER", "P"] == 1.0


def test_a_p_without_a_q_is_said_to_be_unadjusted(result):
    rows = result.estimates
    said = rows["NOTE"].str.contains("not adjusted for multiplicity")
    assert rows.loc[said, "P"].notna().all() and rows.loc[said, "Q_BH"].isna().all()
    assert said.sum() == (rows["P"].notna() & rows["Q_BH"].isna()).sum() > 0


def test_kept_against_cleared_only_among_those_detected_at_baseline(result):
    rows = result.estimates[result.estimates["MARKER"] == "CLEARANCE_D0_D14"].set_index(["OUTCOME", "METHOD"])
    fisher = rows.loc[("NONRESPONSE", "fisher")]
    assert (fisher["N"], fisher["N_POS"], fisher["AVISIT"]) == (10, 5, "D14")
    # R: fisher.test(matrix(c(4, 1, 1, 4), 2)): p 0.2063492; conditional odds ratio 10.9072
    assert fisher[["ESTIMATE", "P"]].to_numpy(float) == pytest.approx([10.9072, 0.2063492], rel=1e-4)
    cox = rows.loc[("PFS", "cox_firth")]
    assert "date of the D14 draw" in cox["NOTE"]
    # Those who kept it had the shorter times: a ratio above 1 goes with resistance.
    assert cox["ESTIMATE"] > 1


@pytest.mark.parametrize(
    ("cells", "p"),
    [
        # R: fisher.test(matrix(c(1, 2, 3, 9, 10, 3, 6, 2), 4)) and of c(0, 1, 2, 5, 4, 4, 1, 1)
        ([[1, 10], [2, 3], [3, 6], [9, 2]], 0.00427390076309),
        ([[0, 4], [1, 4], [2, 1], [5, 1]], 0.0347365053247),
    ],
)
def test_the_exact_p_of_four_classes_equals_that_of_r(cells, p):
    assert exact_p(np.array(cells)) == pytest.approx(p, rel=1e-9)


def test_the_four_classes_against_response(result):
    row = result.estimates[result.estimates["MARKER"] == "CLASSES_D0_D14"].iloc[0]
    # R: fisher.test(matrix(c(0, 1, 1, 4, 2, 0, 4, 1), 4))$p.value
    assert row["P"] == pytest.approx(0.0675990675991, rel=1e-9)
    assert "-- 0 of 2, -+ 1 of 1, +- 1 of 5, ++ 4 of 5" in row["NOTE"]


def test_curves_by_class_start_at_the_later_draw(adbm, outcomes):
    survival = plan.defaults().survival
    curves = tabulate_clearance_curves(
        adbm, outcomes, visit="D14", plan_survival=survival, days_per_month=1.0
    )
    check("curves_biomarkers", curves)
    assert sorted(curves["GROUP"].unique()) == ["++", "+-", "-+", "--"]
    # P00 to P04 progressed on days 24 to 64, 10 to 50 days from the draw on day 14.
    assert curves.loc[curves["GROUP"] == "++", "TIME"].tolist() == [10, 20, 30, 40, 50]


def test_one_visit_alone_is_a_reason(adbm, outcomes):
    result = estimate_clearance(adbm[adbm["AVISIT"] == "D0"], outcomes, rng=np.random.default_rng(1))
    assert result.estimates.empty
    assert "nobody with assessable draws" in result.reason
