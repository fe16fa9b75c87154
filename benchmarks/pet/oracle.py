"""Compare our values with MIRP 2.7.0's on the same scans and masks: an oracle that shares no code with us.

    make oracle                       the virtual trial (made before with `make reproduce`)
    make oracle DATA=../shared/data   every series beside its regions below that folder, too

MIRP reads the DICOM series itself: units, decay, body weight, geometry and every value are its own. It gets
our masks as NIfTI in patient coordinates, since it fails on sparse segmentations. A mask that our geometry
placed wrongly would lie elsewhere in MIRP's image and change every value.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom

from analysis.pet.codes import RoiRefused, SeriesRefused
from analysis.pet.index import index_tree
from analysis.pet.metrics import measure
from analysis.pet.roi import load_rois
from analysis.pet.series import load_pet

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = ROOT / ".venv-peers/bin/python"
CROP_MM = 20.0  # more than the radius of the peak sphere
VALUES = ("suv_max", "suv_mean", "suv_sd", "suv_peak", "suv_peak_at_max", "mtv_ml")
PEAKS = ("suv_peak", "suv_peak_at_max")
TOLERANCE = 1e-5  # relative; MIRP computes in float32
# Volume: MIRP takes one distance between slices for all of them, we take each slice's own.
TOLERANCE_UNEVEN_VOLUME = 0.01
GE_SCAN_START = 0x0009100D
_BESIDE = ("mask", "rtstruct", "roi", "seg")


@dataclass
class Case:
    """One scan: its files, its regions, our values and MIRP's."""

    name: str
    kind: str
    files: list[Path]
    rois: list[Path]
    ours: dict[str, dict[str, Any]] = field(default_factory=dict)
    theirs: dict[str, Any] = field(default_factory=dict)
    whole: dict[str, float] = field(default_factory=dict)
    uneven: bool = False
    refused: str = ""


def cases_of_trial(folder: Path, most: int) -> list[Case]:
    """Choose scans of a study, one of each vendor, model, units, decay correction, encoding and ROI kind."""
    index = index_tree(folder, lambda *_: None)
    rois = {uid: rows for uid, rows in index.rois.groupby("SERIESUID")}
    kept: dict[tuple, Case] = {}
    for row in index.series.itertuples(index=False):
        mine = rois.get(row.SERIESUID)
        if mine is None:
            continue
        kinds = "+".join(sorted(set(mine["KIND"])))
        key = (row.VENDOR, row.MODEL, row.UNITS, row.DECAYCORR, _encoding(folder / row.FILES[0]), kinds)
        if key not in kept:
            files = [folder / name for name in row.FILES]
            words = ", ".join(str(word) for word in key)
            kept[key] = Case(f"trial {len(kept) + 1}", words, files, [folder / name for name in mine["PATH"]])
    return list(kept.values())[:most]


def _encoding(file: Path) -> str:
    ds = pydicom.dcmread(file, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    syntax = ds.file_meta.TransferSyntaxUID.name.partition(" (")[0]
    return f"{ds.SOPClassUID.name.removesuffix(' Image Storage')}, {syntax}"


def cases_of_data(folder: Path, most_a_collection: int) -> list[Case]:
    """List the series in folders named `pet`, with the regions in the folder beside them."""
    found: dict[str, list[Case]] = {}
    for series in sorted(folder.rglob("pet")):
        beside = next((series.parent / name for name in _BESIDE if (series.parent / name).is_dir()), None)
        files = sorted(item for item in series.iterdir() if item.is_file())
        if beside is None or not files:
            continue
        name = series.parent.relative_to(folder)
        collection = name.parts[0]
        found.setdefault(collection, []).append(Case(str(name), beside.name, files, [beside]))
    return [case for cases in found.values() for case in cases[:most_a_collection]]


def measure_case(case: Case, masks: Path, series: Path) -> dict[str, Any] | None:
    """Fill in our values, write masks and links for MIRP; return its job, or None if we refuse the scan."""
    try:
        pet = load_pet(case.files)
        regions = {}
        for path in case.rois:
            regions |= load_rois(path, pet).voxels
    except (SeriesRefused, RoiRefused) as error:
        case.refused = error.code
        return None
    case.uneven = "SPACING_UNEVEN" in pet.facts["flags"]
    for folder in (masks, series):
        folder.mkdir(parents=True)
    case.whole = {"suv_max": float(pet.values.max()), "suv_mean": float(pet.values.mean(dtype=float))}
    affine = _nifti_affine(pet.affine)
    for number, region in enumerate(region for region in regions.values() if region.n_voxels):
        case.ours[f"R{number}"] = measure(pet, region)
        image = nibabel.Nifti1Image(region.full().transpose(2, 1, 0).astype(np.uint8), affine)
        nibabel.save(image, masks / f"R{number}.nii.gz")
    for number, file in enumerate(case.files):
        _hand_over(file, series / f"{number:05d}.dcm", pet.facts["decay_correction"])
    paths = [str(masks / f"{name}.nii.gz") for name in case.ours]
    return {"image": str(series), "masks": paths, "crop_mm": CROP_MM}


def _hand_over(file: Path, target: Path, decay_correction: str) -> None:
    """Give MIRP the file itself; a series not corrected for decay without GE's private start of the scan.

    There MIRP takes that one instant for the acquisition of every bed; IBSI-SUV 3 takes each slice's own
    Acquisition Time.
    """
    if decay_correction != "NONE":
        target.symlink_to(file.resolve())
        return
    ds = pydicom.dcmread(file)
    if GE_SCAN_START in ds:
        del ds[GE_SCAN_START]
    ds.save_as(target)


def _nifti_affine(affine: np.ndarray) -> np.ndarray:
    """Return (column, row, slice) to RAS from (slice, row, column) to LPS."""
    swapped = np.array(affine, float)[:, [2, 1, 0, 3]]
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ swapped


def ask_mirp(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return MIRP's values of every job."""
    done = subprocess.run(
        [str(PEERS), "-W", "ignore", str(HERE / "mirp_values.py")],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.strip().rpartition("\n")[2])


def compare(case: Case) -> tuple[dict[str, float], list[str]]:
    """Return the largest relative difference of every value, and those no known reason explains."""
    largest, unexplained = dict.fromkeys(VALUES, 0.0), []
    for name, ours in case.ours.items():
        theirs = case.theirs.get(name)
        if theirs is None:
            unexplained.append(f"{name}: no value of MIRP")
            continue
        for value in VALUES:
            if value in PEAKS and "PEAK_SPHERE_LEAVES_IMAGE" in ours["flags"]:
                continue  # MIRP counts voxels outside the image as 0 in regions of more than 300 voxels
            if not math.isfinite(ours[value]):
                continue  # withheld beside missing slices, which MIRP does not notice
            gap = abs(theirs[value] - ours[value]) / max(abs(ours[value]), 1e-9)
            largest[value] = max(largest[value], gap)
            uneven = case.uneven and value == "mtv_ml"
            if gap > (TOLERANCE_UNEVEN_VOLUME if uneven else TOLERANCE):
                unexplained.append(f"{name} {value}: ours {ours[value]:.6g}, MIRP {theirs[value]:.6g}")
    return largest, unexplained


def _tell_without_mirp(case: Case) -> tuple[str, bool]:
    """Say why MIRP has no values of a scan, and how Z-Rad's whole volume compares; tell if that differs."""
    if case.refused:
        return f"refused by us: {case.refused}", False
    theirs = case.theirs.get("zrad")
    if not theirs:
        return f"read neither by MIRP ({case.theirs['error'][:60]}) nor by Z-Rad", False
    gap = max(abs(theirs[value] / ours - 1) for value, ours in case.whole.items())
    return f"not read by MIRP; Z-Rad: SUV of the whole volume within {gap:.1e}", gap > TOLERANCE


def show(cases: list[Case]) -> int:
    """Print one line a scan and what is unexplained; return how many scans failed."""
    print(f"{'scan':24} {'regions':>7} " + " ".join(f"{value[:11]:>11}" for value in VALUES) + "  what")
    failed = 0
    for case in cases:
        if case.refused or "error" in case.theirs:
            told, missed = _tell_without_mirp(case)
            print(f"{case.name:24} {'-':>7} {told}  [{case.kind}]")
            failed += missed
            continue
        largest, unexplained = compare(case)
        cells = " ".join(f"{largest[value]:11.1e}" for value in VALUES)
        note = " uneven slices" if case.uneven else ""
        print(f"{case.name:24} {len(case.ours):7} {cells}  {case.kind}{note}")
        for line in unexplained:
            print(f"    beyond tolerance: {line}")
        failed += bool(unexplained)
    compared = sum(1 for case in cases if case.ours and "error" not in case.theirs)
    print(f"\n{compared} of {len(cases)} scans compared with MIRP; {failed} beyond tolerance ({TOLERANCE:g})")
    return failed if compared else 1


def main() -> int:
    """Compare, print, and fail where a difference has no known reason."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trial", type=Path, help="DICOM folder of a study")
    parser.add_argument(
        "--data", type=Path, help="folder of collections: <collection>/<case>/{pet,mask|rtstruct}"
    )
    parser.add_argument("--most", type=int, default=14, help="scans of the study, one a kind")
    parser.add_argument("--most-data", type=int, default=6, help="scans of each collection")
    options = parser.parse_args()
    if not PEERS.exists():
        print("no environment of the peers: make oracle sets it up")
        return 1
    cases = []
    if options.trial and options.trial.is_dir():
        cases += cases_of_trial(options.trial, options.most)
    if options.data:
        cases += cases_of_data(options.data, options.most_data)
    if not cases:
        print("no scan to compare: make the virtual trial first (make reproduce), or give DATA=")
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        asked, jobs = [], []
        for number, case in enumerate(cases):
            job = measure_case(case, Path(scratch) / f"masks{number}", Path(scratch) / f"series{number}")
            if job:
                asked.append(case)
                jobs.append(job)
        for case, theirs in zip(asked, ask_mirp(jobs), strict=True):
            case.theirs = theirs
    return int(show(cases) > 0)


if __name__ == "__main__":
    sys.exit(main())
