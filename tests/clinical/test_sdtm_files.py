"""Every format gives the same table; the writers are other programs than the reader (`sdtm_writers`)."""

import datetime as dt
import decimal
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from analysis.clinical import read_sdtm, sdtm
from analysis.clinical.file_text import column_text, is_number, kind_of_format, number_text
from analysis.clinical.terms import to_number

sys.path.insert(0, str(Path(__file__).parent))  # the writers beside this file
import sdtm_writers

WRITERS, DM = sdtm_writers.WRITERS, sdtm_writers.DM


@pytest.mark.parametrize("label", WRITERS)
def test_every_format_gives_the_same_table(tmp_path, label):
    found = read_sdtm(sdtm_writers.write(DM, tmp_path, "DM", label))["DM"]
    assert found.USUBJID.tolist() == ["S-1", "S-2", "S-3"]
    assert found.DTHDTC.tolist() == ["2020-01-01", None, "1959-12-31"]
    assert found.AGE.tolist() == ["61", "58.5", None]
    assert found.SEX.tolist() == ["F", None, "M"]
    assert found.attrs["left_out"] == []


# what every format can hold: a transport file cannot keep blanks at the end of a text, nor can a mark of the
# order of bytes stand for itself
PLAIN = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff", max_codepoint=0x2FFF),
    max_size=12,
)
TEXT = st.none() | st.builds(
    "".join,
    st.lists(
        PLAIN | st.sampled_from([",", ";", "\t", '"', '""', "\n", "\r\n", " ", "21.0", "'"]), max_size=5
    ),
)
NUMBER = st.none() | st.builds(
    lambda n, d: round(n / d, 6), st.integers(-(10**6), 10**6), st.integers(1, 1000)
)
DATE = st.none() | st.dates(dt.date(1900, 1, 1), dt.date(2199, 12, 31))
MOMENT = st.none() | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2199, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0, second=moment.second or 1)
)


@st.composite
def tables(draw):
    size = draw(st.integers(1, 6))
    column = lambda values: draw(st.lists(values, min_size=size, max_size=size))
    text = [value and (value.strip() or None) for value in column(TEXT)]
    return {
        "USUBJID": ("text", [f"S-{number}" for number in range(size)]),
        "EXSEQ": ("number", [float(number) for number in range(size)]),
        "EXTRT": ("text", text),
        "EXDOSE": ("number", [None if value is None else value + 0.0 for value in column(NUMBER)]),
        "EXSTDTC": ("date", column(DATE)),
        "EXENDTC": ("datetime", column(MOMENT)),
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(table=tables())
def test_any_table_is_the_same_from_every_format(tmp_path_factory, table):
    expected = {
        name: [value.strip() or None for value in values]
        for name, values in sdtm_writers.texts(table).items()
    }
    folder = tmp_path_factory.mktemp("table")
    for label, (ending, _) in WRITERS.items():
        sdtm_writers.write(table, folder, "EX", label)
        found = sdtm.read_frame(folder / f"ex{ending}", sdtm.REQUIRED["EX"])
        for name, values in expected.items():
            assert found[name].tolist() == values, (label, name)


def test_the_sas7bdat_of_these_tests_is_read_alike_by_another_reader(tmp_path):
    sdtm_writers.write(DM, tmp_path, "DM", "sas7bdat")
    other = pd.read_sas(tmp_path / "dm.sas7bdat", encoding="utf-8")
    assert other.USUBJID.tolist() == read_sdtm(tmp_path)["DM"].USUBJID.tolist()
    assert other.AGE.tolist()[:2] == [61.0, 58.5] and pd.isna(other.AGE[2])
    assert other.DTHDTC[0] == pd.Timestamp("2020-01-01")


# --- values


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("21", "21"), ("21.0", "21"), ("021.50", "21.5"), ("1e3", "1000"), ("-0.0", "0"), (".5", "0.5"),
        ("123456789012345678", "123456789012345678"), (0.1 + 0.2, "0.3"), (decimal.Decimal("21.00"), "21"),
    ],
)  # fmt: skip
def test_a_number_has_one_text(text, written):
    assert number_text(text) == written


@pytest.mark.parametrize(
    "text", ["1,5", "1 000", "1_000", "nan", "inf", "Infinity", "1e300", "1e999", "<5", "", None, "5 mm", "١"]
)
def test_what_is_no_number(text):
    assert not is_number(text)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DATE9.", "date"), ("DATE9", "date"), ("YYMMDD10.", "date"), ("E8601DA.", "date"), ("IS8601DA10", "date"),
        ("DATETIME20.", "datetime"), ("E8601DT19.", "datetime"), ("TIME5.", "time"), ("DATETIME22.3", "datetime"),
        ("BEST12.", None), ("8.2", None), ("$CHAR20.", None), ("", None), (None, None), ("DATES9.", None),
    ],
)  # fmt: skip
def test_a_sas_format_tells_what_a_number_means(name, kind):
    assert kind_of_format(name) == kind


def test_what_is_no_number_is_missing_in_any_type():
    text = pd.Series(
        ["inf", "-Infinity", "1e300", "1e999", "nan", "5 mm", None, " 5 ", "-1.5e2", 7, 2.5, True, np.inf]
    )
    expected = [np.nan] * 7 + [5.0, -150.0, 7.0, 2.5, 1.0, np.nan]
    np.testing.assert_array_equal(to_number(text), expected)
    np.testing.assert_array_equal(to_number(pd.Series([1.5, np.nan, -np.inf])), [1.5, np.nan, np.nan])


def test_sas_counts_from_1960():
    # SAS documentation: 0 is 1 January 1960; 2020-01-01 is 21915 and 1893456000 seconds
    assert column_text([0, 21915.0, None, -1], kind="date").tolist() == [
        "1960-01-01",
        "2020-01-01",
        None,
        "1959-12-31",
    ]
    assert column_text([1893490200.0], kind="datetime").tolist() == ["2020-01-01T09:30:00"]
    assert column_text([34200], kind="time").tolist() == ["09:30:00"]
    assert column_text([1e12], kind="date").tolist() == ["1000000000000"]


def test_values_of_parquet_are_the_text_of_a_csv(tmp_path):
    noon, midnight = dt.datetime(2020, 1, 1, 12), dt.datetime(2020, 1, 2)
    columns = {
        "STUDYID": pa.array(["S", "S"]).dictionary_encode(),
        "USUBJID": pa.array([" S-1", "S-2  "]),
        "DTHDTC": pa.array([midnight, None], pa.timestamp("ns")),
        "RFSTDTC": pa.array([noon, midnight], pa.timestamp("us")),
        "RFICDTC": pa.array([dt.date(9999, 12, 31), None], pa.date32()),
        "AGE": pa.array([decimal.Decimal("60.00"), None], pa.decimal128(6, 2)),
        "DTHFL": pa.array([True, False]),
        "SITEID": pa.array([7, None], pa.int16()),
        "ARM": pa.array([0.1, float("nan")], pa.float32()),
        "SEX": pa.nulls(2),
    }
    parquet.write_table(pa.table(columns), tmp_path / "dm.parquet")
    found = read_sdtm(tmp_path)["DM"]
    assert found.loc[0, list(columns)].tolist() == [
        "S", "S-1", "2020-01-02", "2020-01-01T12:00:00", "9999-12-31", "60", "Y", "7", "0.1", None,
    ]  # fmt: skip
    assert found.loc[1, list(columns)].tolist() == [
        "S", "S-2", None, "2020-01-02T00:00:00", None, None, "N", None, None, None,
    ]  # fmt: skip


def test_dates_of_dataset_json_are_iso_text_or_numbers_of_sas(tmp_path):
    kinds = {"STUDYID": {}, "USUBJID": {}, "DTHDTC": {"dataType": "date", "targetDataType": "integer"},
             "RFSTDTC": {"dataType": "integer", "displayFormat": "DATE9."}, "AGE": {"dataType": "decimal"},
             "DTHFL": {"dataType": "boolean"}, "SITEID": {"dataType": "integer"}}  # fmt: skip
    rows = [["S", "S-1", "2020-01-01", 21915, "60.50", True, 7], ["S", "S-2", None, None, None, False, "7a"]]
    columns = [{"name": name, **about} for name, about in kinds.items()]
    (tmp_path / "dm.json").write_text(json.dumps({"columns": columns, "rows": rows}))
    found = read_sdtm(tmp_path)["DM"][list(kinds)]
    assert found.iloc[0].tolist() == ["S", "S-1", "2020-01-01", "2020-01-01", "60.5", "Y", "7"]
    assert found.iloc[1].tolist() == ["S", "S-2", None, None, None, "N", "7a"]


def test_special_missing_values_of_sas_are_missing(tmp_path):
    table = {**DM, "AGE": ("number", [61.0, 58.5, 40.0])}
    sdtm_writers.write(table, tmp_path, "DM", "xpt 5")
    data = (tmp_path / "dm.xpt").read_bytes()
    # 61 of IBM is 42 3D 00 ..; a missing .A is the letter A and zeros (SAS technical note TS-140)
    sixty_one, forty = struct.pack(">Q", 0x423D << 48), struct.pack(">Q", 0x4228 << 48)
    assert data.count(sixty_one) == 1 and data.count(forty) == 1
    (tmp_path / "dm.xpt").write_bytes(
        data.replace(sixty_one, b"A" + bytes(7)).replace(forty, b"_" + bytes(7))
    )
    assert read_sdtm(tmp_path)["DM"].AGE.tolist() == [None, "58.5", None]


# --- CSV


def read_dm(folder, text, **how):
    (folder / "dm.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_sdtm(folder, **how)["DM"]


def test_quoted_newlines_and_quotes_are_part_of_a_value(tmp_path):
    text = 'STUDYID,USUBJID,DTHDTC,ARM\nS,S-1,,"one, ""two""\nthree"\nS,S-2,,""\n\nS,S-3,," x "\n'
    assert read_dm(tmp_path, text).ARM.tolist() == ['one, "two"\nthree', None, "x"]


def test_a_quote_inside_a_field_that_is_not_quoted_is_a_character(tmp_path):
    text = 'STUDYID,USUBJID,DTHDTC,ARM\nS,S-1,,5" long\nS,S-2,,6" wide\n'
    assert read_dm(tmp_path, text).ARM.tolist() == ['5" long', '6" wide']


def test_lines_of_old_macs_are_lines(tmp_path):
    assert read_dm(tmp_path, "STUDYID,USUBJID,DTHDTC\rS,S-1,\rS,S-2,2020\r").DTHDTC.tolist() == [None, "2020"]


def test_words_for_nothing_are_words(tmp_path):
    text = "STUDYID,USUBJID,DTHDTC,ARM\nS,S-1,,NA\nS,S-2,,null\nS,S-3,,nan\n"
    assert read_dm(tmp_path, text).ARM.tolist() == ["NA", "null", "nan"]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_empty_lines_above_the_header_are_no_records(tmp_path, end, quote):
    lines = ["", " ", "STUDYID,USUBJID,DTHDTC", f"S,{quote}S-1{quote},", "S,S-2,2020", "", ""]
    found = read_dm(tmp_path, end.join(lines))
    assert found.USUBJID.tolist() == ["S-1", "S-2"] and found.DTHDTC.tolist() == [None, "2020"]
    assert found.attrs["first_line"] == 4


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_lines_of_separators_around_the_records_are_left_out_with_a_note(tmp_path, delimiter):
    lines = [",,", "STUDYID,USUBJID,DTHDTC", "S,S-1,", "S,S-2,", ",,", "", " , ,", ",,,,,,", "  "]
    text = "\n".join(lines).replace(",", delimiter)
    found = read_dm(tmp_path, text)
    assert found.USUBJID.tolist() == ["S-1", "S-2"] and found.attrs["first_line"] == 3
    note = ["CSV_BLANK_LINES", "dm.csv: 5 line(s) that hold only separators or blanks were left out"]
    assert note in found.attrs["adaptations"]
    with pytest.raises(sdtm.SdtmError, match=r"CSV_BLANK_LINES DM: dm\.csv: 5 line"):
        read_dm(tmp_path, text, strict=True)


def test_empty_lines_at_the_end_need_no_note(tmp_path):
    found = read_dm(tmp_path, "STUDYID,USUBJID,DTHDTC\nS,S-1,\n\n\n", strict=True)
    assert found.USUBJID.tolist() == ["S-1"] and found.attrs["adaptations"] == []


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_another_delimiter_is_read_with_a_note_and_refused_under_strict(tmp_path, delimiter):
    text = "STUDYID,USUBJID,DTHDTC\nS,S-1,\n".replace(",", delimiter)
    assert read_dm(tmp_path, text).attrs["adaptations"][0][0] == "CSV_DELIMITER"
    with pytest.raises(sdtm.SdtmError, match=r"CSV_DELIMITER DM: dm.csv is separated by (semicolon|tab)s"):
        read_dm(tmp_path, text, strict=True)


def test_a_comma_file_needs_no_note_even_if_values_hold_semicolons(tmp_path):
    found = read_dm(tmp_path, "STUDYID,USUBJID,DTHDTC,A;B\nS,S-1,,x;y\n", strict=True)
    assert found.attrs["adaptations"] == []


def test_files_of_no_domain_are_named(tmp_path):
    sdtm_writers.write(DM, tmp_path, "DM", "csv")
    for name in ("qsph.csv", "readme.txt", ".hidden"):
        (tmp_path / name).write_text("x")
    (found,) = read_sdtm(tmp_path)["DM"].attrs["adaptations"]
    assert found == ["FILE_IGNORED", "2 file(s) of no known domain were not read: qsph.csv, readme.txt"]


def test_equal_values_are_one_object_so_that_large_tables_stay_small(tmp_path):
    rows = [f"S,S-1,{number},T1,LDIAM,{number % 10}.5,2020-01-01" for number in range(1000)]
    (tmp_path / "tr.csv").write_text(
        "\n".join(["STUDYID,USUBJID,TRSEQ,TRLNKID,TRTESTCD,TRORRES,TRDTC", *rows])
    )
    sdtm_writers.write(DM, tmp_path, "DM", "csv")
    found = read_sdtm(tmp_path)["TR"]
    for name, different in {"USUBJID": 1, "TRORRES": 10, "TRDTC": 1, "TRSEQ": 1000}.items():
        assert len({id(value) for value in found[name]}) == different
    assert found.TRORRES.tolist() == [f"{number % 10}.5" for number in range(1000)]


def test_mixed_values_keep_their_types_apart():
    values = [1, 1.0, True, "1", None, np.float64(1.5)]
    assert column_text(pd.Series(values, dtype=object)).tolist()[3:] == ["1", None, "1.5"]
    assert column_text([1, "a", True, 2.50, None]).tolist() == ["1", "a", "Y", "2.5", None]
