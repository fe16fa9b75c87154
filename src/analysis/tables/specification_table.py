"""The choices of a specification in words, and the table of those that were not estimated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.tables.words import LANDMARKS, POPULATIONS, label_of, phrase_of

CHOICES = {
    "TIMEPOINT": "Scan",
    "METRIC": "Metric",
    "RULE": "Rule",
    "CUT": "Cut",
    "POPULATION": "Patients",
    "LANDMARK": "Time zero",
    "CENSORING": "Endpoint",
}
LEFT_OUT = {
    "SAME": "the same in meaning as another",
    "NOT_APPLICABLE": "not applicable to this study",
    "NOT_ESTIMABLE": "not estimable",
}
# Rules that were published with their cut: it is not of this study's making, whatever it equals.
_PUBLISHED = ("eortc",)


def word_of_choice(column: str, value: Any, endpoint: str, names: Mapping[str, str] | None = None) -> str:
    """Return the words for one value of one choice.

    Parameters
    ----------
    column : str
        One of `CHOICES`.
    value
        As in table ``specifications``.
    endpoint : str
        The primary endpoint: its own censoring rule is the one planned.
    names : mapping, optional
        PARAMCD of a censoring rule -> what it changes, in words.

    Examples
    --------
    >>> word_of_choice("CUT", 25.0, "PFS"), word_of_choice("CENSORING", "PFS", "PFS")
    ('fall ≥ 25 %', 'as planned')
    """
    if column == "CUT":
        return f"fall ≥ {value:g} %"
    if column == "CENSORING":
        return "as planned" if value == endpoint else (names or {}).get(value, value)
    known = {"POPULATION": POPULATIONS, "LANDMARK": LANDMARKS}.get(column)
    if known is not None:
        return known.get(value, value)
    return phrase_of(value) if column == "TIMEPOINT" else label_of(value)


def say_published_cut(post: pd.DataFrame) -> str:
    """Say, as the end of a sentence on post hoc cuts, which rule has its cut from its publication."""
    rules = [rule for rule in _PUBLISHED if post["RULE"].eq(rule).any()]
    return "".join(
        f"; {label_of(rule)} ({int(post['RULE'].eq(rule).sum())} of them) has this cut from its publication"
        for rule in rules
    )


def say_published(post: pd.DataFrame) -> str:
    """Say, as the end of a note on post hoc cuts, which rules have theirs from their publication."""
    rules = [label_of(rule) for rule in _PUBLISHED if post["RULE"].eq(rule).any()]
    return f"; that of {' and '.join(rules)} is from its publication" if rules else ""


def tabulate_left_out(specifications: pd.DataFrame, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """List in words the specifications that were not estimated: what differs from the primary, and why.

    Parameters
    ----------
    specifications : DataFrame
        Table ``specifications``.
    names : mapping, optional
        PARAMCD of a censoring rule -> what it changes, in words.

    Returns
    -------
    DataFrame
        One row each: "Differs from the primary analysis in", "Status" and "Why"; without rows where all were
        estimated.
    """
    columns = ["Differs from the primary analysis in", "Status", "Why"]
    left = specifications[specifications["STATUS"].ne("ESTIMATED")]
    if left.empty:
        return pd.DataFrame(columns=columns)
    said = {row["SPECIFICATION"]: row for row in specifications.to_dict("records")}
    primary = next(row for row in said.values() if row["ROLE"] == "PRIMARY")
    words = {number: _differences(row, primary, names) for number, row in said.items()}

    def reason(row: dict) -> str:
        given = row["REASON"] if isinstance(row["REASON"], str) else ""
        return re.sub(r"specification (\d+)", lambda found: words[float(found[1])], given)

    rows = [
        (words[row["SPECIFICATION"]], LEFT_OUT[row["STATUS"]], reason(row)) for row in left.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=columns)


def _differences(row: Mapping[str, Any], primary: Mapping[str, Any], names: Mapping[str, str] | None) -> str:
    differ = [
        f"{heading}: {word_of_choice(column, row[column], primary['ENDPOINT'], names)}"
        for column, heading in CHOICES.items()
        if row[column] == row[column] and row[column] != primary[column]
    ]
    return "; ".join(differ) or "the primary analysis"
