"""What a reader must say about lesions over time, as queries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.pet.lesion_identity import FAILED, PROPOSED
from analysis.pet.lesion_tracking import MOVED

Scan = tuple[str, str]
_GONE = {"resolved", "not_evaluable"}
_JUDGED = {"new", "inflammatory"}


def judged(decisions: pd.DataFrame | None) -> dict[tuple[str, str, str], set[str]]:
    """Return what readers decided of a lesion at a visit.

    Parameters
    ----------
    decisions : DataFrame or None
        USUBJID AVISIT LESIONID DECISION.

    Returns
    -------
    dict
        (USUBJID, AVISIT, LESIONID) -> decisions.
    """
    found: dict[tuple[str, str, str], set[str]] = {}
    if decisions is not None:
        for row in decisions.itertuples(index=False):
            found.setdefault((row.USUBJID, row.AVISIT, row.LESIONID), set()).add(row.DECISION)
    return found


def ask(
    rows: Sequence[Mapping[str, Any]],
    missing: Mapping[Scan, Sequence[str]],
    outside: Collection[tuple[Scan, str]],
    decided: Mapping[tuple[str, str, str], set[str]],
) -> list[dict[str, Any]]:
    """List what is open: links that are only proposed, new lesions, swapped names, lesions that are gone.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of lesion_map, with PROPOSAL; FLAGS as a list.
    missing : mapping
        Follow-up scan -> baseline lesions without a region there.
    outside : collection of (scan, lesion)
        Those whose place lies outside the image.
    decided : mapping
        As `judged` returns it.

    Returns
    -------
    list of dict
        Queries LESION_MATCH_PROPOSED, LESION_NEW_UNCONFIRMED, LESION_MOVED, LESION_WITHOUT_FOLLOWUP.
    """
    queries = []
    for row in rows:
        queries += _ask_row(row, decided)
    for scan, lesions in missing.items():
        for lesion in lesions:
            if not decided.get((*scan, lesion), set()) & _GONE:
                where = "; its place lies outside this image" if (scan, lesion) in outside else ""
                message = f"drawn at baseline, no region at this visit{where}"
                action = "draw it, or say resolved or not_evaluable in reader_decisions.csv"
                queries.append(_query("LESION_WITHOUT_FOLLOWUP", scan, lesion, message, action))
    return queries


def _ask_row(
    row: Mapping[str, Any], decided: Mapping[tuple[str, str, str], set[str]]
) -> list[dict[str, Any]]:
    scan, lesion, queries = (row["USUBJID"], row["AVISIT"]), row["LESIONID"], []
    if row["PROPOSAL"] is not None and row["SOURCE"] == PROPOSED:
        queries.append(_proposed_query(row, row["PROPOSAL"], "not used until confirmed"))
    elif row["SOURCE"] == PROPOSED and row["STATUS"] != "NEW":
        queries.append(_proposed_query(row, lesion, "used"))
    elif row["STATUS"] == "NEW" and not decided.get((*scan, lesion), set()) & _JUDGED:
        message = "no lesion of the baseline; without a reader's word the visit is not evaluable"
        action = "say in reader_decisions.csv whether it is new or inflammatory"
        queries.append(_query("LESION_NEW_UNCONFIRMED", scan, lesion, message, action))
    if MOVED in row["FLAGS"]:
        message = "bears the name of a baseline lesion that lies elsewhere after registration"
        action = "say in lesion_map.csv which lesion it is"
        queries.append(_query(MOVED, scan, row["DRAWNID"], message, action))
    return queries


def _proposed_query(row: Mapping[str, Any], lesion: str, use: str) -> dict[str, Any]:
    how = ""
    if row["DICE"] is not None:
        how = f" (Dice {row['DICE']:.2f}, centres {row['DISTANCEMM']:.0f} mm apart)"
    message = f"proposed to be lesion {lesion}{how}; {use}"
    action = "confirm or correct it by a row of lesion_map.csv"
    return _query("LESION_MATCH_PROPOSED", (row["USUBJID"], row["AVISIT"]), row["DRAWNID"], message, action)


def failed_query(scan: Scan, why: str) -> dict[str, Any]:
    """Return the query of a scan that could not be laid over the baseline.

    Parameters
    ----------
    scan : (USUBJID, AVISIT)
    why : str
        Message of the refusal.

    Returns
    -------
    dict
        Query REGISTRATION_FAILED.
    """
    action = "say in lesion_map.csv which lesion is which"
    query = _query(FAILED, scan, "", f"{why}; nothing of this scan is paired by place", action)
    return {**query, "RECORD": scan[1]}


def _query(code: str, scan: Scan, lesion: str, message: str, action: str) -> dict[str, Any]:
    return {"CODE": code, "SEVERITY": "warning", "USUBJID": scan[0], "DOMAIN": "PET",
            "RECORD": f"{scan[1]} {lesion}", "MESSAGE": message, "ACTION": action}  # fmt: skip
