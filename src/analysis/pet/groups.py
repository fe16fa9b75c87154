"""Split one series into stacks of slices that belong together; name the parts, never average them.

A Series Instance UID may hold several stacks (a second reconstruction, another frame of reference) and, in a
dynamic or gated series, several images at one position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.pet.codes import SeriesRefused
from analysis.pet.header import PetSlice

_SHOWN = 6


def split(slices: Sequence[PetSlice], rules) -> dict[str, list[PetSlice]]:
    """Split the slices of one series into groups, each of one stack and one time.

    Parameters
    ----------
    slices : sequence of PetSlice
        One series, in any order.
    rules : plan section
        Section ``pet``: `orthonormal_tolerance` (orientation and pixel spacing in mm), `duplicate_mm`
        (slices closer than this share one position).

    Returns
    -------
    dict of str to list of PetSlice
        Name -> slices. Stacks (frame of reference, matrix, pixel spacing, orientation, image type) are called
        ``G1 47 slices 128x128``, the largest first; images of one stack that share positions and differ in
        time ``frame 1`` ..., ``gate 1`` ... by trigger time. The names do not depend on the order of files.

    Notes
    -----
    Images of the same time at one position are no frames: whether they repeat each other or contradict is
    for `analysis.pet.geometry.build_grid` to say.
    """
    stacks = sorted(_stacks(slices, rules.orthonormal_tolerance), key=_rank)
    groups: dict[str, list[PetSlice]] = {}
    for number, stack in enumerate(stacks, start=1):
        rows, columns = stack[0].stored.shape
        frames = _frames(stack, rules.duplicate_mm)
        before = f"G{number} " if len(stacks) > 1 else ""
        if len(frames) == 1:
            groups[f"G{number} {len(stack)} slices {rows}x{columns}"] = stack
        else:
            groups |= {f"{before}{name}": frame for name, frame in frames.items()}
    return groups


def select(slices: Sequence[PetSlice], group: str | None, rules) -> list[PetSlice]:
    """Return the slices of one group.

    Parameters
    ----------
    slices : sequence of PetSlice
        One series.
    group : str or None
        Name of the group, or its first word (``G1``); None where there is but one.
    rules : plan section
        Section ``pet``.

    Returns
    -------
    list of PetSlice
        Slices of that group.

    Raises
    ------
    SeriesRefused
        MULTIPLE_GROUPS if several are there and none is named; GROUP_NOT_FOUND if no group, or more than
        one, has that name.
    """
    groups = split(slices, rules)
    names = ", ".join(_described(groups))
    if group is None:
        if len(groups) == 1:
            return next(iter(groups.values()))
        raise SeriesRefused(
            "MULTIPLE_GROUPS",
            f"one series holds {len(groups)} groups of slices ({names}); name one by GROUP in scan_map.csv "
            "or group=",
        )
    found = [name for name in groups if name == group] or [
        name for name in groups if name.startswith(f"{group} ")
    ]
    if len(found) != 1:
        raise SeriesRefused(
            "GROUP_NOT_FOUND",
            f"{len(found)} groups of slices have the name asked for; the series holds {names}",
        )
    return groups[found[0]]


def _described(groups: Mapping[str, list[PetSlice]]) -> list[str]:
    """Return the names with their sizes, a long list shortened."""
    named = [
        name if "slices" in name else f"{name} of {len(members)} slices" for name, members in groups.items()
    ]
    more = len(named) - _SHOWN
    return named if more <= 0 else [*named[:_SHOWN], f"{more} more"]


def _stacks(slices: Sequence[PetSlice], tolerance: float) -> list[list[PetSlice]]:
    stacks: list[list[PetSlice]] = [[slices[0]]]
    for item in slices[1:]:
        for stack in stacks:
            if _same_plane(item, stack[0], tolerance):
                stack.append(item)
                break
        else:
            stacks.append([item])
    return stacks


def _same_plane(one: PetSlice, other: PetSlice, tolerance: float) -> bool:
    """Compare two slices; slices of a series mostly share their objects, which makes this cheap."""
    return (
        (one.text is other.text or one.text["FrameOfReferenceUID"] == other.text["FrameOfReferenceUID"])
        and one.stored.shape == other.stored.shape
        and (one.image_type is other.image_type or one.image_type == other.image_type)
        and _close(one.orientation, other.orientation, tolerance)
        and _close(one.pixel_spacing_mm, other.pixel_spacing_mm, tolerance)
    )


def _close(one: np.ndarray | None, other: np.ndarray | None, tolerance: float) -> bool:
    if one is other:
        return True
    if one is None or other is None:
        return False
    a, b = one.tolist(), other.tolist()
    return a == b or all(abs(x - y) <= tolerance for x, y in zip(a, b, strict=True))


def _rank(stack: list[PetSlice]) -> tuple[Any, ...]:
    """Order stacks: the most slices first; what is left of a tie is decided by the headers alone."""
    first = stack[0]
    vectors = [
        [] if vector is None else np.round(vector, 3).tolist()
        for vector in (first.pixel_spacing_mm, first.orientation)
    ]
    return (-len(stack), -first.stored.size, first.image_type, *vectors, first.text["FrameOfReferenceUID"])


def _frames(stack: list[PetSlice], same_mm: float) -> dict[str, list[PetSlice]]:
    """Split a stack by time where one position has images of several times; else return it as one frame."""
    whole = {"": stack}
    if len(stack) == 1 or any(item.position_mm is None or item.orientation is None for item in stack):
        return whole
    orientation = stack[0].orientation
    along = np.array([item.position_mm for item in stack]) @ np.cross(orientation[:3], orientation[3:])
    order = np.argsort(along, kind="stable")
    repeats = np.diff(along[order]) < same_mm
    if not repeats.any():
        return whole
    place = np.empty(len(stack), int)
    place[order] = np.concatenate([[0], np.cumsum(~repeats)])
    times = [_time(item) for item in stack]
    at_place: dict[int, set[tuple]] = {}
    for where, time in zip(place.tolist(), times):
        at_place.setdefault(where, set()).add(time)
    counts = {len(found) for found in at_place.values()}
    if counts == {1}:
        return whole
    kind = "gate" if len({time[:-1] for time in times}) == 1 else "frame"
    return _numbered(kind, stack, place.tolist(), times, at_place)


def _numbered(
    kind: str,
    stack: list[PetSlice],
    place: list[int],
    times: list[tuple],
    at_place: Mapping[int, set[tuple]],
) -> dict[str, list[PetSlice]]:
    """Give every time a number: in the whole stack, or place by place where the table moved in between."""
    overall = {time: number for number, time in enumerate(sorted(set(times)), start=1)}
    counts = {len(found) for found in at_place.values()}
    by_place = len(overall) > max(counts) and len(counts) == 1
    ranks = {
        where: {time: number for number, time in enumerate(sorted(found), start=1)} if by_place else overall
        for where, found in at_place.items()
    }
    frames: dict[int, list[PetSlice]] = {}
    for item, where, time in zip(stack, place, times):
        frames.setdefault(ranks[where][time], []).append(item)
    return {f"{kind} {number}": frames[number] for number in sorted(frames)}


def _time(item: PetSlice) -> tuple[Any, ...]:
    """Return what tells frames apart: acquisition, reference and trigger time, and position in time."""
    clock = item.text["AcquisitionTime"]
    clock = clock.rstrip("0").rstrip(".") if "." in clock else clock
    numbers = (item.number.get(key) for key in ("FrameReferenceTime", "TriggerTime"))
    reference, trigger = (-1.0 if number is None else number for number in numbers)
    temporal = item.text.get("TemporalPositionIndex", "")
    return item.text["AcquisitionDate"] + clock, reference, temporal.rjust(8), trigger
