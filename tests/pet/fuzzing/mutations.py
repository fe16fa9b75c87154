"""What a hospital, a network or an anonymiser can do to a series: every mutation is a function of a generator."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement

from fuzzing.bases import Base, parse, unparse
from fuzzing.values import (
    ABSURD,
    ALL,
    CODED,
    DATES,
    DATES_ODD,
    DATETIMES,
    GEOMETRY,
    IDENTITY,
    NUMBERS,
    PIXELS,
    SECRET,
    TIMES,
    TIMES_ODD,
    TRACER,
    VALUES,
)

Files = dict[str, bytes]
MUTATIONS: dict[str, Callable[[np.random.Generator, Base, list[Base]], Files]] = {}


def mutation(function):
    """Register a mutation under its own name."""
    MUTATIONS[function.__name__.replace("_", " ")] = function
    return function


def pick(rng: np.random.Generator, options):
    """Choose one of `options`, as a plain Python object."""
    return options[int(rng.integers(len(options)))]


def edit_slices(
    rng, base: Base, edit: Callable[[pydicom.Dataset, int], None], one: bool | None = None
) -> Files:
    """Edit all slices, or one only (`one`; by chance without it)."""
    files = dict(base.files)
    one = bool(rng.random() < 0.35) if one is None else one
    names = [pick(rng, list(files))] if one else list(files)
    for k, name in enumerate(names):
        ds = parse(files[name])
        edit(ds, k)
        files[name] = unparse(ds)
    return files


def home(ds: pydicom.Dataset, keyword: str) -> pydicom.Dataset:
    """Return the data set that holds an element: the tracer's item or the top."""
    items = ds.get("RadiopharmaceuticalInformationSequence")
    nested = keyword in TRACER or keyword == "RadionuclideCodeSequence"
    return items[0] if nested and items else ds


def put(ds: pydicom.Dataset, keyword: str, value: str | bytes) -> None:
    """Write a value as it stands, valid or not."""
    content = value.encode("latin-1") if isinstance(value, str) else value
    tag = pydicom.tag.Tag(tag_for_keyword(keyword))
    vr = dictionary_VR(tag)
    where = home(ds, keyword)
    implicit = str(ds.file_meta.get("TransferSyntaxUID", "")) == "1.2.840.10008.1.2"
    where[tag] = RawDataElement(tag, vr, len(content), content, 0, implicit, True)


@mutation
def nothing(rng, base, bases):
    return dict(base.files)


@mutation
def delete_element(rng, base, bases):
    chosen = [pick(rng, ALL) for _ in range(1 + int(rng.random() < 0.25))]

    def edit(ds, k):
        for keyword in chosen:
            where = home(ds, keyword)
            if keyword in where:
                del where[keyword]

    return edit_slices(rng, base, edit)


@mutation
def empty_element(rng, base, bases):
    keyword = pick(rng, ALL)
    return edit_slices(rng, base, lambda ds, k: put(ds, keyword, b""))


@mutation
def wrong_content(rng, base, bases):
    keyword = pick(rng, [name for name in ALL if "Sequence" not in name])
    content = rng.integers(0, 256, int(rng.integers(1, 40)), dtype=np.uint8).tobytes()
    value = pick(rng, [content, b"abc", b"\\\\\\", b"1.2.3", b" ", b"\xff\xff", b"0" * 99])
    return edit_slices(rng, base, lambda ds, k: put(ds, keyword, value))


@mutation
def absurd_number(rng, base, bases):
    keyword, value = pick(rng, NUMBERS), pick(rng, ABSURD)
    return edit_slices(rng, base, lambda ds, k: put(ds, keyword, value))


@mutation
def scaled_number(rng, base, bases):
    keyword, factor = (
        pick(rng, NUMBERS),
        pick(rng, [0.5, 2, 1.02, 0.98, 10, 100, 1e3, 1e-3, 1e6, 1e-6, -1, 1 / 60, 60]),
    )

    def edit(ds, k):
        value = home(ds, keyword).get(keyword)
        if value is not None:
            put(ds, keyword, f"{float(value) * factor:.9g}")

    return edit_slices(rng, base, edit)


@mutation
def other_code(rng, base, bases):
    keyword = pick(rng, list(VALUES))
    value = pick(rng, VALUES[keyword])
    return edit_slices(rng, base, lambda ds, k: put(ds, keyword, value))


@mutation
def other_time(rng, base, bases):
    keyword, value = pick(rng, TIMES), pick(rng, TIMES_ODD)
    return edit_slices(rng, base, lambda ds, k: put(ds, keyword, value))


@mutation
def other_date(rng, base, bases):
    keywords, value = pick(rng, [*([name] for name in DATES), DATES, DATES[:2]]), pick(rng, DATES_ODD)
    return edit_slices(rng, base, lambda ds, k: [put(ds, name, value) for name in keywords])


@mutation
def other_injection(rng, base, bases):
    value = pick(rng, DATETIMES)
    zone = pick(rng, [None, None, "+0100", "-0500", "junk"])

    def edit(ds, k):
        put(ds, "RadiopharmaceuticalStartDateTime", value)
        if zone:
            put(ds, "TimezoneOffsetFromUTC", zone)
        if rng.random() < 0.3 and "RadiopharmaceuticalStartTime" in home(ds, TRACER[0]):
            del home(ds, TRACER[0]).RadiopharmaceuticalStartTime

    return edit_slices(rng, base, edit, one=False)


@mutation
def two_changes(rng, base, bases):
    first = pick(rng, CHANGES)(rng, base, bases)
    return pick(rng, CHANGES)(rng, Base(base.name, first, base.suv), bases)


@mutation
def private_elements(rng, base, bases):
    group, element = pick(rng, [(0x7053, 0x00), (0x7053, 0x09), (0x9, 0x0D), (0x9, 0x3B), (0x71, 0x22)])
    value = pick(rng, [*ABSURD, *DATETIMES, "0.0005", "2.0"]).encode("latin-1")
    drop_creator, vr = rng.random() < 0.3, pick(rng, ["DS", "DT", "UN", "LO", "OB"])

    def edit(ds, k):
        creator = pydicom.tag.Tag(group, 0x10)
        if drop_creator and creator in ds:
            del ds[creator]
        else:
            tag = pydicom.tag.Tag(group, 0x1000 | element)
            ds[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)

    return edit_slices(rng, base, edit)


@mutation
def geometry(rng, base, bases):
    keyword = pick(rng, GEOMETRY)
    odd = {
        "ImagePositionPatient": [
            "0\\0\\0",
            "0\\0\\1e6",
            "5\\0\\8",
            "0\\0\\nan",
            "0\\0",
            "0\\0\\4.3",
            "0\\0\\4.1",
            "a\\b\\c",
        ],
        "ImageOrientationPatient": [
            "1\\0\\0\\0\\0\\1",
            "1\\0\\0\\1\\0\\0",
            "0\\0\\0\\0\\0\\0",
            "1\\0\\0\\0\\0.9\\0.1",
            "1\\0\\0",
        ],
        "PixelSpacing": ["0\\0", "-4\\4", "4", "4\\4\\4", "nan\\4", "1e300\\4", "2\\4", "1e-300\\1e-300"],
    }
    value = pick(rng, odd.get(keyword, ABSURD))
    return edit_slices(rng, base, lambda ds, k: put(ds, keyword, value))


@mutation
def pixel_description(rng, base, bases):
    keyword = pick(rng, PIXELS)
    value = pick(rng, [0, 1, 2, 3, 4, 5, 6, 8, 12, 15, 16, 32, 64, 255, 65535, 24])
    content = (
        struct.pack("<H", value)
        if keyword not in PIXELS[-2:-1] + PIXELS[7:8]
        else pick(rng, ["RGB", "0", "999999999", "2"])
    )
    return edit_slices(rng, base, lambda ds, k: put(ds, keyword, content))


@mutation
def identity_in_a_code(rng, base, bases):
    keyword = pick(rng, [*CODED, *NUMBERS, *TIMES, *DATES])
    return edit_slices(rng, base, lambda ds, k: put(ds, keyword, SECRET), one=False)


@mutation
def other_identity(rng, base, bases):
    keyword = pick(rng, IDENTITY)
    value = pick(rng, ["1.2.3.4", "", "junk", "1.2.826.0.1.3680043.10.999.2.1", "QX-4711"])
    return edit_slices(rng, base, lambda ds, k: put(ds, keyword, value))


@mutation
def element_anywhere(rng, base, bases):
    """Delete, empty, replace or fill with rubbish any element, however deep it is nested."""
    files = dict(base.files)
    name = pick(rng, list(files))
    ds = parse(files[name])
    parts, inside = [ds], [ds]
    while parts:  # all data sets of the file
        nested = [item for element in parts.pop() if element.VR == "SQ" for item in element.value]
        parts, inside = parts + nested, inside + nested
    for _ in range(int(rng.integers(1, 4))):
        where = pick(rng, inside)
        if len(where):
            _spoil(rng, where, pick(rng, list(where.keys())))
    return files | {name: unparse(ds)}


def _spoil(rng, where: pydicom.Dataset, tag) -> None:
    how, element = pick(rng, ["delete", "empty", "rubbish", "again"]), where.get_item(tag)
    if element.VR == "SQ" and not element.is_raw:
        items = list(element.value)
        changed = {"delete": [], "empty": [], "rubbish": items[::-1], "again": [*items, *items[:1]]}[how]
        where[tag] = pydicom.DataElement(tag, "SQ", changed)
    if how == "delete":
        del where[tag]
    elif element.VR != "SQ":
        content = b"" if how == "empty" else pick(rng, ABSURD + DATETIMES + DATES_ODD).encode("latin-1")
        if element.VR in ("US", "UL", "SS", "FD", "FL", "OW", "OB", "AT"):
            content = content and rng.integers(0, 256, pick(rng, [1, 2, 4, 8, 16]), dtype=np.uint8).tobytes()
        where[tag] = RawDataElement(tag, element.VR, len(content), content, 0, False, True)


@mutation
def frame_groups(rng, base, bases):
    """What only Enhanced PET has; another series gets an element anywhere instead."""
    if base.name != "enhanced":
        return element_anywhere(rng, base, bases)
    files = dict(base.files)
    ds = parse(files["enhanced.dcm"])
    frames = ds.PerFrameFunctionalGroupsSequence
    chosen = [pick(rng, frames)] if rng.random() < 0.5 else frames
    key = pick(rng, ["RealWorldValueSlope", "RealWorldValueIntercept", "RealWorldValueLastValueMapped", "CodeValue", "two",
                     "frames", "DecayCorrected", "DecayCorrectionDateTime", "position", "shuffle", "time"])  # fmt: skip
    number = pick(rng, [0.0, -1.0, float("nan"), float("inf"), 1e300, 2.5])
    for frame in chosen:
        one = frame.RealWorldValueMappingSequence[0]
        if key in ("RealWorldValueSlope", "RealWorldValueIntercept"):
            one[key].value = number
        elif key == "RealWorldValueLastValueMapped":
            one.RealWorldValueLastValueMapped = pick(rng, [0, 100, 30000])
        elif key == "CodeValue":
            one.MeasurementUnitsCodeSequence[0].CodeValue = pick(
                rng, ["g/ml{SUVbw}", "{SUVbw}g/ml", "HU", "kBq/ml", ""]
            )
        elif key == "two":
            frame.RealWorldValueMappingSequence = [one, one]
        elif key == "position":
            frame.PlanePositionSequence[0].ImagePositionPatient = pick(
                rng, [[0, 0, 0], [0, 0, 1e9], [0, 3, 4]]
            )
        elif key == "time":
            frame.FrameContentSequence[0].FrameReferenceDateTime = pick(rng, ["20250101120000", "x", ""])
    if key == "frames":
        put(ds, "NumberOfFrames", pick(rng, ["0", "1", "4", "6", "99999999", "x", ""]))
    elif key == "DecayCorrected":
        ds.DecayCorrected = pick(rng, ["NO", "", "MAYBE"])
    elif key == "DecayCorrectionDateTime":
        put(ds, key, pick(rng, DATETIMES))
    elif key == "shuffle":
        ds.PerFrameFunctionalGroupsSequence = [frames[at] for at in rng.permutation(len(frames))]
    return files | {"enhanced.dcm": unparse(ds)}


@mutation
def tracer_items(rng, base, bases):
    how = pick(rng, ["twice", "none", "codes", "nested twice"])

    def edit(ds, k):
        items = ds.get("RadiopharmaceuticalInformationSequence")
        if not items:
            return
        if how == "codes":
            items[0].RadionuclideCodeSequence = []
        elif how == "nested twice":
            items[0].add(ds.RadiopharmaceuticalInformationSequence[0]["RadionuclideCodeSequence"])
            items[0].RadiopharmaceuticalInformationSequence = [pydicom.Dataset()]
        else:
            ds.RadiopharmaceuticalInformationSequence = [] if how == "none" else [items[0], items[0]]

    return edit_slices(rng, base, edit)


CHANGES = [
    delete_element,
    absurd_number,
    scaled_number,
    other_code,
    other_time,
    other_date,
    other_injection,
    empty_element,
]
