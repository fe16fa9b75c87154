"""Metadata of PNG and JPEG pictures; pixels are not read: what is drawn there people look at."""

from __future__ import annotations

import struct
import zlib

from analysis.privacy.formats import Contents, FormatRefused

# Chunks of PNG that hold colours and sizes (ISO/IEC 15948); any other may hold anything and is refused.
_PNG_PLAIN = {
    b"IHDR",
    b"PLTE",
    b"IDAT",
    b"IEND",
    b"tRNS",
    b"gAMA",
    b"cHRM",
    b"sRGB",
    b"sBIT",
    b"bKGD",
    b"pHYs",
}
_PNG_TEXT = {b"tEXt", b"zTXt", b"iTXt"}
_JPEG_PLAIN = {0xDB, 0xC4, 0xDD, 0xDA, *(set(range(0xC0, 0xD0)) - {0xC4, 0xC8})}
_GPS = 0x8825


def read_png(content: bytes, depth: int = 0) -> Contents:
    """Read every text chunk and the EXIF of a PNG.

    Raises
    ------
    FormatRefused
        For a chunk that is not known to be harmless (``tIME`` among them), bytes after the end, or damage.
    """
    found = Contents("png")
    position = 8
    while True:
        if position + 12 > len(content):
            raise FormatRefused("FORMAT", "the picture", "a PNG that ends early")
        length, kind = struct.unpack(">I4s", content[position : position + 8])
        body = content[position + 8 : position + 8 + length]
        position += 12 + length
        if kind in _PNG_TEXT:
            found.add([(f"PNG chunk {kind.decode()}", _png_text(kind, body))])
        elif kind == b"eXIf":
            found.add(_exif(body))
        elif kind not in _PNG_PLAIN:
            raise FormatRefused("FORMAT", "the picture", "a PNG chunk that has no place in a report")
        if kind == b"IEND":
            break
    _check_end(content, position)
    return found


def _png_text(kind: bytes, body: bytes) -> str:
    keyword, _, rest = body.partition(b"\0")
    try:
        if kind == b"zTXt":
            rest = zlib.decompress(rest[1:])
        elif kind == b"iTXt":
            packed, rest = rest[:1] == b"\1", rest[2:]
            language, _, rest = rest.partition(b"\0")
            translated, _, rest = rest.partition(b"\0")
            rest = language + b" " + translated + b" " + (zlib.decompress(rest) if packed else rest)
    except zlib.error as error:
        raise FormatRefused("FORMAT", "the picture", "PNG text that cannot be unpacked") from error
    return _decode(keyword + b" " + rest)


def read_jpeg(content: bytes, depth: int = 0) -> Contents:
    """Read every comment, EXIF and application segment of a JPEG.

    Raises
    ------
    FormatRefused
        For a file that ends early, bytes after its end, or a position on Earth.
    """
    found = Contents("jpeg")
    position = 2
    while True:
        marker, position = _next_marker(content, position)
        if marker == 0xD9:
            break
        (length,) = struct.unpack(">H", content[position : position + 2].rjust(2, b"\0"))
        body = content[position + 2 : position + length]
        position += max(length, 2)
        if body.startswith(b"Exif\0\0"):
            found.add(_exif(body[6:]))
        elif marker not in _JPEG_PLAIN:
            found.add([(f"JPEG segment {marker:02X}", _decode(body))])
    _check_end(content, position)
    return found


def _next_marker(content: bytes, position: int) -> tuple[int, int]:
    """Return the next marker and the position after it, over the compressed pixels between two of them."""
    while position + 1 < len(content):
        if content[position] == 0xFF and content[position + 1] not in {0x00, 0xFF, *range(0xD0, 0xD8)}:
            return content[position + 1], position + 2
        position += 1
    raise FormatRefused("FORMAT", "the picture", "a JPEG that ends early")


def _exif(body: bytes) -> list[tuple[str, str]]:
    from PIL import ExifTags, Image

    exif = Image.Exif()
    try:
        exif.load(body)
        parts = [dict(exif), *(dict(exif.get_ifd(number)) for number in ExifTags.IFD)]
    except Exception as error:  # Pillow raises several kinds for damaged EXIF: what cannot be read is refused
        raise FormatRefused("FORMAT", "the picture", "EXIF that cannot be read") from error
    if _GPS in exif:
        raise FormatRefused("FORMAT", "the picture", "EXIF with a position on Earth")
    chunks = [(f"EXIF {tag:04X}", _value(value)) for part in parts for tag, value in part.items()]
    # The raw bytes too: a tag that Pillow does not list is still text.
    return [*chunks, ("EXIF", _decode(body))]


def _value(value: object) -> str:
    text = _decode(value) if isinstance(value, bytes) else str(value)
    # EXIF writes a date as 2020:01:31.
    return text.replace(":", "-", 2) if text[4:5] == ":" and text[:4].isdigit() else text


def _decode(body: bytes) -> str:
    """Return bytes as text: UTF-8 or Latin-1, and as UTF-16 too where every other byte is empty."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    return text.replace("\0", "") if "\0" in text else text


def _check_end(content: bytes, position: int) -> None:
    if position != len(content):
        raise FormatRefused("FORMAT", "the picture", f"{len(content) - position} bytes after its end")
