"""Survival analysis of small studies by R's conventions: arrays and frames in, tidy frames out.

Arrays, Series and frames are combined by position; Series or frames of one length whose indexes differ are
refused: align them first. Times equal up to rounding are ties, as in R.
"""

from analysis.survival.agreement import bland_altman, gwet_ac1, icc, kappa, mcnemar
from analysis.survival.concordance import concordance, concordance_difference
from analysis.survival.cox import cox, partial_log_likelihood
from analysis.survival.cox_batch import cox_batch
from analysis.survival.cox_prior import cox_prior
from analysis.survival.cox_residuals import leave_one_out, martingale_residuals, schoenfeld_residuals
from analysis.survival.cutpoint import max_selected_log_rank, select_cut
from analysis.survival.interval_censored import weibull_interval
from analysis.survival.kaplan_meier import (
    kaplan_meier,
    median_follow_up,
    median_survival,
    numbers_at_risk,
    survival_at,
)
from analysis.survival.landmark import landmark
from analysis.survival.log_rank import log_rank, log_rank_scores, stratified_log_rank
from analysis.survival.multiverse import joint_permutation_test
from analysis.survival.outcome import NotEstimable, to_time_event
from analysis.survival.permuted import permute_within
from analysis.survival.ph_test import ph_test
from analysis.survival.predictive_values import predictive_values
from analysis.survival.proportion import proportion, proportion_bounds
from analysis.survival.rmst import rmst
from analysis.survival.simex import simex
from analysis.survival.simon_makuch import counting_process, mantel_byar, simon_makuch
from analysis.survival.spline import fit_spline, restricted_cubic_spline
from analysis.survival.time_dependent import brier, time_dependent_auc, time_dependent_auc_difference
from analysis.survival.two_group import fit_two_groups
from analysis.survival.two_stage import Stage, two_stage_test
from analysis.survival.uno import uno_concordance, uno_difference

__all__ = [
    "NotEstimable",
    "Stage",
    "bland_altman",
    "brier",
    "concordance",
    "concordance_difference",
    "counting_process",
    "cox",
    "cox_batch",
    "cox_prior",
    "fit_spline",
    "fit_two_groups",
    "gwet_ac1",
    "icc",
    "joint_permutation_test",
    "kaplan_meier",
    "kappa",
    "landmark",
    "leave_one_out",
    "log_rank",
    "log_rank_scores",
    "mantel_byar",
    "martingale_residuals",
    "max_selected_log_rank",
    "mcnemar",
    "median_follow_up",
    "median_survival",
    "numbers_at_risk",
    "partial_log_likelihood",
    "permute_within",
    "ph_test",
    "predictive_values",
    "proportion",
    "proportion_bounds",
    "restricted_cubic_spline",
    "rmst",
    "schoenfeld_residuals",
    "select_cut",
    "simex",
    "simon_makuch",
    "stratified_log_rank",
    "survival_at",
    "time_dependent_auc",
    "time_dependent_auc_difference",
    "to_time_event",
    "two_stage_test",
    "uno_concordance",
    "uno_difference",
    "weibull_interval",
]
