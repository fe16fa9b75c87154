"""Text of TIFF pictures: every tag is read or refused, and no byte lies where nothing points to."""

from __future__ import annotations

import struct

from analysis.privacy.formats import Contents, FormatRefused, read

# Tags of TIFF 6.0 that hold sizes, colours, resolution and the places of the pixels: numbers only.
_PLAIN = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284),
    *(286, 287, 290, 291, 296, 297, 301, 317, 318, 319, 320, 322, 323, 324, 325, 338, 339),
}
_WHOLE_NUMBERS = {3: "H", 4: "I"}
_BYTES_OF = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_ASCII, _RATIONALS, _XMP, _COMPRESSION = 2, {5, 10}, 700, 259
_COMPRESSIONS = {1, 5, 8, 32773, 32946}  # none, LZW, Deflate, PackBits: nothing but pixels within
_STRIPS = ((273, 279), (324, 325))  # places and lengths of strips, of tiles


def read_tiff(content: bytes, depth: int = 0) -> Contents:
    """Read the text tags and XMP of every picture of a TIFF; pixels are not read.

    Raises
    ------
    FormatRefused
        For a tag that is neither text nor known to be harmless (a private one, EXIF, a colour profile), a
        compression that may hold text of its own, bytes that nothing points to, or damage.
    """
    found = Contents("tiff")
    order = "<" if content[:2] == b"II" else ">"
    used = [(0, 8)]
    try:
        (place,) = struct.unpack_from(order + "I", content, 4)
        while place:
            if any(start == place for start, _ in used):
                raise FormatRefused("FORMAT", "the picture", "a TIFF whose list of pictures has no end")
            place = _read_directory(found, content, order, place, used, depth)
    except struct.error as error:
        raise FormatRefused("FORMAT", "the picture", "a TIFF that ends early") from error
    _check_whole(content, used)
    return found


def _read_directory(found: Contents, content: bytes, order: str, place: int, used: list, depth: int) -> int:
    """Read one picture's tags, note the bytes it uses, and return where the next one's are."""
    (count,) = struct.unpack_from(order + "H", content, place)
    used.append((place, place + 2 + 12 * count + 4))
    numbers: dict[int, list[int]] = {}
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", content, entry)
        size = _BYTES_OF.get(kind, 0) * length
        at = entry + 8 if size <= 4 else struct.unpack_from(order + "I", content, entry + 8)[0]
        body = content[at : at + size]
        if not size or len(body) < size:
            raise FormatRefused("FORMAT", f"TIFF tag {tag}", "a value that cannot be read")
        if size > 4:
            used.append((at, at + size))
        elif any(content[entry + 8 + size : entry + 12]):
            raise FormatRefused("FORMAT", f"TIFF tag {tag}", "bytes behind its value")
        if kind in _WHOLE_NUMBERS and tag in _PLAIN:
            numbers[tag] = list(struct.unpack(f"{order}{length}{_WHOLE_NUMBERS[kind]}", body))
        elif not (kind in _RATIONALS and tag in _PLAIN):
            _read_tag(found, tag, kind, body, depth)
    _note_pixels(numbers, used)
    return struct.unpack_from(order + "I", content, place + 2 + 12 * count)[0]


def _read_tag(found: Contents, tag: int, kind: int, body: bytes, depth: int) -> None:
    if tag == _XMP:
        found.include("TIFF tag 700", read("metadata.xml", body.rstrip(b"\0"), depth + 1))
    elif kind == _ASCII:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            text = body.decode("latin-1")
        found.add([(f"TIFF tag {tag}", part) for part in text.split("\0") if part])
        # TIFF writes a date as 2020:01:31.
        if text[4:5] == ":" and text[:4].isdigit():
            found.add([(f"TIFF tag {tag}", text.replace(":", "-", 2))])
    else:
        raise FormatRefused("FORMAT", f"TIFF tag {tag}", "a tag that has no place in a report")


def _note_pixels(numbers: dict[int, list[int]], used: list) -> None:
    """Note where the pixels lie; refuse a compression whose data may hold more than pixels."""
    if set(numbers.get(_COMPRESSION, [1])) - _COMPRESSIONS:
        raise FormatRefused("FORMAT", "the picture", "a TIFF compressed in a way that may hold text")
    for places, lengths in _STRIPS:
        starts, sizes = numbers.get(places, []), numbers.get(lengths, [])
        if len(starts) != len(sizes):
            raise FormatRefused("FORMAT", "the picture", "a TIFF whose pixels have no known length")
        used += [(start, start + size) for start, size in zip(starts, sizes)]


def _check_whole(content: bytes, used: list[tuple[int, int]]) -> None:
    """Refuse a file with bytes nothing points to, but for a zero that brings a value to an even place."""
    end = 0
    for start, stop in [*sorted(used), (len(content), len(content))]:
        if start > end and (start - end > 1 or content[end:start] != b"\0"):
            raise FormatRefused("FORMAT", "the picture", f"{start - end} bytes that nothing points to")
        end = max(end, stop)
    if end > len(content):
        raise FormatRefused("FORMAT", "the picture", "a TIFF that ends early")
