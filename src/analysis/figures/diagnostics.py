"""Is the hazard ratio one number, and does it hang on one patient? From table ``diagnostics``; never fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables.format import counted, number

PANEL_MM, LEFT_MM, FOOT_MM, TOP_MM, BETWEEN_MM = 46.0, 14.0, 10.0, 7.0, 17.0


@style.drawn
def plot_diagnostics(
    diagnostics: pd.DataFrame,
    *,
    estimate: float,
    endpoint: str = "",
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw the log hazard ratio over time, and the hazard ratio without each patient.

    Parameters
    ----------
    diagnostics : DataFrame
        Rows of one endpoint: TIME (months), EVENT, GROUP, SCHOENFELD, HR_WITHOUT.
    estimate : float
        The hazard ratio of everybody.
    endpoint : str
        Whose hazard ratio it is; named on the axis.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        A: scaled Schoenfeld residuals with a running mean, level under proportional hazards. B: hazard
        ratios without one patient each, in rising order.
    """
    events = diagnostics.dropna(subset=["SCHOENFELD"]).sort_values("TIME", kind="stable")
    without = diagnostics.dropna(subset=["HR_WITHOUT"]).sort_values("HR_WITHOUT", kind="stable")
    if events.empty and without.empty:
        raise ValueError("no residual to draw: leave the figure out and say why it does not apply")
    across = style.width_mm(width, rules)
    side = (across - LEFT_MM - BETWEEN_MM - 3.0) / 2
    figure = style.new_figure(width, FOOT_MM + PANEL_MM + TOP_MM, rules)
    left = style.axes_mm(figure, LEFT_MM, FOOT_MM, side, PANEL_MM)
    right = style.axes_mm(figure, LEFT_MM + side + BETWEEN_MM, FOOT_MM, side, PANEL_MM)
    left.plot(events["TIME"], events["SCHOENFELD"], "o", ms=3, mfc="none", mec=style.INK, mew=0.7)
    if len(events) >= 5:
        half = max(len(events) // 4, 2)
        smooth = events["SCHOENFELD"].rolling(2 * half + 1, center=True, min_periods=half).mean()
        left.plot(events["TIME"], smooth, color=rules.cycle[0], lw=1.4)
    left.axhline(np.log(estimate), color=style.MUTED, lw=0.8, ls=(0, (3, 2)))
    left.set(xlabel="Months from the landmark", ylabel="Log hazard ratio over time")
    size = rules.small_size_pt
    left.set_title("A  Hazard ratio over time (level if proportional)", loc="left", fontsize=size)
    place, of = np.arange(len(without)), f", {endpoint}," if endpoint else ""
    for index, (group, rows) in enumerate(without.assign(AT=place).groupby("GROUP", sort=True)):
        color = style.color_of(group, index, rules)
        mark = style.marker_of(group, index, rules)
        right.plot(rows["AT"], rows["HR_WITHOUT"], mark, ms=3, color=color, label=style.label_of(group))
    right.axhline(estimate, color=style.MUTED, lw=0.8, ls=(0, (3, 2)))
    right.set(
        xlabel="Patient left out, in order of the result", ylabel=f"Hazard ratio{of} without the patient"
    )
    right.set_title("B  Influence of single patients", loc="left", fontsize=size)
    right.legend(loc="upper left")
    return figure


@spelled_out
def caption_diagnostics(diagnostics: pd.DataFrame, *, endpoint: str, estimate: float) -> str:
    """Write the caption of the diagnostics from their rows."""
    events, without = (diagnostics[name].dropna() for name in ("SCHOENFELD", "HR_WITHOUT"))
    return (
        f"{endpoint}. A: scaled Schoenfeld residuals of {counted(len(events), 'event')} with a running mean, "
        "level under proportional hazards. B: hazard ratio without one patient at a time "
        f"(n = {len(without)}), {_reach(without)}. Dashed: that of everybody, {number(estimate, 2)}. "
        "A check, not a test."
    )


def alt_diagnostics(diagnostics: pd.DataFrame, *, endpoint: str) -> str:
    """Describe the diagnostics for a reader who cannot see them."""
    events, without = (diagnostics[name].dropna() for name in ("SCHOENFELD", "HR_WITHOUT"))
    return (
        f"Two panels for {endpoint}: log hazard ratio over time at {counted(len(events), 'event')}, and the "
        f"hazard ratio without each of {counted(len(without), 'patient')}, {_reach(without)}."
    )


def _reach(without: pd.Series) -> str:
    return "none" if without.empty else f"{number(without.min(), 2)} to {number(without.max(), 2)}"
