"""The virtual trial: a whole study from one seed, as raw files, with the truth beside them.

It imports nothing that analyses data, so that its truth stays independent of what it tests.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from analysis.virtual_trial.outcomes import VirtualTrial, add_image_noise, simulate_outcomes
from analysis.virtual_trial.reader_tables import (
    scan_folder,
    write_lesion_map,
    write_reference_regions,
    write_scan_map,
)
from analysis.virtual_trial.tables import write_biomarkers, write_reading, write_sdtm, write_truth

__all__ = [
    "VirtualTrial",
    "add_image_noise",
    "scan_specs",
    "simulate_outcomes",
    "simulate_trial",
    "write_scans",
    "write_trial",
]

# One random stream for each part: more scans, or another writer, leave the other parts as they were.
OUTCOMES, SDTM, BIOMARKERS, SCANS = range(4)


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the random generator of one part of the trial, given by `key`."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def simulate_trial(plan) -> VirtualTrial:
    """Simulate the trial of a plan: everything that happens, nothing written yet."""
    settings = plan.virtual
    return simulate_outcomes(
        settings, settings.n_patients, stream(settings.seed, OUTCOMES), design=plan.design
    )


def write_trial(plan, raw_dir: str | Path, workers: int = 1, *, report=None) -> VirtualTrial:
    """Simulate the trial of `plan` and write it as a raw study: SDTM, DICOM, biomarkers, reading, truth.

    Everything is written into a folder beside `raw_dir` and renamed at the end, so that a broken run leaves
    no half-written study. An existing study at `raw_dir` is replaced.

    Parameters
    ----------
    plan : Plan
        Sections ``virtual`` and ``design``.
    raw_dir : path
        ``data/raw/<study>``.
    workers : int
        Processes that write scans; the bytes do not depend on it.
    report : callable, optional
        Called as ``report(done, total)`` after each scan.

    Returns
    -------
    VirtualTrial
        What was written.

    Raises
    ------
    FileExistsError
        If `raw_dir` holds files that are no simulated study (it has no folder ``truth``): they may be real.
    """
    raw_dir = Path(raw_dir)
    files = (name for _, _, names in os.walk(raw_dir, followlinks=True) for name in names)
    if not (raw_dir / "truth").is_dir() and any(files):
        raise FileExistsError(f"{raw_dir.name!r} holds files no simulation wrote; they are left untouched")
    folder = raw_dir.with_name(f".{raw_dir.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    settings = plan.virtual
    trial = simulate_trial(plan)
    write_sdtm(trial, folder / "sdtm", stream(settings.seed, SDTM), settings)
    faults = write_biomarkers(trial, folder / "biomarkers", stream(settings.seed, BIOMARKERS), settings)
    write_reading(trial, folder)
    write_reference_regions(trial, folder, settings)
    write_lesion_map(trial, folder)
    write_scan_map(trial, folder)
    images = write_scans(trial, folder / "dicom", settings, workers, report=report)
    write_truth(trial, images, folder / "truth", faults)
    shutil.rmtree(raw_dir, ignore_errors=True)
    os.replace(folder, raw_dir)
    return trial


def scan_specs(trial: VirtualTrial) -> list[dict[str, Any]]:
    """List what each scan shows: one row of ``trial.scans`` as a dict, with its lesions."""
    columns = ["LESIONID", "ORGAN", "DIAMETER_MM", "SUVMAX", "IS_NEW"]
    shown = {
        key: part[columns].to_dict("records") for key, part in trial.uptake.groupby(["USUBJID", "AVISIT"])
    }
    rows = trial.scans.drop(columns=["ROW", "SITE"]).to_dict("records")
    return [{**row, "lesions": shown.get((row["USUBJID"], row["AVISIT"]), [])} for row in rows]


def write_scans(
    trial: VirtualTrial, folder: str | Path, settings, workers: int = 1, *, report=None
) -> list[dict]:
    """Write every scan under ``folder/<SUBJID>/<AVISIT>``; return the truth rows of the images, in order."""
    specs = scan_specs(trial)
    values, home = settings.to_dict(), str(folder)
    tasks = [(spec, home, values, number) for number, spec in enumerate(specs)]
    results = []
    for rows in _mapped(_write_one, tasks, workers):
        results.append(rows)
        if report is not None:
            report(len(results), len(tasks))
    return [row for rows in results for row in rows]


def _mapped(function, tasks: list, workers: int):
    if workers <= 1:
        yield from map(function, tasks)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(function, tasks)


def _write_one(task: tuple[dict, str, dict, int]) -> list[dict]:
    # A plan section does not travel between processes; its values do.
    from analysis.plan import Section
    from analysis.virtual_trial import imaging

    spec, home, values, number = task
    folder = Path(home) / scan_folder(spec["SUBJID"], spec["AVISIT"])
    rng = stream(values["seed"], SCANS, number)
    return imaging.write_scan(spec, folder, rng, Section("virtual", values))
