"""A table as LaTeX: booktabs rules in a longtable, for pdfLaTeX, XeLaTeX and LuaLaTeX."""

from __future__ import annotations

import re
import unicodedata

from analysis.documents.content import bind
from analysis.documents.layout import Layout
from analysis.documents.table import INDENT_MM, PrintedTable, Row, spans

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_\allowbreak{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "'": "'", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}", "\u00a0": "~", "\u202f": r"\,", "\u2009": r"\,", "–": "--", "—": "---",
    "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\ldots{}", "°": r"\textdegree{}", "×": r"$\times$",
    "±": r"$\pm$", "·": r"$\cdot$", "−": r"$-$", "≥": r"$\geq$", "≤": r"$\leq$", "≠": r"$\neq$",
    "≈": r"$\approx$", "∞": r"$\infty$", "→": r"$\rightarrow$", "←": r"$\leftarrow$", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$", "√": r"$\surd$", "∑": r"$\sum$", "∈": r"$\in$", "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}", "¹": r"\textsuperscript{1}", "µ": r"$\mu$", "½": r"$\frac{1}{2}$",
    "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}", "¶": r"\P{}", "•": r"\textbullet{}", "\u2011": "-",
}  # fmt: skip
_GREEK = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ"


def _greek(letter: str) -> str:
    r"""Return a Greek letter's command: ``\rho``, ``\Delta``; Unicode spells one of them without its b."""
    name = unicodedata.name(letter).split()[-1].replace("LAMDA", "LAMBDA")
    return "$\\" + (name.capitalize() if letter.isupper() else name.lower()) + "$"


_ESCAPES = _SPECIAL | {letter: _greek(letter) for letter in _GREEK}
_BESIDE = re.compile(r"(?<!\\)\$\$")  # two formulas side by side are one
_NEEDS = ("booktabs", "longtable", "array")


def latex_table(table: PrintedTable, layout: Layout) -> bytes:
    r"""Write a table as a LaTeX fragment for ``\input``: it breaks over pages, its head repeats.

    The packages it needs stand in the comment at its head; a wide table turns its page (pdflscape). Row
    heads one level down are indented, groups are bold, notes stand under the last rule. Letters beyond
    Latin, Greek and the signs of a statistical table need XeLaTeX or LuaLaTeX.
    """
    body = [*_opening(table), *_rows(table), r"\end{longtable}"]
    notes = [rf"\par\noindent {escape(note)}" for note in table.notes]
    if notes:
        body += [r"\vspace{-0.8\baselineskip}{\footnotesize\raggedright", *notes, r"\par}"]
    size = [rf"\begingroup\fontsize{{{table.size_pt:g}}}{{{table.size_pt * 1.25:.1f}}}\selectfont"]
    body = [*size, r"\setlength{\tabcolsep}{4pt}", *body, r"\endgroup"]
    if table.landscape:
        body = [r"\begin{landscape}", *body, r"\end{landscape}"]
    return "\n".join([*_comment(table), *body, ""]).encode()


def escape(text: str) -> str:
    r"""Return a text as LaTeX prints it, whatever signs it holds.

    >>> escape("5 % of n_1, ≥ 2 & −3")
    '5~\\% of n\\_\\allowbreak{}1, $\\geq$~2 \\& $-$3'
    """
    return _BESIDE.sub("", "".join(_ESCAPES.get(letter, letter) for letter in bind(text)))


def label(table: PrintedTable) -> str:
    """Return the name a text refers to the table by: ``tab:2``."""
    return "tab:" + re.sub(r"[^a-z0-9]+", "-", table.name.lower().removeprefix("table")).strip("-")


def _comment(table: PrintedTable) -> list[str]:
    packages = [*_NEEDS, *(["pdflscape"] if table.landscape else [])]
    return [
        f"% {table.caption}".replace("\n", " "),
        f"% {table.study}",
        "% pdfLaTeX, XeLaTeX or LuaLaTeX; needs " + " ".join(f"\\usepackage{{{name}}}" for name in packages),
        "% The class counts tables itself; \\caption* of \\usepackage{caption} leaves its number out.",
    ]


def _opening(table: PrintedTable) -> list[str]:
    head = " & ".join(_cell(escape(name), bold=True) for name in table.columns) + r" \\"
    wide = len(table.columns)
    return [
        rf"\begin{{longtable}}{{@{{}}{''.join(_columns(table))}@{{}}}}",
        rf"\caption{{{escape(table.title)}}}\label{{{label(table)}}}\\",
        r"\toprule",
        head,
        r"\midrule",
        r"\endfirsthead",
        r"\toprule",
        head,
        r"\midrule",
        r"\endhead",
        rf"\midrule\multicolumn{{{wide}}}{{@{{}}r@{{}}}}{{\footnotesize continued}}\\",
        r"\endfoot",
        r"\bottomrule",
        r"\endlastfoot",
    ]


def _columns(table: PrintedTable) -> list[str]:
    shares = [width / sum(table.widths_mm) for width in table.widths_mm]
    sides = [
        r"\raggedleft" if right else r"\raggedright" + (rf"\leftskip={inset:g}mm" if inset else "")
        for right, inset in zip(table.right, table.inset_mm, strict=True)
    ]
    return [
        rf">{{{side}\arraybackslash}}"
        rf"p{{\dimexpr {share:.4f}\linewidth-{_gap(i, len(sides))}\tabcolsep\relax}}"
        for i, (side, share) in enumerate(zip(sides, shares, strict=True))
    ]


def _gap(position: int, columns: int) -> int:
    """Return how many gaps a column has beside it: the outer ones of a table are closed."""
    return (position > 0) + (position < columns - 1)


def _rows(table: PrintedTable) -> list[str]:
    lines = []
    for position, row in enumerate(table.rows):
        if row.group and position:
            lines.append(r"\addlinespace")
        lines.append(_row(row, len(table.columns)))
    return lines


def _row(row: Row, columns: int) -> str:
    head = escape(row.cells[0])
    if spans(row):
        return rf"\multicolumn{{{columns}}}{{@{{}}l@{{}}}}{{\textbf{{{head}}}}}\\*"
    indent = rf"\leftskip={INDENT_MM * row.level:g}mm " if row.level else ""
    return " & ".join([indent + _cell(head, row.group), *map(escape, row.cells[1:])]) + r" \\"


def _cell(text: str, bold: bool) -> str:
    return rf"\textbf{{{text}}}" if bold and text else text
