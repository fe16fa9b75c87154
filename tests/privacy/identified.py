"""Writes DICOM files with planted identifiers for tests; knows nothing of the code under test."""

from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

ROOT_UID = "1.2.826.0.1.3680043.10.777"
PET = "1.2.840.10008.5.1.4.1.1.128"
GE = "GEMS_PETD_01"
BASIC = ("113100", "113107", "113108", "113111")


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def pet(number: int = 1, patient: str = "P1", series: int = 1, date: str = "20150307", **changes) -> Dataset:
    """Return a slice of a PET series that was de-identified as it should be; None in `changes` removes."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = PET
    ds.SOPInstanceUID = f"{ROOT_UID}.{series}.{number}"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = date
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = "101500"
    ds.AccessionNumber = ""
    ds.Modality = "PT"
    ds.Manufacturer = "GE MEDICAL SYSTEMS"
    ds.PatientName = ds.PatientID = patient
    ds.PatientBirthDate = ""
    ds.PatientSex, ds.PatientSize, ds.PatientWeight = "F", "1.64", "72.1"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethodCodeSequence = Sequence([code(value, "DCM", "option") for value in BASIC])
    ds.StudyInstanceUID = f"{ROOT_UID}.900.{series}"
    ds.SeriesInstanceUID = f"{ROOT_UID}.{series}"
    ds.LongitudinalTemporalInformationModified = "MODIFIED"
    ds.Units = "BQML"
    injection = Dataset()
    injection.RadiopharmaceuticalStartTime = "091500"
    injection.RadionuclideTotalDose = "254800000"
    injection.RadiopharmaceuticalStartDateTime = f"{date}091500" if date else ""
    ds.RadiopharmaceuticalInformationSequence = Sequence([injection])
    for keyword, value in changes.items():
        holder = injection if keyword.startswith("Radio") else ds
        if value is None:
            delattr(holder, keyword)
        else:
            setattr(holder, keyword, value)
    return ds


def add_ge_block(ds: Dataset, scan: str, admin: str) -> Dataset:
    block = ds.private_block(0x0009, GE, create=True)
    block.add_new(0x0D, "DT", scan)
    block.add_new(0x3B, "DT", admin)
    return ds


def write(path: Path, ds: Dataset, syntax: str = ExplicitVRLittleEndian, preamble: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    if not preamble:
        pydicom.dcmwrite(path, ds, implicit_vr=False, little_endian=True)
        return path
    ds.file_meta = meta
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path
