"""Is what was planted found again? Fresh virtual trials without images, through the analysis code.

Run by ``make recovery``. Each trial is written as raw files (SDTM, cBioPortal, plasma; no DICOM) and analysed
by `analysis.clinical`, `pet`, `survival` and `biomarkers`, as the notebooks do. In place of images, the truth's
lesion uptake gets the noise that images give. The seeds were fixed before the first run, none is left out, and
none was used for the calibration. `tests/test_truth.py` runs the same functions on a few other seeds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter

from analysis import biomarkers, clinical, plan, survival, virtual_trial
from analysis.pet import response
from analysis.pet.study import derive_flags
from analysis.survival import association
from analysis.survival.association.estimates import estimate_hazard_ratio

SEEDS = range(5001, 5061)
DAY = "D14"
MARGINAL_CTDNA_HR = 2.5  # trial.md section 1: detected against not at D14, not adjusted for anything
PERMUTATIONS = 1999
_REGION = {"LIVER": "LIVER_SUV", "AORTA": "BLOOD_SUV"}


@dataclass(frozen=True)
class Recovered:
    """What the analysis code finds in one trial: its tables, by name."""

    clinical: clinical.ClinicalTables
    admr: pd.DataFrame
    ctdna: pd.DataFrame
    genes: pd.DataFrame


def plan_of(seed: int, **changes) -> plan.Plan:
    """Return the default plan with another seed: 48 patients, everything else as published."""
    fast = {"biomarkers.permutations": PERMUTATIONS}
    return plan.defaults().override({"virtual.seed": seed, **fast, **changes})


def write_without_images(settings: plan.Plan, folder: Path) -> None:
    """Write the raw files of one trial, and its truth, without DICOM."""
    trial = virtual_trial.simulate_trial(settings)
    seed = settings.virtual.seed
    virtual_trial.write_sdtm(trial, folder / "sdtm", np.random.default_rng([seed, 1]))
    rng = np.random.default_rng([seed, 2])
    virtual_trial.write_biomarkers(trial, folder / "biomarkers", rng, settings.virtual)
    virtual_trial.write_reading(trial, folder)
    virtual_trial.write_truth(trial, [], folder / "truth")


def lesions_as_measured(folder: Path, settings: plan.Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return adpet and scan_qc as images would give them: true uptake with image noise, refused scans out."""
    scans = pd.read_csv(folder / "truth" / "scans.csv", parse_dates=["SCANDT"], keep_default_na=False)
    refused = scans["FAULT"].eq("no_weight")
    scans = scans.assign(STATUS=np.where(refused, "REFUSED", "OK"), ADT=scans["SCANDT"])
    scans = scans.assign(UPTAKEMIN=scans["UPTAKE_MIN"].astype(float))
    uptake = pd.read_csv(folder / "truth" / "uptake.csv")
    rng = np.random.default_rng([settings.virtual.seed, 3])
    noisy = virtual_trial.add_image_noise(uptake, settings.virtual.ratio_noise_cv, rng)
    lesions = noisy.rename(columns={"SUVMAX": "AVAL"}).assign(METRIC="SUVMAX", ROLE="LESION")
    rows = pd.concat([lesions, *reference_rows(scans, settings)], ignore_index=True)
    kept = scans.loc[~refused, ["USUBJID", "AVISIT", "ADT"]]
    rows = rows.merge(kept, on=["USUBJID", "AVISIT"], how="inner", validate="many_to_one")
    rows = rows.assign(STUDYID="PEARL", UNIT="g/ml", FLAGS=None, EVALFL=None, TARGETFL=None)
    return derive_flags(rows, settings), scans


def reference_rows(scans: pd.DataFrame, settings: plan.Plan) -> list[pd.DataFrame]:
    """Return mean and SD of liver and aorta on each scan, as planted."""
    spread = settings.virtual.noise_cv
    return [
        scans[["USUBJID", "AVISIT"]].assign(
            LESIONID=name, ROLE=name, METRIC=metric, AVAL=scans[column].astype(float) * factor
        )
        for name, column in _REGION.items()
        for metric, factor in (("SUVMEAN", 1.0), ("SUVSD", spread))
    ]


def analyse_folder(folder: Path, settings: plan.Plan) -> Recovered:
    """Analyse one study's raw files as notebooks 01, 02 and 05 do."""
    sdtm, _ = clinical.read_corrected(folder, settings)
    tables = clinical.derive_all(sdtm, settings)
    adpet, scans = lesions_as_measured(folder, settings)
    treated = tables.adsl[tables.adsl["SAFFL"].ne("N")]
    decisions = pd.read_csv(folder / "reader_decisions.csv")
    admr = response.classify(adpet, settings, subjects=treated, scans=scans, decisions=decisions)
    ctdna, genes = analyse_biomarkers(folder, tables, admr, settings)
    return Recovered(tables, admr, ctdna, genes)


def analyse_biomarkers(
    folder: Path, tables: clinical.ClinicalTables, admr: pd.DataFrame, settings: plan.Plan
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Relate ctDNA and mutated genes to response and outcome; one row a marker and outcome."""
    rules, rng = settings.biomarkers, np.random.default_rng([settings.virtual.seed, 4])
    tumour = biomarkers.read_cbioportal(folder / "biomarkers")
    plasma = biomarkers.read_plasma(folder / "biomarkers" / "plasma.csv", rules=rules)
    adbm = biomarkers.derive_adbm(tumour, plasma, tables.adsl, rules=rules).adbm
    outcomes = biomarkers.assemble_outcomes(admr[admr["AVISIT"].eq(DAY)], tables.adtte)
    ctdna = biomarkers.estimate_ctdna(adbm, outcomes, rng=rng, rules=rules).estimates
    markers = biomarkers.select_markers(adbm, rules=rules)
    genes = biomarkers.estimate_associations(
        markers, outcomes, partype="MUT", samptype="TUMOUR", rng=rng, rules=rules
    ).estimates
    return ctdna, genes


def ctdna_row(found: Recovered) -> pd.Series:
    """Return the hazard ratio of PFS by ctDNA at the early day."""
    rows = found.ctdna.set_index(["MARKER", "OUTCOME", "METHOD"])
    return rows.loc[(f"CTDNA_{DAY}", "PFS", "cox_firth")]


def genes_found(found: Recovered, outcome: str, level: float) -> pd.DataFrame:
    """Return the genes of one outcome that maxT tested, with FOUND: it keeps the family-wise error at `level`."""
    # A companion estimate (Spearman, Firth) stands beside the tested one and has no adjusted p.
    rows = found.genes[found.genes["OUTCOME"].eq(outcome) & found.genes["P_MAXT"].notna()]
    return rows.assign(FOUND=rows["P_MAXT"].le(level))


def summarise(found: Recovered, settings: plan.Plan) -> dict[str, float]:
    """Return the numbers of one trial: one row of the proof."""
    admr = found.admr[found.admr["AVISIT"].eq(DAY) & found.admr["MRESP"].ne("NE")]
    pfs = found.clinical.adtte[found.clinical.adtte["PARAMCD"].eq("PFS")]
    times = survival.to_time_event(pfs)
    median = survival.median_survival(times["time"], times["event"])["median"].iloc[0]
    ctdna = ctdna_row(found)
    row = {
        "evaluable": len(admr),
        "non_responders": 100 * admr["MRESP"].eq("NON-RESPONDER").mean(),
        "median_pfs": median / settings.design.days_per_month,
        "pfs_events": times["event"].sum(),
        **{f"ctdna_{name.lower()}": ctdna[name] for name in ("ESTIMATE", "LOWER", "UPPER")},
        **response_row(found, settings),
    }
    return row | multiplicity_row(found, settings)


def response_row(found: Recovered, settings: plan.Plan) -> dict[str, float]:
    """Return the landmark hazard ratio of non-responders for PFS, with its interval."""
    main = association.main_analysis(found.admr, settings, timepoint=DAY)
    tables = found.clinical
    data, _ = association.analysis_set(main, found.admr, tables.adtte, tables.adsl, settings)
    first = estimate_hazard_ratio(data, main, settings, role="SENSITIVITY", main_only=True).iloc[0]
    return {f"response_{name.lower()}": first[name] for name in ("ESTIMATE", "LOWER", "UPPER", "P")}


def multiplicity_row(found: Recovered, settings: plan.Plan) -> dict[str, float]:
    """Return, for each outcome, whether the planted gene was found and any null gene of each tier."""
    row, planted = {}, settings.virtual.planted_gene
    for outcome in ("PCTCHANGE", "NONRESPONSE", "PFS", "OS"):
        genes = genes_found(found, outcome, settings.biomarkers.fwer_level)
        is_planted = genes["MARKER"].eq(planted)
        row[f"power_{outcome}"] = float(genes.loc[is_planted, "FOUND"].any())
        for tier in ("CANDIDATE", "SCREEN"):
            null = genes[~is_planted & genes["TIER"].eq(tier)]
            row[f"error_{outcome}_{tier}"] = float(null["FOUND"].any()) if len(null) else np.nan
    return row


def run_seed(seed: int) -> dict[str, float]:
    """Write, analyse and summarise the trial of one seed; a refused file ends the run and names the seed."""
    settings = plan_of(seed)
    with tempfile.TemporaryDirectory() as home:
        try:
            write_without_images(settings, Path(home))
            return {"seed": seed, **summarise(analyse_folder(Path(home), settings), settings)}
        except ValueError as error:
            raise RuntimeError(f"seed {seed}: {error}") from None


def pooled_truth(trials: int = 250) -> dict[str, float]:
    """Return the hazard ratios these trials estimate: the truth of many further trials, pooled.

    Truth columns and lifelines alone, nothing of the analysis code. A marginal hazard ratio has no closed form
    here (visits, censoring, roles, what is not adjusted for), so it is simulated: 12,000 patients, standard
    error of a ln hazard ratio about 0.02.
    """
    patients = pd.concat([true_exposures(seed) for seed in range(60_001, 60_001 + trials)])
    evaluable = patients.dropna(subset="RESISTS")
    return {
        "ctdna": lifelines_hazard_ratio(patients, patients["CTDNA_D14"]),
        "response": lifelines_hazard_ratio(evaluable, evaluable["RESISTS"]),
    }


def true_exposures(seed: int) -> pd.DataFrame:
    """Return the patients of one trial with RESISTS: non-response at the early day, from uptake with noise."""
    settings = plan_of(seed)
    trial = virtual_trial.simulate_trial(settings)
    rng = np.random.default_rng([seed, 3])
    noisy = virtual_trial.add_image_noise(trial.uptake, settings.virtual.ratio_noise_cv, rng)
    wide = noisy[noisy["IS_NEW"].eq("N")].pivot_table("SUVMAX", ["ROW", "LESIONID"], "AVISIT")
    worst = (wide[DAY] / wide["D0"]).groupby("ROW").max()
    resists = worst.gt(1 - settings.primary.cut_percent / 100).astype(float)
    unseen = trial.scans.loc[trial.scans["AVISIT"].eq(DAY) & trial.scans["FAULT"].eq("no_weight"), "ROW"]
    faint = trial.roles.loc[trial.roles["ROLE"].eq("not_evaluable"), "ROW"]
    new = trial.lesions.loc[trial.lesions["KIND"].eq("new") & trial.lesions["NEWVIS"].eq(DAY), "ROW"]
    resists[worst.isna() | worst.index.isin([*unseen, *faint])] = np.nan
    resists[resists.notna() & resists.index.isin(new)] = 1.0
    return trial.patients.assign(RESISTS=resists.reindex(range(len(trial.patients))).to_numpy())


def lifelines_hazard_ratio(patients: pd.DataFrame, exposed: pd.Series) -> float:
    """Return the hazard ratio of true PFS from day 14 on."""
    frame = pd.DataFrame({"t": patients["PFSDAYS"] - 14, "e": patients["PFSEVENT"], "x": exposed.astype(int)})
    return float(np.exp(CoxPHFitter().fit(frame[frame["t"] > 0], "t", "e").params_["x"]))


def share(values: pd.Series) -> str:
    """Print a share of trials with its 95 % Clopper-Pearson interval."""
    values = values.dropna()
    found = survival.proportion(int(values.sum()), len(values)).iloc[0]
    low, high = 100 * found["lower"], 100 * found["upper"]
    return f"{int(values.sum())}/{len(values)} = {100 * values.mean():.0f} % ({low:.0f} to {high:.0f})"


def average(values: pd.Series, digits: int = 1) -> str:
    """Print a mean over trials with its Monte-Carlo standard error and the spread between trials."""
    error = values.std() / np.sqrt(len(values))
    return (
        f"{values.mean():.{digits}f} (MC SE {error:.{digits + 1}f}; SD of a trial {values.std():.{digits}f})"
    )


def geometric(values: pd.Series) -> str:
    """Print a geometric mean over trials with its Monte-Carlo 95 % interval."""
    logs = np.log(values)
    error = 1.96 * logs.std() / np.sqrt(len(logs))
    low, middle, high = np.exp([logs.mean() - error, logs.mean(), logs.mean() + error])
    return f"{middle:.2f} (MC 95 % {low:.2f} to {high:.2f}; SD of ln HR {logs.std():.2f})"


def covers(table: pd.DataFrame, name: str, truth: float) -> pd.Series:
    """Say for each trial whether its interval holds `truth`."""
    return table[f"{name}_lower"].le(truth) & table[f"{name}_upper"].ge(truth)


def report(table: pd.DataFrame, truth: dict[str, float]) -> pd.DataFrame:
    """Tabulate what was planted or asked for against what was found."""
    rows = [
        ("patients evaluable at D14", "45", average(table["evaluable"])),
        ("non-responders at D14, %", "67 +- 3", average(table["non_responders"])),
        ("median PFS, months", "3.5 to 4.5", average(table["median_pfs"], 2)),
        ("PFS events", "36 to 40", average(table["pfs_events"])),
        *hazard_ratio_rows(table, truth),
        *multiplicity_rows(table),
    ]
    return pd.DataFrame(rows, columns=["quantity", "planted or asked for", "found"])


def hazard_ratio_rows(table: pd.DataFrame, truth: dict[str, float]) -> list[tuple[str, str, str]]:
    """Tabulate both hazard ratios and the coverage of their intervals."""
    wanted, ctdna, resists = MARGINAL_CTDNA_HR, truth["ctdna"], truth["response"]
    return [
        ("HR ctDNA D14, geometric mean", f"{wanted} +- 0.2", geometric(table["ctdna_estimate"])),
        (f"  its interval covers {wanted}", "95 %", share(covers(table, "ctdna", wanted))),
        (f"  covers the pooled truth {ctdna:.2f}", "95 %", share(covers(table, "ctdna", ctdna))),
        ("HR non-responder, geometric mean", f"pooled {resists:.2f}", geometric(table["response_estimate"])),
        (f"  its interval covers {resists:.2f}", "95 %", share(covers(table, "response", resists))),
        ("  p <= 0.05", "", share(table["response_p"].le(0.05))),
    ]


def multiplicity_rows(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Tabulate the power for the planted gene and the family-wise error of the others."""
    outcomes, rows = ("PCTCHANGE", "NONRESPONSE", "PFS", "OS"), []
    for outcome in outcomes:
        wanted = ">= 90 %" if outcome == "PCTCHANGE" else ""
        rows.append((f"planted gene found by maxT, {outcome}", wanted, share(table[f"power_{outcome}"])))
    for outcome in outcomes:
        for tier in ("CANDIDATE", "SCREEN"):
            found = share(table[f"error_{outcome}_{tier}"])
            rows.append((f"a null gene found, {outcome}, {tier.lower()} tier", "<= 5 %", found))
    pooled = table.filter(like="error_").melt()["value"]
    return [*rows, ("a null gene found, all families (not independent)", "<= 5 %", share(pooled))]


def run(seeds: range, workers: int, minutes: float) -> pd.DataFrame:
    """Run the seeds until all are done or the time is up; say how many are missing."""
    start, rows = time.monotonic(), []
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(run_seed, seed) for seed in seeds]
        try:
            for job in as_completed(jobs, timeout=60 * minutes):
                rows.append(job.result())
                if len(rows) % 10 == 0:
                    print(f"{len(rows)} of {len(jobs)} trials, {time.monotonic() - start:.0f} s", flush=True)
        except TimeoutError:
            pool.shutdown(cancel_futures=True)
            print(f"STOPPED after {minutes:g} minutes: {len(jobs) - len(rows)} trials were not analysed")
    if not rows:
        raise SystemExit("no trial was analysed within the time: allow more --minutes")
    return pd.DataFrame(rows).sort_values("seed", ignore_index=True)


def left_aligned(table: pd.DataFrame) -> str:
    """Print a frame of texts with its columns aligned to the left."""
    lines = [list(table.columns), *table.to_numpy().tolist()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(text.ljust(w) for text, w in zip(line, widths)).rstrip() for line in lines)


def main() -> None:
    """Run the proof and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=SEEDS.start, help="first seed")
    parser.add_argument("--trials", type=int, default=len(SEEDS), help="number of seeds")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, default=12.0, help="stop after this time")
    parser.add_argument("--csv", help="also write one row a trial here")
    asked = parser.parse_args()
    table = run(range(asked.first, asked.first + asked.trials), asked.workers, asked.minutes)
    print(f"{len(table)} virtual trials of 48 patients, seeds {table['seed'].min()} to {table['seed'].max()}")
    print(left_aligned(report(table, pooled_truth())))
    if asked.csv:
        table.to_csv(asked.csv, index=False)


if __name__ == "__main__":
    main()
