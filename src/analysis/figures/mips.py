"""Maximum-intensity projections side by side: a patient before and on treatment, the lesions outlined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.figures.outlines import REFERENCES, draw_outlines
from analysis.tables.format import counted

VISIT_ORDER = ("D0", "D14", "D28", "PROG", "UNSCHED")
SIDES = {"CORONAL": ("R", "L"), "SAGITTAL": ("A", "P")}  # what lies at the left and right edge of a view
HEAD_MM, GAP_MM, BLOCK_GAP_MM, SCALE_MM, EDGE_MM = 11.0, 1.5, 4.0, 6.0, 1.0
LEAST_MM, MOST_MM = 36.0, 225.0  # narrowest projection whose names can be read; height of a journal page
BAR_MM = 14.0  # length of the grey scale


@style.drawn
def plot_mips(
    mips: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    visits: Sequence[str] | None = None,
    scale: str = "",
    view: str = "CORONAL",
    outline: bool = True,
    width: str | float | None = None,
    rules: Any = None,
) -> Figure:
    """Draw maximum-intensity projections: a block a patient, a column a visit; high uptake is dark.

    Parameters
    ----------
    mips : DataFrame
        Rows of the table mips: USUBJID AVISIT VIEW ROWS COLUMNS PIXELMM PIXELS LABELS LABELNAMES (grey
        values 0-255, row by row; square pixels, head first).
    labels : mapping, optional
        USUBJID -> text above the block; no subject identifier is printed otherwise.
    visits : sequence of str, optional
        Columns; every visit that occurs, in time order, if absent.
    scale : str
        What white and black stand for, for example ``"SUV 0 (white) to 10 (black)"``; written beside a grey
        bar under the projections.
    view : {"CORONAL", "SAGITTAL"}
        Direction of view.
    outline : bool
        Outline the lesions and name them; liver and aorta are not drawn.
    width : {"column", "half", "page"} or float, optional
        Width, or mm; without it the narrowest of the plan's that holds all patients side by side.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        The panel, all at one scale; R and L (A and P) mark the patient's sides. A scan that does not exist
        is named as missing.

    Raises
    ------
    ValueError
        If there is no projection, or PIXELS or LABELS does not fill ROWS x COLUMNS.
    """
    mips = mips[mips["VIEW"] == view]
    if mips.empty:
        raise ValueError("no projection to draw: leave the figure out and say why")
    shown = list(visits or _visits(mips))
    rows = {(row.USUBJID, row.AVISIT): row for row in mips.itertuples()}
    images = {key: _image(row, row.PIXELS) for key, row in rows.items()}
    people = list(dict.fromkeys(mips["USUBJID"]))
    whole = (
        max(row.COLUMNS * row.PIXELMM for row in rows.values()),
        max(row.ROWS * row.PIXELMM for row in rows.values()),
    )
    foot = SCALE_MM if scale else EDGE_MM
    width = width or _narrowest(len(people) * len(shown), rules)
    grid = _Grid(len(people), len(shown), style.width_mm(width, rules), whole[1] / whole[0], foot)
    figure = style.new_figure(width, grid.height, rules)
    for place, person in enumerate(people):
        title = (labels or {}).get(person, f"Patient {place + 1}" if len(people) > 1 else "")
        left, bottom = grid.corner(place, 0)
        room = style.wrap(title, grid.block, rules.font_size_pt, rules.font_family, "bold")
        _write_mm(figure, left, bottom + grid.tall + 6.8, room, rules.font_size_pt, weight="bold")
        for column, visit in enumerate(shown):
            axes = style.axes_mm(figure, *grid.corner(place, column), grid.wide, grid.tall)
            _draw_mip(axes, images.get((person, visit)), style.label_of(visit), rules)
            if (row := rows.get((person, visit))) is None:
                continue
            _set_scale(axes, row, *whole)
            _mark_sides(axes, SIDES[view], rules)
            if outline:
                _outline_lesions(axes, row, whole[1] / grid.tall, rules)
    if scale:
        _draw_scale(figure, scale, rules)
    return figure


@spelled_out
def caption_mips(mips: pd.DataFrame, *, scale: str = "", outline: bool = True) -> str:
    """Write the caption of the projection panel from what it shows."""
    mips = mips[mips["VIEW"] == "CORONAL"]
    visits = [style.label_of(visit).lower() for visit in _visits(mips)]
    n = mips["USUBJID"].nunique()
    text = (
        "Coronal maximum-intensity projections, seen from the front (R, L: the patient's right and left), of "
        f"{counted(n, 'patient')} at {style.join_words(visits)}. Every projection has the same grey scale"
        f"{f', {scale},' if scale else ''} and size."
    )
    if not outline:
        return text
    return (
        f"{text} Lesions are outlined and carry the name they have in the tables, a lesion the same name at "
        f"every visit ({_outlined(mips)} outlines in all); where they overlap, the smaller one is in front."
    )


def alt_mips(mips: pd.DataFrame) -> str:
    """Describe the projections for a reader who cannot see them."""
    mips = mips[mips["VIEW"] == "CORONAL"]
    visits = [style.label_of(visit).lower() for visit in _visits(mips)]
    who = counted(mips["USUBJID"].nunique(), "patient")
    return (
        f"{len(mips)} coronal FDG-PET projections of {who}, side by side: "
        f"{style.join_words(visits)}; {_outlined(mips)} lesions outlined. Dark is high uptake."
    )


class _Grid:
    """Where the projections stand, mm from the lower left: blocks of one patient, as many a line as fit."""

    def __init__(self, people: int, visits: int, across: float, shape: float, foot: float):
        fits = max(1, int((across + BLOCK_GAP_MM) // (visits * LEAST_MM)))
        self.per_line = min(people, fits)
        self.lines = -(-people // self.per_line)
        gaps = 2 * EDGE_MM + (self.per_line - 1) * BLOCK_GAP_MM + self.per_line * (visits - 1) * GAP_MM
        self.wide = (across - gaps) / (self.per_line * visits)
        self.tall = min(self.wide * shape, (MOST_MM - foot) / self.lines - HEAD_MM)
        self.wide = min(self.wide, self.tall / shape)
        self.block = visits * self.wide + (visits - 1) * GAP_MM
        self.height = self.lines * (self.tall + HEAD_MM) + foot

    def corner(self, place: int, column: int) -> tuple[float, float]:
        """Return the lower left corner of a projection: place of its patient, column of its visit."""
        line, block = divmod(place, self.per_line)
        left = EDGE_MM + block * (self.block + BLOCK_GAP_MM) + column * (self.wide + GAP_MM)
        return left, self.height - (line + 1) * (self.tall + HEAD_MM)


def _narrowest(columns: int, rules: Any) -> str:
    widths = sorted(rules.widths_mm, key=rules.widths_mm.get)
    return next((name for name in widths if rules.widths_mm[name] >= columns * LEAST_MM), widths[-1])


def _visits(mips: pd.DataFrame) -> list[str]:
    return [visit for visit in VISIT_ORDER if visit in set(mips["AVISIT"])]


def _seen(row: Any) -> int:
    """Count the lesions a projection shows."""
    names = row.LABELNAMES.split(";") if isinstance(row.LABELNAMES, str) else []
    there = set(np.unique(_image(row, row.LABELS)))
    return sum(number in there for number, name in enumerate(names, start=1) if name not in REFERENCES)


def _outlined(mips: pd.DataFrame) -> int:
    return sum(_seen(row) for row in mips.itertuples())


def _image(row: Any, pixels: Any) -> np.ndarray:
    pixels = np.frombuffer(pixels, np.uint8) if isinstance(pixels, bytes) else np.asarray(pixels)
    if pixels.size != int(row.ROWS) * int(row.COLUMNS):
        raise ValueError(f"PIXELS holds {pixels.size} values, not {int(row.ROWS)} x {int(row.COLUMNS)}")
    return pixels.reshape(int(row.ROWS), int(row.COLUMNS)).astype(np.uint8)


def _draw_mip(axes, image: np.ndarray | None, title: str, rules: Any) -> None:
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, size=rules.small_size_pt, weight="normal", pad=2)
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.GRID)
    if image is None:
        axes.text(0.5, 0.5, "no scan", transform=axes.transAxes, ha="center", va="center", color=style.MUTED)
    else:
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest", aspect="equal")


def _set_scale(axes, row: Any, wide_mm: float, tall_mm: float) -> None:
    """Show every projection at one scale, feet at the bottom: pictures may end at different heights."""
    axes.set_ylim(row.ROWS - 0.5, row.ROWS - 0.5 - tall_mm / row.PIXELMM)
    middle, half = (row.COLUMNS - 1) / 2, wide_mm / row.PIXELMM / 2
    axes.set_xlim(middle - half, middle + half)


def _mark_sides(axes, sides: tuple[str, str], rules: Any) -> None:
    for side, place, align in zip(sides, (0.02, 0.98), ("left", "right"), strict=True):
        axes.text(
            place, 0.99, side, transform=axes.transAxes, ha=align, va="top", size=rules.small_size_pt,
            color=style.MUTED, gid="side",
        )  # fmt: skip


def _outline_lesions(axes, row: Any, body_mm: float, rules: Any) -> None:
    """Outline and name the lesions; a millimetre on paper is `body_mm` in the patient."""
    names = row.LABELNAMES.split(";") if isinstance(row.LABELNAMES, str) else []
    size = rules.small_size_pt
    line = size * style.MM_PER_POINT * body_mm / row.PIXELMM
    draw_outlines(axes, _image(row, row.LABELS), names, size, line, rules.cycle[1])


def _draw_scale(figure: Figure, words: str, rules: Any) -> None:
    axes = style.axes_mm(figure, EDGE_MM, 1.6, BAR_MM, 2.2)
    axes.imshow(np.arange(256)[None, :], cmap="gray_r", aspect="auto")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.MUTED, lw=0.5)
    _write_mm(figure, EDGE_MM + BAR_MM + 2.0, 2.7, words, rules.small_size_pt, color=style.MUTED)


def _write_mm(figure: Figure, x: float, y: float, text: str, size: float, **options: Any) -> None:
    across, up = (inches * style.MM_PER_INCH for inches in figure.get_size_inches())
    figure.text(x / across, y / up, text, size=size, va="center", ha="left", **options)
