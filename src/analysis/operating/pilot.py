"""The choice of day in the pilot of every virtual trial, on what is known on its date, as in notebook 03."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.operating.scans import Scans
from analysis.plan import Plan
from analysis.survival.pilot.batches import (
    Pilots,
    batch_concordance,
    batch_gain,
    batch_kappa,
    draw_batch_counts,
)
from analysis.survival.pilot.rules import exceeds, later_wins
from analysis.virtual_trial.many_trials import Trials

PLAN_RULE = "PLAN"
# Endpoints of the virtual trial, and whether a patient is known to be free of the event at visits only.
SEEN_AT_VISITS = {"PFS": True, "OS": False}


@dataclass(frozen=True)
class Choices:
    """What the decision rules of each trial take; every array has one number a trial.

    Attributes
    ----------
    later : dict of ndarray of bool
        Rule to whether it takes the later day; PLAN is the plan's rule with its fallback.
    fallback : ndarray of bool
        The fallback, which reads no outcome, decided for PLAN.
    day : ndarray of bool
        The later day is analysed: what PLAN takes, or the day the plan fixes (`primary.timepoint`).
    by_outcome : ndarray of bool
        Outcomes chose it: the pilot did, not its fallback.
    events : ndarray of int
        Events of the primary endpoint known among pilot patients.
    reads : dict of ndarray
        What the rules read (arguments of `survival.pilot.rules.later_wins`), `earlier` (C of the earlier day)
        and `lacking` (percentage points by which the earlier scan is lacking more often).
    """

    later: dict[str, np.ndarray]
    fallback: np.ndarray
    day: np.ndarray
    by_outcome: np.ndarray
    events: np.ndarray
    reads: dict[str, np.ndarray]


def choose_days(
    trials: Trials, scans: Scans, plan: Plan, rng: np.random.Generator, *, mature: bool = False
) -> Choices:
    """Apply every decision rule to the pilot of each trial.

    Parameters
    ----------
    trials, scans : Trials, Scans
        The virtual trials and their scans.
    plan : Plan
        Sections design, primary and pilot. Support is measured in `pilot.behaviour_bootstrap` resamples, as
        in notebook 03's simulated pilots.
    rng : numpy.random.Generator
        For the paired bootstrap.
    mature : bool
        On all follow-up, as if the decision had waited for the data cut-off.

    Returns
    -------
    Choices
        The same as `survival.pilot.compare_days` finds, trial by trial.
    """
    n, rules = int(trials.patients["PILOT"][0].sum()), plan.pilot
    made, exposed, score = (part[:, :, :n] for part in (scans.made, scans.exposed, scans.score))
    known = known_on(trials, None if mature else decision_day(trials, scans, plan), plan, n)
    paired = (np.isfinite(exposed) & np.isfinite(score)).all(axis=0)
    time = known[0] - rules.landmark_day
    kept = Pilots(time, known[1], paired & (time > 0))
    earlier, reads = _read(kept, score, exposed, rules.behaviour_bootstrap, rng)
    reads["agreement"] = batch_kappa(*(exposed == 1), paired)
    won = later_wins(rules, **reads)
    lacking = 100 * np.subtract(
        *((~(part & np.isfinite(cls))).mean(axis=1) for part, cls in zip(made, exposed))
    )
    events = known[1].sum(axis=1)
    fallback = (events < rules.min_pilot_events) | ~np.isfinite(earlier)
    instead = exceeds(lacking, rules.missing_points)
    later = {**won, PLAN_RULE: np.where(fallback, instead, won[rules.rule])}
    by_pilot = plan.primary.timepoint == "pilot"
    fixed = np.full(len(events), plan.primary.timepoint == plan.design.followup_visits[1])
    day = later[PLAN_RULE] if by_pilot else fixed
    reads |= {"earlier": earlier, "lacking": lacking}
    return Choices(later, fallback, day, by_pilot & ~fallback, events, reads)


def decision_day(trials: Trials, scans: Scans, plan: Plan) -> np.ndarray:
    """Compute the day of each pilot's decision, since the first registration.

    Parameters
    ----------
    trials, scans : Trials, Scans
        The virtual trials and their scans.
    plan : Plan
        Section pilot.

    Returns
    -------
    ndarray, shape (trials,)
        The last pilot scan of the later day plus the plan's offset; infinite where there is no such scan.
    """
    pilot = trials.patients["PILOT"]
    day = np.where(scans.made[1] & pilot, trials.patients["TREATED_DAY"] + scans.day[1], -np.inf)
    last = day.max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(last), last + plan.pilot.decision_offset_days, np.inf)


def known_on(trials: Trials, date: np.ndarray | None, plan: Plan, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return follow-up of the first `n` patients as it was known on a date: study day of its end, and event.

    Parameters
    ----------
    trials : Trials
        The virtual trials.
    date : ndarray, shape (trials,), or None
        Day since the first registration; None: everything known at the data cut-off.
    plan : Plan
        Section primary: the endpoint.
    n : int
        Patients, in order of registration.

    Returns
    -------
    tuple of ndarray, shape (trials, n)
        Study day on which follow-up ends (first dose is day 1; missing for who had not begun), and whether
        with an event. Follow-up that goes beyond the date ends at the last visit up to it (day 1 without
        one), for an endpoint that is seen at visits, else on the date.
    """
    patients, endpoint = trials.patients, plan.primary.endpoint
    end, event = (patients[f"{endpoint}{part}"][:, :n] for part in ("DAYS", "EVENT"))
    if date is None:
        return end.astype(float), event
    since = date[:, None] - patients["TREATED_DAY"][:, :n]
    later = end - 1 > since
    until = since
    if SEEN_AT_VISITS[endpoint]:
        visits = trials.visits[:, :n]
        until = np.where(visits <= since[:, :, None], visits, 0).max(axis=2)
    known = np.where(later, until + 1, end)
    return np.where(since >= 0, known, np.nan), event & ~later & (since >= 0)


def _read(
    kept: Pilots, score: np.ndarray, exposed: np.ndarray, resamples: int, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return C of the earlier day, and by how much the later one foretells the endpoint better."""
    pairs, counts = kept.ordered_pairs(), draw_batch_counts(kept.kept, resamples, rng)
    by_day = [batch_concordance(pairs, part) for part in score]
    drawn = np.subtract(*(batch_concordance(pairs, part, counts) for part in score[::-1]))
    orderable = np.isfinite(drawn).sum(axis=1)
    support = np.divide(
        (drawn > 0).sum(axis=1), orderable, out=np.full(len(drawn), np.nan), where=orderable > 0
    )
    gains = [np.subtract(*(batch_gain(kept, part) for part in values[::-1])) for values in (score, exposed)]
    reads = {
        "gain": by_day[1] - by_day[0],
        "gain_score": gains[0],
        "gain_class": gains[1],
        "support": support,
    }
    return by_day[0], reads
