"""The files of the virtual trial through the readers: complete, and the planted gene is found."""

import numpy as np
import pandas as pd
import pytest

from analysis import biomarkers as bm
from analysis import contracts, plan
from analysis.virtual_trial.biomarkers import write_biomarkers
from analysis.virtual_trial.outcomes import simulate_outcomes


@pytest.fixture(scope="module")
def virtual(tmp_path_factory):
    p = plan.defaults()
    rng = np.random.default_rng(20260105)
    trial = simulate_outcomes(p.virtual, rng=rng, design=p.design)
    folder = tmp_path_factory.mktemp("virtual") / "biomarkers"
    write_biomarkers(trial, folder, rng, p.virtual)
    adsl = trial.patients[["USUBJID", "TRTSDT"]].assign(STUDYID="virtual")
    derived = bm.derive_adbm(bm.read_cbioportal(folder), bm.read_plasma(folder / "plasma.csv"), adsl)
    return trial, derived, p


def outcomes_of(trial):
    """The truth as the tables of notebooks 01 and 02 would give it, without image noise."""
    patients = trial.patients
    worst = trial.lesions.groupby("USUBJID")["LNRATIO_D14"].max().reindex(patients["USUBJID"]).to_numpy()
    admr = pd.DataFrame({"USUBJID": patients["USUBJID"], "SCORE": worst})
    admr["MRESP"] = np.where(worst > np.log(0.75), "NON-RESPONDER", "RESPONDER")
    days = patients["PFSDAYS"]
    adtte = pd.DataFrame(
        {
            "USUBJID": patients["USUBJID"],
            "PARAMCD": "PFS",
            "AVAL": days,
            "CNSR": 1 - patients["PFSEVENT"].astype(int),
            "STARTDT": patients["TRTSDT"],
            "ADT": patients["TRTSDT"] + pd.to_timedelta(days - 1, unit="D"),
        }
    )
    return bm.assemble_outcomes(admr, adtte)


def test_the_virtual_files_are_read_without_an_error_and_fulfil_the_contracts(virtual):
    _, derived, _ = virtual
    contracts.check("adbm", derived.adbm)
    assert not (derived.queries["SEVERITY"] == "error").any()
    assert set(derived.adbm["SAMPTYPE"]) == {"PRIMARY", "METASTASIS", "PLASMA"}
    assert {"D0", "D14", "D28", "PROG"} <= set(derived.adbm["AVISIT"])


def test_the_planted_gene_is_read_as_planted_but_for_missed_variants(virtual):
    trial, derived, p = virtual
    found = bm.select_markers(derived.adbm)[p.virtual.planted_gene]
    truth = trial.patients.set_index("USUBJID")["MUTATED"].reindex(found.index)
    assert not found[~truth].any() and found[truth].mean() > 0.8


def test_the_planted_gene_is_found_in_the_candidate_tier(virtual):
    trial, derived, p = virtual
    rules = plan.defaults().override({"biomarkers.permutations": 999}).biomarkers
    outcomes = outcomes_of(trial)[["NONRESPONSE", "PCTCHANGE"]]
    table = bm.estimate_associations(
        bm.select_markers(derived.adbm),
        outcomes,
        partype="MUT",
        samptype="TUMOUR",
        rng=np.random.default_rng(1),
        rules=rules,
    )
    planted = table[table["MARKER"] == p.virtual.planted_gene].set_index("OUTCOME")
    assert planted.loc["PCTCHANGE", "P_MAXT"] <= rules.fwer_level and planted.loc["PCTCHANGE", "LOWER"] > 0


def test_ctdna_at_day_14_goes_with_shorter_pfs(virtual):
    trial, derived, _ = virtual
    rules = plan.defaults().override({"biomarkers.permutations": 99}).biomarkers
    table, aside = bm.estimate_ctdna(
        derived.adbm, outcomes_of(trial), rng=np.random.default_rng(1), rules=rules
    )
    row = table.set_index(["MARKER", "OUTCOME"]).loc[("CTDNA_D14", "PFS")]
    # planted at 2.5 for detected against not; one trial of this size gives an interval around it
    assert row["LOWER"] < 2.5 < row["UPPER"]
    contracts.check("exclusions_05", aside)
