"""The tables of the virtual trial: RECIST that adds up, the planted untidiness, and files others can read."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import plan
from analysis.virtual_trial import imaging, simulate_trial, stream, write_trial
from analysis.virtual_trial.tables import write_biomarkers, write_reading, write_sdtm
from analysis.virtual_trial.tumours import simulate_diameters

PLAN = plan.defaults()
RULES = PLAN.virtual.tumour_course
TINY = PLAN.override({"virtual.n_patients": 12, "design.pilot_n": 8})


@pytest.fixture(scope="module")
def trial():
    return simulate_trial(PLAN)


@pytest.fixture(scope="module")
def raw(trial, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    write_sdtm(trial, folder / "sdtm", stream(PLAN.virtual.seed, 1))
    write_biomarkers(trial, folder / "biomarkers", stream(PLAN.virtual.seed, 2), PLAN.virtual)
    write_reading(trial, folder)
    return folder


def read(raw, domain):
    return pd.read_csv(raw / "sdtm" / f"{domain}.csv", dtype=str, keep_default_na=False)


def carriers(trial, role):
    return trial.roles.loc[trial.roles["ROLE"] == role, "USUBJID"].tolist()


# ---------------------------------------------------------------- RECIST


def progression_dates(raw):
    """Derive first progression from TU and TR: sums against the nadir, non-targets, new lesions on CT."""
    tr, tu = read(raw, "tr"), read(raw, "tu")
    found = {}
    for subject, rows in tr.groupby("USUBJID"):
        targets = rows[rows["TRGRPID"] == "TARGET"].astype({"TRSTRESN": float, "VISITNUM": float})
        sums = targets.groupby("VISITNUM")["TRSTRESN"].sum()
        last = targets.groupby("VISITNUM")["TRDTC"].max()
        nadir = sums.cummin().shift()
        hit = (sums >= 1.2 * nadir - 1e-9) & (sums - nadir >= 5 - 1e-9)
        dates = last[hit].tolist()
        dates += rows.loc[rows["TRORRES"] == "UNEQUIVOCAL PROGRESSION", "TRDTC"].tolist()
        mine = tu[(tu["USUBJID"] == subject) & (tu["TUORRES"] == "NEW") & (tu["TUMETHOD"] == "CT SCAN")]
        dates += mine["TUDTC"].tolist()
        if dates:
            found[subject] = min(dates)
    return found


def test_the_lesions_show_progression_at_the_planted_visit_and_at_no_other(trial, raw):
    start = trial.patients.set_index("USUBJID")["TRTSDT"]
    planted = trial.assessments.query("RESULT == 'PD'").set_index("USUBJID")["DAY"]
    expected = {
        subject: str((start[subject] + pd.Timedelta(days=int(day))).date())
        for subject, day in planted.items()
    }
    assert progression_dates(raw) == expected


def test_the_investigator_reports_progression_when_the_lesions_show_it(trial, raw):
    rs = read(raw, "rs")
    reported = rs[(rs["RSTESTCD"] == "OVRLRESP") & (rs["RSORRES"] == "PD")]
    assert reported.set_index("USUBJID")["RSDTC"].to_dict() == progression_dates(raw)


def test_one_reported_response_disagrees_with_the_lesions(trial, raw):
    rs = read(raw, "rs").set_index(["USUBJID", "VISIT", "RSTESTCD"])["RSORRES"].unstack()  # noqa: PD010
    calm = rs[(rs["OVRLRESP"] != "PD")]
    expected = calm["TRGRESP"].fillna(calm["NTRGRESP"])
    assert calm.index[calm["OVRLRESP"] != expected].get_level_values("USUBJID").tolist() == carriers(
        trial, "reported_disagrees"
    )


def test_baseline_targets_obey_recist(raw):
    tu, tr = read(raw, "tu"), read(raw, "tr")
    targets = tu[tu["TUORRES"] == "TARGET"]
    assert targets.groupby("USUBJID").size().max() <= 5
    assert targets.groupby(["USUBJID", "TULOC"]).size().max() <= 2
    assert "BONE" not in set(targets["TULOC"])
    base = tr[(tr["VISITNUM"] == "0") & (tr["TRGRPID"] == "TARGET")]
    size = base["TRSTRESN"].astype(float)
    assert size.min() >= 10 and size[base["TRTESTCD"] == "SAXIS"].min() >= 15


@settings(max_examples=60, deadline=None)
@given(
    base=st.lists(st.integers(12, 60), min_size=1, max_size=5),
    calm=st.integers(0, 6),
    ends=st.booleans(),
    sensitivity=st.floats(-3, 3),
    seed=st.integers(0, 2**31),
)
def test_diameters_progress_exactly_where_they_are_told_to(base, calm, ends, sensitivity, seed):
    planned = [False] * calm + [True] * ends
    floor = np.full(len(base), 5)
    rng = np.random.default_rng(seed)
    sums = simulate_diameters(np.array(base), floor, planned, sensitivity, rng, RULES).sum(axis=1)
    nadir = np.minimum.accumulate(sums)[:-1]
    shown = (sums[1:] >= 1.2 * nadir) & (sums[1:] >= nadir + 5)
    assert shown.tolist() == planned


# ---------------------------------------------------------------- untidiness


def test_every_record_of_a_findings_domain_has_its_own_number(raw):
    for domain in ("ae", "cm", "ds", "ex", "lb", "qs", "rs", "ss", "tr", "tu"):
        table = read(raw, domain)
        assert not table.duplicated(["USUBJID", f"{domain.upper()}SEQ"]).any(), domain
        assert set(table["USUBJID"]) <= set(read(raw, "dm")["USUBJID"])


def test_a_death_and_an_adverse_event_are_known_to_the_month_only(trial, raw):
    dm, ae = read(raw, "dm").set_index("USUBJID"), read(raw, "ae")
    assert dm.index[dm["DTHDTC"].str.len() == 7].tolist() == carriers(trial, "death_month_only")
    assert ae.loc[ae["AESTDTC"].str.len() == 7, "USUBJID"].tolist() == carriers(trial, "ae_month_only")


def test_a_screen_failure_is_registered_but_never_treated(trial, raw):
    failed = set(trial.screen_failures["USUBJID"])
    assert len(failed) == PLAN.virtual.n_screen_failures
    dm = read(raw, "dm").set_index("USUBJID")
    assert failed <= set(dm.index) and (dm.loc[sorted(failed), "RFSTDTC"] == "").all()
    assert failed.isdisjoint(read(raw, "ex")["USUBJID"])
    assert dm["SUBJID"].is_unique


def test_bone_only_patients_have_no_target_lesion(trial, raw):
    tu = read(raw, "tu")
    bone_only = set(trial.patients.query("BONEONLY == 'Y'")["USUBJID"])
    assert bone_only and bone_only.isdisjoint(tu.loc[tu["TUORRES"] == "TARGET", "USUBJID"])


def test_a_withdrawn_patient_has_no_assessment_after_baseline(trial, raw):
    tr = read(raw, "tr")
    (subject,) = carriers(trial, "withdrawn")
    assert set(tr.loc[tr["USUBJID"] == subject, "VISIT"]) == {"SCREENING"}


def test_one_patient_has_an_unscheduled_visit_and_one_an_assessment_over_two_days(trial, raw):
    tr = read(raw, "tr")
    assert set(tr.loc[tr["VISIT"].str.startswith("UNSCH"), "USUBJID"]) == set(carriers(trial, "unscheduled"))
    days = read(raw, "sv").query("SVSTDTC != SVENDTC")["USUBJID"]
    assert set(days) == set(carriers(trial, "split_assessment"))


def test_one_patient_starts_a_new_therapy_before_progression(trial, raw):
    cm = read(raw, "cm")
    new = cm[cm["CMCAT"] == "SUBSEQUENT ANTI-CANCER THERAPY"].set_index("USUBJID")["CMSTDTC"]
    progressed = progression_dates(raw)
    early = [
        subject for subject, date in new.items() if subject not in progressed or date < progressed[subject]
    ]
    assert early == carriers(trial, "new_therapy")


def test_a_pause_before_the_scan_leaves_a_gap_in_exposure(trial, raw):
    ex = read(raw, "ex").query("EXTRT == 'EVEROLIMUS'")
    scans = trial.scans.query("AVISIT == 'D14'").set_index("USUBJID")["SCANDT"]
    for subject in set(carriers(trial, "pause")) & set(scans.index):
        mine = ex[ex["USUBJID"] == subject]
        week = pd.date_range(end=scans[subject] - pd.Timedelta(days=1), periods=7)
        taken = [
            any(start <= str(day.date()) <= end for start, end in zip(mine["EXSTDTC"], mine["EXENDTC"]))
            for day in week
        ]
        assert sum(taken) <= 3


def test_nothing_is_recorded_after_death(trial, raw):
    death = read(raw, "dm").set_index("USUBJID")["DTHDTC"]
    known = death[death.str.len() == 10]
    dates = {
        "tr": "TRDTC",
        "rs": "RSDTC",
        "lb": "LBDTC",
        "sv": "SVENDTC",
        "ae": "AEENDTC",
        "ex": "EXENDTC",
        "cm": "CMSTDTC",
    }
    for domain, column in dates.items():
        table = read(raw, domain)
        last = table["USUBJID"].map(known)
        assert not (table[column] > last).any(), domain


def test_glucose_is_recorded_at_every_pet(trial, raw):
    assert len(read(raw, "lb")) == len(trial.scans)


def test_new_lesions_have_a_reader_decision_and_pneumonitis_is_inflammatory(trial, raw):
    decisions = pd.read_csv(raw / "reader_decisions.csv")
    assert len(decisions) == (trial.uptake["IS_NEW"] == "Y").sum()
    inflamed = set(decisions.query("DECISION == 'inflammatory'")["USUBJID"])
    assert inflamed == set(carriers(trial, "pneumonitis"))


# ---------------------------------------------------------------- biomarkers


def test_the_clinical_sample_file_has_the_four_comment_lines_of_the_format(raw):
    lines = (raw / "biomarkers" / "data_clinical_sample.txt").read_text().splitlines()
    assert [line.startswith("#") for line in lines[:5]] == [True] * 4 + [False]
    assert {len(line.split("\t")) for line in lines} == {6}
    assert lines[2] == "#STRING\tSTRING\tSTRING\tSTRING\tNUMBER\tNUMBER"


def test_mutations_name_known_samples_and_required_columns(raw):
    samples = pd.read_csv(raw / "biomarkers" / "data_clinical_sample.txt", sep="\t", comment="#")
    maf = pd.read_csv(raw / "biomarkers" / "data_mutations.txt", sep="\t")
    assert {"Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode", "HGVSp_Short"} <= set(
        maf.columns
    )
    assert set(maf["Tumor_Sample_Barcode"]) <= set(samples["SAMPLE_ID"])
    assert set(samples["SAMPLE_TYPE"]) == {"Primary", "Metastasis"} and "PROG" in set(samples["VISIT"])
    assert samples["SAMPLE_ID"].is_unique


def test_the_planted_gene_is_mutated_only_in_its_carriers(trial, raw):
    maf = pd.read_csv(raw / "biomarkers" / "data_mutations.txt", sep="\t")
    seen = set(maf.loc[maf["Hugo_Symbol"] == PLAN.virtual.planted_gene, "Tumor_Sample_Barcode"].str[:-2])
    planted = set(trial.patients.loc[trial.patients["MUTATED"], "USUBJID"])
    assert seen <= planted and len(seen) >= 0.8 * len(planted)


def test_plasma_at_day_14_says_what_was_planted_unless_the_assay_failed(trial, raw):
    plasma = pd.read_csv(raw / "biomarkers" / "plasma.csv").query("VISIT == 'D14'")
    truth = trial.patients.set_index("USUBJID")["CTDNA_D14"]
    for subject, rows in plasma.groupby("USUBJID"):
        if "NOT ASSESSABLE" not in set(rows["STATUS"]):
            assert ("DETECTED" in set(rows["STATUS"])) == truth[subject]
    detected = plasma[plasma["STATUS"] == "DETECTED"].dropna(subset="VAF")
    assert (detected["VAF"] >= detected["LOD"]).all() and (detected["VAF"] <= 1).all()


# ---------------------------------------------------------------- the whole


def digests(folder):
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def quick_images(monkeypatch):
    """Write a few random bytes instead of a scan: the streams and the order are what is tested here."""

    def write_scan(spec, folder, rng, settings):
        folder.mkdir(parents=True)
        (folder / "pet.bin").write_bytes(rng.bytes(16))
        keys = {"USUBJID": spec["USUBJID"], "AVISIT": spec["AVISIT"]}
        return [{**keys, "LESIONID": row["LESIONID"], "NOISE_SD": 0.1} for row in spec["lesions"]]

    monkeypatch.setattr(imaging, "write_scan", write_scan)


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path, quick_images):
    write_trial(TINY, tmp_path / "one", workers=1)
    write_trial(TINY, tmp_path / "two", workers=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_the_truth_states_the_planted_effects_beside_the_data(tmp_path, quick_images):
    write_trial(TINY, tmp_path / "tiny")
    effects = json.loads((tmp_path / "tiny" / "truth" / "effects.json").read_text())
    assert (
        effects["planted_gene"] == PLAN.virtual.planted_gene and effects["hr_ctdna"] == PLAN.virtual.hr_ctdna
    )
    assert len(pd.read_csv(tmp_path / "tiny" / "truth" / "patients.csv")) == 12
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_breaks_leaves_the_old_study_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "tiny" / "truth").mkdir(parents=True)  # an earlier simulation
    (tmp_path / "tiny" / "old").write_text("kept")

    def broken(*_):
        raise RuntimeError("disk full")

    monkeypatch.setattr(imaging, "write_scan", broken)
    with pytest.raises(RuntimeError, match="disk full"):
        write_trial(TINY, tmp_path / "tiny")
    assert digests(tmp_path / "tiny").keys() == {"old"}
