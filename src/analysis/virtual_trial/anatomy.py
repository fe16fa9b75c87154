"""The simulated body: a voxel grid, and the shapes of ``anatomy.yaml`` painted into it.

Shapes are in the drawn body's own mm; a subject's body is that one stretched along each axis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
import yaml


@dataclass(frozen=True)
class Grid:
    """Voxel grid of a scan, axes (slice, row, column); slices ascend towards the head.

    Attributes
    ----------
    shape : tuple of int
        Slices, rows, columns.
    spacing_mm : tuple of float
        Distance of slices, rows, columns.
    origin_mm : tuple of float
        Centre of voxel (0, 0, 0) along z, y, x (DICOM LPS).
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    def shifted(self, shift_mm: Sequence[float]) -> Grid:
        """Return the grid moved by a shift (x, y, z in mm)."""
        origin = np.add(self.origin_mm, np.asarray(shift_mm, float)[::-1])
        return Grid(self.shape, self.spacing_mm, tuple(float(np.round(value, 4)) for value in origin))

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the voxel centres along z, y and x in mm."""
        return tuple(o + d * np.arange(n) for o, d, n in zip(self.origin_mm, self.spacing_mm, self.shape))

    @property
    def voxel_mm(self) -> float:
        """Return the edge of a cube of one voxel's volume, in mm."""
        return float(np.cbrt(np.prod(self.spacing_mm)))

    def box(self, low: Sequence[float], high: Sequence[float]) -> tuple[slice, slice, slice]:
        """Return the slices of the voxels whose centres lie between two corners (z, y, x) in mm."""
        first = [np.ceil((a - o) / d) for a, o, d in zip(low, self.origin_mm, self.spacing_mm)]
        last = [np.floor((b - o) / d) for b, o, d in zip(high, self.origin_mm, self.spacing_mm)]
        return tuple(
            slice(int(np.clip(a, 0, n)), int(np.clip(b + 1, 0, n)))
            for a, b, n in zip(first, last, self.shape)
        )


@lru_cache(maxsize=1)
def anatomy() -> dict[str, Any]:
    """Return the shapes of the simulated body (``anatomy.yaml``), with every vertebra and rib written out."""
    text = resources.files("analysis.virtual_trial").joinpath("anatomy.yaml").read_text(encoding="utf-8")
    body = yaml.safe_load(text)
    lungs = next(i for i, shape in enumerate(body["shapes"]) if shape["tissue"] == "bone")
    body["shapes"][lungs:lungs] = list(_vertebrae(body["vertebrae"])) + list(_ribs(body["ribs"]))
    return body


def _vertebrae(rule: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for number in range(rule["count"]):
        centre = [0.0, 64.0, rule["top"] + rule["step"] * number]
        yield {"tissue": "marrow", "ellipsoid": centre, "semi": rule["semi"]}


def _ribs(rule: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each rib as a falling half ellipse from the spine to the front."""
    angles = np.linspace(0.15, 0.85, 8) * np.pi  # 0 = spine, pi = sternum
    for number in range(rule["count"]):
        top = rule["top"] + rule["step"] * number
        points = [
            [
                -rule["half_width"] * np.sin(a),
                rule["half_depth"] * np.cos(a),
                top - rule["drop"] * (1 - np.cos(a)) / 2,
            ]
            for a in angles
        ]
        yield {"tissue": "bone", "tube": points, "radius": rule["radius"], "mirror": True}


def subject_rng(subject: str, purpose: str) -> np.random.Generator:
    """Return the random stream of one subject and purpose: the same at every visit."""
    digest = hashlib.sha256(f"{subject}|{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def body_scale(subject: str, settings: Any) -> np.ndarray:
    """Return how much larger than the drawn body a subject is along x, y and z (close to 1)."""
    spread = settings.body_scale_spread
    return subject_rng(subject, "body").uniform(1 - spread, 1 + spread, size=3)


def reference_places(scale: np.ndarray) -> dict[str, np.ndarray]:
    """Return the centres (x, y, z in mm, LPS) of liver and aorta regions in a body of this `body_scale`."""
    return {name: np.asarray(at) * scale for name, at in anatomy()["references"].items()}


def scan_grid(vendor: str, settings: Any) -> Grid:
    """Lay out the voxels of a scan: the plan's voxel times the vendor's own proportions."""
    return _lay_out(settings.vendor_voxel_ratio[vendor], settings)


def ct_grid(settings: Any) -> Grid:
    """Lay out the voxels of the CT beside a scan: the same field of view, finer."""
    return _lay_out(settings.ct_voxel_ratio, settings)


def _lay_out(ratio: Sequence[float], settings: Any) -> Grid:
    spacing = tuple(float(np.round(v * r, 4)) for v, r in zip(settings.voxel_mm, ratio))
    extent = (settings.axial_mm, settings.fov_mm, settings.fov_mm)
    shape = tuple(int(np.ceil(length / d)) for length, d in zip(extent, spacing))
    origin = (settings.axial_top_mm - spacing[0] * (shape[0] - 1),) + tuple(
        -d * (n - 1) / 2 for n, d in zip(shape[1:], spacing[1:])
    )
    return Grid(shape, spacing, tuple(float(np.round(value, 4)) for value in origin))


def table_shift(subject: str, visit: str, settings: Any) -> np.ndarray:
    """Return how far a scan's coordinates lie from the drawn body's (x, y, z in whole mm, LPS).

    The patient lies elsewhere on the table at every visit; the frame of reference is another one, too.
    """
    reach = np.asarray(settings.table_shift_mm, float)
    return np.rint(subject_rng(subject, f"table {visit}").uniform(-reach, reach))


def draw_uptake(spec: Mapping[str, Any], rng: np.random.Generator, settings: Any) -> dict[str, float]:
    """Draw the uptake of every tissue (SUVbw) within the plan's ranges; liver and blood are given."""
    drawn = {name: float(rng.uniform(*settings.uptake_suv[name])) for name in sorted(settings.uptake_suv)}
    return {**drawn, "liver": float(spec["LIVER_SUV"]), "blood": float(spec["BLOOD_SUV"])}


def paint_body(grid: Grid, spec: Mapping[str, Any], uptake: Mapping[str, float], settings: Any) -> np.ndarray:
    """Paint the body without lesions: float32 SUV before any blur (slices, rows, columns)."""
    image = np.zeros(grid.shape, np.float32)
    body = _in_body_units(grid, body_scale(spec["USUBJID"], settings))
    bmi = spec["WEIGHT_KG"] / spec["HEIGHT_M"] ** 2
    fat_mm = float(np.clip((bmi - settings.fat_from_bmi) * settings.fat_mm_per_bmi, 3.0, 24.0))
    _paint_trunk(image, body, fat_mm, uptake["fat"])
    _paint_trunk(image, body, 0.0, uptake["soft"])
    for shape in anatomy()["shapes"]:
        condition = shape.get("when")
        if condition and spec.get(condition) != "Y":
            continue
        for sign in (1, -1) if shape.get("mirror") else (1,):
            _paint(image, body, shape, sign, uptake[shape["tissue"]])
    return image


def _in_body_units(grid: Grid, scale: np.ndarray) -> Grid:
    """Return the grid as seen from the drawn body: dividing the axes scales every shape at once."""
    factor = scale[::-1]
    return Grid(
        grid.shape, tuple(np.divide(grid.spacing_mm, factor)), tuple(np.divide(grid.origin_mm, factor))
    )


def _paint_trunk(image: np.ndarray, grid: Grid, margin_mm: float, value: float) -> None:
    stack = np.asarray(anatomy()["skin"], float)[::-1]
    inside = grid.box((stack[0, 0], -1e4, -1e4), (stack[-1, 0], 1e4, 1e4))
    z, y, x = (axis[part] for axis, part in zip(grid.axes, inside))
    width, depth, middle = (np.interp(z, stack[:, 0], stack[:, k])[:, None, None] for k in (1, 2, 3))
    ring = (x / (width + margin_mm)) ** 2 + ((y[:, None] - middle) / (depth + margin_mm)) ** 2
    image[inside][ring <= 1.0] = value


def _paint(image: np.ndarray, grid: Grid, shape: Mapping[str, Any], sign: int, value: float) -> None:
    if "ellipsoid" in shape:
        centre = np.array(shape["ellipsoid"], float) * (sign, 1, 1)
        _fill_ellipsoid(image, grid, centre, np.array(shape["semi"], float), value)
        return
    points = np.array(shape["tube"], float) * (sign, 1, 1)
    for start, end in pairwise(points):
        _fill_tube(image, grid, start, end, shape["radius"], value)


def _fill_ellipsoid(image, grid, centre, semi, value) -> None:
    inside = grid.box((centre - semi)[::-1], (centre + semi)[::-1])
    z, y, x = (axis[part] for axis, part in zip(grid.axes, inside))
    shell = (
        (((z - centre[2]) / semi[2]) ** 2)[:, None, None]
        + (((y - centre[1]) / semi[1]) ** 2)[:, None]
        + ((x - centre[0]) / semi[0]) ** 2
    )
    image[inside][shell <= 1.0] = value


def _fill_tube(image, grid, start, end, radius, value) -> None:
    low, high = np.minimum(start, end) - radius, np.maximum(start, end) + radius
    inside = grid.box(low[::-1], high[::-1])
    z, y, x = (axis[part] for axis, part in zip(grid.axes, inside))
    offset = (x - start[0], (y - start[1])[:, None], (z - start[2])[:, None, None])
    along = end - start
    t = sum(o * a for o, a in zip(offset, along)) / float(along @ along)
    t = np.clip(t, 0.0, 1.0)
    distance2 = sum((o - t * a) ** 2 for o, a in zip(offset, along))
    image[inside][distance2 <= radius**2] = value
