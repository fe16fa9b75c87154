"""The Cox core against numbers of R, read from tests/reference/r_cox.csv (benchmarks/survival/r_cox.R)."""

from pathlib import Path

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest

from analysis.survival.cox import cox
from analysis.survival.cox_prior import cox_prior
from analysis.survival.cox_residuals import leave_one_out, martingale_residuals, schoenfeld_residuals
from analysis.survival.ph_test import ph_test

FOLDER = Path(__file__).parents[1] / "reference"
REFERENCE = pd.read_csv(FOLDER / "r_cox.csv", dtype={"term": str})
OVARIAN = pd.read_csv(FOLDER / "ovarian.csv")
VETERAN = pd.read_csv(FOLDER / "veteran.csv")
HEART = lifelines.datasets.load_stanford_heart_transplants()
THREE, TWO = ["age", "sex", "ph.ecog"], ["age", "transplant"]
TRANSFORMS = ["km", "rank", "identity", "log"]


def make_lung():
    """Derive what the R script derives from `lung`, by the same rules."""
    lung = lifelines.datasets.load_lung().dropna(subset=["ph.ecog"]).reset_index(drop=True)
    row = np.arange(len(lung))
    start = np.floor(lung["time"] * (row % 4) / 8)
    ticks = np.ceil(lung["time"] / 60)
    return lung.assign(ticks=ticks, start=start, case=1 + lung["age"] % 3 / 2, group=row % 20)


LUNG = make_lung()
SEPARATED = ([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0])


def test_the_copies_are_those_r_has():
    assert (len(HEART), HEART["event"].sum(), HEART["stop"].sum()) == (172, 75, 34622.5)
    assert HEART["age"].sum() == pytest.approx(-427.252566735, abs=1e-6)
    assert (len(VETERAN), VETERAN["status"].sum(), VETERAN["time"].sum()) == (137, 128, 16663)
    assert (len(LUNG), LUNG["status"].sum(), LUNG["time"].sum()) == (227, 164, 69522)


def _fits(ties):
    months = (LUNG["ticks"], LUNG["status"], LUNG[THREE])
    heart = (HEART["stop"], HEART["event"])
    return {
        ("lung", f"ties_{ties}"): cox(*months, ties=ties),
        ("lung", f"entry_{ties}"): cox(
            LUNG["time"], LUNG["status"], LUNG[THREE], ties=ties, entry=LUNG["start"]
        ),
        ("heart", f"counting_{ties}"): cox(
            *heart, HEART[["age", "surgery", "transplant"]], ties=ties, entry=HEART["start"]
        ),
        ("lung", f"weighted_{ties}"): cox(*months, ties=ties, weights=LUNG["case"]),
        ("lung", f"clustered_{ties}"): cox(*months, ties=ties, cluster=LUNG["group"]),
        ("heart", f"everything_{ties}"): cox(
            *heart,
            HEART[TWO],
            ties=ties,
            entry=HEART["start"],
            strata=HEART["surgery"],
            weights=0.5 + HEART["id"] % 3,
            cluster=HEART["id"],
        ),
    }


def _tests():
    found = {}
    for name in TRANSFORMS:
        found["lung", f"zph_{name}"] = ph_test(LUNG["time"], LUNG["status"], LUNG[THREE], transform=name)
        for ties in ("efron", "breslow"):
            found["lung", f"zph_ties_{name}_{ties}"] = ph_test(
                LUNG["ticks"], LUNG["status"], LUNG[THREE], transform=name, ties=ties
            )
            found["veteran", f"zph_{name}_{ties}"] = ph_test(
                VETERAN["time"],
                VETERAN["status"],
                VETERAN[["trt", "karno", "age"]],
                transform=name,
                ties=ties,
            )
        found["veteran", f"zph_strata_{name}"] = ph_test(
            VETERAN["time"],
            VETERAN["status"],
            VETERAN[["trt", "karno"]],
            transform=name,
            strata=VETERAN["celltype"],
        )
        found["ovarian", f"zph_{name}"] = ph_test(
            OVARIAN["futime"], OVARIAN["fustat"], OVARIAN[["age", "rx"]], transform=name
        )
    return found


def _summed_residuals(*data, **options):
    """Return sums of squares, and sums weighted by position, of every kind of residual."""
    by_event, by_row = schoenfeld_residuals(*data, **options), martingale_residuals(*data, **options)
    series = {
        (term, name): rows[name].to_numpy()
        for term, rows in by_event.groupby("term")
        for name in ("residual", "scaled")
    }
    series |= {("all", name): by_row[name].to_numpy() for name in ("martingale", "deviance")}
    rows = []
    for (term, name), values in series.items():
        place = np.arange(1, len(values) + 1)
        rows.append({"term": term, f"{name}_squares": np.sum(values**2)})
        rows.append({"term": term, f"{name}_ordered": np.sum(values * place) / len(values)})
    return pd.DataFrame(rows).groupby("term", as_index=False).first()


def _looks():
    found = {
        ("ovarian", "residuals"): _summed_residuals(OVARIAN["futime"], OVARIAN["fustat"], OVARIAN[["rx"]])
    }
    for ties in ("efron", "breslow"):
        found["lung", f"residuals_ties_{ties}"] = _summed_residuals(
            LUNG["ticks"], LUNG["status"], LUNG[THREE], ties=ties
        )
        found["heart", f"residuals_counting_{ties}"] = _summed_residuals(
            HEART["stop"],
            HEART["event"],
            HEART[TWO],
            ties=ties,
            strata=HEART["surgery"],
            entry=HEART["start"],
        )
    without = leave_one_out(OVARIAN["futime"], OVARIAN["fustat"], OVARIAN[["age", "rx"]])
    found["ovarian", "leave_one_out"] = without[without["term"].eq("rx")].assign(term=without["left_out"])
    found["heart", "leave_cluster_out"] = leave_one_out(
        HEART["stop"], HEART["event"], HEART["transplant"], entry=HEART["start"], cluster=HEART["id"] % 5
    ).assign(term=lambda table: table["left_out"])
    return found


def _priors_and_penalties():
    ovarian = (OVARIAN["futime"], OVARIAN["fustat"])
    priors = {
        ("ovarian", "prior"): cox_prior(*ovarian, OVARIAN["rx"], prior_sd=0.75),
        ("ovarian", "prior_wide"): cox_prior(*ovarian, OVARIAN["rx"], prior_sd=50),
        ("separated", "prior"): cox_prior(*SEPARATED, prior_sd=0.75),
        ("lung", "prior_ties"): cox_prior(LUNG["ticks"], LUNG["status"], LUNG["sex"], prior_sd=0.3),
        ("lung", "prior_age"): cox_prior(LUNG["time"], LUNG["status"], LUNG["age"], prior_sd=0.02),
        ("heart", "prior_counting"): cox_prior(
            HEART["stop"],
            HEART["event"],
            HEART["transplant"],
            prior_sd=0.75,
            entry=HEART["start"],
            ties="breslow",
        ),
    }
    few, mixed = LUNG[:40], VETERAN[49:90]
    firth = {
        ("ovarian", "firth"): cox(*ovarian, OVARIAN.iloc[:, 2:], penalty="firth"),
        ("separated", "firth"): cox(*SEPARATED, penalty="firth"),
        ("lung", "firth_ties"): cox(few["ticks"], few["status"], few[["age", "sex"]], penalty="firth"),
        ("veteran", "firth"): cox(mixed["time"], mixed["status"], mixed[["trt", "karno"]], penalty="firth"),
    }
    return {name: table.assign(term="x") for name, table in priors.items()} | {
        name: table.assign(log_lower=np.log(table["lower"]), log_upper=np.log(table["upper"]))
        for name, table in firth.items()
    }


@pytest.fixture(scope="module")
def found():
    heart = cox(HEART["stop"], HEART["event"], HEART[["age", "surgery", "transplant"]], entry=HEART["start"])
    tables = _fits("efron") | _fits("breslow") | {("heart", "profile"): heart}
    tables |= _tests() | _looks() | _priors_and_penalties()
    return {name: table.astype({"term": str}).set_index("term") for name, table in tables.items()}


@pytest.mark.parametrize(("dataset", "analysis"), REFERENCE[["dataset", "analysis"]].drop_duplicates().values)
def test_numbers_of_r_are_reproduced(found, dataset, analysis):
    table = found[dataset, analysis]
    rows = REFERENCE[REFERENCE["dataset"].eq(dataset) & REFERENCE["analysis"].eq(analysis)]
    off = [
        (row.term, row.quantity, float(table.loc[row.term, row.quantity]), row.value)
        for row in rows.itertuples()
        if not abs(float(table.loc[row.term, row.quantity]) - row.value)
        <= row.tolerance * (1 + abs(row.value))
    ]
    assert off == []


def test_every_table_is_compared(found):
    assert set(found) == set(map(tuple, REFERENCE[["dataset", "analysis"]].drop_duplicates().to_numpy()))


def test_the_proportional_hazards_test_equals_surpyval():
    import surpyval

    whole = (LUNG["ticks"].to_numpy(float), LUNG[THREE].to_numpy(float))
    for ties in ("efron", "breslow"):
        fit = surpyval.CoxPH.fit(*whole, c=1 - LUNG["status"].to_numpy(), tie_method=ties)
        ours = ph_test(LUNG["ticks"], LUNG["status"], LUNG[THREE], ties=ties)
        assert ours["chi2"].to_numpy() == pytest.approx(fit.check_ph("km")["statistic"].to_numpy(), rel=1e-8)
