"""Clean tiny series to mutate: one of every dialect of pet.md 1.3 to 1.5, and crops of real ones."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from dicom_factory import (
    DOSE,
    LAMBDA,
    WEIGHT_G,
    add_private,
    bqml_per_suv,
    pet_slice,
    tracer,
    write_series,
)
from pydicom.config import disable_value_validation
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from fuzzing.enhanced import enhanced_pet

SHAPE = (5, 4, 6)
T_AVE_300_S = 149.60534  # pet.md 1.4
JANMA_F_KG, BSA_CM2 = 45.197017, 18481.4  # 70 kg, 1.75 m: pet.md 1.2
PATIENT = "QX-4711-ZZ"


@dataclass
class Base:
    """A clean series: its files, the SUV planted in it, and what the reader notes of it when clean."""

    name: str
    files: dict[str, bytes]
    suv: np.ndarray
    notes: set[str] = field(default_factory=set)


def planted() -> np.ndarray:
    """Return the SUV of the clean series, about 1 on average and different in every slice."""
    return np.random.default_rng(1).gamma(4.0, 0.25, SHAPE) + 0.05


def parse(content: bytes) -> pydicom.Dataset:
    """Read DICOM from bytes."""
    return pydicom.dcmread(BytesIO(content))


def unparse(ds: pydicom.Dataset) -> bytes:
    """Write DICOM to bytes, whatever its values are."""
    out = BytesIO()
    with disable_value_validation():
        ds.save_as(out, enforce_file_format=False)
    return out.getvalue()


def _identify(ds) -> None:
    ds.PatientID, ds.PatientName, ds.PatientBirthDate = PATIENT, "NOBODY^NEMO", "19481231"
    ds.InstitutionName, ds.AccessionNumber = "GENERAL HOSPITAL", "ACC0815"


def _clock(second: float) -> str:
    return f"{int(second // 3600):02d}{int(second // 60) % 60:02d}{second % 60:09.6f}"


def _siemens(ds, k) -> None:
    ds.Manufacturer = "SIEMENS"
    add_private(ds, 0x71, "SIEMENS MED PT", 0x22, "DT", "20250101110000.000000")


def _siemens_beds(ds, k) -> None:
    ds.Manufacturer = "SIEMENS"
    ds.AcquisitionTime = _clock(11 * 3600 + 300 * k)
    ds.FrameReferenceTime = f"{(300 * k + T_AVE_300_S) * 1000:.2f}"


def _ge_beds(ds, k) -> None:
    ds.Manufacturer = "GE MEDICAL SYSTEMS"
    ds.AcquisitionTime, ds.FrameReferenceTime = _clock(11 * 3600 + 300 * k), str(300_000 * k)


def _ge_private(ds, k) -> None:
    _ge_beds(ds, k)
    add_private(ds, 0x9, "GEMS_PETD_01", 0x0D, "DT", "20250101110000.00")
    add_private(ds, 0x9, "GEMS_PETD_01", 0x3B, "DT", "20250101100000.00")


def _philips(suv: str | None, activity: str | None) -> Callable:
    def edit(ds, k):
        ds.Manufacturer, ds.Units = "Philips Medical Systems", "CNTS"
        for element, value in ((0x00, suv), (0x09, activity)):
            if value:
                add_private(ds, 0x7053, "Philips PET Private Group", element, "DS", value)

    return edit


def _set(**values) -> Callable:
    def edit(ds, k):
        for name, value in values.items():
            target = tracer(ds) if name.startswith("Radio") else ds
            if value is None:
                del target[name]
            else:
                setattr(target, name, value)

    return edit


def _none(ds, k) -> None:
    ds.DecayCorrection, ds.CorrectedImage = "NONE", ["NORM", "DTIM", "ATTN", "SCAT", "RAN"]


def _encoded(syntax: str) -> Callable:
    def edit(ds, k):
        if syntax in (RLELossless, JPEGLSLossless):
            ds.compress(syntax, generate_instance_uid=False)
        else:
            ds.file_meta.TransferSyntaxUID = syntax

    return edit


_NONE_PER_SUV = DOSE * np.exp(-LAMBDA * 3600) * -np.expm1(-LAMBDA * 300) / (LAMBDA * 300) / WEIGHT_G
_PER_SUV = bqml_per_suv()
_DIALECTS: dict[str, tuple] = {  # rescaled units per SUV, edit of every slice
    "bqml": (_PER_SUV, None),
    "time of day": (_PER_SUV, _set(RadiopharmaceuticalStartDateTime=None)),
    "date-time": (_PER_SUV, _set(RadiopharmaceuticalStartTime=None)),
    "siemens": (_PER_SUV, _siemens),
    "siemens beds": (_PER_SUV, _siemens_beds),
    "ge beds": (_PER_SUV, _ge_beds),
    "ge private": (_PER_SUV, _ge_private),
    "philips suv": (1 / 0.0005, _philips("0.0005", None)),
    "philips both": (_PER_SUV / 2, _philips(f"{2 / _PER_SUV:.9g}", "2.0")),
    "gml": (1.0, _set(Units="GML")),
    "gml janma": (JANMA_F_KG / 70, _set(Units="GML", SUVType="LBMJANMA", PatientSex="F")),
    "cm2ml": (BSA_CM2 / WEIGHT_G, _set(Units="CM2ML", SUVType="BSA")),
    "admin": (bqml_per_suv(0.0), _set(DecayCorrection="ADMIN")),
    "none": (_NONE_PER_SUV, _none),
    "implicit": (_PER_SUV, _encoded(ImplicitVRLittleEndian)),
    "deflated": (_PER_SUV, _encoded(DeflatedExplicitVRLittleEndian)),
    "rle": (_PER_SUV, _encoded(RLELossless)),
    "jpeg-ls": (_PER_SUV, _encoded(JPEGLSLossless)),
}


def synthetic_bases() -> list[Base]:
    """Write one clean series of every dialect."""
    bases = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (per_suv, dialect) in _DIALECTS.items():
            where = Path(folder) / name.replace(" ", "_")
            # a JPEG-LS encoder needs something to compress
            suv = np.kron(planted(), np.ones((1, 4, 4))) if name == "jpeg-ls" else planted()
            write_series(where, suv, per_suv, _with(dialect))
            bases.append(Base(name, _read(sorted(where.iterdir())), suv))
    bases.append(Base("enhanced", {"enhanced.dcm": unparse(_enhanced())}, planted()))
    return bases


def _enhanced() -> pydicom.Dataset:
    like = pet_slice(0, 0.0)
    _identify(like)
    ds = enhanced_pet(planted(), like)
    _identify(ds)
    ds.preamble = bytes(128)
    return ds


def _with(dialect: Callable | None) -> Callable:
    def edit(ds, k):
        _identify(ds)
        if dialect:
            dialect(ds, k)

    return edit


def _read(files) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in files}


def real_bases(shared_data: Path) -> list[Base]:
    """Cut tiny pieces out of real series, their headers untouched but for Rows, Columns and the pixels."""
    from fuzzing.reference import reference_suv

    places = [shared_data / "sarcoma_raw" / "STS_001" / "pet", shared_data / "sarcoma" / "STS_003" / "pet"]
    places += [shared_data / "dro" / name / "pet" for name in ("DRO_0_0", "DRO_2_4", "DRO_3_1", "DRO_4_1")]
    bases = []
    for place in places:
        if not place.is_dir():
            continue
        slices = [pydicom.dcmread(file) for file in place.iterdir()]
        slices.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
        middle = len(slices) // 2
        files = {f"slice_{k}.dcm": _crop(ds) for k, ds in enumerate(slices[middle - 2 : middle + 3])}
        suv = reference_suv([parse(content) for content in files.values()])
        bases.append(Base(f"real {place.parent.name}", files, np.array(suv)))
    return bases


def _crop(ds: pydicom.Dataset, n: int = 8) -> bytes:
    middle = ds.Rows // 2, ds.Columns // 2
    pixels = ds.pixel_array[middle[0] - n // 2 : middle[0] + n // 2, middle[1] - n // 2 : middle[1] + n // 2]
    ds.Rows, ds.Columns, ds.PixelData = n, n, pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    ds["PixelData"].VR = "OW"
    return unparse(ds)
