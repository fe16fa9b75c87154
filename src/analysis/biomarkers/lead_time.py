"""Lead time: from the first rise of ctDNA to progression.

A draw taken because of progression does not count; who progressed without a rise before is included with a
lead of zero, or a negative one where the rise came later; a rise without progression is censored. Leaving any
of these out makes the lead look longer than it is. Each patient is followed in one measure throughout: where
a draw was detected and its level is not known, to leave out that draw alone would hide a rise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.courses import MEASURES, NO_LEVEL, end_days, tabulate_courses
from analysis.biomarkers.plasma import PROGRESSION
from analysis.biomarkers.rows import Analysis, as_rows, join_notes
from analysis.contracts import contract_of
from analysis.survival.kaplan_meier import median_survival
from analysis.survival.proportion import proportion

COLUMNS = list(contract_of("lead_times").columns)
BEFORE, LATER = "RISE BEFORE PROGRESSION", "RISE AT OR AFTER PROGRESSION"
NONE_BEFORE, WITHOUT, NEITHER = "NO RISE BEFORE PROGRESSION", "RISE WITHOUT PROGRESSION", "NEITHER"
UNKNOWN = "NOT ASSESSABLE"
_CLASSES = {"ALL": (0.0, 1.0), "NON-RESPONDER": (1.0,), "RESPONDER": (0.0,)}


class _Rise(NamedTuple):
    nadir: float
    level: float
    day: float


def tabulate_lead_times(
    adbm: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    endpoint: str = "PFS",
    progressed: pd.Series | None = None,
    rules=None,
) -> pd.DataFrame:
    """Tabulate the rise of ctDNA and the progression of each subject whose plasma was followed.

    A rise is the first level at least ``rise_factor`` times the lowest before it and at least
    ``rise_min_lods`` times its limit of detection. Under the limit a level counts as the limit; a draw
    without a limit can be a nadir, not a rise. Draws the table calls PROG, or within
    ``rise_progression_days`` before progression (its day included), do not count; nor do draws after the end
    of a follow-up without progression.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    outcomes : DataFrame
        As `assemble_outcomes`: <E>_TIME, <E>_EVENT and, where the study has dates, <E>_STARTDT and <E>_ADT of
        `endpoint`. A time without dates is days elapsed since first dose.
    endpoint : str
        Endpoint whose event is progression.
    progressed : Series of bool, optional
        Index USUBJID: True where the event is a progression; an event that is none, a death, ends follow-up.
        If None, every event is a progression.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    DataFrame
        Table lead_times: subjects with at least one draw that counts and known follow-up. MEASURE is the
        plan's ``trajectory_measure`` where each detected draw that counts has a level in it, else the other
        one; with neither the subject is NOT ASSESSABLE. LEAD is missing for these and for NEITHER.
        PROGDY is a study day: of the end's date where draws have dates, else as `courses.end_days`.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    if f"{endpoint}_TIME" not in outcomes:
        return _as_table([])
    order = sorted(MEASURES, key=lambda name: name != rules.trajectory_measure)
    followed = {
        name: _place(tabulate_courses(adbm, outcomes, measure=name, rules=rules)).groupby("USUBJID")
        for name in order
    }
    ends = end_days(outcomes, endpoint)
    studies = adbm.drop_duplicates("USUBJID").set_index("USUBJID")["STUDYID"]
    rows = []
    for subject in sorted(set().union(*(own.groups for own in followed.values()))):
        draws = {name: own.get_group(subject) for name, own in followed.items() if subject in own.groups}
        if subject not in outcomes.index or not np.isfinite(outcomes.loc[subject, f"{endpoint}_TIME"]):
            continue
        end, progression = _end(next(iter(draws.values())), outcomes.loc[subject], endpoint, ends[subject])
        if progressed is not None:
            progression = progression and bool(progressed.get(subject, False))
        counting = {name: _that_count(own, end, progression, rules) for name, own in draws.items()}
        row = _lead(counting, end, progression, rules)
        if row is not None:
            rows.append({"STUDYID": studies[subject], "USUBJID": subject, **row})
    return _as_table(rows)


def _as_table(rows: list[dict]) -> pd.DataFrame:
    numbers = ["NADIR", "RISE", "RISEDY", "PROGDY", "LEAD", "CNSR", "N_DRAWS"]
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(numbers, float))


def _end(draws: pd.DataFrame, outcome: pd.Series, endpoint: str, undated: float) -> tuple[float, bool]:
    """Return the study day on which follow-up of the endpoint ends, and whether by an event.

    `undated` is the day where dates do not tell it.
    """
    event = outcome[f"{endpoint}_EVENT"] == 1
    dated = draws[draws["ADT"].notna()]
    if f"{endpoint}_ADT" in outcome and pd.notna(outcome[f"{endpoint}_ADT"]) and len(dated):
        # The endpoint's clock may start elsewhere than at first dose: dates tell, where there are any.
        first = dated.iloc[0]
        first_dose = first["ADT"] - pd.Timedelta(days=_since(first["DAY"]))
        days = (outcome[f"{endpoint}_ADT"] - first_dose).days
        return float(days + (days >= 0)), event
    return float(undated), event


def _since(day: float) -> float:
    # There is no day 0.
    return day - (day > 0)


def _place(courses: pd.DataFrame) -> pd.DataFrame:
    """Keep the draws of known day that were not taken at progression; LACKS: detected, and no level."""
    lacks = courses["ABOVE"] | courses["ASIDE"].eq(NO_LEVEL)
    kept = (courses["ASIDE"].isna() | lacks) & courses["DAY"].notna() & (courses["AVISIT"] != PROGRESSION)
    return courses.assign(LACKS=lacks)[kept]


def _that_count(draws: pd.DataFrame, end: float, progression: bool, rules) -> pd.DataFrame:
    if progression:
        before = _since(end) - draws["DAY"].map(_since)
        return draws[~before.between(0, rules.rise_progression_days)]
    return draws[draws["DAY"] <= end]


def _lead(courses: Mapping[str, pd.DataFrame], end: float, progression: bool, rules) -> dict | None:
    """Return the row of a subject from the draws that count, by measure, the plan's first."""
    measure = next((name for name, own in courses.items() if not own["LACKS"].any()), None)
    draws = next(iter(courses.values())) if measure is None else courses[measure]
    if draws.empty:
        return None
    known = {"PROGDY": end, "CNSR": float(not progression), "N_DRAWS": float(len(draws)), "MEASURE": measure}
    if measure is None:
        return {"CATEGORY": UNKNOWN, **known}
    rise = _find_rise(draws, rules)
    lead = np.nan if rise is None else _since(end) - _since(rise.day)
    if not progression:
        category = NEITHER if rise is None else WITHOUT
    elif rise is None:
        category, lead = NONE_BEFORE, 0.0
    else:
        category = BEFORE if lead > 0 else LATER
    shown = _Rise(float(draws["LEVEL"].min()), np.nan, np.nan) if rise is None else rise
    return {
        **{"CATEGORY": category, "NADIR": shown.nadir, "RISE": shown.level, "RISEDY": shown.day},
        **{"LEAD": lead, **known},
    }


def _find_rise(draws: pd.DataFrame, rules) -> _Rise | None:
    """Find the first rise; draws of one day are no time apart and do not rise over each other."""
    ordered = draws.sort_values("DAY", kind="stable")
    for draw in ordered.itertuples():
        earlier = ordered.loc[ordered["DAY"] < draw.DAY, "LEVEL"]
        if earlier.empty or draw.CENSORED or np.isnan(draw.LIMIT):
            continue
        nadir = float(earlier.min())
        least = max(rules.rise_factor * nadir, rules.rise_min_lods * draw.LIMIT)
        if least <= draw.LEVEL:
            return _Rise(nadir, float(draw.LEVEL), float(draw.DAY))
    return None


def estimate_lead_time(
    adbm: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    endpoint: str = "PFS",
    progressed: pd.Series | None = None,
    rules=None,
) -> Analysis:
    """Estimate the median lead of ctDNA over progression, and in how many of those who progressed it led.

    Parameters
    ----------
    adbm, outcomes, endpoint, progressed, rules
        As in `tabulate_lead_times`.

    Returns
    -------
    Analysis
        Rows LEAD_TIME for all, non-responders and responders (OUTCOME): the Kaplan-Meier median over LEAD
        with CNSR, subjects with neither rise nor progression left out, and the share with a lead above 0
        among those who progressed, with Clopper-Pearson limits. Who is NOT ASSESSABLE is in neither and
        counted in NOTE. `table` is table lead_times.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    table = tabulate_lead_times(adbm, outcomes, endpoint=endpoint, progressed=progressed, rules=rules)
    if table.empty:
        return Analysis(as_rows([]), table, f"lead time: no plasma over time beside {endpoint}")
    plasma = adbm.loc[(adbm["PARTYPE"] == "CTDNA") & (adbm["PARAMCD"] == "CTDNA"), "USUBJID"].nunique()
    lost, unknown = plasma - len(table), int(table["CATEGORY"].eq(UNKNOWN).sum())
    note = join_notes(
        f"{lost} subjects without a draw that counts or without {endpoint}" if lost else None,
        f"{unknown} subjects not assessable: detected draws without a level in one measure"
        if unknown
        else None,
        None if progressed is not None else f"every {endpoint} event taken as progression",
    )
    said = join_notes(_describe_measures(table), note)
    response = outcomes["NONRESPONSE"].reindex(table["USUBJID"]).to_numpy(float)
    rows = []
    for name, classes in _CLASSES.items():
        part = table if name == "ALL" else table[np.isin(response, classes)]
        shared = {"ANALYSIS": "lead_time", "MARKER": "LEAD_TIME", "PARTYPE": "CTDNA", "SAMPTYPE": "PLASMA"}
        for row in (_median_row(part, rules), _share_row(part, rules)):
            rows.append({**shared, "OUTCOME": name, **row, "NOTE": join_notes(row["NOTE"], said)})
    return Analysis(as_rows(rows), table, note)


def _describe_measures(table: pd.DataFrame) -> str | None:
    counts = table["MEASURE"].value_counts()
    if set(counts.index) <= {"VAF"}:
        return None
    followed = ", ".join(f"{name} {counts[name]}" for name in MEASURES if name in counts)
    return f"followed by {followed}; a fraction without a limit of its own has the assay's, for VAF"


def _median_row(table: pd.DataFrame, rules) -> dict:
    known = table[~table["CATEGORY"].isin([NEITHER, UNKNOWN])]
    counts = table["CATEGORY"].value_counts().sort_index()
    said = ", ".join(f"{name.lower()} {count}" for name, count in counts.items())
    single = int((table["N_DRAWS"] < 2).sum())
    events = known["CNSR"].eq(0).sum()
    row = {"METHOD": "kaplan_meier", "STATISTIC": "median_days", "N": len(known), "EVENTS": events}
    note = join_notes(said, f"{single} with one draw that counts: no rise could be seen" if single else None)
    if not events:
        return {**row, "TESTED": "N", "NOTE": join_notes("nobody progressed with plasma followed", note)}
    # Kaplan-Meier needs times from 0; a shift of all times shifts the median and its limits by as much.
    shift = min(0.0, float(known["LEAD"].min()))
    found = median_survival(known["LEAD"] - shift, known["CNSR"].eq(0), alpha=rules.interval_alpha).iloc[0]
    numbers = {"ESTIMATE": found["median"], "LOWER": found["lower"], "UPPER": found["upper"]}
    return {**row, **{name: value + shift for name, value in numbers.items()}, "NOTE": note}


def _share_row(table: pd.DataFrame, rules) -> dict:
    progressed = table[(table["CNSR"] == 0) & (table["CATEGORY"] != UNKNOWN)]
    ahead = int((progressed["LEAD"] > 0).sum())
    row = {"METHOD": "clopper_pearson", "STATISTIC": "proportion", "N": len(progressed), "N_POS": ahead}
    note = "share with a lead above 0 among those who progressed"
    if progressed.empty:
        return {**row, "TESTED": "N", "NOTE": join_notes("nobody progressed with plasma followed", note)}
    found = proportion(ahead, len(progressed), alpha=rules.interval_alpha).iloc[0]
    limits = {"ESTIMATE": found["estimate"], "LOWER": found["lower"], "UPPER": found["upper"]}
    return {**row, **limits, "EVENTS": len(progressed), "NOTE": note}
