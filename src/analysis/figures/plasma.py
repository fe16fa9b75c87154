"""A quantity over time, one line a patient, by class: ctDNA, or the size of the tumour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.figures.course_parts import order_groups
from analysis.tables.format import counted

LEFT_MM, GAP_MM, PANEL_MM, FOOT_MM, BARE_FOOT_MM, HEAD_MM = 19.0, 4.0, 52.0, 21.0, 11.0, 7.0
_UNDETECTED = "NOT DETECTED"
# What a level, one known by its limit alone, and the shade are called: of ctDNA, and of any other quantity.
WORDS = {
    "ctdna": ("Detected", "Not detected, at its limit of detection", "At or under the highest limit"),
    "measured": ("Measured", "No longer seen, drawn at its floor", "At or under the highest floor"),
}


@style.drawn
def plot_trajectories(
    draws: pd.DataFrame,
    *,
    progression: pd.Series | None = None,
    model: pd.DataFrame | None = None,
    ylabel: str = "Largest variant allele fraction",
    factor: float = 100.0,
    unit: str = " %",
    scale: str = "log",
    words: str = "ctdna",
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw a quantity over time, one line a patient, one panel a group, with the model's median over it.

    Parameters
    ----------
    draws : DataFrame
        USUBJID, DAY (study day), VALUE (or VAF), GROUP (or MRESP) and, where there is one, RESULT
        (DETECTED, NOT DETECTED, NOT ASSESSABLE) and LOD in the unit of VALUE. A failed assay is left out and
        breaks no line; a negative one stands open at its limit of detection.
    progression : Series, optional
        Study day of progression, index USUBJID; marked on the line.
    model : DataFrame, optional
        GROUP DAY MEDIAN LOWER UPPER in the unit of VALUE.
    ylabel : str
        What is drawn.
    factor, unit : float, str
        What a value is multiplied with, and its unit, on the axis.
    scale : {"log", "linear"}
        Axis of the values; a value of 0 or less is not on a log axis and is counted in the caption.
    words : {"ctdna", "measured"}
        Words of the legend: of ctDNA, or of another quantity that is measured or no longer seen.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Raises
    ------
    ValueError
        If no draw can be placed.
    """
    shown, _ = _with_level(draws, scale)
    groups = order_groups(shown["GROUP"].unique())
    across = style.width_mm(width, rules)
    each = (across - LEFT_MM - 3.0 - GAP_MM * (len(groups) - 1)) / len(groups)
    handles = _trajectory_legend(shown, progression, model, words)
    foot = FOOT_MM if handles else BARE_FOOT_MM
    figure = style.new_figure(width, foot + PANEL_MM + HEAD_MM, rules)
    limits, span = _limits(shown, model, scale)
    for index, name in enumerate(groups):
        axes = style.axes_mm(figure, LEFT_MM + index * (each + GAP_MM), foot, each, PANEL_MM)
        axes.set(yscale=scale, ylim=limits, xlim=span, xlabel="Study day")
        rows, color = shown[shown["GROUP"].eq(name)], style.color_of(name, index, rules)
        _draw_panel(axes, rows, progression, color, faint=model is not None)
        if model is not None:
            _draw_model(axes, model[model["GROUP"].eq(name)], color)
        _label_values(axes, limits, scale, factor, unit)
        label = style.wrap(style.label_of(name), each - 14.0, rules.font_size_pt, rules.font_family, "bold")
        axes.set_title(f"{label} (n = {rows['USUBJID'].nunique()})", loc="left")
        if index:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel(ylabel)
    if handles:
        figure.legend(handles=handles, loc="lower left", ncols=3, bbox_to_anchor=(0.02, 0), columnspacing=1.4)
    return figure


@spelled_out
def caption_trajectories(
    draws: pd.DataFrame,
    *,
    model: pd.DataFrame | None = None,
    quantity: str = "Largest variant allele fraction",
    scale: str = "log",
    words: str = "ctdna",
) -> str:
    """Write the caption of the trajectories from their data."""
    shown, dropped = _with_level(draws, scale)
    subjects, empty = shown["USUBJID"].nunique(), int(shown["RESULT"].eq(_UNDETECTED).sum())
    units, gone, limit = (
        ("samples", "not detected, drawn at its limit of detection", "limit of detection")
        if words == "ctdna"
        else ("values", "no longer seen, drawn at its floor", "floor")
    )
    text = f"{quantity} over time, one line a patient (n = {subjects}, {len(shown)} {units})."
    text += f" Open: {gone} (n = {empty})." if empty else ""
    if "RESULT" in draws:
        failed = int(draws["RESULT"].eq("NOT ASSESSABLE").sum())
        text += f" {counted(failed, 'sample')} not assessable and left out, never negative." if failed else ""
    if model is not None:
        text += (
            " Line and band: median of the mixed model by group with its interval, values under the "
            f"{limit} censored."
            if empty
            else " Line and band: median of the mixed model by group with its interval."
        )
    text += f" {counted(dropped, 'value')} could not be placed: no level, or no {limit}." if dropped else ""
    return f"{text} Exploratory."


def alt_trajectories(
    draws: pd.DataFrame, *, factor: float = 100.0, unit: str = " %", scale: str = "log"
) -> str:
    """Describe the trajectories for a reader who cannot see them: median of the first and last by group."""
    shown, _ = _with_level(draws, scale)
    parts = []
    for name in order_groups(shown["GROUP"].unique()):
        by_subject = shown[shown["GROUP"].eq(name)].groupby("USUBJID")["LEVEL"]
        first, last = (factor * by_subject.nth(place).median() for place in (0, -1))
        parts.append(
            f"{style.label_of(name)}, n = {by_subject.ngroups}: median {_short(first)}{unit} at the first "
            f"and {_short(last)}{unit} at the last sample"
        )
    return f"Lines over study days. {'; '.join(parts)}."


def _with_level(draws: pd.DataFrame, scale: str) -> tuple[pd.DataFrame, int]:
    """Return the draws that can be placed, with LEVEL and GROUP, and how many results cannot."""
    names = {"VAF": "VALUE", "MRESP": "GROUP"}
    named = draws.rename(columns={old: new for old, new in names.items() if new not in draws})
    result = named["RESULT"] if "RESULT" in named else pd.Series("DETECTED", named.index)
    limit = named["LOD"] if "LOD" in named else pd.Series(np.nan, named.index)
    level = named["VALUE"].where(result.ne(_UNDETECTED), limit)
    known = named.assign(RESULT=result, LOD=limit, LEVEL=level)[result.isin(["DETECTED", _UNDETECTED])]
    there = known["LEVEL"].notna() & known["DAY"].notna() & known["GROUP"].notna()
    placed = there & (known["LEVEL"].gt(0) if scale == "log" else True)
    if not placed.any():
        raise ValueError("no plasma result can be placed in time and level: leave the figure out and say why")
    shown = known[placed].sort_values(["USUBJID", "DAY"], kind="stable")
    return shown, int((~placed).sum())


def _limits(shown: pd.DataFrame, model: pd.DataFrame | None, scale: str) -> tuple[tuple, tuple]:
    days = shown["DAY"]
    pad = 0.04 * max(days.max() - days.min(), 10.0)
    span = (days.min() - pad, days.max() + pad)
    levels = shown["LEVEL"]
    drawn = levels if model is None or model.empty else pd.concat([levels, model["MEDIAN"].astype(float)])
    if scale == "log":
        drawn = drawn[drawn > 0]
        return (drawn.min() / 1.8, drawn.max() * 1.8), span
    return (min(0.0, drawn.min()), 1.06 * drawn.max()), span


def _draw_panel(axes, rows: pd.DataFrame, progression, color: str, *, faint: bool) -> None:
    empty = rows["RESULT"].eq(_UNDETECTED)
    if empty.any():
        axes.axhspan(axes.get_ylim()[0], rows.loc[empty, "LOD"].max(), color=style.SHADE, lw=0, zorder=0)
    for _, one in rows.groupby("USUBJID", sort=True):
        _draw_course(axes, one, progression, color, 0.35 if faint else 0.7)


def _draw_course(axes, one: pd.DataFrame, progression, color: str, alpha: float) -> None:
    axes.plot(one["DAY"], one["LEVEL"], color=color, lw=0.7, alpha=alpha, zorder=1)
    found = one["RESULT"].ne(_UNDETECTED)
    axes.plot(one.loc[found, "DAY"], one.loc[found, "LEVEL"], "o", ms=2.4, color=color, alpha=alpha, zorder=2)
    axes.plot(
        one.loc[~found, "DAY"], one.loc[~found, "LEVEL"], "v", ms=3, mfc="white", mec=color, mew=0.7, zorder=2
    )
    day = np.nan if progression is None else progression.get(one["USUBJID"].iloc[0], np.nan)
    if np.isfinite(day) and one["DAY"].min() <= day <= one["DAY"].max():
        if axes.get_yscale() == "log":
            level = np.exp(np.interp(day, one["DAY"], np.log(one["LEVEL"])))
        else:
            level = np.interp(day, one["DAY"], one["LEVEL"])
        axes.plot([day], [level], "X", ms=5, color=style.INK, mew=0.3, mec="white", zorder=3)


def _draw_model(axes, rows: pd.DataFrame, color: str) -> None:
    if rows.empty:
        return
    rows = rows.sort_values("DAY", kind="stable")
    axes.fill_between(rows["DAY"], rows["LOWER"], rows["UPPER"], color=color, alpha=0.22, lw=0, zorder=4)
    axes.plot(rows["DAY"], rows["MEDIAN"], color="white", lw=3.2, zorder=5)
    axes.plot(rows["DAY"], rows["MEDIAN"], color=color, lw=1.8, zorder=6)


def _label_values(axes, limits: tuple[float, float], scale: str, factor: float, unit: str) -> None:
    if scale == "log":
        steps = np.outer(10.0 ** np.arange(-8, 7), [1, 2, 5]).ravel() / factor
        steps = steps[(steps >= limits[0]) & (steps <= limits[1])]
        decades = steps[
            np.isclose(np.log10(steps * factor) % 1, 0) | np.isclose(np.log10(steps * factor) % 1, 1)
        ]
        axes.set_yticks(decades if len(decades) > 2 else steps)
        axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{factor * value:g}{unit}".replace("-", "−"))


def _short(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"


def _trajectory_legend(shown: pd.DataFrame, progression, model, words: str) -> list:
    mark = lambda label, **look: Line2D([], [], ls="", color=style.MUTED, label=label, **look)
    entries: list[Any] = []
    if shown["RESULT"].eq(_UNDETECTED).any():
        seen, gone, shade = WORDS[words]
        entries.append(mark(seen, marker="o", ms=3))
        entries.append(mark(gone, marker="v", ms=4, mfc="white"))
        entries.append(Patch(fc=style.SHADE, ec=style.GRID, lw=0.4, label=shade))
    if progression is not None:
        entries.append(Line2D([], [], marker="X", ls="", ms=5, color=style.INK, label="Progression"))
    if model is not None:
        entries.append(Line2D([], [], color=style.MUTED, lw=1.8, label="Median of the model, interval"))
    return entries
