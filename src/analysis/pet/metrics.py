"""Lesion metrics: SUVmax, SUVmean, SUVpeak, metabolic volume, total lesion glycolysis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import ndimage

from analysis import plan
from analysis.pet.codes import RoiRefused

_SUBSAMPLES = 9  # per axis and voxel, for the overlap of a voxel with the peak sphere


def measure(pet, mask: np.ndarray, *, rules=None) -> dict[str, Any]:
    """Measure one region of a PET image.

    SUV values are those of `pet` as normalised; nothing is interpolated.

    Parameters
    ----------
    pet : PetImage
        The image.
    mask : ndarray of bool, shape of ``pet.values``
        The region.
    rules : plan section, optional
        Section ``pet`` of the plan; the defaults without it.

    Returns
    -------
    dict
        ``suv_max, suv_mean, suv_sd`` (ddof 0), ``suv_peak`` (highest mean of a 1 cm3 sphere centred on a
        voxel of the region, voxel-centre rule), ``suv_peak_exact`` (voxels weighted by their overlap),
        ``suv_peak_at_max`` (centred on the maximum), ``mtv_ml, tlg_g`` of the region as given, ``mtv41_ml,
        tlg41_g, mtv50_ml, tlg50_g`` at a percentage of SUVmax, ``mtv25_ml, tlg25_g, mtv40_ml, tlg40_g`` at
        SUV 2.5 and 4.0, ``n_voxels``, ``max_index`` (slice, row, column), ``flags``. Volumes and peaks are
        NaN within one slice of missing slices (flag ``MISSING_SLICES``).

    Raises
    ------
    RoiRefused
        ``ROI_EMPTY``, ``ROI_OTHER_SHAPE``.
    """
    rules = plan.defaults().pet if rules is None else rules
    mask = np.asarray(mask, bool)
    if mask.shape != pet.values.shape:
        raise RoiRefused("ROI_OTHER_SHAPE", f"mask of shape {pet.values.shape} expected, found {mask.shape}")
    if not mask.any():
        raise RoiRefused("ROI_EMPTY", "the region has no voxel inside the image")
    box, values, region = _crop(pet.values, mask)
    inside = values[region].astype(np.float64)
    volume = np.broadcast_to(pet.slice_volumes_ml[box[0], None, None], region.shape)
    highest = _first_maximum(values, region)
    result: dict[str, Any] = {
        "suv_max": float(inside.max()),
        "suv_mean": float(inside.mean()),
        "suv_sd": float(inside.std()),
        **_peaks(pet, mask, box, rules),
        **_volume_and_glycolysis("", values, region, volume),
    }
    for name, part in _thresholded(values, region, highest, rules).items():
        result |= _volume_and_glycolysis(name, values, part, volume)
    at = tuple(int(index + edge.start) for index, edge in zip(highest, box, strict=True))
    result |= {"n_voxels": int(region.sum()), "max_index": at}
    return _with_flags(result, pet, region, box, highest, rules)


def peak_kernel(spacing_mm: np.ndarray, volume_ml: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """List the voxels of the peak sphere about a voxel's centre.

    Parameters
    ----------
    spacing_mm : ndarray, shape (3,)
        Voxel size in mm.
    volume_ml : float
        Volume of the sphere in ml.

    Returns
    -------
    (ndarray of int, shape (n, 3); ndarray, shape (n,))
        Offsets of all voxels the sphere touches, and the share of each inside it. Those whose centre lies
        within the radius (inclusive) are the voxel-centre rule's kernel: `centre_inside` tells them.
    """
    radius = peak_radius_mm(volume_ml)
    spacing = np.asarray(spacing_mm, float)
    reach = np.ceil(radius / spacing + 0.5).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
    within = (np.arange(_SUBSAMPLES) + 0.5) / _SUBSAMPLES - 0.5
    fine = np.stack(np.meshgrid(within, within, within, indexing="ij"), -1).reshape(-1, 3)
    share = np.array([np.mean(np.sum(((at + fine) * spacing) ** 2, axis=1) <= radius**2) for at in grid])
    touched = (share > 0) | centre_inside(grid, spacing, volume_ml)
    return grid[touched], share[touched]


def centre_inside(offsets: np.ndarray, spacing_mm: np.ndarray, volume_ml: float = 1.0) -> np.ndarray:
    """Tell which voxel offsets have their centre within the peak sphere, border included.

    Parameters
    ----------
    offsets : ndarray of int, shape (n, 3)
        Voxel offsets.
    spacing_mm : ndarray, shape (3,)
        Voxel size in mm.
    volume_ml : float
        Volume of the sphere in ml.

    Returns
    -------
    ndarray of bool, shape (n,)
        True inside or on the sphere.
    """
    distance = np.linalg.norm(offsets * np.asarray(spacing_mm, float), axis=1)
    return distance <= peak_radius_mm(volume_ml) * (1 + 1e-12)


def peak_radius_mm(volume_ml: float = 1.0) -> float:
    """Compute the radius in mm of a sphere of `volume_ml`.

    Parameters
    ----------
    volume_ml : float
        Volume in ml.

    Returns
    -------
    float
        Radius in mm.

    Examples
    --------
    >>> round(peak_radius_mm(1.0), 6)
    6.203505
    """
    return (3 * volume_ml * 1000 / (4 * math.pi)) ** (1 / 3)


def _crop(values: np.ndarray, mask: np.ndarray) -> tuple[tuple[slice, ...], np.ndarray, np.ndarray]:
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return box, values[box], mask[box]


def _first_maximum(values: np.ndarray, region: np.ndarray) -> tuple[int, ...]:
    return np.unravel_index(int(np.argmax(np.where(region, values, -np.inf))), values.shape)


def _volume_and_glycolysis(name: str, values, part, volume) -> dict[str, float]:
    ml = volume[part]
    return {f"mtv{name}_ml": float(ml.sum()), f"tlg{name}_g": float(values[part].astype(np.float64) @ ml)}


def _thresholded(values, region, highest, rules) -> dict[str, np.ndarray]:
    """Return the parts of a region above every threshold of the plan, by the label of their columns."""
    peak = float(values[highest])
    parts = {}
    for percent in rules.mtv_percents:
        above = region & (values >= values.dtype.type(peak * percent / 100))
        parts[f"{percent:g}"] = _connected(above, highest)
    for level in rules.mtv_fixed_suv:
        label = f"{level * 10:g}"
        if label in parts:
            raise ValueError(
                f"plan: thresholds {level:g} SUV and {label} % of SUVmax share the label {label}"
            )
        parts[label] = region & (values >= values.dtype.type(level))
    return parts


def _connected(above: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    labels, _ = ndimage.label(above, structure=np.ones((3, 3, 3)))
    return above & (labels == labels[seed])


def _peaks(pet, mask, box, rules) -> dict[str, Any]:
    """Return the peaks, by shifting the neighbourhood of the region along the kernel."""
    offsets, share = peak_kernel(pet.spacing_mm, rules.peak_volume_ml)
    centred = centre_inside(offsets, pet.spacing_mm, rules.peak_volume_ml).astype(float)
    values, known, candidates = _padded(pet.values, mask, box, np.abs(offsets).max(axis=0))
    flat = np.flatnonzero(candidates)
    steps = offsets @ (np.array(values.strides) // values.itemsize)
    values, known = values.ravel(), known.ravel()
    sums = np.zeros((4, len(flat)))
    for step, centre, overlap in zip(steps, centred, share, strict=True):
        near, present = values[flat + step], known[flat + step]
        sums += np.array([near * centre, present * centre, near * overlap, present * overlap])
    means, exact = sums[0] / sums[1], sums[2] / sums[3]
    best = int(np.argmax(means))
    hottest = (
        values[flat] == values[flat].max()
    )  # several voxels may share the maximum: the best of them (IBSI)
    return {
        "suv_peak": float(means[best]),
        "suv_peak_exact": float(exact.max()),
        "suv_peak_at_max": float(means[hottest].max()),
        "_peak_outside": bool(sums[1, best] < centred.sum()),
    }


def _padded(values, mask, box, reach) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut the region and its neighbourhood; voxels outside the image are 0 and not known."""
    low = [edge.start - n for edge, n in zip(box, reach, strict=True)]
    high = [edge.stop + n for edge, n in zip(box, reach, strict=True)]
    within = tuple(slice(max(a, 0), min(b, size)) for a, b, size in zip(low, high, values.shape, strict=True))
    target = tuple(slice(edge.start - a, edge.stop - a) for edge, a in zip(within, low, strict=True))
    shape = [b - a for a, b in zip(low, high, strict=True)]
    cut, known, candidates = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    cut[target], known[target], candidates[target] = values[within], 1.0, mask[within]
    return cut, known, candidates


def _with_flags(result, pet, region, box, highest, rules) -> dict[str, Any]:
    flags = []
    if result.pop("_peak_outside"):
        flags.append("PEAK_SPHERE_LEAVES_IMAGE")
    if abs(result["suv_peak_exact"] / result["suv_peak"] - 1) * 100 > rules.peak_variants_percent:
        flags.append("PEAK_VARIANTS_DIFFER")
    if result["mtv_ml"] < rules.small_lesion_ml:
        flags.append("LESION_SMALLER_THAN_PEAK_SPHERE")
    if not ndimage.binary_erosion(region, structure=np.ones((3, 3, 3)))[highest]:
        flags.append("MAX_ON_ROI_BORDER")
    if any(at in (0, size - 1) for at, size in zip(result["max_index"], pet.values.shape, strict=True)):
        flags.append("MAX_AT_IMAGE_EDGE")
    if pet.grid.next_to_gap[box[0]].any():
        flags.append("MISSING_SLICES")
        volumes = [name for name in result if name.startswith(("mtv", "tlg", "suv_peak"))]
        result |= dict.fromkeys(volumes, math.nan)
    return result | {"flags": flags}
