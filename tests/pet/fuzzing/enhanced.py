"""A tiny Enhanced PET file, written by hand, and its SUV by the formula of pet.md 1.8."""

from __future__ import annotations

import math

import numpy as np
import pydicom
from dicom_factory import DOSE, bqml_per_suv, dataset, tracer
from pydicom.dataset import Dataset

ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
_CORRECTED = ["Decay", "Attenuation", "Scatter", "DeadTime", "Randoms", "CountLossNormalization"]


def _item(**values) -> Dataset:
    ds = Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    return ds


def enhanced_pet(suv: np.ndarray, like: Dataset) -> Dataset:
    """Return one file with a frame a slice, in Bq/ml by a real-world value map of its own for every frame."""
    ds = dataset(ENHANCED_PET, "1.2.826.0.1.3680043.10.999.50.1")
    for name in (
        "PatientID",
        "PatientName",
        "PatientWeight",
        "PatientSize",
        "PatientSex",
        "Manufacturer",
        "SeriesDate",
    ):
        setattr(ds, name, like[name].value)
    ds.Modality, ds.SeriesInstanceUID, ds.SeriesTime = "PT", "1.2.826.0.1.3680043.10.999.50", like.SeriesTime
    ds.ImageType = ["ORIGINAL", "PRIMARY", "STATIC", "NONE"]
    for name in _CORRECTED:
        setattr(ds, f"{name}Corrected", "YES")
    ds.DecayCorrectionDateTime = "20250101110000.000000"
    item = tracer(like)
    item.RadionuclideTotalDose = f"{DOSE / 1e6:.2f}"  # MBq in Enhanced PET (PS3.3 C.8.22.4)
    ds.RadiopharmaceuticalInformationSequence = [item]
    ds.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=["4", "4"], SliceThickness="4")],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        )
    ]
    units = suv * bqml_per_suv()
    slopes = [float(f"{plane.max() / 30000:.8e}") for plane in units]
    ds.PerFrameFunctionalGroupsSequence = [_frame(k, slope) for k, slope in enumerate(slopes)]
    stored = np.round(units / np.array(slopes)[:, None, None]).astype("<u2")
    ds.NumberOfFrames, ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelData = 15, stored.tobytes()
    return ds


def _frame(k: int, slope: float) -> Dataset:
    unit = _item(CodeValue="Bq/ml", CodingSchemeDesignator="UCUM", CodeMeaning="Becquerels/milliliter")
    at = "20250101110000.000000"
    return _item(
        PlanePositionSequence=[_item(ImagePositionPatient=[0.0, 0.0, 4.0 * k])],
        FrameContentSequence=[
            _item(FrameAcquisitionDateTime=at, FrameReferenceDateTime=at, FrameAcquisitionDuration=300000.0)
        ],
        RealWorldValueMappingSequence=[
            _item(
                RealWorldValueFirstValueMapped=0,
                RealWorldValueLastValueMapped=65535,
                RealWorldValueIntercept=0.0,
                RealWorldValueSlope=slope,
                LUTLabel="BQML",
                MeasurementUnitsCodeSequence=[unit],
            )
        ],
    )


def enhanced_suv(ds: pydicom.Dataset, instant, weight, private_injection) -> list[np.ndarray]:
    """Compute SUV of every frame of a file like the above; raises where it says something else."""
    item = ds.RadiopharmaceuticalInformationSequence[0]
    if ds.DecayCorrected != "YES":
        raise ValueError("not corrected")
    text = str(ds.DecayCorrectionDateTime)
    reference = instant(text[:8], text[8:])
    half_life = float(item.RadionuclideHalfLife)
    dose = float(item.RadionuclideTotalDose)
    dose = dose * 1e6 if dose < 1e4 else dose
    elapsed = (reference - private_injection(ds, item, reference, half_life)).total_seconds()
    factor = weight(ds) * 1000 / (dose * math.exp(-math.log(2) / half_life * elapsed))
    maps = [group.RealWorldValueMappingSequence[0] for group in ds.PerFrameFunctionalGroupsSequence]
    if any(one.MeasurementUnitsCodeSequence[0].CodeValue != "Bq/ml" for one in maps):
        raise ValueError("other unit")
    frames = ds.pixel_array.astype(float)
    return [
        (plane * one.RealWorldValueSlope + one.RealWorldValueIntercept) * factor
        for plane, one in zip(frames, maps, strict=True)
    ]
