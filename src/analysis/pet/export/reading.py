"""Read measurements back: what this package wrote, and structured reports of other writers.

Writers differ in the spelling of units (``{SUVbw}g/ml``), in the age of codes (SRT for SCT) and in the method
they name; what counts here is quantity, derivation and unit. A number whose quantity is not known keeps its
row, without a METRIC.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom
import pandas as pd
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from analysis.pet.dicomfile import DamagedFile, read_complete
from analysis.pet.export.codes import SCHEME
from analysis.pet.realworld import unit_of

SR_COLUMNS = ["TRACKINGID", "TRACKINGUID", "TIMEPOINT", "FINDING", "SITE", "METRIC", "AVAL", "UNIT"]
SR_COLUMNS += ["CONCEPT", "DERIVATION", "METHOD"]
BACK_COLUMNS = ["USUBJID", "AVISIT", "LESIONID", "METRIC", "AVAL", "AVALC", "UNIT"]

# Codes by meaning, of SCT and of the SRT it replaced.
_GROUP = {"125007"}
_ID, _UID, _TIME = {"112039"}, {"112040"}, {"C2348792"}
_FINDING, _SITE = {"121071"}, {"363698007", "G-C0E3"}
_DERIVATION, _METHOD = {"121401"}, {"370129005", "G-C306"}
_DERIVED = {
    "56851009": "MAX", "G-A437": "MAX", "373098007": "MEAN", "R-00317": "MEAN", "373099004": "MED",
    "R-00319": "MED", "386136009": "SD", "R-10047": "SD", "255605001": "MIN", "R-404FB": "MIN",
    "126031": "PEAK",
}  # fmt: skip
_UPTAKE = {"126400", "126401", "126402", "126405", "126406"}
_SUV, _SUL = {"GML_BW"}, {"GML_LBM", "GML_LBMJANMA", "GML_LBMJAMES128"}
_VOLUMES = {"118565006": "VOLUME", "G-D705": "VOLUME", "126032": "MTV", "126033": "TLG"}
_MILLILITRES = {"ml": 1.0, "mL": 1.0, "cm3": 1.0, "mm3": 1e-3, "l": 1e3, "L": 1e3}


def read_sr(path: str | Path) -> pd.DataFrame:
    """Read the numbers of the measurement groups of a structured report (TID 1500), of any writer.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    DataFrame
        One row a number: TRACKINGID TRACKINGUID TIMEPOINT FINDING SITE (in words), METRIC (as in adpet; MTV
        and TLG without a suffix where the report does not name a threshold of this project; None for what is
        no metric of PET), AVAL (float64 where the report has it; volumes in ml), UNIT (g/ml, ml, g, else as
        it stands), CONCEPT DERIVATION METHOD (code meanings).

    Raises
    ------
    ValueError
        SR_UNREADABLE (no structured report, or a damaged one), SR_NO_MEASUREMENTS.
    """
    with disable_value_validation():
        try:
            ds = read_complete(str(path))
        except DamagedFile:
            ds = None
        if ds is None or "ContentSequence" not in ds:
            raise ValueError(
                "SR_UNREADABLE: a DICOM structured report expected, found none or a damaged one; resend"
            )
        rows = [row for group in _groups(ds) for row in _numbers(group)]
    if not rows:
        raise ValueError(
            "SR_NO_MEASUREMENTS: a report with measurement groups (TID 1500) expected, found no number; "
            "send the measurement report"
        )
    return pd.DataFrame(rows, columns=SR_COLUMNS)


def _groups(ds: Dataset) -> Iterator[Dataset]:
    for item in ds.get("ContentSequence") or ():
        if item.get("ValueType") == "CONTAINER" and _name(item) in _GROUP:
            yield item
        else:
            yield from _groups(item)


def _numbers(group: Dataset) -> Iterator[dict[str, Any]]:
    items = list(group.get("ContentSequence") or ())
    shared = {
        "TRACKINGID": _said(items, _ID), "TRACKINGUID": _said(items, _UID), "TIMEPOINT": _said(items, _TIME),
        "FINDING": _said(items, _FINDING), "SITE": _said(items, _SITE),
    }  # fmt: skip
    for item in items:
        measured = item.get("MeasuredValueSequence")
        if item.get("ValueType") == "NUM" and measured:
            yield shared | _number(item, measured[0])


def _number(item: Dataset, measured: Dataset) -> dict[str, Any]:
    below = list(item.get("ContentSequence") or ())
    derivation, method = _coded(below, _DERIVATION), _coded(below, _METHOD)
    value = float(measured.get("FloatingPointValue", measured.get("NumericValue")))
    metric, value, unit = _as_metric(_name(item), _value(derivation), method, _unit(measured), value)
    return {
        "METRIC": metric,
        "AVAL": value,
        "UNIT": unit,
        "CONCEPT": _meaning(item.ConceptNameCodeSequence[0]),
        "DERIVATION": _meaning(derivation),
        "METHOD": _meaning(method),
    }


def _as_metric(
    concept: str, derivation: str, method: Dataset | None, unit: str, value: float
) -> tuple[str | None, float, str]:
    if concept in _UPTAKE:
        kind = unit_of(unit)
        prefix = "SUV" if kind in _SUV else "SUL" if kind in _SUL else None
        ending = _DERIVED.get(derivation)
        return (f"{prefix}{ending}" if prefix and ending else None), value, "g/ml" if prefix else unit
    if concept not in _VOLUMES:
        return None, value, unit
    metric = _VOLUMES[concept]
    if method is not None and method.get("CodingSchemeDesignator") == SCHEME:
        metric += _value(method).removeprefix("MTV")
    if metric.startswith("TLG"):
        return metric, value, unit
    return metric, value * _MILLILITRES.get(unit, 1.0), "ml" if unit in _MILLILITRES else unit


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return _value(names[0]) if names else ""


def _coded(items: list[Dataset], concept: set[str]) -> Dataset | None:
    """Return the code that answers a concept, None if there is none."""
    answers = (item.get("ConceptCodeSequence") for item in items if _name(item) in concept)
    return next((answer[0] for answer in answers if answer), None)


def _said(items: list[Dataset], concept: set[str]) -> str | None:
    """Return what answers a concept, in words."""
    for item in items:
        if _name(item) in concept:
            codes = item.get("ConceptCodeSequence")
            return (
                _meaning(codes[0]) if codes else str(item.get("TextValue") or item.get("UID") or "") or None
            )
    return None


def _unit(measured: Dataset) -> str:
    codes = measured.get("MeasurementUnitsCodeSequence")
    return _value(codes[0]) if codes else ""


def _value(code: Dataset | None) -> str:
    values = (code.get(key) for key in ("CodeValue", "LongCodeValue", "URNCodeValue")) if code else ()
    return next((str(value) for value in values if value), "")


def _meaning(code: Dataset | None) -> str | None:
    return None if code is None else str(code.get("CodeMeaning") or "") or None


def read_back(folder: str | Path) -> pd.DataFrame:
    """Read all reports below a folder written by `export_study`, with highdicom (half a second each).

    Parameters
    ----------
    folder : path
        Its folder ``dicom``: a folder a subject, in it one a visit.

    Returns
    -------
    DataFrame
        USUBJID AVISIT LESIONID METRIC AVAL AVALC UNIT: numbers as in adpet; a metabolic response has
        LESIONID ``TOTAL``, its METRIC is ``<RULE>.<METRIC>.<CUT>`` and AVALC its class.
    """
    rows = []
    for path in sorted(Path(folder).rglob("sr.dcm")):
        where = {"USUBJID": path.parent.parent.name, "AVISIT": path.parent.name}
        rows += [where | row for row in _report(path)]
    return pd.DataFrame(rows, columns=BACK_COLUMNS)


def _report(path: Path) -> Iterator[dict[str, Any]]:
    content = highdicom.sr.srread(path).content
    groups = content.get_volumetric_roi_measurement_groups() + content.get_image_measurement_groups()
    for group in groups:
        lesion = group.tracking_identifier
        for one in group.get_measurements():
            metric, value, unit = _as_metric(
                one.name.value,
                one.derivation.value if one.derivation else "",
                one.method,
                one.unit.value,
                one.value,
            )
            total = lesion == "TOTAL" and metric is not None
            yield {
                "LESIONID": lesion,
                "METRIC": f"T{metric}" if total else metric,
                "AVAL": value,
                "UNIT": unit,
            }
        for one in group.get_qualitative_evaluations():
            yield {"LESIONID": lesion, "METRIC": one.name.value, "AVALC": one.value.value}
