"""The meaning of every code of the PET part, and what to do about it.

The list is ``codes.yaml``. A name with a part in ``<>`` stands for every code that fits (``STRICT_<CODE>``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import pandas as pd
import yaml

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Meaning:
    """What a code says.

    Attributes
    ----------
    code : str
        The code asked for.
    kind : str
        adaptation, flag, refusal_scan, refusal_region, ledger, query, error, reason, verdict, rule, ...;
        unknown for a code the list does not have.
    means : str
        The code in words.
    remedy : str
        What to do.
    """

    code: str
    kind: str
    means: str
    remedy: str


@lru_cache(maxsize=4096)
def describe(code: str) -> Meaning:
    """Return meaning and remedy of a code.

    Parameters
    ----------
    code : str
        As it stands in a table (``WEIGHT_MISSING``).

    Returns
    -------
    Meaning
        Of the code itself, else of the first name with a part in ``<>`` that it fits, else of kind unknown.

    Examples
    --------
    >>> describe("HEIGHT_IN_CM").means
    'the height was read as centimetres'
    >>> describe("STRICT_HEIGHT_IN_CM").kind, describe("NEVER_SEEN").kind
    ('adaptation', 'unknown')
    """
    listed = _listed()
    name = code if code in listed else next((n for n in listed if _fits(n, code)), None)
    if name is None:
        return Meaning(code, UNKNOWN, "the list of codes has no entry of this name", "report it")
    return Meaning(code, *listed[name])


def in_words(code: str) -> str:
    """Return a code as a short phrase, for a column too narrow for its meaning.

    Examples
    --------
    >>> in_words("MAX_ON_ROI_BORDER")
    'Max on ROI border'
    """
    words = [word if word in _CAPITAL else word.lower() for word in code.split("_")]
    return " ".join([words[0] if words[0] in _CAPITAL else words[0].capitalize(), *words[1:]])


_CAPITAL = {
    "ROI",
    "SUV",
    "SUL",
    "FDG",
    "PET",
    "SD",
    "CV",
    "UTC",
    "TLG",
    "RWV",
    "EARL",
    "PERCIST",
    "DICOM",
    "UID",
}


def glossary() -> pd.DataFrame:
    """Tabulate every code.

    Returns
    -------
    DataFrame
        CODE KIND MEANING ACTION, in the order of the list.
    """
    rows = [(name, *entry) for name, entry in _listed().items()]
    return pd.DataFrame(rows, columns=["CODE", "KIND", "MEANING", "ACTION"])


@lru_cache(maxsize=1)
def _listed() -> dict[str, tuple[str, str, str]]:
    text = resources.files("analysis.contracts").joinpath("codes.yaml").read_text(encoding="utf-8")
    found: dict[str, tuple[str, str, str]] = {}
    for kind, entries in yaml.safe_load(text).items():
        for code, (means, remedy) in entries.items():
            if code in found:
                raise ValueError(f"codes.yaml: {code!r} stands twice; keep one")
            found[code] = (kind, means, remedy)
    return found


def _fits(name: str, code: str) -> bool:
    if "<" not in name:
        return False
    pattern = re.sub(r"<[A-Z]+>", r"[A-Z0-9.]+(?:_[A-Z0-9.]+)*", name)
    return re.fullmatch(pattern, code) is not None
