"""The mapping of a ready time-to-event table (``clinical.table`` of the plan): names, shapes, conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.clinical.terms import to_number

_KEYS = {"file", "subject", "age", "sex", "time_unit", "time_zero", "endpoints"}
_OPTIONAL = {"age", "sex", "time_unit"}
_UNITS = ("days", "weeks", "months")
_ENDPOINT_KEYS = {"paramcd", "param", "events", "censor_day", "censor_description", "not_after"}
_ENDPOINT_OPTIONAL = {"censor_description", "not_after"}
_EVENT_KEYS = {"when", "day", "description"}


def _compare(relation: Callable) -> Callable[[pd.Series, Any], pd.Series]:
    return lambda values, given: relation(to_number(values), float(given))


# what a condition may ask; never an expression to evaluate
CONDITIONS: dict[str, Callable[[pd.Series, Any], pd.Series]] = {
    "empty": lambda values, given: values.isna(),
    "not_empty": lambda values, given: values.notna(),
    "==": lambda values, given: values.eq(str(given)),
    "!=": lambda values, given: values.notna() & values.ne(str(given)),
    "in": lambda values, given: values.isin([str(item) for item in given]),
    ">": _compare(np.greater),
    ">=": _compare(np.greater_equal),
    "<": _compare(np.less),
    "<=": _compare(np.less_equal),
}


def days_per_unit(mapping: Mapping, days_per_month: float) -> float:
    """Return how many days the unit of a mapping's times has; without one they are days."""
    return dict(zip(_UNITS, (1.0, 7.0, float(days_per_month))))[mapping.get("time_unit", _UNITS[0])]


def check_mapping(mapping: Mapping) -> list[str]:
    """List what is wrong with a mapping: unknown names, missing ones, unknown conditions."""
    problems = _check_names("clinical.table", mapping, _KEYS, _KEYS - _OPTIONAL)
    shapes = [] if any(name not in mapping for name in ("time_zero", "endpoints")) else _check_shapes(mapping)
    problems += shapes
    codes = [] if shapes else [endpoint.get("paramcd") for endpoint in mapping.get("endpoints", [])]
    problems += [f"clinical.table: endpoint {code!r} stands twice" for code in _repeated(codes)]
    for endpoint in [] if shapes else mapping.get("endpoints", []):
        where = f"clinical.table endpoint {endpoint.get('paramcd', '?')!r}"
        problems += _check_names(where, endpoint, _ENDPOINT_KEYS, _ENDPOINT_KEYS - _ENDPOINT_OPTIONAL)
        others = [code for code in codes if code != endpoint.get("paramcd")]
        if "not_after" in endpoint and endpoint["not_after"] not in others:
            problems.append(f"{where}: not_after must name another endpoint of the table")
        for event in endpoint.get("events", []):
            problems += _check_names(f"{where} event", event, _EVENT_KEYS, _EVENT_KEYS)
            operator = event.get("when", {}).get("op")
            if operator not in CONDITIONS:
                problems.append(f"{where}: unknown condition {operator!r}; known: {', '.join(CONDITIONS)}")
    return problems


def _check_shapes(mapping: Mapping) -> list[str]:
    """List what is of another shape than the example at the head of this module."""
    sex, names = mapping.get("sex", {"column": "", "map": {}}), mapping["time_zero"]
    endpoints = mapping["endpoints"] if isinstance(mapping["endpoints"], list) else []
    events = [one.get("events") if isinstance(one, Mapping) else None for one in endpoints]
    unit = mapping.get("time_unit", _UNITS[0])
    wrong = {
        f"time_unit must be one of {', '.join(_UNITS)}, found {unit!r}": unit not in _UNITS,
        "time_zero must be a list of columns; [] is the table's own day 0": not isinstance(names, list),
        "sex must be {column: ..., map: {...}}": not (
            isinstance(sex, Mapping) and set(sex) == {"column", "map"}
        ),
        "endpoints must be a list of tables": not endpoints or not all(map(_is_table, endpoints)),
        "events must be a list of {when: {column, op}, day, description}": not all(
            isinstance(some, list)
            and some
            and all(_is_table(one) and _is_when(one.get("when")) for one in some)
            for some in events
        ),
    }
    return [f"clinical.table: {what}" for what, found in wrong.items() if found]


def _repeated(codes: list[str | None]) -> list[str]:
    return sorted({str(code) for code in codes if codes.count(code) > 1})


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_when(value: Any) -> bool:
    return isinstance(value, Mapping) and {"column", "op"} <= set(value) <= {"column", "op", "value"}


def _check_names(where: str, given: Mapping, known: set[str], needed: set[str]) -> list[str]:
    unknown = [
        f"{where}: unknown name {name!r}; known: {', '.join(sorted(known))}"
        for name in sorted(set(given) - known)
    ]
    return unknown + [f"{where}: {name!r} is missing" for name in sorted(needed - set(given))]
