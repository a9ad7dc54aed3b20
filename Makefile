# make demo    see an event go through          make check   what to run before a commit
# make test    the whole test suite             make help    all targets
SHELL := bash
VENV ?= .venv
PYTHON ?=
export VENV PYTHON
# What is compiled once need not be compiled by each of the hundreds of programs that tests start.
unexport PYTHONDONTWRITEBYTECODE
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadgroup
SOURCES := clacks tests benchmarks examples docs scripts setup.py

.DEFAULT_GOAL := help
.PHONY: help setup setup-run setup-tools setup-brokers demo test check format lint types bench docs test-brokers broker-table qt3
.PHONY: prove-filters filter-corpus test-again soak fuzz audit lock

help: ## show the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 16

setup: ## make .venv with everything for development
	@scripts/setup.sh dev

setup-run:
	@scripts/setup.sh run

setup-tools: setup ## install what tests marked "tool" need from apt and npm
	@scripts/setup-tools.sh

setup-brokers: setup ## install the brokers that tests marked "broker" need
	@scripts/setup-brokers.sh

demo: setup-run ## start everything on this machine, send one event, show it, stop
	@$(BIN)/python scripts/demo.py

test: setup setup-tools ## the whole test suite but real brokers
	$(PYTEST) -m "not broker and not soak"

test-again: ## one or two tests that failed last once more, alone: is it the test or the machine?
	$(BIN)/python scripts/test_again.py -m "not soak"

test-brokers: setup setup-brokers ## the contract suite on real brokers; says which it left out and why
	$(PYTEST) -m "broker and not soak"

broker-table: setup setup-brokers ## run it and write docs/brokers/features.md
	$(PYTEST) tests/contract --ignore tests/contract/test_table.py --table docs/brokers/features.md

prove-filters: setup ## 20,000 random cases: the filter index answers as the engine and SaxonC do
	$(BIN)/python -m tests.filters.proof 20000 --first 1
	$(BIN)/python -m tests.filters.grid 5000 --first 1

filter-corpus: setup ## show how many of the example filters the index recognizes
	$(BIN)/python -m tests.filters.corpus

soak: setup ## what takes a quarter of an hour or more
	$(BIN)/python -m pytest -m soak

FUZZ_SECONDS ?= 600
FUZZ ?=
fuzz: setup ## bad input for everything that strangers reach; FUZZ_SECONDS for each, FUZZ names targets
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install -q 'atheris~=3.0' || \
		echo "atheris cannot be had here: mutation without its coverage"
	$(BIN)/python -m tests.fuzz $(FUZZ) --seconds $(FUZZ_SECONDS)

audit: setup ## look the locked dependencies up among known vulnerabilities
	$(BIN)/python scripts/audit.py

lock: setup ## pin what a service installation needs, with hashes
	@scripts/lock.sh

check: setup lint types ## format, lint, types and the fast tests: run it before a commit
	$(PYTEST) -q -m "not slow and not net and not tool and not broker and not soak"

format: setup ## write the format that check wants
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: setup
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

types: setup
	$(BIN)/mypy

bench: setup ## measure; each line says what beside what, in one run
	$(BIN)/python -m benchmarks.event_maker
	$(BIN)/python -m benchmarks.broker
	$(BIN)/python -m benchmarks.publish_to_callback
	$(BIN)/python -m benchmarks.filters
	$(BIN)/python -m benchmarks.lifecycle --nodes 100 --clients 5000
	$(BIN)/python -m benchmarks.store
	$(BIN)/python -m benchmarks.xquery

docs: setup ## build the documentation into docs/_build/html; warnings are errors
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

qt3: setup ## run W3C's XQuery tests, as they are and as Python code: make qt3 QT3=folder of the runner
	@test -n "$(QT3)" || { echo "say where the runner is: make qt3 QT3=FOLDER" >&2; exit 2; }
	$(BIN)/python scripts/qt3.py $(QT3)
	$(BIN)/python scripts/qt3.py $(QT3) --code
