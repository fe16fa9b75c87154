"""The biomarker figures show what their frames hold, refuse empty ones and leave their input alone."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.figures import biomarkers as figures


@pytest.fixture
def tracks():
    return pd.DataFrame(
        {
            "SEQUENCED": [True, True, False, True],
            "MRESP": ["RESPONDER", "NON-RESPONDER", "NON-RESPONDER", "NE"],
            "PCTCHANGE": [-60.0, 5.0, -10.0, np.nan],
            "CTDNA_D14": ["NOT DETECTED", "DETECTED", "NOT ASSESSABLE", None],
            "PFS_MONTHS": [9.0, 2.0, 4.0, 1.0],
            "PFS_EVENT": [0.0, 1.0, 1.0, 1.0],
        },
        index=pd.Index(["A", "B", "C", "D"], name="USUBJID"),
    )


@pytest.fixture
def alterations():
    return pd.DataFrame(
        {
            "USUBJID": ["B", "B", "D", "A"],
            "GENE": ["TP53", "PTEN", "TP53", "PTEN"],
            "KIND": ["MUTATED"] * 3 + ["DELETED"],
        }
    )


@pytest.fixture
def estimates():
    return pd.DataFrame(
        {
            "MARKER": ["TP53", "ESR1", "KMT2C", "NF1"],
            "OUTCOME": "NONRESPONSE",
            "ESTIMATE": [np.inf, 0.5, 2.0, np.nan],
            "P": [0.001, 0.4, 0.3, np.nan],
            "Q_BH": [0.002, 0.4, 0.3, np.nan],
            "TIER": ["CANDIDATE", "CANDIDATE", "SCREEN", "SCREEN"],
            "TESTED": ["Y", "Y", "Y", "N"],
        }
    )


def texts(figure: Figure) -> str:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return " | ".join(found)


def test_percentages_of_the_oncoprint_are_of_the_sequenced_patients(alterations, tracks):
    figure = figures.plot_oncoprint(alterations, tracks)
    # three sequenced, each gene in two of them
    assert texts(figure).count("2 (67 %)") == 2
    assert "3 with a sequenced tumour sample" in figures.caption_oncoprint(alterations, tracks)


def test_non_responders_come_first_in_the_oncoprint(tracks):
    assert figures._ordered(tracks).index.tolist() == ["B", "C", "A", "D"]


def test_the_oncoprint_leaves_its_frames_as_they_were(alterations, tracks):
    before = alterations.copy(), tracks.copy()
    figures.plot_oncoprint(alterations, tracks)
    pd.testing.assert_frame_equal(alterations, before[0])
    pd.testing.assert_frame_equal(tracks, before[1])


def test_the_volcano_names_what_is_small_and_counts_what_is_listed_only(estimates):
    figure = figures.plot_volcano(estimates, outcome="NONRESPONSE", fdr_level=0.1)
    assert texts(figure) == "TP53, q 0.002"
    caption = figures.caption_volcano(estimates, outcome="NONRESPONSE", fdr_level=0.1)
    assert "3 tested markers; 1 more were too rare" in caption and "q ≤ 0.1: TP53." in caption
    assert "smallest p 0.001 for TP53" in figures.alt_volcano(estimates, outcome="NONRESPONSE")


def test_the_mosaic_prints_the_counts_it_is_given():
    table = pd.DataFrame(
        {
            "MRESP": ["RESPONDER", "RESPONDER", "NON-RESPONDER", "NON-RESPONDER"],
            "CTDNA": ["NOT DETECTED", "DETECTED"] * 2,
            "N": [10, 0, 11, 18],
            "PFS_EVENTS": [7, 0, 9, 17],
        }
    )
    shown = texts(figures.plot_pet_by_ctdna(table))
    assert (
        "10\n7 PFS events" in shown
        and "18\n17 PFS events" in shown
        and "0\n0 PFS" not in shown.replace("10\n", "")
    )
    with pytest.raises(ValueError, match="no patient has both a response and a ctDNA result"):
        figures.plot_pet_by_ctdna(table.assign(N=0))


def test_a_failed_assay_is_not_drawn_and_a_negative_one_stands_at_its_limit():
    draws = pd.DataFrame(
        {
            "USUBJID": ["A", "A", "A"],
            "DAY": [-1, 14, 28],
            "VAF": [0.1, np.nan, np.nan],
            "RESULT": ["DETECTED", "NOT ASSESSABLE", "NOT DETECTED"],
            "LOD": [0.002] * 3,
            "MRESP": "RESPONDER",
        }
    )
    axes = figures.plot_ctdna_trajectories(draws, progression=pd.Series({"A": 20.0})).axes[0]
    assert axes.lines[0].get_xdata().tolist() == [-1, 28]
    assert axes.lines[0].get_ydata().tolist() == [0.1, 0.002]
    with pytest.raises(ValueError, match="no plasma result"):
        figures.plot_ctdna_trajectories(draws.assign(RESULT="NOT ASSESSABLE"))


def test_a_figure_without_anything_to_show_is_refused(alterations, tracks, estimates):
    with pytest.raises(ValueError, match="no patient has a sequenced tumour sample"):
        figures.plot_oncoprint(alterations, tracks.assign(SEQUENCED=False))
    with pytest.raises(ValueError, match="no marker was tested against OS"):
        figures.plot_volcano(estimates, outcome="OS", fdr_level=0.1)
