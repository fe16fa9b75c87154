"""Write lesion regions as DICOM SEG with sparse frames: binary, or a label map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, SegmentationStorage

from analysis.virtual_trial.anatomy import Grid
from analysis.virtual_trial.elements import coded, decimal, make_item, scan_uid, write_object
from analysis.virtual_trial.roi_source import (
    ORGAN_CODES,
    REFERENCE_CODES,
    Regions,
    Source,
    object_references,
    plane_reference,
    region_object,
)

LABEL_MAP_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")  # Label Map Segmentation Storage (Supplement 243)
SEGMENTATION = Code("113076", "DCM", "Segmentation")
BACKGROUND = Code("125040", "DCM", "Background")
SEGMENT_POINTER = (0x0062000B, 0x0062000A)  # Referenced Segment Number, Segment Identification Sequence
POSITION_POINTER = (0x00200032, 0x00209113)  # Image Position (Patient), Plane Position Sequence


def write_seg(path: Path, rois: Regions, organs: Mapping[str, str], source: Source) -> None:
    """Write the regions as one binary SEG: one segment a region, one frame for each slice it touches.

    Parameters
    ----------
    path : Path
        File to write.
    rois : dict of str to (box, mask)
        Regions on the grid of `source`; a box is a tuple of slices.
    organs : dict of str to str
        Organ of every lesion; regions not named are liver and aorta.
    source : Source
        The series the regions lie on.
    """
    frames = list(_frames(rois, source.grid))
    planes = [k for _, k, _ in frames]
    seg = _segmentation(source, SegmentationStorage, "BINARY", planes)
    seg.BitsAllocated = seg.BitsStored = 1
    seg.HighBit = 0
    seg.SegmentSequence = [_segment(i + 1, name, organs, source) for i, name in enumerate(rois)]
    _add_dimensions(seg, source, SEGMENT_POINTER, POSITION_POINTER)
    seg.PerFrameFunctionalGroupsSequence = [_binary_groups(number, k, source) for number, k, _ in frames]
    bits = np.packbits(np.concatenate([plane.ravel() for _, _, plane in frames]), bitorder="little").tobytes()
    _save(seg, bits, path)


def write_label_map(path: Path, rois: Regions, organs: Mapping[str, str], source: Source) -> None:
    """Write the regions as one label map: a frame a slice, each pixel the number of its segment.

    Parameters are those of `write_seg`. Where two regions share a voxel, the later one has it.
    """
    labels = np.zeros(source.grid.shape, np.uint8)
    for number, (box, mask) in enumerate(rois.values(), start=1):
        labels[box][mask] = number
    planes = np.flatnonzero(labels.any(axis=(1, 2))).tolist()
    seg = _segmentation(source, LABEL_MAP_STORAGE, "LABELMAP", planes)
    seg.BitsAllocated = seg.BitsStored = 8
    seg.HighBit = 7
    seg.PixelPaddingValue = 0
    seg["PixelPaddingValue"].VR = "US"
    named = [_segment(i + 1, name, organs, source) for i, name in enumerate(rois)]
    seg.SegmentSequence = [_background(), *named]
    _add_dimensions(seg, source, POSITION_POINTER)
    seg.PerFrameFunctionalGroupsSequence = [_plane_groups(k, [k + 1], source) for k in planes]
    _save(seg, labels[planes].tobytes(), path)


def _segmentation(source: Source, sop_class: UID, kind: str, planes: Sequence[int]) -> Dataset:
    seg = region_object(source, sop_class, "SEG", "seg", "30")
    seg.ImageType = ["DERIVED", "PRIMARY"]
    seg.SamplesPerPixel, seg.PhotometricInterpretation = 1, "MONOCHROME2"
    seg.Rows, seg.Columns = source.grid.shape[1:]
    seg.PixelRepresentation = 0
    seg.LossyImageCompression = "00"
    seg.SegmentationType = kind
    seg.ContentLabel, seg.ContentDescription, seg.ContentCreatorName = "LESIONS", "FDG-avid lesions", "READER"
    seg.InstanceNumber = "1"
    seg.NumberOfFrames = len(planes)
    touched = sorted(set(planes))
    seg.ReferencedSeriesSequence = [
        make_item(
            SeriesInstanceUID=source.header.SeriesInstanceUID,
            ReferencedInstanceSequence=object_references(source, touched),
        )
    ]
    seg.SharedFunctionalGroupsSequence = [_shared_groups(source.grid)]
    return seg


def _save(seg: Dataset, pixels: bytes, path: Path) -> None:
    seg.PixelData = pixels + b"\0" * (len(pixels) % 2)
    seg["PixelData"].VR = "OB"
    write_object(seg, path)


def _frames(rois: Regions, grid: Grid) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (segment number, slice, plane) for every slice a region touches."""
    for number, (box, mask) in enumerate(rois.values(), start=1):
        for offset, part in enumerate(mask):
            if part.any():
                plane = np.zeros(grid.shape[1:], np.uint8)
                plane[box[1], box[2]] = part
                yield number, box[0].start + offset, plane


def _segment(number: int, name: str, organs: Mapping[str, str], source: Source) -> Dataset:
    lesion = name in organs
    category = codes.SCT.MorphologicallyAbnormalStructure if lesion else codes.SCT.AnatomicalStructure
    segment = make_item(
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


def _background() -> Dataset:
    return make_item(
        SegmentNumber=0,
        SegmentLabel="Background",
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=coded(BACKGROUND),
        SegmentedPropertyTypeCodeSequence=coded(BACKGROUND),
    )


def _add_dimensions(seg: Dataset, source: Source, *pointers: tuple[int, int]) -> None:
    uid = scan_uid(source.spec, "seg", "dimensions")
    seg.DimensionOrganizationSequence = [make_item(DimensionOrganizationUID=uid)]
    seg.DimensionIndexSequence = [
        make_item(DimensionOrganizationUID=uid, DimensionIndexPointer=tag, FunctionalGroupPointer=group)
        for tag, group in pointers
    ]


def _shared_groups(grid: Grid) -> Dataset:
    measures = make_item(
        SliceThickness=decimal(grid.spacing_mm[0]),
        SpacingBetweenSlices=decimal(grid.spacing_mm[0]),
        PixelSpacing=[decimal(d) for d in grid.spacing_mm[1:]],
    )
    orientation = make_item(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"])
    return make_item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])


def _binary_groups(number: int, k: int, source: Source) -> Dataset:
    groups = _plane_groups(k, [number, k + 1], source)
    groups.SegmentIdentificationSequence = [make_item(ReferencedSegmentNumber=number)]
    return groups


def _plane_groups(k: int, dimension: list[int], source: Source) -> Dataset:
    position = [
        decimal(source.grid.origin_mm[2]),
        decimal(source.grid.origin_mm[1]),
        decimal(source.slices[k].z_mm),
    ]
    image = plane_reference(source, k)
    image.PurposeOfReferenceCodeSequence = coded(codes.DCM.SourceImageForImageProcessingOperation)
    derivation = make_item(SourceImageSequence=[image], DerivationCodeSequence=coded(SEGMENTATION))
    return make_item(
        DerivationImageSequence=[derivation],
        FrameContentSequence=[make_item(DimensionIndexValues=dimension)],
        PlanePositionSequence=[make_item(ImagePositionPatient=position)],
    )
