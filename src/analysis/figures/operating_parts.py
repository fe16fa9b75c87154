"""Parts of the figures of operating characteristics: rows of marks with Monte Carlo errors, a legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from analysis.figures import style
from analysis.tables.format import number

MARKS = "osD^vPX"
ERRORS = 2.0  # standard errors shown to either side: about 95 %
EDGE_MM, FOOT_MM, TITLE_MM, GAP_MM, ENTRY_MM = 2.0, 11.0, 6.0, 5.0, 3.8
PAGE_MM, TIGHTEST = 228.0, 0.75  # height of a journal page; rows are not set closer than this share
_PAD_MM, _MARK_MM = 2.0, 6.5
_POINTS = 1 / style.MM_PER_POINT  # a millimetre


@dataclass(frozen=True)
class Row:
    """One line of a panel: its words, and the value of each series; a heading has no values.

    Attributes
    ----------
    words : str
        What stands to the left.
    values : DataFrame or None
        ESTIMATE and SE, indexed by series; None for a heading.
    """

    words: str
    values: pd.DataFrame | None = None


def rows_of(table: pd.DataFrame, codes: Sequence[str], by: str, name: Callable[[str], str]) -> list[Row]:
    """Return one row a METHOD of `codes`, its values indexed by the column `by`."""
    return [
        Row(name(code), table[table["METHOD"].eq(code)].drop_duplicates(by).set_index(by)[["ESTIMATE", "SE"]])
        for code in codes
    ]


def row_mm(series: int) -> float:
    """Height of a row of so many marks, mm."""
    return max(5.0, _pitch(series) * series + 2.2)


def _pitch(series: int) -> float:
    """Return the distance of the marks of a row, mm: many of them stand closer, so that a page holds them."""
    return 1.6 if series <= 4 else 1.25


def height_mm(rows: Sequence[Row], series: int) -> float:
    """Height of a panel, mm; a heading takes one line of text."""
    return sum(row_mm(series) if row.values is not None else ENTRY_MM + 1.2 for row in rows)


def tighten(talls: Sequence[float], others_mm: float) -> float:
    """Return the share to which panels of these heights shrink so that a page holds them and the rest.

    Examples
    --------
    >>> tighten([100.0, 50.0], 40.0), tighten([100.0, 100.0], 48.0)
    (1.0, 0.9)
    """
    return float(np.clip((PAGE_MM - others_mm) / max(sum(talls), 1e-9), TIGHTEST, 1.0))


def offsets_mm(series: int) -> np.ndarray:
    """Return where the marks of a row stand, mm below its middle."""
    return (np.arange(series) - (series - 1) / 2) * _pitch(series)


def middles_mm(rows: Sequence[Row], series: int) -> np.ndarray:
    """Return the middle of each row, mm from the top of the panel."""
    tall = np.array([height_mm([row], series) for row in rows])
    return tall.cumsum() - tall / 2


def label_mm(rows: Sequence[Row], most: float, rules: Any) -> float:
    """Room the words of `rows` need, mm, at most `most`; longer ones break."""
    font = rules.small_size_pt, rules.font_family
    widths = [
        style.text_width_mm(row.words, *font, "bold" if row.values is None else "normal") for row in rows
    ]
    return min(max(widths, default=0.0), most) + _PAD_MM


def draw_rows(
    axes, rows: Sequence[Row], series: Sequence[str], rules: Any, *, room_mm: float, first: int = 0,
    tight: float = 1.0,
) -> None:  # fmt: skip
    """Draw the rows into `axes`, first on top: one mark a series with two standard errors to either side.

    The vertical axis is in mm from the top; words stand to its left, broken at `room_mm` (0 writes none).
    The first series has the colour and mark number `first`. `tight` is the share to which the axes were
    lowered (`tighten`).
    """
    tall, offsets = tight * row_mm(len(series)), tight * offsets_mm(len(series))
    axes.set_ylim(tight * height_mm(rows, len(series)), 0)
    axes.set_yticks([])
    top = 0.0
    for row in rows:
        heading = row.values is None
        middle = top + (tight * (ENTRY_MM + 1.2) if heading else tall) / 2
        _write_row(axes, row, middle, room_mm, rules)
        if heading:
            top += tight * (ENTRY_MM + 1.2)
            continue
        for k, name in enumerate(series):
            if name in row.values.index:
                draw_mark(
                    axes, *row.values.loc[name, ["ESTIMATE", "SE"]], middle + offsets[k], first + k, rules
                )
        top += tall
        axes.axhline(top, color=style.GRID, lw=0.5, zorder=0)


def draw_mark(axes, estimate: float, error: float, height: float, k: int, rules: Any) -> None:
    """Draw one estimate with its Monte Carlo error; the `k`-th series has its own colour and mark."""
    spread = ERRORS * error if error == error else 0.0
    axes.errorbar(
        estimate, height, xerr=spread, fmt=MARKS[k % len(MARKS)], color=rules.cycle[k % len(rules.cycle)],
        ms=3.6, lw=0.8, clip_on=False, zorder=3,
    )  # fmt: skip


def _write_row(axes, row: Row, middle: float, room_mm: float, rules: Any) -> None:
    if not room_mm:
        return
    size = rules.small_size_pt
    weight = "bold" if row.values is None else "normal"
    # A heading may run on over the axes, which are empty beside it.
    text = row.words if row.values is None else style.wrap(row.words, room_mm, size, rules.font_family)
    place = (-room_mm * _POINTS, 0)
    axes.annotate(
        text, (0, middle), xycoords=axes.get_yaxis_transform(), xytext=place, textcoords="offset points",
        ha="left", va="center", size=size, weight=weight, linespacing=1.1, annotation_clip=False,
    )  # fmt: skip


def percent_axis(axes, label: str, low: float = 0.0, high: float = 1.0) -> None:
    """Set a horizontal axis of shares, written in percent."""
    axes.set(xlim=(low, high), xlabel=label)
    axes.xaxis.set_major_formatter(lambda value, _: number(100 * value, 0))


def root_axis(axes, label: str, high: float) -> None:
    """Set a horizontal axis of shares from 0 that spreads the small ones (square root), in percent."""
    axes.set_xscale("function", functions=(_root, np.square))
    axes.set(xlim=(0, high), xlabel=label)
    ticks = [tick for tick in (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0) if tick <= high]
    axes.set_xticks(ticks, [number(100 * tick, 0) for tick in ticks])


def _root(values: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(values, 0.0))


def reference_line(axes, value: float) -> None:
    """Draw the value that theory promises."""
    axes.axvline(value, color=style.MUTED, ls=(0, (4, 2)), lw=0.9, zorder=1)


def reach(rows: Sequence[Row]) -> float:
    """Return the largest value with its error in `rows`."""
    found = pd.concat([row.values for row in rows if row.values is not None])
    return float((found["ESTIMATE"] + ERRORS * found["SE"].fillna(0)).max())


def legend_mm(entries: Sequence[str], room_mm: float, rules: Any) -> float:
    """Height of the legend over a figure, mm."""
    return ENTRY_MM * -(-len(entries) // _columns(entries, room_mm, rules)) + 2.0


def draw_legend(figure, handles: Sequence[Line2D], left_mm: float, rules: Any) -> None:
    """Draw the legend in the upper left corner of `figure`, in as many columns as fit."""
    across = figure.get_size_inches()[0] * style.MM_PER_INCH
    names = [handle.get_label() for handle in handles]
    figure.legend(
        handles=list(handles), loc="upper left", bbox_to_anchor=(left_mm / across, 1.0), borderaxespad=0.2,
        ncols=_columns(names, across - left_mm, rules), labelspacing=0.25, handletextpad=0.3,
        columnspacing=1.0,
    )  # fmt: skip


def mark_handles(names: Sequence[str], rules: Any) -> list[Line2D]:
    """Return the legend's entries of the series, in their colours and marks."""
    return [
        Line2D(
            [],
            [],
            color=rules.cycle[k % len(rules.cycle)],
            marker=MARKS[k % len(MARKS)],
            ls="",
            ms=4,
            label=name,
        )
        for k, name in enumerate(names)
    ]


def curve_handles(names: Sequence[str], rules: Any) -> list[Line2D]:
    """Return the legend's entries of the series that have a curve and marks."""
    return [
        Line2D([], [], color=rules.cycle[k % len(rules.cycle)], marker=MARKS[k % len(MARKS)],
               ls=style.LINE_STYLES[k % 4], lw=1.0, ms=4, label=name)
        for k, name in enumerate(names)
    ]  # fmt: skip


def line_handle(words: str) -> Line2D:
    """Return the legend's entry of the line that theory promises."""
    return Line2D([], [], color=style.MUTED, ls=(0, (4, 2)), lw=0.9, label=words)


def _columns(entries: Sequence[str], room_mm: float, rules: Any) -> int:
    widest = max(style.text_width_mm(name, rules.small_size_pt, rules.font_family) for name in entries)
    return int(np.clip(room_mm // (widest + _MARK_MM + 4.0), 1, len(entries)))
