"""Closed planar contours to voxels: the inclusive even-odd rule, in index space.

A voxel belongs if its centre lies inside a contour or on it. Whole numbers are voxel centres; nothing is
shifted by half a voxel. Many writers trace through voxel centres, so a strict rule would lose their outer
ring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_TOUCHING = 1e-6  # in units of the vertices: rounding of coordinates that were computed to be equal


class Contour(NamedTuple):
    """A closed contour as it was drawn.

    Attributes
    ----------
    points_mm : ndarray, shape (n, 3)
        Vertices (LPS).
    even_odd : bool
        Whether the file states that contours combine by exclusive or.
    """

    points_mm: np.ndarray
    even_odd: bool


def fill_contour(
    points: np.ndarray, shape: tuple[int, int], tolerance: float = 1e-6
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels inside one closed contour, and those on it.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Vertices as (row, column) index coordinates; the last joins the first.
    shape : (int, int)
        Rows and columns of the image; what lies outside is clipped.
    tolerance : float
        How close, in voxels, a centre is to count as on the contour.

    Returns
    -------
    (ndarray of bool, ndarray of bool)
        Even-odd interior without its border, and border.

    Examples
    --------
    >>> inside, on = fill_contour(np.array([[0, 0], [0, 2], [2, 2], [2, 0]]), (3, 3))
    >>> int(inside.sum()), int(on.sum())
    (1, 8)
    """
    start, end = _edges(np.asarray(points, float))
    border = _border(start, end, shape, tolerance)
    return _interior(start, end, shape) & ~border, border


def combine_contours(
    contours: Sequence[np.ndarray],
    shape: tuple[int, int],
    tolerance: float = 1e-6,
    *,
    even_odd: bool = False,
) -> tuple[np.ndarray, bool]:
    """Combine the contours of one region on one slice.

    Nested contours make holes (even-odd). Parts that overlap without one holding the other are joined
    instead: even-odd would erase what they share.

    Parameters
    ----------
    contours : sequence of ndarray, shape (n, 2)
        Vertices as (row, column) index coordinates.
    shape : (int, int)
        Rows and columns of the image.
    tolerance : float
        As for `fill_contour`.
    even_odd : bool
        Join nothing: the file states that its contours combine by exclusive or.

    Returns
    -------
    (ndarray of bool, bool)
        Pixels of the region, and whether overlapping parts were joined.
    """
    return _combine([fill_contour(points, shape, tolerance) for points in contours], even_odd)


def find_points(
    points: np.ndarray, contours: Sequence[np.ndarray], tolerance: float, *, even_odd: bool = False
) -> tuple[np.ndarray, bool]:
    """Find which points lie in a region, by the rules of `combine_contours`, anywhere in its plane.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Points to look up.
    contours : sequence of ndarray, shape (m, 2)
        Vertices, in the units of `points`.
    tolerance : float
        How close, in these units, a point is to count as on a contour.
    even_odd : bool
        As for `combine_contours`.

    Returns
    -------
    (ndarray of bool, bool)
        True in the region or on its contours, and whether overlapping parts were joined.

    Examples
    --------
    >>> square = np.array([[0.0, 0], [0, 2], [2, 2], [2, 0]])
    >>> find_points(np.array([[1.0, 1], [2, 1], [3, 1]]), [square], 1e-6)[0].tolist()
    [True, True, False]
    """
    return _combine([_inside_and_on(points, contour, tolerance) for contour in contours], even_odd)


def enclosed_area(contours: Sequence[np.ndarray]) -> float:
    """Compute the area of a region on one plane: nested contours are holes, and islands in them.

    Parameters
    ----------
    contours : sequence of ndarray, shape (n, 2)
        Vertices.

    Returns
    -------
    float
        Area in squared units of the vertices; NaN where a contour has vertices on both sides of another.

    Examples
    --------
    >>> outer = np.array([[0.0, 0], [0, 4], [4, 4], [4, 0]])
    >>> enclosed_area([outer, outer / 2 + 1])
    12.0
    """
    areas = [contour_area(points) for points in contours]
    total = 0.0
    for index, points in enumerate(contours):
        depth = 0
        for other, outline in enumerate(contours):
            if other == index or not boxes_meet(points, outline):
                continue
            inside, on = _inside_and_on(points, outline, _TOUCHING)
            n_in, n_out = int(np.count_nonzero(inside)), int(np.count_nonzero(~inside & ~on))
            if n_in and n_out:
                return math.nan
            depth += int(n_out == 0 and areas[other] > areas[index])
        total += areas[index] * (-1) ** depth
    return total


def boxes_meet(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether the bounding boxes of two sets of points, each of shape (n, 2), touch."""
    return bool(np.all(one.min(axis=0) <= other.max(axis=0)) and np.all(other.min(axis=0) <= one.max(axis=0)))


def _combine(filled: Sequence[tuple[np.ndarray, np.ndarray]], even_odd: bool) -> tuple[np.ndarray, bool]:
    border = np.logical_or.reduce([on for _, on in filled])
    parts: list[np.ndarray] = []
    joined = False
    for inside, _ in filled:
        part = inside
        overlapping = [] if even_odd else [other for other in parts if _overlap_partly(part, other)]
        for other in overlapping:
            part, joined = part | other, True
        parts = [other for other in parts if not any(other is taken for taken in overlapping)] + [part]
    return np.logical_xor.reduce(parts) | border, joined


def contour_area(points: np.ndarray) -> float:
    """Compute the area a contour encloses by the shoelace rule, in squared units of `points`.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Vertices.

    Returns
    -------
    float
        Absolute area; 0 for fewer than three points.

    Examples
    --------
    >>> contour_area(np.array([[0, 0], [0, 2], [3, 2], [3, 0]]))
    6.0
    """
    if len(points) < 3:
        return 0.0
    y, x = (points[1:] - points[0]).T  # seen from the first vertex, the edges at it add nothing
    return float(abs(np.dot(y[:-1], x[1:]) - np.dot(x[:-1], y[1:])) / 2)


def _edges(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return points, np.concatenate([points[1:], points[:1]])


def _overlap_partly(one: np.ndarray, other: np.ndarray) -> bool:
    shared = one & other
    return bool(shared.any() and (one & ~other).any() and (other & ~one).any())


def _inside_and_on(
    points: np.ndarray, contour: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Tell of points whether they lie inside one contour without being on it, and on it."""
    start, end = _edges(contour)
    y, x = points[:, :1], points[:, 1:]
    spans = (start[:, 0] <= y) != (end[:, 0] <= y)
    along = end - start
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = start[:, 1] + (y - start[:, 0]) / along[:, 0] * along[:, 1]
    inside = np.count_nonzero(spans & (x > crossing), axis=1) % 2 == 1
    length2 = np.maximum((along**2).sum(axis=1), np.finfo(float).tiny)
    share = np.clip(((y - start[:, 0]) * along[:, 0] + (x - start[:, 1]) * along[:, 1]) / length2, 0, 1)
    off = np.hypot(y - start[:, 0] - share * along[:, 0], x - start[:, 1] - share * along[:, 1])
    on = (off <= tolerance).any(axis=1)
    return inside & ~on, on


def _interior(start: np.ndarray, end: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the even-odd interior: parity of the edges met left of each pixel, row by row."""
    low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    # Half-open rows, low <= row < high: a vertex between two edges is met once, a peak twice or never.
    edge, row = _whole_numbers(np.ceil(low), np.ceil(high) - 1, shape[0])
    a, b = start[edge], end[edge]
    column = a[:, 1] + (row - a[:, 0]) / (b[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    first = np.clip(np.floor(column) + 1, 0, shape[1]).astype(int)
    crossings = np.zeros((shape[0], shape[1] + 1), np.int32)
    np.add.at(crossings, (row, first), 1)
    return np.cumsum(crossings[:, :-1], axis=1) % 2 == 1


def _border(start: np.ndarray, end: np.ndarray, shape: tuple[int, int], tolerance: float) -> np.ndarray:
    """Return pixels whose centre lies on an edge: edges are met at whole rows, and again at whole columns."""
    border = np.zeros(shape, bool)
    for axis in (0, 1):
        low = np.minimum(start[:, axis], end[:, axis])
        high = np.maximum(start[:, axis], end[:, axis])
        edge, line = _whole_numbers(np.ceil(low - tolerance), np.floor(high + tolerance), shape[axis])
        a, b = start[edge], end[edge]
        length = b[:, axis] - a[:, axis]
        flat = (
            np.abs(length) <= tolerance
        )  # an edge along this line: its own points are found by the other axis
        share = np.clip((line - a[:, axis]) / np.where(flat, 1, length), 0, 1)
        for at in (np.where(flat, 0, share), np.where(flat, 1, share)):
            across = a[:, 1 - axis] + at * (b[:, 1 - axis] - a[:, 1 - axis])
            nearest = np.round(across)
            on = (np.abs(across - nearest) <= tolerance) & (nearest >= 0) & (nearest < shape[1 - axis])
            place = (line[on], nearest[on].astype(int))
            border[place if axis == 0 else place[::-1]] = True
    return border


def _whole_numbers(low: np.ndarray, high: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """List the whole numbers in [low, high] and [0, size) of every edge: the edge's index, and the number."""
    low = np.clip(low, 0, size).astype(int)
    high = np.clip(high, -1, size - 1).astype(int)
    count = np.maximum(high - low + 1, 0)
    edge = np.repeat(np.arange(len(low)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return edge, low[edge] + within
