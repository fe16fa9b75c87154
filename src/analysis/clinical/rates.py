"""Response rates with exact intervals, and duration of response.

Sources: Eisenhauer et al. 2009, Eur J Cancer 45:228-247 (best and duration of response); Clopper and Pearson,
Biometrika 1934;26:404-13 (interval).
"""

from __future__ import annotations

import pandas as pd

from analysis import contracts
from analysis import plan as plans
from analysis.clinical.lesions import start_dates
from analysis.clinical.recist import baseline_targets
from analysis.clinical.responses import (
    ADEQUATE,
    best_response,
    cutoff_dates,
    first_response,
    observed_responses,
    response_parameter,
    until_progression,
)
from analysis.survival import proportion

_SOURCES = {"OVRLRESP": "derived", "RSREP": "reported"}
_RESPONSE = ("CR", "PR")
_STABLE = ("SD", "NON-CR/NON-PD")
_POPULATIONS = ("TREATED", "MEASURABLE", "EVALUABLE")
_DURATIONS = {"BOR": "Duration of Response", "CBOR": "Duration of Confirmed Response"}


def response_rates(
    adrs: pd.DataFrame, adtr: pd.DataFrame, adsl: pd.DataFrame, plan: plans.Plan | None = None
) -> pd.DataFrame:
    """Estimate the response rates in each population of the plan, with exact intervals.

    ORR: best overall response CR or PR. CORR: confirmed best response CR or PR. DCR: best response CR, PR, SD
    or NON-CR/NON-PD. CBR: clinical benefit, see `has_clinical_benefit`. A best response of NE or MISSING is
    no response and stays in the denominator.

    TREATED: time zero on or before the data cut-off. MEASURABLE: those with a measured target lesion at
    baseline. EVALUABLE: those of MEASURABLE with an adequate response (not NE) after time zero. Unlike the
    first two, EVALUABLE is chosen by what happened after time zero and reads too high.

    Parameters
    ----------
    adrs, adtr, adsl : DataFrame
        As derived before; only responses up to the cut-off, and to a new therapy where the plan censors it,
        count (`observed_responses`).
    plan : Plan, optional
        Section `clinical`: response_populations, interval_alpha, and the rules of best response.

    Returns
    -------
    DataFrame
        Contract ``response_rates``: one row a rate, source (the plan's, then the other one where the study
        has it) and population. A population without subjects has no estimate and the limits 0 and 1.

    Raises
    ------
    ValueError
        ``RESPONSE_POPULATION_UNKNOWN``: the plan names a population that is none of the three.
    """
    plan = plan or plans.defaults()
    unknown = sorted(set(plan.clinical.response_populations) - set(_POPULATIONS))
    if unknown:
        raise ValueError(
            f"RESPONSE_POPULATION_UNKNOWN: clinical.response_populations names {unknown}; "
            f"use {', '.join(_POPULATIONS)}"
        )
    rows = []
    for rules in _rules_by_source(adrs, plan):
        subjects = _populations(adrs, adtr, adsl, rules).join(_response_flags(adrs, adsl, rules))
        source = _SOURCES[response_parameter(rules)]
        rows += [_rate(subjects, name, words, source, population, rules)
                 for name, words in _rate_names(rules).items()
                 for population in rules.response_populations]  # fmt: skip
    return contracts.check("response_rates", pd.DataFrame(rows))


def has_clinical_benefit(responses: pd.DataFrame, start: pd.Series, rules) -> pd.Series:
    """Tell which subjects had clinical benefit: a response, or no progression for long enough.

    A CR or PR at any time before the first PD; or an assessment of SD or NON-CR/NON-PD at least
    ``clinical_benefit_weeks`` (less one visit window, ``window_days``, but not less than ``sd_min_days``)
    after time zero, with no PD on or before it. What was not assessed does not count: a subject in whom an
    early SD is followed by a PD, a new therapy, a death or the cut-off has no benefit, however late that is.
    A death after the deciding assessment changes nothing.

    Parameters
    ----------
    responses : DataFrame
        USUBJID, ADT, AVALC, as `observed_responses` selects them.
    start : Series
        Time zero by USUBJID.
    rules : Section
        ``clinical`` of the plan.

    Returns
    -------
    Series of bool
        On the index of `start`.

    References
    ----------
    CR, PR or SD of 24 weeks: plan value ``clinical_benefit_weeks``. Counted at the assessment, as
    ``derive_param_clinbenefit`` of admiralonco does; Eisenhauer 2009 would count SD up to the date of PD,
    which an event after missed visits lengthens.
    """
    rows = until_progression(responses)
    days = (rows.ADT - rows.USUBJID.map(start).astype("datetime64[ns]")).dt.days
    least = max(7 * rules.clinical_benefit_weeks - rules.window_days, rules.sd_min_days)
    benefit = rows.AVALC.isin(_RESPONSE) | (rows.AVALC.isin(_STABLE) & days.ge(least))
    return pd.Series(start.index.isin(rows.USUBJID[benefit]), index=start.index)


def duration_of_response(
    adtte: pd.DataFrame, adrs: pd.DataFrame, adsl: pd.DataFrame, plan: plans.Plan | None = None
) -> pd.DataFrame:
    """Derive the duration of response of responders: from the first response to the end of their PFS.

    The subject's PFS row gives the event (progression or death) or the censoring, so that both endpoints
    follow one set of rules; its date is not before the first response. Never compare responders with
    non-responders by it: the first live until they respond.

    Parameters
    ----------
    adtte : DataFrame
        As derived, with PARAMCD PFS; a subject without that row (set aside) has no duration.
    adrs, adsl : DataFrame
        As derived.
    plan : Plan, optional
        Section `clinical`: response_durations names each PARAMCD and the best response that makes a responder
        (BOR: first CR or PR; CBOR: first CR or PR that is confirmed).

    Returns
    -------
    DataFrame
        ADTTE, one row a responder and PARAMCD; STARTDT = first response, AVAL = ADT - STARTDT + 1 days.
        Empty, with the same columns and types, where nobody responded.

    Raises
    ------
    ValueError
        ``RESPONSE_DURATION_UNKNOWN``: the plan names a best response that is neither BOR nor CBOR.

    References
    ----------
    Eisenhauer 2009: from the time the criteria of CR or PR, whichever is first, are met until progression.
    """
    plan = plan or plans.defaults()
    rules = plan.clinical
    unknown = sorted(set(rules.response_durations.values()) - set(_DURATIONS))
    if unknown:
        raise ValueError(
            f"RESPONSE_DURATION_UNKNOWN: clinical.response_durations names {unknown}; use BOR or CBOR"
        )
    used = observed_responses(adrs, adsl, rules)
    pfs = adtte[adtte.PARAMCD.eq("PFS")]
    pieces = [
        _duration(pfs, first_response(used, rules, confirmed=best == "CBOR"), plan.design.days_per_month)
        .assign(PARAMCD=name, PARAM=_DURATIONS[best])
        for name, best in rules.response_durations.items()
    ]  # fmt: skip
    found = [piece for piece in pieces if len(piece)]
    if not found:
        return contracts.empty("adtte")
    rows = pd.concat(found).sort_values(["USUBJID", "PARAMCD"], ignore_index=True)
    return contracts.check("adtte", rows)


def _rules_by_source(adrs: pd.DataFrame, plan: plans.Plan) -> list:
    """Return section `clinical` of the plan, and that of the other response source if the study has it."""
    other = {"derived": "reported", "reported": "derived"}[plan.clinical.response_source]
    changed = plan.override({"clinical.response_source": other}).clinical
    names = [response_parameter(rules) for rules in (plan.clinical, changed)]
    exists = names[1] != names[0] and adrs.PARAMCD.eq(names[1]).any()
    return [plan.clinical, changed] if exists else [plan.clinical]


def _rate_names(rules) -> dict[str, str]:
    return {
        "ORR": "Objective response rate (best response CR or PR)",
        "CORR": "Confirmed objective response rate (confirmed best response CR or PR)",
        "DCR": "Disease control rate (best response CR, PR, SD or NON-CR/NON-PD)",
        "CBR": "Clinical benefit rate (CR or PR, or without progression at "
               f"{rules.clinical_benefit_weeks:g} weeks)",
    }  # fmt: skip


def _populations(adrs: pd.DataFrame, adtr: pd.DataFrame, adsl: pd.DataFrame, rules) -> pd.DataFrame:
    start = start_dates(adsl, rules)
    subjects = pd.DataFrame({"TREATED": start.notna() & ~start.gt(cutoff_dates(adsl, rules))})
    subjects["MEASURABLE"] = subjects.TREATED & subjects.index.isin(baseline_targets(adtr).USUBJID)
    seen = observed_responses(adrs, adsl, rules)
    seen = seen[seen.AVALC.isin(ADEQUATE) & seen.ADT.gt(seen.USUBJID.map(start).astype("datetime64[ns]"))]
    subjects["EVALUABLE"] = subjects.MEASURABLE & subjects.index.isin(seen.USUBJID)
    return subjects


def _response_flags(adrs: pd.DataFrame, adsl: pd.DataFrame, rules) -> pd.DataFrame:
    used = observed_responses(adrs, adsl, rules)
    start = start_dates(adsl, rules).dropna()
    best, confirmed = (
        best_response(used, start, rules, confirmed=flag).set_index("USUBJID").AVALC for flag in (False, True)
    )
    flags = {
        "ORR": best.isin(_RESPONSE),
        "CORR": confirmed.isin(_RESPONSE),
        "DCR": best.isin(_RESPONSE + _STABLE),
        "CBR": has_clinical_benefit(used, start, rules),
    }
    return pd.DataFrame(flags)


def _rate(subjects: pd.DataFrame, name: str, words: str, source: str, population: str, rules) -> dict:
    members = subjects[subjects[population]]
    intervals = proportion(int(members[name].sum()), len(members), alpha=rules.interval_alpha)
    exact = intervals[intervals.method.eq("clopper_pearson")].iloc[0]
    return {
        "PARAMCD": name,
        "PARAM": words,
        "SOURCE": source,
        "POPULATION": population,
        "N_RESPONSE": exact.successes,
        "N": exact.n,
        "ESTIMATE": exact.estimate,
        "LOWER": exact.lower,
        "UPPER": exact.upper,
        "LEVEL": 1 - rules.interval_alpha,
        "METHOD": exact.method,
    }


def _duration(pfs: pd.DataFrame, first: pd.Series, days_per_month: float) -> pd.DataFrame:
    rows = pfs[pfs.USUBJID.isin(first.index)].copy()
    rows["STARTDT"] = rows.USUBJID.map(first).astype("datetime64[ns]")
    rows["ADT"] = rows[["ADT", "STARTDT"]].max(axis=1)
    rows["AVAL"] = (rows.ADT - rows.STARTDT).dt.days + 1.0
    rows["AVALM"] = rows.AVAL / days_per_month
    return rows


def add_durations(
    adtte: pd.DataFrame, adrs: pd.DataFrame, adsl: pd.DataFrame, plan: plans.Plan | None = None
) -> pd.DataFrame:
    """Return `adtte` with the rows of `duration_of_response`, sorted by subject and endpoint."""
    rows = duration_of_response(adtte, adrs, adsl, plan)
    joined = pd.concat([adtte, rows], ignore_index=True) if len(rows) else adtte
    return joined.sort_values(["USUBJID", "PARAMCD"], ignore_index=True)
