# The steps of the analysis, one rule a notebook. Study and scenario are wildcards; which tables a step reads, and which
# part of the plan it depends on, stands in analysis.steps. A change reruns only the steps that declare what changed.
from analysis import dag

STUDY = config.get("study", "virtual")
SCENARIO = config.get("scenario", "primary")
graph = dag.Graph(STUDY, data=config.get("data"))

NOTEBOOK = "reports/{study}/{scenario}/notebooks/"
RUN = (
    "python -m analysis.run {input.notebook} {log} -p study {wildcards.study} -p scenario {wildcards.scenario} "
    "-p workers {threads} {params.raw}"
)


wildcard_constraints:
    study="[A-Za-z0-9_-]+",
    scenario="[A-Za-z0-9_-]+",


rule all:
    input:
        graph.report(SCENARIO),
        graph.tables(SCENARIO),
        graph.privacy(SCENARIO),
        [graph.site()] if graph.has_site(SCENARIO) else [],


rule scenarios:
    input:
        [graph.report(name) for name in graph.scenarios()],
        [graph.tables(name) for name in graph.scenarios()],
        [graph.privacy(name) for name in graph.scenarios()],


rule virtual_trial:
    input:
        notebook="notebooks/00_virtual_trial.ipynb",
    output:
        graph.simulated_files(),
    params:
        depends=graph.depends("00"),
    log:
        f"reports/{STUDY}/primary/notebooks/00_virtual_trial.ipynb",
    threads: workflow.cores
    shell:
        "python -m analysis.run {input.notebook} {log} -p study " + STUDY + " -p workers {threads}"


# What the raw files say about persons: every step that writes below reports/ is searched for it.
rule identifiers:
    input:
        graph.raw_files(),
    output:
        graph.identifiers(),
    params:
        depends=graph.collect_depends,
        raw=graph.raw_option,
    threads: workflow.cores
    shell:
        "python -m analysis.privacy collect --study " + STUDY + " --workers {threads} {params.raw} --record {output}"


rule data_cleaning:
    input:
        graph.reads("01"),
        identifiers=graph.identifiers(),
        notebook="notebooks/01_data_cleaning.ipynb",
    output:
        graph.writes("01"),
    params:
        depends=graph.depends("01"),
        raw=graph.raw_parameter,
    log:
        NOTEBOOK + "01_data_cleaning.ipynb",
    shell:
        RUN


rule pet_quantification:
    input:
        graph.reads("02"),
        identifiers=graph.identifiers(),
        notebook="notebooks/02_pet_quantification.ipynb",
    output:
        graph.writes("02"),
    params:
        depends=graph.depends("02"),
        raw=graph.raw_parameter,
    log:
        NOTEBOOK + "02_pet_quantification.ipynb",
    threads: workflow.cores
    shell:
        RUN


rule pilot_timepoint:
    input:
        graph.reads("03"),
        identifiers=graph.identifiers(),
        notebook="notebooks/03_pilot_timepoint.ipynb",
    output:
        graph.writes("03"),
    params:
        depends=graph.depends("03"),
        raw="",
    log:
        NOTEBOOK + "03_pilot_timepoint.ipynb",
    shell:
        RUN


rule survival_association:
    input:
        graph.reads("04"),
        identifiers=graph.identifiers(),
        notebook="notebooks/04_survival_association.ipynb",
    output:
        graph.writes("04"),
    params:
        depends=graph.depends("04"),
        raw="",
    log:
        NOTEBOOK + "04_survival_association.ipynb",
    shell:
        RUN


rule biomarkers:
    input:
        graph.reads("05"),
        identifiers=graph.identifiers(),
        notebook="notebooks/05_biomarkers.ipynb",
    output:
        graph.writes("05"),
    params:
        depends=graph.depends("05"),
        raw=graph.raw_parameter,
    log:
        NOTEBOOK + "05_biomarkers.ipynb",
    shell:
        RUN


rule publication:
    input:
        graph.reads("06"),
        identifiers=graph.identifiers(),
        notebook="notebooks/06_publication.ipynb",
    output:
        graph.writes("06"),
        report="reports/{study}/{scenario}/report.html",
    params:
        depends=graph.depends("06"),
        raw="",
    log:
        NOTEBOOK + "06_publication.ipynb",
    shell:
        RUN


# What the design can tell: many virtual trials, once for a study, whatever the scenario.
rule operating_characteristics:
    input:
        graph.reads("07"),
        identifiers=graph.identifiers(),
        notebook="notebooks/07_operating_characteristics.ipynb",
    output:
        graph.writes("07"),
    params:
        depends=graph.depends("07"),
        raw="",
    log:
        NOTEBOOK + "07_operating_characteristics.ipynb",
    threads: workflow.cores
    shell:
        RUN


# Last: everything of a scenario is searched once more, file by file; without this record nothing may leave.
rule privacy_gate:
    input:
        graph.identifiers(),
        report="reports/{study}/{scenario}/report.html",
    output:
        "reports/{study}/{scenario}/privacy.json",
    params:
        depends=graph.gate_depends,
        raw=graph.raw_option,
    shell:
        "python -m analysis.privacy gate reports/{wildcards.study}/{wildcards.scenario} "
        "--restricted data/derived/{wildcards.study}/{wildcards.scenario} "
        "--hold data/derived/{wildcards.study}/{wildcards.scenario}/held_back "
        "--study {wildcards.study} {params.raw} --record {output}"


# The pages a reader opens: the primary report first, beside it every scenario that was run.
rule site:
    input:
        graph.site_reports(SCENARIO),
        graph.identifiers(),
    output:
        graph.site(),
    params:
        depends=graph.site_depends,
        raw=graph.raw_option,
    shell:
        "python -m analysis.site --study " + STUDY + " {params.raw}"
