"""The audit finds what de-identification damaged or left, and nothing in clean files.

The damage of three tools is that of the table in the specification (section 5), rebuilt by hand.
"""

import sys
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from analysis import plan
from analysis.privacy.audit import audit_series
from analysis.privacy.audit_codes import CATALOGUE
from analysis.privacy.collect import collect

sys.path.insert(0, str(Path(__file__).parent))
from identified import ROOT_UID, add_ge_block, code, pet, write

PLAN = plan.defaults()


def audit(folder, *slices: Dataset, subjects=None):
    for number, ds in enumerate(slices):
        write(folder / str(number) / "1.dcm", ds)
    return audit_series(collect(folder, PLAN).series, PLAN, subjects)


def codes(table) -> list[str]:
    return sorted(table["CODE"])


def test_a_patient_whose_files_are_as_they_should_be_has_no_finding(tmp_path):
    first = add_ge_block(pet(), "20150307101500.00", "20150307091500.00")
    second = pet(series=2, date="20150404", PatientWeight="70.3")
    assert len(audit(tmp_path, first, second)) == 0


def test_dicognito_shifts_one_time_of_injection_and_not_the_other(tmp_path):
    # 658.5 days earlier: dates and times of day of DA/TM pairs and DT, not the lone (0018,1072).
    ds = pet(date="20130517", PatientIdentityRemoved=None)
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = "221500"
    ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20130517211500"
    table = audit(tmp_path, add_ge_block(ds, "20130517221500.00", "20130517211500.00"))
    assert codes(table) == ["DEID_INJECTION_CLOCKS", "DEID_REMOVAL_NOT_STATED"]


def test_dicom_anonymizer_deletes_the_weight_and_leaks_a_date_in_the_sequence(tmp_path):
    ds = pet(date="00010101", PatientWeight=None, PatientSize=None, PatientSex="")
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = "000000.00"
    ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20150307091500"
    del ds.DeidentificationMethodCodeSequence, ds.LongitudinalTemporalInformationModified
    table = audit(tmp_path, ds)
    assert codes(table) == [
        *["DEID_DATE_PLACEHOLDER"] * 3,
        "DEID_HEIGHT_MISSING",
        "DEID_LONGITUDINAL_MISSING",
        "DEID_METHOD_MISSING",
        "DEID_NESTED_DATE",
        "DEID_SERIES_TIME_ZERO",
        "DEID_SEX_MISSING",
        "DEID_WEIGHT_MISSING",
    ]
    leak = table[table["CODE"].eq("DEID_NESTED_DATE")].iloc[0]
    assert leak["SEVERITY"] == "error" and "RadiopharmaceuticalInformationSequence" in leak["MESSAGE"]


def test_deid_blanks_dates_and_leaks_the_true_one_in_a_private_element(tmp_path):
    ds = pet(date="")
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ""
    injection = ds.RadiopharmaceuticalInformationSequence[0]
    injection.RadiopharmaceuticalStartTime = injection.RadiopharmaceuticalStartDateTime = ""
    table = audit(tmp_path, add_ge_block(ds, "20150307101500.00", "20150307091500.00"))
    assert codes(table) == ["DEID_CLOCK_MISSING", "DEID_DATES_MISSING", *["DEID_PRIVATE_DATE"] * 2]
    del ds[0x0009103B]
    (tmp_path / "without").mkdir()
    assert "DEID_INJECTION_MISSING" in codes(audit(tmp_path / "without", ds))


def test_a_private_date_that_was_not_shifted_with_the_others_is_a_leak(tmp_path):
    table = audit(tmp_path, add_ge_block(pet(), "20141224101500.00", "20141224091500.00"))
    assert codes(table) == ["DEID_PRIVATE_DATE"] * 2
    assert table["MESSAGE"].str.contains("GE scan").sum() == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # 60 s apart is rounding, 61 s is not; across midnight 23:59:30 and 00:00:10 are 40 s apart.
        ({"RadiopharmaceuticalStartTime": "091600"}, []),
        ({"RadiopharmaceuticalStartTime": "091601"}, ["DEID_INJECTION_CLOCKS"]),
        (
            {"RadiopharmaceuticalStartTime": "235930", "RadiopharmaceuticalStartDateTime": "20150307000010"},
            [],
        ),
        ({"SeriesTime": "000000"}, ["DEID_SERIES_TIME_ZERO"]),
        ({"SeriesTime": "000001"}, []),
        # The day before is across midnight, two days before is not, and never the day after.
        ({"RadiopharmaceuticalStartDateTime": "20150306091500"}, []),
        ({"RadiopharmaceuticalStartDateTime": "20150305091500"}, ["DEID_INJECTION_DATE"]),
        ({"RadiopharmaceuticalStartDateTime": "20150308091500"}, ["DEID_INJECTION_DATE"]),
        ({"StudyDate": "20150306"}, []),
        ({"StudyDate": "20150305"}, ["DEID_DATES_DISAGREE"]),
        ({"StudyDate": "19000101"}, ["DEID_DATE_PLACEHOLDER"]),
        ({"PatientSex": "O"}, ["DEID_SEX_MISSING"]),
        ({"PatientSize": "0"}, ["DEID_HEIGHT_MISSING"]),
        ({"PatientIdentityRemoved": "NO"}, ["DEID_IDENTITY_NOT_REMOVED"]),
        ({"BurnedInAnnotation": "YES"}, ["DEID_BURNED_IN"]),
        ({"LongitudinalTemporalInformationModified": None}, ["DEID_LONGITUDINAL_MISSING"]),
        (
            {"LongitudinalTemporalInformationModified": "UNMODIFIED"},
            ["DEID_DATES_UNMODIFIED", "DEID_METHOD_CONTRADICTED"],
        ),
        ({"DeidentificationMethodCodeSequence": None}, ["DEID_METHOD_MISSING"]),
        ({"PatientName": "Doe^Jane"}, ["DEID_RESIDUE"]),
        ({"PatientName": "ANONYMOUS"}, []),
        ({"PatientBirthDate": "19560712"}, ["DEID_RESIDUE"]),
        ({"PatientBirthDate": "19000101"}, []),
        ({"AccessionNumber": "A-17"}, ["DEID_RESIDUE"]),
        ({"InstitutionName": "Sample Hospital"}, ["DEID_RESIDUE"]),
        ({"OtherPatientIDs": "M-1"}, ["DEID_RESIDUE"]),
        ({"OperatorsName": "Roe^Rita"}, ["DEID_RESIDUE"]),
        # Without a weight there is no SUV, unless the image holds SUV already.
        ({"PatientWeight": None}, ["DEID_METHOD_CONTRADICTED", "DEID_WEIGHT_MISSING"]),
    ],
)
def test_each_rule_on_both_sides_of_its_boundary(tmp_path, changes, expected):
    assert codes(audit(tmp_path, pet(**changes))) == expected


def test_an_image_of_suv_needs_no_weight(tmp_path):
    table = audit(tmp_path, pet(PatientWeight=None, Units="GML")).set_index("CODE")
    assert table.loc["DEID_WEIGHT_MISSING", "SEVERITY"] == "info"


def test_dates_before_1970_are_a_note(tmp_path):
    table = audit(tmp_path, pet(date="19691231"))
    assert set(table["CODE"]) == {"DEID_DATE_EARLY"} and set(table["SEVERITY"]) == {"info"}


def test_a_nested_date_far_from_shifted_ones_is_asked_about(tmp_path):
    ds = pet()
    earlier = Dataset()
    earlier.StudyDate = "20150205"  # 30 days: may be an earlier examination
    ds.ReferencedStudySequence = Sequence([earlier])
    assert len(audit(tmp_path / "near", ds)) == 0
    earlier.StudyDate = "20150204"
    table = audit(tmp_path / "far", ds)
    assert (codes(table), table["SEVERITY"].tolist()) == (["DEID_NESTED_DATE"], ["warning"])


def test_a_device_serial_is_residue_unless_its_option_is_coded(tmp_path):
    ds = pet(DeviceSerialNumber="SN99812")
    assert codes(audit(tmp_path / "a", ds)) == ["DEID_RESIDUE"]
    ds.DeidentificationMethodCodeSequence.append(code("113109", "DCM", "Retain Device Identity Option"))
    assert len(audit(tmp_path / "b", ds)) == 0


def test_a_screen_capture_is_to_be_looked_at(tmp_path):
    capture = "1.2.840.10008.5.1.4.1.1.7"
    table = audit(tmp_path, pet(SOPClassUID=capture, Modality="OT"))
    assert codes(table) == ["DEID_SCREEN_CAPTURE"]
    free = pet(SOPClassUID=capture, Modality="OT", BurnedInAnnotation="NO")
    assert len(audit(tmp_path / "free", free)) == 0


def test_a_name_kept_among_the_original_attributes_is_residue(tmp_path):
    ds, before, original = pet(), Dataset(), Dataset()
    before.PatientName, before.PatientBirthDate = "Doe^Jane", "19560712"
    original.ModifiedAttributesSequence = Sequence([before])
    ds.OriginalAttributesSequence = Sequence([original])
    table = audit(tmp_path, ds)
    told = [code for code in table["CODE"] if code == "DEID_RESIDUE"]
    assert len(told) == 2 and set(table["SEVERITY"]) >= {"error"}
    path = "OriginalAttributesSequence.ModifiedAttributesSequence.PatientName is not empty"
    assert path in set(table["MESSAGE"])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {"PatientSex": "M"}, ["DEID_SEX_CHANGES"]),
        ({}, {"PatientWeight": "72.2"}, ["DEID_WEIGHT_SAME_DAY"]),
        ({}, {"PatientSize": "1.65"}, ["DEID_HEIGHT_SAME_DAY"]),
        ({}, {"PatientSize": "1.67", "date": "20150404"}, []),
        ({}, {"PatientSize": "1.68", "date": "20150404"}, ["DEID_HEIGHT_CHANGES"]),
        ({"PatientWeight": "80"}, {"PatientWeight": "72", "date": "20150404"}, []),
        ({"PatientWeight": "80"}, {"PatientWeight": "71.9", "date": "20150404"}, ["DEID_WEIGHT_CHANGES"]),
        (
            {"StudyInstanceUID": f"{ROOT_UID}.5"},
            {"StudyInstanceUID": f"{ROOT_UID}.5", "date": "20150404"},
            ["DEID_STUDY_DATES_DIFFER"],
        ),
    ],
)
def test_series_of_one_patient_must_agree(tmp_path, first, second, expected):
    assert codes(audit(tmp_path, pet(**first), pet(series=2, **second))) == expected


def test_three_patients_of_one_date_and_weight_are_damaged_and_two_are_not(tmp_path):
    series = [pet(patient=f"P{number}", series=number) for number in (1, 2, 3)]
    assert len(audit(tmp_path / "two", *series[:2])) == 0
    assert codes(audit(tmp_path / "three", *series)) == ["DEID_DATE_ALL_EQUAL", "DEID_WEIGHT_ALL_EQUAL"]


def test_slices_of_one_series_that_differ_are_told(tmp_path):
    for number, weight in ((1, "72.1"), (2, "80")):
        write(tmp_path / "s" / f"{number}.dcm", pet(number, PatientWeight=weight))
    table = audit_series(collect(tmp_path, PLAN).series, PLAN)
    assert codes(table) == ["DEID_SERIES_MIXED"] and "Patient's Weight" in table["MESSAGE"][0]


def test_a_region_drawn_years_later_is_no_damage(tmp_path):
    roi = pet(series=2, Modality="RTSTRUCT", SeriesDate="20190820", StudyInstanceUID=f"{ROOT_UID}.900.1")
    assert len(audit(tmp_path, pet(), roi)) == 0


def test_findings_bear_subject_and_visit_where_they_are_known(tmp_path):
    subjects = {"0": ("T-01-007", "D0"), "1": ("T-01-007", "D14")}
    wrong = pet(series=2, patient="OTHER", PatientSex="M", PatientWeight=None, Units="GML")
    table = audit(tmp_path, pet(), wrong, subjects=subjects).set_index("CODE")
    assert tuple(table.loc["DEID_WEIGHT_MISSING", ["USUBJID", "AVISIT", "PATH"]]) == ("T-01-007", "D14", "1")
    # Two identifiers, one subject by the map: a woman and a man.
    assert tuple(table.loc["DEID_SEX_CHANGES", ["USUBJID", "PATH"]]) == ("T-01-007", "")


def test_a_region_belongs_to_the_visit_of_its_study(tmp_path):
    study = f"{ROOT_UID}.900.1"
    roi = pet(series=2, Modality="RTSTRUCT", StudyInstanceUID=study, BurnedInAnnotation="YES")
    other = pet(series=3, patient="P2", date="20150404", BurnedInAnnotation="YES")
    table = audit(tmp_path, pet(), roi, other, subjects={"0": ("T-01-007", "D0")}).set_index("PATH")
    assert tuple(table.loc["1", ["USUBJID", "AVISIT"]]) == ("T-01-007", "D0")
    assert table.loc["2", ["USUBJID", "AVISIT"]].isna().all()


def test_no_message_tells_a_value(tmp_path):
    ds = pet(
        PatientName="Doe^Jane", PatientBirthDate="19560712", AccessionNumber="A-17", StudyDate="20141224",
        RadiopharmaceuticalStartDateTime="20131120031733", InstitutionName="Sample Hospital",
    )  # fmt: skip
    table = audit(tmp_path, add_ge_block(ds, "20120101101500.00", "20120101091500.00"))
    words = " ".join([*table["MESSAGE"], *table["ACTION"]])
    assert len(table) >= 7
    for value in ("Doe", "Jane", "1956", "A-17", "2014", "2013", "2012", "2015", "Hospital"):
        assert value not in words


def test_an_unreadable_file_is_a_finding(tmp_path):
    table = audit_series(collect(tmp_path, PLAN).series, PLAN, unreadable=["a/cut.dcm"])
    assert table[["PATH", "CODE", "SEVERITY"]].to_numpy().tolist() == [
        ["a/cut.dcm", "DEID_UNREADABLE", "error"]
    ]


def test_every_code_has_a_known_severity():
    assert {severity for severity, _, _ in CATALOGUE.values()} == {"error", "warning", "info"}


@pytest.mark.real
def test_the_real_cohort_dates_injections_after_the_scan(shared_data):
    """Fifteen of the 51 cropped series say so when their elements are read one by one with pydicom."""
    import pydicom

    expected = 0
    for folder in sorted((shared_data / "sarcoma").glob("STS_*/pet")):
        ds = pydicom.dcmread(sorted(folder.glob("*.dcm"))[0], stop_before_pixels=True)
        injected = str(
            ds.RadiopharmaceuticalInformationSequence[0].get("RadiopharmaceuticalStartDateTime", "")
        )
        expected += injected[:8] > ds.AcquisitionDate
    table = audit_series(collect(shared_data / "sarcoma", PLAN).series, PLAN)
    assert expected == 15 == (table["CODE"] == "DEID_INJECTION_DATE").sum()
