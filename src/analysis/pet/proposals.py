"""Automatic proposals of the reference regions from the PET alone, for a reader to accept or to move.

The liver is looked for as what it is in every FDG image: the largest organ of even, moderate uptake, in the
right half of a trunk that is seen whole, with little uptake (lung) above it. The descending aorta: an upright
tube of blood-pool uptake beside the spine, with lung on its left. Where one of these signs is missing the
answer is a code, never a guess.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from analysis import plan
from analysis.pet.codes import RoiRefused
from analysis.pet.patient_view import PatientView
from analysis.pet.reference_regions import check_region, cylinder_region, sphere_region
from analysis.pet.region import Region

_HEAD, _BACK, _LEFT = 0, 1, 2  # axes of the patient view: towards the head, the back, the patient's left


@dataclass(frozen=True, eq=False)
class Proposal:
    """A reference region proposed by the program.

    Attributes
    ----------
    name : str
        LIVER or AORTA.
    centre_mm : tuple of float
        Its centre in patient coordinates (LPS).
    region : Region
        Its voxels.
    flags : list of str
        What a reader should look at (`check_region`); empty if nothing is odd.
    """

    name: str
    centre_mm: tuple[float, float, float]
    region: Region
    flags: list[str]


@dataclass(frozen=True, eq=False)
class _Body:
    """The body in a view: its voxels and, for every slice, its middle, width, flatness and completeness."""

    mask: np.ndarray
    middle: np.ndarray  # voxels along the left axis
    width_mm: np.ndarray
    solid: np.ndarray  # thickness at the middle over the largest: a trunk is thick there, two thighs are not
    cut: np.ndarray  # whether the image border cuts it

    @classmethod
    def of(cls, view: PatientView, rules) -> _Body:
        mask = ndimage.binary_opening(view.values > rules.body_suv_above)
        n, step = mask.shape[_LEFT], view.step_mm[_LEFT]
        thickness = mask.sum(axis=_BACK)
        seen = thickness > 0
        first, last = seen.argmax(axis=1), n - 1 - seen[:, ::-1].argmax(axis=1)
        middle = (first + last) / 2
        at_middle = thickness[np.arange(len(middle)), middle.astype(int)]
        cut = seen[:, 0] | seen[:, -1] | mask[:, 0].any(axis=1) | mask[:, -1].any(axis=1)
        width = np.where(seen.any(axis=1), (last - first + 1) * step, 0.0)
        return cls(mask, middle, width, at_middle / np.maximum(thickness.max(axis=1), 1), cut)

    def right_half(self, lateral: float = 0.0) -> np.ndarray:
        """Return the voxels more than `lateral` voxels to the right of the middle."""
        right = np.arange(self.mask.shape[_LEFT]) < self.middle[:, None, None] - lateral
        return np.broadcast_to(right, self.mask.shape)


def propose_liver(pet, rules=None, exclude: Sequence[Region] = ()) -> Proposal:
    """Propose PERCIST's liver region: a 3 cm sphere in the right lobe, away from edges, vessels and lesions.

    Parameters
    ----------
    pet : PetImage
        An image in SUV.
    rules : plan section, optional
        Section ``pet`` (`propose_*`, `liver_*`, `region_*`); the defaults without it.
    exclude : sequence of Region
        Lesions to keep away from.

    Returns
    -------
    Proposal
        The most even sphere of the organ's own uptake; the same for the same image.

    Raises
    ------
    RoiRefused
        ``LIVER_NOT_FOUND``, with the sign that is missing; ``LIVER_CV_HIGH`` or ``LIVER_HOT_VOXEL`` where
        even the best sphere holds a lesion, vessel or edge.
    """
    rules = plan.defaults().pet if rules is None else rules
    view = PatientView.of(pet, rules, rules.propose_grid_mm)
    body = _Body.of(view, rules)
    organ, level = _find_liver(view, body, rules)
    refusal = None
    places = _liver_places(view, body, organ, level, view.mask_of(exclude), rules)
    for place in places[: rules.propose_tries]:
        centre = view.to_mm(pet, place)
        try:
            return _checked("LIVER", pet, centre, sphere_region(pet, centre, rules.liver_sphere_mm), rules)
        except RoiRefused as error:  # noise may lift one voxel of the most even sphere: try the next one
            refusal = refusal or error
    raise refusal


def propose_aorta(pet, rules=None, exclude: Sequence[Region] = ()) -> Proposal:
    """Propose PERCIST's blood-pool region: a cylinder, 1 cm wide and 2 cm long, in the descending aorta.

    Parameters
    ----------
    pet : PetImage
        An image in SUV.
    rules : plan section, optional
        Section ``pet`` (`propose_*`, `aorta_*`, `region_*`); the defaults without it.
    exclude : sequence of Region
        Lesions to keep away from.

    Returns
    -------
    Proposal
        The tube whose uptake changes least along its length; the same for the same image.

    Raises
    ------
    RoiRefused
        ``AORTA_NOT_FOUND``, with the sign that is missing; ``AORTA_CV_HIGH`` or ``AORTA_HOT_VOXEL``.
    """
    rules = plan.defaults().pet if rules is None else rules
    view = PatientView.of(pet, rules, rules.propose_grid_mm)
    fine = PatientView.of(pet, rules, rules.propose_fine_mm)
    body = _Body.of(view, rules)
    organ, level = _find_liver(view, body, rules, "AORTA_NOT_FOUND")
    corner, chest = _left_chest(view, body, organ, fine, rules)
    at = _find_tube(fine.values[chest], fine.step_mm, level, fine.mask_of(exclude)[chest], rules)
    centre = fine.to_mm(pet, [start + step for start, step in zip(corner, at, strict=True)])
    region = cylinder_region(pet, centre, *rules.aorta_cylinder_mm)
    return _checked("AORTA", pet, centre, region, rules)


def _checked(name: str, pet, centre, region: Region, rules) -> Proposal:
    inside = pet.values[region.box][region.mask].astype(float)
    stats = {"SUVMEAN": inside.mean(), "SUVSD": inside.std(), "SUVMAX": inside.max()}
    flags = check_region(name, stats, rules)
    if flags:
        raise RoiRefused(
            flags[0], f"the best place for {name} has SD {stats['SUVSD']:.2f} and maximum "
            f"{stats['SUVMAX']:.2f} at mean {stats['SUVMEAN']:.2f} g/ml; draw the region"
        )  # fmt: skip
    return Proposal(name, centre, region, flags)


def _find_liver(
    view: PatientView, body: _Body, rules, code: str = "LIVER_NOT_FOUND"
) -> tuple[np.ndarray, float]:
    """Return the voxels of the liver's inside and its typical uptake; refuse where a sign is missing."""
    mean, sd = _local(view.values)
    low, high = rules.liver_suv_range
    even = (sd < rules.region_max_cv_percent / 100 * mean) & (mean >= low) & (mean <= high)
    voxel_ml = float(np.prod(view.step_mm)) / 1000
    right = body.right_half()
    reasons = []
    for organ, level in _organs(mean, even, rules.propose_liver_ml / voxel_ml, rules):
        z = np.nonzero(organ)[0]
        checks = {
            "in the right half": np.mean(right[organ]) >= rules.propose_right_share,
            "in a trunk": np.median(body.width_mm[z]) >= rules.propose_trunk_mm
            and np.median(body.solid[z]) >= rules.propose_solid_share,
            "in a body seen whole": np.mean(body.cut[z]) <= rules.propose_cut_share,
            "below lung": _lung_above(view, organ & right, level, rules) >= rules.propose_lung_share,
        }
        missing = [sign for sign, seen in checks.items() if not seen]
        if not missing:
            return organ, level
        reasons.append(f"{organ.sum() * voxel_ml:.0f} ml not {', '.join(missing)}")
    found = "; ".join(reasons) or f"no even organ of {rules.propose_liver_ml:g} ml"
    raise RoiRefused(code, f"a liver expected, found {found}; draw the region")


def _local(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each voxel and its 26 neighbours."""
    mean = ndimage.uniform_filter(values, 3, mode="nearest")
    square = ndimage.uniform_filter(values * values, 3, mode="nearest")
    return mean, np.sqrt(np.maximum(square - mean * mean, 0))


def _organs(mean: np.ndarray, even: np.ndarray, smallest: float, rules) -> list[tuple[np.ndarray, float]]:
    """Return connected even organs, the largest first, each trimmed to its own typical uptake."""
    organs = []
    labels, _ = ndimage.label(even)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    for name in np.flatnonzero(sizes >= smallest):
        organ = labels == name
        for _ in range(2):  # what hangs on the organ shifts its median once; the second round settles it
            level = float(np.median(mean[organ]))
            # Opened: a bridge of a voxel or two, to the heart above, does not make one organ.
            alike = organ & (np.abs(mean - level) <= rules.propose_level_percent / 100 * level)
            alike = ndimage.binary_opening(alike)
            parts, _ = ndimage.label(alike)
            counts = np.bincount(parts.ravel())
            counts[0] = 0
            organ = parts == counts.argmax() if len(counts) > 1 else alike
        if organ.sum() >= smallest:
            organs.append((organ, float(np.median(mean[organ]))))
    return sorted(organs, key=lambda found: -found[0].sum())


def _lung_above(view: PatientView, organ: np.ndarray, level: float, rules) -> float:
    """Return the share of the organ's columns with lung-like uptake at the plan's height above them."""
    columns = organ.any(axis=_HEAD)
    if not columns.any():
        return 0.0
    top = organ.shape[_HEAD] - 1 - organ[::-1].argmax(axis=_HEAD)
    near, far = (math.ceil(mm / view.step_mm[_HEAD]) for mm in rules.propose_lung_above_mm)
    y, x = np.nonzero(columns)
    heights = top[y, x] + np.arange(near, far + 1)[:, None]
    inside = heights < organ.shape[_HEAD]
    values = view.values[np.minimum(heights, organ.shape[_HEAD] - 1), y, x]
    ratio = np.median(np.where(inside, values, np.inf), axis=0) / level
    low, high = rules.propose_lung_ratio
    return float(np.mean((ratio >= low) & (ratio <= high)))


def _liver_places(
    view: PatientView, body: _Body, organ, level: float, taken: np.ndarray, rules
) -> np.ndarray:
    """Return middles of spheres in the right, upper and middle liver, the most even first, shape (n, 3)."""
    right = organ & body.right_half()
    heights = np.flatnonzero(right.any(axis=(1, 2)))
    lowest = heights[-1] - rules.propose_upper_share * (heights[-1] - heights[0])
    right &= body.right_half(rules.propose_lateral_mm / view.step_mm[_LEFT])
    right[: math.ceil(lowest)] = False
    ball = _ball(view, rules.liver_sphere_mm / 2 + rules.propose_edge_mm)
    if taken.any():
        right &= ~ndimage.binary_dilation(taken, ball)
    places = np.argwhere(right)
    mean, sd, low, high = _sphere_statistics(view, places, ball)
    fits = (
        (np.abs(mean - level) <= rules.propose_level_percent / 100 * level)
        & (high <= rules.region_max_to_mean * mean)
        & (low >= (1 - rules.propose_dip_percent / 100) * mean)
    )
    if not fits.any():
        room = f"{rules.liver_sphere_mm:g} mm and {rules.propose_edge_mm:g} mm round it"
        raise RoiRefused(
            "LIVER_NOT_FOUND", f"even liver for a sphere of {room} expected, found none; draw it"
        )
    return places[fits][np.argsort((sd / mean)[fits], kind="stable")]


def _ball(view: PatientView, radius_mm: float) -> np.ndarray:
    reach = [int(radius_mm // step) for step in view.step_mm]
    axes = np.meshgrid(*(np.arange(-n, n + 1) * s for n, s in zip(reach, view.step_mm)), indexing="ij")
    return sum(axis**2 for axis in axes) <= radius_mm**2


def _sphere_statistics(view: PatientView, places: np.ndarray, ball: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return mean, SD, lowest and highest value of the ball about each place; outside the image is 0."""
    reach = np.array(ball.shape) // 2
    padded = np.pad(view.values, [(n, n) for n in reach])
    steps = np.argwhere(ball)
    index = (places[:, None] + steps).reshape(-1, 3)
    values = padded[tuple(index.T)].reshape(len(places), len(steps)).astype(float)
    return values.mean(axis=1), values.std(axis=1), values.min(axis=1), values.max(axis=1)


def _left_chest(
    view: PatientView, body: _Body, organ, fine: PatientView, rules
) -> tuple[list[int], tuple[slice, ...]]:
    """Return the part of the fine view in which the descending thoracic aorta lies: corner and slices."""
    dome = np.flatnonzero((organ & body.right_half()).any(axis=(1, 2)))[-1]
    near, far = (int(dome + mm / view.step_mm[_HEAD]) for mm in rules.aorta_above_dome_mm)
    levels = slice(near, min(far, len(body.middle)))
    centre = float(np.median(body.middle[levels])) if levels.stop > levels.start else 0.0
    column = body.mask[levels, :, int(centre)].any(axis=0)
    if not column.any():
        raise RoiRefused("AORTA_NOT_FOUND", "a chest above the liver expected, found none; draw it")
    back = np.flatnonzero(column)[-1] + 1
    deep, shallow = (back * view.step_mm[_BACK] - mm for mm in rules.aorta_from_back_mm[::-1])
    first, last = ((centre + 0.5) * view.step_mm[_LEFT] + mm for mm in rules.aorta_left_mm)
    bounds = [
        (levels.start * view.step_mm[_HEAD], levels.stop * view.step_mm[_HEAD]), (deep, shallow),
        (first, last + rules.aorta_lung_mm[1]),
    ]  # fmt: skip
    sides = [
        slice(max(int(low / step), 0), min(int(high / step), n))
        for (low, high), step, n in zip(bounds, fine.step_mm, fine.values.shape, strict=True)
    ]
    return [side.start for side in sides], tuple(sides)


def _find_tube(chest: np.ndarray, step_mm: np.ndarray, level: float, taken, rules) -> tuple[int, ...]:
    """Return the middle of the upright tube of blood-pool uptake whose uptake changes least along it."""
    width = rules.aorta_cylinder_mm[0]
    extent = (rules.aorta_run_mm / 2, width, width)
    reach = [int(mm // step) for mm, step in zip(extent, step_mm, strict=True)]
    if any(n < 2 * r + 1 for n, r in zip(chest.shape, reach, strict=True)):
        raise RoiRefused("AORTA_NOT_FOUND", "the image ends above the liver; draw the region")
    disc = ndimage.gaussian_filter(chest, (0, *(width / 2 / step_mm[1:])), mode="nearest")
    run = 2 * reach[0] + 1
    mean = ndimage.uniform_filter1d(disc, run, axis=0, mode="nearest")
    square = ndimage.uniform_filter1d(disc * disc, run, axis=0, mode="nearest")
    change = np.sqrt(np.maximum(square - mean * mean, 0)) / mean
    ring = np.array([1, *(2 * np.array(reach[1:]) + 1)])
    peak = mean == ndimage.maximum_filter(mean, ring, mode="nearest")
    low, high = rules.aorta_to_liver
    beside = _lowest_to_the_left(mean, step_mm, rules)
    fits = (
        peak
        & (mean >= low * level)
        & (mean <= high * level)
        & (beside <= rules.aorta_lung_ratio * mean)
        & (change <= rules.aorta_change_percent / 100)
        & ~ndimage.binary_dilation(taken, iterations=max(reach))
    )
    edge = reach[0]
    fits[:edge], fits[len(fits) - edge :] = False, False
    fits[:, :1], fits[:, -1:], fits[..., :1] = False, False, False
    if not fits.any():
        raise RoiRefused("AORTA_NOT_FOUND", "an even tube beside lung expected, found none; draw it")
    return tuple(int(n) for n in np.unravel_index(np.argmin(np.where(fits, change, np.inf)), chest.shape))


def _lowest_to_the_left(mean: np.ndarray, step_mm: np.ndarray, rules) -> np.ndarray:
    """Return the lowest uptake at the distance at which lung must lie, to the patient's left."""
    near, far = (round(float(mm / step_mm[_LEFT])) for mm in rules.aorta_lung_mm)
    shifted = [
        np.pad(mean[..., n:], [(0, 0), (0, 0), (0, n)], constant_values=np.inf) for n in range(near, far + 1)
    ]
    return np.min(shifted, axis=0)
