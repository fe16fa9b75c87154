"""Kaplan-Meier curves with the numbers at risk aligned beneath. Never estimates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables import words
from analysis.tables.format import number

CURVE_MM, FOOT_MM, HEAD_MM = 58.0, 11.0, 3.0
KEY_MM = 36.0  # of a legend's entry: its line, its counts in brackets and the gap to the next
LABEL_MM = 4.0  # from the time axis to the group names, so that the number at time 0 stands free
NEEDED = ("GROUP", "TIME", "SURVIVAL", "LOWER", "UPPER", "AT_RISK", "EVENTS", "CENSORED")
FROM_ESTIMATOR = {"N_RISK": "AT_RISK", "N_EVENT": "EVENTS", "N_CENSOR": "CENSORED"}


@style.drawn
def plot_km(
    curves: pd.DataFrame,
    *,
    groups: Sequence[str] | None = None,
    labels: dict[str, str] | None = None,
    annotation: str = "",
    xlabel: str = "Months from the early PET",
    ylabel: str = "Survival",
    until: float | None = None,
    width: str | float = "column",
    rules: Any = None,
) -> Figure:
    """Draw Kaplan-Meier curves with pointwise intervals, censor marks and numbers at risk.

    Parameters
    ----------
    curves : DataFrame
        GROUP TIME SURVIVAL LOWER UPPER AT_RISK EVENTS CENSORED, one row a step of one endpoint (table
        ``curves``); TIME in months, AT_RISK counts T >= TIME. The frame of ``survival.kaplan_meier`` (lower
        case, n_risk n_event n_censor) is taken too.
    groups : sequence of str, optional
        Groups in the order they are listed; the order of `tables.words` if absent.
    labels : dict, optional
        Group -> words of the reader; the words of `tables.words` if absent.
    annotation : str
        Ready text (hazard ratio, p); lines separated by a newline.
    xlabel, ylabel : str
        Axis titles.
    until : float, optional
        End of the time axis, months; the last observed time if absent.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Curve above, numbers at risk beneath at the ticks of the time axis.

    Raises
    ------
    ValueError
        If a column or a group is missing, or there are no rows.
    """
    curves = _tidy(curves)
    groups = _check(curves, groups)
    names = {group: _name(group, labels) for group in groups}
    ticks = time_ticks(until or float(curves["TIME"].max()), rules.km_step_months)
    across, size = style.width_mm(width, rules), rules.small_size_pt
    widest = max(style.text_width_mm(text, size, rules.font_family) for text in names.values())
    widest = max(widest, style.text_width_mm("No. at risk", size, rules.font_family, "bold"))
    row = style.line_height_mm(size) + 0.6
    left, table = max(widest + LABEL_MM + 1, 13.0), row * (len(groups) + 1)
    inside = across - left - 4.0
    # Many groups stand in two columns from the edge, so that two such figures go on a page.
    beside = 2 if len(groups) > 3 and 2 * (widest + KEY_MM) <= across else 1
    head = HEAD_MM + row * math.ceil(len(groups) / beside)
    height = table + FOOT_MM + CURVE_MM + head
    figure = style.new_figure(width, height, rules)
    axes = style.axes_mm(figure, left, table + FOOT_MM, inside, CURVE_MM)
    for index, group in enumerate(groups):
        rows = curves[curves["GROUP"] == group].sort_values("TIME", kind="stable")
        look = {
            "color": style.color_of(group, index, rules),
            "ls": style.line_style_of(group, index, rules),
        }
        _draw_curve(axes, rows, f"{names[group]} ({_counts(rows)})", look)
    _finish(axes, ticks, xlabel, ylabel)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-left / inside if beside > 1 else 0, 1), ncols=beside,
        borderaxespad=0.2, handlelength=2.6, labelspacing=0.25,
    )  # fmt: skip
    _annotate(axes, annotation, curves, size)
    below = style.axes_mm(figure, left, 0.8, inside, table, sharex=axes)
    _draw_at_risk(below, curves, names, ticks, -LABEL_MM / inside, rules)
    return figure


def time_ticks(until: float, step: float) -> np.ndarray:
    """Return ticks from 0 by a multiple of `step` to at least `until`, at most nine of them.

    Examples
    --------
    >>> time_ticks(10, 3).tolist()
    [0.0, 3.0, 6.0, 9.0, 12.0]
    """
    while until / step > 8:
        step *= 2
    return step * np.arange(math.ceil(until / step - 1e-9) + 1.0)


def number_at_risk(rows: pd.DataFrame, times: Sequence[float]) -> list[int]:
    """Count the patients still at risk (T >= t) at `times`, from the steps of one group's curve.

    Parameters
    ----------
    rows : DataFrame
        Steps of one group: TIME, AT_RISK.
    times : sequence of float
        Same unit as TIME.

    Returns
    -------
    list of int
        AT_RISK of the first step at or after each time; 0 after the last one.
    """
    rows = rows.sort_values("TIME", kind="stable")
    place = np.searchsorted(rows["TIME"].to_numpy(float) + 1e-9, np.asarray(times, float))
    known = [*rows["AT_RISK"].astype(int), 0]
    return [known[index] for index in place]


@spelled_out
def caption_km(
    curves: pd.DataFrame,
    *,
    endpoint: str,
    origin: str = "the early PET",
    level: int = 95,
    labels: dict[str, str] | None = None,
) -> str:
    """Write the caption of a Kaplan-Meier figure from its curves; `labels` as in `plot_km`."""
    curves = _tidy(curves)
    groups = _check(curves, None)
    counts = {group: _counts(curves[curves["GROUP"] == group]) for group in groups}
    # A label may hold a comma of its own, so that its numbers stand in brackets.
    form = "{} ({})" if labels else "{} {}"
    parts = [form.format(_name(group, labels), count) for group, count in counts.items()]
    return (
        f"{endpoint} from {origin}, Kaplan-Meier: {style.join_words(parts)}. Bands are pointwise {level} % "
        "confidence intervals, vertical marks censored patients; beneath, patients at risk (time at least t)."
    )


def alt_km(
    curves: pd.DataFrame, *, endpoint: str, annotation: str = "", labels: dict[str, str] | None = None
) -> str:
    """Describe the curves for a reader who cannot see them: median and end of each; `labels` as drawn."""
    sentences, curves = [], _tidy(curves)
    for group in _check(curves, None):
        rows = curves[curves["GROUP"] == group].sort_values("TIME", kind="stable")
        below = rows.loc[rows["SURVIVAL"] <= 0.5, "TIME"]
        half = (
            f"falls to one half at {number(below.iloc[0])} months" if len(below) else "stays above one half"
        )
        last = rows.iloc[-1]
        sentences.append(
            f"{_name(group, labels)} ({_counts(rows)}) {half} and ends at "
            f"{number(100 * last['SURVIVAL'], 0)} % after {number(last['TIME'])} months"
        )
    result = f" {annotation.replace(chr(10), ', ')}." if annotation else ""
    return f"Kaplan-Meier curves of {endpoint}. {'. '.join(sentences)}.{result}"


def _tidy(curves: pd.DataFrame) -> pd.DataFrame:
    return curves.rename(columns=str.upper).rename(columns=FROM_ESTIMATOR)


def _check(curves: pd.DataFrame, groups: Sequence[str] | None) -> list[str]:
    missing = [name for name in NEEDED if name not in curves]
    if missing:
        raise ValueError(f"the curves lack the columns {missing}")
    if curves.empty:
        raise ValueError("no curve to draw: leave the figure out and say why it does not apply")
    found = list(dict.fromkeys(curves["GROUP"]))
    absent = [group for group in groups or [] if group not in found]
    if absent:
        raise ValueError(f"no curve for the groups {absent}; there are {found}")
    known = [*words.GROUPS]
    return list(groups or sorted(found, key=lambda name: known.index(name) if name in known else len(known)))


def _name(group: str, labels: dict[str, str] | None) -> str:
    return (labels or {}).get(group) or style.label_of(group)


def _counts(rows: pd.DataFrame) -> str:
    n, events = int(rows["AT_RISK"].max()), int(rows["EVENTS"].sum())
    return f"n = {n}, {events} event{'' if events == 1 else 's'}"


def _draw_curve(axes, rows: pd.DataFrame, label: str, look: dict[str, Any]) -> None:
    start = pd.DataFrame({"TIME": [0.0], "SURVIVAL": [1.0], "LOWER": [1.0], "UPPER": [1.0]})
    steps = pd.concat([start, rows[rows["TIME"] > 0][list(start)].astype(float)], ignore_index=True)
    if rows["SURVIVAL"].iloc[0] == 1 and rows["EVENTS"].iloc[0] == rows["CENSORED"].iloc[0] == 0:
        steps = steps.iloc[1:].reset_index(drop=True)  # the curve has a start of its own, after time 0
    # Before the first event the log-log interval is undefined (as in R); the curve itself is 1 there.
    steps.loc[steps["SURVIVAL"] == 1, ["LOWER", "UPPER"]] = 1.0
    color = look["color"]
    axes.step(steps["TIME"], steps["SURVIVAL"], where="post", lw=1.3, label=label, **look)
    axes.fill_between(
        steps["TIME"], steps["LOWER"], steps["UPPER"], step="post", color=color, alpha=0.13, lw=0
    )
    marks = rows[rows["CENSORED"] > 0]
    axes.plot(marks["TIME"], marks["SURVIVAL"], "|", color=color, ms=5.5, mew=1.0)


def _finish(axes, ticks: np.ndarray, xlabel: str, ylabel: str) -> None:
    margin = 0.02 * ticks[-1]
    axes.set(xlim=(-margin, ticks[-1] + margin), ylim=(0, 1.03), xticks=ticks, xlabel=xlabel, ylabel=ylabel)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xticklabels([f"{tick:g}" for tick in ticks])
    axes.axhline(0.5, color=style.GRID, lw=0.6, zorder=0)
    axes.xaxis.labelpad = 2


def _annotate(axes, text: str, curves: pd.DataFrame, size: float) -> None:
    if not text:
        return
    lowest = curves.groupby("GROUP", sort=False)["SURVIVAL"].min().min()
    x, y, ha, va = (0.03, 0.04, "left", "bottom") if lowest > 0.45 else (0.99, 0.98, "right", "top")
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
    axes.text(x, y, text, transform=axes.transAxes, ha=ha, va=va, size=size, linespacing=1.35, bbox=box)


def _draw_at_risk(
    axes, curves: pd.DataFrame, names: dict[str, str], ticks: np.ndarray, place: float, rules: Any
) -> None:
    axes.set_axis_off()
    axes.set_ylim(len(names) + 0.5, -0.5)
    side = axes.get_yaxis_transform()
    axes.text(
        place,
        0,
        "No. at risk",
        transform=side,
        ha="right",
        va="center",
        size=rules.small_size_pt,
        weight="bold",
    )
    for index, (group, name) in enumerate(names.items(), start=1):
        axes.text(place, index, name, transform=side, ha="right", va="center", size=rules.small_size_pt)
        counts = number_at_risk(curves[curves["GROUP"] == group], ticks)
        for tick, count in zip(ticks, counts):
            axes.text(tick, index, str(count), ha="center", va="center", size=rules.small_size_pt)
