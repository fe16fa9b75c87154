"""Write the structure set of the benchmark's scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

_RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"
_UID = "1.2.826.0.1.3680043.10.998.6"
_SAME = [
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "FrameOfReferenceUID",
    "Manufacturer",
]


def item(**values) -> Dataset:
    """Return a sequence item of these elements."""
    ds = Dataset()
    for key, value in values.items():
        setattr(ds, key, value)
    return ds


def write_rtstruct(path: Path, headers: list[Dataset], contours: dict[str, list[np.ndarray]]) -> None:
    """Write regions as closed planar contours, each of them naming the slice it lies on."""
    first = headers[0]
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = _RTSTRUCT
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"{_UID}.1"
    for name in _SAME:
        setattr(ds, name, getattr(first, name))
    ds.SeriesInstanceUID, ds.Modality, ds.SeriesNumber = _UID, "RTSTRUCT", 6
    ds.StructureSetLabel, ds.StructureSetDate, ds.StructureSetTime = "ROI", "20250102", "120000"
    ds.ApprovalStatus = "UNAPPROVED"
    at = {round(float(header.ImagePositionPatient[2]), 2): header.SOPInstanceUID for header in headers}
    images = [
        item(ReferencedSOPClassUID=first.SOPClassUID, ReferencedSOPInstanceUID=uid) for uid in at.values()
    ]
    series = item(SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=Sequence(images))
    study = item(ReferencedSOPClassUID=_STUDY_COMPONENT, ReferencedSOPInstanceUID=first.StudyInstanceUID)
    study.RTReferencedSeriesSequence = Sequence([series])
    frame = item(FrameOfReferenceUID=first.FrameOfReferenceUID)
    frame.RTReferencedStudySequence = Sequence([study])
    ds.ReferencedFrameOfReferenceSequence = Sequence([frame])
    ds.StructureSetROISequence, ds.ROIContourSequence, ds.RTROIObservationsSequence = [], [], []
    for number, (name, rings) in enumerate(contours.items(), start=1):
        ds.StructureSetROISequence.append(
            item(
                ROINumber=number,
                ReferencedFrameOfReferenceUID=first.FrameOfReferenceUID,
                ROIName=name,
                ROIGenerationAlgorithm="MANUAL",
            )
        )
        drawn = [_contour(points, at, first.SOPClassUID) for points in rings]
        ds.ROIContourSequence.append(
            item(ROIDisplayColor=[255, 0, 0], ContourSequence=drawn, ReferencedROINumber=number)
        )
        ds.RTROIObservationsSequence.append(
            item(
                ObservationNumber=number,
                ReferencedROINumber=number,
                RTROIInterpretedType="",
                ROIInterpreter="",
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def _contour(points: np.ndarray, at: dict[float, str], sop_class: str) -> Dataset:
    uid = at[round(float(points[0, 2]), 2)]
    return item(
        ContourImageSequence=[item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=uid)],
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=len(points),
        ContourData=[f"{value:.4f}" for value in points.ravel()],
    )
