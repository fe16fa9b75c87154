"""Write a PET scan as one Enhanced PET file: all planes as frames, their meaning in functional groups.

Source: DICOM PS3.3 A.56 and C.8.22. What differs from the classic files a reader must notice: the meaning of
a stored value stands in each frame's real-world value maps alone (the modality rescaling is the identity);
the decay correction is a date and time; the injected activity is in MBq (C.8.22.4), not Bq.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import EnhancedPETImageStorage

from analysis.virtual_trial.acquisition import Acquisition, average_time_s
from analysis.virtual_trial.anatomy import Grid
from analysis.virtual_trial.dialects import (
    Vendor,
    add_series,
    break_header,
    dialect_of,
    injection,
    patient_and_study,
)
from analysis.virtual_trial.elements import (
    coded,
    date_and_clock,
    decimal,
    make_item,
    scan_uid,
    write_object,
)
from analysis.virtual_trial.slice_files import LARGEST_STORED, Slice, quantise, smallest_step

INTRAVENOUS = Code("47625008", "SCT", "Intravenous route")
WHOLE_BODY = Code("38266002", "SCT", "Entire body")
BECQUEREL_PER_ML = Code("Bq/ml", "UCUM", "Becquerels/milliliter")
SUV_BODY_WEIGHT = Code("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight")
CORRECTIONS = {  # Enhanced PET Corrections Module (C.8.22.6)
    "DecayCorrected": "YES",
    "AttenuationCorrected": "YES",
    "ScatterCorrected": "YES",
    "DeadTimeCorrected": "YES",
    "GantryMotionCorrected": "NO",
    "PatientMotionCorrected": "NO",
    "CountLossNormalizationCorrected": "YES",
    "RandomsCorrected": "YES",
    "NonUniformRadialSamplingCorrected": "YES",
    "SensitivityCalibrated": "YES",
    "DetectorNormalizationCorrection": "YES",
}


def write_enhanced(
    folder: Path, suv: np.ndarray, grid: Grid, spec: Mapping[str, Any], acquisition: Acquisition
) -> tuple[Dataset, list[Slice]]:
    """Write a PET scan as ``folder/enhanced.dcm``, its frames from head to feet.

    Parameters
    ----------
    folder : Path
        Where the file goes; must exist.
    suv : ndarray
        SUVbw (slices ascending to the head, rows, columns).
    grid, spec, acquisition
        Voxels, the scan's facts and its times.

    Returns
    -------
    header : Dataset
        The object without its frames.
    slices : list of Slice
        In the order of `suv`; each names its frame.
    """
    vendor = dialect_of(spec).vendor
    header = _header(spec, acquisition, grid, vendor)
    suv_of_one = acquisition.suv_per_bqml(vendor.half_life_s)
    groups, planes, slices = [], [], []
    for frame, k in enumerate(reversed(range(grid.shape[0])), start=1):
        bqml = suv[k].astype(np.float64) / suv_of_one
        slope = smallest_step(bqml, 1.0 / suv_of_one)
        z = decimal(round(grid.axes[0][k], 4))
        planes.append(quantise(bqml, slope))
        groups.append(_frame_groups(frame, k, z, slope, suv_of_one, grid, acquisition, vendor))
        slices.append(Slice(header.SOPInstanceUID, float(z), frame))
    image = Dataset()
    image.update(header)
    image.NumberOfFrames = len(groups)
    image.SharedFunctionalGroupsSequence = [_shared_groups(grid)]
    image.PerFrameFunctionalGroupsSequence = groups
    image.PixelData = np.stack(planes).tobytes()
    image["PixelData"].VR = "OW"
    write_object(image, folder / "enhanced.dcm")
    return header, slices[::-1]


def _header(spec, acquisition: Acquisition, grid: Grid, vendor: Vendor) -> Dataset:
    header = patient_and_study(spec, acquisition)
    add_series(header, spec, acquisition, vendor)
    header.SOPClassUID, header.SOPInstanceUID = EnhancedPETImageStorage, scan_uid(spec, "pet", "enhanced")
    header.ContentTime = header.SeriesTime
    header.InstanceNumber = header.DeviceSerialNumber = "1"
    header.ImageType = ["ORIGINAL", "PRIMARY", "WHOLE_BODY", "NONE"]
    header.AcquisitionDateTime = date_and_clock(acquisition.started)
    header.AcquisitionDuration = float(acquisition.bed_starts_s.max() + acquisition.frame_s)
    header.AcquisitionContextSequence = []
    header.Rows, header.Columns = grid.shape[1:]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 0
    header.BurnedInAnnotation, header.LossyImageCompression = "NO", "00"
    header.PresentationLUTShape, header.ContentQualification = "IDENTITY", "RESEARCH"
    _describe(header)
    header.CountsSource, header.CollimatorType = "EMISSION", "NONE"
    header.update(make_item(**CORRECTIONS))
    header.DecayCorrectionDateTime = date_and_clock(acquisition.started)
    header.RandomsCorrectionMethod, header.AttenuationCorrectionSource = "DLYD", "CT"
    header.ScatterCorrectionMethod = "model-based"
    agent = injection(acquisition, vendor)
    agent.RadiopharmaceuticalAgentNumber = 1
    agent.RadiopharmaceuticalStartDateTime = date_and_clock(acquisition.injected)
    agent.RadionuclideTotalDose = decimal(acquisition.dose_bq / 1e6, 12)
    agent.AdministrationRouteCodeSequence = coded(INTRAVENOUS)
    header.RadiopharmaceuticalInformationSequence = [agent]
    dimension = scan_uid(spec, "pet", "dimensions")
    header.DimensionOrganizationSequence = [make_item(DimensionOrganizationUID=dimension)]
    header.DimensionIndexSequence = [
        make_item(
            DimensionOrganizationUID=dimension,
            DimensionIndexPointer=0x00209057,  # In-Stack Position Number
            FunctionalGroupPointer=0x00209111,  # Frame Content Sequence
        )
    ]
    break_header(header, spec.get("FAULT") or "", acquisition)
    return header


def _describe(target: Dataset) -> None:
    """Add the Common CT/MR Image Description macro (table C.8-131)."""
    target.PixelPresentation, target.VolumetricProperties = "MONOCHROME", "VOLUME"
    target.VolumeBasedCalculationTechnique = "NONE"


def _shared_groups(grid: Grid) -> Dataset:
    frame_type = make_item(FrameType=["ORIGINAL", "PRIMARY", "WHOLE_BODY", "NONE"])
    _describe(frame_type)
    spacing = [decimal(d) for d in grid.spacing_mm]
    return make_item(
        PixelMeasuresSequence=[
            make_item(SliceThickness=spacing[0], SpacingBetweenSlices=spacing[0], PixelSpacing=spacing[1:])
        ],
        PlaneOrientationSequence=[make_item(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"])],
        FrameAnatomySequence=[make_item(FrameLaterality="U", AnatomicRegionSequence=coded(WHOLE_BODY))],
        FrameVOILUTSequence=[
            make_item(WindowCenter=str(LARGEST_STORED // 2), WindowWidth=str(LARGEST_STORED))
        ],
        RadiopharmaceuticalUsageSequence=[make_item(RadiopharmaceuticalAgentNumber=1)],
        PETFrameTypeSequence=[frame_type],
    )


def _frame_groups(frame, k, z, slope, suv_of_one, grid, acquisition, vendor) -> Dataset:
    """Return what differs between frames: time, place, and what its stored values mean."""
    begun = acquisition.started + timedelta(seconds=float(acquisition.bed_starts_s[k]))
    middle = begun + timedelta(seconds=average_time_s(acquisition.frame_s, vendor.half_life_s))
    content = make_item(
        FrameAcquisitionDateTime=date_and_clock(begun),
        FrameReferenceDateTime=date_and_clock(middle),
        FrameAcquisitionDuration=acquisition.frame_s * 1000.0,
        StackID="1",
        InStackPositionNumber=frame,
        DimensionIndexValues=[frame],
    )
    position = [decimal(grid.origin_mm[2]), decimal(grid.origin_mm[1]), z]
    return make_item(
        FrameContentSequence=[content],
        PlanePositionSequence=[make_item(ImagePositionPatient=position)],
        PixelValueTransformationSequence=[
            make_item(RescaleIntercept="0", RescaleSlope="1", RescaleType="US")
        ],
        RealWorldValueMappingSequence=[
            _value_map("BQML", BECQUEREL_PER_ML, slope),
            _value_map("SUVBW", SUV_BODY_WEIGHT, slope * suv_of_one),
        ],
    )


def _value_map(label: str, unit: Code, slope: float) -> Dataset:
    return make_item(
        RealWorldValueFirstValueMapped=0,
        RealWorldValueLastValueMapped=LARGEST_STORED,
        RealWorldValueIntercept=0.0,
        RealWorldValueSlope=float(slope),
        LUTLabel=label,
        LUTExplanation=unit.meaning,
        MeasurementUnitsCodeSequence=coded(unit),
    )
