"""Alterations at progression that were absent at baseline, where the baseline sample would have shown them.

Absence is evidence only in a sample that could have seen the clone: a gene on its panel, with so many reads
that a clone of the plan's allele fraction would have given the reads a caller needs. What is counted needs
the same of the later sample. Direction: the later
sample against baseline, so that a ratio above 1 is more often acquired than lost. Exploratory.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binom

from analysis import plan
from analysis.biomarkers.adbm_tumour import select_variants
from analysis.biomarkers.association import preferred_rows, tier_of
from analysis.biomarkers.files.cbioportal import CbioportalStudy
from analysis.biomarkers.paired_samples import adjust_family, pair_row
from analysis.biomarkers.plasma import NOT_DETECTED, PROGRESSION, select_visit
from analysis.biomarkers.rows import Analysis, as_rows, join_notes, nothing
from analysis.contracts import contract_of
from analysis.survival.proportion import proportion

COLUMNS = list(contract_of("acquired").columns)
_PAIR = ["USUBJID", "PARAMCD"]
_SAMPLE = ["USUBJID", "SAMPLEID"]
_SIDE = ["SAMP", "PRESENT", "VAF", "DEPTH", "LOD", "SHEDS"]
_MUTATION = {"MUTATED": 1.0, "WT": 0.0}
_COPY_NUMBER = {"AMP": "AMPLIFIED", "DEL": "DELETED"}


def compare_acquired(study: CbioportalStudy | None, adbm: pd.DataFrame, *, rules=None) -> Analysis:
    """Compare the sample at progression with baseline, gene by gene, tissue with tissue, plasma with plasma.

    Parameters
    ----------
    study : CbioportalStudy or None
        Names the variants: a gene altered in both samples by different ones is noted.
    adbm : DataFrame
        Table adbm. Tissue: the preferred baseline sample and the preferred one of visit PROG; plasma: the
        draws that `select_visit` takes at baseline and PROG, genes the table reports on.
    rules : Section, optional
        The plan's section ``biomarkers``: ``acquired_*``.

    Returns
    -------
    Analysis
        `table` acquired: a gene altered in either sample. ACQUIRED later only, LOST baseline only, PRESENT AT
        BASELINE in both; NOT ASSESSABLE where the sample that does not show it might have missed it. `DEPTH`
        and `POWER` are of that sample. Without reads a plasma draw is judged by its limit of detection; by
        the plan, a draw without any ctDNA shows no absence. A copy number is assessable where it has a value.
        `estimates` count the subjects both of whose samples could have shown the gene, whatever they show: a
        shallow sample would else count when it finds something and not when it finds nothing. For each gene
        the share that acquired it among the N without it at baseline (Clopper-Pearson; N_POS acquired), and
        McNemar's exact test with the ratio of acquired to lost (N_POS altered later); Q_BH over the tested
        genes of one source and kind.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    tissue = [_tissue_pairs(adbm, partype, rules) for partype in ("MUT", "CNA")]
    tissue[0] = _name_new_variants(tissue[0], study, rules)
    plasma = _plasma_pairs(adbm, rules)
    missing = [
        words
        for words, found in (
            ("no subject has tumour samples at baseline and at progression", any(map(len, tissue))),
            ("no subject has plasma at baseline and at progression that names a gene", len(plasma)),
        )
        if not found
    ]
    pairs = [found for found in (*tissue, plasma) if len(found)]
    if not pairs:
        return nothing(join_notes(*missing), pd.DataFrame(columns=COLUMNS))
    every = _classify(pd.concat(pairs, ignore_index=True), rules)
    rows = [row for _, family in every.groupby(["SOURCE", "PARTYPE"]) for row in _estimate(family, rules)]
    return Analysis(as_rows(rows), _tabulate(every, adbm), join_notes(*missing))


def power_to_show(depth: np.ndarray, *, vaf: float, reads: int) -> np.ndarray:
    """Compute the probability that a sample shows at least `reads` variant reads of a clone.

    Parameters
    ----------
    depth : array of float
        Reads at the position, or of the sample; NaN gives NaN.
    vaf : float
        Allele fraction of the clone in the sample, 0-1.
    reads : int
        Variant reads a caller needs.

    Examples
    --------
    R: ``pbinom(2, c(40, 123, 124), 0.05, lower.tail = FALSE)``

    >>> power_to_show(np.array([40, 123, 124]), vaf=0.05, reads=3).round(4)
    array([0.3233, 0.9486, 0.9505])
    """
    return binom.sf(reads - 1, np.floor(np.asarray(depth, float)), vaf)


def _tissue_pairs(adbm: pd.DataFrame, partype: str, rules) -> pd.DataFrame:
    base = preferred_rows(adbm, partype, rules=rules)
    # The same preference, asked for the later visit.
    later = adbm[adbm["AVISIT"] == PROGRESSION].assign(AVISIT=rules.baseline_visit)
    late = preferred_rows(later, partype, rules=rules)
    return _join(base.assign(SHEDS=True), late.assign(SHEDS=True), partype, "TISSUE")


def _plasma_pairs(adbm: pd.DataFrame, rules) -> pd.DataFrame:
    """Pair the draws of each subject, for every gene that either of them names."""
    rows = adbm[(adbm["PARTYPE"] == "MUT") & (adbm["SAMPTYPE"] == "PLASMA")]
    calls = [
        select_visit(adbm, visit)[["SAMPLEID", "AVALC"]].rename(columns={"AVALC": "CALL"}).reset_index()
        for visit in (rules.baseline_visit, PROGRESSION)
    ]
    both = set(calls[0]["USUBJID"]) & set(calls[1]["USUBJID"])
    taken = pd.concat(calls)[_SAMPLE].merge(rows, on=_SAMPLE)
    named = taken.loc[taken["USUBJID"].isin(both), _PAIR].drop_duplicates()
    sides = []
    for call in calls:
        # A draw without ctDNA may name no gene: it is the subject's draw all the same.
        side = named.merge(call, on="USUBJID").merge(rows, how="left", on=[*_SAMPLE, "PARAMCD"])
        sheds = side["CALL"].ne(NOT_DETECTED)
        sides.append(side.assign(SHEDS=sheds if rules.acquired_plasma_ctdna else True))
    return _join(*sides, "MUT", "PLASMA")


def _join(base: pd.DataFrame, late: pd.DataFrame, partype: str, source: str) -> pd.DataFrame:
    """Put the two samples of each subject side by side, a row a gene that either of them names."""
    both = set(base["USUBJID"]) & set(late["USUBJID"])
    sides = []
    for name, rows in (("BASE", base), ("LATE", late)):
        side = _present(rows[rows["USUBJID"].isin(both)], partype)
        sides.append(side[[*_PAIR, *_SIDE]].rename(columns={column: f"{name}{column}" for column in _SIDE}))
    joined = sides[0].merge(sides[1], on=_PAIR, how="outer", validate="one_to_one")
    for name in ("BASE", "LATE"):
        # A gene that a sample has no row for was not reported on: the sample is named all the same.
        sample = joined.groupby("USUBJID")[f"{name}SAMP"].transform("first")
        joined[f"{name}SAMP"] = joined[f"{name}SAMP"].fillna(sample)
        joined[f"{name}SHEDS"] = joined[f"{name}SHEDS"].eq(True)
    return joined.assign(SOURCE=source, PARTYPE=partype, REMARK=None)


def _present(rows: pd.DataFrame, partype: str) -> pd.DataFrame:
    sides = rows.rename(columns={"SAMPLEID": "SAMP"})
    if partype == "MUT":
        return sides.assign(PRESENT=sides["AVALC"].map(_MUTATION).astype(float), VAF=sides["AVAL"])
    known = sides["AVAL"].notna()
    parts = [
        sides.assign(
            PARAMCD=sides["PARAMCD"] + "_" + short,
            PRESENT=sides["AVALC"].eq(word).astype(float).where(known),
            VAF=np.nan,
        )
        for short, word in _COPY_NUMBER.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _name_new_variants(pairs: pd.DataFrame, study: CbioportalStudy | None, rules) -> pd.DataFrame:
    """Note where a gene altered in both samples has another variant later than at baseline."""
    if study is None or pairs.empty:
        return pairs
    variants = select_variants(study, rules=rules).dropna(subset="PROTEIN")
    changes = variants.groupby(["SAMPLE_ID", "GENE"])["PROTEIN"].agg(set).to_dict()
    remarks = []
    for gene, base, late in pairs[["PARAMCD", "BASESAMP", "LATESAMP"]].itertuples(index=False):
        before, after = changes.get((base, gene)), changes.get((late, gene))
        new = sorted(after - before) if before and after else []
        remarks.append(f"another variant of the gene later: {', '.join(new)}" if new else None)
    return pairs.assign(REMARK=remarks)


def _classify(pairs: pd.DataFrame, rules) -> pd.DataFrame:
    """Call each gene; SEEN: the call is certain, COUNTED: both samples could have shown the gene."""
    pairs = pairs.reset_index(drop=True)
    for name in ("BASE", "LATE"):
        pairs[f"{name}POWER"], pairs[f"{name}WHY"] = _what_it_shows(pairs, name, rules)
    base, late = pairs["BASEPRESENT"] == 1, pairs["LATEPRESENT"] == 1
    seen = (base | pairs["BASEWHY"].isna()) & (late | pairs["LATEWHY"].isna())
    words = np.select(
        [~seen, base & late, late, base],
        ["NOT ASSESSABLE", "PRESENT AT BASELINE", "ACQUIRED", "LOST"],
        "NEITHER",
    )
    counted = pairs["BASEWHY"].isna() & pairs["LATEWHY"].isna()
    return pairs.assign(AVALC=words, SEEN=seen, COUNTED=counted, BASE=base, LATE=late)


def _what_it_shows(pairs: pd.DataFrame, name: str, rules) -> tuple[np.ndarray, pd.Series]:
    """Return each sample's power to show the gene, and why it could not have shown it, or None.

    What the sample does show is not asked: absence and presence are judged alike.
    """
    present, lod = pairs[f"{name}PRESENT"], pairs[f"{name}LOD"]
    asked = present.notna() & (pairs["PARTYPE"] == "MUT")
    depth = _depth_judged(pairs, name)
    power = power_to_show(
        depth.where(asked).to_numpy(float), vaf=rules.acquired_min_vaf, reads=rules.acquired_min_reads
    )
    by_limit = asked & depth.isna() & (pairs["SOURCE"] == "PLASMA")
    which = {"BASE": "baseline", "LATE": "later"}[name]
    reasons = [
        (~pairs[f"{name}SHEDS"] & (present != 1), f"{which} draw: no ctDNA at all"),
        (present.isna(), f"{which} sample: the gene was not assessed"),
        (by_limit & lod.isna(), f"{which} draw: neither depth nor limit of detection is known"),
        (by_limit & (lod > rules.acquired_min_vaf), f"{which} draw: limit of detection too high"),
        (asked & depth.isna() & ~by_limit, f"{which} sample: its depth is not known"),
        (asked & (power < rules.acquired_power), f"{which} sample: too few reads to show it"),
    ]
    why = np.select([case.to_numpy(bool) for case, _ in reasons], [words for _, words in reasons], "")
    return power, pd.Series(why, index=pairs.index, dtype=object).replace("", None)


def _depth_judged(pairs: pd.DataFrame, name: str) -> pd.Series:
    """Return the reads each sample is judged by.

    A gene that is altered has the reads at its variant, one that is not those of the whole sample. So that
    both are judged alike, the first has those of the second (median), where the sample has any such gene.
    """
    depth, absent = pairs[f"{name}DEPTH"].astype(float), pairs[f"{name}PRESENT"] == 0
    sample = [pairs[column] for column in ("USUBJID", "SOURCE", "PARTYPE", f"{name}SAMP")]
    whole = depth.where(absent).groupby(sample, dropna=False).transform("median")
    known = absent.groupby(sample, dropna=False).transform("any")
    return depth.mask(~absent & known, whole)


def _tabulate(every: pd.DataFrame, adbm: pd.DataFrame) -> pd.DataFrame:
    shown = every[every["BASE"] | every["LATE"]].reset_index(drop=True)
    # What is told of depth and power is told of the sample that does not show the gene.
    missing_late = shown["BASE"] & ~shown["LATE"]
    missing_base = shown["LATE"] & ~shown["BASE"]
    told = {
        name: shown[f"BASE{name}"].where(missing_base, shown[f"LATE{name}"].where(missing_late))
        for name in ("DEPTH", "POWER")
    }
    table = shown.assign(
        **told,
        STUDYID=adbm["STUDYID"].iloc[0],
        VAF=shown["LATEVAF"].where(shown["LATE"], shown["BASEVAF"]),
        NOTE=[_note(row) for row in shown.to_dict("records")],
    )
    return table.sort_values(["USUBJID", "SOURCE", "PARTYPE", "PARAMCD"], ignore_index=True)[COLUMNS]


def _note(row: dict) -> str | None:
    """Say why a gene was not called, or is called but not counted; then what was remarked of it."""
    asked = ("BASEWHY", "LATEWHY") if row["LATE"] else ("LATEWHY", "BASEWHY")
    why = next((row[name] for name in asked if pd.notna(row[name])), None)
    if why is not None and row["SEEN"]:
        why = f"called, not counted: {why}"
    return join_notes(why, row["REMARK"]) or None


def _estimate(family: pd.DataFrame, rules) -> list[dict]:
    """Estimate the share acquired and the ratio acquired to lost of every gene altered in any sample."""
    altered = family[family["BASE"] | family["LATE"]]["PARAMCD"].unique()
    shares, ratios = [], []
    for gene in sorted(altered):
        of_gene = family[family["PARAMCD"] == gene]
        seen, aside = of_gene[of_gene["COUNTED"]], of_gene[of_gene["SEEN"] & ~of_gene["COUNTED"]]
        acquired, lost = (int((seen["AVALC"] == word).sum()) for word in ("ACQUIRED", "LOST"))
        late, either = int(seen["LATE"].sum()), int((seen["BASE"] | seen["LATE"]).sum())
        partype, source = family["PARTYPE"].iloc[0], family["SOURCE"].iloc[0]
        left = int(aside["AVALC"].isin(["ACQUIRED", "LOST"]).sum())
        note = f"acquired {acquired}, lost {lost}" + (f"; {left} called, not counted" if left else "")
        identity = {
            **{"ANALYSIS": "acquired", "MARKER": gene, "PARTYPE": partype, "SAMPTYPE": source},
            **{"AVISIT": PROGRESSION, "OUTCOME": "ACQUIRED", "TIER": tier_of(gene, partype, rules)},
            **{"N": len(seen), "N_POS": late, "NOTE": note},
        }
        shares.append(_share_row({**identity, "N": int((~seen["BASE"]).sum())}, acquired, rules))
        ratios.append(pair_row(identity, acquired, lost, either, rules))
    return [*shares, *adjust_family(ratios)]


def _share_row(identity: dict, acquired: int, rules) -> dict:
    row = {
        **identity,
        **{"METHOD": "clopper_pearson", "STATISTIC": "proportion", "N_POS": acquired},
    }
    if identity["N"] == 0:
        none = "nobody without it at baseline is assessable in both samples"
        return {**row, "TESTED": "N", "NOTE": join_notes(identity["NOTE"], none)}
    found = proportion(acquired, identity["N"], alpha=rules.interval_alpha).set_index("method")
    limits = found.loc["clopper_pearson", ["estimate", "lower", "upper"]]
    return {**row, **{name.upper(): float(value) for name, value in limits.items()}, "TESTED": "Y"}
