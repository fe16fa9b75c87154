"""A hand-sized SDTM study: days are counted from first dose on 2020-01-01."""

from types import SimpleNamespace

import pandas as pd
import pytest

from analysis import clinical, plan

FIRST_DOSE = pd.Timestamp("2020-01-01")


def iso(day):
    """Date `day` days after first dose, as SDTM writes it; text passes."""
    return (
        day
        if isinstance(day, str) or day is None
        else (FIRST_DOSE + pd.Timedelta(days=day)).strftime("%Y-%m-%d")
    )


class Study:
    """Collects records of one or more subjects and derives everything from them."""

    def __init__(self):
        self.rows = {name: [] for name in clinical.sdtm.DOMAINS}
        self.derived = {}  # records and changes of the plan -> ADSL, ADTR, ADRS

    def add(self, domain, subject="S-1", **values):
        row = {"STUDYID": "S", "USUBJID": subject, f"{domain}SEQ": str(len(self.rows[domain]) + 1), **values}
        self.rows[domain].append(row)
        return self

    def subject(self, subject="S-1", death=None, start=0, enrolled=-5):
        self.add("DM", subject, DTHDTC=iso(death), SEX="F", AGE="60")
        if enrolled is not None:
            self.add("DS", subject, DSDECOD="RANDOMIZED", DSSTDTC=iso(enrolled))
        if start is not None:
            self.add("EX", subject, EXSTDTC=iso(start), EXENDTC=iso(start + 1), EXDOSE="10", EXTRT="DRUG")
        return self

    def lesion(self, name, sizes, subject="S-1", kind="TARGET", organ="LIVER", method="CT SCAN", **values):
        """`sizes` maps day to mm; the first is where TU names it."""
        days = list(sizes)
        self.add("TU", subject, TULNKID=name, TUORRES=kind, TULOC=organ, TUDTC=iso(days[0]), TUMETHOD=method)
        for day, size in sizes.items():
            test = "SAXIS" if "NODE" in organ else "LDIAM"
            test = test if kind == "TARGET" else "TUMSTATE"
            found = {"TRTESTCD": test, "TRSTRESC": None if size is None else str(size)}
            unit = "mm" if test != "TUMSTATE" else None
            self.add(
                "TR", subject, TRLNKID=name, TRSTRESU=unit, TRDTC=iso(day), TRMETHOD=method, **found, **values
            )
        return self

    def response(self, day, value, subject="S-1", **values):
        return self.add("RS", subject, RSTESTCD="OVRLRESP", RSSTRESC=value, RSDTC=iso(day), **values)

    def alive(self, day, subject="S-1"):
        return self.add("AE", subject, AESTDTC=iso(day))

    def take(self, other, subject):
        """Add the records of `other`, its subject S-1 as `subject`, S-2 as `subject`-2 and so on."""
        for domain, rows in other.rows.items():
            for row in rows:
                name = row["USUBJID"].removeprefix("S-1").replace("S-", "-")
                self.rows[domain].append(row | {"USUBJID": subject + name})
        return self

    def sdtm(self):
        return clinical.complete({name: pd.DataFrame(rows) for name, rows in self.rows.items() if rows})

    def plan(self, **changes):
        return plan.defaults().override({f"clinical.{name}": value for name, value in changes.items()})

    def derive(self, **changes):
        return clinical.derive_all(self.sdtm(), self.plan(**changes))

    def endpoints(self, **changes):
        """Derive ADSL, ADTR, ADRS and ADTTE alone: neither sensitivity variants nor queries."""
        settings = self.plan(**changes)
        adsl, adtr, adrs = self.derive_adrs(settings)
        adtte, _ = clinical.check_pfs_os(clinical.derive_adtte(adsl, adtr, adrs, settings), settings.clinical)
        return SimpleNamespace(adsl=adsl, adtr=adtr, adrs=adrs, adtte=adtte)

    def derive_adrs(self, settings):
        """Derive ADSL, ADTR and ADRS, once for the same records and the same plan."""
        key = (repr(self.rows), repr(settings.values))
        if key not in self.derived:
            sdtm = self.sdtm()
            adsl = clinical.derive_adsl(sdtm, settings)
            adtr = clinical.derive_adtr(sdtm, adsl, settings)
            self.derived[key] = adsl, adtr, clinical.derive_adrs(sdtm, adtr, adsl, settings)
        return tuple(table.copy() for table in self.derived[key])

    def queries(self, **changes):
        """Run the data checks without the sensitivity variants."""
        settings = self.plan(**changes)
        adsl, adtr, adrs = self.derive_adrs(settings)
        adtte = clinical.derive_adtte(adsl, adtr, adrs, settings)
        return clinical.check_queries(self.sdtm(), adsl, adtr, adrs, adtte, settings)

    def adtte(self, paramcd="PFS", subject="S-1", **changes):
        """Return day from first dose, CNSR, EVNTDESC, CNSDTDSC of one row of ADTTE or its variants."""
        settings = self.plan(**changes)
        variant = settings.clinical.tte_sensitivity[settings.clinical.endpoint_rules].get(paramcd)
        if variant:
            settings, paramcd = settings.override(variant["changes"]), variant["endpoint"]
        rows = clinical.derive_adtte(*self.derive_adrs(settings), settings, endpoints=[paramcd])
        row = rows[rows.USUBJID.eq(subject)].iloc[0]
        return (row.ADT - FIRST_DOSE).days, row.CNSR, row.EVNTDESC, row.CNSDTDSC

    def responses(self, paramcd="OVRLRESP", subject="S-1", **changes):
        """Return (day, value) pairs of one ADRS parameter."""
        adrs = self.derive_adrs(self.plan(**changes))[2]
        rows = adrs[adrs.PARAMCD.eq(paramcd) & adrs.USUBJID.eq(subject)]
        return [((date - FIRST_DOSE).days, value) for date, value in zip(rows.ADT, rows.AVALC)]


@pytest.fixture
def study():
    return Study()


@pytest.fixture(scope="session")
def study_type():
    """Return the class itself, for tests that derive many subjects once."""
    return Study
