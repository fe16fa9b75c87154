"""EVALFL and TARGETFL of a table of measurements: as for images, on the scale the centre sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet.reference_regions import BASELINE, LESION_KEY, derive_evaluable, select_targets
from analysis.pet.study import derive_flags

UNKNOWN, NOT_MEASURED, ABOVE = "EVALUABILITY_UNKNOWN", "NOT_MEASURED", "MTV_ABOVE_VOLUME"


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
        EVALUABILITY_UNKNOWN; it is no target. An evaluable one without `response.target_metric` has no
        TARGETFL: whether it is a target cannot be known.
    """
    return _open_targets(_derive(adpet, plan), plan.response.target_metric)


def add_unmeasured(adpet: pd.DataFrame, lost: pd.DataFrame, study: str, plan: plans.Plan) -> pd.DataFrame:
    """Add one row a baseline lesion that was recorded and of which no value can be used.

    Parameters
    ----------
    adpet : DataFrame
        With flags.
    lost : DataFrame
        USUBJID AVISIT LESIONID DATE ORGAN.
    study : str
        STUDYID.
    plan : Plan
        `pet.measurements_evaluable`: the row has the first of them that the study uses, else SUVMAX.

    Returns
    -------
    DataFrame
        `adpet` sorted by its key; the added rows have no AVAL, EVALFL and TARGETFL, and the flag
        NOT_MEASURED.
    """
    if lost.empty:
        return adpet
    held = set(adpet.loc[adpet["ROLE"].eq("LESION"), "METRIC"])
    metric = next((name for name in plan.pet.measurements_evaluable if name in held), "SUVMAX")
    rows = lost.rename(columns={"DATE": "ADT"}).assign(
        STUDYID=study, METRIC=metric, ROLE="LESION", AVAL=np.nan, UNIT="g/ml", FLAGS=NOT_MEASURED,
        EVALFL=None, TARGETFL=None,
    )  # fmt: skip
    table = pd.concat([part for part in (adpet, rows[list(adpet)]) if len(part)], ignore_index=True)
    texts = ["ORGAN", "EVALFL", "TARGETFL", "FLAGS"]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), None)
    return table.sort_values(["USUBJID", "AVISIT", "LESIONID", "METRIC"], kind="stable", ignore_index=True)


def flag_volumes(adpet: pd.DataFrame) -> pd.DataFrame:
    """Flag the lesions of which a volume above a threshold exceeds the volume as drawn (MTV_ABOVE_VOLUME).

    Both may be right where the centre delineated them apart, so nothing is set aside.
    """
    lesions = adpet[adpet["ROLE"].eq("LESION")]
    key = ["USUBJID", "AVISIT", "LESIONID"]
    drawn = lesions[lesions["METRIC"].eq("VOLUME")].set_index(key)["AVAL"]
    volumes = lesions[lesions["METRIC"].str.startswith("MTV")]
    limit = drawn.reindex(pd.MultiIndex.from_frame(volumes[key])).to_numpy(float)
    above = pd.MultiIndex.from_frame(volumes.loc[volumes["AVAL"].to_numpy(float) > limit * (1 + 1e-9), key])
    hit = pd.MultiIndex.from_frame(adpet[key]).isin(above) & adpet["ROLE"].eq("LESION")
    flags = [_join(text, ABOVE) if is_hit else text for text, is_hit in zip(adpet["FLAGS"], hit)]
    return adpet.assign(FLAGS=pd.Series(flags, adpet.index, dtype=object))


def ask_targets(adpet: pd.DataFrame, plan: plans.Plan) -> list[dict[str, Any]]:
    """Ask for the metric by which targets are ranked, once for the study or for each patient that lacks it.

    Parameters
    ----------
    adpet : DataFrame
        With flags.
    plan : Plan
        `response.target_metric`.

    Returns
    -------
    list of dict
        Queries TARGET_METRIC_MISSING.
    """
    metric = plan.response.target_metric
    base = adpet[adpet["AVISIT"].eq(BASELINE) & adpet["EVALFL"].eq("Y")]
    lacking = sorted(set(base.loc[base["TARGETFL"].isna(), "USUBJID"]))
    nowhere = lacking and not (base["METRIC"].eq(metric) & base["AVAL"].notna()).any()
    return [
        {"CODE": "TARGET_METRIC_MISSING", "SEVERITY": "warning", "USUBJID": name, "DOMAIN": "TR",
         "RECORD": BASELINE, "MESSAGE": f"evaluable lesions without {metric}, so their targets are unknown",
         "ACTION": "send it, or name another metric in response.target_metric of the plan"}
        for name in ([None] if nowhere else lacking)
    ]  # fmt: skip


def _open_targets(adpet: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Empty TARGETFL of evaluable lesions that have no baseline value to be ranked by."""
    base = adpet[adpet["AVISIT"].eq(BASELINE) & adpet["METRIC"].eq(metric) & adpet["AVAL"].notna()]
    ranked = pd.MultiIndex.from_frame(adpet[LESION_KEY]).isin(pd.MultiIndex.from_frame(base[LESION_KEY]))
    unknown = adpet["EVALFL"].eq("Y") & ~ranked
    return adpet.assign(TARGETFL=adpet["TARGETFL"].astype(object).where(~unknown, None))


def _derive(adpet: pd.DataFrame, plan: plans.Plan) -> pd.DataFrame:
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
