"""The deviation log: values of the plan that were changed after outcomes had first been analysed.

The first run of a step that relates anything to an outcome leaves the plan as it was then beside the derived
tables. From then on every run compares: what differs is post hoc, and every output says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.plan import Plan

FILE = "plan_at_first_analysis.json"
OUTCOME_STEPS = ("03", "04", "05")
# Sections that say how things look, or what is simulated, decide nothing about a result.
_SCIENCE = (
    *("design", "visits", "clinical", "pet", "response", "primary", "pilot", "survival"),
    *("specification", "misclassification", "biomarkers"),
)
MARK = "post hoc change of the plan"


@dataclass(frozen=True)
class Deviation:
    """A value of the plan that is not what it was when outcomes were first analysed.

    Attributes
    ----------
    name : str
        ``section.name``.
    first, now : object
        The value then and today.
    reason : str
        The reason the study's file gives for today's value.
    """

    name: str
    first: Any
    now: Any
    reason: str


def record(plan: Plan) -> str:
    """Return the plan as JSON text: version, date and every value that can change a result.

    Parameters
    ----------
    plan : Plan
        The whole plan of the study, without overrides.
    """
    kept = {"version": plan.design.version, "date": plan.design.date, "values": _values(plan)}
    return json.dumps(kept, indent=1, sort_keys=True) + "\n"


def read_first(places: Iterable[Path]) -> dict[str, Any] | None:
    """Read the plan of the first analysis from the first of `places` that has it; None where none has."""
    found = next((path for path in places if path.is_file()), None)
    return None if found is None else json.loads(found.read_text())["values"]


def compare(first: dict[str, Any], plan: Plan) -> list[Deviation]:
    """List the values that differ from those of the first analysis.

    Parameters
    ----------
    first : dict
        From `read_first`. A value it does not have (a newer compendium brought it) is no deviation.
    plan : Plan
        The plan today, without overrides: what a scenario or a parameter overrides is a sensitivity
        analysis, named as such.

    Returns
    -------
    list of Deviation
        In the order of the plan.
    """
    return [
        Deviation(key, first[key], value, plan.changed.get(key, ""))
        for key, value in _values(plan).items()
        if key in first and key not in plan.overrides and first[key] != value
    ]


def say(changed: list[Deviation]) -> str:
    """Say in one sentence what was changed; empty where nothing was."""
    if not changed:
        return ""
    what = "; ".join(f"{one.name} {one.first} -> {one.now}" for one in changed)
    return f"Changed after outcomes were first analysed (post hoc): {what}."


def mark(estimates: pd.DataFrame, changed: list[Deviation]) -> pd.DataFrame:
    """Say in the LABEL of every row that the plan behind it was changed post hoc.

    Parameters
    ----------
    estimates : DataFrame
        Rows with LABEL. Which row a value touches is not traced: all of them are marked.
    changed : list of Deviation
        From `compare`.

    Returns
    -------
    DataFrame
        `estimates`, or a copy with the labels completed.
    """
    if not changed:
        return estimates
    names = ", ".join(one.name for one in changed)
    return estimates.assign(LABEL=estimates["LABEL"].fillna("") + f"; {MARK}: {names}")


def _values(plan: Plan) -> dict[str, Any]:
    words = set(plan.design.administrative)
    kept = {
        key: value
        for key, value in plan.values.items()
        if key.split(".", 1)[0] in _SCIENCE and key not in words
    }
    return json.loads(json.dumps(kept, default=str))
