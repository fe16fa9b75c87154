"""Is a patient's class the true one? Response from the images of the virtual trial, against what was planted.

Run by ``make response-truth`` after ``make reproduce``. Every rule and cut of the plan classifies three times, on
the same scans: by the *planted* uptake of each lesion; by what the scanner's *blur* leaves of it, without noise
(small lesions lose uptake, at both scans alike); and as *measured* in the images. What differs between the first
two is partial volume; between the last two, noise of the image and of its measurement. Refused scans are refused
in all three, so they are no part of the error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.pet import response
from analysis.storage import resolve

ROOT = Path(__file__).resolve().parents[1]
SCAN = ["USUBJID", "AVISIT"]
LESION = [*SCAN, "LESIONID"]
CASE = ["USUBJID", "AVISIT", "METRIC", "RULE", "CUT"]
LAYERS = ("planted", "blurred", "measured")
# In a ball of even uptake all of these are the planted value.
_UPTAKE = ("MAX", "MEAN", "MED", "PEAK", "PEAK2", "PEAK3")


def replace_uptake(
    adpet: pd.DataFrame, uptake: pd.DataFrame, scans: pd.DataFrame, column: str
) -> pd.DataFrame:
    """Return `adpet` as it would be if every lesion showed `column` of the truth, and the liver its true mean."""
    table = adpet.merge(uptake[[*LESION, column, "VOLUME_ML"]], on=LESION, how="left", validate="many_to_one")
    table = table.merge(scans[[*SCAN, "LIVER_SUV", "BLOOD_SUV"]], on=SCAN, how="left", validate="many_to_one")
    wide = adpet.pivot_table(index=LESION, columns="METRIC", values="AVAL")
    lean = (wide["SULMEAN"] / wide["SUVMEAN"]).rename("LEAN").reset_index()
    table = table.merge(lean, on=LESION, how="left", validate="many_to_one")
    lesion, metric = table["ROLE"].eq("LESION") & table[column].notna(), table["METRIC"]
    for name in _UPTAKE:
        table.loc[lesion & metric.eq(f"SUV{name}"), "AVAL"] = table[column]
        table.loc[lesion & metric.eq(f"SUL{name}"), "AVAL"] = table[column] * table["LEAN"]
    table.loc[lesion & metric.isin(["VOLUME", "MTV41", "MTV50"]), "AVAL"] = table["VOLUME_ML"]
    glycolysis = lesion & metric.isin(["TLG", "TLG41", "TLG50"])
    table.loc[glycolysis, "AVAL"] = table["VOLUME_ML"] * table[column]
    for role, truth in (("LIVER", "LIVER_SUV"), ("AORTA", "BLOOD_SUV")):
        region = table["ROLE"].eq(role)
        table.loc[region & metric.eq("SUVMEAN"), "AVAL"] = table[truth]
        table.loc[region & metric.eq("SULMEAN"), "AVAL"] = table[truth] * table["LEAN"]
    return table[adpet.columns]


def classify_layers(run, truth: Path) -> pd.DataFrame:
    """Classify by every rule on each layer: one row a case of admr, a column a layer, two classes."""
    adpet, scan_qc, decisions = run.read("adpet"), run.read("scan_qc"), run.read("reader_decisions")
    subjects = run.read("adsl").query("SAFFL != 'N'")
    uptake = pd.read_csv(truth / "uptake.csv", keep_default_na=False)
    uptake[["SUVMAX", "SUVMAX_BLURRED", "VOLUME_ML"]] = uptake[
        ["SUVMAX", "SUVMAX_BLURRED", "VOLUME_ML"]
    ].apply(pd.to_numeric, errors="coerce")
    scans = pd.read_csv(truth / "scans.csv")
    tables = {
        "planted": replace_uptake(adpet, uptake, scans, "SUVMAX"),
        "blurred": replace_uptake(adpet, uptake, scans, "SUVMAX_BLURRED"),
        "measured": adpet,
    }
    known = {"subjects": subjects, "scans": scan_qc, "decisions": decisions}
    found = {name: response.classify_grid(table, run.plan, **known) for name, table in tables.items()}
    return pd.concat([found[name].set_index(CASE)["MRESP"].rename(name) for name in LAYERS], axis=1)


def tabulate_confusion(classes: pd.DataFrame) -> pd.DataFrame:
    """Count, for every rule and cut, each pair of planted and measured class, and where the errors come from."""
    rows = []
    for (metric, rule, cut), part in classes.groupby(["METRIC", "RULE", "CUT"], sort=False):
        known = part[(part != "NE").all(axis=1)]
        wrong = known["planted"] != known["measured"]
        blur = known["planted"] != known["blurred"]
        noise = known["blurred"] != known["measured"]
        both = known["planted"] + "/" + known["measured"]
        counts = both.value_counts()
        rows.append(
            {
                "METRIC": metric, "RULE": rule, "CUT": cut, "N": len(known),
                "true R, measured R": counts.get("RESPONDER/RESPONDER", 0),
                "true R, measured N": counts.get("RESPONDER/NON-RESPONDER", 0),
                "true N, measured R": counts.get("NON-RESPONDER/RESPONDER", 0),
                "true N, measured N": counts.get("NON-RESPONDER/NON-RESPONDER", 0),
                "NE in some": len(part) - len(known),
                "wrong": int(wrong.sum()),
                "by blur alone": int((wrong & blur & ~noise).sum()),
                "by noise": int((wrong & noise).sum()),
                "kappa": round(_kappa(known["planted"], known["measured"]), 2),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _kappa(one: pd.Series, other: pd.Series) -> float:
    agreed = (one == other).mean()
    chance = sum((one == word).mean() * (other == word).mean() for word in set(one) | set(other))
    return float("nan") if chance == 1 else float((agreed - chance) / (1 - chance))


def simulate_noise(run, truth: Path, cv_percent: float, draws: int, seed: int) -> pd.Series:
    """Return the share of wrong classes, by rule and cut, if every SUV had the test-retest error of a real scan.

    The planted values get independent log-normal noise of within-subject CV `cv_percent` (QIBA: 10-12 %), the
    same for all metrics of a lesion, `draws` times.
    """
    adpet, scan_qc, decisions = run.read("adpet"), run.read("scan_qc"), run.read("reader_decisions")
    known = {"subjects": run.read("adsl").query("SAFFL != 'N'"), "scans": scan_qc, "decisions": decisions}
    uptake = pd.read_csv(truth / "uptake.csv")
    true = replace_uptake(adpet, uptake, pd.read_csv(truth / "scans.csv"), "SUVMAX")
    planted = response.classify_grid(true, run.plan, **known).set_index(CASE)["MRESP"]
    noisy = true["ROLE"].eq("LESION") & true["METRIC"].str.match("SU[VL]")
    lesion = true.groupby(LESION, sort=False).ngroup().to_numpy()
    rng, sd, wrong = np.random.default_rng(seed), np.sqrt(np.log1p((cv_percent / 100) ** 2)), 0
    for _ in range(draws):
        factor = np.exp(rng.normal(0, sd, lesion.max() + 1))[lesion]
        drawn = true.assign(AVAL=true["AVAL"].where(~noisy, true["AVAL"] * factor))
        found = response.classify_grid(drawn, run.plan, **known).set_index(CASE)["MRESP"]
        known_both = (found != "NE") & (planted != "NE")
        wrong = wrong + (found != planted).astype(float).where(known_both)
    return (wrong / draws).groupby(["METRIC", "RULE", "CUT"]).mean()


def measure_noise(run, truth: Path) -> pd.Series:
    """Return the SD of ln(measured / blurred) of one SUVmax, its bias, and the CV of a ratio of two scans."""
    uptake = pd.read_csv(truth / "uptake.csv")
    adpet = run.read("adpet").query("ROLE == 'LESION' and METRIC == 'SUVMAX'")
    both = adpet.merge(uptake[[*LESION, "SUVMAX", "SUVMAX_BLURRED"]], on=LESION, how="inner")
    error = np.log(both["AVAL"] / both["SUVMAX_BLURRED"])
    base = both[both["AVISIT"] == "D0"].assign(ERROR=error).set_index(["USUBJID", "LESIONID"])["ERROR"]
    later = both[both["AVISIT"] != "D0"].assign(ERROR=error).set_index(["USUBJID", "LESIONID"])["ERROR"]
    change = later - base.reindex(later.index).to_numpy()
    blur = np.log(both["SUVMAX_BLURRED"] / both["SUVMAX"])
    return pd.Series(
        {
            "lesions measured": len(both),
            "mean ln(blurred / planted)": blur.mean(),
            "mean ln(measured / blurred)": error.mean(),
            "SD of ln(measured / blurred)": error.std(),
            "SD of the error of ln(follow-up / baseline)": change.std(),
        }
    )


def main() -> int:
    """Print the confusion of every rule and the noise of a lesion."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="virtual")
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    run = resolve("06", study=options.study)
    truth = ROOT / "data" / "raw" / options.study / "truth"
    with pd.option_context("display.width", 250, "display.max_columns", 30, "display.max_rows", 100):
        table = tabulate_confusion(classify_layers(run, truth)).set_index(["METRIC", "RULE", "CUT"])
        expected = simulate_noise(
            run, truth, run.plan.response.repeatability_cv_percent, options.draws, seed=1
        )
        table["expected wrong at test-retest CV, %"] = (100 * expected.reindex(table.index)).round(1)
        print(table.reset_index().to_string(index=False))
        print(measure_noise(run, truth).round(4).to_string())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
