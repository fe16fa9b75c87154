"""PFS, OS and best response against an oracle: the specification read aloud, one subject at a time.

Subjects are random and ugly: partial dates, two reports a day, terms that are none, two evaluators, deaths and
contacts before time zero, no randomisation, placebo doses. The oracle knows dates as whole days and lists of
records, nothing of the package. The admiralonco part follows the templates ad_adsl, ad_adrs_basic and ad_adtte
of the R packages admiral and admiralonco as far as the specification does.
"""

import calendar
import datetime
import random

import pandas as pd
import pytest

from analysis import clinical, plan
from analysis.clinical.sensitivity import derive_adtte_sensitivity

N = 600
ZERO = datetime.date(2020, 1, 1)
ORDER = ["NE", "CR", "PR", "SD", "NON-CR/NON-PD", "PD"]
BEST = ["CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE"]


# --- random subjects ----------------------------------------------------------------------------------------


def iso(day):
    return (ZERO + datetime.timedelta(days=day)).isoformat()


def ugly(rng, day, year=False):
    """Write a day as a source would: mostly whole, sometimes without its day, or its month."""
    text = iso(day)
    return rng.choices([text, text[:7], text[:4] if year else text, text + "T09:30"], [12, 3, 1, 1])[0]


def one_subject(rng, name):
    maybe = lambda chance: rng.random() < chance
    records = {domain: [] for domain in ("DM", "DS", "EX", "AE", "LB", "RS", "CM", "TU", "TR")}
    add = lambda domain, **values: records[domain].append({"USUBJID": name, "STUDYID": "S", **values})
    add("DM", SEX="F", DTHDTC=ugly(rng, rng.randint(-40, 1100), year=True) if maybe(0.5) else None)
    enrolled = rng.randint(-20, 0)
    if maybe(0.93):
        add("DS", DSDECOD="RANDOMIZED", DSSTDTC=iso(enrolled))
    if maybe(0.05):
        add("DS", DSDECOD="SCREEN FAILURE", DSSTDTC=iso(-2))
    if maybe(0.25):
        add("DS", DSDECOD="PROGRESSIVE DISEASE", DSSTDTC=iso(rng.randint(20, 500)))
    for _ in range(rng.randint(0, 3)):
        drug, dose = rng.choice([("DRUG", "10"), ("DRUG", "0"), ("PLACEBO", "0"), ("DRUG", "5")])
        first = rng.randint(0, 200)
        end = ugly(rng, first + rng.randint(0, 90))
        add("EX", EXTRT=drug, EXDOSE=dose, EXSTDTC=ugly(rng, first), EXENDTC=None if maybe(0.1) else end)
    for _ in range(rng.randint(0, 3)):
        first = rng.randint(-60, 900)
        end = ugly(rng, first + rng.randint(0, 60), True) if maybe(0.6) else None
        add("AE", AESTDTC=ugly(rng, first, True), AEENDTC=end)
    for _ in range(rng.randint(0, 2)):
        add("LB", LBTESTCD="HGB", LBDTC=ugly(rng, rng.randint(-30, 1000), True))
    if maybe(0.3):
        therapy = ugly(rng, rng.randint(30, 700))
        add("CM", CMCAT="SUBSEQUENT ANTI-CANCER THERAPY", CMSTDTC=therapy)
    if maybe(0.9):
        add("TU", TULNKID="T1", TUORRES="TARGET", TULOC="LIVER", TUDTC=iso(enrolled), TUMETHOD="CT SCAN")
        size = {"TRLNKID": "T1", "TRTESTCD": "LDIAM", "TRSTRESC": "20", "TRSTRESU": "mm"}
        add("TR", **size, TRDTC=iso(enrolled))
    add_responses(rng, add, maybe)
    return records


def add_responses(rng, add, maybe):
    day = rng.randint(-30, 60)
    for _ in range(rng.randint(0, 9)):
        terms = ["SD", "PR", "CR", "PD", "NE", "NON-CR/NON-PD", "CHECK", None]
        for _ in range(2 if maybe(0.15) else 1):  # two reports of one day
            value = rng.choices(terms, [8, 5, 3, 2, 3, 2, 1, 1])[0]
            who = rng.choices(["INVESTIGATOR", "INDEPENDENT ASSESSOR"], [4, 1])[0]
            accepted = "Y" if who != "INVESTIGATOR" and maybe(0.6) else None
            add(
                "RS", RSTESTCD="OVRLRESP", RSSTRESC=value, RSDTC=ugly(rng, day), RSEVAL=who, RSACPTFL=accepted
            )
        if maybe(0.1):
            add("RS", RSTESTCD="TRGRESP", RSSTRESC="PD", RSDTC=iso(day), RSEVAL="INVESTIGATOR")
        day += rng.choice([14, 35, 56, 56, 57, 70, 126, 127])


@pytest.fixture(scope="module")
def raw():
    rng = random.Random(20200101)
    return {f"S{number:04d}": one_subject(rng, f"S{number:04d}") for number in range(N)}


@pytest.fixture(scope="module")
def sdtm(raw):
    frames = {}
    for domain in ("DM", "DS", "EX", "AE", "LB", "RS", "CM", "TU", "TR"):
        rows = [record for records in raw.values() for record in records[domain]]
        frame = pd.DataFrame(rows)
        frame[f"{domain}SEQ"] = [str(number) for number in range(1, len(frame) + 1)]
        frames[domain] = frame.sample(frac=1, random_state=1).reset_index(drop=True)
    return clinical.complete(frames)


# --- the specification, subject by subject ------------------------------------------------------------------


def parts(text):
    text = (text or "")[:10]
    return [int(part) for part in text.split("-")] if text else []


def whole(text):
    return datetime.date(*parts(text)) if len(parts(text)) == 3 else None


def first_of_month(text):
    return datetime.date(*parts(text), 1) if len(parts(text)) == 2 else whole(text)


def first_of_period(text):
    return datetime.date(*parts(text), 1, 1) if len(parts(text)) == 1 else first_of_month(text)


def last_of_month(text):
    if len(parts(text)) == 2:
        year, month = parts(text)
        return datetime.date(year, month, calendar.monthrange(year, month)[1])
    return whole(text)


def latest(dates):
    return max((date for date in dates if date), default=None)


def earliest(dates):
    return min((date for date in dates if date), default=None)


def doses(subject):
    return [
        dose
        for dose in subject["EX"]
        if float(dose["EXDOSE"]) > 0 or (float(dose["EXDOSE"]) == 0 and dose["EXTRT"] == "PLACEBO")
    ]


def responses(subject, start, evaluator):
    """One response a date, valid terms from time zero on: the worst, by rule 4 of the specification."""
    by_date = {}
    for record in subject["RS"]:
        mine = record["RSEVAL"] == evaluator and (evaluator == "INVESTIGATOR" or record["RSACPTFL"] == "Y")
        date = last_of_month(record["RSDTC"])
        if not mine or record["RSTESTCD"] != "OVRLRESP" or record["RSSTRESC"] not in ORDER or date < start:
            continue
        worst = max(by_date.get(date, "NE"), record["RSSTRESC"], key=ORDER.index)
        by_date[date] = worst
    return sorted(by_date.items())


def row(start, date, cnsr, event, censored):
    date = max(date, start)
    days = (date - start).days + 1
    return (start.isoformat(), date.isoformat(), days, days / 30.4375, cnsr, event, censored)


def reference_start(subject):
    return earliest(whole(record["DSSTDTC"]) for record in subject["DS"] if record["DSDECOD"] == "RANDOMIZED")


def reference_pfs(subject, start, evaluator, until=None):
    assessed = responses(subject, start, evaluator)
    progressed = earliest(date for date, value in assessed if value == "PD")
    died = first_of_period(subject["DM"][0]["DTHDTC"])
    event = earliest([progressed, died])
    if until and (event is None or event > until):
        last = latest(date for date, _ in assessed if date <= until)
        at_start = last is None or last <= start
        words = "Randomization" if at_start else "Last Tumor Assessment"
        return row(start, last or start, 2, "New Anti-Cancer Therapy", words)
    if event:
        return row(start, event, 0, "Disease Progression" if progressed == event else "Death", None)
    last = latest(date for date, _ in assessed)
    if last is None or last <= start:
        return row(start, start, 1, "Randomization", "Randomization")
    return row(start, last, 1, "Last Tumor Assessment", "Last Tumor Assessment")


def reference_os(subject, start):
    if died := first_of_period(subject["DM"][0]["DTHDTC"]):
        return row(start, died, 0, "Death", None)
    alive = latest(
        [
            *(first_of_period(record[name]) for record in subject["AE"] for name in ("AESTDTC", "AEENDTC")),
            *(first_of_period(record["LBDTC"]) for record in subject["LB"]),
            *(whole(dose["EXENDTC"]) for dose in doses(subject)),
        ]
    )
    if alive is None or alive <= start:
        return row(start, start, 1, "Randomization", "Randomization")
    return row(start, alive, 1, "Alive", "Alive During Study")


def confirms(assessed, place, value):
    """Tell whether a response is confirmed: 28 days later or more, one NE between at most."""
    date, missed, complete = assessed[place][0], 0, False
    for later, next_value in assessed[place + 1 :]:
        if next_value == "NE":
            missed += 1
            if missed > 1:
                return False
        elif next_value == "CR" or (next_value == "PR" and value == "PR" and not complete):
            complete = complete or next_value == "CR"
            if (later - date).days >= 28:
                return True
        else:
            return False
    return False


def best_response(assessed, start, confirmed):
    until_pd = []
    for date, value in assessed:
        until_pd.append((date, value))
        if value == "PD":
            break
    found = []
    for place, (date, value) in enumerate(until_pd):
        sure = value in ("CR", "PR") and (not confirmed or confirms(until_pd, place, value))
        if sure or value in ("PD", "NE"):
            found.append(value)
        elif (date - start).days >= 42:
            found.append("NON-CR/NON-PD" if value == "NON-CR/NON-PD" else "SD")
        else:
            found.append("NE")
    return min(found, key=BEST.index, default="MISSING")


def therapy_start(subject):
    given = earliest(whole(dose["EXSTDTC"]) for dose in doses(subject))
    found = []
    for record in subject["CM"]:
        date = first_of_month(record["CMSTDTC"])
        if (
            given
            and len(parts(record["CMSTDTC"])) == 2
            and parts(record["CMSTDTC"]) == [given.year, given.month]
        ):
            date = max(date, given)  # filling never crosses the start of treatment
        if given is None or date >= given:
            found.append(date)
    return earliest(found)


# --- rule set pearl, from reported responses ----------------------------------------------------------------


def add_months(date, months):
    month = date.month - 1 + months
    year, month = date.year + month // 12, month % 12 + 1
    return datetime.date(year, month, min(date.day, calendar.monthrange(year, month)[1]))


def fill_after(text, bound, fill):
    """Fill a partial date by `fill`, but not before `bound` where both lie in one month or year."""
    date, given = fill(text), parts(text)
    if date and bound and len(given) < 3 and given == [bound.year, bound.month][: len(given)]:
        return max(date, bound)
    return date


def pearl_alive(subject, start):
    contact = lambda text: fill_after(text, start, first_of_period)
    return latest(
        [
            *(contact(record[name]) for record in subject["AE"] for name in ("AESTDTC", "AEENDTC")),
            *(contact(record["LBDTC"]) for record in subject["LB"]),
            *(contact(record["CMSTDTC"]) for record in subject["CM"]),
            *(contact(record["DSSTDTC"]) for record in subject["DS"]),
            *(whole(dose[name]) for dose in doses(subject) for name in ("EXSTDTC", "EXENDTC")),
            *(fill_after(record["RSDTC"], start, last_of_month) for record in subject["RS"]),
            *(whole(record["TUDTC"]) for record in subject["TU"]),
        ]
    )


def pearl_facts(subject, start, cutoff):
    inside = lambda date: date if date and date <= cutoff else None
    alive = pearl_alive(subject, start)
    assessed = [item for item in responses(subject, start, "INVESTIGATOR") if item[0] <= cutoff]
    died = fill_after(subject["DM"][0]["DTHDTC"], latest([alive, start]), first_of_period)
    return assessed, inside(died), inside(therapy_start(subject)), alive, died


def pearl_pfs(subject, start, cutoff, missed=126, count_missed=False, count_therapy=False):
    assessed, died, therapy, *_ = pearl_facts(subject, start, cutoff)
    progressed = earliest(date for date, value in assessed if value == "PD")
    event = earliest([progressed, died])
    adequate = [
        date for date, value in assessed if value not in ("NE", "PD") and not (event and date > event)
    ]
    words = lambda date: "Treatment Start" if date is None or date <= start else "Last Tumor Assessment"
    censor = lambda date, why: row(start, date or start, 1, why, words(date))
    if died and not assessed:
        return row(start, died, 0, "Death", None)
    if not subject["TR"]:
        return censor(start, "No Adequate Baseline")
    last = latest(adequate)
    if event and not count_missed and (event - (last or start)).days > missed:
        return censor(last, "Two or More Missed Assessments")
    if therapy and not count_therapy and (event is None or therapy < event):
        return censor(latest(date for date in adequate if date <= therapy), "New Anti-Cancer Therapy")
    if event:
        return row(start, event, 0, "Disease Progression" if progressed == event else "Death", None)
    return censor(last, "No Progression" if last else "No Post-Baseline Assessment")


def pearl_os(subject, start, cutoff):
    _, died, _, alive, death = pearl_facts(subject, start, cutoff)
    if died:
        return row(start, died, 0, "Death", None)
    known = latest([alive, death])
    if known and known >= cutoff:
        return row(start, cutoff, 1, "Alive", "Treatment Start" if cutoff <= start else "Data Cut-Off")
    if alive is None or alive <= start:
        return row(start, start, 1, "Alive", "Treatment Start")
    return row(start, alive, 1, "Alive", "Alive During Study")


# --- the comparison -----------------------------------------------------------------------------------------


def derive(sdtm, **changes):
    chosen = plan.defaults().override({f"clinical.{name}": value for name, value in changes.items()})
    adsl = clinical.derive_adsl(sdtm, chosen)
    adtr = clinical.derive_adtr(sdtm, adsl, chosen)
    adrs = clinical.derive_adrs(sdtm, adtr, adsl, chosen)
    adtte = clinical.derive_adtte(adsl, adtr, adrs, chosen)
    return adtte, adrs, derive_adtte_sensitivity(sdtm, adsl, adtr, adrs, chosen)


def rows_of(adtte, paramcd):
    rows = adtte[adtte.PARAMCD.eq(paramcd)]
    day = lambda column: column.dt.strftime("%Y-%m-%d")
    cells = zip(
        day(rows.STARTDT), day(rows.ADT), rows.AVAL, rows.AVALM, rows.CNSR, rows.EVNTDESC, rows.CNSDTDSC
    )
    return dict(zip(rows.USUBJID, cells))


def compare(found, wanted):
    assert sorted(found) == sorted(wanted)
    apart = lambda one, other: one[:3] + one[4:] != other[:3] + other[4:] or abs(one[3] - other[3]) > 1e-9
    differ = {name: (found[name], wanted[name]) for name in wanted if apart(found[name], wanted[name])}
    assert not differ, f"{len(differ)} of {len(wanted)}: {list(differ.items())[:5]}"


@pytest.fixture(scope="module", params=["INVESTIGATOR", "INDEPENDENT ASSESSOR"])
def reference(request, sdtm):
    return request.param, derive(sdtm, endpoint_rules="admiralonco", evaluator=request.param)


def started(raw, start_of):
    return {name: (subject, start_of(subject)) for name, subject in raw.items() if start_of(subject)}


def test_reference_pfs(raw, reference):
    evaluator, (adtte, _, _) = reference
    wanted = {
        n: reference_pfs(s, start, evaluator) for n, (s, start) in started(raw, reference_start).items()
    }
    assert len(wanted) > 300
    assert {row[5] for row in wanted.values()} >= {"Disease Progression", "Death", "Randomization"}
    compare(rows_of(adtte, "PFS"), wanted)


def test_reference_os(raw, reference):
    wanted = {n: reference_os(s, start) for n, (s, start) in started(raw, reference_start).items()}
    assert {row[5] for row in wanted.values()} == {"Death", "Alive", "Randomization"}
    compare(rows_of(reference[1][0], "OS"), wanted)


def test_reference_pfs_up_to_new_therapy(raw, reference):
    evaluator, (_, _, variants) = reference
    subjects = started(raw, reference_start)
    wanted = {n: reference_pfs(s, start, evaluator, therapy_start(s)) for n, (s, start) in subjects.items()}
    assert sum(row[4] == 2 for row in wanted.values()) > 10
    compare(rows_of(variants, "PFSNACT"), wanted)


def test_reference_responses_one_a_date_the_worst(raw, reference):
    evaluator, (_, adrs, _) = reference
    rows = adrs[adrs.PARAMCD.eq("RSREP")]
    wanted = {
        (name, date.isoformat(), value)
        for name, (subject, start) in started(raw, reference_start).items()
        for date, value in responses(subject, start, evaluator)
    }
    assert len(wanted) > 300
    assert set(zip(rows.USUBJID, rows.ADT.dt.strftime("%Y-%m-%d"), rows.AVALC)) == wanted


@pytest.mark.parametrize(("paramcd", "confirmed"), [("BOR", False), ("CBOR", True)])
def test_reference_best_response(raw, reference, paramcd, confirmed):
    evaluator, (_, adrs, _) = reference
    rows = adrs[adrs.PARAMCD.eq(paramcd)]
    wanted = {
        name: best_response(responses(subject, start, evaluator), start, confirmed)
        for name, (subject, start) in started(raw, reference_start).items()
    }
    assert {"CR", "PR", "SD", "PD", "NE", "MISSING"} <= set(wanted.values())
    assert dict(zip(rows.USUBJID, rows.AVALC)) == wanted


def test_confirmed_responses_never_outnumber_unconfirmed(reference):
    adrs = reference[1][1]
    counts = adrs[adrs.AVALC.isin(["CR", "PR"])].groupby("PARAMCD").USUBJID.nunique()
    assert 0 < counts["CBOR"] < counts["BOR"]


@pytest.fixture(scope="module")
def pearl(sdtm):
    return derive(sdtm, response_source="reported")


def pearl_start(subject):
    """First dose; none where a partial date may lie on or before it (time zero is never filled)."""
    written = [dose["EXSTDTC"] for dose in doses(subject) if dose["EXSTDTC"]]
    first = earliest(whole(text) for text in written)
    partial = [
        text + "-01" * ((10 - len(text)) // 3) for text in written if not whole(text) and len(text) < 10
    ]
    if first and any(text <= first.isoformat() for text in partial):
        return None
    return first


def pearl_cutoff(raw):
    return add_months(min(filter(None, map(reference_start, raw.values()))), 30)


def pearl_subjects(raw):
    cutoff = pearl_cutoff(raw)
    return {name: pair for name, pair in started(raw, pearl_start).items() if pair[1] <= cutoff}, cutoff


@pytest.mark.parametrize(
    ("paramcd", "changes"),
    [
        ("PFS", {}),
        ("PFSMISS", {"count_missed": True}),
        ("PFSNACT", {"count_therapy": True}),
        ("PFSW6", {"missed": 98}),
        ("PFSW12", {"missed": 182}),
        ("PFSWIN14", {"missed": 140}),
    ],
)
def test_pearl_pfs(raw, pearl, paramcd, changes):
    subjects, cutoff = pearl_subjects(raw)
    wanted = {name: pearl_pfs(s, start, cutoff, **changes) for name, (s, start) in subjects.items()}
    assert len(wanted) > 300
    assert len({row[5] for row in wanted.values()}) >= 6
    compare(rows_of(pearl[0] if paramcd == "PFS" else pearl[2], paramcd), wanted)


def test_pearl_os(raw, pearl):
    subjects, cutoff = pearl_subjects(raw)
    wanted = {name: pearl_os(s, start, cutoff) for name, (s, start) in subjects.items()}
    assert {row[6] for row in wanted.values()} >= {None, "Data Cut-Off", "Alive During Study"}
    compare(rows_of(pearl[0], "OS"), wanted)


def test_pearl_pfs_never_ends_after_os(pearl):
    wide = pearl[0].pivot_table(index="USUBJID", columns="PARAMCD", values="AVAL")
    assert (wide.PFS <= wide.OS).all()
