"""What a reader should know beyond a class: near a cut, discordant, imputed, within repeatability; why NE."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.pet import repeatability
from analysis.pet.comparability import NOT_ASSESSABLE
from analysis.pet.lesion_pairs import KEY
from analysis.pet.response_rules import RULE_TABLES, Setting, by_reader_alone, cmr_gates, is_fall, is_rise

# Rows at which a change of uptake has decided.
_BY_CHANGE = {"falls", "rises", "progresses", "none_falls", "all_fall", "majority_falls", "otherwise"}


def find_boundary(lesions: pd.DataFrame, measured: pd.DataFrame, setting: Setting) -> pd.Series:
    """Tell which visits have a deciding change within the plan's tolerance of a cut."""
    rules, kind = setting.rules, RULE_TABLES[setting.rule]
    near = rules.boundary_tolerance_percent - setting.eps
    if kind == "dominance_table":
        change = lesions["CHANGE"].where(~lesions["UNKNOWN"])
        hit = ((change + setting.cut).abs() < near) | ((change - rules.dominance_progression).abs() < near)
        return hit.groupby([lesions[k] for k in KEY]).any()
    change, rise = measured["CHANGE"], rules.eortc_pmd_cut if kind == "eortc_table" else setting.cut
    hit = ((change + setting.cut).abs() < near) | ((change - rise).abs() < near)
    if kind == "percist_table":
        floor = (measured["B"] - measured["F"]).abs() - rules.percist_floor_sul
        hit |= floor.abs() < rules.boundary_tolerance_sul - setting.eps
    return hit


def name_reasons(row: pd.Series, visits: pd.DataFrame, measured: pd.DataFrame, setting: Setting) -> pd.Series:
    """Name why a visit is NE: the first cause that holds, scans before lesions."""
    none, targets = measured["NLESION"] == 0, setting.rules.lesion_sets[setting.rule] == "target"
    causes = {
        "BASELINE_REFUSED": visits["BASE_SEEN"] & ~visits["BASE_MEASURED"],
        "NO_BASELINE_SCAN": ~visits["BASE_SEEN"],
        "NO_FOLLOWUP_SCAN": ~visits["SEEN"],
        "SCAN_REFUSED": ~visits["MEASURED"],
        "NO_LESION": visits["LESIONS"] == 0,
        "NO_TARGET_METRIC": none & visits["UNRANKED"] & targets,
        "NOT_FDG_EVALUABLE": none | (row == "not_measurable"),
        "SCANS_NOT_COMPARABLE": (row == "not_comparable") & (visits["COMPARABLE"] == NOT_ASSESSABLE),
        "COMPARABILITY_UNKNOWN": row == "not_comparable",
        "NEW_UNCONFIRMED": row == "new_unconfirmed",
        "NO_BASELINE_LOAD": row == "not_computable",
    }
    held = [mask.to_numpy(bool) for mask in causes.values()]
    return pd.Series(np.select(held, list(causes), "LESION_NOT_EVALUABLE"), index=visits.index, dtype=object)


def name_flags(
    visits: pd.DataFrame,
    lesions: pd.DataFrame,
    measured: pd.DataFrame,
    decided: pd.DataFrame,
    setting: Setting,
) -> pd.Series:
    """Name what a reader should look at, words joined by ``;``, None where there is nothing.

    Parameters
    ----------
    visits, lesions : DataFrame
        Of `lesion_pairs.Case`; the lesions the rule read, with CHANGE (percent).
    measured : DataFrame
        Of `response_rules.summarise`, on the index of `visits`.
    decided : DataFrame
        AVALC and ROW on the same index.
    setting : Setting
        The rule and its plan.

    Returns
    -------
    Series of str
        NOT_COMPARABLE (the pair of scans), NEW_UNCONFIRMED, INFLAMMATORY (a reader's word on new uptake),
        BACKGROUND_IMPUTED, AT_LEAST_THIS_BAD (a lesion is unknown, the others decide), FLARE (a rise at the
        first follow-up visit), WITHIN_REPEATABILITY (the deciding change is one lesion's and within the
        limits), CMR_DISCORDANT (one of PERCIST's two gates alone), CMR_BY_READER (PERCIST's CMR without any
        uptake that could be held against the liver), EORTC_GAP_15_25 (phase ``later``: a fall the published
        text leaves open, read as SMD), EORTC_EXACT_25 (a fall of exactly the cut of that phase: SMD by it, a
        response by an inclusive cut of the same size).
    """
    change, row, eps = measured["CHANGE"], decided["ROW"], setting.eps
    at_first = visits.index.get_level_values("AVISIT") == setting.first_visit
    rises = is_rise(change, setting.rules.flare_rise_percent, inclusive=True, eps=eps)
    imputed = lesions["IMPUTED"].notna().groupby([lesions[k] for k in KEY]).any()
    unknown = measured["UNKNOWN"].eq(True)
    held = {
        "NOT_COMPARABLE": visits["COMPARABLE"] == NOT_ASSESSABLE,
        "NEW_UNCONFIRMED": visits["NEW_UNCONFIRMED"],
        "INFLAMMATORY": visits["INFLAMMATORY"],
        "BACKGROUND_IMPUTED": imputed.reindex(visits.index).eq(True),
        "AT_LEAST_THIS_BAD": unknown & row.isin(_BY_CHANGE) & (decided["AVALC"] != "NE"),
        "FLARE": rises & at_first,
        "WITHIN_REPEATABILITY": _within_repeatability(lesions, measured, setting) & row.isin(_BY_CHANGE),
        **_table_flags(visits, lesions, measured, row, setting),
    }
    words, raised = list(held), np.column_stack([mask.to_numpy(bool) for mask in held.values()])
    found = [";".join(word for word, on in zip(words, line) if on) or None for line in raised]
    return pd.Series(found, index=visits.index, dtype=object)


def _table_flags(visits, lesions, measured, row, setting: Setting) -> dict[str, pd.Series]:
    """Return the flags of the published table the rule reads; the other rules have none."""
    rules, eps, change = setting.rules, setting.eps, measured["CHANGE"]
    known, kind = ~measured["UNKNOWN"].eq(True), RULE_TABLES[setting.rule]
    if kind == "percist_table":
        read, below = cmr_gates(visits, lesions)
        alone = (row == "resolved").to_numpy() & by_reader_alone(visits, lesions).to_numpy()
        return {
            "CMR_DISCORDANT": (read ^ below) & known & row.isin(["falls", "otherwise"]),
            "CMR_BY_READER": pd.Series(alone, index=visits.index),
        }
    if kind != "eortc_table":
        return {}
    least, most = rules.eortc_pmr_cut["first_cycle"], rules.eortc_pmr_cut["later"]
    open_fall = is_fall(change, least, inclusive=True, eps=eps) & ~is_fall(
        change, most, inclusive=False, eps=eps
    )
    later = rules.eortc_phase == "later"
    return {
        "EORTC_GAP_15_25": open_fall & known & (row == "otherwise") & later,
        "EORTC_EXACT_25": ((change + most).abs() <= eps) & known & row.isin(["falls", "otherwise"]),
    }


def _within_repeatability(lesions: pd.DataFrame, measured: pd.DataFrame, setting: Setting) -> pd.Series:
    """Tell where the change that decides is that of one lesion and no larger than measurement makes it."""
    summary = setting.rules.summaries[setting.rule]
    single = measured["NLESION"] == 1
    if summary == "worst":
        single = measured["NLESION"] >= 1
    elif summary == "hottest" and len(lesions):
        by = [lesions[k] for k in KEY]
        tops = [lesions[name] == lesions.groupby(KEY)[name].transform("max") for name in ("BASE", "FILLED")]
        single = single | (tops[0] & tops[1]).groupby(by).any().reindex(measured.index).eq(True)
    judged = repeatability.judge_change(measured["CHANGE"], setting.metric, setting.rules)
    # With a lesion unknown, any summary but the worst is a bound, not a measurement.
    known = ~measured["UNKNOWN"].eq(True) | (summary == "worst")
    return single & (judged == "WITHIN") & known
