"""The page of one scan, which prints on one A4 sheet, and the glossary of codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from analysis.contracts import codes
from analysis.figures.projection import draw_projection
from analysis.quality_pages import Setting, render
from analysis.tables.format import signed_percent
from analysis.tables.scan_quality import describe_scan


def render_scan(
    tables: Mapping[str, pd.DataFrame], scan: Mapping[str, Any], key: str, setting: Setting
) -> str:
    """Render the page of a scan.

    Parameters
    ----------
    tables : mapping
        Tables of the study by name (contracts): ``scan_qc`` and any of ``adpet adlesion comparability
        reference_proposals lesion_map adsl mips``.
    scan : mapping
        Its row of ``scan_qc``; a refused one gives a page that says why and what to do.
    key : str
        What stands for the subject.
    setting : Setting
        Of the study.

    Returns
    -------
    str
        The page; the same input gives the same text.

    Raises
    ------
    report.ReportError
        If the page would load something from outside itself.
    """
    return render_task({"tables": tables, "scan": scan, "key": key}, setting)


def render_task(task: Mapping[str, Any], setting: Setting) -> str:
    """Render the page of a scan from one plain input: ``tables scan key``, as of `render_scan`."""
    rules = setting.figures
    tables, scan = task["tables"], task["scan"]
    page = describe_scan(tables, scan, limits=setting.limits, unknown_is=setting.unknown_is)
    rows = len(page["lesions"]["rows"]) if page["lesions"] else 0
    rows += len(page["comparison"]["rows"] if page["comparison"] else ()) + len(page["notes"])
    return render(
        "scan.html",
        title=f"FDG-PET quality: {task['key']}, {page['visit']}",
        study=setting.study, simulated=setting.simulated, key=task["key"] or "unknown subject", page=page,
        dense=rows > rules.quality_page_rows, scale=setting.scale, colours=rules.quality_colours,
        projections=[Markup(svg) for svg in _projections(tables.get("mips"), scan, rules)],
        lower=signed_percent(setting.limits[0], 1) if setting.limits else "",
        upper=signed_percent(setting.limits[1], 1) if setting.limits else "",
        compared=setting.compared is None or scan["AVISIT"] in setting.compared,
        scan_numbers={int(n) for numbers in page["scan_codes"] for n in numbers.split()},
    )  # fmt: skip


def _projections(mips: pd.DataFrame | None, scan: Mapping[str, Any], rules: Any) -> list[str]:
    if mips is None or scan["STATUS"] != "OK":
        return []
    mine = mips[(mips["USUBJID"] == scan["USUBJID"]) & (mips["AVISIT"] == scan["AVISIT"])]
    return [draw_projection(row, rules=rules) for row in mine.sort_values("VIEW").to_dict("records")]


def render_codes(setting: Setting) -> str:
    """Render the glossary: every code of the PET part with its meaning and what to do."""
    groups = [
        (_KINDS.get(kind, kind), rows.to_dict("records"))
        for kind, rows in codes.glossary().groupby("KIND", sort=False)
    ]
    title = "Codes of the PET part"
    return render("codes.html", title=title, study=setting.study, groups=groups, dense=False)


_KINDS = {
    "adaptation": "Adaptations: the header was read otherwise than it stands",
    "flag": "Flags: worth knowing, no number changes",
    "refusal_scan": "Refusals of a scan",
    "refusal_region": "Refusals of a region",
    "ledger": "Set aside before measuring",
    "query": "Asked of the site or the reader",
    "error": "Errors that stop the run",
    "reason": "Why a response is not evaluable",
    "verdict": "Verdicts on a pair of scans",
    "rule": "How the moment of the decay correction was found",
}
