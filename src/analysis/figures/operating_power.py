"""Power in simulated trials beside Schoenfeld's formula, and the size a trial needs by either."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures import operating_parts as parts
from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables import operating_words as words
from analysis.tables.format import number, percent

_POWER = ("fixed_earlier", "fixed_later", "chosen", "two_stage")
# Of these the formula speaks: it knows nothing of a choice.
_FIXED = ("fixed_earlier", "fixed_later")
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
    """Draw the power of the main tests by truth, with Schoenfeld's formula for the days fixed in advance.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``.
    expected : DataFrame
        TRUTH SIZE ENDPOINT METHOD HR EVENTS POWER of Schoenfeld's formula (`operating.expect_power`).
    curves : DataFrame
        SIZE ENDPOINT HR EVENTS POWER at the events of the earlier day (`operating.curve_power`).
    endpoint : str
        PARAMCD.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Panel A: one row a truth under its size, by rising hazard ratio of the earlier day; beside the mark of
        each fixed day the formula's power, an upright tick. Panel B: the earlier day, fixed in advance,
        against its hazard ratio, with the formula as a curve, one colour a size.

    Raises
    ------
    ValueError
        If no truth with an effect was simulated.
    """
    fixed = _fixed(characteristics, expected, endpoint)
    rows, formula = _power_rows(characteristics, fixed, endpoint)
    across, shown = style.width_mm(width, rules), [*_POWER]
    handles = parts.mark_handles([words.name_analysis(code) for code in shown], rules)
    tick = {"marker": "|", "ls": "", "ms": 7, "mew": 1.4}
    handles.append(
        Line2D([], [], color=style.INK, label="Schoenfeld's formula, day fixed in advance", **tick)
    )
    sizes = list(dict.fromkeys(fixed["SIZE"]))
    named = [words.name_size(characteristics, size, endpoint) for size in sizes]
    lines = parts.curve_handles(named, rules)
    head = parts.legend_mm([h.get_label() for h in handles], across - parts.EDGE_MM, rules) + parts.TITLE_MM
    own = parts.ENTRY_MM * (len(sizes) + 1) + 2
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
    for middle, powers in zip(parts.middles_mm(rows, len(shown)), formula, strict=True):
        heights = middle + parts.offsets_mm(len(shown))[: len(powers)]
        first.plot(powers, heights, color=style.INK, zorder=4, **tick)
    second = style.axes_mm(figure, left + side + 14.0 + parts.GAP_MM, parts.FOOT_MM, side, tall - own)
    second.set_title("B  Earlier day, fixed in advance", loc="left", y=1 + own / (tall - own))
    _draw_curves(second, characteristics, fixed, curves, endpoint, rules)
    second.legend(handles=lines, loc="lower left", bbox_to_anchor=(-0.22, 1.0), borderaxespad=0.2,
                  labelspacing=0.25, handletextpad=0.4, title="line: formula; mark: simulated",
                  title_fontsize=rules.small_size_pt, alignment="left")  # fmt: skip
    parts.draw_legend(figure, handles, parts.EDGE_MM, rules)
    return figure


@spelled_out
def caption_power(characteristics: pd.DataFrame, expected: pd.DataFrame, *, endpoint: str) -> str:
    """Write the caption of the power from its data."""
    fixed = _fixed(characteristics, expected, endpoint)
    tests = words.select(characteristics, "rejection", ENDPOINT=endpoint)
    both = tests.merge(fixed, on=["TRUTH", "SIZE", "METHOD"])
    away = ((both["ESTIMATE"] - both["POWER"]) / both["SE"]).abs()
    far = both.loc[away.idxmax()]
    events = [number(value, 0) for value in (fixed["EVENTS"].min(), fixed["EVENTS"].max())]
    worst = f"{far['TRUTH']}, {far['SIZE']}, {words.name_analysis(far['METHOD'])}"
    text = (
        f"{endpoint}: share of simulated trials that reject, with two Monte Carlo standard errors; in "
        "brackets the true hazard ratios of the earlier and of the later day. Ticks and curves: Schoenfeld's "
        f"formula at that day's events ({' to '.join(events)}), hazard ratio and share of non-responders; "
        "curves take the mean events of a size. Like for like, the days fixed in advance, "
        f"{(away <= parts.ERRORS).sum()} of {len(both)} simulated powers lie within two standard errors of "
        f"the formula; furthest off is {worst}: {percent(100 * far['ESTIMATE'], 1)} simulated, "
        f"{percent(100 * far['POWER'], 1)} by the formula ({number(away.max(), 1)} standard errors)."
    )
    cost = _cost(tests[tests["TRUTH"].isin(fixed["TRUTH"])])
    if cost.empty:
        return text
    points = " to ".join(dict.fromkeys(number(100 * value, 0) for value in (cost.min(), cost.max())))
    return f"{text} The correction for the choice costs {points} percentage points of power."


def alt_power(characteristics: pd.DataFrame, expected: pd.DataFrame, *, endpoint: str) -> str:
    """Describe the power for a reader who cannot see it: every test by truth, the formula where it speaks."""
    fixed = _fixed(characteristics, expected, endpoint)
    tests = words.select(characteristics, "rejection", ENDPOINT=endpoint).set_index(
        ["TRUTH", "SIZE", "METHOD"]
    )
    formula = fixed.set_index(["TRUTH", "SIZE", "METHOD"])["POWER"]
    said = []
    for cell in dict.fromkeys(zip(fixed["TRUTH"], fixed["SIZE"], strict=True)):
        there = [code for code in _POWER if (*cell, code) in tests.index]
        powers = [
            f"{words.name_analysis(code)} {percent(100 * tests.loc[(*cell, code), 'ESTIMATE'])}"
            + (
                f" (formula {percent(100 * formula[(*cell, code)])})"
                if (*cell, code) in formula.index
                else ""
            )
            for code in there
        ]
        said.append(f"{cell[0]}, {cell[1]}: {', '.join(powers)}")
    return f"{endpoint}: power. {'; '.join(said)}."


def _fixed(characteristics: pd.DataFrame, expected: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """Select what the formula says of the fixed days under an effect, by size and rising hazard ratio."""
    planted = ~expected["TRUTH"].isin(words.null_truths(characteristics))
    fixed = expected[expected["METHOD"].isin(_FIXED) & expected["ENDPOINT"].eq(endpoint) & planted]
    if fixed.empty:
        raise ValueError("no truth with an effect was simulated: leave the figure out and say why")
    order = {size: place for place, size in enumerate(dict.fromkeys(characteristics["SIZE"]))}
    cells = [fixed["TRUTH"], fixed["SIZE"]]
    first = fixed["HR"].where(fixed["METHOD"].eq(_FIXED[0])).groupby(cells).transform("first")
    ranked = fixed.assign(PLACE=fixed["SIZE"].map(order), FIRST=first)
    ranked = ranked.sort_values(["PLACE", "FIRST"], kind="stable")
    return ranked[["TRUTH", "SIZE", "METHOD", "HR", "EVENTS", "POWER"]]


def _cost(tests: pd.DataFrame) -> pd.Series:
    """Return the power of the uncorrected minus that of the corrected test, truth by truth."""
    by = tests.set_index(["METHOD", "TRUTH", "SIZE"])["ESTIMATE"]
    return (by.get("chosen", by.iloc[:0]) - by.get("two_stage", by.iloc[:0])).dropna()


def _power_rows(characteristics: pd.DataFrame, fixed: pd.DataFrame, endpoint: str) -> tuple[list, list]:
    """Return the rows of panel A, and of each the formula's powers of the two fixed days."""
    table = words.select(characteristics, "rejection", ENDPOINT=endpoint, METHOD=[*_POWER])
    rows, formula = [], []
    for size, of_size in fixed.groupby("SIZE", sort=False):
        rows.append(parts.Row(words.name_size(characteristics, size, endpoint)))
        formula.append([])
        for truth, cell in of_size.groupby("TRUTH", sort=False):
            own = table[table["TRUTH"].eq(truth) & table["SIZE"].eq(size)].set_index("METHOD")
            by_day = cell.set_index("METHOD").reindex(_FIXED)
            ratios = " and ".join(number(ratio, 2) for ratio in by_day["HR"].dropna())
            rows.append(parts.Row(f"{truth} (HR {ratios})", own[["ESTIMATE", "SE"]]))
            formula.append(by_day["POWER"].tolist())
    return rows, formula


def _draw_curves(axes, characteristics, fixed, curves, endpoint: str, rules: Any) -> None:
    table = words.select(characteristics, "rejection", ENDPOINT=endpoint, METHOD=_FIXED[0])
    both = fixed.merge(table, on=["TRUTH", "SIZE", "METHOD"])
    for k, size in enumerate(dict.fromkeys(fixed["SIZE"])):
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
    axes.set(ylim=(0, 1), xlabel="True hazard ratio of that day", ylabel="Power, %")
    axes.yaxis.set_major_formatter(lambda value, _: number(100 * value, 0))


@style.drawn
def plot_planning(planning: pd.DataFrame, *, width: str | float = "page", rules: Any = None) -> Figure:
    """Draw the patients a trial needs over the hazard ratio, and the simulated power at the formula's size.

    Parameters
    ----------
    planning : DataFrame
        Contract ``planning``.
    width : {"column", "half", "page"} or float
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
    handles = parts.curve_handles([words.PLANNING[code] for code in methods], rules)
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


@spelled_out
def caption_planning(planning: pd.DataFrame) -> str:
    """Write the caption of the planned sizes from their data."""
    row = planning.iloc[0]
    text = (
        f"Patients analysed from the landmark for a power of {percent(100 * row['POWER'])} (A), and the "
        "power simulated at the size Schoenfeld's formula gives, with two Monte Carlo standard errors (B). "
        "A day fixed in advance; the hazard ratio is that of the measured classes. "
        f"{percent(100 * row['SHARE'])} non-responders, median event-free time of all patients "
        f"{row['MEDIAN']:g} months, accrual {row['ACCRUAL']:g} months, follow-up of the last patient "
        f"{row['FOLLOWUP']:g} months."
    )
    found = planning[planning["METHOD"].eq("simulation") & planning["FOUND"].notna()].sort_values("HR")
    said = [
        f"{percent(100 * one['FOUND'], 1)} at a hazard ratio of {one['HR']:g}, "
        f"{number(100 * (one['POWER'] - one['FOUND']), 1)} points short"
        for _, one in found.iloc[[0, -1][: len(found)]].iterrows()
    ]
    return f"{text} The formula's size finds {'; '.join(said)}." if said else text


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
    first.set(ylim=(low / 1.2, high * 1.2), ylabel="Patients analysed")
    first.set_title("A  Patients needed", loc="left")
    second.set_title("B  Power found at Schoenfeld's size", loc="left")
    second.set_ylabel("Power, %")
    second.yaxis.set_major_formatter(lambda value, _: number(100 * value, 0))
