"""ADTTE: PFS and OS from a table of situations read in order, first match wins.

The table is a value of the plan (``clinical.tte_rules``), one for each rule set; here stand only the facts of
a subject and the words the table may use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.clinical.lesions import derive_adtr, start_dates
from analysis.clinical.responses import ADEQUATE, cutoff_dates, derive_adrs, response_parameter

ADTTE_COLUMNS = [
    "STUDYID",
    "USUBJID",
    "PARAMCD",
    "PARAM",
    "STARTDT",
    "ADT",
    "AVAL",
    "AVALM",
    "CNSR",
    "EVNTDESC",
    "CNSDTDSC",
    "SRCDOM",
    "SRCVAR",
    "SRCSEQ",
]
# a flip of one of these changes ADTR or ADRS, not only the endpoint
_UPSTREAM = {"pet_only_progression", "reappearance", "assessment_window_days", "evaluator", "reader"}

Facts = pd.DataFrame

# the words for `situation` in the plan's table
SITUATIONS: dict[str, Callable[[Facts], pd.Series]] = {
    "dead_without_assessment": lambda f: f.death.notna() & f.n_assessments.eq(0) & f.progression.isna(),
    "no_baseline": lambda f: ~f.has_baseline,
    "event_after_missed_visits": lambda f: (f.event - f.last_adequate_before_event).dt.days > f.missed_days,
    "new_therapy_before_event": lambda f: f.therapy.notna() & (f.event.isna() | f.therapy.lt(f.event)),
    "clinical_progression_first": lambda f: f.clinical_progression.eq(f.event) & ~f.progression.eq(f.event),
    "progression_first": lambda f: f.progression.notna() & ~f.death.lt(f.progression),
    "dead": lambda f: f.death.notna(),
    "never_assessed": lambda f: f.last_adequate.isna(),
    "assessed_after_start": lambda f: f.last_valid.gt(f.start),
    "alive_at_cutoff": lambda f: f.cutoff.notna() & f.known_alive.ge(f.cutoff),
    "alive_after_start": lambda f: f.last_alive.gt(f.start),
    "otherwise": lambda f: pd.Series(True, index=f.index),
}

# the words for `date`: where the date comes from (SRCDOM, SRCVAR) and what it is called when it censors
_ASSESSMENT = ("ADRS", "ADT", "Last Tumor Assessment")
DATES: dict[str, tuple[str, str, str]] = {
    "death": ("ADSL", "DTHDT", "Death"),
    "progression": ("ADRS", "ADT", "Disease Progression"),
    "clinical_progression": ("ADRS", "ADT", "Clinical Progression"),
    "last_adequate": _ASSESSMENT,
    "last_adequate_before_event": _ASSESSMENT,
    "last_adequate_before_therapy": _ASSESSMENT,
    "last_valid": _ASSESSMENT,
    "last_valid_before_therapy": _ASSESSMENT,
    "last_alive": ("ADSL", "LSTALVDT", "Alive During Study"),
    "cutoff": ("ADSL", "DCUTDT", "Data Cut-Off"),
}


def derive_adtte(
    adsl: pd.DataFrame,
    adtr: pd.DataFrame,
    adrs: pd.DataFrame,
    plan: plans.Plan | None = None,
    *,
    endpoints: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Derive time to each endpoint of the plan's rule set.

    Parameters
    ----------
    adsl, adtr, adrs : DataFrame
        As derived before. An empty `adtr` (no lesion domains) counts as an adequate baseline.
    plan : Plan, optional
        Sections `clinical` and `design`.
    endpoints : iterable of str, optional
        PARAMCDs of the rule set; default all that are no sensitivity variants (PFS, OS).

    Returns
    -------
    DataFrame
        ADTTE, one row a subject with a time zero (on or before the data cut-off, where one applies) and
        endpoint. AVAL = ADT - STARTDT + 1 days, ADT not before STARTDT; AVALM in months; CNSR 0 = event.
    """
    plan = plan or plans.defaults()
    rules = plan.clinical
    rule_set = rules.tte_rules[rules.endpoint_rules]
    chosen = endpoints or [
        name for name, spec in rule_set["endpoints"].items() if not spec.get("sensitivity")
    ]
    facts = subject_facts(adsl, adtr, adrs, rules)
    pieces = [
        _endpoint(name, rule_set["endpoints"][name], facts, adrs, rules, plan.design.days_per_month)
        for name in chosen
    ]
    adtte = pd.concat(pieces, ignore_index=True)
    adtte["STUDYID"] = adtte.USUBJID.map(adsl.set_index("USUBJID").STUDYID)
    return adtte.sort_values(["USUBJID", "PARAMCD"], ignore_index=True)[ADTTE_COLUMNS]


def derive_adtte_sensitivity(
    sdtm: Mapping[str, pd.DataFrame],
    adsl: pd.DataFrame,
    adtr: pd.DataFrame,
    adrs: pd.DataFrame,
    plan: plans.Plan | None = None,
) -> pd.DataFrame:
    """Derive one PARAMCD for every flipped switch of the plan (``clinical.tte_sensitivity``).

    A flip that changes which lesions or responses count derives ADTR and ADRS anew from `sdtm`. A variant
    whose response is not in the study (reported without RS, derived without TR) has no rows.
    """
    plan = plan or plans.defaults()
    pieces = []
    for name, spec in plan.clinical.tte_sensitivity[plan.clinical.endpoint_rules].items():
        changed = plan.override(spec["changes"])
        lesions, responses = adtr, adrs
        if {key.split(".", 1)[1] for key in spec["changes"]} & _UPSTREAM:
            lesions = derive_adtr(sdtm, adsl, changed)
            responses = derive_adrs(sdtm, lesions, adsl, changed)
        source = {"RSREP": "RS", "OVRLRESP": "TR"}[response_parameter(changed.clinical)]
        if spec["endpoint"] != "OS" and sdtm[source].empty:
            continue
        rows = derive_adtte(adsl, lesions, responses, changed, endpoints=[spec["endpoint"]])
        pieces.append(rows.assign(PARAMCD=name, PARAM=spec["param"]))
    if not any(map(len, pieces)):
        return pd.DataFrame(columns=ADTTE_COLUMNS)
    return pd.concat(pieces, ignore_index=True).sort_values(["USUBJID", "PARAMCD"], ignore_index=True)


def subject_facts(adsl: pd.DataFrame, adtr: pd.DataFrame, adrs: pd.DataFrame, rules) -> pd.DataFrame:
    """Collect what the table of situations asks about a subject; nothing after the cut-off enters.

    Returns
    -------
    DataFrame
        By USUBJID, subjects with a time zero only: dates start, cutoff, progression,
        clinical_progression, death, event (the earliest of these), therapy, last_adequate (all, before
        the event, before new therapy), last_valid, last_alive, known_alive; has_baseline, n_assessments,
        missed_days.
    """
    subjects = adsl.set_index("USUBJID")
    facts = pd.DataFrame({"start": start_dates(adsl, rules), "cutoff": cutoff_dates(adsl, rules)})
    until = lambda dates: dates.where(~dates.gt(facts.cutoff))
    facts["death"] = until(subjects.DTHDT)
    facts["therapy"] = until(subjects.NACTDT)
    facts["last_alive"] = subjects.LSTALVDT
    facts["known_alive"] = subjects[["LSTALVDT", "DTHDT"]].max(axis=1)
    facts["has_baseline"] = _has_baseline(subjects.index, adtr)
    facts["missed_days"] = 2 * (7 * rules.interval_weeks + rules.window_days)
    facts = facts[facts.start.notna() & ~facts.start.gt(facts.cutoff)].rename_axis(None)
    return _add_response_facts(facts, adrs, rules)


def check_pfs_os(adtte: pd.DataFrame, rules) -> tuple[pd.DataFrame, list[str]]:
    """Find subjects whose PFS ends after their OS; rule set `pearl` sets them aside.

    Returns
    -------
    adtte : DataFrame
        Without those subjects under `pearl`, unchanged under `admiralonco`, which allows it.
    list of str
        The subjects, sorted.

    Raises
    ------
    ValueError
        Under `pearl` with ``clinical.strict``.
    """
    wide = adtte.pivot_table(index="USUBJID", columns="PARAMCD", values="AVAL")
    late = sorted(wide.index[wide.PFS.gt(wide.OS)]) if {"PFS", "OS"} <= set(wide) else []
    if not late or rules.endpoint_rules != "pearl":
        return adtte, late
    if rules.strict:
        raise ValueError(
            f"PFS_AFTER_OS: {len(late)} subject(s) with PFS later than OS, first {late[:5]}; query dates"
        )
    return adtte[~adtte.USUBJID.isin(late)].reset_index(drop=True), late


def _has_baseline(subjects: pd.Index, adtr: pd.DataFrame) -> np.ndarray:
    if adtr.empty:
        return np.full(len(subjects), True)
    base = adtr[adtr.AVISITN.eq(0)]
    adequate = base[base.LESTYPE.eq("NON-TARGET") | (base.LESTYPE.eq("TARGET") & base.DIAM_MM.notna())]
    return subjects.isin(adequate.USUBJID)


def _add_response_facts(facts: pd.DataFrame, adrs: pd.DataFrame, rules) -> pd.DataFrame:
    rows = adrs[adrs.PARAMCD.isin([response_parameter(rules), "CLINPD"])].merge(
        facts[["start", "cutoff", "death", "therapy"]], left_on="USUBJID", right_index=True, validate="m:1"
    )
    rows = rows[rows.ADT.ge(rows.start) & ~rows.ADT.gt(rows.cutoff)]
    clinical, rows = rows[rows.PARAMCD.eq("CLINPD")], rows[rows.PARAMCD.ne("CLINPD")]
    facts = facts.copy()
    facts["progression"] = rows[rows.AVALC.eq("PD")].groupby("USUBJID").ADT.min()
    counted = clinical if rules.clinical_progression == "event" else clinical.iloc[:0]
    facts["clinical_progression"] = counted.groupby("USUBJID").ADT.min()
    facts[["progression", "clinical_progression"]] = facts[["progression", "clinical_progression"]].astype(
        "datetime64[ns]"
    )
    facts["event"] = facts[["progression", "clinical_progression", "death"]].min(axis=1)
    facts["n_assessments"] = rows.groupby("USUBJID").size().reindex(facts.index).fillna(0)
    rows = rows.merge(facts[["event"]], left_on="USUBJID", right_index=True, validate="m:1")
    adequate = rows[rows.AVALC.isin(ADEQUATE)]
    earlier = adequate[adequate.AVALC.ne("PD") & ~adequate.ADT.gt(adequate.event)]
    last = {
        "last_valid": rows,
        "last_valid_before_therapy": rows[rows.ADT.le(rows.therapy)],
        "last_adequate": adequate,
        "last_adequate_before_event": earlier,
        "last_adequate_before_therapy": earlier[earlier.ADT.le(earlier.therapy)],
    }
    for name, chosen in last.items():
        facts[name] = chosen.groupby("USUBJID").ADT.max().reindex(facts.index).astype("datetime64[ns]")
    facts["last_adequate_before_event"] = facts.last_adequate_before_event.fillna(facts.start)
    return facts


def _endpoint(
    name: str, spec: Mapping, facts: Facts, adrs: pd.DataFrame, rules, days_per_month: float
) -> pd.DataFrame:
    rows = [row for row in spec["rows"] if not _is_skipped(row, rules)]
    which = np.select([SITUATIONS[row["situation"]](facts).to_numpy() for row in rows], range(len(rows)), -1)
    found = [_apply(row, facts[which == place], rules) for place, row in enumerate(rows)]
    out = pd.concat([piece for piece in found if len(piece)] or [_apply(rows[-1], facts, rules)])
    out = out.assign(PARAMCD=name, PARAM=spec["param"], STARTDT=facts.start)
    out["AVAL"] = (out.ADT - out.STARTDT).dt.days + 1.0
    out["AVALM"] = out.AVAL / days_per_month
    out = out.rename_axis("USUBJID").reset_index()
    out["SRCSEQ"] = _source_sequence(out, adrs, response_parameter(rules))
    return out


def _is_skipped(row: Mapping, rules) -> bool:
    return any(getattr(rules, switch) == value for switch, value in row.get("unless", {}).items())


def _apply(row: Mapping, facts: Facts, rules) -> pd.DataFrame:
    """Build the rows of the subjects one line of the table applies to; no date means time zero."""
    rule_set = rules.tte_rules[rules.endpoint_rules]
    date = (
        facts.start if row["date"] == "start" else facts[row["date"]].where(facts[row["date"]] > facts.start)
    )
    at_start = date.isna() | date.eq(facts.start)
    event = row["cnsr"] == 0
    domain, variable, label = DATES.get(row["date"], ("ADSL", rule_set["start"], ""))
    from_start = at_start & (not event)
    return pd.DataFrame(
        {
            "ADT": date.fillna(facts.start),
            "CNSR": row["cnsr"],
            "EVNTDESC": row["description"],
            "CNSDTDSC": None if event else np.where(at_start, rule_set["start_description"], label),
            "SRCDOM": np.where(from_start, "ADSL", domain),
            "SRCVAR": np.where(from_start, rule_set["start"], variable),
        },
        index=facts.index,
    )


def _source_sequence(rows: pd.DataFrame, adrs: pd.DataFrame, parameter: str) -> np.ndarray:
    numbered = adrs.assign(SRCSEQ=adrs.groupby("USUBJID").cumcount() + 1.0)
    source = numbered[numbered.PARAMCD.isin([parameter, "CLINPD"])].drop_duplicates(
        ["USUBJID", "ADT"], keep="last"
    )
    found = rows[["USUBJID", "ADT"]].merge(
        source[["USUBJID", "ADT", "SRCSEQ"]], how="left", on=["USUBJID", "ADT"], validate="m:1"
    )
    return found.SRCSEQ.where(rows.SRCDOM.eq("ADRS").to_numpy()).to_numpy()
