"""The gate on output: nothing is written below ``reports/`` that holds what came in with the raw files.

`check` is called before a file is written, `scan` goes through folders once more at the end of the DAG. Both
fail closed: a file that cannot be searched is refused like one in which something was found. A message says
which rule, where and how often; it never says what. What is drawn into the pixels of a picture is not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.privacy.formats import kind_of
from analysis.privacy.search import Finding, Searcher
from analysis.privacy.vocabulary import Vocabulary

_SHOWN = 5  # findings told in one message; the command lists all

REMEDIES = {
    "AGE": "cap ages at the plan's privacy.gate_max_age before they are shown",
    "COLUMN": "drop this column, or show it as a change in percent",
    "DATE": "show study days instead of dates; a date of the plan itself goes to privacy.gate_allow",
    "EMAIL": "take the address out",
    "FORMAT": "write a file the gate can read: text, SVG, PNG, TIFF, JPEG, PDF, ZIP or Parquet",
    "PATH": "show a path below the project, or none",
    "SUBJECT": "show Run.subject_key(subject) instead, or pass the table through Run.show",
    "TIME": "show minutes between events instead of times of day",
    "UID": "leave identifiers of DICOM objects out; a registered class goes to privacy.gate_allow",
    "VOLUME": "keep images and masks in data/derived",
}
OTHERWISE = "take it out; what is no identifier goes to privacy.gate_allow of the plan, with the reason"


class PrivacyError(ValueError):
    """Something that must not leave: rule, place and count of each finding, never the value itself.

    Attributes
    ----------
    findings : list of Finding
        All of them.
    """

    def __init__(self, findings: list[Finding]):
        self.findings = findings
        shown = "; ".join(describe(finding) for finding in findings[:_SHOWN])
        more = f"; and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
        rules = sorted({finding.rule for finding in findings})
        remedies = " ".join(f"{rule}: {REMEDIES.get(rule, OTHERWISE)}." for rule in rules)
        super().__init__(f"PRIVACY: held back, {shown}{more}. {remedies}")


def describe(finding: Finding) -> str:
    """Return one finding in words."""
    note = f", {finding.note}" if finding.note else ""
    return f"{finding.file}, {finding.where}: {finding.rule} ({finding.count}{note})"


def check(name: str, content: bytes, vocabulary: Vocabulary, rules: Any) -> None:
    """Raise if `content` may not be written below ``reports/``.

    Parameters
    ----------
    name : str
        Path below the reports folder; it is searched too.
    content : bytes
        The whole file.
    vocabulary : Vocabulary
        Values of the raw files.
    rules : plan.Section
        Section ``privacy`` of the plan.

    Raises
    ------
    PrivacyError
        With every finding; a file that cannot be searched is one.
    """
    found = Searcher(rules, vocabulary).search(name, content)
    if found:
        raise PrivacyError(found)


@dataclass
class Scan:
    """Outcome of a scan of folders.

    Attributes
    ----------
    findings : list of Finding
        What must not leave.
    files : Counter
        Files searched, by kind.
    offenders : list of Path
        Files with a finding.
    """

    findings: list[Finding] = field(default_factory=list)
    files: Counter = field(default_factory=Counter)
    offenders: list[Path] = field(default_factory=list)


def scan(folder: Path, vocabulary: Vocabulary, rules: Any, skip: Iterable[Path] = ()) -> Scan:
    """Search every file below `folder` by the rules of ``reports/``, in the order of their paths.

    Parameters
    ----------
    folder : Path
        Folder to go through.
    vocabulary, rules
        As for `check`.
    skip : iterable of Path
        Files that are not searched: the record this scan will write.

    Returns
    -------
    Scan
        A file that cannot be opened is a finding.
    """
    searcher, outcome, skipped = Searcher(rules, vocabulary), Scan(), set(skip)
    for path in files_below(folder):
        if path in skipped:
            continue
        name = path.relative_to(folder).as_posix()
        try:
            content = path.read_bytes()
        except OSError:
            found = [Finding(searcher.redact(name), "the file", "FORMAT", 1, "cannot be opened")]
        else:
            outcome.files[_kind(name, content)] += 1
            found = searcher.search(name, content)
        outcome.findings += found
        if found:
            outcome.offenders.append(path)
    outcome.findings += empty_folders(folder, searcher)
    return outcome


def empty_folders(folder: Path, searcher: Searcher) -> list[Finding]:
    """List what the names of folders without a file say: those of others stand in their files' paths."""
    empty = sorted(path for path in folder.rglob("*") if path.is_dir() and not any(path.iterdir()))
    return [
        found
        for path in empty
        if not path.is_symlink()
        for found in searcher.search(path.relative_to(folder).as_posix(), b"")
    ]


def files_below(folder: Path) -> list[Path]:
    """List the files below `folder` in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def _kind(name: str, content: bytes) -> str:
    kind = kind_of(content)
    return Path(name).suffix.lower().lstrip(".") or kind if kind == "text" else kind
