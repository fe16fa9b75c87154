"""The choice of the day: the difference in C against the margin, and how the decision rules behave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables.format import interval, number, percent
from analysis.tables.words import PILOT_RULES as RULES
from analysis.tables.words import phrase_of

LABEL_MM, ROW_MM, HEAD_MM, FOOT_MM, EDGE_MM, GAP_MM = 47.0, 7.0, 8.0, 12.0, 3.0, 6.0
SETS = {
    "DECISION": "On the decision date",
    "FINAL": "Pilot, all follow-up",
    "EVERYONE": "Everybody with both scans",
}
UNDATED = "Pilot, deciding"
_DATA = {"MATURE": "Mature data, no landmark", "DECISION": "Known on the decision date"}


@style.drawn
def plot_choice(
    evidence: pd.DataFrame,
    choices: pd.DataFrame,
    *,
    days: tuple[str, str],
    dated: bool = True,
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw the difference in C of the two days with its bootstrap interval, and the day each margin takes.

    Parameters
    ----------
    evidence : DataFrame
        Contract ``pilot_evidence``: the rows concordance by paired bootstrap, one a SET, are drawn.
    choices : DataFrame
        MARGIN, TIMEPOINT, PLAN (Y at the plan's), from `survival.pilot.choice_by_margin`.
    days : tuple of str
        The earlier and the later day.
    dated : bool
        False where the study has no dates: then there is no decision date, and all follow-up decides.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        One row a set, the deciding one first; above them one mark a margin, filled where the later day is
        taken.

    Raises
    ------
    ValueError
        If no difference could be estimated.
    """
    rows = _differences(evidence)
    height = HEAD_MM + ROW_MM * len(rows) + FOOT_MM
    figure = style.new_figure(width, height, rules)
    room = style.width_mm(width, rules) - LABEL_MM - EDGE_MM
    axes = style.axes_mm(figure, LABEL_MM, FOOT_MM, room, height - HEAD_MM - FOOT_MM)
    ends = rows[["ESTIMATE", "LOWER", "UPPER"]].to_numpy()
    spread = np.r_[ends[np.isfinite(ends)], choices["MARGIN"], 0.0]
    pad = 0.06 * np.ptp(spread)
    axes.set(xlim=(spread.min() - pad, spread.max() + pad), ylim=(len(rows) - 0.5, -0.5))
    axes.axvline(0, color=style.MUTED, ls=(0, (1, 1.5)), lw=0.8, zorder=0)
    for place, row in enumerate(rows.itertuples()):
        decides = row.SET == "DECISION"
        axes.plot(
            [row.LOWER, row.UPPER], [place, place], color=style.INK, lw=1.6 if decides else 0.9, zorder=2
        )
        axes.plot(row.ESTIMATE, place, "D" if decides else "s", ms=5.5 if decides else 4.0, zorder=3,
                  color=rules.cycle[0] if decides else style.INK)  # fmt: skip
    axes.set_yticks(range(len(rows)), [_set_words(row, dated) for row in rows.itertuples()])
    axes.tick_params(axis="y", length=0)
    earlier, later = (phrase_of(day) for day in days)
    axes.set_xlabel(f"C at {later} minus C at {earlier}")
    axes.xaxis.set_major_formatter(lambda value, _: number(value, 2))
    _margins(axes, choices, days, rules)
    return figure


@style.drawn
def plot_behaviour(
    behaviour: pd.DataFrame, *, plan_rule: str, width: str | float = "page", rules: Any = None
) -> Figure:
    """Draw how often each rule takes the later day, by truth, on mature data and on the decision date.

    Parameters
    ----------
    behaviour : DataFrame
        Contract ``pilot_behaviour``.
    plan_rule : str
        The plan's rule: the row PLAN is it with its fallback.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Two panels; one row a rule, one mark a truth, with its Monte Carlo error (two standard errors).

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    if behaviour.empty:
        raise ValueError("no simulated pilot: leave the figure out and say why")
    names, truths = list(dict.fromkeys(behaviour["RULE"])), _truths(behaviour)
    head = 7.0 + 3.7 * len(truths)
    height = head + ROW_MM * len(names) + FOOT_MM
    figure = style.new_figure(width, height, rules)
    side = (style.width_mm(width, rules) - LABEL_MM - GAP_MM - EDGE_MM) / 2
    for k, (data, title) in enumerate(_DATA.items()):
        left = LABEL_MM + k * (side + GAP_MM)
        axes = style.axes_mm(figure, left, FOOT_MM, side, ROW_MM * len(names))
        rows = behaviour[behaviour["DATA"].eq(data)]
        _behaviour_panel(axes, rows, names, list(truths), rules)
        axes.set_title(f"{'AB'[k]}  {title}", loc="left")
        shown = [_rule_words(name, plan_rule) for name in names] if k == 0 else [""] * len(names)
        axes.set_yticks(range(len(names)), shown)
    handles = [
        Line2D(
            [], [], color=rules.cycle[k % len(rules.cycle)], marker="osD^v"[k % 5], ls="", ms=4, label=words
        )
        for k, words in enumerate(truths.values())
    ]
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(LABEL_MM / style.width_mm(width, rules), 1.0),
        borderaxespad=0.1, labelspacing=0.2, handletextpad=0.3,
    )  # fmt: skip
    return figure


@spelled_out
def caption_choice(evidence: pd.DataFrame, choices: pd.DataFrame, *, days: tuple[str, str]) -> str:
    """Write the caption of the choice from its data."""
    rows = _differences(evidence)
    taken = choices.loc[choices["TIMEPOINT"].eq(days[1]), "MARGIN"]
    where = (
        f"of those shown, at {', '.join(f'{m:g}' for m in taken)}" if len(taken) else "at none of those shown"
    )
    text = (
        f"Harrell's C at {phrase_of(days[1])} minus C at {phrase_of(days[0])}, same patients, common "
        "landmark, with the interval of a paired bootstrap. Marks above: margins of the rule; filled: the "
        f"later day is taken ({where})."
    )
    if len(rows) > 1:
        text += " Only the first row decides; the others are descriptive."
    return text


@spelled_out
def caption_behaviour(behaviour: pd.DataFrame) -> str:
    """Write the caption of the rules' behaviour from its data."""
    n, trials = int(behaviour["N"].iloc[0]), int(behaviour["TRIALS"].iloc[0])
    known = behaviour.groupby("DATA")["EVENTS"].mean()
    words = "; ".join(f"{_DATA[data].lower()}: {known[data]:.0f} events" for data in _DATA if data in known)
    return (
        f"Probability that a decision rule takes the later day, in {trials} simulated pilots of {n} patients "
        f"for each truth (mean events known: {words}). Where the days are equally good every choice of the "
        "later day is an error; where it is better, every other choice is."
    )


def alt_choice(
    evidence: pd.DataFrame, choices: pd.DataFrame, *, days: tuple[str, str], dated: bool = True
) -> str:
    """Describe the choice for a reader who cannot see it: every difference, and the day of each margin."""
    rows = [
        f"{_set_name(row.SET, dated).lower()} {interval(row.ESTIMATE, row.LOWER, row.UPPER, decimals=2)}"
        for row in _differences(evidence).itertuples()
    ]
    taken = [f"{row.MARGIN:g} {phrase_of(row.TIMEPOINT)}" for row in choices.itertuples()]
    earlier, later = (phrase_of(day) for day in days)
    return (
        f"Difference in C, {later} minus {earlier}, with limits: {'; '.join(rows)}. "
        f"Day taken by margin: {', '.join(taken)}."
    )


def alt_behaviour(behaviour: pd.DataFrame, *, plan_rule: str) -> str:
    """Describe the rules' behaviour for a reader who cannot see it: the plan's row, truth by truth."""
    own = behaviour[behaviour["RULE"].eq("PLAN")]
    parts = [
        f"{_DATA[data].lower()}: "
        + ", ".join(f"{row.TRUTH} {percent(100 * row.SHARE_LATER)}" for row in rows.itertuples())
        for data in _DATA
        for rows in [own[own["DATA"].eq(data)]]
        if len(rows)
    ]
    return (
        f"Probability of taking the later day for {behaviour['RULE'].nunique()} rules; by the plan's rule "
        f"({RULES.get(plan_rule, plan_rule)}) with its fallback: {'; '.join(parts)}."
    )


def _differences(evidence: pd.DataFrame) -> pd.DataFrame:
    asked = evidence["ITEM"].eq("concordance") & evidence["METHOD"].eq("paired_bootstrap")
    rows = evidence[asked & evidence["ESTIMATE"].notna()]
    if rows.empty:
        raise ValueError("no difference in C could be estimated: leave the figure out and say why")
    rows = rows.set_index("SET").reindex([name for name in SETS if name in set(rows["SET"])])
    if {"FINAL", "EVERYONE"} <= set(rows.index):
        # Nobody but pilot patients has both scans: the same patients are not drawn twice.
        numbers = rows[["N", "EVENTS", "ESTIMATE", "LOWER", "UPPER"]]
        if numbers.loc["FINAL"].equals(numbers.loc["EVERYONE"]):
            rows = rows.drop(index="EVERYONE")
    return rows.reset_index()


def _set_name(name: str, dated: bool) -> str:
    return SETS[name] if dated or name != "DECISION" else UNDATED


def _set_words(row: Any, dated: bool) -> str:
    return f"{_set_name(row.SET, dated)}\n{row.N:.0f} patients, {row.EVENTS:.0f} events"


def _margins(axes, choices: pd.DataFrame, days: tuple[str, str], rules: Any) -> None:
    """Mark the margins above the axes: filled for the later day; the plan's runs through."""
    across = axes.get_xaxis_transform()
    taken = choices["TIMEPOINT"].eq(days[1])
    for margin, later, plans in zip(choices["MARGIN"], taken, choices["PLAN"].eq("Y"), strict=True):
        colour = rules.cycle[1] if plans else style.MUTED
        if plans:
            axes.axvline(margin, color=colour, ls=(0, (4, 2)), lw=0.9, zorder=1)
        axes.plot(margin, 1.0, "v", ms=5.5, transform=across, clip_on=False, zorder=4,
                  mec=colour, mew=0.9, mfc=colour if later else "white")  # fmt: skip
    entries = [("filled: later day taken", style.MUTED), ("hollow: earlier day taken", "white")]
    handles = [
        Line2D([], [], marker="v", ls="", ms=5, mec=style.MUTED, mfc=fill, label=text)
        for text, fill in entries
    ]
    handles.append(Line2D([], [], color=rules.cycle[1], ls=(0, (4, 2)), lw=0.9, label="margin of the plan"))
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1.05), ncols=3, borderaxespad=0.3,
        handletextpad=0.4, columnspacing=1.2,
    )  # fmt: skip


def _behaviour_panel(axes, rows: pd.DataFrame, names: list[str], truths: list[str], rules: Any) -> None:
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xlabel="Probability of taking the later day")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(lambda value, _: number(value, 1))
    for line in np.arange(len(names) - 1) + 0.5:
        axes.axhline(line, color=style.GRID, lw=0.5, zorder=0)
    offsets = np.linspace(-0.22, 0.22, len(truths)) if len(truths) > 1 else [0.0]
    for k, truth in enumerate(truths):
        part = rows[rows["TRUTH"].eq(truth)].set_index("RULE").reindex(names)
        axes.errorbar(
            part["SHARE_LATER"], np.arange(len(names)) + offsets[k], xerr=2 * part["SE"], fmt="osD^v"[k % 5],
            color=rules.cycle[k % len(rules.cycle)], ms=4, lw=0.8, clip_on=False, zorder=3,
        )  # fmt: skip


def _truths(behaviour: pd.DataFrame) -> dict[str, str]:
    known = behaviour.drop_duplicates("TRUTH")
    return {
        row.TRUTH: f"{row.TRUTH} (true C {row.C_EARLIER:.2f} and {row.C_LATER:.2f})"
        for row in known.itertuples()
    }


def _rule_words(rule: str, plan_rule: str) -> str:
    if rule == "PLAN":
        return f"plan: {RULES.get(plan_rule, plan_rule)}\nwith its fallback"
    return RULES.get(rule, rule)
