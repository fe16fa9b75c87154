"""Volcano: effect against p-value of every tested marker, ten of them or twenty thousand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables import biomarker_words as words
from analysis.tables.format import p_value

HEIGHT_MM, LEFT_MM, FOOT_MM, HEAD_MM = 94.0, 13.0, 34.0, 4.0
TIERS = {"CANDIDATE": "Candidate tier", "SCREEN": "Screen", "SINGLE": "Single question"}
_MOST_LABELS, _CROWDED, _WITHOUT_Q = 6, 500, 3
_MARKS = ("o", "s", "D")  # one a tier
_UNCERTAIN = 1.3  # -log10 of 0.05: the axis reaches at least so far


@style.drawn
def plot_volcano(
    estimates: pd.DataFrame,
    *,
    outcome: str,
    fdr_level: float,
    fwer_level: float | None = None,
    method: str | None = None,
    width: str | float = "column",
    rules: Any = None,
) -> Figure:
    """Draw effect against p for every tested marker of one outcome; filled where q is small.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers.
    outcome : str
        OUTCOME to draw.
    fdr_level : float
        Markers with Q_BH up to this are filled, and named as far as names fit.
    fwer_level : float, optional
        Markers with P_MAXT up to this are ringed.
    method : str, optional
        METHOD; without it, as `biomarker_words.choose_rows`.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        The volcano; ratios on a log axis, one of 0 or infinity stands at the edge as a triangle.

    Raises
    ------
    ValueError
        If no marker of this outcome was tested.
    """
    shown = _shown(estimates, outcome, method)
    statistic = shown["STATISTIC"].iloc[0]
    across, x, edge = style.width_mm(width, rules), *_place(shown["ESTIMATE"], statistic)
    figure = style.new_figure(width, HEIGHT_MM, rules)
    size_mm = (across - LEFT_MM - 4.0, HEIGHT_MM - FOOT_MM - HEAD_MM)
    axes = style.axes_mm(figure, LEFT_MM, FOOT_MM, *size_mm)
    y = _minus_log10(shown["P"])
    tiers = _tiers(shown)
    for index, tier in enumerate(tiers):
        at = shown["TIER"].eq(tier).to_numpy()
        look = {"color": rules.cycle[index], "mark": _MARKS[index], "crowded": len(shown) > _CROWDED}
        _scatter(axes, x[at], y[at], shown[at], fdr_level, **look)
    won = shown["P_MAXT"].le(fwer_level or -1).to_numpy()
    axes.scatter(x[won], y[won], s=46, facecolors="none", edgecolors=style.INK, lw=0.9, clip_on=False)
    axes.axvline(0, color=style.GRID, lw=0.6, zorder=0)
    top = max(float(y.max()), _UNCERTAIN) * 1.15
    axes.set(xlim=(-edge * 1.15, edge * 1.15), ylim=(0, top), ylabel="−log10 p (unadjusted)")
    title = words.effect_title(statistic, outcome)
    scale = "log scale, " if statistic in words.RATIOS else ""
    title = style.wrap(title, size_mm[0], rules.font_size_pt, rules.font_family)
    axes.set_xlabel(f"{title}\n({scale}higher = resistance)")
    _set_ticks(axes, statistic, edge)
    _name_points(axes, shown, x, y, fdr_level, size_mm, rules)
    handles = _legend(shown, tiers, x, fdr_level, fwer_level if won.any() else None, rules)
    figure.legend(handles=handles, loc="lower left", ncols=2, bbox_to_anchor=(0.02, 0.0), columnspacing=1.2)
    return figure


@spelled_out
def caption_volcano(
    estimates: pd.DataFrame,
    *,
    outcome: str,
    fdr_level: float,
    fwer_level: float | None = None,
    method: str | None = None,
) -> str:
    """Write the caption of a volcano from its data."""
    rows, shown = words.choose_rows(estimates, outcome, method), _shown(estimates, outcome, method)
    title = words.effect_title(shown["STATISTIC"].iloc[0], outcome)
    text = f"{title}, for {len(shown)} tested markers."
    listed = len(rows) - len(shown)
    text += f" {listed} more were too rare or not estimable and are listed only." if listed else ""
    text += f" {_found(shown, 'Q_BH', 'q', fdr_level)}"
    if fwer_level is not None and shown["P_MAXT"].notna().any():
        text += f" {_found(shown, 'P_MAXT', 'maxT p', fwer_level)}"
    return f"{text} q is Benjamini-Hochberg, maxT Westfall-Young, each within its tier. Exploratory."


def alt_volcano(estimates: pd.DataFrame, *, outcome: str, method: str | None = None) -> str:
    """Describe the volcano for a reader who cannot see it."""
    shown = _shown(estimates, outcome, method)
    first = shown.sort_values(["P", "MARKER"], kind="stable").iloc[0]
    return (
        f"Scatter of {len(shown)} markers; smallest p {p_value(first['P'])} for {words.marker_words(first)} "
        f"({words.write_effect(first)}, q {p_value(first['Q_BH'])})."
    )


def _shown(estimates: pd.DataFrame, outcome: str, method: str | None) -> pd.DataFrame:
    shown = words.tested_rows(words.choose_rows(estimates, outcome, method))
    if shown.empty:
        raise ValueError(f"no marker was tested against {outcome}: leave the figure out and say why")
    return shown


def _found(shown: pd.DataFrame, column: str, name: str, level: float) -> str:
    rows = shown[shown[column] <= level].sort_values([column, "P", "MARKER"], kind="stable")
    if rows.empty:
        return f"No marker has {name} ≤ {level:g}."
    first = [words.marker_words(row) for row in rows.head(_MOST_LABELS).to_dict("records")]
    more = len(rows) - len(first)
    return f"{name} ≤ {level:g}: {style.join_words([*first, *([f'{more} more'] if more else [])])}."


def _tiers(shown: pd.DataFrame) -> list[str]:
    there = set(shown["TIER"])
    return [tier for tier in TIERS if tier in there]


def _minus_log10(p: pd.Series) -> np.ndarray:
    # A p-value that underflows to 0 stands where the smallest number does.
    return -np.log10(np.maximum(p.to_numpy(float), np.finfo(float).tiny))


def _place(estimate: pd.Series, statistic: str) -> tuple[np.ndarray, float]:
    """Return where the points stand, from no effect = 0, and how far the axis reaches."""
    values = estimate.to_numpy(float)
    if statistic in words.RATIOS:
        with np.errstate(divide="ignore"):
            x, least = np.log2(values), 1.0
    else:
        x, least = values - words.neutral_of(statistic), {"auc": 0.1, "rho": 0.2}.get(statistic, 1e-3)
    finite = np.abs(x[np.isfinite(x)])
    edge = max(float(finite.max(initial=0.0)), least)
    edge *= 1.0 if np.isfinite(x).all() else 1.2
    return np.clip(x, -edge, edge), edge


def _scatter(axes, x, y, rows: pd.DataFrame, fdr_level: float, *, color, mark, crowded: bool) -> None:
    small, infinite = rows["Q_BH"].le(fdr_level).to_numpy(), _at_edge(rows)
    for is_small in (False, True):
        for is_infinite, marker in ((False, mark), (True, "^")):
            at = (small == is_small) & (infinite == is_infinite)
            dots = crowded and not is_small
            axes.scatter(
                x[at], y[at], s=3 if dots else 16, marker=marker, lw=0.3 if dots else 0.8,
                facecolors=color if is_small else "none", edgecolors=color, clip_on=False,
                alpha=0.5 if dots else 1.0, rasterized=dots, zorder=3 if is_small else 2,
            )  # fmt: skip


def _at_edge(rows: pd.DataFrame) -> np.ndarray:
    is_ratio = rows["STATISTIC"].isin(words.RATIOS)
    return (np.isinf(rows["ESTIMATE"]) | (rows["ESTIMATE"].eq(0) & is_ratio)).to_numpy()


def _set_ticks(axes, statistic: str, edge: float) -> None:
    if statistic in words.RATIOS:
        step = max(1, int(np.ceil(edge / 3)))
        ticks = np.arange(-step * int(edge // step), edge + 1e-9, step)
        axes.set_xticks(ticks, [f"{2.0**tick:.3g}" for tick in ticks])
    else:
        neutral = words.neutral_of(statistic)
        axes.xaxis.set_major_formatter(lambda at, _: f"{at + neutral:g}".replace("-", "−"))


def _name_points(axes, shown, x, y, fdr_level: float, size_mm: tuple[float, float], rules) -> None:
    """Name the markers with a small q, else the three smallest p, as far as names are clear of all else."""
    order = shown.sort_values(["P", "MARKER"], kind="stable").index
    small = [place for place in order[:200] if shown.loc[place, "Q_BH"] <= fdr_level]
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    points = np.column_stack([(x - x0) / (x1 - x0) * size_mm[0], (y - y0) / (y1 - y0) * size_mm[1]])
    taken: list[tuple[float, float, float, float]] = []
    for place in (small or list(order[:_WITHOUT_Q]))[:_MOST_LABELS]:
        row = shown.loc[place]
        q = f", q {p_value(row['Q_BH'], rules=rules)}" if pd.notna(row["Q_BH"]) else ""
        text = words.marker_words(row) + q
        box = _free_box(points, place, text, taken, size_mm, rules)
        if box is None:
            continue
        taken.append(box)
        axes.text(
            box[0] / size_mm[0], box[1] / size_mm[1], text, transform=axes.transAxes, size=rules.small_size_pt
        )


def _free_box(points, place: int, text: str, taken: list, size_mm: tuple[float, float], rules):
    """Return left, bottom, right, top (mm) of the first free place beside the point, or None."""
    wide = style.text_width_mm(text, rules.small_size_pt, rules.font_family)
    tall, (px, py) = style.line_height_mm(rules.small_size_pt), points[place]
    others = np.delete(points, place, axis=0)
    near = [(across, up) for up in (0.4, -tall - 0.2) for across in (1.4, -1.4 - wide)]
    # Above and below the point itself, a name needs more room than beside it.
    over = [(-wide / 2, 1.6), (-wide / 2, -tall - 1.6)]
    far = [(across, up) for up in (1.0 + tall, -1.0 - 2 * tall) for across in (1.4, -1.4 - wide)]
    for across, up in (*near, *over, *far):
        box = (px + across, py + up, px + across + wide, py + up + tall)
        inside = box[0] >= 0.5 and box[2] <= size_mm[0] + 2.0 and box[1] >= 0.5 and box[3] <= size_mm[1] + 3.0
        hidden = ((others > np.array(box[:2]) - 0.8) & (others < np.array(box[2:]) + 0.8)).all(axis=1).any()
        crossed = any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in taken)
        if inside and not hidden and not crossed:
            return box
    return None


def _legend(shown, tiers: list[str], x, fdr_level: float, fwer_level: float | None, rules: Any) -> list:
    dot = lambda text, **look: Line2D(
        [], [], ls="", **{"ms": 4, "color": style.MUTED, "marker": "o", **look}, label=text
    )
    entries = [
        dot(TIERS[tier], color=rules.cycle[index], marker=_MARKS[index]) for index, tier in enumerate(tiers)
    ]
    entries.append(dot(f"q ≤ {fdr_level:g}"))
    entries.append(dot(f"q > {fdr_level:g}", markerfacecolor="none"))
    if fwer_level is not None:
        entries.append(dot(f"maxT p ≤ {fwer_level:g}", ms=6.5, mfc="none", mec=style.INK))
    if _at_edge(shown).any():
        entries.append(
            Line2D([], [], marker="^", ls="", ms=4, color=style.MUTED, label="0 or infinite, at the edge")
        )
    return entries
