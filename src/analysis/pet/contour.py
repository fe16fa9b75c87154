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
    touch: float = 1e-6,
    *,
    even_odd: bool = False,
) -> tuple[np.ndarray, bool]:
    """Combine the contours of one region on one slice.

    Nested contours make holes (even-odd). Parts that overlap without one holding the other are joined
    instead: even-odd would erase what they share. Outlines tell which it is, not the voxels they fill.

    Parameters
    ----------
    contours : sequence of ndarray, shape (n, 2)
        Vertices as (row, column) index coordinates.
    shape : (int, int)
        Rows and columns of the image.
    tolerance : float
        As for `fill_contour`.
    touch : float
        Contours that reach into each other no deeper, in voxels, only touch.
    even_odd : bool
        Join nothing: the file states that its contours combine by exclusive or.

    Returns
    -------
    (ndarray of bool, bool)
        Pixels of the region, and whether overlapping parts were joined.
    """
    crossing = [] if even_odd else _find_crossing(contours, touch)
    return _combine([fill_contour(points, shape, tolerance) for points in contours], crossing)


def find_points(
    points: np.ndarray,
    contours: Sequence[np.ndarray],
    tolerance: float,
    touch: float = 1e-6,
    *,
    even_odd: bool = False,
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
    touch, even_odd : float, bool
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
    crossing = [] if even_odd else _find_crossing(contours, touch)
    return _combine([_inside_and_on(points, contour, tolerance) for contour in contours], crossing)


def enclosed_area(contours: Sequence[np.ndarray], touch: float = _TOUCHING) -> float:
    """Compute the area of a region on one plane: nested contours are holes, and islands in them.

    Parameters
    ----------
    contours : sequence of ndarray, shape (n, 2)
        Vertices.
    touch : float
        Contours that reach into each other no deeper, in units of the vertices, only touch.

    Returns
    -------
    float
        Area in squared units of the vertices; NaN where contours reach into each other.

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
            inside, outside = _sides(points, outline, touch)
            if inside and outside:
                return math.nan
            depth += int(not outside and areas[other] > areas[index])
        total += areas[index] * (-1) ** depth
    return total


def boxes_meet(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether the bounding boxes of two sets of points, each of shape (n, 2), touch."""
    return bool(np.all(one.min(axis=0) <= other.max(axis=0)) and np.all(other.min(axis=0) <= one.max(axis=0)))


def find_distinct(
    contours: Sequence[np.ndarray], limit: tuple[int, int], tolerance: float, same_area: float
) -> list[int]:
    """Find the contours of one plane that do not repeat an earlier one; even-odd would erase both.

    Parameters
    ----------
    contours : sequence of ndarray, shape (n, 2)
        Vertices, in voxels.
    limit : (int, int)
        Rows and columns compared at most, counted from the corner of the contours.
    tolerance : float
        As for `fill_contour`.
    same_area : float
        A contour repeats another if both fill the same voxels and their areas differ by no more than this
        share: the hole of a thin wall is no repetition. Where both fill no voxel, their bounding boxes must
        agree as closely.

    Returns
    -------
    list of int
        Indices of the contours to keep.

    Examples
    --------
    >>> square = np.array([[0.0, 0], [0, 4], [4, 4], [4, 0]])
    >>> find_distinct([square, square[::-1], square / 2], (9, 9), 1e-6, 0.05)
    [0, 2]
    """
    areas = [contour_area(points) for points in contours]
    kept: list[int] = []
    for at, points in enumerate(contours):
        alike = (other for other in kept if abs(areas[at] - areas[other]) <= same_area * areas[other])
        if not any(_fill_alike(points, contours[other], limit, tolerance, same_area) for other in alike):
            kept.append(at)
    return kept


def _fill_alike(one, other, limit, tolerance, same_area) -> bool:
    if not boxes_meet(one, other):
        return False
    both = np.concatenate([one, other])
    low = np.floor(both.min(axis=0))
    shape = tuple(np.minimum(np.ceil(both.max(axis=0)) - low + 1, limit).astype(int).tolist())
    voxels, theirs = (np.logical_or(*fill_contour(points - low, shape, tolerance)) for points in (one, other))
    if voxels.any() or theirs.any():
        return bool(np.array_equal(voxels, theirs))
    apart = np.abs([one.min(axis=0) - other.min(axis=0), one.max(axis=0) - other.max(axis=0)])
    return bool(np.all(apart <= same_area * np.ptp(both, axis=0)))


def _combine(
    filled: Sequence[tuple[np.ndarray, np.ndarray]], crossing: Sequence[tuple[int, int]]
) -> tuple[np.ndarray, bool]:
    """Combine contours by even-odd, but for what contours share that reach into each other.

    Contours linked by crossings make a part: their even-odd, and what any two crossing ones share. A contour
    across a ring and its hole is so added to the ring. Parts combine by even-odd. The order of the contours
    changes nothing.
    """
    insides = [inside for inside, _ in filled]
    border = np.logical_or.reduce([on for _, on in filled])
    part = list(range(len(filled)))
    for one, other in crossing:
        old, new = part[one], part[other]
        part = [new if name == old else name for name in part]
    total = np.zeros_like(border)
    for name in set(part):
        mask = np.logical_xor.reduce([insides[at] for at, own in enumerate(part) if own == name])
        for one, other in crossing:
            if part[one] == name:
                mask = mask | (insides[one] & insides[other])
        total ^= mask
    return total | border, bool(crossing)


def _find_crossing(contours: Sequence[np.ndarray], touch: float) -> list[tuple[int, int]]:
    """List the pairs of contours of which each lies partly inside the other, partly outside."""
    pairs = []
    for at, points in enumerate(contours):
        for other in range(at):
            if boxes_meet(points, contours[other]) and _cross(points, contours[other], touch):
                pairs.append((other, at))
    return pairs


def _cross(one: np.ndarray, other: np.ndarray, touch: float) -> bool:
    return all(_sides(one, other, touch)) or all(_sides(other, one, touch))


def _sides(points: np.ndarray, outline: np.ndarray, touch: float) -> tuple[bool, bool]:
    """Tell whether a contour runs inside another, and outside it, anywhere deeper than `touch`."""
    inside, on = _inside_and_on(_along(points, outline), outline, touch)
    return bool(inside.any()), bool(np.any(~inside & ~on))


def _along(points: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Return a contour's vertices, and the middle of each piece that another's edges cut it into."""
    start, end = _edges(points)
    along = end - start
    theirs, until = _edges(outline)
    span = until - theirs
    gap = theirs - start[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        area = along[:, :1] * span[:, 1] - along[:, 1:] * span[:, 0]
        at = (gap[..., 0] * span[:, 1] - gap[..., 1] * span[:, 0]) / area
        across = (gap[..., 0] * along[:, 1:] - gap[..., 1] * along[:, :1]) / area
        edge, met = np.nonzero((at > 0) & (at < 1) & (across > -_TOUCHING) & (across < 1 + _TOUCHING))
    n = np.arange(len(points))
    edges = np.concatenate([n, edge, n])
    shares = np.concatenate([np.zeros(len(n)), at[edge, met], np.ones(len(n))])
    order = np.lexsort([shares, edges])
    edges, shares = edges[order], shares[order]
    same = edges[1:] == edges[:-1]
    middle = ((shares[1:] + shares[:-1]) / 2)[same]
    return np.concatenate([points, start[edges[1:][same]] + middle[:, None] * along[edges[1:][same]]])


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
