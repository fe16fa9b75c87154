"""Reading a DICOM file to its end: pydicom alone returns what it found before a file was cut short."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

_UNDEFINED = 0xFFFFFFFF


class DamagedFile(ValueError):
    """A DICOM file that was cut short or cannot be parsed."""


def read_complete(file: Path) -> pydicom.Dataset | None:
    """Read a DICOM file, every byte its last element announces included.

    Parameters
    ----------
    file : Path
        Any file.

    Returns
    -------
    pydicom.Dataset or None
        None for a file that is not DICOM and does not claim to be by its name.

    Raises
    ------
    DamagedFile
        For a file cut short, damaged, or named ``.dcm`` without being DICOM.
    """
    try:
        ds = pydicom.dcmread(file)
    except InvalidDicomError as error:
        if file.suffix.lower() == ".dcm":
            raise DamagedFile("has no DICOM header") from error
        return None
    except Exception as error:  # pydicom raises many types on damaged files: each means the same to us
        raise DamagedFile("cannot be read to its end") from error
    last = ds.get_item(max(ds.keys())) if len(ds) else None
    announced = getattr(last, "length", 0)
    if last is None or (announced != _UNDEFINED and announced > len(last.value or b"")):
        raise DamagedFile("ends before its last element does")
    return ds


def sop_class(ds: pydicom.Dataset) -> str:
    """Return what kind of object a file holds, from its file header or its body.

    Parameters
    ----------
    ds : pydicom.Dataset
        The file.

    Returns
    -------
    str
        SOP Class UID, or empty.
    """
    return str(ds.file_meta.get("MediaStorageSOPClassUID", "") or ds.get("SOPClassUID", ""))
