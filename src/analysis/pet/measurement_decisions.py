"""What the reads of TU and TR decide: whose records count, which lesions are new, which are gone."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from analysis import plan as plans
from analysis.pet.measurement_records import (
    FACT,
    GONE,
    MEASUREMENT,
    empty_table,
    full_dates,
    has_words,
    set_aside,
)
from analysis.pet.reference_regions import BASELINE

_COLUMNS = ["USUBJID", "AVISIT", "LESIONID", "DECISION", "READER"]
_INVESTIGATOR = "INVESTIGATOR"


def select_reads(rows: pd.DataFrame, rules: plans.Section, kinds: pd.Series | None = None) -> pd.DataFrame:
    """Set aside the records of other evaluators and readers, and those beside accepted ones.

    Parameters
    ----------
    rows : DataFrame
        EVALUATOR READER ACCEPTED CODE REASON, and USUBJID DATE.
    rules : Section
        Plan section ``pet`` (`measurements_evaluator`, `measurements_reader`).
    kinds : Series, optional
        lesion, reference, total or fact (`measurement_records.name_kinds`); default: all are of lesions.

    Returns
    -------
    DataFrame
        A copy; code OTHER_READER. An empty evaluator is the investigator, but a fact about the scan that
        names nobody is nobody's read. Acceptance holds for one subject and date; where it is said of lesions
        alone, the reference regions and facts of the accepted readers, and those that name nobody, stay.
    """
    rows = rows.copy()
    kinds = pd.Series("lesion", rows.index) if kinds is None else kinds
    nobody = rows["EVALUATOR"].eq("") & rows["READER"].isna()
    other = pd.Series(False, rows.index)
    if rules.measurements_evaluator:
        other |= rows["EVALUATOR"].replace("", _INVESTIGATOR).ne(rules.measurements_evaluator.upper())
    if rules.measurements_reader:
        other |= rows["READER"].ne(rules.measurements_reader)
    other &= ~(nobody & kinds.eq("fact"))
    set_aside(rows, other, "OTHER_READER", "the plan reads another evaluator or reader")
    accepted = rows["ACCEPTED"] & rows["CODE"].isna()
    scan = [rows["USUBJID"], rows["DATE"]]
    whose = [rows["EVALUATOR"], rows["READER"].fillna("")]
    theirs = accepted.groupby([*scan, *whose], dropna=False).transform("any")
    of_kind = accepted.groupby([*scan, kinds], dropna=False).transform("any")
    spared = kinds.isin(["reference", "fact"]) & ~of_kind & (nobody | theirs)
    beside = accepted.groupby(scan, dropna=False).transform("any") & ~accepted & ~spared
    set_aside(rows, beside, "OTHER_READER", "other records of this scan are the accepted ones (TRACPTFL)")
    return rows


def refuse_several_readers(rows: pd.DataFrame) -> None:
    """Set aside, in place, what is measured on a scan of several readers of whom none was chosen.

    Parameters
    ----------
    rows : DataFrame
        Interpreted records. Lesions that name nobody are the investigator's; where records are the accepted
        ones, the centre has chosen. Code SEVERAL_READERS; facts about the scan stay.
    """
    live = rows["CODE"].isna() & rows["KIND"].ne(FACT) & ~rows["ACCEPTED"]
    scan = [rows["USUBJID"], rows["DATE"]]
    reader, evaluator = rows["READER"].where(live), rows["EVALUATOR"].replace("", None)
    lesion = rows["ROLE"].eq("LESION") & rows["READER"].isna()
    evaluator = evaluator.where(evaluator.notna() | ~lesion, _INVESTIGATOR).where(live)
    count = [names.groupby(scan, dropna=False).transform("nunique") for names in (reader, evaluator)]
    several = live & ((count[0] > 1) | (count[1] > 1))
    reason = "records of several readers for one scan; choose one by pet.measurements_evaluator or "
    reason += "pet.measurements_reader, or send which are accepted (TRACPTFL)"
    set_aside(rows, several, "SEVERAL_READERS", reason)


def ask_new(
    lesion_map: pd.DataFrame, scans: pd.DataFrame, decisions: pd.DataFrame, visits: list[str]
) -> list[dict[str, Any]]:
    """Ask about lesions that only a follow-up scan has and no decision of this or an earlier visit judges.

    Parameters
    ----------
    lesion_map, scans, decisions : DataFrame
        Tables lesion_map, scan_qc and reader_decisions.
    visits : list of str
        Visits in their order in time.

    Returns
    -------
    list of dict
        Queries LESION_NEW_UNCONFIRMED, of patients whose baseline scan was measured.
    """
    order = {visit: place for place, visit in enumerate(visits)}
    judged = decisions[decisions["DECISION"].isin(["new", "inflammatory"])]
    judged = judged.assign(AT=judged["AVISIT"].map(order)).dropna(subset=["AT"])
    since = judged.groupby(["USUBJID", "LESIONID"])["AT"].min().to_dict()
    base = set(scans.loc[scans["AVISIT"].eq(BASELINE) & scans["STATUS"].eq("OK"), "USUBJID"])
    open_ones = [
        row
        for row in lesion_map[lesion_map["STATUS"].eq("NEW")].itertuples(index=False)
        if row.USUBJID in base
        and not since.get((row.USUBJID, row.LESIONID), len(order)) <= order.get(row.AVISIT, len(order) - 1)
    ]
    return [
        {"CODE": "LESION_NEW_UNCONFIRMED", "SEVERITY": "warning", "USUBJID": row.USUBJID, "DOMAIN": "TR",
         "RECORD": f"{row.AVISIT} {row.LESIONID}",
         "MESSAGE": "no lesion of the baseline; without a reader's word the visit is not evaluable",
         "ACTION": "say in reader_decisions.csv whether it is new or inflammatory"} for row in open_ones
    ]  # fmt: skip


def derive_decisions(
    rows: pd.DataFrame, tu: pd.DataFrame | None, scans: pd.DataFrame, rules: plans.Section
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Derive readers' decisions: a lesion TU calls new, and one whose result says it is gone.

    Parameters
    ----------
    rows : DataFrame
        Interpreted records with AVISIT.
    tu : DataFrame or None
        SDTM TU.
    scans : DataFrame
        scan_qc.
    rules : Section
        Plan section ``pet`` (`measurements_new_words`, `measurements_methods`).

    Returns
    -------
    decisions : DataFrame
        Table reader_decisions. A new lesion is new on the scan TU names and on every later one that
        measures it.
    queries : list of dict
        NEW_LESION_WITHOUT_SCAN: a lesion called new on a date of no PET scan of the subject; it is not used.
        NEW_LESION_UNCLEAR: TU says new and a word that takes it back, as in "new, equivocal"; not used.
    """
    used = rows[rows["CODE"].isna() & rows["ROLE"].eq("LESION")]
    gone = used[used["KIND"].eq(GONE) & used["AVISIT"].ne(BASELINE)].assign(DECISION="resolved")
    found = gone[_COLUMNS]
    new, asked = _new_lesions(tu, rows, scans, rules)
    measured = used[used["KIND"].eq(MEASUREMENT)].drop_duplicates(["USUBJID", "AVISIT", "LESIONID"])
    later = measured.merge(new, on=["USUBJID", "LESIONID"], suffixes=("", "_NEW"), validate="many_to_one")
    later = later[later["DATE"] > later["DATE_NEW"]].assign(DECISION="new", READER=lambda t: t["READER_NEW"])
    parts = [part[_COLUMNS] for part in (found, new, later) if len(part)]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_COLUMNS, dtype=object)
    return table.drop_duplicates().sort_values(_COLUMNS[:3], kind="stable", ignore_index=True), asked


def merge_decisions(given: pd.DataFrame | None, derived: pd.DataFrame) -> pd.DataFrame:
    """Return the decisions given by hand, and those derived for scans and lesions they do not mention."""
    if given is None or given.empty:
        return empty_table("reader_decisions") if derived.empty else derived
    given = given.reindex(columns=_COLUMNS)
    key = _COLUMNS[:3]
    told = pd.MultiIndex.from_frame(derived[key]).isin(pd.MultiIndex.from_frame(given[key]))
    return pd.concat([part for part in (given, derived[~told]) if len(part)], ignore_index=True)


def _new_lesions(
    tu: pd.DataFrame | None, rows: pd.DataFrame, scans: pd.DataFrame, rules: plans.Section
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Return the lesions TU calls new on a scan that was measured, the first time of each; and queries."""
    nothing = pd.DataFrame(columns=[*_COLUMNS, "DATE"], dtype=object).astype({"DATE": "datetime64[ns]"})
    if tu is None or tu.empty:
        return nothing, []
    said = tu["TUSTRESC"].fillna(tu["TUORRES"]) if {"TUSTRESC", "TUORRES"} <= set(tu) else tu[
        "TUSTRESC" if "TUSTRESC" in tu else "TUORRES"
    ]  # fmt: skip
    blank = pd.Series("", tu.index)
    reads = pd.DataFrame(
        {
            "USUBJID": tu["USUBJID"],
            "LESIONID": tu["TULNKID"],
            "DATE": full_dates(tu["TUDTC"]),
            "EVALUATOR": tu.get("TUEVAL", blank).fillna("").astype(str).str.upper(),
            "READER": tu.get("TUEVALID", pd.Series(None, tu.index, dtype=object)),
            "ACCEPTED": tu.get("TUACPTFL", blank).eq("Y"),
            "CODE": None,
            "REASON": None,
        }
    )
    reads = select_reads(reads, rules)
    named, taken_back = has_words(said, rules.measurements_new_words), _taken_back(said, rules)
    wanted = named & _is_pet(tu, rows, rules) & reads["CODE"].isna()
    unclear = wanted & has_words(said, rules.measurements_not_new_words) & ~taken_back
    doubtful = reads[unclear]
    new = reads[wanted & ~unclear & ~taken_back]
    new = new.dropna(subset=["LESIONID"]).sort_values(["USUBJID", "LESIONID", "DATE"])
    made = scans.loc[scans["STATUS"].eq("OK"), ["USUBJID", "ADT", "AVISIT"]].rename(columns={"ADT": "DATE"})
    new = new.merge(made, on=["USUBJID", "DATE"], how="left", validate="many_to_one")
    lost = new[new["AVISIT"].isna()]
    asked = [
        {"CODE": code, "SEVERITY": "warning", "USUBJID": row.USUBJID, "DOMAIN": "TU", "RECORD": row.LESIONID,
         "MESSAGE": f"{text}; not used", "ACTION": f"correct {where}, or decide in reader_decisions.csv"}
        for part, code, text, where in (
            (lost, "NEW_LESION_WITHOUT_SCAN", "called new on a date of no measured PET scan", "TUDTC"),
            (doubtful, "NEW_LESION_UNCLEAR", "called new in words that also take it back", "TUSTRESC"),
        ) for row in part.itertuples(index=False)
    ]  # fmt: skip
    new = new[new["AVISIT"].notna()].drop_duplicates(["USUBJID", "LESIONID"]).assign(DECISION="new")
    return (new[[*_COLUMNS, "DATE"]] if len(new) else nothing), asked


def _is_pet(tu: pd.DataFrame, rows: pd.DataFrame, rules: plans.Section) -> pd.Series:
    """Tell which records of TU are of a PET; one without a method has that of its lesion's records in TR."""
    method = tu.get("TUMETHOD", pd.Series(None, tu.index, dtype=object)).astype("string")
    method = method.str.strip().str.upper().fillna("")
    known = rows.loc[~rows["CODE"].eq("PET_METHOD_UNKNOWN"), ["USUBJID", "LINK"]].dropna()
    measured = pd.MultiIndex.from_frame(tu[["USUBJID", "TULNKID"]]).isin(pd.MultiIndex.from_frame(known))
    return (method.isin(rules.measurements_methods) | (method.eq("") & measured)).astype(bool)


def _taken_back(said: pd.Series, rules: plans.Section) -> pd.Series:
    """Tell which texts say the opposite: a word such as NO stands right before NEW."""
    before, new = (
        "|".join(re.escape(word) for word in words)
        for words in (rules.measurements_not_new_words, rules.measurements_new_words)
    )
    plain = said.astype("string").str.upper().fillna("")
    return plain.str.contains(rf"(?<![A-Z])(?:{before})[^A-Z]+(?:{new})(?![A-Z])", regex=True).astype(bool)
