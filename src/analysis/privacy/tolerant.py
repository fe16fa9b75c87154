"""Values of files that need pydicom's patience: odd lengths, mixed encodings, elements out of order."""

from __future__ import annotations

from io import BytesIO

import pydicom
from pydicom.multival import MultiValue

from analysis.privacy.found import Cut, Found, Unfollowed, implicit_vr, path_of

_UNDEFINED = 0xFFFFFFFF
_CHARACTERS, _SCHEME, _MEANING = 0x00080005, 0x00080102, 0x00080104
_CHARACTER_VRS = frozenset(b"LO LT PN SH ST UC UT UN OB".split())


def read_with_pydicom(
    data: bytes, vrs: frozenset[bytes], tags: frozenset[int], schemes: frozenset[bytes]
) -> list[Found]:
    """List the values of a file.

    Parameters
    ----------
    data : bytes
        A whole file.
    vrs : frozenset of bytes
        Value representations that can identify.
    tags : frozenset of int
        Tags that are wanted whatever their VR.
    schemes : frozenset of bytes
        Coding schemes whose meanings cannot identify.

    Returns
    -------
    list of Found
        As `elements.Walker.read` lists them.

    Raises
    ------
    Cut
        If the file ends too early.
    Unfollowed
        If pydicom cannot follow it either.
    """
    found: list[Found] = []
    try:
        ds = pydicom.dcmread(BytesIO(bytes(data)), force=True)
        if not len(ds):
            raise Unfollowed
        last = ds.get_item(max(ds.keys()))
        if getattr(last, "is_raw", False) and last.length not in (_UNDEFINED, len(last.value or b"")):
            raise Cut
        for part in (ds.file_meta, ds):
            _collect(part, "", b"", (vrs, tags, schemes), found)
    except (Cut, Unfollowed):
        raise
    except Exception as damage:  # pydicom raises many types on damaged files: each means the same here
        raise Unfollowed from damage
    return found


def _collect(ds, prefix: str, characters: bytes, wanted: tuple, found: list[Found]) -> None:
    """Add the values of a data set, its sequences included."""
    vrs, tags, schemes = wanted
    characters = _held(ds, _CHARACTERS) or characters
    coded = _held(ds, _SCHEME).strip(b" \0") in schemes
    for tag in sorted(ds.keys()):
        raw = ds.get_item(tag)
        vr = (raw.VR or implicit_vr(int(tag)).decode()).encode()
        block = pydicom.tag.Tag(tag.group, tag.element >> 8)
        creator = str(ds[block].value) if tag.is_private and block in ds else ""
        path = path_of(prefix, int(tag), creator)
        if vr == b"SQ" or (vr == b"UN" and ds[tag].VR == "SQ"):
            for item in ds[tag].value:
                _collect(item, path, characters, wanted, found)
            continue
        look = vr in vrs or int(tag) in tags or (vr in (b"OB", b"OW") and tag.is_private)
        if look and not tag.is_private_creator and raw.value and not (coded and int(tag) == _MEANING):
            found.append(Found(path, vr, characters if vr in _CHARACTER_VRS else b"", _held(ds, tag)))


def _held(ds, tag) -> bytes:
    """Return the bytes of an element; of one that pydicom has converted, those of its text."""
    value = ds.get_item(tag).value if tag in ds else b""
    if isinstance(value, bytes):
        return value
    parts = value if isinstance(value, (list, MultiValue)) else [value or ""]
    return "\\".join(str(part) for part in parts).encode()
