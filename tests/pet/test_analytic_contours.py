"""Analytic truth of the rasteriser: areas, Pick's theorem, clipping, holes, touching parts; half-pixel phases."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.pet.contour import combine_contours


def fill(*contours, shape=(64, 64)):
    return combine_contours([np.asarray(points, float) for points in contours], shape)[0]


def circle(radius, centre, n=720):
    at = np.arange(n) * 2 * math.pi / n
    return np.stack([centre[0] + radius * np.sin(at), centre[1] + radius * np.cos(at)], axis=1)


def polygon_area(points):
    y, x = np.asarray(points, float).T
    return abs(np.dot(y, np.roll(x, -1)) - np.dot(x, np.roll(y, -1))) / 2


@pytest.mark.parametrize("radius", [3.0, 8.0, 20.0])
def test_the_area_of_a_circle_is_within_its_bounds_and_right_on_average(radius):
    h, found = math.sqrt(0.5), []
    for y, x in itertools.product((np.arange(8) + 0.5) / 8, repeat=2):
        n = int(fill(circle(radius, (30 + y, 30 + x))).sum())
        assert math.pi * (radius - h) ** 2 <= n <= math.pi * (radius + h) ** 2
        found.append(n)
    exact = polygon_area(circle(radius, (0, 0)))
    assert np.mean(found) == pytest.approx(exact, rel=0.01)
    assert np.std(found) <= 0.6 * math.sqrt(
        2 * math.pi * radius
    )  # grows as the root of the length of the border


lattice_stars = st.lists(
    st.tuples(st.integers(2, 29), st.integers(2, 29)), min_size=3, max_size=12, unique=True
)


def star(points):
    """Order lattice points by angle about a point off the lattice: a polygon that does not cross itself."""
    middle = np.mean(points, axis=0) + (0.1234, 0.0567)
    at = {math.atan2(*(np.array(point) - middle)): point for point in points}
    ordered = [at[key] for key in sorted(at)]
    turns = np.diff([*sorted(at), min(at) + 2 * math.pi])
    return np.array(ordered) if len(ordered) > 2 and turns.max() < math.pi - 1e-6 else None


@settings(max_examples=150, deadline=None)
@given(lattice_stars)
def test_a_lattice_polygon_holds_exactly_the_points_pick_counts(points):
    """Pick: inside + on the border = area + border/2 + 1."""
    polygon = star(points)
    if polygon is None:
        return
    border = sum(math.gcd(*map(abs, map(int, edge))) for edge in np.diff(polygon, axis=0, append=polygon[:1]))
    assert fill(polygon, shape=(32, 32)).sum() == polygon_area(polygon) + border / 2 + 1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-12, 12), st.integers(-12, 12))
def test_a_contour_partly_outside_is_the_crop_of_the_whole(seed, down, right):
    rng = np.random.default_rng(seed)
    points = rng.uniform(1, 30, (rng.integers(3, 15), 2))  # may cross itself: even-odd all the same
    whole = np.zeros((96, 96), bool)
    whole[:] = fill(points + 32, shape=(96, 96))
    shifted = fill(points + (down, right), shape=(32, 32))
    assert np.array_equal(shifted, whole[32 - down : 64 - down, 32 - right : 64 - right])


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[st.integers(0, 20)] * 2), st.tuples(*[st.integers(1, 10)] * 2), st.floats(0.01, 0.99))
def test_edges_between_voxel_centres_give_the_exact_area_whatever_the_phase(low, size, phase):
    (top, left), (height, width) = np.array(low) + phase, size
    box = [[top, left], [top, left + width], [top + height, left + width], [top + height, left]]
    assert fill(box).sum() == height * width


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_hole_nested_or_by_keyhole_is_the_outer_without_the_inside_of_the_inner(seed):
    rng = np.random.default_rng(seed)
    centre = rng.uniform(28, 36, 2)
    outer, inner = circle(rng.uniform(12, 20), centre, 90), circle(rng.uniform(4, 9), centre, 60)
    y, x = np.mgrid[:64, :64] - np.asarray(centre)[:, None, None]
    nested = fill(outer, inner)
    keyhole = fill(np.concatenate([outer, outer[:1], inner[:1], inner[::-1]]))
    solid, hole = fill(outer), fill(inner)
    assert np.array_equal(nested & ~hole, solid & ~hole)
    deep = np.hypot(y, x) < np.linalg.norm(inner[0] - centre) * math.cos(math.pi / 60) - 0.5
    assert not nested[deep].any()
    assert abs(int(nested.sum()) - (int(solid.sum()) - int(hole.sum()))) <= 1
    differing = np.argwhere(nested != keyhole)  # only voxels that the zero-width cut itself runs through
    cut = np.abs((differing - outer[0]) @ np.array([-1, 1]) * 0) if len(differing) == 0 else differing
    assert len(cut) <= 1 or all(_near_segment(point, outer[0], inner[0]) for point in cut)


def _near_segment(point, a, b):
    along = np.clip(np.dot(point - a, b - a) / np.dot(b - a, b - a), 0, 1)
    return np.linalg.norm(a + along * (b - a) - point) < 1e-3


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 14), st.integers(3, 10), st.integers(3, 10), st.just(0.0) | st.floats(0.01, 0.99))
def test_parts_that_touch_along_an_edge_add_up_to_their_union(split, width, height, phase):
    top, left = 5 + phase, 5.0
    one = [[top, left], [top, left + split], [top + height, left + split], [top + height, left]]
    right = left + split
    two = [[top, right], [top, right + width], [top + height, right + width], [top + height, right]]
    both = [[top, left], [top, right + width], [top + height, right + width], [top + height, left]]
    assert np.array_equal(fill(one, two), fill(both))
