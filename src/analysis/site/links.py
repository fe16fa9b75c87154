"""Check that everything a folder of pages points to is in that folder."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

_POINTING = {"href", "src", "poster", "action", "data"}
_OUTSIDE = ("http", "https", "ftp", "file")


class _Page(HTMLParser):
    """Ids and addresses of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Collect what one element is called and points to."""
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in _POINTING and tag != "svg":
                self.addresses.append(value or "")
            elif name == "srcset":
                self.addresses += [part.split()[0] for part in (value or "").split(",") if part.strip()]


def check_links(folder: Path) -> list[str]:
    """List what is broken in the pages below `folder`.

    Parameters
    ----------
    folder : Path
        A folder with HTML pages.

    Returns
    -------
    list of str
        ``page: what``, for every address that leads to no file or no anchor, reaches outside the folder or
        into the network, and every id that stands twice; empty where all is well.
    """
    return check_pages(
        {
            path.relative_to(folder).as_posix(): path.read_bytes() if path.suffix == ".html" else b""
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    )


def check_pages(files: dict[str, bytes]) -> list[str]:
    """List what is broken in pages that are not written yet: path below the site -> content."""
    pages = {name: _Page(text.decode()) for name, text in files.items() if name.endswith(".html")}
    broken = []
    for name, page in pages.items():
        twice = sorted({one for one in page.ids if page.ids.count(one) > 1} if _has_twice(page) else ())
        broken += [f"{name}: the id {one!r} stands twice" for one in twice]
        broken += [f"{name}: {why}" for why in _broken(name, page, pages, files)]
    return broken


def _has_twice(page: _Page) -> bool:
    return len(set(page.ids)) < len(page.ids)


def _broken(name: str, page: _Page, pages: dict[str, _Page], files: dict[str, bytes]) -> list[str]:
    found = []
    for address in dict.fromkeys(page.addresses):
        split = urlsplit(address)
        if split.scheme == "data":
            continue
        if split.scheme or split.netloc or address.startswith("/"):
            why = "reaches outside" if split.scheme in _OUTSIDE or split.netloc else "is no relative address"
            found.append(f"{address!r} {why}")
            continue
        target = normpath(join(dirname(name), unquote(split.path))) if split.path else name
        if target not in files:
            found.append(f"{address!r} leads to no file")
        elif split.fragment and target in pages and unquote(split.fragment) not in set(pages[target].ids):
            found.append(f"{address!r} leads to no anchor")
    return found
