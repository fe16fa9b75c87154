"""Which lesion every drawn region of a study is: who says so, how sure it is, and what a reader must say.

The tables that come of it: ``lesion_map``, the rows SUVBKG and SULBKG of adpet, and queries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from analysis import plan as plans
from analysis.fanout import Failure
from analysis.pet.assign import BASELINE
from analysis.pet.lesion_identity import FAILED, NAME, PROPOSED, READER
from analysis.pet.lesion_proposals import Proposals, Run, Scan, baseline_first, by_subject, scan_of
from analysis.pet.lesion_queries import ask, failed_query, judged
from analysis.pet.lesion_tracking import Tracked, track_patient
from analysis.pet.measurement import ScanResult
from analysis.pet.propagation import OUTSIDE
from analysis.pet.reader_tables import Rows

LESION_MAP_COLUMNS = ["USUBJID", "AVISIT", "DRAWNID", "LESIONID", "STATUS", "SOURCE", "DICE", "DISTANCEMM"]
LESION_MAP_COLUMNS += ["FLAGS"]


@dataclass
class Links:
    """What is known of lesions over time.

    Attributes
    ----------
    lesion_map : DataFrame
        Table of this name.
    rows : list of dict
        adpet rows SUVBKG and SULBKG, without EVALFL and TARGETFL.
    read : set of (USUBJID, AVISIT)
        Follow-up scans without any region of which a reader said what became of a baseline lesion.
    exclusions, queries : list of dict
        What was set aside, and what a reader must say.
    """

    lesion_map: pd.DataFrame
    rows: list[dict[str, Any]] = field(default_factory=list)
    exclusions: list[dict[str, Any]] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)
    read: set[Scan] = field(default_factory=set)


def link_lesions(
    tasks: Sequence[Mapping[str, Any]],
    results: Sequence[ScanResult],
    proposals: Proposals,
    plan: plans.Plan,
    run: Run,
    *,
    said: Rows | None = None,
    decisions: pd.DataFrame | None = None,
) -> Links:
    """List which lesion every region is, and look at the place of those that are gone.

    Parameters
    ----------
    tasks : sequence of mapping
        As measured.
    results : sequence of ScanResult
        What each gave.
    proposals : Proposals
        As `propose_links` returns it.
    plan : Plan
        Section ``pet`` (`match_check`).
    run : callable
        `analysis.fanout.fan_out` with its workers.
    said : dict, optional
        Rows of ``lesion_map.csv`` by scan.
    decisions : DataFrame, optional
        ``reader_decisions.csv``.

    Returns
    -------
    Links
    """
    read = [
        (task, result) for task, result in zip(tasks, results, strict=True) if result.scan["STATUS"] == "OK"
    ]
    said = {scan: {row["ROINAME"] for row in rows} for scan, rows in (said or {}).items()}
    rows = _map_rows(read, proposals, said)
    links = Links(pd.DataFrame(columns=LESION_MAP_COLUMNS))
    links.exclusions += _without_region(read, said)
    decided = judged(decisions)
    missing = _missing(read, rows, decided)
    links.read = {scan_of(task) for task, _ in read if not _has_regions(task)} & missing.keys()
    jobs = _jobs(read, missing, proposals, plan.pet.match_check)
    work = partial(track_patient, rules=plan.pet.to_dict())
    found = run(jobs, work, what="patients") if jobs else []
    scans = {scan_of(task): result.scan for task, result in read}
    for job, tracked in zip(jobs, found, strict=True):
        for at, one in enumerate(job["followups"]):
            seen = Tracked(failed=tracked.message) if isinstance(tracked, Failure) else tracked[at]
            _add_tracked(scan_of(one["task"]), seen, rows, scans, proposals, links)
    for scan, why in proposals.failed.items():
        links.queries += [failed_query(scan, why)] if scan in scans else []
    outside = {(scan, lesion) for scan, lesion in _outside(jobs, found)}
    links.queries += ask(rows, missing, outside, decided)
    links.lesion_map = _frame(rows)
    return links


def _map_rows(
    read: Sequence[tuple[Mapping[str, Any], ScanResult]], proposals: Proposals, said: Mapping[Scan, set[str]]
) -> list[dict[str, Any]]:
    rows = []
    for task, result in read:
        scan = scan_of(task)
        named = proposals.named.get(scan, {})
        for drawn in result.drawn:
            one = named.get(drawn["DRAWNID"])
            source = PROPOSED if scan in proposals.failed else NAME if one is None else one.source
            flags = [drawn["FLAGS"]] if drawn["FLAGS"] else []
            flags += [FAILED] if scan in proposals.failed else [] if one is None else list(one.flags)
            rows.append(
                {"USUBJID": scan[0], "AVISIT": scan[1], "DRAWNID": drawn["DRAWNID"],
                 "LESIONID": drawn["LESIONID"], "STATUS": None,
                 "SOURCE": READER if drawn["DRAWNID"] in said.get(scan, ()) else source,
                 "DICE": one.dice if one else None, "DISTANCEMM": one.distance_mm if one else None,
                 "FLAGS": flags, "PROPOSAL": one.proposal if one else None}
            )  # fmt: skip
    _add_status(rows)
    return rows


def _add_status(rows: list[dict[str, Any]]) -> None:
    counts = Counter((row["USUBJID"], row["AVISIT"], row["LESIONID"]) for row in rows)
    for row in rows:
        at_baseline = counts[(row["USUBJID"], BASELINE, row["LESIONID"])]
        here = counts[(row["USUBJID"], row["AVISIT"], row["LESIONID"])]
        if row["AVISIT"] == BASELINE:
            row["STATUS"] = "BASELINE"
        elif not at_baseline:
            row["STATUS"] = "NEW"
        else:
            row["STATUS"] = "SPLIT" if here > 1 else "MERGED" if at_baseline > 1 else "SAME"


def _without_region(
    read: Sequence[tuple[Mapping[str, Any], ScanResult]], said: Mapping[Scan, set[str]]
) -> list[dict[str, Any]]:
    """List the reader's rows whose region the scan does not have."""
    found = []
    for task, result in read:
        scan = scan_of(task)
        for name in sorted(said.get(scan, set()) - {row["DRAWNID"] for row in result.drawn}):
            reason = (
                f"lesion_map.csv: {name}: no lesion of the scan was drawn under this ROINAME; correct the row"
            )
            found.append(
                {"USUBJID": scan[0], "AVISIT": scan[1], "ITEM": "record",
                 "CODE": "LESION_MAP_WITHOUT_ROI", "REASON": reason}
            )  # fmt: skip
    return found


def _missing(
    read: Sequence[tuple[Mapping[str, Any], ScanResult]],
    rows: Sequence[Mapping[str, Any]],
    decided: Mapping[tuple[str, str, str], set[str]],
) -> dict[Scan, list[str]]:
    """Return the baseline lesions without a region, of every follow-up scan that was read.

    A scan was read if anything was drawn on it, or a reader decided of a baseline lesion there: who responds
    completely has nothing to draw.
    """
    lesions: dict[Scan, set[str]] = {}
    for row in rows:
        lesions.setdefault((row["USUBJID"], row["AVISIT"]), set()).add(row["LESIONID"])
    missing = {}
    for task, _ in read:
        scan = scan_of(task)
        before = lesions.get((scan[0], BASELINE), set())
        if scan[1] != BASELINE and (_has_regions(task) or any((*scan, name) in decided for name in before)):
            missing[scan] = sorted(before - lesions.get(scan, set()))
    return missing


def _has_regions(task: Mapping[str, Any]) -> bool:
    return bool(task["rois"] or task["seeds"])


def _jobs(
    read: Sequence[tuple[Mapping[str, Any], ScanResult]],
    missing: Mapping[Scan, list[str]],
    proposals: Proposals,
    check: str,
) -> list[dict[str, Any]]:
    jobs = []
    for group in by_subject([task for task, _ in read]).values():
        first, *others = baseline_first(group)
        wanted = [
            {"task": task, "missing": missing[scan], "transform": proposals.transforms.get(scan)}
            for task in others
            if (scan := scan_of(task)) in missing and scan not in proposals.failed
            and (missing[scan] or check == "all")
        ]  # fmt: skip
        if first is not None and wanted and check != "none":
            jobs.append({"baseline": first, "followups": wanted})
    return jobs


def _add_tracked(
    scan: Scan,
    seen: Tracked,
    rows: list[dict[str, Any]],
    scans: Mapping[Scan, Mapping[str, Any]],
    proposals: Proposals,
    links: Links,
) -> None:
    mine = [row for row in rows if (row["USUBJID"], row["AVISIT"]) == scan]
    if seen.failed is not None:
        links.queries.append(failed_query(scan, seen.failed))
        for row in mine:
            row["FLAGS"].append(FAILED)
        return
    for row in mine:
        if row["DRAWNID"] in seen.facts:
            dice, distance, flags = seen.facts[row["DRAWNID"]]
            row["FLAGS"] += flags
            if row["DICE"] is None:
                row |= {"DICE": dice, "DISTANCEMM": distance}
    for lesion, (suv, sul, organ, flags) in seen.backgrounds.items():
        shared = {key: scans[scan][key] for key in ("STUDYID", "USUBJID", "AVISIT", "ADT")}
        shared |= {"LESIONID": lesion, "ROLE": "LESION", "ORGAN": organ.lower() if organ else None}
        shared |= {"UNIT": "g/ml", "FLAGS": ";".join(flags)}
        links.rows += [
            {**shared, "METRIC": metric, "AVAL": value}
            for metric, value in (("SUVBKG", suv), ("SULBKG", sul))
            if value is not None
        ]


def _outside(jobs: Sequence[Mapping[str, Any]], found: Sequence[Any]) -> list[tuple[Scan, str]]:
    return [
        (scan_of(one["task"]), lesion)
        for job, tracked in zip(jobs, found, strict=True)
        if not isinstance(tracked, Failure)
        for one, seen in zip(job["followups"], tracked, strict=True)
        for lesion, (*_, flags) in seen.backgrounds.items()
        if OUTSIDE in flags
    ]


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=LESION_MAP_COLUMNS)
    table[["DICE", "DISTANCEMM"]] = table[["DICE", "DISTANCEMM"]].astype(float)
    texts = [";".join(dict.fromkeys(words)) or None for words in table["FLAGS"]]
    table["FLAGS"] = pd.Series(texts, table.index, dtype=object)
    return table.sort_values(["USUBJID", "AVISIT", "DRAWNID"], kind="stable", ignore_index=True)
