"""Optimism of discrimination by bootstrap: the whole procedure in each resample, a cut search included."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.survival.concordance import check_score, concordance, pair_matrices, resampled_concordance
from analysis.survival.cox_batch import cox_batch
from analysis.survival.cutpoint import select_cut
from analysis.survival.log_rank import log_rank_scores
from analysis.survival.outcome import NotEstimable
from analysis.survival.time_dependent import brier, resampled_auc, resampled_brier, time_dependent_auc
from analysis.survival.uno import resampled_uno, uno_concordance

# Log hazards of two patients differ at most by this: a resample in which the score orders all events has an
# infinite coefficient, and exp() of it is nothing to compute with.
_MAX_LINEAR = 50.0


@dataclass(frozen=True)
class Optimism:
    """An apparent value, and what of it is owed to having been fitted to the same patients.

    Attributes
    ----------
    apparent, lower, upper : float
        The value in these patients and its limits; missing limits where a cut was searched.
    corrected : float
        The value without its optimism; missing without resamples.
    gain : float
        The optimism: mean over resamples of the value in the resample minus the value in all patients, both
        of the model fitted to the resample.
    resamples : int
        Resamples used: the value exists, and the Cox model converged or is monotone. Others are left out.
    """

    apparent: float
    lower: float
    upper: float
    corrected: float
    gain: float
    resamples: int

    @classmethod
    def of(cls, found: pd.Series | dict, gains: np.ndarray, direction: float = 1.0) -> Optimism:
        """Take the mean of the gains off an estimate.

        Parameters
        ----------
        found : Series or dict
            estimate, lower, upper in these patients.
        gains : ndarray, shape (resamples,)
            Value in each resample minus value in all patients; missing where it could not be computed.
        direction : float
            1, or -1 where the model turns the score round: its optimism pushes the score's value down.

        Returns
        -------
        Optimism
            With what is left.
        """
        known = gains[np.isfinite(gains)]
        gain = float(known.mean()) if known.size else float("nan")
        values = [float(found[name]) for name in ("estimate", "lower", "upper")]
        return cls(*values, values[0] - direction * gain, gain, int(known.size))


@dataclass(frozen=True)
class Resampled:
    """One score of n patients, and the bootstrap resamples in which its measures are computed again.

    A Cox model of one score ranks patients by the score or, with a negative coefficient, against it: its
    discrimination is that of the score up to the direction, and the direction is all that is fitted. Values
    are in the direction of the score (larger is worse), so that below 0.5 stays below 0.5; the correction
    takes off what the fitted direction gained.

    Attributes
    ----------
    time, event, score : ndarray, shape (n,)
        Follow-up, events, score.
    counts : ndarray, shape (resamples, n)
        How often each patient is drawn.
    ties : str
        Ties of the Cox model.
    alpha : float
        One minus the confidence level of the apparent limits.
    """

    time: np.ndarray
    event: np.ndarray
    score: np.ndarray
    counts: np.ndarray
    ties: str = "efron"
    alpha: float = 0.05

    @classmethod
    def of(
        cls, time, event, score, counts: np.ndarray, *, ties: str = "efron", alpha: float = 0.05
    ) -> Resampled:
        """Check the patients and keep the resamples.

        Parameters
        ----------
        time, event, score : array-like
            As in `concordance`.
        counts : ndarray, shape (resamples, n)
            How often each patient is drawn; no rows for apparent values alone.
        ties : str
            Ties of the Cox model.
        alpha : float
            One minus the confidence level.

        Returns
        -------
        Resampled
            Of these patients.
        """
        return cls(*check_score(time, event, score), np.asarray(counts), ties, alpha)

    @cached_property
    def coefficients(self) -> tuple[float, np.ndarray]:
        """Cox coefficient in all patients, and in each resample; missing where the fit has none."""
        counts = np.concatenate([np.ones((1, len(self.time)), dtype=int), self.counts])
        fits = cox_batch(self.time, self.event, self.score, counts, ties=self.ties)
        # An infinite coefficient has a direction; one that was not found is not that of no effect.
        found = fits["coef"].where(fits["converged"] | fits["monotone"]).to_numpy()
        return float(found[0]), found[1:]

    def harrell(self) -> Optimism:
        """Correct Harrell's C of the score.

        Returns
        -------
        Optimism
            Of `concordance`.
        """
        found = concordance(*self._arrays, alpha=self.alpha)
        return self._of_direction(found, resampled_concordance(*self._arrays, self.counts))

    def uno(self) -> Optimism:
        """Correct Uno's C of the score.

        Returns
        -------
        Optimism
            Of `uno_concordance`.
        """
        found = uno_concordance(*self._arrays, alpha=self.alpha)
        return self._of_direction(found, resampled_uno(*self._arrays, self.counts))

    def auc(self, t: float) -> Optimism:
        """Correct AUC(t) of the score.

        Parameters
        ----------
        t : float
            One time.

        Returns
        -------
        Optimism
            Of `time_dependent_auc`.
        """
        found = time_dependent_auc(*self._arrays, t, alpha=self.alpha)
        return self._of_direction(found, resampled_auc(*self._arrays, t, self.counts))

    def brier(self, t: float) -> tuple[Optimism, float]:
        """Correct the Brier score at t of a Cox model of the score, coefficient and baseline fitted anew.

        Parameters
        ----------
        t : float
            One time.

        Returns
        -------
        Optimism
            Of `brier`; the gain is negative, as a smaller score is better.
        float
            Brier score of the Kaplan-Meier risk, without the score.
        """
        coefficient, coefficients = self.coefficients
        if not np.isfinite(coefficient):
            why = "orders the events completely" if np.isinf(coefficient) else "does not vary at an event"
            raise NotEstimable(f"the score {why}: no finite coefficient, so no risk")
        everyone = np.ones((1, len(self.time)))
        risk = predicted_risk(*self._arrays, [coefficient], everyone, t, ties=self.ties)[0]
        found = brier(self.time, self.event, risk, t, alpha=self.alpha).iloc[0]
        risks = predicted_risk(*self._arrays, coefficients, self.counts, t, ties=self.ties)
        inside = resampled_brier(self.time, self.event, risks, t, self.counts)
        outside = resampled_brier(self.time, self.event, risks, t, np.ones_like(self.counts))
        return Optimism.of(found, inside - outside), float(found["null"])

    def selected_cut(self, min_share: float, max_share: float) -> tuple[Optimism, float]:
        """Correct Harrell's C of the two groups at the cut that separates them most, searched anew each time.

        Parameters
        ----------
        min_share, max_share : float
            Shares of patients at or below a cut that is searched, as in `select_cut`.

        Returns
        -------
        Optimism
            Of Harrell's C of "above the cut", in the direction of the score.
        float
            The cut selected in all patients.
        """
        shares = {"min_share": min_share, "max_share": max_share}
        cut, direction = _search(*self._arrays, shares)
        comparable, _ = pair_matrices(*self._arrays)
        gains = []
        for count in self.counts:
            drawn = np.repeat(np.arange(len(count)), count)
            try:
                again, sign = _search(*(values[drawn] for values in self._arrays), shares)
            except NotEstimable:
                continue
            above = self.score > again
            inside = _share_above(comparable * np.outer(count, count), above)
            gains.append(sign * (inside - _share_above(comparable, above)))
        apparent = concordance(self.time, self.event, self.score > cut)["estimate"].iloc[0]
        # Limits of C take the groups as given: too narrow for groups that were searched.
        found = {"estimate": apparent, "lower": np.nan, "upper": np.nan}
        return Optimism.of(found, np.array(gains), direction), cut

    @property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.time, self.event, self.score

    def _of_direction(self, found: pd.DataFrame, inside: np.ndarray) -> Optimism:
        coefficient, coefficients = self.coefficients
        row = found.iloc[0]
        # Turned round, C is 1 - C: the difference between two of them changes its sign.
        gains = _sign(coefficients) * (inside - row["estimate"])
        return Optimism.of(row, gains, float(_sign(coefficient)))


def predicted_risk(
    time, event, score, coefficients, counts: np.ndarray, t: float, *, ties: str = "efron"
) -> np.ndarray:
    """Predict everybody's risk by t from a Cox model of one score, in each of many resamples.

    Parameters
    ----------
    time, event, score : array-like
        Follow-up, events and score of n patients.
    coefficients : array-like, shape (resamples,)
        Log hazard ratio in each resample; an infinite one is cut off, a missing one gives missing risks.
    counts : ndarray, shape (resamples, n)
        How often each patient counts in the baseline hazard.
    t : float
        One time, unit of `time`.
    ties : {"efron", "breslow"}
        Ties of the baseline hazard, as R's survfit.

    Returns
    -------
    ndarray, shape (resamples, n)
        Risk of every patient, drawn or not.
    """
    time, event, score = check_score(time, event, score)
    if ties not in ("efron", "breslow"):
        raise ValueError(f"ties must be 'efron' or 'breslow', found {ties!r}")
    drawn = np.asarray(counts, dtype=float)
    bound = _MAX_LINEAR / (np.ptp(score) or 1.0)
    slope = np.clip(np.asarray(coefficients, dtype=float), -bound, bound)
    relative = np.exp(slope[:, None] * (score - score.mean()))
    steps = np.unique(time[event & (time <= t)])
    tied = (event[:, None] & (time[:, None] == steps)).astype(float)
    at_risk, deaths = (drawn * relative) @ (time[:, None] >= steps).astype(float), drawn @ tied
    of_tied = (drawn * relative) @ tied
    hazard = np.zeros(len(drawn))
    for earlier in range(int(deaths.max(initial=0))):
        active = deaths > earlier
        share = earlier / np.where(active, deaths, 1.0) if ties == "efron" else 0.0
        hazard += np.sum(active / np.where(active, at_risk - share * of_tied, 1.0), axis=1)
    return -np.expm1(-hazard[:, None] * relative)


def _search(time, event, score, shares: dict) -> tuple[float, float]:
    """Find the best cut, and which side of it is worse: 1 for above it."""
    cut = select_cut(time, event, score, **shares)[1]
    return cut, float(_sign(log_rank_scores(time, event)[score > cut].sum()))


def _share_above(comparable: np.ndarray, above: np.ndarray) -> float:
    """Return C of a score that is 1 above a cut and 0 below; missing where no pair can be ordered."""
    pairs = comparable.sum()
    ahead = (comparable[above].sum() - comparable[:, above].sum()) / 2
    return float(0.5 + ahead / pairs) if pairs > 0 else np.nan


def _sign(value):
    """Return the direction of an effect; none counts as that of the score, a missing one is missing."""
    return np.where(np.isnan(value), np.nan, np.where(np.asarray(value) < 0, -1.0, 1.0))
