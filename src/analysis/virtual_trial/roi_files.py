"""Write lesion regions as a reading centre sends them: binary DICOM SEG with sparse frames, or RTSTRUCT.

A contour runs along the edges of voxels: the pixel-centre rule, inclusive or not, then gives the mask back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, SegmentationStorage

from analysis.virtual_trial.anatomy import Grid
from analysis.virtual_trial.contours import edge_loops
from analysis.virtual_trial.dialects import (
    IMPLEMENTATION,
    Acquisition,
    coded,
    decimal,
    patient_and_study,
    scan_uid,
)
from analysis.virtual_trial.slice_files import Slice

ORGAN_CODES = {
    "bone": codes.SCT.Bone,
    "liver": codes.SCT.Liver,
    "lung": codes.SCT.Lung,
    "node": codes.SCT.LymphNode,
}
REFERENCE_CODES = {"LIVER": codes.SCT.Liver, "AORTA": codes.SCT.DescendingAorta}
SEGMENTATION = Code("113076", "DCM", "Segmentation")
COLOURS = ((220, 60, 50), (240, 150, 40), (60, 140, 220), (90, 180, 90), (160, 90, 190), (120, 120, 120))

Regions = Mapping[str, tuple[tuple[slice, ...], np.ndarray]]


def write_seg(path: Path, rois: Regions, organs: Mapping[str, str], source: Source) -> None:
    """Write the regions as one DICOM SEG: one segment a region, one frame for each slice it touches.

    Parameters
    ----------
    path : Path
        File to write.
    rois : dict of str to (box, mask)
        Regions on the PET grid; a box is a tuple of slices.
    organs : dict of str to str
        Organ of every lesion; regions not named are liver and aorta.
    source : Source
        The PET series the regions lie on.
    """
    frames = list(_frames(rois, source.grid))
    seg = _object(source, SegmentationStorage, "SEG", "seg", "30")
    seg.ImageType = ["DERIVED", "PRIMARY"]
    seg.SamplesPerPixel, seg.PhotometricInterpretation = 1, "MONOCHROME2"
    seg.Rows, seg.Columns = source.grid.shape[1:]
    seg.BitsAllocated = seg.BitsStored = 1
    seg.HighBit = seg.PixelRepresentation = 0
    seg.LossyImageCompression = "00"
    seg.SegmentationType = "BINARY"
    seg.ContentLabel, seg.ContentDescription, seg.ContentCreatorName = "LESIONS", "FDG-avid lesions", "READER"
    seg.InstanceNumber = "1"
    seg.NumberOfFrames = len(frames)
    seg.ReferencedSeriesSequence = [_referenced_series(source, sorted({k for _, k, _ in frames}))]
    seg.SegmentSequence = [_segment(i + 1, name, organs, source) for i, name in enumerate(rois)]
    _add_dimensions(seg, source)
    seg.SharedFunctionalGroupsSequence = [_shared_groups(source.grid)]
    seg.PerFrameFunctionalGroupsSequence = [_frame_groups(number, k, source) for number, k, _ in frames]
    bits = np.packbits(np.concatenate([plane.ravel() for _, _, plane in frames]), bitorder="little").tobytes()
    seg.PixelData = bits + b"\0" * (len(bits) % 2)
    seg["PixelData"].VR = "OB"
    _save(seg, path)


def write_rtstruct(path: Path, rois: Regions, organs: Mapping[str, str], source: Source) -> None:
    """Write the regions as one RTSTRUCT of closed planar contours (parameters as `write_seg`)."""
    struct = _object(source, RTStructureSetStorage, "RTSTRUCT", "rtstruct", "31")
    struct.StructureSetLabel, struct.StructureSetDate, struct.StructureSetTime = (
        "LESIONS",
        struct.ContentDate,
        struct.ContentTime,
    )
    del struct.ContentDate, struct.ContentTime
    struct.ReferencedFrameOfReferenceSequence = [_referenced_frame(source)]
    struct.StructureSetROISequence = [_roi(i + 1, name, organs, source) for i, name in enumerate(rois)]
    struct.ROIContourSequence = [
        _roi_contours(i + 1, box, mask, source) for i, (box, mask) in enumerate(rois.values())
    ]
    struct.RTROIObservationsSequence = [_observation(i + 1, name, organs) for i, name in enumerate(rois)]
    struct.ApprovalStatus = "UNAPPROVED"
    _save(struct, path)


@dataclass(frozen=True)
class Source:
    """The PET series that regions are drawn on: facts of the scan, shared header, grid and written slices."""

    spec: Mapping[str, Any]
    acquisition: Acquisition
    header: Dataset
    grid: Grid
    slices: Sequence[Slice]


def _object(source: Source, sop_class, modality: str, kind: str, number: str) -> Dataset:
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


def _save(dataset: Dataset, path: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION, "PEARL"
    dataset.file_meta = meta
    dcmwrite(path, dataset, enforce_file_format=True)


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item


def _reference(sop_class, uid) -> Dataset:
    return _item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=uid)


def _frames(rois: Regions, grid: Grid):
    """Yield (segment number, slice, plane) for every slice a region touches."""
    for number, (box, mask) in enumerate(rois.values(), start=1):
        for offset, part in enumerate(mask):
            if part.any():
                plane = np.zeros(grid.shape[1:], np.uint8)
                plane[box[1], box[2]] = part
                yield number, box[0].start + offset, plane


def _referenced_series(source: Source, touched: Sequence[int]) -> Dataset:
    used = [_reference(source.header.SOPClassUID, source.slices[k].uid) for k in touched]
    return _item(SeriesInstanceUID=source.header.SeriesInstanceUID, ReferencedInstanceSequence=used)


def _segment(number: int, name: str, organs: Mapping[str, str], source: Source) -> Dataset:
    lesion = name in organs
    category = codes.SCT.MorphologicallyAbnormalStructure if lesion else codes.SCT.AnatomicalStructure
    segment = _item(
        SegmentNumber=number,
        SegmentLabel=name,
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=coded(category),
        SegmentedPropertyTypeCodeSequence=coded(codes.SCT.Lesion if lesion else REFERENCE_CODES[name]),
        TrackingID=name,
        TrackingUID=_tracking_uid(name, source),
    )
    if lesion:
        segment.AnatomicRegionSequence = coded(ORGAN_CODES[organs[name]])
    return segment


def _tracking_uid(name: str, source: Source):
    """Return the UID that follows one lesion through all visits."""
    return scan_uid({**source.spec, "AVISIT": "all visits"}, "tracking", name)


def _add_dimensions(seg: Dataset, source: Source) -> None:
    uid = scan_uid(source.spec, "seg", "dimensions")
    seg.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=uid)]
    pointers = ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113))  # segment number, position
    seg.DimensionIndexSequence = [
        _item(DimensionOrganizationUID=uid, DimensionIndexPointer=tag, FunctionalGroupPointer=group)
        for tag, group in pointers
    ]


def _shared_groups(grid: Grid) -> Dataset:
    measures = _item(
        SliceThickness=decimal(grid.spacing_mm[0]),
        SpacingBetweenSlices=decimal(grid.spacing_mm[0]),
        PixelSpacing=[decimal(d) for d in grid.spacing_mm[1:]],
    )
    orientation = _item(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"])
    return _item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])


def _frame_groups(number: int, k: int, source: Source) -> Dataset:
    position = [
        decimal(source.grid.origin_mm[2]),
        decimal(source.grid.origin_mm[1]),
        decimal(source.slices[k].z_mm),
    ]
    image = _reference(source.header.SOPClassUID, source.slices[k].uid)
    image.PurposeOfReferenceCodeSequence = coded(codes.DCM.SourceImageForImageProcessingOperation)
    derivation = _item(SourceImageSequence=[image], DerivationCodeSequence=coded(SEGMENTATION))
    return _item(
        DerivationImageSequence=[derivation],
        FrameContentSequence=[_item(DimensionIndexValues=[number, k + 1])],
        PlanePositionSequence=[_item(ImagePositionPatient=position)],
        SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=number)],
    )


def _referenced_frame(source: Source) -> Dataset:
    images = [_reference(source.header.SOPClassUID, one.uid) for one in source.slices]
    series = _item(SeriesInstanceUID=source.header.SeriesInstanceUID, ContourImageSequence=images)
    study = _reference("1.2.840.10008.3.1.2.3.1", source.header.StudyInstanceUID)
    study.RTReferencedSeriesSequence = [series]
    return _item(FrameOfReferenceUID=source.header.FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _roi(number: int, name: str, organs: Mapping[str, str], source: Source) -> Dataset:
    return _item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=source.header.FrameOfReferenceUID,
        ROIName=name,
        ROIDescription=organs.get(name, "reference region"),
        ROIGenerationAlgorithm="MANUAL",
    )


def _observation(number: int, name: str, organs: Mapping[str, str]) -> Dataset:
    return _item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        RTROIInterpretedType="GTV" if name in organs else "ORGAN",
        ROIInterpreter="",
    )


def _roi_contours(number: int, box, mask: np.ndarray, source: Source) -> Dataset:
    contours = [
        _contour(loop, box, box[0].start + offset, source)
        for offset, part in enumerate(mask)
        for loop in edge_loops(part)
    ]
    colour = [str(part) for part in COLOURS[(number - 1) % len(COLOURS)]]
    return _item(ROIDisplayColor=colour, ContourSequence=contours, ReferencedROINumber=number)


def _contour(loop: np.ndarray, box, k: int, source: Source) -> Dataset:
    grid, one = source.grid, source.slices[k]
    y = grid.origin_mm[1] + (loop[:, 0] - 0.5 + box[1].start) * grid.spacing_mm[1]
    x = grid.origin_mm[2] + (loop[:, 1] - 0.5 + box[2].start) * grid.spacing_mm[2]
    z = decimal(one.z_mm)
    points = [text for px, py in zip(x, y) for text in (f"{px:.4f}", f"{py:.4f}", z)]
    return _item(
        ContourImageSequence=[_reference(source.header.SOPClassUID, one.uid)],
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=len(loop),
        ContourData=points,
    )
