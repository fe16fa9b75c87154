"""Facts and printed values, to look numbers up in."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

from analysis.numbers.facts import PLAN, Fact, is_number
from analysis.numbers.tokens import MINUS, Token
from analysis.numbers.watch import Printed
from analysis.tables.words import label_of

FRAGMENT = 10  # characters a text of a cell shares with the text around a number, to be its source
BEYOND = ("to > ", "(> ")  # a limit too large to print is said to lie beyond
P_VALUES = ("P", "Q_BH", "P_MAXT")
_FLOOR, _CEILING = 0.001, 0.995  # of p values in print (analysis.tables.format.p_value)
# What a text says of a column, where it does not say its name.
_SAID = {
    "P": "p",
    "Q_BH": "q",
    "P_MAXT": "maxt",
    "N": "patients n",
    "EVENTS": "events",
    "AT_RISK": "risk",
    "CUT": "cut fall",
}


class Facts:
    """Facts to look values up in; they are listed when the first is looked up.

    Parameters
    ----------
    facts : iterable of Fact
        Cells, counts, summaries, values of the plan.
    """

    def __init__(self, facts: Iterable[Fact] = ()):
        self._given = facts
        self._words: dict[Fact, frozenset[str]] = {}

    @cached_property
    def listed(self) -> list[Fact]:
        """Return the facts, each once."""
        return list(dict.fromkeys(self._given))

    @cached_property
    def texts(self) -> list[Fact]:
        """Return the facts that are texts."""
        return [fact for fact in self.listed if isinstance(fact.value, str)]

    @cached_property
    def _by_value(self) -> dict[float, list[Fact]]:
        found: dict[float, list[Fact]] = defaultdict(list)
        for fact in self.listed:
            if is_number(fact.value):
                for value in forms(fact):
                    found[_rounded(value)].append(fact)
        return found

    def holding(self, value: float) -> list[Fact]:
        """Return the facts whose value, as it is or in percent or turned in sign, is `value`."""
        return self._by_value.get(_rounded(value), [])

    def words_of(self, fact: Fact) -> frozenset[str]:
        """Return the words that speak for a fact."""
        if fact not in self._words:
            levels = [label_of(level) for level in (fact.key or {}).values()]
            said = [fact.name, *map(str, levels), _SAID.get(fact.column or "", fact.column or "")]
            self._words[fact] = frozenset(words(" ".join(said)))
        return self._words[fact]

    def quoted(self, token: Token, text: str) -> list[Fact]:
        """Return the texts of cells in which the number stands among the same words."""
        return [fact for fact in self.texts if _shares(fact.value, token, text)]


def forms(fact: Fact) -> list[float]:
    """Return the values a fact may be printed as: itself, in percent, as a fall, as a level."""
    value = float(fact.value)
    if not math.isfinite(value):
        return []
    found = [value]
    if abs(value) <= 1 and not isinstance(fact.value, int):
        found.append(100 * value)
        if fact.kind == PLAN and "alpha" in fact.name:
            found.append(100 * (1 - value))
    return [*found, -value] if value else found


def write(value: float, decimals: int) -> str:
    """Write a number as `analysis.tables.format.number` does."""
    text = f"{value:.{decimals}f}"
    if text.startswith("-"):
        text = text[1:] if float(text) == 0 else MINUS + text[1:]
    return text


def _written(value: float, decimals: int) -> set[str]:
    """Return how a value may be written: rounded to these decimals, or with the digits that carry meaning."""
    sign = MINUS if value < 0 else ""
    short = {f"{abs(value):.{count}g}" for count in (2, 3, 4, 6)}
    return {write(value, decimals)} | {sign + one for one in short if len(one.partition(".")[2]) == decimals}


def _looks_of(one: Printed, decimals: int) -> set[str]:
    """Return how a printed value looked; guessed only where its form is not known."""
    if not math.isfinite(one.value):
        return set()
    if one.text is None:
        return _written(one.value, decimals)
    text = one.text.strip().lstrip("+").rstrip("%").replace(",", "").replace("-", MINUS)
    return {text[1:] if text[:1] == MINUS and not re.search("[1-9]", text) else text}


def prints(value: float, token: Token, before: str = "") -> bool:
    """Tell whether a value is written as `token`, after the text `before`.

    Examples
    --------
    >>> prints(1.7249, split("HR 1.72")[1]), prints(1.7351, split("HR 1.73")[1])
    (True, False)
    """
    digits = token.text.lstrip(f"+-{MINUS}").replace(",", "")
    if digits[0] in "<>":
        return 0 <= value < _FLOOR if digits[0] == "<" else _CEILING <= value <= 1
    if before.endswith(BEYOND) and value > float(digits):
        return True
    sign = MINUS if token.text[0] in (MINUS, "-") else ""
    if not math.isfinite(value):
        return False
    return sign + digits in _written(value, token.decimals)


class Prints:
    """Values that were printed, to look them up by what they look like.

    Parameters
    ----------
    printed : sequence of Printed
        In their order.
    """

    def __init__(self, printed: Sequence[Printed] = ()):
        self.all = list(printed)
        self.used: set[int] = set()  # by the cells of a table that were traced before: it is printed in order
        self._looks: dict[int, dict[str, list[int]]] = {}

    @cached_property
    def _numbers(self) -> list[int]:
        return [place for place, one in enumerate(self.all) if is_number(one.value)]

    def of(self, token: Token, before: str) -> list[int]:
        """Return the places of the values that look like `token`, first those of its sign."""
        digits = token.text.lstrip(f"+-{MINUS}").replace(",", "")
        if before.endswith(BEYOND):
            beyond = [place for place in self._numbers if self.all[place].value > float(digits)]
            if beyond:
                return beyond
        if token.decimals not in self._looks:
            looks: dict[str, list[int]] = defaultdict(list)
            for place in self._numbers:
                for text in _looks_of(self.all[place], token.decimals):
                    looks[text].append(place)
            self._looks[token.decimals] = looks
        sign = MINUS if token.text[0] in (MINUS, "-") else ""
        return self._looks[token.decimals].get(sign + digits, [])

    def saying(self, text: str) -> list[Printed]:
        """Return the texts that were printed and hold `text`."""
        return [one for one in self.all if isinstance(one.value, str) and text in one.value]

    def expressions(self, place: int) -> str:
        """Return the expression that printed a value, and those of the texts it went into."""
        return " ".join(one.expression for one in self.all[place].way)

    def fit(self, place: int, token: Token, text: str) -> int:
        """Say how well a value printed at `place` fits to `token`: by the words beside it, on all its way.

        One for every text it went into that stands around `token`, and for what is written out beside it and
        stands there too; one less for a text it went into that does not.
        """
        found = 0
        for one in self.all[place].way:
            written = one.text or ""
            if len(written) > len(token.text):
                found += 1 if _covers(written, token, text) else -1
            starts, ends = written.startswith(token.text), written.endswith(token.text)
            found += bool(one.before) and starts and text[: token.start].endswith(one.before)
            found += bool(one.after) and ends and text[token.end :].startswith(one.after)
            found += written == text
        return found


def _covers(written: str, token: Token, text: str) -> bool:
    """Tell whether a part of a text stands in `text` around `token`."""
    first = text.find(written, max(0, token.end - len(written)))
    return 0 <= first <= token.start


def words(text: str) -> set[str]:
    """Return the words of a text, in small letters, without their plural s."""
    found = re.findall(r"[^\W\d_]+\d*", text.lower())
    return {word.rstrip("s") if len(word) > 3 else word for word in found if len(word) > 1 or word in "pn"}


def _rounded(value: float) -> float:
    """Return a value without its last bits, which 100 x may cost."""
    return float(f"{value:.12g}")


def _shares(value: str, token: Token, text: str) -> bool:
    """Tell whether a number stands in `value` among the words it stands among in `text`."""
    for found in re.finditer(re.escape(token.text), value):
        left, right = found.start(), token.start
        while left and right and value[left - 1] == text[right - 1]:
            left, right = left - 1, right - 1
        end, stop = found.end(), token.end
        while end < len(value) and stop < len(text) and value[end] == text[stop]:
            end, stop = end + 1, stop + 1
        if value[left:end] == text and len(text) > len(token.text):
            return True
        if end - left == len(value) > len(token.text) + 2 and re.search(r"[^\W\d_]{3}", value):
            return True
        if end - left >= FRAGMENT + len(token.text) and re.search(r"[^\W\d_]{3}", value[left:end]):
            return True
    return False
