"""Lesion metrics: SUVmax, SUVmean, SUVpeak, metabolic volume, total lesion glycolysis, whole-body totals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from analysis import plan
from analysis.pet.codes import RoiRefused
from analysis.pet.peak import compute_peaks, peak_kernel
from analysis.pet.region import Region

PERCIST_LABEL = "p"
_TOUCHING = np.ones((3, 3, 3), bool)  # 26 neighbours


@dataclass(frozen=True, eq=False)
class Voxels:
    """Voxels of one measured region, for totals over several.

    Attributes
    ----------
    index : ndarray of int, shape (n,)
        Position in the flattened image.
    values : ndarray, shape (n,)
        SUV.
    volumes_ml : ndarray, shape (n,)
        Volume; NaN beside missing slices.
    labels : tuple of str
        Labels of the thresholds; the empty one is the region as given.
    above : ndarray of bool, shape (len(labels), n)
        Voxels that count under each.
    """

    index: np.ndarray
    values: np.ndarray
    volumes_ml: np.ndarray
    labels: tuple[str, ...]
    above: np.ndarray


def measure(
    pet, mask: np.ndarray | Region, *, rules=None, percist_threshold: float | None = None
) -> dict[str, Any]:
    """Measure one region of a PET image.

    SUV values are those of `pet` as normalised; nothing is interpolated. Only the region's surroundings are
    touched, so a `Region` costs what its box holds.

    Parameters
    ----------
    pet : PetImage
        The image.
    mask : Region, or ndarray of bool of the shape of ``pet.values``
        The region.
    rules : plan section, optional
        Section ``pet`` of the plan; the defaults without it.
    percist_threshold : float, optional
        PERCIST's threshold from this scan's own liver, on the scale of ``pet.values``.

    Returns
    -------
    dict
        ``suv_max, suv_mean, suv_median, suv_sd`` (ddof 0), ``suv_peak`` (P1: highest mean of a 1 cm3 sphere
        centred on a voxel of the region, voxel-centre rule), ``suv_peak_exact`` (P2: voxels weighted by their
        overlap), ``suv_peak_at_max`` (P3: centred on the maximum), ``mtv_ml, tlg_g`` of the region as given,
        ``mtv41_ml, tlg41_g, mtv50_ml, tlg50_g`` at a percentage of SUVmax, ``mtv25_ml, tlg25_g, mtv40_ml,
        tlg40_g`` at SUV 2.5 and 4.0, ``mtvp_ml, tlgp_g`` at `percist_threshold` where given, ``n_voxels``,
        ``max_index`` (slice, row, column; the first of several hottest), ``flags``. Volumes and peaks are NaN
        within one slice of missing slices (flag ``MISSING_SLICES``).

    Raises
    ------
    RoiRefused
        ``ROI_EMPTY``, ``ROI_OTHER_SHAPE``, ``ROI_NOT_FINITE``.
    """
    return measure_voxels(pet, mask, rules=rules, percist_threshold=percist_threshold)[0]


def measure_voxels(
    pet, mask: np.ndarray | Region, *, rules=None, percist_threshold: float | None = None
) -> tuple[dict[str, Any], Voxels]:
    """Measure one region and return the voxels behind its volumes as well.

    Parameters
    ----------
    pet, mask, rules, percist_threshold
        As in `measure`.

    Returns
    -------
    (dict, Voxels)
        What `measure` returns, and the voxels for `compute_totals`.

    Raises
    ------
    RoiRefused
        As in `measure`.
    """
    rules = plan.defaults().pet if rules is None else rules
    region = _checked(pet, mask)
    cut = pet.values[region.box]
    raw = cut[region.mask]
    inside, uptake = _uptake(raw)
    hottest = raw == raw[inside.argmax()]
    above = _thresholded(cut, region.mask, raw, hottest, rules, percist_threshold)
    found = Voxels(*_positions(pet, region, inside), tuple(above), np.array(list(above.values())))
    peaks = compute_peaks(pet.values, region, hottest, pet.spacing_mm, rules.peak_volume_ml)
    result: dict[str, Any] = {
        **uptake,
        "suv_peak": peaks.centres,
        "suv_peak_exact": peaks.exact,
        "suv_peak_at_max": peaks.at_max,
    }
    result |= _volumes(found.labels, found.above, inside, found.volumes_ml)
    flat = int(found.index[int(hottest.argmax())])
    at = tuple(int(step) for step in np.unravel_index(flat, pet.values.shape))
    result |= {"n_voxels": len(inside), "max_index": at}
    flags = _flags(result, pet, region, peaks.leaves_image, int(hottest.sum()), rules)
    return _withhold(result, found, pet, region, flags, rules)


def measure_reference(pet, region: np.ndarray | Region) -> dict[str, Any]:
    """Measure a reference region: what has no threshold and no peak.

    Parameters
    ----------
    pet : PetImage
        The image.
    region : Region, or ndarray of bool of the shape of ``pet.values``
        Liver or aorta.

    Returns
    -------
    dict
        ``suv_max, suv_mean, suv_median, suv_sd`` (ddof 0), ``mtv_ml`` (NaN beside missing slices), ``flags``.

    Raises
    ------
    RoiRefused
        As in `measure`.
    """
    region = _checked(pet, region)
    inside, uptake = _uptake(pet.values[region.box][region.mask])
    beside = bool(pet.grid.next_to_gap[region.box[0]].any())
    volume_ml = math.nan if beside else float(_positions(pet, region, inside)[2].sum())
    return {**uptake, "mtv_ml": volume_ml, "flags": ["MISSING_SLICES"] if beside else []}


def compute_totals(parts: Sequence[Voxels]) -> tuple[dict[str, float], bool]:
    """Compute metabolic volume and glycolysis over several regions, each voxel once.

    Parameters
    ----------
    parts : sequence of Voxels
        Regions of one image, measured with the same thresholds; none gives no totals.

    Returns
    -------
    (dict, bool)
        ``mtv<label>_ml`` and ``tlg<label>_g`` as in `measure`, of the union at each threshold; and whether
        regions share voxels. NaN where one region's volume was withheld.
    """
    if not parts:
        return {}, False
    index, values, volumes = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("index", "values", "volumes_ml")
    )
    shared = len(np.unique(index)) < len(index)
    above = np.concatenate([part.above for part in parts], axis=1)
    if shared:
        order = np.argsort(index, kind="stable")
        first = np.flatnonzero(np.diff(index[order], prepend=-1))
        above = np.logical_or.reduceat(above[:, order], first, axis=1)
        values, volumes = values[order][first], volumes[order][first]
    return _volumes(parts[0].labels, above, values, volumes), shared


def _volumes(labels, above, values, volumes_ml) -> dict[str, float]:
    """Return volume and glycolysis under every threshold."""
    # One order of summation for every threshold: the same voxels give the same bits, fewer never give more.
    each = (volumes_ml, values * volumes_ml)
    millilitres, grams = (np.where(above, one, 0.0).sum(axis=1) for one in each)
    named = {f"mtv{label}_ml": float(ml) for label, ml in zip(labels, millilitres, strict=True)}
    return named | {f"tlg{label}_g": float(g) for label, g in zip(labels, grams, strict=True)}


def _checked(pet, mask: np.ndarray | Region) -> Region:
    region = mask if isinstance(mask, Region) else None
    shape = region.shape if region else np.shape(mask)
    if tuple(shape) != pet.values.shape:
        raise RoiRefused(
            "ROI_OTHER_SHAPE", f"mask of shape {pet.values.shape} expected, found {tuple(shape)}"
        )
    region = region or Region.of(np.asarray(mask, bool))
    if not region.mask.any():
        raise RoiRefused("ROI_EMPTY", "the region has no voxel inside the image")
    return region


def _uptake(raw: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Return the values of a region in float64, with maximum, mean, median and SD."""
    inside = raw.astype(np.float64)
    ordered = np.sort(inside)
    if not math.isfinite(ordered[-1] - ordered[0]):
        raise RoiRefused("ROI_NOT_FINITE", "the region holds voxels without a value; redraw it")
    middle, mean = len(ordered) // 2, float(inside.mean())
    return inside, {
        "suv_max": float(ordered[-1]),
        "suv_mean": mean,
        "suv_median": float(ordered[middle] + ordered[-1 - middle]) / 2,
        "suv_sd": math.sqrt(float(((inside - mean) ** 2).mean())),
    }


def _positions(pet, region: Region, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return position, SUV and volume of every voxel of the region."""
    z, y, x = np.nonzero(region.mask)
    first, row, column = (edge.start for edge in region.box)
    z += first
    _, rows, columns = pet.values.shape
    return (z * rows + y + row) * columns + x + column, inside, pet.slice_volumes_ml[z]


def _thresholded(cut, mask, raw, hottest, rules, percist_threshold) -> dict[str, np.ndarray]:
    """Return the voxels of a region above every threshold of the plan, by the label of their columns."""
    peak = float(raw[int(hottest.argmax())])
    above = {"": np.ones(len(raw), bool)}
    for percent in rules.mtv_percents:
        above[f"{percent:g}"] = _connected(cut, mask, raw, hottest, raw.dtype.type(peak * percent / 100))
    fixed = {f"{level * 10:g}": level for level in rules.mtv_fixed_suv}
    for label, level in fixed.items():
        if label in above:
            raise ValueError(
                f"plan: thresholds {level:g} SUV and {label} % of SUVmax share the label {label}"
            )
    if percist_threshold is not None:
        fixed[PERCIST_LABEL] = percist_threshold
    return above | {label: raw >= raw.dtype.type(level) for label, level in fixed.items()}


def _connected(cut, mask, raw, hottest, threshold) -> np.ndarray:
    """Return the voxels at `threshold` or more that hang together with a hottest voxel inside the region."""
    labels, n = ndimage.label(mask & (cut >= threshold), structure=_TOUCHING)
    if n == 1:
        return raw >= threshold
    named = labels[mask]
    seeds = named[hottest]
    # Several voxels may share the maximum: each grows, so that no order of the axes decides.
    return named == seeds[0] if len(seeds) == 1 else np.isin(named, seeds)


def _flags(result, pet, region: Region, leaves_image: bool, n_hottest: int, rules) -> list[str]:
    at, shape = result["max_index"], pet.values.shape
    raised = {
        "PEAK_SPHERE_LEAVES_IMAGE": leaves_image,
        "PEAK_VARIANTS_DIFFER": _differ(
            result["suv_peak_exact"], result["suv_peak"], rules.peak_variants_percent
        ),
        "LESION_SMALLER_THAN_PEAK_SPHERE": result["mtv_ml"] < rules.small_lesion_ml,
        "MAX_TIED": n_hottest > 1,
        "MAX_ON_ROI_BORDER": _on_border(region, at),
        "MAX_AT_IMAGE_EDGE": any(step in (0, size - 1) for step, size in zip(at, shape, strict=True)),
    }
    flags = [name for name, is_raised in raised.items() if is_raised]
    percent = min(rules.mtv_percents, default=None)
    if percent is not None and _leaks(pet, region, result, percent, rules):
        flags.append(f"MTV{percent:g}_LEAKS")
    return flags


def _differ(value: float, reference: float, percent: float) -> bool:
    return abs(value - reference) * 100 > percent * abs(reference)


def _on_border(region: Region, at: tuple[int, ...]) -> bool:
    """Tell whether one of the 26 neighbours of voxel `at` is outside the region."""
    local = [step - edge.start for step, edge in zip(at, region.box, strict=True)]
    around = region.mask[tuple(slice(max(step - 1, 0), step + 2) for step in local)]
    return around.size < _TOUCHING.size or not around.all()


def _leaks(pet, region: Region, result, percent: float, rules) -> bool:
    """Tell whether growing from the maximum, not held back by the ROI, exceeds a multiple of the ROI.

    The box widens only while the growth reaches its faces, and no further than it takes to decide.
    """
    threshold = pet.values.dtype.type(result["suv_max"] * percent / 100)
    limit_ml, at, margin = rules.leak_factor * result["mtv_ml"], result["max_index"], 1
    while True:
        wide = _widened(region.box, margin, pet.values.shape)
        above = pet.values[wide] >= threshold
        own = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(region.box, wide, strict=True))
        beyond = np.count_nonzero(above) - np.count_nonzero(above[own] & region.mask)
        if not beyond:
            return False
        labels, _ = ndimage.label(above, structure=_TOUCHING)
        grown = labels == labels[tuple(step - edge.start for step, edge in zip(at, wide, strict=True))]
        if float(grown.sum(axis=(1, 2)) @ pet.slice_volumes_ml[wide[0]]) > limit_ml:
            return True
        if not _reaches_face(grown, wide, pet.values.shape):
            return False
        margin *= 2


def _widened(box, margin: int, shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(max(edge.start - margin, 0), min(edge.stop + margin, size))
        for edge, size in zip(box, shape, strict=True)
    )


def _reaches_face(grown: np.ndarray, box, shape: tuple[int, ...]) -> bool:
    """Tell whether `grown` touches a face of the box that is not a face of the image."""
    for axis, (edge, size) in enumerate(zip(box, shape, strict=True)):
        faces = np.moveaxis(grown, axis, 0)
        if (edge.start > 0 and faces[0].any()) or (edge.stop < size and faces[-1].any()):
            return True
    return False


def _withhold(result, found: Voxels, pet, region: Region, flags, rules) -> tuple[dict[str, Any], Voxels]:
    """Withhold volumes beside missing slices, and peaks whose sphere would reach across them."""
    beside = pet.grid.next_to_gap
    if beside.any():
        slices = region.box[0]
        reach = int(peak_kernel(pet.spacing_mm, rules.peak_volume_ml).reach[0])
        near = beside[slices].any()
        across = near or beside[max(slices.start - reach, 0) : slices.stop + reach].sum() > 1
        kinds = ("mtv", "tlg", "suv_peak") if near else ("suv_peak",) if across else ()
        result |= {name: math.nan for name in result if kinds and name.startswith(kinds)}
        flags = [*flags, "MISSING_SLICES"] if across else flags
        if near:
            found = replace(found, volumes_ml=np.full(len(found.index), math.nan))
    return result | {"flags": flags}, found
