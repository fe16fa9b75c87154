"""Figures as an editor takes them: no taller than a page, readable in grey, marks under their ticks."""

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.figures import (
    abbreviations,
    cutpoint,
    diagnostics,
    flow,
    forest,
    kaplan_meier,
    lead_time,
    lesion_progression,
    mips,
    oncoprint,
    operating_parts,
    pet,
    pet_ctdna,
    pilot,
    spider,
    swimmer,
    waterfall,
)
from analysis.figures import misclassification as error_figures
from analysis.survival.agreement import bland_altman

PAGE_MM = 230.0
MANY = (3, 48, 150)


def height_mm(figure):
    return figure.get_size_inches()[1] * 25.4


def width_mm(figure):
    return figure.get_size_inches()[0] * 25.4


def made_courses(patients):
    number = np.arange(patients)
    ends = 2.0 + number % 17
    return pd.DataFrame(
        {
            "USUBJID": [f"S{k:03d}" for k in number],
            "TRTSTM": 0.0,
            "TRTENM": ends,
            "TRTONGO": "N",
            "FUPM": ends + 3.0,
            "FUPONGO": np.where(number % 3, "Y", "N"),
            "DTHFL": np.where(number % 3, "N", "Y"),
            "BESTRESP": np.array(["PR", "SD", "PD", "NE"])[number % 4],
        }
    )


def made_events(courses):
    rows = courses[["USUBJID"]].assign(EVENT="PD", MONTHS=courses["TRTENM"], ENDM=np.nan)
    died = courses[courses["DTHFL"].eq("Y")]
    rows = [rows, died[["USUBJID"]].assign(EVENT="DEATH", MONTHS=died["FUPM"], ENDM=np.nan)]
    return pd.concat(rows, ignore_index=True)


def made_sizes(patients):
    rows = [
        (f"S{k:03d}", month, change, answer, "N", "N", ("PR", "SD", "PD")[k % 3])
        for k in range(patients)
        for month, change, answer in (
            (0.0, 0.0, None),
            (2.0, k % 60 - 40.0, "SD"),
            (4.0, k % 70 - 30.0, "PD"),
        )
    ]
    return pd.DataFrame(
        rows, columns=["USUBJID", "MONTHS", "CHANGE", "AVALC", "NEWLES", "AFTERPD", "BESTRESP"]
    )


def made_tracks(patients):
    names = pd.Index([f"S{k:03d}" for k in range(patients)], name="USUBJID")
    number = np.arange(patients)
    return pd.DataFrame(
        {
            "SEQUENCED": True,
            "MRESP": np.where(number % 3, "NON-RESPONDER", "RESPONDER"),
            "PCTCHANGE": 60.0 - number % 120,
            "CTDNA_D0": np.where(number % 2, "DETECTED", "NOT DETECTED"),
            "CLEARANCE": np.array(["++", "-+", "+-", "--"])[number % 4],
            "VISCFL": np.where(number % 2, "Y", "N"),
            "PFS_MONTHS": 1.0 + number % 20,
            "PFS_EVENT": 1.0,
        },
        index=names,
    )


def made_alterations(tracks, genes=30):
    subjects = tracks.index.to_numpy()
    rows = [(subjects[k % len(subjects)], f"GEN{k % genes:02d}", "MUTATED") for k in range(4 * genes)]
    return pd.DataFrame(rows, columns=["USUBJID", "GENE", "KIND"]).drop_duplicates()


# ---- a journal page


@pytest.mark.parametrize("patients", MANY)
def test_a_swimmer_plot_of_any_study_fits_a_page(patients, check_readable):
    courses = made_courses(patients)
    rules = plan.defaults().figures
    if patients > rules.swimmer_max:
        assert not swimmer.can_draw(courses)
        rules = plan.defaults().override({"figures.swimmer_max": patients}).figures
    figure = swimmer.plot_swimmer(courses, made_events(courses), rules=rules)
    assert height_mm(figure) <= PAGE_MM
    check_readable(figure)


@pytest.mark.parametrize("patients", MANY)
def test_a_spider_plot_of_any_study_fits_a_page(patients, check_readable):
    figure = spider.plot_spider(made_sizes(patients), response_percent=-30, progression_percent=20)
    assert height_mm(figure) <= PAGE_MM
    check_readable(figure)


@pytest.mark.parametrize("patients", MANY)
def test_an_oncoprint_of_any_study_fits_a_page(patients, check_readable):
    tracks = made_tracks(patients)
    figure = oncoprint.plot_oncoprint(made_alterations(tracks), tracks)
    assert height_mm(figure) <= PAGE_MM
    check_readable(figure)


@pytest.mark.parametrize("rows", [1, 30, 45])
def test_a_long_forest_is_set_closer_before_it_leaves_the_page(demo, check_readable, rows):
    estimates = pd.concat([demo["estimates"]()] * 6, ignore_index=True).head(rows)
    figure = forest.plot_forest(estimates)
    assert height_mm(figure) <= PAGE_MM
    check_readable(figure)


@pytest.mark.parametrize("patients", [3, 210])
def test_a_waterfall_of_any_study_fits_a_page_and_breaks_a_long_title(patients, check_readable):
    change = np.linspace(80.0, -80.0, patients)
    classes = np.where(change <= -30, "RESPONDER", np.where(change >= 30, "PROGRESSOR", "STABLE"))
    frame = pd.DataFrame({"CHANGE": change, "AVALC": classes})
    title = "Change of the longest diameter in the worst lesion of all that were measured"
    figure = waterfall.plot_waterfall(frame, cut_percent=30, ylabel=title)
    assert height_mm(figure) <= PAGE_MM and "\n" in figure.axes[0].get_ylabel()
    check_readable(figure)


def test_panels_of_rows_are_lowered_to_what_the_page_leaves():
    # 228 mm of page less 78 mm of legend and axes leave 150 mm for 200 mm of rows
    assert operating_parts.tighten([120.0, 80.0], 78.0) == 0.75
    assert operating_parts.tighten([50.0], 78.0) == 1.0


@pytest.mark.parametrize(("people", "visits", "width"), [(1, 2, 85), (1, 3, 120), (2, 2, 180), (6, 2, 180)])
def test_projections_take_the_narrowest_width_that_shows_them_and_fit_a_page(demo, people, visits, width):
    one = demo["mips"]().query("USUBJID == 'S01'").head(visits)
    many = pd.concat([one.assign(USUBJID=f"S{k}") for k in range(people)], ignore_index=True)
    figure = mips.plot_mips(many, scale="SUV 0 (white) to 10 (black)")
    assert width_mm(figure) == pytest.approx(width) and height_mm(figure) <= PAGE_MM
    drawn = [axes for axes in figure.axes if axes.texts and axes.images]
    assert len(drawn) == people * visits


# ---- what a reader must be told


def test_a_caption_ends_with_the_abbreviations_it_uses_and_no_others(demo):
    said = kaplan_meier.caption_km(demo["curves"](), endpoint="PFS", origin="the early PET")
    assert said.endswith("PET, positron emission tomography; PFS, progression-free survival.")
    assert "overall survival" not in said
    # SUVmax is no SUV, and a word that holds an abbreviation is none
    assert abbreviations.spell_out("SUVmax of BONES") == "SUVmax, largest standardised uptake value."
    assert abbreviations.spell_out("Flow of patients") == ""


def test_projections_say_which_side_is_which_and_what_white_and_black_are(demo, check_readable):
    figure = mips.plot_mips(demo["mips"](), scale="SUV 0 (white) to 10 (black)")
    drawn = [axes for axes in figure.axes if any(text.get_gid() == "side" for text in axes.texts)]
    assert len(drawn) == 5  # three visits of one patient, two of the other
    for axes in drawn:
        left, right = (text for text in axes.texts if text.get_gid() == "side")
        # seen from the front the patient's right is at the left
        assert (left.get_text(), right.get_text()) == ("R", "L")
        assert left.get_position()[0] < right.get_position()[0]
    assert "SUV 0 (white) to 10 (black)" in [text.get_text() for text in figure.texts]
    check_readable(figure)
    said = mips.caption_mips(demo["mips"](), scale="SUV 0 (white) to 10 (black)")
    assert (
        "2 patients at baseline, day 14 and day 28" in said and "R, L: the patient's right and left" in said
    )
    assert "10 outlines in all" in said  # two lesions on each of five; the liver is none
    assert "10 lesions outlined" in mips.alt_mips(demo["mips"]())


def test_the_limits_of_agreement_have_their_own_intervals():
    # n = 17, sd 2, bias 0: t(16) = 2.1199, half width of the bias 2.1199 * 2 / sqrt(17) = 1.0283; standard
    # error of a limit 2 sqrt(1/17 + 1.96^2 / 32) = 0.8459, half width 1.7931 about 1.96 * 2 = 3.9199
    known = {
        "bias": 0.0,
        "bias_lower": -1.0283,
        "bias_upper": 1.0283,
        "lower": -3.9199,
        "upper": 3.9199,
        "n": 17,
    }
    found = pilot.intervals(known)
    assert found["bias"] == pytest.approx((-1.0283, 1.0283))
    assert found["upper"] == pytest.approx((3.9199 - 1.7931, 3.9199 + 1.7931), abs=2e-4)
    assert found["lower"] == pytest.approx((-3.9199 - 1.7931, -3.9199 + 1.7931), abs=2e-4)
    assert pilot.intervals({"bias": 0.0, "lower": -1.0, "upper": 1.0}) == {}
    assert pilot.intervals(None) == {}


def test_the_agreement_figure_draws_and_writes_the_intervals(demo, check_readable):
    both = demo["two_days"]().drop(columns="USUBJID").dropna()
    limits = bland_altman(both["D14"], both["D28"]).iloc[0].to_dict()
    figure = pilot.plot_agreement(both, cut_percent=25, agreement=limits)
    bars = [line for line in figure.axes[1].collections if len(line.get_paths()) == 1]
    assert len(bars) == 3
    low, high = figure.axes[1].get_ylim()
    ends = [point for bar in bars for point in bar.get_segments()[0][:, 1]]
    assert low < min(ends) and max(ends) < high
    said = pilot.caption_agreement(both, cut_percent=25, agreement=limits)
    assert said.count("[") == 3 and "bars at the right: 95 % intervals" in said
    without = {key: limits[key] for key in ("bias", "lower", "upper")}
    assert "[" not in pilot.caption_agreement(both, cut_percent=25, agreement=without)
    check_readable(figure)


def test_a_scan_quality_figure_has_no_panel_of_what_nobody_measured(demo, check_readable):
    scans = demo["scan_qc"]().assign(LIVERMEAN=np.nan)
    figure = pet.plot_scan_quality(scans, uptake_window_min=(55, 75))
    assert len(figure.axes) == 1 and width_mm(figure) == pytest.approx(120)
    assert "liver" not in pet.caption_scan_quality(scans).lower()
    check_readable(figure)


def test_the_flow_lists_the_groups_as_the_other_figures_do():
    stages = pd.DataFrame({"STAGE": ["Treated", "Analysed"], "N": [5, 5]})
    none = pd.DataFrame(columns=["STAGE", "REASON", "N"])
    split = pd.DataFrame({"GROUP": ["Non-responder", "Responder"], "N": [3, 2]})
    texts = [text.get_text() for text in flow.plot_flow(stages, none, split=split).axes[0].texts]
    assert texts.index("Responder\nn = 2") < texts.index("Non-responder\nn = 3")


def test_the_axis_and_the_description_of_the_checks_name_the_endpoint():
    rows = pd.DataFrame({"TIME": [1.0, 2.0], "SCHOENFELD": [0.1, 0.2], "HR_WITHOUT": [1.5, 1.7]})
    figure = diagnostics.plot_diagnostics(rows.assign(GROUP="RESPONDER"), estimate=1.6, endpoint="PFS")
    assert figure.axes[1].get_ylabel() == "Hazard ratio, PFS, without the patient"
    assert "1.50 to 1.70" in figure.alt


@pytest.mark.parametrize(
    ("share", "said"), [(0.004, "under 1 % beyond the axis"), (0.16, "16 % beyond the axis")]
)
def test_what_lies_beyond_the_axis_is_never_called_nothing(share, said):
    cuts = np.arange(10.0, 45.0, 5.0)
    sweep = pd.DataFrame({"CUT": cuts, "ESTIMATE": 1.5, "LOWER": 0.8, "UPPER": 2.5})
    chosen = pd.DataFrame({"CUT": [20.0, 90.0], "ESTIMATE": [1 - share, share]})
    figure = cutpoint.plot_sweep(sweep, chosen=chosen)
    assert said in [text.get_text() for axes in figure.axes for text in axes.texts]


# ---- grey print: what differs in colour differs in something else


def test_bars_of_a_waterfall_differ_without_colour(demo):
    bars = waterfall.plot_waterfall(demo["changes"](), cut_percent=25).axes[0].patches
    found = {(bar.get_facecolor(), bar.get_hatch() or "") for bar in bars}
    assert len(found) == 2 and len({hatch for _, hatch in found}) == 2


def test_cells_of_the_mosaic_differ_without_colour():
    rows = [(a, b, 5) for a in ("RESPONDER", "NON-RESPONDER") for b in ("DETECTED", "NOT DETECTED")]
    figure = pet_ctdna.plot_pet_by_ctdna(pd.DataFrame(rows, columns=["MRESP", "CTDNA", "N"]))
    cells = {(cell.get_facecolor(), cell.get_hatch() or "") for cell in figure.axes[0].patches}
    assert len(cells) == 2 and len({hatch for _, hatch in cells}) == 2


def test_lead_times_differ_without_colour():
    kinds = ["RISE BEFORE PROGRESSION", "RISE AT OR AFTER PROGRESSION", "RISE WITHOUT PROGRESSION"]
    rows = pd.DataFrame(
        {"USUBJID": list("ABC"), "CATEGORY": kinds, "LEAD": [30.0, -9.0, 80.0], "CNSR": [0, 0, 1]}
    )
    bars = lead_time.plot_lead_times(rows).axes[0].patches
    assert len({bar.get_hatch() or "" for bar in bars}) == 3


def test_lesions_that_drove_progression_are_full_lines_and_the_others_are_not():
    rows = pd.DataFrame(
        {"USUBJID": "A", "LESIONID": ["L1", "L2"], "METRIC": "SUVMAX", "NEWFL": "N", "BASE": 8.0,
         "EARLY": 6.0, "EARLYRES": "", "PROG": [12.0, 5.0], "DROVE": ["Y", "N"]}
    )  # fmt: skip
    lines = lesion_progression.plot_lesion_progression(rows).axes[0].lines
    styles = {line.get_color(): line.get_linestyle() for line in lines if line.get_linestyle() != "None"}
    assert sorted(styles.values()) == ["-", "--"]


def test_strips_of_the_oncoprint_differ_in_height_where_they_differ_in_colour():
    from analysis.figures import oncoprint_parts as parts

    strips = parts.list_strips(made_tracks(12), {"VISCFL": "Visceral disease"}, plan.defaults().figures)
    for strip in strips:
        talls = [cell.tall for cell in strip.cells.values() if cell.color in set(strip.colors)]
        assert len(set(talls)) == len(talls) >= 2, strip.name


def test_colours_of_the_true_falls_have_a_mark_each():
    falls = pd.DataFrame(
        {
            "QUANTITY": "nonresponse_true",
            "CV": 12.0,
            "CORRELATION": 0.0,
            "FALL": [0.0, 15.0, 30.0, 40.0, 50.0],
        }
    )
    looks = [look for _, look in error_figures._looks(falls, "FALL", plan.defaults().figures)]
    assert len({look["marker"] for look in looks}) == 5
    # marks that mean something else in that figure
    assert not {look["marker"] for look in looks} & {"D", "^", "v"}
