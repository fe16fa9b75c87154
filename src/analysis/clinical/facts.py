"""What the tables of PFS and OS ask about a subject: dates and counts, nothing after the data cut-off.

The records are collected once; every endpoint and every flipped switch asks them anew, in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.clinical.lesions import start_dates
from analysis.clinical.responses import cutoff_dates, response_parameter

CLINICAL_PROGRESSION = "CLINPD"
_NONE = np.datetime64("NaT", "ns")


@dataclass(frozen=True)
class Responses:
    """Responses of one PARAMCD of ADRS as arrays of one length, one entry a subject and date.

    Attributes
    ----------
    place : ndarray of int
        Row of the subject in ADSL.
    date : ndarray of datetime64[ns]
        ADT.
    is_pd, is_ne : ndarray of bool
        Progression; not evaluable.
    seq : ndarray of float
        Place of the record within its subject in ADRS, from 1; missing where ADRS does not hold it.
    """

    place: np.ndarray
    date: np.ndarray
    is_pd: np.ndarray
    is_ne: np.ndarray
    seq: np.ndarray

    def select(self, keep: np.ndarray) -> Responses:
        """Return the entries where `keep` is True."""
        return Responses(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))

    def last(self, size: int, keep: np.ndarray | None = None) -> np.ndarray:
        """Return the latest date of each of `size` subjects, NaT where there is none."""
        rows = self if keep is None else self.select(keep)
        found = np.full(size, np.iinfo("int64").min)  # as an integer, NaT is the smallest
        np.maximum.at(found, rows.place, rows.date.view("int64"))
        return found.view("datetime64[ns]")

    def first(self, size: int, keep: np.ndarray | None = None) -> np.ndarray:
        """Return the earliest date of each of `size` subjects, NaT where there is none."""
        rows = self if keep is None else self.select(keep)
        never = np.iinfo("int64").max
        found = np.full(size, never)
        np.minimum.at(found, rows.place, rows.date.view("int64"))
        return np.where(found == never, _NONE, found.view("datetime64[ns]"))

    def find(self, place: np.ndarray, date: np.ndarray) -> np.ndarray:
        """Return `seq` of the record of each subject and date, missing where there is none."""
        if not len(self.place):
            return np.full(len(place), np.nan)
        keys, wanted = _keys(self.place, self.date), _keys(place, date)
        order = np.argsort(keys, kind="stable")
        at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
        return np.where(keys[order][at] == wanted, self.seq[order][at], np.nan)


@dataclass(frozen=True)
class Records:
    """ADSL, who has an adequate baseline, and the responses by PARAMCD, ready to be asked."""

    adsl: pd.DataFrame
    has_baseline: np.ndarray
    responses: dict[str, Responses]


def collect_records(adsl: pd.DataFrame, adtr: pd.DataFrame, adrs: pd.DataFrame) -> Records:
    """Collect what endpoints are derived from.

    Parameters
    ----------
    adsl, adtr, adrs : DataFrame
        As derived before; `adrs` may carry SRCSEQ (where its rows stand in the ADRS that is written), else
        its own order counts. An empty `adtr` (no lesion domains) counts as an adequate baseline.
    """
    if "SRCSEQ" not in adrs:
        adrs = number_records(adrs)
    where = pd.Index(adsl.USUBJID)
    used = {name: rows for name, rows in adrs.groupby("PARAMCD") if name in RESPONSE_PARAMETERS}
    found = {name: _responses(rows, where) for name, rows in used.items()}
    nothing = _responses(adrs.iloc[:0], where)
    responses = {name: found.get(name, nothing) for name in RESPONSE_PARAMETERS}
    return Records(adsl.reset_index(drop=True), _has_baseline(where, adtr), responses)


RESPONSE_PARAMETERS = ("OVRLRESP", "RSREP", CLINICAL_PROGRESSION)


def number_records(adrs: pd.DataFrame) -> pd.DataFrame:
    """Keep the parameters that feed endpoints; SRCSEQ is the number of the record in ADRS."""
    used = adrs[adrs.PARAMCD.isin(RESPONSE_PARAMETERS)]
    return used.assign(SRCSEQ=used.ASEQ)


def subject_facts(records: Records, rules, events: Iterable[str] = ("progression", "death")) -> pd.DataFrame:
    """Answer what a table of situations asks about each subject; nothing after the cut-off enters.

    Parameters
    ----------
    records : Records
        From `collect_records`.
    rules : Section
        ``clinical`` of the plan.
    events : iterable of str
        Which of the dates below count as an event of the endpoint.

    Returns
    -------
    DataFrame
        By USUBJID, subjects with a time zero on or before the cut-off only. Dates: start, cutoff, death,
        therapy, last_alive, known_alive (alive or dead), progression, clinical_progression, next_visit (the
        assessment at which progression was due), event (the earliest of `events`), last_valid and
        last_adequate assessment (all; before the event; before new therapy). has_baseline, n_assessments,
        missed_days (longer without an assessment: two missed visits), place (row in ADSL).
    """
    facts = _dates_of_adsl(records, rules)
    facts["has_baseline"] = records.has_baseline
    facts["missed_days"] = 2 * (7 * rules.interval_weeks + rules.window_days)
    facts["place"] = np.arange(len(facts))
    seen = {
        name: _entering(records.responses[name], facts)
        for name in (response_parameter(rules), CLINICAL_PROGRESSION)
    }
    rows, stops = seen.values()
    size = len(facts)
    facts["progression"] = rows.first(size, rows.is_pd)
    facts["clinical_progression"] = stops.first(size)
    facts["n_assessments"] = np.bincount(rows.place, minlength=size)
    facts["next_visit"] = _next_visit(facts, rules)
    facts["event"] = facts[list(events)].min(axis=1) if events else pd.NaT
    _add_last_assessments(facts, rows, rules)
    return facts[facts.start.notna() & ~facts.start.gt(facts.cutoff)].rename_axis(None)


def _dates_of_adsl(records: Records, rules) -> pd.DataFrame:
    subjects = records.adsl.set_index("USUBJID")
    facts = pd.DataFrame(
        {"start": start_dates(records.adsl, rules), "cutoff": cutoff_dates(records.adsl, rules)}
    )
    for name, column in (("death", "DTHDT"), ("therapy", "NACTDT")):
        facts[name] = subjects[column].where(~subjects[column].gt(facts.cutoff))
    facts["last_alive"] = subjects.LSTALVDT
    facts["known_alive"] = subjects[["LSTALVDT", "DTHDT"]].max(axis=1)
    return facts


def _entering(rows: Responses, facts: pd.DataFrame) -> Responses:
    start, cutoff = facts.start.to_numpy()[rows.place], facts.cutoff.to_numpy()[rows.place]
    return rows.select((rows.date >= start) & ~(rows.date > cutoff))


def _add_last_assessments(facts: pd.DataFrame, rows: Responses, rules) -> None:
    size = len(facts)
    event, therapy = facts.event.to_numpy()[rows.place], facts.therapy.to_numpy()[rows.place]
    adequate = ~rows.is_ne | (rules.not_evaluable == "adequate")
    before_event = adequate & ~rows.is_pd & ~(rows.date > event)
    before_therapy = rows.date <= therapy
    facts["last_valid"] = rows.last(size)
    facts["last_valid_before_therapy"] = rows.last(size, before_therapy)
    facts["last_adequate"] = rows.last(size, adequate)
    facts["last_adequate_before_therapy"] = rows.last(size, before_event & before_therapy)
    earlier = pd.Series(rows.last(size, before_event), index=facts.index)
    facts["last_adequate_before_event"] = earlier.fillna(facts.start)


def _next_visit(facts: pd.DataFrame, rules) -> pd.Series:
    """Date progression at its planned assessment: never after death, the cut-off or the last contact."""
    step = 7 * rules.interval_weeks
    if not step:
        return facts.progression
    day = (facts.progression - facts.start).dt.days
    nearest = (day / step).round().clip(lower=1) * step
    due = np.ceil(day / step).clip(lower=1) * step
    on_time = (day - nearest).abs() <= rules.window_days
    moved = facts.start + pd.to_timedelta(due.where(~on_time, day), unit="D").dt.round("D")
    latest = facts[["known_alive", "progression"]].max(axis=1)
    return pd.concat([moved, facts.death, facts.cutoff, latest], axis=1).min(axis=1).where(day.notna())


def _responses(rows: pd.DataFrame, subjects: pd.Index) -> Responses:
    place = subjects.get_indexer(rows.USUBJID)
    value = rows.AVALC.to_numpy(dtype=object)
    every = Responses(
        place,
        rows.ADT.to_numpy().astype("datetime64[ns]"),
        np.asarray(value == "PD", dtype=bool),
        np.asarray(value == "NE", dtype=bool),
        rows.SRCSEQ.to_numpy(dtype=float),
    )
    return every.select((place >= 0) & ~np.isnat(every.date))


def _has_baseline(subjects: pd.Index, adtr: pd.DataFrame) -> np.ndarray:
    if adtr.empty:
        return np.full(len(subjects), True)
    base = adtr[adtr.AVISITN.eq(0)]
    adequate = base[base.LESTYPE.eq("NON-TARGET") | (base.LESTYPE.eq("TARGET") & base.DIAM_MM.notna())]
    return subjects.isin(adequate.USUBJID.unique())


def _keys(place: np.ndarray, date: np.ndarray) -> np.ndarray:
    # one whole number for a subject and a day: a day fits in 20 bits
    return (np.asarray(place, dtype="int64") << 20) + date.astype("datetime64[D]").astype("int64") % (1 << 20)
