"""The sensitivity grid on one page: rules and cuts by day, then every other choice, one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.tables.format import MISSING, NothingToTabulate, ratio
from analysis.tables.specification_table import CHOICES, say_published, word_of_choice
from analysis.tables.words import label_of, order_visits

PRIMARY_MARK, POST_HOC_MARK = "*", "†"
_OTHERS = ("LANDMARK", "POPULATION", "METRIC", "CENSORING")


def tabulate_sensitivity(
    specifications: pd.DataFrame, names: Mapping[str, str] | None = None, *, level: int = 95
) -> pd.DataFrame:
    """Tabulate the hazard ratio by specification: a line a rule and cut, two columns a day.

    The first block crosses rules and cuts with days, with the primary's time zero, patients, metric (a
    published rule has its own) and endpoint. Each block after it changes one of these. Where the grid holds
    such a change for every rule and cut, the line of the primary's rule and cut is shown; the specification
    curve shows all.

    Parameters
    ----------
    specifications : DataFrame
        Table ``specifications``.
    names : mapping, optional
        PARAMCD of a censoring rule -> what it changes, in words.
    level : int
        Confidence level, percent.

    Returns
    -------
    DataFrame
        Choice; for each day "events / n" and "HR (.. % CI)": ready text. ``*`` marks the primary analysis,
        ``†`` a choice made after outcomes had been seen; `note_sensitivity` says so.

    Raises
    ------
    NothingToTabulate
        If fewer than two specifications were estimated: there is nothing to compare.
    """
    rows = specifications[specifications["STATUS"].eq("ESTIMATED")]
    if len(rows) < 2:
        raise NothingToTabulate("a grid needs two estimated specifications: leave it out and say why")
    primary = specifications[specifications["ROLE"].eq("PRIMARY")].iloc[0]
    days = order_visits(rows["TIMEPOINT"])
    crossed = _same(rows, primary, ("LANDMARK", "POPULATION", "CENSORING"))
    own = rows["METRIC"].eq(primary["METRIC"]) | rows["RULE"].ne(primary["RULE"])
    lines = _cross(rows[crossed & own], days)
    for column in _OTHERS:
        others = [name for name in (*_OTHERS, "RULE", "CUT") if name != column]
        differ = rows[_same(rows, primary, others) & rows[column].ne(primary[column])]
        lines += _block(differ, column, primary, days, names)
    heads = ["Choice"]
    for day in days:
        heads += [f"{label_of(day)}, events / n", f"{label_of(day)}, HR ({level} % CI)"]
    return pd.DataFrame(lines, columns=heads)


def note_sensitivity(specifications: pd.DataFrame) -> list[str]:
    """Explain the marks of `tabulate_sensitivity`, and count what it leaves out.

    Returns
    -------
    list of str
        Notes for under the table.
    """
    rows = specifications[specifications["STATUS"].eq("ESTIMATED")]
    notes = [f"{PRIMARY_MARK} the primary analysis."]
    post = rows[rows["POSTHOC"].eq("Y")]
    if len(post):
        said = f"{POST_HOC_MARK} post hoc: a cut chosen after outcomes had been seen{say_published(post)}."
        notes.append(said)
    notes.append("The lines share patients: they are no independent evidence, and their p are not printed.")
    left = len(specifications) - len(rows)
    if left:
        notes.append(f"{left} of {len(specifications)} specifications could not be estimated.")
    return notes


def _same(rows: pd.DataFrame, primary: pd.Series, columns: Sequence[str]) -> pd.Series:
    alike = [rows[name].eq(primary[name]) | (rows[name].isna() & pd.isna(primary[name])) for name in columns]
    return pd.concat(alike, axis=1).all(axis=1)


def _cross(rows: pd.DataFrame, days: Sequence[str]) -> list[list[str]]:
    """Write the lines of rules and cuts, a group a rule in the grid's order, cuts ascending."""
    lines = []
    for rule in dict.fromkeys(rows["RULE"]):
        own = rows[rows["RULE"].eq(rule)]
        metric = f" ({label_of(own['METRIC'].iloc[0])})"
        head = label_of(rule)
        lines.append([head[:1].upper() + head[1:] + metric, *[""] * (2 * len(days))])
        for cut, at in own.groupby("CUT", dropna=False):
            name = word_of_choice("CUT", cut, "") if pd.notna(cut) else "as sent"
            lines.append([_marked(name[:1].upper() + name[1:], at["POSTHOC"]), *_cells(at, days)])
    return lines


def _block(rows, column: str, primary: pd.Series, days, names) -> list[list[str]]:
    """Write the lines of one other choice under its name."""
    if rows.empty:
        return []
    lines = [[f"Other choices: {CHOICES[column].lower()}", *[""] * (2 * len(days))]]
    for value in dict.fromkeys(rows[column]):
        at = rows[rows[column].eq(value)]
        word = str(word_of_choice(column, value, primary["ENDPOINT"], names))
        word = word.removeprefix(f"{primary['ENDPOINT']}, ")
        lines.append([_marked(word[:1].upper() + word[1:], at["POSTHOC"]), *_cells(at, days)])
    return lines


def _marked(name: str, post_hoc: pd.Series) -> str:
    return f"{name} {POST_HOC_MARK}" if post_hoc.eq("Y").all() else name


def _cells(rows: pd.DataFrame, days: Sequence[str]) -> list[str]:
    cells = []
    for day in days:
        at = rows[rows["TIMEPOINT"].eq(day)]
        if at.empty:
            cells += [MISSING, MISSING]
            continue
        row = at.iloc[0]
        mark = f" {PRIMARY_MARK}" if row["ROLE"] == "PRIMARY" else ""
        cells.append(f"{row['EVENTS']:.0f} / {row['N']:.0f}")
        cells.append(ratio(row["ESTIMATE"], row["LOWER"], row["UPPER"]) + mark)
    return cells
