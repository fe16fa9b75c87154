"""The restricted zone: direct identifiers are found in tables and in written DICOM, what belongs there is not."""

import io

import pandas as pd
import pydicom
import pyreadstat
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from analysis import plan
from analysis.privacy import restricted, vocabulary

RULES = plan.defaults().privacy
RAW = [
    ("NAME", "Quistorp Wilhelmina", "PatientName"),
    ("SUBJECT", "ZX-01-007", "PatientID"),
    ("NAME", "ZX-01-007", "PatientName"),
    ("SUBJECT", "STS_001", "PatientID"),
    ("NAME", "STS 001", "PatientName"),
    ("ACCESSION", "ACC9917", "AccessionNumber"),
    ("DATE", "1948-03-09", "PatientBirthDate"),
    ("DATE", "2015-04-21", "StudyDate"),
]


@pytest.fixture(scope="module")
def known():
    frame = pd.DataFrame(RAW, columns=["KIND", "VALUE", "FIRSTSEEN"]).assign(SEARCHABLE=True, CODED=False)
    return vocabulary.build(frame, "", RULES)


def written(change=None):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.3.4.5"
    ds.PatientID, ds.PatientName, ds.StudyDate = "ZX-01-007", "ZX-01-007", "20150421"
    if change:
        change(ds)
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def nested(ds):
    inner, deeper = Dataset(), Dataset()
    deeper.PatientBirthDate = "19480309"
    inner.ReferencedSeriesSequence = Sequence([deeper])
    ds.ReferencedStudySequence = Sequence([inner])


def private(ds):
    block = ds.private_block(0x0099, "SOMEBODY", create=True)
    block.add_new(0x01, "UN", b"QUISTORP WILHELMINA\0")


def private_sequence(ds):
    item = Dataset()
    item.add_new(0x00080050, "SH", "acc9917")
    ds.private_block(0x0099, "SOMEBODY", create=True).add_new(0x02, "SQ", Sequence([item]))


def named(ds):
    ds.PatientName = "Quistorp^Wilhelmina"


def rules_of(folder, known):
    return [(f.file, f.rule) for f in restricted.scan_restricted(folder, known, RULES, ("privacy",)).findings]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (None, None),
        (named, "NAME"),
        (nested, "BIRTHDATE"),
        (private, "NAME"),
        (private_sequence, "ACCESSION"),
    ],
)
def test_written_dicom_carries_the_patient_id_and_dates_of_the_scan_and_nothing_more(
    known, tmp_path, change, rule
):
    (tmp_path / "a.dcm").write_bytes(written(change))
    assert rules_of(tmp_path, known) == ([("a.dcm", rule)] if rule else [])


def test_tables_hold_subjects_dates_and_pixels_but_no_names_and_births(known, tmp_path):
    frame = pd.DataFrame(
        {
            "USUBJID": ["STS_001"],
            "PETDT": pd.to_datetime(["2015-04-21"]),
            "PIXELS": [[1, 2]],
            "NOTE": ["fine"],
        }
    )
    frame.to_parquet(tmp_path / "good.parquet")
    frame.drop(columns="PIXELS").to_csv(tmp_path / "good.csv")
    (tmp_path / "subjects.csv").write_text("USUBJID\nSTS_001\nSTS_001\n")
    assert rules_of(tmp_path, known) == []
    frame.assign(NOTE="by Wilhelmina Quistorp").to_parquet(tmp_path / "bad.parquet")
    frame.assign(BRTHDT="1948-03-09").drop(columns="PIXELS").to_csv(tmp_path / "born.csv")
    assert rules_of(tmp_path, known) == [("bad.parquet", "NAME"), ("born.csv", "BIRTHDATE")]


def test_what_the_gate_keeps_is_not_searched_and_what_nobody_can_read_is_refused(known, tmp_path):
    (tmp_path / "privacy").mkdir()
    (tmp_path / "privacy" / "values.csv").write_text("Quistorp Wilhelmina")
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe\x00")
    assert rules_of(tmp_path, known) == [("x.bin", "FORMAT")]


@pytest.mark.parametrize(
    ("note", "rules"), [("stable", []), ("by Wilhelmina Quistorp", [("adsl.xpt", "NAME")])]
)
def test_a_sas_transport_file_is_searched_in_its_last_row_too(tmp_path, known, note, rules):
    frame = pd.DataFrame(
        {"USUBJID": ["ZX-01-007"] * 3, "NOTE": ["stable", "stable", note], "AVAL": [1.0, 2, 3]}
    )
    pyreadstat.write_xport(frame, tmp_path / "adsl.xpt", table_name="ADSL", file_format_version=5)
    assert rules_of(tmp_path, known) == rules
