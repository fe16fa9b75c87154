"""Put what the analyses of notebook 05 gave together: rows, queries, ledgers, what stands out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from analysis import plan
from analysis.biomarkers.files.plasma_table import read_plasma
from analysis.biomarkers.rows import Analysis, join_notes, stack_rows
from analysis.contracts import check, columns, empty

# Variables of SDTM and ADSL that hold a death.
_DEATH = ("DTHDT", "DTHDTC")


def read_plasma_if_there(path: str | Path, *, rules=None) -> pd.DataFrame | None:
    """Read the plasma table where the study has one; None where it has not."""
    return read_plasma(path, rules=rules) if Path(path).is_file() else None


def stack_queries(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Stack query tables under their contract; none at all gives an empty one."""
    return _stacked("queries_05", tables)


def stack_exclusions(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Stack parts of the ledger under its contract; what stands in two of them word for word counts once."""
    return _stacked("exclusions_05", tables).drop_duplicates(ignore_index=True)


def stack_curves(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Stack curves under the contract of curves_biomarkers; none at all gives an empty table."""
    return complete("curves_biomarkers", _stacked("curves_biomarkers", tables))


def select_drawn_curves(curves: pd.DataFrame, *, rules=None) -> pd.DataFrame:
    """Return the curves worth drawing: of a set and endpoint with two groups of the prevalence floor or more.

    Parameters
    ----------
    curves : DataFrame
        Table curves_biomarkers.
    rules : Section, optional
        The plan's section ``biomarkers``: ``min_prevalence_n``.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    sizes = curves.groupby(["CURVE", "ENDPOINT", "GROUP"])["AT_RISK"].max()
    enough = sizes.ge(rules.min_prevalence_n).groupby(["CURVE", "ENDPOINT"]).sum().ge(2)
    drawn = enough[enough].index
    return curves[pd.MultiIndex.from_frame(curves[["CURVE", "ENDPOINT"]]).isin(drawn)]


def join_analyses(*analyses: Analysis) -> Analysis:
    """Join parts of one analysis: rows and tables of those that have some, and their reasons.

    A part that has no row lends its reason only where no part has any.
    """
    having = [one for one in analyses if len(one.estimates)] or list(analyses)
    tables = [one.table for one in having if len(one.table)]
    return Analysis(
        stack_rows(one.estimates for one in having),
        pd.concat(tables, ignore_index=True) if tables else having[0].table,
        join_notes(*[one.reason for one in having]),
    )


def rank_markers(estimates: pd.DataFrame) -> pd.DataFrame:
    """Return the tested rows that carry an adjusted p-value, the smallest first; the profile apart.

    Adjusted is the maxT p where there is one, else the q-value: visits of plasma have different patients, so
    that no permutation is common to them.
    """
    adjusted = estimates["P_MAXT"].fillna(estimates["Q_BH"])
    asked = estimates["TESTED"].eq("Y") & estimates["ANALYSIS"].ne("profile") & adjusted.notna()
    tested = estimates.assign(ADJUSTED=adjusted)[asked]
    ordered = tested.sort_values(["ADJUSTED", "P", "MARKER", "OUTCOME"], kind="stable", ignore_index=True)
    return ordered.drop(columns="ADJUSTED")


def complete(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` under the contract of `table`; one that was not derived is an empty table."""
    return empty(table) if frame.empty else check(table, frame)


def list_progressed(adtte: pd.DataFrame, endpoint: str) -> pd.Series | None:
    """Tell whose event of `endpoint` was a progression and no death, where the table says which it was.

    Returns
    -------
    Series of bool or None
        Index USUBJID; None where the source of an event is not told (a ready table of times).
    """
    rows = adtte[adtte["PARAMCD"].eq(endpoint)].set_index("USUBJID")
    if not rows["SRCVAR"].isin(_DEATH).any() and not rows["SRCDOM"].eq("ADRS").any():
        return None
    return rows["CNSR"].eq(0) & ~rows["SRCVAR"].isin(_DEATH)


def _stacked(table: str, parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame(columns=columns(table), dtype=object)
    return check(table, pd.concat(filled, ignore_index=True))
