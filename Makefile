PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: repro test lint deps clean

repro: $(VENV)/.ready  ## set up, then run the pipeline as params.yaml says
	dvc repro

test: $(VENV)/.ready-test lint  ## set up, then lint and test
	python -m pytest

lint: $(VENV)/.ready-test
	ruff check .

deps: $(VENV)/.ready-test  ## rewrite the code dependencies in dvc.yaml from the imports
	python -m tests.closure --write

$(VENV)/.ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --requirement requirements.txt --editable .
	touch $@

$(VENV)/.ready-test: $(VENV)/.ready requirements-test.txt
	pip install --quiet --requirement requirements.txt --requirement requirements-test.txt
	touch $@

clean:  ## remove every artifact; the DVC cache stays
	rm -rf data models metrics plots report .cache
