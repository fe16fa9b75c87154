"""The query listing a data manager sends out: a page by site and subject, and the same as a table."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.clinical.checks import CHECKS, READER, SEVERITIES

LISTING_COLUMNS = [
    "QUERYID", "SITEID", "USUBJID", "SEVERITY", "CODE", "DOMAIN", "RECORD", "MESSAGE", "ACTION",
    "ANSWER", "ANSWERDATE", "SIGNATURE",
]  # fmt: skip
_IDENTITY = ["CODE", "USUBJID", "DOMAIN", "RECORD", "MESSAGE"]
NO_SITE = "no site"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would calculate
_DIGITS = 10  # among 200,000 queries, two of one number are expected once in fifty listings
_WORDS = {"error": ("error", "errors"), "warning": ("warning", "warnings"), "note": ("note", "notes")}


def listing_table(queries: pd.DataFrame, adsl: pd.DataFrame) -> pd.DataFrame:
    """Return the queries as a table to send out; it names subjects and stays with the derived data.

    Parameters
    ----------
    queries : DataFrame
        As `check_queries` returns them.
    adsl : DataFrame
        USUBJID and SITEID.

    Returns
    -------
    DataFrame
        QUERYID (the same query has the same from run to run), SITEID, USUBJID (both missing where the query
        is of the study), SEVERITY, CODE, DOMAIN, RECORD, MESSAGE, ACTION and the empty columns ANSWER,
        ANSWERDATE, SIGNATURE; by site, subject, severity and code, the study first.
    """
    table = queries.assign(QUERYID=_query_ids(queries), ANSWER=None, ANSWERDATE=None, SIGNATURE=None)
    site = queries.USUBJID.map(adsl.set_index("USUBJID").SITEID).astype(object)
    table["SITEID"] = site.where(site.notna() | queries.USUBJID.isna(), NO_SITE).where(
        queries.USUBJID.notna(), None
    )
    table["RANK"] = table.SEVERITY.map({name: place for place, name in enumerate(SEVERITIES)})
    order = ["SITEID", "USUBJID", "RANK", "CODE", "DOMAIN", "RECORD", "MESSAGE"]
    table = table.sort_values(order, na_position="first", ignore_index=True, kind="stable")
    return table.reindex(columns=LISTING_COLUMNS)


def listing_csv(queries: pd.DataFrame, adsl: pd.DataFrame) -> str:
    """Return `listing_table` as the text of a CSV file that a spreadsheet can open without harm.

    Parameters
    ----------
    queries, adsl
        As for `listing_table`.

    Returns
    -------
    str
        CSV with a header. A value that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return has
        an apostrophe before it: a spreadsheet would take it for a formula and run what a data file holds
        (OWASP, CSV injection). All other values are as in the table.
    """
    table = listing_table(queries, adsl)
    return table.apply(lambda column: column.map(_no_formula)).to_csv(index=False)


def _no_formula(value):
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _query_ids(queries: pd.DataFrame) -> pd.Series:
    """Hash what a query says; a second query that says the same gets a number behind it."""
    text = ["\x1f".join(row) for row in queries[_IDENTITY].fillna("").astype(str).to_numpy()]
    digests = [hashlib.sha256(one.encode()).hexdigest()[:_DIGITS].upper() for one in text]
    short = pd.Series([f"Q{digest}" for digest in digests], index=queries.index, dtype=object)
    again = short.groupby(short).cumcount()
    return short.where(again.eq(0), short + "-" + (again + 1).astype(str))


def render_listing(
    queries: pd.DataFrame,
    adsl: pd.DataFrame,
    *,
    study: str,
    corrections: pd.DataFrame | None = None,
    title: str = "Data queries",
) -> str:
    """Render the queries as one page that stands alone, to be printed on A4 landscape, a new page a site.

    Parameters
    ----------
    queries, adsl
        As for `listing_table`.
    study : str
        Title of the study.
    corrections : DataFrame, optional
        Audit trail of `apply_corrections`; listed at the end.
    title : str
        Heading of the page.

    Returns
    -------
    str
        HTML; the same input gives the same text.
    """
    table = listing_table(queries, adsl)
    of_study = table[table.USUBJID.isna()]
    of_sites = table[table.USUBJID.notna()].drop(columns=["ANSWER", "ANSWERDATE", "SIGNATURE"])
    sites = [
        {
            "name": f"Site {site}" if site != NO_SITE else "Subjects without a site",
            "anchor": f"site-{place}",
            "counts": _counts(rows),
            "subjects": [(name, list(some)) for name, some in groupby(_rows(rows), itemgetter("USUBJID"))],
        }
        for place, (site, rows) in enumerate(of_sites.groupby("SITEID", sort=True))
    ]
    audit = corrections if corrections is not None else pd.DataFrame()
    return _environment().get_template("listing.html").render(
        title=title,
        study=study,
        severities=[_WORDS[name][1] for name in SEVERITIES],
        total=_counts(table),
        of_study=_rows(of_study),
        study_counts=_counts(of_study),
        sites=sites,
        codes=_codes(table),
        audit=_rows(audit),
    )  # fmt: skip


def _rows(table: pd.DataFrame) -> list[dict]:
    filled = table.astype(object).where(table.notna(), "")
    return [dict(zip(filled, row)) for row in zip(*(filled[name].tolist() for name in filled))]


def _counts(rows: pd.DataFrame) -> dict:
    by_severity = [int(rows.SEVERITY.eq(name).sum()) for name in SEVERITIES]
    words = [f"{n} {_WORDS[name][n != 1]}" for name, n in zip(SEVERITIES, by_severity) if n]
    return {
        "by_severity": by_severity,
        "all": len(rows),
        "subjects": rows.USUBJID.nunique(),
        "words": ", ".join(words) or "none",
    }


def _codes(table: pd.DataFrame) -> list[dict]:
    """Count the queries of each code, gravest and most frequent first."""
    rank = {name: place for place, name in enumerate(SEVERITIES)}
    count = table.groupby(["SEVERITY", "CODE"], as_index=False).agg(
        N=("QUERYID", "size"), SUBJECTS=("USUBJID", "nunique")
    )
    count["RANK"] = count.SEVERITY.map(rank)
    count["MEANING"] = [CHECKS[code].meaning if code in CHECKS else READER for code in count.CODE]
    return _rows(count.sort_values(["RANK", "N", "CODE"], ascending=[True, False, True]))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    loader = PackageLoader("analysis", "clinical")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
