"""What the swimmer and the spider plot share: symbols, order of groups, axis of months, legend."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from matplotlib.colors import to_rgb

from analysis.figures import style
from analysis.figures.kaplan_meier import time_ticks
from analysis.tables import words

# what happened -> marker, filled or open, words; the last is drawn on top
SYMBOLS = {
    "PR": ("^", False, "Partial response begins"),
    "CR": ("^", True, "Complete response begins"),
    "NACT": ("D", False, "New anti-cancer therapy"),
    "CLINPD": ("X", False, "Clinical progression"),
    "PD": ("X", True, "Progression"),
    "DEATH": ("|", True, "Death"),
}
SIZES = {"X": 1.35, "D": 0.8, ">": 0.87, "|": 1.45}  # markers of one size look unequal
DARK = (">", "|")  # stand free or on a line: no white edge
HANDLE_MM, MOST_COLUMNS = 11.0, 4


def symbol(marker: str, filled: bool, size_pt: float) -> dict[str, Any]:
    """Return the look of a marker: dark with a white edge, or white with a dark edge."""
    edged = filled and marker not in DARK
    look = {"mfc": style.INK if filled else "white", "mec": "white" if edged else style.INK}
    stroke = size_pt * (0.4 if marker == "|" else 0.15)
    return {"ls": "", "marker": marker, "ms": size_pt * SIZES.get(marker, 1.0), "mew": stroke, **look}


def tint(color: str) -> tuple[float, ...]:
    """Return a colour half way to white, so that dark symbols stand out on it."""
    return tuple(0.5 + part / 2 for part in to_rgb(color))


def order_groups(found: Iterable[str]) -> list[str]:
    """Sort groups as `tables.words` lists them, unknown ones last by name.

    Examples
    --------
    >>> order_groups(["PD", "other", "CR", "SD"])
    ['CR', 'SD', 'PD', 'other']
    """
    known = [*words.GROUPS]
    return sorted(found, key=lambda name: (known.index(name) if name in known else len(known), str(name)))


def set_months(axes, first: float, until: float, origin: str, rules: Any) -> None:
    """Set a time axis from `first` to a little beyond `until` (months), counted from `origin`."""
    end = 1.02 * max(until, 1.0)
    ticks = time_ticks(end, rules.km_step_months)
    axes.set(xlim=(first, end), xticks=[tick for tick in ticks if tick <= end])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel(f"Months from {origin}", labelpad=2)


def legend_size(entries: list, room_mm: float, rules: Any) -> tuple[int, float]:
    """Return how many columns of a legend fit `room_mm`, and the height it takes, mm."""
    size = rules.small_size_pt
    widest = max(style.text_width_mm(entry.get_label(), size, rules.font_family) for entry in entries)
    columns = max(1, min(MOST_COLUMNS, len(entries), int(room_mm // (widest + HANDLE_MM))))
    return columns, 4.0 + (style.line_height_mm(size) + 0.7) * math.ceil(len(entries) / columns)


def add_legend(axes, entries: list, columns: int) -> None:
    """Set the legend above the axes, at their left edge."""
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.6}
    axes.legend(handles=entries, ncols=columns, columnspacing=1.6, labelspacing=0.35, **place)
