"""Write one scan of the virtual trial: DICOM series, lesion regions, and the truth behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analysis.virtual_trial.acquisition import Acquisition, draw_acquisition
from analysis.virtual_trial.anatomy import Grid, body_scale, ct_grid, table_shift
from analysis.virtual_trial.dialects import DIALECTS, VENDORS, dialect_of
from analysis.virtual_trial.enhanced_file import write_enhanced
from analysis.virtual_trial.phantom import Phantom, hottest, region_masks, simulate_scan
from analysis.virtual_trial.renaming import drawn_names
from analysis.virtual_trial.roi_source import Source, ct_source
from analysis.virtual_trial.rtstruct_file import write_rtstruct
from analysis.virtual_trial.seg_file import write_label_map, write_seg
from analysis.virtual_trial.slice_files import write_series, write_uncorrected

# Name of the format -> file, writer, and whether the regions are drawn on the CT beside the PET.
ROI_FORMATS = {
    "SEG": ("seg.dcm", write_seg, False),
    "SEG_CT": ("seg.dcm", write_seg, True),
    "SEG_LABELMAP": ("seg.dcm", write_label_map, False),
    "RTSTRUCT": ("rtstruct.dcm", write_rtstruct, False),
    "RTSTRUCT_CT": ("rtstruct.dcm", write_rtstruct, True),
}


def write_scan(
    spec: Mapping[str, Any], folder: str | Path, rng: np.random.Generator, settings: Any
) -> list[dict[str, Any]]:
    """Simulate one FDG-PET scan and write ``folder/pet/*.dcm`` and ``folder/roi/{seg,rtstruct}.dcm``.

    A scan with NAC = Y also has ``folder/nac/*.dcm``, the series without attenuation correction. Where
    LESIONSONLY = Y no liver and no aorta is drawn.

    Parameters
    ----------
    spec : mapping
        USUBJID, AVISIT, SCANDT, VENDOR (SIEMENS | GE | PHILIPS), DIALECT (a name of `dialects.DIALECTS`; the
        vendor's own if absent), ROIFORMAT (a name of `ROI_FORMATS`), NAC, LESIONSONLY
        and RENAMED (Y | N; N if absent), PATIENTID (in every file; USUBJID if absent), SEX, AGE, WEIGHT_KG,
        HEIGHT_M, DOSE_MBQ, UPTAKE_MIN (injection to start of scan), LIVER_SUV, BLOOD_SUV,
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
        For an unknown vendor, dialect, region format, organ or fault, a dialect of another vendor, a series
        without attenuation correction beside an Enhanced PET file, or more lesions than the organ holds.
    """
    _check(spec, settings)
    phantom = simulate_scan(spec, rng, settings)
    shift = table_shift(spec["USUBJID"], spec["AVISIT"], settings)
    grid = phantom.grid.shifted(shift)
    acquisition = draw_acquisition(spec, grid, rng, settings)
    source = _write_pet(spec, Path(folder), phantom, grid, acquisition, rng)
    _write_regions(spec, Path(folder) / "roi", phantom, source, settings)
    return truth_rows(spec, phantom, shift)


def _write_pet(
    spec: Mapping[str, Any],
    folder: Path,
    phantom: Phantom,
    grid: Grid,
    acquisition: Acquisition,
    rng: np.random.Generator,
) -> Source:
    pet, values = folder / "pet", phantom.values
    pet.mkdir(parents=True, exist_ok=True)
    if dialect_of(spec).storage == "ENHANCED":
        header, slices = write_enhanced(pet, values, grid, spec, acquisition)
    else:
        header, slices = write_series(pet, values, grid, spec, acquisition, rng)
    if spec.get("NAC") == "Y":
        (folder / "nac").mkdir(exist_ok=True)
        write_uncorrected(folder / "nac", values, grid, spec, acquisition, header)
    return Source(spec, acquisition, header, grid, slices)


def _write_regions(
    spec: Mapping[str, Any], folder: Path, phantom: Phantom, pet: Source, settings: Any
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file, write, on_ct = ROI_FORMATS[spec["ROIFORMAT"]]
    rois, source = phantom.rois, pet
    if on_ct:
        ct, scale = ct_grid(settings), body_scale(spec["USUBJID"], settings)
        source = ct_source(pet, ct.shifted(table_shift(spec["USUBJID"], spec["AVISIT"], settings)))
        rois = region_masks(ct, phantom.lesions, scale, settings, seen_on=phantom.grid)
    organs = {one.name: one.organ for one in phantom.lesions}
    if spec.get("LESIONSONLY") == "Y":
        rois = {name: rois[name] for name in organs}
    if spec.get("RENAMED") == "Y":
        rois, organs = rename_regions(rois, organs)
    write(folder / file, rois, organs, source)


def rename_regions(
    rois: Mapping[str, Any], organs: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Draw the lesions under the names of `renaming.drawn_names`; one of two names is half a lesion."""
    names = drawn_names(organs)
    drawn: dict[str, Any] = {}
    for lesion, (box, mask) in rois.items():
        known = names.get(lesion, [lesion])
        half = box[0].start + (box[0].stop - box[0].start) // len(known)
        parts = [(box, mask)]
        if len(known) == 2:
            parts = [
                ((part, *box[1:]), mask[part.start - box[0].start : part.stop - box[0].start])
                for part in (slice(box[0].start, half), slice(half, box[0].stop))
            ]
        drawn |= dict(zip(known, parts, strict=True))
    return drawn, {name: organs[lesion] for lesion, known in names.items() for name in known}


def _check(spec: Mapping[str, Any], settings: Any) -> None:
    known = {"VENDOR": settings.vendor_voxel_ratio, "ROIFORMAT": ROI_FORMATS}
    known |= {"DIALECT": DIALECTS} if spec.get("DIALECT") else {}
    for key, names in known.items():
        if spec[key] not in names:
            raise ValueError(f"{key} must be one of {sorted(names)}, found {spec[key]!r}")
    dialect = dialect_of(spec)
    if dialect.vendor is not VENDORS[spec["VENDOR"]]:
        raise ValueError(f"DIALECT {spec['DIALECT']!r} is not one of VENDOR {spec['VENDOR']!r}")
    if dialect.storage == "ENHANCED" and spec.get("NAC") == "Y":
        raise ValueError(
            "NAC = Y needs a classic series; set virtual.nac_site to a site without Enhanced PET"
        )


def truth_rows(
    spec: Mapping[str, Any], phantom: Phantom, shift_mm: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Return what was planted, one row a lesion (columns as in `write_scan`).

    `shift_mm` is how far the scan's coordinates lie from the phantom's; nowhere if None.
    """
    shift_mm = np.zeros(3) if shift_mm is None else shift_mm
    return [
        {
            "USUBJID": spec["USUBJID"],
            "AVISIT": spec["AVISIT"],
            "LESIONID": one.name,
            "ORGAN": one.organ,
            "SUVMAX_TRUE": one.suv_max,
            "SUVMAX_BLURRED": hottest(phantom.clean, phantom.rois[one.name]),
            "CENTER_MM": ";".join(f"{value:g}" for value in np.round(one.centre_mm + shift_mm, 3)),
            "VOLUME_ML": math.pi / 6 * one.diameter_mm**3 / 1000.0,
            "NOISE_SD": phantom.noise_sd[one.name],
        }
        for one in phantom.lesions
    ]
