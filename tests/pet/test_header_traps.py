"""Headers that once gave a wrong SUV, or a right one without a word: refused or flagged by name.

Pixels are made from SUV by the formulas of pet.md 1.1 to 1.8; expectations are worked out by hand.
"""

import copy
from datetime import datetime

import numpy as np
import pytest
from dicom_factory import (
    add_private,
    both,
    bqml_per_suv,
    change,
    clock,
    philips,
    real_world_map,
    tracer,
    write_enhanced,
    write_series,
)
from pydicom.dataset import Dataset

from analysis import plan
from analysis.pet import SeriesRefused, load_pet
from analysis.pet.enhanced import LEGACY_CONVERTED
from analysis.pet.quality import check_protocol

RULES = plan.defaults().pet
LARGE = "TREF_CANDIDATES_DISAGREE_LARGE"


def assert_triple(pet):
    found = (pet.values.min(), np.median(pet.values), pet.values.max())
    assert found == pytest.approx((0.20, 1.00, 4.00), abs=0.002)


def assert_refused(code, path, **options):
    with pytest.raises(SeriesRefused) as refused:
        load_pet(path, **options)
    assert refused.value.code == code


def stored(values):
    def edit(ds):
        ds.PixelData = np.tile(np.array(values, np.int16), (4, 5, 1)).tobytes()

    return edit


# ---- real-world value maps ----


@pytest.mark.parametrize(
    ("maps", "code"),
    [
        ([real_world_map("Bq/ml", 1.0, intercept=500.0)], "INTERCEPT_NOT_ZERO"),
        ([real_world_map("Bq/ml", 1.0, intercept=1e-9)], "INTERCEPT_NOT_ZERO"),
        ([real_world_map("Bq/ml", -1.0)], "SLOPE_INVALID"),
        ([real_world_map("Bq/ml", -1.0, intercept=1.0)], "SLOPE_INVALID"),
        # joined, but 500 Bq/ml too high throughout
        (
            [real_world_map("Bq/ml", 1, 0, 9, 500.0), real_world_map("Bq/ml", 2, 10, 32767, 490.0)],
            "INTERCEPT_NOT_ZERO",
        ),
        # a jump from 9 to 120
        (
            [real_world_map("Bq/ml", 1, 0, 9), real_world_map("Bq/ml", 2, 10, 32767, 100.0)],
            "INTERCEPT_NOT_ZERO",
        ),
        ([real_world_map("Bq/ml", 1, 0, 9), real_world_map("Bq/ml", -2, 10, 32767)], "SLOPE_INVALID"),
    ],
)
def test_a_map_that_falls_or_does_not_start_at_zero_is_refused(tmp_path, maps, code):
    assert_refused(code, write_enhanced(tmp_path / "e", maps=lambda slope: maps))


def test_ranges_that_join_may_have_an_intercept_and_say_so(tmp_path):
    maps = [real_world_map("g/ml", 1.0, 0, 9), real_world_map("g/ml", 2.0, 10, 30, -10.0)]
    path = write_enhanced(tmp_path / "e", maps=lambda slope: maps, edit=stored([0, 5, 9, 10, 12, 20]))
    pet = load_pet(path)
    assert pet.values[0, 0].tolist() == [0, 5, 9, 10, 14, 30]
    assert pet.adaptations == ["RWV_INTERCEPT"]
    assert_refused("STRICT_RWV_INTERCEPT", path, strict=True)


@pytest.mark.parametrize(("unit", "intercept"), [("g/ml{SUVbw}", 0.1), ("{SUVlbm(Janma)}g/ml", 0.0)])
def test_an_suv_map_that_is_not_compared_is_flagged(tmp_path, unit, intercept):
    def maps(slope):
        return [real_world_map("Bq/ml", slope), real_world_map(unit, slope, intercept=intercept)]

    pet = load_pet(write_enhanced(tmp_path / "e", maps=maps))
    assert_triple(pet)
    assert "RWV_NOT_COMPARED" in pet.facts["flags"]


@pytest.mark.parametrize("technique", ["MEAN_IP", "MIN_IP"])
def test_a_projection_of_any_kind_is_no_image(tmp_path, technique):
    def edit(ds):
        kind = ds.SharedFunctionalGroupsSequence[0].PETFrameTypeSequence[0]
        kind.VolumeBasedCalculationTechnique = technique

    assert_refused("NOT_QUANTITATIVE", write_enhanced(tmp_path / "e", edit=edit))


# ---- clocks ----


@pytest.mark.parametrize(
    ("instant", "seconds", "flags"),
    [
        ("20250101110000", 3600, []),
        ("20250101110030", 3630, ["TREF_CANDIDATES_DISAGREE"]),
        ("20250101120000", 7200, ["TREF_CANDIDATES_DISAGREE", LARGE]),
        ("20250101100000", 0, ["CORRECTED_TO_INJECTION"]),
    ],
)
def test_a_stated_reference_is_held_against_series_and_acquisition(tmp_path, instant, seconds, flags):
    path = write_enhanced(
        tmp_path / "e",
        per_suv=bqml_per_suv(seconds),
        edit=lambda ds: setattr(ds, "DecayCorrectionDateTime", instant),
    )
    pet = load_pet(path)
    assert_triple(pet)
    assert pet.facts["flags"] == flags
    # the patient waited an hour, whatever the image is corrected to
    assert pet.facts["uptake_time_min"] == pet.facts["uptake_time_acquisition_min"] == 60


@pytest.mark.parametrize("corrected", ["YES", "NO"])
def test_frame_times_with_an_offset_come_to_the_clock_of_the_series(tmp_path, corrected):
    """10:00 UTC is 11:00 local; without decay correction the frame's mean counts, 149.605 s later."""

    def edit(ds):
        ds.TimezoneOffsetFromUTC, ds.DecayCorrected = "+0100", corrected
        for frame in ds.PerFrameFunctionalGroupsSequence:
            frame.FrameContentSequence[0].FrameAcquisitionDateTime = "20250101100000+0000"

    seconds = 3600 if corrected == "YES" else 3749.60534
    pet = load_pet(write_enhanced(tmp_path / "e", per_suv=bqml_per_suv(seconds), edit=edit))
    assert_triple(pet)
    assert pet.facts["uptake_time_acquisition_min"] == 60
    assert pet.facts["flags"] == []


@pytest.mark.parametrize("root", [None, "110000", "105800"])
def test_of_a_conversion_each_frame_keeps_its_own_time(tmp_path, root):
    """Two beds ten minutes apart, corrected to the first: the time of the file is neither's."""

    def edit(ds):
        ds.SOPClassUID = LEGACY_CONVERTED
        for name in ("DecayCorrected", "AttenuationCorrected", "DecayCorrectionDateTime"):
            del ds[name]
        if root:
            ds.AcquisitionDate, ds.AcquisitionTime = "20250101", root
        tracer(ds).RadionuclideTotalDose = "368080000"
        shared = Dataset()
        shared.Units, shared.DecayCorrection, shared.CorrectedImage = "BQML", "START", ["ATTN", "DECY"]
        ds.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence = [shared]
        for k, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
            own, late = Dataset(), 600 * (k < 2)
            own.FrameReferenceTime = f"{1000 * (late + 149.60534):.2f}"
            frame.UnassignedPerFrameConvertedAttributesSequence = [own]
            frame.FrameContentSequence[0].FrameAcquisitionDateTime = f"2025010111{late // 60:02d}00"

    pet = load_pet(write_enhanced(tmp_path / "e", unit=None, edit=edit))
    assert_triple(pet)
    assert pet.facts["tref_rule"] == "SERIES_TIME+BACK_COMPUTED"
    assert LARGE not in pet.facts["flags"]


def blanked(ds, k):
    for name in ("Series", "Acquisition"):
        setattr(ds, f"{name}Time", "000000.0")
    del tracer(ds).RadiopharmaceuticalStartDateTime
    tracer(ds).RadiopharmaceuticalStartTime = "000000"


@pytest.mark.parametrize("decay", ["START", "NONE"])
def test_blanked_times_are_refused_where_suv_rests_on_them(tmp_path, decay):
    done = ["ATTN", "DECY"] if decay == "START" else ["ATTN"]
    edit = both(blanked, change(DecayCorrection=decay, CorrectedImage=done))
    assert_refused("TIMES_BLANKED", write_series(tmp_path, edit=edit))


@pytest.mark.parametrize(("units", "per_suv"), [("GML", 1.0), ("BQML", bqml_per_suv(0))])
def test_blanked_times_are_flagged_where_suv_does_not_rest_on_them(tmp_path, units, per_suv):
    edit = both(blanked, change(Units=units, DecayCorrection="ADMIN"))
    pet = load_pet(write_series(tmp_path, unit_per_suv=per_suv, edit=edit))
    assert_triple(pet)
    assert "SERIES_TIME_BLANKED" in pet.facts["flags"]


def test_a_suv_image_without_decay_correction_is_flagged(tmp_path):
    edit = change(Units="GML", DecayCorrection="NONE", CorrectedImage=["ATTN"])
    pet = load_pet(write_series(tmp_path, unit_per_suv=1.0, edit=edit))
    assert "SUV_NOT_DECAY_CORRECTED" in pet.facts["flags"]


def test_an_uptake_time_that_suv_did_not_need_says_how_it_was_found(tmp_path):
    edit = change(Units="GML", RadionuclideHalfLife=None, RadiopharmaceuticalStartDateTime=None)
    pet = load_pet(write_series(tmp_path, unit_per_suv=1.0, edit=edit))
    assert pet.facts["uptake_time_min"] == 60
    assert pet.facts["flags"] == ["ADMIN_DATE_INFERRED"]


def test_siemens_date_time_is_looked_for_in_every_block(tmp_path):
    def edit(ds, k):
        ds.Manufacturer = "SIEMENS"
        clock(ds, "Series", datetime(2025, 1, 1, 10, 50))
        add_private(ds, 0x0071, "SIEMENS MED PT MU MAP", 0x22, "LO", "OTHER")
        add_private(ds, 0x0071, "SIEMENS MED PT", 0x22, "DT", "20250101110000")

    pet = load_pet(write_series(tmp_path, edit=edit))
    assert_triple(pet)
    assert pet.facts["tref_rule"] == "PRIVATE_SIEMENS"


# ---- tracers ----


def coded(value, meaning):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return [item]


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("FDG -- fluorodeoxyglucose", []),
        ("Fludeoxyglucose F 18", []),
        ("Solution", []),
        ("Solution", coded("35321007", "")),
        ("", coded("C-B1031", "Fluorodeoxyglucose F^18^")),
        ("", []),
    ],
)
def test_fdg_passes_the_protocol_however_it_is_named(tmp_path, name, codes):
    edit = change(Radiopharmaceutical=name, RadiopharmaceuticalCodeSequence=codes)
    assert check_protocol(load_pet(write_series(tmp_path, edit=edit)).facts, RULES) == []


@pytest.mark.parametrize(
    ("name", "codes"), [("Fluorothymidine", []), ("Solution", coded("C-B1036", "Fluorothymidine F^18^"))]
)
def test_another_tracer_fails_the_protocol_and_not_the_conversion(tmp_path, name, codes):
    edit = change(Radiopharmaceutical=name, RadiopharmaceuticalCodeSequence=codes)
    pet = load_pet(write_series(tmp_path, edit=edit))
    assert_triple(pet)
    with pytest.raises(SeriesRefused, match="TRACER_NOT_FDG") as refused:
        check_protocol(pet.facts, RULES)
    assert "thymidine" not in str(refused.value)


def test_a_half_life_near_f18_is_flagged_once_whatever_the_code_says():
    facts = {"half_life_s": 6480.0, "uptake_time_min": 60.0, "injection": 1, "flags": []}
    assert check_protocol(facts, RULES) == ["HALF_LIFE_UNUSUAL"]
    assert check_protocol(facts | {"flags": ["HALF_LIFE_UNUSUAL"]}, RULES) == []


def test_a_tracer_item_beyond_the_list_is_refused(tmp_path):
    rules = plan.defaults().override({"pet.tracer_item": 2}).pet
    assert_refused("TRACER_ITEM_MISSING", write_series(tmp_path), rules=rules)


# ---- slices that contradict each other, and series left out ----


def _second_tracer(ds):
    ds.RadiopharmaceuticalInformationSequence.append(copy.deepcopy(tracer(ds)))


@pytest.mark.parametrize(
    "change_one",
    [
        _second_tracer,
        lambda ds: setattr(ds, "TimezoneOffsetFromUTC", "+0200"),
        lambda ds: setattr(tracer(ds).RadionuclideCodeSequence[0], "CodeValue", "C-131A3"),
    ],
)
def test_a_slice_of_another_tracer_or_clock_is_refused(tmp_path, change_one):
    def edit(ds, k):
        ds.TimezoneOffsetFromUTC = "+0100"
        if k == 2:
            change_one(ds)

    assert_refused("MIXED_SERIES", write_series(tmp_path, edit=edit))


@pytest.mark.parametrize(
    ("whole", "one"),
    [
        ({"suv": 1e-4, "activity": 1.0}, {"suv": 1e-4}),
        ({"suv": 1e-4, "activity": 1.0}, {"suv": 1e-4, "activity": 0.0}),
        ({"suv": 1e-4}, {"suv": 0.0}),
    ],
)
def test_a_philips_factor_of_some_slices_only_is_refused(tmp_path, whole, one):
    def edit(ds, k):
        philips(**(one if k == 1 else whole))(ds, k)

    assert_refused("MIXED_SERIES", write_series(tmp_path, edit=edit))


def test_philips_factors_are_not_compared_without_decay_correction(tmp_path):
    edit = both(
        philips(suv=1e-4, activity=1.0), change(DecayCorrection="NONE", CorrectedImage=["ATTN", "NORM"])
    )
    assert "PHILIPS_FACTORS_DISAGREE" not in load_pet(write_series(tmp_path, edit=edit)).facts["flags"]


def test_a_named_series_without_attenuation_correction_is_called_so(tmp_path):
    def edit(ds, k):
        ds.ImageType = ["ORIGINAL", "PRIMARY", "NAC"]

    write_series(tmp_path / "ac")
    uid = load_pet(tmp_path / "ac").facts["series_uid"]
    write_series(tmp_path / "nac", edit=edit, series=3)
    assert_refused("NOT_QUANTITATIVE", tmp_path, series_uid=uid[:-1] + "3")


@pytest.mark.parametrize(("name", "text"), [("Units", "MUELLER"), ("DecayCorrection", "JANE")])
def test_a_name_that_looks_like_a_code_is_not_repeated(tmp_path, name, text):
    with pytest.raises(SeriesRefused, match="an unknown code") as refused:
        load_pet(write_series(tmp_path, edit=change(**{name: text})))
    assert text not in str(refused.value)


# ---- how the image was made ----

MADE = ("software", "reconstruction", "kernel", "psf", "time_of_flight")


def made(path):
    pet = load_pet(path)
    return [pet.facts[key] for key in MADE], [flag for flag in pet.facts["flags"] if flag.startswith("RECON")]


@pytest.mark.parametrize(
    ("method", "psf", "tof"),
    [
        ("PSF+TOF 2i21s", "Y", "Y"),
        ("OSEM3D 4i8s", "N", "N"),
        ("TrueX", "Y", "N"),
        ("VPFX", "N", "Y"),
        ("VPFX-S", "Y", "Y"),
        ("BLOB-OS-TF", "N", "Y"),
        ("3D-OSEM-TOF", "N", "Y"),
        ("TOFU PSFX", "N", "N"),  # words, not letters
        ("", None, None),
    ],
)
def test_a_reconstruction_says_by_its_name_whether_it_models_resolution_and_flight(
    tmp_path, method, psf, tof
):
    path = write_series(tmp_path, edit=lambda ds, k: setattr(ds, "ReconstructionMethod", method))
    assert made(path) == ([None, method or None, None, psf, tof], [])


@pytest.mark.parametrize(
    "text",
    ["DOE^JANE", "VG51C 20150624", "24.06.2015", "JUN 24", "1.3.12.2.1107.5", "10:22", "x" * 65, "M\xfcller"],
)
def test_what_is_no_technical_text_is_dropped_and_said(tmp_path, text):
    def edit(ds, k):
        ds.SoftwareVersions, ds.ReconstructionMethod, ds.ConvolutionKernel = (
            ["VG60A", text],
            "OSEM",
            "All-pass",
        )

    found, flags = made(write_series(tmp_path, edit=edit))
    assert found == [None, "OSEM", "All-pass", "N", "N"] and flags == ["RECON_TEXT_UNUSUAL"]


@pytest.mark.parametrize("fast", [True, False])
def test_slices_that_disagree_on_their_making_leave_it_unknown(tmp_path, fast):
    def edit(ds, k):
        ds.SoftwareVersions, ds.ReconstructionMethod = "VG60A", "PSF" if k == 2 else "OSEM"

    rules = plan.defaults().override({"pet.fast_path": fast}).pet
    pet = load_pet(write_series(tmp_path, edit=edit), rules=rules)
    assert [pet.facts[key] for key in MADE] == ["VG60A", None, None, None, None]
    assert "RECON_VARIES" in pet.facts["flags"]


def test_an_enhanced_image_codes_how_it_was_made(tmp_path):
    def edit(ds):
        ds.SoftwareVersions = "3.7.17"
        group, acquired = Dataset(), Dataset()
        group.ReconstructionType, group.ReconstructionAlgorithm = "3D", "RAMLA"
        group.IterativeReconstructionMethod = "YES"
        group.NumberOfIterations, group.NumberOfSubsets = 3, 21
        acquired.TimeOfFlightInformationUsed = "YES"
        shared = ds.SharedFunctionalGroupsSequence[0]
        shared.PETReconstructionSequence = [group]
        shared.PETFrameAcquisitionSequence = [acquired]

    assert made(write_enhanced(tmp_path / "e", edit=edit)) == (
        ["3.7.17", "3D RAMLA 3i21s", None, "N", "Y"],
        [],
    )


def test_an_image_prints_as_one_line_without_whose_it_is(tmp_path):
    text = repr(
        load_pet(
            write_series(tmp_path, np.ones((4, 5, 6)), edit=lambda ds, k: setattr(ds, "PatientID", "X-1"))
        )
    )
    assert text == "PetImage(4 x 5 x 6 voxels of 4 x 4 x 4 mm, SUV bw in g/ml, adaptations: none)"
