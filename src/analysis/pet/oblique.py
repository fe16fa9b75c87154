"""Contours drawn on planes that are not parallel to the image's slices: sagittal, coronal, tilted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.pet.codes import RoiRefused
from analysis.pet.contour import Contour, enclosed_area, find_distinct, find_points
from analysis.pet.planes import merge_planes, nearest_plane, slab_halves, usual_gap
from analysis.pet.region import Region


def fill_oblique(contours: Sequence[Contour], pet, rules) -> tuple[Region, float, bool, bool]:
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
    (Region, float, bool, bool)
        Voxels; volume in ml as drawn (area of the contours times what their plane stands for); whether
        overlapping parts were joined; whether contours drawn twice were dropped.

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
    planes, index = merge_planes(along, tolerance_mm, rules.duplicate_mm)
    step = _step(planes, rules)
    drawn = [
        [contours[at].points_mm @ across.T for at in np.flatnonzero(index == plane)]
        for plane in range(len(planes))
    ]
    size_mm, limit = float(pet.spacing_mm.min()), (sum(pet.values.shape),) * 2
    once = [
        [
            outlines[at]
            for at in find_distinct(
                [points / size_mm for points in outlines],
                limit,
                rules.contour_tolerance_voxel,
                rules.contour_same_area_fraction,
            )
        ]
        for outlines in drawn
    ]
    repeated, drawn = len(contours) > sum(map(len, once)), once
    even_odd = all(contour.even_odd for contour in contours)
    region, joined = _fill(drawn, planes, step, (normal, across), even_odd, contours, pet, rules)
    areas = [enclosed_area(outlines, rules.contour_touch_voxel * size_mm) for outlines in drawn]
    return region, float(np.dot(areas, sum(slab_halves(planes, step)))) / 1000, joined, repeated


def _fill(drawn, planes, step, axes, even_odd, contours, pet, rules) -> tuple[Region, bool]:
    normal, across = axes
    corners = pet.grid.to_index(np.concatenate([contour.points_mm for contour in contours]))
    margin = np.ceil(step / pet.spacing_mm).astype(int)
    shape = np.array(pet.values.shape)
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - margin, 0, shape)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1 + margin, low, shape)
    mask, joined = np.zeros(high - low, bool), False
    tolerance_mm, touch_mm = (
        share * float(pet.spacing_mm.min())
        for share in (rules.contour_tolerance_voxel, rules.contour_touch_voxel)
    )
    for k in range(low[0], high[0]):
        inside = mask[k - low[0]]
        rows_columns = np.argwhere(np.ones(inside.shape, bool))
        centres = pet.grid.to_mm(np.column_stack([np.full(len(rows_columns), k), rows_columns + low[1:]]))
        nearest = nearest_plane(planes, centres @ normal, step, rules.plane_rounding_mm)
        for plane in np.unique(nearest[nearest >= 0]):
            chosen = nearest == plane
            found, overlapping = find_points(
                centres[chosen] @ across.T, drawn[plane], tolerance_mm, touch_mm, even_odd=even_odd
            )
            inside[tuple(rows_columns[chosen].T)] = found
            joined |= overlapping
    return Region(
        tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), mask, tuple(shape)
    ), joined


def _step(planes: np.ndarray, rules) -> float:
    step = usual_gap(np.diff(planes), rules.contour_spacing_max_mm)
    if step is None:
        raise RoiRefused(
            "ROI_OTHER_PLANES",
            "contours are not parallel to the image's slices, and nothing tells how thick their planes are; "
            "draw them on this image",
        )
    return step


def _normal(points: np.ndarray) -> np.ndarray:
    """Return the unit vector across a contour, by Newell's sum."""
    whole = _newell(points)
    return whole / np.linalg.norm(whole)


def _area(points: np.ndarray) -> float:
    return float(np.linalg.norm(_newell(points)) / 2)


def _newell(points: np.ndarray) -> np.ndarray:
    offset = points - points[0]
    return np.cross(offset, np.roll(offset, -1, axis=0)).sum(axis=0)
