"""ADTTE: PFS and OS from a table of situations read in order, first match wins.

The table is a value of the plan (``clinical.tte_rules``), one for each rule set; its words stand in
`rule_words`, the facts they ask for in `facts`.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis import plan as plans
from analysis.clinical.facts import collect_records
from analysis.clinical.rule_table import check_rules
from analysis.clinical.sensitivity import derive_adtte_sensitivity
from analysis.clinical.time_to_event import ADTTE_COLUMNS, derive_endpoint

__all__ = ["ADTTE_COLUMNS", "check_pfs_os", "derive_adtte", "derive_adtte_sensitivity"]


def derive_adtte(
    adsl: pd.DataFrame,
    adtr: pd.DataFrame,
    adrs: pd.DataFrame,
    plan: plans.Plan | None = None,
    *,
    endpoints: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Derive time to each endpoint of the plan's rule set.

    Parameters
    ----------
    adsl, adtr, adrs : DataFrame
        As derived before. An empty `adtr` (no lesion domains) counts as an adequate baseline.
    plan : Plan, optional
        Sections `clinical` and `design`.
    endpoints : iterable of str, optional
        PARAMCDs of the rule set; default all that are no sensitivity variants (PFS, OS).

    Returns
    -------
    DataFrame
        ADTTE, one row a subject with a time zero (on or before the data cut-off, where one applies) and
        endpoint. AVAL = ADT - STARTDT + 1 days, ADT not before STARTDT; AVALM in months; CNSR 0 = event.

    Raises
    ------
    PlanError
        BAD_RULES: the plan's table cannot be applied; NO_EVENT_DATE: a row of it gives an event without date.
    """
    plan = plan or plans.defaults()
    check_rules(plan.clinical)
    known = plan.clinical.tte_rules[plan.clinical.endpoint_rules]["endpoints"]
    chosen = endpoints or [name for name, spec in known.items() if not spec.get("sensitivity")]
    records = collect_records(adsl, adtr, adrs)
    pieces = [derive_endpoint(name, records, plan) for name in chosen]
    adtte = pd.concat(pieces, ignore_index=True)
    return adtte.sort_values(["USUBJID", "PARAMCD"], ignore_index=True)[ADTTE_COLUMNS]


def check_pfs_os(adtte: pd.DataFrame, rules) -> tuple[pd.DataFrame, list[str]]:
    """Find subjects whose PFS ends after their OS; rule set `pearl` sets them aside.

    Returns
    -------
    adtte : DataFrame
        Without those subjects under `pearl`, unchanged under `admiralonco`, which allows it.
    list of str
        The subjects, sorted.

    Raises
    ------
    ValueError
        Under `pearl` with ``clinical.strict``.
    """
    wide = adtte.pivot_table(index="USUBJID", columns="PARAMCD", values="AVAL")
    late = sorted(wide.index[wide.PFS.gt(wide.OS)]) if {"PFS", "OS"} <= set(wide) else []
    if not late or rules.endpoint_rules != "pearl":
        return adtte, late
    if rules.strict:
        raise ValueError(
            f"PFS_AFTER_OS: {len(late)} subject(s) with PFS later than OS, first {late[:5]}; query dates"
        )
    return adtte[~adtte.USUBJID.isin(late)].reset_index(drop=True), late
