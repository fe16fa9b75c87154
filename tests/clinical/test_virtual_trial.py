"""Derived against planted: what the virtual trial wrote must come back, day by day."""

import numpy as np
import pytest

from analysis import clinical, contracts, plan, virtual_trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    settings = plan.defaults()
    folder = tmp_path_factory.mktemp("sdtm")
    planted = virtual_trial.simulate_trial(settings)
    virtual_trial.write_sdtm(planted, folder / "sdtm", np.random.default_rng(1))
    sdtm, audit = clinical.read_corrected(folder, settings)
    assert len(audit) == 1  # one date is mistyped and corrected
    return planted.patients.set_index("USUBJID"), clinical.derive_all(sdtm, settings)


def test_planted_pfs_comes_back_day_by_day(trial):
    planted, tables = trial
    found = tables.adtte[tables.adtte.PARAMCD.eq("PFS")].set_index("USUBJID").reindex(planted.index)
    assert (found.AVAL == planted.PFSDAYS).all()
    assert (found.CNSR.eq(0) == planted.PFSEVENT.astype(bool)).all()


def test_planted_os_comes_back_within_the_month_of_a_partial_date(trial):
    planted, tables = trial
    found = tables.adtte[tables.adtte.PARAMCD.eq("OS")].set_index("USUBJID").reindex(planted.index)
    assert (found.CNSR.eq(0) == planted.OSEVENT.astype(bool)).all()
    assert (found.AVAL - planted.OSDAYS).abs().max() <= 31
    assert (found.AVAL == planted.OSDAYS).sum() >= len(planted) - 2


def test_every_table_keeps_its_contract_and_the_subjects_add_up(trial):
    _, tables = trial
    for name in ("adsl", "adtr", "adrs", "adtte", "adtte_sensitivity"):
        contracts.check(name, getattr(tables, name))
    set_aside = tables.exclusions[tables.exclusions.ITEM.eq("subject")].USUBJID
    assert len(tables.adsl) == tables.adtte.USUBJID.nunique() + set_aside.nunique()


def test_pfs_never_ends_after_os_and_no_error_is_queried(trial):
    _, tables = trial
    wide = tables.adtte.pivot(index="USUBJID", columns="PARAMCD", values="AVAL")
    assert (wide.PFS <= wide.OS).all()
    assert not tables.queries.SEVERITY.eq("error").any()


def test_the_planted_disagreement_of_a_report_is_the_only_one_listed(trial):
    _, tables = trial
    assert tables.queries.CODE.eq("RESPONSE_DIFFERS").sum() == 1
