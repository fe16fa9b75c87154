"""How an image was made: software, reconstruction, filter; and whether two images were made alike.

All of it is free text of a header. A value that does not read as technical text is dropped whole: what else
stands there may tell who or when, and a part of it would make unlike scans look alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pydicom
from pydicom.multival import MultiValue

from analysis.pet.codes import Notes

# PetSlice.technique: key -> keyword of the header.
_WORDS = {
    "software": "SoftwareVersions",
    "reconstruction": "ReconstructionMethod",
    "kernel": "ConvolutionKernel",
}
# Of Enhanced PET, whose frames copy them from their functional groups into their header.
_CODED = ("ReconstructionType", "ReconstructionAlgorithm", "NumberOfIterations", "NumberOfSubsets")
_TIME_OF_FLIGHT = "TimeOfFlightInformationUsed"
CODED = (*_CODED, "IterativeReconstructionMethod", _TIME_OF_FLIGHT)
_PERSONS = ("PatientName", "OperatorsName")
KEYWORDS = (*_WORDS.values(), *CODED, *_PERSONS)
_NOT_TECHNICAL = "^"  # never of the form of technical text: dropped, with a flag


def read_technique(ds: pydicom.Dataset) -> dict[str, str]:
    """Read what a header says of how its image was made.

    Parameters
    ----------
    ds : pydicom.Dataset
        Header of a slice or frame.

    Returns
    -------
    dict
        software, reconstruction, kernel, time_of_flight: text as it stands, empty where missing. A frame
        without a Reconstruction Method (0054,1103) has type, algorithm, iterations and subsets in its place.
        A text with two parts of the patient's or an operator's name is ``^``, which `technique_facts` drops.
    """
    persons = [_parts(name) for keyword in _PERSONS for name in _joined(ds, keyword).split("; ")]
    found = {key: _joined(ds, keyword) for key, keyword in _WORDS.items()}
    for key, text in found.items():
        if any(len(parts & _parts(text)) > 1 for parts in persons):
            found[key] = _NOT_TECHNICAL
    kind, algorithm, iterations, subsets = (_joined(ds, keyword) for keyword in _CODED)
    if _joined(ds, "IterativeReconstructionMethod").upper() == "YES" and not algorithm:
        algorithm = "ITERATIVE"
    counts = f"{iterations}i" if iterations else ""
    counts += f"{subsets}s" if subsets else ""
    coded = " ".join(filter(None, (kind, algorithm, counts)))
    return found | {
        "reconstruction": found["reconstruction"] or coded,
        "time_of_flight": _joined(ds, _TIME_OF_FLIGHT).upper(),
    }


def technique_facts(techniques: Sequence[Mapping[str, str]], notes: Notes, rules) -> dict[str, str | None]:
    """Describe how a series was made; what its slices disagree about is not known.

    Parameters
    ----------
    techniques : sequence of mapping
        As `read_technique` returns them, every different one once.
    notes : Notes
        Receives the flags ``RECON_VARIES`` and ``RECON_TEXT_UNUSUAL`` (a text was dropped).
    rules : plan section
        Section ``pet`` of the plan (`recon_*`).

    Returns
    -------
    dict
        software, reconstruction, kernel: text or None; psf, time_of_flight: Y, N (a reconstruction is named
        without it) or None.
    """
    known: dict[str, str] = {}
    for key in techniques[0]:
        texts = {one[key] for one in techniques}
        if len(texts) > 1:
            notes.flag("RECON_VARIES")
        known[key] = texts.pop() if len(texts) == 1 else ""
    facts: dict[str, str | None] = {}
    for key in _WORDS:
        facts[key] = keep_technical(known[key], rules) or None
        if known[key] and not facts[key]:
            notes.flag("RECON_TEXT_UNUSUAL")
    facts["psf"] = _names(facts["reconstruction"], rules.recon_psf_words)
    named = _names(facts["reconstruction"], rules.recon_tof_words)
    facts["time_of_flight"] = {"YES": "Y", "NO": "N"}.get(known["time_of_flight"], named)
    return facts


def keep_technical(text: str, rules) -> str:
    """Return free text that reads as technical, its spaces made single; empty where it does not.

    Parameters
    ----------
    text : str
        Value of a header.
    rules : plan section
        Section ``pet`` of the plan (`recon_text_max`, `recon_text_form`, `recon_text_never`).

    Returns
    -------
    str
        The whole text or none of it.

    Examples
    --------
    >>> from analysis import plan
    >>> rules = plan.defaults().pet
    >>> keep_technical("PSF+TOF  2i21s", rules), keep_technical("DOE^JANE", rules)
    ('PSF+TOF 2i21s', '')
    """
    plain = " ".join(text.split())
    if len(plain) > rules.recon_text_max or not re.fullmatch(rules.recon_text_form, plain):
        return ""
    never = any(re.search(form, plain, re.IGNORECASE) for form in rules.recon_text_never)
    return "" if never else plain


def _names(reconstruction: str | None, words: Sequence[str]) -> str | None:
    """Tell whether a reconstruction names one of these words; None where there is no reconstruction."""
    if reconstruction is None:
        return None
    text = _words(reconstruction)
    return "Y" if any(f" {_words(word).strip()} " in text for word in words) else "N"


def _words(text: str) -> str:
    """Return letters and digits in capitals, everything between them one space, one at both ends."""
    return f" {' '.join(re.findall('[A-Z0-9]+', text.upper()))} "


def _parts(text: str) -> set[str]:
    """Return the words of a text, of two letters or more, in small letters."""
    return {word.casefold() for word in re.findall(r"[^\W\d_]{2,}", text)}


def _joined(ds: pydicom.Dataset, keyword: str) -> str:
    value: Any = ds.get(keyword)
    parts = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    return "; ".join(text for part in parts if part is not None and (text := str(part).strip()))
