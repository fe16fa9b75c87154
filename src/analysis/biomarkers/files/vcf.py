"""Read an annotated VCF as the same frame of variants as a MAF; records are parsed by vcfpy (MIT).

Sources: VCF 4.3 specification; positions and allele fractions as vcf2maf writes them (mskcc/vcf2maf 1.6.21).
"""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import vcfpy

from analysis import plan
from analysis.biomarkers.files.maf import COLUMNS, Variants, drop_duplicates, no_variants
from analysis.biomarkers.files.problems import Notes
from analysis.biomarkers.files.textfile import FileRefused, read_lines
from analysis.biomarkers.files.vcf_annotation import Annotation, find_annotation

_FIXED = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
_BASES = re.compile(r"[ACGTNacgtn]+")
_ALT = re.compile(r"[ACGTNacgtn]+|\*|\.|<[^<>\s]+>|[^\s,]*[\[\]][^\s,]*|\.[ACGTNacgtn]+|[ACGTNacgtn]+\.")
_INFO_KEY = re.compile(r"[A-Za-z_][0-9A-Za-z_.]*|1000G")
_TUMOUR_LINE = "tumor_sample"
_MOST_READS = 1e12


def read_vcf(path: str | Path, *, sample: str | None = None, rules=None) -> Variants:
    """Read the tumour's variants of a VCF annotated by VEP (``CSQ``) or SnpEff (``ANN``).

    Parameters
    ----------
    path : path
        VCF, plain or gzipped (``.gz``).
    sample : str, optional
        Column of the tumour. Without it the one that ``##tumor_sample=`` names, or the only one there is.
    rules : Section, optional
        The plan's section ``biomarkers``: ``vcf_filters_used``.

    Returns
    -------
    Variants
        `frame`: as `read_maf` gives it, a row an alternative allele and gene it lies
        in (CLASS from the most severe consequence; PICK or canonical transcripts first); SAMPLE_ID is the
        column's name. VAF and DEPTH come from AD, else AF and DP, of the tumour. Positions are those of a
        MAF: the common first bases are taken off. `problems`: records set aside, counted.

    Raises
    ------
    FileRefused
        With the line, and where it can be told the column: ``FILE_TRUNCATED``, ``HEADER_MISSING``,
        ``HEADER_MALFORMED``, ``TUMOUR_UNKNOWN``, ``NOT_ANNOTATED``, ``ANNOTATION_FORMAT``,
        ``CONSEQUENCE_UNKNOWN``, ``ROW_LENGTH``, ``CONTIG_UNKNOWN``, ``POSITION_MALFORMED``,
        ``ALLELE_MALFORMED``, ``INFO_MALFORMED``, ``NUMBER_MALFORMED``, ``NUMBER_RANGE``,
        ``RECORD_MALFORMED``.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    path = Path(path)
    lines = read_lines(path)
    start, parser = _open_header(lines, path.name)
    column = _tumour_column(parser.header, sample, path.name, start)
    annotation = find_annotation(parser.header, path.name)
    contigs = {line.id for line in parser.header.get_lines("contig")}
    counted: Counter = Counter()
    rows, numbers = [], []
    for number, line in enumerate(lines[start:], start + 1):
        if not line.strip():
            continue
        record = _parse(line, number, parser, contigs, path.name)
        if not _passes(record, rules, counted):
            continue
        for row in _rows_of(record, column, annotation, (path.name, number), counted):
            rows.append(row)
            numbers.append(number)
    notes = Notes()
    for (code, detail), count in sorted(counted.items()):
        notes.add(code, path.name, record=f"{count}{detail}")
    if not rows:
        return Variants(no_variants(), notes.frame())
    frame = pd.DataFrame(rows, columns=COLUMNS, index=numbers).astype(object)
    frame = drop_duplicates(frame.astype({"VAF": float, "DEPTH": float}), path.name, notes)
    return Variants(frame.reset_index(drop=True), notes.frame())


def _open_header(lines: list[str], file: str) -> tuple[int, vcfpy.parser.Parser]:
    """Return how many lines the header has, and vcfpy's parser of records."""
    if not lines[0].startswith("##fileformat=VCF"):
        raise FileRefused("HEADER_MISSING", "no VCF: the first line must be ##fileformat=VCFv4.x", file, 1)
    end = next((n for n, line in enumerate(lines, 1) if not line.startswith("##")), None)
    if end is None or not lines[end - 1].startswith("#CHROM"):
        raise FileRefused("HEADER_MISSING", "no line of columns (#CHROM POS ID ...)", file, end or len(lines))
    columns = lines[end - 1].split("\t")
    wrong = next((name for name, found in zip(_FIXED, columns) if name != found), None)
    if wrong or len(columns) <= len(_FIXED):
        message = f"expected the columns {' '.join(_FIXED)} and one for each sample"
        raise FileRefused("HEADER_MALFORMED", message, file, end, wrong)
    if len(set(columns)) < len(columns):
        raise FileRefused("COLUMN_TWICE", "a sample stands twice", file, end)
    _check_header_lines(lines[: end - 1], file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parser = vcfpy.parser.Parser(io.StringIO("\n".join(lines[:end]) + "\n"), file)
        parser.parse_header()
    return end, parser


def _check_header_lines(lines: list[str], file: str) -> None:
    header = vcfpy.parser.HeaderParser()
    for number, line in enumerate(lines, 1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                parsed = header.parse_line(line)
            # vcfpy fills in what is not there: the line itself tells.
            needed = ("ID", "Number", "Type") if parsed.key in ("INFO", "FORMAT") else ()
            missing = [name for name in needed if not re.search(rf"[<,]{name}=", line)]
        except Exception as error:
            # vcfpy lets errors of its own parts through (SyntaxError, ValueError); all mean this line.
            raise FileRefused(
                "HEADER_MALFORMED", f"no line of a VCF header: {error}", file, number
            ) from error
        if missing:
            raise FileRefused("HEADER_MALFORMED", f"needs {missing[0]}", file, number, parsed.key)


def _tumour_column(header: vcfpy.Header, sample: str | None, file: str, line: int) -> str:
    names = list(header.samples.names)
    declared = [found.value for found in header.lines if found.key == _TUMOUR_LINE]
    wanted = sample or (declared[0] if len(set(declared)) == 1 else None)
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return wanted
    said = "none is named" if wanted is None else f"{wanted!r} is not among them"
    message = f"which column is the tumour? {said}; there are {names}"
    raise FileRefused("TUMOUR_UNKNOWN", message, file, line)


def _parse(line: str, number: int, parser: vcfpy.parser.Parser, contigs: set[str], file: str) -> vcfpy.Record:
    """Return a record; whatever vcfpy would raise on it is refused with its line before."""
    fields = line.split("\t")
    expected = len(_FIXED) + len(parser.samples.names)
    if len(fields) != expected:
        message = f"{len(fields)} fields where the header has {expected}; mend the line"
        raise FileRefused("ROW_LENGTH", message, file, number)
    named = dict(zip(_FIXED, fields))
    if contigs and named["#CHROM"] not in contigs:
        message = f"{named['#CHROM']!r} is no contig of the header: another reference?"
        raise FileRefused("CONTIG_UNKNOWN", message, file, number, "CHROM")
    _check_fields(named, file, number)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = parser.parse_line(line)
    except Exception as error:
        raise FileRefused("RECORD_MALFORMED", f"no record of a VCF: {error}", file, number) from error
    return record


def _check_fields(named: dict[str, str], file: str, number: int) -> None:
    if not re.fullmatch("[0-9]{1,12}", named["POS"]):
        raise FileRefused("POSITION_MALFORMED", f"no whole number ({named['POS']!r})", file, number, "POS")
    if not _BASES.fullmatch(named["REF"]):
        raise FileRefused("ALLELE_MALFORMED", f"no bases ({named['REF']!r})", file, number, "REF")
    for allele in named["ALT"].split(","):
        if not _ALT.fullmatch(allele):
            raise FileRefused("ALLELE_MALFORMED", f"no allele ({allele!r})", file, number, "ALT")
    for entry in named["INFO"].split(";") if named["INFO"] != "." else []:
        key, equals, value = entry.partition("=")
        if not _INFO_KEY.fullmatch(key) or (equals and not value):
            raise FileRefused("INFO_MALFORMED", f"no KEY or KEY=value ({entry!r})", file, number, "INFO")


def _passes(record: vcfpy.Record, rules, counted: Counter) -> bool:
    failed = [name for name in record.FILTER if name not in rules.vcf_filters_used]
    if failed:
        counted["VCF_FILTERED", f" records, filter {';'.join(failed)}"] += 1
    return not failed


def _rows_of(
    record: vcfpy.Record, column: str, annotation: Annotation, place: tuple[str, int], counted: Counter
) -> Iterator[list]:
    """Yield a row (`COLUMNS`) for each allele the tumour has and each gene it lies in."""
    if not record.ALT:
        counted["VCF_SYMBOLIC", " alleles"] += 1
    call = record.call_for_sample[column].data
    alleles = [alt.serialize() for alt in record.ALT]
    for index, allele in enumerate(alleles, 1):
        if not _BASES.fullmatch(allele):
            counted["VCF_SYMBOLIC", " alleles"] += 1
            continue
        if not _called(call.get("GT"), index):
            counted["VCF_NOT_CALLED", " alleles"] += 1
            continue
        start, end, reference, changed = trim_alleles(record.POS, record.REF, allele)
        effects = annotation.effects(record, index, alleles, place)
        if not effects:
            counted["VCF_WITHOUT_GENE", " alleles"] += 1
            continue
        vaf, depth = _fraction(call, index, len(alleles), place)
        if np.isnan(vaf):
            counted["VCF_NO_COUNTS", " alleles"] += 1
        where = [record.CHROM.removeprefix("chr"), str(start), changed]
        for effect in effects:
            yield [column, *effect, *where, None, vaf, depth, str(end), reference]


def trim_alleles(position: int, reference: str, allele: str) -> tuple[int, int, str, str]:
    """Return start, end, reference and variant allele as a MAF has them, from those of a VCF.

    The common first bases go; an insertion lies between the two bases at its start and end.

    Examples
    --------
    >>> trim_alleles(100, "C", "CT")
    (100, 101, '-', 'T')
    >>> trim_alleles(100, "CTT", "C")
    (101, 102, 'TT', '-')
    """
    while reference and allele and reference[0] == allele[0] and reference != allele:
        reference, allele, position = reference[1:], allele[1:], position + 1
    if not reference:
        return position - 1, position, "-", allele
    return position, position + len(reference) - 1, reference, allele or "-"


def _called(genotype: str | None, index: int) -> bool:
    """Tell whether a genotype holds an allele; one that is not complete says nothing against it."""
    parts = re.split(r"[/|]", genotype or ".")
    return "." in parts or str(index) in parts


def _fraction(call: dict, index: int, alleles: int, place: tuple[str, int]) -> tuple[float, float]:
    """Return allele fraction and depth of the tumour: from AD (with RD, as VarScan), else AF and DP."""
    depths = _numbers(call, "AD", place)
    if len(depths) == 1 and "RD" in call:
        depths = [*_numbers(call, "RD", place), *depths]
    if depths:
        if len(depths) != alleles + 1:
            message = f"{len(depths)} values of AD for {alleles + 1} alleles"
            raise FileRefused("NUMBER_MALFORMED", message, *place, "AD")
        total = float(np.sum(depths))
        if not np.isnan(total):
            return (depths[index] / total if total > 0 else np.nan), total
    fractions = _numbers(call, "AF", place, high=1.0)
    total = (_numbers(call, "DP", place) or [np.nan])[0]
    if fractions and len(fractions) != alleles:
        message = f"{len(fractions)} values of AF for {alleles} alternative alleles"
        raise FileRefused("NUMBER_MALFORMED", message, *place, "AF")
    return (fractions[index - 1] if fractions else np.nan), total


def _numbers(call: dict, key: str, place: tuple[str, int], high: float = np.inf) -> list[float]:
    value = call.get(key)
    values = value if isinstance(value, list) else [] if value is None else [value]
    if all(part is None for part in values):
        return []
    numbers = []
    for part in values:
        if isinstance(part, str | bool):
            raise FileRefused("NUMBER_MALFORMED", f"not a number ({part!r})", *place, key)
        # Beyond what a file of reads can hold: digits that no float takes.
        if part is not None and not 0 <= part <= min(high, _MOST_READS):
            raise FileRefused("NUMBER_RANGE", f"outside 0 to {high:g} ({str(part)[:20]})", *place, key)
        numbers.append(np.nan if part is None else float(part))
    return numbers
