"""Which lesion each region of a scan is: the names regions were drawn under become those of lesions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from analysis.pet.scan_regions import Problem, Regions, put_region


class LesionNames(NamedTuple):
    """Which lesion a region of a scan is.

    Attributes
    ----------
    lesions : mapping
        Name drawn -> lesion, as a reader said or as was matched.
    aliases : mapping
        Lesion a name stands for -> lesion it is, for names not in `lesions`.
    unmatched : str
        What is put before every other name, where names say nothing between scans.
    """

    lesions: Mapping[str, str]
    aliases: Mapping[str, str]
    unmatched: str = ""

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> LesionNames:
        """Return those of a task; one that holds none leaves every name as it is."""
        return cls(task.get("lesions") or {}, task.get("aliases") or {}, task.get("unmatched") or "")

    def lesion_of(self, drawn: str, own: str) -> str:
        """Return the lesion of a region drawn as `drawn`, which stands for the lesion `own`."""
        return self.lesions.get(drawn) or self.aliases.get(own) or self.unmatched + own


def assign_lesions(regions: Regions, names: LesionNames) -> None:
    """Give every lesion region the name of its lesion, and join those of one lesion.

    Parameters
    ----------
    regions : dict
        Regions of a scan, each lesion named by what was drawn; changed in place.
    names : LesionNames
        Which lesion each is.
    """
    if not any(names):
        return
    own = {name: regions.pop(("LESION", name)) for role, name in list(regions) if role == "LESION"}
    for name, region in own.items():
        for drawn, part in region.parts.items():
            put_region(regions, ("LESION", names.lesion_of(drawn, name)), replace(part, parts={}), drawn)


def list_drawn(regions: Regions, problems: Iterable[Problem], names: LesionNames) -> list[dict[str, str]]:
    """List every lesion region of a scan as it was drawn, those that cannot be measured included.

    Parameters
    ----------
    regions : dict
        As `assign_lesions` leaves it.
    problems : iterable of Problem
        What could not be used.
    names : LesionNames
        Which lesion each is.

    Returns
    -------
    list of dict
        DRAWNID LESIONID FLAGS (the code of what could not be used), by name.
    """
    lost = [(problem.drawn, problem.code) for problem in problems if problem.drawn is not None]
    rows = {drawn: (names.lesion_of(drawn, own), code) for (drawn, own), code in lost}
    lesions = {name: region for (role, name), region in regions.items() if role == "LESION"}
    rows |= {drawn: (lesion, "") for lesion, region in lesions.items() for drawn in region.parts}
    return [{"DRAWNID": name, "LESIONID": rows[name][0], "FLAGS": rows[name][1]} for name in sorted(rows)]
