"""Maximum-intensity projections of a scan, and which lesion or reference region is seen at each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis import plan as plans
from analysis.pet.head import rows_below_chin
from analysis.pet.patient_view import body_axes
from analysis.pet.region import Region
from analysis.pet.series import PetImage
from analysis.pet.torso import BACK, HEAD, LEFT

# View -> axis of the body one looks along, axis from left to right of the picture.
VIEWS = {"CORONAL": (BACK, LEFT), "SAGITTAL": (LEFT, BACK)}
_LABELS_MAX = 255


def project_scan(
    pet: PetImage, regions: Mapping[str, Region], rules: plans.Section, *, crop: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Project a scan for the pictures of a study.

    Parameters
    ----------
    pet : PetImage
        The image as it was sent.
    regions : mapping of str to Region
        LESIONID, LIVER or AORTA -> its voxels.
    rules : Section
        Plan section ``pet`` (`mip_*`, `crop_*`).
    crop : bool
        Whether the pictures must show no face: they then end below the chin.

    Returns
    -------
    rows : list of dict
        As `project` returns them.
    flags : list of str
        ``MIP_NECK_NOT_FOUND``, ``MIP_WITHHELD``.
    """
    keep, flags = rows_below_chin(pet, rules) if crop else (None, [])
    return project(pet, regions, rules, keep), flags


def project(
    pet: PetImage,
    regions: Mapping[str, Region] | None = None,
    rules: plans.Section | None = None,
    keep: int | None = None,
) -> list[dict[str, Any]]:
    """Project the largest SUV along two axes of the body, as 8-bit pictures with the head up.

    Parameters
    ----------
    pet : PetImage
        The image as it was sent.
    regions : mapping of str to Region, optional
        LESIONID, LIVER or AORTA -> its voxels.
    rules : Section, optional
        Plan section ``pet`` (`mip_step`, `mip_suv_max`); the defaults without it.
    keep : int, optional
        Voxels along the body to show, from its lower end (`analysis.pet.head`); all of them without. Nothing
        of the others is in a row.

    Returns
    -------
    list of dict
        Rows of the table mips without subject and visit: VIEW CORONAL (from the front: the patient's right
        is on the left) and SAGITTAL (the front is on the left); PIXELS 0 = SUV 0, 255 = `mip_suv_max` and
        above; LABELS 0 = no region, n = the n-th of LABELNAMES, of overlapping regions the smaller one. Both
        uint8, row by row, of square pixels with side PIXELMM. None of an image that lies askew to two axes
        of the body alike, or of which nothing is to be shown.
    """
    rules = plans.defaults().pet if rules is None else rules
    order, along = body_axes(pet.affine)
    n_levels = pet.values.shape[order[HEAD]]
    keep = n_levels if keep is None else min(keep, n_levels)
    if len(set(order)) < 3 or keep < 1:
        return []
    up = along[HEAD] > 0
    shown = slice(0, keep) if up else slice(n_levels - keep, n_levels)
    side = float(pet.spacing_mm[order[LEFT]]) * rules.mip_step
    return [
        _Picture(pet, order, along, shown, side, view).row(regions or {}, rules.mip_suv_max) for view in VIEWS
    ]


class _Picture:
    """How one view of an image is laid out."""

    def __init__(self, pet: PetImage, order, along, shown: slice, side: float, view: str):
        depth, across = VIEWS[view]
        self.pet, self.view, self.side, self.shown = pet, view, side, shown
        self.depth, self.head, across_axis = order[depth], order[HEAD], order[across]
        self.turned = self.head > across_axis  # once the depth is gone, the axes are in the image's order
        # The first row is the head; columns run to the patient's left, or to the back.
        self.flips = (along[HEAD] > 0, along[across] < 0)
        n_rows, n_columns = shown.stop - shown.start, pet.values.shape[across_axis]
        self.edges = [
            _edges(n, float(pet.spacing_mm[axis]), side)
            for n, axis in ((n_rows, self.head), (n_columns, across_axis))
        ]

    def row(self, regions: Mapping[str, Region], white: float) -> dict[str, Any]:
        grey = np.clip(self._resample(self._flat()) / white, 0, 1) * 255
        labels, names = self._label(regions)
        return {
            "VIEW": self.view,
            "ROWS": float(grey.shape[0]),
            "COLUMNS": float(grey.shape[1]),
            "PIXELMM": self.side,
            "PIXELS": grey.astype(np.uint8).ravel(),
            "LABELS": labels.ravel(),
            "LABELNAMES": ";".join(names) or None,
        }

    def _flat(self) -> np.ndarray:
        """Return the largest SUV along the line of sight, (head, across) as in the image."""
        values = self.pet.values
        if self.head == 0:
            # The first is known since the image was read; the second takes half as long as `max` does.
            flat = self.pet.coronal_mip if self.depth == 1 else _row_maxima(values)
        else:
            flat = values.max(axis=self.depth)
        return (flat.T if self.turned else flat)[self.shown]

    def _resample(self, flat: np.ndarray) -> np.ndarray:
        """Return the picture: square pixels, each the largest of the voxels it covers."""
        for axis, (backwards, edges) in enumerate(zip(self.flips, self.edges, strict=True)):
            flat = np.flip(flat, axis) if backwards else flat
            flat = _largest(flat, edges, axis)
        return flat

    def _label(self, regions: Mapping[str, Region]) -> tuple[np.ndarray, list[str]]:
        """Return which region is seen at each pixel, and their names, those behind first."""
        seen = {name: flat for name, region in regions.items() if (flat := self._shadow(region)) is not None}
        sizes = {name: int(np.count_nonzero(shadow)) for name, (_, shadow) in seen.items()}
        names = sorted(seen, key=lambda name: (-sizes[name], name))[:_LABELS_MAX]
        shape = self.shown.stop - self.shown.start, self.pet.values.shape[3 - self.head - self.depth]
        labels = np.zeros(shape, np.uint8)
        for number, name in enumerate(names, start=1):
            box, shadow = seen[name]
            labels[box][shadow] = number
        return self._resample(labels), [name.replace(";", ",") for name in names]

    def _shadow(self, region: Region) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """Return the projected mask in its box of the shown picture; None where nothing of it is shown."""
        across = 3 - self.head - self.depth
        shadow = region.mask.any(axis=self.depth)
        shadow = shadow.T if self.turned else shadow
        start, left = region.box[self.head].start, region.box[across].start
        first = max(self.shown.start - start, 0)
        shadow = shadow[first : max(self.shown.stop - start, 0)]
        if not shadow.any():
            return None
        top = start + first - self.shown.start
        return (slice(top, top + shadow.shape[0]), slice(left, left + shadow.shape[1])), shadow


def _edges(n: int, size_mm: float, side_mm: float) -> np.ndarray:
    """Return where the voxels of each pixel begin along an axis of `n` voxels."""
    pixels = max(1, round(n * size_mm / side_mm))
    return np.arange(pixels) * n // pixels


def _largest(flat: np.ndarray, edges: np.ndarray, axis: int) -> np.ndarray:
    """Return `np.maximum.reduceat(flat, edges, axis)`, which takes several times as long for short runs."""
    n = flat.shape[axis]
    if len(edges) == n:
        return flat
    last = np.maximum(np.append(edges[1:], n) - 1, edges)
    out = flat.take(edges, axis)
    for step in range(1, int((last - edges).max()) + 1):
        np.maximum(out, flat.take(np.minimum(edges + step, last), axis), out=out)
    return out


def _row_maxima(values: np.ndarray) -> np.ndarray:
    n_slices, n_rows, n_columns = values.shape
    starts = np.arange(0, values.size, n_columns)
    return np.maximum.reduceat(values.reshape(-1), starts).reshape(n_slices, n_rows)
