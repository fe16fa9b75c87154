"""Baseline burden of disease for table one: lesions, sites, uptake, volume, from what the study measured."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.tables.baseline import Characteristic
from analysis.tables.words import label_of

BASELINE = "D0"
LESIONS, SITES, TARGETS, SUM = "NLESIONS", "NSITES", "NTARGETS", "BASESUM"
_UNITS = {"LDIAM": ", mm", "LONGDIAM": ", mm", "MTV41": ", ml", "MTVP": ", ml", "VOLUME": ", ml"}
_TOTALS = ("TMTV", "TTLG", "TMTV41", "TTLG41")


def measure_burden(
    adsl: pd.DataFrame, adpet: pd.DataFrame, metric: str, adtr: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Join the baseline burden of disease to patients, one column a quantity.

    Parameters
    ----------
    adsl : DataFrame
        One row a patient.
    adpet : DataFrame
        Table of this name: lesions and totals of the baseline scan.
    metric : str
        Metric of the main analysis; the largest of a patient's lesions counts.
    adtr : DataFrame, optional
        Table of this name: target lesions at baseline, and the sum of their diameters.

    Returns
    -------
    DataFrame
        `adsl` with NLESIONS (lesions drawn at baseline), NSITES (organs that hold one), `metric` (largest),
        TMTV41 and TTLG41 (TMTV and TTLG where there is no other total), NTARGETS, BASESUM (mm; missing
        without a target). A quantity that the study has of nobody has no column; a patient without a
        baseline scan has missing values.
    """
    base = adpet[adpet["AVISIT"].eq(BASELINE)]
    lesions = base[base["ROLE"].eq("LESION")]
    by = lesions.groupby("USUBJID")
    found = {LESIONS: by["LESIONID"].nunique(), SITES: by["ORGAN"].nunique().replace(0, float("nan"))}
    found[metric] = lesions[lesions["METRIC"].eq(metric)].groupby("USUBJID")["AVAL"].max()
    totals = base[base["ROLE"].eq("TOTAL")].pivot_table(
        index="USUBJID", columns="METRIC", values="AVAL", aggfunc="first"
    )
    for name in _chosen(totals.columns):
        found[name] = totals[name]
    if adtr is not None and len(adtr):
        seen = adtr[adtr["AVISITN"].eq(0)]
        targets = seen[seen["LESTYPE"].eq("TARGET") & seen["DIAM_MM"].notna()]
        counts = targets.groupby("USUBJID")["LESIONID"].nunique()
        found[TARGETS] = counts.reindex(sorted(seen["USUBJID"].unique()), fill_value=0)
        found[SUM] = targets.groupby("USUBJID")["DIAM_MM"].sum()
    columns = {name: adsl["USUBJID"].map(values) for name, values in found.items() if values.notna().any()}
    return adsl.assign(**columns)


def burden_characteristics(frame: pd.DataFrame, metric: str) -> tuple[Characteristic, ...]:
    """Return the blocks of table one for the columns `measure_burden` added.

    A number that is the same for everybody (one lesion a patient) says nothing and has no block.

    Parameters
    ----------
    frame : DataFrame
        From `measure_burden`.
    metric : str
        Metric of the main analysis.

    Returns
    -------
    tuple of Characteristic
        In the order of print.
    """
    words = {
        LESIONS: ("Lesions on the baseline scan", 0),
        SITES: ("Organs with a lesion on the baseline scan", 0),
        metric: (_largest(metric), 1),
        **{name: (f"{label_of(name)}{', ml' if 'MTV' in name else ''}", 1) for name in _TOTALS},
        TARGETS: ("Target lesions (RECIST 1.1)", 0),
        SUM: ("Sum of target diameters, mm", 0),
    }
    shown = [name for name in words if name in frame and len(set(frame[name].dropna())) > 1]
    return tuple(Characteristic(name, words[name][0], "median", words[name][1]) for name in shown)


def _largest(metric: str) -> str:
    unit = _UNITS.get(metric, "")
    return f"{label_of(metric)} of the {'hottest' if metric.startswith('SU') else 'largest'} lesion{unit}"


def _chosen(there: Sequence[str]) -> list[str]:
    """Return the totals shown: by the threshold of 41 %, as drawn where there is none."""
    names = [f"{kind}41" if f"{kind}41" in there else kind for kind in ("TMTV", "TTLG")]
    return [name for name in names if name in there]
