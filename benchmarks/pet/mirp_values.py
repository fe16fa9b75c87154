"""MIRP's values of regions of one scan, under our names. Run in .venv-peers.

    python benchmarks/pet/mirp_values.py < jobs.json

jobs.json: a list of {"image": folder of the series, "masks": [NIfTI files], "crop_mm": distance or null}. The
last line printed is a list of {region: {value name: value}}; for a scan MIRP does not read {"error": message,
"zrad": {value name: value}}: what Z-Rad makes of its whole volume, where that reads it (Enhanced PET).
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import warnings
from typing import Any


def extract(image: str, masks: list[str], crop_mm: float | None) -> dict[str, dict[str, float]]:
    """Return MIRP's values of one scan by the name of the mask file."""
    from mirp import extract_features

    cropped = {} if crop_mm is None else {"crop_around_roi": True, "crop_distance": crop_mm}
    with contextlib.redirect_stdout(io.StringIO()):
        tables = extract_features(
            image=image,
            mask=masks,
            image_modality="pet",
            association_strategy="single_image",
            pet_suv_conversion="body_weight",
            base_feature_families=["statistics", "local_intensity"],
            **cropped,
        )
    rows = [row for table in tables for row in table.to_dict("records")]
    return {str(row["image_mask_file_name"]).removesuffix(".nii.gz"): _values(row) for row in rows}


def read_by_zrad(image: str) -> dict[str, float]:
    """Return largest and mean SUV of the whole volume as Z-Rad reads it; nothing if it does not."""
    from zrad.image import Image

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            values = Image.from_dicom(os.path.abspath(image), "PET").array
    except Exception:  # as below: the scan then stands without an oracle
        return {}
    return {"suv_max": float(values.max()), "suv_mean": float(values.mean(dtype=float))}


def _values(row: dict[str, Any]) -> dict[str, float]:
    voxel_ml = row["image_voxel_size_x"] * row["image_voxel_size_y"] * row["image_voxel_size_z"] / 1000
    # MIRP counts voxels in its morphology family only, which takes minutes: energy over mean square is n.
    n_voxels = round(row["stat_energy"] / row["stat_rms"] ** 2)
    return {
        "suv_max": float(row["stat_max"]),
        "suv_mean": float(row["stat_mean"]),
        "suv_sd": float(row["stat_var"]) ** 0.5,
        "suv_peak": float(row["loc_peak_glob"]),  # IBSI 0F91
        "suv_peak_at_max": float(row["loc_peak_loc"]),  # IBSI VJGA
        "mtv_ml": n_voxels * float(voxel_ml),
        "n_voxels": n_voxels,
    }


def main() -> None:
    """Read jobs, print values."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    found = []
    for job in json.load(sys.stdin):
        try:
            found.append(extract(job["image"], job["masks"], job.get("crop_mm")))
        except Exception as error:  # whatever a peer does with a scan is a finding, not the end of the run
            whole = read_by_zrad(job["image"])
            found.append({"error": f"{type(error).__name__}: {error}", "zrad": whole})
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
