# phasesweep: `make sweep` runs a real sweep, `make test` the tests. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup sweep test test-all check mutants bench docs ui golden clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("phasesweep needs Python 3.11 or newer; run: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing 2.5 GB into $(VENV), which takes some minutes'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

setup: $(STAMP) ## make .venv and install the exact tested set

sweep: setup ## run the study `quickstart` and print its table
	$(BIN)/phasesweep run quickstart

# PyTorch would start a thread a core in each of pytest's two processes; what trains sets its own number.
test test-all: export OMP_NUM_THREADS := 1
# Without bytecode each of the tests' processes, commands and workers would compile all sources again.
test test-all: export PYTHONDONTWRITEBYTECODE :=

test: setup ## the tests, in about 5 minutes on 2 cores
	$(BIN)/python -m pytest -m "not slow and not gpu" --numprocesses 2 --dist worksteal

# A file of slow tests stays in one process: its tests share sessions, head nodes and measurements.
test-all: test ## the slow tests after them, half an hour more
	$(BIN)/python -m pytest -m "slow and not gpu" --numprocesses 2 --dist loadfile

check: setup ## ruff, mypy, import-linter, numbers in our documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/phasesweep lint README.md docs

mutants: setup ## plant defects; each must turn its named test red
	$(BIN)/python -m tests.mutants

bench: setup ## ratios, measured in one run
	$(BIN)/python -m tests.benchmarks

docs: setup ## rebuild tables, figures and the page of all claims from docs/results/
	$(BIN)/python -m analysis.report.publish readme
	$(BIN)/phasesweep report --journals docs/results --to docs/claims.html --figure docs/figures/claims.svg

golden: setup ## write the golden losses and messages anew; review the diff
	$(BIN)/python -m tests.golden.regenerate

ui: setup ## open the MLflow page
	$(BIN)/phasesweep ui

clean: ## remove .venv and caches; results stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
