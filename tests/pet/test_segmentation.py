"""Segmentations and NIfTI masks in every form they come in (pet.md 4.2)."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_factory import square, write_rtstruct, write_seg, write_series
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from analysis import plan
from analysis.pet import RoiRefused, load_pet, load_rois

SHAPE = (5, 7, 9)  # 63 voxels a slice: frames of one bit do not end at a byte
STEP = 4.0


@pytest.fixture(scope="module")
def pet(tmp_path_factory):
    return load_pet(write_series(tmp_path_factory.mktemp("pet"), np.ones(SHAPE)))


@pytest.fixture(scope="module")
def masks():
    rng = np.random.default_rng(3)
    found = {name: rng.random(SHAPE) < 0.3 for name in ("L1", "L2", "L3")}
    found["L2"][2] = False  # an empty frame between
    found["L1"][:, 0], found["L1"][:, :, -1] = False, False
    return found


def single(masks, kind):
    """The masks; a label map cannot hold a voxel twice."""
    if kind != "LABELMAP":
        return masks
    return {
        "L1": masks["L1"],
        "L2": masks["L2"] & ~masks["L1"],
        "L3": masks["L3"] & ~masks["L1"] & ~masks["L2"],
    }


def rewrite(path, edit):
    ds = pydicom.dcmread(path)
    edit(ds)
    ds.save_as(path, enforce_file_format=True)
    return path


def override(**changes):
    return plan.defaults().override({f"pet.{name}": value for name, value in changes.items()}).pet


def check(rois, masks):
    assert list(rois) == list(masks)
    for name, mask in masks.items():
        assert np.array_equal(rois[name], mask), name


# ---- encodings


def undefined_lengths(ds):
    for name in ("PerFrameFunctionalGroupsSequence", "SegmentSequence"):
        ds[name].is_undefined_length = True
    for item in ds.PerFrameFunctionalGroupsSequence:
        item.is_undefined_length_sequence_item = True
        item["PlanePositionSequence"].is_undefined_length = True


def implicit(ds):
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


def deflated(ds):
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def rle(ds):
    ds.compress(RLELossless, encoding_plugin="pydicom")  # gdcm aborts on frames of odd size


def jpeg_ls(ds):
    ds.compress(JPEGLSLossless)


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("edit", [None, undefined_lengths, implicit, deflated, rle, jpeg_ls])
@pytest.mark.parametrize("fast", [True, False])
def test_every_encoding_gives_the_same_voxels(pet, masks, tmp_path, kind, edit, fast):
    if kind == "BINARY" and edit in (rle, jpeg_ls):
        pytest.skip("one-bit frames are not compressed this way")
    wanted = single(masks, kind)
    path = write_seg(tmp_path / "seg.dcm", wanted, kind)
    if edit:
        rewrite(path, edit)
    check(load_rois(path, pet, rules=override(fast_path=fast)), wanted)


def test_a_frame_of_nothing_makes_no_voxel(pet, masks, tmp_path):
    def blank(ds):
        ds.PixelData = bytes(len(ds.PixelData))

    rois = load_rois(write_seg(tmp_path / "seg.dcm", masks, edit=blank), pet)
    assert all(flags == ["ROI_EMPTY"] for flags in rois.flags.values()) and not rois["L1"].any()
    assert rois.source_ml == {"L1": 0.0, "L2": 0.0, "L3": 0.0}


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 3), (4, 3, 5), (2, 8, 8), (9, 2, 2)])
def test_tiny_frames_that_share_bytes_are_told_apart(tmp_path, shape):
    pet = load_pet(write_series(tmp_path / "pet", np.ones(shape)))
    rng = np.random.default_rng(1)
    for at in range(6):
        masks = {name: rng.random(shape) < 0.4 for name in ("L1", "L2")}
        masks["L1"].flat[0] = masks["L2"].flat[-1] = True
        check(load_rois(write_seg(tmp_path / f"seg{at}.dcm", masks), pet), masks)


def test_the_number_of_frames_may_be_missing(pet, masks, tmp_path):
    def edit(ds):
        del ds.NumberOfFrames

    check(load_rois(write_seg(tmp_path / "seg.dcm", masks, edit=edit), pet), masks)


def test_a_label_map_of_sixteen_bits_and_a_palette_keeps_its_numbers(pet, masks, tmp_path):
    def edit(ds):
        values = np.frombuffer(ds.PixelData, np.uint8).astype(np.uint16)
        values[values == 2] = 300
        ds.SegmentSequence[1].SegmentNumber = 300
        ds.PixelData = values.astype("<u2").tobytes()
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit = 15
        ds.PhotometricInterpretation = "PALETTE COLOR"

    wanted = single(masks, "LABELMAP")
    rois = load_rois(write_seg(tmp_path / "seg.dcm", wanted, "LABELMAP", edit), pet)
    assert set(rois) == set(wanted)
    for name, mask in wanted.items():
        assert np.array_equal(rois[name], mask), name


def test_the_background_of_a_label_map_is_no_region(pet, masks, tmp_path):
    def edit(ds):
        values = np.frombuffer(ds.PixelData, np.uint8).copy()
        values[values == 0] = 9
        ds.PixelData = values.tobytes()
        ds.PixelPaddingValue = 9
        ds.SegmentSequence.append(Dataset())
        ds.SegmentSequence[-1].SegmentNumber, ds.SegmentSequence[-1].SegmentLabel = 9, "Background"

    wanted = single(masks, "LABELMAP")
    check(load_rois(write_seg(tmp_path / "seg.dcm", wanted, "LABELMAP", edit), pet), wanted)


def test_a_label_map_by_highdicom_is_read_back(tmp_path, masks):
    import highdicom as hd
    from pydicom.sr.codedict import codes

    def edit(ds, _):
        ds.PatientName, ds.PatientBirthDate, ds.AccessionNumber = "A^B", "", ""
        ds.StudyID = ds.ReferringPhysicianName = ""

    folder = write_series(tmp_path / "pet", np.ones(SHAPE), edit=edit)
    source = [pydicom.dcmread(file) for file in sorted(folder.glob("*.dcm"))]
    wanted = dict(list(single(masks, "LABELMAP").items())[:2])
    labels = sum(number * mask for number, mask in enumerate(wanted.values(), start=1)).astype(np.uint8)
    segments = [
        hd.seg.SegmentDescription(
            number, name, codes.SCT.Neoplasm, codes.SCT.Neoplasm, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for number, name in enumerate(wanted, start=1)
    ]
    types = hd.seg.SegmentationTypeValues
    seg = hd.seg.Segmentation(
        source, labels, types.LABELMAP, segments, "1.2.3.4", 1, "1.2.3.5", 1, "X", "X", "1", "1"
    )
    seg.save_as(tmp_path / "seg.dcm")
    check(load_rois(tmp_path / "seg.dcm", load_pet(folder)), wanted)


# ---- what a fraction means


@pytest.mark.parametrize("kind", ["OCCUPANCY", "PROBABILITY"])
def test_only_occupancy_sums_up_to_a_volume(pet, tmp_path, kind):
    """Stored 200, 100, 50 of 200: full, half and a quarter; from a half on a voxel belongs."""

    def edit(ds):
        values = np.frombuffer(ds.PixelData, np.uint8).reshape(-1, 7, 9).copy()
        values[0, 3, 3:6] = [200, 100, 50]
        ds.PixelData = values.tobytes() + b"\0" * (values.size % 2)
        ds.SegmentationFractionalType = kind

    mask = np.zeros(SHAPE, bool)
    mask[2, 3, 3] = True
    rois = load_rois(write_seg(tmp_path / "seg.dcm", {"L1": mask}, "FRACTIONAL", edit), pet)
    assert np.argwhere(rois["L1"]).tolist() == [[2, 3, 3], [2, 3, 4]]
    assert rois.flags["L1"] == [f"ROI_FRACTIONAL_{kind}"]
    assert rois.source_ml["L1"] == pytest.approx(0.064 * (1.75 if kind == "OCCUPANCY" else 2))
    strict = load_rois(tmp_path / "seg.dcm", pet, rules=override(seg_fraction=0.75))
    assert strict["L1"].sum() == 1


# ---- placement


def turned(rows, columns, first):
    """Give every frame its own orientation and position, from the position of its first voxel."""

    def edit(ds):
        ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient = [
            *map(float, rows),
            *map(float, columns),
        ]
        for group in ds.PerFrameFunctionalGroupsSequence:
            position = group.PlanePositionSequence[0]
            z = position.ImagePositionPatient[2]
            position.ImagePositionPatient = [*map(float, first), z]

    return edit


@pytest.mark.parametrize("fast", [True, False])
def test_mirrored_and_transposed_frames_are_placed_by_their_orientation(pet, masks, tmp_path, fast):
    rules = override(fast_path=fast)
    far_x, far_y = (SHAPE[2] - 1) * STEP, (SHAPE[1] - 1) * STEP
    mirrored = {name: mask[:, ::-1, ::-1] for name, mask in masks.items()}
    path = write_seg(tmp_path / "m.dcm", mirrored, edit=turned((-1, 0, 0), (0, -1, 0), (far_x, far_y)))
    check(load_rois(path, pet, rules=rules), masks)
    transposed = {name: mask.transpose(0, 2, 1) for name, mask in masks.items()}
    path = write_seg(tmp_path / "t.dcm", transposed, edit=turned((0, 1, 0), (1, 0, 0), (0, 0)))
    check(load_rois(path, pet, rules=rules), masks)


def test_sagittal_frames_are_placed_voxel_by_voxel(pet, masks, tmp_path):
    """Frames along x; rows of a frame run down z, columns along y."""

    def edit(ds):
        shared = ds.SharedFunctionalGroupsSequence[0]
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
        for group in ds.PerFrameFunctionalGroupsSequence:
            position = group.PlanePositionSequence[0]
            position.ImagePositionPatient = [position.ImagePositionPatient[2], 0.0, (SHAPE[0] - 1) * STEP]

    sagittal = {name: mask.transpose(2, 0, 1)[:, ::-1] for name, mask in masks.items()}
    check(load_rois(write_seg(tmp_path / "seg.dcm", sagittal, edit=edit), pet), masks)


def test_a_segment_partly_outside_the_image_is_clipped(pet, tmp_path):
    def edit(ds):
        for group in ds.PerFrameFunctionalGroupsSequence:
            position = group.PlanePositionSequence[0]
            x, y, z = position.ImagePositionPatient
            position.ImagePositionPatient = [x - 2 * STEP, y, z + 3 * STEP]

    mask = np.ones(SHAPE, bool)
    rois = load_rois(write_seg(tmp_path / "seg.dcm", {"L1": mask}, edit=edit), pet)
    wanted = np.zeros(SHAPE, bool)
    wanted[3:, :, :-2] = True
    assert np.array_equal(rois["L1"], wanted) and rois.flags["L1"] == ["ROI_CLIPPED"]
    assert rois.source_ml["L1"] == pytest.approx(mask.size * 0.064)


def test_a_segmentation_without_frame_of_reference_is_flagged(pet, masks, tmp_path):
    def edit(ds):
        del ds.FrameOfReferenceUID

    rois = load_rois(write_seg(tmp_path / "seg.dcm", masks, edit=edit), pet)
    assert np.array_equal(rois["L1"], masks["L1"])
    assert rois.flags["L1"][0] == "ROI_FRAME_OF_REFERENCE_UNKNOWN"


# ---- another grid in the same frame of reference (drawn on CT)


def ball(shape, spacing, centre, radius):
    axes = np.meshgrid(*(np.arange(n) * step for n, step in zip(shape, spacing)), indexing="ij", sparse=True)
    return sum((axis - at) ** 2 for axis, at in zip(axes, centre)) <= radius**2


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """PET of 20 x 24 x 24 voxels of 4 mm."""
    return load_pet(write_series(tmp_path_factory.mktemp("wide"), np.ones((20, 24, 24))))


@pytest.mark.parametrize("rule", ["nearest", "coverage"])
def test_a_ball_drawn_on_a_fine_grid_keeps_its_volume_on_the_coarse_one(wide, tmp_path, rule):
    """A ball of 20 mm: 33.5 ml; its own 2 mm grid holds it within 1 %. A voxel of 4 mm then stands for half of
    the fine voxels at its border, on average."""
    fine = ball((40, 48, 48), (2, 2, 2), (37, 45, 47), 20.0)
    path = write_seg(tmp_path / "ct.dcm", {"L1": fine}, pixel_mm=2.0, step_mm=2.0)
    rois = load_rois(path, wide, rules=override(roi_resample=rule))
    exact_ml = 4 / 3 * np.pi * 20.0**3 / 1000
    assert rois.source_ml["L1"] == pytest.approx(fine.sum() * 0.008)
    assert rois.source_ml["L1"] == pytest.approx(exact_ml, rel=0.01)
    assert rois["L1"].sum() * 0.064 == pytest.approx(exact_ml, rel=0.04)
    assert rois.flags["L1"] == ["ROI_OTHER_GRID"]
    if rule == "nearest":  # every second fine centre is a coarse one
        assert np.array_equal(rois["L1"], fine[::2, ::2, ::2])


@pytest.mark.parametrize(("limit", "n"), [(0.55, 2), (0.45, 3), (0.1, 4)])
def test_coverage_counts_the_covered_share_of_a_voxel(wide, tmp_path, limit, n):
    """Fine voxels of 1 mm cover x = 8.5 to 18.5 mm; voxels of 4 mm end at 6, 10, 14, 18, 22 mm: covered 1.5/4,
    1, 1, 0.5/4. One fine voxel more at either end: 2.5/4, 1, 1, 1.5/4."""
    fine = np.zeros((80, 96, 96), bool)
    fine[30:42, 30:42, 9:19] = True
    if n == 3:
        fine[30:42, 30:42, 8] = fine[30:42, 30:42, 19] = True
    path = write_seg(tmp_path / "ct.dcm", {"L1": fine}, pixel_mm=1.0, step_mm=1.0)
    rois = load_rois(
        path, wide, rules=override(roi_resample="coverage", roi_coverage=limit, roi_coverage_samples=8)
    )
    assert rois["L1"][9, 9].sum() == n


def test_frames_further_apart_than_the_slices_fill_the_slices_between(wide, tmp_path):
    """Frames every 8 mm on the image's own rows and columns: each stands for two slices."""
    coarse = np.zeros((10, 24, 24), bool)
    coarse[3:6, 5:9, 5:9] = True

    def edit(ds):
        ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = "8.0"

    rois = load_rois(write_seg(tmp_path / "ct.dcm", {"L1": coarse}, step_mm=8.0, edit=edit), wide)
    assert rois["L1"].any(axis=(1, 2)).sum() == 6 and rois.flags["L1"] == ["ROI_OTHER_GRID"]
    assert rois.source_ml["L1"] == pytest.approx(48 * 0.128)
    assert rois["L1"].sum() * 0.064 == pytest.approx(rois.source_ml["L1"])


def test_a_spacing_the_frames_contradict_is_not_believed(wide, tmp_path):
    mask = np.zeros((20, 24, 24), bool)
    mask[3:6, 5:9, 5:9] = True

    def edit(ds):
        ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = "8.0"

    rois = load_rois(write_seg(tmp_path / "seg.dcm", {"L1": mask}, edit=edit), wide)
    assert np.array_equal(rois["L1"], mask) and rois.flags["L1"] == []


def between(value):
    def edit(ds):
        measures = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        if value:
            measures.SpacingBetweenSlices = str(value)
        else:
            del measures.SliceThickness

    return edit


@pytest.mark.parametrize(("edit", "thick_mm"), [(None, 3.0), (between(2.99), 2.99), (between(None), 4.0)])
def test_frames_of_lesions_far_apart_are_as_thick_as_the_header_says(wide, tmp_path, edit, thick_mm):
    """20 x 20 mm on one plane of 3 mm each, at 9 and 60 mm: 1.2 ml; slices 8 and 60 mm lie in them.

    Without any thickness a frame is as thick as a slice of the image.
    """
    drawn = {name: np.zeros((22, 40, 40), bool) for name in ("L1", "L2")}
    drawn["L1"][3, 10:20, 10:20] = drawn["L2"][20, 10:20, 10:20] = True
    path = write_seg(tmp_path / "ct.dcm", drawn, edit=edit, pixel_mm=2.0, step_mm=3.0)
    rois = load_rois(path, wide)
    for name, slice_ in (("L1", 2), ("L2", 15)):
        assert np.flatnonzero(rois[name].any(axis=(1, 2))).tolist() == [slice_]
        assert rois.source_ml[name] == pytest.approx(400 * thick_mm / 1000)


def test_thick_frames_on_planes_of_the_image_fill_the_slices_between(wide, tmp_path):
    """Four frames of 8 mm at 16 to 40 mm, 5 x 5 voxels of 4 mm: 12 to 44 mm, 12.8 ml; no spacing stated."""
    coarse = np.zeros((10, 24, 24), bool)
    coarse[2:6, 5:10, 5:10] = True
    rois = load_rois(write_seg(tmp_path / "seg.dcm", {"L1": coarse}, step_mm=8.0), wide)
    assert np.flatnonzero(rois["L1"].any(axis=(1, 2))).tolist() == [3, 4, 5, 6, 7, 8, 9, 10]
    assert rois.source_ml["L1"] == pytest.approx(12.8) and rois.flags["L1"] == ["ROI_OTHER_GRID"]


@pytest.mark.parametrize(("missing", "flags"), [(1, ["ROI_PLANE_GAP"]), (2, ["ROI_PLANE_GAP"]), (3, [])])
def test_frames_left_out_within_a_lesion_are_flagged(wide, tmp_path, missing, flags):
    mask = np.zeros((20, 24, 24), bool)
    mask[[3, 4, 5 + missing], 5:9, 5:9] = True
    rois = load_rois(write_seg(tmp_path / "seg.dcm", {"L1": mask}), wide)
    assert np.array_equal(rois["L1"], mask) and rois.flags["L1"] == flags


@pytest.mark.parametrize(
    ("positions", "flag"),
    [
        ([4.0 * k for k in (*range(10), *range(20, 30))], "MISSING_SLICES"),
        ([4.0 * k for k in range(10)] + [40 + 4.19 * k for k in range(10)], "SPACING_UNEVEN"),
    ],
)
def test_a_mask_on_another_grid_meets_uneven_slices_where_they_lie(tmp_path, positions, flag):
    """Planes every 0.5 mm at 20 to 32 mm hold the slices at 20, 24, 28 and 32 mm, whatever the slices above."""
    image = load_pet(write_series(tmp_path / "pet", np.ones((20, 20, 20)), positions_mm=positions))
    assert flag in image.facts["flags"]
    data = np.zeros((40, 40, 70), np.uint8)
    data[10:21, 10:21, 40:65] = 1
    nib.save(nib.Nifti1Image(data, np.diag([-2.0, -2, 0.5, 1])), tmp_path / "L1.nii.gz")
    rois = load_rois(tmp_path / "L1.nii.gz", image)
    assert np.flatnonzero(rois["L1"].any(axis=(1, 2))).tolist() == [5, 6, 7, 8]


def test_an_oblique_mask_is_turned_into_place(wide, tmp_path):
    """A ball on a grid turned by 30 degrees about z is the same ball."""
    turn = np.radians(30)
    axes = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    centre = np.array([46.0, 46.0, 38.0])  # x, y, z
    affine = np.eye(4)
    affine[:3, :3] = axes * [2, 2, 2]
    affine[:3, 3] = centre - axes @ [40.0, 40.0, 40.0]
    data = ball((41, 41, 41), (2, 2, 2), (40, 40, 40), 20.0).astype(np.uint8)
    nib.save(nib.Nifti1Image(data, np.diag([-1, -1, 1, 1]) @ affine), tmp_path / "L1.nii.gz")
    rois = load_rois(tmp_path / "L1.nii.gz", wide)
    near = ball((20, 24, 24), (4, 4, 4), (38, 46, 46), 20.0)
    away = np.linalg.norm(np.argwhere(rois["L1"] != near) * 4.0 - [38, 46, 46], axis=1)
    assert np.all(np.abs(away - 20.0) <= np.sqrt(3))  # half a diagonal of the mask's voxels
    assert rois["L1"].sum() * 0.064 == pytest.approx(4 / 3 * np.pi * 8, rel=0.04)


# ---- what cannot be read


def no_position(ds):
    del ds.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def no_segment(ds):
    del ds.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence


def short_pixels(ds):
    ds.PixelData = ds.PixelData[: len(ds.PixelData) // 4 * 2]


def another_count(ds):
    ds.NumberOfFrames = 3


def no_finite_place(ds):
    ds.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = ["nan", "0", "0"]


def no_segments(ds):
    del ds.SegmentSequence


@pytest.mark.parametrize(
    "edit", [no_position, no_segment, short_pixels, another_count, no_finite_place, no_segments]
)
@pytest.mark.parametrize("fast", [True, False])
def test_a_segmentation_that_lacks_a_part_is_refused(pet, masks, tmp_path, edit, fast):
    with pydicom.config.disable_value_validation():
        path = write_seg(tmp_path / "seg.dcm", masks, edit=edit)
    with pytest.raises(RoiRefused, match="ROI_UNREADABLE"):
        load_rois(path, pet, rules=override(fast_path=fast))


def test_frames_of_one_segment_in_several_directions_are_refused(pet, masks, tmp_path):
    def edit(ds):
        item = Dataset()
        item.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]
        ds.PerFrameFunctionalGroupsSequence[0].PlaneOrientationSequence = [item]

    with pytest.raises(RoiRefused, match="ROI_OTHER_PLANES"):
        load_rois(write_seg(tmp_path / "seg.dcm", masks, edit=edit), pet)


def test_a_segment_with_frames_but_without_declaration_is_read_and_flagged(pet, masks, tmp_path):
    def edit(ds):
        del ds.SegmentSequence[1]

    rois = load_rois(write_seg(tmp_path / "seg.dcm", masks, edit=edit), pet)
    assert np.array_equal(rois["segment 2"], masks["L2"])
    assert "ROI_SEGMENT_UNDECLARED" in rois.flags["segment 2"]


def test_a_cut_segmentation_is_refused_wherever_it_is_cut(pet, masks, tmp_path):
    path = write_seg(tmp_path / "seg.dcm", masks)
    whole = path.read_bytes()
    for share in range(2, 20):
        path.write_bytes(whole[: len(whole) * share // 20])
        with pytest.raises(RoiRefused, match="ROI_UNREADABLE"):
            load_rois(path, pet)


# ---- NIfTI


def nifti(path, data, affine=None):
    """Write a mask given as (slice, row, column) on the grid of the PET."""
    affine = np.diag([-STEP, -STEP, STEP, 1]) if affine is None else affine
    nib.save(nib.Nifti1Image(np.asarray(data).transpose(2, 1, 0), affine), path)
    return path


def test_labels_of_one_file_are_regions_named_by_file_and_number(pet, masks, tmp_path):
    wanted = single(masks, "LABELMAP")
    labels = sum(number * mask.astype(np.int16) for number, mask in zip((1, 2, 7), wanted.values()))
    rois = load_rois(nifti(tmp_path / "lesions.nii.gz", labels), pet)
    assert list(rois) == ["lesions_1", "lesions_2", "lesions_7"]
    for name, mask in zip(rois, wanted.values()):
        assert np.array_equal(rois[name], mask)


@pytest.mark.parametrize(("value", "name"), [(1, "L1"), (1.0, "L1"), (2, "L1_2"), (255, "L1"), (3.0, "L1_3")])
def test_a_plain_mask_is_named_by_its_file_and_a_label_left_alone_keeps_its_number(
    pet, masks, tmp_path, value, name
):
    dtype = np.float32 if isinstance(value, float) else np.uint8
    rois = load_rois(nifti(tmp_path / "L1.nii", (masks["L1"] * value).astype(dtype)), pet)
    assert list(rois) == [name] and np.array_equal(rois[name], masks["L1"])


def test_fractions_belong_from_a_half_on_and_are_flagged(pet, tmp_path):
    shares = np.zeros(SHAPE, np.float32)
    shares[1, 1, 1:4] = [0.49, 0.5, 1.0]
    rois = load_rois(nifti(tmp_path / "L1.nii", shares), pet)
    assert np.argwhere(rois["L1"]).tolist() == [[1, 1, 2], [1, 1, 3]]
    assert rois.flags["L1"] == ["ROI_FRACTIONAL_UNKNOWN"]


@pytest.mark.parametrize(
    "values", [np.linspace(-1000, 1000, 315), np.linspace(0, 8.7, 315), np.arange(315), np.full(315, 1e6)]
)
def test_an_image_is_not_taken_for_a_mask(pet, tmp_path, values):
    with pytest.raises(RoiRefused, match="ROI_NOT_A_MASK"):
        load_rois(nifti(tmp_path / "ct.nii", values.reshape(SHAPE).astype(np.float32)), pet)


def test_four_dimensions_of_one_volume_are_read_and_several_refused(pet, masks, tmp_path):
    data = masks["L1"].transpose(2, 1, 0)[..., None].astype(np.uint8)
    affine = np.diag([-STEP, -STEP, STEP, 1])
    nib.save(nib.Nifti1Image(data, affine), tmp_path / "L1.nii.gz")
    assert np.array_equal(load_rois(tmp_path / "L1.nii.gz", pet)["L1"], masks["L1"])
    nib.save(nib.Nifti1Image(np.repeat(data, 2, axis=3), affine), tmp_path / "L1.nii.gz")
    with pytest.raises(RoiRefused, match=r"three dimensions expected, found .* in 4"):
        load_rois(tmp_path / "L1.nii.gz", pet)


def test_the_sform_places_a_mask_and_a_differing_qform_is_flagged(pet, masks, tmp_path):
    image = nib.Nifti1Image(masks["L1"].transpose(2, 1, 0).astype(np.uint8), None)
    affine = np.diag([-STEP, -STEP, STEP, 1])
    image.header.set_qform(affine, code=1)
    nib.save(image, tmp_path / "L1.nii")
    rois = load_rois(tmp_path / "L1.nii", pet)
    assert np.array_equal(rois["L1"], masks["L1"]) and rois.flags["L1"] == []
    shifted = affine.copy()
    shifted[0, 3] = 50.0
    image.header.set_qform(shifted, code=1)
    image.header.set_sform(affine, code=1)
    nib.save(image, tmp_path / "L1.nii")
    rois = load_rois(tmp_path / "L1.nii", pet)
    assert np.array_equal(rois["L1"], masks["L1"]) and rois.flags["L1"] == ["ROI_FORMS_DISAGREE"]


def test_a_mask_that_says_nowhere_where_it_lies_is_refused(pet, masks, tmp_path):
    image = nib.Nifti1Image(masks["L1"].transpose(2, 1, 0).astype(np.uint8), None)
    image.header.set_qform(None, code=0)
    image.header.set_sform(None, code=0)
    nib.save(image, tmp_path / "L1.nii")
    with pytest.raises(RoiRefused, match="ROI_GEOMETRY_MISSING"):
        load_rois(tmp_path / "L1.nii", pet)


def test_an_empty_mask_is_kept_and_flagged(pet, tmp_path):
    rois = load_rois(nifti(tmp_path / "L1.nii", np.zeros(SHAPE, np.uint8)), pet)
    assert rois.flags["L1"] == ["ROI_EMPTY"] and rois.voxels["L1"].n_voxels == 0


def test_regions_that_share_voxels_are_found_by_their_boxes(pet, tmp_path):
    one, two, three = (np.zeros(SHAPE, np.uint8) for _ in range(3))
    one[1:3, 1:3, 1:3] = two[2:4, 2:4, 2:4] = three[3:, 3:, 3:] = 1
    three[3, 3, 3] = 0  # the boxes meet, the voxels do not
    for name, data in (("L1", one), ("L2", two), ("L3", three)):
        nifti(tmp_path / f"{name}.nii", data)
    flags = load_rois(tmp_path, pet).flags
    assert flags == {"L1": ["ROI_SHARES_VOXELS"], "L2": ["ROI_SHARES_VOXELS"], "L3": []}


def test_uneven_slices_take_the_frame_that_lies_on_them(tmp_path):
    """Slices 4 mm apart but for small shifts, frames at exactly their positions."""
    positions = [0.0, 4.0, 8.1, 12.0, 16.0]
    pet = load_pet(write_series(tmp_path / "pet", np.ones(SHAPE), positions_mm=positions))
    mask = np.zeros(SHAPE, bool)
    mask[1:4, 2:5, 3:6] = True

    def edit(ds):
        for group, z in zip(ds.PerFrameFunctionalGroupsSequence, (12.0, 8.1, 4.0)):
            group.PlanePositionSequence[0].ImagePositionPatient = [0.0, 0.0, z]

    rois = load_rois(write_seg(tmp_path / "seg.dcm", {"L1": mask}, edit=edit), pet)
    assert np.array_equal(rois["L1"], mask) and rois.flags["L1"] == []


def test_an_image_object_needs_no_more_than_its_grid(masks, pet, tmp_path):
    """Readers use values, spacing, grid and two facts of the image; nothing full-size is made."""
    facts = {key: pet.facts[key] for key in ("patient_id", "frame_of_reference_uid")}
    bare = SimpleNamespace(values=pet.values, spacing_mm=pet.spacing_mm, grid=pet.grid, facts=facts)
    rois = load_rois(write_seg(tmp_path / "seg.dcm", masks), bare)
    assert rois.voxels["L1"].mask.size < pet.values.size


# ---- damage


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP", "RTSTRUCT"])
def test_a_damaged_file_is_refused_with_a_code_or_read_alike_by_both_readers(pet, masks, tmp_path, kind):
    """A few bytes of the file are changed at random, 100 times."""
    rng = np.random.default_rng(5)
    if kind == "RTSTRUCT":
        path = write_rtstruct(tmp_path / "roi.dcm", {"L1": [square(4, 4, 16)], "L2": [square(8, 4, 20)]})
    else:
        path = write_seg(tmp_path / "roi.dcm", single(masks, kind), kind)
    whole = path.read_bytes()
    for _ in range(100):
        damaged = bytearray(whole)
        for at in rng.integers(132, len(whole), 2):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        found = []
        for fast in (True, False):
            try:
                rois = load_rois(path, pet, rules=override(fast_path=fast))
                found.append({name: mask.tobytes() for name, mask in rois.items()})
            except RoiRefused as refused:
                found.append(refused.code)
        assert found[0] == found[1]


# ---- NIfTI files that no one draws


def save_nifti(path, data, affine):
    image = nib.Nifti1Image(data, None)
    image.header.set_sform(affine, code=1)
    image.header.set_qform(None, code=0)
    nib.save(image, path)
    return path


def test_a_mask_without_a_voxel_is_refused(pet, tmp_path):
    path = save_nifti(tmp_path / "L1.nii", np.zeros((3, 0, 2), np.uint8), np.diag([4.0, 4, 4, 1]))
    with pytest.raises(RoiRefused, match="ROI_UNREADABLE"):
        load_rois(path, pet)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    ("row", "column", "value"), [(0, 0, 1e38), (1, 3, 1e38), (2, 2, 1e-6), (0, 3, np.inf)]
)
def test_a_mask_of_no_possible_place_or_size_is_refused(pet, tmp_path, row, column, value):
    affine = np.diag([STEP, STEP, STEP, 1])
    affine[row, column] = value
    path = save_nifti(tmp_path / "L1.nii", np.ones((3, 3, 3), np.uint8), affine)
    with pytest.raises(RoiRefused, match="ROI_GEOMETRY_MISSING"):
        load_rois(path, pet)


def test_messages_on_region_files_tell_their_place_and_not_their_name(pet, masks, tmp_path):
    write_seg(tmp_path / "a.dcm", masks)
    (tmp_path / "DOE^JANE_19500101.nii").write_bytes(b"x")
    with pytest.raises(RoiRefused, match=r"ROI_UNREADABLE: file 1 of 2 \(in the order of names\)") as refused:
        load_rois(tmp_path, pet)
    assert "DOE" not in refused.value.message
