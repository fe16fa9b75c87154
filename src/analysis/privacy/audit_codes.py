"""Findings of the audit: how grave each is, what it says, and what to do about it."""

from __future__ import annotations

from typing import NamedTuple

_SEND = (
    "ask the site to send the scan again, de-identified with the basic profile and the options Retain "
    "Patient Characteristics, Retain Longitudinal Temporal Information with Modified Dates and Retain Safe "
    "Private"
)
_SHIFT = (
    "ask the site to send all of the patient's files again, every date shifted by one number of whole days "
    "and no time of day changed"
)
_CLEAN = "remove it from the files before they are used, and tell the site that its tool leaves it"
_LOOK = "ask the site which of them is right"
_STATE = "ask the site how it de-identified, and to state it in the files"

CATALOGUE: dict[str, tuple[str, str, str]] = {
    "DEID_WEIGHT_MISSING": ("error", "no patient's weight: no SUV can be computed", _SEND),
    "DEID_INJECTION_MISSING": ("error", "no time of injection: no SUV can be computed", _SEND),
    "DEID_CLOCK_MISSING": ("error", "no time of series or acquisition: decay cannot be computed", _SEND),
    "DEID_SEX_MISSING": ("warning", "no patient's sex: no lean body mass, no SUL", _SEND),
    "DEID_HEIGHT_MISSING": ("warning", "no patient's size: no lean body mass, no SUL", _SEND),
    "DEID_INJECTION_CLOCKS": (
        "error",
        "(0018,1078) and (0018,1072) give different times of injection: only one of them was shifted",
        _SHIFT,
    ),
    "DEID_SERIES_TIME_ZERO": ("error", "Series Time is exactly 000000: put in place of the true one", _SHIFT),
    "DEID_DATE_PLACEHOLDER": ("warning", "{detail}: a year that tools write in place of a date", _SHIFT),
    "DEID_DATE_EARLY": (
        "info",
        "{detail} before the year 1970: handled here, not by every other program",
        "keep it in mind when the images go to other software",
    ),
    "DEID_DATES_MISSING": ("error", "no date of study, series or acquisition: visits have no time", _SHIFT),
    "DEID_DATES_DISAGREE": ("error", "{detail} lie days apart within one series", _SHIFT),
    "DEID_INJECTION_DATE": (
        "error",
        "the injection is dated {detail} the scan: their dates were shifted differently",
        _SHIFT,
    ),
    "DEID_PRIVATE_DATE": (
        "error",
        "private element {detail} shows another date than the series: it may be the true one",
        "remove the private element or shift it, too; tell the site that its tool leaks dates",
    ),
    "DEID_NESTED_DATE": (
        "error",
        "a date in {detail} does not fit those outside: it may be the true one",
        "remove the date or shift it, too; tell the site that its tool leaves sequences as they are",
    ),
    "DEID_SERIES_MIXED": ("error", "files of one series differ in {detail}", _LOOK),
    "DEID_IDENTITY_NOT_REMOVED": ("error", "Patient Identity Removed says NO", _CLEAN),
    "DEID_REMOVAL_NOT_STATED": ("warning", "Patient Identity Removed is not stated", _STATE),
    "DEID_METHOD_MISSING": ("warning", "no method of de-identification is coded in (0012,0064)", _STATE),
    "DEID_PROFILE_MISSING": ("warning", "the coded methods do not name the basic profile (113100)", _STATE),
    "DEID_METHOD_CONTRADICTED": ("warning", "the coded methods contradict the file: {detail}", _STATE),
    "DEID_LONGITUDINAL_MISSING": (
        "warning",
        "Longitudinal Temporal Information Modified (0028,0303) does not say whether dates were shifted",
        _STATE,
    ),
    "DEID_DATES_UNMODIFIED": (
        "warning",
        "the file says that its dates are the true ones",
        "treat every date as identifying; ask for modified dates if the protocol wants them",
    ),
    "DEID_BURNED_IN": ("error", "Burned In Annotation says YES: the picture itself may show a name", _CLEAN),
    "DEID_SCREEN_CAPTURE": (
        "warning",
        "a screen capture that does not say it is free of burned-in text: such pictures often show a name",
        "look at it; remove it if it is not needed",
    ),
    "DEID_RESIDUE": ("error", "{detail} is not empty", _CLEAN),
    "DEID_PRIVATE_BINARY": (
        "info",
        "{detail} private elements hold bytes that nobody can search for names",
        "remove private elements that are not needed for SUV",
    ),
    "DEID_SEX_CHANGES": ("error", "the patient's sex differs between series", _LOOK),
    "DEID_WEIGHT_SAME_DAY": ("error", "the patient's weight differs between series of one day", _LOOK),
    "DEID_HEIGHT_SAME_DAY": ("error", "the patient's size differs between series of one day", _LOOK),
    "DEID_WEIGHT_CHANGES": ("warning", "the patient's weight changes more than is likely", _LOOK),
    "DEID_HEIGHT_CHANGES": ("error", "the patient's size changes more than an adult's does", _LOOK),
    "DEID_STUDY_DATES_DIFFER": ("error", "series of one study have different study dates", _SHIFT),
    "DEID_DATE_ALL_EQUAL": ("error", "all patients have the same study date", _SHIFT),
    "DEID_WEIGHT_ALL_EQUAL": (
        "error",
        "all patients have the same weight: put in place of the true one",
        _SEND,
    ),
    "DEID_UNREADABLE": (
        "error",
        "a file cannot be read: what it says is not known",
        "send it again, or take it away",
    ),
}
"""Code -> severity, message, action."""


class Finding(NamedTuple):
    """One finding: its code, what completes its message, and its severity where it is not the usual one."""

    code: str
    detail: str = ""
    severity: str = ""

    def row(self, usubjid: str | None, avisit: str | None, path: str) -> tuple:
        """Return the row of the table ``deid_audit``."""
        severity, message, action = CATALOGUE[self.code]
        return (
            usubjid,
            avisit,
            path,
            self.code,
            self.severity or severity,
            message.format(detail=self.detail),
            action,
        )
