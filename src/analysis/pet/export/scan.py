"""Export one scan: a pure function of plain inputs, so that it may run on any worker in any order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from analysis import plan as plans
from analysis.pet.codes import SeriesRefused
from analysis.pet.export.common import to_bytes
from analysis.pet.export.report import Numbers, build_report
from analysis.pet.export.rwv import build_mapping
from analysis.pet.export.seg import build_segmentation
from analysis.pet.export.segments import Segment, list_segments
from analysis.pet.export.source import ExportRefused, Source, read_source
from analysis.pet.measurement import find_regions, load_for_quantification
from analysis.pet.scan_facts import sul_factor
from analysis.pet.series import PetImage

KINDS = ("SEG", "RWV", "SR")  # in the order of making: the report refers to the other two


@dataclass(frozen=True)
class Exported:
    """An exported object, or why there is none.

    Attributes
    ----------
    kind : {"SEG", "RWV", "SR"}
        What it is.
    content : bytes or None
        The DICOM file.
    code, message : str or None
        Why none was made.
    """

    kind: str
    content: bytes | None = None
    code: str | None = None
    message: str | None = None

    @property
    def sha256(self) -> str | None:
        """Digest of the file."""
        return None if self.content is None else hashlib.sha256(self.content).hexdigest()


def export_scan(
    task: Mapping[str, Any],
    rules: plans.Section | Mapping[str, Any] | None = None,
    rows: Iterable[Mapping[str, Any]] = (),
    responses: Iterable[Mapping[str, Any]] = (),
) -> list[Exported]:
    """Make the exchange objects of one measured scan.

    Parameters
    ----------
    task : mapping
        As for `measurement.measure_scan`: the image and its regions are read as they were measured.
    rules : Section or mapping, optional
        Plan section ``pet`` (`exports` and what reading and measuring use).
    rows : iterable of mapping
        Rows of adpet of this scan (LESIONID METRIC AVAL).
    responses : iterable of mapping
        Rows of admr of this subject and visit (RULE METRIC CUT AVALC); may be none.

    Returns
    -------
    list of Exported
        One a kind of `exports`, in the order SEG, RWV, SR. Those that cannot be made have a code:
        ``EXPORT_NOT_POSSIBLE``, ``EXPORT_NO_REGION``, or the refusal of the series.

    Raises
    ------
    ValueError
        EXPORTS_SR_WITHOUT_SEG, EXPORTS_UNKNOWN (a plan that cannot be followed).
    """
    rules = plans.defaults().pet if rules is None else rules
    rules = rules if isinstance(rules, plans.Section) else plans.Section("pet", rules)
    kinds = check_kinds(rules)
    try:
        scan = _read(task, rules, _numbers(task, rows, responses))
    except SeriesRefused as error:
        return [Exported(kind, code=error.code, message=error.message) for kind in kinds]
    return [_attempt(kind, scan) for kind in kinds]


def check_kinds(rules) -> list[str]:
    """Return the kinds of objects the plan asks for, in the order of making.

    Parameters
    ----------
    rules : Section
        Plan section ``pet`` (`exports`).

    Returns
    -------
    list of str
        Of `KINDS`.

    Raises
    ------
    ValueError
        EXPORTS_UNKNOWN, EXPORTS_SR_WITHOUT_SEG.
    """
    unknown = sorted(set(rules.exports) - set(KINDS))
    if unknown:
        raise ValueError(f"EXPORTS_UNKNOWN: pet.exports may hold {', '.join(KINDS)}; found {unknown}")
    if "SR" in rules.exports and "SEG" not in rules.exports:
        raise ValueError("EXPORTS_SR_WITHOUT_SEG: the report refers to the regions; add SEG to pet.exports")
    return [kind for kind in KINDS if kind in rules.exports]


@dataclass(eq=False)
class _Scan:
    pet: PetImage
    source: Source
    segments: list[Segment]
    sul_per_suv: float
    numbers: Numbers
    rules: plans.Section
    made: dict[str, Dataset]


def _read(task: Mapping[str, Any], rules: plans.Section, numbers: Numbers) -> _Scan:
    pet = load_for_quantification(task, rules)
    segments = list_segments(find_regions(task, pet, rules), task["scan"], rules)
    factor = sul_factor(pet, rules, task.get("height_m"))[0]
    return _Scan(pet, read_source(task, pet), segments, factor, numbers, rules, {})


def _numbers(task, rows, responses) -> Numbers:
    values: dict[str, dict[str, float]] = {}
    for row in rows:
        values.setdefault(row["LESIONID"], {})[row["METRIC"]] = row["AVAL"]
    asked = sorted(responses, key=lambda row: (row["RULE"], row["METRIC"], row["CUT"]))
    return Numbers(task["scan"], values, asked)


def _attempt(kind: str, scan: _Scan) -> Exported:
    try:
        scan.made[kind] = _MAKERS[kind](scan)
    except ExportRefused as error:
        return Exported(kind, code=error.code, message=error.message)
    return Exported(kind, to_bytes(scan.made[kind]))


def _make_seg(scan: _Scan) -> Dataset:
    if not scan.segments:
        raise _no_region()
    return build_segmentation(scan.pet, scan.source, scan.segments)


def _make_rwv(scan: _Scan) -> Dataset:
    return build_mapping(scan.source, scan.sul_per_suv, scan.rules.sul_formula)


def _make_sr(scan: _Scan) -> Dataset:
    if not scan.segments:
        raise _no_region()
    if "SEG" not in scan.made:
        raise ExportRefused(
            "EXPORT_NOT_POSSIBLE", "the report refers to the segmentation, which could not be made; see there"
        )
    return build_report(
        scan.source, scan.segments, scan.made["SEG"], scan.made.get("RWV"), scan.numbers, scan.rules
    )


def _no_region() -> ExportRefused:
    return ExportRefused(
        "EXPORT_NO_REGION", "a lesion or reference region with a voxel expected, found none: nothing to write"
    )


_MAKERS: dict[str, Callable[[_Scan], Dataset]] = {"SEG": _make_seg, "RWV": _make_rwv, "SR": _make_sr}
