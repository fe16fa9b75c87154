"""Pictures of the scans: maximum-intensity projections side by side, and the scans' quality at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.figures import style
from analysis.figures.outlines import draw_outlines
from analysis.tables import words
from analysis.tables.format import number

VISIT_ORDER = ("D0", "D14", "D28", "PROG", "UNSCHED")
MARKERS = ("o", "s", "^", "D", "v", "P")
MIP_MM = 62.0  # height of one projection


def uptake_window(plan: Any) -> tuple[float, float]:
    """Return the expected uptake times: of the standard that pairs are held against, else the trial's.

    Parameters
    ----------
    plan : Plan
        Section ``pet`` (`protocol_uptake_flag_min`) and, where it is there, ``response``
        (`comparability_checks`, `comparability_standard`).

    Returns
    -------
    (float, float)
        Minutes.
    """
    if "response" in plan.sections():
        limits = plan.response.comparability_checks.get("uptake_window", {}).get("limits", {})
        if within := limits.get(plan.response.comparability_standard, {}).get("within"):
            return tuple(within)
    return tuple(plan.pet.protocol_uptake_flag_min)


@style.drawn
def plot_mips(
    mips: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    visits: Sequence[str] | None = None,
    scale: str = "",
    view: str = "CORONAL",
    outline: bool = True,
    rules: Any = None,
) -> Figure:
    """Draw maximum-intensity projections: a row a patient, a column a visit; high uptake is dark.

    Parameters
    ----------
    mips : DataFrame
        Rows of the table mips: USUBJID AVISIT VIEW ROWS COLUMNS PIXELMM PIXELS LABELS LABELNAMES (grey
        values 0-255, row by row; square pixels, head first).
    labels : mapping, optional
        USUBJID -> text above the row; no subject identifier is printed otherwise.
    visits : sequence of str, optional
        Columns; every visit that occurs, in time order, if absent.
    scale : str
        What white and black stand for, for example ``"SUV 0 (white) to 10 (black)"``.
    view : {"CORONAL", "SAGITTAL"}
        Direction of view.
    outline : bool
        Outline the lesions and name them; liver and aorta are not drawn.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        The panel; a scan that does not exist is named as missing.

    Raises
    ------
    ValueError
        If there is no projection, or PIXELS or LABELS does not fill ROWS x COLUMNS.
    """
    mips = mips[mips["VIEW"] == view]
    if mips.empty:
        raise ValueError("no projection to draw: leave the figure out and say why")
    shown = list(visits or [visit for visit in VISIT_ORDER if visit in set(mips["AVISIT"])])
    people = list(dict.fromkeys(mips["USUBJID"]))
    rows = {(row.USUBJID, row.AVISIT): row for row in mips.itertuples()}
    images = {key: _image(row, row.PIXELS) for key, row in rows.items()}
    head, gap, foot = 11.0, 2.0, 6.0 if scale else 1.0
    tall_mm = max(row.ROWS * row.PIXELMM for row in rows.values())
    wide_mm = max(row.COLUMNS * row.PIXELMM for row in rows.values())
    wide = MIP_MM * wide_mm / tall_mm
    natural = len(shown) * wide + (len(shown) + 1) * gap
    figure = style.new_figure(max(natural, 50.0), len(people) * (MIP_MM + head) + foot, rules)
    left = max((50.0 - natural) / 2, 0) + gap
    height = figure.get_size_inches()[1] * style.MM_PER_INCH
    for line, person in enumerate(people):
        bottom = height - (line + 1) * (MIP_MM + head)
        title = (labels or {}).get(person, f"Patient {line + 1}" if len(people) > 1 else "")
        _write_mm(figure, left, bottom + MIP_MM + 6.6, title, rules.font_size_pt, weight="bold", ha="left")
        for column, visit in enumerate(shown):
            axes = style.axes_mm(figure, left + column * (wide + gap), bottom, wide, MIP_MM)
            _draw_mip(axes, images.get((person, visit)), style.label_of(visit), rules)
            if (row := rows.get((person, visit))) is None:
                continue
            _set_scale(axes, row, tall_mm, wide_mm)
            if outline:
                _outline_lesions(axes, row, tall_mm, rules)
    if scale:
        _write_mm(figure, left, 2.6, scale, rules.small_size_pt, ha="left", color=style.MUTED)
    return figure


@style.drawn
def plot_scan_quality(
    scan_qc: pd.DataFrame,
    *,
    uptake_window_min: tuple[float, float] | None = None,
    liver_window: tuple[float, float] | None = None,
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw uptake time and liver uptake of every scan by visit, marked by scanner maker.

    Parameters
    ----------
    scan_qc : DataFrame
        AVISIT VENDOR STATUS UPTAKEMIN LIVERMEAN, one row a scan; refused scans are crosses where a
        value exists.
    uptake_window_min : tuple of float, optional
        Expected uptake time, minutes (`uptake_window`).
    liver_window : tuple of float, optional
        Expected liver SUVmean (plan).
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Two panels, A uptake time and B liver.
    """
    if scan_qc.empty:
        raise ValueError("no scan to draw: leave the figure out and say why")
    across = style.width_mm(width, rules)
    figure = style.new_figure(width, 61.0, rules)
    side = (across - 34.0) / 2
    panels = (
        ("UPTAKEMIN", "A  Uptake time", "Minutes after injection", uptake_window_min),
        ("LIVERMEAN", "B  Liver", "SUVmean, g/ml", liver_window),
    )
    makers = sorted(scan_qc["VENDOR"].fillna("unknown").unique())
    for index, (column, title, ylabel, window) in enumerate(panels):
        axes = style.axes_mm(figure, 15.0 + index * (side + 16.0), 6.0, side, 44.0)
        _strip(
            axes, scan_qc.assign(VENDOR=scan_qc["VENDOR"].fillna("unknown")), column, makers, window, rules
        )
        axes.set_title(title, loc="left")
        axes.set_ylabel(ylabel)
    _quality_legend(figure, scan_qc, makers, bool(uptake_window_min or liver_window), rules)
    return figure


def caption_mips(mips: pd.DataFrame, *, scale: str = "", outline: bool = True) -> str:
    """Write the caption of the projection panel from what it shows."""
    mips = mips[mips["VIEW"] == "CORONAL"]
    visits = [style.label_of(visit).lower() for visit in VISIT_ORDER if visit in set(mips["AVISIT"])]
    n = mips["USUBJID"].nunique()
    who = f"{n} patient{'s' if n > 1 else ''} at {style.join_words(visits)}"
    tail = f"; {scale}" if scale else ""
    names = " Lesions are outlined; where they overlap, the smaller one is in front." if outline else ""
    text = f"Coronal maximum-intensity projections of {who}{tail}. Every projection has the same grey scale."
    return text + names


def alt_mips(mips: pd.DataFrame) -> str:
    """Describe the projections for a reader who cannot see them."""
    mips = mips[mips["VIEW"] == "CORONAL"]
    visits = [style.label_of(visit).lower() for visit in VISIT_ORDER if visit in set(mips["AVISIT"])]
    return (
        f"{len(mips)} coronal FDG-PET projections of {mips['USUBJID'].nunique()} patient(s), side by side: "
        f"{style.join_words(visits)}. Dark is high uptake."
    )


def caption_scan_quality(
    scan_qc: pd.DataFrame, *, uptake_window_min: tuple[float, float] | None = None
) -> str:
    """Write the caption of the quality figure from the scans."""
    refused = int((scan_qc["STATUS"] == "REFUSED").sum())
    text = f"Every PET scan by visit (n = {len(scan_qc)}, {refused} refused). Uptake time"
    if uptake_window_min:
        known = scan_qc["UPTAKEMIN"].dropna()
        outside = int((~known.between(*uptake_window_min)).sum())
        low, high = (number(limit, 0) for limit in uptake_window_min)
        text += f" (grey: expected, {low} to {high} min; {outside} of {len(known)} outside)"
    return f"{text} and liver SUVmean. Refused scans are crosses; a scan without a value is not drawn."


def alt_scan_quality(scan_qc: pd.DataFrame) -> str:
    """Describe the quality figure for a reader who cannot see it."""
    uptake, liver = scan_qc["UPTAKEMIN"].dropna(), scan_qc["LIVERMEAN"].dropna()
    parts = [f"{len(scan_qc)} scans, {int((scan_qc['STATUS'] == 'REFUSED').sum())} refused"]
    if len(uptake):
        parts.append(
            f"uptake time {number(uptake.min(), 0)} to {number(uptake.max(), 0)} min, "
            f"median {number(uptake.median(), 0)}"
        )
    if len(liver):
        parts.append(
            f"liver SUVmean {number(liver.min())} to {number(liver.max())}, median {number(liver.median())}"
        )
    return "Two panels of points by visit: " + "; ".join(parts) + "."


def _image(row: Any, pixels: Any) -> np.ndarray:
    pixels = np.frombuffer(pixels, np.uint8) if isinstance(pixels, bytes) else np.asarray(pixels)
    if pixels.size != int(row.ROWS) * int(row.COLUMNS):
        raise ValueError(f"PIXELS holds {pixels.size} values, not {int(row.ROWS)} x {int(row.COLUMNS)}")
    return pixels.reshape(int(row.ROWS), int(row.COLUMNS)).astype(np.uint8)


def _draw_mip(axes, image: np.ndarray | None, title: str, rules: Any) -> None:
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, size=rules.small_size_pt, weight="normal", pad=2)
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.GRID)
    if image is None:
        axes.text(0.5, 0.5, "no scan", transform=axes.transAxes, ha="center", va="center", color=style.MUTED)
    else:
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest", aspect="equal")


def _set_scale(axes, row: Any, tall_mm: float, wide_mm: float) -> None:
    """Show every projection at one scale, feet at the bottom: pictures may end at different heights."""
    axes.set_ylim(row.ROWS - 0.5, row.ROWS - 0.5 - tall_mm / row.PIXELMM)
    middle, half = (row.COLUMNS - 1) / 2, wide_mm / row.PIXELMM / 2
    axes.set_xlim(middle - half, middle + half)


def _outline_lesions(axes, row: Any, tall_mm: float, rules: Any) -> None:
    names = row.LABELNAMES.split(";") if isinstance(row.LABELNAMES, str) else []
    size = rules.small_size_pt - 1
    line = size * style.MM_PER_POINT * tall_mm / row.PIXELMM / MIP_MM
    draw_outlines(axes, _image(row, row.LABELS), names, size, line, rules.cycle[1])


def _write_mm(figure: Figure, x: float, y: float, text: str, size: float, **options: Any) -> None:
    across, up = (inches * style.MM_PER_INCH for inches in figure.get_size_inches())
    figure.text(x / across, y / up, text, size=size, va="center", **options)


def _strip(axes, scans: pd.DataFrame, column: str, makers: list[str], window, rules: Any) -> None:
    visits = [visit for visit in VISIT_ORDER if visit in set(scans["AVISIT"])]
    if window:
        axes.axhspan(*window, color=style.SHADE, lw=0, zorder=0)
    for place, visit in enumerate(visits):
        rows = scans[(scans["AVISIT"] == visit) & scans[column].notna()].sort_values(column, kind="stable")
        # Spread by rank, not by chance: the same picture on every run.
        offsets = 0.28 * np.sin(2.4 * np.arange(len(rows)))
        for index, maker in enumerate(makers):
            for status, look in (("OK", {"mec": "white", "mew": 0.4}), ("REFUSED", {})):
                keep = ((rows["VENDOR"] == maker) & (rows["STATUS"] == status)).to_numpy()
                mark = "X" if status == "REFUSED" else MARKERS[index % len(MARKERS)]
                color = style.INK if status == "REFUSED" else rules.cycle[index % len(rules.cycle)]
                axes.plot(
                    place + offsets[keep], rows[column].to_numpy()[keep], mark, color=color, ms=4.2, **look
                )
    if not scans[column].notna().any():
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=style.MUTED)
        axes.set_yticks([])
    axes.set_xticks(range(len(visits)), [style.label_of(visit) for visit in visits])
    axes.set_xlim(-0.6, len(visits) - 0.4)
    axes.tick_params(axis="x", length=0)
    if scans[column].notna().any():
        axes.set_ylim(*_limits(scans[column], window))


def _limits(values: pd.Series, window: tuple[float, float] | None) -> tuple[float, float]:
    """Return limits that the values fill; an edge of the window is shown only where it lies near them."""
    low, high = float(values.min()), float(values.max())
    reach = (high - low) or 1.0
    near = [edge for edge in window or () if low - 0.5 * reach <= edge <= high + 0.5 * reach]
    low, high = min([low, *near]), max([high, *near])
    return low - 0.06 * reach, high + 0.06 * reach


def _quality_legend(
    figure: Figure, scan_qc: pd.DataFrame, makers: list[str], window: bool, rules: Any
) -> None:
    counts = scan_qc["VENDOR"].fillna("unknown").value_counts()
    handles = [
        Line2D(
            [],
            [],
            ls="",
            marker=MARKERS[i % len(MARKERS)],
            color=rules.cycle[i % len(rules.cycle)],
            mec="white",
            ms=5,
            label=f"{words.VENDORS.get(maker.upper(), maker)} (n = {counts[maker]})",
        )
        for i, maker in enumerate(makers)
    ]
    if (scan_qc["STATUS"] == "REFUSED").any():
        handles.append(Line2D([], [], ls="", marker="X", color=style.INK, ms=5, label="Refused"))
    if window:
        handles.append(Patch(facecolor=style.SHADE, edgecolor=style.GRID, lw=0.5, label="Expected (plan)"))
    figure.legend(
        handles=handles, loc="upper left", ncols=5, borderaxespad=0.3, columnspacing=1.4, handletextpad=0.4
    )
