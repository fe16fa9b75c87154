"""What a lesion that is gone counts with: the uptake of the place where it was, never zero."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet.comparability import KEY, read_reference

PROPAGATED = "PROPAGATED"
_LESION = [*KEY, "LESIONID"]
_UPTAKE = ("MAX", "PEAK", "PEAK2", "PEAK3", "MEAN", "MED")


def impute_background(
    adpet: pd.DataFrame,
    pairs: pd.DataFrame,
    metric: str,
    plan: plans.Plan,
    *,
    scans: pd.DataFrame | None = None,
) -> tuple[pd.Series, pd.Series]:
    """Find what stands for the uptake of each lesion, were it gone.

    Parameters
    ----------
    adpet : DataFrame
        Measurements: SUVBKG (and SULBKG) of a lesion, the mean where it was; means of reference regions.
    pairs : DataFrame
        One row a lesion and follow-up visit: USUBJID AVISIT LESIONID.
    metric : str
        Scale the value is needed on. A metric that is no uptake (a volume) has no background.
    plan : Plan
        `response.resolved_background` (``PROPAGATED``, ``AORTA``, ``LIVER``: the first that is known is
        taken) and `pet.corrected_*`.
    scans : DataFrame, optional
        ``scan_qc``: the glucose of each scan.

    Returns
    -------
    tuple of Series
        Value on the metric's scale and its source, on the index of `pairs`; missing if unknown.

    Notes
    -----
    Where only the SUV of a background is known, it is brought to the metric's scale by the factor of that
    scan: SULMEAN over SUVMEAN of any region; for a corrected metric, what the scan is corrected for (glucose,
    liver), or else the metric over its SUV in the lesions still there.
    """
    value = pd.Series(np.nan, index=pairs.index)
    source = pd.Series(None, index=pairs.index, dtype=object)
    prefix = metric[:3] if metric[3:] in _UPTAKE and metric[:3] in {"SUV", "SUL"} else None
    if prefix is None and metric not in plan.pet.corrected_metrics:
        return value, source
    if prefix:
        factor = _ratio(adpet, "SULMEAN", "SUVMEAN")
    else:
        factor = _correction(adpet, scans, metric, plan.pet)
    for name in plan.response.resolved_background:
        found = _read(adpet, name, prefix or "SUV", pairs)
        if prefix != "SUV":
            scaled = _read(adpet, name, "SUV", pairs) * _at(factor, pairs, KEY)
            found = np.where(np.isfinite(found), found, scaled) if prefix else scaled
        taken = value.isna() & np.isfinite(found)
        value, source = value.mask(taken, pd.Series(found, index=pairs.index)), source.mask(taken, name)
    return value, source


def _read(adpet: pd.DataFrame, name: str, prefix: str, pairs: pd.DataFrame) -> np.ndarray:
    if name != PROPAGATED:
        return _at(read_reference(adpet, name, f"{prefix}MEAN"), pairs, KEY)
    rows = adpet[adpet["METRIC"] == f"{prefix}BKG"]
    return _at(rows.set_index(_LESION)["AVAL"], pairs, _LESION)


def _at(values: pd.Series, pairs: pd.DataFrame, key: list[str]) -> np.ndarray:
    return values.reindex(pd.MultiIndex.from_frame(pairs[key])).to_numpy(float)


def _correction(
    adpet: pd.DataFrame, scans: pd.DataFrame | None, metric: str, rules: plans.Section
) -> pd.Series:
    """By scan: what an SUV is multiplied by to be corrected; a patient without any lesion left has it too."""
    plain, by = rules.corrected_metrics[metric]
    if by == "liver":
        liver = read_reference(adpet, "LIVER", "SUVMEAN")
        own = 1 / liver.where(liver > 0)
    else:
        own = _glucose(scans) / rules.corrected_glucose_reference
    return own.combine_first(_ratio(adpet, metric, plain))


def _glucose(scans: pd.DataFrame | None) -> pd.Series:
    """By scan: glucose of the one measured series of a visit, mmol/l."""
    if scans is None or "GLUCOSE" not in scans:
        return pd.Series(dtype=float, index=pd.MultiIndex.from_arrays([[], []], names=KEY))
    rows = scans[scans["STATUS"].eq("OK") & scans[KEY].notna().all(axis=1)]
    return rows.drop_duplicates(KEY, keep=False).set_index(KEY)["GLUCOSE"].astype(float)


def _ratio(adpet: pd.DataFrame, over: str, under: str) -> pd.Series:
    """By scan: one metric over another, the median of the regions and lesions that have both."""
    values = adpet.set_index(_LESION)["AVAL"]
    above, below = (values[(adpet["METRIC"] == name).to_numpy()] for name in (over, under))
    return (above / below.where(below > 0)).groupby(KEY).median()
