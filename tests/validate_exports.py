"""Validate exported DICOM objects with dciodvfy (dicom3tools), which shares no code with what wrote them.

Without a folder, one simulated scan of every scanner dialect is measured, exported and validated; with one,
every ``.dcm`` file below it. dicom3tools comes as a package of Debian or Ubuntu and is unpacked below ``build/``,
without root. Its checks are those of the standard at the package's date. Values are never printed: they may
name a patient.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent / "virtual_trial"))

from scan_factory import SETTINGS, make_spec

from analysis import plan
from analysis.pet.export import export_study
from analysis.pet.measurement import measure_scan
from analysis.virtual_trial.dialects import DIALECTS, vendor_name
from analysis.virtual_trial.imaging import write_scan

ROOT = Path(__file__).resolve().parents[1]
# Words of dciodvfy that are no fault of the object.
EXPECTED = {
    "99PEARL": "a private coding scheme is known to nobody else; the report identifies it",
    "Laterality": "empty: a whole body has no side, and leaving it out is an error of the same program",
    "Retired Person Name form": "as the images have it",
    "build DICOMDIR": "as the images have it",
}
_VALUE = re.compile(r"(?<=\] = )<[^<>]*>")


def main(arguments: list[str] | None = None) -> int:
    """Validate; return 1 if an error was found or nothing was there to validate."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", nargs="?", type=Path, help="folder of exported files")
    parser.add_argument("--dciodvfy", type=Path, help="the program, where it is not to be fetched")
    chosen = parser.parse_args(arguments)
    program = chosen.dciodvfy or find_program(ROOT / "build" / "dicom3tools")
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or export_dialects(Path(scratch))
        files = sorted(folder.rglob("*.dcm"))
        found = Counter(complaint for file in files for complaint in complaints(program, file))
    errors = sum(count for text, count in found.items() if text.startswith("Error"))
    for text, count in sorted(found.items()):
        known = next((why for word, why in EXPECTED.items() if word in text), "")
        print(f"{count:5d} x {text}" + (f"   [expected: {known}]" if known else ""))
    print(f"{len(files)} files, {errors} errors, {sum(found.values()) - errors} warnings")
    return int(bool(errors) or not files)


def find_program(folder: Path) -> Path:
    """Return dciodvfy, of this machine or unpacked from its package into `folder`."""
    installed = shutil.which("dciodvfy")
    if installed:
        return Path(installed)
    program = folder / "usr" / "bin" / "dciodvfy"
    if not program.is_file():
        if not shutil.which("apt-get"):
            sys.exit(
                "NO_VALIDATOR: dciodvfy is not here and cannot be fetched without apt-get; give --dciodvfy"
            )
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "dicom3tools"], cwd=folder, check=True)
        package = next(folder.glob("dicom3tools_*.deb"))
        subprocess.run(["dpkg", "-x", package.name, "."], cwd=folder, check=True)
    return program


def complaints(program: Path, file: Path) -> list[str]:
    """Return what the validator says against a file, values blanked."""
    done = subprocess.run([program, file], capture_output=True, text=True, errors="replace", check=False)
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    found = [_VALUE.sub("<...>", line) for line in said if line.startswith(("Error", "Warning"))]
    return found if done.returncode == 0 or found else [f"Error - dciodvfy ended with {done.returncode}"]


def export_dialects(folder: Path) -> Path:
    """Simulate, measure and export one scan of every dialect; return the folder of the exported files."""
    rules = plan.defaults()
    tasks, rows = [], []
    for name in DIALECTS:
        place = folder / "raw" / name
        write_scan(
            make_spec(vendor_name(name), "SEG", DIALECT=name), place, np.random.default_rng(5), SETTINGS
        )
        scan = {
            "STUDYID": "V",
            "USUBJID": name,
            "AVISIT": "D0",
            "ADT": pd.Timestamp("2015-03-07"),
            "PATH": name,
        }
        task = {"raw_dir": str(place), "path": "pet", "files": None, "series_uid": None, "roi_map": {}}
        tasks.append({**task, "rois": ["roi/seg.dcm"], "scan": scan})
        rows += measure_scan(tasks[-1], rules.pet).rows
    export_study(tasks, pd.DataFrame(rows), rules, derived_dir=folder)
    return folder / "dicom"


if __name__ == "__main__":
    sys.exit(main())
