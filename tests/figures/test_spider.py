"""The spider plot shows each course to its first progression, readable, with the plan's thresholds."""

import io

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.figures import spider

LEVELS = {"response_percent": -30.0, "progression_percent": 20.0}
COLUMNS = ["USUBJID", "MONTHS", "CHANGE", "AVALC", "NEWLES", "AFTERPD", "BESTRESP"]


def course(subject, best, *points):
    """Make one course: (months, change, overall response, new lesion, after progression)."""
    rows = [(subject, 0.0, 0.0, None, None, "N", best)]
    return pd.DataFrame([*rows, *[(subject, *point, best) for point in points]], columns=COLUMNS)


def few():
    """Make four courses that can be checked by eye; D was never assessed after baseline."""
    return pd.concat(
        [
            course("A", "PR", (2.0, -35.0, "PR", "N", "N"), (4.0, -10.0, "PD", "N", "N"), (6.0, 30.0, "PD", "N", "Y")),
            course("B", "SD", (2.0, -10.0, "SD", "N", "N"), (4.0, -12.0, "PD", "Y", "N")),
            course("C", "PD", (2.0, 200.0, "PD", "N", "N")),
            course("D", "MISSING"),
        ],
        ignore_index=True,
    )  # fmt: skip


def many(n, months=18, seed=2):
    rng = np.random.default_rng(seed)
    pieces = []
    for place in range(n):
        times = np.arange(2, months + 1, 2.0)
        change = np.maximum(-100, np.cumsum(rng.normal(2, 14, len(times))))
        best = ("CR", "PR", "SD", "PD", "NE")[place % 5]
        ends = np.where(np.arange(len(times)) == place % len(times), "PD", "SD")
        after = np.where(np.arange(len(times)) > place % len(times), "Y", "N")
        new = np.where((ends == "PD") & (place % 4 == 0), "Y", "N")
        pieces.append(course(f"X-{place:03d}", best, *zip(times, change, ends, new, after)))
    return pd.concat(pieces, ignore_index=True)


def lines(figure):
    """Return the courses that are drawn, as (months, change), without reference lines and single points."""
    found = [line for line in figure.axes[0].lines if line.get_linestyle() != "None"]
    found = [(np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)) for line in found]
    return [pair for pair in found if len(pair[0]) > 1 and pair[0][-1] > 1]


def marks(figure, marker):
    found = [line for line in figure.axes[0].lines if line.get_marker() == marker]
    points = [(np.atleast_1d(line.get_xdata()), np.atleast_1d(line.get_ydata())) for line in found]
    return sorted((float(x), float(y)) for xs, ys in points for x, y in zip(xs, ys))


def legend(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("n, months", [(1, 4), (3, 8), (60, 18), (48, 60)])
def test_a_spider_plot_of_any_size_is_readable(check_readable, n, months, width):
    check_readable(spider.plot_spider(many(n, months), width=width, **LEVELS))


def test_a_line_runs_from_baseline_to_the_first_progression():
    drawn = {tuple(months): tuple(change) for months, change in lines(spider.plot_spider(few(), **LEVELS))}
    assert drawn[(0, 2, 4)] in {(0, -35, -10), (0, -10, -12)}
    assert sorted(len(months) for months in [m for m, _ in lines(spider.plot_spider(few(), **LEVELS))]) == [
        2,
        3,
        3,
    ]


def test_progression_and_new_lesions_are_marked_where_they_were_found():
    figure = spider.plot_spider(few(), **LEVELS)
    assert marks(figure, "X") == [(4.0, -10.0)] and marks(figure, "D") == [(4.0, -12.0)]


def test_a_line_above_the_cap_leaves_the_plot_where_it_crosses_the_edge():
    figure = spider.plot_spider(few(), **LEVELS)
    # C rises from 0 to 200 % within two months: it passes 100 % after one
    assert figure.axes[0].get_ylim()[1] == 100
    assert marks(figure, "^") == [(pytest.approx(1.0), 100.0)]
    assert "Above +100 %" in legend(figure)
    wide = plan.defaults().override({"figures.spider_cap_percent": 300.0}).figures
    calm = spider.plot_spider(few(), rules=wide, **LEVELS)
    assert marks(calm, "^") == [] and calm.axes[0].get_ylim()[1] > 200
    assert marks(calm, "X") == [(2.0, 200.0), (4.0, -10.0)]


@pytest.mark.parametrize("levels", [(-30.0, 20.0), (-50.0, 73.0)])
def test_reference_lines_stand_where_the_plan_puts_them(levels):
    figure = spider.plot_spider(few(), response_percent=levels[0], progression_percent=levels[1])
    flat = {line.get_ydata()[0] for line in figure.axes[0].lines if list(line.get_xdata()) == [0, 1]}
    assert flat == {0, *levels}
    low, high = figure.axes[0].get_ylim()
    assert low < levels[0] and levels[1] < high


def test_groups_differ_in_colour_and_in_the_line_itself():
    figure = spider.plot_spider(many(20), **LEVELS)
    shown = [line for line in figure.axes[0].get_legend().get_lines() if line.get_linestyle() != "None"]
    looks = {(line.get_color(), str(line._dash_pattern)) for line in shown}
    assert len(looks) == 5 and len({pattern for _, pattern in looks}) >= 3


def test_the_legend_counts_the_lines_of_each_group():
    assert legend(spider.plot_spider(few(), **LEVELS))[:3] == [
        "Partial response (n = 1)",
        "Stable disease (n = 1)",
        "Progressive disease (n = 1)",
    ]


def test_two_drawings_have_the_same_bytes_and_the_data_stay_as_they_are():
    changes = many(12)
    kept, saved = changes.copy(), []
    for frame in (changes, changes.sample(frac=1, random_state=4)):
        buffer = io.BytesIO()
        spider.plot_spider(frame, **LEVELS).savefig(buffer, format="svg", metadata={"Date": None})
        saved.append(buffer.getvalue())
    assert saved[0] == saved[1]
    pd.testing.assert_frame_equal(changes, kept)


@pytest.mark.parametrize("keep", [[], ["D"]])
def test_a_plot_without_a_course_is_refused(keep):
    changes = few()
    with pytest.raises(ValueError, match="leave the figure out"):
        spider.plot_spider(changes[changes["USUBJID"].isin(keep)], **LEVELS)


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match=r"lack the columns \['NEWLES'\]"):
        spider.plot_spider(few().drop(columns="NEWLES"), **LEVELS)


def test_caption_and_alternative_text_count_what_is_drawn():
    caption = spider.caption_spider(few(), n_subjects=6, cap_percent=100.0, **LEVELS)
    for part in (
        "(n = 3)",
        "−30 % (partial response) and +20 %",
        "cross, in known lesions (n = 2); diamond, with a new lesion (n = 1)",
        "Arrow: above +100 % (n = 1, at most +200 %)",
        "Not drawn: 2 without a measured target lesion at baseline and 1 without a complete sum after it.",
    ):
        assert part in caption
    plain = spider.caption_spider(few()[few()["USUBJID"].eq("B")], **LEVELS)
    assert "cross" not in plain and "Arrow" not in plain and "Not drawn" not in plain
    alt = spider.alt_spider(few())
    assert "3 patients over 4.0 months" in alt and "Partial response, n = 1: lowest change −35 %" in alt
