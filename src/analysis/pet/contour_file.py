"""The contours of an RTSTRUCT, as text until somebody asks for their numbers."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pydicom

from analysis.pet.codes import RoiRefused
from analysis.pet.plainfile import Unfamiliar
from analysis.pet.roi_file import CONTOURS, RoiFile

_NUMBER, _SEQUENCE, _KIND, _DATA = 0x30060084, 0x30060040, 0x30060042, 0x30060050
_TYPES = {_NUMBER: b"IS", _SEQUENCE: b"SQ", _KIND: b"CS", _DATA: b"DS"}


class WrittenContour(NamedTuple):
    """One item of a Contour Sequence.

    Attributes
    ----------
    kind : str
        Contour Geometric Type.
    text : bytes
        Contour Data.
    """

    kind: str
    text: bytes

    def points_mm(self) -> np.ndarray:
        """Return the vertices in mm (LPS), shape (n, 3).

        Raises
        ------
        RoiRefused
            ``ROI_UNREADABLE`` where they are no triples of numbers.
        """
        try:
            words = self.text.strip(b" \0").split(b"\\")
            points = np.array([float(word) for word in words if word.strip()]).reshape(-1, 3)
        except ValueError as error:
            raise RoiRefused(
                "ROI_UNREADABLE", "Contour Data (3006,0050) is no list of x, y, z; send the file again"
            ) from error
        if not np.isfinite(points).all():
            raise RoiRefused(
                "ROI_UNREADABLE", "Contour Data (3006,0050) holds no finite number; send the file again"
            )
        return points


def read_contours(file: RoiFile) -> dict[int, list[WrittenContour]]:
    """Read the contours of every region.

    Parameters
    ----------
    file : RoiFile
        A structure set.

    Returns
    -------
    dict
        ROI number -> its contours, in the order of the file.
    """
    try:
        return _from_bytes(file)
    except (Unfamiliar, ValueError):
        return _from_dataset(file.parsed())


def _from_bytes(file: RoiFile) -> dict[int, list[WrittenContour]]:
    def text(inside: dict[int, tuple[int, int]], tag: int) -> bytes:
        start, stop = inside.get(tag, (0, 0))
        return file.data[start:stop]

    found: dict[int, list[WrittenContour]] = defaultdict(list)
    for place in file.items(CONTOURS):
        region = file.inside(place, _TYPES)
        contours = found[int(text(region, _NUMBER))]
        for item in file.items(region.get(_SEQUENCE, (0, 0))):
            inside = file.inside(item, _TYPES)
            kind = text(inside, _KIND).decode("ascii", "replace").strip(" \0").upper()
            contours.append(WrittenContour(kind, text(inside, _DATA)))
    return found


def _from_dataset(ds: pydicom.Dataset) -> dict[int, list[WrittenContour]]:
    found: dict[int, list[WrittenContour]] = defaultdict(list)
    for region in ds.get("ROIContourSequence") or []:
        contours = found[int(region.ReferencedROINumber)]
        for item in region.get("ContourSequence") or []:
            # The raw text: a number object for each coordinate takes seconds.
            value = item.get_item("ContourData").value if "ContourData" in item else b""
            raw = value if isinstance(value, bytes) else "\\".join(map(str, value or [])).encode()
            contours.append(WrittenContour(str(item.get("ContourGeometricType") or "").strip().upper(), raw))
    return found
