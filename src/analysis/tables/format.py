"""How a number is written: the one place, for text, tables and figures alike.

Every function takes numbers and returns text. What is missing is a dash, never an empty cell; what cannot be
bounded is an infinity sign; a negative number carries a minus sign, not a hyphen.
"""

from __future__ import annotations

import math
from typing import Any

from analysis import plan

MISSING = "–"
INFINITE = "∞"
MINUS = "−"
_RANGE = "–"


class NothingToTabulate(ValueError):
    """A table that does not apply: it is left out, not shown empty."""


def number(value: float | None, decimals: int = 1, *, missing: str = MISSING) -> str:
    """Write a number with a fixed count of decimals.

    Parameters
    ----------
    value : float or None
        The number; None and NaN are missing.
    decimals : int
        Digits after the point.
    missing : str
        Text of a missing number.

    Returns
    -------
    str
        The text; an infinite value is the infinity sign.

    Examples
    --------
    >>> number(3.14159), number(-0.04), number(None), number(float("inf"))
    ('3.1', '0.0', '–', '∞')
    """
    if _is_missing(value):
        return missing
    if math.isinf(value):
        return INFINITE if value > 0 else MINUS + INFINITE
    text = f"{value:.{decimals}f}"
    if text.startswith("-"):
        text = text[1:] if float(text) == 0 else MINUS + text[1:]
    return text


def interval(
    estimate: float | None,
    lower: float | None,
    upper: float | None,
    decimals: int = 1,
    *,
    missing: str = MISSING,
) -> str:
    """Write an estimate with its interval: ``4.1 (3.0–5.6)``.

    Where a bound is negative or unbounded the dash would mislead, so the bounds are joined by "to".

    Parameters
    ----------
    estimate, lower, upper : float or None
        Estimate and the two bounds, in the same unit.
    decimals : int
        Digits after the point.
    missing : str
        Text of a missing estimate or bound, for example ``"not reached"`` for a median.

    Returns
    -------
    str
        The text; without brackets when neither bound is known.

    Examples
    --------
    >>> interval(4.1, 3, 5.6), interval(-5, -9, 2, 0), interval(6, 4.4, None, missing="not reached")
    ('4.1 (3.0–5.6)', '−5 (−9 to 2)', '6.0 (4.4 to not reached)')
    """
    head = number(estimate, decimals, missing=missing)
    if _is_missing(lower) and _is_missing(upper):
        return head
    low, high = number(lower, decimals, missing=missing), number(upper, decimals, missing=missing)
    plain = all(not _is_missing(bound) and 0 <= bound < math.inf for bound in (lower, upper))
    return f"{head} ({low}{_RANGE if plain else ' to '}{high})"


def ratio(estimate: float | None, lower: float | None = None, upper: float | None = None) -> str:
    """Write a ratio (hazard, odds) with its interval, two decimals: ``1.30 (0.67–2.50)``.

    Examples
    --------
    >>> ratio(1.3, 0.67, 2.5)
    '1.30 (0.67–2.50)'
    """
    return interval(estimate, lower, upper, decimals=2)


def p_value(p: float | None, *, rules: Any = None) -> str:
    """Write a p-value: three decimals below the plan's coarse limit, two from there, never 0 or 1.

    Parameters
    ----------
    p : float or None
        The p-value.
    rules : Section, optional
        Section ``figures`` of the plan (``p_floor``, ``p_coarse_from``).

    Returns
    -------
    str
        The text without the letter p.

    Raises
    ------
    ValueError
        For a number outside 0 to 1.

    Examples
    --------
    >>> p_value(0.00001), p_value(0.012), p_value(0.44), p_value(1.0)
    ('<0.001', '0.012', '0.44', '>0.99')
    """
    if _is_missing(p):
        return MISSING
    if not 0 <= p <= 1:
        raise ValueError(f"a p-value lies between 0 and 1, found {p!r}")
    rules = rules or plan.defaults().figures
    if p < rules.p_floor:
        return f"<{rules.p_floor:g}"
    if p >= 0.995:  # would round to 1.00
        return ">0.99"
    return number(p, 2 if p >= rules.p_coarse_from else 3)


def p_text(p: float | None, *, rules: Any = None) -> str:
    """Write a p-value for a sentence or a figure: ``p = 0.44``, ``p <0.001``.

    Examples
    --------
    >>> p_text(0.44), p_text(0.0001)
    ('p = 0.44', 'p <0.001')
    """
    text = p_value(p, rules=rules)
    return f"p {text}" if text[0] in "<>" else f"p = {text}"


def percent(value: float | None, decimals: int = 0) -> str:
    """Write a percentage that is already in percent: ``67 %``.

    Examples
    --------
    >>> percent(66.6), percent(66.6, 1), percent(None)
    ('67 %', '66.6 %', '–')
    """
    text = number(value, decimals)
    return text if text == MISSING else f"{text} %"


def signed_percent(value: float | None, decimals: int = 0) -> str:
    """Write a change in percent with its sign: ``−28 %``, ``+39 %``.

    Examples
    --------
    >>> signed_percent(-28), signed_percent(39), signed_percent(0)
    ('−28 %', '+39 %', '0 %')
    """
    text = percent(value, decimals)
    positive = text != MISSING and text[0] != MINUS and float(f"{value:.{decimals}f}") > 0
    return f"+{text}" if positive else text


def fall(cut_percent: float) -> str:
    """Write a cut as the fall it asks for: ``fall ≥ 25 %`` (a fall of exactly the cut responds).

    Examples
    --------
    >>> fall(25.0), fall(12.5)
    ('fall ≥ 25 %', 'fall ≥ 12.5 %')
    """
    return f"fall ≥ {cut_percent:g} %"


def counted(count: float, what: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> counted(1, "event"), counted(0, "event")
    ('1 event', '0 events')
    """
    return f"{count:.0f} {what}{'' if count == 1 else 's'}"


def count_percent(count: int, total: int, decimals: int = 0) -> str:
    """Write a count with its share of `total`: ``30 (67 %)``.

    Examples
    --------
    >>> count_percent(30, 45), count_percent(0, 0)
    ('30 (67 %)', '0 (–)')
    """
    share = 100 * count / total if total else None
    return f"{count} ({percent(share, decimals)})"


def proportion(count: int, total: int, lower_percent: float | None, upper_percent: float | None) -> str:
    """Write a proportion with its interval, bounds in percent: ``30/45: 66.7 % (51.0–80.0)``.

    Examples
    --------
    >>> proportion(30, 45, 51.0, 80.0)
    '30/45: 66.7 % (51.0–80.0)'
    """
    if not total:
        return f"{count}/{total}: {MISSING}"
    head, _, bounds = interval(100 * count / total, lower_percent, upper_percent).partition(" ")
    return f"{count}/{total}: {head} % {bounds}".rstrip()


def _is_missing(value: Any) -> bool:
    return value is None or value != value
