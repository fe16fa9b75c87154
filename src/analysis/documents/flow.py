"""The order of a report: runs of blocks that stand on upright or on landscape pages."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any, NamedTuple

from analysis.documents.content import chapters


class Block(NamedTuple):
    """One block of a report: its kind (heading, paragraph, figure, table) and its text or id."""

    kind: str
    what: str


class Run(NamedTuple):
    """Blocks that follow each other on pages of one orientation."""

    landscape: bool
    blocks: list[Block]


def runs_of(content: Mapping[str, Any], wide: Container[str]) -> list[Run]:
    """Return the chapters as runs of blocks; a heading stands on the page of what it heads.

    Parameters
    ----------
    content : mapping
        The content model.
    wide : container of str
        Ids of the tables that need a landscape page.
    """
    runs: list[Run] = []
    waiting: list[Block] = []
    for block in _blocks(content):
        waiting.append(block)
        if block.kind == "heading":
            continue
        landscape = block.kind == "table" and block.what in wide
        if not runs or runs[-1].landscape != landscape:
            runs.append(Run(landscape, []))
        runs[-1].blocks.extend(waiting)
        waiting = []
    return runs


def _blocks(content: Mapping[str, Any]) -> Iterator[Block]:
    for chapter in chapters(content):
        yield Block("heading", chapter["title"])
        for text in chapter["paragraphs"]:
            yield Block("paragraph", text)
        for item in chapter["items"]:
            yield Block("figure" if item in content["figures"] else "table", item)
