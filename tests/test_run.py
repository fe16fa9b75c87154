"""The typed runner and the opening of a run: what papermill lets pass is refused before anything runs."""

import shutil

import nbformat
import pytest

from analysis import figure_files, run, storage
from analysis.privacy import gate, identifiers
from analysis.steps import COMMON_PARAMETERS, STEPS


@pytest.fixture
def notebook(tmp_path):
    content = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell(
        'study: str = "virtual"\ncut_percent: Optional[float] = None  # percent\nworkers: int = 1\nstrict: Optional[bool] = None'
    )
    cell.metadata["tags"] = ["parameters"]
    body = nbformat.v4.new_code_cell("print(study, cut_percent, workers, strict)")
    content.cells = [nbformat.v4.new_code_cell("from typing import Optional"), cell, body]
    content.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = tmp_path / "demo.ipynb"
    nbformat.write(content, path)
    return path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"cut_percent": "15"}, {"cut_percent": 15.0}),
        ({"cut_percent": 15}, {"cut_percent": 15.0}),
        ({"cut_percent": "None"}, {"cut_percent": None}),
        ({"study": "007"}, {"study": "007"}),
        ({"workers": "2"}, {"workers": 2}),
        ({"strict": "true"}, {"strict": True}),
    ],
)
def test_a_value_gets_the_type_of_its_parameter(notebook, given, expected):
    assert run.check_parameters(notebook, given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cut_percnt": 15}, "unknown parameter 'cut_percnt'; did you mean 'cut_percent'"),
        ({"cut_percent": "low"}, "cut_percent must be float or None, found 'low'"),
        ({"workers": 1.5}, "workers must be int, found 1.5"),
        ({"workers": True}, "workers must be int"),
        ({"strict": "perhaps"}, "strict must be bool or None"),
    ],
)
def test_an_unknown_or_ill_typed_parameter_is_refused(notebook, given, message):
    with pytest.raises(run.ParameterError, match=message):
        run.check_parameters(notebook, given)


def test_the_command_line_refuses_before_it_runs(notebook, tmp_path, capsys):
    assert run.main([str(notebook), str(tmp_path / "out.ipynb"), "-p", "wrkers", "2"]) == 2
    assert "did you mean 'workers'" in capsys.readouterr().err
    assert not (tmp_path / "out.ipynb").exists()


def test_an_executed_notebook_carries_no_times_and_no_paths(notebook, tmp_path):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text("cut_percent: 15\n")
    out = tmp_path / "out.ipynb"
    assert run.main([str(notebook), str(out), "-f", str(parameters), "-p", "workers", "2", "-q"]) == 0
    content = nbformat.read(out, as_version=4)
    assert content.cells[-1].outputs[0].text == "virtual 15.0 2 None\n"
    assert str(tmp_path) not in out.read_text() and "start_time" not in out.read_text()


def leaking(notebook, cell):
    content = nbformat.read(notebook, as_version=4)
    content.cells.append(nbformat.v4.new_code_cell(cell))
    nbformat.write(content, notebook)
    return notebook


def test_an_executed_notebook_that_leaks_reaches_its_place_no_more(notebook, tmp_path, capsys):
    out = tmp_path / "out.ipynb"
    out.write_text("an older copy")
    leaking(notebook, 'print("scanned", "2015" + "0421")')
    assert run.main([str(notebook), str(out), "-q"]) == 3
    said = capsys.readouterr().err
    assert "cell 3 output 0 line 1: DATE (1)" in said and "0421" not in said and "held_back" not in said
    assert not out.exists()


def test_a_notebook_of_no_study_has_no_place_in_reports(notebook, tmp_path, monkeypatch, capsys):
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    assert run.main([str(notebook), "reports/virtual/primary/demo.ipynb", "-q"]) == 2
    assert "lacks parameters of a study" in capsys.readouterr().err


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A real study of one subject, and a notebook of somebody's own on it."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "config").mkdir()
    (tmp_path / "config/mine.yaml").write_text("study: mine\ndesign: {kind: real}\n")
    sdtm = tmp_path / "data/raw/mine/sdtm"
    sdtm.mkdir(parents=True)
    (sdtm / "dm.csv").write_text("USUBJID,SEX\nQQ-1077-04,F\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def own_notebook(study):
    lines = ['study: str = "mine"', *(f"{name}: Optional[str] = None" for name in COMMON_PARAMETERS[1:])]
    lines[COMMON_PARAMETERS.index("workers")] = "workers: int = 1"
    cell = nbformat.v4.new_code_cell("\n".join(lines))
    cell.metadata["tags"] = ["parameters"]
    content = nbformat.v4.new_notebook()
    content.cells = [nbformat.v4.new_code_cell("from typing import Optional"), cell]
    content.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(content, study / "own.ipynb")
    return study / "own.ipynb"


@pytest.mark.parametrize("cell", ['print("QQ-1077-04".lower())', 'raise ValueError("no scan of QQ-1077-04")'])
def test_a_notebook_with_a_subject_in_an_output_or_a_traceback_is_kept_in_the_restricted_zone(
    study, own_notebook, capsys, cell
):
    out = study / "reports/mine/primary/notebooks/own.ipynb"
    assert run.main([str(leaking(own_notebook, cell)), str(out), "-q"]) == 3
    said = capsys.readouterr().err
    assert "SUBJECT" in said and "1077" not in said and "held_back/own.ipynb" in said
    assert ("own.ipynb stopped: ValueError: no scan of ***" in said) == cell.startswith("raise")
    assert not out.exists()
    held = study / "data/derived/mine/primary/held_back"
    assert "-1077-04" in (held / "own.ipynb").read_text()
    assert [path.name for path in held.iterdir()] == ["own.ipynb"]


@pytest.mark.parametrize(("below", "shown"), [("data/raw/given", "data/raw/given"), ("", ".../raw")])
def test_a_raw_folder_given_with_its_whole_path_is_not_named_in_the_copy(
    study, own_notebook, tmp_path_factory, below, shown
):
    given = study / below if below else tmp_path_factory.mktemp("elsewhere") / "raw"
    shutil.copytree(study / "data/raw/mine", given)
    out = study / "reports/mine/primary/notebooks/own.ipynb"
    assert run.main([str(own_notebook), str(out), "-p", "raw_dir", str(given), "-q"]) == 0
    assert f'raw_dir = "{shown}"' in nbformat.read(out, as_version=4).cells[2].source
    assert str(given) not in out.read_text()


def test_a_notebook_that_leaks_no_more_reaches_its_place_and_nothing_stays_held_back(study, own_notebook):
    out = study / "reports/mine/primary/notebooks/own.ipynb"
    held = study / "data/derived/mine/primary/held_back"
    storage.write_bytes(held / "own.ipynb", b"an earlier try")
    assert run.main([str(own_notebook), str(out), "-q"]) == 0
    assert out.is_file() and not held.exists()


def opened_on(study):
    return storage.open_run("06", namespace("06", study="mine"))


def test_a_report_or_figure_that_leaks_is_not_written_and_its_older_copy_goes(study):
    from matplotlib.figure import Figure

    opened = opened_on(study)
    opened.save_report("tables/a.csv", "SUBJECT\nS-1\n")
    figure = Figure(figsize=(180 / 25.4, 2))
    opened.save_figure(figure, "b", formats=("png", "svg"))
    with pytest.raises(gate.PrivacyError, match=r"line 2: SUBJECT \(1\)"):
        opened.save_report("tables/a.csv", "SUBJECT\nQQ-1077-04\n")
    figure.suptitle("QQ-1077-04")
    with pytest.raises(gate.PrivacyError, match=r"b\.svg"):
        opened.save_figure(figure, "b", formats=("png", "svg"))
    assert [path for path in (study / "reports").rglob("*") if path.is_file()] == []


def test_a_figure_is_saved_in_every_format_with_its_description(study):
    from matplotlib.figure import Figure

    opened, figure = opened_on(study), Figure(figsize=(85 / 25.4, 1))
    path = opened.save_figure(figure, "c", title="Figure 1", alt="A curve")
    folder = study / "reports/mine/primary/figures"
    assert path == folder / "c.svg" and figure.alt == "A curve"
    assert [file.name for file in sorted(folder.iterdir())] == ["c.pdf", "c.png", "c.svg", "c.tif"]
    assert "<title>Figure 1</title>" in path.read_text() and "<desc>A curve</desc>" in path.read_text()
    assert b"A curve" in (folder / "c.tif").read_bytes()


def test_a_figure_that_no_journal_prints_is_not_saved(study):
    from matplotlib.figure import Figure

    with pytest.raises(figure_files.FigureError, match=r"'wide' is 254\.0 mm wide"):
        opened_on(study).save_figure(Figure(figsize=(10, 1)), "wide")
    assert not (study / "reports").exists()


def test_nothing_is_written_while_nobody_knows_what_to_search_for(study):
    shutil.rmtree(study / "data/raw")
    with pytest.raises(identifiers.VocabularyMissing, match="NO_VOCABULARY"):
        opened_on(study).save_report("a.html", "<p>fine</p>")
    assert not (study / "reports").exists()


def namespace(step, **changes):
    common = dict(
        study="virtual",
        scenario=None,
        plan_file=None,
        raw_dir=None,
        derived_dir=None,
        reports_dir=None,
        workers=1,
        dask_scheduler=None,
    )
    assert tuple(common) == COMMON_PARAMETERS
    return {**common, **{name: None for name in STEPS[step].parameters}, **changes}


def test_a_misspelt_parameter_that_papermill_injected_is_refused():
    with pytest.raises(storage.RunError, match=r"no parameter \['cut_percnt'\]"):
        storage.open_run("04", namespace("04", cut_percnt=15))


def test_a_scientific_override_names_itself_a_sensitivity_analysis():
    opened = storage.open_run("04", namespace("04", cut_percent=15))
    assert opened.scenario.startswith("sensitivity-") and opened.derived_dir.name == opened.scenario
    assert opened.headline().startswith("SENSITIVITY ANALYSIS")
    assert "primary.cut_percent = 15.0" in opened.headline()


def test_the_same_overrides_give_the_same_scenario():
    names = {storage.open_run("04", namespace("04", cut_percent=value)).scenario for value in (15, 15.0)}
    assert len(names) == 1


def test_the_plans_own_value_is_the_primary_analysis():
    assert storage.open_run("04", namespace("04", cut_percent=25.0)).scenario == "primary"


def test_the_primary_scenario_carries_no_override():
    with pytest.raises(storage.RunError, match="cannot carry further overrides"):
        storage.open_run("04", namespace("04", cut_percent=15, scenario="primary"))


def test_a_named_scenario_carries_no_further_override():
    with pytest.raises(storage.RunError, match="'eortc' cannot carry further overrides"):
        storage.open_run("04", namespace("04", landmark="fixed", scenario="eortc"))


def test_another_plan_never_writes_over_the_studys_own_tables(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("study: virtual\nprimary: {cut_percent: 40}\n")
    with pytest.raises(storage.RunError, match="give it a derived_dir"):
        storage.open_run("04", namespace("04", plan_file=str(path)))
    opened = storage.open_run("04", namespace("04", plan_file=str(path), derived_dir=str(tmp_path / "out")))
    assert opened.plan.primary.cut_percent == 40.0 and opened.derived_dir == tmp_path / "out"


def test_a_plan_file_names_its_study(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("study: elsewhere\n")
    opened = storage.open_run("04", namespace("04", plan_file=str(path), derived_dir=str(tmp_path)))
    assert opened.study == "elsewhere"


def test_other_simulated_raw_data_never_write_over_the_studys_own_tables(tmp_path):
    with pytest.raises(storage.RunError, match="another raw_dir is another data set"):
        storage.open_run("01", namespace("01", raw_dir=str(tmp_path)))


@pytest.mark.parametrize("upstream", ["beside", "own tree"])
def test_a_scenario_whose_meaning_changed_reads_none_of_its_old_tables(tmp_path, monkeypatch, upstream):
    import pandas as pd

    # Whether the study's primary analysis has run decides where a folder of one's own reads from: try both.
    shutil.copytree(storage.project_root() / "config", tmp_path / "config")
    (tmp_path / "pyproject.toml").touch()
    if upstream == "beside":
        (tmp_path / "data/derived/virtual/primary").mkdir(parents=True)
    monkeypatch.setattr(storage, "project_root", lambda: tmp_path)
    row = dict(STEP="03", USUBJID="A-1", AVISIT="D14", ITEM="scan", CODE="OLD", REASON="made before")
    old = storage.open_run("03", namespace("03", cut_percent=15, derived_dir="own"))
    old.write("exclusions_03", pd.DataFrame([row]))
    new = storage.open_run("03", namespace("03", cut_percent=30, derived_dir="own"))
    assert (old.upstream_dir == old.derived_dir) == (upstream == "own tree")
    assert set(old.read("exclusions_03")["CODE"]) == {"OLD"}
    assert not new.has("exclusions_03")
    new.write("queries_03", storage.contracts.empty("queries_03"))
    assert not (tmp_path / "own/exclusions_03.parquet").exists()


def test_a_sensitivity_analysis_in_a_tree_of_its_own_reads_what_was_derived_there_without_it(tmp_path):
    import pandas as pd

    (tmp_path / "plan.yaml").write_text("study: elsewhere\n")
    where = dict(plan_file=str(tmp_path / "plan.yaml"), derived_dir=str(tmp_path / "out"))
    row = dict(STEP="03", USUBJID="A-1", AVISIT="D14", ITEM="scan", CODE="FIRST", REASON="made before")
    storage.open_run("03", namespace("03", **where)).write("exclusions_03", pd.DataFrame([row]))
    asked = storage.open_run("04", namespace("04", cut_percent=15, **where))
    assert set(asked.read("exclusions_03")["CODE"]) == {"FIRST"}


@pytest.mark.parametrize("step", STEPS)
def test_every_scientific_parameter_is_a_value_of_the_plan(step):
    from analysis import plan

    for key in STEPS[step].parameters.values():
        assert key in plan.defaults().values


def test_a_sensitivity_analysis_never_writes_to_the_primary_folder():
    with pytest.raises(storage.RunError, match="never writes where the primary analysis is"):
        storage.open_run("04", namespace("04", cut_percent=15, derived_dir="data/derived/virtual/primary"))


def test_an_unknown_study_lists_the_known_ones():
    with pytest.raises(storage.RunError, match=r"known studies: .*virtual"):
        storage.open_run("01", namespace("01", study="nowhere"))


def test_an_unknown_scenario_lists_the_known_ones():
    with pytest.raises(storage.RunError, match=r"the plan names .*cut15"):
        storage.open_run("04", namespace("04", scenario="cut99"))


def test_missing_raw_data_say_where_they_belong(tmp_path):
    with pytest.raises(storage.RunError, match="no raw data for study 'virtual'"):
        storage.open_run("01", namespace("01", raw_dir=str(tmp_path / "nothing"), derived_dir=str(tmp_path)))


def test_a_real_study_is_never_simulated():
    with pytest.raises(storage.RunError, match="real: its raw data are given"):
        storage.open_run("00", namespace("00", study="sarcoma"))


def test_a_step_reads_and_writes_only_what_it_declares(tmp_path):
    opened = storage.open_run("03", namespace("03", derived_dir=str(tmp_path)))
    with pytest.raises(storage.RunError, match="has not declared that it reads 'adbm'"):
        opened.read("adbm")
    with pytest.raises(storage.RunError, match="is written by notebook 04_survival_association"):
        opened.write("estimates", None)
    with pytest.raises(storage.RunError, match=r"no table 'admr' yet.*run notebook 02_pet_quantification"):
        opened.read("admr")


def test_a_table_written_is_the_table_read(tmp_path):
    import pandas as pd

    row = dict(STEP="03", USUBJID="A-1", AVISIT="D14", ITEM="scan", CODE="NO_SCAN", REASON="no scan")
    opened = storage.open_run("03", namespace("03", derived_dir=str(tmp_path)))
    opened.write("exclusions_03", pd.DataFrame([row]))
    assert opened.read("exclusions_03").to_dict("records") == [row]
    assert (tmp_path / "exclusions_03.csv").read_text().splitlines()[
        0
    ] == "STEP,USUBJID,AVISIT,ITEM,CODE,REASON"


def test_what_is_shown_has_keys_for_subjects_and_no_dates(tmp_path):
    import pandas as pd

    opened = storage.open_run("03", namespace("03", derived_dir=str(tmp_path)))
    frame = pd.DataFrame(
        {"USUBJID": ["PEARL-01-001"], "ADT": [pd.Timestamp("2020-01-01")], "AVAL": [1.23456]}
    )
    shown = opened.show(frame)
    assert list(shown.columns) == ["SUBJECT", "AVAL"] and shown["AVAL"][0] == 1.235
    assert "PEARL" not in shown.to_string()


@pytest.fixture
def simulated_by_mistake(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "config").mkdir()
    (tmp_path / "config/mine.yaml").write_text("study: mine\n")
    theirs = tmp_path / "data/raw/mine/dicom/slice.dcm"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"a patient")
    monkeypatch.chdir(tmp_path)
    return theirs


def test_a_real_study_whose_plan_does_not_say_so_is_never_overwritten(simulated_by_mistake):
    from analysis import dag, plan, virtual_trial

    with pytest.raises(storage.RunError, match="kind: real"):
        dag.Graph("mine")
    with pytest.raises(plan.PlanError, match="kind: real"):
        dag.Graph("mine", data="elsewhere")
    with pytest.raises(storage.RunError, match="left untouched"):
        storage.resolve("00", study="mine")
    with pytest.raises(FileExistsError, match="left untouched"):
        virtual_trial.write_trial(plan.defaults(), simulated_by_mistake.parents[1])
    assert simulated_by_mistake.read_bytes() == b"a patient"
    assert [path.name for path in simulated_by_mistake.parents[1].rglob("*")] == ["dicom", "slice.dcm"]


def test_empty_folders_made_before_a_simulation_do_not_stop_it(simulated_by_mistake):
    simulated_by_mistake.unlink()
    storage.check_simulated_folder("mine", simulated_by_mistake.parents[1])
    storage.check_simulated_folder("mine", simulated_by_mistake.parents[1] / "not there")
