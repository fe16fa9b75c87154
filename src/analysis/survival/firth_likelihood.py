"""Firth's penalised partial likelihood (Breslow ties): value, score, maxima, and where a profile falls.

A penalised likelihood can have several maxima, with a skewed covariate above all; nothing here assumes one.

References
----------
Heinze and Schemper, Biometrics 2001;57:114-9 (likelihood and score).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Coefficients at which one covariate is looked at: steps of 0.3 near 0, of 15 % far out, up to 400.
GRID = 2 * np.sinh(np.linspace(-6, 6, 81))
# Numerical guards, none of them an analysis choice; covariates are on a range of 1.
_SMALL_SCORE = 1e-6
_LONGEST_STEP = 5.0
_ITERATIONS = 200
# Running sums keep ten digits of the information up to these; beyond, the sums are taken about their means.
_WIDEST_RANGE, _LARGEST_VARIANCE = 300.0, 1e4
# A fall of the log-likelihood by less, of its size, is rounding.
_ROUNDING = 1e-13
# Less information than this is rounding in `scan`: the likelihood there lies far below its maximum.
_LEAST_INFORMATION = 1e-15


@dataclass(frozen=True)
class FirthLikelihood:
    """Penalised partial likelihood of fixed data, by event time and row (latest time first).

    Attributes
    ----------
    x : ndarray, shape (rows, covariates)
        Covariates on a range of about 1.
    last : ndarray, shape (times,)
        The last row at risk at each time of an event; all rows before it are at risk too.
    deaths : ndarray, shape (times,)
        Events at each time.
    observed : ndarray, shape (covariates,)
        Sum of the covariates over the events.
    """

    x: np.ndarray
    last: np.ndarray
    deaths: np.ndarray
    observed: np.ndarray

    @classmethod
    def build(cls, time: np.ndarray, event: np.ndarray, x: np.ndarray) -> FirthLikelihood:
        """Lay the data out.

        Parameters
        ----------
        time, event : ndarray, shape (rows,)
            Checked follow-up, and True for an event.
        x : ndarray, shape (rows, covariates)
            Covariates on a range of about 1.

        Returns
        -------
        FirthLikelihood
            Ready to be evaluated.
        """
        order = np.argsort(-time, kind="stable")
        times, deaths = np.unique(time[event], return_counts=True)
        last = np.searchsorted(-time[order], -times, side="right") - 1
        return cls(x[order], last, deaths.astype(float), x[event].sum(axis=0))

    def derivatives(self, beta: np.ndarray, penalty: float = 0.5) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the penalised log-likelihood, its score, and the information without the penalty.

        Parameters
        ----------
        beta : ndarray, shape (covariates,)
            Coefficients.
        penalty : float
            What the logarithm of the determinant counts; 0 is maximum likelihood.

        Returns
        -------
        tuple
            Value (minus infinity where no information is left, the score then 0), score (covariates,) and
            information (covariates, covariates).
        """
        line = self.x @ beta
        peak = line.max()
        if peak - line.min() < _WIDEST_RANGE:
            found = self._sum_by_row(beta, np.exp(line - peak), peak, penalty)
            if found is not None:
                return found
        return self._sum_about_means(beta, line, penalty)

    def _sum_by_row(self, beta, weight, peak, penalty) -> tuple[float, np.ndarray, np.ndarray] | None:
        """Evaluate by running sums, in proportion to the rows; None where their differences are rounding."""
        x, last, deaths = self.x, self.last, self.deaths
        total = np.cumsum(weight)[last]
        weighted = weight[:, None] * x
        means = np.cumsum(weighted, axis=0)[last] / total[:, None]
        squares = np.cumsum(weighted[:, :, None] * x[:, None, :], axis=0)[last] / total[:, None, None]
        spread = squares - means[:, :, None] * means[:, None, :]
        information = np.tensordot(deaths, spread, 1)
        try:
            inverse = np.linalg.inv(information)
        except np.linalg.LinAlgError:
            return None
        diagonal = inverse.diagonal()
        if not (diagonal > 0).all() or diagonal.max() > _LARGEST_VARIANCE:
            return None
        size = np.linalg.slogdet(information)[1]
        value = self.observed @ beta - deaths @ np.log(total) - deaths.sum() * peak + penalty * size
        hat = ((x @ inverse) * x).sum(axis=1)
        third = np.cumsum(weighted * hat[:, None], axis=0)[last] / total[:, None]
        third -= (np.cumsum(weight * hat)[last] / total)[:, None] * means
        third -= 2 * (spread @ (means @ inverse)[:, :, None])[:, :, 0]
        return float(value), self.observed + deaths @ (penalty * third - means), information

    def _sum_about_means(self, beta, line, penalty) -> tuple[float, np.ndarray, np.ndarray]:
        """Evaluate about the mean of each time: exact where one row has nearly all the weight."""
        at_risk = np.arange(len(line)) <= self.last[:, None]
        line = np.where(at_risk, line, -np.inf)
        peak = line.max(axis=1)
        share = np.exp(line - peak[:, None])
        total = share.sum(axis=1)
        share /= total[:, None]
        means = share @ self.x
        centred = (self.x[None, :, :] - means[:, None, :]).reshape(-1, len(beta))
        weighted = (self.deaths[:, None] * share).reshape(-1, 1) * centred
        information = weighted.T @ centred
        sign, size = np.linalg.slogdet(information)
        value = self.observed @ beta - self.deaths @ (peak + np.log(total)) + penalty * size
        if sign <= 0 or not np.isfinite(value):
            return -np.inf, np.zeros(len(beta)), information
        hat = ((centred @ np.linalg.inv(information)) * centred).sum(axis=1)
        return float(value), self.observed - self.deaths @ means + penalty * (weighted.T @ hat), information

    def value(self, beta: np.ndarray) -> float:
        """Return the penalised log-likelihood; minus infinity where no information is left.

        Parameters
        ----------
        beta : ndarray, shape (covariates,)
            Coefficients.

        Returns
        -------
        float
            As `derivatives` gives it.
        """
        return self.derivatives(beta)[0]

    @cached_property
    def scan(self) -> np.ndarray:
        """Return the penalised log-likelihood of one covariate at each coefficient of `GRID`.

        To about ten digits where it is near its maximum, fewer far out.
        """
        x = self.x[:, 0]
        line = GRID[:, None] * x
        peak = line.max(axis=1)
        weight = np.exp(line - peak[:, None])
        with np.errstate(all="ignore"):
            total = np.cumsum(weight, axis=1)[:, self.last]
            weight *= x
            first = np.cumsum(weight, axis=1)[:, self.last] / total
            weight *= x
            second = np.cumsum(weight, axis=1)[:, self.last] / total
            information = (second - first * first) @ self.deaths
            logs = np.log(total) @ self.deaths + peak * self.deaths.sum()
            values = (
                GRID * self.observed[0] - logs + 0.5 * np.log(np.maximum(information, _LEAST_INFORMATION))
            )
        # Far out no weight may be left of those at risk early.
        return np.where(np.isfinite(values), values, -np.inf)

    def climb(
        self, start: np.ndarray, free: np.ndarray, *, tolerance: float = 1e-9, penalty: float = 0.5
    ) -> tuple[np.ndarray, float, np.ndarray, bool]:
        """Climb to a maximum over the free coefficients, by scoring with step halving.

        Parameters
        ----------
        start : ndarray, shape (covariates,)
            First coefficients; those not free stay.
        free : ndarray of bool, shape (covariates,)
            True for a coefficient that is sought.
        tolerance : float
            Largest score at which it stops; the value is off by about its square.
        penalty : float
            As in `derivatives`.

        Returns
        -------
        tuple
            Coefficients, value and score there, and whether it is a maximum (to rounding).
        """
        beta, (best, score, information) = start.copy(), self.derivatives(start, penalty)
        block = np.ix_(free, free)
        for _ in range(_ITERATIONS if np.isfinite(best) and free.any() else 0):
            if np.abs(score[free]).max() < tolerance:
                break
            step = np.zeros_like(beta)
            try:
                step[free] = np.linalg.solve(information[block], score[free])
            except np.linalg.LinAlgError:
                break
            step *= _LONGEST_STEP / max(np.abs(step).max(), _LONGEST_STEP)
            size, slack = 1.0, _ROUNDING * (1 + abs(best))
            while (found := self.derivatives(beta + size * step, penalty))[0] < best - slack and size > 1e-8:
                size /= 2
            if found[0] < best - slack:
                break
            beta, (best, score, information) = beta + size * step, found
        # A score that rounding keeps from the tolerance is a maximum all the same.
        done = not free.any() or bool(np.abs(score[free]).max() < max(tolerance, _SMALL_SCORE))
        return beta, best, score, bool(np.isfinite(best)) and done
