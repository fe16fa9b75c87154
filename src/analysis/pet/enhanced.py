"""Enhanced and Legacy Converted Enhanced PET: each frame as the header of a classic slice, and its pixels.

Whatever follows (geometry, corrections, SUV, metrics) then is the same code for both. What a frame is scaled
by follows pet.md 1.8: a real-world value map applies to stored values, in place of the rescale slope, and
only within its range.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword

from analysis.pet.clock import moved, parse_datetime, parse_offset
from analysis.pet.codes import SeriesRefused
from analysis.pet.dicomfile import sop_class
from analysis.pet.pixels import stored_frames
from analysis.pet.realworld import Scaled, apply_maps, unit_code, unit_of
from analysis.pet.technique import CODED

ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
LEGACY_CONVERTED = "1.2.840.10008.5.1.4.1.1.128.1"

# Corrections of the Enhanced PET Corrections module, and their words in Corrected Image (0028,0051).
_CORRECTIONS = {
    "DecayCorrected": "DECY",
    "AttenuationCorrected": "ATTN",
    "ScatterCorrected": "SCAT",
    "DeadTimeCorrected": "DTIM",
    "GantryMotionCorrected": "MOTN",
    "PatientMotionCorrected": "PMOT",
    "CountLossNormalizationCorrected": "CLN",
    "RandomsCorrected": "RAN",
    "NonUniformRadialSamplingCorrected": "RADL",
    "SensitivityCalibrated": "DCAL",
    "DetectorNormalizationCorrection": "NORM",
}
# Functional groups every frame needs, its own or a shared one, and what is taken from them.
_GEOMETRY = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
}
_RECONSTRUCTION = ("PETReconstructionSequence", "PETFrameAcquisitionSequence")
_TIMES = ("FrameAcquisitionDateTime", "FrameReferenceDateTime", "TemporalPositionIndex")
_NOT_OF_A_SLICE = ("PixelData", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_PROJECTIONS = {"MAX_IP", "MIN_IP", "MEAN_IP"}
SAID = (
    "ShiftedMap",
    "UncomparedMap",
)  # of the maps of a frame: a range with an intercept; SUV maps not compared
_DATE_TIME = re.compile(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)")


class Frame(NamedTuple):
    """One frame.

    Attributes
    ----------
    name : str
        Name in messages.
    header : pydicom.Dataset
        Its header, with the attributes of a classic PET image.
    stored : ndarray, shape (rows, columns)
        Pixel values that ``RescaleSlope`` applies to.
    numbers : dict
        Numbers of the header: slope, intercept, frame duration in ms, and ``SuvMap``, the SUVbw per unit of
        the rescaled pixel by the file's own SUV map, where it holds another map too; 1 under a name
        of `SAID`.
    """

    name: str
    header: pydicom.Dataset
    stored: np.ndarray
    numbers: dict[str, float | None]


def read_frames(name: str, ds: pydicom.Dataset, rules) -> Iterator[Frame]:
    """Read the frames of a multi-frame PET image in the order of the file.

    Parameters
    ----------
    name : str
        Name of the file in messages.
    ds : pydicom.Dataset
        Enhanced PET or Legacy Converted Enhanced PET.
    rules : plan section
        Section ``pet`` of the plan.

    Yields
    ------
    Frame
        Frames of one position at several times carry ``TemporalPositionIndex``, acquisition date and time.

    Raises
    ------
    SeriesRefused
        ``FRAME_COUNT_DIFFERS``, ``FRAME_GROUP_MISSING``, ``RWV_INVALID``, ``RWV_RANGE``, ``RWV_AMBIGUOUS``,
        ``PIXELS_UNREADABLE``, ``TRUNCATED_FILE``.
    """
    groups = ds.get("PerFrameFunctionalGroupsSequence") or []
    if not groups or len(groups) != ds.get("NumberOfFrames", 1):
        raise SeriesRefused(
            "FRAME_COUNT_DIFFERS",
            f"{name}: Number of Frames (0028,0008) differs from the {len(groups)} frames described; "
            "send it again",
        )
    shared = next(iter(ds.get("SharedFunctionalGroupsSequence") or []), pydicom.Dataset())
    common = _common_header(ds, shared)
    signed = ds.get("PixelRepresentation") == 1
    for index, (own, stored) in enumerate(zip(groups, stored_frames(name, ds), strict=True), start=1):
        where = f"{name}, frame {index}"
        header = _frame_header(where, common, own, shared)
        scaled = _scale(where, header, own, shared, stored, signed, rules)
        _set_units(header, scaled.unit)
        numbers = {"RescaleSlope": scaled.slope, "RescaleIntercept": scaled.intercept}
        content = _group(own, shared, "FrameContentSequence")
        if content is not None and "FrameAcquisitionDuration" in content:
            numbers["ActualFrameDuration"] = read_number(content, "FrameAcquisitionDuration")
        if scaled.suv_map is not None:
            numbers["SuvMap"] = scaled.suv_map
        numbers |= {key: 1.0 for key, here in zip(SAID, (scaled.shifted, scaled.uncompared)) if here}
        yield Frame(where, header, scaled.stored, numbers)


def _common_header(ds: pydicom.Dataset, shared: pydicom.Dataset) -> pydicom.Dataset:
    """Return what all frames share, with the attributes of a classic image."""
    header = pydicom.Dataset()
    header.update(ds)
    for keyword in _NOT_OF_A_SLICE:
        header.pop(keyword, None)
    _adopt(header, shared.get("UnassignedSharedConvertedAttributesSequence"))
    header.file_meta = ds.file_meta
    for tag in list(header.keys()):
        with suppress(Exception):  # parsed here once, not in every frame; what cannot be stays as it is
            header[tag]
    if sop_class(ds) == ENHANCED_PET or "CorrectedImage" not in header:
        done = [word for keyword, word in _CORRECTIONS.items() if _yes_no(header, keyword) == "YES"]
        _put(header, CorrectedImage=done)
    if sop_class(ds) == ENHANCED_PET or "DecayCorrection" not in header:
        decay = {"YES": "YES", "NO": "NONE"}.get(_yes_no(header, "DecayCorrected"), "")
        _put(header, DecayCorrection=decay)
    return header


def _frame_header(where: str, common: pydicom.Dataset, own, shared) -> pydicom.Dataset:
    header = pydicom.Dataset()
    header.update(common)
    header.file_meta = common.file_meta
    _adopt(header, own.get("UnassignedPerFrameConvertedAttributesSequence"))
    for keyword, wanted in _GEOMETRY.items():
        group = _group(own, shared, keyword)
        if group is None or wanted[0] not in group:
            raise SeriesRefused(
                "FRAME_GROUP_MISSING",
                f"{where}: every frame needs {wanted[0]} in its own or the shared {keyword}; send it again",
            )
        _copy(group, wanted, header)
    content = _group(own, shared, "FrameContentSequence")
    if content is not None:
        _copy(content, _TIMES, header)
        _set_acquisition(header, own.get("UnassignedPerFrameConvertedAttributesSequence"))
    for keyword in _RECONSTRUCTION:
        group = _group(own, shared, keyword)
        if group is not None:
            _copy(group, CODED, header)
    kind = _group(own, shared, "PETFrameTypeSequence")
    if kind is not None and "FrameType" in kind:
        projection = kind.get("VolumeBasedCalculationTechnique") in _PROJECTIONS
        _put(header, ImageType=[*kind.FrameType, "MIP"] if projection else list(kind.FrameType))
    _set_tracer(
        header, own.get("RadiopharmaceuticalUsageSequence") or shared.get("RadiopharmaceuticalUsageSequence")
    )
    return header


def _adopt(header: pydicom.Dataset, items: Sequence[pydicom.Dataset] | None) -> None:
    for item in items or ():
        header.update(item)


def _put(header: pydicom.Dataset, **values) -> None:
    """Set elements anew: those a header has in common with others must not change with it."""
    for keyword, value in values.items():
        header.add_new(tag_for_keyword(keyword), dictionary_VR(keyword), value)


def _copy(source: pydicom.Dataset, keywords: Sequence[str], target: pydicom.Dataset) -> None:
    for keyword in keywords:
        if keyword in source:
            target.add(source[keyword])


def _group(own: pydicom.Dataset, shared: pydicom.Dataset, keyword: str) -> pydicom.Dataset | None:
    """Return a functional group of a frame: its own, else the shared one."""
    items = own.get(keyword) or shared.get(keyword)
    return items[0] if items else None


def _set_acquisition(header: pydicom.Dataset, kept: Sequence[pydicom.Dataset] | None) -> None:
    """Give Acquisition Date and Time of the frame on the clock of the series.

    Only what a converter kept of this very frame goes first: the header of the file speaks for no frame.
    """
    if any(item.get("AcquisitionDate") and item.get("AcquisitionTime") for item in kept or ()):
        return
    text = str(header.get("FrameAcquisitionDateTime") or "")
    found = _DATE_TIME.match(text)
    if not found:
        return
    instant, own = parse_datetime(text)
    local = parse_offset(str(header.get("TimezoneOffsetFromUTC") or ""))
    shifted = (
        moved(instant, (local - own).total_seconds())
        if instant and own is not None and local is not None
        else None
    )
    day, clock = (shifted.strftime("%Y%m%d"), shifted.strftime("%H%M%S.%f")) if shifted else found.groups()
    _put(header, AcquisitionDate=day, AcquisitionTime=clock)


def _set_tracer(header: pydicom.Dataset, usage: Sequence[pydicom.Dataset] | None) -> None:
    """Keep the one radiopharmaceutical a frame says it shows; several stay several."""
    agents = {item.get("RadiopharmaceuticalAgentNumber") for item in usage or ()}
    items = header.get("RadiopharmaceuticalInformationSequence") or []
    chosen = [item for item in items if item.get("RadiopharmaceuticalAgentNumber") in agents - {None}]
    if len(items) > 1 and len(chosen) == 1:
        _put(header, RadiopharmaceuticalInformationSequence=chosen)


def _scale(where, header, own, shared, stored, signed, rules) -> Scaled:
    """Return what the pixels of a frame mean: by real-world value map, else by rescale slope and type."""
    maps = own.get("RealWorldValueMappingSequence") or shared.get("RealWorldValueMappingSequence")
    maps = maps or header.get("RealWorldValueMappingSequence")
    suv_type = str(header.get("SUVType") or "")
    scaled = apply_maps(where, maps, stored, suv_type, signed, rules) if maps else None
    if scaled is not None:
        return scaled
    rescale = _group(own, shared, "PixelValueTransformationSequence") or header
    if "RescaleSlope" not in rescale and maps:
        return Scaled(stored, 1.0, 0.0, unit_code(maps[0]))
    if "RescaleSlope" not in rescale:
        raise SeriesRefused(
            "FRAME_GROUP_MISSING",
            f"{where}: a real-world value map in a unit of PET or a Pixel Value Transformation expected, "
            "found neither",
        )
    unit = unit_of(str(rescale.get("RescaleType") or ""), suv_type)
    unit = unit or unit_of(str(header.get("Units") or ""), suv_type) or str(header.get("Units") or "")
    return Scaled(
        stored, read_number(rescale, "RescaleSlope"), read_number(rescale, "RescaleIntercept"), unit
    )


def _set_units(header: pydicom.Dataset, unit: str) -> None:
    units, _, suv_type = unit.partition("_")
    _put(header, Units=units)
    if suv_type:
        _put(header, SUVType=suv_type)


def _yes_no(ds: pydicom.Dataset, keyword: str) -> str:
    return str(ds.get(keyword) or "").strip().upper()


def read_number(ds: pydicom.Dataset, keyword: str) -> float | None:
    """Read an element that holds one number.

    Parameters
    ----------
    ds : pydicom.Dataset
        Where it stands.
    keyword : str
        Its keyword.

    Returns
    -------
    float or None
        None if it is missing or no number.
    """
    try:
        return float(ds.get(keyword))
    except (TypeError, ValueError, OverflowError):
        return None
