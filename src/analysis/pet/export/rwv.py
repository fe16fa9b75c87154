"""SUV factors of a scan as a Real World Value Mapping: from stored values to SUV, in one multiplication.

Slopes include the rescale slope and whatever the series needed beside it (decay of every slice, a vendor's
factor): a reader applies them to stored values, in place of the rescale slope (PS3.3 C.7.6.16.2.11).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag

from analysis.pet.export.codes import METHOD, QUANTITY, UPTAKES, Uptake
from analysis.pet.export.common import (
    VERSION,
    code_item,
    item,
    references,
    set_content,
    set_referenced_series,
    set_shared_modules,
)
from analysis.pet.export.source import ExportRefused, Source
from analysis.pet.export.uids import derive_uid

REAL_WORLD_VALUE_MAPPING = "1.2.840.10008.5.1.4.1.1.67"
_MAPS, _FIRST, _LAST = 0x00409094, 0x00409216, 0x00409211
_FD = 8  # bytes of a float64


def build_mapping(source: Source, sul_per_suv: float, sul_formula: str) -> Dataset:
    """Build the map of a scan: SUVbw, and SUL where lean body mass is known.

    Parameters
    ----------
    source : Source
        The images, with SUVbw per stored value of every slice.
    sul_per_suv : float
        SUL per SUVbw; NaN where unknown.
    sul_formula : str
        `sul_formula` of the plan.

    Returns
    -------
    pydicom.Dataset
        SOP class Real World Value Mapping; one item a distinct slope, with the images it is for.

    Raises
    ------
    ExportRefused
        ``EXPORT_NOT_POSSIBLE`` where stored values do not become SUV by one slope a slice.
    """
    slopes = source.slopes
    if not np.isfinite(slopes).all():
        raise ExportRefused(
            "EXPORT_NOT_POSSIBLE",
            "one slope from stored values to SUV expected in every slice, found a table or several ranges in "
            f"{np.count_nonzero(~np.isfinite(slopes))} of {len(slopes)}; the images hold their own map",
        )
    ds = Dataset()
    ds.SOPClassUID = REAL_WORLD_VALUE_MAPPING
    made_of = slopes.astype("<f8").tobytes(), np.array(sul_per_suv, "<f8").tobytes(), sul_formula
    set_shared_modules(ds, source, "RWV", derive_uid("RWV", VERSION, source.identity, *made_of), "PET SUV")
    set_content(ds, "PET_SUV", "SUV of stored values")
    ds.Laterality = ""
    uptakes = [(UPTAKES["bw"], 1.0)]
    if np.isfinite(sul_per_suv):
        uptakes.append((UPTAKES[sul_formula], sul_per_suv))
    limits = _stored_range(source.header)
    heads = [(_encoded(_map(one, limits))[:-_FD], times) for one, times in uptakes]
    items = [
        _sequence(0x00081140, map(_encoded, references(source, slices)))
        + _sequence(0x00409096, (head + struct.pack("<d", slope * times) for head, times in heads))
        for slope, slices in _by_slope(slopes).items()
    ]
    content = b"".join(map(_item, items))
    # As encoded: hundreds of slopes differ in eight bytes each, and are not built and written one by one.
    ds.add(RawDataElement(BaseTag(_MAPS), "SQ", len(content), content, 0, False, True))
    set_referenced_series(ds, source)
    return ds


def _encoded(ds: Dataset) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_dataset(stream, ds)
    return stream.getvalue()


def _sequence(tag: int, items: Iterable[bytes]) -> bytes:
    """Return a sequence of encoded items, explicit VR little endian (PS3.5 7.5)."""
    content = b"".join(map(_item, items))
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, len(content)) + content


def _item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def _by_slope(slopes: np.ndarray) -> dict[float, list[int]]:
    """Return the slices of every distinct slope, in the order of the image."""
    found: dict[float, list[int]] = {}
    for k, slope in enumerate(slopes.tolist()):
        found.setdefault(slope, []).append(k)
    return found


def _stored_range(header: Dataset) -> tuple[str, int, int]:
    """Return VR, smallest and largest stored value a pixel of these images can hold."""
    bits = int(header.get("BitsStored") or 16)
    if header.get("PixelRepresentation") == 1:
        return "SS", -(1 << bits - 1), (1 << bits - 1) - 1
    return "US", 0, (1 << bits) - 1


def _map(uptake: Uptake, limits: tuple[str, int, int]) -> Dataset:
    """Return a map of slope 0; the slope is its last element."""
    kind, first, last = limits
    ds = item(
        LUTExplanation=uptake.unit.meaning,
        MeasurementUnitsCodeSequence=[code_item(uptake.unit)],
        LUTLabel=uptake.name.meaning,
        QuantityDefinitionSequence=[_said(QUANTITY, uptake.name), _said(METHOD, uptake.method)],
        RealWorldValueIntercept=0.0,
        RealWorldValueSlope=0.0,
    )
    ds.add_new(_FIRST, kind, first)
    ds.add_new(_LAST, kind, last)
    return ds


def _said(name, value) -> Dataset:
    return item(
        ValueType="CODE", ConceptNameCodeSequence=[code_item(name)], ConceptCodeSequence=[code_item(value)]
    )
