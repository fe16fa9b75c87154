"""Refusals, adaptations and flags of PET reading: the coded vocabulary that every other module speaks.

A *refusal* stops: the number would be wrong or guessed. An *adaptation* is a reinterpretation of what the
header says (grams read as kilograms); strict reading turns each into a refusal ``STRICT_<code>``. A *flag*
is something the reader should know and that changes no number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Defined terms of PS3.3 C.8.9.1, C.8.4.9 and C.7.1.1, and words that writers use: nothing else is repeated.
_TERMS = {
    "units": {
        "CNTS", "NONE", "CM2", "CM2ML", "PCNT", "CPS", "BQML", "MGMINML", "UMOLMINML", "MLMING", "MLG", "1CM",
        "UMOLML", "PROPCNTS", "PROPCPS", "MLMINML", "MLML", "GML", "STDDEV",
    },
    "decay": {"NONE", "START", "ADMIN", "YES", "NO"},
    "suv_type": {"BSA", "BW", "LBM", "LBMJAMES128", "LBMJANMA", "IBW"},
    "correction": {
        "DECY", "DECAY", "ATTN", "SCAT", "DTIM", "MOTN", "PMOT", "CLN", "RAN", "RADL", "DCAL", "NORM", "UNIF",
        "COR", "NCO",
    },
    "sex": {"M", "F", "O"},
    "lossy": {"00", "01"},
}  # fmt: skip
_MODEL = re.compile(r"(?!.*\d{6})[A-Za-z0-9 _./-]{1,64}")  # six digits may be a date or a serial number
_UNKNOWN = "an unknown code"


def say_code(text: str, kind: str) -> str:
    """Return what a message may tell of a coded element; what is no term of it may tell who or when.

    Parameters
    ----------
    text : str
        Value of the element.
    kind : {"units", "decay", "suv_type", "correction", "sex", "lossy"}
        What the element holds.

    Returns
    -------
    str
        The value in quotes if it is a defined term, else words for it.

    Examples
    --------
    >>> say_code("PROPCNTS", "units"), say_code("MUELLER", "units"), say_code("", "units")
    ("'PROPCNTS'", 'an unknown code', 'nothing')
    """
    if not text:
        return "nothing"
    return repr(text) if text in _TERMS[kind] else _UNKNOWN


def keep_code(text: str | None, kind: str) -> str:
    """Return what a table may hold of a coded element, in capitals; empty where there is none.

    Parameters
    ----------
    text : str or None
        Value of the element.
    kind : str
        As of `say_code`.

    Returns
    -------
    str
        A defined term, or words for what is none.

    Examples
    --------
    >>> keep_code("bqml", "units"), keep_code("DOE^JANE 19500101", "units"), keep_code(None, "units")
    ('BQML', 'an unknown code', '')
    """
    word = (text or "").strip().upper()
    return word if not word or word in _TERMS[kind] else _UNKNOWN


def keep_model(text: str | None) -> str | None:
    """Return a scanner model that reads as one, else None: what else stands there may tell who or when.

    Examples
    --------
    >>> keep_model("Biograph 64_mCT"), keep_model("DOE^JANE"), keep_model("mCT 19500101")
    ('Biograph 64_mCT', None, None)
    """
    name = (text or "").strip()
    return name if _MODEL.fullmatch(name) else None


class _Refused(ValueError):
    """A coded refusal; the message holds technical values only, never names, dates or identifiers."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    def __reduce__(self):
        return type(self), (self.code, self.message)


class SeriesRefused(_Refused):
    """A PET series from which no SUV can be computed without guessing.

    Attributes
    ----------
    code : str
        What is wrong, as one word (``WEIGHT_MISSING``).
    message : str
        What was expected, what was found, what to do.
    """


class RoiRefused(_Refused):
    """A region of interest that does not belong to this image, or holds nothing to measure.

    Attributes
    ----------
    code : str
        What is wrong, as one word (``ROI_OTHER_PATIENT``).
    message : str
        What was expected, what was found, what to do.
    """


class RegistrationRefused(_Refused):
    """Two scans of a patient that cannot be laid over each other, so no lesion of one is known on the other.

    Attributes
    ----------
    code : str
        REGISTRATION_FAILED.
    message : str
        What was expected, what was found, what to do.
    """


@dataclass
class Notes:
    """Adaptations and flags gathered while one series is read, each code once and in order of appearance."""

    strict: bool = False
    adaptations: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    def adapt(self, code: str, message: str) -> None:
        """Record a reinterpretation, or refuse it when reading strictly."""
        if self.strict:
            raise SeriesRefused(f"STRICT_{code}", f"{message}; strict reading refuses this adaptation")
        if code not in self.adaptations:
            self.adaptations.append(code)

    def flag(self, code: str) -> None:
        """Record something worth knowing that changes no number."""
        if code not in self.flags:
            self.flags.append(code)
