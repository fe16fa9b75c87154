"""The sentences that state operating characteristics and planned sizes, with Monte Carlo errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from analysis.tables import operating_words as words
from analysis.tables.format import number, percent
from analysis.tables.words import phrase_of


def say_operating(characteristics: pd.DataFrame, *, endpoint: str, alpha: float) -> str:
    """State what the simulated trials show: level, coverage, bias, power, choice of the day, few events.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``; its first size is the planned one.
    endpoint : str
        PARAMCD of the primary endpoint.
    alpha : float
        Two-sided level.

    Returns
    -------
    str
        Markdown, one paragraph a question; a question the table does not answer has none. Every number has
        its Monte Carlo standard error (SE) beside it.
    """
    own = characteristics[characteristics["ENDPOINT"].eq(endpoint)]
    said = [
        _say_level(own, alpha),
        _say_estimates(own),
        _say_biased(own),
        _say_power(own),
        _say_choice(own),
        _say_few(characteristics),
    ]
    return "\n\n".join(text for text in said if text)


def say_planning(planning: pd.DataFrame, *, hazard_ratio: float) -> str:
    """State the size a trial needs by the formula and by simulation.

    Parameters
    ----------
    planning : DataFrame
        Contract ``planning``.
    hazard_ratio : float
        The expected effect, stated in full; of the others, what the formula's size finds.

    Returns
    -------
    str
        Two sentences or three.

    Raises
    ------
    ValueError
        If the table does not hold `hazard_ratio`.
    """
    rows = planning[np.isclose(planning["HR"], hazard_ratio)].set_index("METHOD")
    if rows.empty:
        known = sorted(set(planning["HR"]))
        raise ValueError(
            f"no size was planned for a hazard ratio of {hazard_ratio:g}; those planned: {known}"
        )
    formula, power = rows.loc["schoenfeld"], percent(100 * rows["POWER"].iloc[0])
    text = (
        f"To find a hazard ratio of {hazard_ratio:g} with a power of {power} "
        f"({percent(100 * formula['SHARE'])} non-responders, median of all patients {formula['MEDIAN']:g} "
        f"months, accrual {formula['ACCRUAL']:g} months, {formula['FOLLOWUP']:g} months more), Schoenfeld's "
        f"formula asks for {_size(formula)}"
    )
    for method, how in (("simulation", "simulation"), ("simulation_grid", "simulation on the grid of scans")):
        if method in rows.index:
            row = rows.loc[method]
            text += f"; {how} for {_size(row)}, and finds {_rate(row, 'FOUND')} at the formula's size"
    others = planning[planning["METHOD"].eq("simulation") & ~np.isclose(planning["HR"], hazard_ratio)]
    if others.empty:
        return text + "."
    said = ", ".join(f"{_rate(row, 'FOUND')} at {row['HR']:g}" for _, row in others.iterrows())
    return f"{text}. At other hazard ratios the formula's size finds {said}."


def _say_level(own: pd.DataFrame, alpha: float) -> str:
    tests = words.select(own, "rejection", TRUTH=words.null_truths(own))
    if tests.empty:
        return ""
    parts = []
    for size, rows in tests.groupby("SIZE", sort=False):
        by = rows.set_index("METHOD")
        if not {"two_stage", "chosen"} <= set(by.index):
            continue
        corrected, pooled = by.loc["two_stage"], by.loc["chosen"]
        gap = 100 * (pooled["ESTIMATE"] - alpha)
        over = f"{_points(abs(gap), 100 * pooled['SE'])} {'above' if gap > 0 else 'below'} it"
        parts.append(
            f"{words.name_size(own, size, own['ENDPOINT'].iloc[0])}: corrected {_rate(corrected)}, "
            f"{_against(corrected, alpha)}; uncorrected {_rate(pooled)}, {over}"
        )
    if not parts:
        return ""
    trials = number(tests["TRIALS"].max(), 0)
    return (
        f"**Level.** Without any effect the reported test should reject in {percent(100 * alpha)} of trials. "
        "*Corrected* combines pilot and extension; *uncorrected* analyses all patients at the chosen day as "
        f"if it had been fixed in advance ({trials} trials a size). {_sentences(parts)}"
    )


def _say_estimates(own: pd.DataFrame) -> str:
    planned = _planned(own)
    said = []
    covered = words.select(planned, "coverage")
    for code, rows in covered.groupby("METHOD", sort=False):
        level = percent(100 * rows["TARGET"].iloc[0])
        said.append(
            f"{words.name_analysis(code)}: {level} intervals hold the truth in {_span(rows, _rate)} of trials"
        )
    text = f"**Intervals.** {_sentences(said)}" if said else ""
    bias = words.select(planned, "bias", METHOD=["fixed_earlier", "chosen", "extension_only"])
    said = [
        f"{words.name_analysis(code)} {_span(rows, _value)}"
        for code in words.order_analyses(bias["METHOD"])
        for rows in [bias[bias["METHOD"].eq(code)]]
    ]
    if not said:
        return text
    return f"{text} **Selection.** Bias of the ln hazard ratio over the truths: {'; '.join(said)}.".strip()


def _say_biased(own: pd.DataFrame) -> str:
    planned, null = _planned(own), words.null_truths(own)
    tests = words.select(planned, "rejection", TRUTH=null).drop_duplicates("METHOD").set_index("METHOD")
    bias = words.select(planned, "bias")
    said = []
    for code in (
        "optimal_cut",
        "optimal_cut_corrected",
        "start_of_treatment",
        "missing_as_nonresponse",
        "no_landmark",
    ):
        parts = (
            [f"rejects in {_rate(tests.loc[code])} of trials without effect"] if code in tests.index else []
        )
        rows = bias[bias["METHOD"].eq(code)]
        parts += [f"bias of the ln hazard ratio {_span(rows, _value)}"] if len(rows) else []
        if parts:
            said.append(f"{words.name_analysis(code)}: {', '.join(parts)}")
    return f"**What misleads** ({planned['SIZE'].iloc[0]}). {_sentences(said)}" if said else ""


def _say_power(own: pd.DataFrame) -> str:
    tests = words.select(own, "rejection", METHOD=["two_stage", "chosen"])
    tests = tests[~tests["TRUTH"].isin(words.null_truths(own))]
    said = []
    for size, rows in tests.groupby("SIZE", sort=False):
        corrected = rows[rows["METHOD"].eq("two_stage")]
        pooled = rows[rows["METHOD"].eq("chosen")].set_index("TRUTH")
        cells = []
        for _, row in corrected.iterrows():
            text = f"{row['TRUTH']}{_truth(own, row)} {_rate(row)}"
            beside = row["TRUTH"] in pooled.index
            cells.append(f"{text}, uncorrected {_rate(pooled.loc[row['TRUTH']])}" if beside else text)
        if cells:
            said.append(f"{words.name_size(own, size, own['ENDPOINT'].iloc[0])}: {'; '.join(cells)}")
    return f"**Power** of the corrected test, and of the uncorrected. {_sentences(said)}" if said else ""


def _say_choice(own: pd.DataFrame) -> str:
    planned = _planned(own)
    better = words.select(planned, "better_day")
    said = []
    for truth, rows in better.groupby("TRUTH", sort=False):
        by = rows.set_index("METHOD")
        early = by[~by.index.str.endswith(words.MATURE)]
        if "PLAN" not in early.index:
            continue
        best = early["ESTIMATE"].drop("PLAN").idxmax() if len(early) > 1 else "PLAN"
        text = f"{truth}: {_rate(early.loc['PLAN'])}"
        text += (
            f", with all follow-up {_rate(by.loc[mature])}"
            if (mature := f"PLAN{words.MATURE}") in by.index
            else ""
        )
        if early.loc[best, "ESTIMATE"] > early.loc["PLAN", "ESTIMATE"]:
            text += f"; most often right on the date: {words.name_analysis(best)}, {_rate(early.loc[best])}"
        said.append(text)
    if not said:
        return ""
    fallback = words.select(planned, "fallback")
    how = (
        f"; the fallback without outcomes decides {_span(fallback, _rate)} of pilots" if len(fallback) else ""
    )
    return (
        "**The better day** is taken by the plan's rule with its fallback, on the decision date, this often"
        f"{how}. {_sentences(said)}"
    )


def _say_few(characteristics: pd.DataFrame) -> str:
    """Compare the estimators where events are fewest."""
    events = words.select(characteristics, "events")
    lost = words.select(characteristics, "not_finite", METHOD=["cox_ml", "cox_firth"])
    cell = ["TRUTH", "SIZE", "ENDPOINT"]
    events = events[events["METHOD"].ne("decision")].groupby(cell, sort=False)["ESTIMATE"].first()
    known = [
        key for key in dict.fromkeys(lost[cell].itertuples(index=False, name=None)) if key in events.index
    ]
    if not known:
        return ""
    fewest = min(known, key=events.get)
    own = characteristics[(characteristics[cell] == fewest).all(axis=1)]
    said = []
    for code in ("cox_ml", "cox_firth"):
        parts = [
            f"{what} {write(rows.iloc[0])}"
            for quantity, what, write in (
                ("not_finite", "no finite estimate in", _rate),
                ("coverage", "intervals hold the truth in", _rate),
                ("rejection", "rejects in", _rate),
                ("bias", "bias of the finite ln hazard ratios", _value),
            )
            if len(rows := words.select(own, quantity, METHOD=code))
        ]
        said.append(f"{words.name_analysis(code)}: {', '.join(parts)}")
    truth, size, endpoint = fewest
    return (
        f"**Few events.** {endpoint}, {truth}, {size}: {number(events[fewest], 0)} events on average. "
        f"{_sentences(said)}"
    )


def _rate(row: pd.Series, column: str = "ESTIMATE") -> str:
    return f"{percent(100 * row[column], 1)} (SE {number(100 * row['SE'], 1)})"


def _value(row: pd.Series) -> str:
    return f"{number(row['ESTIMATE'], 2)} (SE {number(row['SE'], 3)})"


def _points(value: float, error: float) -> str:
    return f"{number(value, 1)} percentage points (SE {number(error, 1)})"


def _span(rows: pd.DataFrame, write: Callable[[pd.Series], str]) -> str:
    """Write the smallest and the largest value of `rows`, each with its error and truth."""
    low, high = rows.loc[rows["ESTIMATE"].idxmin()], rows.loc[rows["ESTIMATE"].idxmax()]
    if low["ESTIMATE"] == high["ESTIMATE"]:
        return write(low)
    return f"{write(low)} ({low['TRUTH']}) to {write(high)} ({high['TRUTH']})"


def _against(row: pd.Series, promised: float) -> str:
    gap = row["ESTIMATE"] - promised
    side = "above" if gap > 0 else "below"
    if not row["SE"] > 0:
        return f"{side} the level"
    return f"{number(abs(gap) / row['SE'], 1)} Monte Carlo errors {side} the level"


def _planned(own: pd.DataFrame) -> pd.DataFrame:
    """Select the first size: the planned one."""
    return own[own["SIZE"].eq(own["SIZE"].iloc[0])] if len(own) else own


def _truth(own: pd.DataFrame, row: pd.Series) -> str:
    """Write the true hazard ratios of a row's days in brackets, where the table holds them."""
    rows = words.select(own, "truth", TRUTH=row["TRUTH"], SIZE=row["SIZE"])
    days = ", ".join(f"{number(one.ESTIMATE, 2)} at {phrase_of(one.METHOD)}" for one in rows.itertuples())
    return f" (true hazard ratio {days})" if days else ""


def _size(row: pd.Series) -> str:
    return f"{number(row['EVENTS'], 0)} events and {number(row['PATIENTS'], 0)} patients"


def _sentences(parts: Sequence[str]) -> str:
    return " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts)
