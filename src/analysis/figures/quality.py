"""The study's scans at a glance: time, dose and liver by site and visit, liver over time, comparability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables.format import counted, number
from analysis.tables.words import VENDORS, order_visits

PANELS = (
    ("UPTAKEMIN", "Uptake time, min"),
    ("DOSEMBQ", "Injected activity, MBq"),
    ("LIVERSUL", "Liver SULmean, g/ml"),
)
# what each is called, and its hatch, which tells it without colour
VERDICTS = {
    "ASSESSABLE": ("comparable", ""),
    "ASSESSABLE_WITH_WARNINGS": ("comparable, with warnings", "////"),
    "NOT_ASSESSABLE": ("not comparable", "xxxx"),
    "INSUFFICIENT_INFORMATION": ("cannot be told", "...."),
}
OTHER = "other sites"


@style.drawn
def plot_sites(
    scans: pd.DataFrame,
    *,
    windows: Mapping[str, tuple[float, float]] | None = None,
    rules: Any = None,
) -> Figure:
    """Draw uptake time, dose and liver of every scan: a row a quantity, a column a site, visits across.

    Parameters
    ----------
    scans : DataFrame
        SITEID AVISIT STATUS UPTAKEMIN DOSEMBQ LIVERSUL; a value that is missing is not drawn.
    windows : mapping, optional
        Column -> what the plan expects (low, high), shaded.
    rules : Section, optional
        Section ``figures`` of the plan (`quality_sites`).

    Returns
    -------
    Figure
        Small multiples with common scales; the median of a visit is a bar, a refused scan a cross.

    Raises
    ------
    ValueError
        If there is no scan, or none of the values.
    """
    panels = [panel for panel in PANELS if panel[0] in scans and scans[panel[0]].notna().any()]
    if not panels:
        raise ValueError("no value to draw: leave the figure out and say why")
    scans = scans.assign(PANEL=_pool(scans["SITEID"], rules.quality_sites))
    sites = sorted(scans["PANEL"].unique(), key=lambda name: (name in {OTHER, "no site"}, name))
    visits = order_visits(scans["AVISIT"])
    across, tall, left = style.width_mm("page", rules), 30.0, 17.0
    wide = (across - left - 1.0) / len(sites)
    figure = style.new_figure("page", len(panels) * (tall + 5.0) + 10.0, rules)
    for line, (column, label) in enumerate(panels):
        limits = _limits(scans[column])
        for at, site in enumerate(sites):
            bottom = 6.0 + (len(panels) - 1 - line) * (tall + 5.0)
            axes = style.axes_mm(figure, left + at * wide, bottom, wide - 3.0, tall)
            mine = scans[scans["PANEL"] == site]
            _dots(axes, mine, column, visits, (windows or {}).get(column), rules)
            axes.set_ylim(*limits)
            axes.set_xticks(range(len(visits)), visits if line == len(panels) - 1 else [])
            axes.tick_params(axis="x", length=0)
            if at:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel(label)
            if line == 0:
                axes.set_title(f"{_site(site)} (n = {len(mine)})", loc="left")
    return figure


@style.drawn
def plot_liver_drift(
    scans: pd.DataFrame, *, window: tuple[float, float] | None = None, rules: Any = None
) -> Figure:
    """Draw the liver's SULmean over the scans of each scanner in order of time, to show drift.

    Parameters
    ----------
    scans : DataFrame
        VENDOR MODEL ADT PATH LIVERSUL; the dates order the scans and are not shown.
    window : (float, float), optional
        What the plan expects.
    rules : Section, optional
        Section ``figures`` of the plan (`quality_drift_window`).

    Returns
    -------
    Figure
        A panel a scanner model: points, and their running median.

    Raises
    ------
    ValueError
        If no liver was measured.
    """
    seen = scans[scans["LIVERSUL"].notna()].sort_values(["ADT", "PATH"], kind="stable")
    if seen.empty:
        raise ValueError("no liver to draw: leave the figure out and say why")
    groups = list(seen.groupby([seen["VENDOR"].fillna("unknown"), seen["MODEL"].fillna("unknown model")]))
    across, tall, left = style.width_mm("page", rules), 36.0, 17.0
    wide = (across - left - 1.0) / min(len(groups), 4)
    lines = -(-len(groups) // 4)
    figure = style.new_figure("page", lines * (tall + 15.0) + 1.0, rules)
    for at, ((vendor, model), rows) in enumerate(groups):
        line, column = divmod(at, 4)
        bottom = 10.0 + (lines - 1 - line) * (tall + 15.0)
        axes = style.axes_mm(figure, left + column * wide, bottom, wide - 4.0, tall)
        _drift(axes, rows["LIVERSUL"].to_numpy(float), window, rules)
        axes.set_ylim(*_limits(seen["LIVERSUL"]))
        axes.set_title(f"{VENDORS.get(vendor, vendor)} {model}", loc="left")
        axes.set_xlabel("Scans in order of time")
        if column:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel("Liver SULmean, g/ml")
    return figure


@style.drawn
def plot_verdicts(counts: pd.DataFrame, *, rules: Any = None) -> Figure:
    """Draw how many pairs of scans are comparable: a bar a follow-up visit.

    Parameters
    ----------
    counts : DataFrame
        AVISIT VERDICT N, one row a visit and verdict.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Bars whose parts carry their counts.

    Raises
    ------
    ValueError
        If there is no pair.
    """
    if counts.empty:
        raise ValueError("no pair to draw: leave the figure out and say why")
    visits = order_visits(counts["AVISIT"])
    table = counts.pivot_table(index="AVISIT", columns="VERDICT", values="N", aggfunc="sum", fill_value=0)
    tall = 7.0 * len(visits)
    figure = style.new_figure("page", tall + 13.0, rules)
    axes = style.axes_mm(figure, 22.0, 2.0, style.width_mm("page", rules) - 26.0, tall)
    start = np.zeros(len(visits))
    for verdict, (_, hatch) in VERDICTS.items():
        look = {"fc": rules.palette.get(verdict, style.GRID), "hatch": hatch, "ec": "white", "lw": 0.6}
        part = table[verdict].reindex(visits, fill_value=0).to_numpy() if verdict in table else 0 * start
        axes.barh(range(len(visits)), part, left=start, height=0.66, **look)
        for place, (count, begin) in enumerate(zip(part, start)):
            if count:
                at, box = (begin + count / 2, place), {"fc": "white", "ec": "none", "pad": 1.0}
                axes.text(*at, f"{int(count)}", ha="center", va="center", color=style.INK, bbox=box)
        start = start + part
    axes.set(ylim=(len(visits) - 0.5, -0.5), xlim=(0, start.max()), xticks=[])
    axes.set_yticks(range(len(visits)), [style.label_of(visit) for visit in visits])
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
    used = [verdict for verdict in VERDICTS if verdict in table]
    handles = [
        Patch(fc=rules.palette.get(verdict, style.GRID), hatch=VERDICTS[verdict][1], ec="white", lw=0.6)
        for verdict in used
    ]
    figure.legend(
        handles, [VERDICTS[verdict][0].capitalize() for verdict in used], loc="upper left", ncols=4,
        borderaxespad=0.2, columnspacing=1.4, handletextpad=0.5,
    )  # fmt: skip
    return figure


@spelled_out
def caption_sites(scans: pd.DataFrame, windows: Mapping[str, tuple[float, float]] | None = None) -> str:
    """Write the caption of the site panels from the scans."""
    refused = int((scans["STATUS"] == "REFUSED").sum())
    inside = {name: [f"{edge:g}" for edge in window] for name, window in (windows or {}).items()}
    drawn = [(name, label) for name, label in PANELS if name in scans and scans[name].notna().any()]
    said = [f"{label} {' to '.join(inside[name])}" for name, label in drawn if name in inside]
    crosses = f" Crosses: refused scans whose value is known ({refused} refused)." if refused else ""
    names = [label.partition(",")[0] for _, label in drawn]
    what = style.join_words([names[0], *(name[0].lower() + name[1:] for name in names[1:])])
    grey = f"; grey: what the plan expects ({'; '.join(said)})" if said else ""
    return (
        f"{what} of {counted(len(scans), 'scan')} by site and visit. A bar is the median of a visit "
        f"(D0: baseline){grey}.{crosses}"
    )


@spelled_out
def caption_drift() -> str:
    """Write the caption of the drift panels."""
    return (
        "Liver SULmean of each scanner model over its scans in order of time, with the running median. "
        "A step or a slope that no change of patients explains asks for the scanner's calibration."
    )


def alt_sites(scans: pd.DataFrame) -> str:
    """Describe the site panels for a reader who cannot see them."""
    said = []
    for column, label in PANELS:
        known = scans[column].dropna() if column in scans else pd.Series(dtype=float)
        if len(known):
            name, _, unit = label.partition(", ")
            ends = [number(value, 1) for value in (known.min(), known.median(), known.max())]
            said.append(f"{name} {ends[0]} to {ends[2]} {unit}, median {ends[1]}")
    return f"Points of {len(scans)} scans by site and visit: " + "; ".join(said) + "."


def _pool(sites: pd.Series, most: int) -> pd.Series:
    """Return the site of each scan, small ones under one name where there are more than `most`."""
    named = sites.where(sites.notna(), "no site").astype(str)
    largest = named.value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    return named if len(largest) <= most else named.where(named.isin(largest.index[: most - 1]), OTHER)


def _site(name: str) -> str:
    return name.capitalize() if name in {OTHER, "no site"} else f"Site {name}"


def _limits(values: pd.Series) -> tuple[float, float]:
    """Return limits that the values fill: a wide window must not press them into a line."""
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low or 1.0)
    return low - room, high + room


def _dots(axes, scans: pd.DataFrame, column: str, visits: list[str], window, rules: Any) -> None:
    if window:
        axes.axhspan(*window, color=style.SHADE, lw=0, zorder=0)
    for place, visit in enumerate(visits):
        rows = scans[(scans["AVISIT"] == visit) & scans[column].notna()].sort_values(column, kind="stable")
        value, refused = rows[column].to_numpy(float), rows["STATUS"].eq("REFUSED").to_numpy()
        offset = 0.26 * np.sin(2.4 * np.arange(len(rows)))  # spread by rank: the same picture on every run
        axes.plot(
            (place + offset)[~refused],
            value[~refused],
            "o",
            ms=2.6,
            color=rules.cycle[0],
            mec="white",
            mew=0.3,
        )
        axes.plot(
            (place + offset)[refused], value[refused], "X", ms=4.0, color=rules.cycle[1], mec="white", mew=0.3
        )
        if (~refused).any():
            axes.plot([place - 0.34, place + 0.34], [np.median(value[~refused])] * 2, color=style.INK, lw=1.2)
    axes.set_xlim(-0.6, len(visits) - 0.4)


def _drift(axes, values: np.ndarray, window, rules: Any) -> None:
    if window:
        axes.axhspan(*window, color=style.SHADE, lw=0, zorder=0)
    order = np.arange(1, len(values) + 1)
    axes.plot(order, values, "o", ms=2.6, color=rules.cycle[0], mec="white", mew=0.3)
    if len(values) >= rules.quality_drift_window:
        median = pd.Series(values).rolling(rules.quality_drift_window, center=True, min_periods=1).median()
        axes.plot(order, median, color=style.INK, lw=1.2)
    axes.set_xlim(0, len(values) + 1)
