"""What the header of a PET scan says at each kind of site: three vendors, and what one site does otherwise.

All store 16-bit values with a slope of its own for every slice. Vendors differ in what a reader needs for
SUV. Siemens gives the injection as date and time, and a frame reference time at which the activity equals its
average. GE gives the injection as time of day, and its own scan and injection times in private elements.
Philips stores counts with two private factors. A *dialect* is a vendor with a decay correction (0054,1102), a
storage (one file a slice, or one Enhanced PET file a scan) and an encoding of the pixels.
Source: the IBSI-SUV manual and the vendors' conformance statements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import PositronEmissionTomographyImageStorage

from analysis.virtual_trial.acquisition import Acquisition
from analysis.virtual_trial.anatomy import Grid
from analysis.virtual_trial.elements import clock, coded, date_and_clock, decimal, make_item, scan_uid

FLUORINE_18 = Code("77004003", "SCT", "^18^Fluorine")


@dataclass(frozen=True)
class Vendor:
    """What a vendor's scanners write of themselves, and the function that adds the rest of the dialect.

    `dress(header, acquisition, vendor, rng)` completes the header of the series and returns how many Bq/ml
    one unit of the rescaled pixel value means.
    """

    manufacturer: str
    model: str
    units: str
    half_life_s: float
    reconstruction: str
    averages_decay: bool
    dress: Callable[[Dataset, Acquisition, Vendor, np.random.Generator], float]


def patient_and_study(spec: Mapping[str, Any], acquisition: Acquisition) -> Dataset:
    """Return the header elements every object of one scan shares: patient, de-identification, study."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.StudyDate = acquisition.started.strftime("%Y%m%d")
    header.StudyTime = clock(acquisition.started)
    header.AccessionNumber = ""
    header.ReferringPhysicianName = ""
    header.StudyDescription = f"PET/CT {spec['AVISIT']}"
    header.PatientName = "ANONYMOUS"
    header.PatientID = spec.get("PATIENTID") or spec["USUBJID"]
    header.PatientBirthDate = ""
    header.PatientSex = spec["SEX"]
    header.PatientAge = f"{int(spec['AGE']):03d}Y"
    header.PatientSize = decimal(spec["HEIGHT_M"])
    header.PatientWeight = decimal(spec["WEIGHT_KG"])
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = "Simulated data: no person stands behind it"
    header.DeidentificationMethodCodeSequence = coded(
        codes.DCM.BasicApplicationConfidentialityProfile,
        codes.DCM.RetainLongitudinalTemporalInformationModifiedDatesOption,
        codes.DCM.RetainPatientCharacteristicsOption,
        codes.DCM.RetainSafePrivateOption,
    )
    header.LongitudinalTemporalInformationModified = "MODIFIED"
    header.StudyInstanceUID = scan_uid(spec, "study")
    header.StudyID = "1"
    return header


def pet_header(
    spec: Mapping[str, Any], acquisition: Acquisition, grid: Grid, rng: np.random.Generator
) -> tuple[Dataset, float]:
    """Return what every slice's header holds, and the Bq/ml of one unit of the rescaled pixel value."""
    dialect = dialect_of(spec)
    vendor = dialect.vendor
    header = patient_and_study(spec, acquisition)
    add_series(header, spec, acquisition, vendor)
    header.SOPClassUID = PositronEmissionTomographyImageStorage
    header.ImageType = ["ORIGINAL", "PRIMARY"]
    header.AcquisitionDate = header.StudyDate
    _add_image_grid(header, grid)
    _add_pet(header, acquisition, dialect)
    agent = injection(acquisition, vendor)
    agent.RadiopharmaceuticalStartTime = clock(acquisition.injected)
    header.RadiopharmaceuticalInformationSequence = [agent]
    unit_bqml = vendor.dress(header, acquisition, vendor, rng)
    break_header(header, spec.get("FAULT") or "", acquisition)
    return header, unit_bqml


def add_series(header: Dataset, spec: Mapping[str, Any], acquisition: Acquisition, vendor: Vendor) -> None:
    """Add series, scanner and frame of reference, which classic and Enhanced PET share."""
    header.SeriesDate = header.ContentDate = header.StudyDate
    header.SeriesTime = clock(acquisition.started)
    header.Modality = "PT"
    header.Manufacturer = vendor.manufacturer
    header.ManufacturerModelName = vendor.model
    header.InstitutionName = ""
    header.SeriesDescription = "PET WB AC"
    header.SoftwareVersions = "simulated"
    header.PatientPosition = "HFS"
    header.SeriesInstanceUID = scan_uid(spec, "pet")
    header.SeriesNumber = "2"
    header.FrameOfReferenceUID = scan_uid(spec, "frame")
    header.PositionReferenceIndicator = ""


def _add_image_grid(header, grid: Grid) -> None:
    header.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    header.SliceThickness = decimal(grid.spacing_mm[0])
    header.PixelSpacing = [decimal(d) for d in grid.spacing_mm[1:]]
    header.NumberOfSlices, header.Rows, header.Columns = grid.shape
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit = 15
    header.PixelRepresentation = 1
    header.RescaleIntercept = "0"


def _add_pet(header, acquisition, dialect) -> None:
    vendor = dialect.vendor
    header.Units = vendor.units
    header.SeriesType = ["WHOLE BODY", "IMAGE"]
    header.CountsSource = "EMISSION"
    decay = ["DECY"] if dialect.decay != "NONE" else []
    header.CorrectedImage = [*decay, "ATTN", "SCAT", "RAN", "DTIM", "NORM"]
    header.DecayCorrection = dialect.decay
    header.CollimatorType = "NONE"
    header.RandomsCorrectionMethod = "DLYD"
    header.AttenuationCorrectionMethod = "CT-derived mu map"
    header.ScatterCorrectionMethod = "model-based"
    header.ReconstructionMethod = vendor.reconstruction
    header.ActualFrameDuration = str(round(acquisition.frame_s * 1000))
    header.EnergyWindowRangeSequence = [make_item(EnergyWindowLowerLimit="435", EnergyWindowUpperLimit="650")]
    header.PatientOrientationCodeSequence = coded(codes.SCT.Recumbent)
    header.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = coded(codes.SCT.Supine)
    header.PatientGantryRelationshipCodeSequence = coded(codes.SCT.Headfirst)


def injection(acquisition: Acquisition, vendor: Vendor) -> Dataset:
    """Return what was injected and how much of it; each storage states the time in its own way."""
    return make_item(
        Radiopharmaceutical="Fluorodeoxyglucose",
        RadionuclideTotalDose=decimal(acquisition.dose_bq, 12),
        RadionuclideHalfLife=decimal(vendor.half_life_s),
        RadionuclidePositronFraction="0.967",
        RadionuclideCodeSequence=coded(FLUORINE_18),
        RadiopharmaceuticalCodeSequence=coded(codes.SCT.FluorodeoxyglucoseF18),
    )


def _dress_siemens(header, acquisition, vendor, rng) -> float:
    item = header.RadiopharmaceuticalInformationSequence[0]
    item.RadiopharmaceuticalStartDateTime = date_and_clock(acquisition.injected)
    return 1.0


def _dress_ge(header, acquisition, vendor, rng) -> float:
    """GE: injection as time of day only, scan and injection times in the private block."""
    block = header.private_block(0x0009, "GEMS_PETD_01", create=True)
    for offset, moment in ((0x0D, acquisition.started), (0x3B, acquisition.injected)):
        block.add_new(offset, "DT", date_and_clock(moment) + ".00")
    return 1.0


def _dress_philips(header, acquisition, vendor, rng) -> float:
    """Philips: counts, and what a count means in SUV and in Bq/ml; the factor differs from scan to scan."""
    item = header.RadiopharmaceuticalInformationSequence[0]
    item.RadiopharmaceuticalStartDateTime = date_and_clock(acquisition.injected)
    activity_factor = decimal(rng.uniform(0.5, 2.0), 8)
    suv_factor = float(activity_factor) * acquisition.suv_per_bqml(vendor.half_life_s)
    block = header.private_block(0x7053, "Philips PET Private Group", create=True)
    block.add_new(0x00, "DS", decimal(suv_factor))
    block.add_new(0x09, "DS", activity_factor)
    return float(activity_factor)


VENDORS: dict[str, Vendor] = {
    "SIEMENS": Vendor(
        "SIEMENS", "Biograph mCT", "BQML", 6586.2, "PSF+TOF 2i21s", averages_decay=True, dress=_dress_siemens
    ),
    "GE": Vendor(
        "GE MEDICAL SYSTEMS", "Discovery 690", "BQML", 6588.0, "VPFXS", averages_decay=False, dress=_dress_ge
    ),
    "PHILIPS": Vendor(
        "Philips Medical Systems",
        "Gemini TF",
        "CNTS",
        6586.2,
        "BLOB-OS-TF",
        averages_decay=True,
        dress=_dress_philips,
    ),
}


@dataclass(frozen=True)
class Dialect:
    """How one kind of site sends a scan.

    Attributes
    ----------
    vendor : Vendor
        Whose scanner it is; also the grid and noise of the image.
    decay : str
        START, ADMIN or NONE: what the pixels are decay-corrected to. Enhanced PET corrects to the start.
    storage : str
        CLASSIC, one file a slice; ENHANCED, one Enhanced PET file.
    pixels : str
        NATIVE, uncompressed; JPEGLS, JPEG-LS lossless.
    """

    vendor: Vendor
    decay: str = "START"
    storage: str = "CLASSIC"
    pixels: str = "NATIVE"


DIALECTS: dict[str, Dialect] = {
    **{name: Dialect(vendor) for name, vendor in VENDORS.items()},
    "GE_ADMIN": Dialect(VENDORS["GE"], decay="ADMIN"),
    "GE_NONE": Dialect(VENDORS["GE"], decay="NONE"),
    "GE_JPEGLS": Dialect(VENDORS["GE"], pixels="JPEGLS"),
    "PHILIPS_ENHANCED": Dialect(VENDORS["PHILIPS"], storage="ENHANCED"),
}


def vendor_name(dialect: str) -> str:
    """Return the name in `VENDORS` of a dialect's vendor.

    Raises
    ------
    ValueError
        For an unknown dialect.
    """
    if dialect not in DIALECTS:
        raise ValueError(f"DIALECT must be one of {sorted(DIALECTS)}, found {dialect!r}")
    return next(name for name, vendor in VENDORS.items() if vendor is DIALECTS[dialect].vendor)


def dialect_of(spec: Mapping[str, Any]) -> Dialect:
    """Return the dialect of a scan: DIALECT, or its VENDOR's own where it has none."""
    return DIALECTS[spec.get("DIALECT") or spec["VENDOR"]]


def break_header(header: Dataset, fault: str, acquisition: Acquisition) -> None:
    """Put the fault of this scan into its header; the voxels stay as they are."""
    if fault == "no_weight":
        del header.PatientWeight
    elif fault == "dose_in_mbq":
        item = header.RadiopharmaceuticalInformationSequence[0]
        item.RadionuclideTotalDose = decimal(acquisition.dose_bq / 1e6)
    elif fault:
        raise ValueError(f"unknown fault {fault!r}; known: 'no_weight', 'dose_in_mbq'")
