"""What a run changed: figures and tables before against after, file by file and cell by cell.

``python -m analysis.changes keep FOLDER`` before a run, ``python -m analysis.changes list FOLDER`` after it.
What is compared has passed the privacy gate; nothing depends on the clock, only on what the files hold.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis.storage import project_root, write_bytes

PARTS = ("figures", "tables")
SHOWN = 5  # cells told of one table; its CSV has all
ORDER = ("svg", "pdf", "png", "tif", "csv", "html", "docx", "tex", "rtf")


def keep(folder: Path, store: Path | None = None) -> Path:
    """Note what the figures and tables of a reports folder are now, to be compared after a run.

    Parameters
    ----------
    folder : Path
        ``reports/<study>/<scenario>``; it may not be there yet.
    store : Path, optional
        Where the note is kept; in the project's ``.cache`` if absent.

    Returns
    -------
    Path
        The note. Where the folder holds nothing and an older note exists, as after a run that failed, the
        older one stays.
    """
    path = (store or _store(folder)) / "files.json"
    files = _files(folder)
    if not files and path.is_file():
        return path
    tables = {name: (folder / name).read_text("utf-8") for name in files if name.endswith(".csv")}
    text = json.dumps({"files": files, "tables": tables}, indent=1, sort_keys=True)
    return write_bytes(path, (text + "\n").encode())


def compare(folder: Path, store: Path | None = None) -> list[str]:
    """List in words what is new, gone and changed since `keep`, and count what is not.

    Parameters
    ----------
    folder, store : Path
        As for `keep`.

    Returns
    -------
    list of str
        Lines to print.
    """
    path = (store or _store(folder)) / "files.json"
    if not path.is_file():
        return ["No earlier run to compare with: every figure and table is new."]
    before = json.loads(path.read_text("utf-8"))
    after = _files(folder)
    return [line for part in PARTS for line in _compare_part(part, folder, before, after)]


def compare_tables(before: str, after: str) -> list[str]:
    """List in words the cells of a CSV that changed, and the rows and columns that came or went.

    Rows are the same if their first cells are, the first with the first, the second with the second.
    """
    old, new = _rows(before), _rows(after)
    old_names, new_names = old.pop(("", 0), []), new.pop(("", 0), [])
    cells = list(_changed_cells(old, new, old_names, new_names))
    lines = [f"{len(cells)} cell{'s' if len(cells) != 1 else ''}"] if cells else []
    lines += [f'{head}, {name}: "{was}" -> "{now}"' for head, name, was, now in cells[:SHOWN]]
    if len(cells) > SHOWN:
        lines.append(f"and {len(cells) - SHOWN} more")
    for what, one, other in (("new", new, old), ("gone", old, new)):
        lines += [f"row {what}: {head}" for head, number in one if (head, number) not in other]
    for what, one, other in (("new", new_names, old_names), ("gone", old_names, new_names)):
        lines += [f"column {what}: {name}" for name in one if name not in other]
    return lines or ["the same cells in another order"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep or list, as asked on the command line; the exit code is 0 whatever changed."""
    parser = argparse.ArgumentParser(prog="python -m analysis.changes", description=__doc__)
    parser.add_argument("what", choices=["keep", "list"])
    parser.add_argument("folder", type=Path, help="reports/<study>/<scenario>")
    asked = parser.parse_args(arguments)
    if asked.what == "keep":
        keep(asked.folder)
    else:
        print("\n".join(compare(asked.folder)))
    return 0


def _store(folder: Path) -> Path:
    """Return where the note on a folder is kept: one place a folder, whatever the working directory."""
    root, path = project_root(), folder.resolve()
    inside = path.is_relative_to(root)
    name = path.relative_to(root).as_posix() if inside else hashlib.sha256(str(path).encode()).hexdigest()
    return root / ".cache" / "changes" / name


def _files(folder: Path) -> dict[str, str]:
    """Return name -> SHA-256 of every figure and table."""
    paths = sorted(path for part in PARTS for path in (folder / part).glob("*.*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if not path.name.startswith(".")
    }


def _compare_part(part: str, folder: Path, before: dict, after: dict[str, str]) -> Iterator[str]:
    old, new = _by_name(part, before["files"]), _by_name(part, after)
    state = {name: _state(old.get(name), new.get(name)) for name in sorted({*old, *new})}
    counts = Counter(state.values())
    told = ", ".join(f"{counts[word]} {word}" for word in ("new", "gone", "changed", "unchanged"))
    yield f"{part.capitalize()}: {told}"
    for name, word in state.items():
        if word == "unchanged":
            continue
        was, now = old.get(name, {}), new.get(name, {})
        kinds = sorted((kind for kind in {*was, *now} if was.get(kind) != now.get(kind)), key=_place)
        yield f"  {word}: {name} ({', '.join(_say(kind, was, now, word) for kind in kinds)})"
        if word == "changed" and "csv" in kinds and {"csv"} <= was.keys() & now.keys():
            table = f"{name}.csv"
            told = compare_tables(before["tables"][table], (folder / table).read_text("utf-8"))
            yield from (f"    {line}" for line in told)


def _state(was: dict | None, now: dict | None) -> str:
    if was is None or now is None:
        return "new" if was is None else "gone"
    return "unchanged" if was == now else "changed"


def _say(kind: str, was: dict, now: dict, word: str) -> str:
    """Return a format, and whether it alone came or went."""
    if word != "changed" or (kind in was and kind in now):
        return kind
    return f"{kind} {'new' if kind in now else 'gone'}"


def _place(kind: str) -> tuple[int, str]:
    return (ORDER.index(kind) if kind in ORDER else len(ORDER), kind)


def _by_name(part: str, files: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return name without ending -> ending -> SHA-256."""
    found: dict[str, dict[str, str]] = {}
    for path, digest in files.items():
        name, _, kind = path.rpartition(".")
        if path.startswith(f"{part}/"):
            found.setdefault(name, {})[kind] = digest
    return found


def _rows(text: str) -> dict[tuple[str, int], list[str]]:
    """Return (first cell, how many rows before had it) -> row; the names of the columns under ``("", 0)``."""
    rows = list(csv.reader(io.StringIO(text)))
    found, seen = {("", 0): rows[0] if rows else []}, Counter([""])
    for row in rows[1:]:
        head = row[0] if row else ""
        found[head, seen[head]] = row
        seen[head] += 1
    return found


def _changed_cells(old: dict, new: dict, old_names: list, new_names: list) -> Iterator[tuple]:
    shared = [name for name in new_names if name in old_names]
    for key, now in new.items():
        was = old.get(key)
        if was is None:
            continue
        for name in shared:
            pair = tuple(
                row[names.index(name)] if names.index(name) < len(row) else ""
                for row, names in ((was, old_names), (now, new_names))
            )
            if pair[0] != pair[1]:
                yield (key[0] or f"row {key[1]}", name, *pair)


if __name__ == "__main__":
    sys.exit(main())
