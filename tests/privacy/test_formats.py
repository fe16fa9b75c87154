"""What `formats` reads: kinds by their bytes, places that can be told, cells of tables."""

import base64
import json

import pytest

from analysis.privacy import formats


def chunks(name, content):
    read = formats.read(name, content if isinstance(content, bytes) else content.encode())
    return [chunk for passage in read.passages for chunk in passage.chunks if chunk[1].strip()]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"a,b\n1,2\n", "text"),
        (b"\xef\xbb\xbfa,b\n", "text"),
        (b"", "text"),
        ("Müller".encode(), "text"),
        ("Müller".encode("utf-16"), "unknown"),
        (b"a\0b", "unknown"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"II*\0" + bytes(8), "tiff"),
        (b"MM\0*" + bytes(8), "tiff"),
        (b"II+\0" + bytes(8), "unknown"),
    ],
)
def test_a_kind_is_read_from_the_bytes(content, kind):
    assert formats.kind_of(content) == kind


def test_text_is_told_by_line():
    assert chunks("a.txt", "one\n\nthree") == [("line 1", "one"), ("line 3", "three")]


def test_json_is_told_by_path_with_keys_and_numbers():
    assert chunks("a.json", '{"a": [{"b": 20150421}, "x"]}') == [
        ("/a", "a"),
        ("/a/0/b", "b"),
        ("/a/0/b", "20150421"),
        ("/a/1", "x"),
    ]


def test_markup_is_told_by_line_and_geometry_is_left_out():
    page = '<svg>\n<path d="M 1 2" id="k"/>\n<!-- label -->\n<text>A<tspan>B</tspan> &amp; C</text></svg>'
    assert chunks("a.svg", page) == [
        *(("line 4", "A"), ("line 4", "B"), ("line 4", " & C")),
        *(("line 2", "k"), ("line 3", " label ")),
        *(("line 1", "svg"), ("line 2", "d"), ("line 2", "id"), ("line 2", "path")),
        *(("line 4", "text"), ("line 4", "tspan")),
    ]


def test_words_of_two_blocks_do_not_run_together():
    text = formats.read("a.html", b"<p>One</p><p>Two <i>and</i>More</p>").passages[0].text
    assert text.split() == ["One", "Two", "andMore"]


def test_cells_of_a_table_have_the_names_of_their_columns():
    page = "<table><tr><th></th><th>AGE</th></tr><tr><th>a</th><td>9<b>1</b></td></tr></table>"
    assert formats.read("a.html", page.encode()).cells == [("line 1", "", "a"), ("line 1", "AGE", "91")]
    assert formats.read("a.csv", b"AGE,N\n91,x\n").cells == [("line 2", "AGE", "91"), ("line 2", "N", "x")]


def test_an_embedded_file_is_read_and_its_bytes_are_not_taken_for_words():
    inner = base64.b64encode(b"<svg><text>secret</text></svg>").decode()
    found = chunks("a.html", f'<html><img src="data:image/svg+xml;base64,{inner}"></html>')
    assert ("line 1, embedded image/svg+xml > line 1", "secret") in found
    assert not [text for _, text in found if inner in text]
    assert ("text, embedded text/plain > line 1", "a b") in chunks("a.txt", "data:,a%20b")


def test_every_part_of_a_notebook_is_read():
    cell = {
        "cell_type": "code",
        "source": ["one\n", "two"],
        "metadata": {"tags": ["three"]},
        "attachments": {"p.txt": {"text/plain": "four"}},
        "outputs": [
            {"output_type": "stream", "name": "stdout", "text": "five\nsix"},
            {
                "output_type": "error",
                "ename": "seven",
                "evalue": "eight",
                "traceback": ["\x1b[31mni\x1b[0mne"],
            },
            {"output_type": "display_data", "metadata": {"k": "ten"}, "data": {"text/html": "<b>eleven</b>"}},
        ],
    }
    content = {"cells": [cell], "metadata": {"title": "twelve"}, "nbformat": 4, "nbformat_minor": 5}
    told = {text: where for where, text in chunks("a.ipynb", json.dumps(content))}
    assert told["two"] == "cell 0 source line 2" and told["six"] == "cell 0 output 0 line 2"
    assert told["nine"] == "cell 0 output 1 traceback line 1"
    assert {"three", "four", "seven", "eight", "ten", "eleven", "twelve"} <= set(told)


def test_invisible_characters_and_colour_codes_are_taken_out():
    assert formats.plain("Qu\u00ad\u200bis\x1b[1mtorp Ａ") == "Quistorp A"


def test_escapes_are_resolved_and_other_text_is_left_alone():
    assert formats.unescaped(r"Gr\u00fcn %C3%B6 &uuml; \xe4") == "Grün ö ü ä"
    assert formats.unescaped("50 % of 3 & 4; C:\\user") == "50 % of 3 & 4; C:\\user"


def test_a_key_written_twice_keeps_both_values():
    assert {"one", "two"} <= {text for _, text in chunks("a.json", '{"a": "one", "a": "two"}')}


def test_values_below_a_key_are_cells_of_that_column():
    for content in ('{"AGE": [95]}', '{"AGE": {"0": 95}}'):
        assert "AGE" in {column for _, column, value in formats.read("a.json", content.encode()).cells}
    assert formats.read("a.csv", b"AGE;N\n91;1,5\n").cells[0] == ("line 2", "AGE", "91")
