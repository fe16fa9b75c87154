"""How the decision rules behave at the trial's size: simulated pilots in which the better day is known.

The model. A patient's log hazard is the plan's `behaviour_log_hazard_sd` x z, z standard normal; the
event-free time is exponential given it, with the plan's median over all patients. The score of a day is
``q z + sqrt(1 - q^2) e``, the errors e of the two days standard normal and correlated as the plan says. The
loading q of each day is set so that, in an endless population with every event seen, Harrell's C of the day
is the plan's true C. Non-response is a score above the quantile that leaves the plan's
`behaviour_nonresponse_share` of the population above it, the same at both days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from analysis.plan import Plan
from analysis.survival.outcome import NotEstimable
from analysis.survival.pilot.batches import (
    Pilots,
    batch_concordance,
    batch_gain,
    batch_kappa,
    draw_batch_counts,
)
from analysis.survival.pilot.rules import later_wins

MATURE, AT_DECISION = "MATURE", "DECISION"
PLAN_RULE = "PLAN"
ALWAYS = {"always the earlier day": 0.0, "always the later day": 1.0}
COLUMNS = [
    *("TRUTH", "C_EARLIER", "C_LATER", "DATA", "RULE", "SHARE_LATER", "SE", "COST", "N", "EVENTS", "TRIALS"),
]
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class _World:
    """What is simulated: patients, their scores at both days, their times from the first dose (months)."""

    scores: tuple[np.ndarray, np.ndarray]
    resistant: tuple[np.ndarray, np.ndarray]
    time: np.ndarray
    entry: np.ndarray


def simulate_behaviour(
    plan: Plan, rng: np.random.Generator, n_pilot: int | None = None, n_both: int | None = None
) -> pd.DataFrame:
    """Simulate pilots of known truth and count how often each decision rule takes the later day.

    MATURE: every event is seen and nobody is left out before a landmark, as in the plan's reference.
    DECISION: accrual is uniform; the decision date is the plan's offset after the last patient's landmark
    day (the end of the later scan's window); only who is event-free and followed after the landmark is
    compared. Of `n_pilot` patients `n_both` have both scans, whatever their outcome: they are compared; the
    events known are counted in all, as in the decision. The fallback, which decides under the plan's minimum
    of events known, takes the earlier day.

    Parameters
    ----------
    plan : Plan
        Sections design and pilot.
    rng : numpy.random.Generator
        Source of randomness.
    n_pilot : int, optional
        Patients a pilot; None takes the plan's pilot.
    n_both : int, optional
        Those of them with both scans evaluable; None: all.

    Returns
    -------
    DataFrame
        Contract ``pilot_behaviour``. RULE holds the five rules and PLAN, the plan's rule with its fallback;
        COST is the mean cost of the rule's errors in that truth: the plan's cost ratio for taking a later day
        that is not better, 1 for missing one that is. EVENTS counts all events known, also those before the
        landmark and those of patients without both scans, as the plan's minimum does. FALLBACK, in the rows
        of PLAN, is the share of pilots that the fallback decides.

    Raises
    ------
    NotEstimable
        With fewer than two patients to compare.
    ValueError
        If `n_both` exceeds `n_pilot`; for a true C no score can have under the plan's spread of log hazards.
    """
    rules = plan.pilot
    n = int(plan.design.pilot_n if n_pilot is None else n_pilot)
    compared = n if n_both is None else int(n_both)
    if compared > n:
        raise ValueError(f"{compared} patients with both scans of a pilot of {n}: n_both is at most n_pilot")
    if compared < 2:
        raise NotEstimable(f"a pilot of {compared} patients compares nobody: two are needed")
    rows = []
    for truth, (first, second) in rules.behaviour_truths.items():
        loadings = [loading_of(value, rules.behaviour_log_hazard_sd) for value in (first, second)]
        world = _simulate(plan, rng, n, loadings)
        for data in (MATURE, AT_DECISION):
            pilots, known = _observe(world, plan, data, np.arange(n) < compared)
            fixed = {"TRUTH": truth, "C_EARLIER": float(first), "C_LATER": float(second), "DATA": data}
            size = {"N": float(n), "EVENTS": known.mean(), "TRIALS": float(len(known))}
            choices, enough = _choices(world, pilots, known, plan, rng)
            for rule, later in choices.items():
                share = float(later.mean())
                error = np.sqrt(share * (1 - share) / len(later))
                cost = _cost(share, second > first, rules.cost_ratio)
                rows.append({**fixed, "RULE": rule, "SHARE_LATER": share, "SE": error, "COST": cost, **size})
            rows[-1]["FALLBACK"] = float(1 - enough.mean())  # the last row is PLAN
    return pd.DataFrame(rows, columns=[*COLUMNS, "FALLBACK"])


def tabulate_costs(behaviour: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Tabulate the mean cost of each rule's errors as a function of the cost ratio; every truth counts alike.

    Parameters
    ----------
    behaviour : DataFrame
        From `simulate_behaviour`.
    plan : Plan
        Section pilot (`cost_ratios_shown`, and `cost_ratio` itself).

    Returns
    -------
    DataFrame
        DATA, COST_RATIO, RULE (the five, PLAN, and for comparison always the earlier or the later day),
        COST (mean over the truths), BEST (Y for the least of its DATA and COST_RATIO, ties alike).
    """
    ratios = sorted({*(float(ratio) for ratio in plan.pilot.cost_ratios_shown), float(plan.pilot.cost_ratio)})
    truths = behaviour[["TRUTH", "C_EARLIER", "C_LATER", "DATA"]].drop_duplicates()
    fixed = [truths.assign(RULE=rule, SHARE_LATER=share) for rule, share in ALWAYS.items()]
    everything = pd.concat([behaviour, *fixed], ignore_index=True)
    better = everything["C_LATER"] > everything["C_EARLIER"]
    tables = []
    for ratio in ratios:
        cost = np.where(better, 1 - everything["SHARE_LATER"], ratio * everything["SHARE_LATER"])
        mean = everything.assign(COST=cost).groupby(["DATA", "RULE"], sort=False)["COST"].mean()
        tables.append(mean.reset_index().assign(COST_RATIO=ratio))
    table = pd.concat(tables, ignore_index=True)
    least = table.groupby(["DATA", "COST_RATIO"])["COST"].transform("min")
    table["BEST"] = np.where(np.isclose(table["COST"], least), "Y", "N")
    return table[["DATA", "COST_RATIO", "RULE", "COST", "BEST"]]


def describe_behaviour(behaviour: pd.DataFrame) -> dict:
    """Extract what stands beside the decision: how often the plan's rule is right at this size.

    Parameters
    ----------
    behaviour : DataFrame
        From `simulate_behaviour`.

    Returns
    -------
    dict
        n, trials, and by DATA and truth the true C of each day, the share of pilots that take the later and
        the share that the fallback decides.
        Ready for JSON.
    """
    rows = behaviour[behaviour["RULE"].eq(PLAN_RULE)]
    found = {
        data: {
            row.TRUTH: {
                "c": [row.C_EARLIER, row.C_LATER],
                "share_later": row.SHARE_LATER,
                "fallback": row.FALLBACK,
            }
            for row in part.itertuples()
        }
        for data, part in rows.groupby("DATA")
    }
    return {"n": int(rows["N"].iloc[0]), "trials": int(rows["TRIALS"].iloc[0]), "plan_rule": found}


def population_concordance(loading: float, log_hazard_sd: float) -> float:
    """Compute Harrell's C of a score in an endless population without censoring, by quadrature.

    Parameters
    ----------
    loading : float
        Correlation of the score with the log hazard, between -1 and 1.
    log_hazard_sd : float
        Standard deviation of the log hazard.

    Returns
    -------
    float
        C: probability that of two patients the one with the larger score has the event first.

    Examples
    --------
    >>> population_concordance(0.0, 1.0)
    0.5
    """
    # Two patients differ in z by d ~ N(0, 2). The first has its event first with probability expit(sd d), and
    # the larger score with probability Phi(q d / sqrt(2 (1 - q^2))); both or neither make a concordant pair.
    difference = np.sqrt(2) * _NODES
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.float64(loading) / np.sqrt(2 * (1 - loading**2))
    larger = ndtr(np.nan_to_num(slope * difference, nan=0.0))
    sooner = expit(log_hazard_sd * difference)
    return float(np.sum(_WEIGHTS * (sooner * larger + (1 - sooner) * (1 - larger))))


def loading_of(concordance: float, log_hazard_sd: float) -> float:
    """Find the correlation of a score with the log hazard that gives a true C.

    Parameters
    ----------
    concordance : float
        True C.
    log_hazard_sd : float
        Standard deviation of the log hazard.

    Returns
    -------
    float
        Loading between -1 and 1.

    Raises
    ------
    ValueError
        If even a score without error has a smaller C.
    """
    best = population_concordance(1 - 1e-12, log_hazard_sd)
    if not 1 - best < concordance < best:
        raise ValueError(
            f"pilot.behaviour_truths: a C of {concordance:g} cannot be had, a score without error has "
            f"{best:.3f} where the log hazard has a standard deviation of {log_hazard_sd:g}"
        )
    reach = 1 - 1e-12
    return float(brentq(lambda q: population_concordance(q, log_hazard_sd) - concordance, -reach, reach))


def _simulate(plan: Plan, rng: np.random.Generator, n: int, loadings: list[float]) -> _World:
    rules, shape, sd = plan.pilot, (plan.pilot.behaviour_trials, n), plan.pilot.behaviour_log_hazard_sd
    z, error, own = rng.standard_normal((3, *shape))
    correlation = rules.behaviour_error_correlation
    errors = (error, correlation * error + np.sqrt(1 - correlation**2) * own)
    scores = tuple(q * z + np.sqrt(1 - q**2) * e for q, e in zip(loadings, errors, strict=True))
    rate = _baseline_rate(rules.behaviour_median_months, sd)
    time = rng.exponential(size=shape) / (rate * np.exp(sd * z))
    entry = rng.uniform(0, rules.behaviour_accrual_months, size=shape)
    limit = ndtri(1 - rules.behaviour_nonresponse_share)
    return _World(scores, tuple(score > limit for score in scores), time, entry)


def _baseline_rate(median: float, sd: float) -> float:
    """Find the hazard at z = 0 whose survival, averaged over z, is one half at the median."""

    def excess(log_rate: float) -> float:
        return float(np.sum(_WEIGHTS * np.exp(-np.exp(log_rate + sd * _NODES) * median))) - 0.5

    return float(np.exp(brentq(excess, -np.log(median) - 20, -np.log(median) + 20)))


def _observe(world: _World, plan: Plan, data: str, scanned: np.ndarray) -> tuple[Pilots, np.ndarray]:
    """Return what is compared (of the scanned), and the events known of each pilot (of all)."""
    if data == MATURE:
        seen = np.ones(world.time.shape, dtype=bool)
        return Pilots(world.time, seen, seen & scanned), seen.sum(axis=1)
    month = plan.design.days_per_month
    landmark, offset = plan.pilot.landmark_day / month, plan.pilot.decision_offset_days / month
    follow_up = world.entry.max(axis=1, keepdims=True) + landmark + offset - world.entry
    time, event = np.minimum(world.time, follow_up), world.time <= follow_up
    return Pilots(time, event, (time > landmark) & scanned), event.sum(axis=1)


def _choices(
    world: _World, pilots: Pilots, known: np.ndarray, plan: Plan, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return, for each rule, whether each pilot takes the later day; and which pilots need no fallback."""
    rules, pairs = plan.pilot, pilots.ordered_pairs()
    gain = np.subtract(*(batch_concordance(pairs, score) for score in world.scores[::-1]))
    counts = draw_batch_counts(pilots.kept, rules.behaviour_bootstrap, rng)
    drawn = np.subtract(*(batch_concordance(pairs, score, counts) for score in world.scores[::-1]))
    orderable = np.isfinite(drawn).sum(axis=1)
    support = (drawn > 0).sum(axis=1) / np.maximum(orderable, 1)
    of_score = np.subtract(*(batch_gain(pilots, score) for score in world.scores[::-1]))
    classes = [part.astype(float) for part in world.resistant]
    of_class = np.subtract(*(batch_gain(pilots, part) for part in classes[::-1]))
    agreement = batch_kappa(*world.resistant, pilots.kept)
    reads = {"gain": gain, "gain_score": of_score, "gain_class": of_class}
    later = later_wins(rules, **reads, agreement=agreement, support=support)
    enough = (known >= rules.min_pilot_events) & np.isfinite(gain)
    return {**later, PLAN_RULE: later[rules.rule] & enough}, enough


def _cost(share_later: float, later_is_better: bool, ratio: float) -> float:
    return 1 - share_later if later_is_better else ratio * share_later
