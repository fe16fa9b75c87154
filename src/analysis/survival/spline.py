"""A continuous score against survival: restricted cubic spline, test of non-linearity, curve with limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm

from analysis import plan
from analysis.survival.cox_data import CoxData, check_information, read_cox_data
from analysis.survival.outcome import NotEstimable
from analysis.survival.partial_likelihood import fit_maximum


def restricted_cubic_spline(x, knots) -> np.ndarray:
    """Compute Harrell's basis of a restricted cubic spline: linear before the first and after the last knot.

    Parameters
    ----------
    x : array-like, shape (n,)
        Values.
    knots : array-like, shape (k,)
        Knots, three or more, rising.

    Returns
    -------
    ndarray, shape (n, k - 1)
        x itself, then k - 2 cubic terms divided by the squared distance of the outer knots, as
        ``Hmisc::rcspline.eval(x, knots, inclx = TRUE, norm = 2)``.

    Raises
    ------
    ValueError
        For values or knots that are missing, too few or not rising.

    References
    ----------
    Harrell, Regression Modeling Strategies, 2nd edition, section 2.4.5.

    Examples
    --------
    >>> restricted_cubic_spline([0, 1, 3], knots=[0, 1, 2])[:, 1].tolist()
    [0.0, 0.25, 3.0]
    """
    x, knots = np.asarray(x, dtype=float), np.asarray(knots, dtype=float)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise ValueError(
            f"x must be one-dimensional with none missing: shape {x.shape}, {(~np.isfinite(x)).sum()} missing"
        )
    if knots.ndim != 1 or len(knots) < 3 or not np.isfinite(knots).all() or not (np.diff(knots) > 0).all():
        raise ValueError(f"three or more rising knots are needed, found {knots.tolist()!r}")
    first, before_last, last = knots[0], knots[-2], knots[-1]
    cubes = np.maximum(x[:, None] - knots[None, :], 0) ** 3 / (last - first) ** 2
    inner, lower, upper = cubes[:, :-2], cubes[:, [-2]], cubes[:, [-1]]
    gap = last - before_last
    terms = inner - lower * (last - knots[:-2]) / gap + upper * (before_last - knots[:-2]) / gap
    return np.column_stack([x, terms])


@dataclass(frozen=True)
class SplineFit:
    """Cox model of a restricted cubic spline, with the linear model beside it.

    Attributes
    ----------
    knots : ndarray, shape (k,)
        Knots on the scale of the score.
    coef : ndarray, shape (k - 1,)
        Coefficients of the basis.
    covariance : ndarray, shape (k - 1, k - 1)
        Inverse of the observed information.
    loglik, loglik_linear, loglik_null : float
        Partial log-likelihoods.
    n, events : int
        Patients and events.
    """

    knots: np.ndarray
    coef: np.ndarray
    covariance: np.ndarray
    loglik: float
    loglik_linear: float
    loglik_null: float
    n: int
    events: int

    def tests(self) -> pd.DataFrame:
        """Return likelihood-ratio tests.

        Returns
        -------
        DataFrame
            test (``"non-linearity"``: spline against line, ``"any association"``: spline against nothing),
            chi2, df, p.
        """
        df = len(self.coef)
        rows = [
            ("non-linearity", 2 * (self.loglik - self.loglik_linear), df - 1),
            ("any association", 2 * (self.loglik - self.loglik_null), df),
        ]
        table = pd.DataFrame(rows, columns=["test", "chi2", "df"])
        table["chi2"] = table["chi2"].clip(lower=0)
        return table.assign(p=chi2.sf(table["chi2"], table["df"]))

    def curve(self, at, reference: float, *, alpha: float = 0.05) -> pd.DataFrame:
        """Return the hazard ratio along the score against a reference value.

        Parameters
        ----------
        at : array-like
            Values of the score.
        reference : float
            Value with hazard ratio 1.
        alpha : float
            One minus the confidence level (Wald).

        Returns
        -------
        DataFrame
            x, estimate, lower, upper.
        """
        at = np.asarray(at, dtype=float)
        distance = restricted_cubic_spline(at, self.knots) - restricted_cubic_spline([reference], self.knots)
        centre = distance @ self.coef
        spread = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", distance, self.covariance, distance), 0))
        margin = norm.isf(alpha / 2) * spread
        with np.errstate(over="ignore"):
            found = {"estimate": centre, "lower": centre - margin, "upper": centre + margin}
            return pd.DataFrame({"x": at, **{name: np.exp(values) for name, values in found.items()}})


def fit_spline(time, event, score, *, quantiles=None, ties: str | None = None) -> SplineFit:
    """Fit a restricted cubic spline of a score by Cox regression (maximum likelihood), and the line.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    score : array-like
        One number a patient, none missing.
    quantiles : sequence of float, optional
        Where the knots lie, as quantiles of the score (R's type 7); the plan's ``survival.spline_knots`` by
        default.
    ties : {None, "efron", "breslow"}
        None takes the plan's.

    Returns
    -------
    SplineFit
        Its methods give tests and curve.

    Raises
    ------
    NotEstimable
        Without an event; if the score has no more distinct values than knots, or knots coincide; where
        maximum likelihood has no finite estimate.
    ValueError
        For malformed input, or fewer than three quantiles.
    """
    rules = plan.defaults().survival
    quantiles = rules.spline_knots if quantiles is None else quantiles
    ties = rules.ties_ml if ties is None else ties
    if len(quantiles) < 3 or not all(0 <= share <= 1 for share in quantiles):
        raise ValueError(f"three or more quantiles between 0 and 1 are needed, found {list(quantiles)!r}")
    line = read_cox_data(time, event, score)
    if line.x.shape[1] != 1:
        raise ValueError(f"one score is needed, found {line.x.shape[1]} columns")
    check_information(line)
    x = line.x[:, 0]
    knots = np.quantile(x, sorted(quantiles))
    if len(np.unique(x)) <= len(knots) or not (np.diff(knots) > 1e-9 * np.ptp(x)).all():
        raise NotEstimable(
            f"{len(np.unique(x))} distinct values of the score in {len(x)} patients do not carry "
            f"{len(knots)} knots: read the linear effect, or change survival.spline_knots"
        )
    curved = replace(line, x=restricted_cubic_spline(x, knots), names=_names(len(knots)))
    coef, covariance, best, null = _maximum(curved, ties)
    return SplineFit(
        knots, coef, covariance, best, _maximum(line, ties)[2], null, len(x), int(line.event.sum())
    )


def _names(knots: int) -> list[str]:
    return ["score", *(f"score, spline term {k + 1}" for k in range(knots - 2))]


def _maximum(data: CoxData, ties: str) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return coefficients and covariance on the data's own scale, and both log-likelihoods."""
    check_information(data)
    model, scale = data.likelihood(data.scaled, ties), data.scale
    try:
        beta, best, information = fit_maximum(model, data.names)
    except NotEstimable as refusal:
        raise NotEstimable(
            f"{int(data.event.sum())} events do not carry a curve, read the linear effect: {refusal}"
        ) from refusal
    covariance = np.linalg.inv(information) / np.outer(scale, scale)
    return beta / scale, covariance, best, model.value(np.zeros(len(scale)))
