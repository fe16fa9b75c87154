"""Markers that come as columns of one table."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.ready_markers import estimate_ready_changes

sys.path.insert(0, str(Path(__file__).parent))  # the tables beside this file
from biomarker_frames import make_outcomes, make_plasma


def test_a_change_is_a_family_of_one_and_its_row_says_so():
    names = [f"P{place:02}" for place in range(20)]
    fell = make_plasma([(name, "D28", None, float(place % 2), None) for place, name in enumerate(names)])
    adbm = fell.assign(PARAMCD="FALL", AVALC=None)
    outcomes = make_outcomes({name: float(place < 8) for place, name in enumerate(names)})
    outcomes.attrs["binary"] = []
    rules = plan.defaults().override({"biomarkers.permutations": 199}).biomarkers
    given = {"landmark_days": 60.0, "rng": np.random.default_rng(1), "rules": rules}
    rows = estimate_ready_changes(adbm, outcomes, **given).estimates
    tested = rows[rows["Q_BH"].notna()]
    assert len(tested) and (tested["Q_BH"] == tested["P"]).all()
    assert rows["NOTE"].str.contains("a family of one marker: q is p").all()
    assert pd.notna(rows["P"]).any()
