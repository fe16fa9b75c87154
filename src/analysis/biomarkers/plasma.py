"""Serial plasma: read the long table, give each draw its visit, call ctDNA by sample and over time.

A failed assay is NOT ASSESSABLE and never negative: it is missing in every comparison.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.textfile import FileRefused, read_table, refuse_lines, to_number

DETECTED, NOT_DETECTED, NOT_ASSESSABLE = "DETECTED", "NOT DETECTED", "NOT ASSESSABLE"
_REQUIRED = ("USUBJID", "ADT", "RESULT")
_FRACTIONS = ("VAF", "TUMFRAC", "LOD")


def read_plasma(path: str | Path, *, rules=None) -> pd.DataFrame:
    """Read the long table of serial plasma: a row a sample and, where several are reported, a variant.

    Parameters
    ----------
    path : path
        Comma- or tab-separated (by the ending ``.csv`` or any other). Columns as
        ``plan.biomarkers.plasma_columns`` spells them; subject, date of the draw (ISO 8601, complete) and
        result are required.
    rules : Section, optional
        The plan's section ``biomarkers``; its defaults if None.

    Returns
    -------
    DataFrame
        USUBJID SAMPLEID ADT AVISIT (as the table says it, or None) ASSAY GENE VARIANT VAF TUMFRAC LOD
        (fractions 0-1, NaN where missing) RESULT (DETECTED, NOT DETECTED, NOT ASSESSABLE). Without sample
        identifiers, one is made of subject and date.

    Raises
    ------
    FileRefused
        With file, line and column: a required column or value missing, two columns of one meaning
        (``COLUMN_TWICE``), ``DATE_MALFORMED``, ``RESULT_UNKNOWN``, ``NUMBER_RANGE`` (a percentage where a
        fraction is meant), ``SAMPLE_OF_TWO`` (one sample with two subjects or dates).
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    path = Path(path)
    raw = read_table(path, delimiter="," if path.suffix.lower() == ".csv" else "\t")
    frame = _rename(raw, rules.plasma_columns, path.name)
    for column in _REQUIRED:
        refuse_lines(frame[column].isna(), "VALUE_MISSING", "a required value is missing", path.name, column)
    frame["ADT"] = _dates(frame["ADT"], path.name)
    for column in _FRACTIONS:
        frame[column] = to_number(frame, column, path.name, low=0.0, high=1.0)
    frame["RESULT"] = _results(frame["RESULT"], rules, path.name)
    if frame["SAMPLEID"].isna().all():
        frame["SAMPLEID"] = frame["USUBJID"] + "-P" + frame["ADT"].dt.strftime("%Y%m%d")
    refuse_lines(
        frame["SAMPLEID"].isna(), "VALUE_MISSING", "a sample without identifier", path.name, "SAMPLEID"
    )
    _check_samples(frame, path.name)
    return frame.reset_index(drop=True)


def _rename(raw: pd.DataFrame, spellings: dict[str, list[str]], file: str) -> pd.DataFrame:
    columns = {}
    for ours, accepted in spellings.items():
        found = [name for name in raw.columns if name.lower() in accepted]
        if len(found) > 1:
            raise FileRefused("COLUMN_TWICE", f"{found} mean the same; keep one", file, 1, found[1])
        if not found and ours in _REQUIRED:
            raise FileRefused("COLUMN_MISSING", f"needs one of {accepted}", file, 1, ours)
        columns[ours] = raw[found[0]] if found else pd.Series(None, index=raw.index, dtype=object)
    return pd.DataFrame(columns, index=raw.index)


def _dates(text: pd.Series, file: str) -> pd.Series:
    date = pd.to_datetime(text.str.slice(0, 10), format="%Y-%m-%d", errors="coerce")
    # A partial date cannot place a draw in a window; a draw is never given an imputed day.
    refuse_lines(date.isna(), "DATE_MALFORMED", "expected a complete date YYYY-MM-DD", file, "ADT")
    return date.astype("datetime64[ns]")


def _results(text: pd.Series, rules, file: str) -> pd.Series:
    words = {
        DETECTED: rules.plasma_detected,
        NOT_DETECTED: rules.plasma_not_detected,
        NOT_ASSESSABLE: rules.plasma_not_assessable,
    }
    known = {word: result for result, spellings in words.items() for word in spellings}
    plain = text.str.lower().str.replace(r"[\s_-]+", " ", regex=True)
    result = plain.map(known)
    refuse_lines(result.isna(), "RESULT_UNKNOWN", f"expected one of {sorted(known)}", file, "RESULT", text)
    return result


def _check_samples(frame: pd.DataFrame, file: str) -> None:
    for column in ("USUBJID", "ADT"):
        many = frame.groupby("SAMPLEID")[column].transform("nunique") > 1
        refuse_lines(many, "SAMPLE_OF_TWO", f"one sample with more than one {column}", file, column)


def assign_visits(draws: pd.DataFrame, first_dose: pd.Series, *, rules=None) -> pd.DataFrame:
    """Give each draw its visit by its study day; return `draws` with AVISIT and DAY.

    The day of first dose is day 1, the day before it is day -1 (CDISC). A draw outside all windows keeps the
    visit PROG if the table says so, else it is UNSCHED. Without a first dose the visit is UNSCHED.

    Parameters
    ----------
    draws : DataFrame
        As `read_plasma` returns.
    first_dose : Series of datetime64
        Date of first dose, index USUBJID.
    rules : Section, optional
        The plan's section ``biomarkers``.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    out = draws.copy()
    days = (out["ADT"] - out["USUBJID"].map(first_dose)).dt.days
    out["DAY"] = days + (days >= 0)
    said_progression = out["AVISIT"].str.upper().isin(["PROG", "PROGRESSION"]).fillna(False)
    out["AVISIT"] = np.where(said_progression.astype(bool), "PROG", "UNSCHED")
    for visit, (first, last) in rules.plasma_visit_windows.items():
        out.loc[out["DAY"].between(first, last) & (out["AVISIT"] == "UNSCHED"), "AVISIT"] = visit
    return out


def call_samples(draws: pd.DataFrame) -> pd.DataFrame:
    """Call ctDNA by sample: DETECTED if any variant or assay is; NOT ASSESSABLE only if every one is.

    Parameters
    ----------
    draws : DataFrame
        As `assign_visits` returns: a row a sample and variant.

    Returns
    -------
    DataFrame
        A row a sample: USUBJID SAMPLEID ADT AVISIT RESULT VAF (largest detected) TUMFRAC LOD (fractions).
    """
    order = {DETECTED: 0, NOT_DETECTED: 1, NOT_ASSESSABLE: 2}
    best_first = draws.assign(
        RANK=draws["RESULT"].map(order), VAF=draws["VAF"].where(draws["RESULT"] == DETECTED)
    ).sort_values(["USUBJID", "ADT", "SAMPLEID", "RANK"], kind="stable")
    grouped = best_first.groupby("SAMPLEID", sort=False)
    called = grouped[["USUBJID", "ADT", "AVISIT", "RESULT"]].first()
    called["VAF"] = grouped["VAF"].max()
    called["TUMFRAC"] = grouped["TUMFRAC"].max()
    called["LOD"] = grouped["LOD"].min()
    return called.reset_index()


def select_visit(adbm: pd.DataFrame, visit: str, *, param: str = "CTDNA") -> pd.DataFrame:
    """Select one plasma result a subject at `visit`: assessable before failed, then the earliest.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    visit : str
        AVISIT.
    param : str
        PARAMCD: CTDNA (result in AVALC) or TUMFRAC.

    Returns
    -------
    DataFrame
        Rows of adbm, index USUBJID.
    """
    rows = adbm[(adbm["PARTYPE"] == "CTDNA") & (adbm["PARAMCD"] == param) & (adbm["AVISIT"] == visit)]
    failed_last = rows.assign(FAILED=rows["AVALC"].eq(NOT_ASSESSABLE))
    ordered = failed_last.sort_values(["USUBJID", "FAILED", "ADT", "SAMPLEID"], kind="stable")
    return ordered.drop_duplicates("USUBJID").drop(columns="FAILED").set_index("USUBJID")


def classify_clearance(adbm: pd.DataFrame, first: str, second: str) -> pd.Series:
    """Classify ctDNA from one visit to another: ``--``, ``-+``, ``+-`` (cleared) or ``++``, index USUBJID.

    A subject with either result missing or not assessable has None: a failed assay is not a negative one.
    """
    signs = {DETECTED: "+", NOT_DETECTED: "-"}
    before = select_visit(adbm, first)["AVALC"].map(signs)
    after = select_visit(adbm, second)["AVALC"].map(signs)
    both = pd.concat([before, after], axis=1, keys=["before", "after"], sort=True)
    joined = both["before"] + both["after"]
    return joined.astype(object).where(joined.notna(), None).rename("CLEARANCE")


def tabulate_pet_by_ctdna(adbm: pd.DataFrame, outcomes: pd.DataFrame, visit: str) -> pd.DataFrame:
    """Count subjects and events in the four groups of metabolic response and ctDNA at `visit`.

    Returns
    -------
    DataFrame
        MRESP, CTDNA, N and, for each endpoint, its events; all four groups, also empty ones. Subjects with
        either result missing or not assessable are not counted.
    """
    ctdna = select_visit(adbm, visit)["AVALC"]
    both = outcomes.assign(CTDNA=ctdna.reindex(outcomes.index))
    both = both[both["NONRESPONSE"].notna() & both["CTDNA"].isin([DETECTED, NOT_DETECTED])]
    both = both.assign(MRESP=np.where(both["NONRESPONSE"] > 0, "NON-RESPONDER", "RESPONDER"))
    cells = pd.MultiIndex.from_product(
        [["RESPONDER", "NON-RESPONDER"], [NOT_DETECTED, DETECTED]], names=["MRESP", "CTDNA"]
    )
    grouped = both.groupby(["MRESP", "CTDNA"])
    counts = {"N": grouped.size()}
    for column in [name for name in both.columns if name.endswith("_EVENT")]:
        counts[column.replace("_EVENT", "_EVENTS")] = grouped[column].sum()
    return pd.DataFrame(counts).reindex(cells, fill_value=0).astype(int).reset_index()


def tabulate_clearance(
    adbm: pd.DataFrame, outcomes: pd.DataFrame, *, first: str, second: str
) -> pd.DataFrame:
    """Count the clearance classes from `first` to `second` visit, all and by metabolic response.

    Returns
    -------
    DataFrame
        CLEARANCE (``--``, ``-+``, ``+-``, ``++``), N, N_NONRESPONDER, N_RESPONDER; subjects without both
        results are in the row ``not assessable``.
    """
    clearance = classify_clearance(adbm, first, second)
    both = pd.DataFrame(
        {"CLEARANCE": clearance, "NONRESPONSE": outcomes["NONRESPONSE"].reindex(clearance.index)}
    )
    both["CLEARANCE"] = both["CLEARANCE"].fillna("not assessable")
    order = ["--", "-+", "+-", "++", "not assessable"]
    counts = {
        "N": both.groupby("CLEARANCE").size(),
        "N_NONRESPONDER": both[both["NONRESPONSE"] == 1].groupby("CLEARANCE").size(),
        "N_RESPONDER": both[both["NONRESPONSE"] == 0].groupby("CLEARANCE").size(),
    }
    table = pd.DataFrame(counts).reindex(order).fillna(0).astype(int)
    return table.rename_axis("CLEARANCE").reset_index()
