"""The query listing: every query once, under its site and subject, with a number that lasts, and no way out."""

import re
from io import StringIO

import pandas as pd
import pytest

from analysis.clinical import listing
from analysis.clinical.corrections import AUDIT_COLUMNS
from analysis.clinical.listing import LISTING_COLUMNS, listing_csv, listing_table, render_listing
from analysis.report import check_self_contained


@pytest.fixture
def adsl():
    return pd.DataFrame({"USUBJID": ["S-1", "S-2", "S-3"], "SITEID": ["02", "01", None]})


@pytest.fixture
def queries():
    rows = [
        ("error", "DATE_IMPOSSIBLE", "S-1", "AE", "AESEQ 1", "AESTDTC 2020-02-30 does not exist"),
        ("note", "DATE_PARTIAL", "S-1", "CM", "CMSEQ 1", "CMSTDTC 2020-02"),
        ("warning", "UNIT_MISSING", "S-2", "TR", "TRSEQ 4", "lesion <T1> & 20"),
        ("warning", "UNIT_MISSING", "S-3", "TR", "TRSEQ 5", "no unit"),
        ("error", "SUBJECT_NOT_IN_DM", "S-9", "AE", "all", "1 record(s)"),
        ("note", "COLUMN_LEFT_OUT", None, "DM", "", "1 column(s) not used: X"),
    ]
    names = ["SEVERITY", "CODE", "USUBJID", "DOMAIN", "RECORD", "MESSAGE"]
    return pd.DataFrame(rows, columns=names).assign(STEP="01", ACTION="look at it")


def test_the_table_has_every_query_once_by_site_and_subject_and_empty_answers(queries, adsl):
    table = listing_table(queries, adsl)
    assert list(table) == LISTING_COLUMNS
    where = table[["SITEID", "USUBJID"]].astype(object).where(table[["SITEID", "USUBJID"]].notna(), None)
    assert where.to_numpy().tolist() == [
        [None, None], ["01", "S-2"], ["02", "S-1"], ["02", "S-1"], ["no site", "S-3"], ["no site", "S-9"],
    ]  # fmt: skip
    assert table.SEVERITY.tolist()[2:4] == ["error", "note"]
    assert table[["ANSWER", "ANSWERDATE", "SIGNATURE"]].isna().all(axis=None)
    assert table.QUERYID.is_unique and table.QUERYID.str.fullmatch(r"Q[0-9A-F]{10}").all()


def test_a_query_keeps_its_number_whatever_else_is_asked_and_gets_another_when_its_data_change(queries, adsl):
    number = listing_table(queries, adsl).set_index("MESSAGE").QUERYID
    alone = listing_table(queries.iloc[[3, 1]].assign(SEVERITY="error", ACTION="other"), adsl)
    assert number.reindex(alone.MESSAGE).tolist() == alone.QUERYID.tolist()
    changed = listing_table(queries.assign(MESSAGE=queries.MESSAGE + "!"), adsl)
    assert not set(changed.QUERYID) & set(number)


def test_two_queries_that_say_the_same_have_two_numbers(queries, adsl):
    table = listing_table(pd.concat([queries, queries.iloc[:1]], ignore_index=True), adsl)
    assert table.QUERYID.is_unique


def test_the_order_of_the_queries_changes_nothing(queries, adsl):
    turned = queries.iloc[::-1].reset_index(drop=True)
    assert render_listing(turned, adsl, study="A") == render_listing(queries, adsl, study="A")


def test_the_page_has_a_section_a_site_and_a_row_a_query(queries, adsl):
    page = render_listing(queries, adsl, study="A trial")
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Study", "Site 01", "Site 02", "Subjects without a site"]
    assert re.findall(r"<caption>Subject (.*?)</caption>", page) == ["S-2", "S-1", "S-3", "S-9"]
    for number in listing_table(queries, adsl).QUERYID:
        assert page.count(number) == 1
    assert "6 queries (2 errors, 2 warnings, 2 notes) in 4 subjects" in page
    cells = re.search(r"<tfoot><tr>(.*?)</tr></tfoot>", page).group(1)
    assert re.findall(r">(\d+)<", cells) == ["4", "2", "2", "2", "6"]


def test_what_the_data_hold_is_text_and_the_page_stands_alone(queries, adsl):
    audit = pd.DataFrame([["DM", "S-1", "S-1", "AGE", None, "<i>61</i>", "why", "who", "2026-01-05"]],
                         columns=AUDIT_COLUMNS)  # fmt: skip
    page = render_listing(queries, adsl, study="<script>x</script>", corrections=audit, title="Q & A")
    assert "lesion &lt;T1&gt; &amp; 20" in page and "&lt;i&gt;61&lt;/i&gt;" in page and "Q &amp; A" in page
    assert "<script" not in page and "http" not in page
    check_self_contained(page)


def test_corrections_are_listed_at_the_end_with_old_and_new(queries, adsl):
    audit = pd.DataFrame([["DM", "S-1", "S-1", "AGE", None, "61", "why", "who", "2026-01-05"]],
                         columns=AUDIT_COLUMNS)  # fmt: skip
    page = render_listing(queries, adsl, study="A", corrections=audit)
    section = page[page.index('id="corrections"') :]
    assert re.findall(r"<td>(.*?)</td>", section) == [
        "DM", "S-1", "S-1", "AGE", "(empty)", "61", "why", "who", "2026-01-05",
    ]  # fmt: skip
    assert 'id="corrections"' not in render_listing(queries, adsl, study="A", corrections=audit.iloc[:0])


def test_without_queries_the_page_says_so(queries, adsl):
    page = render_listing(queries.iloc[:0], adsl, study="A")
    assert "0 queries (none)" in page
    assert listing_table(queries.iloc[:0], adsl).empty


def test_no_cell_of_the_csv_is_a_formula_and_all_else_is_the_table(queries, adsl):
    harm = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a = b"]
    queries["MESSAGE"] = harm
    queries.loc[0, ["USUBJID", "RECORD"]] = ['=HYPERLINK("x")', "-2"]
    table = listing_table(queries, adsl)
    cells = pd.read_csv(StringIO(listing_csv(queries, adsl)), dtype=str, keep_default_na=False)
    assert list(cells) == LISTING_COLUMNS
    assert sorted(cells.MESSAGE) == sorted(["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "a = b"])
    assert {'\'=HYPERLINK("x")'} < set(cells.USUBJID) and "'-2" in set(cells.RECORD)
    bare = cells.apply(lambda column: column.str.removeprefix("'"))
    pd.testing.assert_frame_equal(bare, table.astype(object).where(table.notna(), ""), check_dtype=False)


def test_the_rows_of_a_site_are_made_once_however_many_subjects_it_has(queries, adsl, monkeypatch):
    calls = []
    rows = listing._rows
    monkeypatch.setattr(listing, "_rows", lambda table: calls.append(len(table)) or rows(table))
    many = pd.concat([queries[2:3].assign(USUBJID=f"S-{n:03}") for n in range(200)], ignore_index=True)
    page = render_listing(many, pd.DataFrame({"USUBJID": many.USUBJID, "SITEID": "01"}), study="A")
    assert re.findall(r"<caption>Subject (.*?)</caption>", page) == many.USUBJID.tolist()
    assert len(calls) < 10 and calls.count(200) == 1
