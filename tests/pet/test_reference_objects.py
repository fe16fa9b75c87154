"""Real and reference images of the shared data; skipped where they are absent."""

import numpy as np
import pytest

from analysis import plan
from analysis.pet import RoiRefused, load_pet, load_rois, measure

pytestmark = pytest.mark.real

DROS = {
    "DRO_0_0": ("SERIES_TIME", []),
    "DRO_2_0": ("NOT_NEEDED", []),
    "DRO_2_4": ("VENDOR_SUV_FACTOR", ["PRIVATE_CREATOR_MISSING"]),
    "DRO_3_1": ("ADMIN", []),
    "DRO_4_1": ("SERIES_TIME", ["ADMIN_DATE_INFERRED"]),
}


@pytest.mark.parametrize("name", DROS)
def test_ibsi_reference_objects_read_their_triple_in_their_mask(shared_data, name):
    folder = shared_data / "dro" / name
    pet = load_pet(folder / "pet")
    (mask,) = load_rois(folder / "mask", pet).values()
    inside = pet.values[mask]
    assert (inside.min(), np.median(inside), inside.max()) == pytest.approx((0.20, 1.00, 4.00), abs=0.01)
    assert pet.values[~mask].max() == pytest.approx(0, abs=0.005)
    assert mask.sum() == 203_202  # pet.md 4.1
    assert (pet.facts["tref_rule"], pet.adaptations) == DROS[name]


def test_the_structure_set_of_a_reference_object_has_the_measured_size(shared_data):
    folder = shared_data / "dro" / "DRO_0_0"
    pet = load_pet(folder / "pet")
    mask = load_rois(folder / "rtstruct", pet)["region_1"]
    assert mask.sum() == pytest.approx(174_690, abs=2)  # pet.md 4.1
    assert np.count_nonzero(mask.any(axis=(1, 2))) == 16
    result = measure(pet, mask)
    assert (pet.values[mask].min(), result["suv_max"]) == pytest.approx((0.20, 4.00), abs=0.01)


def test_the_raw_ge_series_has_one_factor_and_its_tumour_is_voxel_exact(shared_data):
    folder = shared_data / "sarcoma_raw" / "STS_001"
    pet = load_pet(folder / "pet")
    assert pet.suv_factors == pytest.approx(np.full(267, 0.000242903), abs=5e-10)  # pet.md 1.4
    assert {"SPACING_UNEVEN", "TREF_CANDIDATES_DISAGREE_LARGE"} <= set(pet.facts["flags"])
    assert pet.facts["uptake_time_min"] == pytest.approx(45.18, abs=0.01)
    mask = load_rois(folder / "rtstruct", pet)["GTV_Mass"]
    assert mask.sum() == 5095  # pet.md 4.1


def test_the_raw_and_the_converted_series_of_one_patient_agree(shared_data):
    """The cropped cohort was converted to g/ml by its publishers, the raw series by this code."""
    raw, cropped = shared_data / "sarcoma_raw" / "STS_001", shared_data / "sarcoma" / "STS_001"
    image, theirs = load_pet(raw / "pet"), load_pet(cropped / "pet")
    ours = measure(image, load_rois(raw / "rtstruct", image)["GTV_Mass"])
    published = measure(theirs, load_rois(cropped / "rtstruct", theirs)["GTV_Mass_PET"])
    for name in ("suv_max", "suv_mean", "suv_peak", "mtv_ml", "tlg_g"):
        assert ours[name] == pytest.approx(published[name], rel=1e-4), name


def test_the_region_with_an_undeclared_frame_is_refused_unless_the_plan_says_otherwise(shared_data):
    folder = shared_data / "sarcoma" / "STS_046"
    pet = load_pet(folder / "pet")
    with pytest.raises(RoiRefused, match="ROI_OTHER_FRAME_OF_REFERENCE"):
        load_rois(folder / "rtstruct", pet)
    rules = plan.defaults().override({"pet.roi_undeclared_frame": "flag"}).pet
    rois = load_rois(folder / "rtstruct", pet, rules=rules)
    assert "ROI_FRAME_OF_REFERENCE_UNDECLARED" in rois.flags["GTV_Mass_PET"]
    assert rois["GTV_Mass_PET"].any()
