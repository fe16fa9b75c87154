"""The table of what was run in notebook 05."""

import pandas as pd
import pytest

from analysis.biomarkers.layers import stack_estimates, tabulate_layers
from analysis.biomarkers.rows import Analysis, as_rows, nothing
from analysis.contracts.biomarkers import ANALYSES

ROW = {"ANALYSIS": "gene", "MARKER": "TP53", "PARTYPE": "MUT", "OUTCOME": "PFS", "METHOD": "cox_firth"}
ROW |= {"STATISTIC": "hazard_ratio"}


def _gene(**values):
    return Analysis(as_rows([ROW | values]), as_rows([]))


def test_every_analysis_has_a_line_and_says_why_it_was_not_run():
    given = {"gene": _gene(ESTIMATE=1.5, P=0.3, N=40), "lead_time": nothing("no plasma was drawn")}
    table = tabulate_layers(given).set_index("ANALYSIS")
    assert table.index.tolist() == list(ANALYSES)
    assert table.loc["gene", ["STATUS", "SUBJECTS", "ROWS"]].tolist() == ["RUN", 40, 1]
    assert table.loc["lead_time", ["STATUS", "REASON"]].tolist() == ["NOT RUN", "no plasma was drawn"]
    assert table.loc["combined", "STATUS"] == "NOT RUN"


def test_rows_without_any_number_are_not_run_and_lend_their_note():
    table = tabulate_layers({"gene": _gene(N=2, TESTED="N", NOTE="too few")}).set_index("ANALYSIS")
    assert table.loc["gene", ["STATUS", "ROWS", "REASON"]].tolist() == ["NOT RUN", 1, "too few"]


def test_lesions_are_not_counted_as_subjects():
    row = ROW | {"ANALYSIS": "lesion_progression", "ESTIMATE": 1.5, "N": 27}
    own = pd.DataFrame({"USUBJID": ["A"] * 20 + ["B"] * 7})
    table = tabulate_layers({"lesion_progression": Analysis(as_rows([row]), own)}).set_index("ANALYSIS")
    assert table.loc["lesion_progression", "SUBJECTS"] == 2


def test_an_analysis_the_notebook_does_not_have_is_refused():
    with pytest.raises(KeyError, match="astrology"):
        tabulate_layers({"astrology": nothing("")})


def test_estimates_are_stacked_in_the_order_of_the_notebook():
    ctdna = Analysis(as_rows([ROW | {"ANALYSIS": "ctdna", "PARTYPE": "CTDNA"}]), as_rows([]))
    assert stack_estimates({"ctdna": ctdna, "gene": _gene()})["ANALYSIS"].tolist() == ["gene", "ctdna"]
    assert len(stack_estimates({})) == 0
