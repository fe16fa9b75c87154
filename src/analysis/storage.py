"""Tables and figures of a run on disk: the only module that opens them.

A `Run` is one notebook's view of one study under one scenario: its plan, its folders, what it may read
and write.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import contracts, deviations, exchange, figure_files, plan, progress
from analysis.privacy import gate, identifiers
from analysis.steps import COMMON_PARAMETERS, STEPS, writer_of

PRIMARY = "primary"
DEFAULT_STUDY = "virtual"
JSON_TABLES = ("decision", "values")
TABLE = "table"  # frame.attrs[TABLE]: the table a frame was read from
RECORD = "privacy.json"  # of the gate's last search; whatever is written beside it afterwards was not in it
list_raw = identifiers.list_raw


class RunError(ValueError):
    """A run that cannot start: unknown parameter, missing input, a scenario that would overwrite another."""


def project_root(start: Path | None = None) -> Path:
    """Return the nearest folder upward that holds a ``pyproject.toml`` (the working directory first)."""
    for origin in (start or Path.cwd(), Path(__file__).resolve()):
        for folder in (origin, *origin.parents):
            if (folder / "pyproject.toml").is_file():
                return folder
    raise RunError("no pyproject.toml here or above: start the run inside the project")


@dataclass(frozen=True)
class Pieces:
    """Finished pieces of a long computation, in a folder: a run that was killed goes on after the last one.

    A piece is found by everything it depends on, its key: values of the plan, its place in the work, a digest
    of the code (`code_digest`). Where one of them changes, it is another piece.

    Attributes
    ----------
    folder : Path
        Where pieces are written, and looked for first.
    others : tuple of Path
        Where they are looked for too.
    """

    folder: Path
    others: tuple[Path, ...] = ()

    def find(self, key: Mapping[str, Any]) -> pd.DataFrame | None:
        """Return the piece of `key`, or None if there is none, or none that can be read."""
        for folder in (self.folder, *self.others):
            try:
                return pd.read_parquet(folder / self._name(key))
            except (OSError, ValueError):  # pyarrow's errors of a broken file are among these
                continue
        return None

    def put(self, key: Mapping[str, Any], frame: pd.DataFrame) -> None:
        """Write the piece of `key`; a run that is killed meanwhile leaves the whole of it, or nothing."""
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        write_bytes(self.folder / self._name(key), buffer.getvalue())

    def discard_others(self, keys: Iterable[Mapping[str, Any]]) -> None:
        """Remove every piece but those of `keys`: made under another plan or by other code."""
        kept = {self._name(key) for key in keys}
        for path in self.folder.glob("*.parquet"):
            if path.name not in kept:
                path.unlink()

    def _name(self, key: Mapping[str, Any]) -> str:
        text = json.dumps(key, sort_keys=True, default=_plain)
        return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.parquet"


@dataclass(frozen=True)
class Run:
    """One notebook's run: plan, folders and tables.

    Attributes
    ----------
    step : str
        Number of the notebook, ``"04"``.
    scenario : str
        ``primary``, a named scenario of the plan, or ``sensitivity-<8 hex>``.
    plan : plan.Plan
        The plan with the scenario's overrides, restricted to the sections this step declares.
    raw_dir, derived_dir, reports_dir : Path
        Folders of this run.
    upstream_dir : Path
        Where tables are read that this scenario has not derived itself.
    """

    step: str
    study: str
    scenario: str
    plan: plan.Plan
    raw_dir: Path
    derived_dir: Path
    reports_dir: Path
    upstream_dir: Path
    workers: int = 1
    dask_scheduler: str | None = None
    _whole: plan.Plan | None = None
    _base: plan.Plan | None = None
    _vocabulary: list[Any] = field(default_factory=list, repr=False)

    @property
    def is_sensitivity(self) -> bool:
        """Tell whether this run overrides the plan and so calls itself a sensitivity analysis."""
        return self.scenario != PRIMARY

    @property
    def study_plan(self) -> plan.Plan:
        """Return the plan as the study has it, without overrides, restricted to this step's sections."""
        return (self._base or self.plan).restrict(STEPS[self.step].sections)

    @property
    def title(self) -> str:
        """Title of the study: the plan's, else its name."""
        return self.plan.design.title or self.study

    def headline(self) -> str:
        """Return one line that says what kind of run this is, on what data."""
        data = "simulated data" if self.plan.design.kind == "simulated" else "real data"
        say = deviations.say(self.deviations)
        after = f" {say}" if say else ""
        if not self.is_sensitivity:
            return f"Study {self.study!r}, primary analysis, {data}.{after}"
        what = ", ".join(f"{key} = {value}" for key, value in self.plan.overrides.items())
        return f"SENSITIVITY ANALYSIS {self.scenario!r} of study {self.study!r} ({what}), {data}.{after}"

    @property
    def deviations(self) -> list[deviations.Deviation]:
        """Plan values changed after the first analysis run on outcomes; overrides are not among them."""
        first = deviations.read_first(self._first_plans)
        return [] if first is None else deviations.compare(first, self._base or self.plan)

    @property
    def _first_plans(self) -> list[Path]:
        """Return where the plan of the first analysis may stand: a copy under version control wins."""
        kept = project_root() / "config" / f"{self.study}.{deviations.FILE}"
        return [kept, self.upstream_dir / deviations.FILE]

    # ---- tables
    def has(self, table: str) -> bool:
        """Tell whether `table` exists for this run."""
        return self._find(table) is not None

    def read(self, table: str) -> Any:
        """Read `table` through its contract: this scenario's own, else the primary analysis's.

        Raises
        ------
        RunError
            If this step has not declared the table, or it does not exist, with the notebook that writes it.
        """
        declared = STEPS[self.step]
        if table not in (*declared.reads, *declared.optional, *declared.writes) and not _is_ledger(table):
            raise RunError(f"step {self.step} has not declared that it reads {table!r} (analysis.steps)")
        path = self._find(table)
        if path is None:
            writer = _writer(table)
            raise RunError(f"no table {table!r} yet for study {self.study!r}: run notebook {writer} first")
        if table in JSON_TABLES:
            return _read_json(path, f"table {table!r}", f"rerun {_writer(table)}")
        try:
            frame = pd.read_parquet(path)
        except Exception as error:
            raise RunError(
                f"table {table!r} cannot be read ({type(error).__name__}): rerun {_writer(table)}"
            ) from error
        try:
            checked = contracts.check(table, frame)
        except contracts.ContractError as error:
            raise RunError(f"{error}; rerun {_writer(table)}") from error
        checked.attrs[TABLE] = table  # rows selected from it still say where they come from
        return checked

    def read_if_there(self, table: str) -> Any:
        """Read `table`, or return None where this study does not have it."""
        return self.read(table) if self.has(table) else None

    def read_ledgers(self, family: str) -> pd.DataFrame:
        """Read and join the ``exclusions`` or ``queries`` of every step that has run."""
        found = [self.read(f"{family}_{step}") for step in STEPS if self.has(f"{family}_{step}")]
        filled = [frame for frame in found if len(frame)]
        return pd.concat(filled, ignore_index=True) if filled else contracts.empty(f"{family}_01")

    def read_raw_csv(self, name: str) -> pd.DataFrame | None:
        """Read a CSV of the raw folder as text, or return None where the study does not have it."""
        path = self.raw_dir / name
        if not path.is_file():
            return None
        try:
            return pd.read_csv(path, dtype=str, keep_default_na=True)
        except ValueError as error:  # an empty or uneven file, another encoding
            raise RunError(
                f"{name} cannot be read ({type(error).__name__}): mend it, or take it away"
            ) from error

    def write(self, table: str, content: Any) -> Path:
        """Write one table; see `write_tables`."""
        return self.write_tables({table: content})[0]

    def write_tables(self, tables: Mapping[str, Any]) -> list[Path]:
        """Write tables through their contracts, all of them or none, as Parquet with a CSV twin (or JSON).

        The datasets of `exchange.DATASETS` also get twins in the formats of ``design.exchange_formats``.

        Parameters
        ----------
        tables : mapping
            Name -> DataFrame, or a plain structure for a JSON table.

        Returns
        -------
        list of Path
            The Parquet (or JSON) file of each.

        Raises
        ------
        RunError
            If another step is a table's one writer.
        contracts.ContractError, exchange.ExchangeError
            If one of them breaks its contract or cannot be exchanged; then nothing is written.
        """
        files: dict[str, bytes] = {}
        for table, content in tables.items():
            if table not in STEPS[self.step].writes:
                raise RunError(f"{table!r} is written by notebook {_writer(table)}, not by step {self.step}")
            files |= self._serialise(table, content, tables)
        self.derived_dir.mkdir(parents=True, exist_ok=True)
        self._record_overrides()
        self._record_first_plan()
        written = {name: write_bytes(self.derived_dir / name, content) for name, content in files.items()}
        for table in set(tables) & set(exchange.DATASETS):
            for stale in {f"{table}.{kind}" for kind in exchange.FORMATS} - set(files):
                (self.derived_dir / stale).unlink(missing_ok=True)
        return [written[_file_name(table)] for table in tables]

    def _serialise(self, table: str, content: Any, together: Mapping[str, Any]) -> dict[str, bytes]:
        """Return every file of one table: name -> bytes."""
        if table in JSON_TABLES:
            text = json.dumps(content, indent=1, sort_keys=True, default=_plain, allow_nan=False) + "\n"
            return {f"{table}.json": text.encode()}
        frame = contracts.check(table, content)
        frame.attrs.clear()  # which table it was made from is not written into it
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        flat = frame.drop(columns=["PIXELS", "LABELS"], errors="ignore")
        files = {f"{table}.parquet": buffer.getvalue(), f"{table}.csv": exchange.csv_bytes(flat)}
        return files | self._twins(table, frame, together)

    def _twins(self, table: str, frame: pd.DataFrame, together: Mapping[str, Any]) -> dict[str, bytes]:
        """Return the exchange files of one table, stamped with the data cut-off."""
        formats = self.plan.design.exchange_formats if table in exchange.DATASETS else []
        if not formats:
            return {}
        adsl = contracts.check("adsl", together["adsl"]) if "adsl" in together else self._adsl_if_readable()
        return exchange.twins(table, frame, formats, study=self.study, created=exchange.cutoff(adsl))

    def _adsl_if_readable(self) -> pd.DataFrame | None:
        declared = STEPS[self.step]
        return self.read_if_there("adsl") if "adsl" in (*declared.reads, *declared.optional) else None

    def keep(self, name: str, text: str) -> Path:
        """Write a text that may name subjects into the restricted zone, beside the tables."""
        return write_bytes(self.derived_dir / name, text.encode())

    def pieces(self, name: str) -> Pieces:
        """Return the finished pieces of a long computation, kept in the folder `name` beside the tables.

        A sensitivity analysis takes those of the primary one where they are the same.
        """
        return Pieces(self.derived_dir / name, (self.upstream_dir / name,))

    # ---- reports
    def save_figure(
        self, figure, name: str, *, title: str = "", alt: str = "", formats: tuple[str, ...] = ()
    ) -> Path:
        """Save `figure` under ``figures/`` in every format of the plan, with the same bytes on every run.

        Parameters
        ----------
        figure : Figure
            Of one of the plan's widths.
        name : str
            Name of the files, without an ending.
        title, alt : str
            Travel within each file, and `alt` with the figure where a notebook shows it.
        formats : tuple of str, optional
            Instead of the plan's ``figures.formats``.

        Returns
        -------
        Path
            The first of its files: the SVG, where the plan has one.

        Raises
        ------
        figure_files.FigureError
            If its width is none of the plan's.
        gate.PrivacyError
            If it holds what must not leave: then no format of it is written, and older ones are removed.
        """
        figure.alt = alt or getattr(figure, "alt", "")
        drawn = figure_files.files_of(
            figure, name, self._whole.figures, title=title, alt=figure.alt, formats=formats
        )
        ordered = sorted(drawn, key=lambda kind: kind != "svg")
        return self.pass_out({f"figures/{name}.{kind}": drawn[kind] for kind in ordered})[0]

    def save_report(self, name: str, text: str) -> Path:
        """Save a text (HTML, CSV) under the reports folder; raises as `save_figure` does."""
        return self.pass_out({name: text.encode()})[0]

    def pass_out(self, files: dict[str, bytes], searched: Collection[str] = ()) -> list[Path]:
        """Write files below the reports folder, all of them or none: the one way out of the restricted zone.

        Parameters
        ----------
        files : dict
            Path below the reports folder -> content.
        searched : collection of str
            Of these, what the gate has let pass before, byte for byte (`searched_files`): not searched again.

        Raises
        ------
        gate.PrivacyError
            If one of them holds what must not leave. Older files of these names are removed: a result held
            back leaves none behind that looks current.
        identifiers.VocabularyMissing
            If it is not known what to search for.
        """
        paths = [self.reports_dir / name for name in files]
        (self.reports_dir / RECORD).unlink(missing_ok=True)
        try:
            for name, content in files.items():
                if name not in searched:
                    self.check(name, content)
        except Exception:  # whatever the reason, what was not searched to the end does not leave
            for path in paths:
                path.unlink(missing_ok=True)
            raise
        for name in files:
            (self.held_back_dir / name).unlink(missing_ok=True)
        return [write_bytes(path, content) for path, content in zip(paths, files.values())]

    def check(self, name: str, content: bytes) -> None:
        """Raise as `pass_out` does if `content` may not be written below the reports folder."""
        gate.check(name, content, self.vocabulary(), self.rules())

    def rules(self) -> plan.Section:
        """Return the rules of the privacy gate."""
        return self._whole.privacy

    def vocabulary(self) -> Any:
        """Return the values of the raw files that outputs are searched for; collected on first need."""
        if not self._vocabulary:
            where = (self.raw_dir, self.upstream_dir, self._whole, project_root())
            self._vocabulary.append(identifiers.load_vocabulary(*where, self.workers, progress.report))
        return self._vocabulary[0]

    @property
    def held_back_dir(self) -> Path:
        """Folder in the restricted zone for what the gate did not let pass."""
        return self.derived_dir / "held_back"

    def show(self, frame: pd.DataFrame, digits: int = 3, rows: int = 12) -> pd.DataFrame:
        """Return `frame` as it may be shown: subjects as keys, no dates, numbers rounded, first `rows`."""
        shown = frame.head(rows).copy()
        for name in ("USUBJID", "SUBJID"):
            if name in shown:
                shown[name] = [self.subject_key(value) for value in shown[name]]
        dates = [name for name in shown if pd.api.types.is_datetime64_any_dtype(shown[name])]
        shown = shown.drop(columns=[*dates, *[name for name in ("PATH", "SAMPLEID") if name in shown]])
        return shown.round(digits).rename(columns={"USUBJID": "SUBJECT"})

    def subject_key(self, subject: str | None) -> str:
        """Return a key that stands for a subject in everything that leaves the restricted zone."""
        if subject is None or pd.isna(subject):
            return ""
        return "S-" + hashlib.sha256(f"{self._salt()}|{subject}".encode()).hexdigest()[:6]

    def _salt(self) -> str:
        for path in (self.raw_dir / "salt.txt", self.upstream_dir / "salt.txt"):
            if path.is_file():
                return path.read_text(encoding="utf-8").strip()
        text = self.study if self.plan.design.kind == "simulated" else secrets.token_hex(16)
        write_bytes(self.upstream_dir / "salt.txt", text.encode())
        return text

    def _find(self, table: str) -> Path | None:
        name = _file_name(table)
        folders = [self.derived_dir] if self._is_mine() else []
        if self.upstream_dir != self.derived_dir or not recorded_overrides(self.derived_dir):
            folders.append(self.upstream_dir)  # never the tables another scenario left in this very folder
        found = [folder / name for folder in folders if (folder / name).is_file()]
        return found[0] if found else None

    def _record_first_plan(self) -> None:
        """Record the plan when outcomes are analysed for the first time, by whatever run; only once."""
        if self.step not in deviations.OUTCOME_STEPS or self._base is None:
            return
        if deviations.read_first(self._first_plans) is None:
            write_bytes(self.upstream_dir / deviations.FILE, deviations.record(self._base).encode())

    def _record_overrides(self) -> None:
        """Record what this folder's tables were made under; those made under anything else are removed."""
        overrides = json.loads(json.dumps(self.plan.overrides, default=_plain))
        recorded = recorded_overrides(self.derived_dir)
        if recorded == overrides:
            return
        own = {table for step in STEPS.values() for table in step.writes}
        if recorded:
            for path in [path for path in self.derived_dir.iterdir() if path.name.split(".")[0] in own]:
                path.unlink()
        text = json.dumps(overrides, indent=1, sort_keys=True)
        if overrides:
            write_bytes(self.derived_dir / "scenario.json", (text + "\n").encode())
        else:
            (self.derived_dir / "scenario.json").unlink()

    def _is_mine(self) -> bool:
        """Tell whether the tables in this scenario's folder were made under this scenario's overrides."""
        if not self.plan.overrides:
            return True
        overrides = json.loads(json.dumps(self.plan.overrides, default=_plain))
        return recorded_overrides(self.derived_dir) == overrides


def open_run(step: str, namespace: dict[str, Any]) -> Run:
    """Open the run a notebook's parameters ask for.

    Parameters
    ----------
    step : str
        Number of the notebook.
    namespace : dict
        The notebook's ``globals()`` right after the parameters cell. A plain value in it that is no parameter
        of this notebook is a misspelt one, which papermill alone lets pass: it is refused here.

    Raises
    ------
    RunError, plan.PlanError
        For an unknown parameter, an unknown plan value, a missing raw folder or a reserved scenario name.
    """
    declared = STEPS[step]
    values = {name: value for name, value in namespace.items() if _is_parameter(name, value)}
    known = {*COMMON_PARAMETERS, *declared.parameters}
    unknown = sorted(set(values) - known)
    if unknown:
        raise RunError(f"{declared.notebook} has no parameter {unknown}; it has {sorted(known)}")
    missing = sorted(known - set(values))
    if missing:
        raise RunError(f"{declared.notebook}: the parameters cell must set {missing}")
    science = {key: values[name] for name, key in declared.parameters.items()}
    return resolve(step, science, **{name: values[name] for name in COMMON_PARAMETERS})


def resolve(
    step: str,
    science: dict[str, Any] | None = None,
    *,
    study: str = "virtual",
    scenario: str | None = None,
    plan_file: str | None = None,
    raw_dir: str | None = None,
    derived_dir: str | None = None,
    reports_dir: str | None = None,
    workers: int = 1,
    dask_scheduler: str | None = None,
) -> Run:
    """Resolve plan, scenario and folders of a run; see `open_run`."""
    root = project_root()
    whole = load_study_plan(study, plan_file)
    study = whole.study
    raw = _resolve(root, raw_dir) or root / "data" / "raw" / study
    whole = base = _settle_kind(step, whole, raw)
    primary_dir = root / "data" / "derived" / study / PRIMARY
    own_dir = _resolve(root, derived_dir)
    if own_dir is None:
        _check_own_data(whole, plan_file, raw_dir)
    whole = _apply_scenario(whole, scenario, own_dir, primary_dir)
    whole, scenario = _name_scenario(step, whole, whole.override(science or {}), scenario)
    if step == "00":
        _check_simulation(whole, raw_dir, derived_dir)
    derived = own_dir or primary_dir.parent / scenario
    reports = _resolve(root, reports_dir) or root / "reports" / study / scenario
    if scenario != PRIMARY and derived == primary_dir:
        raise RunError(
            "a sensitivity analysis never writes where the primary analysis is: give another derived_dir"
        )
    if own_dir is not None and whole.overrides and not recorded_overrides(own_dir):
        _check_no_primary(step, own_dir)
    if step != "00" and STEPS[step].raw and not raw.is_dir():
        raise RunError(
            f"no raw data for study {study!r}: the folder {_shown(raw, root)!r} does not exist. "
            "Put the files there, or give raw_dir (make reproduce STUDY=... DATA=...)"
        )
    own_tree = own_dir is not None and (scenario == PRIMARY or not primary_dir.is_dir())
    upstream = derived if own_tree else primary_dir
    restricted = whole.restrict(STEPS[step].sections)
    places = (raw, derived, reports, upstream)
    return Run(step, study, scenario, restricted, *places, workers, dask_scheduler, _whole=whole, _base=base)


def load_study_plan(study: str, plan_file: str | None = None) -> plan.Plan:
    """Load the plan of `study` from ``config/<study>.yaml``, or `plan_file`, which names its study.

    With `plan_file`, `study` may stay at the notebooks' default or name the same study.
    """
    root = project_root()
    if plan_file is not None:
        path = _resolve(root, plan_file)
        named = plan.study_of(path)
        return plan.load(named if study == DEFAULT_STUDY else study, path)
    path = root / "config" / f"{study}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in (root / "config").glob("*.yaml"))
        raise RunError(
            f"no plan config/{study}.yaml; known studies: {known}. A minimal plan is 'study: {study}'"
        )
    return plan.load(study, path)


def check_simulated_folder(study: str, folder: Path) -> None:
    """Refuse to simulate where files lie that no simulation wrote: what it writes has its truth beside it.

    Raises
    ------
    RunError
        If `folder` holds a file and has no folder ``truth``. Empty folders may be there: Snakemake makes
        those of the files a job is to write.
    """
    if _holds_given_files(folder):
        raise RunError(
            f"study {study!r} is simulated by its plan, but its raw folder holds files no simulation wrote: "
            "they are left untouched. For real data write 'design: {kind: real}' in "
            f"config/{study}.yaml"
        )


def recorded_overrides(folder: Path) -> dict[str, Any]:
    """Return the overrides that the runs of a scenario folder recorded."""
    path = folder / "scenario.json"
    if not path.is_file():
        return {}
    remedy = "take the folder away and run this scenario again"
    return _read_json(path, f"{folder.name}/{path.name}", remedy)


@lru_cache
def code_digest(names: tuple[str, ...]) -> str:
    """Hash parts of this package (files or folders in it): the same code gives the same eight hex digits."""
    package = Path(__file__).parent
    parts = [package / name for name in names]
    files = [file for part in parts for file in ([part] if part.is_file() else part.rglob("*"))]
    hasher = hashlib.sha256()
    for file in sorted(
        name for name in files if name.suffix in {".py", ".html", ".css", ".js", ".typ", ".yaml"}
    ):
        hasher.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return hasher.hexdigest()[:8]


def write_bytes(path: Path, content: bytes) -> Path:
    """Write `content` to `path` atomically: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
    return path


def searched_files(folder: Path) -> set[str]:
    """Return the SHA-256 of every file in a folder of reports the gate searched; none without its record."""
    return set(list_files(folder)["SHA256"]) if (folder / RECORD).is_file() else set()


def list_files(folder: Path) -> pd.DataFrame:
    """List every file under `folder` with size and SHA-256, in the order of their paths."""
    rows = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        name = file.relative_to(folder).as_posix()
        rows.append((name, float(len(content)), hashlib.sha256(content).hexdigest()))
    return pd.DataFrame(rows, columns=["PATH", "BYTES", "SHA256"])


def _apply_scenario(
    whole: plan.Plan, scenario: str | None, own_dir: Path | None, primary_dir: Path
) -> plan.Plan:
    if scenario is None or scenario == PRIMARY:
        return whole
    named = whole.scenarios.list
    if scenario in named:
        return whole.override(named[scenario])
    folder = own_dir or primary_dir.parent / scenario
    recorded = recorded_overrides(folder)
    if not recorded:
        raise RunError(
            f"no scenario {scenario!r}: the plan names {sorted(named)}, and no run has recorded this one"
        )
    return whole.override(recorded)


def _name_scenario(
    step: str, given: plan.Plan, asked: plan.Plan, scenario: str | None
) -> tuple[plan.Plan, str]:
    """Return the plan asked for and the name of its scenario; what a name stands for never changes."""
    if step == "00":
        return asked, PRIMARY
    if asked.overrides == given.overrides and scenario is not None:
        return asked, scenario
    if scenario is not None:
        added = [key for key in asked.overrides if asked.overrides[key] != given.overrides.get(key)]
        raise RunError(f"scenario {scenario!r} cannot carry further overrides {added}; leave scenario out")
    if not asked.overrides:
        return asked, PRIMARY
    text = json.dumps(asked.overrides, sort_keys=True, default=_plain)
    return asked, f"sensitivity-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _check_no_primary(step: str, folder: Path) -> None:
    """Refuse a sensitivity analysis in a folder where this step's tables of a primary one lie."""
    if any((folder / _file_name(table)).is_file() for table in STEPS[step].writes):
        raise RunError(
            f"the derived_dir {folder.name!r} holds the tables of a primary analysis: a sensitivity analysis "
            "never overwrites them; give it a derived_dir of its own"
        )


def _settle_kind(step: str, whole: plan.Plan, raw: Path) -> plan.Plan:
    """Call a study real whose plan does not say so, where its raw folder holds files no simulation wrote."""
    if step == "00" or whole.design.kind != "simulated" or "design.kind" in whole.changed:
        return whole
    reason = "the raw folder holds files that no simulation wrote"
    return whole.settle("design.kind", "real", reason) if _holds_given_files(raw) else whole


def _holds_given_files(raw: Path) -> bool:
    """Tell whether a raw folder holds a file (links followed) that no simulation wrote."""
    return raw.is_dir() and not (raw / "truth").is_dir() and bool(list_raw(raw))


def _check_own_data(whole: plan.Plan, plan_file: str | None, raw_dir: str | None) -> None:
    """Refuse another plan, or other simulated data, that would overwrite the study's own tables."""
    if plan_file is not None:
        raise RunError("another plan_file is another analysis: give it a derived_dir of its own")
    if raw_dir is not None and whole.design.kind == "simulated":
        raise RunError("another raw_dir is another data set: give it a derived_dir of its own")


def _check_simulation(whole: plan.Plan, raw_dir: str | None, derived_dir: str | None) -> None:
    if whole.design.kind != "simulated":
        raise RunError(f"study {whole.study!r} is real: its raw data are given, never simulated")
    check_simulated_folder(whole.study, _resolve(project_root(), raw_dir or f"data/raw/{whole.study}"))
    if whole.overrides and (raw_dir is None or derived_dir is None):
        raise RunError(
            "another seed or size is another data set: give it a raw_dir and a derived_dir of its own"
        )


def _resolve(root: Path, given: str | None) -> Path | None:
    return None if given is None else Path(os.path.normpath(root / given))


def _shown(path: Path, root: Path) -> str:
    return os.path.relpath(path, root)


def _is_parameter(name: str, value: Any) -> bool:
    shell = {"In", "Out", "exit", "quit"}
    plain = value is None or isinstance(value, bool | int | float | str | list | tuple | dict)
    return plain and not name.startswith("_") and name not in shell


def _file_name(table: str) -> str:
    return f"{table}.json" if table in JSON_TABLES else f"{table}.parquet"


def _is_ledger(table: str) -> bool:
    return table.rsplit("_", 1)[0] in contracts.FAMILIES


def _writer(table: str) -> str:
    return STEPS[writer_of(table)].notebook


def _read_json(path: Path, what: str, remedy: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{what} cannot be read ({type(error).__name__}): {remedy}") from error


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
