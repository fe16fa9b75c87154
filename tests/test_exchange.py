"""Files for exchange: read back by readers that share nothing with the writer, and looked at byte by byte."""

import datetime as dt
import json
import struct
from functools import cache

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from analysis import contracts, exchange, plan
from analysis.clinical.files import read_frame
from analysis.contracts import fields
from analysis.exchange.longtext import split_text
from analysis.exchange.xpt import encode_ibm

CUTOFF = dt.date(2016, 8, 1)
STAMP = b"01AUG16:00:00:00"
STAMPS = (144, 160, 464, 480)  # library and member, each created and modified (TS-140)
WORDS = ["LIVER", "Non-cr, non-pd", 'said "stable"', "é à 5 µm", "x", "1", "Y;N"]


def isin_of(column) -> list[str] | None:
    """Return the values a contract allows in a column, or None where it does not list them."""
    found = [check.statistics["allowed_values"] for check in column.checks if check.name == "isin"]
    return list(found[0]) if found else None


def sample(table: str, rows: int = 60) -> pd.DataFrame:
    """Return invented rows that keep the contract of `table`, with missing values wherever it allows them."""
    return _sample(table, rows).copy(deep=True)


@cache
def _sample(table: str, rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    columns = {}
    for name, column in contracts.contract_of(table).columns.items():
        kind = str(column.dtype)
        if kind.startswith("datetime"):
            values = pd.Timestamp("1955-03-02") + pd.to_timedelta(rng.integers(0, 30000, rows), unit="D")
        elif kind == "float64":
            values = rng.normal(0, 1, rows) * 10.0 ** rng.integers(-9, 9, rows)
        elif kind == "int64":
            values = rng.integers(0, 3, rows)
        else:
            values = rng.choice(isin_of(column) or WORDS, rows).astype(object)
        columns[name] = pd.Series(values)
        if column.nullable:
            columns[name] = columns[name].mask(rng.random(rows) < 0.2)
    schema = contracts.contract_of(table)
    for name in [name for name in schema.unique or [] if not isin_of(schema.columns[name])][-1:]:
        is_number = str(schema.columns[name].dtype) == "float64"
        columns[name] = pd.Series([place / 8 if is_number else f"K{place:03d}" for place in range(rows)])
    frame = pd.DataFrame(columns)
    if schema.unique and all(isin_of(schema.columns[name]) for name in schema.unique):
        frame = frame.drop_duplicates(schema.unique, ignore_index=True)  # no more rows than there are words
    return contracts.check(table, frame)


def read_both(folder, content: bytes) -> tuple[pd.DataFrame, object, pd.DataFrame]:
    """Return what pyreadstat and pandas read: values and description of the one, values of the other."""
    file = folder / "t.xpt"
    file.write_bytes(content)
    found, about = pyreadstat.read_xport(str(file), disable_datetime_conversion=True)
    with pd.read_sas(file, format="xport", encoding="utf-8", iterator=True) as reader:
        reader.nobs = len(
            found
        )  # pandas counts every blank word of the last record as padding, and loses rows
        other = reader.read()
    numbers = other.select_dtypes("number")
    other[numbers.columns] = numbers.mask(numbers.abs() < 1e-78, 0.0)  # pandas reads a zero as 16**-65
    return found, about, other


def as_read(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the columns as a transport file holds them: days since 1960, numbers, text without missing."""
    out = {}
    for name, values in frame.items():
        if values.dtype.kind == "M":
            out[name] = ((values - pd.Timestamp("1960-01-01")).dt.days).to_numpy(float)
        elif values.dtype.kind in "if":
            out[name] = values.to_numpy(float)
        else:
            out[name] = values.fillna("").to_numpy(object)
    return out


def decode_ibm(code: bytes) -> float:
    """Return the number of an 8-byte IBM float in exact integers; missing (a letter or dot) as NaN."""
    if code[1:] == bytes(7) and code[0] in b"._ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        return float("nan")
    mantissa, power = int.from_bytes(code[1:], "big"), (code[0] & 0x7F) - 64 - 14
    value = mantissa * 16**power if power >= 0 else mantissa / 16**-power
    return -value if code[0] & 0x80 else value


# ---- labels
@pytest.mark.parametrize("table", exchange.DATASETS)
def test_each_variable_has_a_short_label_of_its_own(table):
    labels = [one.label for one in exchange.variables(table)]
    names = [one.name for one in exchange.variables(table)]
    assert all(0 < len(label) <= 40 and label.isascii() for label in [*labels, exchange.dataset_label(table)])
    assert len(set(labels)) == len(labels)
    assert all(len(name) <= 8 and name.isascii() and name.isupper() for name in [*names, table.upper()])


def test_labels_are_those_of_the_analysis_data_model():
    adtte = {one.name: one.label for one in exchange.variables("adtte")}
    assert adtte["USUBJID"] == "Unique Subject Identifier"
    assert adtte["STARTDT"] == "Time-to-Event Origin Date for Subject"
    assert (adtte["AVAL"], adtte["CNSR"]) == ("Analysis Value", "Censor")
    assert exchange.dataset_label("adsl") == "Subject-Level Analysis Dataset"


def test_the_seven_datasets_have_labels_no_two_share():
    labels = {exchange.dataset_label(table) for table in exchange.DATASETS}
    assert len(labels) == 7 and all(label.endswith("Analysis Dataset") for label in labels)


# ---- transport file: values, labels, formats
@pytest.mark.parametrize("table", exchange.DATASETS)
def test_two_readers_find_the_same_values_labels_and_formats(table, tmp_path):
    frame = sample(table)
    found, about, other = read_both(tmp_path, exchange.xpt_bytes(table, frame, created=CUTOFF))
    assert list(found) == list(other) == list(frame)
    for name, expected in as_read(frame).items():
        for seen in (found[name], other[name]):
            seen = seen if expected.dtype.kind == "f" else seen.fillna("")
            np.testing.assert_array_equal(seen.to_numpy(expected.dtype), expected, err_msg=name)
    assert about.table_name == table.upper()
    assert about.file_label == exchange.dataset_label(table)
    assert about.column_labels == [one.label for one in exchange.variables(table)]
    dates = {name for name, kind in about.original_variable_types.items() if kind == "DATE9"}
    assert dates == {name for name in frame if frame[name].dtype.kind == "M"}


@pytest.mark.parametrize("table", exchange.DATASETS)
def test_the_bytes_are_those_another_writer_writes_but_for_its_clock(table, tmp_path):
    frame = sample(table)
    given = frame.assign(
        **{
            name: [None if pd.isna(day) else day.date() for day in frame[name]]
            for name in frame
            if frame[name].dtype.kind == "M"
        }
    )
    pyreadstat.write_xport(
        given,
        str(tmp_path / "theirs.xpt"),
        file_label=exchange.dataset_label(table),
        column_labels=[one.label for one in exchange.variables(table)],
        table_name=table.upper(),
        file_format_version=5,
        variable_format={name: "DATE9." for name in frame if frame[name].dtype.kind == "M"},
    )
    theirs = bytearray((tmp_path / "theirs.xpt").read_bytes())
    for place in STAMPS:
        theirs[place : place + 16] = STAMP
    assert exchange.xpt_bytes(table, frame, created=CUTOFF) == bytes(theirs)


@pytest.mark.parametrize("table", exchange.DATASETS)
def test_an_empty_table_keeps_its_variables_and_labels(table, tmp_path):
    (tmp_path / "t.xpt").write_bytes(exchange.xpt_bytes(table, contracts.empty(table), created=None))
    found, about = pyreadstat.read_xport(str(tmp_path / "t.xpt"))
    assert len(found) == 0 and list(found) == [one.name for one in exchange.variables(table)]
    assert about.column_labels == [one.label for one in exchange.variables(table)]


def test_a_variable_that_is_always_missing_keeps_its_type(tmp_path):
    frame = sample("adrs").assign(SUMDIAM=np.nan, AVALC=None, ADT=pd.NaT)
    found, about, _ = read_both(
        tmp_path, exchange.xpt_bytes("adrs", contracts.check("adrs", frame), created=None)
    )
    assert about.readstat_variable_types["SUMDIAM"] == about.readstat_variable_types["ADT"] == "double"
    assert (
        found.SUMDIAM.isna().all() and found.ADT.isna().all() and about.variable_storage_width["AVALC"] == 1
    )
    assert found.AVALC.eq("").all() and about.readstat_variable_types["AVALC"] == "string"


def test_categories_whole_numbers_and_short_floats_are_written_as_their_values(tmp_path):
    frame = sample("adtr")
    other = frame.assign(
        ORGAN=frame.ORGAN.astype("category"), AVISITN=np.arange(60), DIAM_MM=np.full(60, 0.5, np.float32)
    )
    plain = frame.assign(AVISITN=np.arange(60.0), DIAM_MM=0.5)
    assert exchange.xpt_bytes("adtr", other, created=CUTOFF) == exchange.xpt_bytes(
        "adtr", plain, created=CUTOFF
    )


def test_a_boolean_is_one_or_zero(tmp_path, monkeypatch):
    event = contracts.contract_of("analysis_set").columns["EVENT"]  # none of the seven holds a boolean
    schema = fields.table("an event", {"SUBJECT": fields.text("subject"), "EVENT": event}, None)
    monkeypatch.setitem(contracts.CONTRACTS, "adset", schema)
    frame = pd.DataFrame({"SUBJECT": ["A", "B", "C"], "EVENT": [True, False, True]})
    found, _, _ = read_both(tmp_path, exchange.xpt_bytes("adset", frame, created=None))
    assert found.EVENT.tolist() == [1.0, 0.0, 1.0]
    content = json.loads(exchange.dataset_json("adset", frame, study="TEST", created=None))
    assert content["rows"] == [["A", True], ["B", False], ["C", True]]
    assert content["columns"][1]["dataType"] == "boolean"


# ---- transport file: bytes
def test_the_records_of_the_header_are_those_of_the_standard():
    frame = sample("adtte", rows=4)
    content = exchange.xpt_bytes("adtte", frame, created=CUTOFF)
    records = [content[place : place + 80] for place in range(0, len(content), 80)]
    assert len(content) % 80 == 0
    assert records[0] == b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!" + b"0" * 30 + b"  "
    assert records[1][:24] == b"SAS     SAS     SASLIB  " and records[1][64:] == STAMP
    assert records[2] == STAMP + b" " * 64
    assert records[3].startswith(
        b"HEADER RECORD*******MEMBER  HEADER RECORD!!!!!!!0000000000000000016000000001"
    )
    assert records[3][74:78] == b"0140"  # bytes that describe a variable
    assert records[4].startswith(b"HEADER RECORD*******DSCRPTR HEADER RECORD!!!!!!!")
    assert records[5][:24] == b"SAS     ADTTE   SASDATA " and records[5][64:] == STAMP
    assert records[6][:16] == STAMP and records[6][32:72] == b"Time-to-Event Analysis Dataset".ljust(40)
    assert records[7].startswith(b"HEADER RECORD*******NAMESTR HEADER RECORD!!!!!!!0000000014")
    described = content[640 : 640 + 14 * 140]
    after = 640 + -(-14 * 140 // 80) * 80
    assert content[640 + 14 * 140 : after].strip(b" ") == b""
    assert content[after : after + 80].startswith(b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!")
    widths, starts = [], []
    for number, name in enumerate(frame, start=1):
        one = described[(number - 1) * 140 : number * 140]
        kind, _, width, place = struct.unpack(">hhhh", one[:8])
        assert place == number and one[8:16] == name.encode().ljust(8)
        assert kind == (2 if frame[name].dtype == object else 1) and (kind == 2 or width == 8)
        shown = (b"DATE    ", 9) if frame[name].dtype.kind == "M" else (b" " * 8, 0)
        assert (one[56:64], struct.unpack(">h", one[64:66])[0]) == shown
        widths.append(width)
        starts.append(struct.unpack(">i", one[84:88])[0])
    assert starts == [sum(widths[:place]) for place in range(14)]
    rows = content[after + 80 :]
    assert len(rows) == -(-4 * sum(widths) // 80) * 80 and rows[4 * sum(widths) :].strip(b" ") == b""


def test_known_numbers_have_known_codes():
    """1 = 16/16 * 16**0 = 1/16 * 16**1: exponent 64 + 1, fraction hex 10..."""
    numbers = [1.0, -1.0, 118.625, 0.0, float("nan")]
    expected = ["4110000000000000", "c110000000000000", "4276a00000000000", "0" * 16, "2e" + "0" * 14]
    assert [f"{code:016x}" for code in encode_ibm(np.array(numbers))] == expected


def test_no_number_loses_a_bit():
    rng = np.random.default_rng(3)
    many = rng.normal(0, 1, 3000) * 10.0 ** rng.integers(-70, 70, 3000)
    known = [
        0.1,
        1 / 3,
        30.4375,
        1e-70,
        -1e-70,
        7.2e75,
        5.4e-79,
        2.0**-260,
        2.0**52 + 1,
        np.pi,
        15.999999999999998,
    ]
    for number in [*many, *known]:
        assert decode_ibm(int(encode_ibm(np.array([number]))[0]).to_bytes(8, "big")) == number
    assert np.isnan(decode_ibm(int(encode_ibm(np.array([np.nan]))[0]).to_bytes(8, "big")))


@pytest.mark.parametrize("number", [1e76, -1e76, 1e-80, np.inf])
def test_a_number_the_format_cannot_hold_is_refused(number):
    frame = sample("adrs").assign(SUMDIAM=number)
    with pytest.raises(exchange.ExchangeError, match=r"(NUMBER_RANGE|INFINITE): adrs: .*SUMDIAM"):
        exchange.xpt_bytes("adrs", frame, created=None)


def test_dates_before_1960_are_negative_days_and_hours_are_left_out(tmp_path):
    days = [pd.Timestamp(day) for day in ("1959-12-31", "1960-01-01", "2014-02-11T09:30")]
    frame = sample("adrs", rows=3).assign(ADT=days)
    found, _, _ = read_both(tmp_path, exchange.xpt_bytes("adrs", frame, created=None))
    assert found.ADT.tolist() == [-1.0, 0.0, (dt.date(2014, 2, 11) - dt.date(1960, 1, 1)).days]


def test_without_a_cutoff_the_stamp_is_day_zero():
    content = exchange.xpt_bytes("adrs", sample("adrs"), created=None)
    assert all(content[place : place + 16] == b"01JAN60:00:00:00" for place in STAMPS)


@pytest.mark.parametrize("table", exchange.DATASETS)
def test_two_writes_give_the_same_bytes_and_leave_the_table_alone(table):
    frame = sample(table)
    before = frame.copy(deep=True)
    first = exchange.twins(table, frame, ["xpt", "json"], study="TEST", created=CUTOFF)
    assert first == exchange.twins(table, frame.copy(), ["xpt", "json"], study="TEST", created=CUTOFF)
    assert set(first) == {f"{table}.xpt", f"{table}.json"}
    pd.testing.assert_frame_equal(frame, before)


# ---- text: long, odd, not ASCII
def test_text_is_utf8_and_as_wide_as_its_longest_value_in_bytes(tmp_path):
    frame = sample("adrs", rows=2).assign(AVALC=["né", "日本"])
    found, about, other = read_both(tmp_path, exchange.xpt_bytes("adrs", frame, created=None))
    assert found.AVALC.tolist() == other.AVALC.tolist() == ["né", "日本"]
    assert about.variable_storage_width["AVALC"] == 6


@pytest.mark.parametrize(
    "text",
    [
        "A_CODE;" * 60,
        "a word " * 70 + "end",
        "é" * 150,
        "x" * 200,
        "x" * 201,
        "a" + " " * 300 + "b",
        "日 本" * 90,
    ],
)
def test_the_parts_of_a_long_text_give_it_back(text):
    parts = split_text(text)
    assert "".join(parts) == text
    assert all(len(part.encode()) <= 200 for part in parts)


def test_long_text_goes_on_in_further_variables(tmp_path):
    words = " ".join(["lesion"] * 60)  # 419 bytes: three parts
    codes = ";".join(f"CODE_{number:03d}" for number in range(30))  # 269 bytes: two
    frame = sample("adpet", rows=4).assign(FLAGS=[words, None, codes, "SHORT"])
    found, about, _ = read_both(tmp_path, exchange.xpt_bytes("adpet", frame, created=None))
    assert list(found)[-3:] == ["FLAGS", "FLAGS1", "FLAGS2"]
    joined = found.FLAGS + found.FLAGS1 + found.FLAGS2
    assert joined.tolist() == [words, "", codes, "SHORT"]
    assert found.FLAGS1[0].startswith(" lesion") and found.FLAGS[2].endswith(";")
    assert about.column_labels[-2:] == [
        "What a Reader Should Look At (2)",
        "What a Reader Should Look At (3)",
    ]


def test_a_name_of_eight_letters_gives_up_its_last_for_the_number(tmp_path):
    frame = sample("adtte", rows=2).assign(CNSDTDSC=["why " * 60, None])
    found, about, _ = read_both(tmp_path, exchange.xpt_bytes("adtte", frame, created=None))
    assert {"CNSDTDSC", "CNSDTDS1"} <= set(found) and len(set(about.column_labels)) == 15


@pytest.mark.parametrize(
    "table, column, text, code",
    [
        ("adtte", "USUBJID", "s" * 201, "KEY_TOO_LONG: adtte: USUBJID: 1 values"),
        ("adpet", "FLAGS", "f" * 2001, "TEXT_TOO_LONG: adpet: FLAGS: 1 values .* 11 parts"),
        ("adrs", "AVALC", "P\0D", "CHARACTER: adrs: AVALC: 1 distinct"),
    ],
)
def test_text_no_variable_can_hold_is_refused(table, column, text, code):
    frame = sample(table, rows=3)
    frame.loc[1, column] = text
    with pytest.raises(exchange.ExchangeError, match=code):
        exchange.xpt_bytes(table, frame, created=None)
    if code.startswith("TEXT_TOO_LONG"):
        exchange.xpt_bytes(table, frame.assign(**{column: text[:2000]}), created=None)


@pytest.mark.parametrize("change", [{"EXTRA": 1}, {"ADT": "2014-02-11"}, {"SUMDIAM": "12"}])
def test_a_table_that_is_not_the_contracts_is_refused(change):
    frame = sample("adrs").assign(**change)
    for write in (
        exchange.xpt_bytes,
        lambda *args, created: exchange.dataset_json(*args, study="T", created=created),
    ):
        with pytest.raises(exchange.ExchangeError, match=f"(COLUMNS|TYPE): adrs: .*{next(iter(change))}"):
            write("adrs", frame, created=None)


def test_a_long_name_or_label_is_refused():
    with pytest.raises(exchange.ExchangeError, match="NAME_OR_LABEL: adtte_sensitivity"):
        exchange.xpt_bytes("adtte_sensitivity", sample("adtte_sensitivity"), created=None)


# ---- Dataset-JSON
@pytest.mark.parametrize("table", exchange.DATASETS)
def test_dataset_json_has_the_attributes_of_version_1_1_in_their_order(table):
    frame = sample(table)
    content = json.loads(exchange.dataset_json(table, frame, study="TEST", created=CUTOFF))
    name = table.upper()
    assert list(content) == [
        *("datasetJSONCreationDateTime", "datasetJSONVersion", "studyOID", "itemGroupOID", "records", "name"),
        *("label", "columns", "rows"),
    ]
    assert content["datasetJSONCreationDateTime"] == "2016-08-01T00:00:00"
    assert (content["datasetJSONVersion"], content["itemGroupOID"]) == ("1.1.0", f"IG.{name}")
    assert content["records"] == len(content["rows"]) == len(frame)
    order = [
        "itemOID",
        "name",
        "label",
        "dataType",
        "targetDataType",
        "length",
        "displayFormat",
        "keySequence",
    ]
    for column in content["columns"]:
        assert list(column) == [attribute for attribute in order if attribute in column]
        assert column["itemOID"] == f"IT.{name}.{column['name']}"
        values = frame[column["name"]]
        if values.dtype.kind == "M":
            shown = (column["dataType"], column["targetDataType"], column["displayFormat"])
            assert shown == ("date", "integer", "DATE9.")
        else:
            assert column["dataType"] == {"f": "float", "i": "integer", "O": "string"}[values.dtype.kind]
            assert "targetDataType" not in column
    keys = {column["name"]: column["keySequence"] for column in content["columns"] if "keySequence" in column}
    assert sorted(keys, key=keys.get) == list(contracts.contract_of(table).unique or [])


@pytest.mark.parametrize("table", exchange.DATASETS)
def test_dataset_json_holds_every_value_as_its_type(table):
    frame = sample(table)
    rows = json.loads(exchange.dataset_json(table, frame, study="TEST", created=None))["rows"]
    for place, name in enumerate(frame):
        column = [row[place] for row in rows]
        assert [value is None for value in column] == frame[name].isna().tolist()
        held = [value for value in column if value is not None]
        if frame[name].dtype.kind == "M":
            assert held == [f"{day:%Y-%m-%d}" for day in frame[name].dropna()]
        else:
            assert held == frame[name].dropna().tolist()
            assert {type(value) for value in held} <= {
                {"f": float, "i": int, "O": str}[frame[name].dtype.kind]
            }


@pytest.mark.parametrize("table", exchange.DATASETS)
def test_the_projects_own_reader_reads_the_same_text_from_every_format(table, tmp_path):
    frame = sample(table)
    files = exchange.twins(table, frame, ["xpt", "json"], study="TEST", created=None)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    frame.to_parquet(tmp_path / f"{table}.parquet")
    read = [read_frame(tmp_path / f"{table}.{kind}") for kind in ("parquet", "json", "xpt")]
    for other in read[1:]:
        pd.testing.assert_frame_equal(read[0], other)


def test_an_empty_dataset_json_is_read_back_with_its_columns(tmp_path):
    content = exchange.dataset_json("adsl", contracts.empty("adsl"), study="TEST", created=None)
    assert json.loads(content)["rows"] == [] and json.loads(content)["records"] == 0
    (tmp_path / "adsl.json").write_bytes(content)
    assert list(read_frame(tmp_path / "adsl.json")) == [one.name for one in exchange.variables("adsl")]


# ---- what a run asks for
def test_only_the_seven_datasets_have_twins():
    assert exchange.twins("adlesion", sample("adlesion"), ["xpt"], study="TEST", created=None) == {}
    assert exchange.twins("adrs", sample("adrs"), [], study="TEST", created=None) == {}
    with pytest.raises(exchange.ExchangeError, match=r"FORMAT_UNKNOWN.*sas7bdat"):
        exchange.twins("adrs", sample("adrs"), ["sas7bdat"], study="TEST", created=None)


def test_the_plan_asks_for_formats_there_are():
    formats = plan.defaults().design.exchange_formats
    assert set(exchange.twins("adrs", sample("adrs"), formats, study="TEST", created=None)) == {"adrs.xpt"}


def test_the_stamp_is_the_data_cutoff_of_the_study():
    adsl = sample("adsl").assign(DCUTDT=pd.Timestamp("2016-08-01"))
    assert exchange.cutoff(adsl) == CUTOFF
    assert exchange.cutoff(adsl.assign(DCUTDT=adsl.DCUTDT.where(adsl.index == 7))) == CUTOFF
    assert exchange.cutoff(contracts.empty("adsl")) is None and exchange.cutoff(None) is None


# ---- CSV
def by_pandas(frame: pd.DataFrame) -> bytes:
    """Return the CSV as pandas writes it."""
    return frame.to_csv(index=False, lineterminator="\n", date_format="%Y-%m-%d").encode()


@pytest.mark.parametrize("table", [name for name in contracts.CONTRACTS if name != "mips"])
def test_the_csv_is_the_one_pandas_writes(table):
    frame = sample(table)
    assert exchange.csv_bytes(frame) == by_pandas(frame)
    assert exchange.csv_bytes(frame.head(0)) == by_pandas(frame.head(0))


def test_the_csv_of_awkward_values_is_the_one_pandas_writes():
    frame = pd.DataFrame(
        {
            "TEXT": ["a,b", 'say "x"', "two\nlines", "a\rb", "", None, " x ", "é", "'", "\t", "a;b", "NaN"],
            "NUMBER": [
                0.1,
                -0.0,
                0.0,
                1e300,
                1e-5,
                1e16,
                123456789.0,
                np.nan,
                np.inf,
                -np.inf,
                1 / 3,
                5e-324,
            ],
            "WHOLE": np.arange(12) - 5,
            "SHORT": np.linspace(0, 1, 12).astype(np.float32),
            "FLAG": [True, False] * 6,
            "MIXED": [1, True, 1.0, "1", None, np.nan, 0, False, 0.0, 2.5, "a,b", "x"],
            "DAY": pd.to_datetime([None, "2014-02-11 09:30"] * 6),
            "GROUP": pd.Categorical(["b", "a", None] * 4),
            "NAME, WITH COMMA": [None] * 12,
        }
    )
    assert exchange.csv_bytes(frame) == by_pandas(frame)
    for name in frame:
        assert exchange.csv_bytes(frame[[name]]) == by_pandas(frame[[name]])
