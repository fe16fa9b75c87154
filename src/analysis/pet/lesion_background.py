"""What a lesion that is gone counts with: the uptake of the place where it was, never zero."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.pet.comparability import KEY, read_reference

PROPAGATED = "PROPAGATED"
_LESION = [*KEY, "LESIONID"]
_UPTAKE = ("MAX", "PEAK", "PEAK2", "PEAK3", "MEAN", "MED")
# Metrics that are an SUV times a factor of the scan, and the SUV.
_SCALED = {"SUVMAXG": "SUVMAX", "SUVPEAKG": "SUVPEAK", "TLRMAX": "SUVMAX", "TLRPEAK": "SUVPEAK"}


def impute_background(
    adpet: pd.DataFrame, pairs: pd.DataFrame, metric: str, order: list[str]
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
    order : list of str
        ``PROPAGATED``, ``AORTA``, ``LIVER``: the first that is known is taken.

    Returns
    -------
    tuple of Series
        Value on the metric's scale and its source (of `order`), on the index of `pairs`; missing if unknown.

    Notes
    -----
    Where only the SUV of a background is known, it is brought to the metric's scale by the factor of that
    scan: SULMEAN over SUVMEAN of any region, or the metric over its SUV in the lesions still there.
    """
    value = pd.Series(np.nan, index=pairs.index)
    source = pd.Series(None, index=pairs.index, dtype=object)
    prefix = metric[:3] if metric[3:] in _UPTAKE and metric[:3] in {"SUV", "SUL"} else None
    if prefix is None and metric not in _SCALED:
        return value, source
    factor = _scan_factor(adpet, metric, prefix)
    for name in order:
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


def _scan_factor(adpet: pd.DataFrame, metric: str, prefix: str | None) -> pd.Series:
    """By scan: what an SUV is multiplied by to be on the metric's scale."""
    over, under = ("SULMEAN", "SUVMEAN") if prefix else (metric, _SCALED[metric])
    values = adpet.set_index(_LESION)["AVAL"]
    above, below = (values[(adpet["METRIC"] == name).to_numpy()] for name in (over, under))
    return (above / below.where(below > 0)).groupby(KEY).median()
