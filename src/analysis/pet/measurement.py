"""Measure one scan: a pure function of plain inputs, so that it may run on any worker in any order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis import plan as plans
from analysis.pet import harmonisation, quality
from analysis.pet.codes import RoiRefused, SeriesRefused
from analysis.pet.lesion_names import LesionNames, assign_lesions, list_drawn
from analysis.pet.metrics import Voxels, compute_totals, measure_reference, measure_voxels
from analysis.pet.projection import project_scan
from analysis.pet.reference_choice import (
    MOVED_SINCE,
    WITHOUT_PLACE,
    Reference,
    choose_references,
    is_signed,
)
from analysis.pet.reference_regions import BASELINE, check_region, percist_threshold
from analysis.pet.scan_facts import scan_facts, sul_factor
from analysis.pet.scan_regions import (
    REFERENCES,
    Problem,
    Regions,
    ScanRegion,
    add_seeds,
    flag_shared,
    load_regions,
    split_seeds,
)
from analysis.pet.series import PetImage, load_pet

# METRIC -> key of `measure`; all in g/ml, and scaled to SUL for a second row each.
SUV_METRICS = {
    "SUVMAX": "suv_max",
    "SUVMEAN": "suv_mean",
    "SUVMED": "suv_median",
    "SUVSD": "suv_sd",
    "SUVPEAK": "suv_peak",
    "SUVPEAK2": "suv_peak_exact",
    "SUVPEAK3": "suv_peak_at_max",
}
REGION_METRICS = ("SUVMAX", "SUVMEAN", "SUVSD")
NOT_MEASURED = "NOT_MEASURED"  # flag of the one row of a baseline lesion that could not be measured


@dataclass
class ScanResult:
    """Plain rows of one scan.

    Attributes
    ----------
    rows : list of dict
        adpet rows, without EVALFL and TARGETFL, which need the whole study.
    scan : dict
        The scan_qc row.
    exclusions, queries : list of dict
        What was set aside, and what a person should look at.
    mips : list of dict
        mips rows: two projections, for real patients without the head (`analysis.pet.projection`).
    references : list of dict
        reference_proposals rows: where liver and aorta come from, or why there is none.
    drawn : list of dict
        DRAWNID LESIONID FLAGS of every lesion region as it was drawn.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    scan: dict[str, Any] = field(default_factory=dict)
    exclusions: list[dict[str, Any]] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)
    mips: list[dict[str, Any]] = field(default_factory=list)
    references: list[dict[str, Any]] = field(default_factory=list)
    drawn: list[dict[str, str]] = field(default_factory=list)


def measure_scan(
    task: Mapping[str, Any], rules: plans.Section | Mapping[str, Any] | None = None
) -> ScanResult:
    """Measure every lesion and reference region of one scan.

    Parameters
    ----------
    task : mapping
        ``raw_dir`` and, relative to it, ``path`` (folder of the series), ``files`` (its files, or None for
        all of the folder) and ``rois`` (ROI objects); ``series_uid``; ``scan`` (what is known for the
        scan_qc row, with STUDYID USUBJID AVISIT ADT); ``roi_map`` (ROI name -> row of roi_map.csv);
        ``height_m`` (of another scan of the patient, or None); ``mip`` (bool: project it); ``crop`` (bool:
        cut the pictures below the chin); optionally ``group`` (name of the group of a split series),
        ``seeds`` and ``reference_regions`` (rows of the reader's tables for this scan), ``lesions`` (name
        drawn -> lesion), ``aliases`` (lesion a name stands for -> lesion it is) and ``unmatched`` (put before
        every other name), ``set_aside`` (bool: a region or seed of this scan was set aside before).
    rules : Section or mapping, optional
        Plan section ``pet``.

    Returns
    -------
    ScanResult
        A refused scan has its code in the scan_qc row and in the exclusions, and no measurements.
    """
    rules = _as_section(rules)
    result = ScanResult(scan=dict(task["scan"], STATUS="OK", CODE=None, MESSAGE=None))
    try:
        sent = load_pet(
            series_files(task),
            series_uid=task["series_uid"],
            group=task.get("group"),
            strict=rules.strict,
            rules=rules,
        )
        flags = [*sent.facts["flags"], *quality.check_protocol(sent.facts, rules)]
        facts = scan_facts(sent)
        pet = harmonisation.filter_for_quantification(sent, result.scan | facts, rules)
    except SeriesRefused as error:
        _refuse(result, error)
        return result
    flags += quality.check_body(pet.values, rules)
    result.scan |= facts
    result.scan["HARMON"], unknown = harmonisation.state(result.scan, rules)
    factor, sul_flags = sul_factor(pet, rules, task.get("height_m"))
    scan = _Scan(pet, factor, rules, result)
    flags += _measure_all(task, scan)
    _query_header(result, sent)
    flags += [*sul_flags, *unknown]
    if task.get("mip"):
        seen = {name: region.voxels for (_, name), region in scan.regions.items()}
        pictures, cut = project_scan(sent, seen, rules, crop=task.get("crop", True))
        where = {key: result.scan[key] for key in ("USUBJID", "AVISIT")}
        result.mips, flags = [where | row for row in pictures], [*flags, *cut]
    result.scan |= {"ADAPTATIONS": _join(pet.adaptations), "FLAGS": _join(flags)}
    return result


def load_for_quantification(task: Mapping[str, Any], rules: plans.Section) -> PetImage:
    """Load the image of a scan as its numbers are read from: blurred where the plan asks for EQ.PET.

    Parameters
    ----------
    task : mapping
        As for `measure_scan`.
    rules : Section
        Plan section ``pet``.

    Returns
    -------
    PetImage

    Raises
    ------
    SeriesRefused
        As `load_pet` and `harmonisation.filter_for_quantification` do.
    """
    sent = load_pet(
        series_files(task),
        series_uid=task["series_uid"],
        group=task.get("group"),
        strict=rules.strict,
        rules=rules,
    )
    return harmonisation.filter_for_quantification(sent, dict(task["scan"]) | scan_facts(sent), rules)


@dataclass
class _Scan:
    pet: PetImage
    sul_per_suv: float
    rules: plans.Section
    result: ScanResult
    regions: Regions = field(default_factory=dict)


def _as_section(rules: Any) -> plans.Section:
    if rules is None:
        return plans.defaults().pet
    return rules if isinstance(rules, plans.Section) else plans.Section("pet", rules)


def series_files(task: Mapping[str, Any]) -> Path | list[Path]:
    """Return the folder or the files of a task's series, as `load_pet` takes them.

    Parameters
    ----------
    task : mapping
        ``raw_dir``, ``path`` and ``files``, as for `measure_scan`.

    Returns
    -------
    Path or list of Path
        The folder where the task names no files.
    """
    root = Path(task["raw_dir"])
    return root / task["path"] if task["files"] is None else [root / name for name in task["files"]]


def _refuse(result: ScanResult, error: SeriesRefused) -> None:
    result.scan |= {"STATUS": "REFUSED", "CODE": error.code, "MESSAGE": error.message}
    result.exclusions.append(_aside(result, "scan", error.code, f"{result.scan['PATH']}: {error.message}"))


def _aside(result: ScanResult, item: str, code: str, reason: str) -> dict[str, Any]:
    where = {key: result.scan[key] for key in ("USUBJID", "AVISIT")}
    return {**where, "ITEM": item, "CODE": code, "REASON": reason}


def find_regions(
    task: Mapping[str, Any], pet: PetImage, rules: plans.Section | Mapping[str, Any] | None = None
) -> Regions:
    """Find the regions a scan is measured in, in the very way `measure_scan` does.

    Parameters
    ----------
    task : mapping
        As for `measure_scan`.
    pet : PetImage
        The image of that scan.
    rules : Section or mapping, optional
        Plan section ``pet``.

    Returns
    -------
    dict
        (role, name) -> ScanRegion, what was drawn, grown from points and used as a reference.
    """
    scan = _Scan(pet, math.nan, _as_section(rules), ScanResult(scan=dict(task["scan"])))
    return _gather_regions(task, scan).regions


@dataclass
class _Gathered:
    """Regions of a scan, its measured references, and what could not be used."""

    regions: Regions
    references: dict[str, dict[str, Any] | None]
    threshold: float | None
    problems: list[Problem]
    flags: list[str]


def _gather_regions(task: Mapping[str, Any], scan: _Scan) -> _Gathered:
    """Gather drawn regions, references and what is grown from points; flags concern the whole scan."""
    regions, problems = load_regions(task, scan.pet, scan.rules)
    first, later, unused = split_seeds(regions, task.get("seeds") or ())
    # Proposals keep away from what is grown from points too; only PERCIST's threshold waits for the liver.
    problems += unused + add_seeds(regions, first, scan.pet, scan.rules)
    flags = [problem.code for problem in problems if problem.code == "REFERENCE_AMBIGUOUS"]
    flags += _choose_references(task, scan, regions, problems)
    found = {role: _try_reference(scan, role, regions) for role in REFERENCES if (role, role) in regions}
    liver, threshold = found.get("LIVER"), None
    if liver:
        threshold = percist_threshold(liver["suv_mean"], liver["suv_sd"], scan.rules)
    problems += add_seeds(regions, later, scan.pet, scan.rules, threshold)
    names = LesionNames.of(task)
    assign_lesions(regions, names)
    scan.result.drawn += list_drawn(regions, problems, names)
    flag_shared(regions)
    return _Gathered(regions, found, threshold, problems, flags)


def _measure_all(task: Mapping[str, Any], scan: _Scan) -> list[str]:
    """Measure references, then lesions, then totals; return flags that concern the whole scan."""
    gathered = _gather_regions(task, scan)
    regions, problems, flags = gathered.regions, gathered.problems, gathered.flags
    scan.regions = regions
    scan.result.exclusions += [_aside(scan.result, *problem[:3]) for problem in problems]
    lesions = {name: region for (role, name), region in sorted(regions.items()) if role == "LESION"}
    for role, values in sorted(gathered.references.items()):
        if values:
            flags += _add_reference(scan, role, regions[(role, role)], values, lesions.values())
    parts = [_measure_lesion(scan, name, region, gathered.threshold) for name, region in lesions.items()]
    measured = [name for name, part in zip(lesions, parts, strict=True) if part is not None]
    _keep_unmeasured(task, scan, set(measured))
    lost = task.get("set_aside", False) or None in parts or any(problem.lesion for problem in problems)
    if task["rois"] or task.get("seeds"):
        _add_totals(scan, [part for part in parts if part is not None], lost)
    return flags


def _choose_references(
    task: Mapping[str, Any], scan: _Scan, regions: Regions, problems: list[Problem]
) -> list[str]:
    """Add the liver and aorta that nobody drew to the regions; return their flags of the whole scan."""
    lesions = [region.voxels for (role, _), region in regions.items() if role == "LESION"]
    drawn = {role: regions[(role, role)].voxels for role in REFERENCES if (role, role) in regions}
    decisions = task.get("reference_regions") or ()
    problems += [_unsigned(row) for row in decisions if not is_signed(row)]
    references = choose_references(scan.pet, drawn, lesions, decisions, scan.rules)
    flags = []
    for one in references:
        if one.used and one.status != "GIVEN":
            regions[(one.name, one.name)] = ScanRegion(one.region, None, list(one.flags), status=one.status)
            flags += [flag for flag in one.flags if flag in (MOVED_SINCE, WITHOUT_PLACE)]
    _list_references(scan, references)
    return flags


def _unsigned(row: Mapping[str, Any]) -> Problem:
    reason = (
        f"reference_regions.csv: {row['REGION']}: {row['DECISION']} lacks READER or DECIDEDDT and is not "
        "followed; say who decided, and when"
    )
    return Problem("record", "REFERENCE_REGION_UNSIGNED", reason, lesion=False)


def _try_reference(scan: _Scan, role: str, regions: Regions) -> dict[str, Any] | None:
    try:
        return measure_reference(scan.pet, regions[(role, role)].voxels)
    except RoiRefused as error:
        _not_measured(scan, role, error)
        return None


def _add_reference(
    scan: _Scan, role: str, region: ScanRegion, found: Mapping[str, Any], lesions: Iterable[ScanRegion]
) -> list[str]:
    """Add the rows of a reference region; return its flags of the whole scan."""
    values = {metric: (found[SUV_METRICS[metric]], "g/ml") for metric in REGION_METRICS}
    values |= {"VOLUME": (found["mtv_ml"], "ml"), **_as_sul(values, scan.sul_per_suv)}
    flags = check_region(role, {metric: value for metric, (value, _) in values.items()}, scan.rules)
    touches = any(region.voxels.shares_voxels(lesion.voxels) for lesion in lesions)
    flags += [f"{role}_TOUCHES_LESION"] if touches else []
    _add_rows(scan.result, role, role, values, region, found["flags"])
    if role == "LIVER":
        scan.result.scan |= {"LIVERMEAN": found["suv_mean"], "LIVERSD": found["suv_sd"]}
    return flags


def _measure_lesion(scan: _Scan, name: str, region: ScanRegion, threshold: float | None) -> Voxels | None:
    """Add the rows of a lesion and return its voxels; None where it cannot be measured."""
    try:
        found, voxels = measure_voxels(scan.pet, region.voxels, rules=scan.rules, percist_threshold=threshold)
    except RoiRefused as error:
        _not_measured(scan, name, error)
        return None
    values = {metric: (found[key], "g/ml") for metric, key in SUV_METRICS.items()}
    values |= _as_sul(values, scan.sul_per_suv)
    values |= {"VOLUME": (found["mtv_ml"], "ml"), "TLG": (found["tlg_g"], "g")}
    for label in voxels.labels[1:]:
        suffix = _suffix(label, scan.rules)
        values[f"MTV{suffix}"] = (found[f"mtv{label}_ml"], "ml")
        values[f"TLG{suffix}"] = (found[f"tlg{label}_g"], "g")
    if region.source_ml is not None:
        values["VOLSRC"] = (region.source_ml, "ml")
    _add_rows(scan.result, "LESION", name, values, region, found["flags"])
    return voxels


def _keep_unmeasured(task: Mapping[str, Any], scan: _Scan, measured: set[str]) -> None:
    """Add a row without a value for every baseline lesion that was drawn and not measured, and ask about it.

    Without it the lesion would vanish, and the response would be that of the others.
    """
    if scan.result.scan["AVISIT"] != BASELINE:
        return
    organs = {name: row.get("ORGAN") for name, row in task["roi_map"].items()}
    organs |= {row["LESIONID"]: row.get("ORGAN") for row in task.get("seeds") or ()}
    drawn: dict[str, list[str]] = {}
    for row in scan.result.drawn:
        drawn.setdefault(row["LESIONID"], []).append(row["DRAWNID"])
    for name in sorted(drawn.keys() - measured):
        region = scan.regions.get(("LESION", name))
        mapped = [organs.get(own) for own in drawn[name]]
        organ = region.organ if region else next(filter(None, mapped), None)
        _add_rows(
            scan.result, "LESION", name, {"SUVMAX": (math.nan, "g/ml")}, organ=organ, flags=[NOT_MEASURED]
        )
        message = (
            "drawn at baseline and not measured (see exclusions); a response that needs it is not evaluable"
        )
        scan.result.queries.append(
            _query(scan.result, "LESION_NOT_MEASURED", f"{BASELINE} {name}", message, "draw it again")
        )


def _suffix(label: str, rules: plans.Section) -> str:
    """Return how a threshold ends a METRIC: 41, 50, 25F for a fixed SUV of 2.5, P for PERCIST's."""
    fixed = {f"{level * 10:g}" for level in rules.mtv_fixed_suv}
    return f"{label}F" if label in fixed else label.upper()


def _as_sul(values: Mapping[str, tuple[float, str]], factor: float) -> dict[str, tuple[float, str]]:
    if not np.isfinite(factor):
        return {}
    return {
        metric.replace("SUV", "SUL"): (value * factor, unit)
        for metric, (value, unit) in values.items()
        if metric.startswith("SUV")
    }


def _not_measured(scan: _Scan, name: str, error: RoiRefused) -> None:
    scan.result.exclusions.append(_aside(scan.result, "lesion", error.code, f"{name}: {error.message}"))


def _add_rows(
    result: ScanResult,
    role: str,
    name: str,
    values: Mapping[str, tuple[float, str]],
    region: ScanRegion | None = None,
    flags: Sequence[str] = (),
    organ: str | None = None,
) -> None:
    organ = region.organ if region and region.organ else organ
    organ = organ.lower() if organ else None
    shared = {key: result.scan[key] for key in ("STUDYID", "USUBJID", "AVISIT", "ADT")}
    shared |= {"LESIONID": name, "ROLE": role, "ORGAN": organ}
    shared["FLAGS"] = _join([*(region.flags if region else ()), *flags])
    result.rows += [
        {**shared, "METRIC": metric, "AVAL": float(value), "UNIT": unit}
        for metric, (value, unit) in values.items()
    ]


def _add_totals(scan: _Scan, parts: Sequence[Voxels], lost: bool) -> None:
    """Add whole-body totals: every voxel once, at every threshold and of the regions as drawn.

    Nothing measured is zero disease only where nothing was set aside: else the totals are not known (NaN).
    """
    totals, shared = compute_totals(parts)
    values = {"NLESION": (math.nan if lost and not parts else float(len(parts)), "1")}
    if not parts:
        labels = ["", *(f"{percent:g}" for percent in scan.rules.mtv_percents)]
        labels += [f"{level * 10:g}" for level in scan.rules.mtv_fixed_suv]
        nothing = math.nan if lost else 0.0
        totals = {name: nothing for label in labels for name in (f"mtv{label}_ml", f"tlg{label}_g")}
    for label in parts[0].labels if parts else labels:
        suffix = _suffix(label, scan.rules)
        values[f"TMTV{suffix}"] = (totals[f"mtv{label}_ml"], "ml")
        values[f"TTLG{suffix}"] = (totals[f"tlg{label}_g"], "g")
    flags = ["LESIONS_SHARE_VOXELS"] if shared else []
    flags += ["TOTAL_INCOMPLETE"] if lost else []
    _add_rows(scan.result, "TOTAL", "TOTAL", values, flags=flags)


def _list_references(scan: _Scan, references: Sequence[Reference]) -> None:
    """Add the reference_proposals rows, and a query where a reader's decision could not be followed."""
    for one in references:
        row = {key: scan.result.scan[key] for key in ("USUBJID", "AVISIT")}
        row |= {"REGION": one.name, **dict(zip("XYZ", one.centre_mm or (None,) * 3, strict=True))}
        row |= dict.fromkeys(("SUVMEAN", "SUVSD", "CV", "N_VOXELS"))
        if one.region is not None and one.region.n_voxels:
            inside = scan.pet.values[one.region.box][one.region.mask].astype(float)
            mean, sd = float(inside.mean()), float(inside.std())
            row |= {"SUVMEAN": mean, "SUVSD": sd, "CV": sd / mean if mean else None, "N_VOXELS": len(inside)}
        row |= {"FLAGS": _join(one.flags), "STATUS": one.status}
        row |= {"READER": one.reader, "DECIDEDDT": one.decided}
        scan.result.references.append(row)
        if one.status == "NOT_FOUND" and one.decision is not None:
            record = f"{scan.result.scan['AVISIT']} {one.name}"
            what = f"decision {one.decision} of the reader cannot be followed: {one.message}"
            scan.result.queries.append(_query(scan.result, one.flags[0], record, what, "draw or place it"))


def _query(result: ScanResult, code: str, record: str, message: str, action: str) -> dict[str, Any]:
    return {"CODE": code, "SEVERITY": "warning", "USUBJID": result.scan["USUBJID"], "DOMAIN": "PET",
            "RECORD": record, "MESSAGE": message, "ACTION": action}  # fmt: skip


# Flags of a whole scan that a person must look into, not only read: what may be wrong, and what to do.
_ASKED = {
    "MISSING_SLICES": (
        "slices are missing: a lesion there may lack its maximum; peaks and volumes beside it are withheld",
        "send the whole series again",
    ),
    "TREF_CANDIDATES_DISAGREE_LARGE": (
        "the header gives decay references more than the plan's limit apart; one of them was used",
        "ask the site which time the image is corrected to",
    ),
}


def _query_header(result: ScanResult, pet: PetImage) -> None:
    where = result.scan["AVISIT"]
    for code in pet.adaptations:
        message = "the header was read otherwise than it stands; the scan is measured"
        result.queries.append(_query(result, code, where, message, "confirm with the site"))
    for code in [flag for flag in pet.facts["flags"] if flag in _ASKED]:
        result.queries.append(_query(result, code, where, *_ASKED[code]))


def _join(words: Sequence[str]) -> str | None:
    return ";".join(dict.fromkeys(words)) or None
