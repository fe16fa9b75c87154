"""Enhanced and Legacy Converted Enhanced PET: every branch of pet.md 1.8, values made by its formulas."""

import copy
import math
from datetime import datetime, timedelta

import numpy as np
import pydicom
import pytest
from dicom_factory import (
    DOSE,
    LAMBDA,
    add_private,
    bqml_per_suv,
    real_world_map,
    tracer,
    triple_phantom,
    write_enhanced,
    write_series,
)
from highdicom.legacy import LegacyConvertedEnhancedPETImage
from pydicom.dataset import Dataset

from analysis import plan
from analysis.pet import SeriesRefused, load_pet
from analysis.pet.realworld import unit_of

JAMES, MORGAN, JANMA, IBW, BSA_CM2 = 53.87, 54.51, 50.52708, 69.405, 18481.4  # O, 70 kg, 175 cm: pet.md 1.2
T_AVE_300 = 149.60534  # s, pet.md 1.4


def assert_triple(pet, abs_tolerance=0.002):
    found = (pet.values.min(), np.median(pet.values), pet.values.max())
    assert found == pytest.approx((0.20, 1.00, 4.00), abs=abs_tolerance)


def assert_refused(code, path, **options):
    with pytest.raises(SeriesRefused, match=code) as refused:
        load_pet(path, **options)
    assert refused.value.code == code


def frames(ds):
    return ds.PerFrameFunctionalGroupsSequence


def content(ds):
    return [frame.FrameContentSequence[0] for frame in frames(ds)]


def attributes(**values):
    def edit(ds):
        for name, value in values.items():
            if value is None:
                del ds[name]
            else:
                setattr(ds, name, value)

    return edit


# ---- the value objects IBSI numbers 7_*: their headers are not at hand, each branch of pet.md 1.8 is ours ----


def test_7_0_0_activity_map_with_stated_decay_correction(tmp_path):
    pet = load_pet(write_enhanced(tmp_path / "e"), strict=True)
    assert_triple(pet)
    assert pet.adaptations == []
    assert (pet.facts["tref_rule"], pet.facts["units"]) == ("DECAY_CORRECTION_DATETIME", "BQML")
    assert pet.facts["injected_activity_bq"] == pytest.approx(DOSE)
    assert pet.facts["uptake_time_min"] == pytest.approx(60)
    np.testing.assert_allclose(pet.values, triple_phantom(), atol=0.002)  # frames come from the top down
    assert pet.spacing_mm.tolist() == [4, 4, 4]


def test_7_1_0_rescale_type_where_there_is_no_map(tmp_path):
    assert_triple(load_pet(write_enhanced(tmp_path / "e", unit=None), strict=True))


def test_7_2_0_suv_map_needs_no_dose_no_weight_and_no_times(tmp_path):
    def bare(ds):
        attributes(PatientWeight=None, DecayCorrectionDateTime=None)(ds)
        del tracer(ds).RadionuclideTotalDose, tracer(ds).RadiopharmaceuticalStartDateTime

    path = write_enhanced(tmp_path / "e", per_suv=1.0, unit="g/ml{SUVbw}", edit=bare)
    pet = load_pet(path, strict=True)
    assert_triple(pet)
    assert np.all(pet.suv_factors == 1.0)


def uncorrected(offset_s, reference):
    """Frames of five minutes, one after the other from the lowest slice; not decay-corrected."""

    def edit(ds):
        ds.DecayCorrected = "NO"
        del ds.DecayCorrectionDateTime
        for k, item in zip(reversed(range(4)), content(ds), strict=True):
            start = datetime(2025, 1, 1, 11) + timedelta(seconds=300 * k)
            item.FrameAcquisitionDateTime = start.strftime("%Y%m%d%H%M%S.%f")
            if reference:
                item.FrameReferenceDateTime = (start + timedelta(seconds=offset_s)).strftime(
                    "%Y%m%d%H%M%S.%f"
                )

    return edit


def test_7_3_0_uncorrected_frames_with_their_reference_time(tmp_path):
    """The reference lies 100 s into the frame; T_ave would be 149.6 s."""
    per_suv = [bqml_per_suv(3600 + 300 * k + 100) for k in range(4)]
    pet = load_pet(write_enhanced(tmp_path / "e", per_suv=per_suv, edit=uncorrected(100, True)))
    assert_triple(pet)
    assert pet.facts["tref_rule"] == "FRAME_REFERENCE_DATETIME"


def test_7_3_1_uncorrected_frames_with_start_and_duration(tmp_path):
    per_suv = [bqml_per_suv(3600 + 300 * k + T_AVE_300) for k in range(4)]
    pet = load_pet(write_enhanced(tmp_path / "e", per_suv=per_suv, edit=uncorrected(0, False)))
    assert_triple(pet)
    assert pet.facts["tref_rule"] == "ACQUISITION_MEAN"
    assert pet.facts["uptake_time_min"] == pytest.approx(60)


# ---- units ----


@pytest.mark.parametrize(
    ("unit", "size_over_weight"),
    [
        ("g/ml{SUVbw}", 1.0),
        ("{SUVbw}g/ml", 1.0),
        ("g/ml", 1.0),
        ("g/ml{SUVlbm}", MORGAN / 70),
        ("{SUVlbm}g/ml", MORGAN / 70),
        ("g/ml{SUVlbm(James128)}", JAMES / 70),
        ("{SUVlbm(James128)}g/ml", JAMES / 70),
        ("g/ml{SUVlbm(Janma)}", JANMA / 70),
        ("{SUVlbm(Janma)}g/ml", JANMA / 70),
        ("g/ml{SUVibw}", IBW / 70),
        ("{SUVibw}g/ml", IBW / 70),
        ("cm2/ml{SUVbsa}", BSA_CM2 / 70000),
        ("{SUVbsa}cm2/ml", BSA_CM2 / 70000),
    ],
)
def test_every_unit_of_suv_is_brought_to_body_weight_in_both_spellings(tmp_path, unit, size_over_weight):
    assert_triple(load_pet(write_enhanced(tmp_path / "e", per_suv=size_over_weight, unit=unit)))


@pytest.mark.parametrize("text", ["Bq/ml", "BQML", "bq/ml ", "Bq / mL"])
def test_activity_units_are_read_however_spelled(text):
    assert unit_of(text) == "BQML"


@pytest.mark.parametrize("text", ["g/ml{SUVxyz}", "cm2/ml{SUVbw}", "%", "kBq/ml", "{propcounts}", "US", ""])
def test_units_that_are_not_of_pet_or_contradict_themselves_have_no_name(text):
    assert unit_of(text) == ""


@pytest.mark.parametrize("unit", ["{propcounts}", "/cm", "g/ml{SUVxyz}"])
def test_a_map_in_another_unit_alone_is_refused(tmp_path, unit):
    assert_refused("UNITS_UNSUPPORTED", write_enhanced(tmp_path / "e", unit=unit))


def test_a_map_in_another_unit_beside_a_rescale_type_is_passed_over(tmp_path):
    def edit(ds):
        for frame in frames(ds):
            frame.RealWorldValueMappingSequence = [real_world_map("%", 3.0)]

    assert_triple(load_pet(write_enhanced(tmp_path / "e", unit=None, edit=edit)))


def test_maps_replace_the_rescale_slope(tmp_path):
    def edit(ds):
        for frame in frames(ds):
            item = Dataset()
            item.RescaleSlope, item.RescaleIntercept, item.RescaleType = "99", "7", "US"
            frame.PixelValueTransformationSequence = [item]

    assert_triple(load_pet(write_enhanced(tmp_path / "e", edit=edit)))


def test_a_map_may_stand_in_the_shared_group(tmp_path):
    def edit(ds):
        ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = frames(ds)[
            0
        ].RealWorldValueMappingSequence
        for frame in frames(ds):
            del frame.RealWorldValueMappingSequence

    assert_triple(load_pet(write_enhanced(tmp_path / "e", slopes=[1.0] * 4, edit=edit)))


# ---- several maps ----


def two_maps(disagreement=1.0):
    suv_per_bqml = disagreement / bqml_per_suv()
    return lambda slope: [
        real_world_map("g/ml{SUVbw}", slope * suv_per_bqml),
        real_world_map("Bq/ml", slope),
    ]


def test_of_several_maps_the_activity_is_used_and_agreement_is_silent(tmp_path):
    pet = load_pet(write_enhanced(tmp_path / "e", maps=two_maps()))
    assert_triple(pet)
    assert (pet.facts["units"], "RWV_MAPS_DISAGREE" in pet.facts["flags"]) == ("BQML", False)
    assert "RWV_MAPS_DISAGREE" not in load_pet(tmp_path / "e", normalisation="lbm_janma").facts["flags"]


def test_an_suv_map_that_disagrees_with_the_header_is_flagged(tmp_path):
    pet = load_pet(write_enhanced(tmp_path / "e", maps=two_maps(1.02)))
    assert_triple(pet)
    assert "RWV_MAPS_DISAGREE" in pet.facts["flags"]


def test_the_plan_chooses_the_map(tmp_path):
    rules = plan.defaults().override({"pet.rwv_units": ["GML_BW", "BQML"]}).pet
    pet = load_pet(write_enhanced(tmp_path / "e", maps=two_maps()), rules=rules)
    assert_triple(pet)
    assert pet.facts["units"] == "GML"


def test_ranges_of_one_unit_are_applied_piece_by_piece(tmp_path):
    """Stored 0 to 9999 have slope 1; from 10000 on slope 2, shifted so that the function has no jump."""

    def edit(ds):
        stored = np.tile(np.array([0, 5000, 9999, 10000, 12000, 20000], np.int16), (4, 5, 1))
        ds.PixelData = stored.tobytes()

    maps = [real_world_map("g/ml", 1.0, 0, 9999), real_world_map("g/ml", 2.0, 10000, 20000, -10000.0)]
    pet = load_pet(write_enhanced(tmp_path / "e", maps=lambda slope: maps, edit=edit))
    assert pet.values[2, 3].tolist() == [0, 5000, 9999, 10000, 14000, 30000]


def test_a_table_is_looked_up_from_its_first_value(tmp_path):
    def edit(ds):
        ds.PixelData = np.tile(np.array([-1, 0, 1, 2, 1, 0], np.int16), (4, 5, 1)).tobytes()

    item = real_world_map("g/ml", 0, -1, 2, table=[0.5, 1.5, 4.0, 9.0])
    pet = load_pet(write_enhanced(tmp_path / "e", maps=lambda slope: [item], edit=edit))
    assert pet.values[0, 0].tolist() == [0.5, 1.5, 4.0, 9.0, 4.0, 1.5]


@pytest.mark.parametrize(
    ("maps", "code"),
    [
        ([real_world_map("Bq/ml", 1.0, 0, 20000)], "RWV_RANGE"),
        ([real_world_map("Bq/ml", 1.0, 0, 2000), real_world_map("Bq/ml", 2.0, 8000, 32767)], "RWV_RANGE"),
        ([real_world_map("Bq/ml", 1.0, 0, 29000), real_world_map("Bq/ml", 2.0, 100, 32767)], "RWV_AMBIGUOUS"),
        ([real_world_map("Bq/ml", math.nan)], "RWV_INVALID"),
        ([real_world_map("Bq/ml", 1.0, 100, 0)], "RWV_INVALID"),
        ([real_world_map("Bq/ml", 0, 0, 2, table=[1.0, 2.0])], "RWV_INVALID"),
        ([real_world_map("Bq/ml", 0.0)], "SLOPE_INVALID"),
    ],
)
def test_maps_that_leave_a_value_without_one_meaning_are_refused(tmp_path, maps, code):
    assert_refused(code, write_enhanced(tmp_path / "e", maps=lambda slope: maps))


def test_a_map_without_its_range_is_refused(tmp_path):
    item = real_world_map("Bq/ml", 1.0)
    del item[0x00409216]
    assert_refused("RWV_INVALID", write_enhanced(tmp_path / "e", maps=lambda slope: [item]))


# ---- what an enhanced header must hold ----


def test_activity_in_becquerel_is_an_adaptation_the_standard_has_megabecquerel(tmp_path):
    def edit(ds):
        tracer(ds).RadionuclideTotalDose = str(DOSE)

    path = write_enhanced(tmp_path / "e", edit=edit)
    pet = load_pet(path)
    assert_triple(pet)
    assert pet.adaptations == ["DOSE_IN_BQ"]
    assert_refused("STRICT_DOSE_IN_BQ", path, strict=True)


def _tracer_without(name):
    def edit(ds):
        del tracer(ds)[name]

    return edit


def _only_time_of_day(ds):
    del tracer(ds).RadiopharmaceuticalStartDateTime
    tracer(ds).RadiopharmaceuticalStartTime = "100000"


def _without_group(keyword, shared=False):
    def edit(ds):
        del (ds.SharedFunctionalGroupsSequence[0] if shared else frames(ds)[2])[keyword]

    return edit


def _cut_pixels(ds):
    ds.PixelData = ds.PixelData[:-40]


def _two_agents(ds):
    other = copy.deepcopy(tracer(ds))
    other.RadiopharmaceuticalAgentNumber = 2
    other.RadionuclideTotalDose = "50"
    ds.RadiopharmaceuticalInformationSequence.insert(0, other)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (attributes(DecayCorrected=None), "NOT_DECAY_CORRECTED"),
        (attributes(AttenuationCorrected="NO"), "NOT_ATTENUATION_CORRECTED"),
        (attributes(DecayCorrectionDateTime=None), "TREF_NOT_DERIVABLE"),
        (attributes(DecayCorrectionDateTime="20250101"), "TREF_NOT_DERIVABLE"),
        (attributes(PatientWeight=None), "WEIGHT_MISSING"),
        (attributes(NumberOfFrames=3), "FRAME_COUNT_DIFFERS"),
        (_tracer_without("RadionuclideTotalDose"), "DOSE_MISSING"),
        (_tracer_without("RadionuclideHalfLife"), "HALF_LIFE_MISSING"),
        (_only_time_of_day, "ADMIN_TIME_MISSING"),
        (_two_agents, "SEVERAL_TRACERS"),
        (_without_group("PixelMeasuresSequence", shared=True), "FRAME_GROUP_MISSING"),
        (_without_group("PlaneOrientationSequence", shared=True), "FRAME_GROUP_MISSING"),
        (_without_group("PlanePositionSequence"), "FRAME_GROUP_MISSING"),
        (_without_group("RealWorldValueMappingSequence"), "FRAME_GROUP_MISSING"),
        (_cut_pixels, "TRUNCATED_FILE"),
    ],
)
def test_what_is_missing_is_refused_by_name(tmp_path, edit, code):
    assert_refused(code, write_enhanced(tmp_path / "e", edit=edit))


def test_uncorrected_frames_without_start_or_duration_are_refused(tmp_path):
    def edit(ds):
        uncorrected(0, False)(ds)
        del content(ds)[1].FrameAcquisitionDuration

    assert_refused("TREF_NOT_DERIVABLE", write_enhanced(tmp_path / "e", edit=edit))


def test_pixel_measures_are_looked_at_in_every_frame(tmp_path):
    def edit(ds):
        for frame in frames(ds):
            frame.PixelMeasuresSequence = pydicom.Sequence([Dataset()])
            frame.PixelMeasuresSequence[0].PixelSpacing = ["4.0", "4.0"]
        frames(ds)[2].PixelMeasuresSequence[0].PixelSpacing = ["4.0", "5.0"]

    assert_refused("MULTIPLE_GROUPS", write_enhanced(tmp_path / "e", edit=edit))


def test_a_frame_names_the_one_of_several_tracers_it_shows(tmp_path):
    def edit(ds):
        _two_agents(ds)
        usage = Dataset()
        usage.RadiopharmaceuticalAgentNumber = 1
        ds.SharedFunctionalGroupsSequence[0].RadiopharmaceuticalUsageSequence = [usage]

    assert_triple(load_pet(write_enhanced(tmp_path / "e", edit=edit)))


def test_the_plan_chooses_one_of_several_tracers(tmp_path):
    rules = plan.defaults().override({"pet.tracer_item": 2}).pet
    assert_triple(load_pet(write_enhanced(tmp_path / "e", edit=_two_agents), rules=rules))


def test_a_missing_correction_is_flagged(tmp_path):
    pet = load_pet(write_enhanced(tmp_path / "e", edit=attributes(ScatterCorrected="NO")))
    assert "NO_SCAT_CORRECTION" in pet.facts["flags"]


@pytest.mark.parametrize(
    ("reference", "injection", "zone"),
    [
        ("20250101120000+0100", "20250101110000+0100", None),
        ("20250101120000+0100", "20250101100000+0000", None),
        ("20250101110000", "20250101090000+0000", "+0100"),
        ("20250101120000+0200", "20250101100000", "+0100"),
    ],
)
def test_offsets_from_utc_are_brought_to_one_clock(tmp_path, reference, injection, zone):
    def edit(ds):
        ds.DecayCorrectionDateTime = reference
        tracer(ds).RadiopharmaceuticalStartDateTime = injection
        if zone:
            ds.TimezoneOffsetFromUTC = zone

    assert_triple(load_pet(write_enhanced(tmp_path / "e", edit=edit)))


def test_a_projection_is_no_image_to_measure(tmp_path):
    def edit(ds):
        kind = ds.SharedFunctionalGroupsSequence[0].PETFrameTypeSequence[0]
        kind.VolumeBasedCalculationTechnique = "MAX_IP"

    assert_refused("NOT_QUANTITATIVE", write_enhanced(tmp_path / "e", edit=edit))


def test_frames_of_one_position_at_several_times_carry_what_tells_them_apart(tmp_path):
    from analysis.pet import header

    def edit(ds):
        ds.AcquisitionDate = ds.AcquisitionTime = ""
        for index, item in enumerate(content(ds)):
            item.TemporalPositionIndex = index // 2 + 1
            item.FrameAcquisitionDateTime = f"202501011{index // 2}0000"
            frames(ds)[index].PlanePositionSequence[0].ImagePositionPatient = [0, 0, 4.0 * (index % 2)]

    path = write_enhanced(tmp_path / "e", edit=edit)
    found = list(header.read_slices([("e", str(path))]))
    assert [item.text["TemporalPositionIndex"] for item in found] == ["1", "1", "2", "2"]
    assert [item.text["AcquisitionTime"] for item in found] == ["100000", "100000", "110000", "110000"]
    assert found[0].text is found[1].text


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEGLSLossless"])
def test_compressed_frames_give_the_same_suv(tmp_path, syntax):
    path = write_enhanced(tmp_path / "e")
    plain = load_pet(path)
    ds = pydicom.dcmread(path)
    ds.compress(getattr(pydicom.uid, syntax))
    ds.save_as(path)
    np.testing.assert_array_equal(load_pet(path).values, plain.values)


def test_implicit_vr_gives_the_same_suv(tmp_path):
    path = write_enhanced(tmp_path / "e")
    plain = load_pet(path)
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    ds.save_as(path, implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(load_pet(path).values, plain.values)


# ---- legacy conversion: written by highdicom, from classic files whose SUV is known ----


def converted(folder, path, edit=None):
    """Let highdicom convert a classic series."""

    def complete(ds, k):
        for name in ("AccessionNumber", "ReferringPhysicianName", "StudyID", "PatientBirthDate"):
            setattr(ds, name, "")
        ds.SeriesNumber = 1
        if edit:
            edit(ds, k)

    files = sorted(write_series(folder, edit=complete).iterdir())
    image = LegacyConvertedEnhancedPETImage(
        [pydicom.dcmread(file) for file in files],
        series_instance_uid="1.2.826.0.1.3680043.10.999.60",
        series_number=9,
        sop_instance_uid="1.2.826.0.1.3680043.10.999.60.1",
        instance_number=1,
    )
    image.save_as(path)
    return load_pet(folder), load_pet(path)


def test_a_legacy_conversion_gives_the_suv_of_its_source(tmp_path):
    source, image = converted(tmp_path / "classic", tmp_path / "enhanced.dcm")
    assert_triple(image)
    np.testing.assert_array_equal(image.values, source.values)
    np.testing.assert_allclose(image.affine, source.affine)
    same = ("tref_rule", "tref", "injection", "uptake_time_min", "injected_activity_bq", "units", "vendor")
    assert {key: image.facts[key] for key in same} == {key: source.facts[key] for key in same}
    assert image.adaptations == source.adaptations == []


def _bed_times(ds, k):
    ds.AcquisitionTime = f"11{k:02d}00"
    ds.FrameReferenceTime = str(1000 * (60 * k + T_AVE_300))


def _philips(ds, k):
    ds.Units, ds.Manufacturer = "CNTS", "Philips Medical Systems"
    add_private(ds, 0x7053, "Philips PET Private Group", 0x00, "DS", "0.0005")
    add_private(ds, 0x7053, "Philips PET Private Group", 0x09, "DS", "1.25")


def _ge(ds, k):
    ds.Manufacturer = "GE MEDICAL SYSTEMS"
    ds.SeriesTime = "112000"
    add_private(ds, 0x0009, "GEMS_PETD_01", 0x0D, "DT", "20250101110000.00")


def _none(ds, k):
    ds.DecayCorrection, ds.CorrectedImage = "NONE", ["ATTN", "NORM"]
    ds.AcquisitionTime = f"11{k:02d}00"


def _admin(ds, k):
    ds.DecayCorrection = "ADMIN"


@pytest.mark.parametrize("edit", [_bed_times, _philips, _ge, _none, _admin])
def test_unassigned_attributes_of_a_conversion_are_read_like_the_classic_ones(tmp_path, edit):
    source, image = converted(tmp_path / "classic", tmp_path / "enhanced.dcm", edit)
    np.testing.assert_allclose(image.values, source.values, rtol=1e-6)
    assert image.facts["tref_rule"] == source.facts["tref_rule"]


def test_a_conversion_keeps_megabecquerel_an_adaptation(tmp_path):
    def edit(ds, k):
        tracer(ds).RadionuclideTotalDose = "368.08"

    source, image = converted(tmp_path / "classic", tmp_path / "enhanced.dcm", edit)
    assert_triple(image)
    assert image.adaptations == source.adaptations == ["DOSE_IN_MBQ"]


def test_decay_between_two_corrections_is_that_of_the_nuclide(tmp_path):
    """An image corrected 30 min later holds less activity, and the same SUV needs that factor."""
    early = load_pet(write_enhanced(tmp_path / "a"))
    late = load_pet(write_enhanced(tmp_path / "b", edit=attributes(DecayCorrectionDateTime="20250101113000")))
    assert late.suv_factors / early.suv_factors == pytest.approx(np.full(4, math.exp(LAMBDA * 1800)))
