"""Arithmetic of the response rules: how lesions become one ratio, and each table's named conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet.lesion_pairs import KEY

RULE_TABLES = {
    "suvmax_hottest": "percent_table",
    "suvmax_sum": "percent_table",
    "suvmax_mean": "percent_table",
    "any_resistant": "percent_table",
    "all_respond": "percent_table",
    "dominance_count": "dominance_table",
    "dominance_volume": "dominance_table",
    "eortc": "eortc_table",
    "percist": "percist_table",
    "percist5": "percist_table",
}


def is_fall(change: pd.Series, cut: float, *, inclusive: bool, eps: float) -> pd.Series:
    """Tell where a percent change is a fall by `cut` percent: at least (inclusive) or more (strict)."""
    return change <= -cut + eps if inclusive else change < -cut - eps


def is_rise(change: pd.Series, cut: float, *, inclusive: bool, eps: float) -> pd.Series:
    """Tell where a percent change is a rise by `cut` percent: at least (inclusive) or more (strict)."""
    return change >= cut - eps if inclusive else change > cut + eps


def compute_weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Compute the weighted median; where the weights split exactly in half, the mean of the two neighbours.

    Weights that are missing, or all zero, give NaN.

    Examples
    --------
    >>> compute_weighted_median(np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 2.0]))
    5.5
    """
    if not (np.isfinite(weights).all() and weights.sum() > 0):
        return float("nan")
    order = np.argsort(values, kind="stable")
    values, share = values[order], np.cumsum(weights[order]) / np.sum(weights)
    first = int(np.searchsorted(share, 0.5 - 1e-12))
    if abs(share[first] - 0.5) <= 1e-12 and first + 1 < len(values):
        return float((values[first] + values[first + 1]) / 2)
    return float(values[first])


@dataclass(frozen=True)
class Setting:
    """What one classification needs besides its lesions.

    Attributes
    ----------
    rules : Section
        Plan section ``response``.
    rule, metric : str
        The rule and the quantity it reads.
    cut : float
        Its cut, percent.
    first_visit : str or None
        The first follow-up visit of the study.
    """

    rules: plans.Section
    rule: str
    metric: str
    cut: float
    first_visit: str | None = None

    @property
    def eps(self) -> float:
        """Tolerance of every comparison."""
        return self.rules.comparison_tolerance


def summarise(lesions: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """Reduce the lesions of each visit to B, F, RATIO, SCORE, UNKNOWN, NLESION (g/ml; ratio F/B)."""
    groups = lesions.groupby(KEY, sort=True)
    out = pd.DataFrame({"NLESION": groups.size(), "UNKNOWN": groups["UNKNOWN"].any()})
    summary = setting.rules.summaries[setting.rule]
    with np.errstate(divide="ignore", invalid="ignore"):
        out["B"], out["F"] = _SUMMARIES[summary](lesions, groups, setting.rules)
        out["RATIO"] = out["F"] / out["B"]
        out["SCORE"] = np.log(out["RATIO"].astype(float)).replace([np.inf, -np.inf], np.nan)
    out["CHANGE"] = 100 * (out["RATIO"] - 1)
    return out


def _hottest(lesions: pd.DataFrame, groups, rules) -> tuple[pd.Series, pd.Series]:
    return groups["BEST_BASE"].max(), groups["FILLED"].max()


def _sum(lesions: pd.DataFrame, groups, rules) -> tuple[pd.Series, pd.Series]:
    return groups["BEST_BASE"].sum(), groups["FILLED"].sum()


def _worst(lesions: pd.DataFrame, groups, rules) -> tuple[pd.Series, pd.Series]:
    ratio = (lesions["FILLED"] / lesions["BEST_BASE"]).groupby([lesions[k] for k in KEY]).max()
    return pd.Series(1.0, index=ratio.index), ratio


def _geometric_mean(lesions: pd.DataFrame, groups, rules) -> tuple[pd.Series, pd.Series]:
    logs = np.log(lesions["FILLED"] / lesions["BEST_BASE"]).groupby([lesions[k] for k in KEY]).mean()
    return pd.Series(1.0, index=logs.index), np.exp(logs)


def _median(lesions: pd.DataFrame, groups, rules) -> tuple[pd.Series, pd.Series]:
    logs = lesions.assign(LOG=np.log(lesions["FILLED"] / lesions["BEST_BASE"]))
    middle = {key: compute_weighted_median(part["LOG"].to_numpy(), part["WEIGHT"].to_numpy())
              for key, part in logs.groupby(KEY, sort=True)}  # fmt: skip
    index = pd.MultiIndex.from_tuples(middle, names=KEY) if middle else groups.size().index
    median = pd.Series(list(middle.values()), index=index, dtype=float)
    return pd.Series(1.0, index=index), np.exp(median)


def _sum_of_hottest(lesions: pd.DataFrame, groups, rules) -> tuple[pd.Series, pd.Series]:
    """Sum the hottest lesions of each scan: measurable ones at baseline, as many of any at follow-up.

    As many and no more, or lesions too faint to count at baseline would make every sum grow.
    """
    room = rules.max_targets + 0 * groups.size()
    base = _pick_hottest(lesions[lesions["EVALUABLE"]], "BEST_BASE", room, rules)
    base = base.reindex(lesions.index, fill_value=False)
    by = [lesions[k] for k in KEY]
    follow = _pick_hottest(lesions, "FILLED", base.groupby(by).sum(), rules)
    follow = follow.reindex(lesions.index, fill_value=False)
    sums = [
        lesions[column].where(chosen).groupby(by).sum(min_count=1)
        for column, chosen in (("BEST_BASE", base), ("FILLED", follow))
    ]
    return sums[0], sums[1]


def _pick_hottest(lesions: pd.DataFrame, column: str, room: pd.Series, rules: plans.Section) -> pd.Series:
    """Mark each visit's hottest lesions, ties by name: few of one organ, no more than it has `room` for."""
    ranked = lesions.sort_values([*KEY, column, "LESIONID"], ascending=[True, True, False, True])
    # An organ that nobody named is its own for each lesion, so it limits nothing.
    organ = ranked["ORGAN"].where(ranked["ORGAN"].notna(), "of " + ranked["LESIONID"].astype(str))
    by = [ranked[k] for k in KEY]
    ranked = ranked[ranked.groupby([*by, organ]).cumcount() < rules.max_targets_per_organ]
    allowed = room.reindex(pd.MultiIndex.from_frame(ranked[KEY])).to_numpy()
    return ranked.groupby(KEY).cumcount() < allowed


_SUMMARIES: dict[str, Callable] = {
    "hottest": _hottest,
    "sum_of_hottest": _sum_of_hottest,
    "sum": _sum,
    "worst": _worst,
    "geometric_mean": _geometric_mean,
    "median": _median,
}


def _shared_conditions(visits: pd.DataFrame, measured: pd.DataFrame, new_counts: bool) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "no_pair": ~(visits["BASE_SEEN"] & visits["SEEN"]),
            "new_lesion": visits["NEW"] & new_counts,
            "new_unconfirmed": visits["NEW_UNCONFIRMED"],
            "not_computable": measured["RATIO"].isna(),
        },
        index=visits.index,
    )


def _percent_conditions(visits, lesions, measured, setting: Setting) -> pd.DataFrame:
    rules = setting.rules
    out = _shared_conditions(visits, measured, rules.new_lesion_is_nonresponse)
    change, inclusive = measured["CHANGE"], rules.cut_inclusive
    out["falls"] = is_fall(change, setting.cut, inclusive=inclusive, eps=setting.eps)
    out["rises"] = is_rise(change, setting.cut, inclusive=inclusive, eps=setting.eps)
    # Uptake nobody judged leaves a response open; without a response it changes nothing.
    out["new_unconfirmed"] &= out["falls"] & rules.new_lesion_is_nonresponse
    return out


def _dominance_conditions(visits, lesions, measured, setting: Setting) -> pd.DataFrame:
    rules = setting.rules
    out = _shared_conditions(visits, measured, new_counts=True)
    falls = is_fall(lesions["CHANGE"], setting.cut, inclusive=rules.cut_inclusive, eps=setting.eps)
    rises = is_rise(lesions["CHANGE"], rules.dominance_progression, inclusive=False, eps=setting.eps)
    marked = lesions.assign(FALLS=falls, RISES=rises, HELD=lesions["WEIGHT"] * falls).groupby(KEY, sort=True)
    share = (marked["HELD"].sum() / marked["WEIGHT"].sum()).reindex(visits.index)
    out["progresses"] = marked["RISES"].any().reindex(visits.index)
    out["none_falls"] = (~marked["FALLS"].any()).reindex(visits.index)
    out["all_fall"] = marked["FALLS"].all().reindex(visits.index)
    out["majority_falls"] = share > 0.5 + setting.eps
    out["new_unconfirmed"] &= out["all_fall"].eq(True) | out["majority_falls"]
    return out


def _eortc_conditions(visits, lesions, measured, setting: Setting) -> pd.DataFrame:
    rules, eps = setting.rules, setting.eps
    out = _shared_conditions(visits, measured, new_counts=True)
    out["rises"] = is_rise(
        measured["CHANGE"], rules.eortc_pmd_cut, inclusive=rules.eortc_pmd_inclusive, eps=eps
    )
    out["longer"] = is_rise(visits["LONGDIAM_CHANGE"], rules.eortc_longer_percent, inclusive=False, eps=eps)
    out["resolved"] = lesions.groupby(KEY)["RESOLVED"].all().reindex(visits.index)
    inclusive = rules.eortc_pmr_inclusive[rules.eortc_phase]
    out["falls"] = is_fall(measured["CHANGE"], setting.cut, inclusive=inclusive, eps=eps)
    return out


def _percist_conditions(visits, lesions, measured, setting: Setting) -> pd.DataFrame:
    rules, eps, cut = setting.rules, setting.eps, setting.cut
    out = _shared_conditions(visits, measured, new_counts=True)
    change, drop = measured["CHANGE"], measured["B"] - measured["F"]
    strict = not rules.percist_pmd_inclusive
    unknown_blocks = rules.comparability_unknown_is == "not_comparable"
    bad = ["NOT_ASSESSABLE", "INSUFFICIENT_INFORMATION"] if unknown_blocks else ["NOT_ASSESSABLE"]
    out["not_comparable"] = visits["COMPARABLE"].isin(bad)
    out["not_measurable"] = ~lesions.groupby(KEY)["EVALUABLE"].any().reindex(visits.index).eq(True)
    out["rises"] = is_rise(change, cut, inclusive=not strict, eps=eps) & is_rise(
        -drop, rules.percist_floor_sul, inclusive=not strict, eps=eps
    )
    out["glycolysis_rises"] = is_rise(
        visits["TLG_CHANGE"], rules.percist_tlg_percent, inclusive=False, eps=eps
    ) & (change >= -eps)
    read, below = cmr_gates(visits, lesions)
    out["resolved"] = read & below
    other = is_rise(lesions["CHANGE"], cut, inclusive=False, eps=eps).groupby([lesions[k] for k in KEY]).any()
    falls = is_fall(change, cut, inclusive=True, eps=eps) & (drop >= rules.percist_floor_sul - eps)
    out["falls"] = falls & ~other.reindex(visits.index).eq(True) & ~visits["SIZE_PROGRESSES"]
    return out


def cmr_gates(visits: pd.DataFrame, lesions: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return PERCIST's gates of CMR: the reader called every lesion resolved; the hottest is below liver.

    The second is asked of uptake that was measured: the liver standing in for a lesion that is gone is not
    below itself. Where nothing else is known, the reader's word decides (`by_reader_alone`).
    """
    read = lesions.groupby(KEY)["RESOLVED"].all().reindex(visits.index).eq(True)
    hottest = _seen(lesions).groupby(KEY)["FILLED"].max().reindex(visits.index)
    return read, (hottest < visits["LIVER_F"]) | (hottest.isna() & visits["LIVER_F"].notna())


def by_reader_alone(visits: pd.DataFrame, lesions: pd.DataFrame) -> pd.Series:
    """Tell where no uptake at the place of any lesion, nor of blood, could be held against the liver."""
    return ~visits.index.to_series().isin(_seen(lesions).set_index(KEY).index)


def _seen(lesions: pd.DataFrame) -> pd.DataFrame:
    return lesions[~lesions["UNKNOWN"] & (lesions["IMPUTED"] != "LIVER")]


CONDITIONS: dict[str, Callable] = {
    "percent_table": _percent_conditions,
    "dominance_table": _dominance_conditions,
    "eortc_table": _eortc_conditions,
    "percist_table": _percist_conditions,
}
