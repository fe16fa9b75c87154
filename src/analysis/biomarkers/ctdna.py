"""ctDNA at each visit: who has it, by response; against response and outcome; curves from the draw."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.association import estimate_associations
from analysis.biomarkers.multiplicity import bh
from analysis.biomarkers.outcomes import landmark_outcomes
from analysis.biomarkers.plasma import DETECTED, NOT_DETECTED, select_visit
from analysis.biomarkers.rows import Analysis, as_rows, join_notes, nothing, stack_rows
from analysis.contracts import contract_of
from analysis.survival.kaplan_meier import kaplan_meier
from analysis.survival.proportion import proportion

PRESENT = {DETECTED: 1.0, NOT_DETECTED: 0.0}
CLASSES = {"ALL": (0.0, 1.0, np.nan), "NON-RESPONDER": (1.0,), "RESPONDER": (0.0,)}
_LEDGER = list(contract_of("exclusions_05").columns)
CURVE_COLUMNS = list(contract_of("curves_biomarkers").columns)
_CURVE_NAMES = {"n_risk": "AT_RISK", "n_event": "EVENTS", "n_censor": "CENSORED"}


class Clock(NamedTuple):
    """Outcomes whose clocks start at a draw.

    Attributes
    ----------
    outcomes : DataFrame
        As given, <E>_TIME counted from the draw, NaN for who is out; response as it was.
    note : str
        What time zero is.
    left_out : dict
        Endpoint -> subjects whose event or end of follow-up is not after the draw.
    undated : list
        Subjects with a draw but no date of it, where others have one.
    reason : str or None
        Why endpoints could not be started at the draw.
    """

    outcomes: pd.DataFrame
    note: str
    left_out: dict[str, list[str]]
    undated: list[str]
    reason: str | None = None


def start_at_draw(
    outcomes: pd.DataFrame, draws: pd.DataFrame, visit: str, *, landmark_days: float | None = None, rules=None
) -> Clock:
    """Start the clock of every endpoint at the draw of `visit`; at first dose for the baseline visit.

    Parameters
    ----------
    outcomes : DataFrame
        As `assemble_outcomes`.
    draws : DataFrame
        As `select_visit` returns.
    visit : str
        Visit of the draws.
    landmark_days : float, optional
        Days after each endpoint's own time zero, the same for all: for a study without dates.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    Clock
        Who has no draw, or no date where dates start the clock, has no <E>_TIME.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    times = [name for name in outcomes.columns if str(name).endswith("_TIME")]
    if visit == rules.baseline_visit or not times:
        return Clock(outcomes, "time zero: first dose", {}, [])
    drawn, undated = outcomes.loc[outcomes.index.intersection(draws.index)], []
    started = outcomes.copy()
    started.attrs = dict(outcomes.attrs)
    if landmark_days is not None:
        moved, left_out = landmark_outcomes(drawn, days=landmark_days)
        note = f"time zero: {landmark_days:g} days after the endpoint's own, no date of the {visit} draw used"
    else:
        dated = drawn.copy()
        for name in times:
            # An endpoint in days only cannot be counted from a date.
            dated[name] = dated[name].where(dated[f"{name.removesuffix('_TIME')}_ADT"].notna())
        moved, left_out = landmark_outcomes(dated, pd.to_datetime(draws["ADT"]))
        undated = sorted(dated.index.difference(moved.index)) if len(moved) else []
        note = f"time zero: date of the {visit} draw"
    for name in times:
        started[name] = moved[name].reindex(started.index)
    reason = None
    if not len(moved) or moved[times].isna().all(axis=None):
        reason = f"{visit}: nobody's endpoints could be counted from the draw ({note})"
    return Clock(started, note, left_out, undated, reason)


def estimate_ctdna(
    adbm: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    rng: np.random.Generator,
    rules=None,
    landmark_days: float | None = None,
) -> Analysis:
    """Relate ctDNA at each visit to response and outcome: baseline from first dose, later from the draw.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    outcomes : DataFrame
        As `assemble_outcomes`.
    rng : numpy Generator
        Source of bootstrap samples and permutations.
    rules : Section, optional
        The plan's section ``biomarkers``: ``ctdna_visits``.
    landmark_days : float, optional
        Fixed landmark of the later visits where a study has no dates, in days from the endpoint's time zero.

    Returns
    -------
    Analysis
        Rows MARKER ``CTDNA_<visit>``: associations, Q_BH over the visits of one outcome and method; the share
        detected with Clopper-Pearson limits, of all and by response (OUTCOME ALL, NON-RESPONDER, RESPONDER).
        `table` holds rows of the exclusions ledger for the subjects a landmark leaves out.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    tables, aside, reasons = [], [], []
    for visit in rules.ctdna_visits:
        draws = select_visit(adbm, visit)
        detected = draws["AVALC"].map(PRESENT).astype(float).rename(f"CTDNA_{visit}")
        if detected.notna().sum() == 0:
            reasons.append(f"no assessable draw at {visit}")
            continue
        clock = start_at_draw(outcomes, draws, visit, landmark_days=landmark_days, rules=rules)
        tables.append(relate(detected.to_frame(), clock, "ctdna", visit, rng, rules))
        tables.append(_shares(detected, outcomes, visit, rules))
        reasons.append(clock.reason)
        aside += _landmark_rows(clock, visit)
    ledger = pd.DataFrame(aside, columns=_LEDGER, dtype=object)
    if not tables:
        return nothing(join_notes(*reasons) or "the plan names no visit of plasma", ledger)
    return Analysis(adjust_visits(stack_rows(tables)), ledger, join_notes(*reasons))


def relate(markers: pd.DataFrame, clock: Clock, analysis: str, visit: str, rng, rules) -> pd.DataFrame:
    """Relate plasma markers to every outcome; rows of endpoints say what their time zero is."""
    found = estimate_associations(
        markers,
        clock.outcomes,
        partype="CTDNA",
        samptype="PLASMA",
        rng=rng,
        analysis=analysis,
        avisit=visit,
        tier="SINGLE",
        rules=rules,
    ).estimates
    timed = found["STATISTIC"] == "hazard_ratio"
    found.loc[timed, "NOTE"] = [join_notes(note, clock.note) for note in found.loc[timed, "NOTE"]]
    return found


def adjust_visits(table: pd.DataFrame) -> pd.DataFrame:
    """Adjust over the visits of one outcome, analysis and method, where a visit was a family of one."""
    main = table["Q_BH"].notna()
    groups = table[main].groupby(["ANALYSIS", "OUTCOME", "METHOD"])["P"]
    table.loc[main, "Q_BH"] = groups.transform(lambda p: bh(p.to_numpy(float)))
    # Other subjects at each visit: no permutation is common to them, so there is no maxT over the visits.
    return table.assign(P_MAXT=np.nan)


def _shares(detected: pd.Series, outcomes: pd.DataFrame, visit: str, rules) -> pd.DataFrame:
    response = outcomes["NONRESPONSE"].reindex(detected.index)
    rows = []
    for name, classes in CLASSES.items():
        known = detected[response.isin(classes)].dropna()
        found = proportion(int(known.sum()), len(known), alpha=rules.interval_alpha).iloc[0]
        row = {"ANALYSIS": "ctdna", "MARKER": detected.name, "PARTYPE": "CTDNA", "SAMPTYPE": "PLASMA"}
        row |= {"AVISIT": visit, "OUTCOME": name, "METHOD": "clopper_pearson", "STATISTIC": "proportion"}
        row |= {"N": len(known), "N_POS": known.sum()}
        if len(known):
            row |= {"ESTIMATE": found["estimate"], "LOWER": found["lower"], "UPPER": found["upper"]}
            row |= {"NOTE": "share detected of those assessable"}
        else:
            row |= {"TESTED": "N", "NOTE": "nobody with an assessable draw"}
        rows.append(row)
    return as_rows(rows)


def _landmark_rows(clock: Clock, visit: str) -> list[tuple]:
    text = f"no date of the {visit} draw: no time zero for its landmark analysis"
    rows = [("05", subject, visit, "subject", "NO_LANDMARK", text) for subject in clock.undated]
    for endpoint, subjects in clock.left_out.items():
        text = (
            f"{endpoint}: event or end of follow-up on or before the landmark of {visit} ({clock.note}); not "
            "in its landmark analysis"
        )
        rows += [("05", subject, visit, "subject", "BEFORE_LANDMARK", text) for subject in subjects]
    return rows


def tabulate_ctdna_curves(
    adbm: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    visit: str,
    plan_survival,
    days_per_month: float,
    landmark_days: float | None = None,
    rules=None,
) -> pd.DataFrame:
    """Tabulate the Kaplan-Meier curves by ctDNA at `visit`, from the draw (baseline: from first dose).

    Parameters
    ----------
    adbm, outcomes, landmark_days, rules
        As in `estimate_ctdna`.
    visit : str
        AVISIT.
    plan_survival : Section
        The plan's section ``survival``: ``ci_type``.
    days_per_month : float
        Days of a month (plan, ``design.days_per_month``).

    Returns
    -------
    DataFrame
        Rows of table curves_biomarkers, CURVE ``CTDNA_<visit>``, GROUP DETECTED and NOT DETECTED.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    draws = select_visit(adbm, visit)
    clock = start_at_draw(outcomes, draws, visit, landmark_days=landmark_days, rules=rules)
    groups = draws["AVALC"].where(draws["AVALC"].isin(list(PRESENT)))
    return tabulate_curves(
        clock.outcomes, groups, f"CTDNA_{visit}", plan_survival, days_per_month, rules.interval_alpha
    )


def tabulate_curves(
    outcomes: pd.DataFrame,
    groups: pd.Series,
    curve: str,
    plan_survival,
    days_per_month: float,
    alpha: float,
) -> pd.DataFrame:
    """Tabulate the Kaplan-Meier curves of every endpoint by group, as table curves_biomarkers wants them.

    `groups` has index USUBJID; who has none, or no time, is in no curve.
    """
    parts = []
    for name in [name for name in outcomes.columns if str(name).endswith("_TIME")]:
        endpoint = str(name).removesuffix("_TIME")
        data = pd.DataFrame(
            {"time": outcomes[name], "event": outcomes[f"{endpoint}_EVENT"], "group": groups}
        ).dropna()
        if data.empty:
            continue
        table = kaplan_meier(
            data["time"].to_numpy(float) / days_per_month,
            data["event"].to_numpy(float) > 0,
            data["group"].to_numpy(str),
            ci=plan_survival.ci_type,
            alpha=alpha,
        )
        columns = table.rename(columns=_CURVE_NAMES).rename(columns=str.upper)
        parts.append(columns.assign(CURVE=curve, ENDPOINT=endpoint)[CURVE_COLUMNS])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CURVE_COLUMNS)
