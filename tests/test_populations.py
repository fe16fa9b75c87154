"""Populations: hand-sized studies with every reason written out, and random ones whose flow must add up."""

import numpy as np
import pandas as pd
import pytest

from analysis import contracts, plan, populations
from analysis.figures import flow

DAY0 = pd.Timestamp("2020-01-01")
LABELS = {
    "ENROLLED": "Enrolled",
    "TREATED": "Treated",
    "ENDPOINTS": "With endpoints",
    "PETEV-D14": "PET-evaluable at day 14",
    "LANDMARK-PFS": "In the PFS analysis",
}


def adsl(**subjects):
    """`subjects` maps a name to (registered, treated)."""
    rows = [
        {
            "STUDYID": "S",
            "USUBJID": name,
            "ENRLDT": DAY0 if registered else pd.NaT,
            "TRTSDT": DAY0 if treated else pd.NaT,
            "SAFFL": "Y" if treated else "N",
        }
        for name, (registered, treated) in subjects.items()
    ]
    frame = pd.DataFrame(rows, columns=["STUDYID", "USUBJID", "ENRLDT", "TRTSDT", "SAFFL"])
    dates = ["ENRLDT", "TRTSDT"]
    return frame.astype({name: "datetime64[ns]" for name in dates})


def ledger(*rows):
    """Rows (STEP, USUBJID, AVISIT, ITEM, CODE, REASON)."""
    return pd.DataFrame(rows, columns=["STEP", "USUBJID", "AVISIT", "ITEM", "CODE", "REASON"], dtype=object)


def endpoints(*subjects):
    return pd.DataFrame({"USUBJID": list(subjects), "PARAMCD": "PFS"})


def scans(*rows):
    """Rows (USUBJID, AVISIT, STATUS, CODE, MESSAGE)."""
    return pd.DataFrame(rows, columns=["USUBJID", "AVISIT", "STATUS", "CODE", "MESSAGE"], dtype=object)


def lesions(**evaluable):
    rows = [
        {"USUBJID": name, "AVISIT": "D0", "LESIONID": "L1", "EVALFL": flag}
        for name, flag in evaluable.items()
    ]
    return pd.DataFrame(rows, columns=["USUBJID", "AVISIT", "LESIONID", "EVALFL"], dtype=object)


def one_day(day="D14"):
    return plan.defaults().override({"design.followup_visits": [day]})


def state(table, population):
    """Return subject -> None (inside) or CODE."""
    rows = table[table["POPULATION"].eq(population)]
    return {row.USUBJID: None if row.INFL == "Y" else row.CODE for row in rows.itertuples()}


def test_registration_and_treatment_are_separate_and_each_has_its_reason():
    people = adsl(both=(1, 1), waits=(1, 0), unregistered=(0, 1), failed=(0, 0))
    aside = ledger(
        ("01", "failed", None, "subject", "SCREEN_FAILURE", "screen failure: never treated"),
        ("01", "waits", None, "subject", "NO_START_DATE", "no date of TRTSDT"),
    )
    table = populations.derive_populations(people, aside, plan=plan.defaults())
    assert contracts.check("populations", table) is not None
    assert state(table, "ENROLLED") == {
        "both": None, "waits": None, "unregistered": "NOT_ENROLLED", "failed": "SCREEN_FAILURE",
    }  # fmt: skip
    assert state(table, "TREATED") == {
        "both": None, "unregistered": None, "waits": "NO_START_DATE", "failed": "SCREEN_FAILURE",
    }  # fmt: skip


def test_a_study_without_registration_records_has_no_population_of_enrolled():
    table = populations.derive_populations(adsl(a=(0, 1), b=(0, 0)), ledger(), plan=plan.defaults())
    assert table["POPULATION"].unique().tolist() == ["TREATED"]
    assert state(table, "TREATED") == {"a": None, "b": "NOT_TREATED"}


def test_an_unregistered_subject_of_a_study_from_randomisation_is_outside_for_that_and_not_for_treatment():
    people = adsl(a=(1, 1), b=(0, 0), c=(0, 1))
    why = "no date of ENRLDT: not treated, not registered or a partial date"
    aside = ledger(*[("01", name, None, "subject", "NO_START_DATE", why) for name in "bc"])
    settings = plan.defaults().override({"clinical.endpoint_rules": "admiralonco"})
    table = populations.derive_populations(people, aside, adtte=endpoints("a"), plan=settings)
    assert state(table, "ENROLLED") == state(table, "ENDPOINTS") == {
        "a": None, "b": "NO_START_DATE", "c": "NO_START_DATE",
    }  # fmt: skip
    assert state(table, "TREATED") == {"a": None, "b": "NOT_TREATED", "c": None}


def test_nobody_is_lost():
    people = adsl(a=(1, 1), b=(1, 1), c=(1, 1))
    with pytest.raises(populations.PopulationError) as error:
        populations.derive_populations(people, ledger(), adtte=endpoints("a", "x"), plan=plan.defaults())
    text = str(error.value)
    assert "2 problem(s)" in text and "NOT_IN_ADSL adtte: 1 subject(s) (x)" in text
    assert "NO_REASON ENDPOINTS: 2 subject(s) (b, c)" in text


def test_every_reason_of_a_pair_of_scans():
    names = [
        "fine",
        "none",
        "no_base",
        "bad_base",
        "no_next",
        "bad_next",
        "unplanned",
        "undrawn",
        "faint",
        "unknown",
    ]
    people = adsl(**{name: (1, 1) for name in [*names, "odd"]}, never=(0, 0))
    found = [(name, visit, "OK", None, None) for name in names for visit in ("D0", "D14")]
    gone = {("no_base", "D0"), ("no_next", "D14"), ("unplanned", "D14"), ("none", "D0"), ("none", "D14")}
    refused = {("bad_base", "D0"), ("bad_next", "D14")}
    found = [row for row in found if row[:2] not in gone | refused]
    found += [(*scan, "REFUSED", "WEIGHT_MISSING", "no weight; ask for it") for scan in sorted(refused)]
    found += [("never", visit, "OK", None, None) for visit in ("D0", "D14")]
    found += [("odd", "D0", "OK", None, None)]
    aside = ledger(
        ("01", "never", None, "subject", "SCREEN_FAILURE", "screen failure: never treated"),
        ("02", "none", None, "subject", "NO_PET_SCAN", "no PET series of this subject was found; send it"),
        ("02", "faint", "D0", "subject", "NOT_FDG_EVALUABLE", "no lesion reaches the threshold"),
        ("02", "odd", None, "scan", "DATE_IN_NO_WINDOW", "dicom/x: its date fits no visit"),
        ("02", "fine", None, "record", "NOT_QUANTITATIVE_SERIES", "dicom/y: a projection"),
    )
    flags = dict.fromkeys([*names, "odd", "never"], "Y") | {"faint": "N", "unknown": "N"}
    del flags["undrawn"]
    planned = pd.DataFrame(
        {"USUBJID": [name for name in [*names, "odd"] if name != "unplanned"], "AVISIT": "D14"}
    )
    table = populations.derive_populations(
        people, aside, scan_qc=scans(*found), lesions=lesions(**flags), admr=planned, plan=one_day()
    )
    assert state(table, "PETEV-D14") == {
        "fine": None,
        "none": "NO_PET_SCAN",
        "no_base": "NO_BASELINE_SCAN",
        "bad_base": "BASELINE_REFUSED",
        "no_next": "NO_FOLLOWUP_SCAN",
        "bad_next": "SCAN_REFUSED",
        "unplanned": "NO_SCAN_PLANNED",
        "undrawn": "NO_LESION",
        "faint": "NOT_FDG_EVALUABLE",
        "unknown": "NOT_FDG_EVALUABLE",
        "odd": "DATE_IN_NO_WINDOW",
        "never": "SCREEN_FAILURE",
    }
    why = table.set_index(["POPULATION", "USUBJID"])["REASON"]
    assert why["PETEV-D14", "bad_next"].startswith("follow-up scan refused: D14 WEIGHT_MISSING; no weight")
    assert why["PETEV-D14", "faint"] == "no lesion reaches the threshold"
    assert why["PETEV-D14", "odd"].startswith("no follow-up scan: ")


def test_a_second_series_of_a_visit_that_could_be_measured_counts():
    found = scans(
        ("a", "D0", "OK", None, None), ("a", "D14", "REFUSED", "X", "x"), ("a", "D14", "OK", None, None)
    )
    people = adsl(a=(1, 1))
    table = populations.derive_populations(
        people, ledger(), scan_qc=found, lesions=lesions(a="Y"), plan=one_day()
    )
    assert state(table, "PETEV-D14") == {"a": None}


def test_a_study_with_one_scan_asks_for_the_baseline_scan_alone():
    found = scans(("a", "D0", "OK", None, None), ("b", "D0", "REFUSED", "NO_DOSE", "no dose"))
    settings = plan.defaults().override({"design.followup_visits": []})
    people = adsl(a=(0, 1), b=(0, 1), c=(0, 1))
    table = populations.derive_populations(
        people, ledger(), scan_qc=found, lesions=lesions(a="Y"), plan=settings
    )
    assert state(table, "PETEV-D0") == {"a": None, "b": "BASELINE_REFUSED", "c": "NO_BASELINE_SCAN"}


def test_a_failed_assay_is_not_a_result_and_a_negative_one_is():
    rows = [
        ("a", "DETECTED"),
        ("b", "NOT DETECTED"),
        ("c", "NOT ASSESSABLE"),
        ("d", "NOT ASSESSABLE"),
        ("d", "DETECTED"),
    ]
    adbm = pd.DataFrame(rows, columns=["USUBJID", "AVALC"]).assign(
        PARAMCD="CTDNA", PARTYPE="CTDNA", AVISIT="D0"
    )
    tumour = pd.DataFrame(
        [{"USUBJID": "e", "AVALC": "MUTATED", "PARAMCD": "TP53", "PARTYPE": "MUT", "AVISIT": "D0"}]
    )
    people = adsl(**{name: (0, 1) for name in "abcde"})
    both = pd.concat([adbm, tumour])
    table = populations.derive_populations(people, ledger(), adbm=both, plan=plan.defaults())
    expected = {"a": None, "b": None, "c": "NOT_ASSESSABLE", "d": None, "e": "NO_SAMPLE"}
    assert state(table, "CTDNA-D0") == expected
    assert set(state(table, "CTDNA-D14").values()) == {"NO_SAMPLE"}
    without = populations.derive_populations(people, ledger(), adbm=tumour, plan=plan.defaults())
    assert without["POPULATION"].unique().tolist() == ["TREATED"]


def test_the_landmark_sets_take_the_reason_of_their_own_endpoint():
    people = adsl(a=(0, 1), b=(0, 1), c=(0, 1), d=(0, 0))
    aside = ledger(
        ("01", "d", None, "subject", "NO_START_DATE", "no date of TRTSDT"),
        ("04", "b", "D14", "subject", "EVENT_BEFORE_LANDMARK", "PFS: event on or before the landmark"),
        ("04", "c", "D14", "subject", "NOT_EVALUABLE", "PFS: NO_FOLLOWUP_SCAN"),
        ("04", "c", "D14", "subject", "NOT_EVALUABLE", "OS: NO_FOLLOWUP_SCAN"),
    )
    sets = pd.DataFrame({"USUBJID": ["a", "a", "b"], "ENDPOINT": ["PFS", "OS", "OS"]})
    table = populations.derive_populations(people, aside, analysis_set=sets, plan=plan.defaults())
    out = table[table["INFL"].eq("N")].set_index(["POPULATION", "USUBJID"])
    assert out["CODE"]["LANDMARK-PFS"].to_dict() == {
        "b": "EVENT_BEFORE_LANDMARK", "c": "NOT_EVALUABLE", "d": "NO_START_DATE",
    }  # fmt: skip
    assert out["CODE"]["LANDMARK-OS"].to_dict() == {"c": "NOT_EVALUABLE", "d": "NO_START_DATE"}
    assert out["REASON"]["LANDMARK-PFS", "c"] == "no follow-up scan"
    with pytest.raises(populations.PopulationError, match="NO_REASON LANDMARK-OS: 1 subject"):
        populations.derive_populations(people, aside.drop(index=3), analysis_set=sets, plan=plan.defaults())


def test_one_endpoint_of_a_ready_table_set_aside_is_a_reason_for_that_endpoint_alone():
    people = adsl(a=(0, 1), b=(0, 1))
    aside = ledger(("01", "b", None, "record", "DAY_MISSING", "PFS: the day of the event is missing"))
    sets = pd.DataFrame({"USUBJID": ["a", "a", "b"], "ENDPOINT": ["PFS", "OS", "OS"]})
    table = populations.derive_populations(
        people, aside, adtte=endpoints("a", "b"), analysis_set=sets, plan=plan.defaults()
    )
    assert state(table, "ENDPOINTS") == state(table, "LANDMARK-OS") == {"a": None, "b": None}
    assert state(table, "LANDMARK-PFS") == {"a": None, "b": "DAY_MISSING"}


def test_measurable_disease_needs_a_target_lesion_at_baseline():
    lesions_seen = [("a", "TARGET", 0.0, 20.0), ("b", "NON-TARGET", 0.0, None), ("c", "TARGET", 1.0, 20.0)]
    lesions_seen += [("d", "TARGET", 0.0, 20.0), ("e", "TARGET", 0.0, None), ("f", "TARGET", 0.0, 20.0)]
    adtr = pd.DataFrame(lesions_seen, columns=["USUBJID", "LESTYPE", "AVISITN", "DIAM_MM"])
    people = adsl(**{name: (1, 1) for name in "abcef"}, d=(1, 0)).assign(DCUTDT=DAY0)
    people.loc[people["USUBJID"].eq("f"), "DCUTDT"] -= pd.Timedelta(days=1)
    late = ledger(("01", "f", None, "subject", "START_AFTER_CUTOFF", "started after the data cut-off"))
    table = populations.derive_populations(people, late, adtr=adtr, plan=plan.defaults())
    assert state(table, "MEASURABLE") == {
        "a": None, "b": "NO_TARGET_LESION", "c": "NO_TARGET_LESION", "d": "NO_START_DATE",
        "e": "NO_TARGET_LESION", "f": "START_AFTER_CUTOFF",
    }  # fmt: skip


@pytest.mark.parametrize(
    "people", [adsl(), adsl(only=(0, 0)), adsl(only=(1, 1))], ids=["none", "failure", "one"]
)
def test_the_smallest_studies(people):
    aside = ledger(("01", "only", None, "subject", "SCREEN_FAILURE", "screen failure: never treated"))
    adtte = endpoints(*people.loc[people["SAFFL"].eq("Y"), "USUBJID"])
    table = populations.derive_populations(people, aside, adtte=adtte, plan=plan.defaults())
    stages, excluded = populations.flow_from_populations(table, LABELS, "In the raw data")
    flow.check_flow(stages, excluded)
    assert stages["N"].iloc[0] == len(people)
    assert populations.count_populations(table).eval("N_IN + N_OUT").eq(len(people)).all()


def test_the_flow_of_a_hand_made_study_and_its_joined_boxes():
    people = adsl(a=(1, 1), b=(1, 1), c=(1, 1), d=(0, 0))
    aside = ledger(
        ("01", "d", None, "subject", "SCREEN_FAILURE", "screen failure: never treated"),
        ("04", "b", "D14", "subject", "EVENT_BEFORE_LANDMARK", "PFS: event on or before the landmark"),
        ("04", "c", "D14", "subject", "NOT_EVALUABLE", "PFS: NO_FOLLOWUP_SCAN"),
    )
    sets = pd.DataFrame({"USUBJID": ["a"], "ENDPOINT": ["PFS"]})
    pets = [(name, visit, "OK", None, None) for name in "abc" for visit in ("D0", "D14")][:-1]
    given = dict(adtte=endpoints("a", "b", "c"), scan_qc=scans(*pets), lesions=lesions(a="Y", b="Y", c="Y"))
    settings = one_day().override({"primary.endpoints": ["PFS"]})
    table = populations.derive_populations(people, aside, analysis_set=sets, plan=settings, **given)
    stages, excluded = populations.flow_from_populations(table, LABELS, "In the raw data")
    joined = "Enrolled, treated, with endpoints"
    assert stages.to_numpy().tolist() == [
        ["In the raw data", 4], [joined, 3], ["PET-evaluable at day 14", 2], ["In the PFS analysis", 1],
    ]  # fmt: skip
    assert excluded.to_numpy().tolist() == [
        ["In the raw data", "screen failure", 1],
        [joined, "no follow-up scan", 1],
        ["PET-evaluable at day 14", "event on or before the landmark", 1],
    ]
    words = {"SCREEN_FAILURE": "not eligible"}
    _, renamed = populations.flow_from_populations(table, LABELS, "In the raw data", words=words)
    assert renamed["REASON"].iloc[0] == "not eligible"
    flow.plot_flow(stages, excluded)
    counts = populations.count_populations(table).set_index("POPULATION")
    assert counts.loc["PETEV-D14"].to_list() == [2, 2]
    assert populations.reasons_outside(table).query("POPULATION == 'LANDMARK-PFS'")["N"].tolist() == [1, 1, 1]


def test_a_population_that_does_not_contain_the_next_one_is_no_stage():
    # b is treated without registration; c is analysed by a rule that reads a lesion under the FDG threshold
    people = adsl(a=(1, 1), b=(0, 1), c=(1, 1))
    pets = scans(*[(name, visit, "OK", None, None) for name in "abc" for visit in ("D0", "D14")])
    sets = pd.DataFrame({"USUBJID": list("abc"), "ENDPOINT": "PFS"})
    given = dict(adtte=endpoints("a", "b", "c"), scan_qc=pets, lesions=lesions(a="Y", b="Y", c="N"))
    settings = one_day().override({"primary.endpoints": ["PFS"]})
    table = populations.derive_populations(people, ledger(), analysis_set=sets, plan=settings, **given)
    assert populations.nest_populations(table, LABELS) == ["TREATED", "ENDPOINTS", "LANDMARK-PFS"]
    stages, excluded = populations.flow_from_populations(table, LABELS, "In the raw data")
    assert stages["N"].tolist() == [3, 3, 3] and excluded.empty


def random_study(rng):
    """Build a study of up to 40 subjects whose ledger is complete, as the steps leave it."""
    names = [f"s{i:02d}" for i in range(rng.integers(0, 40))]
    people = adsl(**{name: (rng.random() < 0.8, rng.random() < 0.8) for name in names})
    treated = people.loc[people["SAFFL"].eq("Y"), "USUBJID"].tolist()
    rows = [("01", s, None, "subject", rng.choice(["SCREEN_FAILURE", "NO_START_DATE"]), "never treated")
            for s in names if s not in treated]  # fmt: skip
    late = [s for s in treated if rng.random() < 0.1]
    rows += [("01", s, None, "subject", "PFS_AFTER_OS", "PFS ends after OS: query the dates") for s in late]
    kept = [s for s in treated if s not in late]
    status = ["OK", "OK", "OK", "OK", "REFUSED", None]
    pets = [(s, v, found, "NO_DOSE", "no dose") for s in names for v in ("D0", "D14")
            if (found := rng.choice(status))]  # fmt: skip
    drawn = {s: rng.choice(["Y", "Y", "Y", "N"]) for s in names if rng.random() < 0.9}
    analysed = {endpoint: [s for s in kept if rng.random() < 0.7] for endpoint in ("PFS", "OS")}
    codes = ["NOT_EVALUABLE", "CENSORED_BEFORE_LANDMARK"]
    rows += [("04", s, "D14", "subject", rng.choice(codes), f"{endpoint}: NO_FOLLOWUP_SCAN")
             for endpoint, inside in analysed.items() for s in kept if s not in inside]  # fmt: skip
    order = rng.permutation(len(rows))
    sets = pd.DataFrame(
        [(s, e) for e, some in analysed.items() for s in some], columns=["USUBJID", "ENDPOINT"]
    )
    given = dict(adtte=endpoints(*kept), scan_qc=scans(*pets), lesions=lesions(**drawn), analysis_set=sets)
    return people.sample(frac=1, random_state=1), ledger(*[rows[i] for i in order]), given, analysed


@pytest.mark.parametrize("seed", range(40))
def test_in_any_study_nobody_is_lost_and_every_box_is_its_population(seed):
    people, aside, given, analysed = random_study(np.random.default_rng(seed))
    table = populations.derive_populations(people, aside, plan=one_day(), **given)
    for name, rows in table.groupby("POPULATION"):
        assert set(rows["USUBJID"]) == set(people["USUBJID"]) and rows["USUBJID"].is_unique, name
    outside = table["INFL"].eq("N")
    assert (table[["STEP", "CODE", "REASON"]].notna().all(axis=1) == outside).all()
    by_code = populations.reasons_outside(table).groupby("POPULATION")["N"].sum()
    counts = populations.count_populations(table).set_index("POPULATION")
    assert (counts["N_OUT"] == by_code.reindex(counts.index, fill_value=0)).all()
    assert not len(table) or counts.loc["LANDMARK-PFS", "N_IN"] == len(analysed["PFS"])
    stages, excluded = populations.flow_from_populations(table, LABELS, "In the raw data")
    flow.check_flow(stages, excluded)  # neighbouring boxes differ by who left between them
    size = {label: counts["N_IN"].get(name) for name, label in LABELS.items()} | {
        "In the raw data": len(people)
    }
    for stage in stages.itertuples():
        parts = [label for label in size if label.lower() in stage.STAGE.lower()]
        assert parts and {size[label] for label in parts} == {stage.N}
