"""Serial plasma: give each draw its visit, call ctDNA by sample and over time.

A failed assay is NOT ASSESSABLE and never negative: it is missing in every comparison.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.files.plasma_table import (
    DETECTED,
    NOT_ASSESSABLE,
    NOT_DETECTED,
    read_plasma,
    write_plasma,
)

__all__ = [
    "DETECTED",
    "NOT_ASSESSABLE",
    "NOT_DETECTED",
    "PROGRESSION",
    "UNSCHEDULED",
    "assign_visits",
    "call_samples",
    "classify_clearance",
    "read_plasma",
    "select_assays",
    "select_visit",
    "tabulate_clearance",
    "tabulate_pet_by_ctdna",
    "told_visits",
    "write_plasma",
]
PROGRESSION, UNSCHEDULED = "PROG", "UNSCHED"
_RANK = {DETECTED: 0, NOT_DETECTED: 1, NOT_ASSESSABLE: 2}


def assign_visits(draws: pd.DataFrame, first_dose: pd.Series, *, rules=None) -> pd.DataFrame:
    """Give each draw its visit by its study day; return `draws` with AVISIT and DAY.

    The day of first dose is day 1, the day before it is day -1 (CDISC). The day is that of the date where
    date and first dose are known, else the day the table gives. A draw the table calls PROG is
    PROG, whatever its day: an early progression falls into a window. Any other has the visit of its window;
    outside all windows, or of unknown day, it is UNSCHED.

    Parameters
    ----------
    draws : DataFrame
        As `read_plasma` returns; ADY may be left out.
    first_dose : Series of datetime64
        Date of first dose, index USUBJID; missing in a study without dates.
    rules : Section, optional
        The plan's section ``biomarkers``.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    out = draws.copy()
    days = (pd.to_datetime(out["ADT"]) - pd.to_datetime(out["USUBJID"].map(first_dose))).dt.days
    told = out["ADY"].astype(float) if "ADY" in out else pd.Series(np.nan, index=out.index)
    out["DAY"] = (days + (days >= 0)).astype(float).fillna(told)
    said = told_visits(out["AVISIT"], rules=rules)
    out["AVISIT"] = np.where(said == PROGRESSION, PROGRESSION, UNSCHEDULED)
    for visit, (first, last) in rules.plasma_visit_windows.items():
        out.loc[out["DAY"].between(first, last) & (out["AVISIT"] == UNSCHEDULED), "AVISIT"] = visit
    return out


def told_visits(words: pd.Series, *, rules=None) -> pd.Series:
    """Return the visit a word of the table means; None for no word, and for one the plan does not know.

    Known are the visits of ``plasma_visit_windows``, the spellings of ``sample_visits`` and those of
    ``plasma_unscheduled``, in any letter case.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    known = {word: visit for visit, spellings in rules.sample_visits.items() for word in spellings}
    known |= dict.fromkeys(rules.plasma_unscheduled, UNSCHEDULED)
    known |= {visit.lower(): visit for visit in rules.plasma_visit_windows}
    told = words.astype("string").str.strip().str.lower().map(known).astype(object)
    return told.where(told.notna(), None)


def select_assays(draws: pd.DataFrame, *, rules=None) -> pd.DataFrame:
    """Select the rows of the assay that counts where a draw was run on several.

    By the plan's ``plasma_assay_preference`` the first assay with a result counts, those it does not name
    last and together; without a preference all rows count. A draw on which every assay failed keeps its rows.

    Parameters
    ----------
    draws : DataFrame
        As `read_plasma` returns.
    rules : Section, optional
        The plan's section ``biomarkers``.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    preference = list(rules.plasma_assay_preference)
    if not preference or draws.empty:
        return draws
    place = draws["ASSAY"].map({name: rank for rank, name in enumerate(preference)}).fillna(len(preference))
    place = place.astype(float).where(draws["RESULT"] != NOT_ASSESSABLE)
    best = place.groupby(draws["SAMPLEID"]).transform("min")
    return draws[(place == best) | best.isna()]


def call_samples(draws: pd.DataFrame, *, rules=None) -> pd.DataFrame:
    """Call ctDNA by sample: DETECTED if any variant or assay is; NOT ASSESSABLE only if every one is.

    The word of the result counts, not the number beside it: a detected variant with a VAF of 0 is detected at
    an unknown level, one not detected has no level. Limit, depth and tumour fraction are of the rows that
    decided the result, those with the same word as the sample: what a failed assay could have seen says
    nothing about it.

    Parameters
    ----------
    draws : DataFrame
        As `assign_visits` returns: a row a sample and variant.
    rules : Section, optional
        The plan's section ``biomarkers``: which assay counts (`select_assays`).

    Returns
    -------
    DataFrame
        A row a sample: USUBJID SAMPLEID ADT DAY AVISIT ASSAY RESULT VAF (largest detected) TUMFRAC
        (largest) LOD (smallest of a detected sample, largest of any other: what was certainly looked for;
        of the VAF; fractions) DEPTH (smallest, reads).
    """
    counted = select_assays(draws, rules=rules)
    best_first = counted.assign(RANK=counted["RESULT"].map(_RANK), VAF=detected_level(counted)).sort_values(
        ["USUBJID", "ADT", "SAMPLEID", "RANK"], kind="stable"
    )
    grouped = best_first.groupby("SAMPLEID", sort=False)
    called = grouped[["USUBJID", "ADT", "DAY", "AVISIT", "RESULT"]].first()
    assays = best_first.dropna(subset="ASSAY").groupby("SAMPLEID")["ASSAY"]
    called["ASSAY"] = assays.agg(lambda names: ", ".join(sorted(set(names)))).reindex(called.index)
    called["VAF"] = grouped["VAF"].max()
    best = best_first["RANK"] == best_first.groupby("SAMPLEID")["RANK"].transform("min")
    deciding = best_first[best].groupby("SAMPLEID")
    called["TUMFRAC"] = deciding["TUMFRAC"].max()
    detected = called["RESULT"] == DETECTED
    called["LOD"] = deciding["LOD"].min().where(detected, deciding["LOD"].max())
    called["DEPTH"] = deciding["DEPTH"].min() if "DEPTH" in best_first else np.nan
    return called.reset_index()


def detected_level(draws: pd.DataFrame) -> pd.Series:
    """Return the VAF of each detected row (fraction); missing if not detected or 0."""
    return draws["VAF"].astype(float).where((draws["RESULT"] == DETECTED) & (draws["VAF"] > 0))


def select_visit(adbm: pd.DataFrame, visit: str, *, param: str = "CTDNA") -> pd.DataFrame:
    """Select one plasma result a subject at `visit`: assessable before failed, then the earliest.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    visit : str
        AVISIT.
    param : str
        PARAMCD: CTDNA (result in AVALC) or TUMFRAC.

    Returns
    -------
    DataFrame
        Rows of adbm, index USUBJID.
    """
    rows = adbm[(adbm["PARTYPE"] == "CTDNA") & (adbm["PARAMCD"] == param) & (adbm["AVISIT"] == visit)]
    failed_last = rows.assign(FAILED=rows["AVALC"].eq(NOT_ASSESSABLE))
    # A study without dates has study days.
    order = [name for name in ("USUBJID", "FAILED", "ADT", "ADY", "SAMPLEID") if name in failed_last]
    ordered = failed_last.sort_values(order, kind="stable")
    return ordered.drop_duplicates("USUBJID").drop(columns="FAILED").set_index("USUBJID")


def classify_clearance(adbm: pd.DataFrame, first: str, second: str) -> pd.Series:
    """Classify ctDNA from one visit to another: ``--``, ``-+``, ``+-`` (cleared) or ``++``, index USUBJID.

    A subject with either result missing or not assessable has None: a failed assay is not a negative one.
    """
    signs = {DETECTED: "+", NOT_DETECTED: "-"}
    before = select_visit(adbm, first)["AVALC"].map(signs)
    after = select_visit(adbm, second)["AVALC"].map(signs)
    both = pd.concat([before, after], axis=1, keys=["before", "after"], sort=True)
    joined = both["before"] + both["after"]
    return joined.astype(object).where(joined.notna(), None).rename("CLEARANCE")


def tabulate_pet_by_ctdna(adbm: pd.DataFrame, outcomes: pd.DataFrame, visit: str) -> pd.DataFrame:
    """Count subjects and events in the four groups of metabolic response and ctDNA at `visit`.

    Returns
    -------
    DataFrame
        MRESP, CTDNA, N and, for each endpoint, its events; all four groups, also empty ones. Subjects with
        either result missing or not assessable are not counted.
    """
    ctdna = select_visit(adbm, visit)["AVALC"]
    both = outcomes.assign(CTDNA=ctdna.reindex(outcomes.index))
    both = both[both["NONRESPONSE"].notna() & both["CTDNA"].isin([DETECTED, NOT_DETECTED])]
    both = both.assign(MRESP=np.where(both["NONRESPONSE"] > 0, "NON-RESPONDER", "RESPONDER"))
    cells = pd.MultiIndex.from_product(
        [["RESPONDER", "NON-RESPONDER"], [NOT_DETECTED, DETECTED]], names=["MRESP", "CTDNA"]
    )
    grouped = both.groupby(["MRESP", "CTDNA"])
    counts = {"N": grouped.size()}
    for column in [name for name in both.columns if name.endswith("_EVENT")]:
        counts[column.replace("_EVENT", "_EVENTS")] = grouped[column].sum()
    return pd.DataFrame(counts).reindex(cells, fill_value=0).astype(int).reset_index()


def tabulate_clearance(
    adbm: pd.DataFrame, outcomes: pd.DataFrame, *, first: str, second: str
) -> pd.DataFrame:
    """Count the clearance classes from `first` to `second` visit, all and by metabolic response.

    Returns
    -------
    DataFrame
        CLEARANCE (``--``, ``-+``, ``+-``, ``++``), N, N_NONRESPONDER, N_RESPONDER; subjects without both
        results are in the row ``not assessable``.
    """
    clearance = classify_clearance(adbm, first, second)
    both = pd.DataFrame(
        {"CLEARANCE": clearance, "NONRESPONSE": outcomes["NONRESPONSE"].reindex(clearance.index)}
    )
    both["CLEARANCE"] = both["CLEARANCE"].fillna("not assessable")
    order = ["--", "-+", "+-", "++", "not assessable"]
    counts = {
        "N": both.groupby("CLEARANCE").size(),
        "N_NONRESPONDER": both[both["NONRESPONSE"] == 1].groupby("CLEARANCE").size(),
        "N_RESPONDER": both[both["NONRESPONSE"] == 0].groupby("CLEARANCE").size(),
    }
    table = pd.DataFrame(counts).reindex(order).fillna(0).astype(int)
    return table.rename_axis("CLEARANCE").reset_index()
