"""Data checks of subjects: registration, treatment, death, other therapy, baseline facts."""

from __future__ import annotations

import pandas as pd

from analysis.clinical.checks import (
    Evidence,
    day,
    found_in,
    list_rows,
    no_rows,
    phrase,
    query,
)
from analysis.clinical.dates import COMPLETE, MISSING
from analysis.clinical.subjects import screen_failures
from analysis.clinical.terms import to_number, upper

_FLAGS = ("PILOTFL", "BONEONLY", "VISCFL", "PRIORCHM", "ENDOSENS")
_FLAG_WORDS = ("Y", "YES", "TRUE", "1", "N", "NO", "FALSE", "0")
_SEXES = ("F", "M", "U", "UNDIFFERENTIATED")

# --- demography and registration ----------------------------------------------------------------------------


@query(
    "SCREEN_FAILURE_TREATED", "error", "a screen failure with a dose above 0", "check the arm and the doses"
)
def _treated_screen_failure(e: Evidence) -> pd.DataFrame:
    failed = e.adsl.USUBJID.isin(screen_failures(e.sdtm, e.rules))
    rows = e.adsl[e.adsl.TRTSDT.notna() & failed]
    return list_rows(
        rows, "DM", "ARMCD", phrase("a screen failure with a first dose on {}", day(rows.TRTSDT))
    )


@query(
    "NOT_TREATED",
    "note",
    "a registered subject without a dose",
    "add the exposure if there was any; without it the subject has no endpoints under the trial's rules",
)
def _not_treated(e: Evidence) -> pd.DataFrame:
    if e.sdtm["EX"].empty:
        return no_rows()
    arm = e.adsl.USUBJID.map(upper(e.sdtm["DM"].set_index("USUBJID").ARMCD)).astype("string")
    exposed = e.adsl.USUBJID.isin(e.sdtm["EX"].USUBJID)
    rows = e.adsl[e.adsl.ENRLDT.notna() & ~exposed & ~arm.str.startswith("SCR").fillna(False)]
    return list_rows(rows, "EX", "EXSTDTC", phrase("registered on {}, no dose", day(rows.ENRLDT)))


@query(
    "REGISTERED_AFTER_FIRST_DOSE",
    "warning",
    "a registration after the first dose",
    "check the date of registration and of first dose",
)
def _registered_late(e: Evidence) -> pd.DataFrame:
    rows = e.adsl[e.adsl.ENRLDT > e.adsl.TRTSDT]
    text = phrase("registered on {}, first dose on {}", day(rows.ENRLDT), day(rows.TRTSDT))
    return list_rows(rows, "DS", "DSSTDTC", text)


def _dm_date(e: Evidence, name: str) -> pd.Series:
    parsed = e.parsed("DM", name)
    return parsed.FIRST.where(parsed.STATUS.eq(COMPLETE))


@query(
    "CONSENT_AFTER_FIRST_DOSE",
    "error",
    "a consent dated after the first dose",
    "check the date of consent and of first dose",
)
def _late_consent(e: Evidence) -> pd.DataFrame:
    dm = e.sdtm["DM"]
    first = e.date_of(dm, "TRTSDT")
    rows = dm[_dm_date(e, "RFICDTC") > first]
    text = phrase("RFICDTC {}, first dose on {}", rows.RFICDTC, day(first.loc[rows.index]))
    return list_rows(rows, "DM", "RFICDTC", text)


@query(
    "REFERENCE_START_DIFFERS",
    "warning",
    "RFSTDTC of DM is not the first dose of EX",
    "check both dates; the first dose above 0 in EX is time zero",
)
def _reference_start(e: Evidence) -> pd.DataFrame:
    dm = e.sdtm["DM"]
    first = e.date_of(dm, "TRTSDT")
    stated = _dm_date(e, "RFSTDTC")
    rows = dm[stated.notna() & first.notna() & stated.ne(first)]
    text = phrase("RFSTDTC {}, first dose on {}", rows.RFSTDTC, day(first.loc[rows.index]))
    return list_rows(rows, "DM", "RFSTDTC", text)


@query("AGE_IMPLAUSIBLE", "warning", "an age that is no number or that nobody has", "check the age")
def _age(e: Evidence) -> pd.DataFrame:
    dm = e.sdtm["DM"]
    low, high = e.rules.age_range
    rows = dm[dm.AGE.notna() & ~to_number(dm.AGE).between(low, high)]
    return list_rows(rows, "DM", "AGE", phrase("AGE {}", rows.AGE))


@query("SEX_NOT_KNOWN", "warning", "a sex that is neither F, M nor U", "write F or M; it counts as unknown")
def _sex(e: Evidence) -> pd.DataFrame:
    dm = e.sdtm["DM"]
    rows = dm[dm.SEX.notna() & ~dm.SEX.isin(_SEXES)]
    return list_rows(rows, "DM", "SEX", phrase("SEX {}", rows.SEX))


@query(
    "FLAG_UNREADABLE",
    "warning",
    "a flag of SUPPDM that is neither yes nor no",
    "write Y or N; until then the flag is derived or missing",
)
def _flag(e: Evidence) -> pd.DataFrame:
    supp = e.sdtm["SUPPDM"]
    rows = supp[
        supp.QNAM.isin(_FLAGS) & supp.QVAL.notna() & ~upper(supp.QVAL).isin(_FLAG_WORDS).fillna(False)
    ]
    return list_rows(rows, "SUPPDM", rows.QNAM, phrase("{} is {}", rows.QNAM, rows.QVAL))


@query(
    "ECOG_IMPLAUSIBLE",
    "warning",
    "an ECOG performance status that is not 0 to 5",
    "give the status as 0 to 5",
)
def _ecog(e: Evidence) -> pd.DataFrame:
    qs = e.sdtm["QS"]
    qs = qs[upper(qs.QSTESTCD).isin(e.rules.ecog_tests).fillna(False)]
    text = qs.QSSTRESN.fillna(qs.QSSTRESC).fillna(qs.QSORRES)
    rows = qs[text.notna() & ~to_number(text).isin(range(6))]
    return found_in("QS", rows, "performance status {}", text.loc[rows.index])


# --- treatment ----------------------------------------------------------------------------------------------


def _doses(e: Evidence) -> pd.Series:
    return to_number(e.sdtm["EX"].EXDOSE)


@query(
    "DOSE_NOT_A_NUMBER", "error", "a dose that is no number", "give the dose as a number; it counts as none"
)
def _dose_text(e: Evidence) -> pd.DataFrame:
    ex = e.sdtm["EX"]
    rows = ex[ex.EXDOSE.notna() & _doses(e).isna()]
    return found_in("EX", rows, "EXDOSE {}", rows.EXDOSE)


@query("DOSE_NEGATIVE", "error", "a dose below 0", "check the dose; it counts as none")
def _dose_negative(e: Evidence) -> pd.DataFrame:
    rows = e.sdtm["EX"][_doses(e).lt(0)]
    return found_in("EX", rows, "EXDOSE {}", rows.EXDOSE)


@query("DOSE_MISSING", "warning", "an exposure record without a dose", "give the dose; it counts as none")
def _dose_missing(e: Evidence) -> pd.DataFrame:
    rows = e.sdtm["EX"][e.sdtm["EX"].EXDOSE.isna()]
    return found_in("EX", rows, "no dose; EXSTDTC {}", rows.EXSTDTC)


@query(
    "DOSE_WITHOUT_DATE",
    "error",
    "a dose above 0 without a start date",
    "give the start date: the first one is time zero",
)
def _dose_undated(e: Evidence) -> pd.DataFrame:
    rows = e.sdtm["EX"][_doses(e).gt(0) & e.parsed("EX", "EXSTDTC").STATUS.eq(MISSING)]
    return found_in("EX", rows, "dose {} without EXSTDTC", rows.EXDOSE)


@query(
    "NEW_THERAPY_WITHOUT_DATE",
    "warning",
    "a new anti-cancer therapy without a usable start date",
    "give the start date; until then it ends no observation",
)
def _therapy_undated(e: Evidence) -> pd.DataFrame:
    rows = _new_therapy(e)
    fill = e.rules.imputation["therapy"]
    status = e.parsed("CM", "CMSTDTC").STATUS.loc[rows.index]
    bad = status.isin([MISSING, "no month"] if fill in ("first_day", "last_day") else [MISSING])
    rows = rows[bad]
    return found_in("CM", rows, "{} starts {}", rows.CMTRT.fillna("?"), rows.CMSTDTC.fillna("without a date"))


@query(
    "NEW_THERAPY_BEFORE_TREATMENT",
    "warning",
    "a new anti-cancer therapy dated before the first dose",
    "check its category and date; it does not count",
)
def _therapy_early(e: Evidence) -> pd.DataFrame:
    rows = _new_therapy(e)
    rows = rows[e.parsed("CM", "CMSTDTC").LAST.loc[rows.index] < e.date_of(rows, "TRTSDT")]
    return found_in(
        "CM",
        rows,
        "{} starts {}, first dose on {}",
        rows.CMTRT.fillna("?"),
        rows.CMSTDTC,
        day(e.date_of(rows, "TRTSDT")),
    )


def _new_therapy(e: Evidence) -> pd.DataFrame:
    cm = e.sdtm["CM"]
    return cm[upper(cm.CMCAT).isin(e.rules.new_therapy_categories).fillna(False)]
