"""Who is followed in an analysis of the virtual trials, from which day, and with which class."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.operating.scans import Scans
from analysis.plan import Plan
from analysis.virtual_trial.many_trials import Trials


@dataclass(frozen=True)
class Followed:
    """One analysis in every trial; each array has the shape (trials, n).

    Attributes
    ----------
    time : ndarray
        Days from time zero; missing for who is not in the analysis.
    event : ndarray of bool
        Event seen.
    exposed : ndarray
        1 for a non-responder, 0 for a responder; missing for who is not in the analysis.
    score : ndarray
        The rule's ln ratio.
    """

    time: np.ndarray
    event: np.ndarray
    exposed: np.ndarray
    score: np.ndarray

    def only(self, who: np.ndarray) -> Followed:
        """Return the analysis of the patients in `who`, shape (trials, n) or (n,)."""
        return replace(
            self, time=np.where(who, self.time, np.nan), exposed=np.where(who, self.exposed, np.nan)
        )


def follow(
    trials: Trials,
    scans: Scans,
    later: np.ndarray | bool,
    endpoint: str,
    plan: Plan,
    *,
    landmark: str | None = None,
) -> Followed:
    """Follow everybody with a class on one day from the landmark, as `survival.association.analysis_set`.

    Parameters
    ----------
    trials, scans : Trials, Scans
        The virtual trials and their scans.
    later : bool or ndarray of bool, shape (trials,)
        The later day, or the earlier; each trial may have its own.
    endpoint : str
        PFS or OS.
    plan : Plan
        Sections primary and survival.
    landmark : str, optional
        scan, fixed or none instead of the plan's.

    Returns
    -------
    Followed
        Who has a class, and is event-free and followed after the landmark.
    """
    day, exposed, score = (of_day(part, later) for part in (scans.day, scans.exposed, scans.score))
    end, event = (trials.patients[f"{endpoint}{part}"] for part in ("DAYS", "EVENT"))
    landmark = plan.primary.landmark if landmark is None else landmark
    # Days since first dose and study days differ by one: first dose is study day 1.
    time = {"scan": end - 1 - day, "fixed": end - plan.survival.fixed_landmark_day, "none": end}[landmark]
    inside = np.isfinite(exposed) & ((time > 0) | (landmark == "none"))
    return Followed(time.astype(float), event, exposed, score).only(inside)


def follow_everybody(
    trials: Trials, scans: Scans, later: np.ndarray | bool, endpoint: str, day: int
) -> Followed:
    """Follow everybody, scanned or not, from a study day: who has no class counts as a non-responder.

    Parameters
    ----------
    trials, scans, later, endpoint
        As in `follow`.
    day : int
        Study day of time zero; 0 takes follow-up as the endpoint has it, from first dose.

    Returns
    -------
    Followed
        A biased analysis, shown to be compared: a scan that is missing because the disease progressed
        foretells the event by itself.
    """
    exposed = of_day(scans.exposed, later)
    exposed = np.where(np.isfinite(exposed), exposed, 1.0)
    end, event = (trials.patients[f"{endpoint}{part}"] for part in ("DAYS", "EVENT"))
    time = (end - day).astype(float)
    return Followed(time, event, exposed, of_day(scans.score, later)).only(time > 0)


def of_day(values: np.ndarray, later: np.ndarray | bool) -> np.ndarray:
    """Return the values of one day, shape (trials, n), of an array of both."""
    chosen = np.asarray(later)
    return np.where(chosen[..., None] if chosen.ndim else chosen, values[1], values[0])
