"""Bias of the ln hazard ratio in simulated trials, and how often an interval holds the truth."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import operating_parts as parts
from analysis.figures import style
from analysis.tables import operating_words as words
from analysis.tables.format import number, percent

_LABEL_MM = 58.0


@style.drawn
def plot_bias(
    characteristics: pd.DataFrame, *, size: str, width: str | float = "page", rules: Any = None
) -> Figure:
    """Draw the bias of the ln hazard ratio by analysis and truth, and the coverage of the intervals.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``.
    size : str
        SIZE whose trials are drawn.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Panel A: bias, one row an analysis under its endpoint, one mark a truth. Panel B below: coverage of
        maximum likelihood and Firth.

    Raises
    ------
    ValueError
        If no bias was computed at that size.
    """
    bias, covered = _of_size(characteristics, size)
    truths = list(dict.fromkeys(bias["TRUTH"]))
    upper, lower = _rows(bias), _rows(covered)
    handles = [*parts.mark_handles(truths, rules), parts.line_handle("value that theory promises")]
    across = style.width_mm(width, rules)
    named = [handle.get_label() for handle in handles]
    head = parts.legend_mm(named, across - parts.EDGE_MM, rules) + parts.TITLE_MM
    talls = [parts.height_mm(rows, len(truths)) for rows in (upper, lower)]
    below = talls[1] + parts.FOOT_MM + parts.TITLE_MM if lower else 0.0
    figure = style.new_figure(width, head + talls[0] + parts.FOOT_MM + below, rules)
    room = parts.label_mm([*upper, *lower], _LABEL_MM, rules)
    left = parts.EDGE_MM + room
    place = {"left": left, "width": across - left - parts.GAP_MM}
    axes = style.axes_mm(figure, bottom=below + parts.FOOT_MM, height=talls[0], **place)
    axes.set_title("A  Bias", loc="left")
    axes.set_xlabel("Mean of the estimated minus the true ln hazard ratio (above 0: effect overstated)")
    axes.xaxis.set_major_formatter(lambda value, _: number(value, 2))
    _draw(axes, upper, truths, 0.0, room, rules)
    if lower:
        axes = style.axes_mm(figure, bottom=parts.FOOT_MM, height=talls[1], **place)
        axes.set_title("B  Coverage", loc="left")
        promised = float(covered["TARGET"].iloc[0])
        low = min((covered["ESTIMATE"] - parts.ERRORS * covered["SE"]).min(), promised - 0.02)
        _draw(axes, lower, truths, promised, room, rules)
        parts.percent_axis(axes, "Intervals that hold the true hazard ratio, %", low - 0.01, 1.0)
    parts.draw_legend(figure, handles, parts.EDGE_MM, rules)
    return figure


def caption_bias(characteristics: pd.DataFrame, *, size: str) -> str:
    """Write the caption of bias and coverage from their data."""
    bias, covered = _of_size(characteristics, size)
    worst = bias.loc[bias["ESTIMATE"].abs().idxmax()]
    text = (
        f"Bias of the ln hazard ratio, {size}, with two Monte Carlo standard errors "
        f"({bias['TRIALS'].max():.0f} trials a truth). Largest: {words.name_analysis(worst['METHOD'])} "
        f"({worst['ENDPOINT']}, {worst['TRUTH']}), {number(worst['ESTIMATE'], 2)}."
    )
    if len(covered):
        shares = [percent(100 * value, 1) for value in (covered["ESTIMATE"].min(), covered["ESTIMATE"].max())]
        text += f" Coverage of {percent(100 * covered['TARGET'].iloc[0])} intervals: {' to '.join(shares)}."
    return text


def alt_bias(characteristics: pd.DataFrame, *, size: str) -> str:
    """Describe bias and coverage for a reader who cannot see them: every analysis, truth by truth."""
    bias, covered = _of_size(characteristics, size)
    said = [
        _say(row_of, lambda value: number(value, 2))
        for row_of in bias.groupby(["ENDPOINT", "METHOD"], sort=False)
    ]
    text = f"Bias of the ln hazard ratio. {'; '.join(said)}."
    said = [
        _say(row_of, lambda value: percent(100 * value, 1))
        for row_of in covered.groupby(["ENDPOINT", "METHOD"], sort=False)
    ]
    return f"{text} Coverage. {'; '.join(said)}." if said else text


def _say(part: tuple, write: Any) -> str:
    (endpoint, code), rows = part
    values = ", ".join(f"{row.TRUTH} {write(row.ESTIMATE)}" for row in rows.itertuples())
    return f"{endpoint}, {words.name_analysis(code)}: {values}"


def _of_size(characteristics: pd.DataFrame, size: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    bias = words.select(characteristics, "bias", SIZE=size)
    if bias.empty:
        known = list(dict.fromkeys(words.select(characteristics, "bias")["SIZE"]))
        raise ValueError(f"no bias was computed at the size {size!r}; sizes with one: {known}")
    return bias, words.select(characteristics, "coverage", SIZE=size)


def _rows(table: pd.DataFrame) -> list[parts.Row]:
    rows = []
    for endpoint, own in table.groupby("ENDPOINT", sort=False):
        codes = words.order_analyses(own["METHOD"])
        rows += [parts.Row(endpoint), *parts.rows_of(own, codes, "TRUTH", words.name_analysis)]
    return rows


def _draw(axes, rows: list[parts.Row], truths: list[str], promised: float, room: float, rules: Any) -> None:
    parts.draw_rows(axes, rows, truths, rules, room_mm=room)
    parts.reference_line(axes, promised)
