"""Numbers of sentences, traced to the cells of small tables made by hand."""

import pandas as pd
import pytest

from analysis.numbers import Origins, Printed, facts_of, split
from analysis.numbers.lookup import prints
from analysis.numbers.trace import trace
from analysis.numbers.tracing import Tracer
from analysis.tables import p_text, ratio

ESTIMATES = pd.DataFrame(
    {
        "ENDPOINT": ["PFS", "OS"],
        "ESTIMATE": [1.7203, 2.8671],
        "LOWER": [0.8312, 1.0249],
        "UPPER": [3.9001, 10.9151],
        "P": [0.1424, 0.0004],
        "N": [44.0, 45.0],
        "EVENTS": [36.0, 20.0],
        "LABEL": ["main analysis", "4 of 5 centres have both groups"],
    }
)
RATES = pd.DataFrame({"RATE": ["ORR", "DCR"], "ESTIMATE": [0.125, 0.6875], "N": [48.0, 44.0]})


@pytest.fixture
def tracer():
    tables = {"estimates": ESTIMATES, "rates": RATES}
    return Tracer(Origins(lambda name: tables[name], tuple(tables)))


def read(table, frame):
    copy = frame.copy()
    copy.attrs["table"] = table
    return copy


def said(tracer, make, *given, **choices):
    text, sources = tracer.make(make, *given, **choices)
    found = tracer.trace(text, sources)
    assert found.text == text
    links = [(piece[0].text, piece[1]) for piece in found.pieces if not isinstance(piece, str)]
    return links, [token.text for token in found.missing]


def places(links):
    return [(text, fact.table, fact.row, fact.column) for text, fact in links]


def say_hazard(frame, endpoint):
    row = frame[frame["ENDPOINT"].eq(endpoint)].iloc[0]
    return f"HR {ratio(row['ESTIMATE'], row['LOWER'], row['UPPER'])}"


def test_a_number_is_traced_to_the_row_and_column_it_stands_in(tracer):
    links, missing = said(tracer, say_hazard, read("estimates", ESTIMATES), "OS")
    assert places(links) == [
        ("2.87", "estimates", 1, "ESTIMATE"),
        ("1.02", "estimates", 1, "LOWER"),
        ("10.92", "estimates", 1, "UPPER"),
    ]
    assert missing == []


def test_rows_are_found_again_after_filtering_sorting_and_a_lost_index(tracer):
    frame = read("estimates", ESTIMATES).sort_values("N", ascending=False).reset_index(drop=True)
    links, _ = said(tracer, say_hazard, frame, "PFS")
    assert places(links)[0] == ("1.72", "estimates", 0, "ESTIMATE")


def test_a_frame_that_forgot_its_table_is_known_by_its_numbers(tracer):
    links, _ = said(tracer, say_hazard, ESTIMATES.copy(), "PFS")
    assert places(links)[0] == ("1.72", "estimates", 0, "ESTIMATE")


def test_a_wrong_number_is_listed_as_without_source(tracer):
    links, missing = said(tracer, lambda frame: "HR 1.73", read("estimates", ESTIMATES))
    assert (links, missing) == ([], ["1.73"])


def test_a_number_typed_into_the_code_is_listed_as_without_source():
    taker = Printed("1.73", "tables.sentences.say", "number(1.73, 2)", "1.73")
    printed = [Printed(1.73, "tables.format.number", "value", "1.73", outer=(taker,)), taker]
    assert [token.text for token in trace("HR 1.73", [[]], printed).missing] == ["1.73"]


def test_a_number_computed_on_the_way_says_where():
    printed = [Printed(29, "tables.robustness.say", "int(below.sum())", "29")]
    found = trace("29 of them below", [[]], printed, tables=["specifications"])
    fact = found.pieces[0][1]
    assert (fact.kind, fact.value) == ("computed", 29)
    assert fact.how == "int(below.sum()), computed by tables.robustness.say, from specifications"


def test_a_small_p_is_traced_to_its_cell(tracer):
    def say(frame):
        return f"OS {p_text(frame['P'].iloc[1])}"

    links, missing = said(tracer, say, read("estimates", ESTIMATES))
    assert places(links) == [("<0.001", "estimates", 1, "P")] and missing == []


def test_whole_numbers_are_not_matched_across_tables(tracer):
    rates = read("rates", RATES)  # holds no 36, though the estimates do
    links, missing = said(tracer, lambda frame: "36 events", rates)
    assert (links, missing) == ([], ["36"])


def test_a_whole_number_is_no_cell_only_because_some_cell_is_equal(tracer):
    links, missing = said(tracer, lambda frame: "44 lesions", read("estimates", ESTIMATES))
    assert (links, missing) == ([], ["44"])


def test_names_are_not_traced(tracer):
    links, missing = said(tracer, lambda frame: "TP53 at day 14, RECIST 1.1", read("rates", RATES))
    assert (links, missing) == ([], [])


def test_a_number_within_a_quoted_label_is_traced_to_the_label():
    facts = facts_of("estimates", ESTIMATES)
    found = trace("Stratified: 4 of 5 centres have both groups", [facts])
    assert [fact.column for _, fact in (one for one in found.pieces if not isinstance(one, str))] == [
        "LABEL",
        "LABEL",
    ]


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        (1.7249, "1.72", True),
        (1.7351, "1.73", False),
        (-0.2841, "−0.28", True),
        (0.2841, "−0.28", False),
        (-0.04, "0.0", True),
        (0.0004, "<0.001", True),
        (0.0016, "<0.001", False),
        (0.998, ">0.99", True),
        (0.991, ">0.99", False),
    ],
)
def test_a_value_prints_as_a_number_or_does_not(value, text, expected):
    assert prints(value, split(f"x {text}")[1]) is expected


def test_counts_and_shares_of_patients_are_facts_but_never_their_cells():
    frame = pd.DataFrame({"USUBJID": ["1", "2", "3"], "CLASS": ["A", "B", "B"], "AGE": [50.0, 61.0, 72.0]})
    facts = {fact.name: fact.value for fact in facts_of("adsl", frame)}
    assert facts["rows"] == 3 and facts["rows with CLASS = B"] == 2
    assert facts["share of rows with CLASS = B"] == pytest.approx(2 / 3)
    assert (facts["lowest AGE"], facts["median AGE"], facts["highest AGE"]) == (50.0, 61.0, 72.0)
    assert not [fact for fact in facts_of("adsl", frame) if fact.kind == "cell"]


def test_two_numbers_that_look_alike_keep_their_own_places():
    frame = pd.DataFrame({"WHO": ["one", "two"], "ESTIMATE": [1.7201, 1.7249]})
    frame.attrs["table"] = "twins"
    tracer = Tracer(Origins(lambda name: frame, ("twins",)))

    def say(rows):
        return f"{ratio(rows['ESTIMATE'].iloc[1])}"

    links, _ = said(tracer, say, frame)
    assert places(links) == [("1.72", "twins", 1, "ESTIMATE")]


@pytest.mark.parametrize("take", [lambda rows: rows.iloc[1], lambda rows: rows.to_dict("records")[1]])
def test_a_count_equal_in_two_rows_is_that_of_the_row_it_was_taken_from(take):
    frame = pd.DataFrame({"WHO": ["one", "two"], "ESTIMATE": [1.5, 2.5], "N": [44.0, 44.0]})
    frame.attrs["table"] = "twins"
    tracer = Tracer(Origins(lambda name: frame, ("twins",)))
    printed = Printed(44.0, "tables.say", "row['N']", "44", "", " patients", (take(frame),))
    sources = tracer.sources(frame)
    placed = tracer._placed(printed, sources.tables, {})
    assert placed.rows == (("twins", 1),)
    found = tracer.trace("44 patients in this row", sources.with_printed([placed]))
    assert [fact.row for _, fact in found.pieces[:1]] == [1]


def test_a_median_is_no_cell_though_one_is_equal_to_it():
    frame = pd.DataFrame({"WHO": ["a", "b", "c"], "ESTIMATE": [1.27, 1.72, 2.39]})
    frame.attrs["table"] = "grid"
    tracer = Tracer(Origins(lambda name: frame, ("grid",)))
    printed = [Printed(1.72, "tables.say", "values.median()", "1.72", "median ")]
    found = tracer.trace("median 1.72", tracer.sources(frame).with_printed(printed))
    assert found.pieces[-1][1].kind == "summary"


def test_of_two_values_that_look_alike_the_one_with_the_words_beside_it_is_taken():
    printed = [
        Printed(17, "figures.plot", "events", "17", "", " events"),
        Printed(17, "figures.plot", "others", "17", "", " sensitivity"),
    ]
    fact = trace("1 primary, 17 sensitivity", [[]], printed).pieces[2][1]
    assert fact.how.startswith("others, computed by figures.plot")
