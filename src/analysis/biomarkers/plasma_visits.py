"""What must be asked about the visits of a plasma table: the word, the day, the schedule."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.files.cbioportal import PROBLEM_COLUMNS
from analysis.biomarkers.plasma import PROGRESSION, UNSCHEDULED, told_visits

# CDISC: there is no day 0.
_DAY_OF_FIRST_DOSE = 1
_SCHEDULE = "biomarkers.plasma_visit_windows, ctdna_visits and ctdna_main_visit"


def ask_visits(plasma: pd.DataFrame, draws: pd.DataFrame, *, rules=None) -> pd.DataFrame:
    """Ask about visits: the day decides in the end, but for a draw the table calls one at progression.

    Parameters
    ----------
    plasma : DataFrame
        As `read_plasma` returns, rows of known subjects, each once.
    draws : DataFrame
        The same rows as `assign_visits` returns them.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    DataFrame
        Columns of a query table without STEP. Codes: PLASMA_VISIT_DIFFERS (a sample whose day is in another
        window), PLASMA_VISIT_UNKNOWN (a word the plan does not know), PLASMA_UNSCHEDULED (more than the
        plan's share of the draws after baseline is in no window; those at progression aside).
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    rows = [*_differing(plasma, draws, rules), *_unknown_words(plasma, rules), *_unscheduled(draws, rules)]
    return pd.DataFrame(rows, columns=PROBLEM_COLUMNS).astype(object)


def _differing(plasma: pd.DataFrame, draws: pd.DataFrame, rules) -> list[tuple]:
    said = told_visits(plasma["AVISIT"], rules=rules)
    differs = said.isin(list(rules.plasma_visit_windows)) & (said != draws["AVISIT"])
    found = draws.assign(SAID=said)[differs].drop_duplicates("SAMPLEID")
    rows = []
    for subject, name, word, visit, day in found[["USUBJID", "SAMPLEID", "SAID", "AVISIT", "DAY"]].itertuples(
        index=False
    ):
        known = np.isfinite(day)
        why = f"its date makes it {visit} (day {day:g})" if known else f"its study day is unknown: {visit}"
        todo = "check the date of the draw" if known else "give its study day, or the date of first dose"
        message = f"the table says {word}, {why}"
        rows.append(("PLASMA_VISIT_DIFFERS", "warning", subject, "plasma", f"sample {name}", message, todo))
    return rows


def _unknown_words(plasma: pd.DataFrame, rules) -> list[tuple]:
    """Ask once for each word: a visit of the study's own cannot be told from a misspelling."""
    words = plasma["AVISIT"].astype("string").str.strip()
    unknown = words.notna() & words.ne("") & told_visits(words, rules=rules).isna()
    unknown = unknown.fillna(False).astype(bool)
    todo = (
        f"call draws taken at progression {PROGRESSION}; add a spelling to biomarkers.sample_visits or "
        "biomarkers.plasma_unscheduled"
    )
    counts = plasma.loc[unknown, "SAMPLEID"].groupby(words[unknown]).nunique().sort_index()
    rows = []
    for word, count in counts.items():
        said = f"visit {word!r} of {count} samples is none the plan knows; the day of the draw decides"
        rows.append(("PLASMA_VISIT_UNKNOWN", "note", None, "plasma", f"visit {word}", said, todo))
    return rows


def _unscheduled(draws: pd.DataFrame, rules) -> list[tuple]:
    windows = rules.plasma_visit_windows
    last = windows[rules.baseline_visit][1] if rules.baseline_visit in windows else _DAY_OF_FIRST_DOSE
    after = draws[(draws["DAY"] > last) & draws["AVISIT"].ne(PROGRESSION)].drop_duplicates("SAMPLEID")
    outside = after["AVISIT"].eq(UNSCHEDULED)
    if after.empty or outside.mean() <= rules.plasma_unscheduled_share:
        return []
    spelled = ", ".join(f"{visit} {low:g} to {high:g}" for visit, (low, high) in windows.items())
    said = f"{int(outside.sum())} of {len(after)} draws after baseline are in no window ({spelled})"
    todo = f"for another schedule set {_SCHEDULE}; nothing, if draws between the visits are meant"
    return [("PLASMA_UNSCHEDULED", "note", None, "plasma", None, said, todo)]
