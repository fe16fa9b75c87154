"""Where: order of the slices, their positions along the normal, and the grid they make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.pet.codes import Notes, SeriesRefused
from analysis.pet.header import PetSlice, positive


@dataclass(frozen=True, eq=False)
class Grid:
    """A stack of parallel slices.

    Attributes
    ----------
    affine : ndarray, shape (4, 4)
        (slice, row, column, 1) to DICOM patient coordinates (LPS) in mm; along uneven slices by least
        squares.
    spacing_mm : ndarray, shape (3,)
        Median slice step, row step, column step.
    positions_mm : ndarray, shape (slices,)
        Position of every slice along the normal, ascending.
    volumes_ml : ndarray, shape (slices,)
        Voxel volume of every slice, from its two half-gaps.
    next_to_gap : ndarray of bool, shape (slices,)
        Slices beside missing ones.
    """

    affine: np.ndarray
    spacing_mm: np.ndarray
    positions_mm: np.ndarray
    volumes_ml: np.ndarray
    next_to_gap: np.ndarray

    @property
    def normal(self) -> np.ndarray:
        """Unit vector along which slices ascend: row direction x column direction."""
        return np.cross(_unit(self.affine[:3, 2]), _unit(self.affine[:3, 1]))

    def to_index(self, points_mm: np.ndarray) -> np.ndarray:
        """Convert patient coordinates to (slice, row, column), fractional; slices by their true positions.

        Parameters
        ----------
        points_mm : ndarray, shape (n, 3)
            Points in mm (LPS).

        Returns
        -------
        ndarray, shape (n, 3)
            Index coordinates; an integer is a voxel centre.
        """
        # Positions are projections of the slices themselves; the affine's origin only fits them best.
        along = np.asarray(points_mm, float) @ self.normal
        offset = points_mm - self.affine[:3, 3]
        row = offset @ _unit(self.affine[:3, 1]) / self.spacing_mm[1]
        column = offset @ _unit(self.affine[:3, 2]) / self.spacing_mm[2]
        return np.column_stack([self._slice_index(along), row, column])

    def to_mm(self, index: np.ndarray) -> np.ndarray:
        """Convert whole (slice, row, column) to patient coordinates in mm; slices by their true positions.

        Parameters
        ----------
        index : ndarray of int, shape (n, 3)
            Voxels.

        Returns
        -------
        ndarray, shape (n, 3)
            Their centres in mm (LPS).
        """
        along = self.positions_mm[index[:, 0]] - self.affine[:3, 3] @ self.normal
        in_plane = index[:, 1:] @ self.affine[:3, 1:3].T
        return self.affine[:3, 3] + np.outer(along, self.normal) + in_plane

    def _slice_index(self, along: np.ndarray) -> np.ndarray:
        index = np.interp(along, self.positions_mm, np.arange(len(self.positions_mm)))
        step = self.spacing_mm[0]
        below, above = along - self.positions_mm[0], along - self.positions_mm[-1]
        return index + np.minimum(below, 0) / step + np.maximum(above, 0) / step


def build_grid(slices: Sequence[PetSlice], notes: Notes, rules) -> tuple[list[PetSlice], Grid]:
    """Order slices by their projection on the normal and build the grid.

    Instance numbers, slice locations and file names are not looked at.

    Parameters
    ----------
    slices : sequence of PetSlice
        One series, in any order.
    notes : Notes
        Receives ``DUPLICATE_SLICES_DROPPED``, ``SPACING_UNEVEN``, ``MISSING_SLICES``.
    rules : plan section
        Section ``pet`` of the plan.

    Returns
    -------
    (list of PetSlice, Grid)
        Slices in ascending order, and their grid.

    Raises
    ------
    SeriesRefused
        ``GEOMETRY_MISSING``, ``ORIENTATION_INVALID``, ``DUPLICATE_POSITIONS``, ``SHEARED_GRID``,
        ``SPACING_IRREGULAR``, ``SPACING_IMPLAUSIBLE``, ``POSITION_IMPLAUSIBLE``,
        ``SINGLE_SLICE_NO_THICKNESS``.
    """
    rows, columns, spacing = _plane(slices, rules)
    normal = np.cross(rows, columns)
    ordered, places = _in_order(slices, normal, rules)
    kept = _drop_duplicates(ordered, places @ normal, notes, rules)
    if len(kept) < len(ordered):
        ordered, places = [ordered[index] for index in kept], places[kept]
    positions = places @ normal
    _check_shear(places, positions, normal, rules)
    step, missing = _check_gaps(ordered, positions, notes, rules)
    affine = _affine(places, positions, rows, columns, spacing, step, normal)
    half = np.where(missing, step, np.diff(positions)) / 2
    heights = np.concatenate([[step / 2], half]) + np.concatenate([half, [step / 2]])
    beside = np.concatenate([[False], missing]) | np.concatenate([missing, [False]])
    volumes = heights * spacing[0] * spacing[1] / 1000
    return ordered, Grid(affine, np.array([step, *spacing]), positions, volumes, beside)


def _plane(slices: Sequence[PetSlice], rules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row direction, column direction and (row, column) spacing of the series' planes."""
    first = slices[0]
    complete = all(item.position_mm is not None for item in slices)
    if (
        not complete
        or first.orientation is None
        or first.pixel_spacing_mm is None
        or min(first.pixel_spacing_mm) <= 0
    ):
        raise SeriesRefused(
            "GEOMETRY_MISSING",
            "every slice needs Image Position (0020,0032), Image Orientation (0020,0037) and Pixel Spacing "
            "(0028,0030)",
        )
    rows, columns = first.orientation[:3], first.orientation[3:]
    off = max(abs(rows @ rows - 1), abs(columns @ columns - 1), abs(rows @ columns))
    if off > rules.orthonormal_tolerance:
        raise SeriesRefused(
            "ORIENTATION_INVALID", f"Image Orientation (0020,0037) is not orthonormal, off by {off:.2g}"
        )
    _check_spacing("Pixel Spacing (0028,0030)", first.pixel_spacing_mm, rules)
    return _unit(rows), _unit(columns), first.pixel_spacing_mm


def _check_spacing(what: str, spacing_mm, rules) -> None:
    low, high = rules.spacing_refuse_mm
    for found in np.atleast_1d(spacing_mm).tolist():
        if not low <= found <= high:
            raise SeriesRefused(
                "SPACING_IMPLAUSIBLE",
                f"{what} between {low:g} and {high:g} mm expected, found {found:.4g}; export it again",
            )


def _in_order(slices: Sequence[PetSlice], normal: np.ndarray, rules) -> tuple[list[PetSlice], np.ndarray]:
    """Return the slices in ascending order along the normal, and their positions in mm, shape (slices, 3)."""
    places = np.array([item.position_mm for item in slices])
    furthest = float(np.abs(places).max())
    if furthest > rules.position_refuse_mm:
        raise SeriesRefused(
            "POSITION_IMPLAUSIBLE",
            f"Image Position (0020,0032) within {rules.position_refuse_mm:g} mm expected, found "
            f"{furthest:.4g}; export the series again",
        )
    order = np.argsort(places @ normal, kind="stable")
    return [slices[index] for index in order], places[order]


def _drop_duplicates(ordered, positions, notes, rules) -> list[int]:
    """Return which of the ordered slices to keep: one of several equal ones at one position."""
    if np.all(np.diff(positions) >= rules.duplicate_mm):
        return list(range(len(ordered)))
    kept = [0]
    for index, item in enumerate(ordered[1:], start=1):
        last = ordered[kept[-1]]
        if positions[index] - positions[kept[-1]] >= rules.duplicate_mm:
            kept.append(index)
        elif np.array_equal(item.stored, last.stored) and _slope(item) == _slope(last):
            notes.adapt("DUPLICATE_SLICES_DROPPED", f"{item.where} repeats another slice and was dropped")
        else:
            raise SeriesRefused(
                "DUPLICATE_POSITIONS",
                "several slices with different pixels share one position (a dynamic or gated series, or two "
                "reconstructions in one); name one frame",
            )
    return kept


def _slope(item: PetSlice) -> float | None:
    return item.number["RescaleSlope"]


def _check_shear(places, positions, normal, rules) -> None:
    offset = places - places[0]
    along = positions - positions[0]
    aside = np.linalg.norm(offset - np.outer(along, normal), axis=1)
    allowed = np.tan(np.radians(rules.shear_degrees)) * along + rules.duplicate_mm
    if np.any(aside > allowed):
        raise SeriesRefused(
            "SHEARED_GRID",
            f"slices shift sideways by up to {aside.max():.3g} mm over {along.max():.4g} mm: a tilted "
            f"gantry is not "
            "resampled; send the untilted reconstruction",
        )


def _check_gaps(ordered, positions, notes, rules) -> tuple[float, np.ndarray]:
    """Return the slice step in mm, and which gaps hold missing slices."""
    if len(ordered) == 1:
        thickness = ordered[0].number["SliceThickness"]
        if not positive(thickness):
            raise SeriesRefused(
                "SINGLE_SLICE_NO_THICKNESS", "a single slice needs Slice Thickness (0018,0050) in mm"
            )
        _check_spacing("Slice Thickness (0018,0050)", thickness, rules)
        notes.flag("SINGLE_SLICE")
        return thickness, np.zeros(0, bool)
    gaps = np.diff(positions)
    step = float(np.median(gaps))
    _check_spacing("the median slice step", step, rules)
    tolerance = max(rules.spacing_tolerance_mm, rules.spacing_tolerance_fraction * step)
    steps = np.maximum(np.round(gaps / step), 1)
    away = np.abs(gaps - steps * step)
    if np.any(away > tolerance):
        raise SeriesRefused(
            "SPACING_IRREGULAR",
            f"slice gaps between {gaps.min():.4g} and {gaps.max():.4g} mm do not fit the median step "
            f"{step:.4g} mm",
        )
    missing = steps > 1
    if missing.any():
        notes.flag("MISSING_SLICES")
    if np.any(away[~missing] > rules.spacing_even_mm):
        notes.flag("SPACING_UNEVEN")
    return step, missing


def _affine(places, positions, rows, columns, spacing, step, normal) -> np.ndarray:
    """Return the affine; its slice vector and origin fit uneven positions best."""
    index = np.arange(len(positions))
    slope, start = np.polyfit(index, positions, 1) if len(index) > 1 else (step, positions[0])
    if math.isclose(slope, step, rel_tol=1e-9):
        slope, start = step, positions[0]
    affine = np.eye(4)
    affine[:3, 0] = normal * slope
    affine[:3, 1] = columns * spacing[0]
    affine[:3, 2] = rows * spacing[1]
    affine[:3, 3] = places[0] + normal * (start - positions[0])
    return affine


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
