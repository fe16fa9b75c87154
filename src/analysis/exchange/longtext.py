"""Text over 200 bytes, which a SAS transport file of version 5 cannot hold in one variable."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pandas as pd

from analysis.exchange.variables import LABEL_LENGTH, ExchangeError, Variable

TEXT_BYTES = 200
_NAME_LENGTH = 8
_MOST_PARTS = 10  # the variable itself and nine more: their number is one digit


def split_long(table: str, frame: pd.DataFrame, found: list[Variable]) -> tuple[pd.DataFrame, list[Variable]]:
    """Return table and variables with no text over 200 bytes; nothing is cut off.

    A longer text goes on in further variables right behind it, FLAGS in FLAGS1 to FLAGS9 (a name of eight
    letters loses its last), broken between words or behind a semicolon where it has them. The parts joined
    without anything between them are the text again. A key is never split.

    Raises
    ------
    ExchangeError
        ``KEY_TOO_LONG`` for a key, ``TEXT_TOO_LONG`` for text of more than ten parts, ``NAME_TAKEN`` where
        the table has a variable of such a name already.

    References
    ----------
    CDISC SDTMIG 3.3, section 4.5.3.2, text strings greater than 200 characters: the first 200 stay in the
    variable, the rest follows in variables numbered 1 to 9.
    """
    wide = {one.name for one in found if one.kind == "text" and longest(frame[one.name]) > TEXT_BYTES}
    if not wide:
        return frame, found
    columns: dict[str, pd.Series] = {}
    out: list[Variable] = []
    for one in found:
        taken = {*frame.columns, *columns}
        whole = [(one, frame[one.name])]
        parts = _split_variable(table, *whole[0], taken) if one.name in wide else whole
        columns |= {part.name: values for part, values in parts}
        out += [part for part, _ in parts]
    return pd.DataFrame(columns, index=frame.index), out


def longest(values: pd.Series) -> int:
    """Return the length of the longest text, bytes of UTF-8; 0 where there is none."""
    return max((len(str(text).encode()) for text in values.dropna().unique()), default=0)


def split_text(text: str) -> list[str]:
    """Return `text` in parts of at most 200 bytes, none of which ends with a blank the format would lose."""
    parts = []
    while len(text.encode()) > TEXT_BYTES:
        most = len(text.encode()[:TEXT_BYTES].decode(errors="ignore"))  # never inside a character
        whole = [place for place in range(1, most + 1) if text[place - 1] != " "]
        between = [place for place in whole if text[place] == " " or text[place - 1] == ";"]
        place = max(between or whole or [most])
        parts.append(text[:place])
        text = text[place:]
    return [*parts, text]


def _split_variable(
    table: str, one: Variable, values: pd.Series, taken: set[str]
) -> list[tuple[Variable, pd.Series]]:
    split = {text: split_text(text) for text in values.dropna().unique()}
    count = max(map(len, split.values()))
    over = int(values.map(lambda text: len(str(text).encode()) > TEXT_BYTES, na_action="ignore").sum())
    if one.key is not None:
        raise ExchangeError(
            "KEY_TOO_LONG", table, f"{one.name}: {over} values over {TEXT_BYTES} bytes; shorten them"
        )
    if count > _MOST_PARTS:
        raise ExchangeError(
            "TEXT_TOO_LONG",
            table,
            f"{one.name}: {over} values over {TEXT_BYTES} bytes, the longest in {count} parts of at most "
            f"{_MOST_PARTS}; shorten them, or leave xpt out of design.exchange_formats",
        )
    names = [one.name, *(f"{one.name[: _NAME_LENGTH - 1]}{number}" for number in range(1, count))]
    twice = sorted(set(names[1:]) & taken)
    if twice:
        raise ExchangeError(
            "NAME_TAKEN", table, f"{one.name} must be split ({over} values), but {twice} exist; shorten them"
        )
    filled = itertools.zip_longest(*split.values())  # one tuple a part, over the distinct texts
    parts = [dict(zip(split, texts)) for texts in filled]
    return [
        (_part(one, name, number), values.map(texts).astype(object))
        for number, (name, texts) in enumerate(zip(names, parts))
    ]


def _part(one: Variable, name: str, number: int) -> Variable:
    if number == 0:
        return one
    tail = f" ({number + 1})"
    return replace(one, name=name, label=one.label[: LABEL_LENGTH - len(tail)] + tail)
