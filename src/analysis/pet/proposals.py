"""Automatic proposals of the reference regions from the PET alone, for a reader to accept or to move.

The liver region lies in the liver of `analysis.pet.torso`. The descending aorta is looked for as an upright
tube of blood-pool uptake above it and beside the spine, with lung on its left. Where a sign is missing the
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
from analysis.pet.torso import BACK, HEAD, LEFT, Torso, find_torso


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


def propose_liver(
    pet, rules=None, exclude: Sequence[Region] = (), torso: Torso | RoiRefused | None = None
) -> Proposal:
    """Propose PERCIST's liver region: a 3 cm sphere in the right lobe, away from edges, vessels and lesions.

    Parameters
    ----------
    pet : PetImage
        An image in SUV.
    rules : plan section, optional
        Section ``pet`` (`propose_*`, `liver_*`, `region_*`); the defaults without it.
    exclude : sequence of Region
        Lesions to keep away from.
    torso : Torso or RoiRefused, optional
        What `find_torso` returned for this image, to find it once for both proposals.

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
    torso = _found(torso or find_torso(pet, rules), "LIVER")
    refusal = None
    for place in _liver_places(torso, torso.view.mask_of(exclude), rules)[: rules.propose_tries]:
        centre = torso.view.to_mm(pet, place)
        try:
            return _checked("LIVER", pet, centre, sphere_region(pet, centre, rules.liver_sphere_mm), rules)
        except RoiRefused as error:  # noise may lift one voxel of the most even sphere: try the next one
            refusal = refusal or error
    raise refusal


def propose_aorta(
    pet, rules=None, exclude: Sequence[Region] = (), torso: Torso | RoiRefused | None = None
) -> Proposal:
    """Propose PERCIST's blood-pool region: a cylinder, 1 cm wide and 2 cm long, in the descending aorta.

    Parameters
    ----------
    pet : PetImage
        An image in SUV.
    rules : plan section, optional
        Section ``pet`` (`propose_*`, `aorta_*`, `region_*`); the defaults without it.
    exclude : sequence of Region
        Lesions to keep away from.
    torso : Torso or RoiRefused, optional
        What `find_torso` returned for this image, to find it once for both proposals.

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
    torso = _found(torso or find_torso(pet, rules), "AORTA")
    fine = PatientView.of(
        pet, rules, rules.propose_fine_mm, lambda step, shape: _left_chest(torso, step, shape, rules)
    )
    at = _find_tube(fine.values, fine.step_mm, torso.level, fine.mask_of(exclude), rules)
    centre = fine.to_mm(pet, at)
    region = cylinder_region(pet, centre, *rules.aorta_cylinder_mm)
    return _checked("AORTA", pet, centre, region, rules)


def _found(torso: Torso | RoiRefused, name: str) -> Torso:
    """Return the torso, or say why this region cannot be looked for."""
    if isinstance(torso, Torso):
        return torso
    raise RoiRefused(torso.code.replace("LIVER", name), torso.message)


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


def _liver_places(torso: Torso, taken: np.ndarray, rules) -> np.ndarray:
    """Return middles of spheres in the right, upper and middle liver, the most even first, shape (n, 3)."""
    view, body, level = torso.view, torso.body, torso.level
    right = torso.organ & body.right_half()
    heights = np.flatnonzero(right.any(axis=(1, 2)))
    lowest = heights[-1] - rules.propose_upper_share * (heights[-1] - heights[0])
    right &= body.right_half(rules.propose_lateral_mm / view.step_mm[LEFT])
    right[: math.ceil(lowest)] = False
    ball = _ball(view, rules.liver_sphere_mm / 2 + rules.propose_edge_mm)
    places = np.argwhere(right)
    places = places[~_around(taken, places, ball).any(axis=1)]
    values = _around(view.values, places, ball).astype(float)
    mean, sd = values.mean(axis=1), values.std(axis=1)
    low, high = (extreme(values, axis=1) for extreme in (np.min, np.max))
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


def _diamond(reach: int) -> np.ndarray:
    """Return the voxels that lie at most `reach` steps along the axes from the middle one."""
    return np.abs(np.indices((2 * reach + 1,) * 3) - reach).sum(axis=0) <= reach


def _around(image: np.ndarray, places: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Return the voxels of a shape about each place, (places, voxels); outside the image is 0."""
    reach = np.array(shape.shape) // 2
    padded = np.pad(image, [(n, n) for n in reach])
    index = (places[:, None] + np.argwhere(shape)).reshape(-1, 3)
    return padded[tuple(index.T)].reshape(len(places), np.count_nonzero(shape))


def _left_chest(torso: Torso, fine_step: np.ndarray, fine_shape: tuple[int, ...], rules) -> tuple[slice, ...]:
    """Return the part of the fine view in which the descending thoracic aorta lies."""
    view, body = torso.view, torso.body
    dome = np.flatnonzero((torso.organ & body.right_half()).any(axis=(1, 2)))[-1]
    near, far = (int(dome + mm / view.step_mm[HEAD]) for mm in rules.aorta_above_dome_mm)
    levels = slice(near, min(far, len(body.middle)))
    centre = float(np.median(body.middle[levels])) if levels.stop > levels.start else 0.0
    column = body.mask[levels, :, int(centre)].any(axis=0)
    if not column.any():
        raise RoiRefused("AORTA_NOT_FOUND", "a chest above the liver expected, found none; draw it")
    back = np.flatnonzero(column)[-1] + 1
    deep, shallow = (back * view.step_mm[BACK] - mm for mm in rules.aorta_from_back_mm[::-1])
    first, last = ((centre + 0.5) * view.step_mm[LEFT] + mm for mm in rules.aorta_left_mm)
    bounds = [
        (levels.start * view.step_mm[HEAD], levels.stop * view.step_mm[HEAD]), (deep, shallow),
        (first, last + rules.aorta_lung_mm[1]),
    ]  # fmt: skip
    return tuple(
        slice(max(int(low / step), 0), min(int(high / step), n))
        for (low, high), step, n in zip(bounds, fine_step, fine_shape, strict=True)
    )


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
    )
    edge = reach[0]
    fits[:edge], fits[len(fits) - edge :] = False, False
    fits[:, :1], fits[:, -1:], fits[..., :1] = False, False, False
    places = np.argwhere(fits)
    fits[tuple(places[_around(taken, places, _diamond(max(reach))).any(axis=1)].T)] = False
    if not fits.any():
        raise RoiRefused("AORTA_NOT_FOUND", "an even tube beside lung expected, found none; draw it")
    return tuple(int(n) for n in np.unravel_index(np.argmin(np.where(fits, change, np.inf)), chest.shape))


def _lowest_to_the_left(mean: np.ndarray, step_mm: np.ndarray, rules) -> np.ndarray:
    """Return the lowest uptake at the distance at which lung must lie, to the patient's left."""
    near, far = (round(float(mm / step_mm[LEFT])) for mm in rules.aorta_lung_mm)
    shifted = [
        np.pad(mean[..., n:], [(0, 0), (0, 0), (0, n)], constant_values=np.inf) for n in range(near, far + 1)
    ]
    return np.min(shifted, axis=0)
