"""Any tree of any hospital: every file has one fate, every series its files, nothing is picked silently."""

import os
import random
import shutil
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_factory import ROOT_UID, dataset, square, truncate, write_rtstruct, write_seg, write_series
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ImplicitVRLittleEndian

from analysis.pet import filekind, walk
from analysis.pet.index import index_tree

CT = "1.2.840.10008.5.1.4.1.1.2"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SHAPE = (4, 5, 6)


def write_scan(folder, number=2, patient="P1", slices=4, edit=None):
    """Write a series of `slices` tiny slices; `number` makes its series, study and frame of reference its own."""

    def headers(ds, k):
        ds.PatientID = patient
        ds.StudyInstanceUID = f"{ROOT_UID}.1.{number}"
        ds.FrameOfReferenceUID = f"{ROOT_UID}.7.{number}"
        if edit:
            edit(ds, k)

    return write_series(folder, np.ones((slices, 5, 6)), edit=headers, series=number)


def write_roi(path, number=2, patient="P1", names=("L1",), uid="40", series=None, study=None, kind="SEG"):
    """Write an ROI object in the frame of reference of scan `number`, and referring to `series` if given."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def headers(ds):
        ds.PatientID = patient
        ds.StudyInstanceUID = f"{ROOT_UID}.1.{number if study is None else study}"
        ds.FrameOfReferenceUID = f"{ROOT_UID}.7.{number}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ROOT_UID}.{uid}.{number}"
        if series is not None:
            item = Dataset()
            item.SeriesInstanceUID = series
            ds.ReferencedSeriesSequence = [item]
        for item in ds.get("ReferencedFrameOfReferenceSequence") or []:
            item.FrameOfReferenceUID = ds.FrameOfReferenceUID

    if kind == "RTSTRUCT":
        return write_rtstruct(path, {name: [square(0, 0, 8)] for name in names}, edit=headers)
    mask = np.zeros(SHAPE, bool)
    mask[1, 1:3, 1:3] = True
    return write_seg(path, dict.fromkeys(names, mask), edit=headers)


def write_other(path, sop_class=CT, number=9):
    ds = dataset(sop_class, f"{ROOT_UID}.90.{number}.{zlib.crc32(path.name.encode())}")
    ds.SeriesInstanceUID, ds.StudyID = f"{ROOT_UID}.90.{number}", ""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def found(index):
    return Counter(problem["CODE"] for problem in index.problems if problem["CODE"] != "SCAN_WITHOUT_ROI")


def problem(index, code):
    (one,) = [row for row in index.problems if row["CODE"] == code]
    return one


def uids(index):
    return {uid.rsplit(".", 1)[1]: n for uid, n in zip(index.series["SERIESUID"], index.series["NFILES"])}


# ---- what is found


def test_series_are_found_without_endings_over_several_folders_and_two_in_one(tmp_path):
    for number in (2, 3):
        write_scan(tmp_path / "flat", number)
        for file in sorted((tmp_path / "flat").glob("slice_*")):
            k = int(file.stem[-3:])
            target = tmp_path / ("a" if k % 2 else "b/deep") / f"IM{number}{k:03d}"
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
    index = index_tree(tmp_path)
    assert uids(index) == {"2": 4, "3": 4}
    assert index.series["PATH"].tolist() == [".", "."]
    assert found(index) == {}


def test_other_objects_and_noise_are_counted_by_kind(tmp_path):
    write_scan(tmp_path / "pet")
    for k in range(3):
        write_other(tmp_path / "ct" / f"{k}.dcm")
    write_other(tmp_path / "sc", CAPTURE)
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "nothing").touch()
    os.mkfifo(tmp_path / "pipe")
    index = index_tree(tmp_path)
    expected = {
        "CT Image": 3,
        "Secondary Capture Image": 1,
        "not DICOM": 1,
        "empty file": 1,
        "special file": 1,
    }
    assert index.passed_over == expected
    assert found(index) == {}


@pytest.mark.parametrize("implicit", [False, True])
def test_the_first_bytes_say_what_a_full_parse_says(tmp_path, implicit):
    def edit(ds, k):
        nested = Dataset()
        nested.StudyInstanceUID, nested.SeriesInstanceUID = "1.2.3.4", "1.2.3.5"
        ds.RelatedSeriesSequence = [nested]

    write_scan(tmp_path, edit=edit)
    for file in sorted(tmp_path.iterdir()):
        ds = pydicom.dcmread(file)
        if implicit:
            ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            dcmwrite(file, ds, implicit_vr=True, little_endian=True, enforce_file_format=True)
        token = filekind.peek(filekind.read_head(str(file)))
        assert [part.decode() for part in token] == [ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID]
    assert uids(index_tree(tmp_path)) == {"2": 4}


def test_a_series_that_holds_a_projection_beside_its_slices_is_not_lost(tmp_path):
    def edit(ds, k):
        if k == 0:
            ds.ImageType = ["DERIVED", "SECONDARY", "MIP"]

    write_scan(tmp_path, edit=edit)
    index = index_tree(tmp_path)
    assert uids(index) == {"2": 4} and found(index) == {}


def test_identical_copies_are_read_once_and_said(tmp_path):
    write_scan(tmp_path / "a")
    write_roi(tmp_path / "a" / "seg.dcm")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    index = index_tree(tmp_path)
    assert uids(index) == {"2": 4} and index.series["PATH"].tolist() == ["a"]
    assert index.passed_over == {"identical copy": 5} and len(index.rois) == 1
    assert "4 files" in problem(index, "IDENTICAL_COPIES")["REASON"]


def test_two_files_of_one_instance_that_differ_are_both_kept_for_the_loader(tmp_path):
    write_scan(tmp_path)
    ds = pydicom.dcmread(tmp_path / "slice_001.dcm")
    ds.PatientWeight = "71"
    ds.save_as(tmp_path / "slice_901.dcm")
    assert uids(index_tree(tmp_path)) == {"2": 5}


def test_links_are_followed_once_and_never_in_a_circle(tmp_path):
    write_scan(tmp_path / "store" / "scan")
    tree = tmp_path / "tree"
    for name in ("p1", "p2"):
        (tree / name).mkdir(parents=True)
        (tree / name / "other").symlink_to(tree / ("p2" if name == "p1" else "p1"))
    (tree / "p1" / "pet").symlink_to(tmp_path / "store" / "scan")
    (tree / "again").symlink_to(tmp_path / "store")
    index = index_tree(tree)
    assert uids(index) == {"2": 4} and len(index.fate) == 4


def test_a_tree_that_takes_long_shows_how_far_it_is(tmp_path, monkeypatch):
    for k in range(600):
        (tmp_path / f"{k}.txt").touch()
    seen = []
    index_tree(tmp_path, report=lambda *told: seen.append(told))
    assert seen == []
    monkeypatch.setattr(walk, "_QUIET_SECONDS", -1.0)
    index_tree(tmp_path, report=lambda *told: seen.append(told))
    assert seen == [("files indexed", 256, 600), ("files indexed", 512, 600)]


# ---- damaged files


@pytest.mark.parametrize(
    "names",
    [
        ["IM0001", "IM0002", "IM0003", "IM0004"],
        ["1.2.840.1.1", "1.2.840.1.2", "1.2.840.1.3", "1.2.840.1.4"],
        ["a3f", "9be0c1", "77c", "d01fe"],
    ],
    ids=["numbers", "uids", "hashes"],
)
@pytest.mark.parametrize("content", [b"", bytes(3000)], ids=["empty", "zeros"])
def test_a_destroyed_slice_without_ending_refuses_its_series_and_no_other(tmp_path, names, content):
    write_scan(tmp_path / "one", 2)
    write_scan(tmp_path / "two", 3)
    for file, name in zip(sorted((tmp_path / "one").iterdir()), names):
        file.rename(tmp_path / "one" / name)
    (tmp_path / "one" / names[2]).write_bytes(content)
    index = index_tree(tmp_path)
    assert index.series["DAMAGED"].tolist() == [[f"one/{names[2]}"], []]
    assert problem(index, "UNREADABLE_FILE")["SERIESUID"] == f"{ROOT_UID}.2"


def test_a_text_or_an_empty_note_beside_slices_is_no_slice(tmp_path):
    write_scan(tmp_path)
    (tmp_path / "README").write_text("scans of one day")
    (tmp_path / "done").touch()
    index = index_tree(tmp_path)
    assert found(index) == {} and index.series["DAMAGED"].tolist() == [[]]


def test_a_destroyed_ct_slice_refuses_no_pet(tmp_path):
    write_scan(tmp_path)
    for k in range(3):
        write_other(tmp_path / f"CT_{k:03d}.dcm")
    (tmp_path / "CT_001.dcm").write_bytes(b"")
    index = index_tree(tmp_path)
    assert found(index) == {"UNREADABLE_FILE": 1} and index.series["DAMAGED"].tolist() == [[]]


def test_of_two_series_in_one_folder_the_one_that_lacks_a_slice_is_refused(tmp_path):
    for number in (2, 3):
        write_scan(tmp_path, number, edit=lambda ds, k: setattr(ds, "NumberOfSlices", 4))
        for file in sorted(tmp_path.glob("slice_*")):
            file.rename(tmp_path / f"{number}{file.stem[-3:]}")
    (tmp_path / "3002").write_bytes(b"")
    index = index_tree(tmp_path)
    assert dict(zip(uids(index), map(len, index.series["DAMAGED"]))) == {"2": 0, "3": 1}


def test_where_the_first_bytes_still_name_the_series_place_does_not_matter(tmp_path):
    write_scan(tmp_path / "a", 2)
    write_scan(tmp_path / "b", 3)
    (tmp_path / "a" / "slice_000.dcm").rename(tmp_path / "b" / "aaa")
    truncate(tmp_path / "b" / "aaa", 0.8)
    index = index_tree(tmp_path)
    assert uids(index) == {"2": 4, "3": 4} and index.series["DAMAGED"].tolist() == [[], []]


def test_a_destroyed_slice_alone_in_a_folder_belongs_to_the_series_spread_around_it(tmp_path):
    write_scan(tmp_path / "p" / "flat", 2)
    write_scan(tmp_path / "q", 3)
    for k, file in enumerate(sorted((tmp_path / "p" / "flat").iterdir())):
        (tmp_path / "p" / f"part{k}").mkdir()
        file.rename(tmp_path / "p" / f"part{k}" / f"IM{k}")
    (tmp_path / "p" / "part2" / "IM2").write_bytes(bytes(200))
    index = index_tree(tmp_path)
    assert dict(zip(uids(index), index.series["DAMAGED"])) == {"2": ["p/part2/IM2"], "3": []}


def test_a_file_and_a_folder_without_permission_are_reported(tmp_path, monkeypatch):
    write_scan(tmp_path / "a")
    (tmp_path / "locked").mkdir()
    read_head, scandir = filekind.read_head, os.scandir

    def refuse_head(path):
        if path.endswith("slice_002.dcm"):
            raise PermissionError(path)
        return read_head(path)

    def refuse_folder(path):
        if "locked" in str(path):
            raise PermissionError(path)
        return scandir(path)

    monkeypatch.setattr(filekind, "read_head", refuse_head)
    monkeypatch.setattr(os, "scandir", refuse_folder)
    index = index_tree(tmp_path)
    assert found(index) == {"UNREADABLE_FILE": 1, "UNREADABLE_FOLDER": 1}
    assert index.series["DAMAGED"].tolist() == [["a/slice_002.dcm"]]


# ---- archives and DICOMDIR


def test_archives_are_passed_over_by_kind_and_asked_about(tmp_path):
    write_scan(tmp_path / "pet")
    with zipfile.ZipFile(tmp_path / "scan2.zip", "w") as archive:
        archive.writestr("a", "b")
    shutil.copy(tmp_path / "scan2.zip", tmp_path / "letter.docx")
    (tmp_path / "old").write_bytes(b"Rar!\x1a\x07\x01\x00")
    index = index_tree(tmp_path)
    assert index.passed_over == {"zip archive": 1, "rar archive": 1, "not DICOM": 1}
    assert found(index) == {"ARCHIVE_NOT_OPENED": 2}


def write_dicomdir(root, files):
    """Write a DICOMDIR of one PET series: the image records come before their series in the file."""
    from pydicom.fileset import FileSet

    fs = FileSet()
    for file in files:
        fs.add(file)
    fs.write(root)


def test_a_dicomdir_is_neither_image_nor_error_and_tells_what_is_missing(tmp_path):
    write_scan(
        tmp_path / "in", edit=lambda ds, k: setattr(ds, "SeriesNumber", 1) or setattr(ds, "StudyID", "1")
    )
    write_dicomdir(tmp_path / "cd", sorted((tmp_path / "in").iterdir()))
    images = sorted(
        path for path in (tmp_path / "cd").rglob("*") if path.is_file() and path.name != "DICOMDIR"
    )
    assert len(images) == 4
    index = index_tree(tmp_path / "cd")
    assert index.passed_over == {"DICOMDIR": 1} and uids(index) == {"2": 4} and found(index) == {}
    images[1].unlink()
    images[2].rename(tmp_path / "cd" / "moved")
    row = problem(index_tree(tmp_path / "cd"), "DICOMDIR_FILE_MISSING")
    assert row["SERIESUID"] == f"{ROOT_UID}.2" and row["REASON"].startswith("lists 1 files (PET image)")


def test_files_that_a_dicomdir_does_not_list_are_read_and_a_broken_one_is_said(tmp_path):
    write_scan(tmp_path)
    (tmp_path / "DICOMDIR").write_bytes(b"nothing")
    index = index_tree(tmp_path)
    assert uids(index) == {"2": 4} and index.passed_over == {"DICOMDIR": 1}


# ---- pairing


def series_of(index, path):
    return index.rois.set_index("PATH")["SERIESUID"][path]


def test_a_region_drawn_on_the_ct_goes_to_the_pet_of_its_frame_of_reference(tmp_path):
    write_scan(tmp_path / "pet", 2)
    write_scan(tmp_path / "later", 3)
    write_roi(tmp_path / "rt.dcm", 2, series="1.2.3.99", kind="RTSTRUCT")
    assert series_of(index_tree(tmp_path), "rt.dcm") == f"{ROOT_UID}.2"


def two_of_one_frame(tmp_path, edit=None):
    write_scan(tmp_path / "x", 2)

    def same(ds, k):
        ds.FrameOfReferenceUID, ds.StudyInstanceUID = f"{ROOT_UID}.7.2", f"{ROOT_UID}.1.2"
        if edit:
            edit(ds, k)

    write_scan(tmp_path / "y", 3, edit=same)
    return write_roi(tmp_path / "seg.dcm", 2, series="1.2.3.99")


def test_two_series_of_that_frame_of_reference_are_an_ambiguity_not_a_pick(tmp_path):
    two_of_one_frame(tmp_path)
    index = index_tree(tmp_path)
    assert series_of(index, "seg.dcm") is None
    row = problem(index, "ROI_AMBIGUOUS")
    assert row["PATIENTID"] == "P1" and "scan_map.csv" in row["REASON"]


def test_study_attenuation_correction_and_named_images_settle_what_a_frame_of_reference_does_not(tmp_path):
    two_of_one_frame(tmp_path / "a", lambda ds, k: setattr(ds, "StudyInstanceUID", "1.2.3"))
    two_of_one_frame(tmp_path / "b", lambda ds, k: setattr(ds, "CorrectedImage", ["NORM", "DECY"]))
    roi = two_of_one_frame(tmp_path / "c")
    ds = pydicom.dcmread(roi)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = filekind.DIRECTORY_CLASS, f"{ROOT_UID}.3.2"
    ds.SourceImageSequence = [item]
    ds.save_as(roi)
    chosen = [series_of(index_tree(tmp_path / name), "seg.dcm") for name in "abc"]
    assert chosen == [f"{ROOT_UID}.2", f"{ROOT_UID}.2", f"{ROOT_UID}.3"]


def test_objects_with_the_same_region_names_are_set_aside_and_parts_are_kept(tmp_path):
    write_scan(tmp_path / "pet")
    write_roi(tmp_path / "reader1.dcm", names=("L1", "L2"), uid="41")
    write_roi(tmp_path / "reader2.dcm", names=("l2", "L3"), uid="42", kind="RTSTRUCT")
    write_roi(tmp_path / "liver.dcm", names=("LIVER",), uid="43")
    index = index_tree(tmp_path)
    assert index.rois["SERIESUID"].notna().tolist() == [True, False, False]
    rows = [row for row in index.problems if row["CODE"] == "ROI_DUPLICATE"]
    assert {row["SERIESUID"] for row in rows} == {f"{ROOT_UID}.2"} and len(rows) == 2


def test_a_roi_of_another_patient_is_booked_on_the_scan_it_lies_by_and_names_nobody(tmp_path):
    write_scan(tmp_path / "p1", 2)
    write_scan(tmp_path / "p2", 3, patient="P2")
    write_roi(tmp_path / "p1" / "roi" / "seg.dcm", 3, patient="P2")
    row = problem(index_tree(tmp_path), "ROI_OF_ANOTHER_PATIENT")
    assert (row["SERIESUID"], row["PATIENTID"]) == (f"{ROOT_UID}.2", "P1") and "P2" not in row["REASON"]


# ---- the counts add up


def mess(root: Path, rng: random.Random) -> None:
    """Spoil a tree at random: rename, move, copy, truncate, empty, link, and strew foreign files about."""
    for name in "ad":
        (root / name).mkdir()
    for number in range(2, 2 + rng.randint(2, 4)):
        folder = root / rng.choice(["a", "b/c", "d", "b"])
        write_scan(root / "new", number, patient=f"P{rng.randint(1, 2)}", slices=rng.randint(2, 5))
        for file in sorted((root / "new").iterdir()):
            target = folder / f"{number}_{file.stem}{rng.choice(['', '.dcm', '.DCM', '.ima'])}"
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
        write_roi(folder / f"roi{number}.dcm", number, patient="P1", uid=str(40 + number))
    write_scan(root / "mip", 8, edit=lambda ds, k: setattr(ds, "SeriesType", ["STATIC", "REPROJECTION"]))
    for k in range(4):
        write_other(root / rng.choice(["a", "d", "e"]) / f"ct{k}", rng.choice([CT, CAPTURE]), k)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    for k, file in enumerate(rng.sample(files, 8)):
        act = rng.randrange(5)
        if act == 0:
            truncate(file, rng.random())
        elif act == 1:
            file.write_bytes(b"")
        elif act == 2:
            shutil.copy(file, root / rng.choice("ad") / f"copy{k}")
        elif act == 3:
            (file.parent / f"link{k}").symlink_to(file)
        else:
            file.rename(root / f"moved{k}")
    for name, content in (
        ("x.zip", b"PK\x03\x04"),
        ("notes.txt", b"hello"),
        ("mask.nii", b""),
        ("9.dcm", b"no"),
    ):
        (root / rng.choice(["a", "d"]) / name).write_bytes(content)
    (root / "dangling").symlink_to(root / "nowhere")


@pytest.mark.parametrize("seed", range(12))
def test_every_file_of_a_messed_tree_has_exactly_one_fate(tmp_path, seed):
    mess(tmp_path, random.Random(seed))
    there = {
        str((Path(folder) / name).relative_to(tmp_path).as_posix())
        for folder, _, names in os.walk(tmp_path)
        for name in names
    }
    index = index_tree(tmp_path)
    assert set(index.fate) == there
    slices = {path for files in index.series["FILES"] for path in files}
    counts = Counter(index.fate.values())
    assert {path for path, fate in index.fate.items() if fate == "PET image"} == slices
    assert counts["PET image"] == index.series["NFILES"].sum()
    assert counts["ROI object"] == len(index.rois)
    assert counts["unreadable"] == found(index)["UNREADABLE_FILE"]
    kept = counts["PET image"] + counts["ROI object"] + counts["unreadable"]
    assert kept + sum(index.passed_over.values()) == len(there)
    again = index_tree(tmp_path)
    assert again.fate == index.fate and again.problems == index.problems


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x02\x00\x03\x00UI", b"\x02\x00\x03\x00U\xc6"),  # a VR that is none
        (f"{ROOT_UID}.2.2".encode(), f"{ROOT_UID}.2.".encode() + b"\xcb"),  # an instance that is no text
    ],
)
def test_a_damaged_file_header_stops_no_index(tmp_path, old, new):
    folder = write_scan(tmp_path / "pet")
    file = folder / "slice_001.dcm"
    content = file.read_bytes()
    assert old in content[:500]
    file.write_bytes(content.replace(old, new, 1))
    index = index_tree(tmp_path)
    assert len(index.fate) == 4 and len(index.series) == 1
    row = index.series.iloc[0]
    assert sorted(row["FILES"] + row["DAMAGED"]) == [f"pet/slice_00{k}.dcm" for k in range(4)]
