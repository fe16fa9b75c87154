"""Protocol deviations that the scans show: missing, refused, outside their window, not alike.

Reads tables only (scan_qc, comparability, admr), as written by the step that measured the scans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.clinical.deviation_frame import (
    Found,
    early_or_late,
    found_rows,
    joined,
    outside,
    rules_in_use,
    tabulate_found,
    unknown,
    why_not_asked,
)
from analysis.clinical.deviation_records import duty_ends
from analysis.clinical.lesions import start_dates

BASELINE = "D0"
_OTHER = ("UNSCHED", "PROG")  # visits that a scan gets which lies in no window
_NO_DATES = "no dates of scans and first dose"


@dataclass(frozen=True)
class Scans:
    """What the rules look at: treated subjects, their scans with study days, pairs, windows, the plan."""

    adsl: pd.DataFrame
    scans: pd.DataFrame
    pairs: pd.DataFrame
    due: pd.DataFrame
    plan: plans.Plan

    @property
    def windows(self) -> dict[str, tuple[float, float]]:
        """Window of every visit that has one: first and last study day."""
        visits = self.plan.visits.to_dict()
        found = {BASELINE: (-self.plan.visits.baseline_max_days_before, 1)}
        for visit in self.plan.design.followup_visits:
            if f"{visit.lower()}_window" in visits:
                found[visit] = tuple(visits[f"{visit.lower()}_window"])
        return found

    @property
    def dated(self) -> bool:
        """Tell whether any scan has a study day."""
        return bool(self.scans["DAY"].notna().any())


def derive_scan_deviations(
    adsl: pd.DataFrame,
    scan_qc: pd.DataFrame,
    comparability: pd.DataFrame,
    admr: pd.DataFrame,
    plan: plans.Plan,
    adrs: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Derive the protocol deviations of treated subjects that the scans show.

    A scan is due where `admr` expects one (any rule) and the subject was on study until its window closed; a
    baseline scan is due for everybody treated. A scan near a window whose visit has none stands for that
    visit, out of its window; the visit is then not missing as well.

    Parameters
    ----------
    adsl, scan_qc, comparability, admr : DataFrame
        Tables of these names.
    plan : Plan
        Sections `clinical`, `design`, `visits` and `response`.
    adrs : DataFrame, optional
        Table of this name: nobody owes a scan after progression.

    Returns
    -------
    (DataFrame, DataFrame)
        As `derive_protocol_deviations`, in the contracts protocol_deviations and deviation_rules.
    """
    treated = adsl[adsl["SAFFL"].eq("Y")]
    first = start_dates(treated, plan.clinical)
    scans = scan_qc[scan_qc["USUBJID"].isin(treated["USUBJID"])]
    days = (scans["ADT"] - scans["USUBJID"].map(first).astype("datetime64[ns]")) / pd.Timedelta(days=1)
    scans = scans.assign(DAY=days.where(days < 0, days + 1))
    pairs = comparability[comparability["USUBJID"].isin(treated["USUBJID"])]
    e = Scans(treated, scans, pairs, _due(treated, first, admr, adrs, plan), plan)
    rules = plan.clinical
    used, why = rules_in_use(rules), why_not_asked(rules)
    asked = [code for code, rule in used.items() if code in _RULES or "checks" in rule]
    found = {code: unknown(why) if why else _answer(e, code) for code in asked}
    return tabulate_found(found, adsl, rules, ("protocol_deviations", "deviation_rules"))


def _answer(e: Scans, code: str) -> Found:
    return _RULES[code](e) if code in _RULES else _checked(e, e.plan.clinical.deviation_rules[code]["checks"])


def _due(treated, first, admr: pd.DataFrame, adrs, plan: plans.Plan) -> pd.DataFrame:
    """List the visits at which a scan was due: USUBJID AVISIT UNTIL (study day until which it was owed)."""
    ends = (duty_ends(treated, adrs, plan) - first) / pd.Timedelta(days=1) + 1
    base = treated[["USUBJID"]].assign(AVISIT=BASELINE)
    later = admr.loc[admr["USUBJID"].isin(treated["USUBJID"]), ["USUBJID", "AVISIT"]].drop_duplicates()
    rows = pd.concat([base, later], ignore_index=True)
    return rows.assign(UNTIL=rows["USUBJID"].map(ends))


def _misplaced(e: Scans) -> pd.DataFrame:
    """Find scans outside the window of the visit they are, or stand for: USUBJID AVISIT OFF (days)."""
    pieces = []
    for visit, (low, high) in e.windows.items():
        own = e.scans[e.scans["AVISIT"].eq(visit)]
        due = e.due.loc[e.due["AVISIT"].eq(visit), "USUBJID"]
        others = e.scans[e.scans["AVISIT"].isin(_OTHER) & e.scans["USUBJID"].isin(due)]
        others = others[~others["USUBJID"].isin(own["USUBJID"])]
        near = outside(others["DAY"], low, high)
        others = others[near.abs() <= e.plan.clinical.deviation_scan_near_days]
        rows = pd.concat([own, others])
        rows = rows.assign(OFF=outside(rows["DAY"], low, high), VISIT=visit)
        pieces.append(rows[rows["OFF"].abs() > 0])
    rows = pd.concat(pieces).assign(SIZE=lambda found: found["OFF"].abs())
    # One scan stands for one visit, the nearest; one visit has one scan out of its window.
    rows = rows.sort_values(["USUBJID", "SIZE", "VISIT"]).drop_duplicates(["USUBJID", "DAY"])
    rows = rows.drop_duplicates(["USUBJID", "VISIT"])
    return rows[["USUBJID", "VISIT", "OFF"]].rename(columns={"VISIT": "AVISIT"})


def _missing(e: Scans) -> Found:
    if not e.dated:
        return unknown(_NO_DATES)
    closing = e.due["AVISIT"].map({visit: high for visit, (_, high) in e.windows.items()})
    owed = e.due[e.due["AVISIT"].eq(BASELINE) | (e.due["UNTIL"] >= closing)]
    made = pd.concat([e.scans[["USUBJID", "AVISIT"]], _misplaced(e)[["USUBJID", "AVISIT"]]])
    keys = pd.MultiIndex.from_frame(owed[["USUBJID", "AVISIT"]])
    rows = owed[~keys.isin(pd.MultiIndex.from_frame(made))]
    limits = [_window_text(e.windows[visit]) for visit in rows["AVISIT"]]
    return Found(found_rows(rows, "scan_qc, admr", LIMIT=limits), owed["USUBJID"].nunique())


def _refused(e: Scans) -> Found:
    if e.scans.empty:
        return unknown("no scans")
    rows = e.scans[e.scans["STATUS"].ne("OK")].drop_duplicates(["USUBJID", "AVISIT"])
    limits = rows["CODE"].tolist()
    return Found(found_rows(rows, "scan_qc", LIMIT=limits), e.scans["USUBJID"].nunique())


def _out_of_window(e: Scans, *, after_dose: bool) -> Found:
    if not e.dated:
        return unknown(_NO_DATES)
    rows = _misplaced(e)
    late_baseline = rows["AVISIT"].eq(BASELINE) & rows["OFF"].gt(0)
    rows = rows[late_baseline == after_dose].assign(AVAL=lambda found: found["OFF"].abs())
    limits = [_window_text(e.windows[visit]) for visit in rows["AVISIT"]]
    among = e.scans.loc[e.scans["DAY"].notna(), "USUBJID"].nunique()
    return Found(found_rows(rows, "scan_qc, ADSL", UNIT=early_or_late(rows["OFF"]), LIMIT=limits), among)


def _after_dose(e: Scans) -> Found:
    return _out_of_window(e, after_dose=True)


def _outside_window(e: Scans) -> Found:
    return _out_of_window(e, after_dose=False)


def _off_drug(e: Scans) -> Found:
    visits = e.plan.design.followup_visits  # a progression may have stopped the drug
    known = e.scans[e.scans["AVISIT"].isin(visits)]
    known = known[known["OFFDRUG7"].notna()] if "OFFDRUG7" in known else known.iloc[:0]
    limit = e.plan.response.off_drug_max_days
    if known.empty:
        return unknown("days off the drug before the scans are not known")
    rows = known.assign(AVAL=known["OFFDRUG7"])[known["OFFDRUG7"] > limit]
    text = f"off the drug on at most {limit:g} of the 7 days before"
    return Found(found_rows(rows, "scan_qc", UNIT="days", LIMIT=text), known["USUBJID"].nunique())


def _window_text(window: tuple[float, float]) -> str:
    return f"study day {window[0]:g} to {window[1]:g}".replace("-", "−")


def _checked(e: Scans, checks: list[str]) -> Found:
    """List what checks of comparability find: each scan once, or each pair where two scans are compared."""
    limits = {name: _limit_of(e.plan.response, name) for name in checks}
    limits = {name: limit for name, limit in limits.items() if limit}
    single = [name for name, limit in limits.items() if set(limit) & set(_BREAKS)]
    found = [_single_scans(e, name, limits[name]) for name in single]
    found += [_pairs(e, [name for name in limits if name not in single])] if set(limits) - set(single) else []
    known = [one for one in found if not one.unknown]
    if not known:
        return unknown(found[0].unknown if found else "the study asks for no such check")
    rows = joined([one.rows for one in known])
    return Found(rows.drop_duplicates(["USUBJID", "AVISIT"]), max(one.among for one in known))


def _limit_of(rules, check: str) -> Mapping[str, Any] | None:
    made = rules.comparability_checks.get(check)
    return made["limits"].get(rules.comparability_standard) if made else None


_BREAKS: dict[str, Callable[[pd.Series, Any], Any]] = {
    "at_least": lambda value, limit: value < limit,
    "at_most": lambda value, limit: value > limit,
    "within": lambda value, limit: (value < limit[0]) | (value > limit[1]),
    "equal_to": lambda value, limit: value.ne(limit),
}


def _single_scans(e: Scans, check: str, limit: Mapping[str, Any]) -> Found:
    made = e.plan.response.comparability_checks[check]
    columns = [name for name in made["columns"] if name in e.scans]
    values = e.scans[columns].bfill(axis=1).iloc[:, 0] if columns else pd.Series(np.nan, e.scans.index)
    told = values.notna()
    if not told.any():
        return unknown(f"{' or '.join(made['columns'])} is not recorded")
    kind, bound = next((kind, bound) for kind, bound in limit.items() if kind in _BREAKS)
    rows = e.scans[told & _BREAKS[kind](values, bound)]
    number = kind != "equal_to"
    rows = rows.assign(AVAL=pd.to_numeric(values.loc[rows.index]) if number else np.nan)
    text = _bound_text(kind, bound, made.get("unit", ""))
    unit = made.get("unit") if number else None
    return Found(found_rows(rows, "scan_qc", UNIT=unit, LIMIT=text), e.scans.loc[told, "USUBJID"].nunique())


def _bound_text(kind: str, bound: Any, unit: str) -> str:
    if kind == "within":
        return f"{bound[0]:g} to {bound[1]:g} {unit}".strip()
    return f"{kind.replace('_', ' ')} {bound:g} {unit}".strip() if kind != "equal_to" else ""


def _pairs(e: Scans, checks: list[str]) -> Found:
    rows = e.pairs[e.pairs["CHECK"].isin(checks)]
    told = rows[rows["RESULT"].isin(["PASS", "FAIL"])]
    if told.empty:
        return unknown("the scans do not say it")
    place = {name: order for order, name in enumerate(checks)}
    failed = told[told["RESULT"].eq("FAIL")].assign(ORDER=lambda found: found["CHECK"].map(place))
    failed = failed.sort_values(["USUBJID", "AVISIT", "ORDER"]).drop_duplicates(["USUBJID", "AVISIT"])
    units = [e.plan.response.comparability_checks[name].get("unit") for name in failed["CHECK"]]
    said = [f"{check.replace('_', ' ')}: {limit}" for check, limit in zip(failed["CHECK"], failed["LIMIT"])]
    rows = found_rows(failed.assign(AVAL=failed["DIFF"]), "comparability", UNIT=units, LIMIT=said)
    return Found(rows, told["USUBJID"].nunique())


_RULES: dict[str, Callable[[Scans], Found]] = {
    "SCAN_MISSING": _missing,
    "SCAN_REFUSED": _refused,
    "BASELINE_SCAN_AFTER_DOSE": _after_dose,
    "SCAN_OUT_OF_WINDOW": _outside_window,
    "OFF_DRUG_AT_SCAN": _off_drug,
}
