"""Clinical derivations: SDTM domains or a ready table in; ADSL, ADTR, ADRS, ADTTE, ledger and queries out.

Not validated for a submission: what is checked, and against which source, stands in ``tests/clinical``.
"""

from analysis.clinical import sdtm
from analysis.clinical.dates import impute_dates, parse_dates
from analysis.clinical.endpoints import check_pfs_os, derive_adtte, derive_adtte_sensitivity
from analysis.clinical.lesions import derive_adtr
from analysis.clinical.queries import check_queries, count_flow, derive_exclusions
from analysis.clinical.recist import overall_response
from analysis.clinical.responses import best_response, derive_adrs, discrepancies
from analysis.clinical.sdtm import Problem, SdtmError, complete, domains_needed, read_sdtm
from analysis.clinical.study import ClinicalTables, derive_all
from analysis.clinical.subjects import derive_adsl
from analysis.clinical.table import TableError, read_mapped_table

__all__ = [
    "ClinicalTables", "Problem", "SdtmError", "TableError", "best_response", "check_pfs_os", "check_queries",
    "complete", "count_flow", "derive_adrs", "derive_adsl", "derive_adtr", "derive_adtte",
    "derive_adtte_sensitivity", "derive_all", "derive_exclusions", "discrepancies", "domains_needed",
    "impute_dates", "overall_response", "parse_dates", "read_mapped_table", "read_sdtm", "sdtm",
]  # fmt: skip
