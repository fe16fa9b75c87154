"""Root elements of a plain file: found in its bytes exactly where pydicom finds them, or not at all.

Little endian, explicit or implicit VR, whole and in order. pydicom forgives more than this (odd lengths, tags
out of order, changes between explicit and implicit VR): such files are `Unfamiliar` here and left to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from struct import Struct, error
from typing import NamedTuple

import numpy as np
from pydicom.datadict import DicomDictionary

META_END = 0x0002FFFF
META_LENGTH = 0x00020000
PREAMBLE = 128
UNDEFINED = 0xFFFFFFFF
SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())

_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_IMPLICIT, _EXPLICIT = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1"
_BODY, _META_GROUP, _SYNTAX, _CHARACTERS = 132, b"\x02\0", 0x00020010, 0x00080005
_DELIMITERS, _ITEM = 0xFFFE0000, b"\xfe\xff\0\xe0"
_ITEM_END, _SEQUENCE_END = b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"

_tag_of, u16, u32 = Struct("<HH").unpack_from, Struct("<H").unpack_from, Struct("<I").unpack_from


_DECIMAL = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
# Forms of a single value that need no interpretation; any other is left to pydicom.
FORMS = {
    vr: re.compile(form).fullmatch
    for vr, form in {
        "DS": rb" *%b *" % _DECIMAL,
        "IS": rb" *[-+]?\d{1,9} *",
        "DA": rb"[\d.]+ *",
        "TM": rb"[\d.]+ *",
        "DT": rb"[\d.]+ *",
        "UI": rb"[\d.]+\0?",
    }.items()
}
_VECTOR = re.compile(rb" *%b *(?:\\ *%b *){2}" % (_DECIMAL, _DECIMAL)).fullmatch


class Unfamiliar(ValueError):
    """Bytes that are left to pydicom."""


class Element(NamedTuple):
    """Where an element lies: its tag, VR (empty where not stated), and offsets in the file."""

    tag: int
    vr: bytes
    start: int
    value: int
    stop: int


def root_elements(data: bytes) -> list[Element]:
    """Find all elements of a file: those of its file header and of the root of its data set.

    Parameters
    ----------
    data : bytes
        A whole file.

    Returns
    -------
    list of Element
        In ascending order of their tags; elements inside sequences are not among them.

    Raises
    ------
    Unfamiliar
        For anything but a whole, ordered, uncompressed little-endian file with even lengths.
    """
    if data[PREAMBLE:_BODY] != b"DICM":
        raise Unfamiliar
    elements: list[Element] = []
    at = _BODY
    try:
        while data.startswith(_META_GROUP, at):
            elements.append(_element(data, at, True))
            at = elements[-1].stop
        n_meta, explicit = len(elements), _states_its_types(data, elements)
        looks_explicit = data[at + 4 : at + 6]  # what pydicom goes by, whatever the transfer syntax says
        if not explicit and looks_explicit.isalpha() and looks_explicit.isupper():
            raise Unfamiliar
        while at < len(data):
            elements.append(_element(data, at, explicit))
            at = elements[-1].stop
    except error as cut:
        raise Unfamiliar from cut
    tags = [one.tag for one in elements]
    if at > len(data) or n_meta == len(tags) or tags[n_meta] <= META_END or tags != sorted(set(tags)):
        raise Unfamiliar
    return elements


def _states_its_types(data: bytes, header: Sequence[Element]) -> bool:
    """Tell whether the data set behind a file header states the VR of its elements."""
    values = {one.tag: data[one.value : one.stop] for one in header}
    syntax = values.get(_SYNTAX, b"").rstrip(b"\0")
    if syntax not in (_IMPLICIT, _EXPLICIT) or len(values.get(META_LENGTH, b"    ")) != 4:
        raise Unfamiliar
    return syntax == _EXPLICIT


def _element(data: bytes, at: int, explicit: bool) -> Element:
    """Read tag, VR and length of an element, and where it ends."""
    group, number = _tag_of(data, at)
    tag, vr = group << 16 | number, data[at + 4 : at + 6] if explicit else b""
    if tag >= _DELIMITERS:
        raise Unfamiliar
    if vr in SHORT:
        value, length = at + 8, u16(data, at + 6)[0]
    elif vr in _LONG and data[at + 6 : at + 8] == b"\0\0":
        value, length = at + 12, u32(data, at + 8)[0]
    elif not explicit:
        value, length = at + 8, u32(data, at + 4)[0]
    else:
        raise Unfamiliar
    if length == UNDEFINED:
        return Element(tag, vr, at, value, sequence_end(data, value, tag, vr))
    if length & 1:
        raise Unfamiliar
    return Element(tag, vr, at, value, value + length)


def _item_end(data: bytes, at: int, end: int | None, explicit: bool) -> int:
    """Return where an item ends: at `end`, which its elements must fill, or behind its delimiter."""
    while end is None or at < end:
        if end is None and data.startswith(_ITEM_END, at):
            return at + 8
        element = _element(data, at, explicit)
        if element.tag == _CHARACTERS:
            raise Unfamiliar
        at = element.stop
    if at > end or at > len(data):
        raise Unfamiliar
    return at


def sequence_end(data: bytes, at: int, tag: int, vr: bytes) -> int:
    """Find where a sequence of undefined length ends; every item is gone through as pydicom would.

    Parameters
    ----------
    data : bytes
        File, or as much of it as holds the sequence.
    at : int
        Where the sequence's first item begins.
    tag : int
        Tag of the sequence.
    vr : bytes
        Its VR, empty where the file does not state it.

    Returns
    -------
    int
        Offset behind the delimiter.

    Raises
    ------
    Unfamiliar
        If it is no sequence, or its items are not filled by their elements.
    struct.error
        If `data` ends before the sequence does.
    """
    known = DicomDictionary.get(tag, ("",))[0]
    if vr != b"SQ" and (vr or (known != "SQ" and not (not known and tag >> 16 & 1))):
        raise Unfamiliar
    if not vr and not known and not data.startswith(_ITEM, at):
        raise Unfamiliar  # pydicom knows an unknown sequence by its first item
    while not data.startswith(_SEQUENCE_END, at):
        if not data.startswith(_ITEM, at):
            raise Unfamiliar
        length = u32(data, at + 4)[0]
        at += 8
        at = _item_end(data, at, None if length == UNDEFINED else at + length, bool(vr))
    return at + 8


def elements(data: bytes, start: int, stop: int, explicit: bool) -> list[Element]:
    """Find the elements of an item.

    Parameters
    ----------
    data : bytes
        A whole file.
    start, stop : int
        Where the item's elements begin and end, as `items` gives it.
    explicit : bool
        Whether elements state their VR.

    Returns
    -------
    list of Element
        In the order of the file.

    Raises
    ------
    Unfamiliar
        If the bytes are not filled by elements.
    """
    found, at = [], start
    try:
        while at < stop:
            found.append(_element(data, at, explicit))
            at = found[-1].stop
    except error as cut:
        raise Unfamiliar from cut
    if at != stop:
        raise Unfamiliar
    return found


def items(data: bytes, start: int, stop: int, explicit: bool) -> list[tuple[int, int]]:
    """Find the items of a sequence.

    Parameters
    ----------
    data : bytes
        A whole file.
    start, stop : int
        `value` and `stop` of the sequence's element.
    explicit : bool
        Whether elements state their VR.

    Returns
    -------
    list of (int, int)
        Where the elements of each item begin and end.

    Raises
    ------
    Unfamiliar
        If the bytes are not filled by items.
    """
    found, at = [], start
    try:
        while at < stop and not data.startswith(_SEQUENCE_END, at):
            if not data.startswith(_ITEM, at):
                raise Unfamiliar
            length = u32(data, at + 4)[0]
            at += 8
            end = at + length if length != UNDEFINED else _item_end(data, at, None, explicit) - 8
            found.append((at, end))
            at = end if length != UNDEFINED else end + 8
    except error as cut:
        raise Unfamiliar from cut
    if at not in (stop, stop - 8):
        raise Unfamiliar
    return found


def decode_number(vr: str, raw: bytes) -> float:
    """Decode one DS or IS; `Unfamiliar` unless it stands in a plain form."""
    if not FORMS[vr](raw):
        raise Unfamiliar
    return float(raw)


def decode_word(vr: str, raw: bytes) -> str:
    """Decode one DA, TM, DT or UI; `Unfamiliar` unless it stands in a plain form."""
    if not FORMS[vr](raw):
        raise Unfamiliar
    return raw.decode("ascii").rstrip(" \0")


def decode_vector(raw: bytes) -> np.ndarray:
    """Decode three finite DS; `Unfamiliar` unless they stand in a plain form."""
    if not _VECTOR(raw):
        raise Unfamiliar
    vector = [float(part) for part in raw.split(b"\\")]
    if not all(map(math.isfinite, vector)):
        raise Unfamiliar
    return np.array(vector)
