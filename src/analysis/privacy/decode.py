"""What the bytes of a DICOM value say: its kind of identity, and its text in every character set."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from pydicom.charset import convert_encodings, decode_bytes

from analysis.privacy.found import Found
from analysis.privacy.values import UID, Value, values_of

_ONE_VALUE = frozenset([b"LT", b"ST", b"UT", b"UR", b"UN", b"OB", b"OW"])
_BYTES = frozenset([b"UN", b"OB", b"OW"])
_STANDARD_UID = "1.2.840.10008."
_BINARY_UID = re.compile(rb"(?<![\d.])[0-2](?:\.\d+){5,}")
_BINARY_MOMENT = re.compile(rb"(?<!\d)(?:19|20)\d{12}(?:\.\d+)?(?!\d)")
_LETTER = rb"(?:[A-Za-z'-]|[\xc3-\xc5][\x80-\xbf])"
_CAPITAL = rb"(?:[A-Z]|\xc3[\x80-\x9e])"
# A name in DICOM form, or two to five words that begin with a capital: what a name looks like in other bytes.
_BINARY_NAME = re.compile(
    rb"%(l)s{2,40}(?:\^%(l)s{1,40}){1,4}|%(c)s%(l)s{2,40}(?:,? %(c)s%(l)s{2,40}){1,4}"
    % {b"l": _LETTER, b"c": _CAPITAL}
)
_NAME = re.compile(r"[^\W\d_][\w' .-]*(?:\^[\w' .-]*)+")
_BINARY_BYTES, _BINARY_NAMES = 1 << 22, 500
_DELIMITERS = {"^", "=", "\\", "\n", "\r", "\f", "\t"}


def kind_of(path: str, vr: str, rules: Mapping[str, Any]) -> str:
    """Return what kind of identity an element may hold, empty where its values cannot identify.

    Parameters
    ----------
    path : str
        Path of keywords, as `found.path_of` gives it.
    vr : str
        Value representation.
    rules : mapping
        Plan section ``privacy``.

    Returns
    -------
    str
        One of `values.KINDS`, or empty.
    """
    keyword = path.rsplit(".", 1)[-1]
    if keyword in rules["identifier_technical"] or keyword == "PrivateCreator":
        return ""
    named = rules["identifier_attributes"].get(keyword)
    return named if named is not None else rules["identifier_vr"].get(vr, "")


def is_text(vr: str, rules: Mapping[str, Any]) -> bool:
    """Tell whether elements of a VR hold words or codes."""
    return vr == "CS" or rules["identifier_vr"].get(vr) == "FREETEXT"


def decoded(found: Found) -> list[str]:
    """Return the texts of a value, one for each of its parts and readings.

    Parameters
    ----------
    found : Found
        Bytes with the character set in force.

    Returns
    -------
    list of str
        Parts of a multiple value in order. Bytes that are UTF-8 although the file says otherwise are given
        in both readings. Of private bytes that are no text, what looks like a UID, a moment or a name.
    """
    raw = found.raw.strip(b"\0 ")
    if is_binary(found):
        return [hit.decode() for form in (_BINARY_UID, _BINARY_MOMENT) for hit in form.findall(raw)] + _names(
            raw
        )
    texts = [_decode(raw, found.characters)]
    if not raw.isascii() or b"\x1b" in raw:
        texts += [text for text in (_as_utf8(raw),) if text and text not in texts]
    parts = texts if found.vr in _ONE_VALUE else [part for text in texts for part in text.split("\\")]
    return [part for part in (part.strip(" \0") for part in parts) if part]


def is_binary(found: Found) -> bool:
    """Tell whether a value is bytes that are no text."""
    return found.vr in _BYTES and not _is_text(found.raw.strip(b"\0 "))


def _names(raw: bytes) -> list[str]:
    """List what looks like the name of a person in bytes, the first of them in the first megabytes."""
    hits = islice(_BINARY_NAME.finditer(raw, 0, _BINARY_BYTES), _BINARY_NAMES)
    return list(dict.fromkeys(hit[0].decode("utf-8", "ignore") for hit in hits))


def _decode(raw: bytes, characters: bytes) -> str:
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return decode_bytes(raw, _encodings(characters), _DELIMITERS)
        except Exception:  # an unknown character set: what remains readable must still be searched for
            return raw.decode("latin-1")


@lru_cache(maxsize=256)
def _encodings(characters: bytes) -> list[str]:
    terms = [term.strip() for term in characters.decode("ascii", "replace").rstrip("\0 ").split("\\")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert_encodings(terms)


def _as_utf8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _is_text(raw: bytes) -> bool:
    if raw.isascii():
        return raw.decode("ascii").replace("\n", " ").replace("\r", " ").replace("\t", " ").isprintable()
    text = _as_utf8(raw)
    return bool(text) and " ".join(text.split()).isprintable()


def identify(found: Found, kind: str) -> list[Value]:
    """List the identifying values of an element.

    Parameters
    ----------
    found : Found
        The element.
    kind : str
        What `kind_of` says of it, not empty.

    Returns
    -------
    list of Value
        UIDs of the standard itself are left out.
    """
    values = []
    for text in decoded(found):
        # Private text may be anything: what it looks like decides.
        looks = "UID" if kind == "FREETEXT" and UID.fullmatch(text) else kind
        looks = "PERSON" if kind == "FREETEXT" and _NAME.fullmatch(text) else looks
        values += values_of("DATETIME" if found.vr in _BYTES and text[:8].isdigit() else looks, text)
    return [value for value in values if not (value.kind == "UID" and value.normal.startswith(_STANDARD_UID))]
