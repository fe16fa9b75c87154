"""The regions one scan is measured in: of its ROI files, and grown from a reader's points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from analysis import plan as plans
from analysis.pet.codes import RoiRefused
from analysis.pet.reader_tables import RESERVED
from analysis.pet.reference_regions import assign_role
from analysis.pet.region import Region
from analysis.pet.roi import find_shared, load_rois
from analysis.pet.seeds import grow_seeds

Regions = dict[tuple[str, str], "ScanRegion"]
REFERENCES = ("LIVER", "AORTA")
_NEEDS_LIVER = "PERCIST"


class Problem(NamedTuple):
    """What could not be used.

    Attributes
    ----------
    item, code, reason : str
        As in the exclusions ledger.
    lesion : bool
        Whether a lesion may be missing from the totals for it.
    drawn : tuple of str, optional
        Name a lesion was drawn under, and the lesion that name stands for, where that is what cannot be used.
    """

    item: str
    code: str
    reason: str
    lesion: bool = True
    drawn: tuple[str, str] | None = None


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
    seed : bool
        Whether it was grown from a point.
    parts : dict
        Name it was drawn under -> that part of it; one for most.
    status : str or None
        Of a reference region that nobody drew: ACCEPTED, MOVED or PROPOSED, as in reference_proposals.
    """

    voxels: Region
    organ: str | None = None
    flags: list[str] = field(default_factory=list)
    source_ml: float | None = None
    seed: bool = False
    parts: dict[str, ScanRegion] = field(default_factory=dict)
    status: str | None = None


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
        (role, lesion name) -> ScanRegion; roles LESION, LIVER, AORTA; a reference region has its role's name.
    problems : list of Problem
        What could not be used; REFERENCE_AMBIGUOUS where several names of a scan are its liver, or its aorta:
        none of them is used.
    """
    regions: Regions = {}
    problems: list[Problem] = []
    for path in task["rois"]:
        try:
            rois = load_rois(Path(task["raw_dir"]) / path, pet, rules=rules)
        except RoiRefused as error:
            problems.append(Problem("record", error.code, f"{path}: {error.message}"))
            continue
        for name, why in rois.refused.items():
            role, lesion, _ = assign_role(name, task["roi_map"], rules.roi_roles)
            reason = f"{path}: {name}: {why.message}"
            drawn = (name, lesion) if role == "lesion" else None
            problems.append(Problem("lesion", why.code, reason, role in (None, "lesion"), drawn))
        for name, voxels in rois.voxels.items():
            role, lesion, organ = assign_role(name, task["roi_map"], rules.roi_roles)
            if role is None:
                reason = f"{path}: region {name!r} is in no map; add it to roi_map.csv or to pet.roi_roles"
                problems.append(Problem("lesion", "ROI_UNMAPPED", reason))
            elif role == "lesion" and lesion in RESERVED:
                problems.append(_reserved(lesion, f"{path}: region {name!r}", "roi_map.csv"))
            elif role != "ignore":
                organ = organ or rois.regions.get(name)
                flags = list(rois.flags.get(name, []))
                differs = {"ROI_OTHER_GRID", "ROI_FRACTIONAL_OCCUPANCY"} & set(flags)
                source_ml = rois.source_ml.get(name) if differs else None
                put_region(regions, (role.upper(), lesion), ScanRegion(voxels, organ, flags, source_ml), name)
    return regions, problems + _name_references(regions)


def _reserved(lesion: str, where: str, table: str) -> Problem:
    reason = f"{where} is a lesion named {lesion}, a name of other rows; give it another LESIONID in {table}"
    return Problem("lesion", "LESION_NAME_RESERVED", reason)


def put_region(regions: Regions, key: tuple[str, str], region: ScanRegion, drawn: str) -> None:
    """Add a region under the name it was drawn under; parts of one lesion are joined."""
    parts = {drawn: region}
    if key in regions:
        first = regions[key]
        same = first.parts.get(drawn)  # one name in two files: one drawing
        parts = first.parts | {drawn: region if same is None else _joined(same, region)}
        region = _joined(first, region)
    regions[key] = replace(region, parts=parts)


def _joined(first: ScanRegion, other: ScanRegion) -> ScanRegion:
    volumes = (first.source_ml, other.source_ml)
    return ScanRegion(
        first.voxels | other.voxels,
        first.organ or other.organ,
        [*first.flags, *other.flags, "PARTS_JOINED"],
        None if None in volumes else sum(volumes),
        first.seed and other.seed,
    )


def _name_references(regions: Regions) -> list[Problem]:
    """Name the drawn liver and aorta by their role; several of one role are all taken out."""
    problems = []
    for role in REFERENCES:
        drawn = {name: regions.pop((of, name)) for of, name in list(regions) if of == role}
        if len(drawn) == 1:
            regions[(role, role)] = next(iter(drawn.values()))
        elif drawn:
            names = ", ".join(map(repr, sorted(drawn)))
            reason = f"one {role} a scan expected, found {names}; in roi_map.csv, ignore all but one"
            problems.append(Problem("record", "REFERENCE_AMBIGUOUS", reason, lesion=False))
    return problems


def split_seeds(
    regions: Regions, seeds: Iterable[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]], list[Problem]]:
    """Split the points a reader set into those that grow at once and those that need the liver first.

    Parameters
    ----------
    regions : dict
        As `load_regions` returns it; a drawn lesion wins over a seed of its name.
    seeds : iterable of mapping
        Rows of ``seeds.csv`` for this scan.

    Returns
    -------
    first, later : list of mapping
        Rows by whether their METHOD is PERCIST.
    problems : list of Problem
        SEED_HAS_ROI, ROI_DUPLICATE_NAME (all seeds of the name), LESION_NAME_RESERVED.
    """
    rows = list(seeds)
    count = Counter(row["LESIONID"] for row in rows)
    free, problems = [], []
    for row in rows:
        name = row["LESIONID"]
        if ("LESION", name) in regions:
            reason = f"{name}: also in an ROI file, which is used; keep one"
            problems.append(Problem("record", "SEED_HAS_ROI", reason, lesion=False))
        elif count[name] > 1:
            reason = f"{name}: several seeds of one scan share this LESIONID; keep one"
            problems.append(Problem("lesion", "ROI_DUPLICATE_NAME", reason, drawn=(name, name)))
        elif name in RESERVED:
            problems.append(_reserved(name, "a seed", "seeds.csv"))
        else:
            free.append(row)
    later = [str(row.get("METHOD") or "").strip().upper() == _NEEDS_LIVER for row in free]
    first = [row for row, waits in zip(free, later, strict=True) if not waits]
    return first, [row for row, waits in zip(free, later, strict=True) if waits], problems


def add_seeds(
    regions: Regions,
    seeds: Sequence[Mapping[str, Any]],
    pet,
    rules: plans.Section,
    threshold: float | None = None,
) -> list[Problem]:
    """Add the lesions a reader marked by a point.

    Parameters
    ----------
    regions : dict
        As `load_regions` returns it; receives the lesions.
    seeds : sequence of mapping
        Rows of ``seeds.csv`` for this scan, of names not yet in `regions`.
    pet : PetImage
        The image.
    rules : Section
        Plan section ``pet``.
    threshold : float or None
        PERCIST's threshold of this scan, on the scale of the image; None without a liver.

    Returns
    -------
    list of Problem
        Seeds that gave no region.
    """
    grown = grow_seeds(pet, seeds, rules, percist_threshold=threshold)
    for name, voxels in grown.voxels.items():
        flags = list(grown.flags[name])
        region = ScanRegion(voxels, grown.regions.get(name), flags, seed=True)
        put_region(regions, ("LESION", name), region, name)
    return [
        Problem("lesion", why.code, f"{name}: {why.message}", drawn=(name, name))
        for name, why in grown.refused.items()
    ]


def flag_shared(regions: Regions) -> None:
    """Flag regions that have voxels in common, of whatever file or seed: all of them keep them.

    Parameters
    ----------
    regions : dict
        All regions of the scan; ``SEEDS_MERGED`` for two seeds, else ``ROI_SHARES_VOXELS``.
    """
    found = list(regions.values())
    for at, other in find_shared([region.voxels for region in found]):
        pair = (found[at], found[other])
        code = "SEEDS_MERGED" if all(region.seed for region in pair) else "ROI_SHARES_VOXELS"
        for region in pair:
            if code not in region.flags:
                region.flags.append(code)
