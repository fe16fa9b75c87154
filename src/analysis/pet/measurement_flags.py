"""EVALFL and TARGETFL of a table of measurements: as for images, on the scale the centre sent."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet.reference_regions import BASELINE, LESION_KEY, derive_evaluable, select_targets
from analysis.pet.study import derive_flags

UNKNOWN = "EVALUABILITY_UNKNOWN"


def derive_all_flags(adpet: pd.DataFrame, plan: plans.Plan) -> pd.DataFrame:
    """Derive EVALFL and TARGETFL; a lesion without SUVMAX is held against its region on another scale.

    Parameters
    ----------
    adpet : DataFrame
        Lesion, region and total rows.
    plan : Plan
        Sections ``pet`` (`measurements_evaluable`, `evaluable_*`) and ``response`` (targets).

    Returns
    -------
    DataFrame
        `adpet` sorted by its key. A baseline lesion with none of the metrics has no EVALFL and the flag
        EVALUABILITY_UNKNOWN; it is no target.
    """
    flagged = derive_flags(adpet, plan)
    base = flagged[flagged["AVISIT"].eq(BASELINE) & flagged["ROLE"].eq("LESION")]
    lesions = base.drop_duplicates(LESION_KEY)[[*LESION_KEY, "ORGAN", "EVALFL"]].set_index(LESION_KEY)
    open_case = lesions["EVALFL"].isna()
    if not open_case.any():
        return flagged
    why = pd.Series("", index=lesions.index, dtype=object)
    for metric in plan.pet.measurements_evaluable:
        found = derive_evaluable(adpet, plan.pet, metric=metric).set_index(LESION_KEY).reindex(lesions.index)
        fill = lesions["EVALFL"].isna() & found["EVALFL"].notna()
        lesions.loc[fill, "EVALFL"], why[fill] = found.loc[fill, "EVALFL"], found.loc[fill, "FLAGS"]
    why = why.mask(lesions["EVALFL"].isna(), UNKNOWN).where(open_case, "")
    ranks = base[base["METRIC"].eq(plan.response.target_metric)].set_index(LESION_KEY)["AVAL"]
    pool = lesions.assign(AVAL=ranks.reindex(lesions.index)).reset_index()
    targets = select_targets(
        pool, max_targets=plan.response.max_targets, max_per_organ=plan.response.max_targets_per_organ
    )
    lesions["TARGETFL"] = np.where(targets, "Y", "N")
    return _put(flagged, lesions, why)


def _put(adpet: pd.DataFrame, lesions: pd.DataFrame, why: pd.Series) -> pd.DataFrame:
    """Return `adpet` with the flags of `lesions` on all their rows."""
    key = pd.MultiIndex.from_frame(adpet[LESION_KEY])
    known = key.isin(lesions.index)
    out = adpet.copy()
    for name in ("EVALFL", "TARGETFL"):
        values = pd.Series(lesions[name].reindex(key).to_numpy(object), adpet.index, dtype=object)
        out[name] = values.where(known & values.notna(), None)
    extra = why.reindex(key).fillna("").to_numpy(object)
    out["FLAGS"] = [_join(flags, more) for flags, more in zip(out["FLAGS"], extra)]
    return out


def _join(*texts: str | None) -> str | None:
    words = [word for text in texts if isinstance(text, str) for word in text.split(";") if word]
    return ";".join(dict.fromkeys(words)) or None
