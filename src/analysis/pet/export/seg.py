"""Regions of a scan as a DICOM Segmentation: one binary segment a region, on the grid of the PET.

Only planes that hold voxels of a segment become frames, so an object costs what its regions do, not what the
image does. The frames are made here one by one: a writer that takes one array of planes by segments needs
gigabytes for a large image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import format_number_as_ds

from analysis.pet.export.common import (
    VERSION,
    code_item,
    item,
    references,
    set_content,
    set_referenced_series,
    set_shared_modules,
)
from analysis.pet.export.segments import Segment
from analysis.pet.export.source import ExportRefused, Source
from analysis.pet.export.uids import derive_uid
from analysis.pet.series import PetImage

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_DERIVED_BY = Code("113076", "DCM", "Segmentation")
_PURPOSE = Code("121322", "DCM", "Source image for image processing operation")
_FAMILY = Code("123101", "DCM", "Neighborhood Analysis")
_SEGMENT_NUMBER, _SEGMENT_GROUP = 0x0062000B, 0x0062000A
_POSITION, _POSITION_GROUP = 0x00200032, 0x00209113


def build_segmentation(pet: PetImage, source: Source, segments: Sequence[Segment]) -> Dataset:
    """Build the segmentation of a scan.

    Parameters
    ----------
    pet : PetImage
        The image.
    source : Source
        Its files.
    segments : sequence of Segment
        At least one, each with at least one voxel.

    Returns
    -------
    pydicom.Dataset
        SOP class Segmentation, BINARY.

    Raises
    ------
    ExportRefused
        ``EXPORT_NOT_POSSIBLE`` (no date or frame of reference in the source).
    """
    ds = Dataset()
    ds.SOPClassUID = SEGMENTATION
    uid = derive_uid("SEG", VERSION, source.identity, *_contents(segments))
    set_shared_modules(ds, source, "SEG", uid, "PET regions")
    set_content(ds, "PET_REGIONS", "Lesions and reference regions as measured")
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = _frame_of_reference(source), ""
    ds.ImageType, ds.PatientOrientation = ["DERIVED", "PRIMARY"], ""
    _set_pixel_description(ds, pet, source)
    ds.SegmentationType = "BINARY"
    ds.SegmentSequence = [_describe(segment) for segment in segments]
    _set_dimensions(ds, uid)
    ds.SharedFunctionalGroupsSequence = [_shared_groups(pet)]
    frames = list(_planes(segments))
    rank = {k: place for place, k in enumerate(sorted({k for _, k, _ in frames}), start=1)}
    ds.NumberOfFrames = len(frames)
    ds.PerFrameFunctionalGroupsSequence = [
        _frame_groups(pet, source, segment, k, rank[k]) for segment, k, _ in frames
    ]
    ds.PixelData = _packed([plane for _, _, plane in frames])
    ds["PixelData"].VR = "OB"
    set_referenced_series(ds, source)
    return ds


def _frame_of_reference(source: Source) -> str:
    if not source.header.get("FrameOfReferenceUID"):
        raise ExportRefused(
            "EXPORT_NOT_POSSIBLE",
            "Frame of Reference UID (0020,0052) expected, found none: regions would have no place; send the "
            "series with it",
        )
    return source.header.FrameOfReferenceUID


def _contents(segments: Sequence[Segment]) -> Iterator[str | bytes]:
    for one in segments:
        yield "\n".join(
            map(str, (one.number, one.name, one.role, one.kind, one.site, one.algorithm, one.tracking_uid))
        )
        yield one.region.index().astype("<i8").tobytes()


def _set_pixel_description(ds: Dataset, pet: PetImage, source: Source) -> None:
    _, ds.Rows, ds.Columns = map(int, pet.values.shape)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit = ds.PixelRepresentation = 0
    ds.LossyImageCompression = "00"
    if source.header.get("LossyImageCompression") == "01":  # once lossy, always lossy (PS3.3 C.7.6.1.1.5)
        ds.LossyImageCompression = "01"
        for name in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if name in source.header:
                ds.add(source.header[name])


def _describe(segment: Segment) -> SegmentDescription:
    how = None
    if segment.algorithm_name:
        how = AlgorithmIdentificationSequence(segment.algorithm_name, _FAMILY, VERSION)
    return SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.name,
        segmented_property_category=segment.category,
        segmented_property_type=segment.kind,
        algorithm_type=segment.algorithm,
        algorithm_identification=how,
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.name,
        anatomic_regions=[segment.site] if segment.site and segment.role == "LESION" else None,
    )


def _set_dimensions(ds: Dataset, uid: str) -> None:
    organisation = derive_uid("dimensions", uid)
    ds.DimensionOrganizationSequence = [item(DimensionOrganizationUID=organisation)]
    ds.DimensionIndexSequence = [
        item(
            DimensionOrganizationUID=organisation,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=group,
            DimensionDescriptionLabel=label,
        )
        for pointer, group, label in (
            (_SEGMENT_NUMBER, _SEGMENT_GROUP, "Segment"),
            (_POSITION, _POSITION_GROUP, "Position"),
        )
    ]


def _shared_groups(pet: PetImage) -> Dataset:
    step, row, column = (format_number_as_ds(float(size)) for size in pet.spacing_mm)
    along = [*(pet.affine[:3, 2] / pet.spacing_mm[2]), *(pet.affine[:3, 1] / pet.spacing_mm[1])]
    measures = item(PixelSpacing=[row, column], SliceThickness=step, SpacingBetweenSlices=step)
    orientation = item(ImageOrientationPatient=[format_number_as_ds(float(one)) for one in along])
    return item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])


def _frame_groups(pet: PetImage, source: Source, segment: Segment, k: int, place: int) -> Dataset:
    origin = pet.grid.to_mm(np.array([[k, 0, 0]]))[0]
    images = references(source, [k])
    for image in images:
        image.PurposeOfReferenceCodeSequence = [code_item(_PURPOSE)]
        image.SpatialLocationsPreserved = "YES"
    derivation = item(DerivationCodeSequence=[code_item(_DERIVED_BY)], SourceImageSequence=images)
    position = [format_number_as_ds(float(one)) for one in origin]
    return item(
        DerivationImageSequence=[derivation],
        FrameContentSequence=[item(DimensionIndexValues=[segment.number, place])],
        PlanePositionSequence=[item(ImagePositionPatient=position)],
        SegmentIdentificationSequence=[item(ReferencedSegmentNumber=segment.number)],
    )


def _planes(segments: Sequence[Segment]) -> Iterator[tuple[Segment, int, np.ndarray]]:
    """Yield the planes that hold voxels, segment by segment, upwards."""
    for segment in segments:
        first, rows, columns = segment.region.box
        for k, part in enumerate(segment.region.mask, start=first.start):
            if part.any():
                plane = np.zeros(segment.region.shape[1:], bool)
                plane[rows, columns] = part
                yield segment, k, plane


def _packed(planes: Sequence[np.ndarray]) -> bytes:
    """Pack planes bit by bit without a gap between frames, padded to an even length (PS3.5 8.1.1)."""
    content = np.packbits(np.concatenate([plane.ravel() for plane in planes]), bitorder="little").tobytes()
    return content + b"\0" * (len(content) % 2)
