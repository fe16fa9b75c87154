"""A projection of a scan with its regions outlined, as a light SVG: a grey PNG under thin lines.

No matplotlib: a page a scan takes milliseconds, and the outline follows the pixels exactly.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from analysis import plan

REFERENCES = ("LIVER", "AORTA")
SIDES = {"CORONAL": ("R", "L"), "SAGITTAL": ("A", "P")}
_LETTER = 0.72  # width of a letter of the label's font, in font sizes


def encode_png(grey: np.ndarray) -> bytes:
    """Encode an 8-bit picture as PNG without metadata; the same picture gives the same bytes.

    Parameters
    ----------
    grey : ndarray of uint8, shape (rows, columns)
        0 black, 255 white.

    Returns
    -------
    bytes
        PNG.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey, np.uint8)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def trace(mask: np.ndarray) -> str:
    """Trace the border between the pixels of a region and all others, as an SVG path.

    Parameters
    ----------
    mask : ndarray of bool, shape (rows, columns)
        The region.

    Returns
    -------
    str
        Straight runs along pixel edges; x is the column, y the row, the first pixel covers 0 to 1.

    Examples
    --------
    >>> trace(np.array([[False, True]]))
    'M1 0h1M1 1h1M1 0v1M2 0v1'
    """
    padded = np.pad(mask, 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]  # a line above row r, over column c
    down = padded[1:-1, 1:] != padded[1:-1, :-1]  # a line left of column c, beside row r
    level = [f"M{start} {row}h{length}" for row, start, length in _runs(across)]
    upright = [f"M{column} {start}v{length}" for column, start, length in _runs(down.T)]
    return "".join(level + upright)


def _runs(lines: np.ndarray) -> list[tuple[int, int, int]]:
    """Return (line, start, length) of every run of True along the second axis."""
    edges = np.diff(np.pad(lines.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    begins, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return [(int(line), int(a), int(b - a)) for (line, a), (_, b) in zip(begins, ends, strict=True)]


def draw_projection(row: Any, *, labelled: bool = True, rules: Any = None) -> str:
    """Draw a projection: high uptake dark, lesions and reference regions outlined and named beside it.

    Parameters
    ----------
    row : mapping
        A row of the table ``mips``: VIEW ROWS COLUMNS PIXELS LABELS LABELNAMES.
    labelled : bool
        Write the names of the regions beside the picture, each joined to its region by a line.
    rules : Section, optional
        Section ``figures`` of the plan (`quality_*`).

    Returns
    -------
    str
        ``<svg>`` element that needs nothing from outside.

    Raises
    ------
    ValueError
        If PIXELS or LABELS does not fill ROWS x COLUMNS, or a label has no name.
    """
    rules = rules or plan.defaults().figures
    shape = (int(row["ROWS"]), int(row["COLUMNS"]))
    pixels, labels = _picture(row, "PIXELS", shape), _picture(row, "LABELS", shape)
    named = row["LABELNAMES"]
    names = named.split(";") if isinstance(named, str) and named else []
    if labels.max(initial=0) > len(names):
        raise ValueError(f"LABELS counts to {labels.max()}, LABELNAMES has {len(names)} names")
    size = rules.quality_label_share * shape[0]
    marks = _marks(labels, names, shape, size)
    left, right = (_gutter(marks, side, size) if labelled else 0.0 for side in (False, True))
    parts = [_backdrop(pixels, row["VIEW"], size), *(_outline(mark, rules) for mark in marks)]
    parts += [_callout(mark, shape, size, rules) for mark in marks] if labelled else []
    box = f"{-left:.1f} {-1.3 * size:.1f} {shape[1] + left + right:.1f} {shape[0] + 1.4 * size:.1f}"
    shown = ", ".join(mark["name"] for mark in marks) or "no region"
    alt = f"{row['VIEW'].capitalize()} projection; outlined: {shown}"
    return str(
        Markup('<svg class="mip" viewBox="{}" role="img" aria-label="{}" font-size="{:.1f}">').format(
            box, alt, size
        )
        + Markup("").join(Markup(part) for part in parts)
        + Markup("</svg>")
    )


def _gutter(marks: Sequence[dict[str, Any]], on_right: bool, size: float) -> float:
    """Return the room that the names beside the picture take."""
    widest = max([len(mark["name"]) for mark in marks if mark["on_right"] == on_right], default=0)
    return (widest * _LETTER + 1.0) * size if widest else 0.0


def _picture(row: Any, column: str, shape: tuple[int, int]) -> np.ndarray:
    found = row[column]
    if found is None:
        return np.zeros(shape, np.uint8)
    flat = np.frombuffer(found, np.uint8) if isinstance(found, bytes) else np.asarray(found)
    if flat.size != shape[0] * shape[1]:
        raise ValueError(f"{column} holds {flat.size} values, not {shape[0]} x {shape[1]}")
    return flat.reshape(shape)


def _marks(
    labels: np.ndarray, names: Sequence[str], shape: tuple[int, int], size: float
) -> list[dict[str, Any]]:
    """Return what is outlined, each with the side and height its name stands at."""
    marks = []
    for number, name in enumerate(names, start=1):
        mask = labels == number
        if not mask.any():
            continue
        rows, columns = np.nonzero(mask)
        centre = (columns.mean() + 0.5, rows.mean() + 0.5)
        marks.append({"name": name, "path": trace(mask), "centre": centre, "right": columns.max() + 1,
                      "left": columns.min(), "reference": name in REFERENCES})  # fmt: skip
    ordered = sorted(marks, key=lambda mark: (mark["centre"][0], mark["name"]))
    for at, mark in enumerate(ordered):  # as many names on one side as on the other, so that both fit
        middle = shape[1] / 2
        mark["on_right"] = mark["centre"][0] > middle if len(ordered) < 8 else at >= len(ordered) / 2
    for side in (False, True):
        group = sorted((m for m in marks if m["on_right"] == side), key=lambda m: m["centre"][1])
        heights = _spread([m["centre"][1] for m in group], 1.15 * size, shape[0] - size)
        for mark, height in zip(group, heights, strict=True):
            mark["height"] = height
    return marks


def _spread(wanted: Sequence[float], step: float, room: float) -> list[float]:
    """Move heights apart until each has `step`, without leaving the picture where there is room."""
    step = min(step, room / max(len(wanted), 1))
    placed: list[float] = []
    for height in wanted:
        placed.append(max(height, placed[-1] + step if placed else step))
    limit = room
    for at in reversed(range(len(placed))):
        placed[at] = min(placed[at], limit)
        limit = placed[at] - step
    return placed


def _backdrop(pixels: np.ndarray, view: str, size: float) -> str:
    height, width = pixels.shape
    source = base64.b64encode(encode_png(255 - pixels)).decode()
    left, right = SIDES.get(view, ("", ""))
    return (
        f'<image width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{source}"/>'
        f'<rect class="frame" width="{width}" height="{height}"/>'
        f'<text class="side" x="0.5" y="{-0.25 * size:.1f}">{left}</text>'
        f'<text class="side end" x="{width - 0.5:.1f}" y="{-0.25 * size:.1f}">{right}</text>'
    )


def _colour(mark: dict[str, Any], rules: Any) -> str:
    return rules.quality_colours["reference" if mark["reference"] else "lesion"]


def _outline(mark: dict[str, Any], rules: Any) -> str:
    return f'<path class="outline" stroke="{_colour(mark, rules)}" d="{mark["path"]}"/>'


def _title(mark: dict[str, Any]) -> str:
    return mark["name"].capitalize() if mark["reference"] else mark["name"]


def _callout(mark: dict[str, Any], shape: tuple[int, int], size: float, rules: Any) -> str:
    colour, at = _colour(mark, rules), mark["height"]
    edge, text, anchor = (
        (shape[1], shape[1] + 0.5 * size, "start") if mark["on_right"] else (0, -0.5 * size, "end")
    )
    near = mark["right"] if mark["on_right"] else mark["left"]
    return (
        f'<path class="lead" stroke="{colour}" d="M{near:.1f} {mark["centre"][1]:.1f}L{edge} {at:.1f}"/>'
        f'<text x="{text:.1f}" y="{at + 0.35 * size:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(_title(mark))}</text>"
    )
