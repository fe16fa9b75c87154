"""Survival analysis of small studies by R's conventions: arrays and frames in, tidy frames out."""

from analysis.survival.agreement import bland_altman, gwet_ac1, kappa, mcnemar
from analysis.survival.concordance import concordance, concordance_difference
from analysis.survival.cox import cox, partial_log_likelihood
from analysis.survival.cox_batch import cox_batch
from analysis.survival.kaplan_meier import (
    kaplan_meier,
    median_follow_up,
    median_survival,
    numbers_at_risk,
    rmst,
    survival_at,
)
from analysis.survival.landmark import landmark
from analysis.survival.log_rank import log_rank
from analysis.survival.outcome import NotEstimable, to_time_event
from analysis.survival.proportion import proportion, proportion_bounds

__all__ = [
    "NotEstimable",
    "bland_altman",
    "concordance",
    "concordance_difference",
    "cox",
    "cox_batch",
    "gwet_ac1",
    "kaplan_meier",
    "kappa",
    "landmark",
    "log_rank",
    "mcnemar",
    "median_follow_up",
    "median_survival",
    "numbers_at_risk",
    "partial_log_likelihood",
    "proportion",
    "proportion_bounds",
    "rmst",
    "survival_at",
    "to_time_event",
]
