"""What every analysis of notebook 05 gives: rows of estimates, its own table, a reason if it was not run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from analysis.contracts import contract_of

COLUMNS = list(contract_of("estimates_biomarkers").columns)
_TEXT_DEFAULTS = {"TIER": "SINGLE", "ROLE": "EXPLORATORY", "TESTED": "Y"}
_NUMBERS = ("ESTIMATE", "LOWER", "UPPER", "P", "Q_BH", "P_MAXT", "N", "N_POS", "EVENTS")


class Analysis(NamedTuple):
    """The result of one analysis.

    Attributes
    ----------
    estimates : DataFrame
        Rows of table estimates_biomarkers; none where the analysis does not apply.
    table : DataFrame
        The analysis's own table, empty with its columns where there is none.
    reason : str or None
        Why it, or a part of it, was not run: a sentence for the reader.
    """

    estimates: pd.DataFrame
    table: pd.DataFrame
    reason: str | None = None


def as_rows(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return dictionaries as rows of estimates_biomarkers; what a row does not name is missing.

    Every row is EXPLORATORY, of tier SINGLE and TESTED unless it says otherwise.

    Raises
    ------
    KeyError
        For a name that is no column of the table.
    """
    filled = []
    for row in rows:
        unknown = set(row) - set(COLUMNS)
        if unknown:
            raise KeyError(f"no columns of estimates_biomarkers: {sorted(unknown)}")
        filled.append({**dict.fromkeys(COLUMNS), **_TEXT_DEFAULTS, **row})
    frame = pd.DataFrame(filled, columns=COLUMNS).astype(object)
    frame[list(_NUMBERS)] = frame[list(_NUMBERS)].astype(float)
    return frame.where(frame.notna(), None).astype(dict.fromkeys(_NUMBERS, float))


def stack_rows(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Stack tables of estimates row by row; none at all gives an empty one."""
    return as_rows([row for table in tables for row in table.to_dict("records")])


def nothing(reason: str, table: pd.DataFrame | None = None) -> Analysis:
    """Return an analysis that does not apply, with its reason."""
    return Analysis(as_rows([]), pd.DataFrame() if table is None else table, reason)


def join_notes(*notes: str | None) -> str | None:
    """Join the notes that are there."""
    kept = [note for note in notes if isinstance(note, str) and note]
    return "; ".join(kept) if kept else None
