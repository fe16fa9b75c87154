"""What the SUV of a series rests on, for the record: decay reference, uptake time, activity, body."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, time
from typing import Any

from analysis.pet import timing
from analysis.pet.clock import parse_time
from analysis.pet.codes import Notes, SeriesRefused
from analysis.pet.gates import (
    is_fluorine18,
    read_activity_bq,
    read_half_life_s,
    read_height_m,
    read_weight_kg,
)
from analysis.pet.header import PetSlice, positive
from analysis.pet.injection import administration_instant
from analysis.pet.timing import Reference


def reference_facts(
    slices: Sequence[PetSlice],
    reference: Reference,
    decay: str,
    half_life: float,
    injected: datetime,
    notes: Notes,
    rules,
) -> dict[str, Any]:
    """Describe the decay reference in use and what else it could have been.

    Parameters
    ----------
    slices : sequence of PetSlice
        Those that `reference` was made of.
    reference : Reference
        Instants and candidates.
    decay : str
        Decay Correction.
    half_life : float
        Half-life in s.
    injected : datetime
        Instant of the injection.
    notes : Notes
        Receives ``TREF_NOT_COMMON``, ``TREF_CANDIDATES_DISAGREE`` (``_LARGE``), ``DECAY_FACTOR_MISMATCH``,
        ``CORRECTED_TO_INJECTION`` (Enhanced PET: no candidate is the injection, and none disagrees).
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    dict
        Rule, earliest instant, spread and candidates in s after it.
    """
    disagreement = reference.disagreement_s()
    if decay in {"START", "YES"} and reference.spread_s() > rules.tref_common_s:
        notes.flag("TREF_NOT_COMMON")
    away_s = abs((reference.first - injected).total_seconds())
    if decay == "YES" and away_s <= rules.tref_common_s:
        notes.flag("CORRECTED_TO_INJECTION")
    else:
        if disagreement > rules.tref_flag_s:
            notes.flag("TREF_CANDIDATES_DISAGREE")
        if disagreement > rules.tref_error_s:
            notes.flag("TREF_CANDIDATES_DISAGREE_LARGE")
    if decay == "START" and _decay_factor_off(slices, half_life) > rules.decay_factor_tolerance:
        notes.flag("DECAY_FACTOR_MISMATCH")
    return {
        "tref_rule": reference.rule,
        "tref": reference.first,
        "tref_spread_s": reference.spread_s(),
        "tref_candidates_s": {
            name: [round(extreme, 3) for extreme in extremes]
            for name, extremes in reference.offsets_s().items()
        },
        "tref_disagreement_s": disagreement,
    }


def check_clocks(slices: Sequence[PetSlice], reference: Reference, decay: str, injected: datetime) -> None:
    """Refuse times of day that somebody blanked: injection and scan both at midnight to the microsecond.

    Parameters
    ----------
    slices : sequence of PetSlice
        Those that `reference` was made of.
    reference : Reference
        Instants the slices are corrected to.
    decay : str
        Decay Correction; without one the start of the acquisition counts, not its mean.
    injected : datetime
        Instant of the injection.

    Raises
    ------
    SeriesRefused
        ``TIMES_BLANKED``.
    """
    scanned = reference.instants
    if decay == "NONE":
        scanned = list(filter(None, map(timing.acquisition_instant, slices)))
    if injected.time() == time(0) and any(instant.time() == time(0) for instant in scanned):
        raise SeriesRefused(
            "TIMES_BLANKED",
            "times of injection and scan expected, found 00:00:00 for both: they were blanked, and the decay "
            "between them is lost; ask the site for the series with its times",
        )


def _decay_factor_off(slices, half_life) -> float:
    """Return the largest relative deviation of DecayFactor from exp(lambda FRT); 0 where one is missing."""
    pairs = [(item.number["DecayFactor"], item.number["FrameReferenceTime"]) for item in slices]
    rate = math.log(2) / half_life
    # by logarithms: the factor of an absurd time would overflow
    away = [math.log(f) - rate * t / 1000 for f, t in pairs if positive(f) and t is not None]
    return max((abs(math.expm1(min(one, 1.0))) for one in away), default=0.0)


def subject_facts(slices: Sequence[PetSlice], facts: dict[str, Any], notes: Notes, rules) -> dict[str, Any]:
    """Describe activity, body and uptake time, whether SUV needed them or not.

    Parameters
    ----------
    slices : sequence of PetSlice
        The series.
    facts : dict
        As gathered so far: ``tref`` and ``injection`` where SUV rests on them.
    notes : Notes
        Receives as flags what a number was adapted by that SUV did not need, and ``SERIES_TIME_BLANKED``.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    dict
        Injected activity in Bq, half-life in s, weight in kg, height in m, sex, what names the tracer, uptake
        times in min; None for what is missing or refused.
    """
    item = slices[0]
    if parse_time(item.text["SeriesTime"]) == time(0):
        notes.flag("SERIES_TIME_BLANKED")
    return {
        "injected_activity_bq": read_quietly(read_activity_bq, item, rules, notes),
        "half_life_s": read_quietly(read_half_life_s, item, rules),
        "body_weight_kg": read_quietly(read_weight_kg, item, rules, notes),
        "body_height_m": read_quietly(read_height_m, item, rules, notes),
        "sex": item.text["PatientSex"].upper() or None,
        "fluorine18": is_fluorine18(item),
        "tracer": item.tracer,
    } | _uptake_times_min(slices, facts, notes, rules)


def read_quietly(read: Callable, item: PetSlice, rules, notes: Notes | None = None) -> float | None:
    """Read a header value for the record.

    Parameters
    ----------
    read : callable
        A gate of `analysis.pet.gates`.
    item : PetSlice
        Any slice of the series.
    rules : plan section
        Section ``pet`` of the plan.
    notes : Notes, optional
        Receives as flags how the value was adapted.

    Returns
    -------
    float or None
        None where it would be refused.
    """
    aside = Notes()
    try:
        value = read(item, aside, rules)
    except SeriesRefused:
        return None
    if notes:
        _copy_as_flags(aside, notes)
    return value


def _copy_as_flags(aside: Notes, notes: Notes) -> None:
    for code in [*aside.adaptations, *aside.flags]:
        if code not in notes.adaptations:
            notes.flag(code)


def _uptake_times_min(slices, facts, notes, rules) -> dict[str, float | None]:
    """Return minutes from injection to the common decay reference and to the earliest acquisition.

    The first falls back to the second unless the images are corrected to their start (pet.md 2.3): Enhanced
    PET may state any instant.
    """
    item = slices[0]
    moments, _ = timing.distinct_moments(slices)
    starts = filter(None, map(timing.acquisition_instant, moments))
    start: datetime | None = min(starts, default=None) or timing.series_instant(item)
    reference, injected = facts.get("tref"), facts.get("injection")
    if start and reference and abs((start - reference).total_seconds()) > rules.clock_apart_s:
        start = None  # dates that were changed apart: not on one clock
    if start is not None and injected is None:
        half_life, aside = item.number["RadionuclideHalfLife"], Notes()
        half_life = half_life if positive(half_life) else rules.protocol_half_life_s
        try:
            injected = administration_instant(item, start, half_life, aside, rules)
        except SeriesRefused:
            return {"uptake_time_min": None, "uptake_time_acquisition_min": None}
        _copy_as_flags(aside, notes)
    acquired = None if start is None else (start - injected).total_seconds() / 60
    common = item.text["DecayCorrection"].upper() == "START"
    from_reference = reference is not None and (common or acquired is None)
    uptake = (reference - injected).total_seconds() / 60 if from_reference else acquired
    return {"uptake_time_min": uptake, "uptake_time_acquisition_min": acquired}
