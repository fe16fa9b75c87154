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
from analysis.pet.contour import Contour, boxes_meet, combine_contours, contour_area, enclosed_area
from analysis.pet.contour_file import WrittenContour, read_contours
from analysis.pet.masks import Placed, merge_planes, nearest_plane
from analysis.pet.oblique import fill_oblique
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
        ``ROI_EMPTY``. The source volume is the area of the contours times the distance of their planes; None
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
            flags = _frame_flags(str(region.get("ReferencedFrameOfReferenceUID") or ""), ds, pet)
            drawings[name] = _draw(contours.get(int(region.ROINumber), []), flags, pet, rules)
        except RoiRefused as error:
            refused[name] = error
    steps = [_own_step(drawing.planes, pet, rules) for drawing in drawings.values()]
    usual = min((step for step in steps if step), default=1.0)
    placed: dict[str, Placed] = {}
    for (name, drawing), step in zip(drawings.items(), steps, strict=True):
        try:
            placed[name] = _fill(drawing, step or usual, pet, rules)
        except RoiRefused as error:
            refused[name] = error
    return placed, refused


def _frame_flags(region_frame: str, ds: pydicom.Dataset, pet) -> list[str]:
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
    if region_frame not in declared and declared == {image_frame}:
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
    seen: set[bytes] = set()
    for item in written:
        points = item.points_mm() if item.kind in _AREAS else None
        if points is None:
            flags.append("ROI_NOT_AN_AREA_SKIPPED")
        elif _area_mm2(points) < rules.contour_min_area_mm2:
            flags.append("ROI_DEGENERATE_CONTOUR_DROPPED")
        elif (shape := _shape_of(points)) in seen:  # even-odd would erase what is drawn twice
            flags.append("ROI_DUPLICATE_CONTOUR_DROPPED")
        else:
            seen.add(shape)
            contours.append(Contour(points, item.kind in _XOR))
    flags[:] = dict.fromkeys(flags)
    index = _to_index(contours, pet.grid)
    if not index or any(np.ptp(points[:, 0]) > rules.contour_plane_fraction for points in index):
        return _Drawing(contours, flags, np.zeros(0), np.zeros(0, int), [])
    along = np.array([points[:, 0].mean() for points in index])
    planes, which = merge_planes(along, rules.contour_plane_fraction)
    return _Drawing(contours, flags, planes, which, [points[:, 1:] for points in index])


def _to_index(contours: Sequence[Contour], grid) -> list[np.ndarray]:
    if not contours:
        return []
    index = grid.to_index(np.concatenate([contour.points_mm for contour in contours]))
    return np.split(index, np.cumsum([len(contour.points_mm) for contour in contours])[:-1])


def _area_mm2(points: np.ndarray) -> float:
    """Return the area of a contour anywhere in space: that of its shadows, put together."""
    shadows = [contour_area(points[:, axes]) for axes in (slice(0, 2), slice(1, 3), slice(0, 3, 2))]
    return math.hypot(*shadows)


def _shape_of(points: np.ndarray) -> bytes:
    """Return the same bytes for the same vertices, from whatever start and way round they are listed."""
    rounded = np.round(points, 6) + 0.0
    return rounded[np.lexsort(rounded.T)].tobytes()


def _own_step(planes: np.ndarray, pet, rules) -> float | None:
    """Return the distance of a region's planes in slices of the image; None where too few tell it."""
    gaps = np.diff(planes)
    if len(planes) < rules.contour_spacing_planes:
        return None
    if gaps.min() * pet.spacing_mm[0] > rules.contour_spacing_max_mm:
        return None
    return float(np.median(gaps[np.round(gaps / gaps.min()) == 1]))


def _fill(drawing: _Drawing, step: float, pet, rules) -> Placed:
    if not drawing.contours:
        drawing.flag("ROI_EMPTY")
        return Placed(Region.at(np.zeros((0, 3), int), pet.values.shape), drawing.flags, 0.0)
    if len(drawing.planes):
        region, source_ml, joined = _fill_slices(drawing, step, pet, rules)
    else:
        region, source_ml, joined = fill_oblique(drawing.contours, pet, rules)
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
    reached = _slices_of(drawing, step, shape[0], rules)
    _flag_gaps(drawing, step, rules)
    scale = pet.spacing_mm[1:]
    area_mm2 = sum(
        enclosed_area([outline * scale for outline in drawing.on(plane)])
        for plane in range(len(drawing.planes))
    )
    source_ml = area_mm2 * step * float(pet.spacing_mm[0]) / 1000
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
                outlines, mask.shape[1:], rules.contour_tolerance_voxel, even_odd=even_odd
            )
            joined |= overlapping
        mask[at - first] = filled[plane]
    box = (slice(first, last), *(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)))
    return Region(box, mask, shape), source_ml, joined


def _slices_of(drawing: _Drawing, step: float, n_slices: int, rules) -> dict[int, int]:
    """Say which plane of a region fills which slice of the image."""
    nearest = np.floor(drawing.planes + 0.5).astype(int)
    on_slices = np.all(np.abs(drawing.planes - nearest) <= rules.contour_plane_fraction)
    if on_slices and round(step) == 1:
        return {int(at): plane for plane, at in enumerate(nearest) if 0 <= at < n_slices}
    drawing.flag("ROI_OTHER_GRID")
    found = nearest_plane(drawing.planes, np.arange(n_slices), step)
    return {int(at): int(found[at]) for at in np.flatnonzero(found >= 0)}


def _flag_gaps(drawing: _Drawing, step: float, rules) -> None:
    """Flag planes that were left out between two that lie over each other."""
    missing = np.round(np.diff(drawing.planes) / step) - 1
    for below in np.flatnonzero((missing >= 1) & (missing <= rules.contour_gap_planes)):
        if boxes_meet(np.concatenate(drawing.on(below)), np.concatenate(drawing.on(below + 1))):
            drawing.flag("ROI_PLANE_GAP")
