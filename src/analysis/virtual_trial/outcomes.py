"""Outcomes of the virtual trial: who responds, who progresses, and when. No images, no tables.

The data-generating model, in the order in which it is drawn. Every number is a value of the plan's section
``virtual`` (``config`` or ``plan.defaults().override``), days are whole days since first dose, a month has
``days_per_month`` days, and z, e, u are independent standard normal, normal and uniform draws:

1. *Gene.* ``G`` ~ Bernoulli(p), p = planted_prevalence: the planted gene is mutated. All other genes are
   independent of everything below.
2. *Latent sensitivity.* ``S`` has mean 0 and variance 1; a mutation lowers it by ``gene_shift`` standard
   deviations: ``S = -gene_shift (G - p) + sqrt(1 - gene_shift^2 p (1 - p)) z``.
3. *Early metabolic change.* The patient's mean ln ratio of SUVmax at day t in {14, 28} is
   ``m_t = change_mean_t + change_sd (-loading_t S + sqrt(1 - loading_t^2) e_t)`` with corr(e_14, e_28) =
   error_correlation: loading_t is the correlation of the change with -S, and the changes of the two days have
   the correlation ``l_14 l_28 + error_correlation sqrt((1 - l_14^2)(1 - l_28^2))``.
   *Lesions.* A patient has 1, 2, ... lesions with the chances lesion_count_share. Baseline SUVmax is
   log-normal around suv_median (suv_sd, half of its variance between patients), cut off at suv_range. The ln
   ratio of lesion j is m_t plus N(0, lesion_sd), with lesion_correlation between the days. Day-to-day biology
   of uptake is inside these terms; the image adds its noise on top (`add_image_noise`, ratio_noise_cv).
4. *ctDNA at D14* is detected (``D`` = 1) with probability expit(ctdna_logit - ctdna_slope S).
5. *Progression.* With the linear predictor ``eta = -S ln hr_score + D ln hr_ctdna + G ln hr_gene`` and its
   value at average covariates ``a = expit(ctdna_logit) ln hr_ctdna + p ln hr_gene``, the latent time is
   ``T = M (-log2(u) / exp(eta - a))^(1 / pfs_shape)``, M = pfs_median_months: Weibull with baseline hazard
   ``h0(t) = ln 2 pfs_shape t^(pfs_shape - 1) / M^pfs_shape``, hazards proportional, median M where eta =
   a. It is rounded up to a day, first_event_day at the earliest. The metabolic score acts through the
   sensitivity it measures, so a day with the larger loading is the truly better day.
   *Scan grid.* A share death_first_share of first events are deaths, on day T. Any other progression is
   documented at the first RECIST visit on or after T, never between visits; visit k lies on day
   ``k visit_interval_days`` plus a jitter uniform on -visit_jitter_days ... visit_jitter_days.
6. *Death* follows documented progression after an exponential time with median post_progression_months /
   exp(os_attenuation (eta - a)): the same covariate effects to the power os_attenuation.
7. *Calendar and censoring.* The k-th of n registrations comes at accrual_months * u_(k)^accrual_power after
   the first, u_(k) the k-th smallest of n draws; first dose screening_days (uniform, from to) later.
   Administrative censoring at first registration + ``design.cutoff_months``; loss to follow-up is
   exponential with mean lost_mean_months, independent of all else. PFS without event ends at the last visit
   before either, OS at the earlier of the two (`derive_endpoints`). The first ``design.pilot_n`` registered
   are the pilot.

Setting ``hr_score``, ``hr_ctdna`` and ``hr_gene`` to 1 gives the null. What goes wrong in a real trial
(`schedule`, roles) is planted on top of this model in `simulate_outcomes`, and left out of
`analysis.virtual_trial.many_trials`, which draws many trials at once.

Examples
--------
A simulation of one's own: fewer events, a later day that is worth nothing, correlated errors. Columns of
``patients``: the latent MUTATED (G), SENSITIVITY (S), CHANGE_D14 and CHANGE_D28 (m_t), CTDNA_D14 (D),
LINEAR_PREDICTOR (eta), LATENT_DAY (T); what a trial sees: PFSDAYS and PFSEVENT (later than T, by the scan
grid), OSDAYS and OSEVENT; and the calendar. The class of a patient is no part of this model: it is what the
plan's rule (``primary.response_rule``, ``cut_percent``) makes of the measured lesions, SUVMAX_D0 and
LNRATIO_D14, LNRATIO_D28 of ``lesions`` with the image's noise.

>>> import numpy as np
>>> from analysis import plan
>>> from analysis.virtual_trial.outcomes import simulate_course
>>> world = plan.defaults().override({"virtual.pfs_median_months": 9.0, "virtual.loading_d28": 0.0})
>>> course = simulate_course(world.virtual, 40, np.random.default_rng(1), design=world.design)
>>> course.patients[["CHANGE_D14", "CHANGE_D28", "PFSDAYS", "PFSEVENT"]].shape
(40, 4)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis import plan as analysis_plan
from analysis.virtual_trial import scans as pet_scans
from analysis.virtual_trial import schedule
from analysis.virtual_trial.lesions import correlated_pair, simulate_lesions

DAYS = ("D14", "D28")


@dataclass(frozen=True)
class VirtualTrial:
    """One simulated trial: what happened to whom, before anyone wrote it down.

    Attributes
    ----------
    patients : DataFrame
        One row a treated patient: identifiers, covariates, dates (``*DT``), latent truth, and the events a
        correct derivation should find (``PFSDAYS``, ``PFSEVENT``, ``OSDAYS``, ``OSEVENT`` at the data
        cut-off).
    lesions : DataFrame
        One row a lesion: organ, metabolic diameter (mm), baseline SUVmax, true ln ratio at D14 and D28.
    assessments : DataFrame
        One row a RECIST visit: date, and whether progression is documented there and how.
    scans, uptake : DataFrame
        One row a PET scan; one row a scan and lesion (true SUVmax, body weight).
    roles : DataFrame
        Which patient carries which planted untidiness.
    screen_failures : DataFrame
        Registered, never treated.
    effects : dict
        Planted values, for the truth folder.
    """

    patients: pd.DataFrame
    lesions: pd.DataFrame
    assessments: pd.DataFrame
    scans: pd.DataFrame
    uptake: pd.DataFrame
    roles: pd.DataFrame
    screen_failures: pd.DataFrame
    effects: dict[str, Any] = field(default_factory=dict)


def simulate_outcomes(settings=None, n: int | None = None, rng=None, *, design=None) -> VirtualTrial:
    """Simulate one trial of `n` treated patients, with its visits, scans and untidiness.

    Parameters
    ----------
    settings : plan section, optional
        Section ``virtual`` of a plan; the defaults if None.
    n : int, optional
        Treated patients; ``settings.n_patients`` if None. Screen failures come on top.
    rng : numpy.random.Generator, optional
        Source of all randomness; seeded from ``settings.seed`` if None.
    design : plan section, optional
        Section ``design``: size of the pilot and data cut-off.

    Returns
    -------
    VirtualTrial
        The same seed gives the same trial.
    """
    settings = settings if settings is not None else analysis_plan.defaults().virtual
    design = design if design is not None else analysis_plan.defaults().design
    rng = np.random.default_rng(settings.seed) if rng is None else rng
    course = simulate_course(settings, settings.n_patients if n is None else n, rng, design=design)
    patients, roles = course.patients, course.roles
    lesions = pet_scans.add_new_lesions(settings, course.lesions, patients, roles, rng)
    assessments = schedule.list_assessments(settings, patients, lesions, course.visits, roles, rng)
    scans = pet_scans.list_scans(settings, patients, roles, rng)
    scans = pet_scans.rename_lesions(settings, scans, lesions)
    uptake = pet_scans.list_uptake(settings, scans, lesions, rng)
    failures = schedule.list_screen_failures(settings, patients, rng)
    effects = planted_effects(settings)
    return VirtualTrial(patients, lesions, assessments, scans, uptake, roles, failures, effects)


@dataclass(frozen=True)
class Course:
    """What happens to the patients, without scans: enough for operating characteristics.

    `lesions` holds baseline SUVmax and the true ln ratios at D14 and D28; `visits` the days of the RECIST
    visits.
    """

    patients: pd.DataFrame
    lesions: pd.DataFrame
    visits: np.ndarray
    roles: pd.DataFrame


def simulate_course(settings, n: int, rng: np.random.Generator, *, design) -> Course:
    """Simulate response, progression and survival of `n` patients (a few milliseconds; no scans, no tables).

    Parameters are those of `simulate_outcomes`, which starts with this: the same generator gives the same
    patients.
    """
    patients = simulate_latent(settings, n, rng)
    lesions = simulate_lesions(settings, patients, rng)
    patients = schedule.add_calendar(settings, design, patients, lesions, rng)
    patients = simulate_survival(settings, patients, rng)
    visits = visit_days(settings, n, rng)
    patients = document_progression(patients, visits)
    roles = schedule.assign_roles(settings, patients, rng)
    patients = schedule.apply_roles(settings, patients, roles, rng)
    second_day = pet_scans.examined_on_two_days(patients, lesions, roles)
    return Course(derive_endpoints(patients, visits, second_day), lesions, visits, roles)


def simulate_latent(settings, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw gene, sensitivity, patient-level ln ratios and ctDNA of `n` patients (steps 1 to 4)."""
    prevalence, shift = settings.planted_prevalence, settings.gene_shift
    mutated = rng.random(n) < prevalence
    residual_sd = np.sqrt(max(1 - shift**2 * prevalence * (1 - prevalence), 0.0))
    sensitivity = -shift * (mutated - prevalence) + residual_sd * rng.standard_normal(n)
    error_14, error_28 = correlated_pair(n, settings.error_correlation, rng)
    change_14 = patient_change(
        sensitivity, error_14, settings.loading_d14, settings.change_mean_d14, settings
    )
    change_28 = patient_change(
        sensitivity, error_28, settings.loading_d28, settings.change_mean_d28, settings
    )
    detected_14 = rng.random(n) < expit(settings.ctdna_logit - settings.ctdna_slope * sensitivity)
    return pd.DataFrame(
        {
            "MUTATED": mutated,
            "SENSITIVITY": sensitivity,
            "CHANGE_D14": change_14,
            "CHANGE_D28": change_28,
            "CTDNA_D0": detected_14 | (rng.random(n) < settings.ctdna_cleared),
            "CTDNA_D14": detected_14,
            "CTDNA_D28": detected_14 ^ (rng.random(n) < settings.ctdna_flip_d28),
        }
    )


def patient_change(sensitivity, error, loading: float, mean: float, settings):
    """Compute the patient's mean ln ratio of SUVmax from sensitivity and the day's own error (step 3)."""
    return mean + settings.change_sd * (-loading * sensitivity + np.sqrt(1 - loading**2) * error)


def expit(x):
    """Compute the logistic function."""
    return 1.0 / (1.0 + np.exp(-x))


def linear_predictor(settings, patients: pd.DataFrame) -> np.ndarray:
    """Compute the log hazard ratio of each patient against one with S = 0, no ctDNA and no mutation."""
    return (
        -np.log(settings.hr_score) * patients["SENSITIVITY"].to_numpy()
        + np.log(settings.hr_ctdna) * patients["CTDNA_D14"].to_numpy()
        + np.log(settings.hr_gene) * patients["MUTATED"].to_numpy()
    )


def simulate_survival(settings, patients: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Add latent days from first dose: progression, survival after it, loss to follow-up (steps 5 to 7)."""
    n = len(patients)
    predictor = linear_predictor(settings, patients)
    average = (
        np.log(settings.hr_ctdna) * expit(settings.ctdna_logit)
        + np.log(settings.hr_gene) * settings.planted_prevalence
    )
    shape, days_per_month = settings.pfs_shape, settings.days_per_month
    unit = -np.log(rng.random(n)) / np.log(2)
    latent = settings.pfs_median_months * days_per_month * (unit / np.exp(predictor - average)) ** (1 / shape)
    after = settings.post_progression_months * days_per_month * -np.log(rng.random(n)) / np.log(2)
    after = after / np.exp(settings.os_attenuation * (predictor - average))
    lost = rng.exponential(settings.lost_mean_months * days_per_month, n)
    return patients.assign(
        LINEAR_PREDICTOR=predictor,
        LATENT_DAY=np.maximum(np.ceil(latent), settings.first_event_day),
        DEATH_FIRST=rng.random(n) < settings.death_first_share,
        AFTER_DAYS=np.ceil(after),
        LOST_DAY=np.maximum(np.ceil(lost), settings.first_event_day),
    )


def visit_days(settings, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the days (since first dose) of the scheduled RECIST visits, shape (n, settings.n_visits)."""
    planned = settings.visit_interval_days * np.arange(1, settings.n_visits + 1)
    jitter = rng.integers(-settings.visit_jitter_days, settings.visit_jitter_days + 1, (n, settings.n_visits))
    return planned + jitter


def document_progression(patients: pd.DataFrame, visits: np.ndarray) -> pd.DataFrame:
    """Add the day progression is documented (first visit on or after it) and the day of death, or NaN."""
    latent = patients["LATENT_DAY"].to_numpy()
    reached = visits >= latent[:, None]
    documented = np.where(reached.any(axis=1), visits[np.arange(len(visits)), reached.argmax(axis=1)], np.nan)
    documented = np.where(patients["DEATH_FIRST"], np.nan, documented)
    death = np.where(patients["DEATH_FIRST"], latent, documented + patients["AFTER_DAYS"].to_numpy())
    return patients.assign(PD_DAY=documented, DEATH_DAY=death)


def derive_endpoints(patients: pd.DataFrame, visits: np.ndarray, second_day: np.ndarray) -> pd.DataFrame:
    """Add PFS and OS as a correct derivation should find them at the data cut-off.

    PFS counts documented progression or death; otherwise it is censored at the last visit before loss, new
    therapy or cut-off (day 1 if there was none), at the second day of it in patients marked in `second_day`.
    Days follow CDISC: first dose is day 1.
    """
    event_day = np.fmin(patients["PD_DAY"], patients["DEATH_DAY"]).to_numpy()
    horizon = patients[["CUT_DAY", "LOST_DAY", "NACT_DAY"]].min(axis=1).to_numpy()
    event = event_day <= horizon
    seen = (visits <= horizon[:, None]) & ~(
        visits >= np.where(np.isnan(event_day), np.inf, event_day)[:, None]
    )
    last_visit = np.where(seen, visits, 0).max(axis=1)
    last_visit = last_visit + (second_day & (last_visit > 0) & (last_visit < horizon))
    alive_until = patients[["CUT_DAY", "LOST_DAY"]].min(axis=1).to_numpy()
    death = patients["DEATH_DAY"].to_numpy() <= alive_until
    return patients.assign(
        PFSDAYS=np.where(event, event_day, last_visit).astype(int) + 1,
        PFSEVENT=event,
        OSDAYS=np.where(death, patients["DEATH_DAY"], alive_until).astype(int) + 1,
        OSEVENT=death,
    )


def add_image_noise(uptake: pd.DataFrame, ratio_cv: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return `uptake` with SUVMAX as an image would show it: log-normal noise of CV `ratio_cv`.

    Each scan's noise is independent, with CV ``ratio_cv / sqrt(2)``, so that ``ratio_cv`` is the CV of the
    measured over the true ratio of two scans. For simulations without images (operating characteristics).
    """
    noise = rng.normal(0.0, ratio_cv / np.sqrt(2), len(uptake))
    return uptake.assign(SUVMAX=uptake["SUVMAX"].to_numpy() * np.exp(noise))


def planted_effects(settings) -> dict[str, Any]:
    """Collect the planted values that the truth folder states."""
    names = (
        "planted_gene planted_prevalence gene_shift hr_score hr_ctdna hr_gene loading_d14 loading_d28 "
        "error_correlation change_mean_d14 change_mean_d28 change_sd lesion_sd lesion_correlation "
        "ratio_noise_cv pfs_median_months pfs_shape expression_planted"
    )
    better = "D14" if settings.loading_d14 >= settings.loading_d28 else "D28"
    return {name: getattr(settings, name) for name in names.split()} | {"better_day": better}
