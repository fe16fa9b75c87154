"""What was changed in the plan after the first analysis of outcomes is listed as post hoc, and only that."""

import json

import pandas as pd
import pytest

from analysis import deviations, plan, storage


@pytest.fixture
def base():
    return plan.defaults()


def changed_by_the_study(base, **values):
    """Return the plan as the study's file would have it."""
    for name, value in values.items():
        base = base.settle(name.replace("__", "."), value, "a reviewer asked")
    return base


def test_the_same_plan_has_no_deviation(base):
    first = json.loads(deviations.record(base))["values"]
    assert deviations.compare(first, base) == []
    assert deviations.say([]) == ""


def test_a_changed_value_is_listed_with_both_values_and_the_reason(base):
    first = json.loads(deviations.record(base))["values"]
    now = changed_by_the_study(base, pilot__margin=0.1)
    (found,) = deviations.compare(first, now)
    assert (found.name, found.first, found.now, found.reason) == (
        "pilot.margin",
        0.05,
        0.1,
        "a reviewer asked",
    )
    assert deviations.say([found]).endswith("(post hoc): pilot.margin 0.05 -> 0.1.")


def test_an_override_is_a_sensitivity_analysis_and_no_deviation(base):
    first = json.loads(deviations.record(base))["values"]
    assert deviations.compare(first, base.override({"primary.cut_percent": 15.0})) == []


@pytest.mark.parametrize("name", ["design__title", "design__version"])
def test_words_of_the_plan_are_no_deviation(base, name):
    first = json.loads(deviations.record(base))["values"]
    assert deviations.compare(first, changed_by_the_study(base, **{name: "another"})) == []


def test_a_value_a_newer_compendium_brought_is_no_deviation(base):
    first = json.loads(deviations.record(base))["values"]
    del first["pilot.margin"]
    assert deviations.compare(first, changed_by_the_study(base, pilot__margin=0.1)) == []


def test_every_row_says_so(base):
    rows = pd.DataFrame({"ROLE": ["PRIMARY", "EXPLORATORY"], "LABEL": ["main analysis", "sweep"]})
    found = deviations.mark(rows, [deviations.Deviation("pilot.margin", 0.05, 0.1, "")])
    assert found["LABEL"].tolist() == [
        "main analysis; post hoc change of the plan: pilot.margin",
        "sweep; post hoc change of the plan: pilot.margin",
    ]
    assert deviations.mark(rows, []) is rows


def test_a_run_records_the_plan_once_and_later_runs_name_the_change(tmp_path):
    def opened(text):
        (tmp_path / "plan.yaml").write_text(text)
        where = {name: str(tmp_path / name) for name in ("raw_dir", "derived_dir", "reports_dir")}
        return storage.resolve("03", study="small", plan_file=str(tmp_path / "plan.yaml"), **where)

    evidence = {"decision": {"timepoint": "D14"}}
    opened("study: small\n").write_tables(evidence)
    kept = (tmp_path / "derived_dir" / deviations.FILE).read_bytes()
    later = opened("study: small\npilot:\n  margin: {value: 0.1, reason: asked}\n")
    assert "pilot.margin 0.05 -> 0.1" in later.headline()
    later.write_tables(evidence)
    assert (tmp_path / "derived_dir" / deviations.FILE).read_bytes() == kept


def test_a_sensitivity_analysis_that_looks_first_records_the_plan_of_the_study(tmp_path):
    (tmp_path / "plan.yaml").write_text("study: small\n")
    (tmp_path / "derived_dir").mkdir()
    where = {name: str(tmp_path / name) for name in ("raw_dir", "reports_dir")}
    given = dict(
        study="small", plan_file=str(tmp_path / "plan.yaml"), derived_dir=str(tmp_path / "derived_dir")
    )
    run = storage.resolve("03", {"pilot.margin": 0.2}, **given, **where)
    assert run.is_sensitivity and run.study_plan.pilot.margin == 0.05
    run.write_tables({"decision": {"timepoint": "D14"}})
    (found,) = tmp_path.rglob(deviations.FILE)
    assert json.loads(found.read_text())["values"]["pilot.margin"] == 0.05
    assert run.deviations == []
