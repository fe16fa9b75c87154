"""Read whatever tumour files a folder holds: a cBioPortal study, plain MAF or VCF files with a sheet, both.

Missing layers are normal: a folder without tumour files is None, not a fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from analysis import plan
from analysis.biomarkers.files.cbioportal import CbioportalStudy, read_cbioportal
from analysis.biomarkers.files.cbioportal_schema import check_study
from analysis.biomarkers.files.clinicalfile import check_identifiers
from analysis.biomarkers.files.maf import drop_duplicates, no_variants, read_maf, refuse_without_samples
from analysis.biomarkers.files.metafiles import KINDS, list_meta_files
from analysis.biomarkers.files.problems import Notes
from analysis.biomarkers.files.textfile import FileRefused, read_lines, read_table, refuse_lines
from analysis.biomarkers.files.vcf import read_vcf

SHEET = "samples.csv"
_MAF, _VCF = (".maf", ".maf.gz"), (".vcf", ".vcf.gz")
_SITE = ["SAMPLE_ID", "GENE", "CHROMOSOME", "START", "REF", "ALLELE"]


def read_tumour_folder(folder: str | Path, *, rules=None) -> CbioportalStudy | None:
    """Read the tumour files of a folder.

    Parameters
    ----------
    folder : path
        A cBioPortal study folder (it has meta files or the clinical sample file), or one with ``*.maf`` and
        ``*.vcf`` files (also gzipped, also in ``maf/`` and ``vcf/``) and the sheet ``samples.csv``:
        SAMPLE_ID, PATIENT_ID, any further columns (type and visit of the sample as the plan names them), and
        FILE where a VCF belongs to a sample by more than its name. A study folder may have VCF files, too:
        they add samples that its MAF does not have, and are compared with it where it does.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    CbioportalStudy or None
        None where the folder or the tumour files are not there.

    Raises
    ------
    FileRefused
        As `read_cbioportal`, `read_maf` and `read_vcf`; ``SAMPLES_MISSING`` for plain files without the
        sheet; ``FILE_SAMPLE_UNKNOWN`` for a VCF of no sample, ``FILE_TWICE`` for two of one sample.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    root = Path(folder)
    if not root.is_dir():
        return None
    vcfs = _list(root, "vcf", _VCF)
    if list_meta_files(root) or any((root / name).is_file() for name in KINDS["samples"].usual):
        study = read_cbioportal(root, rules=rules)
        return _with_vcfs(study, vcfs, rules) if vcfs else study
    mafs = _list(root, "maf", _MAF)
    if not mafs and not vcfs:
        return None
    return _plain_study(root, mafs, vcfs, rules)


def _list(root: Path, inside: str, endings: tuple[str, ...]) -> list[Path]:
    found = [path for place in (root, root / inside) if place.is_dir() for path in place.iterdir()]
    return sorted(path for path in found if path.is_file() and path.name.endswith(endings))


def _plain_study(root: Path, mafs: list[Path], vcfs: list[Path], rules) -> CbioportalStudy:
    notes = Notes()
    samples, files = _read_sheet(root)
    read, parts = [read_maf(path) for path in mafs], []
    for path, variants in zip(mafs, read):
        refuse_without_samples(variants.frame, samples, path.name)
        parts.append(_known(variants.frame, samples, path.name, notes))
    by_vcf = _sample_files(vcfs, samples, files, rules)
    problems = [variants.problems for variants in read]
    for sample, (_, variants) in by_vcf.items():
        parts.append(variants.frame.assign(SAMPLE_ID=sample))
        problems.append(variants.problems)
    mutations = drop_duplicates(_stack(parts), "variants", notes).reset_index(drop=True)
    seen = set(by_vcf) | set(mutations["SAMPLE_ID"]) | set(files)
    rest = sorted(set(samples["SAMPLE_ID"]) - seen)
    # A MAF does not tell a sample without variants from one that was not sequenced.
    if mafs and rest:
        for sample in rest:
            notes.add("SEQUENCED_ASSUMED", SHEET, record=f"sample {sample}")
        seen |= set(rest)
    samples["SEQUENCED"] = samples["SAMPLE_ID"].isin(seen)
    patients = samples[["PATIENT_ID"]].drop_duplicates().reset_index(drop=True)
    panels = dict.fromkeys(samples.loc[samples["SEQUENCED"], "SAMPLE_ID"])
    found = _stack([*problems, notes.frame()])
    study = CbioportalStudy(patients, samples, mutations, None, None, found, None, panels)
    check_study(study)
    return study


def _read_sheet(root: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the samples, and the file of each sample that the sheet names one for."""
    path = root / SHEET
    if not path.is_file():
        message = f"MAF or VCF files need the sheet {SHEET} (SAMPLE_ID, PATIENT_ID) beside them"
        raise FileRefused("SAMPLES_MISSING", message, root.name)
    sheet = read_table(path, delimiter=",", required=("SAMPLE_ID", "PATIENT_ID"))
    check_identifiers(sheet, ("SAMPLE_ID", "PATIENT_ID"), SHEET)
    twice = sheet["SAMPLE_ID"].duplicated()
    refuse_lines(twice, "SAMPLE_TWICE", "the sample stands in the file before", SHEET, "SAMPLE_ID")
    files = {}
    if "FILE" in sheet:
        named = sheet["FILE"].dropna()
        there = {path.name for path in [*_list(root, "vcf", _VCF), *_list(root, "maf", _MAF)]}
        refuse_lines(~named.isin(there), "FILE_MISSING", "no such MAF or VCF file", SHEET, "FILE", named)
        vcf = named[named.str.endswith(_VCF)]
        refuse_lines(vcf.duplicated(), "FILE_TWICE", "the VCF belongs to a sample before", SHEET, "FILE", vcf)
        files = dict(zip(sheet.loc[named.index, "SAMPLE_ID"], named))
    return sheet.drop(columns="FILE", errors="ignore").reset_index(drop=True), files


def _known(frame: pd.DataFrame, samples: pd.DataFrame, file: str, notes: Notes) -> pd.DataFrame:
    unknown = ~frame["SAMPLE_ID"].isin(samples["SAMPLE_ID"])
    for sample, count in frame.loc[unknown, "SAMPLE_ID"].value_counts().sort_index().items():
        notes.add("SAMPLE_UNKNOWN", file, record=f"{count} lines, sample {sample}")
    return frame[~unknown]


def _sample_files(
    vcfs: list[Path], samples: pd.DataFrame, files: dict[str, str], rules
) -> dict[str, tuple[Path, object]]:
    """Return the VCF of each sample and its variants: by the sheet, the name of the file, or its column."""
    owner = {file: sample for sample, file in files.items() if file.endswith(_VCF)}
    known = set(samples["SAMPLE_ID"])
    found: dict[str, tuple[Path, object]] = {}
    for path in vcfs:
        stem = path.name.removesuffix(".gz").removesuffix(".vcf")
        sample = owner.get(path.name) or (stem if stem in known else None)
        variants, column = _read_for(path, sample, known, rules)
        sample = sample or column
        if sample in found:
            message = f"sample {sample} has the file {found[sample][0].name} already"
            raise FileRefused("FILE_TWICE", message, path.name)
        found[sample] = (path, variants)
    return dict(sorted(found.items()))


def _read_for(path: Path, sample: str | None, known: Iterable[str], rules):
    """Return the variants of a VCF, and the known sample that one column of it is named as (or None)."""
    columns = _sample_columns(path)
    named = [column for column in columns if column in set(known)]
    if sample in columns:
        return read_vcf(path, sample=sample, rules=rules), sample
    if sample is not None:
        return read_vcf(path, rules=rules), None
    if len(named) != 1:
        message = f"its columns {columns} name no sample, or several; give it one in the column FILE"
        raise FileRefused("FILE_SAMPLE_UNKNOWN", message, path.name)
    return read_vcf(path, sample=named[0], rules=rules), named[0]


def _sample_columns(path: Path) -> list[str]:
    header = next((line for line in read_lines(path) if line.startswith("#CHROM")), "")
    return header.split("\t")[9:]


def _with_vcfs(study: CbioportalStudy, vcfs: list[Path], rules) -> CbioportalStudy:
    """Return a study with the variants of VCF files: added, or compared where the MAF has the sample."""
    notes = Notes()
    by_vcf = _sample_files(vcfs, study.samples, {}, rules)
    in_maf = set(study.mutations["SAMPLE_ID"])
    if "SEQUENCED_ASSUMED" not in set(study.problems["CODE"]):
        in_maf |= set(study.samples.loc[study.samples["SEQUENCED"], "SAMPLE_ID"])
    parts, problems, panels = [study.mutations], [study.problems], dict(study.panels)
    for sample, (path, variants) in by_vcf.items():
        frame = variants.frame.assign(SAMPLE_ID=sample)
        problems.append(variants.problems)
        if sample in in_maf:
            _compare(study.mutations[study.mutations["SAMPLE_ID"] == sample], frame, path.name, rules, notes)
            continue
        notes.add("VCF_ADDED", path.name, record=f"sample {sample}, {len(frame)} variants")
        parts.append(frame)
        panels.setdefault(sample, None)
    sequenced = study.samples["SEQUENCED"] | study.samples["SAMPLE_ID"].isin(set(by_vcf))
    complete = replace(
        study,
        samples=study.samples.assign(SEQUENCED=sequenced),
        mutations=_stack(parts),
        problems=_stack([*problems, notes.frame()]),
        panels=panels,
    )
    check_study(complete)
    return complete


def _compare(maf: pd.DataFrame, vcf: pd.DataFrame, file: str, rules, notes: Notes) -> None:
    """Note every protein-changing variant of a sample that its MAF and its VCF tell differently."""
    ours, theirs = (
        frame[frame["CLASS"].isin(rules.nonsilent_classes)].drop_duplicates(_SITE).set_index(_SITE)["VAF"]
        for frame in (maf, vcf)
    )
    for site in sorted(set(ours.index) | set(theirs.index), key=str):
        sample, gene, chromosome, start, reference, allele = site
        name = f"sample {sample}, {gene} {chromosome}:{start} {reference}>{allele}"
        if site not in theirs.index:
            notes.add("VCF_DIFFERS", file, record=f"{name}: only in the MAF")
        elif site not in ours.index:
            notes.add("VCF_DIFFERS", file, record=f"{name}: only in the VCF")
        elif abs(ours[site] - theirs[site]) > rules.vcf_vaf_tolerance:
            vafs = f"{ours[site]:.3g} in the MAF, {theirs[site]:.3g} in the VCF"
            notes.add("VCF_DIFFERS", file, record=f"{name}: allele fraction {vafs}")


def _stack(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    if filled:
        return pd.concat(filled, ignore_index=True)
    return frames[0] if frames else no_variants()
