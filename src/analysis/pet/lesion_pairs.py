"""Pair each baseline lesion with its follow-up values: what every response rule starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet import comparability, lesion_background, reference_regions
from analysis.pet.comparability import KEY
from analysis.pet.reference_regions import BASELINE

ADPET_KEY = ["USUBJID", "AVISIT", "LESIONID", "METRIC"]
NOT_MEASURED = "NOT_MEASURED"  # flag of the row of a lesion that was recorded but could not be measured
_OWN_SCALE = {"SULPEAK", "SULMAX", "SUVPEAK"}


@dataclass(frozen=True)
class Case:
    """Lesions and visits of one metric, ready for any rule.

    Attributes
    ----------
    visits : DataFrame
        Indexed by USUBJID, AVISIT (sorted): STUDYID PETDT; BASE_SEEN SEEN (the scan exists), BASE_MEASURED
        MEASURED (it was computable), REFUSED; NEW (reader-confirmed), NEW_UNCONFIRMED, INFLAMMATORY; LESIONS
        (count at baseline), UNRANKED (an evaluable lesion, but none with a value of target_metric);
        LONGDIAM_CHANGE TLG_CHANGE (percent); SIZE_PROGRESSES; LIVER_F (SULmean, g/ml); COMPARABLE (verdict,
        missing without a pair of scans).
    pairs : DataFrame
        One row a baseline lesion and follow-up visit: BASE AVAL (as measured, or imputed from IMPUTED),
        BEST_BASE FILLED (best case where unknown), UNKNOWN RESOLVED NOT_EVALUABLE EVALUABLE TARGET LOST
        (bool), LOAD (baseline load of dominance_volume), RANK (baseline value by which lesions are capped),
        ORGAN. A LOST lesion was there at baseline but not measured: it belongs to every set of lesions.
    new : DataFrame
        One row a lesion seen at follow-up alone: USUBJID AVISIT LESIONID STATUS (NEW, NEW_UNCONFIRMED or
        INFLAMMATORY).
    """

    visits: pd.DataFrame
    pairs: pd.DataFrame
    new: pd.DataFrame


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
    qc, scans = scans, _scan_table(adpet, scans)
    everyone = plan.pet.all_visits_planned_for == "all"
    visits = _expected_visits(plan.design.followup_visits, subjects, scans, everyone=everyone)
    visits = _add_presence(visits, scans).join(_study(adpet, subjects), on="USUBJID")
    pairs = _pair(adpet, plan, metric, visits, decisions, qc)
    new = _new_lesions(visits, adpet, decisions, plan.design.followup_visits)
    at = {word: list(part[KEY].itertuples(index=False, name=None)) for word, part in new.groupby("STATUS")}
    for word in ("NEW", "NEW_UNCONFIRMED", "INFLAMMATORY"):
        visits[word] = visits.index.isin(at.get(word, []))
    baseline = adpet[(adpet["AVISIT"] == BASELINE) & (adpet["ROLE"] == "LESION")]
    counts = baseline.groupby("USUBJID")["LESIONID"].nunique()
    visits["LESIONS"] = visits.index.get_level_values("USUBJID").map(counts).fillna(0).astype(int)
    visits["UNRANKED"] = visits.index.isin(_unranked(pairs))
    visits = _add_sizes(visits, adpet, plan.response, pairs)
    visits["TLG_CHANGE"] = _change_of_sum(adpet, visits, plan.response.percist_tlg_metric, pairs)
    visits["LIVER_F"] = comparability.read_reference(adpet, "LIVER", "SULMEAN").reindex(visits.index)
    visits["COMPARABLE"] = comparability.judge_pairs(qc, adpet, plan).reindex(visits.index)
    return Case(visits, pairs, new)


def select_set(pairs: pd.DataFrame, which: str, *, by_load: bool, cap: int | None = None) -> pd.DataFrame:
    """Select the lesions a rule looks at (all, evaluable, target), with their WEIGHT: 1, or the load.

    With a `cap`, each patient's hottest at baseline (RANK, ties by name). Lesions without a RANK come last;
    LOST ones first, since each may have been the hottest.
    """
    keep = {"all": slice(None), "evaluable": pairs["EVALUABLE"], "target": pairs["TARGET"]}[which]
    chosen = pairs.loc[keep]
    if cap is not None:
        ranked = chosen.sort_values([*KEY, "RANK", "LESIONID"], ascending=[True, True, False, True])
        chosen = chosen.loc[(ranked.groupby(KEY).cumcount() < cap).reindex(chosen.index)]
    return chosen.assign(WEIGHT=chosen["LOAD"] if by_load else 1.0)


def _check(adpet: pd.DataFrame, metric: str) -> None:
    repeated = adpet.duplicated(ADPET_KEY)
    if repeated.any():
        raise ValueError(f"DUPLICATE_MEASUREMENT: {int(repeated.sum())} rows repeat {', '.join(ADPET_KEY)}")
    held = set(adpet.loc[adpet["ROLE"] == "LESION", "METRIC"])
    # Where no scan has a lesion, no metric is missing: every patient is not evaluable.
    if held and metric not in held:
        raise ValueError(f"METRIC_MISSING: adpet has no {metric!r}, only {', '.join(sorted(held))}")


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
    """One row a subject and visit: ADT, MEASURED."""
    measured = adpet[[*KEY, "ADT"]].drop_duplicates(KEY).assign(MEASURED=True)
    if scans is None or scans.empty:
        return measured.set_index(KEY)
    listed = scans[scans["AVISIT"].notna()]
    listed = listed[[*KEY, "ADT"]].assign(MEASURED=listed["STATUS"] == "OK")
    both = pd.concat([listed, measured[~_in(measured, listed)]], ignore_index=True)
    both = both.sort_values([*KEY, "MEASURED"], ascending=[True, True, False], kind="stable")
    return both.drop_duplicates(KEY).set_index(KEY)


def _in(left: pd.DataFrame, right: pd.DataFrame) -> np.ndarray:
    return pd.MultiIndex.from_frame(left[KEY]).isin(pd.MultiIndex.from_frame(right[KEY]))


def _expected_visits(
    followup: list[str], subjects: pd.DataFrame | None, scans: pd.DataFrame, *, everyone: bool
) -> pd.DataFrame:
    """Index every follow-up visit that was made or should have been.

    A pilot patient should have them all, and so should `everyone` where the plan says so. Another patient has
    the one that was made; if none was, those days at which any patient outside the pilot was scanned (the
    days in use after the pilot), else all.
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
        due = followup if everyone or name in pilot else seen[name] or in_use
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
    adpet: pd.DataFrame,
    plan: plans.Plan,
    metric: str,
    visits: pd.DataFrame,
    decisions: pd.DataFrame,
    qc: pd.DataFrame | None,
) -> pd.DataFrame:
    lesions = _baseline_lesions(adpet, plan, metric)
    pairs = visits.index.to_frame(index=False).merge(lesions, on="USUBJID", how="inner")
    pairs = pairs.sort_values([*KEY, "LESIONID"], kind="stable", ignore_index=True)
    follow = adpet.loc[adpet["METRIC"] == metric, [*KEY, "LESIONID", "AVAL"]]
    pairs = pairs.merge(follow, on=[*KEY, "LESIONID"], how="left", validate="one_to_one")
    called = _called(pairs, decisions)
    pairs["NOT_EVALUABLE"] = called["not_evaluable"]
    # Two readers who disagree: quality.check_decisions asks; until then nobody knows.
    pairs["RESOLVED"] = called["resolved"] & ~called["not_evaluable"]
    pairs["AVAL"] = pairs["AVAL"].mask(pairs["NOT_EVALUABLE"])
    pairs = _impute_gone(pairs, adpet, metric, plan, qc)
    base_bad = ~(np.isfinite(pairs["BASE"]) & (pairs["BASE"] > 0))
    pairs["UNKNOWN"] = base_bad | ~(np.isfinite(pairs["AVAL"]) & (pairs["AVAL"] >= 0))
    pairs["FILLED"] = pairs["AVAL"].mask(pairs["UNKNOWN"], 0.0)
    pairs["BEST_BASE"] = pairs["BASE"].mask(base_bad, np.inf)
    return pairs


def _impute_gone(
    pairs: pd.DataFrame, adpet: pd.DataFrame, metric: str, plan: plans.Plan, qc: pd.DataFrame | None
) -> pd.DataFrame:
    """Give a lesion the reader calls resolved, and did not draw, its background; IMPUTED says from where."""
    pairs["IMPUTED"] = pd.Series(None, index=pairs.index, dtype=object)
    gone = pairs[pairs["RESOLVED"] & pairs["AVAL"].isna()]
    if len(gone):
        value, source = lesion_background.impute_background(adpet, gone, metric, plan, scans=qc)
        pairs.loc[gone.index, "AVAL"], pairs.loc[gone.index, "IMPUTED"] = value, source
    return pairs


def _baseline_lesions(adpet: pd.DataFrame, plan: plans.Plan, metric: str) -> pd.DataFrame:
    """One row a subject and baseline lesion: BASE LOAD RANK EVALUABLE TARGET LOST ORGAN."""
    rows = adpet[(adpet["AVISIT"] == BASELINE) & (adpet["ROLE"] == "LESION")]
    names = ["USUBJID", "LESIONID"]
    lesions = rows.drop_duplicates(names)[[*names, "ORGAN", "EVALFL", "TARGETFL"]].set_index(names)
    value = {name: part.set_index(names)["AVAL"] for name, part in rows.groupby("METRIC")}
    absent = pd.Series(np.nan, index=lesions.index)
    lesions["BASE"] = value.get(metric, absent)
    lesions["LOAD"] = value.get(plan.response.dominance_weight, absent)
    lesions["RANK"] = value.get(plan.response.target_metric, lesions["BASE"])
    lesions["TARGETABLE"] = np.isfinite(value.get(plan.response.target_metric, absent).reindex(lesions.index))
    lesions["EVALUABLE"] = lesions["EVALFL"] == "Y"
    lesions["TARGET"] = lesions["TARGETFL"] == "Y"
    if metric in _OWN_SCALE:
        own = reference_regions.derive_evaluable(adpet, plan.pet, metric=metric).set_index(names)["EVALFL"]
        # A lesion without a value on this scale may have reached the threshold: not to be left out unseen.
        lesions["EVALUABLE"] = own.reindex(lesions.index).eq("Y") | ~np.isfinite(lesions["BASE"])
    lesions["LOST"] = lesions.index.isin(_lost(rows))
    lesions["RANK"] = lesions["RANK"].mask(lesions["LOST"], np.inf)
    for name in ("EVALUABLE", "TARGET"):
        lesions[name] |= lesions["LOST"]
    return lesions.drop(columns=["EVALFL", "TARGETFL"]).reset_index()


def _lost(rows: pd.DataFrame) -> pd.MultiIndex:
    """Name the lesions of these baseline rows that were recorded but not measured: any rule may need them."""
    names = ["USUBJID", "LESIONID"]
    words = rows["FLAGS"] if "FLAGS" in rows else pd.Series(None, index=rows.index, dtype=object)
    said = pd.Series([NOT_MEASURED in str(text).split(";") for text in words], index=rows.index, dtype=bool)
    finite = pd.Series(np.isfinite(rows["AVAL"].to_numpy(float)), index=rows.index)
    none = ~finite.groupby([rows[name] for name in names]).transform("any").astype(bool)
    return pd.MultiIndex.from_frame(rows.loc[said | none, names].drop_duplicates())


def _unranked(pairs: pd.DataFrame) -> pd.MultiIndex:
    """Name the visits of patients with evaluable lesions of which none has the metric that ranks targets."""
    groups = pairs[pairs["EVALUABLE"]].groupby(KEY)["TARGETABLE"]
    return groups.any().loc[lambda known: ~known.astype(bool)].index


def _called(pairs: pd.DataFrame, decisions: pd.DataFrame) -> dict[str, np.ndarray]:
    index = pd.MultiIndex.from_frame(pairs[[*KEY, "LESIONID"]])
    words = ("resolved", "not_evaluable")
    wanted = {w: decisions.loc[decisions["DECISION"] == w, [*KEY, "LESIONID"]] for w in words}
    return {w: index.isin(list(rows.itertuples(index=False, name=None))) for w, rows in wanted.items()}


def _new_lesions(
    visits: pd.DataFrame, adpet: pd.DataFrame, decisions: pd.DataFrame, followup: list[str]
) -> pd.DataFrame:
    """List lesions that only a follow-up scan shows, as judged; one reader who says new decides.

    A lesion judged new stays so on later scans that show it, until a reader judges it again.
    """
    lesion = ["USUBJID", "LESIONID"]
    seen = adpet.loc[adpet["ROLE"] == "LESION", [*KEY, "LESIONID"]].drop_duplicates()
    old = pd.MultiIndex.from_frame(seen.loc[seen["AVISIT"] == BASELINE, lesion])
    measured = pd.MultiIndex.from_frame(seen[KEY]).isin(visits.index[visits["BASE_MEASURED"]])
    words = {"new": "NEW", "inflammatory": "INFLAMMATORY"}
    judged = decisions[decisions["DECISION"].isin(list(words))]
    judged = judged.assign(STATUS=judged["DECISION"].map(words)).drop(columns="DECISION")
    unjudged = _stay_new(seen[measured], judged, followup)
    found = pd.concat([judged, unjudged], ignore_index=True)
    found = found[~pd.MultiIndex.from_frame(found[lesion]).isin(old)]
    found = found[pd.MultiIndex.from_frame(found[KEY]).isin(visits.index)]
    order = found["STATUS"].map({"NEW": 0, "INFLAMMATORY": 1, "NEW_UNCONFIRMED": 2})
    found = found.assign(ORDER=order).sort_values([*KEY, "LESIONID", "ORDER"], kind="stable")
    return found.drop_duplicates([*KEY, "LESIONID"], ignore_index=True).drop(columns="ORDER")


def _stay_new(seen: pd.DataFrame, judged: pd.DataFrame, followup: list[str]) -> pd.DataFrame:
    """Give every lesion seen a STATUS: NEW if the last word before this visit was that, else unconfirmed."""
    place = {visit: order for order, visit in enumerate(followup)}
    # Of two readers of one visit the one who says new comes last.
    words = judged.assign(AT=judged["AVISIT"].map(place)).dropna(subset=["AT"])
    words = words.sort_values(["AT", "STATUS"], kind="stable")
    lesion = ["USUBJID", "LESIONID"]
    said = {name: list(zip(part["AT"], part["STATUS"])) for name, part in words.groupby(lesion)}
    status = []
    for row in seen.itertuples(index=False):
        here = place.get(row.AVISIT, -1)
        before = [word for at, word in said.get((row.USUBJID, row.LESIONID), []) if at < here]
        status.append("NEW" if before and before[-1] == "NEW" else "NEW_UNCONFIRMED")
    # Where this visit has a word of its own, that one stands.
    own = pd.MultiIndex.from_frame(seen[[*KEY, "LESIONID"]])
    own = own.isin(pd.MultiIndex.from_frame(judged[[*KEY, "LESIONID"]]))
    return seen.assign(STATUS=status)[~own]


def _both_scans(adpet: pd.DataFrame, visits: pd.DataFrame, metric: str, pairs: pd.DataFrame) -> pd.DataFrame:
    """One row a baseline lesion and follow-up visit: BASE and AVAL of a metric, RESOLVED.

    A lesion the reader calls not evaluable has no AVAL.
    """
    rows = adpet.loc[(adpet["ROLE"] == "LESION") & (adpet["METRIC"] == metric), [*KEY, "LESIONID", "AVAL"]]
    base = rows[rows["AVISIT"] == BASELINE].drop(columns="AVISIT").rename(columns={"AVAL": "BASE"})
    both = visits.index.to_frame(index=False).merge(base, on="USUBJID", how="inner")
    both = both.merge(rows, on=[*KEY, "LESIONID"], how="left", validate="one_to_one")
    words = pairs[[*KEY, "LESIONID", "RESOLVED", "NOT_EVALUABLE"]]
    both = both.merge(words, on=[*KEY, "LESIONID"], how="left", validate="one_to_one")
    return both.assign(AVAL=both["AVAL"].mask(both["NOT_EVALUABLE"].eq(True)))


def _change_of_sum(adpet: pd.DataFrame, visits: pd.DataFrame, metric: str, pairs: pd.DataFrame) -> pd.Series:
    """Percent change of a metric summed over lesions; a sum with an unknown part is unknown.

    A lesion that is gone by the reader's word, and was not drawn, adds nothing: that is known.
    """
    if not adpet["METRIC"].eq(metric).any():
        return pd.Series(np.nan, index=visits.index)
    both = _both_scans(adpet, visits, metric, pairs)
    both["AVAL"] = both["AVAL"].mask(both["RESOLVED"].eq(True) & both["AVAL"].isna(), 0.0)
    both["UNKNOWN"] = ~(both["BASE"] > 0) | both["AVAL"].isna()
    groups = both.groupby(KEY)
    ratio = groups["AVAL"].sum(min_count=1) / groups["BASE"].sum(min_count=1)
    change = (100 * (ratio.mask(groups["UNKNOWN"].any()) - 1)).reindex(visits.index).astype(float)
    return change.mask(visits.index.isin(pd.MultiIndex.from_frame(pairs.loc[pairs["LOST"], KEY])))


def _add_sizes(
    visits: pd.DataFrame, adpet: pd.DataFrame, rules: plans.Section, pairs: pd.DataFrame
) -> pd.DataFrame:
    """Add LONGDIAM_CHANGE, percent of the lesion that grew most, and SIZE_PROGRESSES: unknown is not."""
    if not adpet["METRIC"].eq("LONGDIAM").any():
        return visits.assign(LONGDIAM_CHANGE=np.nan, SIZE_PROGRESSES=False)
    both, eps = _both_scans(adpet, visits, "LONGDIAM", pairs), rules.comparison_tolerance
    growth = both["AVAL"] - both["BASE"]
    both["CHANGE"] = 100 * growth / both["BASE"].where(both["BASE"] > 0)
    both["GROWS"] = (both["CHANGE"] >= rules.percist_size_percent - eps) & (
        growth >= rules.percist_size_mm - eps
    )
    groups = both.groupby(KEY)
    return visits.assign(
        LONGDIAM_CHANGE=groups["CHANGE"].max().reindex(visits.index).astype(float),
        SIZE_PROGRESSES=groups["GROWS"].any().reindex(visits.index).eq(True),
    )
