"""Agreement of readers where a study has several: of the classes of patients, and of the values of lesions.

Readers are called reader A, reader B ... in the order of their names; the names stay in the restricted zone.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from string import ascii_uppercase

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.agreement import gwet_ac1, icc, kappa
from analysis.survival.association.estimates import EXPOSED, REFERENCE, estimates_table
from analysis.survival.outcome import NotEstimable

READERS = "READERS"  # ENDPOINT of these rows: no outcome is behind them
_LESION = ["USUBJID", "LESIONID"]
_CAUTION = "lesions of one patient taken as independent, so the interval is too narrow"


def estimate_reader_agreement(
    reads: pd.DataFrame, classes: pd.DataFrame, plan: Plan, *, baseline: str = "D0"
) -> pd.DataFrame:
    """Estimate how far each pair of readers agrees on the class of a patient and on the value of a lesion.

    Parameters
    ----------
    reads : DataFrame
        Table of this name: READER USUBJID AVISIT LESIONID METRIC ROLE ORGAN AVAL.
    classes : DataFrame
        One row a reader, subject and follow-up visit: READER USUBJID AVISIT METRIC RULE CUT MRESP, by one
        metric, rule and cut.
    plan : Plan
        Sections primary (metric, response_rule, cut_percent, alpha) and design (followup_visits).
    baseline : str
        AVISIT of the baseline scan.

    Returns
    -------
    DataFrame
        Estimates rows, DESCRIPTIVE, without a test, ENDPOINT ``READERS``; no row with fewer than two
        readers. For each pair and follow-up visit ``reader_kappa`` and ``reader_ac1`` of responder and
        non-responder, on patients both readers classified; ``reader_icc`` (absolute agreement of single
        measurements, ICC(2,1)) of ln values at baseline and of ln ratios to baseline at each follow-up visit,
        on lesions both readers measured under one name. CONTRAST and REFERENCE name the pair, N counts
        patients (classes) or lesions (ICC), LABEL who or what only one of them has.

    Notes
    -----
    Lesions are matched by name. A name that stands for different organs is not the same lesion and is left
    out; whether two readers mean the same lesion by one name and organ is theirs to say. A lesion called gone
    has no value: it is in the class of its patient, not in the ICC.
    """
    values = _lesion_values(reads, plan, baseline)
    rows = []
    for (one, first), (other, second) in combinations(_letters(reads).items(), 2):
        pair = {"CONTRAST": second, "REFERENCE": first}
        for visit in plan.design.followup_visits:
            sides = [_classes_at(classes, name, visit) for name in (one, other)]
            rows += _class_rows(sides, plan, {**pair, "TIMEPOINT": visit})
        for visit in [baseline, *plan.design.followup_visits]:
            sides = [values[values["READER"].eq(name) & values["AVISIT"].eq(visit)] for name in (one, other)]
            rows.append(_lesion_row(sides, plan, {**pair, "TIMEPOINT": visit}, change=visit != baseline))
    return estimates_table(rows)


def describe_readers(reads: pd.DataFrame | None) -> str:
    """Say how many readers a study has, in a sentence without their names.

    Parameters
    ----------
    reads : DataFrame or None
        Table of this name; None or without rows: the study has one reader.
    """
    letters = {} if reads is None else _letters(reads)
    if len(letters) < 2:
        return "One reader: agreement between readers cannot be shown."
    counts = reads.groupby("READER")["USUBJID"].nunique()
    said = ", ".join(f"{letter} {counts[name]}" for name, letter in letters.items())
    return f"{len(letters)} readers; patients read: {said}."


def _letters(reads: pd.DataFrame) -> dict[str, str]:
    names = sorted(set(reads["READER"].dropna()))
    marks = ascii_uppercase if len(names) <= len(ascii_uppercase) else range(1, len(names) + 1)
    return {name: f"reader {mark}" for name, mark in zip(names, marks)}


def _classes_at(classes: pd.DataFrame, reader: str, visit: str) -> pd.Series:
    """Return the classes one reader gave at a visit, by subject; not evaluable is no class."""
    held = classes["READER"].eq(reader) & classes["AVISIT"].eq(visit)
    held &= classes["MRESP"].isin([EXPOSED, REFERENCE])
    return classes[held].set_index("USUBJID")["MRESP"]


def _class_rows(sides: list[pd.Series], plan: Plan, row: dict) -> list[dict]:
    both = sides[0].index.intersection(sides[1].index).sort_values()
    first, second = (side.reindex(both) for side in sides)
    same = int((first == second).sum())
    text = f"{row['CONTRAST']} against {row['REFERENCE']}; {same} of {len(both)} patients in the same class"
    text += _only(sides, row, "patients", "classified")
    row = {**row, "RULE": plan.primary.response_rule, "CUT": plan.primary.cut_percent}

    def fit(method: Callable) -> Callable[[], pd.Series]:
        """Return the estimate by one method, to be run."""

        def run() -> pd.Series:
            """Run it."""
            if both.empty:
                raise NotEstimable("no patient was classified by both readers")
            found = method(first, second, alpha=plan.primary.alpha).iloc[0]
            if np.isnan(found["estimate"]):
                raise NotEstimable("both readers put everybody into one and the same class")
            return found

        return run

    return [
        _row(row, plan, "reader_kappa", fit(kappa), len(both), text),
        _row(row, plan, "reader_ac1", fit(gwet_ac1), len(both), text),
    ]


def _lesion_values(reads: pd.DataFrame, plan: Plan, baseline: str) -> pd.DataFrame:
    """Return VALUE of each reader's lesions: ln value at baseline, ln ratio to baseline at later visits."""
    held = reads["ROLE"].eq("LESION") & reads["METRIC"].eq(plan.primary.metric) & reads["AVAL"].gt(0)
    rows = reads.loc[held, ["READER", *_LESION, "AVISIT", "ORGAN"]].assign(
        VALUE=np.log(reads.loc[held, "AVAL"].astype(float))
    )
    base = rows[rows["AVISIT"].eq(baseline)]
    later = rows[rows["AVISIT"].ne(baseline)]
    start = base[["READER", *_LESION, "VALUE"]].rename(columns={"VALUE": "BASE"})
    later = later.merge(start, on=["READER", *_LESION], how="inner", validate="many_to_one")
    later = later.assign(VALUE=later["VALUE"] - later["BASE"]).drop(columns="BASE")
    return pd.concat([part for part in (base, later) if len(part)] or [base], ignore_index=True)


def _lesion_row(sides: list[pd.DataFrame], plan: Plan, row: dict, *, change: bool) -> dict:
    first, second = (side.set_index(_LESION)[["VALUE", "ORGAN"]] for side in sides)
    both = first.index.intersection(second.index).sort_values()
    organs = [side.loc[both, "ORGAN"] for side in (first, second)]
    # An organ that one of them did not name contradicts nothing.
    apart = organs[0].notna() & organs[1].notna() & organs[0].ne(organs[1])
    matched = both[~apart.to_numpy(bool)]
    ratings = np.column_stack([side.loc[matched, "VALUE"].to_numpy(float) for side in (first, second)])
    what = "ln ratio to baseline" if change else "ln value"
    patients = matched.get_level_values("USUBJID").nunique()
    text = f"{row['CONTRAST']} against {row['REFERENCE']}; "
    text += f"{what} of {len(matched)} lesions of {patients} patients"
    text += _only([first, second], row, "lesions", "measured")
    if apart.any():
        text += f"; {int(apart.sum())} of one name in different organs left out"
    text += f"; {_CAUTION}" if patients < len(matched) else ""

    def fit() -> pd.Series:
        """Estimate ICC(2,1)."""
        if len(matched) < 2:
            raise NotEstimable(f"{len(matched)} lesions have one name with both readers: two are needed")
        found = icc(ratings, alpha=plan.primary.alpha).set_index("method").loc["icc_agreement"]
        if np.isnan(found["estimate"]):
            raise NotEstimable("all values are equal")
        return found

    return {**_row(row, plan, "reader_icc", fit, len(matched), text), "ESTIMATOR": "ICC(2,1)"}


def _only(sides: list, row: dict, what: str, done: str) -> str:
    """Count what only one of the two readers has."""
    first, second = (side.index for side in sides)
    alone = {"REFERENCE": len(first.difference(second)), "CONTRAST": len(second.difference(first))}
    return "".join(f"; {what} {done} by {row[name]} only: {n}" for name, n in alone.items() if n)


def _row(row: dict, plan: Plan, method: str, fit: Callable[[], pd.Series], n: int, label: str) -> dict:
    try:
        found = fit()
        numbers = {name.upper(): found[name] for name in ("estimate", "lower", "upper")}
    except NotEstimable as refusal:
        numbers, label = {}, f"{label}; not estimable: {refusal}"
    own = {"ENDPOINT": READERS, "POPULATION": "all_scans", "LANDMARK": "none", "METRIC": plan.primary.metric}
    return {**own, **row, "METHOD": method, **numbers, "N": n, "ROLE": "DESCRIPTIVE", "LABEL": label}
