"""Which analyses of notebook 05 were run, on how many, and why the others were not."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis.biomarkers.rows import Analysis, join_notes, stack_rows
from analysis.contracts import check
from analysis.contracts.biomarkers import ANALYSES


def tabulate_layers(analyses: Mapping[str, Analysis]) -> pd.DataFrame:
    """Tabulate the analyses in the order of the notebook: run or not, and the reason.

    Parameters
    ----------
    analyses : mapping
        Code of an analysis (`analysis.contracts.biomarkers.ANALYSES`) -> its result. A code that is not given
        was not asked for: not run, without a reason.

    Returns
    -------
    DataFrame
        Table biomarker_layers. An analysis counts as run when at least one of its rows has an estimate or a
        p-value.

    Raises
    ------
    KeyError
        For a code that is no analysis of the notebook.
    """
    unknown = set(analyses) - set(ANALYSES)
    if unknown:
        raise KeyError(f"no analyses of notebook 05: {sorted(unknown)}")
    rows = []
    for code, title in ANALYSES.items():
        rows_of, reason = _of(analyses, code)
        told = rows_of[rows_of[["ESTIMATE", "P"]].notna().any(axis=1)]
        rows.append(
            {
                "ANALYSIS": code,
                "TITLE": title,
                "STATUS": "RUN" if len(told) else "NOT RUN",
                "SUBJECTS": told["N"].max() if len(told) else None,
                "ROWS": len(rows_of),
                "REASON": reason if reason or len(told) else _why_nothing(rows_of),
            }
        )
    return check("biomarker_layers", pd.DataFrame(rows))


def stack_estimates(analyses: Mapping[str, Analysis]) -> pd.DataFrame:
    """Stack the rows of all analyses in the order of the notebook, under the contract of the table."""
    found = [analyses[code].estimates for code in ANALYSES if code in analyses]
    return check("estimates_biomarkers", stack_rows(found))


def _of(analyses: Mapping[str, Analysis], code: str) -> tuple[pd.DataFrame, str | None]:
    if code not in analyses:
        return stack_rows([]), None
    return analyses[code].estimates, analyses[code].reason


def _why_nothing(rows: pd.DataFrame) -> str | None:
    """Return what the notes of rows without any number say most often."""
    notes = rows["NOTE"].dropna()
    return join_notes(notes.value_counts().index[0]) if len(notes) else None
