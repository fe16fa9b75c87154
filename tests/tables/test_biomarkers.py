"""Tables and sentences of the markers say what the rows say; without rows they say nothing."""

import re

import numpy as np
import pandas as pd
import pytest

from analysis import plan, tables
from analysis.contracts.biomarkers import STATISTICS
from analysis.tables.biomarker_words import (
    SHORT,
    choose_rows,
    in_study_words,
    marker_words,
    write_effect,
)
from analysis.tables.marker_pairs import acquired_html, pairs_html
from analysis.tables.marker_print import note_markers, print_markers
from analysis.tables.screen_sentences import say_families

_ROW = dict(ANALYSIS="gene", MARKER="ESR1", PARTYPE="MUT", SAMPTYPE="METASTASIS>PRIMARY", AVISIT=None)
_ROW |= dict(OUTCOME="NONRESPONSE", METHOD="fisher", STATISTIC="odds_ratio", ESTIMATE=2.5, LOWER=1.1)
_ROW |= dict(UPPER=5.7, P=0.03, Q_BH=0.2, P_MAXT=0.3, N=31.0, N_POS=9.0, EVENTS=20.0, TIER="CANDIDATE")
_ROW |= dict(ROLE="EXPLORATORY", TESTED="Y", NOTE=None)


def rows(*changes):
    return pd.DataFrame([_ROW | change for change in changes])


def test_every_statistic_of_the_contract_has_a_short_name():
    assert set(SHORT) == set(STATISTICS)


def test_an_effect_is_written_with_the_name_and_unit_of_its_statistic():
    frame = rows(
        {},
        dict(STATISTIC="shift", OUTCOME="PCTCHANGE"),
        dict(STATISTIC="hazard_ratio", OUTCOME="PFS"),
        dict(TESTED="N", ESTIMATE=np.nan, LOWER=np.nan, UPPER=np.nan, P=np.nan),
        dict(STATISTIC="proportion", ESTIMATE=0.5, LOWER=0.25, UPPER=0.75),
        dict(STATISTIC="rho", ESTIMATE=-0.4, LOWER=-0.6, UPPER=0.1),
    )
    table = tables.tabulate_biomarkers(frame)
    assert table["Effect (95 % CI)"].tolist() == [
        "OR 2.50 (1.10–5.70)",
        "shift 2.5 (1.1–5.7) points",
        "HR 2.50 (1.10–5.70)",
        "not tested",
        "share 50.0 % (25.0–75.0)",
        "ρ −0.40 (−0.60 to 0.10)",
    ]
    assert table.loc[0, ["Marker", "Sample", "Outcome", "With", "Events / n"]].tolist() == [
        "ESR1",
        "Metastasis, else primary",
        "Metabolic non-response",
        "9",
        "20 / 31",
    ]
    with pytest.raises(ValueError, match="no marker"):
        tables.tabulate_biomarkers(frame.iloc[:0])


def test_a_figure_compares_rows_of_one_method_the_one_that_was_corrected():
    frame = rows(dict(METHOD="firth_logistic", Q_BH=np.nan), {}, dict(MARKER="TP53"))
    assert choose_rows(frame, "NONRESPONSE")["METHOD"].tolist() == ["fisher", "fisher"]
    assert choose_rows(frame, "NONRESPONSE", "firth_logistic")["MARKER"].tolist() == ["ESR1"]
    assert choose_rows(frame, "PFS").empty


def test_the_screen_names_what_stands_out_after_correction_and_counts_what_was_not_tested():
    frame = rows(
        {},
        dict(MARKER="TP53", P=0.0005, Q_BH=0.002, P_MAXT=0.004),
        dict(MARKER="NF1", TESTED="N", ESTIMATE=np.nan, P=np.nan, Q_BH=np.nan, P_MAXT=np.nan),
    )
    said = tables.say_screen(frame, fdr_level=0.1, fwer_level=0.05)
    assert "2 of 3 markers could be tested against at least one outcome (metabolic non-response 2)." in said
    assert "TP53 and metabolic non-response (OR 2.50 (1.10–5.70), maxT p 0.004)" in said
    assert "ESR1" not in said and "Exploratory" in said
    assert "none stands out" in tables.say_screen(frame.head(1), fdr_level=0.1, fwer_level=0.05)


def test_the_screen_names_rare_candidates_the_direction_and_the_firth_ratio_beside_infinity():
    silent = dict(TESTED="N", ESTIMATE=np.nan, P=np.nan, Q_BH=np.nan, P_MAXT=np.nan)
    small = dict(P=0.0005, Q_BH=0.002, P_MAXT=0.004)
    beside = dict(ESTIMATE=30.9, LOWER=3.56, UPPER=4070.0, METHOD="firth_logistic", NOTE="companion")
    frame = rows(
        small | dict(MARKER="TP53", ESTIMATE=np.inf, LOWER=2.79, UPPER=np.inf),
        dict(MARKER="TP53", Q_BH=np.nan, P_MAXT=np.nan) | beside,
        small | dict(MARKER="PTEN", OUTCOME="PFS", STATISTIC="hazard_ratio", ESTIMATE=0.4),
        silent | dict(MARKER="AKT1", NOTE="listed, not tested: fewer than 4 subjects in one group"),
        silent | dict(MARKER="KMT2C", TIER="SCREEN", NOTE="listed, not tested: fewer than 4 subjects"),
    )
    said = tables.say_screen(frame, fdr_level=0.1, fwer_level=0.05, listed=300)
    assert "2 of 300 markers could be tested against at least one outcome" in said
    assert "(metabolic non-response 1, PFS 1)" in said and "KMT2C" not in said
    assert "Candidates below the prevalence floor: AKT1." in said
    assert "(OR ∞ (at least 2.79), Firth 30.9 (3.56–4070), maxT p 0.004)" in said
    assert "(HR 0.40 (1.10–5.70), maxT p 0.004) (against resistance)" in said
    copies = frame.assign(ANALYSIS="copy_number", PARTYPE="CNA", MARKER=frame["MARKER"] + "_AMP")
    said = tables.say_screen(copies, fdr_level=0.1, fwer_level=0.05, analysis="copy_number")
    assert said.startswith("Copy number: 2 of 4 markers") and "TP53 amplified and" in said


def test_families_are_counted_and_what_has_no_adjusted_p_is_named():
    frame = rows(*(dict(MARKER=f"G{n}", OUTCOME=f"E{n % 40}") for n in range(80)))
    plain = dict(Q_BH=np.nan, P_MAXT=np.nan)
    frame = pd.concat([frame, rows(plain | dict(ANALYSIS="ctdna"), plain | dict(ANALYSIS="burden"))])
    said = say_families(frame, fwer_level=0.05)
    assert "in 40 families of tests" in said and "about 2 of them" in said  # 40 x 0.05
    assert "Visits of ctDNA have no maxT" in said
    assert said.endswith("The p-values of tumour burden are not adjusted.")
    assert say_families(frame.iloc[:0], fwer_level=0.05) == ""


def test_metrics_of_burden_stand_beside_each_other_and_may_point_opposite_ways():
    pair = dict(
        ANALYSIS="burden", PARTYPE="PET", METHOD="spearman", STATISTIC="rho", OUTCOME="TUMFRAC_CHANGE"
    )
    pair |= dict(AVISIT="D14", LOWER=np.nan, UPPER=np.nan)
    frame = rows(pair | dict(MARKER="TMTV41", ESTIMATE=-0.54), pair | dict(MARKER="TTLG41", ESTIMATE=0.48))
    assert tables.say_burden(frame, ["TTLG41", "TMTV41"]) == (
        "Tumour burden and plasma, rank correlations: change in tumour fraction at day 14, total TLG (41 %) "
        "ρ 0.48 (n = 31), total MTV (41 %) ρ −0.54 (n = 31) (they point opposite ways)."
    )
    assert "opposite" not in tables.say_burden(frame.assign(ESTIMATE=0.2), ["TTLG41", "TMTV41"])


def test_the_report_prints_the_markers_without_what_all_rows_share():
    ratio = dict(STATISTIC="hazard_ratio", OUTCOME="PFS", METHOD="cox_wald")
    frame = rows({}, ratio | dict(PARTYPE="EXPR", MARKER="HK2", N_POS=np.nan, ANALYSIS="expression"))
    _, table = print_markers("biomarkers", frame)
    heads = ["Marker", "Outcome", "With", "Events / n", "Effect (95 % CI)", "p", "q", "maxT"]
    assert table.columns.tolist() == heads and table["With"].tolist() == ["9", "–"]
    notes = note_markers("biomarkers", frame)
    assert notes[0] == "Sample: Metastasis, else primary; Tier: Candidate."
    ranks = "Ratios of expression: p is of the value per standard deviation, maxT of the marker's ranks."
    assert ranks in notes
    _, mixed = print_markers("biomarkers", rows({}, dict(TIER="SCREEN"), dict(TIER="SINGLE")))
    assert mixed["Tier"].tolist() == ["C", "S", "–"]
    kinds = [dict(MARKER="TP53"), dict(MARKER="p53", PARTYPE="PATH", ANALYSIS="pathway")]
    _, named = print_markers(
        "biomarkers", rows(*kinds, dict(MARKER="TP53", PARTYPE="EXPR", ANALYSIS="expression"))
    )
    assert named["Marker"].tolist() == ["TP53 mutated", "p53 pathway altered", "TP53 expression"]
    _, plain = print_markers("biomarkers", frame.assign(EVENTS=np.nan))
    assert plain["n"].tolist() == ["31", "31"]


def test_four_classes_have_no_single_ratio():
    row = _ROW | dict(ESTIMATE=np.nan, MARKER="CLASSES_D0_D14", PARTYPE="CTDNA")
    assert write_effect(row) == "4 classes, no single ratio"


def test_columns_that_say_the_same_in_every_line_are_dropped():
    lines = pd.DataFrame(dict(USUBJID=["A", "B"], PET=["SUVMAX 3", "SUVMAX 9"], TUMOUR="no tumour sample"))
    assert tables.nonresponders_in_words(lines).columns.tolist() == ["USUBJID", "PET"]
    assert "TUMOUR" in tables.nonresponders_in_words(lines.head(1))


def test_pet_and_ctdna_in_one_model_are_told_with_what_each_is_given():
    place = dict(ANALYSIS="combined", OUTCOME="PFS", STATISTIC="hazard_ratio", N=44.0, EVENTS=36.0)
    frame = rows(
        place | dict(MARKER="NONRESPONSE", PARTYPE="PET", METHOD="cox_additive"),
        place | dict(MARKER="CTDNA", PARTYPE="CTDNA", AVISIT="D14", METHOD="cox_additive", ESTIMATE=1.5),
        place | dict(MARKER="NONRESPONSE x CTDNA", METHOD="cox_interaction", ESTIMATE=0.9, P=0.8),
    )
    said = tables.say_combined(frame, "PFS")
    assert said.startswith(
        "PFS, response and ctDNA in one model (44 patients, 36 events): metabolic non-response"
    )
    assert "non-response, given ctDNA: HR 2.50 (1.10–5.70), p = 0.030; ctDNA detected, day 14, given" in said
    assert "among patients with ctDNA is 0.90 (1.10–5.70) times that among those without, p = 0.80." in said


def test_ctdna_burden_lead_time_and_lesions_are_told_from_their_rows():
    ctdna = rows(
        dict(ANALYSIS="ctdna", MARKER="CTDNA", PARTYPE="CTDNA", AVISIT="D14"),
        dict(ANALYSIS="ctdna", MARKER="CTDNA", PARTYPE="CTDNA", AVISIT="D28", OUTCOME="PFS"),
    )
    said = tables.say_ctdna(ctdna, visit="D14")
    assert (
        "ctDNA detected, day 14 and metabolic non-response, OR 2.50 (1.10–5.70), p = 0.030 (n = 31)" in said
    )
    assert "PFS" not in said
    change = dict(ANALYSIS="burden", MARKER="TTLG41", PARTYPE="PET", METHOD="spearman", STATISTIC="rho")
    said = tables.say_burden(rows(change | dict(OUTCOME="TUMFRAC", AVISIT="D0", ESTIMATE=0.6)), "TTLG41")
    assert (
        said == "Total TLG (41 %) and plasma, rank correlations: tumour fraction at baseline "
        "ρ 0.60 (1.10–5.70) (n = 31)."
    )
    leads = pd.DataFrame({"CATEGORY": ["RISE BEFORE PROGRESSION"] * 3 + ["NO RISE BEFORE PROGRESSION"]})
    median = dict(ANALYSIS="lead_time", STATISTIC="median_days", ESTIMATE=42.0, LOWER=20.0, UPPER=80.0)
    said = tables.say_lead_time(leads, rows(median))
    assert said == (
        "Plasma rose before progression in 3 of 4 patients with progression. "
        "The median lead is 42 (20–80) days; who progressed without a rise before it counts as 0."
    )
    measures = dict(CATEGORY=["NO RISE BEFORE PROGRESSION"] * 3 + ["NOT ASSESSABLE"])
    followed = pd.DataFrame(measures | dict(MEASURE=["VAF", "VAF", "TUMFRAC", None]))
    assert tables.say_lead_time(followed).endswith(
        "Followed by largest variant allele fraction: 2; by tumour fraction instead: 1. "
        "Not assessable: 1 patient with ctDNA detected and its level not known."
    )
    lesion = dict(ANALYSIS="lesion_progression", MARKER="NEWFL", OUTCOME="PROG", STATISTIC="proportion")
    lesion |= dict(ESTIMATE=0.4, LOWER=0.2, UPPER=0.6, EVENTS=8.0, N=20.0)
    assert "a new lesion in 8 of 20 progressions (40.0 % (20.0–60.0))" in tables.say_lesions(rows(lesion))


@pytest.mark.parametrize(
    ("estimate", "lower", "upper", "text"),
    [
        (np.inf, 2.79, np.inf, "OR ∞ (at least 2.79)"),
        (0.0, 0.0, 0.45, "OR 0 (at most 0.45)"),
        (0.0, np.nan, np.nan, "OR 0 (no interval)"),
        (0.0, 0.0, np.inf, "OR 0"),
        (0.17, 0.001, 1.75, "OR 0.17 (<0.01–1.75)"),
        (27.6, 2.89, 3717.1, "OR 27.6 (2.89–3717)"),
        (np.nan, np.nan, np.nan, "no single ratio"),
    ],
)
def test_a_ratio_at_its_ends_is_written_so_that_it_reads(estimate, lower, upper, text):
    row = _ROW | dict(ESTIMATE=estimate, LOWER=lower, UPPER=upper)
    assert write_effect(row) == text


def test_markers_of_plasma_are_named_by_what_they_compare():
    plasma = dict(PARTYPE="CTDNA", SAMPTYPE="PLASMA", AVISIT="D14")
    kept = marker_words(plasma | dict(MARKER="CLEARANCE_D0_D14"))
    assert kept == "ctDNA still detected at day 14 against cleared (of those detected at baseline)"
    assert marker_words(plasma | dict(MARKER="CTDNA_D0", AVISIT="D0")) == "ctDNA detected, baseline"
    assert (
        marker_words(plasma | dict(MARKER="CLASSES_D0_D14")) == "ctDNA at baseline and day 14 in four classes"
    )
    frame = rows(plasma | dict(MARKER="CTDNA_D14"), dict(MARKER="p53", PARTYPE="PATH", OUTCOME="ALL"))
    table = tables.tabulate_biomarkers(frame)
    assert table["Marker"].tolist() == ["ctDNA detected, day 14", "p53"]
    assert table["Outcome"].tolist() == ["Metabolic non-response", "All patients"]


def test_the_course_over_time_is_told_as_factors_and_says_what_they_mean():
    model = dict(ANALYSIS="trajectory", PARTYPE="CTDNA", SAMPTYPE="PLASMA", OUTCOME="VAF", P=0.6)
    model |= dict(METHOD="mixed_censored", STATISTIC="logit_difference", LOWER=-np.log(2), UPPER=np.log(4))
    model |= dict(NOTE="change in 28 days where the group is 0; Wald limits")
    names = ("TIME", "GROUP", "TIME:GROUP")
    frame = rows(*(model | dict(MARKER=name, ESTIMATE=0.0) for name in names))
    said = tables.say_rows(frame, "trajectory")
    assert "change in 28 days, non-responders against responders × 1.00 (0.50–4.00), p = 0.60" in said
    assert said.endswith("covers 1: the two courses are not told apart.")
    said = tables.say_rows(frame.assign(LOWER=0.1), "trajectory")
    assert said.endswith("The level moves up in the non-responders relative to the responders.")


def test_a_table_for_a_notebook_stands_in_groups_and_leaves_companions_and_constants_out():
    frame = rows(
        {},
        dict(METHOD="firth_logistic", NOTE="companion", ESTIMATE=9.0),
        dict(OUTCOME="PFS", STATISTIC="hazard_ratio", NOTE="time zero: first dose"),
        dict(MARKER="TP53"),
        dict(MARKER="NF1", TESTED="N", ESTIMATE=np.nan, P=np.nan),
    )
    page = tables.markers_html(frame)
    assert page.count("ESR1") == 2 and "OR 9.00" not in page
    heads = re.findall(r'rowgroup" colspan="\d"[^>]*>([^<]+)', page)
    assert heads == ["Metabolic non-response", "PFS"]  # TP53 stands with ESR1, under one heading
    assert "Sample: Metastasis, else primary; Tier: Candidate." in page and '<th scope="col">Tier' not in page
    assert "1 more could not be estimated" in page and "1 row of a second measure" in page
    assert "Survival runs from: first dose." in page
    assert "OR 9.00" in tables.markers_html(frame, companions=True)
    heads = re.findall(r'rowgroup" colspan="\d"[^>]*>([^<]+)', tables.markers_html(frame, by="Marker"))
    assert heads == ["ESR1", "TP53"] and "rowgroup" not in tables.markers_html(frame, by=None)
    assert "Nothing to estimate: 1 more" in tables.markers_html(frame.tail(1))


def test_groups_of_pet_and_ctdna_name_their_reference_and_models_what_they_hold():
    place = dict(ANALYSIS="combined", OUTCOME="PFS", STATISTIC="hazard_ratio")
    group = dict(MARKER="RESPONDER, DETECTED", METHOD="cox_firth", PARTYPE="CTDNA", AVISIT="D14")
    frame = rows(
        place | group | dict(NOTE="7 events in 9, against 2 in 5 RESPONDER, NOT DETECTED; time zero: x"),
        place | dict(MARKER="NONRESPONSE", PARTYPE="PET", METHOD="cox_ml"),
        place | dict(MARKER="NONRESPONSE", PARTYPE="PET", METHOD="cox_additive"),
    )
    page = tables.markers_html(frame)
    assert "The groups are compared with: Responder, ctDNA not detected." in page
    for text in ("Responder, ctDNA detected, day 14", "non-response, alone", "non-response, given ctDNA"):
        assert text in page


def test_the_notes_say_what_a_ratio_of_levels_is_per_and_what_an_area_means():
    level = dict(ANALYSIS="level", MARKER="TMB", PARTYPE="LEVEL", OUTCOME="PFS", STATISTIC="hazard_ratio")
    frame = rows(
        level | dict(NOTE="per standard deviation (3.36)"),
        level | dict(OUTCOME="NONRESPONSE", STATISTIC="auc", ESTIMATE=0.6),
    )
    page = tables.markers_html(frame)
    assert "HR of levels: per standard deviation among those in the row." in page
    assert "AUC above 0.5: higher in non-responders." in page
    assert "standard deviation" not in tables.markers_html(rows({}))


def test_pairs_of_samples_stand_in_one_line_with_their_counts():
    pairs = pd.DataFrame([dict(PARTYPE="MUT", MARKER="ESR1", N=37, BOTH=1, PRIMARY_ONLY=0)])
    pairs = pairs.assign(METASTASIS_ONLY=6, NEITHER=30)
    frame = rows(
        dict(METHOD="mcnemar_exact", ESTIMATE=np.inf, LOWER=1.18, UPPER=np.inf, P=0.031),
        dict(METHOD="cohen_kappa", STATISTIC="kappa", ESTIMATE=0.21, LOWER=-0.14, UPPER=0.57, P=np.nan),
    )
    cells = re.findall(r"<td>([^<]*)</td>", pairs_html(pairs, frame))
    assert cells == ["37", "1", "6", "0", "∞ (at least 1.18)", "0.031", "0.20", "0.21 (−0.14 to 0.57)"]
    assert pairs_html(pairs.iloc[:0], frame) == ""
    acquired = dict(USUBJID=["A", "B", "C"], SOURCE="PLASMA", PARAMCD="ESR1", PARTYPE="MUT")
    acquired = pd.DataFrame(acquired | dict(AVALC=["ACQUIRED", "ACQUIRED", "NOT ASSESSABLE"]))
    assert re.findall(r"<td>([^<]*)</td>", acquired_html(acquired)) == ["0", "2", "0", "1"]
    assert acquired_html(acquired.iloc[:0]) == ""


def test_acquired_alterations_are_counted_and_the_unknown_ones_told():
    acquired = pd.DataFrame(
        {
            "USUBJID": ["A", "A", "B", "C"],
            "PARAMCD": ["ESR1", "TP53", "ESR1", "PTEN"],
            "AVALC": ["ACQUIRED", "PRESENT AT BASELINE", "ACQUIRED", "NOT ASSESSABLE"],
        }
    )
    said = tables.say_acquired(acquired)
    assert said.startswith("Of 4 alterations in 3 patients with a later sample: 2 acquired (ESR1 in 2), 1 ")
    assert "1 not assessable" in said


def test_the_page_of_the_non_responders_is_printed_and_summed_up():
    profile = pd.DataFrame(
        {
            "SECTION": ["CLINICAL", "PET"],
            "CHARACTERISTIC": ["Visceral disease", "TTLG41 of the whole patient"],
            "LEVEL": ["yes", "median (quartiles)"],
            "NONRESPONDER": ["20 (67 %)", "310 (120–800)"],
            "RESPONDER": ["7 (50 %)", "150 (80–300)"],
            "N": [44.0, 44.0],
            "STATISTIC": ["odds_ratio", "difference"],
            "ESTIMATE": [2.0, 120.0],
            "LOWER": [0.5, 10.0],
            "UPPER": [8.0, 300.0],
            "P": [0.34, 0.004],
            "Q_BH": [0.34, 0.008],
        }
    )
    table = tables.tabulate_profile(profile)
    whole = "Total TLG (41 %) of the whole patient: median (quartiles)"
    assert table["Characteristic"].tolist() == ["Visceral disease", whole]
    assert table["Section"].tolist() == ["Clinical", "Imaging"]
    assert table["Effect (95 % CI)"].tolist() == ["OR 2.00 (0.50–8.00)", "difference 120.0 (10.0–300.0)"]
    assert (
        "1 with q ≤ 0.1: total TLG (41 %) of the whole patient (q 0.008, higher in non-responders)."
        in tables.say_profile(profile, fdr_level=0.1)
    )
    assert "none has q ≤ 0.001" in tables.say_profile(profile, fdr_level=0.001)
    alone = profile.head(1).assign(ESTIMATE=0.5)
    said = tables.say_profile(alone, fdr_level=0.1)
    assert said == "Visceral disease: p 0.34 (one test, fewer in non-responders)."
    _, printed = print_markers("profile", profile)
    assert printed.iloc[:, 0].str.strip().tolist() == [
        "Clinical",
        "Visceral disease",
        "Imaging",
        whole.removesuffix(": median (quartiles)"),
    ]
    assert printed["Effect (95 % CI)"].tolist()[3] == "Δ 120.0 (10.0–300.0)"
    assert note_markers("profile", profile)[0] == "Numbers: median (quartiles)."
    # What stands beneath is not indented: a line with a name alone then heads a group (portfolio).
    assert not printed.iloc[:, 0].str.startswith(" ").any()


def test_without_rows_no_sentence_is_made():
    none = rows({}).iloc[:0]
    assert tables.say_screen(none, fdr_level=0.1, fwer_level=0.05) == ""
    assert (
        tables.say_ctdna(none) == tables.say_combined(none, "PFS") == tables.say_burden(none, "TTLG41") == ""
    )
    assert tables.say_lesions(none) == tables.say_rows(none, "trajectory") == ""
    empty = pd.DataFrame(columns=["CATEGORY", "AVALC", "USUBJID", "PARAMCD", "P", "Q_BH", "CHARACTERISTIC"])
    assert tables.say_lead_time(empty) == tables.say_acquired(empty) == ""
    assert tables.say_profile(empty, fdr_level=0.1) == ""


def test_a_study_speaks_of_its_own_response_and_groups():
    words = {"scan": "plasma", "response": "ctDNA response", "change": "ctDNA"}
    said = "Metabolic non-response and the change in uptake; other group against reference group"
    assert in_study_words(said, words, ("cleared", "kept")) == (
        "ctDNA non-response and the change in ctDNA; kept against cleared"
    )
    default = plan.defaults().design.words
    assert in_study_words(said, default) == said
