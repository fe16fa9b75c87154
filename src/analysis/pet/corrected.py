"""Corrected uptake for sensitivity analyses, and the drift of what it is corrected for.

The drug acts on glucose, and so perhaps on the uptake of healthy tissue too: a fall of the tumour's uptake is
looked at again with glucose taken out, and against the liver of the same scan.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from analysis import plan as plans
from analysis.pet.reference_regions import BASELINE

_SCAN = ["USUBJID", "AVISIT"]
_KEY = [*_SCAN, "LESIONID", "METRIC"]
_DRIFTING = {"LIVER": ("LIVER", "SULMEAN"), "BLOOD POOL": ("AORTA", "SULMEAN")}
DRIFT_COLUMNS = ["QUANTITY", "UNIT", "AVISIT", "N", "MEDIAN", "PAIRS", "CHANGE", "LOWER", "UPPER", "P"]


def add_corrected_metrics(
    adpet: pd.DataFrame, scan_qc: pd.DataFrame, plan: plans.Plan | None = None
) -> pd.DataFrame:
    """Add SUVMAXG and SUVPEAKG (glucose-corrected) and TLRMAX and TLRPEAK (over the liver) of every lesion.

    Parameters
    ----------
    adpet : DataFrame
        Lesion and region rows; corrected rows that are there are replaced.
    scan_qc : DataFrame
        USUBJID AVISIT STATUS GLUCOSE (mmol/l).
    plan : Plan, optional
        `pet.corrected_*`.

    Returns
    -------
    DataFrame
        `adpet` sorted by its key. ``SUVMAXG = SUVMAX * glucose / 5.5`` in g/ml and ``TLRMAX = SUVMAX / liver
        SUVmean`` of the same scan, without a unit; a lesion whose scan lacks the factor has no such row
        (`tabulate_corrected` counts them), one with several liver regions likewise.
    """
    rules = (plans.defaults() if plan is None else plan).pet
    kept = adpet[~adpet["METRIC"].isin(rules.corrected_metrics)]
    factors = {
        "glucose": _glucose(scan_qc) / rules.corrected_glucose_reference,
        "liver": 1 / _region(kept, "LIVER", "SUVMEAN").where(lambda mean: mean > 0),
    }
    lesions = kept[kept["ROLE"].eq("LESION")]
    parts = [kept]
    for metric, (source, by) in rules.corrected_metrics.items():
        rows = lesions[lesions["METRIC"].eq(source)]
        factor = factors[by].reindex(pd.MultiIndex.from_frame(rows[_SCAN])).to_numpy(float)
        unit = "g/ml" if by == "glucose" else "1"
        new = rows.assign(METRIC=metric, AVAL=rows["AVAL"].to_numpy(float) * factor, UNIT=unit)
        parts.append(new[np.isfinite(new["AVAL"].to_numpy(float))])
    table = pd.concat([part for part in parts if len(part)] or [kept], ignore_index=True)
    return table.sort_values(_KEY, kind="stable", ignore_index=True)[list(adpet.columns)]


def tabulate_corrected(adpet: pd.DataFrame, plan: plans.Plan | None = None) -> pd.DataFrame:
    """Count lesions with a corrected metric beside those that lack the factor.

    Parameters
    ----------
    adpet : DataFrame
        With corrected rows.
    plan : Plan, optional
        `pet.corrected_metrics`.

    Returns
    -------
    DataFrame
        METRIC AVISIT LESIONS (with the metric it is made of) CORRECTED ABSENT.
    """
    rules = (plans.defaults() if plan is None else plan).pet
    measured = adpet["ROLE"].eq("LESION") & adpet["AVAL"].notna()
    counts = adpet[measured].groupby(["METRIC", "AVISIT"]).size()
    rows = [
        (metric, visit, int(n), int(counts.get((metric, visit), 0)))
        for metric, (source, _) in rules.corrected_metrics.items()
        for visit, n in counts[counts.index.get_level_values(0) == source].droplevel(0).items()
    ]
    table = pd.DataFrame(rows, columns=["METRIC", "AVISIT", "LESIONS", "CORRECTED"])
    return table.assign(ABSENT=table["LESIONS"] - table["CORRECTED"])


def tabulate_drift(
    adpet: pd.DataFrame, scan_qc: pd.DataFrame, plan: plans.Plan | None = None
) -> pd.DataFrame:
    """Tabulate how liver and blood-pool SULmean and blood glucose drift over the visits of all patients.

    Parameters
    ----------
    adpet : DataFrame
        Rows of the reference regions.
    scan_qc : DataFrame
        USUBJID AVISIT STATUS GLUCOSE.
    plan : Plan, optional
        `pet.condition_drift_level`.

    Returns
    -------
    DataFrame
        One row a quantity and visit, baseline first: N and MEDIAN of all scans; of the patients with both
        scans PAIRS, the mean CHANGE from baseline (same unit), its interval LOWER to UPPER by Student's t,
        and P of the paired t test, missing with fewer than two pairs or where no change differs.
    """
    level = (plans.defaults() if plan is None else plan).pet.condition_drift_level
    series = {name: (_region(adpet, *place), "g/ml") for name, place in _DRIFTING.items()}
    series["GLUCOSE"] = (_glucose(scan_qc), "mmol/l")
    rows = []
    for name, (values, unit) in series.items():
        wide = values.dropna().rename("AVAL").reset_index()
        wide = wide.pivot_table(index="USUBJID", columns="AVISIT", values="AVAL")
        visits = [BASELINE, *sorted(set(wide) - {BASELINE})] if BASELINE in wide else sorted(wide)
        rows += [(name, unit, visit, *_drift(wide, visit, level)) for visit in visits]
    return pd.DataFrame(rows, columns=DRIFT_COLUMNS)


def _drift(wide: pd.DataFrame, visit: str, level: float) -> tuple[float, ...]:
    seen = wide[visit].dropna()
    change = (wide[visit] - wide[BASELINE]).dropna() if BASELINE in wide and visit != BASELINE else seen[:0]
    pairs, spread = len(change), change.std()
    mean = float(change.mean()) if pairs else np.nan
    if pairs < 2 or not spread > 0:
        return len(seen), float(seen.median()), pairs, mean, np.nan, np.nan, np.nan
    test = stats.ttest_1samp(change, 0.0)
    low, high = test.confidence_interval(level)
    return len(seen), float(seen.median()), pairs, mean, float(low), float(high), float(test.pvalue)


def _glucose(scan_qc: pd.DataFrame) -> pd.Series:
    """Return the glucose of every measured scan, mmol/l, by subject and visit."""
    rows = scan_qc[scan_qc["STATUS"].eq("OK") & scan_qc["AVISIT"].notna() & scan_qc["USUBJID"].notna()]
    return rows.drop_duplicates(_SCAN, keep=False).set_index(_SCAN)["GLUCOSE"].astype(float)


def _region(adpet: pd.DataFrame, role: str, metric: str) -> pd.Series:
    """Return the reference region's value of every scan; a scan with several of the role has none."""
    rows = adpet[adpet["ROLE"].eq(role) & adpet["METRIC"].eq(metric)]
    return rows.drop_duplicates(_SCAN, keep=False).set_index(_SCAN)["AVAL"].astype(float)
