"""How an effect of notebook 05 is written: its number, its interval and the short name of its statistic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.tables.format import INFINITE, MISSING, interval, number

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
# A method whose ratio is of its own kind.
_NAMES = {"cox_interaction": "ratio of HRs", "mcnemar_exact": "ratio"}
_FIRTH = "firth_logistic"
_KEY = ("ANALYSIS", "MARKER", "PARTYPE", "SAMPTYPE", "AVISIT", "OUTCOME")  # what a companion row shares
_UNITS = {"shift": " points", "median_days": " days"}
_TWO_DECIMALS = ("auc", "rho", "kappa", "logit_difference", "log_difference")


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
        alone = statistic in RATIOS and pd.notna(row.get("P"))  # several classes
        none = "no single ratio"
        alone = alone and (f"{classes} classes, {none}" if (classes := _count_classes(row)) else none)
        return "not tested" if row.get("TESTED") == "N" else alone or "not estimable"
    if statistic in RATIOS:
        text = _ratio(value, low, high)
    elif statistic == "proportion":
        head, _, bounds = interval(*(_times(x, 100) for x in (value, low, high))).partition(" ")
        text = f"{head} % {bounds}".rstrip()
    else:
        text = interval(value, low, high, decimals=_decimals(statistic, (value, low, high)))
        text += _UNITS.get(statistic, "")
    name = _NAMES.get(row.get("METHOD")) or SHORT.get(statistic, statistic)
    return f"{name} {text}" if named else text


def _count_classes(row: Mapping[str, Any]) -> int:
    """Count the classes of a course between two visits; 0 where the row is of something else."""
    return 4 if str(row.get("MARKER")).startswith("CLASSES_") else 0  # two results at two visits


def _ratio(value: float, low: Any, high: Any) -> str:
    """Write a ratio: at 0 or infinity by its one finite bound; never 0.00, nor decimals that say nothing."""
    if value == 0 or math.isinf(value):
        head, bound, word = ("0", high, "at most") if value == 0 else (INFINITE, low, "at least")
        if pd.isna(bound):
            return f"{head} (no interval)"
        return head if math.isinf(bound) or bound == 0 else f"{head} ({word} {_short_ratio(bound)})"
    if pd.isna(low) and pd.isna(high):
        return _short_ratio(value)
    dash = "–" if pd.notna(high) and math.isfinite(high) and pd.notna(low) else " to "
    return f"{_short_ratio(value)} ({_short_ratio(low)}{dash}{_short_ratio(high)})"


def _short_ratio(value: Any) -> str:
    if pd.notna(value) and value == 0:
        return "0"
    if pd.notna(value) and 0 < value < 0.005:
        return "<0.01"
    return number(value, 2 if pd.isna(value) or value < 9.995 else 1 if value < 99.95 else 0)


def _decimals(statistic: Any, values: tuple) -> int:
    """Return 2, 1 for what has a unit, 0 for days; a difference below its unit keeps two digits."""
    if statistic in _TWO_DECIMALS or statistic == "median_days":
        return 0 if statistic == "median_days" else 2
    widest = max((abs(float(x)) for x in values if pd.notna(x) and math.isfinite(x)), default=0.0)
    return (
        1 if statistic != "difference" or widest >= 1 or widest == 0 else 1 - math.floor(math.log10(widest))
    )


def with_words(row: Mapping[str, Any]) -> str:
    """Write how many have the marker; a dash where it has levels.

    Examples
    --------
    >>> with_words({"N_POS": 9.0}), with_words({"N_POS": None, "MARKER": "TMB"})
    ('9', '–')
    """
    changed = " changed" if str(row.get("MARKER")).startswith("CHANGE_") else ""  # McNemar
    count = number(row.get("N_POS"), 0)
    return count + changed * (count != MISSING)


def event_words(row: Mapping[str, Any]) -> str:
    """Write ``events / n``: the events of an endpoint, or those with a binary outcome, and all.

    Examples
    --------
    >>> event_words({"EVENTS": 20.0, "N": 31.0}), event_words({"EVENTS": None, "N": 31.0})
    ('20 / 31', '– / 31')
    """
    return f"{number(row.get('EVENTS'), 0)} / {number(row.get('N'), 0)}"


def neutral_of(statistic: str) -> float:
    """Return the value of a statistic that means no effect."""
    return NEUTRAL.get(statistic, 0.0)


def _times(value: Any, factor: float) -> float | None:
    return None if value is None or pd.isna(value) else factor * float(np.float64(value))


def write_firth(row: Mapping[str, Any], estimates: pd.DataFrame) -> str:
    """Write the Firth ratio that stands beside a ratio of 0 or infinity; ``""`` where there is none.

    Parameters
    ----------
    row : mapping
        A row of estimates_biomarkers.
    estimates : DataFrame
        Rows of estimates_biomarkers that hold its companion.

    Returns
    -------
    str
        ``Firth 30.9 (3.56–4070)``.
    """
    value = row.get("ESTIMATE")
    if row.get("STATISTIC") != "odds_ratio" or pd.isna(value) or (value != 0 and math.isfinite(value)):
        return ""
    own = estimates["METHOD"].eq(_FIRTH) & estimates["ESTIMATE"].notna()
    for name in _KEY:
        own &= estimates[name].eq(row[name]) if pd.notna(row[name]) else estimates[name].isna()
    beside = estimates[own].to_dict("records")
    return f"Firth {write_effect(beside[0], named=False)}" if beside else ""
