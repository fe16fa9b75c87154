"""The tables of the quality overview: scanners, failed checks, codes, classes on a boundary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.contracts.codes import describe
from analysis.tables.format import MISSING, count_percent
from analysis.tables.lesion_quality import KINDS, split_codes
from analysis.tables.scan_quality import name_check
from analysis.tables.words import VENDORS, label_of, order_visits


def tabulate_scanners(scan_qc: pd.DataFrame) -> pd.DataFrame:
    """Count the scans of every scanner by visit, with its settings and its harmonisation state.

    Parameters
    ----------
    scan_qc : DataFrame
        SITEID VENDOR MODEL AVISIT and, where known, SOFTWARE RECON HARMON.

    Returns
    -------
    DataFrame
        Ready text, one row a site, scanner and harmonisation state.
    """
    filled = scan_qc.assign(**{name: _column(scan_qc, name) for name in _SCANNER})
    filled["HARMON"] = filled["HARMON"].replace({MISSING: "UNKNOWN"})
    visits = order_visits(scan_qc["AVISIT"])
    rows = []
    for (site, vendor, model, state), scans in filled.groupby(["SITEID", "VENDOR", "MODEL", "HARMON"]):
        settings = scans[["SOFTWARE", "RECON"]].drop_duplicates().sort_values(["SOFTWARE", "RECON"])
        settings = settings[settings.ne(MISSING).any(axis=1)]
        said = "; ".join(
            f"{_or(one.SOFTWARE, 'software not stated')}, {_or(one.RECON, 'reconstruction not stated')}"
            for one in settings.itertuples()
        )
        counts = {label_of(visit): str(int((scans["AVISIT"] == visit).sum())) for visit in visits}
        rows.append({"Site": site, "Scanner": f"{VENDORS.get(vendor, vendor)} {model}", **counts,
                     "Software, reconstruction": said or "not stated",
                     "Harmonisation": "unknown" if state == "UNKNOWN" else state})  # fmt: skip
    return pd.DataFrame(rows)


_SCANNER = ("SITEID", "VENDOR", "MODEL", "SOFTWARE", "RECON", "HARMON")


def _or(text: str, otherwise: str) -> str:
    return otherwise if text == MISSING else text


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame:
        return pd.Series(MISSING, index=frame.index)
    return frame[name].where(frame[name].notna() & frame[name].ne(""), MISSING).astype(str)


def count_verdicts(comparability: pd.DataFrame) -> pd.DataFrame:
    """Count pairs of scans by verdict.

    Returns
    -------
    DataFrame
        AVISIT VERDICT N.
    """
    pairs = comparability.drop_duplicates(["USUBJID", "AVISIT"])
    return pairs.groupby(["AVISIT", "VERDICT"]).size().rename("N").reset_index()


def tabulate_checks(comparability: pd.DataFrame, unknown_is: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Count by visit how often each check of a pair fails or cannot be made, unless it always passes.

    Parameters
    ----------
    comparability : DataFrame
        Rows of the pairs that are counted.
    unknown_is : mapping, optional
        Check -> what a missing fact means (`response.comparability_checks`); told where given.

    Returns
    -------
    DataFrame
        Ready text, one row a check, in the order of the table.
    """
    visits = order_visits(comparability["AVISIT"])
    rows = []
    for check, found in comparability.groupby("CHECK", sort=False):
        if found["RESULT"].eq("PASS").all():
            continue
        row = {
            "Check": name_check(check),
            "If it fails": " or ".join(sorted(_IMPACTS.get(word, word) for word in found["IMPACT"].unique())),
        }
        if unknown_is:
            row["If it is unknown"] = _UNKNOWN.get(unknown_is.get(check, ""), MISSING)
        for visit in visits:
            mine = found.loc[found["AVISIT"] == visit, "RESULT"]
            failed, unknown = int(mine.eq("FAIL").sum()), int(mine.eq("UNKNOWN").sum())
            row[label_of(visit)] = f"{failed} of {len(mine)} fail" + (
                f", {unknown} unknown" if unknown else ""
            )
        rows.append(row)
    return pd.DataFrame(rows)


_IMPACTS = {"BLOCKING": "not comparable", "WARNING": "warning"}
_UNKNOWN = {"insufficient": "no verdict", "warning": "warning", "noted": "noted"}


def count_codes(scan_qc: pd.DataFrame, others: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Count the scans that bear each adaptation or flag, of the scan itself or of one of its regions.

    Parameters
    ----------
    scan_qc : DataFrame
        USUBJID AVISIT ADAPTATIONS FLAGS.
    others : sequence of DataFrame
        Tables with USUBJID AVISIT FLAGS: adpet, reference_proposals, lesion_map.

    Returns
    -------
    DataFrame
        Code, kind, scans (with share of all), meaning and what to do; the most frequent first.
    """
    scans: dict[str, set] = {}
    for at, row in enumerate(scan_qc.itertuples(index=False)):
        where = (row.USUBJID, row.AVISIT) if isinstance(row.USUBJID, str) else at
        for code in [*split_codes(row.ADAPTATIONS), *split_codes(row.FLAGS)]:
            scans.setdefault(code, set()).add(where)
    for frame in others:
        marked = frame.loc[frame["FLAGS"].notna(), ["USUBJID", "AVISIT", "FLAGS"]].drop_duplicates()
        for row in marked.itertuples(index=False):
            for code in split_codes(row.FLAGS):
                scans.setdefault(code, set()).add((row.USUBJID, row.AVISIT))
    rows = []
    for code in sorted(scans, key=lambda name: (-len(scans[name]), name)):
        said = describe(code)
        rows.append({
            "Code": code, "Kind": KINDS.get(said.kind, said.kind),
            "Scans": count_percent(len(scans[code]), len(scan_qc)),
            "Meaning": said.means, "What to do": said.remedy,
        })  # fmt: skip
    return pd.DataFrame(rows)


def tabulate_boundaries(admr: pd.DataFrame) -> pd.DataFrame:
    """Count the classes that lie on the boundary of a cut, which the other reading of the rule would move.

    Parameters
    ----------
    admr : DataFrame
        AVISIT METRIC RULE CUT MRESP ONBOUND.

    Returns
    -------
    DataFrame
        Ready text, one row a rule, metric and cut with at least one such class; empty where there is none.
    """
    visits = order_visits(admr["AVISIT"])
    rows = []
    for (rule, metric, cut), found in admr.groupby(["RULE", "METRIC", "CUT"], sort=True):
        judged = found[found["MRESP"] != "NE"]
        if not judged["ONBOUND"].eq("Y").any():
            continue
        row: dict[str, Any] = {"Rule": label_of(rule), "Quantity": label_of(metric), "Cut, %": f"{cut:g}"}
        for visit in visits:
            mine = judged[judged["AVISIT"] == visit]
            row[label_of(visit)] = f"{int(mine['ONBOUND'].eq('Y').sum())} of {len(mine)}"
        rows.append(row)
    return pd.DataFrame(rows)
