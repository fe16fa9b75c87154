"""A tree of DICOM files to the study's tables: nothing is guessed, nothing is lost."""

import numpy as np
import pandas as pd
import pytest
from breaking_work import work
from dicom_factory import ROOT_UID, bqml_per_suv, truncate, write_rtstruct, write_seg, write_series

from analysis import contracts
from analysis import plan as plans
from analysis.fanout import Failure, fan_out
from analysis.pet.assign import assign_subjects_and_visits, compute_study_day, name_visit
from analysis.pet.index import index_tree
from analysis.pet.study import measure_study

PLAN = plans.defaults()
SHAPE = (8, 12, 12)


def scan_suv(lesion=6.0, liver=2.0):
    """Background 1, a lesion block (L1) and a liver block; the regions of `masks` cover them exactly."""
    suv = np.ones(SHAPE)
    suv[2:5, 2:5, 2:5] = lesion
    suv[2:5, 8:11, 8:11] = liver
    return suv


def masks():
    lesion, liver = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    lesion[2:5, 2:5, 2:5] = liver[2:5, 8:11, 8:11] = True
    return {"L1": lesion, "LIVER": liver}


def write_scan(
    folder, *, patient="P1", date="20250101", number=2, suv=None, roi="seg", edit=None, roi_edit=None
):
    """Write one scan with its ROI object; `number` makes its series and frame of reference unique."""

    def headers(ds, k=0):
        ds.PatientID = patient
        ds.FrameOfReferenceUID = f"{ROOT_UID}.7.{number}"
        ds.PatientSex = "F"

    def of_slice(ds, k):
        headers(ds)
        for name in ("Study", "Series", "Acquisition"):
            setattr(ds, f"{name}Date", date)
        ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = f"{date}100000.000000"
        if edit:
            edit(ds, k)

    write_series(folder / "pet", scan_suv() if suv is None else suv, bqml_per_suv(), of_slice, series=number)
    if roi == "seg":
        (folder / "roi").mkdir(parents=True, exist_ok=True)
        write_seg(folder / "roi" / "seg.dcm", masks(), edit=roi_edit or headers)
    return folder


def adsl_of(*names, start="2025-01-01"):
    return pd.DataFrame(
        {"STUDYID": "T", "USUBJID": list(names), "TRTSDT": pd.Timestamp(start), "SITEID": "01"}
    )


def codes(frame):
    return sorted(frame["CODE"])


# ---- the index


def test_the_index_pairs_each_series_with_its_region_object_whatever_the_folders_are_called(tmp_path):
    write_scan(tmp_path / "b" / "x", number=2)
    write_scan(tmp_path / "a", patient="P2", number=3)
    index = index_tree(tmp_path)
    assert index.series["PATIENTID"].tolist() == ["P2", "P1"]
    assert index.series["NFILES"].tolist() == [8, 8]
    assert index.rois.set_index("PATH")["SERIESUID"].to_dict() == {
        "a/roi/seg.dcm": f"{ROOT_UID}.3",
        "b/x/roi/seg.dcm": f"{ROOT_UID}.2",
    }
    assert index.problems == []


def test_two_series_in_one_folder_are_told_apart_file_by_file(tmp_path):
    for number in (2, 3):
        write_scan(tmp_path / f"s{number}", number=number, roi=None)
    both = tmp_path / "flat"
    both.mkdir()
    for folder in ("s2", "s3"):
        for file in sorted((tmp_path / folder / "pet").iterdir()):
            # names alternate between the series
            file.rename(both / f"{file.stem}_{folder}.dcm")
    index = index_tree(tmp_path)
    assert index.series["NFILES"].tolist() == [8, 8]
    assert [len(files) for files in index.series["FILES"]] == [8, 8]


def test_a_region_object_of_another_patient_is_set_aside(tmp_path):
    write_scan(tmp_path / "a", patient="P1", number=2)
    write_scan(tmp_path / "b", patient="P2", number=3)
    (tmp_path / "b" / "roi" / "seg.dcm").write_bytes((tmp_path / "a" / "roi" / "seg.dcm").read_bytes())
    index = index_tree(tmp_path)
    found = {problem["CODE"]: problem["PATH"] for problem in index.problems}
    assert found == {"ROI_OF_ANOTHER_PATIENT": "b/roi/seg.dcm", "SCAN_WITHOUT_ROI": "b/pet"}
    assert index.rois["SERIESUID"].tolist() == [f"{ROOT_UID}.2", None]


def test_a_region_object_that_names_the_scan_of_another_patient_is_set_aside(tmp_path):
    write_scan(tmp_path / "a", number=2, roi=None)

    def foreign(ds):
        ds.PatientID, ds.FrameOfReferenceUID = "P9", f"{ROOT_UID}.7.2"

    write_seg(tmp_path / "a" / "seg.dcm", masks(), edit=foreign)
    assert codes(pd.DataFrame(index_tree(tmp_path).problems)) == [
        "ROI_OF_ANOTHER_PATIENT",
        "SCAN_WITHOUT_ROI",
    ]


def test_regions_without_scan_and_scans_without_regions_are_both_reported(tmp_path):
    write_scan(tmp_path / "a", number=2, roi=None)

    def lost(ds):
        ds.FrameOfReferenceUID = f"{ROOT_UID}.7.99"
        ds.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = f"{ROOT_UID}.7.99"

    write_rtstruct(tmp_path / "a" / "rs.dcm", {"L1": []}, edit=lost)
    assert codes(pd.DataFrame(index_tree(tmp_path).problems)) == ["ROI_WITHOUT_SCAN", "SCAN_WITHOUT_ROI"]


def test_a_damaged_file_and_a_projection_are_reported_and_foreign_files_are_counted(tmp_path):
    write_scan(tmp_path / "a", number=2)
    write_scan(
        tmp_path / "b",
        number=3,
        roi=None,
        edit=lambda ds, k: setattr(ds, "SeriesType", ["STATIC", "REPROJECTION"]),
    )
    truncate(tmp_path / "a" / "pet" / "slice_003.dcm", 0.02)
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / ".hidden.dcm").write_text("hello")
    index = index_tree(tmp_path)
    assert codes(pd.DataFrame(index.problems)) == ["NOT_QUANTITATIVE_SERIES", "UNREADABLE_FILE"]
    assert index.passed_over == {"not DICOM": 1}


def test_a_missing_data_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="NO_DATA_FOLDER: no folder 'nowhere'"):
        index_tree(tmp_path / "nowhere")


# ---- subjects and visits


@pytest.mark.parametrize(
    ("day", "visit"),
    [
        *[(day, "UNSCHED") for day in (-29, 2, 9, 19, 23)],
        *[(day, "D0") for day in (-28, -1, 1)],
        *[(day, "D14") for day in (10, 18)],
        *[(day, "D28") for day in (24, 35)],
        (36, "PROG"),
    ],
)
def test_visits_follow_the_windows_of_the_plan(day, visit):
    assert name_visit(day, PLAN.visits) == visit


def test_there_is_no_study_day_0():
    start = pd.Timestamp("2025-01-10")
    days = [compute_study_day(start + pd.Timedelta(days=shift), start) for shift in (-1, 0, 1)]
    assert days == [-1, 1, 2]


def series_of(*rows):
    frame = pd.DataFrame(rows, columns=["PATIENTID", "SCANDT"])
    frame["SCANDT"] = pd.to_datetime(frame["SCANDT"])
    return frame.assign(
        PATH=[f"s{i}" for i in range(len(frame))], SERIESUID=[f"1.{i}" for i in range(len(frame))]
    )


def test_a_patient_id_is_matched_exactly_or_by_the_last_part_of_the_subject():
    adsl = adsl_of("PEARL-01-007", "PEARL-02-070")
    rows = [("PEARL-01-007", "2025-01-01"), ("070", "2025-01-01"), ("07", "2025-01-01"), (None, "2025-01-01")]
    assigned, problems = assign_subjects_and_visits(series_of(*rows), adsl)
    assert assigned["USUBJID"].tolist() == ["PEARL-01-007", "PEARL-02-070", None, None]
    assert [problem["CODE"] for problem in problems] == ["SUBJECT_NOT_IN_ADSL"] * 2


def test_a_short_patient_id_that_two_subjects_share_is_not_guessed():
    adsl = adsl_of("PEARL-01-007", "PEARL-02-007")
    _, problems = assign_subjects_and_visits(series_of(("007", "2025-01-01")), adsl)
    assert [problem["CODE"] for problem in problems] == ["SUBJECT_AMBIGUOUS"]


def test_two_series_of_a_planned_visit_are_both_set_aside_and_the_first_unscheduled_one_is_kept():
    rows = [("S1", "2024-12-30"), ("S1", "2025-01-01"), ("S1", "2025-06-01"), ("S1", "2025-03-01")]
    assigned, problems = assign_subjects_and_visits(series_of(*rows), adsl_of("S1"))
    assert assigned["CODE"].tolist() == ["MULTIPLE_SERIES_FOR_VISIT"] * 2 + ["EXTRA_SCAN", None]
    assert len(problems) == 3


def test_without_a_first_dose_the_only_scan_is_baseline_and_several_are_set_aside():
    adsl = adsl_of("S1", "S2").assign(TRTSDT=pd.NaT)
    rows = [("S1", None), ("S2", "2025-01-01"), ("S2", "2025-02-01")]
    assigned, _ = assign_subjects_and_visits(series_of(*rows), adsl)
    assert assigned["AVISIT"].tolist() == ["D0"] * 3
    assert assigned["CODE"].tolist() == [None, "MULTIPLE_SERIES_FOR_VISIT", "MULTIPLE_SERIES_FOR_VISIT"]


def test_a_scan_without_any_date_has_no_visit():
    _, problems = assign_subjects_and_visits(series_of(("S1", None)), adsl_of("S1"))
    assert [problem["CODE"] for problem in problems] == ["SCAN_DATE_MISSING"]


# ---- the study


@pytest.fixture
def raw(tmp_path):
    """P1 with baseline and day 14 (lesion 6 to 3), P2 with a baseline that has no weight, P3 in no table."""
    write_scan(tmp_path / "dicom" / "1" / "D0", number=2)
    write_scan(tmp_path / "dicom" / "1" / "D14", number=3, date="20250115", suv=scan_suv(lesion=3.0))
    write_scan(
        tmp_path / "dicom" / "2", patient="P2", number=4, edit=lambda ds, k: delattr(ds, "PatientWeight")
    )
    write_scan(tmp_path / "dicom" / "3", patient="P3", number=5)
    return tmp_path


def test_a_small_study_gives_measurements_and_accounts_for_every_scan(raw):
    study = measure_study(raw, adsl_of("P1", "P2", "P4"), PLAN, report=quiet)
    for name in ("adpet", "scan_qc", "mips"):
        contracts.check(name, getattr(study, name))
    value = study.adpet.set_index(["USUBJID", "AVISIT", "LESIONID", "METRIC"])["AVAL"]
    assert value["P1", "D0", "L1", "SUVMAX"] == pytest.approx(6.0, rel=1e-3)
    assert value["P1", "D14", "L1", "SUVMAX"] == pytest.approx(3.0, rel=1e-3)
    assert value["P1", "D0", "L1", "VOLUME"] == pytest.approx(27 * 0.064)
    assert value["P1", "D0", "LIVER", "SUVMEAN"] == pytest.approx(2.0, rel=1e-3)
    # 70 kg, 1.75 m, female: 45.1970 kg lean body mass by Janmahasatian (pet.md 1.2)
    assert value["P1", "D0", "L1", "SULMAX"] == pytest.approx(6.0 * 45.1970 / 70, rel=1e-3)
    assert value["P1", "D0", "TOTAL", "NLESION"] == 1
    status = study.scan_qc.set_index("PATH")["CODE"].to_dict()
    assert status == {"dicom/1/D0/pet": None, "dicom/1/D14/pet": None, "dicom/2/pet": "WEIGHT_MISSING",
                      "dicom/3/pet": "SUBJECT_NOT_IN_ADSL"}  # fmt: skip
    assert codes(study.exclusions) == ["NO_PET_SCAN", "SUBJECT_NOT_IN_ADSL", "WEIGHT_MISSING"]


def quiet(what, done, total):
    """Progress that nobody watches."""


def test_the_lesion_is_evaluable_against_the_liver_and_a_target_at_every_visit(raw):
    study = measure_study(raw, adsl_of("P1"), PLAN, report=quiet)
    lesion = study.adpet[study.adpet["LESIONID"] == "L1"]
    assert set(lesion["EVALFL"]) == set(lesion["TARGETFL"]) == {"Y"}
    high = PLAN.override({"pet.evaluable_factor": {"LIVER": 4.0, "AORTA": 2.0}})
    study = measure_study(raw, adsl_of("P1"), high, report=quiet)
    assert set(study.adpet.loc[study.adpet["LESIONID"] == "L1", "EVALFL"]) == {"N"}
    assert "NOT_FDG_EVALUABLE" in codes(study.exclusions)


def test_workers_change_no_byte(raw):
    alone = measure_study(raw, adsl_of("P1", "P2"), PLAN, report=quiet)
    several = measure_study(raw, adsl_of("P1", "P2"), PLAN, workers=2, report=quiet)
    for name in ("adpet", "scan_qc", "exclusions", "queries"):
        pd.testing.assert_frame_equal(getattr(alone, name), getattr(several, name))
    assert all((a == b).all() for a, b in zip(alone.mips["PIXELS"], several.mips["PIXELS"]))


def test_the_roi_map_renames_joins_and_ignores_regions(raw):
    rows = [("P1", "L1", "lesion", "T7", "Bone"), ("P1", "LIVER", "ignore", None, None)]
    roi_map = pd.DataFrame(rows, columns=["USUBJID", "ROINAME", "ROLE", "LESIONID", "ORGAN"])
    adpet = measure_study(raw, adsl_of("P1"), PLAN, roi_map=roi_map, report=quiet).adpet
    assert set(adpet["LESIONID"]) == {"T7", "TOTAL"}
    assert set(adpet.loc[adpet["ROLE"] == "LESION", "ORGAN"]) == {"bone"}


def test_a_region_that_no_map_names_goes_to_the_ledger(tmp_path):
    write_scan(tmp_path / "dicom" / "1", number=2, roi=None)
    folder = tmp_path / "dicom" / "1"

    def own(ds):
        ds.PatientID, ds.FrameOfReferenceUID = "P1", f"{ROOT_UID}.7.2"

    write_seg(folder / "seg.dcm", {"Mystery": masks()["L1"]}, edit=own)
    study = measure_study(tmp_path, adsl_of("P1"), PLAN, report=quiet)
    assert codes(study.exclusions) == ["ROI_UNMAPPED"]
    named = PLAN.override({"pet.roi_roles": {"Mystery": "lesion"}})
    assert "Mystery" in set(measure_study(tmp_path, adsl_of("P1"), named, report=quiet).adpet["LESIONID"])


def test_a_truncated_slice_refuses_its_scan_and_no_other(raw):
    truncate(raw / "dicom" / "1" / "D14" / "pet" / "slice_004.dcm", 0.6)
    study = measure_study(raw, adsl_of("P1"), PLAN, report=quiet)
    status = study.scan_qc.dropna(subset=["USUBJID"]).set_index("AVISIT")["CODE"].to_dict()
    assert status == {"D0": None, "D14": "TRUNCATED_FILE"}


def test_a_scan_without_regions_is_measured_and_asked_for(tmp_path):
    write_scan(tmp_path / "dicom" / "1", number=2, roi=None)
    study = measure_study(tmp_path, adsl_of("P1"), PLAN, report=quiet)
    assert study.adpet.empty
    assert study.scan_qc["STATUS"].tolist() == ["OK"]
    assert codes(study.queries) == ["SCAN_WITHOUT_ROI"]


def test_a_height_missing_later_is_carried_from_another_scan_of_the_patient(tmp_path):
    write_scan(tmp_path / "dicom" / "a", number=2)
    no_height = lambda ds, k: delattr(ds, "PatientSize")
    write_scan(tmp_path / "dicom" / "b", number=3, date="20250115", edit=no_height)
    study = measure_study(tmp_path, adsl_of("P1"), PLAN, report=quiet)
    sul = study.adpet[study.adpet["METRIC"] == "SULMAX"].groupby("AVISIT")["AVAL"].max()
    assert sul["D14"] == pytest.approx(sul["D0"], rel=1e-3)
    assert "HEIGHT_CARRIED" in study.scan_qc.set_index("AVISIT")["FLAGS"]["D14"]


def test_an_impossible_uptake_time_is_refused_by_the_protocol(tmp_path):
    def late(ds, k):
        ds.RadiopharmaceuticalInformationSequence[0].RadionuclideHalfLife = "4070.0"  # Ga-68

    write_scan(tmp_path / "dicom" / "a", number=2, edit=late)
    study = measure_study(tmp_path, adsl_of("P1"), PLAN, report=quiet)
    assert study.scan_qc["CODE"].tolist() == ["PROTOCOL_NUCLIDE"]


# ---- fan-out


def test_results_come_in_the_order_of_the_tasks_and_a_failure_takes_no_other_with_it():
    seen = []
    found = fan_out([1, "raise", 3], work, report=lambda what, done, total: seen.append((done, total)))
    assert found == [2, Failure("MEASURE_FAILED", "RuntimeError: boom"), 6]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_task_that_kills_its_worker_is_lost_and_the_others_finish():
    found = fan_out([1, "die", 3, 4, 5], work, workers=2, report=quiet)
    assert [r if not isinstance(r, Failure) else r.code for r in found] == [2, "WORKER_LOST", 6, 8, 10]


# ---- real


def test_the_first_sarcoma_patient_is_indexed_and_measured(shared_data, tmp_path):
    (tmp_path / "dicom").symlink_to(shared_data / "sarcoma" / "STS_001")
    plan = PLAN.override({"pet.roi_roles": {"GTV_Mass_PET": "lesion"}})
    adsl = adsl_of("STS_001").assign(TRTSDT=pd.NaT)
    study = measure_study(tmp_path, adsl, plan, report=quiet)
    value = study.adpet.set_index(["LESIONID", "METRIC"])["AVAL"]
    assert study.scan_qc["STATUS"].tolist() == ["OK"]
    assert (
        1
        < value["GTV_Mass_PET", "SUVMEAN"]
        < value["GTV_Mass_PET", "SUVPEAK"]
        < value["GTV_Mass_PET", "SUVMAX"]
    )
    assert value["TOTAL", "TMTV41"] < value["GTV_Mass_PET", "VOLUME"]
