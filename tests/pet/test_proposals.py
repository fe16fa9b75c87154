"""Automatic liver and aorta: where they lie and what they show is known, because the body is painted here."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from analysis import plan
from analysis.pet import torso as torso_module
from analysis.pet.codes import RoiRefused
from analysis.pet.geometry import Grid
from analysis.pet.patient_view import PatientView
from analysis.pet.proposals import propose_aorta, propose_liver
from analysis.pet.region import Region
from analysis.pet.torso import find_torso

RULES = plan.defaults().pet
STEP = np.array([4.0, 5.0, 5.0])  # mm: slice, row, column
SHAPE = (110, 60, 80)
LIVER, BLOOD, LUNG, SOFT = 2.2, 1.6, 0.4, 0.6
LIVER_AT = (-70.0, 0.0, 170.0)  # x (left), y (back), z (head) in mm


def axes():
    """Coordinates of every voxel, mm: x grows to the left, y to the back, z to the head."""
    z, y, x = (np.arange(n) * step for n, step in zip(SHAPE, STEP))
    return z[:, None, None], y[:, None] - 150, x - 200


def ball(x0, y0, z0, a, b, c):
    z, y, x = axes()
    return ((x - x0) / a) ** 2 + ((y - y0) / b) ** 2 + ((z - z0) / c) ** 2 <= 1


def body(*, liver=LIVER, lungs=LUNG, aorta=BLOOD, edit=None):
    """A trunk without arms: elliptic, with two lungs above a liver on the right, heart, spine and aorta."""
    z, y, x = axes()
    suv = np.zeros(SHAPE)
    suv[np.broadcast_to((x / 160) ** 2 + (y / 110) ** 2 <= 1, SHAPE)] = SOFT
    for side in (-1, 1):
        suv[ball(side * 78, 0, 310, 58, 80, 95)] = lungs
    suv[ball(*LIVER_AT, 75, 82, 70)] = liver
    suv[ball(0, -40, 290, 45, 40, 40)] = BLOOD
    suv[np.broadcast_to((x / 18) ** 2 + ((y - 66) / 16) ** 2 <= 1, SHAPE)] = 1.2
    tube = np.broadcast_to((x - 24) ** 2 + (y - 42) ** 2 <= 12**2, SHAPE)
    suv[tube & (z > 100) & (z < 380)] = aorta
    if edit:
        edit(suv)
    return suv


def scan(suv, *, noise=0.07, order=(0, 1, 2), flip=()):
    """Blur by 6 mm, add noise, and turn the array: the affine tells where everything is."""
    blurred = ndimage.gaussian_filter(suv, 2.55 / STEP)
    values = np.maximum(blurred * np.random.default_rng(7).normal(1, noise, suv.shape), 0).astype(np.float32)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, STEP[2]], [0, STEP[1], 0], [STEP[0], 0, 0]])
    affine[:3, 3] = (-200, -150, 0)
    for axis in flip:
        affine[:3, 3] += affine[:3, axis] * (values.shape[axis] - 1)
        affine[:3, axis] *= -1
    values = np.ascontiguousarray(np.flip(values, flip).transpose(order))
    affine = affine[:, [*order, 3]]
    return image(values, affine, STEP[list(order)])


def image(values, affine, spacing):
    n = len(values)
    grid = SimpleNamespace(
        to_mm=lambda index: index @ affine[:3, :3].T + affine[:3, 3],
        to_index=lambda mm: (np.asarray(mm) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T,
    )
    volumes = np.full(n, np.prod(spacing) / 1000)
    return SimpleNamespace(
        values=values, affine=affine, spacing_mm=spacing, grid=grid, slice_volumes_ml=volumes
    )


def mean_of(pet, proposal):
    return float(pet.values[proposal.region.box][proposal.region.mask].mean())


@pytest.fixture(scope="module")
def whole():
    return scan(body())


def test_the_liver_sphere_lies_in_the_right_lobe_and_shows_its_uptake(whole):
    found = propose_liver(whole, RULES)
    x, y, z = np.subtract(found.centre_mm, LIVER_AT)
    room = 15 / 82  # the whole sphere is inside the ellipsoid
    assert (x / 75) ** 2 + (y / 82) ** 2 + (z / 70) ** 2 <= (1 - room) ** 2
    assert found.centre_mm[0] <= -RULES.propose_lateral_mm + STEP[2]
    assert mean_of(whole, found) == pytest.approx(LIVER, rel=0.02)
    assert found.flags == []


def test_the_liver_sphere_has_the_volume_of_3_cm(whole):
    ml = propose_liver(whole, RULES).region.n_voxels * STEP.prod() / 1000
    assert ml == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.05)


def test_the_aorta_cylinder_lies_in_the_tube(whole):
    found = propose_aorta(whole, RULES)
    assert np.hypot(found.centre_mm[0] - 24, found.centre_mm[1] - 42) <= 6
    assert 240 <= found.centre_mm[2] <= 380  # above the liver's dome
    assert mean_of(whole, found) == pytest.approx(BLOOD, rel=0.08)


def test_the_same_image_gives_the_same_place_and_is_not_touched(whole):
    before = whole.values.copy()
    assert propose_liver(whole, RULES).centre_mm == propose_liver(whole, RULES).centre_mm
    assert np.array_equal(whole.values, before)


@pytest.mark.parametrize(
    ("order", "flip"), [((0, 1, 2), (0,)), ((0, 1, 2), (1, 2)), ((1, 0, 2), ()), ((2, 0, 1), (0, 2))]
)
def test_the_order_of_slices_rows_and_columns_is_read_from_the_affine(order, flip):
    pet = scan(body(), order=order, flip=flip)
    assert np.linalg.norm(np.subtract(propose_liver(pet, RULES).centre_mm, LIVER_AT)) < 60
    found = propose_aorta(pet, RULES)
    assert np.hypot(found.centre_mm[0] - 24, found.centre_mm[1] - 42) <= 6


def test_the_sphere_keeps_away_from_a_lesion_even_a_cold_looking_one(whole):
    first = propose_liver(whole, RULES)
    again = propose_liver(whole, RULES, [first.region])
    gap = np.linalg.norm(np.subtract(first.centre_mm, again.centre_mm))
    assert gap >= 15 + 15 + RULES.propose_edge_mm - STEP.max() * 2
    assert not again.region.shares_voxels(first.region)


def test_a_hot_lesion_that_nobody_drew_is_avoided():
    def lesion(suv):
        suv[ball(-80, 10, 185, 14, 14, 14)] = 9.0

    found = propose_liver(scan(body(edit=lesion)), RULES)
    assert np.linalg.norm(np.subtract(found.centre_mm, (-80, 10, 185))) > 14 + 15


def thigh():
    """Two thighs, muscle 0.7 and an even tumour of liver-like uptake in the right one."""
    suv = np.zeros(SHAPE)
    _, y, x = axes()
    for side in (-1, 1):
        suv[np.broadcast_to((x - side * 85) ** 2 + y**2 <= 78**2, SHAPE)] = 0.7
    suv[ball(-85, 0, 200, 55, 55, 90)] = LIVER
    return suv


def spotted(suv):
    rng = np.random.default_rng(3)
    inside = np.argwhere(ball(*LIVER_AT, 70, 75, 65))
    for z, y, x in inside[rng.permutation(len(inside))[:150]]:
        suv[z - 1 : z + 3, y - 1 : y + 2, x - 1 : x + 2] = 7.0


@pytest.mark.parametrize(
    "suv",
    [
        body(liver=SOFT),
        body(lungs=1.2),
        body(liver=LIVER)[:, :, ::-1],
        body(edit=spotted),
        body(liver=LIVER * 20),
        thigh(),
        np.zeros(SHAPE),
    ],
    ids=[
        "no liver",
        "no lung above it",
        "organ on the left",
        "full of metastases",
        "SUV wrong",
        "thigh",
        "empty",
    ],
)
def test_without_the_signs_of_a_liver_nothing_is_proposed(suv):
    with pytest.raises(RoiRefused, match="LIVER_NOT_FOUND"):
        propose_liver(scan(suv), RULES)
    with pytest.raises(RoiRefused, match="AORTA_NOT_FOUND"):
        propose_aorta(scan(suv), RULES)


def test_an_image_cropped_round_the_liver_shows_no_trunk(whole):
    low, high = (20, 10, 10), (70, 50, 40)
    box = tuple(slice(a, b) for a, b in zip(low, high))
    affine = whole.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array(low)
    with pytest.raises(RoiRefused, match="LIVER_NOT_FOUND"):
        propose_liver(image(whole.values[box].copy(), affine, STEP), RULES)


def test_a_body_without_an_aorta_gives_no_aorta():
    with pytest.raises(RoiRefused, match="AORTA_NOT_FOUND"):
        propose_aorta(scan(body(aorta=LUNG)), RULES)


def test_an_oblique_image_is_refused(whole):
    turn = np.radians(35)
    affine = whole.affine.copy()
    affine[:3, :3] = (
        np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        @ affine[:3, :3]
    )
    with pytest.raises(RoiRefused, match="ORIENTATION_OBLIQUE"):
        propose_liver(image(whole.values, affine, STEP), RULES)


def test_a_tiny_image_is_refused():
    pet = image(np.ones((1, 1, 1), np.float32), np.diag([4.0, 4, 4, 1])[[2, 1, 0, 3]], np.array([4.0] * 3))
    with pytest.raises(RoiRefused):
        propose_liver(pet, RULES, [Region.of(np.ones((1, 1, 1), bool))])


def test_the_grid_of_these_images_agrees_with_that_of_a_series(whole):
    """The stand-in converts as `Grid` does, so that what holds here holds for a series."""
    grid = Grid(
        whole.affine, STEP, np.arange(SHAPE[0]) * STEP[0], whole.slice_volumes_ml, np.zeros(SHAPE[0], bool)
    )
    index = np.array([[0, 0, 0], [30, 20, 10], [109, 59, 79]])
    assert whole.grid.to_mm(index) == pytest.approx(grid.to_mm(index))


def test_one_search_for_the_liver_serves_both_proposals(whole):
    torso = find_torso(whole, RULES)
    for propose in (propose_liver, propose_aorta):
        assert propose(whole, RULES, torso=torso).centre_mm == propose(whole, RULES).centre_mm
    nothing = find_torso(scan(np.zeros(SHAPE)), RULES)
    with pytest.raises(RoiRefused, match="AORTA_NOT_FOUND"):
        propose_aorta(whole, RULES, torso=nothing)


@pytest.mark.parametrize("flip", [(), (0, 2)])
def test_a_part_of_a_view_is_that_part_of_the_whole_view(flip):
    pet = scan(body(), flip=flip)
    box = (slice(3, 20), slice(5, 9), slice(0, 11))
    view, part = PatientView.of(pet, RULES, 8.0), PatientView.of(pet, RULES, 8.0, lambda *_: box)
    assert part.values == pytest.approx(view.values[box])
    assert part.to_mm(pet, (2, 1, 4)) == view.to_mm(pet, (5, 6, 4))
    region = propose_liver(pet, RULES).region
    assert np.array_equal(part.mask_of([region]), view.mask_of([region])[box])


def test_means_over_blocks_leave_an_incomplete_block_out(whole):
    view = PatientView.of(whole, RULES, 12.0)  # 3 x 2 x 2 voxels of 4 x 5 x 5 mm; 110 slices make 36 blocks
    assert view.values.shape == (36, 30, 40)
    assert view.values[7, 3, 5] == pytest.approx(whole.values[21:24, 6:8, 10:12].mean())


def test_opening_a_mask_is_that_of_scipy():
    for share in (0.5, 0.8, 0.95):
        mask = np.random.default_rng(4).random((20, 15, 12)) < share
        assert np.array_equal(torso_module._opened(mask), ndimage.binary_opening(mask))
