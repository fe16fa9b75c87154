"""Conditions of a scan beside the image: blood glucose, fasting, and days without the drug.

Laboratory and exposure records come as SDTM text. Of what is missing, partial or contradictory nothing is
guessed: the value stays empty and a query says why.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet.corrected import add_corrected_metrics, tabulate_corrected, tabulate_drift
from analysis.pet.measurement_records import full_dates, has_words
from analysis.pet.quality import QUERY_COLUMNS

__all__ = ["add_conditions", "add_corrected_metrics", "tabulate_corrected", "tabulate_drift"]

_ASK_LAB, _ASK_EX = "ask the centre for the record", "complete the record of exposure"
_DAY = np.timedelta64(1, "D")
_DRUG = {
    "DRUG_RECORD_INCOMPLETE": "a record of the drug lacks a date, its dose, or is not taken daily; days "
    "without drug unknown",
    "DRUG_RECORD_CONFLICT": "records of the drug contradict each other (a dose and none on one day, or an "
    "end before its start); days without drug unknown",
}


def add_conditions(
    scan_qc: pd.DataFrame,
    lb: pd.DataFrame | None,
    ex: pd.DataFrame | None,
    plan: plans.Plan | None = None,
    *,
    step: str = "02",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add GLUCOSE (mmol/l), FASTING (Y, N) and OFFDRUG7 (days) to every scan.

    Parameters
    ----------
    scan_qc : DataFrame
        USUBJID AVISIT ADT, one row a scan; a GLUCOSE that is there stays where LB agrees or is silent.
    lb : DataFrame or None
        SDTM LB as text: USUBJID LBTESTCD LBDTC, LBSTRESN LBSTRESU or LBORRES LBORRESU, LBFAST LBSPEC LBSTAT
        LBSEQ where known. None: no laboratory data.
    ex : DataFrame or None
        SDTM EX as text: USUBJID EXTRT EXDOSE EXSTDTC EXENDTC, EXDOSFRQ EXSEQ where known. None: no exposure.
    plan : Plan, optional
        Section ``pet`` (`condition_*`).
    step : str
        Number of the notebook, for the queries.

    Returns
    -------
    scan_qc : DataFrame
        A copy with the three columns. OFFDRUG7 counts the days before the scan, its own not among them, that
        no record with a dose covers; it is missing for a scan on or before the first dose.
    queries : DataFrame
        STEP and `QUERY_COLUMNS`: GLUCOSE_DATE_PARTIAL, GLUCOSE_NOT_NUMERIC, GLUCOSE_UNIT,
        GLUCOSE_IMPLAUSIBLE, GLUCOSE_CONFLICT, FASTING_CONFLICT, NOT_FASTING, DRUG_RECORD_INCOMPLETE,
        DRUG_RECORD_CONFLICT.
    """
    rules = (plans.defaults() if plan is None else plan).pet
    sugar, asked = read_glucose(lb, rules)
    out = scan_qc.copy()
    glucose, fasting, more = _at_scans(out, sugar, rules)
    off, unknown = _off_drug(out, ex, rules)
    out["GLUCOSE"], out["OFFDRUG7"] = np.array(glucose, float), np.array(off, float)
    out["FASTING"] = pd.Series(fasting, out.index, dtype=object)
    queries = pd.DataFrame([*asked, *more, *unknown], columns=QUERY_COLUMNS).drop_duplicates(
        ignore_index=True
    )
    queries.insert(0, "STEP", step)
    return out, queries


def read_glucose(lb: pd.DataFrame | None, rules: plans.Section) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Read the blood glucose records of LB.

    Parameters
    ----------
    lb : DataFrame or None
        SDTM LB as text.
    rules : Section
        Plan section ``pet`` (`condition_glucose_*`).

    Returns
    -------
    glucose : DataFrame
        USUBJID DATE VALUE (mmol/l) FASTING (Y, N or None); VALUE is missing where it cannot be read.
    queries : list of dict
        Why a record gives no value.
    """
    columns = ["USUBJID", "DATE", "VALUE", "FASTING"]
    if lb is None or lb.empty:
        return pd.DataFrame(columns=columns), []
    wanted = _upper(lb, "LBTESTCD").isin(rules.condition_glucose_tests)
    wanted &= _upper(lb, "LBSPEC").isin(rules.condition_glucose_specimens)
    wanted &= _upper(lb, "LBSTAT").ne("NOT DONE")
    rows = lb[wanted].reset_index(drop=True)
    standard = _text(rows, "LBSTRESN").where(_text(rows, "LBSTRESN").ne(""), _text(rows, "LBSTRESC"))
    sent = standard.where(standard.ne(""), _text(rows, "LBORRES"))
    unit = _text(rows, "LBSTRESU").where(standard.ne(""), _text(rows, "LBORRESU")).str.lower()
    number = pd.to_numeric(sent, errors="coerce").astype(float)
    value = number / unit.map(rules.condition_glucose_units).astype(float)
    date = full_dates(_text(rows, "LBDTC"))
    low, high = rules.condition_glucose_range
    problems = {
        "GLUCOSE_DATE_PARTIAL": (date.isna(), "a glucose without a whole date belongs to no scan"),
        "GLUCOSE_NOT_NUMERIC": (number.isna(), "a glucose that is no number"),
        "GLUCOSE_UNIT": (value.isna(), "a glucose in a unit that is none of pet.condition_glucose_units"),
        "GLUCOSE_IMPLAUSIBLE": (~value.between(low, high), f"a glucose outside {low:g} to {high:g} mmol/l"),
    }
    code = np.select([wrong for wrong, _ in problems.values()], list(problems), "")
    asked = [
        _query(
            name,
            "LB",
            rows["USUBJID"][place],
            _text(rows, "LBSEQ")[place] or None,
            problems[name][1],
            _ASK_LAB,
        )
        for place, name in enumerate(code)
        if name
    ]
    fast = _upper(rows, "LBFAST")
    found = pd.DataFrame({"USUBJID": rows["USUBJID"], "DATE": date, "VALUE": value.where(code == "")})
    found["FASTING"] = fast.where(fast.isin(["Y", "N"]), None)
    return found[columns], asked


def _at_scans(
    scans: pd.DataFrame, sugar: pd.DataFrame, rules: plans.Section
) -> tuple[list[float], list[str | None], list[dict[str, Any]]]:
    """Return glucose and fasting of every scan, and queries where records contradict each other."""
    by_subject = dict(iter(sugar.dropna(subset="DATE").groupby("USUBJID")))
    held = scans["GLUCOSE"] if "GLUCOSE" in scans else pd.Series(np.nan, scans.index)
    glucose, fasting, asked = [], [], []
    for who, visit, date, known in zip(scans["USUBJID"], scans["AVISIT"], scans["ADT"], held.astype(float)):
        near = _nearest(by_subject.get(who), date, rules.condition_glucose_days)
        values = [value for value in (known, *near["VALUE"]) if np.isfinite(value)]
        fast = sorted(set(near["FASTING"].dropna()))
        agreed = not values or np.isclose(max(values), min(values), rtol=1e-3, atol=0)
        glucose.append(values[0] if values and agreed else np.nan)
        fasting.append(fast[0] if len(fast) == 1 else None)
        for code, wrong, text in (
            ("GLUCOSE_CONFLICT", not agreed, "glucose values of one scan differ; none is used"),
            ("FASTING_CONFLICT", len(fast) > 1, "records of one scan differ on fasting; none is used"),
            ("NOT_FASTING", fast == ["N"], "not fasting before the scan: uptake may be lower"),
        ):
            asked += [_query(code, "LB", who, visit, text, _ASK_LAB)] if wrong else []
    return glucose, fasting, asked


def _nearest(rows: pd.DataFrame | None, date: pd.Timestamp, days_before: int) -> pd.DataFrame:
    """Return the records of the scan's date, else those of the nearest date before it within the window."""
    if rows is None or pd.isna(date):
        return pd.DataFrame({"VALUE": [], "FASTING": []}, dtype=object)
    within = rows[rows["DATE"].between(date - pd.Timedelta(days=days_before), date)]
    return within[within["DATE"].eq(within["DATE"].max())]


def _off_drug(
    scans: pd.DataFrame, ex: pd.DataFrame | None, rules: plans.Section
) -> tuple[list[float], list[dict[str, Any]]]:
    if ex is None or ex.empty:
        return [np.nan] * len(scans), []
    by_subject = {who: _intervals(part, rules) for who, part in ex.groupby("USUBJID")}
    off, asked = [], []
    for who, visit, date in zip(scans["USUBJID"], scans["AVISIT"], scans["ADT"]):
        days, code = _days_without(by_subject.get(who), date, rules.condition_drug_days)
        off.append(days)
        asked += [_query(code, "EX", who, visit, _DRUG[code], _ASK_EX)] if code else []
    return off, asked


def _intervals(ex: pd.DataFrame, rules: plans.Section) -> pd.DataFrame:
    """Return FIRST and LAST day of each record of the drug, SURE (taken on all of them), DOSED and TURNED.

    A record without a whole first day may reach back to any day, one without a whole last day forward to any;
    of one that ends before it starts (TURNED) neither is believed. A placebo is not the drug.
    """
    name = _upper(ex, "EXTRT")
    drug = has_words(name, rules.condition_drug_terms) & ~has_words(name, rules.condition_drug_never)
    rows = ex[drug]
    first, last = full_dates(_text(rows, "EXSTDTC")), full_dates(_text(rows, "EXENDTC"))
    turned = last < first
    first, last = first.mask(turned), last.mask(turned)
    dose = pd.to_numeric(_text(rows, "EXDOSE"), errors="coerce")
    daily = _upper(rows, "EXDOSFRQ").isin(rules.condition_drug_daily)
    sure = first.notna() & last.notna() & dose.notna() & daily
    return pd.DataFrame(
        {"FIRST": first, "LAST": last, "SURE": sure, "DOSED": dose.ne(0) | turned, "TURNED": turned}
    )


def _days_without(records: pd.DataFrame | None, scan: pd.Timestamp, window: int) -> tuple[float, str | None]:
    """Count the days of the window that no record covers; a code where the records do not suffice to say."""
    if records is None or pd.isna(scan) or not records["DOSED"].any():
        return np.nan, None
    dosed, none = records[records["DOSED"]], records[~records["DOSED"]]
    if dosed["FIRST"].notna().all() and scan <= dosed["FIRST"].min():
        return np.nan, None
    days = scan.to_datetime64() - _DAY * np.arange(1, window + 1)
    sure = _covered(dosed[dosed["SURE"]], days)
    if (sure & _denied(dosed[dosed["SURE"]], none, days)).any():
        return np.nan, "DRUG_RECORD_CONFLICT"
    unsure = dosed[~dosed["SURE"]]
    if (_covered(unsure, days) & ~sure).any():
        turned = (_covered(unsure[unsure["TURNED"]], days) & ~sure).any()
        return np.nan, "DRUG_RECORD_CONFLICT" if turned else "DRUG_RECORD_INCOMPLETE"
    return float((~sure).sum()), None


def _denied(dosed: pd.DataFrame, none: pd.DataFrame, days: np.ndarray) -> np.ndarray:
    """Tell which days lie in a record with a dose and in one of 0; a day on which one follows the other not.

    A record of 0 without an end reaches to that of the dosed record in which it starts, and so backward.
    """
    denied = np.zeros(len(days), bool)
    for zero in none.dropna(subset=["FIRST", "LAST"], how="all").itertuples(index=False):
        for dose in dosed.itertuples(index=False):
            first = zero.FIRST if pd.notna(zero.FIRST) else min(dose.FIRST, zero.LAST)
            last = zero.LAST if pd.notna(zero.LAST) else max(dose.LAST, first)
            if pd.isna(zero.LAST) and first < dose.FIRST:
                continue  # a pause without an end ends where the drug starts again
            begin = max(first, dose.FIRST + (_DAY if last == dose.FIRST else 0 * _DAY))
            end = min(last, dose.LAST - (_DAY if first == dose.LAST else 0 * _DAY))
            denied |= (days >= begin.to_datetime64()) & (days <= end.to_datetime64())
    return denied


def _covered(records: pd.DataFrame, days: np.ndarray) -> np.ndarray:
    """Tell which days lie within any record; an unknown end is no bound."""
    first = records["FIRST"].fillna(pd.Timestamp.min).to_numpy()[:, None]
    last = records["LAST"].fillna(pd.Timestamp.max).to_numpy()[:, None]
    return ((first <= days) & (days <= last)).any(axis=0)


def _query(
    code: str, domain: str, who: str | None, record: str | None, message: str, action: str
) -> dict[str, Any]:
    severity = "note" if code == "NOT_FASTING" else "warning"
    return dict(zip(QUERY_COLUMNS, (code, severity, who, domain, record, message, action), strict=True))


def _text(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame:
        return pd.Series("", frame.index, dtype=object)
    return frame[name].map(lambda value: "" if pd.isna(value) else str(value).strip()).astype(object)


def _upper(frame: pd.DataFrame, name: str) -> pd.Series:
    values: Iterable[str] = _text(frame, name)
    return pd.Series([value.upper() for value in values], frame.index, dtype=object)
