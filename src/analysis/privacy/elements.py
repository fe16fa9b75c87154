"""The text a DICOM file holds: every element of it, nested and private ones too, pixels left out.

A folder has tens of thousands of files that say nearly the same. So elements are found in the bytes, values
stay bytes, and what was seen before is recognised by its bytes alone. What these rules cannot follow is left
to pydicom; what pydicom cannot follow either is unreadable.
"""

from __future__ import annotations

import re
import zlib
from struct import Struct, error

from analysis.privacy.found import Cut, Found, Unfollowed, implicit_vr, path_of
from analysis.privacy.tolerant import read_with_pydicom

_PREAMBLE, _BODY = 128, 132
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_BIG_ENDIAN = b"1.2.840.10008.1.2.2"
_CHARACTERS, _SYNTAX, _SCHEME = 0x00080005, 0x00020010, 0x00080102
_CODES = frozenset([0x00080104, 0x00080119, 0x00080120])  # its meaning, and codes too long for a code
_BYTES = frozenset([b"OB", b"OW"])
_OPAQUE = frozenset([b"UN", b"OB"])
_CHARACTER_VRS = frozenset(b"LO LT PN SH ST UC UT UN OB".split())
_CACHED_BYTES, _CACHED_ITEMS = 4096, 20_000
_SEQUENCE_START = {True: b"\xfe\xff\x00\xe0", False: b"\xff\xfe\xe0\x00"}


class Walker:
    """Goes through the elements of files; keeps what it learnt from one for the next.

    Parameters
    ----------
    vrs : iterable of str
        Value representations that can identify.
    tags : iterable of int
        Tags that are wanted whatever their VR.
    schemes : iterable of str
        Coding schemes whose codes and meanings cannot identify.
    """

    def __init__(self, vrs, tags=(), schemes=()):
        # Bytes that are no pixels of an image are looked at where they are private.
        self._vrs = frozenset(vr.encode() for vr in vrs) - _BYTES
        self._tags = frozenset(tags)
        self._schemes = frozenset(scheme.encode() for scheme in schemes)
        self._seen: dict[tuple, tuple[Found, ...]] = {}

    def read(self, data: bytes) -> list[Found]:
        """List the values of one file.

        Parameters
        ----------
        data : bytes
            A whole DICOM file, with or without preamble and file header.

        Returns
        -------
        list of Found
            In the order of the file; empty values are left out.

        Raises
        ------
        Cut
            If the file ends too early.
        Unfollowed
            If neither these rules nor pydicom can follow it.
        """
        self._data, self._found, self._little = data, [], True
        try:
            self._read_file()
        except error as cut:
            raise Cut from cut
        except (Unfollowed, RecursionError):
            self._found = read_with_pydicom(data, self._vrs, self._tags, self._schemes)
        return self._found

    def _read_file(self) -> None:
        at = _BODY if self._data[_PREAMBLE:_BODY] == b"DICM" else 0
        header = len(self._found)
        self._set_order(True)
        while self._data[at : at + 2] == b"\x02\0":
            at = self._element(at, True, "", b"", {}, True)[0]
        syntax = next((one.raw for one in self._found[header:] if one.path == "TransferSyntaxUID"), b"")
        syntax = syntax.rstrip(b"\0 ")
        if syntax == _DEFLATED:
            try:
                self._data, at = zlib.decompress(self._data[at:], -zlib.MAX_WBITS), 0
            except zlib.error as damage:
                raise Cut from damage
        self._set_order(syntax != _BIG_ENDIAN)
        explicit = self._data[at + 4 : at + 6] in _SHORT | _LONG
        self._elements(at, len(self._data), explicit, "", b"")

    def _set_order(self, little: bool) -> None:
        order = "<" if little else ">"
        self._little = little
        self._head = Struct(f"{order}HH2sH").unpack_from
        self._tag_length = Struct(f"{order}HHL").unpack_from
        self._u32 = Struct(f"{order}L").unpack_from

    def _elements(self, at: int, stop: int | None, explicit: bool, prefix: str, characters: bytes) -> int:
        """Go through elements up to `stop`, or to the end of an item without length; return where it ends."""
        creators: dict[int, str] = {}
        coded = False
        while stop is None or at < stop:
            group, number, length = self._tag_length(self._data, at)
            tag = group << 16 | number
            if not tag and not length and not prefix and not bytes(self._data[at:]).strip(b"\0"):
                return at  # padded with zeros to a full block
            if tag == _ITEM_END:
                if stop is not None:
                    raise Unfollowed
                return at + 8
            at, raw = self._element(at, explicit, prefix, characters, creators, coded)
            if tag == _CHARACTERS and raw is not None:
                characters = raw
            elif tag == _SCHEME and raw is not None:
                coded = raw.rstrip(b" \0") in self._schemes
        if at != stop:
            raise Unfollowed if prefix else error
        return at

    def _element(self, at, explicit, prefix, characters, creators, coded):
        """Go through one element; return where the next begins, and its bytes where they were looked at."""
        group, number, vr, length = self._head(self._data, at)
        tag = group << 16 | number
        if not explicit:
            length, value = self._u32(self._data, at + 4)[0], at + 8
            vr = implicit_vr(tag)
        elif vr in _SHORT:
            value = at + 8
        elif vr in _LONG:
            length, value = self._u32(self._data, at + 8)[0], at + 12
        else:
            raise Unfollowed
        if length == _UNDEFINED:
            if vr not in (b"SQ", b"UN"):
                return self._fragments(value), None
            inner = explicit and vr == b"SQ"
            path = path_of(prefix, tag, creators.get(tag >> 8, ""))
            return self._items(value, None, inner, path, characters), None
        stop = value + length
        if stop > len(self._data):
            raise error
        if vr == b"SQ":
            path = path_of(prefix, tag, creators.get(tag >> 8, ""))
            self._sequence(value, stop, explicit, path, characters)
            return stop, None
        look = vr in self._vrs or tag in self._tags or (vr in _BYTES and group & 1)
        if not length or not (look or tag in (_CHARACTERS, _SCHEME)):
            return stop, None
        raw = bytes(self._data[value:stop])
        if group & 1 and 0x10 <= number <= 0xFF:
            creators[group << 8 | number & 0xFF] = raw.decode("ascii", "replace").strip(" \0")
            return stop, raw
        if not look or (coded and tag in _CODES):
            return stop, raw
        path = path_of(prefix, tag, creators.get(tag >> 8, "") if group & 1 else "")
        if (
            vr in _OPAQUE
            and raw.startswith(_SEQUENCE_START[self._little])
            and self._unknown(raw, path, characters)
        ):
            return stop, raw
        self._found.append(Found(path, vr, characters if vr in _CHARACTER_VRS else b"", raw))
        return stop, raw

    def _unknown(self, raw: bytes, path: str, characters: bytes) -> bool:
        """Tell whether bytes of unknown type are a sequence, and go through it."""
        inner = Walker((), (), ())
        inner._vrs, inner._tags, inner._schemes = self._vrs, self._tags, self._schemes
        for explicit in (False, True):
            inner._data, inner._found = raw, []
            inner._set_order(self._little)
            try:
                inner._items(0, len(raw), explicit, path, characters)
            except (error, Unfollowed):
                continue
            self._found.extend(inner._found)
            return True
        return False

    def _sequence(self, at: int, stop: int, explicit: bool, path: str, characters: bytes) -> None:
        """Go through a sequence of known length, or recognise it."""
        if stop - at > _CACHED_BYTES:
            self._items(at, stop, explicit, path, characters)
            return
        key = (path, explicit, self._little, characters, bytes(self._data[at:stop]))
        known = self._seen.get(key)
        if known is not None:
            self._found.extend(known)
            return
        begun = len(self._found)
        self._items(at, stop, explicit, path, characters)
        if len(self._seen) >= _CACHED_ITEMS:
            self._seen.clear()
        self._seen[key] = tuple(self._found[begun:])

    def _items(self, at: int, stop: int | None, explicit: bool, path: str, characters: bytes) -> int:
        while stop is None or at < stop:
            group, number, length = self._tag_length(self._data, at)
            tag, at = group << 16 | number, at + 8
            if tag == _SEQUENCE_END and stop is None:
                return at
            if tag != _ITEM:
                raise Unfollowed
            end = None if length == _UNDEFINED else at + length
            if end is not None and end > (len(self._data) if stop is None else stop):
                raise error
            at = self._elements(at, end, explicit, path, characters)
        return at

    def _fragments(self, at: int) -> int:
        """Pass over compressed pixels."""
        while True:
            group, number, length = self._tag_length(self._data, at)
            tag, at = group << 16 | number, at + 8
            if tag == _SEQUENCE_END:
                return at
            if tag != _ITEM or at + length > len(self._data):
                raise error
            at += length


LOOKS_DICOM = re.compile(rb"[\x02\x08]\0[\x00-\x20]\0(?:[A-Z]{2}|[\x00-\x40]\0)", re.DOTALL).match
"""Match the beginning of a DICOM file that has no preamble."""
