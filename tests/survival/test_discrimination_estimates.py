from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.survival import NotEstimable, concordance
from analysis.survival.association.discrimination import estimate_discrimination, estimate_predictive_values
from analysis.survival.association.estimates import ESTIMATES, Analysis
from analysis.survival.optimism import Resampled, predicted_risk
from analysis.survival.time_dependent import brier

ANALYSIS = Analysis("PFS", "all_scans", "scan", "D14", "SUVMAX", "any_resistant", 25.0)
FOLDER = Path(__file__).parents[1] / "reference"


def patients(seed=1, n=50, effect=1.5, followed=15.0):
    rng = np.random.default_rng(seed)
    score = rng.normal(-0.3, 0.3, n)
    time = rng.exponential(4 * np.exp(-effect * (score + 0.3)))
    end = rng.exponential(followed, n)
    exposed = score > np.log(0.75)
    columns = {
        "time": np.minimum(time, end),
        "event": time <= end,
        "group": np.where(exposed, "NON-RESPONDER", "RESPONDER"),
        "exposed": exposed,
        "SCORE": score,
        "STARTDELAY": 0.5,
    }
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def few(plan):
    return plan.override({"survival.optimism_bootstrap": 40})


def rows_of(data, plan, seed=1):
    return estimate_discrimination(data, ANALYSIS, plan, np.random.default_rng(seed))


def pick(table, method, estimator):
    rows = table[(table["METHOD"] == method) & (table["ESTIMATOR"] == estimator)]
    return rows.iloc[0]


def draws(n, resamples, seed=1):
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)


def test_every_measure_is_there_apparent_and_corrected(few):
    table = rows_of(patients(), few)
    assert list(table.columns) == ESTIMATES
    expected = ["concordance"] * 3 + ["uno_c", "auc_3m", "auc_6m", "brier_3m", "brier_6m"]
    for kind in ("APPARENT", "CORRECTED"):
        assert table.loc[table["ESTIMATOR"] == kind, "METHOD"].tolist() == expected
    assert table.loc[table["ESTIMATOR"] == "NULL", "METHOD"].tolist() == ["brier_3m", "brier_6m"]
    assert set(table["ROLE"]) == {"DESCRIPTIVE"}
    assert table["P"].isna().all()
    assert table["ESTIMATE"].between(0, 1).all()
    assert not table["LABEL"].str.contains("significant").any()


def test_the_apparent_rows_are_the_measures_themselves(few):
    data = patients()
    table = rows_of(data, few)
    apparent = table[table["ESTIMATOR"] == "APPARENT"]
    for position, column in enumerate(["SCORE", "exposed"]):
        found = concordance(data["time"], data["event"], data[column].astype(float)).iloc[0]
        row = apparent.iloc[position]
        expected = found[["estimate", "lower", "upper"]].tolist()
        assert row[["ESTIMATE", "LOWER", "UPPER"]].tolist() == pytest.approx(expected)
    assert "class, NON-RESPONDER is worse" in apparent["LABEL"].iloc[1]
    assert apparent["N_EXPOSED"].iloc[1] == data["exposed"].sum()
    assert apparent["N_EXPOSED"].drop(apparent.index[1]).isna().all()


def test_a_seed_gives_the_same_table(few):
    pd.testing.assert_frame_equal(rows_of(patients(), few), rows_of(patients(), few))


def test_without_resamples_there_is_nothing_corrected(plan):
    table = rows_of(patients(), plan.override({"survival.optimism_bootstrap": 0}))
    assert set(table["ESTIMATOR"]) == {"APPARENT", "NULL"}
    assert table["ESTIMATE"].notna().all()


def plain_scores(time, event):
    """Compute log-rank scores as Hothorn and Lausen write them, one sum a patient."""
    ranks = [np.sum(time <= t) for t in time]
    n = len(time)
    return np.array(
        [
            event[i] - sum(event[j] / (n - ranks[j] + 1) for j in range(n) if time[j] <= time[i])
            for i in range(n)
        ]
    )


def plain_search(time, event, score, low, high):
    """Try every cut in turn; return the best, and whether above it is worse."""
    n, best = len(time), (-1.0, None, 0.0)
    scores = plain_scores(time, event)
    for cut in np.unique(score):
        below = int(np.sum(score <= cut))
        if not max(1, int(n * low)) <= below <= int(n * high):
            continue
        spread = below * (n - below) / (n * (n - 1)) * np.sum((scores - scores.mean()) ** 2)
        statistic = (scores[score <= cut].sum() - below * scores.mean()) / np.sqrt(spread)
        if abs(statistic) > best[0] + 1e-9:
            best = (abs(statistic), cut, 1.0 if statistic < 0 else -1.0)
    return best[1], best[2]


def plain_c(time, event, above, direction):
    """Count pairs in two loops."""
    pairs = ahead = 0.0
    for i in np.flatnonzero(event):
        for j in range(len(time)):
            if time[i] < time[j] or (time[i] == time[j] and not event[j]):
                pairs += 1
                ahead += 0.5 + direction * (float(above[i]) - float(above[j])) / 2
    return ahead / pairs


def test_the_whole_cut_search_is_repeated_in_each_resample():
    data = patients(seed=5, n=18)
    time, event, score = (data[name].to_numpy() for name in ("time", "event", "SCORE"))
    counts = draws(18, 8)
    found, cut = Resampled.of(time, event, score, counts).selected_cut(0.1, 0.9)
    expected_cut, direction = plain_search(time, event, score, 0.1, 0.9)
    assert cut == expected_cut
    assert found.apparent == pytest.approx(plain_c(time, event, score > cut, 1.0))
    gains = []
    for count in counts:
        rows = np.repeat(np.arange(18), count)
        again, sign = plain_search(time[rows], event[rows], score[rows], 0.1, 0.9)
        inside = plain_c(time[rows], event[rows], score[rows] > again, sign)
        gains.append(inside - plain_c(time, event, score > again, sign))
    assert found.gain == pytest.approx(np.mean(gains))
    assert found.corrected == pytest.approx(found.apparent - direction * np.mean(gains))
    assert found.resamples == 8


def test_the_selected_cut_is_maxstats():
    # R, maxstat: see the row's source.
    rows = pd.read_csv(FOLDER / "r_discrimination.csv", keep_default_na=False)
    expected = rows[(rows["analysis"] == "selected_cut") & (rows["quantity"] == "cut")]["value"].iloc[0]
    veteran = pd.read_csv(FOLDER / "veteran.csv")
    arrays = (veteran["time"], veteran["status"], veteran["karno"])
    found, cut = Resampled.of(*arrays, draws(137, 2)).selected_cut(0.1, 0.9)
    assert cut == expected
    # A high index is good: C of "above" is below one half, and is shown so.
    assert found.apparent < 0.5


def test_a_searched_cut_of_noise_looks_better_than_it_is():
    seen, left, fixed = [], [], []
    for seed in range(25):
        data = patients(seed=seed, n=40, effect=0.0)
        resampled = Resampled.of(data["time"], data["event"], data["SCORE"], draws(40, 30, seed))
        found, _ = resampled.selected_cut(0.1, 0.9)
        seen.append(abs(found.apparent - 0.5))
        left.append(np.sign(found.apparent - 0.5) * (found.corrected - 0.5))
        fixed.append(abs(resampled.harrell().gain))
    assert np.mean(seen) > 0.05
    assert abs(np.mean(left)) < np.mean(seen) / 2
    assert np.mean(fixed) < np.mean(seen)


def test_a_strong_score_has_little_optimism_as_its_direction_is_never_in_doubt():
    data = patients(effect=6.0)
    resampled = Resampled.of(data["time"], data["event"], data["SCORE"], draws(50, 200))
    assert (resampled.coefficients[1] > 0).all()
    assert abs(resampled.harrell().gain) < 0.01


def test_a_turned_score_is_corrected_to_one_minus_the_value():
    data = patients(effect=0.5)
    counts = draws(50, 60)
    first, turned = (
        Resampled.of(data["time"], data["event"], sign * data["SCORE"], counts) for sign in (1, -1)
    )
    assert turned.harrell().apparent < 0.5 < first.harrell().apparent
    for measure in (Resampled.harrell, Resampled.uno, lambda one: one.auc(3.0)):
        assert measure(first).corrected + measure(turned).corrected == pytest.approx(1)
    assert first.brier(3.0)[0].corrected == pytest.approx(turned.brier(3.0)[0].corrected)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_the_risk_of_a_resample_is_that_of_the_repeated_rows(ties):
    data, counts = patients(), draws(50, 3)
    arrays = [data[name].to_numpy() for name in ("time", "event", "SCORE")]
    slopes = [0.5, -1.0, 2.0]
    found = predicted_risk(*arrays, slopes, counts, 3.0, ties=ties)
    for k, count in enumerate(counts):
        rows = np.repeat(np.arange(50), count)
        expected = predicted_risk(
            *(one[rows] for one in arrays), slopes[k : k + 1], np.ones((1, 50)), 3.0, ties=ties
        )
        assert found[k][rows] == pytest.approx(expected[0])


def test_without_an_effect_the_risk_is_nelson_aalens():
    found = predicted_risk([1, 2, 3], [1, 1, 0], [5, 6, 9], [0.0], np.ones((1, 3)), 2.5)
    assert found[0] == pytest.approx(1 - np.exp(-(1 / 3 + 1 / 2)))
    tied = {
        ties: predicted_risk([1, 1, 3], [1, 1, 0], [5, 6, 9], [0.0], np.ones((1, 3)), 2, ties=ties)
        for ties in ("efron", "breslow")
    }
    assert tied["efron"][0, 0] == pytest.approx(1 - np.exp(-(1 / 3 + 1 / 2)))
    assert tied["breslow"][0, 0] == pytest.approx(1 - np.exp(-2 / 3))
    with pytest.raises(ValueError, match="ties must be"):
        predicted_risk([1, 2], [1, 1], [1, 2], [0.0], np.ones((1, 2)), 1, ties="exact")


def test_the_corrected_brier_score_is_worse_and_the_null_is_that_of_the_curve(few):
    data = patients()
    table = rows_of(data, few)
    assert pick(table, "brier_3m", "CORRECTED")["ESTIMATE"] > pick(table, "brier_3m", "APPARENT")["ESTIMATE"]
    expected = brier(data["time"], data["event"], np.full(50, 0.5), 3.0)["null"].iloc[0]
    assert pick(table, "brier_3m", "NULL")["ESTIMATE"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.assign(event=False), "no two patients can be ordered"),
        (lambda d: d.assign(time=2.0, event=True), "no two patients can be ordered"),
        (lambda d: d.assign(SCORE=np.nan), "no patients are left"),
        (lambda d: d.iloc[:0], "no patients are left"),
    ],
    ids=["all censored", "all events tied", "no score", "nobody"],
)
def test_what_cannot_be_estimated_says_why(few, change, reason):
    table = rows_of(change(patients()), few)
    assert table["ESTIMATE"].isna().all()
    assert table["LABEL"].str.contains("not estimable").all()
    assert reason in table["LABEL"].iloc[0]


def test_a_time_beyond_follow_up_is_refused_and_the_rest_stays(few):
    data = patients()
    data = data.assign(event=data["event"] & (data["time"] <= 4), time=data["time"].clip(upper=4.0))
    table = rows_of(data, few)
    assert np.isnan(pick(table, "auc_6m", "APPARENT")["ESTIMATE"])
    assert "nobody is followed beyond 6" in pick(table, "brier_6m", "CORRECTED")["LABEL"]
    assert pick(table, "auc_3m", "CORRECTED")["ESTIMATE"] > 0


def test_nobody_censored_two_patients_and_a_constant_score(few):
    data = patients()
    assert rows_of(data.assign(event=True), few)["ESTIMATE"].notna().all()
    constant = rows_of(data.assign(SCORE=1.0), few)
    assert pick(constant, "uno_c", "APPARENT")["ESTIMATE"] == 0.5
    assert "no interval" in pick(constant, "uno_c", "APPARENT")["LABEL"]
    assert constant["LABEL"].str.contains("there is nothing to cut").sum() == 2
    two = pd.DataFrame(
        {"time": [1.0, 2.0], "event": [True, False], "exposed": [True, False], "SCORE": [1.0, 0.0]}
    )
    table = rows_of(two, few)
    assert table["ESTIMATE"].iloc[0] == 1


def test_a_score_that_orders_all_events_has_no_risk_but_a_c_of_one(few):
    data = patients(n=20).assign(event=True)
    data["SCORE"] = -data["time"]
    table = rows_of(data, few)
    assert (pick(table, "uno_c", "APPARENT")["ESTIMATE"], pick(table, "uno_c", "CORRECTED")["ESTIMATE"]) == (
        1,
        1,
    )
    assert "no finite coefficient" in pick(table, "brier_3m", "APPARENT")["LABEL"]
    assert (
        predicted_risk(data["time"], data["event"], data["SCORE"], [np.inf], np.ones((1, 20)), 3.0).max() <= 1
    )


def test_a_score_that_is_missing_for_some_leaves_them_out(few):
    data = patients()
    data.loc[:4, "SCORE"] = np.nan
    assert rows_of(data, few)["N"].eq(45).all()


def test_predictive_values_become_rows_that_name_class_and_interval(plan):
    table = estimate_predictive_values(patients(), ANALYSIS, plan)
    assert list(table.columns) == ESTIMATES
    names = [f"{name}_{w}w" for w in (14, 26) for name in ("ppv", "npv", "sensitivity", "specificity")]
    assert table["METHOD"].tolist() == names
    assert table["LABEL"].str.contains("positive: NON-RESPONDER").all()
    # A horizon between two planned assessments is seen as such.
    assert table["LABEL"].str.contains("assessments planned every 8 weeks, 7 days sooner or later").all()
    six = plan.override({"clinical.interval_weeks": 6.0})
    row = estimate_predictive_values(patients(), ANALYSIS, six).iloc[0]
    assert "assessments planned every 6 weeks" in row["LABEL"]
    assert table["LABEL"].iloc[0].endswith("Kaplan-Meier, log-log interval")
    assert set(table["ESTIMATOR"]) == {"KM"}
    assert set(table["ROLE"]) == {"DESCRIPTIVE"}


def test_a_plain_proportion_has_a_row_for_each_interval(plan):
    table = estimate_predictive_values(patients().assign(event=True), ANALYSIS, plan)
    first = table[table["METHOD"] == "ppv_14w"]
    assert first["ESTIMATOR"].tolist() == ["PROPORTION", "PROPORTION"]
    assert [label.rsplit(", ", 1)[1] for label in first["LABEL"]] == [
        "Clopper-Pearson interval",
        "Wilson interval",
    ]


def test_a_horizon_before_a_landmark_and_one_beyond_follow_up_are_refused_in_words(plan):
    late = estimate_predictive_values(patients().assign(STARTDELAY=4.0), ANALYSIS, plan)
    refused = late[late["METHOD"].str.endswith("_14w")]
    assert len(refused) == 4
    assert refused["ESTIMATE"].isna().all()
    assert (
        refused["LABEL"].str.contains("50 of 50 patients reach their landmark at or after the horizon").all()
    )
    data = patients()
    short = data.assign(event=data["event"] & (data["time"] <= 2), time=data["time"].clip(upper=2.0))
    beyond = estimate_predictive_values(short, ANALYSIS, plan)
    assert beyond["ESTIMATE"].isna().all()
    assert beyond["LABEL"].str.contains("not followed to the horizon").all()
    with pytest.raises(ValueError, match="need STARTDELAY"):
        estimate_predictive_values(data.drop(columns="STARTDELAY"), ANALYSIS, plan)
    assert (
        estimate_predictive_values(data.iloc[:0], ANALYSIS, plan)["LABEL"]
        .str.contains("no patients are left")
        .all()
    )


def test_a_resampled_score_with_gaps_is_refused():
    with pytest.raises(ValueError, match="one finite score"):
        Resampled.of([1, 2], [1, 0], [1, np.nan], draws(2, 3))
    with pytest.raises(NotEstimable, match="no patients are left"):
        Resampled.of([], [], [], np.zeros((3, 0)))
