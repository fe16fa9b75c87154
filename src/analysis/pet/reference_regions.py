"""Reference regions (liver, blood pool) and what hangs on them: FDG-evaluable lesions and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet.codes import RoiRefused
from analysis.pet.region import Region

BASELINE = "D0"
LESION_KEY = ["USUBJID", "LESIONID"]
_EPSILON = 1e-9  # rounding of a centre in mm never decides whether a voxel on the border belongs


def compute_threshold(mean: float, sd: float, *, factor: float, sd_multiple: float) -> float:
    """Compute the uptake a measurable lesion reaches: ``factor * mean + sd_multiple * sd``.

    Parameters
    ----------
    mean, sd : float or array
        Mean and standard deviation (ddof 0) of the reference region, g/ml, on the scale of the lesion's
        value.
    factor, sd_multiple : float
        1.5 and 2 for liver, 2 and 2 for the aorta (Wahl 2009, as quoted in PERCIST 1.0).

    Returns
    -------
    float or array
        Threshold, g/ml. A lesion equal to it is measurable.

    Examples
    --------
    >>> compute_threshold(2.0, 0.25, factor=1.5, sd_multiple=2.0)
    3.5
    """
    return factor * mean + sd_multiple * sd


def percist_threshold(mean: float, sd: float, rules: plans.Section | None = None) -> float:
    """Compute PERCIST's threshold of a scan from its own liver: 1.5 x mean + 2 SD by the plan's default.

    Parameters
    ----------
    mean, sd : float
        Liver mean and standard deviation (ddof 0), g/ml; the threshold is on the same scale (SUV or SUL).
    rules : Section, optional
        Plan section ``pet`` (`evaluable_factor`, `evaluable_sd_multiple`).

    Returns
    -------
    float
        Threshold, g/ml; recomputed on every scan, never a constant.
    """
    rules = plans.defaults().pet if rules is None else rules
    return compute_threshold(
        mean, sd, factor=rules.evaluable_factor["LIVER"], sd_multiple=rules.evaluable_sd_multiple
    )


def derive_evaluable(
    adpet: pd.DataFrame, rules: plans.Section | None = None, *, metric: str = "SUVMAX"
) -> pd.DataFrame:
    """Derive which baseline lesions are FDG-evaluable, against the reference region on the metric's scale.

    Parameters
    ----------
    adpet : DataFrame
        Lesion and reference region rows; only baseline is read.
    rules : Section, optional
        Plan section ``pet`` (`evaluable_*`).
    metric : str
        Lesion metric; names beginning with SUL are held against SULMEAN and SULSD, others against SUVMEAN
        and SUVSD.

    Returns
    -------
    DataFrame
        USUBJID LESIONID EVALFL (Y/N) FLAGS: ``NO_REFERENCE_REGION`` where nothing could be compared (then
        Y), ``AORTA_REFERENCE`` where the aorta stood in for the liver, ``MEASURABILITY_AMBIGUOUS`` where
        PERCIST's text and table on the aorta's 2 SD disagree about the lesion. A subject with several regions
        of one role has none of it: which was meant is not to be guessed.
    """
    rules = plans.defaults().pet if rules is None else rules
    base = adpet[adpet["AVISIT"] == BASELINE]
    lesions = base[(base["ROLE"] == "LESION") & (base["METRIC"] == metric)][[*LESION_KEY, "AVAL"]]
    limits = _thresholds(base, rules, "SUL" if metric.startswith("SUL") else "SUV")
    found = lesions.merge(limits, on="USUBJID", how="left", validate="many_to_one")
    limit, value = found["LIMIT"].to_numpy(float), found["AVAL"].to_numpy(float)
    strict_enough = value >= limit - rules.evaluable_tolerance
    ambiguous = ~strict_enough & (value >= found["LOW"].to_numpy(float) - rules.evaluable_tolerance)
    found["EVALFL"] = np.where(np.isnan(limit) | strict_enough, "Y", "N")
    found["FLAGS"] = [
        ";".join(
            word
            for word, raised in zip(("NO_REFERENCE_REGION", "AORTA_REFERENCE", _AMBIGUOUS), row)
            if raised
        )
        for row in zip(np.isnan(limit), found["REGION"] == "AORTA", ambiguous)
    ]
    return found[[*LESION_KEY, "EVALFL", "FLAGS"]]


_AMBIGUOUS = "MEASURABILITY_AMBIGUOUS"


def _thresholds(base: pd.DataFrame, rules: plans.Section, scale: str) -> pd.DataFrame:
    """Tabulate USUBJID REGION LIMIT LOW for the first region of the plan's order with a mean and an SD."""
    regions = base[base["ROLE"].isin(rules.evaluable_reference)]
    repeated = regions[regions.duplicated(["USUBJID", "ROLE", "METRIC"])]
    keys = [pd.MultiIndex.from_frame(rows[["USUBJID", "ROLE"]]) for rows in (regions, repeated)]
    single = regions[~keys[0].isin(keys[1])]
    wide = single.pivot_table(index=["USUBJID", "ROLE"], columns="METRIC", values="AVAL")
    wide = wide.reindex(columns=[f"{scale}MEAN", f"{scale}SD"]).dropna().reset_index()
    wide.columns = ["USUBJID", "REGION", "MEAN", "SD"]
    wide["ORDER"] = wide["REGION"].map({name: rank for rank, name in enumerate(rules.evaluable_reference)})
    wide = wide.sort_values(["USUBJID", "ORDER"]).drop_duplicates("USUBJID")
    factor = wide["REGION"].map(rules.evaluable_factor).astype(float)
    wide["LIMIT"] = compute_threshold(
        wide["MEAN"], wide["SD"], factor=factor, sd_multiple=rules.evaluable_sd_multiple
    )
    # PERCIST 1.0's text and table disagree on "+ 2 SD" for the aorta; for the liver both print it.
    wide["LOW"] = np.where(wide["REGION"] == "AORTA", factor * wide["MEAN"], wide["LIMIT"])
    return wide[["USUBJID", "REGION", "LIMIT", "LOW"]]


def select_targets(lesions: pd.DataFrame, *, max_targets: int, max_per_organ: int) -> pd.Series:
    """Select each subject's targets: the hottest evaluable baseline lesions, few of one organ.

    Parameters
    ----------
    lesions : DataFrame
        One row a baseline lesion: USUBJID LESIONID ORGAN EVALFL AVAL (baseline SULpeak, g/ml). An organ that
        is missing is its own organ for each lesion, so it limits nothing.
    max_targets, max_per_organ : int
        5 and 2 in PERCIST and RECIST 1.1.

    Returns
    -------
    Series of bool
        Aligned with `lesions`. Ties are broken by lesion name, never by row order.
    """
    pool = lesions[(lesions["EVALFL"] == "Y") & lesions["AVAL"].notna()].copy()
    pool["ORGAN"] = pool["ORGAN"].where(pool["ORGAN"].notna(), "of " + pool["LESIONID"].astype(str))
    pool = pool.sort_values(["USUBJID", "AVAL", "LESIONID"], ascending=[True, False, True])
    pool = pool[pool.groupby(["USUBJID", "ORGAN"]).cumcount() < max_per_organ]
    pool = pool[pool.groupby("USUBJID").cumcount() < max_targets]
    return pd.Series(lesions.index.isin(pool.index), index=lesions.index)


def sphere_region(pet, centre_mm: Sequence[float], diameter_mm: float) -> Region:
    """Return the voxels whose centre lies in a sphere.

    Parameters
    ----------
    pet : PetImage
        The image.
    centre_mm : sequence of float
        Centre in patient coordinates (LPS), mm.
    diameter_mm : float
        Diameter, mm; 30 for PERCIST's liver.

    Returns
    -------
    Region
        Voxels on the border included.

    Raises
    ------
    RoiRefused
        ``REFERENCE_OUTSIDE_IMAGE`` if a part of the sphere lies beyond the image.
    """
    radius = diameter_mm / 2
    return _region_about(pet, centre_mm, (radius,) * 3, lambda d: (d**2).sum(axis=-1) <= radius**2 + _EPSILON)


def cylinder_region(pet, centre_mm: Sequence[float], diameter_mm: float, length_mm: float) -> Region:
    """Return the voxels whose centre lies in an upright cylinder (axis towards the head).

    Parameters
    ----------
    pet : PetImage
        The image.
    centre_mm : sequence of float
        Centre in patient coordinates (LPS), mm.
    diameter_mm, length_mm : float
        10 and 20 mm for PERCIST's descending aorta.

    Returns
    -------
    Region
        Voxels on the border included.

    Raises
    ------
    RoiRefused
        ``REFERENCE_OUTSIDE_IMAGE`` if a part of the cylinder lies beyond the image.
    """
    radius, half = diameter_mm / 2, length_mm / 2
    return _region_about(
        pet,
        centre_mm,
        (radius, radius, half),
        lambda d: (
            ((d[..., :2] ** 2).sum(axis=-1) <= radius**2 + _EPSILON) & (np.abs(d[..., 2]) <= half + _EPSILON)
        ),
    )


def _region_about(pet, centre_mm, half_mm, inside) -> Region:
    """Return the voxels of a small shape, given by a test of offsets (x, y, z) from its centre in mm."""
    centre, half = np.asarray(centre_mm, float), np.asarray(half_mm, float)
    corners = centre + half * np.array(list(product((-1, 1), repeat=3)))
    index = pet.grid.to_index(corners)
    low, high = np.floor(index.min(axis=0)).astype(int), np.ceil(index.max(axis=0)).astype(int) + 1
    shape = pet.values.shape
    # A voxel reaches half a step beyond its centre: a shape within it is still inside the image.
    if np.any(index < -0.5) or np.any(index > np.array(shape) - 0.5):
        raise RoiRefused(
            "REFERENCE_OUTSIDE_IMAGE", "a part of the reference region lies beyond the image; move it"
        )
    low, high = np.maximum(low, 0), np.minimum(high, shape)
    voxels = np.argwhere(np.ones(high - low, bool)) + low
    offsets = pet.grid.to_mm(voxels) - centre
    return Region.at(voxels[inside(offsets)], shape)


def check_region(name: str, values: Mapping[str, float], rules: plans.Section | None = None) -> list[str]:
    """Check a reference region for signs of lesion, vessel or edge, and of an SUV wrong by a large factor.

    Parameters
    ----------
    name : str
        LIVER or AORTA; part of the flag.
    values : mapping
        SUVMEAN SUVSD SUVMAX and, if known, SULMEAN of the region, g/ml.
    rules : Section, optional
        Plan section ``pet`` (`region_*`, `liver_sul_range`).

    Returns
    -------
    list of str
        ``<name>_CV_HIGH``, ``<name>_HOT_VOXEL``, ``LIVER_SUL_IMPLAUSIBLE``; empty if nothing is odd.
    """
    rules = plans.defaults().pet if rules is None else rules
    mean = values["SUVMEAN"]
    low, high = rules.liver_sul_range
    sul = values.get("SULMEAN", np.nan)
    raised = {
        f"{name}_CV_HIGH": values["SUVSD"] > rules.region_max_cv_percent / 100 * mean,
        f"{name}_HOT_VOXEL": values["SUVMAX"] > rules.region_max_to_mean * mean,
        "LIVER_SUL_IMPLAUSIBLE": name == "LIVER" and np.isfinite(sul) and not low <= sul <= high,
    }
    return [flag for flag, is_raised in raised.items() if is_raised]


def assign_role(
    name: str, mapped: Mapping[str, Mapping[str, Any]], roles: Mapping[str, str]
) -> tuple[str | None, str, str | None]:
    """Assign an ROI name its role, lesion name and organ.

    Parameters
    ----------
    name : str
        Name in the ROI object.
    mapped : mapping
        ROI name -> row of ``roi_map.csv`` of this subject (ROLE LESIONID ORGAN).
    roles : mapping
        The plan's ``pet.roi_roles``: ROI name -> role, for studies without a map.

    Returns
    -------
    tuple
        Role (lesion, liver, aorta, ignore; None if the name is unknown), lesion name, organ (None if
        unknown).

    Examples
    --------
    >>> assign_role("L2", {}, {})
    ('lesion', 'L2', None)
    """
    row = mapped.get(name)
    if row is not None:
        organ = row.get("ORGAN")
        lesion = row.get("LESIONID")
        return str(row["ROLE"]).strip().lower(), _text(lesion) or name, _text(organ)
    if name in roles:
        return roles[name], name, None
    if name.upper() in {"LIVER", "AORTA"}:
        return name.lower(), name.upper(), None
    if name[:1] == "L" and name[1:].isdigit():
        return "lesion", name, None
    return None, name, None


def _text(value: Any) -> str | None:
    return None if value is None or pd.isna(value) or str(value).strip() == "" else str(value)
