"""A few virtual trials, and the tables a study of each of them would have."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis import plan as plans
from analysis.operating.pilot import choose_days
from analysis.operating.scans import simulate_scans
from analysis.virtual_trial.many_trials import simulate_trials

FIRST = pd.Timestamp("2015-03-02")
# Some pilots of few events, some scans missing, visits and losses that censor; errors alike on both days, so that
# either is chosen.
CHANGES = {
    "virtual.lost_mean_months": 30.0,
    "virtual.loading_d14": 0.7,
    "virtual.loading_d28": 0.85,
    "pilot.rule": "max_concordance",
    "operating.missed_share": 0.1,
    "pilot.min_pilot_events": 18,
    "pilot.bootstrap": 2,
    "operating.permutations": 2000,
    "survival.permutations": 2000,
}


def make_world(trials=8, seed=5, **changes):
    plan = plans.defaults().override({**CHANGES, **changes})
    rng = np.random.default_rng(seed)
    many = simulate_trials(plan.virtual, plan.design, trials, rng)
    scans = simulate_scans(many, plan, rng)
    choices = choose_days(many, scans, plan, rng)
    mature = choose_days(many, scans, plan, rng, mature=True)
    return SimpleNamespace(plan=plan, trials=many, scans=scans, choices=choices, mature=mature)


def make_tables(world, trial, later=None):
    """Return adsl, admr, adtte, adrs of one trial; extension patients have the day `later` alone (None: both)."""
    get = {name: values[trial] for name, values in world.trials.patients.items()}
    n = len(get["PILOT"])
    subject = np.array([f"S-{k:03d}" for k in range(n)])
    start = FIRST + pd.to_timedelta(get["TREATED_DAY"], "D")
    adsl = pd.DataFrame({"STUDYID": "V", "USUBJID": subject, "TRTSDT": start})
    adsl["PILOTFL"] = np.where(get["PILOT"], "Y", "N")
    adtte = pd.concat([_endpoint(adsl, name, get) for name in ("PFS", "OS")], ignore_index=True)
    admr = [_responses(world, adsl, get, trial, day, later) for day in (0, 1)]
    adrs = _assessments(adsl, get, world.trials.visits[trial])
    return SimpleNamespace(adsl=adsl, admr=pd.concat(admr, ignore_index=True), adtte=adtte, adrs=adrs)


def _endpoint(adsl, name, get):
    end = adsl["TRTSDT"] + pd.to_timedelta(get[f"{name}DAYS"] - 1, "D")
    frame = adsl[["STUDYID", "USUBJID"]].assign(PARAMCD=name, STARTDT=adsl["TRTSDT"], ADT=end)
    return frame.assign(AVAL=get[f"{name}DAYS"].astype(float), CNSR=np.where(get[f"{name}EVENT"], 0, 1))


def _responses(world, adsl, get, trial, day, later):
    scans, primary = world.scans, world.plan.primary
    made, exposed = scans.made[day, trial], scans.exposed[day, trial]
    taken = get["PILOT"] | (later is None) | (later == bool(day))
    date = adsl["TRTSDT"] + pd.to_timedelta(scans.day[day, trial], "D")
    words = np.select([exposed == 1, exposed == 0], ["NON-RESPONDER", "RESPONDER"], "NE")
    frame = adsl[["STUDYID", "USUBJID"]].assign(
        AVISIT=world.plan.design.followup_visits[day],
        METRIC=primary.metric,
        RULE=primary.response_rule,
        CUT=primary.cut_percent,
        MRESP=words,
        SCORE=scans.score[day, trial],
        PETDT=date.where(made),
        NEREAS=np.where(made, None, "NO_FOLLOWUP_SCAN"),
    )
    return frame[taken]


def _assessments(adsl, get, visits):
    """Every visit a patient came to: until progression, death, loss or the data cut-off."""
    until = np.fmin(np.fmin(get["CUT_DAY"], get["LOST_DAY"]), get["PD_DAY"])[:, None]
    done = (visits <= until) & ~(visits >= get["DEATH_DAY"][:, None])
    row, column = np.nonzero(done)
    day = visits[row, column]
    date = adsl["TRTSDT"].to_numpy()[row] + pd.to_timedelta(day, "D")
    found = np.where(day == get["PD_DAY"][row], "PD", "SD")
    subject = adsl["USUBJID"].to_numpy()[row]
    return pd.DataFrame({"USUBJID": subject, "PARAMCD": "OVRLRESP", "ADT": date, "AVALC": found})


@pytest.fixture(scope="session")
def world():
    return make_world()


@pytest.fixture(scope="session")
def simulate():
    return make_world


@pytest.fixture(scope="session")
def tables():
    return make_tables
