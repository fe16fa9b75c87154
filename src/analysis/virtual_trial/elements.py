"""Values of DICOM elements as the virtual trial writes them: numbers, times, codes, UIDs, whole objects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian


def make_uid(*parts: Any) -> UID:
    """Return a UID under 2.25 from a hash of `parts`; always 44 characters, so that files can be spliced."""
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()
    low = 10**38
    return UID(f"2.25.{low + int.from_bytes(digest[:16], 'big') % (2**128 - low)}")


IMPLEMENTATION = make_uid("PEARL virtual trial")


def scan_uid(spec: Mapping[str, Any], *parts: Any) -> UID:
    """Return the UID of one thing (study, series, slice ...) of one scan."""
    return make_uid(spec.get("STUDYID", "PEARL"), spec["USUBJID"], spec["AVISIT"], *parts)


def decimal(value: float, digits: int = 10) -> str:
    """Return a number as a DICOM decimal string of at most 16 characters."""
    text = f"{value:.{digits}g}"
    if len(text) > 16:
        raise ValueError(f"{value!r} needs more than the 16 characters of a decimal string")
    return text


def clock(moment: datetime) -> str:
    """Return a DICOM time: whole seconds, a fraction only where there is one."""
    return moment.strftime("%H%M%S") + (f".{moment.microsecond:06d}" if moment.microsecond else "")


def date_and_clock(moment: datetime) -> str:
    """Return a DICOM date and time (VR DT), without an offset from UTC."""
    return moment.strftime("%Y%m%d") + clock(moment)


def make_item(**elements: Any) -> Dataset:
    """Return a data set with the given elements, by keyword."""
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item


def coded(*concepts: Any) -> list[Dataset]:
    """Return a code sequence with one item a concept."""
    return [
        make_item(
            CodeValue=concept.value,
            CodingSchemeDesignator=concept.scheme_designator,
            CodeMeaning=concept.meaning,
        )
        for concept in concepts
    ]


def write_object(dataset: Dataset, path: Path) -> None:
    """Write one DICOM file, explicit VR little endian; its bytes depend on the elements alone."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION, "PEARL"
    dataset.file_meta = meta
    dcmwrite(path, dataset, enforce_file_format=True)
