"""Rules of the audit that need one series alone.

Every rule takes a row of the table of series and the plan's section ``privacy``, and yields findings. No
message tells a value, nor how far two dates lie apart: with a shifted date that would give the true one.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any, NamedTuple

from analysis.privacy.audit_codes import Finding
from analysis.privacy.values import clock, iso_date, moment, normalise

_PROFILE, _FULL_DATES, _SHIFTED_DATES, _CHARACTERISTICS = "113100", "113106", "113107", "113108"  # CID 7050
_PET = "PT"
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # secondary capture, also of several frames
_DATES = {"STUDYDATE": "Study Date", "SERIESDATE": "Series Date", "ACQDATE": "Acquisition Date"}
_SECONDS_OF_DAY = 86_400


class Days(NamedTuple):
    """Dates outside sequences: by name, and those of them that no tool has put in place of one."""

    told: dict[str, datetime.date]
    real: dict[str, datetime.date]


def day_of(text: str) -> datetime.date | None:
    """Return the date a DA or DT begins with, None where there is no full date."""
    both = moment(text)
    iso = both[0] if both else iso_date(text)
    return datetime.date.fromisoformat(iso) if iso else None


def days_of(row: Any, rules: Any) -> Days:
    """Return the dates of a series, by the name of their element."""
    told = {name: day_of(getattr(row, column)) for column, name in _DATES.items()}
    told["Acquisition DateTime"] = day_of(row.ACQDATETIME)
    told["Decay Correction DateTime"] = day_of(row.DECAYDATETIME)
    known = {name: day for name, day in told.items() if day is not None}
    years = set(rules.audit_placeholder_years)
    return Days(known, {name: day for name, day in known.items() if day.year not in years})


def scan_day(row: Any, rules: Any) -> datetime.date | None:
    """Return the day of a series: its acquisition, else series, else study date; None where none is real."""
    real = days_of(row, rules).real
    order = ("Acquisition Date", "Acquisition DateTime", "Series Date", "Study Date")
    return next((real[name] for name in order if name in real), None)


def number(text: str) -> float | None:
    """Return a decimal above zero, None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value > 0 else None


def missing(row: Any, rules: Any) -> Iterator[Finding]:
    """Yield what SUV and SUL need and a PET series lacks; only a note where the image holds SUV already."""
    if row.MODALITY != _PET:
        return
    ready = row.UNITS in rules.audit_uptake_units or number(row.SUVFACTOR) is not None
    note = "info" if ready else ""
    injections = [name for name, _ in row.PRIVATEMOMENTS if "injection" in _label(name, rules)]
    if number(row.WEIGHTKG) is None:
        yield Finding("DEID_WEIGHT_MISSING", severity=note)
    if not (row.INJTIME or row.INJDATETIME or injections):
        yield Finding("DEID_INJECTION_MISSING", severity=note)
    if not (row.SERIESTIME or row.ACQTIME or row.ACQDATETIME):
        yield Finding("DEID_CLOCK_MISSING", severity=note)
    if row.SEX not in ("F", "M"):
        yield Finding("DEID_SEX_MISSING")
    if number(row.SIZEM) is None:
        yield Finding("DEID_HEIGHT_MISSING")


def clocks(row: Any, rules: Any) -> Iterator[Finding]:
    """Yield times of day that contradict each other or stand in place of one."""
    if row.MODALITY != _PET:
        return
    both = moment(row.INJDATETIME)
    one, other = _seconds(both[1] if both else None), _seconds(clock(row.INJTIME))
    if one is not None and other is not None:
        apart = abs(one - other)
        if min(apart, _SECONDS_OF_DAY - apart) > rules.audit_clock_seconds:
            yield Finding("DEID_INJECTION_CLOCKS")
    if _seconds(clock(row.SERIESTIME)) == 0:
        yield Finding("DEID_SERIES_TIME_ZERO")


def dates(row: Any, rules: Any) -> Iterator[Finding]:
    """Yield dates that are missing, put in place of one, early, or days apart."""
    days = days_of(row, rules)
    if not days.told and row.MODALITY == _PET:
        yield Finding("DEID_DATES_MISSING")
    for name, day in days.told.items():
        if name not in days.real:
            yield Finding("DEID_DATE_PLACEHOLDER", name)
        elif day.year < rules.audit_epoch_year:
            yield Finding("DEID_DATE_EARLY", name)
    yield from _apart(row, days.real, rules)
    injected, scanned = day_of(row.INJDATETIME), scan_day(row, rules)
    if injected and scanned:
        before = (scanned - injected).days
        if before < 0 or before > rules.audit_days_apart:
            yield Finding("DEID_INJECTION_DATE", "after" if before < 0 else "days before")


def _apart(row: Any, real: dict[str, datetime.date], rules: Any) -> Iterator[Finding]:
    image = row.MODALITY in rules.audit_image_modalities
    # A region or a report is a series of a later day; a date of acquisition it repeats must be the image's.
    compared = real if image else {name: day for name, day in real.items() if name != "Series Date"}
    if not compared:
        return
    first, last = min(compared, key=compared.get), max(compared, key=compared.get)
    if (compared[last] - compared[first]).days > rules.audit_days_apart:
        yield Finding("DEID_DATES_DISAGREE", f"{first} and {last}", "" if image else "warning")


def leaks(row: Any, rules: Any) -> Iterator[Finding]:
    """Yield dates in private elements and sequences that those outside do not explain."""
    outside, years = scan_day(row, rules), set(rules.audit_placeholder_years)
    if row.MODALITY == _PET:
        for name, text in row.PRIVATEMOMENTS:
            day = day_of(text)
            if day is None or day.year in years:
                continue
            if outside is None or abs((day - outside).days) > rules.audit_days_apart:
                yield Finding("DEID_PRIVATE_DATE", f"{name.split(' ')[0]}) ({_label(name, rules)})")
    nested = [(path, day_of(text)) for path, text in row.NESTEDDATES]
    nested.append(
        ("RadiopharmaceuticalInformationSequence", day_of(row.INJDATETIME) if outside is None else None)
    )
    for path, day in nested:
        if day is None or day.year in years:
            continue
        if outside is None or row.LONGITUDINAL == "REMOVED":
            yield Finding("DEID_NESTED_DATE", path)
        elif row.LONGITUDINAL == "MODIFIED" and abs((day - outside).days) > rules.audit_nested_days:
            yield Finding("DEID_NESTED_DATE", path, "warning")


def statements(row: Any, rules: Any) -> Iterator[Finding]:
    """Yield what a file says, or fails to say, about its own de-identification."""
    codes = set(row.METHODCODES.split(";")) - {""}
    if row.REMOVED != "YES":
        yield Finding("DEID_IDENTITY_NOT_REMOVED" if row.REMOVED == "NO" else "DEID_REMOVAL_NOT_STATED")
    if not codes:
        yield Finding("DEID_METHOD_MISSING")
    elif _PROFILE not in codes:
        yield Finding("DEID_PROFILE_MISSING")
    if not row.LONGITUDINAL:
        yield Finding("DEID_LONGITUDINAL_MISSING")
    elif row.LONGITUDINAL == "UNMODIFIED":
        yield Finding("DEID_DATES_UNMODIFIED")
    yield from (Finding("DEID_METHOD_CONTRADICTED", what) for what in _contradictions(row, codes, rules))
    if row.BURNEDIN == "YES":
        yield Finding("DEID_BURNED_IN")
    elif row.SOPCLASS.startswith(_CAPTURE) and row.BURNEDIN != "NO":
        yield Finding("DEID_SCREEN_CAPTURE")
    if row.OPAQUE:
        yield Finding("DEID_PRIVATE_BINARY", str(row.OPAQUE))
    held = [name for name in row.MIXED.split(";") if name in _CONSTANT]
    yield from (Finding("DEID_SERIES_MIXED", _CONSTANT[name]) for name in held)


_CONSTANT = {
    "PATIENTID": "Patient ID",
    "SEX": "Patient's Sex",
    "SIZEM": "Patient's Size",
    "WEIGHTKG": "Patient's Weight",
    "STUDYDATE": "Study Date",
    "SERIESDATE": "Series Date",
    "INJTIME": "Radiopharmaceutical Start Time",
    "INJDATETIME": "Radiopharmaceutical Start DateTime",
}


def _contradictions(row: Any, codes: set[str], rules: Any) -> Iterator[str]:
    if _FULL_DATES in codes and _SHIFTED_DATES in codes:
        yield "full and modified dates are both said to be retained"
    elif _FULL_DATES in codes and row.LONGITUDINAL in ("MODIFIED", "REMOVED"):
        yield "full dates are said to be retained, and changed"
    elif _SHIFTED_DATES in codes and row.LONGITUDINAL in ("UNMODIFIED", "REMOVED"):
        yield "modified dates are said to be retained, and not to be modified"
    if row.LONGITUDINAL == "REMOVED" and days_of(row, rules).real:
        yield "dates are said to be removed, and are there"
    if _CHARACTERISTICS in codes and row.MODALITY == _PET and number(row.WEIGHTKG) is None:
        yield "patient characteristics are said to be retained, and the weight is not there"


def residue(row: Any, rules: Any) -> Iterator[Finding]:
    """Yield elements the basic profile empties and that are filled, at the root or in sequences."""
    codes, patient = set(row.METHODCODES.split(";")), _letters(row.PATIENTID)
    years = set(rules.audit_placeholder_years)
    found = {}
    for path, text in row.RESIDUE:
        day, keyword = day_of(text), path.rsplit(".", 1)[-1]
        empty = len(_letters(text)) < 2 or normalise(text.replace("^", " ")) in rules.identifier_placeholders
        same = keyword == "PatientName" and _letters(text) == patient
        kept = rules.audit_retained.get(keyword, "-") in codes
        if not (empty or same or kept or (day is not None and day.year in years)):
            severity = rules.audit_residue.get(path) or rules.audit_residue[keyword]
            found[path] = Finding("DEID_RESIDUE", path, severity)
    yield from found.values()


def _letters(text: str) -> str:
    return "".join(c for c in normalise(text) if c.isalnum())


def _label(name: str, rules: Any) -> str:
    return next((said for known, said in rules.audit_private_moments.items() if name.startswith(known)), "")


def _seconds(time: str | None) -> int | None:
    if time is None:
        return None
    hours, minutes, seconds = time.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds)


RULES = (missing, clocks, dates, leaks, statements, residue)
