"""Data checks of the baseline, the choice of target lesions, and lesions whose course needs a look."""

from __future__ import annotations

import pandas as pd

from analysis.clinical import lesions, recist
from analysis.clinical.checks import (
    Evidence,
    column,
    day,
    found_in,
    list_rows,
    no_rows,
    phrase,
    query,
)
from analysis.clinical.domain_checks import repeated
from analysis.clinical.lesion_checks import lesion_types
from analysis.clinical.terms import has_word


def baseline_targets(e: Evidence) -> pd.DataFrame:
    """Return the baseline diameters of the target lesions, one row a lesion of ADTR."""
    key = ["USUBJID", "LESIONID"]
    return e.keep("targets", lambda: recist.baseline_targets(e.adtr).drop_duplicates(key, keep="last"))


@query(
    "BASELINE_MISSING",
    "warning",
    "a treated subject without an adequate baseline, where lesions were collected",
    "add the baseline if there is one; without it PFS is censored at day 1",
)
def _no_baseline(e: Evidence) -> pd.DataFrame:
    if e.adtr.empty:
        return no_rows()
    base = e.adtr[e.adtr.AVISITN.eq(0) & (e.adtr.LESTYPE.eq("NON-TARGET") | e.adtr.DIAM_MM.notna())]
    rows = e.adsl[e.adsl.SAFFL.eq("Y") & ~e.adsl.USUBJID.isin(base.USUBJID)]
    text = phrase("no lesion assessed up to {}", day(e.date_of(rows, "start")))
    return list_rows(rows, "TR", "baseline", text)


@query(
    "BASELINE_OLD",
    "warning",
    "baseline imaging older than the plan allows",
    "check the date of the baseline imaging",
)
def _old_baseline(e: Evidence) -> pd.DataFrame:
    base = e.adtr[e.adtr.AVISITN.eq(0)].groupby("USUBJID", as_index=False).ADT.min()
    age = (e.date_of(base, "start") - base.ADT).dt.days
    rows = base[age > e.rules.baseline_max_days_before]
    text = phrase("scan on {}, {:g} days before time zero", day(rows.ADT), age.loc[rows.index])
    return list_rows(rows, "TR", "baseline", text)


def _not_at_baseline(e: Evidence, kind: str, known: pd.DataFrame) -> pd.DataFrame:
    first = e.keep("first records", lambda: e.adtr[~repeated(e.adtr, ["USUBJID", "LESIONID"])])
    rows = first[first.LESTYPE.eq(kind) & first.ADT.notna()]
    names = pd.MultiIndex.from_frame(known[["USUBJID", "LESIONID"]])
    return rows[~pd.MultiIndex.from_frame(rows[["USUBJID", "LESIONID"]]).isin(names)]


@query(
    "TARGET_NO_BASELINE",
    "warning",
    "a target lesion without a diameter at baseline",
    "add its baseline diameter; it is no part of the sum",
)
def _target_no_baseline(e: Evidence) -> pd.DataFrame:
    rows = _not_at_baseline(e, "TARGET", baseline_targets(e))
    return list_rows(rows, "TR", phrase("TRLNKID {}", rows.LESIONID), phrase("first dated {}", day(rows.ADT)))


@query(
    "NON_TARGET_NO_BASELINE",
    "warning",
    "a non-target lesion that is not recorded at baseline",
    "check whether it is a new lesion; it does not count",
)
def _non_target_late(e: Evidence) -> pd.DataFrame:
    base = e.adtr[e.adtr.AVISITN.eq(0) & e.adtr.LESTYPE.eq("NON-TARGET")]
    rows = _not_at_baseline(e, "NON-TARGET", base)
    rows = rows[rows.AVISITN.gt(0)]
    return list_rows(rows, "TU", phrase("TULNKID {}", rows.LESIONID), phrase("first dated {}", day(rows.ADT)))


@query(
    "NEW_LESION_AT_BASELINE",
    "warning",
    "a lesion called new on or before time zero",
    "check its date, or call it target or non-target",
)
def _new_at_baseline(e: Evidence) -> pd.DataFrame:
    tu = e.reads("TU")
    rows = tu[lesion_types(e).eq("NEW")]
    rows = rows[e.when("TU").loc[rows.index] <= e.date_of(rows, "start")]
    text = "lesion {} is new on {}, time zero {}"
    return found_in("TU", rows, text, rows.TULNKID, rows.TUDTC, day(e.date_of(rows, "start")))


@query(
    "TARGETS_TOO_MANY",
    "warning",
    "more target lesions than RECIST 1.1 allows",
    "check the choice of target lesions; all of them enter the sum",
)
def _too_many_targets(e: Evidence) -> pd.DataFrame:
    count = baseline_targets(e).groupby("USUBJID").size().rename("N").reset_index()
    rows = count[e.rules.max_targets < count.N]
    return list_rows(rows, "TU", "targets", phrase("{} target lesions", rows.N))


@query(
    "TARGETS_ORGAN_TOO_MANY",
    "warning",
    "more target lesions in one organ than RECIST 1.1 allows",
    "check the choice of target lesions; all of them enter the sum",
)
def _too_many_in_organ(e: Evidence) -> pd.DataFrame:
    count = baseline_targets(e).groupby(["USUBJID", "ORGAN"]).size().rename("N").reset_index()
    rows = count[e.rules.max_targets_per_organ < count.N]
    return list_rows(
        rows, "TU", phrase("TULOC {}", rows.ORGAN), phrase("{} target lesions in {}", rows.N, rows.ORGAN)
    )


@query(
    "TARGET_BONE",
    "note",
    "a bone lesion as target",
    "check that its soft tissue part was measured: bone alone is not measurable",
)
def _bone_target(e: Evidence) -> pd.DataFrame:
    rows = baseline_targets(e)
    rows = rows[has_word(rows.ORGAN, e.rules.bone_words)]
    return list_rows(
        rows, "TU", phrase("TULNKID {}", rows.LESIONID), phrase("{}, {:g} mm", rows.ORGAN, rows.DIAM_MM)
    )


# --- rules that need a look ---------------------------------------------------------------------------------


def _came_back(e: Evidence) -> set:
    """Return the subjects in whom a target that measured 0 mm is seen again."""
    rows = e.adtr[e.adtr.LESTYPE.eq("TARGET") & e.adtr.DIAM_MM.notna()]
    gone = rows[rows.DIAM_MM.le(e.rules.tolerance_mm)]
    later = rows[rows.USUBJID.isin(gone.USUBJID) & rows.DIAM_MM.gt(e.rules.tolerance_mm)]
    key = ["USUBJID", "LESIONID"]
    first = gone.groupby(key, as_index=False).ADT.min().rename(columns={"ADT": "GONEDT"})
    both = later.merge(first, on=key, validate="m:1")
    return set(both[both.ADT > both.GONEDT].USUBJID)


@query(
    "REAPPEARANCE",
    "note",
    "an assessment where the rules on a target that came back give different responses",
    "look at the lesion: the plan's rule on reappearance decides",
)
def _reappearance(e: Evidence) -> pd.DataFrame:
    adtr = e.adtr[e.adtr.USUBJID.isin(_came_back(e))]
    if adtr.empty:
        return no_rows()
    by_rule = {}
    for choice in ("pd_if_patient_cr", "always_pd", "rejoin_sum"):
        rules = e.plan.override({"clinical.reappearance": choice}).clinical
        by_rule[choice] = recist.derive_responses(adtr, rules).set_index(["USUBJID", "AVISITN"]).OVRLRESP
    wide = pd.DataFrame(by_rule)
    rows = wide[wide.nunique(axis=1).gt(1)].reset_index()
    message = phrase("; ".join(f"{choice} {{}}" for choice in by_rule), *(rows[choice] for choice in by_rule))
    return list_rows(rows, "ADTR", phrase("assessment {:g}", rows.AVISITN), message)


@query(
    "PET_ONLY_LESION",
    "note",
    "a new lesion on a study PET, which is the exposure and therefore no progression",
    "none: it counts from the first CT, MRI, bone scan or later PET that shows it",
)
def _pet_only(e: Evidence) -> pd.DataFrame:
    words = e.rules.pet_method_words
    scanned = [frame[has_word(column(frame, f"{name}METHOD"), words)].USUBJID
               for name, frame in ((name, e.reads(name)) for name in ("TU", "TR"))]  # fmt: skip
    subjects = set().union(*scanned)
    if not subjects:
        return no_rows()
    some = {name: e.reads(name)[e.reads(name).USUBJID.isin(subjects)] for name in ("TU", "TR")}
    records = lesions.lesion_records({**e.sdtm, **some}, e.rules)
    shown = lesions.on_study_pet(records, lesions.start_dates(e.adsl, e.rules), e.plan)
    rows = records[shown & records.LESTYPE.eq("NEW")].drop_duplicates(["USUBJID", "LESIONID"])
    text = phrase("seen on the study PET of {}", day(rows.ADT))
    return list_rows(rows, "TU", phrase("TULNKID {}", rows.LESIONID), text)
