"""Measurement error: the hazard ratio under more of it and under none, and the class by number of lesions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables.format import percent, ratio
from analysis.tables.robustness_sentences import say_attenuation

LEFT_MM, GAP_MM, EDGE_MM, HEAD_MM, FOOT_MM, PANEL_MM, LINE_MM = 15.0, 17.0, 3.0, 7.0, 12.0, 56.0, 3.7
_CELL = ["CV", "CORRELATION"]
_MARKS = "osPX*"  # one a CV or true fall; diamond and triangles mean something else
_DODGE = 0.09  # levels between the intervals at no error


@style.drawn
def plot_misclassification(
    table: pd.DataFrame, *, endpoint: str, width: str | float = "page", rules: Any = None
) -> Figure:
    """Draw the hazard ratio against added measurement error, and the chance of non-response by lesions.

    Parameters
    ----------
    table : DataFrame
        Contract ``misclassification``.
    endpoint : str
        Whose hazard ratio is drawn.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Left: means of the redrawn studies (marks) and the extrapolation through them (lines, on to no error
        with its interval), the hazard ratio as measured (diamond), and the middle of the redrawn studies
        (grey), one line a CV and correlation. Right: one colour a true fall, at the largest CV; without it
        where the table has no such rows.

    Raises
    ------
    ValueError
        If no hazard ratio was estimated.
    """
    ratios, chances = _ratios(table, endpoint), _chances(table)
    keys = [_cell_handles(ratios, rules)]
    keys += [_fall_handles(chances, rules)] if len(chances) else []
    head = HEAD_MM + LINE_MM * max(math.ceil(len(handles) / 2) for handles in keys)
    figure = style.new_figure(width, FOOT_MM + PANEL_MM + head, rules)
    side = (style.width_mm(width, rules) - LEFT_MM - EDGE_MM - GAP_MM) / 2
    axes = style.axes_mm(figure, LEFT_MM, FOOT_MM, side, PANEL_MM)
    _draw_ratios(axes, ratios, rules)
    panels = [axes]
    if len(chances):
        panels.append(style.axes_mm(figure, LEFT_MM + side + GAP_MM, FOOT_MM, side, PANEL_MM))
        _draw_chances(panels[1], chances, rules)
    titles = [f"Hazard ratio of {endpoint}", f"Called non-responder, CV {chances['CV'].max():g} %"]
    for place, (panel, handles) in enumerate(zip(panels, keys, strict=True)):
        top = 1 + (head - HEAD_MM) / PANEL_MM
        panel.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(0, top), borderaxespad=0.0, labelspacing=0.2,
            handlelength=2.8, ncols=2, columnspacing=1.2,
        )  # fmt: skip
        pad = (head - HEAD_MM + 1.0) / style.MM_PER_POINT
        panel.set_title(f"{'AB'[place]}  {titles[place]}", loc="left", pad=pad)
    return figure


@spelled_out
def caption_misclassification(table: pd.DataFrame, *, endpoint: str, level: int = 95) -> str:
    """Write the caption of the figure from its rows."""
    ratios, chances = _ratios(table, endpoint), _chances(table)
    draws = int(ratios.loc[ratios["QUANTITY"].eq("hazard_ratio"), "DRAWS"].max())
    text = (
        f"A: hazard ratio of {endpoint} if the uptake of every lesion had more measurement error (variance "
        f"added, times that of one measurement): means of up to {draws} redrawn studies (marks; grey: where "
        f"the middle {level} % of them lie, over all lines), and the curve through them, dotted where it is "
        f"carried back to no error ({level} % bootstrap intervals). Diamond: as measured, "
        f"{ratio(_measured(ratios))}; it is one draw of classes and need not lie on the curve"
    )
    today = _today(ratios)
    text += f", which stands at {_reach(today)} with today's error." if len(today) else "."
    text += f" {say_attenuation(table, endpoint=endpoint)}"
    if len(chances):
        n = int(chances["N"].max())
        text += (
            " B: chance that a patient all of whose lesions truly fell by so much is called a non-responder, "
            f"by the number of lesions (within-subject CV {chances['CV'].max():g} %, {n} simulated patients)."
        )
    return (
        text + f" Lines differ by the correlation of the errors of a scan's lesions ({_correlations(table)})."
    )


def alt_misclassification(table: pd.DataFrame, *, endpoint: str) -> str:
    """Describe the figure for a reader who cannot see it: no error, as measured, most error; the chances."""
    ratios, chances = _ratios(table, endpoint), _chances(table)
    without = ratios[ratios["QUANTITY"].eq("simex")]
    lines = [
        f"{_cell_words(row)}: {ratio(row.ESTIMATE, row.LOWER, row.UPPER)}" for row in without.itertuples()
    ]
    text = f"Hazard ratio of {endpoint}: as measured {ratio(_measured(ratios))}; "
    text += f"the fitted curve with today's error {_reach(_today(ratios))}; " if len(_today(ratios)) else ""
    text += f"without measurement error {'; '.join(lines)}." if lines else "no extrapolation."
    own = chances[chances["CORRELATION"].eq(chances["CORRELATION"].min())]
    ends = [
        f"true fall {fall:g} %: {percent(100 * rows['ESTIMATE'].iloc[0])} with {rows['LESIONS'].iloc[0]:g}, "
        f"{percent(100 * rows['ESTIMATE'].iloc[-1])} with {rows['LESIONS'].iloc[-1]:g}"
        for fall, rows in own.groupby("FALL")
    ]
    return text + (f" Called non-responder by number of lesions: {'; '.join(ends)}." if ends else "")


def _ratios(table: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    drawn = table["QUANTITY"].isin(["hazard_ratio", "simex", "simex_curve"])
    own = table[table["ENDPOINT"].eq(endpoint) & drawn & table["ESTIMATE"].notna()]
    if not own["QUANTITY"].eq("hazard_ratio").any():
        raise ValueError("no hazard ratio to draw: leave the figure out and say why it does not apply")
    return own


def _chances(table: pd.DataFrame) -> pd.DataFrame:
    """Return the chances at the largest CV, in rising order of lesions."""
    rows = table[table["QUANTITY"].eq("nonresponse_true")]
    return rows[rows["CV"].eq(rows["CV"].max())].sort_values([*_CELL, "FALL", "LESIONS"])


def _measured(ratios: pd.DataFrame) -> float:
    own = ratios[ratios["QUANTITY"].eq("hazard_ratio") & ratios["LEVEL"].eq(0)]
    return float(own["ESTIMATE"].iloc[0]) if len(own) else np.nan


def _today(ratios: pd.DataFrame) -> pd.Series:
    """Return where the curves stand with the error there is."""
    return ratios.loc[ratios["QUANTITY"].eq("simex_curve") & ratios["LEVEL"].eq(0), "ESTIMATE"]


def _reach(values: pd.Series) -> str:
    low, high = ratio(values.min()), ratio(values.max())
    return low if low == high else f"{low} to {high}"


def _correlations(table: pd.DataFrame) -> str:
    return style.join_words([f"{value:g}" for value in sorted(table["CORRELATION"].unique())])


def _cell_words(row) -> str:
    return f"CV {row.CV:g} %, correlation {row.CORRELATION:g}"


def _looks(rows: pd.DataFrame, column: str, rules: Any) -> list[tuple[tuple, dict]]:
    """Return each combination of `column` and correlation: a colour the former, a dash the latter."""
    colours, dashes = (sorted(rows[name].unique()) for name in (column, "CORRELATION"))
    return [
        (
            (value, correlation),
            {
                "color": rules.cycle[place % len(rules.cycle)],
                "marker": _MARKS[place % len(_MARKS)],
                "ls": style.LINE_STYLES[dash % len(style.LINE_STYLES)],
            },
        )
        for place, value in enumerate(colours)
        for dash, correlation in enumerate(dashes)
        if (rows[column].eq(value) & rows["CORRELATION"].eq(correlation)).any()
    ]


def _cell_handles(ratios: pd.DataFrame, rules: Any) -> list[Line2D]:
    return [
        Line2D([], [], lw=1.2, ms=3.2, label=f"CV {cv:g} %, correlation {correlation:g}", **look)
        for (cv, correlation), look in _looks(ratios, "CV", rules)
    ]


def _fall_handles(chances: pd.DataFrame, rules: Any) -> list[Line2D]:
    looks = {fall: look | {"ls": "-"} for (fall, _), look in _looks(chances, "FALL", rules)}
    handles = [
        Line2D([], [], lw=1.2, ms=3.2, label=f"true fall {fall:g} %", **looks[fall]) for fall in sorted(looks)
    ]
    correlations = sorted(chances["CORRELATION"].unique())
    lines = zip(correlations, style.LINE_STYLES) if len(correlations) > 1 else ()
    return handles + [
        Line2D([], [], color=style.MUTED, ls=dashes, lw=1.2, label=f"correlation {correlation:g}")
        for correlation, dashes in lines
    ]


def _draw_ratios(axes, ratios: pd.DataFrame, rules: Any) -> None:
    means = ratios[ratios["QUANTITY"].eq("hazard_ratio") & ratios["LEVEL"].gt(0)]
    reach = means.groupby("LEVEL").agg(low=("LOWER", "min"), high=("UPPER", "max"))
    axes.fill_between(reach.index, reach["low"], reach["high"], color=style.GRID, alpha=0.6, lw=0, zorder=0)
    looks = _looks(ratios, "CV", rules)
    for place, ((cv, correlation), look) in enumerate(looks):
        own = ratios[ratios["CV"].eq(cv) & ratios["CORRELATION"].eq(correlation)]
        _draw_line(axes, own, look, _DODGE * (len(looks) - 1 - place), rules.forest_range)
    axes.plot(0, _measured(ratios), "D", color=style.INK, ms=5, zorder=5)
    axes.axhline(1, color=style.MUTED, lw=0.7, zorder=1)
    axes.set_yscale("log")
    ends = ratios[["ESTIMATE", "LOWER", "UPPER"]].to_numpy(float)
    ends = np.clip(ends[np.isfinite(ends)], *rules.forest_range)
    axes.set(ylim=(min(ends.min(), 0.9) / 1.1, max(ends.max(), 1.1) * 1.1), ylabel="Hazard ratio (log scale)")
    style.tick_ratios(axes)
    whole = [level for level in sorted(means["LEVEL"].unique()) if level == round(level)]
    axes.set_xticks([-1, 0, *whole], ["no error", "as\nmeasured", *(f"+{level:g}" for level in whole)])
    axes.set_xlabel("Measurement error (variance added)", labelpad=1)


def _draw_line(axes, own: pd.DataFrame, look: dict, dodge: float, reach: tuple[float, float]) -> None:
    """Draw one CV and correlation: means, curve, and the interval at no error a little aside."""
    marks = own[own["QUANTITY"].eq("hazard_ratio") & own["LEVEL"].gt(0)]
    axes.plot(marks["LEVEL"], marks["ESTIMATE"], look["marker"], color=look["color"], ms=3, zorder=3)
    curve = own[own["QUANTITY"].eq("simex_curve")].sort_values("LEVEL")
    first = marks["LEVEL"].min()
    seen, beyond = curve[curve["LEVEL"] >= first - 1e-9], curve[curve["LEVEL"] <= first + 1e-9]
    axes.plot(seen["LEVEL"], seen["ESTIMATE"], lw=1.2, color=look["color"], ls=look["ls"])
    at = beyond["LEVEL"].where(beyond["LEVEL"] > -1, -1 - dodge)
    axes.plot(at, beyond["ESTIMATE"], ":", color=look["color"], lw=1)
    for row in own[own["QUANTITY"].eq("simex")].itertuples():
        low, high = np.clip([row.LOWER, row.UPPER], *reach)
        axes.vlines(-1 - dodge, low, high, color=look["color"], ls=look["ls"], lw=1)
        axes.plot(
            -1 - dodge, row.ESTIMATE, look["marker"], mfc="white", color=look["color"], ms=3.5, zorder=4
        )
        for end, limit, mark in ((row.LOWER, reach[0], "v"), (row.UPPER, reach[1], "^")):
            if end != np.clip(end, *reach):
                axes.plot(-1 - dodge, limit, mark, color=look["color"], ms=3.5, clip_on=False)


def _draw_chances(axes, chances: pd.DataFrame, rules: Any) -> None:
    for (fall, correlation), look in _looks(chances, "FALL", rules):
        own = chances[chances["FALL"].eq(fall) & chances["CORRELATION"].eq(correlation)]
        axes.plot(own["LESIONS"], 100 * own["ESTIMATE"], ms=2.8, lw=1.2, **look)
    axes.set(ylim=(-2, 102), xlabel="Number of lesions")
    axes.yaxis.set_major_formatter(lambda value, _: percent(value))
    axes.set_xticks(sorted(chances["LESIONS"].unique()))
    axes.xaxis.set_major_formatter("{x:g}")
