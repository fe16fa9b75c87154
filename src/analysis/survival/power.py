"""What a trial of this size finds, and the size a trial needs: Schoenfeld's formula, expected events."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from analysis.survival.outcome import check_alpha


def schoenfeld_power(events: int, share_exposed: float, hazard_ratio: float, *, alpha: float = 0.05) -> float:
    """Return the power of the log-rank test under proportional hazards.

    Parameters
    ----------
    events : int
        Events in both groups.
    share_exposed : float
        Share of the patients in one group, 0 to 1.
    hazard_ratio : float
        The effect to be found; its direction does not matter.
    alpha : float
        Two-sided level.

    Returns
    -------
    float
        Power, 0 to 1; missing if a group is empty.

    Raises
    ------
    ValueError
        For an alpha out of range.

    References
    ----------
    Schoenfeld, Biometrika 1981: events = (z_alpha/2 + z_power)^2 / (p (1 - p) ln(HR)^2).

    Examples
    --------
    >>> round(schoenfeld_power(43, 1 / 3, 2.5), 2)
    0.81
    """
    alpha = check_alpha(alpha)
    if not 0 < share_exposed < 1:
        return float("nan")
    drift = abs(np.log(hazard_ratio)) * np.sqrt(events * share_exposed * (1 - share_exposed))
    return float(norm.cdf(drift - norm.isf(alpha / 2)))


def schoenfeld_events(
    hazard_ratio: float, share_exposed: float, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Return the events in both groups at which the log-rank test finds `hazard_ratio` with `power`.

    Not for a hazard ratio that changes over time, and too hopeful for a large one in unequal groups: the
    formula holds near a hazard ratio of 1, where the shares of those at risk stay what they were.

    Parameters
    ----------
    hazard_ratio : float
        The effect to be found; its direction does not matter.
    share_exposed : float
        Share of the patients in one group, between 0 and 1.
    power : float
        Power to be reached, between `alpha` / 2 and 1.
    alpha : float
        Two-sided level.

    Returns
    -------
    float
        Events, not rounded; a trial needs the next whole number.

    Raises
    ------
    ValueError
        For a share, power or alpha out of range, or a hazard ratio of 1, which no size finds.

    References
    ----------
    Schoenfeld, Biometrics 1983;39:499-503.

    Examples
    --------
    >>> round(schoenfeld_events(2.0, 1 / 3, power=0.8, alpha=0.05), 1)
    73.5
    """
    alpha = check_alpha(alpha)
    _check_effect(hazard_ratio, share_exposed)
    if hazard_ratio == 1:
        raise ValueError(
            "no number of events finds a hazard ratio of 1: give the effect the trial should find"
        )
    if not alpha / 2 < power < 1:
        raise ValueError(f"power must lie between alpha / 2 = {alpha / 2:g} and 1, found {power!r}")
    reach = norm.isf(alpha / 2) + norm.ppf(power)
    return float(reach**2 / (share_exposed * (1 - share_exposed) * np.log(hazard_ratio) ** 2))


def group_hazards(hazard_ratio: float, share_exposed: float, median: float) -> tuple[float, float]:
    """Return the constant hazards of the unexposed and the exposed whose mixture has the given median.

    The median of all patients and the hazard ratio fix both hazards: the larger the ratio, the lower the
    hazard of the unexposed. The mixture itself has no constant hazard, as the exposed leave it earlier.

    Parameters
    ----------
    hazard_ratio : float
        Hazard of the exposed over that of the unexposed.
    share_exposed : float
        Share of exposed patients, between 0 and 1.
    median : float
        Time by which half of all patients have the event.

    Returns
    -------
    tuple of float
        Hazards of the unexposed and of the exposed, events a unit of time; their medians are ln 2 over them.

    Raises
    ------
    ValueError
        For a hazard ratio or median that is not positive, or a share that is not between 0 and 1.

    Examples
    --------
    >>> [round(hazard, 4) for hazard in group_hazards(1.0, 0.5, 4.0)]
    [0.1733, 0.1733]
    """
    _check_effect(hazard_ratio, share_exposed)
    if not 0 < median < np.inf:
        raise ValueError(f"the median must be a positive time, found {median!r}")

    def surplus(log_hazard: float) -> float:
        hazard = np.exp(log_hazard) * median
        alive = share_exposed * np.exp(-hazard * hazard_ratio) + (1 - share_exposed) * np.exp(-hazard)
        return alive - 0.5

    # With a common hazard ln 2 / median half are left; each group's hazard alone brackets the mixture's.
    common = np.log(np.log(2) / median)
    ends = sorted((common, common - np.log(hazard_ratio)))
    base = ends[0] if ends[0] == ends[1] else brentq(surplus, *ends, xtol=1e-14, rtol=1e-14)
    return float(np.exp(base)), float(np.exp(base) * hazard_ratio)


def event_probability(
    hazard_ratio: float,
    share_exposed: float,
    *,
    median: float,
    accrual: float,
    follow_up: float,
    loss_mean: float = np.inf,
) -> float:
    """Return the probability that a patient's event is seen by the end of the trial.

    Patients enter uniformly over `accrual`, the last is followed for `follow_up`; times to the event are
    exponential in both groups (`group_hazards`), and so is loss to follow-up. All times in one unit.

    Parameters
    ----------
    hazard_ratio, share_exposed, median : float
        As for `group_hazards`.
    accrual, follow_up : float
        Time of entry of the last patient, and what remains after it; at least 0.
    loss_mean : float
        Mean time to loss to follow-up; infinite where nobody is lost.

    Returns
    -------
    float
        Probability, 0 to 1: patients times it are the expected events.

    Raises
    ------
    ValueError
        As `group_hazards`; for negative times, or a mean time to loss that is not positive.

    References
    ----------
    Lachin and Foulkes, Biometrics 1986;42:507-19, equation 4.1.

    Examples
    --------
    One hazard of ln 2 / 4, everybody followed for the median:

    >>> round(event_probability(1.0, 0.5, median=4.0, accrual=0.0, follow_up=4.0), 6)
    0.5
    """
    if not (0 <= accrual < np.inf and 0 <= follow_up < np.inf and loss_mean > 0):
        raise ValueError(
            "accrual and follow-up must be at least 0 and the mean time to loss positive, found "
            f"{accrual!r}, {follow_up!r} and {loss_mean!r}"
        )
    hazards = np.array(group_hazards(hazard_ratio, share_exposed, median))
    leaving = hazards + 1 / loss_mean
    # exp(-leaving (follow_up + u)) averaged over u, uniform on 0 to accrual
    entered = -np.expm1(-leaving * accrual) / (leaving * accrual) if accrual else 1.0
    seen = hazards / leaving * (1 - np.exp(-leaving * follow_up) * entered)
    return float((1 - share_exposed) * seen[0] + share_exposed * seen[1])


def _check_effect(hazard_ratio: float, share_exposed: float) -> None:
    if not 0 < hazard_ratio < np.inf:
        raise ValueError(f"a hazard ratio must be positive, found {hazard_ratio!r}")
    if not 0 < share_exposed < 1:
        raise ValueError(f"the share of exposed patients must lie between 0 and 1, found {share_exposed!r}")
