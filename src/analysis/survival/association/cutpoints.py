"""Rows of the estimates table on the cut: every cut of a sweep, the selected cut, how stable it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.estimates import (
    Analysis,
    cox_of,
    estimate_row,
    estimates_table,
    main_estimator,
)
from analysis.survival.cutpoint import METHODS, max_selected_log_rank, select_cut
from analysis.survival.log_rank import log_rank
from analysis.survival.outcome import NotEstimable

# Rules whose class is a cut of their score (but for new and unknown lesions); the others read a table.
_CUT_RULES = {"suvmax_hottest", "suvmax_sum", "suvmax_mean", "any_resistant", "all_respond"}
_METHOD_TEXT = {
    "lausen92": "Lausen and Schumacher 1992",
    "lausen94": "Lausen et al. 1994",
    "hothorn_lausen": "Hothorn and Lausen, upper bound of the conditional p, on whole-number scores",
    "permutation": "permutation",
}


def sweep_cuts(score, analysis: Analysis, plan: Plan) -> np.ndarray:
    """Return the cuts of the sweep, those of the plan among them.

    Parameters
    ----------
    score : array-like
        SCORE of the patients, none missing.
    analysis : Analysis
        Its scale: percent falls take the plan's grid; of a baseline value every observed one is a cut that
        leaves the shares of ``survival.maxstat_range``.
    plan : Plan
        ``survival.sweep_percent`` (from, to, step), ``primary.cut_percent`` and ``cut_post_hoc``.

    Returns
    -------
    ndarray
        Rising, each once.

    Raises
    ------
    ValueError
        If the step is not above 0 or the range is empty.
    """
    if analysis.scale == "value":
        values = np.sort(analysis.to_cut(np.asarray(score, dtype=float)))
        share = np.searchsorted(values, values, side="right") / max(len(values), 1)
        low, high = plan.survival.maxstat_range
        values = values[(share >= low) & (share <= high)]
        return np.unique(np.append(values, analysis.cut) if np.isfinite(analysis.cut) else values)
    first, last, step = plan.survival.sweep_percent
    if not (step > 0 and last >= first):
        raise ValueError(f"survival.sweep_percent is (from, to, step), found {[first, last, step]!r}")
    # A thousandth of a step more: rounding does not lose the last cut.
    grid = first + step * np.arange(int((last - first) / step + 1e-3) + 1)
    own = [analysis.cut, plan.primary.cut_percent, *plan.primary.cut_post_hoc]
    own = [cut for cut in own if first <= cut <= last]
    return np.unique(np.concatenate([grid, own]).round(9))


def exposed_at(score, cut: float, analysis: Analysis, plan: Plan) -> np.ndarray:
    """Tell who is exposed (a non-responder; above the value) at a cut of the score.

    Parameters
    ----------
    score : array-like
        SCORE, none missing.
    cut : float
        On the scale of the column CUT.
    analysis : Analysis
        Its scale.
    plan : Plan
        ``response.cut_inclusive`` (a fall of exactly the cut responds) and ``response.comparison_tolerance``.

    Returns
    -------
    ndarray of bool
        True where the fall does not reach the cut, or where the value is above it.
    """
    at, slack = analysis.to_cut(np.asarray(score, dtype=float)), plan.response.comparison_tolerance
    if analysis.scale == "value":
        return at > cut * (1 + slack)
    return at < cut - slack if plan.response.cut_inclusive else at <= cut + slack


def estimate_sweep(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Estimate the hazard ratio at every cut of the sweep.

    Parameters
    ----------
    data : DataFrame
        From `analysis_set`; rows without SCORE are not used.
    analysis : Analysis
        Identifies the rows.
    plan : Plan
        Sections primary, survival and response.

    Returns
    -------
    DataFrame
        One estimates row ``cut_sweep`` a cut: hazard ratio contrast / reference with profile limits, by the
        estimator the plan asks for at that cut, and P of the asymptotic log-rank. EXPLORATORY.

    Notes
    -----
    Classes come from a cut of SCORE. A rule that reads a table, or that new lesions override, classes some
    patients otherwise: LABEL says so.
    """
    scored = _scored(data)
    remark = _remark(scored, len(data), analysis, plan)
    unit = " %" if analysis.scale == "change" else ""
    rows = []
    for cut in sweep_cuts(scored["SCORE"], analysis, plan):
        chosen = analysis.scale == "change" and np.isclose(plan.primary.cut_post_hoc, cut).any()
        at = replace(analysis, cut=float(cut), post_hoc=bool(chosen))
        cell = scored.assign(exposed=exposed_at(scored["SCORE"], cut, analysis, plan))
        estimator = main_estimator(cell, at, plan)
        ties = plan.survival.ties_firth if estimator == "FIRTH" else plan.survival.ties_ml
        text = f"cut {cut:.4g}{unit}, {_standing(at, analysis)}; p of the log-rank{remark}"
        fit = _sweep_fit(cell, estimator, ties, plan)
        row = estimate_row(cell, at, "cut_sweep", fit, "EXPLORATORY", text)
        rows.append({**row, "ESTIMATOR": estimator, "TIES": ties})
    return estimates_table(rows)


def estimate_selected_cut(
    data: pd.DataFrame, analysis: Analysis, plan: Plan, rng: np.random.Generator
) -> pd.DataFrame:
    """Test the cut that separates survival most, with p corrected for the search.

    Parameters
    ----------
    data, analysis, plan
        As in `estimate_sweep`.
    rng : numpy.random.Generator
        For the permutations.

    Returns
    -------
    DataFrame
        Estimates rows ``maxstat_<method>``: ESTIMATE is M, CUT the selected cut (a fall of exactly it
        responds), counts are of the groups it makes. EXPLORATORY.
    """
    scored = _scored(data)
    remark = _remark(scored, len(data), analysis, plan)
    arrays = (scored["time"], scored["event"], scored["SCORE"])
    options = {"permutations": plan.survival.permutations, "rng": rng, **_shares(plan)}
    rows = []
    for method in METHODS:
        text = f"cut selected by the data, p corrected for the search: {_METHOD_TEXT[method]}{remark}"
        at, cell, numbers = replace(analysis, cut=np.nan, post_hoc=False), scored, {}
        try:
            found = max_selected_log_rank(*arrays, methods=(method,), **options).iloc[0]
            numbers = {"ESTIMATE": found["statistic"], "P": found["p"]}
            at = replace(at, cut=_to_cut(found["cut"], analysis))
            cell = scored.assign(exposed=scored["SCORE"].astype(float) > found["cut"])
        except NotEstimable as refusal:
            text += f"; not estimable: {refusal}"
        groups = bool(numbers)
        rows.append(
            estimate_row(cell, at, f"maxstat_{method}", numbers.copy, "EXPLORATORY", text, groups=groups)
        )
    return estimates_table(rows)


def estimate_cut_bootstrap(
    data: pd.DataFrame, analysis: Analysis, plan: Plan, rng: np.random.Generator
) -> pd.DataFrame:
    """Select the cut again in resamples of the patients: how far another trial's cut may lie.

    Parameters
    ----------
    data, analysis, plan
        As in `estimate_sweep`; ``survival.cut_bootstrap`` resamples.
    rng : numpy.random.Generator
        For the resamples.

    Returns
    -------
    DataFrame
        First a row ``cut_selected``: the cut selected in the data themselves (CUT and ESTIMATE) and between
        which limits the middle of the selected cuts lies (LOWER, UPPER). Then rows ``cut_bootstrap``, which
        have in ESTIMATE the share of resamples whose cut is nearest to CUT, a step of the sweep (continued
        beyond its ends where a cut lies there), or a value where the exposure is one. EXPLORATORY.
    """
    scored = _scored(data)
    place = replace(analysis, cut=np.nan, post_hoc=False)
    middle = f"middle {100 * (1 - plan.primary.alpha):g} % of the selected cuts"
    arrays = tuple(scored[name].to_numpy() for name in ("time", "event", "SCORE"))
    try:
        own = _to_cut(select_cut(*arrays, **_shares(plan))[1], analysis)
        cuts = _resampled_cuts(arrays, analysis, plan, rng)
    except NotEstimable as refusal:
        text = f"{middle}; not estimable: {refusal}"
        return estimates_table([_bootstrap_row(scored, place, {}, text, "cut_selected")])
    failed = plan.survival.cut_bootstrap - len(cuts)
    text = f"{len(cuts)} resamples" + (f" ({failed} more had no cut to select)" if failed else "")
    numbers = {"ESTIMATE": own}
    if len(cuts):
        tails = [plan.primary.alpha / 2, 1 - plan.primary.alpha / 2]
        numbers["LOWER"], numbers["UPPER"] = np.quantile(cuts, tails)
    rows = [_bootstrap_row(scored, replace(place, cut=own), numbers, f"{middle}, {text}", "cut_selected")]
    label = f"share of selected cuts, {text}"
    for cut, count in sorted(Counter(_to_bins(cuts, analysis, plan)).items()):
        at = replace(place, cut=cut)
        rows.append(_bootstrap_row(scored, at, {"ESTIMATE": count / len(cuts)}, label))
    return estimates_table(rows)


def _scored(data: pd.DataFrame) -> pd.DataFrame:
    scores = pd.to_numeric(data["SCORE"], errors="coerce").astype(float)
    return data.assign(SCORE=scores)[np.isfinite(scores)]


def _shares(plan: Plan) -> dict[str, float]:
    return dict(zip(("min_share", "max_share"), plan.survival.maxstat_range, strict=True))


def _to_cut(score: float, analysis: Analysis) -> float:
    """Return a score as a cut; adding 0 makes no change 0 and not -0."""
    return float(analysis.to_cut(score)) + 0.0


def _standing(at: Analysis, analysis: Analysis) -> str:
    """Say whether a cut of the sweep is the one of the analysis or one of many."""
    if at.post_hoc or analysis.post_hoc or not np.isclose(at.cut, analysis.cut):
        return "not corrected for looking at many cuts"
    return "the pre-specified cut" if analysis.scale == "change" else "the cut of the main split"


def _remark(scored: pd.DataFrame, n: int, analysis: Analysis, plan: Plan) -> str:
    """Say how classes by SCORE differ from the rule's own, and how many patients have no SCORE."""
    remarks = []
    if analysis.scale == "change" and analysis.rule not in _CUT_RULES:
        remarks.append(f"classes by a cut of the score of {analysis.rule}, not by its table")
    if np.isfinite(analysis.cut):
        by_score = exposed_at(scored["SCORE"], analysis.cut, analysis, plan)
        differ = int(np.sum(by_score != scored["exposed"].astype(bool)))
        if differ:
            remarks.append(f"at {analysis.cut:.4g} the rule itself classes {differ} patients otherwise")
    if len(scored) < n:
        remarks.append(f"{n - len(scored)} patients without a score are left out")
    return "".join(f"; {remark}" for remark in remarks)


def _sweep_fit(cell: pd.DataFrame, estimator: str, ties: str, plan: Plan):
    model = cox_of(cell, "exposed", estimator, ties, plan)

    def fit() -> dict:
        """Estimate the ratio and test the curves."""
        test = log_rank(cell["time"], cell["event"], cell["exposed"]).iloc[0]
        return {**model(), "P": test["p"]}

    return fit


def _resampled_cuts(arrays, analysis: Analysis, plan: Plan, rng: np.random.Generator) -> np.ndarray:
    n, cuts = len(arrays[0]), []
    for drawn in rng.integers(0, n, size=(plan.survival.cut_bootstrap, n)):
        try:
            found = select_cut(*(values[drawn] for values in arrays), **_shares(plan))
        except NotEstimable:
            continue
        cuts.append(_to_cut(found[1], analysis))
    return np.array(cuts)


def _to_bins(cuts: np.ndarray, analysis: Analysis, plan: Plan) -> list[float]:
    if analysis.scale == "value":
        return cuts.tolist()
    first, _, step = plan.survival.sweep_percent
    return (first + step * np.round((cuts - first) / step)).round(9).tolist()


def _bootstrap_row(scored, at: Analysis, numbers: dict, text: str, method: str = "cut_bootstrap") -> dict:
    return estimate_row(scored, at, method, lambda: numbers, "EXPLORATORY", text, groups=False)
