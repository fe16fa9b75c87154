"""The typed runner of a notebook: papermill, with the parameters checked before anything runs.

Papermill alone only logs an unknown parameter and passes any type. Here both are refused:

    pearl-run notebooks/04_survival_association.ipynb out.ipynb -p cut_percent 15

The executed copy is written in the restricted zone, and reaches its place only through the privacy gate.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import yaml

from analysis import executed, plan, progress, storage
from analysis.privacy.gate import PrivacyError
from analysis.privacy.identifiers import VocabularyMissing
from analysis.steps import COMMON_PARAMETERS

# An absolute path given as a parameter: its last part tells enough.
_ABSOLUTE = re.compile(r"""(["'])(/|[A-Za-z]:[\\/])(?:[^"'\n]*[\\/])?([^"'\n]*)\1""")
# jsonschema, which nbformat imports, compiles a grammar of web addresses for two seconds: never needed here.
sys.modules.setdefault("rfc3987_syntax", None)
KINDS = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}


class ParameterError(ValueError):
    """A parameter the notebook does not have, or a value of another type."""


def notebook_parameters(notebook: str | Path) -> dict[str, tuple[str, ...]]:
    """Return the parameters of a notebook and the types each accepts, as its parameters cell states them.

    The cell holds annotated literals: ``cut_percent: Optional[float] = None  # percent`` (papermill's own
    reader does not know ``float | None``).
    """
    found = {}
    for node in _assignments(notebook):
        annotation = re.sub(r"^Optional\[(.*)\]$", r"\1 | None", ast.unparse(node.annotation))
        found[node.target.id] = tuple(part.strip() for part in annotation.split("|"))
    return found


def _assignments(notebook: str | Path) -> list[ast.AnnAssign]:
    """Return the lines of a notebook's parameters cell."""
    import nbformat

    try:
        content = nbformat.read(notebook, as_version=4)
    except nbformat.reader.NotJSONError as error:
        raise ParameterError(f"{Path(notebook).name} is no notebook: it cannot be read as JSON") from error
    tagged = [cell for cell in content.cells if "parameters" in cell.metadata.get("tags", [])]
    if not tagged:
        raise ParameterError(f"{Path(notebook).name} has no cell tagged 'parameters'")
    body = ast.parse(tagged[0].source).body
    for node in body:
        if not isinstance(node, ast.AnnAssign):
            raise ParameterError(f"{Path(notebook).name}: a parameter without a type: {ast.unparse(node)}")
    return body


def read_parameters(file: str | Path) -> dict[str, Any]:
    """Read a YAML file of parameters, one ``name: value`` a line.

    Raises
    ------
    ParameterError
        If it is no YAML, or holds anything else.
    """
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise ParameterError(f"{Path(file).name} is no valid YAML{where}") from error
    if not isinstance(content or {}, dict):
        raise ParameterError(f"{Path(file).name} must hold lines 'name: value', found {content!r}")
    return content or {}


def check_parameters(notebook: str | Path, given: dict[str, Any]) -> dict[str, Any]:
    """Convert `given` to the types of the notebook's parameters, or refuse.

    Raises
    ------
    ParameterError
        Listing every unknown name (with the nearest known one) and every value of another type.
    """
    known = notebook_parameters(notebook)
    problems, checked = [], {}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {sorted(known)}"
            problems.append(f"unknown parameter {name!r}{hint}")
            continue
        try:
            checked[name] = _convert(value, known[name])
        except ValueError:
            problems.append(f"{name} must be {' or '.join(known[name])}, found {value!r}")
    if problems:
        raise ParameterError(f"{Path(notebook).name}: " + "; ".join(problems))
    return checked


def run_notebook(
    notebook: str | Path, output: str | Path, given: dict[str, Any] | None = None, quiet: bool = False
):
    """Run `notebook` with checked parameters and write the executed copy to `output`, through the gate.

    Raises
    ------
    ParameterError, storage.RunError, plan.PlanError
        Before anything runs.
    papermill.PapermillExecutionError
        If a cell raises; the executed copy up to that cell is written.
    PrivacyError, VocabularyMissing
        If the executed copy holds what must not leave, or cannot be searched: it is kept in ``held_back/`` of
        the scenario's derived folder, and an older `output` is removed.
    """
    import papermill

    parameters = check_parameters(notebook, given or {})
    output = Path(output)
    values = {node.target.id: ast.literal_eval(node.value) for node in _assignments(notebook)} | parameters
    if not executed.has_study(values) and executed.is_in_reports(output):
        raise ParameterError(
            f"{Path(notebook).name} lacks parameters of a study, so nobody knows what its copy must not "
            f"hold: add {list(COMMON_PARAMETERS)}, or write it elsewhere than below reports/"
        )
    opened = executed.open_run(Path(notebook), values)
    with executed.working_folder(opened) as folder:
        working = folder / output.name
        try:
            with _ShownProgress(quiet), tempfile.TemporaryDirectory() as sockets:
                return papermill.execute_notebook(
                    str(notebook),
                    str(working),
                    parameters=parameters,
                    progress_bar=not quiet,
                    kernel_manager_class=_ipc_kernel_manager(sockets),
                )
        except papermill.PapermillExecutionError as error:
            error.evalue = executed.redact(opened, error.evalue)
            raise
        finally:
            if working.is_file():
                strip_run_metadata(working)
                executed.pass_out(opened, working, output)


def strip_run_metadata(notebook: str | Path) -> None:
    """Remove times of day, absolute paths and kernel versions from an executed notebook."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    content.metadata.pop("papermill", None)
    content.metadata.pop("language_info", None)
    for number, cell in enumerate(content.cells):
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.source = _ABSOLUTE.sub(r"\1.../\3\1", _relative(cell.source))
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                output.traceback = [_relative(line) for line in output.traceback]
            elif output.output_type == "stream":
                output.text = _relative(output.text)
        cell["id"] = f"cell-{number:02d}"
    nbformat.write(content, notebook)


def _relative(text: str) -> str:
    """Return `text` without the folders of this machine that a traceback or a warning names."""
    folders = {str(Path.cwd()), str(Path(__file__).resolve().parents[2]), sys.prefix, sys.base_prefix}
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(folder + os.sep, "")
    return text


def _ipc_kernel_manager(folder: str):
    """Return a kernel manager on sockets of its own: parallel kernels race for TCP ports."""
    from jupyter_client.manager import AsyncKernelManager

    class IpcKernelManager(AsyncKernelManager):
        transport = "ipc"
        ip = f"{folder}/kernel"

    return IpcKernelManager


class _ShownProgress:
    """Echo what the kernel reports through `analysis.progress` to this terminal while it works."""

    def __init__(self, quiet: bool):
        self.quiet = quiet

    def __enter__(self):
        self.before = os.environ.get(progress.CHANNEL)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "progress"
        self.path.touch()
        os.environ[progress.CHANNEL] = str(self.path)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._echo, daemon=True)
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        os.environ.pop(progress.CHANNEL)
        if self.before is not None:
            os.environ[progress.CHANNEL] = self.before
        self.folder.cleanup()

    def _echo(self):
        with self.path.open(encoding="utf-8") as stream:
            while True:
                last_round = self.stop.wait(0.5)
                for line in stream:
                    if not self.quiet:
                        print("  " + line.rstrip(), file=sys.stderr, flush=True)
                if last_round:
                    return


def _convert(value: Any, kinds: tuple[str, ...]) -> Any:
    if "None" in kinds and (value is None or value == "None"):
        return None
    for kind in kinds:
        wanted = KINDS.get(kind.split("[")[0])
        if wanted is None:
            continue
        if isinstance(value, wanted) and not (isinstance(value, bool) and wanted is not bool):
            return value
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str) and wanted is not str:
            read = yaml.safe_load(value)
            if not isinstance(read, str) and read is not None:
                return _convert(read, kinds)
    raise ValueError(value)


def main(arguments: list[str] | None = None) -> int:
    """Run one notebook from the command line; see ``pearl-run --help``."""
    parser = argparse.ArgumentParser(prog="pearl-run", description=__doc__.splitlines()[0])
    parser.add_argument("notebook", help="notebook to run, e.g. notebooks/04_survival_association.ipynb")
    parser.add_argument("output", help="where the executed copy goes")
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("-f", "--parameters-file", help="YAML file of parameters; -p wins over it")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    from papermill.exceptions import PapermillExecutionError

    try:
        given = read_parameters(options.parameters_file) if options.parameters_file else {}
        given.update(dict(options.parameter))
        run_notebook(options.notebook, options.output, given, options.quiet)
    except (PrivacyError, VocabularyMissing) as error:
        name, stopped = Path(options.notebook).name, error.__context__
        lines = [f"{name}: {error}", *getattr(error, "__notes__", ())]
        # What it stopped at is not lost with its copy.
        if isinstance(stopped, PapermillExecutionError) and stopped.ename != VocabularyMissing.__name__:
            lines.insert(0, f"{name} stopped: {stopped.ename}: {stopped.evalue}")
        print(*lines, sep="\n", file=sys.stderr)
        return 3
    except (ParameterError, storage.RunError, plan.PlanError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2
    except PapermillExecutionError as error:
        print(f"{Path(options.notebook).name} stopped: {error.ename}: {error.evalue}", file=sys.stderr)
        print(f"the executed copy with the full account is {options.output}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
