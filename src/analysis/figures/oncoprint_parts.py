"""Parts of the oncoprint: cells, the strips above the genes, and the legend in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from marsilea.layers import Piece
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.patches import Rectangle

from analysis.figures import style

KINDS = {"AMPLIFIED": "Amplified", "DELETED": "Deep deletion", "MUTATED": "Mutated"}
WILD, OFF_PANEL, YES, NO = "#E6E6E6", "#8C8C8C", "#4D4D4D", "#D9D9D9"
NOTHING = ""  # an empty, outlined cell: no sample, no result
CLEARANCE = {
    "++": "Stays detected (++)",
    "-+": "Appears (−+)",
    "+-": "Cleared (+−)",
    "--": "Never detected (−−)",
}
# How much of its cell a class fills: what differs in colour differs in height, and so in grey print.
TALL = {
    "RESPONDER": 0.45, "NOT DETECTED": 0.45, "N": 0.45, "-+": 0.75, "+-": 0.5, "--": 0.25,
}  # fmt: skip
CLASSES = ("NON-RESPONDER", "RESPONDER", "NE")
_NARROW, _DASH = 0.4, 0.14
_SCORES = LinearSegmentedColormap.from_list("scores", ["#542788", "#E6E6E6", "#B35806"])
_LETTER_MM, _SWATCH_MM, _BLOCK_MM = 3.6, 3.8, 5.0


class Cell(Piece):
    """A filled cell, as tall as `tall` of it, in the middle; outlined where it holds nothing."""

    def __init__(self, color: str, *, tall: float = 1.0, zorder: int = 0):
        self.color, self.tall, self.zorder = color, tall, zorder

    def draw(self, x, y, w, h, ax):
        """Return the rectangle of a cell."""
        edge = {"edgecolor": OFF_PANEL, "lw": 0.35} if self.color == NOTHING else {"lw": 0}
        face = "white" if self.color == NOTHING else self.color
        return Rectangle((x, y + h * (1 - self.tall) / 2), w, h * self.tall, facecolor=face, **edge)


class Entry(NamedTuple):
    """A line of the legend, perhaps a point of a scale: words, and cells one over the other, or a marker."""

    text: str
    cells: tuple[Cell, ...] = ()
    marker: str = ""
    on_scale: bool = False


class Strip(NamedTuple):
    """A row above the genes: name, a colour for each patient, block and lines of the legend, cells."""

    name: str
    colors: np.ndarray
    block: str
    entries: tuple[Entry, ...]
    cells: Mapping[str, Cell]


def gene_layers(
    alterations: pd.DataFrame, genes: list[str], shown: pd.DataFrame, rules: Any
) -> tuple[list[np.ndarray], list[Cell]]:
    """Return the layers of the grid, genes x patients, true where a cell is drawn, and what draws each."""
    sequenced = np.tile(shown["SEQUENCED"].to_numpy(bool), (max(len(genes), 1), 1))
    place = {gene: row for row, gene in enumerate(genes)}
    column = {subject: number for number, subject in enumerate(shown.index)}
    known = alterations[alterations["GENE"].isin(genes) & alterations["USUBJID"].isin(shown.index)]
    layers = {kind: np.zeros_like(sequenced) for kind in ("NOT ASSESSABLE", *KINDS)}
    for kind, rows in known[known["KIND"].isin(layers)].groupby("KIND", observed=True):
        layers[kind][rows["GENE"].map(place).astype(int), rows["USUBJID"].map(column).astype(int)] = True
    altered = np.logical_or.reduce([layers[kind] for kind in KINDS])
    off = layers.pop("NOT ASSESSABLE") & ~altered & sequenced
    drawn = [(sequenced & ~off, Cell(WILD)), (~sequenced & ~altered, Cell(NOTHING))]
    drawn += [(off, Cell(OFF_PANEL, tall=_DASH, zorder=1))]
    drawn += [(layer, kind_cell(kind, rules)) for kind, layer in layers.items()]
    return [layer for layer, _ in drawn], [cell for _, cell in drawn]


def kind_cell(kind: str, rules: Any) -> Cell:
    """Return the cell of an alteration: copy number fills it, a mutation is a bar over it."""
    mutated = kind == "MUTATED"
    return Cell(rules.palette[kind], tall=_NARROW if mutated else 1.0, zorder=3 if mutated else 2)


def gene_entries(layers: list[np.ndarray], cells: list[Cell], rules: Any) -> tuple[Entry, ...]:
    """Return the legend of the genes: the kinds that occur, wild type, off the panel, no sample."""
    present = {(cell.color, cell.tall) for layer, cell in zip(layers, cells, strict=True) if layer.any()}
    seen = lambda cell: (cell.color, cell.tall) in present
    kinds = {kind: kind_cell(kind, rules) for kind in reversed(KINDS)}
    found = [Entry(KINDS[kind], (Cell(WILD), cell)) for kind, cell in kinds.items() if seen(cell)]
    others = {"Not altered": Cell(WILD), "Not on the panel": Cell(OFF_PANEL, tall=_DASH)}
    return (*found, *(Entry(text, (cell,)) for text, cell in others.items() if seen(cell)))


def list_strips(shown: pd.DataFrame, clinical: Mapping[str, str], rules: Any) -> list[Strip]:
    """Return the strips the tracks have, from top to bottom: PET, ctDNA, clearance, clinical, signatures."""
    strips = [_classes("PET response", shown["MRESP"], "PET", rules)] if "MRESP" in shown else []
    for name in (name for name in shown if name.startswith("CTDNA_")):
        visit = style.label_of(name.removeprefix("CTDNA_"))
        strips.append(_classes(f"ctDNA, {visit.lower()}", shown[name], "ctDNA", rules))
    if "CLEARANCE" in shown:
        looks = {code: (rules.palette[code], text) for code, text in CLEARANCE.items()}
        strips.append(_coded("ctDNA clearance", shown["CLEARANCE"], "Clearance", looks))
    yes_no = {"Y": (YES, "Yes"), "N": (NO, "No")}
    for name, words in clinical.items():
        if name in shown and shown[name].isin(["Y", "N"]).any():
            strips.append(_coded(words, shown[name], "Clinical", yes_no))
    scores = [name for name in shown if name.startswith("SIGN_")]
    widest = np.nanmax(np.abs(shown[scores].to_numpy(float)), initial=0.0) if scores else 0.0
    return strips + [_score(name, shown[name], widest) for name in scores if shown[name].notna().any()]


def _classes(name: str, codes: pd.Series, block: str, rules: Any) -> Strip:
    order = CLASSES if block == "PET" else ("DETECTED", "NOT DETECTED", "NOT ASSESSABLE")
    grey = {"NE": rules.palette["NE"], "NOT ASSESSABLE": rules.palette["NE"]}
    words = {"DETECTED": "Detected", "NOT DETECTED": "Not detected", "NOT ASSESSABLE": "Not assessable"}
    looks = {
        code: (grey.get(code) or style.color_of(code, 6, rules), words.get(code) or style.label_of(code))
        for code in (*order, *sorted(set(codes.dropna()) - set(order)))
    }
    return _coded(name, codes, block, looks)


def _coded(name: str, codes: pd.Series, block: str, looks: Mapping[str, tuple[str, str]]) -> Strip:
    colors = np.array([looks.get(code, (NOTHING,))[0] for code in codes], dtype=object)
    there = set(codes.dropna())
    cells = {code: Cell(color, tall=TALL.get(code, 1.0)) for code, (color, _) in looks.items()}
    entries = tuple(Entry(text, (cells[code],)) for code, (_, text) in looks.items() if code in there)
    return Strip(name, colors, block, entries, {cell.color: cell for cell in cells.values()})


def _score(name: str, values: pd.Series, widest: float) -> Strip:
    widest = widest or 1.0
    paint = lambda value: to_hex(_SCORES(0.5 + 0.5 * value / widest))
    colors = np.array([NOTHING if pd.isna(v) else paint(v) for v in values], dtype=object)
    said = [(widest, f"+{widest:.1f}"), (0.0, "0"), (-widest, f"−{widest:.1f}")]
    entries = tuple(Entry(text, (Cell(paint(value)),), on_scale=True) for value, text in said)
    words = name.removeprefix("SIGN_").replace("_", " ").lower()
    return Strip(f"{words[:1].upper()}{words[1:]} score", colors, "Mean z-score", entries, {})


def list_blocks(
    genes: Iterable[Entry], strips: list[Strip], *, empty: bool, has_bars: bool
) -> dict[str, list[Entry]]:
    """Return the blocks of the legend by their heading, each line once."""
    blocks: dict[str, list[Entry]] = {"Tumour sample": list(genes)}
    for strip in strips:
        lines = blocks.setdefault(strip.block, [])
        lines += [entry for entry in strip.entries if entry.text not in [line.text for line in lines]]
    other = [Entry("No sample or result", (Cell(NOTHING),))] if empty else []
    other += [Entry("PFS censored", marker="^")] if has_bars else []
    return {head: lines for head, lines in ({**blocks, "Other": other}).items() if lines}


def place_blocks(blocks: Mapping[str, list[Entry]], room: float, rules: Any) -> tuple[list, float]:
    """Return where each block stands (mm from the upper left of the legend) and the height of all."""
    wide, placed, left, top, tall = lambda text: text_mm(text, rules), [], 0.0, 0.0, 0.0
    for head, entries in blocks.items():
        width = max([_SWATCH_MM + 1.2 + max(wide(entry.text) for entry in entries), 1.1 * wide(head)])
        if left and left + width > room:
            left, top, tall = 0.0, top + tall + 1.5, 0.0
        placed.append((head, entries, left, top))
        left += width + _BLOCK_MM
        tall = max(tall, _LETTER_MM * (1 + len(entries)))
    return placed, top + tall


def draw_legend(page, placed: list, left: float, top: float, rules: Any) -> None:
    """Draw the blocks of the legend on axes in mm (`style.canvas_mm`)."""
    size = rules.small_size_pt
    for head, entries, right, down in placed:
        x, y = left + right, top + down + _LETTER_MM / 2
        page.text(x, y, head, size=size, weight="bold", va="center")
        for entry in entries:
            y += _LETTER_MM
            for cell in entry.cells:
                page.add_patch(cell.draw(x, y - 1.3, _SWATCH_MM, 2.6, page))
            if entry.marker:
                page.plot([x + _SWATCH_MM / 2], [y], entry.marker, ms=3.2, color=style.INK)
            kind = style.ON_SCALE if entry.on_scale else None
            page.text(x + _SWATCH_MM + 1.2, y, entry.text, size=size, va="center", gid=kind)


def text_mm(text: str, rules: Any) -> float:
    """Measure a line of small text, mm."""
    return style.text_width_mm(text, rules.small_size_pt, rules.font_family)
