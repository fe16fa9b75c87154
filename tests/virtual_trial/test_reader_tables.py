"""Tables a person adds to the virtual trial: a word on each liver and aorta not drawn, whose a scan is."""

import highdicom as hd
import numpy as np
import pandas as pd
import pydicom
import pytest
from scan_factory import SETTINGS, digest, make_spec, read_slices

from analysis import plan
from analysis.virtual_trial import anatomy, reader_tables, scan_specs, simulate_trial, write_trial
from analysis.virtual_trial.imaging import write_scan

PLAN = plan.defaults()
ROI_FILES = ("RTSTRUCT", "SEG", "SEG_LABELMAP", "SEG_CT")


@pytest.fixture(scope="module")
def trial():
    return simulate_trial(PLAN)


@pytest.fixture(scope="module")
def off(tmp_path_factory):
    """The plan of a study with neither; only a plan file can say null."""
    file = tmp_path_factory.mktemp("plan") / "plain.yaml"
    names = ("lesions_only", "hospital_id", "renamed_lesions")
    file.write_text("study: plain\nvirtual:\n" + "".join(f"  {name}: null\n" for name in names))
    return plan.load("plain", file)


@pytest.fixture(scope="module")
def tables(trial, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    reader_tables.write_reference_regions(trial, folder, PLAN.virtual)
    reader_tables.write_scan_map(trial, folder)
    read = lambda name: pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
    return read("reference_regions"), read("scan_map")


def written(tmp_path, name, **changes):
    folder = tmp_path / name
    write_scan(make_spec(**changes), folder, np.random.default_rng(5), SETTINGS)
    return folder


def region_names(folder):
    (path,) = (folder / "roi").iterdir()
    ds = pydicom.dcmread(path)
    if "StructureSetROISequence" in ds:
        return [item.ROIName for item in ds.StructureSetROISequence]
    return [item.SegmentLabel for item in ds.SegmentSequence if item.SegmentNumber]


@pytest.mark.parametrize("roi_format", ROI_FILES)
def test_a_reading_centre_that_draws_lesions_only_leaves_out_liver_and_aorta(tmp_path, roi_format):
    spec = {"roi_format": roi_format}
    both = written(tmp_path, "both", **spec)
    alone = written(tmp_path, "alone", LESIONSONLY="Y", **spec)
    assert region_names(both) == ["L1", "L2", "L3", "L4", "LIVER", "AORTA"]
    assert region_names(alone) == ["L1", "L2", "L3", "L4"]
    images = [{k: v for k, v in digest(one).items() if k.startswith("pet")} for one in (both, alone)]
    assert images[0] == images[1]


@pytest.mark.parametrize(
    "changes",
    [{"vendor": "GE", "roi_format": "RTSTRUCT_CT"}, {"vendor": "PHILIPS", "DIALECT": "PHILIPS_ENHANCED"}],
)
def test_the_hospitals_identifier_stands_in_every_file_and_changes_nothing_else(tmp_path, changes):
    own, theirs = written(tmp_path, "own", **changes), written(tmp_path, "theirs", PATIENTID="H-1", **changes)
    files = sorted(path.relative_to(own) for path in own.rglob("*.dcm"))
    assert files == sorted(path.relative_to(theirs) for path in theirs.rglob("*.dcm"))
    for file in files:
        first, second = pydicom.dcmread(own / file), pydicom.dcmread(theirs / file)
        assert (first.PatientID, second.PatientID) == ("PEARL-01-001", "H-1")
        second.PatientID = first.PatientID
        assert first == second


def test_each_scan_of_the_site_has_a_word_on_liver_and_aorta_and_no_other_scan_has(trial, tables):
    regions, _ = tables
    rule = PLAN.virtual.lesions_only
    there = trial.scans[trial.scans["SITEID"] == rule["SITEID"]]
    wanted = {(*scan, name) for scan in zip(there["USUBJID"], there["AVISIT"]) for name in ("LIVER", "AORTA")}
    named = list(regions[["USUBJID", "AVISIT", "REGION"]].itertuples(index=False, name=None))
    assert len(named) == len(wanted) > 0 and set(named) == wanted
    waited = pd.to_datetime(regions["DECIDEDDT"]) - regions.merge(there, on=["USUBJID", "AVISIT"])["SCANDT"]
    assert set(waited.dt.days) == {1}
    columns = "USUBJID AVISIT REGION DECISION X Y Z READER DECIDEDDT COMMENT"  # data/README.md
    assert list(regions) == columns.split()


def test_the_site_is_one_with_the_fewest_patients(trial):
    size = trial.patients.groupby("SITEID").size()
    assert size[PLAN.virtual.lesions_only["SITEID"]] == size.min()


def test_one_liver_is_moved_to_a_place_inside_the_right_lobe_and_the_rest_is_accepted(tables):
    regions, _ = tables
    moved = regions[regions["DECISION"] == "MOVE"]
    accepted = regions[regions["DECISION"] == "ACCEPT"]
    assert len(moved) == 1 and len(accepted) == len(regions) - 1
    assert set(moved["REGION"]) == {"LIVER"}
    assert (accepted[["X", "Y", "Z"]] == "").all(axis=None)
    # The right lobe is an ellipsoid in the drawn body's mm: the whole 3 cm sphere lies within it.
    lobe = next(shape for shape in anatomy.anatomy()["shapes"] if shape["tissue"] == "liver")
    centre = moved[["X", "Y", "Z"]].to_numpy(float)[0]
    scale = anatomy.body_scale(moved["USUBJID"].iloc[0], PLAN.virtual)
    away = np.random.default_rng(1).standard_normal((500, 3))
    # Coordinates are those of the scan: the patient lies elsewhere on the table.
    centre = centre - anatomy.table_shift(*moved[["USUBJID", "AVISIT"]].iloc[0], PLAN.virtual)
    surface = centre + 15 * away / np.linalg.norm(away, axis=1, keepdims=True)
    reached = ((surface / scale - lobe["ellipsoid"]) / np.array(lobe["semi"])) ** 2
    assert reached.sum(axis=1).max() < 1
    assert centre[0] < 0  # LPS: x grows to the patient's left


def test_the_scan_map_names_subject_and_visit_of_the_one_scan_with_another_identifier(trial, tables):
    _, scan_map = tables
    rule, scans = PLAN.virtual.hospital_id, trial.scans
    there = scans["SITEID"].eq(rule["SITEID"]) & scans["AVISIT"].eq(rule["AVISIT"])
    first = scans[there].sort_values("SUBJID").iloc[0]
    assert scan_map.drop(columns="COMMENT").to_dict("records") == [
        {"PATH": f"{first['SUBJID']}/D14", "USUBJID": first["USUBJID"], "AVISIT": "D14", "USE": "Y"}
    ]
    foreign = [spec for spec in scan_specs(trial) if spec["PATIENTID"] != spec["USUBJID"]]
    assert [(spec["USUBJID"], spec["PATIENTID"]) for spec in foreign] == [
        (first["USUBJID"], rule["PATIENTID"])
    ]


def test_the_patient_whose_lesions_were_renamed_has_a_word_on_every_region_of_hers(trial, tmp_path):
    reader_tables.write_lesion_map(trial, tmp_path)
    table = pd.read_csv(tmp_path / "lesion_map.csv", dtype=str)
    (subject,) = set(table["USUBJID"])
    lesions = trial.lesions[trial.lesions["USUBJID"] == subject]
    assert lesions["NEWVIS"].isna().all() and len(lesions) > 1
    assert trial.scans.loc[trial.scans["USUBJID"] == subject, "SITEID"].iloc[0] == "04"
    visits = set(trial.scans.loc[trial.scans["USUBJID"] == subject, "AVISIT"]) - {"D0"}
    assert set(table["AVISIT"]) == visits != set()
    for _, rows in table.groupby("AVISIT"):
        assert set(rows["LESIONID"]) == set(lesions["LESIONID"])
        assert rows["ROINAME"].is_unique and not set(rows["ROINAME"]) & set(lesions["LESIONID"])
        assert rows["RELATION"].value_counts()["SPLIT"] == 2
    assert table[["READER", "DECIDEDDT"]].notna().all(axis=None)


def test_a_lesion_drawn_in_two_parts_has_the_voxels_of_the_whole_and_no_voxel_of_the_image_changes(tmp_path):
    whole, renamed = written(tmp_path, "whole"), written(tmp_path, "renamed", RENAMED="Y")
    assert region_names(renamed) == ["FU4a", "FU4b", "FU3", "FU2", "FU1", "LIVER", "AORTA"]
    images = [{k: v for k, v in digest(one).items() if k.startswith("pet")} for one in (whole, renamed)]
    assert images[0] == images[1]
    sizes = [voxel_counts(one) for one in (whole, renamed)]
    assert sizes[0]["L1"] == sizes[1]["FU4a"] + sizes[1]["FU4b"] and min(sizes[1].values()) > 0
    assert [sizes[0][name] for name in ("L2", "L3", "L4")] == [
        sizes[1][name] for name in ("FU3", "FU2", "FU1")
    ]


def voxel_counts(folder):
    seg = hd.seg.segread(folder / "roi" / "seg.dcm")
    names = {number: seg.get_segment_description(number).segment_label for number in seg.segment_numbers}
    return {
        name: int(seg.get_volume(segment_numbers=[number], combine_segments=True).array.astype(bool).sum())
        for number, name in names.items()
    }


@pytest.mark.parametrize("roi_format", ["SEG", "RTSTRUCT_CT"])
def test_another_place_on_the_table_moves_image_and_regions_alike_and_changes_no_voxel(tmp_path, roi_format):
    settings = plan.Section("virtual", {**SETTINGS.to_dict(), "table_shift_mm": [15.0, 10.0, 60.0]})
    spec = make_spec(roi_format=roi_format)
    here, there = tmp_path / "here", tmp_path / "there"
    truths = [
        write_scan(spec, folder, np.random.default_rng(5), rules)
        for folder, rules in ((here, SETTINGS), (there, settings))
    ]
    shift = anatomy.table_shift(spec["USUBJID"], spec["AVISIT"], settings)
    assert (np.abs(shift) <= [15, 10, 60]).all() and np.linalg.norm(shift) > 5
    for first, second in zip(read_slices(here), read_slices(there), strict=True):
        assert first.PixelData == second.PixelData
        moved = np.subtract(second.ImagePositionPatient, first.ImagePositionPatient)
        np.testing.assert_allclose(moved, shift, atol=1e-3)
    places = [place_of_first_region(one) for one in (here, there)]
    np.testing.assert_allclose(places[1] - places[0], shift, atol=1e-3)
    centres = [np.array(rows[0]["CENTER_MM"].split(";"), float) for rows in truths]
    np.testing.assert_allclose(centres[1] - centres[0], shift, atol=1e-3)


def place_of_first_region(folder):
    (path,) = (folder / "roi").iterdir()
    ds = pydicom.dcmread(path)
    if "StructureSetROISequence" in ds:
        return np.array(ds.ROIContourSequence[0].ContourSequence[0].ContourData[:3], float)
    return (
        hd.seg.segread(path).get_volume(segment_numbers=[1], combine_segments=True).affine @ [0, 0, 0, 1]
    )[:3]


def test_neither_draws_a_random_number_and_both_can_be_left_out(trial, off, tmp_path):
    plain = simulate_trial(off)
    how_sent = ["LESIONSONLY", "RENAMED", "PATIENTID"]
    for name in ("patients", "lesions", "uptake", "roles"):
        pd.testing.assert_frame_equal(getattr(plain, name), getattr(trial, name))
    pd.testing.assert_frame_equal(plain.scans.drop(columns=how_sent), trial.scans.drop(columns=how_sent))
    reader_tables.write_reference_regions(plain, tmp_path, off.virtual)
    reader_tables.write_lesion_map(plain, tmp_path)
    reader_tables.write_scan_map(plain, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_raw_study_differs_only_where_the_plan_says(off, tmp_path):
    small = {"virtual.n_patients": 4, "virtual.n_screen_failures": 1, "design.pilot_n": 4}
    small |= {"virtual.voxel_mm": [16.0, 16.0, 16.0], "virtual.site_weights": [1, 1, 0, 0, 2]}
    digests = {}
    for name, base in (("on", PLAN), ("off", off)):
        write_trial(base.override(small), tmp_path / name)
        files = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        digests[name] = {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files}
    changed = {path for path in digests["on"] if digests["on"][path] != digests["off"].get(path)}
    assert set(digests["off"]) == set(digests["on"]) - {"scan_map.csv", "reference_regions.csv"}
    (mapped,) = pd.read_csv(tmp_path / "on" / "scan_map.csv", dtype=str)["PATH"]
    regions = pd.read_csv(tmp_path / "on" / "reference_regions.csv", dtype=str)
    scans = {f"{subject[-3:]}/{visit}" for subject, visit in zip(regions["USUBJID"], regions["AVISIT"])}
    expected = {path for path in digests["on"] if path.startswith(f"dicom/{mapped}/")}
    expected |= {f"dicom/{scan}/roi/rtstruct.dcm" for scan in scans}
    assert changed == expected | {"scan_map.csv", "reference_regions.csv"}
