"""Volcano and forest of markers: the right rows, honest edges, names that do not hide anything."""

import numpy as np
import pandas as pd
import pytest

from analysis.figures import marker_forest, volcano


@pytest.fixture
def estimates():
    return pd.DataFrame(
        {
            "ANALYSIS": "gene",
            "MARKER": ["TP53", "ESR1", "KMT2C", "NF1"],
            "PARTYPE": "MUT",
            "AVISIT": None,
            "OUTCOME": "NONRESPONSE",
            "METHOD": "fisher",
            "STATISTIC": "odds_ratio",
            "ESTIMATE": [np.inf, 0.5, 2.0, np.nan],
            "LOWER": [2.8, 0.01, 0.5, np.nan],
            "UPPER": [np.inf, 3.0, 90.0, np.nan],
            "P": [0.001, 0.4, 0.3, np.nan],
            "Q_BH": [0.002, 0.4, 0.3, np.nan],
            "P_MAXT": [0.004, 0.6, 0.3, np.nan],
            "N": 40.0,
            "N_POS": [16.0, 8.0, 10.0, 1.0],
            "TIER": ["CANDIDATE", "CANDIDATE", "SCREEN", "SCREEN"],
            "TESTED": ["Y", "Y", "Y", "N"],
        }
    )


def many(n):
    rng = np.random.default_rng(7)
    p = np.sort(rng.uniform(0, 1, n))
    p[:12] = 10.0 ** -np.arange(17, 5, -1)
    return pd.DataFrame(
        {
            "MARKER": [f"G{number}" for number in range(n)],
            "PARTYPE": "EXPR",
            "AVISIT": None,
            "OUTCOME": "PCTCHANGE",
            "METHOD": "spearman",
            "STATISTIC": "rho",
            "ESTIMATE": rng.uniform(-0.6, 0.6, n),
            "LOWER": -0.7,
            "UPPER": 0.7,
            "P": p,
            "Q_BH": np.minimum(1, p * n / np.arange(1, n + 1)),
            "P_MAXT": np.minimum(1, p * n),
            "N": 45.0,
            "N_POS": np.nan,
            "TIER": np.where(np.arange(n) % 1000 == 500, "CANDIDATE", "SCREEN"),
            "TESTED": "Y",
        }
    )


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


def test_the_volcano_names_what_is_small_and_counts_what_is_listed_only(estimates, check_readable):
    asked = {"outcome": "NONRESPONSE", "fdr_level": 0.1, "fwer_level": 0.05}
    figure = volcano.plot_volcano(estimates, **asked)
    assert words(figure) == ["TP53, q 0.002"]
    check_readable(figure)
    caption = volcano.caption_volcano(estimates, **asked)
    assert "3 tested markers. 1 more were too rare" in caption
    assert "q ≤ 0.1: TP53." in caption and "maxT p ≤ 0.05: TP53." in caption
    assert "smallest p 0.001 for TP53" in volcano.alt_volcano(estimates, outcome="NONRESPONSE")


def test_an_infinite_ratio_stands_at_the_edge_of_the_volcano(estimates):
    axes = volcano.plot_volcano(estimates, outcome="NONRESPONSE", fdr_level=0.1).axes[0]
    x = np.concatenate([np.asarray(points.get_offsets())[:, 0] for points in axes.collections])
    # log2 of 0.5 and of 2 are -1 and 1; the edge lies beyond them and inside the axis
    assert np.isfinite(x).all() and x.max() == pytest.approx(1.2)
    assert axes.get_xlim()[1] > x.max()


def test_twenty_thousand_markers_give_few_names_that_do_not_overlap(check_readable):
    figure = volcano.plot_volcano(many(20_000), outcome="PCTCHANGE", fdr_level=0.1, width="page")
    check_readable(figure)
    names = [text for text in words(figure) if "q <0.001" in text]
    assert 1 <= len(names) <= 6
    caption = volcano.caption_volcano(many(20_000), outcome="PCTCHANGE", fdr_level=0.1)
    assert "20000 tested markers" in caption and "more." in caption


def test_the_forest_lists_the_candidates_first_and_an_interval_beyond_the_range_has_an_arrow(
    estimates, check_readable
):
    figure = marker_forest.plot_marker_forest(estimates, outcome="NONRESPONSE")
    check_readable(figure)
    said = words(figure)
    order = [said.index(name) for name in ("Candidate tier", "TP53", "ESR1", "Screen", "KMT2C")]
    by_height = sorted(
        (text.get_position()[1], text.get_text())
        for axes in figure.axes
        for text in axes.texts
        if text.get_text() in ("Candidate tier", "TP53", "ESR1", "Screen", "KMT2C")
    )
    assert order and [name for _, name in by_height] == ["Candidate tier", "TP53", "ESR1", "Screen", "KMT2C"]
    assert "16 / 40" in said and "0.50 (0.01–3.00)" in said and "NF1" not in said
    ends = [line.get_marker() for axes in figure.axes for line in axes.lines if line.get_marker() in "<>"]
    assert sorted(ends) == ["<", ">", ">"]
    assert "1 more were not tested" in marker_forest.caption_marker_forest(estimates, outcome="NONRESPONSE")


def test_the_forest_of_a_long_screen_keeps_every_candidate():
    shown = marker_forest._shown(many(5000), "PCTCHANGE", None)
    assert len(shown) == 40 and (shown["TIER"] == "CANDIDATE").sum() == 5
    assert shown["TIER"].tolist() == ["CANDIDATE"] * 5 + ["SCREEN"] * 35
    assert "The 40 with the smallest p" in marker_forest.caption_marker_forest(
        many(5000), outcome="PCTCHANGE"
    )


def test_an_outcome_nothing_was_tested_against_is_refused(estimates):
    for draw in (
        lambda: volcano.plot_volcano(estimates, outcome="OS", fdr_level=0.1),
        lambda: marker_forest.plot_marker_forest(estimates, outcome="OS"),
    ):
        with pytest.raises(ValueError, match="no marker was tested against OS"):
            draw()
