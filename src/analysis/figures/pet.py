"""The scans' quality at a glance; their projections are drawn in `mips`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.figures.mips import VISIT_ORDER
from analysis.figures.mips import alt_mips as alt_mips
from analysis.figures.mips import caption_mips as caption_mips
from analysis.figures.mips import plot_mips as plot_mips
from analysis.tables import words
from analysis.tables.format import number


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
def plot_scan_quality(
    scan_qc: pd.DataFrame,
    *,
    uptake_window_min: tuple[float, float] | None = None,
    liver_window: tuple[float, float] | None = None,
    width: str | float | None = None,
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
    width : {"column", "half", "page"} or float, optional
        Width, or mm; without it the page, or half of it for one panel.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Two panels, A uptake time and B liver; one alone where no scan has the other.

    Raises
    ------
    ValueError
        If there is no scan.
    """
    if scan_qc.empty:
        raise ValueError("no scan to draw: leave the figure out and say why")
    both = (
        ("UPTAKEMIN", "Uptake time", "Minutes after injection", uptake_window_min),
        ("LIVERMEAN", "Liver", "SUVmean, g/ml", liver_window),
    )
    panels = [one for one in both if scan_qc[one[0]].notna().any()] or both
    width = width or ("page" if len(panels) > 1 else "half")
    across = style.width_mm(width, rules)
    handles, columns = _handles(scan_qc, [one[3] for one in panels], rules), 5 if len(panels) > 1 else 3
    figure = style.new_figure(width, 57.0 + 4.0 * math.ceil(len(handles) / columns), rules)
    side = (across - 18.0 - 16.0 * (len(panels) - 1)) / len(panels)
    makers = sorted(scan_qc["VENDOR"].fillna("unknown").unique())
    for index, (column, title, ylabel, window) in enumerate(panels):
        axes = style.axes_mm(figure, 15.0 + index * (side + 16.0), 6.0, side, 44.0)
        _strip(
            axes, scan_qc.assign(VENDOR=scan_qc["VENDOR"].fillna("unknown")), column, makers, window, rules
        )
        axes.set_title(f"{'AB'[index]}  {title}" if len(panels) > 1 else title, loc="left")
        axes.set_ylabel(ylabel)
    place = {"loc": "upper left", "borderaxespad": 0.3}
    figure.legend(handles=handles, ncols=columns, columnspacing=1.4, handletextpad=0.4, **place)
    return figure


@spelled_out
def caption_scan_quality(
    scan_qc: pd.DataFrame, *, uptake_window_min: tuple[float, float] | None = None
) -> str:
    """Write the caption of the quality figure from the scans."""
    refused = int((scan_qc["STATUS"] == "REFUSED").sum())
    has_uptake, has_liver = (scan_qc[name].notna().any() for name in ("UPTAKEMIN", "LIVERMEAN"))
    text = f"Every PET scan by visit (n = {len(scan_qc)}, {refused} refused). "
    text += "Uptake time" if has_uptake else "Liver SUVmean"
    if uptake_window_min and has_uptake:
        known = scan_qc["UPTAKEMIN"].dropna()
        outside = int((~known.between(*uptake_window_min)).sum())
        low, high = (number(limit, 0) for limit in uptake_window_min)
        text += f" (grey: expected, {low} to {high} min; {outside} of {len(known)} outside)"
    text += " and liver SUVmean." if has_uptake and has_liver else "."
    crossed = scan_qc["STATUS"].eq("REFUSED") & scan_qc[["UPTAKEMIN", "LIVERMEAN"]].notna().any(axis=1)
    text += " Refused scans are crosses." if crossed.any() else ""
    return f"{text} A scan without a value is not drawn."


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
    return "Points by visit: " + "; ".join(parts) + "."


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
                mark = "X" if status == "REFUSED" else style.MARKERS[index % len(style.MARKERS)]
                color = style.INK if status == "REFUSED" else rules.cycle[index % len(rules.cycle)]
                axes.plot(
                    place + offsets[keep], rows[column].to_numpy()[keep], mark, color=color, ms=4.2, **look
                )
    axes.set_xticks(range(len(visits)), [style.label_of(visit) for visit in visits])
    axes.set_xlim(-0.6, len(visits) - 0.4)
    axes.tick_params(axis="x", length=0)
    if scans[column].notna().any():
        axes.set_ylim(*_limits(scans[column], window))
    else:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=style.MUTED)
        axes.set_yticks([])


def _limits(values: pd.Series, window: tuple[float, float] | None) -> tuple[float, float]:
    """Return limits that the values fill; an edge of the window is shown only where it lies near them."""
    low, high = float(values.min()), float(values.max())
    reach = (high - low) or 1.0
    near = [edge for edge in window or () if low - 0.5 * reach <= edge <= high + 0.5 * reach]
    low, high = min([low, *near]), max([high, *near])
    return low - 0.06 * reach, high + 0.06 * reach


def _handles(scan_qc: pd.DataFrame, windows: list, rules: Any) -> list:
    counts = scan_qc["VENDOR"].fillna("unknown").value_counts()
    makers = sorted(counts.index)
    handles = [
        Line2D(
            [],
            [],
            ls="",
            marker=style.MARKERS[i % len(style.MARKERS)],
            color=rules.cycle[i % len(rules.cycle)],
            mec="white",
            ms=5,
            label=f"{words.VENDORS.get(maker.upper(), maker)} (n = {counts[maker]})",
        )
        for i, maker in enumerate(makers)
    ]
    measured = scan_qc[["UPTAKEMIN", "LIVERMEAN"]].notna().any(axis=1)
    if (measured & scan_qc["STATUS"].eq("REFUSED")).any():
        handles.append(Line2D([], [], ls="", marker="X", color=style.INK, ms=5, label="Refused"))
    if any(windows):
        handles.append(Patch(facecolor=style.SHADE, edgecolor=style.GRID, lw=0.5, label="Expected (plan)"))
    return handles
