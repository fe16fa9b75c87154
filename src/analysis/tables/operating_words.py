"""The words a reader sees for the codes and numbers of the tables operating_characteristics and planning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from analysis.tables.format import number, percent
from analysis.tables.words import PILOT_RULES as RULES
from analysis.tables.words import phrase_of

# In the order in which a reader meets them.
ANALYSES = {
    "fixed_earlier": "earlier day, fixed in advance",
    "fixed_later": "later day, fixed in advance",
    "two_stage": "chosen day, corrected (reported)",
    "extension_only": "chosen day, extension alone",
    "chosen": "chosen day, all patients, uncorrected",
    "chosen_asymptotic": "chosen day, asymptotic log-rank",
    "cox_ml": "chosen day, Cox, maximum likelihood",
    "cox_firth": "chosen day, Cox, Firth",
    "optimal_cut": "best of all cuts, uncorrected",
    "optimal_cut_corrected": "best of all cuts, corrected",
    "no_landmark": "later day, no landmark, classified only",
    "start_of_treatment": "later day, no landmark, no scan = non-response",
    "missing_as_nonresponse": "later day, landmark, no scan = non-response",
}
PILOT_RULES = {**RULES, "PLAN": "plan's rule with its fallback"}
QUANTITIES = {
    "rejection": "Rejections, %",
    "coverage": "Coverage, %",
    "bias": "Bias of ln HR",
    "estimate": "Median HR",
    "not_finite": "No finite estimate, %",
    "later_day": "Later day taken, %",
    "better_day": "Better day taken, %",
    "fallback": "Fallback decides, %",
    "events": "Events",
    "patients": "Patients",
    "enrolled": "Enrolled",
    "nonresponse": "Non-responders, %",
    "truth": "True HR",
    "inflation": "Added by the choice, points",
    "inflation_up": "Added, HR above 1, points",
    "inflation_down": "Added, HR below 1, points",
    "typical": "Typical HR or its inverse",
}
PLANNING = {
    "schoenfeld": "Schoenfeld's formula",
    "simulation": "simulated, events when they occur",
    "simulation_grid": "simulated, progression seen on scans",
}
DECISION = {"decision": "known on the decision date"}
MATURE = "_mature"
# Two shares of the same trials that differ by less are the same number.
_SAME = 1e-9


def name_analysis(code: str, *, endpoint: str = "") -> str:
    """Return the words for an analysis or a rule of the pilot; unknown codes stay.

    Examples
    --------
    >>> name_analysis("two_stage"), name_analysis("margin_mature"), name_analysis("D14")
    ('chosen day, corrected (reported)', 'margin', 'D14')
    """
    words = ANALYSES | PILOT_RULES | DECISION
    name = words.get(code, words.get(code.removesuffix(MATURE), code))
    return f"{endpoint}: {name}" if endpoint else name


def order_analyses(codes) -> list[str]:
    """List the codes of `codes` once each, in the order of reading; unknown ones last, as they came."""
    there = list(dict.fromkeys(codes))
    known = [code for code in (*ANALYSES, *PILOT_RULES) if code in there]
    return known + [code for code in there if code not in known]


def null_truths(characteristics: pd.DataFrame) -> list[str]:
    """List the truths in which nothing is planted: where a test has a level to hold."""
    tests = characteristics["QUANTITY"].eq("rejection") & characteristics["TARGET"].notna()
    return list(dict.fromkeys(characteristics.loc[tests, "TRUTH"]))


def select(characteristics: pd.DataFrame, quantity: str, **wanted: str | list[str]) -> pd.DataFrame:
    """Select the rows of a quantity that have an estimate; `wanted` names columns and their values."""
    found = characteristics["QUANTITY"].eq(quantity) & characteristics["ESTIMATE"].notna()
    for column, values in wanted.items():
        found &= characteristics[column].isin([values] if isinstance(values, str) else values)
    return characteristics[found]


def name_size(characteristics: pd.DataFrame, size: str, endpoint: str) -> str:
    """Name a size with the patients analysed and their events, averaged over its truths.

    Both are those of the first day the table holds.
    """
    means = []
    for quantity, noun in (("patients", "analysed"), ("events", "events")):
        rows = select(characteristics, quantity, SIZE=size, ENDPOINT=endpoint)
        rows = rows[~rows["METHOD"].isin(DECISION)]
        own = rows[rows["METHOD"].eq(rows["METHOD"].iloc[0])] if len(rows) else rows
        if len(own):
            means.append(f"{number(own['ESTIMATE'].mean(), 0)} {noun}")
    return f"{size} ({', '.join(means)})" if means else size


def planned(own: pd.DataFrame) -> pd.DataFrame:
    """Select the first size: the planned one."""
    return own[own["SIZE"].eq(own["SIZE"].iloc[0])] if len(own) else own


def by_analysis(rows: pd.DataFrame) -> pd.DataFrame:
    """Index rows of one cell and quantity by METHOD."""
    return rows.drop_duplicates("METHOD").set_index("METHOD")


def effects(own: pd.DataFrame) -> list[str]:
    """List the truths with an effect, those at most sizes first."""
    there = own.loc[~own["TRUTH"].isin(null_truths(own)) & own["QUANTITY"].eq("rejection")]
    sizes = there.groupby("TRUTH", sort=False)["SIZE"].nunique()
    return list(sizes.sort_values(ascending=False, kind="stable").index)


def later_better(own: pd.DataFrame) -> list[str]:
    """List the truths whose better day is the later one: every rule is right as often as it takes it."""
    found = []
    for truth, rows in own[own["QUANTITY"].eq("better_day")].groupby("TRUTH", sort=False):
        right, taken = (by_analysis(select(own, name, TRUTH=truth)) for name in ("better_day", "later_day"))
        same = (right["ESTIMATE"] - taken["ESTIMATE"].reindex(right.index)).abs() < _SAME
        found += [truth] if len(rows) and same.all() else []
    return found


def rate(row: pd.Series, column: str = "ESTIMATE") -> str:
    """Write a share in percent with its Monte Carlo error."""
    return f"{percent(100 * row[column], 1)} (SE {number(100 * row['SE'], 1)})"


def share(row: pd.Series) -> str:
    """Write a share in percent."""
    return percent(100 * row["ESTIMATE"], 1)


def value(row: pd.Series) -> str:
    """Write a number with two decimals."""
    return number(row["ESTIMATE"], 2)


def points(row: pd.Series) -> str:
    """Write a difference of shares in percentage points with its Monte Carlo error."""
    return f"{number(100 * row['ESTIMATE'], 1)} (SE {number(100 * row['SE'], 1)})"


def span(rows: pd.DataFrame, write: Callable[[pd.Series], str], *, of: str = "TRUTH") -> str:
    """Write the smallest and the largest value of `rows`, each with what it is of."""
    low, high = rows.loc[rows["ESTIMATE"].idxmin()], rows.loc[rows["ESTIMATE"].idxmax()]
    if write(low) == write(high):
        return write(low)
    return f"{write(low)} ({low[of]}) to {write(high)} ({high[of]})"


def true_ratios(own: pd.DataFrame, truth: str, size: str) -> str:
    """Write the true hazard ratios of the days, where the table holds them."""
    rows = select(own, "truth", TRUTH=truth, SIZE=size)
    return ", ".join(f"{number(one.ESTIMATE, 2)} at {phrase_of(one.METHOD)}" for one in rows.itertuples())


def sentences(parts: Sequence[str]) -> str:
    """Join parts to sentences."""
    return " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts if part)
