"""The true hazard ratio of each day: one Cox model on the patients of all trials of a cell together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.operating.follow import follow
from analysis.operating.scans import Scans
from analysis.plan import Plan
from analysis.survival.two_group import fit_two_groups
from analysis.virtual_trial.many_trials import Trials

COLUMNS = ["ENDPOINT", "TIMEPOINT", "TIME", "EVENT", "EXPOSED", "PATIENTS"]


def count_patients(trials: Trials, scans: Scans, plan: Plan) -> pd.DataFrame:
    """Count the patients of all trials by day, endpoint, time from the landmark, event and class.

    Parameters
    ----------
    trials, scans : Trials, Scans
        The virtual trials and their scans.
    plan : Plan
        Sections design, primary and survival.

    Returns
    -------
    DataFrame
        ENDPOINT TIMEPOINT TIME (days) EVENT EXPOSED PATIENTS: enough for a Cox model, and small.
    """
    parts = []
    for endpoint in plan.primary.endpoints:
        for later, visit in enumerate(plan.design.followup_visits):
            part = follow(trials, scans, bool(later), endpoint, plan)
            inside = np.isfinite(part.time)
            rows = np.column_stack([part.time[inside], part.event[inside], part.exposed[inside]])
            values, counts = np.unique(rows, axis=0, return_counts=True)
            table = pd.DataFrame(values, columns=["TIME", "EVENT", "EXPOSED"])
            parts.append(table.assign(ENDPOINT=endpoint, TIMEPOINT=visit, PATIENTS=counts.astype(float)))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def pool_truth(counts: pd.DataFrame, *, ties: str, alpha: float) -> pd.DataFrame:
    """Estimate the hazard ratio that trials of endless size, followed as these, would find.

    Where the hazards are not proportional (the classes hold patients of unlike risk, and visits delay what is
    seen) this is the average that a Cox model of a trial estimates too.

    Parameters
    ----------
    counts : DataFrame
        From `count_patients`, of any number of pieces.
    ties : str
        Treatment of ties, as in the trials.
    alpha : float
        One minus the level of the limits the Monte Carlo error is taken from.

    Returns
    -------
    DataFrame
        ENDPOINT TIMEPOINT COEF (ln hazard ratio) SE; missing where it cannot be estimated.
    """
    rows = []
    for (endpoint, visit), part in counts.groupby(["ENDPOINT", "TIMEPOINT"], sort=False):
        patients = part.loc[part.index.repeat(part["PATIENTS"].astype(int))]
        fit = fit_two_groups(
            patients["TIME"], patients["EVENT"], [patients["EXPOSED"]], ties=ties, alpha=alpha
        ).iloc[0]
        error = (fit["upper"] - fit["lower"]) / (2 * norm.isf(alpha / 2))
        rows.append((endpoint, visit, fit["coef"], error))
    return pd.DataFrame(rows, columns=["ENDPOINT", "TIMEPOINT", "COEF", "SE"])
