"""Pictures of a scan: laid out, labelled and cut by hand-made bodies whose neck is where it was put."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan, storage
from analysis.pet import head, load_pet
from analysis.pet.codes import RoiRefused
from analysis.pet.head import rows_below_chin
from analysis.pet.patient_view import PatientView
from analysis.pet.projection import project, project_scan
from analysis.pet.region import Region
from analysis.pet.torso import Body, Torso

RULES = plan.defaults().pet
STEP = 8.0  # mm, the size of a coarse voxel: one level of these bodies is one of the search's
SHAPE = (115, 50, 64)
NECK, SHOULDER = 70, 69  # the neck's lowest level; the trunk's highest


def image(values, spacing=(STEP, STEP, STEP), axes=((0, 0, 1), (0, 1, 0), (1, 0, 0))):
    """An image whose array axes run along these directions of the patient (x, y, z)."""
    affine = np.eye(4)
    for axis, (direction, mm) in enumerate(zip(axes, spacing, strict=True)):
        affine[:3, axis] = np.array(direction) * mm
    values = np.ascontiguousarray(values, np.float32)
    return SimpleNamespace(
        values=values, affine=affine, spacing_mm=np.array(spacing), coronal_mip=values.max(axis=1)
    )


def cylinder(body, levels, centre, radii, suv=1.0):
    """Put an upright elliptic cylinder into a body; centre and radii (y, x) in mm."""
    _, y, x = np.ogrid[:1, : body.shape[1], : body.shape[2]]
    inside = (((y * STEP - centre[0]) / radii[0]) ** 2 + ((x * STEP - centre[1]) / radii[1]) ** 2 <= 1)[0]
    body[slice(*levels), inside] = suv


def person(top=SHAPE[0], arms=False, hands=False, neck=True):
    """Trunk to level 69, neck of 120 mm to 79, head of 190 mm to 107: levels of 8 mm from below."""
    body = np.zeros(SHAPE)
    cylinder(body, (0, NECK), (200, 256), (110, 170))
    if neck:
        cylinder(body, (NECK, 80), (200, 256), (60, 60))
        cylinder(body, (80, 107), (190, 256), (95, 75), suv=6.0)
    if arms:
        for x in (60, 450):
            cylinder(body, (60, SHAPE[0]), (200, x), (45, 45))
    if hands:
        cylinder(body, (110, SHAPE[0]), (200, 256), (40, 60))
    return body[:top]


@pytest.fixture
def no_liver(monkeypatch):
    monkeypatch.setattr(head, "find_torso", lambda *_: RoiRefused("LIVER_NOT_FOUND", "none"))


def with_liver(monkeypatch, dome_level):
    """Let the liver's highest voxel lie at this level."""
    organ = np.zeros(SHAPE, bool)
    organ[dome_level - 20 : dome_level + 1, 20:25, 20:25] = True

    def find(pet, rules):
        view = PatientView.of(pet, rules, STEP)
        return Torso(view, Body.of(view, rules), organ[: pet.values.shape[0]], 2.0)

    monkeypatch.setattr(head, "find_torso", find)


# ---- where a picture of a patient ends ----


@pytest.mark.parametrize(
    "body", [{}, {"arms": True}, {"top": 88}, {"arms": True, "top": 95}, {"hands": True}]
)
def test_the_picture_ends_at_the_lowest_level_of_the_neck(no_liver, body):
    assert rows_below_chin(image(person(**body)), RULES) == (NECK, [])


def test_a_liver_leads_to_the_neck_above_it(monkeypatch):
    with_liver(monkeypatch, dome_level=45)
    assert rows_below_chin(image(person(arms=True)), RULES) == (NECK, [])


def test_nothing_is_cut_where_the_image_ends_in_the_thorax(monkeypatch):
    """The dome ends at 46 x 8 = 368 mm; the thorax is safe up to 468 mm, level 58."""
    with_liver(monkeypatch, dome_level=45)
    assert rows_below_chin(image(person(top=58)), RULES) == (58, [])


@pytest.mark.parametrize("apart", [100, 120, 140])
def test_a_brain_between_raised_arms_is_no_liver(monkeypatch, apart):
    """A field of a head alone, 240 mm and, with the neck's length added, 480 mm: nothing of it is kept whole."""
    for levels in (30, 60):
        body = np.zeros((levels, *SHAPE[1:]))
        for x, radii in ((256, (95, 75)), (256 - apart, (45, 45)), (256 + apart, (45, 45))):
            cylinder(body, (0, levels), (200, x), radii)
        with_liver(monkeypatch, dome_level=levels - 4)
        n, flags = rows_below_chin(image(body), RULES)
        assert n <= levels - 350 / STEP or n == 0
        assert "MIP_NECK_NOT_FOUND" in flags


def test_a_liver_at_the_lower_end_of_the_image_does_not_keep_all(monkeypatch):
    """Its dome lies 184 mm above the lower end."""
    with_liver(monkeypatch, dome_level=22)
    n, flags = rows_below_chin(image(person(top=30, neck=False)), RULES)
    assert n == 0 and "MIP_WITHHELD" in flags


def test_without_a_neck_all_above_the_thorax_is_cut(monkeypatch):
    with_liver(monkeypatch, dome_level=45)
    assert rows_below_chin(image(person(top=68, neck=False)), RULES) == (58, ["MIP_NECK_NOT_FOUND"])


def test_without_neck_and_liver_a_length_below_the_top_is_cut(no_liver):
    """350 mm are 44 levels."""
    assert rows_below_chin(image(person(neck=False)), RULES) == (NECK - 44, ["MIP_NECK_NOT_FOUND"])


def test_an_image_cut_out_of_a_body_shows_no_neck(no_liver):
    """The same body, 128 mm of its width: what looks like a neck may be a part of anything."""
    cut_out = image(person()[:, :, 24:40])
    assert rows_below_chin(cut_out, RULES) == (107 - 44, ["MIP_NECK_NOT_FOUND"])


@pytest.mark.parametrize("values", [np.zeros((20, 20, 20)), np.ones((20, 20, 20))])
def test_a_small_or_empty_image_is_not_shown(no_liver, values):
    n, flags = rows_below_chin(image(values), RULES)
    assert n == 0 and "MIP_WITHHELD" in flags


def test_nothing_of_what_was_cut_is_in_a_row(no_liver):
    body = person()
    eye, node = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    eye[90:92, 20:22, 30:32], node[NECK - 1 : NECK + 2, 25, 32] = True, True
    rows, _ = project_scan(image(body), {"EYE": Region.of(eye), "NODE": Region.of(node)}, RULES, crop=True)
    for row in rows:
        assert row["ROWS"] == NECK and row["LABELNAMES"] == "NODE"
        assert row["PIXELS"].max() == 25  # SUV 1 of 10; the head has 6
        assert (row["LABELS"].reshape(NECK, -1)[0] == 1).sum() == 1  # the node's lowest voxel


@pytest.mark.parametrize("upside_down", [False, True])
def test_the_head_is_cut_however_the_image_is_stored(no_liver, upside_down):
    """A sagittal series: array axes left, head, back, or feet first."""
    stored = person().transpose(2, 0, 1)
    axes = ((1, 0, 0), (0, 0, 1), (0, 1, 0))
    if upside_down:
        stored, axes = stored[:, ::-1], ((1, 0, 0), (0, 0, -1), (0, 1, 0))
    rows, flags = project_scan(image(stored, axes=axes), {}, RULES, crop=True)
    assert flags == [] and [row["ROWS"] for row in rows] == [NECK, NECK]
    assert max(row["PIXELS"].max() for row in rows) == 25


@pytest.mark.real
def test_the_face_of_a_real_scan_is_cut_at_the_neck(shared_data):
    """Seen by eye, chin and larynx lie above slice 224 of 267; the arms are raised, the eyes half out of view."""
    pet = load_pet(shared_data / "sarcoma_raw" / "STS_001" / "pet")
    assert rows_below_chin(pet, RULES) == (pytest.approx(224, abs=4), [])


# ---- how a picture is laid out ----


def spots():
    """Low on the right in front, and high on the left at the back: axes head, back, left."""
    values = np.zeros((6, 5, 4))
    values[0, 0, 0], values[5, 4, 3] = 10.0, 5.0
    return values


ORDERS = {
    "axial": ((0, 1, 2), (1, 1, 1)),
    "feet first": ((0, 1, 2), (-1, 1, -1)),
    "prone": ((0, 1, 2), (1, -1, -1)),
    "coronal": ((1, 0, 2), (1, -1, 1)),
    "sagittal": ((2, 0, 1), (1, 1, -1)),
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_orientation_gives_the_picture_a_reader_expects(order):
    axes, signs = ORDERS[order]
    patient = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])  # head, back, left as x, y, z
    stored = spots().transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    directions = [sign * patient[axis] for axis, sign in zip(axes, signs, strict=True)]
    coronal, sagittal = project(image(stored, axes=directions), {"L1": Region.of(stored == 10)}, RULES)
    expected = np.zeros((6, 4))
    expected[5, 0], expected[0, 3] = 255, 127  # head first, the patient's right on the left
    assert np.array_equal(coronal["PIXELS"].reshape(6, 4), expected)
    assert np.array_equal(coronal["LABELS"].reshape(6, 4), expected == 255)
    expected = np.zeros((6, 5))
    expected[5, 0], expected[0, 4] = 255, 127  # the front on the left
    assert np.array_equal(sagittal["PIXELS"].reshape(6, 5), expected)


def test_an_image_askew_to_two_axes_has_no_picture():
    slant = ((1, 1, 0), (1, -1, 0), (1, 1, 1))
    assert project(image(spots(), axes=slant), rules=RULES) == []


def test_pixels_are_square_and_keep_the_hottest_voxel():
    """Ten slices of 2 mm in pixels of 4 mm: five rows, each the larger of two; 8 mm slices are drawn twice."""
    values = np.zeros((10, 3, 3))
    values[9, 1, 1] = values[4, 1, 1] = 10.0
    (coronal, _) = project(image(values, (2.0, 4.0, 4.0)), rules=RULES)
    assert coronal["PIXELMM"] == 4.0
    assert coronal["PIXELS"].reshape(5, 3)[:, 1].tolist() == [255, 0, 255, 0, 0]
    (coronal, _) = project(image(values[:2] + 1, (8.0, 4.0, 4.0)), rules=RULES)
    assert (coronal["ROWS"], coronal["COLUMNS"]) == (4, 3)
    coarse = plan.defaults().override({"pet.mip_step": 2}).pet
    (coronal, _) = project(image(values, (4.0, 4.0, 4.0)), rules=coarse)
    assert (coronal["ROWS"], coronal["COLUMNS"], coronal["PIXELMM"]) == (5, 2, 8.0)
    assert coronal["PIXELS"].max() == 255


def test_the_smaller_of_two_regions_is_in_front():
    shape = (4, 3, 5)
    large, small = np.zeros(shape, bool), np.zeros(shape, bool)
    large[0:3, 0, 0:4], small[1, 2, 1:3] = True, True  # the small one lies behind
    regions = {"A;B": Region.of(small), "LIVER": Region.of(large), "EMPTY": Region.of(np.zeros(shape, bool))}
    (coronal, _) = project(image(np.zeros(shape)), regions, RULES)
    assert coronal["LABELNAMES"] == "LIVER;A,B"
    expected = [[0, 0, 0, 0, 0], [1, 1, 1, 1, 0], [1, 2, 2, 1, 0], [1, 1, 1, 1, 0]]
    assert coronal["LABELS"].reshape(4, 5).tolist() == expected


def test_the_table_survives_the_disk_and_its_csv_twin_has_no_pictures(tmp_path):
    rows = [{"USUBJID": "S", "AVISIT": "D0"} | row for row in project(image(spots()), rules=RULES)]
    table = contracts.contract_of("mips").validate(pd.DataFrame(rows))
    where = {name: tmp_path / name for name in ("raw_dir", "derived_dir", "reports_dir", "upstream_dir")}
    twin = storage.Run(step="02", study="s", scenario="primary", plan=plan.defaults(), **where).write(
        "mips", table
    )
    assert {"PIXELS", "LABELS"} == set(table) - set(pd.read_csv(twin.with_suffix(".csv")))
    back = contracts.contract_of("mips").validate(pd.read_parquet(twin))
    for name in ("PIXELS", "LABELS"):
        for one, other in zip(back[name], table[name], strict=True):
            assert np.array_equal(np.asarray(one), other)
