# Everything starts from `python3` (3.11 or newer, with venv): the first target that needs it makes .venv.
#   make demo    check, compile and train a small GPT on text, in about three minutes
#   make test    the tests that take seconds, types, lint and formatting
#   make help    the rest

PYTHON ?= python3
# Installed before the rest, so that a local or CPU build, where pip finds one, is kept.
TORCH  ?= torch==2.13.0
JOBS   ?= auto

VENV := .venv
BIN  := $(VENV)/bin
MADE := $(VENV)/.made

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env demo test test-all floors types lint format bench bench-gpu reproduce-gpu wrong-specs \
        fuzz fuzz-models faults symbols-and-numbers random-truth random-slopes mutants shared-searches grammar vscode \
        site diagrams tables dist clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: $(MADE) ## make the environment .venv

# The stamp is written last: an interrupted install leaves none and is taken up again by the next make.
$(MADE): pyproject.toml
	@rm -f $@
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "abcparam needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps mup==1.0.0  # with them it would replace torch
	@touch $@

demo: $(MADE) ## check and compile examples/gpt.param, train the proxy on text
	@mkdir -p build
	$(BIN)/abcparam check examples/gpt.param
	$(BIN)/abcparam compile examples/gpt.param -o build/gpt.py
	$(BIN)/python examples/train_text.py build/gpt.py --width 128 --depth 2 --context 128 \
	    --steps 1200 --eval-every 200 --batch 16 --threads 2

test: $(MADE) lint types ## pass the tests that take seconds, and lint and types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal --durations 15 -m "not slow"

test-all: $(MADE) lint types ## pass every test, the slow ones too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
	$(BIN)/python -m tests.support.floors

floors: $(MADE) ## tests with the oldest versions of libraries that pyproject.toml allows
	$(BIN)/python -m tests.support.floors

lint: $(MADE) ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(MADE) ## mypy, strict
	$(BIN)/mypy

format: $(MADE) ## put the code in canonical form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(MADE) ## measure against other code; writes benchmarks/results.{json,md}
	$(BIN)/python -m benchmarks

bench-gpu: $(MADE) ## measure on a GPU, in ten minutes, unattended; goes on where it was
	$(BIN)/python -m benchmarks.gpu bench

reproduce-gpu: $(MADE) ## figures of the literature on a GPU, in ten minutes, unattended; goes on where it was
	$(BIN)/python -m benchmarks.gpu reproduce

wrong-specs: $(MADE) ## fix 5,000 random wrong specs, in half an hour: each must come out mended
	$(BIN)/python -m benchmarks.wrong_specs 5000

symbols-and-numbers: $(MADE) ## hold what is derived with symbols against numbers at 5,000 points, in ten minutes
	$(BIN)/python -m benchmarks.symbols_and_numbers 5000

random-truth: $(MADE) ## hold verdicts and laws of 10,000 random models against a second implementation
	$(BIN)/python -m benchmarks.random_truth compare 10000

random-slopes: $(MADE) ## measure 1,000 random models in training, in an hour; goes on where it was
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.random_truth measure 1000

mutants: $(MADE) ## change the calculus in 500 places, one at a time: its tests have to notice; goes on where it was
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.mutants 500

shared-searches: $(MADE) ## let 100 pairs of processes share a search, in ten minutes: none may lose points
	$(BIN)/python -m benchmarks.shared_searches 100

FUZZED ?= 1000
SEED   ?= 0
fuzz: $(MADE) ## random specs through every command, FUZZED=1000 of them from SEED=0; goes on where it was
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.support.fuzzing $(FUZZED) $(SEED)

fuzz-models: $(MADE) ## random whole specs compiled, imported and run, FUZZED=1000 of them; goes on where it was
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.support.fuzzing --models $(FUZZED) $(SEED)

faults: $(MADE) ## kill commands 200 times, at random moments: nothing is half-written or lost
	$(BIN)/python -m tests.support.faults 200 $(SEED)

grammar: $(MADE) ## make the parser's tables and the grammar of editors again from grammar/
	$(BIN)/python -m abcparam.language.tables --tables
	$(BIN)/python -m abcparam.editor.textmate editors/vscode/syntaxes/abcparam.tmLanguage.json

vscode: ## package the extension for VS Code as build/abcparam.vsix, with npm
	@command -v npm >/dev/null || { echo "make vscode needs npm (Node.js 20 or newer)" >&2; exit 1; }
	@mkdir -p build
	cp LICENSE editors/vscode/LICENSE
	cd editors/vscode && npm ci --no-audit --no-fund && npm run build && \
	    npx --yes @vscode/vsce@3.9.2 package --no-dependencies \
	    --skip-license --allow-missing-repository -o ../../build/abcparam.vsix

site: $(MADE) ## build the documentation and the playground as build/site, with npm
	@command -v npm >/dev/null || { echo "make site needs npm (Node.js 20 or newer)" >&2; exit 1; }
	cd site && npm ci --ignore-scripts --no-audit --no-fund
	node site/build.mjs . $(BIN)/python build/site

diagrams: $(MADE) ## draw the diagrams of docs/ again
	$(BIN)/python -m docs.diagrams

tables: $(MADE) ## make the tables of docs/ again from the rules
	$(BIN)/python -m docs.tables

dist: $(MADE) ## build the sdist, and the wheel from it
	rm -rf dist
	$(BIN)/python -m build

clean: ## remove what was built, not the environment
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove the environment too
	rm -rf $(VENV)
