"""Choosing, ordering and checking the files of a series (pet.md 1.7 and 1.8)."""

import numpy as np
import pydicom
import pytest
from dicom_factory import (
    LAMBDA,
    bqml_per_suv,
    pet_slice,
    set_pixels,
    square,
    tracer,
    triple_phantom,
    truncate,
    write_rtstruct,
    write_series,
)

from analysis.pet import SeriesRefused, load_pet


def ramp(n=5, shape=(3, 4)):
    """Slices of SUV 1, 2, 3 ... so that their order can be seen."""
    return np.arange(1.0, n + 1)[:, None, None] * np.ones(shape)


def slice_levels(pet):
    return pet.values.mean(axis=(1, 2))


def rename_reversed(folder):
    files = sorted(folder.glob("*.dcm"))
    for file in files:
        file.rename(file.with_suffix(".tmp"))
    for file, name in zip(reversed(files), files):
        file.with_suffix(".tmp").rename(name)


def test_slices_are_ordered_by_position_whatever_files_and_numbers_say(tmp_path):
    def edit(ds, k):
        ds.InstanceNumber, ds.SliceLocation = 100 - k, str(-5 * k)

    folder = write_series(tmp_path, ramp(), edit=edit)
    rename_reversed(folder)
    pet = load_pet(folder)
    assert slice_levels(pet) == pytest.approx([1, 2, 3, 4, 5], rel=1e-4)
    assert pet.spacing_mm == pytest.approx([4, 4, 4])
    assert pet.affine @ [2, 1, 3, 1] == pytest.approx([12, 4, 8, 1])


def test_slices_ascend_along_the_normal_where_z_falls(tmp_path):
    """Columns run towards -y: row x column points to -z, so the stack begins at the highest z."""

    def edit(ds, k):
        ds.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]

    pet = load_pet(write_series(tmp_path, ramp(), edit=edit))
    assert slice_levels(pet) == pytest.approx([5, 4, 3, 2, 1], rel=1e-4)
    assert pet.affine @ [1, 1, 1, 1] == pytest.approx([4, -4, 12, 1])


def test_an_oblique_stack_keeps_its_affine(tmp_path):
    c, s = np.cos(0.3), np.sin(0.3)

    def edit(ds, k):
        ds.ImageOrientationPatient = [1, 0, 0, 0, c, s]
        ds.ImagePositionPatient = [10.0, -s * 4.0 * k, c * 4.0 * k]

    pet = load_pet(write_series(tmp_path, ramp(), edit=edit))
    assert slice_levels(pet) == pytest.approx([1, 2, 3, 4, 5], rel=1e-4)
    assert pet.affine @ [1, 1, 0, 1] == pytest.approx([10, 4 * (c - s), 4 * (c + s), 1], abs=1e-4)
    assert pet.grid.to_index((pet.affine @ [3, 2, 1, 1])[None, :3]) == pytest.approx(
        np.array([[3, 2, 1]]), abs=1e-3
    )


def test_slightly_uneven_slices_are_flagged_and_each_has_its_own_volume(tmp_path):
    pet = load_pet(write_series(tmp_path, ramp(), positions_mm=[0, 4, 8.15, 12.15, 16.15]))
    assert "SPACING_UNEVEN" in pet.facts["flags"]
    assert pet.spacing_mm[0] == pytest.approx(4)
    assert pet.slice_volumes_ml == pytest.approx(np.array([4, 4.075, 4.075, 4, 4]) * 16 / 1000)
    assert pet.grid.to_mm(np.array([[2, 0, 0]]))[0] == pytest.approx([0, 0, 8.15])


def test_an_uneven_stack_finds_every_slice_where_the_file_says_it_lies(tmp_path):
    places = [0, 4, 8.1, 12.2, 16.2]  # the straight line that fits them best starts at -0.02 mm
    pet = load_pet(write_series(tmp_path, ramp(), positions_mm=places))
    at = np.column_stack([np.zeros(5), np.zeros(5), places])
    assert pet.grid.to_index(at)[:, 0] == pytest.approx(np.arange(5), abs=1e-9)
    assert pet.grid.to_mm(np.column_stack([np.arange(5)] + [np.zeros(5, int)] * 2)) == pytest.approx(at)


def test_a_missing_slice_is_flagged_and_its_neighbours_are_named(tmp_path):
    pet = load_pet(write_series(tmp_path, ramp(), positions_mm=[0, 4, 12, 16, 20]))
    assert "MISSING_SLICES" in pet.facts["flags"]
    assert pet.facts["slices_beside_gap"] == [1, 2]
    assert pet.slice_volumes_ml == pytest.approx(np.full(5, 0.064))


@pytest.mark.parametrize("positions", [[0, 4, 5, 9, 13], [0, 4, 9.9, 13.9, 17.9]])
def test_overlapping_or_stray_slices_are_refused(tmp_path, positions):
    with pytest.raises(SeriesRefused, match="SPACING_IRREGULAR"):
        load_pet(write_series(tmp_path, ramp(), positions_mm=positions))


def test_a_repeated_slice_is_dropped_by_name_and_refused_when_strict(tmp_path):
    folder = write_series(tmp_path, ramp()[[0, 1, 1, 2, 3]], positions_mm=[0, 4, 4, 8, 12], slopes=[1.0] * 5)
    pet = load_pet(folder)
    assert len(pet.values) == 4
    assert pet.adaptations == ["DUPLICATE_SLICES_DROPPED"]
    with pytest.raises(SeriesRefused, match="STRICT_DUPLICATE_SLICES_DROPPED"):
        load_pet(folder, strict=True)


def test_two_different_slices_at_one_position_are_refused(tmp_path):
    with pytest.raises(SeriesRefused, match="DUPLICATE_POSITIONS"):
        load_pet(write_series(tmp_path, ramp(), positions_mm=[0, 4, 4, 8, 12]))


def test_a_sheared_stack_is_refused(tmp_path):
    def edit(ds, k):
        ds.ImagePositionPatient = [0.0, 0.05 * k, 4.0 * k]

    with pytest.raises(SeriesRefused, match="SHEARED_GRID"):
        load_pet(write_series(tmp_path, edit=edit))


def test_orientation_that_is_not_orthonormal_is_refused(tmp_path):
    def edit(ds, k):
        ds.ImageOrientationPatient = [1, 0, 0, 0.1, 0.99, 0]

    with pytest.raises(SeriesRefused, match="ORIENTATION_INVALID"):
        load_pet(write_series(tmp_path, edit=edit))


def test_a_slice_without_position_is_refused(tmp_path):
    def edit(ds, k):
        if k == 2:
            del ds.ImagePositionPatient

    with pytest.raises(SeriesRefused, match="GEOMETRY_MISSING"):
        load_pet(write_series(tmp_path, edit=edit))


def test_a_single_slice_takes_its_thickness_and_is_refused_without(tmp_path):
    pet = load_pet(write_series(tmp_path / "a", triple_phantom()[1:2]))
    assert pet.spacing_mm[0] == 4.0 and "SINGLE_SLICE" in pet.facts["flags"]

    def edit(ds, k):
        del ds.SliceThickness

    with pytest.raises(SeriesRefused, match="SINGLE_SLICE_NO_THICKNESS"):
        load_pet(write_series(tmp_path / "b", triple_phantom()[1:2], edit=edit))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Units", "CNTS"),
        ("PatientWeight", "71"),
        ("SeriesTime", "110001"),
        ("DecayCorrection", "NONE"),
        ("RadionuclideTotalDose", "370e6"),
        ("RadionuclideHalfLife", "6588"),
        ("CorrectedImage", ["ATTN", "DECY"]),
    ],
)
def test_a_series_that_contradicts_itself_is_refused_naming_the_attribute(tmp_path, name, value):
    def edit(ds, k):
        if k == 2:
            setattr(tracer(ds) if name.startswith("Radio") else ds, name, value)

    with pytest.raises(SeriesRefused, match=f"MIXED_SERIES.*{name}"):
        load_pet(write_series(tmp_path, edit=edit))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FrameOfReferenceUID", "1.2.3"),
        ("ImageType", ["DERIVED", "PRIMARY"]),
        ("PixelSpacing", ["4", "3.9"]),
        ("ImageOrientationPatient", [0, 1, 0, 1, 0, 0]),
    ],
)
def test_slices_of_different_planes_are_groups_of_which_one_is_to_be_named(tmp_path, name, value):
    def edit(ds, k):
        if k == 2:
            setattr(ds, name, value)

    folder = write_series(tmp_path, edit=edit)
    with pytest.raises(SeriesRefused, match=r"MULTIPLE_GROUPS: .*G1 3 slices 5x6, G2 1 slices 5x6"):
        load_pet(folder)
    assert len(load_pet(folder, group="G2").values) == 1


# ---- which files ----


def test_other_files_in_the_folder_are_passed_over_and_counted(tmp_path):
    write_series(tmp_path / "a" / "b")
    (tmp_path / "notes.txt").write_text("a note")
    write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(0, 0, 8)]})
    pet = load_pet(tmp_path)
    assert len(pet.values) == 4
    assert pet.facts["passed_over"] == {"not DICOM": 1, "other object": 1}


def test_a_list_of_files_is_read_in_any_order(tmp_path):
    files = sorted(write_series(tmp_path, ramp()).glob("*.dcm"))
    assert slice_levels(load_pet(files[::-1])) == pytest.approx([1, 2, 3, 4, 5], rel=1e-4)


def test_several_series_are_refused_unless_one_is_named(tmp_path):
    write_series(tmp_path / "one", series=2)
    write_series(tmp_path / "two", ramp(), series=3)
    with pytest.raises(SeriesRefused, match="MULTIPLE_SERIES") as refused:
        load_pet(tmp_path)
    assert "1.2.826" not in str(refused.value)
    uid = load_pet(tmp_path / "two").facts["series_uid"]
    assert len(load_pet(tmp_path, series_uid=uid).values) == 5
    with pytest.raises(SeriesRefused, match="SERIES_NOT_FOUND"):
        load_pet(tmp_path, series_uid="1.2.3")


def test_a_missing_folder_an_empty_one_and_one_without_pet_are_refused(tmp_path):
    with pytest.raises(SeriesRefused, match="PATH_NOT_FOUND"):
        load_pet(tmp_path / "nowhere")
    with pytest.raises(SeriesRefused, match=r"NO_PET_SERIES: .*no files"):
        load_pet(tmp_path)
    write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(0, 0, 8)]})
    with pytest.raises(SeriesRefused, match=r"NO_PET_SERIES: .*1 other object"):
        load_pet(tmp_path)


@pytest.mark.parametrize("keep", [0.0, 0.05, 0.2, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_by_its_place_and_never_by_its_name(tmp_path, keep):
    """File names are often UIDs, names or dates."""
    folder = write_series(tmp_path)
    truncate(folder / "slice_002.dcm", keep)
    with pytest.raises(
        SeriesRefused, match=r"TRUNCATED_FILE: file 3 of 4 \(in the order of names\)"
    ) as error:
        load_pet(folder)
    assert "slice" not in error.value.message


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1"])
def test_an_enhanced_image_without_described_frames_is_refused(tmp_path, uid):
    def edit(ds, k):
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = uid

    with pytest.raises(SeriesRefused, match="FRAME_COUNT_DIFFERS"):
        load_pet(write_series(tmp_path, edit=edit))


@pytest.mark.parametrize(
    ("name", "value"),
    [("ImageType", ["DERIVED", "PRIMARY", "MIP"]), ("SeriesType", ["WHOLE BODY", "REPROJECTION"])],
)
def test_projections_are_left_out_and_refused_when_alone(tmp_path, name, value):
    def edit(ds, k):
        setattr(ds, name, value)

    write_series(tmp_path / "mip", edit=edit, series=3)
    with pytest.raises(SeriesRefused, match="NOT_QUANTITATIVE"):
        load_pet(tmp_path / "mip")
    write_series(tmp_path / "ac")
    assert load_pet(tmp_path).facts["passed_over"] == {"not quantitative": 4}


# ---- pixels ----


def write_one(folder, stored, **changes):
    ds = pet_slice(0, 0.0)
    ds.RescaleSlope = "1"
    set_pixels(ds, stored)
    for name, value in changes.items():
        setattr(ds, name, value)
    folder.mkdir(parents=True)
    ds.save_as(folder / "one.dcm", enforce_file_format=True)
    return folder


def test_bits_above_the_stored_ones_are_dropped_and_the_sign_is_kept(tmp_path):
    stored = np.array([[5, -3], [0x7005, 2047]], np.int16)
    pet = load_pet(write_one(tmp_path / "a", stored, BitsStored=12, HighBit=11))
    assert pet.values[0] / pet.suv_factors[0] == pytest.approx(np.array([[5, -3], [5, 2047]]))


def test_unsigned_pixels_are_not_read_as_signed(tmp_path):
    stored = np.array([[40000, 1]], np.uint16)
    pet = load_pet(write_one(tmp_path / "a", stored.view(np.int16), PixelRepresentation=0))
    assert pet.values[0] / pet.suv_factors[0] == pytest.approx(np.array([[40000, 1]]))


def test_compressed_pixels_are_decoded(tmp_path):
    folder = write_series(tmp_path, slopes=[1.0] * 4)
    plain = load_pet(folder).values
    for file in folder.glob("*.dcm"):
        ds = pydicom.dcmread(file)
        ds.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        ds.save_as(file)
    assert np.array_equal(load_pet(folder).values, plain)


def test_reading_twice_gives_the_same_bytes_and_facts(tmp_path):
    folder = write_series(tmp_path)
    first, second = load_pet(folder), load_pet(folder)
    assert first.values.tobytes() == second.values.tobytes()
    assert first.facts == second.facts


def test_facts_say_what_the_header_said(tmp_path):
    facts = load_pet(write_series(tmp_path)).facts
    assert facts["units"] == "BQML" and facts["decay_correction"] == "START"
    assert facts["vendor"] == "OTHER" and facts["model"] == "Phantom"
    assert str(facts["series_date"]) == "2025-01-01"
    assert (facts["n_slices"], facts["voxel_volume_ml"]) == (4, pytest.approx(0.064))
    assert (facts["patient_id"], facts["sex"]) == ("P1", "O")
    assert facts["tref_candidates_s"]["SERIES_TIME"] == [0.0, 0.0]
    assert facts["half_life_s"] == pytest.approx(np.log(2) / LAMBDA)
    assert bqml_per_suv() > 0


# ---- geometry that no scanner has ----


@pytest.mark.parametrize("spacing", [["1e-300", "1e-300"], ["1e300", "4"], ["0.05", "0.05"], ["4", "51"]])
def test_voxels_of_no_possible_size_are_refused(tmp_path, spacing):
    def edit(ds, k):
        ds.PixelSpacing = spacing

    with pytest.raises(SeriesRefused, match="SPACING_IMPLAUSIBLE: Pixel Spacing"):
        load_pet(write_series(tmp_path, edit=edit))


@pytest.mark.parametrize("step", [0.05, 60.0])
def test_slices_of_no_possible_step_are_refused(tmp_path, step):
    def edit(ds, k):
        ds.ImagePositionPatient = [0, 0, step * k]

    with pytest.raises(SeriesRefused, match="SPACING_IMPLAUSIBLE: the median slice step"):
        load_pet(write_series(tmp_path, edit=edit))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("place", ["1e6", "1e300"])
def test_a_slice_outside_of_any_scanner_is_refused(tmp_path, place):
    def edit(ds, k):
        ds.ImagePositionPatient = ["0", place, str(4 * k)]

    with pytest.raises(SeriesRefused, match="POSITION_IMPLAUSIBLE"):
        load_pet(write_series(tmp_path, edit=edit))
