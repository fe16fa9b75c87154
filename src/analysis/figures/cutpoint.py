"""The effect over all cuts and over the continuous change: what one cut hides. Never fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables.format import counted, number, p_text, percent, ratio, signed_percent

LEFT_MM, FOOT_MM, TOP_MM, SIDE_MM = 15.0, 10.0, 9.0, 3.0
RATIO_MM, BARS_MM, GAP_MM = 46.0, 16.0, 4.0


@style.drawn
def plot_sweep(
    sweep: pd.DataFrame,
    *,
    chosen: pd.DataFrame | None = None,
    cut: float | None = None,
    post_hoc: Sequence[float] = (),
    band: tuple[float, float] | None = None,
    xlabel: str = "Cut: percent fall that responds",
    width: str | float = "column",
    rules: Any = None,
) -> Figure:
    """Draw the hazard ratio at every cut, and under it how often a bootstrap sample would select that cut.

    Parameters
    ----------
    sweep : DataFrame
        Estimates rows ``cut_sweep`` of one endpoint: CUT ESTIMATE LOWER UPPER.
    chosen : DataFrame, optional
        Rows ``cut_bootstrap``: CUT, ESTIMATE (share of resamples, 0-1); rows without a CUT, or with limits
        (the interval of the selected cut), are not drawn.
    cut : float, optional
        The pre-specified cut: a solid line.
    post_hoc : sequence of float
        Cuts chosen after seeing outcomes: dashed lines.
    band : tuple of float, optional
        Changes within repeatability, percent (negative: fall): shaded where cuts lie inside.
    xlabel : str
        Axis title.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Hazard ratios (log scale) above, shares beneath.
    """
    shown = sweep.dropna(subset=["CUT", "ESTIMATE"]).sort_values("CUT", kind="stable")
    if shown.empty:
        raise ValueError("no cut has a hazard ratio: leave the figure out and say why it does not apply")
    bars = _bars(chosen)
    below = BARS_MM + GAP_MM if len(bars) else 0.0
    across = style.width_mm(width, rules) - LEFT_MM - SIDE_MM
    figure = style.new_figure(width, FOOT_MM + below + RATIO_MM + TOP_MM, rules)
    axes = style.axes_mm(figure, LEFT_MM, FOOT_MM + below, across, RATIO_MM)
    _draw_ratio(axes, shown, "CUT", rules)
    lowest, step = axes, float(np.median(np.diff(shown["CUT"]))) if len(shown) > 1 else 1.0
    if len(bars):
        lowest = style.axes_mm(figure, LEFT_MM, FOOT_MM, across, BARS_MM, sharex=axes)
        lowest.bar(bars["CUT"], 100 * bars["ESTIMATE"], width=0.8 * step, color=style.MUTED)
        lowest.set_ylabel("Selected, %")
        beyond = bars["CUT"].lt(shown["CUT"].min()) | bars["CUT"].gt(shown["CUT"].max())
        if (share := 100 * bars.loc[beyond, "ESTIMATE"].sum()) > 0:
            note = f"{f'{share:.0f}' if share >= 1 else 'under 1'} % beyond the axis"
            at = {"transform": lowest.transAxes, "ha": "right", "va": "top", "size": rules.small_size_pt}
            lowest.text(0.99, 0.97, note, color=style.MUTED, **at)
        axes.tick_params(labelbottom=False)
    if band is not None:
        for each in (axes, lowest):
            each.axvspan(-band[1], -band[0], color=style.SHADE, lw=0, zorder=0)
    for place, dashes in [(cut, "-"), *((value, (0, (3, 2))) for value in post_hoc)]:
        if place is not None:
            axes.axvline(place, color=style.INK, lw=0.8, ls=dashes, zorder=1)
    axes.set_xlim(shown["CUT"].min() - step / 2, shown["CUT"].max() + step / 2)
    lowest.set_xlabel(xlabel)
    said = [f"solid: pre-specified, {cut:g}"] if cut is not None else []
    said += [f"dashed: post hoc, {style.join_words([f'{v:g}' for v in post_hoc])}"] if post_hoc else []
    text = "; ".join(said) + ("\ngrey: a change within repeatability" if band is not None else "")
    size = rules.small_size_pt
    axes.set_title(text.strip(), fontsize=size, fontweight="normal", loc="left", color=style.MUTED)
    return figure


@style.drawn
def plot_continuous(
    curve: pd.DataFrame,
    scores: Sequence[float],
    *,
    band: tuple[float, float] | None = None,
    xlabel: str = "Percent change from baseline",
    flip: bool = True,
    width: str | float = "column",
    rules: Any = None,
) -> Figure:
    """Draw the hazard ratio over the continuous change, against its value at the plan's cut.

    Parameters
    ----------
    curve : DataFrame
        Estimates rows ``spline_curve`` of one endpoint: CUT (percent fall) ESTIMATE LOWER UPPER.
    scores : sequence of float
        The patients' values in the unit of the axis: a tick each.
    band : tuple of float, optional
        Changes within repeatability, percent.
    xlabel : str
        Axis title.
    flip : bool
        CUT is a fall and is drawn as a change, -CUT.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Curve with its pointwise interval (log scale) and one tick a patient.
    """
    shown = _along(curve, flip)
    figure = style.new_figure(width, FOOT_MM + RATIO_MM + TOP_MM, rules)
    across = style.width_mm(width, rules) - LEFT_MM - SIDE_MM
    axes = style.axes_mm(figure, LEFT_MM, FOOT_MM, across, RATIO_MM)
    note = "ticks: one a patient"
    if band is not None:
        axes.axvspan(*band, color=style.SHADE, lw=0, zorder=0)
        note += "\ngrey: a change within repeatability"
    size = rules.small_size_pt
    axes.set_title(note, fontsize=size, fontweight="normal", loc="left", color=style.MUTED)
    _draw_ratio(axes, shown, "AT", rules)
    axes.plot(
        scores,
        np.full(len(scores), 0.03),
        "|",
        color=style.INK,
        ms=5,
        mew=0.6,
        transform=axes.get_xaxis_transform(),
    )
    axes.set_xlim(shown["AT"].min(), shown["AT"].max())
    axes.set_xlabel(xlabel)
    return figure


@spelled_out
def caption_sweep(
    sweep: pd.DataFrame, selected: pd.DataFrame, *, endpoint: str, chosen: pd.DataFrame | None = None
) -> str:
    """Write the caption of a sweep from its rows, those of the selected cut's tests and of the bootstrap."""
    shown = sweep.dropna(subset=["CUT", "ESTIMATE"])
    text = (
        f"Exploratory. {endpoint}: hazard ratio (log scale) at {counted(len(shown), 'cut')}, "
        f"{number(shown['ESTIMATE'].min(), 2)} to {number(shown['ESTIMATE'].max(), 2)}, with 95 % intervals "
        "that are not corrected for looking at many cuts."
    )
    best = selected.dropna(subset=["CUT", "P"])
    if len(best):
        # "..., p corrected for the search: permutation; ..." names the correction.
        tests = [
            f"{p_text(row.P)} ({str(row.LABEL).split(': ', 1)[-1].replace(';', ',').split(',')[0]})"
            for row in best.itertuples()
        ]
        text += (
            f" The cut that separates the curves most is {number(best['CUT'].iloc[0], 1)}; corrected for the "
            f"search, {style.join_words(tests)}. The number of Hothorn and Lausen is an upper bound."
        )
    bars = _bars(chosen)
    if len(bars):
        most = bars.loc[bars["ESTIMATE"].idxmax()]
        text += (
            " Beneath: how often a bootstrap sample of the patients would select each cut; most often near "
            f"{number(most['CUT'], 1)} ({percent(100 * most['ESTIMATE'])})."
        )
        outside = float(
            bars.loc[~bars["CUT"].between(shown["CUT"].min(), shown["CUT"].max()), "ESTIMATE"].sum()
        )
        rounded = percent(100 * outside)
        text += f" {rounded} of the samples select a cut outside the axis." if rounded != "0 %" else ""
    return text


def alt_sweep(sweep: pd.DataFrame, *, endpoint: str, chosen: pd.DataFrame | None = None) -> str:
    """Describe the sweep for a reader who cannot see it: lowest, highest, and the most often selected cut."""
    shown = sweep.dropna(subset=["CUT", "ESTIMATE"])
    low, high = (shown.loc[pick(shown["ESTIMATE"])] for pick in (pd.Series.idxmin, pd.Series.idxmax))
    text = (
        f"Hazard ratio of {endpoint} over cuts from {number(shown['CUT'].min(), 1)} to "
        f"{number(shown['CUT'].max(), 1)}: lowest {number(low['ESTIMATE'], 2)} at {number(low['CUT'], 1)}, "
        f"highest {number(high['ESTIMATE'], 2)} at {number(high['CUT'], 1)}."
    )
    bars = _bars(chosen)
    if len(bars):
        most = bars.loc[bars["ESTIMATE"].idxmax()]
        share = percent(100 * most["ESTIMATE"])
        text += f" Bars: resamples select {number(most['CUT'], 1)} most often ({share})."
    return text


@spelled_out
def caption_continuous(
    curve: pd.DataFrame,
    scores: Sequence[float],
    tests: pd.DataFrame,
    *,
    endpoint: str,
    band: tuple[float, float] | None = None,
    flip: bool = True,
) -> str:
    """Write the caption of the continuous effect from its rows and the rows ``cox_spline`` of its tests."""
    shown, scores = _along(curve, flip), np.asarray(scores, dtype=float)
    label = str(shown["LABEL"].iloc[0]) if "LABEL" in shown else "restricted cubic spline"
    label = label.replace("against ", "against a fall of ") if flip else label
    outside = int((~pd.Series(scores).between(shown["AT"].min(), shown["AT"].max())).sum())
    text = (
        f"Exploratory. {endpoint}: {label} (log scale), with its pointwise 95 % interval. One tick a patient "
        f"(n = {len(scores)}{f', {outside} outside the axis' if outside else ''})."
    )
    known = tests.dropna(subset=["P"])
    said = [f"{str(row.LABEL).split(',')[0]} {p_text(row.P)}" for row in known.itertuples()]
    text += f" Likelihood-ratio tests: {style.join_words(said)}." if said else ""
    if band is not None:
        low, high = (signed_percent(limit) for limit in band)
        text += f" Grey: {low} to {high}, a change of one lesion within repeatability."
    return text


def alt_continuous(curve: pd.DataFrame, *, endpoint: str, flip: bool = True) -> str:
    """Describe the continuous effect for a reader who cannot see it: its ends."""
    shown = _along(curve, flip)
    ends = [
        f"{ratio(row.ESTIMATE, row.LOWER, row.UPPER)} at {number(row.AT, 1)}"
        for row in shown.iloc[[0, -1]].itertuples()
    ]
    return f"Hazard ratio of {endpoint} along the continuous value: {ends[0]}, {ends[1]}."


def _bars(chosen: pd.DataFrame | None) -> pd.DataFrame:
    """Keep the shares of resamples by cut; the interval of the cut itself is another row and no share."""
    if chosen is None or chosen.empty:
        return pd.DataFrame(columns=["CUT", "ESTIMATE"])
    known = chosen.dropna(subset=["CUT", "ESTIMATE"])
    return known[known["LOWER"].isna()] if "LOWER" in known else known


def _along(curve: pd.DataFrame, flip: bool) -> pd.DataFrame:
    known = curve.dropna(subset=["CUT", "ESTIMATE"])
    if known.empty:
        raise ValueError("no curve to draw: leave the figure out and say why it does not apply")
    return known.assign(AT=-known["CUT"] if flip else known["CUT"]).sort_values("AT", kind="stable")


def _draw_ratio(axes, shown: pd.DataFrame, along: str, rules: Any) -> None:
    low, high = rules.forest_range
    at = shown[along].to_numpy(float)
    bounds = shown[["LOWER", "UPPER"]].astype(float).fillna({"LOWER": 0, "UPPER": np.inf}).clip(low, high)
    axes.fill_between(at, bounds["LOWER"], bounds["UPPER"], color=rules.cycle[0], alpha=0.18, lw=0)
    axes.plot(at, shown["ESTIMATE"].clip(low, high), color=rules.cycle[0], lw=1.4)
    axes.axhline(1, color=style.MUTED, lw=0.7)
    axes.set_yscale("log")
    bottom, top = (float(f(bounds.to_numpy())) for f in (np.min, np.max))
    axes.set_ylim(min(bottom, 0.8) / 1.1, max(top, 1.25) * 1.1)
    style.tick_ratios(axes)
    axes.set_ylabel("Hazard ratio (log scale)")
