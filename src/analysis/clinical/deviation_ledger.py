"""Deviations of all sources in one table: each once, and each beside the exclusion it led to."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from analysis import contracts
from analysis import plan as plans
from analysis.clinical.deviation_frame import number_deviations

BASELINE = "D0"
_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$")


def join_deviations(
    parts: Sequence[pd.DataFrame], ledger: pd.DataFrame, adsl: pd.DataFrame, plan: plans.Plan
) -> pd.DataFrame:
    """Join the deviations of several steps and say which of them left a subject out of an analysis.

    A record of domain DV whose code stands for a rule (``clinical.deviation_dv_codes``) is that rule's; where
    the rule found the same in the same subject, one of the two is listed.

    Parameters
    ----------
    parts : sequence of DataFrame
        Tables of the contracts deviations_01 and protocol_deviations.
    ledger : DataFrame
        ``exclusions_NN`` of the steps that have run, joined.
    adsl : DataFrame
        STUDYID of every subject.
    plan : Plan
        Section `clinical`.

    Returns
    -------
    DataFrame
        Table protocol_deviations; IMPACT is the ledger's code.
    """
    rules = plan.clinical
    parts = [part for part in parts if len(part)]
    if not parts:
        return contracts.empty("protocol_deviations")
    rows = _once(pd.concat(parts, ignore_index=True).astype({"IMPACT": object}), rules)
    numbered = number_deviations(rows, adsl, rules, "protocol_deviations")
    impact = _impacts(numbered, excluded_subjects(ledger), rules)
    return contracts.check("protocol_deviations", numbered.assign(IMPACT=impact))


def join_rules(parts: Sequence[pd.DataFrame], deviations: pd.DataFrame, plan: plans.Plan) -> pd.DataFrame:
    """Join the rules of several steps in the plan's order; FOUND counts the joined `deviations`."""
    order = {code: place for place, code in enumerate(plan.clinical.deviation_rules)}
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.sort_values("CODE", key=lambda codes: codes.map(order), ignore_index=True)
    found = rows["CODE"].map(deviations["CODE"].value_counts()).fillna(0)
    return contracts.check("deviation_rules", rows.assign(FOUND=found))


def excluded_subjects(ledger: pd.DataFrame) -> pd.DataFrame:
    """Return who is left out of an analysis: USUBJID AVISIT CODE, the cause where the reason ends in one.

    Examples
    --------
    >>> row = dict(USUBJID="A", AVISIT="D14", ITEM="subject", CODE="NOT_EVALUABLE")
    >>> excluded_subjects(pd.DataFrame([row | dict(REASON="PFS: SCAN_REFUSED")]))["CODE"].tolist()
    ['SCAN_REFUSED']
    """
    rows = ledger[ledger["ITEM"].eq("subject") & ledger["USUBJID"].notna()]
    bare = [_CODE.search(str(reason)) for reason in rows["REASON"]]
    codes = [found.group() if found else code for found, code in zip(bare, rows["CODE"])]
    return rows[["USUBJID", "AVISIT"]].assign(CODE=codes).drop_duplicates(ignore_index=True)


def reconcile_deviations(deviations: pd.DataFrame, ledger: pd.DataFrame, plan: plans.Plan) -> pd.DataFrame:
    """Count the exclusions that a deviation can lead to, with and without a deviation behind them.

    Without one: the subject had left the study before the visit was due, so that nobody deviated.

    Parameters
    ----------
    deviations : DataFrame
        Table protocol_deviations, from `join_deviations` with the same ledger.
    ledger : DataFrame
        ``exclusions_NN`` of the steps that have run, joined.
    plan : Plan
        Section `clinical`.

    Returns
    -------
    DataFrame
        CODE EXCLUDED DEVIATED OTHERWISE, subjects; one row a code of the ledger that a rule names.

    Raises
    ------
    ValueError
        If a deviation is said to have led to an exclusion that is not in the ledger.
    """
    rules = plan.clinical.deviation_rules
    named = list(dict.fromkeys(code for rule in rules.values() for code in rule["ledger"]))
    out = excluded_subjects(ledger)
    rows = []
    for code in (name for name in named if out["CODE"].eq(name).any()):
        excluded = set(out.loc[out["CODE"].eq(code), "USUBJID"])
        behind = set(deviations.loc[deviations["IMPACT"].eq(code), "USUBJID"])
        if behind - excluded:
            raise ValueError(
                f"{code}: {len(behind - excluded)} subject(s) with a deviation that led to it are not in "
                "this ledger; join deviations and ledger of one run"
            )
        rows.append((code, len(excluded), len(behind), len(excluded - behind)))
    return pd.DataFrame(rows, columns=["CODE", "EXCLUDED", "DEVIATED", "OTHERWISE"])


def _once(rows: pd.DataFrame, rules) -> pd.DataFrame:
    """Give recorded deviations the rule they stand for, and drop those that the rule found as well."""
    rule = rows["DVDECOD"].map(rules.deviation_dv_codes) if rules.deviation_dv_codes else None
    if rule is None or rule.isna().all():
        return rows
    named = rule.notna()
    rows = rows.assign(CODE=rule.where(named, rows["CODE"]))
    rows["DVCAT"] = [rules.deviation_rules[code]["category"] for code in rows["CODE"]]
    key = [rows["USUBJID"], rows["CODE"]]
    place = named.groupby([*key, named]).cumcount()  # the k-th record stands for the k-th finding
    derived = (~named).groupby(key).transform("sum")
    return rows[~(named & (place < derived))]


def _impacts(rows: pd.DataFrame, out: pd.DataFrame, rules) -> list[str | None]:
    by_visit = set(out.itertuples(index=False, name=None))
    anywhere = set(out[["USUBJID", "CODE"]].itertuples(index=False, name=None))
    found = []
    for row in rows.itertuples(index=False):
        rule = rules.deviation_rules[row.CODE]
        at_visit = rule["category"] == "SCAN" and row.AVISIT not in (None, BASELINE)
        at_visit |= row.CODE == "OFF_DRUG_AT_SCAN"
        names = _names(rule["ledger"], row.AVISIT) if rule["category"] == "SCAN" else rule["ledger"]
        hits = [
            code
            for code in names
            if ((row.USUBJID, row.AVISIT, code) in by_visit if at_visit else (row.USUBJID, code) in anywhere)
        ]
        found.append(hits[0] if hits else None)
    return found


def _names(codes: Sequence[str], visit: str | None) -> list[str]:
    """Return the codes of a missing or refused scan that can be meant at a visit: its own kind of scan."""
    of_baseline = {"NO_BASELINE_SCAN", "BASELINE_REFUSED"}
    of_later = {"NO_FOLLOWUP_SCAN", "SCAN_REFUSED"}
    return [code for code in codes if code not in (of_later if visit == BASELINE else of_baseline)]
