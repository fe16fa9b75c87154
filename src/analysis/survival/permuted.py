"""Random permutations within strata."""

from __future__ import annotations

import numpy as np

from analysis.survival.checks import check_generator
from analysis.survival.outcome import check_groups


def permute_within(strata, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Shuffle positions within strata, many times.

    Parameters
    ----------
    strata : array-like, shape (n,)
        One label a patient: only patients with the same label change places.
    permutations : int
        How often.
    rng : numpy.random.Generator
        Source of randomness; strata are shuffled in the order of their labels.

    Returns
    -------
    ndarray of int, shape (permutations, n)
        In each row every position once: ``values[row]`` gives patient i the value of patient ``row[i]``.

    Raises
    ------
    ValueError
        If a label is missing, `permutations` is not a whole number of at least 1, or `rng` is no generator.

    Examples
    --------
    >>> permute_within(["a", "b", "c"], 2, np.random.default_rng(1)).tolist()
    [[0, 1, 2], [0, 1, 2]]
    """
    labels, levels = check_groups(strata, len(strata), name="strata")
    rng = check_generator(rng)
    if permutations != int(permutations) or permutations < 1:
        raise ValueError(f"permutations must be a whole number of at least 1, found {permutations!r}")
    moved = np.empty((int(permutations), len(labels)), dtype=np.intp)
    for level in levels:
        inside = np.flatnonzero(labels == level)
        moved[:, inside] = rng.permuted(np.tile(inside, (len(moved), 1)), axis=1)
    return moved
