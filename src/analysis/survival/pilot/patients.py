"""Who is compared in the pilot: both scans, what was known on the decision date, a common landmark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.landmark import LEDGER, landmark, ledger_rows, study_day_date
from analysis.survival.outcome import select_response, to_time_event

CLASSES = ("RESPONDER", "NON-RESPONDER")
# Reason in ADMR that says there was no scan: all the others are scans that cannot be evaluated.
_NO_SCAN = "NO_FOLLOWUP_SCAN"
# Date in the rows of `clinical.tte_rules` that makes an endpoint one that is seen on assessments.
_PROGRESSION_DATE = "progression"


def pilot_subjects(adsl: pd.DataFrame) -> list[str]:
    """List the pilot's subjects (PILOTFL equal to Y), sorted.

    Parameters
    ----------
    adsl : DataFrame
        Subjects with USUBJID and PILOTFL.

    Returns
    -------
    list of str
        Subject identifiers.

    Raises
    ------
    ValueError
        If there is none.
    """
    subjects = sorted(adsl.loc[adsl["PILOTFL"].eq("Y"), "USUBJID"])
    if not subjects:
        raise ValueError("no subject has PILOTFL 'Y': a study without pilot sets primary.timepoint to a day")
    return subjects


def rows_by_day(admr: pd.DataFrame, subjects: Sequence[str], plan: Plan) -> dict[str, pd.DataFrame]:
    """Select, for each candidate day, one row a subject; without a scan its class is missing.

    Parameters
    ----------
    admr : DataFrame
        Metabolic response; the plan's primary metric, rule and cut are selected.
    subjects : sequence of str
        USUBJID of who is listed, for example `pilot_subjects`.
    plan : Plan
        Sections design and primary.

    Returns
    -------
    dict
        Day to rows of `admr`.

    Raises
    ------
    ValueError
        If nobody at all has a row on either of the days.
    """
    primary, listed = plan.primary, pd.DataFrame({"USUBJID": list(subjects)})
    chosen = {"metric": primary.metric, "rule": primary.response_rule, "cut": primary.cut_percent}
    asked = admr["METRIC"].eq(primary.metric) & admr["RULE"].eq(primary.response_rule)
    days, there = plan.design.followup_visits, set(admr.loc[asked, "AVISIT"])
    tables = {}
    for day in days:
        # A day on which nobody was scanned is lacking for everybody; only without both is nothing to compare.
        absent = day not in there and not there.isdisjoint(days)
        rows = admr.iloc[:0] if absent else select_response(admr, timepoint=day, **chosen)
        tables[day] = listed.merge(rows, on="USUBJID", how="left", validate="one_to_one")
    return tables


def check_scanned(rows: dict[str, pd.DataFrame]) -> None:
    """Refuse a pilot in which nobody was scanned on either day: even the fallback has nothing to read.

    Parameters
    ----------
    rows : dict
        From `rows_by_day`.

    Raises
    ------
    ValueError
        If no subject has a scan on either day.
    """
    if not any(_scanned(table).any() for table in rows.values()):
        raise ValueError(
            f"no pilot patient has a scan on {' or '.join(rows)}: there is no day to choose; "
            "set primary.timepoint, or check PILOTFL and the visits"
        )


def pair_visits(admr: pd.DataFrame, subjects: Sequence[str], plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put both days of a subject side by side; who lacks one goes to the ledger.

    Parameters
    ----------
    admr, subjects, plan
        As in `rows_by_day`.

    Returns
    -------
    paired : DataFrame
        USUBJID, and for each day SCORE_<day>, MRESP_<day>, PETDT_<day>: both scans evaluable.
    excluded : DataFrame
        Ledger: code PILOT_SCAN_MISSING (no scan), PILOT_SCAN_NE (not evaluable), one row a day concerned.
    """
    wide, ledger = pd.DataFrame({"USUBJID": list(subjects)}), []
    for day, rows in rows_by_day(admr, subjects, plan).items():
        usable = rows["MRESP"].isin(CLASSES) & np.isfinite(rows["SCORE"].astype(float))
        ledger.append(_unpaired(rows[~usable], day, dated=rows["PETDT"].notna().any()))
        columns = rows.loc[usable, ["USUBJID", "SCORE", "MRESP", "PETDT"]]
        columns = columns.rename(columns=lambda name, day=day: name if name == "USUBJID" else f"{name}_{day}")
        wide = wide.merge(columns, on="USUBJID", how="inner", validate="one_to_one")
    return wide, pd.concat(ledger, ignore_index=True).sort_values(["USUBJID", "AVISIT"], ignore_index=True)


def decision_date(admr: pd.DataFrame, adsl: pd.DataFrame, plan: Plan) -> pd.Timestamp | None:
    """Compute the date of the pilot's decision: the last pilot scan of the later day plus the plan's offset.

    Parameters
    ----------
    admr : DataFrame
        Metabolic response with PETDT.
    adsl : DataFrame
        Subjects with PILOTFL.
    plan : Plan
        Sections design, primary and pilot.

    Returns
    -------
    Timestamp or None
        None where no pilot scan of the later day has a date (then nothing is censored by the decision date).
    """
    rows = rows_by_day(admr, pilot_subjects(adsl), plan)[plan.design.followup_visits[-1]]
    last = pd.to_datetime(rows["PETDT"]).max()
    return None if pd.isna(last) else last + pd.Timedelta(days=plan.pilot.decision_offset_days)


def adequate_assessments(adrs: pd.DataFrame | None, plan: Plan) -> pd.DataFrame | None:
    """Select the assessments to which the primary endpoint is known to be free of progression.

    Parameters
    ----------
    adrs : DataFrame or None
        Tumour assessments: USUBJID, PARAMCD, ADT, AVALC.
    plan : Plan
        Sections clinical (the table of the endpoint, the source of the responses, whether one that is not
        evaluable is adequate) and primary.

    Returns
    -------
    DataFrame or None
        USUBJID and ADT; None where the endpoint is not seen on assessments (no row of its table dates a
        progression, as for OS) or the study has no table of them.
    """
    rules = plan.clinical
    rule_set = rules.tte_rules[rules.endpoint_rules]
    variants = rules.tte_sensitivity.get(rules.endpoint_rules, {})
    endpoint = variants.get(plan.primary.endpoint, {}).get("endpoint", plan.primary.endpoint)
    rows = rule_set["endpoints"].get(endpoint, {}).get("rows", [])
    if adrs is None or not any(row["date"] == _PROGRESSION_DATE for row in rows):
        return None
    read = adrs[adrs["PARAMCD"].eq(rule_set["responses"][rules.response_source]) & adrs["ADT"].notna()]
    if read.empty:
        return None
    adequate = read["AVALC"].notna() & (read["AVALC"].ne("NE") | (rules.not_evaluable == "adequate"))
    return read.loc[adequate, ["USUBJID", "ADT"]]


def known_at(
    adtte: pd.DataFrame, date: pd.Timestamp | None, assessments: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Censor follow-up at a date: what was known on that day.

    Parameters
    ----------
    adtte : DataFrame
        USUBJID, STARTDT, ADT, AVAL and CNSR.
    date : Timestamp or None
        None, or a table without dates, leaves the rows as they are.
    assessments : DataFrame, optional
        USUBJID and ADT of the adequate assessments, for an endpoint seen on them (`adequate_assessments`).

    Returns
    -------
    DataFrame
        A copy; rows that end later are censored (CNSR 1): on `date`, or, with `assessments`, at the last of
        them up to that date (at time zero without one), for that is as far as the patient was known to be
        event-free. Rows that start later are left out.
    """
    if date is None or adtte["ADT"].isna().all():
        return adtte.copy()
    begun = adtte[~(pd.to_datetime(adtte["STARTDT"]) > date)].copy()
    later = pd.to_datetime(begun["ADT"]) > date
    end = pd.Series(date, index=begun.index)
    if assessments is not None:
        end = _last_assessed(begun, assessments, date)
    begun.loc[later, "AVAL"] -= (pd.to_datetime(begun["ADT"]) - end).dt.days[later]
    begun.loc[later, "ADT"] = end[later]
    begun.loc[later, "CNSR"] = 1
    return begun


def common_landmark(adtte: pd.DataFrame, adsl: pd.DataFrame, plan: Plan) -> pd.Series | int:
    """Return the landmark both days share: the plan's study day as a date, or as a number without dates.

    Parameters
    ----------
    adtte : DataFrame
        One endpoint, with ADT.
    adsl : DataFrame
        Subjects with TRTSDT.
    plan : Plan
        Section pilot.

    Returns
    -------
    Series or int
        What `landmark` takes.
    """
    if adtte["ADT"].isna().all():
        return plan.pilot.landmark_day
    return study_day_date(adsl.set_index("USUBJID")["TRTSDT"], plan.pilot.landmark_day)


def follow_from(
    subjects: pd.DataFrame, adtte: pd.DataFrame, zero, *, visit: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Follow subjects from a landmark; who is not event-free and followed after it goes to the ledger.

    Parameters
    ----------
    subjects : DataFrame
        One row a subject, for example from `pair_visits`.
    adtte : DataFrame
        One endpoint, for example from `known_at`.
    zero : Series, mapping or number
        Landmark, as `landmark` takes it.
    visit : str, optional
        AVISIT of the ledger.

    Returns
    -------
    followed : DataFrame
        Rows of `subjects` with ``time`` (days from the landmark) and ``event``.
    excluded : DataFrame
        Ledger.
    """
    rows = adtte[adtte["USUBJID"].isin(subjects["USUBJID"])]
    kept, excluded = landmark(rows, zero)
    unknown = subjects[~subjects["USUBJID"].isin(rows["USUBJID"])]
    excluded = pd.concat([excluded, ledger_rows(unknown, "NO_ENDPOINT")], ignore_index=True)
    outcome = to_time_event(kept)[["USUBJID", "time", "event"]]
    followed = subjects.merge(outcome, on="USUBJID", how="inner", validate="one_to_one")
    return followed, excluded.assign(AVISIT=visit)


def _last_assessed(adtte: pd.DataFrame, assessments: pd.DataFrame, date: pd.Timestamp) -> pd.Series:
    """Return the date of each row's last assessment after time zero and up to a date, else time zero."""
    start = pd.to_datetime(adtte["STARTDT"])
    dated = assessments.assign(ADT=pd.to_datetime(assessments["ADT"]))
    last = dated[dated["ADT"].le(date)].groupby("USUBJID")["ADT"].max()
    seen = pd.to_datetime(adtte["USUBJID"].map(last))
    return seen.where(seen > start, start)


def _reasons(rows: pd.DataFrame) -> pd.Series:
    return rows["NEREAS"] if "NEREAS" in rows else pd.Series(None, index=rows.index, dtype=object)


def _scanned(rows: pd.DataFrame, *, dated: bool | None = None) -> pd.Series:
    """Mark who was scanned: by the date, or, in a study without dates, by the score or the reason given."""
    why = _reasons(rows)
    if rows["PETDT"].notna().any() if dated is None else dated:
        return rows["PETDT"].notna()
    # A study without dates tells a scan that was made by its score, or by a reason other than "no scan".
    return rows["SCORE"].notna() | (why.notna() & why.ne(_NO_SCAN))


def _unpaired(rows: pd.DataFrame, day: str, *, dated: bool) -> pd.DataFrame:
    why, scanned = _reasons(rows), _scanned(rows, dated=dated)
    ledger = pd.DataFrame({"USUBJID": rows["USUBJID"], "AVISIT": day, "ITEM": "scan"})
    ledger["CODE"] = np.where(scanned, "PILOT_SCAN_NE", "PILOT_SCAN_MISSING")
    instead = np.where(scanned, "no continuous response at this day", "no scan in the window of this day")
    ledger["REASON"] = why.where(why.notna(), pd.Series(instead, index=rows.index))
    return ledger[LEDGER]
