"""An image as a reader looks at it: axes along the body, voxels as large as the question needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.pet.codes import RoiRefused
from analysis.pet.region import Region

Choice = Callable[[np.ndarray, tuple[int, ...]], tuple[slice, ...]]


def body_axes(affine: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """Tell which axis of an image runs along the body, from front to back, and to the left.

    Parameters
    ----------
    affine : ndarray, shape (4, 4)
        (slice, row, column, 1) to patient coordinates (LPS), mm.

    Returns
    -------
    order : tuple of int
        Image axis nearest to head, back and left; one may stand twice in a very oblique image.
    along : ndarray, shape (3,)
        Cosine between them, below 0 where the image runs the other way.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    patient = directions[::-1]  # rows: z, y, x
    order = tuple(int(axis) for axis in np.abs(patient).argmax(axis=1))
    return order, np.array([patient[row, axis] for row, axis in enumerate(order)])


@dataclass(frozen=True, eq=False)
class PatientView:
    """The image in larger voxels, its axes turned towards the head, the back and the patient's left.

    Attributes
    ----------
    values : ndarray of float32
        Means over blocks of the image's voxels.
    step_mm : ndarray, shape (3,)
        Size of its voxels.
    order : tuple of int
        Image axis of each axis of the view.
    flipped : tuple of bool
        Whether the image runs the other way along it.
    factor : ndarray of int, shape (3,)
        Image voxels per voxel of the view.
    fine_shape : tuple of int
        Shape of the turned image.
    corner : ndarray of int, shape (3,)
        Where the view begins in the view of the whole image.
    """

    values: np.ndarray
    step_mm: np.ndarray
    order: tuple[int, ...]
    flipped: tuple[bool, ...]
    factor: np.ndarray
    fine_shape: tuple[int, ...]
    corner: np.ndarray

    @classmethod
    def of(cls, pet, rules, grid_mm: float, choose: Choice | None = None) -> PatientView:
        """Return the view of an image in voxels of about `grid_mm`.

        Parameters
        ----------
        pet : PetImage
            The image.
        rules : plan section
            Section ``pet`` (`propose_tilt_degrees`).
        grid_mm : float
            Size of a voxel, mm; the nearest whole number of the image's voxels is taken.
        choose : callable, optional
            Step in mm and shape of the view -> slices of the part that is wanted; all of it without.

        Returns
        -------
        PatientView
            Only the part that is wanted is computed.

        Raises
        ------
        RoiRefused
            ``ORIENTATION_OBLIQUE`` for image axes far from the body's; ``IMAGE_TOO_SMALL``.
        """
        order, along = body_axes(pet.affine)
        if len(set(order)) < 3 or np.abs(along).min() < math.cos(math.radians(rules.propose_tilt_degrees)):
            raise RoiRefused("ORIENTATION_OBLIQUE", "a plane along the body's axes expected; draw the region")
        spacing = np.asarray(pet.spacing_mm)[list(order)]
        factor = np.maximum(1, np.round(grid_mm / spacing).astype(int))
        turned = pet.values.transpose(order)
        flipped = tuple(bool(step < 0) for step in along)
        turned = turned[tuple(slice(None, None, -1) if back else slice(None) for back in flipped)]
        size = tuple(int(n) for n in np.array(turned.shape) // factor)
        if not all(size):
            raise RoiRefused("IMAGE_TOO_SMALL", "the image is smaller than one coarse voxel; draw the region")
        part = (slice(None),) * 3 if choose is None else choose(spacing * factor, size)
        edges = [side.indices(n)[:2] for side, n in zip(part, size, strict=True)]
        fine = tuple(slice(low * n, high * n) for (low, high), n in zip(edges, factor, strict=True))
        corner = np.array([low for low, _ in edges])
        means = _block_means(turned[fine], factor)
        return cls(means, spacing * factor, order, flipped, factor, turned.shape, corner)

    def to_mm(self, pet, at: Sequence[int]) -> tuple[float, float, float]:
        """Return the patient coordinates (LPS) of the fine voxel nearest to a coarse voxel's centre."""
        fine = (np.asarray(at) + self.corner) * self.factor + self.factor // 2
        fine = np.where(self.flipped, np.array(self.fine_shape) - 1 - fine, fine)
        index = np.empty(3, int)
        index[list(self.order)] = fine
        return tuple(float(value) for value in pet.grid.to_mm(index[None])[0])

    def mask_of(self, regions: Sequence[Region]) -> np.ndarray:
        """Return which voxels of the view hold a voxel of the image's `regions`."""
        mask = np.zeros(self.values.shape, bool)
        for region in regions:
            fine = region.index()[:, list(self.order)]
            fine = np.where(self.flipped, np.array(self.fine_shape) - 1 - fine, fine)
            last = np.array(self.fine_shape) // self.factor - 1
            at = np.minimum(fine // self.factor, last) - self.corner
            mask[tuple(at[np.all((at >= 0) & (at < mask.shape), axis=1)].T)] = True
        return mask


def _block_means(values: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return means over blocks of `factor` voxels, a whole number of which fills `values`."""
    a, b, c = (int(n) for n in factor)
    n, rows, columns = np.array(values.shape) // factor
    out = np.empty((n, rows, columns), np.float32)
    for at in range(n):  # a block of slices at a time: whole rows are added while they lie in the cache
        page = values[at * a : (at + 1) * a].sum(axis=0, dtype=np.float32)
        page = page.reshape(rows, b, columns * c).sum(axis=1)
        out[at] = page.reshape(rows, columns, c).sum(axis=2)
    out /= np.float32(a * b * c)
    return out
