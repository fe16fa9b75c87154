"""A tree of DICOM files to the study's tables: nothing is guessed, nothing is lost."""

import numpy as np
import pandas as pd
import pytest
from breaking_work import work
from dicom_factory import ROOT_UID, bqml_per_suv, truncate, write_rtstruct, write_seg, write_series

from analysis import contracts
from analysis import plan as plans
from analysis.fanout import Failure, fan_out
from analysis.pet import ledger
from analysis.pet.assign import assign_subjects_and_visits, compute_study_day, name_visit
from analysis.pet.index import index_tree
from analysis.pet.reader_tables import REFERENCE_REGIONS, SEEDS, rows_by_scan
from analysis.pet.study import measure_study
from analysis.pet.tasks import make_tasks

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
    assert index.passed_over == {"not DICOM": 1, "PET image, not quantitative": 8}


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
    for name in ("adpet", "scan_qc", "mips", "reference_proposals"):
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


def test_no_message_of_a_scan_names_a_file_but_the_ledger_does(raw):
    """File names are often patient names, UIDs or dates."""
    pet = raw / "dicom" / "1" / "D14" / "pet"
    truncate(pet / "slice_004.dcm", 0.6)
    (pet / "slice_004.dcm").rename(pet / "DOE_JANE_19500101")
    (raw / "dicom" / "1" / "D0" / "pet" / "DOE_JANE_19500102.dcm").write_bytes(b"x" * 200)
    study = measure_study(raw, adsl_of("P1"), PLAN, report=quiet)
    messages = study.scan_qc["MESSAGE"].dropna()
    assert len(messages) >= 2 and not messages.str.contains("DOE|slice_|dicom/").any()
    assert study.exclusions["REASON"].str.contains("DOE_JANE_19500102").any()


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


# ---- dates and identifiers that say nothing


def test_a_date_years_away_is_set_aside_and_not_called_unscheduled():
    rows = [("S1", "1900-01-01"), ("S2", "2025-01-01")]
    assigned, problems = assign_subjects_and_visits(series_of(*rows), adsl_of("S1", "S2"))
    assert assigned["CODE"].tolist() == ["SCAN_DATE_IMPLAUSIBLE", None]
    assert "scan_map.csv" in problems[0]["REASON"]


def test_one_date_for_all_subjects_who_began_on_several_days_is_no_date():
    adsl = adsl_of("S1", "S2", "S3")
    rows = [(name, "2025-01-01") for name in adsl["USUBJID"]]
    assert assign_subjects_and_visits(series_of(*rows), adsl)[0]["CODE"].isna().all()
    adsl["TRTSDT"] += pd.to_timedelta([0, 5, 14], unit="D")
    assert set(assign_subjects_and_visits(series_of(*rows), adsl)[0]["CODE"]) == {"SCAN_DATES_ALL_EQUAL"}


def test_a_scan_in_no_window_is_asked_about_and_one_a_person_placed_is_not():
    # First dose on 1 January 2025: the 21st is day 21, between the windows; 1 March is day 60.
    names = ["S1", "S2", "S2", "S3", "S4"]
    days = ["2025-01-21", "2025-01-14", "2025-03-01", "2025-03-01", "2025-01-21"]
    visits = ["UNSCHED", "D14", "PROG", "PROG", "UNSCHED"]
    scans = pd.DataFrame({"SERIESUID": list("abcde"), "USUBJID": names, "AVISIT": visits, "CODE": None})
    scans["SCANDT"] = pd.to_datetime(days)
    subjects = pd.DataFrame({"USUBJID": ["S1", "S2", "S3", "S4"], "TRTSDT": pd.Timestamp("2025-01-01")})
    found = ledger.out_of_window(scans, subjects, plans.defaults(), {"e"})
    assert {row["CODE"] for row in found} == {"SCAN_OUT_OF_WINDOW"}
    assert [(row["USUBJID"], row["RECORD"], "day 21" in row["MESSAGE"]) for row in found] == [
        ("S1", "UNSCHED", True),
        ("S3", "PROG", False),
    ]


def test_two_unscheduled_scans_of_one_date_are_an_ambiguity():
    rows = [("S1", "2025-03-01"), ("S1", "2025-03-01")]
    assigned, _ = assign_subjects_and_visits(series_of(*rows), adsl_of("S1"))
    assert assigned["CODE"].tolist() == ["MULTIPLE_SERIES_FOR_VISIT"] * 2


@pytest.mark.parametrize("name", ["pearl-01-007", "PEARL-1-7", "7", "PEARL01007"])
def test_a_near_miss_of_an_identifier_is_said_and_not_guessed(name):
    adsl = adsl_of("PEARL-01-007")
    assigned, problems = assign_subjects_and_visits(series_of((name, "2025-01-01")), adsl)
    assert assigned["CODE"].tolist() == ["SUBJECT_NOT_IN_ADSL"]
    told = "not guessed" in problems[0]["REASON"]
    assert told == (name != "PEARL01007") and name not in problems[0]["REASON"].replace("007", "")


def test_the_uncorrected_series_beside_a_corrected_one_makes_no_ambiguity():
    series = series_of(("S1", "2025-01-01"), ("S1", "2025-01-01"))
    series["CORRECTIONS"] = [["DECY", "NORM"], ["DECY", "ATTN"]]
    assigned, _ = assign_subjects_and_visits(series, adsl_of("S1"))
    assert assigned["CODE"].tolist() == ["NOT_ATTENUATION_CORRECTED", None]


# ---- scan_map.csv


def scan_map(*rows, columns=("PATH", "USUBJID", "AVISIT", "USE")):
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def measured(root, *names, **tables):
    study = measure_study(root, adsl_of(*names), PLAN, report=quiet, **tables)
    refused = study.scan_qc[study.scan_qc["STATUS"].eq("REFUSED")]
    assert sorted(refused["CODE"]) == codes(study.exclusions[study.exclusions["ITEM"].eq("scan")])
    contracts.check("scan_qc", study.scan_qc)
    contracts.check("exclusions_02", study.exclusions)
    contracts.check("queries_02", study.queries)
    return study


def test_the_scan_map_wins_over_identifier_date_and_ambiguity(tmp_path):
    write_scan(tmp_path / "dicom" / "a", patient="X9", number=2)
    write_scan(tmp_path / "dicom" / "b", number=3)
    write_scan(tmp_path / "dicom" / "c", number=4)
    write_scan(tmp_path / "dicom" / "d", number=5)
    rows = [
        ("a", "P2", "D14", "Y"),
        ("dicom/b/pet", None, None, "Y"),
        ("d/pet/slice_000.dcm", None, None, "N"),
    ]
    study = measured(tmp_path, "P1", "P2", scan_map=scan_map(*rows))
    qc = study.scan_qc.set_index("PATH")
    assert qc.loc["dicom/a/pet", ["USUBJID", "AVISIT", "STATUS"]].tolist() == ["P2", "D14", "OK"]
    assert qc["CODE"].to_dict() == {
        "dicom/a/pet": None,
        "dicom/b/pet": None,
        "dicom/c/pet": "SCAN_MAP_OTHER_CHOSEN",
        "dicom/d/pet": "SCAN_MAP_EXCLUDED",
    }
    flagged = qc["FLAGS"].fillna("").str.contains("ASSIGNED_BY_SCAN_MAP")
    assert flagged.sum() + qc["CODE"].eq("SCAN_MAP_EXCLUDED").sum() == len(rows)


def test_the_scan_map_names_the_roi_object_and_the_other_one_is_accounted_for(tmp_path):
    folder = write_scan(tmp_path / "dicom" / "a", number=2) / "roi"

    def second(ds):
        ds.PatientID, ds.FrameOfReferenceUID, ds.SOPInstanceUID = "P1", f"{ROOT_UID}.7.2", f"{ROOT_UID}.41"

    write_seg(folder / "other.dcm", masks(), edit=second)
    study = measured(tmp_path, "P1")
    assert codes(study.exclusions) == ["ROI_DUPLICATE", "ROI_DUPLICATE"]
    assert set(study.exclusions["AVISIT"]) == {"D0"} and study.adpet.empty
    rows = scan_map(("a", None, None, "Y", "a/roi/seg.dcm"), columns=(*scan_map().columns, "ROIPATH"))
    study = measured(tmp_path, "P1", scan_map=rows)
    assert codes(study.exclusions) == ["ROI_NOT_CHOSEN"] and "L1" in set(study.adpet["LESIONID"])
    assert study.exclusions["REASON"].str.startswith("dicom/a/roi/other.dcm: ").all()


def test_the_scan_map_names_the_group_of_a_split_series(tmp_path):
    def stack(ds, k):
        if k < 3:
            ds.ImageType = ["DERIVED", "PRIMARY"]

    write_scan(tmp_path / "dicom" / "a", number=2, edit=stack, roi=None)
    assert measured(tmp_path, "P1").scan_qc["CODE"].tolist() == ["MULTIPLE_GROUPS"]
    rows = scan_map(("a", None, None, "Y", "G1"), columns=(*scan_map().columns, "GROUP"))
    study = measured(tmp_path, "P1", scan_map=rows)
    assert study.scan_qc["CODE"].tolist() == [None] and study.scan_qc["NSLICES"].tolist() == [5]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (("nowhere", "P1", "D0", "Y"), "SCAN_MAP_UNKNOWN_PATH row 1: 0 PET series there"),
        (("1", "P1", "D0", "Y"), "SCAN_MAP_AMBIGUOUS_PATH row 1: 2 PET series there"),
        (("2", "P9", "D0", "Y"), "SCAN_MAP_UNKNOWN_SUBJECT row 1"),
        (("2", "P1", "D7", "Y"), "SCAN_MAP_UNKNOWN_VISIT row 1: AVISIT must be one of D0, D14, D28"),
        (("2", "P1", "D0", "yes"), "SCAN_MAP_BAD_USE row 1: USE must be Y or N, found 'yes'"),
        (("2", "P1", "D0", None), "SCAN_MAP_BAD_USE row 1"),
    ],
)
def test_an_error_in_the_scan_map_stops_with_its_row_and_names_nobody(raw, row, code):
    with pytest.raises(ValueError, match=code) as error:
        measured(raw, "P1", scan_map=scan_map(row))
    assert "P9" not in str(error.value) and "P1" not in str(error.value)


def test_a_series_a_visit_or_a_region_object_that_stands_twice_in_the_scan_map_is_refused(raw):
    twice = scan_map(("2", "P1", "D0", "Y"), ("2/pet", "P1", "D14", "Y"), ("3", "P1", "D0", "Y"))
    with pytest.raises(ValueError, match=r"2 error.*row 2: its series is also in row 1.*row 3: its visit"):
        measured(raw, "P1", scan_map=twice)
    columns = (*twice.columns, "ROIPATH")
    same = scan_map(("2", None, None, "Y", "3/roi"), ("3", None, None, "Y", "3/roi"), columns=columns)
    with pytest.raises(ValueError, match="SCAN_MAP_DOUBLE_USE row 2: its ROI object"):
        measured(raw, "P1", scan_map=same)
    with pytest.raises(ValueError, match="SCAN_MAP_UNKNOWN_ROI"):
        measured(raw, "P1", scan_map=scan_map(("2", None, None, "Y", "no"), columns=columns))


def test_a_scan_map_with_a_missing_or_misspelt_column_is_refused(raw):
    with pytest.raises(
        ValueError, match=r"SCAN_MAP_COLUMNS: scan_map.csv has no column USE and unknown columns U"
    ):
        measured(
            raw, "P1", scan_map=scan_map(("2", "P1", "D0", "Y"), columns=("PATH", "USUBJID", "AVISIT", "U"))
        )


def test_series_of_one_folder_are_named_by_number_as_in_scan_qc(tmp_path):
    for number in (2, 3):
        write_scan(tmp_path / "dicom", number=number, roi=None)
        for file in sorted((tmp_path / "dicom" / "pet").glob("slice_*")):
            file.rename(file.with_name(f"{number}{file.name}"))
    both = measured(tmp_path, "P1")
    assert both.scan_qc["PATH"].tolist() == ["dicom/pet", "dicom/pet#2"]
    assert set(both.scan_qc["CODE"]) == {"MULTIPLE_SERIES_FOR_VISIT"}
    study = measured(tmp_path, "P1", scan_map=scan_map(("dicom/pet#2", "P1", "D0", "Y")))
    assert study.scan_qc["CODE"].tolist() == ["SCAN_MAP_OTHER_CHOSEN", None]


# ---- tables of a reader


def seeds_of(*rows):
    columns = ["USUBJID", "AVISIT", "LESIONID", "X", "Y", "Z", "METHOD", "THRESHOLD"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def test_rows_of_reader_tables_go_to_their_scan_as_numbers():
    table = seeds_of(
        ("P1", "D0", "L1", "12", "-4.5", "8", "FIXED", "2.5"), ("P1", "D0", "L2", *"123", "PERCIST", None)
    )
    rows, problems = rows_by_scan(table, SEEDS, [("P1", "D0")], ["P1"])
    assert problems == [] and list(rows) == [("P1", "D0")]
    first, second = rows["P1", "D0"]
    assert (first["X"], first["Y"], first["Z"], first["THRESHOLD"]) == (12.0, -4.5, 8.0, 2.5)
    assert second["THRESHOLD"] is None and second["METHOD"] == "PERCIST"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (("P1", "D28", "L1", *"123", "PERCENT41", None), "SEED_WITHOUT_SCAN"),
        (("P9", "D0", "L1", *"123", "PERCENT41", None), "SEED_WITHOUT_SCAN"),
        (("P1", "D0", "L1", "1", "two", "3", "PERCENT41", None), "SEED_INVALID"),
        (("P1", "D0", "L1", *"123", "PERCENT60", None), "SEED_INVALID"),
        (("P1", "D0", "L1", *"123", "FIXED", "-1"), "SEED_INVALID"),
        (("P1", "D0", None, *"123", "FIXED", None), "SEED_INVALID"),
    ],
)
def test_a_seed_that_cannot_be_used_goes_to_the_ledger_with_its_row(row, code):
    rows, (problem,) = rows_by_scan(seeds_of(row), SEEDS, [("P1", "D0")], ["P1"])
    assert rows == {} and problem["CODE"] == code and problem["REASON"].startswith("seeds.csv row 1: ")
    assert problem["USUBJID"] == ("P1" if row[0] == "P1" else None)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (("LIVER", "ACCEPT", None, None, None, "2025-01-03"), None),
        (("AORTA", "MOVE", "1", "2", "3", None), None),
        (("LIVER", "MOVE", "1", None, "3", None), "REFERENCE_REGION_INVALID"),
        (("LIVER", "ACCEPT", "1", "left", "3", None), "REFERENCE_REGION_INVALID"),
        (("SPLEEN", "ACCEPT", None, None, None, None), "REFERENCE_REGION_INVALID"),
        (("LIVER", "MAYBE", None, None, None, None), "REFERENCE_REGION_INVALID"),
        (("LIVER", "REJECT", None, None, None, "3rd"), "REFERENCE_REGION_INVALID"),
    ],
)
def test_a_decision_on_a_reference_region_is_checked(values, code):
    table = pd.DataFrame(
        [("P1", "D0", *values)], columns=["USUBJID", "AVISIT", *REGION_COLUMNS], dtype=object
    )
    _, problems = rows_by_scan(table, REFERENCE_REGIONS, [("P1", "D0")], ["P1"])
    assert [problem["CODE"] for problem in problems] == ([] if code is None else [code])
    _, problems = rows_by_scan(pd.concat([table, table]), REFERENCE_REGIONS, [("P1", "D0")], ["P1"])
    assert {problem["CODE"] for problem in problems} == {code or "REFERENCE_REGION_DUPLICATE"}


REGION_COLUMNS = ["REGION", "DECISION", "X", "Y", "Z", "DECIDEDDT"]


def test_reader_tables_with_wrong_columns_are_refused(raw):
    with pytest.raises(
        ValueError, match=r"SEEDS_COLUMNS: seeds.csv has no column METHOD and unknown columns METHD"
    ):
        measured(raw, "P1", seeds=seeds_of().rename(columns={"METHOD": "METHD"}))
    with pytest.raises(ValueError, match="REFERENCE_REGIONS_COLUMNS"):
        measured(raw, "P1", reference_regions=seeds_of())


def test_a_decision_on_the_liver_reaches_the_table_of_reference_regions(tmp_path):
    write_scan(tmp_path / "dicom" / "1", number=2, roi=None)
    decision = ("P1", "D0", "LIVER", "MOVE", "36", "12", "12", "R1", "2025-01-03")
    columns = ["USUBJID", "AVISIT", "REGION", "DECISION", "X", "Y", "Z", "READER", "DECIDEDDT"]
    table = pd.DataFrame([decision], columns=columns, dtype=object)
    proposals = measured(tmp_path, "P1", reference_regions=table).reference_proposals
    contracts.check("reference_proposals", proposals)
    liver = proposals.set_index("REGION").loc["LIVER"]
    assert (liver["READER"], liver["DECIDEDDT"]) == ("R1", pd.Timestamp("2025-01-03"))


def test_seeds_reach_the_task_of_their_scan_and_a_lost_one_the_ledger(tmp_path):
    write_scan(tmp_path / "dicom" / "1", number=2, roi=None)
    index = index_tree(tmp_path / "dicom")
    assigned, _ = assign_subjects_and_visits(
        index.series.assign(SCANPATH=index.series["PATH"]), adsl_of("P1"), PLAN
    )
    rows, _ = rows_by_scan(seeds_of(("P1", "D0", "L1", *"123", "FIXED", None)), SEEDS, [("P1", "D0")], ["P1"])
    (task,) = make_tasks(index, assigned, PLAN, raw_dir=str(tmp_path), study="T", seeds=rows)
    assert [seed["LESIONID"] for seed in task["seeds"]] == ["L1"] and task["reference_regions"] == []
    assert task["files"][0] == "dicom/1/pet/slice_000.dcm" and task["group"] is None
    lost = seeds_of(("P1", "D28", "L1", *"123", "FIXED", None))
    assert codes(measured(tmp_path, "P1", seeds=lost).exclusions) == ["SEED_WITHOUT_SCAN"]


# ---- places and counts


def test_every_path_of_the_ledger_is_relative_to_the_raw_folder(raw):
    (raw / "dicom" / "1" / "D0" / "roi" / "seg.dcm").unlink()
    (raw / "dicom" / "old.zip").write_bytes(b"PK\x03\x04")
    (raw / "dicom" / "2" / "pet" / "slice_002.dcm").write_bytes(b"")
    study = measured(raw, "P1", "P2")
    texts = [*study.exclusions["REASON"], *study.queries["MESSAGE"]]
    placed = [text for text in texts if ": " in text]
    assert placed and all(text.startswith("dicom/") for text in placed)
    assert {"ARCHIVE_NOT_OPENED", "SCAN_WITHOUT_ROI"} <= set(study.queries["CODE"])
    assert "TRUNCATED_FILE" in codes(study.exclusions)
    assert sum(study.files.values()) == sum(path.is_file() for path in (raw / "dicom").rglob("*"))


def test_a_region_object_of_another_patient_is_booked_on_the_scan_and_names_nobody(tmp_path):
    write_scan(tmp_path / "dicom" / "a", number=2)
    write_scan(tmp_path / "dicom" / "b", patient="P2", number=3)
    target = tmp_path / "dicom" / "b" / "roi" / "seg.dcm"
    target.write_bytes((tmp_path / "dicom" / "a" / "roi" / "seg.dcm").read_bytes())
    study = measured(tmp_path, "P1", "P2")
    (row,) = study.exclusions.itertuples()
    assert (row.CODE, row.USUBJID, row.AVISIT) == ("ROI_OF_ANOTHER_PATIENT", "P2", "D0")
    assert "P1" not in row.REASON


# ---- fan-out


def test_results_come_in_the_order_of_the_tasks_and_a_failure_takes_no_other_with_it():
    seen = []
    found = fan_out([1, "raise", 3], work, report=lambda what, done, total: seen.append((done, total)))
    assert found == [2, Failure("MEASURE_FAILED", "RuntimeError; run this unit alone to see why"), 6]
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
