"""Swimmer plot: the course of every patient on treatment and in follow-up, one bar a patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from analysis import plan
from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.figures.course_parts import (
    SYMBOLS,
    add_legend,
    legend_size,
    order_groups,
    set_months,
    symbol,
    tint,
)
from analysis.tables.format import counted, number

NEEDED = ("USUBJID", "TRTSTM", "TRTENM", "TRTONGO", "FUPM", "FUPONGO", "DTHFL")
NEEDED_EVENTS = ("USUBJID", "EVENT", "MONTHS", "ENDM")
FOOT_MM, RIGHT_MM, HEADING_GAP_MM, SYMBOL_PT = 10.0, 5.0, 1.2, 4.6
ROW_MM, PAGE_MM, LOWEST_ROW_MM = 3.4, 196.0, 1.1  # rows shrink so that a plot without names fits a page


def can_draw(courses: pd.DataFrame, rules: Any = None) -> bool:
    """Tell whether one swimmer plot holds these patients: some, and at most the plan's ``swimmer_max``."""
    return 0 < len(courses) <= (rules or plan.defaults().figures).swimmer_max


@style.drawn
def plot_swimmer(
    courses: pd.DataFrame,
    events: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    group: str | None = "BESTRESP",
    groups: Sequence[str] | None = None,
    origin: str = "first dose",
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw a bar of treatment, a line of follow-up and the events of each patient, the longest first.

    Parameters
    ----------
    courses : DataFrame
        One row a patient (``clinical.courses.subject_courses``): USUBJID, TRTSTM and TRTENM (treatment,
        months; missing where never treated), FUPM (end of follow-up), TRTONGO, FUPONGO, DTHFL (Y/N), and the
        column `group`.
    events : DataFrame
        ``clinical.courses.course_events``: USUBJID, EVENT (PR CR PD CLINPD NACT DEATH), MONTHS, ENDM (end of
        a response). Events of patients who are not in `courses` are left out.
    labels : mapping, optional
        Name of each patient, drawn beside the bar; numbers from the top if absent.
    group : str or None
        Column that parts the patients into blocks with a heading; None: no blocks.
    groups : sequence of str, optional
        Order of the blocks; the order of `tables.words` if absent.
    origin : str
        What time counts from, in words.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan (``swimmer_max``).

    Returns
    -------
    Figure
        The swimmer plot; its height grows with the number of patients.

    Raises
    ------
    ValueError
        If there are no patients or more than ``swimmer_max``, a column, a label or a group is missing, a
        patient has two rows, or an event is unknown.
    """
    events = _check(courses, events, labels, group, rules)
    blocks = _blocks(courses, group, groups)
    row = _row_mm(len(courses), len(blocks), labels, rules)
    shown = _place(courses, blocks, group, _heading_mm(rules) / row)
    entries = _entries(shown, events, group is not None, rules)
    across = style.width_mm(width, rules)
    left = _label_room(shown, labels, rules)
    columns, head = legend_size(entries, across - left, rules)
    rows = shown["ROW"].max() + 1
    figure = style.new_figure(width, row * rows + FOOT_MM + head, rules)
    axes = style.axes_mm(figure, left, FOOT_MM, across - left - RIGHT_MM, row * rows)
    size = min(SYMBOL_PT, 0.62 * row / style.MM_PER_POINT)
    _draw_courses(axes, shown, blocks, group, rules)
    _draw_open_ends(axes, shown, size)
    _draw_events(axes, shown, events, size)
    _head_blocks(axes, shown, blocks, rules)
    set_months(axes, min(0.0, shown["TRTSTM"].min()), shown[["FUPM", "TRTENM"]].max().max(), origin, rules)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, pad=3)
    axes.spines["left"].set_visible(False)
    _name_rows(axes, shown, labels, row, rules)
    add_legend(axes, entries, columns)
    return figure


@spelled_out
def caption_swimmer(
    courses: pd.DataFrame,
    events: pd.DataFrame,
    *,
    group: str | None = "BESTRESP",
    origin: str = "first dose",
) -> str:
    """Write the caption of a swimmer plot from its data."""
    events = events[events["USUBJID"].isin(courses["USUBJID"])]
    blocks = f", in blocks by {GROUP_WORDS.get(group, group)}" if group else ""
    lost, untreated = _lost(courses), int(courses["TRTENM"].isna().sum())
    text = (
        f"Course of each patient in months from {origin} (n = {len(courses)}){blocks}, the longest treatment "
        "first. Bar: on treatment; thin line: follow-up after it. "
    )
    if events["EVENT"].isin(["PR", "CR"]).any():
        text += "Thick line: response, until progression or else to the last assessment. "
    text += _say_events(events)
    still = zip(_open_ends(courses), ("still on treatment", "followed without treatment"))
    still = [f"{n.sum()} {'was' if n.sum() == 1 else 'were'} {what}" for n, what in still if n.any()]
    if still:
        text += f" When follow-up closed, {style.join_words(still)} (arrows)."
    if lost:
        text += f" {counted(lost, 'line')} without a symbol at the end: alive, no later contact."
    return text + (f" {counted(untreated, 'patient')} had no treatment." if untreated else "")


def alt_swimmer(courses: pd.DataFrame, events: pd.DataFrame) -> str:
    """Describe the swimmer plot for a reader who cannot see it."""
    events = events[events["USUBJID"].isin(courses["USUBJID"])]
    treated = courses["TRTENM"] - courses["TRTSTM"]
    followed = courses["FUPM"]
    text = f"Swimmer plot of {counted(len(courses), 'patient')}. "
    if treated.notna().any():
        text += f"Treatment lasted {_range(treated.dropna())} months. "
    return text + f"Follow-up reached {_range(followed)} months. {_say_events(events)}"


GROUP_WORDS = {"BESTRESP": "best overall response", "MRESP": "metabolic response", "GROUP": "group"}


def _check(courses, events, labels, group, rules) -> pd.DataFrame:
    for frame, needed in ((courses, [*NEEDED, *([group] if group else [])]), (events, NEEDED_EVENTS)):
        missing = [name for name in needed if name not in frame]
        if missing:
            raise ValueError(f"the courses or events lack the columns {missing}")
    if courses.empty:
        raise ValueError("no patient has a course to draw: leave the figure out and say why")
    if len(courses) > rules.swimmer_max:
        raise ValueError(
            f"{len(courses)} patients, more than the {rules.swimmer_max} a swimmer plot holds (plan, "
            "figures.swimmer_max): draw the patients of one group, or a sample and say so"
        )
    if courses["USUBJID"].duplicated().any():
        raise ValueError("the courses hold two rows of one patient")
    if courses["FUPM"].isna().any():
        raise ValueError(f"{counted(courses['FUPM'].isna().sum(), 'patient')} without an end of follow-up")
    unnamed = 0 if labels is None else sum(subject not in labels for subject in courses["USUBJID"])
    if unnamed:
        raise ValueError(f"{counted(unnamed, 'patient')} without a label")
    unknown = sorted(set(events["EVENT"]) - set(SYMBOLS))
    if unknown:
        raise ValueError(f"unknown events {unknown}; known are {[*SYMBOLS]}")
    return events[events["USUBJID"].isin(courses["USUBJID"]) & events["MONTHS"].notna()]


def _blocks(courses: pd.DataFrame, group: str | None, groups: Sequence[str] | None) -> list[str]:
    if group is None:
        return []
    found = list(dict.fromkeys(courses[group]))
    if groups is None:
        return order_groups(found)
    absent = [name for name in found if name not in groups]
    if absent:
        raise ValueError(f"the order of the blocks lacks {absent}")
    return [name for name in groups if name in found]


def _place(courses: pd.DataFrame, blocks: list[str], group: str | None, heading: float) -> pd.DataFrame:
    """Sort the patients and give each a row, with room for the heading of each block."""
    length = (courses["TRTENM"] - courses["TRTSTM"]).fillna(0)
    block = courses[group].map(blocks.index) if group else pd.Series(0, index=courses.index)
    shown = courses.assign(LENGTH=length, BLOCK=block).sort_values(
        ["BLOCK", "LENGTH", "FUPM", "USUBJID"], ascending=[True, False, False, True], ignore_index=True
    )
    headings = heading * (shown["BLOCK"] + 1) if group else 0.0
    return shown.assign(ROW=np.arange(len(shown)) + headings)


def _heading_mm(rules: Any) -> float:
    return style.line_height_mm(rules.small_size_pt) + HEADING_GAP_MM


def _row_mm(patients: int, blocks: int, labels, rules: Any) -> float:
    if labels is not None:
        return max(ROW_MM, style.line_height_mm(rules.small_size_pt))
    return max(LOWEST_ROW_MM, min(ROW_MM, (PAGE_MM - blocks * _heading_mm(rules)) / patients))


def _label_room(shown: pd.DataFrame, labels, rules: Any) -> float:
    names = [str(len(shown))] if labels is None else [labels[subject] for subject in shown["USUBJID"]]
    return 5.0 + max(style.text_width_mm(name, rules.small_size_pt, rules.font_family) for name in names)


def _draw_courses(axes, shown: pd.DataFrame, blocks: list[str], group: str | None, rules: Any) -> None:
    for index, (_, rows) in enumerate(shown.groupby("BLOCK", sort=True)):
        name = blocks[index] if group else None
        color = tint(style.color_of(name, index, rules) if group else rules.cycle[0])
        known = rows[rows["TRTENM"].notna()]
        length = known["TRTENM"] - known["TRTSTM"]
        axes.barh(known["ROW"], length, left=known["TRTSTM"], height=0.7, color=color, lw=0, zorder=1)
    after = shown["TRTENM"].fillna(0)
    axes.hlines(shown["ROW"], np.minimum(after, shown["FUPM"]), shown["FUPM"], color=style.MUTED, lw=0.8)


def _draw_open_ends(axes, shown: pd.DataFrame, size: float) -> None:
    beyond = axes.transData + ScaledTranslation(2.2 / 72, 0, axes.figure.dpi_scale_trans)
    treated, followed = _open_ends(shown)
    for rows, filled in ((shown[treated], True), (shown[followed], False)):
        look = symbol(">", filled, size)
        axes.plot(rows["FUPM"], rows["ROW"], transform=beyond, clip_on=False, zorder=4, **look)


def _draw_events(axes, shown: pd.DataFrame, events: pd.DataFrame, size: float) -> None:
    row = shown.set_index("USUBJID")["ROW"]
    lasting = events[events["ENDM"].notna()]
    heights = lasting["USUBJID"].map(row)
    axes.hlines(heights, lasting["MONTHS"], lasting["ENDM"], color=style.INK, lw=1.5, zorder=2)
    for name, (marker, filled, _) in SYMBOLS.items():
        rows = events[events["EVENT"].eq(name)]
        look = symbol(marker, filled, size)
        axes.plot(rows["MONTHS"], rows["USUBJID"].map(row), clip_on=False, zorder=5, **look)


def _head_blocks(axes, shown: pd.DataFrame, blocks: list[str], rules: Any) -> None:
    for index, name in enumerate(blocks):
        rows = shown[shown["BLOCK"].eq(index)]
        text = f"{style.label_of(name)} (n = {len(rows)})"
        place = rows["ROW"].min() - 0.55
        axes.text(0, place, text, size=rules.small_size_pt, weight="bold", va="bottom", ha="left")


def _name_rows(axes, shown: pd.DataFrame, labels, row_mm: float, rules: Any) -> None:
    if labels is not None:
        names = [labels[subject] for subject in shown["USUBJID"]]
        axes.set_yticks(shown["ROW"], names)
        return
    step = 1 if row_mm >= style.line_height_mm(rules.small_size_pt) else 5
    numbered = [place for place in range(len(shown)) if step == 1 or (place + 1) % step == 0]
    axes.set_yticks(shown["ROW"].iloc[numbered], [str(place + 1) for place in numbered])


def _entries(shown: pd.DataFrame, events: pd.DataFrame, grouped: bool, rules: Any) -> list:
    bar = style.GRID if grouped else tint(rules.cycle[0])
    entries: list[Any] = [Patch(facecolor=bar, label="On treatment")] if shown["TRTENM"].notna().any() else []
    if (shown["FUPM"] > shown["TRTENM"].fillna(0)).any():
        entries.append(Line2D([], [], color=style.MUTED, lw=0.8, label="Follow-up"))
    if events["ENDM"].notna().any():
        entries.append(Line2D([], [], color=style.INK, lw=1.5, label="In response"))
    for name, (marker, filled, label) in SYMBOLS.items():
        if events["EVENT"].eq(name).any():
            entries.append(Line2D([], [], label=label, **symbol(marker, filled, SYMBOL_PT)))
    for rows, filled, what in zip(_open_ends(shown), (True, False), ("Treatment", "Follow-up")):
        if rows.any():
            entries.append(Line2D([], [], label=f"{what} goes on", **symbol(">", filled, SYMBOL_PT)))
    return entries


def _say_events(events: pd.DataFrame) -> str:
    counts = {name: events.loc[events["EVENT"].eq(name), "USUBJID"].nunique() for name in SYMBOLS}
    responders = events.loc[events["EVENT"].isin(["PR", "CR"]), "USUBJID"].nunique()
    facts = [
        (responders, f"responded ({counts['CR']} completely)"),
        (counts["PD"], "progressed"),
        (counts["CLINPD"], "progressed clinically"),
        (counts["NACT"], "began a new anti-cancer therapy"),
        (counts["DEATH"], "died"),
    ]
    said = [f"{n} {what}" for n, what in facts if n]
    return f"Of the patients {style.join_words(said)}." if said else "No event was seen."


def _open_ends(courses: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Tell who is still on treatment, and who is followed without it."""
    treated = courses["TRTONGO"].eq("Y")
    return treated, courses["FUPONGO"].eq("Y") & ~treated


def _lost(courses: pd.DataFrame) -> int:
    return int((courses["DTHFL"].ne("Y") & courses["FUPONGO"].ne("Y")).sum())


def _range(values: pd.Series) -> str:
    low, middle, high = (number(value) for value in (values.min(), values.median(), values.max()))
    return f"{low} to {high} (median {middle})" if low != high else low
