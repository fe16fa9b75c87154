"""The values that must not leave: what the raw files hold, as it is searched for in other text.

Two values are the same here if they agree after NFKC, case folding, and with every run of space, ``^``,
``=``, comma and underscore as one space: a name in DICOM is ``DOE^JANE``, in a file name ``Doe_Jane``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import permutations
from typing import Any

import pandas as pd

from analysis.privacy.formats import plain

_GAPS = re.compile(r"[\s^=,_]+")
_DIGITS = re.compile(r"[\d .:/-]+")
_HEX = re.compile(r"[0-9a-f]+")
_BETWEEN = re.compile(r"[\W_]+")
_SEPARATOR = r"[\W_]{0,3}"
_COLOURS = (3, 4, 6, 8)  # digits of a colour after its #
_GRAM = 4
_MANY = 2000  # values; up to here looking for each one is faster
_EAST_ASIAN = 0x2E80  # first code point of the East Asian scripts, in which two characters are a name
_MOST_PARTS = 4  # parts of a name that are tried in every order


def fold(text: str) -> str:
    """Return `text` as values are compared."""
    return _GAPS.sub(" ", plain(text).casefold()).strip()


@dataclass
class Vocabulary:
    """Values searched for, by kind.

    Attributes
    ----------
    kinds : dict
        Folded value -> its kind.
    words : frozenset of str
        Values that count only as whole words: parts of names, numbers, hexadecimal digits.
    dates : frozenset of str
        Dates of the raw files, ``YYYYMMDD``.
    births : frozenset of str
        Those of them that are dates of birth.
    coincides : dict
        Values that the project's own text holds too, and which are therefore not searched for.
    squeezed : dict
        Identifiers without their separators -> the folded value.
    numbers : frozenset of str
        Short numbers of subjects, which count only where something says they are a subject's.
    uids, times : frozenset of str
        UIDs and times of day (``HH:MM:SS``) of the raw files.
    """

    kinds: dict[str, str]
    words: frozenset[str] = frozenset()
    dates: frozenset[str] = frozenset()
    births: frozenset[str] = frozenset()
    coincides: dict[str, str] = field(default_factory=dict)
    squeezed: dict[str, str] = field(default_factory=dict)
    numbers: frozenset[str] = frozenset()
    uids: frozenset[str] = frozenset()
    times: frozenset[str] = frozenset()

    def __post_init__(self):
        self._index: dict[str, list[str]] = {}
        for value in self.kinds:
            self._index.setdefault(value[:_GRAM], []).append(value)
        self._short = [value for value in self.kinds if len(value) < _GRAM]

    def counts(self) -> dict[str, int]:
        """Count the values searched for, by kind."""
        found: dict[str, int] = {}
        for kind in sorted(self.kinds.values()):
            found[kind] = found.get(kind, 0) + 1
        if self.dates:
            found["DATE"] = len(self.dates)
        return found

    def limited(self, kinds: Iterable[str]) -> Vocabulary:
        """Return the values of these kinds alone; a name that is a subject's own identifier is left out."""
        wanted = set(kinds)
        kept = {value: kind for value, kind in self.kinds.items() if kind in wanted}
        return Vocabulary(kept, self.words, frozenset(), self.births, self.coincides)

    def find(self, folded: str) -> list[tuple[str, str, int]]:
        """List (kind, value, how often) of the values that stand in a folded text."""
        likely = self._likely(folded) if len(self.kinds) > _MANY else self.kinds
        counts = {value: self._count(value, folded) for value in likely if value in folded}
        for value in self._separated(folded):
            if not counts.get(value):
                counts[value] = len(re.findall(self.pattern(value), folded))
        return [(self.kinds[value], value, count) for value, count in counts.items() if count]

    def pattern(self, value: str) -> str:
        """Return the pattern that finds a value of `kinds` in a folded text."""
        if value in self.squeezed.values():
            return separated_pattern(value)
        return word_pattern(value) if value in self.words else re.escape(value)

    def _separated(self, folded: str) -> list[str]:
        """List the identifiers whose characters stand in the text in their order, whatever is between."""
        if not self.squeezed:
            return []
        text = _BETWEEN.sub("", folded)
        grams = (
            {text[at : at + _GRAM] for at in range(len(text) - _GRAM + 1)}
            if len(text) < _MANY or len(self.squeezed) > _MANY
            else None
        )
        return [
            value
            for short, value in self.squeezed.items()
            if (grams is None or short[:_GRAM] in grams) and short in text
        ]

    def _likely(self, folded: str) -> list[str]:
        """List the values whose first characters stand in the text: few of many."""
        grams = {folded[at : at + _GRAM] for at in range(len(folded) - _GRAM + 1)}
        return [*(v for gram in sorted(grams & self._index.keys()) for v in self._index[gram]), *self._short]

    def _count(self, value: str, folded: str) -> int:
        if value not in self.words:
            return folded.count(value)
        return len(re.findall(word_pattern(value), folded))


def word_pattern(value: str) -> str:
    """Return the pattern of a folded value that counts only as a whole word or number."""
    if _DIGITS.fullmatch(value):
        # Neither part of a longer number or a digest, nor its fraction, nor a colour.
        colour = "#" if len(value) in _COLOURS else ""
        before = rf"(?:(?<![\w.{colour}])|(?<=[^\W\d_]\.)|(?<![^\W_])(?<!\d\.)[^\W\d_]{{1,6}})"
        if colour:
            before = rf"(?<!#){before}(?<!#)"
        return rf"{before}{re.escape(value)}(?:\.0+)?(?!\w|\.\d(?!\d*\.[^\W\d]))"
    return rf"(?<![^\W_]){re.escape(value)}(?![^\W_])"


def separated_pattern(value: str) -> str:
    """Return the pattern of a folded identifier with any separators, or none, between its characters."""
    characters = [re.escape(char) for char in _BETWEEN.sub("", value)]
    return rf"(?<![^\W_]){_SEPARATOR.join(characters)}(?![^\W_])"


def build(values: pd.DataFrame, own_text: str, rules: Any) -> Vocabulary:
    """Make the vocabulary of the values `collect` found.

    Parameters
    ----------
    values : pandas.DataFrame
        Columns KIND, VALUE, FIRSTSEEN, SEARCHABLE and CODED of `collect.Collected`.
    own_text : str
        Text of the project: what stands there cannot be a leak, unless it is a name, an identifier or a date.
    rules : plan.Section
        Section ``privacy`` of the plan.

    Returns
    -------
    Vocabulary
        Without short values, placeholders and what the plan allows.
    """
    ranks = {kind: rank for rank, kind in enumerate(rules.gate_searched_kinds)}
    chosen = values.loc[values["KIND"].isin(ranks) & values["SEARCHABLE"].astype(bool)]
    rows = chosen[["KIND", "VALUE", "CODED"]].itertuples(index=False, name=None)
    kinds: dict[str, str] = {}
    words: set[str] = set()
    coded: set[str] = set()
    for kind, value, is_code in sorted(rows, key=lambda row: (ranks[row[0]], row[1])):
        if kind in rules.gate_name_kinds and fold(str(value)) in kinds:
            continue  # de-identification wrote the subject's identifier as the name: it has no parts
        for form, whole in _forms(kind, fold(str(value)), rules):
            kinds.setdefault(form, kind)
            if not whole or _is_number_like(form):
                words.add(form)
            if is_code:
                coded.add(form)
    kinds = {form: kind for form, kind in kinds.items() if _says_something(form, rules)}
    coincides = _coinciding(kinds, words, coded, fold(own_text), rules)
    kept = {form: kind for form, kind in kinds.items() if form not in coincides}
    return Vocabulary(
        kept,
        frozenset(words),
        *_dates(values, rules),
        coincides,
        _squeezed(kept, rules),
        _short_numbers(values, rules),
        frozenset(values.loc[values["KIND"] == "UID", "VALUE"].astype(str)),
        frozenset(values.loc[values["KIND"] == "TIME", "VALUE"].astype(str).str[:8]),
    )


def _squeezed(kinds: dict[str, str], rules: Any) -> dict[str, str]:
    """Return the identifiers of letters and digits without what stands between them."""
    found = {}
    for form, kind in kinds.items():
        short = _BETWEEN.sub("", form)
        mixed = any(char.isdigit() for char in short) and not short.isdigit()
        if kind in rules.gate_number_kinds and mixed and len(short) >= rules.gate_min_squeezed:
            found[short] = form
    return found


def _short_numbers(values: pd.DataFrame, rules: Any) -> frozenset[str]:
    """Return the numbers of subjects that are too short to be searched for everywhere."""
    least, most = rules.gate_short_digits
    texts = values.loc[values["KIND"] == "SUBJECT", "VALUE"].astype(str).str.strip()
    return frozenset(text for text in texts if text.isdecimal() and least <= len(text) <= most)


def _says_something(form: str, rules: Any) -> bool:
    """Tell whether a form is long enough, no placeholder and not allowed by the plan."""
    spared = {fold(text) for text in rules.identifier_placeholders}
    spared |= {fold(entry["text"]) for entry in rules.gate_allow}
    east_asian = any(ord(char) >= _EAST_ASIAN for char in form)
    least = rules.identifier_min_chars_east_asian if east_asian else rules.identifier_min_chars
    return len(form.replace(" ", "")) >= least and form not in spared


def _forms(kind: str, folded: str, rules: Any) -> list[tuple[str, bool]]:
    """List the forms a value is searched in; False where only as a whole word."""
    if kind not in rules.gate_name_kinds:
        return [(folded, True)]
    parts = [part for part in folded.split(" ") if part.strip(".")]
    if len(parts) < 2:
        return [(folded, False)]
    orders = permutations(parts) if len(parts) <= _MOST_PARTS else [tuple(parts)]
    pairs = permutations(parts, 2)
    # Two parts side by side are a name already; one part is, where the project never says the word.
    whole = [(" ".join(order), True) for order in (*orders, *pairs)]
    return [*whole, *((part, False) for part in parts)]


def _is_number_like(form: str) -> bool:
    return bool(_DIGITS.fullmatch(form) or _HEX.fullmatch(form))


def _coinciding(
    kinds: dict[str, str], words: set[str], coded: set[str], own: str, rules: Any
) -> dict[str, str]:
    """Return what the project's own text or a coded column holds, of kinds that may, and parts of names."""
    may = {
        form: kind
        for form, kind in kinds.items()
        if kind in rules.gate_own_kinds or (kind in rules.gate_name_kinds and " " not in form)
    }
    own_values = {form for _, form, _ in Vocabulary(may, frozenset(words)).find(own)}
    # A column nobody listed may hold names as its codes: only what is no person's can be a code.
    codes = {form for form in coded if kinds.get(form) in rules.gate_own_kinds}
    return {form: kind for form, kind in may.items() if form in own_values | codes}


def _dates(values: pd.DataFrame, rules: Any) -> tuple[frozenset[str], frozenset[str]]:
    """Return every date of the raw files and those of birth, as YYYYMMDD."""
    chosen = values.loc[values["KIND"].isin(["DATE", "DATETIME"])]
    birth = re.compile(rules.gate_birth_where, re.IGNORECASE)
    every, births = set(), set()
    for value, where in zip(chosen["VALUE"].astype(str), chosen["FIRSTSEEN"].astype(str)):
        digits = re.sub(r"[-./:]", "", value)[:8]
        if is_calendar_date(digits, rules) and digits not in rules.gate_no_dates:
            every.add(digits)
            if birth.search(where):
                births.add(digits)
    return frozenset(every), frozenset(births)


def is_calendar_date(digits: str, rules: Any) -> bool:
    """Tell whether eight digits are a date within the years that records are of."""
    if len(digits) != 8 or not digits.isdigit():
        return False
    first, last = rules.gate_years
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return first <= day.year <= last
