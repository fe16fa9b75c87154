"""Which analyses of notebook 05 were run, on how many, and why the others were not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.biomarkers.rows import Analysis, join_notes, stack_rows
from analysis.contracts import check
from analysis.contracts.biomarkers import ANALYSES
from analysis.survival.checks import ten_digits

# Their N counts something else than subjects.
_OTHER_UNITS = ("lesion_progression",)


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
        p-value. SUBJECTS is the largest N of a row; of an analysis that counts lesions, the
        subjects of its own table where that names them.

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
                "SUBJECTS": _count_subjects(analyses[code], code, told) if len(told) else None,
                "ROWS": len(rows_of),
                "REASON": reason if reason or len(told) else _why_nothing(rows_of),
            }
        )
    return check("biomarker_layers", pd.DataFrame(rows))


def stack_estimates(analyses: Mapping[str, Analysis]) -> pd.DataFrame:
    """Stack the rows of all analyses in the order of the notebook, numbers to ten significant digits."""
    rows = stack_rows([analyses[code].estimates for code in ANALYSES if code in analyses])
    for name in ("ESTIMATE", "LOWER", "UPPER", "P", "Q_BH", "P_MAXT"):
        rows[name] = rows[name].map(ten_digits)
    return check("estimates_biomarkers", rows)


def _of(analyses: Mapping[str, Analysis], code: str) -> tuple[pd.DataFrame, str | None]:
    if code not in analyses:
        return stack_rows([]), None
    return analyses[code].estimates, analyses[code].reason


def _count_subjects(analysis: Analysis, code: str, told: pd.DataFrame) -> Any:
    if code in _OTHER_UNITS and "USUBJID" in analysis.table and len(analysis.table):
        return float(analysis.table["USUBJID"].nunique())
    return told["N"].max()


def _why_nothing(rows: pd.DataFrame) -> str | None:
    """Return what the notes of rows without any number say most often."""
    notes = rows["NOTE"].dropna()
    return join_notes(notes.value_counts().index[0]) if len(notes) else None
