"""Two-stage test: the pilot chooses the day, its patients are analysed again, and the level still holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from analysis.survival.outcome import NotEstimable
from analysis.survival.permuted import permute_within

# Statistics that differ only by rounding are ties: every permutation that gives the observed value counts.
_SLACK = 1e-9
# A variance below this is rounding: the statistic takes one value whatever the permutation.
_NO_VARIANCE = 1e-10


@dataclass(frozen=True)
class Stage:
    """The patients of one stage: the pilot, or the extension.

    Attributes
    ----------
    scores : ndarray, shape (n, days)
        Log-rank scores of the outcome (`analysis.survival.log_rank_scores`) from each day's own landmark,
        computed within this stage among those with a class on that day; 0 for who is not at risk from it.
    exposed : ndarray, shape (n, days)
        1 (non-responder) or 0; nan without a class on that day.
    at_risk : ndarray of bool, shape (n, days), optional
        Who is at risk from each day's landmark; everybody by default.
    """

    scores: np.ndarray
    exposed: np.ndarray
    at_risk: np.ndarray | None = None


@dataclass(frozen=True)
class TwoStage:
    """The test of the chosen day, and its parts.

    Attributes
    ----------
    p : float
        Two-sided, adjusted for the choice: the one to report.
    z : float
        Normal deviate of `p`, positive where the exposed do worse.
    p_chosen, p_intersection : float
        Two-sided combination p of the chosen day's hypothesis, and of "no day matters"; `p` is at least both.
    p_pilot : ndarray
        One-sided (the exposed do worse) permutation p of each day in the pilot; nan without information.
    p_pilot_any : float
        The same of the largest of the days' statistics.
    p_extension : float
        The same of the chosen day in the extension.
    z_pilot : ndarray
        Each day's log-rank statistic in the pilot, standardised by its moments under permutation.
    z_extension : float
        The same of the chosen day in the extension.
    """

    p: float
    z: float
    p_chosen: float
    p_intersection: float
    p_pilot: np.ndarray
    p_pilot_any: float
    p_extension: float
    z_pilot: np.ndarray
    z_extension: float


def two_stage_test(
    pilot: Stage,
    extension: Stage,
    chosen: int,
    weights: tuple[float, float],
    permutations: int,
    rng: np.random.Generator,
) -> TwoStage:
    """Test the day the pilot chose on pilot and extension patients, corrected for the choice.

    Not where the day was fixed in advance, nor where the choice read no outcome: there the pooled test holds
    its level and has more power.

    Parameters
    ----------
    pilot, extension : Stage
        Disjoint patients, the same days in the same columns. Of the extension only the chosen day is read.
    chosen : int
        Column of the day the pilot chose.
    weights : tuple of float
        Events planned in the pilot and in the extension: their square roots weigh the two deviates.
    permutations : int
        Random permutations of each stage.
    rng : numpy.random.Generator
        Source of randomness; the pilot draws first.

    Returns
    -------
    TwoStage
        The adjusted p and its parts.

    Raises
    ------
    NotEstimable
        If neither stage carries information on the chosen day.
    ValueError
        For stages that do not fit together, exposures other than 0, 1 and nan, a day that is none of the
        columns, or weights that are negative or both 0.

    Notes
    -----
    Why each piece holds the level alpha:

    - *Closed testing.* There are two hypotheses, "the class of day d does not go with the outcome". That of
      the chosen day is rejected only where the test of their intersection ("neither day's does") rejects too.
      If both are true, an error needs a false rejection of the intersection; if one is, an error needs that
      day to be chosen *and* its own test, whose form does not depend on the choice, to reject. Either has
      probability alpha at most, whatever the rule of choice.
    - *The choice reads pilot patients only.* Given everything about the pilot, the extension's p is still
      that of a day fixed in advance, uniform or larger under its hypothesis. The two p are combined as if
      independent, which is all a combination test needs (Bauer and Koehne). The pilot's p may use follow-up
      from after the decision, for its patients never enter the second stage (patient-wise; Jenkins, Stone and
      Jennison). It is not valid where the end of follow-up was moved because of what the pilot showed.
    - *Weights fixed in advance.* w1 z1 + w2 z2 with w1^2 + w2^2 = 1 is standard normal under the null only if
      the weights do not depend on the data: planned, not observed, events (Lehmacher and Wassmer).
    - *Permutation of whole rows.* In the pilot the classes of all days of a patient move together, so that
      the distribution of the largest statistic knows how far the days agree (Westfall and Young). They move
      between patients with a class on the same days and at risk from the same landmarks: a missing class, or
      an event before a landmark, stays where it is, and it may go with the outcome. (A missing class may go
      with the other day's class instead, but not with both.) Who is not at risk from a landmark has the score
      0. The scores come from the stage's own patients, so that the stages share
      nothing.
    - *Standardised maximum.* Each day's sum of scores over the exposed (observed minus expected events) is
      brought to mean 0 and variance 1 by its exact moments under permutation: unlike sizes of the two days
      give neither more weight. Any statistic would hold the level; this one treats the days alike.
    - *Directions.* "Exposed do worse" and "exposed do better" are tested separately, each at alpha/2: the two
      stages must point the same way to add up, and an effect in one direction is not made from the other.

    A stage without information (nobody, no event, one class) has z = 0: its weight is lost, not given to the
    other stage, which is conservative. Whether it has information depends on outcomes and classes, not on who
    has which. A Monte Carlo p is (1 + b) / (1 + B), at most B / (1 + B) so that z is finite; a stage there
    points the other way so clearly that the other cannot make up for it at the usual levels.

    References
    ----------
    Bauer and Koehne, Biometrics 1994;50:1029-41 (combination of stages); Lehmacher and Wassmer, Biometrics
    1999;55:1286-90 (inverse normal); Jenkins, Stone and Jennison, Pharm Stat 2011;10:347-56 (selection on one
    outcome, patient-wise stages, closed test); Westfall and Young, Resampling-based multiple testing, 1993
    (maximum by permutation); Marcus, Peritz and Gabriel, Biometrika 1976;63:655-60 (closed testing);
    Strasser and Weber, Math Methods Stat 1999;8:220-50 (moments); Phipson and Smyth, Stat Appl Genet Mol Biol
    2010;9:39 (Monte Carlo p).

    Examples
    --------
    Six pilot patients with a class on two days, four of the extension with one on the first day, which the
    pilot chose:

    >>> from analysis.survival import log_rank_scores
    >>> both = np.array([[1, 1], [1, 0], [1, 1], [0, 1], [0, 0], [0, 0]])
    >>> outcome = log_rank_scores([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 0])
    >>> pilot = Stage(np.column_stack([outcome, outcome]), both)
    >>> later = log_rank_scores([2, 3, 5, 7], [1, 1, 1, 0])
    >>> first = np.column_stack([[1, 1, 0, 0], [np.nan] * 4])
    >>> extension = Stage(np.column_stack([later, later]), first)
    >>> found = two_stage_test(pilot, extension, 0, (25, 13), 2000, np.random.default_rng(1))
    >>> found.p_chosen <= found.p and bool(found.z > 0)
    True
    """
    first, second = _check(pilot, chosen), _check(extension, chosen)
    if first.scores.shape[1] != second.scores.shape[1]:
        raise ValueError(
            f"the stages have {first.scores.shape[1]} and {second.scores.shape[1]} days: give both the same"
        )
    second = Stage(*(part[:, [chosen]] for part in (second.scores, second.exposed, second.at_risk)))
    root = _roots(weights)
    days, null_days = _standardise(first, permutations, rng)
    later, null_later = _standardise(second, permutations, rng)
    if np.isnan(days[chosen]) and np.isnan(later[0]):
        raise NotEstimable(
            f"neither pilot (n {len(first.scores)}) nor extension (n {len(second.scores)}) tells anything "
            "about the chosen day: no event, or one class"
        )
    worse, better = (
        _directed(sign * days, sign * null_days, sign * later, sign * null_later, chosen, root)
        for sign in (1, -1)
    )
    p, p_chosen, p_intersection = (
        min(1.0, 2 * min(worse[name], better[name])) for name in ("adjusted", "chosen", "intersection")
    )
    sign = 1.0 if worse["adjusted"] <= better["adjusted"] else -1.0
    return TwoStage(
        p,
        sign * abs(float(ndtri(p / 2))),
        p_chosen,
        p_intersection,
        worse["pilot"],
        worse["pilot_any"],
        worse["extension"],
        days,
        float(later[0]),
    )


def _check(stage: Stage, chosen: int) -> Stage:
    scores, exposed = (np.asarray(part, dtype=float) for part in (stage.scores, stage.exposed))
    if scores.ndim != 2 or scores.shape != exposed.shape:
        raise ValueError(
            f"scores and exposed have a row a patient and a column a day: {scores.shape}, {exposed.shape}"
        )
    if not 0 <= chosen < scores.shape[1]:
        raise ValueError(f"the chosen day is column {chosen!r}; there are {scores.shape[1]} days")
    if not np.isfinite(scores).all():
        raise ValueError(f"{int((~np.isfinite(scores)).sum())} scores are missing: 0 is not at risk")
    wrong = exposed[~(np.isnan(exposed) | np.isin(exposed, (0.0, 1.0)))]
    if wrong.size:
        raise ValueError(f"exposed must be 1, 0 or nan (no class), found {wrong[:3].tolist()}")
    at_risk = np.ones(scores.shape, bool) if stage.at_risk is None else np.asarray(stage.at_risk, dtype=bool)
    if at_risk.shape != scores.shape:
        raise ValueError(f"at_risk has the shape of scores, {scores.shape}, not {at_risk.shape}")
    if (scores[~at_risk] != 0).any():
        raise ValueError("who is not at risk from a landmark has the score 0")
    return Stage(scores, exposed, at_risk)


def _roots(weights: tuple[float, float]) -> np.ndarray:
    events = np.asarray(weights, dtype=float)
    if events.shape != (2,) or not np.isfinite(events).all() or (events < 0).any() or events.sum() == 0:
        raise ValueError(
            f"weights are the events planned in the pilot and in the extension, found {weights!r}"
        )
    return np.sqrt(events / events.sum())


def _standardise(stage: Stage, permutations: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return each day's standardised sum of scores over the exposed, and its values under permutation."""
    if len(stage.scores) == 0:
        none = np.full(stage.scores.shape[1], np.nan)
        return none, np.tile(none, (permutations, 1))
    known = ~np.isnan(stage.exposed)
    strata = np.hstack([known, stage.at_risk]) @ (1 << np.arange(2 * known.shape[1]))
    exposed = np.where(known, stage.exposed, 0.0)
    mean, variance = _moments(stage.scores, exposed, known, strata)
    spread = np.sqrt(np.where(variance > _NO_VARIANCE, variance, np.nan))
    moved = permute_within(strata, permutations, rng)
    sums = np.stack(
        [column[moved] @ scores for column, scores in zip(exposed.T, stage.scores.T, strict=True)], 1
    )
    observed = np.sum(stage.scores * exposed, axis=0)
    return (observed - mean) / spread, (sums - mean) / spread


def _moments(scores, exposed, known, strata) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of the sums under permutation within strata (Strasser and Weber 1999)."""
    mean, variance = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    for level in np.unique(strata):
        inside = strata == level
        n = int(inside.sum())
        a, x = scores[inside], exposed[inside]
        mean += n * a.mean(axis=0) * x.mean(axis=0)
        if n > 1:
            variance += n * n * a.var(axis=0) * x.var(axis=0) / (n - 1)
    return mean, variance


def _directed(days, null_days, later, null_later, chosen: int, root: np.ndarray) -> dict:
    """Test in one direction: large statistics speak against the null."""
    by_day = np.array([_upper_p(days[d], null_days[:, d]) for d in range(len(days))])
    # A day without information cannot be the largest.
    largest = [np.where(np.isnan(z), -np.inf, z).max(axis=-1) for z in (days, null_days)]
    any_day = _upper_p(largest[0], largest[1]) if np.isfinite(largest[0]) else np.nan
    extension = _upper_p(later[0], null_later[:, 0])
    one = _combine(by_day[chosen], extension, root)
    both = _combine(any_day, extension, root)
    found = {"pilot": by_day, "pilot_any": any_day, "extension": extension}
    return found | {"chosen": one, "intersection": both, "adjusted": max(one, both)}


def _upper_p(observed: float, null: np.ndarray) -> float:
    if np.isnan(observed):
        return np.nan
    total = 1 + len(null)
    p = (1 + np.count_nonzero(null >= observed - _SLACK)) / total
    return float(min(p, 1 - 1 / total))


def _combine(first: float, second: float, root: np.ndarray) -> float:
    """Combine two one-sided p by the inverse normal; one that is missing has z = 0."""
    deviates = [0.0 if np.isnan(p) else -float(ndtri(p)) for p in (first, second)]
    return float(ndtr(-(root[0] * deviates[0] + root[1] * deviates[1])))
