"""What a run changed is told file by file and cell by cell, and nothing else is."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analysis import changes

TABLE = "Measure,Responder,Non-responder\nAge,61,58\nECOG 0,10,12\nMissing,1,2\nMissing,3,4\n"


@pytest.fixture
def reports(tmp_path):
    folder = tmp_path / "reports"
    for name in ("figures/km.svg", "figures/km.png", "figures/flow.svg", "tables/one.html"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("first " + name)
    (folder / "tables/one.csv").write_text(TABLE)
    (folder / "report.html").write_text("not compared")
    return folder


def kept(folder):
    changes.keep(folder, folder.parent / "store")
    return folder.parent / "store"


def test_a_run_that_changes_nothing_says_so(reports):
    store = kept(reports)
    (reports / "report.html").write_text("another page")
    assert changes.compare(reports, store) == [
        "Figures: 0 new, 0 gone, 0 changed, 2 unchanged",
        "Tables: 0 new, 0 gone, 0 changed, 1 unchanged",
    ]


def test_what_is_new_gone_and_changed_is_told_with_its_formats(reports):
    store = kept(reports)
    (reports / "figures/km.png").write_text("second")
    (reports / "figures/km.tif").write_text("added")
    (reports / "figures/flow.svg").unlink()
    (reports / "figures/mips.pdf").write_text("x")
    (reports / "figures/mips.svg").write_text("x")
    assert changes.compare(reports, store)[:4] == [
        "Figures: 1 new, 1 gone, 1 changed, 0 unchanged",
        "  gone: figures/flow (svg)",
        "  changed: figures/km (png, tif new)",
        "  new: figures/mips (svg, pdf)",
    ]


def test_a_changed_table_tells_its_cells(reports):
    store = kept(reports)
    changed = TABLE.replace("61,58", "62,58").replace("Missing,3,4", "Missing,3,5")
    (reports / "tables/one.csv").write_text(changed)
    assert changes.compare(reports, store)[1:] == [
        "Tables: 0 new, 0 gone, 1 changed, 0 unchanged",
        "  changed: tables/one (csv)",
        "    2 cells",
        '    Age, Responder: "61" -> "62"',
        '    Missing, Non-responder: "4" -> "5"',
    ]


def test_a_row_put_between_others_changes_no_cell():
    more = TABLE.replace("ECOG 0", "Bone only,3,4\nECOG 0")
    assert changes.compare_tables(TABLE, more) == ["row new: Bone only"]
    assert changes.compare_tables(more, TABLE) == ["row gone: Bone only"]


def test_a_column_that_came_or_went_is_told_by_its_name():
    narrow = "Measure,Responder\nAge,61\nECOG 0,10\nMissing,1\nMissing,3\n"
    assert changes.compare_tables(TABLE, narrow) == ["column gone: Non-responder"]
    assert changes.compare_tables(narrow, TABLE) == ["column new: Non-responder"]


def test_rows_in_another_order_are_no_changed_cells():
    assert changes.compare_tables("A,B\nx,1\ny,2\n", "A,B\ny,2\nx,1\n") == ["the same cells in another order"]


def test_of_many_changed_cells_the_first_are_told():
    before = "A,B\n" + "".join(f"r{number},0\n" for number in range(9))
    told = changes.compare_tables(before, before.replace(",0", ",1"))
    assert told[0] == "9 cells" and told[1] == 'r0, B: "0" -> "1"' and told[-1] == "and 4 more"
    assert len(told) == 7


def test_after_a_run_that_left_nothing_the_last_whole_one_is_still_compared_with(reports):
    store = kept(reports)
    shutil.rmtree(reports / "figures")
    shutil.rmtree(reports / "tables")
    changes.keep(reports, store)
    assert "Figures: 0 new, 2 gone, 0 changed, 0 unchanged" in changes.compare(reports, store)


def test_without_an_earlier_run_everything_is_new(tmp_path):
    assert changes.compare(tmp_path, tmp_path / "store") == [
        "No earlier run to compare with: every figure and table is new."
    ]


def test_the_command_keeps_and_lists_from_any_folder(reports):
    root = reports.parent
    (root / "pyproject.toml").write_text("")

    def call(what, folder, cwd):
        command = [sys.executable, "-m", "analysis.changes", what, str(folder)]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout

    assert call("keep", "reports", root) == ""
    (reports / "tables/one.html").write_text("second")
    assert "  changed: tables/one (html)\n" in call("list", Path("..") / "reports", reports)
    assert (root / ".cache/changes/reports/files.json").is_file()
