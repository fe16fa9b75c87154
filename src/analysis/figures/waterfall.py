"""Waterfall of the change in uptake, one bar a patient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables import words
from analysis.tables.format import counted, signed_percent

PLOT_MM, FOOT_MM, LEFT_MM = 60.0, 7.0, 19.0


def percent_change(score: pd.Series) -> pd.Series:
    """Turn ln(follow-up / baseline) into percent change.

    Examples
    --------
    >>> percent_change(pd.Series([0.0, np.log(0.75)])).round(6).tolist()
    [0.0, -25.0]
    """
    return 100 * np.expm1(score)


@style.drawn
def plot_waterfall(
    changes: pd.DataFrame,
    *,
    cut_percent: float,
    band_percent: tuple[float, float] | None = None,
    ylabel: str = "Change of SUVmax in the worst lesion",
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw one bar a patient, the largest rise first, coloured by class.

    Parameters
    ----------
    changes : DataFrame
        CHANGE (percent, signed), AVALC (class), NEWLESION ("Y" where a new lesion decides; optional).
        Patients without a change (not evaluable) are not drawn; the caption counts them.
    cut_percent : float
        The fall that responds; drawn as a line at minus this value.
    band_percent : tuple of float, optional
        Limits of repeatability, percent: changes inside can be measurement alone.
    ylabel : str
        Axis title.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        The waterfall; bars above the plan's cap are cut and carry their number.
    """
    shown = _sorted(changes)
    if shown.empty:
        raise ValueError("no patient has a change to draw: leave the figure out and say why")
    classes, across = _classes(shown), style.width_mm(width, rules)
    entries = _legend_entries(shown, classes, cut_percent, band_percent, rules)
    columns = _legend_columns(entries, across, rules)
    head = 2.0 + (style.line_height_mm(rules.small_size_pt) + 0.7) * math.ceil(len(entries) / columns)
    figure = style.new_figure(width, PLOT_MM + FOOT_MM + head, rules)
    axes = style.axes_mm(figure, LEFT_MM, FOOT_MM, across - LEFT_MM - 2.0, PLOT_MM)
    cap, bars = rules.waterfall_cap_percent, np.arange(len(shown))
    if band_percent:
        axes.axhspan(*band_percent, color=style.SHADE, zorder=0, lw=0)
    colors = [style.color_of(name, classes.index(name), rules) for name in shown["AVALC"]]
    hatches = [style.hatch_of(name, classes.index(name), rules) for name in shown["AVALC"]]
    look = {"color": colors, "hatch": hatches, "edgecolor": "white", "lw": 0}
    axes.bar(bars, shown["CHANGE"].clip(upper=cap), width=0.82, zorder=2, **look)
    axes.axhline(0, color=style.INK, lw=0.6, zorder=3)
    axes.axhline(-cut_percent, color=style.INK, lw=0.8, ls=(0, (4, 2)), zorder=3)
    _mark_new(axes, shown)
    _note_cut_bars(axes, shown, cap, across - LEFT_MM - 4.0, rules)
    low = min(shown["CHANGE"].min(), -cut_percent, (band_percent or (0, 0))[0])
    high = max(min(shown["CHANGE"].max(), cap), (band_percent or (0, 10))[1], 10)
    axes.set(xlim=(-0.7, len(shown) - 0.3), ylim=(low - 8, high + 12), xticks=[])
    room = PLOT_MM + FOOT_MM  # a longer title breaks
    axes.set_ylabel(style.wrap(ylabel, room, rules.font_size_pt, rules.font_family))
    axes.yaxis.set_major_formatter(lambda value, _: signed_percent(value))
    axes.spines["bottom"].set_visible(False)
    axes.set_xlabel(f"Patients, n = {len(shown)}", labelpad=3)
    axes.legend(
        handles=entries,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderaxespad=0.2,
        columnspacing=1.6,
        labelspacing=0.35,
    )
    return figure


@spelled_out
def caption_waterfall(
    changes: pd.DataFrame,
    *,
    cut_percent: float,
    timepoint: str,
    band_percent: tuple[float, float] | None = None,
    what: str = "SUVmax of the worst lesion",
) -> str:
    """Write the caption of a waterfall from its data."""
    shown = _sorted(changes)
    falls = _falls(shown, cut_percent)
    new = _new(shown).sum()
    text = (
        f"Change of {what} from baseline to {words.phrase_of(timepoint)}, one bar a patient "
        f"(n = {len(shown)}). In {falls} it fell by {cut_percent:g} % or more "
        f"(dashed line; exactly {cut_percent:g} % counts). "
    )
    if new:
        text += f"Diamond: new lesion (n = {new}), which makes a non-responder whatever the change. "
    if band_percent:
        inside = int(shown["CHANGE"].between(*band_percent, inclusive="neither").sum())
        low, high = (signed_percent(limit) for limit in band_percent)
        text += f"Grey band: {low} to {high}, limits of repeatability; {inside} changes lie inside. "
    if set(shown["AVALC"]) & {"STABLE", "PROGRESSOR"}:
        text += (
            "Stable and progressor are non-responders; a progressor rose by as much as the cut or more, "
            "or has a new lesion. "
        )
    missing = int(changes["CHANGE"].isna().sum())
    return text + (f"{counted(missing, 'patient')} had no computable change: not drawn." if missing else "")


def alt_waterfall(changes: pd.DataFrame, *, cut_percent: float) -> str:
    """Describe the waterfall for a reader who cannot see it."""
    shown = _sorted(changes)
    values = shown["CHANGE"]
    counts = "; ".join(
        f"{style.label_of(name)} {int((shown['AVALC'] == name).sum())}" for name in _classes(shown)
    )
    return (
        f"Waterfall of {len(shown)} patients from {signed_percent(values.max())} to "
        f"{signed_percent(values.min())}, median {signed_percent(values.median())}; "
        f"{_falls(shown, cut_percent)} at or below the cut of −{cut_percent:g} %. {counts}."
    )


def _falls(shown: pd.DataFrame, cut_percent: float) -> int:
    # A fall of exactly the cut counts, rounding of exp and ln aside.
    return int((shown["CHANGE"] <= -cut_percent + 1e-9).sum())


def _sorted(changes: pd.DataFrame) -> pd.DataFrame:
    known = changes[changes["CHANGE"].notna()]
    return known.sort_values(["CHANGE", "AVALC"], ascending=[False, True], kind="stable").reset_index(
        drop=True
    )


def _classes(changes: pd.DataFrame) -> list[str]:
    order = [*words.GROUPS]
    return sorted(
        changes["AVALC"].unique(), key=lambda name: (order.index(name) if name in order else 99, name)
    )


def _new(shown: pd.DataFrame) -> pd.Series:
    return shown["NEWLESION"].eq("Y") if "NEWLESION" in shown else pd.Series(False, index=shown.index)


def _mark_new(axes, shown: pd.DataFrame) -> None:
    new = shown[_new(shown)]
    # On the side away from the bar, so that the marker never hides it.
    heights = np.where(new["CHANGE"] >= 0, -5.0, 5.0)
    axes.plot(new.index, heights, "D", color=style.INK, ms=3, zorder=4)


def _note_cut_bars(axes, shown: pd.DataFrame, cap: float, room_mm: float, rules: Any) -> None:
    beyond = [signed_percent(value) for value in shown["CHANGE"] if value > cap]
    if beyond:
        text = f"Cut at {signed_percent(cap)}: {', '.join(beyond)}"
        text = style.wrap(text, room_mm, rules.small_size_pt, rules.font_family)
        axes.text(-0.4, cap + 2, text, ha="left", va="bottom", size=rules.small_size_pt)


def _legend_entries(
    shown: pd.DataFrame, classes: list[str], cut_percent: float, band_percent, rules: Any
) -> list:
    entries: list[Any] = [
        Patch(
            fc=style.color_of(name, index, rules),
            hatch=style.hatch_of(name, index, rules),
            ec="white",
            lw=0,
            label=f"{style.label_of(name)} (n = {(shown['AVALC'] == name).sum()})",
        )
        for index, name in enumerate(classes)
    ]
    entries.append(Line2D([], [], color=style.INK, ls=(0, (4, 2)), lw=0.8, label=f"Cut: −{cut_percent:g} %"))
    if band_percent:
        low, high = (signed_percent(limit) for limit in band_percent)
        text = f"Repeatability {low} to {high}"
        entries.append(Patch(facecolor=style.SHADE, edgecolor=style.GRID, lw=0.5, label=text))
    if _new(shown).any():
        entries.append(Line2D([], [], marker="D", ls="", ms=3, color=style.INK, label="New lesion"))
    return entries


def _legend_columns(entries: list, across: float, rules: Any) -> int:
    size, handle = rules.small_size_pt, 11.0
    widest = max(style.text_width_mm(entry.get_label(), size, rules.font_family) for entry in entries)
    return max(1, min(3, int((across - LEFT_MM) // (widest + handle))))
