"""Checks of what a caller passes beside times: labels, yes or no, times to read at, a generator."""

from __future__ import annotations

from numbers import Real

import numpy as np
import pandas as pd


def check_labels(labels, name: str = "group") -> np.ndarray:
    """Return labels as an array, or refuse them.

    Missingness and kind are looked at before the array is made: numpy turns ``["a", nan]`` into ``"a"`` and
    ``"nan"``, and ``["1", 1]`` into one label.

    Parameters
    ----------
    labels : array-like
        One label a patient (text, numbers, booleans).
    name : str
        What they are called in a refusal.

    Returns
    -------
    ndarray
        The labels.

    Raises
    ------
    ValueError
        If they are not one-dimensional, if one is missing, or if text stands among other things.
    """
    found = np.asarray(labels)
    if found.ndim != 1:
        raise ValueError(f"{name} must be one label a patient, found shape {found.shape}")
    as_given = pd.Series(labels, dtype=object)
    missing = int(pd.isna(as_given).sum())
    if missing:
        raise ValueError(f"{missing} patients have no {name}: it is missing; leave them out by name first")
    kinds = {"text" if isinstance(label, str) else type(label).__name__ for label in as_given}
    if "text" in kinds and len(kinds) > 1:
        raise ValueError(f"{name} mixes {', '.join(sorted(kinds))}: give every label as text")
    return found


def check_flags(values, name: str) -> np.ndarray:
    """Return what is yes or no as booleans, or refuse it.

    Parameters
    ----------
    values : array-like
        True or 1, False or 0.
    name : str
        What they are called in a refusal.

    Returns
    -------
    ndarray of bool
        The same.

    Raises
    ------
    ValueError
        If they are not one-dimensional, or one is missing, text, or another number.
    """
    shape = np.asarray(values).shape
    if len(shape) != 1:
        raise ValueError(f"{name} must be one-dimensional, found shape {shape}")
    as_given = pd.Series(values, dtype=object)
    numbers = as_given.map(lambda value: isinstance(value, (Real, np.bool_)))
    wrong = [
        value for value, number in zip(as_given, numbers, strict=True) if not (number and value in (0, 1))
    ]
    if wrong:
        raise ValueError(
            f"{name} must be True/1 or False/0, with none missing; found {wrong[:3]!r}: compare a column of "
            "classes with the one meant, and leave out by name who has none"
        )
    return as_given.astype(bool).to_numpy()


def check_times(times) -> np.ndarray:
    """Return the times a curve is read at, or refuse them.

    Parameters
    ----------
    times : float or sequence of float
        Times, at least 0 and finite.

    Returns
    -------
    ndarray
        The times; one for a single number.

    Raises
    ------
    ValueError
        If one is missing, infinite or negative.
    """
    asked = np.atleast_1d(np.asarray(times, dtype=float))
    if asked.ndim != 1 or not np.all(np.isfinite(asked) & (asked >= 0)):
        raise ValueError(f"times must be finite numbers of at least 0, found {times!r}")
    return asked


def check_generator(rng) -> np.random.Generator:
    """Return the generator of a permutation test, or refuse what is none.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness; a seed is not one.

    Returns
    -------
    numpy.random.Generator
        The same.

    Raises
    ------
    ValueError
        If it is missing, a seed, or anything else.
    """
    if not isinstance(rng, np.random.Generator):
        raise ValueError(
            "a permutation test needs rng=numpy.random.default_rng(seed), so that it can be repeated; "
            f"found {rng!r}"
        )
    return rng


def ten_digits(value: float) -> float:
    """Round to ten significant digits.

    What an optimiser or linear algebra gives beyond them depends on how memory happens to lie: two runs of
    the same numbers would differ in their bytes.

    Examples
    --------
    >>> ten_digits(56.91843022955049), ten_digits(float("inf"))
    (56.91843023, inf)
    """
    return float(f"{value:.10g}")
