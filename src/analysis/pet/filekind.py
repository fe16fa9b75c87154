"""What a file is, from its first bytes: DICOM object of which class and series, archive, or anything else."""

from __future__ import annotations

import os

import pydicom
from pydicom.filereader import read_partial
from pydicom.tag import Tag

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
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
HEAD_BYTES = 4096

_TAGS = [
    Tag(keyword)
    for keyword in (
        "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID",
        "PatientID", "PatientSize", "AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate",
        "Manufacturer", "ManufacturerModelName", "Units", "DecayCorrection", "CorrectedImage", "ImageType",
        "SeriesType", "NumberOfSlices", "ReferencedSeriesSequence", "ReferencedFrameOfReferenceSequence",
        "SegmentSequence", "StructureSetROISequence",
    )
]  # fmt: skip
# Contours and functional groups follow, megabytes of them, and nothing the index asks for.
_ENOUGH = Tag(0x3006, 0x0039)
_SOP_CLASS, _SOP_INSTANCE = b"\x02\x00\x02\x00UI", b"\x02\x00\x03\x00UI"
_SERIES = b"\x20\x00\x0e\x00"
_IMPLICIT = b"1.2.840.10008.1.2\0"
_IMAGE_GROUP = b"\x20\x00"
_ARCHIVES = {
    b"PK\x03\x04": "zip archive",
    b"PK\x05\x06": "zip archive",
    b"7z\xbc\xaf\x27\x1c": "7z archive",
    b"Rar!\x1a\x07": "rar archive",
    b"\x1f\x8b": "gzip archive",
    b"BZh": "bzip2 archive",
    b"\xfd7zXZ\0": "xz archive",
    b"\x28\xb5\x2f\xfd": "zstd archive",
}
_OFFICE = (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".jar", ".whl")


def read_head(path: str) -> bytes:
    """Read the first bytes of a file.

    Parameters
    ----------
    path : str
        A regular file.

    Returns
    -------
    bytes
        At most `HEAD_BYTES`.

    Raises
    ------
    OSError
        If the file cannot be opened or read.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return os.read(handle, HEAD_BYTES)
    finally:
        os.close(handle)


def is_dicom(head: bytes) -> bool:
    """Tell whether a file begins as DICOM Part 10 does.

    Parameters
    ----------
    head : bytes
        First bytes of the file.

    Returns
    -------
    bool
        True where DICM follows the preamble.
    """
    return head[128:132] == b"DICM"


def peek(head: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Find SOP class, SOP instance and series UID in the first bytes, without parsing.

    Parameters
    ----------
    head : bytes
        First bytes of a DICOM file.

    Returns
    -------
    (bytes, bytes, bytes) or None
        None where only a full parse can tell: they lie further on, or more than one place looks like the
        series UID of the object itself.

    Notes
    -----
    The class and the instance come from the file meta group, whose encoding is fixed. A series UID inside a
    sequence (a referenced series) is followed by the end of its item; the object's own one by another
    element of group 0020, two of which are mandatory in every composite object.
    """
    at_class, at_instance = head.find(_SOP_CLASS, 132), head.find(_SOP_INSTANCE, 132)
    if at_class < 0 or at_instance < 0:
        return None
    implicit = head.find(_IMPLICIT, 132, 1024) >= 0
    own = b""
    at = head.find(_SERIES, 132)
    while at >= 0:
        uid, follows = _series_uid(head, at, implicit)
        if uid and follows == _IMAGE_GROUP:
            if own:
                return None
            own = uid
        at = head.find(_SERIES, at + 4)
    return (_value(head, at_class), _value(head, at_instance), own) if own else None


def archive_kind(head: bytes, path: str) -> str:
    """Name the kind of archive a file is.

    Parameters
    ----------
    head : bytes
        First bytes of the file.
    path : str
        Its name: office documents are zip files too.

    Returns
    -------
    str
        For instance ``zip archive``; empty for anything else.
    """
    if path.lower().endswith(_OFFICE):
        return ""
    if head[257:262] == b"ustar":
        return "tar archive"
    return next((kind for magic, kind in _ARCHIVES.items() if head.startswith(magic)), "")


def read_header(path: str) -> pydicom.Dataset:
    """Parse those elements of a DICOM file that the index needs, up to contours, frames or pixels.

    Parameters
    ----------
    path : str
        A DICOM Part 10 file.

    Returns
    -------
    pydicom.Dataset
        The elements found.

    Raises
    ------
    Exception
        Whatever pydicom raises on a damaged file, which is of many types.
    """
    with open(path, "rb") as stream:
        ds = read_partial(stream, stop_when=lambda tag, vr, length: tag >= _ENOUGH, specific_tags=_TAGS)
        for element in ds:  # sequences are parsed on access: let a damaged one fail here, not later
            _ = element.value
    return ds


def _series_uid(head: bytes, at: int, implicit: bool) -> tuple[bytes, bytes]:
    """Return the UID at `at`, empty if it is none, and the group of the element that follows."""
    if implicit:
        length, start = int.from_bytes(head[at + 4 : at + 8], "little"), at + 8
    elif head[at + 4 : at + 6] == b"UI":
        length, start = int.from_bytes(head[at + 6 : at + 8], "little"), at + 8
    else:
        return b"", b""
    uid = head[start : start + length].rstrip(b"\0 ") if 0 < length <= 64 else b""
    return (uid if uid.replace(b".", b"").isdigit() else b""), head[start + length : start + length + 2]


def _value(head: bytes, at: int) -> bytes:
    length = int.from_bytes(head[at + 6 : at + 8], "little")
    return head[at + 8 : at + 8 + length].rstrip(b"\0 ")
