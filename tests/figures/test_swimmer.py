"""The swimmer plot shows every patient once, at the right places, readable, and refuses what it cannot."""

import io
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.figures import style, swimmer

GROUPS = ["PR", "SD", "PD", "MISSING", "CR"]


def make_courses(n, seed=5):
    """Invent `n` courses: a third die, one in seven is on treatment, the rest are followed or lost."""
    rng = np.random.default_rng(seed)
    end = np.round(rng.gamma(2, 5, n) + 1, 2)
    dead, treated = np.arange(n) % 3 == 0, np.arange(n) % 7 == 1
    stop = np.where(treated, end, np.round(end * rng.uniform(0.2, 0.9, n), 2))
    courses = pd.DataFrame(
        {"USUBJID": [f"X-{i:03d}" for i in range(n)], "TRTSTM": 0.0, "TRTENM": stop, "FUPM": end}
    )
    courses["DTHFL"] = np.where(dead, "Y", "N")
    courses["TRTONGO"] = np.where(treated & ~dead, "Y", "N")
    courses["FUPONGO"] = np.where((treated | (np.arange(n) % 5 == 1)) & ~dead, "Y", "N")
    return courses.assign(BESTRESP=[GROUPS[i % len(GROUPS)] for i in range(n)])


def make_events(courses):
    """Give the courses every kind of event."""
    pieces = []
    for place, row in enumerate(courses.itertuples()):
        found = [("DEATH", row.FUPM, np.nan)] if row.DTHFL == "Y" else []
        if row.BESTRESP in ("PR", "CR"):
            found.append((row.BESTRESP, 0.3 * row.FUPM, 0.7 * row.FUPM))
        kind = ("PD", "CLINPD", "NACT")[place % 3]
        found.append((kind, 0.7 * row.FUPM, np.nan))
        pieces += [(row.USUBJID, *event) for event in found]
    return pd.DataFrame(pieces, columns=["USUBJID", "EVENT", "MONTHS", "ENDM"])


def both(n):
    courses = make_courses(n)
    return courses, make_events(courses)


def three():
    """Make three courses that can be checked by eye."""
    courses = pd.DataFrame(
        [
            ("A", 0.0, 4.0, 10.0, "N", "N", "Y", "PD"),
            ("B", 0.0, 9.0, 9.0, "Y", "Y", "N", "PR"),
            ("C", 0.0, 6.0, 8.0, "N", "Y", "N", "PD"),
        ],
        columns=["USUBJID", "TRTSTM", "TRTENM", "FUPM", "TRTONGO", "FUPONGO", "DTHFL", "BESTRESP"],
    )
    events = pd.DataFrame(
        [("A", "PD", 4.0, np.nan), ("A", "DEATH", 10.0, np.nan), ("B", "PR", 2.0, 9.0), ("C", "PD", 5.5, np.nan)],
        columns=["USUBJID", "EVENT", "MONTHS", "ENDM"],
    )  # fmt: skip
    return courses, events


def bars(figure):
    """Return (row, start, length) of each bar from the top."""
    patches = figure.axes[0].patches
    return sorted((bar.get_y() + bar.get_height() / 2, bar.get_x(), bar.get_width()) for bar in patches)


def marks(figure, marker):
    """Return the months at which a marker stands, from the top."""
    found = [line for line in figure.axes[0].lines if line.get_marker() == marker]
    points = [point for line in found for point in zip(line.get_ydata(), line.get_xdata())]
    return [float(month) for _, month in sorted(points)]


def texts(figure):
    axes = figure.axes[0]
    return [
        text.get_text() for text in [*axes.texts, *axes.get_yticklabels(), *axes.get_legend().get_texts()]
    ]


def saved(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("n", [1, 3, 48, 60, 120])
def test_a_swimmer_plot_of_any_size_is_readable(check_readable, n, width):
    courses, events = both(n)
    check_readable(swimmer.plot_swimmer(courses, events, width=width))


@pytest.mark.parametrize("n", [2, 48, 120])
def test_names_of_patients_are_readable_whatever_their_number(check_readable, n):
    courses, events = both(n)
    names = {subject: f"Patient {subject}" for subject in courses["USUBJID"]}
    figure = swimmer.plot_swimmer(courses, events, labels=names, group=None)
    check_readable(figure)
    assert set(names.values()) <= set(texts(figure))


def test_subject_keys_are_drawn_only_where_the_caller_names_them():
    courses, events = both(20)
    assert not [text for text in texts(swimmer.plot_swimmer(courses, events)) if "X-" in text]


def test_a_bar_is_the_time_on_treatment_the_longest_first():
    courses, events = three()
    figure = swimmer.plot_swimmer(courses, events, group=None)
    assert [(start, length) for _, start, length in bars(figure)] == [(0, 9), (0, 6), (0, 4)]
    assert [round(row) for row, *_ in bars(figure)] == [0, 1, 2]


def test_blocks_follow_the_order_of_the_words_and_carry_their_counts():
    courses, events = three()
    figure = swimmer.plot_swimmer(courses, events)
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "Partial response (n = 1)",
        "Progressive disease (n = 2)",
    ]
    assert [length for *_, length in bars(figure)] == [9, 6, 4]
    turned = swimmer.plot_swimmer(courses, events, groups=["PD", "SD", "PR"])
    assert [length for *_, length in bars(turned)] == [6, 4, 9]


@pytest.mark.parametrize("n", [8, 48, 120])
def test_a_heading_covers_no_bar(n):
    figure = swimmer.plot_swimmer(*both(n))
    saved(figure)
    for text in figure.axes[0].texts:
        heading = text.get_window_extent()
        assert not [bar for bar in figure.axes[0].patches if heading.overlaps(bar.get_window_extent())]


def test_symbols_stand_at_their_months_in_the_row_of_their_patient():
    courses, events = three()
    figure = swimmer.plot_swimmer(courses, events, group=None)  # rows: B, C, A
    assert marks(figure, "X") == [5.5, 4.0]
    assert marks(figure, "^") == [2.0] and marks(figure, "|") == [10.0]
    assert marks(figure, ">") == [9.0, 8.0]  # B on treatment, C in follow-up
    lasting = [lines for lines in figure.axes[0].collections if lines.get_linewidth()[0] > 1]
    assert [segment[:, 0].tolist() for lines in lasting for segment in lines.get_segments()] == [[2.0, 9.0]]


def test_the_legend_names_what_is_there_and_nothing_else():
    courses, events = three()
    legend = [
        text.get_text() for text in swimmer.plot_swimmer(courses, events).axes[0].get_legend().get_texts()
    ]
    assert legend == [
        "On treatment", "Follow-up", "In response", "Partial response begins", "Progression", "Death",
        "Treatment goes on", "Follow-up goes on",
    ]  # fmt: skip
    quiet = swimmer.plot_swimmer(courses[courses["USUBJID"].eq("C")].assign(FUPONGO="N"), events[:0])
    assert [text.get_text() for text in quiet.axes[0].get_legend().get_texts()] == [
        "On treatment",
        "Follow-up",
    ]


def test_never_treated_is_a_line_without_a_bar(check_readable):
    courses, events = three()
    courses = courses.assign(TRTSTM=np.nan, TRTENM=np.nan, TRTONGO="N")
    deaths = events[events["EVENT"].eq("DEATH")]
    figure = swimmer.plot_swimmer(courses, deaths)
    assert bars(figure) == [] and "On treatment" not in texts(figure)
    segments = [s[:, 0].tolist() for lines in figure.axes[0].collections for s in lines.get_segments()]
    assert sorted(segments) == [[0.0, 8.0], [0.0, 9.0], [0.0, 10.0]]
    check_readable(figure)


def test_long_follow_up_has_few_ticks(check_readable):
    courses, events = three()
    figure = swimmer.plot_swimmer(courses.assign(FUPM=courses["FUPM"] * 6), events)
    check_readable(figure)
    assert figure.axes[0].get_xticks().tolist() == [0, 12, 24, 36, 48, 60]


def test_groups_are_told_apart_by_the_plans_colours_and_by_their_headings():
    courses, events = both(30)
    figure = swimmer.plot_swimmer(courses, events)
    colors = Counter(bar.get_facecolor() for bar in figure.axes[0].patches)
    assert sorted(colors.values()) == sorted(courses["BESTRESP"].value_counts())
    palette = plan.defaults().figures.palette
    assert {"CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE", "MISSING"} <= set(palette)


def test_order_of_rows_changes_nothing_and_the_data_stay_as_they_are():
    courses, events = both(25)
    kept = courses.copy(), events.copy()
    plain = saved(swimmer.plot_swimmer(courses, events))
    mixed = courses.sample(frac=1, random_state=1), events.sample(frac=1, random_state=2)
    assert plain == saved(swimmer.plot_swimmer(courses, events))
    again = swimmer.plot_swimmer(*mixed)
    assert bars(again) == bars(swimmer.plot_swimmer(courses, events))
    assert marks(again, "X") == marks(swimmer.plot_swimmer(courses, events), "X")
    pd.testing.assert_frame_equal(courses, kept[0])
    pd.testing.assert_frame_equal(events, kept[1])


def test_the_height_grows_with_the_patients_and_stays_within_a_page():
    heights = [swimmer.plot_swimmer(*both(n)).get_size_inches()[1] * style.MM_PER_INCH for n in (3, 48, 120)]
    assert heights[0] < heights[1] <= heights[2] < 255


def refused(courses, events, **kwargs):
    with pytest.raises(ValueError) as error:
        swimmer.plot_swimmer(courses, events, **kwargs)
    return str(error.value)


def test_more_patients_than_the_plan_allows_are_refused_with_the_limit():
    limit = plan.defaults().figures.swimmer_max
    message = refused(*both(limit + 1))
    assert f"{limit + 1} patients" in message and str(limit) in message and "swimmer_max" in message
    rules = plan.defaults().override({"figures.swimmer_max": 3}).figures
    assert "more than the 3" in refused(*both(4), rules=rules)


def test_what_cannot_be_drawn_is_refused():
    courses, events = three()
    assert "leave the figure out" in refused(courses[:0], events)
    assert "lack the columns ['FUPM']" in refused(courses.drop(columns="FUPM"), events)
    assert "lack the columns ['ENDM']" in refused(courses, events.drop(columns="ENDM"))
    assert "two rows of one patient" in refused(pd.concat([courses, courses[:1]]), events)
    assert "2 patients without a label" in refused(courses, events, labels={"A": "A"})
    assert "unknown events ['BIRTH']" in refused(courses, events.assign(EVENT="BIRTH"))
    assert "1 patient without an end" in refused(courses.assign(FUPM=[1, np.nan, 2]), events)
    assert "lacks ['PD']" in refused(courses, events, groups=["PR"])


def test_caption_and_alternative_text_count_what_is_drawn():
    courses, events = three()
    caption = swimmer.caption_swimmer(courses, events)
    for part in (
        "(n = 3), in blocks by best overall response",
        "1 responded (0 completely), 2 progressed and 1 died",
        "1 was still on treatment and 1 was followed without treatment (arrows)",
    ):
        assert part in caption
    assert "without a symbol" not in caption and "had no treatment" not in caption
    lost = swimmer.caption_swimmer(courses.assign(FUPONGO="N", TRTONGO="N", TRTENM=[1, 2, np.nan]), events)
    assert "2 lines without a symbol at the end" in lost and "1 patient had no treatment" in lost
    alt = swimmer.alt_swimmer(courses, events)
    assert "4.0 to 9.0 (median 6.0) months" in alt and "8.0 to 10.0 (median 9.0) months" in alt


def test_events_of_patients_who_are_not_drawn_are_not_counted():
    courses, events = three()
    only = courses[courses["USUBJID"].eq("C")]
    assert marks(swimmer.plot_swimmer(only, events), "|") == []
    assert "Of the patients 1 progressed." in swimmer.caption_swimmer(only, events)
    assert "No event was seen." in swimmer.caption_swimmer(only, events[:0])
