"""The variants of ADTTE against a full derivation under each changed plan, on a study made to be ugly."""

import random

import pandas as pd
import pytest

from analysis import clinical, plan
from analysis.clinical.sensitivity import derive_adtte_sensitivity

SIZE = 40
CUTOFF = 913  # 30 months after the first subject, days
READER = {"EVAL": "INDEPENDENT ASSESSOR", "EVALID": "READER1", "ACPTFL": "Y"}


class Reads:
    """Writes the lesions of one subject as one evaluator read them."""

    def __init__(self, study, subject, draw, reader):
        self.study, self.subject, self.draw, self.reader = study, subject, draw, reader
        self.sizes, self.states, self.new = {}, {}, []

    def _evaluator(self, domain):
        return {f"{domain}{name}": value for name, value in self.reader.items()}

    def name(self, lesion, day, kind, organ="LIVER", method="CT SCAN"):
        self.study.add("TU", self.subject, TULNKID=lesion, TUORRES=kind, TULOC=organ, TUDTC=self.date(day, 0.03),
                       TUMETHOD=method, **self._evaluator("TU"))  # fmt: skip

    def read(self, lesion, day, value, method="CT SCAN", visit=None):
        sized = isinstance(value, (int, float))
        self.study.add(
            "TR",
            self.subject,
            TRLNKID=lesion,
            TRTESTCD="LDIAM" if sized else "TUMSTATE",
            TRSTRESC=str(value),
            TRSTRESU="mm" if sized else None,
            TRDTC=self.date(day, 0.03),
            TRMETHOD=method,
            VISIT=visit,
            **self._evaluator("TR"),
        )

    def date(self, day, partial):
        text = f"{pd.Timestamp('2020-01-01') + pd.Timedelta(days=day):%Y-%m-%d}"
        return text[:7] if self.draw.random() < partial else text

    def baseline(self, start):
        draw = self.draw
        for number in range(draw.choice([0, 1, 1, 2])):
            self.sizes[f"T{number}"] = draw.choice([12.0, 20.0, 25.0, 40.5])
            self.name(f"T{number}", start - 6, "TARGET", draw.choice(["LIVER", "LUNG"]))
            self.read(f"T{number}", start - 6, self.sizes[f"T{number}"])
        for number in range(draw.choice([0, 1, 1, 2])):
            self.states[f"N{number}"] = "PRESENT"
            self.name(f"N{number}", start - 6, "NON-TARGET", draw.choice(["BONE", "LYMPH NODE", "LIVER"]))
            self.read(f"N{number}", start - 6, "PRESENT")

    def visit(self, day, unscheduled):
        draw, visit = self.draw, "UNSCHEDULED" if unscheduled else None
        for lesion, size in self.sizes.items():
            new = round(size * draw.choice([0.4, 0.7, 0.9, 1, 1.1, 0]), 1)
            if size == 0:
                new = draw.choice([0, 0, 4, 9.0])
            self.sizes[lesion] = float(new)
            if draw.random() < 0.95:
                self.read(
                    lesion, day + draw.choice([0, 0, 3]) * (not unscheduled), self.sizes[lesion], visit=visit
                )
        for lesion, state in self.states.items():
            self.states[lesion] = draw.choice([state, "ABSENT", "ABSENT", "PRESENT"])
            if draw.random() < 0.95:
                self.read(
                    lesion, day, draw.choice([*[self.states[lesion]] * 30, "PROGRESSION", "NE"]), visit=visit
                )
        for lesion in self.new:
            if draw.random() < 0.7:
                self.read(
                    lesion, day, draw.choice(["EQUIVOCAL", "EQUIVOCAL", "PRESENT", "ABSENT"]), visit=visit
                )
        if draw.random() < 0.04:
            self.new.append(f"W{len(self.new)}")
            self.name(self.new[-1], day, "NEW", "LUNG")
            self.read(self.new[-1], day, draw.choice(["EQUIVOCAL", "EQUIVOCAL", "PRESENT"]), visit=visit)

    def pet(self, day):
        """A study PET that measures a target, judges a non-target and may show a new lesion."""
        for lesion, size in self.sizes.items():
            self.read(lesion, day, round(size * self.draw.choice([0.5, 1.0, 1.6]), 1), method="PET/CT SCAN")
        for lesion in self.states:
            self.read(lesion, day, self.draw.choice(["PRESENT", "ABSENT", "PROGRESSION"]), method="FDG-PET")
        if self.draw.random() < 0.2:
            self.name(f"P{day}", day, "NEW", "BONE", "FDG-PET")
            self.read(
                f"P{day}",
                day + self.draw.choice([0, 45]),
                "PRESENT",
                method=self.draw.choice([None, "CT SCAN"]),
            )


def ugly(study):
    """Fill a study with random subjects; time zero of each lies up to 700 days after the first one."""
    draw = random.Random(5)
    for number in range(SIZE):
        name, start = f"U-{number:03d}", draw.randrange(0, 700) if number else 0
        end = start + draw.randrange(20, 1300)
        study.subject(name, death=end if draw.random() < 0.5 else None, start=start, enrolled=start - 5)
        study.alive(end, name)
        if draw.random() < 0.1:
            study.add("DS", name, DSDECOD="PROGRESSIVE DISEASE", DSSTDTC=clinical_day(start + 100))
        if draw.random() < 0.3:
            study.add("CM", name, CMCAT="SUBSEQUENT ANTI-CANCER THERAPY", CMTRT="X",
                      CMSTDTC=clinical_day(start + draw.randrange(30, 500))[: draw.choice([10, 10, 7])])  # fmt: skip
        for reader in [{}] if draw.random() < 0.5 else [{}, READER]:
            lesions_of(Reads(study, name, draw, reader), start, end)
            for day in range(start + 56, end, draw.choice([56, 56, 150])):
                study.response(day, draw.choice(["CR", "PR", "SD", "SD", "NE", "PD", "CHECK"]), name,
                               **{f"RS{key}": value for key, value in reader.items()})  # fmt: skip
    return study


def clinical_day(day):
    return f"{pd.Timestamp('2020-01-01') + pd.Timedelta(days=day):%Y-%m-%d}"


def lesions_of(reads, start, end):
    draw = reads.draw
    reads.baseline(start)
    for day in (13, 27):
        if draw.random() < 0.3:
            reads.pet(start + day)
    day = start
    while (day := day + draw.choice([56, 56, 56, 60, 42, 130])) < end:
        if draw.random() < 0.95:
            reads.visit(day, draw.random() < 0.1)
    if draw.random() < 0.3 and start + 100 < CUTOFF < end:  # doubt before the cut-off, certainty after it
        reads.name("D1", CUTOFF - 40, "NEW", "LUNG")
        reads.read("D1", CUTOFF - 40, "EQUIVOCAL")
        reads.read("D1", CUTOFF + 20, "PRESENT")


@pytest.fixture(scope="module")
def sdtm(study_type):
    return ugly(study_type()).sdtm()


def derive(sdtm, settings):
    adsl = clinical.derive_adsl(sdtm, settings)
    adtr = clinical.derive_adtr(sdtm, adsl, settings)
    return adsl, adtr, clinical.derive_adrs(sdtm, adtr, adsl, settings)


# plans the study itself may be derived under: the default, its opposite, the other rule set
BASES = {
    "pearl": {},
    "turned": {"pet_only_progression": "count", "reappearance": "rejoin_sum", "followup": "all"},
    "admiralonco": {"endpoint_rules": "admiralonco"},
}
RESPONSES = {  # flips that change responses; two at once, and the way back, on top of the plan's own
    "PFSXPET": {"pet_only_progression": "count"},
    "PFSXREJ": {"reappearance": "rejoin_sum"},
    "PFSXALW": {"reappearance": "always_pd"},
    "PFSXALL": {"followup": "all"},
    "PFSXIRC": {"evaluator": "INDEPENDENT ASSESSOR"},
    "PFSXTWO": {"pet_only_progression": "count", "reappearance": "always_pd", "followup": "all"},
    "PFSXOFF": {"pet_only_progression": "ignore", "reappearance": "pd_if_patient_cr", "followup": "cutoff"},
}


ADDED = {
    "pearl": ["PFSXTWO"],
    "turned": ["PFSXALW", "PFSXIRC", "PFSXOFF"],
    "admiralonco": ["PFSXPET", "PFSXREJ", "PFSXALL", "PFSXIRC"],
}


def settings_of(base):
    settings = plan.defaults().override({f"clinical.{key}": value for key, value in BASES[base].items()})
    rules = settings.clinical
    own = {} if base == "turned" else rules.tte_sensitivity[rules.endpoint_rules]
    added = {
        name: {"endpoint": "PFS", "param": name, "changes": {f"clinical.{k}": v for k, v in flips.items()}}
        for name, flips in RESPONSES.items()
        if name in ADDED[base]
    }
    listed = {**rules.tte_sensitivity, rules.endpoint_rules: {**own, **added}}
    return settings.override({"clinical.tte_sensitivity": listed})


@pytest.mark.parametrize("base", BASES)
def test_every_variant_of_an_ugly_study_is_a_full_derivation(sdtm, base):
    settings = settings_of(base)
    tables = derive(sdtm, settings)
    found = derive_adtte_sensitivity(sdtm, *tables, settings)
    listed = settings.clinical.tte_sensitivity[settings.clinical.endpoint_rules]
    assert set(found.PARAMCD) == set(listed)
    for name, spec in listed.items():
        changed = settings.override(spec["changes"])
        wanted = clinical.derive_adtte(*derive(sdtm, changed), changed, endpoints=[spec["endpoint"]])
        rows = found[found.PARAMCD.eq(name)].reset_index(drop=True)
        left_out = ["PARAMCD", "PARAM", "SRCSEQ"]
        pd.testing.assert_frame_equal(
            rows.drop(columns=left_out), wanted.drop(columns=left_out), obj=f"{base} {name}"
        )


def test_the_ugly_study_is_ugly_enough(sdtm):
    """Each flip of responses moves somebody, else the comparison above would prove nothing."""
    settings = settings_of("pearl")
    tables = derive(sdtm, settings)
    main = clinical.derive_adtte(*tables, settings, endpoints=["PFS"]).set_index("USUBJID").AVAL
    found = derive_adtte_sensitivity(sdtm, *tables, settings)
    for name in ("PFSPET", "PFSREAP", "PFSREJN", "PFSIRC", "PFSALL", "PFSREP", "PFSXTWO"):
        other = found[found.PARAMCD.eq(name)].set_index("USUBJID").AVAL
        assert other.ne(main).sum() >= 3, name


def test_a_non_target_that_comes_back_is_no_progression_where_lesions_rejoin_the_sum(study):
    study.subject().lesion(
        "N1", {-5: "PRESENT", 56: "ABSENT", 112: "PRESENT", 168: "PRESENT"}, kind="NON-TARGET"
    )
    pfs = variants(study)
    assert study.adtte()[:2] == (112, 0)  # PD: the patient was in CR
    assert pfs["PFSREJN"] == (169, 1)


def test_a_target_measured_on_a_study_pet_counts_where_pet_counts(study):
    study.subject().lesion("T1", {-5: 20, 56: 20})
    study.add("TR", TRLNKID="T1", TRTESTCD="LDIAM", TRSTRESC="40", TRSTRESU="mm", TRDTC="2020-01-14",
              TRMETHOD="PET/CT SCAN")  # fmt: skip
    assert study.adtte()[:2] == (56, 1)
    assert variants(study)["PFSPET"] == (14, 0)


def test_all_follow_up_counts_a_lesion_confirmed_after_the_cut_off(study):
    study.subject().lesion("T1", {-5: 20, **{day: 20 for day in range(56, 1000, 56)}}).alive(1000)
    study.lesion("W1", {840: "EQUIVOCAL", 952: "PRESENT"}, kind="NEW")
    assert variants(study)["PFSALL"] == (841, 0)


def variants(study):
    return {row.PARAMCD: (int(row.AVAL), row.CNSR) for row in derive_variants(study).itertuples()}


def derive_variants(study):
    settings = study.plan()
    return derive_adtte_sensitivity(study.sdtm(), *study.derive_adrs(settings), settings)


def test_another_reader_has_no_place_in_this_adrs(study):
    """Both evaluators see the same progression; the row of one is not the source of the other."""
    for reader in ({}, READER):
        as_read = {f"TR{key}": value for key, value in reader.items()}
        lesion = "R1" if reader else "T1"
        study.add("TU", TULNKID=lesion, TUORRES="TARGET", TULOC="LIVER", TUDTC="2019-12-27", TUMETHOD="CT SCAN",
                  **{f"TU{key}": value for key, value in reader.items()})  # fmt: skip
        for day, size in (("2019-12-27", "20"), ("2020-02-26", "60")):
            study.add(
                "TR", TRLNKID=lesion, TRTESTCD="LDIAM", TRSTRESC=size, TRSTRESU="mm", TRDTC=day, **as_read
            )
    rows = derive_variants(study.subject()).set_index("PARAMCD")
    assert rows.SRCDOM[["PFSIRC", "PFSW6"]].tolist() == ["ADRS", "ADRS"]
    assert pd.isna(rows.SRCSEQ["PFSIRC"]) and rows.SRCSEQ["PFSW6"] >= 1


# --- reported against derived -------------------------------------------------------------------------------


def listing(study, **changes):
    settings = study.plan(**changes)
    rows = clinical.discrepancies(study.derive_adrs(settings)[2], settings.clinical.assessment_window_days)
    day = lambda date: None if pd.isna(date) else (date - pd.Timestamp("2020-01-01")).days
    return [(day(r.DERIVEDDT), r.DERIVED, day(r.REPORTEDDT), r.REPORTED) for r in rows.itertuples()]


def test_every_report_near_an_assessment_is_compared(study):
    study.subject().lesion("T1", {-5: 20, 56: 20}).response(56, "SD").response(58, "PD")
    assert listing(study) == [(56, "SD", 58, "PD")]


def test_two_assessments_near_one_report_are_both_compared(study):
    study.subject().lesion("T1", {-5: 20, 56: 20, 70: 40}).response(62, "SD")
    assert listing(study, assessment_window_days=10) == [(70, "PD", 62, "SD")]


def test_a_response_without_a_counterpart_is_listed(study):
    study.subject().lesion("T1", {-5: 20, 56: 20, 112: 20}).response(56, "SD").response(200, "PR")
    study.subject("S-2").response(30, "SD", "S-2")
    assert listing(study) == [(112, "SD", None, None), (None, None, 200, "PR"), (None, None, 30, "SD")]


def test_no_rows_where_a_study_has_one_side_only(study):
    study.subject().lesion("T1", {-5: 20, 56: 20})
    assert listing(study) == []


def test_a_missing_side_is_queried_once(study):
    study.subject().lesion("T1", {-5: 20, 56: 20, 112: 20}).response(56, "PR").response(200, "PR")
    codes = study.queries().CODE
    asked = ["RESPONSE_DIFFERS", "SCAN_WITHOUT_RESPONSE", "RESPONSE_WITHOUT_SCAN"]
    assert [codes.eq(code).sum() for code in asked] == [1, 1, 1]
