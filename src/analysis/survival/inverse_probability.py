"""Probability of being evaluable, by logistic regression: what inverse-probability weights are made of."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from analysis.survival.outcome import NotEstimable


def evaluable_probability(
    evaluable, covariates: pd.DataFrame, *, penalised: bool = False
) -> tuple[np.ndarray, bool]:
    """Estimate each patient's probability of being evaluable by logistic regression.

    Parameters
    ----------
    evaluable : array-like
        True for an evaluable early scan.
    covariates : DataFrame
        Numbers, none missing; a column that does not vary says nothing and is passed over.
    penalised : bool
        Use Firth's penalty; it is also used where maximum likelihood has no finite estimate. The intercept is
        then found again without it, so that the probabilities add up to the number observed.

    Returns
    -------
    probability : ndarray
        Between 0 and 1, one a patient.
    penalised : bool
        Whether the penalty was used.

    Raises
    ------
    NotEstimable
        If all or none are evaluable, or the covariates are collinear.

    References
    ----------
    Firth, Biometrika 1993;80:27-38. Puhr et al., Stat Med 2017;36:2302-17 (the intercept).
    """
    y, x = np.asarray(evaluable, dtype=bool), covariates.to_numpy(dtype=float)
    if not 0 < y.sum() < len(y):
        raise NotEstimable(f"{int(y.sum())} of {len(y)} patients are evaluable: there is nothing to model")
    x = x[:, np.ptp(x, axis=0) > 0]
    if not x.shape[1]:
        return np.full(len(y), y.mean()), penalised
    x = (x - x.mean(axis=0)) / np.ptp(x, axis=0)
    if np.linalg.matrix_rank(np.column_stack([np.ones(len(y)), x])) < x.shape[1] + 1:
        raise NotEstimable(f"covariates {list(covariates.columns)} are collinear in these {len(y)} patients")
    penalised = penalised or _is_separated(y, x)
    score = x @ (_firth_slopes(y, x) if penalised else _maximum_likelihood_slopes(y, x))
    reach = np.abs(score).max() + np.log(len(y)) + 1
    intercept = brentq(lambda a: expit(a + score).sum() - y.sum(), -reach, reach, xtol=1e-13)
    return expit(intercept + score), penalised


def _is_separated(y: np.ndarray, x: np.ndarray) -> bool:
    """Tell whether maximum likelihood runs off to infinity (linear programme of Konis)."""
    from firthmodels import detect_separation

    return bool(detect_separation(x, y.astype(int)).separation)


def _maximum_likelihood_slopes(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    from statsmodels.discrete.discrete_model import Logit

    model = Logit(y.astype(float), np.column_stack([np.ones(len(y)), x]))
    return model.fit(disp=0, method="newton", tol=1e-12, maxiter=200).params[1:]


def _firth_slopes(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    from firthmodels import FirthLogisticRegression

    for tolerance in (1e-9, 1e-7, 1e-5):
        fit = FirthLogisticRegression(backend="numpy", gtol=tolerance, xtol=tolerance, max_iter=500)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what does not converge is tried again, and refused at the end
            try:
                fit.fit(x, y.astype(int))
            except np.linalg.LinAlgError:
                continue
        if fit.converged_:
            return fit.coef_
    raise NotEstimable("the penalised model of who is evaluable did not converge; name fewer covariates")
