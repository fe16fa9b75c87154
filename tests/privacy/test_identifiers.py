"""Values are collected once, again when raw files change, and never assumed away; the command of the gate."""

import hashlib
import json
import shutil

import pandas as pd
import pytest

from analysis import plan, storage
from analysis.privacy import __main__ as command
from analysis.privacy import collect, identifiers


@pytest.fixture
def study(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "mine.yaml").write_text("study: mine\ndesign: {kind: real}\n")
    sdtm = tmp_path / "data" / "raw" / "mine" / "sdtm"
    sdtm.mkdir(parents=True)
    (sdtm / "dm.csv").write_text("USUBJID,BRTHDTC,AGE\nQQ-1077-04,1948-03-09,67\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(study, whole=None):
    derived = study / "data/derived/mine/primary"
    return identifiers.load_vocabulary(study / "data/raw/mine", derived, whole or plan.defaults(), study)


def test_values_are_collected_once_and_again_when_a_raw_file_changes(study, monkeypatch):
    calls = []
    real = collect.collect
    monkeypatch.setattr(collect, "collect", lambda *a, **k: calls.append(1) or real(*a, **k))
    first = load(study)
    assert first.kinds["qq-1077-04"] == "SUBJECT" and first.births == {"19480309"}
    kept = study / "data/derived/mine/primary/privacy/identifiers.parquet"
    content = kept.read_bytes()
    assert load(study).kinds == first.kinds and len(calls) == 1
    dm = study / "data/raw/mine/sdtm/dm.csv"
    dm.write_text(dm.read_text() + "QQ-1077-05,1950-01-01,65\n")
    assert "qq-1077-05" in load(study).kinds and len(calls) == 2
    dm.write_text("USUBJID,BRTHDTC,AGE\nQQ-1077-04,1948-03-09,67\n")
    load(study)
    assert kept.read_bytes() == content


def test_without_raw_files_the_kept_values_are_used_and_without_both_nothing_passes(study):
    known = load(study).kinds
    (study / "data/raw/mine").rename(study / "elsewhere")
    assert load(study).kinds == known
    (study / "data/derived/mine/primary/privacy/identifiers.parquet").unlink()
    with pytest.raises(identifiers.VocabularyMissing, match="NO_VOCABULARY"):
        load(study)
    assert load(study, plan.defaults().override({"privacy.gate_without_raw": "patterns"})).kinds == {}


def test_a_raw_file_that_cannot_be_read_closes_the_gate_until_somebody_looked(study):
    (study / "data/raw/mine/scan.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\0\x10\0UI\xff\x7f1.2")
    with pytest.raises(identifiers.VocabularyMissing, match=r"RAW_UNREADABLE: 1 raw file"):
        load(study)
    accepted = plan.defaults().override({"privacy.gate_unreadable": "accept"})
    assert "qq-1077-04" in load(study, accepted).kinds


def test_a_folder_that_names_nobody_is_refused_and_replaces_nothing_kept(study):
    known, kept = load(study).kinds, study / "data/derived/mine/primary/privacy/identifiers.parquet"
    content = kept.read_bytes()
    shutil.rmtree(study / "data/raw/mine/sdtm")
    (study / "data/raw/mine/notes.txt").write_text("nothing here\n")
    with pytest.raises(identifiers.VocabularyMissing, match="RAW_EMPTY"):
        load(study)
    patterns = plan.defaults().override({"privacy.gate_without_raw": "patterns"})
    assert load(study, patterns).kinds == known and kept.read_bytes() == content


def test_kept_values_that_were_changed_are_collected_again_or_refused(study):
    known, kept = load(study).kinds, study / "data/derived/mine/primary/privacy/identifiers.parquet"
    content = kept.read_bytes()
    pd.read_parquet(kept).iloc[:0].to_parquet(kept)
    assert load(study).kinds == known and kept.read_bytes() == content
    kept.write_bytes(content[:50])
    assert load(study).kinds == known and kept.read_bytes() == content
    kept.write_bytes(content[:50])
    shutil.rmtree(study / "data/raw/mine")
    with pytest.raises(identifiers.VocabularyMissing, match=r"NO_VOCABULARY.*damaged"):
        load(study)


def test_linked_folders_count_as_raw_files_and_a_link_to_nowhere_closes_the_gate(study):
    raw, other = study / "data/raw/mine", study / "other"
    other.mkdir()
    (other / "more.csv").write_text("USUBJID\nQQ-1077-08\n")
    (raw / "linked").symlink_to(other)
    assert "qq-1077-08" in load(study).kinds
    (other / "more.csv").write_text("USUBJID\nQQ-1077-0999\n")
    assert "qq-1077-0999" in load(study).kinds
    (raw / "gone.csv").symlink_to(study / "nowhere")
    with pytest.raises(identifiers.VocabularyMissing, match="RAW_UNREADABLE") as told:
        load(study)
    assert str(study) not in str(told.value)
    (raw / "gone.csv").unlink()
    (raw / "round").symlink_to("round")
    with pytest.raises(identifiers.VocabularyMissing, match="RAW_UNREADABLE") as told:
        load(study)
    assert str(study) not in str(told.value)


def test_the_record_goes_even_where_the_search_cannot_start(study, capsys):
    record = study / "reports/mine/primary/privacy.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    shutil.rmtree(study / "data/raw")
    assert run("gate", record.parent, "--record", record) == 2 and not record.exists()


def test_a_file_written_later_takes_the_record_away(study):
    opened = storage.resolve("06", study="mine")
    record = study / "reports/mine/primary/privacy.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    opened.save_report("a.csv", "N\n1\n")
    assert not record.exists()


def run(*arguments):
    return command.main([*map(str, arguments), "--study", "mine"])


def test_the_command_searches_folders_holds_back_and_records(study, capsys):
    reports, derived = study / "reports/mine/primary", study / "data/derived/mine/primary"
    reports.mkdir(parents=True)
    (reports / "a.csv").write_text("SUBJECT,N\nS-1a2b3c,1\n")
    record = reports / "privacy.json"
    assert run("collect", "--record", derived / "privacy/identifiers.json") == 0
    table = pd.DataFrame({"USUBJID": ["QQ-1077-04"], "ADT": pd.to_datetime(["2015-04-21"])})
    table.to_parquet(derived / "adtte.parquet")
    arguments = (
        "gate",
        reports,
        "--restricted",
        derived,
        "--hold",
        derived / "held_back",
        "--record",
        record,
    )
    assert run(*arguments) == 0
    content = record.read_bytes()
    told = json.loads(content)
    assert (told["findings"], told["files"], told["searched"]["SUBJECT"]) == (0, {"csv": 1}, 1)
    assert told["sha256"] == [{"a.csv": hashlib.sha256(b"SUBJECT,N\nS-1a2b3c,1\n").hexdigest()}]
    assert run(*arguments) == 0 and record.read_bytes() == content
    (reports / "b.csv").write_text("N\nQQ-1077-04\n")
    capsys.readouterr()
    assert run(*arguments) == 1
    said = capsys.readouterr().err
    assert "b.csv" in said and "SUBJECT" in said and "1077" not in said
    assert not record.exists() and not (reports / "b.csv").exists()
    assert (derived / "held_back" / "b.csv").is_file() and (reports / "a.csv").is_file()
    assert run(*arguments) == 1  # what was taken away was not made again
    assert "not made again" in capsys.readouterr().err and not record.exists()
    (reports / "b.csv").write_text("N\n1\n")
    assert run(*arguments) == 0
    (reports / "b.csv").unlink()
    (derived / "held_back" / "b.csv").unlink()
    assert run(*arguments) == 0 and record.read_bytes() == content


def test_the_command_refuses_what_it_cannot_search(study, capsys):
    assert run("gate", study / "nowhere") == 2
    assert "do not exist" in capsys.readouterr().err
    assert run("gate") == 2
    assert command.main(["gate", "x", "--study", "unknown"]) == 2
    assert "known studies" in capsys.readouterr().err
