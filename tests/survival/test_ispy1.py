"""I-SPY 1 from its own table through the package, held against R on the same table (benchmarks/survival/r_ispy1.R).

Every number of the CSV is compared; it holds aggregate statistics only.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from analysis import plan as plans
from analysis.clinical import read_mapped_table
from analysis.pet.measurement_table import read_measurement_table
from analysis.pet.response import classify_grid
from analysis.survival.agreement import kappa, mcnemar
from analysis.survival.association.sets import analysis_set, main_analysis
from analysis.survival.concordance import concordance, concordance_difference
from analysis.survival.cox import cox, partial_log_likelihood
from analysis.survival.kaplan_meier import median_survival, survival_at
from analysis.survival.log_rank import log_rank
from analysis.survival.outcome import select_response
from analysis.survival.rmst import rmst

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore::RuntimeWarning")]
ROOT = Path(__file__).resolve().parents[2]
KEY = ["dataset", "analysis", "term", "quantity"]
MRIS, ENDS = ["MRI1", "MRI2"], ["RFS", "OS"]
LATER = "MRI2 - MRI1"


@pytest.fixture(scope="module")
def cohort(shared_data):
    """Return the plan and the tables of notebooks 01 and 02."""
    plan = plans.load("ispy1", ROOT / "config" / "ispy1.yaml")
    raw = shared_data / "ispy1"
    ready = read_mapped_table(raw, plan)
    table = pd.read_csv(raw / plan.pet.measurements_table["file"], dtype=str)
    measured = read_measurement_table(table, ready.adsl, plan)
    admr = classify_grid(measured.adpet, plan, subjects=ready.adsl, scans=measured.scan_qc)
    return plan, ready, measured, admr


@pytest.fixture(scope="module")
def found(cohort):
    """Return every number by dataset, analysis, term and quantity."""
    plan, ready, measured, admr = cohort
    pilot = ready.adsl.loc[ready.adsl["PILOTFL"].eq("Y"), "USUBJID"]
    numbers = {}
    for name, subjects in (("everyone", ready.adsl["USUBJID"]), ("first30", pilot)):
        mine = admr[admr["USUBJID"].isin(subjects)]
        zero = measured.queries[measured.queries["MESSAGE"].str.startswith("0 mm")]
        zero = zero[zero["USUBJID"].isin(subjects)]
        numbers[name, "cohort", "all", "n"] = len(subjects)
        asked = ready.queries.query("CODE == 'RFS_AFTER_OS'")["USUBJID"].isin(subjects)
        numbers[name, "cohort", "all", "rfs_beyond_survival"] = int(asked.sum())
        for mri in MRIS:
            mark = zero["RECORD"].str.startswith(mri)
            numbers[name, "cohort", mri, "zero_diameters"] = int(mark.sum())
        numbers |= {(name, *key): value for key, value in agreement(mine, plan).items()}
        for end in ENDS:
            for mri in MRIS:
                data = data_of(mine, ready, plan, end, mri)
                numbers |= {(name, f"{end} {mri}", *k): v for k, v in association(data, plan).items()}
            both = {mri: data_of(mine, ready, plan, end, mri).set_index("USUBJID") for mri in MRIS}
            pair = both["MRI1"].join(both["MRI2"][["SCORE", "exposed"]], rsuffix="2", how="inner")
            numbers |= {(name, f"{end} both MRI", *k): v for k, v in discrimination(pair).items()}
    return numbers


def data_of(admr, ready, plan, end, mri):
    analysis = main_analysis(admr, plan, timepoint=mri, endpoint=end)
    return analysis_set(analysis, admr, ready.adtte, ready.adsl, plan)[0]


def agreement(admr, plan):
    rows = [
        select_response(admr, timepoint=mri, metric="LDIAM", rule="any_resistant", cut=30) for mri in MRIS
    ]
    both = rows[0].merge(rows[1], on="USUBJID").query("MRESP_x != 'NE' and MRESP_y != 'NE'")
    test = mcnemar(both["MRESP_x"].eq("NON-RESPONDER"), both["MRESP_y"].eq("NON-RESPONDER")).iloc[0]
    return {
        ("agreement", LATER, "n"): len(both),
        ("agreement", LATER, "kappa"): kappa(both["MRESP_x"], both["MRESP_y"]).iloc[0]["estimate"],
        ("agreement", LATER, "mcnemar_exact_p"): test["p_exact"],
        ("agreement", LATER, "mcnemar_mid_p"): test["p_mid"],
    }


def association(data, plan):
    time, event, bad = data["time"], data["event"], data["exposed"]
    out = {
        ("all", "n"): len(data), ("all", "events"): event.sum(),
        ("NON-RESPONDER", "n"): bad.sum(), ("NON-RESPONDER", "events"): event[bad].sum(),
        ("class", "logrank_chi2"): log_rank(time, event, data["group"]).iloc[0]["chi2"],
    }  # fmt: skip
    separable = event[bad].any() and event[~bad].any()
    for term, x in (("class", bad.astype(float)), ("lnratio", data["SCORE"])):
        if term == "class" and not separable:
            continue
        fit = cox(time, event, x).iloc[0]
        gain, reach = fit["loglik"] - fit["loglik_null"], norm.ppf(0.975) * fit["se"]
        out |= {(term, "hr"): fit["estimate"], (term, "loglik_gain"): gain,
                (term, "wald_lower"): np.exp(fit["coef"] - reach),
                (term, "wald_upper"): np.exp(fit["coef"] + reach),
                (term, "profile_lower"): fit["lower"], (term, "profile_upper"): fit["upper"]}  # fmt: skip
    for row in median_survival(time, event, data["group"]).itertuples():
        out |= {(row.group, "median"): row.median, (row.group, "median_lower"): row.lower,
                (row.group, "median_upper"): row.upper}  # fmt: skip
    for row in survival_at(time, event, plan.survival.km_times_months, data["group"]).itertuples():
        out[row.group, f"survival_{row.time:g}m"] = row.survival
    if time[~bad].min() < plan.survival.rmst_tau_months:
        means = rmst(time, event, data["group"], tau=plan.survival.rmst_tau_months, reference="RESPONDER")
        out["class", "rmst_difference"] = means.iloc[-1]["estimate"]
    return out


def discrimination(pair):
    time, event = pair["time"], pair["event"]
    scores = {"MRI1": pair["SCORE"], "MRI2": pair["SCORE2"]}
    classes = {"MRI1": pair["exposed"], "MRI2": pair["exposed2"]}
    gap = concordance_difference(time, event, *scores.values()).iloc[0]
    out = {("all", "n"): len(pair), ("all", "events"): event.sum(),
           (LATER, "concordance"): gap["estimate"], (LATER, "concordance_se"): gap["se"]}  # fmt: skip
    for mri in MRIS:
        c = concordance(time, event, scores[mri]).iloc[0]
        out |= {(mri, "concordance"): c["estimate"], (mri, "concordance_se"): c["se"]}
        for name, x in (("gain_score", scores[mri]), ("gain_class", classes[mri].astype(float))):
            fitted, null = partial_log_likelihood(time, event, x)
            out[mri, name] = fitted - null
    return out


def test_every_number_is_that_of_r(found):
    reference = pd.read_csv(ROOT / "tests" / "reference" / "r_ispy1.csv")
    wrong = []
    for row in reference.itertuples():
        mine = float(found[tuple(getattr(row, name) for name in KEY)])
        same = (pd.isna(mine) and pd.isna(row.value)) or mine == pytest.approx(
            row.value, rel=row.tolerance, abs=row.tolerance
        )
        if not same:
            wrong.append((*(getattr(row, name) for name in KEY), mine, row.value))
    assert not wrong, wrong
    assert len(reference) > 250


def test_nobody_is_lost_on_the_way(cohort):
    plan, ready, measured, admr = cohort
    assert len(ready.adsl) == 221 and ready.exclusions.empty
    assert ready.adsl["PILOTFL"].eq("Y").sum() == 30
    assert admr.groupby(["AVISIT", "CUT"])["USUBJID"].nunique().eq(221).all()
    lost = set(measured.exclusions["USUBJID"])
    assert set(admr.loc[admr["MRESP"].eq("NE"), "USUBJID"]) == lost
    for end in ENDS:
        analysis = main_analysis(admr, plan, timepoint="MRI2", endpoint=end)
        data, ledger = analysis_set(analysis, admr, ready.adtte, ready.adsl, plan)
        assert len(data) + len(ledger) == 221 and data["LANDMARKDT"].isna().all()
