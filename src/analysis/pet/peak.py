"""SUVpeak: the highest mean of a small sphere, by voxel centres, by exact overlap, and about the maximum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analysis.pet.region import Region

_NODES = 12  # of the integral along slices, between two heights at which it is not smooth
_NOTHING = 1e-12  # a smaller share is rounding
_GATHER = 1 << 20  # values fetched at once: bounds memory, changes no number


@dataclass(frozen=True, eq=False)
class PeakKernel:
    """Voxels of the peak sphere about the centre of a voxel.

    Attributes
    ----------
    offsets : ndarray of int, shape (n, 3)
        Steps (slice, row, column) to every voxel the sphere touches.
    weights : ndarray, shape (n, 2)
        Column 0: 1 where the voxel's centre lies in the sphere or on it, else 0. Column 1: share of the voxel
        inside the sphere.
    reach : tuple of int
        Farthest step along each axis.
    full : ndarray, shape (2,)
        Sums of the weights.
    """

    offsets: np.ndarray
    weights: np.ndarray
    reach: tuple[int, int, int]
    full: np.ndarray


@dataclass(frozen=True)
class Peaks:
    """SUVpeak of one region.

    Attributes
    ----------
    centres : float
        P1: highest mean over voxels whose centre lies in the sphere, among spheres about voxels of the region
        (IBSI 0F91, global intensity peak).
    exact : float
        P2: the same with voxels weighted by their overlap with the sphere.
    at_max : float
        P3: P1's mean about the hottest voxel (IBSI VJGA, local intensity peak); the best of several hottest.
    leaves_image : bool
        Whether P1's sphere reaches beyond the image; what lies outside is left out of the mean.
    """

    centres: float
    exact: float
    at_max: float
    leaves_image: bool


def peak_radius_mm(volume_ml: float = 1.0) -> float:
    """Compute the radius in mm of a sphere of `volume_ml`.

    Parameters
    ----------
    volume_ml : float
        Volume in ml.

    Returns
    -------
    float
        Radius in mm.

    Examples
    --------
    >>> round(peak_radius_mm(1.0), 6)
    6.203505
    """
    return (3 * volume_ml * 1000 / (4 * math.pi)) ** (1 / 3)


def peak_kernel(spacing_mm: np.ndarray, volume_ml: float = 1.0) -> PeakKernel:
    """List the voxels of the peak sphere; computed once for every voxel size.

    Parameters
    ----------
    spacing_mm : ndarray, shape (3,)
        Voxel size in mm (slice, row, column).
    volume_ml : float
        Volume of the sphere in ml.

    Returns
    -------
    PeakKernel
        Offsets with the weights of the centre rule and of the exact overlap.
    """
    return _kernel(tuple(float(step) for step in spacing_mm), float(volume_ml))


@lru_cache(maxsize=64)
def _kernel(spacing: tuple[float, float, float], volume_ml: float) -> PeakKernel:
    radius, steps = peak_radius_mm(volume_ml), np.array(spacing)
    axes = [np.arange(-n, n + 1) for n in np.ceil(radius / steps + 0.5).astype(int)]
    share = _overlaps(axes, steps, radius).ravel()
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    centred = np.linalg.norm(offsets * steps, axis=1) <= radius * (1 + 1e-12)
    touched = (share > 0) | centred
    weights = np.column_stack([centred[touched], share[touched]]).astype(float)
    reach = tuple(int(step) for step in np.abs(offsets[touched]).max(axis=0))
    return PeakKernel(offsets[touched], weights, reach, weights.sum(axis=0))


def _overlaps(axes: list[np.ndarray], steps: np.ndarray, radius: float) -> np.ndarray:
    """Return the share of each voxel inside a sphere about the middle voxel's centre.

    The area of a circle in a rectangle has a closed form; it is integrated along the slices between the
    heights at which the circle passes an edge or a corner, where alone it is not smooth.
    """
    edges = [(np.append(axis, axis[-1] + 1) - 0.5) * step for axis, step in zip(axes, steps, strict=True)]
    passed = np.add.outer(np.append(edges[1], 0) ** 2, np.append(edges[2], 0) ** 2).ravel()
    heights = np.sqrt(radius**2 - passed[passed < radius**2])
    breaks = np.unique(np.concatenate([heights, -heights, edges[0][np.abs(edges[0]) < radius]]).round(12))
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    node, weight = (
        (3 * node - node**3) / 2,
        weight * (1 - node**2) * 3 / 2,
    )  # flat ends: no root at the breaks
    middle, half = (breaks[1:] + breaks[:-1]) / 2, np.diff(breaks) / 2
    at, weights = (middle[:, None] + half[:, None] * node).ravel(), np.outer(half, weight).ravel()
    share = np.zeros([len(axis) for axis in axes])
    voxel = np.searchsorted(edges[0], at) - 1
    for z, w, k in zip(at, weights, voxel, strict=True):
        share[k] += w * _circle_in_rectangles(math.sqrt(max(radius**2 - z**2, 0.0)), edges[1], edges[2])
    share /= np.prod(steps)
    return np.where(share > _NOTHING, share, 0.0)


def _circle_in_rectangles(radius: float, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the area of a circle about 0 in every rectangle between successive edges."""
    y, x = np.minimum(np.abs(rows), radius)[:, None], np.minimum(np.abs(columns), radius)
    start = np.minimum(
        np.sqrt(np.maximum(radius**2 - y**2, 0)), x
    )  # up to here the rectangle's edge is below the circle
    corner = y * start + _under_circle(x, radius) - _under_circle(start, radius)
    corner *= np.sign(rows)[:, None] * np.sign(columns)
    return np.diff(np.diff(corner, axis=0), axis=1)


def _under_circle(x: np.ndarray, radius: float) -> np.ndarray:
    """Integrate the height of a circle about 0 from 0 to `x`."""
    angle = np.arcsin(x / radius) if radius > 0 else 0.0
    return (x * np.sqrt(np.maximum(radius**2 - x**2, 0)) + radius**2 * angle) / 2


def compute_peaks(
    values: np.ndarray, region: Region, hottest: np.ndarray, spacing_mm: np.ndarray, volume_ml: float = 1.0
) -> Peaks:
    """Compute SUVpeak of a region; the sphere may leave the region, its centre may not.

    Parameters
    ----------
    values : ndarray, shape (slices, rows, columns)
        SUV of the whole image.
    region : Region
        Voxels about which the sphere is laid; at least one.
    hottest : ndarray of bool, shape (n,)
        Which of the region's voxels, in the order of its mask, hold the maximum.
    spacing_mm : ndarray, shape (3,)
        Voxel size in mm.
    volume_ml : float
        Volume of the sphere in ml.

    Returns
    -------
    Peaks
        Highest means, on the scale of `values`.
    """
    kernel = peak_kernel(spacing_mm, volume_ml)
    voxels = np.nonzero(region.mask)
    low = [edge.start - n for edge, n in zip(region.box, kernel.reach, strict=True)]
    high = [edge.stop + n for edge, n in zip(region.box, kernel.reach, strict=True)]
    fits = min(low) >= 0 and all(b <= size for b, size in zip(high, values.shape, strict=True))
    if fits and values.flags.c_contiguous:
        corner = [edge.start for edge in region.box]
        means = _gather(values, voxels, corner, kernel) / kernel.full
        best = means[:, 0].argmax()
        leaves = False
    else:
        cut, known = _pad(values, low, high)
        weights = _gather(known, voxels, kernel.reach, kernel)
        means = _gather(cut, voxels, kernel.reach, kernel) / weights
        best = means[:, 0].argmax()
        leaves = bool(weights[best, 0] < kernel.full[0])
    highest = means.max(axis=0)
    return Peaks(float(means[best, 0]), float(highest[1]), float(means[hottest, 0].max()), leaves)


def _gather(
    values: np.ndarray, voxels: tuple[np.ndarray, ...], corner: Sequence[int], kernel: PeakKernel
) -> np.ndarray:
    """Return the weighted sums about each voxel, shape (n, 2), by steps along the flattened array."""
    _, rows, columns = values.shape
    strides = (rows * columns, columns, 1)
    index = voxels[0] * strides[0] + voxels[1] * strides[1] + voxels[2]
    index += sum(start * stride for start, stride in zip(corner, strides, strict=True))
    steps, flat = kernel.offsets @ strides, values.reshape(-1)
    at_once = max(1, _GATHER // len(steps))
    if len(index) <= at_once:
        return flat[index[:, None] + steps] @ kernel.weights
    parts = [index[start : start + at_once] for start in range(0, len(index), at_once)]
    return np.concatenate([flat[part[:, None] + steps] @ kernel.weights for part in parts])


def _pad(values: np.ndarray, low: Sequence[int], high: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Cut a box that may leave the image; voxels outside are 0 and not known."""
    sides = list(zip(low, high, values.shape, strict=True))
    within = tuple(slice(max(a, 0), min(b, size)) for a, b, size in sides)
    target = tuple(slice(edge.start - a, edge.stop - a) for edge, a in zip(within, low, strict=True))
    shape = [b - a for a, b, _ in sides]
    cut, known = np.zeros(shape), np.zeros(shape)
    cut[target], known[target] = values[within], 1.0
    return cut, known
