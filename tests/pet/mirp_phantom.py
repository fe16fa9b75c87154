"""The scan whose values by MIRP stand in tests/reference/mirp_phantom.csv; no random numbers, so the same anywhere."""

from pathlib import Path

import numpy as np
from dicom_factory import tracer, write_series

SHAPE, STEP_MM, PIXEL_MM = (14, 20, 20), 3.0, 3.5
# name -> centre (slice, row, column), radius in mm
SPHERES = {"small": ((4, 6, 7), 8.0), "large": ((7, 12, 12), 15.5), "border": ((1, 3, 16), 7.0)}


def suv() -> np.ndarray:
    """Two overlapping hot spheres and a hot voxel on a rippled background, SUV."""
    k, j, i = np.indices(SHAPE).astype(float)
    image = 1.0 + 0.2 * np.sin(1.3 * k + 0.7 * j) + 0.15 * np.cos(0.9 * i - 0.4 * k)
    for centre, height, width_mm in (((4, 6, 7), 6.0, 6.0), ((7, 13, 11), 11.0, 10.0)):
        image += height * np.exp(-distance_mm2(centre) / (2 * width_mm**2))
    image[8, 10, 14] = 13.0  # the hottest voxel, away from the hottest sphere
    return image


def masks() -> dict[str, np.ndarray]:
    """The regions: voxels whose centre lies in the sphere."""
    return {name: distance_mm2(centre) <= radius**2 for name, (centre, radius) in SPHERES.items()}


def distance_mm2(centre) -> np.ndarray:
    k, j, i = (axis - at for axis, at in zip(np.indices(SHAPE), centre, strict=True))
    return (k * STEP_MM) ** 2 + (j * PIXEL_MM) ** 2 + (i * PIXEL_MM) ** 2


def write_scan(folder: Path) -> Path:
    """Bq/ml, decay corrected to the start, 52 kg, 241 MBq, 67 minutes, another slope on every slice."""

    def edit(ds, k):
        ds.PatientWeight = "52"
        tracer(ds).RadionuclideTotalDose = "241000000"
        tracer(ds).RadiopharmaceuticalStartTime = "095300.000000"
        tracer(ds).RadiopharmaceuticalStartDateTime = "20250101095300.000000"
        ds.SliceThickness = str(STEP_MM)

    bqml_per_suv = 241e6 * 2 ** (-67 * 60 / 6586.2) / 52e3
    positions = [-40.0 + STEP_MM * k for k in range(SHAPE[0])]
    return write_series(folder, suv(), bqml_per_suv, edit, positions_mm=positions, pixel_mm=PIXEL_MM)
