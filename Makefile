# One screen: what can be done here. Every target sets up the environment it needs.
STUDY     ?= virtual
SCENARIO  ?= primary
DATA      ?=
WORKERS   ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
PYTHON    ?= python3
LABFLAGS  ?=
TRIALS    ?= 10000

BIN       := .venv/bin
READY     := .venv/.ready
PEERS     := .venv-peers/.ready
BROWSER   := .venv-browser/.ready
SNAKEMAKE  = $(BIN)/snakemake --workflow-profile config/profiles/default --cores $(WORKERS) \
             --config study=$(STUDY) scenario=$(SCENARIO) $(if $(DATA),data='$(DATA)')
# Each process computes on one core; parallel work is processes (WORKERS).
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONHASHSEED := 0
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib
export IPYTHONDIR := $(CURDIR)/.cache/ipython
export JUPYTER_PLATFORM_DIRS := 1

.PHONY: help reproduce scenarios figures lab privacy operating test golden recovery biomarker-rates response-truth fuzz real site-check lint lock environment clean benchmark-pet benchmark-clinical benchmark-survival benchmark-operating benchmark-screening \
        oracle validate-exports

help:            ## what can be done here
	@sed -n 's/^\([a-z-]*\): .*## /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || sed -n 's/^\([a-z-]*\): .*## /  make \1: /p' $(MAKEFILE_LIST)

reproduce: $(READY)  ## the whole analysis of STUDY (virtual by default), from raw data to the report; SCENARIO=cut15 for a sensitivity analysis
	@$(SNAKEMAKE)
	@echo "The report is reports/$(STUDY)/$(SCENARIO)/report.html (also .pdf and .docx); the site starts at reports/$(STUDY)/site/index.html"

scenarios: $(READY)  ## every sensitivity analysis the plan of STUDY names
	@$(SNAKEMAKE) scenarios
	@$(SNAKEMAKE) site
	@echo "Side by side: reports/$(STUDY)/site/scenarios.html"

figures: $(READY)    ## the figures and tables of the paper, again from the derived tables; lists what changed
	@$(BIN)/python -m analysis.changes keep reports/$(STUDY)/$(SCENARIO)
	@$(SNAKEMAKE) --forcerun publication
	@$(BIN)/python -m analysis.changes list reports/$(STUDY)/$(SCENARIO)
	@echo "The figures are in reports/$(STUDY)/$(SCENARIO)/figures"

privacy: $(READY)    ## search the results of STUDY once more for what must not leave
	@$(SNAKEMAKE) --forcerun privacy_gate

lab: $(READY)        ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks $(LABFLAGS)

operating: $(READY)  ## notebook 07 with TRIALS virtual trials a cell (10,000 by default: 9 minutes on two cores); an interrupted run goes on where it was
	$(BIN)/pearl-run notebooks/07_operating_characteristics.ipynb reports/$(STUDY)/operating_$(TRIALS).ipynb -p study $(STUDY) -p trials $(TRIALS) -p workers $(WORKERS)

test: $(READY)       ## everything that must hold: unit, reference and property tests, the DAG on the tiny trial, golden notebooks
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --ignore tests/dag
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/dag

golden: $(READY)     ## renew the golden notebooks of the tiny trial (a changed number is a CHANGELOG entry)
	$(BIN)/python tests/notebooks/golden.py renew

recovery: $(READY)   ## slow proof: is what was planted found again, over 60 fresh simulated trials (6 minutes)
	$(BIN)/python tests/recovery.py --workers $(WORKERS)

biomarker-rates: $(READY)  ## slow proof: power, family-wise error and false discoveries of the markers, exchanged tubes, over 200 simulated trials (8 minutes)
	$(BIN)/python tests/biomarker_rates.py

response-truth: $(READY)  ## slow proof: metabolic response from the images of the virtual trial against what was planted, rule by rule (1 minute, after make reproduce)
	$(BIN)/python tests/response_truth.py

validate-exports: $(READY)  ## slow proof: DICOM SEG, SR and value maps of every dialect through dciodvfy (dicom3tools, fetched with apt-get, no root)
	$(BIN)/python tests/validate_exports.py

fuzz: $(READY)       ## slow proof: 5,000 mutated scans, region files and trees; each ends in a result with flags or a coded refusal (2 minutes)
	$(BIN)/python tests/fuzz.py

real: $(READY)       ## only the tests that need the real cohorts
	$(BIN)/python -m pytest -m real -n $(WORKERS)

site-check: $(READY) $(BROWSER)  ## slow proof: every page of STUDY's site in headless Chromium without network: errors, links, axe, 360 and 1440 px, print, sorting, search, numbers (5 minutes)
	.venv-browser/bin/python tests/browser/check.py reports/$(STUDY)/site --out build/site-check/$(STUDY) --needs sort search code numbers keyboard

benchmark-pet: $(READY) $(PEERS)  ## time, memory and agreement of the PET chain beside its peers, on one scan (12 minutes, a quiet machine)
	$(BIN)/python benchmarks/pet/run.py

benchmark-clinical: $(READY)  ## time and memory of the clinical derivations at 2,000 and 20,000 subjects (2 minutes, a quiet machine)
	$(BIN)/python benchmarks/clinical/run.py

benchmark-survival: $(READY)  ## batched Cox, permutation and exact log-rank, selected cut, specification curve beside loops over lifelines and R (1 minute, a quiet machine)
	$(BIN)/python benchmarks/survival/run.py

benchmark-operating: $(READY)  ## virtual trials simulated and analysed, beside plain loops (2 minutes, a quiet machine)
	$(BIN)/python benchmarks/operating/run.py

benchmark-screening: $(READY)  ## the expression screen with 10,000 permutations beside plain loops (1 minute, a quiet machine)
	$(BIN)/python benchmarks/screening.py

oracle: $(READY) $(PEERS)  ## compare every value with MIRP's on scans of STUDY, and with DATA=folder on real series (2 minutes)
	$(BIN)/python benchmarks/pet/oracle.py --trial data/raw/$(STUDY)/dicom $(if $(DATA),--data '$(DATA)')

lint: $(READY)       ## style of code, docstrings and notebooks
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/numpydoc lint $$(git ls-files 'src/**/*.py')

lock: $(READY)       ## renew the hashed locks and environment.yml from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --group dev --group build --universal --python-version 3.11 --no-emit-index-url \
	  --generate-hashes --custom-compile-command "make lock" --quiet --upgrade -o requirements.lock
	$(BIN)/uv pip compile --group bootstrap --universal --python-version 3.11 --no-emit-index-url --no-annotate \
	  --generate-hashes --custom-compile-command "make lock" --quiet --upgrade -o requirements-bootstrap.lock
	$(BIN)/uv pip compile tests/browser/requirements.txt --universal --python-version 3.11 --no-emit-index-url \
	  --generate-hashes --custom-compile-command "make lock" --quiet --upgrade -o tests/browser/requirements.lock
	$(BIN)/python tests/test_environment.py

environment: $(READY)  ## only the environment

clean:           ## remove everything that can be made again (not data/raw of real studies)
	rm -rf .venv .venv-peers .venv-browser .snakemake .cache build data/raw/virtual data/raw/tiny data/derived reports/virtual reports/tiny

$(READY): requirements.lock requirements-bootstrap.lock pyproject.toml
	@echo "Setting up .venv from requirements.lock (about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps -e .
	@mkdir -p .cache
	@touch $(READY)

$(PEERS): benchmarks/requirements-peers.lock benchmarks/uv.toml | $(READY)
	@echo "Setting up .venv-peers from benchmarks/requirements-peers.lock (about a minute, 2.6 GB)"
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip install --quiet --config-file benchmarks/uv.toml \
	  --python .venv-peers/bin/python --no-deps --require-hashes -r benchmarks/requirements-peers.lock
	@touch $(PEERS)

$(BROWSER): tests/browser/requirements.lock | $(READY)
	@echo "Setting up .venv-browser from tests/browser/requirements.lock"
	@test -x .venv-browser/bin/python || $(PYTHON) -m venv .venv-browser
	@UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip install --quiet --python .venv-browser/bin/python --no-deps --require-hashes -r tests/browser/requirements.lock
	@touch $(BROWSER)
