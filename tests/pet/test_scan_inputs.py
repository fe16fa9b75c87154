"""What reaches the measurement of a scan beside its files: maps, heights, losses, and nothing that names."""

import numpy as np
import pandas as pd
import pytest
from breaking_work import work
from dicom_factory import ROOT_UID, change, write_rtstruct, write_series
from pydicom.fileset import FileSet

from analysis import plan as plans
from analysis.fanout import Failure, fan_out
from analysis.pet.assign import assign_subjects_and_visits
from analysis.pet.index import index_tree
from analysis.pet.reader_tables import REFERENCE_REGIONS, SEEDS, rows_by_scan
from analysis.pet.series import load_pet
from analysis.pet.study import measure_study
from analysis.pet.tasks import make_tasks

PLAN = plans.defaults()
SHAPE = (4, 5, 6)


def adsl_of(*names):
    return pd.DataFrame({"STUDYID": "T", "USUBJID": list(names), "TRTSDT": pd.Timestamp("2025-01-01")})


def write_scan(folder, number=2, date="20250101", **values):
    def headers(ds, k):
        ds.StudyID, ds.SeriesNumber = "1", 1
        ds.StudyInstanceUID, ds.FrameOfReferenceUID = f"{ROOT_UID}.1.{number}", f"{ROOT_UID}.7.{number}"
        ds.AcquisitionDate = ds.SeriesDate = ds.StudyDate = date
        change(**values)(ds, k)

    return write_series(folder, np.ones(SHAPE), edit=headers, series=number)


def write_roi(path, number=2, names=("L1",), uid=40, **values):
    def headers(ds):
        ds.FrameOfReferenceUID = f"{ROOT_UID}.7.{number}"
        ds.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = ds.FrameOfReferenceUID
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ROOT_UID}.{uid}"
        for name, value in values.items():
            setattr(ds, name, value)

    write_rtstruct(path, {name: [] for name in names}, edit=headers)


def tasks_of(root, **tables):
    index = index_tree(root)
    series = index.series.assign(SCANPATH=index.series["PATH"])
    assigned, _ = assign_subjects_and_visits(series, adsl_of("P1"), PLAN)
    tasks = make_tasks(index, assigned, PLAN, raw_dir=str(root), study="T", **tables)
    return {task["scan"]["AVISIT"]: task for task in tasks}


def quiet(what, done, total):
    """Progress that nobody watches."""


# ---- roi_map.csv


def roi_map(*rows):
    return pd.DataFrame(rows, columns=["USUBJID", "ROINAME", "ROLE", "LESIONID"], dtype=object)


def test_the_text_of_the_roi_map_is_stripped_and_its_role_is_read_in_small_letters(tmp_path):
    write_scan(tmp_path)
    table = roi_map((" P1", "GTV ", "Lesion ", " L1"), ("P1", "Leber", "LIVER", None), (None,) * 4)
    mapped = tasks_of(tmp_path, roi_map=table)["D0"]["roi_map"]
    assert {name: (row["ROLE"], row["LESIONID"]) for name, row in mapped.items()} == {
        "GTV": ("lesion", "L1"),
        "Leber": ("liver", None),
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("P1", "GTV", "lesion", "L7"), "ROI_MAP_DUPLICATE: roi_map.csv row 1, 3"),
        (("P1 ", "GTV", "liver", "L1"), "ROI_MAP_DUPLICATE: roi_map.csv row 1, 3"),
        (("P1", "X", "tumour", "L2"), "ROI_MAP_ROLE: roi_map.csv row 3: ROLE must be one of lesion, liver"),
        (("P1", "X", np.nan, "L2"), "ROI_MAP_ROLE: roi_map.csv row 3"),
        (("P1", None, "lesion", "L2"), "ROI_MAP_EMPTY: roi_map.csv row 3"),
    ],
)
def test_a_row_of_the_roi_map_that_cannot_be_followed_stops_with_its_number(tmp_path, row, message):
    write_scan(tmp_path)
    table = roi_map(("P1", "GTV", "lesion", "L1"), ("P2", "GTV", "lesion", "L1"), row)
    with pytest.raises(ValueError, match=message) as error:
        tasks_of(tmp_path, roi_map=table)
    assert "P1" not in str(error.value)


def test_a_row_that_stands_twice_in_the_roi_map_says_the_same(tmp_path):
    write_scan(tmp_path)
    same = ("P1", "GTV", "lesion", "L1")
    assert set(tasks_of(tmp_path, roi_map=roi_map(same, same))["D0"]["roi_map"]) == {"GTV"}


# ---- height


def test_a_refused_height_does_not_come_back_and_a_good_one_comes_from_another_scan_only(tmp_path):
    write_scan(tmp_path / "a", 2, PatientSize="17.5")
    assert tasks_of(tmp_path)["D0"]["height_m"] is None  # 17.5 cm: no body height
    write_scan(tmp_path / "b", 3, "20250115", PatientSize="175")
    tasks = tasks_of(tmp_path)
    assert tasks["D0"]["height_m"] == 1.75
    assert tasks["D14"]["height_m"] is None


# ---- what a scan lost


def test_a_scan_whose_region_objects_were_set_aside_says_so(tmp_path):
    write_scan(tmp_path / "a", 2)
    write_scan(tmp_path / "b", 3, "20250115")
    write_roi(tmp_path / "a" / "one.dcm", uid=40)
    write_roi(tmp_path / "b" / "one.dcm", 3, uid=41)
    assert [task["set_aside"] for task in tasks_of(tmp_path).values()] == [False, False]
    write_roi(tmp_path / "a" / "two.dcm", names=("L2",), uid=42)
    write_roi(tmp_path / "a" / "three.dcm", names=("l2", "L3"), uid=43)
    tasks = tasks_of(tmp_path)
    assert tasks["D0"]["rois"] == ["dicom/a/one.dcm"]
    assert {visit: task["set_aside"] for visit, task in tasks.items()} == {"D0": True, "D14": False}


def test_an_object_that_fits_two_scans_of_a_patient_may_be_missing_from_either(tmp_path):
    write_scan(tmp_path / "a", 2)
    write_scan(tmp_path / "b", 3, "20250115", FrameOfReferenceUID=f"{ROOT_UID}.7.2")
    write_roi(tmp_path / "one.dcm", StudyInstanceUID="1.2.3")
    assert [task["set_aside"] for task in tasks_of(tmp_path).values()] == [True, True]


def test_what_a_person_did_not_choose_is_no_loss(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "analysis.pet.study.fan_out", lambda tasks, *_, **__: seen.extend(tasks) or _failed(tasks)
    )
    write_scan(tmp_path / "dicom" / "a")
    for uid in (40, 41):
        write_roi(tmp_path / "dicom" / "a" / f"{uid}.dcm", uid=uid)
    row = {"PATH": "a", "USUBJID": None, "AVISIT": None, "USE": "Y", "ROIPATH": "a/40.dcm"}
    measure_study(tmp_path, adsl_of("P1"), PLAN, scan_map=pd.DataFrame([row], dtype=object), report=quiet)
    measure_study(tmp_path, adsl_of("P1"), PLAN, report=quiet)
    assert [task["set_aside"] for task in seen] == [False, True]


def _failed(tasks):
    return [Failure("MEASURE_FAILED", "not measured here")] * len(tasks)


def test_a_scan_that_lost_a_seed_says_so(tmp_path):
    write_scan(tmp_path / "a", 2)
    write_scan(tmp_path / "b", 3, "20250115")
    tasks = tasks_of(tmp_path, lost_seeds={("P1", "D14")})
    assert {visit: task["set_aside"] for visit, task in tasks.items()} == {"D0": False, "D14": True}


def test_a_row_without_subject_or_visit_goes_to_the_ledger_although_a_scan_has_neither():
    columns = ["USUBJID", "AVISIT", "LESIONID", "X", "Y", "Z", "METHOD"]
    scans = [("P1", "D0"), (None, None), ("P1", None)]
    for who in ((None, None), ("P1", None)):
        seeds = pd.DataFrame([(*who, "L1", *"123", "PERCENT41")], columns=columns, dtype=object)
        rows, problems = rows_by_scan(seeds, SEEDS, scans, ["P1"])
        assert rows == {} and [problem["CODE"] for problem in problems] == ["SEED_WITHOUT_SCAN"]
        regions = pd.DataFrame(
            [(*who, "LIVER", "ACCEPT")], columns=["USUBJID", "AVISIT", "REGION", "DECISION"]
        )
        rows, problems = rows_by_scan(regions, REFERENCE_REGIONS, scans, ["P1"])
        assert rows == {} and [problem["CODE"] for problem in problems] == ["REFERENCE_REGION_WITHOUT_SCAN"]


# ---- slices that a DICOMDIR lists and nobody sent


@pytest.mark.parametrize(("stated", "code"), [(None, None), (3, None), (4, "SLICES_MISSING")])
def test_slices_that_only_a_dicomdir_knows_are_flagged_or_refuse_their_scan(tmp_path, stated, code):
    write_scan(tmp_path / "in", **({} if stated is None else {"NumberOfSlices": stated}))
    media = FileSet()
    for file in sorted((tmp_path / "in").iterdir()):
        media.add(file)
    media.write(tmp_path / "dicom")
    images = sorted(p for p in (tmp_path / "dicom").rglob("*") if p.is_file() and p.name != "DICOMDIR")
    images[-1].unlink()
    study = measure_study(tmp_path, adsl_of("P1"), PLAN, report=quiet, with_mips=False)
    (scan,) = study.scan_qc.to_dict("records")
    assert scan["CODE"] == code
    asked = study.queries[study.queries["CODE"] == "DICOMDIR_FILES_MISSING"]
    if code is None:
        assert "DICOMDIR_FILES_MISSING" in scan["FLAGS"].split(";")
        assert asked[["SEVERITY", "USUBJID", "RECORD"]].to_numpy().tolist() == [["error", "P1", "D0"]]
        assert tasks_of(tmp_path / "dicom")["D0"]["set_aside"]
    else:
        assert asked.empty and code in set(study.exclusions["CODE"])
    assert "DICOMDIR_FILE_MISSING" in set(study.exclusions["CODE"])


# ---- nothing that names anybody


def test_no_free_text_of_the_header_reaches_the_table_of_scans(tmp_path):
    texts = {"Units": "DOE^JANE", "DecayCorrection": "1950-01-01", "ManufacturerModelName": "DOE^JANE"}
    write_scan(tmp_path / "dicom" / "a", **texts)
    study = measure_study(tmp_path, adsl_of("P1"), PLAN, report=quiet)
    (scan,) = study.scan_qc[["STATUS", "MODEL", "UNITS", "DECAYCORR"]].to_numpy().tolist()
    assert scan == ["REFUSED", None, "an unknown code", "an unknown code"]


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("Discovery 690", True),
        ("SIGNA PET/MR", True),
        ("Biograph128_Vision 600-1209", True),
        ("mCT 19500101", False),
        ("DOE^JANE", False),
    ],
)
def test_a_scanner_model_is_kept_if_it_reads_as_one(tmp_path, model, kept):
    pet = load_pet(write_scan(tmp_path, ManufacturerModelName=model))
    assert pet.facts["model"] == (model if kept else None)
    assert index_tree(tmp_path).series["MODEL"].tolist() == [model if kept else None]


def _read_a_name(text):
    return float(text)


def _break_inside(task):
    return plans.load("no_study", task)


def test_what_an_unforeseen_error_says_is_not_repeated_only_its_kind_and_line(tmp_path):
    (failed,) = fan_out(["DOE^JANE 19501231"], _read_a_name, report=quiet)
    assert failed == Failure("MEASURE_FAILED", "ValueError; run this unit alone to see why")
    (failed,) = fan_out([tmp_path / "DOE_JANE"], _break_inside, report=quiet)
    assert "DOE" not in failed.message and str(tmp_path) not in failed.message
    assert " at analysis.plan" in failed.message and failed.message.split(";")[0][-1].isdigit()


def test_workers_tell_of_an_error_what_this_process_tells():
    here, there = (fan_out([1, "raise"], work, workers=n, report=quiet) for n in (1, 2))
    assert here == there == [2, Failure("MEASURE_FAILED", "RuntimeError; run this unit alone to see why")]
