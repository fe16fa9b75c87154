"""Scan of the restricted zone, ``data/derived``: direct identifiers have no place there either.

Subjects, dates and exchange objects live there; names, dates of birth, accession numbers, institutions,
operators, serial numbers and free text do not. The PatientID that the source PET carries is allowed in
written DICOM.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from analysis.privacy.decode import decoded
from analysis.privacy.elements import Walker
from analysis.privacy.formats import Contents, FormatRefused, kind_of, read
from analysis.privacy.found import Cut, Unfollowed
from analysis.privacy.gate import Scan, files_below
from analysis.privacy.search import Finding, Searcher
from analysis.privacy.vocabulary import Vocabulary

# Every kind of element that may hold words: numbers and pixels do not. Bytes of unknown kind may be text.
_TEXT = ["AE", "AS", "CS", "DA", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT", "UN"]


def scan_restricted(folder: Path, vocabulary: Vocabulary, rules: Any, skip: Iterable[str] = ()) -> Scan:
    """Search every table and DICOM file below `folder` for direct identifiers.

    Parameters
    ----------
    folder : Path
        ``data/derived/<study>/<scenario>``.
    vocabulary : Vocabulary
        Values of the raw files.
    rules : plan.Section
        Section ``privacy`` of the plan.
    skip : iterable of str
        Names of folders and files directly below `folder` that are not searched: what the gate keeps.

    Returns
    -------
    Scan
        Findings by file; a file that cannot be searched is one.
    """
    searcher, outcome = Searcher(rules, vocabulary, restricted=True), Scan()
    for path in files_below(folder):
        name = path.relative_to(folder)
        if name.parts[0] in set(skip):
            continue
        try:
            contents = _read(name.as_posix(), path.read_bytes())
        except Exception:  # readers raise many types on damaged files: each means it was not searched
            found = [Finding(searcher.redact(name.as_posix()), "the file", "FORMAT", 1, "cannot be read")]
        else:
            contents.add([("its name", name.as_posix())])
            outcome.files[contents.kind] += 1
            found = searcher.search_contents(name.as_posix(), contents)
        outcome.findings += found
        outcome.offenders += [path] if found else []
    return outcome


def _read(name: str, content: bytes) -> Contents:
    return read_dicom(content) if kind_of(content) == "DICOM" else read(name, content)


def read_dicom(content: bytes) -> Contents:
    """Read every element of a DICOM file: nested sequences and private ones included, pixels left out.

    Raises
    ------
    FormatRefused
        If it cannot be read to the end.
    """
    found = Contents("dicom")
    try:
        elements = Walker(_TEXT).read(content)
        chunks = [(f"tag {one.path}", " ".join(decoded(one))) for one in dict.fromkeys(elements)]
    except (Cut, Unfollowed, LookupError, ValueError) as error:
        raise FormatRefused("FORMAT", "the file", "DICOM that cannot be read") from error
    found.add(chunks)
    preamble = content[:128].replace(b"\0", b"")
    if preamble and content[128:132] == b"DICM":
        found.add([("the preamble", preamble.decode("latin-1"))])
    return found
