"""Pair ROI objects with the PET series they were drawn on, never across patients."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pandas as pd


def pair_roi(roi: dict[str, Any], series: pd.DataFrame, problems: list[dict[str, Any]]) -> str | None:
    """Find the series an ROI object belongs to, or report why there is none.

    Parameters
    ----------
    roi : dict
        Row of ``Index.rois``: what the object refers to, its patient, its place.
    series : DataFrame
        ``Index.series``.
    problems : list of dict
        Receives ROI_OF_ANOTHER_PATIENT, ROI_WITHOUT_SCAN or ROI_AMBIGUOUS.

    Returns
    -------
    str or None
        Series UID. The series it names comes first, then its frame of reference within the patient; a NIfTI
        mask has only its place.
    """
    near = series[series["SERIESUID"].isin(_series_nearby(roi["PATH"], series))]
    code, reason, uid = _match(roi, series, near)
    if code:
        problems.append({"CODE": code, "ITEM": "record", "PATIENTID": roi["PATIENTID"], "SERIESUID": None,
                         "PATH": roi["PATH"], "REASON": f"{roi['PATH']}: {reason}"})  # fmt: skip
    return uid


def _match(roi: dict[str, Any], series: pd.DataFrame, near: pd.DataFrame) -> tuple[str, str, str | None]:
    if roi["KIND"] == "NIFTI":
        if len(near) == 1:
            return "", "", near["SERIESUID"].iloc[0]
        return "ROI_AMBIGUOUS", f"a mask without header beside {len(near)} PET series; one is needed", None
    referred = series[series["SERIESUID"].isin(roi["REFSERIESUID"])]
    if referred.empty and roi["FORUID"]:
        same = series[series["FORUID"] == roi["FORUID"]]
        own = same[same["PATIENTID"] == roi["PATIENTID"]]
        referred = same if own.empty else own
    stated = roi["PATIENTID"] is not None
    other = stated and not referred.empty and roi["PATIENTID"] not in set(referred["PATIENTID"])
    misplaced = stated and not near.empty and roi["PATIENTID"] not in set(near["PATIENTID"])
    if other or misplaced:
        return (
            "ROI_OF_ANOTHER_PATIENT",
            "made for another patient than the scan it refers to or lies by; send the ROI file of this scan",
            None,
        )
    if referred.empty:
        return (
            "ROI_WITHOUT_SCAN",
            "refers to a series that is not here; send that series, or the ROI file of this scan",
            None,
        )
    if len(referred) > 1:
        return "ROI_AMBIGUOUS", f"fits {len(referred)} PET series; it must name one", None
    return "", "", referred["SERIESUID"].iloc[0]


def _series_nearby(path: str, series: pd.DataFrame) -> set[str]:
    """Return the series below the nearest folder above `path` that holds any."""
    for folder in PurePosixPath(path).parents:
        if str(folder) == ".":
            return set(series["SERIESUID"])
        inside = series["PATH"].map(
            lambda p, f=folder: PurePosixPath(p) == f or f in PurePosixPath(p).parents
        )
        if inside.any():
            return set(series.loc[inside, "SERIESUID"])
    return set()
