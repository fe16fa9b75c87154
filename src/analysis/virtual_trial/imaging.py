"""Write one scan of the virtual trial: DICOM series, lesion regions, and the truth behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analysis.virtual_trial.dialects import draw_acquisition
from analysis.virtual_trial.phantom import Phantom, hottest, simulate_scan
from analysis.virtual_trial.roi_files import Source, write_rtstruct, write_seg
from analysis.virtual_trial.slice_files import write_series

ROI_WRITERS = {"SEG": ("seg.dcm", write_seg), "RTSTRUCT": ("rtstruct.dcm", write_rtstruct)}


def write_scan(
    spec: Mapping[str, Any], folder: str | Path, rng: np.random.Generator, settings: Any
) -> list[dict[str, Any]]:
    """Simulate one FDG-PET scan and write ``folder/pet/*.dcm`` and ``folder/roi/{seg,rtstruct}.dcm``.

    Parameters
    ----------
    spec : mapping
        USUBJID, AVISIT, SCANDT, VENDOR (SIEMENS | GE | PHILIPS), ROIFORMAT (SEG | RTSTRUCT), SEX, AGE,
        WEIGHT_KG, HEIGHT_M, DOSE_MBQ, UPTAKE_MIN (injection to start of scan), LIVER_SUV, BLOOD_SUV,
        PNEUMONITIS (Y | N), FAULT ("" | no_weight | dose_in_mbq), and ``lesions``: a list of mappings with
        LESIONID, ORGAN (bone | liver | lung | node), DIAMETER_MM and SUVMAX (the noise-free image shows it).
    folder : path
        Folder of this visit; made if absent. Files in it are overwritten.
    rng : numpy.random.Generator
        Random stream of this scan: the same stream and spec give the same bytes.
    settings : section ``virtual`` of the plan

    Returns
    -------
    list of dict
        One row a lesion: USUBJID, AVISIT, LESIONID, ORGAN, SUVMAX_TRUE (asked for), SUVMAX_BLURRED (largest
        noise-free voxel of its region), CENTER_MM ("x;y;z", LPS), VOLUME_ML (of the sphere), NOISE_SD (SUV,
        at the hottest voxel). A lesion whose SUVMAX is missing is not drawn.

    Raises
    ------
    ValueError
        For an unknown vendor, region format, organ or fault, or more lesions than the organ holds.
    """
    _check(spec, settings)
    phantom = simulate_scan(spec, rng, settings)
    acquisition = draw_acquisition(spec, phantom.grid, rng, settings)
    pet, roi = Path(folder) / "pet", Path(folder) / "roi"
    pet.mkdir(parents=True, exist_ok=True)
    roi.mkdir(parents=True, exist_ok=True)
    header, slices = write_series(pet, phantom.values, phantom.grid, spec, acquisition, rng)
    source = Source(spec, acquisition, header, phantom.grid, slices)
    name, write_regions = ROI_WRITERS[spec["ROIFORMAT"]]
    write_regions(roi / name, phantom.rois, {one.name: one.organ for one in phantom.lesions}, source)
    return truth_rows(spec, phantom)


def _check(spec: Mapping[str, Any], settings: Any) -> None:
    for key, known in (("VENDOR", settings.vendor_voxel_ratio), ("ROIFORMAT", ROI_WRITERS)):
        if spec[key] not in known:
            raise ValueError(f"{key} must be one of {sorted(known)}, found {spec[key]!r}")


def truth_rows(spec: Mapping[str, Any], phantom: Phantom) -> list[dict[str, Any]]:
    """Return what was planted, one row a lesion (columns as in `write_scan`)."""
    return [
        {
            "USUBJID": spec["USUBJID"],
            "AVISIT": spec["AVISIT"],
            "LESIONID": one.name,
            "ORGAN": one.organ,
            "SUVMAX_TRUE": one.suv_max,
            "SUVMAX_BLURRED": hottest(phantom.clean, phantom.rois[one.name]),
            "CENTER_MM": ";".join(f"{value:g}" for value in one.centre_mm),
            "VOLUME_ML": math.pi / 6 * one.diameter_mm**3 / 1000.0,
            "NOISE_SD": phantom.noise_sd[one.name],
        }
        for one in phantom.lesions
    ]
