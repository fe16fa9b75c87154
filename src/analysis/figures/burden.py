"""Burden on PET beside burden in plasma, one point a patient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.figures.course_parts import order_groups
from analysis.tables.biomarker_words import write_effect
from analysis.tables.format import counted, p_text
from analysis.tables.words import phrase_of

LEFT_MM, FOOT_MM, PANEL_MM = 20.0, 27.0, 56.0
_MOST_TICKS = 7


@style.drawn
def plot_burden(
    burden: pd.DataFrame,
    *,
    metric: str,
    visit: str = "D0",
    unit: str = "",
    plasma: str = "Tumour fraction in plasma",
    width: str | float = "column",
    rules: Any = None,
) -> Figure:
    """Draw PET burden against tumour fraction, both on log axes; or the change of one against the other's.

    Parameters
    ----------
    burden : DataFrame
        Table of `biomarkers.estimate_burden`: USUBJID PET (burden, or ratio) PLASMA (fraction, or ratio; the
        limit of detection if undetected) and any of METRIC, VISIT, RESULT (DETECTED, NOT DETECTED), MRESP.
        What was not detected stands open.
    metric : str
        Metric of PET to draw, and `unit` its unit in words.
    visit : str
        VISIT to draw; ``<early>/<baseline>`` draws ratios.
    plasma : str
        What PLASMA is.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Raises
    ------
    ValueError
        If no patient has both.
    """
    shown, _ = _placed(burden, metric, visit)
    figure = style.new_figure(width, FOOT_MM + PANEL_MM + 3.0, rules)
    axes = style.axes_mm(figure, LEFT_MM, FOOT_MM, style.width_mm(width, rules) - LEFT_MM - 4.0, PANEL_MM)
    axes.set(xscale="log", yscale="log", xlim=_reach(shown["PET"]), ylim=_reach(shown["LEVEL"]))
    empty, groups = shown["RESULT"].eq("NOT DETECTED"), order_groups(shown["MRESP"].unique())
    if empty.any() and "/" not in visit:  # a ratio has no limit of its own
        axes.axhspan(axes.get_ylim()[0], shown.loc[empty, "LEVEL"].max(), color=style.SHADE, lw=0, zorder=0)
    for index, name in enumerate(groups):
        color = style.color_of(name, index, rules) if name else style.MUTED
        mark = style.marker_of(name, index, rules)
        for at, look in ((~empty, {"fc": color, "marker": mark}), (empty, {"fc": "white", "marker": "v"})):
            rows = shown[at & shown["MRESP"].eq(name)]
            axes.scatter(rows["PET"], rows["LEVEL"], s=16, ec=color, lw=0.8, clip_on=False, zorder=2, **look)
    change = f", {_visits(visit)}" if "/" in visit else ""
    of = "" if change or not unit else f", {unit}"
    axes.set_xlabel(f"{style.label_of(metric)}{of}{change}\n(log scale)")
    axes.set_ylabel(f"{plasma},\n{change[2:]} (log scale)" if change else f"{plasma} (log scale)")
    _tick(axes.xaxis, axes.get_xlim(), 1.0, "")
    _tick(axes.yaxis, axes.get_ylim(), *((1.0, "") if change else (100.0, " %")))
    handles = _legend([name for name in groups if name], empty, rules)
    if handles:
        figure.legend(handles=handles, loc="lower left", ncols=2, bbox_to_anchor=(0.02, 0), columnspacing=1.2)
    return figure


@spelled_out
def caption_burden(
    burden: pd.DataFrame,
    *,
    metric: str,
    visit: str = "D0",
    row: Mapping[str, Any] | None = None,
    level: int = 95,
) -> str:
    """Write the caption of the scatter; `row` is the estimates row of the rank correlation drawn."""
    shown, gone = _placed(burden, metric, visit)
    empty = int(shown["RESULT"].eq("NOT DETECTED").sum())
    text = f"{style.label_of(metric)} on PET and tumour fraction in plasma, {_visits(visit)}, one point a "
    text += f"patient (n = {len(shown)})."
    text += f" Open: ctDNA not detected, drawn at the limit of detection (n = {empty})." if empty else ""
    if row is not None and pd.notna(row["ESTIMATE"]):
        p = f"; {p_text(row['P'])}" if pd.notna(row.get("P")) else ""
        shown_row = write_effect(row, named=False)
        text += f" Rank correlation ρ = {shown_row} ({level} % interval{p}; n = {int(row['N'])})."
    text += f" {counted(gone, 'patient')} could not be placed." if gone else ""
    return f"{text} Exploratory."


def alt_burden(burden: pd.DataFrame, *, metric: str, visit: str = "D0") -> str:
    """Describe the scatter for a reader who cannot see it: medians below and above the median burden."""
    shown, _ = _placed(burden, metric, visit)
    high = shown["PET"] > shown["PET"].median()
    write = (lambda x: f"{x:.2g}") if "/" in visit else (lambda x: f"{100 * x:.2g} %")
    above = f"; above it {write(shown.loc[high, 'LEVEL'].median())}" if high.any() else ""
    return (
        f"Scatter of {len(shown)} patients, {_visits(visit)}. At or below the median {phrase_of(metric)} the "
        f"median in plasma is {write(shown.loc[~high, 'LEVEL'].median())}{above}."
    )


def _visits(visit: str) -> str:
    return " over ".join(phrase_of(part) for part in visit.split("/"))


def _placed(burden: pd.DataFrame, metric: str, visit: str) -> tuple[pd.DataFrame, int]:
    for column, value in (("METRIC", metric), ("VISIT", visit)):
        burden = burden[burden[column].eq(value)] if column in burden else burden
    result = burden["RESULT"] if "RESULT" in burden else pd.Series("DETECTED", burden.index)
    group = burden["MRESP"].fillna("NE") if "MRESP" in burden else ""
    named = burden.assign(LEVEL=burden["PLASMA"].astype(float), RESULT=result, MRESP=group)
    there = named["LEVEL"].gt(0) & named["PET"].gt(0) & result.isin(["DETECTED", "NOT DETECTED"])
    if not there.any():
        raise ValueError("no patient has burden on PET and in plasma: leave the figure out and say why")
    return named[there], int((~there).sum())


def _reach(values: pd.Series) -> tuple[float, float]:
    return float(values.min()) / 1.6, float(values.max()) * 1.6


def _tick(axis, limits: tuple[float, float], factor: float, unit: str) -> None:
    """Mark 1, 2 and 5 of each decade, or fewer where they would crowd."""
    decades = 10.0 ** np.arange(-8, 9)
    for multiples in ([1, 2, 5], [1, 3], [1]):
        steps = np.outer(decades, multiples).ravel()
        steps = steps[(steps / factor >= limits[0]) & (steps / factor <= limits[1])]
        if len(steps) <= _MOST_TICKS:
            break
    axis.set_ticks(steps / factor, [f"{step:g}{unit}" for step in steps])
    axis.set_ticks([], minor=True)


def _legend(groups: list[str], empty: pd.Series, rules: Any) -> list[Line2D]:
    mark = lambda label, **look: Line2D([], [], ls="", ms=4, **{"marker": "o", **look}, label=label)
    entries = [
        mark(
            style.label_of(name),
            color=style.color_of(name, index, rules),
            marker=style.marker_of(name, index, rules),
        )
        for index, name in enumerate(groups)
    ]
    if empty.any():
        entries.append(mark("Not detected, at its limit", marker="v", color=style.MUTED, mfc="white"))
    return entries
