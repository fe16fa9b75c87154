"""Take a text apart: its numbers, and the words around them. Digits that belong to a name are words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import yaml

MINUS = "−"
# Letters or digits that touch it make it part of a name (TP53, D14, 3fa2); a point only between digits.
_NUMBER = re.compile(
    r"(?<![\w.,])(?P<below>[<>])?(?P<sign>[−+])?(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?![\w]|[.,]\d)"
)
_NEGATIVE = re.compile(r"(?:^|[\s(=])-$")  # a hyphen is a sign only where no word or number stands before it


@dataclass(frozen=True)
class Token:
    """A number as it is printed.

    Attributes
    ----------
    text : str
        As printed: ``1.72``, ``<0.001``, ``−28``.
    start, end : int
        Place in the text.
    percent : bool
        Whether a percent sign follows.
    """

    text: str
    start: int
    end: int
    percent: bool

    @property
    def decimals(self) -> int:
        """Digits after the point."""
        return len(self.text.partition(".")[2])


def split(text: str) -> list[str | Token]:
    """Split a text into words and numbers; joined, the pieces are the text again.

    Parameters
    ----------
    text : str
        A sentence, a caption, a cell of a table.

    Returns
    -------
    list of str and Token
        In their order; no empty strings.

    Examples
    --------
    >>> [str(one) if isinstance(one, str) else [one.text] for one in split("HR 1.72 (0.83–3.90), TP53")]
    ['HR ', ['1.72'], ' (', ['0.83'], '–', ['3.90'], '), TP53']
    """
    pieces, last = [], 0
    for token in find(text):
        pieces += [text[last : token.start], token]
        last = token.end
    return [piece for piece in [*pieces, text[last:]] if piece]


def find(text: str) -> list[Token]:
    """Return the numbers of a text, without the digits of names."""
    named = [found.span() for pattern, _ in _names() for found in pattern.finditer(text)]
    tokens = []
    for found in _NUMBER.finditer(text):
        start, end = found.span()
        if any(first <= found.start("digits") < last for first, last in named) or _touches(text, start):
            continue
        if _NEGATIVE.search(text[:start]) and not found["sign"]:
            start -= 1
        tokens.append(Token(text[start:end], start, end, bool(re.match(r"\s?%", text[end:]))))
    return tokens


def _touches(text: str, start: int) -> bool:
    """Tell whether a hyphen, slash or underscore ties the digits to a word before them (S-019)."""
    return bool(re.search(r"[^\W\d_][-_]$", text[:start]))


@lru_cache
def _names() -> list[tuple[re.Pattern, str]]:
    text = resources.files("analysis.numbers").joinpath("names.yaml").read_text(encoding="utf-8")
    return [(re.compile(entry["pattern"]), entry["reason"]) for entry in yaml.safe_load(text)]
