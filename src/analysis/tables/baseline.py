"""Table one: who the patients are, by group. Describes and does not test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.tables.format import MISSING, count_percent, number

ALL = "All"


@dataclass(frozen=True)
class Characteristic:
    """One block of table one.

    Attributes
    ----------
    column : str
        Column of the frame.
    label : str
        What the reader sees, with the unit.
    kind : {"median", "levels", "yes"}
        Median (IQR) of a number; count of every level; count of ``"Y"`` alone.
    decimals : int
        Digits of a median.
    """

    column: str
    label: str
    kind: str
    decimals: int = 0


DEFAULT = (
    Characteristic("AGE", "Age, years", "median"),
    Characteristic("SEX", "Sex", "levels"),
    Characteristic("ECOG", "ECOG performance status", "levels"),
    Characteristic("VISCFL", "Visceral disease", "yes"),
    Characteristic("BONEONLY", "Bone-only disease", "yes"),
    Characteristic("PRIORCHM", "Chemotherapy for advanced disease before", "yes"),
    Characteristic("ENDOSENS", "Sensitive to endocrine therapy before", "yes"),
    Characteristic("PILOTFL", "Pilot phase", "yes"),
    Characteristic("SITEID", "Site", "levels"),
)
LEVELS = {"SEX": {"F": "Female", "M": "Male"}}


def tabulate_baseline(
    frame: pd.DataFrame,
    characteristics: Sequence[Characteristic] = DEFAULT,
    *,
    group: str | None = None,
    group_order: Sequence[str] | None = None,
    group_labels: dict[str, str] | None = None,
) -> pd.DataFrame:
    """Tabulate characteristics of patients: median (IQR) and n (%), by group and for all.

    Percentages are of the patients whose value is known; patients without a value have their own line.
    A characteristic the study does not have (no such column, or nothing in it) is left out.

    Parameters
    ----------
    frame : DataFrame
        One row a patient (ADSL with a group column joined on).
    characteristics : sequence of Characteristic
        What to describe, in order.
    group : str, optional
        Column with the group; patients with a missing group count only under "All".
    group_order : sequence of str, optional
        Groups in order; sorted if absent.
    group_labels : dict, optional
        Group -> text of its header.

    Returns
    -------
    DataFrame
        Columns ``Characteristic``, one a group (``label (n = ..)``), ``All (n = ..)``; levels are indented by
        two spaces.

    Raises
    ------
    ValueError
        If the frame has no rows, or a kind is unknown.
    """
    if frame.empty:
        raise ValueError("table one needs at least one patient")
    parts = {f"{ALL} (n = {len(frame)})": frame}
    if group is not None:
        order = group_order or sorted(frame[group].dropna().unique())
        names = group_labels or {}
        inside = {value: frame[frame[group] == value] for value in order}
        parts = {f"{names.get(v, v)} (n = {len(rows)})": rows for v, rows in inside.items()} | parts
    lines: list[dict[str, str]] = []
    for item in characteristics:
        if item.column in frame and frame[item.column].notna().any():
            lines += _block(
                item, frame[item.column], {name: rows[item.column] for name, rows in parts.items()}
            )
    return pd.DataFrame(lines, columns=["Characteristic", *parts])


def _block(item: Characteristic, everyone: pd.Series, parts: dict[str, pd.Series]) -> list[dict[str, str]]:
    if item.kind == "median":
        lines = [_line(f"{item.label}, median (IQR)", parts, lambda values: _median(values, item.decimals))]
    elif item.kind == "yes":
        lines = [_line(f"{item.label}, n (%)", parts, lambda values: _share(values, "Y"))]
    elif item.kind == "levels":
        lines = [_line(f"{item.label}, n (%)", parts, lambda values: "")]
        lines += [
            _line(f"  {_level(item.column, level)}", parts, lambda values, level=level: _share(values, level))
            for level in sorted(everyone.dropna().unique())
        ]
    else:
        raise ValueError(f"kind of {item.column} must be median, levels or yes, found {item.kind!r}")
    if everyone.isna().any():
        lines.append(_line("  Missing", parts, lambda values: str(int(values.isna().sum()))))
    return lines


def _line(label: str, parts: dict[str, pd.Series], text) -> dict[str, str]:
    return {"Characteristic": label} | {name: text(values) for name, values in parts.items()}


def _median(values: pd.Series, decimals: int) -> str:
    known = values.dropna().astype(float)
    if known.empty:
        return MISSING
    low, middle, high = (number(known.quantile(share), decimals) for share in (0.25, 0.5, 0.75))
    return f"{middle} ({low}–{high})"


def _share(values: pd.Series, level) -> str:
    known = values.dropna()
    return count_percent(int((known == level).sum()), len(known))


def _level(column: str, level) -> str:
    if isinstance(level, float) and level.is_integer():
        level = int(level)
    return str(LEVELS.get(column, {}).get(level, level))
