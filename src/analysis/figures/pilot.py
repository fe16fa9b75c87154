"""Day 14 against day 28: scatter, agreement, and every patient's course."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures import style
from analysis.tables.format import number, signed_percent

DAYS = {"D0": 0, "D14": 14, "D28": 28}


@style.drawn
def plot_agreement(
    changes: pd.DataFrame,
    *,
    cut_percent: float | None = None,
    agreement: Mapping[str, float] | None = None,
    band_percent: tuple[float, float] | None = None,
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw day 28 against day 14, and their difference against their mean (Bland-Altman).

    Parameters
    ----------
    changes : DataFrame
        D14, D28: percent change from baseline of each patient with both scans. Others are dropped.
    cut_percent : float, optional
        The fall that responds: drawn on both axes of the scatter.
    agreement : mapping, optional
        ``bias``, ``lower``, ``upper``: mean difference and 95 % limits of agreement, percentage points, drawn
        where they are finite (`survival.agreement.bland_altman`).
    band_percent : tuple of float, optional
        Limits of repeatability of a single change, percent: drawn on the scatter.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Two panels, A and B.
    """
    both = _both(changes)
    across = style.width_mm(width, rules)
    side = min((across - 40.0) / 2, 68.0)
    figure = style.new_figure(width, side + 18.0, rules)
    scatter = style.axes_mm(figure, 18.5, 11.0, side, side)
    difference = style.axes_mm(figure, across - side - 3.0, 11.0, side, side)
    _scatter(scatter, both, cut_percent, band_percent, rules)
    _bland_altman(difference, both, _known(agreement), rules)
    return figure


@style.drawn
def plot_courses(
    courses: pd.DataFrame,
    *,
    summary: pd.DataFrame | None = None,
    ylabel: str = "Change of SUVmax from baseline",
    width: str | float = "column",
    rules: Any = None,
) -> Figure:
    """Draw one line a patient over the visits, coloured by response.

    Parameters
    ----------
    courses : DataFrame
        USUBJID AVISIT (D0, D14, D28) CHANGE (percent) MRESP, one row a patient and visit. Baseline
        rows (0) may be absent: they are added.
    summary : DataFrame, optional
        MRESP AVISIT CHANGE: a summary of each group (for example the median), drawn as a thick line.
    ylabel : str
        Axis title.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        The courses on a scale of days.
    """
    known = courses[courses["CHANGE"].notna() & courses["AVISIT"].isin(DAYS)]
    if known.empty:
        raise ValueError("no patient has a course to draw: leave the figure out and say why")
    figure = style.new_figure(width, 76.0, rules)
    axes = style.axes_mm(figure, 18.5, 11.0, style.width_mm(width, rules) - 21.5, 55.0)
    for _, rows in known.groupby("USUBJID", sort=True):
        group = rows["MRESP"].iloc[-1]
        days, values = _course(rows)
        axes.plot(days, values, "-o", color=_color(group, rules), lw=0.7, ms=1.8, alpha=0.55)
    for group, rows in (summary if summary is not None else known.iloc[:0]).groupby("MRESP", sort=True):
        days, values = _course(rows)
        axes.plot(days, values, "-", color="white", lw=4.2, zorder=4)
        axes.plot(days, values, "-", color=_color(group, rules), lw=2.4, zorder=5)
    _finish_courses(axes, known, summary, ylabel, rules)
    return figure


def caption_agreement(
    changes: pd.DataFrame, *, cut_percent: float, agreement: Mapping[str, float] | None = None
) -> str:
    """Write the caption of the agreement figure from its data."""
    both = _both(changes)
    same = int(((both["D14"] <= -cut_percent) == (both["D28"] <= -cut_percent)).sum())
    text = (
        f"Change at day 14 and day 28 in the {len(both)} patients with both scans. A: one against the other; "
        f"dotted line: no difference; dashed lines: the cut of −{cut_percent:g} %; "
        f"{same} of {len(both)} lie on the same side of it at both days. B: difference against mean"
    )
    agreement = _known(agreement)
    if len(agreement) == 3:
        low, high, bias = (number(agreement[key]) for key in ("lower", "upper", "bias"))
        text += f"; solid line: mean difference ({bias} points)"
        text += f", dashed: 95 % limits of agreement ({low} to {high})"
    return text + "."


def alt_agreement(changes: pd.DataFrame) -> str:
    """Describe the agreement figure for a reader who cannot see it."""
    both = _both(changes)
    middle = (both["D28"] - both["D14"]).median()
    return (
        f"Two panels of {len(both)} patients: change at day 28 against day 14, and their difference against "
        f"their mean. Median change {signed_percent(both['D14'].median())} at day 14, "
        f"{signed_percent(both['D28'].median())} at day 28; median difference {number(middle, 0)} points."
    )


def caption_courses(courses: pd.DataFrame, *, summarised: str = "") -> str:
    """Write the caption of the courses figure from its data; `summarised` says what the thick lines are."""
    known = courses[courses["CHANGE"].notna() & courses["AVISIT"].isin(DAYS)]
    thick = f" Thick lines: {summarised}." if summarised else ""
    return (
        f"Change of each patient over the early scans (n = {known['USUBJID'].nunique()}), by response.{thick}"
    )


def alt_courses(courses: pd.DataFrame) -> str:
    """Describe the courses for a reader who cannot see them: median change by visit."""
    known = courses[courses["CHANGE"].notna() & courses["AVISIT"].isin(DAYS)]
    parts = [
        f"{style.label_of(visit).lower()}: median {signed_percent(rows.median())} in {len(rows)}"
        for visit, rows in known.groupby("AVISIT", sort=True)["CHANGE"]
    ]
    return f"Lines of {known['USUBJID'].nunique()} patients. " + "; ".join(parts) + "."


def _both(changes: pd.DataFrame) -> pd.DataFrame:
    both = changes[["D14", "D28"]].dropna()
    if both.empty:
        raise ValueError("no patient has both early scans: leave the figure out and say why")
    return both


def _known(agreement: Mapping[str, float] | None) -> dict[str, float]:
    """Return bias and limits that can be drawn; one patient has none."""
    values = {name: float((agreement or {}).get(name, np.nan)) for name in ("bias", "lower", "upper")}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _scatter(axes, both: pd.DataFrame, cut_percent, band_percent, rules) -> None:
    low, high = both.to_numpy().min(), both.to_numpy().max()
    pad = 0.06 * (high - low) + 3
    limits = (low - pad, high + pad)
    if band_percent:
        axes.axvspan(*band_percent, color=style.SHADE, lw=0, zorder=0)
        axes.axhspan(*band_percent, color=style.SHADE, lw=0, zorder=0)
    axes.plot(limits, limits, color=style.MUTED, ls=(0, (1, 1.5)), lw=0.8, zorder=1)
    if cut_percent is not None:
        axes.axvline(-cut_percent, color=style.INK, ls=(0, (4, 2)), lw=0.7)
        axes.axhline(-cut_percent, color=style.INK, ls=(0, (4, 2)), lw=0.7)
    axes.plot(both["D14"], both["D28"], "o", ms=4, mfc=rules.cycle[0], mec="white", mew=0.5, zorder=3)
    axes.set(xlim=limits, ylim=limits, xlabel="Change at day 14", ylabel="Change at day 28")
    axes.set_title("A  Day 28 against day 14", loc="left")
    _signed(axes.xaxis, axes.yaxis)


def _bland_altman(axes, both: pd.DataFrame, agreement: Mapping[str, float], rules) -> None:
    mean, difference = both.mean(axis=1), both["D28"] - both["D14"]
    axes.axhline(0, color=style.MUTED, ls=(0, (1, 1.5)), lw=0.8)
    axes.plot(mean, difference, "o", ms=4, mfc=rules.cycle[0], mec="white", mew=0.5, zorder=3)
    reach = max(abs(difference).max(), *(abs(value) for value in agreement.values()), 5) * 1.2
    axes.set(ylim=(-reach, reach), xlabel="Mean change of the two days", ylabel="Day 28 minus day 14, points")
    axes.margins(x=0.08)
    for key, dashes in (("bias", "-"), ("lower", (0, (4, 2))), ("upper", (0, (4, 2)))):
        if key in agreement:
            value = agreement[key]
            axes.axhline(value, color=style.INK, ls=dashes, lw=0.8)
            axes.annotate(
                number(value),
                (1, value),
                xycoords=axes.get_yaxis_transform(),
                xytext=(-2, 2),
                textcoords="offset points",
                ha="right",
                va="bottom",
                size=rules.small_size_pt,
                bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.6},
                zorder=5,
            )
    axes.set_title("B  Agreement (Bland-Altman)", loc="left")
    axes.yaxis.set_major_formatter(lambda value, _: number(value, 0))
    _signed(axes.xaxis)


def _signed(*sides) -> None:
    for side in sides:
        side.set_major_formatter(lambda value, _: signed_percent(value))


def _course(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    days = rows["AVISIT"].map(DAYS).to_numpy(float)
    order = np.argsort(days, kind="stable")
    days, values = days[order], rows["CHANGE"].to_numpy(float)[order]
    return (days, values) if days[0] == 0 else (np.r_[0, days], np.r_[0, values])


def _color(group: str, rules) -> str:
    return style.color_of(group, 2, rules)


def _finish_courses(axes, known: pd.DataFrame, summary, ylabel: str, rules) -> None:
    axes.axhline(0, color=style.MUTED, lw=0.6, zorder=0)
    days = [0, *sorted({DAYS[visit] for visit in known["AVISIT"]} - {0})]
    axes.set_xticks(days, [str(day) for day in days])
    axes.set(xlim=(-1, max(days) + 1), xlabel="Nominal day of the scan", ylabel=ylabel)
    _signed(axes.yaxis)
    counts = known.drop_duplicates("USUBJID", keep="last")["MRESP"].value_counts().sort_index(ascending=False)
    handles = [
        Line2D([], [], color=_color(name, rules), lw=1.6, label=f"{style.label_of(name)} (n = {n})")
        for name, n in counts.items()
    ]
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, labelspacing=0.25
    )
