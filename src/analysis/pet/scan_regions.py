"""The regions one scan is measured in: of its ROI files, and grown from a reader's points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis import plan as plans
from analysis.pet.codes import RoiRefused
from analysis.pet.reference_regions import assign_role
from analysis.pet.region import Region
from analysis.pet.roi import load_rois
from analysis.pet.seeds import grow_seeds

Regions = dict[tuple[str, str], "ScanRegion"]
Problem = tuple[str, str, str]  # ITEM CODE REASON of the exclusions ledger


@dataclass(eq=False)
class ScanRegion:
    """A region of a scan with what is known of it.

    Attributes
    ----------
    voxels : Region
        Its voxels on the PET grid.
    organ : str or None
        Where in the body.
    flags : list of str
        What happened to it on its way.
    source_ml : float or None
        Its volume as drawn, ml, where that is on another grid or in shares of voxels.
    """

    voxels: Region
    organ: str | None = None
    flags: list[str] = field(default_factory=list)
    source_ml: float | None = None


def load_regions(task: Mapping[str, Any], pet, rules: plans.Section) -> tuple[Regions, list[Problem]]:
    """Read all ROI objects of a scan; parts of one lesion are joined.

    Parameters
    ----------
    task : mapping
        ``raw_dir``, ``rois`` (paths below it) and ``roi_map``, as for `measurement.measure_scan`.
    pet : PetImage
        The image.
    rules : Section
        Plan section ``pet``.

    Returns
    -------
    regions : dict
        (role, lesion name) -> ScanRegion; roles LESION, LIVER, AORTA.
    problems : list of tuple
        ITEM CODE REASON of what could not be used.
    """
    regions: Regions = {}
    problems: list[Problem] = []
    for path in task["rois"]:
        try:
            rois = load_rois(Path(task["raw_dir"]) / path, pet, rules=rules)
        except RoiRefused as error:
            problems.append(("record", error.code, f"{path}: {error.message}"))
            continue
        problems += [
            ("lesion", why.code, f"{path}: {name}: {why.message}") for name, why in rois.refused.items()
        ]
        for name, voxels in rois.voxels.items():
            role, lesion, organ = assign_role(name, task["roi_map"], rules.roi_roles)
            if role is None:
                reason = f"{path}: region {name!r} is in no map; add it to roi_map.csv or to pet.roi_roles"
                problems.append(("lesion", "ROI_UNMAPPED", reason))
            elif role != "ignore":
                organ = organ or rois.regions.get(name)
                flags = list(rois.flags.get(name, []))
                differs = {"ROI_OTHER_GRID", "ROI_FRACTIONAL_OCCUPANCY"} & set(flags)
                source_ml = rois.source_ml.get(name) if differs else None
                found = ScanRegion(voxels, organ, flags, source_ml)
                _put(regions, (role.upper(), lesion), found)
    return regions, problems


def _put(regions: Regions, key: tuple[str, str], region: ScanRegion) -> None:
    if key in regions:
        first = regions[key]
        volumes = (first.source_ml, region.source_ml)
        region = ScanRegion(
            first.voxels | region.voxels,
            first.organ or region.organ,
            [*first.flags, *region.flags, "PARTS_JOINED"],
            None if None in volumes else sum(volumes),
        )
    regions[key] = region


def add_seeds(
    regions: Regions, seeds: Sequence[Mapping[str, Any]], pet, rules: plans.Section, threshold: float | None
) -> list[Problem]:
    """Add the lesions a reader marked by a point; a drawn lesion of the same name wins.

    Parameters
    ----------
    regions : dict
        As `load_regions` returns it; receives the lesions.
    seeds : sequence of mapping
        Rows of ``seeds.csv`` for this scan.
    pet : PetImage
        The image.
    rules : Section
        Plan section ``pet``.
    threshold : float or None
        PERCIST's threshold of this scan, on the scale of the image; None without a liver.

    Returns
    -------
    list of tuple
        ITEM CODE REASON of what could not be used.
    """
    taken = [row for row in seeds if ("LESION", row["LESIONID"]) in regions]
    reason = "also in an ROI file, which is used; keep one"
    problems: list[Problem] = [("record", "SEED_HAS_ROI", f"{row['LESIONID']}: {reason}") for row in taken]
    free = [row for row in seeds if ("LESION", row["LESIONID"]) not in regions]
    if not free:
        return problems
    try:  # together: seeds that grow into one region are flagged
        grown = grow_seeds(pet, free, rules, percist_threshold=threshold)
    except RoiRefused as error:
        return [*problems, ("record", error.code, f"seeds.csv: {error.message}")]
    problems += [("lesion", why.code, f"{name}: {why.message}") for name, why in grown.refused.items()]
    for name, voxels in grown.voxels.items():
        regions[("LESION", name)] = ScanRegion(voxels, grown.regions.get(name), list(grown.flags[name]))
    return problems
