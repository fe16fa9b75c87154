"""Cox models of two groups, many at a time, in one compiled call."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import chi2

from analysis.survival.outcome import check_alpha, check_index, equal_times

# No two times are closer, by this share of the largest, without a look at whether rounding parts them.
_CLOSE = 1e-7


def fit_two_groups(
    time,
    event,
    exposed,
    *,
    ties: str = "efron",
    penalty: str | None = None,
    alpha: float | None = None,
) -> pd.DataFrame:
    """Compare exposed with unexposed patients by a Cox model, in every row of `exposed`.

    Parameters
    ----------
    time, event : array-like, shape (n,) or (fits, n)
        Follow-up and 1 or True for an event, the same in every fit or each fit's own. A patient without a
        time is not in the fit, whatever the event.
    exposed : array-like, shape (fits, n)
        1 or True for an exposed patient, 0 or False for another, nan for who is not in the fit.
    ties : {"efron", "breslow"}
        Treatment of tied events under maximum likelihood. Under Firth they are Breslow's, as in `cox`.
    penalty : {None, "firth"}
        Firth's penalised likelihood is finite where the likelihood is monotone.
    alpha : float, optional
        One minus the confidence level of the profile limits; without it there are none.

    Returns
    -------
    DataFrame
        One row a fit:

        - coef: ln hazard ratio, exposed against others; infinite, with its sign, under a monotone likelihood;
        - z: signed root of the likelihood-ratio statistic (penalised under Firth), finite even then; its
          two-sided p is ``2 * scipy.stats.norm.sf(abs(z))``;
        - score_z: log-rank z with hypergeometric variance, positive where the exposed have more events than
          expected; 0 where the variance is;
        - n, events, n_exposed, events_exposed;
        - estimable: both groups are at risk together at an event. Else coef and limits are missing, z is 0;
        - monotone: of these events all are of exposed patients, or none; coef is finite under Firth alone;
        - lower, upper, given `alpha`: profile limits of ln HR, infinite where open.

    Raises
    ------
    ValueError
        If shapes do not fit, an event or an exposure is not 0 or 1, a time is negative or infinite, an event
        is missing in a patient with a time, or an option is unknown.

    See Also
    --------
    cox : one model, any covariates, checks for the reader.

    Notes
    -----
    Times equal up to rounding are ties, as in R. A fit of 45 patients takes about a microsecond; the code is
    compiled at first use, for some seconds, and kept as that of `cox_batch` is. Firth's estimate is the
    maximum uphill of no effect.

    References
    ----------
    Efron, J Am Stat Assoc 1977;72:557-65 (ties). Heinze and Schemper, Biometrics 2001;57:114-9 (Firth).

    Examples
    --------
    The exposed patient goes first of three, then the others are alone: likelihood HR / (HR + 2), monotone.

    >>> found = fit_two_groups([1, 2, 3], [1, 1, 0], [[1, 0, 0], [0, 1, 0]])
    >>> found["monotone"].tolist(), float(found["coef"][0])
    ([True, False], inf)
    """
    check_index(time=time, event=event)
    if ties not in ("efron", "breslow"):
        raise ValueError(f"ties must be 'efron' or 'breslow', found {ties!r}")
    if penalty not in (None, "firth"):
        raise ValueError(f"penalty must be None or 'firth', found {penalty!r}")
    exposed = _zero_or_one(exposed, "exposed")
    time, event = _outcome(time, event, exposed)
    quantile = np.nan if alpha is None else chi2.isf(check_alpha(alpha), 1)
    found, counts = _fit(time, event, exposed, ties == "efron" and penalty is None, penalty, quantile)
    informative, of_exposed = counts[:, 4], counts[:, 5]
    one_sided = (of_exposed == 0) | (of_exposed == informative)
    columns = {
        **dict(zip(["coef", "z", "score_z"], found.T, strict=False)),
        **dict(zip(["n", "events", "n_exposed", "events_exposed"], counts.T, strict=False)),
        "estimable": informative > 0,
        "monotone": (informative > 0) & one_sided,
    }
    limits = {} if alpha is None else {"lower": found[:, 3], "upper": found[:, 4]}
    return pd.DataFrame({**columns, **limits})


def _fit(time, event, exposed, efron, penalty, quantile) -> tuple[np.ndarray, np.ndarray]:
    from analysis.survival.two_group_kernel import fit_groups

    order = np.argsort(-time, axis=1, kind="stable")
    time, event = (np.take_along_axis(part, order, axis=1) for part in (time, event))
    found = np.full((len(exposed), 5), np.nan)
    found[:, 1] = 0.0
    counts = np.zeros((len(exposed), 6), dtype=np.int64)
    fit_groups(time, event, order, exposed, bool(efron), penalty == "firth", float(quantile), found, counts)
    return found, counts


def _outcome(time, event, exposed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return times, ties mended, and events as tables of one row, or of one a fit."""
    time, event = np.asarray(time, dtype=float), _zero_or_one(event, "event", dimensions=(1, 2))
    if time.shape != event.shape or time.shape not in (exposed.shape, exposed.shape[1:]):
        raise ValueError(
            "time and event must be as long as a row of exposed, or of its shape: "
            f"{time.shape}, {event.shape} and {exposed.shape}"
        )
    if np.isinf(time).any() or (time < 0).any():
        raise ValueError(f"{int((np.isinf(time) | (time < 0)).sum())} times are infinite or negative")
    lacking = int((np.isnan(event) & ~np.isnan(time)).sum())
    if lacking:
        raise ValueError(f"{lacking} events are missing though there is a time: who is not in a fit has none")
    time = np.array(np.atleast_2d(time))
    for row in np.flatnonzero(_nearly_tied(time)):
        known = ~np.isnan(time[row])
        time[row, known] = equal_times(time[row, known])[0]
    return time, np.atleast_2d(event)


def _nearly_tied(time: np.ndarray) -> np.ndarray:
    """Tell in which rows some times differ by so little that it may be rounding."""
    ordered = np.sort(time, axis=1)
    gaps = np.diff(ordered, axis=1)
    largest = np.fmax(np.fmax.reduce(ordered, axis=1, initial=0.0), 1.0)
    return ((gaps > 0) & (gaps <= _CLOSE * largest[:, None])).any(axis=1)


def _zero_or_one(values, name: str, dimensions: tuple[int, ...] = (2,)) -> np.ndarray:
    # Of one kind whatever is given: the kernel would be compiled again for an array that is read-only.
    found = np.require(values, float, ["C", "W"])
    if found.ndim not in dimensions:
        wanted = " or ".join(f"{count}-dimensional" for count in dimensions)
        raise ValueError(f"{name} must be {wanted}, found shape {found.shape}")
    wrong = ~((found == 0) | (found == 1) | np.isnan(found))
    if wrong.any():
        raise ValueError(f"{name} must be 1, 0 or missing; found {found[wrong][:3].tolist()}")
    return found
