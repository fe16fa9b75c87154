"""The two early days side by side: scatter and agreement; the courses are drawn in `pilot_courses`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.figures.pilot_courses import alt_courses as alt_courses
from analysis.figures.pilot_courses import caption_courses as caption_courses
from analysis.figures.pilot_courses import plot_courses as plot_courses
from analysis.figures.pilot_courses import signed_axes
from analysis.tables.format import number, signed_percent
from analysis.tables.words import phrase_of

_CURVE_POINTS = 80
_Z = 1.959964  # 95 % of a normal distribution lie within so many standard deviations


@style.drawn
def plot_agreement(
    changes: pd.DataFrame,
    *,
    days: tuple[str, str] | None = None,
    cut_percent: float | None = None,
    agreement: Mapping[str, float] | None = None,
    agreement_ln: Mapping[str, float] | None = None,
    band_percent: tuple[float, float] | None = None,
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw the later day against the earlier, and their difference against their mean (Bland-Altman).

    Parameters
    ----------
    changes : DataFrame
        One column a day: percent change from baseline of each patient. Who lacks a scan is dropped.
    days : tuple of str, optional
        Columns of the earlier and the later day; None takes the two columns beside USUBJID.
    cut_percent : float, optional
        The fall that responds: drawn on both axes of the scatter.
    agreement : mapping, optional
        ``bias``, ``lower``, ``upper``: mean difference and 95 % limits of agreement, percentage points, drawn
        where they are finite (`survival.agreement.bland_altman`). With ``bias_lower``, ``bias_upper``
        and ``n`` each has its own 95 % interval at the right.
    agreement_ln : mapping, optional
        The same of the ln ratios: adds a third panel on that scale.
    band_percent : tuple of float, optional
        Limits of repeatability of one lesion between two scans, percent (`pet.repeatability.limits`). The two
        follow-ups share the baseline, which cancels: test-retest error alone keeps the ratio of the two
        within the same limits as a change from baseline. Shaded in every panel; in percentage points they
        narrow where uptake has fallen.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Panels A and B, and C with `agreement_ln`.
    """
    days, both = _both(changes, days)
    across, panels = style.width_mm(width, rules), 2 if agreement_ln is None else 3
    left, gap = 18.5, 18.5
    side = min((across - left - (panels - 1) * gap - 3.0) / panels, 68.0)
    step = (across - left - 3.0 - side) / (panels - 1)
    figure = style.new_figure(width, side + 18.0, rules)
    scatter, percent, *log = (style.axes_mm(figure, left + k * step, 11.0, side, side) for k in range(panels))
    reach = np.log1p(band_percent[1] / 100) if band_percent else None
    _scatter(scatter, both, days, cut_percent, reach, rules)
    _bland_altman(percent, both, agreement, reach, rules)
    for axes in log:
        _bland_altman_ln(axes, np.log1p(both / 100), agreement_ln, reach, rules)
    return figure


@spelled_out
def caption_agreement(
    changes: pd.DataFrame,
    *,
    cut_percent: float,
    days: tuple[str, str] | None = None,
    agreement: Mapping[str, float] | None = None,
    agreement_ln: Mapping[str, float] | None = None,
    band_percent: tuple[float, float] | None = None,
) -> str:
    """Write the caption of the agreement figure from its data."""
    days, both = _both(changes, days)
    earlier, later = (both.iloc[:, k] <= -cut_percent for k in range(2))
    text = (
        f"Change at {phrase_of(days[0])} and {phrase_of(days[1])} in the {len(both)} patients with both "
        "scans. A: one against the other; dotted line: no difference; dashed lines: the cut of "
        f"−{cut_percent:g} %; {int((earlier == later).sum())} of {len(both)} lie on the same side of it at "
        "both days. B: difference against mean"
    )
    text += _say_limits(agreement, " points", 1)
    if agreement_ln is not None:
        text += ". C: the same for the ln ratios" + _say_limits(agreement_ln, "", 2)
    if intervals(agreement):
        text += ". Brackets and bars at the right: 95 % intervals of these"
    if band_percent:
        text += (
            ". Shaded: where test-retest error of one lesion alone would leave 95 of 100 patients (ratio of "
            f"the two scans {1 + band_percent[0] / 100:.2f} to {1 + band_percent[1] / 100:.2f})"
        )
    return text + "."


def alt_agreement(
    changes: pd.DataFrame,
    *,
    days: tuple[str, str] | None = None,
    agreement: Mapping[str, float] | None = None,
) -> str:
    """Describe the agreement figure for a reader who cannot see it."""
    days, both = _both(changes, days)
    first, second = (both.iloc[:, k] for k in range(2))
    one, other = (phrase_of(day) for day in days)
    known, limits = _known(agreement), ""
    if len(known) == 3:
        low, high = (number(known[key], 0) for key in ("lower", "upper"))
        limits = f", 95 % limits of agreement {low} to {high} points"
    return (
        f"Panels of {len(both)} patients: change at {other} against {one}, and their difference against "
        f"their mean. Median change {signed_percent(first.median())} at {one}, "
        f"{signed_percent(second.median())} at {other}; median difference "
        f"{number((second - first).median(), 0)} points{limits}."
    )


def _both(changes: pd.DataFrame, days: tuple[str, str] | None) -> tuple[tuple[str, str], pd.DataFrame]:
    names = tuple(days or [name for name in changes.columns if name != "USUBJID"])
    if len(names) != 2:
        raise ValueError(f"two days are compared; name the columns of them (days), found {list(names)}")
    both = changes[list(names)].dropna()
    if both.empty:
        raise ValueError("no patient has both early scans: leave the figure out and say why")
    return names, both


def _say_limits(agreement: Mapping[str, float], unit: str, decimals: int) -> str:
    lines = _known(agreement)
    if len(lines) != 3:
        return ""
    own = intervals(agreement)
    said = {key: number(value, decimals) for key, value in lines.items()}
    within = {key: f" [{' to '.join(number(end, decimals) for end in ends)}]" for key, ends in own.items()}
    bias, low, high = (f"{said[key]}{within.get(key, '')}" for key in ("bias", "lower", "upper"))
    text = f"; solid line: mean difference ({bias}{unit}), dashed: 95 % limits of agreement ({low} to {high})"
    return text


def intervals(agreement: Mapping[str, float] | None) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of the mean difference and of each limit of agreement.

    That of a limit has Bland and Altman's standard error, sd sqrt(1/n + z^2 / (2 (n - 1))), and the t of the
    interval of the bias. Empty where a number that this takes is not known.

    References
    ----------
    Bland and Altman, Stat Methods Med Res 1999;8:135-60, section 2.

    Examples
    --------
    >>> known = {"bias": 0.0, "bias_lower": -1.0, "bias_upper": 1.0, "lower": -4.0, "upper": 4.0, "n": 17}
    >>> {key: [round(end, 2) for end in ends] for key, ends in intervals(known).items()}
    {'bias': [-1.0, 1.0], 'lower': [-5.74, -2.26], 'upper': [2.26, 5.74]}
    """
    names = ("bias", "bias_lower", "bias_upper", "lower", "upper", "n")
    found = {name: float((agreement or {}).get(name, np.nan)) for name in names}
    if not np.isfinite(list(found.values())).all() or found["n"] < 2:
        return {}
    # The half width of the bias is t sd / sqrt(n), so that of a limit follows from it without sd and t.
    half = (found["bias_upper"] - found["bias_lower"]) / 2
    wide = half * np.sqrt(1 + found["n"] * _Z**2 / (2 * (found["n"] - 1)))
    halves = {"bias": half, "lower": wide, "upper": wide}
    return {key: (float(found[key] - size), float(found[key] + size)) for key, size in halves.items()}


def _known(agreement: Mapping[str, float] | None) -> dict[str, float]:
    """Return bias and limits that can be drawn; one patient has none."""
    values = {name: float((agreement or {}).get(name, np.nan)) for name in ("bias", "lower", "upper")}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _scatter(axes, both: pd.DataFrame, days: tuple[str, str], cut_percent, reach, rules) -> None:
    low, high = both.to_numpy().min(), both.to_numpy().max()
    pad = 0.06 * (high - low) + 3
    limits = (low - pad, high + pad)
    if reach is not None:
        across = np.linspace(*limits, _CURVE_POINTS)
        edges = [
            100 * np.expm1(np.log1p(np.maximum(across, -99.99) / 100) + side) for side in (-reach, reach)
        ]
        axes.fill_between(across, *edges, color=style.SHADE, lw=0, zorder=0)
    axes.plot(limits, limits, color=style.MUTED, ls=(0, (1, 1.5)), lw=0.8, zorder=1)
    if cut_percent is not None:
        axes.axvline(-cut_percent, color=style.INK, ls=(0, (4, 2)), lw=0.7)
        axes.axhline(-cut_percent, color=style.INK, ls=(0, (4, 2)), lw=0.7)
    axes.plot(both.iloc[:, 0], both.iloc[:, 1], "o", ms=4, mfc=rules.cycle[0], mec="white", mew=0.5, zorder=3)
    first, second = (phrase_of(day) for day in days)
    axes.set(xlim=limits, ylim=limits, xlabel=f"Change at {first}", ylabel=f"Change at {second}")
    axes.set_title("A  Both days", loc="left")
    signed_axes(axes.xaxis, axes.yaxis)


def _bland_altman(axes, both: pd.DataFrame, agreement: Mapping[str, float] | None, reach, rules) -> None:
    mean, difference = both.mean(axis=1), both.iloc[:, 1] - both.iloc[:, 0]
    _differences(axes, mean, difference, agreement, rules, decimals=1, least=5)
    if reach is not None:
        across = np.linspace(*axes.get_xlim(), _CURVE_POINTS)
        # Two uptakes in the ratio exp(d) with mean M differ by 2 M tanh(d / 2); M is 100 + mean change.
        edge = 2 * np.maximum(100 + across, 0) * np.tanh(reach / 2)
        axes.fill_between(across, -edge, edge, color=style.SHADE, lw=0, zorder=0)
    axes.set(xlabel="Mean change of the two days", ylabel="Later minus earlier, points")
    axes.set_title("B  Percent change", loc="left")
    axes.yaxis.set_major_formatter(lambda value, _: number(value, 0))
    signed_axes(axes.xaxis)


def _bland_altman_ln(axes, both: pd.DataFrame, agreement: Mapping[str, float] | None, reach, rules) -> None:
    mean, difference = both.mean(axis=1), both.iloc[:, 1] - both.iloc[:, 0]
    _differences(axes, mean, difference, agreement, rules, decimals=2, least=0.05)
    if reach is not None:
        axes.axhspan(-reach, reach, color=style.SHADE, lw=0, zorder=0)
    axes.set(xlabel="Mean ln ratio of the two days", ylabel="Later minus earlier, ln ratio")
    axes.set_title("C  Ln ratio", loc="left")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: number(value, 1))


def _differences(axes, mean, difference, agreement, rules, *, decimals: int, least: float) -> None:
    own, agreement = intervals(agreement), _known(agreement)
    axes.axhline(0, color=style.MUTED, ls=(0, (1, 1.5)), lw=0.8)
    axes.plot(mean, difference, "o", ms=4, mfc=rules.cycle[0], mec="white", mew=0.5, zorder=3)
    ends = [*agreement.values(), *(end for pair in own.values() for end in pair)]
    reach = max(abs(difference).max(), *(abs(value) for value in ends), least) * 1.2
    axes.margins(x=0.08)
    left, right = axes.get_xlim()
    # Room at the right for the numbers of the limits, so that they cover no patient.
    axes.set(ylim=(-reach, reach), xlim=(left, right + 0.28 * (right - left)))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    for key, dashes in (("bias", "-"), ("lower", (0, (4, 2))), ("upper", (0, (4, 2)))):
        if key in agreement:
            value = agreement[key]
            axes.axhline(value, color=style.INK, ls=dashes, lw=0.8)
            if key in own:
                axes.errorbar(
                    0.985, value, yerr=np.abs(np.subtract(own[key], value))[:, None], fmt="none", capsize=1.6,
                    ecolor=style.INK, elinewidth=0.8, transform=axes.get_yaxis_transform(), zorder=4,
                )  # fmt: skip
            axes.annotate(
                number(value, decimals),
                (1, value),
                xycoords=axes.get_yaxis_transform(),
                xytext=(-6, 2) if own else (-2, 2),
                textcoords="offset points",
                ha="right",
                va="bottom",
                size=rules.small_size_pt,
                bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.6},
                zorder=5,
            )
