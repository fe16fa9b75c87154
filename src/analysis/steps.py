"""The steps of the analysis as data: which notebook answers what, from which tables, by which plan sections.

The Snakefile, the typed runner, the storage layer and the documentation all read this one table.
"""

from __future__ import annotations

from dataclasses import dataclass, field

COMMON_PARAMETERS = (
    "study",
    "scenario",
    "plan_file",
    "raw_dir",
    "derived_dir",
    "reports_dir",
    "workers",
    "dask_scheduler",
)


@dataclass(frozen=True)
class Step:
    """One notebook: its question, its sections of the plan, the tables it reads and writes, its parameters.

    Attributes
    ----------
    notebook : str
        File name without ending, under ``notebooks/``.
    question : str
        What the notebook answers, in one line.
    sections : tuple of str
        Sections of the plan it may read; a change of any other section never reruns it.
    reads, optional, writes : tuple of str
        Tables by name; `optional` ones are read where the study has them.
    parameters : dict
        Scientific parameters of the notebook and the plan value each overrides.
    of_design : bool
        It tells of the design, not of the data: the plan's scenarios do not run it again.
    """

    notebook: str
    question: str
    sections: tuple[str, ...]
    reads: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    of_design: bool = False


STEPS = {
    "00": Step(
        "00_virtual_trial",
        "What does a trial like PEARL look like on disk, with a truth we know?",
        ("design", "visits", "virtual"),
        writes=("manifest",),
        parameters={"seed": "virtual.seed", "n_patients": "virtual.n_patients"},
    ),
    "01": Step(
        "01_data_cleaning",
        "Who was treated, when did the disease progress, who died, and what is wrong with the records?",
        ("design", "visits", "clinical"),
        writes=(
            *("adsl", "adtr", "adrs", "adtte", "adtte_sensitivity", "response_rates", "corrections"),
            *("deviations_01", "deviation_rules_01", "exclusions_01", "queries_01"),
        ),
        raw=("sdtm",),
        parameters={
            "endpoint_rules": "clinical.endpoint_rules",
            "evaluator": "clinical.evaluator",
            "reader": "clinical.reader",
            "response_source": "clinical.response_source",
        },
    ),
    "02": Step(
        "02_pet_quantification",
        "How much FDG does every lesion take up, and who responds metabolically?",
        ("design", "visits", "pet", "response", "privacy", "figures"),
        reads=("adsl",),
        writes=(
            *("scan_qc", "adpet", "adlesion", "comparability", "admr", "lesion_map", "reference_proposals"),
            *("reader_decisions", "reads", "deid_audit", "exports", "mips", "exclusions_02", "queries_02"),
        ),
        raw=("dicom", "sdtm"),
        parameters={
            "strict": "pet.strict",
            "new_lesion_is_nonresponse": "response.new_lesion_is_nonresponse",
        },
    ),
    "03": Step(
        "03_pilot_timepoint",
        "Which of two early scans tells more about the outcome?",
        ("design", "clinical", "primary", "pilot", "survival", "response", "pet"),
        reads=("adsl", "admr", "adpet", "scan_qc", "reader_decisions", "adtte"),
        optional=("adrs",),
        writes=("decision", "pilot_evidence", "pilot_behaviour", "exclusions_03", "queries_03"),
        parameters={
            "response_rule": "primary.response_rule",
            "cut_percent": "primary.cut_percent",
            "pilot_rule": "pilot.rule",
            "margin": "pilot.margin",
        },
    ),
    "04": Step(
        "04_survival_association",
        "Does early metabolic response go with progression-free and overall survival?",
        (
            *("design", "clinical", "primary", "pilot", "survival", "response", "pet"),
            *("specification", "misclassification"),
        ),
        reads=("adsl", "adpet", "scan_qc", "reader_decisions", "admr", "adtte", "adtte_sensitivity"),
        optional=("decision", "adrs", "reads", "operating_characteristics"),
        writes=(
            *("estimates", "proportions", "curves", "analysis_set", "diagnostics", "specifications"),
            *("misclassification", "exclusions_04", "queries_04"),
        ),
        parameters={
            "metric": "primary.metric",
            "response_rule": "primary.response_rule",
            "cut_percent": "primary.cut_percent",
            "timepoint": "primary.timepoint",
            "population": "primary.population",
            "landmark": "primary.landmark",
        },
    ),
    "05": Step(
        "05_biomarkers",
        "Which alterations in tumour and plasma mark resistance, and who does not respond?",
        ("design", "primary", "survival", "response", "pet", "biomarkers", "figures"),
        reads=("adsl", "adpet", "scan_qc", "reader_decisions", "admr", "adtte"),
        optional=("decision",),
        writes=(
            *("adbm", "estimates_biomarkers", "biomarker_layers", "curves_biomarkers", "acquired"),
            *("lead_times", "lesion_progression", "profile", "nonresponders", "remark"),
            *("exclusions_05", "queries_05"),
        ),
        raw=("biomarkers",),
        parameters={
            "response_rule": "primary.response_rule",
            "cut_percent": "primary.cut_percent",
            "timepoint": "primary.timepoint",
            "ctdna_visit": "biomarkers.ctdna_main_visit",
            "min_prevalence_n": "biomarkers.min_prevalence_n",
        },
    ),
    "06": Step(
        "06_publication",
        "What do we report?",
        (
            *("design", "visits", "clinical", "pet", "response", "primary", "pilot", "survival"),
            *("biomarkers", "figures", "documents"),
        ),
        reads=(
            "adsl",
            "adtte",
            "scan_qc",
            "adpet",
            "admr",
            "estimates",
            "proportions",
            "curves",
            "analysis_set",
            "mips",
            "reader_decisions",
            "comparability",
            "deviations_01",
            "deviation_rules_01",
        ),
        optional=(
            "adtr",
            "adrs",
            "response_rates",
            "decision",
            "pilot_evidence",
            "pilot_behaviour",
            "adbm",
            "estimates_biomarkers",
            "biomarker_layers",
            "curves_biomarkers",
            "lead_times",
            "lesion_progression",
            "profile",
            "remark",
            "specifications",
            "misclassification",
            "operating_characteristics",
            "planning",
        ),
        writes=("values", "populations", "protocol_deviations", "deviation_rules"),
    ),
    "07": Step(
        "07_operating_characteristics",
        "What can a trial of this design and size tell?",
        (
            *("design", "primary", "pilot", "survival", "response", "pet"),
            *("virtual", "operating", "planning"),
        ),
        writes=("operating_characteristics", "planning"),
        parameters={
            "trials": "operating.trials",
            "hazard_ratio": "planning.hazard_ratio",
            "nonresponse_share": "planning.nonresponse_share",
            "median_months": "planning.median_months",
            "accrual_months": "planning.accrual_months",
            "follow_up_months": "planning.follow_up_months",
        },
        of_design=True,
    ),
}


def writer_of(table: str) -> str:
    """Return the one step that writes `table`."""
    return next(name for name, step in STEPS.items() if table in step.writes)


def steps_text() -> str:
    """Return the table of notebooks as Markdown; ``notebooks/README.md`` holds it."""
    rows = ["| notebook | question | reads | writes |", "|---|---|---|---|"]
    for step in STEPS.values():
        reads = [
            *(f"raw `{name}/`" for name in step.raw),
            *(f"`{name}`" for name in (*step.reads, *step.optional)),
        ]
        writes = ", ".join(f"`{name}`" for name in step.writes)
        link = f"[{step.notebook}]({step.notebook}.ipynb)"
        rows.append(f"| {link} | {step.question} | {', '.join(reads) or '-'} | {writes} |")
    return "\n".join(rows) + "\n"
