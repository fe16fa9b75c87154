"""ADSL: one row a subject, with the dates every endpoint starts from and ends at."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.clinical.dates import impute_dates, parse_dates
from analysis.clinical.terms import has_word, is_word, to_number

ADSL_COLUMNS = [
    "STUDYID",
    "USUBJID",
    "SITEID",
    "AGE",
    "SEX",
    "PILOTFL",
    "ENRLDT",
    "TRTSDT",
    "TRTEDT",
    "DTHDT",
    "DTHFL",
    "LSTALVDT",
    "DCUTDT",
    "NACTDT",
    "ECOG",
    "BONEONLY",
    "VISCFL",
    "PRIORCHM",
    "ENDOSENS",
    "SAFFL",
]
# which use of a date each source of "last known alive" belongs to
_DATE_USE = {
    "EXSTDTC": "dose",
    "EXENDTC": "dose",
    "TUDTC": "assessment",
    "TRDTC": "assessment",
    "RSDTC": "assessment",
}
_YES = {"Y": "Y", "YES": "Y", "TRUE": "Y", "1": "Y", "N": "N", "NO": "N", "FALSE": "N", "0": "N"}


def derive_adsl(sdtm: Mapping[str, pd.DataFrame], plan: plans.Plan | None = None) -> pd.DataFrame:
    """Derive ADSL from DM and the domains that prove treatment, death and life.

    Time zero is the first dose above 0 (EX). A partial date of first dose is not filled: that subject has no
    TRTSDT and is set aside. Death and contact dates are filled by the plan's rules, never across the start of
    treatment or the last complete contact.

    Parameters
    ----------
    sdtm : mapping of str to DataFrame
        Domains as `read_sdtm` returns them.
    plan : Plan, optional
        Sections `clinical` and `design`.

    Returns
    -------
    DataFrame
        One row for every subject of DM, screen failures included, sorted by USUBJID.
    """
    plan = plan or plans.defaults()
    rules = plan.clinical
    adsl = _demographics(sdtm["DM"])
    subjects = adsl.USUBJID
    first_dose, last_dose = treatment_dates(sdtm["EX"], rules)
    adsl["ENRLDT"] = subjects.map(enrolment_dates(sdtm["DS"], rules))
    adsl["TRTSDT"] = subjects.map(first_dose)
    adsl["TRTEDT"] = subjects.map(last_dose)
    contact = last_alive_dates(sdtm, rules, start=first_dose)
    adsl["DTHDT"] = _death_dates(sdtm["DM"], adsl, subjects.map(contact), rules)
    adsl["DTHFL"] = np.where(adsl.DTHDT.notna() | adsl.DTHFL.eq("Y"), "Y", "N")
    adsl["LSTALVDT"] = subjects.map(contact)
    adsl["DCUTDT"] = data_cutoff(adsl, plan.design.cutoff_months, plan.design.days_per_month)
    adsl["NACTDT"] = subjects.map(_new_therapy_dates(sdtm["CM"], first_dose, rules))
    adsl["SAFFL"] = np.where(adsl.TRTSDT.notna(), "Y", "N")
    adsl = _add_covariates(adsl, sdtm, rules, plan.design.pilot_n)
    return adsl[ADSL_COLUMNS]


def data_cutoff(adsl: pd.DataFrame, months: float, days_per_month: float) -> pd.Timestamp:
    """Return first patient in (first registration, else first treatment) plus `months` calendar months.

    A fraction of a month counts in days of `days_per_month`.
    """
    first = adsl.ENRLDT.min() if adsl.ENRLDT.notna().any() else adsl.TRTSDT.min()
    if pd.isna(first):
        return pd.NaT
    whole = int(months)
    rest = pd.Timedelta(days=round((months - whole) * days_per_month))
    return first + pd.DateOffset(months=whole) + rest


def treatment_dates(ex: pd.DataFrame, rules) -> tuple[pd.Series, pd.Series]:
    """Return the first and last date of a dose above 0 (or of a placebo) by USUBJID.

    Under rule set `pearl` the first is missing where a partial date may lie on or before it: time zero is
    never guessed.
    """
    given = ex[_is_given(ex)]
    start = impute_dates(given.EXSTDTC, rules.imputation["dose"]).DATE
    first, written = start.groupby(given.USUBJID).min(), parse_dates(given.EXSTDTC)
    earliest = given.USUBJID.map(first).astype("datetime64[ns]")
    partial = start.isna() & (earliest >= written.FIRST)
    if rules.endpoint_rules == "pearl":  # the reference takes the first complete date
        first = first.mask(first.index.isin(given.USUBJID[partial]))
    end = impute_dates(given.EXENDTC, rules.imputation["dose"]).DATE
    last = pd.concat([start, end], axis=1).max(axis=1)
    return first, last.groupby(given.USUBJID).max()


def enrolment_dates(ds: pd.DataFrame, rules) -> pd.Series:
    """Return the first registration date by USUBJID, from the DSDECOD terms of the rule set."""
    registered = ds[is_word(ds.DSDECOD, rules.enrolment_terms[rules.endpoint_rules])]
    return impute_dates(registered.DSSTDTC, "none").DATE.groupby(registered.USUBJID).min()


def last_alive_dates(sdtm: Mapping[str, pd.DataFrame], rules, *, start: pd.Series | None = None) -> pd.Series:
    """Return the last date that proves life, by USUBJID, over the sources the rule set names.

    Parameters
    ----------
    sdtm : mapping of str to DataFrame
        Domains.
    rules : Section
        ``clinical`` of the plan.
    start : Series, optional
        First dose by USUBJID: a filled date of the same period is not put before it (rule set `pearl`).
    """
    names = rules.last_alive_sources[rules.endpoint_rules]
    found = [contact_dates(sdtm, name, rules, start=start) for name in names if len(sdtm[name[:2]])]
    if not found:
        return pd.Series(dtype="datetime64[ns]")
    every = pd.concat(found, ignore_index=True)
    return every.dropna().groupby("USUBJID").DATE.max()


def contact_dates(sdtm: Mapping[str, pd.DataFrame], variable: str, rules, *, start=None) -> pd.DataFrame:
    """Return USUBJID and DATE of one source of "last known alive"; SS counts only where it says alive.

    What was not done (--STAT) proves no life under rule set `pearl`; the reference counts its date.
    """
    domain = variable[:2]
    frame = sdtm[domain]
    if rules.endpoint_rules == "pearl" and f"{domain}STAT" in frame:
        frame = frame[~is_word(frame[f"{domain}STAT"], ["NOT DONE"])]
    if domain == "SS":
        frame = frame[is_word(frame.SSSTRESC.fillna(frame.SSORRES), rules.alive_terms)]
    if domain == "EX":
        frame = frame[_is_given(frame)]
    if domain == "DS":  # the record of a death proves no life; its date may lie after it
        frame = frame[~is_word(frame.DSDECOD, ["DEATH"])]
    use = _DATE_USE.get(variable, "contact")
    if use == "assessment":
        dates = assessment_dates(sdtm, domain, rules, frame).DATE
    elif rules.endpoint_rules == "pearl":
        first = frame.USUBJID.map(start).astype("datetime64[ns]") if start is not None else None
        died = frame.USUBJID.map(known_deaths(sdtm["DM"])).astype("datetime64[ns]")
        rule = rules.imputation[use]
        dates = impute_dates(frame[variable], rule, not_before=first, not_after=died).DATE
    else:
        dates = impute_dates(frame[variable], rules.imputation[use]).DATE
    return pd.DataFrame({"USUBJID": frame.USUBJID, "DATE": dates})


def assessment_dates(
    sdtm: Mapping[str, pd.DataFrame], domain: str, rules, frame: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Date the records of TU, TR or RS; wherever such a date is read it is filled here, alike.

    Under rule set `pearl` a filled date is not put after a known death, and at a screening or baseline visit
    not after the first dose.

    Parameters
    ----------
    sdtm : mapping of str to DataFrame
        Domains.
    domain : str
        TU, TR or RS.
    rules : Section
        ``clinical`` of the plan.
    frame : DataFrame, optional
        Records of the domain; all without.

    Returns
    -------
    DataFrame
        DATE and FLAG, as `impute_dates` gives them.
    """
    frame = sdtm[domain] if frame is None else frame
    text, rule = frame[f"{domain}DTC"], rules.imputation["assessment"]
    dated = impute_dates(text, rule)
    filled = dated.FLAG.notna()
    if rules.endpoint_rules != "pearl" or not filled.any():
        return dated
    some = frame[filled]
    died = some.USUBJID.map(known_deaths(sdtm["DM"])).astype("datetime64[ns]")
    first = some.USUBJID.map(treatment_dates(sdtm["EX"], rules)[0]).astype("datetime64[ns]")
    first = first.where(has_word(some.VISIT, rules.baseline_visit_words))
    bound = pd.concat([died, first], axis=1).min(axis=1)
    dated[filled] = impute_dates(text[filled], rule, not_after=bound)
    return dated


def known_deaths(dm: pd.DataFrame) -> pd.Series:
    """Return the complete dates of death by USUBJID."""
    return impute_dates(dm.DTHDTC, "none").DATE.groupby(dm.USUBJID).min()


def _is_given(ex: pd.DataFrame) -> pd.Series:
    dose = to_number(ex.EXDOSE)
    return dose.gt(0) | (dose.eq(0) & has_word(ex.EXTRT, ["PLACEBO"]))


def _demographics(dm: pd.DataFrame) -> pd.DataFrame:
    adsl = dm[["STUDYID", "USUBJID", "SITEID", "SEX", "DTHFL"]].copy()
    adsl["AGE"] = to_number(dm.AGE)
    adsl["SEX"] = adsl.SEX.where(adsl.SEX.isin(["F", "M"]), "U")
    return adsl.sort_values("USUBJID", ignore_index=True)


def _death_dates(dm: pd.DataFrame, adsl: pd.DataFrame, contact: pd.Series, rules) -> pd.Series:
    text = adsl.USUBJID.map(dm.set_index("USUBJID").DTHDTC)
    latest = None
    if rules.endpoint_rules == "pearl":
        latest = pd.concat([contact, adsl.TRTSDT], axis=1).max(axis=1)
    return impute_dates(text, rules.imputation["death"], not_before=latest).DATE


def _new_therapy_dates(cm: pd.DataFrame, first_dose: pd.Series, rules) -> pd.Series:
    new = cm[is_word(cm.CMCAT, rules.new_therapy_categories)]
    start = new.USUBJID.map(first_dose).astype("datetime64[ns]")
    dates = impute_dates(new.CMSTDTC, rules.imputation["therapy"], not_before=start).DATE
    return dates.where(~dates.lt(start)).groupby(new.USUBJID).min()


def _add_covariates(
    adsl: pd.DataFrame, sdtm: Mapping[str, pd.DataFrame], rules, pilot_n: int
) -> pd.DataFrame:
    adsl = adsl.copy()
    adsl["ECOG"] = adsl.USUBJID.map(_baseline_ecog(sdtm["QS"], adsl.set_index("USUBJID").TRTSDT, rules))
    bone, visceral = _disease_extent(sdtm["TU"], rules)
    derived = {
        "PILOTFL": _first_enrolled(adsl, pilot_n),
        "BONEONLY": adsl.USUBJID.map(bone),
        "VISCFL": adsl.USUBJID.map(visceral),
        "PRIORCHM": _prior_chemotherapy(sdtm["CM"], adsl.USUBJID),
        "ENDOSENS": pd.Series(None, index=adsl.index, dtype=object),
    }
    stated = (
        sdtm["SUPPDM"]
        .sort_values(["USUBJID", "QNAM", "QVAL"])  # so that of two answers not the order of the file decides
        .drop_duplicates(["USUBJID", "QNAM"])
        .pivot_table(index="USUBJID", columns="QNAM", values="QVAL", aggfunc="first")
    )
    for name, values in derived.items():  # what the study states goes before what is derived
        given = adsl.USUBJID.map(stated[name].str.upper().map(_YES)) if name in stated else None
        adsl[name] = values if given is None else given.where(given.notna(), values)
        adsl[name] = adsl[name].astype(object).where(adsl[name].notna(), None)
    return adsl


def _baseline_ecog(qs: pd.DataFrame, first_dose: pd.Series, rules) -> pd.Series:
    rows = qs[is_word(qs.QSTESTCD, rules.ecog_tests)].copy()
    rows["VALUE"] = to_number(rows.QSSTRESN.fillna(rows.QSSTRESC).fillna(rows.QSORRES))
    rows["DATE"] = impute_dates(rows.QSDTC, "none").DATE
    before = rows[rows.DATE.isna() | ~rows.DATE.gt(rows.USUBJID.map(first_dose).astype("datetime64[ns]"))]
    return (
        before.dropna(subset="VALUE")
        .sort_values(["DATE", "VALUE"], na_position="first")
        .groupby("USUBJID")
        .VALUE.last()
    )


def _disease_extent(tu: pd.DataFrame, rules) -> tuple[pd.Series, pd.Series]:
    baseline = is_word(tu.TUSTRESC.fillna(tu.TUORRES), ["TARGET", "NON-TARGET"])
    place = tu.TULOC[baseline & tu.TULOC.notna()]
    subject = tu.USUBJID.loc[place.index]
    bone = has_word(place, rules.bone_words).groupby(subject).all()
    visceral = has_word(place, rules.visceral_words).groupby(subject).any()
    return bone.map({True: "Y", False: "N"}), visceral.map({True: "Y", False: "N"})


def _prior_chemotherapy(cm: pd.DataFrame, subjects: pd.Series) -> pd.Series:
    if cm.empty:
        return pd.Series(None, index=subjects.index, dtype=object)
    words = cm.CMCAT.fillna("") + " " + cm.CMSCAT.fillna("")
    earlier = has_word(cm.CMCAT, ["PRIOR"]) & has_word(words, ["CHEMOTHERAPY"])
    return subjects.isin(cm.USUBJID[earlier]).map({True: "Y", False: "N"})


def _first_enrolled(adsl: pd.DataFrame, pilot_n: int) -> pd.Series:
    order = adsl.assign(IN=adsl.ENRLDT.fillna(adsl.TRTSDT)).dropna(subset="IN").sort_values(["IN", "USUBJID"])
    return pd.Series(
        np.where(adsl.index.isin(order.index[:pilot_n]), "Y", "N"), index=adsl.index, dtype=object
    )


def screen_failures(sdtm: Mapping[str, pd.DataFrame], rules) -> set[str]:
    """Return the subjects whom DM (arm) or DS (disposition) calls a screen failure."""
    found: set[str] = set()
    for domain, names in (("DM", ("ARMCD", "ARM", "ACTARMCD")), ("DS", ("DSDECOD",))):
        for name in names:
            frame = sdtm[domain]
            found |= set(frame.USUBJID[has_word(frame[name], rules.screen_failure_words)])
    return found
