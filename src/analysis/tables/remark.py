"""The REMARK checklist of a marker study, filled from facts that were computed elsewhere.

The wording of the items is our own, after McShane et al. 2005 (J Natl Cancer Inst 97:1180) and Altman et al.
2012 (PLoS Med 9:e1001216), whose REMARK profile is the last two rows.
"""

from __future__ import annotations

import re
from collections.abc import KeysView, Mapping
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any

import pandas as pd
import yaml

from analysis.tables.biomarker_words import code_words, in_study_words

ITEMS = "remark.yaml"
NOT_REPORTED = "not in the data of this run"


# One of what is counted: "1 tumour samples" loses its s. "1 of 3 patients" keeps it.
_COUNTED = re.compile(r"(?<![\d.,/-])\b1 (?:(?:tumour|plasma|PFS) )?(?:patient|sample|estimate|event)s\b")


# A name that came in capitals is said in small letters: of a signature, and the plain words of an assay.
_LOUD = re.compile(r"\b[A-Z]{4,}(?= score\b)|\b(?:DIGITAL|TARGETED|PANEL|SEQUENCING|EXOME|GENOME)\b")


@cache
def _items() -> tuple[dict[str, Any], ...]:
    return tuple(yaml.safe_load((files("analysis.tables") / ITEMS).read_text(encoding="utf-8")))


def fill_remark(facts: Mapping[str, Any], words: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Fill the REMARK checklist from computed facts.

    Parameters
    ----------
    facts : mapping
        Name -> number or text (`fact_names` lists the names); None, NaN and empty text count as absent.
    words : mapping, optional
        The plan's ``design.words``: what the study calls its response; a metabolic response without it.

    Returns
    -------
    DataFrame
        Table remark: ITEM SECTION TOPIC REPORTED WHERE, the 20 items and the two parts of the profile. A
        sentence stands only if all its facts are there; an item without any says so. Codes of metrics,
        rules and outcomes are printed in words.

    Raises
    ------
    KeyError
        For a fact no item asks for: its name is misspelt.

    Examples
    --------
    >>> table = fill_remark({"n_patients": 48, "n_events_PFS": 39})
    >>> len(table), table["REPORTED"].iloc[8].startswith("48 patients")
    (22, True)
    """
    unknown = sorted(set(facts) - set(fact_names()))
    if unknown:
        raise KeyError(f"no item of REMARK asks for {unknown}; known: {fact_names()}")
    there = {name: _write(value) for name, value in facts.items() if _is_there(value)}
    rows = [
        (str(item["item"]), item["section"], item["topic"], _report(item, there), item["where"])
        for item in _items()
    ]
    table = pd.DataFrame(rows, columns=["ITEM", "SECTION", "TOPIC", "REPORTED", "WHERE"])
    return (
        table
        if words is None
        else table.assign(REPORTED=[in_study_words(t, words) for t in table["REPORTED"]])
    )


def fact_names() -> list[str]:
    """Return the names of all facts the items ask for, in their order."""
    names = [name for item in _items() for sentence in item["reported"] for name in _fields(sentence)]
    return list(dict.fromkeys(names))


def _report(item: Mapping[str, Any], there: Mapping[str, str]) -> str:
    sentences = item["reported"]
    said = [_fill(text, there) for text in sentences]
    known = any(_fields(sentence) <= set(there) for sentence in sentences)
    return " ".join(text for text in said if text) if known else item.get("absent", NOT_REPORTED)


def _fill(sentence: str, there: Mapping[str, str]) -> str:
    """Fill a sentence; without its fact ``Topic: {fact}.`` says so, any other sentence is left out."""
    fields = _fields(sentence)
    if fields <= set(there):
        return _COUNTED.sub(lambda found: found.group()[:-1], sentence.format(**there))
    is_topic = len(fields) == 1 and sentence.endswith(f": {{{next(iter(fields))}}}.")
    return sentence.format(**dict.fromkeys(fields, NOT_REPORTED)) if is_topic else ""


def _fields(sentence: str) -> KeysView[str]:
    return {name: None for _, name, _, _ in Formatter().parse(sentence) if name}.keys()


def _is_there(value: Any) -> bool:
    return value is not None and value != "" and value == value


def _write(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return _LOUD.sub(lambda found: found.group().lower(), code_words(str(value)))
