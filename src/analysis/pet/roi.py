"""Regions of interest from RTSTRUCT, DICOM SEG or NIfTI, as voxels of the PET grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.config import disable_value_validation

from analysis import plan
from analysis.pet.codes import RoiRefused
from analysis.pet.masks import Placed
from analysis.pet.nifti import read_nifti
from analysis.pet.region import Region
from analysis.pet.roi_file import RoiFile, open_roi_file
from analysis.pet.rtstruct import read_rtstruct
from analysis.pet.segmentation import read_segmentation

_NIFTI = (".nii", ".nii.gz")


class RoiSet(Mapping[str, np.ndarray]):
    """Regions by name, in the order of the files; as a mapping, boolean masks over the whole image.

    A mask is made each time it is asked for; `voxels` holds the regions as boxes.

    Attributes
    ----------
    voxels : dict of str to Region
        The regions.
    flags : dict of str to list of str
        What happened to a region on its way (``ROI_CLIPPED``, ``ROI_OTHER_GRID`` ...).
    regions : dict of str to str
        Anatomic region in words, where a segmentation states one.
    source_ml : dict of str to float
        Volume in ml as drawn, on the grid it was drawn on; absent where it cannot be told.
    refused : dict of str to RoiRefused
        Regions of the files that cannot be used, and why.
    """

    def __init__(self):
        self.voxels: dict[str, Region] = {}
        self.flags: dict[str, list[str]] = {}
        self.regions: dict[str, str] = {}
        self.source_ml: dict[str, float] = {}
        self.refused: dict[str, RoiRefused] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.voxels[name].full()

    def __iter__(self) -> Iterator[str]:
        return iter(self.voxels)

    def __len__(self) -> int:
        return len(self.voxels)

    def __contains__(self, name: object) -> bool:
        return name in self.voxels

    def __repr__(self) -> str:
        """Count the regions; their names, which people wrote, are its keys."""
        voxels = sum(region.n_voxels for region in self.voxels.values())
        return f"RoiSet({len(self)} regions of {voxels} voxels, {len(self.refused)} refused)"

    def put(self, name: str, placed: Placed) -> None:
        """Add a region; its name must be new."""
        self._check_new(name)
        self.voxels[name] = placed.region
        self.flags[name] = list(dict.fromkeys(placed.flags))
        if placed.anatomy:
            self.regions[name] = placed.anatomy
        if placed.source_ml is not None:
            self.source_ml[name] = placed.source_ml

    def refuse(self, name: str, why: RoiRefused) -> None:
        """Add a region that cannot be used; its name must be new."""
        self._check_new(name)
        self.refused[name] = why

    def flag_shared(self, code: str = "ROI_SHARES_VOXELS") -> None:
        """Flag regions that have voxels in common; they keep them both."""
        names = list(self.voxels)
        for pair in find_shared(list(self.voxels.values())):
            for at in pair:
                self._flag(names[at], code)

    def _flag(self, name: str, code: str) -> None:
        if code not in self.flags[name]:
            self.flags[name].append(code)

    def _check_new(self, name: str) -> None:
        if name in self.voxels or name in self.refused:
            raise RoiRefused("ROI_DUPLICATE_NAME", "two files hold a region of the same name; rename one")


def find_shared(regions: Sequence[Region]) -> list[tuple[int, int]]:
    """Find the pairs of regions of one image that have a voxel in common.

    Parameters
    ----------
    regions : sequence of Region
        Empty ones share nothing.

    Returns
    -------
    list of (int, int)
        Positions in `regions`, the smaller first.
    """
    boxes = np.array([[(edge.start, edge.stop) for edge in region.box] for region in regions])
    pairs = []
    for at, region in enumerate(regions):
        later = boxes[at + 1 :]
        meet = np.all((later[..., 0] < boxes[at, :, 1]) & (boxes[at, :, 0] < later[..., 1]), axis=1)
        pairs += [(at, int(n)) for n in np.flatnonzero(meet) + at + 1 if region.shares_voxels(regions[n])]
    return pairs


def load_rois(path: str | Path, pet, *, rules=None) -> RoiSet:
    """Read all regions of a file or folder as voxels of the grid of `pet`.

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
        A mapping of name -> boolean mask, with ``.voxels``, ``.flags``, ``.regions``, ``.source_ml`` and
        ``.refused``. Regions that share voxels keep them both and are flagged ``ROI_SHARES_VOXELS``; a region
        without a voxel is kept, flagged ``ROI_EMPTY``. Regions of a structure set that cannot be used stand
        in ``.refused``: whoever measures must account for them.

    Raises
    ------
    RoiRefused
        ``ROI_OTHER_PATIENT``, ``ROI_OTHER_FRAME_OF_REFERENCE``, ``ROI_OTHER_PLANES``, ``ROI_DUPLICATE_NAME``,
        ``ROI_UNREADABLE``, ``ROI_GEOMETRY_MISSING``, ``ROI_NOT_A_MASK``, ``NO_ROI``; the reason of the first
        refused region if there is no other.
    """
    rules = plan.defaults().pet if rules is None else rules
    rois = RoiSet()
    files = _files(Path(path))
    for number, file in enumerate(files, start=1):
        try:
            _add_file(rois, file, pet, rules)
        except RoiRefused as error:  # file names are never told: they are often names, dates or UIDs
            which = f"file {number} of {len(files)} (in the order of names)"
            raise RoiRefused(error.code, f"{which}: {error.message}") from error
    if not rois:
        raise next(
            iter(rois.refused.values()),
            RoiRefused(
                "NO_ROI",
                "no RTSTRUCT, SEG or NIfTI mask with a region here; give the folder of the ROI files",
            ),
        )
    rois.flag_shared()
    return rois


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RoiRefused("NO_ROI", "no folder or file is there; give the folder of the ROI files")
    return sorted(item for item in path.rglob("*") if item.is_file() and not item.name.startswith("."))


def _add_file(rois: RoiSet, path: Path, pet, rules) -> None:
    if not path.name.lower().endswith(_NIFTI):
        _add_dicom(rois, path, pet, rules)
        return
    for name, placed in read_nifti(path, pet, rules).items():
        rois.put(name, placed)


def _add_dicom(rois: RoiSet, path: Path, pet, rules) -> None:
    with disable_value_validation():
        file = open_roi_file(path, by_bytes=rules.fast_path)
        if file is None:
            return
        try:
            _check_patient(file.header, pet)
            placed, refused = _read(file, pet, rules)
        except RoiRefused:
            raise
        except Exception as error:  # pydicom parses late and raises many types: each means the same to us
            raise RoiRefused(
                "ROI_UNREADABLE", "the ROI file lacks required parts or is damaged; send it again"
            ) from error
    for name, region in placed.items():
        rois.put(name, region)
    for name, why in refused.items():
        rois.refuse(name, why)


def _read(file: RoiFile, pet, rules) -> tuple[dict[str, Placed], dict[str, RoiRefused]]:
    if file.kind == "RTSTRUCT":
        return read_rtstruct(file, pet, rules)
    return read_segmentation(file, pet, rules), {}


def _check_patient(ds: pydicom.Dataset, pet) -> None:
    theirs, ours = str(ds.get("PatientID") or "").strip(), pet.facts["patient_id"]
    if theirs and ours and theirs != ours:
        raise RoiRefused(
            "ROI_OTHER_PATIENT",
            "Patient ID (0010,0020) of the ROI file differs from the image's; give the ROI file of this scan",
        )
