"""Step 03: which of two early days; evidence, decision rules, their behaviour, and what decides nothing."""

from analysis.survival.pilot.behaviour import describe_behaviour, simulate_behaviour, tabulate_costs
from analysis.survival.pilot.lesions import class_changes, count_explained
from analysis.survival.pilot.patients import pair_visits, pilot_subjects
from analysis.survival.pilot.reanalysis import reanalyse, repeats_pilot
from analysis.survival.pilot.rules import choice_by_margin, fallback_choice, rule_choices, tabulate_choices
from analysis.survival.pilot.selection import PilotComparison, compare_days, decide, note_deviations

__all__ = [
    "PilotComparison",
    "choice_by_margin",
    "class_changes",
    "compare_days",
    "count_explained",
    "decide",
    "describe_behaviour",
    "fallback_choice",
    "note_deviations",
    "pair_visits",
    "pilot_subjects",
    "reanalyse",
    "repeats_pilot",
    "rule_choices",
    "simulate_behaviour",
    "tabulate_choices",
    "tabulate_costs",
]
