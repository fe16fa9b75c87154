"""Corrections: all of them or none, only where the old value is the one in the data, each in the audit trail."""

import pickle
import re

import pandas as pd
import pytest

from analysis import clinical, contracts, plan
from analysis.clinical.corrections import CorrectionError, apply_corrections, read_corrections

HEADER = "domain,key,variable,old,new,reason,who,when\n"
WHY = "source checked,data manager,2026-01-05"


@pytest.fixture
def sdtm(study):
    study.subject().lesion("T1", {-5: 20, 56: 21}).subject("S-2").alive(10).alive(20)
    return study.sdtm()


@pytest.fixture
def read(tmp_path):
    """Return a function that writes lines below the header and reads them back."""

    def write_and_read(*lines, header=HEADER):
        (tmp_path / "corrections.csv").write_text(header + "".join(line + "\n" for line in lines))
        return read_corrections(tmp_path, plan.defaults().design)

    return write_and_read


def codes(sdtm, corrections):
    with pytest.raises(CorrectionError) as error:
        apply_corrections(sdtm, corrections)
    return sorted(problem.code.removeprefix("CORRECTION_") for problem in error.value.problems)


def test_no_file_is_no_correction(tmp_path, sdtm):
    assert read_corrections(tmp_path, plan.defaults().design) is None
    corrected, audit = apply_corrections(sdtm, None)
    assert corrected == sdtm and audit.empty
    contracts.check("corrections", audit)


@pytest.mark.parametrize(
    "key",
    ["USUBJID=S-1; TRSEQ=2", "trseq=2|usubjid=S-1", "USUBJID=S-1, TRLNKID=T1, TRDTC=2020-02-26",
     "S-1 2", "S-1;2", "S-1|2", "S-1 | 2"],
)  # fmt: skip
def test_every_form_of_a_key_finds_its_record(sdtm, read, key):
    corrected, audit = apply_corrections(sdtm, read(f'tr,"{key}",trstresc,21,12,{WHY}'))
    assert corrected["TR"].TRSTRESC.tolist() == ["20", "12"]
    assert audit.iloc[0].to_dict() == {
        "DOMAIN": "TR", "KEY": key, "USUBJID": "S-1", "VARIABLE": "TRSTRESC", "OLD": "21", "NEW": "12",
        "REASON": "source checked", "WHO": "data manager", "WHEN": "2026-01-05",
    }  # fmt: skip
    contracts.check("corrections", audit)


def test_a_subject_alone_names_the_only_record_of_a_domain(sdtm, read):
    corrected, _ = apply_corrections(sdtm, read(f"DM,S-2,AGE,60,61,{WHY}"))
    assert corrected["DM"].AGE.tolist() == ["60", "61"]


def test_the_frames_handed_in_stay_as_they_are_and_other_domains_are_not_copied(sdtm, read):
    before = sdtm["TR"].copy()
    corrected, _ = apply_corrections(sdtm, read(f"TR,S-1 2,TRSTRESC,21,12,{WHY}"))
    pd.testing.assert_frame_equal(sdtm["TR"], before)
    assert corrected["DM"] is sdtm["DM"]
    assert corrected["TR"].attrs == sdtm["TR"].attrs


@pytest.mark.parametrize("old", ["21", "21.0", " 21 ", "21.00", "2.1e1", "021"])
def test_an_old_number_is_compared_as_a_number(sdtm, read, old):
    sdtm["TR"]["TRSTRESN"] = ["20", "21"]
    corrected, _ = apply_corrections(sdtm, read(f"TR,S-1 2,TRSTRESN,{old},12,{WHY}"))
    assert corrected["TR"].TRSTRESN[1] == "12"
    if old.strip() != "21":  # a text is compared as it is written
        assert codes(sdtm, read(f"TR,S-1 2,TRSTRESC,{old},12,{WHY}")) == ["OLD_DIFFERS"]


def test_a_blank_old_is_a_missing_value_and_a_blank_new_empties_the_cell(sdtm, read):
    corrected, audit = apply_corrections(
        sdtm, read(f"DM,S-1,DTHDTC,,2020-05-01,{WHY}", f"DM,S-2,AGE,60,,{WHY}")
    )
    assert corrected["DM"].DTHDTC.tolist() == ["2020-05-01", None]
    assert corrected["DM"].AGE.tolist() == ["60", None]
    assert audit[["OLD", "NEW"]].astype(object).where(audit[["OLD", "NEW"]].notna(), None).to_numpy().tolist() == [
        [None, "2020-05-01"], ["60", None],
    ]  # fmt: skip


def test_a_site_number_with_a_leading_zero_is_not_the_number(sdtm, read):
    sdtm["DM"]["SITEID"] = "01"
    assert codes(sdtm, read(f"DM,S-1,SITEID,1,02,{WHY}")) == ["OLD_DIFFERS"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([f"TR,S-1 2,TRSTRESC,20,12,{WHY}"], ["OLD_DIFFERS"]),
        ([f"DM,S-1,DTHDTC,2020-05-01,2020-06-01,{WHY}"], ["OLD_DIFFERS"]),
        ([f"TR,S-9 2,TRSTRESC,21,12,{WHY}"], ["NO_RECORD"]),
        ([f"TR,S-1 7,TRSTRESC,21,12,{WHY}"], ["NO_RECORD"]),
        ([f"LB,S-1 1,LBDTC,,2020-01-01,{WHY}"], ["NO_RECORD"]),
        ([f"TR,USUBJID=S-1,TRSTRESC,21,12,{WHY}"], ["AMBIGUOUS"]),
        ([f"AE,S-1,AESTDTC,2020-01-11,2020-01-12,{WHY}"], ["AMBIGUOUS"]),
        ([f"XX,S-1,AGE,60,61,{WHY}"], ["UNKNOWN_DOMAIN"]),
        ([f"DM,S-1,WEIGHT,60,61,{WHY}"], ["UNKNOWN_VARIABLE"]),
        ([f"DM,USUBJID=S-1; COLOUR=RED,AGE,60,61,{WHY}"], ["UNKNOWN_VARIABLE"]),
        (["DM,S-1,AGE,60,61,,data manager,2026-01-05"], ["INCOMPLETE"]),
        (["DM,S-1,AGE,60,61,typo,,2026-01-05"], ["INCOMPLETE"]),
        (["DM,S-1,AGE,60,61,typo,data manager,"], ["INCOMPLETE"]),
        (["DM,S-1,AGE,60,61,typo,data manager,yesterday"], ["INCOMPLETE"]),
        (["DM,S-1,AGE,60,61,typo,data manager,2026-02-30"], ["INCOMPLETE"]),
        ([f"DM,,AGE,60,61,{WHY}"], ["INCOMPLETE"]),
        ([f"DM,S-1,AGE,60,60.0,{WHY}"], ["NO_CHANGE"]),
        ([f"DM,S-1,AGE,60,61,{WHY}", f"DM,USUBJID=S-1,age,60,62,{WHY}"], ["TWICE", "TWICE"]),
        ([f"DM,S-1,USUBJID,S-1,S-2,{WHY}"], ["DUPLICATE_KEY"]),
        ([f"DM,S-1,USUBJID,S-1,,{WHY}"], ["NO_SUBJECT"]),
        ([f"TR,S-1 2,TRSEQ,2,1,{WHY}"], ["DUPLICATE_KEY"]),
        ([f"TR,S-1 2,TRSEQ,2,1.0,{WHY}"], ["DUPLICATE_KEY"]),
        ([f"TR,S-1 2,TRSEQ,2,01,{WHY}"], ["DUPLICATE_KEY"]),
        ([f"TR,S-1 2,TRSEQ,2,2.0,{WHY}"], ["NO_CHANGE"]),
        ([f"TR,S-1 2,TRSEQ,2,two,{WHY}"], ["NOT_A_NUMBER"]),
        ([f"TR,S-1 2,TRSEQ,2,,{WHY}"], ["NO_SEQUENCE"]),
        ([f"DM,S-1,STUDYID,S,T,{WHY}"], ["STUDY_MIXED"]),
        ([f"DM,S-1,STUDYID,S,,{WHY}"], ["NO_STUDY"]),
        ([f"AE,S-1 1,STUDYID,S,T,{WHY}"], ["STUDY_MIXED"]),
        ([f"DM,=,AGE,60,61,{WHY}"], ["UNKNOWN_VARIABLE"]),
        ([f"DM,=S-1,AGE,60,61,{WHY}"], ["UNKNOWN_VARIABLE"]),
        ([f"DM,USUBJID=S-1;USUBJID=S-2,AGE,60,61,{WHY}"], ["BAD_KEY"]),
        ([f"DM,USUBJID=S-1;usubjid=S-1,AGE,60,61,{WHY}"], ["BAD_KEY"]),
    ],
)  # fmt: skip
def test_a_wrong_line_is_refused_with_its_code(sdtm, read, lines, expected):
    before = {name: frame.copy() for name, frame in sdtm.items()}
    assert codes(sdtm, read(*lines)) == expected
    for name, frame in before.items():
        pd.testing.assert_frame_equal(sdtm[name], frame)


def test_an_identifier_is_no_number(study, read):
    study.subject("1.1").subject("1.10")
    sdtm = study.sdtm()
    for key in ("USUBJID=1.10", "1.10"):
        corrected, audit = apply_corrections(sdtm, read(f"DM,{key},AGE,60,61,{WHY}"))
        assert corrected["DM"].AGE.tolist() == ["60", "61"] and audit.USUBJID.tolist() == ["1.10"]
    assert codes(sdtm, read(f"DM,USUBJID=1.100,AGE,60,61,{WHY}")) == ["NO_RECORD"]
    sdtm["DM"]["SITEID"] = "1.1"
    assert codes(sdtm, read(f"DM,1.1,SITEID,1.10,2,{WHY}")) == ["OLD_DIFFERS"]
    changed, _ = apply_corrections(sdtm, read(f"DM,1.1,SITEID,1.1,1.10,{WHY}"))
    assert changed["DM"].SITEID.tolist() == ["1.10", "1.1"]


@pytest.mark.parametrize("key", ["USUBJID=S-1; TRSEQ=02", "USUBJID=S-1; TRSEQ=2.0", "S-1 02"])
def test_a_number_of_a_key_may_be_written_in_any_way(sdtm, read, key):
    corrected, _ = apply_corrections(sdtm, read(f"TR,{key},TRSTRESC,21,12,{WHY}"))
    assert corrected["TR"].TRSTRESC.tolist() == ["20", "12"]


def test_a_new_number_is_written_as_the_reader_writes_it_in_the_data_and_in_the_audit(sdtm, read):
    sdtm["TR"]["TRSTRESN"] = ["20", "125"]
    lines = [f"TR,S-1 2,TRSTRESN,1.25e2,12.50,{WHY}", f"DM,S-1,AGE,60,061.0,{WHY}"]
    corrected, audit = apply_corrections(sdtm, read(*lines))
    assert corrected["TR"].TRSTRESN[1] == "12.5" and corrected["DM"].AGE[0] == "61"
    assert audit.NEW.tolist() == ["61", "12.5"] and audit.OLD.tolist() == ["60", "125"]


@pytest.mark.parametrize("subject", ["S,1", "S;A|1", "S 1,2"])
def test_a_separator_inside_an_identifier_belongs_to_it(study, read, subject):
    study.subject(subject).lesion("T1", {-5: 20, 56: 21}, subject)
    sdtm = study.sdtm()
    for key in (f"USUBJID={subject}; TRSEQ=2", f"TRSEQ=2,USUBJID={subject}", f"{subject};2"):
        corrected, _ = apply_corrections(sdtm, read(f'TR,"{key}",TRSTRESC,21,12,{WHY}'))
        assert corrected["TR"].TRSTRESC.tolist() == ["20", "12"]
    assert apply_corrections(sdtm, read(f'DM,"{subject}",AGE,60,61,{WHY}'))[0]["DM"].AGE[0] == "61"


def test_only_the_line_that_breaks_a_table_is_named(sdtm, read):
    right = [f"AE,S-1 1,AESEQ,1,2,{WHY}", f"AE,S-1 2,AESEQ,2,1,{WHY}", f"TR,S-1 1,TRSTRESC,20,19,{WHY}"]
    with pytest.raises(CorrectionError) as error:
        apply_corrections(sdtm, read(*right, f"TR,S-1 2,TRSEQ,2,01,{WHY}"))
    assert len(error.value.problems) == 1
    assert re.match(r"CORRECTION_DUPLICATE_KEY TR\.TRSEQ: line 5: .*S-1 1", str(error.value.problems[0]))


def test_visits_that_become_alike_are_refused_and_others_left_in_peace(sdtm, read):
    rows = [
        ("S", "S-1", "1", "2020-01-01"),
        ("S", "S-1", "2", "2020-02-01"),
        *2 * [("S", "S-2", "1", "2020-01-01")],
    ]
    visits = pd.DataFrame(rows, columns=["STUDYID", "USUBJID", "VISITNUM", "SVSTDTC"])
    sdtm["SV"] = clinical.complete({"SV": visits})["SV"]
    key = "USUBJID=S-1;VISITNUM=2"
    alike = [f"SV,{key},SVSTDTC,2020-02-01,2020-01-01,{WHY}", f"SV,{key},VISITNUM,2,1.0,{WHY}"]
    assert codes(sdtm, read(*alike)) == ["DUPLICATE_KEY", "DUPLICATE_KEY"]
    corrected, _ = apply_corrections(sdtm, read(alike[0]))  # the two of S-2 differ in a column left out
    assert corrected["SV"].SVSTDTC.tolist()[:2] == ["2020-01-01", "2020-01-01"]


def test_a_supplemental_record_keeps_its_name(sdtm, read):
    flags = pd.DataFrame({"USUBJID": ["S-1", "S-1"], "QNAM": ["ITT", "SAFETY"], "QVAL": ["Y", "Y"]})
    sdtm["SUPPDM"] = clinical.complete({"SUPPDM": flags})["SUPPDM"]
    key = "USUBJID=S-1;QNAM=SAFETY"
    assert codes(sdtm, read(f"SUPPDM,{key},QNAM,SAFETY,,{WHY}")) == ["NO_KEY"]
    assert codes(sdtm, read(f"SUPPDM,{key},QNAM,SAFETY,ITT,{WHY}")) == ["DUPLICATE_KEY"]


def test_a_study_may_be_renamed_in_every_record_at_once(study, read):
    study.add("DM", DTHDTC=None, AGE="60").add("AE", AESTDTC="2020-01-02")
    lines = [f"DM,S-1,STUDYID,S,T,{WHY}", f"AE,S-1,STUDYID,S,T,{WHY}"]
    assert apply_corrections(study.sdtm(), read(*lines))[0]["AE"].STUDYID.tolist() == ["T"]
    assert codes(study.sdtm(), read(lines[0])) == ["STUDY_MIXED"]


@pytest.mark.parametrize(
    ("when", "words"),
    [("2999-01-01", "too far from today"), ("2026-02-30", "not a possible date"), ("2026-01", "not a date YYYY-MM-DD")],
)  # fmt: skip
def test_a_wrong_date_is_called_what_it_is(sdtm, read, when, words):
    with pytest.raises(CorrectionError, match=words) as error:
        apply_corrections(sdtm, read(f"DM,S-1,AGE,60,61,typo,data manager,{when}"))
    assert ("not a" in str(error.value)) == ("not a" in words)


def test_the_file_is_found_in_any_case_and_two_are_refused(tmp_path, sdtm):
    design = plan.defaults().design
    (tmp_path / "sdtm").mkdir()
    (tmp_path / "sdtm" / "Corrections.CSV").write_text(HEADER + f"DM,S-1,AGE,60,61,{WHY}\n")
    assert read_corrections(tmp_path, design).NEW.tolist() == ["61"]
    sdtm["DM"].to_csv(tmp_path / "sdtm" / "dm.csv", index=False)
    read = clinical.read_sdtm(tmp_path / "sdtm", others=[design.corrections_file])
    assert "FILE_IGNORED" not in str(read["DM"].attrs["adaptations"])
    (tmp_path / "corrections.csv").write_text(HEADER)
    with pytest.raises(
        CorrectionError, match=r"CORRECTION_TWO_FILES.*corrections\.csv, sdtm/Corrections\.CSV"
    ):
        read_corrections(tmp_path, design)


def test_every_wrong_line_is_listed_and_none_of_the_right_ones_applied(sdtm, read):
    corrections = read(f"DM,S-1,AGE,60,61,{WHY}", f"XX,S-1,AGE,60,61,{WHY}", f"TR,S-1 2,TRSTRESC,99,12,{WHY}")
    with pytest.raises(CorrectionError) as error:
        apply_corrections(sdtm, corrections)
    assert [problem.code for problem in error.value.problems] == [
        "CORRECTION_OLD_DIFFERS", "CORRECTION_UNKNOWN_DOMAIN",
    ]  # fmt: skip
    text = str(error.value)
    assert (
        "none applied" in text and "line 3" in text and "line 4" in text and "'21'" in text and "'99'" in text
    )
    assert sdtm["DM"].AGE.tolist() == ["60", "60"]
    assert str(pickle.loads(pickle.dumps(error.value))) == text


def test_two_records_may_swap_their_numbers(sdtm, read):
    corrected, _ = apply_corrections(sdtm, read(f"TR,S-1 1,TRSEQ,1,2,{WHY}", f"TR,S-1 2,TRSEQ,2,1,{WHY}"))
    assert corrected["TR"].TRSEQ.tolist() == ["2", "1"]


def test_the_order_of_the_lines_and_of_the_records_changes_nothing(sdtm, read):
    lines = [f"TR,S-1 1,TRSTRESC,20,22,{WHY}", f"TR,S-1 2,TRSTRESC,21,12,{WHY}", f"DM,S-2,AGE,60,61,{WHY}"]
    corrected, audit = apply_corrections(sdtm, read(*lines))
    turned = {name: frame.iloc[::-1].reset_index(drop=True) for name, frame in sdtm.items()}
    again, other = apply_corrections(turned, read(*reversed(lines)))
    pd.testing.assert_frame_equal(audit, other)
    assert again["TR"].TRSTRESC.tolist() == corrected["TR"].TRSTRESC.tolist()[::-1] == ["12", "22"]


def test_columns_are_found_in_any_order_and_case_and_blank_lines_are_none(sdtm, tmp_path):
    (tmp_path / "sdtm").mkdir()
    (tmp_path / "sdtm" / "corrections.csv").write_text(
        "WHEN,Who,Reason,NEW,Old,Variable,Key,Domain\n2026-01-05,DM,typo,61,60,AGE,S-1,DM\n,,,,,,,\n"
    )
    corrections = read_corrections(tmp_path, plan.defaults().design)
    assert len(corrections) == 1
    assert apply_corrections(sdtm, corrections)[0]["DM"].AGE[0] == "61"


def test_a_broken_file_is_refused_with_its_code(tmp_path, read):
    with pytest.raises(CorrectionError, match=r"CORRECTION_NO_COLUMN CORRECTIONS\.who"):
        read("DM,S-1,AGE,60,61,typo,2026-01-05", header="domain,key,variable,old,new,reason,when\n")
    with pytest.raises(CorrectionError, match="CORRECTION_UNREADABLE"):
        read("DM,S-1,AGE")
    with pytest.raises(CorrectionError, match="CORRECTION_UNREADABLE"):
        read(header="")
    (tmp_path / "sdtm").mkdir()
    (tmp_path / "corrections.csv").write_text(HEADER)
    (tmp_path / "sdtm" / "corrections.csv").write_text(HEADER)
    with pytest.raises(CorrectionError, match="CORRECTION_TWO_FILES"):
        read_corrections(tmp_path, plan.defaults().design)


def test_a_correction_moves_what_is_derived_and_answers_its_query(study, read):
    study.subject(death=40).lesion("T1", {-5: 20, 56: 21})
    sdtm = study.sdtm()
    corrected, _ = apply_corrections(sdtm, read(f"DM,S-1,DTHDTC,2020-02-10,2020-03-10,{WHY}"))
    before, after = clinical.derive_all(sdtm, study.plan()), clinical.derive_all(corrected, study.plan())
    assert before.queries.CODE.eq("ASSESSMENT_AFTER_DEATH").any()
    assert not after.queries.CODE.eq("ASSESSMENT_AFTER_DEATH").any()
    assert after.adsl.DTHDT[0] == pd.Timestamp("2020-03-10")
