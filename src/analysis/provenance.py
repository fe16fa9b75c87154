"""What was run: the colophon at the end of every notebook and of the report."""

from __future__ import annotations

import html
import platform
from importlib import metadata

import pandas as pd

from analysis.storage import Run

LIBRARIES = ("numpy", "pandas", "scipy", "lifelines", "statsmodels", "pydicom", "highdicom", "papermill")


def colophon(run: Run) -> pd.DataFrame:
    """Tabulate study, scenario, plan and software of a run; no time, host or user.

    Parameters
    ----------
    run : storage.Run
        The run of this notebook.

    Returns
    -------
    pandas.DataFrame
        Two columns, ``what`` and ``value``.
    """
    rows = [
        ("study", run.study),
        ("scenario", run.scenario),
        (
            "plan",
            f"version {run.plan.design.version} of {run.plan.design.date}, digest of the sections used "
            f"{run.plan.digest()}",
        ),
        *[(f"post hoc: {one.name}", f"{one.first} -> {one.now}") for one in run.deviations],
        ("compendium", metadata.version("pearl-compendium")),
        ("Python", ".".join(platform.python_version_tuple()[:2])),
        *[(name, metadata.version(name)) for name in LIBRARIES],
    ]
    return pd.DataFrame(rows, columns=["what", "value"])


def plan_in_force(run: Run) -> pd.DataFrame:
    """Tabulate the plan's values that this run may read and that are not at their default.

    Parameters
    ----------
    run : storage.Run
        The run of this notebook.

    Returns
    -------
    pandas.DataFrame
        Value, unit, origin and reason by name; one row that says so if every value is at its default.
    """
    table = run.plan.describe()
    columns = ["name", "value", "unit", "origin", "reason"]
    changed = table.loc[table["origin"] != "default", columns]
    if changed.empty:
        count = f"{len(table)} values of sections {', '.join(run.plan.sections())}"
        changed = pd.DataFrame([("(every value)", "at its default", "", "default", count)], columns=columns)
    return changed.set_index("name")


def defaults_used(run: Run, section: str) -> str:
    """List the values of one section that stand at their documented default, to unfold in a notebook.

    Parameters
    ----------
    run : storage.Run
        The run of this notebook.
    section : str
        Section of the plan.

    Returns
    -------
    str
        HTML: how many there are, and a table of name, value, unit, reason and source when opened. Values that
        are tables of rules are shown where they are used; here stands only how many lines they have.
    """
    table = run.plan.describe([section])
    table = table[table["origin"].eq("default")]
    rows = [
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in zip(
            table["name"], table["value"].map(_shortened), table["unit"], table["reason"], table["source"]
        )
    ]
    head = "".join(f"<th>{name}</th>" for name in ("name", "value", "unit", "reason", "source"))
    return (
        f"<details><summary>{len(table)} values of section {html.escape(section)} at their default"
        f"</summary><table><tr>{head}</tr>{''.join(rows)}</table></details>"
    )


def _shortened(value) -> str:
    if isinstance(value, dict) and any(isinstance(inside, dict) for inside in value.values()):
        return f"a table of {len(value)} parts"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shortened(inside)}" for key, inside in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value == "" else str(value)
