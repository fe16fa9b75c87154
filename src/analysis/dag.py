"""What depends on what: the input, output and plan digest of every step, for the Snakefile."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from analysis import plan
from analysis.steps import STEPS, writer_of
from analysis.storage import (
    JSON_TABLES,
    PRIMARY,
    check_simulated_folder,
    code_digest,
    load_study_plan,
    write_bytes,
)

# Parts of the package each step computes with; a change there, or in a part every step uses, runs it again.
EVERY_STEP = ("plan.py", "contracts", "storage.py", "deviations.py", "exchange", "steps.py", "provenance.py")
GATE = ("plan.py", "privacy")
RAW_FOLDER = "raw_folder.txt"  # in the restricted zone: where the raw files of a real study were read
SITE = (
    *("site", "report.py", "report.css", "report_parts.html", "report_template.html", "numbers", "tables"),
    *("figures", "figure_files.py", "contracts", "steps.py", *GATE),
)
# What reads the raw files for the audit; a change of the gate's own modules measures nothing again.
_AUDIT = tuple(
    f"privacy/{name}.py"
    for name in (
        *("audit", "audit_codes", "audit_rules", "collect", "decode", "elements", "found", "plainfiles"),
        *("series", "tolerant", "values"),
    )
)
CODE = {
    "00": ("virtual_trial",),
    "01": ("clinical", "survival", "populations", "figures", "tables"),
    "02": (
        *("clinical", "pet", "fanout.py", "progress.py", "figures", "tables"),
        *("quality_report.py", "quality_pages", *_AUDIT),
    ),
    "03": ("survival", "pet", "figures", "tables"),
    "04": ("survival", "pet", "figures", "tables"),
    "05": ("biomarkers", "survival", "pet", "figures", "tables"),
    "06": (
        "biomarkers",
        "clinical",
        "operating",
        "populations",
        "survival",
        "figures",
        "tables",
        "numbers",
        "documents",
        "portfolio.py",
        "report.py",
        "report.css",
        "report_parts.html",
        "report_template.html",
        "figure_files.py",
    ),
    "07": ("operating", "virtual_trial", "survival", "pet", "fanout.py", "progress.py", "figures", "tables"),
}


class Graph:
    """The steps of one study, its scenarios, and the files between them.

    Parameters
    ----------
    study : str
        Name of the study.
    data : str, optional
        Raw folder, where it is not ``data/raw/<study>``; by default the one that the last run was given.

    Raises
    ------
    plan.PlanError
        If a simulated study is given a folder, or a real one has none. Before Snakemake plans a job: it
        removes what a job is to write before the job runs.
    """

    def __init__(self, study: str, data: str | None = None):
        self.study = study
        self.plan = load_study_plan(study, None)
        if self.plan.design.kind != "simulated":
            data = _raw_folder(study, data)
        self.raw_dir = Path(data or f"data/raw/{study}")
        self.simulated = self.plan.design.kind == "simulated"
        self.data = data
        if self.simulated:
            if data:
                raise plan.PlanError(
                    f"study {study!r} is simulated by its plan, so it takes no DATA; for real data write "
                    f"'design: {{kind: real}}' in config/{study}.yaml"
                )
            check_simulated_folder(study, self.raw_dir)

    def scenarios(self) -> list[str]:
        """List the named sensitivity analyses of the plan."""
        return list(self.plan.scenarios.list)

    def report(self, scenario: str) -> str:
        """Return the report of `scenario`, refusing a name the plan does not know."""
        if scenario != PRIMARY and scenario not in self.scenarios():
            raise plan.PlanError(
                f"no scenario {scenario!r}; the plan of {self.study!r} names {self.scenarios()}"
            )
        return f"reports/{self.study}/{scenario}/report.html"

    def privacy(self, scenario: str) -> str:
        """Return the record that the gate lets out once everything of `scenario` was searched."""
        return os.path.join(os.path.dirname(self.report(scenario)), "privacy.json")

    def site(self) -> str:
        """Return the first page of the study's report site."""
        return f"reports/{self.study}/site/index.html"

    def site_reports(self, scenario: str) -> list[str]:
        """List the gate's records of the reports the site shows: primary, `scenario`, those already made."""
        made = [name for name in self.scenarios() if name == scenario or os.path.isfile(self.report(name))]
        return [self.privacy(name) for name in (PRIMARY, *made)]

    def has_site(self, scenario: str) -> bool:
        """Tell whether a run of `scenario` makes the site: it shows the primary analysis first."""
        return scenario == PRIMARY or os.path.isfile(self.report(PRIMARY))

    def site_depends(self, wildcards) -> str:
        """Hash what the site depends on besides the reports: plan and code."""
        return "-".join([self.plan.digest(self.plan.sections()), code_digest(SITE)])

    def tables(self, scenario: str) -> list[str]:
        """List the tables that the steps of `scenario` write: one that nothing reads is asked for, too."""
        again = self._rerun_in(scenario)
        return [
            self._path(table, scenario)
            for step in self.steps()
            if step in again
            for table in STEPS[step].writes
        ]

    def identifiers(self) -> str:
        """Return the record, in the restricted zone, that the raw files were searched."""
        return f"data/derived/{self.study}/{PRIMARY}/privacy/identifiers.json"

    def raw_files(self) -> list[str]:
        """Return the file that stands for all simulated raw files; none for a real study."""
        return self.simulated_files()[:1]

    def reads(self, step: str) -> Callable:
        """Return the input function of `step`: this scenario's own tables, else the primary's."""

        def inputs(wildcards):
            """List the tables of one study and scenario."""
            tables = [*STEPS[step].reads, *STEPS[step].optional]
            if step == "06":
                ledgers = ("exclusions", "queries")
                written = [table for name in self.steps() for table in STEPS[name].writes]
                tables += [table for table in written if table.startswith(ledgers)]
            files = [self._path(table, wildcards.scenario) for table in tables if self._is_derived(table)]
            if STEPS[step].raw and self.simulated:
                files.append(self.simulated_files()[0])  # lists the hash of every raw file
            return sorted(set(files))

        return inputs

    def writes(self, step: str) -> list[str]:
        """Return the files `step` writes, with study and scenario as wildcards."""
        return ["data/derived/{study}/{scenario}/" + _file(table) for table in STEPS[step].writes]

    def simulated_files(self) -> list[str]:
        """Return what the simulation writes: nothing for a real study, whose raw data are given."""
        manifest = f"data/derived/{self.study}/{PRIMARY}/manifest.parquet"
        return [manifest, str(self.raw_dir / "sdtm" / "dm.csv")] if self.simulated else []

    def depends(self, step: str) -> Callable:
        """Return the function that hashes what `step` depends on besides files: plan, code, raw listing."""

        def digest(wildcards):
            """Hash plan, code and raw listing of one scenario."""
            whole = self._plan_of(getattr(wildcards, "scenario", PRIMARY))
            parts = [whole.digest(STEPS[step].sections), code_digest((*EVERY_STEP, *CODE[step]))]
            if STEPS[step].raw and not self.simulated and step != "00":
                parts.append(_listing_digest(str(self.raw_dir)))
            return "-".join(parts)

        return digest

    def collect_depends(self, wildcards) -> str:
        """Hash what collecting depends on besides files: its code and, of a real study, the raw listing.

        Not the plan: every step waits for what is collected, and one more word that may pass (`gate_allow`)
        measures nothing anew. What the plan says of collecting, the collected values know themselves.
        """
        return "-".join([code_digest(_AUDIT), *self._raw_digest()])

    def gate_depends(self, wildcards) -> str:
        """Hash what the gate depends on besides files: rules, code and, of a real study, the raw listing."""
        return "-".join([self.plan.digest(["privacy"]), code_digest(GATE), *self._raw_digest()])

    def _raw_digest(self) -> list[str]:
        return [] if self.simulated else [_listing_digest(str(self.raw_dir))]

    def raw_option(self, wildcards) -> str:
        """Return the raw folder as an option of the gate's command, where it is not the default one."""
        return f"--raw-dir '{self.data}'" if self.data else ""

    def raw_parameter(self, wildcards) -> str:
        """Return the raw folder as a parameter of the runner, where it is not the default one."""
        return f"-p raw_dir '{self.data}'" if self.data else ""

    def steps(self) -> list[str]:
        """List the steps that apply to this study and write tables."""
        return [step for step in self.plan.design.steps if step in STEPS]

    def _plan_of(self, scenario: str) -> plan.Plan:
        named = self.plan.scenarios.list
        return self.plan.override(named[scenario]) if scenario in named else self.plan

    def _rerun_in(self, scenario: str) -> set[str]:
        """List the steps a scenario derives anew: those with an overridden section, and what follows."""
        if scenario == PRIMARY:
            return set(self.steps())
        sections = {key.split(".")[0] for key in self._plan_of(scenario).overrides}
        steps = [step for step in self.steps() if not STEPS[step].of_design]
        again = {step for step in steps if sections & set(STEPS[step].sections)} | {"06"}
        for step in steps:
            needed = {writer_of(table) for table in (*STEPS[step].reads, *STEPS[step].optional)}
            if needed & again:
                again.add(step)
        return again

    def _is_derived(self, table: str) -> bool:
        return writer_of(table) in self.steps()

    def _path(self, table: str, scenario: str) -> str:
        where = scenario if writer_of(table) in self._rerun_in(scenario) else PRIMARY
        return f"data/derived/{self.study}/{where}/{_file(table)}"


def _file(table: str) -> str:
    return f"{table}.json" if table in JSON_TABLES else f"{table}.parquet"


def _raw_folder(study: str, data: str | None) -> str | None:
    """Return the raw folder of a real study as given, now or to its last run; None for the default one."""
    own, kept = Path(f"data/raw/{study}"), Path(f"data/derived/{study}/{RAW_FOLDER}")
    if data is None and not own.is_dir() and kept.is_file():
        data = kept.read_text(encoding="utf-8").strip()
    if not (Path(data) if data else own).is_dir():
        raise plan.PlanError(
            f"no raw data for study {study!r}: the folder {data or str(own)!r} does not exist. Put the files "
            "there, or give DATA=path/to/raw/files (make reproduce STUDY=... DATA=...)"
        )
    if data:
        write_bytes(kept, f"{data}\n".encode())
    return data


@lru_cache
def _listing_digest(folder: str) -> str:
    if not os.path.isdir(folder):
        return "absent"
    hasher = hashlib.sha256()
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            facts = os.stat(os.path.join(parent, name))
            hasher.update(
                f"{os.path.relpath(parent, folder)}/{name}|{facts.st_size}|{facts.st_mtime_ns}".encode()
            )
    return hasher.hexdigest()[:8]
