"""Regions of interest on the PET grid (pet.md 4.1 and 4.2)."""

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import square, write_rtstruct, write_seg, write_series
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.pet import RoiRefused, load_pet, load_rois
from analysis.pet.contour import combine_contours, contour_area, fill_contour


@pytest.fixture(scope="module")
def pet(tmp_path_factory):
    """Five slices of 8 x 9 voxels of 4 mm."""
    return load_pet(write_series(tmp_path_factory.mktemp("pet"), np.ones((5, 8, 9))))


def filled(points, shape=(12, 12)):
    inside, on = fill_contour(np.asarray(points, float), shape)
    return inside | on


# ---- one contour ----


def test_a_contour_through_voxel_centres_keeps_its_outer_ring():
    assert filled([[2, 2], [2, 5], [6, 5], [6, 2]]).sum() == 5 * 4


def test_a_contour_between_voxel_centres_takes_what_lies_inside():
    assert filled([[1.5, 1.5], [1.5, 5.5], [6.5, 5.5], [6.5, 1.5]]).sum() == 5 * 4
    assert filled([[1.51, 1.5], [1.51, 5.5], [6.49, 5.5], [6.49, 1.5]]).sum() == 5 * 4


def test_a_triangle_holds_the_lattice_points_pick_counts():
    """Pick: a right triangle of legs 6 holds 28 lattice points, border included."""
    assert filled([[1, 1], [1, 7], [7, 1]]).sum() == 28


def test_a_centre_within_the_tolerance_of_the_contour_belongs_and_beyond_it_does_not():
    assert filled([[2 + 1e-7, 2], [2 + 1e-7, 5], [6, 5], [6, 2]]).sum() == 20
    assert filled([[2 + 1e-4, 2], [2 + 1e-4, 5], [6, 5], [6, 2]]).sum() == 16


def test_a_contour_beyond_the_image_is_clipped():
    assert filled([[-5, -5], [-5, 50], [50, 50], [50, -5]]).all()
    assert filled([[-5, -5], [-5, -2], [-2, -2]]).sum() == 0


def test_shoelace_area_is_that_of_the_rectangle():
    assert contour_area(np.array([[100.0, 100], [100, 103], [102, 103], [102, 100]])) == 6


lattice = st.integers(0, 11)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(lattice, lattice), min_size=3, max_size=9), st.integers(0, 8), st.booleans())
def test_start_and_direction_of_a_contour_change_nothing(points, shift, backwards):
    again = points[shift % len(points) :] + points[: shift % len(points)]
    again = again[::-1] if backwards else again
    assert np.array_equal(filled(points), filled(again))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.05, 10.95), st.floats(0.05, 10.95)), min_size=3, max_size=9))
def test_mirrored_and_transposed_contours_give_mirrored_and_transposed_masks(points):
    points = np.round(np.array(points), 3) + 1e-4  # off the lattice: no centre within the tolerance
    mask = filled(points)
    assert np.array_equal(filled(points[:, ::-1]), mask.T)
    assert np.array_equal(filled(np.array([11, 11]) - points), mask[::-1, ::-1])


# ---- several contours on a slice ----

OUTER = np.array([[0.5, 0.5], [0.5, 9.5], [9.5, 9.5], [9.5, 0.5]])  # 9 x 9
INNER = np.array([[3.5, 3.5], [3.5, 6.5], [6.5, 6.5], [6.5, 3.5]])  # 3 x 3


def test_a_nested_contour_is_a_hole():
    mask, joined = combine_contours([OUTER, INNER], (12, 12))
    assert (mask.sum(), joined) == (81 - 9, False)
    assert not mask[5, 5]


def test_a_keyhole_contour_leaves_the_same_hole():
    cut_out, cut_in = [0.5, 5.25], [3.5, 5.25]
    keyhole = [
        [0.5, 0.5],
        cut_out,
        cut_in,
        *INNER[[0, 3, 2, 1]].tolist(),
        cut_in,
        cut_out,
        *OUTER[1:].tolist(),
    ]
    mask, _ = combine_contours([np.array(keyhole)], (12, 12))
    assert np.array_equal(mask, combine_contours([OUTER, INNER], (12, 12))[0])


def test_an_island_in_a_hole_belongs_again():
    island = np.array([[4.5, 4.5], [4.5, 5.5], [5.5, 5.5], [5.5, 4.5]])
    mask, _ = combine_contours([OUTER, INNER, island], (12, 12))
    assert mask.sum() == 81 - 9 + 1


def test_touching_parts_keep_their_common_border():
    left, right = [[1, 1], [1, 4], [6, 4], [6, 1]], [[1, 4], [1, 8], [6, 8], [6, 4]]
    mask, joined = combine_contours([np.array(left, float), np.array(right, float)], (12, 12))
    assert (mask.sum(), joined) == (6 * 8, False)


def test_overlapping_parts_are_joined_and_said_so():
    left, right = [[1, 1], [1, 6], [6, 6], [6, 1]], [[3, 4], [3, 9], [8, 9], [8, 4]]
    mask, joined = combine_contours([np.array(left, float), np.array(right, float)], (12, 12))
    assert (mask.sum(), joined) == (36 + 36 - 4 * 3, True)


# ---- structure sets ----


def test_contours_in_mm_fill_the_slice_they_lie_on(pet, tmp_path):
    path = write_rtstruct(
        tmp_path / "rs.dcm", {"L1": [square(8, 6, 18)], "L2": [square(4, 4, 8), square(8.3, 4, 8)]}
    )
    rois = load_rois(path, pet)
    assert list(rois) == ["L1", "L2"]
    assert np.argwhere(rois["L1"]).min(0).tolist() == [2, 2, 2] and rois["L1"].sum() == 9
    assert rois["L1"].dtype == bool and rois["L1"].shape == (5, 8, 9)
    assert rois["L2"].sum(axis=(1, 2)).tolist() == [0, 4, 4, 0, 0]
    assert rois.flags == {"L1": ["ROI_SHARES_VOXELS"], "L2": ["ROI_OTHER_GRID", "ROI_SHARES_VOXELS"]}


def test_contours_apart_are_not_joined_through_the_slices_between(pet, tmp_path):
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(0, 4, 8), square(16, 4, 8)]}), pet)
    assert rois["L1"].sum(axis=(1, 2)).tolist() == [4, 0, 0, 0, 4]
    assert rois.flags["L1"] == []


def test_contours_of_thinner_slices_take_the_nearest_plane_once(pet, tmp_path):
    contours = [square(z, 4, 12) for z in np.arange(3.0, 13.1, 1.0)]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": contours}), pet)
    assert rois["L1"].sum(axis=(1, 2)).tolist() == [0, 9, 9, 9, 0]


def test_contours_of_thicker_slices_leave_no_gap(pet, tmp_path):
    contours = [square(z, 4, 12) for z in (1.0, 7.0, 13.0)]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": contours}), pet)
    assert rois["L1"].sum(axis=(1, 2)).tolist() == [9, 9, 9, 9, 0]
    assert rois.flags["L1"] == ["ROI_OTHER_GRID"]


def test_degenerate_doubled_and_stray_contours_are_flagged(pet, tmp_path):
    dot = [[4, 4, 4], [4.1, 4, 4], [4.1, 4.1, 4]]
    contours = [square(4, 4, 8), square(4, 4, 8), dot, dot[:2], square(4, 20, 400), square(400, 4, 8)]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": contours}), pet)
    assert rois["L1"].sum() == 4 + 3 * 4
    assert rois.flags["L1"] == [
        "ROI_DUPLICATE_CONTOUR_DROPPED",
        "ROI_DEGENERATE_CONTOUR_DROPPED",
        "ROI_CLIPPED",
    ]


def test_points_and_open_lines_are_no_areas(pet, tmp_path):
    path = write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(4, 4, 8)]}, kind="POINT")
    rois = load_rois(path, pet)
    assert rois.flags["L1"] == ["ROI_NOT_AN_AREA_SKIPPED", "ROI_EMPTY"] and not rois["L1"].any()


def other_patient(ds):
    ds.PatientID = "P2"


def other_frame(ds):
    ds.FrameOfReferenceUID = "1.2.3"
    ds.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3"
    for region in ds.StructureSetROISequence:
        region.ReferencedFrameOfReferenceUID = "1.2.3"


def undeclared_frame(ds):
    ds.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3"


def same_names(ds):
    for region in ds.StructureSetROISequence:
        region.ROIName = "L1"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (other_patient, "ROI_OTHER_PATIENT"),
        (other_frame, "ROI_OTHER_FRAME_OF_REFERENCE"),
        (same_names, "ROI_DUPLICATE_NAME"),
    ],
)
def test_a_structure_set_that_does_not_belong_here_is_refused(pet, tmp_path, edit, code):
    path = write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(4, 4, 8)], "L2": [square(4, 4, 8)]}, edit)
    with pytest.raises(RoiRefused, match=code) as refused:
        load_rois(path, pet)
    assert refused.value.code == code and "P2" not in str(refused.value)


def test_a_region_naming_a_frame_its_file_does_not_declare_is_flagged(pet, tmp_path):
    path = write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(4, 4, 8)]}, undeclared_frame)
    assert load_rois(path, pet).flags["L1"] == ["ROI_FRAME_OF_REFERENCE_UNDECLARED"]


def test_contours_across_the_slices_are_refused(pet, tmp_path):
    tilted = np.array([[4, 4, 4], [12, 4, 4], [12, 12, 8], [4, 12, 8]])
    with pytest.raises(RoiRefused, match="ROI_OTHER_PLANES"):
        load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": [tilted]}), pet)


def test_a_folder_without_regions_and_a_damaged_file_are_refused(pet, tmp_path):
    with pytest.raises(RoiRefused, match="NO_ROI"):
        load_rois(tmp_path, pet)
    path = write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(4, 4, 8)]})
    whole = path.read_bytes()
    for share in range(1, 20):
        path.write_bytes(whole[: len(whole) * share // 20])
        with pytest.raises(RoiRefused, match="ROI_UNREADABLE"):
            load_rois(tmp_path, pet)


# ---- segmentations and NIfTI ----


def blob(pet, low, high):
    mask = np.zeros(pet.values.shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high))] = True
    return mask


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("n", [1, 2])
def test_segments_are_placed_frame_by_frame(pet, tmp_path, kind, n):
    masks = {"L1": blob(pet, (1, 2, 3), (4, 5, 7)), "LIVER": blob(pet, (0, 6, 0), (2, 8, 9))}
    masks = dict(list(masks.items())[:n])
    rois = load_rois(write_seg(tmp_path / "seg.dcm", masks, kind), pet)
    assert list(rois) == list(masks)
    for name, mask in masks.items():
        assert np.array_equal(rois[name], mask)
        assert rois.regions[name] == "Liver"
        assert rois.flags[name] == (["ROI_FRACTIONAL_OCCUPANCY"] if kind == "FRACTIONAL" else [])


def test_a_segmentation_written_by_highdicom_is_read_back(pet, tmp_path):
    import highdicom as hd
    import pydicom
    from pydicom.sr.codedict import codes

    folder = write_series(tmp_path / "pet", np.ones((5, 8, 9)))
    source = [pydicom.dcmread(file) for file in sorted(folder.glob("*.dcm"))]
    for ds in source:
        ds.PatientBirthDate = ds.AccessionNumber = ds.StudyID = ds.ReferringPhysicianName = ""
    mask = blob(pet, (1, 2, 3), (4, 5, 7))
    segment = hd.seg.SegmentDescription(
        1, "L1", codes.SCT.Neoplasm, codes.SCT.Neoplasm, hd.seg.SegmentAlgorithmTypeValues.MANUAL
    )
    seg = hd.seg.Segmentation(
        source,
        mask,
        hd.seg.SegmentationTypeValues.BINARY,
        [segment],
        "1.2.3.4",
        1,
        "1.2.3.5",
        1,
        "X",
        "X",
        "1",
        "1",
    )
    seg.save_as(tmp_path / "seg.dcm")
    assert np.array_equal(load_rois(tmp_path / "seg.dcm", pet)["L1"], mask)


def test_a_segment_on_a_finer_grid_is_resampled_and_flagged(pet, tmp_path):
    fine = np.zeros((10, 16, 18), bool)
    fine[2:6, 4:10, 6:14] = True
    rois = load_rois(write_seg(tmp_path / "seg.dcm", {"L1": fine}, pixel_mm=2.0, step_mm=2.0), pet)
    assert np.array_equal(rois["L1"], blob(pet, (1, 2, 3), (3, 5, 7)))
    assert rois.flags["L1"] == ["ROI_OTHER_GRID"]


@pytest.mark.parametrize("code", ["ROI_OTHER_PATIENT", "ROI_OTHER_FRAME_OF_REFERENCE"])
def test_a_segmentation_that_does_not_belong_here_is_refused(pet, tmp_path, code):
    def edit(ds):
        ds.PatientID = "P2" if code == "ROI_OTHER_PATIENT" else "P1"
        ds.FrameOfReferenceUID = "1.2.3"

    path = write_seg(tmp_path / "seg.dcm", {"L1": blob(pet, (1, 2, 3), (4, 5, 7))}, edit=edit)
    with pytest.raises(RoiRefused, match=code):
        load_rois(path, pet)


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, -1)])
def test_a_nifti_mask_is_turned_from_ras_to_lps_and_named_by_its_file(pet, tmp_path, flip):
    mask = blob(pet, (1, 2, 3), (4, 5, 7))
    affine = np.diag([-4.0, -4, 4, 1])  # i = column towards -x of RAS = +x of LPS
    data = mask.transpose(2, 1, 0).astype(np.int16)
    for axis, sign in enumerate(flip):
        if sign < 0:
            affine[:3, 3] += affine[:3, axis] * (data.shape[axis] - 1)
            affine[:3, axis] *= -1
            data = np.flip(data, axis)
    nib.save(nib.Nifti1Image(data, affine), tmp_path / "L1.nii.gz")
    rois = load_rois(tmp_path, pet)
    assert list(rois) == ["L1"] and rois.flags["L1"] == []
    assert np.array_equal(rois["L1"], mask)


def test_a_damaged_nifti_is_refused(pet, tmp_path):
    (tmp_path / "L1.nii.gz").write_bytes(b"no mask")
    with pytest.raises(RoiRefused, match="ROI_UNREADABLE"):
        load_rois(tmp_path, pet)


def test_one_name_in_two_files_is_refused(pet, tmp_path):
    write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(4, 4, 8)]})
    write_seg(tmp_path / "seg.dcm", {"L1": blob(pet, (1, 2, 3), (4, 5, 7))})
    with pytest.raises(RoiRefused, match="ROI_DUPLICATE_NAME"):
        load_rois(tmp_path, pet)
