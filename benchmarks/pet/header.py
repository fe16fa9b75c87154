"""The header of the benchmark's scan: as long and as varied as a scanner writes it."""

from __future__ import annotations

import math

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

PET = "1.2.840.10008.5.1.4.1.1.128"
CT = "1.2.840.10008.5.1.4.1.1.2"
UID = "1.2.826.0.1.3680043.10.998"
_CREATOR = "GEMS_PETD_01"
_SLICES_A_BED = 47
_BED_S = 150.0
_START = 10 * 3600  # 10:00:00, also the time decay is corrected to
_TEXT = {
    "SpecificCharacterSet": "ISO_IR 100",
    "AccessionNumber": "A0001",
    "InstitutionName": "Benchmark",
    "InstitutionAddress": "Nowhere 1",
    "ReferringPhysicianName": "",
    "StationName": "PET1",
    "StudyDescription": "PET/CT whole body",
    "SeriesDescription": "PET AC 3D WB",
    "InstitutionalDepartmentName": "Nuclear medicine",
    "ManufacturerModelName": "Discovery 710",
    "Manufacturer": "GE MEDICAL SYSTEMS",
    "Modality": "PT",
    "PatientName": "BENCHMARK^",
    "PatientID": "B1",
    "PatientBirthDate": "19600101",
    "PatientSex": "F",
    "PatientAge": "065Y",
    "AdditionalPatientHistory": "none",
    "BodyPartExamined": "BODY",
    "SoftwareVersions": "pet_coreload.44",
    "ProtocolName": "WB 2.5 min",
    "DateOfLastCalibration": "20250101",
    "TimeOfLastCalibration": "060000",
    "PatientPosition": "HFS",
    "StudyID": "1",
    "PositionReferenceIndicator": "OM",
    "PhotometricInterpretation": "MONOCHROME2",
    "RescaleType": "US",
    "RequestingService": "Oncology",
    "CurrentPatientLocation": "",
    "PerformedProcedureStepDescription": "PET/CT",
    "PerformedProcedureStepID": "P1",
    "CountsSource": "EMISSION",
    "Units": "BQML",
    "DecayCorrection": "START",
    "RandomsCorrectionMethod": "SING",
    "AttenuationCorrectionMethod": "measured, CT, 0.096 cm-1",
    "ReconstructionMethod": "VPFXS",
    "DetectorLinesOfResponseUsed": "",
    "ScatterCorrectionMethod": "Model Based",
    "ScanOptions": "",
    "TypeOfDetectorMotion": "STATIONARY",
    "CollimatorType": "NONE",
    "DetectorElementSize": ["6.3", "4.7"],
    "CorrectedImage": ["DECY", "ATTN", "SCAT", "DTIM", "RAN", "RADL", "DCAL", "SLSENS", "NORM"],
    "SeriesType": ["WHOLE BODY", "IMAGE"],
    "ImageType": ["ORIGINAL", "PRIMARY"],
}
_NUMBER = {
    "SamplesPerPixel": 1,
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "PixelRepresentation": 1,
    "PixelPaddingValue": -32768,
    "SeriesNumber": 4,
    "RescaleIntercept": "0",
    "GantryDetectorTilt": "0",
    "DeadTimeFactor": "1.102",
    "ReconstructionDiameter": "814.566",
    "TableHeight": "148.5",
    "FieldOfViewDimensions": ["700", "157"],
    "FieldOfViewShape": "CYLINDRICAL RING",
    "AxialAcceptance": "0",
    "AxialMash": ["0", "0"],
    "TransverseMash": "1",
    "CoincidenceWindowWidth": "4.9",
    "SecondaryCountsType": "DLYD",
}
# GEMS_PETD_01 as in raw exports (names in pydicom's private dictionary): (element, VR, value) of the series
_PRIVATE = [
    (0x01, "LO", "pet_coreload.44"), (0x02, "LO", "B1"), (0x06, "SL", 1), (0x07, "UI", f"{UID}.1"),
    (0x0A, "UI", f"{UID}.8"), (0x0F, "ST", "PET WB"), (0x12, "LO", "GE MEDICAL SYSTEMS"), (0x16, "SL", 0),
    (0x17, "SL", 1), (0x18, "SL", 4), (0x19, "SL", 1), (0x1A, "SL", 0), (0x25, "SL", 0), (0x26, "SL", 11),
    (0x2B, "SL", 700), (0x2C, "SL", 157), (0x36, "LO", "FDG -- fluorodeoxyglucose"), (0x37, "LO", ""),
    (0x3A, "FL", 1.0), (0x3C, "FL", 2.5), (0x3E, "SH", "18F"), (0x3F, "FL", 6586.2), (0x40, "FL", 0.97),
    (0x54, "SL", 650), (0x55, "SL", 425), (0x5A, "SL", 0), (0x8B, "SL", 19), (0x8C, "SL", 1),
    (0xB2, "SL", 2), (0xB3, "SL", 24), (0xBB, "FL", 6.4), (0xC3, "SL", 3),
]  # fmt: skip


def series_header(shape, spacing_mm, weight_kg: float, dose_bq: float, half_life_s: float) -> Dataset:
    """Return what all slices share."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = PET
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = (
        f"{UID}.1",
        f"{UID}.2",
        f"{UID}.3",
    )
    for name, value in {**_TEXT, **_NUMBER}.items():
        if value is not None:
            setattr(ds, name, value)
    for name in ("Study", "Series", "PerformedProcedureStepStart"):
        setattr(ds, f"{name}Date", "20250102")
        setattr(ds, f"{name}Time", _clock(_START))
    ds.PatientSize, ds.PatientWeight = "1.68", str(weight_kg)
    ds.SliceThickness = str(spacing_mm[0])
    ds.PixelSpacing = [str(spacing_mm[1]), str(spacing_mm[2])]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.NumberOfSlices, ds.Rows, ds.Columns = shape
    _add_sequences(ds, dose_bq, half_life_s)
    _add_private(ds)
    return ds


def set_slice(
    ds: Dataset, k: int, n: int, position_mm, slope: float, stored: np.ndarray, half_life_s: float
) -> None:
    """Set what changes from slice to slice; beds follow each other from the head on."""
    bed = (n - 1 - k) // _SLICES_A_BED
    begin = bed * _BED_S
    decay = math.log(2) / half_life_s
    middle = begin + math.log(decay * _BED_S / -math.expm1(-decay * _BED_S)) / decay
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"{UID}.2.{k + 1}"
    ds.InstanceCreationDate, ds.InstanceCreationTime = "20250102", _clock(_START + 1800 + k)
    for name in ("Acquisition", "Content"):
        setattr(ds, f"{name}Date", "20250102")
        setattr(ds, f"{name}Time", _clock(_START + begin))
    ds.ActualFrameDuration, ds.FrameReferenceTime = (
        str(int(_BED_S * 1000)),
        f"{begin * 1000:.0f}",
    )  # as this vendor: start of the frame
    ds.DecayFactor = f"{math.exp(decay * middle):.5f}"
    ds.InstanceNumber, ds.ImageIndex = n - k, n - k
    ds.ImagePositionPatient = [f"{value:.6g}" for value in position_mm]
    ds.SliceLocation = f"{position_mm[2]:.6g}"
    ds.RescaleSlope = f"{slope:.6e}"
    ds.SmallestImagePixelValue, ds.LargestImagePixelValue = int(stored.min()), int(stored.max())
    ds.WindowCenter, ds.WindowWidth = "16384", "32767"
    ds.PrimaryPromptsCountsAccumulated = 90_000 + 137 * (k % _SLICES_A_BED) + 1000 * bed
    ds.SliceSensitivityFactor = f"{0.7664 + 0.0043 * (k % _SLICES_A_BED):.6g}"
    ds.ScatterFractionFactor = f"{0.128435 + 0.0131 * bed:.6g}"
    _set_private(ds, k, bed, position_mm[2])
    ds.PixelData = stored.tobytes()


def _add_sequences(ds: Dataset, dose_bq: float, half_life_s: float) -> None:
    agent = Dataset()
    agent.Radiopharmaceutical = "FDG -- fluorodeoxyglucose"
    agent.RadiopharmaceuticalVolume = "0"
    agent.RadiopharmaceuticalStartTime = _clock(_START - 3600)
    agent.RadiopharmaceuticalStartDateTime = f"20250102{_clock(_START - 3600)}"
    agent.RadionuclideTotalDose, agent.RadionuclideHalfLife = str(dose_bq), str(half_life_s)
    agent.RadionuclidePositronFraction = "0.97"
    agent.RadionuclideCodeSequence = [_code("C-111A1", "SRT", "^18^Fluorine")]
    agent.RadiopharmaceuticalCodeSequence = [_code("C-B1031", "SRT", "Fluorodeoxyglucose F^18^")]
    ds.RadiopharmaceuticalInformationSequence = [agent]
    ds.PatientOrientationCodeSequence = [_code("F-10450", "SRT", "recumbent")]
    ds.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = [
        _code("F-10340", "SRT", "supine")
    ]
    ds.PatientGantryRelationshipCodeSequence = [_code("F-10470", "SRT", "headfirst")]
    ds.ProcedureCodeSequence = [_code("PETWB", "99LOCAL", "PET whole body")]
    energy = Dataset()
    energy.EnergyWindowLowerLimit, energy.EnergyWindowUpperLimit = "425", "650"
    ds.EnergyWindowRangeSequence = [energy]
    request = Dataset()
    request.ScheduledProcedureStepDescription, request.ScheduledProcedureStepID = "PET/CT", "S1"
    ds.RequestAttributesSequence = [request]
    attenuation = Dataset()
    attenuation.ReferencedSOPClassUID, attenuation.ReferencedSOPInstanceUID = CT, f"{UID}.9.1"
    ds.ReferencedImageSequence = [attenuation]


def _add_private(ds: Dataset) -> None:
    block = ds.private_block(0x0009, _CREATOR, create=True)
    for element, vr, value in _PRIVATE:
        block.add_new(element, vr, value)
    block.add_new(0x0D, "DT", f"20250102{_clock(_START)}")
    block.add_new(0x3B, "DT", f"20250102{_clock(_START - 3600)}")


def _set_private(ds: Dataset, k: int, bed: int, z_mm: float) -> None:
    """Set what the vendor writes anew for every bed or slice."""
    block = ds.private_block(0x0009, _CREATOR)
    for element, vr, value in (
        (0x5C, "UI", f"{UID}.8.{bed + 1}{'7' * bed}"),
        (0x67, "FL", 420.0 - 141.0 * bed),
        (0x6C, "DT", f"20250102{_clock(_START + bed * _BED_S)}"),
        (0x71, "FD", 2.1e7 + 1000.0 * bed),
        (0xA6, "SL", k + 1),
        (0xA7, "FL", 1e6 + 13.0 * k),
        (0xD7, "FL", z_mm),
    ):
        block.add_new(element, vr, value)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes // 60):02d}{int(minutes % 60):02d}{rest:05.2f}"
