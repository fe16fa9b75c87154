"""VCF files of the virtual trial: one a sample, annotated as Ensembl VEP does, the variants of its MAF.

Format: VCF 4.2; INFO field CSQ of Ensembl VEP, whose description names the parts of an annotation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

# Sequence Ontology terms of the classes of a MAF (vcf2maf), and the impact VEP gives each term.
CONSEQUENCES = {
    "Missense_Mutation": ("missense_variant", "MODERATE"),
    "Nonsense_Mutation": ("stop_gained", "HIGH"),
    "Frame_Shift_Del": ("frameshift_variant", "HIGH"),
    "Frame_Shift_Ins": ("frameshift_variant", "HIGH"),
    "In_Frame_Del": ("inframe_deletion", "MODERATE"),
    "In_Frame_Ins": ("inframe_insertion", "MODERATE"),
    "Splice_Site": ("splice_donor_variant", "HIGH"),
}
_CSQ = ("Allele", "Consequence", "IMPACT", "SYMBOL", "Feature_type", "BIOTYPE", "HGVSp")
# Chromosomes 1 to 22, X and Y of GRCh37: bases.
_LENGTHS = (
    *(249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022, 141213431),
    *(135534747, 135006516, 133851895, 115169878, 107349540, 102531392, 90354753, 81195210, 78077248),
    *(59128983, 63025520, 48129895, 51304566, 155270560, 59373566),
)
_CHROMOSOMES = [*(str(number) for number in range(1, 23)), "X", "Y"]
_AMINO_ACIDS = {
    **{"A": "Ala", "C": "Cys", "D": "Asp", "E": "Glu", "F": "Phe", "G": "Gly", "H": "His", "I": "Ile"},
    **{"K": "Lys", "L": "Leu", "M": "Met", "N": "Asn", "P": "Pro", "Q": "Gln", "R": "Arg", "S": "Ser"},
    **{"T": "Thr", "V": "Val", "W": "Trp", "Y": "Tyr", "*": "Ter"},
}


def write_vcfs(samples: pd.DataFrame, variants: pd.DataFrame, folder: Path, rng, settings) -> list[str]:
    """Write ``<SAMPLE_ID>.vcf`` for a share of the samples; return their names.

    Parameters
    ----------
    samples, variants : DataFrame
        As `biomarkers.describe_sequencing` and `biomarkers.seen_variants` return them.
    folder : path
        Made where a sample has a VCF.
    rng : numpy.random.Generator
    settings : plan section ``virtual``
    """
    names = samples["SAMPLE_ID"].to_numpy()[rng.random(len(samples)) < settings.vcf_share]
    for name in names:
        folder.mkdir(exist_ok=True)
        text = as_vcf(variants[variants["SAMPLE_ID"] == name], name)
        (folder / f"{name}.vcf").write_text(text, encoding="utf-8")
    return list(names)


def as_vcf(variants: pd.DataFrame, sample: str) -> str:
    """Return the variants of one sample as the text of a VCF, in the order of the genome."""
    order = np.lexsort([variants["POSITION"], variants["CHROMOSOME"].map(_CHROMOSOMES.index)])
    rows = [_record(row) for row in variants.iloc[order].itertuples(index=False)]
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", sample]
    return "\n".join([*_header(sample), "\t".join(columns), *rows]) + "\n"


def _header(sample: str) -> list[str]:
    described = "Consequence annotations from Ensembl VEP. Format: " + "|".join(_CSQ)
    return [
        "##fileformat=VCFv4.2",
        "##reference=GRCh37",
        f"##tumor_sample={sample}",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        *(f"##contig=<ID={name},length={size}>" for name, size in zip(_CHROMOSOMES, _LENGTHS, strict=True)),
        f'##INFO=<ID=CSQ,Number=.,Type=String,Description="{described}">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads of each allele">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Reads">',
        '##FORMAT=<ID=AF,Number=A,Type=Float,Description="Allele fraction">',
    ]


def _record(variant) -> str:
    position, reference, alternative = anchored(variant.CLASS, int(variant.POSITION))
    consequence, impact = CONSEQUENCES[variant.CLASS]
    # VEP leaves out the base an insertion or deletion is anchored to.
    allele = alternative[len(reference) :] if len(alternative) > len(reference) else alternative
    allele = "-" if len(alternative) < len(reference) else allele
    protein = long_protein(variant.PROTEIN)
    parts = [allele, consequence, impact, variant.GENE, "Transcript", "protein_coding", protein]
    reads = f"0/1:{variant.DEPTH - variant.READS},{variant.READS}:{variant.DEPTH}"
    fraction = f"{variant.READS / variant.DEPTH:.4f}"
    info = "CSQ=" + "|".join(parts)
    place = [variant.CHROMOSOME, str(position), ".", reference, alternative, ".", "PASS"]
    return "\t".join([*place, info, "GT:AD:DP:AF", f"{reads}:{fraction}"])


def anchored(kind: str, position: int) -> tuple[int, str, str]:
    """Return POS, REF and ALT of the variant a MAF places at `position`.

    A VCF writes the base before an insertion or deletion; a MAF does not. The base before an insertion is the
    one a MAF starts at, the base before a deletion the one in front of it.
    """
    if kind.endswith("Ins"):
        return position, "C", "CT"
    if kind.endswith("Del"):
        return position - 1, "AC", "A"
    return position, "C", "T"


def long_protein(short: str) -> str:
    """Return a protein change with three letters an amino acid; empty for a splice site, as VEP leaves it."""
    change = short.removeprefix("p.")
    if change.endswith("_splice"):
        return ""
    return "p." + "".join(_AMINO_ACIDS.get(letter, letter) for letter in change)
