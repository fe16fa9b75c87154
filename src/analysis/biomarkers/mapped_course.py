"""The quantity over time that a study maps (`biomarkers.course_table`), beside or instead of ctDNA levels."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis import plan
from analysis.biomarkers.overview import tabulate_trajectories
from analysis.biomarkers.plasma import DETECTED, NOT_DETECTED
from analysis.biomarkers.rows import Analysis, join_notes
from analysis.biomarkers.trajectories import estimate_course

# What a mapped value can be that starts at 1 in every subject.
_RELATIVE = ("percent_change", "fraction")
_MAPPED = "groups as the plan maps them; where they rest on later values they describe and predict nothing"
_CLASSES = {1.0: "NON-RESPONDER", 0.0: "RESPONDER"}


def estimate_mapped_course(course: pd.DataFrame, *, rules=None) -> Analysis:
    """Relate the mapped course to its groups: those the mapping calls resistant against all others.

    Parameters
    ----------
    course : DataFrame
        As `read_course_table` gives: USUBJID DAY LEVEL LIMIT CENSORED GROUP.
    rules : Section, optional
        The plan's section ``biomarkers``: `course_table`.

    Returns
    -------
    Analysis
        As `estimate_course`, on the log scale.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    mapping = rules.course_table
    coded = course.assign(GROUP=course["GROUP"].isin(_resistant(mapping)).astype(float))
    label = mapping.get("label", mapping["value"])
    shared = {"PARTYPE": "CTDNA", "SAMPTYPE": None}
    relative = mapping.get("value_is") in _RELATIVE
    found = estimate_course(
        coded, scale="log", outcome=label, labels=shared, from_baseline=relative, rules=rules
    )
    said = [join_notes(note, _MAPPED) for note in found.estimates["NOTE"]]
    return found._replace(estimates=found.estimates.assign(NOTE=said))


def name_model(table: pd.DataFrame, course: pd.DataFrame, rules) -> pd.DataFrame:
    """Return the model's medians with the names of their groups, as the figure draws them."""
    names = _CLASSES if course.empty else dict(zip((0.0, 1.0), _sides(rules.course_table)))
    return table.assign(GROUP=table["GROUP"].map(names))


def _resistant(mapping) -> list[str]:
    return list(mapping.get("resistant", list(mapping["groups"].values())[-1:]))


def _sides(mapping) -> tuple[str, str]:
    names = list(dict.fromkeys(mapping["groups"].values()))
    others = [name for name in names if name not in _resistant(mapping)]
    return " or ".join(others), " or ".join(_resistant(mapping))


def tabulate_drawn(
    adbm: pd.DataFrame,
    outcomes: pd.DataFrame,
    course: pd.DataFrame,
    adsl: pd.DataFrame,
    *,
    rules=None,
) -> tuple[pd.DataFrame, pd.Series | None]:
    """Tabulate what the figure of courses draws: the mapped course where there is one, else plasma levels.

    Parameters
    ----------
    adbm, adsl : DataFrame
        Tables of these names.
    outcomes : DataFrame
        As `assemble_outcomes`.
    course : DataFrame
        As `read_course_table`; empty where nothing is mapped.
    rules : Section, optional
        The plan's section ``biomarkers``: ``trajectory_max_days``.

    Returns
    -------
    tuple
        USUBJID DAY VALUE RESULT LOD GROUP up to the last day the model takes; the study day of the event of
        the first endpoint, index USUBJID, or None for a mapped course.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    if len(course):
        drawn = course.rename(columns={"LEVEL": "VALUE", "LIMIT": "LOD"})
        drawn["RESULT"] = drawn["CENSORED"].map({True: NOT_DETECTED, False: DETECTED})
        other, resistant = _sides(rules.course_table)
        drawn["GROUP"] = (
            drawn["GROUP"].isin(_resistant(rules.course_table)).map({True: resistant, False: other})
        )
        return drawn.drop(columns="CENSORED"), None
    draws, ended = tabulate_trajectories(adbm, outcomes, adsl.set_index("USUBJID")["TRTSDT"])
    draws = draws[draws["DAY"] <= rules.trajectory_max_days]
    known = draws["RESULT"].isin([DETECTED, NOT_DETECTED]) & draws[["VAF", "LOD"]].notna().any(axis=1)
    named = draws[known].rename(columns={"VAF": "VALUE", "MRESP": "GROUP"})
    return named, ended[ended <= rules.trajectory_max_days]


def axis_of(course: pd.DataFrame, rules) -> dict[str, Any]:
    """Return the words of axis and legend: of the mapped course, or of ctDNA (the figure's own)."""
    if course.empty:
        return {}
    return {"ylabel": rules.course_table.get("label", rules.course_table["value"]), "words": "measured"}
