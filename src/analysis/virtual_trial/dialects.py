"""How each of three vendors describes a PET scan in its headers: classic PET Image Storage.

All store int16 with a slope of its own for every slice, decay-corrected to the start of the scan. They differ
in what a reader needs for SUV. Siemens gives the injection as date and time, and a frame reference time at
which the activity equals its average. GE gives the injection as time of day, and its own scan and injection
times in private elements. Philips stores counts with two private factors. Source: the IBSI-SUV manual and the
vendors' conformance statements.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, PositronEmissionTomographyImageStorage

from analysis.virtual_trial.anatomy import Grid

FLUORINE_18 = Code("77004003", "SCT", "^18^Fluorine")


@dataclass(frozen=True)
class Acquisition:
    """When things happened in one scan, and what was injected.

    Attributes
    ----------
    injected, started : datetime
        Injection and start of the scan; the start is the time all activities are decay-corrected to.
    bed_starts_s : ndarray
        Start of each slice's bed position, seconds after `started`.
    frame_s : float
        Acquisition time of one bed position, seconds.
    dose_bq : float
        Injected activity, Bq.
    weight_kg : float
        Body weight, kg.
    """

    injected: datetime
    started: datetime
    bed_starts_s: np.ndarray
    frame_s: float
    dose_bq: float
    weight_kg: float

    def suv_per_bqml(self, half_life_s: float) -> float:
        """Return SUVbw of 1 Bq/ml: body weight in g over the activity left at the start of the scan."""
        waited_s = (self.started - self.injected).total_seconds()
        left_bq = self.dose_bq * math.exp(-math.log(2) * waited_s / half_life_s)
        return self.weight_kg * 1000.0 / left_bq


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


def decay_constant(half_life_s: float) -> float:
    """Return the decay constant in 1/s."""
    return math.log(2) / half_life_s


def average_time_s(frame_s: float, half_life_s: float) -> float:
    """Return when, after the start of a frame, the activity equals its average over the frame (s).

    ``ln(x / (1 - exp(-x))) / lambda`` with ``x = lambda * frame``.

    >>> round(average_time_s(60, 6586.2), 5)
    29.98421
    """
    x = decay_constant(half_life_s) * frame_s
    return math.log(x / -math.expm1(-x)) / decay_constant(half_life_s)


def make_uid(*parts: Any) -> UID:
    """Return a UID under 2.25 from a hash of `parts`; always 44 characters, so that files can be spliced."""
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()
    low = 10**38
    return UID(f"2.25.{low + int.from_bytes(digest[:16], 'big') % (2**128 - low)}")


IMPLEMENTATION = make_uid("PEARL virtual trial")


def decimal(value: float, digits: int = 10) -> str:
    """Return a number as a DICOM decimal string of at most 16 characters."""
    text = f"{value:.{digits}g}"
    if len(text) > 16:
        raise ValueError(f"{value!r} needs more than the 16 characters of a decimal string")
    return text


def clock(moment: datetime) -> str:
    """Return a DICOM time: whole seconds, a fraction only where there is one."""
    return moment.strftime("%H%M%S") + (f".{moment.microsecond:06d}" if moment.microsecond else "")


def coded(*concepts: Any) -> list[Dataset]:
    """Return a code sequence with one item a concept."""
    items = []
    for concept in concepts:
        item = Dataset()
        item.CodeValue = concept.value
        item.CodingSchemeDesignator = concept.scheme_designator
        item.CodeMeaning = concept.meaning
        items.append(item)
    return items


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
    header.PatientID = spec["USUBJID"]
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


def scan_uid(spec: Mapping[str, Any], *parts: Any) -> UID:
    """Return the UID of one thing (study, series, slice ...) of one scan."""
    return make_uid(spec.get("STUDYID", "PEARL"), spec["USUBJID"], spec["AVISIT"], *parts)


def pet_header(
    spec: Mapping[str, Any], acquisition: Acquisition, grid: Grid, rng: np.random.Generator
) -> tuple[Dataset, float]:
    """Return what every slice's header holds, and the Bq/ml of one unit of the rescaled pixel value."""
    vendor = VENDORS[spec["VENDOR"]]
    header = patient_and_study(spec, acquisition)
    _add_series(header, spec, acquisition, vendor)
    _add_image_grid(header, spec, grid)
    _add_pet(header, acquisition, grid, vendor)
    header.RadiopharmaceuticalInformationSequence = [_injection(acquisition, vendor)]
    unit_bqml = vendor.dress(header, acquisition, vendor, rng)
    _break(header, spec.get("FAULT") or "", acquisition)
    return header, unit_bqml


def _add_series(header, spec, acquisition, vendor) -> None:
    header.SOPClassUID = PositronEmissionTomographyImageStorage
    header.ImageType = ["ORIGINAL", "PRIMARY"]
    header.SeriesDate = header.AcquisitionDate = header.ContentDate = header.StudyDate
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


def _add_image_grid(header, spec, grid: Grid) -> None:
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


def _add_pet(header, acquisition, grid, vendor) -> None:
    header.Units = vendor.units
    header.SeriesType = ["WHOLE BODY", "IMAGE"]
    header.CountsSource = "EMISSION"
    header.CorrectedImage = ["DECY", "ATTN", "SCAT", "RAN", "DTIM", "NORM"]
    header.DecayCorrection = "START"
    header.CollimatorType = "NONE"
    header.RandomsCorrectionMethod = "DLYD"
    header.AttenuationCorrectionMethod = "CT-derived mu map"
    header.ScatterCorrectionMethod = "model-based"
    header.ReconstructionMethod = vendor.reconstruction
    header.ActualFrameDuration = str(round(acquisition.frame_s * 1000))
    window = Dataset()
    window.EnergyWindowLowerLimit, window.EnergyWindowUpperLimit = "435", "650"
    header.EnergyWindowRangeSequence = [window]
    header.PatientOrientationCodeSequence = coded(codes.SCT.Recumbent)
    header.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = coded(codes.SCT.Supine)
    header.PatientGantryRelationshipCodeSequence = coded(codes.SCT.Headfirst)


def _injection(acquisition: Acquisition, vendor: Vendor) -> Dataset:
    item = Dataset()
    item.Radiopharmaceutical = "Fluorodeoxyglucose"
    item.RadiopharmaceuticalStartTime = clock(acquisition.injected)
    item.RadionuclideTotalDose = decimal(acquisition.dose_bq, 12)
    item.RadionuclideHalfLife = decimal(vendor.half_life_s)
    item.RadionuclidePositronFraction = "0.967"
    item.RadionuclideCodeSequence = coded(FLUORINE_18)
    item.RadiopharmaceuticalCodeSequence = coded(codes.SCT.FluorodeoxyglucoseF18)
    return item


def _dress_siemens(header, acquisition, vendor, rng) -> float:
    item = header.RadiopharmaceuticalInformationSequence[0]
    moment = acquisition.injected
    item.RadiopharmaceuticalStartDateTime = moment.strftime("%Y%m%d") + clock(moment)
    return 1.0


def _dress_ge(header, acquisition, vendor, rng) -> float:
    """GE: injection as time of day only, scan and injection times in the private block."""
    block = header.private_block(0x0009, "GEMS_PETD_01", create=True)
    for offset, moment in ((0x0D, acquisition.started), (0x3B, acquisition.injected)):
        block.add_new(offset, "DT", moment.strftime("%Y%m%d") + clock(moment) + ".00")
    return 1.0


def _dress_philips(header, acquisition, vendor, rng) -> float:
    """Philips: counts, and what a count means in SUV and in Bq/ml; the factor differs from scan to scan."""
    item = header.RadiopharmaceuticalInformationSequence[0]
    moment = acquisition.injected
    item.RadiopharmaceuticalStartDateTime = moment.strftime("%Y%m%d") + clock(moment)
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


def _break(header: Dataset, fault: str, acquisition: Acquisition) -> None:
    """Put the fault of this scan into its header; the voxels stay as they are."""
    if fault == "no_weight":
        del header.PatientWeight
    elif fault == "dose_in_mbq":
        item = header.RadiopharmaceuticalInformationSequence[0]
        item.RadionuclideTotalDose = decimal(acquisition.dose_bq / 1e6)
    elif fault:
        raise ValueError(f"unknown fault {fault!r}; known: 'no_weight', 'dose_in_mbq'")


def bed_starts_s(grid: Grid, settings: Any) -> np.ndarray:
    """Return the start of each slice's bed position in seconds; the first bed lies at the thighs."""
    bed = np.floor((grid.axes[0] - grid.axes[0][0]) / settings.bed_mm)
    return bed * (settings.bed_seconds + settings.bed_pause_seconds)


def draw_acquisition(
    spec: Mapping[str, Any], grid: Grid, rng: np.random.Generator, settings: Any
) -> Acquisition:
    """Draw the clock times of a scan: start in working hours, injection the given uptake time before it."""
    first, last = (round(hour * 3600) for hour in settings.scan_clock)
    day = datetime.fromisoformat(str(np.datetime64(spec["SCANDT"], "D")))
    started = day + timedelta(seconds=int(rng.integers(first, last)))
    injected = started - timedelta(seconds=round(spec["UPTAKE_MIN"] * 60))
    return Acquisition(
        injected=injected,
        started=started,
        bed_starts_s=bed_starts_s(grid, settings),
        frame_s=float(settings.bed_seconds),
        dose_bq=float(np.round(spec["DOSE_MBQ"] * 1e6)),
        weight_kg=float(decimal(spec["WEIGHT_KG"])),
    )
