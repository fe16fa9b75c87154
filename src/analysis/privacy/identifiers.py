"""The identifying values of a study: collected once from the raw files, kept in the restricted zone."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import plan
from analysis.privacy.vocabulary import Vocabulary, build

FOLDER = "privacy"
_VALUES, _STATE = "identifiers.parquet", "raw_state.txt"
_COLUMNS = ("KIND", "VALUE", "FIRSTSEEN", "COUNT", "SEARCHABLE", "CODED")
# What a person is known by; a folder that names nobody is the wrong one.
_NAMES = ("NAME", "PERSON", "SUBJECT", "ID", "ACCESSION", "UID")
_OWN_ENDINGS = {".py", ".yaml", ".html", ".css"}


class VocabularyMissing(ValueError):
    """The values to search for are not known, so nothing can be passed."""


def load_vocabulary(
    raw_dir: Path,
    folder: Path,
    whole: plan.Plan,
    root: Path,
    workers: int = 1,
    report: Callable[[str, int, int], None] | None = None,
) -> Vocabulary:
    """Return the vocabulary of a study, collecting its values anew where the raw files changed.

    Parameters
    ----------
    raw_dir : Path
        Raw files of the study.
    folder : Path
        Folder of its primary analysis in the restricted zone; the values are kept in ``privacy/`` there.
    whole : plan.Plan
        Plan of the study.
    root : Path
        Root of the project, whose own text is no leak.
    workers : int
        Processes that read the raw files.
    report : callable, optional
        Called with what is counted, units done and units in all.

    Raises
    ------
    VocabularyMissing
        If there are no raw files and no values kept, or a raw file could not be read and the plan does not
        accept that.
    """
    values = _collected(raw_dir, folder / FOLDER, whole, workers, report)
    if values is None:
        if whole.privacy.gate_without_raw != "patterns":
            raise VocabularyMissing(
                "NO_VOCABULARY: neither raw files nor values collected from them are there, so outputs "
                "cannot be searched for them; give the raw folder (DATA=...), or set gate_without_raw: "
                "patterns in section privacy of the plan, with the reason"
            )
        values = pd.DataFrame(columns=_COLUMNS)
    unread = int((values["KIND"] == "UNREADABLE").sum())
    if unread and whole.privacy.gate_unreadable == "refuse":
        raise VocabularyMissing(
            f"RAW_UNREADABLE: {unread} raw file(s) could not be read, so what they say about persons is not "
            f"known (listed in {FOLDER}/{_VALUES} of the derived folder, KIND UNREADABLE); mend or remove "
            "them, or set privacy.gate_unreadable: accept in the plan, with the reason"
        )
    return build(values, own_text(root, whole), whole.privacy)


def _collected(
    raw_dir: Path, folder: Path, whole: plan.Plan, workers: int, report: Callable | None
) -> pd.DataFrame | None:
    """Return the values of the raw files: those kept, if the raw files are the same or gone."""
    path, state = folder / _VALUES, folder / _STATE
    if not raw_dir.is_dir() or not list_raw(raw_dir):
        return _kept_without_raw(path, state)
    now = raw_state(raw_dir, whole)
    kept = _kept(path, state, now)
    if kept is not None:
        return kept
    from analysis.privacy.collect import collect

    values = _table(collect(raw_dir, whole, workers=workers, report=report))
    if raw_state(raw_dir, whole) != now:
        raise VocabularyMissing("RAW_CHANGING: the raw files changed while they were read; run again")
    if not values["KIND"].isin([*_NAMES, "UNREADABLE"]).any():
        if whole.privacy.gate_without_raw != "patterns":
            raise VocabularyMissing(
                "RAW_EMPTY: the raw folder holds files, but nothing in them names a person, so it is not the "
                "study's; give the right one (DATA=...), or set gate_without_raw: patterns in section "
                "privacy of the plan, with the reason"
            )
        return _kept_without_raw(path, state)  # what was collected before is never replaced by nothing
    if not values["KIND"].isin(_NAMES).any():
        return values  # unreadable altogether: told, never kept
    buffer = io.BytesIO()
    values.to_parquet(buffer, index=False)
    content = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    state.unlink(missing_ok=True)  # a run cut off between the two files must not look finished
    _write(path, lambda temporary: temporary.write_bytes(content))
    text = f"{now}\n{hashlib.sha256(content).hexdigest()}\n"
    _write(state, lambda temporary: temporary.write_text(text, encoding="ascii"))
    return values


def _kept(path: Path, state: Path, now: str | None = None) -> pd.DataFrame | None:
    """Return the kept values if they are whole and, where `now` is given, of these raw files."""
    try:
        content, lines = path.read_bytes(), state.read_bytes().decode("ascii", "replace").split()
        if lines[1:] != [hashlib.sha256(content).hexdigest()] or now not in (None, lines[0]):
            return None
        return pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError):  # pyarrow's errors are ValueErrors too
        return None


def _kept_without_raw(path: Path, state: Path) -> pd.DataFrame | None:
    """Return the kept values, None where there never were any, and refuse those that were changed."""
    kept = _kept(path, state)
    if kept is None and path.is_file():
        raise VocabularyMissing(
            "NO_VOCABULARY: there are no raw files, and the values kept from them are damaged or incomplete; "
            "give the raw folder (DATA=...)"
        )
    return kept


def _table(collected: Any) -> pd.DataFrame:
    """Return the values with a row for every file that could not be read."""
    unread = [("UNREADABLE", path, "", 1, False, False) for path in collected.unreadable]
    values = collected.values[list(_COLUMNS)]
    return (
        pd.concat([values, pd.DataFrame(unread, columns=_COLUMNS)], ignore_index=True) if unread else values
    )


def list_raw(raw_dir: Path) -> list[str]:
    """List what collecting reads, links followed: one line a file with its name, size and time.

    Raises
    ------
    VocabularyMissing
        If a folder cannot be listed. A file that cannot be reached has a line that says so.
    """
    from analysis.privacy import collect

    root, lines = os.fspath(raw_dir), []
    try:
        names = sorted(collect._files(root))
    except OSError as error:
        raise VocabularyMissing(
            f"RAW_UNREADABLE: the raw folder cannot be listed ({error.strerror}); mend or remove the link "
            "or folder"
        ) from None
    for name in names:
        try:
            facts = os.stat(os.path.join(root, name))
            lines.append(f"{name}|{facts.st_size}|{facts.st_mtime_ns}\n")
        except OSError:
            lines.append(f"{name}|unreachable\n")
    return lines


def raw_state(raw_dir: Path, whole: plan.Plan) -> str:
    """Return a digest of the raw files' names, sizes and times, of the rules and of the collecting code."""
    hasher = hashlib.sha256()
    for line in list_raw(raw_dir):
        hasher.update(line.encode("utf-8", "surrogateescape"))
    rules = {name: value for name, value in whole.privacy.to_dict().items() if not name.startswith("gate_")}
    hasher.update(json.dumps(rules, sort_keys=True, default=str).encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        if file.stem not in _GATE and not file.stem.startswith("audit"):
            hasher.update(file.read_bytes())
    return hasher.hexdigest()


# Modules of the gate, like those of the audit: a change there does not change what the raw files hold.
_GATE = frozenset(
    ("__main__", "gate", "restricted", "search", "vocabulary", "identifiers", "formats", "markup", "notebook")
    + ("pictures", "documents")
)


def _write(path: Path, writer: Callable[[Path], Any]) -> None:
    """Write atomically: jobs that run at once each write the same bytes, and a reader sees a whole file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    writer(temporary)
    os.replace(temporary, path)


def own_text(root: Path, whole: plan.Plan) -> str:
    """Return the project's own text: the package, the notebooks as written, and the values of the plan."""
    return (
        _project_text(root)
        + "\n"
        + json.dumps([whole.values, whole.changed], default=str, ensure_ascii=False)
    )


@lru_cache(maxsize=4)
def _project_text(root: Path) -> str:
    package = Path(__file__).resolve().parents[1]
    files = [file for file in sorted(package.rglob("*")) if file.suffix in _OWN_ENDINGS]
    parts = [file.read_text(encoding="utf-8") for file in files]
    for notebook in sorted((root / "notebooks").glob("*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        parts += ["".join(cell["source"]) for cell in cells]
    return "\n".join(parts)


def write_coinciding(folder: Path, vocabulary: Vocabulary) -> None:
    """Keep, in the restricted zone, the values not searched for because the project says them too."""
    rows = sorted((kind, value, "COINCIDES") for value, kind in vocabulary.coincides.items())
    frame = pd.DataFrame(rows, columns=["KIND", "VALUE", "WHY"])
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    _write(
        folder / FOLDER / "coincides.csv", lambda path: frame.to_csv(path, index=False, lineterminator="\n")
    )
