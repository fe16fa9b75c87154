"""Write lesion regions as RTSTRUCT: closed planar contours along the edges of voxels.

The pixel-centre rule, inclusive or not, then gives the mask back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from analysis.virtual_trial.contours import edge_loops
from analysis.virtual_trial.elements import decimal, make_item, write_object
from analysis.virtual_trial.roi_source import (
    Regions,
    Source,
    object_references,
    plane_reference,
    reference,
    region_object,
)

COLOURS = ((220, 60, 50), (240, 150, 40), (60, 140, 220), (90, 180, 90), (160, 90, 190), (120, 120, 120))
STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management (retired), as the standard asks


def write_rtstruct(path: Path, rois: Regions, organs: Mapping[str, str], source: Source) -> None:
    """Write the regions as one RTSTRUCT of closed planar contours (parameters as `seg_file.write_seg`)."""
    struct = region_object(source, RTStructureSetStorage, "RTSTRUCT", "rtstruct", "31")
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
    write_object(struct, path)


def _referenced_frame(source: Source) -> Dataset:
    images = object_references(source, range(len(source.slices)))
    series = make_item(SeriesInstanceUID=source.header.SeriesInstanceUID, ContourImageSequence=images)
    study = reference(STUDY_COMPONENT, source.header.StudyInstanceUID)
    study.RTReferencedSeriesSequence = [series]
    return make_item(FrameOfReferenceUID=source.header.FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _roi(number: int, name: str, organs: Mapping[str, str], source: Source) -> Dataset:
    return make_item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=source.header.FrameOfReferenceUID,
        ROIName=name,
        ROIDescription=organs.get(name, "reference region"),
        ROIGenerationAlgorithm="MANUAL",
    )


def _observation(number: int, name: str, organs: Mapping[str, str]) -> Dataset:
    return make_item(
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
    return make_item(ROIDisplayColor=colour, ContourSequence=contours, ReferencedROINumber=number)


def _contour(loop: np.ndarray, box, k: int, source: Source) -> Dataset:
    grid = source.grid
    y = grid.origin_mm[1] + (loop[:, 0] - 0.5 + box[1].start) * grid.spacing_mm[1]
    x = grid.origin_mm[2] + (loop[:, 1] - 0.5 + box[2].start) * grid.spacing_mm[2]
    z = decimal(source.slices[k].z_mm)
    points = [text for px, py in zip(x, y) for text in (f"{px:.4f}", f"{py:.4f}", z)]
    return make_item(
        ContourImageSequence=[plane_reference(source, k)],
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=len(loop),
        ContourData=points,
    )
