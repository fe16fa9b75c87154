"""When: the instant an image is decay-corrected to.

Rules of IBSI-SUV 3 as pet.md 1.4 states them. Instants are naive local times; a UTC offset is used
only where both sides can be brought to one clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from analysis.pet.clock import average_count_time_s, combine, moved, parse_datetime, parse_offset
from analysis.pet.codes import Notes, SeriesRefused
from analysis.pet.header import PetSlice, positive


@dataclass(frozen=True)
class Reference:
    """The instant each slice is decay-corrected to, the rule that gave it, and every candidate.

    Attributes
    ----------
    instants : list of datetime
        One a slice.
    rule : str
        Rules used, joined by ``+`` where slices differ.
    candidates : dict
        Name of a candidate -> its instants, one a slice.
    offset : timedelta or None
        Offset from UTC the instants carry themselves (vendor date-times only).
    """

    instants: list[datetime]
    rule: str
    candidates: dict[str, list[datetime]] = field(default_factory=dict)
    offset: timedelta | None = None

    @property
    def first(self) -> datetime:
        """The earliest instant."""
        return min(self.instants)

    def spread_s(self) -> float:
        """Compute how far the slices' instants lie apart, in s."""
        return (max(self.instants) - self.first).total_seconds()

    def offsets_s(self) -> dict[str, tuple[float, float]]:
        """Compute the range of every candidate after the earliest instant in use, in s."""
        return {
            name: tuple((extreme - self.first).total_seconds() for extreme in (min(instants), max(instants)))
            for name, instants in self.candidates.items()
        }

    def disagreement_s(self) -> float:
        """Compute how far any candidate lies from the instant in use, in s; the largest over all slices."""
        away = timedelta(0)
        for instants in self.candidates.values():
            if instants is not self.instants:
                differences = [one - used for one, used in zip(instants, self.instants, strict=True)]
                away = max(away, max(differences), -min(differences))
        return away.total_seconds()


def series_instant(item: PetSlice) -> datetime | None:
    """Return Series Date and Time of a slice, None if unreadable.

    Parameters
    ----------
    item : PetSlice
        One slice.

    Returns
    -------
    datetime.datetime or None
        The time base of the series.
    """
    return combine(item.text["SeriesDate"], item.text["SeriesTime"])


def acquisition_instant(item: PetSlice) -> datetime | None:
    """Return Acquisition Date and Time of a slice, None if unreadable.

    Parameters
    ----------
    item : PetSlice
        One slice.

    Returns
    -------
    datetime.datetime or None
        Start of the slice's acquisition.
    """
    return combine(item.text["AcquisitionDate"], item.text["AcquisitionTime"])


def distinct_moments(slices: Sequence[PetSlice]) -> tuple[list[PetSlice], np.ndarray]:
    """Find the slices that differ in what the time rules look at: one a bed position, not one a plane.

    Parameters
    ----------
    slices : sequence of PetSlice
        The series.

    Returns
    -------
    (list of PetSlice, ndarray of int, shape (slices,))
        One slice of each kind, and of every slice its kind.
    """
    kinds: dict[tuple, int] = {}
    examples, index = [], []
    for item in slices:
        text, number, private = item.text, item.number, item.private
        key = (
            text["SeriesDate"], text["SeriesTime"], text["AcquisitionDate"], text["AcquisitionTime"],
            text["DecayCorrectionDateTime"], text["FrameReferenceDateTime"], text["FrameAcquisitionDateTime"],
            number["FrameReferenceTime"], number["ActualFrameDuration"], number["DecayFactor"],
            private.get("siemens_decay"), private.get("ge_scan"), item.without_creator,
        )  # fmt: skip
        kind = kinds.setdefault(key, len(kinds))
        if kind == len(examples):
            examples.append(item)
        index.append(kind)
    return examples, np.array(index)


def reference_stated(slices: Sequence[PetSlice], notes: Notes) -> Reference:
    """Read the instant an Enhanced PET image is corrected to: Decay Correction DateTime.

    Parameters
    ----------
    slices : sequence of PetSlice
        The frames.
    notes : Notes
        Receives ``TREF_OFFSET_ASSUMED_LOCAL``.

    Returns
    -------
    Reference
        The instant, one a frame, and the starts of series and acquisition it may be held against.

    Raises
    ------
    SeriesRefused
        ``TREF_NOT_DERIVABLE`` without it.
    """
    parsed = [parse_datetime(item.text["DecayCorrectionDateTime"]) for item in slices]
    if not all(instant for instant, _ in parsed):
        raise SeriesRefused(
            "TREF_NOT_DERIVABLE",
            "Decay Corrected (0018,9758) is 'YES': Decay Correction DateTime (0018,9701) expected, with date "
            "and time of day, found none that can be read",
        )
    instants, offset = _on_series_clock(parsed, slices[0])
    _flag_offset(offset, slices[0], notes)
    rule = "DECAY_CORRECTION_DATETIME"
    return Reference(instants, rule, {rule: instants} | _clock_candidates(slices), offset)


def reference_not_corrected(
    slices: Sequence[PetSlice], vendor: str, half_life_s: float, notes: Notes
) -> Reference:
    """Find the instant each slice of a series without decay correction stands for.

    Of a classic slice it is start + T_ave; a frame of an enhanced image states it (Frame Reference DateTime),
    or has its start and duration.

    Parameters
    ----------
    slices : sequence of PetSlice
        The series.
    vendor : {"SIEMENS", "GE", "PHILIPS", "OTHER"}
        Tells what Frame Reference Time counts to.
    half_life_s : float
        Half-life in s.
    notes : Notes
        Receives ``TREF_OFFSET_ASSUMED_LOCAL``.

    Returns
    -------
    Reference
        Its instants differ from slice to slice; the other candidate is Series Time + Frame Reference Time.

    Raises
    ------
    SeriesRefused
        ``TREF_NOT_DERIVABLE`` without acquisition time or frame duration.
    """
    parsed = [_frame_instant(item, half_life_s) for item in slices]
    if not all(instant for instant, _ in parsed):
        raise SeriesRefused(
            "TREF_NOT_DERIVABLE",
            "the image is not decay-corrected: every slice needs Acquisition Date and Time (0008,0022/0032) "
            "and Actual Frame Duration (0018,1242) > 0; every frame of an enhanced image Frame Reference "
            "DateTime (0018,9151), or Frame Acquisition DateTime (0018,9074) and Duration (0018,9220)",
        )
    stated = {bool(item.text["FrameReferenceDateTime"]) for item in slices}
    instants, offset = _on_series_clock(parsed, slices[0])
    _flag_offset(offset, slices[0], notes)
    rules = ["FRAME_REFERENCE_DATETIME"] * (True in stated) + ["ACQUISITION_MEAN"] * (False in stated)
    rule = "+".join(rules)
    candidates = {rule: instants}
    from_series = [_from_series(item, vendor, half_life_s) for item in slices]
    if all(from_series):
        candidates["SERIES_TIME_AND_FRAME"] = from_series
    return Reference(instants, rule, candidates, offset)


def reference_start(slices: Sequence[PetSlice], vendor: str, half_life_s: float, notes: Notes) -> Reference:
    """Find the instant a series with Decay Correction START is corrected to, slice by slice.

    The chain of IBSI-SUV: vendor date-time on every slice; else Series Time where it equals the slice's own
    Acquisition Time to the second; else computed back from the Frame Reference Time (GE without T_ave).
    Testing the second step on the first slice alone would raise later beds by 0.63 % a minute.

    Parameters
    ----------
    slices : sequence of PetSlice
        The series.
    vendor : {"SIEMENS", "GE", "PHILIPS", "OTHER"}
        Chooses the formula of the third step.
    half_life_s : float
        Half-life in s.
    notes : Notes
        Receives ``TREF_BACK_COMPUTED`` and ``PRIVATE_CREATOR_MISSING``.

    Returns
    -------
    Reference
        The instants, and all candidates.

    Raises
    ------
    SeriesRefused
        ``TREF_NOT_DERIVABLE`` when no step applies.
    """
    candidates, offset = _candidates(slices, vendor, half_life_s)
    _flag_offset(offset, slices[0], notes)
    for name in ("PRIVATE_SIEMENS", "PRIVATE_GE"):
        if name in candidates:
            if any(name.split("_")[1].lower() in key for item in slices for key in item.without_creator):
                notes.adapt(
                    "PRIVATE_CREATOR_MISSING", "a vendor's date-time stands without its private creator"
                )
            return Reference(candidates[name], name, candidates, offset)
    back = candidates.get("BACK_COMPUTED")
    instants, rules = [], []
    for index, item in enumerate(slices):
        series, own = series_instant(item), acquisition_instant(item)
        same = bool(series and own) and series.replace(microsecond=0) == own.replace(microsecond=0)
        if not same and back is None:
            raise SeriesRefused(
                "TREF_NOT_DERIVABLE",
                "Decay Correction (0054,1102) is 'START' but Series Time differs from Acquisition Time and "
                "Frame Reference Time (0054,1300) or Actual Frame Duration (0018,1242) are missing: "
                "the instant of the decay correction is unknown",
            )
        instants.append(series if same else back[index])
        rules.append("SERIES_TIME" if same else "BACK_COMPUTED")
    if "BACK_COMPUTED" in rules:
        notes.adapt("TREF_BACK_COMPUTED", "the decay reference was computed back from Frame Reference Time")
    return Reference(instants, "+".join(dict.fromkeys(rules)), candidates)


def _candidates(slices, vendor, half_life_s):
    found, offset = {}, None
    for name, key in (("PRIVATE_SIEMENS", "siemens_decay"), ("PRIVATE_GE", "ge_scan")):
        parsed = [parse_datetime(item.private.get(key, "")) for item in slices]
        if not all(instant for instant, _ in parsed):
            continue
        found[name], offset = _on_series_clock(parsed, slices[0])
    found |= _clock_candidates(slices)
    back = [_back_computed(item, vendor, half_life_s) for item in slices]
    if all(back):
        found["BACK_COMPUTED"] = back
    return found, offset


def _clock_candidates(slices) -> dict[str, list[datetime]]:
    """Return the starts of series and acquisition, where every slice has them."""
    found = {}
    series = [series_instant(item) for item in slices]
    if all(series):
        found["SERIES_TIME"] = series
    own = [acquisition_instant(item) for item in slices]
    if all(own):
        found["EARLIEST_ACQUISITION"] = [min(own)] * len(own)
    return found


def _on_series_clock(parsed, item: PetSlice) -> tuple[list[datetime], timedelta | None]:
    """Bring date-times to the clock of the series; return its offset from UTC where one is stated."""
    local = parse_offset(item.text["TimezoneOffsetFromUTC"])
    clock = next((own for _, own in parsed if own is not None), None) if local is None else local
    shifts = [0.0 if own is None else ((clock or timedelta(0)) - own).total_seconds() for _, own in parsed]
    instants = [moved(instant, shift) for (instant, _), shift in zip(parsed, shifts, strict=True)]
    if not all(instants):
        raise SeriesRefused(
            "TREF_NOT_DERIVABLE", "a date-time of the decay correction lies at the end of the calendar; "
            "ask the site and send the series with a correct header"
        )  # fmt: skip
    return instants, clock


def _flag_offset(offset: timedelta | None, item: PetSlice, notes: Notes) -> None:
    if offset is not None and parse_offset(item.text["TimezoneOffsetFromUTC"]) is None:
        notes.flag("TREF_OFFSET_ASSUMED_LOCAL")


def _frame_instant(item: PetSlice, half_life_s: float) -> tuple[datetime | None, timedelta | None]:
    """Return the instant an uncorrected slice stands for, and the offset from UTC it carries."""
    if item.text["FrameReferenceDateTime"]:
        return parse_datetime(item.text["FrameReferenceDateTime"])
    start, offset = parse_datetime(item.text["FrameAcquisitionDateTime"])
    start, duration_ms = start or acquisition_instant(item), item.number["ActualFrameDuration"]
    if start is None or not positive(duration_ms):
        return None, None
    return moved(start, average_count_time_s(duration_ms / 1000, half_life_s)), offset


def _mean_instant(item: PetSlice, half_life_s: float) -> datetime | None:
    own, duration_ms = acquisition_instant(item), item.number["ActualFrameDuration"]
    if own is None or not positive(duration_ms):
        return None
    return moved(own, average_count_time_s(duration_ms / 1000, half_life_s))


def _back_computed(item: PetSlice, vendor: str, half_life_s: float) -> datetime | None:
    start = acquisition_instant(item) if vendor == "GE" else _mean_instant(item, half_life_s)
    shift_ms = item.number["FrameReferenceTime"]
    if start is None or shift_ms is None or not 0 <= shift_ms < math.inf:
        return None
    return moved(start, -shift_ms / 1000)


def _from_series(item: PetSlice, vendor: str, half_life_s: float) -> datetime | None:
    """Return Series Time + Frame Reference Time: the instant the frame's mean was measured at.

    GE counts Frame Reference Time to the frame's start (as `_back_computed`).
    """
    series, shift_ms = series_instant(item), item.number["FrameReferenceTime"]
    duration_ms = item.number["ActualFrameDuration"]
    if series is None or shift_ms is None or not 0 <= shift_ms < math.inf or not positive(duration_ms):
        return None
    mean_s = average_count_time_s(duration_ms / 1000, half_life_s) if vendor == "GE" else 0.0
    return moved(series, shift_ms / 1000 + mean_s)
