"""Measure one scan: a pure function of plain inputs, so that it may run on any worker in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis import plan as plans
from analysis.pet import body_size, quality
from analysis.pet.codes import RoiRefused, SeriesRefused
from analysis.pet.metrics import measure
from analysis.pet.reference_regions import assign_role, check_region
from analysis.pet.roi import load_rois
from analysis.pet.series import PetImage, load_pet

# METRIC -> (key of `measure`, unit, scales with body size)
LESION_METRICS = {
    "SUVMAX": ("suv_max", "g/ml"),
    "SUVMEAN": ("suv_mean", "g/ml"),
    "SUVSD": ("suv_sd", "g/ml"),
    "SUVPEAK": ("suv_peak", "g/ml"),
    "VOLUME": ("mtv_ml", "ml"),
    "TLG": ("tlg_g", "g"),
    "MTV41": ("mtv41_ml", "ml"),
    "TLG41": ("tlg41_g", "g"),
    "MTV50": ("mtv50_ml", "ml"),
    "MTV25F": ("mtv25_ml", "ml"),
    "MTV40F": ("mtv40_ml", "ml"),
}
REGION_METRICS = ("SUVMAX", "SUVMEAN", "SUVSD", "VOLUME")
_TOTALS = {"TMTV41": ("MTV41", "ml"), "TTLG41": ("TLG41", "g")}


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
    mip : ndarray of uint8, shape (rows, columns), optional
        Coronal maximum intensity projection, head up, isotropic; white is the plan's SUV.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    scan: dict[str, Any] = field(default_factory=dict)
    exclusions: list[dict[str, Any]] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)
    mip: np.ndarray | None = None


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
        ``height_m`` (of another scan of the patient, or None); ``mip`` (bool).
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
        pet = load_pet(_source(task), series_uid=task["series_uid"], strict=rules.strict, rules=rules)
        flags = [*pet.facts["flags"], *quality.check_protocol(pet.facts, rules)]
    except SeriesRefused as error:
        _refuse(result, error)
        return result
    result.scan |= _scan_facts(pet)
    factor, sul_flags = _sul_factor(pet, rules, task.get("height_m"))
    regions = _load_regions(task, pet, rules, result)
    for (role, name), region in sorted(regions.items()):
        flags += _measure_region(result, pet, role, name, region, factor, rules)
    if task["rois"]:
        _add_totals(result)
    _query_adaptations(result, pet)
    result.scan |= {"ADAPTATIONS": _join(pet.adaptations), "FLAGS": _join([*flags, *sul_flags])}
    if task.get("mip"):
        result.mip = project_coronal(pet, rules)
    return result


def project_coronal(pet: PetImage, rules: plans.Section | None = None) -> np.ndarray:
    """Project the largest SUV along the antero-posterior axis, as an 8-bit picture with the head up.

    Parameters
    ----------
    pet : PetImage
        An axial image.
    rules : Section, optional
        Plan section ``pet`` (`mip_step`, `mip_suv_max`).

    Returns
    -------
    ndarray of uint8, shape (rows, columns)
        0 = SUV 0, 255 = `mip_suv_max` and above; pixels are square.
    """
    rules = plans.defaults().pet if rules is None else rules
    flat = pet.values.max(axis=1)[::-1]
    height = max(1, round(flat.shape[0] * pet.spacing_mm[0] / pet.spacing_mm[2]))
    nearest = (np.arange(height) + 0.5) * flat.shape[0] / height
    grey = np.clip(flat[nearest.astype(int)] / rules.mip_suv_max, 0, 1) * 255
    return grey.astype(np.uint8)[:: rules.mip_step, :: rules.mip_step]


@dataclass
class _Region:
    mask: np.ndarray
    organ: str | None
    flags: list[str]


def _as_section(rules: Any) -> plans.Section:
    if rules is None:
        return plans.defaults().pet
    return rules if isinstance(rules, plans.Section) else plans.Section("pet", rules)


def _source(task: Mapping[str, Any]) -> Path | list[Path]:
    root = Path(task["raw_dir"])
    return root / task["path"] if task["files"] is None else [root / name for name in task["files"]]


def _refuse(result: ScanResult, error: SeriesRefused) -> None:
    result.scan |= {"STATUS": "REFUSED", "CODE": error.code, "MESSAGE": error.message}
    result.exclusions.append(_aside(result, "scan", error.code, f"{result.scan['PATH']}: {error.message}"))


def _aside(result: ScanResult, item: str, code: str, reason: str) -> dict[str, Any]:
    where = {key: result.scan[key] for key in ("USUBJID", "AVISIT")}
    return {**where, "ITEM": item, "CODE": code, "REASON": reason}


def _scan_facts(pet: PetImage) -> dict[str, Any]:
    facts = pet.facts
    dose = facts.get("injected_activity_bq")
    return {
        "VENDOR": facts["vendor"],
        "MODEL": facts["model"],
        "UNITS": facts["units"],
        "DECAYCORR": facts["decay_correction"],
        "UPTAKEMIN": facts.get("uptake_time_min"),
        "DOSEMBQ": None if dose is None else dose / 1e6,
        "WEIGHTKG": facts.get("body_weight_kg"),
        "HEIGHTM": facts.get("body_height_m"),
        "NSLICES": facts["n_slices"],
        "VOXELML": facts["voxel_volume_ml"],
    }


def _sul_factor(pet: PetImage, rules: plans.Section, other_height_m: float | None) -> tuple[float, list[str]]:
    """Return SUL per SUV (lean over whole body mass), NaN with a flag where it cannot be computed."""
    weight, height, sex = (pet.facts.get(key) for key in ("body_weight_kg", "body_height_m", "sex"))
    flags = []
    if height is None and other_height_m:
        height, flags = other_height_m, ["HEIGHT_CARRIED"]
    if weight is None:
        return np.nan, ["SUL_WEIGHT_MISSING"]
    if rules.sul_formula == "lbm_james128" and height and body_size.beyond_james_vertex(weight, height, sex):
        return np.nan, ["JAMES_BEYOND_VERTEX"]
    try:
        lean = body_size.normaliser(rules.sul_formula, weight, height, sex)
    except SeriesRefused as error:
        return np.nan, [f"SUL_{error.code}"]
    return lean / body_size.normaliser("bw", weight), flags


def _load_regions(
    task: Mapping[str, Any], pet: PetImage, rules: plans.Section, result: ScanResult
) -> dict[tuple[str, str], _Region]:
    """Read all ROI objects of the scan; parts of a lesion are joined, the unusable goes to the ledger."""
    regions: dict[tuple[str, str], _Region] = {}
    for path in task["rois"]:
        try:
            rois = load_rois(Path(task["raw_dir"]) / path, pet, rules=rules)
        except RoiRefused as error:
            result.exclusions.append(_aside(result, "record", error.code, f"{path}: {error.message}"))
            continue
        for name, mask in rois.items():
            role, lesion, organ = assign_role(name, task["roi_map"], rules.roi_roles)
            if role is None:
                reason = f"{path}: region {name!r} is in no map; add it to roi_map.csv or to pet.roi_roles"
                result.exclusions.append(_aside(result, "lesion", "ROI_UNMAPPED", reason))
            elif role != "ignore":
                region = _Region(mask, organ or rois.regions.get(name), list(rois.flags.get(name, [])))
                _put(regions, (role.upper(), lesion), region)
    return regions


def _put(regions: dict[tuple[str, str], _Region], key: tuple[str, str], region: _Region) -> None:
    if key in regions:
        region = _Region(
            regions[key].mask | region.mask,
            regions[key].organ or region.organ,
            [*regions[key].flags, *region.flags, "PARTS_JOINED"],
        )
    regions[key] = region


def _measure_region(
    result: ScanResult,
    pet: PetImage,
    role: str,
    name: str,
    region: _Region,
    factor: float,
    rules: plans.Section,
) -> list[str]:
    """Add the rows of one region; return flags that concern the whole scan."""
    try:
        found = measure(pet, region.mask, rules=rules)
    except RoiRefused as error:
        result.exclusions.append(_aside(result, "lesion", error.code, f"{name}: {error.message}"))
        return []
    wanted = LESION_METRICS if role == "LESION" else REGION_METRICS
    values = {metric: (found[LESION_METRICS[metric][0]], LESION_METRICS[metric][1]) for metric in wanted}
    if np.isfinite(factor):
        scaled = {m: v for m, v in values.items() if m.startswith("SUV")}
        values |= {
            metric.replace("SUV", "SUL"): (value * factor, unit) for metric, (value, unit) in scaled.items()
        }
    flags = _join([*region.flags, *(found.get("flags") or [])])
    organ = region.organ.lower() if region.organ else None
    for metric, (value, unit) in values.items():
        result.rows.append(_row(result, role, name, metric, value, unit, organ, flags))
    if role == "LIVER":
        result.scan |= {"LIVERMEAN": found["suv_mean"], "LIVERSD": found["suv_sd"]}
    return [] if role == "LESION" else check_region(role, {m: v for m, (v, _) in values.items()}, rules)


def _row(
    result: ScanResult,
    role: str,
    name: str,
    metric: str,
    value: float,
    unit: str,
    organ: str | None,
    flags: str | None,
) -> dict[str, Any]:
    where = {key: result.scan[key] for key in ("STUDYID", "USUBJID", "AVISIT")}
    measured = {"LESIONID": name, "METRIC": metric, "ROLE": role, "ORGAN": organ, "ADT": result.scan["ADT"]}
    return {**where, **measured, "AVAL": float(value), "UNIT": unit, "FLAGS": flags}


def _add_totals(result: ScanResult) -> None:
    lesions = [row for row in result.rows if row["ROLE"] == "LESION"]
    names = {row["LESIONID"] for row in lesions}
    totals = {"NLESION": (float(len(names)), "1")}
    for total, (metric, unit) in _TOTALS.items():
        totals[total] = (sum(row["AVAL"] for row in lesions if row["METRIC"] == metric), unit)
    for metric, (value, unit) in totals.items():
        result.rows.append(_row(result, "TOTAL", "TOTAL", metric, value, unit, None, None))


def _query_adaptations(result: ScanResult, pet: PetImage) -> None:
    for code in pet.adaptations:
        message = "the header was read otherwise than it stands; the scan is measured"
        result.queries.append(
            {"CODE": code, "SEVERITY": "warning", "USUBJID": result.scan["USUBJID"], "DOMAIN": "PET",
             "RECORD": result.scan["AVISIT"], "MESSAGE": message, "ACTION": "confirm with the site"}
        )  # fmt: skip


def _join(words: Sequence[str]) -> str | None:
    return ";".join(dict.fromkeys(words)) or None
