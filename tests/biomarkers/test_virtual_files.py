"""The files of the virtual trial through the readers: complete, and what was planted is found."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import biomarkers as bm
from analysis import contracts, plan

sys.path.insert(0, str(Path(__file__).parents[1]))
import biomarker_rates as rates

SEED = 20260105


@pytest.fixture(scope="module")
def settings():
    return rates.plan_of(SEED)


@pytest.fixture(scope="module")
def files(settings, tmp_path_factory):
    return rates.read_trial(settings, tmp_path_factory.mktemp("virtual") / "biomarkers")


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


def test_the_virtual_files_are_read_without_an_error_and_fulfil_the_contracts(files):
    contracts.check("adbm", files.adbm)
    assert not (files.queries["SEVERITY"] == "error").any()
    assert set(files.adbm["SAMPTYPE"]) == {"PRIMARY", "METASTASIS", "PLASMA"}
    assert {"D0", "D14", "D28", "PROG"} <= set(files.adbm["AVISIT"])


def test_the_planted_gene_is_read_as_planted_but_for_missed_variants(files, settings):
    found = bm.select_markers(files.adbm)[settings.virtual.planted_gene]
    truth = files.trial.patients.set_index("USUBJID")["MUTATED"].reindex(found.index)
    assert not found[~truth].any() and found[truth].mean() > 0.8


def test_a_gene_off_the_panel_is_not_assessable_and_never_wild_type(files, settings):
    small = files.faults.loc[files.faults["FAULT"] == "SMALL PANEL", "SAMPLE_ID"]
    rows = files.adbm[files.adbm["SAMPLEID"].isin(small) & files.adbm["PARTYPE"].eq("MUT")]
    covered = rows["PARAMCD"].isin(settings.virtual.panel_small["genes"])
    assert len(small) and set(rows.loc[~covered, "AVALC"]) == {"NOT ASSESSABLE"}
    assert set(rows.loc[covered, "AVALC"]) <= {"MUTATED", "WT"}


def test_what_was_sent_twice_counts_once_and_both_assays_of_a_draw_are_read(files):
    faults = files.faults.set_index("FAULT")
    draws = files.plasma.groupby("SAMPLEID")
    assert files.adbm[files.adbm["PARTYPE"].eq("CTDNA")].duplicated(["SAMPLEID", "PARAMCD"]).sum() == 0
    both = draws["ASSAY"].nunique()
    second = files.plasma[files.plasma["SAMPLEID"].isin(both.index[both == 2])]
    assert set(second["USUBJID"]) == set(faults.loc[["SECOND ASSAY"], "USUBJID"])


def test_a_vcf_agrees_with_the_maf_of_its_sample(files):
    # The reader compares them, insertions and deletions by their own coordinates.
    codes = set(files.study.problems["CODE"])
    assert not codes & {"VCF_DIFFERS", "VCF_ADDED"}


def test_the_exchanged_tubes_are_asked_after_and_no_other(files, settings):
    row = rates.identity_row(files, settings)
    assert row["tubes"] == 2 and row["swap found"] == 1.0 and row["samples false"] == 0


@pytest.fixture(scope="module")
def change(files):
    """The same files with percent change as the only outcome, the one the effects are calibrated to."""
    return replace(files, outcomes=files.outcomes[["PCTCHANGE"]])


def test_the_planted_gene_is_found_in_the_candidate_tier(change, settings):
    row = rates.gene_row(change, settings)
    assert row["found PCTCHANGE"] == 1.0


def test_the_planted_signature_is_found(change, settings):
    row = rates.expression_row(change, settings)
    assert row["signature found PCTCHANGE"] == 1.0 and row["genes found PCTCHANGE"] > 0.2


def test_ctdna_at_day_14_goes_with_shorter_pfs(files):
    fast = {"biomarkers.permutations": 99, "biomarkers.spearman_bootstrap": 1}
    rules = plan.defaults().override(fast).biomarkers
    outcomes = outcomes_of(files.trial)
    found = bm.estimate_ctdna(files.adbm, outcomes, rng=np.random.default_rng(1), rules=rules)[0]
    pfs = found[found["OUTCOME"].eq("PFS") & found["METHOD"].eq("cox_firth")]
    row = pfs.set_index("AVISIT").loc["D14"]
    # planted at 2.5 for detected against not; one trial of this size gives an interval around it
    assert row["LOWER"] < 2.5 < row["UPPER"]


@pytest.mark.parametrize(("errors", "holds"), [(16, True), (17, False)])
def test_an_error_rate_is_judged_by_the_exact_binomial_limit(errors, holds):
    # R: qbinom(0.975, 200, 0.05) = 16
    values = pd.Series([1.0] * errors + [0.0] * (200 - errors))
    assert rates.at_most("error", values, 0.05).holds is holds


@pytest.mark.parametrize(("found", "holds"), [(171, True), (170, False)])
def test_a_power_is_judged_by_the_upper_exact_limit(found, holds):
    values = pd.Series([1.0] * found + [0.0] * (200 - found))
    assert rates.at_least("power", values, 0.9).holds is holds


def test_the_false_share_counts_null_markers_among_those_called():
    tested = pd.DataFrame({"Q_BH": [0.01, 0.05, 0.2, 0.1]})
    null = pd.Series([False, True, True, True])
    rules = plan.defaults().biomarkers
    # by hand: three are at most 0.1, two of them null
    assert rates.false_share(tested, null, rules) == pytest.approx(2 / 3)
    assert rates.false_share(tested.assign(Q_BH=1.0), null, rules) == 0.0
