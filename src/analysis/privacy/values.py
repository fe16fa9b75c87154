"""Identifying values: their kinds, when two of them are the same, and the ways a date may be written."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

KINDS = (
    *("NAME", "ID", "UID", "DATE", "DATETIME", "TIME", "ACCESSION", "INSTITUTION", "PERSON", "DEVICE"),
    *("FREETEXT", "SUBJECT", "REGION", "FILENAME"),
)
_NUMBERED = re.compile(r"[ _-]?\d{1,2}$|[ _-][a-z]$")
_CJK_STARTS = 0x2E80  # first code point of the East Asian scripts
UID = re.compile(r"(?<![\d.])[0-2](?:\.\d+){3,}(?![\d.]\d)")
_DAY = r"(?P<y>\d{4})-?(?P<m>0[1-9]|1[0-2])-?(?P<d>0[1-9]|[12]\d|3[01])"
_DATE = re.compile(rf"{_DAY}")
_DOTTED = re.compile(r"(?P<y>\d{4})[./](?P<m>\d{2})[./](?P<d>\d{2})")
_MOMENT = re.compile(
    rf"{_DAY}(?:[T ]?(?P<H>[01]\d|2[0-3]):?(?P<M>[0-5]\d)(?::?(?P<S>[0-5]\d|60))?)(?:[.,]\d*)?"
    r"(?:Z|[+-]\d\d:?\d\d)?"
)
_DAY_FIRST = re.compile(r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})(?:[ T].*)?")
_SLASHED = re.compile(r"(?P<a>\d{1,2})[/-](?P<b>\d{1,2})[/-](?P<y>\d{4})(?:[ T].*)?")
_MONTH_NAMED = re.compile(
    r"(?P<d>\d{1,2})[ .-]*(?P<m>[a-z]{3})[a-z]*[ .,-]*(?P<y>\d{4})(?:[ T].*)?", re.IGNORECASE
)
_CLOCK = re.compile(r"(?P<H>[01]\d|2[0-3]):?(?P<M>[0-5]\d)(?::?(?P<S>[0-5]\d|60))?(?:\.\d*)?")
_INSIDE = re.compile(r"(?<![\d.])(?:\d{4}-\d{2}-\d{2}|(?:19|20)\d{6}|\d{2}\.\d{2}\.(?:19|20)\d\d)(?!\d)")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_SHORT_MONTHS = [month[:3] for month in _MONTHS]


class Value(NamedTuple):
    """One identifying value: its kind, its text as found, and the form by which equal ones are known."""

    kind: str
    text: str
    normal: str


def normalise(text: str) -> str:
    """Return the form in which two texts are compared: NFKC, case-folded, white space collapsed.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        Empty where nothing but space and control characters is left.

    Examples
    --------
    >>> normalise("  Ｍüller  JÖRG ")
    'müller jörg'
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(c if c.isprintable() else " " for c in folded).split())


def iso_date(text: str) -> str | None:
    """Return a full date as ``YYYY-MM-DD``; None for anything else, partial and impossible dates included.

    Examples
    --------
    >>> iso_date("20150307"), iso_date("2015.03.07"), iso_date("2015-03"), iso_date("20150231")
    ('2015-03-07', '2015-03-07', None, None)
    """
    found = _DATE.fullmatch(text.strip()) or _DOTTED.fullmatch(text.strip())
    return _day_of(found) if found else None


def moment(text: str) -> tuple[str, str] | None:
    """Return date and time of day of a date with a time; None for anything else.

    Examples
    --------
    >>> moment("20150307082212.00+0100"), moment("2015-03-07T08:22")
    (('2015-03-07', '08:22:12'), ('2015-03-07', '08:22:00'))
    """
    found = _MOMENT.fullmatch(text.strip())
    day = _day_of(found) if found else None
    return (day, _time_of(found)) if found and day else None


def clock(text: str) -> str | None:
    """Return a time of day as ``HH:MM:SS``; None for anything else.

    Examples
    --------
    >>> clock("082212.000"), clock("0822"), clock("99")
    ('08:22:12', '08:22:00', None)
    """
    found = _CLOCK.fullmatch(text.strip())
    return _time_of(found) if found else None


def written_days(text: str) -> list[str]:
    """List the days a date of any spelling may mean, as ``YYYY-MM-DD``: two where day and month may swap.

    Examples
    --------
    >>> written_days("07.03.1955"), written_days("7 Mar 1955"), written_days("03/07/1955")
    (['1955-03-07'], ['1955-03-07'], ['1955-07-03', '1955-03-07'])
    """
    text = text.strip()
    day = iso_date(text)
    if day:
        return [day]
    if found := _DAY_FIRST.fullmatch(text):
        days = [_day(found["y"], found["m"], found["d"])]
    elif found := _SLASHED.fullmatch(text):
        days = [_day(found["y"], found["b"], found["a"]), _day(found["y"], found["a"], found["b"])]
    elif (found := _MONTH_NAMED.fullmatch(text)) and found["m"].casefold() in _SHORT_MONTHS:
        days = [_day(found["y"], _SHORT_MONTHS.index(found["m"].casefold()) + 1, found["d"])]
    else:
        return []
    return list(dict.fromkeys(day for day in days if day))


def _day_of(found: re.Match) -> str | None:
    return _day(found["y"], found["m"], found["d"])


def _day(year: str, month: str | int, day: str) -> str | None:
    try:
        return datetime.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


def _time_of(found: re.Match) -> str:
    return f"{found['H']}:{found['M']}:{found['S'] or '00'}"


def values_of(kind: str, text: str) -> list[Value]:
    """List the identifying values one text of a kind holds.

    A name gives the whole and its components; a date with a time gives its date, too; any other text gives
    itself and the dates and UIDs inside it.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    text : str
        Text as decoded; names in DICOM form (``family^given=ideographic``) or any other.

    Returns
    -------
    list of Value
        Empty for text without content.

    Examples
    --------
    >>> [value.text for value in values_of("NAME", "Doe^Jane^^Dr")]
    ['Doe Jane Dr', 'Doe', 'Jane', 'Dr']
    """
    text = text.strip(" \0\t\r\n")
    if kind in ("NAME", "PERSON"):
        return _names(kind, text)
    if kind == "DATE":
        day = iso_date(text)
        return [Value("DATE", day, day)] if day else values_of("DATETIME", text)
    if kind == "DATETIME":
        both = moment(text)
        day = iso_date(text) if both is None else both[0]
        if day is None and (days := written_days(text)):
            return [Value("DATE", day, day) for day in days]
        if day is None:  # part of a date, or words
            return _plain("FREETEXT", text) if any(c.isalpha() for c in text) else []
        days = [Value("DATE", day, day)]
        return days if both is None else [Value(kind, "T".join(both), "t".join(both)), *days]
    if kind == "TIME":
        hours = clock(text)
        return [Value(kind, hours, hours)] if hours else []
    if kind == "UID":
        return _plain(kind, text) if text.count(".") > 1 else []
    return _plain(kind, text) + _inside(text)


def _plain(kind: str, text: str) -> list[Value]:
    normal = normalise(text)
    return [Value(kind, text, normal)] if normal else []


def _names(kind: str, text: str) -> list[Value]:
    found = []
    for group in text.split("="):
        components = [part for part in re.split(r"[\^\s,;]+", group) if part.strip(".")]
        if len(components) > 1:
            found += _plain(kind, " ".join(components))
        found += [value for part in components for value in _plain(kind, part)]
    return list(dict.fromkeys(found))


def _inside(text: str) -> list[Value]:
    days = [day for match in _INSIDE.findall(text) for day in written_days(match)]
    uids = UID.findall(text) if text.count(".") > 2 else []
    return [Value("DATE", day, day) for day in days] + [Value("UID", uid, uid) for uid in uids]


def is_searchable(value: Value, rules: Mapping[str, Any]) -> bool:
    """Tell whether finding a value in an output says something.

    Parameters
    ----------
    value : Value
        Identifying value.
    rules : mapping
        Plan section ``privacy``.

    Returns
    -------
    bool
        False for short words and numbers, and for what de-identification puts in place of a value.
    """
    if value.kind in ("UID", "DATE", "DATETIME"):
        return True
    if value.normal in rules["identifier_placeholders"]:
        return False
    if (
        value.kind in ("NAME", "PERSON")
        and _NUMBERED.sub("", value.normal) in rules["identifier_placeholders"]
    ):
        return False  # reader 1, reader b
    if value.kind == "REGION" and is_plain_region(value.normal, rules):
        return False
    letters = [c for c in value.normal if c.isalnum()]
    if all(c.isdigit() for c in letters):
        return len(letters) >= rules["identifier_min_digits"]
    if any(ord(c) >= _CJK_STARTS for c in letters):
        return len(letters) >= rules["identifier_min_chars_east_asian"]
    return len(letters) >= rules["identifier_min_chars"]


def is_plain_region(name: str, rules: Mapping[str, Any]) -> bool:
    """Tell whether the name of a region is one that holds no identity: ``L3``, ``Lesion 2``, ``Liver``.

    Parameters
    ----------
    name : str
        Name of a region, in any case.
    rules : mapping
        Plan section ``privacy`` (`identifier_plain_regions`).
    """
    return re.fullmatch(rules["identifier_plain_regions"], name.casefold()) is not None


def spellings(kind: str, normal: str) -> Iterable[str]:
    """List the ways a value may be written in an output, all case-folded.

    Parameters
    ----------
    kind, normal : str
        Kind and normal form of a value.

    Returns
    -------
    iterable of str
        The normal form first. A date in eleven forms, a date with a time in three; of names also the order
        ``last, first``.

    Examples
    --------
    >>> list(spellings("DATE", "2015-03-07"))[:4]
    ['2015-03-07', '20150307', '07.03.2015', '07/03/2015']
    """
    if kind == "DATE":
        year, month, day = normal.split("-")
        name, plain = _MONTHS[int(month) - 1], str(int(day))
        short = [f"{day}.{month}.{year}", f"{day}/{month}/{year}", f"{month}/{day}/{year}"]
        short += [f"{year}/{month}/{day}", f"{day}-{month}-{year}"]
        words = [
            spelt
            for word in dict.fromkeys((name, name[:3]))
            for spelt in (f"{plain} {word} {year}", f"{word} {plain}, {year}")
        ]
        return [
            normal,
            f"{year}{month}{day}",
            *short,
            *words,
            f"{day}-{name[:3]}-{year}",
            day + name[:3] + year,
        ]
    if kind == "DATETIME":
        return [normal, normal.replace("t", " "), re.sub(r"[-:t]", "", normal)]
    if kind == "TIME":
        return [normal, normal.replace(":", "")]
    if kind in ("NAME", "PERSON") and " " in normal:
        first, *rest = normal.split(" ")
        return [normal, f"{first}, {' '.join(rest)}", f"{' '.join(rest)} {first}", normal.replace(" ", "^")]
    return [normal]
