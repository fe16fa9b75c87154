"""What the index keeps of a header: of a PET series, and of an object that holds regions."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pydicom

from analysis.pet.clock import parse_date
from analysis.pet.codes import keep_code, keep_model

_NOT_QUANTITATIVE = {"MIP", "NAC", "REPROJECTION"}
_DATES = ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate")


def series_row(ds: pydicom.Dataset, uid: str) -> dict[str, Any]:
    """Tell what the index needs of a PET series from the header of one of its files.

    Parameters
    ----------
    ds : pydicom.Dataset
        Header.
    uid : str
        Series Instance UID.

    Returns
    -------
    dict
        Row of ``Index.series`` without places, and UNUSABLE for a projection or an uncorrected image.
    """
    date = next((day for day in (_day(ds, key) for key in _DATES) if day), None)
    words = [str(word).upper() for word in (ds.get("ImageType") or [])[2:]]
    words += [str(word).upper() for word in (ds.get("SeriesType") or [])[1:2]]
    done = ds.get("CorrectedImage") or []
    return {
        "SERIESUID": uid,
        "PATIENTID": _text(ds, "PatientID"),
        "STUDYUID": _text(ds, "StudyInstanceUID"),
        "FORUID": _text(ds, "FrameOfReferenceUID"),
        "SCANDT": pd.to_datetime(date, errors="coerce") if date else pd.NaT,
        "VENDOR": _text(ds, "Manufacturer"),
        "MODEL": keep_model(_text(ds, "ManufacturerModelName")),
        "UNITS": keep_code(_text(ds, "Units"), "units") or None,
        "DECAYCORR": keep_code(_text(ds, "DecayCorrection"), "decay") or None,
        "HEIGHTM": _number(ds, "PatientSize"),
        "CORRECTIONS": [done.upper()] if isinstance(done, str) else [str(word).upper() for word in done],
        "STATED": _number(ds, "NumberOfSlices"),
        "UNUSABLE": bool(set(words) & _NOT_QUANTITATIVE),
    }


def roi_row(path: str, kind: str, ds: pydicom.Dataset | None = None) -> dict[str, Any]:
    """Tell what an ROI object is, what it refers to and which regions it holds.

    Parameters
    ----------
    path : str
        Its file.
    kind : {"SEG", "RTSTRUCT", "NIFTI"}
        What it is.
    ds : pydicom.Dataset, optional
        Its header; a NIfTI mask has none.

    Returns
    -------
    dict
        Row of ``Index.rois``, not yet paired.
    """
    name = path.rsplit("/", 1)[-1]
    names = [name.removesuffix(".gz").rsplit(".", 1)[0]] if kind == "NIFTI" else []
    ds = pydicom.Dataset() if ds is None else ds
    frames = ds.get("ReferencedFrameOfReferenceSequence") or []
    series = [_text(item, "SeriesInstanceUID") for item in ds.get("ReferencedSeriesSequence") or []]
    for frame in frames:
        for study in frame.get("RTReferencedStudySequence") or []:
            items = study.get("RTReferencedSeriesSequence") or []
            series += [_text(item, "SeriesInstanceUID") for item in items]
    names += [_text(item, "SegmentLabel") for item in ds.get("SegmentSequence") or []]
    names += [_text(item, "ROIName") for item in ds.get("StructureSetROISequence") or []]
    frame_uids = [_text(ds, "FrameOfReferenceUID"), *(_text(item, "FrameOfReferenceUID") for item in frames)]
    return {
        "PATH": path,
        "KIND": kind,
        "PATIENTID": _text(ds, "PatientID"),
        "STUDYUID": _text(ds, "StudyInstanceUID"),
        "INSTANCEUID": _text(ds, "SOPInstanceUID"),
        "REFSERIESUID": sorted({uid for uid in series if uid}),
        "FORUID": sorted({uid for uid in frame_uids if uid}),
        "NAMES": [text for text in names if text],
        "SERIESUID": None,
    }


def _day(ds: pydicom.Dataset, keyword: str) -> Any:
    text = _text(ds, keyword) or ""
    return parse_date(text[:8] if keyword.endswith("DateTime") else text)


def _text(ds: pydicom.Dataset, keyword: str) -> str | None:
    return str(ds.get(keyword) or "").strip() or None


def _number(ds: pydicom.Dataset, keyword: str) -> float:
    try:
        return float(ds.get(keyword))
    except (TypeError, ValueError):
        return float("nan")
