"""Partial likelihood of Cox: value, score, information, residuals, and its maximum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from analysis.survival.outcome import NotEstimable, check_groups

# Numerical guards, none of them an analysis choice. Covariates are scaled to a range of 1 before fitting,
# so a difference of 8 between two patients is a hazard ratio of 3000. Beyond it, or with a standard error of
# 10 in some direction, separation is looked for: exactly, by a linear programme.
_SUSPICIOUS, _LARGE_ERROR = 8.0, 10.0
_GRADIENT = 1e-10
_MAX_STEP = 5.0  # at first; it doubles whenever it is taken in full
_MAX_ITERATIONS = 200
# A fall of the log-likelihood by less, of its size, is rounding: near the maximum the gradient decides.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class PartialLikelihood:
    """Partial likelihood of fixed data, by event (in the order of the rows) and row.

    Attributes
    ----------
    weights : ndarray, shape (events, rows)
        Share of each row in the denominator of each event: its case weight while it is at risk, less what
        Efron takes off within a tie.
    x : ndarray, shape (rows, covariates)
        Covariates.
    at : ndarray, shape (events,)
        Rows that have the events.
    tie : ndarray, shape (events,)
        Which tie an event belongs to: 0, 1, ... by stratum and time.
    cases : ndarray, shape (rows,)
        Case weights.
    event_weights : ndarray, shape (events,)
        Weight of each event's denominator: the mean case weight of its tie, as R's coxph.
    """

    weights: np.ndarray
    x: np.ndarray
    at: np.ndarray
    tie: np.ndarray
    cases: np.ndarray
    event_weights: np.ndarray

    @classmethod
    def build(cls, time, event, x, ties: str, *, strata=None, entry=None, weights=None) -> PartialLikelihood:
        """Lay the data out.

        Parameters
        ----------
        time, event : ndarray
            Checked follow-up (end of the interval) and events.
        x : ndarray, shape (rows, covariates)
            Covariates, best on a range of about 1.
        ties : {"efron", "breslow"}
            Treatment of tied events.
        strata : ndarray, optional
            One label a row.
        entry : ndarray, optional
            A row is at risk in (entry, time].
        weights : ndarray, optional
            Case weights.

        Returns
        -------
        PartialLikelihood
            Ready to be evaluated.

        Raises
        ------
        ValueError
            For an unknown treatment of ties.
        """
        if ties not in {"efron", "breslow"}:
            raise ValueError(f"ties must be 'efron' or 'breslow', found {ties!r}")
        blocks = np.unique(check_groups(strata, len(time))[0], return_inverse=True)[1]
        at = np.flatnonzero(event)
        ending = time[at][:, None]
        same = blocks[at][:, None] == blocks[None, :]
        shares = (same & (time[None, :] >= ending)).astype(float)
        if entry is not None:
            shares *= entry[None, :] < ending
        tied = same & event[None, :] & (time[None, :] == ending)
        if ties == "efron":
            # The l-th of d tied events counts the d patients of the tie at 1 - l/d, l = 0 .. d-1.
            order = np.tril(tied[:, at], -1).sum(axis=1).astype(float)
            shares -= (order / tied.sum(axis=1))[:, None] * tied
        cases = np.ones(len(time)) if weights is None else weights
        # A tie is known by the first event of it.
        tie = np.unique(np.argmax(tied[:, at], axis=1), return_inverse=True)[1] if len(at) else at
        if weights is None:
            return cls(shares, x, at, tie, cases, np.ones(len(at)))
        return cls(shares * weights[None, :], x, at, tie, weights, _mean_by(tie, weights[at]))

    def mean_of_tie(self, values: np.ndarray) -> np.ndarray:
        """Return for each event the mean of `values` over the events of its tie.

        Parameters
        ----------
        values : ndarray, shape (events, ...)
            One entry an event.

        Returns
        -------
        ndarray
            Of the same shape.
        """
        return _mean_by(self.tie, values)

    def value(self, beta: np.ndarray) -> float:
        """Return the log-likelihood.

        Parameters
        ----------
        beta : ndarray, shape (covariates,)
            Coefficients.

        Returns
        -------
        float
            Log of the partial likelihood.
        """
        risk, peak = self._risk(beta)
        observed = self.cases[self.at] * (self.x[self.at] @ beta)
        return float(np.sum(observed - self.event_weights * (peak + np.log(risk.sum(axis=1)))))

    def shares(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return who an event expects: the probability of each row, and the mean covariates.

        Parameters
        ----------
        beta : ndarray, shape (covariates,)
            Coefficients.

        Returns
        -------
        tuple of ndarray
            Probabilities (events, rows) that sum to 1 by event, and means (events, covariates).
        """
        risk, _ = self._risk(beta)
        share = risk / risk.sum(axis=1, keepdims=True)
        return share, share @ self.x

    def derivatives(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the score and the observed information.

        Parameters
        ----------
        beta : ndarray, shape (covariates,)
            Coefficients.

        Returns
        -------
        tuple of ndarray
            First derivative, and the negative of the second.
        """
        share, means = self.shares(beta)
        weight = self.event_weights
        spread = self.x.T @ ((weight @ share)[:, None] * self.x)
        information = spread - means.T @ (weight[:, None] * means)
        return self.cases[self.at] @ self.x[self.at] - weight @ means, information

    def hazards(self, beta: np.ndarray) -> np.ndarray:
        """Return the hazard that each event puts on each row (a case of weight 1).

        Parameters
        ----------
        beta : ndarray, shape (covariates,)
            Coefficients.

        Returns
        -------
        ndarray, shape (events, rows)
            Increments; a row's sum is its expected number of events.
        """
        return self.event_weights[:, None] * self.shares(beta)[0] / self.cases[None, :]

    def score_residuals(self, beta: np.ndarray) -> np.ndarray:
        """Return what each row (as a case of weight 1) adds to the score, its share in the means included.

        Parameters
        ----------
        beta : ndarray, shape (covariates,)
            Coefficients.

        Returns
        -------
        ndarray, shape (rows, covariates)
            As R's ``residuals(type = "score")``; weighted, they sum to the score.
        """
        hazards, means = self.hazards(beta), self.shares(beta)[1]
        residuals = hazards.T @ means - hazards.sum(axis=0)[:, None] * self.x
        residuals[self.at] += self.x[self.at] - self.mean_of_tie(means)
        return residuals

    def _risk(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weighted risks relative to the largest of each risk set: nothing under- or overflows."""
        linear = np.where(self.weights > 0, (self.x @ beta)[None, :], -np.inf)
        peak = linear.max(axis=1)
        return self.weights * np.exp(linear - peak[:, None]), peak


def _mean_by(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    total = np.zeros((group.max(initial=-1) + 1, *values.shape[1:]))
    np.add.at(total, group, values)
    size = np.bincount(group, minlength=len(total)).reshape(-1, *[1] * (values.ndim - 1))
    return (total / size)[group]


def maximise(model: PartialLikelihood, start: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
    """Maximise over the free coefficients by Newton's method with step halving.

    Parameters
    ----------
    model : PartialLikelihood
        Covariates on a range of about 1.
    start : ndarray, shape (covariates,)
        First coefficients; those not free stay.
    free : ndarray of bool, shape (covariates,)
        True for a coefficient that is sought.

    Returns
    -------
    tuple
        Coefficients, and the log-likelihood there. Under separation coefficients grow until the
        log-likelihood no longer does.
    """
    beta, best, longest = start.copy(), model.value(start), _MAX_STEP
    for _ in range(_MAX_ITERATIONS if free.any() else 0):
        gradient, information = model.derivatives(beta)
        if np.max(np.abs(gradient[free])) < _GRADIENT:
            break
        step = np.zeros_like(beta)
        step[free] = np.linalg.lstsq(information[np.ix_(free, free)], gradient[free], rcond=None)[0]
        length = np.abs(step).max()
        step *= longest / max(length, longest)
        size, slack = 1.0, _ROUNDING * (1 + abs(best))
        while (value := model.value(beta + size * step)) < best - slack and size > 1e-8:
            size /= 2
        if value < best - slack:
            break
        beta, best = beta + size * step, value
        longest *= 2.0 if size == 1 and length > longest else 1.0
        if np.max(np.abs(size * step)) < _ROUNDING:
            break
    return beta, best


def fit_maximum(model: PartialLikelihood, names: list[str]) -> tuple[np.ndarray, float, np.ndarray]:
    """Find the maximum, or refuse where there is none.

    Parameters
    ----------
    model : PartialLikelihood
        Covariates on a range of about 1.
    names : list of str
        Covariates, for the refusal.

    Returns
    -------
    tuple
        Coefficients, log-likelihood, observed information.

    Raises
    ------
    NotEstimable
        Under separation, or where the information is singular.
    """
    beta, best = maximise(model, np.zeros(len(names)), np.ones(len(names), dtype=bool))
    information = model.derivatives(beta)[1]
    far = max(np.abs(beta).max(), np.ptp(model.x @ beta)) > _SUSPICIOUS
    if far or np.linalg.eigvalsh(information)[0] < _LARGE_ERROR**-2 or np.linalg.cond(information) > 1e12:
        _refuse_separation(model, names)
    if not np.linalg.cond(information) < 1e15:
        raise NotEstimable(f"the information on {names} is singular at the maximum; use penalty='firth'")
    return beta, best, information


def _refuse_separation(model: PartialLikelihood, names: list[str]) -> None:
    """Refuse if some combination of covariates is, at each event, largest in the patient who has it."""
    at_risk = model.weights > 0
    differences = np.concatenate(
        [x_i - model.x[row] for x_i, row in zip(model.x[model.at], at_risk, strict=True)]
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
