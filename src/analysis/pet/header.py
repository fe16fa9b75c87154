"""One PET file: its header as plain values, and its stored pixels.

The only module that touches a pydicom data set of an image. Everything behind it works on `PetSlice`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from pydicom.multival import MultiValue

from analysis.pet.codes import SeriesRefused
from analysis.pet.dicomfile import DamagedFile, read_complete, sop_class

CLASSIC_PET = "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_PET = {"1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1"}
_PLAIN_SYNTAX = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}

# Private elements: group, creators, last byte of the element. Without its creator 10xx is taken literally.
_PRIVATE = {
    "philips_suv": (0x7053, ("Philips PET Private Group",), 0x00),
    "philips_activity": (0x7053, ("Philips PET Private Group",), 0x09),
    "ge_scan": (0x0009, ("GEMS_PETD_01",), 0x0D),
    "ge_admin": (0x0009, ("GEMS_PETD_01",), 0x3B),
    "siemens_decay": (0x0071, ("SIEMENS MED PT",), 0x22),
}


@dataclass(frozen=True, eq=False)
class PetSlice:
    """What one classic PET file says: text as text, numbers as float (None = missing or unreadable)."""

    where: str
    text: dict[str, str]
    number: dict[str, float | None]
    private: dict[str, str]
    without_creator: frozenset[str]
    image_type: tuple[str, ...]
    series_type: tuple[str, ...]
    corrections: tuple[str, ...]
    position_mm: np.ndarray | None
    orientation: np.ndarray | None
    pixel_spacing_mm: np.ndarray | None
    n_tracers: int
    nuclide: str
    stored: np.ndarray


_TEXT = [
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "PatientSex",
    "Manufacturer",
    "ManufacturerModelName",
    "Units",
    "SUVType",
    "DecayCorrection",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "TimezoneOffsetFromUTC",
]
_NUMBER = [
    "PatientWeight",
    "PatientSize",
    "RescaleSlope",
    "RescaleIntercept",
    "FrameReferenceTime",
    "ActualFrameDuration",
    "DecayFactor",
    "SliceThickness",
    "NumberOfSlices",
]


def find_files(path: str | Path | Sequence[str | Path]) -> list[tuple[str, Path]]:
    """List the files behind `path` in a fixed order, each with a name that is safe to print.

    Parameters
    ----------
    path : path or sequence of paths
        A folder (searched below), one file, or a list of files.

    Returns
    -------
    list of (str, Path)
        Name relative to the folder, and the file.

    Raises
    ------
    SeriesRefused
        ``PATH_NOT_FOUND``.
    """
    if not isinstance(path, (str, Path)):
        return [(Path(item).name, Path(item)) for item in path]
    root = Path(path)
    if root.is_file():
        return [(root.name, root)]
    if not root.is_dir():
        raise SeriesRefused(
            "PATH_NOT_FOUND", f"no folder or file {root.name!r}; give the folder of the PET series"
        )
    files = (item for item in root.rglob("*") if item.is_file() and not item.name.startswith("."))
    return sorted((item.relative_to(root).as_posix(), item) for item in files)


def read_slices(files: Sequence[tuple[str, Path]]) -> Iterator[PetSlice | str]:
    """Read every PET file once; of any other file yield only why it was passed over.

    Parameters
    ----------
    files : sequence of (str, Path)
        As `find_files` lists them.

    Yields
    ------
    PetSlice or str
        A slice, or one of ``"not DICOM"``, ``"other object"``, ``"enhanced"``.

    Raises
    ------
    SeriesRefused
        ``TRUNCATED_FILE`` for a damaged PET file.
    """
    for name, file in files:
        with disable_value_validation():
            yield _read(name, file)


def _read(name: str, file: Path) -> PetSlice | str:
    try:
        ds = read_complete(file)
    except DamagedFile as error:
        raise _truncated(name, str(error)) from error
    if ds is None:
        return "not DICOM"
    kind = sop_class(ds)
    if kind in ENHANCED_PET:
        return "enhanced"
    if kind != CLASSIC_PET:
        return "other object"
    return _slice(name, ds)


def _slice(name: str, ds: pydicom.Dataset) -> PetSlice:
    items = ds.get("RadiopharmaceuticalInformationSequence") or []
    tracer = items[0] if items else pydicom.Dataset()
    codes = tracer.get("RadionuclideCodeSequence") or [pydicom.Dataset()]
    text = {key: _text(ds, key) for key in _TEXT}
    text |= {
        key: _text(tracer, key)
        for key in ("RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime")
    }
    number = {key: _number(ds, key) for key in _NUMBER}
    number |= {key: _number(tracer, key) for key in ("RadionuclideTotalDose", "RadionuclideHalfLife")}
    private = {key: _private(ds, *place) for key, place in _PRIVATE.items()}
    return PetSlice(
        where=name,
        text=text,
        number=number,
        private={key: value for key, (value, _) in private.items() if value},
        without_creator=frozenset(key for key, (value, owned) in private.items() if value and not owned),
        image_type=_words(ds, "ImageType"),
        series_type=_words(ds, "SeriesType"),
        corrections=_words(ds, "CorrectedImage"),
        position_mm=_vector(ds, "ImagePositionPatient", 3),
        orientation=_vector(ds, "ImageOrientationPatient", 6),
        pixel_spacing_mm=_vector(ds, "PixelSpacing", 2),
        n_tracers=len(items),
        nuclide=f"{_text(codes[0], 'CodeValue')} {_text(codes[0], 'CodeMeaning')}".strip(),
        stored=_stored_pixels(name, ds),
    )


def _text(ds: pydicom.Dataset, keyword: str) -> str:
    value = ds.get(keyword)
    return "" if value is None else str(value).strip()


def _number(ds: pydicom.Dataset, keyword: str) -> float | None:
    try:
        return float(ds.get(keyword))
    except (TypeError, ValueError, OverflowError):
        return None


def _words(ds: pydicom.Dataset, keyword: str) -> tuple[str, ...]:
    value = ds.get(keyword) or ()
    words = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    return tuple(str(word).strip().upper() for word in words)


def _vector(ds: pydicom.Dataset, keyword: str, length: int) -> np.ndarray | None:
    try:
        vector = np.array([float(item) for item in ds.get(keyword) or ()])
    except (TypeError, ValueError):
        return None
    return vector if vector.shape == (length,) and np.isfinite(vector).all() else None


def _private(ds: pydicom.Dataset, group: int, creators: Sequence[str], last: int) -> tuple[str, bool]:
    """Return the value of a private element and whether its creator stands in the file."""
    for block in range(0x10, 0x100):
        if (group, block) not in ds:
            if block > 0x1F:
                break
            continue
        if str(ds[group, block].value).strip() in creators:
            return _decoded(ds.get((group, (block << 8) | last))), True
    if (group, 0x10) in ds:  # block 10 belongs to somebody else
        return "", True
    return _decoded(ds.get((group, 0x1000 | last))), False


def _decoded(element: Any) -> str:
    value = getattr(element, "value", None)
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return "" if value is None else str(value).strip().strip("\0").strip()


def _stored_pixels(name: str, ds: pydicom.Dataset) -> np.ndarray:
    if "PixelData" not in ds:
        raise _truncated(name, "holds no pixels")
    if str(ds.file_meta.get("TransferSyntaxUID", "")) not in _PLAIN_SYNTAX:
        return _decompressed(name, ds)
    try:
        rows, columns, bits = int(ds.Rows), int(ds.Columns), int(ds.BitsAllocated)
        signed = int(ds.PixelRepresentation) == 1
        used = int(ds.get("BitsStored") or bits)
        frames = int(ds.get("NumberOfFrames") or 1)
    except (AttributeError, TypeError, ValueError) as error:
        raise _truncated(name, "does not describe its pixels") from error
    if frames != 1 or bits not in (8, 16, 32):
        raise SeriesRefused(
            "PIXELS_UNREADABLE",
            f"file {name!r}: expected one frame of 8, 16 or 32 bits, found {frames} of {bits}",
        )
    data = np.frombuffer(ds.PixelData, dtype=np.dtype(f"<{'i' if signed else 'u'}{bits // 8}"), count=-1)
    if data.size < rows * columns:
        raise _truncated(name, f"holds {data.size} of {rows * columns} pixels")
    stored = data[: rows * columns].reshape(rows, columns)
    unused = bits - used  # bits above the stored ones may hold anything: drop them, keep the sign
    return stored if unused <= 0 else (stored << unused) >> unused


def _decompressed(name: str, ds: pydicom.Dataset) -> np.ndarray:
    try:
        stored = ds.pixel_array
    except Exception as error:  # one error type per decoder
        raise SeriesRefused(
            "PIXELS_UNREADABLE", f"file {name!r}: its compressed pixels cannot be decoded"
        ) from error
    if stored.ndim != 2:
        raise SeriesRefused(
            "PIXELS_UNREADABLE", f"file {name!r}: expected one frame, found shape {stored.shape}"
        )
    return stored


def _truncated(name: str, what: str) -> SeriesRefused:
    return SeriesRefused(
        "TRUNCATED_FILE", f"file {name!r} {what}; send it again, or take it away if it is no image"
    )


def positive(value: float | None) -> bool:
    """Tell whether a header number is there, finite and above zero.

    Parameters
    ----------
    value : float or None
        A number of the header.

    Returns
    -------
    bool
        True for a usable quantity.
    """
    return value is not None and math.isfinite(value) and value > 0
