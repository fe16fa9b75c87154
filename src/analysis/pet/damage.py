"""Which series a file belongs to that cannot be read: by its first bytes, its place and its name."""

from __future__ import annotations

import re
from collections import defaultdict

from analysis.pet.walk import UNREADABLE, Walk

_DIGITS = re.compile(r"\d+")
_REASON = "no DICOM header could be read; send the file again, or take it away if it is no image"


def attribute_damaged(walk: Walk) -> dict[str, list[str]]:
    """Find for every unreadable file the series it may be a slice of, and report the file.

    Parameters
    ----------
    walk : Walk
        A finished walk. Files that are not DICOM but are named and placed as slices are become unreadable
        ones; every unreadable file gets a problem UNREADABLE_FILE.

    Returns
    -------
    dict of str to list of str
        Series UID -> unreadable files. Such a series must not be measured: a slice of it may be missing.

    Notes
    -----
    A series UID in the file's first bytes decides. Else the DICOM files of its folder do, those named alike
    (digits aside) first; a folder that holds no other DICOM file belongs to a series that is spread over
    several. Where several series remain, those with fewer files than Number of Slices (0054,0081) states
    count alone. What is still ambiguous concerns them all.
    """
    beside = _beside(walk)
    for path, is_text in walk.strangers.items():
        near = beside.get(_folder(path), [])
        if _looks_like_slice(path, is_text, near) or (not near and not is_text and _spread_over(path, walk)):
            walk.fate[path] = UNREADABLE
            walk.damaged[path] = None
    found: dict[str, list[str]] = defaultdict(list)
    for path, known in sorted(walk.damaged.items()):
        owners = [known] if known in walk.series else _owners(path, beside, walk)
        for uid in owners:
            found[uid].append(path)
        one = owners[0] if len(owners) == 1 else None
        patient = walk.series[one]["PATIENTID"] if one else None
        walk.report("UNREADABLE_FILE", "record", path, _REASON, SERIESUID=one, PATIENTID=patient)
    return found


def _beside(walk: Walk) -> dict[str, list[tuple[str, str]]]:
    """Return folder -> (shape of the name, series UID or empty) of every DICOM object in it."""
    suspects = {_folder(path) for path in (*walk.damaged, *walk.strangers)}
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    if not suspects:
        return found
    series = {path: uid for uid, paths in walk.members.items() for path in paths}
    for path in walk.files:
        folder = _folder(path)
        if folder in suspects and path in walk.objects:
            found[folder].append((_shape(path), series.get(path, "")))
    return found


def _looks_like_slice(path: str, is_text: bool, beside: list[tuple[str, str]]) -> bool:
    """Tell whether a file that is not DICOM stands where a slice should be."""
    shapes = [shape for shape, _ in beside]
    if _shape(path) in shapes:
        return True
    # Names made of hashes share no shape: there, a file that is no text and has their ending.
    unlike = len(shapes) > 1 and len(set(shapes)) > len(shapes) / 2
    return unlike and not is_text and _ending(path) in {_ending(shape) for shape in shapes}


def _owners(path: str, beside: dict[str, list[tuple[str, str]]], walk: Walk) -> list[str]:
    here = beside.get(_folder(path), [])
    alike = {uid for shape, uid in here if shape == _shape(path)}
    owners = alike or {uid for _, uid in here} or _spread_over(path, walk)
    owners.discard("")
    few = {uid for uid in owners if len(walk.members[uid]) < walk.series[uid]["STATED"]}
    return sorted(few or owners)


def _spread_over(path: str, walk: Walk) -> set[str]:
    """Return the series in folders beside this file's, of which one file at least is named alike."""
    parent, shape = _folder(_folder(path)), _shape(path)
    found = set()
    for uid, members in walk.members.items():
        folders = {_folder(member) for member in members}
        if len(folders) > 1 and any(_folder(folder) == parent for folder in folders):
            found |= {uid} if any(_shape(member) == shape for member in members) else set()
    return found


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _shape(path: str) -> str:
    return _DIGITS.sub("#", path.rpartition("/")[2])


def _ending(name: str) -> str:
    """Return the ending of a name; a number is none, as in names that are UIDs."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    return "" if ending.strip("0123456789#") == "" else ending
