"""Forest plot of ratios, grouped by the role an analysis has, with the numbers beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables.estimates import is_ratio
from analysis.tables.format import p_value, ratio
from analysis.tables.words import ROLES as ROLE_WORDS

ROLES = tuple(ROLE_WORDS)
ROW_MM, HEAD_MM, FOOT_MM, EDGE_MM, SPACE_MM, AXIS_MM = 5.2, 7.5, 14.0, 1.5, 4.0, 44.0
PAGE_MM, LOWEST_ROW_MM, MORE_MM = 228.0, 3.5, 3.22  # a journal page; a row of one line; each further line
_TICKS = np.array([0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32])


@dataclass(frozen=True)
class _Line:
    """One line of the plot: a heading of a role, or an estimate."""

    text: str
    row: Any = None
    role: str = ""


@style.drawn
def plot_forest(
    estimates: pd.DataFrame,
    *,
    measure: str = "Hazard ratio",
    directions: tuple[str, str] = ("lower hazard", "higher hazard"),
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw ratios with intervals on a log scale; label, events and numbers stand in columns.

    Parameters
    ----------
    estimates : DataFrame
        LABEL ESTIMATE LOWER UPPER P N EVENTS ROLE, one row a ratio (`tables.name_analyses` makes LABEL tell
        rows apart; `tables.is_ratio` selects ratios); a row without an estimate is listed as not estimable.
        Rows keep their order inside a role.
    measure : str
        What the ratio is.
    directions : tuple of str
        What a ratio below and above 1 means.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        The plot; an interval that leaves the plan's range ends in an arrow, its numbers stay exact.

    Raises
    ------
    ValueError
        If there are no rows, a row is no ratio (by its METHOD), or an estimate is not positive.
    """
    if estimates.empty:
        raise ValueError("no estimate to draw: leave the figure out and say why it does not apply")
    if (estimates["ESTIMATE"] <= 0).any():
        raise ValueError(
            "a ratio is positive; found estimates of 0 or less (log ratios must be exponentiated)"
        )
    others = [] if "METHOD" not in estimates else sorted(set(estimates.loc[~is_ratio(estimates), "METHOD"]))
    if others:
        raise ValueError(f"a forest plot shows ratios; {others} are none")
    lines = _lines(estimates)
    across, size = style.width_mm(width, rules), rules.small_size_pt
    columns = _columns(lines, across, measure, rules)
    height = HEAD_MM + columns.row * sum(columns.heights) + FOOT_MM
    figure = style.new_figure(width, height, rules)
    page = style.canvas_mm(figure)
    axes = style.axes_mm(figure, columns.axis, FOOT_MM, columns.axis_width, height - HEAD_MM - FOOT_MM)
    low, high = _limits(estimates, rules.forest_range)
    _headings(page, columns, measure, size)
    top = 0.0
    for line, text, tall in zip(lines, columns.labels, columns.heights):
        middle = top + tall / 2
        _write(page, line, text, HEAD_MM + columns.row * middle, columns, size)
        if line.row is not None and line.row.ESTIMATE == line.row.ESTIMATE:
            _draw(axes, line, middle, low, high, rules.cycle[0])
        top += tall
    _finish(axes, top, low, high, f"{measure} (log scale)")
    _directions(axes, directions, size)
    return figure


@spelled_out
def caption_forest(estimates: pd.DataFrame, *, measure: str = "Hazard ratio", level: int = 95) -> str:
    """Write the caption of a forest plot from its rows."""
    counts = [(role, int((estimates["ROLE"] == role).sum())) for role in ROLES]
    parts = style.join_words([f"{n} {role.lower()}" for role, n in counts if n])
    gone = int(estimates["ESTIMATE"].isna().sum())
    sides = _contrast(estimates)
    text = f"{measure}s{f', {sides}' if sides else ''}, with {level} % confidence intervals ({parts})."
    if (estimates["ROLE"] == "PRIMARY").any():
        text += " Diamond: primary analysis."
    if (estimates["ROLE"] != "PRIMARY").any():
        text += " What is not primary is not adjusted for the number of analyses."
    if estimates["ROLE"].isin(["SENSITIVITY", "EXPLORATORY", "DESCRIPTIVE"]).any():
        text += " Sensitivity and exploratory analyses are no tests; their p-values describe."
    return text + (f" {gone} could not be estimated." if gone else "")


def alt_forest(estimates: pd.DataFrame, *, measure: str = "Hazard ratio") -> str:
    """Describe the forest plot for a reader who cannot see it: every row in words."""
    rows = [
        f"{row.LABEL}: {ratio(row.ESTIMATE, row.LOWER, row.UPPER)}"
        for row in estimates.itertuples()
        if row.ESTIMATE == row.ESTIMATE
    ]
    return f"Forest plot of {len(estimates)} {measure.lower()}s. " + "; ".join(rows) + "."


@dataclass(frozen=True)
class _Columns:
    labels: list[str]
    row: float
    heights: list[float]
    counts: float
    axis: float
    axis_width: float
    numbers: float
    p: float


def _lines(estimates: pd.DataFrame) -> list[_Line]:
    roles = [*ROLES, *sorted(set(estimates["ROLE"]) - set(ROLES))]
    lines = []
    for role in roles:
        rows = estimates[estimates["ROLE"] == role]
        if len(rows):
            lines.append(_Line(role.capitalize()))
            lines += [_Line(row.LABEL, row, role) for row in rows.itertuples()]
    return lines


def _columns(lines: list[_Line], across: float, measure: str, rules: Any) -> _Columns:
    size, family = rules.small_size_pt, rules.font_family
    wide = lambda texts, weight="normal": max(style.text_width_mm(t, size, family, weight) for t in texts)
    rows = [line.row for line in lines if line.row is not None]
    counts = max(wide([_events(row) for row in rows]), wide(["Events / n"], "bold"))
    numbers = max(wide([_numbers(row) for row in rows]), wide(["(95 % CI)", measure], "bold"))
    ps = max(wide([p_value(row.P, rules=rules) for row in rows]), wide(["p"], "bold"))
    fixed = 2 * EDGE_MM + 4 * SPACE_MM + counts + numbers + ps
    room = across - fixed - AXIS_MM
    natural = max(wide([line.text for line in lines if line.row is not None]) + 2.5, 25.0)
    label = min(natural, max(room, 25.0))
    labels = [style.wrap(line.text, label - 2.5, size, family) for line in lines]
    row = _row_mm(labels)
    heights = [1 + MORE_MM / row * text.count("\n") for text in labels]
    axis_width = across - fixed - label
    if axis_width < 20:
        raise ValueError(
            f"{across:.0f} mm is too narrow for a forest plot with its columns; use the page width"
        )
    right = EDGE_MM + label + SPACE_MM + counts
    axis = right + SPACE_MM
    start = axis + axis_width + SPACE_MM
    return _Columns(labels, row, heights, right, axis, axis_width, start, across - EDGE_MM)


def _row_mm(labels: list[str]) -> float:
    """Return the height of a row, mm: lower where a page would not hold them all."""
    more = MORE_MM * sum(text.count("\n") for text in labels)
    return min(ROW_MM, max(LOWEST_ROW_MM, (PAGE_MM - HEAD_MM - FOOT_MM - more) / len(labels)))


def _headings(page, columns: _Columns, measure: str, size: float) -> None:
    style_of = {"size": size, "weight": "bold", "va": "center", "linespacing": 1.15}
    page.text(EDGE_MM, HEAD_MM / 2, "Analysis", ha="left", **style_of)
    page.text(columns.counts, HEAD_MM / 2, "Events / n", ha="right", **style_of)
    page.text(columns.numbers, HEAD_MM / 2, f"{measure}\n(95 % CI)", ha="left", **style_of)
    page.text(columns.p, HEAD_MM / 2, "p", ha="right", **style_of)
    page.plot([EDGE_MM, columns.p], [HEAD_MM - 0.4] * 2, color=style.INK, lw=0.6)


def _write(page, line: _Line, text: str, y: float, columns: _Columns, size: float) -> None:
    if line.row is None:
        page.text(EDGE_MM, y, text, ha="left", va="center", size=size, weight="bold")
        return
    page.text(EDGE_MM + 2.5, y, text, ha="left", va="center", size=size, linespacing=1.15)
    page.text(columns.counts, y, _events(line.row), ha="right", va="center", size=size)
    page.text(columns.numbers, y, _numbers(line.row), ha="left", va="center", size=size)
    page.text(columns.p, y, p_value(line.row.P), ha="right", va="center", size=size)


def _draw(axes, line: _Line, y: float, low: float, high: float, accent: str) -> None:
    row, primary = line.row, line.role == "PRIMARY"
    left = low if row.LOWER != row.LOWER else max(row.LOWER, low)
    right = high if row.UPPER != row.UPPER else min(row.UPPER, high)
    axes.plot(
        [left, right], [y, y], color=style.INK, lw=1.4 if primary else 0.9, solid_capstyle="butt", zorder=2
    )
    for end, outside, mark in ((left, not low <= row.LOWER, "<"), (right, not high >= row.UPPER, ">")):
        if outside:
            axes.plot([end], [y], mark, color=style.INK, ms=3.5, zorder=3, clip_on=False)
    if low <= row.ESTIMATE <= high:
        mark, size = ("D", 5.5) if primary else ("s", 4.0)
        axes.plot([row.ESTIMATE], [y], mark, color=accent if primary else style.INK, ms=size, zorder=4)


def _finish(axes, bottom: float, low: float, high: float, title: str) -> None:
    axes.set_xscale("log")
    axes.set(xlim=(low, high), ylim=(bottom, 0), yticks=[])
    ticks = _TICKS[(low <= _TICKS) & (high >= _TICKS)]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.axvline(1, color=style.MUTED, lw=0.7, zorder=1)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(title, labelpad=13)


def _directions(axes, sides: tuple[str, str], size: float) -> None:
    place = axes.get_xaxis_transform()
    for text, side, offset in ((f"← {sides[0]}", "right", -3), (f"{sides[1]} →", "left", 3)):
        axes.annotate(
            text,
            (1, 0),
            xycoords=place,
            xytext=(offset, -14.5),
            textcoords="offset points",
            ha=side,
            va="top",
            size=size,
            color=style.MUTED,
        )


def _limits(estimates: pd.DataFrame, reach: list[float]) -> tuple[float, float]:
    found = estimates[["ESTIMATE", "LOWER", "UPPER"]].to_numpy(float)
    finite = found[np.isfinite(found) & (found > 0)]
    low, high = np.clip([min(finite.min(initial=0.5), 0.5), max(finite.max(initial=2), 2)], *reach)
    return float(_TICKS[low * (1 + 1e-9) >= _TICKS].max(initial=low if low < _TICKS[0] else 0.125)), float(
        _TICKS[high * (1 - 1e-9) <= _TICKS].min(initial=max(high, _TICKS[-1]))
    )


def _contrast(estimates: pd.DataFrame) -> str:
    if not {"CONTRAST", "REFERENCE"} <= set(estimates):
        return ""
    pairs = estimates[["CONTRAST", "REFERENCE"]].drop_duplicates().dropna()
    if len(pairs) != 1:
        return ""
    return " against ".join(style.label_of(value).lower() for value in pairs.iloc[0])


def _events(row: Any) -> str:
    n, events = getattr(row, "N", None), getattr(row, "EVENTS", None)
    return " / ".join("–" if pd.isna(value) else str(int(value)) for value in (events, n))


def _numbers(row: Any) -> str:
    return "not estimable" if row.ESTIMATE != row.ESTIMATE else ratio(row.ESTIMATE, row.LOWER, row.UPPER)
