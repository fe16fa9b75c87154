"""Regions of an RTSTRUCT as voxels of the PET grid.

The contours are held against the centres of the image's voxels, wherever they were drawn: no mask on another
grid comes between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pydicom

from analysis.pet.codes import RoiRefused
from analysis.pet.contour import (
    Contour,
    boxes_meet,
    combine_contours,
    contour_area,
    enclosed_area,
    find_distinct,
)
from analysis.pet.contour_file import WrittenContour, read_contours
from analysis.pet.masks import Placed
from analysis.pet.oblique import fill_oblique
from analysis.pet.planes import left_out, merge_planes, nearest_plane, slab_halves, usual_gap
from analysis.pet.region import Region
from analysis.pet.roi_file import RoiFile

_XOR = {"CLOSED_PLANAR_XOR", "CLOSEDPLANAR_XOR"}
_AREAS = {"CLOSED_PLANAR", *_XOR}


@dataclass(frozen=True, eq=False)
class _Drawing:
    """The usable contours of one region.

    `planes` are positions in slices of the image, `index` says on which of them each contour lies, `outlines`
    are the contours as (row, column); all empty if the contours are not parallel to the slices.
    """

    contours: list[Contour]
    flags: list[str]
    planes: np.ndarray
    index: np.ndarray
    outlines: list[np.ndarray]

    def on(self, plane: int) -> list[np.ndarray]:
        return [self.outlines[at] for at in np.flatnonzero(self.index == plane)]

    def flag(self, code: str) -> None:
        if code not in self.flags:
            self.flags.append(code)


def read_rtstruct(file: RoiFile, pet, rules) -> tuple[dict[str, Placed], dict[str, RoiRefused]]:
    """Rasterise every region of a structure set.

    A voxel belongs if its centre lies in the area of the nearest contour plane, or on its border. Planes of
    the image's own grid fill just their slices; planes of another grid reach half-way to their neighbours
    (half their distance where there is none), flagged ``ROI_OTHER_GRID``.

    Parameters
    ----------
    file : RoiFile
        The structure set.
    pet : PetImage
        The image whose grid is filled.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    (dict of str to Placed, dict of str to RoiRefused)
        Regions by name, and regions that cannot be used: ``ROI_OTHER_FRAME_OF_REFERENCE``,
        ``ROI_OTHER_PLANES``, ``ROI_UNREADABLE``. A region without usable contours is empty, with flag
        ``ROI_EMPTY``. The source volume is the area of the contours times what their planes stand for; None
        where contours cross.

    Raises
    ------
    RoiRefused
        ``ROI_DUPLICATE_NAME``, ``ROI_UNREADABLE``.
    """
    ds = file.header
    contours = read_contours(file)
    if not contours or "StructureSetROISequence" not in ds:
        raise RoiRefused(
            "ROI_UNREADABLE", "the structure set lacks its regions or their contours; send it again"
        )
    drawings: dict[str, _Drawing] = {}
    refused: dict[str, RoiRefused] = {}
    for region in ds.get("StructureSetROISequence") or []:
        name = str(region.get("ROIName") or f"ROI {region.ROINumber}").strip()
        if name in drawings or name in refused:
            raise RoiRefused(
                "ROI_DUPLICATE_NAME", "two regions of one structure set share a name; rename one"
            )
        try:
            flags = _frame_flags(str(region.get("ReferencedFrameOfReferenceUID") or ""), ds, pet, rules)
            drawings[name] = _draw(contours.get(int(region.ROINumber), []), flags, pet, rules)
        except RoiRefused as error:
            refused[name] = error
    steps = [_own_step(drawing.planes, pet, rules) for drawing in drawings.values()]
    usual = min((step for step in steps if step), default=1.0)
    placed: dict[str, Placed] = {}
    for (name, drawing), step in zip(drawings.items(), steps, strict=True):
        try:
            placed[name] = _fill(drawing, step or (1.0 if _on_slices(drawing, rules) else usual), pet, rules)
        except RoiRefused as error:
            refused[name] = error
    return placed, refused


def _frame_flags(region_frame: str, ds: pydicom.Dataset, pet, rules) -> list[str]:
    """Check that a region was drawn in the image's frame of reference; return flags."""
    image_frame = pet.facts["frame_of_reference_uid"]
    declared = {
        str(item.get("FrameOfReferenceUID") or "")
        for item in ds.get("ReferencedFrameOfReferenceSequence") or []
    }
    declared = (declared | {str(ds.get("FrameOfReferenceUID") or "")}) - {""}
    if not image_frame or not (region_frame or declared):
        return ["ROI_FRAME_OF_REFERENCE_UNKNOWN"]
    if region_frame == image_frame or (not region_frame and declared == {image_frame}):
        return []
    if declared == {image_frame} and rules.roi_undeclared_frame == "flag":
        # The region names a frame the file does not declare; the file as a whole belongs to this image.
        return ["ROI_FRAME_OF_REFERENCE_UNDECLARED"]
    raise RoiRefused(
        "ROI_OTHER_FRAME_OF_REFERENCE",
        "the region was drawn in another frame of reference (3006,0024) than this image; register it first, "
        "or give the structure set of this scan",
    )


def _draw(written: Sequence[WrittenContour], flags: list[str], pet, rules) -> _Drawing:
    """Collect the usable contours of a region and sort them into planes."""
    contours: list[Contour] = []
    for item in written:
        points = item.points_mm() if item.kind in _AREAS else None
        if points is None:
            flags.append("ROI_NOT_AN_AREA_SKIPPED")
        elif _area_mm2(points) < rules.contour_min_area_mm2:
            flags.append("ROI_DEGENERATE_CONTOUR_DROPPED")
        else:
            contours.append(Contour(points, item.kind in _XOR))
    flags[:] = dict.fromkeys(flags)
    index = _to_index(contours, pet.grid)
    if not index or any(np.ptp(points[:, 0]) > rules.contour_plane_fraction for points in index):
        return _Drawing(contours, flags, np.zeros(0), np.zeros(0, int), [])
    along = np.array([points[:, 0].mean() for points in index])
    planes, which = _sort_planes(along, pet, rules)
    outlines = [points[:, 1:] for points in index]
    kept = _distinct(outlines, which, pet, rules)
    if len(kept) < len(contours):
        flags.append("ROI_DUPLICATE_CONTOUR_DROPPED")
    chosen = [contours[at] for at in kept], [outlines[at] for at in kept]
    return _Drawing(chosen[0], flags, planes, which[kept], chosen[1])


def _sort_planes(along: np.ndarray, pet, rules) -> tuple[np.ndarray, np.ndarray]:
    """Return the planes in slices of the image, and which of them each contour lies on."""
    nearest = np.round(along)
    if np.all(np.abs(along - nearest) <= rules.contour_plane_fraction):
        return np.unique(nearest, return_inverse=True)
    return merge_planes(along, rules.contour_plane_fraction, rules.duplicate_mm / float(pet.spacing_mm[0]))


def _distinct(outlines: list[np.ndarray], which: np.ndarray, pet, rules) -> list[int]:
    """Return the contours that repeat no other of their plane."""
    kept = np.ones(len(outlines), bool)
    for plane in np.flatnonzero(np.bincount(which) > 1):
        here = np.flatnonzero(which == plane)
        first = find_distinct(
            [outlines[at] for at in here],
            pet.values.shape[1:],
            rules.contour_tolerance_voxel,
            rules.contour_same_area_fraction,
        )
        kept[here] = False
        kept[here[first]] = True
    return np.flatnonzero(kept).tolist()


def _to_index(contours: Sequence[Contour], grid) -> list[np.ndarray]:
    if not contours:
        return []
    index = grid.to_index(np.concatenate([contour.points_mm for contour in contours]))
    return np.split(index, np.cumsum([len(contour.points_mm) for contour in contours])[:-1])


def _area_mm2(points: np.ndarray) -> float:
    """Return the area of a contour anywhere in space: that of its shadows, put together."""
    shadows = [contour_area(points[:, axes]) for axes in (slice(0, 2), slice(1, 3), slice(0, 3, 2))]
    return math.hypot(*shadows)


def _own_step(planes: np.ndarray, pet, rules) -> float | None:
    """Return the distance of a region's planes in slices of the image; None where too few tell it."""
    if len(planes) < rules.contour_spacing_planes:
        return None
    return usual_gap(np.diff(planes), rules.contour_spacing_max_mm / float(pet.spacing_mm[0]))


def _fill(drawing: _Drawing, step: float, pet, rules) -> Placed:
    if not drawing.contours:
        drawing.flag("ROI_EMPTY")
        return Placed(Region.at(np.zeros((0, 3), int), pet.values.shape), drawing.flags, 0.0)
    if len(drawing.planes):
        region, source_ml, joined = _fill_slices(drawing, step, pet, rules)
    else:
        region, source_ml, joined, repeated = fill_oblique(drawing.contours, pet, rules)
        if repeated:
            drawing.flag("ROI_DUPLICATE_CONTOUR_DROPPED")
        drawing.flag("ROI_OTHER_GRID")
    if joined:
        drawing.flag("ROI_OVERLAPPING_PARTS_JOINED")
    points = pet.grid.to_index(np.concatenate([contour.points_mm for contour in drawing.contours]))
    if points.min() < -0.5 or np.any(points.max(axis=0) > np.array(pet.values.shape) - 0.5):
        drawing.flag("ROI_CLIPPED")
    if not region.mask.any():
        drawing.flag("ROI_EMPTY")
    return Placed(region, drawing.flags, None if joined or math.isnan(source_ml) else source_ml)


def _fill_slices(drawing: _Drawing, step: float, pet, rules) -> tuple[Region, float, bool]:
    """Fill the slices of the image that the planes of a region reach."""
    shape = pet.values.shape
    rounding = rules.plane_rounding_mm / float(pet.spacing_mm[0])
    reached = _slices_of(drawing, step, shape[0], rounding, rules)
    _flag_gaps(drawing, step, rules)
    scale = pet.spacing_mm[1:]
    touch = rules.contour_touch_voxel
    areas_mm2 = [
        enclosed_area([outline * scale for outline in drawing.on(plane)], touch * float(scale.min()))
        for plane in range(len(drawing.planes))
    ]
    heights_mm = sum(slab_halves(drawing.planes, step)) * float(pet.spacing_mm[0])
    source_ml = float(np.dot(areas_mm2, heights_mm)) / 1000
    points = np.concatenate(drawing.outlines)
    low = np.clip(np.floor(points.min(axis=0)).astype(int), 0, shape[1:])
    high = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, low, shape[1:])
    even_odd = all(contour.even_odd for contour in drawing.contours)
    first, last = (min(reached), max(reached) + 1) if reached else (0, 0)
    mask, joined = np.zeros((last - first, *(high - low)), bool), False
    filled: dict[int, np.ndarray] = {}
    for at, plane in reached.items():
        if plane not in filled:
            outlines = [outline - low for outline in drawing.on(plane)]
            filled[plane], overlapping = combine_contours(
                outlines, mask.shape[1:], rules.contour_tolerance_voxel, touch, even_odd=even_odd
            )
            joined |= overlapping
        mask[at - first] = filled[plane]
    box = (slice(first, last), *(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)))
    return Region(box, mask, shape), source_ml, joined


def _on_slices(drawing: _Drawing, rules) -> bool:
    """Tell whether every plane of a region is one of the image's."""
    away = np.abs(drawing.planes - np.round(drawing.planes))
    return bool(np.all(away <= rules.contour_plane_fraction))


def _slices_of(drawing: _Drawing, step: float, n_slices: int, rounding: float, rules) -> dict[int, int]:
    """Say which plane of a region fills which slice of the image."""
    if _on_slices(drawing, rules) and round(step) == 1:
        return {int(at): plane for plane, at in enumerate(np.round(drawing.planes)) if 0 <= at < n_slices}
    drawing.flag("ROI_OTHER_GRID")
    found = nearest_plane(drawing.planes, np.arange(n_slices), step, rounding)
    return {int(at): int(found[at]) for at in np.flatnonzero(found >= 0)}


def _flag_gaps(drawing: _Drawing, step: float, rules) -> None:
    """Flag planes that were left out between two that lie over each other."""
    for below in left_out(drawing.planes, step, rules.contour_gap_planes):
        if boxes_meet(np.concatenate(drawing.on(below)), np.concatenate(drawing.on(below + 1))):
            drawing.flag("ROI_PLANE_GAP")
