"""Serial plasma of the virtual trial: the draws, what the assay reports, what goes wrong with tubes."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

ASSAY = "TARGETED PANEL"
FAULT_COLUMNS = ["FAULT", "USUBJID", "VISIT", "OTHER"]
EARLY = ("D0", "D14", "D28")  # drawn with the model of the outcome


def list_plasma(trial, variants: pd.DataFrame, rng: np.random.Generator, settings) -> pd.DataFrame:
    """List serial plasma: a row a draw and variant of the baseline tumour, one row where there is none.

    Returns
    -------
    DataFrame
        USUBJID VISIT DRAWDT ASSAY GENE VARIANT VAF TUMOR_FRACTION STATUS (DETECTED, NOT DETECTED, NOT
        ASSESSABLE) LOD. A draw is detected when one of its variants is; a failed assay is never negative.
    """
    rules, lod = settings.plasma_variants, settings.ctdna_lod
    draws = _draws(trial, rng, settings)
    tracked = variants[variants["KIND"] != "progression"].drop_duplicates(["ROW", "GENE"])[
        ["ROW", "GENE", "PROTEIN"]
    ]
    tracked = tracked[tracked.groupby("ROW").cumcount() < rules["tracked"]]
    rows = draws.merge(tracked, on="ROW", how="left", validate="many_to_many")
    first = ~rows.duplicated(["ROW", "VISIT"])
    vaf = _allele_fractions(rows["TUMOR_FRACTION"], first, lod, rng, rules)
    found = (rows["RESULT"] == "DETECTED") & (vaf >= lod)
    status = rows["RESULT"].mask((rows["RESULT"] == "DETECTED") & ~found, "NOT DETECTED")
    # An assay without a variant to follow reports the tumour fraction alone.
    return pd.DataFrame(
        {
            "USUBJID": rows["USUBJID"],
            "VISIT": rows["VISIT"],
            "DRAWDT": rows["DRAWDT"],
            "ASSAY": ASSAY,
            "GENE": rows["GENE"],
            "VARIANT": rows["PROTEIN"],
            "VAF": pd.Series(vaf).where(found & rows["GENE"].notna()),
            "TUMOR_FRACTION": rows["TUMOR_FRACTION"],
            "STATUS": status,
            "LOD": lod,
        }
    )


def _allele_fractions(fraction: pd.Series, first: pd.Series, lod: float, rng, rules) -> np.ndarray:
    """Half the tumour fraction with noise (one allele of two); a draw's first variant above the limit."""
    expected = fraction / 2 * np.exp(rules["vaf_sd"] * rng.standard_normal(len(fraction)))
    # An allele fraction: no more than every copy carries the variant.
    return np.minimum(np.maximum(expected, np.where(first, rules["first_least_lods"] * lod, 0.0)), 1.0)


def _draws(trial, rng, settings) -> pd.DataFrame:
    """One row a draw: baseline, D14, D28, every twelve weeks until progression, and at progression."""
    patients, rules, weeks = trial.patients, settings.plasma_draws, settings.plasma_interval_weeks
    n = len(patients)
    last = patients[["DEATH_DAY", "LOST_DAY", "EXTRACT_DAY"]].min(axis=1).to_numpy()
    progression = patients["PD_DAY"].fillna(np.inf).to_numpy()
    later = {f"W{weeks * k}": 7 * weeks * k for k in range(1, int(last.max() // (7 * weeks)) + 1)}
    early = {visit: rules["days"][visit] for visit in EARLY}
    parts = [_draw(visit, day, n) for visit, day in (early | later).items()]
    parts.append(_draw("PROG", progression + rules["days_after_progression"], n))
    table = pd.concat(parts, ignore_index=True).sort_values(["ROW", "DAY"], kind="stable", ignore_index=True)
    row, visit = table["ROW"].to_numpy(), table["VISIT"]
    kept = (table["DAY"] < last[row]) & ((table["DAY"] < progression[row]) | (visit == "PROG"))
    attended = (rng.random(len(table)) < rules["attended_share"]) | visit.isin(EARLY)
    table = table[kept & attended].reset_index(drop=True)
    row = table["ROW"].to_numpy()
    table["USUBJID"] = patients["USUBJID"].to_numpy()[row]
    start = patients["TRTSDT"].iloc[row].reset_index(drop=True)
    table["DRAWDT"] = start + pd.to_timedelta(table["DAY"].astype(int), unit="D")
    return _call(table, patients, rng, settings)


def _draw(visit: str, day, n: int) -> pd.DataFrame:
    return pd.DataFrame({"ROW": np.arange(n), "VISIT": visit, "DAY": np.broadcast_to(day, n)})


def _call(table: pd.DataFrame, patients: pd.DataFrame, rng, settings) -> pd.DataFrame:
    """Give each draw its result and, where detected, its tumour fraction around the patient's own level."""
    row, visit, rules = table["ROW"].to_numpy(), table["VISIT"], settings.plasma_fraction
    later = settings.plasma_detected_later
    detected = rng.random(len(table)) < np.where(visit == "PROG", later["PROG"], later["OTHER"])
    for early in EARLY:
        planted = patients[f"CTDNA_{early}"].to_numpy(dtype=bool)[row]
        detected = np.where(visit == early, planted, detected)
    failed = rng.random(len(table)) < settings.ctdna_not_assessable
    level = rng.normal(np.log(settings.ctdna_fraction_median), rules["patient_sd"], len(patients))[row]
    shift = visit.map(rules["visit_shift"]).fillna(0.0)
    resistance = rules["per_sensitivity"] * patients["SENSITIVITY"].to_numpy()[row] * (visit != "D0")
    noise = rules["draw_sd"] * rng.standard_normal(len(table))
    fraction = np.exp(level + shift + resistance + noise)
    fraction = np.clip(fraction, rules["least_lods"] * settings.ctdna_lod, rules["most"])
    result = np.where(failed, "NOT ASSESSABLE", np.where(detected, "DETECTED", "NOT DETECTED"))
    return table.assign(RESULT=result, TUMOR_FRACTION=np.where(result == "DETECTED", fraction, np.nan))


# ---------------------------------------------------------------- what goes wrong with the tubes


def add_faults(
    plasma: pd.DataFrame, variants: pd.DataFrame, patients: int, rng: np.random.Generator, settings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Exchange two tubes, run some draws on a second assay, send some samples twice.

    Parameters
    ----------
    plasma : DataFrame
        As `list_plasma` returns.
    variants : DataFrame
        What the tumour samples show: USUBJID GENE PROTEIN.
    patients : int
        Patients of the trial.
    rng : numpy.random.Generator
    settings : plan section ``virtual``

    Returns
    -------
    DataFrame, DataFrame
        `plasma` with the tubes exchanged in place and the added rows at the end; the faults: FAULT USUBJID
        VISIT OTHER (whose tube it is).
    """
    faults: list[tuple] = []
    rules = settings.plasma_swapped
    pair = find_swap(plasma, variants, rules, patients) if rules else None
    if pair:
        plasma = swap_tubes(plasma, pair, rules["visit"])
        faults += [("SWAPPED", one, rules["visit"], two) for one, two in (pair, pair[::-1])]
    second = _second_assay(plasma, rng, settings)
    repeated = _repeated(plasma, rng, settings)
    for fault, rows in (("SECOND ASSAY", second), ("REPEATED", repeated)):
        draws = rows[["USUBJID", "VISIT"]].drop_duplicates()
        faults += [(fault, subject, visit, None) for subject, visit in draws.itertuples(index=False)]
    added = [rows for rows in (second, repeated) if len(rows)]
    together = pd.concat([plasma, *added], ignore_index=True) if added else plasma
    return together, pd.DataFrame(faults, columns=FAULT_COLUMNS)


def find_swap(plasma: pd.DataFrame, variants: pd.DataFrame, rules, patients: int) -> tuple[str, str] | None:
    """Find two patients whose tubes of one visit tell them apart, or None.

    Each tube shows at least ``variants`` variants of her own tumour that no more than ``carriers_share`` of
    the patients carry (a hotspot tells nobody apart) and none of the other's. Of all such pairs, the one
    whose variants the fewest carry.
    """
    # What one patient alone carries always tells her apart, however few the patients.
    wanted, most = rules["variants"], max(1.0, rules["carriers_share"] * patients)
    tumour = _by_subject(variants["USUBJID"], variants["GENE"], variants["PROTEIN"])
    carriers = pd.Series([one for found in tumour.values() for one in found], dtype=object).value_counts()
    tubes = plasma[(plasma["VISIT"] == rules["visit"]) & (plasma["STATUS"] == "DETECTED")]
    tubes = tubes[tubes["GENE"].notna()]
    shown = _by_subject(tubes["USUBJID"], tubes["GENE"], tubes["VARIANT"])
    rarest = {
        subject: sorted(carriers[one] for one in found & tumour.get(subject, set()))
        for subject, found in shown.items()
    }
    able = sorted(
        subject for subject, counts in rarest.items() if len(counts) >= wanted and counts[wanted - 1] <= most
    )
    pairs = [
        (max(rarest[one][wanted - 1], rarest[two][wanted - 1]), one, two)
        for one, two in combinations(able, 2)
        if not shown[one] & tumour[two] and not shown[two] & tumour[one]
    ]
    return min(pairs)[1:] if pairs else None


def _by_subject(subject: pd.Series, gene: pd.Series, protein: pd.Series) -> dict[str, set]:
    found: dict[str, set] = {}
    for name, *variant in zip(subject, gene, protein):
        found.setdefault(name, set()).add(tuple(variant))
    return found


def swap_tubes(plasma: pd.DataFrame, pair: tuple[str, str], visit: str) -> pd.DataFrame:
    """Exchange what two patients' tubes of one visit show; label, date and place in the file stay."""
    one, two = (plasma.index[plasma["USUBJID"].eq(who) & plasma["VISIT"].eq(visit)] for who in pair)
    labels = ["USUBJID", "DRAWDT"]
    parts = {}
    for mine, other in ((one, two), (two, one)):
        tube = plasma.loc[other].assign(**plasma.loc[mine[0], labels].to_dict())
        parts[mine[0]] = tube
    gone = [*one, *two]
    rest = plasma.drop(index=gone).assign(PLACE=lambda table: table.index)
    moved = [tube.assign(PLACE=place) for place, tube in parts.items()]
    placed = pd.concat([rest, *moved]).sort_values("PLACE", kind="stable", ignore_index=True)
    return placed.drop(columns="PLACE")


def _second_assay(plasma: pd.DataFrame, rng, settings) -> pd.DataFrame:
    """Run some draws at D14 that have a variant to follow on a more sensitive assay; same ctDNA."""
    rules, lod = settings.plasma_second_assay, settings.plasma_second_assay["lod"]
    able = plasma[plasma["VISIT"].eq("D14") & plasma["GENE"].notna() & plasma["STATUS"].ne("NOT ASSESSABLE")]
    subjects = able["USUBJID"].unique()
    chosen = subjects[rng.random(len(subjects)) < rules["share"]]
    rows = able[able["USUBJID"].isin(chosen)].reset_index(drop=True)
    first = ~rows.duplicated("USUBJID")
    vaf = _allele_fractions(rows["TUMOR_FRACTION"], first, lod, rng, settings.plasma_variants)
    found = rows["TUMOR_FRACTION"].notna() & (vaf >= lod)
    return rows.assign(
        ASSAY=rules["assay"],
        VAF=pd.Series(vaf).where(found),
        TUMOR_FRACTION=np.nan,
        STATUS=np.where(found, "DETECTED", "NOT DETECTED"),
        LOD=lod,
    )


def _repeated(plasma: pd.DataFrame, rng, settings) -> pd.DataFrame:
    """Take the rows of some samples once more, word for word."""
    draws = plasma[["USUBJID", "VISIT"]].drop_duplicates()
    count = min(settings.plasma_repeated, len(draws))
    again = draws.iloc[np.sort(rng.choice(len(draws), count, replace=False))]
    return plasma.merge(again, on=["USUBJID", "VISIT"], how="inner", validate="many_to_one")


def write_plasma(plasma: pd.DataFrame, path: Path) -> None:
    """Write the long table of plasma."""
    plasma.to_csv(path, index=False, lineterminator="\n", float_format="%.5g", date_format="%Y-%m-%d")
