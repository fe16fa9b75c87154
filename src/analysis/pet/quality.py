"""Checks on scans beyond what SUV needs: the protocol's gates, and readers' decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet.codes import SeriesRefused

QUERY_COLUMNS = ["CODE", "SEVERITY", "USUBJID", "DOMAIN", "RECORD", "MESSAGE", "ACTION"]
DECISIONS = ("new", "inflammatory", "resolved", "not_evaluable")
# Two words on one lesion and scan that cannot both be true, and which of them is used.
_CONTRADICTIONS = (("resolved", "not_evaluable", "not_evaluable"), ("new", "inflammatory", "new"))


def check_decisions(decisions: pd.DataFrame, adpet: pd.DataFrame, *, baseline: str = "D0") -> pd.DataFrame:
    """List readers' decisions that say nothing about any response, so that none is dropped unseen.

    Parameters
    ----------
    decisions : DataFrame
        USUBJID AVISIT LESIONID DECISION.
    adpet : DataFrame
        Measurements; only lesion rows are read.
    baseline : str
        Name of the baseline visit.

    Returns
    -------
    DataFrame
        CODE SEVERITY USUBJID DOMAIN RECORD MESSAGE ACTION; codes DECISION_UNKNOWN_WORD, DECISION_AT_BASELINE,
        DECISION_NEW_BUT_AT_BASELINE, DECISION_ON_UNKNOWN_LESION; DECISION_CONFLICT for a lesion called
        both resolved and not_evaluable, or both new and inflammatory, on one scan.
    """
    lesions = adpet[(adpet["ROLE"] == "LESION") & (adpet["AVISIT"] == baseline)]
    known = set(zip(lesions["USUBJID"], lesions["LESIONID"]))
    rows = []
    for row in decisions.sort_values(["USUBJID", "AVISIT", "LESIONID"]).itertuples(index=False):
        at_baseline = (row.USUBJID, row.LESIONID) in known
        problem = _decision_problem(row, at_baseline, baseline)
        if problem:
            record = f"{row.AVISIT} {row.LESIONID}"
            rows.append(
                (problem[0], "warning", row.USUBJID, "DECISIONS", record, problem[1], "ask the reader")
            )
    return pd.DataFrame([*rows, *_contradictions(decisions)], columns=QUERY_COLUMNS)


def _contradictions(decisions: pd.DataFrame) -> list[tuple]:
    rows = []
    for (subject, visit, lesion), part in decisions.groupby(["USUBJID", "AVISIT", "LESIONID"]):
        said = set(part["DECISION"])
        for one, other, used in _CONTRADICTIONS:
            if {one, other} <= said:
                message = f"called {one} and {other}; taken as {used} until the readers agree"
                record = f"{visit} {lesion}"
                rows.append(
                    (
                        "DECISION_CONFLICT",
                        "warning",
                        subject,
                        "DECISIONS",
                        record,
                        message,
                        "have the readers agree",
                    )
                )
    return rows


def _decision_problem(row: Any, at_baseline: bool, baseline: str) -> tuple[str, str] | None:
    if row.DECISION not in DECISIONS:
        return (
            "DECISION_UNKNOWN_WORD",
            f"decision {row.DECISION!r} is none of {', '.join(DECISIONS)}; not used",
        )
    if baseline == row.AVISIT:
        return "DECISION_AT_BASELINE", "a decision at baseline changes no response; not used"
    if row.DECISION == "new" and at_baseline:
        return "DECISION_NEW_BUT_AT_BASELINE", "called new, but measured at baseline; not counted as new"
    if row.DECISION in {"resolved", "not_evaluable"} and not at_baseline:
        return "DECISION_ON_UNKNOWN_LESION", f"called {row.DECISION}, but not measured at baseline; not used"
    return None


def check_protocol(facts: Mapping[str, Any], rules: plans.Section | None = None) -> list[str]:
    """Check a scan against the trial's protocol; ``load_pet`` itself applies the SUV rules alone.

    Parameters
    ----------
    facts : mapping
        ``PetImage.facts``: `uptake_time_min`, `half_life_s`, `injection`, `tracer`, `flags`; a fact that is
        missing excludes nothing.
    rules : Section, optional
        Plan section ``pet`` (`protocol_*`).

    Returns
    -------
    list of str
        Flags: HALF_LIFE_UNUSUAL, unless the facts have it; UPTAKE_TIME_UNUSUAL; UPTAKE_TIME_IMPOSSIBLE where
        SUV does not rest on the times.

    Raises
    ------
    SeriesRefused
        TRACER_NOT_FDG for a tracer that is named otherwise; PROTOCOL_NUCLIDE for a half-life that is not
        F-18's; PROTOCOL_UPTAKE_TIME for an uptake time no static FDG scan has, where SUV rests on it.
    """
    rules = plans.defaults().pet if rules is None else rules
    half_life, uptake = facts.get("half_life_s"), facts.get("uptake_time_min")
    limit = rules.protocol_half_life_refuse_percent / 100 * rules.protocol_half_life_s
    if half_life is not None and abs(half_life - rules.protocol_half_life_s) > limit:
        raise SeriesRefused(
            "PROTOCOL_NUCLIDE",
            f"half-life (0018,1075) near {rules.protocol_half_life_s:g} s expected, found {half_life:g} s",
        )
    _check_tracer(facts.get("tracer", ()), rules)
    low, high = rules.half_life_f18_s
    unusual = half_life is not None and not low <= half_life <= high
    flags = ["HALF_LIFE_UNUSUAL"] if unusual and "HALF_LIFE_UNUSUAL" not in facts.get("flags", ()) else []
    return flags + _check_uptake(uptake, facts.get("injection") is not None, rules)


def _check_tracer(names: Sequence[str], rules: plans.Section) -> None:
    """Refuse a tracer whose code, meaning or name says something, and nothing of it FDG."""
    said = [name for name in names if name and name not in rules.protocol_tracer_unnamed]
    if said and not any(term in name for name in said for term in rules.protocol_tracer_terms):
        raise SeriesRefused(
            "TRACER_NOT_FDG",
            "FDG expected in Radiopharmaceutical (0018,0031) or its code (0054,0304), found another tracer; "
            "send the FDG scan, or add its name to pet.protocol_tracer_terms of the plan",
        )


def _check_uptake(uptake: float | None, needed: bool, rules: plans.Section) -> list[str]:
    if uptake is None:
        return []
    low, high = rules.protocol_uptake_refuse_min
    if not low <= uptake <= high:
        # An image already in SUV needs no injection time: a lost one is worth a flag, not the scan.
        if not needed:
            return ["UPTAKE_TIME_IMPOSSIBLE"]
        raise SeriesRefused(
            "PROTOCOL_UPTAKE_TIME",
            f"uptake time between {low:g} and {high:g} min expected, found {uptake:.1f} min",
        )
    low, high = rules.protocol_uptake_flag_min
    return [] if low <= uptake <= high else ["UPTAKE_TIME_UNUSUAL"]


def check_body(values: np.ndarray, rules: plans.Section | None = None) -> list[str]:
    """Check the mean SUV of the body, which is near 1 by definition, on a sample of the voxels.

    Parameters
    ----------
    values : ndarray, shape (slices, rows, columns)
        SUV by body weight.
    rules : Section, optional
        Plan section ``pet`` (`body_suv_above`, `body_mean_range`, `body_sample_step`).

    Returns
    -------
    list of str
        ``BODY_SUV_IMPLAUSIBLE`` if the mean lies outside the plan's range or nothing is as hot as a body:
        an SUV wrong by a large factor that passed the header checks, or an image of a small part of a body.
    """
    rules = plans.defaults().pet if rules is None else rules
    step = rules.body_sample_step
    sample = values[::step, ::step, ::step]
    sample = sample[sample > rules.body_suv_above]
    low, high = rules.body_mean_range
    plausible = sample.size and low <= float(sample.mean(dtype=np.float64)) <= high
    return [] if plausible else ["BODY_SUV_IMPLAUSIBLE"]


def check_subjects(scan_qc: pd.DataFrame, rules: plans.Section | None = None) -> pd.DataFrame:
    """List patients whose weight or height differs between scans by more than a body can.

    Parameters
    ----------
    scan_qc : DataFrame
        USUBJID WEIGHTKG HEIGHTM, one row a scan.
    rules : Section, optional
        Plan section ``pet`` (`protocol_weight_change_percent`, `protocol_height_change_m`).

    Returns
    -------
    DataFrame
        `QUERY_COLUMNS`; codes WEIGHT_CHANGED, HEIGHT_CHANGED.
    """
    rules = plans.defaults().pet if rules is None else rules
    extremes = scan_qc.groupby("USUBJID")[["WEIGHTKG", "HEIGHTM"]].agg(["min", "max"])
    weight, height = extremes["WEIGHTKG"], extremes["HEIGHTM"]
    change = 100 * (weight["max"] / weight["min"] - 1)
    rows = [
        (
            "WEIGHT_CHANGED",
            "warning",
            name,
            "PET",
            None,
            f"body weight differs by {value:.0f} % between scans",
            _LOOK,
        )
        for name, value in change[change > rules.protocol_weight_change_percent].items()
    ]
    step = height["max"] - height["min"]
    rows += [
        (
            "HEIGHT_CHANGED",
            "warning",
            name,
            "PET",
            None,
            f"height differs by {100 * value:.0f} cm between scans",
            _LOOK,
        )
        for name, value in step[step > rules.protocol_height_change_m].items()
    ]
    return pd.DataFrame(rows, columns=QUERY_COLUMNS)


_LOOK = "check the header against the case report form; weight and height are sometimes swapped"
