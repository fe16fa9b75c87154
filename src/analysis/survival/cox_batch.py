"""Cox regression in thousands of resamples of one small data set, in one compiled call."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.survival.outcome import check_time_event

# The work of a fit grows with the square of the covariates, and resamples of so small data carry no more.
_MOST_COVARIATES = 5
# Patients may disagree with a direction of separation of several covariates by this share of its length.
_SLACK = 1e-6


def cox_batch(time, event, covariates, counts, *, ties: str = "efron") -> pd.DataFrame:
    """Fit the same model in every resample; copies of a patient with an event are ties.

    A resample is given by how often each patient is drawn, and its fit equals that of the repeated rows: a
    bootstrap is ``rng.multinomial(n, np.full(n, 1 / n), size=resamples)``, a jackknife ``1 - np.eye(n)``.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up and True for an event.
    covariates : array-like or DataFrame, shape (n,) or (n, k)
        Numbers, at most 5 a patient.
    counts : array-like of whole numbers, shape (resamples, n)
        How often each patient is drawn, at least 0.
    ties : {"efron", "breslow"}
        Treatment of tied events.

    Returns
    -------
    DataFrame
        One row a resample: coef (``coef_<name>`` for each of several covariates; without names x1, x2, ...),
        loglik, loglik_null, events, converged, monotone.

        ``converged``: coef is the finite and only maximum. Leave the other rows out, or count them:

        - ``monotone``: at each event those who die have the most extreme covariate, or combination of
          covariates; coef is infinite there (with its sign), loglik is the limit of the likelihood;
        - no event, or a covariate without spread among those at risk: its coef is 0;
        - rarely, a maximum too far out to be told from an infinite one.

    Raises
    ------
    NotEstimable
        If there are no patients.
    ValueError
        If shapes do not fit, numbers are missing, counts are not whole and at least 0, or `ties` is unknown.

    Notes
    -----
    Coefficients are exact to some 1e-10 of the inverse range of a covariate. The code is compiled at first
    use, for some seconds, and kept in ``__pycache__``, in ``NUMBA_CACHE_DIR``, or in the user's cache where
    the package cannot be written. It runs on one core, without holding Python's lock.

    References
    ----------
    Efron, J Am Stat Assoc 1977;72:557-65 (ties); Bach, Electron J Stat 2010;4:384-414 (Newton steps).

    Examples
    --------
    >>> cox_batch([1, 2, 3], [1, 1, 0], [1, 0, 1], [[1, 1, 1]])["coef"].round(6).tolist()
    [-0.346574]
    """
    time, event = check_time_event(time, event)
    if ties not in ("efron", "breslow"):
        raise ValueError(f"ties must be 'efron' or 'breslow', found {ties!r}")
    names, x = _columns(covariates, len(time))
    counts = _whole(counts, len(time))
    spread = np.where(np.ptp(x, axis=0) > 0, np.ptp(x, axis=0), 1.0)
    coef, found = _fit(time, event, (x - (x.min(axis=0) + x.max(axis=0)) / 2) / spread, counts, ties)
    return pd.DataFrame({**dict(zip(names, (coef / spread).T, strict=True)), **found})


def _fit(time, event, x, counts, ties: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    from analysis.survival.cox_kernel import Data, far_likelihoods, fit_resamples

    order = np.lexsort((event, -time))
    died, sorted_x = event[order], x[order].T.copy()
    data = Data(order, sorted_x, sorted_x * died, died, *_event_times(time[order], died), ties == "efron")
    shape = (len(counts), x.shape[1])
    coef, step, known = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
    loglik, null, events = np.zeros(shape[0]), np.zeros(shape[0]), np.zeros(shape[0], dtype=np.int64)
    arrived, monotone = np.zeros(shape[0], dtype=bool), np.zeros(shape[0], dtype=bool)
    single = shape[1] == 1
    fit_resamples(counts, data, None if single else True, coef, step, loglik, null, events, arrived, known)
    lost = np.flatnonzero(~arrived & known.any(axis=1))
    if lost.size:
        # The direction of one covariate is exact; of several, it is what the iteration came to.
        slack = (0.0 if single else _SLACK) * np.abs(step[lost]).sum(axis=1)
        limit = far_likelihoods(counts[lost], data, step[lost], slack)
        monotone[lost] = np.isfinite(limit)
        infinite = np.isfinite(limit)[:, None] & (np.abs(step[lost]) > slack[:, None])
        coef[lost] = np.where(infinite, np.copysign(np.inf, step[lost]), coef[lost])
        if single:
            loglik[lost] = np.where(np.isfinite(limit), limit, loglik[lost])
    converged = arrived & known.all(axis=1)
    return coef, {
        "loglik": loglik,
        "loglik_null": null,
        "events": events,
        "converged": converged,
        "monotone": monotone,
    }


def _columns(covariates, n: int) -> tuple[list[str], np.ndarray]:
    names = list(covariates.columns) if isinstance(covariates, pd.DataFrame) else None
    x = np.asarray(covariates, dtype=float)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or len(x) != n or not 1 <= x.shape[1] <= _MOST_COVARIATES:
        raise ValueError(
            f"covariates must cover the {n} patients with 1 to {_MOST_COVARIATES} columns: found {x.shape}"
        )
    if not np.isfinite(x).all():
        lacking = int((~np.isfinite(x)).any(axis=1).sum())
        raise ValueError(f"{lacking} patients lack a covariate; leave them out by name")
    if x.shape[1] == 1:
        return ["coef"], x
    return [f"coef_{name}" for name in names or [f"x{k + 1}" for k in range(x.shape[1])]], x


def _whole(counts, n: int) -> np.ndarray:
    given = np.asarray(counts)
    if given.ndim != 2 or given.shape[1] != n:
        raise ValueError(f"counts must cover the {n} patients, one row a resample: found {given.shape}")
    if given.dtype.kind not in "iub" and not (np.isfinite(given) & (given == np.round(given))).all():
        raise ValueError("counts must be whole numbers")
    if given.size and given.min() < 0:
        raise ValueError("counts must be at least 0")
    return np.ascontiguousarray(given, dtype=np.int64)


def _event_times(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where those who die at each event time begin and end, in falling order of time."""
    died = np.flatnonzero(event)
    times, first, deaths = np.unique(-time[died], return_index=True, return_counts=True)
    first = died[first] if len(times) else first
    return first.astype(np.int64), (first + deaths).astype(np.int64)
