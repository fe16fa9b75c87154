"""The sentences on the choice of the day in virtual pilots."""

from __future__ import annotations

import pandas as pd

from analysis.tables import operating_words as words
from analysis.tables.format import number


def say_days(own: pd.DataFrame) -> str:
    """State how often the pilot takes the better day, which day where none is, and how often it cannot tell.

    Parameters
    ----------
    own : DataFrame
        Contract ``operating_characteristics``, rows of one endpoint; its first size is the planned one.

    Returns
    -------
    str
        Markdown; empty where no truth has a better day.
    """
    planned, said = words.planned(own), []
    for truth, rows in words.select(planned, "better_day").groupby("TRUTH", sort=False):
        by = words.by_analysis(rows)
        early = by[~by.index.str.endswith(words.MATURE)]
        if "PLAN" not in early.index:
            continue
        text = f"{truth}: {words.share(early.loc['PLAN'])}"
        mature = f"PLAN{words.MATURE}"
        text += f", with all follow-up {words.share(by.loc[mature])}" if mature in by.index else ""
        best = early["ESTIMATE"].drop("PLAN").idxmax() if len(early) > 1 else "PLAN"
        if early.loc[best, "ESTIMATE"] > early.loc["PLAN", "ESTIMATE"]:
            text += f"; most often right on the date: {words.name_analysis(best)}, "
            text += words.share(early.loc[best])
        said.append(text)
    if not said:
        return ""
    return (
        "**The better day** is taken by the plan's rule with its fallback, on the decision date, this often. "
        f"{words.sentences([*said, *_say_equal(planned)])} Notebook 03 simulates pilots from a true C of "
        "either day, with every scan made; here scans are measured in lesions, some are missing and the "
        f"endpoint is counted from the landmark, so that the shares differ.{_say_fallback(own)}"
    )


def _say_equal(planned: pd.DataFrame) -> list[str]:
    """State how often the later day is taken where neither is better, though there is an effect."""
    judged = set(words.select(planned, "better_day")["TRUTH"])
    said = []
    for truth in (name for name in words.effects(planned) if name not in judged):
        by = words.by_analysis(words.select(planned, "later_day", TRUTH=truth))
        early = by[~by.index.str.endswith(words.MATURE)]
        if "PLAN" in early.index:
            most = early["ESTIMATE"].idxmax()
            said.append(
                f"{truth}, where neither is right: the plan's rule takes the later day in "
                f"{words.share(early.loc['PLAN'])}, at most a rule does in {words.share(early.loc[most])} "
                f"({words.name_analysis(most)})"
            )
    return said


def _say_fallback(own: pd.DataFrame) -> str:
    """State how often the fallback decides at the planned size, and at the size where it does so most."""
    rows = words.select(own, "fallback")
    if rows.empty:
        return ""
    size = rows["SIZE"].iloc[0]
    planned = rows[rows["SIZE"].eq(size)]
    text = f" The fallback without outcomes decides {words.span(planned, words.share)} of pilots {size}"
    most = rows.loc[rows["ESTIMATE"].idxmax()]
    if most["SIZE"] != size:
        text += f", most at {most['SIZE']}: {words.share(most)} ({most['TRUTH']}){_say_known(own, most)}"
    return f"{text}. Where it decides, the corrected test is the uncorrected one."


def _say_known(own: pd.DataFrame, most: pd.Series) -> str:
    known = words.select(own, "events", METHOD="decision", TRUTH=most["TRUTH"]).set_index("SIZE")["ESTIMATE"]
    count = words.select(own, "enrolled", TRUTH=most["TRUTH"]).set_index("SIZE")["ESTIMATE"]
    first = own["SIZE"].iloc[0]
    if not {first, most["SIZE"]} <= set(known.index) & set(count.index):
        return ""
    now, then = (number(known[size], 0) for size in (most["SIZE"], first))
    text = f"; {now} events are known at the decision instead of {then}"
    faster = count[most["SIZE"]] > count[first]
    return f"{text}, as more patients in the same time of accrual enter faster" if faster else text
