"""Step 04: the exposure against each endpoint; a module a family of estimates, all rows of one table."""

from analysis.survival.association.adjusted import caution, estimate_adjusted
from analysis.survival.association.cutpoints import (
    estimate_cut_bootstrap,
    estimate_selected_cut,
    estimate_sweep,
)
from analysis.survival.association.diagnostics import estimate_diagnostics, tabulate_diagnostics
from analysis.survival.association.discrimination import estimate_discrimination, estimate_predictive_values
from analysis.survival.association.estimates import estimate_score_effect, reported_test, stack
from analysis.survival.association.families import (
    estimate_baseline,
    estimate_grids,
    estimate_missing,
    estimate_populations,
    estimate_scan_grid,
    estimate_time_zeros,
    tabulate_time_dependent_curves,
)
from analysis.survival.association.misclassification import estimate_misclassification
from analysis.survival.association.pilot_choice import estimate_pilot_choice
from analysis.survival.association.readers import describe_readers, estimate_reader_agreement
from analysis.survival.association.sets import (
    analysis_set,
    estimate_response_proportion,
    gate,
    is_post_hoc,
    main_analysis,
)
from analysis.survival.association.specification_choices import list_specifications, needed_classes
from analysis.survival.association.specifications import SpecificationCurve, estimate_specifications
from analysis.survival.association.splines import estimate_spline
from analysis.survival.association.study import (
    AnalysisSets,
    Cohort,
    choose_timepoint,
    estimate_main,
    prepare,
    tabulate_landmark_curves,
    tabulate_sets,
)

__all__ = [
    "AnalysisSets",
    "Cohort",
    "SpecificationCurve",
    "analysis_set",
    "caution",
    "choose_timepoint",
    "describe_readers",
    "estimate_adjusted",
    "estimate_baseline",
    "estimate_cut_bootstrap",
    "estimate_diagnostics",
    "estimate_discrimination",
    "estimate_grids",
    "estimate_main",
    "estimate_misclassification",
    "estimate_missing",
    "estimate_pilot_choice",
    "estimate_populations",
    "estimate_predictive_values",
    "estimate_reader_agreement",
    "estimate_response_proportion",
    "estimate_scan_grid",
    "estimate_score_effect",
    "estimate_selected_cut",
    "estimate_specifications",
    "estimate_spline",
    "estimate_sweep",
    "estimate_time_zeros",
    "gate",
    "is_post_hoc",
    "list_specifications",
    "main_analysis",
    "needed_classes",
    "prepare",
    "reported_test",
    "stack",
    "tabulate_diagnostics",
    "tabulate_landmark_curves",
    "tabulate_sets",
    "tabulate_time_dependent_curves",
]
