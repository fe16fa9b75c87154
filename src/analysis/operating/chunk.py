"""One piece of the grid: trials simulated, scanned, decided and analysed together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.operating.analyses import analyse_endpoint
from analysis.operating.cells import Chunk
from analysis.operating.pilot import PLAN_RULE, Choices, choose_days
from analysis.operating.scans import simulate_scans
from analysis.operating.truth import count_patients
from analysis.virtual_trial.many_trials import simulate_trials

# Between the parts of a column's name: endpoint, item and method.
SEPARATOR = "|"
MATURE = "_mature"


def run_chunk(chunk: Chunk) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate and analyse the trials of a chunk.

    Parameters
    ----------
    chunk : Chunk
        From `cells.list_chunks`.

    Returns
    -------
    rows : DataFrame
        One row a trial, columns ``endpoint|item|METHOD``: the items of `analyses.analyse_endpoint`, and of
        the primary endpoint later (1 where a rule takes the later day), fallback, events known on the
        decision date, and analysed (1 where the later day is).
    patients : DataFrame
        From `truth.count_patients`.
    """
    plan, rng = chunk.plan, np.random.default_rng(np.random.SeedSequence(chunk.entropy))
    trials = simulate_trials(plan.virtual, plan.design, chunk.trials, rng)
    scans = simulate_scans(trials, plan, rng)
    choices = choose_days(trials, scans, plan, rng)
    mature = choose_days(trials, scans, plan, rng, mature=True)
    found = {(plan.primary.endpoint, *name): values for name, values in _pilot(choices, mature).items()}
    for endpoint in plan.primary.endpoints:
        estimates = analyse_endpoint(trials, scans, choices, endpoint, plan, rng)
        found |= {(endpoint, *name): values for name, values in estimates.items()}
    rows = pd.DataFrame({SEPARATOR.join(name): values for name, values in found.items()})
    return rows.astype(float), count_patients(trials, scans, plan)


def _pilot(choices: Choices, mature: Choices) -> dict[tuple[str, str], np.ndarray]:
    later = {("later", rule): taken for rule, taken in choices.later.items()}
    later |= {("later", f"{rule}{MATURE}"): taken for rule, taken in mature.later.items()}
    known = {("fallback", PLAN_RULE): choices.fallback, ("events", "decision"): choices.events}
    return {**later, **known, ("analysed", PLAN_RULE): choices.day}
