"""Numbers of R (statistics.md section 7), read from tests/reference/survival.csv."""

from pathlib import Path

import lifelines.datasets
import pandas as pd
import pytest

from analysis.survival import concordance, cox, log_rank, median_survival, rmst

REFERENCE = pd.read_csv(Path(__file__).parents[1] / "reference" / "survival.csv", dtype={"term": str})

# Edmonson et al., Cancer Treat Rep 1979;63:241-7: the `ovarian` data of R's survival package.
OVARIAN = pd.read_csv(Path(__file__).parents[1] / "reference" / "ovarian.csv")


@pytest.fixture(scope="module")
def lung():
    return lifelines.datasets.load_lung()


@pytest.fixture(scope="module")
def fits(lung):
    known = lung.dropna(subset=["ph.ecog"])
    outcome = (known["time"], known["status"])
    efron = cox(*outcome, known[["age", "sex", "ph.ecog"]])
    predictor = known[["age", "sex", "ph.ecog"]].to_numpy() @ efron["coef"].to_numpy()
    whole = (lung["time"], lung["status"], lung["sex"])
    tables = {
        "cox_efron": efron,
        "concordance": concordance(*outcome, predictor).assign(term="linear predictor"),
        "median_survival": median_survival(*whole).rename(columns={"group": "term"}),
        "log_rank": log_rank(*whole).assign(term="sex"),
        "log_rank_stratified": log_rank(*outcome, known["sex"], strata=known["ph.ecog"]).assign(term="sex"),
        "rmst": rmst(*whole, tau=365),
        "cox_firth": cox(OVARIAN["futime"], OVARIAN["fustat"], OVARIAN.iloc[:, 2:], penalty="firth"),
    }
    return {name: table.astype({"term": str}).set_index("term") for name, table in tables.items()}


def test_the_lung_copy_is_the_one_r_has(lung):
    assert (len(lung), lung["status"].sum(), lung["time"].sum()) == (228, 165, 69593)
    assert lung["age"].mean() == pytest.approx(62.44737, abs=1e-5)
    assert lung["ph.ecog"].isna().sum() == 1


@pytest.mark.parametrize(
    "row",
    list(REFERENCE.itertuples()),
    ids=lambda row: f"{row.dataset}-{row.analysis}-{row.term}-{row.quantity}",
)
def test_numbers_of_r_are_reproduced(fits, row):
    found = float(fits[row.analysis].loc[row.term, row.quantity])
    assert found == pytest.approx(row.value, abs=row.tolerance + 1e-12)
