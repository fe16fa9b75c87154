"""Lead time: how long before progression plasma rose, one bar a patient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables.format import counted, number

CATEGORIES = {
    "RISE BEFORE PROGRESSION": "Rise before progression",
    "NO RISE BEFORE PROGRESSION": "No rise before progression (lead 0)",
    "RISE AT OR AFTER PROGRESSION": "Rise at or after progression",
    "RISE WITHOUT PROGRESSION": "Rise, no progression seen: at least so long",
}

UNKNOWN = "NOT ASSESSABLE"


@style.drawn
def plot_lead_times(lead_times: pd.DataFrame, *, width: str | float = "column", rules: Any = None) -> Figure:
    """Draw one bar a patient from the rise in plasma to progression, longest lead first.

    Patients with a lead of zero have no bar: they stand as one dot with their number.

    Parameters
    ----------
    lead_times : DataFrame
        Table lead_times: USUBJID CATEGORY LEAD (days) CNSR. A patient without a lead (neither rise nor
        progression, or not assessable) is counted in the caption and not drawn.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Bars to the right: plasma rose first. A lead that is only known to be longer ends in an arrow.

    Raises
    ------
    ValueError
        If no patient has a lead.
    """
    leads = _leads(lead_times)
    shown = _gather_zeros(leads)
    row = min(4.0, 140.0 / len(shown))
    kinds = [name for name in CATEGORIES if shown["CATEGORY"].eq(name).any()]
    foot = 12.0 + style.line_height_mm(rules.small_size_pt) * 1.2 * len(kinds)
    tall = max(row * len(shown), 30.0)
    figure = style.new_figure(width, foot + tall + 3.0, rules)
    axes = style.axes_mm(figure, 12.0, foot, style.width_mm(width, rules) - 18.0, tall)
    place = np.arange(len(shown)) + 0.5
    looks = shown["CATEGORY"].map(lambda name: _look(name, rules))
    colors = pd.Series([look["fc"] for look in looks], index=shown.index)
    for at, lead, look in zip(place, shown["LEAD"], looks, strict=True):
        axes.barh(at, lead, height=0.7, lw=0, **look)
    zero, open_end = shown["LEAD"].eq(0).to_numpy(), shown["CNSR"].eq(1).to_numpy()
    size = min(3.5, 2.2 * row)
    axes.scatter(np.zeros(zero.sum()), place[zero], s=(1.4 * size) ** 2, color=colors[zero], zorder=3)
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
    axes.set(xlabel="Lead of plasma over progression, days", ylabel=f"Patients (n = {len(leads)})")
    _count_zeros(axes, place[zero], shown.loc[zero, "COUNT"], rules)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: number(value, 0))
    handles = [Patch(lw=0, label=CATEGORIES[name], **_look(name, rules)) for name in kinds]
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.02, 0))
    return figure


@spelled_out
def caption_lead_times(lead_times: pd.DataFrame) -> str:
    """Write the caption of the lead times from their rows."""
    shown = _leads(lead_times)
    counts = [f"{name.lower()} {n}" for name in CATEGORIES if (n := int(shown["CATEGORY"].eq(name).sum()))]
    text = f"Days from the rise in plasma to progression, one bar a patient: {style.join_words(counts)}."
    unknown = int(lead_times["CATEGORY"].eq(UNKNOWN).sum())
    left = len(lead_times) - len(shown) - unknown
    zero = int(shown["LEAD"].eq(0).sum())
    text += (
        f" The {counted(zero, 'patient')} with a lead of 0 stand as one dot with their number."
        if zero
        else ""
    )
    text += f" {counted(left, 'patient')} with neither rise nor progression not drawn." if left else ""
    text += (
        f" {counted(unknown, 'patient')} not assessable (ctDNA detected without a level), not drawn."
        if unknown
        else ""
    )
    text += " Arrow: no progression was seen, the lead is at least this." if shown["CNSR"].eq(1).any() else ""
    return f"{text} A sample taken because of progression does not count. Exploratory."


def alt_lead_times(lead_times: pd.DataFrame) -> str:
    """Describe the lead times for a reader who cannot see them."""
    shown = _leads(lead_times)
    lead, kinds = shown["LEAD"], shown["CATEGORY"].value_counts()
    counts = [f"{name.lower()} {kinds[name]}" for name in CATEGORIES if name in kinds]
    return (
        f"Bars of {len(lead)} patients, days from the rise in plasma to progression: {', '.join(counts)}; "
        f"from {number(lead.min(), 0)} to {number(lead.max(), 0)} days."
    )


def _look(name: str, rules: Any) -> dict[str, Any]:
    """Return colour and hatch of a category; a lead of zero has no bar and needs neither."""
    color = rules.palette.get(name, style.MUTED)
    hatch = style.hatch_of(name, 0, rules) if name in rules.class_order else ""
    return {"fc": color, "hatch": hatch, "ec": "white"}


def _gather_zeros(leads: pd.DataFrame) -> pd.DataFrame:
    """Return one row a bar, and one a category for all leads of zero, with the patients it stands for."""
    zero = leads["LEAD"].eq(0)
    counted_rows = leads.assign(
        COUNT=leads.groupby("CATEGORY")["LEAD"].transform(lambda own: own.eq(0).sum())
    )
    again = zero & counted_rows.duplicated(["CATEGORY", "LEAD"])
    return counted_rows[~again].reset_index(drop=True)


def _count_zeros(axes, places: np.ndarray, counts: pd.Series, rules: Any) -> None:
    """Write the number of patients beside each dot at zero, on the side that has room."""
    low, high = axes.get_xlim()
    right = (0 - low) / (high - low) < 0.6
    for place, count in zip(places, counts, strict=True):
        axes.annotate(
            counted(count, "patient"), (0, place), (5 if right else -5, 0), textcoords="offset points",
            ha="left" if right else "right", va="center_baseline", size=rules.small_size_pt,
        )  # fmt: skip


def _leads(lead_times: pd.DataFrame) -> pd.DataFrame:
    shown = lead_times[lead_times["LEAD"].notna() & ~lead_times["CATEGORY"].isin(["NEITHER", UNKNOWN])]
    if shown.empty:
        raise ValueError("no patient has a lead time: leave the figure out and say why")
    order = {name: number for number, name in enumerate(CATEGORIES)}
    keyed = shown.assign(PLACE=shown["CATEGORY"].map(order).fillna(len(order)))
    keyed = keyed.sort_values(["LEAD", "PLACE", "USUBJID"], ascending=[False, True, True], kind="stable")
    return keyed.reset_index(drop=True)
