"""A table that is missing is made again, and all that follows from it, although the report looks current."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analysis import dag

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.dag


def snakemake(folder: Path, *arguments: str) -> str:
    profile = ("--workflow-profile", "config/profiles/default", "--cores", "1", "--config", "study=tiny")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *profile, *arguments],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def planned(folder: Path) -> set[str]:
    output = snakemake(folder, "--dry-run", "--quiet", "progress", "--rerun-triggers", "mtime")
    return set(re.findall(r"^(?:local)?rule (\w+):", output, flags=re.M)) - {"all"}


def test_a_missing_table_is_made_again_with_all_that_follows(tmp_path, monkeypatch):
    for name in ("Snakefile", "pyproject.toml", "config"):
        (tmp_path / name).symlink_to(ROOT / name)
    for notebook in shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks").glob("*.ipynb"):
        os.utime(notebook, (1.5e9, 1.5e9))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw/tiny/truth").mkdir(parents=True)
    graph = dag.Graph("tiny")
    raw, tables = graph.simulated_files(), graph.tables("primary")
    order = [*raw, graph.identifiers(), *tables]
    order += [graph.report("primary"), graph.privacy("primary"), graph.site()]
    for name in dict.fromkeys(order):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        stage = 0 if name in raw else 1 + (name != graph.identifiers())
        os.utime(path, (1.6e9 + stage, 1.6e9 + stage))
    assert planned(tmp_path) == set()
    after_04 = {"survival_association", "publication", "privacy_gate"}
    for name, rules in (
        ("estimates", after_04),
        ("curves", after_04),
        ("adbm", {"biomarkers", "publication", "privacy_gate"}),
        ("exclusions_03", {"pilot_timepoint", "publication", "privacy_gate"}),
        ("deid_audit", {"pet_quantification", "privacy_gate"}),
    ):
        path = tmp_path / f"data/derived/tiny/primary/{name}.parquet"
        path.unlink()
        assert rules <= planned(tmp_path), name
        path.write_text("{}")
        os.utime(path, (1.6e9 + 2, 1.6e9 + 2))
    assert planned(tmp_path) == set()
