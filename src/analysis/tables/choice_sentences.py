"""What the pilot's choice of the day does to the result: corrected p, extension alone, simulated bias."""

from __future__ import annotations

import pandas as pd

from analysis.tables.format import counted, number, p_text, ratio
from analysis.tables.words import phrase_of

_TRUTH = "truth: "


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
        The two p, the hazard ratio of the extension patients alone, and the simulated bias of the hazard
        ratio of all patients; why no correction is needed or made, where it is not; empty where the estimates
        do not say (another endpoint than the primary one without a correction, a study without a second
        scan).
    """
    own = estimates[estimates["ENDPOINT"].eq(endpoint)]
    rows = own[own["METHOD"].eq("two_stage")]
    if rows.empty:
        return ""
    test = rows.iloc[0]
    why = [part for part in test["LABEL"].split("; ") if part.startswith(("not needed: ", "not made: "))]
    if why:
        return f"A correction for the pilot's choice of the day is {why[0]}."
    parts = [_say_tests(test, own), _say_extension(own), _say_bias(own)]
    return " ".join(part for part in parts if part)


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


def _say_extension(own: pd.DataFrame) -> str:
    rows = own[own["METHOD"].eq("cox_extension")]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    size = f"{counted(row['N'], 'patient')}, {counted(row['EVENTS'], 'event')}"
    if pd.isna(row["ESTIMATE"]):
        return f"The extension patients alone ({size}) give no hazard ratio."
    shown = ratio(row["ESTIMATE"], row["LOWER"], row["UPPER"])
    return f"Descriptive: hazard ratio of the extension patients alone, who chose nothing, {shown} ({size})."


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
        f"{between} the true one."
    )


def _truth(label: str) -> str:
    parts = [part for part in label.split("; ") if part.startswith(_TRUTH)]
    return parts[0].removeprefix(_TRUTH) if parts else "truth not named"
