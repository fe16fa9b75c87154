"""The REMARK table has all items, prints what is known and says what is not."""

import pytest

from analysis.contracts import contract_of
from analysis.tables.remark import NOT_REPORTED, fact_names, fill_remark


def test_all_twenty_items_and_the_profile_are_there_in_order_under_the_contract():
    table = fill_remark({})
    assert table["ITEM"].tolist() == [*map(str, range(1, 21)), "Profile A", "Profile B"]
    known = table["REPORTED"].ne(NOT_REPORTED)
    assert table.loc[known, "ITEM"].tolist() == ["17", "18", "19", "20"]  # which say what was not done
    contract_of("remark").validate(table)


def test_a_fact_is_printed_wherever_an_item_asks_for_it():
    every = {name: f"<{name}>" for name in fact_names()}
    told = " ".join(fill_remark(every)["REPORTED"])
    assert all(text in told for text in every.values()) and NOT_REPORTED not in told


def test_what_is_absent_beside_known_facts_is_said_so_and_never_left_as_a_brace():
    table = fill_remark({"n_tumour_samples": 50, "n_tumour_patients": 48, "sample_preference": "metastasis"})
    specimens = table.set_index("ITEM").loc["4", "REPORTED"]
    assert specimens.startswith("50 tumour samples of 48 patients")
    assert f"Preservation and storage: {NOT_REPORTED}." in specimens and "plasma" not in specimens
    assert not table["REPORTED"].str.contains(r"[{}]").any()


def test_codes_are_printed_in_words():
    table = fill_remark({"standing_out": "TP53 (NONRESPONSE), FGFR1_AMP (PFS)", "fwer_level": 0.05})
    reported = table.set_index("ITEM").loc["15", "REPORTED"]
    assert reported == "maxT p at or below 0.05: TP53 (metabolic non-response), FGFR1 amplified (PFS)."


def test_a_missing_number_counts_as_absent_and_a_misspelt_fact_is_refused():
    table = fill_remark({"n_patients": 48, "n_events_PFS": float("nan"), "treatment": ""})
    reported = table.set_index("ITEM")["REPORTED"]
    assert reported["9"] == NOT_REPORTED and reported["3"] == NOT_REPORTED
    with pytest.raises(KeyError, match="n_patient'"):
        fill_remark({"n_patient": 48})
