"""Where each frame of a segmentation lies and which segment it shows: its functional groups."""

from __future__ import annotations

from typing import NamedTuple

import pydicom

from analysis.pet.codes import RoiRefused
from analysis.pet.plainfile import Unfamiliar
from analysis.pet.roi_file import FRAME_GROUPS, RoiFile

_POSITION, _ORIENTATION, _MEASURES, _SEGMENT = 0x00209113, 0x00209116, 0x00289110, 0x0062000A
# Group -> what is read from it: (tag, keyword, numbers it needs).
_CONTENT = {
    _POSITION: ((0x00200032, "ImagePositionPatient", 3),),
    _ORIENTATION: ((0x00200037, "ImageOrientationPatient", 6),),
    _MEASURES: (
        (0x00280030, "PixelSpacing", 2),
        (0x00180088, "SpacingBetweenSlices", 1),
        (0x00180050, "SliceThickness", 1),
    ),
    _SEGMENT: ((0x0062000B, "ReferencedSegmentNumber", 1),),
}
_NAMES = {
    _POSITION: "PlanePositionSequence",
    _ORIENTATION: "PlaneOrientationSequence",
    _MEASURES: "PixelMeasuresSequence",
    _SEGMENT: "SegmentIdentificationSequence",
}
_US = 0x0062000B
_SEQUENCES = dict.fromkeys(_CONTENT, b"SQ")
_TYPES = {tag: b"US" if tag == _US else b"DS" for contents in _CONTENT.values() for tag, _, _ in contents}

Numbers = tuple[float, ...]
Group = dict[int, Numbers]  # tag -> its numbers


class Frame(NamedTuple):
    """One frame of a segmentation.

    Attributes
    ----------
    position_mm, orientation : tuple of float
        Image Position and Image Orientation (Patient).
    spacing_mm : tuple of float
        Between rows, between columns.
    between_mm, thickness_mm : float or None
        Spacing Between Slices, Slice Thickness.
    segment : int or None
        Segment the frame shows; None in a label map.
    """

    position_mm: Numbers
    orientation: Numbers
    spacing_mm: Numbers
    between_mm: float | None
    thickness_mm: float | None
    segment: int | None


def read_frames(file: RoiFile) -> list[Frame]:
    """Read the functional groups of every frame; what a frame does not state, the shared groups do.

    Parameters
    ----------
    file : RoiFile
        A segmentation.

    Returns
    -------
    list of Frame
        In the order of the frames.

    Raises
    ------
    RoiRefused
        ``ROI_UNREADABLE`` for a frame without position, orientation or pixel spacing.
    """
    shared: Group = {}
    for item in file.header.get("SharedFunctionalGroupsSequence") or []:
        shared |= _from_dataset(item)
    try:
        own = _from_bytes(file)
    except Unfamiliar:
        own = [_from_dataset(item) for item in file.parsed().get("PerFrameFunctionalGroupsSequence") or []]
    return [_frame(shared | group) for group in own]


def _from_bytes(file: RoiFile) -> list[Group]:
    """Read the groups from bytes; the numbers of equal bytes are read once."""
    known: dict[tuple[int, bytes], Numbers] = {}
    groups = []
    for place in file.items(FRAME_GROUPS):
        group: Group = {}
        for sequence, where in file.inside(place, _SEQUENCES).items():
            inside = file.inside(file.first_item(where), _TYPES)
            for tag, _, size in _CONTENT[sequence]:
                if tag in inside:
                    start, stop = inside[tag]
                    raw = tag, file.data[start:stop]
                    if raw not in known:
                        known[raw] = _numbers(*raw, size)
                    group[tag] = known[raw]
        groups.append(group)
    return groups


def _numbers(tag: int, raw: bytes, size: int) -> Numbers:
    if tag == _US:
        numbers: Numbers = (int.from_bytes(raw, "little"),)
    else:
        try:
            numbers = tuple(float(word) for word in raw.strip(b" \0").split(b"\\"))
        except ValueError as error:
            raise Unfamiliar("no numbers") from error
    if len(numbers) != size:
        raise Unfamiliar("another number of numbers")
    return numbers


def _from_dataset(item: pydicom.Dataset) -> Group:
    group: Group = {}
    for sequence, contents in _CONTENT.items():
        inside = item.get(_NAMES[sequence]) or []
        for tag, keyword, size in contents if len(inside) else ():
            value = inside[0].get(keyword)
            if value is None or value == "":
                continue
            numbers = tuple(float(number) for number in (value if size > 1 else [value]))
            if len(numbers) == size:
                group[tag] = numbers
    return group


def _frame(group: Group) -> Frame:
    lacking = [
        _NAMES[key] for key in (_POSITION, _ORIENTATION, _MEASURES) if _CONTENT[key][0][0] not in group
    ]
    if lacking:
        raise RoiRefused(
            "ROI_UNREADABLE", f"a frame of the segmentation has no {', '.join(lacking)}; send it again"
        )
    (between,), (thickness,) = (group.get(tag, (None,)) for tag, _, _ in _CONTENT[_MEASURES][1:])
    segment = group.get(_US)
    return Frame(
        group[_CONTENT[_POSITION][0][0]],
        group[_CONTENT[_ORIENTATION][0][0]],
        group[_CONTENT[_MEASURES][0][0]],
        between,
        thickness,
        None if segment is None else int(segment[0]),
    )
