"""The state of a lesion, from the words of TR and TU."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.clinical.terms import by_value


def state_of(text: pd.Series, rules=None) -> pd.Series:
    """Reduce a lesion's state to ABSENT, EQUIVOCAL, PRESENT, PROGRESSION or None (not evaluable).

    The first pattern of the plan's `state_words` that fits decides; a text that none fits is PRESENT.

    Parameters
    ----------
    text : Series of str
        Any case; missing gives None.
    rules : Section, optional
        ``clinical`` of the plan; its defaults without.
    """
    table = (rules or plans.defaults().clinical).state_words
    return by_value(text, lambda values: _state_of(values, table))


def _state_of(text: pd.Series, table: list[list[str]]) -> pd.Series:
    words = text.astype("string").str.upper()
    fits = [
        words.str.contains(pattern, regex=True).fillna(False).to_numpy(dtype=bool) for pattern, _ in table
    ]
    states = ["" if state == "NE" else state for _, state in table]
    found = np.select([words.isna().to_numpy(dtype=bool), *fits], ["", *states], "PRESENT")
    return pd.Series(found, index=text.index, dtype=object).replace("", None)
