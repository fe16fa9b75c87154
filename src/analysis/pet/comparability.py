"""Whether the two scans of a pair may be compared: the plan's checks, one by one, and their verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet.pair_limits import OF_WORDS, OPERATORS, Outcome, as_text, describe_limit
from analysis.pet.reference_regions import BASELINE

KEY = ["USUBJID", "AVISIT"]
COLUMNS = [*KEY, "CHECK", "BASEC", "AVALC", "DIFF", "LIMIT", "RESULT", "IMPACT", "VERDICT"]
ASSESSABLE, WARNED = "ASSESSABLE", "ASSESSABLE_WITH_WARNINGS"
NOT_ASSESSABLE, INSUFFICIENT = "NOT_ASSESSABLE", "INSUFFICIENT_INFORMATION"
_UNKNOWN_IS = ("insufficient", "warning", "noted")


def compare_pairs(scan_qc: pd.DataFrame | None, adpet: pd.DataFrame, plan: plans.Plan) -> pd.DataFrame:
    """Compare the baseline scan of every subject with each of the follow-up scans.

    Parameters
    ----------
    scan_qc : DataFrame or None
        Table of this name. A column that is absent, as in a study of measurements only, is unknown.
    adpet : DataFrame
        Measurements; SULMEAN of the reference region is read. A scan it holds needs no row in `scan_qc`.
    plan : Plan
        Sections ``design`` (`followup_visits`) and ``response`` (`comparability_*`,
        `comparison_tolerance`).

    Returns
    -------
    DataFrame
        Contract ``comparability``: one row a pair and check of the plan's standard, sorted by subject and
        visit, checks in the order of the plan. DIFF is follow-up minus baseline, missing where words are
        compared or each scan is held against a limit of its own.

    Raises
    ------
    ValueError
        COMPARABILITY_CHECK if a check of the plan names an unknown limit, impact or meaning of unknown.

    Notes
    -----
    Every limit is inclusive. The verdict: one blocking failure makes NOT_ASSESSABLE; else one unknown that
    the plan calls insufficient makes INSUFFICIENT_INFORMATION; else a failed warning makes
    ASSESSABLE_WITH_WARNINGS; else ASSESSABLE. Without any check there is no verdict (missing). Practical
    PERCIST, QIBA v1.14, EANM v2.0 (pet.md 2.3).
    """
    pairs = _pair_facts(scan_qc, adpet, plan)
    checks = _checks_in_force(plan.response)
    outcomes = _judge(pairs, checks, plan.response)
    verdict = _verdict(checks, outcomes, len(pairs.index))
    keys = pairs.index.to_frame(index=False)
    parts = [
        keys.assign(
            **{
                "CHECK": name,
                "BASEC": _as_text(pairs.base, check["columns"]),
                "AVALC": _as_text(pairs.follow, check["columns"]),
                "DIFF": outcomes[name].diff,
                "LIMIT": describe_limit(check),
                "RESULT": outcomes[name].result,
                "IMPACT": check["impact"],
                "VERDICT": verdict,
            }
        )
        for name, check in checks.items()
    ]
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(parts).sort_values(KEY, kind="stable", ignore_index=True)[COLUMNS]


def judge_pairs(scan_qc: pd.DataFrame | None, adpet: pd.DataFrame, plan: plans.Plan) -> pd.Series:
    """Return the verdict of `compare_pairs` alone, by USUBJID and AVISIT; the parameters are its own."""
    pairs = _pair_facts(scan_qc, adpet, plan)
    checks = _checks_in_force(plan.response)
    verdict = _verdict(checks, _judge(pairs, checks, plan.response), len(pairs.index))
    return pd.Series(verdict, index=pairs.index, dtype=object)


def read_reference(adpet: pd.DataFrame, role: str, metric: str) -> pd.Series:
    """Return a reference region's value by USUBJID and AVISIT; a scan with several of the role has none."""
    rows = adpet[(adpet["ROLE"] == role) & (adpet["METRIC"] == metric)]
    return rows.drop_duplicates(KEY, keep=False).set_index(KEY)["AVAL"]


@dataclass(frozen=True)
class _Pairs:
    """Facts of both scans of every pair, on the index of USUBJID and follow-up AVISIT."""

    base: pd.DataFrame
    follow: pd.DataFrame

    @property
    def index(self) -> pd.MultiIndex:
        return self.follow.index


def _pair_facts(scan_qc: pd.DataFrame | None, adpet: pd.DataFrame, plan: plans.Plan) -> _Pairs:
    scans = _scans(scan_qc, adpet)
    followup = scans.index[scans.index.get_level_values("AVISIT").isin(plan.design.followup_visits)]
    base = pd.MultiIndex.from_arrays([followup.get_level_values(0), [BASELINE] * len(followup)], names=KEY)
    paired = base.isin(scans.index)
    base, followup = base[paired], followup[paired]
    reference = _reference_values(scans, adpet, base, followup, plan.response)
    sides = [scans.reindex(side).set_axis(followup) for side in (base, followup)]
    return _Pairs(*(side.assign(REFERENCESUL=values) for side, values in zip(sides, reference)))


def _scans(scan_qc: pd.DataFrame | None, adpet: pd.DataFrame) -> pd.DataFrame:
    """Facts of every scan with a subject and visit, the measured one where there are two; sorted."""
    measured = adpet[KEY].drop_duplicates()
    if scan_qc is None or scan_qc.empty:
        return measured.set_index(KEY).sort_index()
    listed = scan_qc[scan_qc["AVISIT"].notna() & scan_qc["USUBJID"].notna()]
    ranked = listed.assign(REFUSED=listed["STATUS"] != "OK", PLACE=listed.get("PATH", ""))
    ranked = ranked.sort_values([*KEY, "REFUSED", "PLACE"], kind="stable").drop_duplicates(KEY)
    both = pd.concat([ranked, measured]).drop_duplicates(KEY)
    return both.set_index(KEY).drop(columns=["REFUSED", "PLACE"]).sort_index()


def _reference_values(
    scans: pd.DataFrame, adpet: pd.DataFrame, base: pd.MultiIndex, follow: pd.MultiIndex, rules: plans.Section
) -> list[np.ndarray]:
    """SULmean of the plan's reference region at both scans of every pair: the same region at both."""

    def means(role: str) -> list[np.ndarray]:
        found = read_reference(adpet, role, "SULMEAN")
        return [found.reindex(side).to_numpy(float) for side in (base, follow)]

    if rules.comparability_reference != "AORTA_IF_LIVER_ABNORMAL":
        return means(rules.comparability_reference)
    liver, aorta = means("LIVER"), means("AORTA")
    words = set(rules.liver_abnormal_flags)
    flags = scans["FLAGS"] if "FLAGS" in scans else pd.Series(None, index=scans.index, dtype=object)
    flagged = flags.map(lambda text: isinstance(text, str) and bool(words & set(text.split(";"))))
    odd = [flagged.reindex(side).to_numpy(bool) | np.isnan(seen) for side, seen in zip((base, follow), liver)]
    return [np.where(odd[0] | odd[1], other, own) for other, own in zip(aorta, liver)]


def _checks_in_force(rules: plans.Section) -> dict[str, dict[str, Any]]:
    """Return the plan's checks that have a limit of its standard, each with that `limit`."""
    found = {}
    for name, check in rules.comparability_checks.items():
        limit = check.get("limits", {}).get(rules.comparability_standard)
        if limit is None:
            continue
        known = (
            len(limit) == 1
            and next(iter(limit)) in OPERATORS
            and check.get("impact") in ("BLOCKING", "WARNING")
            and check.get("unknown_is") in _UNKNOWN_IS
            and check.get("columns")
        )
        if not known:
            raise ValueError(
                f"COMPARABILITY_CHECK: {name!r} must have columns, one limit of {', '.join(OPERATORS)}, "
                f"impact BLOCKING or WARNING, and unknown_is of {', '.join(_UNKNOWN_IS)}; found {check!r}"
            )
        found[name] = {"unit": "", **check, "limit": limit}
    return found


def _judge(pairs: _Pairs, checks: Mapping[str, Mapping], rules: plans.Section) -> dict[str, Outcome]:
    outcomes = {}
    for name, check in checks.items():
        operator, limit = next(iter(check["limit"].items()))
        base, follow = (_first_known(side, check["columns"]) for side in (pairs.base, pairs.follow))
        if operator not in OF_WORDS:
            base, follow = (pd.to_numeric(side, errors="coerce").to_numpy(float) for side in (base, follow))
        outcomes[name] = OPERATORS[operator](base, follow, limit, rules.comparison_tolerance)
    return outcomes


def _verdict(checks: Mapping[str, Mapping], outcomes: Mapping[str, Outcome], length: int) -> np.ndarray:
    def any_of(masks: Sequence[np.ndarray]) -> np.ndarray:
        return np.logical_or.reduce([*masks, np.zeros(length, bool)])

    blocked = any_of([outcomes[n].failed for n, check in checks.items() if check["impact"] == "BLOCKING"])
    open_case = any_of([outcomes[n].unknown for n, c in checks.items() if c["unknown_is"] == "insufficient"])
    warned = any_of([outcomes[n].failed for n, check in checks.items() if check["impact"] == "WARNING"])
    warned |= any_of([outcomes[n].unknown for n, c in checks.items() if c["unknown_is"] == "warning"])
    if not checks:  # nothing was compared, so nobody knows
        return np.full(length, None, dtype=object)
    return np.select([blocked, open_case, warned], [NOT_ASSESSABLE, INSUFFICIENT, WARNED], ASSESSABLE)


def _first_known(side: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    values = pd.Series(np.nan, index=side.index, dtype=object)
    for name in columns:
        if name in side:
            values = values.where(values.notna(), side[name].astype(object))
    return values


def _as_text(side: pd.DataFrame, columns: Sequence[str]) -> list[str | None]:
    return [as_text(value) for value in _first_known(side, columns)]
