"""The sentences that state the results of notebook 05, computed from its rows; nothing to say is ``""``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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
from analysis.tables.effect_words import RATIOS, neutral_of, write_firth
from analysis.tables.format import counted, number, p_text, p_value
from analysis.tables.lead_sentences import say_lead_time as say_lead_time
from analysis.tables.screen_sentences import join_names
from analysis.tables.screen_sentences import say_families as say_families
from analysis.tables.screen_sentences import say_screen as say_screen
from analysis.tables.words import phrase_of

_MOST = 5
_WITHIN = re.compile(r"of (\d+) subjects; (\d+) of these have lesions of both kinds")


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
            parts += [_clause(row, rows) for row in chosen.to_dict("records")]
    return _sentence("ctDNA and outcome", parts)


def say_combined(estimates: pd.DataFrame, endpoint: str) -> str:
    """State what response and ctDNA add to each other for one endpoint, and whether they interact."""
    own = estimates[estimates["ANALYSIS"].eq("combined") & estimates["OUTCOME"].eq(endpoint)]
    both = own[own["METHOD"].eq("cox_additive")]
    if both.empty:
        return ""
    first = both.iloc[0]
    size = f"{counted(first['N'], 'patient')}, {counted(first['EVENTS'], 'event')}"
    known = both[both["ESTIMATE"].notna()]
    if known.empty:
        return f"{endpoint}, response and ctDNA in one model ({size}): not estimable."
    parts = [
        f"{marker_words(row)}, {given_words(row)}: {write_effect(row)}{_p(row)}"
        for row in known.to_dict("records")
    ]
    text = f"{endpoint}, response and ctDNA in one model ({size}): {'; '.join(parts)}."
    product = own[own["METHOD"].eq("cox_interaction") & own["ESTIMATE"].notna()].to_dict("records")
    if product:
        shown = write_effect(product[0], named=False)
        text += (
            f" Interaction: the hazard ratio of metabolic non-response among patients with ctDNA is {shown} "
            f"times that among those without{_p(product[0])}."
        )
    return text


def say_burden(estimates: pd.DataFrame, metric: str | Sequence[str]) -> str:
    """State the rank correlations of tumour burden with plasma: levels at baseline, then changes.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers.
    metric : str or sequence of str
        Metrics of burden. Of several, all stand beside each other for the same quantity of plasma, and the
        sentence says where they point opposite ways.
    """
    metrics = [metric] if isinstance(metric, str) else list(metric)
    own = estimates["ANALYSIS"].eq("burden") & estimates["MARKER"].isin(metrics)
    rows = estimates[own & estimates["STATISTIC"].eq("rho") & estimates["ESTIMATE"].notna()]
    if len(metrics) > 1:
        return _sentence("Tumour burden and plasma, rank correlations", _compare_metrics(rows, metrics))
    parts = [f"{_plasma_words(row)} {_correlation(row)}" for row in rows.to_dict("records")]
    return _sentence(f"{first_upper(phrase_of(metrics[0]))} and plasma, rank correlations", parts)


def _compare_metrics(rows: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    parts = []
    for _, pair in rows.groupby(["OUTCOME", "AVISIT"], sort=False, dropna=False):
        pair = pair.assign(PLACE=pair["MARKER"].map(list(metrics).index)).sort_values("PLACE", kind="stable")
        lines = pair.to_dict("records")
        said = ", ".join(f"{phrase_of(row['MARKER'])} {_correlation(row)}" for row in lines)
        opposite = pair["ESTIMATE"].gt(0).any() and pair["ESTIMATE"].lt(0).any()
        parts.append(f"{_plasma_words(lines[0])}, {said}" + " (they point opposite ways)" * bool(opposite))
    return parts


def _plasma_words(row: dict) -> str:
    at = f" at {phrase_of(row['AVISIT'])}" if isinstance(row["AVISIT"], str) else ""
    return outcome_words(row["OUTCOME"]) + at


def _correlation(row: dict) -> str:
    return f"{write_effect(row)} (n = {row['N']:.0f})"


def say_profile(profile: pd.DataFrame, *, fdr_level: float) -> str:
    """State in what the non-responders differ from the responders, of all that stands on their page."""
    tests = profile[profile["P"].notna()].sort_values("P", kind="stable")
    if tests.empty:
        return ""
    first = tests.iloc[0]
    if len(tests) == 1:
        name = first_upper(_characteristic(first))
        return f"{name}: p {p_value(first['P'])} (one test{_way(first)})."
    small = tests[tests["Q_BH"].le(fdr_level)]
    head = f"Of {counted(len(tests), 'characteristic')} compared"
    if small.empty:
        return (
            f"{head}, none has q ≤ {fdr_level:g}; the smallest p is that of {_characteristic(first)} "
            f"({p_text(first['P'])}, q = {p_value(first['Q_BH'])}{_way(first)})."
        )
    named = [f"{_characteristic(row)} (q {p_value(row['Q_BH'])}{_way(row)})" for _, row in small.iterrows()]
    return f"{head}, {len(named)} with q ≤ {fdr_level:g}: {join_names(named)}."


def _way(row: pd.Series) -> str:
    """Say which way the non-responders differ; nothing for a characteristic of several classes."""
    value, statistic = row.get("ESTIMATE"), row.get("STATISTIC")
    if pd.isna(value) or value == neutral_of(statistic):
        return ""
    more, fewer = ("more", "fewer") if statistic in RATIOS else ("higher", "lower")
    return f", {more if value > neutral_of(statistic) else fewer} in non-responders"


def say_acquired(acquired: pd.DataFrame) -> str:
    """State what was gained and lost between the baseline and the later sample, and what nobody can know."""
    if acquired.empty:
        return ""
    kinds, text = acquired["AVALC"].value_counts(), []
    gained = acquired[acquired["AVALC"].eq("ACQUIRED")]
    patients = acquired["USUBJID"].nunique()
    head = f"Of {counted(len(acquired), 'alteration')} in {counted(patients, 'patient')} with a later sample"
    text.append(f"{len(gained)} acquired" + (f" ({join_names(_top(gained))})" if len(gained) else ""))
    for code in ("PRESENT AT BASELINE", "LOST"):
        if kinds.get(code, 0):
            text.append(f"{kinds[code]} {code.lower()}")
    unknown = int(kinds.get("NOT ASSESSABLE", 0))
    tail = f" {unknown} not assessable: the other sample might have missed it." if unknown else ""
    return f"{head}: {', '.join(text)}.{tail}"


_LESION_SHARES = {
    "EARLYRES": "an early resistant driver in {} progressions",
    "NEWFL": "a new lesion in {} progressions",
    "LATEFL": "a lesion not seen at baseline or the early scan in {} progressions",
    "EARLYRES_Y": "of lesions that resisted early {} drove progression, pooled over patients",
    "EARLYRES_N": "of lesions that responded early {} did",
}


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
            text = _LESION_SHARES.get(row["MARKER"], f"{row['MARKER']} in {{}} progressions")
            count = f"{row['EVENTS']:.0f} of {row['N']:.0f}"
            parts.append(f"{text.format(count)} ({write_effect(row, named=False)})")
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


def _clause(row: dict, estimates: pd.DataFrame | None = None) -> str:
    beside = "" if estimates is None else write_firth(row, estimates)
    effect = write_effect(row) + (f", {beside}" if beside else "")
    size = f"n = {number(row['N'], 0)}"
    return f"{marker_words(row)} and {outcome_words(row['OUTCOME'])}, {effect}{_p(row)} ({size})"


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


def _top(rows: pd.DataFrame) -> list[str]:
    counts = rows.groupby("PARAMCD")["USUBJID"].nunique().reset_index(name="n")
    counts = counts.sort_values(["n", "PARAMCD"], ascending=[False, True]).head(_MOST)
    return [f"{gene} in {n}" for gene, n in counts.itertuples(index=False)]
