"""Cox regression: maximum likelihood (Efron or Breslow) and Firth, both with profile-likelihood limits."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq, linprog
from scipy.stats import chi2, norm

from analysis import plan
from analysis.survival.outcome import NotEstimable, check_groups, check_time_event

# Numerical guards, none of them an analysis choice. Covariates are scaled to a range of 1 before fitting,
# so a coefficient of 8 is a hazard ratio of 3000 across the range: only then is separation looked for.
_SUSPICIOUS = 8.0
_GRADIENT = 1e-10
_MAX_STEP = 5.0
_MAX_ITERATIONS = 200


def cox(
    time,
    event,
    covariates,
    *,
    ties: str | None = None,
    penalty: str | None = None,
    alpha: float = 0.05,
    strata=None,
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

    Returns
    -------
    DataFrame
        term, estimate (hazard ratio per unit), lower, upper (profile likelihood), coef, se (Wald), p
        (likelihood ratio, so that it agrees with the limits), p_wald, loglik, loglik_null (penalised under
        Firth), n, events, ties, estimator (``"ML"`` or ``"FIRTH"``).

    Raises
    ------
    NotEstimable
        Without an event; with a covariate that does not vary (one group empty); with collinear covariates;
        under maximum likelihood with separation, where no finite estimate exists: use ``penalty="firth"``.
    ValueError
        For malformed input or an unknown option.

    References
    ----------
    Efron, JASA 1977;72:557-65. Heinze and Schemper, Biometrics 2001;57:114-9.
    """
    time, event = check_time_event(time, event)
    names, x = _design(covariates, len(time))
    if not event.any():
        raise NotEstimable(f"none of the {len(time)} patients has an event: no hazard ratio can be estimated")
    _check_information(time, event, names, x, strata)
    rules = plan.defaults().survival
    if penalty is None:
        ties = rules.ties_ml if ties is None else ties
        found = _fit_ml(time, event, names, x, ties, alpha, strata)
    elif penalty == "firth":
        ties = rules.ties_firth if ties is None else ties
        if ties != "breslow" or strata is not None:
            raise ValueError("penalty='firth' has Breslow ties and no strata")
        found = _fit_firth(time, event, x, alpha)
    else:
        raise ValueError(f"penalty must be None or 'firth', found {penalty!r}")
    estimator = "ML" if penalty is None else "FIRTH"
    table = pd.DataFrame({"term": names, **found, "n": len(time), "events": int(event.sum())})
    return table.assign(ties=ties, estimator=estimator)


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
    time, event = check_time_event(time, event)
    x = np.asarray(score, dtype=float).reshape(-1, 1)
    spread = np.ptp(x)
    model = _PartialLikelihood.build(time, event, (x - x.mean()) / (spread or 1.0), ties)
    null = model.value(np.zeros(1))
    if spread == 0 or not event.any():
        return null, null
    return float(_maximise(model, np.zeros(1), np.array([True]))[1]), null


@dataclass(frozen=True)
class _PartialLikelihood:
    """Partial likelihood of fixed data: weights[e, j] is patient j's share in the denominator of event e."""

    weights: np.ndarray
    x: np.ndarray
    x_events: np.ndarray

    @classmethod
    def build(cls, time, event, x, ties: str, strata=None) -> _PartialLikelihood:
        if ties not in {"efron", "breslow"}:
            raise ValueError(f"ties must be 'efron' or 'breslow', found {ties!r}")
        blocks, _ = check_groups(strata, len(time))
        at = np.flatnonzero(event)
        same = blocks[at][:, None] == blocks[None, :]
        weights = (same & (time[None, :] >= time[at][:, None])).astype(float)
        if ties == "efron":
            tied = same & event[None, :] & (time[None, :] == time[at][:, None])
            # The l-th of d tied events counts the d patients of the tie at 1 - l/d, l = 0 .. d-1.
            order = np.array([np.sum(tied[i, at[:i]]) for i in range(len(at))], dtype=float)
            weights -= (order / tied.sum(axis=1))[:, None] * tied
        return cls(weights, x, x[at])

    def value(self, beta: np.ndarray) -> float:
        """Return the log-likelihood."""
        risk, peak = self._risk(beta)
        return float(np.sum(self.x_events @ beta - peak - np.log(risk.sum(axis=1))))

    def derivatives(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the score and the observed information."""
        risk, _ = self._risk(beta)
        share = risk / risk.sum(axis=1, keepdims=True)
        means = share @ self.x
        information = self.x.T @ (share.sum(axis=0)[:, None] * self.x) - means.T @ means
        return self.x_events.sum(axis=0) - means.sum(axis=0), information

    def _risk(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weighted risks relative to the largest of each risk set: nothing under- or overflows."""
        linear = np.where(self.weights > 0, (self.x @ beta)[None, :], -np.inf)
        peak = linear.max(axis=1)
        return self.weights * np.exp(linear - peak[:, None]), peak


def _maximise(model: _PartialLikelihood, start: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
    """Maximise over the free coefficients by Newton's method with step halving."""
    beta, best = start.copy(), model.value(start)
    for _ in range(_MAX_ITERATIONS if free.any() else 0):
        gradient, information = model.derivatives(beta)
        if np.max(np.abs(gradient[free])) < _GRADIENT:
            break
        step = np.zeros_like(beta)
        step[free] = np.linalg.lstsq(information[np.ix_(free, free)], gradient[free], rcond=None)[0]
        step *= min(1.0, _MAX_STEP / max(np.abs(step).max(), _MAX_STEP))
        size = 1.0
        while (value := model.value(beta + size * step)) < best and size > 1e-8:
            size /= 2
        if value < best:
            break
        beta, best = beta + size * step, value
    return beta, best


def _fit_ml(time, event, names, x, ties: str, alpha: float, strata) -> dict[str, np.ndarray]:
    scale = np.ptp(x, axis=0)
    scaled = (x - x.mean(axis=0)) / scale
    model = _PartialLikelihood.build(time, event, scaled, ties, strata)
    everything = np.ones(x.shape[1], dtype=bool)
    null = model.value(np.zeros(x.shape[1]))
    beta, best = _maximise(model, np.zeros(x.shape[1]), everything)
    information = model.derivatives(beta)[1]
    if np.abs(beta).max() > _SUSPICIOUS or np.linalg.cond(information) > 1e12:
        _refuse_separation(model, names)
    if not np.linalg.cond(information) < 1e15:
        raise NotEstimable(f"the information on {names} is singular at the maximum; use penalty='firth'")
    se = np.sqrt(np.diag(np.linalg.inv(information)))

    def profile(index: int, at: float) -> float:
        free = everything.copy()
        free[index] = False
        start = beta.copy()
        start[index] = at
        return _maximise(model, start, free)[1]

    return _summarise(beta, se, best, null, profile, scale, alpha)


def _fit_firth(time, event, x, alpha: float) -> dict[str, np.ndarray]:
    scale = np.ptp(x, axis=0)
    scaled = (x - x.mean(axis=0)) / scale
    model = _PartialLikelihood.build(time, event, scaled, "breslow")
    null = _penalised(model, np.zeros(len(scale)))
    fit, limits = _converged_firth(scaled, (event, time), alpha)
    return {
        "estimate": _ratio(fit.coef_ / scale),
        "lower": _ratio(limits[:, 0] / scale),
        "upper": _ratio(limits[:, 1] / scale),
        "coef": fit.coef_ / scale,
        "se": fit.bse_ / scale,
        "p": fit.lrt_pvalues_,
        "p_wald": 2 * norm.sf(np.abs(fit.coef_ / fit.bse_)),
        # The penalty is half a log-determinant: undoing the scaling moves both values alike.
        "loglik": np.full(len(scale), fit.loglik_ + np.log(scale).sum()),
        "loglik_null": np.full(len(scale), null + np.log(scale).sum()),
    }


def _converged_firth(x: np.ndarray, outcome: tuple, alpha: float):
    """Fit at the tightest tolerance that is reached: rounding can stop the last step halving."""
    from firthmodels import FirthCoxPH

    for tolerance in (1e-8, 1e-7, 1e-6):
        fit = FirthCoxPH(backend="numpy", gtol=tolerance, xtol=tolerance, max_iter=_MAX_ITERATIONS)
        with warnings.catch_warnings():
            # What does not converge is tried again at the next tolerance, and refused after the last.
            warnings.simplefilter("ignore")
            fit.fit(x, outcome).lrt()
            limits = fit.conf_int(alpha, method="pl", tol=max(tolerance, 1e-8), max_iter=_MAX_ITERATIONS)
        if fit.converged_ and np.isfinite(limits).all() and np.isfinite(fit.lrt_pvalues_).all():
            return fit, limits
    raise NotEstimable("the Firth fit did not converge: fewer covariates, or a larger group, are needed")


def _ratio(coef: np.ndarray) -> np.ndarray:
    """Exponentiate; a limit too large for a number is infinite."""
    with np.errstate(over="ignore"):
        return np.exp(coef)


def _penalised(model: _PartialLikelihood, beta: np.ndarray) -> float:
    return model.value(beta) + 0.5 * np.linalg.slogdet(model.derivatives(beta)[1])[1]


def _summarise(
    beta, se, best, null, profile: Callable[[int, float], float], scale, alpha
) -> dict[str, np.ndarray]:
    quantile = chi2.ppf(1 - alpha, 1)
    limits = np.array(
        [
            [_limit(profile, j, beta[j], side * se[j], best, quantile) for side in (-1, 1)]
            for j in range(len(beta))
        ]
    )
    ratio = np.array([2 * (best - profile(j, 0.0)) for j in range(len(beta))])
    return {
        "estimate": _ratio(beta / scale),
        "lower": _ratio(limits[:, 0] / scale),
        "upper": _ratio(limits[:, 1] / scale),
        "coef": beta / scale,
        "se": se / scale,
        "p": chi2.sf(np.maximum(ratio, 0), 1),
        "p_wald": 2 * norm.sf(np.abs(beta / se)),
        "loglik": np.full(len(beta), best),
        "loglik_null": np.full(len(beta), null),
    }


def _limit(profile, index: int, at: float, step: float, best: float, quantile: float) -> float:
    """Find where twice the drop of the profile likelihood equals the chi-square quantile."""

    def excess(value: float) -> float:
        return 2 * (best - profile(index, value)) - quantile

    outer = at + step
    while excess(outer) < 0:
        step *= 2
        outer = at + step
        if abs(step) > 1e4:
            return float(np.copysign(np.inf, step))
    return float(brentq(excess, *sorted((at, outer)), xtol=1e-11, rtol=1e-14))


def _refuse_separation(model: _PartialLikelihood, names: list[str]) -> None:
    """Refuse if some combination of covariates is, at each event, largest in the patient who has it."""
    at_risk = model.weights > 0
    differences = np.concatenate(
        [x_i - model.x[row] for x_i, row in zip(model.x_events, at_risk, strict=True)]
    )
    differences = np.unique(differences.round(12), axis=0)
    found = linprog(
        -differences.sum(axis=0), A_ub=-differences, b_ub=np.zeros(len(differences)), bounds=(-1, 1)
    )
    if found.status == 0 and -found.fun > 1e-8:
        blame = [name for name, value in zip(names, found.x, strict=True) if abs(value) > 1e-8]
        raise NotEstimable(
            f"separation: {blame} order(s) the events completely, maximum likelihood has no finite estimate; "
            "use penalty='firth'"
        )


def _design(covariates, n: int) -> tuple[list[str], np.ndarray]:
    if isinstance(covariates, pd.Series):
        covariates = covariates.to_frame(covariates.name if covariates.name is not None else "x")
    if not isinstance(covariates, pd.DataFrame):
        values = np.asarray(covariates)
        values = values.reshape(-1, 1) if values.ndim == 1 else values
        names = ["x"] if values.shape[1] == 1 else [f"x{k + 1}" for k in range(values.shape[1])]
        covariates = pd.DataFrame(values, columns=names)
    if len(covariates) != n or covariates.shape[1] == 0:
        raise ValueError(f"covariates must have {n} rows and a column, found shape {covariates.shape}")
    for name, column in covariates.items():
        if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
            raise ValueError(f"covariate {name!r} is {column.dtype}: code it as numbers, the reference as 0")
    x = covariates.to_numpy(dtype=float, na_value=np.nan)
    if not np.isfinite(x).all():
        raise ValueError(
            f"{int((~np.isfinite(x)).any(axis=1).sum())} patients lack a covariate; leave them out by name"
        )
    return [str(name) for name in covariates.columns], x


def _check_information(time, event, names: list[str], x: np.ndarray, strata) -> None:
    """Refuse covariates about which these patients say nothing, whatever the estimator."""
    constant = [name for name, spread in zip(names, np.ptp(x, axis=0), strict=True) if spread == 0]
    if constant:
        raise NotEstimable(f"{constant} does not vary in these {len(x)} patients: one group is empty")
    scaled = (x - x.mean(axis=0)) / np.ptp(x, axis=0)
    if np.linalg.matrix_rank(scaled, tol=1e-9 * len(x)) < x.shape[1]:
        raise NotEstimable(f"covariates {names} are collinear in these {len(x)} patients; drop one")
    null = _PartialLikelihood.build(time, event, scaled, "breslow", strata).derivatives(np.zeros(x.shape[1]))[
        1
    ]
    if np.linalg.eigvalsh(null)[0] < 1e-12:
        raise NotEstimable(
            f"no event happens while patients who differ in {names} are at risk: nothing to compare"
        )
