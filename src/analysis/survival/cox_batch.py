"""Cox regression in thousands of resamples of one small data set, in one compiled call."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.survival.outcome import NotEstimable, check_index, check_time_event
from analysis.survival.partial_likelihood import PartialLikelihood, fit_maximum

# The work of a fit grows with the square of the covariates, and resamples of so small data carry no more.
_MOST_COVARIATES = 5
# Patients may disagree with a direction of separation of several covariates by this share of its length.
_SLACK = 1e-6
# A fit beyond the kernel is scaled by the range of most patients, and has arrived at so small a next step.
_BULK, _ARRIVED = (0.1, 0.9), 1e-9


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
        - rarely, with several covariates, a maximum too far out to be told from an infinite one.

    Raises
    ------
    NotEstimable
        If there are no patients.
    ValueError
        If shapes do not fit, numbers are missing, counts are not whole and at least 0, or `ties` is unknown.

    Notes
    -----
    Coefficients are exact to some 1e-10 of the inverse range of a covariate in the resample, over those drawn
    who are at risk at an event: who is not drawn does not matter. Resamples with an outlier that leaves a
    large coefficient on its range are fitted one by one, some thousand times as slow.

    The code is compiled at first use, for some seconds, and kept in ``__pycache__``, in ``NUMBA_CACHE_DIR``,
    or in the user's cache where the package cannot be written. It runs on one core, without holding Python's
    lock.

    References
    ----------
    Efron, J Am Stat Assoc 1977;72:557-65 (ties); Bach, Electron J Stat 2010;4:384-414 (Newton steps).

    Examples
    --------
    >>> cox_batch([1, 2, 3], [1, 1, 0], [1, 0, 1], [[1, 1, 1]])["coef"].round(6).tolist()
    [-0.346574]
    """
    check_index(time=time, event=event, covariates=covariates)
    time, event = check_time_event(time, event)
    if ties not in ("efron", "breslow"):
        raise ValueError(f"ties must be 'efron' or 'breslow', found {ties!r}")
    names, x = _columns(covariates, len(time))
    counts = _whole(counts, len(time))
    coef, found = _fit(time, event, x - np.median(x, axis=0), counts, ties)
    return pd.DataFrame({**dict(zip(names, coef.T, strict=True)), **found})


def _fit(time, event, x, counts, ties: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    from analysis.survival.cox_kernel import Data, far_likelihoods, fit_resamples

    order = np.lexsort((event, -time))
    died, sorted_x = event[order], x[order].T.copy()
    data = Data(order, sorted_x, died, *_event_times(time[order], died), ties == "efron")
    shape = (len(counts), x.shape[1])
    coef, step, spread, known = np.zeros(shape), np.zeros(shape), np.ones(shape), np.zeros(shape, dtype=bool)
    loglik, null, events = np.zeros(shape[0]), np.zeros(shape[0]), np.zeros(shape[0], dtype=np.int64)
    arrived, monotone = np.zeros(shape[0], dtype=bool), np.zeros(shape[0], dtype=bool)
    single = shape[1] == 1
    fit_resamples(
        counts, data, None if single else True, coef, step, spread, loglik, null, events, arrived, known
    )
    coef /= spread
    lost = np.flatnonzero(~arrived & known.any(axis=1))
    if lost.size:
        # The direction of one covariate is exact; of several, it is what the iteration came to.
        slack = (0.0 if single else _SLACK) * np.abs(step[lost]).sum(axis=1)
        limit = far_likelihoods(counts[lost], data, step[lost] / spread[lost], slack)
        monotone[lost] = np.isfinite(limit)
        infinite = np.isfinite(limit)[:, None] & (np.abs(step[lost]) > slack[:, None])
        coef[lost] = np.where(infinite, np.copysign(np.inf, step[lost]), coef[lost])
        if single:
            loglik[lost] = np.where(np.isfinite(limit), limit, loglik[lost])
        for row in lost[~monotone[lost] & known[lost].all(axis=1)]:
            again = _fit_far(time, event, x, counts[row], ties)
            if again is not None:
                coef[row], loglik[row], arrived[row] = *again, True
    converged = arrived & known.all(axis=1)
    return coef, {
        "loglik": loglik,
        "loglik_null": null,
        "events": events,
        "converged": converged,
        "monotone": monotone,
    }


def _fit_far(time, event, x, count, ties: str) -> tuple[np.ndarray, float] | None:
    """Fit a resample whose maximum lies beyond what the kernel can compute with; None if it has none.

    So it is where an outlier is drawn that says nothing, as one who has the first event with the largest of
    all scores: the others give a coefficient that is large on a range that includes the outlier.
    """
    drawn = np.repeat(np.arange(len(count)), count)
    # Those whom no event can meet say nothing.
    drawn = drawn[time[drawn] >= time[drawn][event[drawn]].min()]
    bulk = np.diff(np.quantile(x[drawn], _BULK, axis=0), axis=0)[0]
    scale = np.where(bulk > 0, bulk, np.ptp(x[drawn], axis=0))
    model = PartialLikelihood.build(time[drawn], event[drawn], x[drawn] / scale, ties)
    try:
        beta, best, _ = fit_maximum(model, [str(k) for k in range(x.shape[1])])
    except NotEstimable:
        return None
    # Rounding moves the gradient of a large value by more than where `maximise` stops.
    gradient, information = model.derivatives(beta)
    left = np.linalg.lstsq(information, gradient, rcond=None)[0]
    return (beta / scale, best) if np.abs(left).max() < _ARRIVED * (1 + np.abs(beta).max()) else None


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
