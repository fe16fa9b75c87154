"""Bias of the ln hazard ratio in simulated trials, and how often an interval holds the truth."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import operating_parts as parts
from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables import operating_words as words
from analysis.tables.format import number, percent

_LABEL_MM = 58.0
_FITS = ("cox_ml", "cox_firth")
_NAIVE = ("no_landmark", "start_of_treatment", "missing_as_nonresponse", "optimal_cut")
_BIAS = "Bias"
_OTHERS = "Bias of naive analyses of the later day, and of the best of all cuts"
_COVERAGE = "Coverage"


@style.drawn
def plot_bias(
    characteristics: pd.DataFrame, *, size: str, width: str | float = "page", rules: Any = None
) -> Figure:
    """Draw the bias of the ln hazard ratio by analysis and truth, and the coverage of the intervals.

    Parameters
    ----------
    characteristics : DataFrame
        Contract ``operating_characteristics``.
    size : str
        SIZE whose trials are drawn.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        Panel A: bias, one row an analysis under its endpoint, one mark a truth. Panel B: the naive analyses
        of the later day with that day done right beside them, and the best of all cuts, on an axis of their
        own. Panel C: coverage of maximum likelihood and Firth.

    Raises
    ------
    ValueError
        If no bias was computed at that size.
    """
    bias, covered = _of_size(characteristics, size)
    truths = list(dict.fromkeys(bias["TRUTH"]))
    panels = _panels(bias, covered)
    handles = [*parts.mark_handles(truths, rules), parts.line_handle("value that theory promises")]
    across = style.width_mm(width, rules)
    named = [handle.get_label() for handle in handles]
    talls = [parts.height_mm(rows, len(truths)) for _, rows in panels]
    each = parts.FOOT_MM + parts.TITLE_MM
    head = parts.legend_mm(named, across - parts.EDGE_MM, rules)
    tight = parts.tighten(talls, head + each * len(panels))
    talls = [tight * tall for tall in talls]
    bottom = sum(talls) + each * len(panels)
    figure = style.new_figure(width, head + bottom, rules)
    room = parts.label_mm([row for _, rows in panels for row in rows], _LABEL_MM, rules)
    left = parts.EDGE_MM + room
    for letter, (title, rows), tall in zip("ABC", panels, talls, strict=False):
        bottom -= tall + each
        place = (left, bottom + parts.FOOT_MM, across - left - parts.GAP_MM, tall)
        axes = style.axes_mm(figure, *place)
        axes.set_title(f"{letter}  {title}", loc="left")
        parts.draw_rows(axes, rows, truths, rules, room_mm=room, tight=tight)
        _label(axes, covered if title == _COVERAGE else None)
    parts.draw_legend(figure, handles, parts.EDGE_MM, rules)
    return figure


@spelled_out
def caption_bias(characteristics: pd.DataFrame, *, size: str) -> str:
    """Write the caption of bias and coverage from their data."""
    bias, covered = _of_size(characteristics, size)
    worst = bias.loc[bias["ESTIMATE"].abs().idxmax()]
    text = (
        f"Bias of the ln hazard ratio, {size}, with two Monte Carlo standard errors "
        f"({bias['TRIALS'].max():.0f} trials a truth); the mean of finite estimates. Largest: "
        f"{words.name_analysis(worst['METHOD'])} ({worst['ENDPOINT']}, {worst['TRUTH']}), "
        f"{number(worst['ESTIMATE'], 2)}."
    )
    if len(_without_repeats(bias)) < len(bias):
        text += " The Cox fit that the uncorrected analysis of all patients is itself is drawn once."
    if bias["METHOD"].eq("optimal_cut").any():
        text += (
            " The bias of the best cut is against the hazard ratio at the plan's cut; without an effect it "
            "errs to both sides and its mean cancels."
        )
    if len(covered):
        shares = [percent(100 * value, 1) for value in (covered["ESTIMATE"].min(), covered["ESTIMATE"].max())]
        text += f" Coverage of {percent(100 * covered['TARGET'].iloc[0])} intervals: {' to '.join(shares)}."
    return text


def alt_bias(characteristics: pd.DataFrame, *, size: str) -> str:
    """Describe bias and coverage for a reader who cannot see them: every analysis, truth by truth."""
    bias, covered = _of_size(characteristics, size)
    said = [
        _say(row_of, lambda value: number(value, 2))
        for row_of in bias.groupby(["ENDPOINT", "METHOD"], sort=False)
    ]
    text = f"Bias of the ln hazard ratio. {'; '.join(said)}."
    said = [
        _say(row_of, lambda value: percent(100 * value, 1))
        for row_of in covered.groupby(["ENDPOINT", "METHOD"], sort=False)
    ]
    return f"{text} Coverage. {'; '.join(said)}." if said else text


def _say(part: tuple, write: Any) -> str:
    (endpoint, code), rows = part
    values = ", ".join(f"{row.TRUTH} {write(row.ESTIMATE)}" for row in rows.itertuples())
    return f"{endpoint}, {words.name_analysis(code)}: {values}"


def _of_size(characteristics: pd.DataFrame, size: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    bias = words.select(characteristics, "bias", SIZE=size)
    if bias.empty:
        known = list(dict.fromkeys(words.select(characteristics, "bias")["SIZE"]))
        raise ValueError(f"no bias was computed at the size {size!r}; sizes with one: {known}")
    return bias, words.select(characteristics, "coverage", SIZE=size)


def _panels(bias: pd.DataFrame, covered: pd.DataFrame) -> list[tuple[str, list[parts.Row]]]:
    """Return title and rows of each panel; one without rows is left out."""
    naive = bias["METHOD"].isin(_NAIVE)
    panels = [(_BIAS, _rows(_without_repeats(bias[~naive])))]
    if naive.any():
        beside = bias["METHOD"].eq("fixed_later") & bias["ENDPOINT"].isin(bias.loc[naive, "ENDPOINT"])
        panels.append((_OTHERS, _rows(bias[naive | beside])))
    return [*panels, (_COVERAGE, _rows(covered))] if len(covered) else panels


def _without_repeats(bias: pd.DataFrame) -> pd.DataFrame:
    """Leave out the Cox fit that is the pooled analysis itself: of two, that whose bias is nearest to it."""
    kept = []
    for _, own in bias.groupby("ENDPOINT", sort=False):
        wide = own.pivot_table(index="TRUTH", columns="METHOD", values="ESTIMATE", sort=False)
        if {"chosen", *_FITS} <= set(wide):
            same = wide[[*_FITS]].sub(wide["chosen"], axis=0).abs().sum().idxmin()
            own = own[own["METHOD"].ne(same)]
        kept.append(own)
    return pd.concat(kept)


def _rows(table: pd.DataFrame) -> list[parts.Row]:
    rows = []
    for endpoint, own in table.groupby("ENDPOINT", sort=False):
        codes = sorted(words.order_analyses(own["METHOD"]), key=_place)
        rows += [parts.Row(endpoint), *parts.rows_of(own, codes, "TRUTH", words.name_analysis)]
    return rows


def _place(code: str) -> int:
    """Return the place of a naive analysis among them; all others stand before."""
    return _NAIVE.index(code) + 1 if code in _NAIVE else 0


def _label(axes, covered: pd.DataFrame | None) -> None:
    """Label a panel of coverage, or of bias where `covered` is None, and draw what theory promises."""
    if covered is None:
        axes.set_xlabel("Mean of the estimated minus the true ln hazard ratio (above 0: effect overstated)")
        axes.xaxis.set_major_formatter(lambda value, _: number(value, 2))
        parts.reference_line(axes, 0.0)
        return
    promised = float(covered["TARGET"].iloc[0])
    low = min((covered["ESTIMATE"] - parts.ERRORS * covered["SE"]).min(), promised - 0.02)
    parts.percent_axis(axes, "Intervals that hold the true hazard ratio, %", low - 0.01, 1.0)
    parts.reference_line(axes, promised)
