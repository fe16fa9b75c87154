"""Real-world value maps of PET: from stored values to Bq/ml or SUV, each map within its range only."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import pydicom

from analysis.pet.codes import SeriesRefused

_ANNOTATION = re.compile(r"\{([^{}]*)\}")
_SUV_TYPES = {"bw", "lbm", "lbmjames128", "lbmjanma", "ibw"}


class Scaled(NamedTuple):
    """Pixels and what they mean.

    Attributes
    ----------
    stored : ndarray, shape (rows, columns)
        Values that `slope` applies to; with a piecewise map or a table these already are the real-world ones.
    slope, intercept : float or None
        Of the linear function from `stored` to the unit; None as in the header.
    unit : str
        As in the plan's ``pet.rwv_units``.
    suv_map : float or None
        SUVbw per unit, by another map of the same pixels.
    shifted : bool
        Whether one of several ranges has an intercept.
    uncompared : bool
        Whether an SUV map stands beside it that is not compared.
    """

    stored: np.ndarray
    slope: float | None
    intercept: float | None
    unit: str
    suv_map: float | None = None
    shifted: bool = False
    uncompared: bool = False


class _Map(NamedTuple):
    first: float
    last: float
    slope: float
    intercept: float
    table: np.ndarray | None


def unit_of(text: str, suv_type: str = "") -> str:
    """Name the unit of PET that a UCUM code or a Rescale Type states.

    Parameters
    ----------
    text : str
        UCUM with the annotation on either side, or a term of Units (0054,1001).
    suv_type : str
        SUV Type (0054,1006), for a unit without annotation.

    Returns
    -------
    str
        Units and SUV Type joined by ``_``, or empty if it is no unit of PET that is known.

    Examples
    --------
    >>> unit_of("{SUVbw}g/ml"), unit_of("g/ml{SUVlbm(Janma)}"), unit_of("cm2/ml{SUVbsa}"), unit_of("Bq/ml")
    ('GML_BW', 'GML_LBMJANMA', 'CM2ML_BSA', 'BQML')
    """
    compact = "".join(text.split()).lower()
    base = _ANNOTATION.sub("", compact).replace("/", "")
    kind = "".join(re.sub(r"[^a-z0-9]", "", word) for word in _ANNOTATION.findall(compact))
    kind = kind.removeprefix("suv") or re.sub(r"[^a-z0-9]", "", suv_type.lower())
    if base == "bqml":
        return "BQML"
    if base == "gml" and kind in _SUV_TYPES | {""}:
        return f"GML_{(kind or 'bw').upper()}"
    if base == "cm2ml" and kind in {"bsa", ""}:
        return "CM2ML_BSA"
    if base == "cnts" or (not base and kind == "counts"):
        return "CNTS"
    return ""


def apply_maps(
    where: str, items: Sequence[pydicom.Dataset], stored: np.ndarray, suv_type: str, signed: bool, rules
) -> Scaled | None:
    """Apply the real-world value map whose unit comes first in the plan.

    Parameters
    ----------
    where : str
        Name of the frame in messages.
    items : sequence of pydicom.Dataset
        Real World Value Mapping Sequence of the frame.
    stored : ndarray of int, shape (rows, columns)
        Stored values.
    suv_type : str
        SUV Type (0054,1006) where the header has one.
    signed : bool
        Whether stored values are signed.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    Scaled or None
        None if no map has a unit of PET.

    Raises
    ------
    SeriesRefused
        ``RWV_INVALID``, ``RWV_RANGE`` for stored values outside of every range, ``RWV_AMBIGUOUS`` for ranges
        of one unit that overlap and disagree, ``SLOPE_INVALID``, ``INTERCEPT_NOT_ZERO`` unless ranges join.
    """
    by_unit: dict[str, list[pydicom.Dataset]] = {}
    for item in items:
        by_unit.setdefault(unit_of(unit_code(item), suv_type), []).append(item)
    unit = next((name for name in rules.rwv_units if name in by_unit), None)
    if unit is None:
        return None
    maps = [_read_map(where, item, signed) for item in by_unit[unit]]
    shifted = _check_lines(where, maps, rules)
    others = {name for name in by_unit if name.startswith(("GML", "CM2ML"))} - {unit}
    only = maps[0]
    if len(maps) > 1 or only.table is not None:
        values = _piecewise(where, maps, stored, rules)
        return Scaled(values, 1.0, 0.0, unit, shifted=shifted, uncompared=bool(others))
    if stored.min() < only.first or stored.max() > only.last:
        raise _outside(where, maps, stored)
    own_suv = [_read_map(where, item, signed) for item in by_unit["GML_BW"]] if "GML_BW" in others else []
    comparable = len(own_suv) == 1 and own_suv[0].table is None and own_suv[0].intercept == 0
    suv_map = own_suv[0].slope / only.slope if comparable else None
    return Scaled(stored, only.slope, 0.0, unit, suv_map, uncompared=bool(others) and not comparable)


def _check_lines(where: str, maps: Sequence[_Map], rules) -> bool:
    """Refuse a map that falls or does not start from 0; tell whether a later one of several is shifted.

    Only ranges that join each other without a jump, of which the one of stored 0 (else the first) has no
    intercept, are one function that grows from zero.
    """
    for one in maps:
        if one.table is None and not one.slope > 0:
            raise SeriesRefused(
                "SLOPE_INVALID",
                f"{where}: a real-world value map with a slope above 0 expected, found {one.slope!r}; "
                "export the series again",
            )
    found = next((one.intercept for one in maps if one.table is None and one.intercept != 0), None)
    if found is None:
        return False
    ordered = sorted(maps, key=attrgetter("first"))
    base = [one for one in ordered if one.first <= 0 <= one.last] or ordered[:1]
    joined = all(_joined(low, high, rules.rwv_overlap_tolerance) for low, high in pairwise(ordered))
    if len(maps) == 1 or not joined or any(one.intercept != 0 for one in base):
        raise SeriesRefused(
            "INTERCEPT_NOT_ZERO",
            f"{where}: a real-world value map with intercept 0 expected (or ranges that join without a jump "
            f"and start at 0), found {found!r}; export the original series",
        )
    return True


def _joined(low: _Map, high: _Map, tolerance: float) -> bool:
    """Tell whether one linear range goes on where another ends: by no more than its own steps."""
    if low.table is not None or high.table is not None:
        return False
    steps = high.first - low.last
    end, begin = (one.slope * at + one.intercept for one, at in ((low, low.last), (high, high.first)))
    least, most = sorted((low.slope * steps, high.slope * steps))
    room = tolerance * max(abs(end), abs(begin))
    return least - room <= begin - end <= most + room


def unit_code(item: pydicom.Dataset) -> str:
    """Return the code of a map's unit; UCUM codes of more than 16 characters stand in another element.

    Parameters
    ----------
    item : pydicom.Dataset
        Item of a Real World Value Mapping Sequence.

    Returns
    -------
    str
        Code, or empty.
    """
    codes = item.get("MeasurementUnitsCodeSequence") or [pydicom.Dataset()]
    values = (codes[0].get(keyword) for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue"))
    return next((str(value) for value in values if value), "")


def _read_map(where: str, item: pydicom.Dataset, signed: bool) -> _Map:
    first, last = (_bound(item, f"RealWorldValue{end}ValueMapped", signed) for end in ("First", "Last"))
    table = item.get("RealWorldValueLUTData")
    try:
        if table is not None:
            values = np.atleast_1d(np.array(table, dtype=float))
            if len(values) != last - first + 1 or not np.isfinite(values).all():
                raise ValueError
            return _Map(first, last, math.nan, math.nan, values)
        slope, intercept = float(item.RealWorldValueSlope), float(item.RealWorldValueIntercept)
    except (AttributeError, TypeError, ValueError) as error:
        raise _invalid(where) from error
    if not all(map(math.isfinite, (first, last, slope, intercept))) or first > last:
        raise _invalid(where)
    return _Map(first, last, slope, intercept, None)


def _bound(item: pydicom.Dataset, keyword: str, signed: bool) -> float:
    value = item.get(keyword, item.get(f"DoubleFloat{keyword}"))
    if isinstance(value, bytes):  # implicit VR does not say whether it is signed
        value = int.from_bytes(value, "little", signed=signed)
    return math.nan if value is None else float(value)


def _piecewise(where: str, maps: Sequence[_Map], stored: np.ndarray, rules) -> np.ndarray:
    """Return real-world values by several ranges, an intercept or a table; a map for every value."""
    values = np.full(stored.shape, np.nan)
    for one in maps:
        inside = (stored >= one.first) & (stored <= one.last)
        chosen = stored[inside].astype(float)
        if one.table is None:
            mapped = chosen * one.slope + one.intercept
        else:
            mapped = one.table[(chosen - one.first).astype(int)]
        known = values[inside]
        # NaN where no map came before: compares as not above
        if np.any(np.abs(known - mapped) > rules.rwv_overlap_tolerance * np.abs(mapped)):
            raise SeriesRefused(
                "RWV_AMBIGUOUS",
                f"{where}: real-world value maps of one unit overlap and give different values; keep one",
            )
        values[inside] = mapped
    if np.isnan(values).any():
        raise _outside(where, maps, stored)
    return values.astype(np.float32)


def _outside(where: str, maps: Sequence[_Map], stored: np.ndarray) -> SeriesRefused:
    ranges = ", ".join(f"{one.first:g} to {one.last:g}" for one in maps)
    return SeriesRefused(
        "RWV_RANGE",
        f"{where}: stored values {stored.min()} to {stored.max()} reach outside of the real-world value "
        f"maps ({ranges}): they have no meaning; send the original image",
    )


def _invalid(where: str) -> SeriesRefused:
    return SeriesRefused(
        "RWV_INVALID",
        f"{where}: a real-world value map needs a first and a last value mapped, and a finite slope and "
        "intercept or a table of that length; send the original image",
    )
