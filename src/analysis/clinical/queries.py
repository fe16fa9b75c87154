"""Queries to the data manager and the ledger of what was set aside. A query never changes a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis import plan as plans
from analysis.clinical import checks, lesion_checks
from analysis.clinical.checks import Evidence

QUERY_COLUMNS = ["STEP", "CODE", "SEVERITY", "USUBJID", "DOMAIN", "RECORD", "MESSAGE", "ACTION"]
EXCLUSION_COLUMNS = ["STEP", "USUBJID", "AVISIT", "ITEM", "CODE", "REASON"]
STEP = "01"


@dataclass(frozen=True)
class Check:
    """A kind of query: how grave it is, what to do, and how to find it."""

    severity: str
    action: str
    find: Callable[[Evidence], pd.DataFrame]


CHECKS: dict[str, Check] = {
    "SUBJECT_NOT_IN_DM": Check("error", "add the subject to DM or remove the records", checks.not_in_dm),
    "DATE_IMPOSSIBLE": Check(
        "error", "give the day that was meant; the record has no date until then", checks.impossible
    ),
    "DATE_NOT_ISO": Check("error", "write the date as YYYY-MM-DD", checks.not_iso),
    "DATE_PARTIAL": Check("note", "complete the date if the source has it", checks.partial),
    "FIRST_DOSE_PARTIAL": Check(
        "error", "give the day of first dose: it is time zero and is never filled", checks.first_dose
    ),
    "DEATH_BEFORE_CONTACT": Check(
        "error", "check the date of death against the later record", checks.death_before_contact
    ),
    "DEATH_WITHOUT_DATE": Check("error", "give the date of death", checks.death_without_date),
    "ASSESSMENT_AFTER_DEATH": Check(
        "error", "check the scan date and the date of death", checks.assessed_after_death
    ),
    "PROGRESSION_BEFORE_TREATMENT": Check(
        "warning",
        "check the response and its date; it counts for nothing",
        checks.progression_before_treatment,
    ),
    "LAST_ALIVE_BEFORE_START": Check(
        "warning", "add a contact after the start of treatment", checks.alive_before_start
    ),
    "AFTER_CUTOFF": Check(
        "note", "none: the record lies after the data cut-off and does not enter", checks.after_cutoff
    ),
    "VISIT_TWO_DATES": Check(
        "warning", "check the dates; the records form separate assessments", checks.two_dates
    ),
    "RESPONSE_UNKNOWN": Check(
        "error", "replace the response by a RECIST 1.1 term; it is left out", checks.unknown_response
    ),
    "RESPONSE_AFTER_PD": Check(
        "warning", "check the progression; the first one stands", checks.response_after_pd
    ),
    "RESPONSE_DIFFERS": Check(
        "warning", "the plan says which one counts; reconcile if one is wrong", checks.response_differs
    ),
    "EVALUATORS_MIXED": Check(
        "note", "none: only the reads of the plan's evaluator count", checks.other_evaluators
    ),
    "SCREEN_FAILURE_TREATED": Check("error", "check the arm and the doses", checks.treated_screen_failure),
    "UNIT_UNKNOWN": Check(
        "error", "give the diameter in mm or cm; it is missing until then", lesion_checks.unknown_unit
    ),
    "DIAMETER_NEGATIVE": Check("error", "check the diameter", lesion_checks.negative_diameter),
    "MEASURED_TWICE": Check("warning", "keep one record; the last one stands", lesion_checks.measured_twice),
    "LESION_NOT_IN_TU": Check(
        "error", "identify the lesion in TU; its measurements are left out", lesion_checks.lesion_not_in_tu
    ),
    "LESION_TYPE_UNKNOWN": Check(
        "error", "call it TARGET, NON-TARGET or NEW in TU; it is left out", lesion_checks.unknown_type
    ),
    "BASELINE_MISSING": Check("warning", "add the baseline if there is one", lesion_checks.no_baseline),
    "BASELINE_OLD": Check("warning", "check the date of the baseline imaging", lesion_checks.old_baseline),
    "TARGET_NO_BASELINE": Check(
        "warning", "add its baseline diameter; it is no part of the sum", lesion_checks.target_no_baseline
    ),
    "TARGET_NOT_MEASURABLE": Check(
        "warning", "check the choice of target lesion", lesion_checks.not_measurable
    ),
    "TARGETS_TOO_MANY": Check(
        "warning", "check the choice of target lesions", lesion_checks.too_many_targets
    ),
    "TARGETS_ORGAN_TOO_MANY": Check(
        "warning", "check the choice of target lesions", lesion_checks.too_many_in_organ
    ),
    "REAPPEARANCE": Check(
        "note", "look at the lesion: the rules on reappearance differ here", lesion_checks.reappearance
    ),
    "PET_ONLY_LESION": Check(
        "note", "none: counts from the first CT, MRI or bone scan that shows it", lesion_checks.pet_only
    ),
    "PFS_AFTER_OS": Check("warning", "check the date last known alive", checks.pfs_after_os),
    "COLUMN_LEFT_OUT": Check("note", "none: the column is not used", checks.left_out_columns),
}


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
        Sections `clinical` and `design`.

    Returns
    -------
    DataFrame
        The columns of ``queries_01``.
    """
    evidence = Evidence(sdtm, adsl, adtr, adrs, adtte, plan or plans.defaults())
    pieces = []
    for code, check in CHECKS.items():
        found = check.find(evidence)
        if len(found):
            pieces.append(found.assign(STEP=STEP, CODE=code, SEVERITY=check.severity, ACTION=check.action))
    if not pieces:
        return pd.DataFrame(columns=QUERY_COLUMNS)
    queries = pd.concat(pieces, ignore_index=True).reindex(columns=QUERY_COLUMNS)
    queries["RANK"] = queries.SEVERITY.map({"error": 0, "warning": 1, "note": 2})
    order = ["RANK", "CODE", "USUBJID", "DOMAIN", "RECORD"]
    return queries.sort_values(order, ignore_index=True, kind="stable").drop(columns="RANK")


def derive_exclusions(
    sdtm: Mapping[str, pd.DataFrame], adsl: pd.DataFrame, adtte: pd.DataFrame, after_os: list[str], rules
) -> pd.DataFrame:
    """Write the ledger of step 01: subjects without endpoints and records left out, each with a reason.

    Parameters
    ----------
    sdtm : mapping of str to DataFrame
        Domains.
    adsl, adtte : DataFrame
        `adtte` after subjects were set aside.
    after_os : list of str
        Subjects `check_pfs_os` found.
    rules : Section
        ``clinical`` of the plan.

    Returns
    -------
    DataFrame
        The columns of ``exclusions_01``; ITEM subject (one row each) or record.

    Raises
    ------
    ValueError
        If subjects of ADSL and ADTTE and the ledger do not add up.
    """
    subjects = _subjects_set_aside(sdtm, adsl, adtte, after_os, rules)
    if len(adsl) != adtte.USUBJID.nunique() + len(subjects):
        raise ValueError(
            f"{len(adsl)} subjects, {adtte.USUBJID.nunique()} with endpoints, {len(subjects)} set aside"
        )
    strangers = checks.not_in_dm(Evidence(sdtm, adsl, adsl, adsl, adtte, None))
    if len(strangers) and rules.strict:
        raise ValueError(
            f"SUBJECT_NOT_IN_DM: {strangers.USUBJID.nunique()} subject(s) of finding domains are not in DM"
        )
    records = strangers.assign(
        CODE="SUBJECT_NOT_IN_DM",
        REASON=strangers.DOMAIN.astype(str).str.cat(strangers.MESSAGE.astype(str), sep=": "),
    )
    unknown = checks.unknown_terms(sdtm, rules).assign(
        CODE="RESPONSE_UNKNOWN", REASON="a reported response that is no RECIST 1.1 term"
    )
    records = pd.concat([records, unknown[unknown.USUBJID.isin(adsl.USUBJID)]], ignore_index=True).assign(
        ITEM="record"
    )
    ledger = pd.concat([subjects.assign(ITEM="subject"), records], ignore_index=True).assign(STEP=STEP)
    return ledger.reindex(columns=EXCLUSION_COLUMNS).sort_values(
        ["ITEM", "CODE", "USUBJID"], ascending=[False, True, True], ignore_index=True
    )


def _subjects_set_aside(
    sdtm, adsl: pd.DataFrame, adtte: pd.DataFrame, after_os: list[str], rules
) -> pd.DataFrame:
    out = adsl[~adsl.USUBJID.isin(adtte.USUBJID)]
    start = rules.tte_rules[rules.endpoint_rules]["start"]
    arm = out.USUBJID.map(sdtm["DM"].set_index("USUBJID").ARMCD).astype("string").str.upper()
    failed = arm.str.startswith("SCR").fillna(False) & out[start].isna()
    reasons = {
        "SCREEN_FAILURE": (failed, "screen failure: never treated"),
        "PFS_AFTER_OS": (out.USUBJID.isin(after_os), "PFS ends after OS: query the dates"),
        "START_AFTER_CUTOFF": (out[start].notna(), "started after the data cut-off"),
        "NO_START_DATE": (
            out[start].isna(),
            f"no date of {start}: not treated, not registered or a partial date",
        ),
    }
    rows, left = [], pd.Series(True, index=out.index)
    for code, (applies, reason) in reasons.items():
        chosen = out[applies & left]
        rows.append(pd.DataFrame({"USUBJID": chosen.USUBJID, "CODE": code, "REASON": reason}))
        left &= ~applies
    return pd.concat(rows, ignore_index=True)


def count_flow(adsl: pd.DataFrame, adtte: pd.DataFrame, exclusions: pd.DataFrame) -> pd.DataFrame:
    """Count subjects from DM to the endpoints, one row a step of the flow diagram."""
    subjects = exclusions[exclusions.ITEM.eq("subject")]
    lost = subjects.groupby("CODE").USUBJID.nunique().sort_index()
    rows = [("In DM", len(adsl)), *((f"set aside: {code}", count) for code, count in lost.items())]
    rows.append(("With endpoints", adtte.USUBJID.nunique()))
    return pd.DataFrame(rows, columns=["step", "subjects"])
