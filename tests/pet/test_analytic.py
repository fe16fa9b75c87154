"""Analytic truth: volumes, thresholds, peaks and rasterised areas against closed forms and slow brute force.

A region holds the voxels whose centre lies in a body. Each such voxel lies within half a voxel diagonal ``h`` of
the body, and every point deeper than ``h`` lies in such a voxel, so for a ball of radius r the voxelised volume is
between those of the balls r - h and r + h, whatever the grid; averaged over all positions of the grid it is the
ball's own volume. Both are tested; neither was fitted to the code.
"""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from dicom_factory import bqml_per_suv, tracer, write_seg, write_series
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.pet import load_pet, load_rois, measure
from analysis.pet.geometry import Grid
from analysis.pet.region import Region

RADIUS_ML = (3000 / (4 * math.pi)) ** (1 / 3)  # mm, of a ball of 1 ml

# Slice, row and column step in mm, voxels of the peak kernel and their volume in ml (pet.md 2.1).
KERNELS = [
    ((4.0, 4.0, 4.0), 19, 1.216),
    ((2.0, 2.0, 2.0), 123, 0.984),
    ((3.0, 4.073, 4.073), 21, 1.045),
    ((5.0, 4.073, 4.073), 11, 0.912),
    ((3.27, 2.734, 2.734), 39, 0.954),
    ((3.27, 5.469, 5.469), 7, 0.685),
    ((5.0, 4.0, 4.0), 11, 0.880),
]
GRIDS = [spacing for spacing, _, _ in KERNELS]
UNEVEN = "uneven"  # 3.27 mm with the overlaps of beds that a GE series shows: 3.29 and 3.19 mm (pet.md 1.7)


def image(values, spacing_mm, positions_mm=None):
    """Return an image as `load_pet` gives it, made by hand; uneven slices by their own positions."""
    values, spacing = np.asarray(values, np.float32), np.asarray(spacing_mm, float)
    n = len(values)
    positions = np.arange(n) * spacing[0] if positions_mm is None else np.asarray(positions_mm, float)
    gaps = np.diff(positions)
    heights = (np.append(gaps[:1], gaps) + np.append(gaps, gaps[-1:])) / 2
    volumes = heights * spacing[1] * spacing[2] / 1000
    grid = Grid(np.diag([*spacing, 1.0]), spacing, positions, volumes, np.zeros(n, bool))
    return SimpleNamespace(values=values, spacing_mm=spacing, slice_volumes_ml=volumes, grid=grid)


def lattice(grid, half_width_mm, phase=(0.0, 0.0, 0.0)):
    """Return coordinates in mm about the origin, spacing and slice positions; `phase` shifts by voxels."""
    spacing = np.array((3.27, 5.469, 5.469) if grid == UNEVEN else grid)
    reach = np.ceil(half_width_mm / spacing).astype(int) + 2
    axes = [(np.arange(-n, n + 1) + at) * step for n, at, step in zip(reach, phase, spacing, strict=True)]
    if grid == UNEVEN:
        gaps = np.resize([3.27, 3.27, 3.29, 3.27, 3.19, 3.27], len(axes[0]) - 1)
        axes[0] = axes[0][0] + np.append(0, np.cumsum(gaps))
    return np.stack(np.meshgrid(*axes, indexing="ij")), spacing, axes[0]


def phases(n):
    """Return n positions of a grid, evenly over one voxel and on no lattice (additive recurrence, plastic ratio)."""
    root = 1.22074408460575947536  # x^4 = x + 1
    return np.outer(np.arange(1, n + 1), root ** -np.array([1.0, 2, 3])) % 1 - 0.5


def assert_mean(found, expected):
    """Within four standard errors of the mean over the phases, and a thousandth."""
    error = 4 * np.std(found) / math.sqrt(len(found)) + 0.001 * expected
    assert np.mean(found) == pytest.approx(expected, abs=error)
    assert error < 0.15 * expected


def half_diagonal(spacing):
    return float(np.linalg.norm(spacing)) / 2


def ball(radius):
    return 4 / 3 * math.pi * max(radius, 0) ** 3 / 1000


def cylinder(radius, length):
    return math.pi * max(radius, 0) ** 2 * max(length, 0) / 1000


# ---- volumes of bodies ----


@pytest.mark.parametrize("grid", [*GRIDS, UNEVEN], ids=str)
@pytest.mark.parametrize("radius", [6.0, 10.0, 18.0])
def test_the_volume_of_a_ball_is_within_its_bounds_and_right_on_average(grid, radius):
    found = []
    for phase in phases(40):
        (z, y, x), spacing, positions = lattice(grid, radius, phase)
        inside = z**2 + y**2 + x**2 <= radius**2
        result = measure(image(np.ones(inside.shape), spacing, positions), inside)
        h = half_diagonal(spacing * 1.01)
        assert ball(radius - h) <= result["mtv_ml"] <= ball(radius + h)
        assert result["tlg_g"] == pytest.approx(result["mtv_ml"], rel=1e-6)  # SUV 1: g = ml
        found.append(result["mtv_ml"])
    assert_mean(found, ball(radius))


@pytest.mark.parametrize("grid", [*GRIDS, UNEVEN], ids=str)
@pytest.mark.parametrize("axis", [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.6, 0.64, 0.48)])
def test_the_volume_of_a_cylinder_is_within_its_bounds_and_right_on_average(grid, axis):
    radius, length, found = 10.0, 30.0, []
    for phase in phases(20):
        points, spacing, positions = lattice(grid, 24.0, phase)
        along = np.tensordot(axis, points, 1)
        across = np.sqrt(np.maximum((points**2).sum(axis=0) - along**2, 0))
        inside = (across <= radius) & (np.abs(along) <= length / 2)
        pet = image(np.ones(inside.shape), spacing, positions)
        volume = measure(pet, inside)["mtv_ml"]
        h = half_diagonal(spacing * 1.01)
        assert cylinder(radius - h, length - 2 * h) <= volume <= cylinder(radius + h, length + 2 * h)
        found.append(volume)
    assert_mean(found, cylinder(radius, length))


# ---- thresholds of analytic uptake ----

UPTAKE = {  # SUV at distance r (mm) from the middle; distance at which it has fallen to a level
    "gaussian": (
        lambda r: 10 * np.exp(-(r**2) / (2 * 9.0**2)),
        lambda u: 9.0 * math.sqrt(-2 * math.log(u / 10)),
    ),
    "paraboloid": (lambda r: 10 * np.maximum(1 - r**2 / 18.0**2, 0), lambda u: 18.0 * math.sqrt(1 - u / 10)),
    "cone": (lambda r: 10 * np.maximum(1 - r / 18.0, 0), lambda u: 18.0 * (1 - u / 10)),
}


@pytest.mark.parametrize("grid", [*GRIDS, UNEVEN], ids=str)
@pytest.mark.parametrize("shape", UPTAKE)
def test_metabolic_volumes_of_an_analytic_uptake_are_its_iso_volumes(grid, shape):
    uptake, radius_at = UPTAKE[shape]
    ratios = {"mtv41_ml": [], "mtv50_ml": [], "mtv25_ml": [], "mtv40_ml": []}
    for phase in phases(4):
        points, spacing, positions = lattice(grid, 26.0, phase)
        pet = image(uptake(np.sqrt((points**2).sum(axis=0))), spacing, positions)
        result = measure(pet, np.ones(pet.values.shape, bool))
        h = half_diagonal(spacing * 1.01)
        levels = {"mtv41_ml": 0.41 * result["suv_max"], "mtv50_ml": 0.50 * result["suv_max"]}
        for name, level in (levels | {"mtv25_ml": 2.5, "mtv40_ml": 4.0}).items():
            radius = radius_at(level)
            assert ball(radius - h) <= result[name] <= ball(radius + h), (name, phase)
            ratios[name].append(result[name] / ball(radius))
    for name, values in ratios.items():
        assert np.mean(values) == pytest.approx(1, abs=0.10), name


def test_the_glycolysis_of_a_gaussian_is_its_integral():
    """Integral of 10 exp(-r^2/2s^2) over all space: 10 (2 pi)^1.5 s^3."""
    points, spacing, positions = lattice((4.0, 4.0, 4.0), 60.0, (0.3, -0.2, 0.1))
    pet = image(UPTAKE["gaussian"][0](np.sqrt((points**2).sum(axis=0))), spacing, positions)
    expected = 10 * (2 * math.pi) ** 1.5 * 9.0**3 / 1000
    assert measure(pet, np.ones(pet.values.shape, bool))["tlg_g"] == pytest.approx(expected, rel=1e-4)


# ---- peaks ----


def brute_force_peaks(values, spacing, mask):
    """Compute P1 and P3 voxel by voxel, the way the definition reads."""
    where = np.argwhere(np.ones(values.shape, bool))
    means = {}
    for centre in np.argwhere(mask):
        near = ((where - centre) * spacing) ** 2
        inside = where[near.sum(axis=1) <= RADIUS_ML**2 * (1 + 1e-12)]
        means[tuple(centre)] = values[tuple(inside.T)].astype(float).mean()
    highest = values[mask].max()
    return max(means.values()), max(mean for at, mean in means.items() if values[at] == highest)


@pytest.mark.parametrize("spacing", GRIDS, ids=str)
def test_the_peak_equals_brute_force_on_a_random_image(spacing):
    rng = np.random.default_rng(11)
    for _ in range(3):
        values = rng.gamma(2.0, 1.5, (9, 10, 11)).astype(np.float32)
        mask = rng.random(values.shape) < 0.1  # reaches the edges: voxels outside the image are left out
        result = measure(image(values, spacing), mask)
        assert (result["suv_peak"], result["suv_peak_at_max"]) == pytest.approx(
            brute_force_peaks(values, np.array(spacing), mask), rel=1e-6
        )


def overlap(spacing, offset, fine=40):
    """Compute the volume shared by the ball and one voxel: exact in one direction, midpoints in the other two."""
    edges = [((at - 0.5) * step, (at + 0.5) * step) for at, step in zip(offset, spacing, strict=True)]
    y, z = (low + (np.arange(fine) + 0.5) / fine * (high - low) for low, high in edges[:2])
    half = np.sqrt(np.maximum(RADIUS_ML**2 - y[:, None] ** 2 - z[None, :] ** 2, 0))
    low, high = edges[2]
    length = np.maximum(np.minimum(high, half) - np.maximum(low, -half), 0)
    return float(length.mean()) / (high - low)


@pytest.mark.parametrize("spacing", GRIDS, ids=str)
def test_the_exact_peak_equals_numerical_integration(spacing):
    rng = np.random.default_rng(12)
    reach = [math.ceil(RADIUS_ML / step + 0.5) for step in spacing]
    offsets = list(itertools.product(*(range(-n, n + 1) for n in reach)))
    share = np.array([overlap(spacing, offset) for offset in offsets])
    assert share.sum() * math.prod(spacing) / 1000 == pytest.approx(1.0, abs=2e-3)
    values = rng.gamma(2.0, 1.5, [2 * n + 3 for n in reach]).astype(np.float32)
    mask = np.zeros(values.shape, bool)
    mask[tuple(slice(n, n + 3) for n in reach)] = True
    best = (
        max(
            sum(
                s * values[tuple(np.add(centre, offset))]
                for s, offset in zip(share, offsets, strict=True)
                if s > 0
            )
            for centre in np.argwhere(mask)
        )
        / share.sum()
    )
    assert measure(image(values, spacing), mask)["suv_peak_exact"] == pytest.approx(best, rel=5e-3)


@pytest.mark.parametrize(("spacing", "n_voxels", "volume_ml"), KERNELS, ids=str)
def test_one_hot_voxel_shares_its_value_among_the_voxels_of_the_kernel(spacing, n_voxels, volume_ml):
    values = np.zeros((15, 15, 15))
    values[7, 7, 7] = 1000.0
    result = measure(image(values, spacing), values > 0)
    assert 1000 / result["suv_peak"] == pytest.approx(n_voxels, rel=1e-6)
    assert n_voxels * math.prod(spacing) / 1000 == pytest.approx(volume_ml, abs=1e-3)
    # exact weights: a voxel wholly inside 1 ml holds its own share of it
    if half_diagonal(spacing) < RADIUS_ML:
        assert result["suv_peak_exact"] == pytest.approx(1000 * math.prod(spacing) / 1000, rel=5e-3)


@pytest.mark.parametrize("grid", [*GRIDS, UNEVEN], ids=str)
def test_a_uniform_ball_larger_than_one_ml_has_its_own_value_as_peak(grid):
    (z, y, x), spacing, positions = lattice(grid, 22.0, (0.2, -0.3, 0.4))
    inside = z**2 + y**2 + x**2 <= 20.0**2
    result = measure(image(np.where(inside, 7.5, 0), spacing, positions), inside)
    assert [result[name] for name in ("suv_peak", "suv_peak_exact", "suv_max", "suv_mean")] == pytest.approx(
        [7.5] * 4
    )
    assert result["suv_sd"] == pytest.approx(0, abs=1e-6)


# The IBSI digital phantom (5 x 4 x 4 voxels of 2 mm): data set ibsi_1_digital_phantom of theibsi/data_sets, CC BY 4.0,
# as transcribed in PolusAI/nyxus tests/test_data.h. Slices of rows; 0 in the mask = not in the region.
PHANTOM = [
    ["44641", "44611", "11611", "11611"],
    ["41641", "11311", "11911", "11111"],
    ["14611", "11611", "11111", "11111"],
    ["14411", "14411", "14411", "14411"],
]
PHANTOM_MASK = [
    ["11111"] * 4,
    ["11111", "01111", "11011", "11111"],
    ["11111"] * 4,
    ["11111", "11111", "11100", "11100"],
]


def test_the_ibsi_digital_phantom_read_from_dicom_has_its_reference_values(tmp_path):
    """IBSI 1: local peak 2.6, global peak 3.1, mean 2.15, maximum 6, 74 voxels, 592 mm3 (pet.md 6)."""
    values, mask = (
        np.array([[list(map(int, row)) for row in rows] for rows in made]) for made in (PHANTOM, PHANTOM_MASK)
    )

    def edit(ds, k):
        ds.Units, ds.SliceThickness = "GML", "2"

    pet = load_pet(
        write_series(
            tmp_path / "pet", values, 1.0, edit, positions_mm=[0, 2, 4, 6], pixel_mm=2.0, slopes=[1.0] * 4
        )
    )
    roi = load_rois(
        write_seg(tmp_path / "seg.dcm", {"L1": mask.astype(bool)}, pixel_mm=2.0, step_mm=2.0), pet
    )
    result = measure(pet, roi["L1"])
    assert result["n_voxels"] == 74
    assert result["mtv_ml"] * 1000 == pytest.approx(592)
    assert result["suv_mean"] == pytest.approx(2.15, abs=0.005)
    assert result["suv_max"] == 6
    assert result["suv_peak_at_max"] == pytest.approx(2.6, abs=0.05)
    assert result["suv_peak"] == pytest.approx(3.1, abs=0.05)


# ---- symmetries ----

SCALARS = [
    "suv_max",
    "suv_mean",
    "suv_sd",
    "suv_peak",
    "suv_peak_exact",
    "suv_peak_at_max",
    "mtv_ml",
    "tlg_g",
]
SCALARS += [
    "mtv41_ml",
    "tlg41_g",
    "mtv50_ml",
    "tlg50_g",
    "mtv25_ml",
    "tlg25_g",
    "mtv40_ml",
    "tlg40_g",
    "n_voxels",
]


def numbers(result):
    return [result[name] for name in SCALARS]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
def test_turning_and_mirroring_the_image_changes_no_number(seed, order, mirrored):
    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, 2.0, (6, 7, 8)).astype(np.float32)
    mask = rng.random(values.shape) < 0.4
    mask[2:4, 2:4, 2:4] = True
    spacing = np.array([3.0, 4.073, 5.0])
    flip = tuple(axis for axis, yes in enumerate(mirrored) if yes)
    turned = [np.flip(array.transpose(order), flip) for array in (values, mask)]
    once = numbers(measure(image(values, spacing), mask))
    again = numbers(measure(image(turned[0], spacing[list(order)]), turned[1]))
    assert again == pytest.approx(once, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(0, 3)] * 3), st.tuples(*[st.integers(0, 3)] * 3))
def test_a_region_measures_the_same_in_any_box_that_holds_it(seed, below, above):
    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, 2.0, (9, 10, 11)).astype(np.float32)
    mask = np.zeros(values.shape, bool)
    mask[3:6, 3:7, 3:8] = rng.random((3, 4, 5)) < 0.7
    mask[4, 4, 4] = True
    box = tuple(
        slice(max(3 - a, 0), min(stop + b, size))
        for a, b, stop, size in zip(below, above, (6, 7, 8), values.shape)
    )
    pet = image(values, (4.0, 4.0, 4.0))
    tight, loose, whole = Region.of(mask), Region(box, mask[box], mask.shape), mask
    first, *others = [measure(pet, region) for region in (tight, loose, whole)]
    for other in others:
        assert numbers(other) == pytest.approx(numbers(first), rel=1e-12)
        assert (other["max_index"], other["flags"]) == (first["max_index"], first["flags"])


@settings(max_examples=8, deadline=None)
@given(st.floats(0.4, 2.5), st.floats(0.3, 3.0), st.floats(0.3, 3.0), st.integers(0, 1))
def test_suv_is_linear_in_weight_and_pixels_inverse_in_dose_and_doubles_with_a_half_life(
    tmp_path_factory, weight, pixels, dose, half_lives
):
    half_life = 6000.0  # s: 100 minutes, so that one more of it is a whole number of minutes

    def edit(ds, k):
        item = tracer(ds)
        ds.PatientWeight = f"{70 * weight:.6f}"
        item.RadionuclideTotalDose = f"{368.08e6 * dose:.6e}"
        item.RadionuclideHalfLife = str(half_life)
        at = 10 * 60 - 100 * half_lives
        item.RadiopharmaceuticalStartTime = f"{at // 60:02d}{at % 60:02d}00"
        item.RadiopharmaceuticalStartDateTime = f"20250101{at // 60:02d}{at % 60:02d}00"

    suv = np.random.default_rng(5).uniform(0.5, 4, (3, 4, 5))
    plain = bqml_per_suv(0.0) * 2 ** (-3600 / half_life)
    pet = load_pet(write_series(tmp_path_factory.mktemp("pet"), suv * pixels, plain, edit))
    assert pet.values == pytest.approx(suv * pixels * weight / dose * 2**half_lives, rel=1e-3)


def test_neither_file_names_nor_the_order_of_files_matter(tmp_path):
    suv = np.random.default_rng(6).uniform(0.5, 4, (6, 4, 5))
    folder = write_series(tmp_path / "pet", suv, slopes=[0.5, 2.0, 1.0, 0.7, 1.3, 0.9])
    once = load_pet(folder)
    files = sorted(folder.iterdir())
    for order in ([3, 0, 5, 1, 4, 2], [5, 4, 3, 2, 1, 0]):
        shuffled = tmp_path / f"shuffled{order[0]}"
        shuffled.mkdir()
        for name, at in enumerate(order):
            (shuffled / f"{name}").write_bytes(files[at].read_bytes())
        for pet in (load_pet(shuffled), load_pet([files[at] for at in order])):
            assert np.array_equal(pet.values, once.values)
            assert np.array_equal(pet.affine, once.affine)
            assert np.array_equal(pet.suv_factors, once.suv_factors)
