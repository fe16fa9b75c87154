"""What every rule for protocol deviations returns, and the two tables that are made of it.

A rule that finds nothing and a rule that cannot be answered are two things: the first has nobody's row and
its count of subjects, the second a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis import contracts

_FOUND = ["USUBJID", "AVISIT", "AVAL", "UNIT", "LIMIT", "SOURCE"]
OFF = "off"


@dataclass(frozen=True)
class Found:
    """The answer of one rule.

    Attributes
    ----------
    rows : DataFrame
        One row a deviation: USUBJID and any of AVISIT AVAL UNIT LIMIT SOURCE (DVDECOD and GRADE where the
        study said so).
    among : int
        Treated subjects whose records can tell.
    unknown : str
        Why the records cannot tell; empty where they can.
    """

    rows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_FOUND))
    among: int = 0
    unknown: str = ""


def found_rows(rows: pd.DataFrame, source: str, **values: Any) -> pd.DataFrame:
    """Return the columns of a deviation from `rows` (USUBJID and some of them) and `values`."""
    return rows.assign(SOURCE=source, **values).reindex(columns=_FOUND)


def unknown(why: str) -> Found:
    """Return the answer of a rule that the records cannot answer."""
    return Found(unknown=why)


def why_not_asked(rules) -> str:
    """Say why the plan does not ask for deviations; empty where it does.

    Parameters
    ----------
    rules : Section
        ``clinical`` of the plan.
    """
    if rules.deviations == "never":
        return "the plan does not ask for it"
    ready = rules.source == "table" and rules.deviations != "always"
    return "outcomes came as one ready table, without records and protocol" if ready else ""


def rules_in_use(rules) -> dict[str, dict[str, Any]]:
    """Return the rules of the plan that are not off, in the order of print.

    Parameters
    ----------
    rules : Section
        ``clinical`` of the plan.
    """
    return {code: rule for code, rule in rules.deviation_rules.items() if rule["grade"] != OFF}


def tabulate_found(
    found: Mapping[str, Found], adsl: pd.DataFrame, rules, tables: tuple[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring the answers of rules into the two tables: the deviations, and the rules with what they found.

    Parameters
    ----------
    found : mapping
        Code of a rule -> its answer.
    adsl : DataFrame
        STUDYID of every subject.
    rules : Section
        ``clinical`` of the plan.
    tables : tuple of str
        Names of the contracts of the two tables.

    Returns
    -------
    (DataFrame, DataFrame)
        By subject and in the order of the rules; IMPACT is missing, `join_deviations` fills it.
    """
    used = {code: rule for code, rule in rules_in_use(rules).items() if code in found}
    pieces, answers = [], []
    for code, rule in used.items():
        grade = rule["grade"]
        rows = found[code].rows.assign(CODE=code, DVCAT=rule["category"])
        given = rows["GRADE"] if "GRADE" in rows else pd.Series(None, index=rows.index, dtype=object)
        pieces.append(rows.assign(GRADE=given.fillna(grade)))
        known = not found[code].unknown
        answers.append((
            code, rule["category"], grade, "LOOKED" if known else "UNKNOWN",
            found[code].among, len(rows), found[code].unknown or None,
        ))  # fmt: skip
    names = ["CODE", "DVCAT", "GRADE", "STATUS", "N", "FOUND", "REASON"]
    asked = contracts.check(tables[1], pd.DataFrame(answers, columns=names))
    pieces = [piece for piece in pieces if len(piece)]
    if not pieces:
        return contracts.empty(tables[0]), asked
    return number_deviations(pd.concat(pieces, ignore_index=True), adsl, rules, tables[0]), asked


def number_deviations(rows: pd.DataFrame, adsl: pd.DataFrame, rules, table: str) -> pd.DataFrame:
    """Sort deviations by subject and rule, number them within the subject, and check the contract."""
    order = {code: place for place, code in enumerate(rules.deviation_rules)}
    rows = rows.assign(ORDER=rows["CODE"].map(order))
    rows = rows.sort_values(["USUBJID", "ORDER", "AVISIT", "LIMIT", "AVAL"], kind="stable", ignore_index=True)
    study = adsl.set_index("USUBJID")["STUDYID"]
    rows = rows.assign(
        STUDYID=rows["USUBJID"].map(study), DEVSEQ=rows.groupby("USUBJID").cumcount() + 1
    ).reindex(columns=contracts.columns(table))
    text = ["DVDECOD", "AVISIT", "UNIT", "LIMIT", "IMPACT"]
    rows[text] = rows[text].astype(object).where(rows[text].notna(), None)
    return contracts.check(table, rows)


def outside(days: pd.Series, first: float, last: float) -> pd.Series:
    """Compute by how many days a study day lies outside a window: below 0 early, above 0 late, 0 inside.

    There is no study day 0: the day before day 1 is day −1, one day away.

    Examples
    --------
    >>> outside(pd.Series([8.0, 10.0, 20.0, -1.0]), 10, 18).tolist()
    [-2.0, 0.0, 2.0, -10.0]
    """
    day, low, high = (np.where(np.asarray(one, float) < 0, np.asarray(one, float) + 1, one)
                      for one in (days, first, last))  # fmt: skip
    off = np.where(day < low, day - low, np.where(day > high, day - high, 0.0))
    return pd.Series(np.where(np.isnan(day), np.nan, off), index=days.index)


def early_or_late(off: pd.Series) -> pd.Series:
    """Name the side of a number of days off: days early, days late."""
    return pd.Series(np.where(off < 0, "days early", "days late"), index=off.index)


def joined(pieces: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the rows of the pieces that have any."""
    kept = [piece for piece in pieces if len(piece)]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=_FOUND)
