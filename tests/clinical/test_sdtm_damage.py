"""Damaged files of every kind: a coded problem that says what and where, never another exception."""

import gzip
import json
import os
import pickle
import random
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from analysis.clinical import SdtmError, read_sdtm, sdtm

sys.path.insert(0, str(Path(__file__).parent))  # the writers beside this file
import sdtm_writers

DM = sdtm_writers.DM
HEADER = "STUDYID,USUBJID,DTHDTC\n"
GOOD = HEADER + "S,S-1,2020-01-01\nS,S-2,\n"
ABOUT, ROWS = sdtm_writers.dataset_json(DM, "DM", typed=False)


def refused(folder, needed=("DM",), **how):
    with pytest.raises(SdtmError) as error:
        read_sdtm(folder, needed, **how)
    return error.value


def only(error):
    (problem,) = error.problems
    return problem


def dataset_json(**changes):
    return json.dumps({**ABOUT, "rows": ROWS, **changes}).encode()


def column_without_name():
    return dataset_json(columns=[*ABOUT["columns"][:-1], {"label": "?"}])


DAMAGED = {
    # file: (name, content, code, words of the message)
    "empty": ("dm.csv", b"", "UNREADABLE", "is empty"),
    "blank lines": ("dm.csv", b"\n\n\r\n", "UNREADABLE", "is empty"),
    "only a header": ("dm.csv", HEADER.encode(), "NO_ROWS", "not one subject"),
    "a long line": ("dm.csv", (GOOD + "S,S-3,,\n").encode(), "UNREADABLE", r"1 line\(s\).*first \[4\]"),
    "a short line": ("dm.csv", (GOOD + "S,S-3\n").encode(), "UNREADABLE", r"1 line\(s\).*first \[4\]"),
    "a short line below empty ones": (
        "dm.csv", ("\r\n\r\n" + GOOD + "S,S-3\n").encode(), "UNREADABLE", r"first \[6\]",
    ),
    "a quote left open below an empty line": (
        "dm.csv", ("\n" + HEADER + 'S,S-1,"2020\n').encode(), "UNREADABLE", "line 3: a quot",
    ),
    "only a header and separators": ("dm.csv", (HEADER + ",,\n").encode(), "NO_ROWS", "not one subject"),
    "a comma at the end of each record": (
        "dm.csv", (HEADER + "S,S-1,,\nS,S-2,,\n").encode(), "UNREADABLE", r"2 line\(s\).*first \[2, 3\]",
    ),
    "a subject without a study": (
        "dm.csv", ("\n" + HEADER + "S,S-1,\n,S-2,\n").encode(), "NO_STUDY", r"1 record\(s\) without a study.*line 4",
    ),
    "a NUL byte": ("dm.csv", GOOD.replace("S-2", "S\0-2").encode(), "UNREADABLE", "line 3 holds a NUL"),
    "a quote left open": ("dm.csv", (HEADER + 'S,S-1,\nS,S-2,"2020\nS,S-3,\n').encode(), "UNREADABLE", "line 3: a quot"),
    "two stray quotes": (
        "dm.csv", (HEADER + 'S,S-1,"x\nS,S-2,\nS,S-3,"y\n').encode(), "UNREADABLE", "line 2: a quotation mark",
    ),
    "latin-1": ("dm.csv", GOOD.replace("S-2", "S-é").encode("latin-1"), "ENCODING", "line 3 is not UTF-8; export"),
    "half of utf-16": ("dm.csv", GOOD.encode("utf-16")[:-1], "ENCODING", "damaged UTF-16"),
    "utf-16 without mark": ("dm.csv", GOOD.encode("utf-16-le"), "UNREADABLE", "NUL byte"),
    "no CSV at all": ("dm.csv", b"PK\x03\x04\x14\x00\x06", "UNREADABLE", "dm.csv line 1"),
    "cut gzip": ("dm.csv.gz", gzip.compress(GOOD.encode())[:-12], "UNREADABLE", "no whole gzip file"),
    "no gzip": ("dm.csv.gz", GOOD.encode(), "UNREADABLE", "no whole gzip file"),
    "text as transport file": ("dm.xpt", GOOD.encode(), "UNREADABLE", "dm.xpt cannot be read"),
    "text as sas7bdat": ("dm.sas7bdat", GOOD.encode(), "UNREADABLE", "dm.sas7bdat cannot be read"),
    "text as parquet": ("dm.parquet", GOOD.encode(), "UNREADABLE", "dm.parquet cannot be read"),
    "text as JSON": ("dm.json", GOOD.encode(), "UNREADABLE", "no JSON from line 1"),
    "cut JSON": ("dm.json", dataset_json()[:-3], "UNREADABLE", "no JSON from line 1"),
    "JSON list": ("dm.json", b"[1, 2]", "NOT_DATASET_JSON", "needs 'columns' and 'rows'"),
    "no rows": ("dm.json", json.dumps(ABOUT).encode(), "NOT_DATASET_JSON", "needs 'columns' and 'rows'"),
    "no columns": ("dm.json", dataset_json(columns=None), "NOT_DATASET_JSON", "needs 'columns' and 'rows'"),
    "no column": ("dm.json", dataset_json(columns=[], rows=[], records=0), "NOT_DATASET_JSON", "no column"),
    "column without name": ("dm.json", column_without_name(), "NOT_DATASET_JSON", r"column\(s\) \[6\] have no name"),
    "uneven rows": ("dm.json", dataset_json(rows=[*ROWS, ["S"]]), "NOT_DATASET_JSON", r"1 row.*first \[4\]"),
    "missing rows": ("dm.json", dataset_json(rows=ROWS[1:]), "UNREADABLE", "2 of the 3 rows"),
    "rows counted in text": ("dm.json", dataset_json(records="4"), "UNREADABLE", "3 of the 4 rows"),
    "rows counted in words": ("dm.json", dataset_json(records="three"), "NOT_DATASET_JSON", "'records' is 'three'"),
    "another table by name": ("dm.json", dataset_json(name="AE"), "WRONG_DOMAIN", "DM.name: the file says that it is AE"),
    "another table by group": (
        "dm.json", dataset_json(itemGroupOID="IG.AE"), "WRONG_DOMAIN", "itemGroupOID: the file says that it is AE",
    ),
    "a list as value": ("dm.json", dataset_json(rows=[[["x"]] * 6] * 3), "UNREADABLE", "holds list values in STUDYID"),
    "rows of objects": ("dm.json", dataset_json(rows=[{"USUBJID": "S-1"}] * 3), "NOT_DATASET_JSON", "3 row"),
    "cut ndjson": ("dm.ndjson", (json.dumps(ABOUT) + '\n["S", ').encode(), "UNREADABLE", "no JSON in line 2"),
    "ndjson without rows": ("dm.ndjson", json.dumps(ABOUT).encode(), "UNREADABLE", "0 of the 3 rows"),
    "columns twice": (
        "dm.csv", GOOD.replace("DTHDTC", "dthdtc,DTHDTC").replace(",2020", ",,2020").replace("S-2,", "S-2,,").encode(),
        "COLUMN_TWICE", "dm.csv has this column twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("label", DAMAGED)
def test_a_damaged_file_is_refused_by_code_and_place(tmp_path, label):
    name, content, code, words = DAMAGED[label]
    (tmp_path / name).write_bytes(content)
    problem = only(refused(tmp_path))
    assert (problem.code, problem.domain) == (code, "DM")
    with pytest.raises(SdtmError, match=words):
        read_sdtm(tmp_path)
    assert str(tmp_path) not in problem.message


@pytest.mark.parametrize("lost", [1, 40, 80, 160])
@pytest.mark.parametrize("label", ["xpt 5", "xpt 8", "sas7bdat", "parquet, text"])
def test_a_binary_file_that_was_cut_is_refused(tmp_path, label, lost):
    many = {name: (kind, values * 40) for name, (kind, values) in DM.items()}
    many["USUBJID"] = ("text", [f"S-{number:02}" for number in range(120)])
    many["DTHDTC"] = ("date", [DM["DTHDTC"][1][0]] * 120)  # no blank row: a cut would else look like padding
    sdtm_writers.write(many, tmp_path, "DM", label)
    (file,) = tmp_path.iterdir()
    assert len(read_sdtm(tmp_path)["DM"]) == 120
    file.write_bytes(file.read_bytes()[:-lost])
    assert only(refused(tmp_path)).code == "UNREADABLE"


def test_a_transport_file_cut_between_two_rows_is_refused_where_it_counts_them(tmp_path):
    sdtm_writers.write({"STUDYID": ("text", ["S" * 40] * 4), "USUBJID": ("text", [f"S-{n:038}" for n in range(4)]),
                        "DTHDTC": ("text", ["2" * 80] * 4)}, tmp_path, "DM", "xpt 8")  # fmt: skip
    file = tmp_path / "dm.xpt"
    assert len(read_sdtm(tmp_path)["DM"]) == 4
    whole = file.read_bytes()
    file.write_bytes(whole[:-160])  # a row is two records of 80 bytes
    assert "has 3 of the 4 rows it announces" in only(refused(tmp_path)).message
    counted = b"HEADER RECORD!!!!!!!              4 "
    assert whole.count(counted) == 1
    file.write_bytes(whole.replace(counted, counted.replace(b"4", b"0")))  # a writer that did not know
    assert len(read_sdtm(tmp_path)["DM"]) == 4


@pytest.mark.parametrize("records", [3, "3", 3.0, "3.0", None])
def test_a_count_of_rows_may_be_written_in_any_way(tmp_path, records):
    (tmp_path / "dm.json").write_bytes(dataset_json(records=records, name="dm", itemGroupOID="IG.DM"))
    assert len(read_sdtm(tmp_path)["DM"]) == 3


def test_two_tables_in_one_transport_file_are_refused(tmp_path):
    sdtm_writers.write(DM, tmp_path, "DM", "xpt 5")
    data = (tmp_path / "dm.xpt").read_bytes()
    (tmp_path / "dm.xpt").write_bytes(data + data[240:])  # the first three records are the library's
    assert "holds 2 tables" in only(refused(tmp_path)).message


def test_text_of_a_transport_file_in_another_encoding_is_refused(tmp_path):
    sdtm_writers.write({**DM, "SEX": ("text", ["F", "é", "M"])}, tmp_path, "DM", "xpt 5")
    data = (tmp_path / "dm.xpt").read_bytes()
    (tmp_path / "dm.xpt").write_bytes(data.replace("é".encode(), "é ".encode("latin-1")))
    assert only(refused(tmp_path)).code == "ENCODING"


def test_lists_in_parquet_are_refused(tmp_path):
    frame = sdtm_writers.parquet(DM, False).assign(ARM=[["a"], ["b"], None])
    frame.to_parquet(tmp_path / "dm.parquet")
    assert "in ARM" in only(refused(tmp_path)).message


def test_a_folder_or_a_link_to_nothing_is_no_file(tmp_path):
    (tmp_path / "dm.csv").mkdir()
    (tmp_path / "ae.csv").symlink_to(tmp_path / "nowhere")
    assert [(p.code, p.domain) for p in refused(tmp_path).problems] == [
        ("UNREADABLE", "DM"),
        ("UNREADABLE", "AE"),
    ]


@pytest.fixture
def other_user():
    """Act as a user without rights, as root may read everything."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.seteuid(65534)
        yield folder
        os.seteuid(0)
    else:
        yield folder


def test_what_may_not_be_opened_is_a_problem(other_user):
    own = os.getuid()
    effective = os.geteuid()
    os.seteuid(own)
    (other_user / "dm.csv").write_text(GOOD)
    (other_user / "dm.csv").chmod(0)
    os.seteuid(effective)
    assert "may not be opened" in only(refused(other_user)).message
    os.seteuid(own)
    other_user.chmod(0)
    os.seteuid(effective)
    problem = only(refused(other_user))
    assert problem.code == "NO_FOLDER" and "cannot be opened (PermissionError)" in problem.message
    os.seteuid(own)
    other_user.chmod(0o755)


# --- contracts


TR = "USUBJID,TRSEQ,TRLNKID,TRTESTCD,TRORRES,TRDTC\n"


def with_tr(folder, *rows, header=TR):
    (folder / "dm.csv").write_text(GOOD)
    (folder / "tr.csv").write_text(header + "".join(row + "\n" for row in rows))
    return folder


def test_record_numbers_must_be_there_be_numbers_and_differ(tmp_path):
    rows = ["S-1,1,T1,LDIAM,5,2020", "S-1,1.0,T1,LDIAM,6,2020", "S-1,x,T1,LDIAM,5,2020", ",4,T1,LDIAM,5,2020"]
    error = refused(with_tr(tmp_path, *rows, "S-2,,T1,LDIAM,5,2020"))
    assert [(p.code, p.column, p.records) for p in error.problems] == [
        ("NO_SUBJECT", "USUBJID", ("line 5",)),
        ("NO_SEQUENCE", "TRSEQ", ("line 6",)),
        ("NOT_A_NUMBER", "TRSEQ", ("line 4",)),
        ("DUPLICATE_KEY", "USUBJID TRSEQ", ("S-1 1",)),
    ]
    assert "'x' (line 4)" in error.problems[2].message


def test_separators_between_records_are_a_record_of_nobody(tmp_path):
    (tmp_path / "dm.csv").write_text(HEADER + "S,S-1,\n,,\nS,S-2,\n")
    found = [(p.code, p.records) for p in refused(tmp_path).problems]
    assert found == [("NO_SUBJECT", ("line 3",)), ("NO_STUDY", ("line 3",))]


def test_a_problem_names_the_first_five_records_and_the_count(tmp_path):
    error = refused(with_tr(tmp_path, *[f",{n},T1,LDIAM,5,2020" for n in range(9)]))
    (row,) = error.table().to_dict("records")
    assert row["CODE"] == "NO_SUBJECT" and row["VARIABLE"] == "USUBJID" and row["RECORDS"] == 9
    assert row["RECORD"] == "line 2; line 3; line 4; line 5; line 6 ..."
    assert row["RECORD"] in row["MESSAGE"] and row["MESSAGE"].startswith("9 record(s)")
    pd.testing.assert_frame_equal(sdtm.problem_table(error), error.table())
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(error)).table(), error.table())


def test_lines_are_not_named_where_a_record_has_several(tmp_path):
    error = refused(with_tr(tmp_path, 'S-1,1,"T\n1",LDIAM,5,2020', ",2,T1,LDIAM,5,2020"))
    assert error.problems[0].records == ("record 2",)


def test_a_bad_value_of_one_record_stops_nothing_and_keeps_its_text(tmp_path):
    (tmp_path / "dm.csv").write_text("STUDYID,USUBJID,DTHDTC,AGE\nS,S-1,2020-02-31,about 60\nS,s-1,, 61.0 \n")
    found = read_sdtm(tmp_path)
    assert found["DM"].DTHDTC.tolist() == ["2020-02-31", None]
    assert found["DM"].AGE.tolist() == ["about 60", "61"]
    assert found["DM"].USUBJID.tolist() == ["S-1", "s-1"]  # case is part of a subject's number
    (row,) = sdtm.list_not_numbers(found, sdtm.NUMBERS).to_dict("records")
    assert row == {"USUBJID": "S-1", "DOMAIN": "DM", "VARIABLE": "AGE", "SEQ": None, "VALUE": "about 60"}


def test_without_record_numbers_the_whole_record_is_the_key(tmp_path):
    header = "USUBJID,AESTDTC,AENOTE\n"
    (tmp_path / "dm.csv").write_text(GOOD)
    (tmp_path / "ae.csv").write_text(header + "S-1,2020,a\nS-1,2020,b\n")  # they differ in a column left out
    assert len(read_sdtm(tmp_path)["AE"]) == 2
    (tmp_path / "ae.csv").write_text(header + "S-1,2020,a\nS-2,2020,a\nS-1,2020,a\n")
    problem = only(refused(tmp_path))
    assert (problem.code, problem.records) == ("DUPLICATE_KEY", ("line 2", "line 4"))


def test_numbers_written_in_two_ways_do_not_tell_records_apart(tmp_path):
    (tmp_path / "dm.csv").write_text(GOOD)
    (tmp_path / "sv.csv").write_text(
        "USUBJID,VISITNUM,SVSTDTC,NOTE\nS-1,1.0,2020,a\nS-1,1,2020,a\nS-1,1,2020,b\n"
    )
    problem = only(refused(tmp_path))
    assert (problem.code, problem.domain, problem.records) == ("DUPLICATE_KEY", "SV", ("line 2", "line 3"))


def test_a_flag_stands_once_for_a_subject(tmp_path):
    (tmp_path / "dm.csv").write_text(GOOD)
    (tmp_path / "suppdm.csv").write_text(
        "RDOMAIN,USUBJID,QNAM,QVAL\nDM,S-1,ITT,Y\nDM,S-1,ITT,N\nDM,S-2,ITT,Y\n"
    )
    assert only(refused(tmp_path)).records == ("S-1 ITT",)


def test_a_needed_domain_must_hold_records(tmp_path):
    with_tr(tmp_path)
    assert read_sdtm(tmp_path)["TR"].empty
    assert str(only(refused(tmp_path, ["DM", "TR"]))) == "NO_ROWS TR: not one record; export it again"


def test_records_of_another_domain_are_refused(tmp_path):
    header = "DOMAIN," + TR
    rows = ["TR,S-1,1,T1,LDIAM,5,2020", "TU,S-1,2,T1,LDIAM,5,2020", "tr,S-1,3,T1,LDIAM,5,2020"]
    problem = only(refused(with_tr(tmp_path, *rows, header=header)))
    assert (problem.code, problem.records) == ("WRONG_DOMAIN", ("line 3",))
    assert "belong to TU" in problem.message


def test_one_folder_holds_one_study(tmp_path):
    with_tr(tmp_path, "R,S-1,1,T1,LDIAM,5,2020", header="STUDYID," + TR)
    problem = only(refused(tmp_path))
    assert (problem.code, problem.domain, problem.records) == ("STUDY_MIXED", "TR", ("R",))
    (tmp_path / "dm.csv").write_text(GOOD + "R,R-1,\n")
    problem = only(refused(tmp_path))
    assert (problem.code, problem.domain, problem.records) == ("STUDY_MIXED", "DM", ("S", "R"))


# --- whatever happens to a file


def cut(rng, data):
    return data[: rng.randrange(len(data))]


def flip(rng, data):
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def drop_line(rng, data):
    lines = data.splitlines(keepends=True)
    lines.pop(rng.randrange(len(lines)))
    return b"".join(lines)


def double_line(rng, data):
    lines = data.splitlines(keepends=True)
    place = rng.randrange(len(lines))
    return b"".join([*lines[:place], lines[place], *lines[place:]])


def double_part(rng, data):
    start = rng.randrange(len(data))
    return data[:start] + data[max(0, start - rng.randrange(200)) :]


CHANGES = [cut, flip, drop_line, double_line, double_part]
TABLES = {
    "DM": DM,
    "EX": {
        "USUBJID": ("text", ["S-1", "S-1", 'a "b",\nc']),
        "EXSEQ": ("number", [1.0, 2.0, 1.0]),
        "EXSTDTC": DM["DTHDTC"],
        "EXENDTC": DM["DTHDTC"],
        "EXDOSE": ("number", [10.0, None, 0.0]),
    },
}


@pytest.mark.parametrize("label", sdtm_writers.WRITERS)
def test_a_mutated_file_is_read_or_refused_and_nothing_else(tmp_path, label):
    for domain, table in TABLES.items():
        sdtm_writers.write(table, tmp_path, domain, label)
    whole = {file: file.read_bytes() for file in tmp_path.iterdir()}
    rng = random.Random(label)
    refusals = 0
    for number in range(25):
        for file, data in whole.items():
            file.write_bytes(data)
        for file, data in rng.sample(sorted(whole.items()), rng.randint(1, 2)):
            file.write_bytes(CHANGES[number % len(CHANGES)](rng, data))
        try:
            found = read_sdtm(tmp_path, ["DM", "EX"])
        except SdtmError as error:
            refusals += 1
            assert all(problem.code and problem.domain and problem.message for problem in error.problems)
        else:
            assert set(found) == set(sdtm.DOMAINS)
            for frame in found.values():
                assert all(value is None or isinstance(value, str) for value in frame.to_numpy().ravel())
    assert refusals  # or the changes do nothing
