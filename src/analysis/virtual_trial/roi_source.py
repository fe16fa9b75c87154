"""What lesion regions are drawn on, PET or CT, and what every object that holds regions states of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage

from analysis.virtual_trial.acquisition import Acquisition
from analysis.virtual_trial.anatomy import Grid
from analysis.virtual_trial.dialects import patient_and_study
from analysis.virtual_trial.elements import decimal, make_item, scan_uid
from analysis.virtual_trial.slice_files import Slice

ORGAN_CODES = {
    "bone": codes.SCT.Bone,
    "liver": codes.SCT.Liver,
    "lung": codes.SCT.Lung,
    "node": codes.SCT.LymphNode,
}
REFERENCE_CODES = {"LIVER": codes.SCT.Liver, "AORTA": codes.SCT.DescendingAorta}

Regions = Mapping[str, tuple[tuple[slice, ...], np.ndarray]]


@dataclass(frozen=True)
class Source:
    """The series that regions are drawn on: facts of the scan, shared header, grid and slices."""

    spec: Mapping[str, Any]
    acquisition: Acquisition
    header: Dataset
    grid: Grid
    slices: Sequence[Slice]


def ct_source(pet: Source, grid: Grid) -> Source:
    """Return the CT of a PET scan: same frame of reference, its own series and grid. It is not written.

    The reading centre sends its regions to the trial, not the CT they were drawn on.
    """
    header = make_item(
        SOPClassUID=CTImageStorage,
        SeriesInstanceUID=scan_uid(pet.spec, "ct"),
        StudyInstanceUID=pet.header.StudyInstanceUID,
        FrameOfReferenceUID=pet.header.FrameOfReferenceUID,
    )
    if "PatientWeight" in pet.header:
        header.PatientWeight = pet.header.PatientWeight
    heights = (float(decimal(round(z, 4))) for z in grid.axes[0])
    slices = [Slice(scan_uid(pet.spec, "ct", k), z) for k, z in enumerate(heights, start=1)]
    return Source(pet.spec, pet.acquisition, header, grid, slices)


def region_object(source: Source, sop_class: str, modality: str, kind: str, number: str) -> Dataset:
    """Return a new object of the scan's study: same patient and study, a series of its own."""
    new = patient_and_study(source.spec, source.acquisition)
    if "PatientWeight" not in source.header:
        del new.PatientWeight
    new.SOPClassUID, new.SOPInstanceUID = sop_class, scan_uid(source.spec, kind, "instance")
    new.SeriesInstanceUID, new.SeriesNumber = scan_uid(source.spec, kind), number
    new.Modality = modality
    new.SeriesDate = new.ContentDate = new.StudyDate
    new.SeriesTime = new.ContentTime = new.StudyTime
    new.Manufacturer, new.ManufacturerModelName = "PEARL", "virtual trial"
    new.DeviceSerialNumber, new.SoftwareVersions = "1", "1"
    new.SeriesDescription = "Lesion regions"
    new.FrameOfReferenceUID, new.PositionReferenceIndicator = source.header.FrameOfReferenceUID, ""
    return new


def reference(sop_class: str, uid: str, frame: int | None = None) -> Dataset:
    """Return a reference to an object, or to one of its frames."""
    item = make_item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=uid)
    if frame is not None:
        item.ReferencedFrameNumber = frame
    return item


def plane_reference(source: Source, k: int) -> Dataset:
    """Return a reference to one plane of the series: the object that is it, or the frame of one."""
    one = source.slices[k]
    return reference(source.header.SOPClassUID, one.uid, one.frame)


def object_references(source: Source, planes: Sequence[int]) -> list[Dataset]:
    """Return a reference to each object that holds one of the planes."""
    uids = dict.fromkeys(source.slices[k].uid for k in planes)
    return [reference(source.header.SOPClassUID, uid) for uid in uids]
