"""Where the numbers are: rows of aggregate tables, counts and summaries with their rule, the plan."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis import contracts
from analysis.site.edition import Edition, plan_name
from analysis.site.pages import NOT_SHOWN, Site
from analysis.tables.format import MISSING

_HEAD = {"answers": "the answer", "cards": "the key numbers"}
DIGITS = 6  # significant ones of a number that the tables hold in full


def add_where(site: Site, edition: Edition, trail: list, row_limit: int) -> None:
    """Write the pages of one analysis that say where its numbers are.

    Parameters
    ----------
    site : Site
        Gets ``where/index.html``, ``where/computed.html`` and a page for every table shown.
    edition : Edition
        The analysis.
    trail : list of (label, path)
        Steps of the pages' path.
    row_limit : int
        A longer table is shown by the rows that numbers link to.
    """
    by_table: dict[str, list[str]] = defaultdict(list)
    others = []
    for name, value in edition.values.items():
        if edition.row_of(name) is not None:
            by_table[value["table"]].append(name)
        elif value["kind"] != "plan":
            others.append(name)
    index = f"{edition.base}where/index.html"
    steps = [*trail, ("Where the numbers are", index)]
    for table, names in sorted(by_table.items()):
        _add_table(site, edition, steps, table, names, row_limit)
    if others:
        page = f"{edition.base}where/computed.html"
        rows = [_entry(edition, name) for name in others]
        title = "Counts, summaries and computed numbers"
        site.add_page(page, "computed.html", edition, title, trail=steps, rows=rows)
        for row in rows:
            site.find(page, row["id"], f"{row['label']}: {row['printed']}. {row['how']}")
    rows = [_entry(edition, name) for name in edition.values]
    given = dict(rows=rows, tables=sorted(by_table), computed=bool(others), base=edition.base)
    site.add_page(index, "where.html", edition, "Where the numbers are", trail=trail, **given)
    for row in rows:
        site.find(index, "numbers", f"{row['label']}: {row['printed']}")


def _add_table(
    site: Site, edition: Edition, trail: list, table: str, names: list[str], row_limit: int
) -> None:
    page = f"{edition.base}where/{table}.html"
    frame, meaning, about = _frame(site, edition, table)
    used: dict[int, list[str]] = defaultdict(list)
    for name in names:
        used[edition.row_of(name)].append(name)
    kept = sorted(used) if len(frame) > row_limit else range(len(frame))
    places = {row: _used_in(edition, found) for row, found in used.items()}
    shown = frame.iloc[list(kept)].dropna(axis="columns", how="all")
    cells = [
        (row, [printed(value) for value in values], places.get(row, []))
        for row, values in zip(kept, shown.itertuples(index=False, name=None), strict=True)
    ]
    made = edition.values[names[0]]
    given = dict(
        table=table, meaning=meaning, about=about, columns=list(shown.columns), cells=cells, total=len(frame),
        made=_made(edition, made), any_used=bool(places),
    )  # fmt: skip
    site.add_page(page, "table.html", edition, table, trail=trail, **given)
    site.find(page, "rows", f"{table}: {meaning}")


def _frame(site: Site, edition: Edition, table: str) -> tuple[pd.DataFrame, str, list[tuple[str, str]]]:
    """Return a table, what a row of it is, and what its columns mean."""
    content = edition.table(table)
    if isinstance(content, Mapping):
        texts = [_flat(value) for value in content.values()]
        shown = [text if site.may_show(text) else NOT_SHOWN for text in texts]
        frame = pd.DataFrame({"NAME": list(content), "VALUE": shown})
        return frame, "a value of the decision", [("NAME", "what it is"), ("VALUE", "its value")]
    contract = contracts.contract_of(table)
    known = [name for name in contract.columns if name in content]
    about = [(name, contract.columns[name].description or "") for name in known]
    return content, contract.description or "", about


def _entry(edition: Edition, name: str) -> dict[str, Any]:
    """Return one number as the lists show it."""
    value = edition.values[name]
    page = value["table"] if edition.row_of(name) is not None else None
    told = [f"{key} = {printed(one)}" for key, one in (value.get("key") or {}).items()]
    return {
        "id": name,
        "kind": value["kind"],
        "printed": "; ".join(value.get("texts") or []) or printed(value["value"]),
        "value": printed(value["value"]),
        "label": value["label"],
        "how": value.get("how") or ", ".join(told),
        "where": _place(name, value),
        "address": edition.address(name),
        "table": page,
        "made": _made(edition, value),
        "used": _used_in(edition, [name]),
    }


def _place(name: str, value: Mapping[str, Any]) -> str:
    """Say where a number stands: plan, table with row and column, or the table it was counted in."""
    if value["kind"] == "plan":
        return f"plan, {plan_name(name, value)}"
    if value["kind"] != "cell":
        return value["table"] or "computed"
    parts = [value["table"], None if value["row"] is None else f"row {value['row']}", value["column"]]
    return ", ".join(str(part) for part in parts if part)


def _made(edition: Edition, value: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """Return the notebook and cell that made a number, with the address of the executed copy."""
    if not value.get("notebook") or value["kind"] == "plan":
        return None
    parts = (value["notebook"].removesuffix(".ipynb"), value.get("cell"))
    return ", ".join(part for part in parts if part), edition.notebook_page(
        value["notebook"], value.get("cell")
    )


def _used_in(edition: Edition, names: list[str]) -> list[tuple[str, str]]:
    """Return the places of the report that print one of these numbers, as (words, address)."""
    content = edition.content
    places = dict.fromkeys(place for name in names for place in edition.values[name].get("used_in") or [])
    known = {**(content.get("figures") or {}), **(content.get("tables") or {})}
    sections = {one["id"]: one["title"] for one in content.get("sections") or []}
    found = []
    for place in places:
        if place in known or place in sections:
            words, anchor = known[place]["name"] if place in known else sections[place], place
        else:
            words, anchor = _HEAD.get(place, place), "question"
        found.append((words, f"{edition.base}index.html#{anchor}"))
    return list(dict.fromkeys(found))


def printed(value: Any) -> str:
    """Print a value of a table: numbers with six significant digits, a missing one as a dash.

    Examples
    --------
    >>> printed(1.7202891), printed(44.0), printed(float("nan"))
    ('1.72029', '44', '–')
    """
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float) or hasattr(value, "item"):
        return f"{value:.{DIGITS}g}" if abs(value) < 10**DIGITS else f"{value:.0f}"
    return str(value)


def _flat(value: Any) -> str:
    """Print a structure of a JSON table in a line."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_flat(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_flat, value))
    return printed(value)
