"""Regions outlined on a projection: the edge of each along the pixels, its name beside it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke

REFERENCES = ("LIVER", "AORTA")


def draw_outlines(
    axes, labels: np.ndarray, names: Sequence[str], size_pt: float, line: float, color: str,
    leave_out: Collection[str] = REFERENCES,
) -> None:  # fmt: skip
    """Outline regions on axes that show a projection.

    Parameters
    ----------
    axes : Axes
        Pixel centres at whole numbers, rows downwards.
    labels : ndarray of int, shape (rows, columns)
        Place in `names` of the region seen at each pixel, counted from 1; 0 none.
    names : sequence of str
        Names of the regions.
    size_pt : float
        Size of the names, points.
    line : float
        Height of a line of text, pixels of the projection: names keep so far from each other.
    color : str
        Of outlines and names.
    leave_out : collection of str
        Regions that are not drawn.
    """
    halo = [withStroke(linewidth=1.2, foreground="white")]
    places: list[tuple[float, float, bool, str]] = []
    for number, name in enumerate(names, start=1):
        seen = np.pad(labels == number, 1)
        if name in leave_out or not seen.any():
            continue
        axes.add_collection(LineCollection(_edges(seen), colors=color, linewidths=0.8, capstyle="projecting"))
        y, x = np.nonzero(seen)
        right = bool(x.max() < 0.8 * labels.shape[1])
        places.append((float(y.mean()) - 1, float(x.max() if right else x.min() - 2), right, name))
    for y, x, right, name in _apart(places, line):
        side = "left" if right else "right"
        axes.text(
            x, y, name, size=size_pt, color=color, ha=side, va="center", path_effects=halo, clip_on=True
        )


def _edges(seen: np.ndarray) -> list[list[tuple[float, float]]]:
    """Return the sides between pixels inside and outside; `seen` has an empty rim of one pixel."""
    level, upright = (np.argwhere(np.diff(seen.astype(np.int8), axis=axis)) for axis in (0, 1))
    sides = [[(x - 1.5, y - 0.5), (x - 0.5, y - 0.5)] for y, x in level]
    return sides + [[(x - 0.5, y - 1.5), (x - 0.5, y - 0.5)] for y, x in upright]


def _apart(places: list[tuple[Any, ...]], line: float) -> list[tuple[Any, ...]]:
    """Move names down that would cover one above them."""
    written: list[tuple[Any, ...]] = []
    for y, x, *rest in sorted(places):
        for above, beside, *_ in written:
            if abs(x - beside) < 4 * line and y < above + line:
                y = above + line
        written.append((y, x, *rest))
    return written
