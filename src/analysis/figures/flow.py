"""Flow of patients through the analysis, drawn from counts that must reconcile."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.figures import style
from analysis.figures.abbreviations import spelled_out
from analysis.tables.words import GROUPS

PAD, GAP, MARGIN = 2.2, 6.0, 1.0  # mm: inside a box, between boxes, at the edge


def count_flow(
    ledger: pd.DataFrame,
    subjects: Sequence[str],
    stages: Mapping[str, str],
    start: str,
    *,
    words: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Count patients from the exclusions ledger: who is left after each step, and why the others are not.

    A patient leaves once, at the first step (in the order of `stages`) that sets the *subject* aside.

    Parameters
    ----------
    ledger : DataFrame
        ``exclusions_NN`` joined: STEP USUBJID ITEM CODE REASON (rows of other items are not patients).
    subjects : sequence of str
        Everyone the flow starts with.
    stages : mapping
        STEP -> what the patients are who remain after that step, in order.
    start : str
        What the patients are at the start.
    words : mapping, optional
        CODE -> short reason for the box; else the first clause of the ledger's REASON.

    Returns
    -------
    tuple of DataFrame
        Stages (STAGE, N) and excluded (STAGE they were in, REASON, N; the most frequent reason first), as
        `plot_flow` expects.
    """
    remaining = set(subjects)
    rows, excluded, before = [(start, len(remaining))], [], start
    for step, label in stages.items():
        mine = (ledger["STEP"] == step) & (ledger["ITEM"] == "subject") & ledger["USUBJID"].isin(remaining)
        leaving = ledger[mine].drop_duplicates("USUBJID")
        reasons = [
            (words or {}).get(code) or _first_clause(text)
            for code, text in zip(leaving["CODE"], leaving["REASON"])
        ]
        counts = sorted(Counter(reasons).items(), key=lambda item: (-item[1], item[0]))
        excluded += [(before, reason, n) for reason, n in counts]
        remaining -= set(leaving["USUBJID"])
        rows.append((label, len(remaining)))
        before = label
    return pd.DataFrame(rows, columns=["STAGE", "N"]), pd.DataFrame(
        excluded, columns=["STAGE", "REASON", "N"]
    )


@style.drawn
def plot_flow(
    stages: pd.DataFrame,
    excluded: pd.DataFrame,
    *,
    split: pd.DataFrame | None = None,
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw a flow diagram: stages downward, those who leave to the right, final groups at the foot.

    Parameters
    ----------
    stages : DataFrame
        STAGE (text), N (patients), in order.
    excluded : DataFrame
        STAGE (the stage they were in), REASON (text), N. May be empty.
    split : DataFrame, optional
        GROUP, N: parts of the last stage.
    width : {"column", "half", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        The diagram; its height follows from the text.

    Raises
    ------
    ValueError
        If the counts of two neighbouring stages do not differ by those excluded between them, or the parts
        do not add up to the last stage: a diagram that does not reconcile is not drawn.
    """
    check_flow(stages, excluded, split)
    across = style.width_mm(width, rules)
    half = (across - 2 * MARGIN - GAP) / 2
    boxes = [_Box(f"{row.STAGE}\n", int(row.N), half, rules) for row in stages.itertuples()]
    asides = [_aside(excluded[excluded["STAGE"] == stage], half, rules) for stage in stages["STAGE"]]
    parts = [] if split is None else _parts(_in_order(split), across - 2 * MARGIN, rules)
    tops, height = _layout(boxes, asides, parts)
    figure = style.new_figure(width, height, rules)
    axes = style.canvas_mm(figure)
    spine = MARGIN + half / 2
    for index, (box, top) in enumerate(zip(boxes, tops)):
        box.draw(axes, MARGIN, top)
        if index + 1 < len(boxes):
            _arrow(axes, (spine, top + box.height), (spine, tops[index + 1]))
        if asides[index] is not None:
            beside = top + box.height + GAP / 2
            asides[index].draw(axes, MARGIN + half + GAP, beside, fill=style.SHADE)
            middle = beside + asides[index].height / 2
            _arrow(axes, (spine, middle), (MARGIN + half + GAP, middle))
    if parts:
        _draw_split(axes, parts, spine, tops[-1] + boxes[-1].height, MARGIN)
    return figure


def check_flow(stages: pd.DataFrame, excluded: pd.DataFrame, split: pd.DataFrame | None = None) -> None:
    """Raise ValueError unless every patient of a stage is in the next one or among its excluded."""
    unknown = sorted(set(excluded["STAGE"]) - set(stages["STAGE"].iloc[:-1]))
    if unknown:
        raise ValueError(f"patients leave from {unknown}, which is no stage with a next one")
    for before, after in zip(stages.iloc[:-1].itertuples(), stages.iloc[1:].itertuples()):
        left = int(excluded.loc[excluded["STAGE"] == before.STAGE, "N"].sum())
        if before.N - left != after.N:
            raise ValueError(
                f"counts do not reconcile: {before.N} in {before.STAGE!r} less {left} excluded is not "
                f"{after.N} in {after.STAGE!r}"
            )
    if split is not None and split["N"].sum() != stages["N"].iloc[-1]:
        raise ValueError(
            f"groups add up to {split['N'].sum()}, not to {stages['N'].iloc[-1]} of the last stage"
        )


@spelled_out
def caption_flow(stages: pd.DataFrame, excluded: pd.DataFrame) -> str:
    """Write the caption of the flow diagram from its counts."""
    first, last = stages.iloc[0], stages.iloc[-1]
    lost = int(first["N"] - last["N"])
    return (
        f"Flow of patients. Of {first['N']} patients ({_lower(first['STAGE'])}), {last['N']} are in the last "
        f"box ({_lower(last['STAGE'])}); {lost} left on the way, each once, at the first step that set them "
        "aside. Drawn from the exclusions ledger."
    )


def alt_flow(stages: pd.DataFrame, excluded: pd.DataFrame, split: pd.DataFrame | None = None) -> str:
    """Describe the flow diagram for a reader who cannot see it."""
    steps = "; then ".join(f"{row.STAGE}: {row.N}" for row in stages.itertuples())
    left = "; ".join(f"{row.REASON}: {row.N}" for row in excluded.itertuples()) or "none"
    ends = (
        ""
        if split is None
        else " Groups: " + "; ".join(f"{r.GROUP}: {r.N}" for r in split.itertuples()) + "."
    )
    return f"Flow diagram. {steps}. Excluded: {left}.{ends}"


class _Box:
    """A box of wrapped text whose height follows from the text."""

    def __init__(self, text: str, n: int | None, width: float, rules: Any, *, align: str = "center"):
        size, family = rules.font_size_pt, rules.font_family
        lines = text.strip().split("\n")
        wrapped = [style.wrap(line, width - 2 * PAD, size, family) for line in lines]
        self.text = "\n".join([*wrapped, *([f"n = {n}"] if n is not None else [])])
        self.width, self.size, self.align = width, size, align
        self.height = (self.text.count("\n") + 1) * style.line_height_mm(size) + 2 * PAD

    def draw(self, axes, left: float, top: float, fill: str = "white") -> None:
        axes.add_patch(Rectangle((left, top), self.width, self.height, fc=fill, ec=style.INK, lw=0.7))
        x = left + (self.width / 2 if self.align == "center" else PAD)
        axes.text(
            x,
            top + self.height / 2,
            self.text,
            ha=self.align,
            va="center",
            size=self.size,
            linespacing=style.LINE_SPACING,
        )


def _aside(rows: pd.DataFrame, width: float, rules: Any) -> _Box | None:
    if rows.empty:
        return None
    lines = [
        f"Excluded (n = {rows['N'].sum()})",
        *[f"{row.REASON} (n = {row.N})" for row in rows.itertuples()],
    ]
    return _Box("\n".join(lines), None, width, rules, align="left")


def _in_order(split: pd.DataFrame) -> pd.DataFrame:
    """Sort the groups as every other figure lists them; groups without a place keep theirs, last."""
    known = [*GROUPS.values()]
    place = split["GROUP"].map(lambda name: known.index(name) if name in known else len(known))
    return split.loc[place.sort_values(kind="stable").index]


def _parts(split: pd.DataFrame, room: float, rules: Any) -> list[_Box]:
    width = (room - GAP * (len(split) - 1)) / len(split)
    boxes = [_Box(row.GROUP, int(row.N), width, rules) for row in split.itertuples()]
    tallest = max(box.height for box in boxes)
    for box in boxes:
        box.height = tallest
    return boxes


def _layout(boxes: list[_Box], asides: list[_Box | None], parts: list[_Box]) -> tuple[list[float], float]:
    tops, y = [], MARGIN
    for box, aside in zip(boxes, asides):
        tops.append(y)
        y += box.height + (GAP if aside is None else GAP + aside.height)
    y += -GAP + (2 * GAP + parts[0].height if parts else 0)
    return tops, y + MARGIN


def _draw_split(axes, parts: list[_Box], spine: float, below: float, left: float) -> None:
    bar, top = below + GAP, below + 2 * GAP
    lefts = [left + index * (parts[0].width + GAP) for index in range(len(parts))]
    centers = [x + parts[0].width / 2 for x in lefts]
    axes.plot([spine, spine], [below, bar], color=style.INK, lw=0.7)
    axes.plot([min([spine, *centers]), max([spine, *centers])], [bar, bar], color=style.INK, lw=0.7)
    for box, x, center in zip(parts, lefts, centers):
        _arrow(axes, (center, bar), (center, top))
        box.draw(axes, x, top)


def _arrow(axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate(
        "",
        xy=end,
        xytext=start,
        arrowprops={
            "arrowstyle": "-|>",
            "color": style.INK,
            "lw": 0.7,
            "shrinkA": 0,
            "shrinkB": 0,
            "mutation_scale": 7,
        },
    )


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _first_clause(text: str) -> str:
    return re.split(r"[;:]|\. ", text, maxsplit=1)[0].strip().rstrip(".")
