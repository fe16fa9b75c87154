"""Find for every number of a text the value that was printed there, and the cell that value stands in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from analysis.numbers.facts import CELL, COMPUTED, COUNT, PLAN, SUMMARY, Fact, is_number
from analysis.numbers.lookup import P_VALUES, Facts, Prints, forms, prints, words
from analysis.numbers.tokens import MINUS, Token, split
from analysis.numbers.watch import Printed

NEAR = 60  # characters on either side in which words speak for one fact and not for another
_RANK = {CELL: 40, PLAN: 32, COMPUTED: 28, COUNT: 24, SUMMARY: 20}
_SAME_ROW, _COLUMN, _WORD, _MOST_WORDS = 30, 12, 4, 3
_INTERVAL = re.compile(r"\s?% (?:[\w-]+ ){0,2}(?:interval|limits|CI\b|bootstrap)")


@dataclass(frozen=True)
class Traced:
    """A text whose numbers know where they come from.

    Attributes
    ----------
    pieces : list
        Words as strings, numbers as ``(Token, Fact)``.
    missing : list of Token
        Numbers without a source; they stand in `pieces` as words.
    """

    pieces: list[str | tuple[Token, Fact]]
    missing: list[Token] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return the text itself."""
        return "".join(piece if isinstance(piece, str) else piece[0].text for piece in self.pieces)


def trace(
    text: str,
    sources: Sequence[Sequence[Fact] | Facts],
    printed: Prints | Sequence[Printed] | None = None,
    near: str = "",
    tables: Sequence[str] = (),
    level: Fact | None = None,
) -> Traced:
    """Find the source of every number of a text.

    Parameters
    ----------
    text : str
        The text.
    sources : sequence of Facts
        What it was made from; the first that has a number is believed.
    printed : sequence of Printed, optional
        The values that were printed into it (`analysis.numbers.watch`): a number is then one of them, or
        stands in a text of the sources. Without them its digits are looked for among the cells.
    near : str
        Words that stand for the whole text: head of the row and of the column of a cell.
    tables : sequence of str
        Names of the tables the text was made from, for numbers computed on the way.
    level : Fact, optional
        The plan's two-sided level: "95 %" of an interval is 100 (1 - alpha).

    Returns
    -------
    Traced
        Numbers without a source are words, and listed.
    """
    pieces, layers = split(text), [one if isinstance(one, Facts) else Facts(one) for one in sources]
    places = [place for place, piece in enumerate(pieces) if isinstance(piece, Token)]
    printed = printed if printed is None or isinstance(printed, Prints) else Prints(printed)
    found: dict[int, Fact] = {}
    order = sorted(places, key=lambda place: -pieces[place].decimals)
    for place in [*order, *order]:  # once more: now both neighbours speak for a row
        asked = _Asked(pieces[place], text, near, _rows_beside(place, places, found), tuple(tables))
        fact = asked.of_interval(level) or asked.find(layers, printed)
        if fact is not None:
            found[place] = fact
    said = [(piece, found[place]) if place in found else piece for place, piece in enumerate(pieces)]
    missing = [piece for piece in said if isinstance(piece, Token)]
    return Traced([piece.text if isinstance(piece, Token) else piece for piece in said], missing)


@dataclass(frozen=True)
class _Asked:
    """One number of a text, and what speaks for its source."""

    token: Token
    text: str
    near: str
    rows: list[tuple]
    tables: tuple[str, ...]

    def of_interval(self, level: Fact | None) -> Fact | None:
        """Return the plan's level where the number is that of an interval."""
        said = _INTERVAL.match(self.text[self.token.end :])
        return level if level and said and prints(100 * (1 - level.value), self.token) else None

    def quoted(self, layers: Sequence[Facts]) -> Fact | None:
        for facts in layers:
            found = facts.quoted(self.token, self.text)
            if found:
                return max(found, key=lambda fact: ((fact.table, fact.row) in self.rows, _RANK[fact.kind]))
        return None

    def find(self, layers: Sequence[Facts], printed: Prints | None) -> Fact | None:
        if printed is None:
            return self.quoted(layers) or self._look_up(layers, (CELL, PLAN, COMPUTED, COUNT, SUMMARY))
        if self.token.text[0] in "<>":
            return self._beyond(layers, printed)
        places = printed.of(self.token, self.text[: self.token.start])
        places = [place for place in places if not self._is_typed(printed.expressions(place))]
        counts = [place for place in places if float(printed.all[place].value).is_integer()]
        if counts and not self.token.decimals and not self.token.percent:
            places = counts  # a share of 24 % is not the 24 of a count
        best: tuple[int, Fact] | None = None
        for place in places:
            expressions = printed.expressions(place)
            for facts in layers:
                found = facts.holding(printed.all[place].value)
                whole = float(printed.all[place].value).is_integer()
                scored = [(self._score(fact, facts, expressions, whole), fact) for fact in found]
                scored = [(score, fact) for score, fact in scored if score is not None]
                top = max(scored, key=lambda pair: pair[0], default=None)
                if top is not None and (best is None or top[0] > best[0]):
                    best = top
        if best is not None:
            return best[1]
        if places:
            return self._computed(printed.all[places[0]])
        cut_out = any(self._stands_in(one.value) for one in printed.saying(self.token.text))
        found = self._copied(layers) if self.near else None
        if cut_out and not found:
            found = self.quoted(layers) or self._taken_from_text(layers)
        own = layers[:-1] if self.near else ()  # of its row alone
        return found or self._turned(layers, printed) or self._look_up(own, (CELL,))

    def _copied(self, layers: Sequence[Facts]) -> Fact | None:
        """Return the text of a source that the whole text is."""
        for facts in layers:
            same = [fact for fact in facts.texts if fact.value.strip() == self.text]
            if same:
                return max(same, key=lambda fact: self._plain_score(fact, facts))
        return None

    def _beyond(self, layers: Sequence[Facts], printed: Prints) -> Fact | None:
        """Return the cell of a p below or above what is printed: its value was printed by nobody."""
        said = printed.saying(self.token.text)
        expressions = " ".join(one.expression for one in said)
        for facts in layers:
            able = [fact for fact in facts.listed if fact.kind == CELL and is_number(fact.value)]
            able = [fact for fact in able if prints(fact.value, self.token)]
            able = [fact for fact in able if fact.column in P_VALUES or _names(expressions, fact.column)]
            if able:
                return max(able, key=lambda fact: self._plain_score(fact, facts))
        return self._computed(said[0]) if said else None

    def _turned(self, layers: Sequence[Facts], printed: Prints) -> Fact | None:
        """Return the value of the plan that is printed with a sign of its own: a cut of 25 as -25."""
        text = self.token.text
        other = text[1:] if text[0] in f"{MINUS}-+" else MINUS + text
        for place in printed.of(Token(other, 0, len(other), False), ""):
            for facts in layers:
                found = [one for one in facts.holding(printed.all[place].value) if one.kind == PLAN]
                if found:
                    return found[0]
        return None

    def _taken_from_text(self, layers: Sequence[Facts]) -> Fact | None:
        """Return the text of the source a number was cut out of."""
        for facts in layers:
            found = [fact for fact in facts.texts if self._stands_in(fact.value)]
            if found:
                return max(found, key=lambda fact: self._plain_score(fact, facts))
        return None

    def _stands_in(self, text: str) -> bool:
        return any(isinstance(one, Token) and one.text == self.token.text for one in split(text))

    def _look_up(self, layers: Sequence[Facts], kinds: Sequence[str]) -> Fact | None:
        """Look for the digits among the facts themselves, where nobody watched what was printed."""
        before = self.text[: self.token.start]
        for facts in layers:
            able = [fact for fact in facts.listed if fact.kind in kinds and is_number(fact.value)]
            found = [fact for fact in able if any(prints(one, self.token, before) for one in forms(fact))]
            if found:
                return max(found, key=lambda fact: self._plain_score(fact, facts))
        return None

    def _score(self, fact: Fact, facts: Facts, expressions: str, whole: bool) -> int | None:
        """Score a fact that holds the value that was printed; None where too little speaks for it.

        A number with decimals is told by its value. A whole number stands in many cells: its column must be
        named where it was printed, or its row be the one its neighbours are from.
        """
        named = _names(expressions, fact.column)
        beside = fact.row is not None and (fact.table, fact.row) in self.rows
        if whole and fact.kind in (CELL, PLAN) and not named and not (beside and self._words(fact, facts)):
            return None
        if fact.kind in (COUNT, SUMMARY) and (whole or fact.column is None):
            return None
        score = _RANK[fact.kind] + _COLUMN * bool(named) + _SAME_ROW * beside
        return score + _WORD * min(_MOST_WORDS, self._words(fact, facts))

    def _plain_score(self, fact: Fact, facts: Facts) -> int:
        beside = fact.row is not None and (fact.table, fact.row) in self.rows
        return _RANK[fact.kind] + _SAME_ROW * beside + _WORD * min(_MOST_WORDS, self._words(fact, facts))

    def _words(self, fact: Fact, facts: Facts) -> int:
        around = self.text[max(0, self.token.start - NEAR) : self.token.end + NEAR]
        return len(facts.words_of(fact) & words(f"{around} {self.near}"))

    def _is_typed(self, expressions: str) -> bool:
        """Tell whether the number is written out in the code: what is typed has no source."""
        digits = re.escape(self.token.text.lstrip(f"+-{MINUS}"))
        return bool(re.search(rf"\w\(\s*{digits}\s*[,)]", expressions))

    def _computed(self, one: Printed) -> Fact:
        of = f", from {', '.join(self.tables)}" if self.tables else ""
        how = f"{one.expression}, computed by {one.function}{of}"
        return Fact(one.value, COMPUTED, f"{one.function} {one.expression}", how=how)


def _names(expressions: str, column: str | None) -> bool:
    """Tell whether an expression names a column."""
    said = (column or "").rpartition(".")[2]
    return bool(said) and bool(re.search(rf"(?<![A-Za-z0-9]){re.escape(said)}(?![A-Za-z0-9])", expressions))


def _rows_beside(place: int, places: list[int], found: dict[int, Fact]) -> list[tuple]:
    """Return the rows of the nearest resolved numbers on either side."""
    before = [one for one in places if one < place and one in found][-1:]
    after = [one for one in places if one > place and one in found][:1]
    return [(found[one].table, found[one].row) for one in (*before, *after) if found[one].row is not None]
