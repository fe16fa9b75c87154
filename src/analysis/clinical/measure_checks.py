"""Data checks of measurements: units, numbers, words, what is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.clinical import lesions
from analysis.clinical.checks import (
    Evidence,
    column,
    day,
    found_in,
    list_rows,
    phrase,
    query,
)
from analysis.clinical.domain_checks import repeated
from analysis.clinical.lesion_checks import lesion_types
from analysis.clinical.recist import state_of
from analysis.clinical.terms import by_value, has_word, is_word, number_groups, to_number, upper

_TESTS = ("LDIAM", "SAXIS", "DIAMETER", "DIAM")


def measured(e: Evidence) -> pd.DataFrame:
    """Return the diameters of TR: TEST, TEXT, UNIT (as counted), WRITTEN, MM, ADT, LESION, KIND, NODE.

    WRITTEN is the diameter in mm as it stands, MM what counts (`lesions.diameter_mm`), LESION a number.
    """
    return e.keep("diameters", lambda: _read_diameters(e))


def _read_diameters(e: Evidence) -> pd.DataFrame:
    tr = e.reads("TR")
    test = upper(tr.TRTESTCD)
    wanted = test.isin(_TESTS).fillna(False).to_numpy(dtype=bool)
    tr, test = tr[wanted], test[wanted]
    standard = tr.TRSTRESN.fillna(tr.TRSTRESC)
    number = pd.factorize(number_groups(tr.USUBJID, tr.TRLNKID))[0]
    facts = _facts(e, tr[["USUBJID", "TRLNKID"]][~pd.Series(number).duplicated().to_numpy()])
    return pd.DataFrame(
        {
            **{name: column(tr, name) for name in ("USUBJID", "TRSEQ", "TRLNKID", "TRDTC", "TRMETHOD")},
            "TEST": test.astype(object),
            "TEXT": standard.fillna(tr.TRORRES),
            "UNIT": upper(tr.TRSTRESU.where(standard.notna(), tr.TRORRESU)).astype(object),
            "WRITTEN": lesions.written_mm(tr).mask(is_word(tr.TRSTAT, ["NOT DONE"])),
            "MM": lesions.diameter_mm(tr, e.rules),
            "ADT": e.when("TR").loc[tr.index],
            "LESION": number,
            "KIND": facts.KIND.to_numpy()[number],
            "NODE": facts.NODE.to_numpy()[number],
        }
    )


def _facts(e: Evidence, once: pd.DataFrame) -> pd.DataFrame:
    tu = e.reads("TU")
    known = pd.DataFrame({"USUBJID": tu.USUBJID, "TRLNKID": tu.TULNKID, "KIND": lesion_types(e)})
    known["NODE"] = has_word(tu.TULOC, e.rules.node_words)
    known = known.dropna(subset="TRLNKID").drop_duplicates(["USUBJID", "TRLNKID"])
    facts = once[["USUBJID", "TRLNKID"]].merge(known, how="left", on=["USUBJID", "TRLNKID"], validate="m:1")
    return facts.assign(NODE=facts.NODE.eq(True))


# --- units and numbers --------------------------------------------------------------------------------------


@query(
    "UNIT_UNKNOWN",
    "error",
    "a diameter in a unit that is neither mm nor cm",
    "give the diameter in mm or cm; it is missing until then",
)
def _unknown_unit(e: Evidence) -> pd.DataFrame:
    rows = measured(e)
    rows = rows[(rows.UNIT.notna() & ~rows.UNIT.isin(["MM", "CM"])).to_numpy(dtype=bool)]
    return found_in("TR", rows, "lesion {}: diameter {} in unit {}", rows.TRLNKID, rows.TEXT, rows.UNIT)


@query("UNIT_MISSING", "warning", "a diameter without a unit", "give the unit; the diameter is taken as mm")
def _no_unit(e: Evidence) -> pd.DataFrame:
    rows = measured(e)
    rows = rows[rows.UNIT.isna()]
    rows = rows[to_number(rows.TEXT).gt(0)]
    return found_in("TR", rows, "lesion {}: diameter {} without a unit", rows.TRLNKID, rows.TEXT)


def _unreadable(text: pd.Series, rules) -> pd.Series:
    words = text.astype("string").str.upper().str.contains("TOO SMALL").fillna(False).astype(bool)
    state = state_of(text, rules)
    return text.notna() & to_number(text).isna() & ~words & ~state.eq("ABSENT") & state.notna()


@query(
    "DIAMETER_NOT_A_NUMBER",
    "error",
    "a diameter that is no number and says neither absent, too small nor not evaluable",
    "give one number, with a point, and the unit in its own column; it is missing until then",
)
def _not_a_number(e: Evidence) -> pd.DataFrame:
    rows = measured(e)
    rows = rows[by_value(rows.TEXT, lambda v: _unreadable(v, e.rules))]
    return found_in("TR", rows, "lesion {}: diameter {}", rows.TRLNKID, rows.TEXT)


@query(
    "DIAMETER_NEGATIVE",
    "error",
    "a diameter below 0 mm",
    "correct the diameter; it is missing until then",
)
def _negative(e: Evidence) -> pd.DataFrame:
    rows = measured(e)
    rows = rows[rows.WRITTEN.lt(0)]
    return found_in("TR", rows, "lesion {}: diameter {:g} mm", rows.TRLNKID, rows.WRITTEN)


@query(
    "DIAMETER_IMPLAUSIBLE",
    "warning",
    "a diameter above 0 that no lesion on a scan has",
    f"check the diameter and its unit; above {lesions.LARGEST_MM:.0f} mm it is missing until then",
)
def _implausible(e: Evidence) -> pd.DataFrame:
    rows = measured(e)
    low, high = e.rules.diameter_range_mm
    size = rows.WRITTEN.where(rows.WRITTEN.gt(lesions.LARGEST_MM), rows.MM)
    rows, size = (values[size.gt(0) & ~size.between(low, high)] for values in (rows, size))
    unit = rows.UNIT.astype(object).fillna("no unit")
    return found_in("TR", rows, "lesion {}: {} ({}) is {:g} mm", rows.TRLNKID, rows.TEXT, unit, size)


@query(
    "DIAMETER_JUMP",
    "warning",
    "a diameter that grows or falls so much between two scans that a unit was likely mistaken",
    "check the unit (mm or cm) of both diameters",
)
def _jump(e: Evidence) -> pd.DataFrame:
    every = measured(e)
    small = by_value(every.TEXT, lambda v: has_word(v, ["TOO SMALL"]))
    sized = np.flatnonzero(every.MM.gt(0) & every.ADT.notna() & ~small)
    series = number_groups(every.LESION, every.TEST)[sized]
    order = np.lexsort((every.ADT.to_numpy()[sized], series))
    place, series = sized[order], series[order]
    mm, factor = every.MM.to_numpy()[place], e.rules.diameter_jump_factor
    change = mm[1:] / mm[:-1]
    odd = np.flatnonzero((series[1:] == series[:-1]) & ((change >= factor) | (change <= 1 / factor)))
    rows, before = every.iloc[place[odd + 1]], every.iloc[place[odd]]
    text = "lesion {}: {:g} mm on {} after {:g} mm on {}"
    return found_in("TR", rows, text, rows.TRLNKID, rows.MM, day(rows.ADT), before.MM, day(before.ADT))


@query(
    "MEASURED_TWICE",
    "warning",
    "two diameters of one kind for one lesion and day",
    "keep one record; the last one with a number stands",
)
def _twice(e: Evidence) -> pd.DataFrame:
    rows = measured(e)
    rows = rows[rows.TRLNKID.notna()]
    key = ["LESION", "TEST", "TRDTC"]
    rows = rows[repeated(rows, key, keep=False)]
    rows = rows.drop_duplicates([*key, "TEXT", "UNIT"])  # what is a plain copy is RECORD_TWICE
    rows = rows[rows.duplicated(key, keep=False)]
    both = rows.groupby(["USUBJID", "TRLNKID", *key], dropna=False, as_index=False).agg(
        TEXT=("TEXT", lambda found: " and ".join(sorted(found.fillna("empty"))))
    )
    text = phrase("{} on {}: {}", both.TEST, both.TRDTC.fillna("no date"), both.TEXT)
    return list_rows(both, "TR", phrase("TRLNKID {}", both.TRLNKID), text)


@query(
    "RESULT_MISSING",
    "warning",
    "a lesion record without a result that is not marked as not done",
    "give the result, or TRSTAT NOT DONE with a reason",
)
def _no_result(e: Evidence) -> pd.DataFrame:
    tr = e.reads("TR")
    rows = tr[tr.TRSTRESN.isna() & tr.TRSTRESC.isna() & tr.TRORRES.isna()]
    rows = rows[upper(rows.TRSTAT).ne("NOT DONE").fillna(True)]
    return found_in("TR", rows, "lesion {}: {} of {} is empty", rows.TRLNKID, rows.TRTESTCD, rows.TRDTC)


@query(
    "STATE_UNKNOWN",
    "warning",
    "a lesion state in words that no rule knows",
    "use PRESENT, ABSENT, EQUIVOCAL, UNEQUIVOCAL PROGRESSION or NOT EVALUABLE; it is read as present",
)
def _unknown_state(e: Evidence) -> pd.DataFrame:
    tr = e.reads("TR")
    rows = tr[upper(tr.TRTESTCD).eq("TUMSTATE").fillna(False).to_numpy(dtype=bool)]
    text = rows.TRSTRESC.fillna(rows.TRORRES)
    odd = by_value(text, lambda v: state_of(v, e.rules).eq("PRESENT") & ~has_word(v, e.rules.present_words))
    return found_in("TR", rows[odd], "lesion {} is {}", rows.TRLNKID[odd], text[odd])
