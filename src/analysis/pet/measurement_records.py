"""Read PET records of SDTM TR: what each measures, in which unit, of which region, on which date, by whom.

A record that cannot be read keeps its row and gets a CODE and a REASON: nothing is dropped here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import pandas as pd

from analysis import contracts
from analysis import plan as plans

MEASUREMENT, FACT, STATE, GONE = "measurement", "fact", "state", "gone"
_VOLUMES = {"MTV": "VOLUME", "TLG": "TLG", "TMTV": "TMTV", "TTLG": "TTLG"}  # METRIC -> of the region as drawn
_TOTALS = ("TMTV", "TTLG", "NLESION")
_FACT_UNITS = {
    "UPTAKEMIN": "min",
    "DOSEMBQ": "MBq",
    "WEIGHTKG": "kg",
    "HEIGHTM": "m",
    "GLUCOSE": "mmol/l",
}
BETWEEN = " ; "
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(T.*)?")
_PLAIN = re.compile(r"(?!.*\d{4})[A-Za-z0-9%/*^. _-]{1,24}")  # what a message may repeat: no dates, no prose


@lru_cache
def _without_rows(table: str) -> pd.DataFrame:
    return contracts.empty(table)


def empty_table(table: str) -> pd.DataFrame:
    """Return the table of that contract without rows; its check runs once a table."""
    return _without_rows(table).copy()


def select_records(tr: pd.DataFrame, tu: pd.DataFrame | None, rules: plans.Section) -> pd.DataFrame:
    """Select the PET records of TR, with the identification of their lesion (TU) beside them.

    Parameters
    ----------
    tr, tu : DataFrame
        SDTM domains as text; columns that are missing are taken as empty.
    rules : Section
        Plan section ``pet`` (`measurements_method*`).

    Returns
    -------
    DataFrame
        One row a PET record, in the order of `tr`: USUBJID STUDYID SEQ LINK GROUP TEST TEXT UNITC DATEC
        DATE HYBRID EVALUATOR READER ACCEPTED NOTDONE WHY ANMETHOD PLACE IDENTITY, CODE and REASON. A record
        without a method has that of its lesion in TU.
    """
    text = {name: _text(tr, f"TR{name}") for name in ("METHOD", "TESTCD", "STAT", "ACPTFL", "ANMETH", "EVAL")}
    rows = pd.DataFrame(
        {
            "USUBJID": tr["USUBJID"],
            "STUDYID": _as_is(tr, "STUDYID"),
            "SEQ": _as_is(tr, "TRSEQ"),
            "LINK": _first(tr, rules.measurements_lesion_columns),
            "GROUP": _text(tr, "TRGRPID"),
            "TEST": text["TESTCD"],
            "DATEC": _as_is(tr, "TRDTC"),
            "EVALUATOR": text["EVAL"],
            "READER": _as_is(tr, "TREVALID"),
            "ACCEPTED": text["ACPTFL"].eq("Y"),
            "NOTDONE": text["STAT"].eq("NOT DONE"),
            "WHY": _as_is(tr, "TRREASND"),
            "ANMETHOD": text["ANMETH"],
        }
    )
    standard = _first(tr, ["TRSTRESN", "TRSTRESC"])
    rows["TEXT"] = standard.fillna(_as_is(tr, "TRORRES"))
    rows["UNITC"] = _as_is(tr, "TRSTRESU").where(standard.notna(), _as_is(tr, "TRORRESU"))
    rows = _add_lesions(rows, tu)
    method = text["METHOD"].where(text["METHOD"].ne(""), rows.pop("TUMETHOD"))
    rows["HYBRID"] = method.map(rules.measurements_methods).eq("hybrid")
    rows["DATE"] = full_dates(rows["DATEC"])
    rows["CODE"], rows["REASON"] = None, None
    known = method.isin(rules.measurements_methods)
    unknown = ~known & has_words(method, [rules.measurements_method_word])
    reason = "its method is none of pet.measurements_methods; add it there if these are FDG scans"
    set_aside(rows, unknown, "PET_METHOD_UNKNOWN", reason)
    return rows[known | unknown].reset_index(drop=True)


def interpret_records(rows: pd.DataFrame, rules: plans.Section) -> pd.DataFrame:
    """Interpret each record: KIND, COLUMN (of a fact), METRIC ROLE LESIONID AVAL UNIT (of a measurement).

    Parameters
    ----------
    rows : DataFrame
        `select_records`; rows with a CODE are left alone.
    rules : Section
        Plan section ``pet`` (`measurements_*`).

    Returns
    -------
    DataFrame
        `rows` with these columns. Codes: MEASUREMENT_NOT_DONE, MEASUREMENT_UNKNOWN,
        REFERENCE_REGION_UNKNOWN, LESION_UNNAMED, DIAMETER_OF_CT, MTV_THRESHOLD_UNKNOWN,
        MEASUREMENT_NOT_NUMERIC, MEASUREMENT_NEGATIVE, MEASUREMENT_ZERO, MEASUREMENT_UNIT.
    """
    rows = rows.copy()
    why = [f": {text.lower()}" if _PLAIN.fullmatch(text or "") else "" for text in rows["WHY"].fillna("")]
    set_aside(rows, rows["NOTDONE"], "MEASUREMENT_NOT_DONE", [f"not done{text}" for text in why])
    rows["COLUMN"] = rows["TEST"].map(rules.measurements_facts)
    rows["METRIC"] = rows["TEST"].map(rules.measurements_tests)
    gone = has_words(rows["TEXT"], rules.measurements_gone_words, whole=True)
    kinds = [rows["COLUMN"].notna(), gone, rows["TEST"].isin(rules.measurements_state_tests)]
    rows["KIND"] = np.select(kinds, [FACT, GONE, STATE], MEASUREMENT)
    measured = rows["KIND"].eq(MEASUREMENT)
    reason = [
        f"test code {_say(test)} is not in pet.measurements_tests; add it there" for test in rows["TEST"]
    ]
    set_aside(rows, measured & rows["METRIC"].isna(), "MEASUREMENT_UNKNOWN", reason)
    _name_regions(rows, rules)
    _name_thresholds(rows, rules)
    anatomic = measured & rows["HYBRID"] & rows["TEST"].isin(rules.measurements_anatomic)
    reason = "a diameter of a hybrid scan is most often the CT's; if it is of the uptake, say so in "
    set_aside(rows, anatomic, "DIAMETER_OF_CT", reason + "pet.measurements_anatomic")
    _read_values(rows, rules)
    return rows


def set_aside(rows: pd.DataFrame, where: pd.Series, code: str, reason: str | Iterable[str]) -> None:
    """Give the records at `where` that have no CODE yet this one, in place."""
    new = where.astype(bool) & rows["CODE"].isna()
    reasons = pd.Series([reason] * len(rows) if isinstance(reason, str) else list(reason), index=rows.index)
    rows.loc[new, "CODE"] = code
    rows.loc[new, "REASON"] = reasons[new]


def full_dates(text: pd.Series) -> pd.Series:
    """Read complete ISO 8601 dates (a time is dropped); NaT where a part is missing or impossible."""
    whole = text.where(text.astype("string").str.fullmatch(_DAY.pattern).fillna(False).astype(bool))
    return pd.to_datetime(whole.astype("string").str[:10], format="%Y-%m-%d", errors="coerce")


def has_words(text: pd.Series, words: Iterable[str], *, whole: bool = False) -> pd.Series:
    """Tell which texts hold one of `words` between word borders, or are one of them (`whole`)."""
    plain = text.astype("string").str.upper().str.strip().fillna("")
    if whole:
        return plain.isin(list(words)).astype(bool)
    pattern = "|".join(re.escape(word) for word in words) or r"\b\B"  # no words: nothing matches
    return plain.str.contains(rf"(?<![A-Z])(?:{pattern})(?![A-Z])", regex=True).astype(bool)


def _add_lesions(rows: pd.DataFrame, tu: pd.DataFrame | None) -> pd.DataFrame:
    """Add PLACE, IDENTITY and TUMETHOD of the lesion in TU; several values are joined, a method is not."""
    blank = {"PLACE": "", "IDENTITY": "", "TUMETHOD": ""}
    if tu is None or tu.empty:
        return rows.assign(**blank)
    facts = pd.DataFrame(
        {
            "USUBJID": tu["USUBJID"],
            "LINK": _as_is(tu, "TULNKID"),
            "PLACE": _text(tu, "TULOC"),
            "IDENTITY": _first(tu, ["TUSTRESC", "TUORRES"]).fillna("").str.upper(),
            "TUMETHOD": _text(tu, "TUMETHOD"),
        }
    ).dropna(subset=["USUBJID", "LINK"])
    joined = facts.groupby(["USUBJID", "LINK"], as_index=False).agg(
        {"PLACE": _join_distinct, "IDENTITY": _join_distinct, "TUMETHOD": _only}
    )
    found = rows.merge(joined, on=["USUBJID", "LINK"], how="left", validate="many_to_one")
    return found.fillna(blank).set_axis(rows.index)


def _name_regions(rows: pd.DataFrame, rules: plans.Section) -> None:
    """Say of what each measurement is: a lesion, a reference region, or the whole body."""
    labels = rows["GROUP"] + " ; " + rows["LINK"].fillna("") + " ; " + rows["IDENTITY"]
    said = labels + " ; " + rows["PLACE"]
    regional = rows["KIND"].isin([MEASUREMENT, GONE, STATE])
    names = rows["LINK"].fillna("").str.upper().isin(list(rules.measurements_regions))
    # A location alone can be of a lesion ("liver, next to normal tissue"); without other words it is vague.
    reference = has_words(labels, rules.measurements_reference_words) | names
    vague = ~reference & _only_reference(rows["PLACE"], rules)
    total = rows["METRIC"].isin(_TOTALS) | (~reference & has_words(labels, rules.measurements_total_words))
    found = {role: has_words(said, words) for role, words in rules.measurements_regions.items()}
    single = sum(hit.astype(int) for hit in found.values()).eq(1)
    role = pd.Series(np.select(list(found.values()), list(found), ""), index=rows.index)
    reason = (
        "called a reference region, but not which of pet.measurements_regions; name it in TRGRPID or TULOC"
    )
    set_aside(rows, regional & reference & ~single & ~total, "REFERENCE_REGION_UNKNOWN", reason)
    reason = "its location alone calls it a reference region; say so in TRGRPID, or correct TULOC"
    set_aside(rows, regional & vague & ~total, "REFERENCE_REGION_UNKNOWN", reason)
    rows["ROLE"] = np.select([total, reference, vague], ["TOTAL", role, ""], "LESION")
    rows["LESIONID"] = rows["ROLE"].where(rows["ROLE"].ne("LESION"), rows["LINK"])
    unnamed = regional & rows["ROLE"].eq("LESION") & rows["LESIONID"].isna()
    set_aside(rows, unnamed, "LESION_UNNAMED", "no TRLNKID says of which lesion; send it")
    whole = rows["ROLE"].eq("TOTAL") & rows["KIND"].eq(MEASUREMENT)
    rows["METRIC"] = rows["METRIC"].mask(
        whole & _begins(rows["METRIC"], "MTV", "TLG"), "T" + rows["METRIC"].astype(str)
    )
    strange = whole & ~_begins(rows["METRIC"], *_TOTALS)
    set_aside(rows, strange, "MEASUREMENT_UNKNOWN", "this quantity has no meaning for the whole body")


def _only_reference(places: pd.Series, rules: plans.Section) -> pd.Series:
    """Tell which locations consist of words of reference regions alone, such as MEDIASTINAL BLOOD POOL."""
    words = rules.measurements_reference_words
    phrases = [*words, *(word for names in rules.measurements_regions.values() for word in names)]
    known = {part for phrase in phrases for part in phrase.split()}
    alone = places.map(lambda place: set(re.findall(r"[A-Z]+", place)) <= known)
    return alone & has_words(places, words)


def name_kinds(rows: pd.DataFrame, rules: plans.Section) -> pd.Series:
    """Name what each record of `select_records` is of: lesion, reference, total or fact (of the scan)."""
    read = interpret_records(rows, rules)
    kinds = [read["KIND"].eq(FACT), read["ROLE"].eq("LESION"), read["ROLE"].eq("TOTAL")]
    return pd.Series(np.select(kinds, ["fact", "lesion", "total"], "reference"), index=rows.index)


def _name_thresholds(rows: pd.DataFrame, rules: plans.Section) -> None:
    """Complete MTV and TLG by how the region was delineated, which the record or the plan says."""
    open_ended = rows["METRIC"].isin(_VOLUMES) & rows["KIND"].eq(MEASUREMENT)
    said = rows["ANMETHOD"].map(rules.measurements_thresholds).where(rows["ANMETHOD"].ne(""))
    assumed = rules.measurements_threshold or None
    threshold = said.where(rows["ANMETHOD"].ne(""), assumed)
    reason = (
        "neither TRANMETH nor pet.measurements_threshold says how the region was delineated; ask the centre"
    )
    set_aside(rows, open_ended & threshold.isna(), "MTV_THRESHOLD_UNKNOWN", reason)
    drawn = rows["METRIC"].map(_VOLUMES)
    complete = drawn.where(
        threshold.eq("DRAWN"), rows["METRIC"].astype(str) + threshold.fillna("").astype(str)
    )
    rows["METRIC"] = rows["METRIC"].mask(open_ended & threshold.notna(), complete)


def _read_values(rows: pd.DataFrame, rules: plans.Section) -> None:
    """Read AVAL in UNIT: numbers only, in a unit of the plan, and none that means something else."""
    number = rows["KIND"].isin([MEASUREMENT, FACT])
    value = pd.to_numeric(rows["TEXT"], errors="coerce").astype(float)
    value = value.where(np.isfinite(value))
    rows["UNIT"] = [_unit_of(metric, column) for metric, column in zip(rows["METRIC"], rows["COLUMN"])]
    factors = [
        rules.measurements_units.get(unit or "", {}).get(_plain_unit(written), np.nan)
        for unit, written in zip(rows["UNIT"], rows["UNITC"])
    ]
    rows["AVAL"] = (value * np.array(factors, float)).where(number)
    set_aside(rows, number & value.isna(), "MEASUREMENT_NOT_NUMERIC", "a number expected; ask the centre")
    set_aside(rows, number & value.lt(0), "MEASUREMENT_NEGATIVE", "a negative value; ask the centre")
    uptake = _begins(rows["METRIC"], "SUV", "SUL") & ~rows["METRIC"].isin(["SUVSD", "SULSD"])
    reason = (
        "an uptake of 0 is no measurement; a lesion that is gone is called so (pet.measurements_gone_words)"
    )
    set_aside(rows, number & uptake & value.eq(0), "MEASUREMENT_ZERO", reason)
    reason = [
        f"unit {_say(written)} for {unit}; add it with its factor to pet.measurements_units"
        for unit, written in zip(rows["UNIT"], rows["UNITC"])
    ]
    set_aside(rows, number & np.isnan(factors), "MEASUREMENT_UNIT", reason)


def _unit_of(metric: str | None, column: str | None) -> str | None:
    if isinstance(column, str):
        return _FACT_UNITS.get(column)
    if not isinstance(metric, str):
        return None
    if metric.startswith(("SUV", "SUL")):
        return "g/ml"
    if metric.startswith(("MTV", "TMTV", "VOL")):
        return "ml"
    return {"TLG": "g", "TTL": "g", "LON": "mm"}.get(metric[:3], "1")


def _begins(metrics: pd.Series, *starts: str) -> pd.Series:
    return metrics.map(lambda name: isinstance(name, str) and name.startswith(starts)).astype(bool)


def _plain_unit(written: object) -> str:
    return written.strip().lower().replace("^", "") if isinstance(written, str) else ""


def _say(text: object) -> str:
    """Return a short technical text in quotes; prose and long numbers may tell who or when."""
    if not isinstance(text, str) or not text.strip():
        return "nothing"
    return repr(text) if _PLAIN.fullmatch(text) else "another text"


def _as_is(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame:
        return pd.Series(None, index=frame.index, dtype=object)
    text = frame[name].map(lambda value: None if pd.isna(value) else str(value).strip())
    return text.astype(object).replace("", None)


def _text(frame: pd.DataFrame, name: str) -> pd.Series:
    return _as_is(frame, name).fillna("").astype(str).str.upper()


def _first(frame: pd.DataFrame, names: Iterable[str]) -> pd.Series:
    found = pd.Series(None, index=frame.index, dtype=object)
    for name in names:
        found = found.where(found.notna(), _as_is(frame, name))
    return found


def _join_distinct(values: pd.Series) -> str:
    return BETWEEN.join(dict.fromkeys(value for value in values if value))


def _only(values: pd.Series) -> str:
    found = set(values) - {""}
    return found.pop() if len(found) == 1 else ""
