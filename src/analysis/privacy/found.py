"""A value as a DICOM file holds it, how it is called, and what is raised where there is none."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from pydicom.datadict import dictionary_VR, keyword_for_tag


class Unfollowed(ValueError):
    """Bytes that do not follow the rules of DICOM as they are known here."""


class Cut(ValueError):
    """A file that ends before what it announced."""


class Found(NamedTuple):
    """A value as the file holds it: path of keywords, VR, character set in force, bytes."""

    path: str
    vr: bytes
    characters: bytes
    raw: bytes


@lru_cache(maxsize=20_000)
def path_of(prefix: str, tag: int, creator: str = "") -> str:
    """Return how an element is called: keywords from the root on; a private one by number and creator.

    Parameters
    ----------
    prefix : str
        Path of the sequence it lies in; empty at the root.
    tag : int
        Tag of the element.
    creator : str
        Private creator of its block.

    Returns
    -------
    str
        For instance ``RadiopharmaceuticalInformationSequence.RadiopharmaceuticalStartTime`` or
        ``(0009,xx0D GEMS_PETD_01)``.
    """
    group, number = tag >> 16, tag & 0xFFFF
    if group & 1:
        name = f"({group:04X},xx{number & 0xFF:02X} {creator})" if number > 0xFF else "PrivateCreator"
    else:
        name = keyword_for_tag(tag) or f"({group:04X},{number:04X})"
    return f"{prefix}.{name}" if prefix else name


@lru_cache(maxsize=20_000)
def implicit_vr(tag: int) -> bytes:
    """Return the VR of an element whose file does not state it; UN where the dictionary does not know it."""
    if tag >> 16 & 1:
        return b"LO" if 0x10 <= tag & 0xFFFF <= 0xFF else b"UN"
    try:
        return dictionary_VR(tag)[:2].encode()
    except KeyError:
        return b"UL" if tag & 0xFFFF == 0 else b"UN"
