"""The tables of PFS and OS as a reader sees them, and what is refused in a study's own tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis import plan as plans
from analysis.clinical.rule_words import DATES, EVENTS, SITUATIONS, START, STARTS, as_list, switches_off

_ROW_KEYS = {"situation", "unless", "date", "cnsr", "description"}
_PARAMCD = re.compile(r"[A-Z][A-Z0-9]{0,7}")  # SAS: at most eight characters


def rule_table(plan: plans.Plan, endpoint: str) -> pd.DataFrame:
    """Put the table of rules of one endpoint into words, in the order in which it is read.

    Parameters
    ----------
    plan : Plan
        Section `clinical`.
    endpoint : str
        PARAMCD of the plan's rule set (``PFS``, ``OS``), or of one of its sensitivity variants.

    Returns
    -------
    DataFrame
        ROW (1 is read first), SITUATION, OUTCOME (event, censored; with CNSR above 1), DATE (of ADT),
        DESCRIPTION (EVNTDESC), SWITCH (the plan value that governs the row, and its value), STATE (in force,
        or what switched it off) and PARAMCD (the sensitivity variants under which the row reads differently).
        A row whose switch takes it out stays in the table: the reader sees what was not applied.

    Raises
    ------
    PlanError
        BAD_RULES (see `check_rules`), or no such endpoint.
    """
    rules = plan.clinical
    check_rules(rules)
    variants = rules.tte_sensitivity[rules.endpoint_rules]
    endpoints = rules.tte_rules[rules.endpoint_rules]["endpoints"]
    if endpoint not in endpoints and endpoint in variants:
        plan = plan.override(variants[endpoint]["changes"])
        endpoint = variants[endpoint]["endpoint"]
    if endpoint not in endpoints:
        raise plans.PlanError(
            f"rule set {rules.endpoint_rules!r} has no endpoint {endpoint!r}: one of {sorted(endpoints)}"
        )
    other = {
        name: plan.override(spec["changes"]).clinical
        for name, spec in variants.items()
        if spec["endpoint"] == endpoint
    }
    lines = [
        {
            "ROW": number,
            **_describe(row, plan.clinical),
            "PARAMCD": ", ".join(_flipped(row, plan.clinical, other)),
        }
        for number, row in enumerate(endpoints[endpoint]["rows"], 1)
    ]
    return pd.DataFrame(lines)


def _describe(row: Mapping[str, Any], rules) -> dict[str, str]:
    off = switches_off(row, rules)
    stated = [f"{name}: {getattr(rules, name)}" for name in row.get("unless", {})]
    by = ", ".join(f"{name}: {value}" for name, value in off.items())
    return {
        "SITUATION": _words(row, rules),
        "OUTCOME": _outcome(row["cnsr"]),
        "DATE": _date_words(row, rules),
        "DESCRIPTION": row["description"],
        "SWITCH": ", ".join(stated),
        "STATE": f"switched off by {by}" if off else "in force",
    }


def _outcome(cnsr: int) -> str:
    return "event" if cnsr == 0 else "censored" if cnsr == 1 else f"censored ({cnsr})"


def _words(row: Mapping[str, Any], rules) -> str:
    missed = 2 * (7 * rules.interval_weeks + rules.window_days)
    words = SITUATIONS[row["situation"]].words
    return words.format(
        missed_days=missed, interval_weeks=rules.interval_weeks, window_days=rules.window_days
    )


def _date_words(row: Mapping[str, Any], rules) -> str:
    if row["date"] == START:
        return f"time zero ({STARTS[rules.tte_rules[rules.endpoint_rules]['start']]}): day 1"
    return DATES[row["date"]].words


def _flipped(row: Mapping[str, Any], rules, variants: Mapping[str, Any]) -> list[str]:
    """List the variants under which a row is in force or not otherwise, or asks with other values."""
    depends = SITUATIONS[row["situation"]].values
    found = []
    for name, changed in variants.items():
        off_before, off_now = bool(switches_off(row, rules)), bool(switches_off(row, changed))
        asks_otherwise = any(getattr(changed, value) != getattr(rules, value) for value in depends)
        if off_now != off_before or (asks_otherwise and not off_now):
            found.append(name)
    return found


def check_rules(rules) -> None:
    """Refuse a table of rules that cannot be applied, before anything is derived from it.

    Checks the plan's rule set of ``clinical.tte_rules`` and its variants in ``clinical.tte_sensitivity``.

    Parameters
    ----------
    rules : Section
        ``clinical`` of the plan.

    Raises
    ------
    PlanError
        BAD_RULES, with every problem: the endpoint and row, what is wrong and what may stand there.
    """
    name = rules.endpoint_rules
    problems = [*_set_problems(name, rules.tte_rules.get(name))]
    if not problems:
        known = rules.tte_rules[name]["endpoints"]
        problems = [*_variant_problems(name, rules.tte_sensitivity.get(name), known)]
    if problems:
        raise plans.PlanError(
            f"BAD_RULES: {len(problems)} problem(s) in the tables of PFS and OS; mend the study's plan:\n"
            + "\n".join(f"- {problem}" for problem in problems)
        )


def _set_problems(name: str, rule_set: Any) -> Iterator[str]:
    at = f"tte_rules.{name}"
    if not isinstance(rule_set, Mapping):
        yield f"{at}: no such rule set; it needs start, start_description, responses, cutoff, endpoints"
        return
    if rule_set.get("start") not in STARTS:
        yield f"{at}.start: {rule_set.get('start')!r} is no start; one of {sorted(STARTS)}"
    if not _is_text(rule_set.get("start_description")):
        yield f"{at}.start_description: words for time zero are missing"
    if not isinstance(rule_set.get("cutoff"), bool):
        yield f"{at}.cutoff: true or false, found {rule_set.get('cutoff')!r}"
    responses = rule_set.get("responses")
    if not isinstance(responses, Mapping) or set(responses) != {"derived", "reported"}:
        yield f"{at}.responses: needs 'derived' and 'reported'"
    elif wrong := sorted(set(map(str, responses.values())) - {"OVRLRESP", "RSREP"}):
        yield f"{at}.responses: {wrong} feed no endpoint; OVRLRESP or RSREP"
    endpoints = rule_set.get("endpoints")
    if not isinstance(endpoints, Mapping) or not endpoints:
        yield f"{at}.endpoints: at least one endpoint, PARAMCD: {{param, rows}}"
        return
    for endpoint, spec in endpoints.items():
        yield from _endpoint_problems(f"{at}.{endpoint}", endpoint, spec)


def _endpoint_problems(at: str, name: Any, spec: Any) -> Iterator[str]:
    if not _is_paramcd(name):
        yield f"{at}: a PARAMCD has one to eight capital letters and digits, a letter first"
    if not isinstance(spec, Mapping) or not isinstance(spec.get("rows"), list) or not spec["rows"]:
        yield f"{at}: no rows; an endpoint needs param and a list of rows"
        return
    if not _is_text(spec.get("param")):
        yield f"{at}.param: the name of the endpoint in words is missing"
    for number, row in enumerate(spec["rows"], 1):
        yield from (f"{at} row {number}: {problem}" for problem in _row_problems(row))
    last = spec["rows"][-1]
    if not isinstance(last, Mapping) or last.get("situation") != "otherwise" or last.get("unless"):
        yield f"{at} row {len(spec['rows'])}: the last row must be 'otherwise' without 'unless'"


def _row_problems(row: Any) -> Iterator[str]:
    if not isinstance(row, Mapping):
        yield f"must hold situation, date, cnsr and description, found {row!r}"
        return
    if extra := sorted(map(str, set(row) - _ROW_KEYS)):
        yield f"{extra} mean nothing here; only {sorted(_ROW_KEYS)}"
    if row.get("situation") not in SITUATIONS:
        yield f"unknown situation {row.get('situation')!r}; one of {sorted(SITUATIONS)}"
    if row.get("date") not in {START, *DATES}:
        yield f"unknown date {row.get('date')!r}; one of {[START, *sorted(DATES)]}"
    cnsr = row.get("cnsr")
    if isinstance(cnsr, bool) or not isinstance(cnsr, int) or cnsr < 0:
        yield f"cnsr must be a whole number, 0 for an event or 1 and more for censored, found {cnsr!r}"
    elif cnsr == 0 and row.get("date") in {START, *DATES} - set(EVENTS):
        yield f"an event cannot be dated at {row['date']!r}; one of {sorted(EVENTS)}"
    if not _is_text(row.get("description")):
        yield "no description (EVNTDESC)"
    yield from _switch_problems(row.get("unless", {}))


def _switch_problems(unless: Any) -> Iterator[str]:
    if not isinstance(unless, Mapping):
        yield f"unless must hold 'switch: value', found {unless!r}"
        return
    for switch, values in unless.items():
        for value in as_list(values):
            try:
                plans.defaults().override({f"clinical.{switch}": value})
            except plans.PlanError as error:
                yield f"unless {switch}: {error}"


def _variant_problems(name: str, variants: Any, endpoints: Mapping[str, Any]) -> Iterator[str]:
    at = f"tte_sensitivity.{name}"
    if not isinstance(variants, Mapping):
        yield f"{at}: a table of variants is missing; {{}} for none"
        return
    for paramcd, spec in variants.items():
        here = f"{at}.{paramcd}"
        if not _is_paramcd(paramcd):
            yield f"{here}: a PARAMCD has one to eight capital letters and digits, a letter first"
        if not isinstance(spec, Mapping) or not {"endpoint", "param", "changes"} <= set(spec):
            yield f"{here}: needs endpoint, param and changes"
            continue
        if spec["endpoint"] not in endpoints:
            yield f"{here}: no endpoint {spec['endpoint']!r}; one of {sorted(endpoints)}"
        if paramcd in endpoints and not endpoints[paramcd].get("sensitivity"):
            yield f"{here}: {paramcd} is the main endpoint; a variant needs a PARAMCD of its own"
        if not _is_text(spec["param"]):
            yield f"{here}: the name of the variant in words is missing"
        yield from _change_problems(here, spec["changes"])


def _change_problems(at: str, changes: Any) -> Iterator[str]:
    if not isinstance(changes, Mapping):
        yield f"{at}: changes must hold 'section.name: value', found {changes!r}"
        return
    for key, value in changes.items():
        try:
            plans.defaults().override({key: value})
        except plans.PlanError as error:
            yield f"{at}: {error}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_paramcd(value: Any) -> bool:
    return isinstance(value, str) and bool(_PARAMCD.fullmatch(value))
