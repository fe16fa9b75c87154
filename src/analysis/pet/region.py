"""The voxels of one region of interest, kept as a box and the mask inside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Region:
    """Voxels of an image: a lesion fills a thousandth of it, so only its box is stored.

    Attributes
    ----------
    box : tuple of slice
        Where `mask` lies in the image (slice, row, column).
    mask : ndarray of bool, shape of the box
        True inside the region.
    shape : tuple of int
        Shape of the image.
    """

    box: tuple[slice, slice, slice]
    mask: np.ndarray
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, mask: np.ndarray) -> Region:
        """Return the region of a mask over the whole image."""
        box = []
        for axis in range(3):
            hit = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
            box.append(slice(int(hit[0]), int(hit[-1]) + 1) if len(hit) else slice(0, 0))
        return cls(tuple(box), np.asarray(mask, bool)[tuple(box)], mask.shape)

    @classmethod
    def at(cls, index: np.ndarray, shape: tuple[int, int, int]) -> Region:
        """Return the region of the voxels listed by `index`, shape (n, 3), all inside `shape`."""
        if not len(index):
            return cls((slice(0, 0),) * 3, np.zeros((0, 0, 0), bool), shape)
        low, high = index.min(axis=0), index.max(axis=0) + 1
        mask = np.zeros(high - low, bool)
        mask[tuple((index - low).T)] = True
        return cls(tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), mask, shape)

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return int(np.count_nonzero(self.mask))

    def full(self) -> np.ndarray:
        """Return the mask over the whole image."""
        mask = np.zeros(self.shape, bool)
        mask[self.box] = self.mask
        return mask

    def index(self) -> np.ndarray:
        """Return (slice, row, column) of every voxel, shape (n, 3)."""
        return np.argwhere(self.mask) + [edge.start for edge in self.box]

    def shares_voxels(self, other: Region) -> bool:
        """Tell whether a region of the same image has a voxel in common with this one."""
        common = tuple(
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip(self.box, other.box, strict=True)
        )
        if any(edge.start >= edge.stop for edge in common):
            return False
        return bool(np.any(self._part(common) & other._part(common)))

    def _part(self, box: tuple[slice, slice, slice]) -> np.ndarray:
        within = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, self.box, strict=True))
        return self.mask[tuple(within)]

    def __or__(self, other: Region) -> Region:
        """Return the voxels of either region."""
        return Region.at(np.concatenate([self.index(), other.index()]), self.shape)
