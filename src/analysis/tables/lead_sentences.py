"""The sentences on the lead time of ctDNA over progression; nothing to say is ``""``."""

from __future__ import annotations

import pandas as pd

from analysis.tables.biomarker_words import outcome_words, write_effect
from analysis.tables.format import counted


def say_lead_time(lead_times: pd.DataFrame, estimates: pd.DataFrame | None = None) -> str:
    """State in how many patients plasma rose before progression, the median lead, and who is not assessable.

    Parameters
    ----------
    lead_times : DataFrame
        Table lead_times.
    estimates : DataFrame, optional
        Rows of estimates_biomarkers, for the median with its interval (Kaplan-Meier).
    """
    if lead_times.empty:
        return ""
    counts = lead_times["CATEGORY"].value_counts()
    of = lambda name: int(counts.get(name, 0))
    before, late = of("RISE BEFORE PROGRESSION"), of("RISE AT OR AFTER PROGRESSION")
    seen = before + late + of("NO RISE BEFORE PROGRESSION")
    text = f"Plasma rose before progression in {before} of {counted(seen, 'patient')} with progression"
    text += f", at or after it in {late}." if late else "."
    text += _median_lead(estimates)
    alone = of("RISE WITHOUT PROGRESSION")
    text += f" It rose without progression so far in {alone}, whose lead is censored." if alone else ""
    return text + _measures(lead_times) + _unknown(of("NOT ASSESSABLE"))


def _measures(lead_times: pd.DataFrame) -> str:
    """Say in what the patients were followed, where it was not the same in all."""
    counts = lead_times["MEASURE"].value_counts() if "MEASURE" in lead_times else {}
    if len(counts) < 2:
        return ""
    (main, most), (other, few) = counts.items()
    return f" Followed by {outcome_words(main)}: {most}; by {outcome_words(other)} instead: {few}."


def _unknown(count: int) -> str:
    if not count:
        return ""
    return f" Not assessable: {counted(count, 'patient')} with ctDNA detected and its level not known."


def _median_lead(estimates: pd.DataFrame | None) -> str:
    if estimates is None:
        return ""
    own = estimates["ANALYSIS"].eq("lead_time") & estimates["STATISTIC"].eq("median_days")
    rows = estimates[own & estimates["ESTIMATE"].notna()].to_dict("records")
    if not rows:
        return ""
    shown = write_effect(rows[0], named=False)
    return f" The median lead is {shown}; who progressed without a rise before it counts as 0."
