"""Regions grown from seed points that a reader set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from analysis.pet.codes import RoiRefused
from analysis.pet.growing import find_local_maximum, grow
from analysis.pet.masks import Placed
from analysis.pet.region import Region
from analysis.pet.roi import RoiSet

_FIXED, _PERCIST = "FIXED", "PERCIST"


def grow_seeds(
    pet, rows: Iterable[Mapping[str, Any]], rules, percist_threshold: float | None = None
) -> RoiSet:
    """Grow one region from each seed point.

    The hottest voxel within ``seed_search_mm`` of the seed is taken as the lesion's local maximum. The region
    holds every voxel at or above the threshold, 26-connected to that maximum.

    Parameters
    ----------
    pet : PetImage
        The image.
    rows : iterable of mapping
        Rows of ``seeds.csv`` of this scan: LESIONID, X Y Z (mm, LPS), METHOD (PERCENT41, PERCENT50: percent
        of the local maximum; FIXED: SUV of THRESHOLD, the plan's if empty; PERCIST), and ORGAN if known.
    rules : plan section
        Section ``pet`` of the plan (`seed_*`).
    percist_threshold : float, optional
        For METHOD PERCIST: 1.5 x liver mean + 2 SD, on the scale of `pet`.

    Returns
    -------
    RoiSet
        Regions by LESIONID. Flags: ``SEEDS_MERGED`` for regions that are, or share voxels with, the region of
        another seed; ``SEED_REACHES_HOTTER`` where the region holds a voxel hotter than the maximum it was
        grown from; ``ROI_TOUCHES_IMAGE_EDGE``. ``.refused`` holds the seeds that gave no region:
        SEED_INVALID, SEED_OUTSIDE_IMAGE, SEED_IN_BACKGROUND, SEED_LEAKS, PERCIST_THRESHOLD_MISSING. Whoever
        measures must account for them.

    Raises
    ------
    RoiRefused
        ``ROI_DUPLICATE_NAME`` for two seeds of one LESIONID.
    """
    grown = RoiSet()
    for number, row in enumerate(rows, start=1):
        name = str(row.get("LESIONID") or "").strip() or f"seed {number}"
        try:
            grown.put(name, _grow_one(pet, row, rules, percist_threshold))
        except RoiRefused as refused:
            if refused.code == "ROI_DUPLICATE_NAME":
                raise RoiRefused("ROI_DUPLICATE_NAME", "two seeds of one scan share a LESIONID") from refused
            grown.refuse(name, refused)
    grown.flag_shared("SEEDS_MERGED")
    return grown


def _grow_one(pet, row: Mapping[str, Any], rules, percist_threshold: float | None) -> Placed:
    centre = _centre(pet, row)
    radius = rules.seed_search_mm / pet.spacing_mm
    start = find_local_maximum(pet.values, centre, radius)
    highest = float(pet.values[start])
    if not highest > 0:
        raise _in_background(0.0, highest, rules)
    threshold = _threshold(row, highest, rules, percist_threshold)
    voxel_ml = float(np.prod(pet.spacing_mm)) / 1000
    region = grow(
        pet.values,
        start,
        threshold,
        max_voxels=rules.seed_max_ml / voxel_ml,
        max_extent=rules.seed_max_extent_mm / pet.spacing_mm,
    )
    if region is None:
        raise _in_background(threshold, highest, rules)
    volumes = np.asarray(pet.slice_volumes_ml)[region.box[0]]
    volume_ml = float(region.mask.sum(axis=(1, 2)) @ volumes)
    organ = row.get("ORGAN")
    anatomy = "" if organ is None or organ != organ else str(organ).strip()
    return Placed(region, _flags(pet, region, highest), volume_ml, anatomy)


def _in_background(threshold: float, highest: float, rules) -> RoiRefused:
    return RoiRefused(
        "SEED_IN_BACKGROUND",
        f"more than SUV {threshold:.3g} expected within {rules.seed_search_mm:g} mm of the seed, found "
        f"{highest:.3g}; move the seed or lower the threshold",
    )


def _centre(pet, row: Mapping[str, Any]) -> np.ndarray:
    """Return the seed in index coordinates."""
    try:
        point = np.array([float(row[axis]) for axis in "XYZ"])
    except (KeyError, TypeError, ValueError):
        point = np.full(3, np.nan)
    if not str(row.get("LESIONID") or "").strip() or not np.isfinite(point).all():
        raise RoiRefused("SEED_INVALID", "a seed needs LESIONID and X, Y, Z in mm; complete seeds.csv")
    (centre,) = pet.grid.to_index(point[None])
    if np.any(centre < -0.5) or np.any(centre > np.array(pet.values.shape) - 0.5):
        raise RoiRefused(
            "SEED_OUTSIDE_IMAGE",
            f"the seed lies outside the image, at voxel {np.round(centre, 1).tolist()} of "
            f"{list(pet.values.shape)}; X, Y, Z are DICOM patient coordinates (LPS) in mm",
        )
    return centre


def _threshold(row, highest: float, rules, percist_threshold: float | None) -> float:
    method = str(row.get("METHOD") or "").strip().upper()
    if method in rules.seed_percent:
        return highest * rules.seed_percent[method] / 100
    if method == _FIXED:
        given = row.get("THRESHOLD")
        try:
            stated = math.nan if given in (None, "") else float(given)
        except (TypeError, ValueError):
            stated = -1.0
        threshold = rules.seed_fixed_suv if math.isnan(stated) else stated
    elif method == _PERCIST:
        if percist_threshold is None or not math.isfinite(percist_threshold):
            raise RoiRefused(
                "PERCIST_THRESHOLD_MISSING",
                "METHOD PERCIST needs the liver of this scan (mean and SD); draw it, or use another method",
            )
        threshold = percist_threshold
    else:
        known = [*rules.seed_percent, _FIXED, _PERCIST]
        raise RoiRefused("SEED_INVALID", f"METHOD must be one of {', '.join(known)}; found {method!r}")
    if not 0 < threshold < math.inf:
        raise RoiRefused("SEED_INVALID", "THRESHOLD must be empty or an SUV above 0; correct seeds.csv")
    return threshold


def _flags(pet, region: Region, highest: float) -> list[str]:
    flags = []
    if pet.values[region.box][region.mask].max() > highest:
        flags.append("SEED_REACHES_HOTTER")
    if any(edge.start == 0 or edge.stop == size for edge, size in zip(region.box, region.shape, strict=True)):
        flags.append("ROI_TOUCHES_IMAGE_EDGE")
    return flags
