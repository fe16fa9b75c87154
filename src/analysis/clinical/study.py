"""The whole of step 01 in one call: SDTM domains in, analysis tables, ledger and queries out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis import plan as plans
from analysis.clinical.endpoints import check_pfs_os, derive_adtte, derive_adtte_sensitivity
from analysis.clinical.lesions import derive_adtr
from analysis.clinical.queries import check_queries, derive_exclusions
from analysis.clinical.responses import derive_adrs
from analysis.clinical.subjects import derive_adsl


@dataclass(frozen=True)
class ClinicalTables:
    """What step 01 writes, by table name."""

    adsl: pd.DataFrame
    adtr: pd.DataFrame
    adrs: pd.DataFrame
    adtte: pd.DataFrame
    adtte_sensitivity: pd.DataFrame
    exclusions: pd.DataFrame
    queries: pd.DataFrame


def derive_all(sdtm: Mapping[str, pd.DataFrame], plan: plans.Plan | None = None) -> ClinicalTables:
    """Derive every table of step 01 from SDTM domains, as notebook 01 does cell by cell."""
    plan = plan or plans.defaults()
    adsl = derive_adsl(sdtm, plan)
    adtr = derive_adtr(sdtm, adsl, plan)
    adrs = derive_adrs(sdtm, adtr, adsl, plan)
    every = derive_adtte(adsl, adtr, adrs, plan)
    adtte, after_os = check_pfs_os(every, plan.clinical)
    variants = derive_adtte_sensitivity(sdtm, adsl, adtr, adrs, plan)
    variants = variants[variants.USUBJID.isin(adtte.USUBJID)].reset_index(drop=True)
    exclusions = derive_exclusions(sdtm, adsl, adtte, after_os, plan.clinical)
    queries = check_queries(sdtm, adsl, adtr, adrs, every, plan)
    return ClinicalTables(adsl, adtr, adrs, adtte, variants, exclusions, queries)
