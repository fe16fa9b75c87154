"""Spider plot: the change of tumour size of every patient over time, one line a patient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import plan
from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.figures.course_parts import add_legend, legend_size, order_groups, set_months
from analysis.tables.format import counted, number, signed_percent

NEEDED = ("USUBJID", "MONTHS", "CHANGE", "AVALC", "NEWLES", "AFTERPD", "BESTRESP")
PLOT_MM, FOOT_MM, LEFT_MM, RIGHT_MM = 76.0, 11.0, 19.0, 4.0


def can_draw(changes: pd.DataFrame, rules: Any = None) -> bool:
    """Tell whether there is a line to draw, and at most the plan's ``spider_max`` of them."""
    lines = changes.loc[changes["MONTHS"].gt(0), "USUBJID"].nunique()
    return 0 < lines <= (rules or plan.defaults().figures).spider_max


@style.drawn
def plot_spider(
    changes: pd.DataFrame,
    *,
    response_percent: float,
    progression_percent: float,
    origin: str = "first dose",
    ylabel: str = "Change of the sum of diameters",
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw the change from baseline over time, one line a patient, by best overall response.

    A line ends at the first progression. Patients without an assessment after baseline are not drawn.

    Parameters
    ----------
    changes : DataFrame
        ``clinical.courses.target_changes``: USUBJID, MONTHS, CHANGE (percent; 0 at baseline), AVALC (overall
        response), NEWLES, AFTERPD (Y/N), BESTRESP.
    response_percent, progression_percent : float
        Reference lines, signed percent: where PR begins, and the rise from baseline that would be PD if
        baseline were the smallest sum (plan: ``100 * (clinical.pr_fraction - 1)``, ``pd_fraction`` likewise).
    origin : str
        What time counts from, in words.
    ylabel : str
        Axis title.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan (``spider_cap_percent``).

    Returns
    -------
    Figure
        The spider plot; a line that rises above the plan's cap leaves it with an arrow.

    Raises
    ------
    ValueError
        If a column is missing or no patient has an assessment after baseline.
    """
    shown = _shown(changes)
    groups = order_groups(shown["BESTRESP"].unique())
    entries = _entries(shown, groups, rules)
    across = style.width_mm(width, rules)
    columns, head = legend_size(entries, across - LEFT_MM, rules)
    figure = style.new_figure(width, PLOT_MM + FOOT_MM + head, rules)
    axes = style.axes_mm(figure, LEFT_MM, FOOT_MM, across - LEFT_MM - RIGHT_MM, PLOT_MM)
    set_months(axes, 0.0, shown["MONTHS"].max(), origin, rules)
    low, high = _limits(shown["CHANGE"], response_percent, progression_percent, rules.spider_cap_percent)
    axes.set(ylim=(low, high), ylabel=ylabel)
    axes.yaxis.set_major_formatter(lambda value, _: signed_percent(value))
    _draw_references(axes, response_percent, progression_percent, rules)
    for index, name in enumerate(groups):
        _draw_group(axes, shown[shown["BESTRESP"].eq(name)], name, index, rules)
    add_legend(axes, entries, columns)
    return figure


@spelled_out
def caption_spider(
    changes: pd.DataFrame,
    *,
    response_percent: float,
    progression_percent: float,
    n_subjects: int | None = None,
    origin: str = "first dose",
    cap_percent: float | None = None,
) -> str:
    """Write the caption of a spider plot from its data.

    Parameters
    ----------
    changes : DataFrame
        As drawn.
    response_percent, progression_percent : float
        As drawn.
    n_subjects : int, optional
        All patients, so that those without target lesions can be counted.
    origin : str
        What time counts from, in words.
    cap_percent : float, optional
        Where lines leave the plot (plan, ``figures.spider_cap_percent``); needed to count them.
    """
    shown = _shown(changes)
    ends = _progressions(shown)
    lines, new = shown["USUBJID"].nunique(), int(ends["NEWLES"].eq("Y").sum())
    text = (
        f"Change of the sum of target diameters from baseline, one line a patient (n = {lines}), by best "
        f"overall response, in months from {origin}. Dashed lines: {signed_percent(response_percent)} "
        f"(partial response) and {signed_percent(progression_percent)} (progression if baseline is the "
        "smallest sum: it counts from the smallest sum so far). "
    )
    kinds = [(len(ends) - new, "cross, in known lesions"), (new, "diamond, with a new lesion")]
    kinds = [f"{what} (n = {n})" for n, what in kinds if n]
    if kinds:
        text += f"A line ends at the first progression: {'; '.join(kinds)}. "
    above = _above(shown, cap_percent)
    if above:
        highest = signed_percent(shown["CHANGE"].max())
        text += f"Arrow: above {signed_percent(cap_percent)} (n = {above}, at most {highest}). "
    return text + _say_absent(changes, lines, n_subjects)


def alt_spider(changes: pd.DataFrame) -> str:
    """Describe the spider plot for a reader who cannot see it: lowest change and its time by group."""
    shown = _shown(changes)
    after = shown[shown["MONTHS"].gt(0)]
    parts = []
    for name in order_groups(after["BESTRESP"].unique()):
        lowest = after[after["BESTRESP"].eq(name)].groupby("USUBJID")["CHANGE"].min()
        low, middle, high = (signed_percent(v) for v in (lowest.min(), lowest.median(), lowest.max()))
        span = f"{low} to {high}, median {middle}" if low != high else low
        parts.append(f"{style.label_of(name)}, n = {len(lowest)}: lowest change {span}")
    return (
        f"Spider plot of {counted(shown['USUBJID'].nunique(), 'patient')} over "
        f"{number(shown['MONTHS'].max())} months. {'; '.join(parts)}."
    )


def _shown(changes: pd.DataFrame) -> pd.DataFrame:
    """Select the lines that are drawn: to the first progression, with at least one assessment."""
    missing = [name for name in NEEDED if name not in changes]
    if missing:
        raise ValueError(f"the changes lack the columns {missing}")
    known = changes[changes["CHANGE"].notna() & changes["AFTERPD"].ne("Y")]
    assessed = known.loc[known["MONTHS"].gt(0), "USUBJID"]
    shown = known[known["USUBJID"].isin(assessed)]
    if shown.empty:
        raise ValueError("no patient has a change to draw: leave the figure out and say why")
    return shown.sort_values(["USUBJID", "MONTHS"], kind="stable", ignore_index=True)


def _progressions(shown: pd.DataFrame) -> pd.DataFrame:
    return shown[shown["AVALC"].eq("PD")].drop_duplicates("USUBJID")


def _limits(change: pd.Series, response: float, progression: float, cap: float) -> tuple[float, float]:
    low = min(change.min(), response) - 8
    return low, cap if change.max() > cap else max(change.max(), progression) + 8


def _draw_references(axes, response: float, progression: float, rules: Any) -> None:
    axes.axhline(0, color=style.MUTED, lw=0.6, zorder=1)
    for level in (response, progression):
        axes.axhline(level, color=style.INK, lw=0.7, ls=(0, (4, 2)), zorder=1)


def _draw_group(axes, rows: pd.DataFrame, name: str, index: int, rules: Any) -> None:
    color, dashes = style.color_of(name, index, rules), _dashes(name, index)
    top = axes.get_ylim()[1]
    for _, course in rows.groupby("USUBJID", sort=True):
        months, change = course["MONTHS"].to_numpy(float), course["CHANGE"].to_numpy(float)
        axes.plot(months, change, ls=dashes, color=color, lw=0.9, alpha=0.85, zorder=2)
        axes.plot(months[1:], change[1:], "o", color=color, ms=1.6, zorder=3)
        out = _leaves(months, change, top)
        if out is not None:
            axes.plot(out, top, clip_on=False, zorder=5, **_look("^", color))
    ends = _progressions(rows)
    ends = ends[ends["CHANGE"].le(top)]
    for marker, part in _marked(ends).items():
        axes.plot(part["MONTHS"], part["CHANGE"], zorder=4, clip_on=False, **_look(marker, color))


def _marked(ends: pd.DataFrame) -> dict[str, pd.DataFrame]:
    new = ends["NEWLES"].eq("Y")
    return {"X": ends[~new], "D": ends[new]}


def _look(marker: str, color: str) -> dict[str, Any]:
    size = {"X": 4.6, "D": 3.6, "^": 4.6}[marker]
    return {"ls": "", "marker": marker, "ms": size, "mfc": color, "mec": style.INK, "mew": 0.6}


def _dashes(name: str, index: int):
    # responders keep the plain line, so that groups differ without colour too
    known = {"CR": 0, "PR": 0, "SD": 1, "NON-CR/NON-PD": 3, "PD": 2, "NE": 3}
    return style.LINE_STYLES[known.get(name, index) % len(style.LINE_STYLES)]


def _leaves(months: np.ndarray, change: np.ndarray, top: float) -> float | None:
    """Return the month at which a line first crosses the upper edge, or None."""
    beyond = np.flatnonzero(change > top)
    if not len(beyond):
        return None
    after = beyond[0]
    share = (top - change[after - 1]) / (change[after] - change[after - 1])
    return months[after - 1] + share * (months[after] - months[after - 1])


def _entries(shown: pd.DataFrame, groups: list[str], rules: Any) -> list:
    counts = shown.drop_duplicates("USUBJID")["BESTRESP"].value_counts()
    entries: list[Any] = [
        Line2D([], [], color=style.color_of(name, index, rules), ls=_dashes(name, index), lw=1.4,
               label=f"{style.label_of(name)} (n = {counts[name]})")
        for index, name in enumerate(groups)
    ]  # fmt: skip
    labels = {"X": "Progression", "D": "Progression with a new lesion"}
    for marker, rows in _marked(_progressions(shown)).items():
        if len(rows):
            entries.append(Line2D([], [], label=labels[marker], **_look(marker, "white")))
    if _above(shown, rules.spider_cap_percent):
        label = f"Above {signed_percent(rules.spider_cap_percent)}"
        entries.append(Line2D([], [], label=label, **_look("^", "white")))
    return entries


def _above(shown: pd.DataFrame, cap: float | None) -> int:
    return 0 if cap is None else int(shown.loc[shown["CHANGE"].gt(cap), "USUBJID"].nunique())


def _say_absent(changes: pd.DataFrame, lines: int, n_subjects: int | None) -> str:
    measured = changes["USUBJID"].nunique()
    parts = []
    if n_subjects is not None and n_subjects > measured:
        parts.append(f"{n_subjects - measured} without a measured target lesion at baseline")
    if measured > lines:
        parts.append(f"{measured - lines} without a complete sum after it")
    return f"Not drawn: {style.join_words(parts)}." if parts else ""
