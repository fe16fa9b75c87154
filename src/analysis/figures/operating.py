"""How the analyses behave in simulated trials: the level of each test, and the choice of the day."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import operating_parts as parts
from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
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
    width : {"column", "half", "page"} or float
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
    tight = parts.tighten([tall], head + parts.FOOT_MM)
    tall *= tight
    figure = style.new_figure(width, head + tall + parts.FOOT_MM, rules)
    room = parts.label_mm(rows, _LABEL_MM, rules)
    left = parts.EDGE_MM + room
    axes = style.axes_mm(figure, left, parts.FOOT_MM, across - left - parts.GAP_MM, tall)
    parts.root_axis(axes, "Trials in which the test rejects, %", 1.06 * max(parts.reach(rows), 2 * alpha))
    parts.draw_rows(axes, rows, sizes, rules, room_mm=room, tight=tight)
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
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Left what is known on the decision date, right all follow-up; one row a rule, one mark a truth at its
        first size. Above the truths with a better day; below those without one, where the share that takes
        the later day is shown: no error, but it tells how a rule leans.

    Raises
    ------
    ValueError
        If there is no such row.
    """
    better, level = _better_day(characteristics, endpoint), _no_better_day(characteristics, endpoint)
    bands = [(better, "Pilots that take the better day, %", 0)]
    if len(level):
        bands.append((level, "No day is better: later day taken, %", better["TRUTH"].nunique()))
    truths = [truth for table, *_ in bands for truth in dict.fromkeys(table["TRUTH"])]
    across = style.width_mm(width, rules)
    shown = [_rule_rows(table, "") for table, *_ in bands]
    talls = [
        parts.height_mm(rows, table["TRUTH"].nunique())
        for rows, (table, *_) in zip(shown, bands, strict=True)
    ]
    head, each = parts.legend_mm(truths, across - parts.EDGE_MM, rules), parts.FOOT_MM + parts.TITLE_MM
    bottom = sum(talls) + len(bands) * each
    figure = style.new_figure(width, head + bottom, rules)
    room = parts.label_mm(shown[0], 42.0, rules)
    for place_in, ((table, label, first), tall) in enumerate(zip(bands, talls, strict=True)):
        bottom -= tall + each
        place = (bottom + parts.FOOT_MM, tall, across, room)
        drawn = _draw_band(figure, table, place, first, rules)
        for k, axes in enumerate(drawn):
            parts.percent_axis(axes, label)
            when = ("On the decision date", "With all follow-up")[k]
            axes.set_title(f"{'ABCD'[2 * place_in + k]}  {when}", loc="left")
            if place_in == 0:
                parts.reference_line(axes, 0.5)
    parts.draw_legend(figure, parts.mark_handles(truths, rules), parts.EDGE_MM, rules)
    return figure


def _draw_band(figure, table: pd.DataFrame, place: tuple, first: int, rules: Any) -> list:
    """Draw the rules on the decision date and, to the right, with all follow-up."""
    bottom, tall, across, room = place
    truths, drawn = list(dict.fromkeys(table["TRUTH"])), []
    side = (across - parts.EDGE_MM - room - 2 * parts.GAP_MM) / 2
    for k, ending in enumerate(("", words.MATURE)):
        left = parts.EDGE_MM + room + k * (side + parts.GAP_MM)
        axes = style.axes_mm(figure, left, bottom, side, tall)
        rows = _rule_rows(table, ending)
        parts.draw_rows(axes, rows, truths, rules, room_mm=0 if k else room, first=first)
        drawn.append(axes)
    return drawn


def _rule_rows(table: pd.DataFrame, ending: str) -> list[parts.Row]:
    codes = [code for code in words.order_analyses(table["METHOD"]) if not code.endswith(words.MATURE)]
    return parts.rows_of(table, [code + ending for code in codes], "TRUTH", words.name_analysis)


@spelled_out
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


@spelled_out
def caption_better_day(characteristics: pd.DataFrame, *, endpoint: str) -> str:
    """Write the caption of the choice of the day from its data."""
    table = _better_day(characteristics, endpoint)
    plan = table[table["METHOD"].eq("PLAN")]
    often = "; ".join(f"{row.TRUTH} {percent(100 * row.ESTIMATE)}" for row in plan.itertuples())
    known = words.select(characteristics, "events", METHOD="decision", ENDPOINT=endpoint)["ESTIMATE"]
    text = (
        "Share of simulated pilots in which a rule takes the truly better day, with two Monte Carlo standard "
        "errors; the dashed line is a toss of a coin. A: with what is known on the decision date"
    )
    text += f" ({number(known.mean(), 0)} events on average)" if len(known) else ""
    text += f", B: with all follow-up. The plan's rule with its fallback: {often or 'not simulated'}."
    own = table[table["METHOD"].eq("PLAN")].set_index("TRUTH")["ESTIMATE"]
    missed = [
        f" Where the later day is truly better ({truth}) that rule misses it in "
        f"{percent(100 * (1 - own[truth]))} of pilots."
        for truth in words.later_better(characteristics[characteristics["ENDPOINT"].eq(endpoint)])
        if truth in own.index
    ]
    said = [*missed, _say_no_better(characteristics, endpoint), _say_fallback(characteristics)]
    return text + "".join(said)


def _say_no_better(characteristics: pd.DataFrame, endpoint: str) -> str:
    """Say how often each rule takes the later day where neither is better."""
    table = _no_better_day(characteristics, endpoint)
    early = table[~table["METHOD"].str.endswith(words.MATURE)]
    said = [
        f"{truth}: "
        + ", ".join(
            f"{words.name_analysis(code)} {percent(100 * rows.loc[code, 'ESTIMATE'])}"
            for code in words.order_analyses(rows.index)
        )
        for truth, of_truth in early.groupby("TRUTH", sort=False)
        for rows in [of_truth.set_index("METHOD")]
    ]
    if not said:
        return ""
    return f" Where no day is better (C, D), the share that takes the later day ({'; '.join(said)})."


def _say_fallback(characteristics: pd.DataFrame) -> str:
    """Say in how many pilots the fallback decides, size by size."""
    rows = words.select(characteristics, "fallback")
    said = [f"{_range(own['ESTIMATE'])} ({size})" for size, own in rows.groupby("SIZE", sort=False)]
    return f" The fallback decides {', '.join(said)} of pilots." if said else ""


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
    text = f"Share of pilots that take the better day on the decision date. {'; '.join(said)}."
    return text + _say_no_better(characteristics, endpoint)


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


def _no_better_day(characteristics: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """Select how often the later day is taken in truths that have no better one."""
    table = words.select(characteristics, "later_day", ENDPOINT=endpoint)
    has = set(words.select(characteristics, "better_day", ENDPOINT=endpoint)["TRUTH"])
    return table[~table["TRUTH"].isin(has)].drop_duplicates(["TRUTH", "METHOD"])
