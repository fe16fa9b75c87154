"""The executed copy of a notebook: written in the restricted zone, it reaches its place through the gate."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis import plan, storage
from analysis.privacy import gate, identifiers, search, vocabulary
from analysis.steps import COMMON_PARAMETERS, STEPS


def has_study(values: Mapping[str, Any]) -> bool:
    """Tell whether a notebook's parameters name a study and its folders."""
    return set(COMMON_PARAMETERS) <= set(values)


def is_in_reports(output: Path) -> bool:
    """Tell whether a path lies below the project's ``reports/``."""
    return (storage.project_root() / "reports") in output.resolve().parents


def open_run(notebook: Path, values: dict[str, Any]) -> storage.Run | None:
    """Open the run whose raw values the executed copy is searched for.

    Parameters
    ----------
    notebook : Path
        A step's notebook, a copy of one, or one of somebody's own.
    values : dict
        All its parameters.

    Returns
    -------
    storage.Run or None
        None for a notebook without a study: its copy is searched by form alone.

    Raises
    ------
    storage.RunError, plan.PlanError
        As the notebook itself would, before it runs.
    """
    if not has_study(values):
        return None
    asked = set(values) - set(COMMON_PARAMETERS)
    step = next((name for name, step in STEPS.items() if step.notebook == notebook.stem), None)
    step = step or next((name for name, step in STEPS.items() if set(step.parameters) == asked), None)
    if step is None:  # a notebook of somebody's own, on the tables of a study
        return storage.resolve("06", **{name: values[name] for name in COMMON_PARAMETERS})
    return storage.open_run(step, values)


@contextlib.contextmanager
def working_folder(opened: storage.Run | None) -> Iterator[Path]:
    """Make a folder for the copy while it is written: in the restricted zone, where there is a study.

    Yields
    ------
    Path
        Gone at the end.
    """
    if opened is None:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
        return
    opened.held_back_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".running-", dir=opened.held_back_dir))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        with contextlib.suppress(OSError):  # something else was held back there
            opened.held_back_dir.rmdir()


def pass_out(opened: storage.Run | None, working: Path, output: Path) -> None:
    """Write the executed copy to its place if the gate lets it pass; else keep it in the restricted zone.

    Raises
    ------
    gate.PrivacyError, identifiers.VocabularyMissing
        An older copy at `output` is removed; a note on the error says where the new one is kept.
    """
    content = working.read_bytes()
    _drop_record(output)
    try:
        if opened is None:
            empty = vocabulary.Vocabulary({})
            gate.check(output.name, content, empty, plan.defaults().privacy)
        else:
            opened.check(output.name, content)
    except Exception as error:  # whatever the reason, what was not searched to the end does not leave
        output.unlink(missing_ok=True)
        if opened is not None:
            held = storage.write_bytes(opened.held_back_dir / output.name, content)
            error.add_note(f"the executed copy is kept as {os.path.relpath(held, storage.project_root())}")
        raise
    if opened is not None:
        for folder in (opened.held_back_dir, opened.held_back_dir / output.parent.name):
            (folder / output.name).unlink(missing_ok=True)
    storage.write_bytes(output, content)


def _drop_record(output: Path) -> None:
    """Remove the gate's record of the scenario whose reports a copy is written to."""
    reports = storage.project_root().resolve() / "reports"
    for folder in output.resolve().parents:
        if reports in folder.parents:
            (folder / storage.RECORD).unlink(missing_ok=True)


def redact(opened: storage.Run | None, text: str) -> str:
    """Return a message as it may be shown on a terminal."""
    if opened is None:
        return text
    try:
        return search.Searcher(opened.rules(), opened.vocabulary()).redact(text)
    except identifiers.VocabularyMissing:
        return "(not shown: nobody knows what it must not say)"
