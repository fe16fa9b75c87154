"""The kinds of file a publication is made of: a name hides in none, and what holds no name passes."""

import io
import struct
import zipfile

import pandas as pd
import pytest
from PIL import Image, TiffImagePlugin

from analysis import plan
from analysis.privacy import formats, gate, search, vocabulary

RULES = plan.defaults().privacy
NAME, OTHER = "Quistörp", "Birkenfeld"
ROWS = [("NAME", NAME), ("NAME", OTHER), ("SUBJECT", "ZX-01-0071"), ("SUBJECT", "8812734")]


@pytest.fixture(scope="module")
def known():
    frame = pd.DataFrame(ROWS, columns=["KIND", "VALUE"]).assign(FIRSTSEEN="PatientName")
    return vocabulary.build(frame.assign(SEARCHABLE=True, CODED=False), "", RULES)


def found(known, name, content):
    content = content.encode() if isinstance(content, str) else content
    return {finding.rule for finding in search.Searcher(RULES, known).search(name, content)}


def tiff(tags=None, **options):
    directory, buffer = TiffImagePlugin.ImageFileDirectory_v2(), io.BytesIO()
    for tag, (kind, value) in (tags or {}).items():
        directory.tagtype[tag] = kind
        directory[tag] = value
    options = {"compression": "tiff_lzw", "dpi": (600, 600)} | options
    Image.new("RGB", (40, 30), "white").save(buffer, "TIFF", tiffinfo=directory, **options)
    return buffer.getvalue()


def rtf(body):
    return r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 DejaVu Sans;}}\uc1 " + body + "}"


def docx(body, **parts):
    buffer, space = io.BytesIO(), 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    with zipfile.ZipFile(buffer, "w") as archive:
        document = f'<?xml version="1.0"?><w:document {space}><w:body>{body}</w:body></w:document>'
        for name, content in {"word/document.xml": document, **parts}.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def word_table(*rows):
    cell = "<w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>".format
    lines = ["<w:tr>" + "".join(map(cell, row)) + "</w:tr>" for row in rows]
    return "<w:tbl>" + "".join(lines) + "</w:tbl>"


TEX = r"\begin{tabular}{lr} \toprule %s \\ \midrule %s \\ \bottomrule \end{tabular}"
HIDING = {
    "TIFF description": ("a.tif", tiff({270: (2, NAME.encode())})),
    "TIFF description in Latin-1": ("a.tif", tiff({270: (2, NAME.encode("latin-1"))})),
    "TIFF artist": ("a.tif", tiff({315: (2, OTHER)})),
    "TIFF private text": ("a.tif", tiff({65000: (2, OTHER)})),
    "TIFF XMP": ("a.tif", tiff({700: (1, f"<x><a>{NAME}</a></x>".encode())})),
    "RTF": ("a.rtf", rtf(f"Patient {OTHER}")),
    "RTF byte": ("a.rtf", rtf(r"Quist\'f6rp")),
    "RTF every letter a byte": ("a.rtf", rtf("".join(rf"\'{ord(letter):02x}" for letter in OTHER))),
    "RTF Unicode": ("a.rtf", rtf(r"Quist\u246?rp")),
    "RTF Unicode with a longer substitute": ("a.rtf", rtf(r"{\uc2 Quist\u246 oerp}")),
    "RTF Unicode with a byte as substitute": ("a.rtf", rtf(r"Quist\u246\'f6rp")),
    "RTF cut by a format": ("a.rtf", rtf(r"Birk{\b enf}\i0 eld")),
    "RTF cut by the end of a line": ("a.rtf", rtf("Birken\nfeld")),
    "RTF optional hyphen": ("a.rtf", rtf(r"Birken\-feld")),
    "RTF properties": ("a.rtf", rtf(r"{\info{\author Birkenfeld}}x")),
    "RTF without its ending": ("a.txt", rtf(r"Quist\'f6rp")),
    "LaTeX": ("a.tex", f"Patient {OTHER}"),
    "LaTeX accent": ("a.tex", r"Quist\"orp"),
    "LaTeX accent in braces": ("a.tex", r"Quist{\"{o}}rp"),
    "LaTeX command": ("a.tex", r"\textbf{Birk}enfeld"),
    "LaTeX braces": ("a.tex", "Birk{}enfeld"),
    "LaTeX hyphen": ("a.tex", r"Birken\-feld"),
    "LaTeX code": ("a.tex", r"\char66irkenfeld"),
    "LaTeX hexadecimal code": ("a.tex", r'\char"42irkenfeld'.replace("42i", "42 i")),
    "LaTeX symbol": ("a.tex", r"\symbol{66}irkenfeld"),
    "LaTeX letter as code": ("a.tex", r"\char`Birkenfeld"),
    "LaTeX carets": ("a.tex", "^^42irkenfeld"),
    "LaTeX comment": ("a.tex", f"% {OTHER}"),
    "LaTeX end of a line": ("a.tex", "Birken%\n  feld"),
    "style sheet": ("a.css", f"/* {OTHER} */"),
    "style sheet escape": ("a.css", r'a::after{content:"\42irkenfeld"}'),
    "style sheet escape with a blank": ("a.css", r'a::after{content:"\000042 irkenfeld"}'),
    "script": ("a.js", f"const a = '{OTHER}';"),
    "script escape": ("a.js", r"const a = '\u0042irkenfeld';"),
    "script escape in braces": ("a.js", r"const a = '\u{42}irkenfeld';"),
    "script octal escape": ("a.js", r"const a = '\102irkenfeld';"),
    "script sum": ("a.js", "const a = 'Birken' + 'feld';"),
    "Word": ("a.docx", docx(f"<w:p><w:r><w:t>{OTHER}</w:t></w:r></w:p>")),
    "Word cut into runs": (
        "a.docx",
        docx("<w:p><w:r><w:t>Birken</w:t></w:r><w:proofErr/><w:r><w:rPr><w:b/></w:rPr><w:t>feld</w:t></w:r></w:p>"),
    ),
    "Word alternative text": ("a.docx", docx(f'<w:p><wp:docPr id="1" name="p" descr="{OTHER}"/></w:p>')),
    "Word comment": ("a.docx", docx("", **{"word/comments.xml": f"<?xml version='1.0'?><c>{OTHER}</c>"})),
    "Word picture": ("a.docx", docx("", **{"word/media/image1.tif": tiff({270: (2, OTHER)})})),
}  # fmt: skip


@pytest.mark.parametrize("place", HIDING)
def test_the_gate_closes_on_a_name_wherever_it_hides(known, place):
    name, content = HIDING[place]
    assert "NAME" in found(known, name, content)


CLEAN = {
    "TIFF": ("a.tif", tiff({270: (2, "Kaplan-Meier: 12 − 3 ≥ 9".encode()), 269: (2, "Figure 1")})),
    "TIFF without compression": ("a.tif", tiff(compression=None)),
    "TIFF for Motorola": ("a.tif", b"MM\0*" + struct.pack(">I", 8) + struct.pack(">H", 0) + bytes(4)),
    "RTF": ("a.rtf", rtf(r"{\b Hazard ratio}\par 1.72 (0.8\u8211?2.1)\par D\'e4nisch \{a\}")),
    "LaTeX": ("a.tex", TEX % ("Measure & Value", r"Hazard ratio & 1.72 (0.8--2.1) \% $n=12$")),
    "style sheet": ("a.css", "table{width:85mm} .a::before{content:'\\2713'}"),
    "script": ("a.js", r"window.SEARCH = [{'a': 1}]; if (a < 3 && b) { c = /\d+/.test(a) + '\n' }"),
    "Word": ("a.docx", docx(word_table(["Measure", "Value"], ["Hazard ratio", "1.72"]))),
}


@pytest.mark.parametrize("place", CLEAN)
def test_what_holds_no_name_passes(known, place):
    name, content = CLEAN[place]
    gate.check(name, content if isinstance(content, bytes) else content.encode(), known, RULES)


HEADS = {
    "RTF": lambda head, cell: ("a.rtf", rtf(rf"T\par\trowd\cellx9 N\cell {head}\cell\row\trowd 1\cell {cell}\cell\row")),
    "LaTeX": lambda head, cell: ("a.tex", TEX % (f"N & {head}", f"1 & {cell}")),
    "LaTeX without rules": lambda head, cell: (
        "a.tex",
        rf"\begin{{tabular}}{{lr}} {head} & N \\ {cell} & 1 \\ \end{{tabular}}",
    ),
    "LaTeX with a caption": lambda head, cell: (
        "a.tex",
        rf"\begin{{longtable}}{{lr}}\caption{{T}}\\ \toprule N & {head} \\ \endhead 1 & {cell} \\ \end{{longtable}}",
    ),
    "LaTeX, name first": lambda head, cell: ("a.tex", TEX % (f"{head} & N", f"{cell} & 1")),
    "Word": lambda head, cell: ("a.docx", docx(word_table(["N", head], ["1", cell]))),
    "script": lambda head, cell: ("a.js", f'window.DATA = [{{"N": 1, "{head}": "{cell}"}}];'),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADS)
def test_a_column_that_identifies_is_closed_to_in_a_table_of_any_kind(known, kind):
    assert found(known, *HEADS[kind]("AGE", "93")) == {"AGE"}
    assert found(known, *HEADS[kind]("HEIGHTM", "1.71")) == {"COLUMN"}
    assert found(known, *HEADS[kind]("EVENTS", "93")) == set()


def test_the_date_an_rtf_was_made_is_a_date(known):
    stamped = rtf(r"{\info{\creatim\yr2015\mo4\dy21\hr8\min22\sec12}}x")
    assert found(known, "a.rtf", stamped) == {"DATE", "TIME"}


def patched(content, place, value):
    return content[:place] + value + content[place + len(value) :]


def entry_of(content, tag):
    """Return where the entry of a tag stands in the one directory of a little-endian TIFF."""
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    entries = range(start + 2, start + 2 + 12 * count, 12)
    return next(at for at in entries if struct.unpack_from("<H", content, at)[0] == tag)


def test_a_tiff_that_cannot_be_read_to_its_end_is_refused(known):
    plain = tiff()
    compression, width = entry_of(plain, 259), entry_of(plain, 256)
    (start,) = struct.unpack_from("<I", plain, 4)
    (count,) = struct.unpack_from("<H", plain, start)
    loop = patched(plain, start + 2 + 12 * count, struct.pack("<I", start))
    refused = {
        "bytes after the end": plain + b"Birkenfeld",
        "cut short": plain[:-20],
        "nothing but a head": plain[:8],
        "a list of pictures without end": loop,
        "pixels compressed as JPEG": patched(plain, compression + 8, struct.pack("<H", 7)),
        "bytes behind a short value": patched(plain, width + 10, b"B"),
        "a private tag of bytes": tiff({65000: (1, OTHER.encode())}),
        "EXIF": patched(plain, entry_of(plain, 284), struct.pack("<H", 34665)),
        "a colour profile": tiff(icc_profile=b"x" * 200),
    }
    assert found(known, "a.tif", plain) == set()
    for what, content in refused.items():
        assert found(known, "a.tif", content) == {"FORMAT"}, what


def test_an_rtf_with_what_the_gate_cannot_read_is_refused(known):
    picture = tiff().hex()
    for body in (r"\bin4 abcd", r"{\object x}", rf"{{\pict\wmetafile8 {picture}}}", r"{\pict\pngblip 0g}"):
        assert found(known, "a.rtf", rtf(body)) == {"FORMAT"}, body[:20]
    assert found(known, "a.rtf", rtf("{\\pict\\pngblip {open")) == {"FORMAT"}


def test_a_picture_within_rtf_is_read(known):
    from PIL import PngImagePlugin

    def picture(text):
        said, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
        said.add_itxt("Description", text)
        Image.new("RGB", (4, 4)).save(buffer, "png", pnginfo=said)
        return rtf(rf"{{\pict\pngblip\picw4\pich4 {buffer.getvalue().hex()}}}")

    assert found(known, "a.rtf", picture(OTHER)) == {"NAME"}
    assert found(known, "a.rtf", picture("A curve")) == set()


def test_letters_beyond_sixteen_bits_are_whole():
    for name, text in (("a.rtf", rtf(r"\u-10179?\u-8704?")), ("a.js", r"'\uD83D\uDE00'")):
        read = formats.read(name, text.encode())
        assert any("\N{GRINNING FACE}" in passage.text for passage in read.passages)


def typst(body):
    import typst as compiler

    return compiler.compile(("#set document(date: none)\n" + body).encode(), format="pdf")


@pytest.mark.parametrize(
    "body",
    [
        f"Seen by {OTHER}.",
        f'#set document(title: "{OTHER}")\nx',
        f'#set document(keywords: ("{NAME}",))\nx',
        f"= {OTHER}\nx",
        f'#figure(rect(), alt: "{NAME}", caption: [x])',
        '#set page(width: 60pt, margin: 8pt)\n#set text(lang: "de", hyphenate: true)\nBirkenfeld Birkenfeld',
    ],
)
def test_a_name_in_a_pdf_of_typst_is_found(known, body):
    assert "NAME" in found(known, "a.pdf", typst(body))


def test_a_pdf_of_typst_passes_without_a_name(known):
    body = (
        '#set document(title: "Results")\n= Results\n#figure(rect(), alt: "A curve", caption: [Hazard 1.72])'
    )
    gate.check("a.pdf", typst(body), known, RULES)


def test_text_that_stands_for_other_text_in_a_pdf_is_found(known):
    import pypdf
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    def pdf(stream):
        writer, content = pypdf.PdfWriter(), DecodedStreamObject()
        content.set_data(stream)
        page = writer.add_blank_page(100, 100)
        page[NameObject("/Contents")] = writer._add_object(content)
        page[NameObject("/Resources")] = DictionaryObject()
        out = io.BytesIO()
        writer.write(out)
        return out.getvalue()

    hidden = b"/Span << /ActualText (Birkenfeld) >> BDC 0 0 5 5 re f EMC"
    assert "NAME" in found(known, "a.pdf", pdf(hidden))
    assert found(known, "a.pdf", pdf(hidden.replace(b"Birkenfeld", b"a curve"))) == set()
