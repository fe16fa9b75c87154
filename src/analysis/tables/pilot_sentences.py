"""The sentences that state the pilot's choice, computed from its tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.tables.format import interval
from analysis.tables.words import phrase_of


def say_choice(
    decision: Mapping[str, Any],
    evidence: pd.DataFrame,
    behaviour: pd.DataFrame,
    costs: pd.DataFrame,
    *,
    days: tuple[str, str],
    endpoint: str,
    margin: float,
    cost_ratio: float,
) -> str:
    """State the choice of the day, what it rests on, and how often such a pilot chooses rightly.

    Parameters
    ----------
    decision : mapping
        ``decision.json``.
    evidence : DataFrame
        Table pilot_evidence.
    behaviour : DataFrame
        Table pilot_behaviour.
    costs : DataFrame
        DATA RULE COST_RATIO COST, from `survival.pilot.tabulate_costs`.
    days : tuple of str
        The earlier and the later day.
    endpoint : str
        PARAMCD.
    margin, cost_ratio : float
        Values of the plan.

    Returns
    -------
    str
        Markdown, three paragraphs, before them one on values of the plan changed post hoc, where there are
        any; nothing is said that the tables do not show.
    """
    earlier, later = days
    day_words = {day: phrase_of(day) for day in days}
    deciding = evidence[evidence["SET"].eq("DECISION")].drop_duplicates(["ITEM", "TIMEPOINT"])
    value = deciding.set_index(["ITEM", "TIMEPOINT"])
    levels = [f"{_limits(value.loc[('concordance', day)])} at {words}" for day, words in day_words.items()]
    gap = value.loc[("concordance", f"{later} - {earlier}")]
    data = "DECISION" if decision["decision_date"] else "MATURE"
    simulated = behaviour[behaviour["RULE"].eq("PLAN") & behaviour["DATA"].eq(data)]
    often = "; ".join(
        f"{row.TRUTH}: {100 * row.SHARE_LATER:.0f} % (fallback in {100 * row.FALLBACK:.0f} %)"
        for row in simulated.itertuples()
    )
    own = costs[costs["DATA"].eq(data) & costs["COST_RATIO"].eq(cost_ratio)].set_index("RULE")["COST"]
    return (
        f"{_say_post_hoc(decision)}**{day_words[decision['timepoint']]}** by {say_rule(decision)}: "
        f"{_in_words(decision['reason'], day_words)}.\n\n"
        f"{decision['n_compared']} patients with {decision['n_events']} {endpoint} events after the common "
        f"landmark. C {', '.join(levels)}; difference "
        f"{_limits(gap)}, {_reach(gap, margin)}.\n\n"
        f"In simulated pilots of {simulated['N'].iloc[0]:.0f} patients, of whom as many have both scans as "
        f"here ({decision['n_common']}), {simulated['EVENTS'].mean():.0f} events known on average, the "
        f"plan's rule with its fallback takes the later day this often: {often}. With an error of "
        f"taking the later day at {cost_ratio:g} times the other, the mean cost is {own['PLAN']:.2f} (least: "
        f"{own.idxmin()}, {own.min():.2f}). The choice is a decision under these odds, not a finding about "
        "the days."
        f"\n\n{say_later(evidence, days)}"
    )


def say_rule(decision: Mapping[str, Any]) -> str:
    """Say by what a day was taken: the plan's rule or its fallback, and whether the plan was changed.

    Parameters
    ----------
    decision : mapping
        ``decision.json``.

    Returns
    -------
    str
        Words that stand after "by".
    """
    how = "the fallback without outcomes" if decision["fallback"] else "the rule of the plan"
    return f"{how}, changed after outcomes were first analysed" if decision.get("post_hoc") else how


def _say_post_hoc(decision: Mapping[str, Any]) -> str:
    changed = decision.get("post_hoc")
    if not changed:
        return ""
    return f"**Changed after outcomes were first analysed (post hoc): {'; '.join(changed)}.**\n\n"


def _in_words(text: str, day_words: Mapping[str, str]) -> str:
    """Put the words for the days in place of their codes."""
    for day, words in day_words.items():
        text = re.sub(rf"(?<!\w){re.escape(day)}(?!\w)", lambda _, words=words: words, text)
    return text


def say_later(evidence: pd.DataFrame, days: tuple[str, str]) -> str:
    """State what all follow-up shows, in the pilot and in everybody with both scans; empty without numbers.

    Parameters
    ----------
    evidence : DataFrame
        Table pilot_evidence.
    days : tuple of str
        The earlier and the later day.

    Returns
    -------
    str
        One sentence or two.
    """
    rows = evidence[evidence["ITEM"].eq("concordance") & evidence["METHOD"].eq("paired_bootstrap")]
    rows = rows[rows["TIMEPOINT"].eq(f"{days[1]} - {days[0]}")].set_index("SET")
    names = {"FINAL": "the pilot", "EVERYONE": "everybody with both scans"}
    alone = ""
    if {*names} <= set(rows.index):
        numbers = rows[["N", "EVENTS", "ESTIMATE", "LOWER", "UPPER"]]
        if numbers.loc["FINAL"].equals(numbers.loc["EVERYONE"]):
            del names["EVERYONE"]
            alone = " Nobody but pilot patients has both scans."
    said = [
        f"{words} ({rows.loc[name, 'N']:.0f} patients, {rows.loc[name, 'EVENTS']:.0f} events) "
        f"{_limits(rows.loc[name])}"
        for name, words in names.items()
        if name in rows.index
    ]
    if not said:
        return ""
    return (
        f"Descriptive, with all follow-up, the difference in C is: {'; '.join(said)}.{alone} "
        "It re-decides nothing."
    )


def _limits(row: pd.Series) -> str:
    return interval(row["ESTIMATE"], row["LOWER"], row["UPPER"], decimals=2)


def _reach(gap: pd.Series, margin: float) -> str:
    if not np.isfinite(gap["LOWER"]):
        return "no interval can be given"
    edges = [f"{edge:g}" for edge in dict.fromkeys((0.0, margin)) if gap["LOWER"] <= edge <= gap["UPPER"]]
    return f"an interval that holds {' and '.join(edges) or 'neither 0 nor the margin'}"
