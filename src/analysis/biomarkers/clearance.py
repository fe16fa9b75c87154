"""Clearance of ctDNA from baseline to a later visit: who lost it, who kept it, and what came of them.

Not assessable is not negative: a subject needs an assessable result at both visits.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
from scipy.special import gammaln
from scipy.stats import beta

from analysis import plan
from analysis.biomarkers.ctdna import (
    CLASSES,
    CURVE_COLUMNS,
    adjust_visits,
    relate,
    start_at_draw,
    tabulate_curves,
)
from analysis.biomarkers.plasma import classify_clearance, select_visit, tabulate_clearance
from analysis.biomarkers.rows import Analysis, as_rows, join_notes, nothing, stack_rows
from analysis.survival.agreement import mcnemar

CURVE = "CLEARANCE"
SIGNS = ("--", "-+", "+-", "++")
_KEPT = {"++": 1.0, "+-": 0.0}
# Probabilities that differ by rounding alone are tied, as in R's fisher.test.
_TIE = 1e-7
_NO_Q = "not adjusted for multiplicity"


def estimate_clearance(
    adbm: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    rng: np.random.Generator,
    rules=None,
    landmark_days: float | None = None,
) -> Analysis:
    """Estimate clearance of ctDNA from baseline to each later visit, and relate it to response and outcome.

    Parameters
    ----------
    adbm, outcomes, rng, landmark_days
        As in `analysis.biomarkers.ctdna.estimate_ctdna`.
    rules : Section, optional
        The plan's section ``biomarkers``: ``ctdna_visits``, ``baseline_visit``.

    Returns
    -------
    Analysis
        By later visit (AVISIT): CLEARANCE_<visits>, kept (``++``) against cleared (``+-``) among those
        detected at baseline, related to every outcome, endpoints from the later draw; CHANGE_<visits>, the
        ratio of subjects detected only later to those detected only at baseline (McNemar, exact), of all and
        by response; CLASSES_<visits>, the exact p of the four classes against response. `table` counts the
        classes: VISIT CLEARANCE N N_NONRESPONDER N_RESPONDER.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    first = rules.baseline_visit
    tables, counts, reasons = [], [], []
    for visit in [name for name in rules.ctdna_visits if name != first]:
        signs = classify_clearance(adbm, first, visit)
        if signs.notna().sum() == 0:
            reasons.append(f"nobody with assessable draws at {first} and {visit}")
            continue
        name = f"{first}_{visit}"
        counted = tabulate_clearance(adbm, outcomes, first=first, second=visit)
        counts.append(counted.assign(VISIT=visit))
        clock = start_at_draw(
            outcomes, select_visit(adbm, visit), visit, landmark_days=landmark_days, rules=rules
        )
        reasons.append(clock.reason)
        kept = signs.map(_KEPT).astype(float).rename(f"CLEARANCE_{name}").to_frame()
        related = relate(kept, clock, "clearance", visit, rng, rules)
        said = f"kept (++) against cleared (+-) among those detected at {first}"
        tables.append(related.assign(NOTE=[join_notes(note, said) for note in related["NOTE"]]))
        tables.append(as_rows(_describe(signs.dropna(), outcomes, name, visit, rules)))
    columns = ["VISIT", "CLEARANCE", "N", "N_NONRESPONDER", "N_RESPONDER"]
    if not tables:
        return nothing(
            join_notes(*reasons) or "the plan names no plasma after baseline", pd.DataFrame(columns=columns)
        )
    table = pd.concat(counts, ignore_index=True)[columns]
    return Analysis(_say_unadjusted(adjust_visits(stack_rows(tables))), table, join_notes(*reasons))


def _say_unadjusted(rows: pd.DataFrame) -> pd.DataFrame:
    """Say of every p-value that stands without a q that nothing adjusts it."""
    bare = rows["P"].notna() & rows["Q_BH"].isna()
    said = [
        join_notes(note, _NO_Q) if alone else note for note, alone in zip(rows["NOTE"], bare, strict=True)
    ]
    return rows.assign(NOTE=pd.Series(said, index=rows.index, dtype=object))


def _describe(signs: pd.Series, outcomes: pd.DataFrame, name: str, visit: str, rules) -> list[dict]:
    shared = {"ANALYSIS": "clearance", "PARTYPE": "CTDNA", "SAMPTYPE": "PLASMA", "AVISIT": visit}
    response = outcomes["NONRESPONSE"].reindex(signs.index)
    rows = []
    for label, classes in CLASSES.items():
        change = _change_row(signs[response.isin(classes)], rules)
        rows.append({**shared, "MARKER": f"CHANGE_{name}", "OUTCOME": label, **change})
    known = response.notna()
    four = _classes_row(signs[known], response[known], rules)
    return [*rows, {**shared, "MARKER": f"CLASSES_{name}", "OUTCOME": "NONRESPONSE", **four}]


def _change_row(signs: pd.Series, rules) -> dict:
    row = {"METHOD": "mcnemar_exact", "STATISTIC": "odds_ratio", "N": len(signs)}
    before, after = (signs.str[place].eq("+").to_numpy(bool) for place in (0, 1))
    if not len(signs):
        return {**row, "TESTED": "N", "NOTE": "nobody with both draws assessable"}
    found = mcnemar(after, before).iloc[0]
    only_after, only_before = int(found["only_first"]), int(found["only_second"])
    row |= {"N_POS": only_after + only_before}
    note = f"detected only later {only_after}, only at baseline {only_before}; N_POS is both"
    if not only_after + only_before:
        return {**row, "TESTED": "N", "NOTE": join_notes("no result changed", note)}
    lower, upper = _discordant_limits(only_after, only_before, rules.interval_alpha)
    ratio = only_after / only_before if only_before else np.inf
    limits = {"ESTIMATE": ratio, "LOWER": lower, "UPPER": upper, "P": found["p_exact"]}
    return {**row, **limits, "NOTE": note}


def _discordant_limits(one: int, other: int, alpha: float) -> tuple[float, float]:
    """Return exact limits of the ratio one : other, from Clopper and Pearson's of one in both."""
    lower = beta.ppf(alpha / 2, one, other + 1) if one else 0.0
    upper = beta.ppf(1 - alpha / 2, one + 1, other) if other else 1.0
    return float(lower / (1 - lower)), float(upper / (1 - upper)) if upper < 1 else np.inf


def _classes_row(signs: pd.Series, nonresponse: pd.Series, rules) -> dict:
    cells = pd.crosstab(signs, nonresponse).reindex(index=list(SIGNS), columns=[1.0, 0.0], fill_value=0)
    row = {"METHOD": "fisher", "STATISTIC": "odds_ratio", "N": len(signs), "EVENTS": cells[1.0].sum()}
    shares = ", ".join(
        f"{name} {int(cells.loc[name, 1.0])} of {int(cells.loc[name].sum())}" for name in SIGNS
    )
    note = f"non-responders by class: {shares}; four classes, no single ratio"
    if min(cells.sum(axis=0)) < rules.min_prevalence_n:
        floor = f"listed, not tested: fewer than {rules.min_prevalence_n} subjects in one group"
        return {**row, "TESTED": "N", "NOTE": join_notes(floor, note)}
    return {**row, "P": exact_p(cells.to_numpy(int)), "NOTE": note}


def exact_p(cells: np.ndarray) -> float:
    """Return Fisher's exact p of a table of k classes by two groups, as Freeman and Halton extended it.

    Parameters
    ----------
    cells : array of int, shape (k, 2)
        Counts.

    Notes
    -----
    The sum of the probabilities of all tables with these margins that are no likelier than the one seen.

    Examples
    --------
    The lady tasting tea:

    >>> round(exact_p(np.array([[3, 1], [1, 3]])), 4)
    0.4857
    """
    cells = np.asarray(cells, int)
    sizes, total = cells.sum(axis=1), int(cells[:, 0].sum())
    *free, last = [range(size + 1) for size in sizes]
    chosen = np.array(list(product(*free)), int).reshape(-1, len(free))
    rest = total - chosen.sum(axis=1)
    possible = (rest >= 0) & (rest <= last[-1])
    tables = np.column_stack([chosen[possible], rest[possible]])
    log_p = _log_ways(sizes, tables).sum(axis=1)
    weights = np.exp(log_p - log_p.max())
    seen = np.exp(_log_ways(sizes, cells[:, 0]).sum() - log_p.max())
    return float(min(1.0, weights[weights <= seen * (1 + _TIE)].sum() / weights.sum()))


def _log_ways(sizes: np.ndarray, taken: np.ndarray) -> np.ndarray:
    return gammaln(sizes + 1) - gammaln(taken + 1) - gammaln(sizes - taken + 1)


def tabulate_clearance_curves(
    adbm: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    visit: str,
    plan_survival,
    days_per_month: float,
    landmark_days: float | None = None,
    rules=None,
) -> pd.DataFrame:
    """Tabulate the Kaplan-Meier curves of the four classes from baseline to `visit`, from the later draw.

    Parameters
    ----------
    adbm, outcomes, visit, plan_survival, days_per_month, landmark_days, rules
        As in `analysis.biomarkers.ctdna.tabulate_ctdna_curves`.

    Returns
    -------
    DataFrame
        Rows of table curves_biomarkers, CURVE CLEARANCE, GROUP ``--``, ``-+``, ``+-``, ``++``.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    if visit == rules.baseline_visit:
        return pd.DataFrame(columns=CURVE_COLUMNS)
    signs = classify_clearance(adbm, rules.baseline_visit, visit)
    clock = start_at_draw(
        outcomes, select_visit(adbm, visit), visit, landmark_days=landmark_days, rules=rules
    )
    return tabulate_curves(clock.outcomes, signs, CURVE, plan_survival, days_per_month, rules.interval_alpha)
