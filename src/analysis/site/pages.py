"""The frame every page of the site stands in: menu, path, banners, search, and its style and script."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FileSystemLoader

from analysis.report import environment, fill
from analysis.site.edition import Edition, relative

NOT_SHOWN = "not shown: it has the form of what must not leave"
INDEX = "search-index.js"


@dataclass(frozen=True)
class Entry:
    """A place the search finds: its page, its anchor and what stands there."""

    page: str
    anchor: str
    text: str


@dataclass
class Site:
    """Pages and files of a site while it is built.

    Attributes
    ----------
    title : str
        Its name.
    menu : list of (label, path)
        Sections, in the order of the menu.
    files : dict
        Path below the site -> content.
    entries : list of Entry
        What the search finds.
    titles : dict
        Page -> title.
    may_show : callable
        Tells whether a text may leave the restricted zone: a value of the plan or of a decision that may not
        is named, not shown.
    """

    title: str
    menu: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    may_show: Callable[[str], bool] = lambda text: True

    def add_page(
        self, path: str, template: str, edition: Edition, title: str, /, trail: Sequence = (), **given: Any
    ) -> None:
        """Render one page.

        Parameters
        ----------
        path : str
            Where it stands below the site.
        template : str
            Its template; blocks of ``frame.html``.
        edition : Edition
            The analysis it belongs to: its banners.
        title : str
            Its title, also the last step of its path.
        trail : sequence of (label, path)
            The steps of its path between the first page and itself.
        **given
            For the template.
        """
        page = templates().get_template(template)
        steps = [(self.title, "index.html"), *trail, (title, path)] if path != "index.html" else []
        text = page.render(
            site=self,
            path=path,
            title=title,
            trail=steps,
            c=fill(edition.content),
            to=lambda address: relative(path, address),
            say=edition.say(path),
            root="../" * path.count("/"),
            current=self._section_of(path),
            **given,
        )
        self.files[path] = text.encode()
        self.titles[path] = title

    def find(self, page: str, anchor: str, text: str) -> None:
        """Let the search find a text."""
        if text.strip():
            self.entries.append(Entry(page, anchor, " ".join(text.split())))

    def add_index(self) -> None:
        """Write the search index: a script, as a page opened from a folder may read no other file."""
        pages = sorted(self.titles)
        places = {page: number for number, page in enumerate(pages)}
        entries = sorted(dict.fromkeys(self.entries), key=_order)
        found = [[places[one.page], one.anchor, one.text] for one in entries]
        content = {"pages": [[page, self.titles[page]] for page in pages], "entries": found}
        # Harmless even where a page were to hold the text itself.
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        lines = text.replace("],[", "],\n[").replace("\u2028", " ").replace("\u2029", " ")
        self.files[INDEX] = f"window.searchIndex = {lines};\n".encode()

    def add_static(self) -> None:
        """Write style and script."""
        package = resources.files("analysis")
        own = package.joinpath("site").joinpath("static")
        style = package.joinpath("report.css").read_bytes() + own.joinpath("site.css").read_bytes()
        self.files |= {"static/site.css": style, "static/site.js": own.joinpath("site.js").read_bytes()}

    def _section_of(self, path: str) -> str:
        """Return the menu's address that a page stands under."""
        known = [address for _, address in self.menu]
        if path in known:
            return path
        folder = path.split("/")[0]
        if folder == "scenarios":
            return "scenarios.html"
        return next((one for one in known if "/" in one and one.split("/")[0] == folder), "")


def _order(entry: Entry) -> tuple[bool, bool, bool]:
    """Put what the report says first, lists of numbers and the scenarios' own pages last."""
    page = entry.page
    return page.startswith("scenarios/"), "where/" in page, page != "index.html"


@lru_cache
def templates() -> Environment:
    """Return the environment of the site's templates."""
    folder = resources.files("analysis").joinpath("site").joinpath("templates")
    made = environment(FileSystemLoader(str(folder)))
    made.globals["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    return made
