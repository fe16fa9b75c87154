"""Follow the lesions of each patient through her scans: match them, and look where one is gone.

A patient is one unit of work, so that the results do not depend on how many workers share them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from analysis import plan as plans
from analysis.pet.codes import RegistrationRefused, SeriesRefused
from analysis.pet.lesion_identity import Named, Node, Visit, name_lesions
from analysis.pet.matching import Shape, compare_shapes
from analysis.pet.measurement import find_regions, load_for_quantification, sul_factor
from analysis.pet.propagation import measure_background
from analysis.pet.registration import CoarseImage, RigidTransform, coarsen, register
from analysis.pet.scan_regions import Regions, ScanRegion
from analysis.pet.series import PetImage

MOVED = "LESION_MOVED"


@dataclass
class Proposed:
    """What matching says of a patient's scans, in the order of her tasks.

    Attributes
    ----------
    named : list of dict
        Of every scan, name drawn -> Named; empty for a scan that cannot be read.
    transforms : list of (RigidTransform or None)
        What lays every scan over the baseline; None where nothing does, and for the baseline.
    failed : list of (str or None)
        Why a scan could not be laid over the baseline.
    """

    named: list[dict[str, Named]]
    transforms: list[RigidTransform | None]
    failed: list[str | None]


@dataclass
class Tracked:
    """What a follow-up scan shows of baseline lesions.

    Attributes
    ----------
    failed : str or None
        Why it could not be laid over the baseline.
    facts : dict
        Name drawn -> (dice, distance_mm, flags) against the baseline lesion of the same name.
    backgrounds : dict
        Lesion -> (SUV, SUL or None, organ, flags) at its place; SUV is None outside the image.
    """

    failed: str | None = None
    facts: dict[str, tuple[float, float, tuple[str, ...]]] = field(default_factory=dict)
    backgrounds: dict[str, tuple[float | None, float | None, str | None, tuple[str, ...]]] = field(
        default_factory=dict
    )


def propose_patient(tasks: Sequence[Mapping[str, Any]], rules: plans.Section | Mapping[str, Any]) -> Proposed:
    """Match the lesions of a patient's scans, whatever their regions are called.

    Parameters
    ----------
    tasks : sequence of mapping
        Tasks of `analysis.pet.tasks.make_tasks`, her baseline first (or None where there is none).
    rules : Section or mapping
        Plan section ``pet``.

    Returns
    -------
    Proposed
    """
    rules = rules if isinstance(rules, plans.Section) else plans.Section("pet", rules)
    nodes, transforms, failed, fixed = [], [], [], None
    for task in tasks:
        found, pet = ([], None) if task is None else _nodes(task, rules)
        moved, why = None, None
        if task is tasks[0]:
            fixed = _coarse(pet, rules)
        elif pet is not None:
            moved, why = _lay_over(fixed, pet, rules)
        nodes.append(found)
        transforms.append(moved)
        failed.append(why)
    visits = [Visit(found, moved) for found, moved in zip(nodes[1:], transforms[1:], strict=True)]
    return Proposed(name_lesions(nodes[0], visits, rules), transforms, failed)


def _nodes(task: Mapping[str, Any], rules: plans.Section) -> tuple[list[Node], PetImage | None]:
    """Return the lesions of a scan, what a reader named apart from what she did not."""
    said = task["lesions"]
    try:
        pet = load_for_quantification(task, rules)
    except SeriesRefused:  # the measurement tells why
        return [], None
    regions = find_regions({**task, "lesions": {}, "aliases": {}}, pet, rules)
    nodes = []
    for own, region in _lesions(regions).items():
        groups: dict[str | None, list[str]] = {}
        for drawn in sorted(region.parts):
            groups.setdefault(said.get(drawn), []).append(drawn)
        for lesion, names in groups.items():
            parts = [region.parts[name].voxels for name in names]
            voxels = parts[0]
            for part in parts[1:]:
                voxels = voxels | part
            nodes.append(Node(tuple(names), own, Shape(voxels, pet.grid, region.organ), lesion))
    return nodes, pet


def _lesions(regions: Regions) -> dict[str, ScanRegion]:
    # Nothing has a place without a voxel.
    found = {name: region for (role, name), region in sorted(regions.items()) if role == "LESION"}
    return {name: region for name, region in found.items() if region.voxels.n_voxels}


def _coarse(pet: PetImage | None, rules: plans.Section) -> CoarseImage | str:
    if pet is None:
        return "there is no baseline scan to lay this one over"
    try:
        return coarsen(pet, rules)
    except RegistrationRefused as error:
        return error.message


def _lay_over(
    fixed: CoarseImage | str, pet: PetImage, rules: plans.Section
) -> tuple[RigidTransform | None, str | None]:
    if isinstance(fixed, str):
        return None, fixed
    try:
        return register(fixed, pet, rules), None
    except RegistrationRefused as error:
        return None, error.message


def track_patient(job: Mapping[str, Any], rules: plans.Section | Mapping[str, Any]) -> list[Tracked]:
    """Look at the follow-up scans of a patient where her baseline lesions were.

    Parameters
    ----------
    job : mapping
        ``baseline`` (task), ``followups``: a list of mappings with ``task``, ``missing`` (lesions without a
        region there) and ``transform`` (RigidTransform, or None to register).
    rules : Section or mapping
        Plan section ``pet``.

    Returns
    -------
    list of Tracked
        One a follow-up.
    """
    rules = rules if isinstance(rules, plans.Section) else plans.Section("pet", rules)
    pet = load_for_quantification(job["baseline"], rules)
    lesions = _lesions(find_regions(job["baseline"], pet, rules))
    shapes = {name: Shape(one.voxels, pet.grid, one.organ) for name, one in lesions.items()}
    fixed = None
    if any(one["transform"] is None for one in job["followups"]):
        fixed = _coarse(pet, rules)
    return [_track(one, shapes, fixed, rules) for one in job["followups"]]


def _track(one: Mapping[str, Any], shapes: Mapping[str, Shape], fixed: Any, rules: plans.Section) -> Tracked:
    pet, found = load_for_quantification(one["task"], rules), Tracked()
    moved = one["transform"]
    if moved is None:
        moved, found.failed = _lay_over(fixed, pet, rules)
    if moved is None:
        return found
    drawn = _lesions(find_regions(one["task"], pet, rules))
    for lesion, region in drawn.items():
        if lesion in shapes:
            found.facts |= _compare(
                region, shapes[lesion], Shape(region.voxels, pet.grid, None, moved), rules
            )
    factor = sul_factor(pet, rules, one["task"].get("height_m"))[0]
    for lesion in one["missing"]:
        if lesion in shapes:
            place = measure_background(shapes[lesion], pet, moved, [each.voxels for each in drawn.values()])
            suv = place.suv_mean
            sul = None if suv is None or math.isnan(factor) else suv * factor
            found.backgrounds[lesion] = (suv, sul, shapes[lesion].organ, place.flags)
    return found


def _compare(
    region: ScanRegion, before: Shape, now: Shape, rules: plans.Section
) -> dict[str, tuple[float, float, tuple[str, ...]]]:
    """Compare each part of a lesion with the whole of before; only the whole can have moved."""
    whole = compare_shapes(now, before, rules.match_grid_mm)
    moved = whole.dice == 0 and whole.distance_mm > rules.match_distance_mm
    facts = {}
    for name, part in region.parts.items():
        how = whole
        if len(region.parts) > 1 and part.voxels.n_voxels:
            how = compare_shapes(replace(now, region=part.voxels), before, rules.match_grid_mm)
        facts[name] = (how.dice, how.distance_mm, (MOVED,) if moved else ())
    return facts
