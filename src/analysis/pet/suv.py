"""Standardised uptake: from what a pixel means to SUV per unit of it, one factor a slice.

``SUV = U N / D``: U the rescaled pixel in Bq/ml, N the body size in g (or cm2), D the injected activity in
Bq decayed to the instant the image is corrected to. Images already in SUV, or in counts with the vendor's
factor, are only renormalised. Rules of IBSI-SUV 3 as pet.md 1.1 to 1.6 state them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.pet import body_size, timing
from analysis.pet.codes import Notes, SeriesRefused, say_code
from analysis.pet.gates import (
    check_lossless,
    read_activity_bq,
    read_half_life_s,
    read_height_m,
    read_weight_kg,
)
from analysis.pet.header import PetSlice
from analysis.pet.injection import administration_instant
from analysis.pet.record import check_clocks, read_quietly, reference_facts, subject_facts

# SUV Type (0054,1006) of an image in g/ml: the body size it was made with.
_MADE_WITH = {
    "": "bw",
    "BW": "bw",
    "LBM": "lbm_morgan120",
    "LBMJAMES128": "lbm_james128",
    "LBMJANMA": "lbm_janma",
    "IBW": "ibw",
}
_ASK = "ask the site and send the series with a correct header"


@dataclass(frozen=True)
class Uptake:
    """SUV factors of a series and what they rest on.

    Attributes
    ----------
    factors : ndarray, shape (slices,)
        SUV per unit of the rescaled pixel value.
    facts : dict
        Decay reference and its candidates, uptake time, activity, body size.
    """

    factors: np.ndarray
    facts: dict[str, Any]


def vendor_of(manufacturer: str) -> str:
    """Name the vendor from Manufacturer (0008,0070): SIEMENS, GE, PHILIPS or OTHER.

    Parameters
    ----------
    manufacturer : str
        As in the header; never searched for the bare letters GE, which "IMAGE" has too.

    Returns
    -------
    str
        Vendor.

    Examples
    --------
    >>> vendor_of("GE MEDICAL SYSTEMS"), vendor_of("Siemens Imaging"), vendor_of("IMAGE CO")
    ('GE', 'SIEMENS', 'OTHER')
    """
    name = manufacturer.strip().upper()
    if "SIEMENS" in name or name.startswith(("CPS", "CTI")):
        return "SIEMENS"
    if "PHILIPS" in name:
        return "PHILIPS"
    if name in {"GE", "GEMS"} or name.startswith("GE ") or "GE MEDICAL" in name or "GE HEALTHCARE" in name:
        return "GE"
    return "OTHER"


def compute_factors(slices: Sequence[PetSlice], normalisation: str, notes: Notes, rules) -> Uptake:
    """Compute SUV per unit of the rescaled pixel value, for every slice.

    Parameters
    ----------
    slices : sequence of PetSlice
        One consistent series.
    normalisation : str
        One of `body_size.NORMALISATIONS`.
    notes : Notes
        Receives adaptations and flags.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    Uptake
        Factors in float64, and facts.

    Raises
    ------
    SeriesRefused
        With the code of whatever is missing or contradictory (see pet.md 1.3 to 1.6).
    """
    check_lossless(slices, notes, rules)
    item = slices[0]
    units, decay = item.text["Units"].upper(), item.text["DecayCorrection"].upper()
    facts: dict[str, Any] = {"tref_rule": "NOT_NEEDED"}
    size = _size_reader(item, notes, rules)
    if units == "BQML":
        factors = _from_activity(slices, size(normalisation), decay, facts, notes, rules)
        _check_own_map(slices, factors, normalisation, size, notes, rules)
    elif units == "CNTS":
        factors = _from_counts(slices, normalisation, size, decay, facts, notes, rules)
    else:
        if decay in {"NONE", "NO"}:
            notes.flag("SUV_NOT_DECAY_CORRECTED")
        factors = np.full(len(slices), _renormalise(_source(item, units, notes), normalisation, size))
    if normalisation == "lbm_james128":
        _check_james(item, rules)
    return Uptake(factors, facts | subject_facts(slices, facts, notes, rules))


def _size_reader(item: PetSlice, notes: Notes, rules) -> Callable[[str], float]:
    def size(name: str) -> float:
        height = None if name == "bw" else read_height_m(item, notes, rules)
        sex = item.text["PatientSex"].upper() or None
        value = body_size.normaliser(name, read_weight_kg(item, notes, rules), height, sex)
        if sex == "O" and name not in {"bw", "bsa"}:
            notes.adapt(
                "SEX_OTHER_MEAN", "PatientSex (0010,0040) is 'O': the mean of both sexes' formulas was used"
            )
        return value

    return size


def _source(item: PetSlice, units: str, notes: Notes) -> str:
    kind = item.text["SUVType"].upper()
    if units == "GML" and kind in _MADE_WITH:
        if kind == "LBM":
            notes.flag("SUV_TYPE_LBM_MORGAN")
        return _MADE_WITH[kind]
    if units == "CM2ML" and kind in {"", "BSA"}:
        return "bsa"
    if units in {"GML", "CM2ML"}:
        raise SeriesRefused(
            "SUV_TYPE_INCONSISTENT",
            f"Units (0054,1001) {say_code(units, 'units')} with SUV Type (0054,1006) "
            f"{say_code(kind, 'suv_type')}: no SUV can be told",
        )
    raise SeriesRefused(
        "UNITS_UNSUPPORTED",
        f"Units (0054,1001) BQML, GML, CM2ML or Philips CNTS expected, found "
        f"{say_code(units, 'units')}: no SUV can be computed",
    )


def _renormalise(source: str, target: str, size: Callable[[str], float]) -> float:
    return 1.0 if source == target else size(target) / size(source)


def _from_activity(slices, size, decay, facts, notes, rules) -> np.ndarray:
    """Return SUV per Bq/ml of every slice: body size over the activity left at its decay reference."""
    item = slices[0]
    dose = read_activity_bq(item, notes, rules)
    if decay == "ADMIN":
        facts["tref_rule"] = "ADMIN"
        return np.full(len(slices), size / dose)
    if decay == "NONE" and {"DECY", "DECAY"} & set(item.corrections):
        raise SeriesRefused(
            "DECAY_CORRECTION_CONTRADICTORY",
            "Decay Correction (0054,1102) is 'NONE' while Corrected Image (0028,0051) lists DECY: SUV would "
            f"differ by the decay since the injection; {_ASK}",
        )
    half_life = read_half_life_s(item, notes, rules)
    moments, kind = timing.distinct_moments(slices)
    reference = _reference(moments, decay, half_life, notes)
    injected = administration_instant(item, reference.first, half_life, notes, rules, reference.offset)
    check_clocks(moments, reference, decay, injected)
    facts |= reference_facts(moments, reference, decay, half_life, injected, notes, rules)
    facts["injection"] = injected
    elapsed = np.array([(instant - injected).total_seconds() for instant in reference.instants])
    with np.errstate(over="ignore", under="ignore"):  # refused here
        factors = size / dose * np.exp(math.log(2) / half_life * elapsed)
    _check_factors(factors)
    return factors[kind]


def _check_factors(factors: np.ndarray) -> None:
    if not np.all(np.isfinite(factors) & (factors > 0)):
        raise SeriesRefused(
            "SUV_FACTOR_INVALID",
            "the factor from pixel to SUV is not above 0 and finite: injection and scan lie too many "
            f"half-lives apart, or a vendor's factor is wrong; {_ASK}",
        )


def _reference(slices, decay, half_life, notes) -> timing.Reference:
    vendor = vendor_of(slices[0].text["Manufacturer"])
    if decay == "START":
        return timing.reference_start(slices, vendor, half_life, notes)
    if decay == "NONE":
        return timing.reference_not_corrected(slices, vendor, half_life, notes)
    if decay == "YES":
        return timing.reference_stated(slices, notes)
    raise SeriesRefused(
        "DECAY_CORRECTION_UNKNOWN",
        "Decay Correction (0054,1102) START, ADMIN or NONE expected (Enhanced PET: Decay Corrected "
        f"(0018,9758) YES or NO), found {say_code(decay, 'decay')}",
    )


def _from_counts(slices, normalisation, size, decay, facts, notes, rules) -> np.ndarray:
    vendor = vendor_of(slices[0].text["Manufacturer"])
    if vendor != "PHILIPS":
        raise SeriesRefused(
            "UNITS_UNSUPPORTED", f"Units (0054,1001) 'CNTS' is read from Philips only, found {vendor}"
        )
    activity, suv = (_philips(slices, key, notes) for key in ("philips_activity", "philips_suv"))
    if activity is not None and not np.isnan(activity).any():
        per_bqml = _from_activity(slices, size(normalisation), decay, facts, notes, rules)
        with np.errstate(over="ignore", under="ignore"):  # refused here
            factors = activity * per_bqml
        _check_factors(factors)
        if suv is not None and not np.isnan(suv).any() and decay != "NONE":  # (7053,xx00) holds no decay then
            made = suv * _renormalise("bw", normalisation, size)
            if not _agree(made, factors, rules.philips_factor_tolerance):
                notes.flag("PHILIPS_FACTORS_DISAGREE")
        return factors
    if activity is not None or (suv is not None and np.isnan(suv).any()):
        raise SeriesRefused(
            "MIXED_SERIES",
            "some slices carry Philips' factor (7053,xx09) or (7053,xx00) above 0 and some do not; "
            "export the series with its private elements",
        )
    if suv is None:
        raise SeriesRefused(
            "PHILIPS_FACTOR_MISSING",
            "counts need Philips' factor (7053,xx09) or (7053,xx00) above 0 on every slice, found neither; "
            "export the series with its private elements",
        )
    if decay == "NONE":
        raise SeriesRefused(
            "PHILIPS_FACTOR_NOT_DECAYED",
            "the SUV factor (7053,xx00) does not hold where Decay Correction is 'NONE'",
        )
    facts["tref_rule"] = "VENDOR_SUV_FACTOR"
    return suv * _renormalise("bw", normalisation, size)


def _check_own_map(slices, factors, normalisation, size, notes, rules) -> None:
    """Flag an enhanced image whose own SUV map disagrees with the SUV from its activity and header."""
    own = np.array([item.number.get("SuvMap") or math.nan for item in slices])
    if np.isnan(own).all():
        return
    made = own * _renormalise("bw", normalisation, size)
    known = np.isfinite(made)
    if not _agree(made[known], factors[known], rules.rwv_tolerance):
        notes.flag("RWV_MAPS_DISAGREE")


def _agree(made: np.ndarray, factors: np.ndarray, tolerance: float) -> bool:
    """Tell whether two ways to SUV give the same within a fraction; ratios may overflow."""
    return bool(np.all(np.abs(made - factors) <= tolerance * factors))


def _philips(slices, key, notes) -> np.ndarray | None:
    """Return the factor of every slice, NaN where it is not usable; None where no slice has one."""
    values = np.array([_float(item.private.get(key, "")) for item in slices])
    usable = np.isfinite(values) & (values > 0)
    if not usable.any():
        return None
    values[~usable] = math.nan
    if any(key in item.without_creator for item in slices):
        notes.adapt("PRIVATE_CREATOR_MISSING", "Philips' factor stands without its private creator")
    return values


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check_james(item: PetSlice, rules) -> None:
    weight, height = (read_quietly(read, item, rules) for read in (read_weight_kg, read_height_m))
    if weight and height and body_size.beyond_james_vertex(weight, height, item.text["PatientSex"].upper()):
        raise SeriesRefused(
            "JAMES_BEYOND_VERTEX",
            f"James's lean mass falls beyond its vertex (weight {weight:g} kg, height {height:g} m); use "
            f"'lbm_janma'",
        )
