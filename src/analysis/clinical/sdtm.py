"""Read SDTM domains from any common format, all values as text, and refuse what later steps cannot use.

Every problem of every domain is listed at once. What a domain must hold, and who needs it, is the table
``sdtm_domains.yaml``; what stops a run, and what is only queried, stands in `sdtm_checks`.

| code | meaning |
|---|---|
| NO_FOLDER, NO_DOMAIN, TWO_FILES | what is missing, or there twice |
| UNREADABLE | damaged or cut, uneven rows, a quote left open, another format, no right to read it |
| ENCODING | a text that is not UTF-8 (or UTF-16 with a byte order mark): any guess could change a name |
| NOT_DATASET_JSON | JSON that is not Dataset-JSON 1.1: no columns, no name, uneven rows |
| NO_COLUMN, COLUMN_TWICE | columns, whose names are compared without regard to case |
| CSV_DELIMITER | under `strict` only: semicolons or tabs instead of commas |
| CSV_BLANK_LINES | under `strict` only: lines of separators above the header or below the last record |
| NO_ROWS, NO_SUBJECT, NO_SEQUENCE, NOT_A_NUMBER, DUPLICATE_KEY | see `sdtm_checks` |
| WRONG_DOMAIN, NO_STUDY, STUDY_MIXED | see `sdtm_checks` |

Files of no known domain (a split one such as ``qsph.csv`` too) are not read: a note on DM names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from analysis.clinical.file_text import FileBroken, column_text, is_number, number_text
from analysis.clinical.files import read_frame, suffix_of
from analysis.clinical.sdtm_checks import Problem, check_domain, check_study, list_not_numbers, show
from analysis.clinical.terms import by_value

__all__ = [
    "DOMAINS", "KEYS", "NUMBERS", "OPTIONAL", "REQUIRED", "FileBroken", "Problem", "SdtmError", "complete",
    "domains_needed", "list_not_numbers", "problem_table", "read_frame", "read_sdtm",
]  # fmt: skip

_CONTRACTS: dict[str, dict] = yaml.safe_load(
    Path(__file__).with_name("sdtm_domains.yaml").read_text(encoding="utf-8")
)
DOMAINS = tuple(_CONTRACTS)
# domain -> column -> who needs it; "A|B" means one of the two is enough
REQUIRED: dict[str, dict[str, str]] = {domain: dict(_CONTRACTS[domain]["required"]) for domain in DOMAINS}
# domain -> further columns that are used where present; columns whose values are numbers; the key of a record
OPTIONAL: dict[str, list[str]] = {domain: _CONTRACTS[domain]["optional"] for domain in DOMAINS}
NUMBERS: dict[str, list[str]] = {domain: _CONTRACTS[domain]["numbers"] for domain in DOMAINS}
KEYS: dict[str, list[str]] = {domain: _CONTRACTS[domain]["key"] for domain in DOMAINS}

_NAMES_SHOWN = 10  # of files that are not read


class SdtmError(ValueError):
    """Domains that cannot be used; `problems` lists every one found in this run, `table` shows them."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        super().__init__(f"{len(problems)} problem(s) in the SDTM folder:\n" + "\n".join(map(str, problems)))

    def __reduce__(self):
        return type(self), (self.problems,)

    def table(self) -> pd.DataFrame:
        """Return one row a problem: CODE, DOMAIN, VARIABLE, RECORD (first five), RECORDS (count), MESSAGE."""
        rows = [
            (p.code, p.domain, p.column, show(p.records), len(p.records), p.message) for p in self.problems
        ]
        return pd.DataFrame(rows, columns=["CODE", "DOMAIN", "VARIABLE", "RECORD", "RECORDS", "MESSAGE"])


def problem_table(error: SdtmError) -> pd.DataFrame:
    """Return the problems of an error as a table; see `SdtmError.table`."""
    return error.table()


def read_sdtm(
    folder: str | Path, domains: Iterable[str] = ("DM",), strict: bool = False, others: Iterable[str] = ()
) -> dict[str, pd.DataFrame]:
    """Read every SDTM domain of a folder as text.

    Parameters
    ----------
    folder : path
        Holds ``<domain>.{csv,csv.gz,xpt,sas7bdat,parquet,json,ndjson}``, names in any case.
    domains : iterable of str
        Domains that must be there, with records (`domains_needed` lists those of a plan). Others are read
        where present.
    strict : bool
        Refuse what is otherwise read with a note (``attrs["adaptations"]``).
    others : iterable of str
        Files that may lie there and are no domains: the corrections.

    Returns
    -------
    dict of str to DataFrame
        One frame for every known domain: its known columns as text (None where missing), empty if there is no
        file. Numeric columns (`NUMBERS`) are written alike: 21.0 is 21. ``frame.attrs``: ``file``;
        ``left_out``, names of columns that were not kept; ``adaptations``, list of [code, message].

    Raises
    ------
    SdtmError
        With every problem of every domain; the codes are listed at the head of this module.
    """
    folder, domains = Path(folder), set(domains)
    found, strangers = _files_of(folder)
    problems: list[Problem] = []
    frames = {}
    for domain in DOMAINS:
        files = found.get(domain, [])
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            problems.append(Problem("TWO_FILES", domain, "", f"one file a domain, found {names}; keep one"))
        elif files:
            frame, trouble = _read_domain(domain, files[0], domain in domains, strict)
            problems += trouble
            if frame is not None:
                frames[domain] = frame
        elif domain in domains:
            needs = ", ".join(sorted(set(REQUIRED[domain].values())))
            message = f"no {domain.lower()}.* in the folder; needed by {needs}"
            problems.append(Problem("NO_DOMAIN", domain, "", message))
    problems += check_study(frames)
    if problems:
        raise SdtmError(problems)
    read = {domain: frames.get(domain, _keep_known(domain, pd.DataFrame())) for domain in DOMAINS}
    expected = {name.casefold() for name in others}
    _note_strangers(read["DM"], [name for name in strangers if name.casefold() not in expected])
    return read


def complete(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return all known domains with all their known columns, text and None, whatever `frames` holds."""
    return {domain: _keep_known(domain, _as_text(frames.get(domain, pd.DataFrame()))) for domain in DOMAINS}


def domains_needed(rules) -> list[str]:
    """List the domains without which the endpoint rules of the plan section `clinical` cannot be derived."""
    needed = list(rules.domains[rules.endpoint_rules])
    if rules.endpoint_rules == "pearl":
        needed += ["RS"] if rules.response_source == "reported" else ["TU", "TR"]
    return needed


def _files_of(folder: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the files of each domain, and the names of files of no domain."""
    try:
        files = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        message = f"no folder {folder.name!r} in the raw folder; put the domains there"
        raise SdtmError([Problem("NO_FOLDER", "SDTM", "", message)]) from None
    except OSError as error:
        message = (
            f"folder {folder.name!r} cannot be opened ({type(error).__name__}); ask for the right to read it"
        )
        raise SdtmError([Problem("NO_FOLDER", "SDTM", "", message)]) from None
    found: dict[str, list[Path]] = {}
    strangers = []
    for file in files:
        suffix = suffix_of(file)
        domain = file.name[: -len(suffix)].upper() if suffix else ""
        if domain in DOMAINS:
            found.setdefault(domain, []).append(file)
        elif not file.name.startswith("."):
            strangers.append(file.name)
    return found, strangers


def _note_strangers(dm: pd.DataFrame, names: list[str]) -> None:
    if names:
        shown = ", ".join(names[:_NAMES_SHOWN]) + (" ..." if len(names) > _NAMES_SHOWN else "")
        message = f"{len(names)} file(s) of no known domain were not read: {shown}"
        dm.attrs["adaptations"] = [*dm.attrs.get("adaptations", []), ["FILE_IGNORED", message]]


def _read_domain(
    domain: str, file: Path, needed: bool, strict: bool
) -> tuple[pd.DataFrame | None, list[Problem]]:
    try:
        raw = read_frame(file, REQUIRED[domain])
    except FileBroken as error:
        return None, [Problem(error.code, domain, "", str(error))]
    raw.columns = [str(name).upper() for name in raw.columns]
    problems = _check_columns(domain, file, raw)
    if problems:
        return None, problems
    frame = _keep_known(domain, raw)
    frame.attrs["file"] = file.name
    refused = raw.attrs["adaptations"] if strict else []
    problems = [
        Problem(code, domain, "", f"{message}; export it anew, or set clinical.strict: false")
        for code, message in refused
    ]
    return frame, problems + check_domain(domain, frame, raw, KEYS[domain], needed)


def _check_columns(domain: str, file: Path, raw: pd.DataFrame) -> list[Problem]:
    known = {*_known(domain), "DOMAIN", "RDOMAIN"}
    twice = sorted(set(raw.columns[raw.columns.duplicated()]) & known)
    if twice:
        message = f"{file.name} has this column twice; keep the one that counts"
        return [Problem("COLUMN_TWICE", domain, name, message) for name in twice]
    reasons = REQUIRED[domain]
    missing = [name for name in reasons if not set(name.split("|")) & set(raw.columns)]
    return [
        Problem(
            "NO_COLUMN",
            domain,
            name.replace("|", " or "),
            f"{file.name} lacks it; needed by {reasons[name]}; export it with this column",
        )
        for name in missing
    ]


def _keep_known(domain: str, raw: pd.DataFrame) -> pd.DataFrame:
    """Return the known columns of a frame of text, numbers written alike."""
    known = _known(domain)
    raw = raw.loc[:, ~raw.columns.duplicated()]
    nothing = np.full(len(raw), None, dtype=object)
    columns = {name: raw[name].to_numpy() if name in raw else nothing for name in known}
    for name in set(NUMBERS[domain]) & set(raw.columns):
        columns[name] = by_value(pd.Series(columns[name], dtype=object), _numbers_alike).to_numpy()
    frame = pd.DataFrame(columns, dtype=object)
    left_out = set(map(str, raw.columns)) - set(known) - {"DOMAIN", "RDOMAIN"}
    frame.attrs = {**raw.attrs, "left_out": sorted(left_out | set(raw.attrs.get("left_out", [])))}
    return frame


def _known(domain: str) -> list[str]:
    names = [part for name in REQUIRED[domain] for part in name.split("|")]
    return list(dict.fromkeys([*names, *OPTIONAL[domain]]))


def _numbers_alike(values: pd.Series) -> pd.Series:
    return values.map(lambda value: number_text(value) if is_number(value) else value).astype(object)


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame of any types as text, its index from 0."""
    columns = {place: column_text(frame.iloc[:, place]) for place in range(frame.shape[1])}
    text = pd.DataFrame(columns, dtype=object, index=range(len(frame)), columns=range(frame.shape[1]))
    text.columns, text.attrs = frame.columns, dict(frame.attrs)
    return text
