"""Lay a follow-up PET over the baseline PET: a rigid movement found from the two images alone.

Two scans of a patient share no frame of reference: she lies elsewhere on the table. Uptake is cut off at the
plan's SUV first, so that body and organs decide, not the lesions, whose change is the question.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analysis import plan as plans
from analysis.pet.codes import RegistrationRefused

__all__ = ["CoarseImage", "RegistrationRefused", "RigidTransform", "coarsen", "register"]

_SAID = "REGISTRATION_FAILED"
# Single warm voxels in the air do not count as body; the margin keeps its outline in the picture.
_CROP_PERCENT, _CROP_MARGIN = (0.5, 99.5), 2


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """A rigid movement from the baseline scan's patient coordinates to those of a follow-up scan.

    Attributes
    ----------
    rotation : ndarray, shape (3, 3)
        Rotation matrix, in mm (LPS).
    shift_mm : ndarray, shape (3,)
        ``followup = rotation @ baseline + shift_mm``.
    quality : dict
        ``correlation`` of the two coarse images, ``overlap`` (Dice of the bodies where both scans look),
        ``common`` (share of the smaller body there), ``rotation_degrees``, ``moved_mm`` (of the body's
        centre).
    """

    rotation: np.ndarray
    shift_mm: np.ndarray
    quality: dict[str, float]

    @classmethod
    def identity(cls) -> RigidTransform:
        """Return the movement that moves nothing: a scan's own coordinates."""
        return cls(np.eye(3), np.zeros(3), {})

    def to_followup(self, points_mm: np.ndarray) -> np.ndarray:
        """Convert points of the baseline scan, shape (n, 3), to the follow-up scan, mm (LPS)."""
        return np.asarray(points_mm, float) @ self.rotation.T + self.shift_mm

    def to_baseline(self, points_mm: np.ndarray) -> np.ndarray:
        """Convert points of the follow-up scan, shape (n, 3), to the baseline scan, mm (LPS)."""
        return (np.asarray(points_mm, float) - self.shift_mm) @ self.rotation


@dataclass(frozen=True, eq=False)
class CoarseImage:
    """A PET in large voxels, its uptake cut off: what two scans are compared in.

    Attributes
    ----------
    image : SimpleITK.Image
        SUV.
    body_mm : ndarray, shape (n, 3)
        Centres of its voxels that are body, mm (LPS).
    body_above : float
        SUV above which a voxel is body.
    """

    image: Any
    body_mm: np.ndarray
    body_above: float

    @cached_property
    def centre_mm(self) -> np.ndarray:
        """Centre of the body, mm."""
        return self.body_mm.mean(axis=0)


def coarsen(pet, rules: plans.Section | None = None) -> CoarseImage:
    """Make a scan coarse for registration.

    Parameters
    ----------
    pet : PetImage
        The scan.
    rules : Section, optional
        Plan section ``pet`` (`register_grid_mm`, `register_suv_max`, `body_suv_above`).

    Returns
    -------
    CoarseImage

    Raises
    ------
    RegistrationRefused
        REGISTRATION_FAILED if the scan shows no body, or is thinner than two coarse voxels.
    """
    import SimpleITK as sitk

    rules = plans.defaults().pet if rules is None else rules
    image = sitk.GetImageFromArray(np.minimum(pet.values, np.float32(rules.register_suv_max)))
    directions = pet.affine[:3, :3] / np.linalg.norm(pet.affine[:3, :3], axis=0)
    image.SetSpacing([float(step) for step in pet.spacing_mm[::-1]])
    image.SetOrigin([float(at) for at in pet.affine[:3, 3]])
    image.SetDirection(directions[:, ::-1].ravel().tolist())
    factor = np.maximum(1, np.round(rules.register_grid_mm / np.asarray(pet.spacing_mm))).astype(int)
    if np.any(np.array(pet.values.shape) < 2 * factor):
        raise RegistrationRefused(_SAID, "two scans cannot be laid over each other: one is too thin")
    image = sitk.BinShrink(image, [int(n) for n in factor[::-1]])
    values = sitk.GetArrayViewFromImage(image)
    body = np.argwhere(values > rules.body_suv_above)
    if not len(body):
        raise RegistrationRefused(_SAID, "two scans cannot be laid over each other: one shows no body")
    return CoarseImage(_cropped(image, body), _to_mm(image, body), rules.body_suv_above)


def _cropped(image: Any, body: np.ndarray) -> Any:
    """Cut the air round a body away: up to two thirds of the voxels say nothing."""
    import SimpleITK as sitk

    low, high = np.percentile(body, _CROP_PERCENT, axis=0)
    low = np.maximum(np.floor(low).astype(int) - _CROP_MARGIN, 0)
    high = np.minimum(np.ceil(high).astype(int) + 1 + _CROP_MARGIN, image.GetSize()[::-1])
    size, start = ([int(n) for n in part[::-1]] for part in (high - low, low))
    return sitk.RegionOfInterest(image, size, start)


def register(baseline: Any, followup: Any, rules: plans.Section | None = None) -> RigidTransform:
    """Find the rigid movement that lays a follow-up PET over the baseline PET.

    Correlation of the images is climbed by gradient from the best of several starts: the centres of the
    bodies over each other, and shifted along the body's length, as fields of view end elsewhere. All voxels
    are used and one thread, so that the same scans give the same bytes.

    Parameters
    ----------
    baseline, followup : PetImage or CoarseImage
        The two scans; `coarsen` makes one once for several pairs.
    rules : Section, optional
        Plan section ``pet`` (`register_*`, `body_suv_above`).

    Returns
    -------
    RigidTransform
        With its quality. It is that of the whole body: arms and neck may lie otherwise.

    Raises
    ------
    RegistrationRefused
        REGISTRATION_FAILED if the bodies overlap less than the plan asks, share too little, or had to be
        turned further than a patient lies.
    """
    rules = plans.defaults().pet if rules is None else rules
    fixed, moving = (
        one if isinstance(one, CoarseImage) else coarsen(one, rules) for one in (baseline, followup)
    )
    start = _best_start(fixed, moving, rules)
    transform = _climb(fixed, moving, start, rules)
    found = _as_rigid(transform, fixed, moving)
    _check(found.quality, rules)
    return found


def _method() -> Any:
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    return method


def _starts(fixed: CoarseImage, moving: CoarseImage, rules: plans.Section) -> Iterator[Any]:
    import SimpleITK as sitk

    for along in rules.register_starts_mm:
        start = sitk.Euler3DTransform()
        start.SetCenter(fixed.centre_mm.tolist())
        start.SetTranslation((moving.centre_mm - fixed.centre_mm + [0, 0, along]).tolist())
        yield start


def _best_start(fixed: CoarseImage, moving: CoarseImage, rules: plans.Section) -> Any:
    """Return the start at which the images go together best, looked at in voxels twice as large."""
    import SimpleITK as sitk

    coarse = [sitk.BinShrink(one.image, [2, 2, 2]) for one in (fixed, moving)]
    tried = []
    for start in _starts(fixed, moving, rules):
        method = _method()
        method.SetInitialTransform(start, inPlace=False)
        try:
            tried.append((method.MetricEvaluate(*coarse), len(tried), start))
        except RuntimeError:  # the two fields of view do not meet from here
            continue
    if not tried:
        raise RegistrationRefused(_SAID, "two scans cannot be laid over each other: they show no common part")
    return min(tried, key=lambda one: one[:2])[2]


def _climb(fixed: CoarseImage, moving: CoarseImage, start: Any, rules: plans.Section) -> Any:
    import SimpleITK as sitk

    method = _method()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0,
        minStep=rules.register_least_step,
        numberOfIterations=rules.register_iterations,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(start, inPlace=False)
    try:
        found = method.Execute(fixed.image, moving.image)
    except RuntimeError as error:
        raise RegistrationRefused(
            _SAID, "two scans cannot be laid over each other: the search left their common part"
        ) from error
    return sitk.Euler3DTransform(found.GetNthTransform(0) if hasattr(found, "GetNthTransform") else found)


def _as_rigid(transform: Any, fixed: CoarseImage, moving: CoarseImage) -> RigidTransform:
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    shift = np.array(transform.GetTranslation()) + centre - rotation @ centre
    rigid = RigidTransform(rotation, shift, {})
    angle = np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
    moved = np.linalg.norm(rigid.to_followup(fixed.centre_mm[None])[0] - fixed.centre_mm)
    quality = _overlap(fixed, moving, rigid)
    quality |= {"rotation_degrees": float(angle), "moved_mm": float(moved)}
    return RigidTransform(rotation, shift, quality)


def _overlap(fixed: CoarseImage, moving: CoarseImage, rigid: RigidTransform) -> dict[str, float]:
    """Compare the bodies on the fixed grid, where both scans look."""
    import SimpleITK as sitk

    here = sitk.GetArrayViewFromImage(fixed.image)
    index = np.argwhere(np.ones(here.shape, bool))
    there, seen = _sample(moving.image, rigid.to_followup(_to_mm(fixed.image, index)))
    mine, theirs = here.ravel()[seen], there[seen]
    bodies = [one > fixed.body_above for one in (mine, theirs)]
    shared = float(np.count_nonzero(bodies[0] & bodies[1]))
    inside = sum(int(np.count_nonzero(body)) for body in bodies)
    voxel_ml = [np.prod(one.image.GetSpacing()) for one in (fixed, moving)]
    smaller = min(len(fixed.body_mm) * voxel_ml[0], len(moving.body_mm) * voxel_ml[1])
    either = bodies[0] | bodies[1]
    alike = np.corrcoef(mine[either], theirs[either])[0, 1] if np.count_nonzero(either) > 1 else 0.0
    return {
        "correlation": float(np.nan_to_num(alike)),
        "overlap": 2 * shared / inside if inside else 0.0,
        "common": float(shared * voxel_ml[0] / smaller),
    }


def _check(quality: dict[str, float], rules: plans.Section) -> None:
    remedy = "say in lesion_map.csv which lesion is which"
    for name, least, words in (
        ("overlap", rules.register_overlap_min, "Dice of the two bodies"),
        ("common", rules.register_common_min, "share of the body that both scans show"),
        ("correlation", rules.register_correlation_min, "correlation of the two scans"),
    ):
        if quality[name] < least:
            found = f"of at least {least:g} expected after registration, found {quality[name]:.2f}"
            raise RegistrationRefused(_SAID, f"{words} {found}; {remedy}")
    turned, most = quality["rotation_degrees"], rules.register_rotation_degrees
    if turned > most:
        found = f"a rotation up to {most:g} degrees expected, found {turned:.0f}"
        raise RegistrationRefused(_SAID, f"{found}; {remedy}")


def _to_mm(image: Any, index: np.ndarray) -> np.ndarray:
    """Convert (slice, row, column) of a coarse image to mm."""
    directions = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return index[:, ::-1] @ directions.T + np.array(image.GetOrigin())


def _sample(image: Any, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of the nearest voxels at points, and which points lie in the image."""
    import SimpleITK as sitk

    values = sitk.GetArrayViewFromImage(image)
    directions = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    index = np.linalg.solve(directions, (points_mm - np.array(image.GetOrigin())).T).T[:, ::-1]
    index = np.rint(index).astype(int)
    seen = np.all((index >= 0) & (index < values.shape), axis=1)
    found = np.zeros(len(index), np.float32)
    found[seen] = values[tuple(index[seen].T)]
    return found, seen
