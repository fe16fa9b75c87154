"""The sentences that state the results of notebook 05, computed from its rows; nothing to say is ``""``."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.tables.biomarker_words import (
    analysis_words,
    choose_rows,
    code_words,
    first_upper,
    given_words,
    marker_words,
    outcome_words,
    tested_rows,
    write_effect,
)
from analysis.tables.format import counted, number, p_text, p_value
from analysis.tables.words import phrase_of

_MOST = 5
_WITHIN = re.compile(r"of (\d+) subjects; (\d+) of these have lesions of both kinds")


def say_screen(
    estimates: pd.DataFrame, *, fdr_level: float, fwer_level: float, analysis: str = "gene"
) -> str:
    """State how many markers of one analysis were tested and which stand out after correction.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers.
    fdr_level, fwer_level : float
        Levels Q_BH and P_MAXT are read against.
    analysis : str
        ANALYSIS.
    """
    rows = estimates[estimates["ANALYSIS"].eq(analysis)]
    if rows.empty:
        return ""
    keys = rows[["MARKER", "PARTYPE"]].drop_duplicates()
    tested = rows[rows["TESTED"].eq("Y")]
    many = len(tested[["MARKER", "PARTYPE"]].drop_duplicates())
    text = f"{analysis_words(analysis)}: {many} of {counted(len(keys), 'marker')} could be tested"
    if not many:
        return f"{text}."
    listed = len(keys) - many
    text += f", {listed} are listed only." if listed else "."
    won = _primary(tested, "P_MAXT", fwer_level)
    text += f" Family-wise error held at {fwer_level:g} in each family: {_name(won, 'P_MAXT')}."
    small = _primary(tested, "Q_BH", fdr_level)
    rest = small[~small.index.isin(won.index)]
    if len(rest):
        text += f" Further with q ≤ {fdr_level:g}: {_name(rest, 'Q_BH')}."
    return f"{text} Exploratory: to be confirmed elsewhere."


def say_ctdna(estimates: pd.DataFrame, *, visit: str | None = None, outcomes: Iterable[str] = ()) -> str:
    """State how ctDNA goes with response and outcome: at one visit, or clearance without a visit's rows.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers.
    visit : str, optional
        AVISIT; all without it.
    outcomes : iterable of str
        OUTCOME to speak of, in this order; all there are without it.
    """
    own = estimates[estimates["ANALYSIS"].isin(["ctdna", "clearance"])]
    own = own[own["METHOD"].ne("mcnemar_exact")]  # relates to no outcome
    own = own if visit is None else own[own["AVISIT"].eq(visit)]
    asked = list(outcomes) or list(dict.fromkeys(own["OUTCOME"]))
    parts = []
    for outcome in asked:
        of_outcome = own[own["OUTCOME"].eq(outcome)]
        for _, rows in of_outcome.groupby(["MARKER", "AVISIT"], dropna=False, sort=False):
            chosen = tested_rows(choose_rows(rows, outcome)).head(1)
            parts += [_clause(row) for row in chosen.to_dict("records")]
    return _sentence("ctDNA and outcome", parts)


def say_combined(estimates: pd.DataFrame, endpoint: str) -> str:
    """State what PET and ctDNA add to each other for one endpoint, and whether they interact."""
    own = estimates[estimates["ANALYSIS"].eq("combined") & estimates["OUTCOME"].eq(endpoint)]
    both = own[own["METHOD"].eq("cox_additive")]
    if both.empty:
        return ""
    first = both.iloc[0]
    size = f"{counted(first['N'], 'patient')}, {counted(first['EVENTS'], 'event')}"
    known = both[both["ESTIMATE"].notna()]
    if known.empty:
        return f"{endpoint}, PET and ctDNA in one model ({size}): not estimable."
    parts = [
        f"{marker_words(row)}, {given_words(row)}: {write_effect(row)}{_p(row)}"
        for row in known.to_dict("records")
    ]
    text = f"{endpoint}, PET and ctDNA in one model ({size}): {'; '.join(parts)}."
    product = own[own["METHOD"].eq("cox_interaction") & own["ESTIMATE"].notna()].to_dict("records")
    if product:
        shown = write_effect(product[0], named=False)
        text += (
            f" Interaction: the hazard ratio of metabolic non-response among patients with ctDNA is {shown} "
            f"times that among those without{_p(product[0])}."
        )
    return text


def say_lead_time(lead_times: pd.DataFrame, estimates: pd.DataFrame | None = None) -> str:
    """State in how many patients plasma rose before progression, and the median lead.

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
    return text + (
        f" It rose without progression so far in {alone}, whose lead is censored." if alone else ""
    )


def say_burden(estimates: pd.DataFrame, metric: str) -> str:
    """State the rank correlations of one PET burden with plasma: levels at baseline, then changes."""
    own = estimates["ANALYSIS"].eq("burden") & estimates["MARKER"].eq(metric)
    rows = estimates[own & estimates["STATISTIC"].eq("rho") & estimates["ESTIMATE"].notna()]
    parts = [
        f"{outcome_words(row['OUTCOME'])} at {phrase_of(row['AVISIT'])} {write_effect(row)} "
        f"(n = {row['N']:.0f})"
        for row in rows.to_dict("records")
    ]
    return _sentence(f"{first_upper(phrase_of(metric))} on PET and plasma, rank correlations", parts)


def say_profile(profile: pd.DataFrame, *, fdr_level: float) -> str:
    """State in what the non-responders differ from the responders, of all that stands on their page."""
    tests = profile[profile["P"].notna()]
    if tests.empty:
        return ""
    small = tests[tests["Q_BH"].le(fdr_level)].sort_values("P", kind="stable")
    head = f"Of {counted(len(tests), 'characteristic')} compared"
    if small.empty:
        first = tests.sort_values("P", kind="stable").iloc[0]
        return (
            f"{head}, none has q ≤ {fdr_level:g}; the smallest p is that of {_characteristic(first)} "
            f"({p_text(first['P'])}, q = {p_value(first['Q_BH'])})."
        )
    named = [f"{_characteristic(row)} (q {p_value(row['Q_BH'])})" for row in small.to_dict("records")]
    return f"{head}, {len(named)} with q ≤ {fdr_level:g}: {_join(named)}."


def say_acquired(acquired: pd.DataFrame) -> str:
    """State what was gained and lost between the baseline and the later sample, and what nobody can know."""
    if acquired.empty:
        return ""
    kinds, text = acquired["AVALC"].value_counts(), []
    gained = acquired[acquired["AVALC"].eq("ACQUIRED")]
    patients = acquired["USUBJID"].nunique()
    head = f"Of {counted(len(acquired), 'alteration')} in {counted(patients, 'patient')} with a later sample"
    text.append(f"{len(gained)} acquired" + (f" ({_join(_top(gained))})" if len(gained) else ""))
    for code in ("PRESENT AT BASELINE", "LOST"):
        if kinds.get(code, 0):
            text.append(f"{kinds[code]} {code.lower()}")
    unknown = int(kinds.get("NOT ASSESSABLE", 0))
    tail = f" {unknown} not assessable: the other sample might have missed it." if unknown else ""
    return f"{head}: {', '.join(text)}.{tail}"


def say_lesions(estimates: pd.DataFrame) -> str:
    """State whether the lesions that drove progression were those that resisted early."""
    rows = estimates[estimates["ANALYSIS"].eq("lesion_progression") & estimates["ESTIMATE"].notna()]
    parts = []
    for row in rows.to_dict("records"):
        if row["STATISTIC"] == "odds_ratio":
            parts.append(
                f"early resistance and driving progression, within patients, {write_effect(row)}{_p(row)}"
                f"{_informative(row)}"
            )
        else:
            what = "an early resistant driver" if row["MARKER"] == "EARLYRES" else "a new lesion"
            count = f"{row['EVENTS']:.0f} of {row['N']:.0f}"
            parts.append(f"{what} in {count} progressions ({write_effect(row, named=False)})")
    return _sentence("Lesions at progression", parts)


def say_rows(estimates: pd.DataFrame, analysis: str) -> str:
    """State the estimates of any analysis, the first few, each in a clause; a course over time in words."""
    if analysis == "trajectory":
        return _say_trajectory(estimates)
    rows = estimates[estimates["ANALYSIS"].eq(analysis) & estimates["ESTIMATE"].notna()]
    parts = [_clause(row) for row in rows.head(_MOST).to_dict("records")]
    return _sentence(analysis_words(analysis), parts)


def _say_trajectory(estimates: pd.DataFrame) -> str:
    """State the factors behind the terms of the mixed model, and what the last of them means."""
    own = estimates[estimates["ANALYSIS"].eq("trajectory") & estimates["ESTIMATE"].notna()]
    rows = {row["MARKER"]: row for row in own.to_dict("records")}
    if "TIME:GROUP" not in rows:
        return ""
    last = rows["TIME:GROUP"]
    scale = "odds" if last["STATISTIC"] == "logit_difference" else "level"
    parts = [f"{marker_words(row)} × {_factor(row)}{_p(row)}" for row in rows.values()]
    what = outcome_words(last["OUTCOME"])
    head = f"{analysis_words('trajectory')}, {what}, as factors of the {scale}"
    text = f"{head} (n = {number(last['N'], 0)}): {'; '.join(parts)}."
    low, high = last["LOWER"], last["UPPER"]
    if pd.isna(low) or pd.isna(high):
        return text
    two, one = marker_words(last).split(", ", 1)[1].split(" against ")
    if low <= 0 <= high:
        return f"{text} The interval of the last factor covers 1: the two courses are not told apart."
    return f"{text} The level moves {'up' if low > 0 else 'down'} in the {two} relative to the {one}."


def _factor(row: dict) -> str:
    """Write a difference on the logit or log scale as the factor it is."""
    bounds = {name: np.exp(float(row[name])) for name in ("ESTIMATE", "LOWER", "UPPER")}
    return write_effect({**bounds, "STATISTIC": "hazard_ratio"}, named=False)


def _characteristic(row: pd.Series | dict) -> str:
    return code_words(str(row["CHARACTERISTIC"]))


def _primary(tested: pd.DataFrame, column: str, level: float) -> pd.DataFrame:
    small = tested[tested[column].le(level)]
    return small.sort_values([column, "P", "MARKER"], kind="stable")


def _name(rows: pd.DataFrame, column: str) -> str:
    if rows.empty:
        return "none stands out"
    said = [
        f"{marker_words(row)} and {outcome_words(row['OUTCOME'])} ({write_effect(row)}, "
        f"{'q' if column == 'Q_BH' else 'maxT p'} {p_value(row[column])})"
        for row in rows.head(_MOST).to_dict("records")
    ]
    more = len(rows) - len(said)
    return _join([*said, *([f"{more} more"] if more else [])])


def _clause(row: dict) -> str:
    size = f"n = {number(row['N'], 0)}"
    return f"{marker_words(row)} and {outcome_words(row['OUTCOME'])}, {write_effect(row)}{_p(row)} ({size})"


def _informative(row: dict) -> str:
    """Say how many patients tell anything in a comparison within patients, where the note knows."""
    found = _WITHIN.search(str(row.get("NOTE")))
    if not found:
        return ""
    return f" (only {found.group(2)} of {found.group(1)} patients had lesions of both kinds)"


def _p(row: dict) -> str:
    return f", {p_text(row['P'])}" if pd.notna(row.get("P")) else ""


def _sentence(head: str, parts: list[str]) -> str:
    return f"{head}: {'; '.join(parts)}." if parts else ""


def _median_lead(estimates: pd.DataFrame | None) -> str:
    if estimates is None:
        return ""
    own = estimates["ANALYSIS"].eq("lead_time") & estimates["STATISTIC"].eq("median_days")
    rows = estimates[own & estimates["ESTIMATE"].notna()].to_dict("records")
    if not rows:
        return ""
    shown = write_effect(rows[0], named=False)
    return f" The median lead is {shown}; who progressed without a rise before it counts as 0."


def _top(rows: pd.DataFrame) -> list[str]:
    counts = rows.groupby("PARAMCD")["USUBJID"].nunique().reset_index(name="n")
    counts = counts.sort_values(["n", "PARAMCD"], ascending=[False, True]).head(_MOST)
    return [f"{gene} in {n}" for gene, n in counts.itertuples(index=False)]


def _join(words: list[str]) -> str:
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last
