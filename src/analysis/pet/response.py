"""Metabolic response per patient and follow-up scan, from a lesion table and the plan's decision tables.

Nothing here opens a file: `adpet` may come from images or from a plain table of measurements. A rule is data
of the plan: which lesions (`lesion_sets`), how they become one ratio (`summaries`), and a decision table
read top to bottom.

A lesion without a usable follow-up value is put to its best case (gone): if the patient still does not
respond, the rest has decided it (the class is then "at least this bad"); otherwise the patient is NE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet import lesion_pairs, response_flags, response_rules
from analysis.pet.comparability import ASSESSABLE, WARNED
from analysis.pet.lesion_changes import change_lesions, tabulate_by_lesion_count
from analysis.pet.response_rules import RULE_TABLES

__all__ = [
    "ADMR_COLUMNS",
    "change_lesions",
    "classify",
    "classify_grid",
    "cut_in_force",
    "decide",
    "in_force",
    "is_ready",
    "tabulate_by_lesion_count",
    "with_asked",
    "with_cells",
]

ADMR_COLUMNS = ["STUDYID", "USUBJID", "AVISIT", "METRIC", "RULE", "CUT", "AVALC", "MRESP", "SCORE", "NLESION"]
ADMR_COLUMNS += ["PETDT", "NEREAS", "ONBOUND", "DECIDED", "COMPARE", "PPFL", "FLAGS"]


def classify(
    adpet: pd.DataFrame,
    plan: plans.Plan | None = None,
    *,
    rule: str | None = None,
    cut_percent: float | None = None,
    metric: str | None = None,
    subjects: pd.DataFrame | None = None,
    scans: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
    lesion_cap: int | None = None,
) -> pd.DataFrame:
    """Classify metabolic response of every subject at every follow-up visit by one rule.

    Parameters
    ----------
    adpet : DataFrame
        Lesion, reference region and total rows, one a subject, visit, lesion and metric.
    plan : Plan, optional
        Sections ``response``, ``pet``, ``primary`` and ``design`` are read.
    rule, cut_percent, metric : optional
        Default: the primary analysis of the plan. ``dominance_*``, ``eortc``, ``percist`` and ``percist5``
        have cuts of their own, the last two a metric of their own: for these the argument is not used and
        the columns CUT and METRIC state what was.
    subjects : DataFrame, optional
        USUBJID, and PILOTFL if known: a pilot patient is expected at every follow-up visit, so that a scan
        that was never made is a row too. Without it, whoever is in `adpet` or `scans`.
    scans : DataFrame, optional
        ``scan_qc``: scan dates, refused scans and what makes two scans comparable. Without it only what
        `adpet` holds is known.
    decisions : DataFrame, optional
        Readers' decisions: USUBJID AVISIT LESIONID DECISION.
    lesion_cap : int, optional
        Read at most so many of the rule's lesions, the hottest at baseline by the plan's `target_metric`;
        default: the plan's.

    Returns
    -------
    DataFrame
        One row a subject and follow-up visit, sorted; columns ``ADMR_COLUMNS``. SCORE is the ln ratio of
        follow-up to baseline that belongs to the rule, NaN where any lesion of the rule is unknown; larger
        is worse. DECIDED is the row of the decision table that decided, or ``scan_refused`` or
        ``lesion_unknown`` where that row could not be trusted. COMPARE is the verdict on the pair of scans
        (`comparability`), missing without a pair. PPFL is Y where both scans were measured and are
        comparable, with warnings or without; visit windows need no test here, since a scan has the name of
        a visit because it lies in its window (or a reader's ``scan_map.csv`` says so). FLAGS: see
        `response_flags.name_flags`.

    Raises
    ------
    ValueError
        For an unknown rule, one whose classes were sent (READY_RULE), a metric that is not in `adpet`, or a
        repeated key.
    """
    plan = plans.defaults() if plan is None else plan
    rule = plan.primary.response_rule if rule is None else rule
    if is_ready(plan, rule):
        raise ValueError(f"READY_RULE: the classes of {rule!r} were sent; no lesion is read to make them")
    if rule not in RULE_TABLES:
        raise ValueError(f"UNKNOWN_RULE: {rule!r} is none of {', '.join(RULE_TABLES)}")
    metric = _metric_in_force(plan, rule, metric)
    case = lesion_pairs.collect(adpet, plan, metric, subjects=subjects, scans=scans, decisions=decisions)
    setting = _setting(plan, rule, cut_in_force(plan, rule, cut_percent), metric)
    return _apply(case, setting, plan.response.lesion_cap if lesion_cap is None else lesion_cap)


def classify_grid(
    adpet: pd.DataFrame,
    plan: plans.Plan | None = None,
    *,
    subjects: pd.DataFrame | None = None,
    scans: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Classify by every rule, cut and metric of the plan's grid, and by the primary analysis if known.

    Returns
    -------
    DataFrame
        The rows of `classify` for each distinct METRIC, RULE and CUT, in the order of the plan.
    """
    plan = plans.defaults() if plan is None else plan
    asked = _asked(plan) if "primary" in plan.sections() else []
    grid = [
        (m, r, c)
        for m in plan.response.grid_metrics
        for r in plan.response.grid_rules
        for c in _cuts(plan, r)
    ]
    wanted = dict.fromkeys(
        (_metric_in_force(plan, r, m), r, cut_in_force(plan, r, c)) for m, r, c in asked + grid
    )
    known = {"subjects": subjects, "scans": scans, "decisions": decisions}
    metrics = dict.fromkeys(m for m, _, _ in wanted)
    # Where every scan was refused or no scan has a lesion, every subject is not evaluable: a result.
    held = set(adpet.loc[adpet["ROLE"] == "LESION", "METRIC"]) or set(metrics)
    cases = {m: lesion_pairs.collect(adpet, plan, m, **known) for m in metrics if m in held}
    cap = plan.response.lesion_cap
    parts = [_apply(cases[m], _setting(plan, r, c, m), cap) for m, r, c in wanted if m in cases]
    if not parts:
        raise ValueError(f"METRIC_MISSING: none of {', '.join(metrics)} is in adpet")
    return pd.concat(parts, ignore_index=True)


def with_asked(
    admr: pd.DataFrame, adpet: pd.DataFrame, plan: plans.Plan, **known: pd.DataFrame | None
) -> pd.DataFrame:
    """Return `admr` with the rows of the primary analysis, classified here if the grid does not hold them.

    Parameters
    ----------
    admr, adpet : DataFrame
        Tables of these names.
    plan : Plan
        Sections ``primary``, ``response``, ``pet`` and ``design``.
    **known
        ``subjects``, ``scans`` and ``decisions``, as in `classify`.

    Returns
    -------
    DataFrame
        `admr`, longer by one metric, rule and cut where it lacked them.
    """
    return _with(admr, adpet, plan, _asked(plan), known)


def with_cells(
    admr: pd.DataFrame,
    adpet: pd.DataFrame,
    plan: plans.Plan,
    cells: Sequence[tuple[str, str, float]],
    **known: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return `admr` with the rows of each metric, rule and cut asked for, where the metric was measured.

    Parameters
    ----------
    admr, adpet : DataFrame
        Tables of these names.
    plan : Plan
        Sections ``primary``, ``response``, ``pet`` and ``design``.
    cells : sequence of (metric, rule, cut)
        For example those a specification curve needs; a rule with a metric or cut of its own takes that.
    **known
        ``subjects``, ``scans`` and ``decisions``, as in `classify`.

    Returns
    -------
    DataFrame
        `admr`, longer by what it lacked; a metric of which `adpet` has no lesion is left out.
    """
    measured = set(adpet.loc[adpet["ROLE"].eq("LESION"), "METRIC"])
    asked = [one for one in cells if _metric_in_force(plan, one[1], one[0]) in measured]
    return _with(admr, adpet, plan, asked, known)


def _with(admr, adpet, plan: plans.Plan, cells, known: dict) -> pd.DataFrame:
    parts = [admr]
    asked = [(_metric_in_force(plan, r, m), r, cut_in_force(plan, r, c)) for m, r, c in cells]
    for metric, rule, cut in dict.fromkeys(asked) if plan.design.followup_visits else ():
        held = admr["METRIC"].eq(metric) & admr["RULE"].eq(rule) & np.isclose(admr["CUT"].astype(float), cut)
        if not held.any():
            parts.append(classify(adpet, plan, rule=rule, cut_percent=cut, metric=metric, **known))
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else admr


def tabulate_caps(adpet: pd.DataFrame, plan: plans.Plan, **known: pd.DataFrame | None) -> pd.DataFrame:
    """Count non-responders of the primary rule if it reads at most so many lesions of a patient.

    Parameters
    ----------
    adpet : DataFrame
        Table of this name.
    plan : Plan
        Sections ``primary``, ``response`` (`lesion_caps_shown`), ``pet`` and ``design``.
    **known
        ``subjects``, ``scans`` and ``decisions``, as in `classify`.

    Returns
    -------
    DataFrame
        One row CAP (``all`` without one) and AVISIT: N, N_NE, N_NONRESPONDER, and PERCENT of non-responders
        among the evaluable; no row for a study without a second scan, or one that sent classes.
    """
    parts = []
    reads = plan.design.followup_visits and not is_ready(plan, plan.primary.response_rule)
    for cap in [*plan.response.lesion_caps_shown, None] if reads else []:
        found = classify(adpet, plan, lesion_cap=cap, **known)[["MRESP", "AVISIT"]]
        parts.append(found.assign(CAP="all" if cap is None else str(cap)))
    rows = pd.concat(parts) if parts else pd.DataFrame(columns=["CAP", "AVISIT", "MRESP"])
    groups = rows.groupby(["CAP", "AVISIT"])["MRESP"]
    table = pd.DataFrame(
        {
            "N": groups.size(),
            "N_NE": groups.agg(lambda words: (words == "NE").sum()),
            "N_NONRESPONDER": groups.agg(lambda words: (words == "NON-RESPONDER").sum()),
        }
    ).astype(int)
    evaluable = table["N"] - table["N_NE"]
    return table.assign(PERCENT=100 * table["N_NONRESPONDER"] / evaluable.where(evaluable > 0)).reset_index()


def in_force(plan: plans.Plan) -> plans.Plan:
    """Return `plan` with the metric and cut its primary rule really uses: some rules carry their own.

    Raises
    ------
    PlanError
        If a cut or metric is asked for that the primary rule does not use: it would change nothing.
    """
    metric, rule, cut = _asked(plan)[0]
    used = {
        "primary.metric": _metric_in_force(plan, rule, metric),
        "primary.cut_percent": cut_in_force(plan, rule, cut),
    }
    idle = [name for name in used if name in plan.overrides and plan.overrides[name] != used[name]]
    if idle:
        raise plans.PlanError(f"rule {rule!r} has a metric or cut of its own: {idle} would change nothing")
    return replace(plan, values={**plan.values, **used})


def _asked(plan: plans.Plan) -> list[tuple[str, str, float]]:
    return [(plan.primary.metric, plan.primary.response_rule, plan.primary.cut_percent)]


def cut_in_force(plan: plans.Plan, rule: str, cut_percent: float | None = None) -> float:
    """Return the cut a rule uses, percent: its own if it has one, else `cut_percent` or the primary one."""
    rules = plan.response
    if is_ready(plan, rule):
        return float(plan.pet.classes_table["cut_percent"])
    if rule.startswith("dominance"):
        return rules.dominance_cut
    if rule == "eortc":
        return rules.eortc_pmr_cut[rules.eortc_phase]
    if RULE_TABLES.get(rule) == "percist_table":
        return rules.percist_cut
    return float(plan.primary.cut_percent if cut_percent is None else cut_percent)


def decide(conditions: pd.DataFrame, table: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Read a decision table top to bottom; the first condition that holds gives the class.

    Parameters
    ----------
    conditions : DataFrame of bool
        One column a named condition, one row a case.
    table : sequence of (condition, class)
        The last row must be ``otherwise``.

    Returns
    -------
    DataFrame
        AVALC and ROW (the condition that decided), on the index of `conditions`.

    Examples
    --------
    >>> cases = pd.DataFrame({"rises": [True, False]})
    >>> decide(cases, [["rises", "PMD"], ["otherwise", "SMD"]])["AVALC"].tolist()
    ['PMD', 'SMD']
    """
    names, classes = [row[0] for row in table], [row[1] for row in table]
    unknown = [name for name in names if name not in conditions and name != "otherwise"]
    if unknown or not names or names[-1] != "otherwise":
        raise ValueError(
            f"DECISION_TABLE: rows {names} must be among {sorted(conditions)}, the last 'otherwise'"
        )
    held = [conditions[name].to_numpy(bool) for name in names[:-1]]
    chosen = {
        "AVALC": np.select(held, classes[:-1], classes[-1]),
        "ROW": np.select(held, names[:-1], "otherwise"),
    }
    return pd.DataFrame(chosen, index=conditions.index)


def is_ready(plan: plans.Plan, rule: str) -> bool:
    """Tell whether the classes of a rule were sent ready made (`pet.classes_table`): nothing derives them."""
    return plan.pet.classes_table.get("rule") == rule


def _metric_in_force(plan: plans.Plan, rule: str, metric: str | None) -> str:
    if is_ready(plan, rule):
        return plan.pet.classes_table["metric"]
    if RULE_TABLES.get(rule) == "percist_table":
        return plan.response.percist_metric
    return plan.primary.metric if metric is None else metric


def _cuts(plan: plans.Plan, rule: str) -> Sequence[float | None]:
    return plan.response.cuts_percent if RULE_TABLES.get(rule) == "percent_table" else [None]


def _setting(plan: plans.Plan, rule: str, cut: float, metric: str) -> response_rules.Setting:
    first = next(iter(plan.design.followup_visits), None)
    return response_rules.Setting(plan.response, rule, metric, float(cut), first)


def _apply(case: lesion_pairs.Case, setting: response_rules.Setting, cap: int | None) -> pd.DataFrame:
    visits, rules, rule = case.visits, setting.rules, setting.rule
    by_load = rule == "dominance_volume"
    lesions = lesion_pairs.select_set(case.pairs, rules.lesion_sets[rule], by_load=by_load, cap=cap)
    lesions = lesions.assign(CHANGE=100 * (lesions["FILLED"] / lesions["BEST_BASE"] - 1))
    measured = response_rules.summarise(lesions, setting).reindex(visits.index)
    measured["NLESION"] = measured["NLESION"].fillna(0).astype(int)
    unknown = measured["UNKNOWN"].eq(True)
    conditions = response_rules.CONDITIONS[RULE_TABLES[rule]](visits, lesions, measured, setting).eq(True)
    decided = _withhold(decide(conditions, getattr(rules, RULE_TABLES[rule])), visits, unknown, rules)
    avalc, reasons = (
        decided["AVALC"],
        response_flags.name_reasons(decided["ROW"], visits, measured, setting),
    )
    responds = np.where(avalc.isin(rules.responder_classes), "RESPONDER", "NON-RESPONDER")
    on_boundary = response_flags.find_boundary(lesions, measured, setting).reindex(visits.index).eq(True)
    comparable = (
        visits["COMPARABLE"].isin([ASSESSABLE, WARNED]) & visits["MEASURED"] & visits["BASE_MEASURED"]
    )
    admr = visits[["STUDYID", "PETDT"]].assign(
        METRIC=setting.metric,
        RULE=rule,
        CUT=setting.cut,
        AVALC=avalc,
        MRESP=np.where(avalc == "NE", "NE", responds),
        SCORE=measured["SCORE"].mask(unknown | visits["REFUSED"]),
        NLESION=measured["NLESION"],
        NEREAS=reasons.where(avalc == "NE", None),
        ONBOUND=np.where(on_boundary, "Y", "N"),
        DECIDED=decided["ROW"],
        COMPARE=visits["COMPARABLE"].where(visits["COMPARABLE"].notna(), None),
        PPFL=np.where(comparable, "Y", "N"),
        FLAGS=response_flags.name_flags(visits, lesions, measured, decided, setting),
    )
    return admr.reset_index()[ADMR_COLUMNS]


def _withhold(
    decided: pd.DataFrame, visits: pd.DataFrame, unknown: pd.Series, rules: plans.Section
) -> pd.DataFrame:
    """Make NE what rests on a refused scan, or responds only if an unknown lesion did."""
    avalc, row = decided["AVALC"], decided["ROW"]
    refused = visits["REFUSED"] & ~row.isin(["new_lesion", "no_pair"])
    open_case = ~refused & unknown & avalc.isin(rules.responder_classes) & (row != "resolved")
    row = row.mask(refused, "scan_refused").mask(open_case, "lesion_unknown")
    return pd.DataFrame({"AVALC": avalc.mask(refused | open_case, "NE"), "ROW": row})
