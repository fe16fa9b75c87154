"""Kinds of limit a check of two scans may have; every limit is inclusive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Outcome:
    """What one check found in every pair: `failed` and `unknown` (bool), `diff` (in the limit's unit)."""

    failed: np.ndarray
    unknown: np.ndarray
    diff: np.ndarray

    @property
    def result(self) -> np.ndarray:
        """FAIL, UNKNOWN or PASS of every pair."""
        return np.select([self.failed, self.unknown], ["FAIL", "UNKNOWN"], "PASS")


def as_text(value: Any) -> str | None:
    """Return one fact as text, spaces evened out; None where there is none."""
    if pd.isna(value):
        return None
    shown = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return shown or None


def _each(broken: Callable[[np.ndarray], np.ndarray], base: np.ndarray, follow: np.ndarray) -> Outcome:
    """Hold each scan of a pair against a limit of its own: one that breaks it is enough."""
    failed = broken(base) | broken(follow)
    unknown = ~failed & (np.isnan(base) | np.isnan(follow))
    return Outcome(failed, unknown, np.full(len(base), np.nan))


def _within(base, follow, limit, eps) -> Outcome:
    low, high = limit
    return _each(lambda value: (value < low - eps) | (value > high + eps), base, follow)


def _at_least(base, follow, limit, eps) -> Outcome:
    return _each(lambda value: value < limit - eps, base, follow)


def _at_most(base, follow, limit, eps) -> Outcome:
    return _each(lambda value: value > limit + eps, base, follow)


def _apart(diff: np.ndarray, limit: float, eps: float) -> Outcome:
    diff = np.where(np.isfinite(diff), diff, np.nan)
    return Outcome(np.abs(diff) > limit + eps, np.isnan(diff), diff)


def _differ_by(base, follow, limit, eps) -> Outcome:
    return _apart(follow - base, limit, eps)


def _percent_of_larger(base, follow, limit, eps) -> Outcome:
    with np.errstate(divide="ignore", invalid="ignore"):
        return _apart(100 * (follow - base) / np.maximum(base, follow), limit, eps)


def _percent_of_baseline(base, follow, limit, eps) -> Outcome:
    with np.errstate(divide="ignore", invalid="ignore"):
        return _apart(100 * (follow - base) / base, limit, eps)


def _same(base, follow, limit, eps) -> Outcome:
    """Compare words; case and spaces do not count."""
    left, right = ([as_text(value) for value in side] for side in (base, follow))
    unknown = np.array([a is None or b is None for a, b in zip(left, right)], bool)
    differs = np.array([(a or "").casefold() != (b or "").casefold() for a, b in zip(left, right)], bool)
    return Outcome(differs & ~unknown, unknown, np.full(len(left), np.nan))


def _equal_to(base, follow, limit, eps) -> Outcome:
    wanted = str(limit).casefold()
    sides = [[as_text(value) for value in side] for side in (base, follow)]
    failed = np.array(
        [any(v is not None and v.casefold() != wanted for v in two) for two in zip(*sides)], bool
    )
    unknown = np.array([None in two for two in zip(*sides)], bool)
    return Outcome(failed, unknown & ~failed, np.full(len(sides[0]), np.nan))


OPERATORS: dict[str, Callable[..., Outcome]] = {
    "within": _within,
    "at_least": _at_least,
    "at_most": _at_most,
    "differ_by": _differ_by,
    "percent_of_larger": _percent_of_larger,
    "percent_of_baseline": _percent_of_baseline,
    "same": _same,
    "equal_to": _equal_to,
}
OF_WORDS = {"same", "equal_to"}


def describe_limit(check: Mapping[str, Any]) -> str:
    """Say in words what a check (`limit`, `unit`) allows."""
    operator, limit = next(iter(check["limit"].items()))
    unit = f" {check['unit']}" if check["unit"] else ""
    if operator == "within":
        return f"each {limit[0]:g} to {limit[1]:g}{unit}"
    number = f"{limit:g}" if isinstance(limit, int | float) else str(limit)
    return {
        "at_least": f"each at least {number}{unit}",
        "at_most": f"each at most {number}{unit}",
        "differ_by": f"at most {number}{unit} apart",
        "percent_of_larger": f"at most {number} % of the larger apart",
        "percent_of_baseline": f"at most {number} % of baseline apart",
        "same": "the same",
        "equal_to": f"each {number}",
    }[operator]
