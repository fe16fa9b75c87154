"""Derive who belongs to each population, from the tables of the study and its exclusions ledger."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis import contracts
from analysis.plan import Plan
from analysis.populations.causes import REASONS, Causes

ENROLLED, TREATED, ENDPOINTS, MEASURABLE = "ENROLLED", "TREATED", "ENDPOINTS", "MEASURABLE"
BASELINE = "D0"
_ASSESSED = ("DETECTED", "NOT DETECTED")


class PopulationError(ValueError):
    """Subjects outside a population for no reason, or in a table but not in ADSL; lists every one."""


def derive_populations(
    adsl: pd.DataFrame,
    ledger: pd.DataFrame,
    *,
    plan: Plan,
    adtte: pd.DataFrame | None = None,
    adtr: pd.DataFrame | None = None,
    scan_qc: pd.DataFrame | None = None,
    lesions: pd.DataFrame | None = None,
    admr: pd.DataFrame | None = None,
    analysis_set: pd.DataFrame | None = None,
    adbm: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Say of every subject of ADSL whether it belongs to each population, and why not.

    Parameters
    ----------
    adsl : DataFrame
        Table of this name.
    ledger : DataFrame
        ``exclusions_NN`` of the steps that have run, joined.
    plan : Plan
        Section clinical; design for the scans, primary for `analysis_set`, biomarkers for `adbm`.
    adtte, adtr, scan_qc : DataFrame, optional
        Tables of these names. A population whose tables are absent is not listed.
    lesions : DataFrame, optional
        ``adpet`` or ``adlesion``: EVALFL says which baseline lesions are FDG-evaluable.
    admr, analysis_set, adbm : DataFrame, optional
        Tables of these names.

    Returns
    -------
    DataFrame
        Table ``populations``, by population in this order and USUBJID: ENROLLED (has ENRLDT; not listed where
        nobody has, and TREATED need not lie within it), TREATED (SAFFL), MEASURABLE (time zero and a measured
        target lesion at baseline), ENDPOINTS (a row of ADTTE), PETEV-<visit> (not untreated; SUV computable
        on the baseline scan and this visit's, a lesion FDG-evaluable at baseline; neither comparability nor
        missing header facts exclude; PETEV-D0 asks for the baseline scan alone, where no other is planned),
        CTDNA-<visit> (plasma result at this visit, assay not failed), LANDMARK-<endpoint> (in
        `analysis_set`).

    Raises
    ------
    PopulationError
        NO_REASON: subjects outside a population who are nowhere set aside. NOT_IN_ADSL: subjects of `adtte`
        or `analysis_set` who are not in `adsl`.
    """
    adsl = adsl.sort_values("USUBJID").set_index("USUBJID", drop=False)
    found = _treatment(adsl, ledger, plan)
    if adtr is not None and len(adtr):
        found[MEASURABLE] = _measurable(adsl, ledger, adtr, plan)
    if adtte is not None:
        found[ENDPOINTS] = _in_table(adsl, ledger, adtte["USUBJID"], ())
    # A study that sent ready classes has neither scans nor lesions: nobody falls out for want of one.
    if scan_qc is not None and lesions is not None and len(scan_qc) + len(lesions):
        found |= _pet_evaluable(adsl, found.get(TREATED), ledger, scan_qc, lesions, admr, plan)
    if adbm is not None and adbm["PARAMCD"].eq("CTDNA").any():
        found |= {f"CTDNA-{visit}": _assessed(adsl, adbm, visit) for visit in plan.biomarkers.ctdna_visits}
    if analysis_set is not None:
        for endpoint in plan.primary.endpoints:
            members = analysis_set.loc[analysis_set["ENDPOINT"].eq(endpoint), "USUBJID"]
            found[f"LANDMARK-{endpoint}"] = _in_table(adsl, ledger, members, (endpoint,))
    _refuse(adsl, found, {"adtte": adtte, "analysis_set": analysis_set})
    parts = [causes.table().assign(POPULATION=name) for name, causes in found.items()]
    if not parts or adsl.empty:
        return contracts.empty("populations")
    table = pd.concat(parts).rename_axis("USUBJID").reset_index()
    return contracts.check("populations", table.assign(STUDYID=table["USUBJID"].map(adsl["STUDYID"])))


def _treatment(adsl: pd.DataFrame, ledger: pd.DataFrame, plan: Plan) -> dict[str, Causes]:
    """Return ENROLLED and TREATED, as far as anybody is known to be."""
    aside = _of_step(ledger, "01", "subject")
    failures = aside[aside["CODE"].eq("SCREEN_FAILURE")]
    start = _start(plan)
    found = {}
    for name, column, inside, code in (
        (ENROLLED, "ENRLDT", adsl["ENRLDT"].notna(), "NOT_ENROLLED"),
        (TREATED, "TRTSDT", adsl["SAFFL"].eq("Y"), "NOT_TREATED"),
    ):
        known = inside.any() if name == ENROLLED else adsl["SAFFL"].notna().any()
        if known:
            # step 01 sets aside who has no time zero: a reason here only where both ask for the same date
            own = aside if column == start else failures
            everyone = pd.Series(True, index=adsl.index)
            found[name] = Causes(inside).add_ledger(own).add(everyone, "01", code)
    return found


def _measurable(adsl, ledger, adtr: pd.DataFrame, plan: Plan) -> Causes:
    """Return who has a time zero within the follow-up and a measured target lesion at baseline."""
    measured = adtr[adtr["LESTYPE"].eq("TARGET") & adtr["AVISITN"].eq(0) & adtr["DIAM_MM"].notna()]
    start, rules = adsl[_start(plan)], plan.clinical
    counted = rules.tte_rules[rules.endpoint_rules]["cutoff"] and rules.followup == "cutoff"
    started = start.notna() & ~(start.gt(adsl["DCUTDT"]) & counted)
    aside = _of_step(ledger, "01", "subject")
    causes = Causes(adsl.index.isin(measured["USUBJID"]) & started)
    causes.add_ledger(aside[~aside["USUBJID"].map(started).fillna(True).astype(bool)])
    return causes.add(~started, "01", "NO_START_DATE").add(started, "01", "NO_TARGET_LESION")


def _in_table(adsl, ledger, members: pd.Series, endpoint: tuple[str, ...]) -> Causes:
    """Return membership of a table; those outside were set aside by step 01, or 04 for this endpoint."""
    causes = Causes(pd.Series(adsl.index.isin(members), index=adsl.index))
    causes.add_ledger(_of_step(ledger, "01", "subject"))
    for name in endpoint:
        mark = f"{name}: "
        mine = ledger[ledger["REASON"].astype(str).str.startswith(mark)]
        mine = mine.assign(REASON=mine["REASON"].str.removeprefix(mark))
        causes.add_ledger(_of_step(mine, "01", "record")).add_ledger(_of_step(mine, "04", "subject"))
    return causes


def _pet_evaluable(adsl, treated, ledger, scan_qc, lesions, admr, plan: Plan) -> dict[str, Causes]:
    everyone, untreated = pd.Series(True, index=adsl.index), adsl["SAFFL"].eq("N")
    drawn = lesions[lesions["LESIONID"].notna() & lesions["EVALFL"].notna()]
    evaluable = adsl.index.isin(drawn.loc[drawn["EVALFL"].eq("Y"), "USUBJID"])
    has_lesion = everyone & adsl.index.isin(drawn["USUBJID"])
    seen, measured, why = _scans(adsl, scan_qc, BASELINE)
    aside = _of_step(ledger, "02")
    baseline = dict(NO="NO_BASELINE_SCAN", REFUSED="BASELINE_REFUSED", visit=BASELINE)
    found = {}
    for visit in plan.design.followup_visits or [BASELINE]:
        on_seen, on_measured, on_why = _scans(adsl, scan_qc, visit)
        causes = Causes(~untreated & measured & on_measured & evaluable)
        if treated is not None:
            causes.add_ledger(treated.table()[untreated].rename_axis("USUBJID").reset_index())
        causes.add_ledger(aside[aside["CODE"].eq("NO_PET_SCAN")])
        _add_scan(causes, aside, seen, measured, why, baseline)
        if admr is not None and visit != BASELINE:
            planned = adsl.index.isin(admr.loc[admr["AVISIT"].eq(visit), "USUBJID"])
            causes.add(~on_seen & ~planned, "02", "NO_SCAN_PLANNED")
        follow_up = dict(NO="NO_FOLLOWUP_SCAN", REFUSED="SCAN_REFUSED", visit=visit)
        _add_scan(causes, aside, on_seen, on_measured, on_why, follow_up)
        causes.add(~has_lesion, "02", "NO_LESION")
        causes.add_ledger(aside[aside["CODE"].eq("NOT_FDG_EVALUABLE")])
        found[f"PETEV-{visit}"] = causes.add(everyone, "02", "NOT_FDG_EVALUABLE")
    return found


def _add_scan(causes: Causes, aside, seen, measured, why, names: Mapping[str, str]) -> None:
    """Say of one scan that it was refused, or not found: an unusable file may be all there was of it."""
    scans = aside[aside["ITEM"].eq("scan") & (aside["AVISIT"].eq(names["visit"]) | aside["AVISIT"].isna())]
    scans = scans[~scans["USUBJID"].map(seen).fillna(True).astype(bool)]
    causes.add(seen & ~measured, "02", names["REFUSED"], why)
    causes.add_ledger(scans, REASONS[names["NO"]] + ": ")
    causes.add(~seen, "02", names["NO"], f": none of {names['visit']} was found")


def _scans(adsl, scan_qc: pd.DataFrame, visit: str) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Tell who has a scan of a visit, whose scan gave SUV, and why a refused one did not."""
    mine = scan_qc[scan_qc["AVISIT"].eq(visit)]
    refused = mine[mine["STATUS"].ne("OK")].drop_duplicates("USUBJID").set_index("USUBJID")
    why = ": " + visit + " " + refused["CODE"].fillna("") + "; " + refused["MESSAGE"].fillna("")
    seen = pd.Series(adsl.index.isin(mine["USUBJID"]), index=adsl.index)
    measured = adsl.index.isin(mine.loc[mine["STATUS"].eq("OK"), "USUBJID"])
    return seen, seen & measured, why.reindex(adsl.index).fillna("")


def _assessed(adsl, adbm: pd.DataFrame, visit: str) -> Causes:
    """Return who has a plasma result at a visit, as `biomarkers` relates it to outcome."""
    rows = adbm[adbm["PARTYPE"].eq("CTDNA") & adbm["PARAMCD"].eq("CTDNA") & adbm["AVISIT"].eq(visit)]
    assessed = rows.loc[rows["AVALC"].isin(_ASSESSED), "USUBJID"]
    sampled = pd.Series(adsl.index.isin(rows["USUBJID"]), index=adsl.index)
    causes = Causes(pd.Series(adsl.index.isin(assessed), index=adsl.index))
    return causes.add(sampled, "05", "NOT_ASSESSABLE").add(~sampled, "05", "NO_SAMPLE")


def _refuse(
    adsl: pd.DataFrame, found: Mapping[str, Causes], tables: Mapping[str, pd.DataFrame | None]
) -> None:
    problems = []
    for name, table in tables.items():
        strangers = sorted(set(table["USUBJID"]) - set(adsl.index)) if table is not None else []
        if strangers:
            problems.append(f"NOT_IN_ADSL {name}: {_listed(strangers)}; rerun the step that wrote it")
    for name, causes in found.items():
        lost = list(causes.open.index[causes.open])
        if lost:
            problems.append(
                f"NO_REASON {name}: {_listed(lost)} outside, set aside by no step; rerun the steps in order"
            )
    if problems:
        raise PopulationError(f"{len(problems)} problem(s) with the populations:\n" + "\n".join(problems))


def _start(plan: Plan) -> str:
    return plan.clinical.tte_rules[plan.clinical.endpoint_rules]["start"]


def _of_step(ledger: pd.DataFrame, step: str, item: str | None = None) -> pd.DataFrame:
    mine = ledger["STEP"].eq(step) & ledger["USUBJID"].notna()
    return ledger[mine] if item is None else ledger[mine & ledger["ITEM"].eq(item)]


def _listed(subjects: list[str]) -> str:
    more = " ..." if len(subjects) > 5 else ""
    return f"{len(subjects)} subject(s) ({', '.join(map(str, subjects[:5]))}{more})"
