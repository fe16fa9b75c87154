"""Abbreviations spelled out at the end of a caption, as journals ask for each figure."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

WORDS = {
    "CI": "confidence interval",
    "ctDNA": "circulating tumour DNA",
    "CV": "coefficient of variation",
    "EFS": "event-free survival",
    "EORTC": "European Organisation for Research and Treatment of Cancer",
    "FDG": "fluorodeoxyglucose",
    "HR": "hazard ratio",
    "ln": "natural logarithm",
    "MRI": "magnetic resonance imaging",
    "MTV": "metabolic tumour volume",
    "OS": "overall survival",
    "PD": "progressive disease",
    "PERCIST": "PET Response Criteria in Solid Tumors",
    "PET": "positron emission tomography",
    "PFS": "progression-free survival",
    "RFS": "recurrence-free survival",
    "SUV": "standardised uptake value",
    "SULmax": "largest SUV for lean body mass",
    "SULmean": "mean SUV for lean body mass",
    "SULpeak": "peak SUV for lean body mass",
    "SUVmax": "largest standardised uptake value",
    "SUVmean": "mean standardised uptake value",
    "SUVpeak": "peak standardised uptake value",
    "TLG": "total lesion glycolysis",
}


def spell_out(text: str) -> str:
    """Return the abbreviations a text uses and their words, in alphabetical order; nothing without one.

    Examples
    --------
    >>> spell_out("PFS by change of SUVmax")
    'PFS, progression-free survival; SUVmax, largest standardised uptake value.'
    >>> spell_out("Flow of patients")
    ''
    """
    used = [name for name in sorted(WORDS, key=str.lower) if re.search(rf"(?<!\w){name}(?!\w)", text)]
    return "; ".join(f"{name}, {WORDS[name]}" for name in used) + ("." if used else "")


def spelled_out(caption: Callable[..., str]) -> Callable[..., str]:
    """Let a caption function end with the abbreviations it uses."""

    @wraps(caption)
    def inner(*args: Any, **kwargs: Any) -> str:
        """Write the caption and its abbreviations."""
        text = caption(*args, **kwargs).rstrip()
        return " ".join(part for part in (text, spell_out(text)) if part)

    return inner
