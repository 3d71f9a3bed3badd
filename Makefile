# make up: from a fresh clone to a running Ondol. make test: everything that is checked.
# Needs python3 (3.11 or newer) with venv, and nothing else.

PYTHON ?= python3
BIN := .venv/bin
MODELS := smollm2:135m all-minilm:l6-v2
BENCHMARKS = $(sort $(wildcard $(foreach name,run ablations waiting,benchmarks/*/$(name).py \
	benchmarks/*/*/$(name).py)))

.PHONY: up setup train test check bench constraints clean

up: setup
	@$(BIN)/ondol up

setup: .venv/installed
	@for model in $(MODELS); do $(BIN)/ondol pull --quiet $$model || exit $$?; done

train: .venv/train

test: setup train check
	$(BIN)/python -m pytest

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: setup train .venv/dev
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || exit $$?; done

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

# torch has no hash: each platform has its own builds, and some places a build of their own.
.venv/train: .venv/installed constraints-train.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r constraints-train.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation -e '.[train]'
	$(BIN)/python -m pip check
	@touch $@

# Pin what pyproject.toml asks for, with the hashes of every file and no address of any index.
COMPILE = $(BIN)/pip-compile -q --generate-hashes --strip-extras --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
constraints:
	$(BIN)/python -m pip install -q pip-tools
	$(COMPILE) --allow-unsafe --extra build -o constraints.txt pyproject.toml
	$(COMPILE) --allow-unsafe --extra build --extra dev -c constraints.txt -o constraints-dev.txt pyproject.toml
	$(COMPILE) --unsafe-package torch --extra train -c constraints-dev.txt -o constraints-train.txt pyproject.toml

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
