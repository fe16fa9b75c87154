"""The pilot: day 14 or day 28, decided on what is known on the decision date, on patients with both scans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.landmark import LEDGER, landmark, ledger_rows, study_day_date
from analysis.survival.outcome import select_response, to_time_event
from analysis.survival.pilot_evidence import (
    CLASSES,
    agreement_evidence,
    contrast_of,
    discrimination_evidence,
    missing_evidence,
)


@dataclass(frozen=True)
class PilotComparison:
    """What notebook 03 shows and saves.

    Attributes
    ----------
    decision : dict
        What goes into ``decision.json``.
    evidence : DataFrame
        ITEM, TIMEPOINT (a day, or the later minus the earlier), ESTIMATE, LOWER, UPPER, P, N, EVENTS, METHOD.
    paired : DataFrame
        One row a pilot patient with both scans evaluable; columns as in `pair_visits`.
    compared : DataFrame
        Those of them in the comparison from the common landmark, with ``time`` (days) and ``event``.
    excluded : DataFrame
        Ledger: USUBJID, AVISIT, ITEM, CODE, REASON.
    """

    decision: dict
    evidence: pd.DataFrame
    paired: pd.DataFrame
    compared: pd.DataFrame
    excluded: pd.DataFrame


def compare_days(
    admr: pd.DataFrame, adtte: pd.DataFrame, adsl: pd.DataFrame, plan: Plan, rng: np.random.Generator
) -> PilotComparison:
    """Compare the two early PET days in the pilot, apply all decision rules, let the plan's one decide.

    Parameters
    ----------
    admr : DataFrame
        Metabolic response (all rules; the primary one is selected by the plan).
    adtte : DataFrame
        Time to event; the plan's primary endpoint is used.
    adsl : DataFrame
        Subjects: USUBJID, PILOTFL, TRTSDT.
    plan : Plan
        Sections design, primary and pilot.
    rng : numpy.random.Generator
        For the paired bootstrap.

    Returns
    -------
    PilotComparison
        Decision, evidence, patients and ledger.

    Raises
    ------
    ValueError
        If the study has no pilot patients.
    """
    paired, unpaired = pair_visits(admr, adsl, plan)
    decided_on = decision_date(admr, adsl, plan)
    endpoint = adtte[adtte["PARAMCD"].eq(plan.primary.endpoint)]
    known = known_at(endpoint[endpoint["USUBJID"].isin(pilot_subjects(adsl))], decided_on)
    compared, left_out = compare_from_landmark(paired, known, adsl, plan)
    evidence = pd.concat(
        [
            missing_evidence(rows_by_day(admr, adsl, plan), plan),
            agreement_evidence(paired, plan),
            discrimination_evidence(compared, plan, rng),
        ],
        ignore_index=True,
    )
    decision = decide(
        evidence,
        plan,
        decided_on,
        events_known=int(known["CNSR"].eq(0).sum()),
        n_common=len(paired),
    )
    excluded = pd.concat([unpaired, left_out], ignore_index=True)
    return PilotComparison(decision, evidence, paired, compared, excluded)


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


def pair_visits(admr: pd.DataFrame, adsl: pd.DataFrame, plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put both days of a pilot patient side by side; who lacks one goes to the ledger.

    Parameters
    ----------
    admr, adsl, plan
        As in `compare_days`.

    Returns
    -------
    paired : DataFrame
        USUBJID, and for each day SCORE_<day>, MRESP_<day>, PETDT_<day>: both scans evaluable.
    excluded : DataFrame
        Ledger: code PILOT_SCAN_MISSING (no scan), PILOT_SCAN_NE (not evaluable), one row a day concerned.
    """
    days, subjects = plan.design.followup_visits, pilot_subjects(adsl)
    wide = pd.DataFrame({"USUBJID": subjects})
    ledger = []
    for day in days:
        rows = _rows_of_day(admr, day, plan, subjects)
        usable = rows["MRESP"].isin(CLASSES) & np.isfinite(rows["SCORE"].astype(float))
        ledger.append(_unpaired(rows[~usable], day))
        columns = rows.loc[usable, ["USUBJID", "SCORE", "MRESP", "PETDT"]]
        columns = columns.rename(columns=lambda name, day=day: name if name == "USUBJID" else f"{name}_{day}")
        wide = wide.merge(columns, on="USUBJID", how="inner", validate="one_to_one")
    return wide, pd.concat(ledger, ignore_index=True).sort_values(["USUBJID", "AVISIT"], ignore_index=True)


def decision_date(admr: pd.DataFrame, adsl: pd.DataFrame, plan: Plan) -> pd.Timestamp | None:
    """Compute the date of the pilot's decision: the last pilot scan of the later day plus the plan's offset.

    Parameters
    ----------
    admr, adsl, plan
        As in `compare_days`.

    Returns
    -------
    Timestamp or None
        None where no pilot scan of the later day has a date (then nothing is censored by the decision date).
    """
    rows = _rows_of_day(admr, plan.design.followup_visits[-1], plan, pilot_subjects(adsl))
    last = pd.to_datetime(rows["PETDT"]).max()
    return None if pd.isna(last) else last + pd.Timedelta(days=plan.pilot.decision_offset_days)


def known_at(adtte: pd.DataFrame, date: pd.Timestamp | None) -> pd.DataFrame:
    """Censor follow-up administratively at a date: what was known on that day.

    Parameters
    ----------
    adtte : DataFrame
        STARTDT, ADT, AVAL and CNSR.
    date : Timestamp or None
        None, or a table without dates, leaves the rows as they are.

    Returns
    -------
    DataFrame
        A copy; rows that end later end on `date`, censored (CNSR 1); rows that start later are left out.
    """
    if date is None or adtte["ADT"].isna().all():
        return adtte.copy()
    begun = adtte[~(pd.to_datetime(adtte["STARTDT"]) > date)].copy()
    later = pd.to_datetime(begun["ADT"]) > date
    begun.loc[later, "AVAL"] -= (pd.to_datetime(begun.loc[later, "ADT"]) - date).dt.days
    begun.loc[later, "ADT"] = date
    begun.loc[later, "CNSR"] = 1
    return begun


def compare_from_landmark(
    paired: pd.DataFrame, known: pd.DataFrame, adsl: pd.DataFrame, plan: Plan
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Follow the paired patients from one common landmark, so that no day is favoured.

    Parameters
    ----------
    paired : DataFrame
        From `pair_visits`.
    known : DataFrame
        From `known_at`, one endpoint.
    adsl, plan
        As in `compare_days`.

    Returns
    -------
    compared : DataFrame
        Rows of `paired` with ``time`` (days from the landmark) and ``event``.
    excluded : DataFrame
        Ledger of the patients without follow-up after the landmark.
    """
    rows = known[known["USUBJID"].isin(paired["USUBJID"])]
    if rows["ADT"].isna().all():
        zero = plan.pilot.landmark_day
    else:
        zero = study_day_date(adsl.set_index("USUBJID")["TRTSDT"], plan.pilot.landmark_day)
    kept, excluded = landmark(rows, zero)
    unknown = paired[~paired["USUBJID"].isin(rows["USUBJID"])]
    excluded = pd.concat([excluded, ledger_rows(unknown, "NO_ENDPOINT")], ignore_index=True)
    outcome = to_time_event(kept)[["USUBJID", "time", "event"]]
    compared = paired.merge(outcome, on="USUBJID", how="inner", validate="one_to_one")
    return compared, excluded


def rows_by_day(admr: pd.DataFrame, adsl: pd.DataFrame, plan: Plan) -> dict[str, pd.DataFrame]:
    """Select, for each candidate day, one row a pilot patient; without a scan its class is missing.

    Parameters
    ----------
    admr, adsl, plan
        As in `compare_days`.

    Returns
    -------
    dict
        Day to rows of `admr` under the primary rule.
    """
    subjects = pilot_subjects(adsl)
    return {day: _rows_of_day(admr, day, plan, subjects) for day in plan.design.followup_visits}


def decide(
    evidence: pd.DataFrame, plan: Plan, decided_on: pd.Timestamp | None, *, events_known: int, n_common: int
) -> dict:
    """Apply every decision rule to the evidence; the plan's one, or its fallback, decides.

    Parameters
    ----------
    evidence : DataFrame
        From `analysis.survival.pilot_evidence`, one table.
    plan : Plan
        Sections design, primary and pilot.
    decided_on : Timestamp or None
        Date of the decision.
    events_known : int
        Events of the endpoint among all pilot patients known on that date: below the plan's minimum the
        fallback decides.
    n_common : int
        Pilot patients with both scans evaluable.

    Returns
    -------
    dict
        rule, timepoint, support (every rule's choice, the fallback's, the bootstrap share), evidence (rows
        by name), decision_date (ISO text or None), n_common, n_compared and n_events (after the common
        landmark), events_known, fallback, reason. Ready for JSON: missing numbers are None.
    """
    rules, (earlier, later) = plan.pilot, plan.design.followup_visits
    choices, instead = rule_choices(evidence, plan), fallback_choice(evidence, plan)
    comparable = np.isfinite(_value(evidence, "concordance", earlier))
    compared = evidence[evidence["ITEM"].eq("concordance")].iloc[0]
    fallback = events_known < rules.min_pilot_events or not comparable
    chosen = instead if fallback else choices[rules.rule]
    return {
        "rule": rules.rule,
        "timepoint": chosen,
        "support": {
            "choices": choices,
            "fallback_choice": instead,
            "bootstrap_share_later": _plain(_value(evidence, "bootstrap_support", later)),
        },
        "evidence": {
            timepoint: {item: _plain(_value(evidence, item, timepoint)) for item in rows["ITEM"].unique()}
            for timepoint, rows in evidence.groupby("TIMEPOINT", sort=True)
        },
        "decision_date": None if decided_on is None else decided_on.date().isoformat(),
        "n_common": int(n_common),
        "n_compared": int(compared["N"]),
        "n_events": int(compared["EVENTS"]),
        "events_known": int(events_known),
        "fallback": bool(fallback),
        "reason": _reason(evidence, plan, chosen, fallback, events_known),
    }


def rule_choices(evidence: pd.DataFrame, plan: Plan) -> dict[str, str]:
    """Apply each decision rule of the plan; where a number is missing the earlier day stands.

    Parameters
    ----------
    evidence : DataFrame
        As in `decide`.
    plan : Plan
        Sections design and pilot.

    Returns
    -------
    dict
        Rule to chosen day.
    """
    rules, (earlier, later) = plan.pilot, plan.design.followup_visits
    contrast = contrast_of(plan)
    gain, agreement = _value(evidence, "concordance", contrast), _value(evidence, "kappa", contrast)
    # Comparisons with a missing number are false: the later day is never chosen without evidence.
    later_wins = {
        "margin": gain > rules.margin,
        "max_concordance": gain > 0,
        "max_partial_likelihood": _value(evidence, "gain_score", contrast) > 0,
        "bootstrap_support": _value(evidence, "bootstrap_support", later) >= rules.bootstrap_support,
        "agreement_first": agreement < rules.kappa_min and _value(evidence, "gain_class", contrast) > 0,
    }
    return {rule: later if won else earlier for rule, won in later_wins.items()}


def fallback_choice(evidence: pd.DataFrame, plan: Plan) -> str:
    """Choose without the endpoint: the earlier day, unless its scan is lacking clearly more often.

    Parameters
    ----------
    evidence : DataFrame
        As in `decide`; ``missing_share`` of both days is read.
    plan : Plan
        Sections design and pilot.

    Returns
    -------
    str
        The chosen day.
    """
    earlier, later = plan.design.followup_visits
    excess = 100 * (_value(evidence, "missing_share", earlier) - _value(evidence, "missing_share", later))
    return later if excess > plan.pilot.missing_points else earlier


def _value(evidence: pd.DataFrame, item: str, timepoint: str) -> float:
    found = evidence.loc[evidence["ITEM"].eq(item) & evidence["TIMEPOINT"].eq(timepoint), "ESTIMATE"]
    return float(found.iloc[0]) if len(found) else float("nan")


def _plain(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _reason(evidence: pd.DataFrame, plan: Plan, chosen: str, fallback: bool, events_known: int) -> str:
    rules, (earlier, later) = plan.pilot, plan.design.followup_visits
    if not fallback:
        gain = _value(evidence, "concordance", contrast_of(plan))
        return f"rule {rules.rule}: C of {later} minus C of {earlier} is {gain:+.3f}; {chosen} taken"
    first, second = (100 * _value(evidence, "missing_share", day) for day in (earlier, later))
    why = f"{events_known} {plan.primary.endpoint} events known, {rules.min_pilot_events} are needed"
    if events_known >= rules.min_pilot_events:
        why = "no two patients can be ordered after the common landmark"
    return (
        f"{why}: decided without the endpoint; scans missing or not evaluable {first:.0f} % at {earlier}, "
        f"{second:.0f} % at {later}; {chosen} taken"
    )


def _rows_of_day(admr: pd.DataFrame, day: str, plan: Plan, subjects: list[str]) -> pd.DataFrame:
    """Return one row a pilot subject; a subject without a row there has no scan."""
    primary = plan.primary
    rows = select_response(
        admr, timepoint=day, metric=primary.metric, rule=primary.response_rule, cut=primary.cut_percent
    )
    return pd.DataFrame({"USUBJID": subjects}).merge(rows, on="USUBJID", how="left", validate="one_to_one")


def _unpaired(rows: pd.DataFrame, day: str) -> pd.DataFrame:
    scanned = rows["PETDT"].notna()
    why = rows["NEREAS"] if "NEREAS" in rows else pd.Series(None, index=rows.index, dtype=object)
    ledger = pd.DataFrame({"USUBJID": rows["USUBJID"], "AVISIT": day, "ITEM": "scan"})
    ledger["CODE"] = np.where(scanned, "PILOT_SCAN_NE", "PILOT_SCAN_MISSING")
    ledger["REASON"] = why.where(why.notna(), "no scan in the window of this day")
    return ledger[LEDGER]
