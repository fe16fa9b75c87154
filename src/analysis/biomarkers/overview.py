"""Frames for the eye: alterations and tracks by patient, ctDNA over time. Nothing is estimated here."""

from __future__ import annotations

import pandas as pd

from analysis import plan
from analysis.biomarkers.association import preferred_rows
from analysis.biomarkers.plasma import select_visit

_KINDS = ("MUTATED", "AMPLIFIED", "DELETED")


def tabulate_alterations(adbm: pd.DataFrame, *, rules=None) -> pd.DataFrame:
    """List the alterations of each subject's preferred baseline tumour sample.

    Returns
    -------
    DataFrame
        USUBJID, GENE (categorical, by falling number of subjects; at most ``oncoprint_genes_max`` genes),
        KIND (MUTATED, AMPLIFIED, DELETED).
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    rows = pd.concat([preferred_rows(adbm, partype, rules=rules) for partype in ("MUT", "CNA")])
    found = rows.loc[rows["AVALC"].isin(_KINDS), ["USUBJID", "PARAMCD", "AVALC"]]
    found = found.set_axis(["USUBJID", "GENE", "KIND"], axis=1)
    counts = found.drop_duplicates(["USUBJID", "GENE"]).groupby("GENE").size().rename("n").reset_index()
    order = counts.sort_values(["n", "GENE"], ascending=[False, True])["GENE"].head(rules.oncoprint_genes_max)
    kept = found[found["GENE"].isin(order)]
    return kept.assign(GENE=pd.Categorical(kept["GENE"], order)).reset_index(drop=True)


def tabulate_tracks(
    adbm: pd.DataFrame, outcomes: pd.DataFrame, *, days_per_month: float, rules=None
) -> pd.DataFrame:
    """Put what stands beside the genes in one row a subject.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    outcomes : DataFrame
        As `assemble_outcomes` returns.
    days_per_month : float
        Days of a month (plan, ``design.days_per_month``).
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    DataFrame
        Index USUBJID: SEQUENCED (a baseline sample was sequenced), MRESP, PCTCHANGE (percent), CTDNA_<visit>
        for each visit that has results, PFS_MONTHS and PFS_EVENT where the study has PFS.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    sequenced = preferred_rows(adbm, "MUT", rules=rules)["USUBJID"].unique()
    classes = outcomes["NONRESPONSE"].map({1.0: "NON-RESPONDER", 0.0: "RESPONDER"}).fillna("NE")
    tracks = pd.DataFrame(
        {"SEQUENCED": outcomes.index.isin(sequenced), "MRESP": classes}, index=outcomes.index
    )
    tracks["PCTCHANGE"] = outcomes["PCTCHANGE"]
    for visit in rules.ctdna_visits:
        results = select_visit(adbm, visit)["AVALC"]
        if len(results):
            tracks[f"CTDNA_{visit}"] = results.reindex(tracks.index)
    if "PFS_TIME" in outcomes:
        tracks["PFS_MONTHS"] = outcomes["PFS_TIME"] / days_per_month
        tracks["PFS_EVENT"] = outcomes["PFS_EVENT"]
    return tracks


def tabulate_trajectories(
    adbm: pd.DataFrame, outcomes: pd.DataFrame, first_dose: pd.Series
) -> tuple[pd.DataFrame, pd.Series]:
    """List the plasma results by study day, and the study day of progression or death.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    outcomes : DataFrame
        As `assemble_outcomes` returns.
    first_dose : Series of datetime64
        Date of first dose, index USUBJID.

    Returns
    -------
    tuple
        Rows USUBJID, DAY, VAF (fraction), RESULT, LOD (fraction), MRESP; study day of the PFS event, index
        USUBJID.
    """
    rows = adbm[(adbm["PARTYPE"] == "CTDNA") & (adbm["PARAMCD"] == "CTDNA")]
    days = (rows["ADT"] - rows["USUBJID"].map(first_dose)).dt.days
    classes = outcomes["NONRESPONSE"].map({1.0: "NON-RESPONDER", 0.0: "RESPONDER"})
    draws = pd.DataFrame(
        {
            "USUBJID": rows["USUBJID"],
            "DAY": days + (days >= 0),
            "VAF": rows["AVAL"],
            "RESULT": rows["AVALC"],
            "LOD": rows["LOD"],
            "MRESP": rows["USUBJID"].map(classes).fillna("NE"),
        }
    ).reset_index(drop=True)
    if "PFS_EVENT" not in outcomes:
        return draws, pd.Series(dtype=float)
    # AVAL counts from first dose as 1 (CDISC), as the study day does.
    return draws, outcomes.loc[outcomes["PFS_EVENT"] == 1, "PFS_TIME"]
