"""Numbers of R: concordance, AUC, Brier score and predictive values (benchmarks/survival/r_discrimination.R)."""

from pathlib import Path

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from analysis.survival import concordance, concordance_difference, cox, proportion
from analysis.survival.optimism import predicted_risk
from analysis.survival.predictive_values import predictive_values
from analysis.survival.time_dependent import brier, time_dependent_auc, time_dependent_auc_difference
from analysis.survival.uno import uno_concordance, uno_difference

FOLDER = Path(__file__).parents[1] / "reference"
REFERENCE = pd.read_csv(FOLDER / "r_discrimination.csv", dtype={"term": str}, keep_default_na=False)
FAMILIES = REFERENCE.groupby(["dataset", "analysis"], sort=False)


def tied_patients():
    # Made up: ties of events, of events with censorings, and of scores.
    return pd.DataFrame(
        {
            "time": [1, 2, 2, 3, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10],
            "event": [1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0],
            "score": [3, 2, 2, 1, 3, 2, 2, 1, 1, 3, 0, 1, 2, 0, 1, 0],
            "other": [2.5, 1.2, 3.1, 0.4, 2.2, 2.9, 1.8, 0.7, 0.1, 1.4, 2.1, -0.3, 0.9, -1, 0.2, 0.5],
        }
    )


@pytest.fixture(scope="module")
def data():
    lung = lifelines.datasets.load_lung().dropna(subset=["ph.ecog"])
    veteran, ovarian = pd.read_csv(FOLDER / "veteran.csv"), pd.read_csv(FOLDER / "ovarian.csv")
    assert (len(veteran), veteran["time"].sum(), len(lung)) == (137, 16663, 227)

    def columns(time, event, score, other, positive):
        names = {"time": time, "event": event, "score": score, "other": other, "positive": positive}
        return pd.DataFrame({name: np.asarray(values) for name, values in names.items()})

    poor, low, old = lung["ph.ecog"] >= 2, veteran["karno"] <= 40, ovarian["age"] > 60
    return {
        "ties": tied_patients(),
        "lung": columns(lung["time"], lung["status"], lung["ph.ecog"], lung["age"], poor),
        "veteran": columns(veteran["time"], veteran["status"], -veteran["karno"], veteran["age"], low),
        "ovarian": columns(ovarian["futime"], ovarian["fustat"], ovarian["age"], ovarian["ecog.ps"], old),
    }


def outcome(one):
    return one["time"], one["event"]


def of_score(function):
    def table(one, term):
        name, _, tau = term.partition(" tau ")
        options = {"tau": float(tau)} if tau else {}
        return function(*outcome(one), one[name], **options)

    return table


def of_scores(function):
    def table(one, term):
        return function(*outcome(one), one["score"], one["other"])

    return table


def auc(one, term):
    name, t = term.split(" at ")
    return time_dependent_auc(*outcome(one), one[name], float(t))


def auc_difference(one, term):
    return time_dependent_auc_difference(*outcome(one), one["score"], one["other"], float(term.split()[-1]))


def brier_of_risk(one, term):
    name, t = term.split(" at ")
    risk = expit((one[name] - one[name].mean()) / one[name].std())
    return brier(*outcome(one), risk, float(t))


def risk_of_cox(one, t):
    everyone = np.ones((1, len(one)), dtype=int)
    coefficient = cox(*outcome(one), one["score"].astype(float))["coef"]
    return predicted_risk(*outcome(one), one["score"], coefficient, everyone, t)[0]


def brier_of_cox(one, term):
    t = float(term.removeprefix("at "))
    return brier(*outcome(one), risk_of_cox(one, t), t)


def cox_risk(one, term):
    risk = risk_of_cox(one, float(term.removeprefix("at ")))
    return pd.DataFrame([{"first": risk[0], "last": risk[-1]}])


def predictive(one, term):
    horizon = {137: 90, 227: 300, 26: 450}[len(one)]
    found = predictive_values(*outcome(one), one["positive"], horizon)
    return found[found["quantity"] == term]


COMPUTED = {
    "concordance": of_score(concordance),
    "concordance_difference": of_scores(concordance_difference),
    "uno": of_score(uno_concordance),
    "uno_difference": of_scores(uno_difference),
    "auc": auc,
    "auc_difference": auc_difference,
    "brier": brier_of_risk,
    "brier_cox": brier_of_cox,
    "cox_risk": cox_risk,
    "predictive": predictive,
}


@pytest.mark.parametrize(
    "family", [key for key, _ in FAMILIES if key[1] in COMPUTED], ids=lambda key: "-".join(key)
)
def test_numbers_of_r_are_reproduced(data, family):
    dataset, analysis = family
    for term, rows in FAMILIES.get_group(family).groupby("term", sort=False):
        found = COMPUTED[analysis](data[dataset], term).iloc[0]
        # R gives an interval of no width where every pair is in order; we give none.
        no_error = "se" in set(rows["quantity"]) and rows.set_index("quantity").loc["se", "value"] == 0
        for row in rows.itertuples():
            expected = np.nan if no_error and row.quantity in ("lower", "upper") else row.value
            assert found[row.quantity] == pytest.approx(expected, abs=row.tolerance, nan_ok=True), row


@pytest.mark.parametrize(
    "row",
    list(REFERENCE[REFERENCE["dataset"] == "counts"].itertuples()),
    ids=lambda row: f"{row.analysis}-{row.term}-{row.quantity}",
)
def test_limits_of_plain_proportions_are_those_of_r(row):
    successes, n = (int(part) for part in row.term.split(" of "))
    found = proportion(successes, n).set_index("method").loc[row.analysis, row.quantity]
    assert found == pytest.approx(row.value, abs=row.tolerance)


def test_every_row_of_the_file_is_tested():
    elsewhere = {"clopper_pearson", "wilson", "selected_cut"}
    assert set(REFERENCE["analysis"]) == set(COMPUTED) | elsewhere
