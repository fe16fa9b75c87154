"""Specification curve: one estimate for every set of choices a reviewer would accept, and what was chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.tables.format import number
from analysis.tables.words import label_of

CHOICES = {"TIMEPOINT": "Day", "METRIC": "Metric", "RULE": "Rule", "CUT": "Cut", "LANDMARK": "Landmark"}
CURVE_MM, ROW_MM, FOOT_MM, HEAD_MM = 52.0, 3.6, 2.0, 5.0


@style.drawn
def plot_specification_curve(
    estimates: pd.DataFrame,
    *,
    measure: str = "Hazard ratio",
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw estimates in rising order with their intervals, and under each the choices that made it.

    Parameters
    ----------
    estimates : DataFrame
        ESTIMATE LOWER UPPER ROLE LABEL and any of TIMEPOINT METRIC RULE CUT LANDMARK: rows of one endpoint
        and one method. Rows without an estimate are not drawn; the caption counts them. A choice in which
        no two rows differ is not listed.
    measure : str
        What the ratio is.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Curve above (diamond: primary; hollow: cut chosen after seeing outcomes), choices beneath.
    """
    shown = _sorted(estimates)
    if shown.empty:
        raise ValueError("no estimate to draw: leave the figure out and say why it does not apply")
    lines = _lines(shown)
    size, across = rules.small_size_pt, style.width_mm(width, rules)
    widest = max((style.text_width_mm(text, size, rules.font_family) for _, _, text in lines), default=0)
    left, table = max(widest + 3, 14.0), ROW_MM * len(lines)
    figure = style.new_figure(width, FOOT_MM + table + 2 + CURVE_MM + HEAD_MM, rules)
    axes = style.axes_mm(figure, left, FOOT_MM + table + 2, across - left - 3, CURVE_MM)
    _draw_curve(axes, shown, rules, f"{measure} (log scale)")
    if lines:
        below = style.axes_mm(figure, left, FOOT_MM, across - left - 3, table, sharex=axes)
        _draw_choices(below, shown, lines, size)
    return figure


def caption_specification_curve(
    estimates: pd.DataFrame, *, measure: str = "Hazard ratio", level: int = 95
) -> str:
    """Write the caption of a specification curve from its rows."""
    shown = _sorted(estimates)
    above = int((shown["ESTIMATE"] > 1).sum())
    clear = int(((shown["LOWER"] > 1) | (shown["UPPER"] < 1)).sum())
    gone, post = len(estimates) - len(shown), int(_post_hoc(shown).sum())
    text = (
        f"{measure}s of {len(shown)} sets of choices in rising order, with {level} % confidence intervals; "
        f"median {number(shown['ESTIMATE'].median(), 2)}, {above} above 1, {clear} with an interval that "
        "excludes 1. Marks beneath: the choices of each. The sets share patients: their intervals are no "
        "independent evidence."
    )
    text += " Diamond: primary analysis." if (shown["ROLE"] == "PRIMARY").any() else ""
    text += f" Hollow: cut chosen after seeing outcomes (n = {post})." if post else ""
    return text + (f" {gone} could not be estimated." if gone else "")


def alt_specification_curve(estimates: pd.DataFrame, *, measure: str = "Hazard ratio") -> str:
    """Describe a specification curve for a reader who cannot see it."""
    values = _sorted(estimates)["ESTIMATE"]
    return (
        f"{len(values)} {measure.lower()}s in rising order, from {number(values.min(), 2)} to "
        f"{number(values.max(), 2)}, median {number(values.median(), 2)}; a grid beneath marks the choices."
    )


def _sorted(estimates: pd.DataFrame) -> pd.DataFrame:
    known = estimates[estimates["ESTIMATE"].notna()]
    return known.sort_values("ESTIMATE", kind="stable").reset_index(drop=True)


def _post_hoc(shown: pd.DataFrame) -> pd.Series:
    return shown["LABEL"].fillna("").str.contains("post hoc")


def _lines(shown: pd.DataFrame) -> list[tuple[str, Any, str]]:
    lines = []
    for column, name in CHOICES.items():
        values = sorted(shown[column].dropna().unique()) if column in shown else []
        if len(values) > 1:
            lines += [(column, value, f"{name}: {_word(column, value)}") for value in values]
    return lines


def _word(column: str, value: Any) -> str:
    return f"{value:g} %" if column == "CUT" else label_of(value).replace("Day ", "")


def _draw_curve(axes, shown: pd.DataFrame, rules: Any, title: str) -> None:
    low, high = rules.forest_range
    place = np.arange(len(shown))
    bounds = shown[["LOWER", "UPPER"]].astype(float).fillna({"LOWER": 0, "UPPER": np.inf}).clip(low, high)
    axes.vlines(place, bounds["LOWER"], bounds["UPPER"], color="#A6A6A6", lw=0.8)
    axes.axhline(1, color=style.MUTED, lw=0.7)
    primary, post = (shown["ROLE"] == "PRIMARY").to_numpy(), _post_hoc(shown).to_numpy()
    values = shown["ESTIMATE"].clip(low, high).to_numpy(float)
    for keep, mark, fill, size in (
        (~primary & ~post, "o", style.INK, 3.0),
        (~primary & post, "o", "white", 3.4),
        (primary, "D", rules.cycle[0], 6.0),
    ):
        edge = rules.cycle[0] if mark == "D" else style.INK
        axes.plot(place[keep], values[keep], mark, ms=size, mfc=fill, mec=edge, mew=0.7, zorder=3 + size)
    axes.set_yscale("log")
    reach = bounds.to_numpy()
    axes.set(ylim=(reach.min() / 1.1, reach.max() * 1.1), xlim=(-1, len(shown)), ylabel=title)
    style.tick_ratios(axes)
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)


def _draw_choices(axes, shown: pd.DataFrame, lines: list[tuple[str, Any, str]], size: float) -> None:
    columns = [column for column, _, _ in lines]
    for line, (column, value, _) in enumerate(lines):
        # Every other block is shaded, so that the eye finds the block of a choice.
        if list(dict.fromkeys(columns)).index(column) % 2 == 0:
            axes.axhspan(line - 0.5, line + 0.5, color=style.SHADE, lw=0, zorder=0)
        chosen = np.flatnonzero(shown[column].to_numpy() == value)
        axes.plot(chosen, np.full(len(chosen), line), "|", color=style.INK, ms=5, mew=1.0)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_yticks(range(len(lines)), [text for _, _, text in lines], size=size)
    axes.tick_params(axis="both", length=0, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
