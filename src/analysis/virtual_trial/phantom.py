"""Simulate what an FDG-PET scanner shows of one patient: lesions in a body, scanner blur and noise, in SUVbw.

Uptake and scanner are values of the plan (section ``virtual``), lesion sites stand in ``anatomy.yaml``. One
promise is kept exactly: without noise, the largest voxel of a lesion's region shows the SUV asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from analysis.virtual_trial.anatomy import (
    Grid,
    anatomy,
    body_scale,
    draw_uptake,
    paint_body,
    reference_places,
    scan_grid,
    subject_rng,
)

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
HALF_DIAGONAL = 0.75  # of a unit square, rounded up: a disc of this radius holds a point of its lattice
OVERSAMPLING = 4  # sub-voxels per axis where a sphere is cut into voxels: volume right within 1 %


@dataclass(frozen=True)
class Lesion:
    """One lesion of one scan: a sphere at (x, y, z) mm, hottest in its middle; the image shows `suv_max`."""

    name: str
    organ: str
    centre_mm: tuple[float, float, float]
    diameter_mm: float
    suv_max: float


@dataclass(frozen=True)
class Phantom:
    """One simulated scan.

    Attributes
    ----------
    grid : Grid
        Where the voxels lie.
    values, clean : ndarray of float32
        SUVbw with and without noise (slices, rows, columns).
    rois : dict of str to (tuple of slice, ndarray of bool)
        Box and mask inside the box: one a lesion, and LIVER, AORTA.
    lesions : tuple of Lesion
        What was planted.
    noise_sd : dict of str to float
        Standard deviation of the noise at each lesion's hottest voxel, SUV.
    """

    grid: Grid
    values: np.ndarray
    clean: np.ndarray
    rois: dict[str, tuple[tuple[slice, ...], np.ndarray]]
    lesions: tuple[Lesion, ...]
    noise_sd: dict[str, float]


def place_lesions(subject: str, lesions: Sequence[Mapping[str, Any]], settings: Any) -> tuple[Lesion, ...]:
    """Give each lesion its place in the body, the same at every visit.

    A lesion's first choice depends on subject, organ and the number in its name alone; where that place is
    too narrow, or taken by a lesion of a lower number, it takes the next free one.

    Raises
    ------
    ValueError
        For an organ without sites, or more lesions in an organ than fit.
    """
    scale = body_scale(subject, settings)
    placed: list[Lesion] = []
    for row in sorted(lesions, key=lambda row: lesion_number(row["LESIONID"])):
        place = _free_site(subject, row, placed, scale, settings)
        placed.append(
            Lesion(row["LESIONID"], row["ORGAN"], place, float(row["DIAMETER_MM"]), float(row["SUVMAX"]))
        )
    return tuple(placed)


def lesion_number(name: str) -> int:
    """Return the number in a lesion's name (``L3`` -> 3)."""
    digits = name[1:]
    if not (name.startswith("L") and digits.isdigit()):
        raise ValueError(f"a lesion is named L and a number, found {name!r}")
    return int(digits)


def _free_site(subject, row, placed, scale, settings) -> tuple[float, float, float]:
    sites = anatomy()["sites"].get(row["ORGAN"])
    if not sites:
        raise ValueError(f"no lesion sites in organ {row['ORGAN']!r}; known: {sorted(anatomy()['sites'])}")
    order = subject_rng(subject, f"sites {row['ORGAN']}").permutation(len(sites))
    shift = subject_rng(subject, f"shift {row['LESIONID']}").uniform(-1, 1, 3) * settings.lesion_shift_mm
    first = lesion_number(row["LESIONID"]) - 1
    for step in range(len(sites)):
        site = sites[order[(first + step) % len(sites)]]
        centre = np.asarray(site["at"]) * scale + shift
        clear = all(
            np.linalg.norm(centre - other.centre_mm)
            >= (row["DIAMETER_MM"] + other.diameter_mm) / 2 + settings.lesion_gap_mm
            for other in placed
        )
        if clear and row["DIAMETER_MM"] <= site["max"]:
            return tuple(float(np.round(value, 3)) for value in centre)
    raise ValueError(
        f"no free site of {row['DIAMETER_MM']} mm in organ {row['ORGAN']!r} for {row['LESIONID']}"
    )


def sphere_occupancy(
    grid: Grid, centre_mm: Sequence[float], radius_mm: float, margin_mm: float = 0.0, rim_share: float = 1.0
) -> tuple[tuple[slice, ...], np.ndarray, np.ndarray]:
    """Cut a sphere into voxels.

    Returns
    -------
    box : tuple of slice
        Voxels round the sphere, wider than it by `margin_mm`.
    share : ndarray
        Share of each voxel of the box that lies inside the sphere.
    activity : ndarray
        The same, weighted with an activity that falls with the square of the distance, from 1 at the centre
        to `rim_share` at the rim.
    """
    centre = np.asarray(centre_mm, float)[::-1]
    reach = radius_mm + margin_mm + np.asarray(grid.spacing_mm)
    inside = grid.box(centre - reach, centre + reach)
    steps = (np.arange(OVERSAMPLING) + 0.5) / OVERSAMPLING - 0.5
    fine = [
        (axis[part][:, None] + d * steps).ravel() - c
        for axis, part, d, c in zip(grid.axes, inside, grid.spacing_mm, centre)
    ]
    reached = ((fine[0] ** 2)[:, None, None] + (fine[1] ** 2)[:, None] + fine[2] ** 2) / radius_mm**2
    ball = reached <= 1.0
    fill = ball * (1.0 - (1.0 - rim_share) * reached)
    split = [size for f in fine for size in (len(f) // OVERSAMPLING, OVERSAMPLING)]
    share, activity = (part.reshape(split).mean(axis=(1, 3, 5), dtype=np.float64) for part in (ball, fill))
    return inside, share, activity


def sphere_mask(grid: Grid, centre_mm: Sequence[float], radius_mm: float):
    """Return the box round a sphere and the voxels whose centre lies inside it."""
    centre = np.asarray(centre_mm, float)[::-1]
    inside = grid.box(centre - radius_mm, centre + radius_mm)
    z, y, x = (axis[part] - c for axis, part, c in zip(grid.axes, inside, centre))
    return inside, (z**2)[:, None, None] + (y**2)[:, None] + x**2 <= radius_mm**2


def cylinder_mask(
    grid: Grid, centre_mm: Sequence[float], radius_mm: float, length_mm: float
) -> tuple[tuple[slice, ...], np.ndarray]:
    """Return the box round an upright cylinder and the voxels whose centre lies inside it."""
    centre = np.asarray(centre_mm, float)[::-1]
    half = np.array([length_mm / 2, radius_mm, radius_mm])
    # A coarse grid may have no voxel centre inside: the one nearest to the axis always counts.
    half = np.maximum(half, 0.51 * np.asarray(grid.spacing_mm))
    inside = grid.box(centre - half, centre + half)
    z, y, x = (axis[part] - c for axis, part, c in zip(grid.axes, inside, centre))
    disc = (y[:, None] / half[1]) ** 2 + (x / half[2]) ** 2
    return inside, np.broadcast_to(disc <= max(1.0, disc.min()), (len(z), len(y), len(x))).copy()


def region_masks(
    grid: Grid, lesions: Sequence[Lesion], scale: np.ndarray, settings: Any, seen_on: Grid | None = None
) -> dict[str, Any]:
    """Outline what the reader would: each lesion with a margin that holds its hottest voxel, liver, aorta.

    Parameters
    ----------
    grid : Grid
        Where the reader draws.
    lesions : sequence of Lesion
    scale : ndarray
        `anatomy.body_scale` of the subject.
    settings : section ``virtual`` of the plan
    seen_on : Grid, optional
        The PET the reader looks at while drawing on `grid`, a CT: it sets the margin, and how wide the
        aorta's cylinder must be to hold the centre of a voxel of it. The default is `grid`.

    Returns
    -------
    dict of str to (box, mask)
    """
    pet = grid if seen_on is None else seen_on
    margin = settings.roi_margin_voxels * pet.voxel_mm
    rois = {one.name: sphere_mask(grid, one.centre_mm, one.diameter_mm / 2 + margin) for one in lesions}
    places = reference_places(scale)
    width, length = settings.aorta_roi_mm
    rois["LIVER"] = sphere_mask(grid, places["liver"], settings.liver_roi_mm / 2)
    radius = width / 2 if pet is grid else max(width / 2, HALF_DIAGONAL * max(pet.spacing_mm[1:]))
    rois["AORTA"] = cylinder_mask(grid, places["aorta"], radius, length)
    return rois


def _sigma_voxels(grid: Grid, fwhm_mm: float) -> list[float]:
    return [fwhm_mm / FWHM_PER_SIGMA / d for d in grid.spacing_mm]


def add_lesions(
    body: np.ndarray, grid: Grid, lesions: Sequence[Lesion], rois: Mapping[str, Any], settings: Any
) -> np.ndarray:
    """Blur body and lesions as the scanner does, each lesion's activity solved so that it shows its SUVmax.

    The sphere takes the place of the tissue in it. Blurring is linear, so the image is the blurred body plus
    activity times the blurred unit sphere; the activity follows from the hottest voxel of the lesion's region
    and is refined until no voxel of the region is hotter. A requested value below the surrounding tissue
    cannot be shown: the activity is then 0 and the region shows its surroundings.

    Parameters
    ----------
    body : ndarray
        SUV of the body without lesions, before blur; lesion volumes are emptied in place.
    grid, lesions, rois, settings
        As elsewhere in this module.

    Returns
    -------
    ndarray of float32
        Noise-free image, SUVbw.
    """
    sigma = _sigma_voxels(grid, settings.scanner_fwhm_mm)
    spheres = {}
    for one in lesions:
        box, share, unit = sphere_occupancy(
            grid, one.centre_mm, one.diameter_mm / 2, 2 * settings.scanner_fwhm_mm, settings.lesion_rim_share
        )
        body[box] *= (1.0 - share).astype(np.float32)
        spheres[one.name] = (box, gaussian_filter(unit, sigma, mode="constant"))
    image = gaussian_filter(body, sigma, mode="nearest")
    activity = dict.fromkeys(spheres, 0.0)
    for _ in range(settings.solver_sweeps):
        for one in lesions:
            wanted = _activity_step(image, rois[one.name], spheres[one.name], one.suv_max)
            change = max(wanted, -activity[one.name])
            activity[one.name] += change
            box, unit = spheres[one.name]
            image[box] += (change * unit).astype(np.float32)
    return image


def _activity_step(image, roi, sphere, target: float) -> float:
    """Return the change of activity that brings the hottest voxel of the region to `target`."""
    (box, mask), (sphere_box, unit) = roi, sphere
    response = np.zeros(mask.shape)
    shared = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, sphere_box))
    response[:] = unit[shared]
    local = np.where(mask, image[box], -np.inf)
    # Where the sphere is still empty its centre is the coldest place: start from where it will be hottest.
    start = response * mask
    voxel = np.unravel_index(np.argmax(np.where(start > 0.5 * start.max(), local, -np.inf)), local.shape)
    return float((target - local[voxel]) / response[voxel])


def add_noise(clean: np.ndarray, grid: Grid, rng: np.random.Generator, settings: Any) -> np.ndarray:
    """Add noise whose variance grows with the signal, correlated over `noise_fwhm_mm`; never below zero."""
    sigma = _sigma_voxels(grid, settings.noise_fwhm_mm)
    grain = gaussian_filter(rng.standard_normal(clean.shape, dtype=np.float32), sigma, mode="wrap")
    grain *= noise_sd(clean, settings) / np.float32(_correlated_sd(sigma))
    grain += clean
    return np.maximum(grain, 0.0, out=grain)


def noise_sd(suv: np.ndarray, settings: Any) -> np.ndarray:
    """Return the standard deviation of the noise at a given SUV: ``cv * sqrt(reference * (SUV + floor))``."""
    variance = settings.noise_reference_suv * (np.maximum(suv, 0) + settings.noise_floor_suv)
    return np.sqrt(variance) * np.float32(settings.noise_cv)


def _correlated_sd(sigma: Sequence[float]) -> float:
    """Return the standard deviation that unit white noise keeps after the smoothing filter."""
    kept = 1.0
    for one in sigma:
        reach = int(4 * one + 0.5)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / one) ** 2)
        kernel /= kernel.sum()
        kept *= np.sqrt(np.sum(kernel**2))
    return float(kept)


def simulate_scan(spec: Mapping[str, Any], rng: np.random.Generator, settings: Any) -> Phantom:
    """Simulate one FDG-PET scan of one patient.

    Parameters
    ----------
    spec : mapping
        USUBJID, VENDOR, WEIGHT_KG, HEIGHT_M, LIVER_SUV, BLOOD_SUV, PNEUMONITIS, and ``lesions``: a list of
        mappings with LESIONID, ORGAN, DIAMETER_MM (metabolic diameter) and SUVMAX (what the image must show).
    rng : numpy.random.Generator
        Physiology and noise of this scan; lesion places do not depend on it.
    settings : section ``virtual`` of the plan

    Returns
    -------
    Phantom
    """
    grid = scan_grid(spec["VENDOR"], settings)
    shown = [row for row in spec["lesions"] if np.isfinite(row["SUVMAX"])]
    lesions = place_lesions(spec["USUBJID"], shown, settings)
    scale = body_scale(spec["USUBJID"], settings)
    rois = region_masks(grid, lesions, scale, settings)
    body = paint_body(grid, spec, draw_uptake(spec, rng, settings), settings)
    clean = add_lesions(body, grid, lesions, rois, settings)
    values = add_noise(clean, grid, rng, settings)
    peak_sd = {one.name: float(noise_sd(hottest(clean, rois[one.name]), settings)) for one in lesions}
    return Phantom(grid, values, clean, rois, lesions, peak_sd)


def hottest(image: np.ndarray, roi: tuple[tuple[slice, ...], np.ndarray]) -> float:
    """Return the largest value of `image` inside a region given as box and mask."""
    box, mask = roi
    return float(image[box][mask].max())
