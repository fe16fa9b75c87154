"""Our own version of every IBSI-SUV reference object (pet.md 6.1), by its number: 43 values, 15 refusals.

The expectation is IBSI's: minimum 0.20, median 1.00, maximum 4.00 inside the object, or a refusal. What a voxel
holds at SUV 1 is written out from pet.md 1.1 to 1.5.
"""

import math
from datetime import datetime, timedelta

import numpy as np
import pytest
from dicom_factory import (
    DOSE,
    LAMBDA,
    add_private,
    both,
    bqml_per_suv,
    change,
    clock,
    philips,
    tracer,
    write_enhanced,
    write_series,
)

from analysis.pet import SeriesRefused, load_pet

SCAN = datetime(2025, 1, 1, 11)
T_AVE_300 = 149.60534  # s, pet.md 1.4
# kg at 70 kg and 175 cm, pet.md 1.2, for M, F, O
JAMES, JANMA, IBW = (56.52, 51.22, 53.87), (55.8571, 45.1970, 50.5271), (72.38, 66.43, 69.405)
BSA_CM2 = 18481.4
PHILIPS, GE, SIEMENS, OTHER = "Philips Medical Systems", "GE MEDICAL SYSTEMS", "SIEMENS", "Synthetic"
NO_DT = change(RadiopharmaceuticalStartDateTime=None)
NO_TM = change(RadiopharmaceuticalStartTime=None)


def in_sul(kind, kg):
    """Images in g/ml made with another body size, by sex."""
    return {
        f"{index}": (kg[index] / 70, change(Units="GML", SUVType=kind, PatientSex=sex))
        for index, sex in enumerate("MFO")
    }


def series_after_acquisition(vendor):
    """Corrected to the frame's start at 11:00; GE's Frame Reference Time counts from there, others' from T_ave."""

    def edit(ds, k):
        ds.Manufacturer = vendor
        clock(ds, "Series", SCAN + timedelta(minutes=20))
        ds.FrameReferenceTime = "0" if vendor == GE else str(T_AVE_300 * 1000)

    return bqml_per_suv(), edit


def vendor_date_time(vendor, group, creator, element):
    def edit(ds, k):
        ds.Manufacturer = vendor
        for name in ("Series", "Acquisition"):
            clock(ds, name, SCAN + timedelta(minutes=20))
        add_private(ds, group, creator, element, "DT", "20250101110000.00")

    return bqml_per_suv(), edit


def uncorrected(vendor):
    """Each slice is a bed of its own, 300 s long, not decay-corrected; Philips in counts."""
    factor = 1.7 if vendor == PHILIPS else 1.0
    frame = (1 - math.exp(-LAMBDA * 300)) / (LAMBDA * 300)

    def edit(ds, k):
        ds.Manufacturer, ds.DecayCorrection, ds.CorrectedImage = vendor, "NONE", ["NORM", "ATTN"]
        clock(ds, "Acquisition", SCAN + timedelta(seconds=300 * k))
        if vendor == PHILIPS:
            philips(activity=factor)(ds, k)

    return [bqml_per_suv(3600 + 300 * k) * frame / factor for k in range(4)], edit


def series_is_acquisition(vendor):
    factor = 1.7 if vendor == PHILIPS else 1.0
    return bqml_per_suv() / factor, both(
        change(Manufacturer=vendor), philips(activity=factor) if vendor == PHILIPS else change()
    )


def after_midnight(ds, k):
    for name in ("Series", "Acquisition"):
        clock(ds, name, datetime(2025, 1, 2, 0, 30))
    tracer(ds).RadiopharmaceuticalStartTime = "233000"
    tracer(ds).RadiopharmaceuticalStartDateTime = "20250101233000"


def anonymous_scan_date(ds, k):
    after_midnight(ds, k)
    for name in ("Series", "Acquisition"):
        clock(ds, name, datetime(1960, 1, 2, 0, 30))


def long_lived(start):
    return change(RadionuclideHalfLife="282240", RadiopharmaceuticalStartDateTime=start)


VENDORS = (SIEMENS, GE, PHILIPS, OTHER)
VALUES = {
    "0_0": (bqml_per_suv(), None),
    "1_0": ([bqml_per_suv()] * 4, None),  # slopes: below
    "2_0": (1.0, change(Units="GML", SUVType="BW")),
    **{f"2_1_{last}": made for last, made in in_sul("LBMJAMES128", JAMES).items()},
    **{f"2_2_{last}": made for last, made in in_sul("IBW", IBW).items()},
    "2_3": (BSA_CM2 / 70_000, change(Units="CM2ML", SUVType="BSA")),
    "2_4": (1 / 0.0005, philips(suv=0.0005)),
    "2_5": (bqml_per_suv() / 1.7, philips(activity=1.7)),
    **{f"2_6_{last}": made for last, made in in_sul("LBMJANMA", JANMA).items()},
    "3_0": (bqml_per_suv(), change(RadionuclideTotalDose="368.08")),
    "3_1": (bqml_per_suv(0), change(DecayCorrection="ADMIN")),
    **{f"3_2_{last}": series_after_acquisition(vendor) for last, vendor in enumerate(VENDORS)},
    "3_3_0": vendor_date_time(SIEMENS, 0x0071, "SIEMENS MED PT", 0x22),
    "3_3_1": vendor_date_time(GE, 0x0009, "GEMS_PETD_01", 0x0D),
    **{f"3_4_{last}": uncorrected(vendor) for last, vendor in enumerate(VENDORS)},
    **{f"3_5_{last}": series_is_acquisition(vendor) for last, vendor in enumerate(VENDORS)},
    "4_0": (bqml_per_suv(), NO_TM),
    "4_1": (bqml_per_suv(), NO_DT),
    "4_2": (bqml_per_suv(), both(after_midnight, NO_DT)),
    "4_3": (bqml_per_suv(), both(after_midnight, NO_TM)),
    "4_4": (bqml_per_suv(), anonymous_scan_date),
    "4_5": (DOSE * 0.5 ** (73 * 3600 / 282240) / 70_000, long_lived("20241229100000")),
    "5_0": (DOSE * 0.5 ** (3600 / 4057.74) / 70_000, change(RadionuclideHalfLife="4057.74")),
}


def frames_at(reference):
    def edit(ds):
        ds.DecayCorrected = "NO"
        for k, frame in zip(reversed(range(4)), ds.PerFrameFunctionalGroupsSequence, strict=True):
            start = SCAN + timedelta(seconds=300 * k)
            content = frame.FrameContentSequence[0]
            content.FrameAcquisitionDateTime = start.strftime("%Y%m%d%H%M%S")
            if reference:
                content.FrameReferenceDateTime = (start + timedelta(seconds=100)).strftime("%Y%m%d%H%M%S")

    return edit


# How IBSI's enhanced objects differ is not known here: these are the branches of pet.md 1.8.
ENHANCED = {
    "7_0_0": (None, "Bq/ml", None),
    "7_1_0": (1.0, "g/ml{SUVbw}", None),
    "7_2_0": (None, None, None),
    "7_3_0": ([bqml_per_suv(3600 + 300 * k + 100) for k in range(4)], "Bq/ml", frames_at(True)),
    "7_3_1": ([bqml_per_suv(3600 + 300 * k + T_AVE_300) for k in range(4)], "Bq/ml", frames_at(False)),
}

REFUSED = {
    "2_0": (change(PatientWeight=None), "WEIGHT_MISSING"),
    "2_1": (change(PatientWeight="0"), "WEIGHT_MISSING"),
    "2_2": (change(Units="GML", SUVType="IBW", PatientSex=None), "SEX_MISSING"),
    "2_3": (change(Units="GML", SUVType="IBW", PatientSex="U"), "SEX_MISSING"),
    "2_4": (change(Units="GML", SUVType="IBW", PatientSize=None), "HEIGHT_MISSING"),
    "2_5": (change(Units="GML", SUVType="IBW", PatientSize="0"), "HEIGHT_MISSING"),
    "2_6": (philips(), "PHILIPS_FACTOR_MISSING"),
    "2_7": (change(Units="PROPCNTS"), "UNITS_UNSUPPORTED"),
    "3_0": (change(RadionuclideTotalDose=None), "DOSE_MISSING"),
    "3_1": (change(RadionuclideTotalDose="-368080000"), "DOSE_INVALID"),
    "3_2": (change(SeriesTime="112000", ActualFrameDuration=None), "TREF_NOT_DERIVABLE"),
    "4_0": (both(NO_DT, NO_TM), "ADMIN_TIME_MISSING"),
    "4_1": (both(long_lived("20250101100000"), NO_DT), "ADMIN_DATE_UNKNOWN"),
    "4_2": (long_lived("19000101100000"), "ADMIN_DATE_UNKNOWN"),
    "5_0": (change(RadionuclideHalfLife=None), "HALF_LIFE_MISSING"),
}


def assert_triple(pet):
    found = (pet.values.min(), np.median(pet.values), pet.values.max())
    assert found == pytest.approx((0.20, 1.00, 4.00), abs=0.002)


def test_the_list_is_complete():
    assert (len(VALUES) + len(ENHANCED), len(REFUSED)) == (43, 15)


@pytest.mark.parametrize("number", VALUES)
def test_value_object(tmp_path, number):
    per_suv, edit = VALUES[number]
    slopes = [1.5, 0.75, 3.25, 2.0] if number == "1_0" else None
    assert_triple(load_pet(write_series(tmp_path, unit_per_suv=per_suv, edit=edit, slopes=slopes)))


@pytest.mark.parametrize("number", ENHANCED)
def test_enhanced_value_object(tmp_path, number):
    per_suv, unit, edit = ENHANCED[number]
    assert_triple(load_pet(write_enhanced(tmp_path / "e", per_suv=per_suv, unit=unit, edit=edit)))


@pytest.mark.parametrize("number", REFUSED)
def test_object_to_refuse(tmp_path, number):
    edit, code = REFUSED[number]
    with pytest.raises(SeriesRefused) as refused:
        load_pet(write_series(tmp_path, edit=edit))
    assert refused.value.code == code


def test_a_sex_that_is_not_of_the_standard_is_not_guessed(tmp_path):
    """Object 2_3 to refuse in other spellings: 'Female' is no value of (0010,0040); 'f' is read as F."""
    made = change(Units="GML", SUVType="IBW", PatientSex="Female")
    with pytest.raises(SeriesRefused, match="SEX_MISSING"):
        load_pet(write_series(tmp_path / "word", edit=made))
    small = change(Units="GML", SUVType="IBW", PatientSex="f")
    assert_triple(load_pet(write_series(tmp_path / "small", unit_per_suv=IBW[1] / 70, edit=small)))
