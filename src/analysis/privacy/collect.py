"""One pass over everything below the raw folder: what identifies, and what each series says about itself."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.plan import Plan
from analysis.privacy import plainfiles, series
from analysis.privacy.decode import decoded, identify, is_text, kind_of
from analysis.privacy.elements import LOOKS_DICOM, Walker
from analysis.privacy.found import Cut, Found, Unfollowed
from analysis.privacy.plainfiles import CODED, READ, UNREADABLE
from analysis.privacy.values import Value, is_searchable, normalise, values_of

_CHUNK = 1000
_MAPPED_BYTES = 1 << 20
_HEAD = 256
_DOCUMENT = b"1.2.840.10008.5.1.4.1.1.104."  # encapsulated PDF and the like
_LISTED = frozenset(["SUBJECT", "ID", "ACCESSION"])  # a cell may hold several of them


@dataclass(frozen=True)
class Collected:
    """What the raw files say about persons. Never to be written outside the restricted zone.

    Attributes
    ----------
    values : pandas.DataFrame
        One row a distinct identifying value (a date of birth apart from the same date elsewhere): KIND, VALUE
        (as found), NORMAL (as compared), FIRSTSEEN (path of keywords, or ``column NAME``, or ``file name``),
        COUNT (occurrences), SEARCHABLE (False for short words and placeholders), CODED (the same text also
        stands where only codes stand: in a column the plan lists as CODED, or in a coded element).
    series : pandas.DataFrame
        One row a DICOM series, as `series.series_table` describes it.
    files : pandas.DataFrame
        One row a file: PATH (relative), KIND (DICOM, TEXT, OTHER), STATUS (READ; UNREADABLE, also for
        documents, workbooks and archives, which hold text that is not looked into; OPAQUE: pictures
        and other bytes).
    """

    values: pd.DataFrame
    series: pd.DataFrame
    files: pd.DataFrame

    @property
    def unreadable(self) -> list[str]:
        """Files whose identifying values are not known."""
        return self.files.loc[self.files["STATUS"].eq(UNREADABLE), "PATH"].tolist()


def collect(
    raw_dir: str | Path,
    plan: Plan,
    *,
    workers: int = 1,
    report: Callable[[str, int, int], None] | None = None,
) -> Collected:
    """Read every file below a folder for what identifies.

    Parameters
    ----------
    raw_dir : path
        Raw folder; any tree, links followed, hidden files included.
    plan : Plan
        With section ``privacy``.
    workers : int
        Processes; the result does not depend on their number.
    report : callable, optional
        Called with what is counted, files done and files in all.

    Returns
    -------
    Collected
        Values, series and files, each in a fixed order.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    root = os.fspath(raw_dir)
    if not os.path.isdir(root):
        raise FileNotFoundError(
            "RAW_FOLDER_MISSING: there is no raw folder to collect from; give an existing one"
        )
    names = sorted(_files(root))
    rules = plan.privacy.to_dict()
    chunks = [(root, names[at : at + _CHUNK], rules) for at in range(0, len(names), _CHUNK)]
    parts = []
    for part in _mapped(chunks, workers):
        parts.append(part)
        if report is not None:
            report("files searched for identifiers", min(len(parts) * _CHUNK, len(names)), len(names))
    rows = series.merge([part.series for part in parts])
    files = [row for part in parts for row in part.files]
    return Collected(
        _value_table(parts, rules),
        series.series_table(rows),
        pd.DataFrame(files, columns=["PATH", "KIND", "STATUS"]),
    )


def _mapped(chunks: list, workers: int) -> Iterator[Part]:
    if workers <= 1 or len(chunks) < 2:
        yield from map(_read_chunk, chunks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context) as pool:
        yield from pool.map(_read_chunk, chunks)


def _files(root: str) -> Iterator[str]:
    """Yield every file below a folder, relative to it, each folder once however many links lead there."""
    folders, seen = [""], set()
    while folders:
        folder = folders.pop()
        try:
            state = os.stat(f"{root}/{folder}")
            entries = sorted(os.scandir(f"{root}/{folder}"), key=lambda entry: entry.name)
        except OSError:
            yield folder.rstrip("/")  # a folder that cannot be opened is unreadable, as a file is
            continue
        if (state.st_dev, state.st_ino) in seen:
            continue
        seen.add((state.st_dev, state.st_ino))
        for entry in entries:
            if entry.is_dir():
                folders.append(f"{folder}{entry.name}/")
            else:
                yield folder + entry.name


class Part:
    """What a group of files said, ready to be sent to another process."""

    def __init__(self, rules: Mapping[str, Any]):
        self.rules = rules
        self.values: dict[tuple[str, str, bool], list] = {}
        self.coded: set[str] = set()
        self.files: list[tuple[str, str, str]] = []
        self.series: dict[str, dict[str, Any]] = {}
        self._birth = re.compile(rules["identifier_birth"], re.IGNORECASE).search

    def add(self, value: Value, seen: str, count: int = 1) -> None:
        """Count a value."""
        key = (value.kind, value.normal, value.kind == "DATE" and self._birth(seen) is not None)
        known = self.values.get(key)
        if known is None:
            self.values[key] = [value, seen, count]
        else:
            known[2] += count


def _read_chunk(task: tuple[str, list[str], Mapping[str, Any]]) -> Part:
    """Read a group of files."""
    root, names, rules = task
    part, walker = (
        Part(rules),
        Walker(rules["identifier_vr"], series.wanted_tags(), rules["identifier_coding_schemes"]),
    )
    counts: dict[Found, list] = {}
    facts, columns = series.SeriesFacts(), plainfiles.Columns(rules)
    layout = re.compile("|".join(rules["identifier_file_words"]), re.IGNORECASE).fullmatch
    for name in names:
        path = f"{root}/{name}"
        try:
            kind, status = _read_dicom(path, name, walker, counts, facts, rules)
            if kind != "DICOM":
                status, cells = plainfiles.cells(path, columns)
                kind = "TEXT" if status == READ else "OTHER"
                _add_cells(part, cells, columns)
        except OSError:
            kind, status = "OTHER", UNREADABLE
        part.files.append((name, kind, status))
        _add_file_name(part, name, layout)
    _add_elements(part, counts)
    part.series = facts.plain()
    return part


def _read_dicom(path, name, walker, counts, facts, rules) -> tuple[str, str]:
    """Add what a DICOM file says to `counts` and `facts`; anything else is left alone."""
    if not os.path.isfile(path):
        return "DICOM", UNREADABLE  # a link that leads nowhere, a pipe
    with open(path, "rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        head = stream.read(_HEAD)
        claimed = head[128:132] == b"DICM" or name.lower().endswith((".dcm", ".dicom", ".ima"))
        if not claimed and not LOOKS_DICOM(head):
            return "OTHER", READ
        try:
            if size > _MAPPED_BYTES:
                with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    found = walker.read(data)
            else:
                found = walker.read(head + stream.read())
        except Cut:
            return "DICOM", UNREADABLE
        except Unfollowed:
            return ("DICOM", UNREADABLE) if claimed else ("OTHER", READ)
    told = []
    for one in found:
        known = counts.get(one)
        if known is None:
            counts[one] = known = [0, series.fact_of(one, rules)]
        known[0] += 1
        if known[1]:
            told.append((known[1], one))
    facts.add(name.rpartition("/")[0] or ".", told)
    documents = [one for fact, one in told if fact == "SOPCLASS" and one.raw.startswith(_DOCUMENT)]
    return "DICOM", UNREADABLE if documents else READ


def _add_elements(part: Part, counts: Mapping[Found, list]) -> None:
    for found, (count, _) in counts.items():
        vr = found.vr.decode()
        kind = kind_of(found.path, vr, part.rules)
        if kind:
            for value in identify(found, kind):
                part.add(value, found.path, count)
        elif is_text(vr, part.rules):
            part.coded.update(normalise(text) for text in decoded(found))


def _add_cells(part: Part, cells: Iterator[tuple[str, str]], columns: plainfiles.Columns) -> None:
    counts: dict[tuple[str, str], int] = {}
    for cell in cells:
        counts[cell] = counts.get(cell, 0) + 1
    for (column, text), count in counts.items():
        kind = columns.kind_of(column, text)
        if not kind:
            if columns.kind(column) == CODED:  # of any other column nobody knows what it holds
                part.coded.add(normalise(text))
            continue
        for one in re.split(r"[\t;|]", text) if kind in _LISTED else [text]:
            for value in values_of(kind, one):
                part.add(value, f"column {column}", count)


def _add_file_name(part: Part, name: str, layout: Callable) -> None:
    *folders, last = name.split("/")
    for piece in [*folders, last.split(".")[0] if last.count(".") == 1 else last.rpartition(".")[0] or last]:
        if not piece or layout(piece):
            continue
        words = [word for word in re.split(r"[\s_^,.+-]+", piece) if word and not layout(word)]
        for text in dict.fromkeys([piece, *words]):
            for value in values_of("FILENAME", text):
                part.add(value, "file name")


def _value_table(parts: list[Part], rules: Mapping[str, Any]) -> pd.DataFrame:
    whole, coded = Part(rules), set()
    for part in parts:
        coded |= part.coded
        for value, seen, count in part.values.values():
            whole.add(value, seen, count)
    rows = [
        (*value, seen, count, is_searchable(value, rules), value.normal in coded)
        for value, seen, count in whole.values.values()
    ]
    columns = ["KIND", "VALUE", "NORMAL", "FIRSTSEEN", "COUNT", "SEARCHABLE", "CODED"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["KIND", "NORMAL"], kind="stable").reset_index(drop=True)
