"""Lesion metrics (pet.md 2.1): hand-sized images, kernels of the specification, the IBSI digital phantom."""

import math
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from dicom_factory import write_series
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import plan
from analysis.pet import RoiRefused, load_pet, measure
from analysis.pet.geometry import Grid
from analysis.pet.metrics import compute_totals, measure_voxels
from analysis.pet.peak import peak_kernel, peak_radius_mm
from analysis.pet.region import Region


def image(values, spacing_mm=(4.0, 4.0, 4.0)):
    """An image as `load_pet` gives it, made by hand."""
    values = np.asarray(values, np.float32)
    spacing = np.asarray(spacing_mm, float)
    n = len(values)
    volumes = np.full(n, spacing.prod() / 1000)
    affine = np.diag([*spacing, 1.0])
    grid = Grid(affine, spacing, np.arange(n) * spacing[0], volumes, np.zeros(n, bool))
    return SimpleNamespace(values=values, spacing_mm=spacing, slice_volumes_ml=volumes, grid=grid)


def everywhere(pet):
    return np.ones(pet.values.shape, bool)


# ---- the peak sphere ----

KERNELS = [
    ((4, 4, 4), 19, 1.216),
    ((2, 2, 2), 123, 0.984),
    ((3, 4.073, 4.073), 21, 1.045),
    ((5, 4.073, 4.073), 11, 0.912),
    ((3.27, 2.734, 2.734), 39, 0.954),
    ((3.27, 5.469, 5.469), 7, 0.685),
    ((5, 4, 4), 11, 0.880),
    ((3.3, 3.3, 3.3), 27, 0.970),
    ((1.65, 1.65, 1.65), 251, 1.128),
    ((1, 1, 1), 1021, 1.021),
    ((3, 2.036, 2.036), 73, 0.908),
]


@pytest.mark.parametrize(("spacing", "n", "ml"), KERNELS)
def test_the_peak_sphere_holds_the_voxels_of_the_specification(spacing, n, ml):
    centred = peak_kernel(np.array(spacing)).weights[:, 0]
    assert centred.sum() == n
    assert n * math.prod(spacing) / 1000 == pytest.approx(ml, abs=1e-3)


@pytest.mark.parametrize("spacing", [spacing for spacing, _, _ in KERNELS])
def test_overlaps_of_the_exact_sphere_add_up_to_one_ml(spacing):
    share = peak_kernel(np.array(spacing)).weights[:, 1]
    assert share.sum() * math.prod(spacing) / 1000 == pytest.approx(1.0, abs=1e-9)


def test_the_radius_of_one_ml_is_that_of_the_specification():
    assert peak_radius_mm() == pytest.approx(6.203505, abs=5e-7)


def test_the_peak_is_the_mean_of_the_nineteen_nearest_voxels():
    """4 mm voxels: centre, 6 faces, 12 edges. One voxel of 19 over 0 makes 1 at its own centre and around."""
    values = np.zeros((7, 7, 7))
    values[3, 3, 3] = 19
    values[3, 3, 4] = 38
    result = measure(image(values), everywhere(image(values)))
    assert result["suv_peak"] == pytest.approx(3.0)
    assert result["suv_peak_at_max"] == pytest.approx(3.0)
    alone = np.zeros((7, 7, 7), bool)
    alone[3, 3, 5] = True  # neighbour of 38, two voxels from 19
    assert measure(image(values), alone)["suv_peak"] == pytest.approx(2.0)


def test_the_sphere_may_leave_the_region_but_is_not_padded_beyond_the_image():
    values = np.ones((5, 5, 5))
    corner = np.zeros((5, 5, 5), bool)
    corner[0, 0, 0] = True
    result = measure(image(values), corner)
    assert result["suv_peak"] == pytest.approx(1.0)
    assert "PEAK_SPHERE_LEAVES_IMAGE" in result["flags"]
    assert "MAX_AT_IMAGE_EDGE" in result["flags"]


IBSI_IMAGE = """
1 4 4 1 1  1 4 6 1 1  4 1 6 4 1  4 4 6 4 1
1 4 4 1 1  1 1 6 1 1  1 1 3 1 1  4 4 6 1 1
1 4 4 1 1  1 1 1 1 1  1 1 9 1 1  1 1 6 1 1
1 4 4 1 1  1 1 1 1 1  1 1 1 1 1  1 1 6 1 1"""
IBSI_OUTSIDE = [(1, 2, 0), (2, 0, 3), (2, 0, 4), (2, 2, 2), (3, 0, 3), (3, 0, 4)]


def test_the_ibsi_digital_phantom_gives_its_reference_peaks_and_mean():
    """IBSI 1 digital phantom, 2 mm voxels: mean 2.15, local peak 2.6 (VJGA), global peak 3.1 (0F91)."""
    values = np.array(IBSI_IMAGE.split(), float).reshape(4, 4, 5)
    region = np.ones(values.shape, bool)
    region[tuple(np.transpose(IBSI_OUTSIDE))] = False
    result = measure(image(values, (2, 2, 2)), region)
    assert result["suv_mean"] == pytest.approx(2.15, abs=0.005)
    assert (result["n_voxels"], result["mtv_ml"]) == (74, pytest.approx(0.592))
    assert result["suv_peak_at_max"] == pytest.approx(2.6, abs=0.05)
    assert result["suv_peak"] == pytest.approx(3.1, abs=0.05)


def sphere(radius_mm, spacing=(2.0, 2.0, 2.0), half=20.0):
    n = [int(half / step) for step in spacing]
    axes = [np.arange(-m, m + 1) * step for m, step in zip(n, spacing)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z**2 + y**2 + x**2 <= radius_mm**2


@pytest.mark.parametrize("radius", [8, 12, 16])
def test_the_volume_of_a_sphere_is_the_analytic_one(radius):
    mask = sphere(radius)
    result = measure(image(np.where(mask, 5.0, 1.0), (2, 2, 2)), mask)
    assert result["mtv_ml"] == pytest.approx(4 / 3 * math.pi * radius**3 / 1000, rel=0.05)
    assert result["suv_peak"] == pytest.approx(5.0)  # the 6.2 mm sphere fits inside
    assert result["mtv41_ml"] == pytest.approx(result["mtv_ml"])


def test_the_exact_peak_of_a_linear_ramp_is_the_value_at_its_centre():
    values = np.broadcast_to(np.arange(11.0), (11, 11, 11)) + 1
    one = np.zeros((11, 11, 11), bool)
    one[5, 5, 5] = True
    result = measure(image(values), one)
    assert result["suv_peak"] == pytest.approx(6.0)
    assert result["suv_peak_exact"] == pytest.approx(6.0)


# ---- thresholds and totals ----


def test_thresholds_are_inclusive_connected_and_inside_the_region():
    values = np.zeros((3, 5, 9))
    values[1, 2, :] = [10, 4.1, 4.09, 4.1, 5, 0, 6, 2.5, 9]
    region = np.ones(values.shape, bool)
    region[1, 2, 8] = False
    result = measure(image(values), region)
    voxel = 0.064
    assert result["suv_max"] == 10
    assert result["mtv41_ml"] == pytest.approx(2 * voxel)  # 10 and 4.1; 4.1, 5, 6 lie beyond 4.09
    assert result["tlg41_g"] == pytest.approx(14.1 * voxel, rel=1e-6)
    assert result["mtv50_ml"] == pytest.approx(voxel)
    assert result["mtv25_ml"] == pytest.approx(7 * voxel)  # 2.5 counts; every part of the region does
    assert result["mtv40_ml"] == pytest.approx(6 * voxel)
    assert result["max_index"] == (1, 2, 0)


def test_voxels_that_touch_by_a_corner_are_connected():
    values = np.zeros((4, 4, 4))
    values[1, 1, 1], values[2, 2, 2] = 10, 8
    pet = image(values)
    assert measure(pet, everywhere(pet))["mtv50_ml"] == pytest.approx(2 * 0.064)


def test_mean_deviation_and_glycolysis_by_hand():
    values = np.zeros((3, 3, 3))
    values[1, 1] = [1, 2, 3]
    region = np.zeros((3, 3, 3), bool)
    region[1, 1] = True
    result = measure(image(values, (5, 2, 2)), region)
    assert (result["suv_mean"], result["suv_sd"]) == (2.0, pytest.approx(math.sqrt(2 / 3)))
    assert result["mtv_ml"] == pytest.approx(0.06) and result["tlg_g"] == pytest.approx(0.12)
    assert "LESION_SMALLER_THAN_PEAK_SPHERE" in result["flags"]


def test_uneven_slices_count_with_their_own_volume(tmp_path):
    values = np.arange(1.0, 6)[:, None, None] * np.ones((5, 3, 3))
    pet = load_pet(write_series(tmp_path, values, positions_mm=[0, 4, 8.15, 12.15, 16.15]))
    result = measure(pet, np.ones(values.shape, bool))
    volumes = np.array([4, 4.075, 4.075, 4, 4]) * 16 / 1000
    assert result["mtv_ml"] == pytest.approx(9 * volumes.sum())
    assert result["tlg_g"] == pytest.approx(9 * volumes @ np.arange(1, 6), rel=1e-4)


def test_volume_metrics_beside_missing_slices_are_withheld_and_elsewhere_given(tmp_path):
    pet = load_pet(write_series(tmp_path, np.ones((7, 4, 4)), positions_mm=[0, 4, 8, 16, 20, 24, 28]))
    beside, away = (np.zeros(pet.values.shape, bool) for _ in range(2))
    beside[2, 1:3, 1:3] = away[6, 1:3, 1:3] = True
    result = measure(pet, beside)
    assert "MISSING_SLICES" in result["flags"]
    assert math.isnan(result["mtv_ml"]) and math.isnan(result["suv_peak"]) and math.isnan(result["tlg41_g"])
    assert result["suv_max"] == pytest.approx(1.0, rel=1e-4)
    assert measure(pet, away)["mtv_ml"] == pytest.approx(4 * 0.064)


def test_an_empty_region_and_one_of_another_shape_are_refused():
    pet = image(np.ones((3, 3, 3)))
    with pytest.raises(RoiRefused, match="ROI_EMPTY"):
        measure(pet, np.zeros((3, 3, 3), bool))
    with pytest.raises(RoiRefused, match="ROI_OTHER_SHAPE"):
        measure(pet, np.ones((3, 3), bool))


def test_thresholds_of_the_plan_name_their_own_columns():
    pet = image(np.ones((3, 3, 3)))
    rules = plan.defaults().override({"pet.mtv_percents": [60.0]}).pet
    assert {"mtv60_ml", "tlg60_g", "mtv25_ml"} <= set(measure(pet, everywhere(pet), rules=rules))
    clash = plan.defaults().override({"pet.mtv_percents": [40.0]}).pet
    with pytest.raises(ValueError, match="share the label 40"):
        measure(pet, everywhere(pet), rules=clash)


volumes = st.lists(st.floats(0.1, 20), min_size=60, max_size=60).map(lambda v: np.array(v).reshape(3, 4, 5))


@settings(max_examples=30, deadline=None)
@given(volumes, st.floats(0.25, 8))
def test_values_scale_and_volumes_stay(values, times):
    """A power of two keeps every comparison with a threshold exact."""
    times = 2.0 ** round(math.log2(times))
    pet, scaled = image(values), image(values * times)
    one, other = measure(pet, everywhere(pet)), measure(scaled, everywhere(pet))
    for name in ("suv_max", "suv_mean", "suv_sd", "suv_peak", "tlg_g", "tlg41_g"):
        assert other[name] == pytest.approx(one[name] * times, rel=1e-5), name
    assert other["mtv41_ml"] == pytest.approx(one["mtv41_ml"])


@settings(max_examples=30, deadline=None)
@given(volumes)
def test_volumes_fall_with_the_threshold_and_parts_add_up(values):
    pet = image(values)
    whole = everywhere(pet)
    result = measure(pet, whole)
    assert result["mtv_ml"] >= result["mtv41_ml"] >= result["mtv50_ml"] > 0
    assert result["mtv25_ml"] >= result["mtv40_ml"]
    assert result["suv_peak"] <= result["suv_max"] * (1 + 1e-6)
    half = whole.copy()
    half[:, :2] = False
    parts = [measure(pet, half), measure(pet, whole & ~half)]
    for name in ("mtv_ml", "tlg_g", "mtv25_ml", "mtv40_ml"):
        assert sum(part[name] for part in parts) == pytest.approx(result[name], rel=1e-6), name


def test_measuring_changes_neither_image_nor_mask():
    pet = image(np.arange(60.0).reshape(3, 4, 5))
    mask = pet.values > 30
    before = pet.values.copy(), mask.copy()
    measure(pet, mask)
    assert np.array_equal(pet.values, before[0]) and np.array_equal(mask, before[1])


# ---- regions as boxes, ties, leaks, totals ----


def ball_image(values_in=6.0, background=1.0, shape=(30, 30, 30), radius=10.0, at=(15, 15, 15), step=2.0):
    z, y, x = (np.arange(n) - centre for n, centre in zip(shape, at))
    mask = (z[:, None, None] ** 2 + y[:, None] ** 2 + x**2) * step**2 <= radius**2
    return image(np.where(mask, values_in, background), (step,) * 3), mask


def same(one, other):
    return one.keys() == other.keys() and all(
        one[name] == other[name]
        if isinstance(one[name], list | tuple)
        else one[name] == pytest.approx(other[name])
        for name in one
    )


def test_a_box_and_its_mask_measure_alike_at_the_edge_and_in_the_middle():
    values = np.random.default_rng(2).gamma(2.0, 1.0, (12, 13, 14))
    for low in ((5, 5, 5), (0, 0, 0), (9, 10, 11)):
        mask = np.zeros(values.shape, bool)
        mask[tuple(slice(a, a + 3) for a in low)] = True
        pet = image(values)
        assert same(measure(pet, mask), measure(pet, Region.of(mask)))


def test_an_image_that_is_not_contiguous_measures_alike():
    values = np.random.default_rng(2).gamma(2.0, 1.0, (12, 13, 14)).astype(np.float32)
    mask = np.zeros(values.shape, bool)
    mask[4:8, 4:8, 4:8] = True
    turned = image(values)
    turned.values = np.asfortranarray(values)
    assert same(measure(image(values), mask), measure(turned, mask))


def test_measuring_a_box_allocates_no_second_image():
    pet = image(np.ones((80, 100, 100)))
    region = Region.at(np.argwhere(np.ones((5, 5, 5), bool)) + 40, pet.values.shape)
    measure(pet, region)
    tracemalloc.start()
    measure(pet, region)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < pet.values.nbytes / 10


@pytest.mark.parametrize("values", [[1, 2, 7], [1, 2, 3, 9], [4]])
def test_the_median_is_the_middle_value(values):
    pet = image(np.array(values, float).reshape(1, 1, -1))
    assert measure(pet, everywhere(pet))["suv_median"] == np.median(values)


def test_shares_of_the_exact_sphere_agree_with_points_thrown_at_it():
    """Each voxel's share against 40^3 points of a regular lattice in it: 1 / 40 of a voxel edge fine."""
    spacing = np.array([3.27, 4.07, 5.47])
    kernel = peak_kernel(spacing)
    fine = (np.arange(40) + 0.5) / 40 - 0.5
    points = np.stack(np.meshgrid(fine, fine, fine, indexing="ij"), -1).reshape(-1, 3)
    for offset, share in zip(kernel.offsets, kernel.weights[:, 1]):
        inside = np.sum(((offset + points) * spacing) ** 2, axis=1) <= peak_radius_mm() ** 2
        assert share == pytest.approx(inside.mean(), abs=2e-3)


def test_a_sphere_inside_one_voxel_is_that_voxel():
    kernel = peak_kernel(np.array([15.0, 15.0, 15.0]))
    assert kernel.offsets.tolist() == [[0, 0, 0]]
    assert kernel.weights[0] == pytest.approx([1, 1 / 3.375])


def test_several_hottest_voxels_grow_together_and_are_flagged():
    values = np.ones((3, 3, 9))
    values[1, 1, [1, 7]], values[1, 1, 2] = 10, 6
    pet = image(values)
    result = measure(pet, everywhere(pet))
    assert result["mtv50_ml"] == pytest.approx(3 * 0.064)
    assert "MAX_TIED" in result["flags"] and result["max_index"] == (1, 1, 1)
    mirrored = image(values[:, :, ::-1])
    assert measure(mirrored, everywhere(mirrored))["mtv50_ml"] == pytest.approx(3 * 0.064)


@pytest.mark.parametrize(("background", "leaks"), [(1.0, False), (2.4, False), (2.46, True), (4.0, True)])
def test_uptake_around_above_41_percent_of_the_maximum_is_flagged(background, leaks):
    """6.0 x 0.41 = 2.46: from there on the growth floods the image, 51 times the region."""
    pet, mask = ball_image(6.0, background)
    assert ("MTV41_LEAKS" in measure(pet, mask)["flags"]) == leaks
    assert measure(pet, mask)["mtv41_ml"] == pytest.approx(measure(pet, mask)["mtv_ml"])


@pytest.mark.parametrize(("n", "leaks"), [(40, False), (41, True)])
def test_growth_up_to_five_times_the_region_does_not_leak(n, leaks):
    """A region of 8 voxels in a line of hot ones: 40 voxels are 5 times the region, 41 are more."""
    values = np.zeros((3, 3, 60))
    values[1, 1, 5 : 5 + n] = 5
    region = np.zeros(values.shape, bool)
    region[1, 1, 5:13] = True
    assert ("MTV41_LEAKS" in measure(image(values), region)["flags"]) == leaks


def test_hot_tissue_that_the_lesion_does_not_touch_is_no_leak():
    pet, mask = ball_image()
    pet.values[:, :, 27:] = 9.0
    assert "MTV41_LEAKS" not in measure(pet, mask)["flags"]


def test_the_percist_threshold_is_inclusive_and_optional():
    values = np.array([3.0, 3.5, 4.0, 1.0]).reshape(1, 1, 4)
    pet = image(values)
    result = measure(pet, everywhere(pet), percist_threshold=3.5)
    assert result["mtvp_ml"] == pytest.approx(2 * 0.064) and result["tlgp_g"] == pytest.approx(7.5 * 0.064)
    assert "mtvp_ml" not in measure(pet, everywhere(pet))


def test_a_peak_sphere_that_would_reach_across_missing_slices_is_withheld(tmp_path):
    """2 mm slices, gap after the fourth: the sphere about the second slice spans three slices either way."""
    pet = load_pet(write_series(tmp_path, np.ones((9, 4, 4)), positions_mm=[0, 2, 4, 6, 10, 12, 14, 16, 18]))
    second = np.zeros(pet.values.shape, bool)
    second[1, 1:3, 1:3] = True
    result = measure(pet, second)
    assert "MISSING_SLICES" in result["flags"] and math.isnan(result["suv_peak"])
    assert result["mtv_ml"] == pytest.approx(4 * 0.032)


def test_totals_of_overlapping_regions_are_those_of_their_union():
    values = np.random.default_rng(5).gamma(2.0, 2.0, (6, 7, 8))
    pet = image(values)
    masks = [np.random.default_rng(seed).random(values.shape) < 0.3 for seed in range(3)]
    parts = [measure_voxels(pet, mask)[1] for mask in masks]
    totals, shared = compute_totals(parts)
    union = np.any(masks, axis=0)
    assert shared
    assert totals["mtv_ml"] == pytest.approx(union.sum() * 0.064)
    assert totals["tlg25_g"] == pytest.approx(values[union & (pet.values >= 2.5)].sum() * 0.064, rel=1e-5)


def test_totals_of_separate_regions_are_sums_and_of_none_are_none():
    values = np.random.default_rng(5).gamma(2.0, 2.0, (6, 7, 8))
    pet, half = image(values), np.zeros(values.shape, bool)
    half[:3] = True
    measured = [measure_voxels(pet, mask) for mask in (half, ~half)]
    totals, shared = compute_totals([part for _, part in measured])
    assert not shared
    for name in ("mtv_ml", "tlg_g", "mtv41_ml", "tlg50_g", "mtv40_ml"):
        assert totals[name] == pytest.approx(sum(result[name] for result, _ in measured))
    assert compute_totals([]) == ({}, False)
