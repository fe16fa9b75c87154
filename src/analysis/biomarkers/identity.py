"""Whose sample is it? The variants of each sample against those of every patient's other samples.

A variant is its gene and protein change, else its position and allele. It is informative where few patients
carry it, and it is counted without the sample that is asked after: in an exchanged sample the variants of its
true patient would otherwise seem to be carried by two.

In 200 simulated cohorts without an exchange (`cohort` of tests/biomarkers/test_identity.py: 40 patients of
three samples, two to seven variants each, a quarter of them hotspots, one in ten lost in a sample) none of
23,956 samples was suspected. In 200 with two tubes exchanged both were named in 131, one in 55, none in 14,
where too few variants were left to tell; nobody else was ever named.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.adbm_tumour import left_out_by_status, match_subjects
from analysis.biomarkers.files.cbioportal import PROBLEM_COLUMNS, CbioportalStudy
from analysis.biomarkers.files.plasma_table import DETECTED

_COLUMNS = ["SOURCE", "SAMPLEID", "USUBJID", "VARIANT", "VAF"]
_DOMAIN = {"TUMOUR": "samples", "PLASMA": "plasma"}
# Allele fractions that agree to so many decimals come from the same reads.
_VAF_DECIMALS = 6


class _Suspicion(NamedTuple):
    """A sample, whose it is said to be, whose it seems to be, and the numbers that say so.

    `support` is the number of samples of the other patient that share enough variants on their own.
    """

    sample: int
    own: int
    other: int
    shared_own: int
    shared_other: int
    elsewhere: int
    support: int


class _Carriers(NamedTuple):
    """Who carries what.

    Attributes
    ----------
    samples : DataFrame
        A row a sample that shows any variant: SOURCE SAMPLEID USUBJID; the order of the matrices.
    subjects : array of str, shape (p,)
    of_subject : array of int, shape (s,)
        Place of each sample's subject.
    shows : array of bool, shape (s, v)
        Sample by variant.
    counts : array of int, shape (p, v)
        Number of a subject's samples that show a variant.
    most : int
        Largest number of subjects that may carry an informative variant.
    """

    samples: pd.DataFrame
    subjects: np.ndarray
    of_subject: np.ndarray
    shows: np.ndarray
    counts: np.ndarray
    most: int


def check_identity(
    study: CbioportalStudy | None, plasma: pd.DataFrame | None, *, adsl: pd.DataFrame, rules=None
) -> pd.DataFrame:
    """Ask after samples whose variants are another patient's, nobody's, or another sample's to the digit.

    Parameters
    ----------
    study : CbioportalStudy or None
        As `read_cbioportal` returns; silent variants count, those the plan's status words leave out do not.
    plasma : DataFrame or None
        As `read_plasma` returns; detected variants with a protein change count.
    adsl : DataFrame
        Table adsl: USUBJID. Samples of unknown subjects are not compared.
    rules : Section, optional
        The plan's section ``biomarkers``: ``identity_*``.

    Returns
    -------
    DataFrame
        Columns of a query table without STEP. SAMPLE_SWAP_SUSPECTED: at least ``identity_min_shared``
        informative variants of another patient and at most ``identity_own_max`` of its own, although the
        other samples of its own patient have some. SAMPLE_SWAP_POSSIBLE: the same, but explained by the
        exchange of a sample that is suspected more strongly. SAMPLE_UNRELATED: two tumour samples of a
        patient with enough informative variants each and none in common. SAMPLE_DUPLICATE: samples of two
        patients with the same variants at the same allele fractions.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    parts = [_tumour_variants(study, adsl, rules), _plasma_variants(plasma, adsl)]
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame(columns=PROBLEM_COLUMNS, dtype=object)
    found = pd.concat(filled, ignore_index=True)
    carriers = _count_carriers(found, rules)
    suspected, explained = _explain(carriers, rules)
    rows = [
        *_describe_swaps(suspected, False, carriers),
        *_describe_swaps(explained, True, carriers),
        *_unrelated(carriers, rules),
        *_duplicates(found, rules),
    ]
    return pd.DataFrame(rows, columns=PROBLEM_COLUMNS).astype(object)


def _tumour_variants(study: CbioportalStudy | None, adsl: pd.DataFrame, rules) -> pd.DataFrame:
    if study is None or study.mutations.empty:
        return pd.DataFrame(columns=_COLUMNS)
    variants = study.mutations[~left_out_by_status(study.mutations["STATUS"], rules)]
    named = variants.merge(study.samples[["SAMPLE_ID", "PATIENT_ID"]], on="SAMPLE_ID", validate="many_to_one")
    place = named["CHROMOSOME"].astype("string") + ":" + named["START"].astype("string")
    place = place + ":" + named["ALLELE"].astype("string").fillna("")
    return pd.DataFrame(
        {
            "SOURCE": "TUMOUR",
            "SAMPLEID": named["SAMPLE_ID"],
            "USUBJID": match_subjects(named["PATIENT_ID"], adsl["USUBJID"]),
            "VARIANT": _protein_change(named["GENE"], named["PROTEIN"]).fillna(place).astype(object),
            "VAF": named["VAF"],
        }
    ).dropna(subset=["USUBJID", "VARIANT"])


def _plasma_variants(plasma: pd.DataFrame | None, adsl: pd.DataFrame) -> pd.DataFrame:
    if plasma is None or plasma.empty:
        return pd.DataFrame(columns=_COLUMNS)
    found = plasma[(plasma["RESULT"] == DETECTED) & plasma["USUBJID"].isin(adsl["USUBJID"])]
    # A gene without its change is no fingerprint: every second patient has a TP53.
    change = _protein_change(found["GENE"], found["VARIANT"]).astype(object)
    kept = found.assign(SOURCE="PLASMA", VARIANT=change)[_COLUMNS]
    return kept.dropna(subset="VARIANT")


def _protein_change(gene: pd.Series, change: pd.Series) -> pd.Series:
    plain = change.astype("string").str.strip().str.removeprefix("p.").str.upper()
    return gene.astype("string").str.upper() + " " + plain


def _count_carriers(found: pd.DataFrame, rules) -> _Carriers:
    samples = found[["SOURCE", "SAMPLEID", "USUBJID"]].drop_duplicates()
    samples = samples.sort_values(["USUBJID", "SOURCE", "SAMPLEID"], ignore_index=True)
    subjects, of_subject = np.unique(samples["USUBJID"].to_numpy(str), return_inverse=True)
    _, column = np.unique(found["VARIANT"].to_numpy(str), return_inverse=True)
    row = found.merge(samples.reset_index(), on=["SOURCE", "SAMPLEID", "USUBJID"], validate="many_to_one")[
        "index"
    ]
    shows = np.zeros((len(samples), column.max() + 1), bool)
    shows[row, column] = True
    counts = _counts(shows, of_subject, len(subjects))
    # What one patient alone carries always tells her apart, however few the patients.
    most = max(1, int(rules.identity_hotspot_share * len(subjects)))
    return _Carriers(samples, subjects, of_subject, shows, counts, most)


def _counts(shows: np.ndarray, of_subject: np.ndarray, n_subjects: int) -> np.ndarray:
    counts = np.zeros((n_subjects, shows.shape[1]), int)
    np.add.at(counts, of_subject, shows)
    return counts


def _informative(carriers: _Carriers, sample: int) -> np.ndarray:
    """Tell which variants are informative when `sample` is left out of the count."""
    own = carriers.of_subject[sample]
    only_here = carriers.shows[sample] & (carriers.counts[own] == 1)
    return (carriers.counts > 0).sum(axis=0) - only_here <= carriers.most


def _suspect(carriers: _Carriers, rules) -> list[_Suspicion]:
    """List every sample that fits another patient and not its own."""
    suspected = []
    carried = carriers.counts > 0
    for sample, own in enumerate(carriers.of_subject):
        shown, informative = carriers.shows[sample], _informative(carriers, sample)
        others_of_own = (carriers.counts[own] - shown > 0) & informative
        shared = carried[:, shown & informative].sum(axis=1)
        shared[own] = -1
        other = int(shared.argmax())
        shared_own, elsewhere = int((others_of_own & shown).sum()), int(others_of_own.sum())
        fits_other = shared[other] >= rules.identity_min_shared
        if fits_other and shared_own <= rules.identity_own_max and elsewhere > 0:
            of_other = carriers.shows[carriers.of_subject == other] & informative
            support = int(((of_other & shown).sum(axis=1) >= rules.identity_min_shared).sum())
            numbers = shared_own, int(shared[other]), elsewhere, support
            suspected.append(_Suspicion(sample, int(own), other, *numbers))
    return suspected


def _explain(carriers: _Carriers, rules) -> tuple[list[_Suspicion], list[_Suspicion]]:
    """Part the suspected samples into those that explain what is seen and those that they explain.

    An exchanged tube makes the samples around it look exchanged too. The sample that most samples of the
    other patient speak for is given to that patient first; what is then no longer suspected was explained.
    """
    every = left = _suspect(carriers, rules)
    taken: list[_Suspicion] = []
    while left:
        best = max(left, key=lambda one: (one.support, one.shared_other, -one.sample))
        taken.append(best)
        of_subject = carriers.of_subject.copy()
        of_subject[best.sample] = best.other
        counts = _counts(carriers.shows, of_subject, len(carriers.subjects))
        carriers = carriers._replace(of_subject=of_subject, counts=counts)
        given = {one.sample for one in taken}
        left = [one for one in _suspect(carriers, rules) if one.sample not in given]
    given = {one.sample for one in taken}
    return taken, [one for one in every if one.sample not in given]


def _describe_swaps(suspected: list[_Suspicion], explained: bool, carriers: _Carriers) -> list[tuple]:
    names, rows = carriers.samples["SAMPLEID"], []
    code, severity = ("SAMPLE_SWAP_POSSIBLE", "note") if explained else ("SAMPLE_SWAP_SUSPECTED", "warning")
    for one in sorted(suspected):
        other, own = carriers.subjects[one.other], carriers.subjects[one.own]
        back = [names[two.sample] for two in suspected if (two.own, two.other) == (one.other, one.own)]
        said = (
            f"shares {one.shared_other} informative variants with the other samples of {other} and "
            f"{one.shared_own} of the {one.elsewhere} in the other samples of its own patient {own}"
        )
        if explained:
            said += "; explained if a sample suspected more strongly was exchanged"
        elif back:
            said += f"; sample {', '.join(back)} of {other} fits {own} in turn: probably exchanged"
        todo = "check the label of the sample"
        rows.append(_row(code, severity, carriers, one.sample, said, todo))
    return rows


def _unrelated(carriers: _Carriers, rules) -> list[tuple]:
    rows, tumour = [], carriers.samples[carriers.samples["SOURCE"] == "TUMOUR"]
    for _, group in tumour.groupby("USUBJID"):
        for first, second in combinations(group.index, 2):
            shown = carriers.shows[[first, second]]
            informative = [
                int((carriers.shows[sample] & _informative(carriers, sample)).sum())
                for sample in (first, second)
            ]
            if not shown.all(axis=0).any() and min(informative) >= rules.identity_min_shared:
                name = carriers.samples.loc[first, "SAMPLEID"]
                said = (
                    f"no variant in common with sample {name} of the same patient, of {informative[1]} here "
                    f"and {informative[0]} there"
                )
                todo = "check the label; else two independent tumours"
                rows.append(_row("SAMPLE_UNRELATED", "note", carriers, second, said, todo))
    return rows


def _row(code: str, severity: str, carriers: _Carriers, sample: int, said: str, todo: str) -> tuple:
    subject, source, name = carriers.samples.loc[sample, ["USUBJID", "SOURCE", "SAMPLEID"]]
    return code, severity, subject, _DOMAIN[source], f"sample {name}", said, todo


def _duplicates(found: pd.DataFrame, rules) -> list[tuple]:
    """Find samples of two patients with the same variants at the same allele fractions, all of them known."""
    known = found.assign(VAF=found["VAF"].astype(float).round(_VAF_DECIMALS))
    prints: dict[frozenset, list[tuple[str, str, str]]] = {}
    for key, group in known.groupby(["USUBJID", "SAMPLEID", "SOURCE"]):
        if group["VAF"].notna().all() and group["VARIANT"].nunique() >= rules.identity_min_shared:
            prints.setdefault(frozenset(zip(group["VARIANT"], group["VAF"])), []).append(key)
    rows = []
    for fingerprint, keys in prints.items():
        if len({subject for subject, _, _ in keys}) > 1:
            for subject, name, source in keys:
                others = ", ".join(f"{n} of {s}" for s, n, _ in keys if s != subject)
                said = f"the same {len(fingerprint)} variants at the same allele fractions as sample {others}"
                todo = "one sample was entered twice: find whose it is"
                rows.append(
                    ("SAMPLE_DUPLICATE", "error", subject, _DOMAIN[source], f"sample {name}", said, todo)
                )
    return rows
