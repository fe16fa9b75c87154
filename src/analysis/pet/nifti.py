"""Regions of a NIfTI mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from analysis.pet.codes import RoiRefused
from analysis.pet.masks import Placed, Stack, place

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_HIGHEST_LABEL = 65535


def read_nifti(path: Path, pet, rules) -> dict[str, Placed]:
    """Read the regions of a NIfTI mask.

    A file that holds besides 0 only one of the values plain masks are written with (``nifti_mask_values``) is
    one region, named by the file. Any other whole numbers are labels, each a region named
    ``<file>_<number>`` however many are left: what is ``les_2`` at baseline is ``les_2`` when the other
    lesions are gone. (Label 1 left alone cannot be told from a plain mask.) A file with
    fractions up to 1 is one region: the voxels from ``seg_fraction`` on, flagged ``ROI_FRACTIONAL_UNKNOWN``.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``. Coordinates (RAS) are turned to DICOM's (LPS), by the sform where the file
        has one, else by the qform.
    pet : PetImage
        The image whose grid is filled.
    rules : plan section
        Section ``pet`` of the plan (`seg_fraction`, `nifti_*`, `roi_resample`).

    Returns
    -------
    dict of str to Placed
        By name; ``ROI_EMPTY`` for a file without a voxel, ``ROI_FORMS_DISAGREE`` where sform and qform place
        the mask differently.

    Raises
    ------
    RoiRefused
        ``ROI_UNREADABLE``, ``ROI_GEOMETRY_MISSING`` (neither sform nor qform), ``ROI_NOT_A_MASK`` (negative
        values, fractions above 1, too many labels), ``ROI_OTHER_PLANES``.
    """
    data, header = _read(path)
    affine, flags = _affine(header, rules)
    labels, fractional = _labels(data, rules)
    if fractional:
        flags.append("ROI_FRACTIONAL_UNKNOWN")
    boxes = {n: box for n, box in enumerate(ndimage.find_objects(labels), start=1) if box is not None}
    if len(boxes) > rules.nifti_labels_max:
        raise _not_a_mask(f"{len(boxes)} different values")
    found: dict[str, Placed] = {}
    plain = len(boxes) <= 1 and set(boxes) <= set(rules.nifti_mask_values)
    for number, box in (boxes or {1: (slice(0, 0),) * 3}).items():
        name = _stem(path) if plain else f"{_stem(path)}_{number}"
        region, own, source_ml, _ = place(_stack(labels[box] == number, box, affine), pet, rules)
        found[name] = Placed(region, [*flags, *own], source_ml)
    return found


def _stem(path: Path) -> str:
    return path.name[: -len(".nii.gz")] if path.name.lower().endswith(".nii.gz") else path.stem


def _read(path: Path):
    import nibabel as nib

    try:
        image = nib.load(path)
        data = np.asanyarray(image.dataobj)
        data = data.reshape(data.shape[:3]) if data.ndim > 3 and np.prod(data.shape[3:]) == 1 else data
    except Exception as error:  # nibabel and gzip raise many types on damaged files
        raise RoiRefused("ROI_UNREADABLE", "the NIfTI file cannot be read; send it again") from error
    if data.ndim != 3 or not data.size:
        raise RoiRefused(
            "ROI_UNREADABLE",
            f"voxels in three dimensions expected, found {data.size} in {data.ndim}; send the file again",
        )
    return data, image.header


def _affine(header, rules) -> tuple[np.ndarray, list[str]]:
    """Return (i, j, k, 1) to patient coordinates (LPS) in mm."""
    sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    stated = [form for form in (sform, qform) if form is not None]
    if not stated or not _usable(stated[0], rules):
        raise RoiRefused(
            "ROI_GEOMETRY_MISSING",
            "the NIfTI file says nowhere (sform, qform) where its voxels lie, or what cannot be; export it "
            "with its geometry",
        )
    apart = len(stated) == 2 and np.abs(stated[0] - stated[1]).max() > rules.spacing_tolerance_mm
    return _RAS_TO_LPS @ stated[0], ["ROI_FORMS_DISAGREE"] if apart else []


def _usable(affine: np.ndarray, rules) -> bool:
    """Tell whether voxels have a size that can be, lie at a place that can be, and span space."""
    if not np.isfinite(affine).all() or np.abs(affine).max() > rules.position_refuse_mm:
        return False
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = rules.spacing_refuse_mm
    return bool(
        low <= sizes.min()
        and sizes.max() <= high
        and abs(np.linalg.det(affine)) > rules.nifti_flat_fraction * sizes.prod()
    )


def _labels(data: np.ndarray, rules) -> tuple[np.ndarray, bool]:
    """Return the labels as whole numbers, and whether the file held fractions."""
    if data.dtype.kind not in "biuf":
        raise _not_a_mask("complex numbers or colours")
    if data.dtype.kind == "b":
        return data.astype(np.uint8), False
    if data.dtype.kind == "f":
        data = np.nan_to_num(data)
    whole = rules.nifti_whole_tolerance
    low, high = (float(data.min()), float(data.max())) if data.size else (0.0, 0.0)
    fractional = data.dtype.kind == "f" and bool(np.any(np.abs(data - np.round(data)) > whole))
    if low < 0 or high > _HIGHEST_LABEL or (fractional and high > 1 + whole):
        raise _not_a_mask(f"values from {low:g} to {high:g}")
    if fractional:
        return ((data >= rules.seg_fraction) & (data > 0)).astype(np.uint8), True
    if data.dtype.kind == "f":
        return np.round(data).astype(np.int32), False
    return data.astype(data.dtype.newbyteorder("="), copy=False), False


def _not_a_mask(what: str) -> RoiRefused:
    return RoiRefused(
        "ROI_NOT_A_MASK",
        f"the NIfTI file holds {what}, an image rather than a mask; keep images out of the folder "
        "of the regions",
    )


def _stack(mask: np.ndarray, box: tuple[slice, ...], affine: np.ndarray) -> Stack:
    """Cut a box of the mask into its planes along the third axis."""
    pieces, origins = [], []
    for k in range(mask.shape[2]):
        rows, columns = (np.flatnonzero(mask[:, :, k].any(axis=other)) for other in (1, 0))
        if len(rows):
            pieces.append(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, k])
            origins.append([box[0].start + rows[0], box[1].start + columns[0], box[2].start + k])
    places = np.array(origins, float).reshape(-1, 3) @ affine[:3, :3].T + affine[:3, 3]
    across = np.cross(affine[:3, 0], affine[:3, 1])
    step = abs(float(affine[:3, 2] @ across / np.linalg.norm(across)))
    return Stack(affine[:3, 0], affine[:3, 1], places, pieces, step)
