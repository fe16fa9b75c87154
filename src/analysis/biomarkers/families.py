"""Relate every marker to every outcome by every method, with error control within each family.

A family is the tested markers of one tier, one outcome and one analysis. The first method of an outcome is
its main one: it decides whether a marker is tested, and alone carries Q_BH and P_MAXT; the others are
companions that show the same question in another measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.biomarkers.effects import Effect
from analysis.biomarkers.multiplicity import bh, rank_scores, westfall_young
from analysis.biomarkers.outcomes import Outcome, list_outcomes
from analysis.biomarkers.rows import Analysis, as_rows, join_notes, nothing
from analysis.survival.log_rank import log_rank_scores
from analysis.survival.outcome import NotEstimable

TIER_ORDER = ("CANDIDATE", "SCREEN", "SINGLE")
COMPANION = "companion"
_NO_EFFECT = Effect(np.nan, np.nan, np.nan, np.nan)


class Method(NamedTuple):
    """How one effect is estimated.

    Attributes
    ----------
    code, statistic : str
        As in columns METHOD and STATISTIC.
    estimate : callable
        (marker, values, rng, rules) -> (Effect, note or None), without missing values; raises NotEstimable.
    """

    code: str
    statistic: str
    estimate: Callable[[np.ndarray, np.ndarray, np.random.Generator, Any], tuple[Effect, str | None]]


class Design(NamedTuple):
    """What kind of marker is related, and how.

    Attributes
    ----------
    methods : mapping
        Methods by kind of outcome (binary, change, endpoint), the main one first.
    lacking : callable
        (marker, values, kind, floor) -> why a marker is listed and not tested, or None.
    transform : callable
        Markers (m, n) -> the values whose standardised linear statistic is permuted.
    binary : bool
        True where markers are present or absent, so that N_POS counts.
    """

    methods: Mapping[str, Sequence[Method]]
    lacking: Callable[[np.ndarray, np.ndarray, str, int], str | None]
    transform: Callable[[np.ndarray], np.ndarray]
    binary: bool


def estimate_families(
    markers: pd.DataFrame,
    outcomes: pd.DataFrame,
    design: Design,
    *,
    tiers: Mapping[str, str],
    labels: Mapping[str, str | None],
    rng: np.random.Generator,
    rules,
    note: str | None = None,
) -> Analysis:
    """Relate every marker to every outcome, one tier after the other.

    Parameters
    ----------
    markers : DataFrame
        Subjects x markers, NaN where missing.
    outcomes : DataFrame
        As `assemble_outcomes`.
    design : Design
        Methods, floor and scores.
    tiers : mapping
        Tier of each marker.
    labels : mapping
        ANALYSIS, PARTYPE, SAMPTYPE, AVISIT of every row.
    rng : numpy Generator
        Source of bootstrap samples and permutations.
    rules : Section
        The plan's section ``biomarkers``.
    note : str, optional
        Note of every row.

    Returns
    -------
    Analysis
        `reason` where there is no marker, no outcome, or nothing could be tested.
    """
    if not len(markers.columns):
        return nothing("there is no marker of this kind")
    rows: list[dict] = []
    for outcome in list_outcomes(outcomes):
        subjects = markers.index.intersection(outcome.values.index).sort_values()
        for tier in TIER_ORDER:
            names = [name for name in markers.columns if tiers[name] == tier]
            if names:
                family = markers.loc[subjects, names].astype(float)
                found = _estimate_family(family, outcome, design, rng, rules)
                rows += [{**row, "TIER": tier} for row in found]
    if not rows:
        return nothing("the study has no outcome to relate markers to")
    for row in rows:
        row.update(labels, ROLE="EXPLORATORY", NOTE=join_notes(row["NOTE"], note))
    tested = any(row["TESTED"] == "Y" for row in rows)
    why = None if tested else f"none of {len(markers.columns)} markers could be tested: {rows[0]['NOTE']}"
    return Analysis(as_rows(rows), pd.DataFrame(), why)


def _estimate_family(
    family: pd.DataFrame, outcome: Outcome, design: Design, rng: np.random.Generator, rules
) -> list[dict]:
    values = outcome.values.loc[family.index].to_numpy(float)
    main, *companions = design.methods[outcome.kind]
    rows, kept = [], []
    for place, name in enumerate(family.columns):
        marker = family[name].to_numpy(float)
        first = _estimate_row(str(name), marker, values, outcome, main, design, rng, rules)
        rows.append(first)
        if first["TESTED"] == "Y":
            kept.append((place, first))
        for method in companions:
            row = _estimate_row(str(name), marker, values, outcome, method, design, rng, rules)
            rows.append({**row, "NOTE": join_notes(COMPANION, row["NOTE"])})
    if kept:
        tested = design.transform(family.to_numpy(float).T[[place for place, _ in kept]])
        adjusted = westfall_young(
            tested, outcome_scores(values, outcome.kind), n_permutations=rules.permutations, rng=rng
        )
        q_values = bh(np.array([row["P"] for _, row in kept]))
        for (_, row), q, p in zip(kept, q_values, adjusted, strict=True):
            row.update(Q_BH=float(q), P_MAXT=float(p))
    return rows


def _estimate_row(
    name: str,
    marker: np.ndarray,
    values: np.ndarray,
    outcome: Outcome,
    method: Method,
    design: Design,
    rng,
    rules,
) -> dict:
    known = np.isfinite(marker)
    marker, values = marker[known], values[known]
    effect, note = _NO_EFFECT, None
    lacking = "listed, not tested: the marker is the outcome itself" if _is_outcome(name, outcome) else None
    lacking = lacking or design.lacking(marker, values, outcome.kind, rules.min_prevalence_n)
    if lacking is None:
        try:
            effect, note = method.estimate(marker, values, rng, rules)
        except NotEstimable as error:
            lacking = f"not estimable: {error}"
    return {
        **{column.upper(): float(value) for column, value in effect._asdict().items()},
        **{"MARKER": name, "OUTCOME": outcome.name, "METHOD": method.code, "STATISTIC": method.statistic},
        "N": float(len(marker)),
        "N_POS": float(marker.sum()) if design.binary else np.nan,
        "EVENTS": np.nan if outcome.kind == "change" else float(values[:, -1].sum()),
        **{"TESTED": "Y" if lacking is None else "N", "NOTE": note if lacking is None else lacking},
    }


def _is_outcome(name: str, outcome: Outcome) -> bool:
    return name.upper() == outcome.name.upper()


def outcome_scores(values: np.ndarray, kind: str) -> np.ndarray:
    """Return the scores that are permuted: 0/1, midranks of a change, log-rank scores of an endpoint."""
    if kind == "binary":
        return values[:, 0]
    if kind == "change":
        return rank_scores(values[:, 0])
    return log_rank_scores(values[:, 0], values[:, 1] > 0)
