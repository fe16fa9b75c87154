"""The whole DAG on the tiny trial, in a copy of the project: it runs, then has nothing to do, then reruns only what must.

The golden copies of the notebooks run beside it, by nbval, in a folder of their own: the same bytes in both.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "notebooks"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "numbers"))
import agreement
import golden

from analysis.site.links import check_links

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "build" / "golden"
COPIED = ("Snakefile", "pyproject.toml", "config", "notebooks")

TINY = ("--config", "study=tiny")
NUMBERS = ("--config", "study=numbers")
# Scenario -> its response rule.
SCENARIOS = {"cut15": "any_resistant", "eortc": "eortc"}
TARGETS = [f"reports/tiny/{name}/{file}" for name in SCENARIOS for file in ("report.html", "privacy.json")]

# The step that tells of the design, not of the data: it runs once for a study.
OF_DESIGN = {"operating_characteristics"}
AFTER_06 = {"privacy_gate", "site"}
AFTER_02 = {"pilot_timepoint", "survival_association", "biomarkers", "publication", *AFTER_06}
# What has not run when the project is interrupted.
NOT_YET = {"survival_association", "publication", *AFTER_06, *OF_DESIGN}

pytestmark = pytest.mark.dag


def snakemake(project: Path, *arguments: str, check: bool = True) -> str:
    """Run Snakemake in a copy of the project on the tiny trial and return what it printed."""
    profile = ("--workflow-profile", "config/profiles/default", "--cores", "2")
    command = [sys.executable, "-m", "snakemake", *profile]
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


def tables(project: Path, scenario: str = "primary", study: str = "tiny") -> dict[str, bytes]:
    """Return name -> bytes of every derived table."""
    return files_of(project / "data" / "derived" / study / scenario, "*.*")


def files_of(folder: Path, pattern: str) -> dict[str, bytes]:
    """Return path -> bytes of every file of a folder."""
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def copy_code(folder: Path) -> Path:
    """Copy what a project consists of, without data and results."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        else:
            shutil.copy(source, folder / name)
    return folder


def would_run(project: Path, *arguments: str) -> set[str]:
    """Return the rules that the next run would run."""
    return jobs(snakemake(project, "--dry-run", "--quiet", "progress", *arguments))


def stop_once(project: Path, name: str, cell: str, *arguments: str) -> str:
    """Run with `cell` before the last one of a notebook, then put the notebook back as it was."""
    notebook = project / "notebooks" / name
    whole, times = notebook.read_text(), os.stat(notebook)
    content = json.loads(whole)
    content["cells"].insert(-1, {**content["cells"][-1], "source": [cell], "id": "stop"})
    notebook.write_text(json.dumps(content))
    output = snakemake(project, *TINY, *arguments, check=False)
    notebook.write_text(whole)
    os.utime(notebook, ns=(times.st_atime_ns, times.st_mtime_ns))
    return output


def run_with_interruptions(project: Path) -> SimpleNamespace:
    """Run the tiny trial on two cores; on the way one notebook is held back and another stops."""
    name, derived = "05_biomarkers.ipynb", project / "data" / "derived" / "tiny" / "primary"
    seen = SimpleNamespace()
    seen.leak = stop_once(project, name, "print(adsl['USUBJID'].iloc[0])", "--until", "biomarkers")
    seen.held_back = (derived / "held_back" / name).is_file()
    seen.copy = (project / "reports" / "tiny" / "primary" / "notebooks" / name).read_bytes()
    seen.after_leak, seen.asked_after_leak = set(tables(project)), would_run(project, *TINY)
    stop = "raise ValueError('stop here')"
    seen.stop = stop_once(project, "03_pilot_timepoint.ipynb", stop, "--until", "pilot_timepoint")
    seen.after_stop, seen.asked_after_stop = set(tables(project)), would_run(project, *TINY)
    snakemake(project, *TINY)
    return seen


def run_golden_copies() -> subprocess.CompletedProcess:
    """Run the golden notebooks, which write below build/golden, on one core, without interruption."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    options = ("--nbval", "--nbval-current-env", "--nbval-sanitize-with", "tests/notebooks/sanitize.cfg")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "nbval", *options, *map(str, golden.in_order())],
        cwd=ROOT,
        env={**os.environ, "PEARL_PROGRESS": os.devnull},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Start what takes long: the project with interruptions, the golden copies, and a study without images."""
    project, numbers = (copy_code(tmp_path_factory.mktemp(name)) for name in ("project", "numbers"))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(run_with_interruptions, project)
        copies = pool.submit(run_golden_copies)
        sent = pool.submit(run_with_a_table_gone, numbers, project, first)
        yield SimpleNamespace(project=project, numbers=numbers, first=first, golden=copies, sent=sent)


@pytest.fixture(scope="module")
def project(runs):
    runs.first.result()
    return runs.project


@pytest.fixture(scope="module")
def numbers(runs):
    runs.sent.result()
    return runs.numbers


@pytest.fixture(scope="module")
def scenarios(project, runs):
    """The scenarios in the finished project; returns the primary tables of before."""
    before = tables(project)
    snakemake(project, *TARGETS, *TINY)
    snakemake(project, "site", *TINY)
    return before


def test_a_notebook_that_leaks_is_held_back_and_the_next_run_makes_it(project, runs):
    seen = runs.first.result()
    derived = project / "data/derived/tiny/primary"
    subject = pd.read_parquet(derived / "adsl.parquet")["USUBJID"].iloc[0]
    assert "SUBJECT" in seen.leak and "held_back/05_" in seen.leak and subject not in seen.leak
    assert "decision.json" in seen.after_leak and "adbm.parquet" not in seen.after_leak
    assert seen.held_back and not (derived / "held_back").exists()
    assert seen.copy == b""  # Snakemake leaves an empty file where a log is missing
    assert seen.asked_after_leak == {"biomarkers", *NOT_YET}


def test_a_step_that_stops_leaves_no_table_and_the_next_run_makes_all_after_it(runs, project):
    seen = runs.first.result()
    assert "stop here" in seen.stop and "decision.json" not in seen.after_stop
    assert seen.asked_after_stop == {"pilot_timepoint", "biomarkers", *NOT_YET}


def test_the_report_is_there_and_says_the_data_are_simulated(project):
    report = (project / "reports" / "tiny" / "primary" / "report.html").read_text()
    assert "imulated" in report and "SENSITIVITY" not in report
    assert not re.search(r"(src|href)=\"https?://", report)


def test_every_number_of_the_report_agrees_with_the_table_it_leads_to(project):
    reports, derived = (project / kind / "tiny" / "primary" for kind in ("reports", "data/derived"))
    assert agreement.check_folder(reports, derived) == []
    values = json.loads((derived / "values.json").read_text())
    assert len(values) > 500 and {"cell", "count", "plan"} <= {one["kind"] for one in values.values()}


def test_the_site_shows_the_results_first_and_every_scenario_that_was_run(project, scenarios):
    site = project / "reports" / "tiny" / "site"
    assert check_links(site) == []
    first, beside = ((site / name).read_text() for name in ("index.html", "scenarios.html"))
    assert "SIMULATED DATA" in first and 'href="where/estimates.html#row-0"' in first
    assert all(f"scenarios/{name}/" in beside for name in SCENARIOS)
    for name in SCENARIOS:
        assert "SENSITIVITY ANALYSIS" in (site / "scenarios" / name / "index.html").read_text()


def test_running_again_does_nothing(project):
    assert "Nothing to be done" in snakemake(project, "--config", "study=tiny")


def test_a_changed_value_reruns_only_what_depends_on_it(project):
    plan = project / "config" / "tiny.yaml"
    before = plan.read_text()
    plan.write_text(before + "\nbiomarkers: {fdr_level: 0.2}\n")
    try:
        assert would_run(project, *TINY) == {"biomarkers", "publication", *AFTER_06}
        plan.write_text(before + "\nprimary: {alpha: 0.10}\n")
        assert would_run(project, *TINY) == {*AFTER_02, *OF_DESIGN}
    finally:
        plan.write_text(before)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_named_scenario_is_a_sensitivity_analysis_and_leaves_the_primary_alone(
    project, scenarios, scenario
):
    assert "Nothing to be done" in snakemake(project, *TINY, f"scenario={scenario}")
    report = (project / "reports" / "tiny" / scenario / "report.html").read_text()
    assert re.search("sensitivity analysis", report, flags=re.I)
    assert "Metabolic non-responders at" in report
    estimates = pd.read_parquet(project / "data" / "derived" / "tiny" / scenario / "estimates.parquet")
    main = estimates.iloc[0]
    # EORTC after one cycle has a cut of its own, 15 percent, whatever the plan's cut.
    assert (main["RULE"], main["CUT"], main["ROLE"]) == (SCENARIOS[scenario], 15.0, "SENSITIVITY")
    assert not {"PRIMARY", "SECONDARY"} & set(estimates["ROLE"])
    assert tables(project) == scenarios


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
    record = (folder / "privacy.json").read_bytes()
    (folder / "privacy.json").unlink()
    output = snakemake(project, "--config", "study=tiny", check=False)
    assert "planted.csv" in output and "SUBJECT" in output and subject not in output
    assert not (folder / "privacy.json").exists() and not (folder / "tables" / "planted.csv").exists()
    held = project / "data/derived/tiny/primary/held_back/tables/planted.csv"
    assert held.is_file()
    held.unlink()  # no step writes it again
    again = snakemake(project, "--quiet", "progress", "--config", "study=tiny")
    assert jobs(again) == AFTER_06 and (folder / "privacy.json").read_bytes() == record


def test_every_notebook_prints_what_its_golden_copy_holds(runs):
    done = runs.golden.result()
    assert done.returncode == 0, done.stdout[-20000:]


def test_two_runs_give_the_same_bytes_wherever_they_run_and_whatever_stopped_them(project, runs):
    runs.golden.result()
    assert tables(project) == files_of(GOLDEN / "derived", "*.*") and len(tables(project)) > 20
    for ours, golden_copy in (
        ("reports/tiny/primary", "reports"),
        ("data/raw/tiny", "raw"),
        ("data/derived/tiny/primary/dicom", "derived/dicom"),
    ):
        made = files_of(project / ours, "**/*")
        made = {
            name: content for name, content in made.items() if not name.startswith(("notebooks/", "privacy"))
        }
        assert made == files_of(GOLDEN / golden_copy, "**/*") and len(made) > 50, ours


# ---- a study whose reading centre only sent numbers

# METRIC of adpet or column of scan_qc -> code, unit and number of a record for one unit of the table.
SENT = {
    "LESION": {"SUVMAX": ("SUVMAX", "1", 1.0), "SULPEAK": ("SULPEAK", "g/mL", 1.0), "MTV41": ("MTV41", "mm3", 1e3)},
    "LIVER": {"SUVMEAN": ("SUVMEAN", "g/mL", 1.0), "SUVSD": ("SUVSD", "g/mL", 1.0), "SULMEAN": ("SULMEAN", "1", 1.0),
              "SULSD": ("SULSD", "1", 1.0)},
    "scan": {"UPTAKEMIN": ("UPTKTM", "h", 1 / 60), "DOSEMBQ": ("INJDOSE", "mCi", 1 / 37), "HEIGHTM": ("HEIGHT", "cm", 100.0),
             "WEIGHTKG": ("WEIGHT", "kg", 1.0)},
}  # fmt: skip


def records_of(adpet: pd.DataFrame, scans: pd.DataFrame) -> pd.DataFrame:
    """Write what was measured as records of TR, in the units of `SENT`."""
    facts = scans[scans["STATUS"].eq("OK")].melt(["USUBJID", "ADT"], list(SENT["scan"]), "METRIC", "AVAL")
    rows = []
    for row in pd.concat([adpet, facts.assign(ROLE="scan")]).dropna(subset="AVAL").itertuples():
        code, unit, factor = SENT.get(row.ROLE, {}).get(row.METRIC, (None, None, None))
        if code:
            link = {"LESION": row.LESIONID, "LIVER": "LIVER"}.get(row.ROLE, "")
            rows.append(
                dict(USUBJID=row.USUBJID, TRLNKID=link, TRTESTCD=code, TRTEST=code, TRORRESU=unit,
                     TRORRES=repr(row.AVAL * factor), TRGRPID={"LIVER": "REFERENCE"}.get(row.ROLE, ""),
                     TRDTC=row.ADT.strftime("%Y-%m-%d"))
            )  # fmt: skip
    table = pd.DataFrame(rows).assign(STUDYID="PEARL", DOMAIN="TR", TRMETHOD="FDG-PET/CT")
    return table.assign(TRSEQ=(1000 + table.groupby("USUBJID").cumcount()).astype(str))


def send_numbers(project: Path, folder: Path) -> None:
    """Make the tiny trial a real study without images: its own measurements, sent as records of TR."""
    given, derived = project / "data" / "raw" / "tiny", project / "data" / "derived" / "tiny" / "primary"
    raw = folder / "data" / "raw" / "numbers"
    shutil.copytree(given / "sdtm", raw / "sdtm")
    # Layers that are missing: no tumour tissue, no plasma of day 28, one assay.
    (raw / "biomarkers").mkdir()
    plasma = pd.read_csv(given / "biomarkers" / "plasma.csv", dtype=str, keep_default_na=False)
    kept = plasma["VISIT"].ne("D28") & plasma["ASSAY"].eq(plasma["ASSAY"].mode()[0])
    plasma[kept].to_csv(raw / "biomarkers" / "plasma.csv", index=False)
    shutil.copy(given / "reader_decisions.csv", raw)
    sent = records_of(
        pd.read_parquet(derived / "adpet.parquet"), pd.read_parquet(derived / "scan_qc.parquet")
    )
    recist = pd.read_csv(raw / "sdtm" / "tr.csv", dtype=str, keep_default_na=False)
    pd.concat([recist, sent]).fillna("").to_csv(raw / "sdtm" / "tr.csv", index=False)
    tiny = yaml.safe_load((folder / "config" / "tiny.yaml").read_text())
    real = {"kind": "real", "pilot_n": {"value": 8, "reason": "as in the tiny trial"}}
    # As few permutations and bootstrap samples as in the tiny trial.
    few = {name: tiny[name] for name in ("pilot", "survival", "specification", "misclassification")}
    content = {"study": "numbers", "design": real, **few}
    (folder / "config" / "numbers.yaml").write_text(yaml.safe_dump(content))


def run_with_a_table_gone(numbers: Path, project: Path, first: Future) -> SimpleNamespace:
    """Run the study of numbers; on the way a table is lost that no step reads."""
    first.result()
    send_numbers(project, numbers)
    snakemake(numbers, *NUMBERS, "--until", "pet_quantification")
    before = tables(numbers, study="numbers")
    (numbers / "data" / "derived" / "numbers" / "primary" / "comparability.parquet").unlink()
    asked = would_run(numbers, *NUMBERS)
    snakemake(numbers, *NUMBERS)
    return SimpleNamespace(before=before, asked=asked)


def test_numbers_without_images_give_the_same_classes_and_a_report_without_pictures(project, numbers):
    images, folder = (home / "data" / "derived" / home_study / "primary"
                      for home, home_study in ((project, "tiny"), (numbers, "numbers")))  # fmt: skip
    key = ["USUBJID", "AVISIT", "LESIONID", "METRIC"]
    before, after = (pd.read_parquet(place / "adpet.parquet") for place in (images, folder))
    sent = before[[row.METRIC in SENT.get(row.ROLE, ()) for row in before.itertuples()]].dropna(subset="AVAL")
    both = sent.set_index(key)[["AVAL", "UNIT"]].join(after.set_index(key)[["AVAL", "UNIT"]], rsuffix="_IN")
    assert both["AVAL_IN"].tolist() == pytest.approx(both["AVAL"].tolist(), rel=1e-12)
    assert both["UNIT_IN"].tolist() == both["UNIT"].tolist() and len(both) > 100
    which = "METRIC == 'SUVMAX' and RULE == 'any_resistant' and CUT == 25"
    classes = [pd.read_parquet(place / "admr.parquet").query(which).set_index(["USUBJID", "AVISIT"])["MRESP"]
               for place in (images, folder)]  # fmt: skip
    assert classes[0].to_dict() == classes[1].to_dict() and set(classes[0]) >= {"RESPONDER", "NON-RESPONDER"}
    for name in ("mips", "exports", "reference_proposals"):
        assert pd.read_parquet(folder / f"{name}.parquet").empty, name
    reports = numbers / "reports" / "numbers" / "primary"
    pages = sorted((reports / "quality").glob("S-*.html"))
    assert len(pages) == len(pd.read_parquet(folder / "scan_qc.parquet")) > 20
    assert not any("<img" in page.read_text() for page in pages)
    report = (reports / "report.html").read_text()
    assert (
        "SIMULATED DATA" not in report
        and "simulated data" not in report
        and not list((reports / "figures").glob("mip*"))
    )
    assert json.loads((reports / "privacy.json").read_text())["findings"] == 0


def test_layers_that_are_missing_are_named_and_the_others_are_run(numbers):
    folder = numbers / "data" / "derived" / "numbers" / "primary"
    layers = pd.read_parquet(folder / "biomarker_layers.parquet").set_index("ANALYSIS")
    tissue = ["gene", "pathway", "copy_number", "signature", "expression", "acquired", "paired_samples"]
    assert layers.loc[tissue, "STATUS"].eq("NOT RUN").all() and layers.loc[tissue, "REASON"].notna().all()
    assert layers.loc[["ctdna", "clearance", "lead_time", "lesion_progression"], "STATUS"].eq("RUN").all()
    assert "D28" in layers.loc["ctdna", "REASON"] and "no tumour sample" in layers.loc["profile", "REASON"]
    markers = pd.read_parquet(folder / "adbm.parquet")
    assert set(markers["SAMPTYPE"]) == {"PLASMA"} and "D28" not in set(markers["AVISIT"])
    remark = pd.read_parquet(folder / "remark.parquet")
    assert len(remark) == 22


def test_where_a_table_is_gone_that_no_step_reads_its_step_runs_again_and_all_after_it(runs, numbers):
    sent = runs.sent.result()
    assert sent.asked == {"pet_quantification", *AFTER_02} and "comparability.parquet" in sent.before
    after = tables(numbers, study="numbers")
    assert {name: after[name] for name in sent.before} == sent.before and len(sent.before) > 10
    assert "Nothing to be done" in snakemake(numbers, *NUMBERS)


# ---- last, for it leaves everything outdated


def test_a_trial_simulated_anew_over_the_old_one_gives_the_same_bytes(project, numbers, scenarios):
    before, raw = tables(project), project / "data" / "raw" / "tiny"
    files = {file: file.stat().st_mtime_ns for file in raw.rglob("*") if file.is_file()}
    forced = ("--forcerun", "virtual_trial", "--until", "virtual_trial")
    output = snakemake(project, "--quiet", "progress", *forced, *TINY)
    assert jobs(output) == {"virtual_trial"}
    assert tables(project) == before  # manifest.parquet holds the hash of every raw file
    again = {file: file.stat().st_mtime_ns for file in raw.rglob("*") if file.is_file()}
    assert set(again) == set(files) and not set(again.items()) & set(files.items())
