"""Best overall response, unconfirmed and confirmed: published cases, every pair, and properties.

``tests/reference/recist_best_response.csv`` holds every pair of responses at two assessments, with and without
the minimum for stable disease (Eisenhauer 2009, Table 3); ``admiralonco_best_response.csv`` the cases of the
reference derivation's own tests, with the dates it gives.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.clinical import best_response

REFERENCE = Path(__file__).parents[1] / "reference"
START = pd.Timestamp("2020-01-01")
RESPONSES = ("CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE")


def to_frame(courses):
    """Return the responses of several subjects: {subject: [(date or day from START, response), ...]}."""
    rows = [
        (subject, START + pd.Timedelta(days=when) if isinstance(when, int) else pd.Timestamp(when), value)
        for subject, course in courses.items()
        for when, value in course
    ]
    frame = pd.DataFrame(rows, columns=["USUBJID", "ADT", "AVALC"])
    return frame.astype({"ADT": "datetime64[ns]"})


def rules(**changes):
    return plan.defaults().override({f"clinical.{name}": value for name, value in changes.items()}).clinical


def best(courses, *, confirmed, start=None, settings=None):
    """Return the best response of each subject of `courses`."""
    start = pd.Series(dict.fromkeys(courses, START)) if start is None else start
    found = best_response(to_frame(courses), start, settings or rules(), confirmed=confirmed)
    return found.set_index("USUBJID")


# --- Eisenhauer 2009, Table 3 --------------------------------------------------------------------------------

PAIRS = pd.read_csv(REFERENCE / "recist_best_response.csv")
PAIR_NAMES = [f"{p.first} {p.first_day}, {p.second} {p.second_day}" for p in PAIRS.itertuples()]


def test_the_reference_has_every_pair_with_and_without_the_minimum():
    measurable = ("CR", "PR", "SD", "PD", "NE")
    wanted = {(a, b, day) for a in measurable for b in measurable for day in (10, 56)}
    assert set(zip(PAIRS["first"], PAIRS["second"], PAIRS.first_day)) == wanted
    assert len(PAIRS) == len(wanted)


@pytest.mark.parametrize("place", range(len(PAIRS)), ids=PAIR_NAMES)
def test_every_pair_of_responses(place):
    pair = PAIRS.iloc[place]
    course = {"S": [(int(pair.first_day), pair["first"]), (int(pair.second_day), pair["second"])]}
    assert best(course, confirmed=False).AVALC.item() == pair.bor
    assert best(course, confirmed=True).AVALC.item() == pair.cbor


# --- the cases of admiralonco's own tests (stable disease from day 28 there) ---------------------------------

PUBLISHED = pd.read_csv(REFERENCE / "admiralonco_best_response.csv", dtype=str, keep_default_na=False)


@pytest.mark.parametrize("name", ["bor", "cbor"])
def test_the_published_cases_of_the_reference_derivation(name):
    courses = {
        row.subject: [tuple(item.split(" ", 1)) for item in row.course.split(";") if item]
        for row in PUBLISHED.itertuples()
    }
    start = pd.to_datetime(PUBLISHED.set_index("subject").start)
    found = best(courses, confirmed=name == "cbor", start=start, settings=rules(sd_min_days=28))
    text = (found.ADT.dt.strftime("%Y-%m-%d ").fillna("") + found.AVALC).loc[PUBLISHED.subject]
    published = PUBLISHED[name].ne("").to_numpy()
    assert text[published].tolist() == PUBLISHED[name][published].tolist()


def test_two_not_evaluable_between_are_too_many_unless_the_plan_allows_them():
    # admiralonco, examples of derive_param_confirmed_bor, subject 9, and its variant max_nr_ne = 2
    course = {"9": [("2020-03-16", "CR"), ("2020-04-01", "NE"), ("2020-04-16", "NE"), ("2020-05-01", "CR")]}
    start = pd.Series({"9": pd.Timestamp("2020-03-01")})
    for allowed, expected in ((1, "SD"), (2, "CR")):
        settings = rules(sd_min_days=28, confirm_max_ne=allowed)
        assert best(course, confirmed=True, start=start, settings=settings).AVALC.item() == expected


# --- longer courses by hand: unconfirmed, confirmed ----------------------------------------------------------

COURSES = [
    ([(56, "PR"), (84, "PR")], "PR", "PR"),
    ([(56, "PR"), (83, "PR")], "PR", "SD"),  # 27 days
    ([(56, "CR"), (84, "CR")], "CR", "CR"),
    ([(56, "CR"), (83, "CR")], "CR", "SD"),
    ([(56, "CR"), (70, "CR"), (84, "CR")], "CR", "CR"),
    ([(56, "PR"), (84, "NE"), (112, "PR")], "PR", "PR"),
    ([(56, "PR"), (70, "NE"), (84, "NE"), (112, "PR")], "PR", "SD"),
    ([(56, "NE"), (84, "PR"), (112, "NE"), (140, "NE"), (168, "PR"), (196, "PR")], "PR", "PR"),
    ([(56, "PR"), (84, "SD"), (112, "PR")], "PR", "SD"),
    ([(56, "PR"), (84, "CR"), (112, "PR")], "CR", "PR"),  # the CR confirms the PR; nothing confirms the CR
    ([(56, "PR"), (70, "CR"), (84, "PR")], "CR", "SD"),  # PR-CR-PR within the time of confirmation
    ([(56, "PR"), (84, "CR"), (112, "CR")], "CR", "CR"),
    ([(56, "CR"), (84, "PR"), (112, "PR")], "CR", "PR"),
    ([(41, "SD")], "NE", "NE"),
    ([(42, "SD")], "SD", "SD"),
    ([(41, "NON-CR/NON-PD")], "NE", "NE"),
    ([(42, "NON-CR/NON-PD")], "NON-CR/NON-PD", "NON-CR/NON-PD"),
    ([(41, "PR"), (69, "NE")], "PR", "NE"),
    ([(42, "PR"), (70, "NE")], "PR", "SD"),
    ([(41, "SD"), (56, "PD")], "PD", "PD"),
    ([(42, "SD"), (56, "PD")], "SD", "SD"),
    ([(41, "PR"), (56, "PD")], "PR", "PD"),  # too early to be stable, not confirmed
    ([(56, "PD"), (84, "CR"), (112, "CR")], "PD", "PD"),  # after progression nothing counts
    ([(56, "PR"), (70, "PD"), (84, "PR")], "PR", "SD"),
    ([], "MISSING", "MISSING"),
]


def test_longer_courses():
    courses = {str(place): course for place, (course, *_) in enumerate(COURSES)}
    found = pd.DataFrame({name: best(courses, confirmed=name == "cbor").AVALC for name in ("bor", "cbor")})
    expected = pd.DataFrame([row[1:] for row in COURSES], index=list(courses), columns=["bor", "cbor"])
    differ = found.loc[expected.index].ne(expected).any(axis=1)
    assert not differ.any(), [
        (COURSES[int(place)], tuple(found.loc[place])) for place in differ[differ].index
    ]


def test_the_best_response_has_the_date_it_was_first_seen():
    course = {"S": [(56, "SD"), (84, "PR"), (112, "PR"), (140, "CR")]}
    assert (best(course, confirmed=False).ADT - START).dt.days.tolist() == [140]
    assert (best(course, confirmed=True).ADT - START).dt.days.tolist() == [84]


# --- properties ----------------------------------------------------------------------------------------------


def random_courses(n, seed=20260):
    """Draw `n` courses of up to eight assessments, two to eight weeks apart, all responses possible."""
    random = np.random.default_rng(seed)
    return {
        f"S-{number:04}": [
            (int(day), str(random.choice(RESPONSES, p=[0.2, 0.25, 0.15, 0.1, 0.08, 0.22])))
            for day in np.cumsum(random.integers(10, 57, random.integers(0, 9)))
        ]
        for number in range(n)
    }


@pytest.mark.parametrize("seed", range(3))
def test_confirmed_counts_never_exceed_unconfirmed_counts(seed):
    courses = random_courses(400, seed)
    first, second = (best(courses, confirmed=flag).AVALC for flag in (False, True))
    for responses in (["CR"], ["CR", "PR"]):
        confirmed, unconfirmed = second.isin(responses), first.isin(responses)
        assert 0 < confirmed.sum() < unconfirmed.sum()
        assert not (confirmed & ~unconfirmed).any()  # in any subject, so in any count
    assert first.eq("MISSING").equals(second.eq("MISSING"))


def is_confirmed_by_definition(course, place):
    """Read admiralonco's definition of a confirmed CR or PR word by word for one record of a course."""
    day, value = course[place]
    good = {"CR": {"CR"}, "PR": {"CR", "PR"}}[value]
    late = [later for later in range(place + 1, len(course))
            if course[later][1] in good and course[later][0] >= day + 28]  # fmt: skip
    if not late:
        return False
    period = [value for _, value in course[place + 1 : late[0] + 1]]
    complete = period.index("CR") if "CR" in period else len(period)
    return set(period) <= good | {"NE"} and period.count("NE") <= 1 and "PR" not in period[complete:]


def best_by_definition(course, *, confirmed):
    """Rank the candidates of one course as the reference derivation's documentation lists them."""
    values = [value for _, value in course]
    course = course[: values.index("PD") + 1] if "PD" in values else course
    found = []
    for place, (day, value) in enumerate(course):
        counts = value in ("CR", "PR") and (not confirmed or is_confirmed_by_definition(course, place))
        fallback = value if value == "NON-CR/NON-PD" else "SD"
        found.append(value if counts or value in ("PD", "NE") else fallback if day >= 42 else "NE")
    return next((value for value in RESPONSES if value in found), "MISSING")


@pytest.mark.parametrize("confirmed", [False, True])
def test_random_courses_follow_the_definition(confirmed):
    courses = random_courses(1500)
    expected = {name: best_by_definition(course, confirmed=confirmed) for name, course in courses.items()}
    assert set(expected.values()) == {*RESPONSES, "MISSING"}
    assert best(courses, confirmed=confirmed).AVALC.to_dict() == expected


def test_order_of_rows_changes_nothing():
    courses = random_courses(200)
    frame, start = to_frame(courses), pd.Series(dict.fromkeys(courses, START))
    turned = frame.sample(frac=1, random_state=1)
    for flag in (False, True):
        pd.testing.assert_frame_equal(
            best_response(frame, start, rules(), confirmed=flag),
            best_response(turned, start, rules(), confirmed=flag),
        )


def test_the_best_response_of_a_study_uses_the_response_of_the_plan_until_new_therapy(study):
    study.subject().lesion("T1", {-5: 20, 56: 20, 112: 14, 140: 14}).response(56, "SD").response(112, "SD")
    assert study.responses("BOR") == [(112, "PR")]
    assert study.responses("CBOR") == [(112, "PR")]
    assert study.responses("BOR", response_source="reported") == [(56, "SD")]
    study.add("CM", CMCAT="SUBSEQUENT ANTI-CANCER THERAPY", CMSTDTC="2020-03-11")  # day 70
    assert study.responses("BOR") == [(56, "SD")]
    assert study.responses("BOR", new_therapy="event") == [(112, "PR")]
