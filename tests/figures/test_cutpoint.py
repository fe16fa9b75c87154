"""Figures of the exploration and of the checks: captions and descriptions say what the rows say."""

import numpy as np
import pandas as pd
import pytest

from analysis.figures import cutpoint, diagnostics, pilot_decision

CUTS = np.arange(0.0, 50.0, 5.0)
SEARCH = "cut selected by the data, p corrected for the search: "


def sweep_rows():
    ratios = 1.5 + 0.02 * CUTS
    rows = pd.DataFrame({"CUT": CUTS, "ESTIMATE": ratios, "LOWER": ratios / 2, "UPPER": ratios * 2})
    return pd.concat([rows, pd.DataFrame([{"CUT": 50.0}])], ignore_index=True)


def resampled():
    interval = {"CUT": 35.0, "ESTIMATE": 35.0, "LOWER": -20.0, "UPPER": 40.0}
    shares = [{"CUT": cut, "ESTIMATE": share} for cut, share in ((-25.0, 0.2), (10.0, 0.5), (35.0, 0.3))]
    return pd.DataFrame([interval, *shares])


def selected():
    return pd.DataFrame(
        {
            "METHOD": ["maxstat_lausen92", "maxstat_permutation"],
            "CUT": 35.2,
            "P": [0.14, 0.08],
            "LABEL": [SEARCH + "Lausen and Schumacher 1992", SEARCH + "permutation; post hoc cut"],
        }
    )


def spline_rows():
    falls = np.arange(-60.0, 50.0, 5.0)
    ratios = np.exp((25 - falls) / 80)
    rows = pd.DataFrame({"CUT": falls, "ESTIMATE": ratios, "LOWER": ratios / 1.5, "UPPER": ratios * 1.5})
    return rows.assign(LABEL="hazard ratio against 25 %, restricted cubic spline")


def checks():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"TIME": np.arange(1.0, 21.0), "SCHOENFELD": rng.normal(0.5, 1, 20)})
    frame["GROUP"] = np.where(np.arange(20) % 3, "NON-RESPONDER", "RESPONDER")
    return frame.assign(HR_WITHOUT=np.linspace(1.4, 2.1, 20), EVENT=True)


def test_exploratory_figures_are_readable(check_readable):
    marks = dict(cut=25.0, post_hoc=[15.0], band=(-28.2, 39.3))
    check_readable(cutpoint.plot_sweep(sweep_rows(), chosen=resampled(), **marks))
    check_readable(cutpoint.plot_sweep(sweep_rows(), xlabel="Cut of SUVmax"))
    check_readable(cutpoint.plot_continuous(spline_rows(), [-40.0, 10.0, 90.0], band=(-28.2, 39.3)))
    check_readable(diagnostics.plot_diagnostics(checks(), estimate=1.7))


def test_the_caption_of_a_sweep_says_exploratory_the_search_and_what_lies_outside():
    said = cutpoint.caption_sweep(sweep_rows(), selected(), endpoint="PFS", chosen=resampled())
    assert said.startswith("Exploratory. PFS: hazard ratio (log scale) at 10 cuts, 1.50 to 2.40")
    assert "is 35.2; corrected for the search, p = 0.14 (Lausen and Schumacher 1992)" in said
    assert "p = 0.080 (permutation)." in said
    assert "most often near 10.0 (50 %). 20 % of the samples select a cut outside the axis." in said
    bare = cutpoint.caption_sweep(sweep_rows(), selected().iloc[:0], endpoint="PFS")
    assert "Beneath" not in bare and "corrected for the search" not in bare
    described = cutpoint.alt_sweep(sweep_rows(), endpoint="PFS", chosen=resampled())
    assert "lowest 1.50 at 0.0, highest 2.40 at 45.0" in described and "10.0 most often (50 %)" in described


def test_the_interval_of_the_selected_cut_is_no_bar():
    figure = cutpoint.plot_sweep(sweep_rows(), chosen=resampled())
    heights = [patch.get_height() for patch in figure.axes[1].patches]
    assert sorted(heights) == pytest.approx([20, 30, 50])


def test_the_caption_of_the_continuous_effect_counts_patients_and_names_its_tests():
    tests = pd.DataFrame(
        {
            "P": [0.91, 0.049],
            "LABEL": ["non-linearity, likelihood ratio", "any association, likelihood ratio"],
        }
    )
    how = dict(endpoint="PFS", band=(-28.2, 39.3))
    said = cutpoint.caption_continuous(spline_rows(), [-40.0, 10.0, 90.0], tests, **how)
    assert said.startswith("Exploratory. PFS: hazard ratio against a fall of 25 %")
    assert (
        "n = 3, 1 outside the axis" in said and "non-linearity p = 0.91 and any association p = 0.049" in said
    )
    assert "−28 % to +39 %" in said and "significant" not in said
    plain = cutpoint.caption_continuous(spline_rows(), [30.0], tests.iloc[:0], endpoint="PFS", flip=False)
    assert "fall" not in plain and "Grey" not in plain and "tests" not in plain
    described = cutpoint.alt_continuous(spline_rows(), endpoint="PFS")
    assert "at −45.0" in described and "at 60.0" in described


def test_what_cannot_be_drawn_is_refused():
    nothing = spline_rows().assign(ESTIMATE=np.nan)
    for use in (cutpoint.plot_continuous, lambda rows, _: cutpoint.alt_continuous(rows, endpoint="PFS")):
        with pytest.raises(ValueError, match="no curve to draw"):
            use(nothing, [])
    with pytest.raises(ValueError, match="no cut has a hazard ratio"):
        cutpoint.plot_sweep(sweep_rows().assign(ESTIMATE=np.nan))


def test_the_caption_of_the_checks_gives_the_reach_of_single_patients():
    said = diagnostics.caption_diagnostics(checks(), endpoint="PFS", estimate=1.7)
    assert "20 events" in said and "1.40 to 2.10" in said and "A check, not a test." in said
    assert "20 patients, 1.40 to 2.10" in diagnostics.alt_diagnostics(checks(), endpoint="PFS")
    empty = checks().assign(HR_WITHOUT=np.nan)
    assert "(n = 0), none" in diagnostics.caption_diagnostics(empty, endpoint="PFS", estimate=1.7)


def test_the_choice_and_the_rules_are_described_in_words():
    rows = pd.DataFrame(
        [("DECISION", 0.01, -0.09, 0.11), ("FINAL", 0.0, -0.09, 0.1)],
        columns=["SET", "ESTIMATE", "LOWER", "UPPER"],
    ).assign(ITEM="concordance", METHOD="paired_bootstrap", N=28.0, EVENTS=19.0)
    margins = pd.DataFrame({"MARGIN": [0.0, 0.05], "TIMEPOINT": ["D28", "D14"], "PLAN": ["N", "Y"]})
    said = pilot_decision.alt_choice(rows, margins, days=("D14", "D28"))
    assert "day 28 minus day 14" in said and "on the decision date 0.01 (−0.09 to 0.11)" in said
    assert "0 day 28, 0.05 day 14" in said
    behaviour = pd.DataFrame(
        {"RULE": ["margin", "PLAN"], "DATA": "DECISION", "TRUTH": "equal", "SHARE_LATER": [0.3, 0.236]}
    )
    said = pilot_decision.alt_behaviour(behaviour, plan_rule="margin")
    assert "2 rules" in said and "known on the decision date: equal 24 %" in said
