"""Parallel planes: which positions are one plane, how far apart planes are drawn, what each stands for."""

from __future__ import annotations

import numpy as np


def merge_planes(
    along: np.ndarray, apart: float, rounding: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Merge positions that are one plane.

    Parameters
    ----------
    along : ndarray, shape (n,)
        Positions along a normal.
    apart : float
        Positions within this of each other are one plane.
    rounding : float, optional
        A chain of neighbours that reaches further than `apart` is no one plane but planes close together: of
        these, only positions this close to the first of a plane are merged; `apart` if not given.

    Returns
    -------
    (ndarray, shape (planes,); ndarray of int, shape (n,))
        Planes, ascending, and which of them each position has.

    Examples
    --------
    >>> merge_planes(np.array([3.0, 0.0, 0.1]), 0.2)[1].tolist()
    [1, 0, 0]
    >>> merge_planes(np.array([0.0, 0.15, 0.3]), 0.2, 0.01)[0].tolist()
    [0.0, 0.15, 0.3]
    """
    rounding = apart if rounding is None else rounding
    order = np.argsort(along, kind="stable")
    ordered = along[order]
    starts = np.concatenate([[True], np.diff(ordered) > apart])
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(along)) - 1
    for chain in np.flatnonzero(ordered[last] - ordered[first] > apart):
        begin = first[chain]
        for at in range(begin + 1, last[chain] + 1):
            if ordered[at] - ordered[begin] > rounding:
                starts[at], begin = True, at
    index = np.empty(len(along), int)
    index[order] = np.cumsum(starts) - 1
    return ordered[starts], index


def usual_gap(gaps: np.ndarray, most: float) -> float | None:
    """Find the distance that planes were drawn at: the most common gap, so that a stray plane moves nothing.

    Parameters
    ----------
    gaps : ndarray
        Distances of neighbouring planes.
    most : float
        Planes further apart than this are single drawings.

    Returns
    -------
    float or None
        Median of the gaps that round to one common gap; of two as common the smaller. None where there is no
        gap up to `most`.

    Examples
    --------
    >>> usual_gap(np.array([3.0, 3.0, 0.5, 2.5, 3.0, 40.0]), 10.0)
    3.0
    """
    gaps = gaps[gaps <= most]
    if not len(gaps):
        return None
    alike = np.round(gaps / gaps[:, None]) == 1
    common = alike.sum(axis=1)
    best = gaps[common == common.max()].min()
    return float(np.median(gaps[np.round(gaps / best) == 1]))


def slab_halves(planes: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each plane reaches: half-way to a neighbour a step away or less, else half a step.

    Parameters
    ----------
    planes : ndarray, shape (n,)
        Positions, ascending.
    step : float
        Usual distance of neighbouring planes.

    Returns
    -------
    (ndarray, ndarray), each of shape (n,)
        Reach below and above.

    Examples
    --------
    >>> below, above = slab_halves(np.array([0.0, 3.0, 4.0, 20.0]), 3.0)
    >>> (below + above).tolist()
    [3.0, 2.0, 2.0, 3.0]
    """
    gaps = np.diff(planes)
    half = np.where(np.round(gaps / step) <= 1, gaps, step) / 2
    return np.append(step / 2, half), np.append(half, step / 2)


def nearest_plane(planes: np.ndarray, at: np.ndarray, step: float, rounding: float) -> np.ndarray:
    """Find the plane whose slab holds a position.

    Parameters
    ----------
    planes : ndarray, shape (n,)
        Positions, ascending.
    at : ndarray
        Positions to look up, any shape.
    step : float
        Usual distance of neighbouring planes. The lower end of a slab (`slab_halves`) belongs to it, its
        upper end does not, so that slabs side by side hold every position once.
    rounding : float
        Positions this close below an end of a slab are on it; in the units of `planes`.

    Returns
    -------
    ndarray of int
        Index of the nearest plane; -1 outside all slabs.

    Examples
    --------
    >>> at = np.array([-0.1, 0.0, 1.9, 2.0, 3.9, 4.0])
    >>> nearest_plane(np.array([1.0, 3.0]), at, 2.0, 1e-3).tolist()
    [-1, 0, 0, 1, 1, -1]
    """
    at = np.asarray(at, float) + rounding
    later = np.clip(np.searchsorted(planes, at), 0, len(planes) - 1)
    earlier = np.maximum(later - 1, 0)
    best = np.where(at - planes[earlier] < planes[later] - at, earlier, later)
    below, above = slab_halves(planes, step)
    offset = at - planes[best]
    return np.where((offset >= -below[best]) & (offset < above[best]), best, -1)


def left_out(planes: np.ndarray, step: float, most: int) -> np.ndarray:
    """Return the planes above which a few planes were left out, as indices.

    Parameters
    ----------
    planes : ndarray, shape (n,)
        Positions, ascending.
    step : float
        Usual distance of neighbouring planes.
    most : int
        More missing planes than this lie between two parts.

    Returns
    -------
    ndarray of int
        Index of the plane below each gap.

    Examples
    --------
    >>> left_out(np.array([0.0, 4.0, 12.0, 40.0]), 4.0, 2).tolist()
    [1]
    """
    missing = np.round(np.diff(planes) / step) - 1
    return np.flatnonzero((missing >= 1) & (missing <= most))
