"""What the quality page of one scan says: ready text from the tables, without subject, date or path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.contracts.codes import describe, in_words
from analysis.tables.format import MISSING, number, percent, signed_percent
from analysis.tables.lesion_quality import (
    BASELINE,
    Notes,
    as_text,
    describe_lesions,
    describe_matching,
    is_known,
    values_of,
    yes_or_no,
)
from analysis.tables.words import VENDORS, label_of

STATUSES = {
    "GIVEN": "drawn", "PROPOSED": "proposed, awaits a reader", "ACCEPTED": "accepted by a reader",
    "MOVED": "moved by a reader", "REJECTED": "rejected by a reader", "NOT_FOUND": "not found",
}  # fmt: skip
UNITS = {
    "BQML": "activity, Bq/ml (BQML)", "CNTS": "counts (CNTS)", "GML": "SUV, g/ml (GML)",
    "CM2ML": "SUV, cm²/ml (CM2ML)",
}  # fmt: skip
DECAY = {
    "START": "to the start of the scan (START)", "ADMIN": "to the injection (ADMIN)", "NONE": "no (NONE)",
    "YES": "to a stated time (YES)", "NO": "no (NO)",
}  # fmt: skip

# Check of a pair -> name, unit of the values, unit of their difference and its decimals. The checks are data
# of the plan: one that is not here is named by its own words, without unit.
CHECKS = {
    "uptake_minimum": ("Uptake time, least", "min", "min", 1),
    "uptake_difference": ("Uptake time, difference", "min", "min", 1),
    "uptake_window": ("Uptake time, window", "min", "min", 1),
    "reference_percent": ("Reference SULmean, relative", "g/ml", "%", 2),
    "reference_difference": ("Reference SULmean, difference", "g/ml", "g/ml", 3),
    "injected_activity": ("Injected activity", "MBq", "%", 2),
    "vendor": ("Maker", "", "", 0),
    "resolution_modelling": ("Resolution modelling", "", "", 0),
    "time_of_flight": ("Time of flight", "", "", 0),
    "voxel_x": ("Voxel size x", "mm", "mm", 3),
    "voxel_y": ("Voxel size y", "mm", "mm", 3),
    "voxel_z": ("Voxel size z", "mm", "mm", 3),
    "glucose": ("Glucose", "mmol/l", "mmol/l", 1),
}  # fmt: skip


def describe_scan(
    tables: Mapping[str, pd.DataFrame],
    scan: Mapping[str, Any],
    *,
    limits: tuple[float, float] | None,
    unknown_is: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Collect what the page of a scan shows.

    Parameters
    ----------
    tables : mapping
        ``scan_qc``, and where the study has them ``adpet``, ``adlesion``, ``comparability``,
        ``reference_proposals``, ``lesion_map``, ``adsl``: of this subject alone, or of all.
    scan : mapping
        Its row of ``scan_qc``.
    limits : (float, float), optional
        Limits of repeatability of one lesion's change, percent.
    unknown_is : mapping, optional
        Check of a pair -> what a missing fact means: insufficient, warning or noted; insufficient for a
        blocking check that is not named.

    Returns
    -------
    dict
        ``visit day site refused facts codes lesions references comparison notes``; nothing that names the
        subject, a date or a path.
    """
    notes, base = Notes(), _baseline(tables["scan_qc"], scan)
    mine = {name: _of(frame, scan) for name, frame in tables.items() if name not in {"scan_qc", "mips"}}
    page = {
        "visit": label_of(scan["AVISIT"]) if is_known(scan["AVISIT"]) else "No visit",
        "is_baseline": scan["AVISIT"] == BASELINE,
        "day": _study_day(mine.get("adsl"), scan),
        "site": as_text(scan.get("SITEID")),
        "refused": _refusal(scan),
        "facts": _facts(scan, base),
        "scan_codes": [notes.mark(scan.get("ADAPTATIONS")), notes.mark(scan.get("FLAGS"))],
        "harmonisation": scan.get("HARMON") if is_known(scan.get("HARMON")) else "UNKNOWN",
        "limits": limits,
    }
    measured = not page["refused"]
    page["references"] = _references(mine, notes) if measured else []
    page["lesions"] = describe_lesions(mine, scan, notes, limits) if measured else None
    page["matching"] = describe_matching(mine.get("lesion_map"), notes) if measured else []
    page["comparison"] = describe_pair(mine.get("comparability"), unknown_is)
    if not measured:
        page["facts"] = _known_facts(page["facts"])
        page["comparison"] = page["comparison"] and page["comparison"] | {"rows": [], "unknown": ""}
    page["notes"] = list(notes.codes.values())
    return page


def _of(frame: pd.DataFrame | None, scan: Mapping[str, Any]) -> pd.DataFrame | None:
    if frame is None or not is_known(scan["USUBJID"]):
        return None
    keep = frame["USUBJID"] == scan["USUBJID"]
    return frame[keep & (frame["AVISIT"] == scan["AVISIT"])] if "AVISIT" in frame else frame[keep]


def _baseline(scans: pd.DataFrame, scan: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = scans[(scans["USUBJID"] == scan["USUBJID"]) & (scans["AVISIT"] == BASELINE)]
    return found.sort_values(["STATUS", "PATH"]).iloc[0].to_dict() if len(found) else None


def _study_day(adsl: pd.DataFrame | None, scan: Mapping[str, Any]) -> str:
    start = adsl["TRTSDT"].iloc[0] if adsl is not None and len(adsl) and "TRTSDT" in adsl else None
    if not is_known(start) or not is_known(scan["ADT"]):
        return "day unknown"
    days = (scan["ADT"] - start).days
    return f"study day {number(days + 1 if days >= 0 else days, 0)}"


def _refusal(scan: Mapping[str, Any]) -> dict[str, str] | None:
    if scan["STATUS"] != "REFUSED":
        return None
    said = describe(scan["CODE"]) if is_known(scan["CODE"]) else None
    return {
        "code": as_text(scan["CODE"]),
        "means": said.means if said else "no reason was recorded",
        "message": as_text(scan.get("MESSAGE")),
        "remedy": said.remedy if said else "run this scan alone and report the message",
    }


def _facts(
    scan: Mapping[str, Any], base: Mapping[str, Any] | None
) -> list[tuple[str, list[tuple[str, str]]]]:
    get = scan.get
    voxel = [get(f"VOXEL{axis}") for axis in "XYZ"]
    size = " × ".join(number(side, 2) for side in voxel) + " mm" if all(map(is_known, voxel)) else MISSING
    vendor = get("VENDOR")
    rule = "; ".join(
        describe(r).means if describe(r).kind != "unknown" else r for r in _rules(get("TREFRULE"))
    )
    return [
        ("Scanner", [
            ("Maker, model", f"{VENDORS.get(vendor, as_text(vendor))} {as_text(get('MODEL'))}"),
            ("Software", as_text(get("SOFTWARE"))),
            ("Reconstruction", as_text(get("RECON"))),
            ("Kernel or filter", as_text(get("KERNEL"))),
            ("PSF · TOF named", _joined(yes_or_no(get("PSF")), yes_or_no(get("TOF")), " · ")),
            ("Matrix, slices", _joined(as_text(get("MATRIX")), number(get("NSLICES"), 0))),
            ("Voxel", size),
        ]),
        ("SUV and time", [
            ("Pixels", UNITS.get(get("UNITS"), as_text(get("UNITS")))),
            ("Decay-corrected", DECAY.get(get("DECAYCORR"), as_text(get("DECAYCORR")))),
            ("Uptake time", _unit(get("UPTAKEMIN"), 0, "min to the decay reference")),
            ("", _unit(get("UPTAKEACQ"), 0, "min to the first acquisition")),
            ("Decay reference", rule or MISSING),
            ("Its spread over slices", _unit(get("TREFSPREAD"), 1, "s")),
            ("Candidates apart by", _unit(get("TREFDIFF"), 0, "s")),
        ]),
        ("Patient", [
            ("Injected activity", _unit(get("DOSEMBQ"), 0, "MBq")),
            ("Weight from baseline", _change(scan, base, "WEIGHTKG")),
            ("Height from baseline", _change(scan, base, "HEIGHTM")),
            ("Glucose", _unit(get("GLUCOSE"), 1, "mmol/l")),
            ("Fasting as asked", yes_or_no(get("FASTING"))),
            ("Without drug, last 7 days", _unit(get("OFFDRUG7"), 0, "days")),
        ]),
    ]  # fmt: skip


def _joined(first: str, second: str, between: str = ", ") -> str:
    return MISSING if first == second == MISSING else f"{first}{between}{second}"


def _known_facts(facts: list[tuple[str, list[tuple[str, str]]]]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Leave out what is not known: of a refused scan that is most."""
    known = [(title, [pair for pair in pairs if pair[1] != MISSING]) for title, pairs in facts]
    return [(title, pairs) for title, pairs in known if pairs]


def _rules(text: Any) -> list[str]:
    return text.split("+") if isinstance(text, str) and text else []


def _unit(value: Any, decimals: int, unit: str) -> str:
    return f"{number(value, decimals)} {unit}" if is_known(value) else MISSING


def _change(scan: Mapping[str, Any], base: Mapping[str, Any] | None, column: str) -> str:
    """Write weight or height as change from baseline: the values stay in the restricted zone."""
    if not is_known(scan.get(column)):
        return "not known"
    if scan["AVISIT"] == BASELINE:
        return "known (baseline)"
    if base is None or not is_known(base.get(column)):
        return "known, none at baseline"
    return signed_percent(100 * (scan[column] / base[column] - 1), 1)


def _references(mine: Mapping[str, pd.DataFrame | None], notes: Notes) -> list[list[str]]:
    regions, adpet = mine.get("reference_proposals"), mine.get("adpet")
    if regions is None:
        return []
    rows = []
    for row in regions.sort_values("REGION", ascending=False).to_dict("records"):
        found = values_of(adpet, row["REGION"])
        sul = "SULMEAN" in found
        mean, sd = (found.get("SULMEAN"), found.get("SULSD")) if sul else (row["SUVMEAN"], row["SUVSD"])
        rows.append([
            row["REGION"].capitalize(), STATUSES.get(row["STATUS"], row["STATUS"]),
            f"{number(mean, 2)}{'' if sul or not is_known(mean) else ' (SUV)'}", number(sd, 2),
            percent(100 * row["CV"] if is_known(row["CV"]) else None, 0), number(row["N_VOXELS"], 0),
            notes.mark(row["FLAGS"]),
        ])  # fmt: skip
    return rows


def describe_pair(
    rows: pd.DataFrame | None, unknown_is: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Say how a scan compares with its baseline.

    Parameters
    ----------
    rows : DataFrame or None
        Rows of ``comparability`` of this scan alone.
    unknown_is : mapping, optional
        As of `describe_scan`.

    Returns
    -------
    dict or None
        ``verdict means remedy rows same unknown``: a row a check that is not simply the same at both or
        unknown without consequence; those become sentences. None without a row.
    """
    if rows is None or rows.empty:
        return None
    verdict = rows["VERDICT"].iloc[0]
    same = rows["RESULT"].eq("PASS") & rows["BASEC"].eq(rows["AVALC"])
    noted = np.array([_meaning_of_unknown(row, unknown_is) == "noted" for row in rows.to_dict("records")])
    unknown = rows["RESULT"].eq("UNKNOWN") & noted
    lines = [_check(row, unknown_is) for row in rows[~same & ~unknown].to_dict("records")]
    alike = [
        f"{_inside(name_check(row.CHECK))} ({_value(row.CHECK, row.AVALC)})"
        for row in rows[same].itertuples()
    ]
    lost = [_inside(name_check(check)) for check in rows.loc[unknown, "CHECK"]]
    said = describe(verdict)
    return {"verdict": verdict, "means": said.means, "remedy": said.remedy, "rows": lines,
            "same": ", ".join(alike), "unknown": ", ".join(lost)}  # fmt: skip


def name_check(check: str) -> str:
    """Return the name of a check of a pair in words.

    Examples
    --------
    >>> name_check("uptake_difference"), name_check("bed_height")
    ('Uptake time, difference', 'Bed height')
    """
    return CHECKS[check][0] if check in CHECKS else in_words(check)


def _inside(name: str) -> str:
    return name[:1].lower() + name[1:]


def _meaning_of_unknown(row: Mapping[str, Any], unknown_is: Mapping[str, str] | None) -> str:
    """Return insufficient, warning or noted; where the plan is not at hand, as the verdict allows."""
    if unknown_is and row["CHECK"] in unknown_is:
        return unknown_is[row["CHECK"]]
    return (
        "noted" if row["IMPACT"] != "BLOCKING" or row["VERDICT"].startswith("ASSESSABLE") else "insufficient"
    )


def _check(row: Mapping[str, Any], unknown_is: Mapping[str, str] | None) -> dict[str, str]:
    check, result = row["CHECK"], row["RESULT"]
    said = {"PASS": "passes", "FAIL": f"fails ({row['IMPACT'].lower()})"}.get(result)
    if said is None:
        lost = {"insufficient": "no verdict without it", "warning": "warning"}
        said = f"unknown ({lost.get(_meaning_of_unknown(row, unknown_is), 'noted')})"
    unit = CHECKS[check][2] if check in CHECKS else ""
    difference = MISSING
    if is_known(row["DIFF"]):
        decimals = CHECKS[check][3] if check in CHECKS else 2
        difference = f"{number(row['DIFF'], decimals)} {unit}".strip()
    return {
        "check": name_check(check),
        "base": _value(check, row["BASEC"]),
        "now": _value(check, row["AVALC"]),
        "difference": difference,
        "limit": _yes_no(as_text(row["LIMIT"])),
        "result": result,
        "said": said,
    }


def _value(check: str, value: Any) -> str:
    """Return a value of a check as text with its unit, a long number with four digits."""
    unit, text = CHECKS[check][1] if check in CHECKS else "", as_text(value)
    if unit and re.fullmatch(r"\d+(\.\d+)?", text):
        return f"{float(text):.4g} {unit}"
    if re.fullmatch(r"\d+\.\d{3,}", text):
        return f"{float(text):.4g}"
    return VENDORS.get(text, text) if check == "vendor" else _yes_no(text)


def _yes_no(text: str) -> str:
    words = text.split(" ")
    return " ".join({"Y": "yes", "N": "no"}.get(word, word) for word in words)
