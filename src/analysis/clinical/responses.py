"""ADRS: responses derived from lesions, responses reported in RS beside them, best overall response."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.clinical.dates import impute_dates
from analysis.clinical.lesions import select_reads, start_dates
from analysis.clinical.recist import derive_responses
from analysis.clinical.subjects import assessment_dates
from analysis.clinical.terms import is_word, to_number, upper

ADRS_COLUMNS = ["STUDYID", "USUBJID", "ASEQ", "ADT", "PARAMCD", "AVALC", "SUMDIAM", "NADIR"]
# worst last, as the reference derivation ranks two reports of one day
SEVERITY = ("NE", "CR", "PR", "SD", "NON-CR/NON-PD", "PD")
ADEQUATE = SEVERITY[1:]
_RANK = {name: place for place, name in enumerate(SEVERITY)}
_BEST = {name: place for place, name in enumerate(("CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE"))}


def derive_adrs(
    sdtm: Mapping[str, pd.DataFrame], adtr: pd.DataFrame, adsl: pd.DataFrame, plan: plans.Plan | None = None
) -> pd.DataFrame:
    """Derive ADRS: derived and reported responses side by side, best response, clinical progression.

    Returns
    -------
    DataFrame
        PARAMCD OVRLRESP, TRGRESP, NTRGRESP, NEWLES (derived from lesions), RSREP (reported overall response,
        the worst of a day), BOR and CBOR (best and confirmed best overall response, plan's source),
        CLINPD (a stop for progression, AVALC Y). SUMDIAM and NADIR in mm. One row a subject, PARAMCD and
        date, sorted so; ASEQ numbers the rows of a subject and is SRCSEQ of ADTTE.
    """
    plan = plan or plans.defaults()
    rules = plan.clinical
    start = start_dates(adsl, rules)
    adrs = pd.concat(
        [
            _derived(adtr, rules, cutoff_dates(adsl, rules)),
            reported_responses(sdtm, start, rules),
            clinical_progression(sdtm["DS"], start, rules),
        ],
        ignore_index=True,
    )
    used = observed_responses(adrs, adsl, rules)
    best = [
        best_response(used, start.dropna(), rules, confirmed=confirmed).assign(PARAMCD=name)
        for name, confirmed in (("BOR", False), ("CBOR", True))
    ]
    adrs = pd.concat([piece for piece in (adrs, *best) if len(piece)] or [adrs], ignore_index=True)
    adrs["STUDYID"] = adrs.USUBJID.map(adsl.set_index("USUBJID").STUDYID)
    adrs = adrs[adrs.STUDYID.notna()].sort_values(["USUBJID", "PARAMCD", "ADT"], ignore_index=True)
    adrs["ASEQ"] = adrs.groupby("USUBJID").cumcount() + 1.0
    return adrs.reindex(columns=ADRS_COLUMNS)


def response_parameter(rules) -> str:
    """Return the PARAMCD of ADRS that feeds PFS: OVRLRESP (derived) or RSREP (reported)."""
    return rules.tte_rules[rules.endpoint_rules]["responses"][rules.response_source]


def cutoff_dates(adsl: pd.DataFrame, rules) -> pd.Series:
    """Return the last date that enters, by USUBJID: the data cut-off, or NaT where all follow-up counts."""
    cutoff = adsl.set_index("USUBJID").DCUTDT
    used = rules.tte_rules[rules.endpoint_rules]["cutoff"] and rules.followup == "cutoff"
    return cutoff if used else cutoff.where(cutoff.isna())


def observed_responses(adrs: pd.DataFrame, adsl: pd.DataFrame, rules) -> pd.DataFrame:
    """Select the responses of the plan's source from time zero to the cut-off and any new therapy."""
    rows = adrs[adrs.PARAMCD.eq(response_parameter(rules))]
    dates = pd.DataFrame({"start": start_dates(adsl, rules), "cut": cutoff_dates(adsl, rules)})
    dates["therapy"] = adsl.set_index("USUBJID").NACTDT
    bound = dates.reindex(rows.USUBJID).set_index(rows.index)
    late = rows.ADT.gt(bound.cut)
    if rules.endpoint_rules == "pearl" and rules.new_therapy == "censor":
        late |= rows.ADT.gt(bound.therapy)
    return rows[rows.ADT.ge(bound.start) & ~late][["USUBJID", "ADT", "AVALC"]]


def reported_responses(sdtm: Mapping[str, pd.DataFrame], start: pd.Series, rules) -> pd.DataFrame:
    """Select the reported overall responses: one a date, the worst, then the last RSSEQ.

    Only the terms of RECIST 1.1, on or after time zero, by the plan's evaluator. A missing day is filled by
    the plan's rule for assessments.
    """
    rows = reported_terms(sdtm, rules)
    rows = rows[rows.AVALC.isin(SEVERITY) & rows.ADT.ge(rows.USUBJID.map(start).astype("datetime64[ns]"))]
    rows = rows.assign(RANK=rows.AVALC.map(_RANK)).sort_values(["USUBJID", "ADT", "RANK", "SEQ"])
    return rows.drop_duplicates(["USUBJID", "ADT"], keep="last")[["USUBJID", "ADT", "PARAMCD", "AVALC"]]


def reported_terms(sdtm: Mapping[str, pd.DataFrame], rules) -> pd.DataFrame:
    """Return the reported overall responses, unjudged: USUBJID ADT PARAMCD AVALC SEQ."""
    rs = sdtm["RS"]
    done = ~is_word(rs.RSSTAT, ["NOT DONE"]) | (rules.endpoint_rules != "pearl")  # as the reference has it
    rows = select_reads(rs[is_word(rs.RSTESTCD, ["OVRLRESP"]) & done], "RS", rules)
    return pd.DataFrame(
        {
            "USUBJID": rows.USUBJID,
            "ADT": assessment_dates(sdtm, "RS", rules, rows).DATE,
            "PARAMCD": "RSREP",
            "AVALC": upper(rows.RSSTRESC.fillna(rows.RSORRES)).astype(object),
            "SEQ": to_number(rows.RSSEQ),
        }
    ).dropna(subset="AVALC")


def clinical_progression(ds: pd.DataFrame, start: pd.Series, rules) -> pd.DataFrame:
    """Return the first stop for progression of each subject (DS), whether or not a scan shows it."""
    rows = ds[is_word(ds.DSDECOD, rules.progression_terms)]
    dates = impute_dates(rows.DSSTDTC, rules.imputation["event"]).DATE
    found = pd.DataFrame({"USUBJID": rows.USUBJID, "ADT": dates}).dropna()
    found = found[found.ADT.ge(found.USUBJID.map(start).astype("datetime64[ns]"))]
    first = found.groupby("USUBJID", as_index=False).ADT.min()
    return first.assign(PARAMCD="CLINPD", AVALC="Y")


def discrepancies(adrs: pd.DataFrame, window_days: int) -> pd.DataFrame:
    """List where the reported overall response and the derived one differ.

    A report is compared with the nearest assessment and an assessment with the nearest report. A response
    that has no counterpart differs too. Where a study has no derived or no reported response at all, there
    is nothing to compare.

    Parameters
    ----------
    adrs : DataFrame
        ADRS.
    window_days : int
        Two responses at most this far apart belong to one assessment.

    Returns
    -------
    DataFrame
        USUBJID, DERIVEDDT, DERIVED, REPORTEDDT, REPORTED, sorted by subject and date; a side without a
        counterpart has no date and no response.
    """
    sides = {}
    for name, label in (("OVRLRESP", "DERIVED"), ("RSREP", "REPORTED")):
        side = adrs[adrs.PARAMCD.eq(name)][["USUBJID", "ADT", "AVALC"]].dropna().copy()
        side[f"{label}DT"] = side.ADT
        sides[label] = side.rename(columns={"AVALC": label}).sort_values("ADT")
    columns = ["USUBJID", "DERIVEDDT", "DERIVED", "REPORTEDDT", "REPORTED"]
    if sides["DERIVED"].empty or sides["REPORTED"].empty:
        return pd.DataFrame(columns=columns)
    nearest = {
        "on": "ADT",
        "by": "USUBJID",
        "direction": "nearest",
        "tolerance": pd.Timedelta(days=window_days),
    }
    # each side asks the other: two reports may lie near one assessment, two assessments near one report
    paired = pd.concat(
        [
            pd.merge_asof(sides["DERIVED"], sides["REPORTED"], **nearest),
            pd.merge_asof(sides["REPORTED"], sides["DERIVED"], **nearest),
        ]
    )
    # an empty side differs from any response
    differ = paired[paired.REPORTED.ne(paired.DERIVED)].drop_duplicates(columns)
    differ = differ.sort_values(["USUBJID", "ADT", "DERIVEDDT", "REPORTEDDT"], ignore_index=True)[columns]
    return differ.assign(**{side: differ[side].where(differ[side].notna(), None) for side in sides})


def _derived(adtr: pd.DataFrame, rules, cutoff: pd.Series) -> pd.DataFrame:
    visits = derive_responses(adtr, rules, cutoff)
    pieces = []
    for name in ("OVRLRESP", "TRGRESP", "NTRGRESP", "NEWLES"):
        piece = visits[["USUBJID", "ADT", "SUMDIAM", "NADIR"]].assign(PARAMCD=name, AVALC=visits[name])
        if name not in ("OVRLRESP", "TRGRESP"):
            piece[["SUMDIAM", "NADIR"]] = np.nan
        pieces.append(piece.dropna(subset="AVALC"))
    rows = pd.concat(pieces, ignore_index=True)
    # two assessments that end on one date: the worst stands
    rank = rows.AVALC.map({**_RANK, "N": 0, "Y": 1})
    rows = rows.assign(RANK=rank).sort_values(["USUBJID", "PARAMCD", "ADT", "RANK"])
    return rows.drop_duplicates(["USUBJID", "PARAMCD", "ADT"], keep="last").drop(columns="RANK")


def best_response(responses: pd.DataFrame, start: pd.Series, rules, *, confirmed: bool) -> pd.DataFrame:
    """Derive the best overall response, unconfirmed or confirmed.

    Parameters
    ----------
    responses : DataFrame
        USUBJID, ADT, AVALC: one row a date, up to whatever ends the observation. Records after the first PD
        are ignored.
    start : Series
        Time zero by USUBJID; a subject without responses is MISSING.
    rules : Section
        ``clinical``: sd_min_days, confirm_days, confirm_max_ne.
    confirmed : bool
        CR and PR need a second one at least confirm_days later, with at most confirm_max_ne NE between; what
        is not confirmed counts as SD.

    Returns
    -------
    DataFrame
        USUBJID, ADT (first assessment that shows it), AVALC.
    """
    rows = until_progression(responses)
    zero = rows.USUBJID.map(start).astype("datetime64[ns]")
    rows = rows.assign(LATE=(rows.ADT - zero).dt.days >= rules.sd_min_days)
    rows["BEST"] = _candidates(rows, rules, confirmed)
    rows["PLACE"] = rows.BEST.map(_BEST)
    best = rows.sort_values(["USUBJID", "PLACE", "ADT"]).groupby("USUBJID", as_index=False).first()
    found = pd.DataFrame({"USUBJID": start.index}).merge(
        best[["USUBJID", "ADT", "BEST"]], how="left", on="USUBJID"
    )
    found["AVALC"] = found.BEST.fillna("MISSING")
    return found[["USUBJID", "ADT", "AVALC"]]


def until_progression(responses: pd.DataFrame) -> pd.DataFrame:
    """Return the responses sorted by USUBJID and ADT, up to and including the first PD of each subject."""
    rows = responses.sort_values(["USUBJID", "ADT"])
    first_pd = rows.ADT.where(rows.AVALC.eq("PD")).groupby(rows.USUBJID).transform("min")
    return rows[first_pd.isna() | (first_pd >= rows.ADT)]


def first_response(responses: pd.DataFrame, rules, *, confirmed: bool) -> pd.Series:
    """Return the date of the first CR or PR by USUBJID, responders only.

    Whichever of CR and PR comes first counts (Eisenhauer 2009, duration of overall response); where
    `confirmed`, the first that is confirmed. Arguments as in `best_response`.
    """
    rows = until_progression(responses)
    counts = rows.AVALC.isin(["CR", "PR"])
    if confirmed:
        counts &= _is_confirmed(rows, rules)
    return rows[counts].groupby("USUBJID").ADT.min()


def _candidates(rows: pd.DataFrame, rules, confirmed: bool) -> pd.Series:
    stable = rows.AVALC.isin(["CR", "PR", "SD"])
    response = rows.AVALC.isin(["CR", "PR"])
    if confirmed:
        response = response & _is_confirmed(rows, rules)
    fallback = pd.Series(np.where(rows.LATE, rows.AVALC.where(~stable, "SD"), "NE"), index=rows.index)
    kept = rows.AVALC.isin(["PD", "NE"])
    return rows.AVALC.where(response | kept, fallback)


def _is_confirmed(rows: pd.DataFrame, rules) -> pd.Series:
    day = rows.ADT.to_numpy().astype("datetime64[D]").astype("int64")
    value, subject = rows.AVALC.to_numpy(), rows.USUBJID.to_numpy()
    sure = np.zeros(len(rows), dtype=bool)
    for row in np.flatnonzero(np.isin(value, ["CR", "PR"])):
        sure[row] = _has_confirmation(row, day, value, subject, rules)
    return pd.Series(sure, index=rows.index)


def _has_confirmation(row: int, day, value, subject, rules) -> bool:
    good = {"CR": ("CR",), "PR": ("CR", "PR")}[value[row]]
    missed, seen_cr = 0, False
    for later in range(row + 1, len(day)):
        if subject[later] != subject[row] or value[later] not in (*good, "NE"):
            return False
        if value[later] == "NE":
            missed += 1
            if missed > rules.confirm_max_ne:
                return False
            continue
        if seen_cr and value[later] == "PR":  # a PR after a CR is no stable response
            return False
        seen_cr = seen_cr or value[later] == "CR"
        if day[later] - day[row] >= rules.confirm_days:
            return True
    return False
