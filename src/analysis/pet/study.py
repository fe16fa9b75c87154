"""Measure all PET scans of a study: index, name subject and visit, measure, account for every scan.

Tables of a reader come as arguments: this module opens none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import contracts
from analysis import plan as plans
from analysis.fanout import Failure, fan_out
from analysis.pet import harmonisation, ledger, lesion_links, lesion_proposals, quality
from analysis.pet import scan_map as scan_maps
from analysis.pet.assign import assign_subjects_and_visits
from analysis.pet.index import Index, index_tree
from analysis.pet.measurement import ScanResult, measure_scan
from analysis.pet.reader_tables import LESION_MAP, REFERENCE_REGIONS, SEEDS, rows_by_scan, signed_rows
from analysis.pet.reference_regions import BASELINE, LESION_KEY, derive_evaluable, select_targets
from analysis.pet.tasks import make_tasks, scan_row

__all__ = [
    "Index",
    "ScanResult",
    "Study",
    "assign_subjects_and_visits",
    "index_tree",
    "measure_scan",
    "measure_study",
]

ADPET_COLUMNS = ["STUDYID", "USUBJID", "AVISIT", "LESIONID", "METRIC", "ROLE", "ORGAN", "ADT", "AVAL", "UNIT"]
ADPET_COLUMNS += ["EVALFL", "TARGETFL", "FLAGS"]
QC_TEXT = [
    "STUDYID",
    "USUBJID",
    "AVISIT",
    "SITEID",
    "VENDOR",
    "MODEL",
    "UNITS",
    "DECAYCORR",
    "STATUS",
    "CODE",
]
QC_TEXT += ["MESSAGE", "ADAPTATIONS", "FLAGS"]
QC_TEXT += ["FASTING", "SOFTWARE", "RECON", "KERNEL", "PSF", "TOF", "MATRIX", "TREFRULE", "HARMON"]
QC_NUMBER = [
    "UPTAKEMIN",
    "UPTAKEACQ",
    "DOSEMBQ",
    "WEIGHTKG",
    "HEIGHTM",
    "GLUCOSE",
    "NSLICES",
    "VOXELML",
    "LIVERMEAN",
    "LIVERSD",
]
QC_NUMBER += ["OFFDRUG7", "VOXELX", "VOXELY", "VOXELZ", "TREFSPREAD", "TREFDIFF"]
PROPOSAL_NUMBERS = ["X", "Y", "Z", "SUVMEAN", "SUVSD", "CV", "N_VOXELS"]
PROPOSAL_COLUMNS = [
    "USUBJID",
    "AVISIT",
    "REGION",
    *PROPOSAL_NUMBERS,
    "FLAGS",
    "STATUS",
    "READER",
    "DECIDEDDT",
]
EXCLUSION_COLUMNS = contracts.columns("exclusions_02")


@dataclass(frozen=True)
class Study:
    """Everything the scans of a study gave.

    Attributes
    ----------
    adpet, scan_qc, exclusions, queries : DataFrame
        Tables of these names (``analysis.contracts``); every PET series found has one row in `scan_qc`.
    mips : DataFrame
        Table of this name: two projections of every measured scan (`analysis.pet.projection`).
    reference_proposals : DataFrame
        Table of this name: where liver and aorta of every measured scan come from.
    lesion_map : DataFrame
        Table of this name: which lesion every drawn region is.
    tasks : list of dict
        Inputs every scan was measured by, for `analysis.pet.export`.
    files : Counter
        Files below the DICOM folder by what they are; every file counts once.
    """

    adpet: pd.DataFrame
    scan_qc: pd.DataFrame
    exclusions: pd.DataFrame
    queries: pd.DataFrame
    mips: pd.DataFrame
    reference_proposals: pd.DataFrame = field(default_factory=pd.DataFrame)
    files: Counter = field(default_factory=Counter)
    lesion_map: pd.DataFrame = field(default_factory=pd.DataFrame)
    tasks: list[dict[str, Any]] = field(default_factory=list, repr=False)


def measure_study(
    raw_dir: str | Path,
    adsl: pd.DataFrame,
    plan: plans.Plan | None = None,
    *,
    workers: int = 1,
    dask_scheduler: str | None = None,
    roi_map: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
    scan_map: pd.DataFrame | None = None,
    seeds: pd.DataFrame | None = None,
    reference_regions: pd.DataFrame | None = None,
    lesion_map: pd.DataFrame | None = None,
    step: str = "02",
    with_mips: bool = True,
    report: Callable[[str, int, int], None] | None = None,
) -> Study:
    """Measure every PET scan below a study's raw folder.

    Parameters
    ----------
    raw_dir : path
        Raw folder; the images lie in its folder ``pet.dicom_folder``.
    adsl : DataFrame
        USUBJID, and STUDYID SUBJID SITEID TRTSDT where known.
    plan : Plan, optional
        Sections ``pet``, ``response`` (targets) and ``visits``.
    workers, dask_scheduler
        As in `analysis.fanout.fan_out`: scans are independent of each other.
    roi_map, decisions : DataFrame, optional
        ``roi_map.csv`` and ``reader_decisions.csv``.
    scan_map : DataFrame, optional
        ``scan_map.csv``: whose and which visit a series is, whether to use it, and with which ROI object; it
        wins over everything (`analysis.pet.scan_map`).
    seeds, reference_regions, lesion_map : DataFrame, optional
        ``seeds.csv``, ``reference_regions.csv`` and ``lesion_map.csv`` (`analysis.pet.reader_tables`).
    step : str
        Number of the notebook, for the ledger.
    with_mips : bool
        Also project every scan.
    report : callable, optional
        Progress, as in `fan_out`.

    Returns
    -------
    Study
        The same for any number of workers.

    Raises
    ------
    FileNotFoundError
        NO_DATA_FOLDER; NO_PET_SERIES if the folder holds not one.
    ValueError
        SEEDS_COLUMNS, REFERENCE_REGIONS_COLUMNS, LESION_MAP_COLUMNS; ROI_MAP_* and SCAN_MAP_* for an error
        in roi_map.csv and scan_map.csv; HARMONISATION_* for one in the plan (`analysis.pet.harmonisation`).
    """
    plan = plans.defaults() if plan is None else plan
    harmonisation.read_entries(plan.pet)  # an error of the plan, not of every scan
    folder, study = plan.pet.dicom_folder, _study_of(adsl, plan)
    index = index_tree(Path(raw_dir) / folder, report)
    _check_found(index, folder)
    entries = scan_maps.read_entries(scan_map, index, adsl, folder)
    index = scan_maps.choose_rois(index, entries)
    series = index.series.assign(SCANPATH=_unique_paths(index.series["PATH"], folder))
    assigned, problems = assign_subjects_and_visits(series, adsl, plan, entries)
    scans = list(zip(assigned["USUBJID"], assigned["AVISIT"]))
    seed_rows, lost = rows_by_scan(seeds, SEEDS, scans, adsl["USUBJID"])
    region_rows, also_lost = rows_by_scan(reference_regions, REFERENCE_REGIONS, scans, adsl["USUBJID"])
    said, unread = rows_by_scan(lesion_map, LESION_MAP, scans, adsl["USUBJID"])
    said, unsigned = signed_rows(said, LESION_MAP)
    tasks = make_tasks(
        index, assigned, plan, raw_dir=str(raw_dir), study=study, roi_map=roi_map, entries=entries,
        seeds=seed_rows, reference_regions=region_rows, lesion_map=said, with_mips=with_mips,
        lost_seeds={(problem["USUBJID"], problem["AVISIT"]) for problem in lost},
    )  # fmt: skip
    work = partial(measure_scan, rules=plan.pet.to_dict())
    run = partial(fan_out, workers=workers, dask_scheduler=dask_scheduler, report=report)
    tasks, proposals = lesion_proposals.propose_links(tasks, plan, run)
    found = fan_out(tasks, work, workers, dask_scheduler, what="scans", report=report)
    results = [_or_failed(task, result) for task, result in zip(tasks, found, strict=True)]
    scan_qc = _scan_table(results, assigned[assigned["CODE"].notna()], problems, study)
    scan_qc = ledger.flag_scans(scan_qc, _flagged(assigned, entries))
    links = lesion_links.link_lesions(tasks, results, proposals, plan, run, said=said, decisions=decisions)
    rows = [*(row for result in results for row in result.rows), *links.rows]
    adpet = derive_flags(_frame(rows, ADPET_COLUMNS).astype({"AVAL": float}), plan)
    aside, asked = ledger.index_ledger(index, assigned, folder, set(seed_rows) | links.read)
    asked += ledger.out_of_window(assigned, adsl, plan, set(entries))
    aside += [*problems, *lost, *also_lost, *unread, *unsigned, *links.exclusions]
    exclusions = [*aside, *(row for r in results for row in r.exclusions)]
    exclusions += ledger.not_evaluable(adpet) + ledger.without_scan(adsl, assigned)
    asked += harmonisation.check_study(scan_qc)
    queries = ledger.merge_queries([*asked, *links.queries, *(row for r in results for row in r.queries)])
    parts = [queries, quality.check_subjects(scan_qc, plan.pet)]
    if decisions is not None and len(decisions):
        parts.append(quality.check_decisions(decisions, adpet))
    queries = pd.concat([part for part in parts if len(part)] or [queries], ignore_index=True)
    queries.insert(0, "STEP", step)
    set_aside = pd.DataFrame(exclusions, columns=EXCLUSION_COLUMNS).assign(STEP=step)
    counts = Counter(index.fate.values())
    pictures, references = _mips(results), _proposals(results)
    return Study(adpet, scan_qc, set_aside, queries, pictures, references, counts, links.lesion_map, tasks)


def derive_flags(adpet: pd.DataFrame, plan: plans.Plan | None = None) -> pd.DataFrame:
    """Derive EVALFL (FDG-evaluable at baseline) and TARGETFL, on all rows of a lesion at every visit.

    Parameters
    ----------
    adpet : DataFrame
        Lesion and reference region rows; existing flags are replaced.
    plan : Plan, optional
        Sections ``pet`` (`evaluable_*`) and ``response`` (`max_targets*`, `target_metric`).

    Returns
    -------
    DataFrame
        `adpet` sorted by its key. Rows of regions, totals and of lesions absent at baseline, or without any
        value there, have no flag.
    """
    plan = plans.defaults() if plan is None else plan
    base = adpet[(adpet["AVISIT"] == BASELINE) & (adpet["ROLE"] == "LESION")]
    lesions = base.drop_duplicates(LESION_KEY)[[*LESION_KEY, "ORGAN"]]
    evaluable = derive_evaluable(adpet, plan.pet).rename(columns={"FLAGS": "WHY"})
    lesions = lesions.merge(evaluable, on=LESION_KEY, how="left", validate="one_to_one")
    ranks = base.loc[base["METRIC"] == plan.response.target_metric, [*LESION_KEY, "AVAL"]]
    lesions = lesions.merge(ranks, on=LESION_KEY, how="left", validate="one_to_one")
    targets = select_targets(
        lesions, max_targets=plan.response.max_targets, max_per_organ=plan.response.max_targets_per_organ
    )
    lesions["TARGETFL"] = np.where(targets, "Y", "N")
    # Of a lesion that could not be measured neither can be known.
    finite = np.isfinite(base["AVAL"].to_numpy(float))
    known = base[finite].drop_duplicates(LESION_KEY).set_index(LESION_KEY).index
    lost = ~pd.MultiIndex.from_frame(lesions[LESION_KEY]).isin(known)
    for name in ("EVALFL", "TARGETFL", "WHY"):
        lesions[name] = lesions[name].astype(object).mask(lost, None)
    flags = lesions[[*LESION_KEY, "EVALFL", "TARGETFL", "WHY"]]
    out = adpet.drop(columns=["EVALFL", "TARGETFL"]).merge(
        flags, on=LESION_KEY, how="left", validate="many_to_one"
    )
    out["FLAGS"] = [
        ";".join(
            dict.fromkeys(
                word for text in (a, b) if isinstance(text, str) for word in text.split(";") if word
            )
        )
        or None
        for a, b in zip(out["FLAGS"], out["WHY"])
    ]
    out[["EVALFL", "TARGETFL"]] = (
        out[["EVALFL", "TARGETFL"]].astype(object).where(out["EVALFL"].notna(), None)
    )
    order = ["USUBJID", "AVISIT", "LESIONID", "METRIC"]
    return out[ADPET_COLUMNS].sort_values(order, kind="stable", ignore_index=True)


def _check_found(index: Index, folder: str) -> None:
    """Refuse a folder without any PET series: a study of which nothing can be said is a wrong folder."""
    if len(index.series):
        return
    problems = pd.Series([problem["CODE"] for problem in index.problems], dtype=object).value_counts()
    seen = [f"{count} {code}" for code, count in sorted(problems.items())]
    others = sum(index.passed_over.values())
    seen += [f"{others} files of other kinds"] if others else []
    raise FileNotFoundError(
        f"NO_PET_SERIES: no PET series to measure in the folder {folder!r}, "
        f"found {', '.join(seen) or 'no files'}; put the DICOM files there, "
        "or name another folder (raw_dir, pet.dicom_folder)"
    )


def _unique_paths(paths: pd.Series, folder: str) -> list[str]:
    """Name each series by its folder under the raw folder; further series of one folder get a number."""
    number = paths.groupby(paths).cumcount() + 1
    under = [ledger.below(folder, path) for path in paths]
    return [path if n == 1 else f"{path}#{n}" for path, n in zip(under, number)]


def _flagged(assigned: pd.DataFrame, entries: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return the scans a person assigned, and those measured without slices that a DICOMDIR lists.

    A scan that the map sets aside, or that is refused before it is read, has its code.
    """
    mapped = [uid in entries and entries[uid].use for uid in assigned["SERIESUID"]]
    short = (assigned["MISSING"] > 0) & assigned["CODE"].isna()
    return {
        scan_maps.FLAG: set(assigned.loc[mapped, "SCANPATH"]),
        ledger.FILES_MISSING: set(assigned.loc[short, "SCANPATH"]),
    }


def _study_of(adsl: pd.DataFrame, plan: plans.Plan) -> str:
    names = adsl["STUDYID"].dropna().unique() if "STUDYID" in adsl else []
    return str(names[0]) if len(names) else plan.study


def _or_failed(task: Mapping[str, Any], result: ScanResult | Failure) -> ScanResult:
    if isinstance(result, ScanResult):
        return result
    scan = dict(task["scan"], STATUS="REFUSED", CODE=result.code, MESSAGE=result.message)
    aside = {"USUBJID": scan["USUBJID"], "AVISIT": scan["AVISIT"], "ITEM": "scan", "CODE": result.code}
    return ScanResult(scan=scan, exclusions=[{**aside, "REASON": f"{scan['PATH']}: {result.message}"}])


def _scan_table(
    results: list[ScanResult], set_aside: pd.DataFrame, problems: list[dict[str, Any]], study: str
) -> pd.DataFrame:
    rows = [result.scan for result in results]
    for row, problem in zip(set_aside.itertuples(index=False), problems, strict=True):
        rows.append(
            {**scan_row(row, study), "STATUS": "REFUSED", "CODE": row.CODE, "MESSAGE": problem["MESSAGE"]}
        )
    table = _frame(rows, [*QC_TEXT[:3], "ADT", *QC_TEXT[3:], *QC_NUMBER, "PATH"])
    table[QC_NUMBER] = table[QC_NUMBER].astype(float)
    return table.sort_values(["USUBJID", "ADT", "PATH"], kind="stable", ignore_index=True)


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=columns)
    frame["ADT"] = pd.to_datetime(frame["ADT"])
    texts = [name for name in columns if frame[name].dtype == object]
    frame[texts] = frame[texts].where(frame[texts].notna(), None)
    return frame


def _mips(results: list[ScanResult]) -> pd.DataFrame:
    columns = ["USUBJID", "AVISIT", "VIEW", "ROWS", "COLUMNS", "PIXELMM", "PIXELS", "LABELS", "LABELNAMES"]
    return pd.DataFrame([row for result in results for row in result.mips], columns=columns)


def _proposals(results: list[ScanResult]) -> pd.DataFrame:
    table = pd.DataFrame([row for r in results for row in r.references], columns=PROPOSAL_COLUMNS)
    table[PROPOSAL_NUMBERS] = table[PROPOSAL_NUMBERS].astype(float)
    table["DECIDEDDT"] = pd.to_datetime(table["DECIDEDDT"])
    texts = table[["FLAGS", "READER"]].astype(object)
    table[["FLAGS", "READER"]] = texts.where(texts.notna(), None)
    return table
