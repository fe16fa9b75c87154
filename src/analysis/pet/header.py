"""One PET file: its header as plain values, and its stored pixels.

The only module that touches a pydicom data set of an image. Everything behind it works on `PetSlice`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.multival import MultiValue

from analysis import plan
from analysis.pet import enhanced
from analysis.pet.clock import parse_datetime
from analysis.pet.codes import SeriesRefused
from analysis.pet.dicomfile import DamagedFile, read_complete, sop_class
from analysis.pet.fastpath import SeriesReader, Wanted
from analysis.pet.pixels import PLAIN_SYNTAX, stored_frames, truncated
from analysis.pet.plainfile import FORMS
from analysis.pet.technique import KEYWORDS, read_technique

CLASSIC_PET = "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_PET = {enhanced.ENHANCED_PET, enhanced.LEGACY_CONVERTED}

_SIEMENS = ("SIEMENS",)
# Private elements: group, how the creator's name begins (Siemens has several), last byte of the element.
# Without its creator 10xx is taken literally.
_PRIVATE = {
    "philips_suv": (0x7053, ("Philips PET Private Group",), 0x00),
    "philips_activity": (0x7053, ("Philips PET Private Group",), 0x09),
    "ge_scan": (0x0009, ("GEMS_PETD_01",), 0x0D),
    "ge_admin": (0x0009, ("GEMS_PETD_01",), 0x3B),
    "siemens_decay": (0x0071, _SIEMENS, 0x22),
}


@dataclass(frozen=True, eq=False)
class PetSlice:
    """What one PET file, or frame, says: text as text, numbers as float (None = missing or unreadable)."""

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
    tracer_listed: bool
    nuclide: str
    tracer: tuple[str, ...]
    technique: dict[str, str]
    stored: np.ndarray


_TEXT = [
    "SOPClassUID",
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
    "LossyImageCompression",
    # of Enhanced PET
    "DecayCorrectionDateTime",
    "FrameReferenceDateTime",
    "FrameAcquisitionDateTime",
    "TemporalPositionIndex",
]
_NUMBER = [
    "PatientWeight",
    "PatientSize",
    "RescaleSlope",
    "RescaleIntercept",
    "FrameReferenceTime",
    "TriggerTime",
    "ActualFrameDuration",
    "DecayFactor",
    "SliceThickness",
    "NumberOfSlices",
]


# What else a PetSlice is made of: a file in which one of these differs is read by pydicom.
_MEANING = {tag_for_keyword(key) for key in (
    "SpecificCharacterSet", "SOPClassUID", "ImageType", "SeriesType", "CorrectedImage", "PixelSpacing",
    "ImageOrientationPatient", "RadiopharmaceuticalInformationSequence", "NumberOfFrames", "SamplesPerPixel",
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", *_TEXT, *_NUMBER, *KEYWORDS,
)}  # fmt: skip
# Of these, what may differ from slice to slice in a form that is read without pydicom.
_WANTED = {
    tag_for_keyword(key): Wanted(dictionary_VR(key), field, key)
    for field, keys in (("text", _TEXT), ("number", _NUMBER), ("position_mm", ["ImagePositionPatient"]))
    for key in keys
    if dictionary_VR(key) in FORMS and key != "SOPClassUID"  # it decides what a file is
}
_INSTANCE = {0x00020000, 0x00020003}  # of the file header, only the instance may differ


def read_slices(
    files: Sequence[tuple[str, str]], *, fast: bool = True, rules=None
) -> Iterator[PetSlice | str]:
    """Read every PET file once; of any other file yield only why it was passed over.

    Parameters
    ----------
    files : sequence of (str, str)
        As `analysis.pet.dicomfile.find_files` lists them.
    fast : bool
        Read further files of a series by comparing their bytes with a file pydicom has read
        (`analysis.pet.fastpath`); the slices are the same, many values then are the same objects.
    rules : plan section, optional
        Section ``pet`` of the plan; the defaults without it.

    Yields
    ------
    PetSlice or str
        A slice (of a multi-frame image one a frame), or one of ``"not DICOM"``, ``"other object"``.

    Raises
    ------
    SeriesRefused
        ``TRUNCATED_FILE`` for a damaged PET file.
    """
    rules = plan.defaults().pet if rules is None else rules
    reader = SeriesReader(_WANTED, _has_meaning, len(files)) if fast else None
    for name, file in files:
        item = reader.read(name, file) if reader else None
        if item is None:
            with disable_value_validation():
                yield from _read(name, file, reader, rules)
        else:
            yield item


def _has_meaning(tag: int) -> bool:
    """Tell whether a `PetSlice` depends on an element of the file header or the data set's root."""
    group, number = tag >> 16, tag & 0xFFFF
    if group == 2:
        return tag not in _INSTANCE
    ours = {last for at, _, last in _PRIVATE.values() if at == group}
    return number & 0xFF in ours or (bool(ours) and number < 0x100) or tag in _MEANING


def _read(name: str, file: str, reader: SeriesReader | None, rules) -> Iterator[PetSlice | str]:
    try:
        ds = read_complete(file)
    except DamagedFile as error:
        raise truncated(name, str(error)) from error
    kind = "" if ds is None else sop_class(ds)
    try:
        if kind == CLASSIC_PET:
            item = _slice(name, ds, _one_frame(name, ds), rules)
        elif kind in ENHANCED_PET:
            yield from _frames(name, ds, rules)
            return
        else:
            item = "not DICOM" if ds is None else "other object"
    except SeriesRefused:
        raise
    except Exception as error:  # as in `read_complete`: an element is parsed when it is asked for
        raise truncated(name, "holds an element that cannot be read") from error
    yield item
    if reader and kind == CLASSIC_PET and item.text["TransferSyntaxUID"] in PLAIN_SYNTAX:
        reader.learn(file, item)


def _frames(name: str, ds: pydicom.Dataset, rules) -> Iterator[PetSlice]:
    """Read a multi-frame image; neighbouring slices share what they have in common, as of classic files."""
    last = None
    for frame in enhanced.read_frames(name, ds, rules):
        item = _slice(frame.name, frame.header, frame.stored, rules)
        item.number.update(frame.numbers)
        if last is not None:
            text = last.text if item.text == last.text else item.text
            number = last.number if item.number == last.number else item.number
            technique = last.technique if item.technique == last.technique else item.technique
            item = replace(item, text=text, number=number, technique=technique)
        yield item
        last = item


def _one_frame(name: str, ds: pydicom.Dataset) -> np.ndarray:
    stored = stored_frames(name, ds)
    if len(stored) != 1:
        raise SeriesRefused(
            "PIXELS_UNREADABLE", f"{name}: expected one frame in a classic image, found {len(stored)}"
        )
    return stored[0]


def _slice(name: str, ds: pydicom.Dataset, stored: np.ndarray, rules) -> PetSlice:
    items = ds.get("RadiopharmaceuticalInformationSequence") or []
    listed = not items or rules.tracer_item <= len(items)
    if listed and items and rules.tracer_item > 0:
        items = [items[rules.tracer_item - 1]]
    tracer = items[0] if items else pydicom.Dataset()
    codes = tracer.get("RadionuclideCodeSequence") or [pydicom.Dataset()]
    text = {key: _text(ds, key) for key in _TEXT}
    text["TransferSyntaxUID"] = str(ds.file_meta.get("TransferSyntaxUID", ""))
    text |= {
        key: _text(tracer, key)
        for key in ("RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime")
    }
    number = {key: enhanced.read_number(ds, key) for key in _NUMBER}
    number |= {
        key: enhanced.read_number(tracer, key) for key in ("RadionuclideTotalDose", "RadionuclideHalfLife")
    }
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
        tracer_listed=listed,
        nuclide=f"{_text(codes[0], 'CodeValue')} {_text(codes[0], 'CodeMeaning')}".strip(),
        tracer=_tracer_names(tracer),
        technique=read_technique(ds),
        stored=stored,
    )


def _text(ds: pydicom.Dataset, keyword: str) -> str:
    value = ds.get(keyword)
    return "" if value is None else str(value).strip()


def _tracer_names(tracer: pydicom.Dataset) -> tuple[str, ...]:
    """Return in capitals what names the tracer: code and meaning (both may be empty), and the free name."""
    codes = tracer.get("RadiopharmaceuticalCodeSequence") or [pydicom.Dataset()]
    names = [
        _text(codes[0], "CodeValue"),
        _text(codes[0], "CodeMeaning"),
        _text(tracer, "Radiopharmaceutical"),
    ]
    return tuple(name.upper() for name in names)


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


def _private(ds: pydicom.Dataset, group: int, creators: tuple[str, ...], last: int) -> tuple[str, bool]:
    """Return the value of a private element and whether its creator stands in the file.

    Siemens has several blocks, of which one holds a date-time here: the first value that reads as one, else
    the first value.
    """
    first = ""
    for block in range(0x10, 0x100):
        if (group, block) not in ds:
            if block > 0x1F:
                break
            continue
        value = _decoded(ds.get((group, (block << 8) | last)))
        if value and str(ds[group, block].value).strip().startswith(creators):
            first = first or value
            if creators != _SIEMENS or parse_datetime(value)[0]:
                return value, True
    if first:
        return first, True
    if (group, 0x10) in ds:  # block 10 belongs to somebody else
        return "", True
    return _decoded(ds.get((group, 0x1000 | last))), False


def _decoded(element: Any) -> str:
    value = getattr(element, "value", None)
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return "" if value is None else str(value).strip().strip("\0").strip()


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
