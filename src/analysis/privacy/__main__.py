"""The command of the gate: ``python -m analysis.privacy collect|gate``.

python -m analysis.privacy collect --study virtual --workers 2
python -m analysis.privacy gate reports/virtual/primary --study virtual
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from analysis import plan, progress, storage
from analysis.privacy import gate, identifiers
from analysis.privacy.restricted import scan_restricted
from analysis.privacy.search import Finding, Searcher
from analysis.privacy.vocabulary import Vocabulary

HELD_BACK = "held_back"
# What the gate itself keeps in the restricted zone, and the salt of the subjects' keys: no outputs.
KEPT = (identifiers.FOLDER, HELD_BACK, "salt.txt")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; see ``python -m analysis.privacy --help``.

    Returns
    -------
    int
        0 where nothing was found, 1 where something was, 2 where it could not be searched.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.record:  # first of all: the record of an earlier search says nothing of this one
            options.record.unlink(missing_ok=True)
        whole = storage.load_study_plan(options.study)
        root = storage.project_root()
        kept = root / (options.derived_dir or f"data/derived/{whole.study}/{storage.PRIMARY}")
        raw = root / (options.raw_dir or f"data/raw/{whole.study}")
        vocabulary = identifiers.load_vocabulary(raw, kept, whole, root, options.workers, progress.report)
        return options.run(options, whole, vocabulary, kept)
    except (identifiers.VocabularyMissing, plan.PlanError, storage.RunError) as error:
        print(f"refused: {error}", file=sys.stderr)
    except OSError as error:  # its own words name the file, and a file may be named after a person
        print(f"refused: a file cannot be read or written ({error.strerror})", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analysis.privacy", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, about in (
        ("collect", _collect, "collect the identifying values of the raw files"),
        ("gate", _gate, "search folders of results for them"),
    ):
        command = commands.add_parser(name, help=about)
        command.set_defaults(run=run)
        command.add_argument("--study", default=storage.DEFAULT_STUDY, help="name of the study")
        command.add_argument("--raw-dir", help="raw folder, where it is not data/raw/STUDY")
        command.add_argument("--derived-dir", help="folder the values are kept in")
        command.add_argument("--workers", type=int, default=1, help="processes that read the raw files")
        command.add_argument("--record", type=Path, help="JSON file to write when nothing was found")
        if name == "gate":
            command.add_argument(
                "folders", nargs="*", type=Path, metavar="FOLDER", help="folders as reports/"
            )
            command.add_argument("--restricted", type=Path, action="append", default=[], metavar="FOLDER")
            command.add_argument("--hold", type=Path, metavar="FOLDER", help="move what is found there")
    return parser


def _collect(options: argparse.Namespace, whole: plan.Plan, vocabulary: Vocabulary, kept: Path) -> int:
    identifiers.write_coinciding(kept, vocabulary)
    if options.record:
        _write_json(
            options.record, {"searched": vocabulary.counts(), "coinciding": len(vocabulary.coincides)}
        )
    return 0


def _gate(options: argparse.Namespace, whole: plan.Plan, vocabulary: Vocabulary, kept: Path) -> int:
    missing = [folder for folder in (*options.folders, *options.restricted) if not folder.is_dir()]
    if missing or not (options.folders or options.restricted):
        print(f"refused: {len(missing)} folder(s) do not exist, or none was named", file=sys.stderr)
        return 2
    skip = [options.record] if options.record else []
    before = [storage.list_files(folder) for folder in options.folders]
    reports = [(folder, gate.scan(folder, vocabulary, whole.privacy, skip)) for folder in options.folders]
    zones = [(f, scan_restricted(f, vocabulary, whole.privacy, KEPT)) for f in options.restricted]
    found = [finding for _, outcome in (*reports, *zones) for finding in outcome.findings]
    if found:
        print(_table(found), file=sys.stderr)
        for folder, outcome in reports:
            _hold(outcome.offenders, folder, options.hold)
        print(f"PRIVACY: {len(found)} finding(s); the results may not leave", file=sys.stderr)
        return 1
    missing = _not_remade(options.hold, options.folders)
    if missing:
        redact = Searcher(whole.privacy, vocabulary).redact
        print("\n".join(redact(name) for name in missing), file=sys.stderr)
        print(
            f"PRIVACY: {len(missing)} file(s) taken away by an earlier search were not made again; mend and "
            f"rerun the step that writes them, or remove them from {HELD_BACK}/ of the scenario's derived "
            "folder",
            file=sys.stderr,
        )
        return 1
    after = [storage.list_files(folder) for folder in options.folders]
    if not all(one.equals(other) for one, other in zip(before, after, strict=True)):
        print("refused: the reports changed while they were searched; run again", file=sys.stderr)
        return 2
    if options.record:
        _write_json(options.record, _record(reports, zones, vocabulary, after))
    return 0


def _not_remade(held: Path | None, folders: list[Path]) -> list[str]:
    """List what was taken away and is in no folder again; not executed copies, whose step failed itself."""
    kept = sorted(path for path in held.rglob("*") if path.is_file()) if held and held.is_dir() else []
    names = [path.relative_to(held) for path in kept]
    names = [name for name in names if not name.parts[0].startswith(".running-") and not _is_copy(name)]
    return [name.as_posix() for name in names if not any((folder / name).is_file() for folder in folders)]


def _is_copy(name: Path) -> bool:
    return len(name.parts) == 1 and name.suffix == ".ipynb"


def _record(reports: list, zones: list, vocabulary: Vocabulary, listed: list) -> dict:
    def files(scans: list) -> dict[str, int]:
        kinds = sorted({kind for _, outcome in scans for kind in outcome.files})
        return {kind: sum(outcome.files[kind] for _, outcome in scans) for kind in kinds}

    return {
        "findings": 0,
        "files": files(reports),
        "sha256": [dict(zip(rows["PATH"], rows["SHA256"])) for rows in listed],  # a folder each
        "restricted_files": files(zones),
        "searched": vocabulary.counts(),
        "coinciding": len(vocabulary.coincides),
    }


def _table(found: list[Finding]) -> str:
    rows = [("file", "where", "rule", "count"), *((f.file, f.where, f.rule, str(f.count)) for f in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*(v.ljust(w) for v, w in zip(row, widths)), row[3]]) for row in rows)


def _hold(offenders: list[Path], folder: Path, held: Path | None) -> None:
    for path in offenders if held else []:
        target = held / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)  # may be another disk
        path.unlink()


def _write_json(path: Path, content: dict) -> None:
    storage.write_bytes(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
