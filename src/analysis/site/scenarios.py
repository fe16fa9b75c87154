"""Scenarios side by side: what each changes, and what that does to the result."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.figures import forest
from analysis.report import PX_PER_MM, plain
from analysis.site.edition import Edition
from analysis.site.pages import Site
from analysis.tables.format import MISSING, p_value, ratio

PAGE = "scenarios.html"
_MM_PER_INCH = 25.4


def add_scenarios(site: Site, editions: Sequence[Edition], planned: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the page that compares the analyses.

    Parameters
    ----------
    site : Site
        Gets ``scenarios.html`` and a picture for every endpoint.
    editions : sequence of Edition
        The analyses that were run, the primary one first.
    planned : mapping
        Scenario of the plan -> its overrides, whether it was run or not.
    """
    primary = editions[0]
    cards = list(dict.fromkeys(card["label"] for one in editions for card in _shares(one)))
    endpoints = []
    for endpoint in _endpoints(primary):
        rows = [(edition, _result(edition, endpoint)) for edition in editions]
        rows = [(edition, result) for edition, result in rows if result is not None]
        picture = _picture(site, endpoint, rows)
        lines = [
            (_name(edition), [*_cells(edition, result), *(_card(edition, label) for label in cards)])
            for edition, result in rows
        ]
        endpoints.append((endpoint, lines, picture))
    about = [(_name(edition), edition.base, _changes(edition)) for edition in editions]
    missing = [(name, planned[name]) for name in planned if name not in {one.name for one in editions}]
    given = dict(endpoints=endpoints, about=about, missing=missing, cards=cards)
    site.add_page(PAGE, "scenarios.html", primary, "Scenarios side by side", **given)
    for name, _, changes in about:
        site.find(PAGE, "about", f"{name}: {', '.join(change['name'] for change in changes)}")


def _endpoints(edition: Edition) -> list[str]:
    """List the endpoints with a named result, in the order of the plan."""
    return [name for name in edition.plan.primary.endpoints if _result(edition, name) is not None]


def _result(edition: Edition, endpoint: str) -> dict[str, dict[str, Any]] | None:
    """Return the named numbers of an endpoint's main result: n, events, hr, lower, upper, p."""
    names = {part: f"{endpoint.lower()}_{part}" for part in ("n", "events", "hr", "lower", "upper", "p")}
    if names["hr"] not in edition.values:
        return None
    missing = {"value": None}
    return {part: {"id": name} | dict(edition.values.get(name, missing)) for part, name in names.items()}


def _cells(edition: Edition, result: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str | None]]:
    """Return n, events, ratio with interval and p as (printed, address)."""
    numbers = {part: _number(one["value"]) for part, one in result.items()}
    texts = {
        "n": _count(numbers["n"]),
        "events": _count(numbers["events"]),
        "hr": ratio(numbers["hr"], numbers["lower"], numbers["upper"]),
        "p": p_value(numbers["p"]),
    }
    return [
        (text, None if text == MISSING else edition.address(result[part]["id"]))
        for part, text in texts.items()
    ]


def _shares(edition: Edition) -> list[Mapping[str, Any]]:
    """List the key numbers that are shares of patients: the non-responders."""
    return [card for card in edition.content.get("cards") or [] if "%" in plain(card["value"])]


def _card(edition: Edition, label: str) -> tuple[str, str | None]:
    card = next((one for one in _shares(edition) if one["label"] == label), None)
    if card is None:
        return MISSING, None
    pieces = [] if isinstance(card["value"], str) else card["value"]
    linked = [piece[1] for piece in pieces if not isinstance(piece, str)]
    return plain(card["value"]), edition.address(linked[0]) if linked else None


def _changes(edition: Edition) -> list[Mapping[str, Any]]:
    scenario = edition.content.get("scenario")
    return scenario["changes"] if scenario else []


def _name(edition: Edition) -> str:
    return edition.name if edition.base else "primary analysis"


def _picture(site: Site, endpoint: str, rows: list) -> dict[str, Any] | None:
    """Draw the hazard ratios of one endpoint; None where there is nothing to compare."""
    if len(rows) < 2:
        return None
    lines = [
        {"LABEL": _name(edition), "ROLE": "SENSITIVITY" if edition.base else "PRIMARY"}
        | {column: _number(result[part]["value"]) for column, part in _COLUMNS.items()}
        for edition, result in rows
    ]
    frame = pd.DataFrame(lines)
    figure = forest.plot_forest(frame)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    path = f"scenarios/{endpoint.lower()}.svg"
    site.files[path] = buffer.getvalue()
    width, height = (side * _MM_PER_INCH * PX_PER_MM for side in figure.get_size_inches())
    return {"path": path, "alt": forest.alt_forest(frame), "caption": forest.caption_forest(frame),
            "width": round(width), "height": round(height)}  # fmt: skip


_COLUMNS = {"N": "n", "EVENTS": "events", "ESTIMATE": "hr", "LOWER": "lower", "UPPER": "upper", "P": "p"}


def _number(value: Any) -> float:
    return math.nan if value is None or isinstance(value, str) else float(value)


def _count(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.0f}"
