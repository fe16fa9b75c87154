"""A baseline lesion that has no region at follow-up: what the follow-up shows at its place.

Its baseline region is carried into the follow-up image by registration. The mean there is the background that
a reader's word "resolved" may count with; neither zero nor nothing, which would be a fall of 100 % or a gap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.pet.matching import Shape
from analysis.pet.region import Region
from analysis.pet.registration import RigidTransform

PROPAGATED, OUTSIDE, TOUCHES = "PROPAGATED", "PROPAGATED_OUTSIDE", "PROPAGATED_TOUCHES_LESION"


@dataclass(frozen=True, eq=False)
class Background:
    """What a follow-up scan shows at the place of a baseline lesion.

    Attributes
    ----------
    region : Region or None
        The baseline region on the follow-up grid; None where it leaves the image.
    suv_mean : float or None
        Mean SUV in it.
    flags : tuple of str
        PROPAGATED, with PROPAGATED_TOUCHES_LESION where it shares a voxel with a region drawn there; or
        PROPAGATED_OUTSIDE alone.
    """

    region: Region | None
    suv_mean: float | None
    flags: tuple[str, ...]


def propagate(
    shape: Shape, grid: Any, size: tuple[int, int, int], transform: RigidTransform
) -> Region | None:
    """Carry a baseline region into a follow-up grid.

    Parameters
    ----------
    shape : Shape
        The region, in baseline coordinates.
    grid : geometry.Grid
        Grid of the follow-up image.
    size : tuple of int
        Its slices, rows, columns.
    transform : RigidTransform
        Lays the follow-up over the baseline.

    Returns
    -------
    Region or None
        The voxels whose centre lies in the region; of a region smaller than a voxel, the one nearest to its
        centre. None if any part of it lies outside the image.
    """
    corners = grid.to_index(transform.to_followup(shape.points_mm))
    if np.any(corners < -0.5) or np.any(corners > np.array(size) - 0.5):
        return None
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, size)
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = index[shape.holds(transform.to_baseline(grid.to_mm(index)))]
    if not len(inside):
        inside = np.rint(grid.to_index(transform.to_followup(shape.centre_mm[None]))).astype(int)
    return Region.at(inside, size)


def measure_background(
    shape: Shape, pet: Any, transform: RigidTransform, drawn: Iterable[Region] = ()
) -> Background:
    """Measure a follow-up image at the place of a baseline lesion.

    Parameters
    ----------
    shape : Shape
        The baseline region.
    pet : PetImage
        The follow-up image, SUV.
    transform : RigidTransform
        Lays the follow-up over the baseline.
    drawn : iterable of Region
        Lesions drawn at follow-up.

    Returns
    -------
    Background
    """
    region = propagate(shape, pet.grid, pet.values.shape, transform)
    if region is None:
        return Background(None, None, (OUTSIDE,))
    touches = any(region.shares_voxels(other) for other in drawn)
    mean = float(pet.values[region.box][region.mask].mean(dtype=np.float64))
    return Background(region, mean, (PROPAGATED, TOUCHES) if touches else (PROPAGATED,))
