"""The content model as documents read it: texts without their value ids, chapters in order, refusals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

SIMULATED = "SIMULATED DATA"
SIMULATED_NOTE = f"{SIMULATED}: these patients do not exist."
SIMULATED_BANNER = (
    "The patients in this report do not exist. Its numbers show that the analysis works; "
    "they say nothing about a treatment."
)
FURTHER = "Further results"
_REQUIRED = ("title", "study", "simulated", "question", "answers", "sections", "figures", "tables")
_NOT_PRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")
_NBSP = "\u00a0"
# A number keeps its unit, and a comparison its sides, on one line.
_BOUND = re.compile(
    r"(?<=\d) (?=[%°])|(?<=[=<>≤≥±×]) (?=[\d−+])|(?<=\w) (?=[=<>≤≥±×/] )|(?<=[/=]) (?=\w)|(?<=%) (?=CI\b)"
)

Said = str | Sequence[Any]


class DocumentError(ValueError):
    """A document that cannot be written: what is missing or does not fit, and where."""


def plain(said: Said) -> str:
    """Return a text of the content model without the ids of its numbers.

    Line breaks and tabs become spaces; characters that no XML file can hold are left out.

    >>> plain(["PFS: hazard ratio ", ["1.72", "estimates.0.ESTIMATE"], "."])
    'PFS: hazard ratio 1.72.'
    """
    pieces = [said] if isinstance(said, str) else said
    text = "".join(piece if isinstance(piece, str) else str(piece[0]) for piece in pieces)
    return _NOT_PRINTABLE.sub("", re.sub(r"[\n\t\r\x0b\x0c]+", " ", text)).strip()


def bind(text: str) -> str:
    r"""Return a text whose numbers keep their unit or comparison on one line (no-break spaces).

    >>> bind("30 (100 %), n = 44").replace("\u00a0", "~")
    '30 (100~%), n~=~44'
    >>> bind("Hazard ratio (95 % CI)").replace("\u00a0", "~")
    'Hazard ratio (95~%~CI)'
    """
    return _BOUND.sub(_NBSP, text)


def check_content(content: Mapping[str, Any]) -> None:
    """Raise DocumentError if a key is missing, or a chapter names a figure or table that is not there."""
    missing = [name for name in _REQUIRED if name not in content]
    if missing:
        raise DocumentError(f"the content lacks {missing}; notebook 06 writes it (content.json)")
    known = {*content["figures"], *content["tables"]}
    unknown = [item for one in content["sections"] for item in one.get("items", ()) if item not in known]
    if unknown:
        raise DocumentError(f"chapters name figures or tables that are not in the content: {unknown}")


def check_pictures(content: Mapping[str, Any], pictures: Mapping[str, bytes], kinds: Mapping[str, bytes]):
    """Raise DocumentError if a figure has no picture, one of another format, or no words for the blind.

    Parameters
    ----------
    content : mapping
        The content model.
    pictures : mapping of str to bytes
        Figure id -> picture.
    kinds : mapping of str to bytes
        Format -> text by which its files are known, within the first 500 bytes.
    """
    for name, figure in content["figures"].items():
        if not pictures.get(name):
            raise DocumentError(f"no picture of {figure['name']} ({name!r}); expected {figure.get('file')}")
        if kind_of(pictures[name], kinds) is None:
            raise DocumentError(f"the picture of {name!r} is none of {sorted(kinds)}")
        if not plain(figure["alt"]):
            raise DocumentError(f"{figure['name']} ({name!r}) has no alternative text")


def kind_of(picture: bytes, kinds: Mapping[str, bytes]) -> str | None:
    """Return the format of a picture, None where it is none of `kinds`."""
    return next((kind for kind, mark in kinds.items() if mark in picture[:500]), None)


def chapters(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the chapters that hold something; what none of them names comes last, as further results.

    Returns
    -------
    list of dict
        ``title``, ``paragraphs`` (plain texts) and ``items`` (ids).
    """
    found = [
        {
            "title": plain(one["title"]),
            "paragraphs": [plain(text) for text in one.get("paragraphs", ())],
            "items": list(one.get("items", ())),
        }
        for one in content["sections"]
    ]
    named = {item for one in found for item in one["items"]}
    rest = [item for item in (*content["figures"], *content["tables"]) if item not in named]
    found.append({"title": FURTHER, "paragraphs": [], "items": rest})
    return [one for one in found if one["items"] or one["paragraphs"]]


def caption_of(figure: Mapping[str, Any]) -> tuple[str, str]:
    """Return a figure's heading and the caption after it, the title not said twice.

    >>> caption_of({"name": "Figure 1", "title": "Flow", "caption": "Flow. Of 50 patients, 44 are left."})
    ('Figure 1. Flow.', 'Of 50 patients, 44 are left.')
    """
    title, caption = plain(figure["title"]).rstrip("."), plain(figure["caption"])
    if caption.startswith(f"{title}. "):
        caption = caption[len(title) + 2 :]
    return f"{figure['name']}. {title}.", caption


def changes_of(scenario: Mapping[str, Any]) -> list[str]:
    """Return what a scenario changes, one text a change."""
    return [_change(one) for one in scenario.get("changes", ())]


def _change(one: Mapping[str, Any]) -> str:
    note = f"; {plain(one['note'])}" if one.get("note") else ""
    return f"{one['name']} = {one['value']} (the plan says {one['default']}{note})"
