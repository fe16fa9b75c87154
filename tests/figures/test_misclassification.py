"""Figure and sentences of measurement error: readable, and they say what the rows say."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.figures import misclassification as figure
from analysis.tables.robustness_sentences import say_attenuation, say_misclassification

COLUMNS = contracts.columns("misclassification")


def cell_rows(cv, correlation, shift):
    """Return the rows of one CV and correlation: hazard ratios fall with the level by hand-made steps."""
    place = {"CV": cv, "CORRELATION": correlation, "ENDPOINT": "PFS", "N": 40.0}
    levels = {0.0: 1.9, 0.5: 1.8 + shift, 1.0: 1.7 + shift, 2.0: 1.5 + shift}
    rows = [
        {**place, "QUANTITY": "hazard_ratio", "LEVEL": level, "ESTIMATE": value, "DRAWS": 50.0}
        for level, value in levels.items()
    ]
    for row in rows[1:]:
        row |= {"LOWER": row["ESTIMATE"] - 0.4, "UPPER": row["ESTIMATE"] + 0.5}
    rows.append({**place, "QUANTITY": "attenuation", "LEVEL": 1.0, "ESTIMATE": 0.15})
    ends = {"ESTIMATE": 2.2 + shift, "LOWER": 0.9, "UPPER": 9.5}
    rows.append({**place, "QUANTITY": "simex", "LEVEL": -1.0, **ends, "DRAWS": 150.0})
    curve = {"QUANTITY": "simex_curve", "DRAWS": 150.0}
    rows += [
        {**place, **curve, "LEVEL": at, "ESTIMATE": 2.0 + shift - 0.2 * at} for at in np.arange(-1, 2.1, 0.5)
    ]
    for low, n in ((np.nan, 40.0), (1.0, 15.0), (2.0, 25.0)):
        who = {"CV": cv, "CORRELATION": correlation, "LEVEL": 1.0, "LESIONS": low, "N": n, "DRAWS": 50.0}
        rows.append({**who, "QUANTITY": "class_change", "ESTIMATE": 0.08 + shift / 10})
        rows.append({**who, "QUANTITY": "not_evaluable", "ESTIMATE": 0.0})
    chances = {0.0: (0.97, 1.0), 30.0: (0.34, 0.96), 50.0: (0.01, 0.07)}
    for fall, pair in chances.items():
        for lesions, value in zip((1.0, 8.0), pair, strict=True):
            chance = {"CV": cv, "CORRELATION": correlation, "FALL": fall, "LESIONS": lesions}
            rows.append(
                {
                    **chance,
                    "QUANTITY": "nonresponse_true",
                    "ESTIMATE": value * (1 - correlation / 10),
                    "N": 500.0,
                }
            )
    return rows


@pytest.fixture
def table():
    cells = [(10.0, 0.0, 0.0), (10.0, 0.5, 0.1), (12.0, 0.0, 0.2), (12.0, 0.5, 0.3)]
    rows = [row for cell in cells for row in cell_rows(*cell)]
    return contracts.check("misclassification", pd.DataFrame(rows).reindex(columns=COLUMNS))


def test_the_figure_is_readable_with_and_without_the_second_panel(table, check_readable):
    check_readable(figure.plot_misclassification(table, endpoint="PFS"))
    alone = table[table["QUANTITY"].ne("nonresponse_true")]
    drawn = figure.plot_misclassification(alone, endpoint="PFS")
    check_readable(drawn)
    assert len(drawn.axes) == 1


def test_marks_are_the_means_and_an_interval_beyond_the_axis_ends_in_an_arrow(table):
    axes = figure.plot_misclassification(table, endpoint="PFS").axes[0]
    lines = [line for line in axes.get_lines() if line.get_marker() in "os" and len(line.get_xdata()) == 3]
    expected = [[1.8 + shift, 1.7 + shift, 1.5 + shift] for shift in (0.0, 0.1, 0.2, 0.3)]
    assert np.array([line.get_ydata() for line in lines]) == pytest.approx(np.array(expected))
    assert [line.get_marker() for line in axes.get_lines()].count("^") == 4  # 9.5 lies beyond 8
    low, high = axes.get_ylim()
    assert low > 0.6 and high < 9  # what is not a hazard ratio does not stretch the axis
    diamond = [line for line in axes.get_lines() if line.get_marker() == "D"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in diamond] == [(0, 1.9)]


def test_caption_and_description_give_the_numbers(table):
    said = figure.caption_misclassification(table, endpoint="PFS")
    assert (
        "hazard ratio of PFS" in said and "up to 50 redrawn studies" in said and "as measured, 1.90" in said
    )
    assert "CV 12 %, 500 simulated patients" in said and "(0 and 0.5)" in said
    described = figure.alt_misclassification(table, endpoint="PFS")
    assert "CV 12 %, correlation 0.5: 2.50 (0.90–9.50)" in described
    assert "true fall 30 %: 34 % with 1, 96 % with 8" in described
    alone = table[table["QUANTITY"].ne("nonresponse_true")]
    assert "B:" not in figure.caption_misclassification(alone, endpoint="PFS")
    assert "number of lesions" not in figure.alt_misclassification(alone, endpoint="PFS")


def scaled(table, factor):
    """Return the table with redrawn hazard ratios times a factor."""
    redrawn = table["QUANTITY"].eq("hazard_ratio") & table["LEVEL"].gt(0)
    return table.assign(ESTIMATE=table["ESTIMATE"].where(~redrawn, table["ESTIMATE"] * factor))


def test_only_error_that_moves_the_hazard_ratio_towards_1_is_called_attenuation(table):
    less, more = (say_attenuation(scaled(table, factor), endpoint="PFS") for factor in (0.9, 1.2))
    assert less == "Added error moves the hazard ratio towards 1."
    never = "Added error does not move the hazard ratio towards 1 here, so no attenuation can be estimated"
    assert more == f"{never} from these 40 patients."
    # Below 1 the same in the other direction; and the curve must be carried back away from 1.
    ratios = table["QUANTITY"].isin(["hazard_ratio", "simex", "simex_curve"])
    turned = scaled(table, 0.9)
    turned = turned.assign(ESTIMATE=turned["ESTIMATE"].where(~ratios, 1 / turned["ESTIMATE"]))
    assert say_attenuation(turned, endpoint="PFS") == less
    back = scaled(table, 0.9)
    back["ESTIMATE"] = back["ESTIMATE"].mask(back["QUANTITY"].eq("simex"), 1.5)
    assert "does not consistently move" in say_attenuation(back, endpoint="PFS")
    said = figure.caption_misclassification(scaled(table, 1.2), endpoint="PFS")
    assert "which stands at 2.00 to 2.30 with today's error. Added error does not move" in said


def test_without_a_hazard_ratio_nothing_is_drawn(table):
    with pytest.raises(ValueError, match="no hazard ratio to draw"):
        figure.plot_misclassification(table, endpoint="OS")


def test_the_sentence_states_changes_ratios_and_lesions(table):
    said = say_misclassification(table, endpoint="PFS")
    assert "(within-subject CV 10 to 12 %), 8 to 11 % of 40 patients change class on average." in said
    assert "PFS, 1.90 as measured, then is 1.70 to 2.00 on average" in said
    assert "the middle 95 % of single redrawn studies lie between 1.30 and 2.50" in said
    # 1.9 as measured becomes 1.7, 1.8, 1.9 and 2.0 with the error added once.
    assert "does not consistently move the hazard ratio towards 1 here, so no attenuation can" in said
    assert (
        "stands at 2.00 to 2.30 with today's error (1.90 as measured is one draw of classes) and at 2.20 to"
        in said
    )
    assert "2.50 without error (limits 0.90 to 9.50), an approximation." in said
    assert (
        "fell by 30 % is called a non-responder in 34 % of cases with 1 lesion, in 96 % with 8 (CV 12 %"
        in said
    )
    lost = table.assign(ESTIMATE=table["ESTIMATE"].mask(table["QUANTITY"].eq("not_evaluable"), 0.021))
    assert "up to 2.1 % are not evaluable" in say_misclassification(lost, endpoint="PFS")
    unknown = table[table["QUANTITY"].isin(["class_change", "not_evaluable", "hazard_ratio"])]
    assert "It could not be extrapolated to no error." in say_misclassification(unknown, endpoint="PFS")
    assert "no hazard ratio of redrawn classes" in say_misclassification(table, endpoint="OS")
    assert say_misclassification(table.iloc[:0], endpoint="PFS") == ""
