"""The numbers a report prints, each once, with the place it comes from: what becomes values.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pandas as pd

from analysis.numbers.facts import CELL, COMPUTED, Fact, is_number


class Ledger:
    """Facts that were printed, their ids, where they were printed and in which form.

    Parameters
    ----------
    place : callable
        Name of a table or None, cell that computed -> (notebook, id of the cell) that made it.
    """

    def __init__(self, place: Callable[[str | None, str | None], tuple[str, str | None]]):
        self._place = place
        self._names: dict[Any, str] = {}
        self._ids: dict[tuple[Any, Any], str] = {}
        self._entries: dict[str, dict[str, Any]] = {}

    def name(self, name: str, fact: Fact, label: str, made_in: str | None = None) -> None:
        """Give a fact a name of its own: its id, wherever it is printed from now on."""
        self._names[_spot(fact)] = name
        self._ids[_spot(fact), fact.value] = name
        self._entries[name] = self._entry(fact, label, made_in)

    def add(self, fact: Fact, text: str, used_in: str, made_in: str | None = None) -> str:
        """Keep that `text` was printed in `used_in` from a fact, and return the fact's id."""
        spot = (_spot(fact), fact.value)
        if spot not in self._ids:
            self._ids[spot] = self._free(fact.id)
            self._entries[self._ids[spot]] = self._entry(fact, describe(fact), made_in)
        entry = self._entries[self._ids[spot]]
        for key, value in (("texts", text), ("used_in", used_in)):
            if value not in entry[key]:
                entry[key].append(value)
        return self._ids[spot]

    def values(self) -> dict[str, dict[str, Any]]:
        """Return every number with its place, by id."""
        return {name: self._entries[name] for name in sorted(self._entries)}

    def _entry(self, fact: Fact, label: str, made_in: str | None) -> dict[str, Any]:
        notebook, cell = self._place(None if fact.kind == COMPUTED else fact.table, made_in)
        plain = {**dataclasses.asdict(fact), "key": dict(fact.key) if fact.key else None}
        shown = {key: plain[key] for key in ("kind", "table", "row", "column", "how", "key")}
        shown["key"] = shown["key"] and {key: _plain(value) for key, value in shown["key"].items()}
        known = fact.value if isinstance(fact.value, str) or is_number(fact.value) else None
        return shown | {
            "value": _plain(known),
            "label": label,
            "texts": [],
            "used_in": [],
            "notebook": notebook,
            "cell": cell,
        }

    def _free(self, wanted: str) -> str:
        count, free = 1, wanted
        while free in self._entries:
            count += 1
            free = f"{wanted}-{count}"
        return free


def describe(fact: Fact) -> str:
    """Say what a fact is, for a reader who meets its id.

    Examples
    --------
    >>> describe(Fact(1.72, "cell", "ESTIMATE", "estimates", 0, "ESTIMATE", {"ENDPOINT": "PFS"}))
    'estimates, row 0 (PFS): ESTIMATE'
    """
    if fact.kind != CELL:
        return f"{fact.table}: {fact.name}" if fact.table else fact.name
    where = ", ".join(str(value) for value in (fact.key or {}).values())
    row = "" if fact.row is None else f", row {fact.row}"
    return f"{fact.table}{row}{f' ({_short(where)})' if where else ''}: {fact.column}"


def _short(text: str, most: int = 90) -> str:
    return text if len(text) <= most else text[:most].rsplit(" ", 1)[0] + " …"


def _spot(fact: Fact) -> Any:
    if fact.kind == CELL:
        return (fact.table, fact.row, fact.column)
    return (fact.kind, fact.id, fact.how if fact.kind == COMPUTED else "")  # the tables it is from


def _plain(value: Any) -> Any:
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, pd.Timestamp):
        return plain.strftime("%Y-%m-%d")
    return None if isinstance(plain, float) and plain != plain else plain


def keep(said: list, ledger: Ledger, used_in: str, made_in: str | None) -> list:
    """Return the pieces of a text for content.json: numbers as ``[printed, id]``, kept in the ledger."""
    pieces: list[Any] = []
    for piece in said:
        if not isinstance(piece, str):
            token, fact = piece
            pieces.append([token.text, ledger.add(fact, token.text, used_in, made_in)])
        elif pieces and isinstance(pieces[-1], str):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return pieces
