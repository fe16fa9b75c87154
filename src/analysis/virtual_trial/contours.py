"""Outlines of masks along voxel edges."""

from __future__ import annotations

import numpy as np


def edge_loops(mask: np.ndarray) -> list[np.ndarray]:
    """Trace the outlines of a plane along voxel edges.

    Parameters
    ----------
    mask : ndarray of bool
        Rows x columns.

    Returns
    -------
    list of ndarray
        Corners (row, column) of each closed loop; voxel (i, j) reaches from corner (i, j) to (i + 1, j + 1).
        Outer loops and holes run in opposite directions; parts that touch at a corner only stay apart.

    >>> edge_loops(np.array([[True]])).pop().tolist()
    [[0, 0], [0, 1], [1, 1], [1, 0]]
    """
    leaving = _directed_edges(mask)
    loops = []
    while leaving:
        start = min(leaving)
        loops.append(_corners(_follow(leaving, start)))
    return loops


def _directed_edges(mask: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return the edges between inside and outside, the inside on the right: corner -> next corners."""
    padded = np.pad(np.asarray(mask, bool), 1)
    inside = padded[1:-1, 1:-1]
    sides = (  # neighbour, start and end of the shared edge relative to the voxel's first corner
        (padded[:-2, 1:-1], (0, 0), (0, 1)),
        (padded[1:-1, 2:], (0, 1), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (1, 0)),
        (padded[1:-1, :-2], (1, 0), (0, 0)),
    )
    leaving: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for neighbour, start, end in sides:
        for i, j in np.argwhere(inside & ~neighbour).tolist():
            leaving.setdefault((i + start[0], j + start[1]), []).append((i + end[0], j + end[1]))
    return leaving


def _follow(leaving: dict, start: tuple[int, int]) -> list[tuple[int, int]]:
    """Walk one loop and take its edges away; where two edges leave a corner, turn right: parts stay apart."""
    path, here, came = [], start, None
    while True:
        choices = leaving[here]
        step = choices[0] if len(choices) == 1 else _right_turn(here, came, choices)
        choices.remove(step)
        if not choices:
            del leaving[here]
        path.append(here)
        came, here = (step[0] - here[0], step[1] - here[1]), step
        if here == start:
            return path


def _right_turn(here, came, choices):
    """Return the edge that turns clockwise (rows grow downwards); at the start of a walk, any."""
    if came is None:
        return min(choices)
    right = (here[0] + came[1], here[1] - came[0])
    return right if right in choices else choices[0]


def _corners(path: list[tuple[int, int]]) -> np.ndarray:
    """Drop the points in the middle of straight runs."""
    points = np.array(path)
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[(before != after).any(axis=1)]
