"""Collecting what identifies: nothing planted is missed, nothing technical is taken, whatever the encoding."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from analysis import plan
from analysis.privacy import collect as collecting
from analysis.privacy.collect import collect
from analysis.privacy.values import normalise, spellings, values_of

sys.path.insert(0, str(Path(__file__).parent))
from identified import ROOT_UID, add_ge_block, code, pet, write

PLAN = plan.defaults()


def found(folder, **options) -> pd.DataFrame:
    return collect(folder, PLAN, **options).values


def pairs(table: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(table["KIND"], table["NORMAL"]))


def planted() -> Dataset:
    """Return a slice with an identifier in every kind of place."""
    ds = pet(PatientName="Doe^Jane^Mary", PatientID="MRN-55821", AccessionNumber="ACC90017")
    ds.OperatorsName = ["Roe^Rita", "Poe^Edgar"]
    ds.InstitutionName = "Sample Hospital"
    ds.DeviceSerialNumber = "SN99812"
    ds.PatientBirthDate = "19560712"
    ds.ImageComments = "seen by her neighbour"
    request = Dataset()
    request.RequestedProcedureDescription = "Follow-up of lump"
    inner = Dataset()
    inner.PersonName = "Hidden^Harry"
    request.RequestedProcedureCodeSequence = Sequence([code("X1", "99LOCAL", "Typed Meaning"), inner])
    ds.RequestAttributesSequence = Sequence([request])
    ds.ProcedureCodeSequence = Sequence([code("44139-4", "LN", "PET whole body")])
    block = ds.private_block(0x0099, "ACME", create=True)
    block.add_new(0x01, "LO", "Private Patty")
    block.add_new(0x02, "UN", b"Unknown Ursula ")
    block.add_new(0x03, "OB", b"\x01\x02\x00" + f"{ROOT_UID}.4711.42".encode() + b"\x00\xff")
    nested = Dataset()
    nested.PatientComments = "inside a private sequence"
    block.add_new(0x04, "SQ", Sequence([nested]))
    ds.add_new(0x60000022, "LO", "overlay words")
    return ds


PLANTED = {
    ("NAME", "doe"),
    ("NAME", "doe jane mary"),
    ("SUBJECT", "mrn-55821"),
    ("ACCESSION", "acc90017"),
    ("PERSON", "roe rita"),
    ("PERSON", "edgar"),
    ("INSTITUTION", "sample hospital"),
    ("DEVICE", "sn99812"),
    ("DATE", "1956-07-12"),
    ("DATE", "2015-03-07"),
    ("DATETIME", "2015-03-07t09:15:00"),
    ("TIME", "10:15:00"),
    ("FREETEXT", "seen by her neighbour"),
    ("FREETEXT", "follow-up of lump"),
    ("FREETEXT", "typed meaning"),
    ("PERSON", "hidden harry"),
    ("FREETEXT", "private patty"),
    ("FREETEXT", "unknown ursula"),
    ("UID", f"{ROOT_UID}.4711.42"),
    ("UID", f"{ROOT_UID}.1"),
    ("FREETEXT", "inside a private sequence"),
    ("FREETEXT", "overlay words"),
}


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda uid: uid.name,
)
def test_every_planted_value_is_found_in_every_transfer_syntax(tmp_path, syntax):
    write(tmp_path / "a" / "b" / "noending", planted(), syntax)
    assert pairs(found(tmp_path)) >= PLANTED


def test_a_file_without_preamble_and_one_with_lengths_left_open_are_read(tmp_path):
    write(tmp_path / "bare" / "1", planted(), preamble=False)
    assert pairs(found(tmp_path / "bare")) >= PLANTED
    ds = planted()
    for element in ds:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
    write(tmp_path / "open" / "1", ds)
    assert pairs(found(tmp_path / "open")) >= PLANTED


def test_a_sequence_of_unknown_type_is_gone_through(tmp_path):
    raw = bytes.fromhex("feff00e0") + (22).to_bytes(4, "little")
    raw += bytes.fromhex("10001000") + (14).to_bytes(4, "little") + b"Nested^Nancy  "
    ds = pet()
    ds.private_block(0x0099, "ACME", create=True).add_new(0x05, "UN", raw)
    write(tmp_path / "1", ds)
    assert ("NAME", "nested nancy") in pairs(found(tmp_path))


def test_numeric_and_coded_technical_values_are_not_taken(tmp_path):
    ds = planted()
    ds.ManufacturerModelName, ds.SoftwareVersions, ds.ReconstructionMethod = (
        "Discovery 690",
        "pet_coreload.44",
        "VPFX",
    )
    write(tmp_path / "1", ds)
    taken = set(found(tmp_path)["NORMAL"])
    assert not taken & {
        "discovery 690",
        "pet_coreload.44",
        "vpfx",
        "pet whole body",
        "bqml",
        "72.1",
        "f",
        "acme",
    }
    assert not [value for value in taken if value.startswith("1.2.840.10008")]


@pytest.mark.parametrize(
    ("characters", "encoding", "name", "expected"),
    [
        ("GB18030", "gb18030", "Wang^XiaoDong=王^小东", {"王 小东", "小东", "xiaodong"}),
        ("ISO_IR 192", "utf-8", "Müller^Jörg", {"müller jörg", "müller", "jörg"}),
        ("ISO_IR 100", "latin-1", "Müller^Jörg", {"müller jörg"}),
        # The file says Latin-1 and holds UTF-8, as many do.
        ("ISO_IR 100", "utf-8", "Müller^Jörg", {"müller jörg"}),
        ("ISO_IR 144", "iso8859_5", "Люкceмбypг", {"люкceмбypг"}),
    ],
)
def test_names_are_read_in_their_character_set(tmp_path, characters, encoding, name, expected):
    raw = name.encode(encoding)
    ds = pet(SpecificCharacterSet=characters)
    ds[0x00100010] = RawDataElement(pydicom.tag.Tag(0x00100010), "PN", len(raw), raw, 0, False, True)
    write(tmp_path / "1", ds)
    assert {("NAME", one) for one in expected} <= pairs(found(tmp_path))


@pytest.mark.parametrize(
    ("characters", "raw", "expected"),
    [
        # Examples of DICOM PS3.5 annexes H.3.1 and I.2.
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            {"yamada tarou", "山田 太郎", "山田", "やまだ たろう"},
        ),
        (
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            {"hong gildong", "洪 吉洞", "홍 길동"},
        ),
    ],
)
def test_names_with_escapes_are_read(characters, raw, expected):
    from analysis.privacy.decode import identify
    from analysis.privacy.elements import Found

    values = identify(Found("PatientName", b"PN", characters.encode(), raw), "NAME")
    assert expected <= {value.normal for value in values}


def test_what_is_found_is_what_pydicom_finds(tmp_path):
    """Pydicom walks the same files: every text it shows that may identify is among the values."""
    write(tmp_path / "1", planted())
    write(tmp_path / "2", planted(), ImplicitVRLittleEndian)
    have = set(found(tmp_path)["NORMAL"])
    for name in ("1", "2"):
        for element in pydicom.dcmread(tmp_path / name).iterall():
            if element.VR in ("PN", "LT") or element.keyword in ("SOPInstanceUID", "PatientID"):
                values = element.value if element.VM > 1 else [element.value]
                assert {normalise(str(value).replace("^", " ")) for value in values} <= have


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    whole = write(tmp_path / "whole.dcm", planted()).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-40])
    (tmp_path / "words.dcm").write_text("not an image")
    (tmp_path / "table.csv").write_bytes(b"USUBJID\n\0\1\2\n")
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\0\1")
    told = collect(tmp_path, PLAN)
    assert sorted(told.unreadable) == ["cut.dcm", "gone.dcm", "table.csv", "words.dcm"]
    status = told.files.set_index("PATH")["STATUS"]
    assert (status["whole.dcm"], status["picture.jpg"]) == ("READ", "OPAQUE")
    assert len(told.files) == 6


def test_what_only_pydicom_can_follow_is_read_too(tmp_path):
    """A data element of a VR nobody knows: the bytes cannot be followed, pydicom goes on."""
    raw = write(tmp_path / "1.dcm", planted()).read_bytes()
    at = raw.index(b"\x10\0\x20\x10DS")
    (tmp_path / "1.dcm").write_bytes(raw[: at + 4] + b"XX\2\0ok" + raw[at + 12 :])
    told = collect(tmp_path, PLAN)
    assert told.unreadable == [] and pairs(told.values) >= PLANTED
    assert "pet whole body" not in set(told.values["NORMAL"])


def test_a_document_inside_dicom_is_not_passed_over_in_silence(tmp_path):
    ds = pet(SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1")
    ds.add_new(0x00420011, "OB", b"%PDF-1.4 Jane")
    write(tmp_path / "1.dcm", ds)
    assert collect(tmp_path, PLAN).unreadable == ["1.dcm"]


def test_a_file_padded_with_zeros_is_read(tmp_path):
    path = write(tmp_path / "1.dcm", planted())
    path.write_bytes(path.read_bytes() + bytes(512))
    assert collect(tmp_path, PLAN).unreadable == []


def test_any_number_of_workers_gives_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "_CHUNK", 2)
    for number in range(1, 6):
        write(tmp_path / f"{number}.dcm", pet(number, PatientComments=f"comment number {number}"))
    one, two = collect(tmp_path, PLAN), collect(tmp_path, PLAN, workers=2)
    pd.testing.assert_frame_equal(one.values, two.values)
    pd.testing.assert_frame_equal(one.series, two.series)
    pd.testing.assert_frame_equal(one.files, two.files)
    comment = one.values[one.values["NORMAL"].eq("comment number 3")].iloc[0]
    assert (comment["KIND"], comment["FIRSTSEEN"], comment["COUNT"]) == ("FREETEXT", "PatientComments", 1)


def test_columns_of_tables_identify_by_their_names(tmp_path):
    (tmp_path / "ae.csv").write_text(
        "USUBJID,SITEID,AETERM,AEDECOD,AESTDTC,AEENDTC\n"
        'T-01-007,0123456,"Fell off her bicycle, twice",FALL,2015-04-04T10:30,2015-04\n'
    )
    (tmp_path / "dm.tsv").write_text("SUBJID\tINVNAM\tSEX\n000777\tMEYER, ANNA\tF\n")
    (tmp_path / "meta_x.txt").write_text("contact_name: x\ncase_list_ids: T-01-007-P\tT-01-008-P\n")
    (tmp_path / "t.json").write_text(
        json.dumps({"a": [{"email": "ann@clinic.example"}], "when": "2016-02-29"})
    )
    rows = {"columns": [{"name": "USUBJID"}, {"name": "AVAL"}], "rows": [["T-01-099", 3]]}
    (tmp_path / "adsl.json").write_text(json.dumps(rows))
    have = pairs(found(tmp_path))
    assert have >= {
        ("SUBJECT", "t-01-007"),
        ("FREETEXT", "fell off her bicycle, twice"),
        ("DATETIME", "2015-04-04t10:30:00"),
        ("DATE", "2015-04-04"),
        ("SUBJECT", "000777"),
        ("PERSON", "meyer anna"),
        ("SUBJECT", "t-01-008-p"),
        ("INSTITUTION", "ann@clinic.example"),
        ("DATE", "2016-02-29"),
        ("SUBJECT", "t-01-099"),
    }
    assert not {value for _, value in have} & {"fall", "0123456", "f", "2015-04"}


def test_transport_files_and_nifti_headers_are_read(tmp_path):
    import pyreadstat

    pyreadstat.write_xport(pd.DataFrame({"USUBJID": ["T-01-007"], "X": [1.0]}), str(tmp_path / "dm.xpt"))
    header = bytearray(352)
    header[148:160] = b"Scan of Jane"
    (tmp_path / "m.nii.gz").write_bytes(gzip.compress(bytes(header)))
    told = collect(tmp_path, PLAN)
    assert told.unreadable == []
    assert pairs(told.values) >= {("SUBJECT", "t-01-007"), ("FREETEXT", "scan of jane")}


def test_numbers_of_columns_that_identify_are_taken(tmp_path):
    told = {"patient_id": 4711234, "mrn": 555666777.0, "age": 4242424, "name": "TABLE", "OID": "x"}
    (tmp_path / "side.json").write_text(json.dumps(told))
    table = pd.DataFrame({"SUBJID": [4711235, 4711236], "AVAL": [8765432, 1]}, index=[4711237, 4711238])
    table.rename_axis("USUBJID").to_parquet(tmp_path / "t.parquet")
    have = {value for _, value in pairs(found(tmp_path))}
    assert have >= {"4711234", "555666777", "4711235", "4711236", "4711237"}
    assert not have & {"4242424", "8765432", "table"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.xlsx", b"PK\3\4\0"),
        ("a.pdf", b"%PDF-1.4\n\0"),
        ("old.doc", b"\xd0\xcf\x11\xe0\0"),
        ("x", b"PK\3\4\0"),
    ],
)
def test_documents_nobody_looks_into_are_told(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert collect(tmp_path, PLAN).unreadable == [name]


def test_only_a_column_of_codes_excuses_a_name(tmp_path):
    (tmp_path / "a.csv").write_text(
        "INVNAM,COLOUR,SITEID\nZuckerberger,x,y\nHirslanden,Zuckerberger,Hirslanden\n"
    )
    (tmp_path / "b.csv").write_text("patient,reader,doctor\nGruen Eva,R1,Meierhofer\nP-01-7731,Reader 2,x\n")
    table = found(tmp_path).set_index("NORMAL")
    assert not table.loc["zuckerberger", "CODED"] and table.loc["hirslanden", "CODED"]
    assert table.loc["gruen eva", "KIND"] == "NAME" and table.loc["p-01-7731", "KIND"] == "SUBJECT"
    assert (
        table.loc["meierhofer", "SEARCHABLE"]
        and not table.loc[["r1", "reader 2", "reader"], "SEARCHABLE"].any()
    )


def test_names_inside_private_bytes_are_found(tmp_path):
    ds = pet()
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(
        0x10, "OB", b"SV10\4\3\2\1" + bytes(20) + "Csaname^Jörg".encode() + bytes(9) + b"EchoNumber\0\1"
    )
    block.add_new(0x11, "UN", b"Padded^One\0\0\0Padded^Two")
    block.add_new(0x13, "OW", b"\1\0\2Gruen, Eva\0\xff")
    write(tmp_path / "1.dcm", ds)
    told = collect(tmp_path, PLAN)
    have = {value for _, value in pairs(told.values)}
    assert have >= {"csaname", "jörg", "padded one", "padded two", "gruen, eva"} and "echonumber" not in have
    assert told.series["OPAQUE"].tolist() == [3]


@pytest.mark.parametrize(
    "written", ["07.03.1955", "7.3.1955", "07/03/1955", "03/07/1955", "7 Mar 1955", "07-MAR-1955"]
)
def test_a_date_of_birth_is_found_however_it_is_written(tmp_path, written):
    (tmp_path / "a.csv").write_text(f"DOB,X\n{written},1\n")
    assert ("DATE", "1955-03-07") in pairs(found(tmp_path))


def test_names_of_files_and_folders_count_as_values(tmp_path):
    write(tmp_path / "dicom" / "SMITH_JOHN" / "PET_20150307" / "IM0001.dcm", pet())
    have = pairs(found(tmp_path))
    assert {("FILENAME", "smith_john"), ("FILENAME", "smith"), ("DATE", "2015-03-07")} <= have
    assert not {value for kind, value in have if kind == "FILENAME"} & {"dicom", "pet"}


def test_short_words_and_placeholders_are_listed_but_not_searched_for(tmp_path):
    write(
        tmp_path / "dicom" / "1.dcm",
        pet(PatientName="Xu^Anonymous", PatientID="12345", AccessionNumber="123456"),
    )
    table = found(tmp_path).set_index("NORMAL")
    assert not table.loc[["xu", "anonymous", "12345"], "SEARCHABLE"].any()
    assert table.loc["123456", "SEARCHABLE"]


def test_a_text_that_is_also_a_code_says_so(tmp_path):
    (tmp_path / "ae.csv").write_text("AETERM,AEDECOD\nCOUGH,COUGH\nCOUGHING AT NIGHT,COUGH\n")
    table = found(tmp_path).set_index("NORMAL")
    assert table.loc["cough", "CODED"] and not table.loc["coughing at night", "CODED"]


def test_equal_texts_are_one_value(tmp_path):
    (tmp_path / "dm.csv").write_text("INVNAM\nＭüller\nMÜLLER \nmüller\n", encoding="utf-8")
    table = found(tmp_path)
    assert table[["KIND", "NORMAL", "COUNT"]].to_numpy().tolist() == [["PERSON", "müller", 3]]


def test_a_date_of_birth_is_told_apart_from_the_same_date_elsewhere(tmp_path):
    write(tmp_path / "1.dcm", pet(date="19560712", PatientBirthDate="19560712"))
    table = found(tmp_path)
    seen = table.loc[table["NORMAL"].eq("1956-07-12"), "FIRSTSEEN"]
    assert sorted(seen) == ["PatientBirthDate", "StudyDate"]


def test_a_large_file_and_a_damaged_one_never_stop_the_others(tmp_path):
    large = planted()
    large.add_new(0x7FE00010, "OW", bytes(1 << 21))
    whole = write(tmp_path / "large.dcm", large).read_bytes()
    random = np.random.default_rng(20150307)
    head = np.frombuffer(whole[:3000], np.uint8)
    for number in range(60):
        harmed = head.copy()
        harmed[random.integers(132, len(head), 6)] = random.integers(0, 256, 6)
        (tmp_path / f"{number}.dcm").write_bytes(harmed.tobytes())
    told = collect(tmp_path, PLAN)
    assert pairs(told.values) >= PLANTED
    assert "large.dcm" not in told.unreadable and len(told.unreadable) >= 50


def test_a_series_says_what_the_audit_needs(tmp_path):
    for number in (1, 2):
        late = {"AcquisitionTime": "102000"} if number == 2 else {}
        ds = add_ge_block(pet(number, **late), "20150307101500.00", "20150307091500.00")
        ds.PatientWeight = "72.1" if number == 1 else "73.5"
        write(tmp_path / "dicom" / "s1" / f"{number}.dcm", ds)
    table = collect(tmp_path, PLAN).series
    row = table.iloc[0]
    assert len(table) == 1 and (row["PATH"], row["FILES"], row["MODALITY"]) == ("dicom/s1", 2, "PT")
    assert (row["WEIGHTKG"], row["MIXED"], row["ACQTIME"]) == ("72.1", "WEIGHTKG", "101500")
    assert row["INJDATETIME"] == "20150307091500" and row["METHODCODES"] == "113100;113107;113108;113111"
    assert dict(row["PRIVATEMOMENTS"]) == {
        "(0009,xx0D GEMS_PETD_01)": "20150307101500.00",
        "(0009,xx3B GEMS_PETD_01)": "20150307091500.00",
    }


def test_the_ways_a_date_is_written():
    written = {
        "20150307",
        "07.03.2015",
        "03/07/2015",
        "7 march 2015",
        "mar 7, 2015",
        "07-mar-2015",
        "07mar2015",
    }
    assert written <= set(spellings("DATE", "2015-03-07"))
    assert "20150307082212" in spellings("DATETIME", "2015-03-07t08:22:12")
    assert "doe, jane mary" in spellings("NAME", "doe jane mary")


def test_an_impossible_date_is_none_and_a_date_inside_words_is_found():
    assert values_of("DATE", "20150231") == []
    assert ("DATE", "2015-03-07", "2015-03-07") in values_of("FREETEXT", "seen on 2015-03-07 again")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="RAW_FOLDER_MISSING"):
        collect(tmp_path / "nowhere", PLAN)
