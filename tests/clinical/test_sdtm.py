"""Reading a folder of SDTM domains: what is kept, and every problem of every domain at once.

Formats are tested in `test_sdtm_files`, damage and contracts in `test_sdtm_damage`.
"""

import json

import pandas as pd
import pytest

from analysis import plan
from analysis.clinical import SdtmError, complete, domains_needed, read_sdtm

DM = pd.DataFrame(
    {"STUDYID": ["S", "S"], "USUBJID": ["S-1", "S-2"], "DTHDTC": ["2020-01-01", ""], "AGE": ["61", "58"]}
)


def write_dm(folder, ending):
    path = folder / f"Dm{ending}"
    if ending == ".csv":
        DM.to_csv(path, index=False)
    else:
        columns = [{"name": name, "dataType": "string"} for name in DM]
        path.write_text(json.dumps({"columns": columns, "rows": DM.to_numpy().tolist()}))
    return folder


def codes(error):
    return [(problem.code, problem.domain, problem.column) for problem in error.value.problems]


def test_absent_domains_are_empty_frames_with_their_columns(tmp_path):
    found = read_sdtm(write_dm(tmp_path, ".csv"))
    assert found["TR"].empty
    assert "TRLNKID" in found["TR"]


def test_unknown_columns_are_kept_out_with_a_note(tmp_path):
    DM.assign(XFOO="1").to_csv(tmp_path / "dm.csv", index=False)
    found = read_sdtm(tmp_path)["DM"]
    assert "XFOO" not in found
    assert found.attrs["left_out"] == ["XFOO"]


def test_all_problems_of_all_domains_are_listed_at_once(tmp_path):
    pd.concat([DM, DM]).to_csv(tmp_path / "dm.csv", index=False)
    pd.DataFrame({"USUBJID": ["S-1"], "EXSTDTC": ["2020-01-01"]}).to_csv(tmp_path / "ex.csv", index=False)
    (tmp_path / "rs.parquet").write_bytes(b"no parquet")
    (tmp_path / "ae.json").write_text('{"rows": []}')
    with pytest.raises(SdtmError, match=r"EXENDTC: ex\.csv lacks it; needed by last dose") as error:
        read_sdtm(tmp_path, ["DM", "EX", "TU"])
    assert codes(error) == [
        ("DUPLICATE_KEY", "DM", "USUBJID"),
        ("NO_COLUMN", "EX", "EXENDTC"),
        ("NO_COLUMN", "EX", "EXDOSE"),
        ("NOT_DATASET_JSON", "AE", ""),
        ("NO_DOMAIN", "TU", ""),
        ("UNREADABLE", "RS", ""),
    ]


def test_duplicate_keys_are_listed_with_their_record(tmp_path):
    write_dm(tmp_path, ".csv")
    rs = pd.DataFrame(
        {
            "USUBJID": ["S-1"] * 3,
            "RSSEQ": ["1", "1", "2"],
            "RSTESTCD": "OVRLRESP",
            "RSORRES": "SD",
            "RSDTC": "",
        }
    )
    rs.to_csv(tmp_path / "rs.csv", index=False)
    with pytest.raises(SdtmError, match="2 records share 1 key"):
        read_sdtm(tmp_path)


def test_two_files_of_one_domain_are_refused(tmp_path):
    write_dm(write_dm(tmp_path, ".csv"), ".json")
    with pytest.raises(SdtmError, match="TWO_FILES DM"):
        read_sdtm(tmp_path)


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(SdtmError, match="NO_FOLDER"):
        read_sdtm(tmp_path / "nowhere")


def test_a_record_without_a_subject_is_refused(tmp_path):
    DM.assign(USUBJID=["S-1", ""]).to_csv(tmp_path / "dm.csv", index=False)
    with pytest.raises(SdtmError, match="NO_SUBJECT"):
        read_sdtm(tmp_path)


@pytest.mark.parametrize(
    ("rules", "source", "expected"),
    [
        ("pearl", "derived", ["DM", "EX", "TU", "TR"]),
        ("pearl", "reported", ["DM", "EX", "RS"]),
        ("admiralonco", "derived", ["DM", "DS", "RS"]),
    ],
)
def test_a_rule_set_needs_only_its_domains(rules, source, expected):
    changed = plan.defaults().override({"clinical.endpoint_rules": rules, "clinical.response_source": source})
    assert domains_needed(changed.clinical) == expected


def test_completing_keeps_the_given_frame_unchanged():
    given = DM.copy()
    complete({"DM": given})
    pd.testing.assert_frame_equal(given, DM)


def test_completing_makes_text_of_any_types_and_keeps_its_notes():
    given = pd.DataFrame(
        {"USUBJID": ["S-1"], "AGE": [60.0], "DTHDTC": [pd.Timestamp("2020-01-01")], "DTHFL": [True]}
    )
    given.attrs["file"] = "dm.csv"
    found = complete({"DM": given})["DM"]
    assert found.loc[0, ["USUBJID", "AGE", "DTHDTC", "DTHFL", "ARM"]].tolist() == [
        "S-1", "60", "2020-01-01", "Y", None,
    ]  # fmt: skip
    assert found.attrs["file"] == "dm.csv"
    pd.testing.assert_frame_equal(complete({"DM": found})["DM"], found)


IMPOSSIBLE = {"inf": "DIAMETER_NOT_A_NUMBER", "1e300": "DIAMETER_NOT_A_NUMBER",
              "-4": "DIAMETER_NEGATIVE", "2000000": "DIAMETER_IMPLAUSIBLE"}  # fmt: skip


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_an_impossible_diameter_is_missing_and_queried(study, text):
    study.subject().lesion("T1", {-5: 20, 56: text})
    study.rows["DM"][0]["AGE"] = "Infinity"
    adsl, adtr, _ = study.derive_adrs(study.plan())
    size = adtr.DIAM_MM
    assert size[0] == 20.0 and size.isna().tolist() == [False, True]
    assert adsl.AGE.isna().all()
    queries = study.queries()
    (found,) = queries[queries.CODE.isin(IMPOSSIBLE.values())].to_dict("records")
    assert found["CODE"] == IMPOSSIBLE[text] and "missing until then" in found["ACTION"]
    assert "AGE_IMPLAUSIBLE" in set(queries.CODE)


def test_an_implausible_diameter_that_a_mistyped_unit_may_explain_stands(study):
    study.subject().lesion("T1", {-5: 20, 56: "500"})
    assert study.derive_adrs(study.plan())[1].DIAM_MM.tolist() == [20.0, 500.0]
    assert "DIAMETER_IMPLAUSIBLE" in set(study.queries().CODE)
