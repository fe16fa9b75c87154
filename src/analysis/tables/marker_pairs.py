"""Two samples of one patient in print: acquired alterations, and primary tumour against metastasis."""

from __future__ import annotations

import pandas as pd

from analysis.tables.biomarker_words import first_upper, marker_words, write_effect
from analysis.tables.format import MISSING, number, p_value
from analysis.tables.present import to_html

_COURSE = {
    "PRESENT AT BASELINE": "In both",
    "ACQUIRED": "Acquired",
    "LOST": "Lost",
    "NOT ASSESSABLE": "Not assessable",
}


def acquired_html(acquired: pd.DataFrame) -> str:
    """Write what became of each alteration from the baseline to the later sample, one line a gene.

    Parameters
    ----------
    acquired : DataFrame
        Table acquired: SOURCE PARAMCD PARTYPE AVALC USUBJID.

    Returns
    -------
    str
        Counts of patients as HTML by kind of sample, or ``""`` where there are none.
    """
    if acquired.empty:
        return ""
    names = [marker_words({"MARKER": row.PARAMCD, "PARTYPE": row.PARTYPE}) for row in acquired.itertuples()]
    keyed = acquired.assign(Alteration=names, Sample=acquired["SOURCE"].str.capitalize())
    counts = keyed.pivot_table(
        index=["Sample", "Alteration"], columns="AVALC", values="USUBJID", aggfunc="nunique", fill_value=0
    )
    counts = counts.reindex(columns=list(_COURSE), fill_value=0).rename(columns=_COURSE)
    counts = counts.sort_values(
        ["Sample", "Acquired", "In both"], ascending=[True, False, False], kind="stable"
    )
    return to_html(
        counts.reset_index().astype(str),
        group_column="Sample",
        notes=["Patients with the alteration in the baseline or the later sample."],
    )


def pairs_html(pairs: pd.DataFrame, estimates: pd.DataFrame, *, level: int = 95, most: int = 20) -> str:
    """Write the comparison of primary and metastasis, one line a marker: counts, McNemar and kappa.

    Parameters
    ----------
    pairs : DataFrame
        PARTYPE MARKER N BOTH PRIMARY_ONLY METASTASIS_ONLY NEITHER, as `compare_samples` gives.
    estimates : DataFrame
        Its rows of estimates_biomarkers.
    level, most : int
        Confidence level, percent; lines printed, those with most altered pairs.

    Returns
    -------
    str
        HTML, or ``""`` without pairs.
    """
    if pairs.empty:
        return ""
    rows = {(row["PARTYPE"], row["MARKER"], row["METHOD"]): row for row in estimates.to_dict("records")}
    lines = [_pair_line(row, rows, level) for row in pairs.head(most).to_dict("records")]
    notes = [
        "Ratio: pairs with the alteration in the metastasis alone to pairs with it in the primary alone "
        "(McNemar, exact); a dash: no pair differs, or too few patients are altered. κ: agreement of the "
        "two; 1 is full."
    ]
    if len(pairs) > most:
        notes.append(f"{len(pairs) - most} more, less often altered, stand in estimates_biomarkers.")
    return to_html(pd.DataFrame(lines), notes=notes)


def _pair_line(pair: dict, rows: dict, level: int) -> dict:
    key = (pair["PARTYPE"], pair["MARKER"])
    change, kappa = rows.get((*key, "mcnemar_exact"), {}), rows.get((*key, "cohen_kappa"), {})
    shown = lambda row: MISSING if pd.isna(row.get("ESTIMATE")) else write_effect(row, named=False)
    return {
        "Marker": first_upper(marker_words(pair)),
        "Pairs": number(pair["N"], 0),
        "In both": number(pair["BOTH"], 0),
        "Metastasis only": number(pair["METASTASIS_ONLY"], 0),
        "Primary only": number(pair["PRIMARY_ONLY"], 0),
        f"Ratio ({level} % CI)": shown(change),
        "p": p_value(change.get("P")),
        "q": p_value(change.get("Q_BH")),
        f"κ ({level} % CI)": shown(kappa),
    }
