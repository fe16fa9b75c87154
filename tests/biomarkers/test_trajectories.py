"""Courses over time: what is a level, what is censored, what is left out; the model of `fit_course`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from analysis import plan
from analysis.biomarkers.censored_mixed import fit_censored_mixed
from analysis.biomarkers.mapped_course import estimate_mapped_course, name_model
from analysis.biomarkers.trajectories import (
    CourseFit,
    estimate_course,
    estimate_trajectories,
    fit_course,
    predict_course,
    tabulate_courses,
)
from analysis.contracts import check

sys.path.insert(0, str(Path(__file__).parent))  # the tables beside this file
from biomarker_frames import make_outcomes, make_plasma

DET, ND, NA = "DETECTED", "NOT DETECTED", "NOT ASSESSABLE"
REFERENCE = Path(__file__).parents[1] / "reference"
RULES = plan.defaults().biomarkers


def make_courses(*, subjects=16, seed=5, limit=0.002):
    """Return a course of four draws a subject; the logit rises by 0.8 in four weeks in non-responders only."""
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(subjects):
        worse, own = place % 2, rng.normal(0, 0.8)
        for day in (1, 29, 57, 85):
            level = expit(-4 + own + 0.8 * worse * (day - 1) / 28 + rng.normal(0, 0.3))
            word = "NON-RESPONDER" if worse else "RESPONDER"
            rows.append((f"S{place}", "UNSCHED", day, max(level, limit), limit, level <= limit, word, None))
    columns = ["USUBJID", "AVISIT", "DAY", "LEVEL", "LIMIT", "CENSORED", "MRESP", "ASIDE"]
    return pd.DataFrame(rows, columns=columns)


def test_a_draw_is_a_level_a_limit_or_set_aside_with_a_reason():
    adbm = make_plasma(
        [
            ("A", "D0", DET, 0.05, 0.1),
            ("A", "D14", DET, 0.001, 0.002),  # under the limit of 0.002: censored whatever the word
            ("A", "D28", ND, np.nan, None),
            ("B", "D0", NA, np.nan, None),
            ("B", "D14", DET, np.nan, None),
            ("B", "D28", ND, np.nan, None),
            ("C", "D0", DET, 0.05, None),
            ("D", "D0", DET, np.nan, 0.07),  # detected by a fraction alone: its VAF is over the limit
        ]
    )
    adbm["ADY"] = adbm["AVISIT"].map({"D0": 1.0, "D14": 14.0, "D28": 28.0})
    adbm.loc[adbm["SAMPLEID"].isin(["B-D14", "B-D28"]), "LOD"] = np.nan
    adbm.loc[adbm["USUBJID"] == "C", "ADY"] = np.nan
    found = tabulate_courses(adbm, make_outcomes({"A": 1, "B": 0})).set_index("SAMPLEID")
    assert found.loc[["A-D0", "A-D14", "A-D28"], "LEVEL"].tolist() == [0.05, 0.002, 0.002]
    assert found.loc[["A-D0", "A-D14", "A-D28"], "CENSORED"].tolist() == [False, True, True]
    assert found["ASIDE"].dropna().to_dict() == {
        "B-D0": "not assessable",
        "B-D14": "no level",
        "B-D28": "not detected, no limit of detection",
        "C-D0": "no study day",
    }
    assert found.index[found["ABOVE"]].tolist() == ["D-D0"] and found.loc["D-D0", "LEVEL"] == 0.002
    assert not found.loc["D-D0", "CENSORED"]
    fraction = tabulate_courses(adbm, make_outcomes({}), measure="TUMFRAC").set_index("SAMPLEID")
    assert fraction.loc["D-D0", "LEVEL"] == 0.07 and not fraction.loc["D-D0", "ABOVE"]
    assert found.loc["A-D0", "MRESP"] == "NON-RESPONDER"
    assert pd.isna(found.loc["C-D0", "MRESP"])


def test_what_is_left_out_is_counted_by_reason():
    courses = make_courses()
    courses.loc[0, "ASIDE"] = "not assessable"
    courses.loc[[5, 6], "AVISIT"] = "PROG"
    courses.loc[7, "DAY"] = 366
    courses.loc[courses["USUBJID"] == "S15", "MRESP"] = None
    result = estimate_trajectories(courses)
    check("estimates_biomarkers", result.estimates)
    note = result.estimates["NOTE"].iloc[0]
    assert "56 values of 15 subjects" in note
    for said in ("after day 365 1", "not assessable 1", "response unknown 4", "taken at progression 2"):
        assert said in note
    assert result.estimates["MARKER"].tolist() == ["TIME", "GROUP", "TIME:GROUP"]
    assert result.estimates[["N", "N_POS"]].iloc[0].tolist() == [15, 7]


def test_a_planted_difference_of_slopes_is_found_and_the_flat_group_is_flat():
    rows = estimate_trajectories(make_courses(subjects=40)).estimates.set_index("MARKER")
    # Planted: 0.8 in four weeks in non-responders, 0 in responders.
    assert rows.loc["TIME:GROUP", "LOWER"] < 0.8 < rows.loc["TIME:GROUP", "UPPER"]
    assert rows.loc["TIME:GROUP", "P"] < 1e-4
    assert rows.loc["TIME", "LOWER"] < 0 < rows.loc["TIME", "UPPER"]
    assert set(rows["STATISTIC"]) == {"logit_difference"}


def fit_once(courses):
    """Fit the medians alone, without tests of the terms."""
    group = (courses["MRESP"] == "NON-RESPONDER").astype(float)
    rows = courses.assign(SINCE=courses["DAY"] - 1.0, GROUP=group)
    time = rows["SINCE"].to_numpy() / 28
    design = np.column_stack([np.ones(len(rows)), time, group, time * group])
    fit = fit_censored_mixed(logit(rows["LEVEL"]), rows["CENSORED"], design, rows["USUBJID"])
    return CourseFit(fit, np.full(4, np.nan), rows, "logit", 28.0)


def test_detected_draws_without_a_level_are_kept_as_over_the_limit():
    # Eight patients without a variant to follow: only that they are detected, or not, is known. To drop what was
    # detected in them, and keep what was not, pulls the level down.
    rng = np.random.default_rng(2)
    full = make_courses(subjects=24, limit=0.02).assign(ABOVE=False)
    nameless = full["USUBJID"].isin([f"S{place}" for place in rng.choice(24, 8, replace=False)])
    lost = nameless & ~full["CENSORED"]
    above = full.assign(ABOVE=lost, LEVEL=full["LEVEL"].mask(lost, full["LIMIT"]))
    kept = estimate_trajectories(above)
    assert f"{int(lost.sum())} detected without a level" in kept.estimates["NOTE"].iloc[0]
    curves = [kept.table] + [predict_course(fit_once(courses)) for courses in (full[~lost], full)]
    kept, dropped, truth = (np.log(curve.groupby("GROUP")["MEDIAN"].first()).to_numpy() for curve in curves)
    assert (np.abs(kept - truth) < 0.2).all()
    assert (dropped < truth).all() and dropped.mean() < truth.mean() - 0.3


def test_a_slope_the_quadrature_cannot_integrate_is_not_said_to_have_no_maximum():
    rng = np.random.default_rng(4)
    courses = make_courses(subjects=24, limit=0.002)
    since = (courses["DAY"] - 1) / 28
    own = courses["USUBJID"].map(dict(zip(courses["USUBJID"].unique(), rng.normal(0, 1.5, 24), strict=True)))
    level = expit(-4 + own * since + rng.normal(0, 0.002, len(courses)))
    courses = courses.assign(LEVEL=level.clip(0.002), CENSORED=level <= 0.002)
    rules = plan.defaults().override({"biomarkers.trajectory_random": "intercept_slope"}).biomarkers
    found = estimate_trajectories(courses, rules=rules)
    assert found.estimates["TESTED"].eq("N").all()
    assert "no reliable maximum" in found.reason and "not exact enough" in found.reason


def test_a_course_equals_the_model_of_r_in_its_own_units():
    data = pd.read_csv(REFERENCE / "censored_mixed_data.csv").query("dataset == 'course'")
    wanted = pd.read_csv(REFERENCE / "r_censored_mixed.csv").query("case == 'course_intercept'")
    wanted = wanted.set_index("quantity")["value"]
    # R's time is in units of 28 days from first dose; its y is a logit.
    frame = pd.DataFrame(
        {
            "USUBJID": data["subject"],
            "DAY": 28 * data["time"] + 1,
            "LEVEL": expit(data["y"]),
            "LIMIT": expit(-4.6),
            "GROUP": data["group"],
        }
    )
    result = estimate_course(frame, scale="logit", outcome="VAF", labels={"PARTYPE": "CTDNA"})
    for row, term in zip(result.estimates.itertuples(), ("time", "group", "time:group"), strict=True):
        assert pytest.approx(wanted[f"coef {term}"], rel=1e-5) == row.ESTIMATE
        half = (row.UPPER - row.LOWER) / 2
        assert half == pytest.approx(1.959963985 * wanted[f"se {term}"], rel=1e-5)
    assert "20 censored" in result.estimates["NOTE"].iloc[0]
    # At first dose the median of group 0 is the intercept.
    start = result.table[(result.table["GROUP"] == 0) & (result.table["DAY"] == 1)].iloc[0]
    assert start["MEDIAN"] == pytest.approx(expit(wanted["coef intercept"]), rel=1e-5)


def test_the_prediction_of_a_group_is_a_line_on_the_scale():
    courses = make_courses()
    rows = courses.assign(
        SINCE=courses["DAY"] - 1.0, GROUP=(courses["MRESP"] == "NON-RESPONDER").astype(float)
    )
    course = fit_course(rows, scale="log", random="intercept", unit_days=28.0)
    table = predict_course(course, days=[-1, 1, 29, 57])
    one = np.log(table.loc[table["GROUP"] == 1, "MEDIAN"].to_numpy())
    slope = course.fit.coef[1] + course.fit.coef[3]
    # Day -1 is one day before day 1: there is no day 0.
    assert np.diff(one) == pytest.approx([slope / 28, slope, slope])
    assert (table["LOWER"] < table["MEDIAN"]).all()
    assert (table["MEDIAN"] < table["UPPER"]).all()


def test_another_quantity_than_ctdna_has_names_of_its_own():
    courses = make_courses()
    frame = courses.assign(GROUP=(courses["MRESP"] == "NON-RESPONDER").astype(float))
    frame.loc[0, ["LEVEL", "LIMIT", "CENSORED"]] = [0.0, np.nan, False]
    result = estimate_course(
        frame,
        scale="log",
        outcome="SIZE",
        labels={"PARTYPE": "LEVEL"},
        marker_names={"GROUP": "CTDNA_RISE"},
        left_out={"target lesion not measured": 3},
    )
    assert result.estimates["MARKER"].tolist() == ["TIME", "CTDNA_RISE", "TIME:GROUP"]
    assert set(result.estimates["STATISTIC"]) == {"log_difference"}
    note = result.estimates["NOTE"].iloc[0]
    assert "target lesion not measured 3, no value on the log scale 1" in note


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda frame: frame.iloc[:0], "fewer than 4 subjects in one group"),
        (lambda frame: frame[frame["GROUP"] == 1], "fewer than 4 subjects in one group"),
        (lambda frame: frame.assign(LEVEL=0.002, LIMIT=0.002), "do not carry 4 coefficients"),
        (lambda frame: frame.assign(DAY=1.0), "not independent"),
        # Responders: detected at first dose, never again.
        (
            lambda frame: frame.assign(
                CENSORED=(frame["GROUP"] == 0) & (frame["DAY"] > 1), LEVEL=frame["LEVEL"].clip(0.01)
            ),
            "no reliable maximum",
        ),
    ],
)
def test_what_cannot_be_fitted_is_three_rows_with_the_reason(change, reason):
    courses = make_courses(limit=0.0005)
    frame = change(courses.assign(GROUP=(courses["MRESP"] == "NON-RESPONDER").astype(float)))
    result = estimate_course(frame, scale="logit", outcome="VAF", labels={"PARTYPE": "CTDNA"}, rules=RULES)
    check("estimates_biomarkers", result.estimates)
    assert result.estimates["TESTED"].tolist() == ["N", "N", "N"]
    assert result.estimates[["ESTIMATE", "P"]].isna().all(axis=None)
    assert reason in result.reason
    assert result.table.empty


def test_a_course_relative_to_baseline_starts_at_one_and_has_no_group_at_first_dose():
    # R, nlme 3.1: d <- subset(course data, time > 0); y taken as measured throughout
    #   m <- lme(y ~ 0 + time + time:group, random = ~1 | subject, data = d, method = "ML"); fixef(m)
    #   anova(m, lme(y ~ 0 + time, ...)): likelihood ratio 0.4587805, p 0.49819444
    data = pd.read_csv(REFERENCE / "censored_mixed_data.csv").query("dataset == 'course'")
    mapping = {"value": "v", "value_is": "percent_change", "groups": {"a": "A", "b": "B"}, "resistant": ["B"]}
    mapping |= {"file": "f.csv", "subject": "id", "time": "t", "group": "g", "floor": 0.02}
    rules = plan.defaults().override({"biomarkers.course_table": mapping}).biomarkers
    course = pd.DataFrame(
        {
            "USUBJID": data["subject"],
            "DAY": 28.0 * data["time"],
            "LEVEL": np.exp(data["y"]).where(data["time"] > 0, 1.0),
            "LIMIT": np.nan,
            "CENSORED": False,
            "GROUP": data["group"].map({0: "A", 1: "B"}),
        }
    )
    found = estimate_mapped_course(course, rules=rules)
    check("estimates_biomarkers", found.estimates)
    rows = found.estimates.set_index("MARKER")
    assert rows.loc["TIME", "ESTIMATE"] == pytest.approx(-0.1124934951, rel=1e-4)
    assert rows.loc["TIME:GROUP", "ESTIMATE"] == pytest.approx(0.1034512798, rel=1e-4)
    assert rows.loc["TIME:GROUP", "P"] == pytest.approx(0.49819444, rel=1e-4)
    assert rows.loc["GROUP", "TESTED"] == "N" and np.isnan(rows.loc["GROUP", "ESTIMATE"])
    assert "everybody starts at baseline = 1" in rows.loc["GROUP", "NOTE"]
    assert "random intercept" in rows.loc["TIME", "NOTE"]
    assert rows["NOTE"].str.contains("they describe and predict nothing").all()
    start = found.table[found.table["DAY"] == 0]
    assert start["MEDIAN"].tolist() == [1.0, 1.0] and start["UPPER"].tolist() == [1.0, 1.0]
    assert set(name_model(found.table, course, rules)["GROUP"]) == {"A", "B"}
