"""The size a trial needs: Schoenfeld's formula and simulation side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis import contracts
from analysis.plan import Plan
from analysis.survival.power import event_probability, group_hazards, schoenfeld_events
from analysis.survival.two_group import fit_two_groups

# Trials simulated together: a matter of memory. The sizes tried, as shares of a first guess.
_TOGETHER = 250
_TRIED = (0.75, 0.9, 1.0, 1.15, 1.35)
_ROUNDS = 5


@dataclass(frozen=True)
class Design:
    """A two-group comparison with uniform accrual and exponential times, as it is planned.

    Attributes
    ----------
    hazard_ratio : float
        Hazard of the exposed (non-responders) over that of the others.
    share_exposed : float
        Share of exposed patients; who is exposed is drawn, not fixed.
    median, accrual, follow_up, loss_mean : float
        Median event-free time of all patients, time of accrual, follow-up of the last patient, mean time to
        loss; in one unit.
    interval : float
        Time between scans, the first one interval after time zero; 0 where an event is seen when it occurs.
    alpha : float
        Two-sided level of the log-rank test.
    """

    hazard_ratio: float
    share_exposed: float
    median: float
    accrual: float
    follow_up: float
    loss_mean: float = np.inf
    interval: float = 0.0
    alpha: float = 0.05

    @property
    def event_probability(self) -> float:
        """Probability that a patient's event occurs in time to be seen."""
        times = {"median": self.median, "accrual": self.accrual, "follow_up": self.follow_up}
        return event_probability(self.hazard_ratio, self.share_exposed, **times, loss_mean=self.loss_mean)


def plan_size(
    plan: Plan, rng: np.random.Generator, *, report: Callable[[str, int, int], None] | None = None
) -> pd.DataFrame:
    """Tabulate the events and patients a trial needs, by Schoenfeld's formula and by simulation.

    Parameters
    ----------
    plan : Plan
        Sections ``planning``, ``primary`` (level) and ``virtual`` (loss to follow-up, interval of scans).
    rng : numpy.random.Generator
        Source of all randomness; all effects and methods share their random numbers, so that what differs
        between two rows is not chance.
    report : callable, optional
        Called with what is counted, effects done and effects in all.

    Returns
    -------
    DataFrame
        Contract ``planning``: three rows a hazard ratio, in rising order. PATIENTS are those analysed from
        the landmark, fewer than are enrolled; missing where no size near the formula's could be found. FOUND
        is the simulated power at the formula's size. The hazard ratio is that of the measured classes, which
        measurement error has already changed.

    Raises
    ------
    ValueError
        For values no trial can have (a hazard ratio of 1, a share of 0; see `survival.power`).

    Notes
    -----
    ``simulation`` sees events when they occur, ``simulation_grid`` only on scans: a patient who progresses
    counts from her next scan, or is censored at the last one before the end of follow-up. Deaths without
    progression, which are seen between scans, are left out, so the grid costs a little less than this.
    """
    settings = plan.planning
    ratios = sorted({settings.hazard_ratio, *settings.hazard_ratios_shown})
    seed, rows = int(rng.integers(2**63)), []
    for done, hazard_ratio in enumerate(ratios, start=1):
        rows += _plan_rows(plan, hazard_ratio, seed)
        if report is not None:
            report("planned effects", done, len(ratios))
    return pd.DataFrame(rows, columns=list(contracts.CONTRACTS["planning"].columns))


def describe_groups(plan: Plan) -> pd.DataFrame:
    """Tabulate what the planned hazard ratios mean for the two groups, given the median of all patients.

    Parameters
    ----------
    plan : Plan
        As for `plan_size`.

    Returns
    -------
    DataFrame
        HR; MEDIAN_RESPONDER and MEDIAN_NONRESPONDER, months; STILL_NONRESPONDER, share of non-responders
        among those event-free at the median of all; EVENT_SHARE, probability of an event by the end.
    """
    settings, rows = plan.planning, []
    share, median = settings.nonresponse_share, settings.median_months
    for ratio in sorted({settings.hazard_ratio, *settings.hazard_ratios_shown}):
        design = _design_of(plan, ratio)
        responder, nonresponder = group_hazards(ratio, share, median)
        # Half of all patients are event-free at the median.
        still = share * np.exp(-nonresponder * median) / 0.5
        medians = np.log(2) / np.array([responder, nonresponder])
        rows.append((ratio, *medians, still, design.event_probability))
    names = ["HR", "MEDIAN_RESPONDER", "MEDIAN_NONRESPONDER", "STILL_NONRESPONDER", "EVENT_SHARE"]
    return pd.DataFrame(rows, columns=names)


def simulate_power(design: Design, sizes: Sequence[int], trials: int, seed: int) -> pd.DataFrame:
    """Simulate trials of several sizes and count how often the two-sided log-rank test rejects.

    Parameters
    ----------
    design : Design
        The comparison.
    sizes : sequence of int
        Patients; a smaller trial is the first patients of the larger one (common random numbers).
    trials : int
        Simulated trials.
    seed : int
        The same seed gives the same patients to every design.

    Returns
    -------
    DataFrame
        One row a size: PATIENTS, POWER, SE (Monte Carlo), EVENTS (mean).
    """
    rejected, events = np.zeros(len(sizes)), np.zeros(len(sizes))
    critical = norm.isf(design.alpha / 2)
    for piece, start in enumerate(range(0, trials, _TOGETHER)):
        rng = np.random.default_rng([seed, piece])
        time, event, exposed = _draw(design, max(sizes), min(_TOGETHER, trials - start), rng)
        for place, n in enumerate(sizes):
            found = fit_two_groups(time[:, :n], event[:, :n], exposed[:, :n])
            rejected[place] += np.sum(np.abs(found["score_z"]) > critical)
            events[place] += event[:, :n].sum()
    power = rejected / trials
    error = np.sqrt(power * (1 - power) / trials)
    return pd.DataFrame({"PATIENTS": sizes, "POWER": power, "SE": error, "EVENTS": events / trials})


def invert_power(tried: pd.DataFrame, power: float, trials: float) -> float:
    """Find the patients at which a weighted probit line in sqrt(patients) reaches a power.

    Parameters
    ----------
    tried : DataFrame
        PATIENTS POWER, two sizes or more.
    power : float
        Power to be reached.
    trials : float
        Simulated trials of each size.

    Returns
    -------
    float
        Patients, not rounded; missing where the line does not rise to it.
    """
    rate = tried["POWER"].clip(0.5 / trials, 1 - 0.5 / trials)
    probit = norm.ppf(rate)
    weight = norm.pdf(probit) / np.sqrt(rate * (1 - rate))
    slope, start = np.polyfit(np.sqrt(tried["PATIENTS"]), probit, 1, w=weight)
    root = (norm.ppf(power) - start) / slope if slope > 0 else np.nan
    return float(root**2) if root > 0 else np.nan


def _plan_rows(plan: Plan, hazard_ratio: float, seed: int) -> list[dict]:
    settings = plan.planning
    values = {
        "HR": hazard_ratio,
        "SHARE": settings.nonresponse_share,
        "ACCRUAL": settings.accrual_months,
        "FOLLOWUP": settings.follow_up_months,
        "MEDIAN": settings.median_months,
        "POWER": settings.power,
    }
    exact = _design_of(plan, hazard_ratio)
    shares = {"power": settings.power, "alpha": exact.alpha}
    events = schoenfeld_events(hazard_ratio, settings.nonresponse_share, **shares)
    patients = int(np.ceil(np.ceil(events) / exact.event_probability))
    rows = [{**values, "METHOD": "schoenfeld", "EVENTS": np.ceil(events), "PATIENTS": patients}]
    on_scans = replace(exact, interval=plan.virtual.visit_interval_days / plan.virtual.days_per_month)
    for method, design in (("simulation", exact), ("simulation_grid", on_scans)):
        found = _find_size(design, patients, settings.power, settings.trials, seed)
        rows.append({**values, "METHOD": method, "TRIALS": settings.trials, **found})
    return rows


def _design_of(plan: Plan, hazard_ratio: float) -> Design:
    settings = plan.planning
    times = (settings.median_months, settings.accrual_months, settings.follow_up_months)
    loss = plan.virtual.lost_mean_months
    return Design(hazard_ratio, settings.nonresponse_share, *times, loss, alpha=plan.primary.alpha)


def _find_size(design: Design, guess: int, power: float, trials: int, seed: int) -> dict[str, float]:
    """Find the patients needed near `guess`, and the power at `guess` itself."""
    tried = simulate_power(design, _sizes_about(guess), trials, seed)
    at_guess = tried.loc[tried["PATIENTS"].eq(guess)].iloc[0]
    found = {"FOUND": at_guess["POWER"], "SE": at_guess["SE"], "PATIENTS": np.nan, "EVENTS": np.nan}
    for _ in range(_ROUNDS):
        needed = invert_power(tried, power, trials)
        if not np.isfinite(needed):
            return found
        if tried["PATIENTS"].min() <= needed <= tried["PATIENTS"].max():
            share = tried["EVENTS"].sum() / tried["PATIENTS"].sum()
            return {**found, "PATIENTS": np.ceil(needed), "EVENTS": np.round(np.ceil(needed) * share)}
        tried = simulate_power(design, _sizes_about(int(np.ceil(needed))), trials, seed)
    return found


def _sizes_about(guess: int) -> list[int]:
    return sorted({max(2, round(share * guess)) for share in _TRIED} | {guess})


def _draw(design: Design, n: int, trials: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Draw time, event and exposure of trials of `n` patients; fewer patients are the first of them."""
    chance = rng.random((n, 4, trials))
    exposed, latent, entry, lost = (np.ascontiguousarray(chance[:, k].T) for k in range(4))
    exposed = exposed < design.share_exposed
    hazards = np.array(group_hazards(design.hazard_ratio, design.share_exposed, design.median))
    latent = -np.log1p(-latent) / hazards[exposed.astype(int)]
    horizon = design.follow_up + design.accrual * entry
    if np.isfinite(design.loss_mean):
        horizon = np.minimum(horizon, -design.loss_mean * np.log1p(-lost))
    if design.interval:
        # In numbers of scans, which are whole: equal times are exact ties.
        latent, horizon = np.ceil(latent / design.interval), np.floor(horizon / design.interval)
    event = latent <= horizon
    return np.where(event, latent, horizon), event, exposed
