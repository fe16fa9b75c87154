"""When: the injection.

Rules of IBSI-SUV 3 as pet.md 1.5 states them. Instants are naive local times; a UTC offset is used only where
both sides can be brought to one clock.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from analysis.pet.clock import moved, parse_datetime, parse_offset, parse_time
from analysis.pet.codes import Notes, SeriesRefused
from analysis.pet.gates import is_enhanced
from analysis.pet.header import PetSlice

_DAY_S = 86400.0


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
    # Enhanced PET has no time of day alone: there the date-time is required.
    clock = None if is_enhanced(item) else parse_time(item.text["RadiopharmaceuticalStartTime"])
    conflict = bool(stored and clock) and _clock_difference_s(stored.time(), clock) > rules.admin_conflict_s
    if conflict:
        notes.flag("ADMIN_TIME_CONFLICT")
    instant = _injection(item, stored, clock, conflict, reference, half_life_s, notes, rules)
    private, _ = parse_datetime(item.private.get("ge_admin", ""))
    if private and _clock_difference_s(private.time(), instant.time()) > rules.admin_conflict_s:
        notes.flag("ADMIN_PRIVATE_DISAGREES")
    return instant


def _injection(item, stored, clock, conflict, reference, half_life_s, notes, rules) -> datetime:
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
            f"by {_clock_difference_s(stored.time(), clock):.0f} s; correct the header",
        )
    if half_life_s >= rules.half_life_long_s:
        raise SeriesRefused(
            "ADMIN_DATE_UNKNOWN",
            f"half-life {half_life_s:g} s: the date of injection cannot be rebuilt from its time of day",
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
    return _known(moved(instant, -_DAY_S))


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
    return _known(moved(instant, (local - own_offset).total_seconds()))


def _known(instant: datetime | None) -> datetime:
    if instant is None:
        raise SeriesRefused(
            "ADMIN_DATE_UNKNOWN",
            "the injection lies at the end of the calendar; ask the site and send the series with a correct "
            "header",
        )
    return instant


def _in_window(elapsed: timedelta, half_life_s: float, rules) -> bool:
    return -rules.admin_before_s <= elapsed.total_seconds() < rules.admin_half_lives * half_life_s


def _clock_difference_s(one: time, other: time) -> float:
    day = date(2000, 1, 1)
    away = abs((datetime.combine(day, one) - datetime.combine(day, other)).total_seconds())
    return min(away, _DAY_S - away)
