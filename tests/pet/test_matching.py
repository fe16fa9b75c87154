"""Which region is which lesion: shapes drawn by hand, whose overlaps and distances are known."""

import numpy as np
import pytest

from analysis import plan as plans
from analysis.pet import matching
from analysis.pet.geometry import Grid
from analysis.pet.lesion_identity import Node, Visit, name_lesions
from analysis.pet.matching import Shape, compare_shapes, match_lesions
from analysis.pet.propagation import measure_background, propagate
from analysis.pet.region import Region
from analysis.pet.registration import RigidTransform

RULES = plans.defaults().pet
SIZE = (60, 60, 60)


def rules(**changes):
    return plans.defaults().override({f"pet.{name}": value for name, value in changes.items()}).pet


def grid(step=2.0, size=SIZE):
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, step], [0, step, 0], [step, 0, 0]])
    positions = step * np.arange(size[0])
    return Grid(
        affine, np.full(3, step), positions, np.full(size[0], step**3 / 1000), np.zeros(size[0], bool)
    )


def ball(x, y, z, radius=8.0, organ=None, step=2.0):
    """A ball in a cube of 120 mm; its place and radius in mm."""
    size = tuple(round(120 / step) for _ in range(3))
    axes = np.stack(np.meshgrid(*(step * np.arange(n) for n in size), indexing="ij"), axis=-1)
    mask = ((axes - [z, y, x]) ** 2).sum(axis=-1) <= radius**2
    return Shape(Region.of(mask), grid(step, size), organ)


def turned(degrees=0.0, shift=(0.0, 0.0, 0.0)):
    """Turn about the z axis through (60, 60, 60) mm, then shift: baseline -> follow-up."""
    a = np.radians(degrees)
    rotation = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    centre = np.full(3, 60.0)
    return RigidTransform(rotation, centre - rotation @ centre + shift, {})


def pairs(links):
    return {(link.followup, link.baseline) for link in links}


# ---- two regions


def test_a_region_compared_with_itself_overlaps_wholly_and_with_a_far_one_not_at_all():
    same = compare_shapes(ball(40, 40, 40), ball(40, 40, 40), 2.0)
    assert (same.dice, same.share_first, same.distance_mm) == (1.0, 1.0, pytest.approx(0, abs=1e-9))
    far = compare_shapes(ball(30, 30, 30), ball(90, 30, 30), 2.0)
    assert (far.dice, far.distance_mm) == (0.0, pytest.approx(60))


def test_dice_of_two_balls_is_that_of_the_lens_they_share():
    # Radius R, distance d: lens = pi (2R - d)^2 (d^2 + 4 d R) / (12 d) = pi 16^2 (64 + 4*8*12) / 96 at R 12, d 8.
    lens = np.pi * 16**2 * (64 + 4 * 8 * 12) / 96
    expected = lens / (4 / 3 * np.pi * 12**3)
    found = compare_shapes(ball(50, 60, 60, 12.0), ball(58, 60, 60, 12.0), 1.0)
    assert found.dice == pytest.approx(expected, abs=0.03) and found.distance_mm == pytest.approx(8, abs=1e-9)


def test_regions_of_different_grids_are_held_against_each_other_in_mm():
    found = compare_shapes(ball(60, 60, 60, 14.0), ball(60, 60, 60, 14.0, step=5.0), 1.0)
    assert found.dice > 0.85 and found.distance_mm < 1


def test_a_region_through_the_whole_body_costs_little_against_a_small_lesion():
    spread, small = np.zeros((120, 60, 60), bool), np.zeros((120, 60, 60), bool)
    spread[:, ::3, ::3], small[60:64, 30:34, 30:34] = True, True
    shapes = [Shape(Region.of(mask), grid(4.0, mask.shape)) for mask in (spread, small)]
    found = compare_shapes(*shapes, 2.0)
    # 4 slices of rows and columns 30 and 33: 16 of the 64 voxels of one, and of the 120 x 20 x 20 of the other.
    assert found.share_second == pytest.approx(16 / 64) and found.share_first == pytest.approx(16 / 48000)
    box = np.zeros(3), np.array([40.0, 30.0, 20.0])
    points = np.concatenate(list(matching._points_between(*box, 2.0)))
    assert len(points) == 20 * 15 * 10 and (points >= box[0]).all() and (points <= box[1]).all()


# ---- pairs


@pytest.mark.parametrize(("degrees", "shift"), [(0, (0, 0, 0)), (0, (35, -20, 10)), (15, (5, 5, 5))])
def test_names_are_not_looked_at_and_a_known_movement_is_undone(degrees, shift):
    before = {"L1": ball(30, 60, 60), "L2": ball(70, 60, 60)}
    moved = turned(degrees, shift)
    after = {}
    for name, one in (("L2", before["L1"]), ("L1", before["L2"])):
        after[name] = ball(*moved.to_followup(one.centre_mm[None])[0])
    links = match_lesions(before, after, moved, RULES)
    assert pairs(links) == {("L2", "L1"), ("L1", "L2")}
    assert max(link.distance_mm for link in links) < 1.5 and min(link.dice for link in links) > 0.8


@pytest.mark.parametrize(("gap", "found"), [(18, True), (20, False), (22, False)])
def test_a_region_that_does_not_overlap_is_the_lesion_only_nearer_than_20_mm(gap, found):
    links = match_lesions({"A": ball(40, 60, 60, 5)}, {"x": ball(40 + gap, 60, 60, 5)}, None, RULES)
    assert (pairs(links) == {("x", "A")}) is found


def test_another_organ_is_never_the_same_lesion_and_an_unknown_one_is_flagged():
    before = {"A": ball(60, 60, 60, organ="liver")}
    assert match_lesions(before, {"x": ball(60, 60, 60, organ="bone")}, None, RULES) == []
    (link,) = match_lesions(before, {"x": ball(60, 60, 60)}, None, RULES)
    assert link.flags == ("ORGAN_UNKNOWN",)
    (link,) = match_lesions(before, {"x": ball(60, 60, 60, organ="Liver ")}, None, RULES)
    assert link.flags == ()


def test_the_best_assignment_is_taken_not_the_nearest_first():
    # x lies 6 mm from B and 9 mm from A; y only reaches B (12 mm from it). Greedy would leave y or A alone.
    before = {"A": ball(40, 60, 60, 3), "B": ball(55, 60, 60, 3)}
    after = {"x": ball(49, 60, 60, 3), "y": ball(67, 60, 60, 3)}
    links = match_lesions(before, after, None, RULES)
    assert pairs(links) == {("x", "A"), ("y", "B")}
    assert "SEVERAL_CANDIDATES" in next(link for link in links if link.followup == "x").flags


def test_what_lies_in_a_taken_lesion_is_a_part_of_it_and_what_lies_beside_is_not():
    before = {"A": ball(60, 60, 60, 20)}
    after = {"x": ball(52, 60, 60, 6), "y": ball(70, 60, 60, 5), "z": ball(84, 60, 60, 6)}
    links = match_lesions(before, after, None, RULES)
    assert pairs(links) == {("x", "A"), ("y", "A")} and [link.part for link in links] == [False, True]


def test_one_region_over_two_lesions_is_a_merge():
    before = {"A": ball(50, 60, 60, 6), "B": ball(70, 60, 60, 5)}
    links = match_lesions(before, {"x": ball(60, 60, 60, 20)}, None, RULES)
    assert pairs(links) == {("x", "A"), ("x", "B")}


def test_what_a_reader_said_is_no_question_and_takes_the_lesion_away():
    before = {"A": ball(60, 60, 60), "B": ball(75, 60, 60)}
    after = {"x": ball(60, 60, 60), "y": ball(66, 60, 60)}
    links = match_lesions(before, after, None, RULES, known={"x": "B"})
    assert pairs(links) == {("y", "A")}


def test_nothing_to_match_is_no_error():
    assert match_lesions({}, {"x": ball(60, 60, 60)}, None, RULES) == []
    assert match_lesions({"A": ball(60, 60, 60)}, {}, None, RULES) == []


# ---- names through all scans


STILL = RigidTransform.identity()


def node(name, shape, said=None):
    return Node((name,), name, shape, said)


def named(baseline, *visits, **changes):
    found = name_lesions(baseline, [Visit(nodes, STILL) for nodes in visits], rules(**changes))
    return [{name: one.lesion for name, one in scan.items()} for scan in found]


def test_swapped_names_become_those_of_the_baseline():
    base = [node("L1", ball(30, 60, 60)), node("L2", ball(80, 60, 60))]
    follow = [node("L2", ball(30, 60, 60)), node("L1", ball(80, 60, 60))]
    assert named(base, follow) == [{"L1": "L1", "L2": "L2"}, {"L2": "L1", "L1": "L2"}]


def test_what_is_joined_at_one_visit_is_one_lesion_at_all():
    base = [node("L2", ball(50, 60, 60, 6)), node("L10", ball(70, 60, 60, 5))]
    apart = [node("p", ball(50, 60, 60, 6)), node("q", ball(70, 60, 60, 5))]
    joined = [node("x", ball(60, 60, 60, 20))]
    assert named(base, apart, joined) == [{"L2": "L2", "L10": "L2"}, {"p": "L2", "q": "L2"}, {"x": "L2"}]


def test_a_new_lesion_never_bears_a_name_of_the_baseline_and_keeps_its_own_at_later_visits():
    base = [node("L1", ball(30, 60, 60))]
    first = [node("L1", ball(90, 60, 60))]
    later = [node("b", ball(90, 60, 60)), node("a", ball(30, 60, 60))]
    assert named(base, first, later) == [{"L1": "L1"}, {"L1": "L001"}, {"b": "L001", "a": "L1"}]


def test_a_scan_that_was_not_registered_is_paired_with_nothing():
    base = [node("L1", ball(30, 60, 60)), node("L2", ball(80, 60, 60))]
    visit = Visit([node("L1", ball(30, 60, 60)), node("L7", ball(80, 60, 60))], None)
    scan = name_lesions(base, [visit], RULES)[1]
    assert {name: one.lesion for name, one in scan.items()} == {"L1": "L001", "L7": "L7"}
    assert {one.flags for one in scan.values()} == {("REGISTRATION_FAILED",)}


def test_the_word_of_a_reader_wins_over_place_and_keeps_two_lesions_apart():
    base = [node("L1", ball(30, 60, 60)), node("L2", ball(80, 60, 60))]
    follow = [node("x", ball(30, 60, 60), "L2"), node("y", ball(34, 60, 60))]
    assert named(base, follow)[1] == {"x": "L2", "y": "L1"}
    base = [node("a", ball(50, 60, 60, 6), "L1"), node("b", ball(70, 60, 60, 5), "L2")]
    assert named(base, [node("x", ball(60, 60, 60, 20))])[0] == {"a": "L1", "b": "L2"}


def test_a_new_lesion_is_not_hidden_in_one_of_the_baseline_by_a_later_merge():
    base, new = [node("L1", ball(50, 60, 60, 6))], ball(70, 60, 60, 5, organ=None)
    first = [node("x", ball(50, 60, 60, 6)), node("n", new)]
    both = [node("m", ball(60, 60, 60, 20))]
    found = named(base, first, both)
    assert found[1] == {"x": "L1", "n": "n"} and found[2]["m"] == "L1"


def test_a_word_that_place_speaks_against_joins_no_two_lesions_of_the_baseline():
    base = [node("L1", ball(30, 60, 60)), node("L2", ball(80, 60, 60))]
    crossed = [node("x", ball(30, 60, 60), "L2"), node("y", ball(80, 60, 60))]
    assert named(base, crossed) == [{"L1": "L1", "L2": "L2"}, {"x": "L2", "y": "y"}]
    near = [node("L1", ball(50, 60, 60, 6)), node("L2", ball(65, 60, 60, 6))]  # 15 mm apart: a candidate
    assert named(near, [node("x", ball(50, 60, 60, 6), "L2")])[0] == {"L1": "L1", "L2": "L2"}


def test_the_word_of_a_reader_still_joins_what_her_region_holds():
    base = [node("L1", ball(52, 60, 60, 7)), node("L2", ball(68, 60, 60, 7))]
    assert named(base, [node("x", ball(60, 60, 60, 18), "L2")])[0] == {"L1": "L2", "L2": "L2"}


def test_links_wait_for_the_readers_word_where_the_plan_says_so():
    base, follow = [node("L1", ball(30, 60, 60))], [node("L1", ball(30, 60, 60))]
    found = name_lesions(base, [Visit(follow, STILL)], rules(match_confirmed_only=True))[1]["L1"]
    assert (found.lesion, found.proposal, found.flags[-1]) == ("L001", "L1", "LINK_UNCONFIRMED")
    assert found.dice == pytest.approx(1.0)


# ---- lesions that are gone


class Image:
    """What propagation reads of a PET: SUV 2 left of x = 60 mm, 5 right of it."""

    grid = grid()
    values = np.full(SIZE, 2.0, np.float32)


Image.values[:, :, 31:] = 5.0


def test_the_background_is_the_mean_at_the_propagated_place():
    moved = turned(0, (20, 0, 0))
    left = measure_background(ball(30, 60, 60), Image, moved)
    assert (left.suv_mean, left.flags) == (2.0, ("PROPAGATED",))
    right = measure_background(ball(60, 60, 60), Image, moved, [ball(80, 60, 60, 4).region])
    assert (right.suv_mean, right.flags) == (5.0, ("PROPAGATED", "PROPAGATED_TOUCHES_LESION"))
    assert right.region.n_voxels == ball(80, 60, 60).region.n_voxels


def test_a_place_outside_the_image_gives_nothing():
    found = measure_background(ball(90, 60, 60), Image, turned(0, (25, 0, 0)))
    assert (found.region, found.suv_mean, found.flags) == (None, None, ("PROPAGATED_OUTSIDE",))


def test_a_region_smaller_than_a_voxel_of_the_follow_up_has_the_nearest_one():
    point = Shape(Region.at(np.array([[24, 24, 24]]), SIZE), grid())
    region = propagate(point, grid(12.0, (10, 10, 10)), (10, 10, 10), turned(0, (3, 3, 3)))
    assert region.index().tolist() == [[4, 4, 4]]
