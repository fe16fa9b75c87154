"""Small trials by hand: lesion tables, reference regions, scans and readers' decisions."""

import pandas as pd

from analysis import plan as plans
from analysis.pet.response import classify

PLAN = plans.defaults()
DATES = {"D0": "2024-01-01", "D14": "2024-01-15", "D28": "2024-01-29"}


def adpet_of(lesions, *, subject="S1", visit="D14", metric="SUVMAX", organ="bone", **extra):
    """Build adpet rows from ``{lesion: (baseline, follow-up or None)}``."""
    rows = []
    for name, (base, follow) in lesions.items():
        for avisit, value in (("D0", base), (visit, follow)):
            if value is not None:
                rows.append(row_of(subject, avisit, name, metric, value, ORGAN=organ, **extra))
    for avisit in ("D0", visit):
        rows.append(row_of(subject, avisit, "TOTAL", "NLESION", float(len(lesions)), ROLE="TOTAL"))
    return pd.DataFrame(rows)


def lesions_of(lesions, metric, **extra):
    """Build the lesion rows of one more metric: `adpet_of` without its totals."""
    return adpet_of(lesions, metric=metric, **extra).query("ROLE == 'LESION'")


def row_of(subject, avisit, lesion, metric, value, **extra):
    fixed = {"STUDYID": "T", "USUBJID": subject, "AVISIT": avisit, "LESIONID": lesion, "METRIC": metric}
    base = {
        "ROLE": "LESION",
        "ORGAN": None,
        "ADT": pd.Timestamp(DATES[avisit]),
        "AVAL": value,
        "UNIT": "g/ml",
    }
    return {**fixed, **base, "EVALFL": "Y", "TARGETFL": "Y", "FLAGS": None, **extra}


def regions(subject="S1", visit="D14", liver=(2.0, 2.0), sd=0.1):
    rows = []
    for avisit, mean in (("D0", liver[0]), (visit, liver[1])):
        rows.append(row_of(subject, avisit, "LIVER", "SULMEAN", mean, ROLE="LIVER"))
        rows.append(row_of(subject, avisit, "LIVER", "SULSD", sd, ROLE="LIVER"))
    return pd.DataFrame(rows)


def scans_of(subject="S1", visit="D14", uptake=(60.0, 60.0), status=("OK", "OK")):
    rows = zip(("D0", visit), uptake, status)
    return pd.DataFrame(
        [{"USUBJID": subject, "AVISIT": v, "ADT": pd.Timestamp(DATES[v]), "UPTAKEMIN": u, "STATUS": s}
         for v, u, s in rows]
    )  # fmt: skip


def decisions_of(*rows, subject="S1", visit="D14"):
    return pd.DataFrame(
        [{"USUBJID": subject, "AVISIT": visit, "LESIONID": name, "DECISION": word} for name, word in rows]
    )


def one(adpet, rule, plan=PLAN, **given):
    admr = classify(adpet, plan, rule=rule, **given)
    assert len(admr) == 1
    return admr.iloc[0]


def percist(
    lesions, *, liver=(2.0, 2.0), uptake=(60.0, 60.0), tlg=None, longest=None, decisions=None, plan=PLAN,
    rule="percist", organs=None,
):  # fmt: skip
    """Classify one patient by PERCIST: SULpeak, liver SULmean, uptake times, TLG and diameters (mm)."""
    uptakes = adpet_of(lesions, metric="SULPEAK")
    if organs:
        uptakes["ORGAN"] = uptakes["LESIONID"].map(organs)
    parts = [uptakes, regions(liver=liver)]
    if tlg:
        parts.append(lesions_of(tlg, "TLG41"))
    if longest:
        parts.append(lesions_of(longest, "LONGDIAM"))
    return one(pd.concat(parts), rule, plan, scans=scans_of(uptake=uptake), decisions=decisions)
