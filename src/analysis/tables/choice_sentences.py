"""What the pilot's choice of the day does to the result: corrected p, the two stages, simulated bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.tables.format import counted, number, p_text, ratio
from analysis.tables.words import phrase_of

_TRUTH, _FIXED = "truth: ", "day fixed in advance: "
_SHOWN_UP_TO = 100  # a limit above it tells no more than that it is large


def say_choice_correction(estimates: pd.DataFrame, endpoint: str) -> str:
    """State the p corrected for the pilot's choice of the day beside the p that is not, and what bears on it.

    Parameters
    ----------
    estimates : DataFrame
        Table estimates.
    endpoint : str
        PARAMCD.

    Returns
    -------
    str
        The two p, the hazard ratios of pilot and extension apart and their ratio, and the simulated bias
        of the hazard ratio of all patients; why no correction is needed or made, where it is not; empty
        where the estimates do not say (another endpoint than the primary one without a correction, a study
        without a second scan).
    """
    own = estimates[estimates["ENDPOINT"].eq(endpoint)]
    rows = own[own["METHOD"].eq("two_stage")]
    if rows.empty:
        return ""
    test = rows.iloc[0]
    why = [part for part in test["LABEL"].split("; ") if part.startswith(("not needed: ", "not made: "))]
    if why:
        return f"A correction for the pilot's choice of the day is {why[0]}."
    parts = [_say_tests(test, own), _say_stages(own), _say_bias(own)]
    return " ".join(part for part in parts if part)


def say_decision(decision: Mapping[str, Any], days: Sequence[str], *, scan: str) -> str:
    """State the day the pilot chose and why.

    Parameters
    ----------
    decision : mapping
        Table decision: ``timepoint`` and ``reason``.
    days : sequence of str
        The visits it chose from; the reason names them by their codes.
    scan : str
        What the study calls its scan (``design.words``).

    Examples
    --------
    >>> say_decision({"timepoint": "D14", "reason": "D14 taken"}, ["D14", "D28"], scan="PET")
    'The pilot chose day 14 for the early PET: day 14 taken.'
    """
    reason = decision["reason"]
    for day in days:
        reason = reason.replace(day, phrase_of(day))
    return f"The pilot chose {phrase_of(decision['timepoint'])} for the early {scan}: {reason}."


def _say_tests(test: pd.Series, own: pd.DataFrame) -> str:
    day = phrase_of(test["TIMEPOINT"])
    head = f"{test['ENDPOINT']}: the pilot patients chose {day} and are analysed again"
    if pd.isna(test["P"]):
        nothing = "not estimable" in test["LABEL"]
        why = "no event or one class" if nothing else "the endpoint before it is not significant"
        return f"{head}; no corrected p ({why})."
    plain = own[own["METHOD"].eq("logrank_permutation")]["P"]
    beside = f"; the log-rank of all patients, not corrected for it, has {p_text(plain.iloc[0])}"
    return (
        f"{head}. Corrected for it (two stages, pilot and extension, closed test over both days) "
        f"{p_text(test['P'])}{beside if len(plain) and pd.notna(plain.iloc[0]) else ''}."
    )


def _say_stages(own: pd.DataFrame) -> str:
    rows = {name: own[own["METHOD"].eq(f"cox_{name}")] for name in ("pilot", "extension", "stages")}
    said = [_say_stage(rows[name].iloc[0], name) for name in ("pilot", "extension") if len(rows[name])]
    if not said:
        return ""
    text = f"Descriptive: hazard ratio {', '.join(said)}."
    between = rows["stages"]
    if between.empty or pd.isna(between["ESTIMATE"].iloc[0]):
        return text
    row = between.iloc[0]
    more = "no more" if row["LOWER"] <= 1 <= row["UPPER"] else "more"
    return (
        f"{text} That of the extension is {_ratio(row)} times that of the pilot: they differ {more} than "
        "expected of one effect. The extension chose nothing: it is free of the selection, not of the bias "
        "of small samples."
    )


def _say_stage(row: pd.Series, name: str) -> str:
    size = f"{counted(row['N'], 'patient')}, {counted(row['EVENTS'], 'event')}"
    shown = "not estimable" if pd.isna(row["ESTIMATE"]) else _ratio(row)
    return f"{shown} in the {name} alone ({size})"


def _ratio(row: pd.Series) -> str:
    if not row["UPPER"] > _SHOWN_UP_TO:
        return ratio(row["ESTIMATE"], row["LOWER"], row["UPPER"])
    return f"{number(row['ESTIMATE'], 2)} ({number(row['LOWER'], 2)} to > {_SHOWN_UP_TO})"


def _say_bias(own: pd.DataFrame) -> str:
    rows = own[own["METHOD"].eq("selection_bias") & own["ESTIMATE"].notna()]
    if rows.empty:
        return ""
    rows = rows.sort_values("ESTIMATE", kind="stable")
    ends = rows if len(rows) == 1 else rows.iloc[[0, -1]]
    said = " and ".join(f"{number(row.ESTIMATE, 2)} ({_truth(row.LABEL)})" for row in ends.itertuples())
    between = f"{said} times" if len(ends) == 1 else f"between {said} times"
    return (
        "In virtual trials of this design the hazard ratio of all patients at the chosen day is, on average, "
        f"{between} the true one: the bias of small samples and the selection by the pilot together."
    )


def _truth(label: str) -> str:
    truth, fixed = _part(label, _TRUTH) or "truth not named", _part(label, _FIXED)
    return f"{truth}; the same day fixed in advance {fixed}" if fixed else truth


def _part(label: str, head: str) -> str:
    return next((part.removeprefix(head) for part in label.split("; ") if part.startswith(head)), "")
