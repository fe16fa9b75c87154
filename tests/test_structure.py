"""The structure of the project: imports go one way, notebooks are clean, one table describes the steps."""

import ast
import json
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from analysis import contracts
from analysis.run import notebook_parameters
from analysis.steps import COMMON_PARAMETERS, STEPS, steps_text

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "analysis"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# What each part of the package may import from the package; a part may always import itself.
BASE = {"plan", "contracts"}
TOP = BASE | {"storage", "steps", "progress", "provenance", "fanout"}
MAY_IMPORT = {
    "plan": set(),
    "contracts": {"storage"},  # only its command that renews data/README.md
    "steps": set(),
    "progress": set(),
    "exchange": BASE,
    "fanout": {"progress"},
    "privacy": BASE | {"storage", "progress"},  # storage: only its command
    "deviations": BASE,
    "figure_files": BASE,
    "changes": {"storage"},
    "storage": BASE | {"steps", "progress", "privacy", "exchange", "deviations", "figure_files"},
    "executed": BASE | {"storage", "steps", "privacy"},
    "provenance": BASE | {"storage", "steps"},
    "run": BASE | {"progress", "storage", "steps", "privacy", "executed"},
    "dag": BASE | {"steps", "storage"},
    "survival": BASE,
    "populations": BASE,
    "clinical": TOP | {"survival"},
    "pet": TOP | {"survival"},
    "biomarkers": TOP | {"survival"},
    "virtual_trial": BASE | {"progress", "fanout"},
    "operating": TOP | {"survival", "pet", "virtual_trial"},
    "figures": BASE | {"tables", "figure_files"},
    "tables": BASE,
    "numbers": BASE | {"tables"},
    "report": BASE | {"tables"},
    "quality_pages": BASE | {"tables", "figures", "report"},
    "quality_report": BASE | {"tables", "figures", "report", "quality_pages", "fanout", "privacy"},
    "site": BASE | {"report", "tables", "figures", "numbers", "storage", "steps", "privacy"},
    "documents": {"plan"},
    "portfolio": BASE
    | {"figures", "numbers", "report", "documents", "tables", "storage", "steps", "exchange"},
}


def part_of(path: Path) -> str:
    """Return the part of the package a file belongs to: the sub-package, or the module at the top."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """Return the parts of `analysis` a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.ImportFrom)
            and node.level == 0
            and (node.module or "").split(".")[0] == "analysis"
        ):
            rest = node.module.split(".")[1:]
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("analysis.")}
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_one_way(path):
    part = part_of(path)
    if part == "__init__":
        assert imported_parts(path) == set()
        return
    assert part in MAY_IMPORT, f"{part} has no place in the order of imports"
    assert imported_parts(path) - {part} <= MAY_IMPORT[part]


def code_cells(path: Path) -> list[dict]:
    """Return the code cells of a notebook."""
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_have_no_outputs_no_definitions_and_short_cells(path):
    cells = code_cells(path)
    assert 6 <= len(cells) <= 20
    for cell in cells:
        source = "".join(cell["source"])
        assert cell["outputs"] == [] and cell["execution_count"] is None
        assert source.count("\n") < 25
        assert not [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.ClassDef)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_code_cell_but_imports_and_parameters_follows_prose(path):
    cells = json.loads(path.read_text())["cells"]
    assert cells[0]["cell_type"] == "markdown" and "".join(cells[0]["source"]).startswith("# ")
    runs = [(a, b) for a, b in pairwise(cells) if a["cell_type"] == b["cell_type"] == "code"]
    assert len(runs) <= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_kernel_names_its_language(path):
    assert json.loads(path.read_text())["metadata"]["kernelspec"]["language"] == "python"


@pytest.mark.parametrize("step", STEPS)
def test_parameters_of_each_notebook_are_the_common_ones_and_those_its_step_declares(step):
    path = ROOT / "notebooks" / f"{STEPS[step].notebook}.ipynb"
    expected = [*COMMON_PARAMETERS, *STEPS[step].parameters]
    assert list(notebook_parameters(path)) == expected


@pytest.mark.parametrize("step", STEPS)
def test_a_scientific_parameter_defaults_to_the_plan(step):
    path = ROOT / "notebooks" / f"{STEPS[step].notebook}.ipynb"
    for name in STEPS[step].parameters:
        assert "None" in notebook_parameters(path)[name]


def test_each_table_has_one_writer_and_a_contract():
    written = [table for step in STEPS.values() for table in step.writes]
    assert len(written) == len(set(written))
    for table in set(written) - {"decision", "values"}:
        assert contracts.contract_of(table).description


def test_the_clinical_document_is_the_one_the_rules_give():
    from analysis.clinical.document import clinical_text

    assert (ROOT / "docs" / "clinical.md").read_text() == clinical_text()  # python -m analysis.clinical


def test_the_dictionary_of_tables_is_the_one_the_contracts_give():
    text = (ROOT / "data" / "README.md").read_text()
    assert text.endswith("-->\n\n" + contracts.dictionary_text())


def test_the_table_of_notebooks_is_the_one_the_steps_give():
    assert steps_text() in (ROOT / "notebooks" / "README.md").read_text()


def test_every_study_has_a_plan_that_loads():
    from analysis import plan

    files = sorted((ROOT / "config").glob("*.yaml"))
    assert {"virtual", "tiny", "sarcoma"} <= {file.stem for file in files}
    for file in files:
        assert plan.load(yaml.safe_load(file.read_text())["study"], file).study == file.stem
