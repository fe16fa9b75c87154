"""What a dataset for exchange says about its variables, all from the contract: name, label, type, key."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import contracts

DATASETS = ("adsl", "adtr", "adrs", "adtte", "adpet", "admr", "adbm")
NO_CUTOFF = dt.date(1960, 1, 1)  # day zero of SAS: a stamp nobody takes for a real one
DATE_FORMAT = "DATE9."
LABEL_LENGTH = 40


class ExchangeError(ValueError):
    """A table that a format for exchange cannot hold: a code, the table, the variable, how many values."""

    def __init__(self, code: str, table: str, message: str):
        self.code = code
        super().__init__(f"{code}: {table}: {message}")


@dataclass(frozen=True)
class Variable:
    """A variable: `kind` is text, date, integer, number or boolean; `key` its place in the key, or None."""

    name: str
    label: str
    kind: str
    key: int | None = None


def variables(table: str) -> list[Variable]:
    """Return the variables of `table` in the contract's order."""
    schema = contracts.contract_of(table)
    key = {name: place for place, name in enumerate(schema.unique or [], start=1)}
    return [
        Variable(name, _label(column), _kind(column), key.get(name))
        for name, column in schema.columns.items()
    ]


def dataset_label(table: str) -> str:
    """Return the label of the dataset: the contract's title, else what a row is."""
    return _label(contracts.contract_of(table))


def checked(table: str, frame: pd.DataFrame) -> list[Variable]:
    """Return the variables of `table`, after a look that `frame` holds just these, each of its type.

    Raises
    ------
    ExchangeError
        ``COLUMNS`` for other columns, ``TYPE`` for a column of another type, ``INFINITE`` for a number no
        format holds.
    """
    found = variables(table)
    names = [variable.name for variable in found]
    if list(frame.columns) != names:
        raise ExchangeError("COLUMNS", table, f"expected the columns {names}, found {list(frame.columns)}")
    wrong = [one.name for one in found if not _fits(frame[one.name], one.kind)]
    if wrong:
        kinds = {name: str(frame[name].dtype) for name in wrong}
        raise ExchangeError("TYPE", table, f"columns of another type than the contract's: {kinds}")
    endless = {one.name: _count_infinite(frame[one.name]) for one in found if one.kind == "number"}
    endless = {name: count for name, count in endless.items() if count}
    if endless:
        raise ExchangeError(
            "INFINITE",
            table,
            f"infinite values (count a variable): {endless}; no format for exchange has them",
        )
    return found


def iso_dates(values: pd.Series) -> pd.Series:
    """Return dates as text, ``2014-02-11``; missing stays missing. The time of day, if any, is left out."""
    return values.dt.strftime("%Y-%m-%d").astype(object).where(values.notna(), None)


def _label(described) -> str:
    text = described.title or described.description or described.name
    return text[:1].upper() + text[1:]


def _kind(column) -> str:
    kind = np.dtype(column.dtype.type).kind if hasattr(column.dtype, "type") else "O"
    return {"M": "date", "i": "integer", "u": "integer", "f": "number", "b": "boolean"}.get(kind, "text")


def _fits(values: pd.Series, kind: str) -> bool:
    numeric = pd.api.types.is_numeric_dtype(values.dtype)
    if kind == "date":
        return pd.api.types.is_datetime64_any_dtype(values.dtype)
    if kind == "text":
        held = (
            values.dtype.categories.dtype if isinstance(values.dtype, pd.CategoricalDtype) else values.dtype
        )
        return pd.api.types.is_string_dtype(held)
    return numeric and (kind == "boolean") == pd.api.types.is_bool_dtype(values.dtype)


def _count_infinite(values: pd.Series) -> int:
    return int(np.isinf(values.to_numpy(dtype=float, na_value=np.nan)).sum())
