"""Pair each baseline lesion with its follow-up values: what every response rule starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet import quality, reference_regions
from analysis.pet.reference_regions import BASELINE

KEY = ["USUBJID", "AVISIT"]
ADPET_KEY = ["USUBJID", "AVISIT", "LESIONID", "METRIC"]
_OWN_SCALE = {"SULPEAK", "SULMAX", "SUVPEAK"}


@dataclass(frozen=True)
class Case:
    """Lesions and visits of one metric, ready for any rule.

    Attributes
    ----------
    visits : DataFrame
        Indexed by USUBJID, AVISIT (sorted): STUDYID PETDT; BASE_SEEN SEEN (the scan exists), BASE_MEASURED
        MEASURED (it was computable), REFUSED; NEW (reader-confirmed), NEW_UNCONFIRMED; LESIONS (count at
        baseline); LONGDIAM_CHANGE TLG_CHANGE (percent); LIVER_F (SULmean, g/ml); COMPARABLE.
    pairs : DataFrame
        One row a baseline lesion and follow-up visit: BASE AVAL (as measured), BEST_BASE FILLED (best case
        where unknown), UNKNOWN RESOLVED EVALUABLE TARGET (bool), LOAD (baseline load of dominance_volume).
    """

    visits: pd.DataFrame
    pairs: pd.DataFrame


def collect(
    adpet: pd.DataFrame,
    plan: plans.Plan,
    metric: str,
    *,
    subjects: pd.DataFrame | None = None,
    scans: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
) -> Case:
    """Collect visits and lesion pairs of `metric`; the parameters are those of `response.classify`.

    Raises
    ------
    ValueError
        DUPLICATE_MEASUREMENT for a repeated key, METRIC_MISSING if `adpet` has no row of `metric`.
    """
    _check(adpet, metric)
    decisions = _used_decisions(adpet, decisions)
    scans = _scan_table(adpet, scans)
    visits = _expected_visits(plan.design.followup_visits, subjects, scans)
    visits = _add_presence(visits, scans).join(_study(adpet, subjects), on="USUBJID")
    pairs = _pair(adpet, plan, metric, visits, decisions)
    visits = _add_new_lesions(visits, adpet, decisions)
    baseline = adpet[(adpet["AVISIT"] == BASELINE) & (adpet["ROLE"] == "LESION")]
    counts = baseline.groupby("USUBJID")["LESIONID"].nunique()
    visits["LESIONS"] = visits.index.get_level_values("USUBJID").map(counts).fillna(0).astype(int)
    visits["LONGDIAM_CHANGE"] = _change(adpet, visits, "LONGDIAM", worst=True)
    visits["TLG_CHANGE"] = _change(adpet, visits, plan.response.percist_tlg_metric, worst=False)
    return Case(_add_comparability(visits, adpet, scans, plan.response), pairs)


def select_set(pairs: pd.DataFrame, which: str, by_load: bool) -> pd.DataFrame:
    """Select the lesions a rule looks at (all, evaluable, target), with their WEIGHT: 1, or the load."""
    keep = {"all": slice(None), "evaluable": pairs["EVALUABLE"], "target": pairs["TARGET"]}[which]
    chosen = pairs.loc[keep]
    return chosen.assign(WEIGHT=chosen["LOAD"] if by_load else 1.0)


def _check(adpet: pd.DataFrame, metric: str) -> None:
    repeated = adpet.duplicated(ADPET_KEY)
    if repeated.any():
        raise ValueError(f"DUPLICATE_MEASUREMENT: {int(repeated.sum())} rows repeat {', '.join(ADPET_KEY)}")
    if len(adpet) and metric not in set(adpet["METRIC"]):
        raise ValueError(
            f"METRIC_MISSING: adpet has no {metric!r}, only {', '.join(sorted(set(adpet['METRIC'])))}"
        )


def _used_decisions(adpet: pd.DataFrame, decisions: pd.DataFrame | None) -> pd.DataFrame:
    columns = [*KEY, "LESIONID", "DECISION"]
    if decisions is None or decisions.empty:
        return pd.DataFrame(columns=columns, dtype=object)
    followup = decisions.loc[decisions["AVISIT"] != BASELINE, columns].drop_duplicates()
    baseline = adpet.loc[(adpet["AVISIT"] == BASELINE) & (adpet["ROLE"] == "LESION"), ["USUBJID", "LESIONID"]]
    old = pd.MultiIndex.from_frame(followup[["USUBJID", "LESIONID"]]).isin(pd.MultiIndex.from_frame(baseline))
    # A lesion measured at baseline cannot be new: quality.check_decisions lists such a decision as a query.
    return followup[~(old & (followup["DECISION"] == "new"))]


def _scan_table(adpet: pd.DataFrame, scans: pd.DataFrame | None) -> pd.DataFrame:
    """One row a subject and visit: ADT, MEASURED, UPTAKEMIN."""
    measured = adpet[[*KEY, "ADT"]].drop_duplicates(KEY).assign(MEASURED=True, UPTAKEMIN=np.nan)
    if scans is None or scans.empty:
        return measured.set_index(KEY)
    listed = scans[scans["AVISIT"].notna()]
    listed = listed[[*KEY, "ADT", "UPTAKEMIN"]].assign(MEASURED=listed["STATUS"] == "OK")
    both = pd.concat([listed, measured[~_in(measured, listed)]], ignore_index=True)
    both = both.sort_values([*KEY, "MEASURED"], ascending=[True, True, False], kind="stable")
    return both.drop_duplicates(KEY).set_index(KEY)


def _in(left: pd.DataFrame, right: pd.DataFrame) -> np.ndarray:
    return pd.MultiIndex.from_frame(left[KEY]).isin(pd.MultiIndex.from_frame(right[KEY]))


def _expected_visits(followup: list[str], subjects: pd.DataFrame | None, scans: pd.DataFrame) -> pd.DataFrame:
    """Index every follow-up visit that was made or should have been.

    A pilot patient should have them all. Another patient has the one that was made; if none was, those days
    at which any patient outside the pilot was scanned (the days in use after the pilot), else all.
    """
    made = [(subject, visit) for subject, visit in scans.index if visit in followup]
    names = sorted(set(scans.index.get_level_values(0)) if subjects is None else set(subjects["USUBJID"]))
    pilot = set() if subjects is None or "PILOTFL" not in subjects else set(
        subjects.loc[subjects["PILOTFL"] == "Y", "USUBJID"]
    )  # fmt: skip
    seen = _by_subject(made, names)
    in_use = {v for name in names if name not in pilot for v in seen[name]} or set(followup)
    rows = []
    for name in names:
        due = followup if name in pilot else seen[name] or in_use
        rows += [(name, visit) for visit in followup if visit in set(due)]
    index = (
        pd.MultiIndex.from_tuples(rows, names=KEY) if rows else pd.MultiIndex.from_arrays([[], []], names=KEY)
    )
    return pd.DataFrame(index=index)


def _by_subject(made: list[tuple[str, str]], names: list[str]) -> dict[str, list[str]]:
    seen: dict[str, list[str]] = {name: [] for name in names}
    for name, visit in made:
        if name in seen:
            seen[name].append(visit)
    return seen


def _add_presence(visits: pd.DataFrame, scans: pd.DataFrame) -> pd.DataFrame:
    base = pd.MultiIndex.from_arrays([visits.index.get_level_values(0), [BASELINE] * len(visits)], names=KEY)
    measured = scans["MEASURED"]
    out = visits.assign(
        PETDT=pd.to_datetime(scans["ADT"].reindex(visits.index)),
        SEEN=visits.index.isin(scans.index),
        BASE_SEEN=base.isin(scans.index),
        MEASURED=measured.reindex(visits.index).eq(True),
        BASE_MEASURED=measured.reindex(base).eq(True).to_numpy(),
    )
    out["REFUSED"] = out["SEEN"] & out["BASE_SEEN"] & ~(out["MEASURED"] & out["BASE_MEASURED"])
    return out


def _study(adpet: pd.DataFrame, subjects: pd.DataFrame | None) -> pd.Series:
    sources = [frame for frame in (subjects, adpet) if frame is not None and "STUDYID" in frame]
    rows = pd.concat([frame[["USUBJID", "STUDYID"]] for frame in sources]).drop_duplicates("USUBJID")
    return rows.set_index("USUBJID")["STUDYID"]


def _pair(
    adpet: pd.DataFrame, plan: plans.Plan, metric: str, visits: pd.DataFrame, decisions: pd.DataFrame
) -> pd.DataFrame:
    rules = plan.response
    lesions = _baseline_lesions(adpet, plan, metric)
    pairs = visits.index.to_frame(index=False).merge(lesions, on="USUBJID", how="inner")
    pairs = pairs.sort_values([*KEY, "LESIONID"], kind="stable", ignore_index=True)
    follow = adpet.loc[adpet["METRIC"] == metric, [*KEY, "LESIONID", "AVAL"]]
    pairs = pairs.merge(follow, on=[*KEY, "LESIONID"], how="left", validate="one_to_one")
    called = _called(pairs, decisions)
    pairs["RESOLVED"] = called["resolved"]
    gone = pairs["RESOLVED"] & pairs["AVAL"].isna()
    pairs["AVAL"] = pairs["AVAL"].mask(gone, _background(adpet, pairs, metric, rules.resolved_background))
    pairs["AVAL"] = pairs["AVAL"].mask(called["not_evaluable"])
    base_bad = ~(np.isfinite(pairs["BASE"]) & (pairs["BASE"] > 0))
    pairs["UNKNOWN"] = base_bad | ~(np.isfinite(pairs["AVAL"]) & (pairs["AVAL"] >= 0))
    pairs["FILLED"] = pairs["AVAL"].mask(pairs["UNKNOWN"], 0.0)
    pairs["BEST_BASE"] = pairs["BASE"].mask(base_bad, np.inf)
    return pairs


def _baseline_lesions(adpet: pd.DataFrame, plan: plans.Plan, metric: str) -> pd.DataFrame:
    """One row a subject and baseline lesion: BASE LOAD EVALUABLE TARGET ORGAN."""
    rows = adpet[(adpet["AVISIT"] == BASELINE) & (adpet["ROLE"] == "LESION")]
    names = ["USUBJID", "LESIONID"]
    lesions = rows.drop_duplicates(names)[[*names, "ORGAN", "EVALFL", "TARGETFL"]].set_index(names)
    value = {name: part.set_index(names)["AVAL"] for name, part in rows.groupby("METRIC")}
    absent = pd.Series(np.nan, index=lesions.index)
    lesions["BASE"] = value.get(metric, absent)
    lesions["LOAD"] = value.get(plan.response.dominance_weight, absent)
    lesions["EVALUABLE"] = lesions["EVALFL"] == "Y"
    lesions["TARGET"] = lesions["TARGETFL"] == "Y"
    if metric in _OWN_SCALE:
        own = reference_regions.derive_evaluable(adpet, plan.pet, metric=metric).set_index(names)["EVALFL"]
        lesions["EVALUABLE"] = own.reindex(lesions.index).eq("Y")
    return lesions.drop(columns=["EVALFL", "TARGETFL"]).reset_index()


def _called(pairs: pd.DataFrame, decisions: pd.DataFrame) -> dict[str, np.ndarray]:
    index = pd.MultiIndex.from_frame(pairs[[*KEY, "LESIONID"]])
    words = ("resolved", "not_evaluable")
    wanted = {w: decisions.loc[decisions["DECISION"] == w, [*KEY, "LESIONID"]] for w in words}
    return {w: index.isin(list(rows.itertuples(index=False, name=None))) for w, rows in wanted.items()}


def _background(adpet: pd.DataFrame, pairs: pd.DataFrame, metric: str, order: list[str]) -> pd.Series:
    """Return the scan's background on the metric's scale, NaN for metrics that are no uptake."""
    scale = metric[:3] if metric[:3] in {"SUV", "SUL"} else None
    out = pd.Series(np.nan, index=pairs.index)
    for role in order if scale else []:
        found = _reference(adpet, role, f"{scale}MEAN").reindex(pd.MultiIndex.from_frame(pairs[KEY]))
        out = out.fillna(pd.Series(found.to_numpy(float), index=pairs.index))
    return out


def _reference(adpet: pd.DataFrame, role: str, metric: str) -> pd.Series:
    """Return the reference region's value of every scan; a scan with several of the role has none."""
    rows = adpet[(adpet["ROLE"] == role) & (adpet["METRIC"] == metric)]
    return rows.drop_duplicates(KEY, keep=False).set_index(KEY)["AVAL"]


def _add_new_lesions(visits: pd.DataFrame, adpet: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    """Mark visits with a reader-confirmed new lesion, and those with one no reader has judged."""
    confirmed = decisions.loc[decisions["DECISION"] == "new", KEY]
    lesions = adpet.loc[adpet["ROLE"] == "LESION", [*KEY, "LESIONID"]].drop_duplicates()
    old = lesions.loc[lesions["AVISIT"] == BASELINE, ["USUBJID", "LESIONID"]]
    candidate = ~pd.MultiIndex.from_frame(lesions[["USUBJID", "LESIONID"]]).isin(
        pd.MultiIndex.from_frame(old)
    )
    judged = decisions.loc[decisions["DECISION"].isin(["new", "inflammatory"]), [*KEY, "LESIONID"]]
    open_case = candidate & ~pd.MultiIndex.from_frame(lesions).isin(
        list(judged.itertuples(index=False, name=None))
    )
    unconfirmed = list(lesions.loc[open_case, KEY].itertuples(index=False, name=None))
    return visits.assign(
        NEW=visits.index.isin(list(confirmed.itertuples(index=False, name=None))),
        NEW_UNCONFIRMED=visits.index.isin(unconfirmed) & visits["BASE_MEASURED"],
    )


def _change(adpet: pd.DataFrame, visits: pd.DataFrame, metric: str, *, worst: bool) -> pd.Series:
    """Percent change of a metric over the lesions of both scans: the largest one, or that of the sum."""
    rows = adpet.loc[(adpet["ROLE"] == "LESION") & (adpet["METRIC"] == metric), [*KEY, "LESIONID", "AVAL"]]
    base = rows[rows["AVISIT"] == BASELINE].drop(columns="AVISIT").rename(columns={"AVAL": "BASE"})
    both = visits.index.to_frame(index=False).merge(base, on="USUBJID", how="inner")
    both = both.merge(rows, on=[*KEY, "LESIONID"], how="left", validate="one_to_one")
    both["RATIO"] = both["AVAL"] / both["BASE"].where(both["BASE"] > 0)
    groups = both.groupby(KEY)
    # A sum with an unknown part is unknown; a lesion known to grow is known to grow.
    total = groups["AVAL"].sum(min_count=1) / groups["BASE"].sum(min_count=1)
    ratio = (
        groups["RATIO"].max()
        if worst
        else total.mask(groups["RATIO"].agg(lambda r: r.isna().any()).astype(bool))
    )
    return (100 * (ratio - 1)).reindex(visits.index).astype(float)


def _add_comparability(
    visits: pd.DataFrame, adpet: pd.DataFrame, scans: pd.DataFrame, rules: plans.Section
) -> pd.DataFrame:
    base = pd.MultiIndex.from_arrays([visits.index.get_level_values(0), [BASELINE] * len(visits)], names=KEY)
    liver = _reference(adpet, "LIVER", "SULMEAN")
    facts = pd.DataFrame(
        {
            "UPTAKE_B": scans["UPTAKEMIN"].reindex(base).to_numpy(float),
            "UPTAKE_F": scans["UPTAKEMIN"].reindex(visits.index).to_numpy(float),
            "LIVER_B": liver.reindex(base).to_numpy(float),
            "LIVER_F": liver.reindex(visits.index).to_numpy(float),
        },
        index=visits.index,
    )
    return visits.assign(LIVER_F=facts["LIVER_F"], COMPARABLE=quality.compare_scans(facts, rules))
