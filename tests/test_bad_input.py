"""Bad input, each kind once: the message says what, in whom and what to do, and nothing else is lost.

One small simulated trial is written once; each test spoils a copy of the part it needs.
"""

import copy
import os
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import papermill
import pydicom
import pytest

from analysis import biomarkers, clinical, contracts, plan, run, storage, virtual_trial
from analysis.pet import load_pet, load_rois, measure, response
from analysis.pet.study import measure_study

ROOT = Path(__file__).resolve().parents[1]
PLAN = plan.load("tiny", ROOT / "config" / "tiny.yaml").override(
    {"virtual.n_patients": 4, "design.pilot_n": 4}
)
SARCOMA = plan.load("sarcoma", ROOT / "config" / "sarcoma.yaml")
SUBJECT, FOLDER = "PEARL-01-003", "003"  # two scans: D0 and D28

pytestmark = pytest.mark.xdist_group("bad_input")


def quiet(what, done, total):
    """Progress that nobody watches."""


@pytest.fixture(scope="session")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial") / "raw"
    virtual_trial.write_trial(PLAN, folder)
    return folder


@pytest.fixture(scope="session")
def treated(trial):
    domains = clinical.read_sdtm(trial / "sdtm", clinical.domains_needed(PLAN.clinical))
    adsl = clinical.derive_adsl(domains, PLAN)
    return adsl[adsl["SAFFL"].eq("Y")]


@pytest.fixture
def raw(trial, tmp_path):
    """The scans of one patient and all tables, to spoil."""
    for name in ("sdtm", "biomarkers", f"dicom/{FOLDER}"):
        shutil.copytree(trial / name, tmp_path / "raw" / name)
    return tmp_path / "raw"


def pet_of(raw: Path, visit: str = "D28") -> Path:
    return raw / "dicom" / FOLDER / visit / "pet"


def first_file(folder: Path) -> Path:
    return sorted(folder.iterdir())[0]


def edit_headers(folder: Path, change) -> None:
    for file in sorted(folder.iterdir()):
        ds = pydicom.dcmread(file)
        change(ds)
        ds.save_as(file)


def measured(raw: Path, treated: pd.DataFrame):
    """Measure, check every contract and that the counts add up; return the study."""
    study = measure_study(raw, treated, PLAN, report=quiet)
    for name in ("adpet", "scan_qc", "mips"):
        contracts.check(name, getattr(study, name))
    for name in ("exclusions", "queries"):
        contracts.check(f"{name}_02", getattr(study, name))
    refused = study.scan_qc[study.scan_qc["STATUS"].eq("REFUSED")]
    ledger = study.exclusions[study.exclusions["ITEM"].eq("scan")]
    assert sorted(refused["CODE"]) == sorted(ledger["CODE"])
    assert len(study.scan_qc) == study.scan_qc["STATUS"].isin(["OK", "REFUSED"]).sum()
    assert len(study.mips) == 2 * (len(study.scan_qc) - len(refused))  # two views
    named = set(study.scan_qc["USUBJID"].dropna()) | set(
        study.exclusions.loc[study.exclusions["CODE"].eq("NO_PET_SCAN"), "USUBJID"]
    )
    assert named == set(treated["USUBJID"])
    for text in [*study.exclusions["REASON"], *study.queries["MESSAGE"]]:
        assert_clean(text, raw)
    return study


def assert_clean(text: str, raw: Path) -> None:
    """Assert that a message holds no absolute path, no calendar date and no name from a header."""
    assert str(raw) not in text and not re.search(r"(^|[ '\"])/\w", text), text
    assert not re.search(r"\b(19|20)\d\d-?[01]\d-?[0-3]\d\b", text), text
    assert "Smith" not in text, text


def refusal(study) -> tuple[str, str, str]:
    """Return subject, code and reason of the one refused scan; the other scan of the patient was measured."""
    status = study.scan_qc.set_index("AVISIT")["STATUS"].to_dict()
    assert status["D0"] == "OK" and set(study.adpet["AVISIT"]) == {"D0"}
    (row,) = study.exclusions[study.exclusions["ITEM"].eq("scan")].itertuples()
    return row.USUBJID, row.CODE, row.REASON


# ---- scans


def test_the_unspoilt_patient_has_two_scans_measured_and_none_refused(raw, treated):
    study = measured(raw, treated)
    assert study.scan_qc["STATUS"].tolist() == ["OK", "OK"]
    assert set(study.exclusions["CODE"]) == {"NO_PET_SCAN", "NOT_QUANTITATIVE_SERIES"}


@pytest.mark.parametrize("keep", [0, 200, -500])
def test_a_truncated_slice_refuses_its_scan_by_file_and_the_other_scan_goes_on(raw, treated, keep):
    file = first_file(pet_of(raw))
    file.write_bytes(file.read_bytes()[:keep])
    subject, code, reason = refusal(measured(raw, treated))
    assert (subject, code) == (SUBJECT, "TRUNCATED_FILE")
    assert "send it again" in reason and ("file 1 of " in reason or f"first {file.name!r}" in reason)


def test_a_link_to_nowhere_refuses_its_scan_and_not_the_study(raw, treated):
    (pet_of(raw) / "9999.dcm").symlink_to(raw / "annex" / "object")
    study = measured(raw, treated)
    assert refusal(study)[:2] == (SUBJECT, "TRUNCATED_FILE")
    assert "UNREADABLE_FILE" in set(study.exclusions["CODE"])


def test_a_text_named_dcm_among_slices_refuses_the_scan_and_elsewhere_only_itself(raw, treated):
    (raw / "dicom" / "notes.dcm").write_text("call Mrs Smith")
    study = measured(raw, treated)
    assert study.scan_qc["STATUS"].tolist() == ["OK", "OK"]
    (reason,) = study.exclusions.loc[study.exclusions["CODE"].eq("UNREADABLE_FILE"), "REASON"]
    assert "notes.dcm" in reason and "take it away if it is no image" in reason
    (raw / "dicom" / "notes.dcm").rename(pet_of(raw) / "notes.dcm")
    _, code, reason = refusal(measured(raw, treated))
    assert code == "TRUNCATED_FILE" and "take it away if it is no image" in reason


@pytest.mark.parametrize("weight", [None, "0"])
def test_a_scan_without_weight_is_refused_with_the_tag_and_what_to_ask_for(raw, treated, weight):
    edit_headers(pet_of(raw), lambda ds: setattr(ds, "PatientWeight", weight))
    subject, code, reason = refusal(measured(raw, treated))
    assert (subject, code) == (SUBJECT, "WEIGHT_MISSING")
    assert "(0010,1030)" in reason and "ask the site" in reason


def test_the_roi_file_of_another_patient_is_set_aside_and_the_own_one_asked_for(raw, trial, treated):
    foreign = trial / "dicom" / "001" / "D28"
    target = raw / "dicom" / FOLDER / "D28" / "roi"
    shutil.rmtree(target)
    shutil.copytree(foreign / "roi", target)
    study = measured(raw, treated)
    (aside,) = study.exclusions[study.exclusions["CODE"].eq("ROI_OF_ANOTHER_PATIENT")].itertuples()
    assert (aside.USUBJID, aside.AVISIT) == (SUBJECT, "D28")
    assert "send the ROI file of this scan" in aside.REASON
    (query,) = study.queries[study.queries["SEVERITY"].eq("error")].itertuples()
    assert (query.CODE, query.USUBJID, query.RECORD) == ("SCAN_WITHOUT_ROI", SUBJECT, "D28")
    assert set(study.adpet["AVISIT"]) == {"D0"}


def test_a_scan_of_a_stranger_is_refused_without_saying_who_it_was(raw, treated):
    edit_headers(pet_of(raw), lambda ds: setattr(ds, "PatientID", "Smith^Mary 1950-01-02"))
    subject, code, reason = refusal(measured(raw, treated))
    assert pd.isna(subject) and code == "SUBJECT_NOT_IN_ADSL"
    assert "correct the header or add the subject" in reason


@pytest.mark.parametrize("together", [False, True])
def test_two_series_of_one_visit_are_both_refused_and_both_listed(raw, treated, together):
    def renew(ds):
        ds.SeriesInstanceUID = "1.2.3.4"
        ds.SOPInstanceUID += ".9"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID

    again = pet_of(raw).with_name("again")
    shutil.copytree(pet_of(raw), again)
    edit_headers(again, renew)
    if together:
        for file in sorted(again.iterdir()):
            file.rename(pet_of(raw) / f"b{file.name}")
    study = measured(raw, treated)
    aside = study.exclusions[study.exclusions["CODE"].eq("MULTIPLE_SERIES_FOR_VISIT")]
    assert len(study.scan_qc) == 3 and len(aside) == 2
    assert set(aside["USUBJID"]) == {SUBJECT} and aside["REASON"].str.contains("keep the one").all()
    assert set(study.adpet["AVISIT"]) == {"D0"}


def test_an_empty_dicom_folder_and_none_at_all_stop_with_what_was_found(raw, treated):
    shutil.rmtree(raw / "dicom" / FOLDER)
    with pytest.raises(FileNotFoundError, match=r"NO_PET_SERIES: .*'dicom', found no files; put the DICOM"):
        measure_study(raw, treated, PLAN, report=quiet)
    (raw / "dicom" / "a.dcm").write_text("nothing")
    (raw / "dicom" / "list.csv").write_text("nothing")
    with pytest.raises(FileNotFoundError, match="found 1 UNREADABLE_FILE, 1 files of other kinds"):
        measure_study(raw, treated, PLAN, report=quiet)
    shutil.rmtree(raw / "dicom")
    with pytest.raises(
        FileNotFoundError, match="NO_DATA_FOLDER: no folder 'dicom'; put the DICOM files there"
    ):
        measure_study(raw, treated, PLAN, report=quiet)


def test_where_every_scan_is_refused_the_tables_say_so_and_everyone_is_not_evaluable(raw, treated):
    for visit in ("D0", "D28"):
        edit_headers(pet_of(raw, visit), lambda ds: setattr(ds, "PatientWeight", None))
    study = measured(raw, treated)
    assert study.adpet.empty and study.exclusions["CODE"].eq("WEIGHT_MISSING").sum() == 2
    admr = response.classify_grid(study.adpet, PLAN, subjects=treated, scans=study.scan_qc)
    contracts.check("admr", admr)
    assert set(admr["MRESP"]) == {"NE"} and set(admr["USUBJID"]) == set(treated["USUBJID"])


def test_a_roi_map_without_its_columns_is_refused(raw, treated):
    broken = pd.DataFrame({"USUBJID": [SUBJECT], "NAME": ["L1"]})
    with pytest.raises(ValueError, match=r"roi_map.csv has no column ROINAME, ROLE; it needs USUBJID"):
        measure_study(raw, treated, PLAN, roi_map=broken, report=quiet)


# ---- clinical tables


def spoil(raw: Path, name: str, change) -> None:
    file = raw / "sdtm" / name
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    change(frame).to_csv(file, index=False)


def read_clinical(raw: Path):
    return clinical.read_sdtm(raw / "sdtm", clinical.domains_needed(PLAN.clinical))


def test_no_clinical_folder_is_named(raw):
    shutil.rmtree(raw / "sdtm")
    with pytest.raises(clinical.SdtmError, match="NO_FOLDER SDTM: no folder 'sdtm' in the raw folder"):
        read_clinical(raw)


def test_everything_wrong_with_the_clinical_tables_is_listed_at_once(raw):
    spoil(raw, "ex.csv", lambda frame: frame.drop(columns="EXSTDTC"))
    spoil(raw, "dm.csv", lambda frame: pd.concat([frame, frame.head(1)]))
    (raw / "sdtm" / "rs.csv").write_text("")
    (raw / "sdtm" / "ss.csv").unlink()
    with pytest.raises(clinical.SdtmError) as error:
        read_clinical(raw)
    listed = {(problem.code, problem.domain): problem.message for problem in error.value.problems}
    assert "ex.csv lacks it; needed by first dose (time zero)" in listed["NO_COLUMN", "EX"]
    assert "PEARL-02-001; keep one" in listed["DUPLICATE_KEY", "DM"]
    assert "rs.csv is empty" in listed["UNREADABLE", "RS"]
    assert len(listed) >= 3
    for message in listed.values():
        assert_clean(message, raw)


@pytest.mark.parametrize("more", ["", ",1,2"])
def test_a_line_of_another_length_than_the_header_is_refused_by_its_number(raw, more):
    file = raw / "sdtm" / "ds.csv"
    lines = file.read_text().split("\n")
    lines[3] = lines[3] + more if more else lines[3].rsplit(",", 2)[0]
    file.write_text("\n".join(lines))
    with pytest.raises(clinical.SdtmError, match=r"UNREADABLE DS: ds.csv has 1 line.*first \[4\]; mend them"):
        read_clinical(raw)


def test_a_column_that_stands_twice_and_a_table_without_subjects_are_refused(raw):
    file = raw / "sdtm" / "ex.csv"
    file.write_text(file.read_text().replace("EXSEQ", "exstdtc", 1))
    spoil(raw, "dm.csv", lambda frame: frame.head(0))
    with pytest.raises(clinical.SdtmError) as error:
        read_clinical(raw)
    assert {problem.code for problem in error.value.problems} == {"COLUMN_TWICE", "NO_ROWS"}


def test_records_of_a_subject_who_is_not_in_dm_go_to_the_ledger_and_the_others_on(raw):
    before = clinical.derive_all(read_clinical(raw), PLAN)
    spoil(raw, "ds.csv", lambda frame: pd.concat([frame, frame.head(1).assign(USUBJID="PEARL-09-999")]))
    after = clinical.derive_all(read_clinical(raw), PLAN)
    (row,) = after.exclusions[after.exclusions["CODE"].eq("SUBJECT_NOT_IN_DM")].itertuples()
    assert (row.USUBJID, row.ITEM) == ("PEARL-09-999", "record")
    pd.testing.assert_frame_equal(before.adtte, after.adtte)


MAPPED = """patient_id,age_years,sex,days_diagnosis_to_mri,days_mri_to_pet,outcome,days_diagnosis_to_outcome,status,days_diagnosis_to_last_follow_up
A,60,Male,-7,4,,,NED,900
B,50,Female,3,4,Mets,200,D,700
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"no file 'clinical.csv' in the raw folder; put it there"),
        ("", r"clinical.csv is empty"),
        (MAPPED.split("\n")[0], r"clinical.csv has no rows"),
        (MAPPED.replace("status", "vital"), r"no column 'status', which clinical.table names; add or map it"),
        (MAPPED + "A,61,Male,1,1,,,NED,9\n", r"1 subject\(s\) have two rows, first: A; keep one"),
        (MAPPED + "C,61,Male,1\n", r"1 line\(s\) that do not have the 9 fields of the header, first \[4\]"),
        (MAPPED.replace("outcome,", "status,", 1), r"no column 'outcome'"),
    ],
)
def test_a_mapped_table_that_does_not_fit_its_mapping_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "clinical.csv").write_text(text)
    with pytest.raises(clinical.TableError, match=message):
        clinical.read_mapped_table(tmp_path, SARCOMA)


def test_a_day_that_is_no_number_sets_its_subject_aside_with_a_query(tmp_path):
    (tmp_path / "clinical.csv").write_text(MAPPED + "C,61,Male,soon,1,,,NED,9\n")
    table = clinical.read_mapped_table(tmp_path, SARCOMA)
    assert set(table.adtte["USUBJID"]) == {"A", "B"} and len(table.adsl) == 3
    assert set(table.exclusions["USUBJID"]) == {"C"} == set(table.queries["USUBJID"])
    assert set(table.exclusions["CODE"]) == {"TIME_ZERO_MISSING"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("time_zero", "days_mri_to_pet", "time_zero must be a list of columns"),
        ("sex", "sex", "sex must be"),
        ("endpoints", {"OS": 1}, "endpoints must be a list"),
        (
            "endpoints",
            [{"paramcd": "OS", "param": "OS", "censor_day": "x", "events": []}],
            "events must be a list",
        ),
        ("subjekt", "id", "unknown name 'subjekt'"),
    ],
)
def test_a_mapping_of_another_shape_is_refused_by_name(tmp_path, name, value, message):
    (tmp_path / "clinical.csv").write_text(MAPPED)
    mapping = {**copy.deepcopy(SARCOMA.clinical.table), name: value}
    with pytest.raises(clinical.TableError, match=message):
        clinical.read_mapped_table(tmp_path, SARCOMA.override({"clinical.table": mapping}))


# ---- biomarkers


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("plasma.csv", lambda line: line[:20], r"ROW_LENGTH: plasma.csv, line 4: .* mend the line"),
        ("data_mutations.txt", lambda line: line[:20], r"ROW_LENGTH: data_mutations.txt, line 4: "),
        (
            "plasma.csv",
            lambda line: re.sub(r"-\d\d-", "-13-", line),
            "DATE_MALFORMED: plasma.csv, line 4, column",
        ),
    ],
)
def test_a_broken_line_of_a_biomarker_file_is_named_by_file_and_line(raw, name, change, message):
    folder = raw / "biomarkers"
    lines = (folder / name).read_text().split("\n")
    lines[3] = change(lines[3])
    (folder / name).write_text("\n".join(lines))
    with pytest.raises(ValueError, match=message) as error:
        biomarkers.read_cbioportal(folder)
        biomarkers.read_plasma(folder / "plasma.csv", rules=PLAN.biomarkers)
    assert_clean(str(error.value), raw)


# ---- plan, parameters, tables on disk


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("primary: {cut_percnt: 15}", "no value 'primary.cut_percnt'; did you mean 'primary.cut_percent'"),
        ("primry: {cut_percent: 15}", "unknown section 'primry'; did you mean 'primary'"),
        ("primary: {cut_percent: low}", r"primary.cut_percent must be float, found 'low' \(str\)"),
        ("primary: {cut_percent: .nan}", "primary.cut_percent must be a finite number, found nan"),
        ("primary: {cut_percent: 15, cut_percent: 25}", "'cut_percent' stands twice; keep one"),
        ("scenarios: {list: {cut: {primary.cut_percnt: 15}}}", "no value 'primary.cut_percnt'"),
        ("scenarios: {list: {cut: 15}}", "scenario 'cut' must hold"),
        ("3: {cut_percent: 15}", "unknown section 3"),
    ],
)
def test_a_plan_with_an_unknown_name_or_a_wrong_value_is_refused(tmp_path, text, message):
    file = tmp_path / "plan.yaml"
    file.write_text(f"study: tiny\n{text}\n")
    with pytest.raises(plan.PlanError, match=message):
        storage.resolve("04", study="tiny", plan_file=str(file), derived_dir=str(tmp_path / "d"))


NOTEBOOK_04 = ROOT / "notebooks" / "04_survival_association.ipynb"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cut_percnt: 15", "unknown parameter 'cut_percnt'; did you mean 'cut_percent'"),
        ("cut_percent: low", "cut_percent must be float or None, found 'low'"),
        ("cut_percent: [", "parameters.yaml is no valid YAML at line"),
        ("- cut_percent", "parameters.yaml must hold lines 'name: value'"),
    ],
)
def test_the_typed_runner_refuses_a_wrong_parameters_file_before_it_runs(tmp_path, capsys, text, message):
    file, out = tmp_path / "parameters.yaml", tmp_path / "out.ipynb"
    file.write_text(text)
    assert run.main([str(NOTEBOOK_04), str(out), "-f", str(file), "-q"]) == 2
    assert message in capsys.readouterr().err and not out.exists()


def test_the_typed_runner_refuses_a_misspelt_parameter_and_a_file_that_is_no_notebook(tmp_path, capsys):
    out = tmp_path / "out.ipynb"
    assert run.main([str(NOTEBOOK_04), str(out), "-p", "cut_percnt", "15", "-q"]) == 2
    assert "did you mean 'cut_percent'" in capsys.readouterr().err
    (tmp_path / "bad.ipynb").write_text("{")
    assert run.main([str(tmp_path / "bad.ipynb"), str(out), "-q"]) == 2
    assert "bad.ipynb is no notebook" in capsys.readouterr().err and not out.exists()


def test_papermill_alone_stops_at_a_misspelt_parameter_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(papermill.PapermillExecutionError, match=r"has no parameter \['cut_percnt'\]; it has"):
        papermill.execute_notebook(
            str(NOTEBOOK_04), str(tmp_path / "out.ipynb"), parameters={"cut_percnt": 15}, progress_bar=False
        )


@pytest.fixture
def opened(tmp_path):
    derived = tmp_path / "derived"
    derived.mkdir()
    return storage.resolve(
        "04", study="tiny", derived_dir=str(derived), reports_dir=str(tmp_path / "reports")
    )


def test_a_missing_table_names_the_notebook_that_writes_it(opened):
    with pytest.raises(
        storage.RunError, match=r"no table 'admr' yet .*run notebook 02_pet_quantification first"
    ):
        opened.read("admr")


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing"])
def test_a_corrupt_table_names_the_notebook_to_rerun(opened, content):
    (opened.derived_dir / "admr.parquet").write_bytes(content)
    with pytest.raises(
        storage.RunError, match=r"table 'admr' cannot be read .*rerun 02_pet_quantification"
    ) as error:
        opened.read("admr")
    assert_clean(str(error.value), opened.derived_dir)


def test_a_corrupt_decision_and_a_table_of_another_shape_name_the_notebook_to_rerun(opened):
    (opened.derived_dir / "decision.json").write_text('{"timepoint": ')
    with pytest.raises(storage.RunError, match=r"table 'decision' cannot be read .*rerun 03_pilot_timepoint"):
        opened.read("decision")
    pd.DataFrame({"A": [1]}).to_parquet(opened.derived_dir / "adtte.parquet")
    with pytest.raises(storage.RunError, match=r"adtte: missing columns .*rerun 01_data_cleaning"):
        opened.read("adtte")


def test_an_empty_side_table_is_named_and_a_broken_record_of_a_scenario_too(tmp_path):
    (tmp_path / "roi_map.csv").write_text("")
    opened = storage.resolve("02", study="tiny", raw_dir=str(tmp_path), derived_dir=str(tmp_path))
    with pytest.raises(storage.RunError, match=r"roi_map.csv cannot be read .*mend it, or take it away"):
        opened.read_raw_csv("roi_map.csv")
    (tmp_path / "scenario.json").write_text("{")
    with pytest.raises(storage.RunError, match=r"scenario.json cannot be read .*run this scenario again"):
        storage.resolve("04", study="tiny", scenario="mine", derived_dir=str(tmp_path))


# ---- whole notebooks


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own, so that nothing of the real one is touched."""
    folder = tmp_path / "project"
    for name in ("config", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    monkeypatch.chdir(folder)
    return folder


def run_step(project: Path, step: str, study: str = "tiny") -> int:
    (notebook,) = (project / "notebooks").glob(f"{step}_*.ipynb")
    out = project / "reports" / study / "primary" / "notebooks" / notebook.name
    return run.main([str(notebook), str(out), "-p", "study", study, "-q"])


def test_notebook_01_without_data_says_where_they_belong_before_it_runs(project, capsys):
    assert run_step(project, "01") == 2
    assert (
        "no raw data for study 'tiny': the folder 'data/raw/tiny' does not exist. Put the files there"
        in capsys.readouterr().err
    )
    assert not (project / "data").exists() and not (project / "reports").exists()


def test_a_notebook_that_stops_says_why_and_its_copy_holds_no_folder_of_this_machine(project, raw, capsys):
    home = project / "data" / "raw" / "tiny"
    shutil.copytree(raw, home)
    shutil.rmtree(home / "sdtm")
    assert run_step(project, "01") == 1
    said, copied = capsys.readouterr().err, "reports/tiny/primary/notebooks/01_data_cleaning.ipynb"
    assert "01_data_cleaning.ipynb stopped: SdtmError" in said and "NO_FOLDER SDTM" in said and copied in said
    written = (project / copied).read_text()
    assert str(project) not in written and str(ROOT) not in written and "NO_FOLDER SDTM" in written
    assert not (project / "data/derived/tiny/primary/held_back").exists()


def spoil_two_scans(home: Path, trial: Path) -> None:
    """Take the weight out of one scan, cut a slice of another short."""
    shutil.copytree(trial / "dicom" / "001", home / "dicom" / "001")
    shutil.copy(trial / "scan_map.csv", home)  # the D14 of this patient bears the hospital's identifier
    edit_headers(pet_of(home), lambda ds: setattr(ds, "PatientWeight", None))
    file = first_file(home / "dicom" / "001" / "D14" / "pet")
    file.write_bytes(file.read_bytes()[:-500])


def accept_unreadable(project: Path, study: str) -> None:
    """Let the plan say that somebody looked at the raw files that cannot be read to the end."""
    with (project / "config" / f"{study}.yaml").open("a") as file:
        file.write('\nprivacy: {gate_unreadable: {value: accept, reason: "a slice cut short; looked at"}}\n')


def test_where_a_raw_file_cannot_be_searched_nothing_leaves_and_the_copy_is_named(
    project, raw, trial, capsys
):
    home = project / "data" / "raw" / "tiny"
    shutil.copytree(raw, home)
    spoil_two_scans(home, trial)
    assert run_step(project, "01") == 3
    said = capsys.readouterr().err
    assert "RAW_UNREADABLE: 1 raw file(s)" in said and "gate_unreadable: accept" in said
    held = "data/derived/tiny/primary/held_back/01_data_cleaning.ipynb"
    assert f"kept as {held}" in said and (project / held).is_file()
    assert not (project / "reports").exists()


def test_notebooks_01_and_02_go_on_with_bad_scans_and_say_each_in_the_ledger(project, raw, trial):
    home = project / "data" / "raw" / "tiny"
    shutil.copytree(raw, home)
    spoil_two_scans(home, trial)
    accept_unreadable(project, "tiny")
    assert run_step(project, "01") == 0 and run_step(project, "02") == 0
    derived = project / "data" / "derived" / "tiny" / "primary"
    scans = pd.read_parquet(derived / "scan_qc.parquet")
    ledger = pd.read_parquet(derived / "exclusions_02.parquet")
    assert sorted(scans["CODE"].dropna()) == ["TRUNCATED_FILE", "WEIGHT_MISSING"]
    assert sorted(ledger.loc[ledger["ITEM"].eq("scan"), "CODE"]) == ["TRUNCATED_FILE", "WEIGHT_MISSING"]
    assert len(scans) == 5 and scans["STATUS"].eq("OK").sum() == 3
    report = (project / "reports/tiny/primary/notebooks/02_pet_quantification.ipynb").read_text()
    assert "5 scans were found, 2 refused" in report and "PEARL-01" not in report
    audit = pd.read_parquet(derived / "deid_audit.parquet")
    assert audit["CODE"].eq("DEID_UNREADABLE").sum() == 1


# ---- real data


@pytest.mark.real
@pytest.mark.parametrize("name", ["DRO_0_0", "DRO_2_0", "DRO_2_4", "DRO_3_1", "DRO_4_1"])
def test_a_reference_object_reads_its_triple_through_its_nifti_mask(shared_data, name):
    pet = load_pet(shared_data / "dro" / name / "pet")
    (mask,) = load_rois(shared_data / "dro" / name / "mask", pet).values()
    inside = pet.values[mask]
    assert (inside.min(), np.median(inside), inside.max()) == pytest.approx((0.20, 1.00, 4.00), abs=0.01)
    assert measure(pet, mask)["suv_max"] == pytest.approx(4.00, abs=0.01)


@pytest.mark.real
def test_the_raw_series_of_a_sarcoma_patient_is_measured_as_a_study(shared_data, tmp_path):
    (tmp_path / "dicom").symlink_to(shared_data / "sarcoma_raw")
    adsl = pd.DataFrame({"STUDYID": "S", "USUBJID": ["STS_001", "STS_002"], "TRTSDT": pd.NaT, "SITEID": "01"})
    rules = plan.defaults().override({"pet.roi_roles": {"GTV_Mass": "lesion", "GTV_Edema": "ignore"}})
    study = measure_study(tmp_path, adsl, rules, report=quiet)
    assert study.scan_qc["STATUS"].tolist() == ["OK"] and study.scan_qc["NSLICES"].tolist() == [267]
    assert {"GTV_Mass", "TOTAL"} == set(study.adpet["LESIONID"])
    assert study.exclusions["CODE"].tolist() == ["NO_PET_SCAN"]


@pytest.mark.real
def test_twelve_sarcoma_patients_one_of_them_cut_short_go_through_01_02_04_and_06(shared_data, project):
    home = project / "data" / "raw" / "sarcoma"
    home.mkdir(parents=True)
    names = [f"STS_{number:03d}" for number in range(1, 13)]
    *whole, cut = names
    for name in whole:
        os.symlink(shared_data / "sarcoma" / name, home / name)
    shutil.copytree(shared_data / "sarcoma" / cut, home / cut)
    file = first_file(home / cut / "pet")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-500])
    table = pd.read_csv(shared_data / "sarcoma" / "clinical.csv", dtype=str)
    table[table["patient_id"].isin(names)].to_csv(home / "clinical.csv", index=False)
    accept_unreadable(project, "sarcoma")
    assert [run_step(project, step, "sarcoma") for step in ("01", "02", "04", "06")] == [0, 0, 0, 0]
    derived = project / "data" / "derived" / "sarcoma" / "primary"
    scans = pd.read_parquet(derived / "scan_qc.parquet").set_index("USUBJID")["CODE"].to_dict()
    assert scans == {**dict.fromkeys(whole), cut: "TRUNCATED_FILE"}
    kept = pd.read_parquet(derived / "analysis_set.parquet").query("ENDPOINT == 'OS'")
    ledger = pd.concat(
        [pd.read_parquet(derived / f"exclusions_{step}.parquet") for step in ("01", "02", "04")]
    )
    assert set(kept["USUBJID"]) | set(ledger["USUBJID"].dropna()) == set(names)
    assert cut not in set(kept["USUBJID"])
    report = project / "reports" / "sarcoma" / "primary" / "report.html"
    assert report.is_file() and "STS_0" not in report.read_text()
    for notebook in (project / "reports").rglob("*.ipynb"):
        assert nbformat.read(notebook, as_version=4).cells and str(project) not in notebook.read_text()
