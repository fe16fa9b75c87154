"""Every analysis of every virtual trial: p-values, hazard ratios and limits, one row a trial."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtr

from analysis.operating import kernel
from analysis.operating.follow import Followed, follow, follow_everybody
from analysis.operating.pilot import Choices
from analysis.operating.scans import Scans
from analysis.plan import Plan
from analysis.survival.cutpoint import max_selected_log_rank
from analysis.survival.outcome import NotEstimable
from analysis.survival.two_group import fit_two_groups
from analysis.survival.two_stage import Stage, two_stage_test
from analysis.virtual_trial.many_trials import Trials

EARLIER, LATER, CHOSEN = "earlier", "later", "chosen"
# Which day's true hazard ratio each analysis is about.
ABOUT = {
    "fixed_earlier": EARLIER,
    "fixed_later": LATER,
    "start_of_treatment": LATER,
    "missing_as_nonresponse": LATER,
    "no_landmark": LATER,
}


def analyse_endpoint(
    trials: Trials,
    scans: Scans,
    choices: Choices,
    endpoint: str,
    plan: Plan,
    rng: np.random.Generator,
) -> dict[tuple[str, str], np.ndarray]:
    """Analyse one endpoint in every trial: every analysis of the primary one, the main ones of another.

    Parameters
    ----------
    trials, scans, choices : Trials, Scans, Choices
        The virtual trials, their scans, and the days their pilots chose.
    endpoint : str
        PFS or OS.
    plan : Plan
        Sections primary, pilot, survival and operating.
    rng : numpy.random.Generator
        For the permutations.

    Returns
    -------
    dict
        (item, METHOD) to one number a trial. Items: p (two-sided), coef (ln hazard ratio; infinite where
        monotone, missing where not estimable), lower and upper (limits of it), and of each day patients,
        events and nonresponse. The naive analyses are of the later day, at which scans are missing because
        the disease has progressed.
    """
    days = {False: "fixed_earlier", True: "fixed_later"}
    at = {name: follow(trials, scans, later, endpoint, plan) for later, name in days.items()}
    at["chosen"] = follow(trials, scans, choices.day, endpoint, plan)
    found = _describe(at, plan)
    found |= _chosen_day(at["chosen"], plan)
    if endpoint == plan.primary.endpoint:
        at["extension_only"] = at["chosen"].only(~trials.patients["PILOT"])
        landmark = plan.pilot.landmark_day
        at["missing_as_nonresponse"] = follow_everybody(trials, scans, True, endpoint, landmark)
        at["start_of_treatment"] = follow_everybody(trials, scans, True, endpoint, 0)
        found |= _optimal_cut(at["chosen"], plan)
        without = follow(trials, scans, True, endpoint, plan, landmark="none")
        found["coef", "no_landmark"] = main_estimates(without, endpoint, plan)
    else:
        at = {"chosen": at["chosen"]}
    found |= {
        ("coef", name): main_estimates(part, endpoint, plan, subgroup=name == "extension_only")
        for name, part in at.items()
    }
    p = permutation_p(list(at.values()), plan.operating.permutations, rng)
    found |= {("p", name): values for name, values in zip(at, p, strict=True)}
    corrected = _corrected_p(trials, scans, choices, endpoint, found["p", "chosen"], plan, rng)
    return found | {("p", "two_stage"): corrected}


def permutation_p(analyses: list[Followed], permutations: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Test each analysis in every trial by the permutation log-rank of `survival.log_rank`.

    Parameters
    ----------
    analyses : list of Followed
        Tested one after the other.
    permutations : int
        Random allocations of each trial.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of ndarray, each of shape (trials,)
        Two-sided p; missing without an event or with one group.
    """
    found = []
    for part in analyses:
        p = np.empty(len(part.time))
        kernel.permutation_rows(compute_scores(part), part.exposed, permutations, rng, p)
        found.append(p)
    return found


def compute_scores(followed: Followed) -> np.ndarray:
    """Compute the log-rank scores of each trial's patients, shape (trials, n); 0 for who is not in it."""
    scores = np.empty(followed.time.shape)
    kernel.score_rows(followed.time, followed.event, scores)
    return scores


def main_estimates(followed: Followed, endpoint: str, plan: Plan, *, subgroup: bool = False) -> np.ndarray:
    """Estimate the ln hazard ratio of each trial by the plan's main estimator, as `association` chooses it.

    Parameters
    ----------
    followed : Followed
        The analysis.
    endpoint : str
        PFS or OS.
    plan : Plan
        Section survival: firth_endpoints, firth_max_events and firth_min_group_events.
    subgroup : bool
        The patients are a part of the main analysis set: Firth.

    Returns
    -------
    ndarray, shape (trials,)
        Infinite where monotone under maximum likelihood, missing where not estimable.
    """
    rules, (likelihood, firth) = plan.survival, fit_both(followed, plan)
    smaller = np.minimum(likelihood["events_exposed"], likelihood["events"] - likelihood["events_exposed"])
    few = (likelihood["events"] < rules.firth_max_events) | (smaller < rules.firth_min_group_events)
    by_firth = few | endpoint.startswith(tuple(rules.firth_endpoints)) | subgroup
    return np.where(by_firth, firth["coef"], likelihood["coef"])


def fit_both(followed: Followed, plan: Plan, alpha: float | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit each trial by maximum likelihood and by Firth, with the plan's ties; limits if a level is given."""
    arrays = (followed.time, followed.event, followed.exposed)
    likelihood = fit_two_groups(*arrays, ties=plan.survival.ties_ml, alpha=alpha)
    return likelihood, fit_two_groups(*arrays, ties=plan.survival.ties_firth, penalty="firth", alpha=alpha)


def _describe(at: dict[str, Followed], plan: Plan) -> dict[tuple[str, str], np.ndarray]:
    """Count patients and events of each day's analysis, and its share of non-responders."""
    found = {}
    for name, visit in zip(("fixed_earlier", "fixed_later"), plan.design.followup_visits, strict=True):
        inside = np.isfinite(at[name].time)
        patients = inside.sum(axis=1)
        exposed = np.nansum(at[name].exposed, axis=1)
        found["patients", visit] = patients.astype(float)
        found["events", visit] = (at[name].event & inside).sum(axis=1).astype(float)
        empty = np.full(len(patients), np.nan)
        found["nonresponse", visit] = np.divide(exposed, patients, out=empty, where=patients > 0)
    return found


def _chosen_day(chosen: Followed, plan: Plan) -> dict[tuple[str, str], np.ndarray]:
    """Fit the chosen day by both estimators, with limits, p of the likelihood ratio, and the log-rank's."""
    found = {}
    for name, fits in zip(("cox_ml", "cox_firth"), fit_both(chosen, plan, plan.primary.alpha), strict=True):
        known = fits["estimable"].to_numpy()
        found["p", name] = np.where(known, _two_sided(fits["z"]), np.nan)
        found |= {(item, name): fits[item].to_numpy() for item in ("coef", "lower", "upper")}
        if name == "cox_ml":
            found["p", "chosen_asymptotic"] = np.where(known, _two_sided(fits["score_z"]), np.nan)
    return found


def _optimal_cut(chosen: Followed, plan: Plan) -> dict[tuple[str, str], np.ndarray]:
    """Cut the score where it separates most: p as if the cut had been fixed, corrected p, and estimate."""
    low, high = plan.survival.maxstat_range
    shares = {"min_share": low, "max_share": high}
    rows = zip(chosen.time, chosen.event, chosen.score, strict=True)
    selected = [_select_cut(*row, shares) for row in rows]
    cut, corrected = (np.array(values) for values in zip(*selected, strict=True))
    above = np.where(chosen.score > cut[:, None], 1.0, 0.0)
    above[np.isnan(chosen.time) | np.isnan(cut)[:, None]] = np.nan
    fits = fit_two_groups(chosen.time, chosen.event, above, ties=plan.survival.ties_ml)
    return {
        ("p", "optimal_cut"): np.where(fits["estimable"], _two_sided(fits["score_z"]), np.nan),
        ("p", "optimal_cut_corrected"): corrected,
        ("coef", "optimal_cut"): fits["coef"].to_numpy(),
    }


def _select_cut(time: np.ndarray, event: np.ndarray, score: np.ndarray, shares: dict) -> tuple[float, float]:
    inside = np.isfinite(time) & np.isfinite(score)
    arrays = (time[inside], event[inside], score[inside])
    try:
        found = max_selected_log_rank(*arrays, methods="lausen94", **shares).iloc[0]
    except NotEstimable:
        return np.nan, np.nan
    return found["cut"], found["p"]


def _corrected_p(trials, scans, choices, endpoint, pooled: np.ndarray, plan: Plan, rng) -> np.ndarray:
    """Return what notebook 04 reports: the two-stage p, or the pooled one where no outcome was read."""
    if plan.pilot.correction == "none":
        return pooled
    pilot, extension = _stages(trials, scans, choices, endpoint, plan)
    planned, permutations = plan.pilot.planned_events, plan.operating.permutations
    weights = (planned["pilot"], planned["extension"])
    corrected = pooled.copy()
    for trial in np.flatnonzero(choices.by_outcome):
        stages = (_stage(*part, trial) for part in (pilot, extension))
        try:
            corrected[trial] = two_stage_test(*stages, int(choices.day[trial]), weights, permutations, rng).p
        except NotEstimable:
            corrected[trial] = np.nan
    return corrected


def _stages(trials, scans, choices, endpoint, plan: Plan) -> tuple[tuple[np.ndarray, ...], ...]:
    """Return, of the pilot and of the extension, who is in it, log-rank scores and classes of both days.

    As `association.pilot_choice.build_stages`: in the pilot who is at risk from the landmark of one day at
    least, in the extension who is so on the chosen day.
    """
    n = int(trials.patients["PILOT"][0].sum())
    chosen = choices.day[:, None]
    by_day = [follow(trials, scans, day, endpoint, plan) for day in (False, True)]
    found = []
    for patients in (slice(None, n), slice(n, None)):
        parts = [_only_columns(part, patients) for part in by_day]
        at_risk = [np.isfinite(part.time) for part in parts]
        inside = at_risk[0] | at_risk[1] if patients.stop else np.where(chosen, at_risk[1], at_risk[0])
        scores = np.stack([compute_scores(part) for part in parts], axis=-1)
        exposed = np.moveaxis(scans.exposed[:, :, patients], 0, -1)
        found.append((inside, scores, exposed, np.stack(at_risk, axis=-1)))
    return tuple(found)


def _stage(inside: np.ndarray, scores: np.ndarray, exposed: np.ndarray, at_risk: np.ndarray, trial: int):
    return Stage(*(part[trial][inside[trial]] for part in (scores, exposed, at_risk)))


def _only_columns(followed: Followed, patients: slice) -> Followed:
    parts = (followed.time, followed.event, followed.exposed, followed.score)
    return Followed(*(np.ascontiguousarray(part[:, patients]) for part in parts))


def _two_sided(z) -> np.ndarray:
    return 2 * ndtr(-np.abs(np.asarray(z, dtype=float)))
