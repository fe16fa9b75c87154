"""The plan in force, value by value, and the dictionary of the tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from analysis import contracts
from analysis.site.edition import Edition
from analysis.site.pages import NOT_SHOWN, Site
from analysis.steps import STEPS, writer_of

LONG = 60  # characters of a value on one line; a longer one is set in lines


def add_plan(site: Site, edition: Edition, scenarios: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the page of the plan.

    Parameters
    ----------
    site : Site
        Gets ``plan.html``.
    edition : Edition
        The primary analysis.
    scenarios : mapping
        Scenario -> its overrides.
    """
    described = edition.plan.describe()
    described = described[~described["name"].eq("scenarios.list")]
    changes: dict[str, list[str]] = {}
    for scenario, overrides in scenarios.items():
        for name, value in overrides.items():
            changes.setdefault(name, []).append(f"{scenario}: {_shown(value)}")
    rows = [row | {"shown": _shown(row["value"])} for row in described.to_dict("records")]
    rows = [row if site.may_show(row["shown"]) else row | {"shown": NOT_SHOWN} for row in rows]
    sections = [
        (section, [row for row in rows if row["name"].split(".")[0] == section])
        for section in edition.plan.sections()
    ]
    sections = [(section, inside) for section, inside in sections if inside]
    title = "The analysis plan in force"
    site.add_page("plan.html", "plan.html", edition, title, sections=sections, changes=changes)
    for row in rows:
        site.find("plan.html", row["name"], f"{row['name']}: {row['reason']}")


def add_dictionary(site: Site, edition: Edition) -> None:
    """Write the page that says what every table of this study holds, column by column."""
    steps = [step for step in STEPS if step in (*edition.plan.design.steps, "06")]
    written = [table for step in steps for table in STEPS[step].writes]
    tables = []
    for table in (one for one in written if one in contracts.CONTRACTS):
        contract = contracts.contract_of(table)
        columns = [(name, column.description or "") for name, column in contract.columns.items()]
        notebook = f"{STEPS[writer_of(table)].notebook}.ipynb"
        made = (notebook.removesuffix(".ipynb"), edition.notebook_page(notebook))
        tables.append((table, contract.description or "", columns, made))
        site.find("data.html", table, f"{table}: {contract.description or ''}")
    site.add_page("data.html", "data.html", edition, "Data dictionary", tables=tables)


def _shown(value: Any) -> str:
    """Print a value of the plan: a short one on a line, a long one in lines."""
    if isinstance(value, str):
        return value
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= LONG:
        return text
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {json.dumps(inner, ensure_ascii=False)}" for key, inner in value.items())
    if isinstance(value, Sequence):
        return "\n".join(json.dumps(inner, ensure_ascii=False) for inner in value)
    return text
