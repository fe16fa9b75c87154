"""Reading the plain files of one series by comparing their bytes with a file that pydicom has read.

Files of one series differ in a few elements only. A `_Template` made of the first file holds its bytes and
where its root elements lie; in a further file the bytes between the elements that vary must be the same, and
of those elements tag, VR and length are read. Whatever is not exactly as known (another element, an odd
length, a number in an unusual form, a changed value that means more than one slice) is handed back, and
pydicom reads that file: this module may be slow, never different.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from struct import error
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from analysis.pet.plainfile import (
    META_END,
    META_LENGTH,
    PREAMBLE,
    SHORT,
    UNDEFINED,
    Element,
    Unfamiliar,
    decode_number,
    decode_vector,
    decode_word,
    root_elements,
    sequence_end,
    u16,
    u32,
)

if TYPE_CHECKING:
    from analysis.pet.header import PetSlice

_BITS_ALLOCATED, _BITS_STORED, _PIXELS = 0x00280100, 0x00280101, 0x7FE00010

# Work space, not rules: how far a file may differ in size from the template, and how many templates are kept.
_SLACK_BYTES, _BLOCK_BYTES, _TEMPLATES = 1 << 16, 1 << 26, 4


class Wanted(NamedTuple):
    """An element that may differ between slices, and where its value goes in a `PetSlice`.

    Attributes
    ----------
    vr : str
        DS, IS (a number), DA, TM, DT, UI (text).
    field : str
        ``text``, ``number`` or ``position_mm`` (three DS).
    key : str
        Key in that dictionary.
    """

    vr: str
    field: str
    key: str


class SeriesReader:
    """Reads files like those it was shown.

    Parameters
    ----------
    wanted : mapping of int to Wanted
        Elements that are decoded where they differ between slices.
    fixed : callable
        Tells of any other tag whether a `PetSlice` depends on it: it must not differ then.
    n_files : int
        How many files are to be read at most; used to ask for memory once.
    """

    def __init__(self, wanted: Mapping[int, Wanted], fixed: Callable[[int], bool], n_files: int):
        self._wanted, self._fixed, self._files_left = wanted, fixed, n_files
        self._templates: list[_Template] = []
        self._block, self._used = memoryview(b""), 0

    def learn(self, path: str | Path, model: PetSlice) -> None:
        """Take a file that pydicom has read as an example, if it is plain enough.

        Parameters
        ----------
        path : path
            The file.
        model : PetSlice
            What pydicom made of it.
        """
        try:
            with open(path, "rb", buffering=0) as stream:
                data = stream.read()
            template = _Template(data, model, self._wanted, self._fixed)
            if not np.array_equal(template.pixels(memoryview(data)), model.stored):
                return
        except (OSError, Unfamiliar):
            return
        self._templates = [template, *self._templates[: _TEMPLATES - 1]]

    def read(self, name: str, path: str | Path) -> PetSlice | None:
        """Read a file like one of the examples.

        Parameters
        ----------
        name : str
            Name of the slice in messages.
        path : path
            The file.

        Returns
        -------
        PetSlice or None
            None for a file that must be read by pydicom. Dictionaries and arrays that do not differ between
            slices are the same objects.
        """
        self._files_left -= 1
        if not self._templates:
            return None
        try:
            content = self._load(path)
            return None if content is None else self._recognise(name, content)
        except (OSError, Unfamiliar):
            return None

    def _load(self, path: str | Path) -> memoryview | None:
        """Read a file behind those kept so far; None where its size tells that it is another kind."""
        handle = os.open(path, os.O_RDONLY)
        try:
            size = os.fstat(handle).st_size
            if not size or all(abs(size - known.size) > _SLACK_BYTES for known in self._templates):
                return None
            if self._used + size > len(self._block):
                # An array of numpy's: the system gives it large pages, which bytes objects do not get.
                n_bytes = max(size, min(size * (self._files_left + 1), _BLOCK_BYTES))
                self._block, self._used = memoryview(np.empty(n_bytes, np.uint8)), 0
            content = self._block[self._used : self._used + size]
            return content if os.readv(handle, [content]) == size else None
        finally:
            os.close(handle)

    def _recognise(self, name: str, content: memoryview) -> PetSlice | None:
        found = None
        for template in self._templates:
            found = template.match(content)
            if found is not None:
                break
        else:
            data = bytes(content)
            elements = root_elements(data)
            template = next((known for known in self._templates if known.admits(data, elements)), None)
            found = None if template is None else template.match(content)
        if found is None:
            return None
        item = template.make_slice(name, found, content)
        if template is not self._templates[0]:
            self._templates.remove(template)
            self._templates.insert(0, template)
        self._used += len(content)
        return item


class _Template:
    """The bytes of one file, the root elements that may vary, and the slice pydicom made of it."""

    def __init__(self, data: bytes, model: PetSlice, wanted: Mapping[int, Wanted], fixed):
        self._data, self._elements = data, root_elements(data)
        self._model, self._wanted, self._fixed = model, wanted, fixed
        self._variable: set[int] = set()
        self._texts: dict[tuple, dict[str, str]] = {}
        self.size = len(data)
        self._pixel_bytes, self._unused_bits = self._describe_pixels()
        self._plan()

    def _describe_pixels(self) -> tuple[int, int]:
        """Return the number of pixel bytes, and how many bits of a pixel hold nothing."""
        places = {element.tag: element for element in self._elements}
        pixels = places.get(_PIXELS)
        stored = self._model.stored
        # as in `analysis.pet.pixels`: one byte may fill up to an even number
        if pixels is None or pixels.stop - pixels.value - stored.nbytes not in (0, 1):
            raise Unfamiliar
        allocated, used = (
            self._unsigned(places[tag]) if tag in places else 0 for tag in (_BITS_ALLOCATED, _BITS_STORED)
        )
        if allocated != 8 * stored.dtype.itemsize:
            raise Unfamiliar
        return pixels.stop - pixels.value, max(allocated - (used or allocated), 0)

    def _unsigned(self, element: Element) -> int:
        if element.vr not in (b"", b"US") or element.stop - element.value != 2:
            raise Unfamiliar
        return u16(self._data, element.value)[0]

    def _plan(self) -> None:
        """Cut the bytes at the elements that vary into runs that do not."""
        self._runs: list[tuple[bytes, int, int, int, Element]] = []
        self._slots: list[Wanted] = []
        begin = PREAMBLE
        for element in self._elements:
            if element.tag == _PIXELS:
                break
            if element.tag not in self._variable:
                continue
            # The length of (0002,0000) is part of the run before it: pydicom reads its value.
            width = 2 if element.vr in SHORT else 4
            width = 0 if element.tag == META_LENGTH else width
            run, slot = self._data[begin : element.value - width], -1
            if element.tag in self._wanted:
                slot = len(self._slots)
                self._slots.append(self._wanted[element.tag])
            self._runs.append((run, len(run), width, slot, element))
            begin = element.stop
        self._last_run = self._data[begin : element.value]
        self._tail = self._data[element.stop :]
        self._head_bytes = element.value + _SLACK_BYTES // 16

    def match(self, content: memoryview) -> tuple[list[bytes], int] | None:
        """Return the values of the wanted elements that vary, and where the pixels begin; None if unlike."""
        head = bytes(content[: self._head_bytes])
        values, at = [b""] * len(self._slots), PREAMBLE
        same = head.startswith
        try:
            for run, size, width, slot, element in self._runs:
                if not same(run, at):
                    return None
                at += size
                length = (u16(head, at) if width == 2 else u32(head, at))[0] if width else 4
                at += width
                if length == UNDEFINED:
                    at = sequence_end(head, at, element.tag, element.vr)
                    continue
                if length & 1:
                    return None
                if slot >= 0:
                    values[slot] = head[at : at + length]
                at += length
        except (error, Unfamiliar):
            return None
        if not same(self._last_run, at):
            return None
        at += len(self._last_run)
        end = at + self._pixel_bytes
        if end + len(self._tail) != len(content) or content[end:] != self._tail:
            return None
        return values, at

    def admits(self, data: bytes, elements: Sequence[Element]) -> bool:
        """Tell whether a file differs from the template only where a file may, and let it do so from now."""
        if [(one.tag, one.vr) for one in elements] != [(one.tag, one.vr) for one in self._elements]:
            return False
        differing = {
            one.tag
            for one, own in zip(elements, self._elements, strict=True)
            if data[one.start : one.stop] != self._data[own.start : own.stop]
        }
        if any(tag not in self._wanted and self._fixed(tag) for tag in differing - {_PIXELS}):
            return False
        if any(self._misread(one) for one in self._elements if one.tag in differing):
            return False
        # The first element of the body tells pydicom whether it is explicit or implicit.
        first = next(one.tag for one in self._elements if one.tag > META_END)
        if first in differing:
            return False
        self._variable |= differing - {_PIXELS}
        self._plan()
        self._head_bytes = max(self._head_bytes, elements[-1].start)
        return True

    def _misread(self, element: Element) -> bool:
        """Tell whether an element is wanted but stands with another VR than the standard's."""
        wanted = self._wanted.get(element.tag)
        return wanted is not None and element.vr not in (b"", wanted.vr.encode())

    def make_slice(self, name: str, found: tuple[list[bytes], int], content: memoryview) -> PetSlice:
        """Return the slice: the model's values, those decoded here, and the pixels."""
        values, at = found
        changes: dict[str, Any] = {"where": name}
        words, numbers = [], {}
        for wanted, raw in zip(self._slots, values, strict=True):
            if wanted.field == "text":
                words.append(raw)
            elif wanted.field == "number":
                numbers[wanted.key] = decode_number(wanted.vr, raw)
            else:
                changes[wanted.field] = decode_vector(raw)
        if words:
            changes["text"] = self._text(tuple(words))
        if numbers:
            changes["number"] = self._model.number | numbers
        changes["stored"] = self.pixels(content, at)
        # What dataclasses.replace does, in a tenth of its time: a PetSlice is plain attributes.
        item = object.__new__(type(self._model))
        item.__dict__.update(self._model.__dict__ | changes)
        return item

    def _text(self, words: tuple[bytes, ...]) -> dict[str, str]:
        known = (len(self._slots), words)
        if known not in self._texts:
            keys = [slot for slot in self._slots if slot.field == "text"]
            decoded = {slot.key: decode_word(slot.vr, raw) for slot, raw in zip(keys, words, strict=True)}
            self._texts[known] = self._model.text | decoded
        return self._texts[known]

    def pixels(self, content: memoryview, at: int | None = None) -> np.ndarray:
        """Return the stored pixels of a file like this one."""
        at = len(content) - len(self._tail) - self._pixel_bytes if at is None else at
        model = self._model.stored
        stored = np.frombuffer(content, model.dtype, model.size, at).reshape(model.shape)
        stored.flags.writeable = False
        return (stored << self._unused_bits) >> self._unused_bits if self._unused_bits else stored
