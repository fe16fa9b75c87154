"""The whole DAG on the tiny trial, in a copy of the project: it runs, then has nothing to do, then reruns only what must."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("Snakefile", "pyproject.toml", "config", "notebooks")

pytestmark = pytest.mark.dag


def snakemake(project: Path, *arguments: str, check: bool = True) -> str:
    """Run Snakemake in a copy of the project on the tiny trial and return what it printed."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--workflow-profile",
        "config/profiles/default",
        "--cores",
        "2",
    ]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, *arguments],
        cwd=project,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert not check or done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def jobs(output: str) -> set[str]:
    """Return the rules that Snakemake ran or would run."""
    return set(re.findall(r"^(?:local)?rule (\w+):", output, flags=re.M)) - {"all"}


def tables(project: Path, scenario: str = "primary") -> dict[str, bytes]:
    """Return name -> bytes of every derived table."""
    folder = project / "data" / "derived" / "tiny" / scenario
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.*")) if file.is_file()}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        else:
            shutil.copy(source, folder / name)
    snakemake(folder, "--config", "study=tiny")
    return folder


def test_the_report_is_there_and_says_the_data_are_simulated(project):
    report = (project / "reports" / "tiny" / "primary" / "report.html").read_text()
    assert "imulated" in report and "SENSITIVITY" not in report
    assert not re.search(r"(src|href)=\"https?://", report)


def test_running_again_does_nothing(project):
    assert "Nothing to be done" in snakemake(project, "--config", "study=tiny")


def test_a_changed_value_reruns_only_what_depends_on_it(project):
    plan = project / "config" / "tiny.yaml"
    before = plan.read_text()
    plan.write_text(before + "\nfigures: {dpi: 200}\n" if "figures:" not in before else before)
    try:
        assert jobs(snakemake(project, "--dry-run", "--quiet", "progress", "--config", "study=tiny")) == {
            "publication",
            "privacy_gate",
        }
        plan.write_text(before + "\nprimary: {alpha: 0.10}\n")
        assert jobs(snakemake(project, "--dry-run", "--quiet", "progress", "--config", "study=tiny")) == {
            "pilot_timepoint",
            "survival_association",
            "biomarkers",
            "publication",
            "privacy_gate",
        }
    finally:
        plan.write_text(before)


@pytest.mark.parametrize(("scenario", "rule"), [("cut15", "any_resistant"), ("eortc", "eortc")])
def test_a_named_scenario_is_a_sensitivity_analysis_and_leaves_the_primary_alone(project, scenario, rule):
    before = tables(project)
    snakemake(project, "--config", "study=tiny", f"scenario={scenario}")
    report = (project / "reports" / "tiny" / scenario / "report.html").read_text()
    assert re.search("sensitivity analysis", report, flags=re.I)
    assert "Metabolic non-responders at" in report
    estimates = pd.read_parquet(project / "data" / "derived" / "tiny" / scenario / "estimates.parquet")
    main = estimates.iloc[0]
    # EORTC after one cycle has a cut of its own, 15 percent, whatever the plan's cut.
    assert (main["RULE"], main["CUT"], main["ROLE"]) == (rule, 15.0, "SENSITIVITY")
    assert not {"PRIMARY", "SECONDARY"} & set(estimates["ROLE"])
    assert tables(project) == before


def test_an_unknown_scenario_is_refused_with_the_known_ones(project):
    output = snakemake(project, "--config", "study=tiny", "scenario=cut99", check=False)
    assert "no scenario 'cut99'" in output and "cut15" in output


def test_the_ledger_and_the_analysis_set_add_up_to_the_subjects_treated(project):
    folder = project / "data" / "derived" / "tiny" / "primary"
    adsl = pd.read_parquet(folder / "adsl.parquet")
    kept = pd.read_parquet(folder / "analysis_set.parquet").query("ENDPOINT == 'PFS'")
    left_out = pd.read_parquet(folder / "exclusions_04.parquet").query(
        "ITEM == 'subject' and REASON.str.startswith('PFS:')"
    )
    treated = set(adsl.loc[adsl["SAFFL"] == "Y", "USUBJID"])
    assert set(kept["USUBJID"]) | set(left_out["USUBJID"]) == treated
    assert not set(kept["USUBJID"]) & set(left_out["USUBJID"])


def test_no_subject_and_no_machine_path_is_in_what_leaves_the_restricted_zone(project):
    subjects = pd.read_parquet(project / "data" / "derived" / "tiny" / "primary" / "adsl.parquet")["USUBJID"]
    for file in sorted((project / "reports").rglob("*")):
        if file.suffix in {".html", ".ipynb", ".svg", ".csv", ".json"}:
            text = file.read_text()
            assert [s for s in subjects if s in text] == [], file.name
            assert str(project) not in text and str(ROOT) not in text, file.name


def test_everything_was_searched_before_the_run_was_done(project):
    folder = project / "reports" / "tiny" / "primary"
    record = json.loads((folder / "privacy.json").read_text())
    searched = [path for path in folder.rglob("*") if path.is_file() and path.name != "privacy.json"]
    assert record["findings"] == 0 and sum(record["files"].values()) == len(searched)
    assert record["searched"]["SUBJECT"] >= 12 and record["restricted_files"]["parquet"] > 10


def test_a_result_that_leaks_is_held_back_and_the_run_fails(project):
    folder = project / "reports" / "tiny" / "primary"
    subject = pd.read_parquet(project / "data/derived/tiny/primary/adsl.parquet")["USUBJID"].iloc[0]
    (folder / "tables" / "planted.csv").write_text(f"SUBJECT\n{subject}\n")
    (folder / "privacy.json").unlink()
    output = snakemake(project, "--config", "study=tiny", check=False)
    assert "planted.csv" in output and "SUBJECT" in output and subject not in output
    assert not (folder / "privacy.json").exists() and not (folder / "tables" / "planted.csv").exists()
    assert (project / "data/derived/tiny/primary/held_back/tables/planted.csv").is_file()
    again = snakemake(project, "--quiet", "progress", "--config", "study=tiny")
    assert jobs(again) == {"privacy_gate"} and (folder / "privacy.json").is_file()


def test_two_runs_give_the_same_bytes(project):
    record = project / "reports" / "tiny" / "primary" / "privacy.json"
    before, searched = tables(project), record.read_bytes()
    snakemake(project, "--config", "study=tiny", "--forceall")
    assert tables(project) == before and record.read_bytes() == searched
