"""Body-size formulas against the vectors of pet.md 1.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.pet import SeriesRefused
from analysis.pet.body_size import beyond_james_vertex, normaliser

# sex, weight kg, height m: Morgan 120, James 128, Janmahasatian, ideal weight (kg), Du Bois (m2)
VECTORS = [
    ("M", 70, 1.75, 57.8000, 56.5200, 55.8571, 72.3800, 1.84814),
    ("F", 70, 1.75, 51.2200, 51.2200, 45.1970, 66.4300, 1.84814),
    ("O", 70, 1.75, 54.5100, 53.8700, 50.5271, 69.4050, 1.84814),
    ("F", 120, 1.60, 45.1500, 45.1500, 55.0216, 52.7800, 2.17774),
    ("M", 85, 1.80, 66.7407, 64.9568, 63.8188, 77.6800, 2.04853),
    ("F", 60, 1.65, 44.6298, 44.6298, 39.2868, 57.3300, 1.65866),
]


@pytest.mark.parametrize(("sex", "kg", "m", "morgan", "james", "janma", "ibw", "bsa"), VECTORS)
def test_body_sizes_equal_the_table_of_the_specification(sex, kg, m, morgan, james, janma, ibw, bsa):
    grams = {"lbm_morgan120": morgan, "lbm_james128": james, "lbm_janma": janma, "ibw": ibw}
    for name, expected_kg in grams.items():
        assert normaliser(name, kg, m, sex) / 1000 == pytest.approx(expected_kg, abs=5e-5), name
    assert normaliser("bsa", kg, m, sex) / 1e4 == pytest.approx(bsa, abs=5e-6)


def test_a_sex_that_is_no_code_is_not_repeated():
    with pytest.raises(SeriesRefused, match="found an unknown code") as refused:
        normaliser("ibw", 70, 1.75, "DOE^JANE 19500101")
    assert "DOE" not in refused.value.message


@pytest.mark.parametrize(
    ("name", "sex", "kg"),
    [
        ("lbm_morgan120", "M", 62.77757487),
        ("lbm_morgan120", "F", 55.92567568),
        ("lbm_janma", "M", 60.91533589),
        ("lbm_janma", "F", 49.21437997),
    ],
)
def test_lean_mass_of_75_kg_and_185_cm_equals_calculate_suv_unit_tests(name, sex, kg):
    assert normaliser(name, 75, 1.85, sex) / 1000 == pytest.approx(kg, abs=1e-7)


@pytest.mark.parametrize("sex", [None, "U", ""])
@pytest.mark.parametrize("name", ["lbm_janma", "lbm_james128", "ibw"])
def test_a_sex_specific_formula_is_refused_without_a_known_sex(name, sex):
    with pytest.raises(SeriesRefused, match="SEX_MISSING"):
        normaliser(name, 70, 1.75, sex)


def test_a_formula_that_gives_nothing_above_zero_is_refused():
    """Ideal weight falls below 0 under 107 cm (48 + 1.06 (H - 152)); James's far beyond its vertex."""
    with pytest.raises(SeriesRefused, match="BODY_SIZE_INVALID"):
        normaliser("ibw", 20, 1.06, "M")
    with pytest.raises(SeriesRefused, match="BODY_SIZE_INVALID"):
        normaliser("lbm_james128", 400, 1.5, "F")
    assert normaliser("ibw", 20, 1.07, "M") > 0


def test_surface_area_is_refused_without_height_and_needs_no_sex():
    assert normaliser("bsa", 70, 1.75) > 0
    with pytest.raises(SeriesRefused, match="HEIGHT_MISSING"):
        normaliser("bsa", 70)


@pytest.mark.parametrize(("sex", "bmi"), [("M", 42.97), ("F", 36.15)])
def test_james_vertex_lies_at_the_body_mass_index_of_the_specification(sex, bmi):
    assert not beyond_james_vertex((bmi - 0.01) * 1.7**2, 1.7, sex)
    assert beyond_james_vertex((bmi + 0.01) * 1.7**2, 1.7, sex)


@given(st.floats(30, 200), st.floats(0.1, 50), st.floats(1.3, 2.1), st.sampled_from("MFO"))
def test_janmahasatian_lean_mass_rises_with_weight(kg, more, m, sex):
    assert normaliser("lbm_janma", kg, m, sex) < normaliser("lbm_janma", kg + more, m, sex)


def test_a_refusal_survives_pickling_with_its_code():
    import pickle

    again = pickle.loads(pickle.dumps(SeriesRefused("WEIGHT_MISSING", "found None")))
    assert (again.code, str(again)) == ("WEIGHT_MISSING", "WEIGHT_MISSING: found None")
