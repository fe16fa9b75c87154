"""Write the scan of the benchmark: a whole-body FDG series with ten lesions, and its regions in four formats.

Nothing of `analysis` is used, so that what is measured did not write what it reads. One seed, same bytes.

    python benchmarks/pet/scan.py FOLDER
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from header import series_header, set_slice
from structure import write_rtstruct

SEED = 20250101
SHAPE = (326, 200, 200)
SPACING_MM = (3.0, 4.07283, 4.07283)
ORIGIN_MM = (-405.0, -405.0, -600.0)  # x, y, z of the first voxel's centre
WEIGHT_KG, DOSE_BQ, HALF_LIFE_S, UPTAKE_S = 74.0, 301.5e6, 6586.2, 3600.0
NOISE_PERCENT = 6.0
# name -> centre x, y, z (mm), diameter (mm), SUV
LESIONS = {
    "L01": ((-90.0, 10.0, -150.0), 15.0, 5.5),
    "L02": ((80.0, -20.0, -60.0), 18.0, 8.0),
    "L03": ((-60.0, 40.0, 40.0), 20.0, 6.2),
    "L04": ((40.0, 60.0, 110.0), 22.0, 11.5),
    "L05": ((0.0, -60.0, 160.0), 25.0, 4.6),
    "L06": ((110.0, 20.0, 200.0), 28.0, 9.3),
    "L07": ((-110.0, -10.0, 230.0), 30.0, 14.8),
    "L08": ((60.0, -50.0, -230.0), 33.0, 7.1),
    "L09": ((-30.0, 50.0, -320.0), 36.0, 12.4),
    "L10": ((70.0, 30.0, -420.0), 40.0, 17.6),
}
LIVER = ((-85.0, -10.0, 30.0), 30.0, 2.2)
AORTA = ((15.0, 55.0, 190.0), 10.0, 20.0, 1.7)  # centre, diameter, length, SUV
_EDGE_MM = 2.5  # width of the blur of the scanner at a lesion's surface


def voxel_centres() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return z, y and x of the voxel centres in mm, each along its own axis."""
    z, y, x = (
        ORIGIN_MM[2 - axis] + SPACING_MM[axis] * np.arange(SHAPE[axis], dtype=np.float32) for axis in range(3)
    )
    return z[:, None, None], y[None, :, None], x[None, None, :]


def noise_free_suv() -> np.ndarray:
    """Return the SUV without noise: a body, lungs, a liver, an aorta and ten lesions, float32."""
    z, y, x = voxel_centres()
    body = ((x / 170) ** 2 + (y / 115) ** 2 < 1) & (z > -560) & (z < 330)
    suv = np.where(body, np.float32(0.8), np.float32(0.02))
    for side in (-1, 1):
        lung = ((x - 80 * side) / 55) ** 2 + ((y + 5) / 80) ** 2 + ((z - 200) / 105) ** 2 < 1
        suv[lung] = 0.35
    liver = ((x + 80) / 75) ** 2 + ((y + 5) / 70) ** 2 + ((z - 30) / 65) ** 2 < 1
    suv[liver] = LIVER[2]
    (ax, ay, _), diameter, _, uptake = AORTA
    suv[np.broadcast_to((np.hypot(x - ax, y - ay) < diameter) & (z > 0) & (z < 260), SHAPE)] = uptake
    for centre, diameter, uptake in LESIONS.values():
        distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
        share = 1 / (1 + np.exp(np.clip((distance - diameter / 2) / (_EDGE_MM / 2), -30, 30)))
        suv += share * (np.float32(uptake) - suv)
    return suv


def region_masks() -> dict[str, np.ndarray]:
    """Return every region as a mask: voxels whose centre lies inside the sphere or cylinder."""
    z, y, x = voxel_centres()
    masks = {}
    for name, (centre, diameter, _) in {**LESIONS, "LIVER": LIVER}.items():
        distance = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
        masks[name] = distance <= (diameter / 2) ** 2
    (ax, ay, az), diameter, length, _ = AORTA
    across, along = (x - ax) ** 2 + (y - ay) ** 2, np.abs(z - az)
    masks["AORTA"] = (across <= (diameter / 2) ** 2) & (along <= length / 2)
    return masks


def write_series(folder: Path, suv: np.ndarray, n_slices: int | None = None) -> list:
    """Write the series, one explicit-VR file a slice, and return its headers without pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    bqml_per_suv = DOSE_BQ * 2 ** (-UPTAKE_S / HALF_LIFE_S) / (WEIGHT_KG * 1000)
    ds = series_header(SHAPE, SPACING_MM, WEIGHT_KG, DOSE_BQ, HALF_LIFE_S)
    headers = []
    for k in range(n_slices or SHAPE[0]):
        position = [ORIGIN_MM[0], ORIGIN_MM[1], ORIGIN_MM[2] + SPACING_MM[0] * k]
        bqml = suv[k].astype(np.float64) * bqml_per_suv
        slope = float(f"{max(float(bqml.max()), 1.0) / 32767:.6e}")
        stored = np.clip(np.round(bqml / slope), 0, 32767).astype("<i2")
        set_slice(ds, k, SHAPE[0], position, slope, stored, HALF_LIFE_S)
        file = folder / f"IM{k:05d}.dcm"
        ds.save_as(file, enforce_file_format=True)
        headers.append(pydicom.dcmread(file, stop_before_pixels=True))
    return headers


def write_segmentations(folder: Path, headers: list, masks: dict[str, np.ndarray]) -> None:
    """Write a sparse SEG of all regions, and one with a frame for every slice of every lesion."""
    from highdicom import seg as hd
    from highdicom.sr.coding import CodedConcept

    lesion = CodedConcept("52988006", "SCT", "Lesion")
    tumour = CodedConcept("49755003", "SCT", "Morphologically Abnormal Structure")
    reader = hd.SegmentAlgorithmTypeValues.MANUAL
    for name, wanted, sparse in (("seg_sparse", list(masks), True), ("seg_full", list(LESIONS), False)):
        segments = [
            hd.SegmentDescription(number, label, tumour, lesion, reader)
            for number, label in enumerate(wanted, start=1)
        ]
        document = hd.Segmentation(
            source_images=headers,
            pixel_array=np.stack([masks[label] for label in wanted], axis=-1).astype(np.uint8),
            segmentation_type=hd.SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
            series_instance_uid=f"1.2.826.0.1.3680043.10.998.{4 + sparse}",
            series_number=4 + sparse,
            sop_instance_uid=f"1.2.826.0.1.3680043.10.998.{4 + sparse}.1",
            instance_number=1,
            manufacturer="Benchmark",
            manufacturer_model_name="Scan",
            software_versions="1",
            device_serial_number="1",
            omit_empty_frames=sparse,
        )
        (folder / name).mkdir(exist_ok=True)
        document.save_as(folder / name / "seg.dcm")


def write_niftis(folder: Path, masks: dict[str, np.ndarray]) -> None:
    """Write one NIfTI mask a region."""
    folder.mkdir(parents=True, exist_ok=True)
    dz, dy, dx = SPACING_MM
    affine = np.diag([-dx, -dy, dz, 1.0])
    affine[:3, 3] = -ORIGIN_MM[0], -ORIGIN_MM[1], ORIGIN_MM[2]
    for name, mask in masks.items():
        image = nibabel.Nifti1Image(mask.transpose(2, 1, 0).astype(np.uint8), affine)
        nibabel.save(image, folder / f"{name}.nii.gz")


def circles(name: str) -> list[np.ndarray]:
    """Return the contours of one region: a circle of 64 points on every slice it meets, in mm."""
    z = voxel_centres()[0].ravel()
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    if name == "AORTA":
        centre, diameter, length, _ = AORTA
        radii = np.where(np.abs(z - centre[2]) <= length / 2, diameter / 2, 0.0)
    else:
        centre, diameter, _ = {**LESIONS, "LIVER": LIVER}[name]
        radii = np.sqrt(np.clip((diameter / 2) ** 2 - (z - centre[2]) ** 2, 0, None))
    return [
        np.column_stack(
            [centre[0] + r * np.cos(angle), centre[1] + r * np.sin(angle), np.full(len(angle), at)]
        )
        for at, r in zip(z, radii, strict=True)
        if r > 1.0
    ]


def truth(masks: dict[str, np.ndarray], clean: np.ndarray) -> dict[str, dict[str, float]]:
    """Return what the regions hold without noise, and the seed voxel of each lesion in mm."""
    volume_ml = math.prod(SPACING_MM) / 1000
    known = {}
    for name, mask in masks.items():
        inside = clean[mask].astype(np.float64)
        known[name] = {
            "suv_max": float(inside.max()),
            "suv_mean": float(inside.mean()),
            "suv_sd": float(inside.std()),
            "volume_ml": float(mask.sum() * volume_ml),
        }
    for name, (centre, _, _) in LESIONS.items():
        known[name]["centre_mm"] = list(centre)
    return known


def write_scan(folder: Path) -> None:
    """Write series, masks, SEG, RTSTRUCT and truth.json below `folder`."""
    clean, masks = noise_free_suv(), region_masks()
    noise = np.random.default_rng(SEED).normal(1, NOISE_PERCENT / 100, SHAPE).astype(np.float32)
    headers = write_series(folder / "pet", clean * noise)
    write_segmentations(folder, headers, masks)
    write_rtstruct(folder / "rtstruct" / "rtstruct.dcm", headers, {name: circles(name) for name in masks})
    write_niftis(folder / "nifti", masks)
    (folder / "truth.json").write_text(json.dumps(truth(masks, clean), indent=1))


if __name__ == "__main__":
    write_scan(Path(sys.argv[1]))
