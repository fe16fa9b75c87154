"""One endpoint of one rule set: the table of situations applied to the facts, first match wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from analysis import contracts
from analysis import plan as plans
from analysis.clinical.facts import CLINICAL_PROGRESSION, Records, subject_facts
from analysis.clinical.responses import response_parameter
from analysis.clinical.rule_words import DATES, EVENTS, SITUATIONS, START, Facts, rows_in_force

ADTTE_COLUMNS = contracts.columns("adtte")


def derive_endpoint(name: str, records: Records, plan: plans.Plan) -> pd.DataFrame:
    """Derive one endpoint of the plan's rule set: the columns of ADTTE, in the order of ADSL."""
    rules = plan.clinical
    rule_set = rules.tte_rules[rules.endpoint_rules]
    rows = rows_in_force(rule_set["endpoints"][name]["rows"], rules)
    facts = subject_facts(records, rules, event_dates(rows))
    answers = [SITUATIONS[row["situation"]].test(facts).to_numpy(dtype=bool) for row in rows]
    chosen = np.select(answers, range(len(rows)), -1)
    out = _fill(rows, chosen, facts, rule_set)
    out["SRCSEQ"] = _source_sequence(rows, chosen, facts, out, records.responses, response_parameter(rules))
    out["PARAMCD"], out["PARAM"] = name, rule_set["endpoints"][name]["param"]
    out["AVAL"] = (out.ADT - out.STARTDT).dt.days + 1.0
    out["AVALM"] = out.AVAL / plan.design.days_per_month
    out["USUBJID"] = facts.index
    out["STUDYID"] = records.adsl.STUDYID.to_numpy()[facts.place]
    return out[ADTTE_COLUMNS]


def event_dates(rows: Iterable[Mapping]) -> list[str]:
    """Return the facts that count as an event under `rows`: those its event rows are dated at."""
    return list(dict.fromkeys(EVENTS[row["date"]] for row in rows if row["cnsr"] == 0))


def _fill(rows: list[Mapping], chosen: np.ndarray, facts: Facts, rule_set: Mapping) -> pd.DataFrame:
    """Take date, words and source of each subject from the row that applies; no date means time zero."""
    start = facts.start.to_numpy().astype("datetime64[ns]")
    date = start.copy()
    text = {
        name: np.full(len(facts), None, dtype=object) for name in ("EVNTDESC", "CNSDTDSC", "SRCDOM", "SRCVAR")
    }
    cnsr = np.zeros(len(facts), dtype="int64")
    for place, row in enumerate(rows):
        here = chosen == place
        found = start if row["date"] == START else facts[row["date"]].to_numpy().astype("datetime64[ns]")
        _refuse_undated(row, here & np.isnat(found))
        later = here & (found > start)
        date[later] = found[later]
        cnsr[here] = row["cnsr"]
        text["EVNTDESC"][here] = row["description"]
        floored = here & ~later if row["cnsr"] else np.zeros(len(facts), dtype=bool)
        named = here & ~floored
        text["SRCDOM"][floored], text["SRCVAR"][floored] = "ADSL", rule_set["start"]
        text["CNSDTDSC"][floored] = rule_set["start_description"]
        if row["date"] != START:
            source = DATES[row["date"]]
            text["SRCDOM"][named], text["SRCVAR"][named] = source.domain, source.variable
            text["CNSDTDSC"][named] = source.label if row["cnsr"] else None
    return pd.DataFrame({"STARTDT": start, "ADT": date, "CNSR": cnsr, **text})


def _refuse_undated(row: Mapping, undated: np.ndarray) -> None:
    if row["cnsr"] == 0 and undated.any():
        raise plans.PlanError(
            f"NO_EVENT_DATE: the row {row['situation']!r} gives {int(undated.sum())} subject(s) an event "
            f"dated at {row['date']!r}, which they do not have; date it at what the situation asks for"
        )


def _source_sequence(rows, chosen, facts, out, responses, parameter) -> np.ndarray:
    """Find the record of ADRS each date came from: its place within the subject."""
    found = np.full(len(facts), np.nan)
    for place, row in enumerate(rows):
        here = (chosen == place) & out.SRCDOM.eq("ADRS").to_numpy()
        if not here.any():
            continue
        source = CLINICAL_PROGRESSION if row["date"] == "clinical_progression" else parameter
        date = facts[DATES[row["date"]].record or row["date"]].to_numpy().astype("datetime64[ns]")
        found[here] = responses[source].find(facts.place.to_numpy()[here], date[here])
    return found
