"""The file of a segmentation or structure set: its header by pydicom, its thousands of items as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom

from analysis.pet.codes import RoiRefused
from analysis.pet.dicomfile import DamagedFile, read_complete, sop_class
from analysis.pet.filekind import ROI_CLASSES
from analysis.pet.plainfile import META_END, Unfamiliar, elements, items, root_elements

PIXELS, FRAME_GROUPS, CONTOURS = 0x7FE00010, 0x52009230, 0x30060039

_SOP_CLASS, _SYNTAX, _IMPLICIT = 0x00020002, 0x00020010, "1.2.840.10008.1.2"
_APART = {FRAME_GROUPS, CONTOURS, PIXELS}
_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"}


@dataclass(frozen=True, eq=False)
class RoiFile:
    """A segmentation or structure set.

    Attributes
    ----------
    path : Path
        The file.
    header : pydicom.Dataset
        Everything but what `places` lists.
    kind : str
        ``SEG`` or ``RTSTRUCT``.
    native : bool
        Whether its pixels are neither compressed nor big endian.
    data : bytes
        The file's bytes; empty where only pydicom could read it.
    explicit : bool
        Whether elements state their VR.
    places : dict
        Tag -> where in `data` the value of an element lies that was left out of `header`.
    """

    path: Path
    header: pydicom.Dataset
    kind: str
    native: bool
    data: bytes = b""
    explicit: bool = True
    places: dict[int, tuple[int, int]] | None = None

    def items(self, place: tuple[int, int] | int) -> list[tuple[int, int]]:
        """List where the items of a sequence lie, given its place, or its tag if it is one of `places`.

        Raises
        ------
        Unfamiliar
            If the sequence is not in `places`, or its bytes are not as expected.
        """
        if isinstance(place, int):
            if not self.places or place not in self.places:
                raise Unfamiliar("not kept as bytes")
            place = self.places[place]
        return items(self.data, *place, self.explicit)

    def inside(self, place: tuple[int, int], wanted: Mapping[int, bytes]) -> dict[int, tuple[int, int]]:
        """Return tag -> where the value lies, of the elements of an item that are `wanted` (tag -> VR).

        Raises
        ------
        Unfamiliar
            If one has another VR, or the bytes are not as expected.
        """
        found = {}
        for element in elements(self.data, *place, self.explicit):
            if element.tag in wanted:
                if element.vr not in (b"", wanted[element.tag]):
                    raise Unfamiliar("another VR")
                found[element.tag] = (element.value, element.stop)
        return found

    def first_item(self, place: tuple[int, int]) -> tuple[int, int]:
        """Return where the first item of a sequence lies.

        Raises
        ------
        Unfamiliar
            If it has none.
        """
        found = self.items(place)
        if not found:
            raise Unfamiliar("an empty sequence")
        return found[0]

    def parsed(self) -> pydicom.Dataset:
        """Return the whole file as pydicom reads it."""
        return _complete(self.path) if self.places else self.header

    def pixel_bytes(self) -> memoryview:
        """Return the bytes of the pixels."""
        if self.places and PIXELS in self.places:
            start, stop = self.places[PIXELS]
            return memoryview(self.data)[start:stop]
        return memoryview(self.header.PixelData)


def open_roi_file(path: Path, *, by_bytes: bool = True) -> RoiFile | None:
    """Open a file if it is a structure set or a segmentation; return None for anything else.

    Parameters
    ----------
    path : Path
        Any file.
    by_bytes : bool
        False lets pydicom read everything.

    Returns
    -------
    RoiFile or None
        Its frames or contours are not parsed yet.

    Raises
    ------
    RoiRefused
        ``ROI_UNREADABLE`` for a file cut short or damaged.
    """
    data = path.read_bytes()
    try:
        return _by_bytes(path, data) if by_bytes else _by_pydicom(path)
    except Unfamiliar:
        return _by_pydicom(path)


def _by_bytes(path: Path, data: bytes) -> RoiFile | None:
    found = root_elements(data)
    meta = {one.tag: data[one.value : one.stop] for one in found if one.tag <= META_END}
    meta = {tag: value.rstrip(b"\0 ").decode("ascii", "replace") for tag, value in meta.items()}
    if not meta.get(_SOP_CLASS):
        raise Unfamiliar("the file header does not say what it holds")
    kind = ROI_CLASSES.get(meta[_SOP_CLASS])
    if kind is None:
        return None
    places, kept, at = {}, [], 0
    for one in found:
        if one.tag in _APART:
            places[one.tag] = (one.value, one.stop)
            kept.append(data[at : one.start])
            at = one.stop
    kept.append(data[at:])
    try:
        header = pydicom.dcmread(BytesIO(b"".join(kept)))
    except Exception as error:  # pydicom raises many types on damaged files: each means the same to us
        raise Unfamiliar("pydicom does not read the rest") from error
    return RoiFile(path, header, kind, True, data, meta[_SYNTAX] != _IMPLICIT, places)


def _by_pydicom(path: Path) -> RoiFile | None:
    ds = _complete(path)
    kind = None if ds is None else ROI_CLASSES.get(sop_class(ds))
    if kind is None:
        return None
    return RoiFile(path, ds, kind, str(ds.file_meta.get("TransferSyntaxUID", "")) in _NATIVE)


def _complete(path: Path) -> pydicom.Dataset | None:
    try:
        return read_complete(path)
    except DamagedFile as error:
        raise RoiRefused("ROI_UNREADABLE", f"the ROI file {error}; send it again") from error
