"""Which liver and aorta a scan is measured in: drawn, decided by a reader, or merely proposed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pandas as pd

from analysis import plan as plans
from analysis.pet.codes import RoiRefused
from analysis.pet.proposals import propose_aorta, propose_liver
from analysis.pet.reference_regions import cylinder_region, sphere_region
from analysis.pet.region import Region
from analysis.pet.scan_regions import REFERENCES
from analysis.pet.torso import find_torso

MOVED_SINCE, WITHOUT_PLACE = "PROPOSAL_MOVED_SINCE", "ACCEPTED_WITHOUT_PLACE"
_PROPOSERS = {"LIVER": propose_liver, "AORTA": propose_aorta}


@dataclass(eq=False)
class Reference:
    """A reference region of one scan and where it comes from.

    Attributes
    ----------
    name : str
        LIVER or AORTA.
    status : {"GIVEN", "PROPOSED", "ACCEPTED", "MOVED", "REJECTED", "NOT_FOUND"}
        GIVEN was drawn.
    region : Region or None
        Its voxels; None if not found.
    centre_mm : tuple of float or None
        Its centre in patient coordinates (LPS).
    used : bool
        Whether it is measured as the scan's liver or aorta.
    flags : list of str
        What a reader should look at.
    decision, reader, decided : str or None
        What the reader decided (ACCEPT, MOVE, REJECT), who, and when (ISO date).
    message : str
        Why none was found.
    """

    name: str
    status: str
    region: Region | None = None
    centre_mm: tuple[float, float, float] | None = None
    used: bool = False
    flags: list[str] = field(default_factory=list)
    decision: str | None = None
    reader: str | None = None
    decided: str | None = None
    message: str = ""


def is_signed(row: Mapping[str, Any]) -> bool:
    """Tell whether a decision may be followed: one that has a region measured says by whom and when.

    Parameters
    ----------
    row : mapping
        Row of ``reference_regions.csv``.

    Returns
    -------
    bool
        A REJECT, by which nothing is measured, holds without a name.

    Examples
    --------
    >>> is_signed({"DECISION": "ACCEPT", "READER": "R1", "DECIDEDDT": None})
    False
    """
    signature = [row.get(name) for name in ("READER", "DECIDEDDT")]
    return row["DECISION"] == "REJECT" or all(
        not (word is None or pd.isna(word) or str(word).strip() == "") for word in signature
    )


def choose_references(
    pet,
    drawn: Mapping[str, Region],
    lesions: Sequence[Region],
    decisions: Sequence[Mapping[str, Any]] = (),
    rules: plans.Section | None = None,
) -> list[Reference]:
    """Choose liver and aorta of a scan: a drawn region wins, then the reader's decision, then a proposal.

    Parameters
    ----------
    pet : PetImage
        The image.
    drawn : mapping
        LIVER, AORTA -> region from an ROI file, where there is one.
    lesions : sequence of Region
        What a proposal keeps away from.
    decisions : sequence of mapping
        Rows of ``reference_regions.csv`` for this scan: REGION DECISION (ACCEPT, MOVE, REJECT) X Y Z (mm,
        LPS) READER DECIDEDDT. An ACCEPT with X Y Z is of the region at that place, flagged
        PROPOSAL_MOVED_SINCE if today's proposal lies elsewhere or is none; without, of today's proposal,
        flagged ACCEPTED_WITHOUT_PLACE. A decision that is not signed (`is_signed`) is not followed.
    rules : Section, optional
        Plan section ``pet`` (`reference_proposals`, `propose_*`).

    Returns
    -------
    list of Reference
        LIVER and AORTA, those the plan's `reference_proposals` asks nothing about left out. No proposal is
        computed where a region was drawn or placed by the reader.
    """
    rules = plans.defaults().pet if rules is None else rules
    decided = {row["REGION"]: row for row in decisions if is_signed(row)}
    torso = cache(lambda: find_torso(pet, rules))  # sought only where something is proposed, and once

    def _propose(name: str) -> Reference:
        try:
            proposal = _PROPOSERS[name](pet, rules, lesions, torso())
        except RoiRefused as error:
            return Reference(name, "NOT_FOUND", flags=[error.code], message=error.message)
        return Reference(name, "PROPOSED", proposal.region, proposal.centre_mm, flags=list(proposal.flags))

    chosen = []
    for name in REFERENCES:
        if name in drawn:
            region = drawn[name]
            centre = pet.grid.to_mm(region.index()).mean(axis=0) if region.n_voxels else None
            place = None if centre is None else tuple(float(mm) for mm in centre)
            chosen.append(Reference(name, "GIVEN", region, place, used=True))
        elif name in decided:
            chosen.append(_by_reader(pet, decided[name], _propose, rules))
        elif rules.reference_proposals != "off":
            proposed = _propose(name)
            if rules.reference_proposals == "use" and proposed.region is not None:
                proposed.used = True
                proposed.flags.append("REFERENCE_UNCONFIRMED")
            chosen.append(proposed)
    return chosen


def _by_reader(pet, row: Mapping[str, Any], propose: Callable[[str], Reference], rules) -> Reference:
    name, decision = row["REGION"], row["DECISION"]
    place = [row.get(axis) for axis in "XYZ"]
    placed = all(mm is not None and math.isfinite(mm) for mm in place)
    if decision == "REJECT" or not placed:
        found = propose(name)
    else:
        found = _placed(pet, name, tuple(float(mm) for mm in place), rules)
    if found.region is not None:
        if decision == "ACCEPT" and not placed:
            found.flags.append(WITHOUT_PLACE)
        elif decision == "ACCEPT" and _elsewhere(propose(name), found, rules.propose_moved_mm):
            found.flags.append(MOVED_SINCE)
        found.status = {"ACCEPT": "ACCEPTED", "MOVE": "MOVED", "REJECT": "REJECTED"}[decision]
        found.used = decision != "REJECT"
    found.decision, found.reader, found.decided = decision, row.get("READER"), row.get("DECIDEDDT")
    return found


def _elsewhere(today: Reference, accepted: Reference, limit_mm: float) -> bool:
    return today.centre_mm is None or math.dist(today.centre_mm, accepted.centre_mm) > limit_mm


def _placed(pet, name: str, centre: tuple[float, float, float], rules) -> Reference:
    try:
        if name == "LIVER":
            region = sphere_region(pet, centre, rules.liver_sphere_mm)
        else:
            region = cylinder_region(pet, centre, *rules.aorta_cylinder_mm)
    except RoiRefused as error:
        return Reference(name, "NOT_FOUND", centre_mm=centre, flags=[error.code], message=error.message)
    return Reference(name, "PROPOSED", region, centre)
