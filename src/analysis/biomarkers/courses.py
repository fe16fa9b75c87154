"""The level of plasma ctDNA draw by draw, and what is known of it where there is none."""

from __future__ import annotations

import pandas as pd

from analysis import plan
from analysis.biomarkers.plasma import DETECTED, NOT_ASSESSABLE, NOT_DETECTED

MEASURES = ("VAF", "TUMFRAC")
NO_LEVEL = "no level"
_COLUMNS = ["USUBJID", "SAMPLEID", "AVISIT", "ADT", "DAY", "LEVEL", "LIMIT", "CENSORED", "ABOVE", "MRESP"]


def tabulate_courses(
    adbm: pd.DataFrame, outcomes: pd.DataFrame, *, measure: str | None = None, rules=None
) -> pd.DataFrame:
    """List every draw with its level on one measure, or what is known of it.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    outcomes : DataFrame
        As `assemble_outcomes`.
    measure : {"VAF", "TUMFRAC"}, optional
        The plan's ``trajectory_measure`` if None. A fraction without a limit of its own has the assay's, for
        VAF.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    DataFrame
        USUBJID SAMPLEID AVISIT ADT DAY (study day, first dose is day 1) LEVEL (fraction; the limit where
        CENSORED or ABOVE) LIMIT CENSORED ABOVE MRESP ASIDE (why the draw cannot be placed: None where it
        can). A level at or under its limit is censored whatever the result says; nothing detected and no
        limit is no level. ABOVE: detected and not measured, so over the limit; to leave such a draw out, and
        keep what is under the limit, would make the level look lower than it is.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    plasma = adbm[adbm["PARTYPE"] == "CTDNA"]
    draws = plasma[plasma["PARAMCD"] == "CTDNA"].set_index(["USUBJID", "SAMPLEID"])
    measure = rules.trajectory_measure if measure is None else measure
    param = "CTDNA" if measure == "VAF" else measure
    measured = plasma[plasma["PARAMCD"] == param].set_index(["USUBJID", "SAMPLEID"]).reindex(draws.index)
    limit = measured["LOD"].astype(float).fillna(draws["LOD"].astype(float))
    detected = draws["AVALC"] == DETECTED
    value = measured["AVAL"].astype(float).where(detected)
    under = (draws["AVALC"] == NOT_DETECTED) | (value <= limit)
    above = detected & value.isna() & (limit > 0)
    courses = pd.DataFrame(
        {
            "AVISIT": draws["AVISIT"],
            "ADT": draws["ADT"],
            "DAY": draws["ADY"].astype(float),
            "LEVEL": value.mask(under | above, limit),
            "LIMIT": limit,
            "CENSORED": under,
            "ABOVE": above,
            "MRESP": draws.index.get_level_values("USUBJID").map(_classes(outcomes)),
        },
        index=draws.index,
    ).assign(ASIDE=None)
    for reason, where in {
        "no study day": courses["DAY"].isna(),
        NO_LEVEL: ~(courses["LEVEL"] > 0),
        "not detected, no limit of detection": (draws["AVALC"] == NOT_DETECTED) & ~(limit > 0),
        "not assessable": draws["AVALC"] == NOT_ASSESSABLE,
    }.items():
        courses.loc[where, "ASIDE"] = reason
    ordered = courses.reset_index().sort_values(["USUBJID", "DAY", "SAMPLEID"], kind="stable")
    return ordered[[*_COLUMNS, "ASIDE"]].reset_index(drop=True)


def end_days(outcomes: pd.DataFrame, endpoint: str) -> pd.Series:
    """Return the study day on which the time of an endpoint ends, its clock started at first dose.

    Between dates CDISC counts the first day as 1, as the study day does. A time without both dates is one of
    a table: days elapsed since first dose, of which the first study day has none.
    """
    names = [name for name in (f"{endpoint}_STARTDT", f"{endpoint}_ADT") if name in outcomes]
    dated = outcomes[names].notna().all(axis=1) & (len(names) == len(("STARTDT", "ADT")))
    time = outcomes[f"{endpoint}_TIME"].astype(float)
    return time.where(dated, time + 1)


def _classes(outcomes: pd.DataFrame) -> dict[str, str]:
    words = outcomes["NONRESPONSE"].map({1.0: "NON-RESPONDER", 0.0: "RESPONDER"})
    return words.dropna().to_dict()
