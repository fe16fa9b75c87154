"""Tables a reader meets: number formats in one place, table one, tables of estimates.

A table is a frame of ready text: what stands in the report, the notebook and the CSV is the same string.
"""

from analysis.tables.alternatives import Alternatives, list_alternatives
from analysis.tables.baseline import Characteristic, tabulate_baseline
from analysis.tables.biomarker_sentences import (
    say_acquired,
    say_burden,
    say_combined,
    say_ctdna,
    say_families,
    say_lead_time,
    say_lesions,
    say_profile,
    say_rows,
    say_screen,
)
from analysis.tables.biomarker_words import in_study_words
from analysis.tables.biomarkers import (
    markers_html,
    nonresponders_in_words,
    tabulate_biomarkers,
    tabulate_profile,
)
from analysis.tables.choice_sentences import say_choice_correction, say_decision
from analysis.tables.cox_table import note_cox, tabulate_cox
from analysis.tables.deviation_table import (
    can_tabulate,
    note_deviations,
    say_deviations,
    tabulate_deviations,
)
from analysis.tables.disease_burden import burden_characteristics, measure_burden
from analysis.tables.estimates import (
    add_reported_test,
    estimates_html,
    is_effect,
    is_ratio,
    list_estimates,
    name_analyses,
    say_alternatives,
    tabulate_estimates,
    tabulate_values,
)
from analysis.tables.format import (
    NothingToTabulate,
    count_percent,
    fall,
    interval,
    number,
    p_text,
    p_value,
    percent,
    proportion,
    ratio,
    signed_percent,
)
from analysis.tables.marker_pairs import acquired_html, pairs_html
from analysis.tables.marker_print import name_curve, note_markers, print_markers
from analysis.tables.operating_sentences import say_operating
from analysis.tables.operating_table import tabulate_operating, tabulate_planning
from analysis.tables.pilot_sentences import say_choice, say_later, say_rule
from analysis.tables.planning_sentences import say_planning
from analysis.tables.present import to_great_table, to_html, to_left
from analysis.tables.rates import tabulate_rates
from analysis.tables.remark import fill_remark
from analysis.tables.response_table import note_metabolic, tabulate_best_response, tabulate_metabolic
from analysis.tables.robustness_sentences import say_attenuation, say_misclassification, say_specifications
from analysis.tables.sensitivity_table import note_sensitivity, tabulate_sensitivity
from analysis.tables.sentences import say_landmark_losses, say_main, say_medians, say_proportion
from analysis.tables.specification_table import tabulate_left_out
from analysis.tables.survival_summary import note_survival, tabulate_survival
from analysis.tables.words import label_of, phrase_of

__all__ = [
    "Alternatives",
    "Characteristic",
    "NothingToTabulate",
    "acquired_html",
    "add_reported_test",
    "burden_characteristics",
    "can_tabulate",
    "count_percent",
    "estimates_html",
    "fall",
    "fill_remark",
    "in_study_words",
    "interval",
    "is_effect",
    "is_ratio",
    "label_of",
    "list_alternatives",
    "list_estimates",
    "markers_html",
    "measure_burden",
    "name_analyses",
    "name_curve",
    "nonresponders_in_words",
    "note_cox",
    "note_deviations",
    "note_markers",
    "note_metabolic",
    "note_sensitivity",
    "note_survival",
    "number",
    "p_text",
    "p_value",
    "pairs_html",
    "percent",
    "phrase_of",
    "print_markers",
    "proportion",
    "ratio",
    "say_acquired",
    "say_alternatives",
    "say_attenuation",
    "say_burden",
    "say_choice",
    "say_choice_correction",
    "say_combined",
    "say_ctdna",
    "say_decision",
    "say_deviations",
    "say_families",
    "say_landmark_losses",
    "say_later",
    "say_lead_time",
    "say_lesions",
    "say_main",
    "say_medians",
    "say_misclassification",
    "say_operating",
    "say_planning",
    "say_profile",
    "say_proportion",
    "say_rows",
    "say_rule",
    "say_screen",
    "say_specifications",
    "signed_percent",
    "tabulate_baseline",
    "tabulate_best_response",
    "tabulate_biomarkers",
    "tabulate_cox",
    "tabulate_deviations",
    "tabulate_estimates",
    "tabulate_left_out",
    "tabulate_metabolic",
    "tabulate_operating",
    "tabulate_planning",
    "tabulate_profile",
    "tabulate_rates",
    "tabulate_sensitivity",
    "tabulate_survival",
    "tabulate_values",
    "to_great_table",
    "to_html",
    "to_left",
]
