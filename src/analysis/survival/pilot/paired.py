"""One measure of both days in the same resamples of patients: the paired bootstrap of every interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.cox_batch import cox_batch
from analysis.survival.pilot.evidence import DESCRIPTIVE, contrast_of, item

# measure(time, event, value, counts): one number a resample, missing where there is none.
Measure = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
BOOTSTRAP = "paired_bootstrap"


@dataclass(frozen=True)
class Followed:
    """The followed patients of one day.

    Attributes
    ----------
    time, event, value : ndarray
        Days from the landmark, True for an event, and what should foretell it (larger is worse).
    rows : ndarray of int
        Their places among the patients that are resampled.
    """

    time: np.ndarray
    event: np.ndarray
    value: np.ndarray
    rows: np.ndarray

    def events(self, until: float = np.inf) -> np.ndarray:
        """Mark the events up to a time, days."""
        return self.event & (self.time <= until)


def follow_same(compared: pd.DataFrame, value: np.ndarray) -> Followed:
    """Take a value of patients who are all followed, and all resampled.

    Parameters
    ----------
    compared : DataFrame
        ``time`` and ``event``.
    value : ndarray
        What should foretell the event.

    Returns
    -------
    Followed
        The same rows, in order.
    """
    return follow_some(compared, value, np.arange(len(compared)))


def follow_some(rows: pd.DataFrame, value: np.ndarray, places: np.ndarray) -> Followed:
    """Take a value of those followed among more who are resampled.

    Parameters
    ----------
    rows : DataFrame
        ``time`` and ``event`` of the followed.
    value : ndarray
        What should foretell the event.
    places : ndarray of int
        Their places among the resampled.

    Returns
    -------
    Followed
        The rows, in order.
    """
    return Followed(rows["time"].to_numpy(float), rows["event"].to_numpy(bool), value, places)


def paired_items(
    name: str,
    measure: Measure,
    followed: Mapping[str, Followed],
    counts: np.ndarray,
    plan: Plan,
    *,
    method: str,
    role: str = DESCRIPTIVE,
    until: float = np.inf,
) -> list[dict]:
    """Measure both days and the later minus the earlier, with percentile limits of one paired bootstrap.

    Parameters
    ----------
    name : str
        ITEM.
    measure : callable
        ``measure(time, event, value, counts)``, one number a resample.
    followed : mapping
        The patients of each day.
    counts : ndarray, shape (resamples, patients)
        How often each patient is drawn; of a resample both days take the same patients.
    plan : Plan
        Sections design and primary.
    method : str
        METHOD of the days' rows; that of the difference is paired_bootstrap.
    role : str
        ROLE.
    until : float
        EVENTS counts those up to this time, days.

    Returns
    -------
    list of dict
        Three rows of evidence.
    """
    alpha, estimates, draws, items = plan.primary.alpha, [], [], []
    for day, case in followed.items():
        (estimate,) = measure_resamples(measure, case, np.ones((1, len(case.time)), dtype=int))
        drawn = measure_resamples(measure, case, counts[:, case.rows])
        # A gain in likelihood is never negative: percentiles of its resamples are no interval around it.
        limits = {} if measure is resampled_gain else percentiles(drawn, alpha)
        found = {"estimate": estimate, **limits}
        items.append(
            item(name, day, found, len(case.time), method, events=case.events(until).sum(), role=role)
        )
        estimates.append(estimate)
        draws.append(drawn)
    found = {"estimate": estimates[1] - estimates[0], **percentiles(draws[1] - draws[0], alpha)}
    size = count_either(followed, until)
    return [*items, item(name, contrast_of(plan), found, **size, method=BOOTSTRAP, role=role)]


def measure_resamples(measure: Measure, case: Followed, counts: np.ndarray) -> np.ndarray:
    """Measure a day in every resample; missing where nobody is followed.

    Parameters
    ----------
    measure : callable
        ``measure(time, event, value, counts)``.
    case : Followed
        The patients of the day.
    counts : ndarray, shape (resamples, patients)
        How often each of them is drawn.

    Returns
    -------
    ndarray, shape (resamples,)
        One number a resample.
    """
    if not len(case.time) or not len(counts):
        return np.full(len(counts), np.nan)
    return measure(case.time, case.event, case.value, counts)


def draw_counts(n: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw how often each of `n` patients stands in each resample.

    Parameters
    ----------
    n : int
        Patients; 0 gives no resample.
    samples : int
        Resamples.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of int, shape (samples, n)
        Counts; each row adds up to `n`.
    """
    return rng.multinomial(n, np.full(n, 1 / n), size=samples) if n else np.zeros((0, 0), int)


def resampled_gain(time, event, score, counts: np.ndarray) -> np.ndarray:
    """Compute the partial log-likelihood of the score above that of no effect, in every resample.

    Parameters
    ----------
    time, event, score : array-like
        Follow-up, True for an event and a score of n patients.
    counts : ndarray, shape (resamples, n)
        How often each patient is drawn.

    Returns
    -------
    ndarray, shape (resamples,)
        Gain, at least 0; missing without an event.
    """
    fits = cox_batch(time, event, score, counts)
    return (fits["loglik"] - fits["loglik_null"]).where(fits["events"] > 0).to_numpy()


def percentiles(draws: np.ndarray, alpha: float) -> dict[str, float]:
    """Return the limits between which the middle 1 - alpha of the known draws lie.

    Parameters
    ----------
    draws : ndarray
        Resampled values; missing ones are left out.
    alpha : float
        One minus the coverage.

    Returns
    -------
    dict
        lower and upper; missing without a draw.
    """
    known = draws[np.isfinite(draws)]
    if known.size == 0:
        return {"lower": np.nan, "upper": np.nan}
    lower, upper = np.quantile(known, [alpha / 2, 1 - alpha / 2])
    return {"lower": float(lower), "upper": float(upper)}


def count_either(followed: Mapping[str, Followed], until: float = np.inf) -> dict[str, float]:
    """Count the patients followed at either day, and those of them with an event.

    Parameters
    ----------
    followed : mapping
        The patients of each day.
    until : float
        Events up to this time, days.

    Returns
    -------
    dict
        n and events.
    """
    rows = np.concatenate([case.rows for case in followed.values()])
    having = np.concatenate([case.rows[case.events(until)] for case in followed.values()])
    return {"n": len(np.unique(rows)), "events": float(len(np.unique(having)))}
