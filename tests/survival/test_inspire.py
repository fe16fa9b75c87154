"""INSPIRE from its own tables through the package, held against R on the same table.

R 4.2, survival; times are whole days given as months, so they are rounded back:

    d <- read.csv("patients.csv", na.strings = c("", "NA"))
    d$x <- as.integer(d$change_ctdna_group == "Increase from baseline"); d$l2 <- log2(d$baseline_ctdna + 1)
    d$t <- round(d$os_time * 30.4375, 6); d$e <- d$os_status                # and pfs
    k <- d[!is.na(d$x) & d$t > 60, ]; k$m <- (k$t - 60) / 30.4375           # and 50
    f <- coxph(Surv(m, e) ~ x, k, ties = "efron"); exp(coef(f)); 2 * diff(f$loglik)
    survdiff(Surv(m, e) ~ x, k)$chisq
    summary(survfit(Surv(m, e) ~ x, k, conf.type = "log-log"))$table
    coxph(Surv(t, e) ~ l2, d, ties = "efron"); coxph(Surv(t - 60, e) ~ l2, d[d$t > 60, ], ties = "efron")
    fisher.test(table(d$x, d$orr)); sum(d$t <= 60)
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import plan as plans
from analysis.biomarkers.effects import estimate_fisher
from analysis.biomarkers.files.course_table import read_course_table
from analysis.biomarkers.files.subject_table import marker_matrix, read_subject_table
from analysis.clinical import read_mapped_table
from analysis.pet.class_table import read_class_table
from analysis.pet.response import in_force
from analysis.survival.association.sets import analysis_set, main_analysis
from analysis.survival.association.time_zero import estimate_time_zero
from analysis.survival.cox import cox
from analysis.survival.kaplan_meier import median_survival
from analysis.survival.log_rank import log_rank

pytestmark = pytest.mark.real
ROOT = Path(__file__).resolve().parents[2]
NAN = np.nan


@pytest.fixture(scope="module")
def cohort(shared_data):
    """Return the plan, the raw folder and the tables of notebooks 01 and 02."""
    plan = in_force(plans.load("inspire", ROOT / "config" / "inspire.yaml"))
    raw = shared_data / "inspire"
    ready = read_mapped_table(raw, plan)
    table = pd.read_csv(raw / plan.pet.classes_table["file"], dtype=str)
    return plan, raw, ready, read_class_table(table, ready.adsl, plan)


def landmark_set(cohort, endpoint, day):
    plan, _, ready, measured = cohort
    plan = plan.override({"survival.fixed_landmark_day": day})
    analysis = main_analysis(measured.admr, plan, timepoint="EARLY", endpoint=endpoint)
    return analysis_set(analysis, measured.admr, ready.adtte, ready.adsl, plan)


def test_everybody_is_read_and_who_has_no_class_is_named(cohort):
    _, _, ready, measured = cohort
    events = ready.adtte[ready.adtte["CNSR"].eq(0)].groupby("PARAMCD").size().to_dict()
    assert len(ready.adsl) == 94 and events == {
        "OS": 64,
        "PFS": 82,
    }  # R: table(d$os_status), table(d$pfs_status)
    assert ready.exclusions.empty and ready.queries.empty
    assert ready.adsl["SEX"].value_counts().to_dict() == {"F": 58, "M": 36}
    assert measured.admr["MRESP"].value_counts().to_dict() == {"NON-RESPONDER": 40, "RESPONDER": 33, "NE": 21}
    assert measured.exclusions["CODE"].tolist() == ["CLASS_MISSING"] * 21


def test_months_are_whole_days_again(cohort):
    days = cohort[2].adtte["AVAL"]
    assert (days == days.round()).all()
    # R: sum(d$t <= 60) with d$t rounded; unrounded, one of the two patients with 60 days lies after day 60
    assert cohort[2].adtte.query("PARAMCD == 'PFS' and AVAL <= 60")["USUBJID"].nunique() == 53


@pytest.mark.parametrize(
    ("endpoint", "day", "counts", "ratio", "likelihood", "chi2", "medians"),
    [
        ("PFS", 60, (38, 27, 11, 9, 35), 1.99339337, 2.55540916, 2.84361752,
         {"RESPONDER": (8.57494867, 2.98973306, 21.25667351), "NON-RESPONDER": (1.97125257, 0.78850103, 6.73511294)}),
        ("OS", 60, (73, 46, 40, 32, 0), 3.05817915, 13.09677526, 13.06123619,
         {"RESPONDER": (NAN, 17.01848049, NAN), "NON-RESPONDER": (7.55646817, 4.46817248, 12.3203285)}),
        ("PFS", 50, (67, 56, 36, 34, 6), 3.62747048, 20.68549424, 21.68410277,
         {"RESPONDER": (6.40657084, 2.29979466, 19.28542095), "NON-RESPONDER": (0.27926078, 0.22997947, 0.29568789)}),
    ],
)  # fmt: skip
def test_the_landmark_analysis_is_that_of_r(cohort, endpoint, day, counts, ratio, likelihood, chi2, medians):
    data, ledger = landmark_set(cohort, endpoint, day)
    rise = data["exposed"]
    found = (len(data), data["event"].sum(), rise.sum(), data.loc[rise, "event"].sum())
    codes = ledger["CODE"].value_counts().to_dict()
    assert (*found, codes.pop("EVENT_BEFORE_LANDMARK", 0)) == counts
    assert codes == {"NOT_EVALUABLE": 21} and len(data) + len(ledger) == 94
    fit = cox(data["time"], data["event"], rise.astype(float)).iloc[0]
    assert fit["estimate"] == pytest.approx(ratio, rel=1e-6)
    assert 2 * (fit["loglik"] - fit["loglik_null"]) == pytest.approx(likelihood, rel=1e-6)
    assert log_rank(data["time"], data["event"], data["group"]).iloc[0]["chi2"] == pytest.approx(
        chi2, rel=1e-6
    )
    table = median_survival(data["time"], data["event"], data["group"]).set_index("group")
    for group, expected in medians.items():
        own = table.loc[group, ["median", "lower", "upper"]].to_numpy(float)
        np.testing.assert_allclose(own, expected, rtol=1e-7)


@pytest.mark.parametrize(
    ("endpoint", "start", "counts", "ratio"),
    [
        ("PFS", 0, (94, 82), 1.11345681),
        ("PFS", 60, (41, 29), 1.07671647),
        ("OS", 0, (94, 64), 1.17461820),
        ("OS", 60, (91, 61), 1.16518522),
    ],
)
def test_baseline_ctdna_is_that_of_r(cohort, endpoint, start, counts, ratio):
    plan, raw, ready, _ = cohort
    found = read_subject_table(raw, ready.adsl, rules=plan.biomarkers)
    level = marker_matrix(found.adbm, "LEVEL", "D0")["CTDNALVL"]
    rows = ready.adtte[ready.adtte["PARAMCD"].eq(endpoint) & ready.adtte["AVAL"].gt(start)]
    event = rows["CNSR"].eq(0)
    assert (len(rows), event.sum()) == counts
    fit = cox(rows["AVAL"] - start, event, rows["USUBJID"].map(level)).iloc[0]
    assert fit["estimate"] == pytest.approx(ratio, rel=1e-6)


def test_markers_outcomes_and_course_add_up(cohort):
    plan, raw, ready, _ = cohort
    found = read_subject_table(raw, ready.adsl, rules=plan.biomarkers)
    assert len(found.adbm) + len(found.exclusions) == 6 * 94
    assert (
        found.exclusions["CODE"].tolist() == ["MARKER_MISSING"] * 22
    )  # 21 without a change, 1 without PD-L1
    rise = marker_matrix(found.adbm, "CTDNA", "EARLY")["CTDNACHG"]
    both = pd.crosstab(rise, found.outcomes["NO_OBJECTIVE_RESPONSE"].reindex(rise.index))
    assert both.to_numpy().tolist() == [[14, 19], [1, 39]]
    effect = estimate_fisher(rise, found.outcomes["NO_OBJECTIVE_RESPONSE"].reindex(rise.index))
    assert effect.estimate == pytest.approx(27.51523724, rel=1e-4)
    assert effect.p == pytest.approx(2.323457e-05, rel=1e-4)
    sizes = read_course_table(raw, ready.adsl, rules=plan.biomarkers)
    # counted in the file: 270 lines, 8 without a change, 20 of -100 %
    assert (len(sizes.course), len(sizes.exclusions), sizes.course["CENSORED"].sum()) == (262, 8, 20)
    assert sizes.course["LEVEL"].min() == 0.02


def test_the_comparison_from_other_fixed_days_of_the_plan(cohort):
    plan, _, ready, measured = cohort
    analysis = main_analysis(measured.admr, plan, timepoint="EARLY", endpoint="PFS")
    rows = estimate_time_zero(analysis, measured.admr, ready.adtte, ready.adsl, plan).set_index("LABEL")
    # as above, from day 42: coxph gives 3.2969722 (71, 60), from day 50 3.6274702 (67, 56)
    other = rows.loc[["fixed landmark at day 42", "fixed landmark at day 50"]]
    assert other["ESTIMATE"].tolist() == pytest.approx([3.2969722, 3.6274702], rel=1e-6)
    assert other[["N", "EVENTS"]].to_numpy().tolist() == [[71, 60], [67, 56]]
    assert other["ROLE"].eq("SENSITIVITY").all()
