"""Burden on PET beside burden in plasma: levels with levels at baseline, changes with changes early."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.effects import Effect, estimate_rank_correlation, estimate_shift
from analysis.biomarkers.plasma import DETECTED, NOT_DETECTED, select_visit
from analysis.biomarkers.rows import Analysis, as_rows, join_notes, nothing
from analysis.survival.outcome import NotEstimable

_COLUMNS = ["USUBJID", "METRIC", "VISIT", "PET", "PLASMA", "RESULT", "MRESP"]
_CLASSES = {1.0: "NON-RESPONDER", 0.0: "RESPONDER"}
# Below every level that can be measured, so that all undetected samples tie at the lowest rank.
_UNDETECTED = -1.0


def estimate_burden(
    adpet: pd.DataFrame,
    adbm: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    early: str,
    rng: np.random.Generator,
    rules=None,
) -> Analysis:
    """Relate the burden of the whole patient on PET to ctDNA, at baseline and in its early change.

    At baseline, each of ``burden_metrics`` against tumour fraction and largest variant allele fraction
    (Spearman; samples without ctDNA tie below every detected one, failed ones are missing), and its shift
    between patients with and without ctDNA. Change with change: log ratio of the burden against log ratio of
    the tumour fraction, from baseline to the early visit; a sample without ctDNA stands at its limit of
    detection (of the fraction where a table has one, else the assay's for VAF), and once more only those
    detected at both visits. PET and draw are of the same visit.

    Parameters
    ----------
    adpet : DataFrame
        Table adpet; its patient-level rows hold the burden.
    adbm : DataFrame
        Table adbm.
    outcomes : DataFrame
        As `assemble_outcomes` returns; its subjects are analysed.
    early : str
        Visit of the early scan.
    rng : numpy Generator
        Source of the bootstrap.
    rules : Section, optional
        The plan's section ``biomarkers``; its defaults if None.

    Returns
    -------
    Analysis
        Its table is for the scatter: USUBJID METRIC VISIT (baseline visit, or ``<early>/<baseline>`` for a
        ratio) PET PLASMA (tumour fraction; the limit of detection if undetected; ratios) RESULT MRESP.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    empty = pd.DataFrame(columns=_COLUMNS)
    base = rules.baseline_visit
    before, after = (_plasma_levels(adbm, visit) for visit in (base, early))
    burdens = {metric: _pivot_burden(adpet, metric, outcomes.index) for metric in rules.burden_metrics}
    burdens = {metric: table for metric, table in burdens.items() if base in table}
    if not burdens:
        return nothing(f"no burden of the whole patient on the {base} PET ({_names(rules)})", empty)
    if before.empty:
        return nothing(f"no plasma at {base}", empty)
    rows, points = [], []
    for metric, table in burdens.items():
        for row in _estimate_levels(table[base], before, rng, rules):
            rows.append({**row, "MARKER": metric, "AVISIT": base})
        points.append(_points(table[base], before["LEVEL"], before["RESULT"], metric, base, outcomes))
        ratios = _pair_changes(table, before, after, base, early)
        for row in _estimate_changes(ratios, rng, rules):
            rows.append({**row, "MARKER": metric, "AVISIT": early})
        visit = f"{early}/{base}"
        points.append(_points(ratios["PET"], ratios["PLASMA"], ratios["RESULT"], metric, visit, outcomes))
    place = {"ANALYSIS": "burden", "PARTYPE": "PET", "SAMPTYPE": "PLASMA"}
    missing = None if len(after) else f"changes: no plasma at {early}"
    missing = missing or (
        None if any(early in t for t in burdens.values()) else f"changes: no PET at {early}"
    )
    points = [table for table in points if len(table)]
    table = pd.concat(points, ignore_index=True) if points else empty
    return Analysis(as_rows([{**place, **row} for row in rows]), table, missing)


def _names(rules) -> str:
    return ", ".join(rules.burden_metrics)


def _pivot_burden(adpet: pd.DataFrame, metric: str, subjects: pd.Index) -> pd.DataFrame:
    """Return subjects x visits of one patient-level metric."""
    own = adpet["ROLE"].eq("TOTAL") & adpet["METRIC"].eq(metric) & adpet["USUBJID"].isin(subjects)
    rows = adpet[own & adpet["AVAL"].notna()]
    return rows.set_index(["USUBJID", "AVISIT"])["AVAL"].unstack("AVISIT").astype(float)  # noqa: PD010


def _plasma_levels(adbm: pd.DataFrame, visit: str) -> pd.DataFrame:
    """Return of who has an assessable draw: RESULT, TUMFRAC and VAF (undetected lowest), LEVEL (or LOD)."""
    draws = select_visit(adbm, visit)
    draws = draws[draws["AVALC"].isin([DETECTED, NOT_DETECTED])]
    fraction = select_visit(adbm, visit, param="TUMFRAC").reindex(draws.index)
    # A fraction of another sample of that visit is not the one that was called.
    own = fraction["SAMPLEID"].eq(draws["SAMPLEID"])
    found = draws["AVALC"].eq(DETECTED)
    value = fraction["AVAL"].where(own).astype(float)
    lod = fraction["LOD"].where(own).fillna(draws["LOD"]).astype(float)
    return pd.DataFrame(
        {
            "RESULT": draws["AVALC"],
            "TUMFRAC": value.where(found, _UNDETECTED),
            "VAF": draws["AVAL"].astype(float).where(found, _UNDETECTED),
            "LEVEL": value.where(found, lod),
        }
    )


def _estimate_levels(
    burden: pd.Series, plasma: pd.DataFrame, rng: np.random.Generator, rules
) -> Iterator[dict[str, Any]]:
    both = plasma.join(burden.rename("PET"), how="inner").dropna(subset=["PET"]).sort_index()
    detected = both["RESULT"].eq(DETECTED)
    note = f"{int((~detected).sum())} undetected tie below every detected value"
    for name in ("TUMFRAC", "VAF"):
        known = both.dropna(subset=[name])
        row = {"OUTCOME": name, "N_POS": int(known["RESULT"].eq(DETECTED).sum())}
        yield {**row, **_correlate(known["PET"], known[name], rng, rules, note)}
    row = {"OUTCOME": "CTDNA", "METHOD": "wilcoxon", "STATISTIC": "difference"}
    row |= {"N": len(both), "N_POS": int(detected.sum())}
    if min(detected.sum(), (~detected).sum()) < rules.min_prevalence_n:
        text = f"listed, not tested: fewer than {rules.min_prevalence_n} subjects in one group"
        yield {**row, "TESTED": "N", "NOTE": text}
        return
    effect = estimate_shift(detected.to_numpy(), both["PET"].to_numpy(), alpha=rules.interval_alpha)
    yield {**row, **_numbers(effect), "NOTE": "burden of patients with ctDNA against without"}


def _pair_changes(
    burden: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame, base: str, early: str
) -> pd.DataFrame:
    """Return the ratios early to baseline of PET and plasma, of who has both scans and both draws."""
    if early not in burden:
        return pd.DataFrame(columns=["PET", "PLASMA", "RESULT", "UNDETECTED"])
    subjects = burden[[base, early]].dropna().index.intersection(before.index).intersection(after.index)
    subjects = subjects.sort_values()
    pet, one, other = burden.loc[subjects], before.loc[subjects], after.loc[subjects]
    undetected = one["RESULT"].ne(DETECTED).astype(int) + other["RESULT"].ne(DETECTED).astype(int)
    return pd.DataFrame(
        {
            "PET": pet[early] / pet[base],
            "PLASMA": other["LEVEL"] / one["LEVEL"],
            "RESULT": other["RESULT"],
            "UNDETECTED": undetected,
        }
    )


def _estimate_changes(ratios: pd.DataFrame, rng: np.random.Generator, rules) -> Iterator[dict[str, Any]]:
    # A burden of 0, or a limit of detection nobody gave, has no log ratio.
    logs = np.log(ratios[["PET", "PLASMA"]].astype(float).where(ratios[["PET", "PLASMA"]] > 0))
    usable = np.isfinite(logs).all(axis=1)
    kept, logs = ratios[usable], logs[usable]
    lost = int((~usable).sum())
    without = f"{lost} without a ratio (no burden left, no tumour fraction, or no limit of detection)"
    once, twice = (int((kept["UNDETECTED"] == times).sum()) for times in (1, 2))
    limits = "at the limit of detection (the assay's, for VAF, where none is given for the fraction): "
    limits += f"{once} at one visit, {twice} at both"
    note = join_notes(limits, without if lost else None)
    yield {"OUTCOME": "TUMFRAC_CHANGE", **_correlate(logs["PET"], logs["PLASMA"], rng, rules, note)}
    own = logs[kept["UNDETECTED"] == 0]
    note = "only who had ctDNA at both visits"
    yield {"OUTCOME": "TUMFRAC_CHANGE_DETECTED", **_correlate(own["PET"], own["PLASMA"], rng, rules, note)}


def _correlate(
    pet: pd.Series, plasma: pd.Series, rng: np.random.Generator, rules, note: str
) -> dict[str, Any]:
    row = {"METHOD": "spearman", "STATISTIC": "rho", "N": len(pet)}
    try:
        effect, flat = estimate_rank_correlation(
            pet.to_numpy(float),
            plasma.to_numpy(float),
            resamples=rules.spearman_bootstrap,
            rng=rng,
            alpha=rules.interval_alpha,
        )
    except NotEstimable as error:
        return {**row, "TESTED": "N", "NOTE": join_notes(f"not estimable: {error}", note)}
    without = f"{flat} bootstrap samples without spread left out" if flat else None
    return {**row, **_numbers(effect), "NOTE": join_notes(note, without)}


def _numbers(effect: Effect) -> dict[str, float]:
    return {name.upper(): value for name, value in effect._asdict().items()}


def _points(pet, plasma, result, metric: str, visit: str, outcomes: pd.DataFrame) -> pd.DataFrame:
    points = pd.DataFrame({"PET": pet, "PLASMA": plasma, "RESULT": result}).dropna().rename_axis("USUBJID")
    points = points.reset_index().assign(METRIC=metric, VISIT=visit)
    points["MRESP"] = points["USUBJID"].map(outcomes["NONRESPONSE"].map(_CLASSES)).fillna("NE")
    return points[_COLUMNS]
