"""Frames for the eye: alterations and tracks by patient, ctDNA over time. Nothing is estimated here."""

from __future__ import annotations

import pandas as pd

from analysis import plan
from analysis.biomarkers.association import preferred_rows
from analysis.biomarkers.courses import end_days
from analysis.biomarkers.plasma import NOT_ASSESSABLE, classify_clearance, select_visit

_KINDS = ("MUTATED", "AMPLIFIED", "DELETED")
_CLASSES = {1.0: "NON-RESPONDER", 0.0: "RESPONDER"}


def tabulate_alterations(adbm: pd.DataFrame, *, rules=None) -> pd.DataFrame:
    """List the alterations of each subject's preferred baseline tumour sample, and what it could not show.

    Returns
    -------
    DataFrame
        USUBJID, GENE (categorical, by falling number of subjects; at most ``oncoprint_genes_max`` genes),
        KIND (MUTATED, AMPLIFIED, DELETED; NOT ASSESSABLE where the sequence of the gene was not read and no
        alteration was found otherwise).
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    rows = pd.concat([preferred_rows(adbm, partype, rules=rules) for partype in ("MUT", "CNA")])
    rows = rows[["USUBJID", "PARAMCD", "AVALC", "PARTYPE"]].rename(
        columns={"PARAMCD": "GENE", "AVALC": "KIND"}
    )
    found = rows.loc[rows["KIND"].isin(_KINDS), ["USUBJID", "GENE", "KIND"]]
    counts = found.drop_duplicates(["USUBJID", "GENE"]).groupby("GENE").size().rename("n").reset_index()
    order = counts.sort_values(["n", "GENE"], ascending=[False, True])["GENE"].head(rules.oncoprint_genes_max)
    kept = pd.concat([found, _unread_genes(rows)])
    kept = kept[kept["GENE"].isin(order)]
    return kept.assign(GENE=pd.Categorical(kept["GENE"], order)).reset_index(drop=True)


def _unread_genes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the genes of a subject that the sample says nothing of: by sequence, else by copy number."""
    altered = rows["KIND"].isin(_KINDS).groupby([rows["USUBJID"], rows["GENE"]]).any()
    # Copy number alone does not make a gene wild type; it decides only for a gene that no panel sequences.
    best_first = rows.assign(SECOND=rows["PARTYPE"].ne("MUT")).sort_values("SECOND", kind="stable")
    decides = best_first.drop_duplicates(["USUBJID", "GENE"]).set_index(["USUBJID", "GENE"])["KIND"]
    unread = decides[decides.eq(NOT_ASSESSABLE) & ~altered.reindex(decides.index)]
    return unread.reset_index()[["USUBJID", "GENE", "KIND"]]


def tabulate_tracks(
    adbm: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    days_per_month: float,
    adsl: pd.DataFrame | None = None,
    adpet: pd.DataFrame | None = None,
    rules=None,
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
    adsl, adpet : DataFrame, optional
        Tables of these names, for the clinical tracks and the number of lesions.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    DataFrame
        Index USUBJID: SEQUENCED (a baseline sample was sequenced), MRESP, PCTCHANGE (percent); where the
        study has them: CTDNA_<visit>; CLEARANCE (``--``, ``-+``, ``+-``, ``++``, from baseline to
        ``ctdna_main_visit``); those of ``profile_covariates`` that are Y or N; NLESION (at baseline);
        SIGN_<signature> (score); <E>_MONTHS and <E>_EVENT of each endpoint.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    sequenced = preferred_rows(adbm, "MUT", rules=rules)["USUBJID"].unique()
    tracks = pd.DataFrame(
        {
            "SEQUENCED": outcomes.index.isin(sequenced),
            "MRESP": outcomes["NONRESPONSE"].map(_CLASSES).fillna("NE"),
            "PCTCHANGE": outcomes["PCTCHANGE"],
        },
        index=outcomes.index,
    )
    more = [
        _plasma_tracks(adbm, rules),
        _clinical_tracks(adsl, rules),
        _lesion_tracks(adpet, rules),
        _score_tracks(adbm, rules),
        _endpoint_tracks(outcomes, days_per_month),
    ]
    return pd.concat([tracks, *(table.reindex(tracks.index) for table in more)], axis=1)


def _plasma_tracks(adbm: pd.DataFrame, rules) -> pd.DataFrame:
    results = {f"CTDNA_{visit}": select_visit(adbm, visit)["AVALC"] for visit in rules.ctdna_visits}
    clearance = classify_clearance(adbm, rules.baseline_visit, rules.ctdna_main_visit)
    known = {name: values for name, values in results.items() if len(values)}
    if clearance.notna().any():
        known["CLEARANCE"] = clearance
    return pd.DataFrame(known)


def _clinical_tracks(adsl: pd.DataFrame | None, rules) -> pd.DataFrame:
    if adsl is None or adsl.empty:
        return pd.DataFrame()
    own = adsl.drop_duplicates("USUBJID").set_index("USUBJID")
    columns = [name for name in rules.profile_covariates if name in own and own[name].notna().any()]
    return own[[name for name in columns if own[name].dropna().isin(["Y", "N"]).all()]]


def _lesion_tracks(adpet: pd.DataFrame | None, rules) -> pd.DataFrame:
    if adpet is None:
        return pd.DataFrame()
    scanned = adpet[adpet["AVISIT"].eq(rules.baseline_visit)]
    measured = scanned[scanned["METRIC"].eq(rules.progression_metric) & scanned["AVAL"].notna()]
    count = measured[measured["ROLE"].eq("LESION")].groupby("USUBJID").size()
    count = count.reindex(scanned["USUBJID"].unique(), fill_value=0).astype(float)
    return count.rename("NLESION").to_frame() if len(count) else pd.DataFrame()


def _score_tracks(adbm: pd.DataFrame, rules) -> pd.DataFrame:
    rows = preferred_rows(adbm, "SIGN", rules=rules)
    if rows.empty:
        return pd.DataFrame()
    wide = rows.set_index(["USUBJID", "PARAMCD"])["AVAL"].unstack("PARAMCD")  # noqa: PD010
    return wide.astype(float).add_prefix("SIGN_").rename_axis(columns=None)


def _endpoint_tracks(outcomes: pd.DataFrame, days_per_month: float) -> pd.DataFrame:
    tracks = {}
    for endpoint in [name.removesuffix("_TIME") for name in outcomes.columns if name.endswith("_TIME")]:
        tracks[f"{endpoint}_MONTHS"] = outcomes[f"{endpoint}_TIME"] / days_per_month
        tracks[f"{endpoint}_EVENT"] = outcomes[f"{endpoint}_EVENT"]
    return pd.DataFrame(tracks)


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
        Date of first dose, index USUBJID. Where draw or first dose has no date the study day of adbm counts.

    Returns
    -------
    tuple
        Rows USUBJID, DAY, VAF (fraction), RESULT, LOD (fraction), MRESP; study day of the PFS event
        (`courses.end_days`), index USUBJID.
    """
    rows = adbm[(adbm["PARTYPE"] == "CTDNA") & (adbm["PARAMCD"] == "CTDNA")]
    dosed = pd.to_datetime(rows["USUBJID"].map(first_dose))
    days = (pd.to_datetime(rows["ADT"]) - dosed).dt.days
    day = days + (days >= 0)
    if "ADY" in rows:
        day = day.where(days.notna(), rows["ADY"])
    classes = outcomes["NONRESPONSE"].map(_CLASSES)
    draws = pd.DataFrame(
        {
            "USUBJID": rows["USUBJID"],
            "DAY": day,
            "VAF": rows["AVAL"],
            "RESULT": rows["AVALC"],
            "LOD": rows["LOD"],
            "MRESP": rows["USUBJID"].map(classes).fillna("NE"),
        }
    ).reset_index(drop=True)
    if "PFS_EVENT" not in outcomes:
        return draws, pd.Series(dtype=float)
    return draws, end_days(outcomes, "PFS")[outcomes["PFS_EVENT"] == 1]
