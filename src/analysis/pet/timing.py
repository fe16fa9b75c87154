"""When: the instant an image is decay-corrected to, and the injection.

Rules of IBSI-SUV 3 as pet.md 1.4 and 1.5 state them. Instants are naive local times; a UTC offset is used
only where both sides can be brought to one clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from analysis.pet.clock import average_count_time_s, combine, parse_datetime, parse_offset, parse_time
from analysis.pet.codes import Notes, SeriesRefused
from analysis.pet.header import PetSlice, positive

_DAY = timedelta(days=1)


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

    def disagreement_s(self) -> float:
        """Compute how far any candidate lies from the instant in use, in s; the largest over all slices."""
        away = [
            abs((instant - used).total_seconds())
            for instants in self.candidates.values()
            for instant, used in zip(instants, self.instants, strict=True)
        ]
        return max(away, default=0.0)


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


def reference_not_corrected(slices: Sequence[PetSlice], half_life_s: float) -> Reference:
    """Find the instant each slice of a series without decay correction stands for: start + T_ave.

    Parameters
    ----------
    slices : sequence of PetSlice
        The series.
    half_life_s : float
        Half-life in s.

    Returns
    -------
    Reference
        Its instants differ from slice to slice.

    Raises
    ------
    SeriesRefused
        ``TREF_NOT_DERIVABLE`` without acquisition time or frame duration.
    """
    instants = [_mean_instant(item, half_life_s) for item in slices]
    if None in instants:
        raise SeriesRefused(
            "TREF_NOT_DERIVABLE",
            "Decay Correction (0054,1102) is 'NONE': every slice needs Acquisition Date and Time "
            "(0008,0022/0032) "
            "and Actual Frame Duration (0018,1242) > 0",
        )
    return Reference(instants, "ACQUISITION_MEAN")


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
    if offset is not None and parse_offset(slices[0].text["TimezoneOffsetFromUTC"]) is None:
        notes.flag("TREF_OFFSET_ASSUMED_LOCAL")
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
    local = parse_offset(slices[0].text["TimezoneOffsetFromUTC"])
    for name, key in (("PRIVATE_SIEMENS", "siemens_decay"), ("PRIVATE_GE", "ge_scan")):
        parsed = [parse_datetime(item.private.get(key, "")) for item in slices]
        if not all(instant for instant, _ in parsed):
            continue
        own = parsed[0][1]
        shift = local - own if local is not None and own is not None else timedelta(0)
        found[name] = [instant + shift for instant, _ in parsed]
        offset = own if local is None else local
    series = [series_instant(item) for item in slices]
    if all(series):
        found["SERIES_TIME"] = series
    own = [acquisition_instant(item) for item in slices]
    if all(own):
        found["EARLIEST_ACQUISITION"] = [min(own)] * len(own)
    back = [_back_computed(item, vendor, half_life_s) for item in slices]
    if all(back):
        found["BACK_COMPUTED"] = back
    return found, offset


def _mean_instant(item: PetSlice, half_life_s: float) -> datetime | None:
    own, duration_ms = acquisition_instant(item), item.number["ActualFrameDuration"]
    if own is None or not positive(duration_ms):
        return None
    return own + timedelta(seconds=average_count_time_s(duration_ms / 1000, half_life_s))


def _back_computed(item: PetSlice, vendor: str, half_life_s: float) -> datetime | None:
    start = acquisition_instant(item) if vendor == "GE" else _mean_instant(item, half_life_s)
    shift_ms = item.number["FrameReferenceTime"]
    if start is None or shift_ms is None or not 0 <= shift_ms < math.inf:
        return None
    return start - timedelta(milliseconds=shift_ms)


def administration_instant(
    item: PetSlice,
    reference: datetime,
    half_life_s: float,
    notes: Notes,
    rules,
    offset: timedelta | None = None,
) -> datetime:
    """Find the instant of injection by the rules of IBSI-SUV.

    Parameters
    ----------
    item : PetSlice
        Any slice of the series.
    reference : datetime
        Earliest instant the image is decay-corrected to.
    half_life_s : float
        Half-life in s.
    notes : Notes
        Receives the adaptations ``ADMIN_*``.
    rules : plan section
        Section ``pet`` of the plan.
    offset : timedelta, optional
        Offset from UTC that `reference` itself carries.

    Returns
    -------
    datetime.datetime
        On the clock of `reference`.

    Raises
    ------
    SeriesRefused
        ``ADMIN_TIME_MISSING``, ``ADMIN_DATE_UNKNOWN`` (long-lived nuclide), ``ADMIN_TIME_CONFLICT``,
        ``ADMIN_UTC_OFFSET``.
    """
    stored = _stored_injection(item, offset, notes)
    clock = parse_time(item.text["RadiopharmaceuticalStartTime"])
    conflict = bool(stored and clock) and _clock_difference_s(stored.time(), clock) > rules.admin_conflict_s
    if conflict:
        notes.flag("ADMIN_TIME_CONFLICT")
    if stored is None and clock is None:
        raise SeriesRefused(
            "ADMIN_TIME_MISSING",
            "neither injection date-time (0018,1078) nor injection time (0018,1072) can be read",
        )
    if stored is not None and _in_window(reference - stored, half_life_s, rules):
        return stored
    if conflict:
        raise SeriesRefused(
            "ADMIN_TIME_CONFLICT",
            "injection date-time (0018,1078) is out of range and disagrees with injection time (0018,1072) "
            "by "
            f"{_clock_difference_s(stored.time(), clock):.0f} s; correct the header",
        )
    if half_life_s >= rules.half_life_long_s:
        raise SeriesRefused(
            "ADMIN_DATE_UNKNOWN",
            f"half-life {half_life_s:g} s: the date of injection cannot be rebuilt from the time of day "
            f"alone",
        )
    if stored is not None:
        notes.adapt(
            "ADMIN_DATE_RECONSTRUCTED",
            "the stored injection date was out of range and rebuilt from the scan's",
        )
    else:
        notes.adapt("ADMIN_DATE_INFERRED", "the injection has no date (0018,1078): the scan's was taken")
    return _on_scan_day(stored.time() if stored is not None else clock, reference, notes, rules)


def _on_scan_day(clock: time, reference: datetime, notes: Notes, rules) -> datetime:
    instant = datetime.combine(reference.date(), clock)
    if (reference - instant).total_seconds() >= -rules.admin_before_s:
        return instant
    notes.adapt("ADMIN_PREVIOUS_DAY", "the injection was placed on the day before the scan")
    return instant - _DAY


def _stored_injection(item: PetSlice, offset: timedelta | None, notes: Notes) -> datetime | None:
    instant, own_offset = parse_datetime(item.text["RadiopharmaceuticalStartDateTime"])
    if instant is None and parse_time(item.text["RadiopharmaceuticalStartTime"]) is None:
        instant, own_offset = parse_datetime(item.private.get("ge_admin", ""))
        if instant is not None:
            notes.adapt(
                "ADMIN_TIME_FROM_PRIVATE", "the injection was read from GE's private element (0009,xx3B)"
            )
    if instant is None or own_offset is None:
        return instant
    local = parse_offset(item.text["TimezoneOffsetFromUTC"])
    local = offset if local is None else local
    if local is None:
        raise SeriesRefused(
            "ADMIN_UTC_OFFSET",
            "the injection carries an offset from UTC but the series has none (0008,0201): the clocks "
            "cannot be joined",
        )
    return instant - own_offset + local


def _in_window(elapsed: timedelta, half_life_s: float, rules) -> bool:
    return -rules.admin_before_s <= elapsed.total_seconds() < rules.admin_half_lives * half_life_s


def _clock_difference_s(one: time, other: time) -> float:
    day = date(2000, 1, 1)
    away = abs((datetime.combine(day, one) - datetime.combine(day, other)).total_seconds())
    return min(away, 86400 - away)
