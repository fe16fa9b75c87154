"""Regions that come as voxels (DICOM SEG, NIfTI) brought onto the PET grid by nearest neighbour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom

from analysis.pet.codes import RoiRefused


def read_nifti(path: Path, pet, rules) -> tuple[np.ndarray, list[str]]:
    """Read a NIfTI mask: every voxel that is not zero.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``; its coordinates (RAS) are turned to DICOM's (LPS).
    pet : PetImage
        The image whose grid is filled.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    (ndarray of bool, list of str)
        Mask and flags.

    Raises
    ------
    RoiRefused
        ``ROI_UNREADABLE``.
    """
    import nibabel as nib

    try:
        image = nib.load(path)
        data = np.asanyarray(image.dataobj)
    except Exception as error:  # nibabel and gzip raise many types on damaged files
        raise RoiRefused(
            "ROI_UNREADABLE", f"NIfTI file {path.name!r} cannot be read; send it again"
        ) from error
    data = data.reshape(data.shape[:3]) if data.ndim > 3 and np.prod(data.shape[3:]) == 1 else data
    if data.ndim != 3:
        raise RoiRefused(
            "ROI_UNREADABLE", f"NIfTI file {path.name!r}: three dimensions expected, found {data.ndim}"
        )
    return place_mask(np.nan_to_num(data) != 0, np.diag([-1.0, -1, 1, 1]) @ image.affine, pet, rules)


def read_segmentation(ds: pydicom.Dataset, pet, rules) -> dict[str, tuple[np.ndarray, list[str], str]]:
    """Read every segment of a DICOM SEG: BINARY, FRACTIONAL or LABELMAP.

    Frames are placed by their own position and orientation; the segment of a frame may be named in the shared
    groups.

    Parameters
    ----------
    ds : pydicom.Dataset
        The segmentation.
    pet : PetImage
        The image whose grid is filled.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    dict
        Label -> (mask, flags, anatomic region in words).

    Raises
    ------
    RoiRefused
        ``ROI_OTHER_FRAME_OF_REFERENCE``, ``ROI_DUPLICATE_NAME``, ``ROI_UNREADABLE``.
    """
    frame = str(ds.get("FrameOfReferenceUID") or "")
    if frame and pet.facts["frame_of_reference_uid"] and frame != pet.facts["frame_of_reference_uid"]:
        raise RoiRefused(
            "ROI_OTHER_FRAME_OF_REFERENCE",
            "the segmentation lies in another frame of reference (0020,0052) than this image; register it "
            "first",
        )
    flags = [] if frame else ["ROI_FRAME_OF_REFERENCE_UNKNOWN"]
    pixels = _frames(ds, flags, rules)
    places = _frame_affines(ds)
    found: dict[str, tuple[np.ndarray, list[str], str]] = {}
    for segment in ds.SegmentSequence:
        number = int(segment.get("SegmentNumber", 0))
        if number == 0:  # a label map's background
            continue
        label = str(segment.get("SegmentLabel") or f"segment {number}").strip()
        if label in found:
            raise RoiRefused(
                "ROI_DUPLICATE_NAME", "two segments of one segmentation share a label; rename one"
            )
        chosen, kept = _segment_frames(ds, pixels, number)
        mask, own = _place_frames(kept, [places[index] for index in chosen], pet, rules)
        found[label] = (mask, [*flags, *own, *([] if mask.any() else ["ROI_EMPTY"])], _region(segment))
    return found


def place_mask(mask: np.ndarray, affine: np.ndarray, pet, rules) -> tuple[np.ndarray, list[str]]:
    """Bring a mask with its own affine onto the image's grid.

    Voxels that fall on the image's voxels are copied (also mirrored, shifted or cropped ones). Otherwise
    every voxel of the image takes the value of the mask's nearest voxel, flagged ``ROI_OTHER_GRID``.

    Parameters
    ----------
    mask : ndarray of bool, shape (i, j, k)
        The region.
    affine : ndarray, shape (4, 4)
        (i, j, k, 1) to patient coordinates (LPS) in mm.
    pet : PetImage
        The image.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    (ndarray of bool, list of str)
        Mask on the image's grid, and flags.
    """
    inside = np.argwhere(mask)
    if not len(inside):
        return np.zeros(pet.values.shape, bool), ["ROI_EMPTY"]
    index = pet.grid.to_index(inside @ affine[:3, :3].T + affine[:3, 3])
    if _same_lattice(index, affine, pet, rules):
        return _scatter(index, pet.values.shape)
    placed, flags = _nearest(mask, affine, index, pet)
    return placed, ["ROI_OTHER_GRID", *flags, *([] if placed.any() else ["ROI_EMPTY"])]


def _same_lattice(index: np.ndarray, affine: np.ndarray, pet, rules) -> bool:
    steps = np.sort(np.linalg.norm(affine[:3, :3], axis=0))
    close = np.allclose(steps, np.sort(pet.spacing_mm), rtol=0.02)
    return bool(close and np.all(np.abs(index - np.round(index)) <= rules.lattice_tolerance_voxel))


def _scatter(index: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, list[str]]:
    whole = np.round(index).astype(int)
    inside = np.all((whole >= 0) & (whole < shape), axis=1)
    placed = np.zeros(shape, bool)
    placed[tuple(whole[inside].T)] = True
    flags = [] if inside.all() else ["ROI_CLIPPED"]
    return placed, flags if placed.any() else [*flags, "ROI_EMPTY"]


def _nearest(mask, affine, index, pet) -> tuple[np.ndarray, list[str]]:
    shape = np.array(pet.values.shape)
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 2, 0, shape)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 3, 0, shape)
    flags = (
        ["ROI_CLIPPED"] if np.any(index.min(axis=0) < -0.5) or np.any(index.max(axis=0) > shape - 0.5) else []
    )
    placed = np.zeros(shape, bool)
    box = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1).reshape(-1, 3)
    back = np.linalg.inv(affine)
    source = np.round(pet.grid.to_mm(box) @ back[:3, :3].T + back[:3, 3]).astype(int)
    known = np.all((source >= 0) & (source < mask.shape), axis=1)
    box, source = box[known], source[known]
    placed[tuple(box.T)] = mask[tuple(source.T)]
    return placed, flags


def _frames(ds: pydicom.Dataset, flags: list[str], rules) -> np.ndarray:
    """Return the frames: bool, or segment numbers of a label map."""
    try:
        pixels = ds.pixel_array
    except Exception as error:  # one error type per decoder
        raise RoiRefused(
            "ROI_UNREADABLE", "the pixels of the segmentation cannot be decoded; send it again"
        ) from error
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    kind = str(ds.get("SegmentationType") or "").upper()
    if kind == "LABELMAP":
        return pixels
    if kind == "FRACTIONAL":
        flags.append(f"ROI_FRACTIONAL_{str(ds.get('SegmentationFractionalType') or 'UNKNOWN').upper()}")
        return pixels >= rules.seg_fraction * float(ds.MaximumFractionalValue)
    return pixels != 0


def _segment_frames(ds, pixels, number) -> tuple[list[int], list[np.ndarray]]:
    """Return which frames show a segment, and its pixels there."""
    if str(ds.get("SegmentationType") or "").upper() == "LABELMAP":
        chosen = [index for index, frame in enumerate(pixels) if np.any(frame == number)]
        return chosen, [pixels[index] == number for index in chosen]
    shared = ds.SharedFunctionalGroupsSequence[0]
    chosen = []
    for index, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        named = group.get("SegmentIdentificationSequence") or shared.get("SegmentIdentificationSequence")
        if int(named[0].ReferencedSegmentNumber) == number:
            chosen.append(index)
    return chosen, [pixels[index] for index in chosen]


def _frame_affines(ds: pydicom.Dataset) -> list[np.ndarray]:
    """Return for every frame the affine from (row, column, 1) to patient coordinates, shape (3, 3)."""
    shared = (ds.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]

    def look(group, sequence, keyword):
        item = group.get(sequence) or shared.get(sequence)
        if not item:
            raise RoiRefused("ROI_UNREADABLE", f"a frame of the segmentation has no {sequence}")
        return np.array([float(value) for value in item[0][keyword].value])

    affines = []
    for group in ds.PerFrameFunctionalGroupsSequence:
        orientation = look(group, "PlaneOrientationSequence", "ImageOrientationPatient")
        spacing = look(group, "PixelMeasuresSequence", "PixelSpacing")
        position = look(group, "PlanePositionSequence", "ImagePositionPatient")
        affines.append(
            np.column_stack([orientation[3:] * spacing[0], orientation[:3] * spacing[1], position])
        )
    return affines


def _place_frames(frames, affines, pet, rules) -> tuple[np.ndarray, list[str]]:
    """Stack the frames of one segment along their normal and bring them onto the image's grid."""
    if not frames:
        return np.zeros(pet.values.shape, bool), []
    points = [np.argwhere(frame) for frame in frames]
    places = [at @ affine[:, :2].T + affine[:, 2] for at, affine in zip(points, affines, strict=True)]
    index = pet.grid.to_index(np.concatenate(places))
    spacing = np.linalg.norm(affines[0][:, :2], axis=0)
    aligned = np.allclose(spacing, pet.spacing_mm[1:], rtol=0.02)
    if aligned and np.all(np.abs(index - np.round(index)) <= rules.lattice_tolerance_voxel):
        placed, flags = _scatter(index, pet.values.shape)
        return placed, [flag for flag in flags if flag != "ROI_EMPTY"]
    volume, affine = _stack(frames, affines, pet)
    placed, flags = place_mask(volume, affine, pet, rules)
    return placed, [flag for flag in flags if flag != "ROI_EMPTY"]


def _stack(frames, affines, pet) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = affines[0][:, 0], affines[0][:, 1]
    if any(not np.allclose(item[:, :2], affines[0][:, :2], atol=1e-3) for item in affines):
        raise RoiRefused("ROI_OTHER_PLANES", "frames of one segment differ in orientation or spacing")
    normal = np.cross(columns, rows)
    normal /= np.linalg.norm(normal)
    along = np.array([item[:, 2] @ normal for item in affines])
    gaps = np.diff(np.unique(np.round(along, 3)))
    step = float(gaps.min()) if len(gaps) else float(pet.spacing_mm[0])
    at = np.round((along - along.min()) / step).astype(int)
    volume = np.zeros((at.max() + 1, *frames[0].shape), bool)
    for index, frame in zip(at, frames, strict=True):
        volume[index] |= frame
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = normal * step, rows, columns
    affine[:3, 3] = affines[int(np.argmin(along))][:, 2]
    return volume, affine


def _region(segment: pydicom.Dataset) -> str:
    codes = segment.get("AnatomicRegionSequence") or []
    return str(codes[0].get("CodeMeaning") or "") if codes else ""
