"""What happens to files on their way: bytes changed, cut or lost, files doubled, renamed, mixed up, missing."""

from __future__ import annotations

import struct
from collections.abc import Callable

from pydicom.datadict import tag_for_keyword

from fuzzing.bases import parse, unparse
from fuzzing.mutations import Files, mutation, pick, put
from fuzzing.values import ALL, SYNTAXES


def damage(rng, base, change: Callable[[bytes], bytes], every: bool = False) -> Files:
    """Change the bytes of one file, or of all."""
    files = dict(base.files)
    for name in list(files) if every else [pick(rng, list(files))]:
        files[name] = change(files[name])
    return files


def header_end(content: bytes) -> int:
    """Return where the pixels begin."""
    at = content.rfind(b"\xe0\x7f\x10\x00")
    return at if at > 200 else len(content)


def flip(rng, content: bytes, low: int, high: int) -> bytes:
    """Change a few bytes between two places."""
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        out[min(int(rng.integers(low, max(high, low + 1))), len(out) - 1)] = int(rng.integers(256))
    return bytes(out)


@mutation
def header_bytes(rng, base, bases):
    return damage(rng, base, lambda content: flip(rng, content, 132, header_end(content)))


@mutation
def header_bytes_everywhere(rng, base, bases):
    end = min(map(header_end, base.files.values()))
    at, value = int(rng.integers(132, end)), int(rng.integers(256))
    return damage(rng, base, lambda content: content[:at] + bytes([value]) + content[at + 1 :], every=True)


@mutation
def any_bytes(rng, base, bases):
    return damage(rng, base, lambda content: flip(rng, content, 0, header_end(content) + 12))


@mutation
def truncated(rng, base, bases):
    return damage(rng, base, lambda content: content[: int(rng.integers(len(content)))])


@mutation
def truncated_everywhere(rng, base, bases):
    share = rng.random()
    return damage(rng, base, lambda content: content[: int(share * len(content))], every=True)


@mutation
def bytes_inserted_or_lost(rng, base, bases):
    def change(content):
        at, n = int(rng.integers(len(content))), int(rng.integers(1, 9))
        return content[:at] + (bytes(n) + content[at:] if rng.random() < 0.5 else content[at + n :])

    return damage(rng, base, change)


@mutation
def length_field(rng, base, bases):
    """An element that announces an odd, short, huge or undefined length."""
    keyword = pick(rng, [name for name in ALL if name not in ("PixelData",)] + ["PixelData"] * 5)
    tag = tag_for_keyword(keyword)
    length = pick(rng, [1, 3, 7, 0xFFFF, 0xFFFE, 0, 255])
    long_length = pick(rng, [1, 3, 0, 2**31, 2**32 - 1, 2**32 - 2, 10**6, 241])

    def change(content):
        at = content.find(struct.pack("<HH", tag >> 16, tag & 0xFFFF), 132)
        if at < 0:
            return content
        if content[at + 4 : at + 6] in (b"OW", b"OB", b"SQ", b"UN", b"UT"):
            return content[: at + 8] + struct.pack("<I", long_length) + content[at + 12 :]
        if content[at + 4 : at + 6].isalpha():
            return content[: at + 6] + struct.pack("<H", length) + content[at + 8 :]
        return content[: at + 4] + struct.pack("<I", long_length) + content[at + 8 :]

    return damage(rng, base, change, every=rng.random() < 0.3)


@mutation
def nested_bytes(rng, base, bases):
    def change(content):
        at = content.find(b"\x54\x00\x16\x00")
        return content if at < 0 else flip(rng, content, at, min(at + 200, len(content)))

    return damage(rng, base, change, every=rng.random() < 0.3)


@mutation
def transfer_syntax_label(rng, base, bases):
    syntax = pick(rng, SYNTAXES).encode()

    def change(content):
        at = content.find(b"\x02\x00\x10\x00UI")
        if at < 0:
            return content
        old = 8 + int.from_bytes(content[at + 6 : at + 8], "little")
        padded = syntax + b"\0" * (len(syntax) % 2)
        new = content[at : at + 6] + struct.pack("<H", len(padded)) + padded
        length = (int.from_bytes(content[140:144], "little") + len(new) - old) % 2**32
        return content[:140] + struct.pack("<I", length) + content[144:at] + new + content[at + old :]

    return damage(rng, base, change, every=rng.random() < 0.5)


@mutation
def no_preamble(rng, base, bases):
    return damage(rng, base, lambda content: content[pick(rng, [128, 132]) :], every=rng.random() < 0.5)


@mutation
def zero_byte_file(rng, base, bases):
    if rng.random() < 0.5:
        return damage(rng, base, lambda content: pick(rng, [b"", b"\0", b"DICM", bytes(200)]))
    return base.files | {
        pick(rng, ["empty", "empty.dcm", "notes.txt"]): pick(rng, [b"", b"hello", bytes(500)])
    }


@mutation
def file_twice(rng, base, bases):
    name = pick(rng, list(base.files))
    content = base.files[name]
    if rng.random() < 0.5:
        content = content[:-2] + bytes([content[-2] ^ 1, content[-1]])
    return base.files | {f"copy of {name}": content}


@mutation
def shuffled_names(rng, base, bases):
    names = pick(
        rng,
        [
            lambda k: f"{k}",
            lambda k: f"IM{k:04d}",
            lambda k: f"a/b{k}/x.dcm",
            lambda k: f"1.2.840.{k}.99.dcm",
        ],
    )
    order = rng.permutation(len(base.files))
    files = list(base.files.values())
    return {names(k): files[at] for k, at in enumerate(order)}


@mutation
def missing_slices(rng, base, bases):
    gone = {pick(rng, list(base.files)) for _ in range(int(rng.integers(1, len(base.files) + 1)))}
    return {name: content for name, content in base.files.items() if name not in gone}


@mutation
def names_with_identity(rng, base, bases):
    """A damaged file whose name tells who and when."""
    made = pick(rng, BYTES)(rng, base, bases)
    names = pick(
        rng,
        [
            "1.2.826.0.1.3680043.10.999.{}.dcm",
            "NEMO_NOBODY_19481231_{}.dcm",
            "QX-4711-ZZ/{}.dcm",
            "20250101/{}",
        ],
    )
    return {names.format(k): content for k, content in enumerate(made.values())}


@mutation
def mixed_in(rng, base, bases):
    """Files of another series, of another patient, or of this series from another patient."""
    other = pick(rng, bases)
    how = pick(rng, ["series", "patient", "slice of a patient", "other dialect"])
    files = dict(base.files)
    for k, (name, content) in enumerate(other.files.items()):
        ds = parse(content)
        if how != "other dialect":
            put(ds, "SOPInstanceUID", f"1.2.3.9.{k}")
            if "series" in how or how == "patient":
                put(ds, "SeriesInstanceUID", "1.2.3.9")
        if "patient" in how:
            put(ds, "PatientID", "OTHER")
        files[f"other_{name}"] = unparse(ds)
        if how == "slice of a patient":
            break
    return files


BYTES = [truncated, header_bytes, length_field, bytes_inserted_or_lost, zero_byte_file]
