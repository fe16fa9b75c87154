"""The words a reader sees for the codes of the tables operating_characteristics and planning."""

from __future__ import annotations

import pandas as pd

from analysis.tables.format import number

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
PILOT_RULES = {
    "margin": "margin",
    "max_concordance": "larger C",
    "max_partial_likelihood": "larger partial likelihood",
    "bootstrap_support": "bootstrap support",
    "agreement_first": "agreement first",
    "PLAN": "plan's rule with its fallback",
}
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
    "nonresponse": "Non-responders, %",
    "truth": "True HR",
}
PLANNING = {
    "schoenfeld": "Schoenfeld's formula",
    "simulation": "simulated, events when they occur",
    "simulation_grid": "simulated, progression seen on scans",
}
DECISION = {"decision": "known on the decision date"}
MATURE = "_mature"


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
