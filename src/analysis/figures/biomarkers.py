"""Biomarker figures: oncoprint, volcano, metabolic response against ctDNA, ctDNA over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from analysis.figures import style
from analysis.tables.format import p_value

LEFT_MM, RIGHT_MM, ROW_MM, GAP_MM, BAR_MM, FOOT_MM = 24.0, 16.0, 4.4, 2.0, 14.0, 15.0
KINDS = {"AMPLIFIED": "Amplified", "DELETED": "Deep deletion", "MUTATED": "Mutated"}
_KIND_COLOR = {"AMPLIFIED": "#CC79A7", "DELETED": "#1A1A1A", "MUTATED": "#009E73"}
_WILD, _UNKNOWN = "#E6E6E6", "#FFFFFF"
_MEASURES = {
    "NONRESPONSE": ("Odds ratio of metabolic non-response", True),
    "PCTCHANGE": ("Shift of the change in uptake, percentage points", False),
    "PFS": ("Hazard ratio, progression-free survival", True),
    "OS": ("Hazard ratio, overall survival", True),
}
_MOST_LABELS = 6


@style.drawn
def plot_oncoprint(
    alterations: pd.DataFrame, tracks: pd.DataFrame, *, width: str | float = "page", rules: Any = None
) -> Figure:
    """Draw patients x genes, patients ordered by response, with tracks for PET, ctDNA and PFS.

    Parameters
    ----------
    alterations : DataFrame
        USUBJID, GENE, KIND (MUTATED, AMPLIFIED, DELETED), one row an alteration. Genes are drawn in the order
        in which a categorical GENE has them, else by falling frequency.
    tracks : DataFrame
        One row a patient, index USUBJID: SEQUENCED (bool), MRESP, PCTCHANGE (percent), any of CTDNA_<visit>
        (DETECTED, NOT DETECTED, NOT ASSESSABLE or missing), PFS_MONTHS and PFS_EVENT.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        The oncoprint; percentages are of the sequenced patients.

    Raises
    ------
    ValueError
        If no patient was sequenced.
    """
    if not tracks["SEQUENCED"].any():
        raise ValueError("no patient has a sequenced tumour sample: leave the figure out and say why")
    shown, genes = _ordered(tracks), _genes(alterations)
    strips = ["MRESP", *[name for name in shown.columns if name.startswith("CTDNA_")]]
    has_pfs = "PFS_MONTHS" in shown
    height = BAR_MM + ROW_MM * (len(strips) + len(genes)) + 3 * GAP_MM + has_pfs * (BAR_MM + GAP_MM) + FOOT_MM
    figure = style.new_figure(width, height, rules)
    room, top = style.width_mm(width, rules) - LEFT_MM - RIGHT_MM, height - GAP_MM
    top = _draw_bars(
        figure, shown["PCTCHANGE"], "Change, %", top, room, rules, cap=rules.waterfall_cap_percent
    )
    top = _draw_strips(figure, shown, strips, top, room, rules)
    top = _draw_genes(figure, alterations, shown, genes, top, room, rules)
    if has_pfs:
        _draw_bars(
            figure, shown["PFS_MONTHS"], "PFS, months", top, room, rules, censored=shown["PFS_EVENT"].eq(0)
        )
    handles = _oncoprint_legend(shown, strips, has_pfs, rules)
    figure.legend(handles=handles, loc="lower left", ncols=4, bbox_to_anchor=(0.01, 0.0), columnspacing=1.4)
    return figure


def caption_oncoprint(alterations: pd.DataFrame, tracks: pd.DataFrame) -> str:
    """Write the caption of an oncoprint from its data."""
    sequenced = int(tracks["SEQUENCED"].sum())
    text = (
        f"Alterations by patient (n = {len(tracks)}, {sequenced} with a sequenced tumour sample), "
        "non-responders first, then by the change in uptake. Percentages are of the sequenced patients. "
        "White column: no sample. Exploratory."
    )
    top = alterations.drop_duplicates(["USUBJID", "GENE"])["GENE"].astype(str).value_counts()
    return text if top.empty else f"{text} Most often altered: {top.index[0]} ({top.iloc[0]}/{sequenced})."


def alt_oncoprint(alterations: pd.DataFrame, tracks: pd.DataFrame) -> str:
    """Describe the oncoprint for a reader who cannot see it."""
    counts = alterations.drop_duplicates(["USUBJID", "GENE"])["GENE"].astype(str).value_counts()
    genes = "; ".join(f"{gene} {count}" for gene, count in counts.sort_index(kind="stable").items())
    return f"Grid of {len(tracks)} patients by {len(counts)} genes; patients altered: {genes or 'none'}."


@style.drawn
def plot_volcano(
    estimates: pd.DataFrame,
    *,
    outcome: str,
    fdr_level: float,
    width: str | float = "column",
    rules: Any = None,
) -> Figure:
    """Draw effect against p-value for every tested marker of one outcome; filled where q is small.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers: MARKER OUTCOME ESTIMATE P Q_BH TIER TESTED.
    outcome : {"NONRESPONSE", "PCTCHANGE", "PFS", "OS"}
        Outcome to draw.
    fdr_level : float
        Markers with Q_BH up to this are filled and named.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Returns
    -------
    Figure
        The volcano; an infinite ratio stands at the edge as a triangle.

    Raises
    ------
    ValueError
        If no marker of this outcome was tested.
    """
    shown = _tested(estimates, outcome)
    if shown.empty:
        raise ValueError(f"no marker was tested against {outcome}: leave the figure out and say why")
    label, is_ratio = _MEASURES[outcome]
    across = style.width_mm(width, rules)
    figure = style.new_figure(width, 90.0, rules)
    size_mm = (across - 17.0, 56.0)
    axes = style.axes_mm(figure, 13.0, 30.0, *size_mm)
    x, edge = _volcano_x(shown["ESTIMATE"], is_ratio)
    y = -np.log10(shown["P"].to_numpy(float))
    for index, (_, rows) in enumerate(shown.groupby("TIER", sort=True)):
        at = shown.index.isin(rows.index)
        _scatter(
            axes, x[at], y[at], rows["Q_BH"] <= fdr_level, np.isinf(rows["ESTIMATE"]), rules.cycle[index]
        )
    axes.axvline(0, color=style.GRID, lw=0.6, zorder=0)
    top = max(float(y.max()), 1.3) * 1.15
    axes.set(xlim=(-edge * 1.15, edge * 1.15), ylim=(0, top), ylabel="−log10 p (unadjusted)")
    axes.set_xlabel(f"{label}{' (log scale)' if is_ratio else ''}\nhigher = resistance")
    if is_ratio:
        _ratio_ticks(axes, edge)
    _name_points(axes, shown, x, y, fdr_level, size_mm, rules)
    handles = _volcano_legend(shown, fdr_level, rules)
    figure.legend(handles=handles, loc="lower left", ncols=2, bbox_to_anchor=(0.02, 0.01), columnspacing=1.2)
    return figure


def caption_volcano(estimates: pd.DataFrame, *, outcome: str, fdr_level: float) -> str:
    """Write the caption of a volcano from its data."""
    shown = _tested(estimates, outcome)
    listed = int(((estimates["OUTCOME"] == outcome) & (estimates["TESTED"] == "N")).sum())
    small = shown.loc[shown["Q_BH"] <= fdr_level, "MARKER"].tolist()
    found = f"q ≤ {fdr_level:g}: {style.join_words(small)}." if small else f"No marker has q ≤ {fdr_level:g}."
    return (
        f"{_MEASURES[outcome][0]}, marker present against absent, for {len(shown)} tested markers; "
        f"{listed} more were too rare or not estimable and are listed only. {found} "
        "q is Benjamini-Hochberg within its tier. Exploratory."
    )


def alt_volcano(estimates: pd.DataFrame, *, outcome: str) -> str:
    """Describe the volcano for a reader who cannot see it."""
    shown = _tested(estimates, outcome)
    first = shown.sort_values(["P", "MARKER"], kind="stable").iloc[0]
    smallest = f"smallest p {p_value(first['P'])} for {first['MARKER']} (q {p_value(first['Q_BH'])})"
    return f"Scatter of {len(shown)} markers; {smallest}."


@style.drawn
def plot_pet_by_ctdna(table: pd.DataFrame, *, width: str | float = "column", rules: Any = None) -> Figure:
    """Draw metabolic response against ctDNA as a mosaic: areas are patients, numbers stand inside.

    Parameters
    ----------
    table : DataFrame
        MRESP, CTDNA, N and, optional, PFS_EVENTS for the four groups.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Raises
    ------
    ValueError
        If no patient has both results.
    """
    total = int(table["N"].sum())
    if total == 0:
        raise ValueError(
            "no patient has both a response and a ctDNA result: leave the figure out and say why"
        )
    figure = style.new_figure(width, 68.0, rules)
    axes = style.axes_mm(figure, 12.0, 17.0, style.width_mm(width, rules) - 16.0, 45.0)
    left, gap = 0.0, 0.02
    for response in ("RESPONDER", "NON-RESPONDER"):
        rows = table[table["MRESP"] == response].set_index("CTDNA")
        share = rows["N"].sum() / total
        _mosaic_column(axes, rows, left, share, rules)
        name = f"{style.label_of(response)}\n(n = {int(rows['N'].sum())})"
        axes.text(left + share / 2, -0.04, name, ha="center", va="top", size=rules.small_size_pt)
        left += share + gap
    axes.set(xlim=(0, 1 + gap), ylim=(0, 1), xticks=[], yticks=[0, 0.5, 1], yticklabels=["0", "50", "100"])
    axes.set_ylabel("Patients of the class, %")
    axes.spines["bottom"].set_visible(False)
    handles = [
        Patch(color=style.color_of(name, 0, rules), label=style.label_of(name))
        for name in ("DETECTED", "NOT DETECTED")
    ]
    figure.legend(handles=handles, loc="lower center", ncols=2)
    return figure


@style.drawn
def plot_ctdna_trajectories(
    draws: pd.DataFrame,
    *,
    progression: pd.Series | None = None,
    width: str | float = "page",
    rules: Any = None,
) -> Figure:
    """Draw the variant allele fraction over time, one line a patient, one panel a response class.

    Parameters
    ----------
    draws : DataFrame
        USUBJID, DAY (study day), VAF (fraction, missing where not detected), RESULT, LOD (fraction), MRESP. A
        failed assay is left out and breaks no line; a negative one stands at its limit of detection.
    progression : Series, optional
        Study day of progression, index USUBJID; marked on the line.
    width : {"column", "page"} or float
        Width, or mm.
    rules : Section, optional
        Section ``figures`` of the plan.

    Raises
    ------
    ValueError
        If no draw has a result with a fraction or a limit of detection.
    """
    shown = _with_level(draws)
    if shown.empty:
        raise ValueError(
            "no plasma result has a fraction or a limit of detection: leave the figure out and say why"
        )
    panels = [name for name in ("NON-RESPONDER", "RESPONDER", "NE") if (shown["MRESP"] == name).any()]
    across = style.width_mm(width, rules)
    figure = style.new_figure(width, 72.0, rules)
    each = (across - 18.0 - 3.0 * len(panels)) / len(panels)
    limits = (shown["LEVEL"].min() / 1.6, shown["LEVEL"].max() * 1.6)
    span = (shown["DAY"].min() - 5, shown["DAY"].max() + 8)
    for index, name in enumerate(panels):
        axes = style.axes_mm(figure, 18.0 + index * (each + 3.0), 20.0, each, 46.0)
        rows = shown[shown["MRESP"] == name]
        for _, one in rows.groupby("USUBJID", sort=True):
            _draw_trajectory(axes, one, progression, style.color_of(name, index, rules))
        axes.set(yscale="log", ylim=limits, xlim=span, xlabel="Study day")
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axes.set_title(f"{style.label_of(name)} (n = {rows['USUBJID'].nunique()})", loc="left")
        if index:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel("Largest variant allele fraction")
    figure.legend(
        handles=_trajectory_legend(progression is not None),
        loc="lower left",
        ncols=3,
        bbox_to_anchor=(0.05, 0),
    )
    return figure


# -- oncoprint ------------------------------------------------------------------------------------------


def _ordered(tracks: pd.DataFrame) -> pd.DataFrame:
    rank = tracks["MRESP"].map({"NON-RESPONDER": 0, "RESPONDER": 1}).fillna(2)
    keyed = tracks.assign(RANK=rank, NAME=tracks.index)
    return keyed.sort_values(["RANK", "PCTCHANGE", "NAME"], ascending=[True, False, True], kind="stable")


def _genes(alterations: pd.DataFrame) -> list[str]:
    if isinstance(alterations["GENE"].dtype, pd.CategoricalDtype):
        return alterations["GENE"].cat.categories.tolist()
    counts = alterations.drop_duplicates(["USUBJID", "GENE"]).groupby("GENE").size()
    return counts.reset_index(name="n").sort_values(["n", "GENE"], ascending=[False, True])["GENE"].tolist()


def _strip_axes(figure: Figure, top: float, room: float, rows: int, patients: int):
    axes = style.axes_mm(figure, LEFT_MM, top - ROW_MM * rows, room, ROW_MM * rows)
    axes.set(xlim=(0, patients), ylim=(rows, 0))
    axes.set_axis_off()
    return axes


def _draw_bars(
    figure, values: pd.Series, name: str, top: float, room: float, rules, *, cap=np.inf, censored=None
) -> float:
    axes = style.axes_mm(figure, LEFT_MM, top - BAR_MM, room, BAR_MM)
    middle = np.arange(len(values)) + 0.5
    axes.bar(middle, values.clip(upper=cap), width=0.8, color=style.MUTED)
    if censored is not None:
        at = censored.to_numpy(bool) & values.notna().to_numpy()
        axes.plot(middle[at], values.to_numpy(float)[at], marker=">", ls="", ms=2.2, color=style.INK)
    axes.axhline(0, color=style.INK, lw=0.5)
    axes.set(xlim=(0, len(values)), xticks=[])
    axes.set_ylabel(name, size=rules.small_size_pt)
    axes.spines["bottom"].set_visible(False)
    axes.set_ylim(min(0.0, 1.05 * float(values.min())), 1.05 * float(values.clip(upper=cap).max()))
    axes.set_yticks(_three_ticks(*axes.get_ylim()))
    axes.yaxis.set_label_coords(-14.0 / room, 0.5)
    return top - BAR_MM - GAP_MM


def _three_ticks(low: float, high: float) -> list[float]:
    """Return 0 and a round number towards each end that the bars reach."""
    steps = np.array([1, 2, 5, 10, 20, 25, 50, 100, 200])
    ends = [
        sign * steps[steps <= max(abs(end), 1)][-1] for end, sign in ((low, -1), (high, 1)) if abs(end) >= 1
    ]
    return sorted({0.0, *map(float, ends)})


def _draw_strips(figure, shown: pd.DataFrame, strips: list[str], top: float, room: float, rules) -> float:
    axes = _strip_axes(figure, top, room, len(strips), len(shown))
    for row, name in enumerate(strips):
        visit = style.label_of(name.removeprefix("CTDNA_"))
        label = "PET response" if name == "MRESP" else f"ctDNA, {visit.lower()}"
        axes.text(-0.4, row + 0.5, label, ha="right", va="center", size=rules.small_size_pt)
        for column, value in enumerate(shown[name]):
            _cell(axes, column, row, _class_color(value, rules), outline=not isinstance(value, str))
    return top - ROW_MM * len(strips) - GAP_MM


def _class_color(value: Any, rules: Any) -> str:
    if not isinstance(value, str):
        return _UNKNOWN
    return rules.palette["NE"] if value == "NOT ASSESSABLE" else style.color_of(value, 6, rules)


def _draw_genes(
    figure, alterations, shown: pd.DataFrame, genes: list[str], top: float, room: float, rules
) -> float:
    axes = _strip_axes(figure, top, room, len(genes), len(shown))
    place = {subject: column for column, subject in enumerate(shown.index)}
    sequenced = shown["SEQUENCED"].to_numpy(bool)
    for row, gene in enumerate(genes):
        axes.text(-0.4, row + 0.5, gene, ha="right", va="center", size=rules.small_size_pt, style="italic")
        for column in range(len(shown)):
            _cell(axes, column, row, _WILD if sequenced[column] else _UNKNOWN, outline=not sequenced[column])
        own = alterations[(alterations["GENE"] == gene) & alterations["USUBJID"].isin(shown.index)]
        for kind in KINDS:
            for subject in own.loc[own["KIND"] == kind, "USUBJID"]:
                _cell(axes, place[subject], row, _KIND_COLOR[kind], narrow=kind == "MUTATED")
        count, of = own["USUBJID"].nunique(), int(sequenced.sum())
        text = f"{count} ({100 * count / of:.0f} %)"
        axes.text(len(shown) + 0.3, row + 0.5, text, va="center", size=rules.small_size_pt)
    return top - ROW_MM * len(genes) - GAP_MM


def _cell(axes, column: int, row: int, color: str, *, narrow: bool = False, outline: bool = False) -> None:
    tall = 0.34 if narrow else 0.86
    edge = style.GRID if outline else "none"
    axes.add_patch(
        Rectangle((column + 0.08, row + (1 - tall) / 2), 0.84, tall, facecolor=color, edgecolor=edge, lw=0.4)
    )


def _oncoprint_legend(shown: pd.DataFrame, strips: list[str], has_pfs: bool, rules: Any) -> list:
    names = [name for name in ("NON-RESPONDER", "RESPONDER", "NE") if (shown["MRESP"] == name).any()]
    entries: list[Any] = [
        Patch(color=style.color_of(name, 0, rules), label=style.label_of(name)) for name in names
    ]
    plasma = pd.unique(shown[strips[1:]].to_numpy().ravel()) if len(strips) > 1 else []
    for name in ("DETECTED", "NOT DETECTED"):
        if name in plasma:
            entries.append(Patch(color=style.color_of(name, 0, rules), label=style.label_of(name)))
    if "NOT ASSESSABLE" in plasma:
        entries.append(Patch(color=rules.palette["NE"], label="ctDNA not assessable"))
    entries += [Patch(color=_KIND_COLOR[kind], label=label) for kind, label in KINDS.items()]
    entries.append(Patch(color=_WILD, label="Not altered"))
    entries.append(Patch(facecolor=_UNKNOWN, edgecolor=style.GRID, label="No sample or result"))
    if has_pfs:
        entries.append(Line2D([], [], marker=">", ls="", ms=3, color=style.INK, label="Censored"))
    return entries


# -- volcano ------------------------------------------------------------------------------------------


def _tested(estimates: pd.DataFrame, outcome: str) -> pd.DataFrame:
    own = estimates[(estimates["OUTCOME"] == outcome) & (estimates["TESTED"] == "Y")]
    return own[own["P"].notna() & own["ESTIMATE"].notna()].reset_index(drop=True)


def _volcano_x(estimate: pd.Series, is_ratio: bool) -> tuple[np.ndarray, float]:
    values = estimate.to_numpy(float)
    with np.errstate(divide="ignore"):
        x = np.log2(values) if is_ratio else values
    finite = np.abs(x[np.isfinite(x)])
    edge = max(float(finite.max()) if len(finite) else 0.0, 1.0)
    if not np.isfinite(x).all():
        edge *= 1.2
    return np.clip(x, -edge, edge), edge


def _scatter(axes, x, y, small, infinite, color: str) -> None:
    for is_small in (False, True):
        for is_infinite, marker in ((False, "o"), (True, "^")):
            at = (small.to_numpy(bool) == is_small) & (infinite.to_numpy(bool) == is_infinite)
            face = color if is_small else "none"
            axes.scatter(
                x[at], y[at], s=16, marker=marker, facecolors=face, edgecolors=color, lw=0.8, clip_on=False
            )


def _ratio_ticks(axes, edge: float) -> None:
    step = max(1, int(np.ceil(edge / 3)))
    ticks = np.arange(-step * int(edge // step), edge + 1e-9, step)
    axes.set_xticks(ticks, [f"{2.0**tick:.3g}" for tick in ticks])


def _name_points(
    axes, shown: pd.DataFrame, x, y, fdr_level: float, size_mm: tuple[float, float], rules
) -> None:
    """Name the markers with a small q, else the three smallest p, clear of points and names."""
    order = shown.sort_values(["P", "MARKER"], kind="stable").index
    small = [place for place in order if shown.loc[place, "Q_BH"] <= fdr_level]
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    points = np.column_stack([(x - x0) / (x1 - x0) * size_mm[0], (y - y0) / (y1 - y0) * size_mm[1]])
    taken: list[tuple[float, float, float, float]] = []
    for place in (small or list(order[:3]))[:_MOST_LABELS]:
        q_value = p_value(shown.loc[place, "Q_BH"], rules=rules)
        text = f"{shown.loc[place, 'MARKER'].replace('_', ' ')}, q {q_value}"
        box = _free_box(points, place, text, taken, size_mm, rules)
        taken.append(box)
        axes.text(
            box[0] / size_mm[0], box[1] / size_mm[1], text, transform=axes.transAxes, size=rules.small_size_pt
        )


def _free_box(points, place: int, text: str, taken: list, size_mm: tuple[float, float], rules) -> tuple:
    """Return left, bottom, right, top (mm) of the first free place beside the point, else the first."""
    wide = style.text_width_mm(text, rules.small_size_pt, rules.font_family)
    tall, (px, py) = style.line_height_mm(rules.small_size_pt), points[place]
    others = np.delete(points, place, axis=0)
    near = [(across, up) for up in (0.4, -tall - 0.2) for across in (1.2, -1.2 - wide)]
    # Above and below the point itself, a name needs more room than beside it.
    over = [(-wide / 2, 1.4), (-wide / 2, -tall - 1.4)]
    far = [(across, up) for up in (1.0 + tall, -1.0 - 2 * tall) for across in (1.2, -1.2 - wide)]
    places = [*near, *over, *far]
    boxes = [(px + across, py + up, px + across + wide, py + up + tall) for across, up in places]
    for box in boxes:
        inside = box[0] >= 0.5 and box[2] <= size_mm[0] + 2.0 and box[1] >= 0.5
        hidden = ((others > np.array(box[:2]) - 0.8) & (others < np.array(box[2:]) + 0.8)).all(axis=1).any()
        crossed = any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in taken)
        if inside and not hidden and not crossed:
            return box
    return boxes[0]


def _volcano_legend(shown: pd.DataFrame, fdr_level: float, rules: Any) -> list:
    names = {"CANDIDATE": "Candidate tier", "SCREEN": "Screen"}
    entries: list[Any] = [
        Line2D([], [], marker="o", ls="", ms=4, color=rules.cycle[index], label=names.get(tier, tier))
        for index, tier in enumerate(sorted(shown["TIER"].unique()))
    ]
    for text, face in ((f"q ≤ {fdr_level:g}", style.MUTED), (f"q > {fdr_level:g}", "none")):
        entries.append(
            Line2D([], [], marker="o", ls="", ms=4, color=style.MUTED, markerfacecolor=face, label=text)
        )
    if np.isinf(shown["ESTIMATE"]).any() or (shown["ESTIMATE"] == 0).any():
        entries.append(
            Line2D([], [], marker="^", ls="", ms=4, color=style.MUTED, label="infinite ratio, at the edge")
        )
    return entries


# -- ctDNA ------------------------------------------------------------------------------------------


def _mosaic_column(axes, rows: pd.DataFrame, left: float, share: float, rules: Any) -> None:
    low, total = 0.0, rows["N"].sum()
    for name in ("DETECTED", "NOT DETECTED"):
        count = int(rows["N"].get(name, 0))
        if count == 0:
            continue
        tall = count / total
        axes.add_patch(
            Rectangle((left, low), share, tall, facecolor=style.color_of(name, 0, rules), edgecolor="white")
        )
        text = f"{count}"
        if "PFS_EVENTS" in rows:
            text += f"\n{int(rows.loc[name, 'PFS_EVENTS'])} PFS events"
        axes.text(
            left + share / 2,
            low + tall / 2,
            text,
            ha="center",
            va="center",
            color="white",
            size=rules.small_size_pt,
        )
        low += tall


def _with_level(draws: pd.DataFrame) -> pd.DataFrame:
    assessed = draws[draws["RESULT"].isin(["DETECTED", "NOT DETECTED"])]
    level = assessed["VAF"].where(assessed["RESULT"] == "DETECTED", assessed["LOD"])
    shown = assessed.assign(LEVEL=level)
    return shown[(shown["LEVEL"] > 0) & shown["DAY"].notna()].sort_values(["USUBJID", "DAY"], kind="stable")


def _draw_trajectory(axes, one: pd.DataFrame, progression: pd.Series | None, color: str) -> None:
    axes.plot(one["DAY"], one["LEVEL"], color=color, lw=0.7, alpha=0.7, zorder=1)
    found = one["RESULT"] == "DETECTED"
    axes.plot(one.loc[found, "DAY"], one.loc[found, "LEVEL"], "o", ms=2.6, color=color, zorder=2)
    axes.plot(
        one.loc[~found, "DAY"], one.loc[~found, "LEVEL"], "v", ms=3, mfc="white", mec=color, mew=0.7, zorder=2
    )
    day = np.nan if progression is None else progression.get(one["USUBJID"].iloc[0], np.nan)
    if np.isfinite(day) and one["DAY"].min() <= day <= one["DAY"].max():
        level = np.exp(np.interp(day, one["DAY"], np.log(one["LEVEL"])))
        axes.plot([day], [level], "X", ms=5, color=style.INK, mew=0.3, mec="white", zorder=3)


def _trajectory_legend(has_progression: bool) -> list:
    entries = [
        Line2D([], [], marker="o", ls="", ms=3, color=style.MUTED, label="Detected"),
        Line2D(
            [],
            [],
            marker="v",
            ls="",
            ms=4,
            mfc="white",
            color=style.MUTED,
            label="Not detected, at its limit of detection",
        ),
    ]
    if has_progression:
        entries.append(Line2D([], [], marker="X", ls="", ms=5, color=style.INK, label="Progression"))
    return entries
