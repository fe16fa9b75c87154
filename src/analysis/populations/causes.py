"""Why a subject is outside a population: the first cause that holds, from a table or the ledger."""

from __future__ import annotations

import re

import pandas as pd

_BARE_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")

# Up to the first colon or semicolon a reason is short enough for a box of the flow diagram. The PET codes are
# those of ADMR.NEREAS, so that one cause has one name.
REASONS = {
    "NOT_ENROLLED": "not registered: no registration record with a complete date",
    "NOT_TREATED": "not treated: no dose above 0 with a complete date",
    "NO_START_DATE": "no date of the start",
    "NO_TARGET_LESION": "no target lesion at baseline",
    "BASELINE_REFUSED": "baseline scan refused",
    "NO_BASELINE_SCAN": "no baseline scan",
    "NO_FOLLOWUP_SCAN": "no follow-up scan",
    "NO_SCAN_PLANNED": "no scan was planned on this day",
    "SCAN_REFUSED": "follow-up scan refused",
    "NO_LESION": "no lesion drawn: none was measured at baseline",
    "NOT_FDG_EVALUABLE": "no FDG-evaluable lesion at baseline",
    "SCANS_NOT_COMPARABLE": "scans not comparable",
    "COMPARABILITY_UNKNOWN": "comparability of the scans unknown",
    "NEW_UNCONFIRMED": "new lesion not confirmed",
    "NO_BASELINE_LOAD": "no baseline load",
    "NO_TARGET_METRIC": "targets not ranked",
    "LESION_NOT_EVALUABLE": "a lesion not evaluable",
    "OFF_DRUG": "off the drug before the scan",
    "CLASS_MISSING": "no class sent",
    "CLASS_NOT_EVALUABLE": "class sent as not evaluable",
    "SUBJECT_NOT_IN_TABLE": "not in the table of classes",
    "NO_SAMPLE": "no plasma sample at this visit",
    "NOT_ASSESSABLE": "assay failed: a failed assay is not a negative one",
}


class Causes:
    """Who is inside, and for everybody else the first cause given that holds.

    Parameters
    ----------
    inside : Series of bool
        Index USUBJID.
    """

    def __init__(self, inside: pd.Series):
        self.inside = inside.astype(bool)
        self._why = pd.DataFrame(None, index=inside.index, columns=["STEP", "CODE", "REASON"], dtype=object)

    def add(self, holds: pd.Series, step: str, code: str, detail: str | pd.Series = "") -> Causes:
        """Give the cause `code` (a key of `REASONS`) of `step` to those it holds for and who have none yet.

        `detail` completes the reason, one text for all or one a subject.
        """
        details = detail if isinstance(detail, pd.Series) else pd.Series(detail, index=self.inside.index)
        chosen = self.open & holds.reindex(self.inside.index).fillna(False).astype(bool)
        self._why.loc[chosen, ["STEP", "CODE"]] = [step, code]
        self._why.loc[chosen, "REASON"] = REASONS[code] + details.reindex(self.inside.index)[chosen]
        return self

    def add_ledger(self, rows: pd.DataFrame, lead: str = "") -> Causes:
        """Take the first ledger row of each subject; a reason that is a bare code is put into words."""
        first = rows.drop_duplicates("USUBJID").set_index("USUBJID")
        chosen = self._why.index[self.open & self._why.index.isin(first.index)]
        taken = first.loc[chosen, ["STEP", "CODE", "REASON"]].astype(object)
        taken["REASON"] = [lead + _in_words(reason) for reason in taken["REASON"]]
        self._why.loc[chosen, ["STEP", "CODE", "REASON"]] = taken.to_numpy()
        return self

    @property
    def open(self) -> pd.Series:
        """Tell who is outside and has no cause yet."""
        return ~self.inside & self._why["CODE"].isna()

    def table(self) -> pd.DataFrame:
        """Return INFL, STEP, CODE and REASON by USUBJID."""
        return self._why.assign(INFL=self.inside.map({True: "Y", False: "N"}))


def _in_words(reason: str) -> str:
    return REASONS.get(reason, reason) if _BARE_CODE.fullmatch(str(reason)) else str(reason)
