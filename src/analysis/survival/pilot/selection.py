"""The pilot: which of two early days, decided on what is known on the decision date, both scans needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.pilot.discrimination import discrimination_evidence
from analysis.survival.pilot.evidence import (
    DECISION,
    SENSITIVITY,
    agreement_evidence,
    label_set,
    missing_evidence,
)
from analysis.survival.pilot.patients import (
    adequate_assessments,
    check_scanned,
    common_landmark,
    decision_date,
    follow_from,
    known_at,
    pair_visits,
    pilot_subjects,
    rows_by_day,
)
from analysis.survival.pilot.rules import fallback_choice, lacking_of, reading_of, rule_choices, value_of
from analysis.survival.pilot.sensitivity import missing_as_nonresponse_evidence, own_landmark_evidence


@dataclass(frozen=True)
class PilotComparison:
    """What notebook 03 shows and saves.

    Attributes
    ----------
    decision : dict
        What goes into ``decision.json``.
    evidence : DataFrame
        Contract ``pilot_evidence``, set DECISION: what was known on the decision date.
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
    admr: pd.DataFrame,
    adtte: pd.DataFrame,
    adsl: pd.DataFrame,
    plan: Plan,
    rng: np.random.Generator,
    *,
    adrs: pd.DataFrame | None = None,
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
        Sections design, clinical, primary, pilot and survival.
    rng : numpy.random.Generator
        For the paired bootstrap.
    adrs : DataFrame, optional
        Tumour assessments: an endpoint seen on them is known, on the decision date, only to the last adequate
        one. Without them follow-up ends on the decision date itself.

    Returns
    -------
    PilotComparison
        Decision, evidence, patients and ledger.

    Raises
    ------
    ValueError
        If the study has no pilot patients, or none of them has a scan on either day.
    """
    subjects = pilot_subjects(adsl)
    rows = rows_by_day(admr, subjects, plan)
    check_scanned(rows)
    paired, unpaired = pair_visits(admr, subjects, plan)
    decided_on = decision_date(admr, adsl, plan)
    endpoint = adtte[adtte["PARAMCD"].eq(plan.primary.endpoint)]
    own = endpoint[endpoint["USUBJID"].isin(subjects)]
    known = known_at(own, decided_on, adequate_assessments(adrs, plan))
    zero = common_landmark(known, adsl, plan)
    compared, left_out = follow_from(paired, known, zero)
    evidence = label_set(
        [
            missing_evidence(rows, plan),
            agreement_evidence(paired, plan),
            discrimination_evidence(compared, plan, rng),
            own_landmark_evidence(paired, known, plan, rng),
            missing_as_nonresponse_evidence(rows, known, zero, plan, rng),
        ],
        DECISION,
    )
    events_known = int(known["CNSR"].eq(0).sum())
    decision = decide(evidence, plan, decided_on, events_known=events_known, n_common=len(paired))
    excluded = pd.concat([unpaired, left_out], ignore_index=True)
    return PilotComparison(decision, evidence, paired, compared, excluded)


def decide(
    evidence: pd.DataFrame, plan: Plan, decided_on: pd.Timestamp | None, *, events_known: int, n_common: int
) -> dict:
    """Apply every decision rule to the evidence of the set DECISION; the plan's, or its fallback, decides.

    Parameters
    ----------
    evidence : DataFrame
        Contract ``pilot_evidence``; rows of other sets are not read.
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
    evidence = evidence[evidence["SET"].eq(DECISION)]
    choices, instead = rule_choices(evidence, plan), fallback_choice(evidence, plan)
    comparable = np.isfinite(value_of(evidence, "concordance", earlier))
    compared = evidence[evidence["ITEM"].eq("concordance")].iloc[0]
    fallback = events_known < rules.min_pilot_events or not comparable
    chosen = instead if fallback else choices[rules.rule]
    main = evidence[evidence["ROLE"].ne(SENSITIVITY)]
    return {
        "rule": rules.rule,
        "timepoint": chosen,
        "support": {
            "choices": choices,
            "fallback_choice": instead,
            "bootstrap_share_later": _plain(value_of(evidence, "bootstrap_support", later)),
        },
        "evidence": {
            timepoint: {name: _plain(value_of(evidence, name, timepoint)) for name in rows["ITEM"].unique()}
            for timepoint, rows in main.groupby("TIMEPOINT", sort=True)
        },
        "decision_date": None if decided_on is None else decided_on.date().isoformat(),
        "n_common": int(n_common),
        "n_compared": int(compared["N"]),
        "n_events": int(compared["EVENTS"]),
        "events_known": int(events_known),
        "fallback": bool(fallback),
        "reason": _reason(evidence, plan, chosen, fallback, events_known),
    }


def note_deviations(decision: dict, changed: Sequence[Any]) -> dict:
    """Say in a decision that the plan behind it was changed after outcomes had first been analysed.

    Parameters
    ----------
    decision : dict
        From `decide`.
    changed : sequence
        The changed values of the plan, each with name, first and now (`Run.deviations`).

    Returns
    -------
    dict
        `decision` where nothing was changed; else a copy with the key post_hoc (one text a value) and the
        names at the end of its reason.
    """
    if not changed:
        return decision
    names = ", ".join(one.name for one in changed)
    said = [f"{one.name} {one.first} -> {one.now}" for one in changed]
    reason = f"{decision['reason']}; after a post hoc change of the plan: {names}"
    return {**decision, "post_hoc": said, "reason": reason}


def _plain(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _reason(evidence: pd.DataFrame, plan: Plan, chosen: str, fallback: bool, events_known: int) -> str:
    rules = plan.pilot
    if not fallback:
        return f"rule {rules.rule}: {reading_of(evidence, plan, rules.rule)}; {chosen} taken"
    why = f"{events_known} {plan.primary.endpoint} events known, {rules.min_pilot_events} are needed"
    if events_known >= rules.min_pilot_events:
        why = "no two patients can be ordered after the common landmark"
    return f"{why}: decided without the endpoint; {lacking_of(evidence, plan)}; {chosen} taken"
