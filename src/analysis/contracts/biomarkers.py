"""Contracts of the tables of notebook 05, and the words its estimates are made of."""

from __future__ import annotations

import pandera.pandas as pa

from analysis.contracts.fields import SUBJECT, YN, date, number, table, text

PARTYPES = {
    "MUT": "mutation",
    "PATH": "pathway altered",
    "CNA": "discrete copy number",
    "EXPR": "expression",
    "SIGN": "expression signature",
    "CTDNA": "circulating tumour DNA",
    "LEVEL": "level of a marker",
    "PET": "FDG-PET",
    "CLIN": "clinical characteristic",
}
ANALYSES = {
    "gene": "Mutated genes",
    "pathway": "Altered pathways",
    "copy_number": "Copy number",
    "signature": "Expression signatures",
    "expression": "Expression, gene by gene",
    "level": "Levels of markers",
    "ctdna": "ctDNA at a visit",
    "clearance": "Clearance of ctDNA",
    "trajectory": "Course over time",
    "lead_time": "Lead time of ctDNA over progression",
    "burden": "Tumour burden and plasma",
    "combined": "Response and ctDNA together",
    "acquired": "Acquired alterations",
    "paired_samples": "Primary tumour and metastasis",
    "lesion_progression": "Lesions at progression",
    "profile": "Profile of the non-responders",
}
METHODS = {
    "fisher": "Fisher exact, conditional odds ratio",
    "firth_logistic": "Logistic regression, Firth penalty, profile limits",
    "wilcoxon": "Wilcoxon rank sum, Hodges-Lehmann shift",
    "mann_whitney": "Mann-Whitney, area under the ROC curve",
    "spearman": "Spearman, bootstrap interval",
    "cox_firth": "Cox, Firth penalty, profile limits",
    "cox_ml": "Cox, maximum likelihood, profile limits",
    "cox_wald": "Cox, maximum likelihood, Wald limits (screen)",
    "cox_additive": "Cox with PET and ctDNA; p of the likelihood ratio",
    "cox_interaction": "Cox, PET by ctDNA; p of the likelihood ratio",
    "mcnemar_exact": "McNemar exact, ratio of discordant pairs",
    "mixed_censored": "Mixed model, values under the limit of detection censored",
    "kaplan_meier": "Kaplan-Meier median",
    "clopper_pearson": "Proportion, Clopper-Pearson",
    "mantel_haenszel": "Odds ratio stratified by patient (Mantel-Haenszel)",
    "cohen_kappa": "Cohen's kappa",
}
STATISTICS = {
    "odds_ratio": "odds ratio",
    "hazard_ratio": "hazard ratio",
    "shift": "shift, percentage points",
    "difference": "difference of medians (Hodges-Lehmann), unit of the marker",
    "auc": "area under the ROC curve",
    "rho": "rank correlation",
    "proportion": "proportion",
    "median_days": "median, days",
    "logit_difference": "difference on the logit scale",
    "log_difference": "difference on the natural log scale",
    "kappa": "kappa",
}
TIERS = {
    "CANDIDATE": "named in the plan, tested first, a family of its own",
    "SCREEN": "all others of its kind",
    "SINGLE": "one question, adjusted with none or with the rows its note names",
}

_ESTIMATES = {
    "ANALYSIS": text("analysis: " + ", ".join(ANALYSES), nullable=False, isin=list(ANALYSES)),
    "MARKER": text("gene, pathway, signature or other marker", nullable=False),
    "PARTYPE": text(
        "; ".join(f"{code} {words}" for code, words in PARTYPES.items()), nullable=False, isin=list(PARTYPES)
    ),
    "SAMPTYPE": text("kind of sample"),
    "AVISIT": text("visit of the marker, where it has one"),
    "OUTCOME": text(
        "NONRESPONSE, PCTCHANGE (percent change of the primary metric), an endpoint, or what else the marker "
        "is related to",
        nullable=False,
    ),
    "METHOD": text("method: " + ", ".join(METHODS), nullable=False, isin=list(METHODS)),
    "STATISTIC": text("what ESTIMATE is: " + ", ".join(STATISTICS), nullable=False, isin=list(STATISTICS)),
    "ESTIMATE": number("estimate; above 1 (a ratio) or 0 (a difference) goes with resistance"),
    "LOWER": number("lower limit"),
    "UPPER": number("upper limit"),
    "P": number("two-sided p-value"),
    "Q_BH": number("Benjamini-Hochberg within its family"),
    "P_MAXT": number("Westfall-Young step-down maxT within its family"),
    "N": number("subjects, or units the note names"),
    "N_POS": number("subjects with the marker, where it is present or absent"),
    "EVENTS": number("events, or non-responders"),
    "TIER": text(
        "; ".join(f"{code} {words}" for code, words in TIERS.items()), nullable=False, isin=list(TIERS)
    ),
    "ROLE": text("EXPLORATORY", nullable=False, isin=["EXPLORATORY"]),
    "TESTED": text("reached the prevalence floor and could be estimated", nullable=False, isin=YN),
    "NOTE": text("why not tested, time zero, what the row is adjusted for"),
}

BIOMARKER_CONTRACTS: dict[str, pa.DataFrameSchema] = {
    "adbm": table(
        "a marker in a sample",
        {
            **SUBJECT,
            "SAMPLEID": text("sample", nullable=False, title="Sample Identifier"),
            "SAMPTYPE": text("kind of sample", nullable=False, title="Kind of Sample"),
            "AVISIT": text("visit", title="Analysis Visit"),
            "ADT": date("date of the sample", title="Analysis Date"),
            "ADY": number("study day of the sample; first dose is day 1", title="Analysis Relative Day"),
            "ASSAY": text("assay, where the file names it", title="Assay"),
            "PARAMCD": text(
                "gene, pathway, signature, CTDNA, TUMFRAC or other marker",
                nullable=False,
                title="Parameter Code",
            ),
            "PARTYPE": text(
                "; ".join(f"{code} {words}" for code, words in PARTYPES.items()),
                nullable=False,
                isin=list(PARTYPES),
                title="Parameter Type",
            ),
            "AVAL": number("value", title="Analysis Value"),
            "AVALC": text("value in words", title="Analysis Value (C)"),
            "LOD": number("limit of detection, same unit as AVAL", title="Limit of Detection (Unit of AVAL)"),
            "DEPTH": number(
                "reads at the variant, else of the whole sample; what the sample could have seen",
                title="Sequencing Depth (Reads)",
            ),
        },
        ["USUBJID", "SAMPLEID", "PARAMCD", "PARTYPE"],
        title="Biomarker Analysis Dataset",
    ),
    "estimates_biomarkers": table(
        "an estimate of notebook 05, every one exploratory",
        _ESTIMATES,
        ["ANALYSIS", "MARKER", "PARTYPE", "SAMPTYPE", "AVISIT", "OUTCOME", "METHOD", "STATISTIC"],
    ),
    "biomarker_layers": table(
        "an analysis of notebook 05 and whether it was run",
        {
            "ANALYSIS": text("analysis", nullable=False, isin=list(ANALYSES)),
            "TITLE": text("its title", nullable=False),
            "STATUS": text("RUN or NOT RUN", nullable=False, isin=["RUN", "NOT RUN"]),
            "SUBJECTS": number("largest number of subjects in one of its rows"),
            "ROWS": number("rows in estimates_biomarkers", nullable=False),
            "REASON": text("why it was not run, or what of it was not"),
        },
        ["ANALYSIS"],
    ),
    "curves_biomarkers": table(
        "a step of a Kaplan-Meier curve by plasma, or by PET and plasma",
        {
            "CURVE": text("CTDNA_<visit>, CLEARANCE or PETCTDNA", nullable=False),
            "ENDPOINT": text("endpoint", nullable=False),
            "GROUP": text("group", nullable=False),
            "TIME": number("time from the landmark, months", nullable=False),
            "SURVIVAL": number("estimate", nullable=False),
            "LOWER": number("lower limit"),
            "UPPER": number("upper limit"),
            "AT_RISK": number("subjects with T >= t", nullable=False),
            "EVENTS": number("events at t", nullable=False),
            "CENSORED": number("censored at t", nullable=False),
        },
        ["CURVE", "ENDPOINT", "GROUP", "TIME"],
    ),
    "acquired": table(
        "a gene altered in a later sample or at baseline of one subject",
        {
            **SUBJECT,
            "SOURCE": text(
                "TISSUE or PLASMA: the kind of the later sample", nullable=False, isin=["TISSUE", "PLASMA"]
            ),
            "PARAMCD": text("gene; GENE_AMP or GENE_DEL for copy number", nullable=False),
            "PARTYPE": text("MUT or CNA", nullable=False),
            "AVALC": text(
                "ACQUIRED, PRESENT AT BASELINE, LOST, NOT ASSESSABLE",
                nullable=False,
                isin=["ACQUIRED", "PRESENT AT BASELINE", "LOST", "NOT ASSESSABLE"],
            ),
            "BASESAMP": text("baseline sample"),
            "LATESAMP": text("later sample"),
            "VAF": number("variant allele fraction in the sample that shows it, 0-1"),
            "DEPTH": number("reads of the sample that does not show it"),
            "POWER": number("probability that this sample would have shown it, 0-1"),
            "NOTE": text("why not assessable, or called but not counted"),
        },
        ["USUBJID", "SOURCE", "PARAMCD", "PARTYPE"],
    ),
    "lead_times": table(
        "a subject whose plasma was followed",
        {
            **SUBJECT,
            "CATEGORY": text(
                "RISE BEFORE PROGRESSION, RISE AT OR AFTER PROGRESSION, NO RISE BEFORE PROGRESSION, "
                "RISE WITHOUT PROGRESSION, NEITHER, NOT ASSESSABLE (detected draws without a level)",
                nullable=False,
            ),
            "NADIR": number("lowest level before the rise, or of all"),
            "RISE": number("first level that counts as a rise"),
            "RISEDY": number("study day of the rise"),
            "PROGDY": number("study day of progression, or of the end of follow-up without it"),
            "LEAD": number(
                "days from the rise to progression; 0 where none rose before it, negative where later"
            ),
            "CNSR": number("1: no progression was seen, the lead is at least this"),
            "N_DRAWS": number("draws that count"),
            "MEASURE": text(
                "VAF or TUMFRAC: the level that was followed; none where NOT ASSESSABLE",
                isin=["VAF", "TUMFRAC"],
            ),
        },
        ["USUBJID"],
    ),
    "lesion_progression": table(
        "a lesion on the PET at progression",
        {
            **SUBJECT,
            "LESIONID": text("lesion", nullable=False),
            "ORGAN": text("organ"),
            "METRIC": text("metric", nullable=False),
            "NEWFL": text("new at progression", nullable=False, isin=YN),
            "BASE": number("value at baseline"),
            "EARLY": number("value at the early scan"),
            "EARLYPCHG": number("percent change at the early scan"),
            "EARLYRES": text("resistant at the early scan (fell by less than the cut)", isin=YN),
            "NADIR": number("lowest value before progression, baseline included"),
            "PROG": number("value at progression"),
            "PCHGNAD": number("percent change from nadir"),
            "PCHGBASE": number("percent change from baseline"),
            "DROVE": text("drove progression: new, or rose from nadir by the plan's percent", isin=YN),
        },
        ["USUBJID", "LESIONID", "METRIC"],
    ),
    "profile": table(
        "a characteristic of non-responders beside responders",
        {
            "SECTION": text("CLINICAL, PET, TUMOUR or PLASMA", nullable=False),
            "CHARACTERISTIC": text("characteristic", nullable=False),
            "LEVEL": text("level of a class, or median (quartiles)", nullable=False),
            "NONRESPONDER": text("non-responders", nullable=False),
            "RESPONDER": text("responders", nullable=False),
            "N": number("subjects known"),
            "STATISTIC": text("what ESTIMATE is"),
            "ESTIMATE": number("non-responders against responders"),
            "LOWER": number("lower limit"),
            "UPPER": number("upper limit"),
            "P": number("two-sided p-value"),
            "Q_BH": number("Benjamini-Hochberg over the page"),
        },
        ["SECTION", "CHARACTERISTIC", "LEVEL"],
    ),
    "nonresponders": table(
        "a metabolic non-responder, all layers in one line",
        {
            **SUBJECT,
            "CLINICAL": text("clinical facts in words"),
            "PET": text("baseline burden and early change in words"),
            "RESISTANT": text("lesions that fell by less than the cut, by organ"),
            "TUMOUR": text("alterations of the preferred baseline sample"),
            "PLASMA": text("ctDNA by visit"),
            "OUTCOME": text("progression-free and overall survival in words"),
        },
        ["USUBJID"],
    ),
    "remark": table(
        "an item of the REMARK checklist",
        {
            "ITEM": text("number", nullable=False),
            "SECTION": text("section of the checklist", nullable=False),
            "TOPIC": text("what REMARK asks", nullable=False),
            "REPORTED": text("what this run says to it, numbers computed", nullable=False),
            "WHERE": text("where it stands", nullable=False),
        },
        ["ITEM"],
    ),
}
