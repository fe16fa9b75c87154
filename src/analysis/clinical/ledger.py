"""The ledger of step 01: who and what was set aside, with a reason, and the counts of the flow diagram."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis import contracts
from analysis.clinical.domain_checks import not_in_dm
from analysis.clinical.response_checks import unknown_terms
from analysis.clinical.subjects import screen_failures

EXCLUSION_COLUMNS = contracts.columns("exclusions_01")
STEP = "01"
_START_WORDS = {"TRTSDT": "first dose", "ENRLDT": "registration"}


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
    strangers = not_in_dm(sdtm)
    if len(strangers) and rules.strict:
        who = sorted(strangers.USUBJID.unique())
        raise ValueError(
            f"SUBJECT_NOT_IN_DM: {len(who)} subject(s) of finding domains are not in DM, first {who[:5]}"
        )
    records = strangers.assign(
        CODE="SUBJECT_NOT_IN_DM",
        REASON=strangers.DOMAIN.astype(str).str.cat(strangers.MESSAGE.astype(str), sep=": "),
    )
    unknown = unknown_terms(sdtm, rules).assign(
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
    failed = out.USUBJID.isin(screen_failures(sdtm, rules)) & out[start].isna()
    reasons = {
        "SCREEN_FAILURE": (failed, "screen failure: never treated"),
        "PFS_AFTER_OS": (out.USUBJID.isin(after_os), "PFS ends after OS: query the dates"),
        "START_AFTER_CUTOFF": (out[start].notna(), "started after the data cut-off"),
        "NO_START_DATE": (
            out[start].isna(),
            f"no date of {_START_WORDS.get(start, start)}: none, or a partial one",
        ),
    }
    rows, left = [], pd.Series(True, index=out.index)
    for code, (applies, reason) in reasons.items():
        chosen = out[applies & left]
        rows.append(pd.DataFrame({"USUBJID": chosen.USUBJID, "CODE": code, "REASON": reason}))
        left &= ~applies
    return pd.concat(rows, ignore_index=True)
