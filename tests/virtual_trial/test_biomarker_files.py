"""Biomarker files of the virtual trial: untidy as planned, told in the truth, and nothing else moves."""

import numpy as np
import pandas as pd
import pytest
import vcfpy

from analysis import plan
from analysis.virtual_trial import (
    expression,
    plasma_files,
    simulate_trial,
    stream,
    vcf_file,
    write_biomarkers,
)
from analysis.virtual_trial.biomarkers import panel

PLAN = plan.defaults()
RULES = PLAN.virtual
TIDY = PLAN.override(
    {
        "virtual.panel_small": {**RULES.panel_small, "share": 0.0},
        "virtual.sample_coverage": {**RULES.sample_coverage, "shallow_share": 0.0},
        "virtual.expression_share": 0.0,
        "virtual.plasma_repeated": 0,
        "virtual.plasma_second_assay": {**RULES.plasma_second_assay, "share": 0.0},
        "virtual.vcf_share": 0.0,
    }
).settle("virtual.plasma_swapped", None, "nobody's tubes are exchanged")
DRAW = ["USUBJID", "VISIT"]


@pytest.fixture(scope="module")
def trial():
    return simulate_trial(PLAN)


@pytest.fixture(scope="module")
def files(trial, tmp_path_factory):
    return read_files(trial, tmp_path_factory.mktemp("biomarkers"), PLAN)


@pytest.fixture(scope="module")
def tidy(trial, tmp_path_factory):
    return read_files(trial, tmp_path_factory.mktemp("tidy"), TIDY)


def read_files(trial, folder, settings):
    rng = stream(settings.virtual.seed, 2)
    faults = write_biomarkers(trial, folder, rng, settings.virtual)
    tables = {
        name: pd.read_csv(folder / f"data_{name}.txt", sep="\t", comment="#", keep_default_na=False)
        for name in ("mutations", "cna", "clinical_sample", "gene_panel_matrix")
    }
    plasma = pd.read_csv(folder / "plasma.csv", keep_default_na=False, dtype=str)
    return {"folder": folder, "faults": faults, "plasma": plasma, **tables}


def carriers(files, fault, column="SAMPLE_ID"):
    return set(files["faults"].loc[files["faults"]["FAULT"] == fault, column])


def test_what_is_untidy_moves_nothing_else(files, tidy):
    assert tidy["faults"].empty and not (tidy["folder"] / "vcf").exists()
    assert not list(tidy["folder"].glob("*expression*"))
    pd.testing.assert_frame_equal(files["cna"], tidy["cna"])
    touched = carriers(files, "SMALL PANEL") | carriers(files, "SHALLOW")
    kept = [
        one["mutations"][~one["mutations"]["Tumor_Sample_Barcode"].isin(touched)].reset_index(drop=True)
        for one in (files, tidy)
    ]
    pd.testing.assert_frame_equal(*kept)
    sent, swapped = files["plasma"].iloc[: len(tidy["plasma"])], carriers(files, "SWAPPED", "USUBJID")
    assert len(swapped) == 2
    exchanged = [
        one["USUBJID"].isin(swapped) & one["VISIT"].eq(RULES.plasma_swapped["visit"])
        for one in (sent, tidy["plasma"])
    ]
    assert sent[~exchanged[0]].to_numpy().tolist() == tidy["plasma"][~exchanged[1]].to_numpy().tolist()


def test_a_sample_of_the_small_panel_shows_none_of_the_genes_it_lacks(files, tidy):
    small = carriers(files, "SMALL PANEL")
    matrix = files["gene_panel_matrix"].set_index("SAMPLE_ID")
    assert set(matrix.index[matrix["mutations"] == RULES.panel_small["name"]]) == small
    assert set(matrix["gistic"]) == {"NA"} and set(matrix.index) == set(files["clinical_sample"]["SAMPLE_ID"])
    kinds = files["clinical_sample"].set_index("SAMPLE_ID")["SAMPLE_TYPE"]
    assert small and set(kinds[list(small)]) == {"Primary"}
    tables = [one["mutations"] for one in (files, tidy)]
    shown = [set(table.loc[table["Tumor_Sample_Barcode"].isin(small), "Hugo_Symbol"]) for table in tables]
    assert shown[0] <= set(RULES.panel_small["genes"]) and not shown[1] <= set(RULES.panel_small["genes"])


def test_the_panels_list_their_genes_and_the_full_one_covers_every_gene(files):
    genes = {}
    for path in (files["folder"] / "gene_panels").iterdir():
        lines = dict(line.split(": ", 1) for line in path.read_text().splitlines())
        genes[lines["stable_id"]] = set(lines["gene_list"].split("\t"))
    assert set(genes[RULES.panel_small["name"]]) == set(RULES.panel_small["genes"])
    # The pathways of the analysis can be judged only where the panel covers them.
    wanted = {gene for members in PLAN.biomarkers.pathways.values() for gene in members}
    assert wanted | set(files["mutations"]["Hugo_Symbol"]) <= genes[RULES.panel_full]
    assert RULES.panel_full.endswith(f"-{len(genes[RULES.panel_full])}") and len(panel()) == 40


def test_a_shallow_sample_has_few_reads_and_no_variant_below_those_a_caller_needs(files):
    depth = files["clinical_sample"].set_index("SAMPLE_ID")["SAMPLE_COVERAGE"].astype(int)
    shallow = carriers(files, "SHALLOW")
    limits = RULES.sample_coverage
    middle = np.sqrt(limits["shallow"] * limits["median"])
    assert shallow and depth[list(shallow)].max() < middle < depth.drop(list(shallow)).min()
    maf = files["mutations"].astype({"t_alt_count": int, "t_ref_count": int})
    reads = maf["t_alt_count"] + maf["t_ref_count"]
    few = maf["Tumor_Sample_Barcode"].isin(shallow)
    assert reads[few].max() < reads[~few].min() + limits["median"] / 2
    assert maf["t_alt_count"].min() >= limits["called_reads"]


def test_two_tubes_are_exchanged_and_each_shows_the_variants_of_the_other(files, tidy):
    rules = RULES.plasma_swapped
    swapped = files["faults"].query("FAULT == 'SWAPPED'").set_index("USUBJID")["OTHER"]
    assert swapped[swapped].index.tolist() == swapped.tolist() and len(swapped) == 2
    maf = files["mutations"].assign(WHO=files["mutations"]["Tumor_Sample_Barcode"].str[:-2])
    tumour = maf.groupby("WHO").apply(
        lambda rows: set(zip(rows["Hugo_Symbol"], rows["HGVSp_Short"])), include_groups=False
    )
    tubes = files["plasma"].query("VISIT == @rules['visit'] and STATUS == 'DETECTED'")
    before = tidy["plasma"].query("VISIT == @rules['visit']").set_index("USUBJID")
    for subject, other in swapped.items():
        tube = tubes[tubes["USUBJID"] == subject]
        shown = set(zip(tube["GENE"], tube["VARIANT"]))
        assert len(shown & tumour[other]) >= rules["variants"] and not shown & tumour[subject]
        assert set(tube["DRAWDT"]) == {before.loc[[subject], "DRAWDT"].iloc[0]}


def test_exchanging_two_tubes_again_gives_the_table_as_it_was(tidy):
    plasma = tidy["plasma"]
    drawn = plasma[plasma["VISIT"] == "W12"]["USUBJID"].unique()
    pair = (drawn[0], drawn[-1])
    once = plasma_files.swap_tubes(plasma, pair, "W12")
    assert not once.equals(plasma)
    pd.testing.assert_frame_equal(plasma_files.swap_tubes(once, pair, "W12"), plasma)


@pytest.mark.parametrize(
    ("genes", "others", "expected"),
    [
        ("VYWZ", "", ("A", "B")),
        ("VYWY", "", None),  # by hand: Y p.1 is in both
        ("VYWZ", "Y", None),  # Y is in two of twenty, more than 0.08 of them
        ("VYW", "", None),  # one variant is too few
    ],
)
def test_tubes_are_exchanged_only_where_the_variants_tell_the_patients_apart(genes, others, expected):
    plasma = pd.DataFrame({"USUBJID": list("AABB")[: len(genes)], "GENE": list(genes), "VARIANT": "p.1"})
    plasma = plasma.assign(VISIT="W12", STATUS="DETECTED")
    third = pd.DataFrame({"USUBJID": "C", "GENE": list(others), "VARIANT": "p.1"})
    tumour = pd.concat([plasma, third]).rename(columns={"VARIANT": "PROTEIN"})
    rules = {"visit": "W12", "variants": 2, "carriers_share": 0.08}
    assert plasma_files.find_swap(plasma, tumour, rules, 20) == expected


def test_some_samples_are_sent_twice_and_some_draws_run_on_a_second_assay(files, tidy):
    plasma, rules = files["plasma"], RULES.plasma_second_assay
    added = plasma.iloc[len(tidy["plasma"]) :]
    second = added[added["ASSAY"] == rules["assay"]]
    assert set(second["USUBJID"]) == carriers(files, "SECOND ASSAY", "USUBJID") != set()
    assert set(second["VISIT"]) == {"D14"} and set(second["LOD"]) == {f"{rules['lod']:g}"}
    # The same ctDNA: a draw that has some by one assay has some by the other.
    calls = plasma[plasma["USUBJID"].isin(second["USUBJID"]) & plasma["VISIT"].eq("D14")]
    found = calls.assign(FOUND=calls["STATUS"].eq("DETECTED")).groupby(["USUBJID", "ASSAY"])["FOUND"].any()
    assert found.groupby("USUBJID").nunique().eq(1).all()
    repeated = files["faults"].query("FAULT == 'REPEATED'")
    assert len(repeated) == RULES.plasma_repeated
    again = plasma[plasma.duplicated()]
    assert again[DRAW].drop_duplicates().to_numpy().tolist() == repeated[DRAW].to_numpy().tolist()


def test_a_vcf_holds_the_variants_of_the_maf(files):
    paths = sorted((files["folder"] / "vcf").glob("*.vcf"))
    assert paths and {path.stem for path in paths} <= set(files["clinical_sample"]["SAMPLE_ID"])
    for path in paths:
        maf = files["mutations"][files["mutations"]["Tumor_Sample_Barcode"] == path.stem]
        with vcfpy.Reader.from_path(path) as reader:
            assert reader.header.samples.names == [path.stem]
            records = list(reader)
        depth = {record.INFO["CSQ"][0].split("|")[3]: record.calls[0].data for record in records}
        told = {gene: (data["AD"][1], data["DP"] - data["AD"][1]) for gene, data in depth.items()}
        assert told == {
            gene: (int(alt), int(ref))
            for gene, alt, ref in zip(maf["Hugo_Symbol"], maf["t_alt_count"], maf["t_ref_count"])
        }


@pytest.mark.parametrize(
    ("kind", "expected"),
    # by hand: VCF 4.2 section 5.2, the base before an insertion or deletion stands in REF and ALT
    [
        ("Missense_Mutation", (100, "C", "T")),
        ("Frame_Shift_Ins", (100, "C", "CT")),
        ("Frame_Shift_Del", (99, "AC", "A")),
    ],
)
def test_an_insertion_or_deletion_is_anchored_to_the_base_before_it(kind, expected):
    assert vcf_file.anchored(kind, 100) == expected


@pytest.mark.parametrize(
    ("short", "long"),
    # HGVS, protein recommendations: one and three letters
    [
        ("p.R248W", "p.Arg248Trp"),
        ("p.Q23*", "p.Gln23Ter"),
        ("p.P409Afs*99", "p.Pro409AlafsTer99"),
        ("p.N212del", "p.Asn212del"),
        ("p.X405_splice", ""),
    ],
)
def test_a_protein_change_is_written_with_three_letters(short, long):
    assert vcf_file.long_protein(short) == long


def test_every_class_of_the_panel_has_a_consequence():
    assert {gene["class"] for gene in panel().values() if "class" in gene} <= set(vcf_file.CONSEQUENCES)


def test_the_file_of_expression_is_as_the_plan_has_it(files):
    table = pd.read_csv(files["folder"] / "data_expression.txt", sep="\t", index_col=0)
    listed = (
        (files["folder"] / "case_lists" / "cases_rna_seq_mrna.txt").read_text().split("case_list_ids: ")[1]
    )
    assert table.columns.tolist() == listed.split() and table.index.is_unique
    assert len(table) == RULES.expression_genes and (table >= 0).all(axis=None)
    wanted = {gene for genes in PLAN.biomarkers.signatures.values() for gene in genes}
    assert wanted <= set(table.index) and (table.loc[list(wanted)] > 0).all(axis=None)
    assert (table == 0).mean(axis=1).gt(0.5).any()


def test_expression_carries_the_planted_effects_and_no_other():
    n = 3000
    rng = np.random.default_rng(20260105)
    patients = pd.DataFrame({"SENSITIVITY": rng.standard_normal(n)})
    samples = pd.DataFrame({"SAMPLE_ID": [f"S{i}" for i in range(n)], "ROW": np.arange(n)})
    signatures = RULES.expression_signatures
    rules = PLAN.override({"virtual.expression_share": 1.0, "virtual.expression_genes": 30}).virtual
    table = np.log(expression.draw_expression(samples, patients, list(panel()), rng, rules))
    latent = patients["SENSITIVITY"].to_numpy()
    slope = pd.Series(
        (table - table.mean(axis=1).to_numpy()[:, None]) @ latent / (latent**2).sum(), table.index
    )
    planted = [gene for name in rules.expression_planted for gene in signatures[name]]
    # within / sqrt(n): the standard error of a slope on a standard normal; 4.5 of them
    error = 4.5 * rules.expression_level["within"] / np.sqrt(n)
    assert np.allclose(slope[planted], rules.expression_planted["GLYCOLYSIS"], atol=error)
    assert np.allclose(slope.drop(planted), 0, atol=error)
    # Genes of one module correlate by the loading squared, whatever the signature's signs.
    related = np.corrcoef(table.loc[list(signatures["PROLIFERATION"])])
    loading = rules.expression_modules["loading"]
    assert np.allclose(related[np.triu_indices(5, 1)], loading**2, atol=0.07)
