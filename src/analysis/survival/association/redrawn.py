"""Hazard ratios of classes that were drawn again: each draw's, and those of resampled patients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.estimates import EXPOSED, REFERENCE, Analysis, main_estimator
from analysis.survival.partial_likelihood import PartialLikelihood
from analysis.survival.two_group import fit_two_groups

_CELL = ["CV", "CORRELATION"]


@dataclass(frozen=True)
class Cell:
    """The classes of the analysed patients under one CV and correlation of the errors.

    Attributes
    ----------
    cv, correlation : float
        As in table ``misclassification``.
    level : ndarray, shape (draws,)
        Variance of the error added, times that of one measurement; the first is 0: the classes as they are.
    exposed : ndarray, shape (draws, patients)
        1 for a non-responder, 0 for a responder, nan for who is not evaluable in that draw.
    """

    cv: float
    correlation: float
    level: np.ndarray
    exposed: np.ndarray

    def levels(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield each level and its draws."""
        for level in np.unique(self.level):
            yield float(level), self.exposed[self.level == level]


@dataclass(frozen=True)
class Model:
    """The main model of an endpoint, to be fitted to other classes of the same patients.

    Attributes
    ----------
    time, event : ndarray, shape (patients,)
        From the landmark.
    estimator, ties : str
        As in the main analysis.
    """

    time: np.ndarray
    event: np.ndarray
    estimator: str
    ties: str

    @classmethod
    def of(cls, data: pd.DataFrame, analysis: Analysis, plan: Plan) -> Model:
        """Take estimator and ties from the plan, as for the main analysis."""
        estimator = main_estimator(data, analysis, plan)
        ties = plan.survival.ties_firth if estimator == "FIRTH" else plan.survival.ties_ml
        return cls(data["time"].to_numpy(float), data["event"].to_numpy(bool), estimator, ties)

    def log_ratios(self, exposed: np.ndarray, rows=slice(None)) -> np.ndarray:
        """Return each ln hazard ratio, of all patients or of some `rows`; not finite where monotone."""
        penalty = "firth" if self.estimator == "FIRTH" else None
        options = {"ties": self.ties, "penalty": penalty}
        return fit_two_groups(self.time[rows], self.event[rows], exposed[:, rows], **options)[
            "coef"
        ].to_numpy()

    def variances(self, exposed: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return the variance of each ln hazard ratio: the inverse of the information at it."""
        variance, known = np.full(len(coef), np.nan), ~np.isnan(exposed)
        # One layout of the likelihood serves all draws with the same patients.
        patterns, which = np.unique(known, axis=0, return_inverse=True)
        for number, inside in enumerate(patterns):
            rows = np.flatnonzero((which.ravel() == number) & np.isfinite(coef))
            nothing = np.zeros((int(inside.sum()), 1))
            layout = PartialLikelihood.build(self.time[inside], self.event[inside], nothing, self.ties)
            drawn = exposed[np.ix_(rows, inside)].T
            risk = layout.weights @ drawn * np.exp(coef[rows])
            share = risk / (risk + layout.weights @ (1 - drawn))
            with np.errstate(divide="ignore"):
                variance[rows] = 1 / (share * (1 - share)).sum(axis=0)
        return variance


def collect_cells(data: pd.DataFrame, redrawn: pd.DataFrame) -> list[Cell]:
    """Bring classes that were drawn again into the order of the analysed patients.

    Parameters
    ----------
    data : DataFrame
        An analysis set: USUBJID and exposed.
    redrawn : DataFrame
        CV CORRELATION LEVEL DRAW USUBJID MRESP of one visit; LEVEL 0 are the classes as they are.

    Returns
    -------
    list of Cell
        By CV and correlation.

    Raises
    ------
    ValueError
        REDRAWN_OTHERWISE if the classes as they are are not those analysed.
    """
    code = redrawn.assign(CODE=redrawn["MRESP"].map({EXPOSED: 1.0, REFERENCE: 0.0}))
    wide = code.set_index([*_CELL, "LEVEL", "DRAW", "USUBJID"])["CODE"].unstack("USUBJID")  # noqa: PD010
    wide = wide.reindex(columns=data["USUBJID"])
    own = wide[wide.index.get_level_values("LEVEL") == 0].to_numpy()
    wrong = int((own != data["exposed"].to_numpy(float)).sum())
    if len(own) != 1 or wrong:
        raise ValueError(
            f"REDRAWN_OTHERWISE: {wrong} of {len(data)} patients have another class before any error is "
            "added than in the analysis: draw again with the plan, subjects, scans and decisions of admr"
        )
    drawn = wide[wide.index.get_level_values("LEVEL") > 0]
    found = []
    for (cv, correlation), rows in drawn.groupby(level=_CELL):
        level = np.r_[0.0, rows.index.get_level_values("LEVEL")]
        found.append(Cell(float(cv), float(correlation), level, np.vstack([own, rows.to_numpy()])))
    return found


def fit_cell(model: Model, cell: Cell) -> pd.DataFrame:
    """Fit the model to each draw: level, coef (ln hazard ratio) and variance."""
    coef = model.log_ratios(cell.exposed)
    return pd.DataFrame({"level": cell.level, "coef": coef, "variance": model.variances(cell.exposed, coef)})


def resample_patients(
    model: Model, cell: Cell, weights: np.ndarray, resamples: int, rng: np.random.Generator
) -> float:
    """Return the standard deviation of an extrapolated ln hazard ratio over bootstrap samples of patients.

    Parameters
    ----------
    model, cell
        The model and the draws: a patient who is drawn brings the classes of all her draws.
    weights : ndarray, shape (levels above 0,)
        Of the levels' means (`simex.extrapolation_weights`).
    resamples : int
        Bootstrap samples.
    rng : numpy.random.Generator
        For the samples.

    Returns
    -------
    float
        Missing where fewer than two samples have a finite estimate at every level.
    """
    drawn = cell.level > 0
    level, exposed = cell.level[drawn], cell.exposed[drawn]
    patients, found = len(model.time), []
    for rows in rng.integers(0, patients, size=(resamples, patients)):
        coef = model.log_ratios(exposed, rows)
        finite = np.isfinite(coef)
        means = [coef[finite & (level == one)] for one in np.unique(level)]
        if all(len(part) for part in means):
            found.append(weights @ [part.mean() for part in means])
    return float(np.std(found, ddof=1)) if len(found) > 1 else np.nan
