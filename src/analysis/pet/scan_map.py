"""``scan_map.csv``: a person says which series is whose, of which visit, and with which ROI. It wins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from analysis.pet.assign import VISITS
from analysis.pet.index import Index
from analysis.pet.pairing import scans_without_roi

FLAG = "ASSIGNED_BY_SCAN_MAP"
COLUMNS = ["USUBJID", "AVISIT", "USE"]
OPTIONAL = ["PATH", "SERIESUID", "GROUP", "ROIPATH", "COMMENT"]
_SHOWN = 5


class Entry(NamedTuple):
    """What one row says of one series; None leaves the automatic answer.

    Attributes
    ----------
    use : bool
        False sets the series aside.
    usubjid, avisit, group : str or None
        Subject, visit, and group of slices to read.
    rois : tuple of str
        ROI objects to use instead of those found.
    """

    use: bool
    usubjid: str | None
    avisit: str | None
    group: str | None
    rois: tuple[str, ...]


def read_entries(
    table: pd.DataFrame | None, index: Index, adsl: pd.DataFrame, folder: str = "."
) -> dict[str, Entry]:
    """Check ``scan_map.csv`` against what the tree holds and who the subjects are.

    Parameters
    ----------
    table : DataFrame or None
        USUBJID AVISIT USE (Y or N) and PATH (folder or file, relative to the DICOM folder or to the raw
        folder) or SERIESUID; optional GROUP, ROIPATH (several separated by ``;``) and COMMENT. All text; an
        empty USUBJID or AVISIT leaves the automatic answer.
    index : Index
        Index of the DICOM folder.
    adsl : DataFrame
        USUBJID of all subjects.
    folder : str
        Name of the DICOM folder under the raw folder.

    Returns
    -------
    dict of str to Entry
        Series UID -> what its row says.

    Raises
    ------
    ValueError
        SCAN_MAP_COLUMNS, or all rows in error: SCAN_MAP_BAD_USE, SCAN_MAP_UNKNOWN_PATH,
        SCAN_MAP_AMBIGUOUS_PATH, SCAN_MAP_UNKNOWN_SUBJECT, SCAN_MAP_UNKNOWN_VISIT, SCAN_MAP_UNKNOWN_ROI,
        SCAN_MAP_DOUBLE_USE. Rows are named by number only.
    """
    if table is None:
        return {}
    _check_columns(table)
    entries: dict[str, Entry] = {}
    errors: list[tuple[int, str, str]] = []
    used: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(table.to_dict("records"), start=1):
        row = {name: str(value).strip() for name, value in row.items() if pd.notna(value)}
        row = {name: value for name, value in row.items() if value}
        found = _series_of(row, index, folder)
        problems = list(_problems(row, found, index, set(adsl["USUBJID"]), folder))
        if not problems and found:
            entry = _entry(row, index, folder)
            problems = _double_use(number, found[0], entry, used)
            entries[found[0]] = entry
        errors += [(number, code, reason) for code, reason in problems]
    if errors:
        shown = "; ".join(f"{code} row {number}: {reason}" for number, code, reason in errors[:_SHOWN])
        more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        raise ValueError(f"scan_map.csv has {len(errors)} error(s): {shown}{more}")
    return entries


def choose_rois(index: Index, entries: dict[str, Entry]) -> Index:
    """Pair series with the ROI objects their rows name, instead of those found.

    Parameters
    ----------
    index : Index
        Index of the DICOM folder.
    entries : dict
        As `read_entries` returns them.

    Returns
    -------
    Index
        A copy with SERIESUID of ROI objects and problems renewed; an object found for such a series and not
        named is reported ROI_NOT_CHOSEN.
    """
    chosen = {path: uid for uid, entry in entries.items() for path in entry.rois}
    if not chosen:
        return index
    mapped = set(chosen.values())
    told = [problem for problem in index.problems if problem["CODE"] == "ROI_DUPLICATE"]
    left = {problem["PATH"]: problem["SERIESUID"] for problem in told if problem["SERIESUID"] in mapped}
    paired = index.rois[index.rois["SERIESUID"].isin(mapped)]
    left |= dict(zip(paired["PATH"], paired["SERIESUID"]))
    left = {path: uid for path, uid in left.items() if path not in chosen}
    problems = [
        problem
        for problem in index.problems
        if problem["CODE"] != "SCAN_WITHOUT_ROI" and problem["PATH"] not in {*chosen, *left}
    ]
    patients = dict(zip(index.series["SERIESUID"], index.series["PATIENTID"]))
    for path, uid in sorted(left.items()):
        known = {"PATIENTID": patients[uid], "SERIESUID": uid, "PATH": path}
        reason = "scan_map.csv names another ROI object for this scan"
        problems.append({"CODE": "ROI_NOT_CHOSEN", "ITEM": "record", **known, "REASON": reason})
    now = index.rois["SERIESUID"].where(~index.rois["PATH"].isin(left), None)
    uids = [chosen.get(path, uid) for path, uid in zip(index.rois["PATH"], now)]
    rois = index.rois.assign(SERIESUID=pd.Series(uids, index=index.rois.index, dtype=object))
    problems += scans_without_roi(index.series, rois, problems)
    return replace(index, rois=rois, problems=problems)


def _check_columns(table: pd.DataFrame) -> None:
    lacks = [name for name in COLUMNS if name not in table]
    lacks += [] if "PATH" in table or "SERIESUID" in table else ["PATH"]
    unknown = [name for name in table if name not in COLUMNS + OPTIONAL]
    if lacks or unknown:
        found = [f"no column {', '.join(lacks)}"] if lacks else []
        found += [f"unknown columns {', '.join(map(str, unknown))}"] if unknown else []
        raise ValueError(
            f"SCAN_MAP_COLUMNS: scan_map.csv has {' and '.join(found)}; it needs PATH or SERIESUID, "
            f"{', '.join(COLUMNS)}, and may have {', '.join(OPTIONAL[2:])}"
        )


def _problems(
    row: dict[str, str], found: list[str] | None, index: Index, subjects: set[str], folder: str
) -> Iterable[tuple[str, str]]:
    use = row.get("USE", "")
    if use not in ("Y", "N"):
        yield "SCAN_MAP_BAD_USE", f"USE must be Y or N, found {use!r}"
    if found is None and use != "N":
        yield "SCAN_MAP_UNKNOWN_PATH", "the series is a projection or not attenuation-corrected; only USE N"
    elif found is not None and len(found) != 1:
        code = "SCAN_MAP_AMBIGUOUS_PATH" if found else "SCAN_MAP_UNKNOWN_PATH"
        remedy = "give its folder under the DICOM folder"
        remedy = "give folder#1, folder#2 ..., one of its files, or its SERIESUID" if found else remedy
        yield code, f"{len(found)} PET series there; {remedy}"
    if "USUBJID" in row and row["USUBJID"] not in subjects:
        yield "SCAN_MAP_UNKNOWN_SUBJECT", "USUBJID is that of no subject"
    if "AVISIT" in row and row["AVISIT"] not in VISITS:
        yield "SCAN_MAP_UNKNOWN_VISIT", f"AVISIT must be one of {', '.join(VISITS)}"
    for name in _roi_names(row):
        if not _rois_at(name, index, folder):
            yield "SCAN_MAP_UNKNOWN_ROI", "no ROI object at ROIPATH; give the file under the DICOM folder"


def _double_use(
    number: int, uid: str, entry: Entry, used: dict[tuple[str, ...], int]
) -> list[tuple[str, str]]:
    """Note what a row uses up: its series, its ROI objects, and a visit of a subject."""
    keys = [("series", uid), *(("ROI object", path) for path in entry.rois)]
    if entry.use and entry.usubjid and entry.avisit:
        keys.append(("visit", entry.usubjid, entry.avisit))
    before = {key[0]: used[key] for key in keys if key in used}
    used.update({key: number for key in keys if key not in used})
    return [("SCAN_MAP_DOUBLE_USE", f"its {what} is also in row {other}") for what, other in before.items()]


def _entry(row: dict[str, str], index: Index, folder: str) -> Entry:
    rois = [path for name in _roi_names(row) for path in _rois_at(name, index, folder)]
    return Entry(row["USE"] == "Y", row.get("USUBJID"), row.get("AVISIT"), row.get("GROUP"), tuple(rois))


def _series_of(row: dict[str, str], index: Index, folder: str) -> list[str] | None:
    """Return the series a row names; None for one that the index set aside as not quantitative."""
    aside = defaultdict(list)
    for problem in index.problems:
        if problem["CODE"] == "NOT_QUANTITATIVE_SERIES":
            aside[problem["PATH"]].append(problem["SERIESUID"])
    series = index.series
    if "SERIESUID" in row:
        found = series.loc[series["SERIESUID"] == row["SERIESUID"], "SERIESUID"].tolist()
        return None if row["SERIESUID"] in {uid for uids in aside.values() for uid in uids} else found
    for path in _spellings(row.get("PATH", ""), folder):
        found = _series_at(path, series)
        if found or path in aside:
            return found or None
    return []


def _series_at(path: str, series: pd.DataFrame) -> list[str]:
    """Return the series that holds a file, has a folder (``folder#2`` as in scan_qc), or lies below it."""
    ways = [
        (row.SERIESUID for row in series.itertuples(index=False) if path in row.FILES),
        series.loc[numbered(series["PATH"]) == path, "SERIESUID"] if "#" in path else (),
        series.loc[series["PATH"] == path, "SERIESUID"],
        series.loc[series["PATH"].str.startswith(f"{path}/"), "SERIESUID"],
    ]
    return next((found for found in map(list, ways) if found), [])


def numbered(paths: pd.Series) -> pd.Series:
    """Name the series of each folder by number.

    Parameters
    ----------
    paths : Series of str
        PATH of every series of an index.

    Returns
    -------
    Series of str
        ``folder#1``, ``folder#2`` in the order of the index.
    """
    return paths + "#" + (paths.groupby(paths).cumcount() + 1).astype(str)


def _roi_names(row: dict[str, str]) -> list[str]:
    return [name.strip() for name in row.get("ROIPATH", "").split(";") if name.strip()]


def _rois_at(name: str, index: Index, folder: str) -> list[str]:
    paths = index.rois["PATH"].tolist()
    for spelling in _spellings(name, folder):
        found = [path for path in paths if path == spelling or path.startswith(f"{spelling}/")]
        if found:
            return found
    return []


def _spellings(path: str, folder: str) -> list[str]:
    """Return a path as written and, where it begins with the DICOM folder, without that."""
    path = path.replace("\\", "/").removeprefix("./").rstrip("/")
    if not path:
        return []
    return [path, path[len(folder) + 1 :]] if path.startswith(f"{folder}/") else [path]
