"""What was run: the colophon at the end of every notebook and of the report."""

from __future__ import annotations

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
        ("plan", f"version {run.plan.design.version}, digest of the sections used {run.plan.digest()}"),
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
