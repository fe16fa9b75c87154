"""Power in simulated trials beside Schoenfeld's formula, and the size a trial needs by either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures import operating_parts as parts
from analysis.figures import style
from analysis.tables import operating_words as words
from analysis.tables.format import number, percent

_POWER = ("fixed_earlier", "fixed_later", "chosen", "two_stage")
_SIZES = (5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000, 2000, 5000, 10000)


@style.drawn
def plot_power(
    characteristics: pd.DataFrame,
    expected: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    endpoint: str,
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw the power of the main tests by truth, and that of the corrected test against the hazard ratio.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``.
    expected : DataFrame
        TRUTH SIZE ENDPOINT METHOD HR EVENTS POWER of Schoenfeld's formula (`operating.expect_power`).
    curves : DataFrame
        SIZE ENDPOINT HR EVENTS POWER (`operating.curve_power`).
    endpoint : str
        PARAMCD.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Panel A: one row a truth under its size, by rising hazard ratio of the chosen day, with Schoenfeld's
        power of that day as an upright tick. Panel B: the corrected test and Schoenfeld's curve, one colour a
        size.

    Raises
    ------
    ValueError
        If no truth with an effect was simulated.
    """
    chosen = _chosen(characteristics, expected, endpoint)
    rows, ticks = _power_rows(characteristics, chosen, endpoint)
    across, shown = style.width_mm(width, rules), [*_POWER]
    named = [words.name_analysis(code) for code in shown]
    handles = parts.mark_handles(named, rules)
    tick = Line2D([], [], color=style.INK, marker="|", ls="", ms=9, mew=1.4, label="Schoenfeld, chosen day")
    handles.append(tick)
    sizes = list(dict.fromkeys(chosen["SIZE"]))
    lines = _size_handles(characteristics, sizes, endpoint, rules)
    head = parts.legend_mm([h.get_label() for h in handles], across - parts.EDGE_MM, rules) + parts.TITLE_MM
    own = parts.ENTRY_MM * len(sizes) + 2
    tall = max(parts.height_mm(rows, len(shown)), 45.0 + own)
    figure = style.new_figure(width, head + tall + parts.FOOT_MM, rules)
    room = parts.label_mm(rows, 58.0, rules)
    left = parts.EDGE_MM + room
    side = (across - left - 14.0 - 2 * parts.GAP_MM) / 2
    first = style.axes_mm(figure, left, parts.FOOT_MM, side, tall)
    first.set_title("A  By truth", loc="left")
    parts.percent_axis(first, "Power, %")
    parts.draw_rows(first, rows, shown, rules, room_mm=room)
    first.set_ylim(tall, 0)
    for height, power in _tick_places(rows, ticks, len(shown)):
        first.plot(power, height, "|", color=style.INK, ms=16, mew=1.4, zorder=2)
    second = style.axes_mm(figure, left + side + 14.0 + parts.GAP_MM, parts.FOOT_MM, side, tall - own)
    second.set_title("B  Corrected test", loc="left", y=1 + own / (tall - own))
    _draw_curves(second, characteristics, chosen, curves, endpoint, rules)
    second.legend(handles=lines, loc="lower left", bbox_to_anchor=(-0.22, 1.0), borderaxespad=0.2,
                  labelspacing=0.25, handletextpad=0.4)  # fmt: skip
    parts.draw_legend(figure, handles, parts.EDGE_MM, rules)
    return figure


def caption_power(characteristics: pd.DataFrame, expected: pd.DataFrame, *, endpoint: str) -> str:
    """Write the caption of the power from its data."""
    chosen = _chosen(characteristics, expected, endpoint)
    found = words.select(characteristics, "rejection", ENDPOINT=endpoint, METHOD="two_stage")
    both = found.merge(chosen, on=["TRUTH", "SIZE"], suffixes=("", "_FORMULA"))
    gap = both["ESTIMATE"] - both["POWER"]
    return (
        f"{endpoint}: share of simulated trials that reject, with two Monte Carlo standard errors, by what "
        "is planted. Hazard ratios and events are those of the two days weighed by how often the pilot takes "
        f"each ({number(chosen['EVENTS'].min(), 0)} to {number(chosen['EVENTS'].max(), 0)} events). "
        "Schoenfeld: the formula at those events, hazard ratio and share of non-responders; power of the "
        f"corrected test minus the formula's: {number(100 * gap.min(), 0)} to {number(100 * gap.max(), 0)} "
        "percentage points. The curves in B are the formula at the mean events of a size."
    )


def alt_power(characteristics: pd.DataFrame, expected: pd.DataFrame, *, endpoint: str) -> str:
    """Describe the power for a reader who cannot see it: the corrected test and the formula by truth."""
    chosen = _chosen(characteristics, expected, endpoint)
    found = words.select(characteristics, "rejection", ENDPOINT=endpoint, METHOD="two_stage")
    said = [
        f"{row.TRUTH}, {row.SIZE}, hazard ratio {row.HR:.2f}, {row.EVENTS:.0f} events: "
        f"{percent(100 * row.ESTIMATE)} (formula {percent(100 * row.POWER)})"
        for row in found.merge(chosen, on=["TRUTH", "SIZE"]).itertuples()
    ]
    return f"{endpoint}: power of the corrected test. {'; '.join(said)}."


def _chosen(characteristics: pd.DataFrame, expected: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    planted = ~expected["TRUTH"].isin(words.null_truths(characteristics))
    chosen = expected[expected["METHOD"].eq("chosen") & expected["ENDPOINT"].eq(endpoint) & planted]
    if chosen.empty:
        raise ValueError("no truth with an effect was simulated: leave the figure out and say why")
    order = {size: place for place, size in enumerate(dict.fromkeys(characteristics["SIZE"]))}
    ranked = chosen.assign(PLACE=chosen["SIZE"].map(order)).sort_values(["PLACE", "HR"], kind="stable")
    return ranked[["TRUTH", "SIZE", "HR", "EVENTS", "POWER"]]


def _power_rows(characteristics: pd.DataFrame, chosen: pd.DataFrame, endpoint: str) -> tuple[list, list]:
    table = words.select(characteristics, "rejection", ENDPOINT=endpoint, METHOD=[*_POWER])
    rows, ticks = [], []
    for size, cells in chosen.groupby("SIZE", sort=False):
        rows.append(parts.Row(words.name_size(characteristics, size, endpoint)))
        ticks.append(np.nan)
        for cell in cells.itertuples():
            own = table[table["TRUTH"].eq(cell.TRUTH) & table["SIZE"].eq(size)].set_index("METHOD")
            name = f"{cell.TRUTH} (HR {number(cell.HR, 2)}, {number(cell.EVENTS, 0)} events)"
            rows.append(parts.Row(name, own[["ESTIMATE", "SE"]]))
            ticks.append(cell.POWER)
    return rows, ticks


def _tick_places(rows: list[parts.Row], powers: list[float], series: int) -> list[tuple[float, float]]:
    places, top = [], 0.0
    for row, power in zip(rows, powers, strict=True):
        tall = parts.height_mm([row], series)
        if row.values is not None:
            places.append((top + tall / 2, power))
        top += tall
    return places


def _size_handles(
    characteristics: pd.DataFrame, sizes: Sequence[str], endpoint: str, rules: Any
) -> list[Line2D]:
    named = [words.name_size(characteristics, size, endpoint) for size in sizes]
    return [
        Line2D([], [], color=rules.cycle[k % len(rules.cycle)], marker=parts.MARKS[k % 7],
               ls=style.LINE_STYLES[k % 4], lw=1.0, ms=4, label=name)
        for k, name in enumerate(named)
    ]  # fmt: skip


def _draw_curves(axes, characteristics, chosen, curves, endpoint: str, rules: Any) -> None:
    table = words.select(characteristics, "rejection", ENDPOINT=endpoint, METHOD="two_stage")
    both = chosen.merge(table, on=["TRUTH", "SIZE"])
    for k, size in enumerate(dict.fromkeys(chosen["SIZE"])):
        colour, own = rules.cycle[k % len(rules.cycle)], both[both["SIZE"].eq(size)]
        line = curves[curves["SIZE"].eq(size) & curves["ENDPOINT"].eq(endpoint)]
        axes.plot(line["HR"], line["POWER"], color=colour, ls=style.LINE_STYLES[k % 4], lw=1.0, zorder=2)
        axes.errorbar(
            own["HR"], own["ESTIMATE"], yerr=parts.ERRORS * own["SE"].fillna(0), fmt=parts.MARKS[k % 7],
            color=colour, ms=4, lw=0.8, zorder=3,
        )  # fmt: skip
    ticks = [tick for tick in (1, 1.25, 1.5, 2, 2.5, 3, 4) if tick <= curves["HR"].max() * 1.001]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(ylim=(0, 1), xlabel="True hazard ratio of the chosen day", ylabel="Power, %")
    axes.yaxis.set_major_formatter(lambda value, _: number(100 * value, 0))


@style.drawn
def plot_planning(planning: pd.DataFrame, *, width: str | float = "page", rules: Any = None) -> Figure:
    """Draw the patients a trial needs over the hazard ratio, and the simulated power at the formula's size.

    Parameters
    ----------
    planning : DataFrame
        Contract ``planning``.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Panel A: patients (both axes logarithmic), one line a method. Panel B: power at Schoenfeld's size with
        two Monte Carlo standard errors, and the power asked for as a line.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if planning.empty:
        raise ValueError("no size was planned: leave the figure out and say why")
    methods = [code for code in words.PLANNING if code in set(planning["METHOD"])]
    across, wanted = style.width_mm(width, rules), planning["POWER"].iloc[0]
    handles = [
        Line2D([], [], color=rules.cycle[k], marker=parts.MARKS[k], ls=style.LINE_STYLES[k], lw=1.0, ms=4,
               label=words.PLANNING[code])
        for k, code in enumerate(methods)
    ]  # fmt: skip
    handles.append(parts.line_handle(f"power asked for, {percent(100 * wanted)}"))
    named = [handle.get_label() for handle in handles]
    head = parts.legend_mm(named, across - parts.EDGE_MM, rules) + parts.TITLE_MM
    figure = style.new_figure(width, head + 52.0 + parts.FOOT_MM, rules)
    side = (across - 2 * 15.0 - 2 * parts.GAP_MM) / 2
    first = style.axes_mm(figure, 15.0, parts.FOOT_MM, side, 52.0)
    second = style.axes_mm(figure, 30.0 + parts.GAP_MM + side, parts.FOOT_MM, side, 52.0)
    for k, code in enumerate(methods):
        own = planning[planning["METHOD"].eq(code)].sort_values("HR")
        look = {"color": rules.cycle[k], "ms": 4, "lw": 1.0, "zorder": 3}
        first.plot(own["HR"], own["PATIENTS"], marker=parts.MARKS[k], ls=style.LINE_STYLES[k], **look)
        own = own[own["FOUND"].notna()]
        place = own["HR"] * (1 + 0.012 * (k - 1.5))
        second.errorbar(place, own["FOUND"], yerr=parts.ERRORS * own["SE"], fmt=parts.MARKS[k], **look)
    second.axhline(wanted, color=style.MUTED, ls=(0, (4, 2)), lw=0.9, zorder=1)
    _label_planning(first, second, planning)
    parts.draw_legend(figure, handles, parts.EDGE_MM, rules)
    return figure


def caption_planning(planning: pd.DataFrame) -> str:
    """Write the caption of the planned sizes from their data."""
    row = planning.iloc[0]
    found = planning[planning["METHOD"].ne("schoenfeld") & planning["FOUND"].notna()]
    text = (
        f"Patients needed for a power of {percent(100 * row['POWER'])} (A), and the power simulated at the "
        "size Schoenfeld's formula gives, with two Monte Carlo standard errors (B): "
        f"{percent(100 * row['SHARE'])} non-responders, median event-free time of all patients "
        f"{row['MEDIAN']:g} months, accrual {row['ACCRUAL']:g} months, follow-up of the last patient "
        f"{row['FOLLOWUP']:g} months."
    )
    if len(found):
        low, high = (100 * value for value in (found["FOUND"].min(), found["FOUND"].max()))
        text += f" At the formula's size {number(low, 0)} to {percent(high)} are found."
    return text


def alt_planning(planning: pd.DataFrame) -> str:
    """Describe the planned sizes for a reader who cannot see them: every method at every hazard ratio."""
    said = [
        f"hazard ratio {ratio:g}: "
        + ", ".join(f"{words.PLANNING[row.METHOD]} {number(row.PATIENTS, 0)}" for row in rows.itertuples())
        for ratio, rows in planning.groupby("HR")
    ]
    return f"Patients needed. {'; '.join(said)}."


def _label_planning(first, second, planning: pd.DataFrame) -> None:
    ratios = sorted(set(planning["HR"]))
    for axes in (first, second):
        axes.set_xscale("log")
        axes.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
        axes.minorticks_off()
        axes.set_xlim(min(ratios) / 1.06, max(ratios) * 1.06)
        axes.set_xlabel("Expected hazard ratio")
    low, high = planning["PATIENTS"].min(), planning["PATIENTS"].max()
    ticks = [tick for tick in _SIZES if low / 1.5 <= tick <= high * 1.5]
    first.set_yscale("log")
    first.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    first.minorticks_off()
    first.set(ylim=(low / 1.2, high * 1.2), ylabel="Patients needed")
    first.set_title("A  Patients needed", loc="left")
    second.set_title("B  Power found at Schoenfeld's size", loc="left")
    second.set_ylabel("Power, %")
    second.yaxis.set_major_formatter(lambda value, _: number(100 * value, 0))
