"""What counts as a UID, a day, a time and a subject, and what only looks like one."""

import json

import pandas as pd
import pytest

from analysis import plan
from analysis.pet.technique import keep_technical
from analysis.privacy import gate, search, vocabulary

RULES = plan.defaults().privacy
ROWS = [
    ("SUBJECT", "8812734", "PatientID"),
    ("SUBJECT", "ZX-01-0071", "PatientID"),
    ("SUBJECT", "10234", "PatientID"),
    ("PERSON", "Quistorp", "column READER"),
    ("DATE", "2015-04-21", "StudyDate"),
    ("UID", "1.9.77.4", "SeriesInstanceUID"),
    ("TIME", "08:22:12", "StudyTime"),
]
VERSIONS = [
    *("2.0.1.38549", "1.5.2.0", "scipy 1.15.3.1", "certifi 2024.12.14", "1.2.3.4", "VG60A 61.00"),
    *("10.4.0.35.0", "took 0:01:02", "1:10:20"),
]
UIDS = [
    *("2.25.329800735698586629295641978511506172918", "1.2.840.113619.2.55.3", "1.3.12.2.1107.5.1"),
    *("1.3.6.1.4.1.14519.5", "2.16.840.1.113662", "1.2.826.0.1.3680043.8", "1.9.123456.7891.22.33"),
    *("1.9.77.4", "1_2_840_113619_2_55"),
]


@pytest.fixture(scope="module")
def known():
    frame = pd.DataFrame(ROWS, columns=["KIND", "VALUE", "FIRSTSEEN"])
    frame = frame.assign(SEARCHABLE=frame["VALUE"] != "10234", CODED=frame["KIND"] == "PERSON")
    return vocabulary.build(frame, "", RULES)


def found(known, name, text):
    return {finding.rule for finding in search.Searcher(RULES, known).search(name, text.encode())}


@pytest.mark.parametrize("text", VERSIONS)
def test_a_version_or_a_duration_is_no_identifier(known, text):
    assert found(known, "a.txt", f"made with {text}, see") == set()


@pytest.mark.parametrize("text", VERSIONS[:2])
def test_what_the_quality_pages_keep_as_technical_passes(known, text):
    assert keep_technical(text, plan.defaults().pet) == text
    assert found(known, "a.txt", text) == set()


@pytest.mark.parametrize("text", UIDS)
def test_a_uid_is_found(known, text):
    assert found(known, "a.txt", f"series {text}") == {"UID"}


def test_a_column_nobody_listed_hides_no_name(known):
    assert found(known, "a.txt", "read by Quistorp") == {"PERSON"}


@pytest.mark.parametrize(
    "text",
    [
        *(
            "8812734.0",
            "#8812734",
            "MRN8812734",
            "pt.8812734",
            "ZX_01_0071",
            "zx010071",
            "ZX\u201101\u20110071",
        ),
        *(
            "ZX\u201301\u20130071",
            "ZX/01/0071",
            "ZX-01-\n0071",
            "patient 10234",
            "P10234",
            "subject no. 10234",
        ),
    ],
)
def test_a_subject_is_found_however_it_is_written(known, text):
    assert found(known, "a.txt", f"see {text} there") == {"SUBJECT"}


@pytest.mark.parametrize("name", ["P8812734.txt", "8812734.1.txt", "ZX/01/0071.txt", "fig_10234.svg"])
def test_a_subject_in_a_path_is_found(known, name):
    assert found(known, name, "<svg/>" if name.endswith("svg") else "x") == {"SUBJECT"}


@pytest.mark.parametrize(
    "text",
    ["10234 voxels, p = 0.10234, #881273", "#10234a", "8812734.5", "88127341", "0.8812734", "a8812734b"],
)
def test_a_count_a_colour_or_a_fraction_is_no_subject(known, text):
    assert found(known, "a.txt", text) == set()


def test_a_short_number_counts_in_a_column_of_subjects(known):
    assert found(known, "a.csv", "SUBJID,N\n10234,1\n") == {"SUBJECT"}
    assert found(known, "a.csv", "VOXELS,N\n10234,1\n") == set()


@pytest.mark.parametrize(
    "page",
    [
        *(
            "ZX-01<wbr>-0071",
            "ZX-01<font>-0071</font>",
            "<abbr>88127</abbr>34",
            "<a href='#ZX-01-0071'>x</a>",
        ),
        *(
            "<g d='ZX-01-0071'/>",
            "<p width='ZX-01-0071'>",
            "<p data-zx-01-0071>",
            "<zx-01-0071>x</zx-01-0071>",
        ),
    ],
)
def test_a_subject_cut_or_hidden_by_markup_is_found(known, page):
    assert found(known, "a.html", f"<html>{page}</html>") == {"SUBJECT"}


@pytest.mark.parametrize(
    "outputs",
    [
        [{"output_type": "stream", "name": "stdout", "text": ["88127", "34"]}],
        [{"output_type": "stream", "name": "stdout", "text": part} for part in ("88127", "34")],
        [{"output_type": "error", "ename": "E", "evalue": "", "traceback": ["88127", "34"]}],
    ],
)
def test_what_a_notebook_shows_in_one_line_is_searched_as_one(known, outputs):
    cell = {"cell_type": "code", "source": "", "metadata": {}, "outputs": outputs}
    content = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    assert found(known, "a.ipynb", json.dumps(content)) == {"SUBJECT"}


@pytest.mark.parametrize("text", [r"Qu\u0069storp", "Qu%69storp", "Qu&#105;storp"])
def test_escaped_text_is_found_in_any_file(known, text):
    assert found(known, "a.log", text) == {"PERSON"}


@pytest.mark.parametrize(
    "text", ["2015_04_21", "2031 March 7", "21.04.15", "04/21/15", "15-04-21", "2015 04 21"]
)
def test_more_spellings_of_a_day(known, text):
    assert found(known, "a.txt", f"on {text},") == {"DATE"}


def test_short_forms_count_only_for_days_of_the_raw_files(known):
    assert found(known, "a.txt", "22.04.15 and 04/23/15, 8:22:13 and 2015.04.22") == set()
    assert found(known, "a.txt", "at 8:22:12") == {"TIME"}


@pytest.mark.parametrize("root", ["gpfs", "lustre", "storage", "cluster", "mnt"])
def test_an_absolute_path_is_found(known, root):
    assert found(known, "a.txt", f"read /{root}/trial/x") == {"PATH"}


def test_the_name_of_an_empty_folder_is_searched(known, tmp_path):
    (tmp_path / "ZX-01-0071").mkdir()
    assert [finding.rule for finding in gate.scan(tmp_path, known, RULES).findings] == ["SUBJECT"]
