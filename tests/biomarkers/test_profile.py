"""Non-responders beside responders: effects against R, missing layers in words, the page by hand."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import contracts
from analysis.biomarkers.nonresponders import list_nonresponders
from analysis.biomarkers.profile import estimate_freeman_halton, profile_nonresponders

sys.path.insert(0, str(Path(__file__).parent))  # the tables beside this file
from biomarker_frames import COLUMNS, make_adpet, make_outcomes, make_plasma

NAMES = [f"P{i:02}" for i in range(20)]
NONRESPONSE = dict(zip(NAMES, [1] * 10 + [0] * 10, strict=True))
ASK = {"early": "D14", "cut": 25.0}


@pytest.fixture
def outcomes():
    columns = {"PFS_TIME": 304.375, "PFS_EVENT": 1.0, "OS_TIME": 608.75, "OS_EVENT": 0.0}
    return make_outcomes(NONRESPONSE, **columns)


@pytest.fixture
def adsl():
    table = pd.DataFrame({"USUBJID": NAMES, "STUDYID": "S"}).reindex(columns=COLUMNS["adsl"])
    table["AGE"] = [61.0, 44, 70, 58, 66, 39, 72, 80, 49, 53, 45, 50, 62, 38, 41, 55, 47, 60, 36, 57]
    table["ECOG"] = [0.0] * 3 + [1.0] * 5 + [2.0] * 2 + [0.0] * 8 + [1.0] * 2
    table["VISCFL"] = ["Y"] * 8 + ["N"] * 2 + ["Y"] * 3 + ["N"] * 7
    return table


@pytest.fixture
def adpet():
    rows = []
    for place, name in enumerate(NAMES):
        rows += [(name, "D0", "L1", "SUVMAX", 8.0 + place), (name, "D0", "TOTAL", "TTLG41", 50.0)]
        rows.append((name, "D14", "L1", "SUVMAX", (8.0 + place) * (0.9 if NONRESPONSE[name] else 0.5)))
    return make_adpet([*rows, ("P00", "D0", "L2", "SUVMAX", 4.0)])


@pytest.fixture
def adbm():
    rows = [(name, "D0", "DETECTED", 0.02, 0.04) for name in NAMES[:9]]
    rows += [("P09", "D0", "NOT ASSESSABLE", None, None)]
    return make_plasma(rows + [(name, "D0", "NOT DETECTED", None, None) for name in NAMES[10:]])


def rows_of(found):
    return found.estimates.set_index(["MARKER", "AVISIT"])


def test_effects_are_what_r_prints(adsl, adpet, adbm, outcomes):
    found = profile_nonresponders(adsl, adpet, adbm, outcomes, **ASK)
    rows = found.estimates.set_index("MARKER")
    # R: wilcox.test(AGE[1:10], AGE[11:20], conf.int=TRUE)
    age = rows.loc["AGE", ["ESTIMATE", "LOWER", "UPPER", "P"]].tolist()
    assert age == pytest.approx([10.5, -2, 22, 0.08920955206])
    # R: fisher.test(matrix(c(8, 2, 3, 7), 2)); its root is found to 1e-4
    assert rows.loc["VISCFL", ["ESTIMATE", "P"]].tolist() == pytest.approx(
        [8.153062604, 0.06977851869], rel=2e-4
    )
    # R: fisher.test(matrix(c(3, 5, 2, 8, 2, 0), ncol=2))$p.value
    assert rows.loc["ECOG", "P"] == pytest.approx(0.09478447249) and np.isnan(rows.loc["ECOG", "ESTIMATE"])
    contracts.check("estimates_biomarkers", found.estimates)
    contracts.check("profile", found.table)


def test_the_page_gives_counts_medians_and_bh_over_all_that_was_tested(adsl, adpet, adbm, outcomes):
    found = profile_nonresponders(adsl, adpet, adbm, outcomes, **ASK)
    page = found.table.set_index(["CHARACTERISTIC", "LEVEL"])
    assert page.loc[("Visceral disease", "yes"), ["NONRESPONDER", "RESPONDER"]].tolist() == [
        "8/10 (80 %)",
        "3/10 (30 %)",
    ]
    assert page.loc[("ECOG", "2"), "NONRESPONDER"] == "2/10 (20 %)" and np.isnan(page.loc[("ECOG", "2"), "P"])
    assert page.loc[("TTLG41 of the whole patient", "median (quartiles)"), "RESPONDER"] == "50 (50 to 50)"
    tested = found.estimates["P"].notna()
    p = np.sort(found.estimates.loc[tested, "P"])
    # Benjamini-Hochberg's smallest q: the least of p(i) m / i.
    smallest = (p * len(p) / np.arange(1, len(p) + 1)).min()
    assert found.estimates["Q_BH"].min() == pytest.approx(smallest)
    assert found.estimates["Q_BH"].notna().equals(tested)


def test_plasma_that_failed_is_unknown_and_undetected_is_none(adpet, adbm, outcomes):
    rows = rows_of(profile_nonresponders(None, adpet, adbm, outcomes, **ASK))
    assert rows.loc[("CTDNA", "D0"), ["N", "N_POS", "EVENTS"]].tolist() == [19, 9, 9]
    assert np.isinf(rows.loc[("CTDNA", "D0"), "ESTIMATE"])
    assert rows.loc[("TUMFRAC", "D0"), ["N", "ESTIMATE"]].tolist() == pytest.approx([19, 0.04])


def test_plasma_drawn_after_the_early_scan_is_not_on_the_page(adpet, adbm, outcomes):
    later = [adbm.assign(AVISIT=visit, SAMPLEID=adbm["SAMPLEID"] + visit) for visit in ("D14", "D28")]
    drawn = pd.concat([adbm, *later], ignore_index=True)
    shown = {
        early: rows_of(profile_nonresponders(None, adpet, drawn, outcomes, **ASK | {"early": early}))
        for early in ("D14", "D28", "D7")
    }
    visits = {early: sorted(rows.loc["CTDNA"].index) for early, rows in shown.items()}
    assert visits == {"D14": ["D0", "D14"], "D28": ["D0", "D14", "D28"], "D7": ["D0"]}


def test_the_share_of_resistant_lesions_has_an_effect_and_no_p(adpet, outcomes):
    row = rows_of(profile_nonresponders(None, adpet, None, outcomes, **ASK)).loc[("RESISTANT SHARE", "D14")]
    assert row["ESTIMATE"] == 1.0 and np.isnan(row["P"]) and np.isnan(row["Q_BH"])
    assert "defined" in row["NOTE"]


def test_genes_are_candidates_pathways_and_copy_numbers_somebody_has(outcomes):
    columns = {
        "TP53": [1] * 8 + [0] * 12,
        "ZZZ3": 1,
        "PI3K": [0, 1] * 10,
        "PTEN_DEL": [1] * 5 + [0] * 15,
        "PTEN_AMP": 0,
    }
    markers = pd.DataFrame(columns, index=NAMES, dtype=float)
    markers.loc["P19", "TP53"] = np.nan
    rows = profile_nonresponders(None, None, None, outcomes, markers=markers, **ASK).estimates.set_index(
        "MARKER"
    )
    assert rows["PARTYPE"].to_dict() == {"TP53": "MUT", "PI3K": "PATH", "PTEN_DEL": "CNA"}
    assert rows.loc["TP53", ["N", "N_POS"]].tolist() == [19, 8]


def test_a_rare_characteristic_is_listed_and_not_tested(adsl, outcomes):
    rare = adsl.assign(BONEONLY=["Y"] * 3 + ["N"] * 17)
    found = profile_nonresponders(rare, None, None, outcomes, **ASK)
    row = found.estimates.set_index("MARKER").loc["BONEONLY"]
    assert row["TESTED"] == "N" and np.isnan(row["P"]) and "listed" in row["NOTE"]
    line = found.table.set_index("CHARACTERISTIC").loc["Bone only"]
    assert line["NONRESPONDER"] == "3/10 (30 %)" and np.isnan(line["P"])


def test_several_levels_are_tested_as_r_does():
    # R: fisher.test(matrix(c(3, 1, 0, 4, 7, 8), ncol=2))$p.value; with two levels it is Fisher's test
    assert estimate_freeman_halton([[3, 4], [1, 7], [0, 8]]) == pytest.approx(0.08300395257)
    assert estimate_freeman_halton([[3, 1], [1, 3]]) == pytest.approx(34 / 70)
    assert np.isnan(estimate_freeman_halton(np.full((60, 2), 1)))


def test_missing_layers_are_named_and_nobody_classified_is_a_reason(adsl, outcomes):
    found = profile_nonresponders(adsl, None, None, outcomes, **ASK)
    assert found.reason == "not on the page: no baseline PET, no tumour sample, no plasma"
    unknown = outcomes.assign(NONRESPONSE=np.nan)
    assert "nobody" in profile_nonresponders(adsl, None, None, unknown, **ASK).reason
    one = outcomes.assign(NONRESPONSE=1.0)
    assert profile_nonresponders(adsl, None, None, one, **ASK).estimates["TESTED"].eq("N").all()


def test_a_non_responder_is_written_in_one_line(adsl, adpet, adbm, outcomes):
    tumour = pd.DataFrame(
        [("P00", "TP53", "MUT", "MUTATED"), ("P00", "MYC", "CNA", "AMPLIFIED"), ("P01", "TP53", "MUT", "WT")],
        columns=["USUBJID", "PARAMCD", "PARTYPE", "AVALC"],
    ).assign(STUDYID="S", SAMPTYPE="METASTASIS", AVISIT="D0", AVAL=0.0)
    both = pd.concat([adbm, tumour.assign(SAMPLEID=tumour["USUBJID"])])
    adsl = adsl.assign(AGE=adsl["AGE"] + 0.4)  # whole years are printed
    table = list_nonresponders(adsl, adpet, both, outcomes, **ASK)
    contracts.check("nonresponders", table)
    lines = table.set_index("USUBJID")
    assert lines.index.tolist() == NAMES[:10]
    assert lines.loc["P00", "CLINICAL"] == "Age 61, ECOG 0, Visceral disease yes"
    assert lines.loc["P00", "PET"] == "2 lesions, SUVMAX up to 8.0, TTLG41 50 1, change at D14 -10 %"
    assert lines.loc["P00", "RESISTANT"] == "1 of 1 lesion: bone 1 of 1"
    assert lines.loc["P00", "TUMOUR"] == "metastasis: TP53 mutated; MYC amplified"
    assert lines.loc[["P01", "P02"], "TUMOUR"].tolist() == [
        "metastasis: no alteration found",
        "no tumour sample",
    ]
    assert lines.loc[["P00", "P09"], "PLASMA"].tolist() == ["D0 detected (VAF 2.0 %)", "D0 not assessable"]
    assert lines.loc["P00", "OUTCOME"] == "PFS 10.0 months, event; OS 20.0 months, censored"


def test_a_line_says_which_layers_are_missing(outcomes):
    line = list_nonresponders(None, None, None, outcomes, **ASK).iloc[0]
    said = ["no clinical facts", "no baseline PET", "no tumour sample", "no plasma sample"]
    assert line[["CLINICAL", "PET", "TUMOUR", "PLASMA"]].tolist() == said
    nobody = list_nonresponders(None, None, None, outcomes.assign(NONRESPONSE=0.0), **ASK)
    contracts.check("nonresponders", nobody)
