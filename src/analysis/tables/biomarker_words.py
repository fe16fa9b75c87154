"""The words a reader sees for markers, methods and statistics of notebook 05, and which rows answer what.

The words of analyses, methods and statistics are those of the contract (`analysis.contracts.biomarkers`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.contracts.biomarkers import ANALYSES, METHODS, STATISTICS
from analysis.tables.effect_words import RATIOS as RATIOS
from analysis.tables.effect_words import SHORT as SHORT
from analysis.tables.effect_words import neutral_of as neutral_of
from analysis.tables.effect_words import write_effect as write_effect
from analysis.tables.format import MISSING, number
from analysis.tables.words import METRICS, RULES, VISITS, label_of, phrase_of

_OUTCOMES = {
    "NONRESPONSE": "metabolic non-response",
    "PCTCHANGE": "change in uptake",
    "TUMFRAC": "tumour fraction",
    "VAF": "largest variant allele fraction",
    "TUMFRAC_CHANGE": "change in tumour fraction",
    "TUMFRAC_CHANGE_DETECTED": "change in tumour fraction, ctDNA at both visits",
    "CTDNA": "ctDNA",
    "DROVE": "driving progression",
    "PROG": "progression",
    "PRIMARY": "the primary tumour",
    "ACQUIRED": "acquired at progression",
    "ALL": "all patients",
    "NON-RESPONDER": "non-responders",
    "RESPONDER": "responders",
}
_MARKERS = {
    "CTDNA": "ctDNA detected",
    "CTDNACHG": "rise of ctDNA",
    "CTDNALVL": "ctDNA level",
    "PDL1": "PD-L1",
    "TARGETSZ": "size of the targets",
    "TUMFRAC": "tumour fraction",
    "LEAD_TIME": "lead time of ctDNA",
    "NONRESPONSE": "metabolic non-response",
    "NONRESPONSE x CTDNA": "metabolic non-response by ctDNA",
    "EARLYRES": "lesion resistant at the early scan",
    "NEWFL": "new lesion",
}
_CODES = ("CTDNACHG", "CTDNALVL", "PDL1", "TARGETSZ")  # codes that are no words in any other sense
_COPIES = {"_AMP": "amplified", "_DEL": "deleted"}
# Markers of two visits: MARKER is <code>_<first>_<second>.
_COURSES = {
    "CLEARANCE": "ctDNA still detected at {second} against cleared (of those detected at {first})",
    "CHANGE": "ctDNA detected at {second} against {first} (McNemar)",
    "CLASSES": "ctDNA at {first} and {second} in four classes",
}
_TERMS = {
    "TIME": "change in {days} days, {one}",
    "GROUP": "{two} against {one}, at first dose",
    "TIME:GROUP": "change in {days} days, {two} against {one}",
}
_SIDES = ("reference group", "other group")
_DAYS = re.compile(r"in ([\d.]+) days")


def outcome_words(outcome: str) -> str:
    """Return the words for an outcome as they stand inside a sentence.

    Examples
    --------
    >>> outcome_words("NONRESPONSE"), outcome_words("PFS"), outcome_words("TTLG41")
    ('metabolic non-response', 'PFS', 'total TLG (41 %)')
    """
    words = _OUTCOMES.get(outcome) or phrase_of(outcome)
    return words.replace("_", " ").lower() if "_" in words else words


def marker_words(row: Mapping[str, Any]) -> str:
    """Name a marker: its gene or name, what of a gene where it is no mutation, and its visit.

    Examples
    --------
    >>> marker_words({"MARKER": "ESR1", "PARTYPE": "MUT"})
    'ESR1'
    >>> marker_words({"MARKER": "CTDNA_D14", "PARTYPE": "CTDNA", "AVISIT": "D14"})
    'ctDNA detected, day 14'
    >>> marker_words({"MARKER": "CHANGE_D0_D14", "PARTYPE": "CTDNA", "AVISIT": "D14"})
    'ctDNA detected at day 14 against baseline (McNemar)'
    """
    name, kind = str(row["MARKER"]), row.get("PARTYPE")
    if row.get("ANALYSIS") == "trajectory" and name in _TERMS:
        return _term_words(name, row)
    code, *visits = name.split("_")
    if kind == "CTDNA" and code in _COURSES and len(visits) == 2:
        first, second = map(phrase_of, visits)
        return _COURSES[code].format(first=first, second=second)
    if kind == "CNA" and name[-4:] in _COPIES:
        return f"{name[:-4]} {_COPIES[name[-4:]]}"
    if ", " in name:  # a group of two classes
        words = ", ".join(label_of(part) for part in name.split(", "))
    else:
        known = _MARKERS.get("CTDNA" if kind == "CTDNA" and code == "CTDNA" else name)
        words = known or label_of(name).replace("_", " ")
    words = f"{words.lower()} score" if kind == "SIGN" else words
    words += {"CNA": " copy number", "EXPR": " expression"}.get(kind, "")
    visit = row.get("AVISIT")
    return words + (f", {phrase_of(visit)}" if kind == "CTDNA" and isinstance(visit, str) else "")


def row_words(row: Mapping[str, Any]) -> str:
    """Name a marker as `marker_words`, and what it is compared with where one model holds PET and ctDNA.

    Examples
    --------
    >>> row_words({"MARKER": "NONRESPONSE", "PARTYPE": "PET", "METHOD": "cox_additive"})
    'metabolic non-response, given ctDNA'
    """
    more = {"cox_additive": given_words(row), "cox_interaction": "interaction"}.get(row.get("METHOD"))
    if row.get("ANALYSIS") == "combined" and row.get("METHOD") in ("cox_ml", "cox_firth"):
        more = "alone"
    return f"{marker_words(row)}, {more}" if more and row["MARKER"] in _MARKERS else marker_words(row)


def given_words(row: Mapping[str, Any]) -> str:
    """Return what else is in the model of PET and ctDNA."""
    return {"PET": "given ctDNA", "CTDNA": "given metabolic response"}.get(row.get("PARTYPE"), "")


def code_words(text: str) -> str:
    """Replace the codes of metrics, visits, rules, outcomes and copy number that stand in a text by words.

    Examples
    --------
    >>> code_words("SUVMAX of the hottest lesion"), code_words("TP53 (NONRESPONSE), FGFR1_AMP (PFS)")
    ('SUVmax of the hottest lesion', 'TP53 (metabolic non-response), FGFR1 amplified (PFS)')
    """
    return re.sub(r"\b[A-Za-z]\w+\b", lambda found: _code_word(found.group()), text)


def _code_word(code: str) -> str:
    if code in _OUTCOMES and code in METRICS:
        return _OUTCOMES[code]
    # A rule whose code is a plain word ("reported") cannot be told from that word.
    rule = code in RULES and ("_" in code or code.upper() in RULES[code])
    if code in _CODES:
        return _MARKERS[code]
    if code in METRICS or code in VISITS or rule:
        return phrase_of(code)
    return f"{code[:-4]} {_COPIES[code[-4:]]}" if code[-4:] in _COPIES and code.isupper() else code


def in_study_words(text: str, words: Mapping[str, str], groups: Sequence[str] = ()) -> str:
    """Put a study's own words for its response into a text: its change may be of ctDNA, not of uptake.

    Parameters
    ----------
    text : str
        A sentence, a caption or HTML.
    words : mapping
        The plan's ``design.words``: ``response`` and ``change``.
    groups : sequence of str
        Names of the reference group and the other of a course over time that the study maps.

    Examples
    --------
    >>> in_study_words("Metabolic non-response", {"response": "ctDNA response", "change": "ctDNA"})
    'ctDNA non-response'
    """
    response, change = words["response"], words["change"]
    own = {
        "metabolic non-response": response.replace("response", "non-response"),
        "metabolic response": response,
        "metabolic class": f"class of {response}",
        "class of response": f"class of {response}",
        "change in uptake": f"change in {change}",
        "early PET": f"early {words.get('scan', 'PET')}",
        **dict(zip(_SIDES, groups)),
    }
    for ours, theirs in own.items():
        text = text.replace(ours, theirs).replace(first_upper(ours), first_upper(theirs))
    return text


def first_upper(text: str) -> str:
    """Begin a text with a capital letter, unless its first word is spelt as it is (ctDNA, p53).

    Examples
    --------
    >>> first_upper("day 14"), first_upper("ctDNA detected"), first_upper("p53")
    ('Day 14', 'ctDNA detected', 'p53')
    """
    first = text.split(" ", 1)[0].rstrip(",:;")
    return text[:1].upper() + text[1:] if first[1:].islower() or first[1:] == "" or "-" in first else text


def _term_words(name: str, row: Mapping[str, Any]) -> str:
    found = _DAYS.search(str(row.get("NOTE")))
    # Levels of plasma draws are compared by metabolic response; a mapped course has groups of its own.
    one, two = ("responders", "non-responders") if row.get("SAMPTYPE") == "PLASMA" else _SIDES
    text = _TERMS[name].format(days=found.group(1) if found else "some", one=one, two=two)
    return text.replace("in some days", "over time")


def count_words(row: Mapping[str, Any]) -> str:
    """Write ``with / n``: subjects with the marker and all, or ``n`` alone where it has levels.

    Examples
    --------
    >>> count_words({"N_POS": 9.0, "N": 31.0}), count_words({"N_POS": None, "N": 31.0})
    ('9 / 31', '31')
    """
    with_marker, total = row.get("N_POS"), row.get("N")
    there = MISSING if pd.isna(total) else number(total, 0)
    if str(row.get("MARKER")).startswith("CHANGE_") and pd.notna(
        with_marker
    ):  # McNemar: those whose result changed
        return f"{number(with_marker, 0)} changed / {there}"
    return there if pd.isna(with_marker) else f"{number(with_marker, 0)} / {there}"


def choose_rows(estimates: pd.DataFrame, outcome: str, method: str | None = None) -> pd.DataFrame:
    """Return the rows of one outcome by one method and statistic: those a figure compares.

    Parameters
    ----------
    estimates : DataFrame
        Rows of estimates_biomarkers.
    outcome : str
        OUTCOME.
    method : str, optional
        METHOD; without it, the one with most q-values (the earlier in the contract where they are equal).

    Returns
    -------
    DataFrame
        The rows, tested or not, with a fresh index; none where there is no such row.
    """
    own = estimates[estimates["OUTCOME"].eq(outcome)]
    own = own if method is None else own[own["METHOD"].eq(method)]
    if own.empty:
        return own.reset_index(drop=True)
    adjusted = own.assign(SEEN=own["Q_BH"].notna().astype(int))
    counts = adjusted.groupby(["METHOD", "STATISTIC"])["SEEN"].sum()
    order = lambda pair: (-counts[pair], _place(pair[0], METHODS), _place(pair[1], STATISTICS))
    first, statistic = min(counts.index, key=order)
    return own[own["METHOD"].eq(first) & own["STATISTIC"].eq(statistic)].reset_index(drop=True)


def tested_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were tested and have an estimate and a p-value."""
    there = rows["TESTED"].eq("Y") & rows["P"].notna() & rows["ESTIMATE"].notna()
    return rows[there].reset_index(drop=True)


def effect_title(statistic: str, outcome: str) -> str:
    """Return what an axis of effects shows.

    Examples
    --------
    >>> effect_title("hazard_ratio", "PFS"), effect_title("shift", "PCTCHANGE")
    ('Hazard ratio of PFS', 'Shift of the change in uptake, percentage points')
    """
    words, _, unit = STATISTICS.get(statistic, statistic).partition(", ")
    joint = {"auc": "for", "rho": "with"}.get(statistic, "of")
    of = f"the {outcome_words(outcome)}" if outcome == "PCTCHANGE" else outcome_words(outcome)
    return f"{words[:1].upper()}{words[1:]} {joint} {of}{f', {unit}' if unit else ''}"


def analysis_words(code: str) -> str:
    """Return the title of an analysis; an unknown code stays."""
    return ANALYSES.get(code, code)


def _place(code: str, known: Mapping[str, str]) -> int:
    return list(known).index(code) if code in known else len(known)
