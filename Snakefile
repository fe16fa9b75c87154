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


rule scenarios:
    input:
        [graph.report(name) for name in graph.scenarios()],


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


rule data_cleaning:
    input:
        graph.reads("01"),
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
