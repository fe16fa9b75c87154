"""The modules all exported objects share: patient, study, series, equipment, SOP common, references."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import metadata
from io import BytesIO

from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from analysis.pet.export.source import Source
from analysis.pet.export.uids import derive_uid

MANUFACTURER, MODEL = "PEARL compendium", "analysis.pet.export"
VERSION = metadata.version("pearl-compendium")
DEVICE_UID = derive_uid("device", MANUFACTURER, MODEL, VERSION)
# Series numbers, so that a viewer shows the three after the images they belong to.
_SERIES_NUMBERS = {"SEG": 9001, "RWV": 9002, "SR": 9003}
_COPIED = ["DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified"]
_SEXES = {"M", "F", "O"}
_SHORT = 16  # characters of a short string (SH); a longer Code Value is a Long Code Value
_OFFSET = re.compile(r"[+-]\d{4}")


def item(**values: object) -> Dataset:
    """Return a data set of these elements."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def code_item(code: Code) -> Dataset:
    """Return a code as an item of a code sequence."""
    long = "Long" if len(code.value) > _SHORT else ""
    names = {f"{long}CodeValue": code.value, "CodingSchemeDesignator": code.scheme_designator}
    return item(**names, CodeMeaning=code.meaning)


def set_shared_modules(ds: Dataset, source: Source, modality: str, uid: str, description: str) -> None:
    """Set patient, study, series, equipment and SOP common, whatever stood there before.

    Study ID and, where it is no more than the Patient ID, the patient's name leave only where the source says
    that identity was removed; any other name, birth date, accession number and physicians never do. Dates
    and times are the source's.

    Parameters
    ----------
    ds : pydicom.Dataset
        Receives them; its SOPClassUID is set.
    source : Source
        The images it refers to.
    modality : {"SEG", "SR", "RWV"}
        Modality.
    uid : str
        Its SOP Instance UID.
    description : str
        Series Description.

    Raises
    ------
    ExportRefused
        ``EXPORT_NOT_POSSIBLE`` where the source has no date.
    """
    header, (date, time) = source.header, source.moment()
    removed = header.get("PatientIdentityRemoved") == "YES" and "DeidentificationMethodCodeSequence" in header
    _set_patient(ds, header, removed)
    ds.StudyInstanceUID = header.StudyInstanceUID
    number = str(header.get("StudyID") or "")
    ds.StudyID = number if removed and len(number) <= _SHORT else ""
    ds.StudyDate, ds.StudyTime = source.date("Study")
    ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.SeriesInstanceUID, ds.SeriesNumber = derive_uid("series", uid), _SERIES_NUMBERS[modality]
    ds.Modality, ds.SeriesDescription = modality, description
    ds.SeriesDate = ds.ContentDate = ds.InstanceCreationDate = date
    ds.SeriesTime = ds.ContentTime = ds.InstanceCreationTime = time
    ds.Manufacturer, ds.ManufacturerModelName = MANUFACTURER, MODEL
    ds.DeviceSerialNumber = ds.SoftwareVersions = VERSION
    ds.SpecificCharacterSet, ds.SOPInstanceUID, ds.InstanceNumber = "ISO_IR 192", uid, 1
    if _OFFSET.fullmatch(str(header.get("TimezoneOffsetFromUTC") or "")):
        ds.TimezoneOffsetFromUTC = header.TimezoneOffsetFromUTC


def _set_patient(ds: Dataset, header: Dataset, removed: bool) -> None:
    ds.PatientID, ds.PatientBirthDate = header.get("PatientID") or "", ""
    # A name that is not the patient's own code is somebody's, whatever the header says of it.
    name = str(header.get("PatientName") or "").strip("^ ")
    ds.PatientName = name if removed and name == ds.PatientID else ""
    ds.PatientSex = header.get("PatientSex") if header.get("PatientSex") in _SEXES else ""
    if removed:
        ds.PatientIdentityRemoved = "YES"
        for keyword in [keyword for keyword in _COPIED if keyword in header]:
            ds.add(header[keyword])


def set_content(ds: Dataset, label: str, description: str) -> None:
    """Set the content identification of an object that no person is named for."""
    ds.ContentLabel, ds.ContentDescription, ds.ContentCreatorName = label, description, ""


def references(source: Source, slices: Sequence[int]) -> list[Dataset]:
    """Refer to the images of some slices; frames of one file are one item.

    Parameters
    ----------
    source : Source
        The images.
    slices : sequence of int
        Slices of the image.

    Returns
    -------
    list of pydicom.Dataset
        Items of an image reference sequence.
    """
    if source.frames is None:
        names = dict.fromkeys(source.instances[k] for k in slices)
        return [item(ReferencedSOPClassUID=source.sop_class, ReferencedSOPInstanceUID=name) for name in names]
    frames: dict[str, list[int]] = {}
    for k in slices:
        frames.setdefault(source.instances[k], []).append(source.frames[k])
    return [
        item(
            ReferencedSOPClassUID=source.sop_class,
            ReferencedSOPInstanceUID=name,
            ReferencedFrameNumber=sorted(numbers),
        )
        for name, numbers in frames.items()
    ]


def set_referenced_series(ds: Dataset, source: Source) -> None:
    """Set the common instance reference: every image of the source, once."""
    instances = [
        item(ReferencedSOPClassUID=source.sop_class, ReferencedSOPInstanceUID=name) for name in source.files
    ]
    ds.ReferencedSeriesSequence = [
        item(SeriesInstanceUID=source.header.SeriesInstanceUID, ReferencedInstanceSequence=instances)
    ]


def to_bytes(ds: Dataset) -> bytes:
    """Return the DICOM file of a data set, explicit VR little endian, with the writer named as this project.

    Parameters
    ----------
    ds : pydicom.Dataset
        With SOPClassUID and SOPInstanceUID.

    Returns
    -------
    bytes
        The same for the same data set.
    """
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
        ds.SOPClassUID,
        ds.SOPInstanceUID,
    )
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = derive_uid("implementation", MODEL)
    ds.file_meta.ImplementationVersionName = f"PEARL_{VERSION}"[:16]
    ds.preamble = b"\0" * 128
    # What stands encoded already is written as it is, and no ambiguous VR is looked for: there is none.
    ds.set_original_encoding(False, True, convert_encodings(ds.SpecificCharacterSet))
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
