"""What a DICOMDIR lists and the disk does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from pathlib import PurePosixPath
from typing import Any

import pydicom
from pydicom.config import disable_value_validation

from analysis.pet.filekind import PET_CLASSES, ROI_CLASSES


def find_missing(
    root: str, path: str, files: Container[str], instances: Container[str]
) -> list[tuple[str, str | None, int]] | None:
    """List what a DICOMDIR names that is not below the root.

    Parameters
    ----------
    root : str
        Root of the tree.
    path : str
        The DICOMDIR, relative to it.
    files : container of str
        Relative paths of all files, in lower case: media carry capital names, copies often do not.
    instances : container of str
        SOP instance UIDs seen: a file that was only moved is not missing.

    Returns
    -------
    list of (str, str or None, int) or None
        Kind (``PET image``, ``ROI object`` or ``other``), series UID (None for the others) and number of
        files, one entry a series of PET or ROI objects; None if the DICOMDIR cannot be read.
    """
    folder = PurePosixPath(path).parent
    missing: Counter[tuple[str, str | None]] = Counter()
    try:
        with disable_value_validation():
            for series, record in _image_records(pydicom.dcmread(f"{root}/{path}")):
                parts = record.get("ReferencedFileID") or []
                parts = [parts] if isinstance(parts, str) else list(parts)
                listed = str(folder.joinpath(*parts)).lower()
                instance = str(record.get("ReferencedSOPInstanceUIDInFile") or "")
                if parts and listed not in files and instance not in instances:
                    missing[_kind(record, series)] += 1
    except Exception:  # pydicom raises many types on damaged files: each means the same to us
        return None
    return [(kind, series, count) for (kind, series), count in sorted(missing.items(), key=str)]


def _kind(record: pydicom.Dataset, series: str) -> tuple[str, str | None]:
    sop_class = str(record.get("ReferencedSOPClassUIDInFile") or "")
    if sop_class in PET_CLASSES:
        return "PET image", series
    return ("ROI object", series) if sop_class in ROI_CLASSES else ("other", None)


def _image_records(ds: pydicom.Dataset) -> Iterator[tuple[str, pydicom.Dataset]]:
    """Yield every record that names a file, with the series it stands under.

    The order of records means nothing: offsets in the file link them.
    """
    records: dict[int, Any] = {item.seq_item_tell: item for item in ds.DirectoryRecordSequence}
    first = int(ds.get("OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity") or 0)
    waiting, seen = [(first, "")], {0}
    while waiting:
        offset, series = waiting.pop()
        if offset in seen or offset not in records:
            continue
        seen.add(offset)
        record = records[offset]
        waiting.append((int(record.get("OffsetOfTheNextDirectoryRecord") or 0), series))
        below = str(record.get("SeriesInstanceUID") or "") or series
        waiting.append((int(record.get("OffsetOfReferencedLowerLevelDirectoryEntity") or 0), below))
        if "ReferencedFileID" in record:
            yield below, record
