"""How the analyses behave in simulated trials: the level of each test, and the choice of the day."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import operating_parts as parts
from analysis.figures import style
from analysis.tables import operating_words as words
from analysis.tables.format import number, percent

_LABEL_MM = 62.0


@style.drawn
def plot_level(
    characteristics: pd.DataFrame, *, alpha: float, width: str | float = "page", rules: Any = None
) -> Figure:
    """Draw the type I error of every analysis where nothing is planted, one mark a size.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``.
    alpha : float
        The nominal two-sided level, drawn as a line.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        One row an analysis, by endpoint, first those whose theory promises the level; the axis spreads small
        rates.

    Raises
    ------
    ValueError
        If no truth without effect was simulated.
    """
    table = _null_rejections(characteristics)
    sizes = list(dict.fromkeys(table["SIZE"]))
    rows = [row for endpoint in dict.fromkeys(table["ENDPOINT"]) for row in _level_rows(table, endpoint)]
    first = table["ENDPOINT"].iloc[0]
    named = [words.name_size(characteristics, size, first) for size in sizes]
    handles = [
        *parts.mark_handles(named, rules),
        parts.line_handle(f"nominal level, {percent(100 * alpha, 1)}"),
    ]
    across = style.width_mm(width, rules)
    head = parts.legend_mm([handle.get_label() for handle in handles], across - parts.EDGE_MM, rules)
    tall = parts.height_mm(rows, len(sizes))
    figure = style.new_figure(width, head + tall + parts.FOOT_MM, rules)
    room = parts.label_mm(rows, _LABEL_MM, rules)
    left = parts.EDGE_MM + room
    axes = style.axes_mm(figure, left, parts.FOOT_MM, across - left - parts.GAP_MM, tall)
    parts.root_axis(axes, "Trials in which the test rejects, %", 1.06 * max(parts.reach(rows), 2 * alpha))
    parts.draw_rows(axes, rows, sizes, rules, room_mm=room)
    parts.reference_line(axes, alpha)
    parts.draw_legend(figure, handles, parts.EDGE_MM, rules)
    return figure


@style.drawn
def plot_better_day(
    characteristics: pd.DataFrame, *, endpoint: str, width: str | float = "page", rules: Any = None
) -> Figure:
    """Draw how often each rule of the pilot takes the truly better day, on the decision date and later.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``.
    endpoint : str
        PARAMCD the pilot reads.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Two panels (decision date, all follow-up); one row a rule, one mark a truth at its first size.

    Raises
    ------
    ValueError
        If there is no such row.
    """
    table = _better_day(characteristics, endpoint)
    truths = list(dict.fromkeys(table["TRUTH"]))
    codes = [code for code in words.order_analyses(table["METHOD"]) if not code.endswith(words.MATURE)]
    handles = parts.mark_handles(truths, rules)
    across = style.width_mm(width, rules)
    head = parts.legend_mm(truths, across - parts.EDGE_MM, rules) + parts.TITLE_MM
    first = parts.rows_of(table, codes, "TRUTH", words.name_analysis)
    tall = parts.height_mm(first, len(truths))
    figure = style.new_figure(width, head + tall + parts.FOOT_MM, rules)
    room = parts.label_mm(first, 42.0, rules)
    side = (across - parts.EDGE_MM - room - 2 * parts.GAP_MM) / 2
    for k, (title, ending) in enumerate((("On the decision date", ""), ("With all follow-up", words.MATURE))):
        rows = parts.rows_of(table, [code + ending for code in codes], "TRUTH", words.name_analysis)
        left = parts.EDGE_MM + room + k * (side + parts.GAP_MM)
        axes = style.axes_mm(figure, left, parts.FOOT_MM, side, tall)
        axes.set_title(f"{'AB'[k]}  {title}", loc="left")
        parts.percent_axis(axes, "Pilots that take the better day, %")
        parts.draw_rows(axes, rows, truths, rules, room_mm=0 if k else room)
        parts.reference_line(axes, 0.5)
    parts.draw_legend(figure, handles, parts.EDGE_MM, rules)
    return figure


def caption_level(characteristics: pd.DataFrame, *, alpha: float) -> str:
    """Write the caption of the type I errors from their data."""
    table = _null_rejections(characteristics)
    least, most = table["TRIALS"].min(), table["TRIALS"].max()
    trials = f"{least:.0f}" if least == most else f"{least:.0f} to {most:.0f}"
    worst = table.loc[table["ESTIMATE"].idxmax()]
    return (
        "Share of simulated trials without any effect in which the analysis rejects at "
        f"{percent(100 * alpha)}, with two Monte Carlo standard errors ({trials} trials a size). Highest: "
        f"{words.name_analysis(worst['METHOD'])} ({worst['ENDPOINT']}, {worst['SIZE']}), "
        f"{percent(100 * worst['ESTIMATE'], 1)}. The axis spreads small rates (square root)."
    )


def caption_better_day(characteristics: pd.DataFrame, *, endpoint: str) -> str:
    """Write the caption of the choice of the day from its data."""
    table = _better_day(characteristics, endpoint)
    plan = table[table["METHOD"].eq("PLAN")]
    often = "; ".join(f"{row.TRUTH} {percent(100 * row.ESTIMATE)}" for row in plan.itertuples())
    fallback = words.select(characteristics, "fallback")["ESTIMATE"]
    known = words.select(characteristics, "events", METHOD="decision", ENDPOINT=endpoint)["ESTIMATE"]
    text = (
        "Share of simulated pilots in which a rule takes the truly better day, with two Monte Carlo standard "
        "errors; the dashed line is a toss of a coin. Left with what is known on the decision date"
    )
    text += f" ({number(known.mean(), 0)} events on average)" if len(known) else ""
    text += f", right with all follow-up. The plan's rule with its fallback: {often or 'not simulated'}."
    return text + (f" The fallback decides {_range(fallback)} of pilots." if len(fallback) else "")


def alt_level(characteristics: pd.DataFrame, *, alpha: float) -> str:
    """Describe the type I errors for a reader who cannot see them: every analysis at every size."""
    table = _null_rejections(characteristics)
    said = [
        f"{endpoint}, {words.name_analysis(code)}: "
        + ", ".join(f"{row.SIZE} {percent(100 * row.ESTIMATE, 1)}" for row in rows.itertuples())
        for (endpoint, code), rows in table.groupby(["ENDPOINT", "METHOD"], sort=False)
    ]
    return f"Type I error of each analysis against the level {percent(100 * alpha)}. {'; '.join(said)}."


def alt_better_day(characteristics: pd.DataFrame, *, endpoint: str) -> str:
    """Describe the choice of the day for a reader who cannot see it: each rule on the decision date."""
    table = _better_day(characteristics, endpoint)
    early = table[~table["METHOD"].str.endswith(words.MATURE)]
    said = [
        f"{words.name_analysis(code)}: "
        + ", ".join(f"{row.TRUTH} {percent(100 * row.ESTIMATE)}" for row in rows.itertuples())
        for code, rows in early.groupby("METHOD", sort=False)
    ]
    return f"Share of pilots that take the better day on the decision date. {'; '.join(said)}."


def _range(values: pd.Series) -> str:
    low, high = (percent(100 * value) for value in (values.min(), values.max()))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def _null_rejections(characteristics: pd.DataFrame) -> pd.DataFrame:
    table = words.select(characteristics, "rejection", TRUTH=words.null_truths(characteristics))
    if table.empty:
        raise ValueError("no truth without effect was simulated: leave the figure out and say why")
    return table


def _level_rows(table: pd.DataFrame, endpoint: str) -> list[parts.Row]:
    own = table[table["ENDPOINT"].eq(endpoint)]
    promised = set(own.loc[own["TARGET"].notna(), "METHOD"])
    codes = words.order_analyses(own["METHOD"])
    rows = []
    for heading, kept in (
        (f"{endpoint}: theory promises the level", [code for code in codes if code in promised]),
        (f"{endpoint}: no such promise", [code for code in codes if code not in promised]),
    ):
        if kept:
            rows += [parts.Row(heading), *parts.rows_of(own, kept, "SIZE", words.name_analysis)]
    return rows


def _better_day(characteristics: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    table = words.select(characteristics, "better_day", ENDPOINT=endpoint)
    if table.empty:
        raise ValueError("no choice of a day was simulated: leave the figure out and say why")
    return table.drop_duplicates(["TRUTH", "METHOD"])
