"""Final regions of a scan as numbered segments: what each is, where in the body, who made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.sr.coding import Code

from analysis.pet.export.codes import ALTERED, ANATOMY, LESION, REFERENCE_SITES
from analysis.pet.export.uids import derive_uid
from analysis.pet.region import Region
from analysis.pet.scan_regions import Regions, ScanRegion

_GROWN = "grown from a point of a reader"
_PLACED = "placed by rule"


@dataclass(frozen=True, eq=False)
class Segment:
    """One region.

    Attributes
    ----------
    number : int
        From 1.
    name, role : str
        LESIONID and ROLE of adpet.
    region : Region
        Its voxels.
    category, kind : Code
        What it is.
    site : Code or None
        Where in the body, where a code is known.
    algorithm : str
        MANUAL for what was drawn, SEMIAUTOMATIC for what grew from a reader's point or was accepted or moved
        by one, AUTOMATIC for a proposal nobody has seen.
    algorithm_name : str or None
        How, unless drawn.
    tracking_uid : str
        The same for a lesion on every scan of its subject.
    """

    number: int
    name: str
    role: str
    region: Region
    category: Code
    kind: Code
    site: Code | None
    algorithm: str
    algorithm_name: str | None
    tracking_uid: str


def list_segments(regions: Regions, scan: Mapping[str, Any], rules) -> list[Segment]:
    """List the regions of a scan that hold voxels: lesions by name, then liver and aorta.

    Parameters
    ----------
    regions : dict
        As `measurement.find_regions` returns it.
    scan : mapping
        Whose they are: STUDYID and USUBJID.
    rules : Section
        Plan section ``pet`` (`export_organs`).

    Returns
    -------
    list of Segment
        Possibly empty.
    """
    filled = [(key, region) for key, region in regions.items() if region.voxels.n_voxels]
    filled.sort(key=lambda pair: (pair[0][0] != "LESION", pair[0]))
    return [
        _segment(number, role, name, region, scan, rules)
        for number, ((role, name), region) in enumerate(filled, start=1)
    ]


def _segment(number, role, name, region: ScanRegion, scan, rules) -> Segment:
    lesion = role == "LESION"
    site = organ_code(region.organ, rules) if lesion else REFERENCE_SITES[role]
    algorithm, how = "MANUAL", None
    if region.seed or any(part.seed for part in region.parts.values()):
        algorithm, how = "SEMIAUTOMATIC", _GROWN
    elif region.status:
        algorithm, how = "AUTOMATIC" if region.status == "PROPOSED" else "SEMIAUTOMATIC", _PLACED
    return Segment(
        number=number,
        name=name,
        role=role,
        region=region.voxels,
        category=ALTERED if lesion else ANATOMY,
        kind=LESION if lesion else REFERENCE_SITES[role],
        site=site,
        algorithm=algorithm,
        algorithm_name=how,
        tracking_uid=tracking_uid(scan, name),
    )


def tracking_uid(scan: Mapping[str, Any], name: str) -> str:
    """Return the UID of a lesion, the same on every scan of its subject.

    Parameters
    ----------
    scan : mapping
        STUDYID and USUBJID.
    name : str
        LESIONID.

    Returns
    -------
    str
        Tracking UID.
    """
    return derive_uid("tracking", str(scan.get("STUDYID")), str(scan["USUBJID"]), name)


def organ_code(organ: str | None, rules) -> Code | None:
    """Return the code of an anatomic region in words; None where the plan knows none.

    Parameters
    ----------
    organ : str or None
        ORGAN of the lesion, in any case.
    rules : Section
        Plan section ``pet`` (`export_organs`).

    Returns
    -------
    Code or None
        Of SNOMED CT.
    """
    found = rules.export_organs.get((organ or "").strip().lower())
    return Code(found[0], "SCT", found[1]) if found else None
