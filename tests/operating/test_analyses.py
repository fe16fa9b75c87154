"""The analyses of virtual trials are those of notebook 04 on the tables of the same patients."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.operating import kernel
from analysis.operating.analyses import analyse_endpoint, compute_scores
from analysis.operating.follow import follow, follow_everybody
from analysis.survival import cox, log_rank
from analysis.survival.association import Cohort, estimate_main, prepare
from analysis.survival.association.pilot_choice import build_stages
from analysis.survival.cutpoint import max_selected_log_rank
from analysis.survival.log_rank import log_rank_scores
from analysis.survival.two_stage import two_stage_test

CHECKED = (0, 1, 2)


@pytest.fixture(scope="module")
def found(world):
    rng = np.random.default_rng(8)
    given = (world.trials, world.scans, world.choices)
    return {name: analyse_endpoint(*given, name, world.plan, rng) for name in ("PFS", "OS")}


@pytest.fixture(scope="module")
def studies(world, tables):
    """Notebook 04's sets and estimates of some of the trials, at the day the pilot chose."""
    made = {}
    for trial in CHECKED:
        day = world.plan.design.followup_visits[int(world.choices.day[trial])]
        study = tables(world, trial, later=bool(world.choices.day[trial]))
        cohort = Cohort(study.admr, None, study.adtte, study.adsl, study.adtte.iloc[:0])
        sets = prepare(cohort, world.plan, decision={"timepoint": day})
        made[trial] = (sets, estimate_main(sets, world.plan, np.random.default_rng(1)), study)
    return made


def check_fit(found, name, trial, row):
    """Compare one fit with a row of notebook 04, which has no numbers where the likelihood is monotone."""
    expected = np.log([row[column] for column in ("ESTIMATE", "LOWER", "UPPER")])
    coef = found["coef", name][trial]
    if np.isnan(expected[0]):
        assert "separation" in row["LABEL"] and name == "cox_ml" and np.isinf(coef)
        return False
    limits = [found[item, name][trial] for item in ("lower", "upper")]
    assert [coef, *limits] == pytest.approx(list(expected), abs=1e-7)
    return True


def test_hazard_ratios_limits_and_tests_are_those_of_notebook_04(world, found, studies):
    compared = []
    for trial, (_, rows, _) in studies.items():
        for endpoint, mine in found.items():
            own = rows[rows["ENDPOINT"].eq(endpoint)]
            fits = own[own["METHOD"].eq("cox")].set_index(["ESTIMATOR", "TIES"])
            compared.append(check_fit(mine, "cox_ml", trial, fits.loc[("ML", world.plan.survival.ties_ml)]))
            compared.append(check_fit(mine, "cox_firth", trial, fits.loc[("FIRTH", "breslow")]))
            assert mine["coef", "chosen"][trial] == pytest.approx(np.log(fits["ESTIMATE"].iloc[0]), abs=1e-7)
        # Endpoints after one that is not significant have no p in notebook 04.
        tests = rows[rows["ENDPOINT"].eq("PFS")].set_index("METHOD")["P"]
        p = tests["logrank_permutation"]
        error = 5 * np.sqrt(2 * p * (1 - p) / 2000) + 1e-3
        assert found["PFS"]["p", "chosen"][trial] == pytest.approx(p, abs=error)
        assert found["PFS"]["p", "chosen_asymptotic"][trial] == pytest.approx(tests["logrank"], abs=1e-9)
    assert compared.count(False) == 1  # one trial of three: a monotone likelihood of OS


def test_p_of_the_likelihood_ratio_is_that_of_cox(world, found):
    part = follow(world.trials, world.scans, world.choices.day, "PFS", world.plan)
    for trial in CHECKED:
        inside = np.isfinite(part.time[trial])
        arrays = [values[trial][inside] for values in (part.time, part.event, part.exposed)]
        for name, penalty in (("cox_ml", None), ("cox_firth", "firth")):
            slow = cox(*arrays, penalty=penalty)["p"].iloc[0]
            assert found["PFS"]["p", name][trial] == pytest.approx(slow, abs=1e-7)


def test_counts_of_each_day_are_those_of_its_landmark_analysis(world, found, tables):
    for trial in CHECKED:
        study = tables(world, trial)
        for day in world.plan.design.followup_visits:
            cohort = Cohort(study.admr, None, study.adtte, study.adsl, study.adtte.iloc[:0])
            data = prepare(cohort, world.plan, decision={"timepoint": day}).data["PFS"]
            get = {item: found["PFS"][item, day][trial] for item in ("patients", "events", "nonresponse")}
            expected = [len(data), data["event"].sum(), data["exposed"].mean()]
            assert list(get.values()) == pytest.approx(expected, abs=1e-12)


def test_the_best_cut_is_that_of_the_maximally_selected_log_rank(world, found, studies):
    low, high = world.plan.survival.maxstat_range
    for trial, (sets, _, _) in studies.items():
        data = sets.data["PFS"]
        arrays = (data["time"], data["event"])
        slow = max_selected_log_rank(
            *arrays, data["SCORE"], min_share=low, max_share=high, methods="lausen94"
        ).iloc[0]
        above = (data["SCORE"] > slow["cut"]).astype(float)
        assert found["PFS"]["p", "optimal_cut_corrected"][trial] == pytest.approx(slow["p"], abs=1e-9)
        assert found["PFS"]["p", "optimal_cut"][trial] == pytest.approx(log_rank(*arrays, above)["p"].iloc[0])
        assert found["PFS"]["coef", "optimal_cut"][trial] == pytest.approx(
            cox(*arrays, above)["coef"].iloc[0], abs=1e-6
        )


def test_the_stages_of_the_corrected_test_are_those_of_notebook_04(world, found, studies, monkeypatch):
    """The same stages, weights and day; p then differs by its permutations alone."""
    from analysis.operating import analyses

    seen = {}

    def spy(pilot, extension, chosen, weights, permutations, rng):
        found = two_stage_test(pilot, extension, chosen, weights, permutations, rng)
        seen[len(seen)] = (pilot, extension, chosen, weights)
        return found

    monkeypatch.setattr(analyses, "two_stage_test", spy)
    analyse_endpoint(world.trials, world.scans, world.choices, "PFS", world.plan, np.random.default_rng(0))
    order = {trial: k for k, trial in enumerate(np.flatnonzero(world.choices.by_outcome))}
    compared = [trial for trial in CHECKED if trial in order]
    assert compared
    for trial in compared:
        sets, _, _ = studies[trial]
        slow = build_stages(sets.analyses["PFS"], sets, world.plan)
        fast = seen[order[trial]]
        assert fast[2] == world.choices.day[trial] and fast[3] == (25, 13)
        for mine, theirs in zip(fast[:2], slow, strict=True):
            assert len(mine.scores) == len(theirs.scores)
            days = [0, 1] if mine is fast[0] else [fast[2]]
            assert mine.exposed[:, days] == pytest.approx(theirs.exposed[:, days], nan_ok=True)
            assert mine.scores[:, days] == pytest.approx(theirs.scores[:, days], abs=1e-12)


def test_where_the_fallback_chose_nothing_is_corrected(world, found):
    fallback = world.choices.fallback
    pooled, corrected = found["PFS"]["p", "chosen"], found["PFS"]["p", "two_stage"]
    assert fallback.any() and (pooled[fallback] == corrected[fallback]).all()
    assert (pooled[~fallback] != corrected[~fallback]).any()
    none = world.plan.override({"pilot.correction": "none"})
    rng = np.random.default_rng(8)
    plain = analyse_endpoint(world.trials, world.scans, world.choices, "PFS", none, rng)
    assert (plain["p", "two_stage"] == plain["p", "chosen"]).all()


def test_the_naive_analyses_take_everybody_and_call_a_missing_scan_non_response(world, tables):
    study = tables(world, 0)
    admr = study.admr[study.admr["AVISIT"].eq("D28")].set_index("USUBJID")["MRESP"]
    pfs = study.adtte[study.adtte["PARAMCD"].eq("PFS")].set_index("USUBJID")
    expected = (admr != "RESPONDER").astype(float)
    naive = follow_everybody(world.trials, world.scans, True, "PFS", 0)
    assert naive.exposed[0].tolist() == expected.tolist() and (admr == "NE").any()
    assert naive.time[0].tolist() == pfs["AVAL"].tolist()
    common = follow_everybody(world.trials, world.scans, True, "PFS", 35)
    after = pfs["AVAL"] - 35
    kept = after > 0
    assert np.isfinite(common.time[0]).tolist() == kept.tolist()
    assert common.time[0][kept].tolist() == after[kept].tolist()


@pytest.mark.parametrize("landmark", ["scan", "fixed", "none"])
def test_time_zero_is_the_plans(world, tables, landmark):
    from analysis.survival.association import analysis_set, main_analysis

    plan = world.plan.override({"primary.landmark": landmark})
    study = tables(world, 3)
    analysis = main_analysis(study.admr, plan, timepoint="D14")
    data, _ = analysis_set(analysis, study.admr, study.adtte, study.adsl, plan)
    part = follow(world.trials, world.scans, False, "PFS", plan)
    inside = np.isfinite(part.time[3])
    assert part.time[3][inside] / plan.design.days_per_month == pytest.approx(data["time"], abs=1e-12)
    assert part.event[3][inside].tolist() == data["event"].tolist()
    assert (part.exposed[3][inside] == 1).tolist() == data["exposed"].tolist()


def test_scores_are_those_of_the_log_rank_and_0_for_who_is_not_in_it(world):
    rng = np.random.default_rng(3)
    time = rng.integers(1, 9, (20, 25)).astype(float)
    time[rng.random(time.shape) < 0.2] = np.nan
    part = replace(
        follow(world.trials, world.scans, False, "PFS", world.plan),
        time=time,
        event=rng.random(time.shape) < 0.6,
    )
    scores = compute_scores(part)
    for row, values in enumerate(scores):
        inside = np.isfinite(time[row])
        assert values[inside] == pytest.approx(
            log_rank_scores(time[row][inside], part.event[row][inside]), abs=1e-12
        )
        assert (values[~inside] == 0).all()


def test_the_permutation_p_is_the_exact_one_within_its_error():
    rng = np.random.default_rng(6)
    time, event = rng.exponential(size=(4, 14)), rng.random((4, 14)) < 0.8
    exposed = (rng.random((4, 14)) < 0.6).astype(float)
    scores, p = np.empty_like(time), np.empty(4)
    kernel.score_rows(time, event, scores)
    kernel.permutation_rows(scores, exposed, 40000, rng, p)
    for row in range(4):
        exact = log_rank(time[row], event[row], exposed[row], method="exact")["p"].iloc[0]
        assert p[row] == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 40000) + 1e-4)


def test_a_comparison_without_events_or_with_one_group_has_no_p():
    scores, p = np.array([[0.0, 0.0, 0.0], [0.5, 0.2, -0.7]]), np.empty(2)
    kernel.permutation_rows(
        scores, np.array([[1.0, 0.0, 1.0], [1.0, 1.0, np.nan]]), 10, np.random.default_rng(0), p
    )
    assert np.isnan(p).all()


def test_an_optimal_cut_rejects_far_too_often_and_its_corrected_p_does_not(simulate):
    """Bounded: 200 null trials; uncorrected the level is some .4 (statistics.md section 5), so never below .25."""
    null = {"virtual.hr_score": 1.0, "virtual.hr_ctdna": 1.0, "virtual.hr_gene": 1.0}
    world = simulate(trials=200, **null, **{"operating.permutations": 200})
    found = analyse_endpoint(
        world.trials, world.scans, world.choices, "PFS", world.plan, np.random.default_rng(0)
    )
    share = {name: np.nanmean(values <= 0.05) for (item, name), values in found.items() if item == "p"}
    assert share["optimal_cut"] > 0.25
    limit = 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / 200)
    for name in ("optimal_cut_corrected", "fixed_earlier", "fixed_later", "two_stage", "extension_only"):
        assert share[name] < limit, name
    assert pd.Series(found["coef", "fixed_earlier"]).median() == pytest.approx(
        0, abs=3.5 * 0.34 / np.sqrt(200) * 1.25
    )
