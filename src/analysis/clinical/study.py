"""The whole of step 01 in two calls: SDTM domains in, analysis tables, ledger and queries out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import contracts
from analysis import plan as plans
from analysis.clinical.corrections import apply_corrections, read_corrections
from analysis.clinical.endpoints import check_pfs_os, derive_adtte
from analysis.clinical.ledger import derive_exclusions
from analysis.clinical.lesions import check_reads, derive_adtr
from analysis.clinical.queries import check_queries
from analysis.clinical.rates import add_durations, response_rates
from analysis.clinical.responses import derive_adrs
from analysis.clinical.rule_table import check_rules
from analysis.clinical.sdtm import complete, domains_needed, read_sdtm
from analysis.clinical.sensitivity import derive_adtte_sensitivity
from analysis.clinical.subjects import derive_adsl

Domains = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class ClinicalTables:
    """What step 01 writes, by table name."""

    adsl: pd.DataFrame
    adtr: pd.DataFrame
    adrs: pd.DataFrame
    adtte: pd.DataFrame
    adtte_sensitivity: pd.DataFrame
    response_rates: pd.DataFrame
    exclusions: pd.DataFrame
    queries: pd.DataFrame


def read_corrected(raw_dir: str | Path, plan: plans.Plan | None = None) -> tuple[Domains, pd.DataFrame]:
    """Read the SDTM domains of a study with its corrections applied.

    Parameters
    ----------
    raw_dir : path
        Holds ``sdtm/<domain>.<format>``, and where there are any, the plan's corrections file.
    plan : Plan, optional
        Sections `clinical` and `design`.

    Returns
    -------
    (dict of str to DataFrame, DataFrame)
        The domains as `read_sdtm` returns them, and the audit trail in the contract ``corrections``.

    Raises
    ------
    SdtmError, CorrectionError
        With every problem found. NO_READS where the plan's evaluator or reader made none of the reads.
    """
    plan = plan or plans.defaults()
    rules = plan.clinical
    sdtm, audit = read_domains(raw_dir, plan.design, domains_needed(rules), strict=rules.strict)
    check_reads(sdtm, rules)
    return sdtm, audit


def read_domains(
    raw_dir: str | Path, design: plans.Section, domains: Iterable[str] = (), strict: bool = False
) -> tuple[Domains, pd.DataFrame]:
    """Read whatever domains there are, corrected, of which `domains` must be there; see `read_corrected`.

    Every step that looks at the raw tables reads them here, so that a correction holds in all of them.
    """
    folder = Path(raw_dir) / "sdtm"
    if not domains and not folder.is_dir():
        return read_nothing()
    sdtm = read_sdtm(folder, domains, strict=strict, others=[design.corrections_file])
    sdtm, audit = apply_corrections(sdtm, read_corrections(raw_dir, design))
    return sdtm, contracts.check("corrections", audit)


def read_nothing() -> tuple[Domains, pd.DataFrame]:
    """Return what `read_corrected` returns for a study without SDTM: empty domains, no corrections."""
    return complete({}), contracts.empty("corrections")


def derive_all(sdtm: Mapping[str, pd.DataFrame], plan: plans.Plan | None = None) -> ClinicalTables:
    """Derive every table of step 01 from SDTM domains, as notebook 01 does cell by cell."""
    plan = plan or plans.defaults()
    check_rules(plan.clinical)
    check_reads(sdtm, plan.clinical)
    adsl = derive_adsl(sdtm, plan)
    adtr = derive_adtr(sdtm, adsl, plan)
    adrs = derive_adrs(sdtm, adtr, adsl, plan)
    rates = response_rates(adrs, adtr, adsl, plan)
    every = derive_adtte(adsl, adtr, adrs, plan)
    adtte, after_os = check_pfs_os(every, plan.clinical)
    adtte = add_durations(adtte, adrs, adsl, plan)
    variants = derive_adtte_sensitivity(sdtm, adsl, adtr, adrs, plan)
    variants = variants[variants.USUBJID.isin(adtte.USUBJID)].reset_index(drop=True)
    exclusions = derive_exclusions(sdtm, adsl, adtte, after_os, plan.clinical)
    queries = check_queries(sdtm, adsl, adtr, adrs, every, plan)
    return ClinicalTables(adsl, adtr, adrs, adtte, variants, rates, exclusions, queries)
