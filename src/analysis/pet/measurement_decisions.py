"""What the reads of TU and TR decide: whose records count, which lesions are new, which are gone."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis import plan as plans
from analysis.pet.measurement_records import GONE, MEASUREMENT, empty_table, full_dates, has_words, set_aside
from analysis.pet.reference_regions import BASELINE

_COLUMNS = ["USUBJID", "AVISIT", "LESIONID", "DECISION", "READER"]
_INVESTIGATOR = "INVESTIGATOR"


def select_reads(rows: pd.DataFrame, rules: plans.Section, *, by_scan: bool) -> pd.DataFrame:
    """Set aside the records of other evaluators and readers, and those beside accepted ones.

    Parameters
    ----------
    rows : DataFrame
        EVALUATOR READER ACCEPTED CODE REASON, and USUBJID DATE.
    rules : Section
        Plan section ``pet`` (`measurements_evaluator`, `measurements_reader`).
    by_scan : bool
        Whether acceptance holds for one subject and date (TR), or for all records of a subject (TU).

    Returns
    -------
    DataFrame
        A copy; code OTHER_READER. An empty evaluator is the investigator.
    """
    rows = rows.copy()
    other = pd.Series(False, rows.index)
    if rules.measurements_evaluator:
        other |= rows["EVALUATOR"].replace("", _INVESTIGATOR).ne(rules.measurements_evaluator.upper())
    if rules.measurements_reader:
        other |= rows["READER"].ne(rules.measurements_reader)
    set_aside(rows, other, "OTHER_READER", "the plan reads another evaluator or reader")
    accepted = rows["ACCEPTED"] & rows["CODE"].isna()
    group = [rows["USUBJID"], rows["DATE"]] if by_scan else [rows["USUBJID"]]
    beside = accepted.groupby(group, dropna=False).transform("any") & ~accepted
    set_aside(rows, beside, "OTHER_READER", "other records of this scan are the accepted ones (TRACPTFL)")
    return rows


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
    """
    used = rows[rows["CODE"].isna() & rows["ROLE"].eq("LESION")]
    gone = used[used["KIND"].eq(GONE) & used["AVISIT"].ne(BASELINE)].assign(DECISION="resolved")
    found = gone[_COLUMNS]
    new, asked = _new_lesions(tu, scans, rules)
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
    tu: pd.DataFrame | None, scans: pd.DataFrame, rules: plans.Section
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Return the lesions TU calls new on a scan that was measured, the first time of each; and queries."""
    nothing = pd.DataFrame(columns=[*_COLUMNS, "DATE"], dtype=object).astype({"DATE": "datetime64[ns]"})
    if tu is None or tu.empty:
        return nothing, []
    said = tu["TUSTRESC"].fillna(tu["TUORRES"]) if {"TUSTRESC", "TUORRES"} <= set(tu) else tu[
        "TUSTRESC" if "TUSTRESC" in tu else "TUORRES"
    ]  # fmt: skip
    method = tu.get("TUMETHOD", pd.Series(None, tu.index, dtype=object)).astype("string").str.upper()
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
    wanted = has_words(said, rules.measurements_new_words) & method.isin(rules.measurements_methods)
    new = select_reads(reads, rules, by_scan=False)[wanted.astype(bool)]
    new = new[new["CODE"].isna()].dropna(subset=["LESIONID"]).sort_values(["USUBJID", "LESIONID", "DATE"])
    made = scans.loc[scans["STATUS"].eq("OK"), ["USUBJID", "ADT", "AVISIT"]].rename(columns={"ADT": "DATE"})
    new = new.merge(made, on=["USUBJID", "DATE"], how="left", validate="many_to_one")
    lost = new[new["AVISIT"].isna()]
    asked = [
        {"CODE": "NEW_LESION_WITHOUT_SCAN", "SEVERITY": "warning", "USUBJID": row.USUBJID, "DOMAIN": "TU",
         "RECORD": row.LESIONID, "MESSAGE": "called new on a date of no measured PET scan; not used",
         "ACTION": "correct TUDTC, or decide in reader_decisions.csv"} for row in lost.itertuples(index=False)
    ]  # fmt: skip
    new = new[new["AVISIT"].notna()].drop_duplicates(["USUBJID", "LESIONID"]).assign(DECISION="new")
    return (new[[*_COLUMNS, "DATE"]] if len(new) else nothing), asked
