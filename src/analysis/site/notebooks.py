"""Executed notebooks as pages of the site: nbconvert writes the cells, this module what is around them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup, Tag
from markupsafe import Markup
from nbconvert import HTMLExporter

from analysis.site.edition import Edition, SiteError
from analysis.site.pages import Site
from analysis.steps import STEPS

INJECTED = "injected-parameters"
_DANGEROUS = ["script", "style", "iframe", "object", "embed", "link", "meta", "base", "form", "input"]
_UNWANTED = {"style", "srcset", "border", "id", "name", "target"}
_HARMLESS = re.compile(r"^(?:data:image/(?:png|jpeg|gif|svg\+xml);base64,|#|[^:]*$)", re.IGNORECASE)
_NO_ALT = "No description has been provided for this image"
LONG = 42  # characters: a longer text in a table may break its line
_SAID = 300  # characters of a caption that stand in for a missing alternative text


def add_notebooks(site: Site, edition: Edition, trail: list) -> bool:
    """Write a page for every executed notebook of an analysis, and a list; False where there is none."""
    listed = []
    for path in edition.notebooks():
        page = f"{edition.base}notebooks/{path.stem}.html"
        title, cells, headings = render_cells(path)
        listed.append((path.stem, page, title, _question(path.stem)))
        steps = [*trail, ("Notebooks", f"{edition.base}notebooks/index.html")]
        given = dict(cells=cells, headings=headings, has_code=any(cell["code"] for cell in cells))
        site.add_page(page, "notebook.html", edition, title, trail=steps, **given)
        for cell in cells:
            for text in cell["texts"]:
                site.find(page, cell["id"], text)
    if listed:
        page = f"{edition.base}notebooks/index.html"
        site.add_page(page, "notebooks.html", edition, "Notebooks", trail=trail, listed=listed)
    return bool(listed)


def render_cells(path: Path) -> tuple[str, list[dict], list[tuple[str, str]]]:
    """Render the cells of an executed notebook.

    Parameters
    ----------
    path : Path
        The executed copy.

    Returns
    -------
    tuple
        Title; cells as ``{id, code, lines, body, texts}``; headings as ``(anchor, text)``. A cell's id is
        that of the notebook's source: the injected parameters, which only the copy has, are not counted.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
    except ValueError as error:  # a step that failed leaves an empty copy
        raise SiteError(
            f"the executed copy {path.name} cannot be read: run make reproduce to its end"
        ) from error
    exporter = HTMLExporter(template_name="basic", exclude_anchor_links=True)
    body, _ = exporter.from_notebook_node(notebook)
    soup = BeautifulSoup(body, "html.parser")
    drawn = soup.select("div.cell")
    cells, headings, taken, number, title = [], [], set(), 0, path.stem
    for source, cell in zip(notebook.cells, drawn, strict=True):
        injected = INJECTED in source.metadata.get("tags", [])
        name = "cell-parameters" if injected else f"cell-{number:02d}"
        number += not injected
        _clean(cell)
        _describe_pictures(cell, name, path.stem)
        for heading in cell.find_all(re.compile("^h[1-6]$")):
            text = heading.get_text(" ", strip=True)
            if heading.name == "h1" and title == path.stem:
                title = text
                heading.decompose()
                continue
            heading.name = "h2" if heading.name in ("h1", "h2") else "h3"
            if heading.name == "h2" or not headings:
                heading.name = "h2"
            heading["id"] = _free(f"{name}-{_slug(text)}", taken)
            if source.cell_type == "markdown" and heading.name == "h2":
                headings.append((heading["id"], text))
        cells.append(_cell(source, cell, name))
    return title, cells, headings


def _cell(source: nbformat.NotebookNode, cell: Tag, name: str) -> dict:
    """Return what the template shows of one cell."""
    if source.cell_type != "code":
        inside = cell.select_one(".text_cell_render")
        said = [part.get_text(" ", strip=True) for part in inside.find_all(["h2", "h3", "p", "li"])]
        return {"id": name, "code": None, "lines": 0, "body": Markup(inside.decode_contents()), "texts": said}
    code, shown = cell.select_one(".highlight"), cell.select_one(".output")
    outputs = shown.select(".output_subarea") if shown else []
    said = [part.get_text(" ", strip=True) for out in outputs for part in out.find_all(["h2", "h3", "p"])]
    return {
        "id": name,
        "code": Markup(str(code)) if source.source.strip() and code else None,
        "lines": source.source.count("\n") + 1,
        "body": Markup("\n").join(_output(out) for out in outputs),
        "texts": said,
    }


def _output(out: Tag) -> Markup:
    kind = "text" if out.find("pre", recursive=False) else "shown"
    return Markup('<div class="output {}">{}</div>').format(kind, Markup(out.decode_contents()))


def _clean(cell: Tag) -> None:
    """Take out what runs, loads or styles; what a result shows is text, tables and pictures."""
    for tag in cell.find_all(_DANGEROUS):
        tag.decompose()
    for tag in cell.find_all(True):
        for key in [key for key in tag.attrs if _is_unwanted(key, str(tag[key]))]:
            del tag[key]
    for link in cell.find_all("a", href=True):
        link.unwrap()  # addresses of the notebook's own folder lead nowhere here
    for head in cell.select("thead th"):
        if not head.get_text(strip=True):
            head.name = "td"  # an empty heading says nothing to a screen reader
    for part in cell.find_all(["td", "th"]):
        if len(part.get_text()) > LONG:
            part["class"] = [*part.get("class", []), "long"]
    for table in cell.find_all("table"):
        table.wrap(_frame())


def _frame() -> Tag:
    """Return a frame that scrolls by itself and can be reached by keyboard."""
    return BeautifulSoup("", "html.parser").new_tag("div", attrs={"class": "scroll", "tabindex": "0"})


def _is_unwanted(key: str, value: str) -> bool:
    """Tell whether an attribute runs something, sets a style or an id of its own, or points elsewhere."""
    points_out = key in ("href", "src", "xlink:href") and not _HARMLESS.match(value)
    return key.startswith("on") or key in _UNWANTED or points_out


def _describe_pictures(cell: Tag, name: str, stem: str) -> None:
    """Give a picture without alternative text the words that follow it; name the frames that scroll."""
    said = [part.get_text(" ", strip=True) for part in cell.select(".output p")]
    for number, image in enumerate(cell.find_all("img")):
        alt = str(image.get("alt") or "")
        if not alt.strip() or alt.startswith(_NO_ALT):
            words = next((text for text in said[number:] if text), "")[:_SAID]
            image["alt"] = f"Figure of {name} of {stem}. {words}".strip()
        image["loading"] = "lazy"
        image.wrap(_frame())
    for number, frame in enumerate(cell.select("div.scroll"), start=1):
        what = "Figure" if frame.find("img", recursive=False) else "Table"
        frame["role"], frame["aria-label"] = "region", f"{what} {number} of {name}, scrolls sideways"


def _question(stem: str) -> str:
    return next((step.question for step in STEPS.values() if step.notebook == stem), "")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _free(wanted: str, taken: set[str]) -> str:
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}-{count}"
    taken.add(name)
    return name
