"""Walk a folder tree and tell of every file what it is, reading as little of it as tells."""

from __future__ import annotations

import filecmp
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pydicom
from pydicom.uid import UID

from analysis import progress
from analysis.pet import dicomdir, filekind
from analysis.pet.describe import roi_row, series_row
from analysis.pet.filekind import DIRECTORY_CLASS, PET_CLASSES, ROI_CLASSES

SLICE, COPY, ROI, UNREADABLE = "PET image", "identical copy", "ROI object", "unreadable"
KEPT = {SLICE, ROI, UNREADABLE}
_QUIET_SECONDS = 2.0  # a tree that is read sooner shows no progress


class Walk:
    """State of one walk.

    Attributes
    ----------
    files : list of str
        Every file, relative to the root.
    fate : dict
        File -> what it is: exactly one word each.
    series, members : dict
        Series UID -> what its header says, and its files.
    instances : dict
        Series UID -> SOP instance UID -> first file that holds it.
    copies : Counter
        Series UID -> files that repeat another one of the series byte for byte.
    missing : Counter
        Series UID -> images of it that a DICOMDIR lists and that are not here.
    rois, problems : list of dict
        ROI objects, and what could not be used.
    objects : set
        Files that are DICOM objects of any kind.
    damaged : dict
        File that could not be read -> its series if its first bytes still say, else None.
    strangers : dict
        File that is not DICOM -> whether it reads as text.
    """

    def __init__(self, root: str):
        self.root = root
        self.files: list[str] = []
        self.fate: dict[str, str] = {}
        self.series: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[str]] = defaultdict(list)
        self.instances: dict[str, dict[str, str]] = defaultdict(dict)
        self.copies: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.rois: list[dict[str, Any]] = []
        self.problems: list[dict[str, Any]] = []
        self.damaged: dict[str, str | None] = {}
        self.strangers: dict[str, bool] = {}
        self.objects: set[str] = set()
        self._known: dict[tuple[bytes, bytes], str] = {}
        self._other_instances: set[str] = set()
        self._directories: list[str] = []

    def run(self, report: Callable[[str, int, int], None] | None = None) -> Walk:
        """List every file below the root and identify it; return self."""
        report = progress.report if report is None else report
        self._list()
        begun, total = time.monotonic(), len(self.files)
        for done, path in enumerate(self.files, start=1):
            if path not in self.fate:
                self._identify(path)
            if not done & 0xFF and time.monotonic() - begun > _QUIET_SECONDS:
                report("files indexed", done, total)
        for path in self._directories:
            self._check_directory(path)
        return self

    def report(self, code: str, item: str, path: str, reason: str, **known: Any) -> None:
        """Add a problem; `known` may hold PATIENTID and SERIESUID of the scan it concerns."""
        known = {"PATIENTID": known.get("PATIENTID"), "SERIESUID": known.get("SERIESUID")}
        self.problems.append({"CODE": code, "ITEM": item, **known, "PATH": path, "REASON": reason})

    def passed_over(self) -> Counter:
        """Count the files that are neither slice nor ROI object nor damaged, by kind."""
        return Counter(kind for kind in self.fate.values() if kind not in KEPT)

    # ---- listing
    def _list(self) -> None:
        """List regular files: real folders first, then what links lead to, each folder once."""
        folders, links, seen = [""], [], set()
        while folders or links:
            folder = folders.pop() if folders else links.pop(0)
            try:
                state = os.stat(f"{self.root}/{folder}")
                entries = sorted(os.scandir(f"{self.root}/{folder}"), key=lambda entry: entry.name)
            except OSError:
                where = folder.rstrip("/") or "."
                reason = "this folder cannot be opened; give the right to read it"
                self.report("UNREADABLE_FOLDER", "record", where, reason)
                continue
            # Two links to one folder bring the same files twice, a link to a folder above for ever.
            if (state.st_dev, state.st_ino) in seen:
                continue
            seen.add((state.st_dev, state.st_ino))
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = folder + entry.name
                if entry.is_dir():
                    (links if entry.is_symlink() else folders).append(f"{path}/")
                    continue
                self.files.append(path)
                if not entry.is_file() and not entry.is_symlink():
                    self.fate[path] = "special file"  # opening a pipe would wait for ever
        self.files.sort()

    # ---- identifying
    def _identify(self, path: str) -> None:
        if path.lower().endswith((".nii", ".nii.gz")):
            self._add_roi(path, "NIFTI")
            return
        try:
            head = filekind.read_head(f"{self.root}/{path}")
        except OSError:  # a dangling link, a file without permission: its scan is refused, not the study
            self._damage(path)
            return
        if not filekind.is_dicom(head):
            self._not_dicom(path, head)
            return
        self.objects.add(path)
        token = filekind.peek(head)
        if token is not None:
            uid = self._known.get((token[0], token[2]))
            if uid is not None:
                self._count(uid, token[1].decode("ascii", "replace"), path)
                return
            kind = token[0].decode("ascii", "replace")
            if kind not in PET_CLASSES and kind not in ROI_CLASSES:
                self._pass_over(kind, token[1].decode("ascii", "replace"), path)
                return
        self._parse(path, token)

    def _parse(self, path: str, token: tuple[bytes, bytes, bytes] | None) -> None:
        try:
            ds = filekind.read_header(f"{self.root}/{path}")
            meta = ds.file_meta  # parsed when it is asked for
            kind = str(meta.get("MediaStorageSOPClassUID", "") or ds.get("SOPClassUID", ""))
            instance = str(meta.get("MediaStorageSOPInstanceUID", "") or ds.get("SOPInstanceUID", ""))
        except Exception:  # pydicom raises many types on damaged files: each means the same to us
            kind = token[0].decode("ascii", "replace") if token else ""
            self._damage(path, token[2].decode("ascii", "replace") if kind in PET_CLASSES else None)
            return
        if kind in ROI_CLASSES:
            self._add_roi(path, ROI_CLASSES[kind], ds)
        elif kind in PET_CLASSES:
            self._add_pet(path, ds, instance, token)
        else:
            self._pass_over(kind, instance, path)

    def _add_pet(self, path: str, ds: pydicom.Dataset, instance: str, token: Any) -> None:
        uid = str(ds.get("SeriesInstanceUID") or "")
        if not uid:
            self._damage(path)
            return
        # A series may hold projections beside its slices: it is unusable only if every file says so.
        if uid not in self.series or self.series[uid]["UNUSABLE"]:
            self.series[uid] = series_row(ds, uid)
        # Only a token that stands for exactly this series may speak for the files that follow.
        if token is not None and token[2] == uid.encode() and not self.series[uid]["UNUSABLE"]:
            self._known[token[0], token[2]] = uid
        self._count(uid, instance, path)

    def _count(self, uid: str, instance: str, path: str) -> None:
        first = self.instances[uid].setdefault(instance, path) if instance else path
        if first is not path and same_bytes(self.root, first, path):
            self.fate[path] = COPY
            self.copies[uid] += 1
            return
        self.fate[path] = SLICE
        self.members[uid].append(path)

    def _pass_over(self, sop_class: str, instance: str, path: str) -> None:
        self._other_instances.add(instance)
        if sop_class == DIRECTORY_CLASS:
            self._directories.append(path)
            self.fate[path] = "DICOMDIR"
        else:
            self.fate[path] = UID(sop_class).name.removesuffix(" Storage") or "DICOM of no class"

    def _not_dicom(self, path: str, head: bytes) -> None:
        name = path.rsplit("/", 1)[-1]
        archive = filekind.archive_kind(head, path)
        if path.lower().endswith(".dcm"):
            self._damage(path)
        elif archive:
            self.fate[path] = archive
            reason = f"a {archive}, which is not opened; unpack it where it lies, or take it away"
            self.report("ARCHIVE_NOT_OPENED", "archive", path, reason)
        elif name.upper() == "DICOMDIR":
            self.fate[path] = "DICOMDIR"
        else:
            self.fate[path] = "not DICOM" if head else "empty file"
            self.strangers[path] = bool(head) and b"\0" not in head

    def _add_roi(self, path: str, kind: str, ds: pydicom.Dataset | None = None) -> None:
        self.fate[path] = ROI
        self.rois.append(roi_row(path, kind, ds))

    def _damage(self, path: str, uid: str | None = None) -> None:
        self.fate[path] = UNREADABLE
        self.damaged[path] = uid
        self.objects.discard(path)

    def _check_directory(self, path: str) -> None:
        files = {name.lower() for name in self.files}
        instances = {uid for known in self.instances.values() for uid in known} | self._other_instances
        instances |= {roi["INSTANCEUID"] for roi in self.rois}
        missing = dicomdir.find_missing(self.root, path, files, instances)
        if missing is None:
            reason = "this DICOMDIR cannot be read; files were found without it, none can be missed by it"
            self.report("DICOMDIR_UNREADABLE", "directory", path, reason)
        for kind, uid, count in missing or []:
            if kind == SLICE:
                self.missing[uid] = max(self.missing[uid], count)  # a copied DICOMDIR lists them again
            what = {"other": "files of other kinds"}.get(kind, f"files ({kind}) of one series")
            reason = f"lists {count} {what} that are not here; send them, or a list without them"
            self.report("DICOMDIR_FILE_MISSING", "record", path, reason, SERIESUID=uid)


def same_bytes(root: str, one: str, other: str) -> bool:
    """Tell whether two files of a tree hold the same bytes.

    Parameters
    ----------
    root : str
        Root of the tree.
    one, other : str
        Paths relative to it.

    Returns
    -------
    bool
        False also where one cannot be read.
    """
    try:
        return filecmp.cmp(f"{root}/{one}", f"{root}/{other}", shallow=False)
    except OSError:
        return False
