"""Standardised uptake: from what a pixel means to SUV per unit of it, one factor a slice.

``SUV = U N / D``: U the rescaled pixel in Bq/ml, N the body size in g (or cm2), D the injected activity in
Bq decayed to the instant the image is corrected to. Images already in SUV, or in counts with the vendor's
factor, are only renormalised. Rules of IBSI-SUV 3 as pet.md 1.1 to 1.6 state them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from analysis.pet import body_size, timing
from analysis.pet.codes import Notes, SeriesRefused
from analysis.pet.gates import (
    is_fluorine18,
    read_activity_bq,
    read_half_life_s,
    read_height_m,
    read_weight_kg,
)
from analysis.pet.header import PetSlice, positive

# SUV Type (0054,1006) of an image in g/ml: the body size it was made with.
_MADE_WITH = {
    "": "bw",
    "BW": "bw",
    "LBM": "lbm_morgan120",
    "LBMJAMES128": "lbm_james128",
    "LBMJANMA": "lbm_janma",
    "IBW": "ibw",
}


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
    item = slices[0]
    units, decay = item.text["Units"].upper(), item.text["DecayCorrection"].upper()
    facts: dict[str, Any] = {"tref_rule": "NOT_NEEDED"}
    size = _size_reader(item, notes, rules)
    if units == "BQML":
        factors = _from_activity(slices, size(normalisation), decay, facts, notes, rules)
    elif units == "CNTS":
        factors = _from_counts(slices, normalisation, size, decay, facts, notes, rules)
    else:
        factors = np.full(len(slices), _renormalise(_source(item, units, notes), normalisation, size))
    if normalisation == "lbm_james128":
        _check_james(item, rules)
    return Uptake(factors, facts | _subject_facts(slices, facts, notes, rules))


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
            "SUV_TYPE_INCONSISTENT", f"Units (0054,1001) {units!r} with SUV Type (0054,1006) {kind!r}"
        )
    raise SeriesRefused(
        "UNITS_UNSUPPORTED",
        f"Units (0054,1001) BQML, GML, CM2ML or Philips CNTS expected, found {units!r}: no SUV can be "
        f"computed",
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
    half_life = read_half_life_s(item, notes, rules)
    reference = _reference(slices, decay, half_life, notes)
    injected = timing.administration_instant(item, reference.first, half_life, notes, rules, reference.offset)
    facts |= _reference_facts(slices, reference, decay, half_life, notes, rules)
    facts["injection"] = injected
    elapsed = np.array([(instant - injected).total_seconds() for instant in reference.instants])
    return size / (dose * np.exp(-math.log(2) / half_life * elapsed))


def _reference(slices, decay, half_life, notes) -> timing.Reference:
    if decay == "START":
        return timing.reference_start(slices, vendor_of(slices[0].text["Manufacturer"]), half_life, notes)
    if decay == "NONE":
        return timing.reference_not_corrected(slices, half_life)
    raise SeriesRefused(
        "DECAY_CORRECTION_UNKNOWN",
        f"Decay Correction (0054,1102) START, ADMIN or NONE expected, found {decay!r}",
    )


def _from_counts(slices, normalisation, size, decay, facts, notes, rules) -> np.ndarray:
    vendor = vendor_of(slices[0].text["Manufacturer"])
    if vendor != "PHILIPS":
        raise SeriesRefused(
            "UNITS_UNSUPPORTED", f"Units (0054,1001) 'CNTS' is read from Philips only, found {vendor}"
        )
    activity, suv = (_philips(slices, key, notes) for key in ("philips_activity", "philips_suv"))
    if activity is not None:
        factors = activity * _from_activity(slices, size(normalisation), decay, facts, notes, rules)
        if suv is not None:
            made = suv * _renormalise("bw", normalisation, size)
            if np.max(np.abs(made / factors - 1)) > rules.philips_factor_tolerance:
                notes.flag("PHILIPS_FACTORS_DISAGREE")
        return factors
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


def _philips(slices, key, notes) -> np.ndarray | None:
    values = np.array([_float(item.private.get(key, "")) for item in slices])
    if not np.all(np.isfinite(values) & (values > 0)):
        return None
    if any(key in item.without_creator for item in slices):
        notes.adapt("PRIVATE_CREATOR_MISSING", "Philips' factor stands without its private creator")
    return values


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check_james(item: PetSlice, rules) -> None:
    weight, height = (_quietly(read, item, rules) for read in (read_weight_kg, read_height_m))
    if weight and height and body_size.beyond_james_vertex(weight, height, item.text["PatientSex"].upper()):
        raise SeriesRefused(
            "JAMES_BEYOND_VERTEX",
            f"James's lean mass falls beyond its vertex (weight {weight:g} kg, height {height:g} m); use "
            f"'lbm_janma'",
        )


def _reference_facts(slices, reference, decay, half_life, notes, rules) -> dict[str, Any]:
    disagreement = reference.disagreement_s()
    if decay == "START" and reference.spread_s() > rules.tref_common_s:
        notes.flag("TREF_NOT_COMMON")
    if disagreement > rules.tref_flag_s:
        notes.flag("TREF_CANDIDATES_DISAGREE")
    if disagreement > rules.tref_error_s:
        notes.flag("TREF_CANDIDATES_DISAGREE_LARGE")
    if decay == "START" and _decay_factor_off(slices, half_life) > rules.decay_factor_tolerance:
        notes.flag("DECAY_FACTOR_MISMATCH")
    used = reference.first
    offsets = {
        name: [round(extreme((at - used).total_seconds() for at in instants), 3) for extreme in (min, max)]
        for name, instants in reference.candidates.items()
    }
    return {
        "tref_rule": reference.rule,
        "tref": used,
        "tref_spread_s": reference.spread_s(),
        "tref_candidates_s": offsets,
        "tref_disagreement_s": disagreement,
    }


def _decay_factor_off(slices, half_life) -> float:
    """Return the largest relative deviation of DecayFactor from exp(lambda FRT); 0 where one is missing."""
    pairs = [(item.number["DecayFactor"], item.number["FrameReferenceTime"]) for item in slices]
    rate = math.log(2) / half_life
    return max(
        (abs(f / math.exp(rate * t / 1000) - 1) for f, t in pairs if positive(f) and t is not None),
        default=0.0,
    )


def _subject_facts(slices, facts, notes, rules) -> dict[str, Any]:
    item = slices[0]
    return {
        "injected_activity_bq": _quietly(read_activity_bq, item, rules, notes),
        "half_life_s": _quietly(read_half_life_s, item, rules),
        "body_weight_kg": _quietly(read_weight_kg, item, rules, notes),
        "body_height_m": _quietly(read_height_m, item, rules, notes),
        "sex": item.text["PatientSex"].upper() or None,
        "fluorine18": is_fluorine18(item),
        "uptake_time_min": _uptake_time_min(slices, facts, rules),
    }


def _quietly(read, item: PetSlice, rules, notes: Notes | None = None):
    """Read a header value for the record: None where it would be refused; what was adapted is flagged."""
    aside = Notes()
    try:
        value = read(item, aside, rules)
    except SeriesRefused:
        return None
    for code in aside.adaptations if notes else ():
        if code not in notes.adaptations:
            notes.flag(code)
    for code in aside.flags if notes else ():
        notes.flag(code)
    return value


def _uptake_time_min(slices, facts, rules) -> float | None:
    """Return minutes from injection to the earliest acquisition (or decay reference, if that has no date)."""
    item = slices[0]
    starts = [instant for instant in map(timing.acquisition_instant, slices) if instant]
    start: datetime | None = min(starts, default=None) or timing.series_instant(item)
    reference, injected = facts.get("tref"), facts.get("injection")
    if reference is not None and (
        start is None or abs((start - reference).total_seconds()) > rules.half_life_long_s
    ):
        start = reference
    if start is not None and injected is None:
        half_life = item.number["RadionuclideHalfLife"]
        try:
            injected = timing.administration_instant(item, start, half_life or 0.0, Notes(), rules)
        except SeriesRefused:
            return None
    return None if start is None else (start - injected).total_seconds() / 60
