"""The quality report: what a page says, what it must not say, and that every code has its words."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis import plan
from analysis.contracts import codes
from analysis.quality_report import Setting, name_pages, render_codes, render_scan, write_quality_report
from analysis.tables.lesion_quality import Notes, describe_matching
from analysis.tables.scan_quality import describe_pair

PET = Path(__file__).resolve().parents[1] / "src" / "analysis" / "pet"
SETTING = Setting("Demo trial", True, limits=(-28.2, 39.3), scale="SUV 0 (white) to 10 (black)")
SUBJECT = "DEMO-01-777"

# Words in capitals with an underscore that are no code: columns, terms of DICOM, names of rules and of states.
NO_CODES = [
    "BASE_MEASURED",
    "BASE_SEEN",
    "BEST_BASE",
    "LIVER_B",
    "LIVER_F",
    "UPTAKE_B",
    "UPTAKE_F",
    "LONGDIAM_CHANGE",
    "TLG_CHANGE",
    "N_VOXELS",
    "N_NE",
    "N_NONRESPONDER",
    "DATE_NEW",
    "READER_NEW",
    "SIZE_PROGRESSES",
    "CLOSED_PLANAR",
    "CLOSED_PLANAR_XOR",
    "CLOSEDPLANAR_XOR",
    "GEMS_PETD_01",
    "MAX_IP",
    "MIN_IP",
    "MEAN_IP",
    "O_BINARY",
    "CM2ML_BSA",
    "GML_BW",
    "GML_LBM",
    "GML_LBMJAMES128",
    "GML_LBMJANMA",
    "PET_REGIONS",
    "PET_SUV",
    "LESION_MAP",
    "REFERENCE_REGION",
    "WITHOUT_SCAN",
    "NOT_FOUND",
    "NOT_EVALUABLE",
    "AORTA_IF_LIVER_ABNORMAL",
]
# Codes that are put together from parts, or come from outside the folder.
COMPOSED = {"MEASURE_FAILED", "WORKER_LOST"}
# States and words without an underscore, which the sources' text alone does not tell from other words.
PLAIN = {"ASSESSABLE", "ADMIN", "INFLAMMATORY", "FLARE"}
# What is composed and no code: a kind of unit, a manufacturer of test objects, a table's own code and its problem.
NOT_COMPOSED = {"GML_<>", "PEARL_<>", "<>_<>"}


def written_codes():
    """Return the codes in the sources, and the composed ones with <> for what is put in."""
    found, composed = set(), set()
    for path in sorted(PET.rglob("*.py")):
        tree = ast.parse(path.read_text())
        inside = {
            id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(v.value if isinstance(v, ast.Constant) else "<>" for v in node.values)
                if re.fullmatch(r"[A-Z0-9_]*(<>)?_?[A-Z0-9_]+(<>)?", text) and "_" in text and "<>" in text:
                    composed.add(text)
                text = re.match(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+): ", text)
                found |= {text[1]} if text else set()
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                match = re.fullmatch(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", node.value)
                lead = re.match(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+): ", node.value)
                found |= {match[0]} if match else {lead[1]} if lead else set()
    return found - set(NO_CODES), composed - NOT_COMPOSED


def test_every_code_of_the_sources_has_a_meaning():
    found, composed = written_codes()
    assert len(found) > 150  # the search itself works
    names = [*found, *(text.replace("<>", "X") for text in composed)]
    assert sorted(name for name in names if codes.describe(name).kind == codes.UNKNOWN) == []


def test_every_meaning_is_of_a_code_of_the_sources():
    found, composed = written_codes()
    text = "".join(path.read_text() for path in PET.rglob("*.py"))
    listed = codes.glossary()["CODE"]
    plain = [code for code in listed if "<" not in code]
    missing = [code for code in plain if code not in found | COMPOSED | PLAIN]
    assert missing == []
    assert [code for code in PLAIN if not re.search(rf"\b{code}\b", text)] == []
    patterns = [re.sub("<[A-Z]+>", "<>", code) for code in listed if "<" in code]
    # SEED_, LESION_MAP_ and REFERENCE_REGION_ are put in front by the table's own entry.
    fixed = {"SEED_<>", "LESION_MAP_<>", "REFERENCE_REGION_<>", "<>_COLUMNS"}
    assert [p for p in patterns if p not in composed | fixed] == []


def test_meanings_are_whole_sentences_without_identifiers():
    table = codes.glossary()
    assert not table["CODE"].duplicated().any()
    for text in [*table["MEANING"], *table["ACTION"]]:
        assert 4 <= len(text) <= 230 and not text.endswith(".") and "TODO" not in text


def test_a_code_no_one_knows_says_so():
    assert codes.describe("NEVER_SEEN").remedy == "report it"


def test_the_glossary_page_holds_every_code():
    page = render_codes(SETTING)
    for code in codes.glossary()["CODE"]:
        assert code.replace("<", "&lt;").replace(">", "&gt;") in page


def scan(**changes):
    row = {"STUDYID": "DEMO", "USUBJID": SUBJECT, "AVISIT": "D0", "ADT": pd.Timestamp("2019-03-04"), "SITEID": "01",
           "VENDOR": "GE", "MODEL": "Discovery", "STATUS": "OK", "CODE": None, "MESSAGE": None, "ADAPTATIONS": None,
           "FLAGS": None, "UPTAKEMIN": 61.4, "UPTAKEACQ": 60.0, "DOSEMBQ": 251.0, "WEIGHTKG": 83.25, "HEIGHTM": 1.634,
           "UNITS": "BQML", "DECAYCORR": "START", "HARMON": "EARL1", "TREFRULE": "SERIES_TIME", "TREFSPREAD": 0.0,
           "TREFDIFF": 3.0, "NSLICES": 200.0, "PATH": "dicom/777/D0/pet"}  # fmt: skip
    return row | changes


def lesion(visit, name, metric, value, **changes):
    row = {"STUDYID": "DEMO", "USUBJID": SUBJECT, "AVISIT": visit, "LESIONID": name, "METRIC": metric, "ROLE": "LESION",
           "ORGAN": "bone", "AVAL": value, "UNIT": "g/ml", "EVALFL": "Y", "TARGETFL": "N", "FLAGS": None}  # fmt: skip
    return row | changes


@pytest.fixture
def tables():
    follow = scan(AVISIT="D14", ADT=pd.Timestamp("2019-03-20"), WEIGHTKG=79.92, PATH="dicom/777/D14/pet",
                  ADAPTATIONS="DOSE_IN_MBQ", FLAGS="DERIVED_IMAGE")  # fmt: skip
    refused = scan(AVISIT="D28", ADT=pd.Timestamp("2019-04-02"), STATUS="REFUSED", CODE="DOSE_MISSING",
                   MESSAGE="Radionuclide Total Dose expected, found none", PATH="dicom/777/D28/pet")  # fmt: skip
    adpet = [lesion("D14", "L10", "SUVMAX", 7.0), lesion("D14", "L2", "SUVMAX", 5.0, FLAGS="MAX_ON_ROI_BORDER"),
             lesion("D14", "LIVER", "SULMEAN", 1.3, ROLE="LIVER")]  # fmt: skip
    change = {"STUDYID": "DEMO", "USUBJID": SUBJECT, "AVISIT": "D14", "METRIC": "SUVMAX", "ORGAN": "bone",
              "STATUS": "MEASURED", "EVALFL": "Y", "TARGETFL": "N"}  # fmt: skip
    adlesion = [change | {"LESIONID": "L2", "PCHG": -15.2, "REPEAT": "WITHIN"},
                change | {"LESIONID": "L10", "PCHG": -45.0, "REPEAT": "FALL"},
                change | {"LESIONID": "L3", "PCHG": np.nan, "REPEAT": None, "STATUS": "NOT_EVALUABLE"}]  # fmt: skip
    check = {"USUBJID": SUBJECT, "AVISIT": "D14", "VERDICT": "NOT_ASSESSABLE"}
    compared = [check | {"CHECK": "uptake_difference", "BASEC": "60", "AVALC": "80", "DIFF": 20.0, "LIMIT": "at most 15 min",
                         "RESULT": "FAIL", "IMPACT": "BLOCKING"},
                check | {"CHECK": "model", "BASEC": "Discovery", "AVALC": "Discovery", "DIFF": np.nan, "LIMIT": "the same",
                         "RESULT": "PASS", "IMPACT": "WARNING"}]  # fmt: skip
    mip = {"USUBJID": SUBJECT, "AVISIT": "D14", "VIEW": "CORONAL", "ROWS": 2.0, "COLUMNS": 2.0, "PIXELMM": 4.0,
           "PIXELS": np.zeros(4, np.uint8), "LABELS": np.array([0, 1, 0, 0], np.uint8), "LABELNAMES": "L2"}  # fmt: skip
    region = {"USUBJID": SUBJECT, "AVISIT": "D14", "REGION": "LIVER", "SUVMEAN": 2.0, "SUVSD": 0.2, "CV": 0.1,
              "N_VOXELS": 100.0, "FLAGS": "LIVER_CV_HIGH", "STATUS": "ACCEPTED"}  # fmt: skip
    return {
        "scan_qc": pd.DataFrame([scan(), follow, refused]), "adpet": pd.DataFrame(adpet),
        "adlesion": pd.DataFrame(adlesion), "comparability": pd.DataFrame(compared), "mips": pd.DataFrame([mip]),
        "reference_proposals": pd.DataFrame([region]),
        "adsl": pd.DataFrame([{"USUBJID": SUBJECT, "TRTSDT": pd.Timestamp("2019-03-06")}]),
    }  # fmt: skip


def page_of(tables, visit):
    row = tables["scan_qc"].set_index("AVISIT", drop=False).loc[visit].to_dict()
    return render_scan(tables, row, "S-abc123", SETTING)


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("</style>")[1]))


@pytest.mark.parametrize("visit", ["D0", "D14", "D28"])
def test_no_page_holds_subject_date_path_weight_or_height(tables, visit):
    page = page_of(tables, visit)
    for secret in (SUBJECT, "777", "2019", "dicom/", "83.2", "79.9", "1.63"):
        assert secret not in page


def test_days_count_from_the_first_dose_without_a_day_zero(tables):
    assert "study day −2" in text_of(page_of(tables, "D0"))  # 4 March, first dose on 6 March
    assert "study day 15" in text_of(page_of(tables, "D14"))


def test_weight_is_shown_as_change_from_baseline(tables):
    assert "Weight from baseline −4.0 %" in text_of(page_of(tables, "D14"))  # 79.92 of 83.25 kg


def test_every_single_lesion_change_stands_beside_the_limits_of_repeatability(tables):
    page = page_of(tables, "D14")
    rows = [
        re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.S)
    ]
    lesions = {row[0]: row for row in rows if row and re.fullmatch(r"L\d+", row[0])}
    assert list(lesions) == ["L2", "L3", "L10"]
    assert lesions["L2"][10:12] == ["−15.2 %", "inside"] and lesions["L10"][10:12] == [
        "−45.0 %",
        "fall beyond",
    ]
    assert lesions["L3"][10:12] == ["not evaluable", "–"]
    assert "Against −28.2 % to +39.3 %" in text_of(page)


def test_flags_are_numbered_once_and_explained(tables):
    page = text_of(page_of(tables, "D14"))
    for code in ("DOSE_IN_MBQ", "DERIVED_IMAGE", "LIVER_CV_HIGH", "MAX_ON_ROI_BORDER"):
        assert page.count(code) == 1
    assert "confirm the activity with the site" in page


def test_checks_that_are_the_same_become_a_sentence(tables):
    page = text_of(page_of(tables, "D14"))
    assert "Uptake time, difference 60 min 80 min 20.0 min at most 15 min fails (blocking)" in page
    assert "Passes, the same at both: model (Discovery)" in page
    assert "the two scans are not comparable" in page


def pair(check, result, impact, verdict, base=None, now=None):
    return {"USUBJID": SUBJECT, "AVISIT": "D14", "CHECK": check, "BASEC": base, "AVALC": now, "DIFF": np.nan,
            "LIMIT": "the same", "RESULT": result, "IMPACT": impact, "VERDICT": verdict}  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "unknown_is"), [("ASSESSABLE", None), ("INSUFFICIENT_INFORMATION", {"kernel": "noted"})]
)
def test_an_unknown_that_the_plan_only_notes_does_not_look_blocking(tables, verdict, unknown_is):
    rows = pd.DataFrame([pair("kernel", "UNKNOWN", "BLOCKING", verdict)])
    found = describe_pair(rows, unknown_is)
    assert found["rows"] == [] and found["unknown"] == "kernel"


def test_an_unknown_that_leaves_no_verdict_is_a_row():
    rows = pd.DataFrame([pair("uptake_difference", "UNKNOWN", "BLOCKING", "INSUFFICIENT_INFORMATION", "60")])
    (row,) = describe_pair(rows, {"uptake_difference": "insufficient"})["rows"]
    assert (row["base"], row["now"], row["said"]) == ("60 min", "–", "unknown (no verdict without it)")


def test_letters_of_the_table_are_words_on_the_page():
    rows = [pair("time_of_flight", "PASS", "BLOCKING", "ASSESSABLE", "Y", "Y"),
            pair("vendor", "PASS", "WARNING", "ASSESSABLE", "SIEMENS", "SIEMENS")]  # fmt: skip
    said = describe_pair(pd.DataFrame(rows))["same"]
    assert said == "time of flight (yes), maker (Siemens)"


def matched(lesion, drawn, status, source):
    return {"USUBJID": SUBJECT, "AVISIT": "D14", "LESIONID": lesion, "DRAWNID": drawn, "STATUS": status,
            "SOURCE": source, "FLAGS": None}  # fmt: skip


def test_a_page_says_how_lesions_were_matched(tables):
    rows = [matched("L2", "FU1", "SAME", "READER"), matched("L10", "FU2", "SAME", "READER"),
            matched("L1", "FU7a", "SPLIT", "READER"), matched("L1", "FU7b", "SPLIT", "READER"),
            matched("L5", "L5", "NEW", "NAME"), matched("L6", "L6", "SAME", "NAME")]  # fmt: skip
    assert describe_matching(pd.DataFrame(rows), Notes()) == [
        "L1: split, 2 regions joined (says a reader)",
        "L2, L10: drawn under another name (says a reader)",
        "L5: not there at baseline (by the lesions' names)",
    ]


def test_a_visit_that_is_not_compared_is_no_fault(tables):
    late = scan(AVISIT="PROG", ADT=pd.Timestamp("2019-06-01"), PATH="dicom/777/PROG/pet")
    tables["scan_qc"] = pd.concat([tables["scan_qc"], pd.DataFrame([late])], ignore_index=True)
    run = Saved()
    write_quality_report(run, tables)
    page = text_of(run.files["quality/S-abc123_PROG.html"])
    assert "Not a visit of comparison with baseline" in page and "Not compared with baseline" not in page


def test_lesions_whose_names_may_tell_who_she_is_are_renamed_alike_on_all_pages(tables):
    """A region named by a person is numbered; plain names, totals and references stay."""
    named = {"L2": "mrs smith axilla"}
    for name in ("adpet", "adlesion"):
        tables[name]["LESIONID"] = tables[name]["LESIONID"].replace(named)
    tables["mips"]["LABELNAMES"] = "mrs smith axilla"
    tables["lesion_map"] = pd.DataFrame([matched("mrs smith axilla", "mrs smith axilla", "SAME", "NAME")])
    base = tables["adpet"].iloc[[1]].assign(AVISIT="D0")
    tables["adpet"] = pd.concat([tables["adpet"], base], ignore_index=True)
    run = Saved()
    write_quality_report(run, tables)
    assert not [name for name, page in run.files.items() if "smith" in page.casefold()]
    for visit in ("D0", "D14"):
        assert "Lesion 1" in run.files[f"quality/S-abc123_{visit}.html"]
    page = text_of(run.files["quality/S-abc123_D14.html"])
    assert "L10" in page and "L3" in page and "Liver" in page
    assert "another name" not in page


def test_a_scan_whose_lesions_were_not_measured_does_not_say_that_none_was_drawn(tables):
    total = lesion("D0", "TOTAL", "TMTV", np.nan, ROLE="TOTAL", FLAGS="TOTAL_INCOMPLETE")
    tables["adpet"] = pd.concat([tables["adpet"], pd.DataFrame([total])], ignore_index=True)
    page = text_of(page_of(tables, "D0"))
    assert "No lesion of this scan was measured" in page and "TOTAL_INCOMPLETE" in page


def test_a_refused_scan_says_why_and_what_to_do(tables):
    page = text_of(page_of(tables, "D28"))
    assert "DOSE_MISSING : the header has no injected activity." in page
    assert "What to do: send it, in a corrected header." in page
    assert "No lesion of this scan" not in page


def test_pages_of_one_subject_and_visit_are_numbered():
    frame = pd.DataFrame({"USUBJID": ["A", "A", None, "A"], "AVISIT": ["D0", "D0", None, "D14"]})
    names = name_pages(frame, lambda name: f"S-{name}")
    assert names == ["S-A_D0.html", "S-A_D0-2.html", "no-subject_no-visit.html", "S-A_D14.html"]


class Saved:
    """A run that keeps what is saved."""

    def __init__(self):
        self.whole = plan.load("virtual", Path(__file__).resolve().parents[1] / "config" / "virtual.yaml")
        self.plan, self.files = self.whole.restrict(("design", "pet", "response")), {}

    def rules(self):
        return self.whole.privacy

    def subject_key(self, name):
        return {SUBJECT: "S-abc123"}[name]

    def save_report(self, name, text):
        self.files[name] = text
        return Path(name)


def test_the_report_has_a_page_a_scan_and_every_link_leads_to_one(tables):
    run = Saved()
    written = write_quality_report(run, tables, limits=(-28.2, 39.3))
    assert [path.as_posix() for path in written[:2]] == ["quality/index.html", "quality/codes.html"]
    linked = set(re.findall(r'href="([^"#]+\.html)"', run.files["quality/index.html"]))
    pages = {f"S-abc123_{visit}.html" for visit in ("D0", "D14", "D28")}
    assert linked == {"codes.html", *pages} and {f"quality/{page}" for page in linked} < set(run.files)
    assert not [
        name for name, page in run.files.items() if SUBJECT in page or "2019" in page.split("</style>")[1]
    ]


def test_the_order_of_rows_changes_no_page(tables):
    first, second = Saved(), Saved()
    write_quality_report(first, tables)
    write_quality_report(
        second, {name: frame.iloc[::-1].reset_index(drop=True) for name, frame in tables.items()}
    )
    assert first.files == second.files


def test_a_page_that_cannot_be_made_stops_the_report(tables):
    broken = tables | {"mips": tables["mips"].assign(ROWS=7.0)}
    with pytest.raises(ValueError, match=r"PAGE_FAILED: S-abc123_D14\.html: MEASURE_FAILED"):
        write_quality_report(Saved(), broken)


def test_a_study_with_scans_alone_has_a_report(tables):
    run = Saved()
    write_quality_report(run, {"scan_qc": tables["scan_qc"]}, scans=["dicom/777/D0/pet"])
    assert set(run.files) == {"quality/index.html", "quality/codes.html", "quality/S-abc123_D0.html"}
    overview = text_of(run.files["quality/index.html"])
    assert "No pair of scans was compared" in overview and "No response was classified" in overview


def test_the_setting_comes_from_the_plan(tables):
    run = Saved()
    write_quality_report(run, tables)
    page = run.files["quality/S-abc123_D14.html"]
    assert "SIMULATED DATA" in page and SimpleNamespace(**vars(run)).plan.design.title[:5] in page
    assert "SUV 0 (white) to 10 (black)" in page


def test_every_page_begins_with_a_way_to_its_content_and_names_its_scroll_frames(tables):
    one = render_scan(tables, tables["scan_qc"].iloc[1].to_dict(), "S-0a1b2c", SETTING)
    for page in (one, render_codes(SETTING)):
        body = page.split("<body")[1]
        assert re.search(r'<a class="skip[^"]*" href="#content">', body).start() < body.index("<header>")
        assert page.count('id="content"') == 1 and '<main id="content" tabindex="-1">' in page
        frames = re.findall(r'<div class="scroll"[^>]*>', page)
        names = [re.search(r'role="region" aria-label="([^"]+)" tabindex="0"', frame)[1] for frame in frames]
        assert names and len(set(names)) == len(names)


def test_lesions_are_told_from_reference_regions_by_a_line_and_not_by_pale_letters(tables):
    page = render_scan(tables, tables["scan_qc"].iloc[0].to_dict(), "S-0a1b2c", SETTING)
    assert not re.search(r'style="color:', page)
    assert "svg.mip text" in page and "fill: var(--ink)" in page
