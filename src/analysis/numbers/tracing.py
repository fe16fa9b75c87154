"""Trace the texts of a report: what is known of a run, what a text was given, what was computed for it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

import pandas as pd

from analysis.numbers.facts import CELL, COUNT, Fact, facts_of, is_number, section_facts
from analysis.numbers.lookup import Facts, Prints
from analysis.numbers.origins import MARK, Origins
from analysis.numbers.tokens import Token
from analysis.numbers.trace import Traced, trace
from analysis.numbers.watch import Printed, watch


@dataclasses.dataclass(frozen=True)
class Sources:
    """What a text is made from.

    Attributes
    ----------
    layers : tuple of Facts
        In the order of trust.
    printed : Prints or None
        Values that were printed into it; None where nobody watched.
    tables : tuple of str
        Tables the facts are from.
    """

    layers: tuple[Facts, ...]
    printed: Prints | None
    tables: tuple[str, ...] = ()

    def with_printed(self, printed: Sequence[Printed]) -> Sources:
        """Return the same sources with further printed values."""
        return dataclasses.replace(
            self, printed=Prints([*(self.printed.all if self.printed else []), *printed])
        )

    def after(self, facts: Sequence[Fact]) -> Sources:
        """Return the same sources with `facts` before them."""
        return dataclasses.replace(self, layers=(Facts(facts), *self.layers)) if facts else self


class Tracer:
    """The facts of a run, and the texts made from them.

    Parameters
    ----------
    origins : Origins
        The tables of the run.
    """

    def __init__(self, origins: Origins):
        self._origins = origins
        self._known: dict[str, Mapping[str, Any]] = {}
        self._plan: list[Fact] = []
        self._listed: dict[int, tuple[Any, list[Fact]]] = {}

    def know(self, table: str, content: Mapping[str, Any]) -> None:
        """Keep a table that is no frame, to be known again where it is given."""
        self._known[table] = content

    def know_plan(self, section: Any) -> None:
        """Keep a section of the plan: a choice of that name and value is the plan's."""
        self._plan += section_facts(section._name, section.to_dict())

    def make(self, make: Callable, /, *given: Any, **choices: Any) -> tuple[Any, Sources]:
        """Call `make`; return its result and what its numbers may come from."""
        sources = self.sources(*given, **_named(make, given), **choices)
        result, printed = self.watch(sources, make, *given, **choices)
        return result, sources.with_printed(printed)

    def watch(self, sources: Sources, make: Callable, /, *given: Any, **choices: Any) -> tuple[Any, list]:
        """Call `make`; return its result and what it printed, the rows it took told by table and position."""
        result, printed = watch(make, *given, **choices)
        places: dict[int, tuple] = {}
        return result, [self._placed(one, sources.tables, places) for one in printed]

    def _placed(self, one: Printed, tables: Sequence[str], places: dict[int, tuple]) -> Printed:
        outer = tuple(self._placed(step, tables, places) for step in one.outer)
        for row in one.rows:
            if id(row) not in places:  # the row is kept with its place: no other gets its id
                places[id(row)] = (row, self._place_of(row, tables))
        found = tuple(place for row in one.rows for place in places[id(row)][1])
        return dataclasses.replace(one, rows=found, outer=outer)

    def _place_of(self, row: Any, tables: Sequence[str]) -> list[tuple[str, int]]:
        """Return (table, position) of a row; nothing where it is of none of the tables, or of several."""
        if isinstance(row, pd.Series):
            series = row
        else:
            parts = dict(row if isinstance(row, dict) else row._asdict())
            series = pd.Series(parts, name=parts.pop("Index", None), dtype=object)
        marked = series.attrs.get(MARK)
        found = []
        for table in [marked] if marked in self._origins.names else tables:
            places = (
                self._origins.rows(series.to_frame().T, table) if table in self._origins.names else [None]
            )
            found += [(table, place) for place in places if place is not None]
        return found if len(found) == 1 else []

    def sources(self, *given: Any, **choices: Any) -> Sources:
        """Return what a text is made from: its facts, and the names of their tables."""
        named = {name: self._facts(name, value) for name, value in choices.items()}
        facts = [fact for one in given for fact in self._facts("given", one)]
        facts += [self._of_plan(name, fact) for name, listed in named.items() for fact in listed]
        tables = dict.fromkeys(fact.table for fact in facts if fact.table is not None)
        return Sources((Facts(facts),), None, tuple(tables))

    def trace(self, text: str, sources: Sources, near: str = "") -> Traced:
        """Trace a text within `sources`."""
        level = next((fact for fact in self._plan if fact.name == "primary.alpha"), None)
        return trace(text, sources.layers, sources.printed, near=near, tables=sources.tables, level=level)

    def row_facts(self, frame: pd.DataFrame, place: int) -> list[Fact]:
        """Return the cells of one row of a frame."""
        return [fact for fact in self._facts("row", frame.iloc[[place]]) if fact.row is not None]

    def cell(self, row: pd.Series, column: str) -> Fact:
        """Return the fact of one cell of a row taken from a table."""
        facts = facts_of("row", row, self._origins)
        found = [fact for fact in facts if fact.kind == CELL and fact.column == column]
        if found:
            return found[0]
        places = self._origins.rows(row.to_frame().T, row.attrs[MARK])
        return Fact(_plain(row[column]), CELL, column, row.attrs[MARK], places[0], column)

    def named(self, name: str, value: Any, label: str, table: str) -> Fact:
        """Return the fact of a number that has a name: a value of a table that is no frame, or a count."""
        if table in self._known and name in self._known[table]:
            return Fact(_plain(value), CELL, name, table, column=name)
        frame = self._origins.table(table)
        if value == len(frame):
            return Fact(_plain(value), COUNT, "rows", table, how="rows")
        return Fact(_plain(value), COUNT, label, table, how=label)

    def _facts(self, name: str, given: Any) -> list[Fact]:
        if not isinstance(given, pd.DataFrame | pd.Series):
            for table, content in self._known.items():
                if isinstance(given, Mapping) and given == content:
                    return _of_structure(table, content)
            return facts_of(name, given, self._origins)
        if id(given) not in self._listed:  # the frame is kept with them: no other gets its id
            self._listed[id(given)] = (given, facts_of(name, given, self._origins))
        return self._listed[id(given)][1]

    def _of_plan(self, name: str, fact: Fact) -> Fact:
        """Return the plan's value for a choice of its name (``cut``: ``primary.cut_percent``)."""
        if fact.name != name:
            return fact
        same = [one for one in self._plan if one.value == fact.value]
        for called in (f"{name}$", f"primary[.]{name}_", f"{name}_"):
            found = [one for one in same if re.search(rf"(?:^|[.]){called}", one.name)]
            if len(found) == 1:
                return found[0]
        return fact


def moved(token: Token, by: int) -> Token:
    """Return a token as it stands in a text that begins `by` characters earlier."""
    return dataclasses.replace(token, start=token.start + by, end=token.end + by)


def _named(make: Callable, given: Sequence[Any]) -> dict[str, Any]:
    """Return the numbers among the unnamed arguments by their names."""
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    try:
        names = [one.name for one in signature(make).parameters.values() if one.kind in kinds]
    except ValueError:
        return {}
    return {name: value for name, value in zip(names, given) if is_number(value)}


def _of_structure(table: str, content: Mapping[str, Any]) -> list[Fact]:
    """List the values of a table that is a structure: each by its path."""
    facts = []
    for fact in facts_of("", content):
        path = fact.name.strip().replace(" ", ".")
        facts.append(Fact(fact.value, CELL, path, table, column=path))
    return facts


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
