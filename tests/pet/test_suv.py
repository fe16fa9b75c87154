"""SUV of every kind of header of pet.md 6.1: the triple 0.20 / 1.00 / 4.00, or a coded refusal.

Pixels are made from SUV by the formulas of pet.md 1.1 to 1.5, written out here once more.
"""

import copy
import math
from datetime import datetime, timedelta

import numpy as np
import pytest
from dicom_factory import (
    DOSE,
    HALF_LIFE,
    LAMBDA,
    add_private,
    both,
    bqml_per_suv,
    change,
    clock,
    philips,
    tracer,
    write_series,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import plan
from analysis.pet import SeriesRefused, load_pet
from analysis.pet.clock import average_count_time_s, parse_datetime, parse_time
from analysis.pet.suv import vendor_of

INJECTION = datetime(2025, 1, 1, 10)
SCAN = datetime(2025, 1, 1, 11)
T_AVE_300 = 149.60534  # s, pet.md 1.4
JAMES = {"M": 56.52, "F": 51.22, "O": 53.87}  # kg, pet.md 1.2, for 70 kg and 175 cm
JANMA = {"M": 55.857143, "F": 45.197017, "O": 50.527080}
IBW = {"M": 72.38, "F": 66.43, "O": 69.405}


def triple(pet):
    values = pet.values
    return float(values.min()), float(np.median(values)), float(values.max())


def assert_triple(pet):
    assert triple(pet) == pytest.approx((0.20, 1.00, 4.00), abs=0.002)


# ---- units ----


def test_baseline_bqml_start_needs_no_adaptation(tmp_path):
    pet = load_pet(write_series(tmp_path), strict=True)
    assert_triple(pet)
    assert pet.adaptations == []
    assert pet.facts["tref_rule"] == "SERIES_TIME"
    assert pet.facts["uptake_time_min"] == pytest.approx(60)
    assert pet.suv_factors == pytest.approx(np.full(4, 1 / bqml_per_suv()))
    assert pet.values.dtype == np.float32 and pet.suv_factors.dtype == np.float64


def test_slopes_that_vary_by_slice_are_each_applied(tmp_path):
    assert_triple(load_pet(write_series(tmp_path, slopes=[1.5, 0.75, 3.25, 2.0])))


def test_gml_body_weight_needs_no_dose_no_times_and_no_weight(tmp_path):
    bare = change(Units="GML", PatientWeight=None, PatientSize=None, RadionuclideTotalDose=None)
    pet = load_pet(
        write_series(tmp_path, unit_per_suv=1.0, edit=both(bare, change(RadionuclideHalfLife=None)))
    )
    assert_triple(pet)
    assert np.all(pet.suv_factors == 1.0)


@pytest.mark.parametrize("sex", "MFO")
@pytest.mark.parametrize(("kind", "kg"), [("LBMJAMES128", JAMES), ("LBMJANMA", JANMA), ("IBW", IBW)])
def test_gml_of_lean_or_ideal_mass_is_brought_to_body_weight(tmp_path, kind, kg, sex):
    edit = change(Units="GML", SUVType=kind, PatientSex=sex)
    pet = load_pet(write_series(tmp_path, unit_per_suv=kg[sex] / 70, edit=edit))
    assert_triple(pet)
    assert pet.adaptations == (["SEX_OTHER_MEAN"] if sex == "O" else [])


def test_gml_of_lbm_without_author_is_morgans_and_flagged(tmp_path):
    edit = change(Units="GML", SUVType="LBM", PatientSex="M")
    pet = load_pet(write_series(tmp_path, unit_per_suv=57.8 / 70, edit=edit))
    assert_triple(pet)
    assert "SUV_TYPE_LBM_MORGAN" in pet.facts["flags"]


@pytest.mark.parametrize("kind", ["BSA", None])
def test_cm2ml_is_brought_from_surface_to_weight(tmp_path, kind):
    edit = change(Units="CM2ML", **({"SUVType": kind} if kind else {}))
    assert_triple(load_pet(write_series(tmp_path, unit_per_suv=18481.4 / 70000, edit=edit)))


@pytest.mark.parametrize(
    ("normalisation", "size_over_weight"),
    [
        ("bw", 1.0),
        ("lbm_james128", 53.87 / 70),
        ("lbm_janma", 50.52708 / 70),
        ("ibw", 69.405 / 70),
        ("bsa", 18481.4 / 7e4),
    ],
)
@pytest.mark.parametrize("units", ["BQML", "GML", "CNTS"])
def test_every_normalisation_scales_body_weight_suv_by_its_body_size(
    tmp_path, normalisation, size_over_weight, units
):
    per_suv = {"BQML": bqml_per_suv(), "GML": 1.0, "CNTS": 1 / 0.0005}[units]

    def edit(ds, k):
        ds.Units = units
        if units == "CNTS":
            ds.Manufacturer = "Philips Medical Systems"
            add_private(ds, 0x7053, "Philips PET Private Group", 0x00, "DS", "0.0005")

    pet = load_pet(write_series(tmp_path, unit_per_suv=per_suv, edit=edit), normalisation=normalisation)
    assert triple(pet) == pytest.approx(np.array([0.2, 1, 4]) * size_over_weight, rel=1e-3)


def test_philips_counts_by_suv_factor(tmp_path):
    pet = load_pet(write_series(tmp_path, unit_per_suv=2000.0, edit=philips(suv=0.0005)), strict=True)
    assert_triple(pet)
    assert pet.facts["tref_rule"] == "VENDOR_SUV_FACTOR"


def test_philips_counts_by_activity_factor_continue_as_becquerel(tmp_path):
    assert_triple(
        load_pet(write_series(tmp_path, unit_per_suv=bqml_per_suv() / 1.7, edit=philips(activity=1.7)))
    )


def test_philips_activity_factor_goes_first_and_disagreement_is_flagged(tmp_path):
    per_suv = bqml_per_suv() / 1.7
    agreeing = philips(suv=1 / per_suv, activity=1.7)
    assert load_pet(write_series(tmp_path / "a", unit_per_suv=per_suv, edit=agreeing)).facts["flags"] == []
    pet = load_pet(
        write_series(tmp_path / "b", unit_per_suv=per_suv, edit=philips(suv=1.02 / per_suv, activity=1.7))
    )
    assert_triple(pet)
    assert "PHILIPS_FACTORS_DISAGREE" in pet.facts["flags"]


def test_a_private_factor_in_another_block_is_found_by_its_creator(tmp_path):
    def edit(ds, k):
        add_private(ds, 0x7053, "SOMEBODY ELSE", 0x00, "DS", "99")
        philips(suv=0.0005)(ds, k)

    pet = load_pet(write_series(tmp_path, unit_per_suv=2000.0, edit=edit), strict=True)
    assert_triple(pet)


def test_a_private_factor_without_creator_is_an_adaptation(tmp_path):
    folder = write_series(tmp_path, unit_per_suv=2000.0, edit=philips(suv=0.0005, creator=None))
    pet = load_pet(folder)
    assert_triple(pet)
    assert pet.adaptations == ["PRIVATE_CREATOR_MISSING"]
    with pytest.raises(SeriesRefused, match="STRICT_PRIVATE_CREATOR_MISSING"):
        load_pet(folder, strict=True)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (philips(), "PHILIPS_FACTOR_MISSING"),
        (philips(suv=0.0), "PHILIPS_FACTOR_MISSING"),
        (both(philips(suv=0.0005), change(DecayCorrection="NONE")), "PHILIPS_FACTOR_NOT_DECAYED"),
        (both(philips(suv=0.0005), change(Manufacturer="GE MEDICAL SYSTEMS")), "UNITS_UNSUPPORTED"),
        (change(Units="PROPCNTS"), "UNITS_UNSUPPORTED"),
        (change(Units="CPS"), "UNITS_UNSUPPORTED"),
        (change(Units=None), "UNITS_UNSUPPORTED"),
        (change(Units="GML", SUVType="BSA"), "SUV_TYPE_INCONSISTENT"),
        (change(Units="CM2ML", SUVType="IBW"), "SUV_TYPE_INCONSISTENT"),
    ],
)
def test_units_that_give_no_suv_are_refused(tmp_path, edit, code):
    with pytest.raises(SeriesRefused, match=code):
        load_pet(write_series(tmp_path, edit=edit))


@pytest.mark.parametrize(
    ("name", "vendor"),
    [
        ("SIEMENS", "SIEMENS"),
        ("Siemens/CTI, not GE", "SIEMENS"),
        ("CPS", "SIEMENS"),
        ("GE MEDICAL SYSTEMS", "GE"),
        ("GE Healthcare", "GE"),
        ("Philips Medical Systems", "PHILIPS"),
        ("IMAGE GENERATOR", "OTHER"),
        ("", "OTHER"),
    ],
)
def test_the_vendor_is_never_taken_from_the_bare_letters_ge(name, vendor):
    assert vendor_of(name) == vendor


# ---- decay ----


@pytest.mark.parametrize(
    ("duration", "expected"),
    [(60, 29.98421), (120, 59.93686), (180, 89.85792), (300, 149.60534), (603, 299.90559), (1200, 593.68630)],
)
def test_average_count_time_equals_the_specification(duration, expected):
    assert average_count_time_s(duration, HALF_LIFE) == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize(("half_life", "left"), [(6586.2, 0.68463292), (6588.0, 0.68470379)])
def test_an_hours_decay_equals_the_specification(tmp_path, half_life, left):
    pet = load_pet(write_series(tmp_path, edit=change(RadionuclideHalfLife=str(half_life))))
    assert 70_000 / (DOSE * pet.suv_factors[0]) == pytest.approx(left, abs=5e-9)


def test_admin_is_not_decayed_again_and_needs_no_times(tmp_path):
    none = change(
        DecayCorrection="ADMIN", RadiopharmaceuticalStartTime=None, RadiopharmaceuticalStartDateTime=None
    )
    pet = load_pet(write_series(tmp_path, unit_per_suv=bqml_per_suv(0), edit=none))
    assert_triple(pet)
    assert pet.facts["tref_rule"] == "ADMIN"


@pytest.mark.parametrize("vendor", ["SIEMENS", "Philips Medical Systems", "Synthetic", "GE MEDICAL SYSTEMS"])
def test_start_with_a_later_series_time_is_computed_back(tmp_path, vendor):
    """Corrected to 11:00, when the frame starts; GE's Frame Reference Time is the bed's offset."""

    def edit(ds, k):
        ds.Manufacturer = vendor
        clock(ds, "Series", SCAN + timedelta(minutes=20))
        ds.FrameReferenceTime = "0" if vendor.startswith("GE") else str(T_AVE_300 * 1000)

    folder = write_series(tmp_path, edit=edit)
    pet = load_pet(folder)
    assert_triple(pet)
    assert (pet.adaptations, pet.facts["tref_rule"]) == (["TREF_BACK_COMPUTED"], "BACK_COMPUTED")
    assert "TREF_CANDIDATES_DISAGREE_LARGE" in pet.facts["flags"]
    with pytest.raises(SeriesRefused, match="STRICT_TREF_BACK_COMPUTED"):
        load_pet(folder, strict=True)


@pytest.mark.parametrize("vendor", ["SIEMENS", "GE MEDICAL SYSTEMS"])
def test_all_beds_of_a_start_series_share_one_reference(tmp_path, vendor):
    """Two slices a bed of 300 s: first bed by Series Time, later ones computed back to the same instant."""

    def edit(ds, k):
        offset = 300 * (k // 2)
        ds.Manufacturer = vendor
        clock(ds, "Acquisition", SCAN + timedelta(seconds=offset))
        mean = 0 if vendor.startswith("GE") else T_AVE_300
        ds.FrameReferenceTime = str((offset + mean) * 1000)

    pet = load_pet(write_series(tmp_path, edit=edit))
    assert_triple(pet)
    assert pet.facts["tref_rule"] == "SERIES_TIME+BACK_COMPUTED"
    assert pet.facts["tref_spread_s"] < 0.01
    assert "TREF_NOT_COMMON" not in pet.facts["flags"]


def test_references_that_differ_between_slices_are_flagged(tmp_path):
    def edit(ds, k):
        clock(ds, "Series", SCAN + timedelta(hours=1))
        clock(ds, "Acquisition", SCAN + timedelta(seconds=300 * k))

    assert "TREF_NOT_COMMON" in load_pet(write_series(tmp_path, edit=edit)).facts["flags"]


@pytest.mark.parametrize(
    ("group", "creator", "element", "rule"),
    [(0x0009, "GEMS_PETD_01", 0x0D, "PRIVATE_GE"), (0x0071, "SIEMENS MED PT", 0x22, "PRIVATE_SIEMENS")],
)
@pytest.mark.parametrize("owned", [True, False])
def test_a_vendor_date_time_goes_first(tmp_path, group, creator, element, rule, owned):
    def edit(ds, k):
        clock(ds, "Series", SCAN + timedelta(minutes=20))
        clock(ds, "Acquisition", SCAN + timedelta(minutes=20))
        if owned:
            add_private(ds, group, creator, element, "DT", "20250101110000.00")
        else:
            ds.add_new((group, 0x1000 | element), "DT", "20250101110000.00")

    pet = load_pet(write_series(tmp_path, edit=edit))
    assert_triple(pet)
    assert pet.facts["tref_rule"] == rule
    assert pet.adaptations == ([] if owned else ["PRIVATE_CREATOR_MISSING"])
    assert "TREF_CANDIDATES_DISAGREE_LARGE" in pet.facts["flags"]


@pytest.mark.parametrize("creator", ["SIEMENS MED PT", "SIEMENS MED PT WAVEFORM", "SIEMENS CSA PT"])
def test_siemens_date_time_is_found_in_any_block_of_its_own(tmp_path, creator):
    """Which creator holds it differs between versions; the first block may be another vendor's, or lack it."""

    def edit(ds, k):
        for name in ("Series", "Acquisition"):
            clock(ds, name, SCAN + timedelta(minutes=20))
        add_private(ds, 0x0071, "SOMEBODY ELSE", 0x22, "DT", "20250101103000.00")
        add_private(ds, 0x0071, "SIEMENS OTHER", 0x21, "LO", "X")
        add_private(ds, 0x0071, creator, 0x22, "DT", "20250101110000.00")

    pet = load_pet(write_series(tmp_path, edit=edit), strict=True)
    assert_triple(pet)
    assert pet.facts["tref_rule"] == "PRIVATE_SIEMENS"


def test_a_vendor_date_time_missing_on_one_slice_is_not_used(tmp_path):
    def edit(ds, k):
        if k:
            add_private(ds, 0x0009, "GEMS_PETD_01", 0x0D, "DT", "20250101104000.00")

    assert load_pet(write_series(tmp_path, edit=edit)).facts["tref_rule"] == "SERIES_TIME"


@pytest.mark.parametrize("philips_counts", [False, True])
def test_none_corrects_every_slice_from_its_own_frame(tmp_path, philips_counts):
    """Within the frame: lambda T / (1 - exp(-lambda T)); before it: exp(lambda dt) of the slice's start."""
    starts = [SCAN + timedelta(seconds=300 * k) for k in range(4)]
    elapsed = np.array([(start - INJECTION).total_seconds() for start in starts])
    frame = (1 - math.exp(-LAMBDA * 300)) / (LAMBDA * 300)
    assert 1 / frame == pytest.approx(1.01586942, abs=5e-9)  # pet.md 6
    factor = 1.7 if philips_counts else 1.0

    def edit(ds, k):
        clock(ds, "Acquisition", starts[k])
        ds.DecayCorrection = "NONE"
        ds.CorrectedImage = ["NORM", "ATTN"]
        if philips_counts:
            philips(activity=factor)(ds, k)

    per_suv = DOSE * np.exp(-LAMBDA * elapsed) * frame / 70_000 / factor
    pet = load_pet(write_series(tmp_path, unit_per_suv=per_suv, edit=edit))
    assert_triple(pet)
    assert pet.facts["tref_rule"] == "ACQUISITION_MEAN"
    assert "NO_SCAT_CORRECTION" in pet.facts["flags"]


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (change(SeriesTime="110500", ActualFrameDuration=None), "TREF_NOT_DERIVABLE"),
        (change(SeriesTime="110500", FrameReferenceTime="-1"), "TREF_NOT_DERIVABLE"),
        (change(AcquisitionTime=None), "TREF_NOT_DERIVABLE"),
        (change(DecayCorrection="NONE"), "DECAY_CORRECTION_CONTRADICTORY"),
        (
            change(DecayCorrection="NONE", CorrectedImage=["ATTN"], ActualFrameDuration=None),
            "TREF_NOT_DERIVABLE",
        ),
        (change(DecayCorrection=None), "DECAY_CORRECTION_UNKNOWN"),
        (change(CorrectedImage=["ATTN", "NORM"]), "NOT_DECAY_CORRECTED"),
        (change(CorrectedImage=["DECY", "NORM"]), "NOT_ATTENUATION_CORRECTED"),
    ],
)
def test_a_decay_reference_that_cannot_be_known_is_refused(tmp_path, edit, code):
    with pytest.raises(SeriesRefused, match=code):
        load_pet(write_series(tmp_path, edit=edit))


def test_a_decay_factor_off_its_frame_is_only_flagged(tmp_path):
    pet = load_pet(write_series(tmp_path, edit=change(DecayFactor="1.05")))
    assert_triple(pet)
    assert "DECAY_FACTOR_MISMATCH" in pet.facts["flags"]
    right = change(DecayFactor=f"{math.exp(LAMBDA * T_AVE_300):.6f}")
    assert load_pet(write_series(tmp_path / "right", edit=right)).facts["flags"] == []


# ---- injection ----

NO_DT = change(RadiopharmaceuticalStartDateTime=None)
NO_TM = change(RadiopharmaceuticalStartTime=None)


def test_injection_by_date_time_only(tmp_path):
    pet = load_pet(write_series(tmp_path, edit=NO_TM), strict=True)
    assert_triple(pet)


@pytest.mark.parametrize("text", ["1000", "100000", "100000.0", "10:00:00"])
def test_injection_by_time_of_day_only_takes_the_scans_date(tmp_path, text):
    folder = write_series(tmp_path, edit=both(NO_DT, change(RadiopharmaceuticalStartTime=text)))
    pet = load_pet(folder)
    assert_triple(pet)
    assert pet.adaptations == ["ADMIN_DATE_INFERRED"]
    with pytest.raises(SeriesRefused, match="STRICT_ADMIN_DATE_INFERRED"):
        load_pet(folder, strict=True)


def after_midnight(ds, k):
    for name in ("Series", "Acquisition"):
        clock(ds, name, datetime(2025, 1, 2, 0, 30))
    tracer(ds).RadiopharmaceuticalStartTime = "233000"
    tracer(ds).RadiopharmaceuticalStartDateTime = "20250101233000"


def test_midnight_by_date_time(tmp_path):
    assert_triple(load_pet(write_series(tmp_path, edit=after_midnight), strict=True))


def test_midnight_by_time_of_day(tmp_path):
    pet = load_pet(write_series(tmp_path, edit=both(after_midnight, NO_DT)))
    assert_triple(pet)
    assert pet.adaptations == ["ADMIN_DATE_INFERRED", "ADMIN_PREVIOUS_DAY"]


def test_midnight_with_anonymised_scan_dates_before_1970(tmp_path):
    def anonymous(ds, k):
        for name in ("Series", "Acquisition"):
            clock(ds, name, datetime(1960, 1, 2, 0, 30))

    pet = load_pet(write_series(tmp_path, edit=both(after_midnight, anonymous)))
    assert_triple(pet)
    assert pet.adaptations == ["ADMIN_DATE_RECONSTRUCTED", "ADMIN_PREVIOUS_DAY"]


def nuclide(seconds):
    return change(RadionuclideHalfLife=str(seconds))


def test_zirconium_after_more_than_a_day_by_date_time(tmp_path):
    half_life, elapsed = 282240.0, 73 * 3600
    per_suv = DOSE * 0.5 ** (elapsed / half_life) / 70_000
    edit = both(nuclide(half_life), change(RadiopharmaceuticalStartDateTime="20241229100000"))
    assert_triple(load_pet(write_series(tmp_path, unit_per_suv=per_suv, edit=edit)))


def test_gallium_with_its_own_half_life(tmp_path):
    per_suv = DOSE * 0.5 ** (3600 / 4057.74) / 70_000
    assert_triple(load_pet(write_series(tmp_path, unit_per_suv=per_suv, edit=nuclide(4057.74))))


def test_date_time_and_time_that_disagree_are_flagged_and_the_date_time_is_used(tmp_path):
    """A de-identifier that shifts dates but not (0018,1072) makes a 94-fold error of readers of the time."""
    pet = load_pet(write_series(tmp_path, edit=change(RadiopharmaceuticalStartTime="220000")))
    assert_triple(pet)
    assert "ADMIN_TIME_CONFLICT" in pet.facts["flags"]


def test_a_date_time_with_an_offset_is_brought_to_the_series_clock(tmp_path):
    edit = change(RadiopharmaceuticalStartDateTime="20250101090000+0000", TimezoneOffsetFromUTC="+0100")
    assert_triple(load_pet(write_series(tmp_path, edit=edit)))


def test_a_private_injection_time_is_the_last_resort(tmp_path):
    def edit(ds, k):
        both(NO_DT, NO_TM)(ds, k)
        add_private(ds, 0x0009, "GEMS_PETD_01", 0x3B, "DT", "20250101100000.00")

    pet = load_pet(write_series(tmp_path, edit=edit))
    assert_triple(pet)
    assert pet.adaptations == ["ADMIN_TIME_FROM_PRIVATE"]


@pytest.mark.parametrize(("minutes", "flagged"), [(0, False), (1, False), (2, True), (-2, True)])
def test_a_private_injection_time_is_a_cross_check(tmp_path, minutes, flagged):
    """GE keeps the injection a second time; another date there (de-identified) is no disagreement."""
    private = (INJECTION.replace(year=1999) + timedelta(minutes=minutes)).strftime("%Y%m%d%H%M%S.00")

    def edit(ds, k):
        add_private(ds, 0x0009, "GEMS_PETD_01", 0x3B, "DT", private)

    pet = load_pet(write_series(tmp_path, edit=edit), strict=True)
    assert_triple(pet)
    assert ("ADMIN_PRIVATE_DISAGREES" in pet.facts["flags"]) == flagged


@pytest.mark.parametrize(
    ("decay", "reference_min", "acquisition_min"),
    [("START", 50, 60), ("NONE", 60, 60), ("ADMIN", 60, 60)],
)
def test_uptake_time_runs_to_the_decay_reference_and_to_the_acquisition(
    tmp_path, decay, reference_min, acquisition_min
):
    """A sub-window of the scan: the image is corrected to 10:50, its counts were taken from 11:00 on."""

    def edit(ds, k):
        ds.DecayCorrection = decay
        ds.CorrectedImage = ["ATTN"] if decay == "NONE" else ["ATTN", "DECY"]
        clock(ds, "Series", SCAN - timedelta(minutes=10))
        clock(ds, "Acquisition", SCAN + timedelta(seconds=60 * k))
        ds.FrameReferenceTime = str(1000 * (600 + 60 * k + T_AVE_300))

    facts = load_pet(write_series(tmp_path, edit=edit)).facts
    assert facts["uptake_time_min"] == pytest.approx(reference_min, abs=0.01)
    assert facts["uptake_time_acquisition_min"] == pytest.approx(acquisition_min)


def test_uptake_times_of_an_image_in_suv_are_those_of_its_acquisition(tmp_path):
    facts = load_pet(write_series(tmp_path, unit_per_suv=1.0, edit=change(Units="GML"))).facts
    assert (facts["uptake_time_min"], facts["uptake_time_acquisition_min"]) == pytest.approx((60, 60))


def test_scan_dates_that_were_changed_apart_give_no_acquisition_uptake(tmp_path):
    def edit(ds, k):
        clock(ds, "Acquisition", datetime(1999, 5, 5, 11))
        add_private(ds, 0x0009, "GEMS_PETD_01", 0x0D, "DT", "20250101110000.00")

    facts = load_pet(write_series(tmp_path, edit=edit)).facts
    assert facts["uptake_time_min"] == pytest.approx(60)
    assert facts["uptake_time_acquisition_min"] is None


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (both(NO_DT, NO_TM), "ADMIN_TIME_MISSING"),
        (both(NO_DT, nuclide(282240.0)), "ADMIN_DATE_UNKNOWN"),
        (
            both(nuclide(282240.0), change(RadiopharmaceuticalStartDateTime="19000101100000")),
            "ADMIN_DATE_UNKNOWN",
        ),
        (
            change(RadiopharmaceuticalStartDateTime="19000101030000", RadiopharmaceuticalStartTime="100000"),
            "ADMIN_TIME_CONFLICT",
        ),
        (change(RadiopharmaceuticalStartDateTime="20250101100000+0000"), "ADMIN_UTC_OFFSET"),
    ],
)
def test_an_injection_that_cannot_be_dated_is_refused(tmp_path, edit, code):
    with pytest.raises(SeriesRefused, match=code):
        load_pet(write_series(tmp_path, edit=edit))


def test_time_fractions_are_decimals():
    assert parse_time("100000.001").microsecond == 1000
    assert parse_time("100000.5").microsecond == 500000
    assert parse_time("256000") is None and parse_time("") is None
    assert parse_datetime("2025") == (None, None)


# ---- body and dose ----


@pytest.mark.parametrize(
    ("edit", "code", "normalisation"),
    [
        (change(PatientWeight="70000"), "WEIGHT_IN_GRAMS", "bw"),
        (change(RadionuclideTotalDose="368.08"), "DOSE_IN_MBQ", "bw"),
        (change(PatientSize="175", PatientSex="M"), "HEIGHT_IN_CM", "lbm_janma"),
    ],
)
def test_other_units_are_adapted_by_name_and_refused_when_strict(tmp_path, edit, code, normalisation):
    folder = write_series(tmp_path, edit=edit)
    pet = load_pet(folder, normalisation=normalisation)
    scale = 1.0 if normalisation == "bw" else JANMA["M"] / 70
    assert triple(pet) == pytest.approx(np.array([0.2, 1, 4]) * scale, rel=1e-3)
    assert pet.adaptations == [code]
    assert (pet.facts["body_weight_kg"], pet.facts["body_height_m"]) == (70.0, 1.75)
    assert pet.facts["injected_activity_bq"] == pytest.approx(368.08e6)
    with pytest.raises(SeriesRefused, match=f"STRICT_{code}"):
        load_pet(folder, normalisation=normalisation, strict=True)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (change(PatientWeight=None), "WEIGHT_MISSING"),
        (change(PatientWeight="0"), "WEIGHT_MISSING"),
        (change(PatientWeight="0.9"), "WEIGHT_IMPLAUSIBLE"),
        (change(PatientWeight="501"), "WEIGHT_IMPLAUSIBLE"),
        (change(RadionuclideTotalDose=None), "DOSE_MISSING"),
        (change(RadionuclideTotalDose="-368080000"), "DOSE_INVALID"),
        (change(RadionuclideTotalDose="0"), "DOSE_INVALID"),
        (change(RadionuclideTotalDose="20000"), "DOSE_IMPLAUSIBLE"),
        (change(RadionuclideTotalDose="2e11"), "DOSE_IMPLAUSIBLE"),
        (change(RadionuclideHalfLife=None), "HALF_LIFE_MISSING"),
        (change(RescaleIntercept="1"), "INTERCEPT_NOT_ZERO"),
        (change(RescaleSlope="0"), "SLOPE_INVALID"),
        (change(RescaleSlope=None), "SLOPE_INVALID"),
    ],
)
def test_numbers_that_give_no_suv_are_refused(tmp_path, edit, code):
    with pytest.raises(SeriesRefused, match=code):
        load_pet(write_series(tmp_path, edit=edit))


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (change(PatientSex=None), "SEX_MISSING"),
        (change(PatientSex="D"), "SEX_MISSING"),
        (change(PatientSize=None), "HEIGHT_MISSING"),
        (change(PatientSize="0"), "HEIGHT_MISSING"),
        (change(PatientSize="1750"), "HEIGHT_IMPLAUSIBLE"),
    ],
)
def test_ideal_weight_suv_is_refused_without_sex_or_height_while_body_weight_suv_is_not(tmp_path, edit, code):
    made_with_ibw = both(change(Units="GML", SUVType="IBW"), edit)
    with pytest.raises(SeriesRefused, match=code):
        load_pet(write_series(tmp_path / "ibw", unit_per_suv=1.0, edit=made_with_ibw))
    assert_triple(load_pet(write_series(tmp_path / "bw", edit=edit)))


def test_james_beyond_its_vertex_is_refused_and_janmahasatian_is_not(tmp_path):
    folder = write_series(tmp_path, edit=change(PatientWeight="120", PatientSize="1.60", PatientSex="F"))
    with pytest.raises(SeriesRefused, match="JAMES_BEYOND_VERTEX"):
        load_pet(folder, normalisation="lbm_james128")
    pet = load_pet(folder, normalisation="lbm_janma")
    assert pet.suv_factors[0] == pytest.approx(55.0216 / 70 / bqml_per_suv(), rel=1e-6)


@pytest.mark.parametrize(
    ("edit", "flag"),
    [
        (change(PatientWeight="15"), "WEIGHT_UNUSUAL"),
        (change(PatientWeight="175"), "WEIGHT_EQUALS_HEIGHT"),
        (change(PatientWeight="175", PatientSize="175"), "WEIGHT_EQUALS_HEIGHT"),
        (change(PatientWeight="110", PatientSize="1.1"), "WEIGHT_EQUALS_HEIGHT"),
        (change(PatientSize="0.70"), "HEIGHT_UNUSUAL"),
        (change(RadionuclideTotalDose="20000000"), "DOSE_UNUSUAL"),
        (change(RadionuclideHalfLife="6000"), "HALF_LIFE_UNUSUAL"),
        (change(ImageType=["DERIVED", "SECONDARY"]), "DERIVED_IMAGE"),
        (change(NumberOfSlices=7), "SLICE_COUNT_DIFFERS"),
    ],
)
def test_unusual_headers_are_flagged_and_change_nothing_else(tmp_path, edit, flag):
    pet = load_pet(write_series(tmp_path, edit=edit))
    assert flag in pet.facts["flags"]
    assert pet.adaptations == []


def test_several_tracers_are_refused_unless_the_plan_names_one(tmp_path):
    def edit(ds, k):
        other = copy.deepcopy(tracer(ds))
        other.RadionuclideTotalDose, other.RadionuclideHalfLife = "50000000", "4057.74"
        ds.RadiopharmaceuticalInformationSequence.insert(0, other)

    folder = write_series(tmp_path, edit=edit)
    with pytest.raises(SeriesRefused, match="SEVERAL_TRACERS"):
        load_pet(folder)
    assert_triple(load_pet(folder, rules=plan.defaults().override({"pet.tracer_item": 2}).pet))
    with pytest.raises(SeriesRefused, match="SEVERAL_TRACERS"):
        load_pet(folder, rules=plan.defaults().override({"pet.tracer_item": 3}).pet)


def test_a_missing_half_life_is_hinted_at_from_the_nuclide_and_never_filled_in(tmp_path):
    folder = write_series(tmp_path, edit=change(RadionuclideHalfLife=None))
    with pytest.raises(SeriesRefused, match=r"HALF_LIFE_MISSING.*6586\.2 s"):
        load_pet(folder)


def test_an_unknown_normalisation_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="lbm_janma"):
        load_pet(tmp_path, normalisation="lbm")


def test_thresholds_come_from_the_plan(tmp_path):
    folder = write_series(tmp_path, edit=change(PatientWeight="310"))
    assert "WEIGHT_UNUSUAL" in load_pet(folder).facts["flags"]
    rules = plan.defaults().override({"pet.weight_flag_kg": [20.0, 320.0]}).pet
    assert "WEIGHT_UNUSUAL" not in load_pet(folder, rules=rules).facts["flags"]


# ---- properties ----


@settings(max_examples=15, deadline=None)
@given(st.floats(0.25, 4.0), st.floats(0.5, 2.0), st.integers(1800, 10800))
def test_suv_is_linear_in_concentration_inverse_in_dose_and_decays(tmp_path_factory, times, dose, seconds):
    start = (SCAN - timedelta(seconds=seconds)).strftime("%Y%m%d%H%M%S")
    edit = change(RadionuclideTotalDose=f"{DOSE * dose:.6f}", RadiopharmaceuticalStartDateTime=start)
    edit = both(edit, NO_TM)
    folder = write_series(tmp_path_factory.mktemp("s"), unit_per_suv=bqml_per_suv() * times, edit=edit)
    expected = times / dose * math.exp(LAMBDA * (seconds - 3600))
    assert np.median(load_pet(folder).values) == pytest.approx(expected, rel=2e-4)


# ---- headers that no scanner writes ----


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (change(RadionuclideHalfLife="1e-300"), "HALF_LIFE_IMPLAUSIBLE"),
        (change(RadionuclideHalfLife="1e300"), "HALF_LIFE_IMPLAUSIBLE"),
        (change(RadionuclideHalfLife="6586.2e9"), "HALF_LIFE_IMPLAUSIBLE"),
        (  # ten years of decay of fluorine-18
            change(DecayCorrection="NONE", CorrectedImage=["ATTN"], AcquisitionDate="20350101"),
            "",
        ),
        (change(RescaleSlope="1e300"), "SUV_IMPLAUSIBLE"),
        (change(RescaleSlope="1e20"), "SUV_IMPLAUSIBLE"),
        (philips(activity=1e300), "SUV_IMPLAUSIBLE"),
        (change(SeriesTime="110500", FrameReferenceTime="1e300"), "TREF_NOT_DERIVABLE"),
        (
            both(
                change(Manufacturer="SIEMENS"),
                lambda ds, k: add_private(ds, 0x71, "SIEMENS MED", 0x22, "DT", "99991231235959-1200"),
            ),
            "",
        ),
        (
            both(
                change(RadiopharmaceuticalStartDateTime=None, RadiopharmaceuticalStartTime="230000"),
                lambda ds, k: add_private(ds, 0x71, "SIEMENS MED", 0x22, "DT", "00010101000000"),
            ),
            "ADMIN_DATE_UNKNOWN",
        ),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_absurd_numbers_and_instants_are_refused_with_a_code(tmp_path, edit, code):
    """Never an exception of arithmetic, nor a number that is none: 1e300, year 1, year 9999."""
    try:
        values = load_pet(write_series(tmp_path, edit=edit)).values
    except SeriesRefused as refused:
        assert refused.code == code or not code
    else:
        assert not code and np.isfinite(values).all()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_factor_that_is_no_number_is_refused(tmp_path):
    """Rubidium-82, injected 22 h before: 2 to the power of 1055 is no float."""
    edit = change(
        RadionuclideHalfLife="75",
        RadiopharmaceuticalStartDateTime=None,
        RadiopharmaceuticalStartTime="130100",
    )
    with pytest.raises(SeriesRefused, match="SUV_FACTOR_INVALID"):
        load_pet(write_series(tmp_path, edit=edit))


def test_a_huge_frame_time_is_flagged_where_it_is_not_needed(tmp_path):
    pet = load_pet(write_series(tmp_path, edit=change(FrameReferenceTime="1e300", DecayFactor="1.0")))
    assert_triple(pet)
    assert "DECAY_FACTOR_MISMATCH" in pet.facts["flags"]


@pytest.mark.parametrize(("vendor", "mean"), [("SIEMENS", 1), ("GE MEDICAL SYSTEMS", 0)])
@pytest.mark.parametrize("late", [0, 600])
def test_without_decay_correction_a_start_that_the_frame_contradicts_is_flagged(tmp_path, vendor, mean, late):
    """Frame Reference Time counts from Series Time to the frame's mean, of GE to its start (pet.md 1.4)."""

    def edit(ds, k):
        ds.Manufacturer, ds.DecayCorrection, ds.CorrectedImage = vendor, "NONE", ["ATTN"]
        ds.FrameReferenceTime = f"{1000 * (300 * k + mean * T_AVE_300):.3f}"
        clock(ds, "Acquisition", SCAN + timedelta(seconds=300 * k + late))

    facts = load_pet(write_series(tmp_path, edit=edit)).facts
    assert ("TREF_CANDIDATES_DISAGREE_LARGE" in facts["flags"]) == bool(late)
    assert facts["tref_disagreement_s"] == pytest.approx(late, abs=0.01)


@pytest.mark.parametrize("name", ["Units", "DecayCorrection", "SUVType", "CorrectedImage"])
@pytest.mark.parametrize("text", ["DOE^JANE 19500101", "1.2.826.0.1.3680043", "A 19500101", "doe jane"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_messages_repeat_no_text_that_is_not_a_code(tmp_path, name, text):
    values = {"Units": "GML"} if name == "SUVType" else {}
    with pytest.raises(SeriesRefused) as refused:
        load_pet(write_series(tmp_path, edit=change(**values, **{name: text})))
    assert text.upper() not in refused.value.message.upper() and "an unknown code" in refused.value.message


def test_messages_repeat_a_code(tmp_path):
    with pytest.raises(SeriesRefused, match="found 'PROPCNTS'"):
        load_pet(write_series(tmp_path, edit=change(Units="PROPCNTS")))
