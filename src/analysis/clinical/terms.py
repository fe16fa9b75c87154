"""Words of the raw tables: whatever is asked of a column of text is asked once for each different value.

A column of a million records holds a few thousand different values, so that this is what makes the step fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from analysis.clinical.file_text import is_number


def by_value(values: pd.Series, function: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """Apply `function`, which looks at one value at a time, to each different value of `values`.

    Parameters
    ----------
    values : Series
        Any values; missing ones are handed to `function` once, as None.
    function : callable
        Series -> Series (or DataFrame) of the same length, each row from its own value alone.

    Returns
    -------
    Series or DataFrame
        As ``function(values)`` would give, on the index of `values`.

    Examples
    --------
    >>> by_value(pd.Series(["a", None, "a"]), lambda v: v.str.upper()).tolist()
    ['A', None, 'A']
    """
    codes, different = pd.factorize(values)
    found = function(pd.Series([*different, None], dtype=object))
    taken = found.take(codes)  # a missing value has code -1: the last row
    taken.index = values.index
    return taken


def upper(values: pd.Series) -> pd.Series:
    """Return text in upper case, without blanks around it; missing stays missing."""
    return by_value(values, lambda v: v.astype("string").str.strip().str.upper())


def has_word(values: pd.Series, words: Iterable[str]) -> pd.Series:
    """Tell which values contain one of `words` (upper case; missing is False)."""
    pattern = "|".join(words)
    return by_value(
        values,
        lambda v: v.astype("string").str.upper().str.contains(pattern, regex=True).fillna(False).astype(bool),
    )


def is_word(values: pd.Series, words: Iterable[str]) -> pd.Series:
    """Tell which values are one of `words` (upper case, blanks around a value apart; missing is False)."""
    wanted = list(words)
    return by_value(values, lambda v: v.astype("string").str.strip().str.upper().isin(wanted).astype(bool))


def to_number(values: pd.Series) -> pd.Series:
    """Read numbers from text; what is none (`file_text.is_number`: ``inf``, ``1e300`` too) is missing."""
    return by_value(values, lambda v: v.map(_number).astype(float))


def _number(value) -> float:
    if isinstance(value, (bool, np.bool_)):
        return float(value)
    text = str(value).strip()
    return float(text) if is_number(text) else np.nan


def number_groups(*keys: pd.Series | np.ndarray) -> np.ndarray:
    """Give each combination of `keys` its number in their sort order, missing values last: 0, 1, 2, ...

    Parameters
    ----------
    *keys : Series or ndarray
        Of one length; text, dates or numbers.

    Returns
    -------
    ndarray of int64
        One number a row: it groups, joins and sorts a million rows in a tenth of the time the texts take.

    Examples
    --------
    >>> number_groups(pd.Series(["b", "a", "b"]), pd.Series([2, 1, 1])).tolist()
    [2, 0, 1]
    """
    number = np.zeros(len(keys[0]), dtype="int64")
    for key in keys:
        codes, different = pd.factorize(key, sort=True)
        codes = np.where(codes < 0, len(different), codes)
        # renumbered key by key, so that the product never exceeds what an integer holds
        number = pd.factorize(number * (len(different) + 1) + codes, sort=True)[0]
    return number
