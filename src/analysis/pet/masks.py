"""Regions that come as voxels on a grid of their own, brought onto the PET grid.

PET values are never interpolated: it is the region that moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.pet.codes import RoiRefused
from analysis.pet.contour import boxes_meet
from analysis.pet.planes import left_out, merge_planes, nearest_plane
from analysis.pet.region import Region


class Placed(NamedTuple):
    """A region on the image's grid.

    Attributes
    ----------
    region : Region
        Its voxels.
    flags : list of str
        What happened on the way.
    source_ml : float or None
        Its volume in ml as drawn, on the grid it was drawn on; None where that cannot be told.
    anatomy : str
        Anatomic region in words, where the file states one.
    """

    region: Region
    flags: list[str]
    source_ml: float | None
    anatomy: str = ""


@dataclass(frozen=True, eq=False)
class Stack:
    """A region as pieces of parallel planes.

    Attributes
    ----------
    row_mm, column_mm : ndarray, shape (3,)
        Step from one row to the next, and from one column to the next (LPS).
    origins_mm : ndarray, shape (n, 3)
        Centre of the first voxel of every piece.
    pieces : sequence of ndarray of bool, shape (rows, columns)
        Cut out so that every side holds a voxel of the region.
    step_mm : float or None
        Distance of the planes; None where nothing tells it: that of the image's slices then.
    """

    row_mm: np.ndarray
    column_mm: np.ndarray
    origins_mm: np.ndarray
    pieces: Sequence[np.ndarray]
    step_mm: float | None

    @property
    def normal(self) -> np.ndarray:
        """Unit vector across the planes."""
        across = np.cross(self.column_mm, self.row_mm)
        return across / np.linalg.norm(across)

    @property
    def voxel_area_mm2(self) -> float:
        """Area of a voxel in the plane."""
        return float(np.linalg.norm(np.cross(self.column_mm, self.row_mm)))

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return sum(int(np.count_nonzero(piece)) for piece in self.pieces)

    def corners_mm(self) -> np.ndarray:
        """Return the corner voxels of every piece, shape (n, 4, 3); the first and the last are opposite."""
        last = np.array([piece.shape for piece in self.pieces]) - 1
        along = [last[:, :1] * self.row_mm, last[:, 1:] * self.column_mm]
        first = self.origins_mm
        return np.stack([first, first + along[0], first + along[1], first + along[0] + along[1]], axis=1)


def place(stack: Stack, pet, rules) -> Placed:
    """Bring a region onto the image's grid.

    Voxels that fall on the image's voxels are copied, also mirrored, transposed, shifted or cropped ones.
    Otherwise the region is sampled at the image's voxels by the rule ``roi_resample``, flagged
    ``ROI_OTHER_GRID``.

    Parameters
    ----------
    stack : Stack
        The region.
    pet : PetImage
        The image.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    Placed
        With ``ROI_EMPTY`` if no voxel is left, ``ROI_CLIPPED`` if a part lies outside the image,
        ``ROI_PLANE_GAP`` if planes are left out between two that lie over each other.

    Raises
    ------
    RoiRefused
        ``ROI_OTHER_PLANES``.
    """
    if not len(stack.pieces):
        return Placed(Region.at(np.zeros((0, 3), int), pet.values.shape), ["ROI_EMPTY"], 0.0)
    corners = pet.grid.to_index(stack.corners_mm().reshape(-1, 3)).reshape(-1, 4, 3)
    steps = _lattice_steps(stack, corners, pet.grid, rules)
    if steps is None:
        volume = _Volume.of(stack, float(pet.grid.spacing_mm[0]), rules)
        region, flags, thickness = _sample(volume, corners, pet, rules), ["ROI_OTHER_GRID"], volume.step_mm
    else:
        region, flags = _copy(stack.pieces, np.round(corners).astype(int), steps, pet.values.shape), []
        thickness = float(pet.grid.spacing_mm[int(np.flatnonzero(~steps.any(axis=0))[0])])
    if corners.min() < -0.5 or np.any(corners.max(axis=(0, 1)) > np.array(pet.values.shape) - 0.5):
        flags.append("ROI_CLIPPED")
    if _has_gap(stack, thickness, rules):
        flags.append("ROI_PLANE_GAP")
    if not region.mask.any():
        flags.append("ROI_EMPTY")
    return Placed(region, flags, stack.n_voxels * stack.voxel_area_mm2 * thickness / 1000)


def _has_gap(stack: Stack, step_mm: float, rules) -> bool:
    """Tell whether planes were left out between two that lie over each other."""
    planes, index = merge_planes(stack.origins_mm @ stack.normal, rules.duplicate_mm)
    below = left_out(planes, step_mm, rules.contour_gap_planes)
    if not len(below):
        return False
    in_plane = np.column_stack([stack.row_mm, stack.column_mm])
    corners = stack.corners_mm() @ (in_plane / np.linalg.norm(in_plane, axis=0))
    return any(
        boxes_meet(corners[index == at].reshape(-1, 2), corners[index == at + 1].reshape(-1, 2))
        for at in below
    )


def _lattice_steps(stack: Stack, corners: np.ndarray, grid, rules) -> np.ndarray | None:
    """Return row and column step in voxels of the image, shape (2, 3); None if they are no whole voxels."""
    axes = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    steps = np.stack([stack.row_mm, stack.column_mm]) @ axes / grid.spacing_mm
    whole = np.round(steps).astype(int)
    if np.any(np.abs(steps - whole) > rules.lattice_step_fraction):
        return None
    if np.any(np.abs(whole).sum(axis=1) != 1) or np.any(np.abs(whole).sum(axis=0) > 1):
        return None
    if np.any(np.abs(corners - np.round(corners)) > rules.lattice_tolerance_voxel):
        return None
    across = int(np.flatnonzero(~whole.any(axis=0))[0])
    uneven = (
        np.ptp(np.diff(grid.positions_mm)) > rules.spacing_even_mm if len(grid.positions_mm) > 2 else False
    )
    coarser = (
        stack.step_mm is not None
        and stack.step_mm / grid.spacing_mm[across] > 1 + rules.lattice_step_fraction
    )
    return None if coarser or (across != 0 and uneven) else whole


def _copy(pieces, corners: np.ndarray, steps: np.ndarray, shape: tuple[int, ...]) -> Region:
    """Write pieces whose voxels are the image's voxels into one box."""
    rows, columns = (int(np.flatnonzero(step)[0]) for step in steps)
    turn = tuple(slice(None, None, int(step.sum())) for step in steps)
    lowest = corners.min(axis=1)
    low = np.clip(lowest.min(axis=0), 0, shape)
    high = np.maximum(np.clip(corners.max(axis=(0, 1)) + 1, 0, shape), low)
    box = np.zeros(high - low, bool)
    for piece, start in zip(pieces, lowest, strict=True):
        turned = piece[turn] if rows < columns else piece[turn].T
        size = [1, 1, 1]
        size[rows], size[columns] = piece.shape
        first = np.maximum(low - start, 0)
        last = np.minimum(high - start, size)
        if np.any(last <= first):
            continue
        cut = turned.reshape(size)[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
        at = start + first - low
        box[tuple(slice(a, a + n) for a, n in zip(at, cut.shape, strict=True))] |= cut
    return Region(tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), box, shape)


@dataclass(frozen=True, eq=False)
class _Volume:
    """The pieces of a stack in one array (planes, rows, columns), cut out."""

    mask: np.ndarray
    planes_mm: np.ndarray
    step_mm: float
    rounding_mm: float
    origin_mm: np.ndarray
    to_source: np.ndarray  # rows, columns and mm along the normal, of a vector in mm

    @classmethod
    def of(cls, stack: Stack, image_step_mm: float, rules) -> _Volume:
        to_source = np.linalg.inv(np.column_stack([stack.row_mm, stack.column_mm, stack.normal]))
        offset = (stack.origins_mm - stack.origins_mm[0]) @ to_source.T
        shift = np.round(offset[:, :2])
        if np.any(np.abs(offset[:, :2] - shift) > rules.lattice_tolerance_voxel):
            raise RoiRefused(
                "ROI_OTHER_PLANES", "the planes of a region are shifted sideways by parts of a voxel; "
                "send the mask on the grid of the image it was drawn on"
            )  # fmt: skip
        planes, index = merge_planes(offset[:, 2], rules.duplicate_mm)
        first = shift.min(axis=0).astype(int)
        at = shift.astype(int) - first
        size = (at + [piece.shape for piece in stack.pieces]).max(axis=0)
        mask = np.zeros((len(planes), *size), bool)
        for plane, (row, column), piece in zip(index, at, stack.pieces, strict=True):
            mask[plane, row : row + piece.shape[0], column : column + piece.shape[1]] |= piece
        step = stack.step_mm or image_step_mm
        origin = stack.origins_mm[0] + first[0] * stack.row_mm + first[1] * stack.column_mm
        return cls(mask, planes, step, rules.plane_rounding_mm, origin, to_source)

    def holds(self, source: np.ndarray) -> np.ndarray:
        """Tell which points lie in voxels of the region; `source` has shape (3, ...)."""
        row, column = (np.floor(source[axis] + 0.5 + _TIE).astype(int) for axis in (0, 1))
        plane = nearest_plane(self.planes_mm, source[2], self.step_mm, self.rounding_mm)
        _, n_rows, n_columns = self.mask.shape
        known = (plane >= 0) & (row >= 0) & (row < n_rows) & (column >= 0) & (column < n_columns)
        found = np.zeros(known.shape, bool)
        found[known] = self.mask[plane[known], row[known], column[known]]
        return found


_TIE = 1e-6  # a point midway between two voxels belongs to the later one, whatever the rounding


def _sample(volume: _Volume, corners: np.ndarray, pet, rules) -> Region:
    """Return the voxels of the image of which enough samples lie in the region: one, or several a side."""
    n = 1 if rules.roi_resample == "nearest" else int(rules.roi_coverage_samples)
    enough = 0.5 if rules.roi_resample == "nearest" else rules.roi_coverage
    shape, grid = np.array(pet.values.shape), pet.grid
    low = np.clip(np.floor(corners.min(axis=(0, 1))).astype(int) - _margin(volume, grid), 0, shape)
    high = np.clip(np.ceil(corners.max(axis=(0, 1))).astype(int) + 1 + _margin(volume, grid), low, shape)
    within = (np.arange(n) + 0.5) / n - 0.5
    size = high - low
    rows, columns = (
        ((np.arange(low[axis], high[axis])[:, None] + within).ravel() * grid.spacing_mm[axis])
        for axis in (1, 2)
    )
    axes = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    turn = volume.to_source @ axes
    plane = turn[:, 1, None, None] * rows[:, None] + turn[:, 2, None, None] * columns
    # The first voxel where its slice lies: the origin of the affine only fits uneven slices best.
    start = volume.to_source @ (grid.to_mm(np.zeros((1, 3), int))[0] - volume.origin_mm)
    mask = np.zeros(size, bool)
    for k in range(low[0], high[0]):
        inside = np.zeros((size[1], size[2]))
        for part in within:
            up = grid.positions_mm[k] - grid.positions_mm[0] + part * grid.spacing_mm[0]
            hits = volume.holds(plane + (start + turn[:, 0] * up)[:, None, None])
            inside += hits.reshape(size[1], n, size[2], n).sum(axis=(1, 3))
        mask[k - low[0]] = inside >= enough * n**3 - _TIE
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Region(box, mask, pet.values.shape)


def _margin(volume: _Volume, grid) -> np.ndarray:
    """Return how many voxels of the image half a voxel of the region may reach beyond its centre."""
    widest = max(volume.step_mm, float(np.linalg.norm(np.linalg.inv(volume.to_source)[:, :2], axis=0).max()))
    return np.ceil(widest / grid.spacing_mm).astype(int) + 1
