"""Metabolic response beside ctDNA: the four groups as a mosaic, and ctDNA from visit to visit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.figures.course_parts import tint

RESPONSES = ("NON-RESPONDER", "RESPONDER", "NE")
RESULTS = {"DETECTED": "Detected", "NOT DETECTED": "Not detected", "NONE": "No result"}
_WIDE, _GAP = 0.16, 0.05  # of the distance between visits; of the height, between strata


@style.drawn
def plot_pet_by_ctdna(table: pd.DataFrame, *, width: str | float = "column", rules: Any = None) -> Figure:
    """Draw metabolic response against ctDNA as a mosaic: areas are patients, numbers stand inside.

    Parameters
    ----------
    table : DataFrame
        MRESP, CTDNA, N and, optional, PFS_EVENTS for the four groups.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Raises
    ------
    ValueError
        If no patient has both results.
    """
    total = _total(table)
    figure = style.new_figure(width, 70.0, rules)
    room = style.width_mm(width, rules) - 16.0
    axes = style.axes_mm(figure, 12.0, 19.0, room, 45.0)
    left, gap = 0.0, 0.02
    for response in ("RESPONDER", "NON-RESPONDER"):
        rows = table[table["MRESP"] == response].set_index("CTDNA")
        count = int(rows["N"].sum())
        if count == 0:
            continue
        share = count / total
        _mosaic_column(axes, rows, left, share, share * room, rules)
        name = f"{style.label_of(response)}\n(n = {count})"
        # A name over a narrow column may reach beyond it, but not out of the figure nor into its neighbour.
        side = "left" if left == 0 and share < 0.4 else "right" if left and share < 0.4 else "center"
        at = {"left": left, "right": left + share, "center": left + share / 2}[side]
        axes.text(at, -0.04, name, ha=side, va="top", size=rules.small_size_pt)
        left += share + gap
    axes.set(xlim=(0, 1 + gap), ylim=(0, 1), xticks=[], yticks=[0, 0.5, 1], yticklabels=["0", "50", "100"])
    axes.set_ylabel("Patients of the class, %")
    axes.spines["bottom"].set_visible(False)
    handles = [
        Patch(
            fc=style.color_of(name, 0, rules),
            hatch=style.hatch_of(name, 0, rules),
            ec="white",
            label=style.label_of(name),
        )
        for name in ("DETECTED", "NOT DETECTED")
    ]
    figure.legend(handles=handles, loc="lower center", ncols=2)
    return figure


@spelled_out
def caption_pet_by_ctdna(table: pd.DataFrame, *, visit: str) -> str:
    """Write the caption of the mosaic from its counts."""
    total = _total(table)
    counts = table.set_index(["MRESP", "CTDNA"])["N"]
    parts = []
    for response in ("NON-RESPONDER", "RESPONDER"):
        own = counts[response] if response in counts.index.get_level_values(0) else pd.Series(dtype=int)
        parts.append(f"{int(own.get('DETECTED', 0))} of {int(own.sum())} {style.label_of(response).lower()}s")
    return (
        f"Metabolic response and ctDNA at {style.label_of(visit).lower()} (n = {total} with both results; a "
        f"failed assay is none). ctDNA detected in {' and '.join(parts)}. Areas are patients. Exploratory."
    )


def alt_pet_by_ctdna(table: pd.DataFrame) -> str:
    """Describe the mosaic for a reader who cannot see it."""
    cells = [
        f"{style.label_of(row.MRESP).lower()}, {style.label_of(row.CTDNA)} {int(row.N)}"
        for row in table.itertuples()
    ]
    return f"Mosaic of {_total(table)} patients: {'; '.join(cells)}."


@style.drawn
def plot_alluvial(
    tracks: pd.DataFrame,
    *,
    visits: Sequence[str] | None = None,
    width: str | float = "column",
    rules: Any = None,
) -> Figure:
    """Draw ctDNA from visit to visit as streams of patients, coloured by metabolic response.

    Parameters
    ----------
    tracks : DataFrame
        One row a patient: MRESP and CTDNA_<visit>. A failed assay or a missing sample is "No result", never
        negative; who has no result at any visit is not drawn.
    visits : sequence of str, optional
        Visits in order; all the tracks have.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Raises
    ------
    ValueError
        If there are fewer than two visits with results.
    """
    shown, names = _streams(tracks, visits)
    figure = style.new_figure(width, 82.0, rules)
    axes = style.axes_mm(figure, 2.0, 17.0, style.width_mm(width, rules) - 4.0, 60.0)
    flows = shown.groupby([*names, "MRESP"], sort=False, observed=True).size().rename("N").reset_index()
    places = [_place_strata(flows, name) for name in names]
    for step in range(len(names) - 1):
        _draw_streams(axes, flows, names, step, places, rules)
    half = _WIDE / 2 + 0.02
    for step, name in enumerate(names):
        _draw_strata(axes, step, places[step], shown[name], rules)
        visit = style.label_of(name.removeprefix("CTDNA_"))
        # The names of the first and the last visit stay inside the figure.
        side, at = ("left", step - half) if step == 0 else ("center", step)
        side, at = ("right", step + half) if step == len(names) - 1 else (side, at)
        axes.text(at, -0.03, visit, ha=side, va="top", size=rules.font_size_pt, weight="bold")
    axes.set(xlim=(-half, len(names) - 1 + half), ylim=(-0.08, 1.0))
    axes.set_axis_off()
    handles = [
        Patch(
            fc=tint(style.color_of(name, 0, rules)),
            ec="white",
            hatch=style.hatch_of(name, 0, rules),
            label=style.label_of(name),
        )
        for name in RESPONSES
        if shown["MRESP"].eq(name).any()
    ]
    handles += [
        Patch(color=_stratum_color(name, rules), label=f"ctDNA: {text.lower()}")
        for name, text in RESULTS.items()
        if any(shown[column].eq(name).any() for column in names)
    ]
    figure.legend(handles=handles, loc="lower left", ncols=2, bbox_to_anchor=(0.02, 0), columnspacing=1.4)
    return figure


@spelled_out
def caption_alluvial(tracks: pd.DataFrame, *, visits: Sequence[str] | None = None) -> str:
    """Write the caption of the streams from their data."""
    shown, names = _streams(tracks, visits)
    text = f"ctDNA from visit to visit, streams coloured by metabolic response (n = {len(shown)})."
    for name in names:
        counts = shown[name].value_counts()
        known = int(len(shown) - counts.get("NONE", 0))
        visit = style.label_of(name.removeprefix("CTDNA_"))
        text += f" {visit}: detected in {int(counts.get('DETECTED', 0))} of {known} with a result."
    gone = len(tracks) - len(shown)
    text += f" {gone} without any result not drawn." if gone else ""
    return f"{text} No result: no sample, or an assay that failed. Exploratory."


def alt_alluvial(tracks: pd.DataFrame, *, visits: Sequence[str] | None = None) -> str:
    """Describe the streams for a reader who cannot see them: each course and its patients."""
    shown, names = _streams(tracks, visits)
    courses = (
        shown.groupby([*names, "MRESP"], observed=True).size().sort_values(ascending=False, kind="stable")
    )
    course = lambda key: " then ".join(RESULTS[part].lower() for part in key[:-1])
    parts = [f"{style.label_of(key[-1]).lower()}, {course(key)} {n}" for key, n in courses.items()]
    return f"Streams of {len(shown)} patients: {'; '.join(parts)}."


def _total(table: pd.DataFrame) -> int:
    total = int(table["N"].sum())
    if total == 0:
        raise ValueError(
            "no patient has both a response and a ctDNA result: leave the figure out and say why"
        )
    return total


def _mosaic_column(axes, rows: pd.DataFrame, left: float, share: float, room_mm: float, rules: Any) -> None:
    low, total, size = 0.0, rows["N"].sum(), rules.small_size_pt
    for name in ("DETECTED", "NOT DETECTED"):
        count = int(rows["N"].get(name, 0))
        if count == 0:
            continue
        tall = count / total
        color = style.color_of(name, 0, rules)
        axes.add_patch(
            Rectangle(
                (left, low),
                share,
                tall,
                facecolor=color,
                edgecolor="white",
                hatch=style.hatch_of(name, 0, rules),
            )
        )
        text = f"{count}"
        if "PFS_EVENTS" in rows:
            more = f"{text}\n{int(rows.loc[name, 'PFS_EVENTS'])} PFS events"
            fits = style.text_width_mm(more, size, rules.font_family) < room_mm - 1 and 45 * tall > 7
            text = more if fits else text
        if style.text_width_mm(text, size, rules.font_family) > room_mm:
            text = ""  # the count under the column says it
        box = {"fc": color, "ec": "none", "pad": 1.0}
        axes.text(
            left + share / 2, low + tall / 2, text, ha="center", va="center", color="white", size=size,
            bbox=box if text else None,
        )  # fmt: skip
        low += tall


def _streams(tracks: pd.DataFrame, visits: Sequence[str] | None) -> tuple[pd.DataFrame, list[str]]:
    asked = [name for name in tracks if name.startswith("CTDNA_")]
    names = asked if visits is None else [f"CTDNA_{visit}" for visit in visits if f"CTDNA_{visit}" in asked]
    results = tracks[names].where(tracks[names].isin(list(RESULTS)), "NONE")
    names = [name for name in names if results[name].ne("NONE").any()]
    if len(names) < 2:
        raise ValueError("fewer than two visits have ctDNA results: leave the figure out and say why")
    response = tracks["MRESP"] if "MRESP" in tracks else pd.Series("NE", tracks.index)
    shown = results[names].assign(MRESP=response.where(response.isin(RESPONSES), "NE"))
    shown = shown[shown[names].ne("NONE").any(axis=1)]
    for name in names:
        shown[name] = pd.Categorical(shown[name], list(RESULTS), ordered=True)
    return shown.assign(MRESP=pd.Categorical(shown["MRESP"], RESPONSES, ordered=True)), names


def _place_strata(flows: pd.DataFrame, name: str) -> dict[str, tuple[float, float]]:
    """Return bottom and height of each result at one visit; detected on top, all gaps alike."""
    counts = flows.groupby(name, observed=True)["N"].sum()
    here = [result for result in reversed(RESULTS) if counts.get(result, 0)]
    room, low, places = 1.0 - _GAP * (len(RESULTS) - 1), 0.0, {}
    for result in here:
        tall = room * counts[result] / counts.sum()
        places[result] = (low, tall)
        low += tall + _GAP
    return places


def _draw_streams(axes, flows: pd.DataFrame, names: list[str], step: int, places: list, rules: Any) -> None:
    first, second = names[step], names[step + 1]
    pairs = flows.groupby([first, second, "MRESP"], observed=True)["N"].sum().reset_index()
    unit = sum(tall for _, tall in places[step].values()) / pairs["N"].sum()
    start = _stack(pairs.sort_values([first, second, "MRESP"], ascending=False), first, places[step], unit)
    end = _stack(pairs.sort_values([second, first, "MRESP"], ascending=False), second, places[step + 1], unit)
    for index, row in pairs.iterrows():
        color = tint(style.color_of(row["MRESP"], 0, rules))
        ends = (step + _WIDE / 2, step + 1 - _WIDE / 2)
        axes.add_patch(
            PathPatch(
                _ribbon(ends, start[index], end[index], unit * row["N"]),
                fc=color,
                ec="white",
                lw=0.4,
                hatch=style.hatch_of(row["MRESP"], 0, rules),
            )
        )


def _stack(pairs: pd.DataFrame, name: str, places: dict, unit: float) -> dict[int, float]:
    """Return the bottom of each stream at one of its ends."""
    low = {result: bottom for result, (bottom, _) in places.items()}
    bottoms = {}
    for index, row in pairs.iterrows():
        bottoms[index] = low[row[name]]
        low[row[name]] += unit * row["N"]
    return bottoms


def _ribbon(ends: tuple[float, float], start: float, end: float, tall: float) -> Path:
    x0, x1 = ends
    middle = (x0 + x1) / 2
    points = [
        (x0, start), (middle, start), (middle, end), (x1, end),
        (x1, end + tall), (middle, end + tall), (middle, start + tall), (x0, start + tall), (x0, start),
    ]  # fmt: skip
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    return Path(np.array(points), codes)


def _draw_strata(axes, step: int, places: dict, results: pd.Series, rules: Any) -> None:
    counts, size = results.value_counts(), rules.small_size_pt
    for result, (low, tall) in places.items():
        face = _stratum_color(result, rules)
        axes.add_patch(Rectangle((step - _WIDE / 2, low), _WIDE, tall, fc=face, ec="white", lw=0.6, zorder=3))
        if 60 * tall > style.line_height_mm(size):
            at = (step, low + tall / 2)
            axes.text(*at, str(counts[result]), ha="center", va="center", color="white", size=size, zorder=4)


def _stratum_color(result: str, rules: Any) -> str:
    return rules.palette["NE"] if result == "NONE" else style.color_of(result, 0, rules)
