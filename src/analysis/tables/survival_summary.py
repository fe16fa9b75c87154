"""The table of survival by group: events, medians, survival at the plan's times, and the comparison."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from analysis.tables.estimates import UNTESTED, reported_row, write_estimate
from analysis.tables.format import MISSING, NothingToTabulate, count_percent, interval, p_value, ratio
from analysis.tables.words import label_of, phrase_of

ALL = "all"
_ANALYSIS = ["POPULATION", "LANDMARK", "TIMEPOINT", "METRIC", "RULE", "CUT"]
_MONTHS = re.compile(r"km_survival_(\d+)m")
_WITHIN = re.compile(r"within (\d+(?:\.\d+)?)")
REFERENCE = "reference"
_TESTS = {
    "two_stage": "two-stage test",
    "logrank_permutation": "log-rank, permutation",
    "logrank": "log-rank",
}


def select_described(estimates: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """Select the estimates of the groups whose survival is described: those of the main curves.

    Parameters
    ----------
    estimates : DataFrame
        Table estimates.
    endpoint : str
        PARAMCD.

    Returns
    -------
    DataFrame
        Rows of the endpoint with the analysis of its first median; empty where no group has one.
    """
    own = estimates[estimates["ENDPOINT"].eq(endpoint)]
    medians = own[own["METHOD"].eq("km_median")]
    if medians.empty:
        return medians
    first = medians.iloc[0]
    alike = [own[name].eq(first[name]) | (own[name].isna() & pd.isna(first[name])) for name in _ANALYSIS]
    return own[pd.concat(alike, axis=1).all(axis=1)]


def tabulate_survival(estimates: pd.DataFrame, endpoints: Sequence[str], *, level: int = 95) -> pd.DataFrame:
    """Tabulate survival by group: one block an endpoint, one column a group; nothing is fitted here.

    Parameters
    ----------
    estimates : DataFrame
        Table estimates.
    endpoints : sequence of str
        PARAMCD, in order; one whose groups have no curve is left out.
    level : int
        Confidence level, percent.

    Returns
    -------
    DataFrame
        Quantity, one column a group (the exposed first) and All: ready text. Survival in percent, times in
        months; in the lines of the comparison the last group is the reference.

    Raises
    ------
    NothingToTabulate
        If no endpoint has a curve.
    """
    described = {name: select_described(estimates, name) for name in endpoints}
    described = {name: rows for name, rows in described.items() if len(rows)}
    if not described:
        raise NothingToTabulate("no endpoint has a Kaplan-Meier median: leave the table out and say why")
    groups = list(dict.fromkeys(
        group
        for rows in described.values()
        for group in rows.loc[rows["METHOD"].eq("km_median"), "CONTRAST"]
    ))  # fmt: skip
    columns = [*groups, ALL]
    lines: list[list[str]] = []
    for name, rows in described.items():
        lines.append([name, *[""] * len(columns)])
        lines += _describe(rows, columns, level)
        lines += _compare(rows, estimates, name, columns, level)
    heads = ["Quantity", *(label_of(group) for group in groups), "All"]
    table = pd.DataFrame(lines, columns=heads)
    return table if (table["All"].isin(["", MISSING])).mean() < 1 else table.drop(columns="All")


def note_survival(estimates: pd.DataFrame, endpoints: Sequence[str]) -> list[str]:
    """Say what the groups of `tabulate_survival` are where that is not plain, and what was not tested.

    Returns
    -------
    list of str
        Notes for under the table; empty where there is nothing to say.
    """
    rows = pd.concat([select_described(estimates, name) for name in endpoints])
    notes = []
    for metric in rows.loc[rows["RULE"].eq("median_split"), "METRIC"].unique():
        notes.append(f"Groups: split at the median of {phrase_of(metric)}, which the data gave: exploratory.")
    untested = rows["LABEL"].str.contains(UNTESTED, regex=False)
    names = [name for name in endpoints if (untested & rows["ENDPOINT"].eq(name)).any()]
    if names:
        notes.append(f"{' and '.join(names)}: estimated only, not tested.")
    return notes


def _describe(rows: pd.DataFrame, columns: Sequence[str], level: int) -> list[list[str]]:
    """Write the lines of single groups, each from its own rows."""
    by = {name: rows[rows["CONTRAST"].eq(name) & rows["REFERENCE"].isna()] for name in columns}
    counted = {name: own.iloc[0] for name, own in by.items() if len(own)}
    lines = [["Patients", *(_count(counted.get(name), "N") for name in columns)]]
    lines.append(["Events, n (%)", *(_share(counted.get(name), events=True) for name in columns)])
    lines.append(["Censored, n (%)", *(_share(counted.get(name), events=False) for name in columns)])
    methods = [
        name for name in dict.fromkeys(rows["METHOD"]) if name.startswith(("km_median", "km_survival"))
    ]
    for method in [*methods, "km_follow_up"]:
        found = {name: own[own["METHOD"].eq(method)] for name, own in by.items()}
        if not any(len(own) for own in found.values()):
            continue
        cells = [write_estimate(found[name].iloc[0]) if len(found[name]) else MISSING for name in columns]
        lines.append([_name(method, level), *cells])
    return lines


def _name(method: str, level: int) -> str:
    if method == "km_median":
        return f"Median, months ({level} % CI)"
    if method == "km_follow_up":
        return f"Median follow-up, months ({level} % CI), reverse Kaplan-Meier"
    return f"Survival at {_MONTHS.match(method)[1]} months, % ({level} % CI)"


def _compare(rows, estimates, endpoint: str, columns: Sequence[str], level: int) -> list[list[str]]:
    """Write the lines of the comparison: difference of restricted means, hazard ratio and p."""
    pairs = rows[rows["REFERENCE"].notna()]
    lines = []
    means = pairs[pairs["METHOD"].eq("rmst_difference")].head(1)
    for row in means.to_dict("records"):
        within = _WITHIN.search(row["LABEL"])
        what = f"Difference of mean event-free months within {within[1]}" if within else "Difference of means"
        cell = interval(row["ESTIMATE"], row["LOWER"], row["UPPER"], decimals=2)
        lines.append([f"{what} ({level} % CI)", *_against(row, cell, columns)])
    for row in pairs[pairs["METHOD"].eq("cox")].head(1).to_dict("records"):
        cell = "not estimable"
        if pd.notna(row["ESTIMATE"]):
            cell = ratio(row["ESTIMATE"], row["LOWER"], row["UPPER"])
        lines.append([f"Hazard ratio ({level} % CI)", *_against(row, cell, columns)])
        test = reported_row(estimates, endpoint, row)
        said = "not tested" if UNTESTED in str(row["LABEL"]) else p_value(test["P"])
        lines.append([_test_name(test), *_against(row, said, columns, other=MISSING)])
    return lines


def _test_name(test: pd.Series) -> str:
    return f"p ({_TESTS.get(test['METHOD'], 'Cox model')})"


def _against(row: dict, cell: str, columns: Sequence[str], other: str = REFERENCE) -> list[str]:
    written = {row["CONTRAST"]: cell, row["REFERENCE"]: other}
    return [written.get(name, MISSING) for name in columns]


def _count(row: pd.Series | None, column: str) -> str:
    return MISSING if row is None or pd.isna(row[column]) else str(int(row[column]))


def _share(row: pd.Series | None, *, events: bool) -> str:
    if row is None or pd.isna(row["EVENTS"]):
        return MISSING
    found = int(row["EVENTS"] if events else row["N"] - row["EVENTS"])
    return count_percent(found, int(row["N"]))
