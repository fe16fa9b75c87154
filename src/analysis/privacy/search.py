"""Search what a file holds: patterns, calendar dates, values of the raw files, columns of tables."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from analysis.privacy.formats import Contents, FormatRefused, Passage, plain, read, unescaped
from analysis.privacy.vocabulary import Vocabulary, fold, is_calendar_date

_HIDDEN = "***"


@dataclass(frozen=True, order=True)
class Finding:
    """Something that must not leave: in which file, where in it, by which rule, how often. Never what."""

    file: str
    where: str
    rule: str
    count: int
    note: str = ""


class Searcher:
    """The rules of a plan over a vocabulary.

    Parameters
    ----------
    rules : plan.Section
        Section ``privacy`` of the plan.
    vocabulary : Vocabulary
        Values of the raw files.
    restricted : bool
        Search for direct identifiers only, as in ``data/derived``.
    """

    def __init__(self, rules: Any, vocabulary: Vocabulary, restricted: bool = False):
        self.rules = rules
        self.vocabulary = vocabulary.limited(rules.gate_restricted_kinds) if restricted else vocabulary
        self.restricted = restricted
        patterns = {} if restricted else rules.gate_patterns
        self._patterns = {rule: re.compile(text) for rule, text in patterns.items()}
        self._dates = [re.compile(text, re.IGNORECASE) for text in rules.gate_date_forms]
        allowed = [entry["text"] for entry in rules.gate_allow]
        self._beginnings = tuple(text for text in allowed if text.endswith("."))
        self._allowed = [text for text in allowed if not text.endswith(".")]
        self._known_dates = [re.compile(text) for text in rules.gate_known_date_forms]
        self._days = self.vocabulary.dates | self.vocabulary.births
        known = {"UID": rules.gate_known_uid_form, "TIME": rules.gate_known_time_form}
        self._known = {} if restricted else {rule: re.compile(text) for rule, text in known.items()}
        self._number = re.compile(rules.gate_short_number_form, re.IGNORECASE)
        self._subjects = set() if restricted else {_key(name) for name in rules.gate_subject_columns}
        self._columns = set() if restricted else {_key(name) for name in rules.gate_columns}
        self._ages = set() if restricted else {_key(name) for name in rules.gate_age_columns}

    def search(self, name: str, content: bytes) -> list[Finding]:
        """List what must not leave in a file and in its name; the file's name is given without it."""
        shown = self.redact(name)
        own_name = Contents("name")
        own_name.add([("its name", name)])
        found = self._search_contents(shown, own_name)
        if not self.restricted and set(re.findall(r"\d+", name)) & self.vocabulary.numbers:
            found.append(Finding(shown, "its name", "SUBJECT", 1))
        try:
            found += self._search_contents(shown, read(name, content))
        except FormatRefused as refused:
            found.append(Finding(shown, self.redact(refused.where), refused.rule, 1, str(refused)))
        except (
            Exception
        ) as error:  # readers raise many types on damaged files: each means it was not searched
            found.append(Finding(shown, "the file", "FORMAT", 1, f"cannot be read ({type(error).__name__})"))
        return sorted(set(found))

    def search_contents(self, name: str, contents: Contents) -> list[Finding]:
        """List what must not leave in contents that were read elsewhere."""
        return sorted(set(self._search_contents(self.redact(name), contents)))

    def redact(self, text: str) -> str:
        """Return `text` with everything that must not leave replaced by three stars."""
        text = plain(text)
        for pattern in [*self._patterns.values(), *self._dates]:
            text = pattern.sub(_HIDDEN, text)
        for _, value, _ in self.vocabulary.find(fold(text)):
            loose = re.escape(value).replace(r"\ ", r"[\s^=,_]+")
            text = re.sub(loose, _HIDDEN, text, flags=re.IGNORECASE)
        return _HIDDEN if self.vocabulary.find(fold(text)) else text

    def _search_contents(self, name: str, contents: Contents) -> list[Finding]:
        counts: Counter[tuple[str, str]] = Counter()
        for passage in contents.passages:
            self._search_passage(passage, counts)
            self._search_decoded(passage, counts)
        self._search_cells(contents, counts)
        if not self.restricted:
            counts.update((where, "VOLUME") for where in contents.arrays)
        return [Finding(name, self.redact(where), rule, count) for (where, rule), count in counts.items()]

    def _search_decoded(self, passage: Passage, counts: Counter) -> None:
        """Search text once more with its escapes resolved, whatever kind of file it stands in."""
        chunks = tuple((where, unescaped(text)) for where, text in passage.chunks)
        if chunks == passage.chunks:
            return
        again: Counter[tuple[str, str]] = Counter()
        self._search_passage(Passage(chunks, passage.separator), again)
        known = {rule for _, rule in counts}
        counts.update(
            {key: count for key, count in again.items() if key not in counts and key[1] not in known}
        )

    def _search_passage(self, passage: Passage, counts: Counter) -> None:
        text = passage.text
        for allowed in self._allowed:
            text = text.replace(allowed, " " * len(allowed))
        ends = list(accumulate(len(chunk) + len(passage.separator) for _, chunk in passage.chunks))
        for rule, start in (*self._find_patterns(text), *self._find_dates(text)):
            counts[passage.chunks[min(bisect_right(ends, start), len(ends) - 1)][0], rule] += 1
        for kind, value, count in self.vocabulary.find(fold(text)):
            counts[self._place(passage, value), kind] += count

    def _find_patterns(self, text: str):
        for rule, pattern in self._patterns.items():
            for match in pattern.finditer(text):
                if not self._is_allowed(match[0].replace("_", ".") if rule == "UID" else match[0]):
                    yield rule, match.start()
        for rule, pattern in self._known.items():
            for match in pattern.finditer(text):
                if self._is_known(match[0]) and not self._patterns[rule].match(text, match.start()):
                    yield rule, match.start()
        if self.vocabulary.numbers and not self.restricted:
            for match in self._number.finditer(text):
                if match["n"] in self.vocabulary.numbers:
                    yield "SUBJECT", match.start()

    def _is_known(self, found: str) -> bool:
        return found in self.vocabulary.uids or f"{found:0>8}" in self.vocabulary.times

    def _find_dates(self, text: str):
        seen = set()
        for pattern in self._dates:
            for match in pattern.finditer(text):
                digits = self._digits(match)
                if digits is None or match.start() in seen or self._is_allowed(match[0]):
                    continue
                seen.add(match.start())
                yield ("BIRTHDATE" if digits in self.vocabulary.births else "DATE"), match.start()
        for pattern in self._known_dates if self._days else ():
            for match in pattern.finditer(text):
                if match.start() not in seen and not self._days.isdisjoint(_readings(match)):
                    seen.add(match.start())
                    birth = not self.vocabulary.births.isdisjoint(_readings(match))
                    yield ("BIRTHDATE" if birth else "DATE"), match.start()

    def _digits(self, match: re.Match) -> str | None:
        """Return a match as YYYYMMDD where it is a date that counts here."""
        parts = match.groupdict()
        months = self.rules.gate_months
        month = parts["m"] if parts["m"].isdigit() else str(months.index(parts["m"][:3].lower()) + 1)
        digits = f"{parts['y']}{month:0>2}{parts['d']:0>2}"
        swapped = f"{parts['y']}{parts['d']:0>2}{month:0>2}"
        if self.restricted:
            return digits if digits in self.vocabulary.births else None
        return next((text for text in (digits, swapped) if is_calendar_date(text, self.rules)), None)

    def _is_allowed(self, found: str) -> bool:
        return found.startswith(self._beginnings)

    def _search_cells(self, contents: Contents, counts: Counter) -> None:
        oldest = self.rules.gate_max_age
        for where, column, value in contents.cells:
            key = _key(column)
            if key in self._columns and value.strip():
                counts[where, "COLUMN"] += 1
            if key in self._subjects and value.strip().removesuffix(".0") in self.vocabulary.numbers:
                counts[where, "SUBJECT"] += 1
            if key in self._ages and _number(value) is not None and _number(value) >= oldest:
                counts[where, "AGE"] += 1

    def _place(self, passage: Passage, value: str) -> str:
        """Return where a folded value begins: the first chunk that holds it, or the first of several."""
        pattern = re.compile(self.vocabulary.pattern(value))
        for width in (1, 2, 3):
            for at in range(len(passage.chunks) - width + 1):
                piece = passage.chunks[at : at + width]
                if pattern.search(fold(passage.separator.join(text for _, text in piece))):
                    return piece[0][0]
        return passage.chunks[0][0]


def _key(column: str) -> str:
    """Return a column's name as names are compared: ``Weight (kg)`` is ``weightkg``."""
    return re.sub(r"[^a-z0-9]", "", column.casefold())


def _readings(match: re.Match) -> set[str]:
    """List the days YYYYMMDD a match may be: day and month in either order, a short year of two centuries."""
    year, month, day = match["y"], match["m"], match["d"]
    years = [year] if len(year) == 4 else [f"19{year}", f"20{year}"]
    return {f"{y}{first:0>2}{last:0>2}" for y in years for first, last in ((month, day), (day, month))}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
