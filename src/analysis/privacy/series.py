"""What each series says about itself, its patient and its de-identification: one row a series."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pandas as pd
from pydicom.datadict import tag_for_keyword

from analysis.privacy.decode import decoded, is_binary
from analysis.privacy.found import Found

_INJECTION = "RadiopharmaceuticalInformationSequence."
FACTS = {
    "SERIESUID": "SeriesInstanceUID",
    "STUDYUID": "StudyInstanceUID",
    "SOPCLASS": "SOPClassUID",
    "MODALITY": "Modality",
    "PATIENTID": "PatientID",
    "SEX": "PatientSex",
    "SIZEM": "PatientSize",
    "WEIGHTKG": "PatientWeight",
    "UNITS": "Units",
    "SUVFACTOR": "(7053,xx00 Philips PET Private Group)",
    "STUDYDATE": "StudyDate",
    "SERIESDATE": "SeriesDate",
    "ACQDATE": "AcquisitionDate",
    "ACQDATETIME": "AcquisitionDateTime",
    "STUDYTIME": "StudyTime",
    "SERIESTIME": "SeriesTime",
    "ACQTIME": "AcquisitionTime",
    "DECAYDATETIME": "DecayCorrectionDateTime",
    "INJTIME": _INJECTION + "RadiopharmaceuticalStartTime",
    "INJDATETIME": _INJECTION + "RadiopharmaceuticalStartDateTime",
    "DOSEBQ": _INJECTION + "RadionuclideTotalDose",
    "REMOVED": "PatientIdentityRemoved",
    "METHOD": "DeidentificationMethod",
    "METHODCODES": "DeidentificationMethodCodeSequence.CodeValue",
    "LONGITUDINAL": "LongitudinalTemporalInformationModified",
    "BURNEDIN": "BurnedInAnnotation",
}
"""Column of the table of series -> path of the element."""

_EARLIEST = frozenset(["ACQTIME", "ACQDATE", "ACQDATETIME"])
_DATED = frozenset([b"DA", b"DT"])
COLUMNS = ["PATH", "FILES", *FACTS, "MIXED", "PRIVATEMOMENTS", "NESTEDDATES", "RESIDUE", "OPAQUE"]
_SEPARATOR = "\x1f"  # ASCII unit separator: no DICOM text holds it


@lru_cache(maxsize=1)
def _by_path() -> dict[str, str]:
    return {path: column for column, path in FACTS.items()}


def wanted_tags() -> frozenset[int]:
    """Return the tags a series' row needs, whatever their VR."""
    keywords = [path.rsplit(".", 1)[-1] for path in FACTS.values() if not path.startswith("(")]
    tags = {tag_for_keyword(keyword) for keyword in keywords}
    return frozenset(tags | {0x70530000 | block << 8 for block in range(0x10, 0x100)})


def fact_of(found: Found, rules: Mapping[str, Any]) -> str:
    """Return which fact of its series an element tells.

    Parameters
    ----------
    found : Found
        An element.
    rules : mapping
        Plan section ``privacy``.

    Returns
    -------
    str
        A column of `COLUMNS`; empty for most elements.
    """
    known = _by_path().get(found.path)
    if known:
        return known
    if any(found.path.startswith(name) for name in rules["audit_private_moments"]):
        return "PRIVATEMOMENTS"
    if found.path in rules["audit_residue"] or found.path.rsplit(".", 1)[-1] in rules["audit_residue"]:
        return "RESIDUE"
    if found.vr in _DATED and ("." in found.path or found.path.startswith("(")):
        return "NESTEDDATES"
    if found.path.startswith("(") and is_binary(found):
        return "OPAQUE"
    return ""


class SeriesFacts:
    """Facts of the series of some files, gathered file by file.

    Attributes
    ----------
    rows : dict
        Series UID (or folder, where a file names none) -> its facts as plain values.
    """

    def __init__(self):
        self.rows: dict[str, dict[str, Any]] = {}

    def add(self, folder: str, told: list[tuple[str, Found]]) -> None:
        """Add one file.

        Parameters
        ----------
        folder : str
            Its folder, relative to the raw folder.
        told : list of (str, Found)
            Facts it tells, as `fact_of` names them.
        """
        uid = next(
            (found.raw.strip(b"\0 ").decode("latin-1") for fact, found in told if fact == "SERIESUID"), ""
        )
        if not uid and not any(fact == "PATIENTID" for fact, _ in told):
            return  # a directory, a presentation state without owner: nothing that could be audited
        row = self.rows.setdefault(uid or f"folder {folder}", {"PATH": folder, "FILES": 0})
        row["FILES"] += 1
        for fact, found in told:
            row.setdefault(fact, {}).setdefault(found, None)

    def plain(self) -> dict[str, dict[str, Any]]:
        """Return the rows with decoded texts in place of bytes, ready to be sent to another process."""
        return {
            uid: {name: _texts(name, held) for name, held in row.items()} for uid, row in self.rows.items()
        }


def _texts(name: str, held: Any) -> Any:
    if name in ("PATH", "FILES"):
        return held
    named = name in ("PRIVATEMOMENTS", "NESTEDDATES", "RESIDUE", "OPAQUE")
    texts = {}
    for found in held:
        for text in [""] if name == "OPAQUE" else decoded(found) or [""]:
            texts[found.path + _SEPARATOR + text if named else text] = None
    return texts


def merge(parts: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Join rows of several groups of files, in their order.

    Parameters
    ----------
    parts : list of dict
        What `SeriesFacts.plain` gave for each.

    Returns
    -------
    dict
        The same, of all.
    """
    whole: dict[str, dict[str, Any]] = {}
    for part in parts:
        for uid, row in part.items():
            mine = whole.setdefault(uid, {"PATH": row["PATH"], "FILES": 0})
            mine["FILES"] += row["FILES"]
            for name in row.keys() - {"PATH", "FILES"}:
                mine.setdefault(name, {}).update(row[name])
    return whole


def series_table(rows: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Tabulate the series.

    Parameters
    ----------
    rows : mapping
        Series -> its facts, as `merge` returns it.

    Returns
    -------
    pandas.DataFrame
        One row a series, by PATH. Texts, empty where absent; the earliest of acquisition dates and times, the
        first in order where slices disagree, with the column's name in MIXED; METHODCODES joined by ``;``;
        PRIVATEMOMENTS, NESTEDDATES and RESIDUE as tuples of (path of the element, text); OPAQUE the number of
        private elements that are no text.
    """
    table = pd.DataFrame([_row(row) for row in rows.values()], columns=COLUMNS)
    return table.sort_values(["PATH", "SERIESUID"], kind="stable").reset_index(drop=True)


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"PATH": row["PATH"], "FILES": row["FILES"]}
    mixed = []
    for name in FACTS:
        texts = sorted(row.get(name, {}))
        told[name] = ";".join(texts) if name == "METHODCODES" else texts[0] if texts else ""
        if len(texts) > 1 and name not in _EARLIEST | {"METHODCODES", "SUVFACTOR"}:
            mixed.append(name)
    told["MIXED"] = ";".join(mixed)
    for name in ("PRIVATEMOMENTS", "NESTEDDATES", "RESIDUE"):
        told[name] = tuple(tuple(text.split(_SEPARATOR, 1)) for text in sorted(row.get(name, {})))
    told["OPAQUE"] = len(row.get("OPAQUE", {}))
    return told
