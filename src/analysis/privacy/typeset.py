"""What a reader sees of RTF, LaTeX, CSS and JavaScript: their spellings of letters resolved.

The file is searched as it stands, too: comments, names and addresses are text wherever they are.
"""

from __future__ import annotations

import binascii
import json
import re
import unicodedata
from collections.abc import Iterator

from analysis.privacy.formats import Contents, FormatRefused, read, walk_json

_RTF = re.compile(
    r"\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<word>[a-zA-Z]+)(?P<number>-?\d+)? ?|\\(?P<sign>[^a-zA-Z])"
    r"|(?P<brace>[{}])|(?P<line>[\r\n]+)|(?P<text>[^\\{}\r\n]+)"
)
_RTF_MARKS = {"trowd": "\x1d", "cell": "\x1f", "nestcell": "\x1f", "row": "\x1e", "nestrow": "\x1e"}
_RTF_BREAKS = {"par", "line", "tab", "sect", "page", "column", *_RTF_MARKS}
_PICTURE = re.compile(r"\{\s*\\pict\b([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_RTF_CLOCK = {"yr": "-", "mo": "-", "dy": " ", "hr": ":", "min": ":", "sec": " "}  # \creatim\yr2018\mo1\dy31
_RTF_SIGNS = {"~": " ", "_": "-", "-": "", "*": "", "\n": "\n", "\r": "\n"}
_RTF_WORDS = {
    **{"emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”"},
    **{"bullet": "•", "emspace": " ", "enspace": " ", "qmspace": " "},
}
_PICTURES = {"pngblip": "png", "jpegblip": "jpeg"}
_ACCENTS = {
    **{"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308", "=": "\u0304"},
    **{".": "\u0307", "u": "\u0306", "v": "\u030c", "H": "\u030b", "c": "\u0327", "k": "\u0328"},
    **{"r": "\u030a", "d": "\u0323", "b": "\u0331"},
}
_LETTERS = {
    **{"ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł"},
    **{"aa": "å", "AA": "Å", "i": "i", "j": "j", "textunderscore": "_", "textasciicircum": "^"},
}
_TEX_ACCENT = re.compile(r"\\(?:([`'^~\"=.])|([uvHckrdb])(?=[\s{\\]))\s*(?:\{\s*)?\\?([A-Za-z])\s*\}?")
_TEX_LETTER = re.compile(r"\\([A-Za-z]+)(?![A-Za-z])(?:\s*\{\})?\s?")
_TEX_CODE = re.compile(
    r"\^\^(?:(?P<pair>[0-9a-f]{2})|(?P<shift>[@-_?]|[a-z]))"
    r"|\\(?:char|symbol)\s*\{?(?:\"(?P<hex>[0-9A-F]+)|'(?P<octal>[0-7]+)|`\\?(?P<own>.)|(?P<number>\d+))[} ]?"
)
_CSS = re.compile(r"\\([0-9A-Fa-f]{1,6})\s?|\\(\n)|\\(.)")
_JS = re.compile(r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([0-7]{1,3}))")


def read_source(found: Contents, suffix: str, text: str, depth: int) -> None:
    """Add what a style sheet, a script or a LaTeX file says once its spellings are resolved."""
    decoders = {".css": decode_css, ".js": decode_js, ".mjs": decode_js, ".tex": decode_tex}
    decode = decoders.get(suffix)
    if decode is None:
        return
    if (plainly := decode(text)) != text:
        found.add([(f"line {number}", line) for number, line in enumerate(plainly.splitlines(), start=1)])
    if decode is decode_tex:
        found.cells += tex_cells(text)
    if decode is decode_js:
        read_js_data(found, text, depth)


def decode_css(text: str) -> str:
    r"""Return a style sheet with ``\51`` and the like as letters."""
    return _joined(_CSS.sub(lambda match: _letter(int(match[1], 16)) if match[1] else match[3] or "", text))


def decode_js(text: str) -> str:
    """Return a script with its escapes as letters, and texts that are added to each other as one."""
    joined = re.sub(r"""(["'`])\s*\+\s*(["'`])""", "", text)

    def _code(match: re.Match) -> str:
        hexadecimal = match[1] or match[2] or match[3]
        return _letter(int(hexadecimal, 16) if hexadecimal else int(match[4], 8))

    return _joined(_JS.sub(_code, joined))


def read_js_data(found: Contents, text: str, depth: int) -> None:
    """Read what a script assigns as JSON, ``window.name = [...]``, with the columns of its tables."""
    start = re.match(r"\s*(?:(?:var|let|const)\s+)?[\w.$\[\]\"']+\s*=\s*(?=[\[{])", text)
    if not start:
        return
    try:
        content = json.loads(text[start.end() :].strip().rstrip(";"))
    except ValueError:  # a script, not data: it is searched as text
        return
    walk_json(found, "", content, depth)


def decode_tex(text: str) -> str:
    """Return LaTeX as it is printed: accents as letters, commands and braces away, arguments kept."""
    text = _TEX_CODE.sub(_tex_code, text)
    text = _TEX_ACCENT.sub(
        lambda match: unicodedata.normalize("NFC", match[3] + _ACCENTS[match[1] or match[2]]), text
    )
    text = re.sub(r"\\[-/,;:!@>]|\\\s*%.*\n\s*|(?<!\\)%\n\s*", "", text)
    text = re.sub(r"\\([_&%#${}])", r"\1", re.sub(r"\\\\", "\n", text))
    text = _TEX_LETTER.sub(lambda match: _LETTERS.get(match[1], ""), text)
    return _joined(re.sub(r"[{}]", "", text).replace("~", " "))


def tex_cells(text: str) -> list[tuple[str, str, str]]:
    """Return the cells of the tables of a LaTeX file, under the names after the rule at the top."""
    cells: list[tuple[str, str, str]] = []
    for table in re.findall(r"\\begin\{(?:tabular|longtable|tabularx)\*?\}(.*?)\\end\{", text, re.DOTALL):
        header: list[str] = []
        for row in re.split(r"\\\\|\\tabularnewline", table):
            _, rule, names = row.rpartition(r"\toprule")
            texts = [" ".join(decode_tex(cell).split()) for cell in re.split(r"(?<!\\)&", names)]
            if rule or (not header and len(texts) > 1):
                # Without a rule the arguments of the environment stand before the first name.
                header = texts if rule else [re.sub(r"^\W*[lcrpXSm@|]+\s+", "", texts[0]), *texts[1:]]
            else:
                cells += [("a table", column, cell) for column, cell in zip(header, texts)]
    return cells


def _tex_code(match: re.Match) -> str:
    if match["shift"]:
        return chr((ord(match["shift"]) + 64) % 128)
    for name, base in (("pair", 16), ("hex", 16), ("octal", 8), ("number", 10)):
        if match[name]:
            return _letter(int(match[name], base))
    return match["own"]


def read_rtf(text: str, depth: int = 0) -> Contents:
    r"""Read the text of an RTF file with ``\'hh`` and ``\uN?`` as letters, its tables and its pictures.

    Raises
    ------
    FormatRefused
        For binary data, embedded objects, and pictures of a kind the gate cannot read.
    """
    found = Contents("rtf")
    if re.search(r"\\bin\d|\\object\b|\\objdata\b", text):
        raise FormatRefused("FORMAT", "the file", "RTF with an embedded object or binary data")
    for picture in _PICTURE.finditer(text):
        _read_picture(found, picture[1], depth)
    text = _PICTURE.sub("", text)
    if r"\pict" in text:
        raise FormatRefused("FORMAT", "a picture", "that is not closed")
    found.add([(f"line {number}", line) for number, line in enumerate(text.splitlines(), start=1)])
    page = re.search(r"\\ansicpg(\d+)", text)
    letters = _joined("".join(_rtf_pieces(text, f"cp{page[1]}" if page else "cp1252")))
    lines = re.split("[\n\x1d\x1e\x1f]", letters)
    found.add([(f"paragraph {number}", line) for number, line in enumerate(lines, start=1)])
    found.cells += _rtf_cells(letters)
    return found


def _read_picture(found: Contents, body: str, depth: int) -> None:
    kind = next((name for blip, name in _PICTURES.items() if f"\\{blip}" in body), None)
    if kind is None:
        raise FormatRefused("FORMAT", "a picture", "of a kind the gate cannot read")
    digits = re.sub(r"\{[^{}]*\}|\\[a-zA-Z]+-?\d* ?|\s", "", body)
    try:
        picture = binascii.unhexlify(digits)
    except binascii.Error as error:
        raise FormatRefused("FORMAT", "a picture", "no valid hexadecimal digits") from error
    found.include("a picture", read(f"picture.{kind}", picture, depth + 1))


def _rtf_pieces(text: str, page: str) -> Iterator[str]:
    """Yield the letters of an RTF file in order, with marks where rows begin and end and where cells end."""
    skip, skips, left = 1, [], 0
    for match in _RTF.finditer(text):
        word, number = match["word"], match["number"]
        if match["brace"] == "{":
            skips.append(skip)
        elif match["brace"]:
            skip, left = skips.pop() if skips else 1, 0
        elif word == "uc":
            skip = int(number or 1)
        elif word == "u" and number:
            yield chr(int(number) % 65536)
            left = skip
        elif match["line"]:
            continue
        elif word in _RTF_BREAKS:
            yield _RTF_MARKS.get(word, "\n")
        else:
            piece = _rtf_letters(match, page)
            # After \uN stand as many letters as \uc says for readers that know no Unicode: they are skipped.
            gone = min(left, len(piece))
            left -= gone
            yield piece[gone:]


def _rtf_letters(match: re.Match, page: str) -> str:
    if match["byte"]:
        try:
            return bytes.fromhex(match["byte"]).decode(page, "replace")
        except LookupError as error:
            raise FormatRefused("FORMAT", "the file", "RTF in a code page nobody knows") from error
    if match["word"]:
        if match["number"] and match["word"] in _RTF_CLOCK:
            return match["number"].zfill(2) + _RTF_CLOCK[match["word"]]
        return _RTF_WORDS.get(match["word"], "")
    if match["sign"]:
        return _RTF_SIGNS.get(match["sign"], match["sign"])
    return match["text"]


def _rtf_cells(letters: str) -> list[tuple[str, str, str]]:
    """Return the cells of the tables under the names in each one's first row; text between parts tables."""
    cells: list[tuple[str, str, str]] = []
    header, end = [], 0
    for row in re.finditer("\x1d([^\x1e]*)\x1e", letters):
        texts = [" ".join(cell.split()) for cell in row[1].replace("\x1d", "").split("\x1f")[:-1]]
        if letters[end : row.start()].strip() or not header:
            header = texts
        else:
            cells += [("a table", column, cell) for column, cell in zip(header, texts)]
        end = row.end()
    return cells


def _joined(text: str) -> str:
    """Return `text` with the two halves of a letter beyond 16 bits as one letter."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _letter(code: int) -> str:
    return chr(code) if code < 0x110000 else "\N{REPLACEMENT CHARACTER}"
