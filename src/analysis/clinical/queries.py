"""Queries to the data manager: every data check in one call. A query never changes a value.

A correction answers a query; it is no query itself. What was corrected stands in the audit trail
(`corrections`), and the query is gone once its data are right.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis import contracts
from analysis import plan as plans
from analysis.clinical import (  # noqa: F401 - each module enters its checks into the table
    baseline_checks,
    date_checks,
    death_checks,
    domain_checks,
    lesion_checks,
    measure_checks,
    method_checks,
    response_checks,
    subject_checks,
    visit_checks,
)
from analysis.clinical.checks import CHECKS, FOUND, READER, SEVERITIES, Evidence, join_rows
from analysis.clinical.ledger import EXCLUSION_COLUMNS, STEP

__all__ = ["CHECKS", "EXCLUSION_COLUMNS", "QUERY_COLUMNS", "STEP", "check_queries", "query_codes"]

QUERY_COLUMNS = contracts.columns("queries_01")
_ADAPTED = "none: the reader adapted the file; export it as SDTM asks to be rid of this note"


def check_queries(
    sdtm: Mapping[str, pd.DataFrame],
    adsl: pd.DataFrame,
    adtr: pd.DataFrame,
    adrs: pd.DataFrame,
    adtte: pd.DataFrame,
    plan: plans.Plan | None = None,
) -> pd.DataFrame:
    """Run every data check and list what it finds, gravest first.

    Parameters
    ----------
    sdtm, adsl, adtr, adrs, adtte
        As read and derived; `adtte` before subjects are set aside.
    plan : Plan, optional
        Sections `clinical` and `design`. ``clinical.query_severity`` gives codes another severity.

    Returns
    -------
    DataFrame
        The columns of ``queries_01``.

    Raises
    ------
    plan.PlanError
        QUERY_SEVERITY_UNKNOWN: a code or a severity of the plan that does not exist.
    """
    plan = plan or plans.defaults()
    codes = query_codes(plan.clinical, sdtm).set_index("CODE")
    evidence = Evidence(sdtm, adsl, adtr, adrs, adtte, plan)
    pieces = [check.find(evidence).assign(CODE=code) for code, check in CHECKS.items()]
    found = join_rows([*pieces, domain_checks.adaptations(sdtm)]).reindex(columns=[*FOUND, "CODE"])
    queries = found.assign(
        STEP=STEP, SEVERITY=found.CODE.map(codes.SEVERITY), ACTION=found.CODE.map(codes.ACTION)
    )
    queries["RANK"] = queries.SEVERITY.map({name: place for place, name in enumerate(SEVERITIES)})
    order = ["RANK", "CODE", "USUBJID", "DOMAIN", "RECORD", "MESSAGE"]
    return queries.sort_values(order, ignore_index=True, kind="stable")[QUERY_COLUMNS]


def query_codes(rules=None, sdtm: Mapping[str, pd.DataFrame] | None = None) -> pd.DataFrame:
    """Tabulate every code a query can have, for the data dictionary.

    Parameters
    ----------
    rules : Section, optional
        ``clinical`` of the plan, whose `query_severity` is applied; the defaults without.
    sdtm : mapping of str to DataFrame, optional
        Domains as read: the codes of how the reader adapted them are added.

    Returns
    -------
    DataFrame
        CODE, SEVERITY, MEANING, ACTION, sorted by CODE.

    Raises
    ------
    plan.PlanError
        QUERY_SEVERITY_UNKNOWN, naming every unknown code and severity.
    """
    rows = {code: (check.severity, check.meaning, check.action) for code, check in CHECKS.items()}
    for code in domain_checks.adaptations(sdtm or {}).CODE:
        rows[code] = ("note", READER, _ADAPTED)
    wanted = dict(rules.query_severity) if rules is not None else {}
    wrong = [f"no query has the code {code!r}" for code in sorted(set(wanted) - set(rows), key=str)]
    wrong += [
        f"{code} has the severity {word!r}; it is one of {', '.join(SEVERITIES)}"
        for code, word in sorted(wanted.items(), key=str)
        if word not in SEVERITIES
    ]
    if wrong:
        raise plans.PlanError(f"QUERY_SEVERITY_UNKNOWN clinical.query_severity: {'; '.join(wrong)}")
    table = pd.DataFrame(
        [(code, *row) for code, row in rows.items()], columns=["CODE", "SEVERITY", "MEANING", "ACTION"]
    )
    table["SEVERITY"] = [wanted.get(code, severity) for code, severity in zip(table.CODE, table.SEVERITY)]
    return table.sort_values("CODE", ignore_index=True)
