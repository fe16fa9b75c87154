"""Notebook 01 as anybody may run it: a folder of SDTM, a plan of one line, and nothing else."""

import json
from pathlib import Path

import pandas as pd
import papermill
import pyreadstat
import pytest

from analysis import clinical, plan, populations

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "01_data_cleaning.ipynb"
STUDY = "interface-demo"
DAY1 = pd.Timestamp("2020-01-01")  # randomisation; the first dose is two days later

ADTTE = [
    "STUDYID",
    "USUBJID",
    "PARAMCD",
    "PARAM",
    "STARTDT",
    "ADT",
    "AVAL",
    "AVALM",
    "CNSR",
    "EVNTDESC",
    "CNSDTDSC",
    "SRCDOM",
    "SRCVAR",
    "SRCSEQ",
]
ADSL = [
    "STUDYID",
    "USUBJID",
    "SEX",
    "AGE",
    "ENRLDT",
    "TRTSDT",
    "TRTEDT",
    "DTHDT",
    "DTHFL",
    "LSTALVDT",
    "DCUTDT",
    "NACTDT",
    "SAFFL",
]
ADRS = ["STUDYID", "USUBJID", "ADT", "PARAMCD", "AVALC"]


def iso(day):
    """Date of a day counted from randomisation, as SDTM writes it."""
    return (DAY1 + pd.Timedelta(days=day)).strftime("%Y-%m-%d")


def records(domain, *rows):
    """Number the records of a domain and give them the columns SDTM has everywhere."""
    return [
        {"STUDYID": "ABC", "DOMAIN": domain, **row, f"{domain}SEQ": str(i + 1)} for i, row in enumerate(rows)
    ]


def response(subject, day, value, **more):
    text = {"RSTESTCD": "OVRLRESP", "RSORRES": value, "RSSTRESC": value}
    return {"USUBJID": subject, "RSDTC": iso(day), "RSEVAL": "INVESTIGATOR", "VISITNUM": "2"} | text | more


def study():
    """Three subjects: one progresses on day 112, one dies on day 200, one is followed until day 168."""
    names = ["ABC-1", "ABC-2", "ABC-3"]
    dm = [
        {"STUDYID": "ABC", "DOMAIN": "DM", "USUBJID": name, "SEX": "F", "AGE": "60", "DTHDTC": None,
         "RACE": "UNKNOWN"} for name in names
    ]  # fmt: skip
    dm[1]["DTHDTC"] = iso(200)
    ds = [{"USUBJID": name, "DSDECOD": "RANDOMIZED", "DSSTDTC": iso(0)} for name in names]
    ex = [
        {"USUBJID": name, "EXSTDTC": iso(2), "EXENDTC": iso(100), "EXDOSE": "10", "EXTRT": "X"}
        for name in names
    ]
    rs = [response(name, 56, "SD") for name in names]
    rs += [response("ABC-1", 112, "PD"), response("ABC-2", 112, "PR"), response("ABC-3", 168, "PR")]
    return {"DM": dm, "DS": records("DS", *ds), "EX": records("EX", *ex), "RS": records("RS", *rs)}


def save(domain, rows, kind, folder):
    """Write one domain as `kind`; a name in capitals and numbers as SAS keeps them where it is XPT."""
    frame = pd.DataFrame(rows, dtype=object)
    file = folder / f"{domain.lower()}.{kind}"
    if kind == "parquet":
        frame.to_parquet(file)
    elif kind == "xpt":
        numbers = [name for name in frame if name.endswith("SEQ") or name in ("AGE", "EXDOSE", "VISITNUM")]
        typed = frame.fillna("").astype({name: float for name in numbers})
        pyreadstat.write_xport(typed, str(folder / f"{domain}.XPT"), table_name=domain, file_format_version=5)
    elif kind == "json":
        columns = [
            {"itemOID": f"IT.{domain}.{name}", "name": name, "label": name, "dataType": "string"}
            for name in frame
        ]
        content = {
            "datasetJSONCreationDateTime": "2024-01-01T00:00:00", "datasetJSONVersion": "1.1.0",
            "itemGroupOID": f"IG.{domain}", "records": len(frame), "name": domain, "label": domain,
            "columns": columns, "rows": frame.where(frame.notna(), None).to_numpy().tolist(),
        }  # fmt: skip
        file.write_text(json.dumps(content))
    else:
        frame.to_csv(file, index=False)


def folder_of(where, domains, kinds=None):
    """Write the domains into ``where/sdtm`` and return `where`."""
    (where / "sdtm").mkdir(parents=True)
    for domain, rows in domains.items():
        save(domain, rows, (kinds or {}).get(domain, "csv"), where / "sdtm")
    return where


def derive(where, **changes):
    """Read and derive as the notebook does, under a plan of one line and `changes`."""
    settings = plan.load(STUDY, None).override({f"clinical.{name}": value for name, value in changes.items()})
    sdtm = clinical.read_sdtm(where / "sdtm", clinical.domains_needed(settings.clinical))
    return clinical.derive_all(sdtm, settings)


def rows_of(adtte):
    """Return subject -> (day of ADT, CNSR, EVNTDESC) of PFS."""
    pfs = adtte[adtte["PARAMCD"].eq("PFS")]
    return {row.USUBJID: ((row.ADT - DAY1).days, row.CNSR, row.EVNTDESC) for row in pfs.itertuples()}


REPORTED = {
    "ABC-1": (112, 0, "Disease Progression"),
    "ABC-2": (200, 0, "Death"),
    "ABC-3": (168, 1, "Last Tumor Assessment"),
}


def execute(tmp_path, raw, derived, **parameters):
    """Run the notebook with papermill alone, from an empty folder, and return the executed notebook."""
    given = tmp_path / "given.yaml"
    given.write_text(f"study: {STUDY}\n")
    paths = {"plan_file": str(given), "raw_dir": str(raw), "derived_dir": str(derived)}
    (tmp_path / "cwd").mkdir()
    return papermill.execute_notebook(
        str(NOTEBOOK),
        str(tmp_path / "out.ipynb"),
        parameters={**paths, "endpoint_rules": "admiralonco", **parameters},
        progress_bar=False,
        cwd=str(tmp_path / "cwd"),
    )


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_notebook_runs_on_three_domains_of_three_formats_and_writes_only_where_it_was_told(tmp_path):
    domains = study()
    domains.pop("EX")
    raw = folder_of(tmp_path / "raw", domains, {"DM": "csv.gz", "DS": "xpt", "RS": "json"})
    before, derived = contents(raw), tmp_path / "result"
    execute(tmp_path, raw, derived)
    tables = {name: pd.read_parquet(derived / f"{name}.parquet") for name in ("adsl", "adrs", "adtte")}
    for name, frame in tables.items():
        flat = pd.read_csv(derived / f"{name}.csv")
        assert flat.columns.tolist() == frame.columns.tolist() and len(flat) == len(frame)
    adtte = tables["adtte"]
    assert adtte.columns.tolist() == ADTTE
    assert set(ADSL) <= set(tables["adsl"]) and set(ADRS) <= set(tables["adrs"])
    assert rows_of(adtte) == REPORTED
    progression = adtte.query("USUBJID == 'ABC-1' and PARAMCD == 'PFS'").iloc[0]
    # randomised on 2020-01-01, day 112 is 2020-04-22: AVAL 113 days, 113 / 30.4375 months
    assert str(progression["ADT"].date()) == "2020-04-22" and progression["AVAL"] == 113
    assert progression["AVALM"] == pytest.approx(3.7125, abs=1e-4)
    assert tables["adsl"]["STUDYID"].eq("ABC").all()
    assert contents(raw) == before and not any((tmp_path / "cwd").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cwd",
        "given.yaml",
        "out.ipynb",
        "raw",
        "result",
    ]
    assert not [path for path in (ROOT / "data", ROOT / "reports") if list(path.glob(f"*/{STUDY}"))]
    assert not (ROOT / "reports" / STUDY).exists()


def test_malformed_files_stop_the_notebook_with_every_problem_and_leave_nothing(tmp_path):
    domains = study()
    domains["DM"].append(dict(domains["DM"][0]))
    for record in domains["EX"]:
        del record["EXDOSE"]
    raw = folder_of(tmp_path / "raw", domains)
    (raw / "sdtm" / "rs.csv").write_bytes(b"")
    (raw / "sdtm" / "ds.parquet").write_bytes(b"PAR1")
    (raw / "sdtm" / "tu.xpt").write_bytes(b"no transport file")
    derived = tmp_path / "result"
    with pytest.raises(papermill.PapermillExecutionError) as error:
        execute(tmp_path, raw, derived)
    said = error.value.evalue
    for problem in (
        "DUPLICATE_KEY DM",
        "TWO_FILES DS",
        "NO_COLUMN EX.EXDOSE",
        "UNREADABLE TU",
        "UNREADABLE RS",
    ):
        assert problem in said
    assert "5 problem(s)" in said and str(tmp_path) not in said
    assert not derived.exists() or not contents(derived)


def test_each_rule_set_needs_only_its_domains(tmp_path):
    domains = study()
    three = {name: domains[name] for name in ("DM", "DS", "RS")}
    assert rows_of(derive(folder_of(tmp_path / "a", three), endpoint_rules="admiralonco").adtte) == REPORTED
    dosed = {name: domains[name] for name in ("DM", "EX", "RS")}
    found = derive(folder_of(tmp_path / "b", dosed), response_source="reported")
    # time zero is the first dose, on day 2; the last visit is adequate, so that follow-up ends there
    assert rows_of(found.adtte) == {**REPORTED, "ABC-3": (168, 1, "No Progression")}
    assert found.adtte.query("PARAMCD == 'PFS'")["AVAL"].tolist() == [111, 199, 167]
    with pytest.raises(clinical.SdtmError, match="NO_DOMAIN EX") as error:
        derive(tmp_path / "a")
    assert "NO_DOMAIN TU" in str(error.value) and "NO_DOMAIN TR" in str(error.value)


def test_transport_files_with_numbers_give_what_text_gives(tmp_path):
    domains = study()
    text = derive(folder_of(tmp_path / "text", domains), endpoint_rules="admiralonco")
    kinds = dict.fromkeys(domains, "xpt")
    numbers = derive(folder_of(tmp_path / "xpt", domains, kinds), endpoint_rules="admiralonco")
    for name in ("adsl", "adrs", "adtte"):
        pd.testing.assert_frame_equal(getattr(text, name), getattr(numbers, name))


def test_findings_without_studyid_take_the_one_of_dm_and_a_stranger_is_listed(tmp_path):
    domains = study()
    domains["RS"] += records("RS", response("XYZ-9", 56, "PD", RSSEQ="1"))
    for record in [*domains["RS"], *domains["DS"]]:
        del record["STUDYID"]
    found = derive(folder_of(tmp_path, domains), endpoint_rules="admiralonco")
    assert rows_of(found.adtte) == REPORTED
    assert found.adrs["STUDYID"].eq("ABC").all() and "XYZ-9" not in set(found.adrs["USUBJID"])
    aside = found.exclusions.query("USUBJID == 'XYZ-9'")
    assert aside["CODE"].tolist() == ["SUBJECT_NOT_IN_DM"] and aside["ITEM"].tolist() == ["record"]


def test_the_accepted_independent_reads_count_and_of_one_reader_if_named(tmp_path):
    domains = study()
    reads = [(56, "SD", "READER 1", "Y"), (112, "SD", "READER 1", None), (56, "SD", "READER 2", None)]
    reads += [(112, "PR", "READER 2", "Y")]
    domains["RS"] += records("RS", *[
        response("ABC-1", day, value, RSEVAL="INDEPENDENT ASSESSOR", RSEVALID=reader, RSACPTFL=accepted)
        for day, value, reader, accepted in reads
    ])  # fmt: skip
    for number, record in enumerate(domains["RS"]):
        record["RSSEQ"] = str(number + 1)
    where = folder_of(tmp_path, domains)
    rules = {"endpoint_rules": "admiralonco", "evaluator": "INDEPENDENT ASSESSOR"}
    assert rows_of(derive(where, **rules).adtte)["ABC-1"] == (112, 1, "Last Tumor Assessment")
    first = derive(where, reader="READER 1", **rules)
    assert rows_of(first.adtte)["ABC-1"] == (56, 1, "Last Tumor Assessment")
    # nobody read ABC-3 independently: censored at randomisation
    assert rows_of(first.adtte)["ABC-3"] == (0, 1, "Randomization")
    assert rows_of(derive(where, endpoint_rules="admiralonco").adtte) == REPORTED


def change(domain, **values):
    """Return a function that overwrites columns of one domain in a study."""

    def apply(domains):
        for record in domains[domain]:
            record |= values

    return apply


def keep_first(domains):
    for domain in domains:
        domains[domain] = [record for record in domains[domain] if record["USUBJID"] == "ABC-1"]


def fail_screening(domains):
    change("DM", ARMCD="SCRNFAIL", DTHDTC=None)(domains)
    change("RS", RSTESTCD="TRGRESP", RSSTRESC="NE", RSORRES="NE")(domains)
    domains["DS"] = records("DS", {"USUBJID": "ABC-1", "DSDECOD": "SCREEN FAILURE", "DSSTDTC": iso(0)})
    del domains["EX"]


RANDOMISED = (0, 1, "Randomization")
SHAPES = {
    # name: (change, expected PFS under admiralonco, expected codes of subjects set aside)
    "one subject": (keep_first, {"ABC-1": REPORTED["ABC-1"]}, []),
    "nobody treated": (change("EX", EXDOSE="0"), REPORTED, []),
    "nobody randomised": (change("DS", DSDECOD="INFORMED CONSENT"), {}, ["NO_START_DATE"] * 3),
    "no overall response": (
        change("RS", RSTESTCD="TRGRESP"),
        {"ABC-1": RANDOMISED, "ABC-2": REPORTED["ABC-2"], "ABC-3": RANDOMISED},
        [],
    ),
    "all screen failures": (fail_screening, {}, ["SCREEN_FAILURE"] * 3),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_studies_of_every_shape_are_derived_and_nobody_is_lost(shape, tmp_path):
    alter, expected, aside = SHAPES[shape]
    domains = study()
    alter(domains)
    where = folder_of(tmp_path, domains)
    found = derive(where, endpoint_rules="admiralonco")
    assert rows_of(found.adtte) == expected
    subjects = found.exclusions[found.exclusions["ITEM"].eq("subject")]
    assert subjects["CODE"].tolist() == aside
    settings = plan.defaults().override({"clinical.endpoint_rules": "admiralonco"})
    belong = populations.derive_populations(
        found.adsl, found.exclusions, adtte=found.adtte, adtr=found.adtr, plan=settings
    )
    counts = populations.count_populations(belong).set_index("POPULATION")
    assert counts.loc["ENDPOINTS"].tolist() == [len(expected), len(aside)]


def test_nobody_treated_under_the_trials_own_rules_is_a_study_without_endpoints(tmp_path):
    domains = study()
    change("EX", EXDOSE="0")(domains)
    found = derive(folder_of(tmp_path, domains), response_source="reported")
    assert found.adtte.empty and found.adsl["SAFFL"].eq("N").all()
    assert found.exclusions["CODE"].tolist() == ["NO_START_DATE"] * 3
