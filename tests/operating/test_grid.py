"""The grid: its cells and seeds, pieces that are kept and found again, and the table it makes."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis import plan as plans
from analysis.fanout import Failure, fan_out
from analysis.operating import chunk as chunks
from analysis.operating import grid
from analysis.operating.cells import list_cells, list_chunks
from analysis.operating.summarise import summarise_cell
from analysis.operating.truth import count_patients, pool_truth
from analysis.plan import PlanError
from analysis.storage import Pieces, code_digest
from analysis.survival import cox

NULL, PLANTED = ["no effect", "as planned"], ["as planted", "as planned"]


@pytest.fixture(scope="module")
def plan():
    small = {"operating.cells": [NULL, PLANTED], "operating.trials": 8, "operating.chunk": 4}
    few = {"operating.permutations": 50, "pilot.behaviour_bootstrap": 10}
    return plans.defaults().override({**small, **few})


@pytest.fixture(scope="module")
def table(plan):
    return grid.run_grid(plan)


@pytest.fixture
def pieces(tmp_path):
    return Pieces(tmp_path / "pieces")


KNOWN = {}


def run_once(chunk):
    """Run a chunk, or return what it gave before: its result depends on nothing but itself."""
    key = str(chunk.key)
    if key not in KNOWN:
        KNOWN[key] = chunks.run_chunk(chunk)
    return KNOWN[key]


@pytest.fixture
def counted(monkeypatch):
    """Count the chunks that are run."""
    seen = []

    def run(chunk):
        seen.append(chunk.entropy)
        return run_once(chunk)

    monkeypatch.setattr(grid, "run_chunk", run)
    return seen


def same(first, second):
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_one_and_two_workers_give_the_same_table(plan, table):
    same(grid.run_grid(plan, workers=2), table)


def test_the_table_keeps_its_contract_and_has_every_quantity(table):
    same(contracts.check("operating_characteristics", table), table)
    by = table.groupby("QUANTITY")["METHOD"].agg(set)
    assert by["rejection"] == {
        *("fixed_earlier", "fixed_later", "chosen", "two_stage", "extension_only", "chosen_asymptotic"),
        *("cox_ml", "cox_firth", "optimal_cut", "optimal_cut_corrected", "start_of_treatment"),
        "missing_as_nonresponse",
    }
    assert by["coverage"] == by["not_finite"] == {"cox_ml", "cox_firth"}
    assert {"chosen", "cox_firth", "no_landmark", "optimal_cut", "fixed_later"} <= by["bias"]
    assert by["truth"] == by["patients"] == {"D14", "D28"}
    assert by["events"] == {"D14", "D28", "decision"} and by["fallback"] == {"PLAN"}
    rules = {
        "margin",
        "max_concordance",
        "max_partial_likelihood",
        "bootstrap_support",
        "agreement_first",
        "PLAN",
    }
    assert by["inflation"] == by["inflation_up"] == by["inflation_down"] == rules
    assert by["typical"] == {"fixed_earlier", "chosen", "optimal_cut"}
    enrolled = table[table["QUANTITY"].eq("enrolled")]
    assert enrolled["TRUTH"].tolist() == ["no effect", "as planted"] and (enrolled["ESTIMATE"] == 48).all()
    assert by["later_day"] == rules | {f"{rule}_mature" for rule in rules}
    assert set(table.loc[table["ENDPOINT"].eq("OS"), "QUANTITY"]) >= {
        "rejection",
        "coverage",
        "bias",
        "truth",
    }
    assert (table["TRIALS"] <= 8).all()


def test_only_where_nothing_is_planted_a_level_is_promised_and_no_day_is_better(plan, table):
    rates = table[table["QUANTITY"].eq("rejection")]
    promised = rates[rates["TARGET"].notna()]
    assert set(promised["TRUTH"]) == {"no effect"} and (promised["TARGET"] == 0.05).all()
    assert "chosen" not in set(promised["METHOD"]) and "two_stage" in set(promised["METHOD"])
    assert set(table.loc[table["QUANTITY"].eq("better_day"), "TRUTH"]) == {"as planted"}
    # A null by another name is one as well: it is known by what is planted.
    other = plan.override(
        {
            "operating.truths": {"nil": plan.operating.truths["no effect"]},
            "operating.cells": [["nil", "as planned"]],
        }
    )
    assert [cell.is_null for cell in list_cells(other)] == [True]
    assert [cell.is_null for cell in list_cells(plan)] == [True, False]


def test_a_run_that_was_killed_goes_on_after_its_last_piece(plan, table, pieces, counted, monkeypatch):
    put, kept = Pieces.put, []

    def fail_later(self, key, frame):
        if len(kept) == 4:
            raise KeyboardInterrupt
        kept.append(key)
        put(self, key, frame)

    monkeypatch.setattr(Pieces, "put", fail_later)
    with pytest.raises(KeyboardInterrupt):
        grid.run_grid(plan, pieces=pieces)
    monkeypatch.setattr(Pieces, "put", put)
    finished = list(counted)
    same(grid.run_grid(plan, pieces=pieces), table)
    # Two pieces of two files each were kept; the third was lost while it was written.
    assert len(finished) == 3 and len(counted) == 3 + 2
    grid.run_grid(plan, pieces=pieces)
    assert len(counted) == 5


def test_a_failing_piece_is_said_and_counted_and_the_others_are_kept(plan, table, pieces, monkeypatch):
    bad = list_chunks(list_cells(plan)[0], 8, 4)[1].entropy

    def run(chunk):
        if chunk.entropy == bad:
            raise FloatingPointError
        return run_once(chunk)

    with monkeypatch.context() as patched:
        patched.setattr(grid, "run_chunk", run)
        with pytest.raises(grid.UnfinishedGrid, match=r"1 of 4 pieces.*number 1: MEASURE_FAILED.*run again"):
            grid.run_grid(plan, pieces=pieces)
    assert len(list(pieces.folder.iterdir())) == 2 * 3
    monkeypatch.setattr(grid, "run_chunk", run_once)
    same(grid.run_grid(plan, pieces=pieces), table)


def test_a_piece_of_another_plan_or_of_other_code_is_never_used(plan, pieces, counted, monkeypatch):
    plan = plan.override({"operating.cells": [PLANTED], "operating.trials": 2, "operating.chunk": 2})
    grid.run_grid(plan, pieces=pieces)
    before = {path.name for path in pieces.folder.iterdir()}
    other = plan.override({"operating.missed_share": 0.3})
    grid.run_grid(other, pieces=pieces)
    assert len(counted) == 2 and not before & {path.name for path in pieces.folder.iterdir()}
    monkeypatch.setattr(grid, "code_digest", lambda names: "another")
    grid.run_grid(other, pieces=pieces)
    assert len(counted) == 3 and len(list(pieces.folder.iterdir())) == 2


def test_further_trials_and_cells_are_added_to_what_is_there(plan, table, pieces, counted):
    first = plan.override({"operating.trials": 4, "operating.cells": [PLANTED]})
    grid.run_grid(first, pieces=pieces)
    same(grid.run_grid(plan, pieces=pieces), table)
    assert len(counted) == 1 + 3


def test_results_of_a_cell_depend_neither_on_the_others_nor_on_names_nor_on_the_scenario(plan, table):
    truths = {"first": {}, "named otherwise": plan.operating.truths["as planted"]}
    changes = {"operating.truths": truths, "operating.cells": [["named otherwise", "as planned"]]}
    alone = grid.run_grid(plan.override({**changes, "survival.optimism_bootstrap": 7}))
    own = table[table["TRUTH"].eq("as planted")].reset_index(drop=True)
    # The bootstrap of notebook 04 is no part of a virtual trial, but of a section that is: another piece.
    same(alone.drop(columns="TRUTH"), own.drop(columns="TRUTH"))


def test_seeds_differ_between_cells_and_between_chunks(plan):
    entropies = [chunk.entropy for cell in list_cells(plan) for chunk in list_chunks(cell, 8, 4)]
    assert len(set(entropies)) == len(entropies)
    sizes = [chunk.trials for chunk in list_chunks(list_cells(plan)[0], 10, 4)]
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"operating.cells": [["no efect", "as planned"]]}, PlanError, "must be a truth of"),
        ({"operating.cells": [NULL, NULL]}, PlanError, "stand twice"),
        ({"operating.sizes": {"as planned": {"virtual.hr_score": 2.0}}}, PlanError, "both set"),
        ({"primary.endpoints": ["PFS", "RFS"]}, ValueError, "not \\['RFS'\\]: leave step 07 out"),
        ({"design.pilot_n": 0}, ValueError, "without a pilot"),
        ({"design.followup_visits": ["D14"]}, ValueError, "is scanned on D14 and D28"),
    ],
)
def test_a_grid_that_cannot_be_run_is_refused(plan, changes, error, words):
    with pytest.raises(error, match=words):
        list_cells(plan.override(changes))


def test_summaries_are_those_of_the_trials(plan):
    cell = list_cells(plan)[1]
    rows, patients = chunks.run_chunk(list_chunks(cell, 12, 12)[0])
    table = summarise_cell(cell, rows, patients).set_index(["ENDPOINT", "QUANTITY", "METHOD"])
    truth = {
        row.TIMEPOINT: row.COEF
        for row in pool_truth(patients, ties="efron", alpha=0.05).query("ENDPOINT == 'PFS'").itertuples()
    }
    later = rows["PFS|later|PLAN"] == 1
    true = np.where(later, truth["D28"], truth["D14"])
    coef = rows["PFS|coef|cox_ml"]
    error = coef - true
    found = table.loc[("PFS", "bias", "cox_ml")]
    assert [found["ESTIMATE"], found["SE"]] == pytest.approx([error.mean(), error.std() / np.sqrt(12)])
    assert table.loc[("PFS", "estimate", "cox_ml"), "ESTIMATE"] == pytest.approx(np.exp(coef.median()))
    inside = (rows["PFS|lower|cox_ml"] <= true) & (true <= rows["PFS|upper|cox_ml"])
    assert table.loc[("PFS", "coverage", "cox_ml"), "ESTIMATE"] == inside.mean()
    power = (rows["PFS|p|chosen"] <= 0.05).mean()
    found = table.loc[("PFS", "rejection", "chosen")]
    assert [found["ESTIMATE"], found["SE"]] == pytest.approx([power, np.sqrt(power * (1 - power) / 12)])
    lost = ~np.isfinite(rows["OS|coef|cox_ml"])
    assert table.loc[("OS", "not_finite", "cox_ml"), "ESTIMATE"] == lost.mean()
    assert (
        table.loc[("PFS", "better_day", "PLAN"), "ESTIMATE"] == 1 - later.mean()
    )  # D14 has the larger loading


def by_hand(rows, **columns):
    """Replace what each trial of the null found."""
    return rows.assign(**{f"PFS|{name.replace('__', '|')}": values for name, values in columns.items()})


@pytest.fixture(scope="module")
def null(plan):
    cell = list_cells(plan)[0]
    rows, patients = chunks.run_chunk(list_chunks(cell, 8, 8)[0])
    return cell, rows, patients


def test_what_a_choice_adds_is_counted_by_hand(null):
    cell, rows, patients = null
    taken = np.array([1, 1, 0, 0, 1, 1, 0, 0])
    changed = by_hand(
        rows,
        p__fixed_earlier=[0.01, 0.5, 0.5, 0.5, 0.5, 0.5, 0.04, np.nan],
        p__fixed_later=[0.02, 0.03, 0.5, 0.5, 0.05, 0.5, 0.5, 0.001],
        coef__fixed_earlier=[0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, np.nan],
        coef__fixed_later=[0.3, 0.3, 0.3, 0.3, -0.3, 0.3, 0.3, -np.inf],
        later__margin=taken,
    )
    table = summarise_cell(cell, changed, patients).set_index(["ENDPOINT", "QUANTITY", "METHOD"])
    added = table.loc[("PFS", "inflation", "margin")]
    # The rule rejects in trials 1, 2, 5 (later) and 7 (earlier): 4 of 8. By lot, half the time either day: the
    # earlier rejects in 2, the later in 4 of 8, on average 3 of 8. Trials add (+-1/2)(gain - 1/4), with gains
    # 0 1 0 0 1 0 -1 1: -1/8 3/8 1/8 1/8 3/8 -1/8 5/8 -3/8.
    each = np.array([-1, 3, 1, 1, 3, -1, 5, -3]) / 8
    assert added["ESTIMATE"] == pytest.approx(1 / 8)
    assert added["SE"] == pytest.approx(each.std(ddof=1) / np.sqrt(8))
    up, down = (table.loc[("PFS", f"inflation_{side}", "margin"), "ESTIMATE"] for side in ("up", "down"))
    # Above 1 the rule rejects in 1, 2, 7: 3 of 8; the days in 2 and 2, by lot 2 of 8.
    assert [up, down] == pytest.approx([1 / 8, 0])


def test_a_rule_that_takes_one_day_always_adds_nothing_whatever_that_day_does(null):
    cell, rows, patients = null
    changed = by_hand(rows, later__margin=np.ones(8), p__fixed_later=np.zeros(8))
    table = summarise_cell(cell, changed, patients).query("METHOD == 'margin' and QUANTITY == 'inflation'")
    assert table[["ESTIMATE", "SE"]].to_numpy().tolist() == [[0, 0]]


def test_a_typical_ratio_does_not_cancel(null):
    cell, rows, patients = null
    coef = np.log([2, 1 / 2, 2, 1 / 2, 3, 1 / 3, 1.5, 1 / 1.5])
    table = summarise_cell(cell, by_hand(rows, coef__optimal_cut=coef), patients)
    found = table[table["METHOD"].eq("optimal_cut")].set_index("QUANTITY")["ESTIMATE"]
    assert found["bias"] == pytest.approx(0) and found["typical"] == pytest.approx(2)


def test_the_true_hazard_ratio_is_that_of_all_patients_pooled(world, tables):
    pooled = pool_truth(count_patients(world.trials, world.scans, world.plan), ties="efron", alpha=0.05)
    end = world.trials.patients["PFSDAYS"] - 1 - world.scans.day[1]
    inside = (end > 0) & np.isfinite(world.scans.exposed[1])
    slow = cox(end[inside], world.trials.patients["PFSEVENT"][inside], world.scans.exposed[1][inside]).iloc[0]
    row = pooled[pooled["ENDPOINT"].eq("PFS") & pooled["TIMEPOINT"].eq("D28")].iloc[0]
    assert row["COEF"] == pytest.approx(slow["coef"], abs=1e-7)
    assert row["SE"] == pytest.approx(slow["se"], rel=0.01)


def test_a_piece_is_found_by_its_key_alone_and_a_broken_one_is_none(pieces):
    key, frame = {"plan": "a", "trials": 4}, pd.DataFrame({"x": [1.0, np.nan]})
    assert pieces.find(key) is None
    pieces.put(key, frame)
    same(pieces.find({"trials": 4, "plan": "a"}), frame)
    assert pieces.find({**key, "trials": 5}) is None
    (path,) = pieces.folder.iterdir()
    path.write_bytes(path.read_bytes()[:40])
    assert pieces.find(key) is None
    pieces.put({"plan": "b"}, frame)
    pieces.discard_others([{"plan": "b"}])
    assert pieces.find({"plan": "b"}) is not None and len(list(pieces.folder.iterdir())) == 1


def test_the_digest_of_code_knows_what_it_is_asked_for():
    assert code_digest(("fanout.py",)) == code_digest(("fanout.py",)) != code_digest(("progress.py",))
    assert len(code_digest(grid.CODE)) == 8


def refuse_two(number):
    if number == 2:
        raise ZeroDivisionError
    return 10 * number


def test_fan_out_hands_over_each_result_as_it_finishes():
    kept = {}
    results = fan_out([1, 2, 3], refuse_two, keep=kept.__setitem__, report=lambda *words: None)
    assert list(kept) == [0, 1, 2] and [kept[0], kept[2]] == [10, 30]
    assert isinstance(kept[1], Failure) and results == list(kept.values())


def test_a_piece_is_found_in_another_folder_and_never_removed_there(tmp_path):
    first, own = tmp_path / "primary", tmp_path / "sensitivity"
    Pieces(first).put({"n": 1}, pd.DataFrame({"A": [1]}))
    both = Pieces(own, (first,))
    both.put({"n": 2}, pd.DataFrame({"A": [2]}))
    assert both.find({"n": 1})["A"].tolist() == [1] and both.find({"n": 3}) is None
    both.discard_others([])
    assert both.find({"n": 2}) is None and both.find({"n": 1}) is not None
