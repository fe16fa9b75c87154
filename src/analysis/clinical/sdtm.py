"""Read SDTM domains from any common format, all values as text, and refuse what later steps cannot use.

Every problem of every domain is listed at once. What a domain must hold, and who needs it, is a table here.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

# domain -> column -> who needs it; "A|B" means one of the two is enough
REQUIRED: dict[str, dict[str, str]] = {
    "DM": {"STUDYID": "every table", "USUBJID": "every table", "DTHDTC": "PFS and OS (death)"},
    "DS": {"USUBJID": "ADSL", "DSDECOD": "registration, end of treatment", "DSSTDTC": "registration date"},
    "EX": {
        "USUBJID": "ADSL",
        "EXSTDTC": "first dose (time zero)",
        "EXENDTC": "last dose, last known alive",
        "EXDOSE": "first dose (a dose of 0 is none)",
    },
    "AE": {"USUBJID": "last known alive", "AESTDTC": "last known alive"},
    "LB": {"USUBJID": "last known alive", "LBDTC": "last known alive"},
    "VS": {"USUBJID": "last known alive", "VSDTC": "last known alive"},
    "SV": {"USUBJID": "last known alive", "SVSTDTC": "last known alive"},
    "SS": {"USUBJID": "last known alive", "SSDTC": "last known alive", "SSSTRESC|SSORRES": "alive or dead"},
    "QS": {"USUBJID": "performance status", "QSTESTCD": "performance status"},
    "CM": {"USUBJID": "earlier and new anti-cancer therapy", "CMSTDTC": "start of a new anti-cancer therapy"},
    "PR": {"USUBJID": "last known alive", "PRSTDTC": "last known alive"},
    "SUPPDM": {"USUBJID": "ADSL flags", "QNAM": "ADSL flags", "QVAL": "ADSL flags"},
    "TU": {
        "USUBJID": "RECIST",
        "TULNKID": "RECIST (which lesion)",
        "TUSTRESC|TUORRES": "RECIST (target, non-target or new)",
        "TUDTC": "RECIST (new lesions)",
    },
    "TR": {
        "USUBJID": "RECIST",
        "TRSEQ": "RECIST (duplicates)",
        "TRLNKID": "RECIST (which lesion)",
        "TRTESTCD": "RECIST (diameter or state)",
        "TRSTRESC|TRORRES": "RECIST (diameter or state)",
        "TRDTC": "RECIST (assessment)",
    },
    "RS": {
        "USUBJID": "reported response",
        "RSSEQ": "reported response (the last of a day)",
        "RSTESTCD": "reported response",
        "RSSTRESC|RSORRES": "reported response",
        "RSDTC": "reported response",
    },
}

# domain -> further columns that are used where present
_OPTIONAL_TEXT = {
    "DM": "SITEID SUBJID AGE SEX ARMCD ARM ACTARMCD RFSTDTC RFICDTC DTHFL",
    "DS": "STUDYID DSSEQ DSCAT DSTERM DSSCAT",
    "EX": "STUDYID EXSEQ EXTRT EXDOSU EXDOSFRQ",
    "AE": "STUDYID AESEQ AEENDTC AEDECOD AETERM",
    "LB": "STUDYID LBSEQ LBTESTCD LBORRES LBORRESU LBSTRESC LBSTRESN LBSTRESU LBFAST LBSPEC LBSTAT",
    "VS": "STUDYID VSSEQ VSTESTCD",
    "SV": "STUDYID VISITNUM VISIT SVENDTC",
    "SS": "STUDYID SSSEQ SSTESTCD",
    "QS": "STUDYID QSSEQ QSCAT QSSTRESN QSSTRESC QSORRES QSDTC",
    "CM": "STUDYID CMSEQ CMTRT CMDECOD CMCAT CMSCAT CMENDTC",
    "PR": "STUDYID PRSEQ PRTRT PRCAT",
    "SUPPDM": "STUDYID QLABEL",
    "TU": "STUDYID TUSEQ TULOC TUMETHOD TUEVAL TUEVALID TUACPTFL VISITNUM VISIT",
    "TR": "STUDYID TRGRPID TRSTRESN TRSTRESU TRORRESU TRSTAT TRREASND TRMETHOD TRANMETH TREVAL TREVALID "
    "TRACPTFL VISITNUM VISIT",
    "RS": "STUDYID RSCAT RSSTAT RSEVAL RSEVALID RSACPTFL VISITNUM VISIT",
}
OPTIONAL: dict[str, list[str]] = {domain: text.split() for domain, text in _OPTIONAL_TEXT.items()}

DOMAINS = tuple(REQUIRED)
_SUFFIXES = (".csv.gz", ".csv", ".xpt", ".sas7bdat", ".parquet", ".json")


class FileBroken(ValueError):
    """A file from which no table can be read; the message names the file, never its folder."""


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a domain from being used: its code, domain, column and what to do."""

    code: str
    domain: str
    column: str
    message: str

    def __str__(self) -> str:
        return f"{self.code} {self.domain}{'.' + self.column if self.column else ''}: {self.message}"


class SdtmError(ValueError):
    """Domains that cannot be used; `problems` lists every one found in this run."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        super().__init__(f"{len(problems)} problem(s) in the SDTM folder:\n" + "\n".join(map(str, problems)))

    def __reduce__(self):
        return type(self), (self.problems,)


def read_sdtm(folder: str | Path, domains: Iterable[str] = ("DM",)) -> dict[str, pd.DataFrame]:
    """Read every SDTM domain of a folder as text.

    Parameters
    ----------
    folder : path
        Holds ``<domain>.{csv,csv.gz,xpt,sas7bdat,parquet,json}``, names in any case.
    domains : iterable of str
        Domains that must be there (`domains_needed` lists those of a plan). Others are read where present.

    Returns
    -------
    dict of str to DataFrame
        One frame for every known domain: its known columns as text (None where missing), empty if there is no
        file. ``frame.attrs["left_out"]`` names columns that were not kept, ``attrs["file"]`` the file.

    Raises
    ------
    SdtmError
        With every problem of every domain: NO_FOLDER, NO_DOMAIN, TWO_FILES, UNREADABLE, NO_COLUMN,
        COLUMN_TWICE, DUPLICATE_KEY, NO_SUBJECT, NO_ROWS.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SdtmError(
            [
                Problem(
                    "NO_FOLDER",
                    "SDTM",
                    "",
                    f"no folder {folder.name!r} in the raw folder; put the domains there",
                )
            ]
        )
    found = _files_of(folder)
    problems: list[Problem] = []
    frames = {}
    for domain in DOMAINS:
        files = found.get(domain, [])
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            problems.append(Problem("TWO_FILES", domain, "", f"one file a domain, found {names}; keep one"))
        elif files:
            frame, trouble = _read_domain(domain, files[0])
            problems += trouble
            frames[domain] = frame
        elif domain in set(domains):
            needs = ", ".join(sorted(set(REQUIRED[domain].values())))
            problems.append(
                Problem("NO_DOMAIN", domain, "", f"no {domain.lower()}.* in the folder; needed by {needs}")
            )
    if problems:
        raise SdtmError(problems)
    return complete(frames)


def complete(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return all known domains with all their known columns, text and None, whatever `frames` holds."""
    return {domain: _keep_known(domain, frames.get(domain, pd.DataFrame())) for domain in DOMAINS}


def domains_needed(rules) -> list[str]:
    """List the domains without which the endpoint rules of the plan section `clinical` cannot be derived."""
    needed = list(rules.domains[rules.endpoint_rules])
    if rules.endpoint_rules == "pearl":
        needed += ["RS"] if rules.response_source == "reported" else ["TU", "TR"]
    return needed


def has_word(text: pd.Series, words) -> pd.Series:
    """Tell which values contain one of `words` (upper case; missing is False)."""
    return (
        text.astype("string").str.upper().str.contains("|".join(words), regex=True).fillna(False).astype(bool)
    )


def _files_of(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        name = file.name.lower()
        suffix = next((ending for ending in _SUFFIXES if name.endswith(ending)), None)
        if suffix and file.is_file():
            found.setdefault(name[: -len(suffix)].upper(), []).append(file)
    return found


def _read_domain(domain: str, file: Path) -> tuple[pd.DataFrame, list[Problem]]:
    try:
        raw = read_frame(file)
    except FileBroken as error:
        return pd.DataFrame(), [Problem("UNREADABLE", domain, "", str(error))]
    raw.columns = [str(name).strip().upper() for name in raw.columns]
    twice = sorted(set(raw.columns[raw.columns.duplicated()]) & set(_known(domain)))
    if twice:
        message = f"{file.name} has this column twice; keep the one that counts"
        return pd.DataFrame(), [Problem("COLUMN_TWICE", domain, name, message) for name in twice]
    missing = [name for name in REQUIRED[domain] if not set(name.split("|")) & set(raw.columns)]
    if missing:
        reason = REQUIRED[domain]
        return pd.DataFrame(), [
            Problem(
                "NO_COLUMN",
                domain,
                name.replace("|", " or "),
                f"{file.name} lacks it; needed by {reason[name]}; export it with this column",
            )
            for name in missing
        ]
    frame = _keep_known(domain, raw)
    frame.attrs["file"] = file.name
    return frame, _check_keys(domain, frame)


def _check_keys(domain: str, frame: pd.DataFrame) -> list[Problem]:
    problems = []
    if domain == "DM" and frame.empty:
        problems.append(Problem("NO_ROWS", domain, "", "not one subject; export it again"))
    if frame.USUBJID.isna().any():
        count = int(frame.USUBJID.isna().sum())
        problems.append(
            Problem("NO_SUBJECT", domain, "USUBJID", f"{count} record(s) without a subject; complete them")
        )
    sequence = f"{domain}SEQ"
    key = ["USUBJID"] if domain == "DM" else ["USUBJID", sequence]
    if set(key) <= set(frame.columns) and frame[key[-1]].notna().any():
        rows = frame[frame.duplicated(key, keep=False) & frame[key].notna().all(axis=1)]
        if len(rows):
            records = rows[key].drop_duplicates().agg(" ".join, axis=1)
            listed = "; ".join(records.head(5)) + (" ..." if len(records) > 5 else "")
            message = f"{len(rows)} records share {len(records)} key(s) ({' '.join(key)}): {listed}"
            problems.append(Problem("DUPLICATE_KEY", domain, " ".join(key), f"{message}; keep one of each"))
    return problems


def _keep_known(domain: str, raw: pd.DataFrame) -> pd.DataFrame:
    known = _known(domain)
    raw = raw.loc[:, ~raw.columns.duplicated()]
    frame = pd.DataFrame(
        {name: _as_text(raw[name]) if name in raw else None for name in known}, index=raw.index
    )
    frame = frame.astype(object).where(frame.notna(), None).reset_index(drop=True)
    left_out = set(map(str, raw.columns)) - set(known) - {"DOMAIN"}
    frame.attrs = {**raw.attrs, "left_out": sorted(left_out | set(raw.attrs.get("left_out", [])))}
    return frame


def _known(domain: str) -> list[str]:
    names = [part for name in REQUIRED[domain] for part in name.split("|")]
    return list(dict.fromkeys([*names, *OPTIONAL[domain]]))


def _as_text(values: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(values):  # SAS and Parquet keep numbers: 21.0 and 21 are the same text
        text = values.map(lambda number: None if pd.isna(number) else f"{number:.15g}")
    elif pd.api.types.is_datetime64_any_dtype(values):
        text = values.dt.strftime("%Y-%m-%d")
    else:
        text = values.map(lambda value: None if pd.isna(value) else str(value).strip())
    return text.astype(object).replace("", None)


def read_frame(file: str | Path) -> pd.DataFrame:
    """Read one table by its ending: csv, csv.gz, xpt, sas7bdat, parquet or json (Dataset-JSON 1.1).

    Raises
    ------
    FileBroken
        For an unknown ending, an empty file, a row of another length than the header, any other damage.
    """
    name = Path(file).name.lower()
    suffix = next((ending for ending in _SUFFIXES if name.endswith(ending)), None)
    if suffix is None:
        raise FileBroken(f"no reader for {name!r}; use one of {_SUFFIXES}")
    try:
        return _READERS[suffix](Path(file))
    except FileBroken as error:
        raise FileBroken(f"{Path(file).name} {error}") from error
    except Exception as error:  # each reader raises types of its own: all mean that the file is damaged
        raise FileBroken(
            f"{Path(file).name} cannot be read ({type(error).__name__}); export it again"
        ) from error


def _read_csv(file: Path) -> pd.DataFrame:
    # pandas fills a short row with nothing and shifts a long one: both would lose values without a word.
    opened = gzip.open if file.name.lower().endswith(".gz") else open
    with opened(file, "rt", encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream)
        rows = [(lines.line_num, row) for row in lines if row]
    if not rows:
        raise FileBroken("is empty: not even the names of its columns are there; export it again")
    header = rows[0][1]
    uneven = [number for number, row in rows if len(row) != len(header)]
    if uneven:
        raise FileBroken(
            f"has {len(uneven)} line(s) that do not have the {len(header)} fields of the header, "
            f"first {uneven[:5]}; mend them or export it again"
        )
    return pd.DataFrame([row for _, row in rows[1:]], columns=header, dtype=object)


def _read_sas(reader: str) -> Callable[[Path], pd.DataFrame]:
    def read(file: Path) -> pd.DataFrame:
        import pyreadstat

        return getattr(pyreadstat, reader)(str(file), disable_datetime_conversion=False)[0]

    return read


def _read_dataset_json(file: Path) -> pd.DataFrame:
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not {"columns", "rows"} <= set(content):
        raise FileBroken("is no Dataset-JSON 1.1: it needs 'columns' and 'rows'; export it again")
    return pd.DataFrame(content["rows"], columns=[column["name"] for column in content["columns"]])


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".xpt": _read_sas("read_xport"),
    ".sas7bdat": _read_sas("read_sas7bdat"),
    ".parquet": pd.read_parquet,
    ".json": _read_dataset_json,
}
