"""What must hold for any study: order, names, formats and strangers change nothing, progression stays.

Studies are random but seeded: targets in several units, nodes, non-targets and new lesions (equivocal ones, and
ones on a PET), assessments over two days, unscheduled visits, partial dates, deaths, new therapy, two
readers, reported responses that disagree, and records of which only the order of the file would say which counts.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import clinical, plan

sys.path.insert(0, str(Path(__file__).parent))  # the writers beside this file
import sdtm_writers

DAY_ZERO = pd.Timestamp("2019-03-01")
RULES = {
    "pearl": {},
    "reported": {
        "clinical.response_source": "reported",
        "clinical.evaluator": "INDEPENDENT ASSESSOR",
        "clinical.reader": "R1",
    },
    "every switch": {
        "clinical.pet_only_progression": "count",
        "clinical.reappearance": "always_pd",
        "clinical.clinical_progression": "event",
        "clinical.followup": "all",
        "clinical.assessment_window_days": 3,
    },
    "admiralonco": {"clinical.endpoint_rules": "admiralonco"},
}
ORGANS = ("LIVER", "LUNG", "LYMPH NODE", "BONE", "BREAST")
WORDS = ("CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE", "CHECK")
SIZES = (0.0, 4.9, 9.9, 10.0, 14.0, 20.0, 24.0, 25.0, 40.0)
STATES = ("ABSENT", "PRESENT", "PRESENT", "EQUIVOCAL", "UNEQUIVOCAL PROGRESSION", "NOT EVALUABLE")


def with_rules(name):
    return plan.defaults().override(RULES[name])


def iso(day, precision=10):
    """Write the day (10), the month (7) or the year (4) of a study day."""
    return (DAY_ZERO + pd.Timedelta(days=int(day))).strftime("%Y-%m-%d")[:precision]


class RandomStudy:
    """Random records of some subjects; the first starts first and so sets the data cut-off."""

    def __init__(self, seed=0, subjects=36):
        self.rng = np.random.default_rng(seed)
        self.rows = {name: [] for name in clinical.sdtm.DOMAINS}
        for number in range(subjects):
            self.add_subject(f"S-{number:02d}", number)

    def chance(self, share):
        return self.rng.random() < share

    def pick(self, values):
        return values[int(self.rng.integers(len(values)))]

    def add(self, domain, subject, **values):
        number = str(len(self.rows[domain]) + 1)
        row = {"STUDYID": "S", "USUBJID": subject, f"{domain}SEQ": number, **values}
        self.rows[domain].append(row)

    def date(self, day, partial=0.0, precisions=(7,)):
        return iso(day, self.pick(precisions) if self.chance(partial) else 10)

    def add_subject(self, name, number):
        start = 10 * number + int(self.rng.integers(5))
        self.end = int(start + self.rng.integers(40, 700))
        died = self.chance(0.5)
        death = self.date(self.end, 0.3, (7, 7, 4)) if died else None
        self.add("DM", name, DTHDTC=death, SEX=self.pick("FM"), AGE="60", SITEID=self.pick("12"))
        if number == 0 or self.chance(0.9):
            self.add("DS", name, DSDECOD="RANDOMIZED", DSSTDTC=iso(start - 5 + int(number > 0)))
        if number % 7 != 6:
            given = {"EXTRT": "DRUG", "EXDOSE": self.pick(["10", "10", "0"])}
            self.add("EX", name, EXSTDTC=iso(start), EXENDTC=iso(start + 21), EXTRT="DRUG", EXDOSE="10")
            self.add("EX", name, EXSTDTC=iso(start + 21), EXENDTC=iso(start + 30), **given)
        self.add_history(name, start)
        self.add_scans(name, start)

    def add_history(self, name, start):
        between = lambda: int(self.rng.integers(start, self.end + 1))
        for _ in range(2):
            self.add("AE", name, AESTDTC=self.date(between(), 0.3, (7, 4)), AEENDTC=self.date(between()))
        if self.chance(0.3):
            self.add("CM", name, CMCAT="NEW ANTI-CANCER THERAPY", CMSTDTC=self.date(between(), 0.3))
        if name == "S-00" or self.chance(0.3):  # a study without CM says nothing of any subject
            self.add("CM", name, CMCAT="PRIOR TREATMENT", CMSCAT="CHEMOTHERAPY", CMSTDTC=iso(start - 300))
        if self.chance(0.2):
            self.add("DS", name, DSDECOD="PROGRESSIVE DISEASE", DSSTDTC=iso(between()))
        for answer in ("0", "1"):
            self.add("QS", name, QSTESTCD="ECOG101", QSSTRESC=answer, QSDTC=iso(start - 2))
        if self.chance(0.3):
            self.add("SUPPDM", name, QNAM="ENDOSENS", QVAL=self.pick("YN"))

    def add_scans(self, name, start):
        kinds = ["TARGET"] * int(self.rng.integers(0, 4)) + ["NON-TARGET"] * int(self.rng.integers(0, 3))
        lesions = [(f"L{place}", kind, self.pick(ORGANS)) for place, kind in enumerate(kinds)]
        for lesion, kind, organ in lesions:
            self.identify(name, start - 6, lesion, kind, organ, "CT SCAN")
            if self.chance(0.1):  # twice on one day, and at odds: the file's order must not decide
                self.identify(name, start - 6, lesion, kind, self.pick(ORGANS), "PET/CT", TUSEQ=None)
        self.scan(name, start - 6, lesions, "BASELINE", 1)
        for visit in range(1, 8):
            day = start + 56 * visit + int(self.rng.integers(-7, 8))
            if self.chance(0.8):
                self.visit(name, day, lesions, f"WEEK {8 * visit}", 1 + visit)
            if self.chance(0.15):
                self.visit(name, day + int(self.rng.integers(1, 20)), lesions, "UNSCHEDULED", 99.1)

    def visit(self, name, day, lesions, label, number):
        if day >= self.end - 9:  # all of an assessment lies before the end
            return
        if self.chance(0.15):
            method = self.pick(["CT SCAN", "FDG PET/CT"])
            new = (f"N{day}", "NEW", self.pick(ORGANS))
            self.identify(name, day, *new, method)
            if self.chance(0.7):
                lesions.append(new)
        self.scan(name, day, lesions, label, number)
        self.report(name, day)

    def identify(self, name, day, lesion, kind, organ, method, **values):
        about = {"TULNKID": lesion, "TUORRES": kind, "TULOC": organ, "TUMETHOD": method, "TUDTC": iso(day)}
        self.add("TU", name, **{**about, "TUEVAL": None, **values})

    def scan(self, name, day, lesions, label, number):
        about = {"VISIT": label, "VISITNUM": str(number)}
        for lesion, kind, organ in lesions:
            when = day + (4 if organ == "LIVER" and label.startswith("WEEK") else 0)  # MRI some days later
            about["TRDTC"] = self.date(when, 0.03) if number > 1 else iso(when)
            about |= {"TRLNKID": lesion, "TRMETHOD": self.pick(["CT SCAN", "MRI", None, "PET"])}
            if kind != "TARGET":
                self.add("TR", name, TRTESTCD="TUMSTATE", TRSTRESC=self.pick(STATES), **about)
                continue
            self.measure(name, organ, {**about, "TRMETHOD": "CT SCAN"}, baseline=number == 1)

    def measure(self, name, organ, about, baseline):
        size = float(self.rng.choice(SIZES[4:] if baseline else SIZES))
        test = "SAXIS" if organ == "LYMPH NODE" else "LDIAM"
        if self.chance(0.05):
            given = {"TRSTAT": "NOT DONE"}
        elif self.chance(0.05):
            given = {"TRORRES": "TOO SMALL TO MEASURE"}
        elif self.chance(0.2):
            given = {"TRORRES": f"{size / 10:.2f}", "TRORRESU": "cm"}
        else:
            given = {"TRSTRESN": str(size), "TRSTRESU": "mm"}
        self.add("TR", name, TRTESTCD=test, **given, **about)
        if self.chance(0.05):  # a second reading without a number
            self.add("TR", name, TRTESTCD=test, TRSTRESN="30", TRSTRESU="mm", **{**about, "TRSEQ": None})
            self.rows["TR"][-2]["TRSEQ"] = None
        if self.chance(0.1):
            self.add("TR", name, TRTESTCD="LPERP", TRSTRESN="9", TRSTRESU="mm", **about)
            self.add("TR", name, TRTESTCD="TUMSTATE", TRSTRESC=self.pick(STATES), **about)

    def report(self, name, day):
        about = {"RSTESTCD": "OVRLRESP", "RSDTC": self.date(day, 0.05)}
        for _ in range(1 + int(self.chance(0.2))):
            self.add("RS", name, RSSTRESC=self.pick(WORDS), RSEVAL="INVESTIGATOR", **about)
        for reader, accepted in (("R1", "Y"), ("R2", None)):
            read = {"RSEVAL": "INDEPENDENT ASSESSOR", "RSEVALID": reader, "RSACPTFL": accepted}
            self.add("RS", name, RSSTRESC=self.pick(WORDS), **read, **about)

    def frames(self):
        return {domain: pd.DataFrame(rows) for domain, rows in self.rows.items() if rows}


def derive(frames, settings):
    """Return ADSL, ADTR, ADRS and ADTTE of raw domains."""
    sdtm = clinical.complete({name: frame.reset_index(drop=True) for name, frame in frames.items()})
    return derive_read(sdtm, settings)


def derive_read(sdtm, settings):
    adsl = clinical.derive_adsl(sdtm, settings)
    adtr = clinical.derive_adtr(sdtm, adsl, settings)
    adrs = clinical.derive_adrs(sdtm, adtr, adsl, settings)
    adtte = clinical.derive_adtte(adsl, adtr, adrs, settings)
    return {"adsl": adsl, "adtr": adtr, "adrs": adrs, "adtte": adtte}


def assert_same(found, expected):
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True, obj=name)


@pytest.fixture(scope="module")
def frames():
    return RandomStudy().frames()


@pytest.fixture(scope="module")
def pearl(frames):
    return derive(frames, with_rules("pearl"))


@pytest.fixture(scope="module", params=RULES)
def case(request, frames):
    settings = with_rules(request.param)
    return frames, settings, derive(frames, settings)


def test_the_random_study_holds_what_it_is_meant_to(pearl):
    """A property of a study without progression, new lesions or deaths would prove nothing."""
    tables = pearl
    responses = tables["adrs"][tables["adrs"].PARAMCD.eq("OVRLRESP")].AVALC
    assert set(responses) >= {"CR", "PR", "SD", "PD", "NE", "NON-CR/NON-PD"}
    assert set(tables["adtr"].LESTYPE) == {"TARGET", "NON-TARGET", "NEW"}
    assert {"Disease Progression", "Death", "No Progression"} < set(tables["adtte"].EVNTDESC)
    assert tables["adsl"].NACTDT.notna().any() and tables["adsl"].TRTSDT.isna().any()


def test_the_order_of_the_rows_changes_nothing(case):
    frames, settings, expected = case
    mixed = {name: frame.sample(frac=1, random_state=1) for name, frame in frames.items()}
    assert_same(derive(mixed, settings), expected)


def test_the_names_of_the_subjects_change_nothing_but_the_names(case):
    frames, settings, expected = case
    names = sorted(set(frames["DM"].USUBJID))
    renamed = {old: f"X{len(names) - place:03d}" for place, old in enumerate(names)}  # they sort backwards
    back = {new: old for old, new in renamed.items()}
    given = {key: frame.assign(USUBJID=frame.USUBJID.map(renamed)) for key, frame in frames.items()}
    found = {
        key: table.assign(USUBJID=table.USUBJID.map(back)).sort_values(
            "USUBJID", kind="stable", ignore_index=True
        )
        for key, table in derive(given, settings).items()
    }
    assert_same(found, expected)


def test_strange_columns_and_domains_change_nothing(case):
    frames, settings, expected = case
    more = {name: frame.assign(ZZNOTE="see file", AVISITN="7", DATE="1999") for name, frame in frames.items()}
    assert_same(derive(more | {"VS": pd.DataFrame(), "ZZ": pd.DataFrame({"A": ["1"]})}, settings), expected)


@pytest.fixture(scope="module")
def numbered(frames):
    """Files must number all records of a domain or none; with numbers, other records may count."""
    given = {}
    for key, frame in frames.items():
        given[key] = frame.assign(**{f"{key}SEQ": np.arange(len(frame)).astype(str)})
    return given, derive(given, with_rules("pearl"))


@pytest.mark.parametrize("label", ["csv", "parquet, text", "xpt 5", "json, text"])
def test_the_format_of_the_files_changes_nothing(label, numbered, tmp_path):
    frames, expected = numbered
    settings = with_rules("pearl")
    for key, frame in frames.items():
        known = frame.drop(columns="SUPPDMSEQ", errors="ignore").astype(object)
        columns = known.where(known.notna(), None).items()
        table = {column: ("text", values.tolist()) for column, values in columns}
        sdtm_writers.write(table, tmp_path, key, label)
    read = clinical.read_sdtm(tmp_path, clinical.domains_needed(settings.clinical))
    assert_same(derive_read(read, settings), expected)


def test_pfs_never_ends_after_os(case):
    _, settings, tables = case
    if settings.clinical.endpoint_rules == "admiralonco":  # allows it: its last known alive ignores scans
        return
    wide = tables["adtte"].pivot_table(index="USUBJID", columns="PARAMCD", values="ADT", aggfunc="first")
    assert len(wide) > 20 and (wide.PFS <= wide.OS).all()
    assert clinical.check_pfs_os(tables["adtte"], settings.clinical)[1] == []


def test_a_later_visit_never_moves_an_earlier_progression(case):
    """Every subject is followed again and again, each time up to a later date."""
    frames, settings, _ = case
    untils = pd.date_range(DAY_ZERO + pd.Timedelta(days=100), periods=20, freq="40D")
    copies = {key: [frame] for key, frame in frames.items()}
    for key, frame in frames.items():
        dates = (
            clinical.impute_dates(frame[f"{key}DTC"], "last_day").DATE if key in ("TU", "TR", "RS") else None
        )
        for until in untils:
            known = frame if dates is None else frame[~(dates > until)]
            copies[key].append(known.assign(USUBJID=frame.USUBJID + f" until {until:%F}"))
    adtte = derive({key: pd.concat(parts, ignore_index=True) for key, parts in copies.items()}, settings)[
        "adtte"
    ]
    progressed = (
        adtte[adtte.PARAMCD.eq("PFS") & adtte.EVNTDESC.eq("Disease Progression")].set_index("USUBJID").ADT
    )
    short = progressed[progressed.index.str.contains(" until ")]
    named = short.index.str.split(" until ", expand=True).to_frame(index=False, name=["subject", "until"])
    whole = progressed.reindex(named.subject).to_numpy()  # missing where the progression has gone
    assert len(short) > 100 and (whole <= short.to_numpy()).all()
    # an equivocal new lesion, confirmed later, dates a progression back; an assessment lasts up to 14 days
    doubts = frames["TR"].TRLNKID.str.startswith("N") & frames["TR"].TRSTRESC.eq("EQUIVOCAL")
    equivocal = named.subject.isin(frames["TR"].USUBJID[doubts])
    settled = ~equivocal & (short.to_numpy() <= pd.to_datetime(named.until) - pd.Timedelta(days=14))
    assert settled.sum() > 20 and (whole[settled] == short.to_numpy()[settled]).all()


def test_a_subject_does_not_depend_on_the_others(case):
    frames, settings, expected = case
    first, names = "S-00", sorted(set(frames["DM"].USUBJID))  # the first patient in sets the cut-off
    for kept in (names[::2], [first, names[9]]):
        some = {key: frame[frame.USUBJID.isin([first, *kept])] for key, frame in frames.items()}
        found = derive(some, settings)
        for key, table in expected.items():
            left = found[key].drop(columns="PILOTFL", errors="ignore")  # the pilot is the first so many
            right = table[table.USUBJID.isin([first, *kept])].drop(columns="PILOTFL", errors="ignore")
            pd.testing.assert_frame_equal(left, right.reset_index(drop=True), check_exact=True, obj=key)
