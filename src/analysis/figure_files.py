"""The files of a figure as a journal takes them: vector and raster, each with its description.

PNG and TIFF are one raster drawing. Nothing in a file depends on the clock, the machine or the folder.
"""

from __future__ import annotations

import io
from typing import Any
from xml.sax.saxutils import escape

MM_PER_INCH = 25.4
FORMATS = ("svg", "pdf", "png", "tif")
TOLERANCE_MM = 0.05
_TITLE, _DESCRIPTION, _ASCII = 269, 270, 2  # DocumentName, ImageDescription and text of TIFF 6.0


class FigureError(ValueError):
    """A figure that cannot be drawn or saved: a width no journal prints, or a format nobody writes."""


def width_mm(width: str | float, rules: Any) -> float:
    """Return a width in mm from its name in the plan, or as given where the plan has such a width.

    Raises
    ------
    FigureError
        For a name or a width the plan's ``figures.widths_mm`` does not have.
    """
    widths = rules.widths_mm
    if width in widths:
        return float(widths[width])
    if isinstance(width, str) or not any(abs(width - known) <= TOLERANCE_MM for known in widths.values()):
        shown = width if isinstance(width, str) else f"{width:.1f} mm"
        raise FigureError(
            f"a figure has one of the plan's widths, not {shown!r}: figures.widths_mm is {_listed(widths)}"
        )
    return float(width)


def check_width(figure: Any, name: str, rules: Any) -> None:
    """Refuse a figure whose width is none of the plan's.

    Raises
    ------
    FigureError
        With the figure's name, its width and the plan's.
    """
    width = figure.get_size_inches()[0] * MM_PER_INCH
    if not any(abs(width - known) <= TOLERANCE_MM for known in rules.widths_mm.values()):
        raise FigureError(
            f"figure {name!r} is {width:.1f} mm wide, but figures.widths_mm of the plan is "
            f"{_listed(rules.widths_mm)}: draw it in one of these, or give the plan another width"
        )


def files_of(
    figure: Any, name: str, rules: Any, *, title: str = "", alt: str = "", formats: tuple[str, ...] = ()
) -> dict[str, bytes]:
    """Draw a figure in every format of the plan.

    Parameters
    ----------
    figure : Figure
        Of one of the plan's widths.
    name : str
        What messages call it.
    rules : Section
        Section ``figures`` of the plan: formats, dpi, widths_mm.
    title, alt : str
        Travel within each file: title and description of SVG, PDF, PNG and TIFF.
    formats : tuple of str, optional
        Instead of the plan's.

    Returns
    -------
    dict
        Ending of the file -> content, the same on every run.

    Raises
    ------
    FigureError
        For another width, or a format that is none of `FORMATS`.
    """
    wanted = tuple(formats or rules.formats)
    if unknown := [kind for kind in wanted if kind not in FORMATS]:
        raise FigureError(f"figures.formats has {unknown}; a figure is written as {list(FORMATS)}")
    check_width(figure, name, rules)
    raster = _raster(figure, rules.dpi) if {"png", "tif"} & set(wanted) else None
    make = {
        "svg": lambda: _svg(figure, title, alt),
        "pdf": lambda: _pdf(figure, title, alt),
        "png": lambda: _png(raster, rules.dpi, title, alt),
        "tif": lambda: _tiff(raster, rules.dpi, title, alt),
    }
    return {kind: make[kind]() for kind in wanted}


def _svg(figure: Any, title: str, alt: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    said = "".join(
        f"\n <{tag}>{escape(text)}</{tag}>" for tag, text in (("title", title), ("desc", alt)) if text
    )
    head, tag, rest = buffer.getvalue().decode().partition("<svg ")
    opening, end, rest = rest.partition(">")
    return f'{head}{tag}role="img" {opening}{end}{said}{rest}'.encode()


def _pdf(figure: Any, title: str, alt: str) -> bytes:
    buffer, no_clock = io.BytesIO(), {"CreationDate": None, "ModDate": None, "Producer": None}
    figure.savefig(buffer, format="pdf", metadata=no_clock | {"Title": title or None, "Subject": alt or None})
    return buffer.getvalue()


def _raster(figure: Any, dpi: int) -> Any:
    """Return the figure's pixels, opaque on white."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=dpi)
    size = tuple(int(inches * dpi) for inches in figure.get_size_inches())
    drawn = Image.frombytes("RGBA", size, buffer.getvalue())
    if drawn.getextrema()[3] == (255, 255):
        return drawn.convert("RGB")
    paper = Image.new("RGBA", size, "white")
    return Image.alpha_composite(paper, drawn).convert("RGB")


def _png(raster: Any, dpi: int, title: str, alt: str) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    said, buffer = PngInfo(), io.BytesIO()
    for key, text in (("Title", title), ("Description", alt)):
        if text:
            said.add_itxt(key, text)
    raster.save(buffer, "PNG", dpi=(dpi, dpi), pnginfo=said)
    return buffer.getvalue()


def _tiff(raster: Any, dpi: int, title: str, alt: str) -> bytes:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags, buffer = ImageFileDirectory_v2(), io.BytesIO()
    for tag, text in ((_TITLE, title), (_DESCRIPTION, alt)):
        if text:
            # As bytes, which keep their UTF-8: Pillow would write text itself as ASCII, with question marks.
            tags.tagtype[tag] = _ASCII
            tags[tag] = text.encode()
    raster.save(buffer, "TIFF", compression="tiff_lzw", dpi=(dpi, dpi), tiffinfo=tags)
    return buffer.getvalue()


def _listed(widths: dict[str, float]) -> str:
    return ", ".join(f"{name} {mm:g}" for name, mm in widths.items())
