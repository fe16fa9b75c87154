"""Lesions at progression: each from baseline over the early scan to progression, its drivers coloured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables.format import counted

LEFT_MM, FOOT_MM, HEAD_MM, GAP_MM, PANEL_MM = 14.0, 17.0, 6.0, 5.0, 30.0
MOST_PANELS = 24  # small panels a page holds; with more patients a panel is an early class
CLASSES = {
    "Y": "Resistant at the early scan",
    "N": "Responded at the early scan",
    "NEW": "New at progression",
    "": "No class at the early scan",
}
# The look of the early value by class; without a class it is a point like the others.
EARLY_LOOK = {
    "Y": {"marker": "^", "ms": 4.6, "mfc": style.INK, "mec": style.INK, "mew": 0.5},
    "N": {"marker": "o", "ms": 4.2, "mfc": "white", "mec": style.INK, "mew": 0.8},
}
_TIMES = {"BASE": "Base", "EARLY": "Early", "PROG": "PD"}


@style.drawn
def plot_lesion_progression(
    lesions: pd.DataFrame,
    *,
    by: str | None = None,
    names: bool = False,
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw the uptake of every lesion at baseline, at the early scan and at progression.

    Colour says whether the lesion drove progression; the mark of its early value, whether it had resisted.

    Parameters
    ----------
    lesions : DataFrame
        Table lesion_progression of one metric: USUBJID LESIONID METRIC NEWFL BASE EARLY EARLYRES PROG DROVE.
    by : {"patient", "class"}, optional
        One panel a patient, or one a class of the lesion at the early scan; without it, by patient as long
        as a page holds them.
    names : bool
        Write the subject over its panel instead of a number.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Raises
    ------
    ValueError
        If there is no lesion with a value at progression, or several metrics.
    """
    shown = _shown(lesions)
    by = by or ("patient" if shown["USUBJID"].nunique() <= MOST_PANELS else "class")
    panels = _panels(shown, by, names)
    across = style.width_mm(width, rules)
    columns = min(len(panels), 2 if by == "class" else max(1, int((across - LEFT_MM) // 27.0)))
    rows = math.ceil(len(panels) / columns)
    tall = PANEL_MM if by == "patient" else 1.6 * PANEL_MM
    each = min((across - LEFT_MM - 2.0 - GAP_MM * (columns - 1)) / columns, 80.0)
    height = FOOT_MM + rows * (tall + HEAD_MM)
    figure = style.new_figure(width, height, rules)
    limits = _limits(shown)
    for index, (title, own) in enumerate(panels):
        row, column = divmod(index, columns)
        bottom = height - (row + 1) * (tall + HEAD_MM)
        axes = style.axes_mm(figure, LEFT_MM + column * (each + GAP_MM), bottom, each, tall)
        _draw_panel(axes, own, limits, rules, alpha=1.0 if by == "patient" else 0.6)
        axes.set_title(title, loc="left", size=rules.small_size_pt, pad=2.5)
        under = index + columns >= len(panels)
        axes.set_xticks([0, 1, 2], list(_TIMES.values()) if under else [""] * 3)
        if column:
            axes.tick_params(labelleft=False)
        else:
            name = style.label_of(shown["METRIC"].iloc[0])
            axes.set_ylabel(f"{name} (log scale)", size=rules.small_size_pt)
    handles = _legend(shown, rules)
    figure.legend(handles=handles, loc="lower left", ncols=3, bbox_to_anchor=(0.02, 0), columnspacing=1.4)
    return figure


@spelled_out
def caption_lesion_progression(lesions: pd.DataFrame) -> str:
    """Write the caption of the lesions at progression from their rows."""
    shown = _shown(lesions)
    drove, new = shown["DROVE"].eq("Y"), shown["NEWFL"].eq("Y")
    early = shown[drove & ~new & shown["EARLYRES"].isin(["Y", "N"])]
    resistant = int(early["EARLYRES"].eq("Y").sum())
    text = (
        f"{style.label_of(shown['METRIC'].iloc[0])} of {counted(len(shown), 'lesion')} in "
        f"{counted(shown['USUBJID'].nunique(), 'patient')}"
        " at baseline (Base), at the early scan (Early) and at progression (PD). "
        f"{int(drove.sum())} drove progression, {int((drove & new).sum())} of them new"
    )
    late = int((drove & ~new & shown[["BASE", "EARLY"]].isna().all(axis=1)).sum())
    text += (f", {late} first seen after the early scan" if late else "") + "."
    if shown["EARLYRES"].isin(["Y", "N"]).any():
        text += " Early value: filled triangle, resistant; open circle, responded."
    if len(early):
        text += (
            f" Of {len(early)} known lesions that drove it and were seen early, {resistant} were "
            "resistant at the early scan."
        )
    gone = int((shown[list(_TIMES)].le(0)).any(axis=1).sum())
    text += f" At the foot of a panel: no uptake left (n = {gone})." if gone else ""
    return f"{text} Lesions of a patient are not independent. Exploratory."


def alt_lesion_progression(lesions: pd.DataFrame) -> str:
    """Describe the figure for a reader who cannot see it: driving lesions by class at the early scan."""
    shown = _shown(lesions)
    classes = _classes(shown)
    drove = {code: shown.loc[classes.eq(code), "DROVE"].eq("Y") for code in CLASSES}
    told = {"Y": " (filled triangle)", "N": " (open circle)"}
    parts = [
        f"{text.lower()}{told.get(code, '')} {int(drove[code].sum())} of {len(drove[code])}"
        for code, text in CLASSES.items()
        if len(drove[code])
    ]
    return f"Courses of {len(shown)} lesions; drove progression: {'; '.join(parts)}."


def _shown(lesions: pd.DataFrame) -> pd.DataFrame:
    shown = lesions[lesions["PROG"].notna()]
    if shown.empty:
        raise ValueError("no lesion has a value at progression: leave the figure out and say why")
    metrics = sorted(set(shown["METRIC"]))
    if len(metrics) > 1:
        raise ValueError(f"one metric a figure; found {metrics}")
    return shown.sort_values(["USUBJID", "LESIONID"], kind="stable").reset_index(drop=True)


def _classes(shown: pd.DataFrame) -> pd.Series:
    early = shown["EARLYRES"].where(shown["EARLYRES"].isin(["Y", "N"]), "")
    return early.mask(shown["NEWFL"].eq("Y"), "NEW")


def _panels(shown: pd.DataFrame, by: str, names: bool) -> list[tuple[str, pd.DataFrame]]:
    if by == "class":
        classes = _classes(shown)
        own = {code: shown[classes.eq(code)] for code in CLASSES}
        return [(f"{CLASSES[code]} (n = {len(rows)})", rows) for code, rows in own.items() if len(rows)]
    panels = []
    for number, (subject, rows) in enumerate(shown.groupby("USUBJID", sort=True), start=1):
        panels.append((str(subject) if names else f"Patient {number}", rows))
    return panels


def _limits(shown: pd.DataFrame) -> tuple[float, float]:
    values = shown[list(_TIMES)].to_numpy(float)
    values = values[np.isfinite(values) & (values > 0)]
    return (values.min() / 1.3, values.max() * 1.3) if len(values) else (0.5, 2.0)


def _draw_panel(axes, rows: pd.DataFrame, limits: tuple[float, float], rules: Any, *, alpha: float) -> None:
    axes.set(yscale="log", ylim=limits, xlim=(-0.25, 2.25))
    floor = limits[0]
    for row in rows.sort_values("DROVE", na_position="first", kind="stable").to_dict("records"):
        drove, new = row["DROVE"] == "Y", row["NEWFL"] == "Y"
        color, dashes = _drawn_as(drove, rules)
        values = np.array([np.nan if new and name != "PROG" else row[name] for name in _TIMES], dtype=float)
        values = np.where(values <= 0, floor, values)  # gone: at the foot of the panel
        at = np.flatnonzero(~np.isnan(values))
        axes.plot(
            at, values[at], color=color, ls=dashes, lw=1.0 if drove else 0.7, alpha=alpha,
            zorder=2 if drove else 1,
        )  # fmt: skip
        look = {"marker": "D", "mfc": color, "ms": 3.6} if new else {"marker": "o", "mfc": color, "ms": 2.4}
        axes.plot(at, values[at], ls="", color=color, alpha=alpha, zorder=3, clip_on=False, **look)
        early = EARLY_LOOK.get(row["EARLYRES"])
        if early and not new and not np.isnan(values[1]):
            axes.plot([1], values[1:2], ls="", alpha=alpha, zorder=4, clip_on=False, **early)
    steps = np.outer(10.0 ** np.arange(-3, 6), [1, 2, 5]).ravel()
    steps = steps[(steps >= limits[0]) & (steps <= limits[1])]
    steps = steps if len(steps) <= 6 else steps[np.isclose(np.log10(steps) % 1, 0)]
    axes.set_yticks(steps, [f"{step:g}" for step in steps])
    axes.minorticks_off()


def _drawn_as(drove: bool, rules: Any) -> tuple[str, Any]:
    """Return colour and line style: what drove progression is a full line, the rest dashed grey."""
    return (rules.palette["PD"], "-") if drove else (style.MUTED, (0, (3, 1.5)))


def _legend(shown: pd.DataFrame, rules: Any) -> list[Line2D]:
    line = lambda label, drove: Line2D(
        [], [], color=_drawn_as(drove, rules)[0], ls=_drawn_as(drove, rules)[1], label=label, lw=1.1,
        marker="o", ms=3,
    )  # fmt: skip
    entries = []
    if shown["DROVE"].eq("Y").any():
        entries.append(line("Drove progression", drove=True))
    if shown["DROVE"].ne("Y").any():
        entries.append(line("Did not drive it", drove=False))
    for code, look in EARLY_LOOK.items():
        if _classes(shown).eq(code).any():
            entries.append(Line2D([], [], ls="", label=CLASSES[code], **look))
    if shown["NEWFL"].eq("Y").any():
        entries.append(Line2D([], [], color=style.MUTED, label="New at progression", ls="", marker="D", ms=4))
    return entries
