"""Which region of a follow-up scan is which lesion of before, told by where it lies.

Two regions may be one lesion if they overlap after registration, or their centres lie nearer than the plan's
distance, and they are not in different organs. Of all ways to pair them one by one the best is taken (the
assignment problem); a region left over that lies mostly inside a taken one is a part of that lesion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from analysis import plan as plans
from analysis.pet.region import Region
from analysis.pet.registration import RigidTransform

ORGAN_UNKNOWN, SEVERAL = "ORGAN_UNKNOWN", "SEVERAL_CANDIDATES"
_OFF_ZERO, _POINTS_AT_ONCE = 1 / 3, 500_000
_NEVER = 1e6  # cost of a pair that is no candidate; costs of candidates lie between -1 and 1


@dataclass(frozen=True, eq=False)
class Shape:
    """A region in space.

    Attributes
    ----------
    region : Region
        Its voxels.
    grid : geometry.Grid
        Grid they lie on.
    organ : str or None
        Where in the body.
    transform : RigidTransform
        From the reference (baseline) coordinates to those of its own scan.
    """

    region: Region
    grid: Any
    organ: str | None = None
    transform: RigidTransform = field(default_factory=RigidTransform.identity)

    def placed(self, transform: RigidTransform) -> Shape:
        """Return the shape of a scan that `transform` lays over the baseline."""
        return replace(self, transform=transform)

    @cached_property
    def points_mm(self) -> np.ndarray:
        """Centres of its voxels in reference coordinates, mm, shape (n, 3)."""
        return self.transform.to_baseline(self.grid.to_mm(self.region.index()))

    @cached_property
    def centre_mm(self) -> np.ndarray:
        """Centre of its volume in reference coordinates, mm."""
        weights = self.grid.volumes_ml[self.region.index()[:, 0]]
        return np.average(self.points_mm, axis=0, weights=weights)

    @cached_property
    def reach_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners of a box that holds it, mm."""
        margin = np.linalg.norm(self.grid.spacing_mm)
        return self.points_mm.min(axis=0) - margin, self.points_mm.max(axis=0) + margin

    def holds(self, points_mm: np.ndarray) -> np.ndarray:
        """Tell which points of the reference coordinates, shape (n, 3), lie in one of its voxels."""
        index = np.rint(self.grid.to_index(self.transform.to_followup(points_mm))).astype(int)
        index -= [edge.start for edge in self.region.box]
        inside = np.all((index >= 0) & (index < self.region.mask.shape), axis=1)
        found = np.zeros(len(index), bool)
        found[inside] = self.region.mask[tuple(index[inside].T)]
        return found

    def count_points(self, step_mm: float) -> int:
        """Count the points of the lattice of `compare_shapes` in it; once for all it is compared with."""
        counts = self.__dict__.setdefault("_counts", {})
        if step_mm not in counts:
            counts[step_mm] = sum(
                np.count_nonzero(self.holds(points)) for points in _points_between(*self.reach_mm, step_mm)
            )
        return counts[step_mm]


@dataclass(frozen=True)
class Overlap:
    """How two regions lie to each other: Dice, the share of each inside the other, distance of centres."""

    dice: float
    share_first: float
    share_second: float
    distance_mm: float


@dataclass(frozen=True)
class Link:
    """One region of the follow-up and one lesion of before that may be the same.

    Attributes
    ----------
    followup, baseline : str
        Their names.
    dice : float
        2 |A and B| / (|A| + |B|) after registration.
    distance_mm : float
        Of the centres, after registration.
    part : bool
        Whether it joins a pair made before: a split (the follow-up region was left over) or a merge (the
        baseline lesion was).
    flags : tuple of str
        ORGAN_UNKNOWN, SEVERAL_CANDIDATES.
    """

    followup: str
    baseline: str
    dice: float
    distance_mm: float
    part: bool = False
    flags: tuple[str, ...] = ()


def compare_shapes(first: Shape, second: Shape, grid_mm: float) -> Overlap:
    """Compare where two regions of different grids lie, on points `grid_mm` apart.

    Parameters
    ----------
    first, second : Shape
    grid_mm : float
        Distance of the points, mm.

    Returns
    -------
    Overlap
        Shares are 0 where the boxes do not meet.

    Raises
    ------
    ValueError
        If a region has no voxel.
    """
    distance = float(np.linalg.norm(first.centre_mm - second.centre_mm))
    low = np.maximum(first.reach_mm[0], second.reach_mm[0])
    high = np.minimum(first.reach_mm[1], second.reach_mm[1])
    if np.any(low > high):
        return Overlap(0.0, 0.0, 0.0, distance)
    shared = _points_between(low, high, grid_mm)
    both = float(sum(np.count_nonzero(second.holds(some[first.holds(some)])) for some in shared))
    sizes = [max(1.0, float(side.count_points(grid_mm))) for side in (first, second)]
    return Overlap(2 * both / sum(sizes), both / sizes[0], both / sizes[1], distance)


def _points_between(low: np.ndarray, high: np.ndarray, step_mm: float) -> Iterator[np.ndarray]:
    """Yield the points of one lattice for all regions that lie in a box, not too many at a time.

    The lattice is a third of a step off zero, so that its points seldom lie on the border of two voxels.
    """
    first = np.ceil(low / step_mm - _OFF_ZERO).astype(int)
    last = np.floor(high / step_mm - _OFF_ZERO).astype(int)
    x, y, z = ((np.arange(a, b + 1) + _OFF_ZERO) * step_mm for a, b in zip(first, last, strict=True))
    many = max(1, _POINTS_AT_ONCE // max(1, len(x) * len(y)))
    for at in range(0, len(z), many):
        yield np.stack(np.meshgrid(x, y, z[at : at + many], indexing="ij"), axis=-1).reshape(-1, 3)


def match_lesions(
    baseline: Mapping[str, Shape],
    followup: Mapping[str, Shape],
    transform: RigidTransform | None = None,
    rules: plans.Section | None = None,
    *,
    known: Mapping[str, str] | None = None,
) -> list[Link]:
    """Match the regions of a follow-up scan to lesions of before.

    Parameters
    ----------
    baseline : mapping
        Name -> Shape in reference coordinates (or placed in them by its own transform).
    followup : mapping
        Name -> Shape of the follow-up scan.
    transform : RigidTransform, optional
        Lays that scan over the reference; without it the shapes are taken as they are placed.
    rules : Section, optional
        Plan section ``pet`` (`match_distance_mm`, `match_part_share`, `match_grid_mm`).
    known : mapping, optional
        Follow-up name -> baseline name a reader has said: these are no question, and not in the result; what
        is left over may still be a part of them where the place agrees with the reader, and else of neither.

    Returns
    -------
    list of Link
        In the order of follow-up and baseline names: pairs of the best assignment, then parts. A region of
        either scan that is in no link has no counterpart.
    """
    rules = plans.defaults().pet if rules is None else rules
    if transform is not None:
        followup = {name: shape.placed(transform) for name, shape in followup.items()}
    mine, theirs = sorted(followup), sorted(baseline)
    found = {
        (a, b): compare_shapes(followup[a], baseline[b], rules.match_grid_mm)
        for a in mine
        for b in theirs
        if not _other_organ(followup[a], baseline[b])
    }
    candidates = {
        pair: how for pair, how in found.items() if how.dice > 0 or how.distance_mm < rules.match_distance_mm
    }
    said = dict(known or {})
    open_a, open_b = (
        [x for x in names if x not in done] for names, done in ((mine, said), (theirs, said.values()))
    )
    pairs = _assign(open_a, open_b, candidates, rules.match_distance_mm)
    agreed = _unless_contradicted(candidates, said, rules.match_part_share)
    parts = _parts(agreed, pairs | set(said.items()), rules.match_part_share)
    counts = {a: sum(one == a for one, _ in candidates) for a in mine}
    links = []
    for (a, b), part in [
        *((pair, False) for pair in sorted(pairs)),
        *((pair, True) for pair in sorted(parts)),
    ]:
        unknown = None in (followup[a].organ, baseline[b].organ)
        flags = [ORGAN_UNKNOWN] * unknown + [SEVERAL] * (counts[a] > 1)
        how = candidates[(a, b)]
        links.append(Link(a, b, how.dice, how.distance_mm, part, tuple(flags)))
    return links


def _other_organ(first: Shape, second: Shape) -> bool:
    organs = [one.organ.strip().lower() for one in (first, second) if one.organ]
    return len(set(organs)) == 2


def _assign(
    mine: list[str], theirs: list[str], candidates: Mapping[tuple[str, str], Overlap], limit_mm: float
) -> set[tuple[str, str]]:
    """Solve the assignment problem: overlap draws, distance repels, and staying alone costs a half each."""
    if not mine or not theirs:
        return set()
    n, m = len(mine), len(theirs)
    cost = np.full((n + m, n + m), _NEVER)
    for i, j in np.ndindex(n, m):
        how = candidates.get((mine[i], theirs[j]))
        if how is not None:
            cost[i, j] = min(how.distance_mm / limit_mm, 1.0) - how.dice
    cost[np.arange(n), m + np.arange(n)] = cost[n + np.arange(m), np.arange(m)] = 0.5
    cost[n:, m:] = 0.0
    rows, columns = linear_sum_assignment(cost)
    chosen = {(mine[i], theirs[j]) for i, j in zip(rows, columns) if i < n and j < m}
    return chosen & set(candidates)


def _unless_contradicted(
    candidates: Mapping[tuple[str, str], Overlap], said: Mapping[str, str], share: float
) -> dict[tuple[str, str], Overlap]:
    """Leave out what a reader's word speaks against: place alone never joins two lesions then.

    Regions said to be a lesion may hold another one only if one of them holds that lesion too, and a lesion
    may have further parts only if a region said to be it lies on it.
    """
    sure = {(a, b): candidates[(a, b)] for a, b in said.items() if (a, b) in candidates}
    held = {b for (_, b), how in sure.items() if how.share_second >= share}
    met = {b for (_, b), how in sure.items() if how.dice > 0}
    return {
        (a, b): how
        for (a, b), how in candidates.items()
        if (a not in said or said[a] in held) and (b not in said.values() or b in met)
    }


def _parts(
    candidates: Mapping[tuple[str, str], Overlap], pairs: set[tuple[str, str]], share: float
) -> set[tuple[str, str]]:
    """Return links of what was left over to what it lies in: never between two that are both taken."""
    taken_a, taken_b = {a for a, _ in pairs}, {b for _, b in pairs}
    parts = set()
    for (a, b), how in candidates.items():
        split = a not in taken_a and b in taken_b and how.share_first >= share
        merge = a in taken_a and b not in taken_b and how.share_second >= share
        if split or merge:
            parts.add((a, b))
    return _most_inside(parts, candidates, taken_a)


def _most_inside(
    parts: set[tuple[str, str]], candidates: Mapping[tuple[str, str], Overlap], taken: set[str]
) -> set[tuple[str, str]]:
    """Keep, of the several regions a leftover lies in, the one that holds most of it."""
    best: dict[tuple[bool, str], tuple[float, tuple[str, str]]] = {}
    for a, b in sorted(parts):
        merge = a in taken
        inside = candidates[(a, b)].share_second if merge else candidates[(a, b)].share_first
        key = (merge, b if merge else a)
        if key not in best or inside > best[key][0]:
            best[key] = (inside, (a, b))
    return {pair for _, pair in best.values()}
