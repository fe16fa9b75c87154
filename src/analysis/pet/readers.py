"""Several readers of the same scans: each reader's numbers and classes, read by the rules of the one in use.

A study that sends numbers (SDTM TR) may send those of every reader; the plan takes one for the analysis. Here
each of them is taken in turn, so that their agreement can be estimated (`analysis.survival`).
"""

from __future__ import annotations

import pandas as pd

from analysis import plan as plans
from analysis.pet import response
from analysis.pet.corrected import add_corrected_metrics
from analysis.pet.measurement_records import empty_table, select_records
from analysis.pet.measurements_in import read_measurements
from analysis.pet.reference_regions import BASELINE

_VISIT = ["USUBJID", "AVISIT"]
_DECISION = "DECISION"  # METRIC of a row that holds a reader's decision, and the column with her word
_KEY = ["READER", *_VISIT, "LESIONID", "METRIC", _DECISION]
_INVESTIGATOR = "INVESTIGATOR"


def name_readers(tr: pd.DataFrame | None, plan: plans.Plan, *, tu: pd.DataFrame | None = None) -> list[str]:
    """List who is named as reader (TREVALID) of a PET record of the plan's evaluator, sorted.

    Parameters
    ----------
    tr, tu : DataFrame or None
        SDTM domains as text.
    plan : Plan
        `pet.measurements_evaluator` (empty: any) and `pet.measurements_method*`.

    Returns
    -------
    list of str
        Records that name nobody may be of anybody: they make no reader.
    """
    if tr is None or not len(tr):
        return []
    rows = select_records(tr, tu, plan.pet)
    if plan.pet.measurements_evaluator:
        evaluator = rows["EVALUATOR"].replace("", _INVESTIGATOR)
        rows = rows[evaluator.eq(plan.pet.measurements_evaluator.upper())]
    return sorted(set(rows["READER"].dropna()))


def read_every_reader(
    tr: pd.DataFrame | None,
    adsl: pd.DataFrame,
    plan: plans.Plan | None = None,
    *,
    tu: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
    scans: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Read the PET measurements of each named reader by `read_measurements`, as if the plan had named her.

    Parameters
    ----------
    tr, adsl, tu : DataFrame
        As in `analysis.pet.measurements_in.read_measurements`. Of TU a reader has her own records and those
        that name nobody; only of a lesion that has none of these, another reader's.
    plan : Plan, optional
        Sections ``pet``, ``response`` and ``visits``; `pet.measurements_reader` is replaced in turn.
    decisions : DataFrame, optional
        ``reader_decisions.csv``; a decision of another of these readers is not this reader's.
    scans : DataFrame, optional
        Table scan_qc with the blood glucose, for the glucose-corrected metrics; default: what TR says.

    Returns
    -------
    DataFrame
        Table ``reads``: a measurement, or a decision (METRIC and column DECISION), of a lesion at a visit by
        one reader. Empty with fewer than two readers who measured anything: there is nothing to compare.
    """
    plan = plans.defaults() if plan is None else plan
    names = name_readers(tr, plan, tu=tu)
    parts = []
    for name in names if len(names) > 1 else []:
        found = read_measurements(
            tr,
            adsl,
            plan.override({"pet.measurements_reader": name}),
            tu=_own_identification(tu, name),
            decisions=_own_decisions(decisions, name, names),
        )
        if found.adpet.empty:
            continue
        factors = found.scan_qc if scans is None else scans
        rows = add_corrected_metrics(found.adpet, factors, plan)
        parts.append(pd.concat([rows, _decided(found.decisions, found.scan_qc, rows)], ignore_index=True))
        parts[-1]["READER"] = name
    if len(parts) < 2:
        return empty_table("reads")
    table = pd.concat(parts, ignore_index=True)
    texts = ["ORGAN", "EVALFL", "TARGETFL", "FLAGS", _DECISION]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), None)
    return table.sort_values(_KEY, kind="stable", ignore_index=True)[list(empty_table("reads").columns)]


def classify_readers(
    reads: pd.DataFrame,
    plan: plans.Plan | None = None,
    *,
    subjects: pd.DataFrame | None = None,
    scans: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Classify the response by the primary rule from each reader's own measurements and decisions.

    Parameters
    ----------
    reads : DataFrame
        Table of this name.
    plan : Plan, optional
        Sections ``primary``, ``response``, ``pet`` and ``design``.
    subjects, scans : DataFrame, optional
        As in `analysis.pet.response.classify`; with them, the classes of the reader in use are those of the
        table admr. A scan refused only because the reader in use sent nothing usable is not refused here.

    Returns
    -------
    DataFrame
        READER and the columns of admr; one row a reader, subject and follow-up visit of which the reader read
        both scans. A reader who never measured the metric has no row.
    """
    plan = response.in_force(plans.defaults() if plan is None else plan)
    if scans is not None:
        unread = scans["CODE"].eq("NO_MEASUREMENT")
        scans = scans.assign(STATUS=scans["STATUS"].mask(unread, "OK"))
    parts = []
    for name, rows in reads.groupby("READER", sort=True) if plan.design.followup_visits else []:
        decided = rows[_DECISION].notna()
        adpet = rows[~decided].drop(columns=["READER", _DECISION])
        if plan.primary.metric not in set(adpet.loc[adpet["ROLE"].eq("LESION"), "METRIC"]):
            continue
        found = response.classify(
            adpet,
            plan,
            subjects=None if subjects is None else _of(subjects, rows),
            scans=None if scans is None else _of(scans, rows),
            decisions=rows.loc[decided, [*_VISIT, "LESIONID", _DECISION]],
        )
        seen = set(rows[_VISIT].itertuples(index=False, name=None))
        both = [(who, BASELINE) in seen and (who, visit) in seen for who, visit in found[_VISIT].to_numpy()]
        parts.append(found[both].assign(READER=name))
    columns = ["READER", *response.ADMR_COLUMNS]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _own_identification(tu: pd.DataFrame | None, name: str) -> pd.DataFrame | None:
    """Select the records of TU this reader made or nobody signed, and others' of lesions without either."""
    if tu is None or "TUEVALID" not in tu:
        return tu
    own = tu["TUEVALID"].isna() | tu["TUEVALID"].astype("string").str.strip().isin(["", name])
    lesion = pd.MultiIndex.from_frame(tu[["USUBJID", "TULNKID"]])
    return tu[own | ~lesion.isin(lesion[own])]


def _own_decisions(decisions: pd.DataFrame | None, name: str, names: list[str]) -> pd.DataFrame | None:
    if decisions is None or "READER" not in decisions:
        return decisions
    return decisions[~decisions["READER"].isin([other for other in names if other != name])]


def _decided(decisions: pd.DataFrame, scans: pd.DataFrame, adpet: pd.DataFrame) -> pd.DataFrame:
    """Make rows of the decisions on scans this reader read; those of other scans say nothing of her."""
    made = scans.loc[scans["STATUS"].eq("OK"), [*_VISIT, "ADT"]].drop_duplicates(_VISIT)
    rows = decisions[[*_VISIT, "LESIONID", _DECISION]].drop_duplicates()
    rows = rows.merge(made, on=_VISIT, how="inner", validate="many_to_one")
    study = adpet["STUDYID"].iloc[0]
    return rows.assign(STUDYID=study, METRIC=_DECISION, ROLE="LESION", UNIT="1")


def _of(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    return table[table["USUBJID"].isin(rows["USUBJID"])]
