"""Find for every number of a text the value that was printed there, and the cell that value stands in."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from analysis.numbers.facts import CELL, COMPUTED, COUNT, PLAN, SUMMARY, Fact, is_number
from analysis.numbers.lookup import P_VALUES, Facts, Prints, forms, prints, words
from analysis.numbers.tokens import MINUS, Token, split
from analysis.numbers.watch import FORMAT, Printed, is_formatter

NEAR = 60  # characters on either side in which words speak for one fact and not for another
_RANK = {CELL: 40, PLAN: 32, COMPUTED: 28, COUNT: 24, SUMMARY: 20}
_SAME_ROW, _COLUMN, _WORD, _MOST_WORDS = 30, 12, 4, 3
_OWN_ROW = 50  # the row the expression takes its column from, or the row a table's line is made from
_MIDDLE = re.compile(r"\b(?:median|mean|middle)\W*$", re.IGNORECASE)
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
    chosen: dict[int, int] = {}
    order = sorted(places, key=lambda place: -pieces[place].decimals)
    for place in [*order, *order]:  # once more: now both neighbours speak for a row
        rows = _rows_beside(place, places, found)
        others = {one for token, one in chosen.items() if token != place} | (
            printed.used if printed else set()
        )
        asked = _Asked(pieces[place], text, near, rows, tuple(tables), frozenset(others if near else ()))
        fact, which = asked.of_interval(level), None
        if fact is None:
            fact, which = asked.find(layers, printed)
        if fact is not None:
            found[place] = fact
        if which is not None:
            chosen[place] = which
    if printed and near:
        printed.used |= set(chosen.values())
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
    used: frozenset[int] = frozenset()

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

    def find(self, layers: Sequence[Facts], printed: Prints | None) -> tuple[Fact | None, int | None]:
        """Return the source of the number, and the place of the value that was printed there, if one was."""
        if printed is None:
            found = self.quoted(layers) or self._look_up(layers, (CELL, PLAN, COMPUTED, COUNT, SUMMARY))
            return found, None
        if self.token.text[0] in "<>":
            return self._beyond(layers, printed), None
        places, own = self._places(printed), layers[:-1] if self.near else ()
        copied = self._copied(own) if len(self.text) > len(self.token.text) else None
        if copied is not None:
            return copied, None
        if self.near:
            lines = {(fact.table, fact.row) for one in own for fact in one.listed}
            places = self._in_order(printed, places, lines)
        best = self._best(layers, printed, places)
        if best is not None:
            return best
        if places:
            return self._computed(printed.all[places[0]]), places[0]
        return self._not_printed(layers, printed), None

    def _places(self, printed: Prints) -> list[int]:
        """Return the places of the printed values that fit best."""
        places = printed.of(self.token, self.text[: self.token.start])
        places = [place for place in places if not self._is_typed(printed.expressions(place))]
        counts = [place for place in places if float(printed.all[place].value).is_integer()]
        if counts and not self.token.decimals and not self.token.percent:
            places = counts  # a share of 24 % is not the 24 of a count
        fits = {place: printed.fit(place, self.token, self.text) for place in places}
        return [place for place in places if fits[place] == max(fits.values())]

    def _in_order(self, printed: Prints, places: Sequence[int], lines: set[tuple]) -> list[int]:
        """Return the places a cell of a table may be from, whose lines are printed one after the other.

        Those made from the row of its own line; else the first that took its columns from a row and is not
        taken by a cell before; else those not taken.
        """
        taken = {place: {row for step in printed.all[place].way for row in step.rows} for place in places}
        free = [place for place in places if place not in self.used] or list(places)
        own = [place for place in places if taken[place] & lines]
        return own or [place for place in free if taken[place]][:1] or free

    def _best(self, layers, printed: Prints, places: Sequence[int]) -> tuple[Fact, int] | None:
        best: tuple[int, Fact, int] | None = None
        for place in places:
            for depth, facts in enumerate(layers):
                line = _OWN_ROW * (bool(self.near) and depth < len(layers) - 1)
                found = facts.holding(printed.all[place].value)
                scored = [(self._score(fact, facts, printed.all[place]), fact) for fact in found]
                scored = [(score + line, fact) for score, fact in scored if score is not None]
                top = max(scored, key=lambda pair: pair[0], default=None)
                if top is not None and (best is None or top[0] > best[0]):
                    best = (*top, place)
        return best and best[1:]

    def _not_printed(self, layers: Sequence[Facts], printed: Prints) -> Fact | None:
        """Return the source of a number that stands in a text of the sources, not in a value."""
        cut_out = any(self._stands_in(one.value) for one in printed.saying(self.token.text))
        found = self._copied(layers)
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

    def _score(self, fact: Fact, facts: Facts, one: Printed) -> int | None:
        """Score a fact that holds the value that was printed; None where too little speaks for it.

        A number with decimals is told by its value. A whole number stands in many cells: its column must be
        named where it was printed, or its row be the one its neighbours are from. Where the expression says
        which row it took its column from, that row is believed.
        """
        expressions, whole = " ".join(step.expression for step in one.way), float(one.value).is_integer()
        named, place = _names(expressions, fact.column), (fact.table, fact.row)
        beside = fact.row is not None and place in self.rows
        taken = {row for step in one.way for row in step.rows}
        own = place in taken and bool(named)
        if fact.row is not None and not own and (place not in taken and _of(taken, fact.table)):
            return None
        if fact.kind == CELL and fact.row is not None and not own and self._is_middle(fact, expressions):
            return None
        inside = fact.column is not None or _is_called(expressions, fact.name)
        if whole and fact.kind in (CELL, PLAN) and not named and not (beside and self._words(fact, facts)):
            return None
        if whole and fact.kind == COMPUTED and not (named if fact.column else inside):
            return None
        if fact.kind in (COUNT, SUMMARY) and (whole or fact.column is None):
            return None
        score = _RANK[fact.kind] + _COLUMN * bool(named) + _SAME_ROW * beside + _OWN_ROW * own
        return score + _WORD * min(_MOST_WORDS, self._words(fact, facts))

    def _is_middle(self, fact: Fact, expressions: str) -> bool:
        """Tell whether the number is a median or mean of cells, of which one happens to be equal to it."""
        said = re.search(r"\.(?:median|mean|sum)\(|\blen\(", expressions)
        told = _MIDDLE.search(self.text[: self.token.start])
        of = f"{fact.name} {' '.join(map(str, (fact.key or {}).values()))}".lower()
        return bool(said) or (bool(told) and not re.search(r"median|mean|middle", of))

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
        step = next((step for step in one.way if not step.function.startswith(FORMAT)), one)
        said = _without_format(step.expression)
        how = f"{said}, computed by {step.function}{of}"
        return Fact(one.value, COMPUTED, f"{step.function} {said}", how=how)


def _of(taken: set[tuple], table: str | None) -> bool:
    return any(of == table for of, _ in taken)


def _is_called(expressions: str, name: str) -> bool:
    """Tell whether an expression says what a number is called: the last word of its name."""
    last = re.sub(r" \d+$", "", name).rpartition(" ")[2]
    return bool(re.search(rf"(?<![A-Za-z0-9]){re.escape(last)}(?![A-Za-z0-9])", expressions))


def _without_format(expression: str) -> str:
    """Return what a function of `analysis.tables.format` was given, rather than the call.

    Examples
    --------
    >>> _without_format("number(values.median(), 2)"), _without_format("len(rows)")
    ('values.median()', 'len(rows)')
    """
    node = ast.parse(expression, mode="eval").body
    while isinstance(node, ast.Call) and is_formatter(node):
        given = [one for one in node.args if not isinstance(one, ast.Constant)]
        if len(given) != 1:
            break  # several numbers: which of them, or what of them, the call itself says
        node = given[0]
    return ast.unparse(node)


def _names(expressions: str, column: str | None) -> bool:
    """Tell whether an expression names a column."""
    said = (column or "").rpartition(".")[2]
    return bool(said) and bool(re.search(rf"(?<![A-Za-z0-9]){re.escape(said)}(?![A-Za-z0-9])", expressions))


def _rows_beside(place: int, places: list[int], found: dict[int, Fact]) -> list[tuple]:
    """Return the rows of the nearest resolved numbers on either side."""
    before = [one for one in places if one < place and one in found][-1:]
    after = [one for one in places if one > place and one in found][:1]
    return [(found[one].table, found[one].row) for one in (*before, *after) if found[one].row is not None]
