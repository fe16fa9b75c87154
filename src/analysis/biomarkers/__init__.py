"""Biomarkers of resistance: tumour and serial plasma against early metabolic response and outcome."""

from analysis.biomarkers.acquired import compare_acquired
from analysis.biomarkers.adbm import DerivedMarkers, derive_adbm, select_variants
from analysis.biomarkers.association import estimate_associations, select_markers
from analysis.biomarkers.burden import estimate_burden
from analysis.biomarkers.clearance import estimate_clearance, tabulate_clearance_curves
from analysis.biomarkers.combined import estimate_combined
from analysis.biomarkers.courses import tabulate_courses
from analysis.biomarkers.ctdna import estimate_ctdna, tabulate_ctdna_curves
from analysis.biomarkers.expression import estimate_expression, estimate_signatures, prepare_expression
from analysis.biomarkers.files.cbioportal import CbioportalStudy, read_cbioportal
from analysis.biomarkers.files.course_table import read_course_table
from analysis.biomarkers.files.maf import Variants, read_maf
from analysis.biomarkers.files.plasma_table import read_plasma, write_plasma
from analysis.biomarkers.files.subject_table import read_subject_table
from analysis.biomarkers.files.textfile import FileRefused
from analysis.biomarkers.files.tumour_folder import read_tumour_folder
from analysis.biomarkers.files.vcf import read_vcf
from analysis.biomarkers.files.writers import write_cbioportal, write_maf
from analysis.biomarkers.gather import (
    complete,
    join_analyses,
    list_progressed,
    rank_markers,
    read_plasma_if_there,
    select_drawn_curves,
    stack_curves,
    stack_exclusions,
    stack_queries,
)
from analysis.biomarkers.identity import check_identity
from analysis.biomarkers.layers import stack_estimates, tabulate_layers
from analysis.biomarkers.lead_time import estimate_lead_time, tabulate_lead_times
from analysis.biomarkers.lesion_progression import (
    estimate_lesion_progression,
    tabulate_lesions_at_progression,
)
from analysis.biomarkers.levels import estimate_levels, select_levels
from analysis.biomarkers.mapped_course import axis_of, estimate_mapped_course, name_model, tabulate_drawn
from analysis.biomarkers.multiplicity import bh, westfall_young
from analysis.biomarkers.nonresponders import list_nonresponders
from analysis.biomarkers.outcomes import assemble_outcomes, landmark_outcomes
from analysis.biomarkers.overview import tabulate_alterations, tabulate_tracks, tabulate_trajectories
from analysis.biomarkers.paired_samples import compare_samples
from analysis.biomarkers.pathways import select_pathways
from analysis.biomarkers.plasma import (
    classify_clearance,
    select_visit,
    tabulate_clearance,
    tabulate_pet_by_ctdna,
)
from analysis.biomarkers.profile import profile_nonresponders
from analysis.biomarkers.ready_markers import estimate_ready_changes, estimate_ready_levels
from analysis.biomarkers.remark_facts import collect_facts
from analysis.biomarkers.rows import Analysis, as_rows, stack_rows
from analysis.biomarkers.screening import screen_expression
from analysis.biomarkers.signatures import score_signatures
from analysis.biomarkers.trajectories import estimate_course, estimate_trajectories

__all__ = [
    "Analysis",
    "CbioportalStudy",
    "DerivedMarkers",
    "FileRefused",
    "Variants",
    "as_rows",
    "assemble_outcomes",
    "axis_of",
    "bh",
    "check_identity",
    "classify_clearance",
    "collect_facts",
    "compare_acquired",
    "compare_samples",
    "complete",
    "derive_adbm",
    "estimate_associations",
    "estimate_burden",
    "estimate_clearance",
    "estimate_combined",
    "estimate_course",
    "estimate_ctdna",
    "estimate_expression",
    "estimate_lead_time",
    "estimate_lesion_progression",
    "estimate_levels",
    "estimate_mapped_course",
    "estimate_ready_changes",
    "estimate_ready_levels",
    "estimate_signatures",
    "estimate_trajectories",
    "join_analyses",
    "landmark_outcomes",
    "list_nonresponders",
    "list_progressed",
    "name_model",
    "prepare_expression",
    "profile_nonresponders",
    "rank_markers",
    "read_cbioportal",
    "read_course_table",
    "read_maf",
    "read_plasma",
    "read_plasma_if_there",
    "read_subject_table",
    "read_tumour_folder",
    "read_vcf",
    "score_signatures",
    "screen_expression",
    "select_drawn_curves",
    "select_levels",
    "select_markers",
    "select_pathways",
    "select_variants",
    "select_visit",
    "stack_curves",
    "stack_estimates",
    "stack_exclusions",
    "stack_queries",
    "stack_rows",
    "tabulate_alterations",
    "tabulate_clearance",
    "tabulate_clearance_curves",
    "tabulate_courses",
    "tabulate_ctdna_curves",
    "tabulate_drawn",
    "tabulate_layers",
    "tabulate_lead_times",
    "tabulate_lesions_at_progression",
    "tabulate_pet_by_ctdna",
    "tabulate_tracks",
    "tabulate_trajectories",
    "westfall_young",
    "write_cbioportal",
    "write_maf",
    "write_plasma",
]
