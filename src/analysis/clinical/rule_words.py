"""The words a table of PFS and OS may use (``clinical.tte_rules``): what each means, tests and dates.

A word stands here once, with its test on the facts of `facts.subject_facts` and its meaning in words, so
that the table printed in the notebook is the table that was applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

Facts = pd.DataFrame


@dataclass(frozen=True)
class Situation:
    """A situation of a subject: what it means, how it is found, the plan values it depends on."""

    words: str
    test: Callable[[Facts], pd.Series]
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class DateSource:
    """A date of a subject: what it means and which record holds it.

    Attributes
    ----------
    words : str
        What the date is.
    domain, variable : str
        SRCDOM and SRCVAR.
    label : str
        CNSDTDSC where the date censors.
    record : str
        Fact whose date finds the record of ADRS (SRCSEQ); the date itself where empty.
    """

    words: str
    domain: str
    variable: str
    label: str
    record: str = ""


_MISSED = ("interval_weeks", "window_days")
_ADEQUATE = ("not_evaluable",)

SITUATIONS: dict[str, Situation] = {
    "dead_without_assessment": Situation(
        "died before any assessment after time zero, with no earlier event",
        lambda f: f.death.notna() & f.death.eq(f.event) & f.n_assessments.eq(0),
    ),
    "no_baseline": Situation("no adequate baseline", lambda f: ~f.has_baseline),
    "event_after_missed_visits": Situation(
        "two or more missed visits: an event more than {missed_days:g} days (2 x {interval_weeks:g} weeks + "
        "2 x {window_days:g} days) after the last adequate assessment before it, or time zero if none",
        lambda f: (f.event - f.last_adequate_before_event).dt.days > f.missed_days,
        (*_MISSED, *_ADEQUATE),
    ),
    "new_therapy_before_event": Situation(
        "a new anti-cancer therapy started before any event",
        lambda f: f.therapy.notna() & (f.event.isna() | f.therapy.lt(f.event)),
    ),
    "new_therapy_first": Situation(
        "a new anti-cancer therapy is the first event (on one day, progression and death go first)",
        lambda f: (
            f.therapy.notna() & f.therapy.eq(f.event) & ~f.progression.eq(f.event) & ~f.death.eq(f.event)
        ),
    ),
    "clinical_progression_first": Situation(
        "a stop for progression without a scan is the first event (on one day, a scan goes first)",
        lambda f: (
            f.clinical_progression.notna() & f.clinical_progression.eq(f.event) & ~f.progression.eq(f.event)
        ),
    ),
    "progression_between_visits": Situation(
        "progression first (on one day, before death), outside every visit window (+/- {window_days:g} days)",
        lambda f: f.progression.notna() & ~f.death.lt(f.progression) & f.next_visit.gt(f.progression),
        _MISSED,
    ),
    "progression_first": Situation(
        "progression first (on one day, before death)",
        lambda f: f.progression.notna() & ~f.death.lt(f.progression),
    ),
    "dead": Situation("died", lambda f: f.death.notna()),
    "never_assessed_at_cutoff": Situation(
        "no adequate assessment after time zero, alive at the data cut-off",
        lambda f: f.last_adequate.isna() & f.cutoff.notna() & f.known_alive.ge(f.cutoff),
        _ADEQUATE,
    ),
    "never_assessed": Situation(
        "no adequate assessment after time zero", lambda f: f.last_adequate.isna(), _ADEQUATE
    ),
    "assessed_after_start": Situation("assessed after time zero", lambda f: f.last_valid.gt(f.start)),
    "alive_at_cutoff": Situation(
        "known alive on the data cut-off or later", lambda f: f.cutoff.notna() & f.known_alive.ge(f.cutoff)
    ),
    "alive_after_start": Situation("known alive after time zero", lambda f: f.last_alive.gt(f.start)),
    "otherwise": Situation("anyone else", lambda f: pd.Series(True, index=f.index)),
}

_ASSESSMENT = ("ADRS", "ADT", "Last Tumor Assessment")
START = "start"
DATES: dict[str, DateSource] = {
    "death": DateSource("death", "ADSL", "DTHDT", "Death"),
    "progression": DateSource("first documented progression", "ADRS", "ADT", "Disease Progression"),
    "next_visit": DateSource(
        "the planned assessment after progression, not after death, cut-off or last contact",
        *("ADRS", "ADT", "Disease Progression"),
        record="progression",
    ),
    "clinical_progression": DateSource("stop for progression", "ADRS", "ADT", "Clinical Progression"),
    "therapy": DateSource("start of the new therapy", "ADSL", "NACTDT", "New Anti-Cancer Therapy"),
    "last_adequate": DateSource("last adequate assessment", *_ASSESSMENT),
    "last_adequate_before_event": DateSource("last adequate assessment before the event", *_ASSESSMENT),
    "last_adequate_before_therapy": DateSource(
        "last adequate assessment on or before the new therapy", *_ASSESSMENT
    ),
    "last_valid": DateSource("last assessment, not evaluable included", *_ASSESSMENT),
    "last_valid_before_therapy": DateSource("last assessment on or before the new therapy", *_ASSESSMENT),
    "last_alive": DateSource("last known alive", "ADSL", "LSTALVDT", "Alive During Study"),
    "cutoff": DateSource("data cut-off", "ADSL", "DCUTDT", "Data Cut-Off"),
}
# the date an event row may use, and the fact that makes it an event
EVENTS = {
    "death": "death",
    "progression": "progression",
    "next_visit": "progression",
    "clinical_progression": "clinical_progression",
    "therapy": "therapy",
}
# what time zero may be: a column of ADSL, in words
STARTS = {"TRTSDT": "first dose", "ENRLDT": "registration or randomisation"}


def switches_off(row: Mapping[str, Any], rules) -> dict[str, Any]:
    """Return the switches that take a row of the table out of force, with their values; empty if in force."""
    stated = {name: getattr(rules, name) for name in row.get("unless", {})}
    return {name: value for name, value in stated.items() if value in as_list(row["unless"][name])}


def as_list(value: Any) -> list:
    """Return a list as it is, anything else as the one item of a list."""
    return value if isinstance(value, list) else [value]


def rows_in_force(rows: list[Mapping[str, Any]], rules) -> list[Mapping[str, Any]]:
    """Return the rows of a table that the plan's switches leave in force, in order."""
    return [row for row in rows if not switches_off(row, rules)]
