"""Objects for exchange: written, read by independent readers, held against the numbers and masks put in.

The values of the reports are made up here; the codes are those of pet.md 4.3.
"""

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom
import numpy as np
import pandas as pd
import pydicom
import pytest
from dicom_factory import (
    both,
    bqml_per_suv,
    change,
    philips,
    real_world_map,
    triple_phantom,
    write_enhanced,
    write_seg,
    write_series,
)
from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map, get_sop_class_iod_map

from analysis import plan as plans
from analysis.pet import load_pet, load_rois
from analysis.pet.export import export_scan, read_back
from analysis.pet.export.segments import list_segments
from analysis.pet.export.uids import derive_uid
from analysis.pet.measurement import measure_scan
from analysis.pet.region import Region
from analysis.pet.scan_regions import ScanRegion

RULES = plans.defaults().pet
SHAPE = (12, 14, 15)
UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


def block(low, high):
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high))] = True
    return mask


MASKS = {
    "L1": block((1, 1, 1), (4, 4, 4)),
    "L2": block((3, 3, 3), (6, 5, 5)),  # shares a voxel with L1
    "LIVER": block((7, 8, 8), (10, 11, 11)),
}
MASKS["L2"][3, 4, 4] = False

# Awkward on purpose: none is a decimal of 16 characters.
NUMBERS = {
    ("L1", "SUVMAX"): 1 / 3 + 5,
    ("L1", "SUVMEAN"): math.pi,
    ("L1", "SUVMED"): math.sqrt(7),
    ("L1", "SUVSD"): 1e-7 / 3,
    ("L1", "SUVPEAK"): 4.000000000000001,
    ("L1", "SULMAX"): 2 / 7,
    ("L1", "SULPEAK"): 3 / 7,
    ("L1", "VOLUME"): 1.728,
    ("L1", "TLG"): 1728 / 7,
    ("L1", "MTV41"): 0.1 + 0.2,
    ("L1", "TLG41"): 123456.7890123456,
    ("L1", "MTV25F"): 0.0,
    ("L1", "MTVP"): math.nan,
    ("L2", "SUVMAX"): 3.3,
    ("LIVER", "SUVMEAN"): 2 / 3,
    ("TOTAL", "TMTV41"): 11 / 3,
    ("TOTAL", "TTLG"): 1e5 / 3,
}
RESPONSES = [
    {"RULE": "eortc", "METRIC": "SUVMAX", "CUT": 15.0, "AVALC": "PMR"},
    {"RULE": "suvmax_hottest", "METRIC": "SUVMAX", "CUT": 15.0, "AVALC": "NON-RESPONDER"},
]


def suv():
    image = np.ones(SHAPE)
    image[MASKS["L2"]], image[MASKS["L1"]], image[MASKS["LIVER"]] = 3.0, 6.0, 2.0
    return image * np.linspace(1, 1.3, SHAPE[0])[:, None, None]  # a slope of its own in every slice


def female(ds, k=0):
    ds.PatientSex, ds.Manufacturer = "F", "GE MEDICAL SYSTEMS"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    root = tmp_path_factory.mktemp("export")
    write_series(root / "pet", suv(), edit=female)
    write_seg(root / "all.dcm", MASKS)
    return root


def task(raw, path="pet", rois=("all.dcm",), visit="D0", subject="S1", **more):
    where = {"STUDYID": "T", "USUBJID": subject, "AVISIT": visit, "ADT": pd.Timestamp("2025-01-01")}
    given = {"raw_dir": str(raw), "path": path, "files": None, "series_uid": None, "roi_map": {}}
    return {**given, "rois": list(rois), "scan": {**where, "PATH": path}, **more}


def rows(numbers=NUMBERS):
    return [{"LESIONID": name, "METRIC": metric, "AVAL": value} for (name, metric), value in numbers.items()]


def made(*args, rules=RULES, numbers=NUMBERS, responses=RESPONSES, **more):
    return {one.kind: one for one in export_scan(task(*args, **more), rules, rows(numbers), responses)}


def dataset(exported) -> pydicom.Dataset:
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(exported.content))


@pytest.fixture(scope="module")
def files(raw, tmp_path_factory):
    """The three objects of one scan on disk, as `export_study` lays them out."""
    folder = tmp_path_factory.mktemp("dicom") / "S1" / "D0"
    folder.mkdir(parents=True)
    for kind, one in made(raw).items():
        (folder / f"{kind.lower()}.dcm").write_bytes(one.content)
    return folder


# ---- numbers
def test_every_number_comes_back_bit_by_bit(files):
    back = read_back(files.parent.parent).set_index(["LESIONID", "METRIC"])
    expected = {key: value for key, value in NUMBERS.items() if not math.isnan(value)}
    numbers = back[back["AVALC"].isna()]
    assert numbers["AVAL"].to_dict() == expected
    assert set(back["USUBJID"]) == {"S1"} and set(back["AVISIT"]) == {"D0"}
    assert back.loc[("L1", "TLG"), "UNIT"] == "g" and back.loc[("L1", "SULMAX"), "UNIT"] == "g/ml"
    answers = back[back["AVALC"].notna()]["AVALC"].to_dict()
    assert answers == {
        ("TOTAL", "EORTC.SUVMAX.15"): "PMR",
        ("TOTAL", "SUVMAX_HOTTEST.SUVMAX.15"): "NON-RESPONDER",
    }


def test_a_reader_of_decimal_strings_gets_sixteen_characters_of_it(files):
    ds = pydicom.dcmread(files / "sr.dcm")
    values = [item.MeasuredValueSequence[0] for item in walk(ds) if item.ValueType == "NUM"]
    assert all(len(str(value.NumericValue)) <= 16 for value in values)
    assert all(math.isclose(value.NumericValue, value.FloatingPointValue, rel_tol=1e-9) for value in values)


def walk(ds):
    for item in ds.get("ContentSequence", []):
        yield item
        yield from walk(item)


def triple(code):
    return code.get("CodeValue") or code.LongCodeValue, code.CodingSchemeDesignator


# pet.md 4.3: quantity, unit, derivation, method
SAID = {
    "SUVMAX": ("126401", "g/ml{SUVbw}", "56851009", "126410"),
    "SUVMEAN": ("126401", "g/ml{SUVbw}", "373098007", "126410"),
    "SUVMED": ("126401", "g/ml{SUVbw}", "373099004", "126410"),
    "SUVSD": ("126401", "g/ml{SUVbw}", "386136009", "126410"),
    "SUVPEAK": ("126401", "g/ml{SUVbw}", "126031", "126410"),
    "SULMAX": ("126405", "g/ml{SUVlbm(Janma)}", "56851009", "126414"),
    "SULPEAK": ("126405", "g/ml{SUVlbm(Janma)}", "126031", "126414"),
    "VOLUME": ("118565006", "ml", None, "126030"),
    "TLG": ("126033", "g", None, "126030"),
    "MTV41": ("126032", "ml", None, "MTV41"),
    "TLG41": ("126033", "g", None, "MTV41"),
    "MTV25F": ("126032", "ml", None, "MTV25F"),
}


def group_of(ds, name):
    groups = [item for item in walk(ds) if item.get("ConceptNameCodeSequence")]
    groups = [item for item in groups if triple(item.ConceptNameCodeSequence[0])[0] == "125007"]
    return next(group for group in groups if any(i.get("TextValue") == name for i in group.ContentSequence))


def below(item, concept):
    """Return the answers of an item's children to a concept."""
    found = [one for one in item.ContentSequence if one.get("ConceptNameCodeSequence")]
    return [one for one in found if triple(one.ConceptNameCodeSequence[0])[0] == concept]


def answer(item, concept):
    found = below(item, concept) if "ContentSequence" in item else []
    return triple(found[0].ConceptCodeSequence[0])[0] if found else None


def test_quantities_units_derivations_and_methods_are_those_of_the_specification(files):
    group = group_of(pydicom.dcmread(files / "sr.dcm"), "L1")
    said = []
    for item in [item for item in group.ContentSequence if item.ValueType == "NUM"]:
        unit = triple(item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0])[0]
        name = triple(item.ConceptNameCodeSequence[0])[0]
        said.append((name, unit, answer(item, "121401"), answer(item, "370129005")))
    assert sorted(said, key=str) == sorted(SAID.values(), key=str)


def test_a_group_says_finding_time_point_and_what_it_refers_to(files):
    report, seg, rwv = (pydicom.dcmread(files / f"{kind}.dcm") for kind in ("sr", "seg", "rwv"))
    lesion, liver = group_of(report, "L1"), group_of(report, "LIVER")
    assert (answer(lesion, "121071"), answer(liver, "121071")) == ("52988006", "C94970")
    assert answer(liver, "363698007") == answer(lesion, "363698007") == "10200004"
    assert below(lesion, "C2348792")[0].TextValue == "D0"
    segment = below(lesion, "121191")[0].ReferencedSOPSequence[0]
    number = next(s.SegmentNumber for s in seg.SegmentSequence if s.SegmentLabel == "L1")
    assert (segment.ReferencedSOPInstanceUID, segment.ReferencedSegmentNumber) == (seg.SOPInstanceUID, number)
    assert below(lesion, "126100")[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == rwv.SOPInstanceUID
    listed = {
        one.ReferencedSOPInstanceUID
        for series in report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    slices = {f"1.2.826.0.1.3680043.10.999.2.{k + 1}" for k in range(SHAPE[0])}
    assert listed == slices | {seg.SOPInstanceUID, rwv.SOPInstanceUID}
    tracer = [item for item in walk(report) if item.get("ConceptCodeSequence")]
    assert {"35321007", "77004003"} <= {item.ConceptCodeSequence[0].get("CodeValue") for item in tracer}


def test_james_is_named_where_the_plan_uses_it(raw):
    rules = plans.Section("pet", RULES.to_dict() | {"sul_formula": "lbm_james128"})
    found = made(raw, rules=rules)
    group = group_of(dataset(found["SR"]), "L1")
    peak = next(item for item in group.ContentSequence if item.ValueType == "NUM" and "128" in str(item))
    assert answer(peak, "370129005") == "126415"
    assert b"g/ml{SUVlbm(James128)}" in found["RWV"].content


# ---- regions
def test_masks_come_back_voxel_by_voxel(files, raw):
    rois = load_rois(files / "seg.dcm", load_pet(raw / "pet"))
    assert set(rois) == set(MASKS)
    seg = highdicom.seg.segread(files / "seg.dcm")
    volume = seg.get_volume()
    step, first = volume.affine[2, 0] / 4.0, volume.affine[2, 3] / 4.0  # 4 mm slices from 0
    slices = np.rint(first + step * np.arange(len(volume.array))).astype(int)
    for number, name in enumerate(("L1", "L2", "LIVER"), start=1):
        assert np.array_equal(rois[name], MASKS[name])
        theirs = np.zeros(SHAPE, bool)
        theirs[slices] = volume.array[..., number - 1]
        assert np.array_equal(theirs, MASKS[name])


def test_a_scan_measures_the_same_in_its_exported_regions(files, raw):
    again = measure_scan(task(raw, rois=[files / "seg.dcm"]), RULES)
    first = measure_scan(task(raw), RULES)
    assert len(first.rows) > 50
    assert [row["AVAL"] for row in again.rows] == [row["AVAL"] for row in first.rows]
    assert again.exclusions == []


def test_only_planes_that_hold_voxels_are_frames(files):
    ds = pydicom.dcmread(files / "seg.dcm")
    assert ds.NumberOfFrames == sum(int(mask.any(axis=(1, 2)).sum()) for mask in MASKS.values()) == 9
    first = ds.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert first.ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.10.999.2.2"  # L1 begins on the second slice


def test_regions_of_one_lesion_are_one_segment(raw):
    ds = dataset(made(raw, lesions={"L1": "L7", "L2": "L7"})["SEG"])
    assert [(s.SegmentLabel, s.TrackingID) for s in ds.SegmentSequence] == [("L7", "L7"), ("LIVER", "LIVER")]
    mask = MASKS["L1"] | MASKS["L2"]
    assert ds.NumberOfFrames == mask.any(axis=(1, 2)).sum() + 3


def test_who_made_a_region_is_said():
    here = Region.of(MASKS["L1"])
    grown = ScanRegion(here, "Node", seed=True)
    regions = {
        ("LESION", "A"): ScanRegion(here, "bone"),
        ("LESION", "B"): grown,
        ("LESION", "C"): ScanRegion(here, "elsewhere", parts={"x": grown, "y": ScanRegion(here)}),
        ("LIVER", "LIVER"): ScanRegion(here, status="ACCEPTED"),
        ("AORTA", "AORTA"): ScanRegion(here, status="PROPOSED"),
        ("LESION", "EMPTY"): ScanRegion(Region.of(np.zeros(SHAPE, bool))),
    }
    found = list_segments(regions, {"STUDYID": "T", "USUBJID": "S1"}, RULES)
    said = {one.name: (one.number, one.algorithm, one.site and one.site.value) for one in found}
    assert said == {
        "A": (1, "MANUAL", "272673000"),
        "B": (2, "SEMIAUTOMATIC", "59441001"),
        "C": (3, "SEMIAUTOMATIC", None),
        "AORTA": (4, "AUTOMATIC", "281130003"),
        "LIVER": (5, "SEMIAUTOMATIC", "10200004"),
    }


# ---- SUV factors
def in_suv(mapping, image_file, kind="g/ml{SUVbw}"):
    """Apply a map as the standard says, by pydicom alone: position -> stored value x slope."""
    slopes = {}
    for part in mapping.ReferencedImageRealWorldValueMappingSequence:
        one = next(m for m in part.RealWorldValueMappingSequence if unit_of(m) == kind)
        for image in part.ReferencedImageSequence:
            for frame in np.atleast_1d(image.get("ReferencedFrameNumber", 1)):
                assert (image.ReferencedSOPInstanceUID, int(frame)) not in slopes
                slopes[image.ReferencedSOPInstanceUID, int(frame)] = one
    found = {}
    for file in sorted(image_file.rglob("*.dcm")) if image_file.is_dir() else [image_file]:
        ds = pydicom.dcmread(file)
        stored = ds.pixel_array if ds.pixel_array.ndim == 3 else ds.pixel_array[None]
        for n, plane in enumerate(stored, start=1):
            groups = ds.get("PerFrameFunctionalGroupsSequence")
            place = groups[n - 1].PlanePositionSequence[0] if groups else ds
            one = slopes.pop((ds.SOPInstanceUID, n))
            assert one.RealWorldValueIntercept == 0
            assert one[0x00409216].value <= plane.min() and plane.max() <= one[0x00409211].value
            found[float(place.ImagePositionPatient[2])] = plane * one.RealWorldValueSlope
    assert not slopes
    return np.array([found[z] for z in sorted(found)])


def unit_of(mapping):
    return triple(mapping.MeasurementUnitsCodeSequence[0])[0]


def later(ds, k):
    """Make the slices of a series without decay correction, a minute apart."""
    ds.DecayCorrection, ds.CorrectedImage = "NONE", ["ATTN", "SCAT", "RAN", "DTIM", "NORM"]
    ds.AcquisitionTime = f"11{k:02d}00"


SERIES = {
    "START": {},
    "ADMIN": {"edit": change(DecayCorrection="ADMIN")},
    "NONE": {"edit": later},
    "GML": {"edit": change(Units="GML"), "unit_per_suv": 1.0},
    "CNTS activity": {"edit": philips(activity=2.5)},
    "CNTS SUV": {"edit": philips(suv=0.001), "unit_per_suv": 1000.0},
    "unsigned": {"edit": change(PixelRepresentation=0)},
}


@pytest.mark.parametrize("kind", SERIES)
def test_stored_values_times_the_map_are_the_suv(tmp_path, kind):
    write_series(tmp_path / "pet", triple_phantom(), **SERIES[kind])
    mapping = dataset(made(tmp_path, rois=())["RWV"])
    pet = load_pet(tmp_path / "pet")
    found = in_suv(mapping, tmp_path / "pet")
    np.testing.assert_allclose(found, pet.values, rtol=2e-7)  # float32
    # Sex O, 70 kg, 1.75 m: lean mass by Janmahasatian 50.5271 kg (pet.md 1.2)
    sul = in_suv(mapping, tmp_path / "pet", "g/ml{SUVlbm(Janma)}")
    np.testing.assert_allclose(sul, found * 50.5271 / 70, rtol=2e-6)
    if kind in ("START", "GML", "CNTS SUV"):
        np.testing.assert_allclose(found, triple_phantom(), atol=2e-4)  # pixels are rounded to 1/30000


def test_frames_of_enhanced_pet_have_their_own_factors(tmp_path):
    write_enhanced(tmp_path / "pet" / "one.dcm", triple_phantom())
    mapping = dataset(made(tmp_path, rois=())["RWV"])
    found = in_suv(mapping, tmp_path / "pet" / "one.dcm")
    np.testing.assert_allclose(found, load_pet(tmp_path / "pet").values, rtol=2e-7)
    np.testing.assert_allclose(found, triple_phantom(), atol=2e-4)
    frames = [
        image.ReferencedFrameNumber
        for part in mapping.ReferencedImageRealWorldValueMappingSequence
        for image in part.ReferencedImageSequence
    ]
    assert frames == [[1, 3, 4], 2]  # one item a slope; the hottest slice is the third, and frames run down


def test_slices_of_one_slope_share_an_item(tmp_path):
    write_series(tmp_path / "pet", triple_phantom(), slopes=[10.0, 10.0, 20.0, 20.0])
    parts = dataset(made(tmp_path, rois=())["RWV"]).ReferencedImageRealWorldValueMappingSequence
    assert [len(part.ReferencedImageSequence) for part in parts] == [2, 2]


# ---- what cannot be said
def table_maps(slope):
    """Write the same line as a table of values: no slope a map could carry."""
    return [real_world_map("Bq/ml", slope, 0, 1000, table=(np.arange(1001) * slope).tolist())]


def test_pixels_of_a_table_have_no_map_and_the_rest_is_written(tmp_path):
    shape = (3, 5, 6)
    slopes = [4 * bqml_per_suv() / 1000] * 3
    write_enhanced(tmp_path / "pet" / "one.dcm", triple_phantom(shape), maps=table_maps, slopes=slopes)
    mask = np.zeros(shape, bool)
    mask[1, 2:4, 2:4] = True
    write_seg(tmp_path / "all.dcm", {"L1": mask})
    found = made(tmp_path)
    assert found["RWV"].code == "EXPORT_NOT_POSSIBLE" and found["RWV"].content is None
    assert below(group_of(dataset(found["SR"]), "L1"), "126100") == []
    assert found["SEG"].content


def test_a_scan_without_a_date_or_a_region_says_so(tmp_path, raw):
    undated = {f"{name}Date": "" for name in ("Series", "Study", "Acquisition")}
    edit = both(change(DecayCorrection="ADMIN", **undated), female)
    write_series(tmp_path / "pet", suv(), edit=edit)
    write_seg(tmp_path / "all.dcm", MASKS)
    assert {one.code for one in made(tmp_path).values()} == {"EXPORT_NOT_POSSIBLE"}
    found = made(raw, rois=())
    assert {kind: one.code for kind, one in found.items()} == {
        "SEG": "EXPORT_NO_REGION",
        "RWV": None,
        "SR": "EXPORT_NO_REGION",
    }


def test_a_plan_that_cannot_be_followed_is_refused(raw):
    for kinds, code in ((["SR"], "EXPORTS_SR_WITHOUT_SEG"), (["SEG", "XML"], "EXPORTS_UNKNOWN")):
        rules = plans.Section("pet", RULES.to_dict() | {"exports": kinds})
        with pytest.raises(ValueError, match=code):
            made(raw, rules=rules)


# ---- identity
def test_uids_are_valid_and_rest_on_the_inputs_alone(raw, files):
    again = made(raw)
    for kind, one in again.items():
        assert one.content == (files / f"{kind.lower()}.dcm").read_bytes()
    uids = set()
    for file in files.iterdir():
        pydicom.dcmread(file).walk(lambda ds, e: uids.update([str(e.value)] if e.VR == "UI" else []))
    assert all(UID.fullmatch(uid) and len(uid) <= 64 for uid in uids - {""})
    other = made(raw, numbers=NUMBERS | {("L1", "SUVMAX"): 5.0})
    ours = {kind: dataset(one).SOPInstanceUID for kind, one in again.items()}
    theirs = {kind: dataset(one).SOPInstanceUID for kind, one in other.items()}
    assert ours["SR"] != theirs["SR"] and ours["SEG"] == theirs["SEG"] and ours["RWV"] == theirs["RWV"]


def test_a_derived_uid_keeps_its_parts_apart_and_is_a_uuid():
    assert derive_uid("a", "bc") != derive_uid("ab", "c")
    number = int(derive_uid("a").removeprefix("2.25."))
    assert number < 1 << 128 and number >> 76 & 0xF == 8 and number >> 62 & 0b11 == 0b10


def test_a_lesion_is_tracked_over_the_scans_of_its_subject(raw):
    uids = {}
    for subject, visit in (("S1", "D0"), ("S1", "D14"), ("S2", "D0")):
        found = made(raw, subject=subject, visit=visit)
        segments = dataset(found["SEG"]).SegmentSequence
        uids[subject, visit] = {one.SegmentLabel: one.TrackingUID for one in segments}
        assert segments[0].TrackingUID == below(group_of(dataset(found["SR"]), "L1"), "112040")[0].UID
    assert uids["S1", "D0"] == uids["S1", "D14"]
    assert not set(uids["S1", "D0"].values()) & set(uids["S2", "D0"].values())


PLANTED = {
    "PatientName": "DOE^JANE",
    "PatientBirthDate": "19500131",
    "AccessionNumber": "ACC7788",
    "StudyID": "STUD99",
    "ReferringPhysicianName": "HOUSE^GREG",
    "OperatorsName": "OPERA^TOR",
    "InstitutionName": "General Hospital",
    "DeviceSerialNumber": "SN12345",
    "StudyDescription": "Query recurrence",
}


@pytest.mark.parametrize("removed", [False, True])
def test_no_person_leaves_unless_the_source_says_identity_was_removed(tmp_path, removed):
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113100", "DCM", "Basic"
    told = {"PatientIdentityRemoved": "YES", "DeidentificationMethodCodeSequence": [code]} if removed else {}

    def edit(ds, k):
        for keyword, value in {**PLANTED, **told}.items():
            setattr(ds, keyword, value)

    write_series(tmp_path / "pet", suv(), edit=edit)
    write_seg(tmp_path / "all.dcm", MASKS)
    for one in made(tmp_path).values():
        found = {value for value in PLANTED.values() if value.encode() in one.content}
        assert found == ({"STUD99"} if removed else set())  # a name that is not the own code is somebody's
        ds = dataset(one)
        assert ds.ContentDate == ds.SeriesDate == ds.InstanceCreationDate == "20250101"
        assert ds.ContentTime == ds.SeriesTime == ds.InstanceCreationTime == "110000.000000"


# ---- required attributes
@pytest.mark.parametrize("kind", ["seg", "sr", "rwv"])
def test_no_required_attribute_of_a_mandatory_module_is_missing(files, kind):
    ds = pydicom.dcmread(files / f"{kind}.dcm")
    iod = get_sop_class_iod_map()[ds.SOPClassUID]
    checked = 0
    for module in [one["key"] for one in get_iod_module_map()[iod] if one["usage"] == "M"]:
        for attribute in get_module_attribute_map()[module]:
            # Left to dciodvfy: what may be shared or a frame's own, and what depends on the type of an item.
            elsewhere = "FunctionalGroups" in "".join(attribute["path"]) or module == "sr-document-content"
            if attribute["type"] in ("1", "2") and not elsewhere:
                missing = list(required(ds, attribute["path"], attribute["keyword"], attribute["type"]))
                assert not missing, (module, attribute)
                checked += 1
    assert checked > 30


def required(ds, path, keyword, kind):
    """Yield the items at `path` that lack what must be there."""
    if path:
        for item in ds.get(path[0]) or []:
            yield from required(item, path[1:], keyword, kind)
    elif keyword not in ds or (kind == "1" and ds[keyword].is_empty):
        yield keyword


# ---- independent readers
def program(name):
    """Path of a program of dcmqi beside this Python, or a skip."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    return found or pytest.skip(f"{name} of dcmqi is not installed")


def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)


def test_dcmqi_reads_the_report(files, tmp_path):
    reader = program("tid1500reader")
    run(reader, "--inputDICOM", files / "sr.dcm", "--outputMetadata", tmp_path / "sr.json")
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    assert [group["TrackingIdentifier"] for group in groups] == ["L1", "L2", "LIVER", "TOTAL"]
    found = {float(item["value"]) for item in groups[0]["measurementItems"]}
    expected = [value for (name, _), value in NUMBERS.items() if name == "L1" and not math.isnan(value)]
    assert sorted(found) == pytest.approx(sorted(expected), rel=1e-9)
    assert groups[0]["ReferencedSegment"] == 1 and groups[0]["timePoint"] == "D0"


def test_dcmqi_and_itk_read_the_segmentation(files, tmp_path):
    import nibabel

    program_path = program("segimage2itkimage")
    run(program_path, "--inputDICOM", files / "seg.dcm", "--outputDirectory", tmp_path, "--outputType", "nii")
    for number, name in enumerate(("L1", "L2", "LIVER"), start=1):
        image = nibabel.load(tmp_path / f"{number}.nii.gz")
        voxels = np.argwhere(np.asarray(image.dataobj) > 0)
        ras = nibabel.affines.apply_affine(image.affine, voxels)
        index = np.rint(ras * [-1, -1, 1] / 4.0).astype(int)[:, ::-1]  # 4 mm voxels from the origin, LPS
        assert sorted(map(tuple, index)) == sorted(map(tuple, np.argwhere(MASKS[name])))
