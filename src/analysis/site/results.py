"""The report with linked numbers and downloads, and the gallery of its figures."""

from __future__ import annotations

from typing import Any

from analysis.report import arrange, plain
from analysis.site.edition import Edition, SiteError, relative
from analysis.site.pages import Site

FIGURE_FORMATS = ("svg", "pdf", "png")
TABLE_FORMATS = ("csv", "docx", "tex", "rtf")
DOCUMENTS = {"report.pdf": "PDF", "report.docx": "DOCX", "report.html": "one page"}


def add_report(site: Site, edition: Edition, trail: list, links: list[tuple[str, str]]) -> None:
    """Write the report of an analysis.

    Parameters
    ----------
    site : Site
        Gets the page and the files it offers.
    edition : Edition
        The analysis.
    trail : list of (label, path)
        Steps of the page's path.
    links : list of (label, path)
        Further pages of this analysis.
    """
    page = f"{edition.base}index.html"
    sections = arrange(edition.content)
    for part in (part for section in sections for part in section["parts"]):
        _offer(site, edition, page, part)
    files = [(words, _copy(site, edition, name)) for name, words in DOCUMENTS.items()]
    title = edition.name if edition.base else edition.content["title"]
    offered = [(words, path) for words, path in files if path]
    given = dict(sections=sections, plain=plain, files=offered, links=links)
    site.add_page(page, "results.html", edition, title, trail=trail, **given)
    _let_find(site, page, edition, sections)


def add_gallery(site: Site, edition: Edition, trail: list) -> bool:
    """Write the page of all figures; False where the report has none."""
    page = f"{edition.base}figures.html"
    parts = [part for section in arrange(edition.content) for part in section["parts"]]
    shown = [part for part in parts if part["kind"] == "figure"]
    for part in shown:
        _offer(site, edition, page, part)
    if shown:
        site.add_page(page, "figures.html", edition, "Figures", trail=trail, shown=shown, plain=plain)
    return bool(shown)


def _offer(site: Site, edition: Edition, page: str, part: dict[str, Any]) -> None:
    """Copy the files of a figure or table into the site and link them."""
    kinds = FIGURE_FORMATS if part["kind"] == "figure" else TABLE_FORMATS
    copied = {kind: _copy(site, edition, f"{part['file']}.{kind}") for kind in kinds if part["file"]}
    links = {kind: relative(page, path) for kind, path in copied.items() if path}
    part["downloads"] = [(kind.upper() if kind != "tex" else "TeX", link) for kind, link in links.items()]
    part["sortable"] = True
    if part["kind"] == "figure":
        shown = [links[kind] for kind in ("svg", "png") if kind in links]
        if not shown:
            raise SiteError(
                f"figure {part['id']!r} has no SVG or PNG beside content.json: rerun 06_publication"
            )
        part["source"], part["lazy"] = shown[0], True


def _copy(site: Site, edition: Edition, name: str) -> str | None:
    """Take a file of the analysis into the site; return its place, None where it was not made."""
    path = edition.folder / name
    if not path.is_file():
        return None
    place = edition.base + name
    site.files.setdefault(place, path.read_bytes())
    return place


def _let_find(site: Site, page: str, edition: Edition, sections: list[dict[str, Any]]) -> None:
    content = edition.content
    site.find(page, "question", content["question"])
    for sentence in content["answers"]:
        site.find(page, "question", plain(sentence))
    for card in content.get("cards") or []:
        said = [card["label"], plain(card["value"]), plain(card.get("detail") or "")]
        site.find(page, "question", " ".join(said))
    for section in sections:
        site.find(page, section["id"], section["title"])
        for text in (*section["paragraphs"], *section["bullets"], *map(" ".join, section["pairs"])):
            site.find(page, section["id"], plain(text))
        for part in section["parts"]:
            site.find(page, part["id"], f"{part['name']}. {plain(part['title'])}")
            if part["kind"] == "figure":
                site.find(page, part["id"], plain(part["caption"]))
                continue
            for body in part["bodies"]:
                heads = [body["group"]] if body["group"] else []
                for text in (*heads, *(row["cells"][0] for row in body["rows"])):
                    site.find(page, part["id"], plain(text))
