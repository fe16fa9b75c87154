"""Closed planar contours to voxels: the inclusive even-odd rule, in index space.

A voxel belongs if its centre lies inside a contour or on it. Whole numbers are voxel centres; nothing is
shifted by half a voxel. Many writers trace through voxel centres, so a strict rule would lose their outer
ring.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
    start, end = np.asarray(points, float), np.roll(points, -1, axis=0).astype(float)
    border = _border(start, end, shape, tolerance)
    return _interior(start, end, shape) & ~border, border


def combine_contours(
    contours: Sequence[np.ndarray], shape: tuple[int, int], tolerance: float = 1e-6
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

    Returns
    -------
    (ndarray of bool, bool)
        Pixels of the region, and whether overlapping parts were joined.
    """
    filled = [fill_contour(points, shape, tolerance) for points in contours]
    border = np.logical_or.reduce([on for _, on in filled])
    parts: list[np.ndarray] = []
    joined = False
    for inside, _ in filled:
        part = inside
        overlapping = [other for other in parts if _overlap_partly(part, other)]
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
    y, x = (points - points[0]).T
    return float(abs(np.dot(y, np.roll(x, -1)) - np.dot(x, np.roll(y, -1))) / 2)


def _overlap_partly(one: np.ndarray, other: np.ndarray) -> bool:
    shared = one & other
    return bool(shared.any() and (one & ~other).any() and (other & ~one).any())


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
