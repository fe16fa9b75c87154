"""Every patient's course over the early scans."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables.format import signed_percent
from analysis.tables.words import phrase_of

_DAY_NAME = re.compile(r"D(\d+)")


@style.drawn
def plot_courses(
    courses: pd.DataFrame,
    *,
    visits: Sequence[str] | None = None,
    summary: pd.DataFrame | None = None,
    ylabel: str = "Change of SUVmax from baseline",
    width: str | float = "column",
    rules: Any = None,
) -> Figure:
    """Draw one line a patient over the visits, coloured by response.

    Parameters
    ----------
    courses : DataFrame
        USUBJID AVISIT CHANGE (percent) MRESP, one row a patient and visit. Baseline rows (0) may be absent:
        they are added.
    visits : sequence of str, optional
        Baseline and the follow-up visits in their order; None takes D0 and those of `courses`, by day.
    summary : DataFrame, optional
        MRESP AVISIT CHANGE: a summary of each group (for example the median), drawn as a thick line.
    ylabel : str
        Axis title.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        The courses on a scale of days, where visits are named by their day (D14); else visit by visit.
    """
    places = _places(courses, visits)
    known = courses[courses["CHANGE"].notna() & courses["AVISIT"].isin(list(places))]
    if known.empty:
        raise ValueError("no patient has a course to draw: leave the figure out and say why")
    figure = style.new_figure(width, 76.0, rules)
    axes = style.axes_mm(figure, 18.5, 11.0, style.width_mm(width, rules) - 21.5, 55.0)
    for _, rows in known.groupby("USUBJID", sort=True):
        group = rows["MRESP"].iloc[-1]
        days, values = _course(rows, places)
        axes.plot(days, values, marker="o", **_look(group, rules), lw=0.7, ms=1.8, alpha=0.55)
    for group, rows in (summary if summary is not None else known.iloc[:0]).groupby("MRESP", sort=True):
        days, values = _course(rows, places)
        axes.plot(days, values, "-", color="white", lw=4.2, zorder=4)
        axes.plot(days, values, **_look(group, rules), lw=2.4, zorder=5)
    _finish_courses(axes, known, places, ylabel, rules)
    return figure


@spelled_out
def caption_courses(
    courses: pd.DataFrame, *, visits: Sequence[str] | None = None, summarised: str = ""
) -> str:
    """Write the caption of the courses figure from its data; `summarised` says what the thick lines are."""
    known = courses[courses["CHANGE"].notna() & courses["AVISIT"].isin(list(_places(courses, visits)))]
    thick = f" Thick lines: {summarised}." if summarised else ""
    return (
        f"Change of each patient over the early scans (n = {known['USUBJID'].nunique()}), by response.{thick}"
    )


def alt_courses(courses: pd.DataFrame, *, visits: Sequence[str] | None = None) -> str:
    """Describe the courses for a reader who cannot see them: median change by visit."""
    places = _places(courses, visits)
    known = courses[courses["CHANGE"].notna() & courses["AVISIT"].isin(list(places))]
    parts = [
        f"{phrase_of(visit)}: median {signed_percent(rows.median())} in {len(rows)}"
        for visit, rows in known.groupby(known["AVISIT"].map(list(places).index))["CHANGE"]
        for visit in [list(places)[visit]]
    ]
    return f"Lines of {known['USUBJID'].nunique()} patients. " + "; ".join(parts) + "."


def signed_axes(*sides) -> None:
    """Write the ticks of axes as percent with their sign."""
    for side in sides:
        side.set_major_formatter(lambda value, _: signed_percent(value))


def _places(courses: pd.DataFrame, visits: Sequence[str] | None) -> dict[str, float]:
    """Place each visit on the axis: at its day if every visit is named by one, else one step apart."""
    if visits is None:
        named = sorted(
            {v for v in courses["AVISIT"] if _DAY_NAME.fullmatch(str(v))}, key=lambda v: int(v[1:])
        )
        visits = list(dict.fromkeys(["D0", *named]))
    found = [_DAY_NAME.fullmatch(visit) for visit in visits]
    if all(found):
        return {visit: float(match[1]) for visit, match in zip(visits, found, strict=True)}
    return {visit: float(place) for place, visit in enumerate(visits)}


def _course(rows: pd.DataFrame, places: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    days = rows["AVISIT"].map(places).to_numpy(float)
    order = np.argsort(days, kind="stable")
    days, values = days[order], rows["CHANGE"].to_numpy(float)[order]
    return (days, values) if days[0] == 0 else (np.r_[0, days], np.r_[0, values])


def _look(group: str, rules) -> dict:
    return {"color": style.color_of(group, 2, rules), "ls": style.line_style_of(group, 2, rules)}


def _finish_courses(axes, known: pd.DataFrame, places: Mapping[str, float], ylabel: str, rules) -> None:
    axes.axhline(0, color=style.MUTED, lw=0.6, zorder=0)
    shown = {visit: day for visit, day in places.items() if day == 0 or visit in set(known["AVISIT"])}
    by_day, last = all(_DAY_NAME.fullmatch(visit) for visit in places), max(shown.values())
    names = [f"{day:g}" if by_day else style.label_of(visit) for visit, day in shown.items()]
    axes.set_xticks(list(shown.values()), names)
    edge = 0.04 * last
    axes.set(xlim=(-edge, last + edge), xlabel="Nominal day of the scan" if by_day else "Scan", ylabel=ylabel)
    signed_axes(axes.yaxis)
    counts = known.drop_duplicates("USUBJID", keep="last")["MRESP"].value_counts().sort_index(ascending=False)
    handles = [
        Line2D([], [], **_look(name, rules), lw=1.6, label=f"{style.label_of(name)} (n = {n})")
        for name, n in counts.items()
    ]
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, labelspacing=0.25
    )
