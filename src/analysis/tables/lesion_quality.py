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
            self.codes[code] = {"number": len(self.codes) + 1, "code": code, "kind": said.kind,
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
        return None
    follow_up = scan["AVISIT"] != BASELINE and bool(changes)
    head = ["Lesion", "Organ", *(title for _, title, _ in _METRICS), "Evaluable", "Target"]
    head += ["SUVmax change", _limit_title(limits), "SULpeak change"] if follow_up else []
    rows = [_lesion(name, drawn, changes.get(name, {}), follow_up, notes) for name in names]
    total = values_of(adpet, "TOTAL")
    foot = None
    if total:
        blank = [""] * (len(head) - 8 + 1)
        foot = ["All lesions", "", "", "", "", number(total.get("TMTV"), 1), number(total.get("TMTV41"), 1),
                number(total.get("TTLG41"), 1), *blank]  # fmt: skip
    return {"head": [*head, "Notes"], "rows": rows, "foot": foot, "follow_up": follow_up}


def _limit_title(limits: tuple[float, float] | None) -> str:
    if limits is None:
        return "Repeatability"
    return f"Against {signed_percent(limits[0])} to {signed_percent(limits[1])}"


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
    text, status = signed_percent(row.get("PCHG")), LESION_STATUS.get(row.get("STATUS"))
    if not status:
        return text
    return status if text == MISSING else f"{text} ({status})"


def describe_matching(lesion_map: pd.DataFrame | None, notes: Notes) -> list[str]:
    """Say which lesions were drawn under other names, and who says that they are the same.

    The names themselves are not told: a reader's name of a region is free text.
    """
    if lesion_map is None:
        return []
    source = {"READER": "by a reader", "PROPOSED": "proposed, awaits a reader", "NAME": "by name"}
    said = []
    for lesion, rows in lesion_map.sort_values(["LESIONID", "DRAWNID"]).groupby("LESIONID", sort=False):
        states = [s for s in dict.fromkeys(rows["STATUS"]) if s not in {"BASELINE", "SAME"}]
        renamed = (rows["DRAWNID"] != lesion).any()
        if not states and not renamed:
            continue
        words = ", ".join([*(state.lower() for state in states), source.get(rows["SOURCE"].iloc[0], "")])
        mark = notes.mark(";".join(code for text in rows["FLAGS"] for code in split_codes(text)))
        said.append(
            f"{lesion}: drawn under {_count_names(len(rows))} ({words}){' [' + mark + ']' if mark else ''}"
        )
    return said


def _count_names(count: int) -> str:
    return "another name" if count == 1 else f"{count} names"


def _natural(name: str) -> tuple[Sequence[Any], ...]:
    digits = "".join(letter for letter in name if letter.isdigit())
    return (name.rstrip("0123456789"), int(digits) if digits else 0, name)
