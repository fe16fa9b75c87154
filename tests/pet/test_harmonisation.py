"""Which scanners measure alike, by hand-written plans; the blur against its formulas."""

import math
from datetime import date

import numpy as np
import pandas as pd
import pytest
from dicom_factory import write_series

from analysis import plan
from analysis.pet import SeriesRefused, load_pet
from analysis.pet.harmonisation import blur, check_study, filter_for_quantification, read_entries, state

SIEMENS = {"vendor": "Siemens", "model": "Biograph mCT", "earl_standard": 2, "reason": "accredited"}
GE = {"vendor": "GE MEDICAL SYSTEMS", "model": "Discovery 690", "earl_standard": 1, "reason": "accredited"}
SCAN = {"VENDOR": "SIEMENS", "MODEL": "Biograph  MCT", "SITEID": "1", "ADT": pd.Timestamp("2025-03-01")}


def rules(*entries, apply=False):
    return plan.defaults().override({"pet.harmonisation": list(entries), "pet.eqpet_apply": apply}).pet


# ---- state ----


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([SIEMENS], "EARL2"),
        ([SIEMENS | {"earl_standard": 1}], "EARL1"),
        ([GE], "UNKNOWN"),
        ([], "UNKNOWN"),
        ([SIEMENS | {"model": "Biograph"}], "UNKNOWN"),
        ([SIEMENS | {"site": "1"}], "EARL2"),
        ([SIEMENS | {"site": "2"}], "UNKNOWN"),
        ([SIEMENS, SIEMENS | {"site": 1, "earl_standard": 1}], "EARL1"),  # the centre's own entry first
        ([SIEMENS | {"eqpet_fwhm_mm": 5.0}], "UNKNOWN"),  # sharper than its standard: the filter is off
        # days, both included
        ([SIEMENS | {"from": "2025-03-01"}], "EARL2"),
        ([SIEMENS | {"from": "2025-03-02"}], "UNKNOWN"),
        ([SIEMENS | {"until": date(2025, 3, 1)}], "EARL2"),
        ([SIEMENS | {"until": "2025-02-28"}], "UNKNOWN"),
        ([SIEMENS | {"until": "2025-02-28"}, SIEMENS | {"from": "2025-03-01", "earl_standard": 1}], "EARL1"),
    ],
)
def test_the_state_of_a_scanner_is_what_the_plan_says_of_it(entries, expected):
    found, flags = state(SCAN, rules(*entries))
    assert found == expected
    assert flags == (["HARMONISATION_UNKNOWN"] if expected == "UNKNOWN" else [])


def test_a_scan_without_a_date_is_in_no_part_of_the_study():
    undated = SCAN | {"ADT": pd.NaT}
    assert state(undated, rules(SIEMENS))[0] == "EARL2"
    assert state(undated, rules(SIEMENS | {"from": "2020-01-01"}))[0] == "UNKNOWN"


def test_a_filter_that_is_applied_is_a_state_of_its_own():
    assert state(SCAN, rules(SIEMENS | {"eqpet_fwhm_mm": 5.0}, apply=True)) == ("EQPET", [])
    assert state(SCAN, rules(SIEMENS, apply=True)) == ("EARL2", [])


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ([{"vendor": "GE"}], "HARMONISATION_ENTRY.* 1 .*vendor and model"),
        ([GE, SIEMENS | {"earl": 1}], "HARMONISATION_ENTRY.* 2 .*no earl;"),
        ([GE | {"earl_standard": 3}], "1 or 2 expected, found 3"),
        ([GE | {"eqpet_fwhm_mm": 0}], "above 0 expected"),
        ([GE | {"eqpet_fwhm_mm": "5 mm"}], "above 0 expected"),
        ([GE | {"from": "March"}], "YYYY-MM-DD"),
        ([GE | {"from": "2025-03-02", "until": "2025-03-01"}], "ends before"),
        ([GE, SIEMENS, GE], "HARMONISATION_OVERLAP: entries 1 and 3"),
        ([GE | {"until": "2025-03-01"}, GE | {"from": "2025-03-01"}], "HARMONISATION_OVERLAP"),
    ],
)
def test_a_plan_that_cannot_be_read_is_refused(entries, match):
    with pytest.raises(ValueError, match=match):
        read_entries(rules(*entries))


def test_the_limits_of_earl_standard_1_are_those_of_the_specification():
    """pet.md section 3: 10 mm .27-.43 and .34-.57; 37 mm .76-.89 and .95-1.16."""
    limits = plan.defaults().pet.harmonisation_earl1_recovery
    ends = {key: (values[0], values[-1]) for key, values in limits.items()}
    assert ends == {
        "sphere_mm": (10, 37), "a50_min": (0.27, 0.76), "a50_max": (0.43, 0.89),
        "max_min": (0.34, 0.95), "max_max": (0.57, 1.16),
    }  # fmt: skip
    assert all(len(values) == 6 and values == sorted(values) for values in limits.values())


# ---- what a person must decide ----


def scans(*states):
    rows = [(subject, "OK", state) for subject, state in states]
    return pd.DataFrame(rows, columns=["USUBJID", "STATUS", "HARMON"])


def test_two_standards_in_one_study_cannot_be_pooled():
    (query,) = check_study(scans(("A", "EARL1"), ("B", "EARL2"), ("C", "EARL2"), ("C", "UNKNOWN")))
    assert (query["CODE"], query["SEVERITY"], query["USUBJID"]) == ("EARL_STANDARDS_MIXED", "error", None)
    assert "1 scans of EARL standard 1 and 2 of standard 2" in query["MESSAGE"]


def test_scans_of_one_subject_in_two_states_are_asked_about():
    found = check_study(scans(("A", "EARL1"), ("A", "EQPET"), ("B", "EARL1"), ("B", "UNKNOWN")))
    assert [(query["CODE"], query["USUBJID"]) for query in found] == [("HARMONISATION_CHANGED", "A")]


def test_one_standard_and_a_refused_scan_raise_no_question():
    table = scans(("A", "EARL1"), ("A", "EARL1"))
    refused = pd.DataFrame([("A", "REFUSED", None)], columns=table.columns)
    assert check_study(pd.concat([table, refused])) == []


# ---- blur ----


def test_a_point_is_half_as_bright_at_half_of_the_width():
    """Of a Gaussian with FWHM 8 mm: 4 mm from the centre, along every axis, whatever the voxel."""
    point = np.zeros((21, 41, 41), np.float32)
    point[10, 20, 20] = 1.0
    out = blur(point, 8.0, np.array([2.0, 1.0, 1.0]))
    for place in ((8, 20, 20), (12, 20, 20), (10, 16, 20), (10, 20, 24)):
        assert out[place] / out[10, 20, 20] == pytest.approx(0.5, abs=1e-4)
    assert out.sum() == pytest.approx(1.0, abs=1e-4)
    sigma = 8 / math.sqrt(8 * math.log(2))
    assert out[10, 20, 20] == pytest.approx(2.0 / (2 * math.pi * sigma**2) ** 1.5, rel=1e-3)


@pytest.mark.parametrize("radius", [6.0, 10.0, 14.0])
def test_the_middle_of_a_ball_loses_what_the_formula_says(radius):
    """erf(t) - 2 t exp(-t^2) / sqrt(pi), t = radius / (sigma sqrt 2)."""
    at = np.arange(-30, 31)
    ball = at[:, None, None] ** 2 + at[:, None] ** 2 + at**2 <= radius**2
    t = radius / (7.0 / math.sqrt(8 * math.log(2)) * math.sqrt(2))
    expected = math.erf(t) - 2 * t * math.exp(-t * t) / math.sqrt(math.pi)
    assert blur(ball, 7.0, np.ones(3))[30, 30, 30] == pytest.approx(expected, abs=0.01)


def test_an_even_image_keeps_its_values_to_its_border():
    assert blur(np.full((5, 5, 5), 2.0), 6.0, np.ones(3)) == pytest.approx(2.0)


def test_the_image_is_filtered_only_where_the_plan_asks(tmp_path):
    pet = load_pet(write_series(tmp_path / "pet", np.pad(np.full((3, 3, 3), 5.0), 4, constant_values=1.0)))
    ours = {"VENDOR": "OTHER", "MODEL": "Phantom", "SITEID": None, "ADT": pd.NaT}
    entry = {"vendor": "Synthetic", "model": "Phantom", "eqpet_fwhm_mm": 6.0}
    assert filter_for_quantification(pet, ours, rules(entry)) is pet
    assert filter_for_quantification(pet, SCAN, rules(entry, apply=True)) is pet
    filtered = filter_for_quantification(pet, ours, rules(entry, apply=True))
    assert filtered.adaptations == [*pet.adaptations, "EQPET_FILTERED"]
    assert np.array_equal(filtered.values, blur(pet.values, 6.0, pet.spacing_mm))
    assert np.array_equal(filtered.coronal_mip, filtered.values.max(axis=1))
    assert pet.values.max() == pytest.approx(5.0, abs=0.001)


def test_no_filter_runs_across_missing_slices(tmp_path):
    places = [*range(0, 24, 4), *range(28, 52, 4)]
    pet = load_pet(write_series(tmp_path / "pet", np.ones((12, 6, 6)), positions_mm=places))
    entry = {"vendor": "Synthetic", "model": "Phantom", "eqpet_fwhm_mm": 6.0}
    scan = {"VENDOR": "OTHER", "MODEL": "Phantom", "SITEID": None, "ADT": None}
    with pytest.raises(SeriesRefused) as refused:
        filter_for_quantification(pet, scan, rules(entry, apply=True))
    assert refused.value.code == "EQPET_SLICES_MISSING"
