"""How well each of the two days foretells the endpoint, in the same patients from the same landmark."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.concordance import concordance, concordance_difference, resampled_concordance
from analysis.survival.outcome import NotEstimable
from analysis.survival.pilot.evidence import DECIDES, contrast_of, evidence_table, item, score_of
from analysis.survival.pilot.paired import (
    BOOTSTRAP,
    Followed,
    Measure,
    count_either,
    draw_counts,
    follow_same,
    measure_resamples,
    paired_items,
    percentiles,
    resampled_gain,
)
from analysis.survival.pilot.patients import CLASSES
from analysis.survival.time_dependent import resampled_auc
from analysis.survival.uno import resampled_uno

_JACKKNIFE = "infinitesimal_jackknife"


def discrimination_evidence(compared: pd.DataFrame, plan: Plan, rng: np.random.Generator) -> pd.DataFrame:
    """Measure how well each day foretells the endpoint in the same patients from the same landmark.

    Parameters
    ----------
    compared : DataFrame
        One row a patient with both scans, followed from the common landmark: ``time`` (days), ``event``,
        SCORE_<day>, MRESP_<day>.
    plan : Plan
        Sections design, primary, pilot and survival (`auc_months`, from the landmark).
    rng : numpy.random.Generator
        For the paired bootstrap of patients.

    Returns
    -------
    DataFrame
        Evidence rows, by day and for the later minus the earlier: concordance (Harrell C of the score; the
        difference with bootstrap and with jackknife limits), bootstrap_support (share of resamples in which
        the later day has the larger C), uno_c, auc_<months>m (cumulative/dynamic), gain_score and gain_class
        (partial log-likelihood above no effect, of the score and of the class), concordance_class. Limits
        are percentiles of one paired bootstrap unless METHOD says otherwise. Numbers are missing where
        nothing can be estimated.
    """
    days = plan.design.followup_visits
    counts = draw_counts(len(compared), plan.pilot.bootstrap, rng)
    scores = {day: follow_same(compared, score_of(compared, day)) for day in days}
    classes = {day: follow_same(compared, _resistant(compared[f"MRESP_{day}"])) for day in days}
    items = _concordance_items(scores, counts, plan)
    items += paired_items("uno_c", resampled_uno, scores, counts, plan, method="uno")
    for months in plan.survival.auc_months:
        time = months * plan.design.days_per_month
        kept = {"counts": counts, "plan": plan, "method": "cumulative_dynamic", "until": time}
        items += paired_items(f"auc_{months:g}m", _auc_at(time), scores, **kept)
    kept = {"counts": counts, "plan": plan, "method": "partial_likelihood", "role": DECIDES}
    items += paired_items("gain_score", resampled_gain, scores, **kept)
    items += paired_items("gain_class", resampled_gain, classes, **kept)
    items += paired_items("concordance_class", resampled_concordance, classes, counts, plan, method="harrell")
    return evidence_table(items)


def _concordance_items(scores: Mapping[str, Followed], counts: np.ndarray, plan: Plan) -> list[dict]:
    """Measure Harrell's C: with its own error by day, and the difference with two kinds of limits."""
    alpha, contrast, size = plan.primary.alpha, contrast_of(plan), count_either(scores)
    first, second = scores.values()
    items = []
    for day, case in scores.items():
        found = _tabulated(concordance, case.time, case.event, case.value, alpha=alpha)
        items.append(item("concordance", day, found, **size, method="harrell", role=DECIDES))
    paired = _tabulated(
        concordance_difference, first.time, first.event, first.value, second.value, alpha=alpha
    )
    earlier, later = (measure_resamples(resampled_concordance, case, counts) for case in (first, second))
    known = (later - earlier)[np.isfinite(later - earlier)]
    resampled = {"estimate": paired["estimate"], **percentiles(known, alpha)}
    support = {"estimate": float(np.mean(known > 0)) if known.size else np.nan}
    last = list(scores)[-1]
    return [
        *items,
        item("concordance", contrast, resampled, **size, method=BOOTSTRAP, role=DECIDES),
        item("concordance", contrast, paired, **size, method=_JACKKNIFE),
        item("bootstrap_support", last, support, **size, method=BOOTSTRAP, role=DECIDES),
    ]


def _auc_at(time: float) -> Measure:
    return lambda *case: resampled_auc(*case[:3], time, case[3])


def _resistant(classes: pd.Series) -> np.ndarray:
    return classes.eq(CLASSES[1]).to_numpy(float)


def _tabulated(measure, *arrays, alpha: float) -> dict[str, float]:
    try:
        return measure(*arrays, alpha=alpha).iloc[0].to_dict()
    except NotEstimable:
        return {"estimate": float("nan")}
