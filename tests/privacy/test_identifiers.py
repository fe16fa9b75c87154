"""Values are collected once, again when raw files change, and never assumed away; the command of the gate."""

import json

import pandas as pd
import pytest

from analysis import plan
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
    assert run(*arguments) == 0 and record.read_bytes() == content
    (reports / "b.csv").write_text("N\nQQ-1077-04\n")
    capsys.readouterr()
    assert run(*arguments) == 1
    said = capsys.readouterr().err
    assert "b.csv" in said and "SUBJECT" in said and "1077" not in said
    assert not record.exists() and not (reports / "b.csv").exists()
    assert (derived / "held_back" / "b.csv").is_file() and (reports / "a.csv").is_file()
    assert run(*arguments) == 0 and record.read_bytes() == content


def test_the_command_refuses_what_it_cannot_search(study, capsys):
    assert run("gate", study / "nowhere") == 2
    assert "do not exist" in capsys.readouterr().err
    assert run("gate") == 2
    assert command.main(["gate", "x", "--study", "unknown"]) == 2
    assert "known studies" in capsys.readouterr().err
