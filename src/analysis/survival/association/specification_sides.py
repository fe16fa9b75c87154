"""The two sides of a specification: what is known on the day of the scan, and what happens after it.

The joint permutation test moves whole rows of the exposure side between patients against the outcome side.
Under its null hypothesis nothing on the exposure side tells anything about the outcome side.

- Outcome side: time and event from the landmark, for every patient with the scan of that day, whatever her
  class. The date of the scan sets time zero, so each patient keeps her own date and her own landmark; who had
  the event or was lost by it has no outcome whoever's class she is given. Rules of censoring belong here.
- Exposure side: the classes by every rule, cut, metric and day, whether the scan could be evaluated, and who
  belongs to a population: that is read from the scans, or (``on_drug``) is exposure to the drug before them.
- Days: extension patients have one of the two. A row of classes goes only to a patient with scans on the same
  days, so that no specification gains or loses patients by the exchange of a scan for none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.estimates import EXPOSED, REFERENCE, Analysis
from analysis.survival.association.sets import analysis_set
from analysis.survival.association.study import AnalysisSets
from analysis.survival.outcome import select_response


@dataclass(frozen=True)
class Sides:
    """The patients of all specifications, one row each; one column a specification.

    Attributes
    ----------
    subjects : list of str
        USUBJID, sorted: everybody with a scan or a class on any of the days.
    time, event : ndarray, shape (n, S)
        Outcome side, months; missing time for who has no outcome in it.
    exposed : ndarray, shape (n, S)
        Exposure side: 1 for a non-responder, 0 for a responder, missing without a class.
    strata : ndarray of str, shape (n,)
        The days on which she has a scan or a class.
    """

    subjects: list[str]
    time: np.ndarray
    event: np.ndarray
    exposed: np.ndarray
    strata: np.ndarray

    def data(self, column: int) -> pd.DataFrame:
        """Return USUBJID, time, event and exposed of the patients of one specification, as `analysis_set`."""
        both = ~np.isnan(self.time[:, column]) & ~np.isnan(self.exposed[:, column])
        parts = {"time": self.time, "event": self.event, "exposed": self.exposed == 1}
        chosen = {name: part[both, column] for name, part in parts.items()}
        return pd.DataFrame({"USUBJID": np.array(self.subjects, dtype=object)[both], **chosen})


def gather_sides(
    analyses: list[Analysis], tables: Mapping[str, pd.DataFrame], sets: AnalysisSets, plan: Plan
) -> Sides:
    """Lay out the two sides of every specification over the same patients.

    Parameters
    ----------
    analyses : list of Analysis
        One a specification, ENDPOINT the PARAMCD under its censoring rule; at least one.
    tables : mapping of str to DataFrame
        `admr` by population.
    sets : AnalysisSets
        From `prepare`.
    plan : Plan
        Sections design and survival.

    Returns
    -------
    Sides
        Time and class are both known exactly for the patients of the specification's analysis set.
    """
    days = list(dict.fromkeys(one.timepoint for one in analyses))
    scans = {day: _scanned(sets.everyone, day) for day in days}
    subjects = sorted(set().union(*(table["USUBJID"] for table in scans.values())))
    times, classes = {}, {}
    for one in analyses:
        if (place := _outcome_of(one)) not in times:
            times[place] = _follow(one, scans[one.timepoint], sets, plan).reindex(subjects)
        if (place := _exposure_of(one)) not in classes:
            classes[place] = _classify(one, tables[one.population]).reindex(subjects)
    follow = [times[_outcome_of(one)] for one in analyses]
    has = np.column_stack([np.isin(subjects, scans[day]["USUBJID"]) for day in days])
    return Sides(
        subjects,
        np.column_stack([frame["time"].to_numpy(float) for frame in follow]),
        np.column_stack([frame["event"].eq(True).to_numpy() for frame in follow]),
        np.column_stack([classes[_exposure_of(one)].to_numpy(float) for one in analyses]),
        np.array(["+".join(np.array(days)[row]) for row in has], dtype=object),
    )


def _scanned(admr: pd.DataFrame, day: str) -> pd.DataFrame:
    """Return USUBJID and PETDT of everybody with a scan of `day`; a class tells of it where dates are not."""
    rows = admr[admr["AVISIT"].eq(day)]
    rows = rows[rows["PETDT"].notna() | rows["MRESP"].isin([EXPOSED, REFERENCE])]
    return rows.sort_values(["USUBJID", "PETDT"]).drop_duplicates("USUBJID")[["USUBJID", "PETDT"]]


def _endpoint_table(endpoint: str, sets: AnalysisSets) -> pd.DataFrame:
    """Return the table that holds an endpoint: adtte, or adtte_sensitivity for its other censoring rules."""
    own = sets.cohort.adtte
    return own if own["PARAMCD"].eq(endpoint).any() else sets.cohort.adtte_sensitivity


def _follow(one: Analysis, scanned: pd.DataFrame, sets: AnalysisSets, plan: Plan) -> pd.DataFrame:
    """Return time and event of everybody scanned, by the code of the analysis sets: all have one class."""
    place = {"AVISIT": one.timepoint, "METRIC": one.metric, "RULE": one.rule, "CUT": one.cut}
    alike = scanned.assign(**place, MRESP=REFERENCE, SCORE=np.nan, NEREAS=None)
    data, _ = analysis_set(one, alike, _endpoint_table(one.endpoint, sets), sets.cohort.adsl, plan)
    return data.set_index("USUBJID")[["time", "event"]]


def _classify(one: Analysis, admr: pd.DataFrame) -> pd.Series:
    """Return 1 for non-responders, 0 for responders, missing for who has no class."""
    rows = select_response(
        admr, timepoint=one.timepoint, metric=one.metric, rule=one.rule, cut=one.cut
    ).set_index("USUBJID")
    return rows["MRESP"].map({EXPOSED: 1.0, REFERENCE: 0.0}).astype(float)


def _outcome_of(one: Analysis) -> tuple:
    return one.timepoint, one.landmark, one.endpoint


def _exposure_of(one: Analysis) -> tuple:
    return one.timepoint, one.metric, one.rule, one.cut, one.population
