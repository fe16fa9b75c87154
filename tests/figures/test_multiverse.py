"""The specification curve: it rises, marks what is primary and post hoc, and says what is not drawn."""

import numpy as np
import pandas as pd
import pytest

from analysis import tables
from analysis.figures import multiverse, style

NAMES = {"PFSNTX": "start of a new anti-cancer therapy counts as an event", "PFSALL": "all follow-up"}


@pytest.fixture
def grid(demo):
    """Return 36 specifications; the second is from a fixed day, the third under another censoring rule."""
    table = demo["grid"]()
    table.loc[1, "LANDMARK"] = "fixed"
    table.loc[2, "CENSORING"] = "PFSNTX"
    return table


def curve_tests(*values):
    methods = ("curve_median", "curve_share", "curve_stouffer", "curve_any", "curve_side")
    rows = [(name, value, p, "PFS") for name, (value, p) in zip(methods, values)]
    return pd.DataFrame(rows, columns=["METHOD", "ESTIMATE", "P", "ENDPOINT"])


TESTS = curve_tests((0.54, 0.11), (0.113, 0.14), (10.53, 0.0001), (0.523, np.nan), (0.004, np.nan))


def words_of(figure):
    """Return the words beside the grid, from top to bottom."""
    return [label.get_text().replace("\n", " ") for label in figure.axes[1].get_yticklabels()]


def marked(figure, words):
    """Return the places of the marks of one line of the grid."""
    lines = [line for line in figure.axes[1].lines if line.get_marker() == "|"]
    return lines[words_of(figure).index(words)].get_xdata().tolist()


def test_estimates_rise_and_each_choice_is_marked_under_its_estimate(grid):
    figure = multiverse.plot_specification_curve(grid, names=NAMES)
    points = [line for line in figure.axes[0].lines if line.get_marker() in ("o", "D")]
    place = np.concatenate([line.get_xdata() for line in points])
    heights = np.concatenate([line.get_ydata() for line in points])[np.argsort(place)]
    assert sorted(place) == list(range(36)) and (np.diff(heights) >= 0).all()
    assert [len(line.get_xdata()) for line in points] == [23, 12, 1]  # others, post hoc, primary
    ordered = grid.sort_values("RANK").reset_index(drop=True)
    assert marked(figure, "day 28") == np.flatnonzero(ordered["TIMEPOINT"] == "D28").tolist()
    assert marked(figure, "fixed landmark") == np.flatnonzero(ordered["SPECIFICATION"] == 2).tolist()
    assert points[-1].get_xdata().tolist() == np.flatnonzero(ordered["ROLE"] == "PRIMARY").tolist()


def test_the_grid_has_words_for_codes_and_leaves_out_what_nobody_varies(grid):
    figure = multiverse.plot_specification_curve(grid, names=NAMES)
    expected = ["day 14", "day 28", "SUVmax", "SULpeak", "any resistant lesion", "hottest lesion"]
    expected += ["sum of targets", "fall ≥ 15 %", "fall ≥ 25 %", "fall ≥ 40 %", "from the scan"]
    expected += ["fixed landmark", "as planned", "start of a new anti-cancer therapy counts as an event"]
    assert words_of(figure) == expected  # all in one population: not listed
    headings = [text.get_text() for text in figure.axes[1].texts]
    assert headings == ["Scan", "Metric", "Rule", "Cut", "Time zero", "Endpoint"]


def test_what_was_not_estimated_is_counted_and_not_drawn(grid):
    statuses = ["SAME", "NOT_APPLICABLE", "NOT_APPLICABLE", "NOT_ESTIMABLE"]
    more = grid.head(4).assign(STATUS=statuses, ESTIMATE=np.nan, RANK=np.nan, ROLE="SENSITIVITY")
    both = pd.concat([grid, more], ignore_index=True)
    text = multiverse.caption_specification_curve(both)
    assert text.startswith("Hazard ratios of 36 specifications")
    assert text.endswith(
        "Not drawn: 1 means what another one means, 2 do not apply here and 1 could not be estimated."
    )
    drawn = [multiverse.plot_specification_curve(table).axes[0] for table in (grid, both)]
    assert len(drawn[0].lines) == len(drawn[1].lines) and drawn[0].get_xlim() == drawn[1].get_xlim()


def test_caption_and_alternative_text_state_the_numbers(grid):
    text = multiverse.caption_specification_curve(grid, TESTS)
    above, clear = int((grid["ESTIMATE"] > 1).sum()), int((grid["LOWER"] > 1).sum())
    assert f"{above} above 1, {clear} with an interval that excludes 1" in text
    assert "Hollow: at a cut that this study chose after seeing outcomes (" in text
    assert "in whatever rule (n = 12)." in text
    post = grid["POSTHOC"].eq("Y") & (grid["POSTHOC"].eq("Y").cumsum() <= 2)
    known = multiverse.caption_specification_curve(grid.assign(RULE=grid["RULE"].mask(post, "eortc")))
    assert "(n = 12); EORTC (2 of them) has this cut from its publication." in known
    assert (
        "median |ln HR| 0.54, p = 0.11; share with p < 0.05 11 %, p = 0.14; Stouffer Z 10.53, p <0.001"
        in text
    )
    alt = multiverse.alt_specification_curve(grid)
    place = grid.loc[grid["ROLE"].eq("PRIMARY"), "RANK"].iloc[0]
    assert f"is at place {place:.0f}." in alt and alt.startswith("36 hazard ratios in rising order")


def test_sixty_specifications_are_readable_on_a_page(grid, check_readable):
    many = pd.concat([grid, grid.assign(CENSORING="PFSALL")], ignore_index=True).head(62)
    many.loc[[5, 9, 13], "POPULATION"] = ["fdg_evaluable", "comparable", "on_drug"]
    many = many.assign(RANK=many["ESTIMATE"].rank(method="first"), SPECIFICATION=np.arange(1.0, 63))
    figure = multiverse.plot_specification_curve(many, names=NAMES)
    check_readable(figure)
    assert figure.get_size_inches()[1] * style.MM_PER_INCH < 240


def test_an_interval_that_leaves_the_range_is_marked_at_the_edge(grid, check_readable):
    wide = grid.assign(UPPER=grid["UPPER"].mask(grid["RANK"].eq(36), np.inf))
    wide["NULL_UPPER"] = wide["NULL_UPPER"].mask(wide["RANK"].ge(35), np.inf)
    figure = multiverse.plot_specification_curve(wide)
    beyond = [line for line in figure.axes[0].lines if line.get_marker() == "^"]
    assert [line.get_xdata().tolist() for line in beyond] == [[35]]
    assert beyond[0].get_ydata().tolist() == [8.0]  # forest_range of the plan
    check_readable(figure)


def test_few_specifications_and_no_null_band_are_drawn(grid, check_readable):
    bare = grid.head(1).assign(RANK=1.0, NULL_LOWER=np.nan, NULL_MEDIAN=np.nan, NULL_UPPER=np.nan)
    figure = multiverse.plot_specification_curve(bare)
    check_readable(figure)
    assert len(figure.axes) == 1  # no choice differs
    assert "Band" not in multiverse.caption_specification_curve(bare)
    check_readable(multiverse.plot_specification_curve(grid.head(2)))


def test_nothing_to_draw_and_no_room_are_refused(grid):
    with pytest.raises(ValueError, match="no estimate to draw"):
        multiverse.plot_specification_curve(grid.assign(STATUS="NOT_APPLICABLE"))
    with pytest.raises(ValueError, match="too narrow"):
        multiverse.plot_specification_curve(grid, width="column")


# ---- the sentence


def test_the_sentence_states_spread_place_tests_and_what_is_left_out():
    values = [0.9, 1.2, 1.5, 2.0]
    table = pd.DataFrame(
        {"ENDPOINT": "PFS", "ESTIMATE": [*values, np.nan], "POSTHOC": ["N", "Y", "N", "Y", "N"]}
    )
    table["STATUS"] = [*4 * ["ESTIMATED"], "NOT_APPLICABLE"]
    table["LOWER"], table["UPPER"] = [0.7, 1.1, 1.05, 0.9, np.nan], [0.95, 1.3, 3, 4, np.nan]
    table["TIMEPOINT"], table["RULE"] = ["D28", "D14", "D14", "D28", "D14"], "any_resistant"
    table["ROLE"] = ["SENSITIVITY", "PRIMARY", *3 * ["SENSITIVITY"]]
    said = tables.say_specifications(table, TESTS)
    assert (
        "under 4 specifications of the main comparison: hazard ratios from 0.90 to 2.00, median 1.35" in said
    )
    assert "3 (75 %) above 1." in said
    days = (
        "By scan: day 14 1.20 to 1.50, median 1.35 (2 of 2 with an interval that excludes 1); day 28 0.90 to "
    )
    assert f"{days}2.00, median 1.45 (1 of 2)." in said
    assert "Tested jointly, all scans together, against" in said
    shares = "52 % have at least one specification that is significant by itself and less than 1 % lie wholly"
    assert f"Of such curves without any effect, {shares} on one side of 1." in said
    assert "The primary analysis (day 14), 1.20, has 1 of them below and 2 above it." in said
    assert "0.54 (p = 0.11)" in said and "11 % (p = 0.14) and Stouffer's Z 10.53 (p <0.001)" in said
    assert "2 are at a cut that this study chose after seeing outcomes (1.20 to 2.00)." in said
    assert said.endswith("Listed beside them: 1 not applicable to this study.")
    alone = tables.say_specifications(table.assign(TIMEPOINT="D14", RULE="eortc"), TESTS.head(3))
    assert "By scan" not in alone and "all scans" not in alone and "without any effect" not in alone
    assert "The primary analysis, 1.20, has" in alone
    assert "(1.20 to 2.00); EORTC (2 of them) has this cut from its publication." in alone


def test_what_was_not_estimated_is_listed_in_words(grid):
    same, unknown, few = (grid.head(3)[grid.head(3).index == k] for k in range(3))
    main = grid[grid["ROLE"].eq("PRIMARY")].iloc[0]
    usual = {name: main[name] for name in multiverse.CHOICES}
    left = pd.concat([same, unknown, few], ignore_index=True).assign(**usual, ROLE="SENSITIVITY")
    left["SPECIFICATION"] = [101.0, 102.0, 103.0]
    left["STATUS"] = ["SAME", "NOT_APPLICABLE", "NOT_ESTIMABLE"]
    left.loc[0, ["POPULATION", "CENSORING"]] = ["on_drug", "PFSALL"]
    left.loc[0, "REASON"] = f"the same as specification {main['SPECIFICATION']:.0f}: as it is"
    left.loc[1, ["CENSORING", "REASON"]] = ["PFSNTX", "no times here"]
    left.loc[2, ["LANDMARK", "REASON"]] = ["none", None]
    found = tables.tabulate_left_out(pd.concat([grid, left], ignore_index=True), NAMES)
    assert found.to_numpy().tolist() == [
        [
            "Patients: on the drug before the scan; Endpoint: all follow-up",
            "the same in meaning as another",
            "the same as the primary analysis: as it is",
        ],
        [f"Endpoint: {NAMES['PFSNTX']}", "not applicable to this study", "no times here"],
        ["Time zero: no landmark", "not estimable", ""],
    ]
    assert tables.tabulate_left_out(grid).empty
    assert list(tables.tabulate_left_out(grid)) == list(found)


def test_the_sentence_says_where_there_is_nothing_to_say():
    empty = pd.DataFrame(columns=["ENDPOINT", "STATUS"])
    assert tables.say_specifications(empty, TESTS.head(0)) == ""
    none = pd.DataFrame({"ENDPOINT": ["PFS"], "STATUS": ["NOT_ESTIMABLE"]})
    assert (
        tables.say_specifications(none, TESTS.head(0)) == "PFS: none of 1 specification could be estimated."
    )
