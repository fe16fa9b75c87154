"""The specifications a reviewer would accept: what the plan asks for, what it means, what does not apply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.estimates import EXPOSED, REFERENCE, Analysis
from analysis.survival.association.population import apply_population
from analysis.survival.association.sets import is_post_hoc
from analysis.survival.association.study import AnalysisSets

DIMENSIONS = ["TIMEPOINT", "METRIC", "RULE", "CUT", "POPULATION", "LANDMARK", "CENSORING"]
LISTED = ["SPECIFICATION", "ENDPOINT", *DIMENSIONS, "ROLE", "POSTHOC", "STATUS", "REASON"]
# What `analysis_set` and `apply_population` know: another word would silently be taken for one of them.
_KNOWN = {
    "LANDMARK": ("scan", "fixed", "none"),
    "POPULATION": ("all_scans", "fdg_evaluable", "comparable", "on_drug"),
}


def needed_classes(plan: Plan) -> list[tuple[str, str, float]]:
    """List the metric, rule and cut of every specification: what the response table must hold for them.

    Parameters
    ----------
    plan : Plan
        Sections specification, primary, response and design.

    Returns
    -------
    list of (metric, rule, cut)
        As the plan asks; a rule with a metric or a cut of its own is classified by that
        (`pet.response.with_cells`). Empty where the exposure is the baseline scan.

    Examples
    --------
    >>> from analysis import plan
    >>> needed_classes(plan.defaults())[:3]
    [('SUVMAX', 'any_resistant', 25.0), ('SUVMAX', 'any_resistant', 15.0), ('SUVMAX', 'any_resistant', 30.0)]
    """
    if plan.primary.exposure == "baseline_metric":
        return []
    primary = _primary(plan, None)
    asked = [primary, *_crossed(plan, primary, []), *_singly(plan, primary, [])]
    return list(dict.fromkeys((one["METRIC"], one["RULE"], float(one["CUT"])) for one in asked))


def list_specifications(sets: AnalysisSets, plan: Plan) -> pd.DataFrame:
    """List the plan's specifications of the main comparison, without estimating any.

    The primary analysis comes first; then the product of the crossed choices and the single ones. What means
    the same is listed once: a rule with a metric or cut of its own (EORTC, PERCIST, dominance) counts once
    however many cuts are crossed with it. A single choice that changes nothing is listed as SAME. Sameness is
    one of meaning (the same choices in force), not of equal numbers.

    Parameters
    ----------
    sets : AnalysisSets
        From `prepare`.
    plan : Plan
        Sections specification, primary, response, clinical and design.

    Returns
    -------
    DataFrame
        The columns of table ``specifications`` up to REASON; STATUS is ESTIMATED (to be estimated), SAME or
        NOT_APPLICABLE. Without rows where the exposure is the baseline scan.

    Raises
    ------
    ValueError
        For a choice or a value of a choice that no analysis knows.
    """
    if plan.primary.exposure == "baseline_metric":
        return pd.DataFrame(columns=LISTED)
    main, study = sets.analyses[plan.primary.endpoint], _look_at(sets, plan)
    primary = _primary(plan, main)
    rows, seen, said = [], {}, set()
    for asked, single in _in_order(plan, primary, study):
        meant, reason = _resolve(asked, study, plan)
        other, again = seen.get(_key(meant)), _key(asked) in said
        said.add(_key(asked))
        if again or (other is not None and (reason or not single)):
            continue
        status = "NOT_APPLICABLE" if reason else "ESTIMATED"
        if other is not None:
            status, reason = "SAME", f"the same as specification {other}: {_why_same(asked, meant)}"
        seen.setdefault(_key(meant), number := len(rows) + 1)
        row = {"SPECIFICATION": float(number), "ENDPOINT": main.endpoint, **meant}
        row |= {"CENSORING": asked["CENSORING"], "ROLE": "SENSITIVITY" if rows else "PRIMARY"}
        post_hoc = "Y" if is_post_hoc(meant["CUT"], plan) else "N"
        rows.append({**row, "POSTHOC": post_hoc, "STATUS": status, "REASON": reason})
    return pd.DataFrame(rows)[LISTED]


def populations_of(sets: AnalysisSets, plan: Plan) -> dict[str, pd.DataFrame | str]:
    """Apply every population the specifications name; the reason instead, where nobody knows who belongs.

    Parameters
    ----------
    sets, plan
        As in `list_specifications`.

    Returns
    -------
    dict of str to DataFrame or str
        `admr` as the population leaves it, or the reason why it cannot be applied.
    """
    cohort, found = sets.cohort, {}
    primary = _primary(plan, None)
    asked = [primary, *_crossed(plan, primary, []), *_singly(plan, primary, [])]
    for name in dict.fromkeys(one["POPULATION"] for one in asked):
        try:
            found[name] = apply_population(
                sets.everyone, cohort.adpet, plan, scans=cohort.scans, population=name
            )
        except ValueError as refusal:
            if "POPULATION_UNKNOWN" not in str(refusal):
                raise
            found[name] = "who belongs to this population is not known in this study"
    return found


@dataclass(frozen=True)
class _Study:
    """What a specification may ask for here: cuts by rule and metric, days, populations, censoring rules."""

    cells: dict[str, list[tuple[str, float]]]
    own: set[str]
    days: set[str]
    populations: dict[str, pd.DataFrame | str]
    variants: list[str]
    endpoint: str
    dated: bool


def _look_at(sets: AnalysisSets, plan: Plan) -> _Study:
    admr, adtte, other = sets.everyone, sets.cohort.adtte, sets.cohort.adtte_sensitivity
    held = admr[["METRIC", "RULE", "CUT"]].drop_duplicates().sort_values(["METRIC", "RULE", "CUT"])
    cells: dict[str, list[tuple[str, float]]] = {}
    for metric, rule, cut in held.itertuples(index=False):
        cells.setdefault(rule, []).append((metric, float(cut)))
    name = plan.primary.endpoint
    dates = adtte.loc[adtte["PARAMCD"].eq(name), "ADT"]
    return _Study(
        cells=cells,
        own={rule for rule, pairs in cells.items() if _has_own(rule, pairs, admr, plan)},
        days=set(admr.loc[admr["MRESP"].isin([EXPOSED, REFERENCE]), "AVISIT"]),
        populations=populations_of(sets, plan),
        variants=[code for code in sorted(set(other["PARAMCD"])) if _is_variant(code, name, plan)],
        endpoint=name,
        dated=bool(dates.notna().any() and admr["PETDT"].notna().any()),
    )


def _has_own(rule: str, pairs: list, admr: pd.DataFrame, plan: Plan) -> bool:
    """Tell a rule with a cut of its own (a published table) from one by any percent, by its classes."""
    if "AVALC" not in admr:
        return len(pairs) == 1
    by_percent = {name for _, name in plan.response.percent_table}
    return not set(admr.loc[admr["RULE"].eq(rule), "AVALC"]) <= by_percent


def _is_variant(code: str, endpoint: str, plan: Plan) -> bool:
    return code != endpoint and _flips(plan).get(code, {}).get("endpoint", code).startswith(endpoint)


def _changes_nothing(code: str, endpoint: str, plan: Plan) -> bool:
    """Tell whether a censoring rule is the one the endpoint already has."""
    flip = _flips(plan).get(code, {})
    changes = flip.get("changes", {})
    return flip.get("endpoint") == endpoint and all(plan.values[key] == to for key, to in changes.items())


def _flips(plan: Plan) -> dict[str, dict]:
    return plan.clinical.tte_sensitivity.get(plan.clinical.endpoint_rules, {})


def _primary(plan: Plan, main: Analysis | None) -> dict:
    """Return the choices of the primary analysis; of the plan alone without `main`."""
    own = plan.primary
    asked = (own.timepoint, own.metric, own.response_rule, own.cut_percent, own.population, own.landmark)
    given = (
        asked
        if main is None
        else (main.timepoint, main.metric, main.rule, main.cut, main.population, main.landmark)
    )
    return dict(zip(DIMENSIONS, (*given, own.endpoint), strict=True))


def _in_order(plan: Plan, primary: dict, study: _Study) -> Iterator[tuple[dict, bool]]:
    yield primary, False
    yield from ((one, False) for one in _crossed(plan, primary, study.variants))
    yield from ((one, True) for one in _singly(plan, primary, study.variants))


def _crossed(plan: Plan, primary: dict, variants: list[str]) -> list[dict]:
    asked = {name: _values(name, given, plan, variants) for name, given in plan.specification.crossed.items()}
    return [{**primary, **dict(zip(asked, one, strict=True))} for one in product(*asked.values())]


def _singly(plan: Plan, primary: dict, variants: list[str]) -> list[dict]:
    asked = plan.specification.singly.items()
    return [{**primary, name: one} for name, given in asked for one in _values(name, given, plan, variants)]


def _values(name: str, given: list | None, plan: Plan, variants: list[str]) -> list:
    """Return the values of one choice; null is every one the study has."""
    every = {
        "TIMEPOINT": plan.design.followup_visits,
        "METRIC": plan.response.grid_metrics,
        "RULE": plan.response.grid_rules,
        "CUT": plan.response.cuts_percent,
        "POPULATION": [plan.primary.population, *plan.primary.populations_shown],
        "LANDMARK": _KNOWN["LANDMARK"],
        "CENSORING": variants,
    }
    if name not in every:
        raise ValueError(f"section specification: {name!r} is no choice; choices are {', '.join(DIMENSIONS)}")
    values = list(every[name] if given is None else given)
    unknown = [value for value in values if value not in _KNOWN.get(name, values)]
    if unknown:
        raise ValueError(f"section specification: {name} must be among {_KNOWN[name]}, found {unknown}")
    return values


def _resolve(asked: dict, study: _Study, plan: Plan) -> tuple[dict, str | None]:
    """Return the choices in force, and why they do not apply to this study (None where they do)."""
    if _changes_nothing(asked["CENSORING"], study.endpoint, plan):
        asked = {**asked, "CENSORING": study.endpoint}
    metric, rule, cut = asked["METRIC"], asked["RULE"], float(asked["CUT"])
    pairs = study.cells.get(rule, [])
    if not any(name == metric and np.isclose(known, cut) for name, known in pairs):
        if not pairs:
            return {**asked, "CUT": np.nan}, "this rule was not applied in this study"
        mine = [pair for pair in pairs if pair[0] == metric] or pairs
        if rule not in study.own or len(mine) > 1:
            what = "metric was not measured" if mine is pairs else "cut was not applied"
            return {**asked, "CUT": cut}, f"this {what} in this study"
        (metric, cut) = mine[0]
    meant = {**asked, "METRIC": metric, "CUT": cut}
    return meant, _why_not(meant, study)


def _why_same(asked: dict, meant: dict) -> str:
    if asked["CENSORING"] != meant["CENSORING"]:
        return "the endpoint's own censoring rule is this one"
    return "the rule has a metric or a cut of its own"


def _why_not(meant: dict, study: _Study) -> str | None:
    if meant["TIMEPOINT"] not in study.days:
        return "no scan of this day gave a class"
    if isinstance(reason := study.populations[meant["POPULATION"]], str):
        return reason
    if meant["LANDMARK"] == "scan" and not study.dated:
        return "without dates of scans the landmark cannot be the scan"
    if meant["CENSORING"] not in (study.endpoint, *study.variants):
        return "no times under this censoring rule in this study"
    return None


def _key(choice: dict) -> tuple:
    """Return what tells choices apart; a cut that is not known is one cut."""
    return tuple(None if choice[name] != choice[name] else choice[name] for name in DIMENSIONS)
