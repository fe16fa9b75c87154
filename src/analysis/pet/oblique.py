"""Contours drawn on planes that are not parallel to the image's slices: sagittal, coronal, tilted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.pet.codes import RoiRefused
from analysis.pet.contour import Contour, enclosed_area, find_points
from analysis.pet.masks import merge_planes, nearest_plane
from analysis.pet.region import Region


def fill_oblique(contours: Sequence[Contour], pet, rules) -> tuple[Region, float, bool]:
    """Find the voxels whose centre lies in the nearest contour plane's area.

    Parameters
    ----------
    contours : sequence of Contour
        Of one region, on planes parallel to each other.
    pet : PetImage
        The image.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    (Region, float, bool)
        Voxels; volume in ml as drawn (area of the contours times the distance of their planes); whether
        overlapping parts were joined.

    Raises
    ------
    RoiRefused
        ``ROI_OTHER_PLANES`` for contours that are not flat or not parallel to each other, and for a single
        plane or planes so far apart that nothing tells how thick the region is.
    """
    normal = _normal(max((contour.points_mm for contour in contours), key=_area))
    across = np.linalg.svd(normal[None])[2][1:]  # two unit vectors in the plane
    tolerance_mm = rules.contour_plane_fraction * float(pet.spacing_mm.min())
    if any(np.ptp(contour.points_mm @ normal) > tolerance_mm for contour in contours):
        raise RoiRefused(
            "ROI_OTHER_PLANES", "the contours of a region lie on planes of several directions; draw it again"
        )
    along = np.array([float((contour.points_mm @ normal).mean()) for contour in contours])
    planes, index = merge_planes(along, tolerance_mm)
    step = _step(planes, rules)
    drawn = [
        [contours[at].points_mm @ across.T for at in np.flatnonzero(index == plane)]
        for plane in range(len(planes))
    ]
    even_odd = all(contour.even_odd for contour in contours)
    region, joined = _fill(drawn, planes, step, (normal, across), even_odd, contours, pet, rules)
    return region, sum(map(enclosed_area, drawn)) * step / 1000, joined


def _fill(drawn, planes, step, axes, even_odd, contours, pet, rules) -> tuple[Region, bool]:
    normal, across = axes
    corners = pet.grid.to_index(np.concatenate([contour.points_mm for contour in contours]))
    margin = np.ceil(step / pet.spacing_mm).astype(int)
    shape = np.array(pet.values.shape)
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - margin, 0, shape)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1 + margin, low, shape)
    mask, joined = np.zeros(high - low, bool), False
    tolerance_mm = rules.contour_tolerance_voxel * float(pet.spacing_mm.min())
    for k in range(low[0], high[0]):
        inside = mask[k - low[0]]
        rows_columns = np.argwhere(np.ones(inside.shape, bool))
        centres = pet.grid.to_mm(np.column_stack([np.full(len(rows_columns), k), rows_columns + low[1:]]))
        nearest = nearest_plane(planes, centres @ normal, step)
        for plane in np.unique(nearest[nearest >= 0]):
            chosen = nearest == plane
            found, overlapping = find_points(
                centres[chosen] @ across.T, drawn[plane], tolerance_mm, even_odd=even_odd
            )
            inside[tuple(rows_columns[chosen].T)] = found
            joined |= overlapping
    return Region(
        tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), mask, tuple(shape)
    ), joined


def _step(planes: np.ndarray, rules) -> float:
    gaps = np.diff(planes)
    if not len(gaps) or gaps.min() > rules.contour_spacing_max_mm:
        raise RoiRefused(
            "ROI_OTHER_PLANES",
            "contours are not parallel to the image's slices, and nothing tells how thick their planes are; "
            "draw them on this image",
        )
    return float(np.median(gaps[np.round(gaps / gaps.min()) == 1]))


def _normal(points: np.ndarray) -> np.ndarray:
    """Return the unit vector across a contour, by Newell's sum."""
    whole = _newell(points)
    return whole / np.linalg.norm(whole)


def _area(points: np.ndarray) -> float:
    return float(np.linalg.norm(_newell(points)) / 2)


def _newell(points: np.ndarray) -> np.ndarray:
    offset = points - points[0]
    return np.cross(offset, np.roll(offset, -1, axis=0)).sum(axis=0)
