"""What virtual trials of the design say of the reported test and of the hazard ratio beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.plan import Plan
from analysis.survival.association.estimates import REPORTED, Analysis, estimates_table

TRUE_RATIO = "true hazard ratio of "  # in the LABEL of a row of simulated power


def tabulate_bias(operating: pd.DataFrame | None, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Tabulate by which factor the hazard ratio of all patients at the chosen day is off, a row a truth.

    Parameters
    ----------
    operating : DataFrame or None
        Table ``operating_characteristics``; its first SIZE is the design as planned.
    analysis : Analysis
        The main analysis of an endpoint.
    plan : Plan
        Sections design and primary.

    Returns
    -------
    DataFrame
        Estimates rows ``selection_bias`` (DESCRIPTIVE) with Monte Carlo limits: small samples and selection
        together. LABEL has the factor of the same day fixed in advance, which no selection acts on.
    """
    rows, found = _select(operating, analysis, "bias", "chosen"), []
    reach = norm.isf(plan.primary.alpha / 2)
    first = analysis.timepoint == plan.design.followup_visits[0]
    fixed = _select(operating, analysis, "bias", "fixed_earlier" if first else "fixed_later")
    fixed = fixed.set_index("TRUTH")["ESTIMATE"]
    for row in rows.itertuples():
        limits = [row.ESTIMATE, row.ESTIMATE - reach * row.SE, row.ESTIMATE + reach * row.SE]
        label = f"simulated bias, small samples and selection; truth: {row.TRUTH}"
        if row.TRUTH in fixed.index:
            label += f"; day fixed in advance: {np.exp(fixed[row.TRUTH]):.2f}"
        numbers = dict(zip(("ESTIMATE", "LOWER", "UPPER"), np.exp(limits), strict=True))
        found.append({**_place(analysis, "selection_bias"), **numbers, "LABEL": analysis.label(label)})
    return estimates_table(found)


def tabulate_power(operating: pd.DataFrame | None, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Tabulate how often the two-stage test finds a planted effect, a row a truth.

    Parameters
    ----------
    operating, analysis
        As in `tabulate_bias`.
    plan : Plan
        Sections primary and survival.

    Returns
    -------
    DataFrame
        Estimates rows ``simulated_power`` (DESCRIPTIVE) with Monte Carlo limits; LABEL has the true hazard
        ratio of the day. The truth nearest to ``survival.power_hr`` is first.
    """
    tests = _select(operating, analysis, "rejection", "two_stage")
    true = _select(operating, analysis, "truth", analysis.timepoint).set_index("TRUTH")["ESTIMATE"]
    # A target is the level: nothing is planted there, and what is found is no power.
    rows = tests[tests["TARGET"].isna() & tests["TRUTH"].isin(true.index)]
    distance = np.log(rows["TRUTH"].map(true) / plan.survival.power_hr).abs()
    reach, found = norm.isf(plan.primary.alpha / 2), []
    for row in rows.loc[distance.sort_values(kind="stable").index].itertuples():
        limits = np.clip([row.ESTIMATE - reach * row.SE, row.ESTIMATE + reach * row.SE], 0, 1)
        numbers = {"ESTIMATE": row.ESTIMATE, "LOWER": limits[0], "UPPER": limits[1]}
        label = (
            f"simulated power of the two-stage test; {TRUE_RATIO}{true[row.TRUTH]:.2f}; truth: {row.TRUTH}"
        )
        found.append({**_place(analysis, "simulated_power"), **numbers, "LABEL": analysis.label(label)})
    return estimates_table(found)


def is_corrected(main: pd.DataFrame | None, endpoint: str) -> bool:
    """Tell whether the reported test of an endpoint is the two-stage test."""
    if main is None or main.empty:
        return False
    rows = main["ENDPOINT"].eq(endpoint) & main["METHOD"].eq("two_stage")
    return bool((rows & main["LABEL"].str.contains(REPORTED, regex=False)).any())


def say_simulated_power(main: pd.DataFrame | None, endpoint: str) -> str:
    """Say what the formula's power is of, and what the corrected test found in virtual trials.

    Parameters
    ----------
    main : DataFrame or None
        Rows of `estimate_main`.
    endpoint : str
        PARAMCD.

    Returns
    -------
    str
        Up to two sentences, to stand after the formula's power; empty where the test is not corrected.
    """
    if not is_corrected(main, endpoint):
        return ""
    text = "Both are Schoenfeld's formula for a test on a day fixed in advance."
    rows = main[main["ENDPOINT"].eq(endpoint) & main["METHOD"].eq("simulated_power")]
    if rows.empty:
        return text
    row = rows.iloc[0]
    ratio = next(part for part in row["LABEL"].split("; ") if part.startswith(TRUE_RATIO))
    found = f"in {100 * row['ESTIMATE']:.0f} % of virtual trials of this design"
    return f"{text} The corrected test that is reported found a {ratio} {found}."


def _select(operating: pd.DataFrame | None, analysis: Analysis, quantity: str, method: str) -> pd.DataFrame:
    if operating is None or operating.empty:
        return pd.DataFrame(columns=["TRUTH", "ESTIMATE", "SE", "TARGET"])
    rows = operating["QUANTITY"].eq(quantity) & operating["METHOD"].eq(method)
    rows &= operating["ENDPOINT"].eq(analysis.endpoint) & operating["ESTIMATE"].notna()
    return operating[rows & operating["SIZE"].eq(operating["SIZE"].iloc[0])]


def _place(analysis: Analysis, method: str) -> dict:
    return {**analysis.columns(), "METHOD": method, "ROLE": "DESCRIPTIVE"}
