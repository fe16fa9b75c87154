"""Functions compiled to machine code; importing this module costs numba's start-up, so kernels alone do."""

from __future__ import annotations

from collections.abc import Callable

from numba import njit


def compiled(function: Callable) -> Callable:
    """Compile a function at first use; keep the result on disk, or in memory where no folder can be written.

    Parameters
    ----------
    function : callable
        Numbers and arrays in, numbers and arrays out. It runs without holding Python's lock, and a division
        by zero gives infinity, as in numpy.

    Returns
    -------
    callable
        The compiled function.
    """
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)
