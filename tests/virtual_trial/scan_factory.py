"""One scan that several test files write: its facts, and how it is read back without the analysis."""

import hashlib

import numpy as np
import pandas as pd
import pydicom

from analysis import plan

# On the table as the body is drawn, so that places are those of the phantom.
SETTINGS = (
    plan.defaults()
    .override({"virtual.voxel_mm": [8.0, 8.0, 8.0], "virtual.table_shift_mm": [0.0, 0.0, 0.0]})
    .virtual
)


def make_spec(vendor="SIEMENS", roi_format="SEG", **changes):
    lesions = [
        {"LESIONID": "L1", "ORGAN": "bone", "DIAMETER_MM": 24.0, "SUVMAX": 9.0},
        {"LESIONID": "L2", "ORGAN": "liver", "DIAMETER_MM": 30.0, "SUVMAX": 7.5},
        {"LESIONID": "L3", "ORGAN": "node", "DIAMETER_MM": 18.0, "SUVMAX": 5.0},
        {"LESIONID": "L4", "ORGAN": "lung", "DIAMETER_MM": 20.0, "SUVMAX": 6.0},
    ]
    spec = {
        "USUBJID": "PEARL-01-001",
        "AVISIT": "D0",
        "SCANDT": pd.Timestamp("2016-03-04"),
        "VENDOR": vendor,
        "ROIFORMAT": roi_format,
        "SEX": "F",
        "AGE": 61,
        "WEIGHT_KG": 68.4,
        "HEIGHT_M": 1.63,
        "DOSE_MBQ": 251.3,
        "UPTAKE_MIN": 61.7,
        "LIVER_SUV": 2.2,
        "BLOOD_SUV": 1.6,
        "PNEUMONITIS": "N",
        "FAULT": "",
        "lesions": lesions,
    }
    return {**spec, **changes}


def read_slices(folder):
    return sorted(
        (pydicom.dcmread(path) for path in (folder / "pet").glob("*.dcm")),
        key=lambda ds: float(ds.ImagePositionPatient[2]),
    )


def full_mask(simulated, name):
    mask = np.zeros(simulated.grid.shape, bool)
    box, inside = simulated.rois[name]
    mask[box] = inside
    return mask


def digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.dcm"))
    }
