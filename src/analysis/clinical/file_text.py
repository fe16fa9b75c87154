"""Values of any file format as the text that a CSV would hold, so that the format of a file changes nothing.

Numbers 21.0 and 21 are the same text; dates and times are ISO 8601; a boolean is Y or N (the SDTM codelist
NY); blanks around a value are no part of it, and nothing but blanks is missing. Each different value is
converted once and its text is shared by all records that hold it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DIGITS = 15  # what a double, the number of SAS and XPT, holds whatever the value
_LARGEST = 1e74  # a transport file (numbers of IBM mainframes, SAS note TS-140) holds little more
_EPOCH = datetime(1960, 1, 1)  # of SAS: dates are days, datetimes seconds since then
# SAS formats, followed by their width -> what the number means
_FORMATS = {
    "date": r"(E|B|IS)8601DA|DATE|DAY|JULIAN|(DDMMYY|MMDDYY|YYMMDD)[BCDNPS]?|MMYY|MONYY|YYMM|YYMON"
    r"|(WEEK|WORD)DAT[EX]|MINGUO|NENGO|EURDF(DD|DE|WDX)",
    "datetime": r"(E|B|IS)8601D[TZN]|DATETIME|DATEAMPM|DTDATE|DTMONYY|DTWKDATX|DTYEAR|MDYAMPM|EURDFDT",
    "time": r"(E|B|IS)8601T[MZ]|TIME(AMPM)?|TOD|HHMM|HOUR|MMSS",
}


class FileBroken(ValueError):
    """A file from which no table can be read; the message names the file, never its folder.

    `code` is UNREADABLE, ENCODING or NOT_DATASET_JSON.
    """

    def __init__(self, message: str, code: str = "UNREADABLE"):
        self.code = code
        super().__init__(message)

    def __reduce__(self):
        return type(self), (str(self), self.code)


def kind_of_format(name: str | None) -> str | None:
    """Tell whether numbers under a SAS format are dates, datetimes or times.

    Parameters
    ----------
    name : str or None
        A format with or without width: ``DATE9.``, ``E8601DT19``, ``BEST12.``.

    Returns
    -------
    str or None
        ``date``, ``datetime``, ``time``, or None for a plain number.
    """
    text = (name or "").strip().upper()
    matching = (kind for kind, names in _FORMATS.items() if re.fullmatch(rf"({names})\d*(\.\d*)?", text))
    return next(matching, None)


def column_text(values, name: str = "", kind: str | None = None) -> np.ndarray:
    """Turn one column into text.

    Parameters
    ----------
    values : Array, ChunkedArray, Series or list
        Of any type that a table can hold.
    name : str
        The column, for the error.
    kind : {None, "date", "datetime", "time"}
        What numbers stand for (`kind_of_format`), counted as SAS does from 1960-01-01.

    Returns
    -------
    ndarray of object
        str, and None where missing.

    Raises
    ------
    FileBroken
        For values that are no text, number or date (lists, structures), or bytes that are not UTF-8.
    """
    try:
        codes, different = _factorize(values)
        words = np.array([*words_of(different, kind), None], dtype=object)
    except TypeError as error:
        raise FileBroken(f"holds {error} in {name or 'a column'}; export it as text") from error
    return words[codes]  # a missing value has code -1: the last word


def _factorize(values) -> tuple[np.ndarray, list]:
    """Return, for each value, the number of the different value it is (-1: missing), and these."""
    if isinstance(values, pd.Series):
        codes, different = pd.factorize(values)
        return codes, different.tolist()
    try:
        array = (
            values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values, from_pandas=True)
        )
        return _factorize_arrow(array)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OverflowError):
        return _factorize_mixed(values)


def _factorize_arrow(array) -> tuple[np.ndarray, list]:
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    if isinstance(array, pa.ChunkedArray):
        array = array.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # no chunk at all, or one, depending on the version of pyarrow
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    different = array.dictionary
    short = pa.types.is_float16(different.type) or pa.types.is_float32(different.type)
    # a float of Python would show the digits that a short one does not have: 0.1 as 0.100000001490116
    values = list(different.to_numpy(zero_copy_only=False)) if short else different.to_pylist()
    return codes.astype(np.int64, copy=False), values


def _factorize_mixed(values) -> tuple[np.ndarray, list]:
    """As `_factorize`, value by value: for columns of numbers and words, which JSON allows."""
    values = values.to_pylist() if isinstance(values, (pa.Array, pa.ChunkedArray)) else values
    numbers: dict = {}
    codes = np.empty(len(values), dtype=np.int64)
    for place, value in enumerate(values):
        if isinstance(value, (list, dict)):
            raise TypeError(f"{type(value).__name__} values")
        key = (type(value), value)  # 1, 1.0 and True are equal, but not the same text
        codes[place] = -1 if value is None else numbers.setdefault(key, len(numbers))
    return codes, [value for _, value in numbers]


def words_of(values: Iterable, kind: str | None = None) -> list[str | None]:
    """Turn different values of one column into text; see `column_text`."""
    values = [_from_sas(value, kind) for value in values] if kind else list(values)
    moments = [value for value in values if isinstance(value, datetime) and not pd.isna(value)]
    # a column of midnights is a column of dates: this is how pandas and many databases keep them
    only_days = all((m.hour, m.minute, m.second, m.microsecond) == (0, 0, 0, 0) for m in moments)
    return [_word(value, only_days) for value in values]


def _word(value, only_days: bool) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, (bool, np.bool_)):
        return "Y" if value else "N"
    if isinstance(value, (list, dict, tuple, timedelta, np.ndarray)):
        raise TypeError(f"{type(value).__name__} values")
    if pd.isna(value):
        return None
    if isinstance(value, datetime):
        return value.date().isoformat() if only_days else value.isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, np.floating):
        value = float(str(value))  # the shortest text: 0.1 of 32 bits is 0.1
    return number_text(value) if isinstance(value, (int, float, Decimal, np.integer)) else str(value).strip()


def number_text(value) -> str:
    """Write a number, or a text that is one, as every format would: 21.0, 21.00 and 21 are the same.

    Examples
    --------
    >>> number_text("21.0"), number_text(0.1 + 0.2), number_text("12345678901234567890")
    ('21', '0.3', '12345678901234567890')
    """
    digits = re.sub(r"[eE].*|\D", "", str(value)).strip("0")
    if not isinstance(value, float) and len(digits) > _DIGITS:
        return str(value)  # more digits than a double keeps: leave every one
    text = f"{float(value):.{_DIGITS}g}"
    return "0" if text == "-0" else text


def is_number(text: str | None) -> bool:
    """Tell whether a text is a number: digits with a decimal point, a sign, an exponent; no comma.

    ``inf`` is none, nor is what no transport file can hold (1e300): the outputs are such files.
    """
    return bool(text) and _NUMBER.fullmatch(text) is not None and abs(float(text)) <= _LARGEST


def _from_sas(value, kind: str):
    """Turn a count of days or seconds into the date or time it stands for; text and missing pass."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or pd.isna(value):
        return value
    try:
        if kind == "date":
            return _EPOCH.date() + timedelta(days=int(value // 1))
        seconds = timedelta(seconds=round(float(value), 6))
        if kind == "datetime":
            return _EPOCH + seconds
        return (_EPOCH + seconds).time() if timedelta(0) <= seconds < timedelta(days=1) else value
    except OverflowError:  # beyond year 9999: no date; the number stays for the date checks to find
        return value
