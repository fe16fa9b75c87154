"""The data checks of lesions: each takes the evidence and returns what it found, as in `checks`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.clinical import lesions, recist
from analysis.clinical.checks import Evidence, list_rows, no_rows, phrase, record_ids, upper
from analysis.clinical.sdtm import has_word


def _diameters(e: Evidence) -> pd.DataFrame:
    tr = lesions.select_reads(e.sdtm["TR"], "TR", e.rules)
    return tr[upper(tr.TRTESTCD).isin(["LDIAM", "SAXIS", "DIAMETER", "DIAM"]).fillna(False)]


def unknown_unit(e: Evidence) -> pd.DataFrame:
    """Find diameters in a unit that is neither mm nor cm."""
    tr = _diameters(e)
    standard = tr.TRSTRESN.fillna(tr.TRSTRESC)
    unit = upper(tr.TRSTRESU.where(standard.notna(), tr.TRORRESU))
    rows = tr[unit.notna() & ~unit.isin(["MM", "CM"])]
    return list_rows(rows, "TR", record_ids("TR", rows), phrase("diameter in unit {}", unit.loc[rows.index]))


def negative_diameter(e: Evidence) -> pd.DataFrame:
    """Find diameters below 0."""
    tr = _diameters(e)
    rows = tr[lesions.diameter_mm(tr, e.rules.too_small_mm).lt(0)]
    return list_rows(rows, "TR", record_ids("TR", rows), "a diameter below 0 mm")


def measured_twice(e: Evidence) -> pd.DataFrame:
    """Find two diameters of one kind for one lesion and day."""
    tr = _diameters(e)
    key = ["USUBJID", "TRLNKID", "TRTESTCD", "TRDTC"]
    rows = tr[tr.duplicated(key, keep=False)].drop_duplicates(key)
    return list_rows(rows, "TR", rows.TRLNKID, "measured twice on one day")


def lesion_not_in_tu(e: Evidence) -> pd.DataFrame:
    """Find measured lesions that TU does not identify, once a lesion."""
    tr = lesions.select_reads(e.sdtm["TR"], "TR", e.rules)
    tu = lesions.select_reads(e.sdtm["TU"], "TU", e.rules)
    named = pd.MultiIndex.from_frame(tu[["USUBJID", "TULNKID"]].astype(str))
    measured = tr[tr.TRLNKID.notna()].drop_duplicates(["USUBJID", "TRLNKID"])
    rows = measured[~pd.MultiIndex.from_frame(measured[["USUBJID", "TRLNKID"]].astype(str)).isin(named)]
    return list_rows(rows, "TR", rows.TRLNKID, "measured but not identified in TU")


def unknown_type(e: Evidence) -> pd.DataFrame:
    """Find lesions that are neither target, non-target nor new."""
    tu = lesions.select_reads(e.sdtm["TU"], "TU", e.rules)
    rows = tu[lesions.lesion_type(tu.TUSTRESC.fillna(tu.TUORRES)).isna()]
    return list_rows(rows, "TU", rows.TULNKID, "neither TARGET, NON-TARGET nor NEW")


def _baseline_targets(e: Evidence) -> pd.DataFrame:
    base = e.adtr[e.adtr.AVISITN.eq(0) & e.adtr.LESTYPE.eq("TARGET")].dropna(subset="DIAM_MM")
    return base.drop_duplicates(["USUBJID", "LESIONID"], keep="last")


def no_baseline(e: Evidence) -> pd.DataFrame:
    """Find treated subjects without an adequate baseline, where lesions were collected at all."""
    if e.adtr.empty:
        return no_rows()
    base = e.adtr[e.adtr.AVISITN.eq(0) & (e.adtr.LESTYPE.eq("NON-TARGET") | e.adtr.DIAM_MM.notna())]
    rows = e.adsl[e.adsl.SAFFL.eq("Y") & ~e.adsl.USUBJID.isin(base.USUBJID)]
    return list_rows(rows, "TR", "", "no adequate baseline assessment")


def old_baseline(e: Evidence) -> pd.DataFrame:
    """Find baseline imaging older than the plan allows."""
    base = e.adtr[e.adtr.AVISITN.eq(0)].groupby("USUBJID", as_index=False).ADT.min()
    age = (base.USUBJID.map(lesions.start_dates(e.adsl, e.rules)).astype("datetime64[ns]") - base.ADT).dt.days
    rows = base[age > e.rules.baseline_max_days_before]
    return list_rows(rows, "TR", "baseline", phrase("{:g} days before time zero", age.loc[rows.index]))


def target_no_baseline(e: Evidence) -> pd.DataFrame:
    """Find target lesions without a diameter at baseline."""
    targets = e.adtr[e.adtr.LESTYPE.eq("TARGET")].drop_duplicates(["USUBJID", "LESIONID"])
    have = pd.MultiIndex.from_frame(_baseline_targets(e)[["USUBJID", "LESIONID"]])
    rows = targets[~pd.MultiIndex.from_frame(targets[["USUBJID", "LESIONID"]]).isin(have)]
    return list_rows(rows, "TR", rows.LESIONID, "a target lesion without a baseline diameter")


def not_measurable(e: Evidence) -> pd.DataFrame:
    """Find targets below 10 mm, or nodes below 15 mm short axis, at baseline."""
    base = _baseline_targets(e)
    node = has_word(base.ORGAN, e.rules.node_words)
    least = np.where(node, e.rules.node_target_min_mm, e.rules.target_min_mm)
    rows = base[least - e.rules.tolerance_mm > base.DIAM_MM]
    return list_rows(rows, "TR", rows.LESIONID, phrase("{:g} mm at baseline", rows.DIAM_MM))


def too_many_targets(e: Evidence) -> pd.DataFrame:
    """Find subjects with more targets than RECIST 1.1 allows."""
    count = _baseline_targets(e).groupby("USUBJID").size().rename("N").reset_index()
    rows = count[e.rules.max_targets < count.N]
    return list_rows(rows, "TU", "", phrase("{} target lesions", rows.N))


def too_many_in_organ(e: Evidence) -> pd.DataFrame:
    """Find organs with more targets than RECIST 1.1 allows."""
    count = _baseline_targets(e).groupby(["USUBJID", "ORGAN"]).size().rename("N").reset_index()
    rows = count[e.rules.max_targets_per_organ < count.N]
    return list_rows(rows, "TU", rows.ORGAN, phrase("{} target lesions in one organ", rows.N))


def reappearance(e: Evidence) -> pd.DataFrame:
    """List assessments where the rules on reappearing lesions give different responses."""
    by_rule = {}
    for choice in ("pd_if_patient_cr", "always_pd", "rejoin_sum"):
        rules = e.plan.override({"clinical.reappearance": choice}).clinical
        by_rule[choice] = recist.derive_responses(e.adtr, rules).set_index(["USUBJID", "AVISITN"]).OVRLRESP
    wide = pd.DataFrame(by_rule)
    rows = wide[wide.nunique(axis=1).gt(1)].reset_index()
    message = phrase("; ".join(f"{choice} {{}}" for choice in by_rule), *(rows[choice] for choice in by_rule))
    return list_rows(rows, "ADTR", phrase("assessment {:g}", rows.AVISITN), message)


def pet_only(e: Evidence) -> pd.DataFrame:
    """List new or non-target lesions that a PET alone shows after time zero, once a lesion."""
    records = lesions.lesion_records(e.sdtm, e.rules)
    late = records.USUBJID.map(lesions.start_dates(e.adsl, e.rules)).astype("datetime64[ns]") < records.ADT
    rows = records[late & records.PET & records.LESTYPE.eq("NEW")].drop_duplicates(["USUBJID", "LESIONID"])
    return list_rows(rows, "TR", rows.LESIONID, "a new lesion seen on a PET")
