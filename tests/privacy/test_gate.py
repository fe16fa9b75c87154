"""The gate closes on what is planted in any place of any kind of file, never says what, and lets clean results pass."""

import base64
import io
import json
import unicodedata
import zipfile
import zlib

import pandas as pd
import pytest
from PIL import Image, PngImagePlugin

from analysis import plan
from analysis.privacy import gate, search, vocabulary

RULES = plan.defaults().privacy
# What a scan of somebody might hold; the second column is where it stood.
RAW = [
    ("NAME", "Quistorp Wilhelmina", "PatientName"),
    ("NAME", "Quistorp", "PatientName"),
    ("NAME", "Wilhelmina", "PatientName"),
    ("SUBJECT", "ZX-01-007", "PatientID"),
    ("SUBJECT", "8812734", "PatientID"),
    ("INSTITUTION", "St. Pölten Krankenhaus", "InstitutionName"),
    ("PERSON", "Ødegård Bjørn", "OperatorsName"),
    ("DEVICE", "SN55120K", "DeviceSerialNumber"),
    ("FREETEXT", "liver", "StudyDescription"),
    ("FREETEXT", "referred by uncle", "PatientComments"),
    ("DATE", "1948-03-09", "PatientBirthDate"),
    ("DATE", "2015-04-21", "StudyDate"),
]
PLANTED = {
    "NAME": "QUISTORP^WILHELMINA",
    "SUBJECT": "zx-01-007",
    "UID": "1.2.826.0.1.3680043.8.498.55",
    "DATE": "20150421",
    "TIME": "08:22:12",
    "EMAIL": "w.quistorp@example.org",
    "PATH": "/home/anna/pet",
    "INSTITUTION": "St. PÖLTEN krankenhaus",
    "DEVICE": "sn55120k",
    "FREETEXT": "Referred by Uncle",
}


def values_of(rows):
    frame = pd.DataFrame(rows, columns=["KIND", "VALUE", "FIRSTSEEN"])
    return frame.assign(SEARCHABLE=True, CODED=False)


@pytest.fixture(scope="module")
def known():
    return vocabulary.build(values_of(RAW), "the liver is a reference region", RULES)


def found(known, name, content):
    content = content.encode() if isinstance(content, str) else content
    return {finding.rule for finding in search.Searcher(RULES, known).search(name, content)}


def png(info=None, **options):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "png", pnginfo=info, **options)
    return buffer.getvalue()


def with_text(text, kind="tEXt"):
    info = PngImagePlugin.PngInfo()
    if kind == "iTXt":
        info.add_itxt("Comment", text, zip=True)
    else:
        info.add_text("Comment", text, zip=kind == "zTXt")
    return png(info)


def pdf(text="", title=None, attachment=None):
    import pypdf
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    figure = Figure(figsize=(3, 1))
    figure.text(0.1, 0.5, text)
    figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Producer": None})
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(buffer.getvalue()))
    if title:
        writer.add_metadata({"/Title": title})
    if attachment:
        writer.add_attachment("note.txt", attachment.encode())
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", "/").replace("_xml", ".xml")), content)
    return buffer.getvalue()


def notebook(**output):
    cell = {"cell_type": "code", "source": ["1"], "metadata": {}, "execution_count": 1, "outputs": [output]}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def data_uri(mime, content):
    content = content.encode() if isinstance(content, str) else content
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize("rule", PLANTED)
def test_every_rule_closes_on_what_it_is_for(known, rule):
    assert rule in found(known, "report.html", f"<p>See {PLANTED[rule]} here.</p>")
    assert rule in found(known, "table.csv", f"A,B\n1,{PLANTED[rule]}\n")


NAME = PLANTED["NAME"]
PLACES = {
    "text": ("a.txt", NAME),
    "csv": ("a.csv", f"A\n{NAME}\n"),
    "json value": ("a.json", json.dumps({"a": [{"b": NAME}]})),
    "json key": ("a.json", json.dumps({NAME: 1})),
    "html text": ("a.html", f"<html><p>{NAME}</p></html>"),
    "html text in two elements": ("a.html", "<tr><td>Quistorp</td><td>Wilhelmina</td></tr>"),
    "html text cut by markup": ("a.html", "<p>Quis<b>torp</b> Wilhelmina</p>"),
    "html entity": ("a.html", "<p>&#81;uistorp Wilhelmina</p>"),
    "html comment": ("a.html", f"<html><!-- {NAME} --></html>"),
    "html attribute": ("a.html", f'<html><img alt="{NAME}"></html>'),
    "html style": ("a.html", f"<html><style>/* {NAME} */</style></html>"),
    "base64 text in html": ("a.html", f'<html><a href="{data_uri("text/plain", NAME)}">x</a></html>'),
    "base64 svg in html": (
        "a.html",
        f'<html><img src="{data_uri("image/svg+xml", f"<svg><text>{NAME}</text></svg>")}"></html>',
    ),
    "base64 png in html": ("a.html", f'<html><img src="{data_uri("image/png", with_text(NAME))}"></html>'),
    "base64 in a style": ("a.html", f"<style>a{{background:url({data_uri('text/plain', NAME)})}}</style>"),
    "svg label as comment": ("a.svg", f"<svg><!-- {NAME} --><path d='M 1 2'/></svg>"),
    "svg title": ("a.svg", f"<svg><title>{NAME}</title></svg>"),
    "markdown": ("a.md", f"# {NAME}"),
    "png tEXt": ("a.png", with_text(NAME)),
    "png zTXt": ("a.png", with_text(NAME, "zTXt")),
    "png iTXt": ("a.png", with_text(NAME, "iTXt")),
    "zip member": ("a.zip", zipped(inner=NAME)),
    "zip member name": ("a.zip", zipped(**{"Quistorp__Wilhelmina.txt": "x"})),
    "docx properties": ("a.docx", zipped(docProps__core_xml=f"<?xml version='1.0'?><c>{NAME}</c>")),
    "zip in zip": ("a.zip", zipped(inner=zipped(deeper=NAME))),
    "notebook stream": ("a.ipynb", notebook(output_type="stream", name="stdout", text=[NAME])),
    "notebook html": ("a.ipynb", notebook(output_type="display_data", data={"text/html": f"<i>{NAME}</i>"})),
    "notebook error in colour": (
        "a.ipynb",
        notebook(output_type="error", ename="E", evalue="", traceback=["Quis\x1b[31mtorp Wilhelmina\x1b[0m"]),
    ),
    "notebook output metadata": (
        "a.ipynb",
        notebook(output_type="display_data", data={}, metadata={"image/png": {"alt": NAME}}),
    ),
    "notebook picture": (
        "a.ipynb",
        notebook(
            output_type="display_data", data={"image/png": base64.b64encode(with_text(NAME)).decode() + "\n"}
        ),
    ),
    "notebook widget": (
        "a.ipynb",
        notebook(output_type="display_data", data={"application/vnd.x+json": {"a": NAME}}),
    ),
    "pdf text": ("a.pdf", pdf(text=NAME.title().replace("^", " "))),
    "pdf title": ("a.pdf", pdf(title=NAME)),
    "pdf attachment": ("a.pdf", pdf(attachment=NAME)),
    "pdf after its end": ("a.pdf", pdf() + b"% Quistorp Wilhelmina\n"),
    "file name": ("tables/Wilhelmina_Quistorp.csv", "A\n1\n"),
    "folder name": ("Quistorp Wilhelmina/a.csv", "A\n1\n"),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_gate_closes_on_a_name_in_any_place_and_never_says_it(known, place):
    name, content = PLACES[place]
    content = content.encode() if isinstance(content, str) else content
    with pytest.raises(gate.PrivacyError) as caught:
        gate.check(name, content, known, RULES)
    assert "NAME" in {finding.rule for finding in caught.value.findings}
    assert "quistorp" not in str(caught.value).casefold() and "wilhelmina" not in str(caught.value).casefold()


@pytest.mark.parametrize(
    "spelt",
    [
        *("Quistorp, Wilhelmina", "wilhelmina quistorp", "QUISTORP\nWILHELMINA", "Quistorp_Wilhelmina.dcm"),
        *("ＱＵＩＳＴＯＲＰ wilhelmina", "Quis\u00adtorp Wilhelmina", "Frau Quistorp"),
    ],
)
def test_a_name_is_found_however_it_is_written(known, spelt):
    assert "NAME" in found(known, "a.txt", spelt)


def test_letters_that_are_composed_differently_are_the_same(known):
    apart = unicodedata.normalize("NFD", "st. pölten krankenhaus")
    assert apart != "st. pölten krankenhaus"
    assert "INSTITUTION" in found(known, "a.txt", apart)


@pytest.mark.parametrize(
    "spelt",
    [
        *(
            "2015-04-21",
            "20150421",
            "2015/04/21",
            "21.04.2015",
            "04/21/2015",
            "21 April 2015",
            "Apr 21, 2015",
        ),
        *("20150421082212.0000", "D:20150421082212Z", "scan20150421pet", "1948-03-09", "2031-12-24"),
    ],
)
def test_a_date_is_found_however_it_is_written(known, spelt):
    assert {"DATE", "BIRTHDATE"} & found(known, "a.txt", f"on {spelt}.")


@pytest.mark.parametrize(
    "clean",
    [
        "p = 0.20150421, HR 1.53 (0.98 to 2.41), 36 of 48 patients, day -3",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 and 8f8812734a",
        "99999999 and 20151399 and 12345678",
        "numpy 2.4.1, Python 3.13, SNOMED 1.2.840.10008.5.1.4.1.1.128, 10.1002/sim.2764",
        "the Liver, SUV 18.8127341 and 8812734.5 #881273",
        "Quistorpian geometry; rewilhelminas",
        "weeks 0:05 to 10:30, ratio 3:2:1, either/or, and/home-made, https://a.org/data/x",
    ],
)
def test_the_gate_lets_pass_what_only_looks_alike(known, clean):
    gate.check("a.txt", clean.encode(), known, RULES)


def test_numbers_of_a_drawing_are_no_identifiers(known):
    drawing = (
        "<svg viewBox='0 0 8812734 1'><path id='p3f' d='M 8812734 20150421 L 2015 4' x='20150421'/></svg>"
    )
    gate.check("a.svg", drawing.encode(), known, RULES)
    assert found(known, "a.svg", drawing.replace("p3f", "8812734")) == {"SUBJECT"}


def test_a_figure_of_matplotlib_passes_in_every_format(known):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2, 3], [20150421, 8812734, 3])
    for kind, metadata in (("svg", {"Date": None}), ("png", {}), ("pdf", {"CreationDate": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=metadata)
        gate.check("a." + kind, buffer.getvalue(), known, RULES)


def test_a_title_drawn_by_matplotlib_is_found(known):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.suptitle("Quistorp Wilhelmina")
    for kind in ("svg", "pdf"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind)
        assert "NAME" in found(known, "a." + kind, buffer.getvalue())


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("a.csv", "AGE,N\n89,1\n", None),
        ("a.csv", "AGE,N\n90,1\n", "AGE"),
        ("a.csv", "Weight (kg),N\n71.5,1\n", "COLUMN"),
        ("a.csv", "WEIGHTKG,N\n,1\n", None),
        ("a.csv", "weight change %,N\n-3,1\n", None),
        ("a.html", "<table><tr><th>AGE</th></tr><tr><td>93</td></tr></table>", "AGE"),
        (
            "a.html",
            "<table><tr><th></th><th>HEIGHTM</th></tr><tr><th>0</th><td>1.7</td></tr></table>",
            "COLUMN",
        ),
        ("a.json", '[{"AGE": 95}]', "AGE"),
    ],
)
def test_columns_that_identify_are_closed_to(known, name, content, rule):
    assert found(known, name, content) == ({rule} if rule else set())


def test_a_parquet_of_names_dates_or_pixels_is_found(known):
    def parquet(**columns):
        buffer = io.BytesIO()
        pd.DataFrame(columns).to_parquet(buffer)
        return buffer.getvalue()

    assert found(known, "a.parquet", parquet(A=["x", NAME])) == {"NAME"}
    assert found(known, "a.parquet", parquet(A=pd.to_datetime(["2015-04-21"]))) >= {"DATE"}
    assert found(known, "a.parquet", parquet(A=[[1, 2, 3]])) == {"VOLUME"}
    assert found(known, "a.parquet", parquet(AGE=[95])) == {"AGE"}
    assert found(known, "a.parquet", parquet(A=[1.5, 2.5])) == set()


def exif(**tags):
    data = Image.Exif()
    for tag, value in tags.items():
        data[int(tag[1:], 16)] = value
    return data


def test_exif_and_comments_of_pictures_are_searched(known):
    assert found(known, "a.png", png(exif=exif(x010E=NAME))) == {"NAME"}
    assert found(known, "a.png", png(exif=exif(x0132="2015:04:21 08:22:12"))) >= {"DATE", "TIME"}
    for options in ({"exif": exif(x010E=NAME)}, {"comment": NAME.encode()}):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, "jpeg", **options)
        assert found(known, "a.jpg", buffer.getvalue()) == {"NAME"}
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "jpeg", progressive=True)
    assert found(known, "a.jpg", buffer.getvalue()) == set()


def chunk(kind, body):
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def test_what_cannot_be_searched_is_refused(known):
    whole = png()
    ihdr = 8 + 25
    encrypted = bytearray(zipped(inner="x"))
    encrypted[6] |= 1
    encrypted[encrypted.find(b"PK\x01\x02") + 8] |= 1
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a"), "x" * 1000, zipfile.ZIP_DEFLATED)
    damaged = packed.getvalue()[:31] + b"\xff" * 6 + packed.getvalue()[37:]
    refused = {
        "bytes after the end": whole + b"x",
        "no end": whole[:-12],
        "a time": whole[:ihdr] + chunk(b"tIME", bytes(7)) + whole[ihdr:],
        "an unknown chunk": whole[:ihdr] + chunk(b"prVt", b"x") + whole[ihdr:],
        "unknown bytes": b"\x00\x01\x02\xff",
        "no UTF-8": "Müller".encode("latin-1"),
        "a damaged PDF": b"%PDF-1.7 nothing",
        "an encrypted ZIP": bytes(encrypted),
        "a damaged ZIP": b"PK\x03\x04 nothing",
        "a damaged Parquet": b"PAR1 nothing",
        "a damaged member": damaged,
        "an empty PNG": whole[:8],
    }
    for what, content in refused.items():
        assert found(known, "a.bin", content) == {"FORMAT"}, what
    assert found(known, "a.ipynb", "{not json") == {"FORMAT"}
    assert found(known, "a.html", '<html><img src="data:image/png;base64,AAEC/w=="></html>') == {"FORMAT"}
    assert found(known, "a.html", '<html><img src="data:image/png;base64,%%%"></html>') == {"FORMAT"}


def test_an_encrypted_pdf_is_refused(known):
    import pypdf

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(text="x")))
    writer.encrypt("secret", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    assert found(known, "a.pdf", out.getvalue()) == {"FORMAT"}


def test_archives_within_archives_end_somewhere(known):
    content = zipped(inner="x")
    for _ in range(10):
        content = zipped(inner=content)
    assert found(known, "a.zip", content) == {"FORMAT"}


@pytest.mark.parametrize(
    "content",
    [
        bytes(128) + b"DICM" + bytes(20),
        b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100",
        bytes(344) + b"n+1\0" + bytes(10),
        b"\x1f\x8b\x08\x00" + bytes(20),
        b"NRRD0004\n",
        b"\x93NUMPY\x01\x00",
    ],
)
def test_no_image_volume_leaves_whatever_its_name(known, content):
    assert found(known, "table.csv", content) == {"VOLUME"}


def test_the_message_says_rule_place_count_and_remedy(known):
    with pytest.raises(gate.PrivacyError) as caught:
        gate.check("tables/a.csv", b"A,B\n1,ZX-01-007\n2,ZX-01-007 ZX-01-007\n", known, RULES)
    assert str(caught.value) == (
        "PRIVACY: held back, tables/a.csv, line 2: SUBJECT (3). SUBJECT: show Run.subject_key(subject) "
        "instead, or pass the table through Run.show."
    )


def test_a_place_whose_own_name_leaks_is_told_without_it(known):
    with pytest.raises(gate.PrivacyError) as caught:
        gate.check("ZX-01-007/a.json", json.dumps({"zx-01-007": "2015-04-21"}).encode(), known, RULES)
    assert "ZX-01-007" not in str(caught.value).upper() and "2015" not in str(caught.value)


def test_own_words_are_spared_but_never_names_identifiers_or_dates():
    rows = [
        ("FREETEXT", "liver", "StudyDescription"),
        ("NAME", "Kaplan Meier", "PatientName"),
        ("NAME", "Kaplan", "PatientName"),
        ("NAME", "Meier", "PatientName"),
        ("SUBJECT", "reference", "PatientID"),
    ]
    built = vocabulary.build(values_of(rows), "Kaplan-Meier, liver, reference, Kaplan Meier", RULES)
    assert set(built.coincides) == {"liver", "kaplan", "meier"}
    assert built.kinds == {"kaplan meier": "NAME", "meier kaplan": "NAME", "reference": "SUBJECT"}
    assert built.counts() == {"NAME": 2, "SUBJECT": 1}


def test_the_plan_can_allow_a_text_with_its_reason(known):
    from copy import copy

    text = b"cut-off 2015-04-21, class 1.2.826.9.1"
    assert found(known, "a.txt", text) == {"DATE", "UID"}
    rules = copy(RULES)
    rules.__dict__["gate_allow"] = [
        {"text": "cut-off 2015-04-21", "reason": "x"},
        {"text": "1.2.826.9.", "reason": "y"},
    ]
    assert search.Searcher(rules, known).search("a.txt", text) == []
    assert search.Searcher(rules, known).search("a.txt", b"on 2015-04-21") != []


def test_a_scan_of_folders_lists_files_by_kind_and_offenders(known, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_bytes(png())
    (tmp_path / "b.csv").write_text("A\n8812734\n")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    outcome = gate.scan(tmp_path, known, RULES)
    assert outcome.files == {"png": 1, "csv": 1}
    assert [(f.file, f.rule) for f in outcome.findings] == [("b.csv", "SUBJECT"), ("gone", "FORMAT")]
    assert [path.name for path in outcome.offenders] == ["b.csv", "gone"]
