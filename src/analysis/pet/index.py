"""Index a folder tree: which PET series lie in it, which ROI objects, and what belongs together.

Folder and file names mean nothing here; only headers do. What cannot be used is a problem with a code, never
silent.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pydicom
from pydicom.config import disable_value_validation
from pydicom.errors import InvalidDicomError

from analysis.pet.pairing import pair_roi

PET_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.128",
    "1.2.840.10008.5.1.4.1.1.128.1",
    "1.2.840.10008.5.1.4.1.1.130",
}
ROI_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
}
SERIES_COLUMNS = ["SERIESUID", "PATIENTID", "STUDYUID", "FORUID", "SCANDT", "VENDOR", "MODEL", "UNITS"]
SERIES_COLUMNS += ["DECAYCORR", "HEIGHTM", "PATH", "FILES", "NFILES"]
ROI_COLUMNS = ["PATH", "KIND", "PATIENTID", "REFSERIESUID", "FORUID", "SERIESUID"]
_TAGS = [
    "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientSize",
    "AcquisitionDate", "SeriesDate", "StudyDate", "Manufacturer", "ManufacturerModelName", "Units",
    "DecayCorrection", "ImageType", "SeriesType", "ReferencedSeriesSequence",
    "ReferencedFrameOfReferenceSequence",
]  # fmt: skip
_HEAD_BYTES = 4096
_SOP_CLASS, _SERIES_UID, _REFERENCES = b"\x02\x00\x02\x00UI", b"\x20\x00\x0e\x00UI", b"\x08\x00\x15\x11"
_NOT_QUANTITATIVE = {"MIP", "NAC", "REPROJECTION"}


@dataclass(frozen=True)
class Index:
    """What a tree holds.

    Attributes
    ----------
    series : DataFrame
        One row a PET series (`SERIES_COLUMNS`). PATH is its folder under the root; FILES lists its files, or
        is None where the folder holds nothing else. HEIGHTM is PatientSize as it stands in the header.
    rois : DataFrame
        One row an ROI object (`ROI_COLUMNS`); SERIESUID is the series it belongs to, None if none.
    problems : list of dict
        CODE ITEM PATIENTID SERIESUID PATH REASON of everything that was set aside or is missing.
    passed_over : Counter
        Files of other kinds, by SOP class.
    """

    series: pd.DataFrame
    rois: pd.DataFrame
    problems: list[dict[str, Any]] = field(default_factory=list)
    passed_over: Counter = field(default_factory=Counter)


def index_tree(root: str | Path) -> Index:
    """Index every PET series and ROI object below `root`.

    Parameters
    ----------
    root : path
        Any folder tree. Hidden files are left out.

    Returns
    -------
    Index
        Series, ROI objects paired with them, and problems: UNREADABLE_FILE, NOT_QUANTITATIVE_SERIES,
        ROI_OF_ANOTHER_PATIENT, ROI_WITHOUT_SCAN, ROI_AMBIGUOUS, SCAN_WITHOUT_ROI.

    Raises
    ------
    FileNotFoundError
        NO_DATA_FOLDER if `root` is no folder.

    Notes
    -----
    The header of the first file of each series is parsed. A further file counts as the same series when the
    series UID and SOP class in its first bytes are the same; ``load_pet`` reads every file in full and
    refuses a series whose slices disagree.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(
            f"NO_DATA_FOLDER: no folder {root.name!r}; put the DICOM files there or name another"
        )
    walk = _Walk()
    with disable_value_validation():
        for path in _files(root):
            walk.add(root, path)
    series = _series_frame(walk)
    rois = pd.DataFrame(walk.rois, columns=ROI_COLUMNS)
    rois["SERIESUID"] = [pair_roi(roi, series, walk.problems) for roi in walk.rois]
    rois["SERIESUID"] = rois["SERIESUID"].astype(object)
    for row in series[~series["SERIESUID"].isin(rois["SERIESUID"])].itertuples(index=False):
        walk.report("SCAN_WITHOUT_ROI", "scan", row.PATH, "no ROI object refers to this scan", row)
    return Index(series, rois, walk.problems, walk.passed_over)


class _Walk:
    """State of one walk: series and ROI objects seen so far, and files that could not be used."""

    def __init__(self):
        self.series: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[str]] = defaultdict(list)
        self.kinds: dict[tuple[bytes, bytes], str | None] = {}
        self.rois: list[dict[str, Any]] = []
        self.problems: list[dict[str, Any]] = []
        self.passed_over: Counter = Counter()
        self.unreadable: list[str] = []

    def add(self, root: Path, path: str) -> None:
        """Read as little of one file as tells what it is, and record it."""
        if path.endswith((".nii", ".nii.gz")):
            self.rois.append(_roi_row(path, "NIFTI"))
            return
        try:
            token = _peek(root / path)
        except OSError:  # a dangling link, a file without permission: its scan is refused, not the study
            self._unreadable(path)
            return
        if token in self.kinds:
            self._count(self.kinds[token], token, path)
            return
        try:
            ds = pydicom.dcmread(root / path, stop_before_pixels=True, specific_tags=_TAGS)
        except InvalidDicomError:
            self._not_dicom(path)
            return
        except Exception:  # pydicom raises many types on damaged files: each means the same to us
            self._unreadable(path)
            return
        self._record(ds, token, path)

    def report(self, code: str, item: str, path: str, reason: str, row: Any = None) -> None:
        """Add a problem."""
        known = {"PATIENTID": getattr(row, "PATIENTID", None), "SERIESUID": getattr(row, "SERIESUID", None)}
        self.problems.append({"CODE": code, "ITEM": item, **known, "PATH": path, "REASON": reason})

    def _record(self, ds: pydicom.Dataset, token: Any, path: str) -> None:
        sop_class = str(ds.file_meta.get("MediaStorageSOPClassUID", "") or ds.get("SOPClassUID", ""))
        uid = str(ds.get("SeriesInstanceUID", ""))
        if sop_class in ROI_CLASSES:
            self.rois.append(_roi_row(path, ROI_CLASSES[sop_class], ds))
            return
        is_pet = sop_class in PET_CLASSES
        if is_pet and not uid:
            self._unreadable(path)
            return
        if is_pet and uid not in self.series:
            self.series[uid] = _series_row(ds, uid)
        # Only a token that stands for exactly this series may speak for the files that follow.
        if token is not None and token[1] == uid.encode():
            self.kinds[token] = uid if is_pet else None
        self._count(uid if is_pet else None, (sop_class.encode(), b""), path)

    def _count(self, uid: str | None, token: Any, path: str) -> None:
        if uid is None:
            self.passed_over[token[0].decode("ascii", "replace")] += 1
        else:
            self.members[uid].append(path)

    def _not_dicom(self, path: str) -> None:
        if PurePosixPath(path).suffix.lower() == ".dcm":
            self._unreadable(path)
        else:
            self.passed_over["not DICOM"] += 1

    def _unreadable(self, path: str) -> None:
        self.unreadable.append(path)
        self.report(
            "UNREADABLE_FILE",
            "record",
            path,
            f"{path}: no DICOM header could be read; send the file again, or take it away if it is no image",
        )


def _files(root: Path) -> Iterator[str]:
    """Yield every file below `root`, relative, in an order that does not depend on the file system."""
    for folder, below, names in os.walk(root, followlinks=True):
        # Patients' folders are often links to where the images lie; a link to a folder above would not end.
        real = Path(folder).resolve()
        below[:] = sorted(
            name
            for name in below
            if not name.startswith(".") and (real / name).resolve() not in (real, *real.parents)
        )
        inside = PurePosixPath(Path(folder).relative_to(root).as_posix())
        for name in sorted(names):
            if not name.startswith("."):
                yield str(inside / name)


def _peek(path: Path) -> tuple[bytes, bytes] | None:
    """Return SOP class and series UID from a file's first bytes, None where only a full parse can tell."""
    with open(path, "rb", buffering=0) as stream:
        head = stream.read(_HEAD_BYTES)
    if head[128:132] != b"DICM":
        return None
    at_class, at_series = head.find(_SOP_CLASS, 132), head.find(_SERIES_UID, 132)
    # A reference to other series comes before the file's own series UID: the bytes found may be that one's.
    if at_class < 0 or at_series < 0 or 0 <= head.find(_REFERENCES, 132) < at_series:
        return None
    return _value(head, at_class), _value(head, at_series)


def _value(head: bytes, at: int) -> bytes:
    length = int.from_bytes(head[at + 6 : at + 8], "little")
    return head[at + 8 : at + 8 + length].rstrip(b"\0 ")


def _series_row(ds: pydicom.Dataset, uid: str) -> dict[str, Any]:
    dates = (str(ds.get(key) or "") for key in ("AcquisitionDate", "SeriesDate", "StudyDate"))
    date = next((text for text in dates if text), None)
    words = [str(word).upper() for word in (ds.get("ImageType") or [])[2:]]
    words += [str(word).upper() for word in (ds.get("SeriesType") or [])[1:2]]
    return {
        "SERIESUID": uid,
        "PATIENTID": _text(ds, "PatientID"),
        "STUDYUID": _text(ds, "StudyInstanceUID"),
        "FORUID": _text(ds, "FrameOfReferenceUID"),
        "SCANDT": pd.to_datetime(date, format="%Y%m%d", errors="coerce") if date else pd.NaT,
        "VENDOR": _text(ds, "Manufacturer"),
        "MODEL": _text(ds, "ManufacturerModelName"),
        "UNITS": _text(ds, "Units"),
        "DECAYCORR": _text(ds, "DecayCorrection"),
        "HEIGHTM": _number(ds, "PatientSize"),
        "UNUSABLE": bool(set(words) & _NOT_QUANTITATIVE),
    }


def _roi_row(path: str, kind: str, ds: pydicom.Dataset | None = None) -> dict[str, Any]:
    ds = pydicom.Dataset() if ds is None else ds
    frames = ds.get("ReferencedFrameOfReferenceSequence") or []
    series = [str(item.SeriesInstanceUID) for item in ds.get("ReferencedSeriesSequence") or []]
    for frame in frames:
        for study in frame.get("RTReferencedStudySequence") or []:
            series += [str(item.SeriesInstanceUID) for item in study.get("RTReferencedSeriesSequence") or []]
    frame_uid = _text(ds, "FrameOfReferenceUID") or next(
        (_text(item, "FrameOfReferenceUID") for item in frames), None
    )
    return {
        "PATH": path,
        "KIND": kind,
        "PATIENTID": _text(ds, "PatientID"),
        "REFSERIESUID": sorted(set(series)),
        "FORUID": frame_uid,
        "SERIESUID": None,
    }


def _text(ds: pydicom.Dataset, keyword: str) -> str | None:
    return str(ds.get(keyword) or "").strip() or None


def _number(ds: pydicom.Dataset, keyword: str) -> float:
    try:
        return float(ds.get(keyword))
    except (TypeError, ValueError):
        return float("nan")


def _series_frame(walk: _Walk) -> pd.DataFrame:
    all_files = [path for paths in walk.members.values() for path in paths]
    folders = Counter(
        str(PurePosixPath(path).parent) for path in all_files + [roi["PATH"] for roi in walk.rois]
    )
    rows = []
    for uid, row in walk.series.items():
        paths = walk.members[uid]
        folder = PurePosixPath(os.path.commonpath([str(PurePosixPath(path).parent) for path in paths]))
        # A damaged file beside a series may be one of its slices: hand it to the loader, which then refuses.
        damaged = [path for path in walk.unreadable if PurePosixPath(path).parent == folder]
        alone = folders[str(folder)] == len(paths) and not damaged
        files = paths + damaged
        row = row | {"PATH": str(folder), "FILES": None if alone else sorted(files), "NFILES": len(paths)}
        if row.pop("UNUSABLE"):
            reason = f"{folder}: a projection or an image without attenuation correction; not measured"
            known = SimpleNamespace(PATIENTID=row["PATIENTID"], SERIESUID=uid)
            walk.report("NOT_QUANTITATIVE_SERIES", "scan", str(folder), reason, known)
            continue
        rows.append(row)
    frame = pd.DataFrame(rows, columns=SERIES_COLUMNS)
    frame["SCANDT"] = pd.to_datetime(frame["SCANDT"])
    return frame.sort_values(["PATH", "SERIESUID"], ignore_index=True)
