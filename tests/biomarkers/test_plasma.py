"""Serial plasma: reading, visits, calls by sample, change over time."""

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.biomarkers import FileRefused, classify_clearance, derive_adbm, read_plasma, tabulate_clearance
from analysis.biomarkers.plasma import assign_visits, call_samples, select_visit, write_plasma


@pytest.fixture
def adbm(plasma_file, adsl):
    return derive_adbm(None, read_plasma(plasma_file), adsl).adbm


def test_results_are_read_whatever_their_spelling(plasma_file):
    frame = read_plasma(plasma_file)
    expected = (
        ["DETECTED"]
        + ["NOT DETECTED"] * 2
        + ["NOT ASSESSABLE", "DETECTED", "NOT DETECTED"]
        + ["DETECTED"] * 3
    )
    assert frame["RESULT"].tolist() == expected
    assert frame["TUMFRAC"].notna().sum() == 1


def test_the_day_before_first_dose_and_the_day_itself_are_baseline(plasma_file, adsl):
    draws = assign_visits(read_plasma(plasma_file), adsl.set_index("USUBJID")["TRTSDT"])
    day = draws.drop_duplicates("SAMPLEID").set_index("SAMPLEID")["DAY"]
    # no day 0: the day before first dose is -1, the day of first dose is 1
    assert day["P1-a"] == -1 and day["P3-a"] == 1 and day["P1-b"] == 14
    visit = draws.drop_duplicates("SAMPLEID").set_index("SAMPLEID")["AVISIT"]
    assert visit[["P1-a", "P1-b", "P3-a", "P3-c"]].tolist() == ["D0", "D14", "D0", "PROG"]


def test_a_draw_outside_all_windows_is_unscheduled_whatever_the_table_says(plasma_file, adsl):
    frame = read_plasma(plasma_file)
    frame.loc[frame["SAMPLEID"] == "P1-b", "ADT"] = pd.Timestamp("2020-01-22")
    draws = assign_visits(frame, adsl.set_index("USUBJID")["TRTSDT"])
    assert draws.set_index("SAMPLEID").loc["P1-b", "AVISIT"] == "UNSCHED"


def test_a_sample_is_detected_if_one_variant_is(plasma_file, adsl):
    draws = assign_visits(read_plasma(plasma_file), adsl.set_index("USUBJID")["TRTSDT"])
    called = call_samples(draws).set_index("SAMPLEID")
    assert called.loc["P1-a", "RESULT"] == "DETECTED" and called.loc["P1-a", "VAF"] == 0.05
    assert called.loc["P2-a", "RESULT"] == "NOT ASSESSABLE"


def test_a_failed_assay_is_never_negative(adbm):
    assert select_visit(adbm, "D0").loc["S-01-P2", "AVALC"] == "NOT ASSESSABLE"
    assert classify_clearance(adbm, "D0", "D14")["S-01-P2"] is None


def test_an_assessable_repeat_is_taken_before_a_failed_sample(adbm):
    repeat = adbm[adbm["SAMPLEID"] == "P2-a"].assign(
        SAMPLEID="P2-r", AVALC="NOT DETECTED", ADT=pd.Timestamp("2020-02-01")
    )
    assert select_visit(pd.concat([adbm, repeat]), "D0").loc["S-01-P2", "SAMPLEID"] == "P2-r"


def test_clearance_classes_by_hand(adbm):
    clearance = classify_clearance(adbm, "D0", "D14")
    assert clearance["S-01-P1"] == "+-" and clearance["S-01-P3"] == "-+"
    outcomes = pd.DataFrame({"NONRESPONSE": [0.0, 1.0, 1.0]}, index=["S-01-P1", "S-01-P2", "S-01-P3"])
    table = tabulate_clearance(adbm, outcomes, first="D0", second="D14").set_index("CLEARANCE")
    assert table["N"].to_dict() == {"--": 0, "-+": 1, "+-": 1, "++": 0, "not assessable": 1}
    assert table.loc["+-", ["N_NONRESPONDER", "N_RESPONDER"]].tolist() == [0, 1]


def test_samples_without_identifier_get_one_from_subject_and_date(tmp_path):
    path = tmp_path / "plasma.tsv"
    path.write_text("usubjid\tdate\tstatus\n".replace("date", "adt") + "A\t2020-01-01\tdetected\n")
    assert read_plasma(path)["SAMPLEID"].tolist() == ["A-P20200101"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("RESULT", "CALL", "COLUMN_MISSING: plasma.csv, line 1, column RESULT"),
        ("ASSAY", "AVISIT", "COLUMN_TWICE: plasma.csv, line 1"),
        ("2020-01-15", "2020-01", "DATE_MALFORMED: plasma.csv, line 4, column ADT"),
        ("2020-01-15", "15.01.2020", "DATE_MALFORMED: plasma.csv, line 4, column ADT"),
        (
            "Positive",
            "perhaps",
            "RESULT_UNKNOWN: plasma.csv, line 6, column RESULT.*plasma_detected.*'perhaps'",
        ),
        (
            "0.05",
            "5",
            "NUMBER_RANGE: plasma.csv, line 2, column VAF: outside 0 to 1; .*divide percent by 100",
        ),
        ("S-01-P1,P1-b", "S-01-P1,P1-a", "SAMPLE_OF_TWO: plasma.csv, line 2, column ADT"),
        ("S-01-P1,P1-b", ",P1-b", "VALUE_MISSING: plasma.csv, line 4, column USUBJID"),
    ],
)
def test_a_broken_plasma_table_is_refused_by_line_and_column(plasma_file, old, new, expected):
    text = plasma_file.read_text()
    plasma_file.write_text(text.replace(old, new, 1))
    with pytest.raises(FileRefused, match=expected):
        read_plasma(plasma_file)


def test_windows_are_the_plans(plasma_file, adsl):
    rules = plan.defaults().override({"biomarkers.plasma_visit_windows": {"EARLY": [-28, 20]}}).biomarkers
    draws = assign_visits(read_plasma(plasma_file), adsl.set_index("USUBJID")["TRTSDT"], rules=rules)
    assert set(draws["AVISIT"]) == {"EARLY", "PROG", "UNSCHED"}


def test_a_written_table_reads_the_same(plasma_file, tmp_path):
    rng = np.random.default_rng(20260105)
    frame = read_plasma(plasma_file)
    # Fractions with all their digits, names with what a separated file must quote.
    frame[["VAF", "TUMFRAC", "LOD"]] = rng.random((len(frame), 3))
    frame["DEPTH"] = np.where(np.arange(len(frame)) % 2, 1234.0, np.nan)
    frame.loc[0, "ASSAY"] = 'panel "B", second'
    for name in ("again.csv", "again.tsv"):
        write_plasma(frame, tmp_path / name)
        pd.testing.assert_frame_equal(read_plasma(tmp_path / name), frame)
    assert (tmp_path / "again.csv").read_text().splitlines()[0].startswith("USUBJID,SAMPLEID,ADT,ADY,AVISIT")
    with pytest.raises(ValueError, match=r"TEXT_UNWRITABLE.*ASSAY"):
        write_plasma(frame.assign(ASSAY="two\nlines"), tmp_path / "broken.csv")


def read_lines(path, *lines, header="USUBJID,DAY,VISIT,ASSAY,GENE,VARIANT,VAF,RESULT,LOD"):
    path = path / "days.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return read_plasma(path)


def derive_days(tmp_path, *lines, **changes):
    rules = (
        plan.defaults().override({f"biomarkers.{key}": value for key, value in changes.items()}).biomarkers
    )
    subjects = pd.DataFrame({"STUDYID": "S", "USUBJID": ["A", "B"]})
    return derive_adbm(None, read_lines(tmp_path, *lines), subjects, rules=rules)


def codes(derived):
    return sorted(derived.queries["CODE"])


def call(derived, sample, param="CTDNA"):
    rows = derived.adbm[(derived.adbm["SAMPLEID"] == sample) & (derived.adbm["PARAMCD"] == param)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_study_day_places_a_draw_where_no_date_does(tmp_path):
    derived = derive_days(tmp_path, "A,-1,,x,,,,detected,0.01", "A,14,,x,,,,negative,0.01")
    assert call(derived, "A-PDAY-1")["AVISIT"] == "D0" and call(derived, "A-PDAY14")["AVISIT"] == "D14"
    assert derived.adbm["ADY"].tolist() == [-1, 14] and derived.adbm["ADT"].isna().all()
    assert classify_clearance(derived.adbm, "D0", "D14")["A"] == "+-"


def test_of_two_draws_without_dates_the_earlier_day_is_taken(tmp_path):
    derived = derive_days(
        tmp_path, "A,9,,x,,,,negative,0.01", "A,12,,x,,,,detected,0.01", "A,10,,x,,,,negative,0.01"
    )
    assert codes(derived) == ["PLASMA_DRAWS_SEVERAL"]
    assert select_visit(derived.adbm, "D14").loc["A", "ADY"] == 10
    assert "A-PDAY10, A-PDAY12; A-PDAY10 is taken" in derived.queries["MESSAGE"].iloc[0]


@pytest.mark.parametrize(
    ("header", "line", "expected"),
    [
        ("USUBJID,DAY,RESULT", "A,0,detected", "DAY_ZERO: days.csv, line 2, column ADY"),
        (
            "USUBJID,RESULT",
            "A,detected",
            "COLUMN_MISSING: days.csv, line 1, column ADT: needs a date or a study",
        ),
        (
            "USUBJID,DAY,RESULT",
            "A,,detected",
            "VALUE_MISSING: days.csv, line 2, column ADT: neither the date",
        ),
        ("USUBJID,DAY,RESULT", "A,soon,detected", "NUMBER_MALFORMED: days.csv, line 2, column ADY"),
    ],
)
def test_a_table_without_day_or_date_is_refused(tmp_path, header, line, expected):
    with pytest.raises(FileRefused, match=expected):
        read_lines(tmp_path, line, header=header)


def test_a_date_goes_before_the_day_the_table_gives_and_is_asked_after(plasma_file, adsl):
    frame = read_plasma(plasma_file)
    frame.loc[frame["SAMPLEID"] == "P1-b", "ADY"] = 15.0  # 2020-01-15 is day 14
    derived = derive_adbm(None, frame, adsl)
    assert codes(derived) == ["PLASMA_DAY_DIFFERS", "SUBJECT_UNKNOWN"] and call(derived, "P1-b")["ADY"] == 14


def test_a_row_sent_twice_counts_once(tmp_path):
    line = "A,14,,x,TP53,p.X1,0.1,detected,0.01"
    derived = derive_days(tmp_path, line, line, "A,14,,x,ESR1,p.X2,,negative,0.01")
    assert codes(derived) == ["PLASMA_ROW_TWICE"]
    pd.testing.assert_frame_equal(
        derived.adbm, derive_days(tmp_path, line, "A,14,,x,ESR1,p.X2,,negative,0.01").adbm
    )


@pytest.mark.parametrize(
    ("line", "code", "word", "level"),
    [
        ("A,14,,x,TP53,p.X1,0.005,detected,0.01", "PLASMA_BELOW_LOD", "DETECTED", 0.005),
        ("A,14,,x,TP53,p.X1,0,detected,0.01", "PLASMA_CONTRADICTS", "DETECTED", np.nan),
        ("A,14,,x,TP53,p.X1,0.2,negative,0.01", "PLASMA_CONTRADICTS", "NOT DETECTED", np.nan),
        ("A,14,,x,TP53,p.X1,0.2,failed,0.01", "PLASMA_CONTRADICTS", "NOT ASSESSABLE", np.nan),
        ("A,14,,x,TP53,p.X1,0.2,detected,", "PLASMA_LOD_MISSING", "DETECTED", 0.2),
    ],
)
def test_where_word_and_number_contradict_the_word_counts_and_is_asked_after(
    tmp_path, line, code, word, level
):
    derived = derive_days(tmp_path, line)
    assert codes(derived) == [code]
    found = call(derived, "A-PDAY14")
    assert found["AVALC"] == word
    assert found["AVAL"] == level or (np.isnan(level) and np.isnan(found["AVAL"]))


def test_one_variant_with_two_results_is_asked_after(tmp_path):
    lines = [f"A,14,,x,TP53,p.X1,{vaf},detected,0.01" for vaf in (0.1, 0.3)]
    derived = derive_days(tmp_path, *lines)
    assert codes(derived) == ["PLASMA_ROWS_DIFFER"] and call(derived, "A-PDAY14", "TP53")["AVAL"] == 0.3


TWO_ASSAYS = ("A,14,,NGS,TP53,p.X1,,negative,0.01", "A,14,,PCR,TP53,p.X1,0.002,detected,0.001")


@pytest.mark.parametrize(
    ("preference", "expected", "gene"),
    [([], "DETECTED", "MUTATED"), (["NGS"], "NOT DETECTED", "WT"), (["PCR", "NGS"], "DETECTED", "MUTATED")],
)
def test_the_plan_says_which_assay_counts_where_they_disagree(tmp_path, preference, expected, gene):
    derived = derive_days(tmp_path, *TWO_ASSAYS, plasma_assay_preference=preference)
    assert codes(derived) == ["PLASMA_ASSAYS_DIFFER"]
    message = derived.queries["MESSAGE"].iloc[0]
    assert message == f"NGS NOT DETECTED, PCR DETECTED; {expected} counts"
    assert call(derived, "A-PDAY14")["AVALC"] == expected
    assert call(derived, "A-PDAY14", "TP53")["AVALC"] == gene


LIMITS = "USUBJID,DAY,VISIT,ASSAY,GENE,VARIANT,VAF,TUMFRAC,RESULT,LOD,DEPTH"


def derive_limits(tmp_path, *lines):
    subjects = pd.DataFrame({"STUDYID": "S", "USUBJID": ["A"]})
    return derive_adbm(None, read_lines(tmp_path, *lines, header=LIMITS), subjects)


@pytest.mark.parametrize(
    ("lines", "limit", "depth"),
    [
        # The failed assay would have been the most sensitive: it saw nothing, and no reads.
        (("A,14,,PCR,,,,,failed,0.0001,50", "A,14,,NGS,,,,,negative,0.01,900"), 0.01, 900),
        # Two variants looked for: below the larger limit one of them may be.
        (("A,14,,x,TP53,p.X1,,,negative,0.001,800", "A,14,,x,ESR1,p.X2,,,negative,0.02,700"), 0.02, 700),
        # What was detected decided; of two that were detected the smallest limit.
        (("A,14,,x,TP53,p.X1,0.1,,detected,0.01,800", "A,14,,x,ESR1,p.X2,,,negative,0.001,60"), 0.01, 800),
        (("A,14,,x,TP53,p.X1,0.1,,detected,0.01,800", "A,14,,x,ESR1,p.X2,0.2,,detected,0.002,60"), 0.002, 60),
    ],
)
def test_limit_and_depth_are_of_the_rows_that_decided(tmp_path, lines, limit, depth):
    found = call(derive_limits(tmp_path, *lines), "A-PDAY14")
    assert (found["LOD"], found["DEPTH"]) == (limit, depth)


def test_the_tumour_fraction_of_a_failed_assay_does_not_count(tmp_path):
    lines = ("A,14,,WGS,,,,0.4,failed,0.03,", "A,14,,NGS,TP53,p.X1,0.1,0.2,detected,0.01,")
    found = call(derive_limits(tmp_path, *lines), "A-PDAY14", "TUMFRAC")
    assert found["AVAL"] == 0.2
    # The limit is one of the allele fraction: half a tumour fraction, where it is that of any.
    assert np.isnan(found["LOD"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("negative", "failed"), "NOT ASSESSABLE"),
        (("failed", "failed"), "NOT ASSESSABLE"),
        (("negative", "negative"), "WT"),
        (("detected", "failed"), "MUTATED"),
    ],
)
def test_a_gene_is_wild_type_only_if_all_its_variants_were_assessed(tmp_path, words, expected):
    lines = [f"A,14,,x,ESR1,p.X{n},,,{word},0.01," for n, word in enumerate(words)]
    found = call(derive_limits(tmp_path, *lines), "A-PDAY14", "ESR1")
    assert found["AVALC"] == expected and np.isnan(found["AVAL"]) == (expected != "WT")


def test_a_variant_that_a_second_assay_looked_for_was_assessed(tmp_path):
    lines = ("A,14,,NGS,ESR1,p.X1,,,failed,0.01,", "A,14,,PCR,ESR1,p.X1,,,negative,0.001,")
    found = call(derive_limits(tmp_path, *lines), "A-PDAY14", "ESR1")
    assert (found["AVALC"], found["LOD"]) == ("WT", 0.001)


def test_a_draw_called_progression_is_one_whatever_its_day(tmp_path):
    derived = derive_days(tmp_path, "A,14,PROG,x,,,,detected,0.01", "B,14,,x,,,,detected,0.01")
    assert derived.adbm["AVISIT"].tolist() == ["PROG", "D14"]


def test_a_failed_assay_leaves_the_word_to_the_next(tmp_path):
    lines = ("A,14,,NGS,,,,failed,", TWO_ASSAYS[1], "B,14,,NGS,,,,failed,")
    derived = derive_days(tmp_path, *lines, plasma_assay_preference=["NGS"])
    assert call(derived, "A-PDAY14")[["AVALC", "ASSAY"]].tolist() == ["DETECTED", "PCR"]
    assert call(derived, "B-PDAY14")["AVALC"] == "NOT ASSESSABLE"
    assert codes(derived) == []


def test_a_gene_is_mutated_wild_type_or_not_assessable_as_the_table_reports(tmp_path):
    lines = (
        "A,14,,x,TP53,p.X1,0.1,detected,0.01",
        "A,14,,x,TP53,p.X2,,negative,0.01",
        "A,14,,x,ESR1,p.X3,,negative,0.01",
        "A,14,,x,PTEN,p.X4,,failed,0.01",
    )
    derived = derive_days(tmp_path, *lines)
    words = {gene: call(derived, "A-PDAY14", gene)["AVALC"] for gene in ("TP53", "ESR1", "PTEN")}
    assert words == {"TP53": "MUTATED", "ESR1": "WT", "PTEN": "NOT ASSESSABLE"}
    assert not (derived.adbm["PARAMCD"] == "AKT1").any()  # nobody said that it was looked at


def test_an_unknown_visit_is_asked_after_once_for_each_word(tmp_path):
    lines = [f"{who},14,Day14x,x,,,,negative,0.01" for who in "AB"]
    lines += ["A,-1,Baselin,x,,,,negative,0.01", "B,30,Progresion,x,,,,detected,0.01"]
    # Known: a window in any case, the plan's spellings, and no word at all.
    lines += ["B,-2,baseline,x,,,,negative,0.01", "A,29,d28,x,,,,negative,0.01", "B,15,,y,,,,negative,0.01"]
    lines += ["A,70,Unscheduled,x,,,,negative,0.01", "B,90,Progression,x,,,,detected,0.01"]
    derived = derive_days(tmp_path, *lines)
    asked = derived.queries[derived.queries["CODE"] == "PLASMA_VISIT_UNKNOWN"].set_index("RECORD")
    assert list(asked.index) == ["visit Baselin", "visit Day14x", "visit Progresion"]
    assert set(asked["SEVERITY"]) == {"note"} and asked["ACTION"].str.contains("progression PROG").all()
    counts = asked["MESSAGE"].str.extract(r"of (\d) samples.*the day of the draw decides")[0]
    assert counts.tolist() == ["1", "2", "1"]
    assert call(derived, "B-PDAY30")["AVISIT"] == "D28"
    spellings = {"D0": ["d0", "baselin"], "PROG": ["prog", "progresion"]}
    again = derive_days(tmp_path, *lines, sample_visits=spellings)
    assert call(again, "B-PDAY30")["AVISIT"] == "PROG"
    assert {"visit Baselin", "visit Progresion"}.isdisjoint(again.queries["RECORD"])


def test_a_table_of_another_schedule_is_asked_after_once(tmp_path):
    # Baseline and progression are of no schedule; a half outside is not yet more than half.
    lines = ["A,-1,,x,,,,negative,0.01", "A,14,,x,,,,negative,0.01", "A,56,,x,,,,negative,0.01"]
    lines += ["A,50,PROG,x,,,,detected,0.01", "A,60,PROG,x,,,,detected,0.01"]
    assert "PLASMA_UNSCHEDULED" not in codes(derive_days(tmp_path, *lines))
    lines.append("B,84,,x,,,,negative,0.01")
    asked = derive_days(tmp_path, *lines).queries.set_index("CODE").loc["PLASMA_UNSCHEDULED"]
    assert asked["MESSAGE"].startswith("2 of 3 draws after baseline") and asked["SEVERITY"] == "note"
    assert all(
        name in asked["ACTION"] for name in ("plasma_visit_windows", "ctdna_visits", "ctdna_main_visit")
    )
    assert "PLASMA_UNSCHEDULED" not in codes(derive_days(tmp_path, *lines, plasma_unscheduled_share=0.7))


def test_limits_in_another_unit_are_refused_and_a_single_one_asked_after(tmp_path):
    # A limit of 0.1 % written as 0.1 beside fractions.
    lines = [f"A,{day},,x,TP53,p.X1,{vaf},detected,0.1" for day, vaf in ((1, 0.3), (14, 0.02), (28, 0.004))]
    with pytest.raises(FileRefused, match=r"PLASMA_LOD_UNIT: days.csv, line 3, column LOD: 2 of 3 .*by 100"):
        read_lines(tmp_path, *lines)
    assert codes(derive_days(tmp_path, *lines[1:])) == ["PLASMA_BELOW_LOD"] * 2
    half = [*lines, "A,29,,x,TP53,p.X1,0.3,detected,0.1"]
    assert codes(derive_days(tmp_path, *half)).count("PLASMA_BELOW_LOD") == 2


def test_an_unknown_subject_is_asked_after_with_the_one_it_nearly_is(tmp_path):
    subjects = pd.DataFrame({"STUDYID": "S", "USUBJID": ["S-01-007", "S-02-008"]})
    lines = [f"{name},14,,x,,,,negative,0.01" for name in ("s-1-07", "S-03-009", "S-02-008")]
    derived = derive_adbm(None, read_lines(tmp_path, *lines, "s-1-07,28,,x,,,,negative,0.01"), subjects)
    assert (derived.exclusions["CODE"] == "SUBJECT_UNKNOWN").sum() == 3
    asked = derived.queries.set_index("RECORD")
    assert set(asked["CODE"]) == {"SUBJECT_UNKNOWN"} and set(asked["SEVERITY"]) == {"error"}
    assert sorted(asked.index) == ["patient S-03-009", "patient s-1-07"]
    near = asked.loc["patient s-1-07"]
    assert "(2)" in near["MESSAGE"] and "'S-01-007'" in near["MESSAGE"] and "'S-01-007'" in near["ACTION"]
    assert "differs" not in asked.loc["patient S-03-009", "MESSAGE"]
