"""Messy trees: intact scans among mutated ones and junk. Nothing is lost, and one bad scan never stops the others."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from dicom_factory import ROOT_UID, bqml_per_suv, write_seg, write_series

from analysis.pet.index import index_tree
from analysis.pet.study import measure_study
from fuzzing import mutations
from fuzzing.bases import Base
from fuzzing.judge import FORBIDDEN, Verdict, _where, attempt

SHAPE = (6, 8, 8)
LESION = np.s_[2:4, 2:5, 2:5]
CPU_SECONDS = 20.0
BROKEN = {"MEASURE_FAILED", "WORKER_LOST"}  # what the fan-out makes of an exception nobody foresaw


def _scan(folder: Path, number: int, hottest: float) -> dict[str, bytes]:
    """Write an intact scan of subject `number` with its region; return its files."""
    suv = np.random.default_rng(number).gamma(4.0, 0.25, SHAPE)
    suv[LESION] = hottest / 2
    suv[3, 3, 3] = hottest

    def edit(ds, k=0):
        ds.PatientID, ds.PatientName, ds.PatientSex = f"S{number}", "NOBODY^NEMO", "F"
        ds.FrameOfReferenceUID, ds.StudyInstanceUID = f"{ROOT_UID}.7.{number}", f"{ROOT_UID}.1.{number}"

    write_series(folder / "pet", suv, bqml_per_suv(), edit, series=100 + number)
    mask = np.zeros(SHAPE, bool)
    mask[LESION] = True
    roi = write_seg(folder / "pet" / "seg.dcm", {"L1": mask}, edit=edit)
    files = {file.name: file.read_bytes() for file in (folder / "pet").iterdir()}
    roi.unlink()
    return files


class Forest:
    """Scans made once, and the trees made of them."""

    def __init__(self, subjects: int = 4):
        with tempfile.TemporaryDirectory() as folder:
            self.scans = [_scan(Path(folder) / str(n), n, 6.0 + n) for n in range(subjects)]
        names = [f"S{n}" for n in range(subjects)]
        self.adsl = pd.DataFrame(
            {"STUDYID": "T", "USUBJID": names, "TRTSDT": pd.Timestamp("2025-01-01"), "SITEID": "01"}
        )

    def plant(self, rng: np.random.Generator, root: Path) -> list[int]:
        """Write a tree below `root`; return the subjects whose scans are intact."""
        intact = []
        for number, scan in enumerate(self.scans):
            folder = (
                root
                / "dicom"
                / mutations.pick(rng, [f"s{number}", f"a/b/{number}", f"{number}/x y/z", f"site 1/ü{number}"])
            )
            files = dict(scan)
            if number == 0 or rng.random() < 0.35:
                intact.append(number)
            else:
                region = files.pop("seg.dcm")
                change = mutations.MUTATIONS[mutations.pick(rng, list(mutations.MUTATIONS))]
                files = change(rng, Base("scan", files, np.zeros(0)), [Base("scan", files, np.zeros(0))])
                if rng.random() < 0.3:
                    region = mutations.MUTATIONS["any bytes"](
                        rng, Base("seg", {"seg": region}, np.zeros(0)), []
                    )["seg"]
                files["regions.dcm"] = region
            for name, content in files.items():
                _write(folder / name, content)
        self._junk(rng, root / "dicom")
        return intact

    def _junk(self, rng, root: Path) -> None:
        made = {
            "DICOMDIR": b"\0" * 128 + b"DICM" + rng.bytes(40),
            "junk/readme.txt": b"hello",
            "junk/empty": b"",
            "junk/scan.zip": b"PK\x03\x04" + rng.bytes(30),
            "junk/.hidden": b"x",
            "junk/IM001": rng.bytes(300),
            "junk/bad.dcm": rng.bytes(300),
            "junk/mask.nii.gz": rng.bytes(50),
        }
        for name, content in made.items():
            if rng.random() < 0.5:
                _write(root / name, content)
        if rng.random() < 0.3:
            (root / "junk").mkdir(exist_ok=True)
            os.symlink(root, root / "junk" / "loop")
        if rng.random() < 0.2:
            (root / "junk").mkdir(exist_ok=True)
            os.symlink(root / "nowhere", root / "junk" / "dangling.dcm")

    def judge(self, rng: np.random.Generator) -> Verdict:
        """Plant a tree, measure it, and judge."""
        with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
            intact = self.plant(rng, Path(folder))
            try:
                index, _ = attempt(lambda: index_tree(Path(folder) / "dicom", _quiet), CPU_SECONDS)
                study, _ = attempt(
                    lambda: measure_study(folder, self.adsl, with_mips=False, report=_quiet), CPU_SECONDS
                )
            except Exception as error:  # that is what is looked for
                return Verdict("FAILED", f"raised {_where(error)}")
            wrong = self._lost(Path(folder) / "dicom", index, study) or self._harmed(study, intact)
        statuses = study.scan_qc["STATUS"].value_counts().sort_index()
        return (
            Verdict("FAILED", wrong)
            if wrong
            else Verdict("NOTED", " ".join(f"{n} {key}" for key, n in statuses.items()))
        )

    def _lost(self, root: Path, index, study) -> str:
        """Every file has a fate, every series a row, every subject a row or an entry in the ledger."""
        files = {
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if (path.is_file() or (path.is_symlink() and not path.exists())) and not path.name.startswith(".")
        }
        if set(index.fate) != files:
            return f"{len(files - set(index.fate))} files without a fate, {len(set(index.fate) - files)} invented"
        if sum(index.passed_over.values()) > len(files):
            return "more files passed over than there are"
        if len(study.scan_qc) < len(index.series):
            return f"{len(index.series)} series but {len(study.scan_qc)} rows"
        told = set(study.scan_qc["USUBJID"]) | set(study.exclusions["USUBJID"])
        missing = set(self.adsl["USUBJID"]) - told
        if missing:
            return f"{len(missing)} subjects in no table"
        broken = study.scan_qc[study.scan_qc["CODE"].isin(BROKEN)]
        if len(broken):
            return f"{broken['CODE'].iloc[0]}: {broken['MESSAGE'].iloc[0][:120]}"
        leaks = [found[0] for text in study.scan_qc["MESSAGE"].dropna() if (found := FORBIDDEN.search(text))]
        return f"a message tells {leaks[0]!r}" if leaks else ""

    def _harmed(self, study, intact: list[int]) -> str:
        """The intact scans are measured as if they were alone."""
        lesions = study.adpet[(study.adpet["LESIONID"] == "L1") & (study.adpet["METRIC"] == "SUVMAX")]
        highest = (
            dict(zip(lesions["USUBJID"], lesions["AVAL"], strict=True))
            if lesions["USUBJID"].is_unique
            else {}
        )
        for number in intact:
            rows = study.scan_qc[study.scan_qc["USUBJID"] == f"S{number}"]
            if rows["STATUS"].tolist() != ["OK"]:
                return f"an intact scan is {rows['STATUS'].tolist()} {rows['CODE'].tolist()}"
            if abs(highest.get(f"S{number}", 0) / (6.0 + number) - 1) > 1e-3:
                return f"an intact scan measures {highest.get(f'S{number}')} instead of {6.0 + number}"
        return ""


def _quiet(what: str, done: int, total: int) -> None:
    """Progress nobody reads."""


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
