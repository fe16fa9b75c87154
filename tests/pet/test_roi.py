"""Regions of interest on the PET grid (pet.md 4.1 and 4.2)."""

from itertools import permutations

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_factory import square, write_rtstruct, write_seg, write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from analysis import plan
from analysis.pet import RoiRefused, load_pet, load_rois
from analysis.pet.contour import combine_contours, contour_area, enclosed_area, fill_contour, find_distinct
from analysis.virtual_trial.contours import edge_loops


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
        "ROI_DEGENERATE_CONTOUR_DROPPED",
        "ROI_DUPLICATE_CONTOUR_DROPPED",
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


def test_a_region_naming_a_frame_its_file_does_not_declare_is_set_aside(pet, tmp_path):
    drawn = {"L1": [square(4, 4, 8)], "L2": [square(4, 12, 16)]}
    path = write_rtstruct(tmp_path / "rs.dcm", drawn, undeclared_frame)
    rois = load_rois(path, pet)
    assert list(rois) == ["L2"] and rois.refused["L1"].code == "ROI_OTHER_FRAME_OF_REFERENCE"
    rules = plan.defaults().override({"pet.roi_undeclared_frame": "flag"}).pet
    assert load_rois(path, pet, rules=rules).flags["L1"] == ["ROI_FRAME_OF_REFERENCE_UNDECLARED"]


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


# ---- contours drawn on another image of the same frame of reference


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """PET of 20 x 24 x 26 voxels of 4 mm."""
    return load_pet(write_series(tmp_path_factory.mktemp("wide"), np.ones((20, 24, 26))))


def circle(z, radius, centre=(46.0, 42.0), n=360):
    """A circle in mm, about (x, y)."""
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False)
    x, y = centre[0] + radius * np.cos(turn), centre[1] + radius * np.sin(turn)
    return np.column_stack([x, y, np.full(n, float(z))])


def ball_contours(spacing, first, radius=20.0, middle=38.0):
    positions = np.arange(first, 76, spacing)
    inside = positions[np.abs(positions - middle) < radius - 0.1]
    return [circle(z, np.sqrt(radius**2 - (z - middle) ** 2)) for z in inside]


@pytest.mark.parametrize(("spacing", "first"), [(1.0, 0.3), (2.5, 1.0), (3.0, 0.0), (5.0, 2.0)])
def test_a_ball_drawn_on_ct_planes_keeps_its_volume(wide, tmp_path, spacing, first):
    """33.5 ml; a voxel belongs if its centre lies in the nearest contour."""
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": ball_contours(spacing, first)}), wide)
    exact_ml = 4 / 3 * np.pi * 20**3 / 1000
    assert rois.flags["L1"] == ["ROI_OTHER_GRID"]
    assert rois.source_ml["L1"] == pytest.approx(exact_ml, rel=0.02)
    assert rois["L1"].sum() * 0.064 == pytest.approx(exact_ml, rel=0.06)
    planes = np.array([contour[0, 2] for contour in ball_contours(spacing, first)])
    z, y, x = np.meshgrid(*(np.arange(n) * 4.0 for n in (20, 24, 26)), indexing="ij")
    nearest = planes[np.abs(z[..., None] - planes).argmin(axis=-1)]
    wanted = ((x - 46) ** 2 + (y - 42) ** 2 <= 400 - (nearest - 38) ** 2) & (
        np.abs(z - nearest) <= spacing / 2
    )
    assert np.array_equal(rois["L1"], wanted)


def test_contours_on_every_second_slice_of_the_image_stand_for_two(wide, tmp_path):
    rois = load_rois(
        write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(z, 8, 16) for z in (8, 16, 24)]}), wide
    )
    assert np.flatnonzero(rois["L1"].any(axis=(1, 2))).tolist() == [1, 2, 3, 4, 5, 6]
    assert rois.flags["L1"] == ["ROI_OTHER_GRID"]
    assert rois.source_ml["L1"] == pytest.approx(3 * 64 * 8 / 1000)


def test_one_plane_takes_the_spacing_of_the_other_regions_of_its_file(wide, tmp_path):
    many = [square(z, 8, 16) for z in np.arange(3.0, 30.0, 2.0)]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": many, "L2": [square(41.5, 8, 16)]}), wide)
    assert not rois["L2"].any()  # 40.5 .. 42.5 mm holds no slice
    assert rois.flags["L2"] == ["ROI_OTHER_GRID", "ROI_EMPTY"]
    assert rois.source_ml["L2"] == pytest.approx(64 * 2 / 1000)


@pytest.mark.parametrize(("missing", "flags"), [(1, ["ROI_PLANE_GAP"]), (2, ["ROI_PLANE_GAP"]), (3, [])])
def test_a_plane_left_out_is_flagged_and_not_filled(wide, tmp_path, missing, flags):
    planes = [0, 1, 2, 3 + missing, 4 + missing]
    rois = load_rois(
        write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(4.0 * k, 8, 16) for k in planes]}), wide
    )
    assert np.flatnonzero(rois["L1"].any(axis=(1, 2))).tolist() == planes
    assert rois.flags["L1"] == flags


def test_two_parts_beside_each_other_leave_no_gap(wide, tmp_path):
    contours = [square(0, 8, 16), square(4, 8, 16), square(12, 40, 48), square(16, 40, 48)]
    assert load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": contours}), wide).flags["L1"] == []


def test_contours_a_little_off_their_plane_are_on_it(wide, tmp_path):
    wavy = square(8.0, 8, 16)
    wavy[:, 2] += [0.05, -0.05, 0.02, 0.0]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": [wavy, square(12.1, 8, 16)]}), wide)
    assert rois["L1"].sum(axis=(1, 2))[2:4].tolist() == [9, 9] and rois.flags["L1"] == []


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("spacing", [4.0, 2.5])
def test_sagittal_and_coronal_contours_give_the_same_ball(wide, tmp_path, axis, spacing):
    """The ball about (46, 42, 38) mm, on planes across x or across y."""
    middle = (46.0, 42.0, 38.0)
    positions = np.arange(0.0, 100.0, spacing)
    contours = []
    for at in positions[np.abs(positions - middle[axis]) < 19.9]:
        ring = circle(0, np.sqrt(400 - (at - middle[axis]) ** 2), centre=(0, 0))
        points = np.empty_like(ring)
        others = [other for other in range(3) if other != axis]
        points[:, axis] = at
        points[:, others[0]], points[:, others[1]] = (
            ring[:, 0] + middle[others[0]],
            ring[:, 1] + middle[others[1]],
        )
        contours.append(points)
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": contours}), wide)
    exact_ml = 4 / 3 * np.pi * 8
    assert rois.flags["L1"] == ["ROI_OTHER_GRID"]
    assert rois.source_ml["L1"] == pytest.approx(exact_ml, rel=0.02)
    assert rois["L1"].sum() * 0.064 == pytest.approx(exact_ml, rel=0.06)


def test_a_contour_that_is_not_flat_is_refused_and_the_others_are_kept(wide, tmp_path):
    bent = np.array([[4, 4, 4], [12, 4, 8], [12, 12, 4], [4, 12, 8.0]])
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": [bent], "L2": [square(4, 4, 8)]}), wide)
    assert list(rois) == ["L2"] and rois.refused["L1"].code == "ROI_OTHER_PLANES"


def test_regions_of_another_frame_of_reference_are_set_aside_one_by_one(pet, tmp_path):
    def edit(ds):
        ds.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "1.2.3"
        ds.ReferencedFrameOfReferenceSequence.append(pydicom.Dataset())
        ds.ReferencedFrameOfReferenceSequence[1].FrameOfReferenceUID = "1.2.3"

    rois = load_rois(
        write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(4, 4, 8)], "L2": [square(4, 4, 8)]}, edit), pet
    )
    assert list(rois) == ["L1"] and rois.flags["L1"] == []
    assert rois.refused["L2"].code == "ROI_OTHER_FRAME_OF_REFERENCE"


# ---- what contours mean together


def test_contours_stated_to_combine_by_exclusive_or_do(pet, tmp_path):
    """Two squares of 5 x 5 voxels with 3 x 3 in common; only the middle one of these is on no border."""
    overlapping = [square(4, 4, 20), square(4, 12, 28)]
    for kind, n, joined in (("CLOSED_PLANAR", 41, True), ("CLOSEDPLANAR_XOR", 40, False)):
        rois = load_rois(write_rtstruct(tmp_path / f"{kind}.dcm", {"L1": overlapping}, kind=kind), pet)
        assert rois["L1"].sum() == n
        assert ("ROI_OVERLAPPING_PARTS_JOINED" in rois.flags["L1"]) is joined
        assert "L1" not in rois.source_ml
    inner = [
        np.array([[0.5, 0.5], [0.5, 6.5], [6.5, 6.5], [6.5, 0.5]]),
        np.array([[3.5, 3.5], [3.5, 9.5], [9.5, 9.5], [9.5, 3.5]]),
    ]
    assert combine_contours(inner, (12, 12), even_odd=True)[0].sum() == 36 + 36 - 2 * 9
    assert combine_contours(inner, (12, 12))[0].sum() == 36 + 36 - 9


def test_a_contour_drawn_twice_the_other_way_round_counts_once(pet, tmp_path):
    twice = [square(4, 4, 16), np.roll(square(4, 4, 16)[::-1], 1, axis=0)]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": twice}), pet)
    assert rois["L1"].sum() == 16 and rois.flags["L1"] == ["ROI_DUPLICATE_CONTOUR_DROPPED"]


def test_the_drawn_volume_knows_holes_and_islands(pet, tmp_path):
    nested = [square(4, 0, 28), square(4, 4, 24), square(4, 10, 18)]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": nested}), pet)
    assert rois.source_ml["L1"] == pytest.approx((28**2 - 20**2 + 8**2) * 4 / 1000)


def test_contours_of_one_region_in_two_items_are_all_read(pet, tmp_path):
    def edit(ds):
        ds.ROIContourSequence[1].ReferencedROINumber = 1
        del ds.StructureSetROISequence[1]

    path = write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(4, 4, 8)], "L2": [square(8, 4, 8)]}, edit)
    assert load_rois(path, pet)["L1"].sum(axis=(1, 2)).tolist() == [0, 4, 4, 0, 0]


@pytest.mark.parametrize("text", ["1\\2\\3\\4", "1\\2\\x", "1\\2\\nan\\4\\5\\6\\7\\8\\9", "1e999\\0\\0"])
def test_contour_data_that_is_no_list_of_points_is_refused(pet, tmp_path, text):
    path = write_rtstruct(tmp_path / "rs.dcm", {"L1": [square(4, 4, 8)], "L2": [square(4, 4, 8)]})
    data = path.read_bytes()
    old = b"4\\4\\4\\8\\4\\4\\8\\8\\4\\4\\8\\4 "
    assert data.count(old) == 2
    path.write_bytes(data.replace(old, text.encode().ljust(len(old))[: len(old)], 1))
    rois = load_rois(path, pet)
    assert list(rois) == ["L2"] and rois.refused["L1"].code == "ROI_UNREADABLE"


def undefined_lengths(ds):
    for name in ("ROIContourSequence", "StructureSetROISequence"):
        ds[name].is_undefined_length = True
    for item in ds.ROIContourSequence:
        item.is_undefined_length_sequence_item = True
        item["ContourSequence"].is_undefined_length = True


def implicit(ds):
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian


def deflated(ds):
    ds.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian


def big_endian(ds):
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian


@pytest.mark.parametrize("edit", [None, undefined_lengths, implicit, deflated, big_endian])
@pytest.mark.parametrize("fast", [True, False])
def test_every_encoding_of_a_structure_set_gives_the_same_voxels(wide, tmp_path, edit, fast):
    drawn = {"L1": ball_contours(4.0, 0.0), "L2": [square(8, 8, 20)]}
    wanted = dict(load_rois(write_rtstruct(tmp_path / "plain.dcm", drawn), wide))
    rules = plan.defaults().override({"pet.fast_path": fast}).pet
    found = load_rois(write_rtstruct(tmp_path / "rs.dcm", drawn, edit), wide, rules=rules)
    assert list(found) == list(wanted)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


# ---- contours drawn twice, partly over each other, on stray planes


@pytest.mark.parametrize("off", [0.001, 0.01, 0.1])
def test_a_contour_drawn_twice_beside_its_slice_counts_once(wide, tmp_path, off):
    """Voxels 5..10 a side: 36 on each of two slices; drawn 24 mm a side on planes of 4 mm."""
    contours = [square(20, 18, 42), square(20 + off, 18, 42), square(24, 18, 42)]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": contours}), wide)
    assert rois["L1"].sum(axis=(1, 2))[4:8].tolist() == [0, 36, 36, 0]
    assert rois.flags["L1"] == ["ROI_DUPLICATE_CONTOUR_DROPPED"]
    assert rois.source_ml["L1"] == pytest.approx(24 * 24 * 8 / 1000)


def test_a_contour_drawn_twice_with_one_vertex_more_counts_once(wide, tmp_path):
    once = square(20, 18, 42)
    again = np.vstack([once[:1], [[30.0, 18.0, 20.0]], once[1:]])
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": [once, again]}), wide)
    assert rois["L1"].sum() == 36 and rois.flags["L1"] == ["ROI_DUPLICATE_CONTOUR_DROPPED"]


def test_a_sagittal_contour_drawn_twice_counts_once(wide, tmp_path):
    """20 x 20 mm on three planes 4 mm apart, one of them drawn twice: 4.8 ml."""
    turned = [square(x, 20, 40)[:, [2, 0, 1]] for x in (20, 24, 28, 24)]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": turned}), wide)
    assert rois.flags["L1"] == ["ROI_DUPLICATE_CONTOUR_DROPPED", "ROI_OTHER_GRID"]
    assert rois.source_ml["L1"] == pytest.approx(4.8) and rois["L1"].sum() == 3 * 6 * 6


def test_the_hole_of_a_thin_wall_is_no_contour_drawn_twice():
    """Both squares hold the one voxel (2, 2): 2 x 2 and 1.2 x 1.2 voxels."""
    assert load_distinct([[1.1, 1.1], [1.1, 2.9], [2.9, 2.9], [2.9, 1.1]], scale=0.67) == [0, 1]
    assert load_distinct([[1.1, 1.1], [1.1, 2.9], [2.9, 2.9], [2.9, 1.1]], scale=0.99) == [0]


def load_distinct(points, scale):
    points = np.array(points)
    return find_distinct([points, 2 + (points - 2) * scale], (9, 9), 1e-6, 0.05)


def test_planes_on_both_sides_of_a_slice_are_that_slice(wide, tmp_path):
    """0.17 mm below and above slice 2 lie 4 x 4 and 6 x 6 voxels beside each other."""
    contours = [square(7.83, 4, 16), square(8.17, 40, 60), square(12, 4, 16), square(16, 4, 16)]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": contours}), wide)
    assert rois["L1"].sum(axis=(1, 2))[1:6].tolist() == [0, 52, 16, 16, 0] and rois.flags["L1"] == []


def test_parts_that_overlap_by_less_than_a_voxel_are_joined(wide, tmp_path):
    """The second square reaches 1 mm beyond the first: no voxel centre of its own, 7 x 7 in all."""
    contours = [square(8, 2, 30), square(8, 22, 31, (10, 14))]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": contours}), wide)
    assert rois["L1"].sum() == 49 and rois.flags["L1"] == ["ROI_OVERLAPPING_PARTS_JOINED"]
    assert "L1" not in rois.source_ml


def test_overlapping_parts_without_a_vertex_in_each_other_are_joined():
    """A cross of 8 x 2 and 2 x 8, and a pair that shares its side lines: rows 0..4 and 2..6 of four columns."""
    bar = np.array([[0.5, 3.5], [0.5, 5.5], [8.5, 5.5], [8.5, 3.5]])
    mask, joined = combine_contours([bar, bar[:, ::-1]], (12, 12))
    assert (mask.sum(), joined) == (16 + 16 - 4, True)
    box = np.array([[0.5, 0.5], [0.5, 4.5], [4.5, 4.5], [4.5, 0.5]])
    mask, joined = combine_contours([box, box + [2, 0]], (12, 12))
    assert (mask.sum(), joined) == (6 * 4, True)
    assert np.isnan(enclosed_area([box, box + [2, 0]]))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_contour_across_a_ring_and_its_hole_is_added_whatever_the_order(order):
    """Ring 81 - 9; rows 4..5, columns 5..11: two voxels of the hole column pair 5..6 twice, and two beyond."""
    across = np.array([[3.75, 4.5], [3.75, 11.5], [5.5, 11.5], [5.5, 4.5]])
    contours = [OUTER, INNER, across]
    mask, joined = combine_contours([contours[at] for at in order], (12, 13))
    assert (mask.sum(), joined) == (81 - 9 + 2 * 2 + 2 * 2, True)


def test_a_hole_in_what_two_parts_share_stays_a_hole():
    """Columns 1..9 and 3..11 of rows 1..9; the hole 3 x 3 lies in both."""
    mask, joined = combine_contours([OUTER, OUTER + [0, 2], INNER + [0, 1]], (12, 13))
    assert (mask.sum(), joined) == (9 * 11 - 9, True)


@pytest.mark.parametrize("stray", [[], [21.5]])
def test_a_stray_plane_changes_no_other(wide, tmp_path, stray):
    """Planes 3 mm apart from 12 to 30 mm reach from 10.5 to 31.5 mm: slices 12 to 28, 21 mm in all."""
    contours = [square(z, 20, 40) for z in [*range(12, 31, 3), *stray]]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": contours}), wide)
    assert np.flatnonzero(rois["L1"].any(axis=(1, 2))).tolist() == [3, 4, 5, 6, 7]
    assert rois.source_ml["L1"] == pytest.approx(20 * 20 * 21 / 1000)


def test_a_region_on_the_slices_of_the_image_takes_no_spacing_of_another(wide, tmp_path):
    drawn = {"LIVER": [square(z, 20, 40) for z in (20, 30, 40, 50)], "L1": [square(12, 4, 12)]}
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", drawn), wide)
    assert np.flatnonzero(rois["L1"].any(axis=(1, 2))).tolist() == [3] and rois.flags["L1"] == []
    assert rois.source_ml["L1"] == pytest.approx(8 * 8 * 4 / 1000)


def test_planes_closer_than_the_tolerance_are_no_chain(tmp_path):
    """101 planes of 0.2 mm from 20 to 40 mm on slices of 5 mm: 20.2 mm thick; slices 20 to 40 mm."""
    image = load_pet(
        write_series(tmp_path / "pet", np.ones((12, 20, 20)), positions_mm=[5.0 * k for k in range(12)])
    )
    contours = [square(20 + 0.2 * k, 20, 40) for k in range(101)]
    rois = load_rois(write_rtstruct(tmp_path / "rs.dcm", {"L1": contours}), image)
    assert np.flatnonzero(rois["L1"].any(axis=(1, 2))).tolist() == [4, 5, 6, 7, 8]
    assert rois.source_ml["L1"] == pytest.approx(20 * 20 * 20.2 / 1000)


# ---- there and back


def blobs(shape, n, seed):
    """Ragged regions with holes and several parts on a slice."""
    rng = np.random.default_rng(seed)
    for at in range(n):
        noise = ndimage.gaussian_filter(rng.normal(size=shape), 1.3)
        mask = noise > np.quantile(noise, 0.85)
        mask[:, :1], mask[:, -1:], mask[:, :, :1], mask[:, :, -1:] = False, False, False, False
        yield f"L{at + 1}", mask


def trace_edges(plane):
    """Outlines along the edges of voxels, as `voxel_edge` writers and the virtual trial do."""
    return [loop - 0.5 for loop in edge_loops(plane)]


_COMPASS = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]


def trace_centres(plane):
    """Outlines through the centres of the border voxels (Moore tracing), as cv2.findContours and rt-utils do.

    Holes are traced through the centres of the region's voxels around them, as cv2 does.
    """
    found = []
    parts, n = ndimage.label(plane, structure=np.ones((3, 3)))
    for part in range(1, n + 1):
        mask = parts == part
        found.append(_moore(mask))
        holes, m = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)
        for hole in range(1, m + 1):
            ring = ndimage.binary_dilation(holes == hole, structure=np.ones((3, 3)))
            found.append(_moore(ring))
    return [loop for loop in found if len(loop) >= 3]


def _moore(mask):
    start = tuple(np.argwhere(mask)[0])
    inside = set(map(tuple, np.argwhere(mask)))
    path, here, came = [start], start, 4
    while True:
        for turn in range(1, 9):
            at = (came + turn) % 8
            step = (here[0] + _COMPASS[at][0], here[1] + _COMPASS[at][1])
            if step in inside:
                break
        else:
            return np.array(path)
        if here == start and len(path) > 1 and step == path[1]:
            return np.array(path[:-1])
        here, came = step, (at + 4) % 8
        path.append(here)


def back_from(path, pet, trace, masks):
    def contours(mask):
        for k in np.flatnonzero(mask.any(axis=(1, 2))):
            for loop in trace(mask[k]):
                yield np.column_stack([loop[:, 1] * 4.0, loop[:, 0] * 4.0, np.full(len(loop), k * 4.0)])

    return load_rois(write_rtstruct(path, {name: list(contours(mask)) for name, mask in masks.items()}), pet)


def test_regions_traced_along_voxel_edges_come_back_voxel_by_voxel(wide, tmp_path):
    masks = dict(blobs((20, 24, 26), 6, seed=11))
    rois = back_from(tmp_path / "rs.dcm", wide, trace_edges, masks)
    for name, mask in masks.items():
        assert np.array_equal(rois[name], mask), name
        assert rois.source_ml[name] == pytest.approx(mask.sum() * 0.064)


def test_regions_traced_through_voxel_centres_come_back_voxel_by_voxel(wide, tmp_path):
    """The inclusive rule of pet.md 4.1. A part one voxel wide encloses no area there, so parts are thickened."""
    masks = {}
    for name, mask in blobs((20, 24, 26), 6, seed=12):
        opened = [ndimage.binary_opening(plane, structure=np.ones((3, 3))) for plane in mask]
        masks[name] = np.array(opened)
    rois = back_from(tmp_path / "rs.dcm", wide, trace_centres, masks)
    for name, mask in masks.items():
        assert mask.any() and np.array_equal(rois[name], mask), name
