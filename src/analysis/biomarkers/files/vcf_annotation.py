"""Genes and consequences of the variants of a VCF, as VEP (``CSQ``) or SnpEff (``ANN``) wrote them.

Sources: VEP "VCF output" (the Format in the header of CSQ); "Variant annotations in VCF format" 1.0 (ANN);
classes of the MAF as in vcf2maf (consequences.yaml).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import vcfpy

from analysis.biomarkers.files.maf import consequences
from analysis.biomarkers.files.textfile import FileRefused

# our name -> the annotators' names
_FIELDS = {
    "allele": ("Allele",),
    "number": ("ALLELE_NUM",),
    "terms": ("Consequence", "Annotation"),
    "gene": ("SYMBOL", "Gene_Name"),
    "protein": ("HGVSp", "HGVS.p"),
    "coding": ("HGVSc", "HGVS.c"),
    "pick": ("PICK",),
    "canonical": ("CANONICAL",),
}
_REQUIRED = ("allele", "terms", "gene")
_KEYS = ("CSQ", "ANN")
_SPLICED = ("splice_acceptor_variant", "splice_donor_variant")


class Effect(NamedTuple):
    """What an allele does to a gene: the gene, the class of the MAF, the protein change."""

    gene: str
    variant_class: str
    protein: str | None


class Annotation(NamedTuple):
    """Where a file keeps its annotation: the INFO key, how many fields an entry has, where each is."""

    key: str
    length: int
    where: Mapping[str, int]

    def effects(
        self, record: vcfpy.Record, index: int, alleles: list[str], place: tuple[str, int]
    ) -> list[Effect]:
        """Return the effect of an alternative allele on each gene it lies in, sorted by gene.

        Within a gene: a picked transcript before a canonical one before others, then the most severe.

        Raises
        ------
        FileRefused
            ``ANNOTATION_FORMAT``, ``ANNOTATION_ALLELE``, ``CONSEQUENCE_UNKNOWN`` with the line.
        """
        entries = self._entries(record, place)
        mine = [entry for entry in entries if self._is_of(entry, index, record.REF, alleles)]
        if entries and not mine and len(alleles) > 1:
            message = f"no annotation of allele {alleles[index - 1]!r} among several"
            raise FileRefused("ANNOTATION_ALLELE", message, *place, self.key)
        by_gene: dict[str, list[dict[str, str]]] = {}
        for entry in mine:
            if entry.get("gene"):
                by_gene.setdefault(entry["gene"], []).append(entry)
        growth = len(alleles[index - 1]) - len(record.REF)
        found = [_effect(gene, by_gene[gene], growth, (*place, self.key)) for gene in sorted(by_gene)]
        return [effect for effect in found if effect.variant_class not in consequences()["outside"]]

    def _entries(self, record: vcfpy.Record, place: tuple[str, int]) -> list[dict[str, str]]:
        content = record.INFO.get(self.key)
        if content in (None, True):
            return []
        texts = content if isinstance(content, list) else str(content).split(",")
        entries = []
        for text in texts:
            fields = str(text or "").split("|")
            if len(fields) > self.length or len(fields) <= max(self.where[name] for name in _REQUIRED):
                message = f"an entry of {len(fields)} fields where the header names {self.length}"
                raise FileRefused("ANNOTATION_FORMAT", message, *place, self.key)
            entries.append({name: fields[i].strip() for name, i in self.where.items() if i < len(fields)})
        return entries

    def _is_of(self, entry: dict[str, str], index: int, reference: str, alleles: list[str]) -> bool:
        if entry.get("number"):
            return entry["number"] == str(index)
        # One alternative allele: all that is annotated is annotated on it.
        allele = alleles[index - 1]
        return len(alleles) == 1 or entry["allele"] in (allele, _vep_allele(allele, reference, alleles))


def find_annotation(header: vcfpy.Header, file: str) -> Annotation:
    """Tell from the header how a file is annotated.

    Raises
    ------
    FileRefused
        ``NOT_ANNOTATED`` without CSQ and ANN; ``ANNOTATION_FORMAT`` if needed fields are not named.
    """
    described = {
        line.mapping.get("ID"): str(line.mapping.get("Description", "")) for line in header.get_lines("INFO")
    }
    key = next((key for key in _KEYS if key in described), None)
    if key is None:
        message = "no consequences (CSQ or ANN); annotate the file with VEP or SnpEff first"
        raise FileRefused("NOT_ANNOTATED", message, file, column="INFO")
    # VEP: "... Format: Allele|Consequence|..."; SnpEff: "Functional annotations: 'Allele | Annotation | ...'"
    names = [re.sub(r"[\s'\"]", "", name) for name in described[key].rpartition(":")[2].split("|")]
    where = {
        ours: names.index(theirs) for ours, known in _FIELDS.items() for theirs in known if theirs in names
    }
    missing = [_FIELDS[name][0] for name in _REQUIRED if name not in where]
    if missing:
        message = f"the header names no {' and no '.join(missing)}; annotate with gene symbols"
        raise FileRefused("ANNOTATION_FORMAT", message, file, column=key)
    return Annotation(key, len(names), where)


def _vep_allele(allele: str, reference: str, alleles: list[str]) -> str:
    """Return an allele as VEP names it: with an insertion or deletion, the shared first base goes."""
    everyone = [reference, *alleles]
    shifted = len({len(one) for one in everyone}) > 1 and len({one[:1] for one in everyone}) == 1
    return (allele[1:] or "-") if shifted else allele


def _effect(gene: str, entries: list[dict[str, str]], growth: int, place: tuple[str, int, str]) -> Effect:
    picked = [entry for entry in entries if entry.get("pick") == "1"]
    canonical = [entry for entry in entries if entry.get("canonical") == "YES"]
    candidates = picked or canonical or entries
    ranked = [(_most_severe(entry["terms"], place), entry) for entry in candidates]
    order = list(consequences()["terms"])
    term, entry = min(ranked, key=lambda item: order.index(item[0]))
    return Effect(gene, _classify(term, growth), _protein(entry, term))


def _most_severe(terms: str, place: tuple[str, int, str]) -> str:
    order = list(consequences()["terms"])
    found = [term for term in terms.split("&") if term] or ["intergenic_variant"]
    unknown = [term for term in found if term not in order]
    if unknown:
        message = f"{unknown[0]!r} is no consequence that is known here; add it to consequences.yaml"
        raise FileRefused("CONSEQUENCE_UNKNOWN", message, *place)
    return min(found, key=order.index)


def _classify(term: str, growth: int) -> str:
    """Return the class of a MAF; `growth` is the length of the allele less that of the reference, bases."""
    found = consequences()["terms"][term]
    if found not in ("frameshift", "by_length"):
        return found
    if growth == 0:
        return "Targeted_Region"
    kind = "Ins" if growth > 0 else "Del"
    return f"In_Frame_{kind}" if found == "by_length" and growth % 3 == 0 else f"Frame_Shift_{kind}"


def _protein(entry: dict[str, str], term: str) -> str | None:
    """Return the change in one-letter amino acids; a splice site is named by its codon, as in vcf2maf."""
    coding = re.match(r"(?:.*:)?c\.(\d+)", entry.get("coding", ""))
    if term in _SPLICED and coding:
        base = max(int(coding.group(1)), 1)
        return f"p.X{round((base + base % 3) / 3)}_splice"
    change = entry.get("protein", "").rpartition(":")[2].replace("%3D", "=")
    letters = consequences()["amino_acids"]
    return re.sub("|".join(letters), lambda found: letters[found.group()], change) or None
