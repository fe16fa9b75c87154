"""Thresholds, targets and roles; expected values by hand from pet.md 2.2 and 2.5."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import plan as plans
from analysis.pet.codes import RoiRefused
from analysis.pet.geometry import Grid
from analysis.pet.quality import check_decisions, check_protocol, check_subjects
from analysis.pet.reference_regions import (
    assign_role,
    check_region,
    compute_threshold,
    cylinder_region,
    derive_evaluable,
    percist_threshold,
    select_targets,
    sphere_region,
)
from analysis.pet.region import Region

RULES = plans.defaults().pet


def rows(role, lesion, **metrics):
    return [
        {"USUBJID": "S1", "AVISIT": "D0", "ROLE": role, "LESIONID": lesion, "METRIC": metric, "AVAL": value}
        for metric, value in metrics.items()
    ]


def evaluable(*parts, metric="SUVMAX", rules=RULES):
    found = derive_evaluable(pd.DataFrame([row for part in parts for row in part]), rules, metric=metric)
    return found.set_index("LESIONID")[["EVALFL", "FLAGS"]].apply(tuple, axis=1).to_dict()


def test_the_threshold_is_1_5_times_the_liver_mean_plus_2_sd():
    assert compute_threshold(2.0, 0.25, factor=1.5, sd_multiple=2.0) == 3.5


@pytest.mark.parametrize(("suv", "flag"), [(3.5, "Y"), (3.4999, "N"), (3.6, "Y")])
def test_a_lesion_equal_to_the_threshold_is_evaluable(suv, flag):
    liver = rows("LIVER", "LIVER", SUVMEAN=2.0, SUVSD=0.25)
    assert evaluable(rows("LESION", "L1", SUVMAX=suv), liver) == {"L1": (flag, "")}


def test_each_metric_is_held_against_the_liver_on_its_own_scale():
    liver = rows("LIVER", "LIVER", SUVMEAN=2.0, SUVSD=0.25, SULMEAN=1.0, SULSD=0.1)
    lesion = rows("LESION", "L1", SUVMAX=3.0, SULPEAK=1.8)
    assert evaluable(lesion, liver)["L1"][0] == "N"
    assert evaluable(lesion, liver, metric="SULPEAK")["L1"][0] == "Y"  # 1.5 x 1.0 + 0.2 = 1.7


@pytest.mark.parametrize(
    ("suv", "expected"),
    [
        (4.0, ("Y", "AORTA_REFERENCE")),
        (3.8, ("N", "AORTA_REFERENCE;MEASURABILITY_AMBIGUOUS")),
        (3.5, ("N", "AORTA_REFERENCE")),
    ],
)
def test_the_aorta_stands_in_and_lesions_between_its_two_readings_are_ambiguous(suv, expected):
    aorta = rows("AORTA", "AORTA", SUVMEAN=1.8, SUVSD=0.2)  # 3.6 without, 4.0 with 2 SD
    assert evaluable(rows("LESION", "L1", SUVMAX=suv), aorta) == {"L1": expected}


def test_without_a_reference_region_every_reader_lesion_is_evaluable_and_says_why():
    assert evaluable(rows("LESION", "L1", SUVMAX=1.0)) == {"L1": ("Y", "NO_REFERENCE_REGION")}


def lesions_of(*given):
    return pd.DataFrame(given, columns=["LESIONID", "ORGAN", "AVAL", "EVALFL"]).assign(USUBJID="S1")


def targets(table, **limits):
    chosen = select_targets(table, **{"max_targets": 5, "max_per_organ": 2, **limits})
    return sorted(table.loc[chosen, "LESIONID"])


def test_targets_are_the_hottest_evaluable_lesions_at_most_two_of_an_organ():
    bone = [("L1", "bone", 9, "Y"), ("L2", "bone", 8, "Y"), ("L3", "bone", 7, "Y")]
    table = lesions_of(*bone, ("L4", "liver", 3, "Y"), ("L5", "lung", 12, "N"))
    assert targets(table) == ["L1", "L2", "L4"]


def test_no_more_than_five_targets_and_unknown_organs_limit_nothing():
    table = lesions_of(*[(f"L{i}", None, 10.0 + i, "Y") for i in range(7)])
    assert targets(table) == ["L2", "L3", "L4", "L5", "L6"]


@given(st.permutations(range(6)))
def test_the_order_of_rows_does_not_choose_targets_even_with_ties(order):
    table = lesions_of(*[(f"L{i}", "bone", 5.0, "Y") for i in range(6)]).iloc[list(order)]
    assert targets(table) == ["L0", "L1"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("L12", ("lesion", "L12", None)),
        ("liver", ("liver", "LIVER", None)),
        ("AORTA", ("aorta", "AORTA", None)),
        ("Lung", (None, "Lung", None)),
        ("GTV", (None, "GTV", None)),
    ],
)
def test_known_names_have_a_role_and_others_none(name, expected):
    assert assign_role(name, {}, {}) == expected


def test_the_map_of_the_study_comes_before_the_known_names():
    mapped = {"L1": {"ROLE": "ignore", "LESIONID": None, "ORGAN": None}}
    assert assign_role("L1", mapped, {"L1": "lesion"}) == ("ignore", "L1", None)
    assert assign_role("GTV", mapped, {"GTV": "lesion"}) == ("lesion", "GTV", None)


def test_a_liver_region_with_a_hot_voxel_or_a_wrong_scale_is_flagged():
    assert check_region("LIVER", {"SUVMEAN": 2.0, "SUVSD": 0.2, "SUVMAX": 2.6, "SULMEAN": 1.4}, RULES) == []
    odd = {"SUVMEAN": 2.0, "SUVSD": 0.41, "SUVMAX": 3.3, "SULMEAN": 140.0}
    assert check_region("LIVER", odd, RULES) == ["LIVER_CV_HIGH", "LIVER_HOT_VOXEL", "LIVER_SUL_IMPLAUSIBLE"]


@pytest.mark.parametrize(
    ("uptake", "expected"),
    [(60.0, []), (30.0, []), (29.9, ["UPTAKE_TIME_UNUSUAL"]), (180.1, ["UPTAKE_TIME_UNUSUAL"]), (None, [])],
)
def test_an_uptake_time_outside_the_usual_is_flagged(uptake, expected):
    assert (
        check_protocol({"uptake_time_min": uptake, "half_life_s": 6586.2, "injection": 1}, RULES) == expected
    )


def test_an_impossible_uptake_time_is_refused_only_where_suv_rests_on_it():
    facts = {"uptake_time_min": 241.0, "half_life_s": None, "injection": None}
    assert check_protocol(facts, RULES) == ["UPTAKE_TIME_IMPOSSIBLE"]
    with pytest.raises(ValueError, match=r"PROTOCOL_UPTAKE_TIME: .* found 241\.0 min"):
        check_protocol(facts | {"injection": 1}, RULES)


def test_a_patient_who_loses_a_tenth_of_the_weight_in_weeks_is_asked_about():
    scans = pd.DataFrame(
        {"USUBJID": ["A", "A", "B", "B"], "WEIGHTKG": [70, 78, 70, 76], "HEIGHTM": [1.7, 1.7, 1.7, 1.74]}
    )
    found = check_subjects(scans, RULES)
    assert list(zip(found["CODE"], found["USUBJID"])) == [("WEIGHT_CHANGED", "A"), ("HEIGHT_CHANGED", "B")]


def test_decisions_that_change_nothing_are_listed():
    adpet = pd.DataFrame(rows("LESION", "L1", SUVMAX=1.0))
    given_rows = [("D14", "L1", "new"), ("D0", "L1", "resolved"), ("D14", "L9", "resolved")]
    given_rows += [("D14", "L1", "gone"), ("D14", "L8", "new")]
    table = pd.DataFrame(given_rows, columns=["AVISIT", "LESIONID", "DECISION"]).assign(USUBJID="S1")
    assert sorted(check_decisions(table, adpet)["CODE"]) == [
        "DECISION_AT_BASELINE",
        "DECISION_NEW_BUT_AT_BASELINE",
        "DECISION_ON_UNKNOWN_LESION",
        "DECISION_UNKNOWN_WORD",
    ]


# ---- shapes ----


def empty_image(shape=(20, 24, 24), spacing=(4.0, 5.0, 3.0)):
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, spacing[2]], [0, spacing[1], 0], [spacing[0], 0, 0]])
    affine[:3, 3] = (-30, -60, -500)
    n = shape[0]
    volume = np.full(n, np.prod(spacing) / 1000)
    grid = Grid(
        affine, np.array(spacing), affine[2, 3] + np.arange(n) * spacing[0], volume, np.zeros(n, bool)
    )
    return SimpleNamespace(values=np.zeros(shape, np.float32), grid=grid, affine=affine)


def offsets_of(pet, region, centre):
    return region.index() * [4.0, 5.0, 3.0] + [-500, -60, -30] - np.array(centre)[::-1]


def test_a_sphere_holds_exactly_the_voxels_whose_centre_is_within_its_radius():
    pet, centre = empty_image(), (4.0, -1.0, -461.0)
    region = sphere_region(pet, centre, 30.0)
    distance = np.linalg.norm(offsets_of(pet, region, centre), axis=1)
    assert distance.max() <= 15
    everything = Region.of(np.ones(pet.values.shape, bool))
    inside = np.linalg.norm(offsets_of(pet, everything, centre), axis=1) <= 15
    assert region.n_voxels == inside.sum()
    assert region.n_voxels * 0.06 == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.05)


def test_a_cylinder_stands_upright_and_its_border_belongs_to_it():
    pet, centre = empty_image(), (0.0, 0.0, -460.0)
    region = cylinder_region(pet, centre, 10.0, 20.0)
    z, y, x = offsets_of(pet, region, centre).T
    # Rows at 0 and both 5 mm away (on the border), columns 0 and 3 mm to either side.
    assert sorted(set(zip(y, x))) == [(-5, 0), (0, -3), (0, 0), (0, 3), (5, 0)]
    assert sorted(set(z)) == [-8, -4, 0, 4, 8]
    assert region.n_voxels == 25


@pytest.mark.parametrize("centre", [(-20.0, 0.0, -460.0), (0.0, 0.0, -420.0), (0.0, 500.0, -460.0)])
def test_a_region_that_leaves_the_image_is_refused(centre):
    with pytest.raises(RoiRefused, match="REFERENCE_OUTSIDE_IMAGE"):
        sphere_region(empty_image(), centre, 30.0)


def test_percists_threshold_follows_the_plan():
    assert percist_threshold(2.0, 0.25, RULES) == 3.5
    other = plans.defaults().override({"pet.evaluable_sd_multiple": 0.0}).pet
    assert percist_threshold(2.0, 0.25, other) == 3.0


def test_of_two_livers_none_is_picked_whatever_their_order():
    lesion = rows("LESION", "L1", SUVMAX=5.0)
    two = [rows("LIVER", name, SUVMEAN=mean, SUVSD=0.1) for name, mean in (("A", 2.0), ("B", 4.0))]
    assert evaluable(lesion, *two) == evaluable(lesion, *two[::-1]) == {"L1": ("Y", "NO_REFERENCE_REGION")}
    aorta = rows("AORTA", "AORTA", SUVMEAN=1.5, SUVSD=0.1)
    assert evaluable(lesion, *two, aorta) == {"L1": ("Y", "AORTA_REFERENCE")}  # 2 x 1.5 + 0.2 = 3.2
