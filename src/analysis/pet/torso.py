"""Where the liver lies in a body seen from the PET alone: what every proposal of a region starts from.

The liver is looked for as what it is in every FDG image: the largest organ of even, moderate uptake, in the
right half of a trunk that is seen whole, with little uptake (lung) above it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from analysis import plan
from analysis.pet.codes import RoiRefused
from analysis.pet.patient_view import PatientView

HEAD, BACK, LEFT = 0, 1, 2  # axes of the patient view: towards the head, the back, the patient's left
_NOT_FOUND = "LIVER_NOT_FOUND"


@dataclass(frozen=True, eq=False)
class Body:
    """The body in a view: its voxels and, for every slice, its middle, width, thickness and completeness.

    Attributes
    ----------
    mask : ndarray of bool
        Its voxels.
    middle : ndarray
        Of every slice, in voxels along the left axis.
    width_mm : ndarray
        Of every slice.
    solid : ndarray
        Thickness at the middle over the largest: a trunk is thick there, two thighs are not.
    cut : ndarray of bool
        Whether the image border cuts it.
    """

    mask: np.ndarray
    middle: np.ndarray
    width_mm: np.ndarray
    solid: np.ndarray
    cut: np.ndarray

    @classmethod
    def of(cls, view: PatientView, rules) -> Body:
        """Return the body in a view: what is above the plan's `body_suv_above`, specks left out."""
        mask = _opened(view.values > rules.body_suv_above)
        n, step = mask.shape[LEFT], view.step_mm[LEFT]
        thickness = mask.sum(axis=BACK)
        seen = thickness > 0
        first, last = seen.argmax(axis=1), n - 1 - seen[:, ::-1].argmax(axis=1)
        middle = (first + last) / 2
        at_middle = thickness[np.arange(len(middle)), middle.astype(int)]
        cut = seen[:, 0] | seen[:, -1] | mask[:, 0].any(axis=1) | mask[:, -1].any(axis=1)
        width = np.where(seen.any(axis=1), (last - first + 1) * step, 0.0)
        return cls(mask, middle, width, at_middle / np.maximum(thickness.max(axis=1), 1), cut)

    def right_half(self, lateral: float = 0.0) -> np.ndarray:
        """Return the voxels more than `lateral` voxels to the right of the middle."""
        right = np.arange(self.mask.shape[LEFT]) < self.middle[:, None, None] - lateral
        return np.broadcast_to(right, self.mask.shape)


@dataclass(frozen=True, eq=False)
class Torso:
    """The liver of a scan and the body round it, found once for all proposals.

    Attributes
    ----------
    view : PatientView
        The image in coarse voxels.
    body : Body
        The body in it.
    organ : ndarray of bool
        The inside of the liver.
    level : float
        Its typical uptake, g/ml.
    """

    view: PatientView
    body: Body
    organ: np.ndarray
    level: float


def find_torso(pet, rules=None) -> Torso | RoiRefused:
    """Find the liver and the body of an image.

    Parameters
    ----------
    pet : PetImage
        An image in SUV.
    rules : plan section, optional
        Section ``pet`` (`propose_*`, `liver_suv_range`, `body_suv_above`); the defaults without it.

    Returns
    -------
    Torso or RoiRefused
        Why there is none (``LIVER_NOT_FOUND``, ``ORIENTATION_OBLIQUE``, ``IMAGE_TOO_SMALL``): returned, not
        raised, so that each proposal states it as its own.
    """
    rules = plan.defaults().pet if rules is None else rules
    try:
        view = PatientView.of(pet, rules, rules.propose_grid_mm)
        body = Body.of(view, rules)
        return Torso(view, body, *_find_liver(view, body, rules))
    except RoiRefused as refusal:
        return refusal


def _find_liver(view: PatientView, body: Body, rules) -> tuple[np.ndarray, float]:
    """Return the voxels of the liver's inside and its typical uptake; refuse where a sign is missing."""
    box = _box_of(body.mask)
    mean, sd = _local(view.values[box])
    low, high = rules.liver_suv_range
    even = (sd < rules.region_max_cv_percent / 100 * mean) & (mean >= low) & (mean <= high)
    voxel_ml = float(np.prod(view.step_mm)) / 1000
    right = body.right_half()
    reasons = []
    for part, level in _organs(mean, even, rules.propose_liver_ml / voxel_ml, rules):
        organ = np.zeros(view.values.shape, bool)
        organ[box] = part
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
    raise RoiRefused(_NOT_FOUND, f"a liver expected, found {found}; draw the region")


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
    places = ndimage.find_objects(labels)
    for name in np.flatnonzero(sizes >= smallest):
        box = places[name - 1]
        organ, uptake = labels[box] == name, mean[box]
        for _ in range(2):  # what hangs on the organ shifts its median once; the second round settles it
            level = float(np.median(uptake[organ]))
            # Opened: a bridge of a voxel or two, to the heart above, does not make one organ.
            alike = organ & (np.abs(uptake - level) <= rules.propose_level_percent / 100 * level)
            alike = _opened(alike)
            parts, _ = ndimage.label(alike)
            counts = np.bincount(parts.ravel())
            counts[0] = 0
            organ = parts == counts.argmax() if len(counts) > 1 else alike
        if organ.sum() >= smallest:
            whole = np.zeros(labels.shape, bool)
            whole[box] = organ
            organs.append((whole, float(np.median(uptake[organ]))))
    return sorted(organs, key=lambda found: -found[0].sum())


def _lung_above(view: PatientView, organ: np.ndarray, level: float, rules) -> float:
    """Return the share of the organ's columns with lung-like uptake at the plan's height above them."""
    columns = organ.any(axis=HEAD)
    if not columns.any():
        return 0.0
    top = organ.shape[HEAD] - 1 - organ[::-1].argmax(axis=HEAD)
    near, far = (math.ceil(mm / view.step_mm[HEAD]) for mm in rules.propose_lung_above_mm)
    y, x = np.nonzero(columns)
    heights = top[y, x] + np.arange(near, far + 1)[:, None]
    inside = heights < organ.shape[HEAD]
    values = view.values[np.minimum(heights, organ.shape[HEAD] - 1), y, x]
    ratio = np.median(np.where(inside, values, np.inf), axis=0) / level
    low, high = rules.propose_lung_ratio
    return float(np.mean((ratio >= low) & (ratio <= high)))


def _box_of(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the box of a mask and the voxels next to it, the whole image for an empty mask."""
    box = []
    for axis, size in enumerate(mask.shape):
        hit = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(max(hit[0] - 2, 0), min(hit[-1] + 3, size)) if len(hit) else slice(0, size))
    return tuple(box)


def _opened(mask: np.ndarray) -> np.ndarray:
    """Return `ndimage.binary_opening(mask)`, which takes ten times as long."""
    return _with_neighbours(_with_neighbours(mask, np.logical_and), np.logical_or)


def _with_neighbours(mask: np.ndarray, combine: np.ufunc) -> np.ndarray:
    """Combine every voxel with its six neighbours; beyond the image there is nothing."""
    around = np.pad(mask, 1)
    out, inner = mask.copy(), slice(1, -1)
    for axis in range(3):
        for side in (slice(None, -2), slice(2, None)):
            combine(out, around[tuple(side if other == axis else inner for other in range(3))], out=out)
    return out
