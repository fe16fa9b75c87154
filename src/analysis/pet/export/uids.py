"""Unique identifiers from what an object is made of, so that the same inputs always give the same ones."""

from __future__ import annotations

import hashlib

_VERSION, _VARIANT = 8, 0b10  # a UUID of free content, RFC 9562


def derive_uid(*parts: str | bytes) -> str:
    """Derive a DICOM UID under the root of UUIDs from a digest of `parts`.

    Parameters
    ----------
    *parts : str or bytes
        What the object is made of; their borders count (``"ab", "c"`` is not ``"a", "bc"``).

    Returns
    -------
    str
        ``2.25.`` and a decimal number: at most 44 characters, without a leading zero (PS3.5 B.2).

    Examples
    --------
    >>> derive_uid("a", "b") == derive_uid("a", "b"), derive_uid("ab") == derive_uid("a", "b")
    (True, False)
    """
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    number = int.from_bytes(digest.digest()[:16], "big")
    number = number & ~(0xF << 76) | _VERSION << 76
    number = number & ~(0b11 << 62) | _VARIANT << 62
    return f"2.25.{number}"
