PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: repro test lint lock docs bench clean clean-cache

repro: $(VENV)/.ready  ## set up, then run the pipeline as params.yaml says
	dvc repro

test: $(VENV)/.ready-test lint  ## set up, then lint, check types and test
	python -m pytest

lint: $(VENV)/.ready-test  ## style, then types
	ruff check .
	mypy weakseg stages studies benchmarks docs

lock: $(VENV)/.ready  ## prove that the committed dvc.lock and metrics belong to this code and these parameters
	@if dvc repro --dry --allow-missing | grep "^Running stage"; then echo "dvc.lock is of other code: dvc repro, commit" >&2; exit 1; fi

docs: $(VENV)/.ready  ## draw the graph of stages again
	python -m docs.draw_stages

$(VENV)/.ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --requirement requirements.txt --editable .
	touch $@

$(VENV)/.ready-test: $(VENV)/.ready requirements-test.txt
	pip install --quiet --requirement requirements.txt --requirement requirements-test.txt
	touch $@

bench: $(VENV)/.ready-test  ## time everything beside what it is compared with: benchmarks/RESULTS.md
	python -m benchmarks

clean:  ## remove every artifact; the DVC cache stays, and the committed metrics
	rm -rf data/* models/* plots/* report/* .cache

clean-cache: $(VENV)/.ready  ## remove what killed runs left and what is kept of single images; the next run computes all
	python -m weakseg.harness.resume
