"""Frames of the oncoprint: what is altered, what could not be seen, and what stands beside."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.biomarkers.overview import tabulate_alterations, tabulate_tracks, tabulate_trajectories

sys.path.insert(0, str(Path(__file__).parent))  # the tables beside this file
from biomarker_frames import COLUMNS, make_adpet, make_outcomes, make_plasma


def make_tumour(rows):
    table = pd.DataFrame(rows, columns=["USUBJID", "PARAMCD", "PARTYPE", "AVALC", "AVAL"])
    table["SAMPLEID"] = table["USUBJID"] + "-M"
    place = {"STUDYID": "S", "SAMPTYPE": "METASTASIS", "AVISIT": "D0"}
    return table.assign(**place).reindex(columns=COLUMNS["adbm"])


@pytest.fixture
def outcomes():
    endpoints = {"PFS_TIME": 60.875, "PFS_EVENT": 1.0, "OS_TIME": 121.75, "OS_EVENT": 0.0}
    return make_outcomes({"A": 1, "B": 0, "C": np.nan}, **endpoints)


def test_a_gene_off_the_panel_is_marked_and_not_counted():
    alterations = tabulate_alterations(
        make_tumour(
            [
                ("A", "TP53", "MUT", "MUTATED", 0.2), ("B", "TP53", "MUT", "NOT ASSESSABLE", None),
                ("A", "MYC", "CNA", "AMPLIFIED", 2), ("B", "MYC", "CNA", "NOT ASSESSABLE", None),
                ("A", "PTEN", "MUT", "NOT ASSESSABLE", None), ("A", "PTEN", "CNA", "DELETED", -2),
                ("B", "PTEN", "MUT", "NOT ASSESSABLE", None), ("B", "PTEN", "CNA", "NEUTRAL", 0),
                ("C", "PTEN", "MUT", "MUTATED", 0.3), ("A", "ATM", "MUT", "NOT ASSESSABLE", None),
            ]
        )
    )  # fmt: skip
    cells = set(alterations.itertuples(index=False, name=None))
    assert cells == {
        ("A", "TP53", "MUTATED"), ("A", "MYC", "AMPLIFIED"), ("A", "PTEN", "DELETED"), ("C", "PTEN", "MUTATED"),
        ("B", "TP53", "NOT ASSESSABLE"), ("B", "MYC", "NOT ASSESSABLE"), ("B", "PTEN", "NOT ASSESSABLE"),
    }  # fmt: skip
    assert alterations["GENE"].cat.categories.tolist() == ["PTEN", "MYC", "TP53"]


def test_tracks_hold_what_the_study_has(outcomes):
    plasma = make_plasma(
        [
            ("A", "D0", "DETECTED", 0.1, None),
            ("A", "D14", "NOT DETECTED", None, None),
            ("B", "D0", "NOT ASSESSABLE", None, None),
        ]
    )
    score = make_tumour([("A", "GLYCOLYSIS", "SIGN", None, 1.5), ("A", "TP53", "MUT", "WT", 0)])
    adsl = pd.DataFrame(
        {"USUBJID": ["A", "B"], "VISCFL": ["Y", None], "AGE": [50.0, 60.0], "BONEONLY": [None, None]}
    )
    adpet = make_adpet(
        [
            ("A", "D0", "L1", "SUVMAX", 5.0),
            ("A", "D0", "L2", "SUVMAX", 4.0),
            ("B", "D0", "TOTAL", "TTLG41", 0.0),
        ]
    )
    tracks = tabulate_tracks(
        pd.concat([plasma, score]), outcomes, days_per_month=30.4375, adsl=adsl, adpet=adpet
    )
    assert tracks.index.tolist() == ["A", "B", "C"]
    expected = {
        "SEQUENCED": True,
        "MRESP": "NON-RESPONDER",
        "CTDNA_D14": "NOT DETECTED",
        "CLEARANCE": "+-",
        "VISCFL": "Y",
    }
    expected |= {"NLESION": 2.0, "SIGN_GLYCOLYSIS": 1.5, "PFS_MONTHS": 2.0, "OS_MONTHS": 4.0, "OS_EVENT": 0.0}
    assert tracks.loc["A", list(expected)].to_dict() == expected
    # No lesion on a scan is 0; no scan, and a failed sample, are unknown.
    assert tracks["NLESION"].iloc[1] == 0 and np.isnan(tracks["NLESION"].iloc[2])
    assert tracks["CLEARANCE"].isna().tolist() == [False, True, True]
    assert tracks.loc["C", "MRESP"] == "NE" and not {"AGE", "BONEONLY", "CTDNA_D28"} & set(tracks)


def test_the_arguments_of_the_notebooks_still_do(outcomes):
    tracks = tabulate_tracks(make_tumour([]), outcomes, days_per_month=30.4375)
    assert not tracks["SEQUENCED"].any() and "CLEARANCE" not in tracks
    assert tabulate_alterations(make_tumour([])).empty


def test_a_draw_without_a_date_stands_at_its_study_day(outcomes):
    plasma = make_plasma([("A", "D0", "DETECTED", 0.1, None), ("B", "D0", "DETECTED", 0.1, None)])
    plasma["ADT"] = [pd.Timestamp("2019-12-31"), pd.NaT]
    plasma["ADY"] = [np.nan, 15.0]
    draws, ended = tabulate_trajectories(plasma, outcomes, pd.Series({"A": pd.Timestamp("2020-01-01")}))
    assert draws.set_index("USUBJID")["DAY"].to_dict() == {"A": -1.0, "B": 15.0}
    # Without dates 60.875 are days elapsed since first dose, which is day 1; between dates day 1 is counted.
    assert ended.to_dict() == {"A": 61.875, "B": 61.875, "C": 61.875}
    dates = {"PFS_STARTDT": pd.Timestamp("2020-01-01"), "PFS_ADT": pd.Timestamp("2020-02-29")}
    dated = outcomes.assign(**dates, PFS_TIME=60.0)
    dated.loc["B", "PFS_ADT"] = pd.NaT
    ended = tabulate_trajectories(plasma, dated, pd.Series(dtype="datetime64[ns]"))[1]
    assert ended.to_dict() == {"A": 60.0, "B": 61.0, "C": 60.0}
