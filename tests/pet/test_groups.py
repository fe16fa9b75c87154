"""One series, several stacks or times: split and named, never averaged (pet.md 1.7, rule 1)."""

import time
from dataclasses import replace

import numpy as np
import pytest
from dicom_factory import bqml_per_suv, pet_slice, write_series

from analysis import plan as plans
from analysis.pet import SeriesRefused, groups, header, load_pet

RULES = plans.defaults().pet


def write_parts(folder, parts, names=()):
    """Write parts of one series into one folder: each (SUV, edit); SOP instances and names are renewed."""
    for number, (suv, edit) in enumerate(parts):

        def renew(ds, k, number=number, edit=edit):
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID}.{number}"
            if edit:
                edit(ds, k)

        write_series(folder / "part", suv, bqml_per_suv(), renew)
        for file in sorted((folder / "part").iterdir()):
            file.rename(folder / f"{(number * 7) % 10}{file.name}")
    (folder / "part").rmdir()
    return folder


def full(level, shape=(4, 5, 6)):
    return np.full(shape, float(level))


def frame(number, **values):
    """Header of dynamic frame `number`: it begins 300 s after the one before."""

    def edit(ds, k):
        ds.SeriesType = ["DYNAMIC", "IMAGE"]
        ds.AcquisitionTime = f"11{5 * number:02d}00.000000"
        ds.FrameReferenceTime = f"{149605.34 + 300_000 * number:.2f}"
        for name, value in values.items():
            setattr(ds, name, value)

    return edit


def refused(folder, **options):
    with pytest.raises(SeriesRefused) as error:
        load_pet(folder, **options)
    return error.value


def test_frames_of_a_dynamic_series_are_named_and_read_one_at_a_time(tmp_path):
    write_parts(tmp_path, [(full(level), frame(level - 1)) for level in (1, 2, 3)])
    error = refused(tmp_path)
    assert error.code == "MULTIPLE_GROUPS"
    assert "3 groups" in error.message and "frame 2 of 4 slices" in error.message
    assert "scan_map.csv" in error.message and "group=" in error.message
    for number in (1, 2, 3):
        pet = load_pet(tmp_path, group=f"frame {number}")
        assert len(pet.values) == 4
        # Later frames are decay-corrected to the same series time: the level is the one written.
        assert pet.values == pytest.approx(full(number), rel=1e-3)


def test_gates_are_told_apart_by_trigger_time(tmp_path):
    def gate(trigger):
        return lambda ds, k: setattr(ds, "TriggerTime", str(trigger))

    write_parts(tmp_path, [(full(2), gate(400)), (full(1), gate(0))])
    assert load_pet(tmp_path, group="gate 1").values == pytest.approx(full(1), rel=1e-3)
    assert load_pet(tmp_path, group="gate 2").values == pytest.approx(full(2), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FrameOfReferenceUID", "1.2.3"),
        ("ImageType", ["DERIVED", "PRIMARY"]),
        ("PixelSpacing", ["4", "3.9"]),
        ("ImageOrientationPatient", [0, 1, 0, -1, 0, 0]),
    ],
)
def test_two_stacks_of_one_series_are_split_the_larger_first(tmp_path, name, value):
    other = lambda ds, k: setattr(ds, name, value)
    write_parts(tmp_path, [(full(2, (2, 5, 6)), other), (full(1), None)])
    assert "G1 4 slices 5x6, G2 2 slices 5x6" in refused(tmp_path).message
    assert len(load_pet(tmp_path, group="G1").values) == 4
    assert load_pet(tmp_path, group="G2 2 slices 5x6").values == pytest.approx(full(2, (2, 5, 6)), rel=1e-3)


def test_another_matrix_is_another_stack_and_frames_of_a_stack_carry_its_number(tmp_path):
    parts = [(full(1), frame(0)), (full(2), frame(1)), (full(3, (2, 8, 8)), None)]
    write_parts(tmp_path, parts)
    assert load_pet(tmp_path, group="G1 frame 2").values == pytest.approx(full(2), rel=1e-3)
    assert load_pet(tmp_path, group="G2").values.shape == (2, 8, 8)


def test_a_group_that_is_not_there_is_refused_with_the_names(tmp_path):
    write_parts(tmp_path, [(full(level), frame(level)) for level in (1, 2)])
    error = refused(tmp_path, group="frame 9")
    assert error.code == "GROUP_NOT_FOUND" and "frame 1 of 4 slices" in error.message
    assert refused(tmp_path, group="frame").code == "GROUP_NOT_FOUND"


@pytest.mark.parametrize(
    ("name", "value"), [("Units", "CNTS"), ("PatientWeight", "71"), ("DecayCorrection", "NONE")]
)
def test_contradictions_of_the_series_are_no_groups(tmp_path, name, value):
    def edit(ds, k):
        if k == 2:
            setattr(ds, name, value)

    assert refused(write_series(tmp_path, edit=edit)).code == "MIXED_SERIES"


def test_images_of_one_time_at_one_position_are_no_frames(tmp_path):
    write_parts(tmp_path, [(full(1), None), (full(2), None)])
    assert refused(tmp_path).code == "DUPLICATE_POSITIONS"


def test_beds_of_a_whole_body_scan_are_one_group(tmp_path):
    beds = lambda ds, k: setattr(ds, "AcquisitionTime", f"110{k // 2}00.0")
    assert len(load_pet(write_series(tmp_path, full(1), edit=beds)).values) == 4


# ---- on slices


def slices(n=4, edit=None):
    found = []
    for k in range(n):
        ds = pet_slice(k, 4.0 * k)
        if edit:
            edit(ds, k)
        found.append(header._slice("x", ds, np.zeros((5, 6), np.int16), RULES))
    return found


def at(item, clock):
    return replace(item, text=item.text | {"AcquisitionTime": clock})


def names(found):
    return {name: len(members) for name, members in groups.split(found, RULES).items()}


def test_two_passes_over_two_beds_are_two_frames():
    stack = slices()
    passes = [[at(item, f"11{5 * p + 2 * (k // 2):02d}00") for k, item in enumerate(stack)] for p in (0, 1)]
    found = groups.split([*passes[1], *passes[0]], RULES)
    assert {name: len(members) for name, members in found.items()} == {"frame 1": 4, "frame 2": 4}
    assert {item.text["AcquisitionTime"] for item in found["frame 1"]} == {"110000", "110200"}


def test_a_frame_that_lacks_a_slice_takes_none_of_another_frame():
    first, second = ([at(item, clock) for item in slices()] for clock in ("110000", "110500"))
    assert names([*first[:2], *first[3:], *second]) == {"frame 1": 3, "frame 2": 4}


def test_one_time_written_in_two_ways_is_one_time():
    assert names([*slices(), *(at(item, "110000") for item in slices())]) == {"G1 8 slices 5x6": 8}


def test_names_do_not_depend_on_the_order_of_files():
    stack = [at(item, f"11{k % 3:02d}00") for k, item in enumerate([*slices(), *slices(), *slices()])]
    forward, backward = groups.split(stack, RULES), groups.split(stack[::-1], RULES)
    assert {name: set(map(id, items)) for name, items in forward.items()} == {
        name: set(map(id, items)) for name, items in backward.items()
    }


def test_rounding_of_direction_cosines_makes_no_second_stack():
    stack = slices()
    turned = replace(stack[0], orientation=stack[0].orientation + 4e-5)
    assert names([turned, *stack[1:]]) == {"G1 4 slices 5x6": 4}


def test_slices_without_position_stay_together_for_the_grid_to_refuse():
    stack = slices()
    assert names([replace(stack[0], position_mm=None), *stack[1:]]) == {"G1 4 slices 5x6": 4}


def test_an_ordinary_series_is_split_in_about_a_millisecond():
    first = slices(1)[0]
    stack = [replace(first, position_mm=np.array([0.0, 0.0, 3.0 * k])) for k in range(326)]
    spent = []
    for _ in range(5):
        begun = time.process_time()
        groups.split(stack, RULES)
        spent.append(time.process_time() - begun)
    assert min(spent) < 0.004
