"""Index a folder tree: which PET series lie in it, which ROI objects, and what belongs together.

Folder and file names mean nothing here; only headers do. What cannot be used is a problem with a code, never
silent, and every file has one fate.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pydicom.config import disable_value_validation

from analysis.pet.damage import attribute_damaged
from analysis.pet.pairing import pair_rois
from analysis.pet.walk import Walk

SERIES_COLUMNS = ["SERIESUID", "PATIENTID", "STUDYUID", "FORUID", "SCANDT", "VENDOR", "MODEL", "UNITS"]
SERIES_COLUMNS += ["DECAYCORR", "HEIGHTM", "CORRECTIONS", "PATH", "FILES", "NFILES", "DAMAGED", "STATED"]
SERIES_COLUMNS += ["MISSING"]
ROI_COLUMNS = ["PATH", "KIND", "PATIENTID", "STUDYUID", "INSTANCEUID", "REFSERIESUID", "FORUID", "NAMES"]
ROI_COLUMNS += ["SERIESUID"]


@dataclass(frozen=True)
class Index:
    """What a tree holds.

    Attributes
    ----------
    series : DataFrame
        One row a PET series (`SERIES_COLUMNS`). PATH is its folder under the root; FILES lists its files,
        identical copies left out; DAMAGED lists unreadable files that may be slices of it. HEIGHTM is
        PatientSize as it stands in the header, STATED the number of slices it states (NaN if none); MISSING
        counts images that a DICOMDIR lists and that are not here.
    rois : DataFrame
        One row an ROI object (`ROI_COLUMNS`); SERIESUID is the series it belongs to, None if none.
    problems : list of dict
        CODE ITEM PATIENTID SERIESUID PATH REASON of everything that was set aside or is missing.
    fate : dict
        File -> what it is (``PET image``, ``ROI object``, ``identical copy``, ``unreadable``, or the kind it
        was passed over as), every file below the root once.
    passed_over : Counter
        Files of other kinds, by kind.
    """

    series: pd.DataFrame
    rois: pd.DataFrame
    problems: list[dict[str, Any]] = field(default_factory=list)
    fate: dict[str, str] = field(default_factory=dict)
    passed_over: Counter = field(default_factory=Counter)


def index_tree(root: str | Path, report: Callable[[str, int, int], None] | None = None) -> Index:
    """Index every PET series and ROI object below `root`.

    Parameters
    ----------
    root : path
        Any folder tree, with a DICOMDIR or without. Hidden files are left out; links are followed, each
        folder once.
    report : callable, optional
        Progress of a large tree: called with what, files done, files in all; default
        ``analysis.progress.report``.

    Returns
    -------
    Index
        Series, ROI objects paired with them, and problems: UNREADABLE_FILE, UNREADABLE_FOLDER,
        NOT_QUANTITATIVE_SERIES, ARCHIVE_NOT_OPENED, IDENTICAL_COPIES, DICOMDIR_FILE_MISSING,
        DICOMDIR_UNREADABLE, and those of `analysis.pet.pairing.pair_rois`.

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
    with disable_value_validation():
        walk = Walk(str(root)).run(report)
    series = _series_frame(walk, attribute_damaged(walk))
    rois = pair_rois(pd.DataFrame(walk.rois, columns=ROI_COLUMNS), series, walk)
    return Index(series, rois, walk.problems, walk.fate, walk.passed_over())


def _series_frame(walk: Walk, damaged: dict[str, list[str]]) -> pd.DataFrame:
    rows = []
    for uid, known in walk.series.items():
        paths = sorted(walk.members[uid])
        folder = posixpath.commonpath([path.rpartition("/")[0] or "." for path in paths]) or "."
        known["PATH"], who = folder, {"SERIESUID": uid, "PATIENTID": known["PATIENTID"]}
        if known["UNUSABLE"]:
            reason = "a projection or an image without attenuation correction; not measured"
            walk.report("NOT_QUANTITATIVE_SERIES", "record", folder, reason, **who)
            walk.fate.update(dict.fromkeys(paths, "PET image, not quantitative"))
            continue
        if walk.copies[uid]:
            reason = (
                f"{walk.copies[uid]} files repeat another of this series byte for byte; each is read once"
            )
            walk.report("IDENTICAL_COPIES", "copies", folder, reason, **who)
        counts = {"NFILES": len(paths), "MISSING": walk.missing[uid]}
        rows.append(known | counts | {"FILES": paths, "DAMAGED": damaged.get(uid, [])})
    frame = pd.DataFrame(rows, columns=SERIES_COLUMNS)
    frame["SCANDT"] = pd.to_datetime(frame["SCANDT"])
    return frame.sort_values(["PATH", "SERIESUID"], ignore_index=True)
