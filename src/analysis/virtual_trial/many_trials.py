"""Many virtual trials at once, as arrays: the model of `outcomes`, without scans, tables and untidiness.

The formulas are those of `outcomes.simulate_course`, applied to the patients of all trials together: a trial
takes some 0.2 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.virtual_trial import schedule
from analysis.virtual_trial.lesions import simulate_lesions
from analysis.virtual_trial.outcomes import (
    derive_endpoints,
    document_progression,
    simulate_latent,
    simulate_survival,
    visit_days,
)


@dataclass(frozen=True)
class Trials:
    """Simulated trials; a row of an array is a trial, a column a patient in order of registration.

    Attributes
    ----------
    patients : dict of ndarray, each of shape (trials, n)
        PILOT; REGISTERED_DAY and TREATED_DAY (since the first registration of the trial); since first dose:
        CUT_DAY (data cut-off), LOST_DAY, LATENT_DAY (progression, or death where DEATH_FIRST), PD_DAY
        (documented) and DEATH_DAY, missing where there is none; PFSDAYS, OSDAYS (first dose is day 1) with
        PFSEVENT, OSEVENT as they are at the cut-off; MUTATED, SENSITIVITY, CHANGE_D14, CHANGE_D28,
        CTDNA_D14, LINEAR_PREDICTOR and the rest of `outcomes`.
    lesions : DataFrame
        One row a lesion, as `lesions.simulate_lesions`; ROW is the place of its patient among the
        ``trials * n`` of all trials, trial by trial.
    visits : ndarray of int, shape (trials, n, visits)
        Days of the scheduled RECIST visits since first dose; who still comes is for the reader to see.
    """

    patients: dict[str, np.ndarray]
    lesions: pd.DataFrame
    visits: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Trials, and patients a trial."""
        return self.visits.shape[:2]


def simulate_trials(settings, design, trials: int, rng: np.random.Generator) -> Trials:
    """Simulate response, progression, survival and calendar of many trials by the model of `outcomes`.

    Not the trials that `outcomes.simulate_course` gives for the same generator: the draws come in another
    order, and nothing is untidy (nobody withdraws, changes therapy or lacks a visit).

    Parameters
    ----------
    settings : plan section
        Section ``virtual``: the model, and `n_patients` of each trial.
    design : plan section
        Section ``design``: pilot_n and cutoff_months.
    trials : int
        How many.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    Trials
        The same generator gives the same trials.

    Examples
    --------
    An outside simulation: a trial of 200 without effect of anything, everybody event-free half as long.

    >>> from analysis import plan
    >>> null = {f"virtual.hr_{name}": 1.0 for name in ("score", "ctdna", "gene")}
    >>> size = {"virtual.n_patients": 200, "virtual.pfs_median_months": 1.65}
    >>> world = plan.defaults().override({**null, **size})
    >>> found = simulate_trials(world.virtual, world.design, 3, np.random.default_rng(1))
    >>> found.shape, found.patients["PFSEVENT"].shape, found.patients["PILOT"][0].sum().item()
    ((3, 200), (3, 200), 30)
    """
    shape = (trials, settings.n_patients)
    size = trials * settings.n_patients
    patients = simulate_latent(settings, size, rng)
    lesions = simulate_lesions(settings, patients, rng)
    patients = patients.assign(**_calendar(settings, design, shape, rng))
    patients = simulate_survival(settings, patients, rng)
    visits = visit_days(settings, size, rng)
    patients = document_progression(patients, visits)
    patients = derive_endpoints(patients, visits, np.zeros(size, dtype=bool))
    arrays = {
        name: column.to_numpy().reshape(shape) for name, column in patients.items() if name != "NACT_DAY"
    }
    return Trials(arrays, lesions, visits.reshape(*shape, -1))


def _calendar(settings, design, shape: tuple[int, int], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw registration and first dose of every patient; nobody starts a new therapy."""
    registered = schedule.registration_days(settings, rng.random(shape))
    treated = registered + rng.integers(*settings.screening_days, shape, endpoint=True)
    first = pd.Timestamp(settings.first_registration)
    cut = (schedule.data_cutoff(settings, design) - first).days
    columns = {
        "PILOT": np.broadcast_to(np.arange(shape[1]) < design.pilot_n, shape),
        "REGISTERED_DAY": registered,
        "TREATED_DAY": treated,
        "CUT_DAY": cut - treated,
        "NACT_DAY": np.full(shape, np.nan),
    }
    return {name: values.ravel() for name, values in columns.items()}
