"""The sentences that state the size a trial needs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.tables import operating_words as words
from analysis.tables.format import number, percent

_SIMULATED = {"simulation": "simulation", "simulation_grid": "simulation on the grid of scans"}


def say_planning(
    planning: pd.DataFrame,
    *,
    hazard_ratio: float,
    needed: pd.DataFrame | None = None,
    lost_mean_months: float | None = None,
) -> str:
    """State the size a trial needs by the formula, by simulation, and where a pilot chooses the day.

    Parameters
    ----------
    planning : DataFrame
        Contract ``planning``.
    hazard_ratio : float
        The expected effect, stated in full.
    needed : DataFrame, optional
        From `operating.needed_size`: the size by whole virtual trials, and the share analysed of those
        enrolled.
    lost_mean_months : float, optional
        Mean time to loss to follow-up.

    Returns
    -------
    str
        A short paragraph.

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
    analysed = _share_analysed(needed)
    lost = f", loss to follow-up after {lost_mean_months:g} months on average" if lost_mean_months else ""
    text = (
        f"To find a hazard ratio of {hazard_ratio:g} between the measured classes, on a day fixed in advance "
        f"and with a power of {power} ({percent(100 * formula['SHARE'])} non-responders, median of all "
        f"patients {formula['MEDIAN']:g} months, accrual {formula['ACCRUAL']:g} months, "
        f"{formula['FOLLOWUP']:g} months more{lost}), Schoenfeld's formula asks for "
        f"{_size(formula, analysed)}"
    )
    for method, how in _SIMULATED.items():
        if method in rows.index:
            row = rows.loc[method]
            text += f"; {how} for {_size(row, analysed)}, and finds {words.rate(row, 'FOUND')}"
            text += " at the formula's size"
    parts = [text, _shortfall(planning, power), _enrolment(analysed), say_needed(needed)]
    return words.sentences(parts)


def say_needed(needed: pd.DataFrame | None, *, brief: bool = False) -> str:
    """State the size whole virtual trials need if a pilot chooses the day, and if it is fixed in advance.

    Parameters
    ----------
    needed : DataFrame or None
        From `operating.needed_size`; its first truth is stated.
    brief : bool
        Without Monte Carlo errors and limits.

    Returns
    -------
    str
        One sentence without its full stop, empty without a size that could be found.
    """
    if needed is None or needed.empty:
        return ""
    own = needed[needed["TRUTH"].eq(needed["TRUTH"].iloc[0])].dropna(subset=["PATIENTS"])
    by = own.set_index("METHOD")
    if not {"two_stage", "fixed_earlier"} <= set(by.index):
        return ""
    first = by.iloc[0]
    chosen, fixed = (_patients(by.loc[code], brief) for code in ("two_stage", "fixed_earlier"))
    text = (
        f"A power of {percent(100 * first['POWER'])} at a true hazard ratio of {number(first['HR'], 2)} "
        f"takes {chosen} if a pilot chooses the day and the test is corrected for it, and {fixed} with the "
        "earlier day fixed in advance"
    )
    if brief:
        return text
    how = "by a probit line through the sizes of the virtual trials"
    if by["PATIENTS"].gt(by["LARGEST"]).any():
        how += f", which is extended beyond the {number(first['LARGEST'], 0)} analysed of the largest"
    return f"{text} ({how})"


def _patients(row: pd.Series, brief: bool) -> str:
    error = "" if brief else f", SE {number(row['SE'], 0)}"
    return f"{number(row['ENROLLED'], 0)} patients enrolled ({number(row['PATIENTS'], 0)} analysed{error})"


def _shortfall(planning: pd.DataFrame, power: str) -> str:
    """State by how much the formula's size misses the power asked for, at the smallest and largest effect."""
    rows = planning[planning["METHOD"].eq("simulation")].dropna(subset=["FOUND"]).sort_values("HR")
    if len(rows) < 2:
        return ""
    ends = [
        f"{words.rate(row, 'FOUND')} at a hazard ratio of {row['HR']:g}"
        for _, row in rows.iloc[[0, -1]].iterrows()
    ]
    return (
        f"The power found at the formula's size, where {power} is promised, is {' and '.join(ends)}: the "
        "formula plugs in the ratio planted in two exponential groups of unequal size, and takes the share "
        "of non-responders among the patients for their share among those still at risk. Where whole virtual "
        "trials are run it is given the ratio a Cox model finds in them on average instead, which it suits "
        "better"
    )


def _share_analysed(needed: pd.DataFrame | None) -> float:
    return np.nan if needed is None else float((needed["PATIENTS"] / needed["ENROLLED"]).mean())


def _enrolment(analysed: float) -> str:
    if np.isnan(analysed):
        return "Patients are those analysed from the landmark; more must be enrolled"
    lost = percent(100 * (1 - analysed))
    return f"Of the patients enrolled {lost} are not analysed at the earlier day: no scan, or an event before"


def _size(row: pd.Series, analysed: float) -> str:
    enrolled = "" if np.isnan(analysed) else f" ({number(np.ceil(row['PATIENTS'] / analysed), 0)} enrolled)"
    events, patients = number(row["EVENTS"], 0), number(row["PATIENTS"], 0)
    return f"{events} events and {patients} patients analysed from the landmark{enrolled}"
