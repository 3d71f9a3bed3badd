# make up: from a fresh clone to a running Ondol. make test: everything that is checked.
# Needs python3 (3.11 or newer) with venv, and nothing else.

PYTHON ?= python3
BIN := .venv/bin
MODELS := smollm2:135m all-minilm:l6-v2

.PHONY: up setup test check bench constraints clean

up: setup
	@$(BIN)/ondol up

setup: .venv/installed
	@for model in $(MODELS); do $(BIN)/ondol pull --quiet $$model || exit $$?; done

test: setup check
	$(BIN)/python -m pytest

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: setup .venv/dev
	@for script in benchmarks/*/run.py; do echo "== $$script"; $(BIN)/python $$script || exit $$?; done

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Ondol needs Python 3.11 or newer.") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python constraints.txt pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/installed constraints-dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r constraints-dev.txt
	@touch $@

# Pin what pyproject.toml asks for, with the hashes of every file and no address of any index.
COMPILE = $(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
constraints:
	$(BIN)/python -m pip install -q pip-tools
	$(COMPILE) --extra build -o constraints.txt pyproject.toml
	$(COMPILE) --extra build --extra dev -c constraints.txt -o constraints-dev.txt pyproject.toml

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
