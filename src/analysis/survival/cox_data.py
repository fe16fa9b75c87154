"""What a Cox model is fitted to: arrays checked once, and covariates that can say something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.survival.outcome import NotEstimable, check_groups, check_index, check_time_event, equal_times
from analysis.survival.partial_likelihood import PartialLikelihood


@dataclass(frozen=True)
class CoxData:
    """Checked data of a Cox model, one row an interval (a patient, unless the data are a counting process).

    Attributes
    ----------
    time, event : ndarray, shape (rows,)
        End of the interval and True for an event there.
    names : list of str
        Covariates.
    x : ndarray, shape (rows, covariates)
        Their values.
    strata : ndarray or None
        Labels of strata.
    entry : ndarray or None
        Start of the interval; None where everybody is at risk from the beginning.
    weights : ndarray or None
        Case weights; None where all are 1.
    cluster : ndarray or None
        Labels of what is independent (patients, centres); None for rows.
    """

    time: np.ndarray
    event: np.ndarray
    names: list[str]
    x: np.ndarray
    strata: np.ndarray | None = None
    entry: np.ndarray | None = None
    weights: np.ndarray | None = None
    cluster: np.ndarray | None = None

    @property
    def scale(self) -> np.ndarray:
        """Return the range of each covariate; fits work on a range of 1."""
        return np.ptp(self.x, axis=0)

    @property
    def scaled(self) -> np.ndarray:
        """Return the covariates about their mean, on a range of 1."""
        return (self.x - self.x.mean(axis=0)) / self.scale

    @property
    def patients(self) -> int:
        """Return the number of clusters, or of rows where no cluster is named."""
        return len(self.time) if self.cluster is None else len(np.unique(self.cluster))

    def likelihood(self, x: np.ndarray, ties: str) -> PartialLikelihood:
        """Return the partial likelihood of these outcomes in covariates `x`.

        Parameters
        ----------
        x : ndarray, shape (rows, covariates)
            Usually ``scaled``.
        ties : {"efron", "breslow"}
            Treatment of tied events.

        Returns
        -------
        PartialLikelihood
            Ready to be maximised.
        """
        return PartialLikelihood.build(
            self.time, self.event, x, ties, strata=self.strata, entry=self.entry, weights=self.weights
        )

    def take(self, rows: np.ndarray) -> CoxData:
        """Return the same data for some of the rows.

        Parameters
        ----------
        rows : ndarray
            Positions, or True for a row that stays.

        Returns
        -------
        CoxData
            Checked already.
        """
        parts = {
            name: None if getattr(self, name) is None else getattr(self, name)[rows]
            for name in ("strata", "entry", "weights", "cluster")
        }
        return CoxData(self.time[rows], self.event[rows], self.names, self.x[rows], **parts)


def read_cox_data(time, event, covariates, *, strata=None, entry=None, weights=None, cluster=None) -> CoxData:
    """Check the data of a Cox model and bring them into arrays.

    Parameters
    ----------
    time, event : array-like
        Follow-up (or end of the interval) and True for an event.
    covariates : DataFrame, Series or array
        Numbers or booleans, one row each of `time`; no missing values.
    strata : array-like, optional
        One label a row.
    entry : array-like, optional
        Start of the interval (entry, time]; an interval as short as rounding is empty, and refused.
    weights : array-like, optional
        Case weights above 0.
    cluster : array-like, optional
        One label a row; rows of one label are not independent.

    Returns
    -------
    CoxData
        Arrays that fit together.

    Raises
    ------
    NotEstimable
        If nobody is left.
    ValueError
        For anything missing, of the wrong length or out of range; for Series or frames whose indexes differ.
    """
    check_index(
        **{"time": time, "event": event, "covariates": covariates, "strata": strata},
        **{"entry": entry, "weights": weights, "cluster": cluster},
    )
    ends, (time, event) = time, check_time_event(time, event)
    names, x = _design(covariates, len(time))
    strata, cluster = (
        None if labels is None else check_groups(labels, len(time))[0] for labels in (strata, cluster)
    )
    if entry is not None:
        # Starts and ends that are equal up to rounding are so together, as in R.
        time, entry = equal_times(np.asarray(ends, dtype=float), _numbers(entry, len(time), "entry"))
        if not (entry < time).all():
            raise ValueError(
                f"{int((entry >= time).sum())} intervals are empty: entry must be before time, as in R's "
                "(start, stop]"
            )
    if weights is not None:
        weights = _numbers(weights, len(time), "weights")
        if not (weights > 0).all():
            raise ValueError(f"{int((weights <= 0).sum())} weights are not above 0; leave those rows out")
    return CoxData(time, event, names, x, strata, entry, weights, cluster)


def check_information(data: CoxData) -> None:
    """Refuse data or covariates that say nothing about a hazard ratio, whatever the estimator.

    Parameters
    ----------
    data : CoxData
        From `read_cox_data`.

    Raises
    ------
    NotEstimable
        Without an event; with a covariate that does not vary; with collinear covariates; if no event happens
        while patients who differ are at risk.
    """
    rows, names = len(data.time), data.names
    if not data.event.any():
        raise NotEstimable(
            f"none of the {data.patients} patients has an event: no hazard ratio can be estimated"
        )
    constant = [name for name, spread in zip(names, data.scale, strict=True) if spread == 0]
    if constant:
        raise NotEstimable(f"{constant} does not vary in these {data.patients} patients: one group is empty")
    scaled = data.scaled
    if np.linalg.matrix_rank(scaled, tol=1e-9 * rows) < len(names):
        raise NotEstimable(f"covariates {names} are collinear in these {data.patients} patients; drop one")
    null = data.likelihood(scaled, "breslow").derivatives(np.zeros(len(names)))[1]
    if np.linalg.eigvalsh(null)[0] < 1e-12:
        raise NotEstimable(
            f"no event happens while patients who differ in {names} are at risk: nothing to compare"
        )


def _numbers(values, n: int, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.shape != (n,) or not np.isfinite(values).all():
        raise ValueError(f"{name} must be {n} numbers, none of them missing, found shape {values.shape}")
    return values


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
