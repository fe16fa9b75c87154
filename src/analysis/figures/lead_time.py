"""Lead time: how long before progression plasma rose, one bar a patient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.figures import style
from analysis.tables.format import counted, number

CATEGORIES = {
    "RISE BEFORE PROGRESSION": ("#009E73", "Rise before progression"),
    "NO RISE BEFORE PROGRESSION": ("#595959", "No rise before progression (lead 0)"),
    "RISE AT OR AFTER PROGRESSION": ("#D55E00", "Rise at or after progression"),
    "RISE WITHOUT PROGRESSION": ("#56B4E9", "Rise, no progression seen: at least so long"),
}


@style.drawn
def plot_lead_times(lead_times: pd.DataFrame, *, width: str | float = "column", rules: Any = None) -> Figure:
    """Draw one bar a patient from the rise in plasma to progression, longest lead first.

    Parameters
    ----------
    lead_times : DataFrame
        Table lead_times: USUBJID CATEGORY LEAD (days) CNSR. A patient without a lead (neither rise nor
        progression) is counted in the caption and not drawn.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Bars to the right: plasma rose first. Zero is a dot, a lead that is only known to be longer ends in
        an arrow.

    Raises
    ------
    ValueError
        If no patient has a lead.
    """
    shown = _leads(lead_times)
    row = min(4.0, 140.0 / len(shown))
    kinds = [name for name in CATEGORIES if shown["CATEGORY"].eq(name).any()]
    foot = 12.0 + style.line_height_mm(rules.small_size_pt) * 1.2 * len(kinds)
    tall = max(row * len(shown), 30.0)
    figure = style.new_figure(width, foot + tall + 3.0, rules)
    axes = style.axes_mm(figure, 12.0, foot, style.width_mm(width, rules) - 18.0, tall)
    place = np.arange(len(shown)) + 0.5
    colors = (
        shown["CATEGORY"].map({name: color for name, (color, _) in CATEGORIES.items()}).fillna(style.MUTED)
    )
    axes.barh(place, shown["LEAD"], height=0.7, color=colors)
    zero, open_end = shown["LEAD"].eq(0).to_numpy(), shown["CNSR"].eq(1).to_numpy()
    size = min(3.5, 2.2 * row)
    axes.scatter(np.zeros(zero.sum()), place[zero], s=size**2, color=colors[zero], zorder=3)
    axes.scatter(
        shown["LEAD"][open_end],
        place[open_end],
        s=(1.4 * size) ** 2,
        marker=">",
        color=colors[open_end],
        zorder=3,
    )
    axes.axvline(0, color=style.INK, lw=0.7)
    low, high = min(0.0, shown["LEAD"].min()), max(0.0, shown["LEAD"].max())
    pad = max(0.06 * (high - low), 2.0)
    axes.set(ylim=(len(shown), 0), xlim=(low - pad, high + pad), yticks=[])
    axes.set(xlabel="Lead of plasma over progression, days", ylabel=f"Patients (n = {len(shown)})")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: number(value, 0))
    handles = [Patch(color=CATEGORIES[name][0], label=CATEGORIES[name][1]) for name in kinds]
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.02, 0))
    return figure


def caption_lead_times(lead_times: pd.DataFrame) -> str:
    """Write the caption of the lead times from their rows."""
    shown = _leads(lead_times)
    counts = [f"{name.lower()} {n}" for name in CATEGORIES if (n := int(shown["CATEGORY"].eq(name).sum()))]
    text = f"Days from the rise in plasma to progression, one bar a patient: {style.join_words(counts)}."
    left = len(lead_times) - len(shown)
    text += f" {counted(left, 'patient')} with neither rise nor progression not drawn." if left else ""
    text += " Arrow: no progression was seen, the lead is at least this." if shown["CNSR"].eq(1).any() else ""
    return f"{text} A sample taken because of progression does not count. Exploratory."


def alt_lead_times(lead_times: pd.DataFrame) -> str:
    """Describe the lead times for a reader who cannot see them."""
    lead = _leads(lead_times)["LEAD"]
    ahead, zero, late = int((lead > 0).sum()), int((lead == 0).sum()), int((lead < 0).sum())
    return (
        f"Bars of {len(lead)} patients: plasma rose before progression in {ahead}, not before it in {zero}, "
        f"after it in {late}; from {number(lead.min(), 0)} to {number(lead.max(), 0)} days."
    )


def _leads(lead_times: pd.DataFrame) -> pd.DataFrame:
    shown = lead_times[lead_times["LEAD"].notna() & lead_times["CATEGORY"].ne("NEITHER")]
    if shown.empty:
        raise ValueError("no patient has a lead time: leave the figure out and say why")
    order = {name: number for number, name in enumerate(CATEGORIES)}
    keyed = shown.assign(PLACE=shown["CATEGORY"].map(order).fillna(len(order)))
    keyed = keyed.sort_values(["LEAD", "PLACE", "USUBJID"], ascending=[False, True, True], kind="stable")
    return keyed.reset_index(drop=True)
