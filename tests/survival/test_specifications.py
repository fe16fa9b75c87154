"""The specification curve: what is listed, what is estimated, what belongs to which side of the joint test."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.pet.response import classify, with_cells
from analysis.survival import association
from analysis.survival.association.population import apply_population
from analysis.survival.association.specification_sides import gather_sides
from analysis.survival.cox import cox

CROSSED = {"CUT": [15.0, 25.0], "TIMEPOINT": None}
SHOWN = ["TIMEPOINT", "RULE", "CUT", "LANDMARK", "CENSORING", "STATUS"]


@pytest.fixture(scope="module")
def ask(plan):
    """Return a maker of plans with these crossed and single choices, at day 14 and with few permutations."""

    def make(crossed, singly=None, **more):
        values = {"specification.crossed": crossed, "specification.singly": singly or {}}
        values |= {"specification.permutations": 99, "primary.timepoint": "D14", **more}
        return type(plan)(plan.study, {**plan.values, **values})

    return make


def rng():
    return np.random.default_rng(7)


def with_rule(admr, rule, cut, codes=("PMR", "SMD")):
    """Add a rule that has one cut: the classes of the cut of 25 % under its name."""
    rows = admr[admr["CUT"].eq(25)].assign(RULE=rule, CUT=cut)
    both = pd.concat([admr.assign(AVALC="RESPONDER"), rows], ignore_index=True)
    own = both["RULE"].eq(rule)
    words = np.where(both["MRESP"].eq("RESPONDER"), *codes)
    return both.assign(AVALC=np.where(own, words, both["AVALC"]))


# ---- what is listed


def test_the_primary_comes_first_then_the_product_then_single_choices(cohort, ask):
    plan = ask(CROSSED, {"LANDMARK": ["scan", "none"], "CENSORING": None, "TIMEPOINT": ["D28"]})
    listed = association.list_specifications(association.prepare(cohort, plan), plan)
    expected = [
        ("D14", "any_resistant", 25.0, "scan", "PFS", "ESTIMATED"),
        ("D14", "any_resistant", 15.0, "scan", "PFS", "ESTIMATED"),
        ("D28", "any_resistant", 15.0, "scan", "PFS", "ESTIMATED"),
        ("D28", "any_resistant", 25.0, "scan", "PFS", "ESTIMATED"),
        ("D14", "any_resistant", 25.0, "none", "PFS", "ESTIMATED"),
        ("D14", "any_resistant", 25.0, "scan", "PFSALL", "ESTIMATED"),
    ]
    assert list(listed[SHOWN].itertuples(index=False, name=None)) == expected
    assert listed["SPECIFICATION"].tolist() == [1, 2, 3, 4, 5, 6]
    assert listed["ROLE"].tolist() == ["PRIMARY"] + 5 * ["SENSITIVITY"]
    assert listed["POSTHOC"].tolist() == [
        "N",
        "Y",
        "Y",
        "N",
        "N",
        "N",
    ]  # 15 % was chosen after seeing outcomes


def test_a_rule_with_its_own_cut_counts_once_and_says_so_where_it_is_asked_alone(trial, as_cohort, ask):
    adsl, adtte, admr = trial
    cohort = as_cohort((adsl, adtte, with_rule(admr, "eortc", 15.0)))
    plan = ask({"RULE": ["any_resistant", "eortc"], **CROSSED})
    rows = association.list_specifications(association.prepare(cohort, plan), plan)
    assert rows.loc[rows["RULE"].eq("eortc"), ["TIMEPOINT", "CUT"]].to_numpy().tolist() == [
        ["D14", 15.0],
        ["D28", 15.0],
    ]
    plan = ask({}, {"CUT": [40.0]}, **{"primary.response_rule": "eortc", "primary.cut_percent": 15.0})
    rows = association.list_specifications(association.prepare(cohort, plan), plan)
    assert rows["STATUS"].tolist() == ["ESTIMATED", "SAME"] and rows["CUT"].tolist() == [15.0, 15.0]
    assert rows["REASON"][1] == "the same as specification 1: the rule has a metric or a cut of its own"


def test_sameness_is_of_meaning_and_not_of_numbers(cohort, ask):
    # The variant's times are those of the endpoint, number by number: it is estimated all the same ...
    plan = ask({}, {"CENSORING": ["PFSALL"]})
    curve = association.estimate_specifications(association.prepare(cohort, plan), plan, rng())
    assert curve.table["STATUS"].tolist() == ["ESTIMATED", "ESTIMATED"]
    assert curve.table["ESTIMATE"][0] == curve.table["ESTIMATE"][1]
    # ... until the plan itself has its rule: then it means the same, whatever its numbers.
    plan = ask({}, {"CENSORING": ["PFSALL"]}, **{"clinical.followup": "all"})
    curve = association.estimate_specifications(association.prepare(cohort, plan), plan, rng())
    assert curve.table["STATUS"].tolist() == ["ESTIMATED", "SAME"]
    assert curve.table["REASON"][1].startswith("the same as specification 1: the endpoint's own censoring")
    assert curve.table["ESTIMATE"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("singly", "reason"),
    [
        ({"RULE": ["percist"]}, "this rule was not applied in this study"),
        ({"METRIC": ["SULPEAK"]}, "this metric was not measured in this study"),
        ({"CUT": [33.0]}, "this cut was not applied in this study"),
        ({"TIMEPOINT": ["D90"]}, "no scan of this day gave a class"),
        ({"POPULATION": ["comparable"]}, "who belongs to this population is not known in this study"),
        ({"CENSORING": ["PFSIRC"]}, "no times under this censoring rule in this study"),
        ({"CENSORING": ["OSALL"]}, "no times under this censoring rule in this study"),
    ],
)
def test_what_does_not_apply_is_listed_with_its_reason(cohort, ask, singly, reason):
    plan = ask({}, singly)
    table = association.estimate_specifications(association.prepare(cohort, plan), plan, rng()).table
    assert table["STATUS"].tolist() == ["ESTIMATED", "NOT_APPLICABLE"]
    assert table["REASON"].tolist()[1] == reason and pd.isna(table["ESTIMATE"][1])
    assert table["CUT"].isna().tolist() == [False, "RULE" in singly]  # whose cut nobody knows


def test_a_rule_that_was_never_applied_is_listed_once_a_day(cohort, ask):
    plan = ask({"RULE": ["percist"], **CROSSED}, {"RULE": ["percist"]})
    rows = association.list_specifications(association.prepare(cohort, plan), plan)
    assert rows[["TIMEPOINT", "RULE", "STATUS"]].to_numpy().tolist() == [
        ["D14", "any_resistant", "ESTIMATED"],
        ["D14", "percist", "NOT_APPLICABLE"],
        ["D28", "percist", "NOT_APPLICABLE"],
    ]


def test_a_rule_by_percent_at_one_cut_is_not_taken_for_a_published_one(trial, as_cohort, ask):
    adsl, adtte, admr = trial
    one_cut = admr[admr["CUT"].eq(25)]
    one_cut = one_cut.assign(AVALC=one_cut["MRESP"].replace("NON-RESPONDER", "STABLE"))
    sets = association.prepare(as_cohort((adsl, adtte, one_cut)), plan := ask({"CUT": [15.0]}))
    assert association.list_specifications(sets, plan)["STATUS"].tolist() == ["ESTIMATED", "NOT_APPLICABLE"]


def test_without_dates_the_landmark_cannot_be_the_scan(trial, as_cohort, ask):
    adsl, adtte, admr = trial
    undated = as_cohort((adsl, adtte.assign(ADT=pd.NaT), admr.assign(PETDT=pd.NaT)))
    plan = ask({"LANDMARK": ["scan", "fixed"]}, **{"primary.landmark": "fixed"})
    table = association.estimate_specifications(association.prepare(undated, plan), plan, rng()).table
    assert table[["LANDMARK", "STATUS"]].to_numpy().tolist() == [
        ["fixed", "ESTIMATED"],
        ["scan", "NOT_APPLICABLE"],
    ]
    # Day 35 of a table of days counts 35 of them off; nobody has an event before.
    assert table["N"][0] == (adtte["AVAL"][adtte["PARAMCD"].eq("PFS")] > 35).sum()


@pytest.mark.parametrize(
    ("singly", "message"),
    [
        ({"LANDMARKS": ["scan"]}, "'LANDMARKS' is no choice"),
        ({"LANDMARK": ["day 90"]}, "LANDMARK must be among"),
        ({"POPULATION": ["everybody"]}, "POPULATION must be among"),
    ],
)
def test_a_choice_no_analysis_knows_is_refused(cohort, ask, singly, message):
    with pytest.raises(ValueError, match=message):
        association.list_specifications(association.prepare(cohort, ask({})), ask({}, singly))


def test_the_classes_needed_are_classified_where_the_metric_was_measured(ask):
    adpet = pd.DataFrame(
        [
            ("P1", "D0", "SUVMAX", 10.0), ("P1", "D14", "SUVMAX", 8.0),
            ("P1", "D0", "SUVPEAK", 8.0), ("P1", "D14", "SUVPEAK", 4.0),
        ],
        columns=["USUBJID", "AVISIT", "METRIC", "AVAL"],
    ).assign(STUDYID="T", LESIONID="L1", ROLE="LESION", ORGAN="liver", EVALFL="Y", TARGETFL="Y", FLAGS=None, ADT=pd.NaT)  # fmt: skip
    plan = ask({"CUT": [15.0, 25.0]}, {"METRIC": ["SUVPEAK", "SULMAX"]})
    needed = association.needed_classes(plan)
    assert needed == [
        ("SUVMAX", "any_resistant", 25.0),
        ("SUVMAX", "any_resistant", 15.0),
        ("SUVPEAK", "any_resistant", 25.0),
        ("SULMAX", "any_resistant", 25.0),
    ]
    start = classify(adpet, plan)
    wide = with_cells(start, adpet, plan, needed)
    first = wide[wide["AVISIT"].eq("D14")].set_index(["METRIC", "CUT"])["MRESP"].to_dict()
    # A fall of 20 % of SUVmax, of 50 % of SUVpeak; SULmax was not measured.
    assert first == {
        ("SUVMAX", 25.0): "NON-RESPONDER",
        ("SUVMAX", 15.0): "RESPONDER",
        ("SUVPEAK", 25.0): "RESPONDER",
    }
    assert with_cells(wide, adpet, plan, needed) is wide


# ---- what is estimated


def test_each_estimate_is_that_of_its_patients_from_its_landmark(cohort, ask):
    plan = ask({**CROSSED, "LANDMARK": ["scan", "fixed"]})
    sets = association.prepare(cohort, plan)
    curve = association.estimate_specifications(sets, plan, rng())
    contracts.check("specifications", curve.table)
    main = association.estimate_main(sets, plan, rng()).iloc[0]
    numbers = ["ESTIMATE", "LOWER", "UPPER", "P", "N", "EVENTS", "N_EXPOSED", "EVENTS_EXPOSED"]
    assert curve.table[numbers].iloc[0].tolist() == main[numbers].tolist()
    row = curve.table.query("TIMEPOINT == 'D28' and CUT == 15 and LANDMARK == 'fixed'").iloc[0]
    end = cohort.adtte.query("PARAMCD == 'PFS'").set_index("USUBJID")
    scan = cohort.admr.query("AVISIT == 'D28' and CUT == 15").set_index("USUBJID")
    both = end.join(scan[["MRESP"]], how="inner").join(cohort.adsl.set_index("USUBJID")["TRTSDT"])
    days = (both["ADT"] - both["TRTSDT"]).dt.days - 34  # day 35 is 34 days after day 1
    both, days = both[days > 0], days[days > 0]
    fit = cox(days / 30.4375, both["CNSR"].eq(0), both["MRESP"].eq("NON-RESPONDER").astype(float))
    assert row["ESTIMATE"] == pytest.approx(fit["estimate"][0], rel=1e-9)
    assert row["P"] == pytest.approx(fit["p"][0], rel=1e-9) and row["N"] == len(both)
    ranked = curve.table.sort_values("ESTIMATE")
    assert ranked["RANK"].tolist() == list(range(1, 9))
    assert ranked[["NULL_LOWER", "NULL_MEDIAN", "NULL_UPPER"]].diff().iloc[1:].min().min() >= 0


def test_a_population_that_leaves_out_patients_is_estimated_by_firth(trial, as_cohort, ask):
    adsl, adtte, admr = trial
    outside = admr["USUBJID"].isin(adsl["USUBJID"].iloc[:5])
    cohort = as_cohort((adsl, adtte, admr.assign(PPFL=np.where(outside, "N", "Y"))))
    plan = ask({}, {"POPULATION": ["comparable", "fdg_evaluable"]})
    table = association.estimate_specifications(association.prepare(cohort, plan), plan, rng()).table
    assert table["ESTIMATOR"].tolist() == ["ML", "FIRTH", "ML"]  # everybody has an evaluable lesion
    assert (table["N"] - table["N"][0]).tolist() == [0, -5, 0]


def test_a_planted_effect_is_found_by_all_three_tests_and_no_effect_is_not(simulate, as_cohort, ask):
    plan = ask({**CROSSED, "LANDMARK": ["scan", "fixed"]})
    curves = {
        effect: association.estimate_specifications(
            association.prepare(as_cohort(simulate(seed=3, effect=effect)), plan), plan, rng()
        )
        for effect in (3.0, 0.0)
    }
    tests = curves[3.0].tests
    methods = ["curve_median", "curve_share", "curve_stouffer", "curve_any", "curve_side"]
    assert tests["METHOD"].tolist() == methods
    assert (tests["P"][:3] == 0.01).all()  # the smallest that 99 permutations can give
    assert (curves[0.0].tests["P"][:3] > 0.1).all()
    # What is expected without effect has no p; one specification alone exceeds alpha in alpha of permutations.
    assert tests["P"][3:].isna().all() and tests["ESTIMATE"][3:].between(0.05, 0.95).all()
    assert "any p < 0.05" in tests["LABEL"][3] and "on one side of 1" in tests["LABEL"][4]
    assert tests["LABEL"][3].startswith("without any effect: ") and curves[3.0].reason == ""
    found = curves[3.0].table
    assert (found["ESTIMATE"] > found["NULL_UPPER"]).mean() > 0.8
    size = np.abs(np.log(found["ESTIMATE"]))
    assert tests["ESTIMATE"][0] == pytest.approx(size.median(), rel=1e-9)  # all are by maximum likelihood
    assert tests["ESTIMATE"][1] == pytest.approx((found["P"] < 0.05).mean())
    assert "8 specifications" in tests["LABEL"][0] and "99 permutations" in tests["LABEL"][0]
    assert tests["ROLE"].eq("SENSITIVITY").all() and contracts.check("estimates", tests) is not None


# ---- which side a fact belongs to


def by_hand():
    """Return five patients: both days; day 14 not readable; day 14 alone; event before the scan; no scan."""
    start = pd.Timestamp("2020-01-01")
    ids = ["A", "B", "C", "D", "E"]
    day = lambda number: start + pd.Timedelta(days=number)
    rows = [
        ("A", "D14", day(13), "NON-RESPONDER"), ("A", "D28", day(27), "RESPONDER"),
        ("B", "D14", day(15), "NE"), ("B", "D28", day(30), "NON-RESPONDER"),
        ("C", "D14", day(14), "RESPONDER"),
        ("D", "D14", day(12), "NON-RESPONDER"), ("D", "D28", pd.NaT, "NE"),
        ("E", "D14", pd.NaT, "NE"),
    ]  # fmt: skip
    admr = pd.DataFrame(rows, columns=["USUBJID", "AVISIT", "PETDT", "MRESP"])
    admr = admr.assign(STUDYID="T", METRIC="SUVMAX", RULE="any_resistant", CUT=25.0, SCORE=0.0, NEREAS=None)
    admr = admr.assign(PPFL=np.where(admr["USUBJID"].eq("A"), "N", "Y"))
    days = {"A": 113, "B": 75, "C": 44, "D": 12, "E": 90}
    adtte = pd.DataFrame({"STUDYID": "T", "USUBJID": ids, "PARAMCD": "PFS", "STARTDT": start})
    adtte = adtte.assign(ADT=[day(days[one]) for one in ids], AVAL=[days[one] + 1.0 for one in ids])
    adtte["CNSR"] = [0, 1, 0, 0, 0]
    adsl = pd.DataFrame({"STUDYID": "T", "USUBJID": ids, "TRTSDT": start, "PILOTFL": "Y"})
    return adsl, adtte, admr


def test_outcomes_stay_with_the_scan_date_and_classes_move_with_membership(as_cohort, ask):
    plan = ask({"TIMEPOINT": None}, {"LANDMARK": ["fixed"], "POPULATION": ["comparable"]})
    sets = association.prepare(as_cohort(by_hand()), plan)
    first = sets.analyses["PFS"]
    analyses = [
        first,
        replace(first, timepoint="D28"),
        replace(first, landmark="fixed"),
        replace(first, population="comparable"),
    ]
    tables = {
        name: apply_population(sets.everyone, sets.cohort.adpet, plan, population=name)
        for name in ("all_scans", "comparable")
    }
    sides = gather_sides(analyses, tables, sets, plan)
    # E was never scanned: nothing of hers can move, and nobody's class can come to her.
    assert sides.subjects == ["A", "B", "C", "D"]
    assert sides.strata.tolist() == ["D14+D28", "D14+D28", "D14", "D14"]
    lost = np.nan
    # Days from the own scan (or from day 35), the outcome of B known though her day 14 gave no class; D had
    # her event on the day of the scan.
    days = [[100, 86, 79, 100], [60, 45, 41, 60], [30, lost, 10, 30], [lost, lost, lost, lost]]
    assert np.allclose(sides.time * 30.4375, days, equal_nan=True)
    assert sides.event[:3].tolist() == [4 * [True], 4 * [False], [True, False, True, True]]
    # A's scans are not comparable: her class is gone there, her outcome is not.
    classes = [[1, 0, 1, lost], [lost, 1, lost, lost], [0, lost, 0, 0], [1, lost, 1, 1]]
    assert np.allclose(sides.exposed, classes, equal_nan=True)


def test_time_and_class_are_both_known_of_exactly_the_patients_analysed(simulate, as_cohort, ask):
    lost = {(f"PEARL-1-{k:03d}", day) for k, day in ((1, "D14"), (7, "D14"), (7, "D28"), (40, "D14"))}
    adsl, adtte, admr = simulate(seed=5, missing=lost)
    unread = admr["USUBJID"].eq("PEARL-1-010") & admr["AVISIT"].eq("D14")
    admr["MRESP"] = admr["MRESP"].mask(unread, "NE")  # a scan that was made and cannot be read
    plan = ask({**CROSSED, "LANDMARK": None})
    sets = association.prepare(as_cohort((adsl, adtte, admr)), plan)
    table = association.estimate_specifications(sets, plan, rng()).table
    analyses = [
        replace(sets.analyses["PFS"], timepoint=row.TIMEPOINT, cut=row.CUT, landmark=row.LANDMARK)
        for row in table.itertuples()
    ]
    sides = gather_sides(analyses, {"all_scans": sets.everyone}, sets, plan)
    columns = ["USUBJID", "time", "event", "exposed"]
    for k, one in enumerate(analyses):
        expected, _ = association.analysis_set(one, admr, adtte, adsl, plan)
        pd.testing.assert_frame_equal(sides.data(k)[columns], expected[columns])
        assert table["N"][k] == len(expected) and table["EVENTS"][k] == expected["event"].sum()
    assert len(table) == 12 and set(sides.strata) == {"D14", "D28", "D14+D28"}


# ---- what must not matter, and what is degenerate


def test_the_order_of_rows_changes_nothing_and_nothing_given_is_changed(trial, as_cohort, ask):
    plan = ask(CROSSED)
    mixed = tuple(frame.sample(frac=1, random_state=2).reset_index(drop=True) for frame in trial)
    copies = [frame.copy() for frame in trial]
    one, two = (
        association.estimate_specifications(association.prepare(as_cohort(given), plan), plan, rng())
        for given in (trial, mixed)
    )
    pd.testing.assert_frame_equal(one.table, two.table)
    pd.testing.assert_frame_equal(one.tests, two.tests)
    for frame, copy in zip(trial, copies, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


def of_subjects(count):
    return lambda adsl, adtte, admr: tuple(
        frame[frame["USUBJID"].isin(adsl["USUBJID"].iloc[:count])] for frame in (adsl, adtte, admr)
    )


DEGENERATE = {
    "no event": lambda adsl, adtte, admr: (adsl, adtte.assign(CNSR=1), admr),
    "one group": lambda adsl, adtte, admr: (adsl, adtte, admr.assign(MRESP="NON-RESPONDER")),
    "nobody has a class": lambda adsl, adtte, admr: (adsl, adtte, admr.assign(MRESP="NE")),
    "nobody after the landmark": lambda adsl, adtte, admr: (
        adsl, adtte.assign(ADT=adtte["STARTDT"], AVAL=1.0), admr
    ),
    "one day": lambda adsl, adtte, admr: (adsl, adtte, admr[admr["AVISIT"].eq("D14")]),
    "two patients": of_subjects(2),
    "one patient": of_subjects(1),
}  # fmt: skip
KNOWN = {"one day": 2, "two patients": None}  # how many can be estimated; None: whatever the two allow


@pytest.mark.parametrize("name", DEGENERATE)
def test_what_cannot_be_estimated_says_why_and_stops_nothing(name, trial, as_cohort, ask):
    plan = ask(CROSSED)
    sets = association.prepare(as_cohort(DEGENERATE[name](*trial)), plan)
    curve = association.estimate_specifications(sets, plan, rng())
    contracts.check("specifications", curve.table)
    known = curve.table["STATUS"].eq("ESTIMATED")
    assert len(curve.table) == 4 and len(curve.tests) == (5 if known.any() else 0)
    assert curve.table.loc[~known, "REASON"].str.len().gt(10).all()
    assert curve.table.loc[~known, "RANK"].isna().all() and curve.table.loc[known, "ESTIMATE"].notna().all()
    if KNOWN.get(name, 0) is not None:
        assert known.sum() == KNOWN.get(name, 0)


def test_a_study_of_the_baseline_scan_has_no_specification(cohort, ask):
    plan = ask(CROSSED, **{"primary.exposure": "baseline_metric"})
    curve = association.estimate_specifications(association.prepare(cohort, plan), plan, rng())
    assert (
        curve.reason
        == "The exposure is read from one scan: there is no rule, cut or day of response to vary."
    )
    assert curve.table.empty and curve.tests.empty and association.needed_classes(plan) == []
    contracts.check("specifications", curve.table)
    contracts.check("estimates", curve.tests)
