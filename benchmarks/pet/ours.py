"""`analysis.pet` at the same jobs. Run in .venv.

Each entry of `CONTENDERS` takes the folder of the scan, does what is not timed and returns what is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from analysis import plan

REGIONS = [*(f"L{n:02d}" for n in range(1, 11)), "LIVER", "AORTA"]
VALUES = ("suv_max", "suv_mean", "suv_sd", "suv_peak", "suv_peak_at_max", "mtv_ml")
Work = Callable[[], Any]


def rules(**changes) -> plan.Section:
    """Return the plan's section `pet` with its defaults, and these leaves changed."""
    return plan.Section("pet", plan.defaults().pet.to_dict() | changes)


def scan_task(folder: Path, roi: str = "seg_sparse/seg.dcm") -> dict[str, Any]:
    """Return the task of the scan, as `analysis.pet.tasks` makes it of a study."""
    known = {name: {"ROINAME": name, "ROLE": "lesion", "LESIONID": name} for name in REGIONS[:10]}
    known |= {name: {"ROINAME": name, "ROLE": name.lower()} for name in REGIONS[10:]}
    scan = {
        "STUDYID": "BENCH",
        "USUBJID": "BENCH-1",
        "AVISIT": "D0",
        "ADT": None,
        "SITEID": "1",
        "PATH": "pet",
    }
    return {
        "raw_dir": str(folder),
        "path": "pet",
        "files": [f"pet/{file.name}" for file in sorted((folder / "pet").iterdir())],
        "series_uid": None,
        "group": None,
        "rois": [roi],
        "roi_map": known,
        "height_m": None,
        "mip": True,
        "crop": False,
        "seeds": [],
        "reference_regions": [],
        "scan": scan | dict.fromkeys(("VENDOR", "MODEL", "UNITS", "DECAYCORR")),
    }


def whole_scan(roi: str, **changes) -> Callable[[Path], Work]:
    """From DICOM and ROI file to every metric, both reference regions and the MIP."""

    def prepare(folder: Path) -> Work:
        from analysis.pet.measurement import measure_scan

        task, section = scan_task(folder, roi), rules(**changes)
        _check(measure_scan(task, section))
        return lambda: measure_scan(task, section)

    return prepare


def _check(result) -> None:
    """Refuse to time a scan that was not measured."""
    lesions = {row["LESIONID"] for row in result.rows if row["ROLE"] == "LESION"}
    roles = {row["ROLE"] for row in result.rows}
    if result.exclusions or len(lesions) != 10 or not {"LIVER", "AORTA"} <= roles or not result.mips:
        raise RuntimeError(f"the scan is not measured in full: {result.exclusions}, {sorted(lesions)}")


def read_slices(folder: Path) -> Work:
    """Read headers and pixels of all slices."""
    from analysis.pet import header
    from analysis.pet.dicomfile import find_files

    section = rules()
    return lambda: list(header.read_slices(find_files(folder / "pet"), fast=section.fast_path, rules=section))


def load(**changes) -> Callable[[Path], Work]:
    """Read the series to SUV."""

    def prepare(folder: Path) -> Work:
        from analysis.pet.series import load_pet

        section = rules(**changes)
        return lambda: load_pet(folder / "pet", rules=section)

    return prepare


def regions(file: str) -> Callable[[Path], Work]:
    """Read an ROI file onto the grid of the image."""

    def prepare(folder: Path) -> Work:
        from analysis.pet.roi import load_rois

        pet = _pet(folder)
        return lambda: load_rois(folder / file, pet, rules=rules())

    return prepare


def metrics(names: list[str]) -> Callable[[Path], Work]:
    """Every metric of these regions."""

    def prepare(folder: Path) -> Work:
        from analysis.pet.metrics import measure

        pet, section = _pet(folder), rules()
        known = _voxels(folder, pet)

        def work():
            found = {name: measure(pet, known[name], rules=section) for name in names}
            return {name: {key: float(row[key]) for key in VALUES} for name, row in found.items()}

        return work

    return prepare


def peak(folder: Path) -> Work:
    """SUVpeak of ten lesions, in its three variants."""
    from analysis.pet.peak import compute_peaks

    pet = _pet(folder)
    known = [_voxels(folder, pet)[name] for name in REGIONS[:10]]

    def work():
        for region in known:
            inside = pet.values[region.box][region.mask]
            compute_peaks(pet.values, region, inside == inside.max(), pet.spacing_mm)

    return work


def growing(folder: Path) -> Work:
    """Grow ten lesions at 41 % from their hottest voxels."""
    from analysis.pet.growing import grow

    pet = _pet(folder)
    known, seeds = _voxels(folder, pet), []
    for name in REGIONS[:10]:
        region = known[name]
        inside = np.where(region.mask, pet.values[region.box], -1)
        at = np.unravel_index(int(inside.argmax()), inside.shape)
        seeds.append(tuple(int(a) + edge.start for a, edge in zip(at, region.box, strict=True)))
    return lambda: [grow(pet.values, seed, 0.41 * float(pet.values[seed])) for seed in seeds]


def mip(folder: Path) -> Work:
    """Draw the MIP of a loaded image, from the front and from the side."""
    from analysis.pet.projection import project

    pet, section = _pet(folder), rules()
    return lambda: project(pet, rules=section)


def proposals(folder: Path) -> Work:
    """Propose liver and aorta, for a scan nobody drew them on."""
    from analysis.pet.proposals import propose_aorta, propose_liver

    pet, section = _pet(folder), rules()
    known = _voxels(folder, pet)
    lesions = [known[name] for name in REGIONS[:10]]
    return lambda: (propose_liver(pet, section, lesions), propose_aorta(pet, section, lesions))


def _pet(folder: Path):
    from analysis.pet.series import load_pet

    return load_pet(folder / "pet")


def _voxels(folder: Path, pet) -> dict[str, Any]:
    from analysis.pet.roi import load_rois

    return load_rois(folder / "seg_sparse" / "seg.dcm", pet).voxels


CONTENDERS: dict[str, Callable[[Path], Work]] = {
    "whole scan": whole_scan("seg_sparse/seg.dcm"),
    "whole scan, RTSTRUCT": whole_scan("rtstruct/rtstruct.dcm"),
    "whole scan, fast path off": whole_scan("seg_sparse/seg.dcm", fast_path=False),
    "read slices": read_slices,
    "load_pet": load(),
    "load_pet, fast path off": load(fast_path=False),
    "sparse SEG": regions("seg_sparse/seg.dcm"),
    "full-frame SEG": regions("seg_full/seg.dcm"),
    "RTSTRUCT": regions("rtstruct/rtstruct.dcm"),
    "NIfTI": regions("nifti"),
    "metrics of lesions": metrics(REGIONS[:10]),
    "metrics of references": metrics(REGIONS[10:]),
    "metrics": metrics(REGIONS),
    "SUVpeak": peak,
    "growing 41 %": growing,
    "MIP": mip,
    "proposed references": proposals,
}
