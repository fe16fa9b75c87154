"""Simulate an SDTM study of any size: 12 visits and 5 lesions a subject, as CSV.

    python benchmarks/clinical/simulate.py SUBJECTS FOLDER

Lesions grow along random walks; subjects die, start a new therapy and stop for progression; there are nodes,
non-target and new lesions, partial dates, unscheduled visits, three study PETs, and reported responses that
have nothing to do with the lesions, so that there is much to query.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

VISITS, LESIONS, SEED = 12, 5, 1
KINDS = np.array(["TARGET", "TARGET", "TARGET", "NON-TARGET", "NON-TARGET"])
ORGANS = np.array(["LIVER", "LUNG", "LYMPH NODE", "BONE", "PLEURA"])
STATES = ["PRESENT", "ABSENT", "UNEQUIVOCAL PROGRESSION", "NOT EVALUABLE"]
RESPONSES = ["SD", "PR", "PD", "NE", "CR"]
PET_DAYS = (0, 14, 28)


def iso(days: np.ndarray) -> np.ndarray:
    """Write dates as ISO 8601 text."""
    return np.datetime_as_string(days.astype("datetime64[D]")).astype(object)


def blur(rng: np.random.Generator, dates: np.ndarray, share: float) -> np.ndarray:
    """Take the day from a share of the dates."""
    return np.where(rng.random(len(dates)) < share, [date[:7] for date in dates], dates)


def number_records(frame: pd.DataFrame, domain: str) -> pd.DataFrame:
    """Add the study and the number of each record within its subject."""
    number = frame.groupby("USUBJID", sort=False).cumcount() + 1
    return frame.assign(STUDYID="BENCH", **{f"{domain}SEQ": number})


class Subjects:
    """Who they are, when they start and when they die (days after the start)."""

    def __init__(self, count: int, rng: np.random.Generator):
        self.rng, self.count = rng, count
        self.names = np.array([f"BENCH-{place:06d}" for place in range(count)], dtype=object)
        self.start = np.datetime64("2014-01-01") + rng.integers(0, 400, count)
        self.death = rng.exponential(900, count).astype(int) + 30
        self.dead = self.death < 1200

    def until_death(self, who: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Tell which days of which subjects come before their death."""
        return day < np.where(self.dead, self.death, 10_000)[who]


def simulate(count: int, seed: int = SEED) -> dict[str, pd.DataFrame]:
    """Return the domains of a study of so many subjects."""
    people = Subjects(count, np.random.default_rng(seed))
    frames = subject_domains(people) | lesion_domains(people)
    return {domain: number_records(frame, domain) for domain, frame in frames.items()}


def subject_domains(people: Subjects) -> dict[str, pd.DataFrame]:
    """Return DM DS EX AE CM QS."""
    rng, names, start = people.rng, people.names, people.start
    death = np.where(people.dead, blur(rng, iso(start + people.death), 0.05), None)
    dm = pd.DataFrame({"USUBJID": names, "SITEID": rng.integers(1, 9, people.count), "AGE": 60, "SEX": "F"})
    dm["DTHDTC"] = death
    ds = pd.DataFrame({"USUBJID": names, "DSDECOD": "RANDOMIZED", "DSSTDTC": iso(start - 3)})
    stop = people.rng.random(people.count) < 0.3
    off = pd.DataFrame({"USUBJID": names, "DSDECOD": "PROGRESSIVE DISEASE", "DSSTDTC": iso(start + 200)})[
        stop
    ]
    ex = pd.DataFrame({"USUBJID": names, "EXTRT": "DRUG", "EXDOSE": 10, "EXSTDTC": iso(start)})
    ex["EXENDTC"] = iso(start + np.minimum(people.death - 1, 200))
    ae = pd.DataFrame(
        {"USUBJID": np.repeat(names, 3), "AESTDTC": iso((start[:, None] + [10, 15, 20]).ravel())}
    )
    ae["AEENDTC"] = blur(rng, iso((start[:, None] + [20, 25, 29]).ravel()), 0.03)
    treated = rng.random(people.count) < 0.2
    cm = pd.DataFrame({"USUBJID": names, "CMCAT": "NEW ANTI-CANCER THERAPY", "CMSTDTC": iso(start + 400)})[
        treated
    ]
    qs = pd.DataFrame({"USUBJID": names, "QSTESTCD": "ECOG101", "QSSTRESC": "1", "QSDTC": iso(start - 2)})
    return {"DM": dm, "DS": pd.concat([ds, off]), "EX": ex, "AE": ae, "CM": cm, "QS": qs}


def lesion_domains(people: Subjects) -> dict[str, pd.DataFrame]:
    """Return TU TR RS."""
    count = people.count
    who, lesion = np.repeat(np.arange(count), LESIONS), np.tile(np.arange(LESIONS), count)
    tu = pd.DataFrame(
        {
            "USUBJID": people.names[who],
            "TULNKID": np.array([f"L{place}" for place in range(LESIONS)], dtype=object)[lesion],
            "TUORRES": KINDS[lesion],
            "TULOC": ORGANS[lesion],
            "TUMETHOD": "CT SCAN",
            "TUDTC": iso(people.start[who] - 5),
        }
    )
    tr, scans = ct_readings(people, who, lesion)
    appeared, seen = new_lesions(people, scans)
    tr = pd.concat([tr, seen, pet_readings(people, who, lesion)], ignore_index=True)
    every = {"TU": pd.concat([tu, appeared], ignore_index=True), "TR": tr, "RS": reports(people, scans)}
    return {domain: frame.assign(**{f"{domain}EVAL": "INVESTIGATOR"}) for domain, frame in every.items()}


def ct_readings(people: Subjects, who: np.ndarray, lesion: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return TR of all lesions at baseline and every visit, and the scans: subject, visit, day."""
    rng, count = people.rng, people.count
    visit = np.arange(VISITS + 1)
    day = np.where(visit == 0, -5, 56 * visit + rng.integers(-3, 4, (count, VISITS + 1)))
    trend = rng.normal(-0.3, 0.5, count)[who, None] * np.linspace(0, 1, VISITS)
    growth = rng.normal(0, 0.03, (len(who), VISITS)).cumsum(1) + trend
    size = rng.uniform(16, 60, len(who))[:, None] * np.exp(np.column_stack([np.zeros(len(who)), growth]))
    state = np.where(visit == 0, 0, rng.choice(4, (len(who), VISITS + 1), p=[0.93, 0.04, 0.002, 0.028]))
    rows = pd.DataFrame({"WHO": np.repeat(who, VISITS + 1), "LESION": np.repeat(lesion, VISITS + 1)})
    rows["VISITNUM"] = np.tile(visit, len(who)).astype(float)
    rows["DAY"] = day[rows.WHO, rows.VISITNUM.astype(int)]
    unscheduled = (rng.random((count, VISITS + 1)) < 0.03)[rows.WHO, rows.VISITNUM.astype(int)]
    rows.loc[unscheduled & rows.VISITNUM.gt(0), "VISITNUM"] += 0.1
    target = KINDS[rows.LESION] == "TARGET"
    words = np.array(STATES, dtype=object)[state.ravel()]
    rows["TRSTRESC"] = np.where(target, np.round(size.ravel(), 1).astype(str).astype(object), words)
    rows["TRSTRESU"] = np.where(target, "mm", None)
    measure = np.where(ORGANS[rows.LESION] == "LYMPH NODE", "SAXIS", "LDIAM")
    rows["TRTESTCD"] = np.where(target, measure, "TUMSTATE")
    rows = rows[people.until_death(rows.WHO, rows.DAY)]
    scans = rows[rows.LESION.eq(0) & rows.VISITNUM.gt(0)][["WHO", "DAY", "VISITNUM"]]
    return findings(people, rows, "CT SCAN", partial=0.01), scans


def findings(people: Subjects, rows: pd.DataFrame, method: str, partial: float = 0.0) -> pd.DataFrame:
    """Return records of TR for WHO, LESION, DAY, VISITNUM and what was found."""
    found = rows[["TRTESTCD", "TRSTRESC", "TRSTRESU", "VISITNUM"]].copy()
    found["USUBJID"] = people.names[rows.WHO]
    found["TRLNKID"] = "L" + rows.LESION.astype(str)
    found["TRMETHOD"] = method
    found["TRDTC"] = blur(people.rng, iso(people.start[rows.WHO] + rows.DAY.to_numpy()), partial)
    found["VISIT"] = np.where(rows.VISITNUM.mod(1).ne(0), "UNSCHEDULED", "PLANNED")
    return found


def new_lesions(people: Subjects, scans: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return TU and TR of lesions that appear at 1 % of the scans, a quarter of them first on a PET."""
    rows = scans[people.rng.random(len(scans)) < 0.01].copy()
    rows["LESION"] = np.arange(len(rows)) + LESIONS
    rows = rows.assign(TRTESTCD="TUMSTATE", TRSTRESC="PRESENT", TRSTRESU=None)
    tr = findings(people, rows, "CT SCAN")
    method = np.where(people.rng.random(len(rows)) < 0.25, "FDG PET/CT", "CT SCAN")
    tu = pd.DataFrame({"USUBJID": tr.USUBJID, "TULNKID": tr.TRLNKID, "TUORRES": "NEW", "TULOC": "LIVER"})
    return tu.assign(TUMETHOD=method, TUDTC=tr.TRDTC), tr.assign(TRMETHOD=method)


def pet_readings(people: Subjects, who: np.ndarray, lesion: np.ndarray) -> pd.DataFrame:
    """Return the uptake and presence of each lesion on the study PETs, which no response may use."""
    rows = pd.DataFrame({"WHO": np.repeat(who, len(PET_DAYS)), "LESION": np.repeat(lesion, len(PET_DAYS))})
    rows["DAY"] = np.tile(PET_DAYS, len(who))
    rows["VISITNUM"] = np.tile(np.arange(1, len(PET_DAYS) + 1), len(who)) / 10 + 100.0
    suv = np.round(people.rng.uniform(2, 12, len(rows)), 2).astype(str).astype(object)
    rows = rows.assign(TRTESTCD="SUVMAX", TRSTRESC=suv, TRSTRESU="g/mL")
    return findings(people, rows[people.until_death(rows.WHO, rows.DAY)], "FDG PET/CT")


def reports(people: Subjects, scans: pd.DataFrame) -> pd.DataFrame:
    """Return a reported overall response for each scan after baseline."""
    response = people.rng.choice(RESPONSES, len(scans), p=[0.5, 0.3, 0.1, 0.05, 0.05])
    rs = pd.DataFrame({"USUBJID": people.names[scans.WHO], "RSTESTCD": "OVRLRESP", "RSSTRESC": response})
    return rs.assign(
        RSDTC=iso(people.start[scans.WHO] + scans.DAY.to_numpy()), VISITNUM=scans.VISITNUM.to_numpy()
    )


def write(count: int, folder: Path) -> None:
    """Write a study of so many subjects into a folder, a CSV a domain."""
    folder.mkdir(parents=True, exist_ok=True)
    for domain, frame in simulate(count).items():
        frame.to_csv(folder / f"{domain.lower()}.csv", index=False)


if __name__ == "__main__":
    write(int(sys.argv[1]), Path(sys.argv[2]))
