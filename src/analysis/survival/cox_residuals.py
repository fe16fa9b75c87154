"""Looking at a Cox fit: Schoenfeld, martingale and deviance residuals, and each patient left out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import plan
from analysis.survival.cox_data import CoxData, check_information, read_cox_data
from analysis.survival.cox_firth import firth_coefficients
from analysis.survival.outcome import NotEstimable
from analysis.survival.partial_likelihood import fit_maximum


def schoenfeld_residuals(
    time, event, covariates, *, ties: str | None = None, strata=None, entry=None
) -> pd.DataFrame:
    """Compute Schoenfeld residuals of the maximum-likelihood fit: one row an event and covariate.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    covariates : DataFrame, Series or array
        As in `cox`.
    ties : {None, "efron", "breslow"}
        None takes the plan's for maximum likelihood.
    strata, entry : array-like, optional
        As in `cox`.

    Returns
    -------
    DataFrame
        row (position in the input), time, term, residual (the covariate of who had the event less its mean
        among those at risk; under Efron the mean over the tie), scaled (residual by the inverse information
        times the number of events, plus the coefficient: its smooth over time is the log hazard ratio at that
        time). By stratum, time, row and covariate. As R's ``residuals(fit, "schoenfeld")`` and
        ``"scaledsch"``.

    Raises
    ------
    NotEstimable
        Where the Cox model is not estimable; see `cox`.
    ValueError
        For malformed input.

    References
    ----------
    Schoenfeld, Biometrika 1982;69:239-41. Grambsch and Therneau, Biometrika 1994;81:515-26.
    """
    data, model, beta, information = _fitted(time, event, covariates, ties, strata, entry)
    plain = model.x[model.at] - model.mean_of_tie(model.shares(beta)[1])
    scaled = plain @ np.linalg.inv(information) * len(model.at) + beta
    order = model.at
    within = np.zeros(len(order)) if data.strata is None else np.unique(data.strata, return_inverse=True)[1]
    within = within if data.strata is None else within[order]
    turn = np.lexsort((order, data.time[order], within))
    size = len(data.names)
    return pd.DataFrame(
        {
            "row": np.repeat(order[turn], size),
            "time": np.repeat(data.time[order[turn]], size),
            "term": data.names * len(turn),
            "residual": (plain * data.scale)[turn].ravel(),
            "scaled": (scaled / data.scale)[turn].ravel(),
        }
    )


def martingale_residuals(
    time, event, covariates, *, ties: str | None = None, strata=None, entry=None
) -> pd.DataFrame:
    """Compute martingale and deviance residuals of the maximum-likelihood fit: one row a row of the input.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    covariates : DataFrame, Series or array
        As in `cox`.
    ties : {None, "efron", "breslow"}
        None takes the plan's for maximum likelihood.
    strata, entry : array-like, optional
        As in `cox`.

    Returns
    -------
    DataFrame
        time, event, linear (log hazard ratio against the mean covariates), expected (events), martingale
        (event less expected), deviance (made symmetric: large values are patients the model does not
        expect).

    Raises
    ------
    NotEstimable
        Where the Cox model is not estimable; see `cox`.
    ValueError
        For malformed input.

    References
    ----------
    Therneau, Grambsch and Fleming, Biometrika 1990;77:147-60.
    """
    data, model, beta, _ = _fitted(time, event, covariates, ties, strata, entry)
    expected = model.hazards(beta).sum(axis=0)
    martingale = data.event - expected
    # d log(d - m) is 0 without an event, whatever m; at an event d - m is what was expected, above 0.
    surprise = martingale + np.log(np.where(data.event, expected, 1.0))
    return pd.DataFrame(
        {
            "time": data.time,
            "event": data.event,
            "linear": model.x @ beta,
            "expected": expected,
            "martingale": martingale,
            "deviance": np.sign(martingale) * np.sqrt(np.maximum(-2 * surprise, 0.0)),
        }
    )


def leave_one_out(
    time,
    event,
    covariates,
    *,
    ties: str | None = None,
    penalty: str | None = None,
    strata=None,
    entry=None,
    weights=None,
    cluster=None,
) -> pd.DataFrame:
    """Fit a Cox model again without each patient: whom does the estimate hang on.

    Parameters
    ----------
    time, event, covariates : array-like
        As in `cox`.
    ties : {None, "efron", "breslow"}
        None takes the plan's.
    penalty : {None, "firth"}
        As in `cox`.
    strata, entry, weights : array-like, optional
        As in `cox`; maximum likelihood only.
    cluster : array-like, optional
        What is left out at a time (the rows of a patient, a centre); a row by default.

    Returns
    -------
    DataFrame
        By what is left out, and covariate: left_out (label of the cluster, or position of the row), term,
        estimate (hazard ratio without it), coef, change (of coef, against everybody), n, events (rows that
        stay), reason (empty, or why there is no estimate without it; the numbers are then missing).

    Raises
    ------
    NotEstimable
        If the model cannot be fitted to everybody.
    ValueError
        For malformed input or an unknown option.
    """
    if penalty not in {None, "firth"}:
        raise ValueError(f"penalty must be None or 'firth', found {penalty!r}")
    rules = plan.defaults().survival
    ties = ties or (rules.ties_ml if penalty is None else rules.ties_firth)
    if penalty and (ties != "breslow" or any(part is not None for part in (strata, entry, weights))):
        raise ValueError("penalty='firth' has Breslow ties and no strata, entry or weights")
    data = read_cox_data(
        time, event, covariates, strata=strata, entry=entry, weights=weights, cluster=cluster
    )
    whole = _coefficients(data, ties, penalty)
    labels = np.arange(len(data.time)) if data.cluster is None else data.cluster
    tables = []
    for label in np.unique(labels):
        rest = data.take(labels != label)
        try:
            coef, reason = _coefficients(rest, ties, penalty), ""
        except NotEstimable as refusal:
            coef, reason = np.full(len(whole), np.nan), str(refusal)
        found = {"term": data.names, "coef": coef, "change": coef - whole, "reason": reason}
        tables.append(
            pd.DataFrame({"left_out": label, **found, "n": len(rest.time), "events": int(rest.event.sum())})
        )
    table = pd.concat(tables, ignore_index=True)
    columns = ["left_out", "term", "estimate", "coef", "change", "n", "events", "reason"]
    return table.assign(estimate=np.exp(table["coef"]))[columns]


def _coefficients(data: CoxData, ties: str, penalty: str | None) -> np.ndarray:
    if len(data.time) == 0:
        raise NotEstimable("no patients are left")
    check_information(data)
    if penalty is not None:
        return firth_coefficients(data)
    return fit_maximum(data.likelihood(data.scaled, ties), data.names)[0] / data.scale


def _fitted(time, event, covariates, ties, strata, entry):
    data = read_cox_data(time, event, covariates, strata=strata, entry=entry)
    check_information(data)
    model = data.likelihood(data.scaled, ties or plan.defaults().survival.ties_ml)
    beta, _, information = fit_maximum(model, data.names)
    return data, model, beta, information
