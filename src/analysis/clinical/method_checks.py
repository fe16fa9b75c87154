"""Data checks of measurability: which targets were chosen, how they were measured, which were left out."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from analysis.clinical.baseline_checks import baseline_targets
from analysis.clinical.checks import Evidence, column, day, list_rows, no_rows, phrase, query
from analysis.clinical.domain_checks import repeated
from analysis.clinical.measure_checks import measured
from analysis.clinical.terms import by_value, has_word, number_groups


def _list_lesions(rows: pd.DataFrame, template: str, *names: str) -> pd.DataFrame:
    first = rows.sort_values(["LESION", "ADT"]).drop_duplicates("LESION")
    text = phrase(template, *(first[name] for name in names))
    return list_rows(first, "TR", phrase("TRLNKID {}", first.TRLNKID), text)


@query(
    "TARGET_NOT_MEASURABLE",
    "warning",
    "a target below 10 mm, or a node below 15 mm short axis, at baseline",
    "check the choice of target lesion",
)
def _not_measurable(e: Evidence) -> pd.DataFrame:
    base = baseline_targets(e)
    node = has_word(base.ORGAN, e.rules.node_words)
    least = pd.Series(np.where(node, e.rules.node_target_min_mm, e.rules.target_min_mm), index=base.index)
    rows = base[least - e.rules.tolerance_mm > base.DIAM_MM]
    text = phrase("{:g} mm at baseline, at least {:g} mm", rows.DIAM_MM, least.loc[rows.index])
    return list_rows(rows, "TR", phrase("TRLNKID {}", rows.LESIONID), text)


def method_groups(methods: pd.Series, rules) -> pd.Series:
    """Return the kind of scan of each method (the first of the plan's that fits); another is its own kind."""

    def name(method):
        """Name the kind of one method."""
        text = str(method).upper().strip()
        fits = (
            kind
            for kind, words in rules.method_groups.items()
            if any(re.search(rf"\b{re.escape(word)}", text) for word in words)
        )
        return None if method is None or pd.isna(method) else next(fits, text)

    return by_value(methods, lambda v: v.map(name).astype(object))


@query(
    "METHOD_CHANGED",
    "warning",
    "a target lesion measured by different kinds of scan",
    "check the method; diameters of different methods cannot be compared",
)
def _method_changed(e: Evidence) -> pd.DataFrame:
    rows = measured(e)
    group = method_groups(column(rows, "TRMETHOD"), e.rules)
    if group.nunique() < 2:
        return no_rows()
    rows = rows[rows.KIND.eq("TARGET") & group.notna() & rows.MM.notna()].assign(GROUP=group)
    rows = rows.sort_values(["LESION", "ADT"])
    first = rows.groupby("LESION").GROUP.transform("first")
    rows = rows.assign(FIRST=first, DAY=day(rows.ADT))[rows.GROUP.ne(first)]
    return _list_lesions(rows, "{} on {}, {} before", "GROUP", "DAY", "FIRST")


@query(
    "TARGET_METHOD",
    "warning",
    "a target lesion measured at baseline only by a method RECIST 1.1 does not measure with",
    "measure it on CT or MRI, or choose another target",
)
def _target_method(e: Evidence) -> pd.DataFrame:
    rows = measured(e)
    group = method_groups(column(rows, "TRMETHOD"), e.rules)
    refused = group.isin(e.rules.target_methods_refused)
    if not refused.any():
        return no_rows()
    target = rows.KIND.eq("TARGET") & rows.MM.notna()
    base = rows[target & (e.date_of(rows, "start") >= rows.ADT)].assign(GROUP=group, DAY=day(rows.ADT))
    fit = base[~refused.loc[base.index]].LESION
    return _list_lesions(base[~base.LESION.isin(fit)], "measured by {} on {}", "GROUP", "DAY")


@query(
    "AXIS_WRONG",
    "warning",
    "a target node measured by its longest diameter only, or another target by its short axis only",
    "give the short axis of a node, the longest diameter of anything else; the one given counts",
)
def _axis(e: Evidence) -> pd.DataFrame:
    rows = measured(e)
    rows = rows[rows.KIND.eq("TARGET") & rows.TEST.isin(["LDIAM", "SAXIS"]).to_numpy(dtype=bool)]
    right = rows.TEST.eq("SAXIS").to_numpy(dtype=bool) == rows.NODE.to_numpy()
    if right.all():
        return no_rows()
    when = number_groups(rows.LESION, rows.TRDTC)
    odd = rows[~right & ~np.isin(when, when[right])]
    return _list_lesions(odd.assign(DAY=day(odd.ADT)), "only {} on {}", "TEST", "DAY")


@query(
    "NON_TARGET_MEASURED",
    "note",
    "a diameter of a non-target lesion",
    "none: only its state counts",
)
def _non_target(e: Evidence) -> pd.DataFrame:
    rows = measured(e)
    rows = rows[rows.KIND.eq("NON-TARGET") & rows.MM.notna()]
    return _list_lesions(rows.assign(DAY=day(rows.ADT)), "non-target measured: {:g} mm on {}", "MM", "DAY")


@query(
    "TARGET_NOT_ASSESSED",
    "warning",
    "an assessment of targets in which one of them has no diameter",
    "add the diameter; without it the response is not evaluable unless the rest shows progression",
)
def _not_assessed(e: Evidence) -> pd.DataFrame:
    base = baseline_targets(e)[["USUBJID", "LESIONID"]]
    rows = e.adtr[e.adtr.LESTYPE.eq("TARGET") & e.adtr.AVISITN.gt(0) & e.adtr.DIAM_MM.notna()]
    rows = rows[["USUBJID", "AVISITN", "LESIONID", "ADT"]]
    rows = rows[~repeated(rows, ["USUBJID", "AVISITN", "LESIONID"])]
    count = rows.groupby(["USUBJID", "AVISITN"], as_index=False).agg(
        N=("LESIONID", "size"), ADT=("ADT", "min")
    )
    targets = count.USUBJID.map(base.groupby("USUBJID").size())
    short = count[targets > count.N].merge(base, on="USUBJID")
    both = ["USUBJID", "AVISITN", "LESIONID"]
    near = rows[rows.USUBJID.isin(short.USUBJID)]
    have = pd.MultiIndex.from_frame(near[both])
    rows = short[~pd.MultiIndex.from_frame(short[both]).isin(have)]
    text = phrase("no diameter at assessment {:g} (from {})", rows.AVISITN, day(rows.ADT))
    return list_rows(rows, "TR", phrase("TRLNKID {}", rows.LESIONID), text)
