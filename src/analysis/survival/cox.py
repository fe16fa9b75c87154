"""Cox regression: maximum likelihood (Efron or Breslow) and Firth, both with profile-likelihood limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from analysis import plan
from analysis.survival.cox_data import CoxData, check_information, read_cox_data
from analysis.survival.cox_firth import fit_firth
from analysis.survival.outcome import NotEstimable, check_alpha, check_index, check_time_event
from analysis.survival.partial_likelihood import PartialLikelihood, fit_maximum, maximise


def cox(
    time,
    event,
    covariates,
    *,
    ties: str | None = None,
    penalty: str | None = None,
    alpha: float = 0.05,
    strata=None,
    entry=None,
    weights=None,
    cluster=None,
) -> pd.DataFrame:
    """Fit a proportional hazards model; one row a covariate.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    covariates : DataFrame, Series or array
        Numbers or booleans, one row a patient; a category is coded by the caller. No missing values.
    ties : {None, "efron", "breslow"}
        None takes the plan's: Efron for maximum likelihood, Breslow for Firth (the only one it has, as
        coxphf).
    penalty : {None, "firth"}
        Firth's penalised likelihood stays finite under separation and is less biased with few events.
    alpha : float
        One minus the confidence level.
    strata : array-like, optional
        Baseline hazards differ by stratum (maximum likelihood only).
    entry : array-like, optional
        A row is at risk in (entry, time]: delayed entry, or a counting process with several rows a patient
        whose covariates change (maximum likelihood only).
    weights : array-like, optional
        Case weights above 0, as of inverse probabilities (maximum likelihood only). The standard error is
        then the robust one, as R's ``coxph(weights =, robust = TRUE)``.
    cluster : array-like, optional
        Label of what is independent (maximum likelihood only); rows by default. Asks for the robust standard
        error, grouped. A counting process without it has the model's own error and profile limits, which are
        right: the rows of a patient do not overlap.

    Returns
    -------
    DataFrame
        term, estimate (hazard ratio per unit), lower, upper, coef, se, p, p_wald, loglik, loglik_null
        (penalised under Firth), n (clusters if given, else rows), events (rows), ties, estimator (``"ML"`` or
        ``"FIRTH"``), interval. Where interval is ``"profile"``, limits are of the profile likelihood, p is of
        the likelihood ratio, so that it agrees with them, and se is the model's. Where it is ``"wald"``
        (weights or cluster), se is robust, and limits, p and p_wald come from it: a weighted likelihood is
        not a likelihood of the data.

    Raises
    ------
    NotEstimable
        Without an event; with a covariate that does not vary (one group empty); with collinear covariates;
        under maximum likelihood with separation, where no finite estimate exists: use ``penalty="firth"``;
        with too few clusters for a robust error.
    ValueError
        For malformed input, an unknown option, or Series and frames whose indexes differ: rows are taken by
        position.

    Notes
    -----
    Times that differ by rounding only are ties, as in R (`survival.outcome.equal_times`).

    References
    ----------
    Efron, JASA 1977;72:557-65. Heinze and Schemper, Biometrics 2001;57:114-9. Lin and Wei, JASA
    1989;84:1074-8 (robust error).
    """
    data = read_cox_data(
        time, event, covariates, strata=strata, entry=entry, weights=weights, cluster=cluster
    )
    check_information(data)
    rules = plan.defaults().survival
    if penalty is None:
        ties = rules.ties_ml if ties is None else ties
        found = _fit_ml(data, ties, check_alpha(alpha))
    elif penalty == "firth":
        ties = rules.ties_firth if ties is None else ties
        if ties != "breslow" or any(part is not None for part in (strata, entry, weights, cluster)):
            raise ValueError("penalty='firth' has Breslow ties and no strata, entry, weights or cluster")
        found = fit_firth(data, check_alpha(alpha))
    else:
        raise ValueError(f"penalty must be None or 'firth', found {penalty!r}")
    estimator = "ML" if penalty is None else "FIRTH"
    interval = "profile" if weights is None and cluster is None else "wald"
    table = pd.DataFrame({"term": data.names, **found, "n": data.patients, "events": int(data.event.sum())})
    return table.assign(ties=ties, estimator=estimator, interval=interval)


def partial_log_likelihood(time, event, score, *, ties: str = "efron") -> tuple[float, float]:
    """Compute the partial log-likelihood at its maximum and at no effect, for one covariate.

    Under separation the maximum is a limit that the iteration approaches; it is finite and is returned. A
    score that does not vary gives the null value twice. Made for comparing scores on the same patients and
    for resampling; for an estimate use `cox`.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    score : array-like
        One number a patient.
    ties : {"efron", "breslow"}
        Treatment of tied events.

    Returns
    -------
    tuple of float
        Maximised and null partial log-likelihood.
    """
    check_index(time=time, event=event, score=score)
    time, event = check_time_event(time, event)
    x = np.asarray(score, dtype=float).reshape(-1, 1)
    spread = np.ptp(x)
    model = PartialLikelihood.build(time, event, (x - x.mean()) / (spread or 1.0), ties)
    null = model.value(np.zeros(1))
    if spread == 0 or not event.any():
        return null, null
    return float(maximise(model, np.zeros(1), np.array([True]))[1]), null


def _fit_ml(data: CoxData, ties: str, alpha: float) -> dict[str, np.ndarray]:
    model, scale = data.likelihood(data.scaled, ties), data.scale
    null = model.value(np.zeros(len(scale)))
    beta, best, information = fit_maximum(model, data.names)
    inverse = np.linalg.inv(information)
    if data.weights is None and data.cluster is None:
        se = np.sqrt(np.diag(inverse))
        limits, p = _profile(model, beta, se, best, alpha)
    else:
        se = _robust_error(model, beta, inverse, data.cluster, data.names)
        limits = beta[:, None] + norm.ppf(1 - alpha / 2) * np.outer(se, [-1, 1])
        p = 2 * norm.sf(np.abs(beta / se))
    # A limit too large for a number is infinite.
    with np.errstate(over="ignore"):
        ratios = np.exp(np.column_stack([beta, limits]) / scale[:, None])
    return {
        "estimate": ratios[:, 0],
        "lower": ratios[:, 1],
        "upper": ratios[:, 2],
        "coef": beta / scale,
        "se": se / scale,
        "p": p,
        "p_wald": 2 * norm.sf(np.abs(beta / se)),
        "loglik": np.full(len(beta), best),
        "loglik_null": np.full(len(beta), null),
    }


def _robust_error(model: PartialLikelihood, beta, inverse, cluster, names) -> np.ndarray:
    """Return the sandwich error: the spread over clusters of what leaving one out changes, to first order."""
    change = model.cases[:, None] * model.score_residuals(beta) @ inverse
    if cluster is not None:
        codes = np.unique(cluster, return_inverse=True)[1]
        grouped = np.zeros((codes.max() + 1, change.shape[1]))
        np.add.at(grouped, codes, change)
        change = grouped
    if len(change) <= len(names):
        raise NotEstimable(
            f"{len(change)} clusters cannot give a robust error for {len(names)} covariates; drop cluster"
        )
    return np.sqrt((change**2).sum(axis=0))


def _profile(model: PartialLikelihood, beta, se, best: float, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return profile-likelihood limits, and p of the likelihood ratio, by coefficient."""
    quantile = chi2.ppf(1 - alpha, 1)

    def drop(index: int, at: float) -> float:
        """Return twice what the log-likelihood loses with one coefficient fixed, the others at their best."""
        free = np.ones(len(beta), dtype=bool)
        free[index] = False
        start = beta.copy()
        start[index] = at
        return 2 * (best - maximise(model, start, free)[1])

    limits = np.array(
        [
            [_limit(lambda at, j=j: drop(j, at) - quantile, beta[j], side * se[j]) for side in (-1, 1)]
            for j in range(len(beta))
        ]
    )
    return limits, chi2.sf(np.maximum([drop(j, 0.0) for j in range(len(beta))], 0), 1)


def _limit(excess, at: float, step: float) -> float:
    """Find where twice the drop of the profile likelihood equals the chi-square quantile."""
    outer = at + step
    while excess(outer) < 0:
        step *= 2
        outer = at + step
        if abs(step) > 1e4:
            return float(np.copysign(np.inf, step))
    return float(brentq(excess, *sorted((at, outer)), xtol=1e-11, rtol=1e-14))
