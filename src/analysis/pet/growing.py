"""Region growing from a point: all voxels at or above a threshold that hang together with it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from analysis.pet.codes import RoiRefused
from analysis.pet.region import Region

_NEIGHBOURS = np.ones((3, 3, 3), bool)
_FIRST_REACH = 6  # voxels looked at around the seed before the box grows; changes no region


def grow(
    values: np.ndarray,
    seed_index: tuple[int, int, int],
    threshold: float,
    *,
    max_voxels: float = np.inf,
    max_extent: np.ndarray | None = None,
) -> Region | None:
    """Grow the 26-connected region of voxels at or above a threshold that holds a voxel.

    Only a box around the seed is looked at; it grows on the sides the region touches until it touches none.

    Parameters
    ----------
    values : ndarray, shape (slices, rows, columns)
        Image.
    seed_index : tuple of int
        Voxel to grow from.
    threshold : float
        Inclusive, on the scale of `values` and compared in their type.
    max_voxels : float
        Size from which the region counts as leaked.
    max_extent : ndarray, shape (3,), optional
        Longest side, in voxels, from which it does.

    Returns
    -------
    Region or None
        None if the seed lies below the threshold.

    Raises
    ------
    RoiRefused
        ``SEED_LEAKS`` as soon as the region is larger than allowed.
    """
    shape = np.array(values.shape)
    seed = np.array(seed_index)
    limit = values.dtype.type(threshold)
    if not values[tuple(seed)] >= limit:
        return None
    reach = np.full((2, 3), _FIRST_REACH)
    while True:
        low, high = np.maximum(seed - reach[0], 0), np.minimum(seed + reach[1] + 1, shape)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        labels, _ = ndimage.label(values[box] >= limit, structure=_NEIGHBOURS)
        mine = labels == labels[tuple(seed - low)]
        region = Region.of(mine)
        first = low + [edge.start for edge in region.box]
        last = low + [edge.stop for edge in region.box]
        extent = np.inf if max_extent is None else max_extent
        n_voxels = region.n_voxels
        if n_voxels > max_voxels or np.any(last - first > extent):
            raise RoiRefused(
                "SEED_LEAKS",
                f"the region grown at SUV {threshold:.4g} reached {n_voxels} voxels, "
                f"{(last - first).tolist()} along the axes, too many for a lesion; raise the threshold or "
                "draw the region",
            )
        open_sides = np.stack([(first == low) & (low > 0), (last == high) & (high < shape)])
        if not open_sides.any():
            whole = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
            return Region(whole, region.mask, values.shape)
        reach = np.where(open_sides, 2 * reach, reach)


def find_local_maximum(values: np.ndarray, centre: np.ndarray, radius_voxels: np.ndarray) -> tuple[int, ...]:
    """Find the hottest voxel whose centre lies within an ellipsoid, for equal values the nearest.

    Parameters
    ----------
    values : ndarray, shape (slices, rows, columns)
        Image.
    centre : ndarray, shape (3,)
        Index coordinates, fractional, inside the image.
    radius_voxels : ndarray, shape (3,)
        Half axes in voxels.

    Returns
    -------
    tuple of int
        Slice, row, column; the voxel that holds the centre if no other is within reach.
    """
    shape = np.array(values.shape)
    nearest = np.clip(np.floor(centre + 0.5).astype(int), 0, shape - 1)
    low = np.clip(np.ceil(centre - radius_voxels).astype(int), 0, nearest)
    high = np.clip(np.floor(centre + radius_voxels).astype(int) + 1, nearest + 1, shape)
    axes = [
        (np.arange(a, b) - at) / max(radius, 1e-9)
        for a, b, at, radius in zip(low, high, centre, radius_voxels, strict=True)
    ]
    distance = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
    part = values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    within = distance <= 1
    within[tuple(nearest - low)] = True
    hottest = part[within].max()
    candidates = np.where(within & (part == hottest), distance, np.inf)
    at = np.unravel_index(int(np.argmin(candidates)), part.shape)
    return tuple(int(index) for index in low + at)
