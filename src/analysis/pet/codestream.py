"""What the code stream of a compressed image says of itself: no decoder is given one that does not fit.

A decoder may read beyond the end of a stream that is smaller than the header says, and end the whole process.
"""

from __future__ import annotations

from struct import error, unpack_from
from typing import NamedTuple

_JPEG_START = b"\xff\xd8"
_J2K_START = b"\xff\x4f\xff\x51"  # SOC, SIZ
# SOF0 to SOF15 without DHT, JPG and DAC, which share their range; SOF55 of JPEG-LS.
_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_ENDS = {0xD9, 0xDA}  # of the image, of the header


class CodeStream(NamedTuple):
    """An image as its code stream describes it.

    Attributes
    ----------
    rows, columns : int
        Size.
    components : int
        Samples per pixel.
    bits : int
        Bits per sample.
    """

    rows: int
    columns: int
    components: int
    bits: int


def describe_stream(stream: bytes) -> CodeStream | None:
    """Read size, samples and bits of a JPEG, JPEG-LS or JPEG 2000 code stream.

    Parameters
    ----------
    stream : bytes
        One compressed frame.

    Returns
    -------
    CodeStream or None
        None where the stream does not say.

    Notes
    -----
    ISO/IEC 10918-1 B.2.2 and 14495-1 C.2.2 (SOF), 15444-1 A.5.1 (SIZ).
    """
    try:
        if stream.startswith(_JPEG_START):
            return _of_jpeg(stream)
        at = stream.find(_J2K_START)  # behind the boxes of a JP2 file, which should not be there
        return _of_jpeg2000(stream, at + 4) if at >= 0 else None
    except error:  # cut short
        return None


def _of_jpeg(stream: bytes) -> CodeStream | None:
    at = 2
    while True:
        lead, marker = unpack_from(">BB", stream, at)
        if lead != 0xFF or marker in _ENDS:
            return None
        at += 1 if marker == 0xFF else 2  # fill bytes may stand before a marker
        if marker == 0xFF or marker in _ALONE:
            continue
        if marker in _FRAME:
            bits, rows, columns, components = unpack_from(">BHHB", stream, at + 2)
            return CodeStream(rows, columns, components, bits)
        at += unpack_from(">H", stream, at)[0]


def _of_jpeg2000(stream: bytes, at: int) -> CodeStream:
    right, bottom, left, top = unpack_from(">4I", stream, at + 4)
    components, first = unpack_from(">HB", stream, at + 36)
    return CodeStream(bottom - top, right - left, components, (first & 0x7F) + 1)
