"""Numbers of a scan as a DICOM structured report (TID 1500): one group a lesion, by the codes of `codes`.

A value is written twice: as decimal string of at most 16 characters, rounded to what fits, and as the float64
itself (Floating Point Value), which is the number of the table, bit by bit. A metric without a value (NaN) is
not written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom
from pydicom.sr.coding import Code

from analysis.pet.export import codes
from analysis.pet.export.common import (
    DEVICE_UID,
    MANUFACTURER,
    MODEL,
    VERSION,
    code_item,
    item,
    references,
    set_shared_modules,
)
from analysis.pet.export.seg import SEGMENTATION
from analysis.pet.export.segments import Segment, tracking_uid
from analysis.pet.export.source import Source
from analysis.pet.export.uids import derive_uid

TOTAL = "TOTAL"
_CONTENT = 0x0040A730
_CONTEXT = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT


@dataclass(frozen=True)
class Numbers:
    """What is known of a scan.

    Attributes
    ----------
    scan : mapping
        STUDYID USUBJID AVISIT.
    values : mapping
        LESIONID -> METRIC -> AVAL.
    responses : sequence of mapping
        Rows of admr of this subject and visit.
    """

    scan: Mapping[str, Any]
    values: Mapping[str, Mapping[str, float]]
    responses: Sequence[Mapping[str, Any]] = ()


def build_report(
    source: Source,
    segments: Sequence[Segment],
    segmentation: Dataset,
    mapping: Dataset | None,
    numbers: Numbers,
    rules,
) -> Dataset:
    """Build the report of a scan.

    Parameters
    ----------
    source : Source
        The images.
    segments : sequence of Segment
        Regions, as in `segmentation`.
    segmentation : pydicom.Dataset
        The segmentation it refers to.
    mapping : pydicom.Dataset or None
        The map of SUV factors it refers to, if there is one.
    numbers : Numbers
        Values and responses.
    rules : Section
        Plan section ``pet``.

    Returns
    -------
    pydicom.Dataset
        SOP class Comprehensive 3D SR.

    Raises
    ------
    ExportRefused
        ``EXPORT_NOT_POSSIBLE`` (no date in the source).
    """
    concepts = codes.concepts_of(rules)
    shared = _Shared(source, segmentation, mapping, numbers, concepts)
    groups = [shared.lesion(segment) for segment in segments]
    groups += shared.whole_body()
    whole, first = (
        sr.MeasurementReport(
            observation_context=_observer(), procedure_reported=codes.PROCEDURE, imaging_measurements=some
        )
        for some in (groups, groups[:1])
    )
    uid = derive_uid(
        "SR", VERSION, source.identity, segmentation.SOPInstanceUID, *_contents(numbers, mapping)
    )
    document = sr.Comprehensive3DSR(
        evidence=[_placeholder(source, made) for made in (segmentation, mapping) if made is not None],
        content=first,
        series_instance_uid=derive_uid("series", uid),
        series_number=1,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        coding_schemes=[
            CodingSchemeIdentificationItem(
                codes.SCHEME, name=codes.SCHEME_NAME, responsible_organization=MANUFACTURER
            )
        ],
    )
    # Set afterwards what is large: highdicom would copy and search all of it several times over.
    *context, measured = whole[0].ContentSequence
    document.add_new(_CONTENT, "SQ", [*context, _library(source), measured])
    document.CurrentRequestedProcedureEvidenceSequence = [_evidence(source, segmentation, mapping)]
    set_shared_modules(document, source, "SR", uid, "PET measurements")
    for writer in document.get("ContributingEquipmentSequence") or ():  # highdicom, with the time of day
        writer.pop("ContributionDateTime", None)
    return document


@dataclass(frozen=True)
class _Shared:
    """What every measurement group of a report says alike."""

    source: Source
    segmentation: Dataset
    mapping: Dataset | None
    numbers: Numbers
    concepts: Mapping[str, codes.Concept]

    def lesion(self, segment: Segment) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
        """Return the group of one region."""
        lesion = segment.role == "LESION"
        return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=sr.ReferencedSegment(
                sop_class_uid=SEGMENTATION,
                sop_instance_uid=self.segmentation.SOPInstanceUID,
                segment_number=segment.number,
                source_series=sr.SourceSeriesForSegmentation(self.source.header.SeriesInstanceUID),
            ),
            finding_type=codes.LESION if lesion else codes.REFERENCE_REGION,
            finding_sites=[sr.FindingSite(segment.site)] if segment.site else None,
            measurements=self._measurements(segment.name),
            **self._common(segment.name, segment.tracking_uid),
        )

    def whole_body(self) -> list[sr.MeasurementsAndQualitativeEvaluations]:
        """Return the group of totals and responses, if there are any."""
        measured = self._measurements(TOTAL)
        answers = [
            sr.QualitativeEvaluation(
                *codes.response_codes(row["RULE"], row["METRIC"], row["CUT"], row["AVALC"])
            )
            for row in self.numbers.responses
        ]
        if not measured and not answers:
            return []
        return [
            sr.MeasurementsAndQualitativeEvaluations(
                finding_type=codes.LESION,
                finding_sites=[sr.FindingSite(codes.WHOLE_BODY)],
                measurements=measured or None,
                qualitative_evaluations=answers or None,
                **self._common(TOTAL, tracking_uid(self.numbers.scan, TOTAL)),
            )
        ]

    def _common(self, name: str, uid: str) -> dict[str, Any]:
        visit = str(self.numbers.scan["AVISIT"])
        mapped = None if self.mapping is None else sr.RealWorldValueMap(self.mapping.SOPInstanceUID)
        return {
            "tracking_identifier": sr.TrackingIdentifier(uid=uid, identifier=name),
            "referenced_real_world_value_map": mapped,
            "time_point_context": sr.TimePointContext(visit, protocol_time_point_identifier=visit),
        }

    def _measurements(self, name: str) -> list[sr.Measurement]:
        values = self.numbers.values.get(name, {})
        return [
            sr.Measurement(
                name=concept.name,
                value=float(values[metric]),
                unit=concept.unit,
                derivation=concept.derivation,
                method=concept.method,
            )
            for metric, concept in self.concepts.items()
            if not math.isnan(values.get(metric, math.nan))
        ]


def _contents(numbers: Numbers, mapping: Dataset | None) -> Iterable[str]:
    yield "" if mapping is None else mapping.SOPInstanceUID
    yield "\n".join(str(numbers.scan.get(key)) for key in ("STUDYID", "USUBJID", "AVISIT"))
    for lesion, values in sorted(numbers.values.items()):
        yield "\n".join([lesion, *(f"{metric}={value!r}" for metric, value in sorted(values.items()))])
    for row in numbers.responses:
        yield "\n".join(str(row[key]) for key in ("RULE", "METRIC", "CUT", "AVALC"))


def _observer() -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=DEVICE_UID, manufacturer_name=MANUFACTURER, model_name=MODEL, serial_number=VERSION
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=dicom.DCM.Device, observer_identifying_attributes=device
        )
    )


def _library(source: Source) -> Dataset:
    """List the images with what they show: FDG (TID 1600, 1607)."""
    said = [
        (dicom.DCM.Modality, codes.MODALITY_PET),
        (codes.RADIONUCLIDE, codes.FLUORINE),
        (codes.AGENT, codes.FDG),
    ]
    context = [sr.CodeContentItem(name, value, _CONTEXT) for name, value in said]
    frame = str(source.header.FrameOfReferenceUID)
    context.append(sr.UIDRefContentItem(dicom.DCM.FrameOfReferenceUID, frame, _CONTEXT))
    images = [
        item(RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=[reference])
        for reference in references(source, range(len(source.instances)))
    ]
    group = _container(dicom.DCM.ImageLibraryGroup, [*context, *images])
    return _container(dicom.DCM.ImageLibrary, [group])


def _container(name: Code, content: list[Dataset]) -> Dataset:
    return item(
        RelationshipType="CONTAINS",
        ValueType="CONTAINER",
        ConceptNameCodeSequence=[code_item(name)],
        ContinuityOfContent="SEPARATE",
        ContentSequence=content,
    )


def _evidence(source: Source, segmentation: Dataset, mapping: Dataset | None) -> Dataset:
    """Return all images and objects the report refers to, series by series."""
    series = [(source.header.SeriesInstanceUID, source.sop_class, source.files)]
    series += [
        (made.SeriesInstanceUID, made.SOPClassUID, [made.SOPInstanceUID])
        for made in (segmentation, mapping)
        if made is not None
    ]
    listed = [
        item(
            SeriesInstanceUID=uid,
            ReferencedSOPSequence=[
                item(ReferencedSOPClassUID=kind, ReferencedSOPInstanceUID=one) for one in instances
            ],
        )
        for uid, kind, instances in series
    ]
    return item(StudyInstanceUID=source.header.StudyInstanceUID, ReferencedSeriesSequence=listed)


def _placeholder(source: Source, made: Dataset) -> Dataset:
    """Return the least highdicom takes as evidence; `set_shared_modules` says the rest."""
    keys = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID")
    blank = dict.fromkeys((*keys, "StudyDate", "StudyTime"), "")
    return item(
        SOPClassUID=made.SOPClassUID,
        SOPInstanceUID=made.SOPInstanceUID,
        SeriesInstanceUID=made.SeriesInstanceUID,
        StudyInstanceUID=source.header.StudyInstanceUID,
        **blank,
    )
