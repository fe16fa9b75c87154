"""Values that MIRP 2.7.0 computed of a small phantom from its DICOM files (tests/reference/mirp_phantom.csv)."""

import csv
from pathlib import Path

import pytest
from mirp_phantom import masks, write_scan

from analysis.pet import load_pet, measure

REFERENCE = Path(__file__).parents[1] / "reference" / "mirp_phantom.csv"
ROWS = [
    (row["region"], row["value"], float(row["mirp"]))
    for row in csv.DictReader(REFERENCE.open(encoding="utf-8"))
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    pet = load_pet(write_scan(tmp_path_factory.mktemp("phantom") / "pet"))
    assert pet.facts["body_weight_kg"] == 52
    return {name: measure(pet, mask) for name, mask in masks().items()}


@pytest.mark.parametrize(("region", "value", "mirp"), ROWS)
def test_our_value_is_that_of_mirp(measured, region, value, mirp):
    # Six digits stand in the table; MIRP computes in float32.
    assert measured[region][value] == pytest.approx(mirp, rel=1e-5)
