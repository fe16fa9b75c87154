"""The five conclusions of the operating characteristics: level, choice, power, rule, size."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.tables import operating_words as words
from analysis.tables.format import number, percent
from analysis.tables.planning_sentences import say_needed
from analysis.tables.words import phrase_of

# Standard errors within which a difference is called chance: as the error bars of the figures.
CHANCE = 2


def say_short(own: pd.DataFrame, alpha: float, needed: pd.DataFrame | None) -> str:
    """State the conclusions in a sentence each.

    Parameters
    ----------
    own : DataFrame
        Contract ``operating_characteristics``, rows of one endpoint.
    alpha : float
        Two-sided level.
    needed : DataFrame or None
        From `operating.needed_size`.

    Returns
    -------
    str
        Markdown; what the table does not answer is left out, and so is the heading where nothing is left.
    """
    parts = [_level(own, alpha), _choice(own), _power(own), _rule(own), say_needed(needed, brief=True)]
    text = words.sentences(parts)
    return f"**In short.** {text}" if text else ""


def power_cost(own: pd.DataFrame) -> pd.DataFrame:
    """Tabulate what the correction costs in power at the planned size.

    Parameters
    ----------
    own : DataFrame
        As for `say_short`.

    Returns
    -------
    DataFrame
        TRUTH ESTIMATE, uncorrected less corrected; one row a truth with an effect.
    """
    tests = words.select(words.planned(own), "rejection", TRUTH=words.effects(own))
    wide = tests.pivot_table(index="TRUTH", columns="METHOD", values="ESTIMATE", sort=False)
    if not {"two_stage", "chosen"} <= set(wide):
        return pd.DataFrame({"TRUTH": [], "ESTIMATE": []})
    return (wide["chosen"] - wide["two_stage"]).rename("ESTIMATE").dropna().reset_index()


def _level(own: pd.DataFrame, alpha: float) -> str:
    tests = words.select(own, "rejection", METHOD="two_stage", TRUTH=words.null_truths(own))
    if tests.empty:
        return ""
    over = (tests["ESTIMATE"] - alpha) / np.sqrt(alpha * (1 - alpha) / tests["TRIALS"])
    held = "holds" if (over <= CHANCE).all() else "does not hold"
    every = f", {words.span(tests, words.share, of='SIZE')} over the sizes" if len(tests) > 1 else ""
    return (
        f"The reported test {held} its level of {percent(100 * alpha)}: without any effect it rejects in "
        f"{words.rate(tests.iloc[0])} of trials {tests['SIZE'].iloc[0]}{every}"
    )


def _choice(own: pd.DataFrame) -> str:
    added = words.by_analysis(words.select(words.planned(own), "inflation"))
    cost = power_cost(own)
    if "PLAN" not in added.index or cost.empty:
        return ""
    plans, others = added.loc["PLAN"], added.drop("PLAN")
    low, high = (number(100 * value, 0) for value in (cost["ESTIMATE"].min(), cost["ESTIMATE"].max()))
    text = (
        f"Choosing the day by the plan's rule adds {words.points(plans)} percentage points to the rejections"
    )
    if len(others):
        most = others["ESTIMATE"].idxmax()
        text += f" (the rule that adds most, {words.name_analysis(most)}: {words.points(others.loc[most])})"
    is_chance = plans["ESTIMATE"] <= CHANCE * plans["SE"]
    verdict = "" if is_chance else ": it prevents a real excess"
    if is_chance and cost["ESTIMATE"].max() > 0:
        verdict = ": under this rule it costs more than it prevents"
    return f"{text}, and the correction for it costs {low} to {high} points of power{verdict}"


def _power(own: pd.DataFrame) -> str:
    truths = words.effects(own)
    tests = words.by_analysis(words.select(words.planned(own), "rejection", TRUTH=truths[:1]))
    if not {"two_stage", "fixed_earlier"} <= set(tests.index):
        return ""
    row = tests.loc["two_stage"]
    true = words.select(own, "truth", TRUTH=row["TRUTH"], SIZE=row["SIZE"])
    ratio = ""
    if len(true):
        first = true.iloc[0]
        ratio = f", a true hazard ratio of {number(first['ESTIMATE'], 2)} at {phrase_of(first['METHOD'])},"
    size = words.name_size(own, row["SIZE"], row["ENDPOINT"])
    return (
        f"With the effect {row['TRUTH']}{ratio} the reported test finds it in {words.rate(row)} of trials of "
        f"the size {size}, the test of the earlier day fixed in advance in "
        f"{words.rate(tests.loc['fixed_earlier'])}"
    )


def _rule(own: pd.DataFrame) -> str:
    own = words.planned(own)
    truths = words.later_better(own)
    right = words.by_analysis(words.select(own, "better_day", TRUTH=truths[:1]))
    early = right[~right.index.str.endswith(words.MATURE)] if truths else right
    if "PLAN" not in early.index:
        return ""
    misses = 1 - early["ESTIMATE"]
    text = (
        f"Where the later day is truly better ({truths[0]}) this pilot misses it in "
        f"{percent(100 * misses['PLAN'])} of trials by the plan's rule"
    )
    others = misses.drop("PLAN")
    if len(others) and others.min() < misses["PLAN"]:
        least = others.idxmin()
        text += f"; the rule that misses it least, {words.name_analysis(least)}, in "
        text += percent(100 * others[least])
        text += _price(own, least, truths)
    return text


def _price(own: pd.DataFrame, rule: str, truths: list[str]) -> str:
    """State how often a rule and the plan's are wrong where the earlier day is better."""
    rows = words.select(own, "better_day", METHOD=[rule, "PLAN"])
    rows = rows[~rows["TRUTH"].isin(truths)]
    wrong = 1 - rows.groupby("METHOD")["ESTIMATE"].mean()
    if not {rule, "PLAN"} <= set(wrong.index):
        return ""
    return (
        f", but where the earlier day is better it takes the later one in {percent(100 * wrong[rule])} "
        f"(plan's rule {percent(100 * wrong['PLAN'])})"
    )
