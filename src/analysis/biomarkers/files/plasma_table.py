"""The long table of serial plasma as a file: faults named on reading, written so that it reads the same."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.files.textfile import FileRefused, read_table, refuse_lines, to_number

DETECTED, NOT_DETECTED, NOT_ASSESSABLE = "DETECTED", "NOT DETECTED", "NOT ASSESSABLE"
_REQUIRED = ("USUBJID", "RESULT")
_WHEN = ("ADT", "ADY")
_FRACTIONS = ("VAF", "TUMFRAC", "LOD")
_NO_FRACTION = "; fractions 0 to 1 are expected: divide percent by 100"


def read_plasma(path: str | Path, *, rules=None) -> pd.DataFrame:
    """Read the long table of serial plasma: a row a sample and, where several are reported, a variant.

    Parameters
    ----------
    path : path
        Comma- or tab-separated (by the ending ``.csv`` or any other). Columns as
        ``plan.biomarkers.plasma_columns`` spells them; required are subject, result and when it was drawn:
        the date (ISO 8601, complete), the study day (first dose is day 1, there is no day 0), or both.
    rules : Section, optional
        The plan's section ``biomarkers``; its defaults if None.

    Returns
    -------
    DataFrame
        USUBJID SAMPLEID ADT (NaT where the table gives none) ADY (study day as the table gives it, else NaN)
        AVISIT (as the table says it, or None) ASSAY GENE VARIANT VAF TUMFRAC LOD (fractions 0-1, NaN where
        missing) DEPTH (reads) RESULT (DETECTED, NOT DETECTED, NOT ASSESSABLE). Without sample identifiers,
        one is made of subject and date, or of subject and day. Rows are as in the file, also repeated ones.

    Raises
    ------
    FileRefused
        With file, line and column: a required column or value missing, two columns of one meaning
        (``COLUMN_TWICE``), ``DATE_MALFORMED``, ``DAY_ZERO``, ``RESULT_UNKNOWN``, ``NUMBER_RANGE`` (a
        percentage where a fraction is meant), ``PLASMA_LOD_UNIT`` (most of what was detected lies below its
        own limit), ``SAMPLE_OF_TWO`` (one sample with two subjects, dates, days or visits).
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    path = Path(path)
    raw = read_table(path, delimiter="," if path.suffix.lower() == ".csv" else "\t")
    frame = _rename(raw, rules.plasma_columns, path.name)
    for column in _REQUIRED:
        refuse_lines(frame[column].isna(), "VALUE_MISSING", "a required value is missing", path.name, column)
    undated = frame["ADT"].isna() & frame["ADY"].isna()
    refuse_lines(undated, "VALUE_MISSING", "neither the date nor the study day of the draw", path.name, "ADT")
    frame["ADT"], frame["ADY"] = _dates(frame["ADT"], path.name), _days(frame, path.name)
    for column in _FRACTIONS:
        frame[column] = to_number(frame, column, path.name, low=0.0, high=1.0, advice=_NO_FRACTION)
    frame["DEPTH"] = to_number(frame, "DEPTH", path.name, low=0.0)
    frame["RESULT"] = _results(frame["RESULT"], rules, path.name)
    _check_limits(frame, rules, path.name)
    if frame["SAMPLEID"].isna().all():
        frame["SAMPLEID"] = _made_identifiers(frame)
    refuse_lines(
        frame["SAMPLEID"].isna(), "VALUE_MISSING", "a sample without identifier", path.name, "SAMPLEID"
    )
    _check_samples(frame, path.name)
    return _complete_samples(frame).reset_index(drop=True)


def write_plasma(frame: pd.DataFrame, path: str | Path, *, rules=None) -> None:
    """Write the long table of serial plasma so that `read_plasma` gives the same frame again.

    Parameters
    ----------
    frame : DataFrame
        As `read_plasma` returns.
    path : path
        Comma-separated for the ending ``.csv``, tab-separated for any other. Dates are ISO 8601, numbers have
        all their digits, columns and results the plan's first spelling in capitals.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Raises
    ------
    ValueError
        ``TEXT_UNWRITABLE`` for a text with a line break, or a tab in a tab-separated file: it would be
        another row or column when read.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    path = Path(path)
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    words = {result: spellings[0].upper() for result, spellings in _result_words(rules).items()}
    out = pd.DataFrame({ours: _as_text(frame[ours]) for ours in rules.plasma_columns})
    out["RESULT"] = frame["RESULT"].map(words)
    broken = out.apply(lambda column: column.str.contains("\n|\r" + ("|\t" if delimiter == "\t" else "")))
    if broken.to_numpy(bool).any():
        names = sorted(out.columns[broken.any()])
        raise ValueError(f"TEXT_UNWRITABLE: line breaks or tabs in columns {names}; take them out")
    header = [spellings[0].upper() for spellings in rules.plasma_columns.values()]
    with path.open("w", encoding="utf-8", newline="") as file:
        if delimiter == "\t":
            # A tab-separated file has no quoting: a quotation mark is a character as any other.
            file.writelines("\t".join(row) + "\n" for row in [header, *out.to_numpy().tolist()])
        else:
            csv.writer(file, lineterminator="\n").writerows([header, *out.to_numpy().tolist()])


def _as_text(values: pd.Series) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.strftime("%Y-%m-%d").fillna("").astype(object)
    if pd.api.types.is_float_dtype(values):
        return values.map(lambda value: "" if np.isnan(value) else repr(float(value))).astype(object)
    return values.where(values.notna(), "").astype(str)


def _rename(raw: pd.DataFrame, spellings: dict[str, list[str]], file: str) -> pd.DataFrame:
    columns = {}
    for ours, accepted in spellings.items():
        found = [name for name in raw.columns if name.lower() in accepted]
        if len(found) > 1:
            raise FileRefused("COLUMN_TWICE", f"{found} mean the same; keep one", file, 1, found[1])
        if not found and ours in _REQUIRED:
            raise FileRefused("COLUMN_MISSING", f"needs one of {accepted}", file, 1, ours)
        columns[ours] = raw[found[0]] if found else None
    if all(columns[name] is None for name in _WHEN):
        accepted = [word for name in _WHEN for word in spellings[name]]
        raise FileRefused("COLUMN_MISSING", f"needs a date or a study day: one of {accepted}", file, 1, "ADT")
    empty = pd.Series(None, index=raw.index, dtype=object)
    return pd.DataFrame({ours: empty if found is None else found for ours, found in columns.items()})


def _dates(text: pd.Series, file: str) -> pd.Series:
    date = pd.to_datetime(text.astype(object).str.slice(0, 10), format="%Y-%m-%d", errors="coerce")
    # A partial date cannot place a draw in a window; a draw is never given an imputed day.
    malformed = date.isna() & text.notna()
    refuse_lines(malformed, "DATE_MALFORMED", "expected a complete date YYYY-MM-DD", file, "ADT")
    return date.astype("datetime64[ns]")


def _days(frame: pd.DataFrame, file: str) -> pd.Series:
    day = to_number(frame, "ADY", file)
    # A table with a day 0 counts from another day, and then all its days are off by one.
    why = "first dose is day 1 and the day before it day -1; count again without a day 0"
    refuse_lines(day.eq(0), "DAY_ZERO", why, file, "ADY")
    return day


def _result_words(rules) -> dict[str, list[str]]:
    return {
        DETECTED: rules.plasma_detected,
        NOT_DETECTED: rules.plasma_not_detected,
        NOT_ASSESSABLE: rules.plasma_not_assessable,
    }


def _results(text: pd.Series, rules, file: str) -> pd.Series:
    known = {word: result for result, spellings in _result_words(rules).items() for word in spellings}
    plain = text.str.lower().str.replace(r"[\s_-]+", " ", regex=True)
    result = plain.map(known)
    message = (
        f"expected one of {sorted(known)}; add a spelling to biomarkers.plasma_detected, "
        "biomarkers.plasma_not_detected or biomarkers.plasma_not_assessable of the plan"
    )
    refuse_lines(result.isna(), "RESULT_UNKNOWN", message, file, "RESULT", text)
    return result


def _check_limits(frame: pd.DataFrame, rules, file: str) -> None:
    """Refuse a table whose limits are not in the unit of its levels."""
    levels = frame[(frame["RESULT"] == DETECTED) & (frame["VAF"] > 0) & frame["LOD"].notna()]
    below = levels["VAF"] < levels["LOD"]
    # One such row is a question about that row; most of them are another unit.
    if len(levels) >= rules.plasma_lod_unit_rows and below.mean() > rules.plasma_lod_unit_share:
        message = (
            f"{int(below.sum())} of {len(levels)} detected rows have a VAF below their own limit of "
            "detection: the limit is in another unit; give both as fractions 0 to 1 (divide percent by 100)"
        )
        raise FileRefused("PLASMA_LOD_UNIT", message, file, int(levels.index[below][0]), "LOD")


def _made_identifiers(frame: pd.DataFrame) -> pd.Series:
    date = frame["ADT"].dt.strftime("%Y%m%d")
    day = "DAY" + frame["ADY"].map("{:g}".format)
    return frame["USUBJID"] + "-P" + date.where(date.notna(), day)


def _check_samples(frame: pd.DataFrame, file: str) -> None:
    for column in ("USUBJID", "ADT", "ADY", "AVISIT"):
        values = frame[column].str.upper() if column == "AVISIT" else frame[column]
        many = values.groupby(frame["SAMPLEID"]).transform("nunique") > 1
        refuse_lines(many, "SAMPLE_OF_TWO", f"one sample with more than one {column}", file, column)


def _complete_samples(frame: pd.DataFrame) -> pd.DataFrame:
    """Give every row of a sample the date, day and visit that one of its rows names."""
    for column in ("ADT", "ADY", "AVISIT"):
        first = frame.groupby("SAMPLEID")[column].transform("first")
        frame[column] = frame[column].where(frame[column].notna(), first)
    frame["AVISIT"] = frame["AVISIT"].astype(object).where(frame["AVISIT"].notna(), None)
    return frame
