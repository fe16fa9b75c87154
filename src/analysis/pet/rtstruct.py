"""Regions of an RTSTRUCT as masks on the PET grid."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pydicom

from analysis.pet.codes import RoiRefused
from analysis.pet.contour import combine_contours, contour_area
from analysis.pet.geometry import Grid

_AREAS = {"CLOSED_PLANAR", "CLOSED_PLANAR_XOR", "CLOSEDPLANAR_XOR"}


def read_rtstruct(ds: pydicom.Dataset, pet, rules) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Rasterise every region of a structure set.

    Parameters
    ----------
    ds : pydicom.Dataset
        The structure set.
    pet : PetImage
        The image whose grid is filled.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    dict
        Name -> (mask, flags). A region without usable contours is an empty mask with flag ``ROI_EMPTY``.

    Raises
    ------
    RoiRefused
        ``ROI_OTHER_FRAME_OF_REFERENCE``, ``ROI_OTHER_PLANES``, ``ROI_DUPLICATE_NAME``, ``ROI_UNREADABLE``.
    """
    if "ROIContourSequence" not in ds or "StructureSetROISequence" not in ds:
        raise RoiRefused(
            "ROI_UNREADABLE", "the structure set lacks its regions or their contours; send it again"
        )
    contours = {int(item.ReferencedROINumber): item for item in ds.get("ROIContourSequence") or []}
    found: dict[str, tuple[np.ndarray, list[str]]] = {}
    for region in ds.get("StructureSetROISequence") or []:
        name = str(region.get("ROIName") or f"ROI {region.ROINumber}").strip()
        if name in found:
            raise RoiRefused(
                "ROI_DUPLICATE_NAME", "two regions of one structure set share a name; rename one"
            )
        flags = _frame_flags(str(region.get("ReferencedFrameOfReferenceUID") or ""), ds, pet)
        item = contours.get(int(region.ROINumber))
        planes = _planes(item.get("ContourSequence") or [] if item else [], pet.grid, flags, rules)
        found[name] = (_fill(planes, pet, flags, rules), flags)
    return found


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
        "the structure set was drawn in another frame of reference (3006,0024) than this image; register "
        "it first, "
        "or give the structure set of this scan",
    )


def _planes(items, grid: Grid, flags: list[str], rules) -> dict[float, list[np.ndarray]]:
    """Collect the usable contours as index coordinates (row, column), by fractional slice index."""
    planes: dict[float, list[np.ndarray]] = defaultdict(list)
    for item in items:
        if str(item.get("ContourGeometricType") or "").upper() not in _AREAS:
            _flag(flags, "ROI_NOT_AN_AREA_SKIPPED")
            continue
        index = grid.to_index(_points(item))
        area_mm2 = contour_area(index[:, 1:] * grid.spacing_mm[1:])
        if area_mm2 < rules.contour_min_area_mm2:
            _flag(flags, "ROI_DEGENERATE_CONTOUR_DROPPED")
            continue
        if np.ptp(index[:, 0]) > rules.contour_plane_fraction:
            raise RoiRefused(
                "ROI_OTHER_PLANES", "contours are not parallel to the image's slices; draw them on this image"
            )
        same = planes[round(float(index[:, 0].mean()), 3)]
        if any(np.array_equal(index[:, 1:], other) for other in same):
            _flag(flags, "ROI_DUPLICATE_CONTOUR_DROPPED")  # drawn twice, even-odd would erase it
            continue
        same.append(index[:, 1:])
    return planes


def _points(item: pydicom.Dataset) -> np.ndarray:
    """Return a contour's points in mm; from the raw text, since a number object for each takes seconds."""
    value = item.get_item("ContourData").value if "ContourData" in item else b""
    text = value.decode("ascii", errors="replace") if isinstance(value, bytes) else "\\".join(map(str, value))
    words = text.strip(" \0").split("\\")
    return np.array([float(word) for word in words if word.strip()]).reshape(-1, 3)


def _fill(planes: dict[float, list[np.ndarray]], pet, flags: list[str], rules) -> np.ndarray:
    mask = np.zeros(pet.values.shape, bool)
    shape = mask.shape[1:]
    for at, plane in _slices_of(np.array(sorted(planes)), len(mask), flags, rules).items():
        contours = planes[plane]
        mask[at], joined = combine_contours(contours, shape, rules.contour_tolerance_voxel)
        if joined:
            _flag(flags, "ROI_OVERLAPPING_PARTS_JOINED")
        if any(_outside(points, shape) for points in contours):
            _flag(flags, "ROI_CLIPPED")
    if not mask.any():
        _flag(flags, "ROI_EMPTY")
    return mask


def _slices_of(planes: np.ndarray, n_slices: int, flags: list[str], rules) -> dict[int, float]:
    """Say which contour plane fills which slice of the image.

    Planes on the image's own slices fill just these. Planes of another grid fill every slice within half
    their own spacing, the lower end included, so that volume is kept.
    """
    if not len(planes):
        return {}
    nearest = np.round(planes).astype(int)
    gaps = np.diff(planes)
    own = np.all(np.abs(planes - nearest) <= rules.contour_plane_fraction)
    shifted = np.all(np.abs(gaps - np.round(gaps)) <= rules.contour_plane_fraction) and np.all(
        np.round(gaps) >= 1
    )
    if not own:
        _flag(flags, "ROI_OTHER_GRID")
    if own or shifted:
        chosen = dict(zip(nearest.tolist(), planes.tolist(), strict=True))
    else:
        half = gaps.min() / 2
        slices = np.arange(n_slices)
        above = (
            np.searchsorted(planes - half - 1e-3, slices, side="right") - 1
        )  # last plane whose reach has begun
        best = np.maximum(above, 0)
        reached = (above >= 0) & (slices < planes[best] + half - 1e-3)
        chosen = {int(at): float(planes[best[at]]) for at in slices[reached]}
    inside = {at: plane for at, plane in chosen.items() if 0 <= at < n_slices}
    if len(inside) < len(chosen) or planes.min() < -0.5 or planes.max() > n_slices - 0.5:
        _flag(flags, "ROI_CLIPPED")
    return inside


def _outside(points: np.ndarray, shape: tuple[int, int]) -> bool:
    return bool(points.min() < -0.5 or np.any(points.max(axis=0) > np.array(shape) - 0.5))


def _flag(flags: list[str], code: str) -> None:
    if code not in flags:
        flags.append(code)
