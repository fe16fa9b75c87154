"""Table one, tables of estimates and how they are shown."""

import numpy as np
import pandas as pd
import pytest

from analysis import tables
from analysis.tables.baseline import Characteristic
from analysis.tables.estimates import write_estimate

PATIENTS = pd.DataFrame(
    {
        "AGE": [50, 60, 70, None],
        "VISCFL": ["Y", "N", None, "Y"],
        "ECOG": [0.0, 1.0, 1.0, 0.0],
        "SEX": ["F", "F", "F", "F"],
        "PRIORCHM": [None] * 4,
        "GROUP": ["B", "A", "A", "B"],
    }
)


def estimate(**given):
    base = dict(
        ENDPOINT="PFS", LABEL="x", METHOD="cox", ESTIMATOR="ml", ESTIMATE=1.3, LOWER=0.67, UPPER=2.5, P=0.44
    )
    return base | dict(N=45, EVENTS=38, ROLE="PRIMARY") | given


def test_table_one_has_medians_counts_and_the_missing():
    table = tables.tabulate_baseline(PATIENTS).set_index("Characteristic")["All (n = 4)"]
    # Age 50, 60, 70: median 60, quartiles 55 and 65; visceral 2 of 3 known.
    assert table["Age, years, median (IQR)"] == "60 (55–65)"
    assert table["Visceral disease, n (%)"] == "2 (67 %)"
    assert table["  0"] == "2 (50 %)"
    assert table["  Missing"].tolist() == ["1", "1"]


def test_a_characteristic_the_study_does_not_have_is_left_out():
    lines = tables.tabulate_baseline(PATIENTS)["Characteristic"]
    assert not lines.str.contains("Chemotherapy|Site|Bone").any()


def test_groups_stand_in_their_order_with_their_sizes_and_all_last():
    table = tables.tabulate_baseline(
        PATIENTS, group="GROUP", group_order=["B", "A"], group_labels={"B": "Bee"}
    )
    assert table.columns.tolist() == ["Characteristic", "Bee (n = 2)", "A (n = 2)", "All (n = 4)"]


def test_table_one_is_the_same_whatever_the_order_of_the_patients():
    shuffled = PATIENTS.sample(frac=1, random_state=np.random.RandomState(3))
    one, other = (tables.tabulate_baseline(frame, group="GROUP") for frame in (PATIENTS, shuffled))
    pd.testing.assert_frame_equal(one, other)


def test_table_one_of_nobody_and_an_unknown_kind_are_refused():
    with pytest.raises(ValueError, match="at least one patient"):
        tables.tabulate_baseline(PATIENTS.iloc[:0])
    with pytest.raises(ValueError, match="kind of AGE"):
        tables.tabulate_baseline(PATIENTS, [Characteristic("AGE", "Age", "mean")])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "1.30 (0.67–2.50)"),
        ({"ESTIMATE": np.nan, "LOWER": np.nan, "UPPER": np.nan}, "not estimable"),
        ({"METHOD": "median", "ESTIMATE": 6.0, "LOWER": 4.4, "UPPER": np.nan}, "6.0 (4.4 to not reached)"),
        (
            {"METHOD": "clopper-pearson", "ESTIMATE": 30 / 45, "LOWER": 0.5105, "UPPER": 0.8},
            "66.7 (51.0–80.0)",
        ),
        ({"METHOD": "log-rank"}, "1.30"),
        ({"METHOD": "concordance", "ESTIMATE": 0.61, "LOWER": 0.5, "UPPER": 0.72}, "0.61 (0.50–0.72)"),
    ],
)
def test_an_estimate_is_written_as_its_quantity_asks(given, text):
    assert write_estimate(estimate(**given)) == text


def test_the_table_of_estimates_names_events_role_and_p():
    table = tables.tabulate_estimates(
        pd.DataFrame([estimate(), estimate(ROLE="EXPLORATORY", P=1e-6, N=None)])
    )
    assert table.iloc[0].tolist() == ["PFS", "x", "HR", "38 / 45", "1.30 (0.67–2.50)", "0.44", "Primary"]
    assert table.iloc[1][["Events / n", "p", "Role"]].tolist() == ["38 / –", "<0.001", "Exploratory"]


def test_an_empty_table_is_refused_rather_than_shown():
    with pytest.raises(ValueError, match="leave the table out"):
        tables.tabulate_estimates(pd.DataFrame([estimate()]).iloc[:0])
    with pytest.raises(ValueError, match="leave it out"):
        tables.to_html(pd.DataFrame({"a": []}))


def test_html_cells_are_escaped_and_rows_and_columns_are_headed():
    html = tables.to_html(pd.DataFrame({"a": ["<i>"], "b": ["p < 1"]}), notes=["a & b"])
    assert '<th scope="row">&lt;i&gt;</th><td>p &lt; 1</td>' in html
    assert html.count('scope="col"') == 2
    assert "a &amp; b" in html


def test_a_group_column_heads_the_rows_that_share_it():
    html = tables.to_html(pd.DataFrame({"R": ["One", "One", "Two"], "x": list("abc")}), group_column="R")
    assert html.count('scope="rowgroup"') == 2


def test_named_values_carry_their_file_and_notebook():
    values = {"n": 45, "hr": {"label": "Hazard ratio", "value": 1.3, "file": "estimates.parquet"}}
    table = tables.tabulate_values(values)
    assert table.to_numpy().tolist() == [["n", "45", "–"], ["Hazard ratio", "1.300", "estimates.parquet"]]


def test_a_great_table_has_the_same_identity_on_every_run():
    frame = pd.DataFrame({"a": ["1"]})
    one, other = (tables.to_great_table(frame, title="Table one").as_raw_html() for _ in range(2))
    assert one == other


def grid_row(**given):
    place = dict(
        TIMEPOINT="D14", METRIC="SUVMAX", RULE="any_resistant", CUT=25.0, LANDMARK="scan", TIES="efron"
    )
    place |= dict(CONTRAST="NON-RESPONDER", REFERENCE="RESPONDER", ESTIMATOR="ML", LABEL="main analysis")
    return estimate(**(place | given))


def test_analyses_are_named_by_what_sets_them_apart_from_the_main_one():
    grid = pd.DataFrame(
        [
            grid_row(),
            grid_row(LABEL="other rule, cut or day; post hoc cut", CUT=15.0, ROLE="SENSITIVITY"),
            grid_row(LABEL="other rule, cut or day", TIMEPOINT="D28", RULE="eortc", ROLE="SENSITIVITY"),
            grid_row(
                LABEL="main analysis; other estimator", ESTIMATOR="FIRTH", TIES="breslow", ROLE="SENSITIVITY"
            ),
            grid_row(
                METHOD="km_median",
                CONTRAST="RESPONDER",
                REFERENCE=None,
                LABEL="median, months",
                ESTIMATOR="KM",
            ),
        ]
    )
    assert tables.name_analyses(grid)["LABEL"].tolist() == [
        "Day 14, SUVmax, any resistant lesion, fall ≥ 25 %",
        "Post hoc cut, fall ≥ 15 %",
        "Day 28, EORTC",
        "Firth, Breslow ties",
        "Responder, median, months",
    ]
    note = "p of the Cox model, not the test"
    noted = grid.head(1).assign(LABEL=f"main analysis; {note}")
    for short in (False, True):  # after the name, in a figure too
        name = tables.name_analyses(noted, short=short)["LABEL"].iloc[0]
        assert name == f"Day 14, SUVmax, any resistant lesion, fall ≥ 25 %, {note}"
    both = pd.concat([grid.head(1), grid.head(1).assign(ENDPOINT="OS", ROLE="SECONDARY")])
    assert tables.name_analyses(both)["LABEL"].str.slice(0, 4).tolist() == ["PFS:", "OS: "]


def test_only_ratios_are_offered_to_a_forest_plot():
    methods = ["cox", "cox_score", "km_median", "km_survival_3m", "logrank", "rmst_difference", "concordance"]
    rows = pd.DataFrame([estimate(METHOD=method) for method in methods])
    assert tables.is_ratio(rows).tolist() == [True, True, False, False, False, False, False]


def test_survival_is_written_in_percent_and_a_difference_of_means_with_its_sign():
    assert (
        write_estimate(estimate(METHOD="km_survival_3m", ESTIMATE=0.6, LOWER=0.31, UPPER=0.8))
        == "60.0 (31.0–80.0)"
    )
    text = write_estimate(estimate(METHOD="rmst_difference", ESTIMATE=-1.2, LOWER=-3.0, UPPER=0.6))
    assert text == "−1.2 (−3.0 to 0.6)"


def test_a_post_hoc_cut_is_called_so_in_the_sentence_of_the_result():
    row = dict(ENDPOINT="PFS", TIMEPOINT="D14", METRIC="SUVMAX", RULE="any_resistant", CUT=15.0)
    row |= dict(CONTRAST="NON-RESPONDER", REFERENCE="RESPONDER", METHOD="cox", ROLE="SENSITIVITY")
    row |= dict(ESTIMATE=1.94, LOWER=0.98, UPPER=4.05, P=0.05, N=44.0, EVENTS=36.0)
    after = pd.DataFrame([row | {"LABEL": "main analysis; post hoc cut"}])
    before = pd.DataFrame([row | {"LABEL": "main analysis"}])
    assert "post hoc" in tables.say_main(after, "PFS", alpha=0.05)
    assert "post hoc" not in tables.say_main(before, "PFS", alpha=0.05)


def test_who_is_lost_before_the_landmark_is_told_by_class():
    classes = pd.Series(["NON-RESPONDER"] * 3 + ["RESPONDER"] * 2, index=list("ABCDE"))
    ledger = pd.DataFrame(
        {
            "USUBJID": ["A", "B", "D", "C", "E"],
            "CODE": ["EVENT_BEFORE_LANDMARK", "CENSORED_BEFORE_LANDMARK", "EVENT_BEFORE_LANDMARK"]
            + ["EVENT_BEFORE_LANDMARK", "NOT_EVALUABLE"],
            "REASON": ["PFS: x", "PFS: y", "PFS: x", "OS: x", "PFS: z"],
        }
    )
    said = tables.say_landmark_losses(ledger, classes, "PFS", origin="day 60")
    assert said.startswith("PFS: 2 of 3 non-responders and 1 of 2 responders had the event")
    assert "day 60" in said and "those who were left" in said
    assert tables.say_landmark_losses(ledger.iloc[4:], classes, "PFS", origin="day 60") == ""
