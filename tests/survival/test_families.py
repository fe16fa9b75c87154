"""Every family of estimates on every kind of degenerate data: rows with a reason, never a failed notebook."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.survival import association

FAMILIES = {
    "diagnostics": lambda sets, plan, rng: sets.each(association.estimate_diagnostics, plan),
    "adjusted": lambda sets, plan, rng: sets.each(association.estimate_adjusted, plan, rng),
    "score": lambda sets, plan, rng: sets.each(association.estimate_score_effect, plan),
    "spline": lambda sets, plan, rng: sets.each(association.estimate_spline, plan),
    "sweep": lambda sets, plan, rng: sets.each(association.estimate_sweep, plan),
    "selected": lambda sets, plan, rng: sets.each(association.estimate_selected_cut, plan, rng),
    "cut_bootstrap": lambda sets, plan, rng: sets.each(association.estimate_cut_bootstrap, plan, rng),
    "discrimination": lambda sets, plan, rng: sets.each(association.estimate_discrimination, plan, rng),
    "predictive": lambda sets, plan, rng: sets.each(association.estimate_predictive_values, plan),
    "main": association.estimate_main,
    "time_zeros": lambda sets, plan, rng: association.estimate_time_zeros(sets, plan),
    "scan_grid": lambda sets, plan, rng: association.estimate_scan_grid(sets, plan),
    "missing": lambda sets, plan, rng: association.estimate_missing(sets, plan),
    "populations": lambda sets, plan, rng: association.estimate_populations(sets, plan),
    "grids": lambda sets, plan, rng: association.estimate_grids(sets, plan),
    "baseline": association.estimate_baseline,
}


def no_event(trial):
    adsl, adtte, admr = trial
    return adsl, adtte.assign(CNSR=1), admr


def one_group(trial):
    adsl, adtte, admr = trial
    return adsl, adtte, admr.assign(MRESP="NON-RESPONDER")


def one_score(trial):
    adsl, adtte, admr = trial
    return adsl, adtte, admr.assign(SCORE=-0.1, MRESP="NON-RESPONDER")


def no_score(trial):
    adsl, adtte, admr = trial
    return adsl, adtte, admr.assign(SCORE=np.nan)


def all_tied(trial):
    adsl, adtte, admr = trial
    when = adtte["STARTDT"] + pd.Timedelta(days=99)
    return adsl, adtte.assign(ADT=when, AVAL=100.0, CNSR=0), admr


def separated(trial):
    """Every non-responder has the event at once, no responder ever."""
    adsl, adtte, admr = trial
    worse = admr.loc[
        admr["AVISIT"].eq("D14") & admr["CUT"].eq(25) & admr["MRESP"].eq("NON-RESPONDER"), "USUBJID"
    ]
    event = adtte["USUBJID"].isin(worse)
    days = np.where(event, 40 + np.arange(len(adtte)) % 30, 300)
    when = adtte["STARTDT"] + pd.to_timedelta(days, "D")
    return adsl, adtte.assign(ADT=when, AVAL=days + 1.0, CNSR=(~event).astype(int)), admr


def of_subjects(count):
    def reduce(trial):
        adsl, adtte, admr = trial
        keep = adsl["USUBJID"].iloc[:count]
        return tuple(
            frame[frame["USUBJID"].isin(keep)].reset_index(drop=True) for frame in (adsl, adtte, admr)
        )

    return reduce


def gone_by_the_landmark(trial):
    adsl, adtte, admr = trial
    return adsl, adtte.assign(ADT=adtte["STARTDT"], AVAL=1.0, CNSR=0), admr


DATA = {
    "no event": no_event,
    "one group": one_group,
    "one score": one_score,
    "no score": no_score,
    "all events tied": all_tied,
    "separated": separated,
    "two patients": of_subjects(2),
    "one patient": of_subjects(1),
    "nobody after the landmark": gone_by_the_landmark,
}


@pytest.fixture(scope="module")
def quick(plan):
    few = {
        "survival.permutations": 20,
        "survival.cut_bootstrap": 10,
        "survival.optimism_bootstrap": 5,
        "primary.timepoint": "D14",
    }
    return type(plan)(plan.study, {**plan.values, **few})


@pytest.mark.parametrize("name", DATA)
def test_every_family_gives_rows_that_keep_the_contract(name, trial, as_cohort, quick):
    sets = association.prepare(as_cohort(DATA[name](trial)), quick)
    for family, estimate in FAMILIES.items():
        rows = estimate(sets, quick, np.random.default_rng(3))
        contracts.check("estimates", rows)
        lacking = rows[rows["ESTIMATE"].isna() & rows["P"].isna()]
        # A median or S(t) that is not reached needs no reason; whatever else is missing says why.
        lacking = lacking[~lacking["METHOD"].str.startswith(("km_", "missing_pet", "power"))]
        unexplained = lacking[~lacking["LABEL"].str.contains("not (?:estimable|tested|needed)", regex=True)]
        assert unexplained.empty, f"{family}: {unexplained[['METHOD', 'LABEL']].to_numpy().tolist()}"
        bounded = rows.dropna(subset=["ESTIMATE", "LOWER", "UPPER"])
        inside = bounded["ESTIMATE"].between(bounded["LOWER"] - 1e-9, bounded["UPPER"] + 1e-9)
        assert inside.all(), f"{family}: {bounded[~inside][['METHOD', 'ESTIMATE', 'LOWER', 'UPPER']]}"
    contracts.check("diagnostics", sets.tabulate(association.tabulate_diagnostics, quick))
    for curves in (
        sets.tabulate(association.tabulate_landmark_curves, quick),
        association.tabulate_time_dependent_curves(sets, quick),
    ):
        contracts.check("curves", curves if len(curves) else contracts.empty("curves"))


def test_a_median_not_reached_and_a_refusal_stay_and_a_covariate_not_known_goes(
    trial, simulate, as_cohort, quick
):
    # Nobody lacks a scan: the row that says so has no number.
    sets = association.prepare(as_cohort(trial), quick)
    rows = association.estimate_missing(sets, quick).query("METHOD == 'missing_pet'")
    assert rows["LABEL"].str.contains("each of the .* has an evaluable early scan").sum() == 2
    # Six lack it, and none of them has the event: their median is not reached.
    adsl, adtte, admr = simulate(missing={(f"PEARL-1-00{k}", "D14") for k in range(6)})
    free = adtte["USUBJID"].isin(adsl["USUBJID"].iloc[:6])
    sets = association.prepare(as_cohort((adsl, adtte.assign(CNSR=adtte["CNSR"].mask(free, 1)), admr)), quick)
    rows = association.estimate_missing(sets, quick).query("METHOD == 'missing_pet'")
    medians = rows[rows["CONTRAST"].eq("NOT EVALUABLE")]
    assert len(medians) == 2 and medians["ESTIMATE"].isna().all() and medians["N"].tolist() == [6, 6]
    assert not rows["LABEL"].str.contains("not known in this study").any()


def test_separation_has_a_finite_firth_estimate_beside_the_refused_maximum_likelihood(
    trial, as_cohort, quick
):
    sets = association.prepare(as_cohort(separated(trial)), quick)
    rows = association.estimate_main(sets, quick, np.random.default_rng(3))
    rows = rows[rows["METHOD"].eq("cox") & rows["ENDPOINT"].eq("PFS")].set_index("ESTIMATOR")
    assert np.isfinite(rows.loc["FIRTH", "ESTIMATE"]) and rows.loc["FIRTH", "ESTIMATE"] > 1
    refused = rows.loc[["ML"]]
    assert refused["ESTIMATE"].isna().all()
    assert refused["LABEL"].str.contains("separation").all() and refused["LABEL"].str.contains("firth").all()


def test_a_baseline_metric_runs_through_every_family(cohort, quick):
    values = {**quick.values, "primary.exposure": "baseline_metric"}
    plan = type(quick)(quick.study, values)
    sets = association.prepare(cohort, plan)
    for estimate in FAMILIES.values():
        contracts.check("estimates", estimate(sets, plan, np.random.default_rng(3)))
    main = association.estimate_main(sets, plan, np.random.default_rng(3))
    assert (main["ROLE"].iloc[0], main["RULE"].iloc[0]) == ("PRIMARY", "per_doubling")
    # Of a number no log-rank is made: the p of the main model is the test, once an endpoint.
    marked = main[main["LABEL"].str.contains("reported test")]
    assert marked["METHOD"].eq("cox").all() and marked["ROLE"].isin(["PRIMARY", "SECONDARY"]).all()
    assert marked["ENDPOINT"].tolist() == plan.primary.endpoints
