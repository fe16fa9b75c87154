"""The overview of the study's scans, with a link to the page of each."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from analysis.contracts.codes import describe, in_words
from analysis.figures import quality
from analysis.quality_pages import Setting, render
from analysis.tables import study_quality as tables_of
from analysis.tables.lesion_quality import BASELINE, split_codes
from analysis.tables.present import to_html
from analysis.tables.words import label_of, order_visits


def render_overview(
    tables: Mapping[str, pd.DataFrame], keys: Sequence[str], links: Sequence[str], setting: Setting
) -> str:
    """Render the overview.

    Parameters
    ----------
    tables : mapping
        ``scan_qc`` and any of ``adpet comparability reference_proposals lesion_map admr``.
    keys : sequence of str
        Key of the subject of every row of ``scan_qc``; empty for none.
    links : sequence of str
        Page of every row of ``scan_qc``; empty for a scan without one.
    setting : Setting
        Of the study.

    Returns
    -------
    str
        The page; parts that the study has no table for say so.
    """
    scan_qc = tables["scan_qc"].reset_index(drop=True)
    scans = scan_qc.assign(KEY=list(keys), LINK=list(links), LIVERSUL=_liver(scan_qc, tables.get("adpet")))
    pairs, admr = tables.get("comparability"), tables.get("admr")
    judged, set_aside = _judged(pairs, scans)
    others = [tables[n] for n in ("adpet", "reference_proposals", "lesion_map") if tables.get(n) is not None]
    return render(
        "overview.html",
        title="Quality of the FDG-PET scans", study=setting.study, simulated=setting.simulated, dense=False,
        cards=_cards(scans, pairs, admr), refused=_refused(scans), figures=_figures(scans, pairs, setting),
        checks=_html(tables_of.tabulate_checks(judged, setting.unknown_is)) if _filled(judged) else "",
        set_aside=set_aside,
        has_pairs=_filled(pairs), has_response=_filled(admr),
        scanners=_html(tables_of.tabulate_scanners(scans)),
        codes=_html(tables_of.count_codes(scans, others)),
        boundaries=_html(tables_of.tabulate_boundaries(admr)) if _filled(admr) else "",
        recovery="" if setting.harmonisation_limits is None else _html(setting.harmonisation_limits),
        visits=[label_of(visit) for visit in _visits(scans)], people=_people(scans, pairs),
    )  # fmt: skip


def _judged(pairs: pd.DataFrame | None, scans: pd.DataFrame) -> tuple[pd.DataFrame | None, int]:
    """Return the checks of the pairs of measured scans, and how many pairs hold a refused one."""
    if not _filled(pairs):
        return pairs, 0
    measured = set(
        scans.loc[scans["STATUS"] != "REFUSED", ["USUBJID", "AVISIT"]].itertuples(index=False, name=None)
    )
    listed = set(scans[["USUBJID", "AVISIT"]].itertuples(index=False, name=None))
    refused = listed - measured
    keys = list(pairs[["USUBJID", "AVISIT"]].itertuples(index=False, name=None))
    lost = [key in refused or (key[0], BASELINE) in refused for key in keys]
    return pairs[[not one for one in lost]], len({key for key, gone in zip(keys, lost) if gone})


def _shared(scans: pd.DataFrame) -> list[str]:
    """Return the codes that every measured scan bears: they tell no scan from another."""
    found = [set(split_codes(row.FLAGS)) for row in scans[scans["STATUS"] != "REFUSED"].itertuples()]
    return sorted(set.intersection(*found)) if len(found) > 1 else []


def _filled(frame: pd.DataFrame | None) -> bool:
    return frame is not None and len(frame) > 0


def _html(table: pd.DataFrame) -> Markup:
    return Markup(to_html(table)) if len(table) else Markup("")


def _liver(scan_qc: pd.DataFrame, adpet: pd.DataFrame | None) -> pd.Series:
    """Return the liver's SULmean of each scan; missing where it was not measured."""
    if adpet is None:
        return pd.Series(float("nan"), index=scan_qc.index)
    liver = adpet[(adpet["LESIONID"] == "LIVER") & (adpet["METRIC"] == "SULMEAN")]
    known = dict(zip(zip(liver["USUBJID"], liver["AVISIT"]), liver["AVAL"]))
    found = [
        known.get((row.USUBJID, row.AVISIT)) if row.STATUS == "OK" else None
        for row in scan_qc.itertuples(index=False)
    ]
    return pd.Series(found, index=scan_qc.index, dtype=float)


def _visits(scans: pd.DataFrame) -> list[Any]:
    known = order_visits(scans["AVISIT"])
    return known + sorted(set(scans["AVISIT"].dropna()) - set(known))


def _cards(scans: pd.DataFrame, pairs: pd.DataFrame | None, admr: pd.DataFrame | None) -> list[tuple]:
    refused = int((scans["STATUS"] == "REFUSED").sum())
    adapted = int(scans["ADAPTATIONS"].notna().sum())
    shared = _shared(scans)
    flagged = sum(bool(set(split_codes(flags)) - set(shared)) for flags in scans["FLAGS"])
    besides = f", besides {', '.join(map(in_words, shared)).lower()} of every scan" if shared else ""
    cards = [
        ("Scans", len(scans), f"{scans['KEY'].replace('', None).nunique()} patients"),
        ("Refused", refused, "set aside with a code"),
        ("Adapted", adapted, "header read otherwise than it stands"),
        ("Flagged", flagged, f"worth a look; flags of the scan itself{besides}"),
    ]
    if _filled(pairs):
        each = pairs.drop_duplicates(["USUBJID", "AVISIT"])
        good = int(each["VERDICT"].str.startswith("ASSESSABLE").sum())
        cards.append(("Comparable pairs", f"{good} of {len(each)}", "follow-up scan against baseline"))
    if _filled(admr):
        near = admr[(admr["ONBOUND"] == "Y") & (admr["MRESP"] != "NE")]
        detail = "patients' visits with a class on a boundary, under any rule"
        cards.append(("On a boundary", len(near.drop_duplicates(["USUBJID", "AVISIT"])), detail))
    return cards


def _refused(scans: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for row in scans[scans["STATUS"] == "REFUSED"].to_dict("records"):
        said = describe(row["CODE"]) if isinstance(row["CODE"], str) else None
        rows.append({
            "link": row["LINK"], "name": f"{row['KEY'] or 'unknown subject'}, {label_of(row['AVISIT'])}",
            "code": row["CODE"] or "no code", "means": said.means if said else "no reason was recorded",
            "remedy": said.remedy if said else "run this scan alone",
        })  # fmt: skip
    return rows


def _figures(scans: pd.DataFrame, pairs: pd.DataFrame | None, setting: Setting) -> dict[str, dict[str, Any]]:
    rules, windows = setting.figures, dict(setting.windows or {})
    found = {}
    if any(scans[column].notna().any() for column in ("UPTAKEMIN", "DOSEMBQ", "LIVERSUL")):
        drawn = quality.plot_sites(scans, windows=windows, rules=rules)
        found["sites"] = _picture(drawn, quality.caption_sites(scans, windows), quality.alt_sites(scans))
    if scans["LIVERSUL"].notna().any():
        drawn = quality.plot_liver_drift(scans, window=windows.get("LIVERSUL"), rules=rules)
        caption = quality.caption_drift()
        found["drift"] = _picture(drawn, caption, caption)
    if _filled(pairs):
        counts = tables_of.count_verdicts(pairs)
        drawn = quality.plot_verdicts(counts, rules=rules)
        said = [
            f"{r.N} {quality.VERDICTS[r.VERDICT][0]} at {label_of(r.AVISIT)}" for r in counts.itertuples()
        ]
        caption = "Pairs of a follow-up scan and its baseline, by verdict."
        found["verdicts"] = _picture(drawn, caption, f"{caption} {'; '.join(said)}.")
    return found


def _picture(figure: Any, caption: str, alt: str) -> dict[str, Any]:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    width, height = (round(side * 96 * 1.3) for side in figure.get_size_inches())
    source = f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return {"source": Markup(source), "caption": caption, "alt": alt, "width": width, "height": height}


def _people(scans: pd.DataFrame, pairs: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return a row a subject with the cells of every visit; scans without subject or visit come last."""
    verdicts = {}
    if _filled(pairs):
        verdicts = dict(zip(zip(pairs["USUBJID"], pairs["AVISIT"]), pairs["VERDICT"]))
    visits, people, shared = _visits(scans), [], _shared(scans)
    for key, mine in scans.groupby("KEY", sort=True):
        cells = [
            [_cell(row, verdicts, shared) for row in mine[mine["AVISIT"] == visit].to_dict("records")]
            for visit in visits
        ]
        lost = [_cell(row, verdicts, shared) for row in mine[mine["AVISIT"].isna()].to_dict("records")]
        site = next((site for site in mine["SITEID"] if isinstance(site, str)), "–")
        people.append(
            {"key": key or "unknown subject", "site": site, "cells": cells, "lost": lost, "last": not key}
        )
    return sorted(people, key=lambda one: one["last"])


def _cell(row: Mapping[str, Any], verdicts: Mapping[tuple, str], shared: Sequence[str]) -> dict[str, str]:
    if row["STATUS"] == "REFUSED":
        return {"link": row["LINK"], "text": "refused", "css": "FAIL"}
    notes = len({*split_codes(row["FLAGS"]), *split_codes(row["ADAPTATIONS"])} - set(shared))
    verdict = verdicts.get((row["USUBJID"], row["AVISIT"]), "ASSESSABLE")
    bad = {"NOT_ASSESSABLE": "not comparable", "INSUFFICIENT_INFORMATION": "comparability unknown"}.get(
        verdict
    )
    said = ["measured", *([bad] if bad else []), *([f"{notes} note{'s' * (notes > 1)}"] if notes else [])]
    return {"link": row["LINK"], "text": ", ".join(said), "css": "UNKNOWN" if bad else ""}
