"""Which follow-up scans of the virtual trials exist, and the classes the plan's own rule gives them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.pet.response import classify, in_force
from analysis.plan import Plan
from analysis.virtual_trial.many_trials import Trials
from analysis.virtual_trial.outcomes import DAYS, add_image_noise
from analysis.virtual_trial.scans import VISITS

EXPOSED = {"NON-RESPONDER": 1.0, "RESPONDER": 0.0}


@dataclass(frozen=True)
class Scans:
    """The two early scans of every patient, earlier day first; each array has the shape (2, trials, n).

    Attributes
    ----------
    day : ndarray of int
        Days since first dose on which the scan was, or would have been.
    made : ndarray of bool
        The scan exists.
    exposed, score : ndarray
        1 for a non-responder, 0 for a responder; the rule's ln ratio, larger is worse. Missing without a
        scan.
    """

    day: np.ndarray
    made: np.ndarray
    exposed: np.ndarray
    score: np.ndarray


def simulate_scans(trials: Trials, plan: Plan, rng: np.random.Generator) -> Scans:
    """Draw the days of both early scans, who has them, the measured uptake, and classify it.

    A scan exists while the patient lives, is in follow-up and before the data cut-off. Of these the plan's
    `missed_share` are missing whatever the outcome, and `missed_progressed_share` of those whose latent
    progression lies before the scan.

    Parameters
    ----------
    trials : Trials
        From `simulate_trials`.
    plan : Plan
        Sections virtual, operating, design, primary, response and pet.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    Scans
        Of both days, whatever the phase: who is scanned on which is for the analysis to say.

    Raises
    ------
    ValueError
        If the plan has other follow-up visits.
    """
    check_days(plan)
    windows = [plan.virtual.scan_days[name] for name in DAYS]
    day = np.stack([rng.integers(*window, trials.shape, endpoint=True) for window in windows])
    made = _is_made(trials, day, plan, rng)
    exposed, score = _classify(trials, plan, rng)
    return Scans(day, made, np.where(made, exposed, np.nan), np.where(made, score, np.nan))


def check_days(plan: Plan) -> None:
    """Refuse a design whose candidate days are not those that are simulated.

    Parameters
    ----------
    plan : Plan
        Section design.

    Raises
    ------
    ValueError
        If `followup_visits` are others.
    """
    visits = tuple(plan.design.followup_visits)
    if visits != DAYS:
        raise ValueError(
            f"the virtual trial is scanned on {' and '.join(DAYS)} (section virtual), design.followup_visits "
            f"names {list(visits)!r}: leave step 07 out of design.steps"
        )


def _is_made(trials: Trials, day: np.ndarray, plan: Plan, rng: np.random.Generator) -> np.ndarray:
    patients, rules = trials.patients, plan.operating
    until = np.fmin(patients["DEATH_DAY"], patients["LOST_DAY"])
    there = (day < until) & (day <= patients["CUT_DAY"])
    progressed = patients["LATENT_DAY"] < day
    share = np.where(progressed, rules.missed_progressed_share, rules.missed_share)
    return there & (rng.random(day.shape) >= share)


def _classify(trials: Trials, plan: Plan, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Classify all scans of all trials by one call of the real rule; a patient is a subject of her own."""
    # Simulated scans are comparable: there is no scanner whose facts could be held against another's.
    rules = in_force(plan).override({"response.comparability_checks": {}})
    admr = classify(_measure(trials, rules, rng), rules)
    if admr["SCORE"].isna().all():
        raise ValueError(
            f"virtual scans hold {plan.primary.metric} of lesions alone, {plan.primary.response_rule} reads "
            "more (volumes, glycolysis): leave step 07 out of design.steps, or take another rule"
        )
    by_day = [admr[admr["AVISIT"] == visit] for visit in plan.design.followup_visits]
    exposed, score = (
        np.stack([part.to_numpy(float).reshape(trials.shape) for part in parts])
        for parts in zip(*((rows["MRESP"].map(EXPOSED), rows["SCORE"]) for rows in by_day), strict=True)
    )
    return exposed, score


def _measure(trials: Trials, plan: Plan, rng: np.random.Generator) -> pd.DataFrame:
    """Return the lesions' uptake at baseline and both days as an image would show it, as rows of ``adpet``.

    No lesion falls below its surroundings: in the liver those of an average patient.
    """
    lesions, settings = trials.lesions, plan.virtual
    liver = settings.liver_floor * settings.physiology["liver_suv"]["mean"]
    parts = []
    for name, visit in zip(("D0", *DAYS), ("D0", *plan.design.followup_visits), strict=True):
        change = 0.0 if name == "D0" else lesions[f"LNRATIO_{name}"]
        drift = settings.liver_drift[VISITS.index(name)]
        floor = np.where(lesions["ORGAN"] == "liver", liver * drift, settings.suv_floor)
        uptake = np.maximum(lesions["SUVMAX_D0"] * np.exp(change), floor)
        parts.append(lesions[["ROW", "NUMBER", "ORGAN"]].assign(AVISIT=visit, SUVMAX=uptake))
    measured = add_image_noise(pd.concat(parts, ignore_index=True), settings.ratio_noise_cv, rng)
    names = {"ROW": "USUBJID", "NUMBER": "LESIONID", "SUVMAX": "AVAL"}
    # Uptake is planted well above the liver: every lesion is FDG-evaluable, the hottest are targets.
    rank = lesions.groupby("ROW")["SUVMAX_D0"].rank(ascending=False, method="first")
    target = np.where(rank <= plan.response.max_targets, "Y", "N")
    fixed = {"METRIC": plan.primary.metric, "ROLE": "LESION", "EVALFL": "Y", "FLAGS": None}
    fixed["TARGETFL"] = np.tile(target, len(parts))
    return measured.rename(columns=names).assign(**fixed, ADT=pd.NaT, STUDYID=plan.study)
