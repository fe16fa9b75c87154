"""Regions of interest from RTSTRUCT, DICOM SEG or NIfTI, as masks on the PET grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.config import disable_value_validation

from analysis import plan
from analysis.pet.codes import RoiRefused
from analysis.pet.dicomfile import DamagedFile, read_complete, sop_class
from analysis.pet.masks import read_nifti, read_segmentation
from analysis.pet.rtstruct import read_rtstruct

_RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
_SEGMENTATIONS = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}
_NIFTI = (".nii", ".nii.gz")


class RoiSet(dict[str, np.ndarray]):
    """Masks by name, shape (slices, rows, columns), in the order of the files.

    Attributes
    ----------
    flags : dict
        Name -> what happened to the region on its way (``ROI_CLIPPED``, ``ROI_OTHER_GRID`` ...).
    regions : dict
        Name -> anatomic region in words, where a segmentation states one.
    """

    def __init__(self):
        super().__init__()
        self.flags: dict[str, list[str]] = {}
        self.regions: dict[str, str] = {}

    def put(self, name: str, mask: np.ndarray, flags: list[str], region: str = "") -> None:
        """Add a region; its name must be new."""
        if name in self:
            raise RoiRefused("ROI_DUPLICATE_NAME", "two files hold a region of the same name; rename one")
        self[name] = mask
        self.flags[name] = list(dict.fromkeys(flags))
        if region:
            self.regions[name] = region


def load_rois(path: str | Path, pet, *, rules=None) -> RoiSet:
    """Read all regions of a file or folder as masks on the grid of `pet`.

    Parameters
    ----------
    path : path
        RTSTRUCT, DICOM SEG (BINARY, FRACTIONAL, LABELMAP) or NIfTI; or a folder of them, searched below,
        other files being passed over. A NIfTI mask is named by its file.
    pet : PetImage
        The image the regions belong to.
    rules : plan section, optional
        Section ``pet`` of the plan; the defaults without it.

    Returns
    -------
    RoiSet
        A dict of name -> boolean mask, with ``.flags`` and ``.regions``. Regions that share voxels keep them
        both and are flagged ``ROI_SHARES_VOXELS``; a region without a voxel is kept, flagged ``ROI_EMPTY``.

    Raises
    ------
    RoiRefused
        ``ROI_OTHER_PATIENT``, ``ROI_OTHER_FRAME_OF_REFERENCE``, ``ROI_OTHER_PLANES``, ``ROI_DUPLICATE_NAME``,
        ``ROI_UNREADABLE``, ``NO_ROI``.
    """
    rules = plan.defaults().pet if rules is None else rules
    rois = RoiSet()
    for file in _files(Path(path)):
        if file.name.lower().endswith(_NIFTI):
            mask, flags = read_nifti(file, pet, rules)
            rois.put(_stem(file), mask, flags)
        else:
            _add_dicom(rois, file, pet, rules)
    if not rois:
        raise RoiRefused(
            "NO_ROI", "no RTSTRUCT, SEG or NIfTI mask with a region here; give the folder of the ROI files"
        )
    _flag_shared(rois)
    return rois


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RoiRefused("NO_ROI", f"no folder or file {path.name!r}; give the folder of the ROI files")
    return sorted(item for item in path.rglob("*") if item.is_file() and not item.name.startswith("."))


def _stem(file: Path) -> str:
    return file.name[: -len(".nii.gz")] if file.name.lower().endswith(".nii.gz") else file.stem


def _add_dicom(rois: RoiSet, file: Path, pet, rules) -> None:
    with disable_value_validation():
        ds = _read(file)
        if ds is None:
            return
        _check_patient(ds, pet)
        try:
            if sop_class(ds) == _RTSTRUCT:
                for name, (mask, flags) in read_rtstruct(ds, pet, rules).items():
                    rois.put(name, mask, flags)
            else:
                for name, (mask, flags, region) in read_segmentation(ds, pet, rules).items():
                    rois.put(name, mask, flags, region)
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            raise RoiRefused(
                "ROI_UNREADABLE", f"ROI file {file.name!r} lacks required parts; send it again"
            ) from error


def _read(file: Path) -> pydicom.Dataset | None:
    """Read a file if it is an RTSTRUCT or SEG; None for anything else."""
    try:
        ds = read_complete(file)
    except DamagedFile as error:
        raise RoiRefused("ROI_UNREADABLE", f"ROI file {file.name!r} {error}; send it again") from error
    return ds if ds is not None and sop_class(ds) in {_RTSTRUCT, *_SEGMENTATIONS} else None


def _check_patient(ds: pydicom.Dataset, pet) -> None:
    theirs, ours = str(ds.get("PatientID") or "").strip(), pet.facts["patient_id"]
    if theirs and ours and theirs != ours:
        raise RoiRefused(
            "ROI_OTHER_PATIENT",
            "Patient ID (0010,0020) of the ROI file differs from the image's; give the ROI file of this scan",
        )


def _flag_shared(rois: RoiSet) -> None:
    count = np.zeros(next(iter(rois.values())).shape, np.uint8)
    for mask in rois.values():
        count += mask
    shared = count > 1
    if not shared.any():
        return
    for name, mask in rois.items():
        if np.any(mask & shared):
            rois.flags[name].append("ROI_SHARES_VOXELS")
