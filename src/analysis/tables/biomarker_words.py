"""The words a reader sees for markers, methods and statistics of notebook 05, and which rows answer what.

The words of analyses, methods and statistics are those of the contract (`analysis.contracts.biomarkers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.contracts.biomarkers import ANALYSES, METHODS, STATISTICS
from analysis.tables.format import MISSING, interval, number, ratio
from analysis.tables.words import label_of, phrase_of

RATIOS = ("odds_ratio", "hazard_ratio")
NEUTRAL = {"odds_ratio": 1.0, "hazard_ratio": 1.0, "auc": 0.5}  # the others: 0
SHORT = {
    "odds_ratio": "OR",
    "hazard_ratio": "HR",
    "shift": "shift",
    "difference": "difference",
    "auc": "AUC",
    "rho": "ρ",
    "proportion": "share",
    "median_days": "median",
    "logit_difference": "logit difference",
    "log_difference": "log difference",
    "kappa": "κ",
}
_UNITS = {"shift": " points", "median_days": " days"}
_TWO_DECIMALS = ("auc", "rho", "kappa", "logit_difference", "log_difference")
_OUTCOMES = {
    "NONRESPONSE": "metabolic non-response",
    "PCTCHANGE": "change in uptake",
    "TUMFRAC": "tumour fraction",
    "VAF": "largest variant allele fraction",
    "TUMFRAC_CHANGE": "change in tumour fraction",
    "TUMFRAC_CHANGE_DETECTED": "change in tumour fraction, ctDNA at both visits",
    "CTDNA": "ctDNA",
    "DROVE": "driving progression",
    "PROG": "progression",
    "PRIMARY": "the primary tumour",
}
_MARKERS = {
    "CTDNA": "ctDNA",
    "TUMFRAC": "tumour fraction",
    "CLEARANCE": "ctDNA clearance",
    "NONRESPONSE": "metabolic non-response",
    "NONRESPONSE x CTDNA": "metabolic non-response by ctDNA",
    "EARLYRES": "lesion resistant at the early scan",
    "NEWFL": "new lesion",
}
_COPIES = {"_AMP": "amplified", "_DEL": "deleted"}


def outcome_words(outcome: str) -> str:
    """Return the words for an outcome as they stand inside a sentence.

    Examples
    --------
    >>> outcome_words("NONRESPONSE"), outcome_words("PFS"), outcome_words("TTLG41")
    ('metabolic non-response', 'PFS', 'total TLG (41 %)')
    """
    return _OUTCOMES.get(outcome, phrase_of(outcome))


def marker_words(row: Mapping[str, Any]) -> str:
    """Name a marker: its gene or name, what of a gene where it is no mutation, and its visit.

    Examples
    --------
    >>> marker_words({"MARKER": "ESR1", "PARTYPE": "MUT"})
    'ESR1'
    >>> marker_words({"MARKER": "CTDNA", "PARTYPE": "CTDNA", "AVISIT": "D14"})
    'ctDNA, day 14'
    """
    name, kind = str(row["MARKER"]), row.get("PARTYPE")
    if kind == "CNA" and name[-4:] in _COPIES:
        return f"{name[:-4]} {_COPIES[name[-4:]]}"
    if ", " in name:  # a group of two classes
        words = ", ".join(label_of(part) for part in name.split(", "))
    else:
        words = _MARKERS.get(name) or label_of(name).replace("_", " ")
    words = f"{words.lower()} score" if kind == "SIGN" else words
    words += {"CNA": " copy number", "EXPR": " expression"}.get(kind, "")
    visit = row.get("AVISIT")
    return words + (f", {phrase_of(visit)}" if kind == "CTDNA" and isinstance(visit, str) else "")


def write_effect(row: Mapping[str, Any], *, named: bool = True) -> str:
    """Write an estimate with its interval, led by the short name of its statistic.

    Parameters
    ----------
    row : mapping
        STATISTIC ESTIMATE LOWER UPPER TESTED of an estimate.
    named : bool
        Lead with the name.

    Examples
    --------
    >>> write_effect({"STATISTIC": "odds_ratio", "ESTIMATE": 2.5, "LOWER": 1.1, "UPPER": 5.7})
    'OR 2.50 (1.10–5.70)'
    >>> write_effect({"STATISTIC": "proportion", "ESTIMATE": 0.5, "LOWER": 0.25, "UPPER": 0.75}, named=False)
    '50.0 % (25.0–75.0)'
    """
    value, low, high = (row.get(name) for name in ("ESTIMATE", "LOWER", "UPPER"))
    statistic = row.get("STATISTIC")
    if pd.isna(value):
        return "not tested" if row.get("TESTED") == "N" else "not estimable"
    if statistic in RATIOS:
        text = ratio(value, low, high)
    elif statistic == "proportion":
        head, _, bounds = interval(*(_times(x, 100) for x in (value, low, high))).partition(" ")
        text = f"{head} % {bounds}".rstrip()
    else:
        text = interval(value, low, high, decimals=2 if statistic in _TWO_DECIMALS else 1)
        text += _UNITS.get(statistic, "")
    return f"{SHORT.get(statistic, statistic)} {text}" if named else text


def count_words(row: Mapping[str, Any]) -> str:
    """Write ``with / n``: subjects with the marker and all, or ``n`` alone where it has levels.

    Examples
    --------
    >>> count_words({"N_POS": 9.0, "N": 31.0}), count_words({"N_POS": None, "N": 31.0})
    ('9 / 31', '31')
    """
    with_marker, total = row.get("N_POS"), row.get("N")
    there = MISSING if pd.isna(total) else number(total, 0)
    return there if pd.isna(with_marker) else f"{number(with_marker, 0)} / {there}"


def choose_rows(estimates: pd.DataFrame, outcome: str, method: str | None = None) -> pd.DataFrame:
    """Return the rows of one outcome by one method and statistic: those a figure compares.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers.
    outcome : str
        OUTCOME.
    method : str, optional
        METHOD; without it, the one with most q-values (the earlier in the contract where they are equal).

    Returns
    -------
    DataFrame
        The rows, tested or not, with a fresh index; none where there is no such row.
    """
    own = estimates[estimates["OUTCOME"].eq(outcome)]
    own = own if method is None else own[own["METHOD"].eq(method)]
    if own.empty:
        return own.reset_index(drop=True)
    adjusted = own.assign(SEEN=own["Q_BH"].notna().astype(int))
    counts = adjusted.groupby(["METHOD", "STATISTIC"])["SEEN"].sum()
    order = lambda pair: (-counts[pair], _place(pair[0], METHODS), _place(pair[1], STATISTICS))
    first, statistic = min(counts.index, key=order)
    return own[own["METHOD"].eq(first) & own["STATISTIC"].eq(statistic)].reset_index(drop=True)


def tested_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were tested and have an estimate and a p-value."""
    there = rows["TESTED"].eq("Y") & rows["P"].notna() & rows["ESTIMATE"].notna()
    return rows[there].reset_index(drop=True)


def effect_title(statistic: str, outcome: str) -> str:
    """Return what an axis of effects shows.

    Examples
    --------
    >>> effect_title("hazard_ratio", "PFS"), effect_title("shift", "PCTCHANGE")
    ('Hazard ratio of PFS', 'Shift of the change in uptake, percentage points')
    """
    words, _, unit = STATISTICS.get(statistic, statistic).partition(", ")
    joint = {"auc": "for", "rho": "with"}.get(statistic, "of")
    of = f"the {outcome_words(outcome)}" if outcome == "PCTCHANGE" else outcome_words(outcome)
    return f"{words[:1].upper()}{words[1:]} {joint} {of}{f', {unit}' if unit else ''}"


def analysis_words(code: str) -> str:
    """Return the title of an analysis; an unknown code stays."""
    return ANALYSES.get(code, code)


def neutral_of(statistic: str) -> float:
    """Return the value of a statistic that means no effect."""
    return NEUTRAL.get(statistic, 0.0)


def _place(code: str, known: Mapping[str, str]) -> int:
    return list(known).index(code) if code in known else len(known)


def _times(value: Any, factor: float) -> float | None:
    return None if value is None or pd.isna(value) else factor * float(np.float64(value))
