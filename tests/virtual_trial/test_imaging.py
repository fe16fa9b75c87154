"""Simulated scans say what was planted, when read by the specification's formulas written out here."""

import math
from datetime import datetime, timedelta

import highdicom as hd
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path as Polygon
from scan_factory import SETTINGS, digest, full_mask, make_spec, read_slices

from analysis import plan
from analysis.virtual_trial import acquisition, anatomy, contours, elements, phantom
from analysis.virtual_trial.imaging import write_scan

VENDORS = ("SIEMENS", "GE", "PHILIPS")
FINE = plan.defaults().virtual


def moment(date, time):
    text = f"{date}{time}"
    return datetime.strptime(text, "%Y%m%d%H%M%S.%f" if "." in text else "%Y%m%d%H%M%S")


def decay_reference(ds):
    """Specification section 1.4, steps 1, 3 and 4, for one slice."""
    acquired = moment(ds.AcquisitionDate, ds.AcquisitionTime)
    if ds.Manufacturer.startswith("GE"):
        return moment(str(ds.private_block(0x0009, "GEMS_PETD_01")[0x0D].value), "")
    half_life = float(ds.RadiopharmaceuticalInformationSequence[0].RadionuclideHalfLife)
    x = math.log(2) / half_life * float(ds.ActualFrameDuration) / 1000
    average = half_life / math.log(2) * math.log(x / (1 - math.exp(-x)))
    return acquired + timedelta(seconds=average - float(ds.FrameReferenceTime) / 1000)


def suv_by_formula(ds):
    """Specification section 1.1: SUVbw = U * W_g / (D * exp(-lambda dt)); Philips: U times factor."""
    item = ds.RadiopharmaceuticalInformationSequence[0]
    reference = decay_reference(ds)
    injected = moment(ds.SeriesDate, item.RadiopharmaceuticalStartTime)
    waited = (reference - injected).total_seconds()
    left = float(item.RadionuclideTotalDose) * 0.5 ** (waited / float(item.RadionuclideHalfLife))
    value = ds.pixel_array.astype(float) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    if ds.Units == "CNTS":
        value = value * float(ds.private_block(0x7053, "Philips PET Private Group")[0x09].value)
    return value * float(ds.PatientWeight) * 1000 / left


@pytest.fixture(scope="module", params=VENDORS)
def written(request, tmp_path_factory):
    """One scan of each vendor: folder, what was simulated, truth."""
    folder = tmp_path_factory.mktemp(request.param)
    spec = make_spec(request.param, "RTSTRUCT" if request.param == "GE" else "SEG")
    truth = write_scan(spec, folder, np.random.default_rng(5), SETTINGS)
    return folder, phantom.simulate_scan(spec, np.random.default_rng(5), SETTINGS), truth


def test_the_series_read_by_the_formula_gives_the_simulated_suv_within_half_a_stored_step(written):
    folder, simulated, _ = written
    slices = read_slices(folder)
    assert len(slices) == simulated.grid.shape[0]
    for ds, plane in zip(slices, simulated.values):
        half_step = plane.max() / 32767 / 2
        assert np.abs(suv_by_formula(ds) - plane).max() <= half_step + 1e-5 * plane.max() + 1e-9


def test_every_slice_of_every_bed_has_the_same_decay_reference(written):
    times = {decay_reference(ds) for ds in read_slices(written[0])}
    assert max(times) - min(times) < timedelta(milliseconds=2)
    assert len({ds.AcquisitionTime for ds in read_slices(written[0])}) > 3


def test_reference_time_and_decay_factor_agree_and_the_injection_lies_before(written):
    for ds in read_slices(written[0]):
        half_life = float(ds.RadiopharmaceuticalInformationSequence[0].RadionuclideHalfLife)
        expected = 2 ** (float(ds.FrameReferenceTime) / 1000 / half_life)
        assert float(ds.DecayFactor) == pytest.approx(expected, rel=1e-5)
        start = ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime
        assert (moment(ds.SeriesDate, ds.SeriesTime) - moment(ds.SeriesDate, start)).seconds == 3702


def test_the_two_philips_factors_agree(tmp_path):
    write_scan(make_spec("PHILIPS"), tmp_path, np.random.default_rng(1), SETTINGS)
    ds = read_slices(tmp_path)[30]
    block = ds.private_block(0x7053, "Philips PET Private Group")
    counts = ds.pixel_array * float(ds.RescaleSlope)
    np.testing.assert_allclose(counts * float(block[0x00].value), suv_by_formula(ds), rtol=1e-6)


def test_the_dialects_differ_where_vendors_do(tmp_path):
    first = {}
    for vendor in VENDORS:
        write_scan(make_spec(vendor), tmp_path / vendor, np.random.default_rng(1), SETTINGS)
        first[vendor] = read_slices(tmp_path / vendor)[0]
    injection = {vendor: ds.RadiopharmaceuticalInformationSequence[0] for vendor, ds in first.items()}
    assert "RadiopharmaceuticalStartDateTime" in injection["SIEMENS"]
    assert "RadiopharmaceuticalStartDateTime" not in injection["GE"]
    assert {vendor: ds.Units for vendor, ds in first.items()} == {
        "SIEMENS": "BQML",
        "GE": "BQML",
        "PHILIPS": "CNTS",
    }
    admin = str(first["GE"].private_block(0x0009, "GEMS_PETD_01")[0x3B].value)
    assert admin[8:14] == injection["GE"].RadiopharmaceuticalStartTime


def test_slopes_vary_by_slice_and_uids_are_valid_and_unique(written):
    slices = read_slices(written[0])
    assert len({str(ds.RescaleSlope) for ds in slices}) > 0.9 * len(slices)
    uids = [ds.SOPInstanceUID for ds in slices]
    assert len(set(uids)) == len(uids)
    assert all(uid.is_valid for uid in uids)
    assert all(ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID for ds in slices)
    assert {len(ds.dir()) for ds in slices} == {len(slices[0].dir())}
    assert all(ds.NumberOfSlices == len(slices) for ds in slices)
    assert sorted(ds.ImageIndex for ds in slices) == list(range(1, len(slices) + 1))


def test_slices_hold_their_elements_in_order_and_pass_strict_reading(written):
    pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE
    try:
        for ds in read_slices(written[0])[::10]:
            tags = [element.tag for element in ds]
            assert tags == sorted(tags)
            str(ds)
    finally:
        pydicom.config.settings.reading_validation_mode = pydicom.config.WARN


@pytest.mark.parametrize("vendor", VENDORS)
def test_without_noise_the_lesion_shows_exactly_the_requested_suvmax(vendor):
    for settings in (SETTINGS, FINE):
        simulated = phantom.simulate_scan(make_spec(vendor), np.random.default_rng(2), settings)
        for one in simulated.lesions:
            assert phantom.hottest(simulated.clean, simulated.rois[one.name]) == pytest.approx(
                one.suv_max, rel=1e-5
            )


def test_noise_moves_the_suvmax_by_less_than_four_of_its_stated_deviations(written):
    _, simulated, truth = written
    for row in truth:
        measured = phantom.hottest(simulated.values, simulated.rois[row["LESIONID"]])
        assert abs(measured - row["SUVMAX_TRUE"]) < 4 * row["NOISE_SD"]


def test_the_noise_keeps_its_size_after_smoothing():
    grid = anatomy.Grid((40, 60, 60), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
    even = np.full(grid.shape, 2.2 - FINE.noise_floor_suv, np.float32)
    noisy = phantom.add_noise(even, grid, np.random.default_rng(3), FINE)
    assert noisy.std() / 2.2 == pytest.approx(FINE.noise_cv, rel=0.03)


def test_a_change_between_two_scans_carries_about_five_percent_error():
    changes = []
    for number in range(8):
        shown = []
        for visit in (0, 1):
            spec = make_spec("PHILIPS", USUBJID=f"PEARL-01-{number:03d}")
            simulated = phantom.simulate_scan(spec, np.random.default_rng([number, visit]), FINE)
            shown.append(
                [phantom.hottest(simulated.values, simulated.rois[one.name]) for one in simulated.lesions]
            )
        changes.append(np.log(np.divide(*shown)))
    assert 0.03 < np.std(changes) < 0.07


def test_liver_and_aorta_regions_show_the_uptake_of_the_scan():
    for vendor in VENDORS:
        simulated = phantom.simulate_scan(make_spec(vendor), np.random.default_rng(4), FINE)
        (liver, in_liver), (aorta, in_aorta) = simulated.rois["LIVER"], simulated.rois["AORTA"]
        assert simulated.clean[liver][in_liver].mean() == pytest.approx(2.2, rel=0.02)
        assert simulated.clean[aorta][in_aorta].mean() == pytest.approx(1.6, rel=0.1)


def test_a_lesion_keeps_its_place_at_every_visit_and_whoever_joins_later():
    visits = []
    for visit, extra in (
        ("D0", []),
        ("D14", [{"LESIONID": "L9", "ORGAN": "bone", "DIAMETER_MM": 20.0, "SUVMAX": 4.0}]),
    ):
        spec = make_spec(AVISIT=visit)
        lesions = phantom.place_lesions(spec["USUBJID"], spec["lesions"] + extra, SETTINGS)
        visits.append({one.name: one.centre_mm for one in lesions})
    assert all(visits[1][name] == place for name, place in visits[0].items())
    assert "L9" in visits[1]


@pytest.mark.parametrize("organ", ["bone", "liver", "lung", "node"])
def test_every_lesion_site_lies_within_its_own_region_and_shows_its_suvmax(organ):
    for site in anatomy.anatomy()["sites"][organ]:
        spec = make_spec("PHILIPS", USUBJID="PEARL-09-009", PNEUMONITIS="Y")
        scale = anatomy.body_scale(spec["USUBJID"], FINE)
        centre = tuple(float(v) for v in np.asarray(site["at"]) * scale)
        lesion = phantom.Lesion("L1", organ, centre, float(site["max"]), 3.5)
        grid = anatomy.scan_grid("PHILIPS", FINE)
        rois = phantom.region_masks(grid, [lesion], scale, FINE)
        body = anatomy.paint_body(grid, spec, anatomy.draw_uptake(spec, np.random.default_rng(0), FINE), FINE)
        clean = phantom.add_lesions(body, grid, [lesion], rois, FINE)
        assert phantom.hottest(clean, rois["L1"]) == pytest.approx(3.5, rel=1e-4), site


def test_regions_of_lesions_and_references_share_no_voxel():
    lesions = [
        {"LESIONID": f"L{n}", "ORGAN": organ, "DIAMETER_MM": 26.0, "SUVMAX": 6.0}
        for n, organ in enumerate(["bone", "liver", "bone", "node", "lung", "liver", "bone"], start=1)
    ]
    for number in range(12):
        spec = make_spec("PHILIPS", USUBJID=f"PEARL-02-{number:03d}", lesions=lesions)
        grid = anatomy.scan_grid("PHILIPS", FINE)
        placed = phantom.place_lesions(spec["USUBJID"], lesions, FINE)
        rois = phantom.region_masks(grid, placed, anatomy.body_scale(spec["USUBJID"], FINE), FINE)
        count = np.zeros(grid.shape, int)
        for box, mask in rois.values():
            count[box] += mask
        assert count.max() == 1


def one_lesion(name, organ, diameter_mm):
    return [{"LESIONID": name, "ORGAN": organ, "DIAMETER_MM": diameter_mm, "SUVMAX": 4.0}]


def test_the_seg_reads_back_in_highdicom_and_gives_the_masks(tmp_path):
    spec = make_spec("PHILIPS", "SEG")
    write_scan(spec, tmp_path, np.random.default_rng(5), SETTINGS)
    simulated = phantom.simulate_scan(spec, np.random.default_rng(5), SETTINGS)
    seg = hd.seg.segread(tmp_path / "roi" / "seg.dcm")
    uids = [ds.SOPInstanceUID for ds in read_slices(tmp_path)]
    planes = seg.get_pixels_by_source_instance(
        uids, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )
    for number in seg.segment_numbers:
        name = seg.get_segment_description(number).segment_label
        assert np.array_equal(planes[..., number - 1].astype(bool), full_mask(simulated, name))
    assert [seg.get_segment_description(n).segment_label for n in seg.segment_numbers] == list(simulated.rois)
    assert seg.get_segment_description(2).anatomic_regions[0].meaning == "Liver"


def test_the_volume_of_the_seg_stands_where_the_series_stands(tmp_path):
    spec = make_spec("SIEMENS", "SEG")
    write_scan(spec, tmp_path, np.random.default_rng(5), SETTINGS)
    simulated = phantom.simulate_scan(spec, np.random.default_rng(5), SETTINGS)
    seg = hd.seg.segread(tmp_path / "roi" / "seg.dcm")
    volume = seg.get_volume(segment_numbers=[1], combine_segments=True)
    index = np.argwhere(volume.array > 0)
    middle = (volume.affine @ np.append(index.mean(axis=0), 1))[:3]
    assert np.linalg.norm(middle - simulated.lesions[0].centre_mm) < 6


def rasterise(roi, slices):
    """Even-odd fill by matplotlib's own point-in-polygon test."""
    first = slices[0]
    dy, dx = (float(v) for v in first.PixelSpacing)
    x0, y0 = (float(v) for v in first.ImagePositionPatient[:2])
    rows, columns = np.indices((first.Rows, first.Columns))
    centres = np.column_stack([x0 + columns.ravel() * dx, y0 + rows.ravel() * dy])
    heights = [float(ds.ImagePositionPatient[2]) for ds in slices]
    mask = np.zeros((len(slices), first.Rows, first.Columns), bool)
    for contour in roi.ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        k = int(np.argmin(np.abs(np.array(heights) - points[0, 2])))
        assert abs(heights[k] - points[0, 2]) < 1e-6
        assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID == slices[k].SOPInstanceUID
        mask[k] ^= Polygon(points[:, :2]).contains_points(centres).reshape(mask.shape[1:])
    return mask


def test_the_contours_of_the_rtstruct_fill_exactly_the_masks(tmp_path):
    spec = make_spec("GE", "RTSTRUCT")
    write_scan(spec, tmp_path, np.random.default_rng(5), SETTINGS)
    simulated = phantom.simulate_scan(spec, np.random.default_rng(5), SETTINGS)
    struct, slices = pydicom.dcmread(tmp_path / "roi" / "rtstruct.dcm"), read_slices(tmp_path)
    names = {roi.ROINumber: roi.ROIName for roi in struct.StructureSetROISequence}
    assert list(names.values()) == list(simulated.rois)
    for roi in struct.ROIContourSequence:
        expected = full_mask(simulated, names[roi.ReferencedROINumber])
        assert np.array_equal(rasterise(roi, slices), expected)


@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_edge_loops_fill_any_mask_with_holes_and_touching_corners(mask):
    rows, columns = np.indices(mask.shape)
    centres = np.column_stack([rows.ravel() + 0.5, columns.ravel() + 0.5])
    filled = np.zeros(mask.shape, bool)
    for loop in contours.edge_loops(mask):
        filled ^= Polygon(loop).contains_points(centres).reshape(mask.shape)
    assert np.array_equal(filled, mask)


@pytest.mark.parametrize("roi_format", ["SEG", "RTSTRUCT"])
def test_the_same_stream_writes_the_same_bytes_and_another_stream_does_not(tmp_path, roi_format):
    spec = make_spec("GE", roi_format)
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_scan(spec, tmp_path / name, np.random.default_rng(seed), SETTINGS)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_faults_break_the_header_alone(tmp_path):
    for fault in ("", "no_weight", "dose_in_mbq"):
        write_scan(make_spec(FAULT=fault), tmp_path / f"f{fault}", np.random.default_rng(5), SETTINGS)
    sound, weightless, small = (read_slices(tmp_path / f"f{x}")[20] for x in ("", "no_weight", "dose_in_mbq"))
    assert "PatientWeight" not in weightless
    assert float(sound.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose) == 251.3e6
    assert float(small.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose) == 251.3
    assert sound.PixelData == weightless.PixelData == small.PixelData


def test_a_lesion_asked_to_be_cooler_than_its_surroundings_shows_them(tmp_path):
    cool = [{"LESIONID": "L1", "ORGAN": "liver", "DIAMETER_MM": 24.0, "SUVMAX": 1.0}]
    (row,) = write_scan(make_spec(lesions=cool), tmp_path, np.random.default_rng(5), SETTINGS)
    assert 1.0 < row["SUVMAX_BLURRED"] <= 2.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"VENDOR": "ACME"}, "VENDOR must be one of"),
        ({"ROIFORMAT": "NRRD"}, "ROIFORMAT must be one of"),
        ({"DIALECT": "ACME_ENHANCED"}, "DIALECT must be one of"),
        ({"DIALECT": "GE_ADMIN"}, "is not one of VENDOR 'SIEMENS'"),
        ({"VENDOR": "PHILIPS", "DIALECT": "PHILIPS_ENHANCED", "NAC": "Y"}, "needs a classic series"),
        ({"FAULT": "upside_down"}, "unknown fault"),
        (
            {"lesions": one_lesion("L1", "skin", 20.0)},
            "no lesion sites",
        ),
        (
            {"lesions": one_lesion("L1", "lung", 90.0)},
            "no free site",
        ),
        (
            {"lesions": one_lesion("left", "lung", 20.0)},
            "is named L and",
        ),
    ],
)
def test_a_specification_that_cannot_be_drawn_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write_scan(make_spec(**changes), tmp_path, np.random.default_rng(1), SETTINGS)


def test_a_decimal_that_does_not_fit_sixteen_characters_is_refused():
    with pytest.raises(ValueError, match="16 characters"):
        elements.decimal(-1.23456789012345e-100, 15)


@pytest.mark.parametrize(
    ("frame_s", "expected"),
    [(60, 29.98421), (120, 59.93686), (180, 89.85792), (300, 149.60534), (1200, 593.68630)],
)
def test_the_average_time_of_a_frame_is_the_specifications(frame_s, expected):
    assert acquisition.average_time_s(frame_s, 6586.2) == pytest.approx(expected, abs=1e-4)
