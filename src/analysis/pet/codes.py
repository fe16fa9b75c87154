"""Refusals, adaptations and flags of PET reading: the coded vocabulary that every other module speaks.

A *refusal* stops: the number would be wrong or guessed. An *adaptation* is a reinterpretation of what the
header says (grams read as kilograms); strict reading turns each into a refusal ``STRICT_<code>``. A *flag*
is something the reader should know and that changes no number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_CODED = re.compile(r"(?!.*\d{6})[A-Z0-9_]{1,16}")  # one word of a code string (PS3.5 6.2), and no date


def say_code(text: str) -> str:
    """Return what a message may tell of a coded element; what is no code may tell who or when.

    Parameters
    ----------
    text : str
        Value of the element.

    Returns
    -------
    str
        The value in quotes if it looks like a code, else words for it.

    Examples
    --------
    >>> say_code("PROPCNTS"), say_code("DOE^JANE 19500101"), say_code("")
    ("'PROPCNTS'", 'an unknown code', 'nothing')
    """
    if not text:
        return "nothing"
    return repr(text) if _CODED.fullmatch(text) else "an unknown code"


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
