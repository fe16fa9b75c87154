"""Evidence on the two candidate days: scans lacking, agreement of the days, discrimination at each day."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.agreement import bland_altman, gwet_ac1, kappa, mcnemar
from analysis.survival.concordance import concordance, concordance_difference, resampled_concordance
from analysis.survival.cox import partial_log_likelihood
from analysis.survival.cox_batch import cox_batch
from analysis.survival.outcome import NotEstimable
from analysis.survival.proportion import proportion

CLASSES = ("RESPONDER", "NON-RESPONDER")
COLUMNS = ["ITEM", "TIMEPOINT", "ESTIMATE", "LOWER", "UPPER", "P", "N", "EVENTS", "METHOD"]


def contrast_of(plan: Plan) -> str:
    """Name the contrast of the two days, as it stands in TIMEPOINT: the later minus the earlier.

    Parameters
    ----------
    plan : Plan
        Section design.

    Returns
    -------
    str
        For example ``"D28 - D14"``.
    """
    earlier, later = plan.design.followup_visits
    return f"{later} - {earlier}"


def missing_evidence(rows_by_day: dict[str, pd.DataFrame], plan: Plan) -> pd.DataFrame:
    """Tabulate the share of pilot patients whose scan is missing or not evaluable, by day.

    Parameters
    ----------
    rows_by_day : dict
        For each day one row a pilot patient with MRESP (missing where there is no scan).
    plan : Plan
        Section primary.

    Returns
    -------
    DataFrame
        Evidence rows ``missing_share`` with Clopper-Pearson limits.
    """
    rows = []
    for day, table in rows_by_day.items():
        lacking = int((~table["MRESP"].isin(CLASSES)).sum())
        found = proportion(lacking, len(table), alpha=plan.primary.alpha).iloc[0]
        rows.append(_item("missing_share", day, found, len(table), "clopper_pearson"))
    return _evidence(rows)


def agreement_evidence(paired: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Describe how far the two days agree; agreement describes, it does not decide.

    Parameters
    ----------
    paired : DataFrame
        One row a patient with both scans: SCORE_<day> (ln ratio), MRESP_<day>.
    plan : Plan
        Sections design and primary.

    Returns
    -------
    DataFrame
        Evidence rows: kappa, gwet_ac1, class_change (share whose class differs), nonresponse_share (of each
        day; the difference with McNemar's exact and mid-p), and of the ln ratio and the percent change the
        bias with its interval and the limits of agreement.
    """
    n, alpha, contrast = len(paired), plan.primary.alpha, contrast_of(plan)
    if n == 0:
        return _evidence([])
    days = plan.design.followup_visits
    first, second = (paired[f"MRESP_{day}"] for day in days)
    changed = proportion(int(first.ne(second).sum()), n, alpha=alpha).iloc[0]
    rows = [
        _item("kappa", contrast, kappa(first, second, alpha=alpha).iloc[0], n, "cohen"),
        _item("gwet_ac1", contrast, gwet_ac1(first, second, alpha=alpha).iloc[0], n, "gwet"),
        _item("class_change", contrast, changed, n, "clopper_pearson"),
        *_nonresponse_items(first, second, plan),
    ]
    for name, transform in (("ln_ratio", _same), ("percent_change", _percent)):
        found = bland_altman(*(transform(_score(paired, day)) for day in days), alpha=alpha).iloc[0]
        bias = {"estimate": found["bias"], "lower": found["bias_lower"], "upper": found["bias_upper"]}
        reach = {"estimate": found["bias"], "lower": found["lower"], "upper": found["upper"]}
        rows.append(_item(f"bias_{name}", contrast, bias, n, "bland_altman"))
        rows.append(_item(f"limits_of_agreement_{name}", contrast, reach, n, "bland_altman"))
    return _evidence(rows)


def discrimination_evidence(compared: pd.DataFrame, plan: Plan, rng: np.random.Generator) -> pd.DataFrame:
    """Measure how well each day foretells the endpoint, and the paired difference with a bootstrap interval.

    Parameters
    ----------
    compared : DataFrame
        One row a patient with both scans, followed from the common landmark: ``time``, ``event``,
        SCORE_<day>, MRESP_<day>.
    plan : Plan
        Sections design, primary and pilot.
    rng : numpy.random.Generator
        For the paired bootstrap of patients.

    Returns
    -------
    DataFrame
        Evidence rows, by day and for the later minus the earlier: concordance (Harrell C of the score; the
        difference with bootstrap and with jackknife limits), gain_score and gain_class (partial
        log-likelihood above no effect, of the score and of the class), and bootstrap_support (share of
        resamples in which the later day has the larger C). Numbers are missing where nothing can be
        estimated.
    """
    n, days = len(compared), plan.design.followup_visits
    scores = {day: _score(compared, day) for day in days}
    classes = {day: compared[f"MRESP_{day}"].eq(CLASSES[1]).to_numpy(float) for day in days}
    counts = rng.multinomial(n, np.full(n, 1 / n), size=plan.pilot.bootstrap) if n else np.zeros((0, 0), int)
    rows = _concordance_items(compared, scores, counts, plan)
    rows += _gain_items("gain_score", compared, scores, counts, plan)
    rows += _gain_items("gain_class", compared, classes, counts, plan)
    return _evidence([{**row, "EVENTS": float(compared["event"].sum())} for row in rows])


def _concordance_items(compared: pd.DataFrame, scores: dict, counts: np.ndarray, plan: Plan) -> list[dict]:
    n, alpha, contrast = len(compared), plan.primary.alpha, contrast_of(plan)
    outcome = (compared["time"], compared["event"])
    paired = _attempt(concordance_difference, *outcome, *scores.values(), alpha=alpha)
    draws = np.array([])
    if len(counts):
        draws = _difference([resampled_concordance(*outcome, score, counts) for score in scores.values()])
    known = draws[np.isfinite(draws)]
    resampled = {"estimate": paired["estimate"], **_percentiles(known, alpha)}
    support = {"estimate": float(np.mean(known > 0)) if known.size else np.nan}
    single = {day: _attempt(concordance, *outcome, score, alpha=alpha) for day, score in scores.items()}
    return [
        *(_item("concordance", day, found, n, "harrell") for day, found in single.items()),
        _item("concordance", contrast, resampled, n, "paired_bootstrap"),
        _item("concordance", contrast, paired, n, "infinitesimal_jackknife"),
        _item("bootstrap_support", list(scores)[-1], support, n, "paired_bootstrap"),
    ]


def _gain_items(
    name: str, compared: pd.DataFrame, values: dict, counts: np.ndarray, plan: Plan
) -> list[dict]:
    n = len(compared)
    gains = {day: _gain(compared, value) for day, value in values.items()}
    draws = _difference([_resampled_gain(compared, value, counts) for value in values.values()])
    found = {"estimate": _difference(list(gains.values())), **_percentiles(draws, plan.primary.alpha)}
    rows = [_item(name, day, {"estimate": gain}, n, "partial_likelihood") for day, gain in gains.items()]
    return [*rows, _item(name, contrast_of(plan), found, n, "paired_bootstrap")]


def _nonresponse_items(first: pd.Series, second: pd.Series, plan: Plan) -> list[dict]:
    n, alpha, name = len(first), plan.primary.alpha, "nonresponse_share"
    resistant = [classes.eq(CLASSES[1]) for classes in (first, second)]
    rows = []
    for day, part in zip(plan.design.followup_visits, resistant, strict=True):
        found = proportion(int(part.sum()), n, alpha=alpha).iloc[0]
        rows.append(_item(name, day, found, n, "clopper_pearson"))
    test, shift = mcnemar(*resistant).iloc[0], _difference([float(part.mean()) for part in resistant])
    for method in ("exact", "mid"):
        found = {"estimate": shift, "p": test[f"p_{method}"]}
        rows.append(_item(name, contrast_of(plan), found, n, f"mcnemar_{method}"))
    return rows


def _gain(compared: pd.DataFrame, score: np.ndarray) -> float:
    if not compared["event"].any():
        return float("nan")
    best, null = partial_log_likelihood(compared["time"], compared["event"], score)
    return best - null


def _resampled_gain(compared: pd.DataFrame, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    if not len(counts):
        return np.array([])
    fits = cox_batch(compared["time"], compared["event"], score, counts)
    return (fits["loglik"] - fits["loglik_null"]).to_numpy()


def _attempt(measure, *arrays, alpha: float) -> dict[str, float]:
    try:
        return measure(*arrays, alpha=alpha).iloc[0].to_dict()
    except NotEstimable:
        return {"estimate": float("nan")}


def _difference(values: list):
    return values[1] - values[0]


def _percentiles(draws: np.ndarray, alpha: float) -> dict[str, float]:
    known = draws[np.isfinite(draws)]
    if known.size == 0:
        return {"lower": np.nan, "upper": np.nan}
    lower, upper = np.quantile(known, [alpha / 2, 1 - alpha / 2])
    return {"lower": float(lower), "upper": float(upper)}


def _score(frame: pd.DataFrame, day: str) -> np.ndarray:
    return frame[f"SCORE_{day}"].to_numpy(dtype=float)


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _percent(values: np.ndarray) -> np.ndarray:
    return 100 * np.expm1(values)


def _item(item: str, timepoint: str, found, n: int, method: str) -> dict:
    """Make a row of `found` (estimate, lower, upper, p; what it lacks is missing)."""
    numbers = {name.upper(): float(found.get(name, np.nan)) for name in ("estimate", "lower", "upper", "p")}
    return {
        "ITEM": item,
        "TIMEPOINT": timepoint,
        **numbers,
        "N": float(n),
        "EVENTS": np.nan,
        "METHOD": method,
    }


def _evidence(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)
