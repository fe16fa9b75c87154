"""The numbers a text may be made from: cells, counts and summaries of its sources, values of the plan."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.numbers.origins import MARK, Origins, is_of_patients

LEVELS = 25  # a column of text with more values than these names things; it does not group them
CELLS = 4000  # rows; a larger frame is counted and summarised only
DEPTH = 4  # of structures inside structures
SUMMARIES = {
    "lowest": np.min,
    "highest": np.max,
    "median": np.median,
    "mean": np.mean,
}
CELL, COUNT, SUMMARY, PLAN, COMPUTED = "cell", "count", "summary", "plan", "computed"


@dataclasses.dataclass(frozen=True)
class Fact:
    """A number, or a text that holds numbers, and where it stands.

    Attributes
    ----------
    value : float, int or str
        As it is in the source.
    kind : {"cell", "count", "summary", "plan", "computed"}
        What it is: a cell of a table, a number of rows, a summary of a column, a value of the plan, or
        computed where the text was made.
    name : str
        What it is called, for its id and for a reader.
    table, row, column : optional
        Table, position of the row in it, column.
    key : dict, optional
        Column -> value: what tells the row, or the rows counted, from others.
    how : str
        How it comes from the table; empty for a cell.
    """

    value: Any
    kind: str
    name: str
    table: str | None = None
    row: int | None = None
    column: str | None = None
    key: Mapping[str, Any] | None = dataclasses.field(default=None, hash=False, compare=False)
    how: str = ""

    @property
    def id(self) -> str:
        """Return the id under which values.json keeps it."""
        if self.kind == CELL:
            return f"{self.table}.{'' if self.row is None else f'{self.row}.'}{self.column}"
        if self.kind == PLAN:
            return f"plan.{self.name}"
        return f"{self.table or COMPUTED}.{slug(self.name)}"


def slug(text: str) -> str:
    """Write a text as part of an id.

    Examples
    --------
    >>> slug("rows with GROUP = NON-RESPONDER")
    'rows-with-group-non-responder'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def facts_of(name: str, given: Any, origins: Origins | None = None, depth: int = DEPTH) -> list[Fact]:
    """List the facts of whatever a text was computed from.

    Parameters
    ----------
    name : str
        What it was called where it was given.
    given : object
        A frame (its cells where it is aggregate; counts and summaries), a row, a number, or a structure.
    origins : Origins, optional
        Where to look for the rows of frames.

    Returns
    -------
    list of Fact
        Nothing for what holds no number.
    """
    if isinstance(given, pd.DataFrame):
        return frame_facts(name, given, origins)
    if isinstance(given, pd.Series):
        return _series_facts(name, given, origins, depth)
    if isinstance(given, np.ndarray) and given.dtype != object and given.ndim == 1:
        return _series_facts(name, pd.Series(given), origins, depth)
    if is_number(given) or isinstance(given, str):
        return [_computed(name, given)] if is_number(given) or re.search(r"\d", given) else []
    if depth and hasattr(given, "to_dict"):
        section = getattr(given, "_name", None)  # a section of the plan
        return section_facts(section, given.to_dict()) if section else []
    if depth and dataclasses.is_dataclass(given) and not isinstance(given, type):
        given = {field.name: getattr(given, field.name) for field in dataclasses.fields(given)}
    if depth and isinstance(given, tuple) and hasattr(given, "_asdict"):
        given = given._asdict()
    if depth and isinstance(given, Mapping):
        parts = [(f"{name} {key}", part) for key, part in given.items()]
    elif depth and isinstance(given, list | tuple | set | frozenset):
        ordered = sorted(given, key=str) if isinstance(given, set | frozenset) else given
        parts = [(f"{name} {place}", part) for place, part in enumerate(ordered)]
        if not isinstance(given, set | frozenset) or ordered:
            parts.append((f"number of {name}", len(ordered)))
    else:
        return []
    return [fact for part, value in parts[:500] for fact in facts_of(part, value, origins, depth - 1)]


def is_number(value: Any) -> bool:
    """Tell whether a value is a number that can be printed (no truth value, not missing)."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return False
    return bool(value == value)


def section_facts(section: str, values: Mapping[str, Any]) -> list[Fact]:
    """List the values of one section of the plan; an inner value is called by its path."""
    facts = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            facts += section_facts(f"{section}.{key}", value)
        elif isinstance(value, list | tuple):
            facts += [
                Fact(one, PLAN, f"{section}.{key}", column=f"{section}.{key}")
                for one in value
                if is_number(one) or isinstance(one, str)
            ]
        elif is_number(value) or (isinstance(value, str) and re.search(r"\d", value)):
            facts.append(Fact(value, PLAN, f"{section}.{key}", column=f"{section}.{key}"))
    return facts


def frame_facts(name: str, frame: pd.DataFrame, origins: Origins | None) -> list[Fact]:
    """List the facts of a frame: cells where it is aggregate, counts and summaries."""
    table = origins.name_of(frame) if origins else frame.attrs.get(MARK)
    facts = [] if is_of_patients(frame) or len(frame) > CELLS else _cells(name, frame, table, origins)
    return [*facts, *_counts(name, frame, table), *_summaries(frame, table)]


def _cells(name: str, frame: pd.DataFrame, table: str | None, origins: Origins | None) -> list[Fact]:
    places = origins.rows(frame, table) if origins and table else [None] * len(frame)
    facts = []
    for line, (place, row) in enumerate(zip(places, frame.to_dict("records"))):
        key = _key(row)
        for column, value in row.items():
            if not is_number(value) and not (isinstance(value, str) and re.search(r"\d", value)):
                continue
            if place is not None and _equal(origins.cell(table, place, column), value):
                facts.append(Fact(_plain(value), CELL, f"{column}", table, place, column, key))
            else:
                text = f"{name} {line} {column}" if place is None else f"{place} {column} reworded"
                of = f"line {line + 1} of what is shown" if place is None else f"row {place} of {table}"
                how = (
                    f"{column} of {of}, {'computed' if place is None else 'changed'} when the report was made"
                )
                facts.append(Fact(_plain(value), COMPUTED, text, table, place, str(column), key, how))
    return facts


def _key(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells a row from others: its texts."""
    return {str(name): value for name, value in row.items() if isinstance(value, str) and len(value) < 80}


def _counts(name: str, frame: pd.DataFrame, table: str | None) -> list[Fact]:
    """Count rows and subjects, and the rows and their share for every value of a column of classes."""
    where = table or name
    facts = [Fact(len(frame), COUNT, "rows", table, how=f"rows of {where} shown here")]
    if "USUBJID" in frame:
        value = int(frame["USUBJID"].nunique())
        facts.append(Fact(value, COUNT, "patients", table, how=f"patients in {where} shown here"))
    for column in [column for column in frame if _is_grouping(frame[column])]:
        for level, size in frame[column].value_counts(sort=False).items():
            said, key = f"rows with {column} = {level}", {str(column): level}
            facts.append(Fact(int(size), COUNT, said, table, key=key, how=said))
            share = f"share of {said}"
            facts.append(Fact(int(size) / len(frame), SUMMARY, share, table, key=key, how=share))
    return facts


def _summaries(frame: pd.DataFrame, table: str | None) -> list[Fact]:
    facts = []
    for column in frame.select_dtypes("number"):
        values = frame[column].to_numpy(dtype=float, na_value=np.nan)
        values = values[np.isfinite(values)]
        for what, compute in SUMMARIES.items() if len(values) else ():
            said = f"{what} {column}"
            facts.append(Fact(float(compute(values)), SUMMARY, said, table, column=str(column), how=said))
    return facts


def _series_facts(name: str, series: pd.Series, origins: Origins | None, depth: int) -> list[Fact]:
    if pd.api.types.is_bool_dtype(series.dtype):
        true = int(series.fillna(False).astype(bool).sum())
        return [_computed(f"number of {name}", true), _computed(f"number not {name}", len(series) - true)]
    if series.dtype != object and len(series):
        frame = series.rename(name).to_frame()
        frame.attrs.clear()
        few = [_computed(f"{name} {key}", value) for key, value in series.items()] if len(series) < 60 else []
        few = [fact for fact in few if is_number(fact.value)]
        return [*few, *_summaries(frame, None), _computed(f"number of {name}", len(series))]
    table = series.attrs.get(MARK)
    if origins and table in origins.names and set(series.index) <= set(origins.table(table).columns):
        facts = frame_facts(name, series.to_frame().T, origins)
        return [fact for fact in facts if fact.kind in (CELL, COMPUTED)]
    parts = {str(key): value for key, value in series.head(200).items()}
    return facts_of(name, parts, origins, depth - 1) if depth else []


def _computed(name: str, value: Any) -> Fact:
    return Fact(_plain(value), COMPUTED, name, how=f"{name}, computed when the report was made")


def _is_grouping(column: pd.Series) -> bool:
    kinds = (pd.api.types.is_bool_dtype, pd.api.types.is_object_dtype, pd.api.types.is_string_dtype)
    if not any(kind(column.dtype) for kind in kinds) and not isinstance(column.dtype, pd.CategoricalDtype):
        return False
    if column.name == "USUBJID":
        return False
    levels = {value for value in column.dropna() if isinstance(value, str | bool | np.bool_)}
    return 0 < len(levels) <= LEVELS


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) if pd.api.types.is_scalar(one) else False
