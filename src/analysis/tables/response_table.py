"""Tables of response: metabolic response by day, rule and cut; best response of the tumour."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.tables.format import MISSING, NothingToTabulate, count_percent, fall, number, proportion
from analysis.tables.specification_table import say_published
from analysis.tables.words import GROUPS, label_of, order_visits

_BEST = {"BOR": "Best response", "CBOR": "Confirmed best response"}
POST_HOC_MARK, PRIMARY_MARK = "†", "*"


def tabulate_metabolic(
    proportions: pd.DataFrame,
    *,
    metric: str,
    rule: str,
    cut: float,
    method: str = "clopper_pearson",
    level: int = 95,
) -> pd.DataFrame:
    """Tabulate metabolic response: a block a day, a line a rule and cut, the main one first.

    Parameters
    ----------
    proportions : DataFrame
        Table ``proportions``; positive is metabolic non-response.
    metric, rule, cut
        The main analysis. Its rule is shown at every cut, the others at its cut, or at their own where they
        do not have it; of other metrics only rules that read a metric of their own.
    method : str
        Whose limits: clopper_pearson (exact) or wilson.
    level : int
        Confidence level, percent.

    Returns
    -------
    DataFrame
        Rule and cut, Evaluable, Responders, Non-responders (count / evaluable, percent and limits), Not
        evaluable, Bounds (percent of non-responders if nobody, or everybody, not evaluable were one): ready
        text. ``*`` marks the main line, ``†`` a post hoc cut.

    Raises
    ------
    NothingToTabulate
        If no proportion has these limits.
    """
    rows = proportions[proportions["METHOD"].eq(method)]
    own = rows["METRIC"].eq(metric) | ~rows["RULE"].isin(rows.loc[rows["METRIC"].eq(metric), "RULE"])
    rows = rows[own]
    if rows.empty:
        raise NothingToTabulate(f"no proportion with limits by {method!r}: leave the table out and say why")
    bounds = rows[rows["CASE"].isin(["lowest", "highest"])]
    seen = rows[rows["CASE"].eq("observed")]
    shown = seen["RULE"].eq(rule) | seen["CUT"].eq(cut)
    seen = seen[shown | ~seen["RULE"].isin(seen.loc[shown, "RULE"])]
    main = seen["METRIC"].eq(metric) & seen["RULE"].eq(rule) & seen["CUT"].eq(cut)
    same_rule = seen["RULE"].eq(rule)
    seen = seen.assign(MAIN=main, ORDER=(~main).astype(int) + (~same_rule).astype(int))
    lines = []
    for day in order_visits(seen["TIMEPOINT"]):
        lines.append([label_of(day), "", "", "", "", ""])
        of_day = seen[seen["TIMEPOINT"].eq(day)].sort_values(["ORDER", "RULE", "CUT"], kind="stable")
        lines += [_line(row, bounds) for row in of_day.to_dict("records")]
    heads = ["Rule and cut", "Evaluable", "Responders", f"Non-responders ({level} % CI)"]
    return pd.DataFrame(lines, columns=[*heads, "Not evaluable", "Bounds, %"])


def note_metabolic(proportions: pd.DataFrame) -> list[str]:
    """Explain the marks and the bounds of `tabulate_metabolic`."""
    notes = [f"{PRIMARY_MARK} the rule and cut of the main analysis. Limits are exact (Clopper-Pearson)."]
    if proportions["LABEL"].notna().any():
        post = proportions[proportions["LABEL"].notna()]
        notes.append(
            f"{POST_HOC_MARK} post hoc cut: chosen after outcomes had been seen{say_published(post)}."
        )
    if proportions["N_MISSING"].gt(0).any():
        notes.append("Percentages: responders of the evaluable; not evaluable of all patients of that day.")
        notes.append("Bounds: non-responders if no patient who is not evaluable were one, and if all were.")
    return notes


def tabulate_best_response(adrs: pd.DataFrame, subjects: Sequence[str]) -> pd.DataFrame:
    """Tabulate the best response of the tumour (RECIST 1.1), unconfirmed and confirmed.

    Parameters
    ----------
    adrs : DataFrame
        Table ``adrs``; PARAMCD BOR and CBOR.
    subjects : sequence of str
        Denominator: the treated subjects. One without a record counts as not assessed.

    Returns
    -------
    DataFrame
        Best response, and n (%) of it: ready text, one line a class somebody has.

    Raises
    ------
    NothingToTabulate
        If nobody has a best response.
    """
    best = adrs[adrs["PARAMCD"].isin(_BEST) & adrs["USUBJID"].isin(subjects)]
    if best.empty:
        raise NothingToTabulate("nobody has a best response: leave the table out and say why")
    asked = [code for code in _BEST if best["PARAMCD"].eq(code).any()]
    by = {}
    for code in asked:
        values = best[best["PARAMCD"].eq(code)].set_index("USUBJID")["AVALC"]
        by[code] = values.reindex(list(subjects)).fillna("MISSING").value_counts()
    order = [name for name in GROUPS if any(name in counts.index for counts in by.values())]
    lines = [
        [label_of(name), *(count_percent(int(by[code].get(name, 0)), len(subjects)) for code in asked)]
        for name in order
    ]
    heads = [f"{_BEST[code]} (n = {len(subjects)})" for code in asked]
    return pd.DataFrame(lines, columns=["Class", *heads])


def _line(row: dict, bounds: pd.DataFrame) -> list[str]:
    n, positive, missing = (int(row[name]) for name in ("N", "N_NONRESPONDER", "N_MISSING"))
    limits = (100 * row["LOWER"], 100 * row["UPPER"])
    return [
        _name(row),
        str(n),
        count_percent(n - positive, n),
        proportion(positive, n, *limits),
        count_percent(missing, n + missing),
        _bounds(row, bounds) if missing else MISSING,
    ]


def _name(row: dict) -> str:
    rule = label_of(row["RULE"])
    cut = "" if row["RULE"] == "reported" else f", {fall(row['CUT'])}"
    mark = f" {PRIMARY_MARK}" if row["MAIN"] else f" {POST_HOC_MARK}" if isinstance(row["LABEL"], str) else ""
    return f"{rule[:1].upper()}{rule[1:]}{cut}{mark}"


def _bounds(row: dict, bounds: pd.DataFrame) -> str:
    same = bounds[[*("TIMEPOINT", "METRIC", "RULE", "CUT")]].eq(
        pd.Series({name: row[name] for name in ("TIMEPOINT", "METRIC", "RULE", "CUT")})
    ).all(axis=1)  # fmt: skip
    by = bounds[same].set_index("CASE")["ESTIMATE"]
    low, high = (100 * by[case] for case in ("lowest", "highest"))
    return f"{number(low)} to {number(high)}"
