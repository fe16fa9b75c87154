"""The table of operating characteristics a reader meets: values with their Monte Carlo errors."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.tables import operating_words as words
from analysis.tables.format import MISSING, number
from analysis.tables.words import label_of

_SHARES = {"rejection", "coverage", "not_finite", "later_day", "better_day", "fallback", "nonresponse"}
_SHARES |= {"inflation", "inflation_up", "inflation_down"}
_DECIMALS = {"bias": 3, "events": 1, "patients": 1, "enrolled": 0}


def tabulate_operating(
    characteristics: pd.DataFrame,
    quantities: Sequence[str],
    *,
    endpoint: str | None = None,
    methods: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Write operating characteristics as text: one line a truth, size and analysis, one column a quantity.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``.
    quantities : sequence of str
        QUANTITY codes, in the order of the columns.
    endpoint : str, optional
        PARAMCD; every endpoint, in a column of its own, by default.
    methods : sequence of str, optional
        METHOD codes that are shown; all by default.

    Returns
    -------
    DataFrame
        Ready text, ``value (Monte Carlo standard error)``; shares in percent.
    """
    asked = characteristics["QUANTITY"].isin(quantities) & characteristics["ESTIMATE"].notna()
    asked &= characteristics["ENDPOINT"].eq(endpoint) if endpoint else True
    asked &= characteristics["METHOD"].isin(methods) if methods is not None else True
    lines = []
    for cell, rows in characteristics[asked].groupby(["TRUTH", "SIZE", "ENDPOINT"], sort=False):
        for code in words.order_analyses(rows["METHOD"]):
            own = rows[rows["METHOD"].eq(code)].set_index("QUANTITY")
            line = dict(zip(("Truth", "Size", "Endpoint"), cell, strict=True))
            line["Analysis"] = label_of(code) if label_of(code) != code else words.name_analysis(code)
            for name in quantities:
                line[words.QUANTITIES[name]] = _write(name, own.loc[name]) if name in own.index else MISSING
            lines.append(line)
    columns = ["Truth", "Size", "Endpoint", "Analysis", *(words.QUANTITIES[name] for name in quantities)]
    table = pd.DataFrame(lines, columns=columns)
    return table.drop(columns="Endpoint") if endpoint else table


def tabulate_planning(planning: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Write planned sizes as text: one line a hazard ratio, by the formula and by simulation.

    Parameters
    ----------
    planning : DataFrame
        Contract ``planning``.
    groups : DataFrame
        HR MEDIAN_RESPONDER MEDIAN_NONRESPONDER EVENT_SHARE (`operating.describe_groups`).

    Returns
    -------
    DataFrame
        Ready text; sizes are events / patients, power in percent with its Monte Carlo standard error.
    """
    by = planning.set_index(["HR", "METHOD"])
    lines = []
    for row in groups.itertuples():
        medians = f"{number(row.MEDIAN_RESPONDER)} / {number(row.MEDIAN_NONRESPONDER)}"
        line = {
            "Hazard ratio": f"{row.HR:g}",
            "Medians, responders / non-responders, months": medians,
            "With an event, %": number(100 * row.EVENT_SHARE, 0),
        }
        for method, name in words.PLANNING.items():
            if (row.HR, method) in by.index:
                own = by.loc[(row.HR, method)]
                line[f"Size: {name}"] = f"{number(own['EVENTS'], 0)} / {number(own['PATIENTS'], 0)}"
        for method in ("simulation", "simulation_grid"):
            if (row.HR, method) in by.index:
                own = by.loc[(row.HR, method)].rename({"FOUND": "ESTIMATE"})
                line[f"Power at the formula's size: {words.PLANNING[method]}"] = _write("rejection", own)
        lines.append(line)
    return pd.DataFrame(lines)


def _write(quantity: str, row: pd.Series) -> str:
    scale, decimals = (100, 1) if quantity in _SHARES else (1, _DECIMALS.get(quantity, 2))
    text = number(scale * row["ESTIMATE"], decimals)
    return text if pd.isna(row["SE"]) else f"{text} ({number(scale * row['SE'], max(decimals, 1))})"
