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
        Name, value, unit, origin, reason; empty if every value is the default.
    """
    table = run.plan.describe()
    return table.loc[table["origin"] != "default", ["name", "value", "unit", "origin", "reason"]].reset_index(
        drop=True
    )
