"""From one row a trial to operating characteristics: rates, bias, coverage, with their Monte Carlo error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis import contracts
from analysis.operating.analyses import ABOUT, CHOSEN, EARLIER, LATER
from analysis.operating.cells import Cell
from analysis.operating.chunk import MATURE, SEPARATOR
from analysis.operating.pilot import PLAN_RULE
from analysis.operating.truth import pool_truth

# Analyses that promise their level whatever the pilot chose.
PROMISED = ("fixed_earlier", "fixed_later", "two_stage", "extension_only", "optimal_cut_corrected")
METHODS = {
    "fixed_earlier": "earlier day fixed in advance, permutation log-rank",
    "fixed_later": "later day fixed in advance, permutation log-rank",
    "chosen": "day the pilot chose, all patients, permutation log-rank, not corrected",
    "two_stage": "day the pilot chose, two-stage test corrected for the choice",
    "extension_only": "day the pilot chose, extension patients alone, permutation log-rank",
    "chosen_asymptotic": "day the pilot chose, asymptotic log-rank, not corrected",
    "cox_ml": "day the pilot chose, Cox by maximum likelihood, likelihood ratio",
    "cox_firth": "day the pilot chose, Cox by Firth, penalised likelihood ratio",
    "optimal_cut": "best cut of the data on the chosen day, as if fixed in advance",
    "optimal_cut_corrected": "best cut of the data on the chosen day, p corrected (Lausen 1994)",
    "start_of_treatment": "naive: everybody from first dose, no scan on the later day = non-responder",
    "missing_as_nonresponse": "from the common landmark, no scan on the later day = non-responder",
    "no_landmark": "naive: from first dose, everybody with a class on the later day",
}


def summarise_cell(cell: Cell, rows: pd.DataFrame, patients: pd.DataFrame) -> pd.DataFrame:
    """Sum up the trials of one cell.

    Parameters
    ----------
    cell : Cell
        Truth and size.
    rows, patients : DataFrame
        From `chunk.run_chunk`, of all its chunks.

    Returns
    -------
    DataFrame
        Contract ``operating_characteristics``. A test that cannot be made does not reject. Bias is of the
        finite estimates, against the true hazard ratio of the day the analysis is about: that of the pooled
        patients of all trials, and 1 where nothing is planted. Inflation is what a choice of the day adds to
        the level: rejections at the day a rule takes, less those at a day taken by lot, without any look at
        the outcome, as often the later one as the rule takes it. Both are counted on the same trials.
    """
    primary = cell.plan.primary
    truth = pool_truth(patients, ties=cell.plan.survival.ties_ml, alpha=primary.alpha)
    found = [*_truth_rows(truth, len(rows))]
    if cell.is_null:
        truth = truth.assign(COEF=0.0)
    later = rows[SEPARATOR.join((primary.endpoint, "analysed", PLAN_RULE))].to_numpy() == 1
    for name, column in rows.items():
        endpoint, item, method = str(name).split(SEPARATOR)
        by_day = truth[truth["ENDPOINT"].eq(endpoint)]["COEF"].to_numpy()
        about = {EARLIER: by_day[0], LATER: by_day[1], CHOSEN: np.where(later, by_day[1], by_day[0])}
        true = about[ABOUT.get(method, CHOSEN)]
        limits = [rows.get(SEPARATOR.join((endpoint, part, method))) for part in ("lower", "upper")]
        of_item = _ITEMS[item](cell, method, column.to_numpy(), true, limits)
        found += [{"ENDPOINT": endpoint, "METHOD": method, **row} for row in of_item]
    by_primary = [*_enrolled(cell, len(rows)), *_inflation(cell, rows), *_typical(cell, rows)]
    found += [{"ENDPOINT": primary.endpoint, **row} for row in by_primary]
    table = pd.DataFrame(found).assign(TRUTH=cell.truth, SIZE=cell.size)
    return table[contracts.columns("operating_characteristics")]


def _truth_rows(truth: pd.DataFrame, trials: int) -> Iterator[dict[str, Any]]:
    for row in truth.itertuples():
        ratio = np.exp(row.COEF)
        label = f"true hazard ratio on {row.TIMEPOINT}: one Cox model on the patients of all trials"
        place = {"ENDPOINT": row.ENDPOINT, "QUANTITY": "truth", "METHOD": row.TIMEPOINT}
        yield {**place, **_number(ratio, ratio * row.SE, trials, label)}


def _enrolled(cell: Cell, trials: int) -> Iterator[dict[str, Any]]:
    count = _number(float(cell.plan.virtual.n_patients), np.nan, trials, "patients enrolled, given")
    yield {"QUANTITY": "enrolled", "METHOD": "all", **count}


def _inflation(cell: Cell, rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Compute what each rule's choice adds to the rejections without any effect, and on which side."""
    if not cell.is_null:
        return
    primary, days = cell.plan.primary, ("fixed_earlier", "fixed_later")
    p, coef = (
        np.array([rows[SEPARATOR.join((primary.endpoint, item, day))] for day in days])
        for item in ("p", "coef")
    )
    start, rejected = SEPARATOR.join((primary.endpoint, "later", "")), p <= primary.alpha
    rules = [str(name).removeprefix(start) for name in rows if str(name).startswith(start)]
    sides = {
        "inflation": (rejected, "rejections"),
        "inflation_up": (rejected & (coef > 0), "rejections with a hazard ratio above 1"),
        "inflation_down": (rejected & (coef < 0), "rejections with a hazard ratio below 1"),
    }
    for rule in (rule for rule in rules if not rule.endswith(MATURE)):
        later = rows[start + rule].to_numpy() == 1
        for quantity, (held, words) in sides.items():
            label = f"{words} that the choice adds, against a day taken by lot: rule {rule}"
            yield {"QUANTITY": quantity, "METHOD": rule, **_added(later, held.astype(float), label)}


def _added(later: np.ndarray, held: np.ndarray, label: str) -> dict[str, Any]:
    """Compute the covariance of taking the later day with what is gained by it, and its standard error."""
    taken, gained = later - later.mean(), held[1] - held[0]
    return _mean(taken * (gained - gained.mean()), label)


def _typical(cell: Cell, rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Compute the median distance of the hazard ratio from 1, upwards or downwards, without any effect."""
    for method in ("fixed_earlier", "chosen", "optimal_cut") if cell.is_null else ():
        coef = rows[SEPARATOR.join((cell.plan.primary.endpoint, "coef", method))].to_numpy()
        far = np.abs(coef[~np.isnan(coef)])
        ratio = np.exp(np.median(far)) if far.size else np.nan
        label = f"median of the larger of hazard ratio and its inverse: {METHODS[method]}"
        number = _number(ratio, ratio * _median_error(far), far.size, label)
        yield {"QUANTITY": "typical", "METHOD": method, **number}


def _rejection(cell: Cell, method: str, p: np.ndarray, true, limits) -> Iterator[dict[str, Any]]:
    alpha = cell.plan.primary.alpha
    words = "type I error" if cell.is_null else "power"
    target = alpha if cell.is_null and method in PROMISED else np.nan
    # A comparison with a missing p is false: what cannot be tested is not rejected.
    yield {"QUANTITY": "rejection", **_share(p <= alpha, f"{words}: {METHODS[method]}", target)}


def _estimate(cell: Cell, method: str, coef: np.ndarray, true, limits) -> Iterator[dict[str, Any]]:
    finite, words = np.isfinite(coef), METHODS[method]
    known = coef[~np.isnan(coef)]
    ratio = np.exp(np.median(known)) if known.size else np.nan
    label = f"median hazard ratio: {words}"
    yield {"QUANTITY": "estimate", **_number(ratio, ratio * _median_error(known), known.size, label)}
    error = np.where(finite, coef, np.nan)[finite] - np.broadcast_to(true, coef.shape)[finite]
    label = f"mean error of the ln hazard ratio, finite estimates: {words}"
    yield {"QUANTITY": "bias", **_mean(error, label, target=0.0)}
    if method in ("cox_ml", "cox_firth"):
        yield {"QUANTITY": "not_finite", **_share(~finite, f"no finite hazard ratio: {words}")}
        lower, upper = (part.to_numpy() for part in limits)
        there = ~np.isnan(lower) & ~np.isnan(upper)
        inside = ((lower <= true) & (true <= upper))[there]
        level = 1 - cell.plan.primary.alpha
        label = f"{100 * level:g} % limits hold the true hazard ratio: {words}"
        yield {"QUANTITY": "coverage", **_share(inside, label, level)}


def _later(cell: Cell, method: str, taken: np.ndarray, true, limits) -> Iterator[dict[str, Any]]:
    when = "all follow-up" if method.endswith(MATURE) else "what is known on the decision date"
    words = f"rule {method.removesuffix(MATURE)} on {when}"
    yield {"QUANTITY": "later_day", **_share(taken == 1, f"takes the later day: {words}")}
    if cell.later_is_better is not None:
        right = (taken == 1) == cell.later_is_better
        yield {"QUANTITY": "better_day", **_share(right, f"takes the better day: {words}")}


def _fallback(cell: Cell, method: str, decided: np.ndarray, true, limits) -> Iterator[dict[str, Any]]:
    label = "too few events known on the decision date: decided without the endpoint"
    yield {"QUANTITY": "fallback", **_share(decided == 1, label)}


def _counted(quantity: str, words: str):
    def count(cell: Cell, method: str, values: np.ndarray, true, limits) -> Iterator[dict[str, Any]]:
        """Return the mean over the trials."""
        of_pilot = "known in the pilot on the decision date" if method == "decision" else f"from {method}"
        yield {"QUANTITY": quantity, **_mean(values[~np.isnan(values)], f"{words} {of_pilot}")}

    return count


def _nothing(cell: Cell, method: str, values: np.ndarray, true, limits) -> Iterator[dict[str, Any]]:
    """Pass over what is read elsewhere: limits with their estimate, the day with all of them."""
    yield from ()


_ITEMS = {
    "p": _rejection,
    "coef": _estimate,
    "lower": _nothing,
    "upper": _nothing,
    "later": _later,
    "analysed": _nothing,
    "fallback": _fallback,
    "events": _counted("events", "mean events"),
    "patients": _counted("patients", "mean patients in the analysis"),
    "nonresponse": _counted("nonresponse", "mean share of non-responders in the analysis"),
}


def _share(held: np.ndarray, label: str, target: float = np.nan) -> dict[str, Any]:
    share = float(held.mean()) if held.size else np.nan
    error = np.sqrt(share * (1 - share) / held.size) if held.size else np.nan
    return _number(share, error, held.size, label, target)


def _mean(values: np.ndarray, label: str, target: float = np.nan) -> dict[str, Any]:
    mean = float(values.mean()) if values.size else np.nan
    error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else np.nan
    return _number(mean, error, values.size, label, target)


def _median_error(values: np.ndarray) -> float:
    """Return half the distance of the order statistics one standard error of their rank from the middle."""
    n = values.size
    if n < 2:
        return np.nan
    ordered, reach = np.sort(values), np.sqrt(n) / 2
    low, high = max(round(n / 2 - reach) - 1, 0), min(round(n / 2 + reach), n - 1)
    return float((ordered[high] - ordered[low]) / 2)


def _number(estimate: float, error: float, trials: int, label: str, target: float = np.nan) -> dict[str, Any]:
    return {"ESTIMATE": estimate, "SE": error, "TARGET": target, "TRIALS": float(trials), "LABEL": label}
