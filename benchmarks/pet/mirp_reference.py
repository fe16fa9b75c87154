"""Write tests/reference/mirp_phantom.csv: MIRP's values of the phantom of tests/pet/mirp_phantom.py.

.venv/bin/python benchmarks/pet/mirp_reference.py
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "tests" / "reference" / "mirp_phantom.csv"
SOURCE = "MIRP 2.7.0 (EUPL-1.2), written by benchmarks/pet/mirp_reference.py"


def main() -> None:
    """Write the phantom, ask MIRP, write the table."""
    sys.path.insert(0, str(ROOT / "tests" / "pet"))
    import mirp_phantom as phantom
    from oracle import VALUES, ask_mirp

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        series = phantom.write_scan(folder / "pet")
        # The phantom's own affine, by hand: column, row, slice to RAS.
        affine = np.diag([-phantom.PIXEL_MM, -phantom.PIXEL_MM, phantom.STEP_MM, 1.0])
        affine[2, 3] = -40.0
        for name, mask in phantom.masks().items():
            image = nibabel.Nifti1Image(mask.transpose(2, 1, 0).astype(np.uint8), affine)
            nibabel.save(image, folder / f"{name}.nii.gz")
        masks = [str(folder / f"{name}.nii.gz") for name in phantom.SPHERES]
        (values,) = ask_mirp([{"image": str(series), "masks": masks, "crop_mm": None}])
    with TARGET.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["region", "value", "mirp", "source"])
        for region in phantom.SPHERES:
            for value in VALUES:
                writer.writerow([region, value, f"{values[region][value]:.6g}", SOURCE])


if __name__ == "__main__":
    main()
