"""Oncoprint: patients x genes, ordered by response, with PET, plasma, clinical facts and PFS beside.

Marsilea lays out the board and draws the cells. Its ready-made oncoprint is not used: it counts percentages
over all samples, assessed or not, and guesses the kind of an alteration from its spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from marsilea import WhiteBoard
from marsilea.layers import LayersMesh
from matplotlib.figure import Figure

from analysis import plan
from analysis.figures import oncoprint_parts as parts
from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.figures.style import MM_PER_INCH
from analysis.tables.format import percent

ROW_MM, GAP_MM, BAR_MM, EDGE_MM = 4.0, 2.0, 14.0, 2.0
PAGE_MM, LOWEST_ROW_MM = 228.0, 2.9  # height of a journal page; a line of small text
_WIDEST_CELL_MM, _THIN_MM, _SPACE_MM, _TEXT_MM = 6.0, 1.2, 0.35, 1.0
_NONE_ALTERED = "No gene altered"


@style.drawn
def plot_oncoprint(
    alterations: pd.DataFrame,
    tracks: pd.DataFrame,
    *,
    clinical: Mapping[str, str] | None = None,
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw patients x genes: non-responders first, then by falling percent change, with tracks beside.

    Parameters
    ----------
    alterations : DataFrame
        USUBJID, GENE, KIND (MUTATED, AMPLIFIED, DELETED, or NOT ASSESSABLE where the gene was not on the
        sample's panel), one row an alteration. Genes stand in the order of a categorical GENE, else by
        falling frequency.
    tracks : DataFrame
        One row a patient, index USUBJID; any of SEQUENCED (bool; without it, who has a row in
        `alterations`), MRESP, PCTCHANGE (percent), CTDNA_<visit> (DETECTED, NOT DETECTED, NOT ASSESSABLE),
        CLEARANCE (``--``, ``-+``, ``+-``, ``++``), clinical columns (Y/N), SIGN_<name> (score), PFS_MONTHS
        and PFS_EVENT.
    clinical : mapping, optional
        Clinical column -> its words; the plan's ``biomarkers.profile_covariates``.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        The oncoprint; percentages are of the patients in whom the gene was assessed.

    Raises
    ------
    ValueError
        If no patient was sequenced.
    """
    shown, genes = _ordered(alterations, tracks), _genes(alterations)
    clinical = plan.defaults().biomarkers.profile_covariates if clinical is None else clinical
    strips = parts.list_strips(shown, clinical, rules)
    layers, cells = parts.gene_layers(alterations, genes, shown, rules)
    rates = _rates(alterations, genes, shown)
    has_pfs = "PFS_MONTHS" in shown and shown["PFS_MONTHS"].notna().any()
    has_change = "PCTCHANGE" in shown and shown["PCTCHANGE"].notna().any()
    empty = not shown["SEQUENCED"].all() or any((strip.colors == parts.NOTHING).any() for strip in strips)
    censored = has_pfs and shown.get("PFS_EVENT", pd.Series(1, shown.index)).eq(0).any()
    entries = parts.gene_entries(layers, cells, rules)
    blocks = parts.list_blocks(entries, strips, empty=empty, has_bars=censored)
    across = style.width_mm(width, rules)
    placed, legend_mm = parts.place_blocks(blocks, across - 2 * EDGE_MM, rules)
    left, right = _sides(
        [*(genes or [_NONE_ALTERED]), *(strip.name for strip in strips)], rates.values(), rules
    )
    row = _row_mm(len(layers[0]) + len(strips), legend_mm, has_change + has_pfs)
    board, cell = _board(layers, cells, len(shown), across, (left, right), legend_mm, row)
    _add_tracks(board, strips, cell, row, has_change=has_change, has_pfs=has_pfs)
    figure = style.new_figure(width, 10.0, rules)  # the board sets the height
    board.render(figure)
    _name_rows(board, genes, rates, strips, rules)
    if has_change:
        _draw_changes(board.get_ax("change"), shown, rules)
    if has_pfs:
        _draw_pfs(board.get_ax("pfs"), shown, rules)
    page = style.canvas_mm(figure)
    parts.draw_legend(page, placed, EDGE_MM, page.get_ylim()[0] - legend_mm - EDGE_MM, rules)
    return figure


@spelled_out
def caption_oncoprint(
    alterations: pd.DataFrame, tracks: pd.DataFrame, *, cap_percent: float | None = None
) -> str:
    """Write the caption of an oncoprint from its data; `cap_percent` is the plan's waterfall cap."""
    shown, genes = _ordered(alterations, tracks), _genes(alterations)
    cap = plan.defaults().figures.waterfall_cap_percent if cap_percent is None else cap_percent
    text = (
        f"Alterations by patient (n = {len(shown)}, {int(shown['SEQUENCED'].sum())} with a sequenced tumour "
        "sample), non-responders first, then by the change in uptake. Numbers at the right: patients altered "
        "and their share of those in whom the gene was assessed. A dash: the gene was not on the panel, "
        "which is not wild type."
    )
    tall = int((shown.get("PCTCHANGE", pd.Series(dtype=float)) > cap).sum())
    text += f" Triangle: a rise above {cap:g} % (n = {tall})." if tall else ""
    rates = _rates(alterations, genes, shown)
    top = max(genes, key=lambda gene: int(rates[gene].split("/")[0]), default=None)
    text += f" Most often altered: {top} ({rates[top].split(' ')[0]})." if top else " No gene is altered."
    return f"{text} Exploratory."


def alt_oncoprint(alterations: pd.DataFrame, tracks: pd.DataFrame) -> str:
    """Describe the oncoprint for a reader who cannot see it."""
    shown, genes = _ordered(alterations, tracks), _genes(alterations)
    rates = _rates(alterations, genes, shown)
    counts = "; ".join(f"{gene} {rates[gene].split(' ')[0]}" for gene in genes)
    return f"Grid of {len(shown)} patients by {len(genes)} genes; altered of assessed: {counts or 'none'}."


def _ordered(alterations: pd.DataFrame, tracks: pd.DataFrame) -> pd.DataFrame:
    shown = tracks.assign(NAME=tracks.index)
    if "SEQUENCED" not in shown:
        shown["SEQUENCED"] = shown.index.isin(alterations["USUBJID"])
    if not shown["SEQUENCED"].any():
        raise ValueError("no patient has a sequenced tumour sample: leave the figure out and say why")
    rank = {"NON-RESPONDER": 0, "RESPONDER": 1}
    shown["RANK"] = shown["MRESP"].map(rank).fillna(2) if "MRESP" in shown else 0
    by = ["RANK", *(["PCTCHANGE"] if "PCTCHANGE" in shown else []), "NAME"]
    return shown.sort_values(by, ascending=[name != "PCTCHANGE" for name in by], kind="stable")


def _genes(alterations: pd.DataFrame) -> list[str]:
    if isinstance(alterations["GENE"].dtype, pd.CategoricalDtype):
        return alterations["GENE"].cat.categories.tolist()
    found = alterations[alterations["KIND"].isin(parts.KINDS)]
    counts = found.drop_duplicates(["USUBJID", "GENE"]).groupby("GENE").size()
    return counts.reset_index(name="n").sort_values(["n", "GENE"], ascending=[False, True])["GENE"].tolist()


def _rates(alterations: pd.DataFrame, genes: list[str], shown: pd.DataFrame) -> dict[str, str]:
    """Return ``altered/assessed (percent)`` by gene; a patient with an alteration was assessed."""
    sequenced = set(shown.index[shown["SEQUENCED"].astype(bool)])
    rates = {}
    for gene in genes:
        own = alterations[(alterations["GENE"] == gene) & alterations["USUBJID"].isin(sequenced)]
        altered = set(own.loc[own["KIND"].isin(parts.KINDS), "USUBJID"])
        off = set(own.loc[own["KIND"].eq("NOT ASSESSABLE"), "USUBJID"]) - altered
        assessed = len(sequenced) - len(off)
        share = 100 * len(altered) / assessed if assessed else None
        rates[gene] = f"{len(altered)}/{assessed} ({percent(share)})"
    return rates


def _sides(names: list[str], rates, rules: Any) -> tuple[float, float]:
    left = max(parts.text_mm(name, rules) for name in [*names, "PFS, months −100"])
    right = max([parts.text_mm(rate, rules) for rate in rates], default=0.0)
    return left + _TEXT_MM + EDGE_MM, right + _TEXT_MM + EDGE_MM


def _row_mm(rows: int, legend_mm: float, bars: int) -> float:
    """Return the height of a row: lower where a page would not hold them all, never lower than its words."""
    others = legend_mm + 2 * EDGE_MM + 3 * GAP_MM + bars * (BAR_MM + GAP_MM)
    return min(ROW_MM, max(LOWEST_ROW_MM, (PAGE_MM - others) / rows))


def _board(
    layers, cells, patients: int, across: float, sides: tuple[float, float], legend_mm: float, row: float
):
    """Return the board with its genes, exactly `across` mm wide, and how much of its place a cell fills."""
    room = across - sum(sides)
    wide = min(room, _WIDEST_CELL_MM * patients)
    margin = (EDGE_MM, sides[1] + room - wide, legend_mm + EDGE_MM + GAP_MM, sides[0])
    rows = len(layers[0])
    board = WhiteBoard(
        width=wide / MM_PER_INCH,
        height=row * rows / MM_PER_INCH,
        margin=tuple(side / MM_PER_INCH for side in margin),
    )
    each = wide / patients
    # Cells of many patients are thin: white between them would take more than it shows.
    space = _SPACE_MM if each > _THIN_MM else 0.0
    cell = (1 - space / each, 1 - _SPACE_MM / row)
    board.add_layer(LayersMesh(layers=layers, pieces=cells, shrink=cell))
    return board, cell


def _add_tracks(
    board, strips: list[parts.Strip], cell, row: float, *, has_change: bool, has_pfs: bool
) -> None:
    for place, strip in enumerate(reversed(strips)):  # the board grows upwards
        pieces = {color: strip.cells.get(color, parts.Cell(color)) for color in set(strip.colors)}
        mesh = LayersMesh(data=strip.colors.reshape(1, -1), pieces=pieces, shrink=cell)
        gap = 0.0 if place else GAP_MM
        board.add_top(mesh, name=strip.name, size=row / MM_PER_INCH, pad=gap / MM_PER_INCH)
    if has_change:
        board.add_canvas("top", name="change", size=BAR_MM / MM_PER_INCH, pad=GAP_MM / MM_PER_INCH)
    if has_pfs:
        board.add_canvas("bottom", name="pfs", size=BAR_MM / MM_PER_INCH, pad=GAP_MM / MM_PER_INCH)


def _name_rows(board, genes: list[str], rates: dict, strips: list[parts.Strip], rules: Any) -> None:
    look = {"size": rules.small_size_pt, "va": "center", "textcoords": "offset points"}
    away = _TEXT_MM / style.MM_PER_POINT
    grid = board.get_main_ax()
    for row, gene in enumerate(genes):
        grid.annotate(gene, (0, row + 0.5), (-away, 0), ha="right", style="italic", **look)
        end = (grid.get_xlim()[1], row + 0.5)
        grid.annotate(rates[gene], end, (away, 0), ha="left", **look)
    if not genes:
        grid.annotate(_NONE_ALTERED, (0, 0.5), (-away, 0), ha="right", **look)
    for strip in strips:
        board.get_ax(strip.name).annotate(strip.name, (0, 0.5), (-away, 0), ha="right", **look)


def _draw_changes(axes, shown: pd.DataFrame, rules: Any) -> None:
    cap, values = rules.waterfall_cap_percent, shown["PCTCHANGE"].to_numpy(float)
    classes = shown["MRESP"].fillna("NE") if "MRESP" in shown else pd.Series("", shown.index)
    colors = [style.color_of(name, 0, rules) if name else style.MUTED for name in classes]
    middle = np.arange(len(values)) + 0.5
    axes.bar(middle, np.minimum(values, cap), width=0.8, color=colors)
    over = values > cap
    axes.plot(middle[over], np.full(over.sum(), cap), "^", ms=2.6, color=style.INK, clip_on=False)
    axes.axhline(0, color=style.INK, lw=0.5)
    _finish_bars(axes, np.minimum(values, cap), "Change, %", rules)


def _draw_pfs(axes, shown: pd.DataFrame, rules: Any) -> None:
    values = shown["PFS_MONTHS"].to_numpy(float)
    middle = np.arange(len(values)) + 0.5
    axes.bar(middle, values, width=0.8, color=style.MUTED)
    event = shown["PFS_EVENT"] if "PFS_EVENT" in shown else pd.Series(1, shown.index)
    open_end = event.eq(0).to_numpy(bool) & ~np.isnan(values)
    axes.plot(middle[open_end], values[open_end], "^", ms=2.6, color=style.INK, clip_on=False)
    _finish_bars(axes, values, "PFS, months", rules)


def _finish_bars(axes, values: np.ndarray, name: str, rules: Any) -> None:
    low, high = min(0.0, 1.05 * float(np.nanmin(values))), max(1.05 * float(np.nanmax(values)), 0.0)
    axes.set(xlim=(0, len(values)), ylim=(low, high if high > low else low + 1), xticks=[])
    axes.set_yticks(_three_ticks(low, high))
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.annotate(
        name, (0, 0.5), (-23, 0), xycoords="axes fraction", textcoords="offset points",
        ha="right", va="center", size=rules.small_size_pt,
    )  # fmt: skip


def _three_ticks(low: float, high: float) -> list[float]:
    """Return 0 and a round number towards each end that the bars reach."""
    steps = np.array([1, 2, 5, 10, 20, 25, 50, 100, 200])
    reach = max(abs(low), abs(high))
    ends = [
        sign * steps[steps <= max(abs(end), 1)][-1]
        for end, sign in ((low, -1), (high, 1))
        if abs(end) >= max(1, 0.3 * reach)
    ]
    return sorted({0.0, *map(float, ends)})
