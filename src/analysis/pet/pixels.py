"""Stored pixels of a DICOM image: plain bytes by numpy, compressed ones by whatever decoder is installed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID, RLELossless

from analysis.pet.codes import SeriesRefused
from analysis.pet.codestream import describe_stream

# Implicit, explicit and deflated explicit little endian: the pixels stand as they are.
PLAIN_SYNTAX = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"}
# Where several decoders are installed; the one that checks what it is given comes first.
_PREFERRED = ("pyjpegls",)
_AGAIN = "send it again"


class _Description(NamedTuple):
    """How the header describes the pixels: frames, rows and columns, bits of a word, bits in use, sign."""

    shape: tuple[int, int, int]
    bits: int
    used: int
    signed: bool

    @property
    def count(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]


def stored_frames(name: str, ds: pydicom.Dataset) -> np.ndarray:
    """Read the stored pixel values of every frame, before any rescaling.

    Parameters
    ----------
    name : str
        How messages call the file.
    ds : pydicom.Dataset
        The image.

    Returns
    -------
    ndarray of int, shape (frames, rows, columns)
        Signed or unsigned, as the header says.

    Raises
    ------
    SeriesRefused
        ``TRUNCATED_FILE`` for missing pixels, ``PIXELS_UNREADABLE`` for pixels that no decoder here reads or
        that are not as the header describes them.
    """
    if "PixelData" not in ds:
        raise truncated(name, "holds no pixels")
    described = _describe(name, ds)
    syntax = UID(ds.file_meta.get("TransferSyntaxUID", ""))
    if not syntax.is_transfer_syntax or syntax.is_encapsulated:
        return _decompressed(name, ds, syntax, described)
    _check_length(name, ds, described)
    if syntax not in PLAIN_SYNTAX:
        return _decoded(name, ds, syntax, described)
    dtype = np.dtype(f"<{'i' if described.signed else 'u'}{described.bits // 8}")
    stored = np.frombuffer(ds.PixelData, dtype, described.count).reshape(described.shape)
    unused = described.bits - described.used
    # bits above the stored ones may hold anything: drop them, keep the sign
    return stored if unused <= 0 else (stored << unused) >> unused


def _describe(name: str, ds: pydicom.Dataset) -> _Description:
    try:
        shape = (int(ds.get("NumberOfFrames") or 1), int(ds.Rows), int(ds.Columns))
        bits, signed = int(ds.BitsAllocated), int(ds.PixelRepresentation) == 1
        used, samples = int(ds.get("BitsStored") or bits), int(ds.get("SamplesPerPixel") or 1)
        highest = ds.get("HighBit")
        highest = used - 1 if highest is None else int(highest)
    except (AttributeError, TypeError, ValueError) as error:
        raise truncated(name, "does not describe its pixels") from error
    if bits not in (8, 16, 32) or samples != 1:
        raise _unreadable(name, f"expected one sample of 8, 16 or 32 bits a pixel, found {bits} bits")
    if used > bits or highest != used - 1:
        raise _unreadable(
            name,
            f"Bits Stored (0028,0101) of at most {bits}, and High Bit (0028,0102) one less, expected, found "
            f"{used} and {highest}; {_AGAIN}",
        )
    if min(shape) <= 0:
        raise truncated(name, "describes no pixels")
    return _Description(shape, bits, used, signed)


def _check_length(name: str, ds: pydicom.Dataset, described: _Description) -> None:
    """Refuse pixels that are fewer or more than described; one byte may fill up to an even number."""
    if ds["PixelData"].is_undefined_length:
        raise _unreadable(name, f"compressed pixels under the label of uncompressed ones; {_AGAIN}")
    needed, held = described.count * described.bits // 8, len(ds.PixelData)
    if held < needed:
        raise truncated(name, f"holds {held * 8 // described.bits} of {described.count} pixels")
    if held > needed + 1:
        raise _unreadable(name, f"expected {needed} bytes of pixels, found {held}; {_AGAIN}")


def _decompressed(name: str, ds: pydicom.Dataset, syntax: UID, described: _Description) -> np.ndarray:
    """Decode compressed frames whose code streams are as the header describes them."""
    try:
        plugins = get_decoder(syntax).available_plugins
    except NotImplementedError:
        plugins = ()
    if not plugins:
        raise _unreadable(name, f"no decoder for {_label(syntax)} is installed; send it uncompressed")
    if syntax != RLELossless:
        _check_streams(name, ds, syntax, described)
    stored = _decoded(name, ds, syntax, described, next((one for one in _PREFERRED if one in plugins), ""))
    limit = 1 << (described.used - described.signed)
    if stored.min() < (-limit if described.signed else 0) or stored.max() >= limit:
        raise _unreadable(
            name, f"decoded pixels exceed the {described.used} bits of Bits Stored (0028,0101); {_AGAIN}"
        )
    return stored


def _check_streams(name: str, ds: pydicom.Dataset, syntax: UID, described: _Description) -> None:
    try:
        streams = list(generate_frames(ds.PixelData, number_of_frames=described.shape[0]))
    except Exception as error:  # pydicom raises many types on damaged items
        raise _undecodable(name, syntax) from error
    if len(streams) != described.shape[0]:
        raise _unreadable(name, f"expected {described.shape[0]} frames, found {len(streams)}; {_AGAIN}")
    for stream in streams:
        found = describe_stream(stream)
        if found is None:
            raise _undecodable(name, syntax)
        # Other bits than stated are harmless without a sign; the decoded pixels are looked at.
        fits = found.bits == described.used or (not described.signed and found.bits <= described.bits)
        if (found.rows, found.columns, found.components) != (*described.shape[1:], 1) or not fits:
            raise _unreadable(
                name,
                f"expected {described.shape[1]} x {described.shape[2]} pixels of {described.used} bits, the "
                f"code stream ({_label(syntax)}) holds {found.rows} x {found.columns} of {found.bits} bits, "
                f"{found.components} sample(s) a pixel; {_AGAIN}",
            )


def _decoded(name: str, ds, syntax: UID, described: _Description, plugin: str = "") -> np.ndarray:
    try:
        stored = pixel_array(ds, decoding_plugin=plugin)
    except Exception as error:  # one error type per decoder
        raise _undecodable(name, syntax) from error
    if stored.size != described.count:
        raise _unreadable(
            name, f"expected {described.shape} pixels, {_label(syntax)} gives {stored.shape}; {_AGAIN}"
        )
    return stored.reshape(described.shape)


def _label(syntax: UID) -> str:
    return f"transfer syntax {syntax.name!r}" if syntax.name != syntax else "an unknown transfer syntax"


def truncated(name: str, what: str) -> SeriesRefused:
    """Return the refusal of a file that was cut short.

    Parameters
    ----------
    name : str
        How messages call the file.
    what : str
        What is wrong with it, as the rest of a sentence.

    Returns
    -------
    SeriesRefused
        ``TRUNCATED_FILE``.
    """
    return SeriesRefused("TRUNCATED_FILE", f"{name} {what}; {_AGAIN}, or take it away if it is no image")


def _unreadable(name: str, what: str) -> SeriesRefused:
    return SeriesRefused("PIXELS_UNREADABLE", f"{name}: {what}")


def _undecodable(name: str, syntax: UID) -> SeriesRefused:
    return _unreadable(name, f"its pixels ({_label(syntax)}) cannot be decoded; {_AGAIN}")
