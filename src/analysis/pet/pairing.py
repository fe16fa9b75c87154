"""Pair ROI objects with the PET series they were drawn on, never across patients, never by guessing."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.pet import filekind
from analysis.pet.walk import COPY, Walk, same_bytes

_UID = re.compile(rb"(?<![0-9.])[0-9]+(?:\.[0-9]+){3,}")
_ATTENUATION = "ATTN"
_DIGITS = re.compile(r"\d+")
_MAP = "name the one to use by ROIPATH in scan_map.csv"


def pair_rois(rois: pd.DataFrame, series: pd.DataFrame, walk: Walk) -> pd.DataFrame:
    """Pair every ROI object with its series, and report those that cannot be.

    Parameters
    ----------
    rois, series : DataFrame
        As in `analysis.pet.index.Index`; SERIESUID of `rois` is replaced.
    walk : Walk
        The finished walk: receives problems ROI_OF_ANOTHER_PATIENT, ROI_WITHOUT_SCAN, ROI_AMBIGUOUS,
        ROI_DUPLICATE and SCAN_WITHOUT_ROI.

    Returns
    -------
    DataFrame
        `rois` without identical copies, with SERIESUID.

    Notes
    -----
    The series an object names comes first; then, within the patient, its frame of reference (regions drawn
    on the CT of the same study), the study, attenuation-corrected series only, and the single images it
    names. A NIfTI mask has only its place: in or below the folder of one series, or below the folder that
    holds that one, where no other series and no DICOM of another patient lies.
    """
    places = _Places(series, walk)
    found = [_match(roi, series, walk, places) for roi in rois.to_dict("records")]
    rois = rois.assign(SERIESUID=pd.Series(found, index=rois.index, dtype=object))
    rois = _drop_copies(rois, walk)
    rois = _set_duplicates_aside(rois, series, walk)
    walk.problems.extend(scans_without_roi(series, rois, walk.problems))
    return rois.reset_index(drop=True)


def scans_without_roi(
    series: pd.DataFrame, rois: pd.DataFrame, problems: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """List the series without ROI object, except where several were set aside as ambiguous.

    Parameters
    ----------
    series, rois : DataFrame
        As in `analysis.pet.index.Index`.
    problems : iterable of mapping
        What was found so far.

    Returns
    -------
    list of dict
        Problems SCAN_WITHOUT_ROI.
    """
    told = {problem["SERIESUID"] for problem in problems if problem["CODE"] == "ROI_DUPLICATE"}
    alone = series[~series["SERIESUID"].isin(rois["SERIESUID"]) & ~series["SERIESUID"].isin(told)]
    return [
        {"CODE": "SCAN_WITHOUT_ROI", "ITEM": "scan", "PATIENTID": row.PATIENTID, "SERIESUID": row.SERIESUID,
         "PATH": row.PATH, "REASON": "no ROI object refers to this scan"}
        for row in alone.itertuples(index=False)
    ]  # fmt: skip


def _match(roi: dict[str, Any], series: pd.DataFrame, walk: Walk, places: _Places) -> str | None:
    if roi["KIND"] == "NIFTI":
        near, foreign = places.of_mask(roi["PATH"])
        if len(near) == 1 and not foreign:
            return near["SERIESUID"].iloc[0]
        reason = "a mask without header must lie in, below or beside the folder of one PET series, "
        reason += "with DICOM of another patient" if foreign else f"found {len(near)}"
        return _report(walk, "ROI_AMBIGUOUS", roi, f"{reason}; {_MAP}", series.head(0) if foreign else near)
    near = _series_nearby(roi["PATH"], series)
    referred = _referred(roi, series)
    stated = roi["PATIENTID"] is not None
    other = stated and not referred.empty and roi["PATIENTID"] not in set(referred["PATIENTID"])
    misplaced = stated and not near.empty and roi["PATIENTID"] not in set(near["PATIENTID"])
    if other or misplaced:
        reason = "made for another patient than the scan it refers to or lies by; "
        reason += "send the ROI file of this scan"
        concerned = near if len(near) == 1 or referred.empty else referred
        return _report(walk, "ROI_OF_ANOTHER_PATIENT", roi, reason, concerned)
    if stated:
        referred = referred[referred["PATIENTID"] == roi["PATIENTID"]]
    if referred.empty:
        reason = "refers to a series that is not here; send that series, or the ROI file of this scan"
        return _report(walk, "ROI_WITHOUT_SCAN", roi, reason, referred)
    referred = _narrow(roi, referred, walk)
    if len(referred) > 1:
        reason = f"fits {len(referred)} PET series, it must name one; {_MAP}"
        return _report(walk, "ROI_AMBIGUOUS", roi, reason, referred)
    return referred["SERIESUID"].iloc[0]


def _report(walk: Walk, code: str, roi: dict[str, Any], reason: str, concerned: pd.DataFrame) -> None:
    """Book the problem on the one scan, or patient, it concerns; the ROI's own patient is not named."""
    one = concerned["SERIESUID"].iloc[0] if len(concerned) == 1 else None
    patients = concerned["PATIENTID"].unique()
    patient = patients[0] if len(patients) == 1 else None
    if concerned.empty:
        patient = roi["PATIENTID"]
    walk.report(code, "record", roi["PATH"], reason, SERIESUID=one, PATIENTID=patient)


def _referred(roi: dict[str, Any], series: pd.DataFrame) -> pd.DataFrame:
    named = series[series["SERIESUID"].isin(roi["REFSERIESUID"])]
    if not named.empty:
        return named
    same = series[series["FORUID"].isin(roi["FORUID"])]
    own = same[same["PATIENTID"] == roi["PATIENTID"]]
    return same if own.empty else own


def _narrow(roi: dict[str, Any], series: pd.DataFrame, walk: Walk) -> pd.DataFrame:
    """Narrow several candidates by study, by attenuation correction, and by the images the object names."""
    if len(series) > 1:
        study = series[series["STUDYUID"] == roi["STUDYUID"]]
        series = series if study.empty else study
    if len(series) > 1:
        corrected = series[[not words or _ATTENUATION in words for words in series["CORRECTIONS"]]]
        series = series if corrected.empty else corrected
    if len(series) > 1:
        named = _images_named(Path(walk.root) / roi["PATH"])
        by_image = series[[not named.isdisjoint(walk.instances[uid]) for uid in series["SERIESUID"]]]
        series = series if by_image.empty else by_image
    return series


def _images_named(path: Path) -> set[str]:
    """Return every UID that stands anywhere in a file: contours name the images they were drawn on."""
    try:
        return {uid.decode() for uid in _UID.findall(path.read_bytes())}
    except OSError:
        return set()


def _series_nearby(path: str, series: pd.DataFrame) -> pd.DataFrame:
    """Return the series below the nearest folder above `path` that holds any."""
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        inside = series["PATH"].map(lambda p, f=folder: not f or p == f or p.startswith(f"{f}/"))
        if inside.any():
            return series[inside]
    return series.head(0)


class _Places:
    """Where the series of a tree lie: all that a mask without header can be paired by."""

    def __init__(self, series: pd.DataFrame, walk: Walk):
        self.series = series
        self.walk = walk
        self.slices = {path for files in series["FILES"] for path in files}
        self._foreign: dict[str, bool] = {}

    def of_mask(self, path: str) -> tuple[pd.DataFrame, bool]:
        """Return the series of the place a mask lies in, and whether another patient's DICOM lies there."""
        folder = path.rpartition("/")[0]
        place = self._place(folder)
        if place is None:
            return self.series.head(0), False
        near = self.series[[_is_below(known, place) for known in self.series["PATH"]]]
        if len(near) != 1:
            return near, False
        if place not in self._foreign:
            self._foreign[place] = self._holds_another(place, near["PATIENTID"].iloc[0])
        return near, self._foreign[place]

    def _place(self, folder: str) -> str | None:
        """Return the nearest folder above a mask that is that of a series, or holds that of one."""
        known = {"" if path == "." else path for path in self.series["PATH"]}
        above = folder
        while True:
            if above in known:
                return above
            beside = {path for path in known if path and path.rpartition("/")[0] == above}
            # P02 beside P01 is another patient or visit; mask or roi beside pet belongs to it.
            branch = folder[len(above) :].strip("/").partition("/")[0]
            if beside and _shape(branch) not in {_shape(path.rpartition("/")[2]) for path in beside}:
                return above
            if beside or not above:
                return None
            above = above.rpartition("/")[0]

    def _holds_another(self, place: str, patient: str | None) -> bool:
        """Tell whether an object below a folder, one a folder is looked at, names another patient."""
        objects = [roi for roi in self.walk.rois if _is_below(roi["PATH"], place)]
        if any(_another(roi["PATIENTID"], patient) for roi in objects):
            return True
        files, start = self.walk.files, f"{place}/" if place else ""
        looked = set()
        for path in files[bisect_left(files, start) :]:
            if not path.startswith(start):
                break
            folder = path.rpartition("/")[0]
            if folder in looked or path in self.slices or path not in self.walk.objects:
                continue
            looked.add(folder)
            if _another(self._patient_of(path), patient):
                return True
        return False

    def _patient_of(self, path: str) -> str | None:
        try:
            ds = filekind.read_header(f"{self.walk.root}/{path}")
        except Exception:  # pydicom raises many types on damaged files: such a file names nobody
            return None
        return str(ds.get("PatientID") or "").strip() or None


def _is_below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _another(found: str | None, patient: str | None) -> bool:
    return found is not None and found != patient


def _shape(name: str) -> str:
    return _DIGITS.sub("#", name)


def _drop_copies(rois: pd.DataFrame, walk: Walk) -> pd.DataFrame:
    """Leave out objects of one series that repeat another one byte for byte."""
    known = rois[rois["SERIESUID"].notna() & rois["INSTANCEUID"].notna()]
    repeated = known[known.duplicated(["SERIESUID", "INSTANCEUID"], keep="first")]
    dropped = []
    for position, row in zip(repeated.index, repeated.to_dict("records")):
        same = known[(known["INSTANCEUID"] == row["INSTANCEUID"]) & (known["SERIESUID"] == row["SERIESUID"])]
        if same_bytes(walk.root, same["PATH"].iloc[0], row["PATH"]):
            walk.fate[row["PATH"]] = COPY
            dropped.append(position)
    return rois.drop(index=dropped)


def _set_duplicates_aside(rois: pd.DataFrame, series: pd.DataFrame, walk: Walk) -> pd.DataFrame:
    """Set aside objects of one series that hold regions of the same name: two readers, or two versions."""
    patients = dict(zip(series["SERIESUID"], series["PATIENTID"]))
    aside = []
    for uid, objects in rois[rois["SERIESUID"].notna()].groupby("SERIESUID", sort=True):
        holders: dict[str, list[Any]] = defaultdict(list)
        for position, names in objects["NAMES"].items():
            for name in {text.casefold() for text in names}:
                holders[name].append(position)
        shared = {name: places for name, places in holders.items() if len(places) > 1}
        count = Counter(place for places in shared.values() for place in places)
        for position in sorted(count):
            reason = (
                f"{count[position]} of its regions are also in another ROI object of this scan (two readers, "
                f"or two versions); {_MAP}"
            )
            path = objects.loc[position, "PATH"]
            walk.report("ROI_DUPLICATE", "record", path, reason, SERIESUID=uid, PATIENTID=patients[uid])
            aside.append(position)
    rois.loc[aside, "SERIESUID"] = None
    return rois
