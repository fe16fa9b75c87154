"""SAS transport files, version 5: the format regulators take, built record by record in memory.

Written here rather than through a library, because the file must not depend on the clock or on a scratch
copy of subjects' data: the libraries at hand stamp the present time and write to a path only.

References
----------
SAS Institute, TS-140: the record layout of a data set in SAS transport (XPORT) format.
FDA, Study Data Technical Conformance Guide: version 5; names of 8 and labels of 40 characters; text of 200
bytes.
"""

from __future__ import annotations

import datetime as dt
import struct
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.exchange.longtext import split_long
from analysis.exchange.variables import (
    DATE_FORMAT,
    LABEL_LENGTH,
    NO_CUTOFF,
    ExchangeError,
    Variable,
    checked,
    dataset_label,
)

NAME_LENGTH = 8
_RECORD = 80
_NUMBER_BYTES = 8
_SYSTEM = "6.06    bsd4.2  "  # SAS version and host, as in the sample program of TS-140
_MISSING = np.uint64(0x2E) << np.uint64(56)  # the byte "." and seven zeros
_EXPONENT_BIAS = 64  # powers of 16


@dataclass(frozen=True)
class _Field:
    variable: Variable
    values: np.ndarray  # n x width, bytes

    @property
    def is_text(self) -> bool:
        return self.variable.kind == "text"

    @property
    def width(self) -> int:
        return self.values.shape[1]


def xpt_bytes(table: str, frame: pd.DataFrame, *, created: dt.date | None) -> bytes:
    """Return `frame` as a SAS transport file, version 5.

    Text is UTF-8, its length counted in bytes (the format names no encoding; plain ASCII stays plain ASCII),
    as wide as its longest value. Dates are SAS dates, days since 1960-01-01, shown as DATE9.; a boolean is 1
    or 0. Missing text is blank, any other missing value is ``.``; blanks at the end of a text are the same
    as none, which is the format's own rule. Text over 200 bytes goes on in further
    variables, see `longtext.split_long`.

    Parameters
    ----------
    table : str
        Name of the table; its contract gives labels and types.
    frame : DataFrame
        As `contracts.check` returns it; may have no rows.
    created : datetime.date or None
        Stamp of the file (00:00:00); 1960-01-01 where None.

    Raises
    ------
    ExchangeError
        For names or labels that are too long, numbers outside 16**-65 to 16**63, text with a null character,
        and what `variables.checked` and `longtext.split_long` refuse.
    """
    frame, found = split_long(table, frame, checked(table, frame))
    label = dataset_label(table)
    _check_names(table, label, found)
    fields = [_Field(one, _encode(table, one, frame[one.name])) for one in found]
    body = np.hstack([field.values for field in fields]).tobytes()
    return _header(table.upper(), label, fields, created or NO_CUTOFF) + _padded(body)


def encode_ibm(numbers: np.ndarray) -> np.ndarray:
    """Return numbers as 8-byte IBM floats, as unsigned integers; nothing is lost, as they have 56 bits.

    The value is +-f * 16**(E - 64) with f in [1/16, 1): one bit sign, seven bits E, 56 bits f.

    Raises
    ------
    ValueError
        For numbers outside 16**-65 to 16**63.
    """
    numbers = np.asarray(numbers, dtype=float)
    held = np.where(np.isnan(numbers), 0.0, numbers)
    fraction, exponent = np.frexp(np.abs(held))  # |x| = fraction * 2**exponent, fraction in [0.5, 1)
    power = -(-exponent // 4)
    mantissa = (fraction * 2.0**53).astype(np.uint64) << (3 + exponent - 4 * power).astype(np.uint64)
    biased = power + _EXPONENT_BIAS
    if (((biased < 0) | (biased > 127)) & (held != 0)).any():
        raise ValueError("a number outside the range of IBM floats")
    sign = (held < 0).astype(np.uint64) << np.uint64(63)
    code = sign | (np.clip(biased, 0, 127).astype(np.uint64) << np.uint64(56)) | mantissa
    return np.where(np.isnan(numbers), _MISSING, np.where(held == 0, np.uint64(0), code))


def _encode(table: str, variable: Variable, values: pd.Series) -> np.ndarray:
    if variable.kind == "text":
        return _encode_text(table, variable.name, values)
    if variable.kind == "date":
        days = (values.dt.normalize() - pd.Timestamp("1960-01-01")) / pd.Timedelta(days=1)
    else:
        days = values
    try:
        coded = encode_ibm(days.to_numpy(dtype=float, na_value=np.nan))
    except ValueError as error:
        raise ExchangeError(
            "NUMBER_RANGE", table, f"{variable.name} holds {error} (16**-65 to 16**63); check its unit"
        ) from error
    return coded.astype(">u8").view(np.uint8).reshape(-1, _NUMBER_BYTES)


def _encode_text(table: str, name: str, values: pd.Series) -> np.ndarray:
    places, distinct = pd.factorize(values)  # every text is encoded once
    coded = [str(text).encode() for text in distinct]
    null = sum(b"\0" in text for text in coded)
    if null:
        raise ExchangeError(
            "CHARACTER", table, f"{name}: {null} distinct values hold a null character; take it out"
        )
    width = max(1, *map(len, coded)) if coded else 1
    padded = b"".join(text.ljust(width) for text in [*coded, b""])  # the last one, at place -1, is "missing"
    return np.frombuffer(padded, dtype=np.uint8).reshape(-1, width)[places]


def _check_names(table: str, label: str, found: list[Variable]) -> None:
    names = [table, *(one.name for one in found)]
    labels = [label, *(one.label for one in found)]
    wrong = [
        name for name in names if len(name) > NAME_LENGTH or not (name.isascii() and name.isidentifier())
    ]
    wrong += [text for text in labels if len(text) > LABEL_LENGTH or not text.isascii()]
    if wrong:
        raise ExchangeError(
            "NAME_OR_LABEL",
            table,
            f"{wrong}: a name has at most {NAME_LENGTH} characters, a label {LABEL_LENGTH}, all ASCII; "
            "give the column of the contract a shorter title",
        )


def _header(name: str, label: str, fields: list[_Field], created: dt.date) -> bytes:
    stamp = f"{created:%d%b%y}:00:00:00".upper()
    records = [
        _title("LIBRARY", "0" * 30),
        f"{'SAS':8}{'SAS':8}{'SASLIB':8}{_SYSTEM}{'':24}{stamp}",
        stamp,
        _title("MEMBER", "000000000000000001600000000140"),
        _title("DSCRPTR", "0" * 30),
        f"{'SAS':8}{name:8}{'SASDATA':8}{_SYSTEM}{'':24}{stamp}",
        f"{stamp}{'':16}{label:40}{'':8}",
        _title("NAMESTR", f"000000{len(fields):04d}{'0' * 20}"),
    ]
    head = b"".join(record.encode().ljust(_RECORD) for record in records)
    starts = np.cumsum([0, *(field.width for field in fields)])
    described = [
        _describe(field, number, int(start)) for number, (field, start) in enumerate(zip(fields, starts), 1)
    ]
    return head + _padded(b"".join(described)) + _title("OBS", "0" * 30).encode().ljust(_RECORD)


def _title(kind: str, numbers: str) -> str:
    return f"HEADER RECORD*******{kind:8}HEADER RECORD!!!!!!!{numbers}"


def _describe(field: _Field, number: int, start: int) -> bytes:
    """Return the 140 bytes (NAMESTR) of a variable."""
    form, digits = ("", 0)
    if field.variable.kind == "date":
        form, digits = (
            DATE_FORMAT.rstrip("0123456789."),
            int(DATE_FORMAT.strip("ABCDEFGHIJKLMNOPQRSTUVWXYZ.")),
        )
    return struct.pack(
        ">hhhh8s40s8shhh2s8shhi52s",
        2 if field.is_text else 1,
        0,
        field.width,
        number,
        field.variable.name.ljust(8).encode(),
        field.variable.label.ljust(40).encode(),
        form.ljust(8).encode(),
        digits,
        0,
        0 if field.is_text else 1,  # numbers stand on the right
        b"",
        b" " * 8,
        0,
        0,
        start,
        b"",
    )


def _padded(content: bytes) -> bytes:
    return content.ljust(-(-len(content) // _RECORD) * _RECORD)
