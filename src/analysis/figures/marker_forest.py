"""Forest of markers: the effect of each on one outcome, with its counts and adjusted p-values beside."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.contracts.biomarkers import METHODS
from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables import biomarker_words as words
from analysis.tables.format import p_value

ROW_MM, HEAD_MM, FOOT_MM, EDGE_MM, SPACE_MM, LEAST_AXIS_MM = 4.8, 9.0, 15.0, 1.5, 3.5, 25.0
TIERS = {"CANDIDATE": "Candidate tier", "SCREEN": "Screen", "SINGLE": "Single questions"}
MOST_ROWS = 40  # what a page holds
_TICKS = np.array([0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32])


class _Column(NamedTuple):
    head: str
    texts: list[str]
    width: float


@style.drawn
def plot_marker_forest(
    estimates: pd.DataFrame,
    *,
    outcome: str,
    method: str | None = None,
    level: int = 95,
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw the effect of every marker on one outcome: candidate tier first, then by p.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers.
    outcome : str
        OUTCOME to draw.
    method : str, optional
        METHOD; without it, as `biomarker_words.choose_rows`.
    level : int
        Confidence level, percent, printed over the numbers.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan (``forest_range``).

    Returns
    -------
    Figure
        The forest; an interval that leaves the plan's range ends in an arrow. Markers that were not tested
        are counted in the caption; at most forty are drawn, those with the smallest p.

    Raises
    ------
    ValueError
        If no marker of this outcome was tested, or the width leaves no room for the axis.
    """
    shown = _shown(estimates, outcome, method)
    statistic = shown["STATISTIC"].iloc[0]
    lines = _lines(shown)
    columns = _columns(lines, statistic, level, rules)
    across = style.width_mm(width, rules)
    room = across - 2 * EDGE_MM - sum(column.width + SPACE_MM for column in columns)
    if room < LEAST_AXIS_MM:
        raise ValueError(f"{across:.0f} mm is too narrow for a forest of markers; use the page width")
    height = HEAD_MM + ROW_MM * len(lines) + FOOT_MM
    figure = style.new_figure(width, height, rules)
    page = style.canvas_mm(figure)
    axis_left = EDGE_MM + columns[0].width + columns[1].width + 2 * SPACE_MM
    _write(page, columns, lines, axis_left, room, across, rules.small_size_pt)
    axes = style.axes_mm(figure, axis_left, FOOT_MM, room, ROW_MM * len(lines))
    low, high = _limits(shown, statistic, rules.forest_range)
    for place, row in enumerate(lines):
        if not isinstance(row, str):
            _draw(axes, row, place + 0.5, low, high, rules)
    _finish(axes, statistic, outcome, len(lines), (low, high))
    return figure


@spelled_out
def caption_marker_forest(
    estimates: pd.DataFrame, *, outcome: str, method: str | None = None, level: int = 95
) -> str:
    """Write the caption of a forest of markers from its rows."""
    rows, shown = words.choose_rows(estimates, outcome, method), _shown(estimates, outcome, method)
    tested = len(words.tested_rows(rows))
    title = words.effect_title(shown["STATISTIC"].iloc[0], outcome)
    text = f"{title}, with {level} % intervals that are not corrected for the number of markers "
    text += f"({METHODS.get(shown['METHOD'].iloc[0], shown['METHOD'].iloc[0])}; {tested} tested markers)."
    text += f" The {len(shown)} with the smallest p are drawn." if tested > len(shown) else ""
    text += f" {len(rows) - tested} more were not tested." if len(rows) > tested else ""
    return f"{text} Higher goes with resistance. q and maxT are within the tier. Exploratory."


def alt_marker_forest(estimates: pd.DataFrame, *, outcome: str, method: str | None = None) -> str:
    """Describe the forest for a reader who cannot see it: every row in words."""
    shown = _shown(estimates, outcome, method)
    rows = [f"{words.marker_words(row)} {words.write_effect(row)}" for row in shown.to_dict("records")]
    return f"Forest plot of {len(shown)} markers. {'; '.join(rows)}."


def _shown(estimates: pd.DataFrame, outcome: str, method: str | None) -> pd.DataFrame:
    shown = words.tested_rows(words.choose_rows(estimates, outcome, method))
    if shown.empty:
        raise ValueError(f"no marker was tested against {outcome}: leave the figure out and say why")
    ranked = shown.sort_values(["P", "MARKER"], kind="stable")
    candidate = ranked["TIER"].eq("CANDIDATE")
    # A long screen does not push the candidates out, nor a long list of candidates the screen.
    first = ranked[candidate].head(max(MOST_ROWS // 2, MOST_ROWS - int((~candidate).sum())))
    kept = pd.concat([first, ranked[~candidate].head(MOST_ROWS - len(first))])
    place = kept["TIER"].map({tier: number for number, tier in enumerate(TIERS)})
    return kept.assign(PLACE=place).sort_values("PLACE", kind="stable").reset_index(drop=True)


def _lines(shown: pd.DataFrame) -> list[str | dict]:
    lines: list[str | dict] = []
    for tier, rows in shown.groupby("TIER", sort=False):
        lines += [TIERS.get(tier, tier), *rows.to_dict("records")]
    return lines


def _columns(lines: list, statistic: str, level: int, rules: Any) -> list[_Column]:
    write = {
        # What a long name adds in brackets is for the text; here it would take the room of the axis.
        "Marker": lambda row: words.marker_words(row).split(" (")[0],
        "With / n": words.count_words,
        f"{_head(statistic)}\n({level} % CI)": lambda row: words.write_effect(row, named=False),
        "p": lambda row: p_value(row["P"], rules=rules),
        "q": lambda row: p_value(row["Q_BH"], rules=rules),
        "p (maxT)": lambda row: p_value(row["P_MAXT"], rules=rules),
    }
    wide = lambda text, weight: style.text_width_mm(text, rules.small_size_pt, rules.font_family, weight)
    columns = []
    for head, tell in write.items():
        texts = ["" if isinstance(row, str) else tell(row) for row in lines]
        if head != "Marker" and all(text in ("", "–") for text in texts):
            continue
        if head == "With / n" and not any("/" in text for text in texts):
            head = "n"
        indent = 2.5 if head == "Marker" else 0.0
        heads = [row for row in lines if isinstance(row, str)] if indent else []
        found = [wide(text, "normal") + indent for text in texts]
        columns.append(_Column(head, texts, max([*found, *(wide(text, "bold") for text in [head, *heads])])))
    return columns


def _head(statistic: str) -> str:
    name = words.SHORT.get(statistic, statistic)
    return name[:1].upper() + name[1:] if len(name) > 1 else name


def _write(page, columns, lines, axis_left: float, room: float, across: float, size: float) -> None:
    left = EDGE_MM
    page.plot([EDGE_MM, across - EDGE_MM], [HEAD_MM - 0.6] * 2, color=style.INK, lw=0.6)
    for number, column in enumerate(columns):
        align, x = ("left", left) if number in (0, 2) else ("right", left + column.width)
        page.text(
            x, HEAD_MM / 2, column.head, ha=align, va="center", size=size, weight="bold", linespacing=1.15
        )
        for place, text in enumerate(column.texts):
            y = HEAD_MM + ROW_MM * (place + 0.5)
            page.text(x + (2.5 if number == 0 else 0.0), y, text, ha=align, va="center", size=size)
        left += column.width + SPACE_MM
        left = axis_left + room + SPACE_MM if number == 1 else left
    for place, row in enumerate(lines):
        if isinstance(row, str):
            y = HEAD_MM + ROW_MM * (place + 0.5)
            page.text(EDGE_MM, y, row, va="center", size=size, weight="bold")


def _limits(shown: pd.DataFrame, statistic: str, reach: list[float]) -> tuple[float, float]:
    found = shown[["ESTIMATE", "LOWER", "UPPER"]].to_numpy(float)
    finite = found[np.isfinite(found)]
    if statistic in words.RATIOS:
        finite = finite[finite > 0]
        low, high = np.clip([finite.min(initial=0.5), finite.max(initial=2.0)], *reach)
        return float(_TICKS[low * (1 + 1e-9) >= _TICKS].max(initial=0.125)), float(
            _TICKS[high * (1 - 1e-9) <= _TICKS].min(initial=32)
        )
    neutral = words.neutral_of(statistic)
    low, high = min(finite.min(initial=neutral), neutral), max(finite.max(initial=neutral), neutral)
    pad = 0.04 * (high - low) or 0.5
    return low - pad, high + pad


def _draw(axes, row: dict, y: float, low: float, high: float, rules: Any) -> None:
    value, lower, upper = row["ESTIMATE"], row["LOWER"], row["UPPER"]
    color = rules.cycle[0] if row["TIER"] == "CANDIDATE" else style.INK
    if pd.notna(lower) or pd.notna(upper):
        left = low if pd.isna(lower) else min(max(lower, low), high)
        right = high if pd.isna(upper) else max(min(upper, high), low)
        axes.plot([left, right], [y, y], color=color, lw=1.0, solid_capstyle="butt", zorder=2)
        for end, outside, mark in (
            (low, pd.isna(lower) or lower < low, "<"),
            (high, pd.isna(upper) or upper > high, ">"),
        ):
            if outside:
                axes.plot([end], [y], mark, color=color, ms=3.5, zorder=3, clip_on=False)
    if low <= value <= high:
        axes.plot([value], [y], "s", color=color, ms=4.0, zorder=4)


def _finish(axes, statistic: str, outcome: str, rows: int, limits: tuple[float, float]) -> None:
    is_ratio = statistic in words.RATIOS
    axes.set(xscale="log" if is_ratio else "linear", xlim=limits, ylim=(rows, 0), yticks=[])
    if is_ratio:
        ticks = _TICKS[(limits[0] <= _TICKS) & (limits[1] >= _TICKS)]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.axvline(words.neutral_of(statistic), color=style.MUTED, lw=0.7, zorder=1)
    axes.spines["left"].set_visible(False)
    title = words.effect_title(statistic, outcome)
    axes.set_xlabel(f"{title}\n({'log scale, ' if is_ratio else ''}higher = resistance)")
