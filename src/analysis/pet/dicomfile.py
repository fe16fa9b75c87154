"""Finding the files of a folder, and reading a DICOM file to its end.

pydicom alone returns what it found before a file was cut short.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from analysis.pet.codes import SeriesRefused

_UNDEFINED = 0xFFFFFFFF
_MAGIC_ENDS_AT = 132  # a DICOM file begins with 128 bytes, mostly zero, and the letters DICM


class DamagedFile(ValueError):
    """A DICOM file that was cut short or cannot be parsed."""


def find_files(path: str | Path | Sequence[str | Path]) -> list[tuple[str, str]]:
    """List the files behind `path` in a fixed order, each with what messages call it.

    File names are never told: they are often names, dates or UIDs.

    Parameters
    ----------
    path : path or sequence of paths
        A folder (searched below, links followed, hidden files and folders left out), one file, or a list of
        files.

    Returns
    -------
    list of (str, str)
        ``file 3 of 40 (in the order of names)``, and path of the file.

    Raises
    ------
    SeriesRefused
        ``PATH_NOT_FOUND``.
    """
    if not isinstance(path, (str, Path)):
        listed = [os.fspath(item) for item in path]
        return _counted(listed, "names" if listed == sorted(listed) else "the list")
    root = os.fspath(path)
    if os.path.isfile(root):
        return _counted([root])
    if not os.path.isdir(root):
        raise SeriesRefused("PATH_NOT_FOUND", "no folder or file is there; give the folder of the PET series")
    below = sorted(_below(root, "", (os.path.realpath(root),)))
    return _counted([path for _, path in below])


def _counted(paths: Sequence[str], order: str = "names") -> list[tuple[str, str]]:
    of = f"of {len(paths)} (in the order of {order})"
    return [(f"file {number} {of}", path) for number, path in enumerate(paths, start=1)]


def _below(folder: str, inside: str, chain: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the files below a folder, with their paths from there.

    `chain` holds the true paths of the folders on the way to it.
    """
    try:
        entries = os.scandir(folder)
    except OSError as error:
        raise SeriesRefused(
            "PATH_NOT_FOUND", "a folder of the series cannot be opened; make it readable or take it away"
        ) from error
    with entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                # A link that leads nowhere is listed: it may stand for a slice, and reading it is refused.
                if entry.is_file() or entry.is_symlink():
                    yield inside + entry.name, entry.path
                continue
            real = os.path.join(chain[-1], entry.name)
            if entry.is_symlink():
                real = os.path.realpath(entry.path)
                if real in chain or f"{chain[-1]}/".startswith(f"{real.rstrip('/')}/"):
                    continue  # a link to a folder above would not end
            yield from _below(entry.path, f"{inside}{entry.name}/", (*chain, real))


def read_complete(file: str | Path) -> pydicom.Dataset | None:
    """Read a DICOM file, every byte its last element announces included.

    Parameters
    ----------
    file : path
        Any file.

    Returns
    -------
    pydicom.Dataset or None
        None for a file that is not DICOM and does not claim to be by its name.

    Raises
    ------
    DamagedFile
        For a file cut short (to nothing, or to zeros only, whatever its name), damaged, or named ``.dcm``
        without being DICOM.
    """
    try:
        ds = pydicom.dcmread(file)
        last = ds.get_item(max(ds.keys())) if len(ds) else None
        sop_class(ds)  # parsed when it is asked for: here, where a damaged one is told
    except InvalidDicomError as error:
        if Path(file).suffix.lower() == ".dcm" or _cut_before_its_header(file):
            raise DamagedFile("has no DICOM header") from error
        return None
    except Exception as error:  # pydicom raises many types on damaged files: each means the same to us
        raise DamagedFile("cannot be read to its end") from error
    announced = getattr(last, "length", 0)
    if last is None or (announced != _UNDEFINED and announced > len(last.value or b"")):
        raise DamagedFile("ends before its last element does")
    return ds


def _cut_before_its_header(file: str | Path) -> bool:
    """Tell whether nothing is left of a file, or nothing but zeros: images often bear no ending."""
    with open(file, "rb", buffering=0) as stream:
        head = stream.read(_MAGIC_ENDS_AT)
    return len(head) < _MAGIC_ENDS_AT and not head.strip(b"\0")


def sop_class(ds: pydicom.Dataset) -> str:
    """Return what kind of object a file holds, from its file header or its body.

    Parameters
    ----------
    ds : pydicom.Dataset
        The file.

    Returns
    -------
    str
        SOP Class UID, or empty.
    """
    return str(ds.file_meta.get("MediaStorageSOPClassUID", "") or ds.get("SOPClassUID", ""))
