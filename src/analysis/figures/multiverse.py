"""Specification curve: one estimate for every set of choices a reviewer would accept, and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables.format import counted, number, p_text, percent
from analysis.tables.specification_table import CHOICES, say_published_cut, word_of_choice

CURVE_MM, ROW_MM, LINE_MM, FOOT_MM, HEAD_MM, GAP_MM = 58.0, 3.6, 2.9, 2.0, 8.0, 2.0
_HEADING_MM, _WIDEST_MM, _EDGE_MM, _NARROWEST_MM = 17.0, 52.0, 3.0, 50.0
_INTERVAL, _BAND = "#A6A6A6", "#E8E3D3"


class _Line(NamedTuple):
    """One value of one choice, and what stands beside it."""

    column: str
    value: Any
    text: str
    top: float
    height: float

    @property
    def middle(self) -> float:
        """Return the place of its marks, mm from the top of the grid."""
        return self.top + self.height / 2


@style.drawn
def plot_specification_curve(
    table: pd.DataFrame,
    *,
    measure: str = "Hazard ratio",
    names: Mapping[str, str] | None = None,
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw estimates in rising order with their intervals, and under each the choices that made it.

    Parameters
    ----------
    table : DataFrame
        Table ``specifications``; rows whose STATUS is ESTIMATED are drawn, the caption counts the others. A
        choice in which no two of them differ is not listed.
    measure : str
        What the ratio is.
    names : mapping, optional
        PARAMCD of a censoring rule -> what it changes, in words.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Curve above (diamond: primary; hollow: at a cut the study chose after seeing outcomes; band: the
        curve without any effect), choices beneath.

    Raises
    ------
    ValueError
        If nothing was estimated, or the width leaves no room beside the words.
    """
    shown = _drawn(table)
    if shown.empty:
        raise ValueError("no estimate to draw: leave the figure out and say why it does not apply")
    lines = _lines(shown, names or {}, rules)
    across = style.width_mm(width, rules)
    size, grid = rules.small_size_pt, sum(line.height for line in lines)
    widest = max((style.text_width_mm(one.text, size, rules.font_family) for one in lines), default=0)
    left = _HEADING_MM + widest + _EDGE_MM if lines else _HEADING_MM
    if across - left - _EDGE_MM < _NARROWEST_MM:
        raise ValueError(f"{across:.0f} mm is too narrow for the choices; use the page width")
    bottom = FOOT_MM + grid + (GAP_MM if lines else 0)
    figure = style.new_figure(width, bottom + CURVE_MM + HEAD_MM, rules)
    axes = style.axes_mm(figure, left, bottom, across - left - _EDGE_MM, CURVE_MM)
    _draw_curve(axes, shown, rules, f"{measure} (log scale)")
    if lines:
        below = style.axes_mm(figure, left, FOOT_MM, across - left - _EDGE_MM, grid, sharex=axes)
        _draw_choices(below, shown, lines, left, rules)
    return figure


@spelled_out
def caption_specification_curve(
    table: pd.DataFrame,
    tests: pd.DataFrame | None = None,
    *,
    measure: str = "Hazard ratio",
    level: int = 95,
) -> str:
    """Write the caption of a specification curve from table ``specifications`` and its joint tests."""
    shown = _drawn(table)
    above = int((shown["ESTIMATE"] > 1).sum())
    clear = int(((shown["LOWER"] > 1) | (shown["UPPER"] < 1)).sum())
    text = (
        f"{measure}s of {counted(len(shown), 'specification')} of the main comparison in rising order, with "
        f"{level} % confidence intervals; median {number(shown['ESTIMATE'].median(), 2)}, {above} above 1, "
        f"{clear} with an interval that excludes 1. Marks beneath: the choices of each. The specifications "
        "share patients: their intervals are no independent evidence."
    )
    text += " Diamond and line: primary analysis." if shown["ROLE"].eq("PRIMARY").any() else ""
    text += _say_post_hoc(shown[shown["POSTHOC"].eq("Y")])
    if shown["NULL_LOWER"].notna().any():
        text += f" Band: where {level} of 100 such curves lie at each place without any effect, line: median."
    said = _say_tests(tests, level)
    return text + (f" Joint permutation tests: {said}." if said else "") + _say_left_out(table)


def alt_specification_curve(table: pd.DataFrame, *, measure: str = "Hazard ratio") -> str:
    """Describe a specification curve for a reader who cannot see it."""
    shown = _drawn(table)
    values, main = shown["ESTIMATE"], shown[shown["ROLE"].eq("PRIMARY")]
    place = ""
    if len(main):
        first = main.iloc[0]
        place = f" The primary analysis, {number(first['ESTIMATE'], 2)}, is at place {first['RANK']:.0f}."
    outside = int(((values > shown["NULL_UPPER"]) | (values < shown["NULL_LOWER"])).sum())
    return (
        f"{len(values)} {measure.lower()}s in rising order, from {number(values.min(), 2)} to "
        f"{number(values.max(), 2)}, median {number(values.median(), 2)}; {outside} outside the band "
        f"expected without effect.{place} A grid beneath marks the choices."
    )


def _drawn(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["STATUS"].eq("ESTIMATED")].sort_values("RANK").reset_index(drop=True)


def _say_tests(tests: pd.DataFrame | None, level: int) -> str:
    if tests is None or tests.empty:
        return ""
    rows = tests.set_index("METHOD")
    share = f"share with p < {1 - level / 100:g}"
    words = {"curve_median": "median |ln HR|", "curve_share": share, "curve_stouffer": "Stouffer Z"}
    said = []
    for method, name in words.items():
        if method in rows.index:
            value = rows.loc[method, "ESTIMATE"]
            shown = percent(100 * value) if method == "curve_share" else number(value, 2)
            said.append(f"{name} {shown}, {p_text(rows.loc[method, 'P'])}")
    return "; ".join(said)


def _say_post_hoc(post: pd.DataFrame) -> str:
    if post.empty:
        return ""
    cuts = style.join_words([f"{cut:g} %" for cut in sorted(post["CUT"].dropna().unique())])
    text = f" Hollow: at a cut that this study chose after seeing outcomes ({cuts}), in whatever rule"
    return f"{text} (n = {len(post)}){say_published_cut(post)}."


def _say_left_out(table: pd.DataFrame) -> str:
    words = {
        "SAME": "means what another one means",
        "NOT_APPLICABLE": "does not apply here",
        "NOT_ESTIMABLE": "could not be estimated",
    }
    many = {"SAME": "mean what others mean", "NOT_APPLICABLE": "do not apply here"}
    counts = table["STATUS"].value_counts()
    said = [
        f"{counts[status]} {text if counts[status] == 1 else many.get(status, text)}"
        for status, text in words.items()
        if status in counts
    ]
    return f" Not drawn: {style.join_words(said)}." if said else ""


def _lines(shown: pd.DataFrame, names: Mapping[str, str], rules: Any) -> list[_Line]:
    lines: list[_Line] = []
    top = 0.0
    for column in CHOICES:
        values = list(dict.fromkeys(shown.sort_values("SPECIFICATION")[column]))
        values = sorted(values) if column in ("TIMEPOINT", "CUT") else values
        for value in values if len(values) > 1 else []:
            text = word_of_choice(column, value, shown["ENDPOINT"].iloc[0], names)
            text = style.wrap(text, _WIDEST_MM, rules.small_size_pt, rules.font_family)
            height = ROW_MM + LINE_MM * text.count("\n")
            lines.append(_Line(column, value, text, top, height))
            top += height
    return lines


def _draw_curve(axes, shown: pd.DataFrame, rules: Any, title: str) -> None:
    low, high = rules.forest_range
    place = np.arange(len(shown))
    band = shown[["NULL_LOWER", "NULL_MEDIAN", "NULL_UPPER"]].astype(float).clip(low, high)
    given = shown[["LOWER", "UPPER"]].astype(float).fillna({"LOWER": 0, "UPPER": np.inf})
    bounds, values = given.clip(low, high), shown["ESTIMATE"].clip(low, high).to_numpy(float)
    around = np.concatenate([[-0.5], (place[1:] + place[:-1]) / 2, [len(shown) - 0.5]])
    axes.stairs(band["NULL_UPPER"], around, baseline=band["NULL_LOWER"], fill=True, color=_BAND, lw=0)
    axes.stairs(band["NULL_MEDIAN"], around, baseline=None, color=style.MUTED, lw=0.6, ls=(0, (4, 2)))
    axes.axhline(1, color=style.MUTED, lw=0.7)
    axes.vlines(place, bounds["LOWER"], bounds["UPPER"], color=_INTERVAL, lw=0.8)
    _draw_points(axes, place, values, shown, rules)
    reach = np.concatenate([bounds.to_numpy().ravel(), band.to_numpy().ravel(), values])
    axes.set_yscale("log")
    axes.set(ylim=(np.nanmin(reach) / 1.1, np.nanmax(reach) * 1.1), xlim=(-1, len(shown)), ylabel=title)
    for beyond, edge, mark in ((given["UPPER"] > high, high, "^"), (given["LOWER"] < low, low, "v")):
        axes.plot(place[beyond], np.full(beyond.sum(), edge), mark, color=_INTERVAL, ms=2.4, zorder=3)
    style.tick_ratios(axes)
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    where = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.1}
    columns = len(axes.get_legend_handles_labels()[0])
    axes.legend(**where, ncol=columns, handlelength=1.0, handletextpad=0.5, columnspacing=1.2)


def _draw_points(axes, place: np.ndarray, values: np.ndarray, shown: pd.DataFrame, rules: Any) -> None:
    primary, post = shown["ROLE"].eq("PRIMARY").to_numpy(), shown["POSTHOC"].eq("Y").to_numpy()
    if shown["NULL_LOWER"].notna().any():
        axes.fill_between([], [], color=_BAND, label="expected without any effect")
    for keep, mark, fill, size, text in (
        (~primary & ~post, "o", style.INK, 2.6, "specification"),
        (~primary & post, "o", "white", 3.0, "at the study's post hoc cut"),
        (primary, "D", "white" if post[primary].any() else rules.cycle[0], 5.6, "primary analysis"),
    ):
        edge = rules.cycle[0] if mark == "D" else style.INK
        if keep.any():
            marks = {"ms": size, "mfc": fill, "mec": edge, "mew": 0.7, "label": text}
            axes.plot(place[keep], values[keep], mark, zorder=3 + size, ls="none", **marks)


def _draw_choices(axes, shown: pd.DataFrame, lines: list[_Line], left: float, rules: Any) -> None:
    blocks = list(dict.fromkeys(line.column for line in lines))
    size = rules.small_size_pt
    for line in lines:
        # Every other block is shaded, so that the eye finds the block of a choice.
        if blocks.index(line.column) % 2 == 0:
            axes.axhspan(line.top, line.top + line.height, color=style.SHADE, lw=0, zorder=0)
        chosen = np.flatnonzero(shown[line.column].to_numpy() == line.value)
        axes.plot(chosen, np.full(len(chosen), line.middle), "|", color=style.INK, ms=5, mew=1.0)
    for place in np.flatnonzero(shown["ROLE"].eq("PRIMARY")):
        axes.axvline(place, color=rules.cycle[0], lw=0.6, zorder=1)
    axes.set_ylim(lines[-1].top + lines[-1].height, 0)
    axes.set_yticks([line.middle for line in lines], [line.text for line in lines], size=size)
    for block in blocks:
        first = next(line for line in lines if line.column == block)
        axes.annotate(
            CHOICES[block],
            (0, first.middle),
            xycoords=("axes fraction", "data"),
            xytext=(-(left - 1) / style.MM_PER_POINT, 0),
            textcoords="offset points",
            va="center",
            size=size,
            weight="bold",
        )
    axes.tick_params(axis="both", length=0, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
