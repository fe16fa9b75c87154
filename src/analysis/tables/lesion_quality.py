"""What a quality page says of the lesions of one scan, and the numbered notes of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.contracts.codes import describe
from analysis.tables.format import MISSING, number, signed_percent

BASELINE = "D0"
REPEAT = {"WITHIN": "inside", "FALL": "fall beyond", "RISE": "rise beyond"}
LESION_STATUS = {
    "RESOLVED": "resolved", "NOT_EVALUABLE": "not evaluable", "MISSING": "not measured", "NEW": "new",
    "NEW_UNCONFIRMED": "new, not confirmed", "INFLAMMATORY": "inflammatory",
}  # fmt: skip
KINDS = {"refusal_region": "region", "refusal_scan": "refusal", "ledger": "set aside"}
_YN = {"Y": "yes", "N": "no"}
_METRICS = (
    ("SUVMAX", "SUVmax", 2), ("SULPEAK", "SULpeak P1", 2), ("SULPEAK2", "SULpeak P2", 2),
    ("VOLUME", "Volume, ml", 1), ("MTV41", "MTV41, ml", 1), ("TLG41", "TLG41, g", 1),
)  # fmt: skip


class Notes:
    """Codes of a page, numbered in the order in which they are met."""

    def __init__(self) -> None:
        self.codes: dict[str, dict[str, Any]] = {}

    def mark(self, codes: Any) -> str:
        """Return the numbers of codes joined by ``;``, for a cell; empty where there is none."""
        return " ".join(map(str, sorted(self._number(code) for code in split_codes(codes))))

    def _number(self, code: str) -> int:
        if code not in self.codes:
            said = describe(code)
            kind = KINDS.get(said.kind, said.kind)
            self.codes[code] = {"number": len(self.codes) + 1, "code": code, "kind": kind,
                                "means": said.means, "remedy": said.remedy}  # fmt: skip
        return self.codes[code]["number"]


def split_codes(text: Any) -> list[str]:
    """Return the codes of a cell, each once.

    Examples
    --------
    >>> split_codes("A_B;C_D;A_B"), split_codes(None)
    (['A_B', 'C_D'], [])
    """
    return list(dict.fromkeys(text.split(";"))) if isinstance(text, str) and text else []


def is_known(value: Any) -> bool:
    """Tell whether a cell holds something."""
    return value is not None and not pd.isna(value) and value != ""


def as_text(value: Any) -> str:
    """Return a cell as text, a dash where it is empty."""
    return str(value) if is_known(value) else MISSING


def yes_or_no(value: Any) -> str:
    """Return yes or no for Y or N, a dash where neither is known."""
    return _YN.get(value, MISSING)


def values_of(adpet: pd.DataFrame | None, name: str) -> dict[str, float]:
    """Return METRIC -> AVAL of a lesion, a reference region or the total of one scan."""
    if adpet is None:
        return {}
    found = adpet[adpet["LESIONID"] == name]
    return dict(zip(found["METRIC"], found["AVAL"]))


def describe_lesions(
    mine: Mapping[str, pd.DataFrame | None],
    scan: Mapping[str, Any],
    notes: Notes,
    limits: tuple[float, float] | None,
) -> dict[str, Any] | None:
    """Collect the table of lesions of a scan.

    Parameters
    ----------
    mine : mapping
        Tables ``adpet`` and ``adlesion`` of this scan alone, or None.
    scan : mapping
        Its row of ``scan_qc``.
    notes : Notes
        Takes up the lesions' flags.
    limits : (float, float), optional
        Limits of repeatability of one lesion's change, percent; they head their column.

    Returns
    -------
    dict or None
        ``head rows foot follow_up``; None without a lesion. At follow-up also the lesions that were not
        drawn, with what became of them.
    """
    adpet, changes = mine.get("adpet"), _changes(mine.get("adlesion"))
    drawn = adpet[adpet["ROLE"] == "LESION"] if adpet is not None else None
    names = sorted({*(drawn["LESIONID"] if drawn is not None else ()), *changes}, key=_natural)
    if not names:
        _mark_total(adpet, notes)
        return None
    follow_up = scan["AVISIT"] != BASELINE and bool(changes)
    head = ["Lesion", "Organ", *(title for _, title, _ in _METRICS), "Evaluable", "Target"]
    head += ["SUVmax change", _limit_title(limits), "SULpeak change"] if follow_up else []
    rows = [_lesion(name, drawn, changes.get(name, {}), follow_up, notes) for name in names]
    total = values_of(adpet, "TOTAL")
    foot = None
    if total:
        blank = [""] * (len(head) - 8)
        foot = ["All lesions", "", "", "", "", number(total.get("TMTV"), 1), number(total.get("TMTV41"), 1),
                number(total.get("TTLG41"), 1), *blank, _mark_total(adpet, notes)]  # fmt: skip
    return {"head": [*head, "Notes"], "rows": rows, "foot": foot, "follow_up": follow_up}


def _mark_total(adpet: pd.DataFrame | None, notes: Notes) -> str:
    """Return the marks of the whole-body totals, as of one that lacks a lesion."""
    rows = adpet[adpet["LESIONID"] == "TOTAL"] if adpet is not None else pd.DataFrame({"FLAGS": []})
    return notes.mark(";".join(dict.fromkeys(code for text in rows["FLAGS"] for code in split_codes(text))))


def _limit_title(limits: tuple[float, float] | None) -> str:
    if limits is None:
        return "Repeatability"
    return f"Against {signed_percent(limits[0], 1)} to {signed_percent(limits[1], 1)}"


def _changes(adlesion: pd.DataFrame | None) -> dict[str, dict[str, Any]]:
    if adlesion is None:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for row in adlesion.to_dict("records"):
        found.setdefault(row["LESIONID"], {})[row["METRIC"]] = row
    return found


def _lesion(
    name: str, drawn: pd.DataFrame | None, change: Mapping[str, Any], follow_up: bool, notes: Notes
) -> list[str]:
    rows = drawn[drawn["LESIONID"] == name] if drawn is not None else pd.DataFrame()
    value = dict(zip(rows["METRIC"], rows["AVAL"])) if len(rows) else {}
    any_change = next(iter(change.values()), {})
    facts = rows.iloc[0] if len(rows) else any_change
    cells = [name, as_text(facts.get("ORGAN")), *(number(value.get(m), d) for m, _, d in _METRICS)]
    cells += [yes_or_no(facts.get("EVALFL")), yes_or_no(facts.get("TARGETFL"))]
    if follow_up:
        maximum, peak = change.get("SUVMAX", {}), change.get("SULPEAK", {})
        cells += [_changed(maximum), REPEAT.get(maximum.get("REPEAT"), MISSING), _changed(peak)]
    codes = [code for text in rows["FLAGS"] for code in split_codes(text)] if len(rows) else []
    return [*cells, notes.mark(";".join(dict.fromkeys(codes)))]


def _changed(row: Mapping[str, Any]) -> str:
    text, status = signed_percent(row.get("PCHG"), 1), LESION_STATUS.get(row.get("STATUS"))
    if not status:
        return text
    return status if text == MISSING else f"{text} ({status})"


def describe_matching(lesion_map: pd.DataFrame | None, notes: Notes) -> list[str]:
    """Say which lesions are not simply the ones of the same name at baseline, and who says so.

    The names that were drawn are not told: a reader's name of a region is free text.
    """
    if lesion_map is None:
        return []
    found: dict[str, list[str]] = {}
    lesion_map = lesion_map.sort_values(["LESIONID", "DRAWNID"])
    for lesion in sorted(lesion_map["LESIONID"].dropna().unique(), key=_natural):
        rows = lesion_map[lesion_map["LESIONID"] == lesion]
        if what := _matched(lesion, rows):
            mark = notes.mark(";".join(code for text in rows["FLAGS"] for code in split_codes(text)))
            found.setdefault(what, []).append(f"{lesion} [{mark}]" if mark else lesion)
    return [f"{', '.join(lesions)}: {what}" for what, lesions in found.items()]


def _matched(lesion: str, rows: pd.DataFrame) -> str:
    """Say how a lesion of this scan belongs to the baseline; empty if it is simply the one of its name."""
    states = [state for state in dict.fromkeys(rows["STATUS"]) if state not in {"BASELINE", "SAME"}]
    renamed = bool((rows["DRAWNID"] != lesion).any())
    if not states and not renamed:
        return ""
    parts = [_STATES.get(state, state.lower()) for state in states]
    if len(rows) > 1:
        parts.append(f"{len(rows)} regions joined")
    elif renamed and "NEW" not in states:
        parts.append("drawn under another name")
    return f"{', '.join(parts)} ({_SOURCES.get(rows['SOURCE'].iloc[0], 'matched')})"


_STATES = {"NEW": "not there at baseline", "SPLIT": "split", "MERGED": "merged"}
_SOURCES = {
    "READER": "says a reader",
    "PROPOSED": "proposed, awaits a reader",
    "NAME": "by the lesions' names",
}


def _natural(name: str) -> tuple[Sequence[Any], ...]:
    digits = "".join(letter for letter in name if letter.isdigit())
    return (name.rstrip("0123456789"), int(digits) if digits else 0, name)
