"""The benchmark: its lists fit together, its verdicts are right, and no peer is imported by the package."""

import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks" / "pet"
PEERS = {"mirp", "zrad", "cerr", "radiomics", "rt_utils", "cc3d", "cv2", "dcm2niix"}


@pytest.fixture
def load(monkeypatch):
    """Import a script of the benchmark by its file name, and forget it afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (FOLDER / f"{name}.py").exists():
            del sys.modules[name]


def measured(x_floor: float, **more: float) -> dict:
    return {"ms": 10 * x_floor, "floor_ms": 10.0, "x_floor": x_floor, "repeats": 3, **more}


def test_every_contender_is_run_and_every_one_reported_is_known(load):
    run, report = load("run"), load("report")
    assert list(load("ours").CONTENDERS) == run.OURS
    assert set(load("peers").CONTENDERS) == {*run.PEERS, *run.SLOW}
    for ours, peers in report._JOBS.values():
        assert set(ours) <= set(run.OURS)
        assert set(peers) <= {*run.PEERS, *run.SLOW}
    assert set(report._STAGES.values()) <= set(run.OURS)


def test_a_target_is_met_at_its_boundary_and_missed_beyond_it(load):
    report = load("report")
    result = {
        "ours": {"whole scan": measured(4.0, peak_mb=320.1), "full-frame SEG": measured(2.0)},
        "peers": {"highdicom full SEG": measured(7.0), "pyCERR run": measured(67.9)},
        "fan_out": {"scaling": 1.6, "scaling_here": 1.32, "scans_per_cpu_s": 7.9},
    }
    lines = {line.split(" | ")[0][2:]: line for line in report._targets(result).splitlines()[3:]}
    verdict = {what: line.rstrip(" |").rpartition(" | ")[2] for what, line in lines.items()}
    assert verdict["whole scan"] == "PASS"
    assert verdict["peak memory of the whole scan"] == "MISS"
    assert verdict["times faster than pyCERR"] == "MISS"  # 67.9 / 4 = 16.98, target 17
    assert verdict["full-frame SEG, times faster than highdicom"] == "PASS"  # 3.5
    assert verdict["scaling, 2 workers against 1 worker process"] == "PASS"
    assert verdict["scaling, 2 workers against workers=1 (in process)"] == "MISS"
    assert verdict["scans a second of CPU, warm"] == "MISS"
    assert verdict["times faster than MIRP cropped"] == "NOT MEASURED"


def test_the_lock_of_the_peers_carries_hashes_and_names_no_address():
    text = (ROOT / "benchmarks" / "requirements-peers.lock").read_text()
    entries = re.split(r"\n(?=[a-z0-9][\w.-]*==)", text)[1:]
    assert len(entries) > 50
    assert [entry.split("==")[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"https?://|file:|--index-url|--find-links|(^|\s)/\w+/", text)


def test_the_package_imports_no_peer():
    imported = re.compile(rf"^\s*(?:import|from)\s+({'|'.join(sorted(PEERS))})\b", flags=re.M)
    found = {path.name for path in (ROOT / "src").rglob("*.py") if imported.search(path.read_text())}
    assert found == set()
