"""One look for every figure: sizes in millimetres, one palette, and the same bytes on every machine.

A figure is a matplotlib ``Figure`` made without pyplot: nothing global is opened, nothing is saved here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache, wraps
from inspect import Parameter, signature
from io import BytesIO
from typing import Any

from matplotlib import style as mpl_style
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from analysis import plan
from analysis.figure_files import MM_PER_INCH
from analysis.figure_files import width_mm as width_mm
from analysis.tables.words import label_of as label_of

MM_PER_POINT = MM_PER_INCH / 72
LINE_SPACING = 1.3
OWN_DPI = 300  # what a figure measures its own texts at; files and notebooks have the plan's values
ON_SCALE = "scale"  # id of a text that marks a point of a scale, as the numbers of an axis do
RATIO_TICKS = (0.125, 0.25, 0.5, 1, 2, 4, 8)
INK, MUTED, GRID, SHADE = "#1A1A1A", "#595959", "#D9D9D9", "#F2F2F2"
_STANDS_FOR = {"endpoint": "ylabel"}  # what a description asks for -> where the plot was told it
LINE_STYLES = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.5)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (9, 2)),
    (0, (5, 1.5, 1, 1.5, 1, 1.5)),
)
MARKERS = ("o", "s", "^", "D", "v", "P")
HATCHES = ("", "////", "....", "xxxx", "----", "\\\\\\\\")


class Picture(Figure):
    """A figure that is drawn, shown and saved under the plan's settings wherever it is saved.

    Attributes
    ----------
    alt : str
        What it shows, for a reader who cannot see it; a notebook carries it along with the picture.
    """

    def __init__(self, *args: Any, rules: Any = None, **kwargs: Any):
        self._rules, self.alt = rules or plan.defaults().figures, ""
        super().__init__(*args, **kwargs)

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """Save under the plan's settings; the same figure gives the same bytes."""
        with settings(self._rules):
            super().savefig(fname, **kwargs)

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        """Return the picture and what Jupyter stores beside it; nbconvert writes `alt` into the page."""
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=self._rules.notebook_dpi)
        return buffer.getvalue(), {"alt": self.alt or plain_alt(self)}


def settings(rules: Any = None) -> AbstractContextManager:
    """Return the context in which figures are made: matplotlib's defaults and the plan's values."""
    rules = rules or plan.defaults().figures
    return mpl_style.context(
        [
            "default",
            {
                "font.family": rules.font_family,
                "font.size": rules.font_size_pt,
                "axes.titlesize": rules.font_size_pt,
                "axes.titleweight": "bold",
                "axes.labelsize": rules.font_size_pt,
                "xtick.labelsize": rules.small_size_pt,
                "ytick.labelsize": rules.small_size_pt,
                "legend.fontsize": rules.small_size_pt,
                "legend.frameon": False,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.linewidth": 0.6,
                "xtick.major.width": 0.6,
                "ytick.major.width": 0.6,
                "text.color": INK,
                "axes.labelcolor": INK,
                "axes.edgecolor": INK,
                "xtick.color": INK,
                "ytick.color": INK,
                "svg.hashsalt": rules.svg_hashsalt,
                "svg.fonttype": "path",
                "pdf.fonttype": 42,
                "ps.fonttype": 42,
                "hatch.linewidth": 0.5,
            },
        ]
    )


def drawn(plot: Callable[..., Figure]) -> Callable[..., Figure]:
    """Run a plot function under the plan's settings and give its figure the alternative text.

    ``rules=None`` becomes the plan's ``figures``. The text is that of ``alt_<what>`` beside ``plot_<what>``,
    where the plot's arguments are all it needs; else it is made of titles and axes (`plain_alt`).
    """
    takes = signature(plot)

    @wraps(plot)
    def inner(*args: Any, rules: Any = None, **kwargs: Any) -> Figure:
        """Draw under the plan's fonts and sizes."""
        rules = rules or plan.defaults().figures
        with settings(rules):
            figure = plot(*args, rules=rules, **kwargs)
        figure.alt = _describe(plot, takes.bind(*args, **kwargs).arguments) or plain_alt(figure)
        return figure

    return inner


def plain_alt(figure: Figure) -> str:
    """Describe a figure by its titles and axes, where nothing better is known."""
    said = []
    for axes in figure.axes:
        title = next((text for text in map(axes.get_title, ("left", "center", "right")) if text), "")
        names = " against ".join(text for text in (axes.get_ylabel(), axes.get_xlabel()) if text)
        said.append(": ".join(text for text in (title, names) if text))
    return f"Figure. {'; '.join(text for text in said if text)}".replace("\n", " ").removesuffix(". ") + "."


def _describe(plot: Callable[..., Figure], given: Mapping[str, Any]) -> str:
    """Return what the plot's own ``alt_`` function says, or nothing where it asks for more than was given."""
    what = plot.__name__.removeprefix("plot_")
    alt = getattr(sys.modules[plot.__module__], f"alt_{what}", None)
    if alt is None:
        return ""
    told = {wanted: given[name] for wanted, name in _STANDS_FOR.items() if name in given} | dict(given)
    takes = _parameters(alt)
    missing = [name for name, one in takes.items() if one.default is Parameter.empty and name not in told]
    return "" if missing else alt(**{name: told[name] for name in takes if name in told})


@lru_cache
def _parameters(function: Callable[..., str]) -> dict[str, Parameter]:
    return dict(signature(function).parameters)


def new_figure(width: str | float, height_mm: float, rules: Any) -> Picture:
    """Open an empty figure.

    Parameters
    ----------
    width : {"column", "half", "page"} or float
        Name of one of the plan's widths, or one of them in mm.
    height_mm : float
        Height, mm.
    rules : Section
        Section ``figures`` of the plan.

    Raises
    ------
    figure_files.FigureError
        For any other width: it could not be saved.
    """
    size = (width_mm(width, rules) / MM_PER_INCH, height_mm / MM_PER_INCH)
    return Picture(figsize=size, dpi=OWN_DPI, facecolor="white", rules=rules)


def axes_mm(figure: Figure, left: float, bottom: float, width: float, height: float, **kwargs: Any):
    """Add axes at a place given in mm from the lower left corner."""
    across, up = (inches * MM_PER_INCH for inches in figure.get_size_inches())
    return figure.add_axes((left / across, bottom / up, width / across, height / up), **kwargs)


def tick_ratios(axes) -> None:
    """Mark halvings and doublings on a logarithmic vertical axis whose limits are set, nothing between."""
    low, high = axes.get_ylim()
    ticks = [tick for tick in RATIO_TICKS if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def canvas_mm(figure: Figure):
    """Return axes over the whole figure whose data coordinates are mm from the upper left corner."""
    across, up = (inches * MM_PER_INCH for inches in figure.get_size_inches())
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, across), ylim=(up, 0))
    axes.set_axis_off()
    return axes


def text_width_mm(text: str, size_pt: float, family: str, weight: str = "normal") -> float:
    """Measure the widest line of `text`, in mm."""
    return max(_line_width_mm(line, size_pt, family, weight) for line in text.split("\n"))


def line_height_mm(size_pt: float) -> float:
    """Height of one line of text, in mm."""
    return size_pt * LINE_SPACING * MM_PER_POINT


def wrap(text: str, room_mm: float, size_pt: float, family: str, weight: str = "normal") -> str:
    """Break `text` between words so that no line is wider than `room_mm` (a longer word stays whole)."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width_mm(longer, size_pt, family, weight) <= room_mm:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def color_of(name: str, index: int, rules: Any) -> str:
    """Return the colour of a class, or the `index`-th of the cycle for a group without its own."""
    return rules.palette.get(str(name).upper(), rules.cycle[index % len(rules.cycle)])


def line_style_of(name: str, index: int, rules: Any) -> Any:
    """Return the line style that goes with `color_of`: it tells classes apart without colour."""
    return LINE_STYLES[_place(name, index, rules) % len(LINE_STYLES)]


def marker_of(name: str, index: int, rules: Any) -> str:
    """Return the marker that goes with `color_of`."""
    return MARKERS[_place(name, index, rules) % len(MARKERS)]


def hatch_of(name: str, index: int, rules: Any) -> str:
    """Return the hatch of filled areas that goes with `color_of`; the first class has none."""
    return HATCHES[_place(name, index, rules) % len(HATCHES)]


def _place(name: str, index: int, rules: Any) -> int:
    return rules.class_order.get(str(name).upper(), index)


def join_words(words: Sequence[str]) -> str:
    """Join words for a sentence: ``a``, ``a and b``, ``a, b and c``."""
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last


@lru_cache(maxsize=4096)
def _line_width_mm(line: str, size_pt: float, family: str, weight: str) -> float:
    font = FontProperties(family=family, weight=weight, size=size_pt)
    width, _, _ = TextToPath().get_text_width_height_descent(line or " ", font, ismath=False)
    # Screens round glyphs to whole dots, so that a drawn line is up to a few percent wider than its outline.
    return 1.04 * width * MM_PER_POINT
