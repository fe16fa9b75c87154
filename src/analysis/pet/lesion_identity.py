"""One name a lesion through all scans of a patient, where the regions' own names say nothing.

The baseline region gives the name. Every follow-up is laid over the baseline, its regions are matched, and
what the match joins anywhere is one lesion everywhere. A reader's word (``lesion_map.csv``) always wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from analysis import plan as plans
from analysis.pet.matching import Link, Shape, compare_shapes, match_lesions
from analysis.pet.registration import RigidTransform

FAILED, UNCONFIRMED = "REGISTRATION_FAILED", "LINK_UNCONFIRMED"
NAME, READER, PROPOSED = "NAME", "READER", "PROPOSED"


@dataclass(frozen=True, eq=False)
class Node:
    """One lesion of one scan, as the scan alone tells: what was drawn under one name, or joined by the map.

    Attributes
    ----------
    drawn : tuple of str
        Names it was drawn under.
    own : str
        Lesion these names stand for on this scan.
    shape : Shape
        Where it lies.
    said : str or None
        Lesion a reader said it is.
    """

    drawn: tuple[str, ...]
    own: str
    shape: Shape
    said: str | None = None


@dataclass(frozen=True, eq=False)
class Visit:
    """The lesions of one scan, and the movement that lays it over the baseline; None if there is none."""

    nodes: Sequence[Node]
    transform: RigidTransform | None


@dataclass(frozen=True)
class Named:
    """Which lesion a region is.

    Attributes
    ----------
    lesion, source : str
        Its name, and who says so: NAME, READER or PROPOSED.
    dice, distance_mm : float or None
        Against the baseline lesion, after registration.
    proposal : str or None
        Lesion that geometry proposes and the plan does not use yet.
    flags : tuple of str
        What a reader should look at.
    """

    lesion: str
    source: str
    dice: float | None = None
    distance_mm: float | None = None
    proposal: str | None = None
    flags: tuple[str, ...] = ()


@dataclass
class _Lesions:
    """Lesions of a patient as they become known; those that are joined keep their own shapes."""

    said: set[str]
    taken: set[str] = field(default_factory=set)
    baseline: set[str] = field(default_factory=set)
    shapes: dict[str, Shape] = field(default_factory=dict)
    joined: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, shape: Shape) -> None:
        known = self.shapes.get(name)
        self.shapes[name] = shape if known is None else _both(known, shape)

    def free_name(self, own: str) -> str:
        """Return the drawn name if no lesion bears it, else the next L001, L002, ... that nothing bears."""
        if own not in self.taken:
            self.taken.add(own)
            return own
        number = next(n for n in range(1, len(self.taken) + 2) if f"L{n:03d}" not in self.taken)
        self.taken.add(f"L{number:03d}")
        return f"L{number:03d}"

    def root(self, name: str) -> str:
        while name in self.joined:
            name = self.joined[name]
        return name

    def join(self, one: str, other: str) -> None:
        """Make two lesions one, named as a reader said, else by the first of their names.

        Two that a reader told apart stay two; and what is new is never hidden in a lesion of the baseline.
        """
        roots = sorted({self.root(one), self.root(other)}, key=lambda n: (n not in self.said, natural(n)))
        of_baseline = {name in self.baseline for name in roots}
        if len(roots) == 2 and len(of_baseline) == 1 and not set(roots) <= self.said:
            self.joined[roots[1]] = roots[0]


def natural(name: str) -> tuple[Any, ...]:
    """Return a key that sorts L2 before L10."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def name_lesions(
    baseline: Sequence[Node], visits: Sequence[Visit], rules: plans.Section | None = None
) -> list[dict[str, Named]]:
    """Name the lesions of a patient's scans, baseline first.

    Parameters
    ----------
    baseline : sequence of Node
        Lesions of the baseline scan; empty where there is none to match with.
    visits : sequence of Visit
        Follow-up scans in the order of their dates.
    rules : Section, optional
        Plan section ``pet`` (`match_*`).

    Returns
    -------
    list of dict
        For the baseline and every visit: name drawn -> Named. A region without counterpart keeps its name if
        no lesion has it, else it is the next L001; it is never paired by its name. New lesions are looked for
        at later visits as those of the baseline are.
    """
    rules = plans.defaults().pet if rules is None else rules
    everything = [*baseline, *(node for visit in visits for node in visit.nodes)]
    lesions = _Lesions({node.said for node in everything if node.said})
    scans = [_name_baseline(baseline, lesions)]
    scans += [_name_visit(visit, lesions, rules) for visit in visits]
    return [{drawn: _final(named, lesions) for drawn, named in scan.items()} for scan in scans]


def _final(named: Named, lesions: _Lesions) -> Named:
    """Give a region the name of what its lesion was joined to; at baseline too, that is a proposal."""
    root = lesions.root(named.lesion)
    if root == named.lesion:
        return named
    return replace(named, lesion=root, source=PROPOSED if named.source == NAME else named.source)


def _name_baseline(nodes: Sequence[Node], lesions: _Lesions) -> dict[str, Named]:
    found = {}
    for node in sorted(nodes, key=lambda node: (node.said is None, natural(node.own))):
        lesion = node.said or lesions.free_name(node.own)
        lesions.add(lesion, node.shape)
        lesions.taken.add(lesion)
        found |= dict.fromkeys(node.drawn, Named(lesion, READER if node.said else NAME))
    lesions.baseline = set(lesions.taken)
    # What a reader says at a later visit names a lesion of the baseline, or is no name for another one.
    lesions.taken |= lesions.said
    return found


def _name_visit(visit: Visit, lesions: _Lesions, rules: plans.Section) -> dict[str, Named]:
    shapes = {node.drawn[0]: _placed(node, visit) for node in visit.nodes}
    nodes = {node.drawn[0]: node for node in visit.nodes}
    said = {key: node.said for key, node in nodes.items() if node.said}
    links: dict[str, list[Link]] = {}
    if visit.transform is not None:
        for link in match_lesions(lesions.shapes, shapes, None, rules, known=said):
            links.setdefault(link.followup, []).append(link)
    found: dict[str, Named] = {}
    before = dict(lesions.shapes)
    for key in sorted(nodes, key=lambda key: (nodes[key].said is None, natural(key))):
        named = _name_node(nodes[key], links.get(key, []), lesions, visit, rules, before)
        found |= dict.fromkeys(nodes[key].drawn, named)
        if visit.transform is not None and named.lesion not in before and named.proposal is None:
            lesions.add(named.lesion, shapes[key])
    return found


def _name_node(
    node: Node,
    links: Sequence[Link],
    lesions: _Lesions,
    visit: Visit,
    rules: plans.Section,
    before: Mapping[str, Shape],
) -> Named:
    if node.said:
        if not rules.match_confirmed_only:
            for link in links:
                lesions.join(node.said, link.baseline)
        if visit.transform is None or node.said not in before:
            return Named(node.said, READER)
        how = compare_shapes(_placed(node, visit), before[node.said], rules.match_grid_mm)
        return Named(node.said, READER, how.dice, how.distance_mm)
    if not links:
        flags = (FAILED,) if visit.transform is None else ()
        return Named(lesions.free_name(node.own), PROPOSED, flags=flags)
    # Where a new lesion and one of the baseline flow together, it is that of the baseline.
    best = next((link for link in links if link.baseline in lesions.baseline), links[0])
    facts = {"dice": best.dice, "distance_mm": best.distance_mm}
    if rules.match_confirmed_only:
        flags = (*best.flags, UNCONFIRMED)
        return Named(lesions.free_name(node.own), PROPOSED, **facts, proposal=best.baseline, flags=flags)
    for link in links:
        lesions.join(best.baseline, link.baseline)
    return Named(best.baseline, PROPOSED, **facts, flags=best.flags)


def _placed(node: Node, visit: Visit) -> Shape:
    return node.shape if visit.transform is None else node.shape.placed(visit.transform)


def _both(first: Shape, other: Shape) -> Shape:
    """Return two regions of one scan as one; of another scan, the earlier one stays."""
    if first.grid is not other.grid:
        return first
    return replace(first, region=first.region | other.region, organ=first.organ or other.organ)
