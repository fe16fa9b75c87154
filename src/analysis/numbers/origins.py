"""Find where rows and cells of a frame stand in the tables of a run, and which notebook wrote them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

MARK = "table"  # frame.attrs[MARK]: the table a frame was read from (storage.Run.read)
SUBJECT = "USUBJID"


class Origins:
    """The tables of a run, to find cells in.

    Parameters
    ----------
    read : callable
        Name -> the table as it stands on disk, rows in their order.
    names : sequence of str, optional
        Tables to search where a frame does not say which it is from.
    """

    def __init__(self, read: Callable[[str], pd.DataFrame], names: tuple[str, ...] = ()):
        self._read, self.names = read, names
        self._tables: dict[str, pd.DataFrame] = {}
        self._places: dict[tuple, dict] = {}
        self._rows: dict[str, list[dict]] = {}

    def table(self, name: str) -> pd.DataFrame:
        """Return a table as it stands on disk."""
        if name not in self._tables:
            self._tables[name] = self._read(name)
        return self._tables[name]

    def name_of(self, frame: pd.DataFrame) -> str | None:
        """Return the table a frame was taken from: as it is marked, else the one that holds its numbers."""
        marked = frame.attrs.get(MARK)
        if marked in self.names:
            return marked
        found = [name for name in self.names if self._holds(name, frame)]
        return found[0] if len(found) == 1 else None

    def cell(self, name: str, row: int, column: str) -> Any:
        """Return one cell of a table; None where the table has no such column."""
        return self._records(name)[row].get(column)

    def rows(self, frame: pd.DataFrame, name: str) -> list[int | None]:
        """Return for every row of `frame` its position in table `name`, None where it cannot be told.

        The index is believed where the cells agree; else the row is found by its numbers, equal to the bit.
        """
        table = self.table(name)
        shared = [column for column in frame.columns if column in table.columns]
        if not shared:
            return [None] * len(frame)
        records = frame[shared].to_dict("records")
        return [self._row(name, tuple(shared), label, row) for label, row in zip(frame.index, records)]

    def _row(self, name: str, shared: tuple[str, ...], label: Any, row: Mapping[str, Any]) -> int | None:
        table = self.table(name)
        if isinstance(label, int | np.integer) and 0 <= label < len(table) and self._agrees(name, row, label):
            return int(label)
        found = self._by_numbers(name, shared).get(_bits(row, shared), []) or self._by_all(name, shared).get(
            _all(row, shared), []
        )
        records = self._records(name)
        agreeing = [sum(_same(row[c], records[place][c]) for c in shared) for place in found]
        best = [place for place, agree in zip(found, agreeing) if agree == max(agreeing)]
        return best[0] if len(best) == 1 else None

    def _agrees(self, name: str, row: Mapping[str, Any], label: int) -> bool:
        there = self._records(name)[int(label)]
        return all(_same(value, there[column]) for column, value in row.items())

    def _records(self, name: str) -> list[dict]:
        if name not in self._rows:
            self._rows[name] = self.table(name).to_dict("records")
        return self._rows[name]

    def _by_numbers(self, name: str, shared: tuple[str, ...]) -> dict:
        if (name, shared) not in self._places:
            places: dict = {}
            for place, row in enumerate(self.table(name)[list(shared)].to_dict("records")):
                bits = _bits(row, shared)
                if any(isinstance(value, float) and not value.is_integer() for value in bits):
                    places.setdefault(bits, []).append(place)
            self._places[name, shared] = places
        return self._places[name, shared]

    def _by_all(self, name: str, shared: tuple[str, ...]) -> dict:
        """Return the positions of rows by all their cells: for those without a number of their own."""
        if len(shared) < 3:
            return {}
        if (name, shared, "all") not in self._places:
            places: dict = {}
            for place, row in enumerate(self._records(name)):
                places.setdefault(_all(row, shared), []).append(place)
            self._places[name, shared, "all"] = places
        return self._places[name, shared, "all"]

    def _holds(self, name: str, frame: pd.DataFrame) -> bool:
        shared = [column for column in frame.columns if column in self.table(name).columns]
        if len(shared) < 3 or SUBJECT in frame or not len(frame):
            return False
        return all(place is not None for place in self.rows(frame.head(3), name))


def is_of_patients(frame: pd.DataFrame) -> bool:
    """Tell whether a frame has rows of single patients, whose cells no text prints."""
    return SUBJECT in frame.columns or frame.index.name == SUBJECT


@lru_cache
def writing_cell(notebook: Path, table: str) -> str | None:
    """Return the id of the cell of a notebook that writes `table`; None where no cell does."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = {cell["id"]: "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"}
    writing = {name: text for name, text in code.items() if re.search(r"\brun\.write", text)}
    naming = [name for name, text in writing.items() if re.search(rf"\b{re.escape(table)}\b", text)]
    return [*writing, *naming][-1] if writing else None


def running_cell(notebook: Path) -> str | None:
    """Return the id of the cell of a notebook that is being run; None outside of one."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        return None
    # What the kernel was asked to run: a runner need not keep a history.
    kernel = getattr(shell, "kernel", None)
    asked = kernel.get_parent("shell").get("content", {}).get("code") if kernel else None
    text = (asked or shell.history_manager.input_hist_raw[-1]).strip()
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return next((cell["id"] for cell in cells if "".join(cell["source"]).strip() == text), None)


def _bits(row: Mapping[str, Any], columns: tuple[str, ...]) -> tuple:
    """Return the numbers of a row in a form that is equal only for equal doubles."""
    return tuple(
        None if pd.isna(row[c]) else float(row[c])
        for c in columns
        if isinstance(row[c], float | int | np.number) and not isinstance(row[c], bool)
    )


def _all(row: Mapping[str, Any], columns: tuple[str, ...]) -> tuple:
    """Return the cells of a row in a form that can be looked up: missing ones alike, lists as text."""
    return tuple(
        str(row[c]) if isinstance(row[c], list | np.ndarray | bytes) else None if pd.isna(row[c]) else row[c]
        for c in columns
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | np.ndarray | bytes):
        return False
    return bool(one == other) or bool(pd.isna(one) and pd.isna(other))
