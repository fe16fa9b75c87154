"""Regions grown from seed points (pet.md 2.1, thresholds)."""

import numpy as np
import pytest
from dicom_factory import write_series
from scipy import ndimage

from analysis import plan
from analysis.pet import RoiRefused, load_pet
from analysis.pet.growing import find_local_maximum, grow
from analysis.pet.seeds import grow_seeds

RULES = plan.defaults().pet
STEP = 4.0  # mm, all axes


def image(tmp_path, suv):
    return load_pet(write_series(tmp_path / "pet", suv))


def seed(name, slice_, row, column, method="PERCENT41", **more):
    return {
        "LESIONID": name,
        "X": column * STEP,
        "Y": row * STEP,
        "Z": slice_ * STEP,
        "METHOD": method,
        **more,
    }


@pytest.fixture(scope="module")
def pet(tmp_path_factory):
    """Background 1; lesion A a 3 x 3 x 3 cube of 8 with a maximum of 10; B a cube of 6 three voxels away."""
    suv = np.ones((12, 14, 16))
    suv[3:6, 3:6, 3:6], suv[4, 4, 4] = 8.0, 10.0
    suv[3:6, 3:6, 9:12] = 6.0
    return image(tmp_path_factory.mktemp("seeds"), suv)


@pytest.mark.parametrize(
    ("method", "more", "n"),
    [
        ("PERCENT41", {}, 27),
        ("PERCENT50", {}, 27),
        ("FIXED", {"THRESHOLD": 9.0}, 1),
        ("FIXED", {"THRESHOLD": ""}, 27),
        ("FIXED", {"THRESHOLD": float("nan")}, 27),
        ("PERCIST", {}, 27),
    ],
)
def test_each_method_grows_the_lesion_under_its_seed(pet, method, more, n):
    grown = grow_seeds(pet, [seed("L1", 4, 4, 4, method, **more)], RULES, percist_threshold=3.0)
    assert grown.voxels["L1"].n_voxels == n
    assert grown["L1"][4, 4, 4] and grown.flags["L1"] == []
    assert grown.source_ml["L1"] == pytest.approx(n * 0.064)


def test_the_seed_climbs_to_the_hottest_voxel_within_reach_and_no_further(pet):
    """Row 6 is 8 mm from the lesion's maximum (reach 10 mm), row 7 is 12 mm."""
    near = grow_seeds(pet, [seed("L1", 4, 6, 4)], RULES)
    assert near.voxels["L1"].n_voxels == 27
    reach = plan.defaults().override({"pet.seed_search_mm": 3.0}).pet
    far = grow_seeds(pet, [seed("L1", 4, 6, 4, "FIXED")], reach)
    assert far.refused["L1"].code == "SEED_IN_BACKGROUND"


@pytest.mark.parametrize("share", [0.41, 0.50])
def test_a_voxel_at_the_threshold_belongs(tmp_path, share):
    suv = np.full((5, 5, 5), 0.1)
    suv[2, 2, 1:4] = [share, 1.0, share - 0.01]
    grown = grow_seeds(image(tmp_path, suv * 10), [seed("L1", 2, 2, 2, f"PERCENT{share * 100:.0f}")], RULES)
    assert grown["L1"].sum() in (1, 2)  # stored values are rounded; the plain array below decides
    plain = (suv * 10).astype(np.float32)
    assert grow(plain, (2, 2, 2), 10 * share).n_voxels == 2
    assert grow(plain, (2, 2, 2), 10 * share * 1.001).n_voxels == 1


def test_voxels_that_touch_at_a_corner_hang_together():
    values = np.zeros((5, 5, 5), np.float32)
    values[1, 1, 1] = values[2, 2, 2] = values[3, 3, 3] = 1
    values[0, 4, 4] = 1
    assert grow(values, (1, 1, 1), 0.5).n_voxels == 3


def test_the_growing_box_finds_what_labelling_the_whole_image_finds():
    rng = np.random.default_rng(7)
    values = ndimage.gaussian_filter(rng.normal(size=(60, 50, 40)), 2).astype(np.float32)
    for threshold in np.quantile(values, [0.6, 0.8, 0.95]):
        labels, _ = ndimage.label(values >= np.float32(threshold), structure=np.ones((3, 3, 3)))
        for index in np.argwhere(labels > 0)[:: max(1, (labels > 0).sum() // 25)]:
            region = grow(values, tuple(index), threshold)
            assert np.array_equal(region.full(), labels == labels[tuple(index)])
    assert grow(values, (0, 0, 0), float(values.max()) + 1) is None


def test_the_local_maximum_is_the_nearest_of_equal_ones():
    values = np.zeros((9, 9, 9), np.float32)
    values[4, 4, 2] = values[4, 4, 5] = 3
    assert find_local_maximum(values, np.array([4.0, 4.0, 4.0]), np.full(3, 2.5)) == (4, 4, 5)
    assert find_local_maximum(values, np.array([0.2, 0.2, 8.4]), np.full(3, 0.1)) == (0, 0, 8)


def test_two_seeds_of_one_lesion_are_flagged(pet):
    grown = grow_seeds(pet, [seed("L1", 4, 4, 4), seed("L2", 4, 4, 5), seed("L3", 4, 4, 10)], RULES)
    assert {name: flags for name, flags in grown.flags.items()} == {
        "L1": ["SEEDS_MERGED"],
        "L2": ["SEEDS_MERGED"],
        "L3": [],
    }


def test_a_region_that_holds_a_hotter_lesion_is_flagged(tmp_path):
    suv = np.ones((6, 6, 20))
    suv[3, 3, 2], suv[3, 3, 3:15], suv[3, 3, 15] = 5.0, 4.0, 9.0
    grown = grow_seeds(image(tmp_path, suv), [seed("L1", 3, 3, 2)], RULES)
    assert grown.flags["L1"] == ["SEED_REACHES_HOTTER"]


def test_a_region_at_the_edge_of_the_image_is_flagged(tmp_path):
    suv = np.ones((6, 6, 6))
    suv[0, 2, 2] = 9.0
    assert grow_seeds(image(tmp_path, suv), [seed("L1", 0, 2, 2)], RULES).flags["L1"] == [
        "ROI_TOUCHES_IMAGE_EDGE"
    ]


@pytest.mark.parametrize("limit", [{"pet.seed_max_ml": 1.0}, {"pet.seed_max_extent_mm": 10.0}])
def test_a_region_larger_than_a_lesion_is_refused(pet, limit):
    """27 voxels of 0.064 ml, 12 mm a side."""
    rules = plan.defaults().override(limit).pet
    grown = grow_seeds(pet, [seed("L1", 4, 4, 4)], rules)
    assert not grown and grown.refused["L1"].code == "SEED_LEAKS"


def test_a_seed_in_even_background_leaks(pet):
    rules = plan.defaults().override({"pet.seed_max_ml": 50.0}).pet
    assert grow_seeds(pet, [seed("L1", 10, 11, 4)], rules).refused["L1"].code == "SEED_LEAKS"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (seed("L1", 40, 4, 4), "SEED_OUTSIDE_IMAGE"),
        (seed("L1", 4, 4, -1), "SEED_OUTSIDE_IMAGE"),
        (seed("L1", 4, 4, 4, "PERCIST"), "PERCIST_THRESHOLD_MISSING"),
        (seed("L1", 4, 4, 4, "PERCENT42"), "SEED_INVALID"),
        (seed("L1", 4, 4, 4, "FIXED", THRESHOLD="hot"), "SEED_INVALID"),
        (seed("L1", 4, 4, 4, "FIXED", THRESHOLD=-1), "SEED_INVALID"),
        (seed("L1", 10, 11, 4, "FIXED"), "SEED_IN_BACKGROUND"),
        ({"LESIONID": "L1", "X": "", "Y": 1, "Z": 2, "METHOD": "FIXED"}, "SEED_INVALID"),
        ({"LESIONID": "L1", "Y": 1, "Z": 2, "METHOD": "FIXED"}, "SEED_INVALID"),
    ],
)
def test_a_seed_that_gives_no_region_is_set_aside_and_takes_no_other_with_it(pet, row, code):
    grown = grow_seeds(pet, [row, seed("L2", 4, 4, 10)], RULES)
    assert grown.refused["L1"].code == code
    assert list(grown) == ["L2"] and grown["L2"].sum() == 27


def test_a_seed_without_name_is_set_aside_and_two_of_one_name_are_refused(pet):
    assert grow_seeds(pet, [seed("", 4, 4, 4)], RULES).refused["seed 1"].code == "SEED_INVALID"
    with pytest.raises(RoiRefused, match="ROI_DUPLICATE_NAME"):
        grow_seeds(pet, [seed("L1", 4, 4, 4), seed("L1", 4, 4, 10)], RULES)


def test_the_organ_of_a_seed_is_kept(pet):
    assert grow_seeds(pet, [seed("L1", 4, 4, 4, ORGAN="bone")], RULES).regions == {"L1": "bone"}
    assert grow_seeds(pet, [seed("L1", 4, 4, 4, ORGAN=float("nan"))], RULES).regions == {}
