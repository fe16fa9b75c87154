"""Clinical derivations: SDTM domains or a ready table in; ADSL, ADTR, ADRS, ADTTE, ledger and queries out.

Not validated for a submission: what is checked, and against which source, stands in ``tests/clinical``.
"""

from analysis.clinical import sdtm
from analysis.clinical.corrections import CorrectionError, apply_corrections, read_corrections
from analysis.clinical.courses import best_changes, course_events, subject_courses, target_changes
from analysis.clinical.dates import impute_dates, parse_dates
from analysis.clinical.deviation_ledger import join_deviations, join_rules, reconcile_deviations
from analysis.clinical.endpoints import check_pfs_os, derive_adtte
from analysis.clinical.ledger import derive_exclusions
from analysis.clinical.lesions import derive_adtr
from analysis.clinical.listing import listing_csv, listing_table, render_listing
from analysis.clinical.overview import compare_variants, count_subjects, median_times, study_days
from analysis.clinical.protocol_deviations import derive_protocol_deviations
from analysis.clinical.queries import check_queries, query_codes
from analysis.clinical.rates import add_durations, duration_of_response, response_rates
from analysis.clinical.recist import overall_response
from analysis.clinical.responses import best_response, derive_adrs, discrepancies, response_parameter
from analysis.clinical.rule_table import check_rules, rule_table
from analysis.clinical.scan_deviations import derive_scan_deviations
from analysis.clinical.sdtm import Problem, SdtmError, complete, domains_needed, problem_table, read_sdtm
from analysis.clinical.sensitivity import derive_adtte_sensitivity
from analysis.clinical.study import ClinicalTables, derive_all, read_corrected, read_domains, read_nothing
from analysis.clinical.subjects import derive_adsl
from analysis.clinical.table import TableError, read_mapped_table

__all__ = [
    "ClinicalTables", "CorrectionError", "Problem", "SdtmError", "TableError", "add_durations",
    "apply_corrections", "best_changes", "best_response", "check_pfs_os", "check_queries",
    "check_rules", "compare_variants", "complete", "count_subjects", "course_events", "derive_adrs",
    "derive_adsl", "derive_adtr", "derive_adtte", "derive_adtte_sensitivity", "derive_all",
    "derive_exclusions", "derive_protocol_deviations", "derive_scan_deviations", "discrepancies",
    "domains_needed", "duration_of_response", "impute_dates", "join_deviations", "join_rules",
    "listing_csv", "listing_table", "median_times", "overall_response", "parse_dates",
    "problem_table", "query_codes", "read_corrected", "read_corrections", "read_domains",
    "read_mapped_table", "read_nothing", "read_sdtm", "reconcile_deviations", "render_listing",
    "response_parameter", "response_rates", "rule_table", "sdtm", "study_days", "subject_courses",
    "target_changes",
]  # fmt: skip
