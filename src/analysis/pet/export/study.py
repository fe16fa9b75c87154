"""Export every measured scan of a study below its derived folder, and account for those that cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import contracts
from analysis import plan as plans
from analysis.fanout import Failure, fan_out
from analysis.pet.export.scan import Exported, check_kinds, export_scan
from analysis.storage import write_bytes

FOLDER = "dicom"
EXPORT_COLUMNS = ["USUBJID", "AVISIT", "KIND", "PATH", "SHA256", "CODE", "MESSAGE"]
EXCLUSION_COLUMNS = contracts.columns("exclusions_02")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def export_study(
    tasks: Sequence[Mapping[str, Any]],
    adpet: pd.DataFrame,
    plan: plans.Plan | None = None,
    *,
    derived_dir: str | Path,
    admr: pd.DataFrame | None = None,
    workers: int = 1,
    dask_scheduler: str | None = None,
    step: str = "02",
    report: Callable[[str, int, int], None] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the exchange objects of every scan that adpet has rows of.

    Parameters
    ----------
    tasks : sequence of mapping
        Tasks of the study, as `analysis.pet.tasks.make_tasks` makes them.
    adpet : DataFrame
        Table of this name.
    plan : Plan, optional
        Section ``pet`` (`exports`).
    derived_dir : path
        Files go to ``dicom/<USUBJID>/<AVISIT>/{seg,sr,rwv}.dcm`` below it; what other ``.dcm`` files are in
        that folder ``dicom`` were left by an earlier run and are removed.
    admr : DataFrame, optional
        Table of this name: responses for the reports.
    workers, dask_scheduler
        As in `analysis.fanout.fan_out`.
    step : str
        Number of the notebook, for the ledger.
    report : callable, optional
        Progress, as in `analysis.fanout.fan_out`.

    Returns
    -------
    (DataFrame, DataFrame)
        Table exports, and exclusions for what could not be written.

    Raises
    ------
    ValueError
        EXPORTS_UNKNOWN, EXPORTS_SR_WITHOUT_SEG.
    """
    plan = plans.defaults() if plan is None else plan
    kinds = check_kinds(plan.pet)
    units = _units(tasks, adpet, admr) if kinds else []
    work = partial(_write_scan, rules=plan.pet.to_dict(), derived_dir=str(derived_dir))
    found = fan_out(units, work, workers, dask_scheduler, what="exports", report=report)
    rows = []
    for unit, result in zip(units, found, strict=True):
        rows += _rows_of(unit["task"]["scan"], result, kinds)
    exports = pd.DataFrame(rows, columns=EXPORT_COLUMNS)
    exports = exports.sort_values(["USUBJID", "AVISIT", "KIND"], kind="stable", ignore_index=True)
    _remove_stale(Path(derived_dir), set(exports["PATH"].dropna()))
    return exports, _exclusions(exports, step)


def _units(tasks, adpet: pd.DataFrame, admr: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return task, numbers and responses of every measured scan; only what the report needs travels."""
    rows = _by_scan(adpet, ["LESIONID", "METRIC", "AVAL"])
    responses = {} if admr is None else _by_scan(admr, ["RULE", "METRIC", "CUT", "AVALC"])
    keys = [(task["scan"]["USUBJID"], task["scan"]["AVISIT"]) for task in tasks]
    return [
        {"task": task, "rows": rows[key], "responses": responses.get(key, [])}
        for task, key in zip(tasks, keys, strict=True)
        if key in rows
    ]


def _by_scan(table: pd.DataFrame, columns: list[str]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    groups = table.groupby(["USUBJID", "AVISIT"], sort=False)
    return {key: group[columns].to_dict("records") for key, group in groups}


def _write_scan(unit: Mapping[str, Any], rules: Mapping[str, Any], derived_dir: str) -> list[dict[str, Any]]:
    """Export one scan and write its objects; return rows without subject and visit."""
    scan = unit["task"]["scan"]
    names = [str(scan[key]) for key in ("USUBJID", "AVISIT")]
    if not all(map(_PLAIN.fullmatch, names)):
        found = [
            Exported(
                kind,
                code="EXPORT_NAME_UNSAFE",
                message="subject and visit must be usable as names of folders (letters, digits, . _ -)",
            )
            for kind in check_kinds(plans.Section("pet", rules))
        ]
    else:
        found = export_scan(unit["task"], rules, unit["rows"], unit["responses"])
    rows = []
    for one in found:
        path = None
        if one.content is not None:
            path = "/".join([FOLDER, *names, f"{one.kind.lower()}.dcm"])
            write_bytes(Path(derived_dir) / path, one.content)
        row = {"KIND": one.kind, "PATH": path, "SHA256": one.sha256, "CODE": one.code, "MESSAGE": one.message}
        rows.append(row)
    return rows


def _rows_of(scan: Mapping[str, Any], result: Any, kinds: Sequence[str]) -> list[dict[str, Any]]:
    if isinstance(result, Failure):
        failed = {"PATH": None, "SHA256": None, "CODE": result.code, "MESSAGE": result.message}
        result = [{"KIND": kind, **failed} for kind in kinds]
    return [{"USUBJID": scan["USUBJID"], "AVISIT": scan["AVISIT"], **row} for row in result]


def _remove_stale(derived_dir: Path, written: set[str]) -> None:
    for path in sorted((derived_dir / FOLDER).rglob("*.dcm")):
        if path.relative_to(derived_dir).as_posix() not in written:
            path.unlink()


def _exclusions(exports: pd.DataFrame, step: str) -> pd.DataFrame:
    aside = exports[exports["CODE"].notna()]
    reason = aside["KIND"] + ": " + aside["MESSAGE"]
    return aside.assign(STEP=step, ITEM="export", REASON=reason)[EXCLUSION_COLUMNS].reset_index(drop=True)
